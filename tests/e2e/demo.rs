//! The demo, as somebody at a terminal meets it.

use std::process::Stdio;

use anyhow::{Context as _, ensure};
use pulse_tests::harness::command::run;
use pulse_tests::harness::process::binary;
use pulse_tests::harness::{http, within};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};

use crate::cli::says;

/// A demo that runs, and what it prints.
struct Terminal {
    demo: Child,
    lines: Lines<BufReader<ChildStdout>>,
    /// Kept last: what the demo stores goes when it is down.
    _folder: TempDir,
}

impl Terminal {
    fn open(args: &[&str]) -> anyhow::Result<Self> {
        let folder = tempfile::tempdir()?;
        let mut command = Command::new(binary("demo")?);
        command.arg("--any-ports").args(args).env("TMPDIR", folder.path());
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
        let mut demo = command.spawn()?;
        let lines = BufReader::new(demo.stdout.take().context("a piped stream")?).lines();
        Ok(Self { demo, lines, _folder: folder })
    }

    /// All that it prints up to a line with this in it.
    async fn until(&mut self, what: &str) -> anyhow::Result<Vec<String>> {
        let mut printed = Vec::new();
        loop {
            let line = within(what, self.lines.next_line()).await?;
            printed.push(line.with_context(|| format!("the demo ended without {what}: {printed:#?}"))?);
            if printed.last().is_some_and(|line| line.contains(what)) {
                return Ok(printed);
            }
        }
    }
}

#[tokio::test]
async fn the_demo_shows_a_delivery_and_its_lines_work_as_printed() -> anyhow::Result<()> {
    let mut terminal = Terminal::open(&[])?;
    let printed = terminal.until("webhook: firing critical, nas-04: Pool tank").await?;
    let behind = |mark: &str| {
        let found = printed.iter().find_map(|line| line.split_once(mark));
        found.map(|(_, rest)| rest.to_owned()).with_context(|| format!("{mark} is not in {printed:#?}"))
    };
    let key = behind("export PULSE_TRUENAS_API_KEY=")?;
    for (command, result) in [("test", "The connection works."), ("add", "nas-05")] {
        let line = behind(&format!("pulse-collector -- connections {command} "))?;
        let args: Vec<&str> = ["connections", command].into_iter().chain(line.split(' ')).collect();
        let env = [("PULSE_TRUENAS_API_KEY", key.trim_matches('\''))];
        says(&run("pulse-collector", &args, &env, "").await?, 0, &[result]);
    }
    terminal.until("truenas nas-05  online").await?;
    let disk = behind("curl -X POST http://")?;
    let (addr, path) = disk.split_once('/').context("a path")?;
    for (done, shown) in [("plugged in", "hdd sdc  online"), ("pulled", "hdd sdc  removed")] {
        let said = http(addr.parse()?, "POST", &format!("/{path}")).await?;
        assert_eq!(said, (200, format!("disk sdc of nas-05 is {done}\n")));
        terminal.until(shown).await?;
    }
    Ok(())
}

#[tokio::test]
async fn the_demo_shows_a_pool_falling_ill_and_recovering() -> anyhow::Result<()> {
    let demo = run("demo", &["--any-ports", "--once", "--fault", "degrade"], &[], "").await?;
    says(
        &demo,
        0,
        &[
            "4 simulated appliances",
            "a disk of its pool tank has failed",
            "TrueNAS 24.10",
            "KIND",
            "grpcurl -plaintext",
            "zfs-pool tank  online -> warning",
        ],
    );
    says(&demo, 0, &["zfs-pool tank  warning -> online", "tank on nas-01 is online again"]);
    Ok(())
}

#[tokio::test]
async fn a_demo_that_is_stopped_waits_for_its_services() -> anyhow::Result<()> {
    let mut terminal = Terminal::open(&["--log-level", "info"])?;
    // Both services run from here on, and records come in.
    terminal.until("simulated").await?;
    let Terminal { demo, mut lines, _folder } = terminal;
    let pid = demo.id().context("it has ended")?.to_string();
    ensure!(Command::new("kill").args(["-TERM", &pid]).status().await?.success(), "send SIGTERM");
    let rest = tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
    let ended = within("the demo to end", demo.wait_with_output()).await?;
    rest.await?;
    let said = String::from_utf8_lossy(&ended.stderr);
    ensure!(ended.status.success(), "{}\n{said}", ended.status);
    for service in ["collector", "registry"] {
        ensure!(said.contains(&format!("{service} has stopped")), "{service} was not waited for:\n{said}");
    }
    ensure!(!said.contains("the store failed"), "{said}");
    Ok(())
}
