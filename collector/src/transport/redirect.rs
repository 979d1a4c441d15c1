//! What a redirect means. Pure: none is ever followed, each is judged.

use std::fmt;

use super::Endpoint;

/// A redirect, seen from the endpoint that answered with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Redirect {
    /// Same host, but over TLS: the endpoint should have been https.
    ToTls { port: u16 },
    /// Another host, or from TLS to plaintext.
    Elsewhere { location: String },
    /// Another path of the same endpoint: what was asked for is not there.
    SamePlace { location: String },
}

/// Names longer than this are cut when shown.
const LOCATION_CHARS_MAX: usize = 200;

impl Redirect {
    pub fn judge(endpoint: &Endpoint, location: &str) -> Self {
        let shown: String = location.chars().filter(|c| !c.is_control()).take(LOCATION_CHARS_MAX).collect();
        let Some((scheme, rest)) = split_scheme(location) else {
            return if location.starts_with("//") {
                Self::Elsewhere { location: shown }
            } else {
                Self::SamePlace { location: shown }
            };
        };
        let tls = match scheme.to_ascii_lowercase().as_str() {
            "https" => true,
            "http" => false,
            _ => return Self::Elsewhere { location: shown },
        };
        let Some((host, port)) = split_authority(rest, tls) else {
            return Self::Elsewhere { location: shown };
        };
        if !host.eq_ignore_ascii_case(&endpoint.host) {
            return Self::Elsewhere { location: shown };
        }
        match (endpoint.is_tls(), tls) {
            (false, true) => Self::ToTls { port },
            (true, false) => Self::Elsewhere { location: shown },
            _ if port == endpoint.port => Self::SamePlace { location: shown },
            _ => Self::Elsewhere { location: shown },
        }
    }

    pub fn remedy(&self) -> String {
        match self {
            Self::ToTls { port } => format!("use TLS on port {port} for this connection"),
            Self::Elsewhere { .. } => {
                "configure the connection with the host that really serves the NAS; redirects are not followed".to_owned()
            }
            Self::SamePlace { .. } => "this server has no TrueNAS API at that path; check host and port".to_owned(),
        }
    }
}

impl fmt::Display for Redirect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ToTls { port } => {
                write!(f, "the server answers plain http only to redirect to https on port {port}")
            }
            Self::Elsewhere { location } => write!(f, "the server redirects to another place: {location}"),
            Self::SamePlace { location } => write!(f, "the server redirects to {location}"),
        }
    }
}

fn split_scheme(location: &str) -> Option<(&str, &str)> {
    location.split_once("://").filter(|(scheme, _)| {
        !scheme.is_empty()
            && scheme.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.'))
    })
}

/// Host without brackets, and the port or the default of the scheme.
pub(crate) fn split_authority(rest: &str, tls: bool) -> Option<(&str, u16)> {
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    if authority.contains('@') {
        return None;
    }
    let default = if tls { 443 } else { 80 };
    let (host, port) = if let Some(bracketed) = authority.strip_prefix('[') {
        let (host, tail) = bracketed.split_once(']')?;
        (host, tail.strip_prefix(':'))
    } else {
        match authority.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (authority, None),
        }
    };
    let port = match port {
        None | Some("") => default,
        Some(text) => text.parse().ok()?,
    };
    if host.is_empty() { None } else { Some((host, port)) }
}

#[cfg(test)]
mod tests {
    use super::super::{Security, Trust};
    use super::*;

    #[test]
    fn table() {
        let plain = Endpoint { host: "nas.lan".into(), port: 80, security: Security::Plaintext };
        let tls = Endpoint { host: "nas.lan".into(), port: 443, security: Security::Tls(Trust::SystemRoots) };
        let same = |to: &str| Redirect::SamePlace { location: to.into() };
        let away = |to: &str| Redirect::Elsewhere { location: to.into() };
        for (endpoint, to, want) in [
            (&plain, "https://nas.lan/api/current", Redirect::ToTls { port: 443 }),
            (&plain, "HTTPS://NAS.lan:8443", Redirect::ToTls { port: 8443 }),
            (&plain, "https://evil.example/", away("https://evil.example/")),
            (&plain, "https://nas.lan@evil.example/", away("https://nas.lan@evil.example/")),
            (&plain, "https://nas.lan.evil.example/", away("https://nas.lan.evil.example/")),
            (&plain, "http://nas.lan/ui/", same("http://nas.lan/ui/")),
            (&tls, "/ui/", same("/ui/")),
            (&tls, "https://nas.lan/ui/", same("https://nas.lan/ui/")),
            (&tls, "http://nas.lan/ui/", away("http://nas.lan/ui/")),
            (&tls, "//evil.example/ui/", away("//evil.example/ui/")),
            (&tls, "https://nas.lan:444/", away("https://nas.lan:444/")),
            (&tls, "ftp://nas.lan/", away("ftp://nas.lan/")),
            (&tls, "https:///", away("https:///")),
            (&tls, "", same("")),
        ] {
            assert_eq!(Redirect::judge(endpoint, to), want, "{to}");
        }
    }
}
