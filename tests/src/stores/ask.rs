//! Everything that a service says over gRPC of what it has stored, as JSON.

use std::net::SocketAddr;

use anyhow::Context as _;
use prost::Message;
use prost_reflect::{DescriptorPool, DynamicMessage, SerializeOptions};
use pulse_proto::pb::collector::v1::ListConnectionsRequest;
use pulse_proto::pb::collector::v1::connection_service_client::ConnectionServiceClient;
use pulse_proto::pb::registry::v1::{
    ListAlertRulesRequest, ListAlertsRequest, ListResourceChangesRequest, ListResourceLinksRequest,
    ListResourcesRequest, ListResourcesResponse, ListSilencesRequest, Welcome,
};
use serde_json::{Map, Value, json};
use tonic::{Code, Response, Status};

use crate::harness::alerts;
use crate::harness::feeder::Feeder;
use crate::harness::view::client;

/// The source of every store's records.
pub const COLLECTOR: &str = "c1";
/// Its connections.
pub const CONNECTIONS: [&str; 3] = ["nas-1", "nas-2", "agents"];
const PAGE: i32 = 1_000;

/// By what was asked. What the release does not serve is not there.
pub async fn registry(address: SocketAddr) -> anyhow::Result<Value> {
    let mut said = Map::new();
    let mut put = |name: &str, message: &str, answer: Result<Vec<u8>, Status>| {
        match answer {
            Ok(bytes) => said.insert(name.to_owned(), json(&format!("pulse.registry.v1.{message}"), &bytes)?),
            Err(status) if status.code() == Code::Unimplemented => None,
            Err(status) => return Err(status).with_context(|| name.to_owned()),
        };
        anyhow::Ok(())
    };
    let mut resources = client(address).await?;
    let request = ListResourcesRequest { page_size: PAGE, ..Default::default() };
    let listed = resources.list_resources(request).await.map(|answer| {
        // A token is of one release.
        answer.map(|listed| ListResourcesResponse { resume_token: String::new(), ..listed })
    });
    put("resources", "ListResourcesResponse", bytes(listed))?;
    let request = ListResourceChangesRequest { page_size: PAGE, ..Default::default() };
    put("changes", "ListResourceChangesResponse", bytes(resources.list_resource_changes(request).await))?;
    let request = ListResourceLinksRequest { page_size: PAGE, ..Default::default() };
    put("links", "ListResourceLinksResponse", bytes(resources.list_resource_links(request).await))?;
    let mut alerts = alerts::client(address).await?;
    let request = ListAlertsRequest { page_size: PAGE, ..Default::default() };
    put("alerts", "ListAlertsResponse", bytes(alerts.list_alerts(request).await))?;
    let request = ListSilencesRequest { page_size: PAGE, ..Default::default() };
    put("silences", "ListSilencesResponse", bytes(alerts.list_silences(request).await))?;
    let request = ListAlertRulesRequest { page_size: PAGE, ..Default::default() };
    let mut rules = alerts.list_alert_rules(request).await;
    if let Ok(rules) = &mut rules {
        // Built-in ones are the release's, not the store's.
        rules.get_mut().rules.retain(|rule| !rule.built_in);
    }
    put("rules", "ListAlertRulesResponse", bytes(rules))?;
    // Where the collector goes on.
    let Welcome { registry_id, cursors, .. } = Feeder::open(address, COLLECTOR, &CONNECTIONS).await?.welcome;
    let welcome = Welcome { registry_id, cursors, ..Welcome::default() };
    put("welcome", "Welcome", Ok(welcome.encode_to_vec()))?;
    Ok(Value::Object(said))
}

/// Its connections, without how they do at the moment.
pub async fn collector(address: SocketAddr) -> anyhow::Result<Value> {
    let mut connections = ConnectionServiceClient::connect(format!("http://{address}")).await?;
    let request = ListConnectionsRequest { page_size: PAGE, ..Default::default() };
    let mut listed = connections.list_connections(request).await?.into_inner();
    listed.connections.iter_mut().for_each(|connection| connection.status = None);
    Ok(json!({ "connections": json("pulse.collector.v1.ListConnectionsResponse", &listed.encode_to_vec())? }))
}

fn bytes<T: Message>(answer: Result<Response<T>, Status>) -> Result<Vec<u8>, Status> {
    answer.map(|answer| answer.into_inner().encode_to_vec())
}

/// What is not set stands there, too: a mark that comes or goes is a difference.
fn json(message: &str, bytes: &[u8]) -> anyhow::Result<Value> {
    let pool = DescriptorPool::decode(pulse_proto::DESCRIPTOR_SET)?;
    let descriptor = pool.get_message_by_name(message).with_context(|| message.to_owned())?;
    let message = DynamicMessage::decode(descriptor, bytes)?;
    let options = SerializeOptions::new().skip_default_fields(false);
    Ok(message.serialize_with_options(serde_json::value::Serializer, &options)?)
}
