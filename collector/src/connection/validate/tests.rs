//! Every field, one thing wrong at a time, and everything wrong at once.

use super::*;
use crate::connection::testing::{CA_PEM, PLANTED};

const PIN: &str = "abababababababababababababababababababababababababababababababab";

fn good() -> Raw {
    Raw {
        name: "nas1".into(),
        host: "nas1.example".into(),
        username: "pulse".into(),
        api_key: Some(Secret::new(PLANTED)),
        ..Raw::default()
    }
}

fn check(raw: Raw) -> Result<Settings, Violations> {
    validate(raw, ConnectionId::parse("c1").expect("an id"), UnixMillis::new(5))
}

fn with(change: impl FnOnce(&mut Raw)) -> Result<Settings, Violations> {
    let mut raw = good();
    change(&mut raw);
    check(raw)
}

fn fields(result: Result<Settings, Violations>) -> Vec<String> {
    result.err().map(|wrong| wrong.0.into_iter().map(|v| v.field).collect()).unwrap_or_default()
}

#[test]
fn the_least_that_is_needed() {
    let settings = check(good()).expect("good");
    assert_eq!((settings.port, &settings.tls, settings.enabled), (443, &Tls::SystemRoots, true));
    assert_eq!(settings.poll_interval, Duration::from_mins(1));
    assert_eq!((settings.created_at, settings.updated_at), (UnixMillis::new(5), UnixMillis::new(5)));
}

#[test]
fn addresses_and_ports() {
    type Case = (&'static str, u32, Option<bool>, (&'static str, u16, bool));
    let cases: [Case; 8] = [
        ("nas", 0, None, ("nas", 443, true)),
        ("nas", 0, Some(false), ("nas", 80, false)),
        ("nas", 8443, None, ("nas", 8443, true)),
        ("https://nas:8443", 0, None, ("nas", 8443, true)),
        ("http://nas:8080", 0, None, ("nas", 8080, false)),
        ("http://nas", 0, None, ("nas", 80, false)),
        ("https://nas:8443", 8443, Some(true), ("nas", 8443, true)),
        ("[fe80::1]:444", 0, None, ("fe80::1", 444, true)),
    ];
    for (host, port, use_https, expected) in cases {
        let made = with(|raw| {
            raw.host = host.into();
            raw.port = port;
            raw.use_https = use_https;
        });
        let made = made.expect(host);
        assert_eq!((made.host.as_str(), made.port, made.tls.is_on()), expected, "{host}");
    }
}

#[test]
fn each_mistake_is_named() {
    type Case = (&'static str, fn(&mut Raw), &'static [&'static str]);
    let cases: &[Case] = &[
        ("no name", |raw| raw.name = "  ".into(), &["name"]),
        ("long name", |raw| raw.name = "ä".repeat(129), &["name"]),
        ("bell in name", |raw| raw.name = "a\u{7}b".into(), &["name"]),
        ("no host", |raw| raw.host.clear(), &["host"]),
        ("path", |raw| raw.host = "https://nas/ui".into(), &["host"]),
        ("port too great", |raw| raw.port = 65_536, &["port"]),
        (
            "two ports",
            |raw| {
                raw.host = "nas:1".into();
                raw.port = 2;
            },
            &["port"],
        ),
        (
            "two schemes",
            |raw| {
                raw.host = "http://nas".into();
                raw.use_https = Some(true);
            },
            &["use_https"],
        ),
        ("short pin", |raw| raw.fingerprint = "abcd".into(), &["fingerprint"]),
        (
            "pin and insecure",
            |raw| {
                raw.fingerprint = PIN.into();
                raw.insecure_skip_verify = true;
            },
            &["fingerprint"],
        ),
        (
            "pin and authority",
            |raw| {
                raw.fingerprint = PIN.into();
                raw.ca_pem = CA_PEM.into();
            },
            &["ca_pem"],
        ),
        ("no certificate", |raw| raw.ca_pem = "nonsense".into(), &["ca_pem"]),
        ("half a certificate", |raw| raw.ca_pem = CA_PEM.replace("MII", "M"), &["ca_pem"]),
        ("private key", |raw| raw.ca_pem = format!("{CA_PEM}\n-----BEGIN PRIVATE KEY-----"), &["ca_pem"]),
        ("long authority", |raw| raw.ca_pem = "x".repeat(CA_BYTES_MAX + 1), &["ca_pem"]),
        (
            "plain and pin",
            |raw| {
                raw.use_https = Some(false);
                raw.fingerprint = PIN.into();
            },
            &["fingerprint"],
        ),
        (
            "plain and insecure",
            |raw| {
                raw.use_https = Some(false);
                raw.insecure_skip_verify = true;
            },
            &["insecure_skip_verify"],
        ),
        ("no secret", |raw| raw.api_key = None, &["api_key"]),
        ("blank secret", |raw| raw.api_key = Some(Secret::new("  ")), &["api_key"]),
        ("mask", |raw| raw.api_key = Some(Secret::new(MASK)), &["api_key"]),
        ("broken key", |raw| raw.api_key = Some(Secret::new("1-a b")), &["api_key"]),
        ("long key", |raw| raw.api_key = Some(Secret::new("k".repeat(4_097))), &["api_key"]),
        ("two secrets", |raw| raw.password = Some(Secret::new("p")), &["password"]),
        (
            "password mask",
            |raw| {
                raw.api_key = None;
                raw.password = Some(Secret::new(MASK));
            },
            &["password"],
        ),
        (
            "password without user",
            |raw| {
                raw.api_key = None;
                raw.password = Some(Secret::new("p"));
                raw.username.clear();
            },
            &["username"],
        ),
        (
            "password in the clear",
            |raw| {
                raw.api_key = None;
                raw.password = Some(Secret::new("p"));
                raw.use_https = Some(false);
            },
            &["password"],
        ),
        ("long user", |raw| raw.username = "u".repeat(129), &["username"]),
        ("too often", |raw| raw.poll_interval_seconds = 9, &["poll_interval_seconds"]),
        ("too seldom", |raw| raw.poll_interval_seconds = 86_401, &["poll_interval_seconds"]),
        (
            "label key",
            |raw| {
                raw.labels.insert("Site".into(), "x".into());
            },
            &["labels[Site]"],
        ),
        (
            "empty label key",
            |raw| {
                raw.labels.insert(String::new(), "x".into());
            },
            &["labels[]"],
        ),
        (
            "long label",
            |raw| {
                raw.labels.insert("site".into(), "x".repeat(256));
            },
            &["labels[site]"],
        ),
        (
            "many labels",
            |raw| raw.labels = (0..33).map(|n| (format!("k{n}"), String::new())).collect(),
            &["labels"],
        ),
    ];
    for (what, change, expected) in cases {
        assert_eq!(fields(with(change)), *expected, "{what}");
    }
}

#[test]
fn all_mistakes_at_once() {
    let raw = Raw { port: 70_000, fingerprint: "x".into(), poll_interval_seconds: 5, ..Raw::default() };
    assert_eq!(
        fields(check(raw)),
        ["name", "port", "host", "fingerprint", "api_key", "poll_interval_seconds"]
    );
}

#[test]
fn an_api_key_may_go_without_tls_and_without_user() {
    let made = with(|raw| {
        raw.use_https = Some(false);
        raw.username.clear();
        raw.api_key = Some(Secret::new(format!(" {PLANTED}\n")));
    });
    match made.expect("good").credential {
        Credential::ApiKey { username: None, key } => assert_eq!(key.expose(), PLANTED),
        other => panic!("{other:?}"),
    }
}

#[test]
fn trust_is_one_of_four() {
    assert_eq!(with(|raw| raw.ca_pem = format!("\n{CA_PEM}\n")).expect("good").tls, Tls::Ca(CA_PEM.into()));
    let pin = PIN.parse().expect("a pin");
    for text in [PIN.to_owned(), format!("SHA256:{}", PIN.to_uppercase()), ["ab"; 32].join(":")] {
        assert_eq!(with(|raw| raw.fingerprint = text).expect("good").tls, Tls::Pinned(pin));
    }
    assert_eq!(with(|raw| raw.insecure_skip_verify = true).expect("good").tls, Tls::Insecure);
}

#[test]
fn what_is_stored_can_be_typed_again() {
    let changes: [fn(&mut Raw); 7] = [
        |_| {},
        |raw| raw.ca_pem = CA_PEM.into(),
        |raw| raw.fingerprint = PIN.into(),
        |raw| raw.insecure_skip_verify = true,
        |raw| raw.use_https = Some(false),
        |raw| raw.disabled_sections = vec!["datasets".into(), "pools".into(), "datasets".into()],
        |raw| {
            raw.password = raw.api_key.take();
            raw.enabled = Some(false);
            raw.host = "[::1]:9".into();
        },
    ];
    for change in changes {
        let made = with(change).expect("good");
        assert_eq!(format!("{:?}", check(Raw::of(&made)).expect("good again")), format!("{made:?}"));
    }
}

#[test]
fn messages_tell_no_secret() {
    let raw = Raw {
        password: Some(Secret::new(PLANTED)),
        api_key: Some(Secret::new(format!("{PLANTED} x"))),
        ..Raw::default()
    };
    assert!(!format!("{raw:?}").contains("PlAnT"));
    assert!(!check(raw).expect_err("wrong").to_string().contains("PlAnT"));
}

#[test]
fn ids_have_at_most_64_characters() {
    assert!(connection_id(&"a".repeat(64)).is_ok());
    for bad in ["", "a b", "a/b", &"a".repeat(65)] {
        assert_eq!(connection_id(bad).expect_err("refused").field, "id");
    }
}
