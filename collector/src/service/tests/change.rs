//! Update and delete: masks, kept secrets, lost updates.

use pulse_proto::pb::collector::v1 as pb;
use tonic::Code;

use super::support::{MASK, OTHER_SECRET, SECRET, Served, connection, fields, id, serve, verdict};
use crate::connection::testing::CA_PEM;
use crate::service::Options;

const PIN: &str = "cdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcd";

async fn with_one() -> Served {
    let mut served = serve(Options::default()).await;
    served.add("nas1").await;
    served
}

fn only_id() -> pb::Connection {
    pb::Connection { id: "nas1".into(), ..pb::Connection::default() }
}

#[tokio::test]
async fn that_scram_was_seen_belongs_to_the_address() {
    let mut served = with_one().await;
    let seen = |served: &Served| served.roster.get(&id("nas1")).expect("stored").scram_seen;
    let stored = served.roster.get(&id("nas1")).expect("stored");
    served.roster.note_scram(&stored).await.expect("noted");
    let named = pb::Connection { name: "new".into(), ..only_id() };
    served.update(named, &["name"]).await.expect("updated");
    assert!(seen(&served));
    let keyed = pb::Connection { api_key: OTHER_SECRET.into(), ..only_id() };
    served.update(keyed, &["api_key"]).await.expect("updated");
    assert!(seen(&served), "a new key is for the same server");
    let moved = pb::Connection { host: "elsewhere".into(), api_key: SECRET.into(), ..only_id() };
    served.update(moved, &["host", "api_key"]).await.expect("updated");
    assert!(!seen(&served));
}

#[tokio::test]
async fn the_mask_decides_what_changes() {
    let mut served = with_one().await;
    let sent = pb::Connection {
        name: "new".into(),
        enabled: Some(false),
        poll_interval_seconds: 30,
        labels: [("a".to_owned(), "b".to_owned())].into(),
        ..only_id()
    };
    let changed = served.update(sent.clone(), &["enabled", "status", "etag"]).await.expect("updated");
    assert_eq!((changed.enabled, changed.name.as_str()), (Some(false), "nas1"));
    assert_eq!((changed.poll_interval_seconds, changed.labels.len()), (60, 0));

    let changed = served.update(sent, &[]).await.expect("all that is present");
    assert_eq!((changed.name.as_str(), changed.poll_interval_seconds), ("new", 30));
    assert_eq!((changed.labels.len(), changed.username.as_str()), (1, "pulse"));

    let changed = served.update(only_id(), &["labels", "enabled", "username"]).await.expect("cleared");
    assert_eq!((changed.labels.len(), changed.enabled, changed.username.as_str()), (0, Some(true), ""));

    let whole = pb::Connection { name: "whole".into(), host: "nas1".into(), ..only_id() };
    let changed = served.update(whole, &["*"]).await.expect("replaced");
    assert_eq!((changed.name.as_str(), changed.poll_interval_seconds), ("whole", 60));
    assert_eq!(served.kept_secret("nas1"), SECRET);
    assert!(changed.created_at.is_some() && changed.updated_at.is_some());
}

#[tokio::test]
async fn a_bad_mask_or_value_changes_nothing() {
    let mut served = with_one().await;
    let before = served.get("nas1").await.expect("there");
    for path in ["nonsense", "Name", "status.state", "labels.site", ""] {
        let status = served.update(only_id(), &["name", path]).await.expect_err("refused");
        assert_eq!(fields(&status), ["update_mask"], "{path}");
    }
    let status = served.update(only_id(), &["name", "host"]).await.expect_err("refused");
    assert_eq!(fields(&status), ["connection.name", "connection.host"]);
    let nobody = pb::Connection { name: "x".into(), ..Default::default() };
    assert_eq!(fields(&served.update(nobody, &["name"]).await.expect_err("refused")), ["connection.id"]);
    let other = pb::Connection { id: "nas9".into(), ..connection("x") };
    assert_eq!(served.update(other, &["name"]).await.expect_err("refused").code(), Code::NotFound);
    assert_eq!(served.get("nas1").await.expect("there"), before);

    served.add("nas2").await;
    let taken = pb::Connection { name: "nas2".into(), ..only_id() };
    let status = served.update(taken, &["name"]).await.expect_err("refused");
    assert_eq!(verdict(&status), (Code::AlreadyExists, "CONNECTION_NAME_TAKEN".to_owned()));
}

#[tokio::test]
async fn sections_are_switched_off_and_on_by_name() {
    let mut served = with_one().await;
    let off = |names: &[&str]| pb::Connection {
        disabled_sections: names.iter().map(ToString::to_string).collect(),
        ..only_id()
    };
    let changed = served.update(off(&["snapshots", "datasets", "datasets"]), &[]).await.expect("updated");
    assert_eq!(changed.disabled_sections, ["datasets", "snapshots"]);
    for wrong in ["system", "nonsense", "Datasets", ""] {
        let status = served.update(off(&[wrong]), &["disabled_sections"]).await.expect_err("refused");
        assert!(fields(&status)[0].starts_with("connection.disabled_sections"), "{wrong}: {status:?}");
    }
    let sent = pb::Connection { disabled_sections: vec!["system".into()], ..connection("nas2") };
    assert!(served.create(sent).await.is_err());
    let changed = served.update(only_id(), &["enabled"]).await.expect("another field");
    assert_eq!(changed.disabled_sections.len(), 2);
    let changed = served.update(off(&[]), &["disabled_sections"]).await.expect("cleared");
    assert!(changed.disabled_sections.is_empty());
}

#[tokio::test]
async fn what_was_read_can_be_sent_back() {
    let mut served = with_one().await;
    let read = served.get("nas1").await.expect("there");
    for paths in [&[][..], &["*"]] {
        let mut back = served.get("nas1").await.expect("there");
        back.name = "renamed".into();
        let changed = served.update(back, paths).await.expect("updated");
        assert_ne!(changed.etag, read.etag);
        assert_eq!((changed.name.as_str(), changed.api_key.as_str()), ("renamed", MASK));
        assert_eq!(served.kept_secret("nas1"), SECRET);
    }
}

#[tokio::test]
async fn a_new_secret_replaces_the_old_of_either_kind() {
    let mut served = with_one().await;
    let key = pb::Connection { api_key: OTHER_SECRET.into(), ..only_id() };
    served.update(key, &["api_key"]).await.expect("updated");
    assert_eq!(served.kept_secret("nas1"), OTHER_SECRET);

    let password = pb::Connection { password: "p w".into(), api_key: MASK.into(), ..only_id() };
    let changed = served.update(password, &[]).await.expect("updated");
    assert_eq!((changed.api_key.as_str(), changed.password.as_str()), ("", MASK));
    assert_eq!(served.kept_secret("nas1"), "p w");

    let masked = pb::Connection { api_key: MASK.into(), ..only_id() };
    let status = served.update(masked, &["api_key"]).await.expect_err("nothing to keep");
    assert_eq!(fields(&status), ["connection.api_key"]);
    let both = pb::Connection { api_key: SECRET.into(), password: "x".into(), ..only_id() };
    let status = served.update(both, &["api_key", "password"]).await.expect_err("one of them");
    assert_eq!(fields(&status), ["connection.password"]);
    let kept = pb::Connection { password: MASK.into(), ..only_id() };
    served.update(kept, &["password"]).await.expect("kept");
    served.update(only_id(), &["password", "api_key"]).await.expect("kept");
    assert_eq!(served.kept_secret("nas1"), "p w");
}

#[tokio::test]
async fn a_stored_secret_goes_nowhere_else() {
    type Move = (&'static [&'static str], fn(&mut pb::Connection));
    let moves: [Move; 8] = [
        (&["host"], |sent| sent.host = "evil".into()),
        (&["host"], |sent| sent.host = "nas1:8443".into()),
        (&["host"], |sent| sent.host = "http://nas1".into()),
        (&["port"], |sent| sent.port = 8443),
        (&["use_https"], |sent| sent.use_https = Some(false)),
        (&["insecure_skip_verify"], |sent| sent.insecure_skip_verify = true),
        (&["fingerprint"], |sent| sent.fingerprint = PIN.into()),
        (&["ca_pem"], |sent| sent.ca_pem = CA_PEM.into()),
    ];
    for (paths, change) in moves {
        let mut served = with_one().await;
        for masked in ["", MASK] {
            let mut sent = pb::Connection { api_key: masked.into(), ..only_id() };
            change(&mut sent);
            let with_key: Vec<&str> = paths.iter().copied().chain(["api_key"]).collect();
            for paths in [paths, &with_key, &[]] {
                let status = served.update(sent.clone(), paths).await.expect_err("refused");
                let expected = (Code::FailedPrecondition, "SECRET_REQUIRED".to_owned());
                assert_eq!(verdict(&status), expected, "{paths:?}");
            }
        }
        let mut sent = pb::Connection { api_key: OTHER_SECRET.into(), ..only_id() };
        change(&mut sent);
        served.update(sent, &[]).await.expect("with the secret");
        assert_eq!(served.kept_secret("nas1"), OTHER_SECRET);
    }
    // The same place in other words is the same place.
    let mut served = with_one().await;
    let same = pb::Connection { host: "https://NAS1:443".into(), port: 443, ..only_id() };
    served.update(same, &["host", "port"]).await.expect("no move");
}

#[tokio::test]
async fn usual_ports_follow_the_scheme() {
    let mut served = with_one().await;
    let plain = pb::Connection { use_https: Some(false), api_key: SECRET.into(), ..only_id() };
    assert_eq!(served.update(plain, &[]).await.expect("updated").port, 80);
    let back = pb::Connection { host: "https://nas1:444".into(), api_key: SECRET.into(), ..only_id() };
    let changed = served.update(back, &[]).await.expect("updated");
    assert_eq!((changed.port, changed.use_https), (444, Some(true)));
    let plain = pb::Connection { use_https: Some(false), api_key: SECRET.into(), ..only_id() };
    assert_eq!(served.update(plain, &[]).await.expect("updated").port, 444);
}

#[tokio::test]
async fn lost_updates_are_refused() {
    let mut served = with_one().await;
    let read = served.get("nas1").await.expect("there");
    let mine = pb::Connection { name: "mine".into(), etag: read.etag.clone(), ..only_id() };
    let yours = pb::Connection { name: "yours".into(), etag: read.etag.clone(), ..only_id() };
    served.update(mine, &["name"]).await.expect("the first");
    let aborted = (Code::Aborted, "ETAG_MISMATCH".to_owned());
    assert_eq!(verdict(&served.update(yours, &["name"]).await.expect_err("the second")), aborted);
    assert_eq!(verdict(&served.delete("nas1", &read.etag).await.expect_err("old")), aborted);
    let etag = served.get("nas1").await.expect("there").etag;
    served.delete("nas1", &etag).await.expect("deleted");
    assert_eq!(served.delete("nas1", "").await.expect_err("gone").code(), Code::NotFound);
    assert_eq!(served.get("nas1").await.expect_err("gone").code(), Code::NotFound);
}
