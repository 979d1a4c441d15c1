//! Who is let in, who is not, and when it ends.

use futures_util::FutureExt as _;
use http::HeaderValue;
use secrecy::ExposeSecret as _;
use tonic::Code;
use tonic_types::StatusExt as _;

use super::follow::{KEYS_AGE_MAX, Known};
use super::*;
use crate::access::book::Token;
use crate::access::config::Jwt;
use crate::access::issuer::tests::{KEYS, Server};
use crate::access::token;

const LIST: &str = "/pulse.registry.v1.ResourceService/ListResources";
const CREATE: &str = "/pulse.collector.v1.ConnectionService/CreateConnection";
const NOW: u64 = 1_000_000;

fn grant(role: Role) -> Grant {
    serde_json::from_value(serde_json::json!({ "role": role })).expect("a grant")
}

fn peer(address: [u8; 4], names: &[&str]) -> Peer {
    let shown = (!names.is_empty()).then(|| Shown::named(names, u64::MAX));
    Peer { address: (address, 7).into(), shown }
}

fn guard_of(book: Book) -> Guard {
    Guard::of(&Config::default(), true, (book, None), Sessions::new(false))
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
    let guard = guard_of(book);
    let known = peer([10, 0, 0, 1], &["dns:x", "uri:spiffe://pulse/core"]);
    let unknown = peer([10, 0, 0, 1], &["dns:x"]);
    let bare = peer([10, 0, 0, 1], &[]);
    let by = |path, values: &[&str], peer| {
        let headers = headers(values);
        let knock = Knock { port: Port::Grpc, path, headers: &headers, authority: None, peer: Some(peer) };
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
    let guard = Guard::of(
        &Config { requests_per_second: 5, ..Config::default() },
        true,
        (book, None),
        Sessions::new(false),
    );
    let headers = headers(&[&text]);
    let (loud, calm) = (peer([10, 0, 0, 1], &[]), peer([10, 0, 0, 2], &[]));
    let knock = |peer| {
        let knock =
            Knock { port: Port::Grpc, path: LIST, headers: &headers, authority: None, peer: Some(peer) };
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
    let guard = guard_of(book);
    let peer = peer([10, 0, 0, 1], &[]);
    let by = |token: &str| {
        let headers = headers(&[&format!("Bearer {token}")]);
        let knock =
            Knock { port: Port::Grpc, path: LIST, headers: &headers, authority: None, peer: Some(&peer) };
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
    let guard = guard_of(book.clone());
    let headers = headers(&[&text]);
    let peer = peer([10, 0, 0, 1], &[]);
    let knock =
        Knock { port: Port::Http, path: "/mcp", headers: &headers, authority: None, peer: Some(&peer) };
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
    let guard = guard_of(book.clone());
    let headers = headers(&[&text]);
    let peer = peer([10, 0, 0, 1], &[]);
    let knock = Knock { port: Port::Grpc, path: LIST, headers: &headers, authority: None, peer: Some(&peer) };
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
    let guard = guard_of(book);
    assert!(guard.sign_in("pulse_nonsense", &HeaderMap::new()).is_err());
    let (cookie, _) = guard.sign_in(text.expose_secret(), &HeaderMap::new()).expect("a session");
    let pair = cookie.split(';').next().unwrap_or_default();
    let headers =
        HeaderMap::from_iter([(http::header::COOKIE, HeaderValue::from_str(pair).expect("a value"))]);
    let at = |port, path| {
        let admitted = guard
            .admit(Knock { port, path, headers: &headers, authority: None, peer: None }, &mut String::new());
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
        let guard = Guard::of(
            &Config { scopes: scopes.clone(), ..Config::default() },
            true,
            (book.clone(), None),
            Sessions::new(false),
        );
        let knock =
            Knock { port: Port::Grpc, path: LIST, headers: &headers, authority: None, peer: Some(&peer) };
        let admitted = guard.admit_at(knock, NOW, &mut String::new()).map(drop);
        assert_eq!(admitted.map_err(|refusal| refusal.reason()), expected, "{scopes:?}");
    }
    let unkept = book.unkept_labels(kept(&["customer"]).as_ref());
    assert!(matches!(&unkept[..], [(name, "site")] if name.starts_with("token:")), "{unkept:?}");
    // What is only brought is not seen, and needs no boundary.
    book.tokens[0].grant.role = Role::Ingest;
    assert_eq!(book.unkept_labels(kept(&["customer"]).as_ref()), []);
}

#[test]
fn a_certificate_counts_until_it_ends_also_on_an_open_connection() {
    let (book, _) = with_token(Role::Viewer);
    let guard = guard_of(book);
    let headers = HeaderMap::new();
    let shown = Shown::named(&["uri:spiffe://pulse/core"], NOW + 1_000);
    let peer = Peer { address: ([10, 0, 0, 1], 7).into(), shown: Some(shown) };
    let knock = Knock { port: Port::Grpc, path: LIST, headers: &headers, authority: None, peer: Some(&peer) };
    let admitted = guard.admit_at(knock, NOW, &mut String::new()).expect("let through");
    assert!(guard.still_at(&admitted, NOW + 999));
    assert!(!guard.still_at(&admitted, NOW + 1_000), "what is open ends");
    let late = guard.admit_at(knock, NOW + 1_000, &mut String::new());
    assert_eq!(late.err().map(|refusal| refusal.reason()), Some("CREDENTIAL_EXPIRED"));
    assert_eq!(guard.ends_in(&admitted), Some(Duration::ZERO), "its end is waited for");
}

#[test]
fn a_key_that_is_taken_out_ends_what_its_tokens_opened() {
    const CLUSTER: &str = "https://kubernetes.default.svc";
    const THEN: u64 = 1_700_000_100_000;
    let tokens: std::collections::BTreeMap<String, String> =
        serde_json::from_str(include_str!("../service_account/tokens.json")).expect("a map of tokens");
    let believed = |set: &serde_json::Value| {
        ServiceAccounts::parse(set.to_string().as_bytes(), CLUSTER, "pulse").expect("keys")
    };
    let all: serde_json::Value = serde_json::from_slice(KEYS).expect("a set");
    let mut book = Book::default();
    book.service_accounts.insert("system:serviceaccount:pulse:core".to_owned(), grant(Role::Viewer));
    let guard = Guard::of(&Config::default(), true, (book, Some(believed(&all))), Sessions::new(false));
    let peer = peer([10, 0, 0, 1], &[]);
    let admitted = |name: &str| {
        let headers = headers(&[&format!("Bearer {}", tokens[name])]);
        let knock =
            Knock { port: Port::Grpc, path: LIST, headers: &headers, authority: None, peer: Some(&peer) };
        guard.admit_at(knock, THEN, &mut String::new()).expect("let through")
    };
    let (kept, removed) = (admitted("rs256"), admitted("es256"));
    let still = || (guard.still_at(&kept, THEN), guard.still_at(&removed, THEN));
    assert_eq!(still(), (true, true));
    let mut less = all.clone();
    less["keys"].as_array_mut().expect("keys").retain(|key| key["alg"] == "RS256");
    guard.0.accounts.store(Some(Arc::new(believed(&less))));
    assert_eq!(still(), (true, false));
    // Another key under its name is not the one that signed.
    let mut other = all.clone();
    for key in other["keys"].as_array_mut().expect("keys") {
        if key["alg"] == "ES256" {
            (key["x"], key["y"]) = (key["y"].clone(), key["x"].clone());
        }
    }
    guard.0.accounts.store(Some(Arc::new(believed(&other))));
    assert_eq!(still(), (true, false));
    guard.0.accounts.store(Some(Arc::new(believed(&all))));
    assert_eq!(still(), (true, true));
}

#[tokio::test(start_paused = true)]
async fn the_file_of_credentials_is_followed_whatever_is_wrong_with_the_keys() {
    let folder = tempfile::tempdir().expect("a folder");
    let (file, keys) = (folder.path().join("access.json"), folder.path().join("jwks.json"));
    let (book, text) = with_token(Role::Viewer);
    let id = book.tokens[0].id.clone();
    Book::change(&file, |kept| {
        *kept = book;
        Ok(())
    })
    .expect("written");
    std::fs::write(&keys, KEYS).expect("written");
    let jwt =
        Jwt { keys: Keys::File(keys.clone()), issuer: "https://a".to_owned(), audience: "b".to_owned() };
    let config = Config { file: file.clone(), jwt: Some(jwt), ..Config::default() };
    let stop = CancellationToken::new();
    let guard = Guard::open(&config, false, false, stop.clone()).await.expect("opened");
    let headers = headers(&[&text]);
    let peer = peer([10, 0, 0, 1], &[]);
    let knock = Knock { port: Port::Grpc, path: LIST, headers: &headers, authority: None, peer: Some(&peer) };
    let admitted = guard.admit(knock, &mut String::new()).expect("let through");
    let mut changed = guard.changed();
    std::fs::remove_file(&keys).expect("gone");
    Book::change(&file, |book| book.revoke(&id)).expect("revoked");
    tokio::time::timeout(Duration::from_mins(1), async {
        while guard.still(&admitted) {
            changed.changed().await.expect("it goes on");
        }
    })
    .await
    .expect("a revocation holds although the keys cannot be read");
    stop.cancel();
}

#[test]
fn a_session_that_is_ended_ends_what_is_open_in_it() {
    let (book, text) = with_token(Role::Viewer);
    let guard = guard_of(book);
    let token = text.trim_start_matches("Bearer ");
    let (cookie, _) = guard.sign_in(token, &HeaderMap::new()).expect("a session");
    let pair = cookie.split(';').next().unwrap_or_default();
    let headers =
        HeaderMap::from_iter([(http::header::COOKIE, HeaderValue::from_str(pair).expect("a value"))]);
    let knock = Knock { port: Port::Http, path: LIVE, headers: &headers, authority: None, peer: None };
    let admitted = guard.admit(knock, &mut String::new()).expect("let through");
    let end = guard.ends_in(&admitted).expect("an idle session ends");
    assert!(end <= crate::access::session::IDLE_MAX);
    let mut changed = guard.changed();
    assert!(guard.still(&admitted));
    guard.sign_out(&headers);
    assert!(changed.changed().now_or_never().is_some(), "what is open is asked again");
    assert!(!guard.still(&admitted));
}

#[test]
fn everybody_is_paced_and_whatever_he_asks_for() {
    for (asks, path) in [(true, "/no.such.Service/Method"), (false, "/no.such.Service/Method"), (false, LIST)]
    {
        let config = Config { requests_per_second: 5, ..Config::default() };
        let guard = Guard::of(&config, asks, (Book::default(), None), Sessions::new(false));
        let (headers, peer) = (HeaderMap::new(), peer([10, 0, 0, 1], &[]));
        let knock = Knock { port: Port::Grpc, path, headers: &headers, authority: None, peer: Some(&peer) };
        let told = || guard.admit_at(knock, NOW, &mut String::new()).err().map(|refusal| refusal.reason());
        assert!((0..10).all(|_| told() != Some("TOO_FAST")), "{asks} {path}");
        assert_eq!(told(), Some("TOO_FAST"), "{asks} {path}");
    }
}

#[test]
fn a_name_that_anybody_could_let_lead_here_reads_no_figures() {
    let open = Config { hosts: vec!["pulse.lan".to_owned()], ..Config::default() };
    let headers = |host: &str| {
        HeaderMap::from_iter([(http::header::HOST, HeaderValue::from_str(host).expect("a value"))])
    };
    for (asks, host, path, expected) in [
        (false, "10.1.2.3:7661", "/metrics", None),
        (false, "localhost:7661", "/metrics", None),
        (false, "pulse.lan:7661", "/metrics", None),
        (false, "evil.example:7661", "/metrics", Some("UNKNOWN_HOST")),
        // Probes tell nothing, and are asked by any name.
        (false, "evil.example:7661", "/healthz", None),
        (true, "pulse.example", "/metrics", Some("NO_CREDENTIAL")),
    ] {
        let guard = Guard::of(&open, asks, (Book::default(), None), Sessions::new(false));
        let headers = headers(host);
        let knock = Knock { port: Port::Http, path, headers: &headers, authority: None, peer: None };
        let told = guard.admit_at(knock, NOW, &mut String::new()).err().map(|refusal| refusal.reason());
        assert_eq!(told, expected, "{asks} {host} {path}");
    }
}

#[test]
fn a_credential_without_a_sensible_end_opens_nothing_for_ever() {
    let accounts = ServiceAccounts::parse(KEYS, "https://kubernetes.default.svc", "pulse").expect("keys");
    let tokens: std::collections::BTreeMap<String, String> =
        serde_json::from_str(include_str!("../service_account/tokens.json")).expect("a map of tokens");
    let (_, _, signer) = accounts.verify(&tokens["rs256"], 1_700_000_100_000).expect("valid then");
    let latest = NOW + 24 * 3_600_000;
    for (exp, expected) in [(u64::MAX, latest), (latest + 1, latest), (NOW + 5, NOW + 5)] {
        let credential = Credential::of_service_account("s".to_owned(), signer.clone(), exp, NOW);
        let Credential::ServiceAccount { expires_unix_ms, .. } = credential else { panic!("another one") };
        assert_eq!(expires_unix_ms, expected);
    }
}
