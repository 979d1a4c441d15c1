//! An issuer on loopback, with a certificate of its own authority, that says what it is told to say.

use std::sync::{Arc, Mutex};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::ServerConfig;
use rustls::pki_types::PrivatePkcs8KeyDer;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use super::*;
use crate::tls::{VERSIONS, provider};

pub(in crate::access) const KEYS: &[u8] = include_bytes!("../service_account/jwks.json");

/// What is answered to a path: status, more headers, body. `{self}` in the body is the issuer's own address.
type Answer = (u16, &'static str, Vec<u8>);

pub(in crate::access) struct Server {
    address: String,
    folder: TempDir,
    answers: Arc<Mutex<Vec<(&'static str, Answer)>>>,
    /// Heads of the requests that came.
    heard: Arc<Mutex<Vec<String>>>,
}

impl Server {
    pub(in crate::access) async fn start() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let mut params = CertificateParams::new(Vec::<String>::new()).expect("parameters");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let authority =
            CertifiedIssuer::self_signed(params, KeyPair::generate().expect("a key")).expect("signed");
        std::fs::write(folder.path().join("ca.pem"), authority.pem()).expect("written");
        let key = KeyPair::generate().expect("a key");
        let params = CertificateParams::new(vec!["127.0.0.1".to_owned()]).expect("parameters");
        let certificate = params.signed_by(&key, &authority).expect("signed");
        let config = ServerConfig::builder_with_provider(provider())
            .with_protocol_versions(&VERSIONS)
            .expect("versions")
            .with_no_client_auth()
            .with_single_cert(
                vec![certificate.der().clone()],
                PrivatePkcs8KeyDer::from(key.serialize_der()).into(),
            )
            .expect("a certificate");
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = format!("https://{}", listener.local_addr().expect("an address"));
        let (answers, heard) = (Arc::default(), Arc::default());
        let server = Self { address, folder, answers, heard };
        let (answers, heard) = (Arc::clone(&server.answers), Arc::clone(&server.heard));
        let (acceptor, own) = (TlsAcceptor::from(Arc::new(config)), server.address.clone());
        tokio::spawn(async move {
            while let Ok((tcp, _)) = listener.accept().await {
                let Ok(mut stream) = acceptor.accept(tcp).await else { continue };
                let mut head = Vec::new();
                while !head.ends_with(b"\r\n\r\n") {
                    let Ok(byte) = stream.read_u8().await else { break };
                    head.push(byte);
                }
                let head = String::from_utf8_lossy(&head).into_owned();
                let path = head.split(' ').nth(1).unwrap_or_default().to_owned();
                heard.lock().expect("not poisoned").push(head);
                let found = answers.lock().expect("not poisoned").iter().find(|(at, _)| *at == path).cloned();
                // What has no answer is left waiting.
                let Some((_, (status, headers, body))) = found else {
                    tokio::spawn(async move { stream.read_u8().await });
                    continue;
                };
                let body = match String::from_utf8(body) {
                    Ok(text) => text.replace("{self}", &own).into_bytes(),
                    Err(bytes) => bytes.into_bytes(),
                };
                let head = format!("HTTP/1.1 {status} x\r\n{headers}connection: close\r\n\r\n");
                drop(stream.write_all(&[head.into_bytes(), body].concat()).await);
                drop(stream.shutdown().await);
            }
        });
        server
    }

    pub(in crate::access) fn says(
        &self,
        path: &'static str,
        status: u16,
        headers: &'static str,
        body: impl Into<Vec<u8>>,
    ) {
        let mut answers = self.answers.lock().expect("not poisoned");
        answers.retain(|(known, _)| *known != path);
        answers.push((path, (status, headers, body.into())));
    }

    pub(in crate::access) fn issuer(&self, keys: Option<&str>) -> Issuer {
        Issuer {
            name: self.address.clone(),
            keys: keys.map(|path| format!("{}{path}", self.address).parse().expect("a URL")),
            ca: Some(self.folder.path().join("ca.pem")),
            token: None,
        }
    }

    fn heard(&self) -> Vec<String> {
        self.heard.lock().expect("not poisoned").clone()
    }
}

const GOOD: &str =
    r#"{"issuer": "{self}", "jwks_uri": "{self}/openid/v1/jwks", "response_types_supported": []}"#;

#[tokio::test]
async fn an_issuer_says_where_its_keys_are() {
    let server = Server::start().await;
    server.says(DISCOVERY, 200, "", GOOD);
    server.says("/openid/v1/jwks", 200, "", KEYS);
    assert_eq!(server.issuer(None).fetch().await.expect("keys"), KEYS);
    assert_eq!(server.issuer(Some("/openid/v1/jwks")).fetch().await.expect("keys"), KEYS);
    assert!(server.heard().iter().all(|head| !head.to_lowercase().contains("authorization")));
}

#[tokio::test]
async fn what_is_no_key_set_of_the_issuer_is_refused() {
    let server = Server::start().await;
    server.says("/openid/v1/jwks", 200, "", KEYS);
    server.says("/huge", 200, "", vec![b' '; BYTES_MAX + 1]);
    server.says("/told-huge", 200, "content-length: 99999999\r\n", "");
    server.says("/moved", 302, "location: https://127.0.0.1:1/keys\r\n", "");
    server.says("/gone", 404, "", "");
    for (path, problem) in [
        ("/huge", "more than"),
        ("/told-huge", "more than"),
        ("/moved", "status 302"),
        ("/gone", "status 404"),
    ] {
        let refused = format!("{:#}", server.issuer(Some(path)).fetch().await.expect_err(path));
        assert!(refused.contains(problem), "{path}: {refused}");
    }
    for (document, problem) in [
        (
            r#"{"issuer": "https://other.example", "jwks_uri": "{self}/openid/v1/jwks"}"#,
            "speaks for the issuer",
        ),
        (r#"{"issuer": "{self}", "jwks_uri": "http://127.0.0.1/keys"}"#, "only https"),
        (r#"{"issuer": "{self}", "jwks_uri": "file:///etc/passwd"}"#, "jwks_uri"),
        (r#"{"issuer": "{self}"}"#, "no discovery document"),
        ("[[[[[[", "no discovery document"),
    ] {
        server.says(DISCOVERY, 200, "", document);
        let refused = format!("{:#}", server.issuer(None).fetch().await.expect_err(document));
        assert!(refused.contains(problem), "{document}: {refused}");
    }
    // Nobody else's certificate will do, and no plain text.
    let other = Server::start().await;
    let issuer =
        Issuer { ca: Some(other.folder.path().join("ca.pem")), ..server.issuer(Some("/openid/v1/jwks")) };
    assert!(issuer.fetch().await.is_err());
    let plain = server.address.replace("https", "http").parse().expect("a URL");
    assert!(Issuer { keys: Some(plain), ..server.issuer(None) }.fetch().await.is_err());
}

#[tokio::test]
async fn a_token_is_shown_to_the_issuer_and_to_nobody_it_names() {
    let (server, other) = (Server::start().await, Server::start().await);
    let token = server.folder.path().join("token");
    std::fs::write(&token, "of-the-pod\n").expect("written");
    other.says("/jwks", 200, "", KEYS);
    let elsewhere = format!(r#"{{"issuer": "{}", "jwks_uri": "{}/jwks"}}"#, server.address, other.address);
    server.says(DISCOVERY, 200, "", elsewhere);
    // One file believes both.
    let both = server.folder.path().join("both.pem");
    let pem = |server: &Server| std::fs::read_to_string(server.folder.path().join("ca.pem")).expect("read");
    std::fs::write(&both, pem(&server) + &pem(&other)).expect("written");
    let issuer = Issuer { token: Some(token), ca: Some(both), ..server.issuer(None) };
    assert_eq!(issuer.fetch().await.expect("keys"), KEYS);
    assert!(server.heard()[0].contains("authorization: Bearer of-the-pod\r\n"), "{:?}", server.heard());
    assert!(!other.heard()[0].contains("of-the-pod"), "{:?}", other.heard());
    server.says(DISCOVERY, 200, "", GOOD);
    server.says("/openid/v1/jwks", 200, "", KEYS);
    assert_eq!(issuer.fetch().await.expect("keys"), KEYS);
    assert!(server.heard()[2].contains("of-the-pod"), "its own keys are asked for with it");
}

#[tokio::test]
async fn an_issuer_that_does_not_answer_is_not_waited_for() {
    let server = Server::start().await;
    let issuer = server.issuer(Some("/silent"));
    let fetching = tokio::spawn(async move { issuer.fetch().await });
    // Real sockets first, then time passes at once.
    while server.heard().is_empty() {
        tokio::task::yield_now().await;
    }
    tokio::time::pause();
    let refused = fetching.await.expect("no panic").expect_err("silence");
    assert!(format!("{refused:#}").contains("no answer within 10 s"), "{refused:#}");
}
