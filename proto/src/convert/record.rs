//! Ingest records, both ways.

use super::value::{LIST_MAX, TEXT_BYTES_MAX, at_most, line, lines, prose, time, timestamp_to_wire};
use super::{At as _, ProtocolError};
use crate::model::{
    AlertLevel, Capacity, Facets, Identity, Incident, IngestRecord, ResourceType, SectionName, SourceId,
};
use crate::pb::resource::v1 as wire;

impl TryFrom<wire::IngestRecord> for IngestRecord {
    type Error = ProtocolError;

    fn try_from(record: wire::IngestRecord) -> Result<Self, ProtocolError> {
        let wire::IngestRecord {
            source_id,
            parent_source_id,
            r#type,
            name,
            section,
            state,
            identity,
            capacity,
            tags,
            incidents,
            agent,
            truenas,
            storage,
            physical_disk,
            app,
            vm,
            network_share,
            protection_task,
            metrics,
        } = record;
        if name.is_empty() {
            return Err(ProtocolError::missing().at("name"));
        }
        let mut tags = lines(tags).at("tags")?;
        tags.sort_unstable();
        tags.dedup();
        at_most(incidents.len(), LIST_MAX).at("incidents")?;
        if parent_source_id == source_id && !source_id.is_empty() {
            return Err(ProtocolError::invalid("a thing is not its own parent").at("parent_source_id"));
        }
        let parent = (!parent_source_id.is_empty()).then(|| SourceId::parse(&parent_source_id)).transpose();
        Ok(Self {
            source_id: SourceId::parse(&source_id).at("source_id")?,
            parent_source_id: parent.at("parent_source_id")?,
            resource_type: ResourceType::from_wire(r#type).at("type")?,
            name: line(name).at("name")?,
            section: SectionName::parse(&section).at("section")?,
            state: line(state).at("state")?,
            identity: identity.map(Identity::try_from).transpose().at("identity")?.unwrap_or_default(),
            capacity: capacity.map(Capacity::from),
            tags,
            incidents: incidents
                .into_iter()
                .enumerate()
                .map(|(i, incident)| Incident::try_from(incident).map_err(|e| e.at_index("incidents", i)))
                .collect::<Result<_, _>>()?,
            facets: Facets {
                agent: boxed(agent).at("agent")?,
                truenas: boxed(truenas).at("truenas")?,
                storage: boxed(storage).at("storage")?,
                physical_disk: boxed(physical_disk).at("physical_disk")?,
                app: boxed(app).at("app")?,
                vm: boxed(vm).at("vm")?,
                network_share: boxed(network_share).at("network_share")?,
                protection_task: boxed(protection_task).at("protection_task")?,
                metrics: boxed(metrics).at("metrics")?,
            },
        })
    }
}

fn boxed<W, M>(facet: Option<W>) -> Result<Option<Box<M>>, ProtocolError>
where
    M: TryFrom<W, Error = ProtocolError>,
{
    facet.map(M::try_from).transpose().map(|facet| facet.map(Box::new))
}

impl From<&IngestRecord> for wire::IngestRecord {
    fn from(record: &IngestRecord) -> Self {
        let IngestRecord {
            source_id,
            parent_source_id,
            resource_type,
            name,
            section,
            state,
            identity,
            capacity,
            tags,
            incidents,
            facets:
                Facets {
                    agent,
                    truenas,
                    storage,
                    physical_disk,
                    app,
                    vm,
                    network_share,
                    protection_task,
                    metrics,
                },
        } = record;
        Self {
            source_id: source_id.as_str().to_owned(),
            parent_source_id: parent_source_id.as_ref().map(|id| id.as_str().to_owned()).unwrap_or_default(),
            r#type: resource_type.to_wire(),
            name: name.clone(),
            section: section.as_str().to_owned(),
            state: state.clone(),
            identity: identity_to_wire(identity),
            capacity: capacity.map(Into::into),
            tags: tags.clone(),
            incidents: incidents.iter().map(Into::into).collect(),
            agent: agent.as_deref().map(Into::into),
            truenas: truenas.as_deref().map(Into::into),
            storage: storage.as_deref().map(Into::into),
            physical_disk: physical_disk.as_deref().map(Into::into),
            app: app.as_deref().map(Into::into),
            vm: vm.as_deref().map(Into::into),
            network_share: network_share.as_deref().map(Into::into),
            protection_task: protection_task.as_deref().map(Into::into),
            metrics: metrics.as_deref().map(Into::into),
        }
    }
}

impl TryFrom<wire::Identity> for Identity {
    type Error = ProtocolError;

    fn try_from(identity: wire::Identity) -> Result<Self, ProtocolError> {
        let wire::Identity { machine_id, dmi_uuid, hostnames, ip_addresses, mac_addresses } = identity;
        Ok(Self {
            machine_id: line(machine_id).at("machine_id")?,
            dmi_uuid: line(dmi_uuid).at("dmi_uuid")?,
            hostnames: lines(hostnames).at("hostnames")?,
            ip_addresses: lines(ip_addresses).at("ip_addresses")?,
            mac_addresses: lines(mac_addresses).at("mac_addresses")?,
        })
    }
}

/// Absent when nothing is known, so that absent and empty encode alike.
pub(super) fn identity_to_wire(identity: &Identity) -> Option<wire::Identity> {
    let Identity { machine_id, dmi_uuid, hostnames, ip_addresses, mac_addresses } = identity;
    (identity != &Identity::default()).then(|| wire::Identity {
        machine_id: machine_id.clone(),
        dmi_uuid: dmi_uuid.clone(),
        hostnames: hostnames.clone(),
        ip_addresses: ip_addresses.clone(),
        mac_addresses: mac_addresses.clone(),
    })
}

impl From<wire::Capacity> for Capacity {
    fn from(capacity: wire::Capacity) -> Self {
        let wire::Capacity {
            total_bytes,
            used_bytes,
            available_bytes,
            raw_total_bytes,
            raw_used_bytes,
            raw_free_bytes,
        } = capacity;
        Self { total_bytes, used_bytes, available_bytes, raw_total_bytes, raw_used_bytes, raw_free_bytes }
    }
}

impl From<Capacity> for wire::Capacity {
    fn from(capacity: Capacity) -> Self {
        let Capacity {
            total_bytes,
            used_bytes,
            available_bytes,
            raw_total_bytes,
            raw_used_bytes,
            raw_free_bytes,
        } = capacity;
        Self { total_bytes, used_bytes, available_bytes, raw_total_bytes, raw_used_bytes, raw_free_bytes }
    }
}

impl TryFrom<wire::Incident> for Incident {
    type Error = ProtocolError;

    fn try_from(incident: wire::Incident) -> Result<Self, ProtocolError> {
        let wire::Incident {
            provider,
            native_id,
            klass,
            level,
            text,
            args_json,
            node,
            dismissed,
            one_shot,
            started_at,
        } = incident;
        if args_json.len() > TEXT_BYTES_MAX {
            return Err(ProtocolError::invalid(format!("longer than {TEXT_BYTES_MAX} bytes")).at("args_json"));
        }
        Ok(Self {
            provider: line(provider).at("provider")?,
            native_id: line(native_id).at("native_id")?,
            klass: line(klass).at("klass")?,
            level: AlertLevel::from_wire(level).at("level")?,
            text: prose(text).at("text")?,
            args_json,
            node: line(node).at("node")?,
            dismissed,
            one_shot,
            started_at: time(started_at).at("started_at")?,
        })
    }
}

impl From<&Incident> for wire::Incident {
    fn from(incident: &Incident) -> Self {
        let Incident {
            provider,
            native_id,
            klass,
            level,
            text,
            args_json,
            node,
            dismissed,
            one_shot,
            started_at,
        } = incident;
        Self {
            provider: provider.clone(),
            native_id: native_id.clone(),
            klass: klass.clone(),
            level: level.to_wire(),
            text: text.clone(),
            args_json: args_json.clone(),
            node: node.clone(),
            dismissed: *dismissed,
            one_shot: *one_shot,
            started_at: started_at.map(timestamp_to_wire),
        }
    }
}
