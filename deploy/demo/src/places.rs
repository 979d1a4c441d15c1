//! Where everything of the demo is, for people and for programs.

use std::net::SocketAddr;

use serde_json::{Value, json};

use crate::fleet::{Fleet, Member};

pub(crate) struct Places {
    pub(crate) registry: SocketAddr,
    pub(crate) registry_http: SocketAddr,
    pub(crate) collector: SocketAddr,
    pub(crate) collector_http: SocketAddr,
    pub(crate) outside: SocketAddr,
}

impl Places {
    /// Each command works as printed, from the folder of the project.
    pub(crate) fn lines(&self, fleet: &Fleet) -> Vec<String> {
        let Self { registry, registry_http, collector, collector_http, outside } = self;
        let spare = &fleet.spare;
        let of_spare = format!(
            "--address http://{collector} --name {} --host {} --port {} --username {} --fingerprint {}",
            spare.name,
            spare.appliance.host(),
            spare.appliance.port(),
            spare.appliance.user(),
            spare.appliance.fingerprint_sha256()
        );
        let connections = "cargo run --quiet --bin pulse-collector -- connections";
        vec![
            format!("console    http://{registry_http}/console"),
            format!("registry   gRPC {registry}   http://{registry_http}/metrics"),
            format!("collector  gRPC {collector}   http://{collector_http}/metrics"),
            format!(
                "webhook    http://{outside}/hook is told of critical alerts; what it hears is shown below"
            ),
            String::new(),
            "Try, in another terminal:".to_owned(),
            format!(
                "  grpcurl -plaintext -d '{{\"filter\":\"severity >= warning\"}}' {registry} pulse.registry.v1.ResourceService/ListResources"
            ),
            format!("  grpcurl -plaintext {registry} pulse.registry.v1.ResourceService/SummarizeResources"),
            format!("  grpcurl -plaintext {collector} pulse.collector.v1.ConnectionService/ListConnections"),
            String::new(),
            format!("{} (TrueNAS {}) is not connected yet. Test it, then add it:", spare.name, spare.line),
            format!("  export PULSE_TRUENAS_API_KEY='{}'", spare.appliance.api_key()),
            format!("  {connections} test {of_spare}"),
            format!("  {connections} add {of_spare}"),
            "Plug a disk into it, and pull it again:".to_owned(),
            format!("  curl -X POST http://{outside}/disk"),
            String::new(),
        ]
    }

    /// The spare has the names of a connection's fields.
    pub(crate) fn json(&self, fleet: &Fleet) -> Value {
        let Self { registry, registry_http, collector, collector_http, outside } = self;
        let named = |member: &Member| {
            json!({
                "name": member.name,
                "line": member.line,
                "host": member.appliance.host(),
                "port": member.appliance.port(),
            })
        };
        let appliance = &fleet.spare.appliance;
        let mut spare = named(&fleet.spare);
        spare["username"] = appliance.user().into();
        spare["api_key"] = appliance.api_key().into();
        spare["fingerprint"] = appliance.fingerprint_sha256().into();
        spare["disk"] = format!("http://{outside}/disk").into();
        json!({
            "registry": { "grpc": registry, "http": registry_http },
            "collector": { "grpc": collector, "http": collector_http },
            "console": format!("http://{registry_http}/console"),
            "webhook": format!("http://{outside}/hook"),
            "appliances": fleet.members.iter().map(named).collect::<Vec<_>>(),
            "spare": spare,
        })
    }
}
