//! What a program costs from its start to its end: wall time, CPU time of all its processes, peak memory.
//!
//! bash's `time` tells the first two, `/proc` the third. Refuses to know what the program does.

use anyhow::{Context, Result, ensure};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

/// How often memory is looked at. The kernel keeps each process's peak, so a look misses only processes that are gone.
const LOOK: Duration = Duration::from_millis(50);

/// What it was.
#[derive(Debug, Clone, Copy)]
pub(super) struct Cost {
    pub(super) wall_seconds: f64,
    pub(super) cpu_seconds: f64,
    /// The peaks of all its processes together, MiB; none where `/proc` does not tell.
    pub(super) peak_mib: Option<f64>,
}

/// Runs a program on a core, its output into `folder`, and tells what it cost and what it wrote to standard error.
///
/// # Errors
/// It cannot be started, fails, or its cost cannot be read.
pub(super) fn of(
    program: &Path,
    arguments: &[String],
    core: Option<&str>,
    folder: &Path,
) -> Result<(Cost, String)> {
    let (said, times) = (folder.join("said"), folder.join("times"));
    let pin = core.map_or(String::new(), |core| format!("taskset -c {core} "));
    let script = format!(
        "TIMEFORMAT='%3R %3U %3S'; {{ time {pin}\"$@\" >/dev/null 2>'{}'; }} 2>'{}'",
        said.display(),
        times.display()
    );
    let mut shell = Command::new("bash")
        .args(["-c", &script, "bash"])
        .arg(program)
        .args(arguments)
        .stdin(Stdio::null())
        .spawn()
        .context("cannot start bash, which tells a program's CPU time")?;
    let mut peak: Option<f64> = None;
    let status = loop {
        if let Some(status) = shell.try_wait()? {
            break status;
        }
        let now: f64 = children(shell.id()).into_iter().filter_map(peak_mib).sum();
        if now > 0.0 {
            peak = Some(peak.map_or(now, |before| before.max(now)));
        }
        std::thread::sleep(LOOK);
    };
    let said = std::fs::read_to_string(&said).unwrap_or_default();
    ensure!(status.success(), "{} ended with {status}: {}", program.display(), last_lines(&said));
    let times = std::fs::read_to_string(&times)?;
    let line = times.lines().last().context("bash told no time")?;
    let times: Vec<f64> = line.split_whitespace().map(str::parse).collect::<Result<_, _>>()?;
    let [wall_seconds, user, system] = times[..] else { anyhow::bail!("bash told `{line}` for a time") };
    Ok((Cost { wall_seconds, cpu_seconds: user + system, peak_mib: peak }, said))
}

/// The end of what a program said, for an error.
fn last_lines(said: &str) -> String {
    let lines: Vec<&str> = said.lines().collect();
    lines[lines.len().saturating_sub(5)..].join(" | ")
}

/// The processes below one, itself left out.
fn children(process: u32) -> Vec<u32> {
    let mut found = Vec::new();
    for task in std::fs::read_dir(format!("/proc/{process}/task")).into_iter().flatten().flatten() {
        let list = std::fs::read_to_string(task.path().join("children")).unwrap_or_default();
        for child in list.split_whitespace().filter_map(|id| id.parse().ok()) {
            found.push(child);
            found.extend(children(child));
        }
    }
    found
}

fn peak_mib(process: u32) -> Option<f64> {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    Some(line.split_whitespace().next()?.parse::<f64>().ok()? / 1024.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_programs_time_memory_and_words_are_told() {
        let folder = tempfile::tempdir().unwrap();
        let script = "i=0; while [ $i -lt 20000 ]; do i=$((i+1)); done; sleep 0.3; echo hello >&2";
        let arguments = ["-c".to_owned(), script.to_owned()];
        let (cost, said) = of(Path::new("bash"), &arguments, None, folder.path()).unwrap();
        assert!(cost.wall_seconds >= 0.3 && cost.cpu_seconds > 0.0, "{cost:?}");
        assert!(cost.peak_mib.is_none_or(|peak| peak > 0.5), "{cost:?}");
        assert_eq!(said, "hello\n");
        let failing = ["-c".to_owned(), "echo why >&2; exit 3".to_owned()];
        let error = of(Path::new("bash"), &failing, None, folder.path()).unwrap_err().to_string();
        assert!(error.contains("why"), "{error}");
    }
}
