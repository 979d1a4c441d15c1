//! Copies a journal into one file or stream, while a registry may be writing to it. Files
//! are opened before they are read, segments only grow, and each frame is
//! checked: what is copied is the journal as it was at one commit.

use std::fmt::Debug;
use std::io::{self, Write};
use std::path::Path;

use pulse_proto::model::Revision;

use super::folder_of;
use crate::store::StoreError;
use crate::store::journal::FOLDER;
use crate::store::journal::disk::{Disk, OsDisk, Output};
use crate::store::journal::file::FrameFile;
use crate::store::journal::frame::FrameKind;
use crate::store::journal::header::{FORMAT, HEADER_BYTES, Header, Kind, new_salt};
use crate::store::journal::place::{CHECKPOINT, failed};
use crate::store::journal::read::{Piece, Plan};

/// A checkpoint may take the place of what is being opened; hardly this often.
const ATTEMPTS_MAX: usize = 8;

/// As messages name a backup that has no file.
const STREAM: &str = "standard output";

/// What a backup holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Saved {
    pub registry_id: String,
    pub revision: Revision,
    pub bytes: u64,
}

/// Writes the journal in `data_dir` to `to`, which has that name only once it is complete and durable.
pub fn save(data_dir: &Path, to: &Path) -> Result<Saved, StoreError> {
    let plan = opened(&data_dir.join(FOLDER))?;
    let unfinished = to.with_added_extension("tmp");
    let output = OsDisk.create(&unfinished).map_err(|error| failed(&unfinished, &error))?;
    let saved = copy(plan, output, &unfinished).and_then(|saved| {
        let named = OsDisk.rename(&unfinished, to).and_then(|()| OsDisk.sync_folder(folder_of(to)));
        named.map_err(|error| failed(to, &error))?;
        Ok(saved)
    });
    if saved.is_err() {
        drop(OsDisk.remove(&unfinished));
    }
    saved
}

/// The same to a stream, such as a pipe. What was cut off is known by its missing end.
pub fn save_stream(
    data_dir: &Path,
    output: impl Write + Debug + Send + 'static,
) -> Result<Saved, StoreError> {
    let plan = opened(&data_dir.join(FOLDER))?;
    copy(plan, Box::new(Stream { output, at: 0 }), Path::new(STREAM))
}

/// Every file of the journal, open at one moment.
fn opened(folder: &Path) -> Result<Plan, StoreError> {
    let mut attempt = 0;
    loop {
        attempt += 1;
        let before = salt(folder)?;
        match Plan::open(folder, None) {
            Err(_) if attempt < ATTEMPTS_MAX && salt(folder)? != before => {}
            other => return other,
        }
    }
}

/// Which checkpoint is there: each has its own.
fn salt(folder: &Path) -> Result<u32, StoreError> {
    let path = folder.join(CHECKPOINT);
    let opened = std::fs::File::open(&path);
    let mut file = opened.map_err(|error| StoreError::Open {
        path: path.display().to_string(),
        reason: format!("{error}; is this the data_dir of a registry that has run?"),
    })?;
    Ok(Header::read(&mut file, &path, Kind::Checkpoint)?.salt)
}

fn copy(plan: Plan, mut output: Box<dyn Output>, to: &Path) -> Result<Saved, StoreError> {
    let kind = Kind::Archive;
    let header = Header { format: FORMAT, kind, salt: new_salt(), number: 0, ..plan.header().clone() };
    output.write(0, &header.encode()).map_err(|error| failed(to, &error))?;
    let mut file = FrameFile::new(output, to, header.salt, HEADER_BYTES as u64, 1);
    let end = plan.read(&mut |piece| match piece {
        Piece::File(header) => {
            let revision = header.revision.0;
            file.put(FrameKind::File, revision, |out| out.extend_from_slice(&header.encode()))?;
            Ok(Vec::new())
        }
        Piece::Rows(rows) => {
            file.put(FrameKind::Rows, rows.revision, |out| out.extend_from_slice(&rows.payload))?;
            Ok(rows.payload)
        }
    })?;
    file.put(FrameKind::End, end.revision.0, |_| {})?;
    file.sync()?;
    Ok(Saved { registry_id: end.registry_id, revision: end.revision, bytes: file.at() })
}

/// What only goes on: nothing of it can be written again or taken back.
#[derive(Debug)]
struct Stream<W> {
    output: W,
    at: u64,
}

impl<W: Write + Debug + Send + 'static> Output for Stream<W> {
    fn write(&mut self, at: u64, bytes: &[u8]) -> io::Result<()> {
        if at != self.at {
            return Err(io::ErrorKind::NotSeekable.into());
        }
        self.output.write_all(bytes)?;
        self.at += bytes.len() as u64;
        Ok(())
    }

    fn sync(&mut self) -> io::Result<()> {
        self.output.flush()
    }

    fn cut(&mut self, _length: u64) -> io::Result<()> {
        Err(io::ErrorKind::NotSeekable.into())
    }
}
