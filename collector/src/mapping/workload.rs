//! Records of what runs on the appliance: apps, virtual machines, system containers.

use pulse_proto::convert::ProtocolError;
use pulse_proto::model::{App, Facets, Identity, IngestRecord, ResourceType, SourceId, Vm};

use super::ids::Ids;
use super::{Draft, tags};
use crate::api::{Item, Section};
use crate::snapshot::Snapshot;

pub(super) fn add(ids: &Ids, snapshot: &Snapshot, draft: &mut Draft) {
    for app in snapshot.apps().into_iter().flat_map(|apps| apps.iter()) {
        draft.add(Section::Apps, &app.name, app_record(ids, app));
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

fn app_record(ids: &Ids, app: &Item<App>) -> Result<IngestRecord, ProtocolError> {
    let facet = &app.facet;
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
        facets: Facets { app: Some(Box::new(facet.clone())), ..Facets::default() },
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
