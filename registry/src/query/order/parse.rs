//! The `order_by` text: fields with a direction, separated by commas. A label's
//! key stands in quotes when it has signs of this language in it.

use super::{Direction, ORDER_CHARS_MAX, OrderError};
use crate::query::filter::field::{Field, scalar_names};

pub(super) fn parse(text: &str) -> Result<Vec<(Field, Direction)>, OrderError> {
    if text.chars().nth(ORDER_CHARS_MAX).is_some() {
        return Err(OrderError {
            position: ORDER_CHARS_MAX + 1,
            problem: format!("longer than {ORDER_CHARS_MAX} characters; name fewer fields"),
        });
    }
    let mut keys: Vec<(Field, Direction)> = Vec::new();
    if text.trim().is_empty() {
        return Ok(keys);
    }
    for (position, words) in parts(text)? {
        let (field, direction) = key(position, &words)?;
        if keys.iter().any(|(known, _)| *known == field) {
            return Err(OrderError { position, problem: "the field is named twice; remove one".to_owned() });
        }
        keys.push((field, direction));
    }
    Ok(keys)
}

/// A word and its position, in characters from 1.
type Word = (usize, String);

/// Words between commas, with the position where the first should be.
fn parts(text: &str) -> Result<Vec<(usize, Vec<Word>)>, OrderError> {
    let mut parts: Vec<(usize, Vec<Word>)> = vec![(1, Vec::new())];
    let mut in_word = false;
    let mut quote = None;
    for (index, c) in text.chars().enumerate() {
        let position = index + 1;
        let Some((start, words)) = parts.last_mut() else { break };
        let is_end = quote.is_none() && (c == ',' || c.is_whitespace());
        if c == '"' {
            quote = if quote.is_some() { None } else { Some(position) };
        }
        if is_end {
            in_word = false;
            match c {
                ',' => parts.push((position + 1, Vec::new())),
                _ if words.is_empty() => *start = position + 1,
                _ => {}
            }
            continue;
        }
        if !in_word {
            words.push((position, String::new()));
            in_word = true;
        }
        if let Some((_, word)) = words.last_mut() {
            word.push(c);
        }
    }
    match quote {
        Some(position) => Err(OrderError { position, problem: "this quote is never closed".to_owned() }),
        None => Ok(parts),
    }
}

fn key(position: usize, words: &[Word]) -> Result<(Field, Direction), OrderError> {
    let refuse = |position, problem| Err(OrderError { position, problem });
    let Some((_, name)) = words.first() else {
        return refuse(position, format!("expected a field; known fields are {}", scalar_names()));
    };
    let path = segments(name);
    let field = Field::find(&path).filter(|_| path.iter().all(|segment| !segment.is_empty()));
    let Some(field) = field else {
        return refuse(position, format!("cannot order by {name:?}; known fields are {}", scalar_names()));
    };
    if !field.is_scalar() {
        let problem = format!("{name} has many values; a list can be ordered by {}", scalar_names());
        return refuse(position, problem);
    }
    let direction = match words.get(1) {
        None => Direction::Ascending,
        Some((_, word)) if word.eq_ignore_ascii_case("asc") => Direction::Ascending,
        Some((_, word)) if word.eq_ignore_ascii_case("desc") => Direction::Descending,
        Some((position, word)) => {
            return refuse(*position, format!("expected a comma or \"desc\" after {name}, found {word:?}"));
        }
    };
    match words.get(2) {
        Some((position, _)) => refuse(*position, "separate fields by commas".to_owned()),
        None => Ok((field, direction)),
    }
}

/// Between dots; dots in quotes are text.
fn segments(name: &str) -> Vec<String> {
    let mut segments = vec![String::new()];
    let mut quoted = false;
    for c in name.chars() {
        match c {
            '"' => quoted = !quoted,
            '.' if !quoted => segments.push(String::new()),
            _ => {
                if let Some(last) = segments.last_mut() {
                    last.push(c);
                }
            }
        }
    }
    segments
}
