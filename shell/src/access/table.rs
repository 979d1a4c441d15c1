//! What each method and route needs: one row for everything that answers. What
//! has no row does not answer.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use super::Role;

/// Who may call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Need {
    /// Everybody, without saying who he is.
    Open,
    Role(Role),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Row {
    pub path: &'static str,
    pub need: Need,
    /// Honours the labels that a credential is limited to. Others refuse such a credential.
    pub scoped: bool,
    /// Changes something, and is written down.
    pub changes: bool,
    /// A page for people: a session is a credential here, and a refusal is a page, too.
    pub page: bool,
}

const fn row(path: &'static str, need: Need) -> Row {
    Row { path, need, scoped: false, changes: false, page: false }
}
const fn reads(path: &'static str) -> Row {
    row(path, Need::Role(Role::Viewer))
}
const fn reads_scoped(path: &'static str) -> Row {
    Row { scoped: true, ..reads(path) }
}
const fn changes(path: &'static str, role: Role) -> Row {
    Row { changes: true, ..row(path, Need::Role(role)) }
}
const fn changes_scoped(path: &'static str, role: Role) -> Row {
    Row { scoped: true, ..changes(path, role) }
}

/// A page of the console: shows what the methods behind it show, and keeps to labels as they do.
const fn page(path: &'static str) -> Row {
    Row { page: true, ..reads_scoped(path) }
}
/// What a form of the console does.
const fn form(path: &'static str, role: Role) -> Row {
    Row { page: true, scoped: true, ..changes(path, role) }
}

/// Probes answer everybody: a balancer has no credential, and they tell nothing but life.
/// Reflection tells the contract and asks for a viewer.
#[rustfmt::skip]
pub const METHODS: &[Row] = &[
    row("/grpc.health.v1.Health/Check", Need::Open),
    row("/grpc.health.v1.Health/Watch", Need::Open),
    row("/grpc.health.v1.Health/List", Need::Open),
    reads_scoped("/grpc.reflection.v1.ServerReflection/ServerReflectionInfo"),
    reads_scoped("/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo"),

    Row { scoped: true, ..row("/pulse.registry.v1.IngestService/Ingest", Need::Role(Role::Ingest)) },

    reads_scoped("/pulse.registry.v1.ResourceService/GetResource"),
    reads_scoped("/pulse.registry.v1.ResourceService/ListResources"),
    reads_scoped("/pulse.registry.v1.ResourceService/WatchResources"),
    reads_scoped("/pulse.registry.v1.ResourceService/SummarizeResources"),
    reads_scoped("/pulse.registry.v1.ResourceService/ListResourceChanges"),
    reads_scoped("/pulse.registry.v1.ResourceService/ListResourceLinks"),
    changes("/pulse.registry.v1.ResourceService/LinkResources", Role::Operator),
    changes("/pulse.registry.v1.ResourceService/UnlinkResources", Role::Operator),
    changes("/pulse.registry.v1.ResourceService/DeleteResourceLink", Role::Operator),

    reads_scoped("/pulse.registry.v1.AlertService/GetAlert"),
    reads_scoped("/pulse.registry.v1.AlertService/ListAlerts"),
    reads_scoped("/pulse.registry.v1.AlertService/WatchAlerts"),
    reads_scoped("/pulse.registry.v1.AlertService/SummarizeAlerts"),
    reads_scoped("/pulse.registry.v1.AlertService/ExplainAlert"),
    // Receivers, silences and rules are the provider's: their words and filters may name other customers.
    reads("/pulse.registry.v1.AlertService/ListReceivers"),
    changes("/pulse.registry.v1.AlertService/TestReceiver", Role::Operator),
    changes_scoped("/pulse.registry.v1.AlertService/AcknowledgeAlert", Role::Operator),
    changes_scoped("/pulse.registry.v1.AlertService/UnacknowledgeAlert", Role::Operator),
    reads("/pulse.registry.v1.AlertService/GetSilence"),
    reads("/pulse.registry.v1.AlertService/ListSilences"),
    changes("/pulse.registry.v1.AlertService/CreateSilence", Role::Operator),
    changes("/pulse.registry.v1.AlertService/UpdateSilence", Role::Operator),
    changes("/pulse.registry.v1.AlertService/DeleteSilence", Role::Operator),
    reads("/pulse.registry.v1.AlertService/GetAlertRule"),
    reads("/pulse.registry.v1.AlertService/ListAlertRules"),
    changes("/pulse.registry.v1.AlertService/CreateAlertRule", Role::Admin),
    changes("/pulse.registry.v1.AlertService/UpdateAlertRule", Role::Admin),
    changes("/pulse.registry.v1.AlertService/DeleteAlertRule", Role::Admin),

    reads_scoped("/pulse.registry.v1.ContextService/GetInfrastructureContext"),
    reads_scoped("/pulse.registry.v1.ContextService/GetResourceContext"),

    reads("/pulse.admin.v1.LogService/GetLogLevel"),
    changes("/pulse.admin.v1.LogService/SetLogLevel", Role::Admin),

    reads("/pulse.collector.v1.ConnectionService/GetConnection"),
    reads("/pulse.collector.v1.ConnectionService/ListConnections"),
    reads("/pulse.collector.v1.ConnectionService/WatchConnections"),
    changes("/pulse.collector.v1.ConnectionService/RefreshConnection", Role::Operator),
    changes("/pulse.collector.v1.ConnectionService/DismissAlert", Role::Operator),
    changes("/pulse.collector.v1.ConnectionService/RestoreAlert", Role::Operator),
    // It connects where the caller says.
    changes("/pulse.collector.v1.ConnectionService/TestConnection", Role::Admin),
    changes("/pulse.collector.v1.ConnectionService/CreateConnection", Role::Admin),
    changes("/pulse.collector.v1.ConnectionService/UpdateConnection", Role::Admin),
    changes("/pulse.collector.v1.ConnectionService/DeleteConnection", Role::Admin),
    changes("/pulse.collector.v1.ConnectionService/RotateEncryptionKey", Role::Admin),
];

/// Of the HTTP port. A segment in braces stands for any one.
#[rustfmt::skip]
pub const ROUTES: &[Row] = &[
    row("/healthz", Need::Open),
    row("/readyz", Need::Open),
    // Names of nothing, but of everybody's.
    reads("/metrics"),
    // Each tool is a call that is asked for its own row.
    reads_scoped("/mcp"),

    // Only where to go from here, how to sign in, and what that page looks like.
    row("/", Need::Open),
    row("/console/sign-in", Need::Open),
    row("/console/assets/{name}", Need::Open),
    page("/console"),
    page("/console/infrastructure"),
    page("/console/storage"),
    page("/console/resources/{id}"),
    page("/console/alerts"),
    page("/console/alerts/{id}"),
    page("/console/connections"),
    page("/console/connections/{id}"),
    page("/console/live"),
    page("/console/preferences"),
    page("/console/sign-out"),
    form("/console/alerts/{id}/acknowledge", Role::Operator),
    form("/console/alerts/{id}/unacknowledge", Role::Operator),
    form("/console/alerts/{id}/silence", Role::Operator),
    form("/console/silences/{id}/end", Role::Operator),
    form("/console/connections/{id}/refresh", Role::Operator),
];

static BY_METHOD: LazyLock<BTreeMap<&str, Row>> = LazyLock::new(|| by_path(METHODS));
static BY_ROUTE: LazyLock<BTreeMap<&str, Row>> = LazyLock::new(|| by_path(ROUTES));

fn by_path(rows: &'static [Row]) -> BTreeMap<&'static str, Row> {
    rows.iter().map(|row| (row.path, *row)).collect()
}

pub(crate) fn method(path: &str) -> Option<Row> {
    BY_METHOD.get(path).copied()
}

pub(crate) fn route(path: &str) -> Option<Row> {
    let by_pattern = || ROUTES.iter().find(|row| row.path.contains('{') && fits(row.path, path));
    BY_ROUTE.get(path).or_else(by_pattern).copied()
}

fn fits(pattern: &str, path: &str) -> bool {
    let mut told = path.split('/');
    let same = |part: &str| {
        told.next().is_some_and(|told| if part.starts_with('{') { !told.is_empty() } else { part == told })
    };
    pattern.split('/').all(same) && told.next().is_none()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use prost_reflect::DescriptorPool;

    use super::*;

    #[test]
    fn every_method_of_the_contract_has_a_row_and_no_row_is_left_over() {
        let pool = DescriptorPool::decode(pulse_proto::DESCRIPTOR_SET).expect("the contract");
        let methods = pool.services().flat_map(|service| {
            let name = service.full_name().to_owned();
            service.methods().map(|method| format!("/{name}/{}", method.name())).collect::<Vec<_>>()
        });
        let contract: BTreeSet<String> = methods.collect();
        let ours = METHODS.iter().map(|row| row.path.to_owned()).filter(|path| path.starts_with("/pulse."));
        let ours: BTreeSet<String> = ours.collect();
        assert_eq!(contract, ours, "give each method a row in this table");
        assert_eq!(BY_METHOD.len() + BY_ROUTE.len(), METHODS.len() + ROUTES.len(), "one row each");
    }

    #[test]
    fn only_probes_and_the_way_in_are_open() {
        let open = METHODS.iter().chain(ROUTES).filter(|row| row.need == Need::Open);
        for row in open {
            let probe = row.path.starts_with("/grpc.health.v1.Health/") || row.path.ends_with('z');
            let way_in = ["/", "/console/sign-in", "/console/assets/{name}"].contains(&row.path);
            assert!((probe || way_in) && !row.changes, "{row:?}");
        }
    }

    #[test]
    fn a_segment_in_braces_is_any_one_and_never_more() {
        let found = |path| route(path).map(|row| row.path);
        assert_eq!(found("/console/resources/agent-1"), Some("/console/resources/{id}"));
        assert_eq!(found("/console/alerts/a/acknowledge"), Some("/console/alerts/{id}/acknowledge"));
        for path in
            ["/console/resources/", "/console/resources/a/b", "/console/resources", "/console/", "/consol"]
        {
            assert_eq!(found(path), None, "{path}");
        }
    }

    #[test]
    fn what_reads_by_its_name_is_for_viewers_and_what_changes_is_not() {
        for row in METHODS.iter().filter(|row| row.path.starts_with("/pulse.")) {
            let verb = row.path.rsplit('/').next().unwrap_or_default();
            let looks =
                ["Get", "List", "Watch", "Summarize", "Explain"].iter().any(|read| verb.starts_with(read));
            assert_eq!(row.need == Need::Role(Role::Viewer), looks, "{row:?}");
            assert_eq!(row.changes, !looks && verb != "Ingest", "{row:?}");
        }
    }
}
