//! What the registry is told without the name that a connection is dialled by.
//! Contexts there hide names of systems, and that one the registry does not know;
//! operators find it in the list of connections. Pure.

use std::net::IpAddr;

use pulse_proto::model::SectionReport;

use crate::connection::Settings;
use crate::snapshot::Snapshot;

/// In the place of the name.
const ITS_HOST: &str = "its host";

/// As transports write it. An address is no name.
pub(super) fn unnamed(text: &str, host: &str) -> String {
    if host.is_empty() || host.parse::<IpAddr>().is_ok() {
        return text.to_owned();
    }
    let is_part = |c: char| c.is_alphanumeric() || c == '-';
    let mut told = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once(host) {
        // "nas" is no part of "nasty" and not the first of "nas.example.net".
        let goes_on = after.strip_prefix('.').unwrap_or(after).starts_with(is_part);
        let is_it = !before.ends_with(|c| is_part(c) || c == '.') && !goes_on;
        told.push_str(before);
        told.push_str(if is_it { ITS_HOST } else { host });
        rest = after;
    }
    told.push_str(rest);
    told
}

pub(super) fn reports(settings: &Settings, snapshot: &Snapshot) -> Vec<SectionReport> {
    let mut reports = snapshot.reports();
    for report in &mut reports {
        report.error = unnamed(&report.error, &settings.host);
    }
    reports
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transport::{TlsCause, TransportError};

    #[test]
    fn no_failure_tells_the_name_that_was_dialled() {
        const HOST: &str = "truenas01.acme-corp.example";
        let (host, cause) = (HOST.to_owned(), "failed".to_owned());
        for error in [
            TransportError::Resolve { host: host.clone(), cause: cause.clone() }.to_string(),
            TransportError::Connect { address: format!("{host}:443"), cause }.to_string(),
            TlsCause::NameMismatch { expected: host, presented: Vec::new() }.to_string(),
        ] {
            assert!(error.contains(HOST), "{error}");
            let told = unnamed(&error, HOST);
            assert!(told.contains(ITS_HOST) && !told.contains("acme-corp"), "{told}");
        }
    }

    #[test]
    fn only_the_name_itself_is_left_out() {
        for (text, host, expected) in [
            (
                "cannot resolve nas: nasty nas.lan my-nas",
                "nas",
                "cannot resolve its host: nasty nas.lan my-nas",
            ),
            ("nas, nas", "nas", "its host, its host"),
            ("ask nas.", "nas", "ask its host."),
            (
                "cannot connect to 192.0.2.7:443: refused",
                "192.0.2.7",
                "cannot connect to 192.0.2.7:443: refused",
            ),
            ("no host", "", "no host"),
        ] {
            assert_eq!(unnamed(text, host), expected);
        }
    }
}
