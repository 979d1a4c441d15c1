//! `leftovers`: what a restore or an upgrade put aside in data_dir, listed, and removed by name. Knows names, sizes and
//! times; refuses to know what is in it.

use std::fs;
use std::io;
use std::path::Path;
use std::time::SystemTime;

use anyhow::{Context as _, bail, ensure};
use clap::Subcommand;

use crate::command::Output;
use crate::table;

/// What a service has in its folder.
#[derive(Clone, Copy, Debug)]
pub struct Store<'a> {
    pub data_dir: &'a Path,
    /// What it works with. Where that is missing, what was put aside is all there is.
    pub name: &'a str,
    /// Whether it puts something aside under this name.
    pub is_put_aside: fn(&str) -> bool,
}

#[derive(Debug, Subcommand)]
pub enum LeftoversCommand {
    /// List what was put aside: its name, its size, and when it was last written to.
    List {
        #[arg(long, short, value_enum, default_value = "table")]
        output: Output,
    },
    /// Remove what was put aside, for good.
    Remove {
        /// As `list` shows them.
        #[arg(required = true, value_name = "NAME")]
        names: Vec<String>,
        /// Without it, it is only said what would go.
        #[arg(long)]
        yes: bool,
    },
}

/// One file or folder that was put aside.
#[derive(Debug)]
struct Leftover {
    name: String,
    bytes: u64,
    written: SystemTime,
}

pub fn run(command: LeftoversCommand, store: Store<'_>) -> anyhow::Result<()> {
    match command {
        LeftoversCommand::List { output } => Ok(table::print(&list(store, output)?)?),
        LeftoversCommand::Remove { names, yes } => Ok(table::print(&remove(store, &names, yes)?)?),
    }
}

fn list(store: Store<'_>, output: Output) -> anyhow::Result<Vec<String>> {
    let found = find(store)?;
    if output == Output::Json {
        let line = |left: &Leftover| {
            let Leftover { name, bytes, .. } = left;
            let path = store.data_dir.join(name);
            serde_json::json!({ "name": name, "path": path, "bytes": bytes, "written": left.written().map(|at| at.to_string()) })
                .to_string()
        };
        return Ok(found.iter().map(line).collect());
    }
    if found.is_empty() {
        return Ok(vec![nothing(store)]);
    }
    let row = |left: &Leftover| {
        let written = left.written().map(|at| at.strftime("%Y-%m-%d %H:%M:%SZ").to_string());
        vec![left.name.clone(), table::size(left.bytes), written.unwrap_or_default()]
    };
    Ok(table::lines(&["NAME", "SIZE", "WRITTEN"], &found.iter().map(row).collect::<Vec<_>>()))
}

fn nothing(store: Store<'_>) -> String {
    format!("nothing was put aside in {}", store.data_dir.display())
}

/// All of it, or none: what is asked for is looked at before anything goes.
fn remove(store: Store<'_>, names: &[String], yes: bool) -> anyhow::Result<Vec<String>> {
    let folder = store.data_dir.display();
    let found = find(store)?;
    if let Some(wrong) = names.iter().find(|name| !found.iter().any(|left| left.name == **name)) {
        let known: Vec<&str> = found.iter().map(|left| left.name.as_str()).collect();
        ensure!(!known.is_empty(), "{}; there is nothing to remove", nothing(store));
        bail!("{wrong:?} was not put aside in {folder}, but {} was; nothing is removed", known.join(", "));
    }
    let wanted: Vec<&Leftover> = found.iter().filter(|left| names.contains(&left.name)).collect();
    let kept = store.data_dir.join(store.name);
    let is_there = kept.try_exists().with_context(|| format!("look at {}", kept.display()))?;
    ensure!(
        is_there,
        "{} is not there: what was put aside is all there is, and stays. Run the restore to its end first",
        kept.display()
    );
    let told = |left: &&Leftover| format!("{} ({})", left.name, table::size(left.bytes));
    let told: Vec<String> = wanted.iter().map(told).collect();
    ensure!(yes, "this removes {} from {folder} for good; with --yes it is done", told.join(", "));
    for left in wanted {
        let path = store.data_dir.join(&left.name);
        delete(&path).with_context(|| format!("remove {}", path.display()))?;
    }
    Ok(told.into_iter().map(|told| format!("removed {told}")).collect())
}

/// The oldest first.
fn find(store: Store<'_>) -> anyhow::Result<Vec<Leftover>> {
    let mut found = Vec::new();
    let unreadable = || format!("cannot read {}", store.data_dir.display());
    for entry in fs::read_dir(store.data_dir).with_context(unreadable)? {
        let entry = entry.with_context(unreadable)?;
        let Some(name) = entry.file_name().to_str().map(str::to_owned) else { continue };
        if (store.is_put_aside)(&name) {
            let (bytes, written) = measure(&entry.path()).with_context(unreadable)?;
            found.push(Leftover { name, bytes, written });
        }
    }
    found.sort_by(|a, b| (a.written, &a.name).cmp(&(b.written, &b.name)));
    Ok(found)
}

/// Bytes of all files in it, and the newest time of any. Links are not followed.
fn measure(path: &Path) -> io::Result<(u64, SystemTime)> {
    let about = fs::symlink_metadata(path)?;
    if !about.is_dir() {
        return Ok((about.len(), about.modified()?));
    }
    let mut all = (0, SystemTime::UNIX_EPOCH);
    for entry in fs::read_dir(path)? {
        let (bytes, written) = measure(&entry?.path())?;
        all = (all.0 + bytes, all.1.max(written));
    }
    Ok(all)
}

fn delete(path: &Path) -> io::Result<()> {
    if fs::symlink_metadata(path)?.is_dir() { fs::remove_dir_all(path) } else { fs::remove_file(path) }
}

impl Leftover {
    /// As JSON it is RFC 3339.
    fn written(&self) -> Option<jiff::Timestamp> {
        jiff::Timestamp::try_from(self.written).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn store(folder: &Path) -> Store<'_> {
        Store { data_dir: folder, name: "kept", is_put_aside: |name| name.starts_with("kept.old-") }
    }

    /// Names that are there.
    fn names(folder: &Path) -> Vec<String> {
        let entries = fs::read_dir(folder).expect("a folder").flatten();
        let mut names: Vec<String> = entries.map(|e| e.file_name().display().to_string()).collect();
        names.sort();
        names
    }

    fn removed(folder: &Path, wanted: &[&str], yes: bool) -> Result<Vec<String>, String> {
        let wanted: Vec<String> = wanted.iter().map(|name| (*name).to_owned()).collect();
        remove(store(folder), &wanted, yes).map_err(|error| format!("{error:#}"))
    }

    fn filled() -> tempfile::TempDir {
        let folder = tempfile::tempdir().expect("a folder");
        fs::create_dir_all(folder.path().join("kept.old-1/inner")).expect("made");
        fs::write(folder.path().join("kept.old-1/inner/file"), [0; 2_048]).expect("written");
        for name in ["kept", "kept.old-2", "access.json"] {
            fs::write(folder.path().join(name), "x").expect("written");
        }
        folder
    }

    #[test]
    fn what_was_put_aside_is_listed_and_nothing_else() {
        let folder = filled();
        let table = list(store(folder.path()), Output::Table).expect("a list");
        assert!(table[0].starts_with("NAME") && table.len() == 3, "{table:?}");
        assert!(table.iter().any(|line| line.starts_with("kept.old-1  2.0 KiB  2")), "{table:?}");
        let lines = list(store(folder.path()), Output::Json).expect("a list");
        let last: serde_json::Value = serde_json::from_str(&lines[1]).expect("JSON");
        assert_eq!((&last["name"], &last["bytes"]), (&"kept.old-2".into(), &1.into()));
        assert_eq!(last["path"], folder.path().join("kept.old-2").display().to_string());
        let written = last["written"].as_str().expect("a time");
        assert!(written.parse::<jiff::Timestamp>().is_ok() && written.contains('T'), "{written}");
    }

    #[test]
    fn where_nothing_was_put_aside_it_is_said() {
        let folder = tempfile::tempdir().expect("a folder");
        let nothing = [format!("nothing was put aside in {}", folder.path().display())];
        assert_eq!(list(store(folder.path()), Output::Table).expect("a list"), nothing);
        assert!(list(store(folder.path()), Output::Json).expect("a list").is_empty());
        let refused = removed(folder.path(), &["kept.old-1"], true).expect_err("nothing is there");
        assert_eq!(refused, nothing.concat() + "; there is nothing to remove");
    }

    #[test]
    fn only_what_was_put_aside_goes_and_only_when_told_so() {
        let folder = filled();
        let all = ["access.json", "kept", "kept.old-1", "kept.old-2"];
        let wrong = ["kept", "access.json", "../kept.old-1", "./kept.old-1", "kept.old-3", "", "."];
        for wrong in wrong {
            let refused = removed(folder.path(), &["kept.old-1", wrong], true).expect_err(wrong);
            assert!(refused.contains(&format!("{wrong:?} was not put aside in ")), "{refused}");
            assert!(refused.contains("but kept.old-1, kept.old-2 was"), "{refused}");
        }
        let refused = removed(folder.path(), &["kept.old-1"], false).expect_err("it was not told so");
        assert!(refused.contains("kept.old-1 (2.0 KiB)") && refused.contains("--yes"), "{refused}");
        assert_eq!(names(folder.path()), all);
        let told = removed(folder.path(), &["kept.old-1", "kept.old-1"], true);
        assert_eq!(told, Ok(vec!["removed kept.old-1 (2.0 KiB)".to_owned()]));
        assert_eq!(names(folder.path()), ["access.json", "kept", "kept.old-2"]);
    }

    #[test]
    fn the_last_that_there_is_stays() {
        let folder = filled();
        fs::remove_file(folder.path().join("kept")).expect("removed");
        let refused = removed(folder.path(), &["kept.old-2"], true).expect_err("all there is");
        assert!(refused.contains("is all there is"), "{refused}");
        assert!(names(folder.path()).contains(&"kept.old-2".to_owned()));
    }

    #[test]
    fn a_link_goes_without_what_it_leads_to() {
        let folder = filled();
        let elsewhere = tempfile::tempdir().expect("a folder");
        fs::write(elsewhere.path().join("dear"), "x").expect("written");
        std::os::unix::fs::symlink(elsewhere.path(), folder.path().join("kept.old-4")).expect("a link");
        removed(folder.path(), &["kept.old-4"], true).expect("removed");
        assert_eq!(names(elsewhere.path()), ["dear"]);
    }
}
