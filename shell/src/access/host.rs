//! By which name a browser was led here. Pure.

use http::{HeaderMap, header};

/// Whether a browser was sent here by the name that somebody else's page has: where nobody is asked who he is, a name that
/// leads here is all that such a page needs.
pub fn is_known(headers: &HeaderMap, authority: Option<&str>, allowed: &[String]) -> bool {
    let host = headers.get(header::HOST).map(|host| host.to_str().unwrap_or_default()).or(authority);
    let Some(host) = host else { return true };
    let name = match host.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or_default(),
        None => host.rsplit_once(':').map_or(host, |(name, _)| name),
    };
    // An address is no name that somebody could let lead here.
    name.parse::<std::net::IpAddr>().is_ok()
        || name == "localhost"
        || allowed.iter().any(|allowed| allowed.eq_ignore_ascii_case(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_anybody_could_let_lead_here_are_not_believed() {
        let allowed = ["pulse.lan".to_owned()];
        for (host, expected) in [
            ("127.0.0.1:7661", true),
            ("[::1]:7661", true),
            ("localhost:7661", true),
            ("localhost", true),
            ("PULSE.lan:1", true),
            ("evil.example:7661", false),
            ("127.0.0.1.evil.example", false),
            ("", false),
        ] {
            let headers = HeaderMap::from_iter([(header::HOST, host.parse().expect("a value"))]);
            assert_eq!(is_known(&headers, None, &allowed), expected, "{host}");
        }
        assert!(is_known(&HeaderMap::new(), None, &allowed), "no browser");
        assert!(!is_known(&HeaderMap::new(), Some("evil.example:1"), &allowed), "HTTP/2 has no host header");
    }
}
