//! What contexts for AI need beside the feed: the key of their pseudonyms, kept
//! with the data, and sketches that are made ahead of the questions.

use std::io::{ErrorKind, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, anyhow};
use rand::Rng as _;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::context::memo::Memo;
use crate::context::redact::{KEY_BYTES, Pseudonyms};
use crate::context::tokens;
use crate::state::Feed;

/// Beside the store. Who loses it gets other pseudonyms for the same names.
const FILE: &str = "context.key";
/// Sketches are brought up to date so often at most, so that a question finds few to make.
const PAUSE: Duration = Duration::from_millis(250);
/// While nobody asks, that may take one part in so many of a processor, and comes seldom, for it gets in the way of who
/// reads: the next question makes what is missing.
const IDLE_SHARE: u32 = 50;
const IDLE_PAUSE: Duration = Duration::from_secs(5);

/// The key of this deployment; made once. A damaged one is told and not replaced.
pub(super) fn pseudonyms(data_dir: &Path) -> anyhow::Result<Pseudonyms> {
    let path = data_dir.join(FILE);
    match std::fs::read(&path) {
        Ok(bytes) => {
            let key: [u8; KEY_BYTES] = bytes.as_slice().try_into().map_err(|_length| {
                anyhow!(
                    "{} has {} bytes instead of {KEY_BYTES}; put back the right one, or remove it to give every name \
                     a new pseudonym",
                    path.display(),
                    bytes.len()
                )
            })?;
            Ok(Pseudonyms::new(key))
        }
        Err(error) if error.kind() == ErrorKind::NotFound => make(&path),
        Err(error) => Err(error).with_context(|| format!("read {}", path.display())),
    }
}

/// Whole or not at all, and for its own user alone.
fn make(path: &Path) -> anyhow::Result<Pseudonyms> {
    let mut key = [0; KEY_BYTES];
    rand::rng().fill_bytes(&mut key);
    let draft = path.with_extension("key.new");
    let written = || -> std::io::Result<()> {
        let mut file =
            std::fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&draft)?;
        file.write_all(&key)?;
        file.sync_all()?;
        std::fs::rename(&draft, path)
    };
    written().with_context(|| format!("write {}", path.display()))?;
    Ok(Pseudonyms::new(key))
}

/// Follows the feed until the stop.
pub(super) async fn keep_ready(mut feed: Feed, memo: Arc<Memo>, stop: CancellationToken) {
    // Reading the vocabularies takes a second or two, which the first question need not wait for.
    if tokio::task::spawn_blocking(|| tokens::count("")).await.is_err() {
        return;
    }
    tracing::info!("vocabularies of contexts are loaded");
    loop {
        let view = feed.view();
        let revision = view.revision;
        let known = Arc::clone(&memo);
        let began = Instant::now();
        if tokio::task::spawn_blocking(move || known.refresh(&view)).await.is_err() {
            return;
        }
        let pause = if memo.is_warm() { PAUSE } else { IDLE_PAUSE.max(began.elapsed() * IDLE_SHARE) };
        let next = async {
            tokio::time::sleep(pause).await;
            feed.beyond(revision).await
        };
        tokio::select! {
            () = stop.cancelled() => return,
            goes_on = next => if !goes_on { return },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::context::piece::Kind;

    #[test]
    fn a_key_is_made_once_and_a_damaged_one_is_not_replaced() -> anyhow::Result<()> {
        use std::os::unix::fs::PermissionsExt as _;
        let folder = tempfile::tempdir()?;
        let name = pseudonyms(folder.path())?.of(Kind::System, "nas");
        assert_eq!(pseudonyms(folder.path())?.of(Kind::System, "nas"), name);
        let path = folder.path().join(FILE);
        assert_eq!(std::fs::metadata(&path)?.permissions().mode() & 0o777, 0o600);
        std::fs::write(&path, "short")?;
        let error = pseudonyms(folder.path()).expect_err("a damaged key").to_string();
        assert!(error.contains("context.key has 5 bytes instead of 32"), "{error}");
        assert_eq!(std::fs::read(&path)?, b"short");
        Ok(())
    }
}
