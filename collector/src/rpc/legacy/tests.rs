//! Tables and properties of the legacy framing.

use proptest::prelude::*;

use super::super::error::CallError;
use super::*;

#[test]
fn calls_and_subscriptions() {
    for (method, params, want) in [
        (
            "pool.query",
            json!([[], {}]),
            json!({"id": "7", "msg": "method", "method": "pool.query", "params": [[], {}]}),
        ),
        ("core.subscribe", json!(["alert.list"]), json!({"id": "7", "msg": "sub", "name": "alert.list"})),
    ] {
        let text = encode_call(7, method, &params);
        assert_eq!(serde_json::from_str::<Value>(&text).unwrap(), want);
    }
}

#[test]
fn replies() {
    for (text, id, want) in [
        (r#"{"id":"3","msg":"result","result":null}"#, 3, "null"),
        (r#"{"id":"3","msg":"result"}"#, 3, "null"),
        (r#"{"id":4,"msg":"result","result":[NaN,18446744073709551615]}"#, 4, "[null,18446744073709551615]"),
        (r#"{"msg":"ready","subs":["9"]}"#, 9, "\"9\""),
    ] {
        match parse(text) {
            Ok(Message::Reply { id: got, outcome: Ok(raw) }) => assert_eq!((got, raw.get()), (id, want)),
            other => panic!("{text}: {other:?}"),
        }
    }
}

#[test]
fn refusals_are_sorted_as_those_of_json_rpc() {
    for (error, want) in [
        (r#"{"error":207,"errname":"ENOTAUTHENTICATED","reason":"Not authenticated"}"#, "NotAuthenticated"),
        (r#"{"error":13,"errname":"EACCES","type":null,"reason":"Not authorized"}"#, "NotAuthorized"),
        (r#"{"error":201,"errname":"ENOMETHOD","reason":"Method does not exist"}"#, "NoMethod"),
        (r#"{"error":16,"errname":"EBUSY","reason":"Rate Limit Exceeded"}"#, "Busy"),
        (r#"{"error":109,"errname":"ETOOMANYREFS","reason":"Maximum"}"#, "TooManyConcurrent"),
        (
            r#"{"error":11,"errname":"EAGAIN","type":"VALIDATION","reason":"x","extra":[["a","b",22]]}"#,
            "Invalid",
        ),
        (r#"{"error":5,"errname":"EIO","reason":"bad","trace":{"formatted":"planted"}}"#, "Call"),
        ("7", "Call"),
    ] {
        let text = format!(r#"{{"id":"1","msg":"result","error":{error}}}"#);
        let Ok(Message::Reply { id: 1, outcome: Err(error) }) = parse(&text) else { panic!("{text}") };
        let sorted = format!("{:?}", CallError::from_remote(error));
        assert!(sorted.starts_with(want) && !sorted.contains("planted"), "{text}: {sorted}");
    }
    let refused = r#"{"id":"2","msg":"nosub"}"#;
    assert!(matches!(parse(refused), Ok(Message::Reply { id: 2, outcome: Err(_) })));
}

#[test]
fn events_stand_at_the_top_level() {
    let text = r#"{"msg":"changed","collection":"pool.query","id":2,"fields":{"status":"DEGRADED"}}"#;
    let Ok(Message::Event(event)) = parse(text) else { panic!("not an event") };
    assert_eq!(
        (event.collection.as_str(), event.kind, event.id.as_deref()),
        ("pool.query", EventKind::Changed, Some("2"))
    );
    assert_eq!(event.fields.unwrap().get(), r#"{"status":"DEGRADED"}"#);
    let end = r#"{"msg":"nosub","collection":"app.stats","error":{"error":14,"reason":"no docker"}}"#;
    let Ok(Message::Unsubscribed { collection, reason }) = parse(end) else { panic!("not an end") };
    assert_eq!((collection.as_str(), reason.as_deref()), ("app.stats", Some("no docker")));
    let ours = r#"{"msg":"nosub","collection":"x"}"#;
    assert!(matches!(parse(ours), Ok(Message::Unsubscribed { reason: None, .. })));
}

#[test]
fn greetings_and_what_is_none() {
    assert!(matches!(parse(r#"{"msg":"connected","session":"u"}"#), Ok(Message::Greeted)));
    assert!(matches!(parse(r#"{"msg":"failed","version":"1"}"#), Ok(Message::Unwelcome)));
    for other in [r#"{"msg":"pong"}"#, r#"{"msg":"result","id":"x","result":1}"#, r#"{"msg":"result"}"#] {
        assert!(matches!(parse(other), Ok(Message::Other { .. })), "{other}");
    }
    for garbage in ["", "x", "1", "null", "[]", "{}", r#"{"id":"1","result":1}"#, r#"{"msg":"nosub"}"#] {
        assert!(parse(garbage).is_err(), "{garbage}");
    }
}

proptest! {
    #[test]
    fn never_panics_near_json(text in r#"[\{\}\[\]":,\\0-9a-zNInity\-é]{0,60}"#) {
        let _any = parse(&text);
    }
}
