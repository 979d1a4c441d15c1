//! The other end of a task as people write it: a host, and perhaps who logs in there.

use std::net::IpAddr;

/// Of everybody's systems: not worth a pseudonym in a sentence.
const COMMON_USERS: [&str; 6] = ["root", "nobody", "admin", "guest", "wheel", "truenas_admin"];

/// Whether a user of that name tells nothing of anybody.
pub(in crate::context) fn is_common_user(name: &str) -> bool {
    COMMON_USERS.contains(&name)
}

/// `ssh://bob@nas.example.net:22/tank`
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::context) struct Remote<'a> {
    /// Empty when nobody is named.
    pub user: &'a str,
    pub host: &'a str,
}

impl<'a> Remote<'a> {
    pub(in crate::context) fn of(text: &'a str) -> Self {
        let text = text.trim();
        // People give systems names with any sign in them.
        let is_address = !text.contains(char::is_whitespace) && (text.contains('@') || text.contains("://"));
        if !is_address {
            return Self { user: "", host: without_port(text) };
        }
        let address = text.split_once("://").map_or(text, |(_, address)| address);
        let (login, place) = address.rsplit_once('@').unwrap_or(("", address));
        Self { user: login.split(':').next().unwrap_or_default(), host: host(place) }
    }

    /// Whether there is nothing else in the text: `bob@nas`.
    pub(in crate::context) fn is_all_of(self, text: &str) -> bool {
        text.strip_prefix(self.user).and_then(|rest| rest.strip_prefix('@')) == Some(self.host)
    }
}

fn without_port(text: &str) -> &str {
    match text.rsplit_once(':') {
        Some((host, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) && !host.contains(':') => host,
        _ => text,
    }
}

/// Without a port and a folder.
fn host(place: &str) -> &str {
    if let Some((address, _)) = place.strip_prefix('[').and_then(|inner| inner.split_once(']')) {
        return address;
    }
    let host = place.split('/').next().unwrap_or_default();
    if host.parse::<IpAddr>().is_ok() { host } else { host.split(':').next().unwrap_or_default() }
}

/// What a system is called in its own network: `nas` of `nas.example.net`.
pub(in crate::context) fn short_name(name: &str) -> Option<&str> {
    let (first, rest) = name.split_once('.')?;
    let is_name = name.parse::<IpAddr>().is_err() && !first.is_empty() && !rest.contains(char::is_whitespace);
    is_name.then_some(first)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_host_and_the_user_are_found() {
        for (text, user, host) in [
            ("nas.example.net", "", "nas.example.net"),
            ("bob@nas", "bob", "nas"),
            ("ssh://bob:hunter@nas.example.net:22/tank", "bob", "nas.example.net"),
            ("nas:22", "", "nas"),
            ("bob@nas::module", "bob", "nas"),
            ("192.0.2.7:873", "", "192.0.2.7"),
            ("2001:db8::7", "", "2001:db8::7"),
            ("root@[2001:db8::7]:22", "root", "2001:db8::7"),
            ("the other house", "", "the other house"),
            ("lab/nas", "", "lab/nas"),
            ("nas: the old one", "", "nas: the old one"),
            ("Bob @ home", "", "Bob @ home"),
            ("", "", ""),
        ] {
            let remote = Remote::of(text);
            assert_eq!((remote.user, remote.host), (user, host), "{text}");
        }
        assert!(
            Remote::of("bob@nas").is_all_of("bob@nas") && !Remote::of("bob@nas:22").is_all_of("bob@nas:22")
        );
        assert_eq!(short_name("nas.example.net"), Some("nas"));
        assert_eq!([short_name("nas"), short_name("192.0.2.7"), short_name("No. 1")], [None; 3]);
    }
}
