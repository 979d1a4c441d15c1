//! `docs/rollback.md`, step by step, with the real binaries: each part goes back and forth, and nothing that is stored is lost.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, ensure};
use pulse_fixtures::appliance::{Appliance, ApplianceConfig};
use pulse_fixtures::line::ApiLine;
use pulse_proto::pb::collector::v1::{
    Connection, DeleteConnectionRequest, DismissAlertRequest, ListConnectionsRequest,
};
use pulse_proto::pb::registry::v1::{AlertState, ListReceiversRequest, ListResourcesRequest};
use pulse_proto::pb::resource::v1::{ConnectionState, Resource};
use pulse_tests::evidence::rows;
use pulse_tests::harness::alerts::{self, AlertMirror};
use pulse_tests::harness::command::run;
use pulse_tests::harness::fleet::{Pair, collector_settings_for, connection_to};
use pulse_tests::harness::http_get;
use pulse_tests::harness::view::{Mirror, client, still};
use pulse_tests::task::root;
use tonic_types::StatusExt as _;

const SWITCH: &str = "PULSE_ENABLE_TRUENAS";
const LINE: ApiLine = ApiLine::V25_10;
/// A dataset of after the backup.
const LATER: &str = "tank/later";
/// What did not change is told to be so soon, so that confirmation needs no patience.
const QUICK: &str = "[ingest]\nheartbeat_interval = \"1s\"";
/// Parts of the table, in its order.
const PARTS: [&str; 11] = [
    "the integration",
    "one connection",
    "the registry's release",
    "the registry's data",
    "the collector's release or data",
    "a rule of alerts",
    "all alerts",
    "telling of alerts",
    "the console",
    "assistants",
    "marks on appliances",
];

struct Scene {
    appliance: Appliance,
    pair: Pair,
    id: String,
    /// By id, as they were at the start.
    held: BTreeMap<String, Resource>,
}

async fn held(pair: &Pair) -> anyhow::Result<(BTreeMap<String, Resource>, u64)> {
    let request = ListResourcesRequest { page_size: 1_000, ..ListResourcesRequest::default() };
    let list = client(pair.registry.grpc()).await?.list_resources(request).await?.into_inner();
    Ok((list.resources.into_iter().map(|r| (r.id.clone(), still(r))).collect(), list.revision))
}

fn reason(status: &tonic::Status) -> String {
    status.get_details_error_info().map(|info| info.reason).unwrap_or_default()
}

impl Scene {
    async fn begin() -> anyhow::Result<Self> {
        let appliance = Appliance::start(ApplianceConfig::of(LINE)).await?;
        let pair = Pair::start_with(QUICK, "").await?;
        let id = pair.create(connection_to("nas", &appliance)).await?.id;
        pair.until_state(&id, ConnectionState::Live).await?;
        let mut mirror = Mirror::open(pair.registry.grpc(), "", "").await?;
        mirror.until("the disks", |m| m.resources.values().any(|r| r.physical_disk.is_some())).await?;
        let (held, _) = held(&pair).await?;
        Ok(Self { appliance, pair, id, held })
    }

    async fn restart_registry(&mut self, settings: &str) -> anyhow::Result<()> {
        self.pair.registry.terminate().await?;
        self.pair.registry.set(&format!("{QUICK}\n{settings}"));
        self.pair.registry.up().await
    }

    async fn restart_collector(&mut self, settings: &str) -> anyhow::Result<()> {
        self.pair.collector.terminate().await?;
        self.pair.collector.set(&collector_settings_for(self.pair.registry.grpc(), settings));
        self.pair.collector.up().await
    }

    async fn is_live(&self) -> anyhow::Result<()> {
        self.pair.until_state(&self.id, ConnectionState::Live).await?;
        Ok(())
    }

    /// What was there is there, under the same ids.
    async fn has_all(&self) -> anyhow::Result<()> {
        let mut mirror = Mirror::open(self.pair.registry.grpc(), "", "").await?;
        let wanted: Vec<&String> = self.held.keys().collect();
        mirror.until("all resources", |m| wanted.iter().all(|id| m.resources.contains_key(*id))).await
    }

    async fn integration(&mut self) -> anyhow::Result<()> {
        for service in [&mut self.pair.registry, &mut self.pair.collector] {
            service.terminate().await?;
            service.set_env(SWITCH, Some("false"));
            service.up().await?;
        }
        ensure!(held(&self.pair).await?.0.is_empty(), "something of TrueNAS is shown");
        let other = connection_to("other", &self.appliance);
        let request = pulse_proto::pb::collector::v1::CreateConnectionRequest {
            connection: Some(other),
            validate_only: false,
        };
        let refused = self.pair.connections().await?.create_connection(request).await;
        ensure!(refused.as_ref().err().map(reason).as_deref() == Some("TRUENAS_DISABLED"), "{refused:?}");
        for service in [&mut self.pair.registry, &mut self.pair.collector] {
            service.terminate().await?;
            service.set_env(SWITCH, None);
            service.up().await?;
        }
        self.is_live().await?;
        self.has_all().await
    }

    async fn command(&self, arguments: &[&str]) -> anyhow::Result<()> {
        let ran = run("pulse-collector", arguments, &[], "").await?;
        ensure!(ran.code == 0, "{arguments:?}: {ran:?}");
        Ok(())
    }

    async fn connection(&mut self) -> anyhow::Result<()> {
        let address = self.pair.collector.grpc().to_string();
        let update = |enabled| ["connections", "update", "nas", "--enabled", enabled, "--address", &address];
        self.command(&update("false")).await?;
        self.pair.until_state(&self.id, ConnectionState::Disabled).await?;
        self.command(&update("true")).await?;
        self.is_live().await?;
        self.has_all().await
    }

    async fn registry_release(&mut self) -> anyhow::Result<()> {
        let (_, before) = held(&self.pair).await?;
        self.restart_registry("").await?;
        let address = self.pair.registry.grpc().to_string();
        let ran = run("pulse-registry", &["health", "--wait", "60s", "--address", &address], &[], "").await?;
        ensure!(ran.code == 0, "{ran:?}");
        ensure!(held(&self.pair).await?.1 >= before, "the revision went back");
        self.has_all().await
    }

    async fn registry_data(&mut self) -> anyhow::Result<()> {
        let data = self.pair.registry.data();
        let file = self.pair.folder.path().join("registry.backup");
        save("pulse-registry", &data, &file).await?;
        // What the backup does not have.
        self.appliance.mutate(|world, now| world.add_dataset(LINE, LATER, now));
        let mut mirror = Mirror::open(self.pair.registry.grpc(), "", "").await?;
        mirror.until("a dataset", |m| m.named("zfs-dataset", LATER).is_some()).await?;
        // Nobody is there from here on who could bring anything again: what is listed is what is stored.
        self.pair.collector.terminate().await?;
        let (later, _) = held(&self.pair).await?;
        self.pair.registry.terminate().await?;
        let aside = restore("pulse-registry", &data, &file).await?;
        self.pair.registry.up().await?;
        let (listed, _) = held(&self.pair).await?;
        ensure!(listed.keys().eq(self.held.keys()), "restored: {:?}", listed.keys());

        self.pair.registry.terminate().await?;
        give_way(&data.join("journal"), &aside)?;
        self.pair.registry.up().await?;
        let (listed, _) = held(&self.pair).await?;
        ensure!(listed.keys().eq(later.keys()), "forth again: {:?}", listed.keys());
        self.pair.collector.up().await?;
        self.has_all().await?;
        self.is_live().await
    }

    async fn collector_data(&mut self) -> anyhow::Result<()> {
        let data = self.pair.collector.data();
        let beside = |name: &str| self.pair.folder.path().join(name);
        let (file, former, newer) =
            (beside("collector.backup"), beside("collector-former"), beside("collector-newer"));
        save("pulse-collector", &data, &file).await?;
        self.pair.collector.terminate().await?;
        copy_folder(&data, &former)?;
        self.pair.collector.up().await?;
        // Of a machine that nobody asks.
        let (host, enabled) = ("192.0.2.1".to_owned(), Some(false));
        let second = Connection { host, enabled, ..connection_to("second", &self.appliance) };
        let second = self.pair.create(second).await?.id;
        let all = BTreeSet::from([self.id.clone(), second.clone()]);
        let one = BTreeSet::from([self.id.clone()]);

        // The folder back, and forth.
        self.pair.collector.terminate().await?;
        copy_folder(&data, &newer)?;
        for (copy, wanted) in [(&former, &one), (&newer, &all)] {
            std::fs::remove_dir_all(&data)?;
            copy_folder(copy, &data)?;
            self.has_connections(wanted).await?;
        }
        // The backup back, and forth.
        let aside = restore("pulse-collector", &data, &file).await?;
        self.has_connections(&one).await?;
        give_way(&data.join("connections.json"), &aside)?;
        self.has_connections(&all).await?;

        self.pair.collector.up().await?;
        self.is_live().await?;
        let request = DeleteConnectionRequest { id: second, ..DeleteConnectionRequest::default() };
        self.pair.connections().await?.delete_connection(request).await?;
        Ok(())
    }

    /// A collector that starts has these, and reads the one that is on; then it is stopped again.
    async fn has_connections(&mut self, wanted: &BTreeSet<String>) -> anyhow::Result<()> {
        self.pair.collector.up().await?;
        let request = ListConnectionsRequest::default();
        let listed = self.pair.connections().await?.list_connections(request).await?.into_inner();
        let listed: BTreeSet<String> = listed.connections.into_iter().map(|known| known.id).collect();
        ensure!(listed == *wanted, "{listed:?} instead of {wanted:?}");
        self.is_live().await?;
        self.pair.collector.terminate().await
    }

    async fn rule(&mut self) -> anyhow::Result<()> {
        self.appliance.mutate(|world, now| world.degrade_pool(LINE, "tank", now));
        let grpc = self.pair.registry.grpc();
        let mut alerts = AlertMirror::open(grpc, "", "").await?;
        let is = |state| move |m: &AlertMirror| m.state("pool-state", "tank") == Some(state);
        alerts.until("it fires", is(AlertState::Firing)).await?;
        let address = grpc.to_string();
        for (word, state) in [("disable", AlertState::Resolved), ("enable", AlertState::Firing)] {
            let ran =
                run("pulse-registry", &["rules", word, "pool-state", "--address", &address], &[], "").await?;
            ensure!(ran.code == 0, "{ran:?}");
            alerts.until(word, is(state)).await?;
        }
        Ok(())
    }

    async fn all_alerts(&mut self) -> anyhow::Result<()> {
        self.restart_registry("[alerts]\nenabled = false").await?;
        let mut alerts = AlertMirror::open(self.pair.registry.grpc(), "", "").await?;
        alerts.until("what is stored", |m| m.state("pool-state", "tank") == Some(AlertState::Firing)).await?;
        self.appliance.mutate(|world, now| world.online_pool(LINE, "tank", now));
        let mut mirror = Mirror::open(self.pair.registry.grpc(), "", "").await?;
        let is_well = |m: &Mirror| m.named("zfs-pool", "tank").is_some_and(|pool| pool.state == "ONLINE");
        mirror.until("the pool is well", is_well).await?;
        // Judged at the change if at all: another one, seen here, comes after it.
        self.appliance.mutate(|world, now| world.degrade_pool(LINE, "tank", now));
        mirror.until("the pool is degraded again", |m| !is_well(m)).await?;
        self.appliance.mutate(|world, now| world.online_pool(LINE, "tank", now));
        mirror.until("the pool is well again", is_well).await?;
        let mut alerts = AlertMirror::open(self.pair.registry.grpc(), "", "").await?;
        alerts
            .until("nothing was judged", |m| m.state("pool-state", "tank") == Some(AlertState::Firing))
            .await?;
        self.restart_registry("").await?;
        let mut alerts = AlertMirror::open(self.pair.registry.grpc(), "", "").await?;
        alerts.until("it goes on", |m| m.state("pool-state", "tank") == Some(AlertState::Resolved)).await
    }

    async fn telling(&mut self) -> anyhow::Result<()> {
        let file = self.pair.folder.path().join("receivers.toml");
        let secret = self.pair.folder.path().join("webhook.secret");
        std::fs::write(&secret, "rollback-rollback-rollback-rollback")?;
        let webhook = format!(
            "[[webhook]]\nname = \"ops\"\nurl = \"http://127.0.0.1:9/\"\nsecret_file = {:?}\n",
            secret.display().to_string(),
        );
        std::fs::write(&file, webhook)?;
        for (settings, count) in
            [(format!("[notify]\nreceivers_file = {:?}", file.display().to_string()), 1), (String::new(), 0)]
        {
            self.restart_registry(&settings).await?;
            let mut client = alerts::client(self.pair.registry.grpc()).await?;
            let receivers =
                client.list_receivers(ListReceiversRequest::default()).await?.into_inner().receivers;
            ensure!(receivers.len() == count, "{receivers:?}");
        }
        Ok(())
    }

    /// A page of the HTTP port that a setting takes away.
    async fn page(&mut self, settings: &str, path: &str) -> anyhow::Result<()> {
        let (code, _) = http_get(self.pair.registry.http(), path).await?;
        ensure!(code != 404, "{path} is not there from the start");
        self.restart_registry(settings).await?;
        let (code, _) = http_get(self.pair.registry.http(), path).await?;
        ensure!(code == 404, "{path} answers {code}");
        self.restart_registry("").await?;
        let (code, _) = http_get(self.pair.registry.http(), path).await?;
        ensure!(code != 404, "{path} did not come back");
        Ok(())
    }

    async fn marks(&mut self) -> anyhow::Result<()> {
        let asked = |id: &str| DismissAlertRequest {
            connection_id: id.to_owned(),
            alert_uuid: "nobody".to_owned(),
            requested_by: "ops".to_owned(),
        };
        for (settings, wanted) in [("[alerts]\nwrite_back = true", false), ("", true)] {
            self.restart_collector(settings).await?;
            self.is_live().await?;
            let refused = self.pair.connections().await?.dismiss_alert(asked(&self.id)).await;
            let status = refused.err().context("nobody's alert was dismissed")?;
            ensure!((reason(&status) == "WRITE_BACK_DISABLED") == wanted, "{status:?}");
        }
        Ok(())
    }
}

async fn save(service: &str, data: &Path, file: &Path) -> anyhow::Result<()> {
    let (data, file) = (data.display().to_string(), file.display().to_string());
    let saved = run(service, &["backup", "--data-dir", &data, "--to", &file], &[], "").await?;
    ensure!(saved.code == 0, "{saved:?}");
    Ok(())
}

/// Where the command says that what was there before is.
async fn restore(service: &str, data: &Path, file: &Path) -> anyhow::Result<PathBuf> {
    let (data, file) = (data.display().to_string(), file.display().to_string());
    let restored =
        run(service, &["restore", "--data-dir", &data, "--from", &file, "--force"], &[], "").await?;
    ensure!(restored.code == 0, "{restored:?}");
    let aside = restored.stdout.lines().find_map(|line| line.strip_prefix("what was there before is now "));
    aside.map(PathBuf::from).with_context(|| format!("{restored:?}"))
}

/// What is there goes, and what was put aside has its name again.
fn give_way(there: &Path, aside: &Path) -> anyhow::Result<()> {
    std::fs::rename(there, there.with_added_extension("away"))?;
    Ok(std::fs::rename(aside, there)?)
}

fn copy_folder(from: &Path, to: &Path) -> anyhow::Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::create_dir_all(to)?;
    std::fs::set_permissions(to, std::fs::Permissions::from_mode(0o700))?;
    for entry in std::fs::read_dir(from)? {
        let entry = entry?;
        let (path, to) = (entry.path(), to.join(entry.file_name()));
        if path.is_dir() {
            copy_folder(&path, &to)?;
        } else {
            std::fs::copy(&path, &to)?;
        }
    }
    Ok(())
}

#[tokio::test]
async fn each_part_goes_back_as_the_runbook_says() -> anyhow::Result<()> {
    let text = std::fs::read_to_string(root().join("docs/rollback.md"))?;
    let of_parts = rows(&text).into_iter().filter(|row| row.heading == "Going back");
    let parts: Vec<String> = of_parts.map(|row| row.cells[0].clone()).collect();
    assert_eq!(parts, PARTS, "the runbook has other parts than are tried here");

    let mut scene = Scene::begin().await?;
    for part in PARTS {
        let tried = match part {
            "the integration" => scene.integration().await,
            "one connection" => scene.connection().await,
            "the registry's release" => scene.registry_release().await,
            "the registry's data" => scene.registry_data().await,
            "the collector's release or data" => scene.collector_data().await,
            "a rule of alerts" => scene.rule().await,
            "all alerts" => scene.all_alerts().await,
            "telling of alerts" => scene.telling().await,
            "the console" => scene.page("[console]\nenabled = false", "/console").await,
            "assistants" => scene.page("[mcp]\nenabled = false", "/mcp").await,
            _ => scene.marks().await,
        };
        tried.with_context(|| part.to_owned())?;
    }
    Ok(())
}
