//! Splits a reply into rows, so that a bad row costs itself alone.

use serde_json::Value;
use serde_json::value::RawValue;

use super::repair::repair;
use super::{Fields, kind, text};
use crate::api::{DecodeError, Decoded, SkippedRow};

/// Most rows read from one reply.
pub const ROWS_MAX: usize = 250_000;

/// Decodes a list reply row by row. Only a reply that is no list fails.
pub fn list<T>(
    reply: &[u8],
    decode: impl Fn(&Value) -> Result<T, String>,
) -> Result<Decoded<T>, DecodeError> {
    let mut decoded = Decoded { rows: Vec::new(), skipped: Vec::new() };
    each(reply, |index, row| match row {
        Ok(value) => match decode(&value) {
            Ok(row) => decoded.rows.push(row),
            Err(why) => decoded.skipped.push(skipped(index, &value, why)),
        },
        Err(lost) => decoded.skipped.push(lost),
    })?;
    Ok(decoded)
}

/// Hands out every row of a list reply.
pub fn each(reply: &[u8], mut take: impl FnMut(usize, Result<Value, SkippedRow>)) -> Result<(), DecodeError> {
    let text = String::from_utf8_lossy(reply);
    match serde_json::from_str::<Vec<&RawValue>>(&text) {
        Ok(rows) => rows_of(&rows, &mut take),
        Err(error) => {
            let repaired = repair(&text);
            match serde_json::from_str::<Vec<&RawValue>>(&repaired) {
                Ok(rows) => rows_of(&rows, &mut take),
                Err(_) => Err(wrong_shape(&repaired, "a list", &error)),
            }
        }
    }
}

/// The one object (or word) a reply consists of.
pub fn one(reply: &[u8]) -> Result<Value, DecodeError> {
    let text = String::from_utf8_lossy(reply);
    serde_json::from_str(&text)
        .or_else(|_| serde_json::from_str(&repair(&text)))
        .map_err(|error| DecodeError::Json(error.to_string()))
}

/// Like [`one`], but only an object will do.
pub fn object(reply: &[u8]) -> Result<Value, DecodeError> {
    let value = one(reply)?;
    if value.is_object() {
        Ok(value)
    } else {
        Err(DecodeError::Shape { expected: "an object", found: kind(&value) })
    }
}

/// A row that was JSON but not what it should be.
pub fn skipped(index: usize, value: &Value, why: String) -> SkippedRow {
    let fields = Fields::of(value);
    let name = ["name", "id", "identifier", "uuid"].into_iter().find_map(|key| fields.name(key));
    SkippedRow { index, name: name.map(|name| text::line(&name)), why }
}

fn rows_of(
    rows: &[&RawValue],
    take: &mut impl FnMut(usize, Result<Value, SkippedRow>),
) -> Result<(), DecodeError> {
    if rows.len() > ROWS_MAX {
        return Err(DecodeError::TooMany { count: rows.len(), max: ROWS_MAX });
    }
    for (index, row) in rows.iter().enumerate() {
        let row = row.get();
        let value = serde_json::from_str(row)
            .or_else(|_| serde_json::from_str(&repair(row)))
            .map_err(|error| SkippedRow { index, name: name_in(row), why: format!("is not JSON: {error}") });
        take(index, value);
    }
    Ok(())
}

fn wrong_shape(text: &str, expected: &'static str, error: &serde_json::Error) -> DecodeError {
    match serde_json::from_str::<Value>(text) {
        Ok(value) => DecodeError::Shape { expected, found: kind(&value) },
        Err(_) => DecodeError::Json(error.to_string()),
    }
}

/// The name of a row that cannot be parsed, when it can be seen in the text.
fn name_in(row: &str) -> Option<String> {
    let (_, rest) = row.split_once("\"name\"")?;
    let rest = rest.trim_start().strip_prefix(':')?.trim_start().strip_prefix('"')?;
    let (name, _) = rest.split_once('"')?;
    (!name.is_empty() && !name.contains('\\')).then(|| text::line(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(reply: &str) -> Result<Decoded<String>, DecodeError> {
        list(reply.as_bytes(), |row| Fields::require(row)?.name("name").ok_or_else(|| "no name".to_owned()))
    }

    #[test]
    fn a_bad_row_costs_itself() {
        let deep = format!("{{\"name\":\"deep\",\"x\":{}{}}}", "[".repeat(300), "]".repeat(300));
        let reply = format!(r#"[{{"name":"a","n":NaN}}, 7, null, {{"name":null}}, {deep}, {{"name":"z"}}]"#);
        let decoded = names(&reply).expect("a list");
        assert_eq!(decoded.rows, ["a", "z"]);
        let skipped: Vec<_> = decoded.skipped.iter().map(|s| (s.index, s.name.as_deref())).collect();
        assert_eq!(skipped, [(1, None), (2, None), (3, None), (4, Some("deep"))]);
    }

    #[test]
    fn only_the_outer_shape_fails_the_reply() {
        assert_eq!(names("{}"), Err(DecodeError::Shape { expected: "a list", found: "an object" }));
        assert_eq!(names("null"), Err(DecodeError::Shape { expected: "a list", found: "null" }));
        assert!(matches!(names("[{\"name\":"), Err(DecodeError::Json(_))));
        assert!(matches!(names(""), Err(DecodeError::Json(_))));
    }
}
