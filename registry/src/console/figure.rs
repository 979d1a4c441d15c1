//! Figures as a page shows them: sizes in the units a person chose, times
//! relative and absolute, bars. Owns markup of its own making and nothing that
//! a monitored system said, so none of it needs escaping.

use std::fmt;
use std::time::Duration;

use askama::filters::HtmlSafe;
use pulse_proto::model::UnixMillis;

/// In which units sizes are shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Units {
    /// Powers of 1,024, as TrueNAS shows them.
    #[default]
    Binary,
    /// Powers of 1,000, as disks are sold.
    Decimal,
}

impl Units {
    pub fn from_token(token: &str) -> Self {
        if token == Self::Decimal.token() { Self::Decimal } else { Self::Binary }
    }

    pub const fn token(self) -> &'static str {
        match self {
            Self::Binary => "tib",
            Self::Decimal => "tb",
        }
    }

    /// Three digits that count, as far as they go.
    #[allow(clippy::cast_precision_loss, reason = "three digits are shown")]
    pub fn size(self, bytes: u64) -> String {
        let (step, units) = match self {
            Self::Binary => (1024.0, ["B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"]),
            Self::Decimal => (1000.0, ["B", "kB", "MB", "GB", "TB", "PB", "EB"]),
        };
        let mut value = bytes as f64;
        let mut unit = 0;
        while value >= 999.5 && unit + 1 < units.len() {
            value /= step;
            unit += 1;
        }
        let decimals = match value {
            _ if unit == 0 => 0,
            value if value < 9.995 => 2,
            value if value < 99.95 => 1,
            _ => 0,
        };
        format!("{value:.decimals$} {}", units[unit])
    }
}

/// 0 to 100, of what is known.
#[allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    clippy::cast_precision_loss,
    reason = "a ratio of sizes, clamped"
)]
pub fn percent(part: u64, whole: u64) -> Option<u8> {
    (whole > 0).then(|| (part as f64 * 100.0 / whole as f64).round().clamp(0.0, 100.0) as u8)
}

#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped")]
pub fn whole_percent(value: f64) -> u8 {
    value.round().clamp(0.0, 100.0) as u8
}

/// How long something takes or lasts.
pub fn span(duration: Duration) -> String {
    let seconds = duration.as_secs();
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3_600 => format!("{} min", seconds / 60),
        3_600..172_800 => format!("{} h", seconds / 3_600),
        _ => format!("{} d", seconds / 86_400),
    }
}

/// A time, as an age with the date behind it. The page's script keeps the age true.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct When {
    pub at: UnixMillis,
    pub now: UnixMillis,
}

impl When {
    pub fn age(self) -> String {
        if self.at > self.now {
            return format!("in {}", span(self.at.since(self.now)));
        }
        let age = self.now.since(self.at);
        if age < Duration::from_secs(10) { "just now".to_owned() } else { format!("{} ago", span(age)) }
    }

    pub fn date(self) -> String {
        timestamp(self.at).strftime("%Y-%m-%d %H:%M:%S UTC").to_string()
    }
}

fn timestamp(at: UnixMillis) -> jiff::Timestamp {
    i64::try_from(at.get())
        .ok()
        .and_then(|millis| jiff::Timestamp::from_millisecond(millis).ok())
        .unwrap_or_default()
}

impl fmt::Display for When {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let machine = timestamp(self.at).strftime("%Y-%m-%dT%H:%M:%SZ");
        write!(f, "<time datetime=\"{machine}\" title=\"{}\">{}</time>", self.date(), self.age())
    }
}

impl HtmlSafe for When {}

/// How full something is. Decoration: the figure stands beside it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bar {
    pub tone: &'static str,
    pub part: u8,
    /// After the first one, in another shade.
    pub then: u8,
}

impl Bar {
    pub fn full(part: u8) -> Self {
        let tone = match part {
            0..80 => "ok",
            80..90 => "warn",
            _ => "bad",
        };
        Self { tone, part, then: 0 }
    }

    pub const fn plain(part: u8) -> Self {
        Self { tone: "ok", part, then: 0 }
    }
}

impl fmt::Display for Bar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { tone, part, then } = self;
        let then = (*then).min(100 - part.min(&100));
        write!(
            f,
            "<svg class=\"bar {tone}\" viewBox=\"0 0 100 4\" preserveAspectRatio=\"none\" aria-hidden=\"true\">\
             <rect width=\"{part}\" height=\"4\"/>"
        )?;
        if then > 0 {
            write!(f, "<rect class=\"b\" x=\"{part}\" width=\"{then}\" height=\"4\"/>")?;
        }
        f.write_str("</svg>")
    }
}

impl HtmlSafe for Bar {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_shown_as_people_say_them() {
        for (bytes, binary, decimal) in [
            (0, "0 B", "0 B"),
            (999, "999 B", "999 B"),
            (1_023, "1.00 KiB", "1.02 kB"),
            (1 << 40, "1.00 TiB", "1.10 TB"),
            (12_000_000_000_000, "10.9 TiB", "12.0 TB"),
            (u64::MAX, "16.0 EiB", "18.4 EB"),
        ] {
            assert_eq!(Units::Binary.size(bytes), binary, "{bytes}");
            assert_eq!(Units::Decimal.size(bytes), decimal, "{bytes}");
        }
        assert_eq!((percent(1, 3), percent(5, 0), percent(9, 3)), (Some(33), None, Some(100)));
    }

    #[test]
    fn times_are_ages_with_a_date() {
        let now = UnixMillis::new(1_700_000_000_000);
        let ago = |seconds: u64| When { at: UnixMillis::new(now.get() - seconds * 1_000), now };
        for (seconds, age) in
            [(3, "just now"), (42, "42 s ago"), (300, "5 min ago"), (7_300, "2 h ago"), (200_000, "2 d ago")]
        {
            assert_eq!(ago(seconds).age(), age);
        }
        assert_eq!(
            ago(300).to_string(),
            "<time datetime=\"2023-11-14T22:08:20Z\" title=\"2023-11-14 22:08:20 UTC\">5 min ago</time>"
        );
        assert_eq!(When { at: now + Duration::from_secs(90), now }.age(), "in 1 min");
    }
}
