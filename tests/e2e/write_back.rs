//! Alerts dismissed and restored on their NAS, on every way to speak to one: off unless asked for, refused with a remedy,
//! seen by the registry, and written down.

use pulse_fixtures::appliance::{Appliance, ApplianceConfig};
use pulse_fixtures::fault::Effect;
use pulse_fixtures::line::ApiLine;
use pulse_fixtures::server::account::READONLY_KEY_ID;
use pulse_proto::pb::collector::v1::{Connection, DismissAlertRequest, RestoreAlertRequest};
use pulse_proto::pb::resource::v1::ConnectionState;
use pulse_tests::harness::command::run;
use pulse_tests::harness::fleet::{Pair, connection_to};
use pulse_tests::harness::view::Mirror;
use tonic::{Code, Status};
use tonic_types::StatusExt as _;

const ON: [(&str, &str); 1] = [("PULSE_COLLECTOR_ALERTS_WRITE_BACK", "true")];

struct Scene {
    pair: Pair,
    nas: Appliance,
    connection: String,
    uuid: String,
    mirror: Mirror,
}

impl Scene {
    /// A pool that is ill, and its alert at the registry. Read so rarely that only an event or the write itself can be why
    /// something is seen soon.
    async fn set(
        config: ApplianceConfig,
        env: &[(&str, &str)],
        credential: impl FnOnce(&Appliance, &mut Connection),
    ) -> anyhow::Result<Self> {
        let nas = Appliance::start(config).await?;
        let line = nas.line();
        nas.mutate(|world, now| world.degrade_pool(line, "tank", now));
        let pair = Pair::start_with_env(env).await?;
        let mut mirror = Mirror::open(pair.registry.grpc(), "", "").await?;
        let mut connection = Connection { poll_interval_seconds: 3_600, ..connection_to("nas", &nas) };
        credential(&nas, &mut connection);
        let connection = pair.create(connection).await?.id;
        pair.until_state(&connection, ConnectionState::Live).await?;
        mirror.until("the alert", |m| dismissed(m).is_some()).await?;
        let uuid = nas.world(|world| world.alerts[0].uuid.clone());
        Ok(Self { pair, nas, connection, uuid, mirror })
    }

    async fn dismiss(&self, uuid: &str) -> Result<bool, Status> {
        let request = DismissAlertRequest {
            connection_id: self.connection.clone(),
            alert_uuid: uuid.to_owned(),
            requested_by: "alice".to_owned(),
        };
        let mut client = self.pair.connections().await.expect("the collector answers");
        client.dismiss_alert(request).await.map(|answer| answer.into_inner().unchanged)
    }

    async fn restore(&self) -> Result<bool, Status> {
        let request = RestoreAlertRequest {
            connection_id: self.connection.clone(),
            alert_uuid: self.uuid.clone(),
            requested_by: "alice".to_owned(),
        };
        let mut client = self.pair.connections().await.expect("the collector answers");
        client.restore_alert(request).await.map(|answer| answer.into_inner().unchanged)
    }

    fn on_the_nas(&self) -> bool {
        self.nas.world(|world| world.alerts[0].dismissed)
    }

    /// Waits for the line of such a deed.
    async fn audited(&self, action: &str, result: &str) {
        let is_it = |line: &str| {
            let line: serde_json::Value = serde_json::from_str(line).unwrap_or_default();
            line["target"] == "audit"
                && line["action"] == action
                && line["result"] == result
                && line["requested_by"] == "alice"
                && line["resource"] == self.connection.as_str()
                && !line["request_id"].as_str().unwrap_or_default().is_empty()
                && line["peer"].as_str().is_some_and(|peer| peer.starts_with("127.0.0.1:"))
        };
        self.pair.collector.process().logs(&format!("{action} {result}"), is_it).await;
    }
}

/// What the registry shows of the pool's alert.
fn dismissed(mirror: &Mirror) -> Option<bool> {
    let pool = mirror.named("zfs-pool", "tank")?;
    pool.incidents.iter().find(|incident| incident.klass == "VolumeStatus").map(|incident| incident.dismissed)
}

fn admin(nas: &Appliance, connection: &mut Connection) {
    connection.username = nas.admin_user();
    connection.api_key = nas.admin_api_key();
}

fn reason(refused: &Status) -> (Code, String) {
    let details = refused.get_error_details();
    (refused.code(), details.error_info().map(|info| info.reason.clone()).unwrap_or_default())
}

fn refusal(code: Code, name: &str) -> (Code, String) {
    (code, name.to_owned())
}

async fn there_and_back(config: ApplianceConfig) -> anyhow::Result<()> {
    let mut scene = Scene::set(config, &ON, admin).await?;
    assert!(!scene.dismiss(&scene.uuid).await?);
    assert!(scene.on_the_nas());
    scene.mirror.until("it is seen as dismissed", |m| dismissed(m) == Some(true)).await?;
    assert!(scene.dismiss(&scene.uuid).await?, "it was dismissed already");
    assert_eq!(scene.nas.stats().calls_of("alert.dismiss"), 1, "and the NAS is not asked again");
    assert!(!scene.restore().await?);
    assert!(!scene.on_the_nas());
    scene.mirror.until("it is seen as open", |m| dismissed(m) == Some(false)).await?;
    let unknown = scene.dismiss("nobody-has-this").await.expect_err("no such alert");
    assert_eq!(reason(&unknown), refusal(Code::NotFound, "ALERT_NOT_FOUND"));
    for (action, result) in [
        ("alert.dismiss", "done"),
        ("alert.dismiss", "unchanged"),
        ("alert.dismiss", "ALERT_NOT_FOUND"),
        ("alert.restore", "done"),
    ] {
        scene.audited(action, result).await;
    }
    let log = scene.pair.collector.process().log();
    assert!(!log.contains(&scene.nas.admin_api_key()), "no secret is logged");
    Ok(())
}

#[tokio::test]
async fn over_the_legacy_websocket() -> anyhow::Result<()> {
    there_and_back(ApplianceConfig::of(ApiLine::V24_10)).await
}

#[tokio::test]
async fn over_rest() -> anyhow::Result<()> {
    there_and_back(ApplianceConfig { legacy_websocket: false, ..ApplianceConfig::of(ApiLine::V24_10) }).await
}

#[tokio::test]
async fn on_25_10() -> anyhow::Result<()> {
    there_and_back(ApplianceConfig::of(ApiLine::V25_10)).await
}

#[tokio::test]
async fn on_26_0() -> anyhow::Result<()> {
    there_and_back(ApplianceConfig::of(ApiLine::V26_0)).await
}

#[tokio::test]
async fn off_unless_it_is_asked_for() -> anyhow::Result<()> {
    let scene = Scene::set(ApplianceConfig::of(ApiLine::V25_10), &[], admin).await?;
    let refused = scene.dismiss(&scene.uuid).await.expect_err("off");
    assert_eq!(reason(&refused), refusal(Code::FailedPrecondition, "WRITE_BACK_DISABLED"));
    assert!(!scene.on_the_nas());
    assert_eq!(scene.nas.stats().calls_of("alert.dismiss"), 0);
    scene.audited("alert.dismiss", "WRITE_BACK_DISABLED").await;
    let address = format!("http://{}", scene.pair.collector.grpc());
    let ran =
        run("pulse-collector", &["alerts", "dismiss", "nas", &scene.uuid, "--address", &address], &[], "")
            .await?;
    assert!(ran.code == 1 && ran.stderr.contains("PULSE_COLLECTOR_ALERTS_WRITE_BACK"), "{ran:?}");
    Ok(())
}

#[tokio::test]
async fn an_account_without_the_role_is_told_which_and_a_new_role_is_noticed() -> anyhow::Result<()> {
    let readonly = |_: &Appliance, _: &mut Connection| {};
    let scene = Scene::set(ApplianceConfig::of(ApiLine::V25_10), &ON, readonly).await?;
    let refused = scene.dismiss(&scene.uuid).await.expect_err("read only");
    assert_eq!(reason(&refused), refusal(Code::PermissionDenied, "NAS_ROLE_MISSING"));
    let remedy =
        refused.get_error_details().error_info().and_then(|info| info.metadata.get("remedy").cloned());
    assert!(remedy.is_some_and(|remedy| remedy.contains("ALERT_LIST_WRITE")));
    assert!(!scene.on_the_nas());
    let live = scene.pair.connection(&scene.connection).await?.status.unwrap_or_default();
    assert_eq!(live.state(), ConnectionState::Live, "a refusal costs the connection nothing");
    assert!(scene.dismiss(&scene.uuid).await.is_err());
    assert_eq!(scene.nas.stats().calls_of("alert.dismiss"), 2, "who asks again is asked for again");

    let config = ApplianceConfig { legacy_websocket: false, ..ApplianceConfig::of(ApiLine::V24_10) };
    let scene = Scene::set(config, &ON, |nas, _| {
        nas.accounts(|accounts| {
            let key = accounts.keys.get_mut(&READONLY_KEY_ID).expect("there");
            key.allow_list = ["GET", "POST"].map(|verb| (verb.to_owned(), "*".to_owned())).to_vec();
        });
    })
    .await?;
    scene.nas.accounts(|accounts| {
        let key = accounts.keys.get_mut(&READONLY_KEY_ID).expect("there");
        key.allow_list.retain(|(verb, _)| verb == "GET");
    });
    let refused = scene.dismiss(&scene.uuid).await.expect_err("may not post");
    assert_eq!(reason(&refused), refusal(Code::PermissionDenied, "NAS_ROLE_MISSING"));
    Ok(())
}

#[tokio::test]
async fn what_fails_says_whether_it_may_have_been_done() -> anyhow::Result<()> {
    let scene = Scene::set(ApplianceConfig::of(ApiLine::V25_10), &ON, admin).await?;
    let fault = scene.nas.faults().on_method("alert.dismiss", Effect::DropMidMessage);
    let refused = scene.dismiss(&scene.uuid).await.expect_err("the session ends");
    assert_eq!(reason(&refused), refusal(Code::Unavailable, "SESSION_ENDED"));
    scene.nas.faults().clear(fault);
    scene.nas.stop().await;
    scene
        .pair
        .until(&scene.connection, "no session", |c| {
            let transport = c.status.as_ref().and_then(|status| status.transport.as_ref());
            transport.is_some_and(|transport| !transport.connected)
        })
        .await?;
    let refused = scene.dismiss(&scene.uuid).await.expect_err("not there");
    assert_eq!(reason(&refused), refusal(Code::Unavailable, "NOT_CONNECTED"));
    Ok(())
}

#[tokio::test]
async fn the_command_line_dismisses_and_restores() -> anyhow::Result<()> {
    let mut scene = Scene::set(ApplianceConfig::of(ApiLine::V25_10), &ON, admin).await?;
    let address = format!("http://{}", scene.pair.collector.grpc());
    let uuid = scene.uuid.clone();
    let alerts = async |action: &str, more: &[&str]| {
        let mut args = vec!["alerts", action, "nas", &uuid, "--address", &address, "--requested-by", "alice"];
        args.extend(more);
        run("pulse-collector", &args, &[], "").await
    };
    let ran = alerts("dismiss", &[]).await?;
    assert!(ran.code == 0 && ran.stdout.contains("is dismissed"), "{ran:?}");
    scene.mirror.until("it is seen as dismissed", |m| dismissed(m) == Some(true)).await?;
    let ran = alerts("dismiss", &["--output", "json"]).await?;
    assert_eq!(ran.stdout.trim(), "{\"unchanged\":true}");
    let ran = alerts("restore", &[]).await?;
    assert!(ran.code == 0 && ran.stdout.contains("is restored"), "{ran:?}");
    scene.audited("alert.restore", "done").await;
    Ok(())
}
