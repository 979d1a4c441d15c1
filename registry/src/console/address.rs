//! Addresses of pages: what a query says, and links that say a little else. A
//! page's whole question stands in its address, so that it can be shared.

use std::fmt::Write as _;

/// Longest query that is looked at, in bytes.
pub const QUERY_BYTES_MAX: usize = 4_096;
/// Most parameters of one query.
const PARAMETERS_MAX: usize = 64;

/// Names and values, in the order in which they stood.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Query(Vec<(String, String)>);

impl Query {
    /// Of the text after the `?`. What is too long or too much is left out.
    pub fn parse(text: &str) -> Self {
        let text = if text.len() <= QUERY_BYTES_MAX { text } else { "" };
        let pairs = text.split('&').filter(|pair| !pair.is_empty()).take(PARAMETERS_MAX);
        let decoded = |pair: &str| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            (decode(name), decode(value).trim().to_owned())
        };
        Self(pairs.map(decoded).filter(|(_, value)| !value.is_empty()).collect())
    }

    /// The first value, or nothing.
    pub fn get(&self, name: &str) -> &str {
        self.0.iter().find(|(known, _)| known == name).map_or("", |(_, value)| value)
    }

    pub fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.0.iter().filter(move |(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    pub fn number(&self, name: &str) -> Option<usize> {
        self.get(name).parse().ok()
    }

    /// With this value in place of all others of the name; without the name when it is empty.
    #[must_use]
    pub fn with(&self, name: &str, value: &str) -> Self {
        let mut query = self.clone();
        query.0.retain(|(known, _)| known != name);
        if !value.is_empty() {
            query.0.push((name.to_owned(), value.to_owned()));
        }
        query
    }

    /// With one more value of the name, or without that one if it was there.
    #[must_use]
    pub fn toggled(&self, name: &str, value: &str) -> Self {
        let mut query = self.clone();
        query.0.retain(|(known, told)| known != name || told != value);
        if query.0.len() == self.0.len() {
            query.0.push((name.to_owned(), value.to_owned()));
        }
        query
    }

    /// Names and values but those of these names: a form that asks for these keeps the rest.
    pub fn beside<'a>(&self, names: impl AsRef<[&'a str]>) -> Vec<&(String, String)> {
        self.0.iter().filter(|(name, _)| !names.as_ref().contains(&name.as_str())).collect()
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// This question to that page.
    pub fn link(&self, path: &str) -> String {
        let mut link = path.to_owned();
        for (at, (name, value)) in self.0.iter().enumerate() {
            link.push(if at == 0 { '?' } else { '&' });
            encode(name, &mut link);
            link.push('=');
            encode(value, &mut link);
        }
        link
    }
}

/// A segment of a path, whatever is in it.
pub fn segment(text: &str) -> String {
    let mut segment = String::with_capacity(text.len());
    encode(text, &mut segment);
    segment
}

fn encode(text: &str, out: &mut String) {
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') {
            out.push(char::from(byte));
        } else {
            let _ = write!(out, "%{byte:02X}");
        }
    }
}

/// Of a form: `+` is a space.
fn decode(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut decoded = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let hex = || text.get(at + 1..at + 3).and_then(|hex| u8::from_str_radix(hex, 16).ok());
        match (bytes[at], hex()) {
            (b'%', Some(byte)) => {
                decoded.push(byte);
                at += 3;
                continue;
            }
            (b'+', _) => decoded.push(b' '),
            (byte, _) => decoded.push(byte),
        }
        at += 1;
    }
    // No page asks for control characters.
    String::from_utf8_lossy(&decoded).chars().filter(|c| !c.is_control()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_survives_its_own_link() {
        let query = Query::parse("q=a%26b+c&label=site%3Dhome&label=rack%3D7&empty=&%=%&x=%e2%82%ac");
        assert_eq!(query.get("q"), "a&b c");
        assert_eq!(query.all("label").collect::<Vec<_>>(), ["site=home", "rack=7"]);
        assert_eq!((query.get("%"), query.get("x"), query.get("empty")), ("%", "€", ""));
        let link = query.link("/p");
        assert_eq!(Query::parse(link.strip_prefix("/p?").expect("a query")), query);
        assert_eq!(segment("a/b?\"<"), "a%2Fb%3F%22%3C");
    }

    #[test]
    fn links_change_one_thing_and_keep_the_rest() {
        let query = Query::parse("q=a&label=x&page=3");
        assert_eq!(query.with("page", "").link(""), "?q=a&label=x");
        assert_eq!(query.with("q", "b").link(""), "?label=x&page=3&q=b");
        assert_eq!(query.toggled("label", "y").link(""), "?q=a&label=x&page=3&label=y");
        assert_eq!(query.toggled("label", "x").link(""), "?q=a&page=3");
        let rest: Vec<_> = query.beside(["q", "page"]).into_iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(rest, ["label"]);
    }

    #[test]
    fn what_is_too_much_is_left_out() {
        assert!(Query::parse(&"a=b&".repeat(2_000)).is_empty());
        assert_eq!(Query::parse(&"a=b&".repeat(100)).0.len(), PARAMETERS_MAX);
        assert_eq!(Query::parse("q=a%00%0ab").get("q"), "ab");
    }
}
