//! What runs on a machine: apps, virtual machines, system containers.

#[derive(Clone, Debug, Default, PartialEq)]
pub struct App {
    pub id: String,
    /// As told: RUNNING, DEPLOYING, STOPPING, STOPPED, CRASHED, ERROR.
    pub state: String,
    pub title: String,
    pub train: String,
    /// Of the catalogue entry.
    pub version: String,
    pub human_version: String,
    pub latest_version: String,
    pub upgrade_available: Option<bool>,
    pub image_updates_available: Option<bool>,
    pub custom: Option<bool>,
    pub error: String,
    pub container_count: Option<u32>,
    pub containers: Vec<AppContainer>,
    pub ports: Vec<AppPort>,
    pub volumes: Vec<AppVolume>,
    pub images: Vec<String>,
    pub networks: Vec<String>,
    pub host_addresses: Vec<String>,
    pub portals: Vec<String>,
}

#[derive(Clone, Debug, Default, PartialEq)]
pub struct AppContainer {
    pub id: String,
    pub service_name: String,
    pub image: String,
    pub state: String,
}

#[derive(Clone, Debug, Default, PartialEq)]
pub struct AppPort {
    pub container_port: Option<u32>,
    pub protocol: String,
    pub host_port: Option<u32>,
    pub host_address: String,
}

#[derive(Clone, Debug, Default, PartialEq)]
pub struct AppVolume {
    pub source: String,
    pub destination: String,
    pub mode: String,
    pub kind: String,
}

/// A virtual machine or a system container.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Vm {
    pub id: String,
    pub uuid: String,
    pub description: String,
    /// As told: RUNNING, STOPPED, SUSPENDED, ERROR ...
    pub state: String,
    pub domain_state: String,
    pub vcpus: Option<u32>,
    pub cores: Option<u32>,
    pub threads: Option<u32>,
    pub memory_bytes: Option<u64>,
    pub min_memory_bytes: Option<u64>,
    pub autostart: Option<bool>,
    pub cpu_mode: String,
    pub cpu_model: String,
    pub bootloader: String,
    pub disk_count: Option<u32>,
    pub nic_count: Option<u32>,
    pub display_count: Option<u32>,
    pub cdrom_count: Option<u32>,
    pub usb_count: Option<u32>,
    pub pci_count: Option<u32>,
    pub image: String,
    pub dataset: String,
    pub addresses: Vec<String>,
}
