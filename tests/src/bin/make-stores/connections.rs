//! What a collector keeps: each way to trust a server and to log in, labels, and one that is switched off.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use pulse_proto::pb::collector::v1::connection_service_client::ConnectionServiceClient;
use pulse_proto::pb::collector::v1::{Connection, CreateConnectionRequest, DeleteConnectionRequest};

/// Nobody listens there: a store is made, nothing is sent.
pub(super) const SETTINGS: &str = "[registry]\naddress = \"http://127.0.0.1:9\"";

pub(super) async fn create(collector: SocketAddr) -> anyhow::Result<()> {
    let mut client = ConnectionServiceClient::connect(format!("http://{collector}")).await?;
    let key = rcgen::generate_simple_self_signed(["nas-2.invalid".to_owned()])?;
    let connections = [
        Connection {
            id: "pinned".to_owned(),
            name: "Rack 1, käse".to_owned(),
            host: "nas-1.invalid".to_owned(),
            fingerprint: "ab".repeat(32),
            username: "pulse".to_owned(),
            api_key: "1-thisisnokeyofanybody".to_owned(),
            poll_interval_seconds: 30,
            labels: BTreeMap::from([
                ("site".to_owned(), "a".to_owned()),
                ("rack".to_owned(), "1".to_owned()),
            ]),
            ..Connection::default()
        },
        Connection {
            id: "authority".to_owned(),
            name: "Rack 2".to_owned(),
            host: "nas-2.invalid".to_owned(),
            port: 8443,
            ca_pem: key.cert.pem(),
            username: "pulse".to_owned(),
            password: "no password of anybody".to_owned(),
            ..Connection::default()
        },
        Connection {
            id: "off".to_owned(),
            name: "Rack 3".to_owned(),
            host: "192.0.2.3".to_owned(),
            insecure_skip_verify: true,
            username: "pulse".to_owned(),
            api_key: "2-thisisnokeyofanybody".to_owned(),
            enabled: Some(false),
            disabled_sections: vec!["apps".to_owned(), "vms".to_owned()],
            ..Connection::default()
        },
        Connection {
            id: "gone".to_owned(),
            name: "Rack 4".to_owned(),
            host: "192.0.2.4".to_owned(),
            username: "pulse".to_owned(),
            api_key: "3-x".to_owned(),
            ..Connection::default()
        },
    ];
    for connection in connections {
        let request = CreateConnectionRequest { connection: Some(connection), validate_only: false };
        client.create_connection(request).await?;
    }
    client.delete_connection(DeleteConnectionRequest { id: "gone".to_owned(), etag: String::new() }).await?;
    Ok(())
}
