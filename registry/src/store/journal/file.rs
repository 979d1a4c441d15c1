//! A file of frames that is being written.

use std::path::{Path, PathBuf};

use super::disk::{Disk, Output};
use super::frame::{self, FrameKind};
use super::header::{HEADER_BYTES, Header};
use super::place::failed;
use crate::store::StoreError;

/// Room that is kept for the next frame; a larger one is given back.
const BUFFER_KEPT_MAX: usize = 32 * 1024 * 1024;

#[derive(Debug)]
pub(super) struct FrameFile {
    output: Box<dyn Output>,
    path: PathBuf,
    salt: u32,
    /// Where the next frame goes.
    at: u64,
    ordinal: u64,
    buffer: Vec<u8>,
}

/// Which half of a durable write failed.
#[derive(Debug)]
pub(super) enum Failure {
    /// Not a byte was written.
    Refused(StoreError),
    Write(StoreError),
    Sync(StoreError),
}

impl Failure {
    pub(super) fn into_error(self) -> StoreError {
        let (Self::Refused(error) | Self::Write(error) | Self::Sync(error)) = self;
        error
    }
}

impl FrameFile {
    /// A new file; its first frame gets the ordinal `first`.
    pub(super) fn create(
        disk: &dyn Disk,
        path: &Path,
        header: &Header,
        first: u64,
    ) -> Result<Self, StoreError> {
        let made = disk.create(path).and_then(|mut output| {
            output.write(0, &header.encode())?;
            Ok(output)
        });
        let output = made.map_err(|error| failed(path, &error))?;
        Ok(Self::new(output, path, header.salt, HEADER_BYTES as u64, first))
    }

    /// To go on with a file that is there.
    pub(super) fn new(output: Box<dyn Output>, path: &Path, salt: u32, at: u64, ordinal: u64) -> Self {
        Self { output, path: path.to_owned(), salt, at, ordinal, buffer: Vec::new() }
    }

    pub(super) fn at(&self) -> u64 {
        self.at
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// It has got its final name.
    pub(super) fn renamed(&mut self, path: PathBuf) {
        self.path = path;
    }

    /// Adds a frame with what `fill` puts into it. Not durable yet.
    pub(super) fn put(
        &mut self,
        kind: FrameKind,
        revision: u64,
        fill: impl FnOnce(&mut Vec<u8>),
    ) -> Result<(), StoreError> {
        self.write(kind, revision, fill).map_err(Failure::into_error)?;
        self.advance();
        Ok(())
    }

    /// Adds a frame and syncs it. Unless that succeeds the next frame goes where this one went.
    pub(super) fn put_durably(
        &mut self,
        kind: FrameKind,
        revision: u64,
        fill: impl FnOnce(&mut Vec<u8>),
    ) -> Result<(), Failure> {
        self.write(kind, revision, fill)?;
        self.sync().map_err(Failure::Sync)?;
        self.advance();
        Ok(())
    }

    fn write(
        &mut self,
        kind: FrameKind,
        revision: u64,
        fill: impl FnOnce(&mut Vec<u8>),
    ) -> Result<(), Failure> {
        frame::begin(&mut self.buffer);
        fill(&mut self.buffer);
        if !frame::seal(&mut self.buffer, self.salt, kind, self.ordinal, revision) {
            let said = format!("{} bytes are too much for one commit", self.buffer.len());
            self.buffer = Vec::new();
            return Err(Failure::Refused(StoreError::Engine(said)));
        }
        self.output.write(self.at, &self.buffer).map_err(|error| Failure::Write(failed(&self.path, &error)))
    }

    fn advance(&mut self) {
        self.at += self.buffer.len() as u64;
        self.ordinal += 1;
        if self.buffer.capacity() > BUFFER_KEPT_MAX {
            self.buffer = Vec::new();
        }
    }

    /// Bytes of the frame that was written last.
    pub(super) fn frame_bytes(&self) -> u64 {
        self.buffer.len() as u64
    }

    pub(super) fn sync(&mut self) -> Result<(), StoreError> {
        self.output.sync().map_err(|error| failed(&self.path, &error))
    }

    /// Takes away what stands behind the last frame that counts.
    pub(super) fn cut(&mut self) -> Result<(), StoreError> {
        let cut = self.output.cut(self.at).and_then(|()| self.output.sync());
        cut.map_err(|error| failed(&self.path, &error))
    }

    /// Writes again what already stands at the end of the file, and syncs it.
    pub(super) fn rewrite(&mut self, end: &[u8]) -> Result<(), StoreError> {
        let at = self.at - end.len() as u64;
        let done = self.output.write(at, end).and_then(|()| self.output.cut(self.at));
        done.and_then(|()| self.output.sync()).map_err(|error| failed(&self.path, &error))
    }
}
