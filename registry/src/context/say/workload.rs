//! What runs on a system.

use pulse_proto::model::{App, Vm};

use super::{Thing, names, state};
use crate::context::fact::Fact;
use crate::context::piece::{Kind, say, told};
use crate::context::words;

pub(crate) fn app(thing: &Thing<'_>, app: &App) -> Option<Fact> {
    let mut details = Vec::new();
    if !app.state.is_empty() {
        details.push(say![state(&app.state)]);
    }
    let version = if app.human_version.is_empty() { &app.version } else { &app.human_version };
    if !version.is_empty() {
        details.push(say!["version ", told(Kind::Word, version)]);
    }
    if app.upgrade_available == Some(true) {
        details.push(say!["upgrade to ", told(Kind::Word, &app.latest_version), " available"]);
    }
    details.extend(app.container_count.map(|count| say![words::count(count.into(), "container")]));
    if !app.error.is_empty() {
        details.push(say!["it says ", told(Kind::Text, &app.error)]);
    }
    let volumes: Vec<String> = app.volumes.iter().map(|volume| volume.source.clone()).collect();
    if !volumes.is_empty() {
        let mut statement = say!["keeps data in "];
        statement.append(names(Kind::Path, &volumes, 3));
        details.push(statement);
    }
    Some(thing.fact("app", thing.sentence(details)?))
}

pub(crate) fn vm(thing: &Thing<'_>, vm: &Vm) -> Option<Fact> {
    let mut details = Vec::new();
    if !vm.state.is_empty() {
        details.push(say![state(&vm.state)]);
    }
    details.extend(vm.vcpus.map(|count| say![words::count(count.into(), "virtual processor")]));
    details.extend(vm.memory_bytes.map(|bytes| say![words::size(bytes), " of memory"]));
    if vm.autostart == Some(true) {
        details.push(say!["starts with the system"]);
    }
    if !vm.dataset.is_empty() {
        details.push(say!["on dataset ", told(Kind::Path, &vm.dataset)]);
    }
    if !vm.description.is_empty() {
        details.push(say!["description ", told(Kind::Text, &vm.description)]);
    }
    Some(thing.fact("vm", thing.sentence(details)?))
}
