//! `cargo xtask certify`: checks, every test and the benches; then `docs/certification.md` with a verdict that is computed.

pub mod figures;
pub mod outcome;
pub mod page;
pub mod runner;
pub mod verdict;

use std::io::{BufRead as _, BufReader, Read as _};
use std::process::{Command, ExitCode, Stdio};

use anyhow::{Context as _, ensure};
use clap::{Args, ValueEnum};
use tokio::time::Instant;

use self::figures::{Measured, TARGETS};
use self::page::Setting;
use self::verdict::{Claim, Evidence, Step};
use super::bench::Name;
use super::{cargo, root};
use crate::evidence::{TestId, ids, quoted, rows, tests_of};

/// Parts of the matrix.
const CASES: [&str; 4] = ["lines", "states", "away", "faults"];
const DOCUMENT: &str = "docs/certification.md";
/// Longer ones are taken for several.
const LINE_BYTES_MAX: u64 = 1 << 20;

/// What is measured.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Figures {
    /// Everything in its full size: takes an hour, and wants an idle machine
    #[default]
    Full,
    /// Small runs: they show that the benches are right, and count as not measured
    Quick,
    /// None: the verdict is conditional
    None,
}

#[derive(Clone, Copy, Debug, Args)]
pub struct Options {
    /// Which figures are taken
    #[arg(long, value_enum, default_value_t)]
    figures: Figures,
}

pub fn run(options: Options) -> anyhow::Result<ExitCode> {
    let setting = setting()?;
    let mut evidence =
        Evidence { dirty: is_dirty()?, quick: options.figures == Figures::Quick, ..Evidence::default() };
    let xtask = std::env::current_exe().context("the name of this program")?;
    // Tests build this program anew: it goes on from a copy.
    let copy = tempfile::Builder::new().prefix("xtask").tempdir()?;
    let xtask = {
        let to = copy.path().join("xtask");
        std::fs::copy(xtask, &to)?;
        to
    };
    evidence.steps.push(step("cargo xtask check", Command::new(&xtask).arg("check"), |_| {})?);
    let ran = runner::run("cargo xtask test", Command::new(&xtask).arg("test"))?;
    evidence.steps.push(ran.step);
    (evidence.listed, evidence.outcomes) = (ran.listed, ran.outcomes);
    if options.figures != Figures::None {
        for bench in benches() {
            let name = bench.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default();
            let quick = (options.figures == Figures::Quick).then_some("--quick");
            let mut printed = Vec::new();
            let mut command = Command::new(&xtask);
            command.args(["bench", &name, "--json"]).args(quick);
            let line = format!(
                "cargo xtask bench {name} --json{}",
                quick.map(|flag| format!(" {flag}")).unwrap_or_default()
            );
            evidence.steps.push(step(&line, &mut command, |line| printed.extend(figures::read(line)))?);
            evidence.figures.append(&mut only_promised(bench, printed, evidence.quick));
        }
    }
    let cases = cases()?;
    evidence.claims = plan()?;
    let matrix =
        |claim: &Claim| Claim { name: format!("Matrix: {}", claim.name), tests: claim.tests.clone() };
    evidence.claims.extend(cases.iter().flat_map(|(_, claims)| claims).map(matrix));
    // What was committed or edited meanwhile was tried in part.
    evidence.dirty = evidence.dirty || is_dirty()? || commit()? != setting.commit;
    let text = page::page(&setting, &evidence, &cases);
    std::fs::write(root().join(DOCUMENT), text).with_context(|| format!("write {DOCUMENT}"))?;
    let verdict = evidence.verdict();
    for line in verdict.against.iter().chain(&verdict.conditions) {
        println!("- {line}");
    }
    println!("{}: {DOCUMENT} has the evidence", verdict.word);
    Ok(ExitCode::from(verdict.word.exit_code()))
}

/// Runs a command; its lines are shown as they come, and read.
fn step(line: &str, command: &mut Command, mut read: impl FnMut(&str)) -> anyhow::Result<Step> {
    println!("== {line}");
    let began = Instant::now();
    // One pipe for both: what is said of a binary stays before what the binary says.
    let (output, input) = std::io::pipe()?;
    let command = command.current_dir(root()).stdout(input.try_clone()?).stderr(input);
    let mut child = command.spawn().with_context(|| format!("start `{line}`"))?;
    // Its ends here are closed, so that the output ends with the child's.
    command.stdout(Stdio::null()).stderr(Stdio::null());
    let mut output = BufReader::new(output);
    let mut bytes = Vec::new();
    // A line that is no text is no line of ours.
    while output.by_ref().take(LINE_BYTES_MAX).read_until(b'\n', &mut bytes)? > 0 {
        let text = String::from_utf8_lossy(&bytes);
        print!("{text}");
        read(&plain(&text));
        bytes.clear();
    }
    let code = child.wait()?.code();
    Ok(Step { command: line.to_owned(), code, seconds: began.elapsed().as_secs_f64() })
}

/// Without the colours that a runner may use.
fn plain(line: &str) -> String {
    let mut text = String::with_capacity(line.len());
    let mut rest = line;
    while let Some((before, after)) = rest.split_once("\u{1b}[") {
        text.push_str(before);
        rest = after.split_once('m').map_or("", |(_, rest)| rest);
    }
    text + rest
}

/// Each bench with something promised, once.
fn benches() -> Vec<Name> {
    let mut benches: Vec<Name> = Vec::new();
    for target in TARGETS {
        if !benches.contains(&target.bench) {
            benches.push(target.bench);
        }
    }
    benches
}

/// Figures of one bench. Those of a small run are no measure.
fn only_promised(bench: Name, printed: Vec<Measured>, quick: bool) -> Vec<Measured> {
    let of = |measured: &Measured| {
        TARGETS.iter().any(|target| target.figure == measured.figure && target.bench == bench)
    };
    printed.into_iter().filter(|measured| !quick && of(measured)).collect()
}

/// Every case of the matrix is one test of its own.
fn cases() -> anyhow::Result<Vec<(String, Vec<Claim>)>> {
    let part = |part: &str| {
        let file = format!("tests/matrix/{part}.rs");
        let text = std::fs::read_to_string(root().join(&file))?;
        let claim =
            |name: String| Claim { name: name.replace('_', " "), tests: needed(&format!("{file}::{name}")) };
        anyhow::Ok((part.to_owned(), tests_of(&text).into_iter().map(claim).collect()))
    };
    CASES.into_iter().map(part).collect()
}

/// Every line of the plan, with the tests it names.
fn plan() -> anyhow::Result<Vec<Claim>> {
    let text = std::fs::read_to_string(root().join("docs/plan.md"))?;
    let claim = |row: crate::evidence::Row| {
        let tests = row.cells.last().map(|cell| quoted(cell).flat_map(needed).collect());
        Claim { name: format!("{}: {}", row.heading, row.cells[0]), tests: tests.unwrap_or_default() }
    };
    Ok(rows(&text).into_iter().map(claim).collect())
}

/// What a document names. A test that is not there has a name that none has.
fn needed(name: &str) -> Vec<TestId> {
    let ids = ids(name);
    if ids.is_empty() { vec![TestId { binary: String::new(), test: name.to_owned() }] } else { ids }
}

fn said(command: &mut Command) -> anyhow::Result<String> {
    let output = command.current_dir(root()).output().with_context(|| format!("start {command:?}"))?;
    ensure!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr).trim());
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

fn is_dirty() -> anyhow::Result<bool> {
    let changed = said(Command::new("git").args(["status", "--porcelain"]))?;
    Ok(changed.lines().any(|line| !line.ends_with(DOCUMENT)))
}

fn commit() -> anyhow::Result<String> {
    said(Command::new("git").args(["rev-parse", "--short=12", "HEAD"]))
}

fn setting() -> anyhow::Result<Setting> {
    let memory = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let kib = memory
        .lines()
        .find_map(|line| line.strip_prefix("MemTotal:")?.trim().split(' ').next()?.parse::<u64>().ok());
    Ok(Setting {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        commit: commit()?,
        date: jiff::Timestamp::now().to_string().chars().take(10).collect(),
        rustc: said(cargo().args(["--version"]))?,
        cores: std::thread::available_parallelism().map_or(1, usize::from),
        memory_gib: kib.unwrap_or_default().div_ceil(1024 * 1024),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_matrix_and_the_plan_are_read() {
        let cases = cases().expect("the matrix");
        let count = |part: usize| cases[part].1.len();
        assert!(count(0) >= 5 && count(1) >= 4 && count(2) >= 1 && count(3) >= 20, "{cases:?}");
        let plan = plan().expect("the plan");
        assert!(plan.iter().any(|claim| claim.name.starts_with("Packets: TN-11")));
        assert!(plan.iter().all(|claim| !claim.tests.is_empty()), "{plan:?}");
    }

    #[test]
    fn a_step_tells_its_lines_and_its_code() {
        let mut lines = Vec::new();
        let mut command = Command::new("sh");
        command.args([
            "-c",
            "for at in 1 2 3; do echo out; printf '\\033[32mPASS\\033[0m x\\n' >&2; done; exit 3",
        ]);
        let step = step("sh", &mut command, |line| lines.push(line.trim().to_owned())).expect("it runs");
        // In the order in which they were said, whichever way.
        assert_eq!(
            (step.code, lines),
            (Some(3), ["out", "PASS x"].repeat(3).iter().map(ToString::to_string).collect())
        );
    }
}
