//! What tells that two records of different sources are about one machine, and
//! how sure it is. Pure tables; refuses to know who else claims the same.

use std::net::{IpAddr, Ipv4Addr};

use crate::state::document::Document;
use crate::state::document::read::number;
use crate::state::id::is_real_serial;

/// From here on records are merged without asking.
pub const AUTO_MERGE_PERCENT: u8 = 85;

/// Names that say nothing about a machine.
const GENERIC_HOSTNAMES: [&str; 4] = ["localhost", "localhost4", "localhost6", "unknown"];
/// What firmware says in place of a UUID, beside repetitions of one digit.
const PLACEHOLDER_UUIDS: [&str; 3] = [
    "03000200-0400-0500-0006-000700080009",
    "01234567-8910-1112-1314-151617181920",
    "12345678-1234-5678-90ab-cddeefaabbcc",
];
/// Docker makes the addresses of its bridges of the private ones behind it: the same on every machine.
const DOCKER_MAC_PREFIX: &str = "0242ac";

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    MachineId,
    DmiUuid,
    HostnameMac,
    HostnameIp,
    Hostname,
    Ip,
}

/// A fact that another record of the same machine should state too.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Evidence {
    pub kind: Kind,
    /// Normalised: equal text is equal evidence.
    pub text: Box<str>,
}

impl Kind {
    /// How sure it makes, in percent.
    pub const fn percent(self) -> u8 {
        match self {
            Self::MachineId => 100,
            Self::DmiUuid => 99,
            Self::HostnameMac => 90,
            Self::HostnameIp => 80,
            Self::Hostname => 50,
            Self::Ip => 40,
        }
    }

    pub const fn token(self) -> &'static str {
        match self {
            Self::MachineId => "machine_id",
            Self::DmiUuid => "dmi_uuid",
            Self::HostnameMac => "hostname_and_mac",
            Self::HostnameIp => "hostname_and_ip",
            Self::Hostname => "hostname",
            Self::Ip => "ip",
        }
    }

    pub const fn is_strong(self) -> bool {
        self.percent() >= AUTO_MERGE_PERCENT
    }
}

/// Evidence that merges by itself.
pub(super) fn strong(document: &Document) -> Vec<Evidence> {
    let mut found = gather(document, true);
    found.sort();
    found.dedup();
    found
}

/// All evidence a host states, the surest first.
pub fn all(document: &Document) -> Vec<Evidence> {
    let mut found = gather(document, false);
    found.sort();
    found.dedup();
    found
}

fn gather(document: &Document, strong_only: bool) -> Vec<Evidence> {
    let Some(identity) = document.fields().message(number::IDENTITY) else { return Vec::new() };
    let of = |kind, text: String| Evidence { kind, text: text.into() };
    let mut found = Vec::new();
    found.extend(unique_id(identity.text(1)).map(|id| of(Kind::MachineId, id)));
    found.extend(unique_id(identity.text(2)).map(|id| of(Kind::DmiUuid, id)));
    let hostnames: Vec<String> = identity.texts(3).filter_map(hostname).collect();
    let macs: Vec<String> = identity.texts(5).filter_map(mac).collect();
    for name in &hostnames {
        found.extend(macs.iter().map(|mac| of(Kind::HostnameMac, format!("{name} {mac}"))));
    }
    if strong_only {
        return found;
    }
    let addresses: Vec<IpAddr> = identity.texts(4).filter_map(address).collect();
    for name in &hostnames {
        found.extend(addresses.iter().map(|ip| of(Kind::HostnameIp, format!("{name} {ip}"))));
    }
    found.extend(hostnames.into_iter().map(|name| of(Kind::Hostname, name)));
    found.extend(addresses.into_iter().map(|ip| of(Kind::Ip, ip.to_string())));
    found
}

/// A machine id or DMI UUID that may be one machine's only.
fn unique_id(told: &str) -> Option<String> {
    let id = told.trim().trim_matches(['{', '}']).to_ascii_lowercase();
    (is_real_serial(&id) && !PLACEHOLDER_UUIDS.contains(&id.as_str())).then_some(id)
}

/// The first label: some sources tell the domain, some do not.
fn hostname(told: &str) -> Option<String> {
    let name = told.trim().to_lowercase();
    let label = name.split('.').next().unwrap_or_default();
    let is_name = !label.is_empty() && name.parse::<IpAddr>().is_err();
    (is_name && !GENERIC_HOSTNAMES.contains(&label)).then(|| label.to_owned())
}

fn mac(told: &str) -> Option<String> {
    let digits: String = told.chars().filter(char::is_ascii_hexdigit).collect::<String>().to_lowercase();
    let separators = told.trim().chars().all(|c| c.is_ascii_hexdigit() || ":-.".contains(c));
    let first = digits.chars().next()?;
    let is_real = separators && digits.len() == 12 && digits.chars().any(|digit| digit != first);
    (is_real && !digits.starts_with(DOCKER_MAC_PREFIX)).then_some(digits)
}

/// An address that may be one machine's only.
fn address(told: &str) -> Option<IpAddr> {
    let ip: IpAddr = told.trim().split('/').next()?.parse().ok()?;
    let ip = ip.to_canonical();
    let is_common = match ip {
        IpAddr::V4(ip) => ip.is_link_local() || is_container_network(ip),
        IpAddr::V6(ip) => ip.is_unicast_link_local(),
    };
    (!is_common && !ip.is_loopback() && !ip.is_unspecified() && !ip.is_multicast()).then_some(ip)
}

/// 172.17 to 172.31: what container engines give out on every machine.
const fn is_container_network(ip: Ipv4Addr) -> bool {
    matches!(ip.octets(), [172, 17..=31, ..])
}

#[cfg(test)]
mod tests {
    use pulse_proto::model::{Facets, Identity, IngestRecord, ResourceType, SectionName, SourceId};

    use super::*;

    fn host(identity: Identity) -> Document {
        Document::of(&IngestRecord {
            source_id: SourceId::parse("h").unwrap(),
            parent_source_id: None,
            resource_type: ResourceType::Host,
            name: "h".to_owned(),
            section: SectionName::parse("system").unwrap(),
            state: String::new(),
            identity,
            capacity: None,
            tags: Vec::new(),
            incidents: Vec::new(),
            facets: Facets::default(),
        })
    }

    #[test]
    fn kinds_have_their_confidence() {
        let table = [
            (Kind::MachineId, 100, true),
            (Kind::DmiUuid, 99, true),
            (Kind::HostnameMac, 90, true),
            (Kind::HostnameIp, 80, false),
            (Kind::Hostname, 50, false),
            (Kind::Ip, 40, false),
        ];
        for (kind, percent, strong) in table {
            assert_eq!((kind.percent(), kind.is_strong()), (percent, strong), "{kind:?}");
        }
    }

    #[test]
    fn a_host_states_each_kind_once_and_the_surest_first() {
        let text = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect();
        let document = host(Identity {
            machine_id: " 4C4C4544-0042 ".to_owned(),
            dmi_uuid: "{4c4c4544-0042-3510}".to_owned(),
            hostnames: text(&["NAS1.example.org", "nas1"]),
            ip_addresses: text(&["192.0.2.10/24", "127.0.0.1"]),
            mac_addresses: text(&["3C:EC:EF:00:11:22", "3c-ec-ef-00-11-22"]),
        });
        let stated: Vec<(Kind, String)> =
            all(&document).into_iter().map(|e| (e.kind, e.text.into_string())).collect();
        let expected = [
            (Kind::MachineId, "4c4c4544-0042"),
            (Kind::DmiUuid, "4c4c4544-0042-3510"),
            (Kind::HostnameMac, "nas1 3cecef001122"),
            (Kind::HostnameIp, "nas1 192.0.2.10"),
            (Kind::Hostname, "nas1"),
            (Kind::Ip, "192.0.2.10"),
        ];
        assert_eq!(stated, expected.map(|(kind, text)| (kind, text.to_owned())));
        let kinds: Vec<Kind> = strong(&document).into_iter().map(|evidence| evidence.kind).collect();
        assert_eq!(kinds, [Kind::MachineId, Kind::DmiUuid, Kind::HostnameMac]);
    }

    #[test]
    fn placeholders_are_no_evidence() {
        for id in [
            "",
            "Not Specified",
            "00000000-0000-0000-0000-000000000000",
            "FFFFFFFF-FFFF-FFFF-FFFF-FFFFFFFFFFFF",
            "03000200-0400-0500-0006-000700080009",
            "To be filled by O.E.M.",
        ] {
            assert_eq!(unique_id(id), None, "{id:?}");
        }
        for name in ["", "localhost", "LOCALHOST.localdomain", "192.0.2.1", "fe80::1", "."] {
            assert_eq!(hostname(name), None, "{name:?}");
        }
        for told in
            ["", "00:00:00:00:00:00", "ff:ff:ff:ff:ff:ff", "02:42:ac:11:00:02", "3c:ec:ef", "no mac 3cecef00"]
        {
            assert_eq!(mac(told), None, "{told:?}");
        }
        for told in [
            "",
            "127.0.0.1",
            "127.9.9.9/8",
            "::1",
            "0.0.0.0",
            "169.254.3.4",
            "fe80::1/64",
            "224.0.0.1",
            "172.17.0.1",
            "172.31.255.1/16",
            "::ffff:127.0.0.1",
            "no address",
        ] {
            assert_eq!(address(told), None, "{told:?}");
        }
        for told in ["172.16.0.1", "172.32.0.1", "10.0.0.1/8", "2001:db8::1", "192.168.1.10"] {
            assert!(address(told).is_some(), "{told:?}");
        }
    }
}
