//! Vectors computed with another implementation of PBKDF2 and HMAC, and what must be refused.

use super::*;

const KEY: &str = "AbCdEfGhIjKlMnOpQrStUvWxYz0123456789AbCdEfGhIjKlMnOpQrStUvWxYz01";
const USER: &str = "mo=ni,tor";
const BARE: &str = "n=mo=3Dni=2Ctor:7,r=AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";
const NONCES: &str =
    "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh9kZWZnaGlqa2xtbm9wcXJzdHV2d3h5ent8fX5/gIGCgw==";
const SALT: &str = "yMnKy8zNzs/Q0dLT1NXW1w==";

fn client(binding: Option<ChannelBinding>) -> Client {
    let mut nonce = [0_u8; NONCE_BYTES];
    for (place, value) in nonce.iter_mut().zip(0..) {
        *place = value;
    }
    Client::new(USER, "7", nonce, binding)
}

fn server_first(nonces: &str, salt: &str, iterations: &str) -> String {
    format!("r={nonces},s={salt},i={iterations}")
}

#[test]
fn vectors() {
    let bound = ChannelBinding::raw(&[7; 32]);
    for (binding, gs2, unproven, proof, signature) in [
        (
            None,
            "n,,",
            "c=biws",
            "+Dalm188v3kubHYmFxD3Etm/7BJa5S+rycxmqCJ6w/7osJSA7cUA/Jy2KllZnPsJ9effVJqJvmyBLKZ3Gw3raA==",
            "kCVJTp4vuaJ4f0kt+fcD4kW3WNLty1t+bWGKQN+7Nhd9jA26rPMVVq4wftl0crRbK7NiDTLBeGmoO2M273dSpQ==",
        ),
        (
            Some(bound),
            "p=tls-server-end-point,,",
            "c=cD10bHMtc2VydmVyLWVuZC1wb2ludCwsBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc=",
            "NjvJMr5Tw5U0Isl6kMWNOJF56yOb/kLgw+W6VJ0PQ/5v/OKlFfiq52h59MBEPARBAHFSkN9eTLlGqTyD2t+/gA==",
            "zYMX+NVlpHdul94hYROgDICfubQgW2CHMUf++cbW4FVvWgfsJJsBnsOPw1O4QU0/pm+Zp66Mi8RV1eeKkJ/e0A==",
        ),
    ] {
        let client = client(binding);
        assert_eq!(client.first_message(), format!("{gs2}{BARE}"));
        let (message, expectation) =
            client.final_message(KEY, &server_first(NONCES, SALT, "50000")).expect("a good challenge");
        assert_eq!(message, format!("{unproven},r={NONCES},p={proof}"));
        assert_eq!(expectation.verify(&format!("v={signature}")), Ok(()));
        assert_eq!(expectation.verify("v=AAAA"), Err(ScramError::ServerProof));
        assert_eq!(expectation.verify("v=*"), Err(ScramError::Unreadable));
        assert_eq!(
            expectation.verify("e=invalid-proof"),
            Err(ScramError::Refused("invalid-proof".to_owned()))
        );
    }
}

#[test]
fn challenges_that_are_refused() {
    let foreign = STANDARD.encode([9_u8; 2 * NONCE_BYTES]);
    let ours_alone = &BARE[BARE.len() - 44..];
    for (challenge, want) in [
        (server_first(&foreign, SALT, "50000"), ScramError::Nonce),
        (server_first(ours_alone, SALT, "50000"), ScramError::Nonce),
        (server_first(NONCES, SALT, "49999"), ScramError::Iterations(49_999)),
        (server_first(NONCES, SALT, "5000001"), ScramError::Iterations(5_000_001)),
        (server_first(NONCES, "", "50000"), ScramError::Unreadable),
        (server_first(NONCES, SALT, "many"), ScramError::Unreadable),
        (format!("m=ext,r={NONCES},s={SALT},i=50000"), ScramError::Unreadable),
        (String::new(), ScramError::Unreadable),
    ] {
        assert_eq!(client(None).final_message(KEY, &challenge).map(|_| ()), Err(want), "{challenge}");
    }
}
