//! A certificate that a client showed: its names, and how long they count. They are believed until it ends, and only
//! while the authorities of now would let it in, also on a connection that began under others.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use rustls::pki_types::CertificateDer;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::{FromDer as _, X509Certificate};

use super::certificates::Certificates;
use crate::clock::now_unix_ms;

/// Names that are read of one certificate.
const NAMES_MAX: usize = 16;
/// A connection whose certificate no longer counts is closed so long after: its calls are told why before.
const PARTING: Duration = Duration::from_secs(5);

#[derive(Clone)]
pub struct Shown(Arc<Held>);

struct Held {
    /// As `dns:`, `uri:` and `email:`.
    names: Vec<String>,
    ends_unix_ms: u64,
    chain: Vec<CertificateDer<'static>>,
    /// `None`: believed until it ends.
    certificates: Option<Arc<Certificates>>,
    /// The load of the authorities that it was let in by last.
    checked: AtomicU64,
}

impl std::fmt::Debug for Shown {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shown").field("names", &self.0.names).finish_non_exhaustive()
    }
}

impl PartialEq for Shown {
    /// One showing of it, not one certificate.
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Eq for Shown {}

impl Shown {
    /// What a handshake let in that began with this load of the files. `None`: it cannot be read.
    pub(crate) fn of(
        chain: &[CertificateDer<'_>],
        certificates: &Arc<Certificates>,
        load: u64,
    ) -> Option<Self> {
        let (_, leaf) = X509Certificate::from_der(chain.first()?).ok()?;
        let ends = u64::try_from(leaf.validity().not_after.timestamp()).unwrap_or(0);
        Some(Self(Arc::new(Held {
            names: names(&leaf),
            ends_unix_ms: ends.saturating_mul(1_000),
            chain: chain.iter().map(|certificate| certificate.clone().into_owned()).collect(),
            certificates: Some(Arc::clone(certificates)),
            checked: AtomicU64::new(load),
        })))
    }

    #[cfg(test)]
    pub(crate) fn named(names: &[&str], ends_unix_ms: u64) -> Self {
        let names = names.iter().map(|name| (*name).to_owned()).collect();
        let checked = AtomicU64::new(0);
        Self(Arc::new(Held { names, ends_unix_ms, chain: Vec::new(), certificates: None, checked }))
    }

    pub(crate) fn names(&self) -> &[String] {
        &self.0.names
    }

    pub(crate) fn ends_unix_ms(&self) -> u64 {
        self.0.ends_unix_ms
    }

    /// Whether the authorities of now let it in. What they said is asked once for each load of theirs.
    pub(crate) fn is_believed(&self, now_ms: u64) -> bool {
        let Held { certificates, chain, checked, ends_unix_ms, .. } = &*self.0;
        if now_ms >= *ends_unix_ms {
            return false;
        }
        let Some(certificates) = certificates else { return true };
        let load = certificates.load_number();
        if checked.load(Ordering::Acquire) == load {
            return true;
        }
        let believed = certificates.lets_in(chain, now_ms);
        if believed {
            checked.store(load, Ordering::Release);
        }
        believed
    }

    /// Resolves some time after it stopped to count, when its connection should end: a client that has a new one shows
    /// it on the next.
    pub(crate) async fn parts(self) {
        let mut loads = self.0.certificates.as_ref().map(|certificates| certificates.loads());
        loop {
            let now = now_unix_ms();
            if !self.is_believed(now) {
                return tokio::time::sleep(PARTING).await;
            }
            let end = tokio::time::sleep(Duration::from_millis(self.ends_unix_ms().saturating_sub(now)));
            let reloaded = async {
                match &mut loads {
                    Some(loads) => drop(loads.changed().await),
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = end => {}
                () = reloaded => {}
            }
        }
    }
}

/// The subject's alternative names. The common name is nobody's identity.
fn names(leaf: &X509Certificate<'_>) -> Vec<String> {
    let Ok(Some(alternative)) = leaf.subject_alternative_name() else { return Vec::new() };
    let name = |name: &GeneralName<'_>| match name {
        GeneralName::DNSName(name) => Some(format!("dns:{}", name.to_ascii_lowercase())),
        GeneralName::URI(uri) => Some(format!("uri:{uri}")),
        GeneralName::RFC822Name(address) => Some(format!("email:{address}")),
        _ => None,
    };
    alternative.value.general_names.iter().filter_map(name).take(NAMES_MAX).collect()
}
