//! The rules of the house that a compiler does not check: data flows one way,
//! edges stay at the edge, files stay small and say what they own.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use pulse_tests::task::root;

/// Modules of a crate in the order data flows: each may use itself and what stands before it.
const FLOWS: [(&str, &[&str]); 2] = [
    (
        "collector",
        &[
            "clock",
            "secret",
            "telemetry",
            "connection",
            "transport",
            "rpc",
            "session",
            "api",
            "snapshot",
            "target",
            "mapping",
            "batch",
            "uplink",
            "service",
            "config",
            "app",
            "cli",
        ],
    ),
    (
        "registry",
        &[
            "clock",
            "telemetry",
            "state",
            "store",
            "ingest",
            "health",
            "query",
            "alert",
            "notify",
            "watch",
            "context",
            "console",
            "error",
            "service",
            "config",
            "app",
            "cli",
        ],
    ),
];

/// Crates of the edge, and where their names may stand.
const EDGES: [(&str, &[&str]); 6] = [
    ("tonic", &["service", "uplink/stream", "app", "cli", "error", "console/collector"]),
    ("axum", &["telemetry", "app", "console/routes"]),
    ("rmcp", &["service/mcp", "app/mcp", "cli/mcp"]),
    ("redb", &["store/redb"]),
    ("reqwest", &["transport", "notify/send"]),
    ("tokio_tungstenite", &["transport", "rpc/link"]),
];

/// Lines of a file without a stated reason.
const LINES_MAX: usize = 600;

struct Source {
    path: PathBuf,
    /// Path below the crate's `src`, without `.rs`.
    module: String,
    text: String,
}

fn sources(folder: &Path) -> Vec<Source> {
    fn walk(folder: &Path, found: &mut Vec<PathBuf>) {
        let Ok(entries) = fs::read_dir(folder) else { return };
        for entry in entries.flatten() {
            let path = entry.path();
            if path.is_dir() {
                walk(&path, found);
            } else if path.extension().is_some_and(|e| e == "rs") {
                found.push(path);
            }
        }
    }
    let mut paths = Vec::new();
    walk(folder, &mut paths);
    paths.sort();
    paths
        .into_iter()
        .map(|path| {
            let text = fs::read_to_string(&path).expect("a source file is text");
            let module = path.strip_prefix(folder).unwrap_or(&path).with_extension("").display().to_string();
            Source { path, module, text }
        })
        .collect()
}

fn members() -> Vec<PathBuf> {
    ["proto/src", "collector/src", "registry/src", "fixtures/src", "tests", "deploy/demo/src"]
        .into_iter()
        .map(|member| root().join(member))
        .collect()
}

/// Production text: what stands before the file's test module, and nothing of a test module that has a file of its own.
fn production(source: &Source) -> &str {
    let is_test = source.module.split('/').any(|part| part == "tests");
    let before = source.text.split("#[cfg(test)]").next();
    before.filter(|_| !is_test).unwrap_or_default()
}

#[test]
fn data_flows_one_way() {
    let mut wrong = Vec::new();
    for (name, flow) in FLOWS {
        let rank: BTreeMap<&str, usize> = flow.iter().enumerate().map(|(i, module)| (*module, i)).collect();
        for source in sources(&root().join(name).join("src")) {
            let own = source.module.split('/').next().unwrap_or_default();
            if own == "lib" || own == "main" {
                continue;
            }
            let Some(own_rank) = rank.get(own) else {
                wrong.push(format!("{}: module {own} has no place in the flow", source.path.display()));
                continue;
            };
            // The tonic edge of a module answers with the crate's errors, wherever the module stands.
            let edge = source.module.ends_with("service");
            for used in production(&source).split("crate::").skip(1) {
                let used =
                    used.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').next().unwrap_or_default();
                match rank.get(used) {
                    Some(used_rank) if used_rank > own_rank && !(edge && used == "error") => {
                        wrong.push(format!(
                            "{}: {own} uses {used}, which stands after it",
                            source.path.display()
                        ));
                    }
                    _ => {}
                }
            }
        }
    }
    assert!(wrong.is_empty(), "imports run backwards:\n{}", wrong.join("\n"));
}

#[test]
fn edges_stay_at_the_edge() {
    let mut wrong = Vec::new();
    for (name, _) in FLOWS {
        for source in sources(&root().join(name).join("src")) {
            for (edge, places) in EDGES {
                let text = production(&source);
                let named = [
                    format!("use {edge}::"),
                    format!(" {edge}::"),
                    format!("({edge}::"),
                    format!("<{edge}::"),
                ];
                let uses = named.iter().any(|needle| text.contains(needle));
                let allowed = places.iter().any(|place| {
                    source.module == *place
                        || source.module.starts_with(&format!("{place}/"))
                        || source.module.ends_with(&format!("/{place}"))
                });
                if uses && !allowed {
                    wrong.push(format!("{} names {edge}", source.path.display()));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "an edge leaked inwards:\n{}", wrong.join("\n"));
}

#[test]
fn files_are_small_and_say_what_they_own() {
    let mut wrong = Vec::new();
    for folder in members() {
        for source in sources(&folder) {
            let lines = source.text.lines().count();
            if lines > LINES_MAX {
                wrong.push(format!("{}: {lines} lines, more than {LINES_MAX}", source.path.display()));
            }
            if !source.text.starts_with("//!") {
                wrong.push(format!("{}: does not open with //!", source.path.display()));
            }
            if source.path.file_name().is_some_and(|name| name == "mod.rs") {
                wrong.push(format!("{}: use foo.rs beside foo/", source.path.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "house rules:\n{}", wrong.join("\n"));
}

#[test]
fn nothing_is_left_half_done() {
    let marks = [
        concat!("TO", "DO"),
        concat!("FIX", "ME"),
        concat!("XX", "X"),
        concat!("#[ig", "nore"),
        concat!("to", "do!("),
    ];
    let mut wrong = Vec::new();
    for folder in members() {
        for source in sources(&folder) {
            for (number, line) in source.text.lines().enumerate() {
                if let Some(mark) = marks.iter().find(|mark| line.contains(**mark)) {
                    wrong.push(format!("{}:{}: {mark}", source.path.display(), number + 1));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "left half done:\n{}", wrong.join("\n"));
}
