//! A run's store outside the memory: a file that has no name any more, so that it goes with the program however that ends.
//!
//! A thread of its own writes; it and the file are made with the first bytes, since most runs need neither. Refuses to know
//! what the bytes mean.

use std::fs::File;
use std::io::{self, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};

use ai_energy_core::store::Store;

/// Bytes put together into one write, about.
const WRITE: usize = 1 << 20;

/// Files made by this program so far, for their names.
static MADE: AtomicU64 = AtomicU64::new(0);

/// A store in a folder.
#[derive(Debug)]
pub struct Spill {
    shared: Arc<Shared>,
    queue: Mutex<Queue>,
}

#[derive(Debug, Default)]
struct Queue {
    /// Where the next bytes will stand.
    end: u64,
    entries: Option<Sender<Vec<u8>>>,
}

#[derive(Debug)]
struct Shared {
    folder: PathBuf,
    file: OnceLock<File>,
    /// Bytes that are in the file.
    written: AtomicU64,
    /// Why nothing more will be.
    failed: Mutex<Option<String>>,
    moved: Condvar,
}

impl Spill {
    /// A store in `folder`, which is touched only once there is something to keep.
    pub fn within(folder: &Path) -> Self {
        let shared = Shared {
            folder: folder.to_owned(),
            file: OnceLock::new(),
            written: AtomicU64::new(0),
            failed: Mutex::new(None),
            moved: Condvar::new(),
        };
        Self { shared: Arc::new(shared), queue: Mutex::default() }
    }
}

impl Store for Spill {
    fn keep(&self, bytes: &[u8]) -> u64 {
        let mut queue = locked(&self.queue);
        let at = queue.end;
        queue.end += bytes.len() as u64;
        let shared = &self.shared;
        let entries = queue.entries.get_or_insert_with(|| start(Arc::clone(shared)));
        // Without its thread nothing is written, which reading tells.
        if entries.send(bytes.to_vec()).is_err() {
            self.shared.fail("the thread that writes it is gone".to_owned());
        }
        at
    }

    fn read(&self, at: u64, into: &mut [u8]) -> io::Result<()> {
        let until = at.saturating_add(into.len() as u64);
        if self.shared.written.load(Ordering::Acquire) < until {
            let mut failed = locked(&self.shared.failed);
            while self.shared.written.load(Ordering::Acquire) < until {
                if let Some(cause) = failed.as_ref() {
                    return Err(io::Error::other(cause.clone()));
                }
                failed = self.shared.moved.wait(failed).unwrap_or_else(PoisonError::into_inner);
            }
        }
        let file = self.shared.file.get().ok_or(io::ErrorKind::NotFound)?;
        file.read_exact_at(into, at)
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn start(shared: Arc<Shared>) -> Sender<Vec<u8>> {
    let (entries, received) = channel();
    let writing = Arc::clone(&shared);
    let thread = std::thread::Builder::new().name("spill".to_owned());
    if let Err(error) = thread.spawn(move || writing.write(&received)) {
        shared.fail(format!("its thread cannot be started: {error}"));
    }
    entries
}

impl Shared {
    /// Writes what comes until nobody keeps anything any more.
    fn write(&self, received: &Receiver<Vec<u8>>) {
        let mut pending = Vec::new();
        while let Ok(bytes) = received.recv() {
            pending.extend(bytes);
            while pending.len() < WRITE
                && let Ok(bytes) = received.try_recv()
            {
                pending.extend(bytes);
            }
            let outcome = self.file().and_then(|mut file| file.write_all(&pending));
            if let Err(error) = outcome {
                return self.fail(format!("{}: {error}", self.folder.display()));
            }
            let held = locked(&self.failed);
            self.written.fetch_add(pending.len() as u64, Ordering::Release);
            drop(held);
            self.moved.notify_all();
            pending.clear();
        }
    }

    fn file(&self) -> io::Result<&File> {
        if let Some(file) = self.file.get() {
            return Ok(file);
        }
        let number = MADE.fetch_add(1, Ordering::Relaxed);
        let path = self.folder.join(format!(".ai-energy-spill-{}-{number}", std::process::id()));
        let file = File::options().read(true).append(true).create_new(true).open(&path)?;
        // The open file lives on without its name.
        std::fs::remove_file(&path)?;
        Ok(self.file.get_or_init(|| file))
    }

    fn fail(&self, cause: String) {
        tracing::warn!(%cause, "what does not fit into memory cannot be kept");
        locked(&self.failed).get_or_insert(cause);
        self.moved.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_is_read_back_and_no_file_is_left() {
        let folder = tempfile::tempdir().unwrap();
        let spill = Spill::within(folder.path());
        let blobs: Vec<Vec<u8>> = (0..300_usize).map(|number| vec![number as u8; number * 37]).collect();
        let places: Vec<u64> = blobs.iter().map(|blob| spill.keep(blob)).collect();
        for (blob, at) in blobs.iter().zip(places).rev() {
            let mut read = vec![0; blob.len()];
            spill.read(at, &mut read).unwrap();
            assert_eq!(&read, blob);
        }
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    }

    #[test]
    fn a_folder_that_is_not_there_is_an_error_of_reading() {
        let folder = tempfile::tempdir().unwrap();
        let spill = Spill::within(&folder.path().join("absent"));
        let at = spill.keep(b"abc");
        assert!(spill.read(at, &mut [0; 3]).unwrap_err().to_string().contains("absent"));
    }
}
