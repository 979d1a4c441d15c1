//! Debian's Chromium, driven command by command: a test says what a person
//! does and waits for what a person would see.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Stdio;

use anyhow::{Context as _, bail, ensure};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};

use super::{PATIENCE, within};
use crate::task::{root, tools};

/// One browser with one page; other pages are other people.
#[derive(Debug)]
pub struct Browser {
    child: Child,
    commands: ChildStdin,
    answers: Lines<BufReader<ChildStdout>>,
}

/// How somebody looks at a page.
#[derive(Clone, Copy, Debug)]
pub struct Look {
    pub size: &'static str,
    pub dark: bool,
    pub script: bool,
}

impl Look {
    pub const DESKTOP: Self = Self { size: "desktop", dark: false, script: true };
    pub const PHONE: Self = Self { size: "phone", ..Self::DESKTOP };
    pub const DARK: Self = Self { dark: true, ..Self::DESKTOP };
    pub const WIDE: Self = Self { size: "wide", ..Self::DESKTOP };
    pub const NO_SCRIPT: Self = Self { script: false, ..Self::DESKTOP };
}

impl Browser {
    /// Of the server at `addr`.
    pub async fn start(addr: SocketAddr) -> anyhow::Result<Self> {
        Self::start_at(&format!("http://{addr}")).await
    }

    /// Of a server whose certificate nobody knows, as many a console's is.
    pub async fn start_tls(addr: SocketAddr) -> anyhow::Result<Self> {
        Self::start_at(&format!("https://{addr}")).await
    }

    async fn start_at(base: &str) -> anyhow::Result<Self> {
        let python = tools::tool("python");
        ensure!(python.exists(), "{} is missing; run `cargo xtask test`", python.display());
        let browser = tools::chromium()?;
        let mut child = Command::new(python)
            .arg(root().join("tests/browser/driver.py"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            // What goes wrong comes as an answer. It ends by itself when nobody can tell it anything any more.
            .stderr(Stdio::null())
            .spawn()?;
        let commands = child.stdin.take().context("a piped stream")?;
        let answers = BufReader::new(child.stdout.take().context("a piped stream")?).lines();
        let mut started = Self { child, commands, answers };
        let patience = u64::try_from(PATIENCE.as_millis())?;
        let first = json!({"browser": browser, "base": base, "patience_ms": patience * 9 / 10});
        started.ask(&first).await.context("start the browser")?;
        started.open(Look::DESKTOP).await?;
        Ok(started)
    }

    async fn ask(&mut self, command: &Value) -> anyhow::Result<Value> {
        let line = format!("{command}\n");
        self.commands.write_all(line.as_bytes()).await?;
        self.commands.flush().await?;
        let answer = within(&line, self.answers.next_line()).await?;
        let Some(answer) = answer else { bail!("the browser ended: {:?}", self.child.wait().await?) };
        let mut answer: Value = serde_json::from_str(&answer)?;
        match answer.get("error") {
            Some(error) => bail!("{}", error.as_str().unwrap_or_default()),
            None => Ok(answer["ok"].take()),
        }
    }

    /// As somebody else, who has never been here.
    pub async fn open(&mut self, look: Look) -> anyhow::Result<()> {
        let Look { size, dark, script } = look;
        self.ask(&json!({"do": "open", "size": size, "dark": dark, "script": script})).await.map(drop)
    }

    /// The status and headers of the page at `path`.
    pub async fn go(&mut self, path: &str) -> anyhow::Result<(u64, Value)> {
        let mut answer = self.ask(&json!({"do": "go", "path": path})).await?;
        Ok((answer["status"].as_u64().unwrap_or_default(), answer["headers"].take()))
    }

    /// In a tab of its own; the ones before are out of sight.
    pub async fn tab(&mut self, path: &str) -> anyhow::Result<()> {
        self.ask(&json!({"do": "tab", "path": path})).await.map(drop)
    }

    /// Back to the first tab.
    pub async fn first_tab(&mut self) -> anyhow::Result<()> {
        self.ask(&json!({"do": "first_tab"})).await.map(drop)
    }

    pub async fn click(&mut self, what: &str) -> anyhow::Result<()> {
        self.ask(&json!({"do": "click", "what": what})).await.map(drop)
    }

    pub async fn fill(&mut self, what: &str, text: &str) -> anyhow::Result<()> {
        self.ask(&json!({"do": "fill", "what": what, "text": text})).await.map(drop)
    }

    pub async fn select(&mut self, what: &str, value: &str) -> anyhow::Result<()> {
        self.ask(&json!({"do": "select", "what": what, "value": value})).await.map(drop)
    }

    pub async fn press(&mut self, key: &str) -> anyhow::Result<()> {
        self.ask(&json!({"do": "press", "key": key})).await.map(drop)
    }

    /// Waits until it is there to be seen.
    pub async fn sees(&mut self, what: &str) -> anyhow::Result<()> {
        self.ask(&json!({"do": "sees", "what": what})).await.map(drop)
    }

    /// Waits until it is not, or no longer.
    pub async fn misses(&mut self, what: &str) -> anyhow::Result<()> {
        self.ask(&json!({"do": "misses", "what": what})).await.map(drop)
    }

    pub async fn count(&mut self, what: &str) -> anyhow::Result<u64> {
        self.ask(&json!({"do": "count", "what": what})).await?.as_u64().context("a count")
    }

    pub async fn text(&mut self, what: &str) -> anyhow::Result<String> {
        let text = self.ask(&json!({"do": "text", "what": what})).await?;
        text.as_str().map(str::to_owned).context("a text")
    }

    /// Waits until a script says so.
    pub async fn until(&mut self, script: &str) -> anyhow::Result<()> {
        self.ask(&json!({"do": "until", "script": script})).await.map(drop)
    }

    /// What a script says.
    pub async fn value(&mut self, script: &str) -> anyhow::Result<Value> {
        self.ask(&json!({"do": "value", "script": script})).await
    }

    /// Path and query of the page.
    pub async fn address(&mut self) -> anyhow::Result<String> {
        let address = self.ask(&json!({"do": "address"})).await?;
        address.as_str().map(str::to_owned).context("an address")
    }

    pub async fn cookies(&mut self) -> anyhow::Result<Value> {
        self.ask(&json!({"do": "cookies"})).await
    }

    pub async fn offline(&mut self, so: bool) -> anyhow::Result<()> {
        self.ask(&json!({"do": "offline", "so": so})).await.map(drop)
    }

    /// Keeps a picture below `target/screenshots`.
    pub async fn shot(&mut self, name: &str) -> anyhow::Result<()> {
        self.picture(name, false).await
    }

    /// Of the whole page, however long.
    pub async fn long_shot(&mut self, name: &str) -> anyhow::Result<()> {
        self.picture(name, true).await
    }

    /// Keeps what a printer would get as PDF below `target/screenshots`; the page stays as on paper.
    pub async fn print(&mut self, name: &str) -> anyhow::Result<()> {
        let folder = screenshots();
        std::fs::create_dir_all(&folder)?;
        let path = folder.join(format!("{name}.pdf"));
        self.ask(&json!({"do": "print", "path": path})).await.map(drop)
    }

    async fn picture(&mut self, name: &str, whole: bool) -> anyhow::Result<()> {
        let folder = screenshots();
        std::fs::create_dir_all(&folder)?;
        let path = folder.join(format!("{name}.png"));
        self.ask(&json!({"do": "shot", "path": path, "whole": whole})).await.map(drop)
    }

    /// Fails with what axe finds against WCAG 2.2 AA.
    pub async fn is_usable(&mut self, what: &str) -> anyhow::Result<()> {
        let broken = self.ask(&json!({"do": "axe"})).await?;
        ensure!(broken == json!([]), "axe on {what}: {broken:#}");
        Ok(())
    }

    /// Fails with what axe finds, what the browser complained of, or what is too wide.
    pub async fn is_sound(&mut self, what: &str) -> anyhow::Result<()> {
        self.is_usable(what).await?;
        self.is_quiet(what).await?;
        let wide =
            self.value("document.documentElement.scrollWidth - document.documentElement.clientWidth").await?;
        ensure!(wide.as_i64().is_some_and(|more| more <= 0), "{what} is wider than the window by {wide}");
        Ok(())
    }

    /// Fails with errors of scripts and broken policies.
    pub async fn is_quiet(&mut self, what: &str) -> anyhow::Result<()> {
        let said = self.ask(&json!({"do": "said"})).await?;
        ensure!(said == json!([]), "the browser on {what}: {said:#}");
        Ok(())
    }
}

/// Where pictures are kept.
pub fn screenshots() -> PathBuf {
    root().join("target/screenshots")
}
