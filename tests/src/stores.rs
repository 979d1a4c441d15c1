//! Stores that releases wrote, kept as they were (`tests/stores`): unpacked, opened by a binary and asked. Owns the comparison of what is said now with what the
//! release said that wrote them; knows no format.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, ensure};
use serde_json::Value;

use crate::task::root;

pub mod ask;

fn folder() -> PathBuf {
    root().join("tests/stores")
}

/// Puts a kept `data_dir` into a folder, as it was.
pub fn unpack(name: &str, to: &Path) -> anyhow::Result<()> {
    let archive = folder().join(name).with_added_extension("tar.gz");
    std::fs::create_dir_all(to)?;
    tar(Command::new("tar").arg("-xpzf").arg(&archive).arg("-C").arg(to))
        .with_context(|| format!("unpack {}", archive.display()))
}

/// What the release that wrote the store said of it.
pub fn said(name: &str) -> anyhow::Result<Value> {
    let path = folder().join(name).with_added_extension("json");
    let text = std::fs::read_to_string(&path).with_context(|| format!("read {}", path.display()))?;
    Ok(serde_json::from_str(&text)?)
}

/// Keeps a `data_dir` and what was said of it.
pub fn keep(name: &str, data: &Path, said: &Value) -> anyhow::Result<()> {
    std::fs::create_dir_all(folder())?;
    let archive = folder().join(name).with_added_extension("tar.gz");
    tar(Command::new("tar")
        .args(["--owner=0", "--group=0", "-czf"])
        .arg(&archive)
        .arg("-C")
        .arg(data)
        .arg("."))?;
    let text = serde_json::to_string_pretty(said)? + "\n";
    std::fs::write(folder().join(name).with_added_extension("json"), text)?;
    Ok(())
}

fn tar(command: &mut Command) -> anyhow::Result<()> {
    let ended = command.status().context("start tar")?;
    ensure!(ended.success(), "tar: {ended}");
    Ok(())
}

/// Where one answer is not the other, as paths with both values. What the earlier release did not say at all is no difference.
pub fn differences(then: &Value, now: &Value) -> Vec<String> {
    let mut found = Vec::new();
    compare("", then, now, &mut found);
    found
}

fn compare(path: &str, then: &Value, now: &Value, found: &mut Vec<String>) {
    match (then, now) {
        (Value::Object(then), Value::Object(now)) => {
            for (key, value) in then {
                let path = format!("{path}.{key}");
                match now.get(key) {
                    Some(now) => compare(&path, value, now, found),
                    None => found.push(format!("{path}: {value}, and nothing now")),
                }
            }
        }
        (Value::Array(then), Value::Array(now)) if then.len() == now.len() => {
            for (at, (then, now)) in then.iter().zip(now).enumerate() {
                compare(&format!("{path}[{at}]"), then, now, found);
            }
        }
        _ if then == now => {}
        _ => found.push(format!("{path}: {then}, and now {now}")),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_change_a_loss_and_one_too_many_are_found_and_news_are_none() {
        let then = json!({"a": [{"b": 1, "c": false}], "d": "x"});
        assert!(differences(&then, &json!({"a": [{"b": 1, "c": false, "new": 2}], "d": "x"})).is_empty());
        for (now, wanted) in [
            (json!({"a": [{"b": 2, "c": false}], "d": "x"}), ".a[0].b: 1, and now 2"),
            (json!({"a": [{"c": false, "b": 1}]}), ".d: \"x\", and nothing now"),
            (json!({"a": [], "d": "x"}), ".a: [{\"b\":1,\"c\":false}], and now []"),
        ] {
            assert_eq!(differences(&then, &now), [wanted]);
        }
    }
}
