//! What this process has used so far, from the process file system.
//!
//! Exists beside the clock of the process's CPU time because a report wants it apart: own code and kernel, thread by
//! thread, and how long threads waited for a processor. Refuses to answer where a file does not.

use std::fs;
use std::path::{Path, PathBuf};

use ai_energy_core::client::{ClientLook, ClientMeter, ThreadLook};

use crate::machine;
use crate::options::Roots;

/// The kernel tells a process's own and kernel time in these, on every architecture.
const TICKS_PER_SECOND: f64 = 100.0;

/// Looks at this process.
#[derive(Debug, Clone)]
pub struct ProcessMeter {
    process: PathBuf,
}

impl ProcessMeter {
    /// A meter that reads `self` in the roots' process file system.
    pub fn new(roots: &Roots) -> Self {
        Self { process: roots.proc.join("self") }
    }
}

impl Default for ProcessMeter {
    fn default() -> Self {
        Self::new(&Roots::default())
    }
}

impl ClientMeter for ProcessMeter {
    fn look(&self) -> ClientLook {
        let stat = fs::read_to_string(self.process.join("stat")).ok();
        let ticks = |place: usize| {
            // The program's name, in brackets, may hold anything: what is counted stands behind the last one.
            let (_, rest) = stat.as_deref()?.rsplit_once(')')?;
            let ticks: f64 = rest.split_whitespace().nth(place)?.parse().ok()?;
            Some(ticks / TICKS_PER_SECOND)
        };
        ClientLook {
            user_seconds: ticks(11),
            system_seconds: ticks(12),
            cores: std::thread::available_parallelism().ok().map(|cores| cores.get() as f64),
            threads: threads(&self.process.join("task")),
        }
    }
}

/// The threads of a process by their numbers; none where the system does not list them.
fn threads(folder: &Path) -> Vec<ThreadLook> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let mut threads: Vec<ThreadLook> = entries.filter_map(|entry| thread(&entry.path())).collect();
    threads.sort_unstable_by_key(|thread| thread.id);
    threads
}

/// One thread: its time on a processor and its time waiting for one, ns, are the first numbers of `schedstat`.
fn thread(folder: &Path) -> Option<ThreadLook> {
    let id = folder.file_name()?.to_str()?.parse().ok()?;
    let times = machine::line(&folder.join("schedstat"))?;
    let mut nanos = times.split_whitespace().map(|field| field.parse::<f64>().ok());
    let (cpu, wait) = (nanos.next()??, nanos.next()??);
    let name = machine::line(&folder.join("comm")).unwrap_or_else(|| "unnamed".to_owned());
    Some(ThreadLook { id, name, cpu_seconds: cpu * 1e-9, wait_seconds: wait * 1e-9 })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_read_whatever_its_name() {
        let dir = tempfile::tempdir().unwrap();
        let roots = Roots { proc: dir.path().to_owned(), ..Roots::default() };
        let meter = ProcessMeter::new(&roots);
        let nothing = meter.look();
        assert_eq!((nothing.user_seconds, nothing.system_seconds, nothing.threads), (None, None, vec![]));

        let task = dir.path().join("self/task");
        for (id, name, times) in
            [("12", "worker", "2500000000 500000000 9\n"), ("7", "main", "1000000000 0 1\n")]
        {
            fs::create_dir_all(task.join(id)).unwrap();
            fs::write(task.join(id).join("comm"), name).unwrap();
            fs::write(task.join(id).join("schedstat"), times).unwrap();
        }
        fs::create_dir_all(task.join("13")).unwrap();
        let stat = "7 (a) b (c) S 1 7 7 0 -1 4194560 120 0 0 0 150 25 0 0 20 0 2 0 99 1 1";
        fs::write(dir.path().join("self/stat"), stat).unwrap();
        let look = meter.look();
        assert_eq!((look.user_seconds, look.system_seconds), (Some(1.5), Some(0.25)));
        let ids: Vec<u64> = look.threads.iter().map(|thread| thread.id).collect();
        assert_eq!(ids, [7, 12], "one that ended while it was looked at is left out");
        assert_eq!((look.threads[1].cpu_seconds, look.threads[1].wait_seconds), (2.5, 0.5));
        assert_eq!(look.threads[1].name, "worker");
    }
}
