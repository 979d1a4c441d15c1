//! Which connections the registry may know from this collector, on disk: what
//! is in this file and no longer configured must be removed there, however
//! often either side was killed in between. Also keeps the lease epochs: what was
//! brought under one of them is this collector's, whatever its id was then.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};

use pulse_proto::model::{ConnectionId, Epoch, UnixMillis};
use serde::{Deserialize, Serialize};

const FILE_NAME: &str = "uplink.json";
/// Earlier epochs that are kept, the newest: as many starts ago a connection may have been brought last.
const FORMER_MAX: usize = 256;

#[derive(Debug, Default, Serialize, Deserialize)]
struct Stored {
    epoch: u64,
    /// Those before, while any connection is known.
    #[serde(default)]
    former: BTreeSet<u64>,
    connections: BTreeSet<String>,
}

/// The file, and what is in it.
#[derive(Debug)]
pub struct Known {
    path: PathBuf,
    epoch: Epoch,
    former: BTreeSet<u64>,
    connections: BTreeSet<ConnectionId>,
    /// What is in memory is not on disk yet.
    unwritten: bool,
}

#[derive(Debug, thiserror::Error)]
#[error("{path}: {reason}; check permissions and disk space of data_dir")]
pub struct KnownError {
    path: String,
    reason: String,
}

impl Known {
    /// Reads the file and takes the next epoch: greater than any before, also when the clock was set back.
    pub fn open(folder: &Path, now: UnixMillis) -> Result<Self, KnownError> {
        let path = folder.join(FILE_NAME);
        let stored: Stored = match fs::read(&path) {
            Ok(bytes) => serde_json::from_slice(&bytes).map_err(|error| failed(&path, &error))?,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Stored::default(),
            Err(error) => return Err(failed(&path, &error)),
        };
        let epoch = Epoch(now.get().max(stored.epoch.saturating_add(1)));
        let connections: BTreeSet<_> =
            stored.connections.iter().filter_map(|id| ConnectionId::parse(id).ok()).collect();
        let mut former = stored.former;
        former.insert(stored.epoch);
        while former.len() > FORMER_MAX {
            former.pop_first();
        }
        if connections.is_empty() {
            former.clear();
        }
        let mut known = Self { path, epoch, former, connections, unwritten: true };
        known.write()?;
        Ok(known)
    }

    pub fn epoch(&self) -> Epoch {
        self.epoch
    }

    /// Epochs of earlier starts, under which anything of what is known may have been brought last.
    pub fn former(&self) -> &BTreeSet<u64> {
        &self.former
    }

    pub fn connections(&self) -> &BTreeSet<ConnectionId> {
        &self.connections
    }

    /// Must return before anything of these connections is sent.
    pub fn add(&mut self, connections: impl IntoIterator<Item = ConnectionId>) -> Result<(), KnownError> {
        let before = self.connections.len();
        self.connections.extend(connections);
        self.unwritten |= self.connections.len() != before;
        self.write()
    }

    /// The registry has confirmed that it removed the connection.
    pub fn remove(&mut self, connection: &ConnectionId) -> Result<(), KnownError> {
        self.unwritten |= self.connections.remove(connection);
        self.write()
    }

    fn write(&mut self) -> Result<(), KnownError> {
        if !self.unwritten {
            return Ok(());
        }
        let connections = self.connections.iter().map(ToString::to_string).collect();
        let stored = Stored { epoch: self.epoch.0, former: self.former.clone(), connections };
        replace(&self.path, &stored).map_err(|error| failed(&self.path, &error))?;
        self.unwritten = false;
        Ok(())
    }
}

/// Whole and on disk, or as it was.
fn replace(path: &Path, stored: &Stored) -> std::io::Result<()> {
    let temporary = path.with_extension("json.new");
    let mut file = File::create(&temporary)?;
    file.write_all(&serde_json::to_vec_pretty(stored)?)?;
    file.sync_all()?;
    fs::rename(&temporary, path)?;
    if let Some(folder) = path.parent() {
        File::open(folder)?.sync_all()?;
    }
    Ok(())
}

fn failed(path: &Path, error: &dyn std::fmt::Display) -> KnownError {
    KnownError { path: path.display().to_string(), reason: error.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(text: &str) -> ConnectionId {
        ConnectionId::parse(text).unwrap()
    }

    #[test]
    fn epochs_rise_and_connections_stay_until_removed() {
        let folder = tempfile::tempdir().unwrap();
        let mut known = Known::open(folder.path(), UnixMillis::new(1_000)).unwrap();
        assert_eq!(known.epoch(), Epoch(1_000));
        known.add([id("a"), id("b")]).unwrap();
        known.remove(&id("a")).unwrap();
        let known = Known::open(folder.path(), UnixMillis::new(500)).unwrap();
        assert_eq!(known.epoch(), Epoch(1_001), "a clock that was set back does not fence its own collector");
        assert_eq!(known.connections(), &BTreeSet::from([id("b")]));
        assert_eq!(known.former(), &BTreeSet::from([1_000]));
    }

    #[test]
    fn earlier_epochs_are_kept_while_anything_of_them_may_be_held() {
        let folder = tempfile::tempdir().unwrap();
        let open = |now| Known::open(folder.path(), UnixMillis::new(now)).unwrap();
        open(1);
        let mut known = open(2);
        assert!(known.former().is_empty(), "nothing was brought");
        known.add([id("a")]).unwrap();
        for now in 3..400 {
            open(now);
        }
        let mut known = open(400);
        assert_eq!((known.former().len(), known.former().last()), (FORMER_MAX, Some(&399)));
        known.remove(&id("a")).unwrap();
        assert!(open(500).former().is_empty());
    }

    #[test]
    fn a_file_of_an_earlier_release_has_one_epoch() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join(FILE_NAME), r#"{"epoch": 7, "connections": ["a"]}"#).unwrap();
        let known = Known::open(folder.path(), UnixMillis::new(9)).unwrap();
        assert_eq!(known.former(), &BTreeSet::from([7]));
    }

    #[test]
    fn a_damaged_file_is_refused_with_its_name() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join(FILE_NAME), "{").unwrap();
        let error = Known::open(folder.path(), UnixMillis::new(1)).unwrap_err();
        assert!(error.to_string().contains(FILE_NAME), "{error}");
    }
}
