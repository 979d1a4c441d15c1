//! Checks and conversions of single values: text, numbers, times.

use std::time::Duration;

use super::ProtocolError;
use crate::model::UnixMillis;

/// Longest name, path or code, in bytes.
pub(super) const NAME_BYTES_MAX: usize = 1_024;
/// Longest free text, in bytes.
pub(super) const TEXT_BYTES_MAX: usize = 4_096;
/// Longest list of tags, names or addresses.
pub const LIST_MAX: usize = 256;
/// Longest interval a section may claim: one week.
const INTERVAL_MAX: Duration = Duration::from_hours(7 * 24);

/// One line of text: names, states, codes, paths.
pub(super) fn line(text: String) -> Result<String, ProtocolError> {
    bounded(&text, NAME_BYTES_MAX)?;
    if has_control(&text) {
        return Err(ProtocolError::invalid("control characters are not allowed"));
    }
    Ok(text)
}

/// Free text; line breaks and tabs are allowed.
pub(super) fn prose(text: String) -> Result<String, ProtocolError> {
    bounded(&text, TEXT_BYTES_MAX)?;
    if has_control(&text) && text.chars().any(|c| c.is_control() && c != '\n' && c != '\t') {
        return Err(ProtocolError::invalid("control characters are not allowed"));
    }
    Ok(text)
}

/// Whether any character is a control character.
pub(crate) fn has_control(text: &str) -> bool {
    // Nearly every text is printable ASCII, which is told without a branch for each byte.
    let others = text.bytes().filter(|byte| !(b' '..0x7f).contains(byte)).count();
    others > 0 && text.chars().any(char::is_control)
}

fn bounded(text: &str, max: usize) -> Result<(), ProtocolError> {
    if text.len() > max {
        return Err(ProtocolError::invalid(format!("longer than {max} bytes")));
    }
    Ok(())
}

pub(super) fn lines(list: Vec<String>) -> Result<Vec<String>, ProtocolError> {
    at_most(list.len(), LIST_MAX)?;
    list.into_iter().enumerate().map(|(i, text)| line(text).map_err(|e| e.at(&i.to_string()))).collect()
}

pub(super) fn at_most(count: usize, max: usize) -> Result<(), ProtocolError> {
    if count > max {
        return Err(ProtocolError::invalid(format!("more than {max} entries")));
    }
    Ok(())
}

pub(super) fn percent(value: Option<f64>) -> Result<Option<f64>, ProtocolError> {
    match value {
        Some(p) if !(0.0..=100.0).contains(&p) => Err(ProtocolError::invalid("must be between 0 and 100")),
        other => Ok(other),
    }
}

pub(super) fn finite(value: Option<f64>) -> Result<Option<f64>, ProtocolError> {
    match value {
        Some(v) if !v.is_finite() => Err(ProtocolError::invalid("must be a finite number")),
        other => Ok(other),
    }
}

/// Fails before 1970 and after 9999.
pub fn timestamp_from_wire(wire: &prost_types::Timestamp) -> Result<UnixMillis, ProtocolError> {
    let prost_types::Timestamp { seconds, nanos } = *wire;
    let out_of_range = || ProtocolError::invalid("must be between 1970 and 9999");
    let seconds = u64::try_from(seconds).map_err(|_| out_of_range())?;
    let nanos = u64::try_from(nanos).ok().filter(|n| *n < 1_000_000_000).ok_or_else(out_of_range)?;
    let millis = seconds
        .checked_mul(1_000)
        .and_then(|ms| ms.checked_add(nanos / 1_000_000))
        .ok_or_else(out_of_range)?;
    if millis > UnixMillis::MAX.get() {
        return Err(out_of_range());
    }
    Ok(UnixMillis::new(millis))
}

pub(super) fn time(wire: Option<prost_types::Timestamp>) -> Result<Option<UnixMillis>, ProtocolError> {
    wire.as_ref().map(timestamp_from_wire).transpose()
}

pub fn timestamp_to_wire(time: UnixMillis) -> prost_types::Timestamp {
    let millis = time.get();
    prost_types::Timestamp {
        seconds: i64::try_from(millis / 1_000).unwrap_or(i64::MAX),
        nanos: i32::try_from(millis % 1_000).unwrap_or(0) * 1_000_000,
    }
}

pub(super) fn interval(wire: Option<prost_types::Duration>) -> Result<Duration, ProtocolError> {
    let prost_types::Duration { seconds, nanos } = wire.ok_or_else(ProtocolError::missing)?;
    let out_of_range = || ProtocolError::invalid("must be between 0 and one week");
    let seconds = u64::try_from(seconds).map_err(|_| out_of_range())?;
    let nanos = u32::try_from(nanos).ok().filter(|n| *n < 1_000_000_000).ok_or_else(out_of_range)?;
    let value = Duration::new(seconds, nanos);
    if value > INTERVAL_MAX { Err(out_of_range()) } else { Ok(value) }
}

pub(super) fn interval_to_wire(interval: Duration) -> prost_types::Duration {
    prost_types::Duration {
        seconds: i64::try_from(interval.as_secs()).unwrap_or(i64::MAX),
        nanos: i32::try_from(interval.subsec_nanos()).unwrap_or(0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_characters_are_found_in_any_company() {
        for good in ["", "tank/käse", "日本", "a~ z"] {
            assert!(!has_control(good), "{good:?}");
        }
        for bad in ["\0", "a\u{7f}", "tank\n", "käse\u{9b}2J", "\u{1b}[31m"] {
            assert!(has_control(bad), "{bad:?}");
        }
    }

    #[test]
    fn times_outside_the_calendar_are_refused() {
        for (seconds, nanos) in [(-1, 0), (0, -1), (0, 1_000_000_000), (253_402_300_800, 0), (i64::MAX, 0)] {
            assert!(
                timestamp_from_wire(&prost_types::Timestamp { seconds, nanos }).is_err(),
                "{seconds} {nanos}"
            );
        }
        let there =
            timestamp_from_wire(&prost_types::Timestamp { seconds: 1, nanos: 5_000_000 }).expect("in range");
        assert_eq!(there.get(), 1_005);
        assert_eq!(timestamp_to_wire(there), prost_types::Timestamp { seconds: 1, nanos: 5_000_000 });
    }

    #[test]
    fn numbers_that_mean_nothing_are_refused() {
        assert!(percent(Some(f64::NAN)).is_err());
        assert!(percent(Some(100.5)).is_err());
        assert!(finite(Some(f64::INFINITY)).is_err());
        assert_eq!(percent(Some(37.25)), Ok(Some(37.25)));
    }
}
