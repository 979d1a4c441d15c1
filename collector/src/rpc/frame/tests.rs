//! Tables and properties of the frame parser.

use proptest::prelude::*;

use super::*;

fn reply(text: &str) -> (u64, Result<String, RemoteError>) {
    match parse(text) {
        Ok(Message::Reply { id, outcome }) => (id, outcome.map(|raw| raw.get().to_owned())),
        other => panic!("{text}: {other:?}"),
    }
}

#[test]
fn results() {
    for (text, id, want) in [
        (r#"{"jsonrpc":"2.0","result":null,"id":3}"#, 3, "null"),
        (
            r#"{"id":1,"result":{"guid":18446744073709551615},"jsonrpc":"2.0"}"#,
            1,
            r#"{"guid":18446744073709551615}"#,
        ),
        (
            r#"{"jsonrpc":"2.0","result":[NaN,-Infinity,"NaN \" NaN"],"id":4}"#,
            4,
            r#"[null,null,"NaN \" NaN"]"#,
        ),
        (r#"{"jsonrpc":"2.0","result":false,"id":9,"new":[1]}"#, 9, "false"),
    ] {
        let (got_id, got) = reply(text);
        assert_eq!((got_id, got.unwrap().as_str()), (id, want));
    }
}

#[test]
fn errors_keep_all_but_the_traceback() {
    let text = r#"{"jsonrpc":"2.0","id":5,"error":{"code":-32001,"message":"Method call error","data":
        {"error":13,"errname":"EACCES","reason":"[EACCES] Not authorized","extra":[["a","b",22]],
         "trace":{"class":"X","formatted":"password=planted"}}}}"#;
    let error = reply(text).1.unwrap_err();
    assert!(!format!("{error:?}").contains("planted"));
    let data = error.data.unwrap();
    assert_eq!((error.code, data.error, data.errname.as_deref()), (-32001, Some(13), Some("EACCES")));
    assert_eq!(data.extra.unwrap().get(), r#"[["a","b",22]]"#);
}

#[test]
fn odd_errors_are_still_errors() {
    for error in ["{}", "7", "\"x\"", "[]", r#"{"code":"a","message":null,"data":"text"}"#] {
        let text = format!(r#"{{"id":1,"error":{error}}}"#);
        assert!(reply(&text).1.is_err(), "{text}");
    }
    let orphan = r#"{"jsonrpc":"2.0","id":null,"error":{"code":-32700,"message":"Batch"}}"#;
    assert!(matches!(parse(orphan), Ok(Message::Unaddressed(RemoteError { code: -32700, .. }))));
}

#[test]
fn events() {
    let text = r#"{"jsonrpc":"2.0","method":"collection_update","params":
        {"msg":"changed","collection":"pool.query","id":2,"fields":{"status":"DEGRADED"}}}"#;
    let Ok(Message::Event(event)) = parse(text) else { panic!("not an event") };
    assert_eq!(
        (event.collection.as_str(), event.kind, event.id.as_deref()),
        ("pool.query", EventKind::Changed, Some("2"))
    );
    assert_eq!(event.fields.unwrap().get(), r#"{"status":"DEGRADED"}"#);

    let end = r#"{"method":"notify_unsubscribed","params":{"collection":"app.stats","error":{"error":14,"reason":"no docker"}}}"#;
    let Ok(Message::Unsubscribed { collection, reason }) = parse(end) else { panic!("not an end") };
    assert_eq!((collection.as_str(), reason.as_deref()), ("app.stats", Some("no docker")));
    let ours = r#"{"method":"notify_unsubscribed","params":{"collection":"x","error":null}}"#;
    assert!(matches!(parse(ours), Ok(Message::Unsubscribed { reason: None, .. })));
    for other in
        [r#"{"method":"later","params":[1]}"#, r#"{"id":"a","result":1}"#, r#"{"id":-7,"error":{"code":1}}"#]
    {
        assert!(matches!(parse(other), Ok(Message::Other { .. })), "{other}");
    }
}

#[test]
fn garbage_is_refused() {
    for text in ["", "x", "1", "null", "[]", "{}", r#"{"id":1}"#, r#"{"id":1,"result":"#] {
        assert!(parse(text).is_err(), "{text}");
    }
}

#[test]
fn calls() {
    let text = encode_call(7, "core.ping", &serde_json::json!([]));
    let value: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(value, serde_json::json!({"jsonrpc":"2.0","id":7,"method":"core.ping","params":[]}));
}

proptest! {
    #[test]
    fn never_panics(text in any::<String>()) {
        let _any = parse(&text);
        let _any = without_nan(&text);
    }

    #[test]
    fn never_panics_near_json(text in r#"[\{\}\[\]":,\\0-9a-zNInity\-é]{0,60}"#) {
        let _any = parse(&text);
        let _any = without_nan(&text);
    }

    #[test]
    fn json_is_left_alone(value in any::<String>()) {
        let text = serde_json::to_string(&serde_json::json!({"k": value, "NaN": "Infinity\\"})).unwrap();
        let cleaned = without_nan(&text);
        prop_assert_eq!(cleaned.as_ref(), text.as_str());
    }
}
