//! Who is let in, who is not, and when it ends.

use futures_util::FutureExt as _;
use http::HeaderValue;
use secrecy::ExposeSecret as _;
use tonic::Code;
use tonic_types::StatusExt as _;

use super::*;
use crate::access::book::Token;
use crate::access::issuer::tests::{KEYS, Server};
use crate::access::token;

const LIST: &str = "/pulse.registry.v1.ResourceService/ListResources";
const CREATE: &str = "/pulse.collector.v1.ConnectionService/CreateConnection";
const NOW: u64 = 1_000_000;

fn grant(role: Role) -> Grant {
    serde_json::from_value(serde_json::json!({ "role": role })).expect("a grant")
}

fn peer(address: [u8; 4], names: &[&str]) -> Peer {
    let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    Peer { address: (address, 7).into(), names: names.into() }
}

fn headers(values: &[&str]) -> HeaderMap {
    let value = |text: &&str| (AUTHORIZATION, HeaderValue::from_str(text).expect("a value"));
    values.iter().map(value).collect::<Vec<_>>().into_iter().fold(
        HeaderMap::new(),
        |mut map, (key, value)| {
            map.append(key, value);
            map
        },
    )
}

fn with_token(role: Role) -> (Book, String) {
    let (id, text) = token::make();
    let hash = token::hash(&text);
    let name = "core".to_owned();
    let kept = Token { id, name, hash, grant: grant(role), created_unix_ms: 0, expires_unix_ms: None };
    let mut book = Book::default();
    book.tokens.push(kept);
    book.certificates.insert("uri:spiffe://pulse/core".to_owned(), grant(Role::Viewer));
    (book, format!("Bearer {}", text.expose_secret()))
}

#[test]
fn who_is_asked_shows_one_good_credential() {
    let (book, text) = with_token(Role::Admin);
    let guard = Guard::of(true, book, None, 0, Sessions::new(false), None);
    let known = peer([10, 0, 0, 1], &["dns:x", "uri:spiffe://pulse/core"]);
    let unknown = peer([10, 0, 0, 1], &["dns:x"]);
    let bare = peer([10, 0, 0, 1], &[]);
    let by = |path, values: &[&str], peer| {
        let headers = headers(values);
        let knock = Knock { port: Port::Grpc, path, headers: &headers, peer: Some(peer) };
        guard
            .admit_at(knock, NOW, &mut String::new())
            .map(|admitted| admitted.caller.name)
            .map_err(|refusal| refusal.reason())
    };
    assert!(by(CREATE, &[&text], &bare).expect("an admin").ends_with("/core"));
    assert_eq!(by(LIST, &[], &known).as_deref(), Ok("certificate:uri:spiffe://pulse/core"));
    for (path, values, peer, reason) in [
        (LIST, &[][..], &bare, "NO_CREDENTIAL"),
        (LIST, &[], &unknown, "NO_GRANT"),
        (CREATE, &[], &known, "ROLE_MISSING"),
        // A certificate does not make up for a bad token, nor one of two for the other.
        (LIST, &["Bearer pulse_nonsense"], &known, "BAD_CREDENTIAL"),
        (LIST, &["Basic cHVsc2U6cHVsc2U="], &known, "BAD_CREDENTIAL"),
        (LIST, &[&text, "Bearer x"], &known, "BAD_CREDENTIAL"),
        ("/pulse.registry.v1.ResourceService/NoSuchMethod", &[&text], &bare, "NO_SUCH_METHOD"),
        ("/metrics", &[&text], &bare, "NO_SUCH_METHOD"),
    ] {
        assert_eq!(by(path, values, peer), Err(reason), "{path} {peer:?}");
    }
    assert_eq!(by("/grpc.health.v1.Health/Check", &[], &bare).as_deref(), Ok("anyone"));
}

#[test]
fn who_calls_too_fast_is_told_when_to_come_back() {
    let (book, text) = with_token(Role::Viewer);
    let guard = Guard::of(true, book, None, 5, Sessions::new(false), None);
    let headers = headers(&[&text]);
    let (loud, calm) = (peer([10, 0, 0, 1], &[]), peer([10, 0, 0, 2], &[]));
    let knock = |peer| {
        let knock = Knock { port: Port::Grpc, path: LIST, headers: &headers, peer: Some(peer) };
        guard.admit_at(knock, NOW, &mut String::new())
    };
    assert!((0..10).all(|_| knock(&loud).is_ok()));
    let status = knock(&loud).expect_err("too fast").status();
    assert_eq!(status.code(), Code::ResourceExhausted);
    let retry = status.get_details_retry_info().and_then(|info| info.retry_delay);
    assert_eq!(retry, Some(Duration::from_millis(200)));
    assert!(knock(&calm).is_ok());
}

#[tokio::test]
async fn keys_of_an_issuer_are_believed_while_it_confirms_them() {
    const CLUSTER: &str = "https://kubernetes.default.svc";
    const THEN: u64 = 1_700_000_100_000;
    let tokens: std::collections::BTreeMap<String, String> =
        serde_json::from_str(include_str!("../service_account/tokens.json")).expect("a map of tokens");
    let server = Server::start().await;
    let issuer = server.issuer(Some("/jwks"));
    let jwt =
        Jwt { keys: Keys::Issuer(issuer.clone()), issuer: CLUSTER.to_owned(), audience: "pulse".to_owned() };
    let mut book = Book::default();
    book.service_accounts.insert("system:serviceaccount:pulse:core".to_owned(), grant(Role::Viewer));
    let guard = Guard::of(true, book, None, 0, Sessions::new(false), None);
    let peer = peer([10, 0, 0, 1], &[]);
    let by = |token: &str| {
        let headers = headers(&[&format!("Bearer {token}")]);
        let knock = Knock { port: Port::Grpc, path: LIST, headers: &headers, peer: Some(&peer) };
        guard.admit_at(knock, THEN, &mut String::new()).map(drop).map_err(|refusal| refusal.reason())
    };
    let mut known = Known::default();
    guard.ask(&issuer, &jwt, &mut known).await;
    assert_eq!(by(&tokens["rs256"]), Err("BAD_CREDENTIAL"), "nothing is known yet, so nobody is let in");
    server.says("/jwks", 200, "", KEYS);
    guard.ask(&issuer, &jwt, &mut known).await;
    assert_eq!((by(&tokens["rs256"]), by(&tokens["es256"])), (Ok(()), Ok(())));
    assert!(guard.0.key_missing.notified().now_or_never().is_none(), "no key is missing");
    // A key less, and who shows it has the issuer asked again.
    let mut set: serde_json::Value = serde_json::from_slice(KEYS).expect("a set");
    set["keys"].as_array_mut().expect("keys").retain(|key| key["alg"] == "RS256");
    server.says("/jwks", 200, "", set.to_string());
    guard.ask(&issuer, &jwt, &mut known).await;
    assert_eq!((by(&tokens["rs256"]), by(&tokens["es256"])), (Ok(()), Err("BAD_CREDENTIAL")));
    assert!(guard.0.key_missing.notified().now_or_never().is_some());
    // An issuer that fails, or talks nonsense, takes nothing away for a day.
    for nonsense in ["{}", "no set"] {
        server.says("/jwks", 200, "", nonsense);
        guard.ask(&issuer, &jwt, &mut known).await;
        assert!(known.failing && by(&tokens["rs256"]).is_ok());
    }
    known.told_at = known.told_at.and_then(|at| at.checked_sub(KEYS_AGE_MAX * 2));
    guard.ask(&issuer, &jwt, &mut known).await;
    assert_eq!(by(&tokens["rs256"]), Err("BAD_CREDENTIAL"), "too old");
    server.says("/jwks", 200, "", KEYS);
    guard.ask(&issuer, &jwt, &mut known).await;
    assert_eq!(by(&tokens["es256"]), Ok(()));
}

#[test]
fn a_call_from_inside_is_its_callers() {
    let (mut book, text) = with_token(Role::Viewer);
    let guard = Guard::of(true, book.clone(), None, 0, Sessions::new(false), None);
    let headers = headers(&[&text]);
    let peer = peer([10, 0, 0, 1], &[]);
    let knock = Knock { port: Port::Http, path: "/mcp", headers: &headers, peer: Some(&peer) };
    let pass = Pass(guard.admit_at(knock, NOW, &mut String::new()).expect("let through"));
    let inside = |pass: Option<&Pass>, path| {
        let admitted = guard.admit_inside(pass, path);
        admitted.map(|caller| caller.name).map_err(|refusal| refusal.reason())
    };
    assert_eq!(inside(Some(&pass), LIST), Ok(pass.0.caller.name.clone()));
    assert_eq!(inside(Some(&pass), CREATE), Err("ROLE_MISSING"));
    assert_eq!(inside(Some(&pass), "/no.such.Service/Method"), Err("NO_SUCH_METHOD"));
    assert_eq!(inside(None, LIST), Err("NO_CREDENTIAL"), "nobody inside is trusted for being there");
    let labels = &mut book.tokens[0].grant.labels;
    labels.insert("customer".to_owned(), "a".to_owned());
    guard.0.book.store(Arc::new(book.clone()));
    assert_eq!(inside(Some(&pass), LIST), Err("BAD_CREDENTIAL"), "less than it was let in for");
    let pass = Pass(guard.admit_at(knock, NOW, &mut String::new()).expect("let through"));
    assert_eq!(inside(Some(&pass), LIST), Ok(pass.0.caller.name.clone()));
    let rules = "/pulse.registry.v1.AlertService/ListAlertRules";
    assert_eq!(inside(Some(&pass), rules), Err("CREDENTIAL_IS_SCOPED"));
}

#[test]
fn what_is_open_ends_with_its_grant() {
    let (mut book, text) = with_token(Role::Operator);
    let guard = Guard::of(true, book.clone(), None, 0, Sessions::new(false), None);
    let headers = headers(&[&text]);
    let peer = peer([10, 0, 0, 1], &[]);
    let knock = Knock { port: Port::Grpc, path: LIST, headers: &headers, peer: Some(&peer) };
    let admitted = guard.admit_at(knock, NOW, &mut String::new()).expect("let through");
    assert!(guard.still(&admitted));
    // Less than it was is not what the call was let through for.
    book.tokens[0].grant = grant(Role::Viewer);
    guard.0.book.store(Arc::new(book));
    assert!(!guard.still(&admitted));
}

#[test]
fn a_session_is_its_token_and_counts_for_pages_alone() {
    let (id, text) = token::make();
    let kept = Token {
        id,
        name: "me".to_owned(),
        hash: token::hash(&text),
        grant: grant(Role::Viewer),
        created_unix_ms: 0,
        expires_unix_ms: None,
    };
    let mut book = Book::default();
    book.tokens.push(kept);
    let guard = Guard::of(true, book, None, 0, Sessions::new(false), None);
    assert!(guard.sign_in("pulse_nonsense", &HeaderMap::new()).is_err());
    let (cookie, _) = guard.sign_in(text.expose_secret(), &HeaderMap::new()).expect("a session");
    let pair = cookie.split(';').next().unwrap_or_default();
    let headers =
        HeaderMap::from_iter([(http::header::COOKIE, HeaderValue::from_str(pair).expect("a value"))]);
    let at = |port, path| {
        let admitted = guard.admit(Knock { port, path, headers: &headers, peer: None }, &mut String::new());
        admitted.map(|admitted| admitted.caller.name).map_err(|refusal| refusal.reason())
    };
    assert!(at(Port::Http, "/console/storage").is_ok_and(|name| name.ends_with("/me")));
    for path in ["/metrics", "/mcp"] {
        assert_eq!(
            at(Port::Http, path),
            Err("NO_CREDENTIAL"),
            "{path}: a page elsewhere could make a browser ask"
        );
    }
    assert_eq!(at(Port::Grpc, LIST), Err("NO_CREDENTIAL"));
    assert_eq!(at(Port::Http, "/console/alerts/1/acknowledge"), Err("ROLE_MISSING"));
    guard.0.book.store(Arc::default());
    assert_eq!(at(Port::Http, "/console/storage"), Err("BAD_CREDENTIAL"), "its token is gone");
    guard.sign_out(&headers);
    assert_eq!(at(Port::Http, "/console/storage"), Err("CREDENTIAL_EXPIRED"));
}

#[test]
fn a_limit_that_nothing_keeps_to_opens_nothing() {
    let (mut book, text) = with_token(Role::Viewer);
    book.tokens[0].grant.labels = [("site".to_owned(), "a".to_owned())].into();
    let kept = |labels: &[&str]| Some(labels.iter().map(|label| (*label).to_owned()).collect());
    let headers = headers(&[&text]);
    let peer = peer([10, 0, 0, 1], &[]);
    for (scopes, expected) in [
        (kept(&["customer"]), Err("SCOPE_NOT_KEPT")),
        (kept(&[]), Err("SCOPE_NOT_KEPT")),
        (kept(&["customer", "site"]), Ok(())),
        (None, Ok(())),
    ] {
        let guard = Guard::of(true, book.clone(), None, 0, Sessions::new(false), scopes.clone());
        let knock = Knock { port: Port::Grpc, path: LIST, headers: &headers, peer: Some(&peer) };
        let admitted = guard.admit_at(knock, NOW, &mut String::new()).map(drop);
        assert_eq!(admitted.map_err(|refusal| refusal.reason()), expected, "{scopes:?}");
    }
    let unkept = book.unkept_labels(kept(&["customer"]).as_ref());
    assert!(matches!(&unkept[..], [(name, "site")] if name.starts_with("token:")), "{unkept:?}");
    // What is only brought is not seen, and needs no boundary.
    book.tokens[0].grant.role = Role::Ingest;
    assert_eq!(book.unkept_labels(kept(&["customer"]).as_ref()), []);
}
