//! What people type as the address of a NAS: `nas`, `nas:8443`, `https://nas:8443/`, `[fe80::1]:443`, `10.0.0.9`.

use std::net::{Ipv4Addr, Ipv6Addr};

/// Longest DNS name.
const HOST_BYTES_MAX: usize = 253;
const LABEL_BYTES_MAX: usize = 63;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Address {
    /// `https` or `http`, when it was written.
    pub https: Option<bool>,
    /// Lower case, without brackets and final dot.
    pub host: String,
    pub port: Option<u16>,
}

/// Fails with what is wrong, as a sentence for the one who typed it.
pub fn parse(text: &str) -> Result<Address, &'static str> {
    let text = text.trim();
    let (https, rest) = match text.split_once("://") {
        None => (None, text),
        Some((scheme, rest)) if scheme.eq_ignore_ascii_case("https") => (Some(true), rest),
        Some((scheme, rest)) if scheme.eq_ignore_ascii_case("http") => (Some(false), rest),
        Some(_) => return Err("only https:// and http:// are understood"),
    };
    let rest = rest.strip_suffix('/').unwrap_or(rest);
    if rest.is_empty() {
        return Err("is required");
    }
    if rest.contains('@') {
        return Err("a user name does not belong here; use username");
    }
    if rest.contains(['/', '?', '#']) {
        return Err("a path does not belong here; the address of the NAS is enough");
    }
    let (host, port) = split(rest)?;
    Ok(Address { https, host: check_host(host)?, port: port.map(parse_port).transpose()? })
}

fn split(text: &str) -> Result<(&str, Option<&str>), &'static str> {
    if let Some(rest) = text.strip_prefix('[') {
        let (host, after) = rest.split_once(']').ok_or("the closing bracket is missing")?;
        host.parse::<Ipv6Addr>().map_err(|_| "what is in brackets is not an IPv6 address")?;
        return match after.strip_prefix(':') {
            Some(port) => Ok((host, Some(port))),
            None if after.is_empty() => Ok((host, None)),
            None => Err("only a port may follow the bracket"),
        };
    }
    if text.parse::<Ipv6Addr>().is_ok() {
        return Ok((text, None));
    }
    match text.split_once(':') {
        None => Ok((text, None)),
        Some((_, port)) if port.contains(':') => Err("is neither a name nor an IPv6 address"),
        Some((host, port)) => Ok((host, Some(port))),
    }
}

fn parse_port(text: &str) -> Result<u16, &'static str> {
    let port = text.parse::<u16>().ok().filter(|port| *port > 0 && text.bytes().all(|b| b.is_ascii_digit()));
    port.ok_or("the port must be between 1 and 65535")
}

fn check_host(host: &str) -> Result<String, &'static str> {
    if let Ok(address) = host.parse::<Ipv6Addr>() {
        return if address.is_unspecified() {
            Err("is not the address of a NAS")
        } else {
            Ok(address.to_string())
        };
    }
    let host = host.strip_suffix('.').unwrap_or(host).to_ascii_lowercase();
    if host.is_empty() {
        return Err("is required");
    }
    if host.len() > HOST_BYTES_MAX {
        return Err("is longer than the 253 characters of a DNS name");
    }
    let label_ok = |label: &str| {
        (1..=LABEL_BYTES_MAX).contains(&label.len())
            && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    if !host.split('.').all(label_ok) {
        return Err("is not a DNS name or an IP address");
    }
    // What looks like an IPv4 address and is none would be read in surprising ways by resolvers.
    let last = host.rsplit('.').next().unwrap_or(&host);
    if last.bytes().all(|b| b.is_ascii_digit()) {
        return match host.parse::<Ipv4Addr>() {
            Ok(address) if !address.is_unspecified() && !address.is_broadcast() => Ok(host),
            _ => Err("is not the address of a NAS"),
        };
    }
    Ok(host)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn understands_what_people_type() {
        for (text, https, host, port) in [
            ("nas", None, "nas", None),
            (" NAS.Example. ", None, "nas.example", None),
            ("nas:8443", None, "nas", Some(8443)),
            ("https://nas:8443", Some(true), "nas", Some(8443)),
            ("HTTPS://nas/", Some(true), "nas", None),
            ("http://10.0.0.9:8080", Some(false), "10.0.0.9", Some(8080)),
            ("fe80::1", None, "fe80::1", None),
            ("[FE80::0001]", None, "fe80::1", None),
            ("https://[2001:db8::5]:444", Some(true), "2001:db8::5", Some(444)),
            ("nas_1.lan", None, "nas_1.lan", None),
            ("7nas", None, "7nas", None),
        ] {
            let expected = Address { https, host: host.to_owned(), port };
            assert_eq!(parse(text), Ok(expected), "{text}");
        }
    }

    proptest::proptest! {
        #[test]
        fn what_is_understood_is_understood_again(text in "(https?://)?[\\[\\]a-zA-Z0-9:._%/@ -]{0,24}(:[0-9]{0,6})?") {
            if let Ok(address) = parse(&text) {
                let again = parse(&address.host).expect("a host by itself");
                proptest::prop_assert_eq!(&again.host, &address.host);
                proptest::prop_assert!(again.port.is_none() && again.https.is_none());
            }
        }
    }

    #[test]
    fn refuses_the_rest() {
        for text in [
            "",
            " ",
            "https://",
            "ftp://nas",
            "user@nas",
            "user:pass@nas",
            "nas/ui",
            "https://nas/ui/",
            "nas?x",
            "nas#x",
            "nas:0",
            "nas:65536",
            "nas:+1",
            "nas:",
            ":443",
            "nas:1:2",
            "[fe80::1",
            "[nas]:1",
            "[::1]x",
            "::",
            "0.0.0.0",
            "300.1.1.1",
            "10.1",
            "1",
            "a b",
            "-nas",
            "nas..lan",
            "käse.lan",
        ] {
            assert!(parse(text).is_err(), "{text:?}: {:?}", parse(text));
        }
        assert!(parse(&"a".repeat(64)).is_err());
        assert!(parse(&["a"; 130].join(".")).is_err());
    }
}
