//! Tolerant reading of JSON: unknown, missing and null are nothing special,
//! numbers come as numbers or text, properties come wrapped. Never panics.

pub mod repair;
pub mod rows;
pub mod text;

use pulse_proto::model::UnixMillis;
use serde_json::{Map, Value};

/// Keys under which TrueNAS wraps the value of a ZFS property.
const WRAPPED_FOR_NUMBERS: [&str; 4] = ["parsed", "raw", "rawvalue", "value"];
const WRAPPED_FOR_WORDS: [&str; 4] = ["rawvalue", "raw", "value", "parsed"];
/// From this on a bare number is milliseconds, below it seconds.
const MILLIS_FROM: u64 = 1_000_000_000_000;

/// What kind of JSON value it is, for messages.
pub const fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}

/// An object whose fields are read by name; absent and null are alike.
#[derive(Clone, Copy)]
pub struct Fields<'a>(Option<&'a Map<String, Value>>);

impl<'a> Fields<'a> {
    /// Anything else than an object reads as an empty one.
    pub fn of(value: &'a Value) -> Self {
        Self(value.as_object())
    }

    /// Fails when the value is no object.
    pub fn require(value: &'a Value) -> Result<Self, String> {
        match value.as_object() {
            Some(map) => Ok(Self(Some(map))),
            None => Err(format!("is {}, expected an object", kind(value))),
        }
    }

    pub fn get(self, key: &str) -> Option<&'a Value> {
        self.0?.get(key).filter(|value| !value.is_null())
    }

    pub fn has(self, key: &str) -> bool {
        self.0.is_some_and(|map| map.contains_key(key))
    }

    pub fn entries(self) -> impl Iterator<Item = (&'a String, &'a Value)> {
        self.0.into_iter().flatten()
    }

    pub fn object(self, key: &str) -> Option<Self> {
        self.get(key)?.as_object().map(|map| Self(Some(map)))
    }

    pub fn list(self, key: &str) -> &'a [Value] {
        self.get(key).and_then(Value::as_array).map_or(&[], Vec::as_slice)
    }

    /// A name that identifies: untouched, since a changed name is another name.
    pub fn name(self, key: &str) -> Option<String> {
        self.get(key).and_then(word).filter(|text| !text.is_empty())
    }

    /// One clean line; empty when absent.
    pub fn line(self, key: &str) -> String {
        self.get(key).and_then(word).map(|text| text::line(&text)).unwrap_or_default()
    }

    /// Clean text that may have several lines; empty when absent.
    pub fn prose(self, key: &str) -> String {
        self.get(key).and_then(word).map(|text| text::prose(&text)).unwrap_or_default()
    }

    pub fn u64(self, key: &str) -> Option<u64> {
        self.get(key).and_then(unsigned)
    }

    pub fn u32(self, key: &str) -> Option<u32> {
        self.u64(key).and_then(|n| u32::try_from(n).ok())
    }

    /// Like [`Self::u64`] where zero means "none set".
    pub fn nonzero(self, key: &str) -> Option<u64> {
        self.u64(key).filter(|n| *n > 0)
    }

    pub fn f64(self, key: &str) -> Option<f64> {
        self.get(key).and_then(float)
    }

    pub fn bool(self, key: &str) -> Option<bool> {
        self.get(key).and_then(boolean)
    }

    pub fn time(self, key: &str) -> Option<UnixMillis> {
        self.get(key).and_then(time)
    }
}

/// Looks through `{parsed, rawvalue, value}` and `{raw, value}`.
fn through<'a, T>(value: &'a Value, keys: &[&str], read: impl Fn(&'a Value) -> Option<T>) -> Option<T> {
    match value.as_object() {
        Some(map) => keys.iter().filter_map(|key| map.get(*key)).find_map(read),
        None => read(value),
    }
}

/// Text, number or boolean as text.
pub fn word(value: &Value) -> Option<String> {
    through(value, &WRAPPED_FOR_WORDS, |value| match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(flag) => Some(flag.to_string()),
        _ => None,
    })
}

/// A count or a size. Negative and fractional-only values are no such thing.
pub fn unsigned(value: &Value) -> Option<u64> {
    through(value, &WRAPPED_FOR_NUMBERS, |value| match value {
        Value::Number(number) => number.as_u64().or_else(|| number.as_f64().and_then(whole)),
        Value::String(text) => {
            let text = text.trim();
            text.parse().ok().or_else(|| text.parse::<f64>().ok().and_then(whole))
        }
        _ => None,
    })
}

/// 2^64 as a float: the first value that does not fit.
const U64_END: f64 = 18_446_744_073_709_551_616.0;

#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "the range is checked first")]
fn whole(number: f64) -> Option<u64> {
    (0.0..U64_END).contains(&number).then_some(number as u64)
}

/// A finite number; `1.21x` and `4%` are read too.
pub fn float(value: &Value) -> Option<f64> {
    through(value, &WRAPPED_FOR_NUMBERS, |value| match value {
        Value::Number(number) => number.as_f64(),
        Value::String(text) => text.trim().trim_end_matches(['x', 'X', '%']).parse().ok(),
        _ => None,
    })
    .filter(|number| number.is_finite())
}

pub fn boolean(value: &Value) -> Option<bool> {
    through(value, &WRAPPED_FOR_NUMBERS, |value| match value {
        Value::Bool(flag) => Some(*flag),
        Value::Number(number) => number.as_f64().map(|n| n != 0.0),
        Value::String(text) => match text.trim().to_ascii_lowercase().as_str() {
            "on" | "true" | "yes" | "1" | "enabled" => Some(true),
            "off" | "false" | "no" | "0" | "disabled" => Some(false),
            _ => None,
        },
        _ => None,
    })
}

/// `{"$date": ms}`, seconds, milliseconds or RFC 3339; zero means never.
pub fn time(value: &Value) -> Option<UnixMillis> {
    let millis = match value {
        Value::Object(map) => match map.get("$date") {
            Some(date) => unsigned(date)?,
            None => {
                return through(value, &WRAPPED_FOR_NUMBERS, |inner| {
                    if inner.is_object() { time_of_date(inner) } else { time(inner) }
                });
            }
        },
        Value::Number(_) => scaled(unsigned(value)?),
        Value::String(text) => match unsigned(value) {
            Some(number) => scaled(number),
            None => u64::try_from(text.trim().parse::<jiff::Timestamp>().ok()?.as_millisecond()).ok()?,
        },
        _ => return None,
    };
    (millis > 0).then(|| UnixMillis::new(millis))
}

fn time_of_date(value: &Value) -> Option<UnixMillis> {
    value.get("$date").and_then(unsigned).filter(|ms| *ms > 0).map(UnixMillis::new)
}

const fn scaled(number: u64) -> u64 {
    if number >= MILLIS_FROM { number } else { number.saturating_mul(1_000) }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn numbers_come_in_many_clothes() {
        let max = json!(18_446_744_073_709_551_557_u64);
        assert_eq!(unsigned(&max), Some(18_446_744_073_709_551_557));
        for (value, expected) in [
            (json!(5), Some(5)),
            (json!("5"), Some(5)),
            (json!(" 5 "), Some(5)),
            (json!(5.9), Some(5)),
            (json!("1e3"), Some(1_000)),
            (json!({"parsed": 5, "rawvalue": "6"}), Some(5)),
            (json!({"parsed": null, "rawvalue": "6"}), Some(6)),
            (json!({"raw": "7", "value": null}), Some(7)),
            (json!("18446744073709551615"), Some(u64::MAX)),
            (json!(-1), None),
            (json!("none"), None),
            (json!(1e300), None),
            (json!("NaN"), None),
            (json!([5]), None),
            (json!({"parsed": {"parsed": 5}}), None),
        ] {
            assert_eq!(unsigned(&value), expected, "{value}");
        }
        assert_eq!(float(&json!({"value": "1.21x"})), Some(1.21));
        assert_eq!(float(&json!("inf")), None);
    }

    #[test]
    fn booleans_and_words() {
        for value in [json!(true), json!("on"), json!("YES"), json!(1), json!({"raw": "on", "value": true})] {
            assert_eq!(boolean(&value), Some(true), "{value}");
        }
        for value in [json!(false), json!("off"), json!(0), json!({"parsed": false})] {
            assert_eq!(boolean(&value), Some(false), "{value}");
        }
        assert_eq!(boolean(&json!("perhaps")), None);
        assert_eq!(word(&json!(7)).as_deref(), Some("7"));
        assert_eq!(word(&json!({"value": "LZ4", "rawvalue": "lz4"})).as_deref(), Some("lz4"));
        assert_eq!(word(&json!([])), None);
    }

    #[test]
    fn times_of_every_sort() {
        let then = Some(UnixMillis::new(1_786_924_803_000));
        for value in [
            json!({"$date": 1_786_924_803_000_u64}),
            json!(1_786_924_803),
            json!(1_786_924_803_000_u64),
            json!("1786924803"),
            json!("2026-08-17T00:00:03Z"),
        ] {
            assert_eq!(time(&value), then, "{value}");
        }
        for value in [json!(null), json!(0), json!(-5), json!({"$date": null}), json!("soon"), json!(true)] {
            assert_eq!(time(&value), None, "{value}");
        }
    }
}
