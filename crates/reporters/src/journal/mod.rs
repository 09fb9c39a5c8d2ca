//! The journal: what a run observes, on disk as it happens, one JSON value a line.
//!
//! A crash, a kill or a full disk loses at most what was in flight: lines are only ever added, and a line that could
//! not be written whole is taken back. The load and the sampler never wait for the disk; a thread of the journal's own
//! does. Refuses to know any figure.

mod blocks;
mod line;
mod line_file;
mod read;
mod recount;
mod segments;
mod spill;
mod stored;

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use ai_energy_core::energy::GpuSample;
use ai_energy_core::store::Store;
use ai_energy_core::{Channel, EnergyReading, Fault, FaultKind, Observer, RequestRecord, RunRecord, Written};
use serde::Serialize;

use crate::files::{io_fault, make_folder};
use line_file::LineFile;

pub use read::{read_gpu_states, read_readings, read_requests};
pub use recount::{recount, replace_requests};
pub use segments::{in_use, make_segment_folder, request_number, segment_folders};
pub use spill::Spill;
pub use stored::{Context, RECORD_FILE_NAME, StoredRun, read_run, write_record};

/// One request a line, in the order they ended.
pub const REQUESTS_FILE_NAME: &str = "requests.jsonl";
/// One look at one GPU a line, about once a second; there where a GPU told its state.
pub const GPU_STATES_FILE_NAME: &str = "gpu_states.jsonl";
/// First the channels, then one reading a line.
pub const READINGS_FILE_NAME: &str = "readings.jsonl";

/// What the threads of the run hand to the journal's.
enum Entry {
    Head(Box<RunRecord>),
    Request(Box<RequestRecord>),
    Channels(Vec<Channel>),
    Readings(Vec<EnergyReading>),
    GpuStates(Vec<GpuSample>),
    Finish,
}

/// What the journal's thread ends with: the files, or the first thing that went wrong.
type Outcome = Result<Vec<Written>, Fault>;

/// The first line of `readings.jsonl`.
#[derive(Serialize)]
struct ChannelLine<'a> {
    channels: &'a [Channel],
}

/// Writes `requests.jsonl`, `readings.jsonl` and, for GPUs that tell their state, `gpu_states.jsonl` while the run goes.
#[derive(Debug)]
pub struct Journal {
    entries: Sender<Entry>,
    channels_sent: AtomicBool,
    keep_text: bool,
    store: Arc<Spill>,
    failed: Arc<AtomicBool>,
    writer: Mutex<Option<JoinHandle<Outcome>>>,
}

impl Journal {
    /// Makes both line files in `dir` (empty, an older one is replaced) and starts the journal's thread. `record.json`
    /// appears, with `context`, when the load begins.
    ///
    /// # Errors
    /// The folder or a file cannot be made.
    pub fn create(dir: &Path, context: Context) -> Result<Self, Fault> {
        make_folder(dir)?;
        let files = Files {
            dir: dir.to_owned(),
            context,
            fault: None,
            requests: LineFile::create(&dir.join(REQUESTS_FILE_NAME))?,
            readings: LineFile::create(&dir.join(READINGS_FILE_NAME))?,
            gpu_states: None,
        };
        remove_older(&dir.join(GPU_STATES_FILE_NAME))?;
        let failed = Arc::new(AtomicBool::new(false));
        let (entries, received) = channel();
        let flag = Arc::clone(&failed);
        let writer = std::thread::Builder::new()
            .name("journal".to_owned())
            .spawn(move || files.write_until_finish(&received, &flag))
            .map_err(|error| io_fault(dir, "the journal's thread cannot be started", &error))?;
        Ok(Self {
            entries,
            channels_sent: AtomicBool::new(false),
            keep_text: true,
            store: Arc::new(Spill::within(dir)),
            failed,
            writer: Mutex::new(Some(writer)),
        })
    }

    /// The same journal without the generated texts.
    #[must_use]
    pub fn without_text(mut self) -> Self {
        self.keep_text = false;
        self
    }

    /// `true` once something could not be written: the run may as well stop. [`Journal::finish`] says what it was.
    pub fn failed(&self) -> bool {
        self.failed.load(Ordering::Relaxed)
    }

    /// Waits until everything handed over so far is on the disk, and closes the files. What comes later is dropped;
    /// other holders of the journal may live on.
    ///
    /// # Errors
    /// The first thing that could not be written. All whole lines written before stay.
    pub fn finish(self: Arc<Self>) -> Result<Vec<Written>, Fault> {
        self.hand_over(Entry::Finish);
        let writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner).take();
        let internal = |cause: &str| Fault::new(FaultKind::Internal, "journal", cause);
        let writer = writer.ok_or_else(|| internal("it was finished before"))?;
        writer.join().unwrap_or_else(|_| Err(internal("its thread panicked")))
    }

    /// Hands an entry to the thread; when that has ended there is nobody to tell and nothing to lose.
    fn hand_over(&self, entry: Entry) {
        let _ = self.entries.send(entry);
    }
}

impl Observer for Journal {
    fn run_started(&self, head: &RunRecord) {
        self.hand_over(Entry::Head(Box::new(head.head())));
    }

    fn request_ended(&self, record: &RequestRecord) {
        let mut record = Box::new(record.clone());
        if !self.keep_text {
            record.generation.text = None;
        }
        self.hand_over(Entry::Request(record));
    }

    fn store(&self) -> Option<Arc<dyn Store>> {
        Some(Arc::clone(&self.store) as Arc<dyn Store>)
    }

    fn readings(&self, channels: &[Channel], readings: &[EnergyReading]) {
        if !self.channels_sent.swap(true, Ordering::Relaxed) {
            self.hand_over(Entry::Channels(channels.to_vec()));
        }
        self.hand_over(Entry::Readings(readings.to_vec()));
    }

    fn gpu_states(&self, samples: &[GpuSample]) {
        self.hand_over(Entry::GpuStates(samples.to_vec()));
    }
}

fn push_line<T: Serialize>(lines: &mut Vec<u8>, path: &Path, value: &T) -> Result<(), Fault> {
    let before = lines.len();
    if let Err(error) = serde_json::to_writer(&mut *lines, value) {
        lines.truncate(before);
        let cause = format!("an entry cannot be put into JSON: {error}");
        return Err(Fault::new(FaultKind::Internal, path.display().to_string(), cause));
    }
    lines.push(b'\n');
    Ok(())
}

/// The journal's thread and what it owns.
struct Files {
    dir: PathBuf,
    context: Context,
    /// Why `record.json` could not be written or `gpu_states.jsonl` not made.
    fault: Option<Fault>,
    requests: LineFile<std::fs::File>,
    readings: LineFile<std::fs::File>,
    /// Made with the first look at a GPU: most machines have none.
    gpu_states: Option<LineFile<std::fs::File>>,
}

impl Files {
    fn write_until_finish(
        mut self,
        entries: &Receiver<Entry>,
        failed: &AtomicBool,
    ) -> Result<Vec<Written>, Fault> {
        let mut channels_seen = false;
        let mut going = true;
        while going {
            // All senders gone without a finish: the run panicked; what came is written.
            going = entries.recv().is_ok_and(|entry| self.take(entry, &mut channels_seen));
            while going && let Ok(entry) = entries.try_recv() {
                going = self.take(entry, &mut channels_seen);
            }
            if !going && !channels_seen {
                self.readings.push(&ChannelLine { channels: &[] });
            }
            self.requests.flush();
            self.readings.flush();
            self.gpu_states.iter_mut().for_each(LineFile::flush);
            let files = [&self.requests, &self.readings].into_iter().chain(&self.gpu_states);
            if self.fault.is_some() || files.into_iter().any(|file| file.fault().is_some()) {
                failed.store(true, Ordering::Relaxed);
            }
        }
        let files = [self.requests, self.readings].into_iter().chain(self.gpu_states);
        // All are closed before the first fault is told.
        let closed: Vec<Result<PathBuf, Fault>> = files.map(LineFile::close).collect();
        match self.fault {
            Some(fault) => Err(fault),
            None => closed.into_iter().map(|path| path.map(|path| Written::at(&path))).collect(),
        }
    }

    /// Puts an entry into its file's buffer; `false` for the last one.
    fn take(&mut self, entry: Entry, channels_seen: &mut bool) -> bool {
        match entry {
            Entry::Head(head) => {
                let fault = write_record(&self.dir, &head, &self.context).err();
                self.fault = self.fault.take().or(fault);
            }
            Entry::Request(record) => self.requests.push(&record),
            Entry::Channels(channels) => {
                *channels_seen = true;
                self.readings.push(&ChannelLine { channels: &channels });
            }
            Entry::Readings(readings) => {
                for reading in &readings {
                    self.readings.push(reading);
                }
            }
            Entry::GpuStates(samples) => self.take_states(&samples),
            Entry::Finish => return false,
        }
        true
    }

    /// As [`Files::take`], for looks at GPUs, of which the first makes the file.
    fn take_states(&mut self, samples: &[GpuSample]) {
        if self.gpu_states.is_none() && self.fault.is_none() {
            match LineFile::create(&self.dir.join(GPU_STATES_FILE_NAME)) {
                Ok(file) => self.gpu_states = Some(file),
                Err(fault) => self.fault = Some(fault),
            }
        }
        if let Some(file) = &mut self.gpu_states {
            samples.iter().for_each(|sample| file.push(sample));
        }
    }
}

/// Removes a file of an earlier run in the same folder, if there is one.
fn remove_older(path: &Path) -> Result<(), Fault> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(io_fault(path, "that of an earlier run cannot be removed", &error))
        }
        _ => Ok(()),
    }
}

/// The journal's files in `dir`; the last one is there where a GPU told its state.
pub fn file_paths(dir: &Path) -> [PathBuf; 3] {
    [REQUESTS_FILE_NAME, READINGS_FILE_NAME, GPU_STATES_FILE_NAME].map(|name| dir.join(name))
}
