//! Settings from one TOML file, environment variables and flags, the later
//! winning. Each binary has one table of keys: parsing, `config check` and the
//! documentation come from it.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use toml::de::{DeTable, DeValue};

/// Longest file that is read.
const FILE_BYTES_MAX: u64 = 1024 * 1024;

/// One setting.
#[derive(Clone, Copy, Debug)]
pub struct Key {
    /// Dotted, as in the file.
    pub name: &'static str,
    pub env: &'static str,
    /// Empty: none; the help says what then happens.
    pub default: &'static str,
    pub help: &'static str,
}

/// Where a value comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    Default,
    File { path: PathBuf, line: usize, column: usize },
    Env(&'static str),
    Flag(&'static str),
}

impl std::fmt::Display for Origin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File { path, line, column } => write!(f, "{}:{line}:{column}", path.display()),
            Self::Env(name) => write!(f, "environment {name}"),
            Self::Flag(name) => write!(f, "flag {name}"),
        }
    }
}

#[derive(Clone, Debug)]
struct Value {
    text: String,
    origin: Origin,
}

/// Everything that is wrong, at once.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}", .0.join("\n"))]
pub struct Problems(pub Vec<String>);

/// The layers put together; typed getters collect what does not parse.
#[derive(Debug)]
pub struct Settings {
    keys: &'static [Key],
    values: BTreeMap<&'static str, Value>,
    problems: Vec<String>,
}

impl Settings {
    /// `flags` are `(key, flag, value)`; `env` looks a variable up.
    pub fn read(
        keys: &'static [Key],
        file: Option<&Path>,
        env: impl Fn(&str) -> Option<String>,
        flags: &[(&'static str, &'static str, Option<String>)],
    ) -> Self {
        let mut settings = Self { keys, values: BTreeMap::new(), problems: Vec::new() };
        for key in keys {
            settings.put(key.name, key.default.to_owned(), Origin::Default);
        }
        if let Some(path) = file {
            settings.read_file(path);
        }
        for key in keys {
            // Set to nothing is not set: that is how compose files and manifests leave a variable out.
            if let Some(text) = env(key.env).filter(|text| !text.is_empty()) {
                settings.put(key.name, text, Origin::Env(key.env));
            }
        }
        for (name, flag, value) in flags {
            if let Some(text) = value {
                settings.put(name, text.clone(), Origin::Flag(flag));
            }
        }
        settings
    }

    fn put(&mut self, name: &'static str, text: String, origin: Origin) {
        self.values.insert(name, Value { text, origin });
    }

    fn read_file(&mut self, path: &Path) {
        let shown = path.display();
        let text = match std::fs::metadata(path) {
            Ok(metadata) if metadata.len() > FILE_BYTES_MAX => {
                return self.problems.push(format!("{shown}: longer than {FILE_BYTES_MAX} bytes"));
            }
            _ => match std::fs::read(path).map(String::from_utf8) {
                Ok(Ok(text)) => text,
                Ok(Err(bad)) => {
                    let at = bad.utf8_error().valid_up_to();
                    let good = String::from_utf8_lossy(&bad.as_bytes()[..at]).into_owned();
                    let (line, column) = position(&good, good.len());
                    return self
                        .problems
                        .push(format!("{shown}:{line}:{column}: not UTF-8; save the file as UTF-8"));
                }
                Err(error) => {
                    return self.problems.push(format!(
                        "{shown}: cannot be read: {error}; check --config and its permissions"
                    ));
                }
            },
        };
        match DeTable::parse(&text) {
            Ok(table) => self.take_table(path, &text, "", table.get_ref()),
            Err(error) => {
                let (line, column) = position(&text, error.span().map_or(0, |span| span.start));
                self.problems.push(format!("{shown}:{line}:{column}: {}", error.message()));
            }
        }
    }

    fn take_table(&mut self, path: &Path, text: &str, prefix: &str, table: &DeTable<'_>) {
        for (key, value) in table {
            let (line, column) = position(text, key.span().start);
            let name = if prefix.is_empty() {
                key.get_ref().to_string()
            } else {
                format!("{prefix}.{}", key.get_ref())
            };
            let at = format!("{}:{line}:{column}", path.display());
            let value = match value.get_ref() {
                DeValue::Table(inner) => {
                    self.take_table(path, text, &name, inner);
                    continue;
                }
                DeValue::String(text) => text.to_string(),
                DeValue::Integer(number) if number.radix() == 10 => number.as_str().to_owned(),
                DeValue::Boolean(word) => word.to_string(),
                other => {
                    self.problems.push(format!(
                        "{at}: {name} is {}; expected a text, a number or true / false",
                        kind(other)
                    ));
                    continue;
                }
            };
            if let Some(known) = self.keys.iter().find(|known| known.name == name) {
                self.put(known.name, value, Origin::File { path: path.to_owned(), line, column });
            } else {
                let near = nearest(&name, self.keys).map(|near| format!("; did you mean {near}?"));
                self.problems.push(format!("{at}: there is no setting {name}{}", near.unwrap_or_default()));
            }
        }
    }

    /// The value, parsed; a value that does not parse is a problem and gives the default of the type.
    pub fn get<T: Default>(&mut self, name: &str, expected: &str, parse: impl Fn(&str) -> Option<T>) -> T {
        let Some(value) = self.values.get(name) else {
            self.problems.push(format!("{name} is not in the table of settings"));
            return T::default();
        };
        if let Some(parsed) = parse(value.text.trim()) {
            return parsed;
        }
        self.problems.push(format!("{}: {name} is {:?}; expected {expected}", value.origin, value.text));
        T::default()
    }

    pub fn text(&mut self, name: &str) -> String {
        self.get(name, "text", |text| Some(text.to_owned()))
    }

    pub fn flag(&mut self, name: &str) -> bool {
        self.get(name, "true or false", flag)
    }

    pub fn address(&mut self, name: &str) -> SocketAddr {
        let expected = "an address such as \"127.0.0.1:7660\"";
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        self.get(name, expected, |text| text.parse().ok().map(Some)).unwrap_or(any)
    }

    pub fn duration(&mut self, name: &str, min: Duration, max: Duration) -> Duration {
        let expected = format!("a duration from {min:?} to {max:?}, such as \"30s\" or \"5m\"");
        self.get(name, &expected, |text| duration(text).filter(|d| (min..=max).contains(d)))
    }

    pub fn number(&mut self, name: &str, min: usize, max: usize) -> usize {
        let expected = format!("a number from {min} to {max}");
        self.get(name, &expected, |text| {
            text.replace('_', "").parse().ok().filter(|n| (min..=max).contains(n))
        })
    }

    pub fn optional<T>(
        &mut self,
        name: &str,
        expected: &str,
        parse: impl Fn(&str) -> Option<T>,
    ) -> Option<T> {
        self.get(name, expected, |text| if text.is_empty() { Some(None) } else { parse(text).map(Some) })
    }

    /// What only several settings together show to be wrong.
    pub fn problem(&mut self, text: String) {
        self.problems.push(text);
    }

    /// Everything that was wrong, if anything was.
    pub fn finish<T>(&self, config: T) -> Result<T, Problems> {
        if self.problems.is_empty() { Ok(config) } else { Err(Problems(self.problems.clone())) }
    }

    /// The effective settings and where each comes from, for `config check`.
    pub fn rows(&self) -> Vec<[String; 3]> {
        let row = |key: &Key| {
            let value = self.values.get(key.name);
            let (text, origin) = value.map(|v| (v.text.clone(), v.origin.to_string())).unwrap_or_default();
            [key.name.to_owned(), text, origin]
        };
        self.keys.iter().map(row).collect()
    }
}

/// The table of settings as Markdown.
pub fn markdown(keys: &[Key]) -> String {
    let mut text = String::from("| Setting | Environment | Default | Meaning |\n| --- | --- | --- | --- |\n");
    for Key { name, env, default, help } in keys {
        let default = if default.is_empty() { String::new() } else { format!("`{default}`") };
        let _infallible = writeln!(text, "| `{name}` | `{env}` | {default} | {help} |");
    }
    text
}

fn flag(text: &str) -> Option<bool> {
    match text.to_ascii_lowercase().as_str() {
        "true" | "1" | "yes" | "on" => Some(true),
        "false" | "0" | "no" | "off" => Some(false),
        _ => None,
    }
}

/// "30s", "5m", "2h", "500ms", or whole seconds.
pub fn duration(text: &str) -> Option<Duration> {
    let split = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(split);
    let number: u64 = number.parse().ok()?;
    match unit.trim() {
        "" | "s" => Some(Duration::from_secs(number)),
        "ms" => Some(Duration::from_millis(number)),
        "m" => number.checked_mul(60).map(Duration::from_secs),
        "h" => number.checked_mul(3_600).map(Duration::from_secs),
        "d" => number.checked_mul(86_400).map(Duration::from_secs),
        _ => None,
    }
}

fn position(text: &str, offset: usize) -> (usize, usize) {
    let before = text.get(..offset).unwrap_or(text);
    let line = before.matches('\n').count() + 1;
    let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
    (line, column)
}

fn kind(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::Array(_) => "a list",
        DeValue::Integer(_) => "a number that is not decimal",
        DeValue::Float(_) => "a number with a fraction",
        DeValue::Datetime(_) => "a date",
        _ => "something else",
    }
}

/// The known name with the most of its letters in place, when that is most of them; of equals the one in the same section.
fn nearest(name: &str, keys: &[Key]) -> Option<&'static str> {
    let parts = |text: &str| match text.rsplit_once('.') {
        Some((section, last)) => (section.to_owned(), last.to_owned()),
        None => (String::new(), text.to_owned()),
    };
    let (section, last) = parts(name);
    let same = |a: &str, b: &str| a.chars().zip(b.chars()).take_while(|(a, b)| a == b).count();
    let reversed = |text: &str| text.chars().rev().collect::<String>();
    let alike = |a: &str, b: &str| same(a, b) + same(&reversed(a), &reversed(b));
    let scored = keys.iter().map(|key| {
        let (of, known) = parts(key.name);
        ((alike(&known, &last), of == section), key.name)
    });
    scored.max_by_key(|(score, _)| *score).filter(|((letters, _), _)| *letters >= 3).map(|(_, name)| name)
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEYS: &[Key] = &[
        Key { name: "data_dir", env: "T_DATA_DIR", default: "/var/lib/t", help: "" },
        Key { name: "grpc.listen", env: "T_GRPC_LISTEN", default: "127.0.0.1:1", help: "" },
        Key { name: "poll.interval", env: "T_POLL_INTERVAL", default: "60s", help: "" },
        Key { name: "on", env: "T_ON", default: "true", help: "" },
    ];

    fn file(text: &str) -> tempfile::NamedTempFile {
        let file = tempfile::NamedTempFile::new().expect("a file");
        std::fs::write(file.path(), text).expect("written");
        file
    }

    fn none(_: &str) -> Option<String> {
        None
    }

    #[test]
    fn flags_win_over_environment_over_file_over_default() {
        let file = file("data_dir = \"/a\"\non = false\n[poll]\ninterval = 90\n[grpc]\nlisten = \"f:1\"\n");
        let env = |name: &str| match name {
            "T_GRPC_LISTEN" => Some("e:1".to_owned()),
            "T_ON" => Some("yes".to_owned()),
            _ => None,
        };
        let flags = [("on", "--on", None), ("grpc.listen", "--listen", Some("g:1".to_owned()))];
        let mut settings = Settings::read(KEYS, Some(file.path()), env, &flags);
        assert_eq!(settings.text("data_dir"), "/a");
        assert_eq!(settings.text("grpc.listen"), "g:1");
        assert!(settings.flag("on"));
        let second = Duration::from_secs(1);
        assert_eq!(settings.duration("poll.interval", second, 100 * second), 90 * second);
        settings.finish(()).expect("all is well");
        let origins: Vec<String> = settings.rows().into_iter().map(|[_, _, origin]| origin).collect();
        assert!(origins[0].ends_with(":1:1"), "{origins:?}");
        assert_eq!(
            origins[1..],
            [
                "flag --listen".to_owned(),
                format!("{}:4:1", file.path().display()),
                "environment T_ON".to_owned()
            ]
        );
    }

    #[test]
    fn what_is_nearest_is_looked_for_in_the_section_that_was_meant() {
        let of = |name| Key { name, env: "", default: "", help: "" };
        for keys in [["grpc.listen", "http.listen"], ["http.listen", "grpc.listen"]] {
            let keys = keys.map(of);
            assert_eq!(nearest("grpc.listn", &keys), Some("grpc.listen"));
            assert_eq!(nearest("http.listn", &keys), Some("http.listen"));
            assert_eq!(nearest("grpc.timeout", &keys), None);
        }
    }

    #[test]
    fn every_mistake_is_told_with_its_place() {
        let file = file("dat_dir = \"/a\"\non = \"perhaps\"\n[poll]\ninterval = \"3 weeks\"\nlist = [1]\n");
        let mut settings = Settings::read(KEYS, Some(file.path()), none, &[]);
        settings.flag("on");
        settings.duration("poll.interval", Duration::ZERO, Duration::MAX);
        let Problems(problems) = settings.finish(()).expect_err("there are mistakes");
        let path = file.path().display();
        assert_eq!(problems.len(), 4, "{problems:#?}");
        assert!(
            problems[0]
                .starts_with(&format!("{path}:1:1: there is no setting dat_dir; did you mean data_dir?"))
        );
        assert!(problems[1].contains(":5:1: poll.list is a list"), "{problems:#?}");
        assert!(problems[2].contains(":2:1: on is \"perhaps\"; expected true or false"), "{problems:#?}");
        assert!(problems[3].contains("such as \"30s\""), "{problems:#?}");
    }

    #[test]
    fn a_file_that_is_no_toml_or_not_there_says_so() {
        let file = file("data_dir = \"/a\"\n\non = = 1\n");
        let problems = Settings::read(KEYS, Some(file.path()), none, &[]).finish(()).expect_err("no TOML");
        assert!(problems.to_string().contains(":3:"), "{problems}");
        let missing = Settings::read(KEYS, Some(Path::new("/nowhere/x.toml")), none, &[]).finish(());
        assert!(missing.expect_err("not there").to_string().contains("--config"));
    }

    #[test]
    fn durations() {
        for (text, millis) in [
            ("30s", 30_000),
            ("5m", 300_000),
            ("2h", 7_200_000),
            ("500ms", 500),
            ("7", 7_000),
            ("1d", 86_400_000),
        ] {
            assert_eq!(duration(text), Some(Duration::from_millis(millis)), "{text}");
        }
        for text in ["", "s", "-1s", "1w", "1.5s", "99999999999999999999h"] {
            assert_eq!(duration(text), None, "{text}");
        }
    }
}
