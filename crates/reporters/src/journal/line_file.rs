//! A file of lines that never holds half a line once a write has returned. Refuses to know what a line means.

use std::fs::{File, TryLockError};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use ai_energy_core::{Fault, FaultKind};
use serde::Serialize;

use super::push_line;
use crate::files::io_fault;

/// What lines are written to: something that can also be cut back.
pub(super) trait Backing: Write {
    /// Cuts the content to `length` bytes and goes on writing there.
    fn cut(&mut self, length: u64) -> io::Result<()>;
    /// Makes the content durable.
    fn sync(&self) -> io::Result<()>;
}

impl Backing for File {
    fn cut(&mut self, length: u64) -> io::Result<()> {
        self.set_len(length)
    }

    fn sync(&self) -> io::Result<()> {
        if self.metadata()?.is_file() { self.sync_all() } else { Ok(()) }
    }
}

/// Whether another process, or another journal of this one, holds the file; takes it where nobody does. A file system without
/// locks holds nothing, and neither does what is no file.
pub(super) fn held_by_another(file: &File) -> bool {
    let whole = file.metadata().is_ok_and(|data| data.is_file());
    whole && matches!(file.try_lock(), Err(TryLockError::WouldBlock))
}

/// Lines on their way into a file. After the first failure nothing more is written, so that no gap hides inside.
pub(super) struct LineFile<B> {
    path: PathBuf,
    backing: B,
    pending: Vec<u8>,
    /// Bytes in the file, all of them whole lines.
    length: u64,
    fault: Option<Fault>,
}

impl LineFile<File> {
    /// Makes the file, or empties it, and holds it for this process alone: two runs into one folder would empty each other's.
    pub(super) fn create(path: &Path) -> Result<Self, Fault> {
        let file = File::options().append(true).create(true).open(path);
        if file.as_ref().is_ok_and(held_by_another) {
            return Err(Fault::new(
                FaultKind::Output,
                path.display().to_string(),
                "a run that goes on writes it",
            )
            .remedy("let that run end, or choose another folder"));
        }
        let file =
            file.and_then(
                |file| {
                    if file.metadata()?.is_file() { file.set_len(0).map(|()| file) } else { Ok(file) }
                },
            );
        let backing = file.map_err(|error| io_fault(path, "the file cannot be made", &error))?;
        Ok(Self::over(path, backing))
    }
}

impl<B: Backing> LineFile<B> {
    fn over(path: &Path, backing: B) -> Self {
        Self { path: path.to_owned(), backing, pending: Vec::new(), length: 0, fault: None }
    }

    /// Adds a line to what the next flush writes.
    pub(super) fn push<T: Serialize>(&mut self, value: &T) {
        if self.fault.is_none() {
            self.fault = push_line(&mut self.pending, &self.path, value).err();
        }
    }

    /// Writes the pending lines. On a failure the file is cut back to its last whole line.
    pub(super) fn flush(&mut self) {
        let pending = std::mem::take(&mut self.pending);
        let mut written = 0;
        while written < pending.len() {
            match self.backing.write(&pending[written..]) {
                Ok(0) => return self.give_up(&pending[..written], &io::ErrorKind::WriteZero.into()),
                Ok(count) => written += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return self.give_up(&pending[..written], &error),
            }
        }
        self.length += pending.len() as u64;
    }

    /// Keeps the whole lines of what was written of a flush, and the first fault.
    fn give_up(&mut self, written: &[u8], error: &io::Error) {
        let whole = written.iter().rposition(|byte| *byte == b'\n').map_or(0, |newline| newline + 1);
        self.length += whole as u64;
        if whole < written.len()
            && let Err(error) = self.backing.cut(self.length)
        {
            tracing::warn!(path = %self.path.display(), %error, "the file's last line is cut and cannot be removed");
        }
        if self.fault.is_none() {
            let fault = io_fault(&self.path, "cannot be written", error);
            tracing::warn!(path = %self.path.display(), %error, "the journal stops here");
            self.fault = Some(fault);
        }
    }

    /// What went wrong, if anything.
    pub(super) fn fault(&self) -> Option<&Fault> {
        self.fault.as_ref()
    }

    /// Makes everything durable and says where it is, or what went wrong first.
    pub(super) fn close(self) -> Result<PathBuf, Fault> {
        let synced = self.backing.sync();
        match self.fault {
            Some(fault) => Err(fault),
            None => synced
                .map(|()| self.path.clone())
                .map_err(|error| io_fault(&self.path, "cannot be made durable", &error)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// A real file on a disk with room for `room` bytes.
    struct SmallDisk {
        file: File,
        room: usize,
    }

    impl Write for SmallDisk {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            if self.room == 0 {
                return Err(io::Error::from_raw_os_error(28));
            }
            // Short writes too, as a disk gives when it fills up.
            let count = self.file.write(&bytes[..bytes.len().min(self.room).min(7)])?;
            self.room -= count;
            Ok(count)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    impl Backing for SmallDisk {
        fn cut(&mut self, length: u64) -> io::Result<()> {
            self.file.set_len(length)
        }

        fn sync(&self) -> io::Result<()> {
            self.file.sync_all()
        }
    }

    proptest! {
        #[test]
        fn a_disk_that_fills_up_leaves_the_first_whole_lines(
            room in 0_usize..200,
            batches in prop::collection::vec(prop::collection::vec("[a-z]{0,12}", 0..4), 1..8),
        ) {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("lines");
            let file = File::options().append(true).create(true).open(&path).unwrap();
            let mut lines = LineFile::over(&path, SmallDisk { file, room });
            for batch in &batches {
                for word in batch {
                    lines.push(word);
                }
                lines.flush();
            }
            let all: String = batches.iter().flatten().map(|word| format!("\"{word}\"\n")).collect();
            let kept = std::fs::read_to_string(&path).unwrap();
            let fits = all[..all.len().min(room)].rfind('\n').map_or(0, |newline| newline + 1);
            prop_assert_eq!(&kept, &all[..fits]);
            prop_assert_eq!(lines.fault().is_some(), all.len() > room);
            if let Err(fault) = lines.close() {
                prop_assert!(fault.cause.contains("no space left"));
                prop_assert!(fault.remedy.contains("free space"));
            }
        }
    }
}
