//! Why a client got no connection, or lost one, in our words. Knows no flag and
//! no setting: who asked says which of theirs helps.

use std::error::Error;
use std::io;

use rustls::CertificateError;

/// HTTP was spoken to a port that wants TLS.
#[derive(Debug, thiserror::Error)]
#[error("the port speaks TLS")]
pub(super) struct SpeaksTls;

/// There is no connection.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// Nobody was asked: what was named cannot be used.
    #[error("{0:#}")]
    Ours(anyhow::Error),
    #[error("the server's certificate is of an authority that is not trusted here")]
    Authority,
    #[error("the server's certificate is for another name: {0}")]
    Name(String),
    #[error("the server's certificate cannot be trusted: {0}")]
    Certificate(String),
    #[error("the port does not speak TLS")]
    NoTls,
    #[error("{SpeaksTls}")]
    Tls,
    #[error("{0}")]
    Other(String),
}

impl From<anyhow::Error> for Failure {
    fn from(error: anyhow::Error) -> Self {
        Self::Ours(error)
    }
}

impl From<tonic::transport::Error> for Failure {
    fn from(error: tonic::transport::Error) -> Self {
        let cause = innermost(&error);
        match cause.downcast_ref::<rustls::Error>() {
            Some(rustls::Error::InvalidCertificate(error)) => match error {
                CertificateError::UnknownIssuer => Self::Authority,
                CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
                    Self::Name(error.to_string())
                }
                other => Self::Certificate(other.to_string()),
            },
            Some(rustls::Error::InvalidMessage(_)) => Self::NoTls,
            _ if cause.is::<SpeaksTls>() => Self::Tls,
            _ => Self::Other(words(cause)),
        }
    }
}

/// What lies behind an error, without what others made of it on the way.
pub fn cause(error: &(dyn Error + 'static)) -> String {
    words(innermost(error))
}

fn innermost<'a>(error: &'a (dyn Error + 'static)) -> &'a (dyn Error + 'static) {
    // IO errors do not name what they wrap as their source.
    let wrapped = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
    let wrapped = wrapped.map(|inner| inner as &(dyn Error + 'static));
    match wrapped.or_else(|| error.source()) {
        Some(inner) => innermost(inner),
        None => error,
    }
}

fn words(error: &dyn Error) -> String {
    let text = error.to_string();
    // rustls says it at length, with an address of its manual.
    if text.contains("close_notify") { "unexpected end of the TLS connection".to_owned() } else { text }
}
