//! The audit log on disk: one JSON object per line, only ever appended to; a full file is set
//! aside and the oldest goes.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufRead as _, BufReader, Write as _};
use std::os::unix::fs::{FileExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

pub const FILE_NAME: &str = "audit.jsonl";
const LINE_BYTES_MAX: usize = 16 * 1024;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rotation {
    pub file_bytes_max: u64,
    /// Full files that are kept beside the one that grows.
    pub files_max: usize,
}

/// The file that grows.
#[derive(Debug)]
pub struct Log {
    path: PathBuf,
    rotation: Rotation,
    file: File,
    length: u64,
    /// The last line was cut off: by a crash, or by a full disk.
    torn: bool,
}

impl Log {
    /// For its owner alone.
    pub fn open(path: &Path, rotation: Rotation) -> io::Result<Self> {
        let file = OpenOptions::new().create(true).read(true).append(true).mode(0o600).open(path)?;
        let length = file.metadata()?.len();
        let mut last = *b"\n";
        if length > 0 {
            file.read_exact_at(&mut last, length - 1)?;
        }
        Ok(Self { path: path.to_owned(), rotation, file, length, torn: last != *b"\n" })
    }

    /// In the file when it returns.
    pub fn append(&mut self, line: &Map<String, Value>) -> io::Result<()> {
        let mut text = serde_json::to_vec(line)?;
        if text.len() > LINE_BYTES_MAX {
            return Err(io::Error::other("an audit line is too long"));
        }
        text.push(b'\n');
        if self.length > 0 && self.length + text.len() as u64 > self.rotation.file_bytes_max {
            self.rotate()?;
        }
        if self.torn {
            // What is left of a line costs itself and not the next one.
            text.insert(0, b'\n');
        }
        self.torn = true;
        self.file.write_all(&text)?;
        self.torn = false;
        self.length += text.len() as u64;
        Ok(())
    }

    fn rotate(&mut self) -> io::Result<()> {
        self.file.sync_all()?;
        for number in (1..self.rotation.files_max).rev() {
            match fs::rename(aside(&self.path, number), aside(&self.path, number + 1)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        fs::rename(&self.path, aside(&self.path, 1))?;
        *self = Self::open(&self.path, self.rotation)?;
        Ok(())
    }
}

fn aside(path: &Path, number: usize) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".{number}"));
    PathBuf::from(name)
}

/// The file of strangers beside that of deeds.
pub(super) fn beside(path: &Path) -> PathBuf {
    path.with_extension("strangers.jsonl")
}

/// Every line, oldest first; what is no line of ours (the last one after a crash) is passed over.
pub fn read(path: &Path, files_max: usize, mut take: impl FnMut(Map<String, Value>)) -> io::Result<()> {
    let old = (1..=files_max).rev().map(|number| aside(path, number));
    for path in old.chain([path.to_owned()]) {
        let file = match File::open(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            file => file?,
        };
        for line in BufReader::new(file).split(b'\n') {
            if let Ok(line) = serde_json::from_slice(&line?) {
                take(line);
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    fn line(number: usize) -> Map<String, Value> {
        Map::from_iter([("number".to_owned(), number.into())])
    }

    fn numbers(path: &Path, files_max: usize) -> Vec<u64> {
        let mut found = Vec::new();
        read(path, files_max, |line| found.extend(line["number"].as_u64())).expect("readable");
        found
    }

    #[test]
    fn files_are_set_aside_in_order_and_the_oldest_goes() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join(FILE_NAME);
        // Two lines each: {"number":N} and a line feed.
        let rotation = Rotation { file_bytes_max: 26, files_max: 2 };
        let mut log = Log::open(&path, rotation).expect("opened");
        for number in 1..=4 {
            log.append(&line(number)).expect("written");
        }
        assert_eq!(numbers(&path, 2), [1, 2, 3, 4]);
        // Goes on where it was.
        let mut log = Log::open(&path, rotation).expect("opened again");
        for number in 5..=7 {
            log.append(&line(number)).expect("written");
        }
        assert_eq!(numbers(&path, 2), [3, 4, 5, 6, 7]);
        assert_eq!(fs::read_dir(folder.path()).expect("a folder").count(), 3);
        assert_eq!(fs::metadata(&path).expect("a file").permissions().mode() & 0o777, 0o600);
    }

    #[test]
    fn half_a_line_costs_itself() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join(FILE_NAME);
        fs::write(&path, "{\"number\":1}\n{\"numb").expect("written");
        assert_eq!(numbers(&path, 1), [1]);
        let mut log = Log::open(&path, Rotation { file_bytes_max: 1_000, files_max: 1 }).expect("opened");
        for number in 2..=3 {
            log.append(&line(number)).expect("written");
        }
        assert_eq!(numbers(&path, 1), [1, 2, 3], "the lines after it are whole");
    }
}
