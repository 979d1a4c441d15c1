//! Where secrets come from: stdin, a file or the environment. Never an
//! argument, which every user of the machine can read.

use std::io::{IsTerminal as _, Read as _};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use clap::Args;

/// Longest secret that is read.
const SECRET_BYTES_MAX: u64 = 4_096;
pub(super) const API_KEY_VARIABLE: &str = "PULSE_TRUENAS_API_KEY";
pub(super) const PASSWORD_VARIABLE: &str = "PULSE_TRUENAS_PASSWORD";

#[derive(Debug, Args)]
pub(super) struct SecretArgs {
    /// Read the API key from stdin.
    #[arg(long, conflicts_with_all = ["api_key_file", "password_stdin", "password_file"])]
    api_key_stdin: bool,
    /// Read the API key from a file. Without any of these it is taken from `PULSE_TRUENAS_API_KEY`.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["password_stdin", "password_file"])]
    api_key_file: Option<PathBuf>,
    /// Log in with a password, read from stdin.
    #[arg(long, conflicts_with = "password_file")]
    password_stdin: bool,
    /// Log in with a password, read from a file, or from `PULSE_TRUENAS_PASSWORD`.
    #[arg(long, value_name = "FILE")]
    password_file: Option<PathBuf>,
}

/// At most one is set.
#[derive(Default)]
pub(super) struct Secrets {
    pub(super) api_key: String,
    pub(super) password: String,
}

impl SecretArgs {
    /// For a connection that is new: from an option or the environment, and there must be one.
    pub(super) fn read(&self) -> anyhow::Result<Secrets> {
        if let Some(told) = self.told()? {
            return Ok(told);
        }
        if let Ok(api_key) = std::env::var(API_KEY_VARIABLE) {
            return Ok(Secrets { api_key, ..Secrets::default() });
        }
        if let Ok(password) = std::env::var(PASSWORD_VARIABLE) {
            return Ok(Secrets { password, ..Secrets::default() });
        }
        bail!("no API key: use --api-key-stdin, --api-key-file FILE, or set {API_KEY_VARIABLE}")
    }

    /// What an option asks for. A variable that happens to be set must not replace a stored secret.
    pub(super) fn told(&self) -> anyhow::Result<Option<Secrets>> {
        let key = |api_key| Secrets { api_key, ..Secrets::default() };
        let password = |password| Secrets { password, ..Secrets::default() };
        if self.api_key_stdin {
            return stdin("API key").map(key).map(Some);
        }
        if let Some(path) = &self.api_key_file {
            return file(path).map(key).map(Some);
        }
        if self.password_stdin {
            return stdin("password").map(password).map(Some);
        }
        if let Some(path) = &self.password_file {
            return file(path).map(password).map(Some);
        }
        Ok(None)
    }
}

fn stdin(what: &str) -> anyhow::Result<String> {
    if std::io::stdin().is_terminal() {
        pulse_shell::table::complain(&format!("Enter the {what}, then Ctrl-D:"));
    }
    one_line(std::io::stdin().lock(), what)
}

fn file(path: &Path) -> anyhow::Result<String> {
    let shown = path.display().to_string();
    let file = std::fs::File::open(path).with_context(|| format!("cannot read {shown}"))?;
    one_line(file, &shown)
}

fn one_line(from: impl std::io::Read, what: &str) -> anyhow::Result<String> {
    let mut text = String::new();
    from.take(SECRET_BYTES_MAX + 1)
        .read_to_string(&mut text)
        .with_context(|| format!("cannot read the {what}"))?;
    let text = text.trim_end_matches(['\r', '\n']);
    if text.is_empty() {
        bail!("the {what} is empty");
    }
    if text.len() as u64 > SECRET_BYTES_MAX || text.contains('\n') {
        bail!("the {what} is more than one line of {SECRET_BYTES_MAX} bytes");
    }
    Ok(text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_one_line_without_its_end() {
        assert_eq!(one_line(&b"1-abc\r\n"[..], "key").expect("a line"), "1-abc");
        assert_eq!(one_line(&b"  spaces stay "[..], "key").expect("a line"), "  spaces stay ");
        for bad in [&b""[..], b"\n", b"a\nb", &[b'x'; 5_000]] {
            let error = one_line(bad, "key").expect_err("no secret");
            assert!(!error.to_string().contains("xxx"), "{error}");
        }
    }
}
