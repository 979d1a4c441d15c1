//! Which certificate is served when another is put there, and which clients are believed on.

use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair, SanType, date_time_ymd};

use super::*;
use crate::tls::shown::Shown;

const HOUR_MS: u64 = 3_600_000;

struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).expect("parameters");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().expect("a key");
        Self(CertifiedIssuer::self_signed(params, key).expect("an authority"))
    }

    fn pem(&self) -> Vec<u8> {
        self.0.pem().into_bytes()
    }

    /// Certificate and key that count between these times from now.
    fn issue(&self, from_hours: i64, until_hours: i64) -> (Vec<u8>, Vec<u8>, CertificateDer<'static>) {
        let mut params = CertificateParams::new(vec!["localhost".to_owned()]).expect("parameters");
        params.subject_alt_names.push(SanType::URI("spiffe://pulse/core".try_into().expect("a URI")));
        let at = |hours: i64| {
            let unix_ms = now_unix_ms().checked_add_signed(hours * 3_600_000).expect("a time");
            date_time_ymd(1970, 1, 1) + Duration::from_millis(unix_ms)
        };
        (params.not_before, params.not_after) = (at(from_hours), at(until_hours));
        let key = KeyPair::generate().expect("a key");
        let certificate = params.signed_by(&key, &self.0).expect("signed");
        (certificate.pem().into_bytes(), key.serialize_pem().into_bytes(), certificate.der().clone())
    }
}

struct Bed {
    folder: tempfile::TempDir,
    files: Files,
}

impl Bed {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let at = |name: &str| folder.path().join(name);
        let files =
            Files { cert: at("cert"), key: at("key"), client_ca: Some(at("ca")), require_client: false };
        Self { folder, files }
    }

    fn put(&self, name: &str, bytes: &[u8]) {
        std::fs::write(self.folder.path().join(name), bytes).expect("written");
    }

    fn identity(&self, (cert, key, _): &(Vec<u8>, Vec<u8>, CertificateDer<'static>)) {
        self.put("cert", cert);
        self.put("key", key);
    }
}

/// What is served after a look, and whether something was wrong.
fn looked(bed: &Bed, before: &mut (Contents, Validity)) -> (bool, Option<String>) {
    let Looked { taken, problem } = look(&bed.files, &before.0, before.1, now_unix_ms());
    let changed = taken.is_some();
    if let Some((contents, current)) = taken {
        *before = (contents, current.validity);
    }
    (changed, problem.map(|problem| format!("{problem:#}")))
}

#[test]
fn a_certificate_that_no_client_takes_replaces_none_that_they_take() {
    let (bed, ours) = (Bed::new(), Authority::new());
    bed.put("ca", &ours.pem());
    let good = ours.issue(-1, 1);
    bed.identity(&good);
    let contents = read(&bed.files).expect("files");
    let validity = build(&bed.files, &contents).expect("good").validity;
    let mut before = (contents, validity);
    for (from, until, word) in [(-2, -1, "has expired"), (1, 2, "is valid only from")] {
        bed.identity(&ours.issue(from, until));
        let (changed, problem) = looked(&bed, &mut before);
        let problem = problem.expect("it is told");
        assert!(!changed && problem.contains(word) && problem.contains("put one there"), "{problem}");
        assert_eq!(before.0.cert, good.0);
    }
    // Where the former is no better, at least it is what somebody put there last.
    before.1 = Validity { from_unix_ms: 0, until_unix_ms: HOUR_MS };
    assert_eq!(looked(&bed, &mut before), (true, None));
    let better = ours.issue(-1, 2);
    bed.identity(&better);
    assert_eq!(looked(&bed, &mut before), (true, None));
    assert_eq!(before.0.cert, better.0);
}

#[test]
fn authorities_are_followed_whatever_is_wrong_with_the_certificate_and_the_other_way_round() {
    let (bed, ours, theirs) = (Bed::new(), Authority::new(), Authority::new());
    bed.put("ca", &ours.pem());
    let good = ours.issue(-1, 1);
    bed.identity(&good);
    let contents = read(&bed.files).expect("files");
    let validity = build(&bed.files, &contents).expect("good").validity;
    let mut before = (contents, validity);
    bed.put("cert", b"half a certif");
    bed.put("ca", &theirs.pem());
    let (changed, problem) = looked(&bed, &mut before);
    assert!(changed && problem.is_some(), "{problem:?}");
    assert_eq!((&before.0.cert, &before.0.client_ca), (&good.0, &Some(theirs.pem())));
    let better = ours.issue(-1, 2);
    bed.identity(&better);
    bed.put("ca", b"half an author");
    let (changed, problem) = looked(&bed, &mut before);
    assert!(changed && problem.is_some(), "{problem:?}");
    assert_eq!((&before.0.cert, &before.0.client_ca), (&better.0, &Some(theirs.pem())));
}

#[test]
fn what_a_client_showed_counts_until_it_ends_and_while_its_authority_is_believed() {
    let (bed, ours, theirs) = (Bed::new(), Authority::new(), Authority::new());
    bed.put("ca", &ours.pem());
    bed.identity(&ours.issue(-1, 1));
    let (certificates, mut follower) = Certificates::load(bed.files.clone()).expect("loaded");
    let client = ours.issue(-1, 2).2;
    let shown = Shown::of(&[client], &certificates, certificates.load_number()).expect("read");
    assert_eq!(shown.names(), ["dns:localhost", "uri:spiffe://pulse/core"]);
    let now = now_unix_ms();
    assert!(shown.is_believed(now) && shown.is_believed(now + HOUR_MS));
    assert!(!shown.is_believed(now + 2 * HOUR_MS), "it has ended");

    let mut take = |pem: Vec<u8>| {
        bed.put("ca", &pem);
        let former = certificates.current.load().validity;
        let (contents, current) = look(&bed.files, &follower.contents, former, now).taken.expect("changed");
        follower.contents = contents;
        certificates.current.store(Arc::new(current));
        certificates.loads.send_modify(|loads| *loads += 1);
    };
    take([ours.pem(), theirs.pem()].concat());
    assert!(shown.is_believed(now), "one more authority takes nothing away");
    take(theirs.pem());
    assert!(!shown.is_believed(now), "nobody vouches for it any more");
    take(ours.pem());
    assert!(shown.is_believed(now));
}
