//! The master key from a program of the operator's, such as a client of a key
//! service: run without a shell, for a bounded time, its output bounded and
//! wiped, and with none of this program's own variables in its environment.

use std::process::Stdio;
use std::time::Duration;

use tokio::io::AsyncReadExt as _;
use tokio::process::Command;
use zeroize::Zeroizing;

use super::store::KeySource;
use crate::secret::Secret;

/// From start to end.
const TIME_MAX: Duration = Duration::from_secs(30);
/// Eight keys with words around them.
const OUTPUT_BYTES_MAX: usize = 4_096;
/// What this program is told by variables may be secret.
const OWN_VARIABLES: &str = "PULSE_";

/// A program and its arguments.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyCommand {
    program: String,
    arguments: Vec<String>,
}

#[derive(Debug, thiserror::Error)]
pub enum KeyCommandError {
    #[error("{program} could not be started: {source}")]
    Start { program: String, source: std::io::Error },
    #[error("{program} did not end within {} s", limit.as_secs())]
    Late { program: String, limit: Duration },
    #[error("{program} said more than {OUTPUT_BYTES_MAX} bytes")]
    TooLong { program: String },
    #[error("{program} ended with {status}")]
    Failed { program: String, status: std::process::ExitStatus },
    #[error("{program} did not say a text")]
    NoText { program: String },
}

impl KeyCommand {
    /// Words between blanks; nothing is quoted and nothing expanded. The program is named by its whole path.
    pub fn parse(text: &str) -> Option<Self> {
        let mut words = text.split_whitespace().map(str::to_owned);
        let program = words.next().filter(|program| program.starts_with('/'))?;
        Some(Self { program, arguments: words.collect() })
    }

    /// What it says: keys in base64, one to a line, of which the first seals.
    pub async fn run(&self) -> Result<KeySource, KeyCommandError> {
        self.run_within(TIME_MAX).await
    }

    async fn run_within(&self, limit: Duration) -> Result<KeySource, KeyCommandError> {
        let program = || self.program.clone();
        let mut command = Command::new(&self.program);
        command.args(&self.arguments).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
        let own = std::env::vars_os().map(|(name, _)| name);
        for name in own.filter(|name| name.to_string_lossy().starts_with(OWN_VARIABLES)) {
            command.env_remove(name);
        }
        // Who is late is ended, with whatever it started in its group.
        command.kill_on_drop(true).process_group(0);
        let start = |source| KeyCommandError::Start { program: program(), source };
        let mut child = command.spawn().map_err(start)?;
        let stdout = child.stdout.take();
        let said = async {
            let mut bytes = Zeroizing::new(Vec::with_capacity(OUTPUT_BYTES_MAX + 1));
            if let Some(stdout) = stdout {
                // Never grows: what was read is not left behind in a smaller buffer.
                let mut bounded = stdout.take(OUTPUT_BYTES_MAX as u64 + 1);
                bounded.read_to_end(&mut bytes).await.map_err(start)?;
            }
            if bytes.len() > OUTPUT_BYTES_MAX {
                return Err(KeyCommandError::TooLong { program: program() });
            }
            let status = child.wait().await.map_err(start)?;
            if !status.success() {
                return Err(KeyCommandError::Failed { program: program(), status });
            }
            Ok(bytes)
        };
        let late = |_elapsed| KeyCommandError::Late { program: program(), limit };
        let bytes = tokio::time::timeout(limit, said).await.map_err(late)??;
        let text =
            std::str::from_utf8(&bytes).map_err(|_bytes| KeyCommandError::NoText { program: program() })?;
        let keys = Zeroizing::new(text.replace('\n', ","));
        Ok(KeySource::Given(Secret::new(keys.as_str())))
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;
    use crate::connection::store::Store;

    /// A script of that body, and the folder it lies in.
    fn script(body: &str) -> (tempfile::TempDir, KeyCommand) {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("hook");
        std::fs::write(&path, format!("#!/bin/sh\n{body}\n")).expect("written");
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o700)).expect("executable");
        let command =
            KeyCommand::parse(&format!("{} decrypt --key pulse", path.display())).expect("a command");
        (folder, command)
    }

    async fn refused(body: &str) -> String {
        let (_folder, command) = script(body);
        command.run().await.expect_err(body).to_string()
    }

    const KEY: &str = "AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=";
    const OTHER: &str = "AgICAgICAgICAgICAgICAgICAgICAgICAgICAgICAgI=";

    #[tokio::test]
    async fn what_it_says_opens_the_store_and_a_new_key_before_it_replaces_it() {
        let store = tempfile::tempdir().expect("a folder");
        let opens = async |body: String| {
            let (_folder, command) = script(&body);
            let key = command.run().await.expect("a key");
            Store::open(store.path(), &key).map(drop)
        };
        opens(format!("echo {KEY}")).await.expect("made");
        opens(format!("test \"$1 $2 $3\" = 'decrypt --key pulse' && echo {KEY}")).await.expect("opened");
        assert!(opens(format!("echo {OTHER}")).await.is_err(), "another key");
        opens(format!("echo {OTHER}; echo {KEY}")).await.expect("both");
        opens(format!("printf %s {OTHER}")).await.expect("the new one alone");
        assert!(opens("echo nonsense".to_owned()).await.is_err());
        assert!(opens("true".to_owned()).await.is_err());
    }

    #[tokio::test]
    async fn what_fails_or_talks_too_much_is_named_and_what_it_said_is_not() {
        let told = refused(&format!("echo {KEY}; exit 3")).await;
        assert!(told.contains("exit status: 3") && !told.contains(KEY), "{told}");
        assert!(refused("exec cat /dev/zero").await.contains("more than 4096 bytes"));
        assert!(refused("printf '\\377\\376'").await.contains("did not say a text"));
        let absent = KeyCommand::parse("/no/such/program").expect("a command");
        assert!(absent.run().await.expect_err("absent").to_string().contains("could not be started"));
        for text in ["", "   ", "hook --key", "./hook"] {
            assert_eq!(KeyCommand::parse(text), None, "{text:?}");
        }
    }

    #[tokio::test]
    async fn who_is_late_is_ended() {
        let (folder, command) = script("echo $$ > \"$(dirname \"$0\")/pid\"; exec sleep 600");
        let late = command.run_within(Duration::from_millis(300)).await.expect_err("late");
        assert!(matches!(late, KeyCommandError::Late { .. }), "{late}");
        let pid = std::fs::read_to_string(folder.path().join("pid")).expect("it had begun");
        let gone = async {
            // The runtime reaps it: an entry that is a zombie no longer runs.
            let stat = format!("/proc/{}/stat", pid.trim());
            while std::fs::read_to_string(&stat).is_ok_and(|stat| !stat.contains(") Z ")) {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(Duration::from_secs(10), gone).await.expect("ended");
    }
}
