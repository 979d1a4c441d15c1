//! Command lines of the guides, shown to the programs that they name: each must know the command and every option.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, ensure};
use pulse_tests::harness::process::binary;
use pulse_tests::task::root;
use pulse_tests::task::tools::kubernetes::kubectl;

use crate::tool;

const GUIDES: [&str; 9] = [
    "README.md",
    "deploy/compose/README.md",
    "deploy/kubernetes/README.md",
    "deploy/systemd/README.md",
    "docs/alerts.md",
    "docs/context.md",
    "docs/delivery.md",
    "docs/operations.md",
    "docs/rollback.md",
];

const CALLS: [&str; 3] = ["pulse-registry ", "pulse-collector ", "cargo xtask "];

/// Simple commands of the blocks of shell in a guide, in words: what a shell puts in place of `$(...)` is one word.
const WORDS: &str = r#"
import json, re, shlex, sys
found = []
for block in re.findall(r"^\s*```sh\n(.*?)^\s*```", sys.stdin.read(), re.S | re.M):
    block = re.sub(r"(^|\s)#.*", "", re.sub(r"\$\([^()]*\)", "X", block.replace("\\\n", " ")), flags=re.M)
    for line in block.splitlines():
        words = shlex.shlex(line, posix=True, punctuation_chars=True)
        words.whitespace_split = True
        command, skip = [], False
        for word in [*words, ";"]:
            if set(word) <= set("<>"):
                skip = True
            elif set(word) <= set("|;&"):
                found.append(command)
                command = []
            elif skip:
                skip = False
            else:
                command.append(word)
print(json.dumps([c for c in found if c]))
"#;

fn commands(guide: &Path) -> anyhow::Result<Vec<Vec<String>>> {
    let text = std::fs::File::open(guide).with_context(|| guide.display().to_string())?;
    let output = Command::new("python3").args(["-c", WORDS]).stdin(text).stderr(Stdio::inherit()).output()?;
    ensure!(output.status.success(), "{}: not a shell's words", guide.display());
    Ok(serde_json::from_slice(&output.stdout)?)
}

/// Behind variables, `sudo`, cargo and docker: the program of ours, or kubectl, and its arguments.
fn program(words: &[String]) -> Option<(&str, &[String])> {
    let mut rest = words;
    while let Some(first) = rest.first() {
        let skipped = match first.as_str() {
            "-u" => 2,
            "sudo" => 1,
            word if word.contains('=') && !word.starts_with('-') => 1,
            _ => break,
        };
        rest = rest.get(skipped..)?;
    }
    let known = ["kubectl", "pulse-collector", "pulse-registry", "xtask"];
    let ours = |word: &str| known.into_iter().find(|name| *name == word);
    let base = |word: &String| ours(word.rsplit('/').next().unwrap_or(word));
    let at = match rest.first()?.as_str() {
        "cargo" if rest.get(1).is_some_and(|word| word == "run") => {
            rest.iter().position(|word| word == "--bin")? + 1
        }
        "cargo" if rest.get(1).is_some_and(|word| word == "xtask") => 1,
        "docker" => rest.iter().position(|word| word.starts_with('/'))?,
        _ => 0,
    };
    let (name, arguments) = (base(&rest[at])?, &rest[at + 1..]);
    let is_cargo = at > 0 && arguments.first().is_some_and(|word| word == "--");
    Some((name, &arguments[usize::from(is_cargo)..]))
}

/// What people read, guides or not.
fn prose(folder: &Path, found: &mut Vec<PathBuf>) -> anyhow::Result<()> {
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        let name = path.file_name().and_then(OsStr::to_str).unwrap_or_default();
        if path.is_dir() && !name.starts_with('.') && !["target", "node_modules"].contains(&name) {
            prose(&path, found)?;
        } else if path.extension() == Some(OsStr::new("md")) || name == "rules.yml" {
            found.push(path);
        }
    }
    Ok(())
}

/// Commands of ours that stand between backticks in a text, as a block of shell. What may be left out stands in brackets, N is
/// a number, and what a rule fills in is a word.
fn inline(text: &str) -> String {
    let mut block = "```sh\n".to_owned();
    let mut is_fenced = false;
    for line in text.lines() {
        is_fenced ^= line.trim_start().starts_with("```");
        let spans = line.split('`').skip(1).step_by(2).filter(|_| !is_fenced);
        for span in spans.filter(|span| CALLS.iter().any(|call| span.starts_with(call))) {
            let words = span.replace("{{ $", "").replace(" }}", "").replace(['[', ']'], "");
            let words = words.split(' ').map(|word| if word == "N" { "1" } else { word });
            block.push_str(&words.collect::<Vec<_>>().join(" "));
            block.push('\n');
        }
    }
    block + "```\n"
}

/// Asked for help, a program looks at all that stands before first.
fn understood(program: &str, arguments: &[String]) -> anyhow::Result<()> {
    let mut command = match program {
        "kubectl" => Command::new(kubectl()?),
        ours => Command::new(binary(ours)?),
    };
    let (output, said) = tool(command.env_clear().args(arguments).arg("--help").stdin(Stdio::null()))?;
    ensure!(output.status.success(), "{program} {arguments:?}: {said}");
    Ok(())
}

/// Variables that a text names.
fn variables(text: &str) -> BTreeSet<String> {
    let is_part = |c: char| c.is_ascii_uppercase() || c == '_';
    let words = text.split(|c: char| !is_part(c)).filter(|word| word.starts_with("PULSE_"));
    words.map(|word| word.trim_end_matches('_').to_owned()).collect()
}

#[test]
fn every_variable_of_the_guides_is_one_that_a_program_reads() -> anyhow::Result<()> {
    let mut known = BTreeSet::from([
        // Of the build, of the collector's key, and of the key of a NAS: none is a setting.
        "PULSE_COMMIT".to_owned(),
        "PULSE_COLLECTOR_KEY".to_owned(),
        "PULSE_TRUENAS_API_KEY".to_owned(),
    ]);
    let tables = std::fs::read_to_string(root().join("README.md"))?;
    known.extend(tables.lines().filter(|line| line.starts_with("| `")).flat_map(variables));
    for (program, command) in [("pulse-collector", "connections"), ("pulse-registry", "resources")] {
        let (_, said) = tool(Command::new(binary(program)?).args([command, "list", "--help"]))?;
        known.extend(variables(&said));
    }
    let (mut wrong, mut named) = (Vec::new(), BTreeSet::new());
    for guide in GUIDES.into_iter().chain(["deploy/compose/compose.yaml", "deploy/Containerfile"]) {
        let here = variables(&std::fs::read_to_string(root().join(guide))?);
        wrong.extend(here.difference(&known).map(|name| format!("{guide}: {name}")));
        named.extend(here);
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    for name in ["PULSE_TLS_CA", "PULSE_TOKEN_FILE", "PULSE_COLLECTOR_ADDRESS", "PULSE_REGISTRY_ADDRESS"] {
        assert!(named.contains(name), "{name} is explained nowhere");
    }
    Ok(())
}

/// As the table of access has it: who adds a NAS or tries one is an admin of the collector.
#[test]
fn whoever_adds_the_first_nas_was_given_the_role_for_it() -> anyhow::Result<()> {
    let mut guided = 0;
    for guide in GUIDES {
        for words in commands(&root().join(guide))? {
            let has = |word: &str| words.iter().any(|other| other == word);
            let of_collector = words.iter().any(|word| word.ends_with("pulse-collector"));
            if of_collector && has("tokens") && has("create") && has("me") {
                let role = words.iter().skip_while(|word| *word != "--role").nth(1);
                ensure!(role.map(String::as_str) == Some("admin"), "{guide}: {words:?}");
                guided += 1;
            }
        }
    }
    ensure!(guided >= 2, "{guided} guides make a token for who adds a NAS");
    Ok(())
}

#[test]
fn every_line_of_the_guides_is_understood_by_what_it_calls() -> anyhow::Result<()> {
    let mut asked = 0;
    for guide in GUIDES {
        for words in commands(&root().join(guide))? {
            let Some((name, arguments)) = program(&words) else { continue };
            let inside = arguments.iter().position(|word| word == "--");
            let (own, inner) = arguments.split_at(inside.unwrap_or(arguments.len()));
            understood(name, own).context(guide)?;
            if let Some((name, arguments)) = inner.get(1..).and_then(program) {
                understood(name, arguments).context(guide)?;
            }
            asked += 1;
        }
    }
    assert!(asked >= 60, "{asked} lines");
    // The judges can say no.
    for (program, line) in [("kubectl", "get --nonsense"), ("pulse-registry", "backup --too -")] {
        let words: Vec<String> = line.split(' ').map(str::to_owned).collect();
        assert!(understood(program, &words).is_err(), "{program} {line}");
    }
    Ok(())
}

/// The runbook takes what `certify` ends with for its answer.
#[test]
fn a_line_that_is_not_understood_is_no_verdict() -> anyhow::Result<()> {
    let (output, said) = tool(Command::new(binary("xtask")?).args(["certify", "--figures", "most"]))?;
    ensure!(
        output.status.code() == Some(64) && said.contains("full, quick, none"),
        "{:?}: {said}",
        output.status
    );
    Ok(())
}

#[test]
fn every_command_within_a_sentence_or_a_table_is_understood() -> anyhow::Result<()> {
    let mut texts = Vec::new();
    prose(&root(), &mut texts)?;
    let (folder, mut wrong, mut asked) = (tempfile::tempdir()?, Vec::new(), BTreeSet::new());
    let block = folder.path().join("block.md");
    for text in texts {
        std::fs::write(&block, inline(&std::fs::read_to_string(&text)?))?;
        for words in commands(&block)? {
            let Some((name, arguments)) = program(&words) else { continue };
            if asked.insert(words.clone())
                && let Err(error) = understood(name, arguments)
            {
                wrong.push(format!("{}: {error:#}", text.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert!(asked.len() >= 50, "{} commands", asked.len());
    let told = inline(
        "| `x` | `pulse-registry backup --too -`, `cargo xtask soak [--seconds N]` |\n```sh\n`cargo xtask x`\n```",
    );
    assert_eq!(told, "```sh\npulse-registry backup --too -\ncargo xtask soak --seconds 1\n```\n");
    Ok(())
}
