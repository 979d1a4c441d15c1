//! Alerts delivered to a real Alertmanager and a real webhook: told when they fire and resolve, through failures of
//! receivers and a kill -9 of the registry.

mod sink;

use pulse_fixtures::appliance::{Appliance, ApplianceConfig};
use pulse_fixtures::line::ApiLine;
use pulse_proto::pb::registry::v1::receiver::State;
use pulse_proto::pb::registry::v1::{
    AcknowledgeAlertRequest, Alert, AlertState, ExplainAlertRequest, ListAlertsRequest, ListReceiversRequest,
    Receiver, TestReceiverRequest, TestReceiverResponse,
};
use pulse_proto::pb::resource::v1::ConnectionState;
use pulse_tests::harness::alertmanager::Alertmanager;
use pulse_tests::harness::alerts::{AlertMirror, client};
use pulse_tests::harness::command::run;
use pulse_tests::harness::fleet::{Pair, connection_to};
use pulse_tests::harness::http_get;
use serde_json::json;
use tonic::Code;

use self::sink::{Answer, Got, Sink};

const LINE: ApiLine = ApiLine::V25_10;
/// What did not change is told to be so soon, so that confirmation needs no patience.
const QUICK: &str = "[ingest]\nheartbeat_interval = \"1s\"";
const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
/// Not what the built-in rules find in the appliance.
const NATIVE: &str = "filter = 'klass:*'\n";
const NEXT_SECRET: &str = "the next one, as a plain text";

struct Scene {
    nas: Appliance,
    pair: Pair,
    mirror: AlertMirror,
    _receivers: tempfile::TempDir,
}

impl Scene {
    async fn set(receivers: &str) -> anyhow::Result<Self> {
        let folder = tempfile::tempdir()?;
        let file = folder.path().join("receivers.toml");
        std::fs::write(folder.path().join("secret"), format!("{SECRET}\n{NEXT_SECRET}\n"))?;
        let nas = Appliance::start(ApplianceConfig::of(LINE)).await?;
        let settings = format!(
            "{QUICK}\n[notify]\nreceivers_file = {:?}\nexternal_url = \"https://pulse.example/\"\n",
            file.display().to_string()
        );
        // The secret lies beside the file of receivers.
        let text = receivers.replace("SECRET_FILE", &folder.path().join("secret").display().to_string());
        std::fs::write(&file, text)?;
        let pair = Pair::start_with(&settings, "").await?;
        let mirror = AlertMirror::open(pair.registry.grpc(), "", "").await?;
        let mut connection = connection_to("nas", &nas);
        connection.labels.insert("site".to_owned(), "a".to_owned());
        let id = pair.create(connection).await?.id;
        pair.until_state(&id, ConnectionState::Live).await?;
        Ok(Self { nas, pair, mirror, _receivers: folder })
    }

    fn raise(&self, klass: &str) {
        self.nas.mutate(|world, now| {
            world.raise_alert(LINE, "CRITICAL", klass, json!({"name": klass}), "it is so", now)
        });
    }

    fn clear(&self, klass: &str) {
        self.nas.mutate(|world, now| world.clear_alert(LINE, klass, now));
    }

    async fn until(&mut self, klass: &str, state: AlertState) -> anyhow::Result<()> {
        let is = |m: &AlertMirror| m.told.iter().rev().find(|a| a.native_klass == klass).map(Alert::state);
        self.mirror.until(&format!("{klass} {state:?}"), |m| is(m) == Some(state)).await
    }

    fn id(&self, klass: &str) -> String {
        self.mirror
            .alerts
            .values()
            .find(|alert| alert.native_klass == klass)
            .map(|alert| alert.id.clone())
            .unwrap_or_default()
    }

    /// What is said of the notifications of an alert.
    async fn fate(&self, klass: &str) -> anyhow::Result<String> {
        let request = ExplainAlertRequest { id: self.id(klass) };
        let told = client(self.pair.registry.grpc()).await?.explain_alert(request).await?.into_inner();
        let told: Vec<String> = told.explanations.into_iter().map(|told| told.text).collect();
        Ok(told.join("\n"))
    }

    async fn receivers(&self) -> anyhow::Result<Vec<Receiver>> {
        let answer = client(self.pair.registry.grpc()).await?.list_receivers(ListReceiversRequest {}).await?;
        Ok(answer.into_inner().receivers)
    }

    async fn test(&self, name: &str) -> Result<TestReceiverResponse, tonic::Status> {
        let mut client = client(self.pair.registry.grpc()).await.expect("the registry answers");
        client
            .test_receiver(TestReceiverRequest { name: name.to_owned() })
            .await
            .map(tonic::Response::into_inner)
    }
}

fn webhook(sink: &Sink, more: &str) -> String {
    format!(
        "[[webhook]]\nname = \"hook\"\nurl = \"{}\"\nsecret_file = \"SECRET_FILE\"\ntimeout = \"500ms\"\n{more}\n",
        sink.url()
    )
}

fn alertmanager(urls: &[String], more: &str) -> String {
    format!("[[alertmanager]]\nname = \"ops\"\nurls = {urls:?}\nlabels = {{ team = \"storage\" }}\n{more}\n")
}

fn about<'a>(got: &'a [Got], kind: &str, klass: &str) -> Vec<&'a Got> {
    got.iter().filter(|got| got.is_about(kind, klass)).collect()
}

/// What an Alertmanager told its own webhook of an alert.
fn passed_on(got: &[Got], status: &str, klass: &str) -> bool {
    let alerts = got.iter().flat_map(|got| got.body["alerts"].as_array().into_iter().flatten());
    alerts.into_iter().any(|alert| alert["status"] == status && alert["labels"]["alertname"] == klass)
}

#[tokio::test]
async fn a_real_alertmanager_hears_of_fire_and_end_and_again_after_it_forgot() -> anyhow::Result<()> {
    let downstream = Sink::start(&[Answer::Ok]).await?;
    let manager = Alertmanager::start(downstream.addr()).await?;
    let listen = manager.addr().to_string();
    // A second member that is never there.
    let urls = [manager.url(), "http://127.0.0.1:1".to_owned()];
    let scene = Scene::set(&alertmanager(&urls, "resend_interval = \"1s\"\n")).await?;
    scene.raise("FanFailed");
    downstream.until("the alert through Alertmanager", |got| passed_on(got, "firing", "FanFailed")).await;
    let alerts = manager.alerts().await?;
    let held = alerts.iter().find(|alert| alert["labels"]["alertname"] == "FanFailed").expect("held");
    for (label, value) in [
        ("severity", "critical"),
        ("origin", "native"),
        ("system", "nas"),
        ("label_site", "a"),
        ("team", "storage"),
    ] {
        assert_eq!(held["labels"][label], value, "{held}");
    }
    let annotations = &held["annotations"];
    assert!(!annotations["summary"].as_str().unwrap_or_default().is_empty(), "{held}");
    let link = held["generatorURL"].as_str().unwrap_or_default();
    assert_eq!(
        link,
        format!(
            "https://pulse.example/console/alerts/{}",
            annotations["alert_id"].as_str().unwrap_or_default()
        )
    );

    // It lost all it knew: what fires is told again.
    manager.kill9().await?;
    let second = Sink::start(&[Answer::Ok]).await?;
    let manager = Alertmanager::start_at(second.addr(), &listen).await?;
    second.until("the alert through the new Alertmanager", |got| passed_on(got, "firing", "FanFailed")).await;
    let receivers = scene.receivers().await?;
    assert_eq!(receivers.len(), 2);
    assert_eq!(receivers[1].state(), State::Failing, "{receivers:?}");
    assert!(
        receivers[1].waiting > 0 && receivers[1].next_attempt_at.is_some() && !receivers[1].error.is_empty()
    );

    scene.clear("FanFailed");
    second.until("its end through Alertmanager", |got| passed_on(got, "resolved", "FanFailed")).await;
    assert!(manager.alerts().await?.iter().all(|alert| alert["labels"]["alertname"] != "FanFailed"));
    Ok(())
}

#[tokio::test]
async fn a_webhook_gets_each_piece_of_news_signed_and_once() -> anyhow::Result<()> {
    let sink = Sink::start(&[Answer::Ok]).await?;
    let mut scene = Scene::set(&webhook(&sink, "filter = 'klass = FanFailed OR klass = Other'\n")).await?;
    scene.raise("Unwanted");
    scene.raise("FanFailed");
    let got = sink.until("the alert", |got| !about(got, "alert.firing", "FanFailed").is_empty()).await;
    let fire = about(&got, "alert.firing", "FanFailed")[0].clone();
    assert!(
        fire.is_signed_with(SECRET) && fire.is_signed_with(NEXT_SECRET) && !fire.is_signed_with("another")
    );
    assert!(fire.timestamp.abs_diff(u64::try_from(jiff::Timestamp::now().as_second())?) < 300);
    assert_eq!(fire.body["data"]["receiver"], "hook");
    let resource = &fire.body["data"]["alert"]["resource"];
    assert_eq!((&resource["connection_name"], &resource["labels"]["site"]), (&json!("nas"), &json!("a")));
    assert_eq!(fire.alert("url"), format!("https://pulse.example/console/alerts/{}", fire.alert("id")));

    // Somebody has seen it: no more word, but of its end.
    scene.until("FanFailed", AlertState::Firing).await?;
    scene.until("Unwanted", AlertState::Firing).await?;
    let seen = AcknowledgeAlertRequest {
        id: fire.alert("id").to_owned(),
        who: "alice".to_owned(),
        ..AcknowledgeAlertRequest::default()
    };
    client(scene.pair.registry.grpc()).await?.acknowledge_alert(seen).await?;
    scene.clear("FanFailed");
    let got = sink.until("its end", |got| !about(got, "alert.resolved", "FanFailed").is_empty()).await;
    let end = about(&got, "alert.resolved", "FanFailed")[0];
    assert_eq!((end.alert("id"), end.alert("state")), (fire.alert("id"), "resolved"));
    assert_ne!(end.id, fire.id);
    assert_eq!(about(&got, "alert.firing", "FanFailed").len(), 1);
    assert!(got.iter().all(|got| got.alert("native_klass") != "Unwanted"), "not wanted");
    assert!(scene.fate("Unwanted").await?.contains("its filter does not match"));
    scene.until("FanFailed", AlertState::Resolved).await?;
    assert!(scene.fate("FanFailed").await?.contains("hook was told that it resolved"));

    let tested = scene.test("hook").await?;
    assert!(tested.success && tested.tests.len() == 1, "{tested:?}");
    let got = sink.until("the test", |got| got.iter().any(|got| got.kind() == "test")).await;
    assert!(got.iter().all(|got| got.is_signed_with(SECRET)));
    assert_eq!(scene.test("nobody").await.map_err(|status| status.code()).err(), Some(Code::NotFound));

    let address = format!("http://{}", scene.pair.registry.grpc());
    let listed = run("pulse-registry", &["receivers", "list", "--address", &address], &[], "").await?;
    assert!(
        listed.code == 0 && listed.stdout.contains("webhook") && listed.stdout.contains("works"),
        "{listed:?}"
    );
    let tried = run("pulse-registry", &["receivers", "test", "hook", "--address", &address], &[], "").await?;
    assert!(tried.code == 0 && tried.stdout.contains("took it in"), "{tried:?}");
    let audit = std::fs::read_to_string(scene.pair.registry.data().join("audit.jsonl"))?;
    let tests = audit.lines().filter(|line| line.contains("AlertService/TestReceiver"));
    let tests: Vec<serde_json::Value> = tests.map(serde_json::from_str).collect::<Result<_, _>>()?;
    let tests: Vec<_> = tests.iter().map(|line| (&line["subject"], &line["result"])).collect();
    let expected =
        [("hook", "done"), ("nobody", "NotFound"), ("hook", "done")].map(|(a, b)| (a.into(), b.into()));
    assert_eq!(tests, expected.each_ref().map(|(a, b): &(serde_json::Value, serde_json::Value)| (a, b)));
    let log = scene.pair.registry.process().log();
    for secret in ["planted", SECRET, NEXT_SECRET] {
        assert!(!log.contains(secret) && !listed.stdout.contains(secret) && !tried.stdout.contains(secret));
    }
    Ok(())
}

#[tokio::test]
async fn a_webhook_that_fails_hangs_and_is_busy_hears_it_in_the_end_under_one_id() -> anyhow::Result<()> {
    let sink = Sink::start(&[Answer::Status(500), Answer::Hang, Answer::Busy(1), Answer::Ok]).await?;
    let mut scene = Scene::set(&webhook(&sink, NATIVE)).await?;
    scene.raise("FanFailed");
    let got = sink.until("that it is taken", |got| got.iter().any(|got| got.taken)).await;
    let tries = about(&got, "alert.firing", "FanFailed");
    assert_eq!((tries.len(), got.len()), (4, 4), "{got:?}");
    assert!(tries.iter().all(|tried| tried.id == tries[0].id && tried.is_signed_with(SECRET)));
    scene
        .pair
        .registry
        .process()
        .logs("that it fails", |line| line.contains("a receiver of alerts fails"))
        .await;
    scene.pair.registry.process().logs("that it works", |line| line.contains("works again")).await;
    scene.until("FanFailed", AlertState::Firing).await?;

    // Refused: not tried again, said so, and no obstacle to others.
    sink.answer(&[Answer::Status(400), Answer::Ok]);
    scene.raise("Refused");
    sink.until("the refused one", |got| !about(got, "alert.firing", "Refused").is_empty()).await;
    scene.raise("Other");
    sink.until("the next one", |got| about(got, "alert.firing", "Other").iter().any(|got| got.taken)).await;
    scene.until("Refused", AlertState::Firing).await?;
    assert_eq!(about(&sink.got(), "alert.firing", "Refused").len(), 1);
    let fate = scene.fate("Refused").await?;
    assert!(fate.contains("hook refused to be told: status 400: not so"), "{fate}");
    let (status, metrics) = http_get(scene.pair.registry.process().http_addr(), "/metrics").await?;
    let refused = format!(
        "pulse_registry_notifications_total{{receiver=\"hook\",address=\"http://{}\",outcome=\"refused\"}} 1",
        sink.addr()
    );
    assert!(status == 200 && metrics.contains(&refused), "{refused} in {metrics}");
    let since = "pulse_registry_receiver_failing_since_timestamp_seconds{receiver=\"hook\"";
    let since =
        metrics.lines().find_map(|line| line.strip_prefix(since)?.rsplit(' ').next()?.parse::<f64>().ok());
    assert_eq!(since, Some(0.0), "it works again: {metrics}");
    Ok(())
}

#[tokio::test]
async fn a_receiver_that_hangs_keeps_nobody_waiting() -> anyhow::Result<()> {
    let (hangs, works) = (Sink::start(&[Answer::Hang]).await?, Sink::start(&[Answer::Ok]).await?);
    let receivers = format!(
        "{}{}",
        webhook(&hangs, NATIVE).replace("\"hook\"", "\"hangs\"").replace("500ms", "10m"),
        webhook(&works, NATIVE)
    );
    let mut scene = Scene::set(&receivers).await?;
    scene.raise("FanFailed");
    hangs.until("a request that hangs", |got| !got.is_empty()).await;
    works.until("the other receiver", |got| !about(got, "alert.firing", "FanFailed").is_empty()).await;
    scene.clear("FanFailed");
    works.until("its end", |got| !about(got, "alert.resolved", "FanFailed").is_empty()).await;
    scene.until("FanFailed", AlertState::Resolved).await?;
    assert_eq!(hangs.got().len(), 1, "one alert, one request");
    // And a stop does not wait for it.
    scene.pair.registry.terminate().await
}

#[tokio::test]
async fn after_a_kill_nothing_is_lost_and_nothing_told_twice() -> anyhow::Result<()> {
    let sink = Sink::start(&[Answer::Ok]).await?;
    let mut scene = Scene::set(&webhook(&sink, "")).await?;
    scene.raise("Told");
    sink.until("the first", |got| !about(got, "alert.firing", "Told").is_empty()).await;
    scene.until("Told", AlertState::Firing).await?;
    // A second piece of news shows that what was told of the first is kept: notes are kept in their order.
    scene.raise("Also");
    sink.until("the second", |got| !about(got, "alert.firing", "Also").is_empty()).await;
    sink.answer(&[Answer::Hang]);
    scene.raise("OnItsWay");
    let got = sink.until("the third", |got| !about(got, "alert.firing", "OnItsWay").is_empty()).await;
    let on_its_way = about(&got, "alert.firing", "OnItsWay")[0].id.clone();
    scene.pair.registry.kill9().await?;
    sink.answer(&[Answer::Ok]);
    scene.pair.registry.up().await?;
    let taken = |got: &[Got], kind: &str, klass: &str| about(got, kind, klass).iter().any(|got| got.taken);
    let got = sink.until("the third again", |got| taken(got, "alert.firing", "OnItsWay")).await;
    assert!(about(&got, "alert.firing", "OnItsWay").iter().all(|got| got.id == on_its_way), "one id");
    scene.clear("Told");
    let got = sink.until("the end of the first", |got| taken(got, "alert.resolved", "Told")).await;
    assert_eq!(about(&got, "alert.firing", "Told").len(), 1, "not twice");

    // What resolved while a receiver was away is told when it is back.
    sink.answer(&[Answer::Status(503)]);
    scene.clear("Also");
    sink.until("an attempt", |got| !about(got, "alert.resolved", "Also").is_empty()).await;
    scene.pair.registry.kill9().await?;
    sink.answer(&[Answer::Ok]);
    scene.pair.registry.up().await?;
    sink.until("the end of the second", |got| taken(got, "alert.resolved", "Also")).await;
    Ok(())
}

#[tokio::test]
async fn what_a_stop_cuts_off_may_have_been_taken_so_its_end_is_told() -> anyhow::Result<()> {
    let sink = Sink::start(&[Answer::Hang]).await?;
    let mut scene = Scene::set(&webhook(&sink, NATIVE).replace("500ms", "10m")).await?;
    scene.raise("FanFailed");
    sink.until("the alert", |got| !about(got, "alert.firing", "FanFailed").is_empty()).await;
    scene.until("FanFailed", AlertState::Firing).await?;
    // Somebody has seen it: after the stop there is no more word but of its end.
    let seen = AcknowledgeAlertRequest {
        id: scene.id("FanFailed"),
        who: "alice".to_owned(),
        ..AcknowledgeAlertRequest::default()
    };
    client(scene.pair.registry.grpc()).await?.acknowledge_alert(seen).await?;
    scene.pair.registry.terminate().await?;
    sink.answer(&[Answer::Ok]);
    scene.pair.registry.up().await?;
    scene.clear("FanFailed");
    let got = sink.until("its end", |got| !about(got, "alert.resolved", "FanFailed").is_empty()).await;
    assert_eq!(about(&got, "alert.firing", "FanFailed").len(), 1, "{got:?}");
    Ok(())
}

#[tokio::test]
async fn receivers_that_cannot_be_are_explained() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("receivers.toml");
    std::fs::write(&file, "[[webhook]]\nname = \"hook\"\nurl = \"ftp://x\"\nsecret_env = \"NOT_SET\"\n")?;
    let path = file.display().to_string();
    let env = [("PULSE_REGISTRY_NOTIFY_RECEIVERS_FILE", path.as_str())];
    let checked = run("pulse-registry", &["config", "check"], &env, "").await?;
    assert_eq!(checked.code, 1);
    for needle in [path.as_str(), "hook", "http://", "NOT_SET"] {
        assert!(checked.stderr.contains(needle), "{needle} in {checked:?}");
    }
    // Without receivers everything works, and says so.
    let pair = Pair::start().await?;
    let address = format!("http://{}", pair.registry.grpc());
    let listed = run("pulse-registry", &["receivers", "list", "--address", &address], &[], "").await?;
    assert!(listed.code == 0 && listed.stdout.contains("nobody is told of alerts"), "{listed:?}");
    let none = ListAlertsRequest::default();
    assert!(client(pair.registry.grpc()).await?.list_alerts(none).await.is_ok());
    Ok(())
}
