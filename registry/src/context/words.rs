//! Figures as people read them. Ages are coarse, so that a text does not
//! change while nothing else does.

use std::borrow::Cow;
use std::fmt;
use std::time::Duration;

use pulse_proto::model::UnixMillis;

/// Words of this program: never a text that somebody else supplied.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Own(Cow<'static, str>);

impl From<&'static str> for Own {
    fn from(text: &'static str) -> Self {
        Self(Cow::Borrowed(text))
    }
}

impl fmt::Display for Own {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Own {
    pub fn as_str(&self) -> &str {
        &self.0
    }

    fn new(text: String) -> Self {
        Self(Cow::Owned(text))
    }

    /// One after the other.
    #[must_use]
    pub fn then(&self, next: &Self) -> Self {
        Self::new(format!("{self}{next}"))
    }

    /// "Pool" for "pool": the beginning of a sentence.
    #[must_use]
    pub fn capital(&self) -> Self {
        let mut letters = self.0.chars();
        let first = letters.next().map(|first| first.to_uppercase().to_string()).unwrap_or_default();
        Self::new(first + letters.as_str())
    }
}

pub(crate) fn number(number: u64) -> Own {
    let digits = number.to_string();
    let mut grouped = String::with_capacity(digits.len() + digits.len() / 3);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    Own::new(grouped)
}

/// Plain digits, for values that programs read.
pub(crate) fn digits(number: u64) -> Own {
    Own::new(number.to_string())
}

/// "1 pool", "3 pools".
pub(crate) fn count(number: u64, one: &'static str) -> Own {
    let plural = match one {
        _ if number == 1 => Cow::Borrowed(one),
        _ if one.ends_with("ss") => Cow::Owned(format!("{one}es")),
        _ => Cow::Owned(format!("{one}s")),
    };
    Own::new(format!("{} {plural}", self::number(number)))
}

/// "1.5 TiB".
#[allow(clippy::cast_precision_loss, reason = "one decimal is shown")]
pub(crate) fn size(bytes: u64) -> Own {
    const UNITS: [&str; 6] = ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
    if bytes < 1024 {
        return Own::new(format!("{bytes} B"));
    }
    let mut value = bytes as f64 / 1024.0;
    let mut unit = 0;
    while value >= 999.95 && unit + 1 < UNITS.len() {
        value /= 1024.0;
        unit += 1;
    }
    Own::new(format!("{value:.1} {}", UNITS[unit]))
}

/// More is no share of anything.
const SHARE_PERCENT_MAX: u64 = 1_000;

/// A share in whole percent, rounded; `None` of nothing, and where the figures cannot be.
pub(crate) fn share(part: u64, whole: u64) -> Option<u64> {
    let rounded = (u128::from(part) * 100 + u128::from(whole) / 2).checked_div(u128::from(whole))?;
    u64::try_from(rounded).ok().filter(|percent| *percent <= SHARE_PERCENT_MAX)
}

/// "37 %".
pub(crate) fn percent(value: u64) -> Own {
    Own::new(format!("{value} %"))
}

/// Measured percent without decimals; `None` where it cannot be.
pub(crate) fn rounded_percent(value: f64) -> Option<Own> {
    (0.0..=100.5).contains(&value).then(|| whole(value))
}

/// A temperature without decimals; `None` where it cannot be.
pub(crate) fn celsius(value: f64) -> Option<Own> {
    (-100.0..=200.0).contains(&value).then(|| whole(value))
}

fn whole(value: f64) -> Own {
    // There is no zero below zero.
    Own::new(format!("{:.0}", value.round() + 0.0))
}

/// A measured value with one decimal; `None` where it cannot be.
pub(crate) fn tenths(value: f64) -> Option<Own> {
    (0.0..1e6).contains(&value).then(|| Own::new(format!("{value:.1}")))
}

/// Longer than anything is watched, in days.
const SPAN_DAYS_MAX: u64 = 36_500;

/// "5 h".
pub(crate) fn span(duration: Duration) -> Own {
    let seconds = duration.as_secs();
    let (minutes, hours, days) = (seconds / 60, seconds / 3_600, seconds / 86_400);
    if days > SPAN_DAYS_MAX {
        return Own::from("more than 100 years");
    }
    Own::new(match () {
        () if minutes == 0 => "less than 1 min".to_owned(),
        () if minutes < 60 => format!("{minutes} min"),
        () if hours < 48 => format!("{hours} h"),
        () => format!("{days} d"),
    })
}

/// "3 h ago".
pub(crate) fn ago(at: UnixMillis, now: UnixMillis) -> Own {
    let minutes = now.since(at).as_secs() / 60;
    if minutes < 5 {
        return Own::from("moments ago");
    }
    let coarse = if minutes < 60 { minutes / 5 * 5 } else { minutes };
    Own::new(format!("{} ago", span(Duration::from_secs(coarse * 60))))
}

/// "in 7 d", or how long ago it was.
pub(crate) fn until(at: UnixMillis, now: UnixMillis) -> Own {
    if at <= now { ago(at, now) } else { Own::new(format!("in {}", span(at.since(now)))) }
}

/// A day of the calendar, in UTC.
pub(crate) fn day(at: UnixMillis) -> Own {
    let millis = i64::try_from(at.get()).unwrap_or(i64::MAX);
    let at = jiff::Timestamp::from_millisecond(millis).unwrap_or_default();
    Own::new(at.strftime("%Y-%m-%d").to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_read_well() {
        assert_eq!(number(1_234_567).as_str(), "1,234,567");
        assert_eq!(number(12).as_str(), "12");
        assert_eq!((count(1, "pool").as_str(), count(0, "pool").as_str()), ("1 pool", "0 pools"));
        assert_eq!(size(1_023).as_str(), "1023 B");
        assert_eq!(size(3 << 39).as_str(), "1.5 TiB");
        assert_eq!(size(u64::MAX).as_str(), "16.0 EiB");
        assert_eq!((share(1, 3), share(1, 0)), (Some(33), None));
    }

    #[test]
    fn figures_that_cannot_be_are_not_shown() {
        for value in [f64::NAN, f64::INFINITY, 1e30, -1e30] {
            assert_eq!(
                (rounded_percent(value), celsius(value), tenths(value)),
                (None, None, None),
                "{value}"
            );
        }
        let shown = |own: Option<Own>| own.map(|own| own.to_string()).unwrap_or_default();
        assert_eq!(
            (shown(rounded_percent(37.4)), shown(rounded_percent(-1.0))),
            ("37".into(), String::new())
        );
        assert_eq!((shown(celsius(-0.2)), shown(celsius(-4.6))), ("0".into(), "-5".into()));
        assert_eq!((share(u64::MAX, 1), share(5, 4)), (None, Some(125)));
        assert_eq!(span(Duration::from_secs(u64::MAX)).as_str(), "more than 100 years");
    }

    #[test]
    fn ages_are_coarse() {
        let now = UnixMillis::new(1_000_000_000);
        let ago = |seconds: u64| ago(UnixMillis::new(now.get() - seconds * 1_000), now).as_str().to_owned();
        for (seconds, text) in [
            (0, "moments ago"),
            (299, "moments ago"),
            (300, "5 min ago"),
            (599, "5 min ago"),
            (3_599, "55 min ago"),
            (3_600, "1 h ago"),
            (47 * 3_600, "47 h ago"),
            (48 * 3_600, "2 d ago"),
        ] {
            assert_eq!(ago(seconds), text, "{seconds}");
        }
        assert_eq!(until(UnixMillis::new(now.get() + 7_200_000), now).as_str(), "in 2 h");
        assert_eq!(day(UnixMillis::new(0)).as_str(), "1970-01-01");
    }
}
