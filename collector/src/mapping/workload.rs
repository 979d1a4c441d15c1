//! Records of what runs on the appliance: apps, virtual machines, system containers.

use pulse_proto::convert::ProtocolError;
use pulse_proto::model::{App, Facets, Identity, IngestRecord, ResourceType, SourceId, Vm};

use super::ids::Ids;
use super::{Draft, system, tags};
use crate::api::{Item, Section};
use crate::snapshot::Snapshot;

pub(super) fn add(ids: &Ids, snapshot: &Snapshot, draft: &mut Draft) {
    let node = node(snapshot);
    for app in snapshot.apps().into_iter().flat_map(|apps| apps.iter()) {
        draft.add(Section::Apps, &app.name, app_record(ids, app, node.as_deref()));
    }
    for vm in snapshot.vms().into_iter().flat_map(|vms| vms.iter()) {
        let id = ids.workload("vm", &vm.id);
        draft.add(Section::Vms, &vm.name, vm_record(ids, id, Section::Vms, ResourceType::Vm, vm, &vm.facet));
    }
    for instance in snapshot.instances().into_iter().flat_map(|instances| instances.iter()) {
        // Ids of instances and of virtual machines are counted apart.
        let id = ids.workload("instance", &instance.id);
        let kind = if instance.facet.is_vm { ResourceType::Vm } else { ResourceType::SystemContainer };
        let record = vm_record(ids, id, Section::Instances, kind, instance, &instance.facet.vm);
        draft.add(Section::Instances, &instance.name, record);
    }
}

/// What 24.04 writes in a portal where the address of the appliance belongs.
const NODE_ADDRESS: &str = "$node_ip";

/// The appliance as an address in a URL: what it can be reached by, as far as it is known.
fn node(snapshot: &Snapshot) -> Option<String> {
    let addresses = system::addresses(snapshot);
    let plain = addresses.iter().find(|address| !address.contains(':')).cloned();
    let bracketed = || addresses.first().map(|address| format!("[{address}]"));
    let name = || snapshot.system().map(|system| system.hostname.clone()).filter(|name| !name.is_empty());
    plain.or_else(bracketed).or_else(name)
}

/// With the appliance's address where it belongs; a page that nobody could find is left out.
fn portals(told: &[String], node: Option<&str>) -> Vec<String> {
    let found = told.iter().filter_map(|portal| {
        if !portal.contains(NODE_ADDRESS) {
            return Some(portal.clone());
        }
        node.map(|node| portal.replace(NODE_ADDRESS, node))
    });
    found.collect()
}

fn app_record(ids: &Ids, app: &Item<App>, node: Option<&str>) -> Result<IngestRecord, ProtocolError> {
    let facet = App { portals: portals(&app.facet.portals, node), ..app.facet.clone() };
    let custom = facet.custom == Some(true);
    Ok(IngestRecord {
        source_id: ids.workload("app", &app.id)?,
        parent_source_id: Some(ids.system()),
        resource_type: ResourceType::AppContainer,
        name: app.shown_name(),
        section: Section::Apps.name(),
        state: facet.state.clone(),
        identity: Identity::default(),
        capacity: None,
        tags: tags(&[
            "truenas".into(),
            "app".into(),
            if custom { "custom".into() } else { String::new() },
            if facet.upgrade_available == Some(true) { "upgrade-available".into() } else { String::new() },
        ]),
        incidents: Vec::new(),
        facets: Facets { app: Some(Box::new(facet)), ..Facets::default() },
    })
}

fn vm_record<T>(
    ids: &Ids,
    id: Result<SourceId, ProtocolError>,
    section: Section,
    resource_type: ResourceType,
    item: &Item<T>,
    facet: &Vm,
) -> Result<IngestRecord, ProtocolError> {
    let kind = if resource_type == ResourceType::Vm { "vm" } else { "container" };
    Ok(IngestRecord {
        source_id: id?,
        parent_source_id: Some(ids.system()),
        resource_type,
        name: item.shown_name(),
        section: section.name(),
        state: facet.state.clone(),
        identity: Identity { machine_id: facet.uuid.clone(), ..Identity::default() },
        capacity: None,
        tags: tags(&["truenas".into(), kind.into()]),
        incidents: Vec::new(),
        facets: Facets { vm: Some(Box::new(facet.clone())), ..Facets::default() },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_portal_names_the_appliance_and_never_a_variable() {
        let told = ["http://$node_ip:32400/web", "https://other.example/"].map(str::to_owned);
        for (node, expected) in [
            (Some("192.0.2.7"), vec!["http://192.0.2.7:32400/web", "https://other.example/"]),
            (Some("[2001:db8::7]"), vec!["http://[2001:db8::7]:32400/web", "https://other.example/"]),
            (None, vec!["https://other.example/"]),
        ] {
            assert_eq!(portals(&told, node), expected);
        }
    }
}
