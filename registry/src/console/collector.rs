//! What collectors say of their connections, asked when a page is. One that
//! does not answer costs its own part of the page, and a moment.

use std::path::PathBuf;
use std::time::Duration;

use futures_util::future::join_all;
use pulse_proto::convert::timestamp_from_wire;
use pulse_proto::model::ConnectionState;
use pulse_proto::pb::collector::v1 as pb;
use pulse_proto::pb::collector::v1::connection_service_client::ConnectionServiceClient;
use pulse_shell::answer::explain;
use pulse_shell::client::{self, Access, Channel};
use pulse_shell::tls::failure::Failure;
use tokio::sync::Mutex;
use tokio::time::Instant;

use super::connections::{Hearsay, Told};

/// People wait for a page no longer than this for one collector.
const DEADLINE: Duration = Duration::from_secs(2);
/// A collector that did not answer is not waited for again so soon: every page would take that long.
const PAUSE: Duration = Duration::from_secs(10);
/// A collector reads a whole system anew.
const REFRESH_DEADLINE: Duration = Duration::from_mins(1);
const PAGE_SIZE: i32 = 500;
/// Connections of one collector that are shown.
const CONNECTIONS_MAX: usize = 5_000;
const ANSWER_BYTES_MAX: usize = 32 * 1024 * 1024;

/// Where collectors answer, and how they are spoken to.
#[derive(Clone, Debug, Default)]
pub struct Addresses {
    pub addresses: Vec<String>,
    pub ca_file: Option<PathBuf>,
    pub token_file: Option<PathBuf>,
}

#[derive(Debug, Default)]
pub struct Collectors {
    clients: Vec<Client>,
}

#[derive(Debug)]
struct Client {
    address: String,
    access: Access,
    channel: Mutex<Option<Channel>>,
    /// Until when it is not asked, and why.
    paused: Mutex<Option<(Instant, String)>>,
}

impl Collectors {
    pub fn new(told: &Addresses) -> Self {
        let Addresses { addresses, ca_file, token_file } = told;
        let access = Access { tls_ca: ca_file.clone(), token_file: token_file.clone(), ..Access::default() };
        let client = |address: &String| Client {
            address: address.clone(),
            access: access.clone(),
            channel: Mutex::default(),
            paused: Mutex::default(),
        };
        Self { clients: addresses.iter().map(client).collect() }
    }

    pub async fn hear(&self) -> Hearsay {
        let mut heard = Hearsay::default();
        for (collector, answer) in
            join_all(self.clients.iter().map(Client::ask)).await.into_iter().enumerate()
        {
            match answer {
                Ok(all) => heard.connections.extend(all.into_iter().map(|connection| {
                    let id = connection.id.clone();
                    (id, told(connection, collector))
                })),
                Err(problem) => heard.problems.push(problem),
            }
        }
        heard
    }

    /// Has a connection read anew; says what was in the way.
    pub async fn refresh(&self, id: &str) -> Result<(), String> {
        let heard = self.hear().await;
        let told = heard.connections.get(id).ok_or("No collector that answers has this connection.")?;
        let client = self.clients.get(told.collector).ok_or("The collector is gone.")?;
        let mut service = client.service().await?;
        let request = pb::RefreshConnectionRequest { id: id.to_owned() };
        match tokio::time::timeout(REFRESH_DEADLINE, service.refresh_connection(request)).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(status)) => Err(explain(&status)),
            Err(_late) => Err("It is still being read.".to_owned()),
        }
    }
}

impl Client {
    async fn service(&self) -> Result<ConnectionServiceClient<Channel>, String> {
        let mut held = self.channel.lock().await;
        let channel = if let Some(channel) = &*held {
            channel.clone()
        } else {
            let connected = client::reach(&self.address, &self.access).await;
            let channel = connected.map_err(|failure| {
                let remedy = match failure {
                    Failure::Authority => "; its PEM file belongs into console.collector_ca_file",
                    _ => "",
                };
                format!("{}: {failure}{remedy}.", self.address)
            })?;
            held.insert(channel).clone()
        };
        Ok(ConnectionServiceClient::new(channel).max_decoding_message_size(ANSWER_BYTES_MAX))
    }

    /// Within the time that people wait for a page.
    async fn ask(&self) -> Result<Vec<pb::Connection>, String> {
        let mut paused = self.paused.lock().await;
        if let Some((_, why)) = paused.as_ref().filter(|(until, _)| Instant::now() < *until) {
            return Err(why.clone());
        }
        let asked = tokio::time::timeout(DEADLINE, self.list()).await;
        let answer =
            asked.unwrap_or_else(|_late| Err(format!("{} took longer than {DEADLINE:?}.", self.address)));
        *paused = answer.as_ref().err().map(|why| (Instant::now() + PAUSE, why.clone()));
        answer
    }

    async fn list(&self) -> Result<Vec<pb::Connection>, String> {
        let mut service = self.service().await?;
        let (mut all, mut page_token) = (Vec::new(), String::new());
        loop {
            let request = pb::ListConnectionsRequest { page_size: PAGE_SIZE, page_token };
            let answer = service.list_connections(request).await;
            let answer = answer.map_err(|status| format!("{}: {}.", self.address, explain(&status)))?;
            let answer = answer.into_inner();
            all.extend(answer.connections);
            page_token = answer.next_page_token;
            if page_token.is_empty() || all.len() >= CONNECTIONS_MAX {
                return Ok(all);
            }
        }
    }
}

fn told(connection: pb::Connection, collector: usize) -> Told {
    let port = if connection.port == 0 { String::new() } else { format!(":{}", connection.port) };
    let status = connection.status.unwrap_or_default();
    let at = |at: Option<prost_types::Timestamp>| at.and_then(|at| timestamp_from_wire(&at).ok());
    let transport = status.transport.unwrap_or_default();
    let poll = status.poll.unwrap_or_default();
    let cost = status.cost.unwrap_or_default();
    let said = |name, text: String| (!text.is_empty()).then_some((name, text));
    let busy = cost.busy_per_minute.and_then(|busy| Duration::try_from(busy).ok()).unwrap_or_default();
    let reads = |interval: u32| if interval == 0 { String::new() } else { format!("every {interval} s") };
    let facts = [
        said("Endpoint", transport.endpoint),
        said("Protocol", format!("{} {}", transport.mode, transport.api_version).trim().to_owned()),
        said("Signed in by", transport.auth_mechanism),
        said("TLS", (if transport.tls { "yes" } else { "no: anybody on the way can read along" }).to_owned()),
        said("Certificate", if transport.insecure { "not verified".to_owned() } else { String::new() }),
        said("Fingerprint", transport.observed_fingerprint),
        said("Release", transport.appliance_version),
        said(
            "Connected anew",
            if transport.reconnects == 0 { String::new() } else { format!("{} times", transport.reconnects) },
        ),
        said("Last error", transport.last_error),
        said("Read", reads(poll.interval_seconds)),
        said(
            "Failures in a row",
            if poll.consecutive_failures == 0 {
                String::new()
            } else {
                poll.consecutive_failures.to_string()
            },
        ),
        said("Calls a minute", cost.calls_per_minute.to_string()),
        said("It works on them", format!("{:.1} s a minute", busy.as_secs_f64())),
    ];
    Told {
        name: connection.name,
        host: format!("{}{port}", connection.host),
        state: ConnectionState::from_wire(status.state).ok(),
        reason: status.reason,
        remedy: status.remedy,
        since: at(status.since),
        next_attempt_at: at(status.next_attempt_at),
        labels: connection.labels.into_iter().collect(),
        facts: facts.into_iter().flatten().collect(),
        collector,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_collector_that_hangs_is_waited_for_once_in_a_while() {
        // It takes connections, and never says a word.
        let hangs = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://{}", hangs.local_addr().unwrap());
        let collectors = Collectors::new(&Addresses { addresses: vec![address], ..Addresses::default() });
        let waited = async || {
            let began = Instant::now();
            let heard = collectors.hear().await;
            assert_eq!((heard.problems.len(), heard.connections.len()), (1, 0), "{heard:?}");
            began.elapsed()
        };
        let first = waited().await;
        assert!(first > Duration::ZERO && first <= DEADLINE + Duration::from_millis(10), "{first:?}");
        assert_eq!(waited().await, Duration::ZERO);
        tokio::time::advance(PAUSE).await;
        assert!(waited().await > Duration::ZERO);
    }
}
