//! Reads a file of lines in large blocks on all cores and gives the entries back in their order.
//!
//! One thread at a time takes the next block from the file, cut at the end of a line; the lines are parsed side by side, and
//! what is parsed is taken in by whoever finishes the block that comes next. So no more than a few blocks are in memory
//! beside the result. Refuses to know what a line means.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};

use ai_energy_core::{Fault, FaultKind};

/// Bytes of a block.
const BLOCK: usize = 4 << 20;
/// More threads than this wait for memory.
const MOST_THREADS: usize = 16;

/// Where the parsed entries of a block go, in the order of the file.
pub(super) trait Sink<T>: Send {
    /// Takes in the entries of the next block.
    fn take(&mut self, entries: Vec<T>);
}

impl<T: Send> Sink<T> for Vec<T> {
    fn take(&mut self, entries: Vec<T>) {
        self.extend(entries);
    }
}

/// Parses every line of a file into a sink. A last line that was cut is left out and warned of.
///
/// # Errors
/// The file cannot be read, or a line other than a cut last one cannot be parsed; what comes before it is in the sink.
pub(super) fn read<T: Send, R: Default, S: Sink<T>>(
    path: &Path,
    sink: S,
    parse: impl Fn(&[u8], &mut R) -> Result<T, String> + Sync,
) -> Result<S, Fault> {
    let file = File::open(path).map_err(|error| unreadable(path, &error))?;
    let size = file.metadata().map_or(0, |about| about.len());
    let source = Mutex::new(Source { file, carry: Vec::new(), blocks: 0, over: false });
    let order = Mutex::new(Order { next: 0, waiting: BTreeMap::new(), lines: 0, fault: None, sink });
    let work = || {
        let (mut room, mut bytes) = (R::default(), Vec::new());
        loop {
            let number = match locked(&source).next(&mut bytes) {
                Ok(Some(number)) => number,
                Ok(None) => return,
                Err(error) => return locked(&order).stop(unreadable(path, &error)),
            };
            let block = parsed(&bytes, &mut room, &parse);
            if !locked(&order).take(number, block, path) {
                return locked(&source).over = true;
            }
        }
    };
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZeroUsize::get).min(MOST_THREADS);
    let others = cores.min(usize::try_from(size).unwrap_or(usize::MAX) / BLOCK + 1) - 1;
    std::thread::scope(|scope| {
        (0..others).for_each(|_| drop(scope.spawn(work)));
        work();
    });
    let order = order.into_inner().unwrap_or_else(PoisonError::into_inner);
    match order.fault {
        Some(fault) => Err(fault),
        None => Ok(order.sink),
    }
}

fn unreadable(path: &Path, error: &io::Error) -> Fault {
    Fault::new(FaultKind::Usage, path.display().to_string(), format!("cannot be read: {error}"))
        .remedy("name the folder of a run")
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The file as far as it was read.
struct Source {
    file: File,
    /// The beginning of a line whose end is in the next block.
    carry: Vec<u8>,
    blocks: usize,
    over: bool,
}

impl Source {
    /// The next block of whole lines, and of a last one without its end; its number.
    fn next(&mut self, into: &mut Vec<u8>) -> io::Result<Option<usize>> {
        into.clear();
        if self.over {
            return Ok(None);
        }
        into.append(&mut self.carry);
        loop {
            let before = into.len();
            let read = (&mut self.file).take(BLOCK as u64).read_to_end(into)?;
            if read == 0 {
                self.over = true;
                break;
            }
            // Only the new bytes are searched: a long line costs no more than its length.
            if let Some(end) = into[before..].iter().rposition(|byte| *byte == b'\n') {
                self.carry = into.split_off(before + end + 1);
                break;
            }
        }
        self.blocks += 1;
        Ok((!into.is_empty()).then_some(self.blocks - 1))
    }
}

/// What a block's lines gave.
struct Block<T> {
    entries: Vec<T>,
    /// Whole lines before the one that is wrong, or all.
    lines: u64,
    /// What is wrong with a line, and whether it is whole.
    wrong: Option<(String, bool)>,
}

fn parsed<T, R>(bytes: &[u8], room: &mut R, parse: &impl Fn(&[u8], &mut R) -> Result<T, String>) -> Block<T> {
    let mut block = Block { entries: Vec::new(), lines: 0, wrong: None };
    for line in bytes.split_inclusive(|byte| *byte == b'\n') {
        let whole = line.strip_suffix(b"\n");
        match parse(whole.unwrap_or(line), room) {
            Ok(entry) => block.entries.push(entry),
            Err(cause) => {
                block.wrong = Some((cause, whole.is_some()));
                break;
            }
        }
        block.lines += 1;
    }
    block
}

/// The blocks that are parsed, and those that were taken in.
struct Order<T, S> {
    next: usize,
    waiting: BTreeMap<usize, Block<T>>,
    lines: u64,
    fault: Option<Fault>,
    sink: S,
}

impl<T, S: Sink<T>> Order<T, S> {
    /// Takes in a block and those that waited for it; `false` where nothing more is to be read.
    fn take(&mut self, number: usize, block: Block<T>, path: &Path) -> bool {
        self.waiting.insert(number, block);
        while self.fault.is_none()
            && let Some(block) = self.waiting.remove(&self.next)
        {
            self.next += 1;
            self.lines += block.lines;
            self.sink.take(block.entries);
            match block.wrong {
                None => {}
                Some((_, false)) => {
                    let line = self.lines + 1;
                    tracing::warn!(path = %path.display(), line, "the last line is cut and was left out");
                }
                Some((cause, true)) => self.stop(wrong_line(path, self.lines, &cause)),
            }
        }
        self.fault.is_none()
    }

    fn stop(&mut self, fault: Fault) {
        self.fault.get_or_insert(fault);
    }
}

/// The fault of the line after `before` good ones.
pub(super) fn wrong_line(path: &Path, before: u64, cause: &str) -> Fault {
    let cause = format!("line {} {cause}", before + 1);
    let remedy = match before {
        0 => "remove that line, or restore the file from a copy of the folder".to_owned(),
        _ => format!(
            "the {before} before it can be read: remove that line, or restore the file from a copy of the folder"
        ),
    };
    Fault::new(FaultKind::Usage, path.display().to_string(), cause).remedy(&remedy)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn number(line: &[u8], _: &mut ()) -> Result<u64, String> {
        std::str::from_utf8(line)
            .ok()
            .and_then(|text| text.trim().parse().ok())
            .ok_or("is no number".to_owned())
    }

    #[test]
    fn lines_of_many_blocks_come_in_order_and_a_wrong_one_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("lines");
        // Lines of up to 40 kB, so that blocks end anywhere.
        let text: String =
            (0..700_u64).map(|at| format!("{at:>width$}\n", width = at as usize * 57 % 40_000 + 4)).collect();
        assert!(text.len() > 3 * BLOCK);
        std::fs::write(&path, &text).unwrap();
        let all = read(&path, Vec::new(), number).unwrap();
        assert_eq!(all, (0..700).collect::<Vec<_>>());
        std::fs::write(&path, &text[..text.len() - 1]).unwrap();
        assert_eq!(
            read(&path, Vec::new(), number).unwrap().len(),
            700,
            "the end of the last line is missing"
        );
        std::fs::write(&path, text.replace(" 321\n", " x\n")).unwrap();
        let fault = read(&path, Vec::new(), number).unwrap_err();
        assert_eq!(fault.cause, "line 322 is no number");
        assert!(fault.remedy.contains("321 before it"), "{}", fault.remedy);
        std::fs::write(&path, "").unwrap();
        assert!(read(&path, Vec::new(), number).unwrap().is_empty());
    }
}
