//! Appending rows to a file that other processes may append to at the same time.
//!
//! Refuses to know columns: it locks, makes sure that the row starts on a line of its own, and takes a half-written
//! row back.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::Path;

/// An open file that this process alone appends to until it is dropped.
#[derive(Debug)]
pub(crate) struct Locked {
    file: File,
    content: Vec<u8>,
    /// `false` on file systems without locks: others may then append while we do.
    alone: bool,
}

/// How often a file may be renamed away under us before we give up following it.
const MOST_RENAMES: u32 = 100;

impl Locked {
    /// Opens or makes the file, waits for its lock and reads what is in it.
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        for _ in 0..MOST_RENAMES {
            let mut file = OpenOptions::new().read(true).append(true).create(true).open(path)?;
            let locked = file.lock();
            if let Err(error) = &locked {
                // Some network file systems have no locks; a row is still one write call.
                tracing::debug!(path = %path.display(), %error, "the file cannot be locked");
            }
            if is_still_at(&file, path) {
                let mut content = Vec::new();
                // A device or a pipe has no content to line up with, and reading one might never end.
                if file.metadata()?.is_file() {
                    file.read_to_end(&mut content)?;
                }
                return Ok(Self { file, content, alone: locked.is_ok() });
            }
        }
        Err(io::Error::new(io::ErrorKind::ResourceBusy, "other programs keep renaming it"))
    }

    /// What the file held when it was locked.
    pub(crate) fn content(&self) -> &[u8] {
        &self.content
    }

    /// Appends whole lines. On an error the file is as long as before, so no half row stays.
    pub(crate) fn append(&mut self, lines: &[u8]) -> io::Result<()> {
        let mut bytes = Vec::with_capacity(lines.len() + 1);
        if self.content.last().is_some_and(|last| *last != b'\n') {
            bytes.push(b'\n');
        }
        bytes.extend_from_slice(lines);
        let outcome = self.file.write_all(&bytes).and_then(|()| self.sync());
        if outcome.is_err() && self.alone && self.file.set_len(self.content.len() as u64).is_err() {
            tracing::debug!("a half-written row could not be taken back");
        }
        outcome
    }

    fn sync(&self) -> io::Result<()> {
        if self.file.metadata()?.is_file() { self.file.sync_data() } else { Ok(()) }
    }
}

/// `false` where another process renamed the file away while we waited for its lock.
#[cfg(unix)]
fn is_still_at(file: &File, path: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    match (file.metadata(), std::fs::metadata(path)) {
        (Ok(ours), Ok(theirs)) => (ours.dev(), ours.ino()) == (theirs.dev(), theirs.ino()),
        _ => false,
    }
}

/// Elsewhere an open file cannot be renamed away.
#[cfg(not(unix))]
fn is_still_at(_file: &File, _path: &Path) -> bool {
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_never_continues_a_line_that_was_cut() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.csv");
        std::fs::write(&path, "h\n1\n2").unwrap();
        let mut locked = Locked::open(&path).unwrap();
        assert_eq!(locked.content(), b"h\n1\n2");
        locked.append(b"3\n").unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "h\n1\n2\n3\n");
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn a_device_without_space_gives_its_error() {
        let error = Locked::open(Path::new("/dev/full")).unwrap().append(b"row\n").unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::StorageFull);
    }
}
