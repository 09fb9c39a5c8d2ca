//! `cargo xtask bench results`: how long the figures of a large run's folder take, and how much memory.
//!
//! A folder of a million requests of a hundred tokens each is made by the journal that runs write with, and the program
//! summarises it. Refuses to know what is in the folder.

use anyhow::{Context, Result, bail, ensure};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::Scratch;
use crate::{say, shell};

/// What a million requests may take.
const MOST_SECONDS: f64 = 5.0;
const MOST_MIB: f64 = 1024.0;
/// Rounds, of which the fastest and the slowest are told.
const ROUNDS: usize = 3;

/// What to make.
#[derive(Debug, PartialEq, Eq)]
struct Asked {
    requests: u64,
    seed: u64,
}

impl Asked {
    fn parse(arguments: &[String]) -> Result<Self> {
        let mut asked = Self { requests: 1_000_000, seed: 1 };
        let mut rest = arguments.iter();
        while let Some(option) = rest.next() {
            let mut number = || -> Result<u64> {
                let text = rest.next().with_context(|| format!("`{option}` needs a number"))?;
                text.parse().with_context(|| format!("`{option}` needs a whole number, not `{text}`"))
            };
            match option.as_str() {
                "--requests" => asked.requests = number()?,
                "--seed" => asked.seed = number()?,
                other => bail!("there is no option `{other}`: known are --requests N and --seed N"),
            }
        }
        ensure!(asked.requests > 0, "`--requests` is 0: a folder without requests has no figures");
        Ok(asked)
    }
}

/// Makes the folder, summarises it, prints both against the bars, and removes it.
///
/// # Errors
/// An option is wrong, the example cannot be built, the disk is full, or the summary fails.
pub(super) fn run(root: &Path, program: &Path, arguments: &[String]) -> Result<()> {
    let Asked { requests, seed } = Asked::parse(arguments)?;
    let scratch = Scratch::new("results")?;
    let folder = scratch.0.to_string_lossy().into_owned();
    let example =
        ["run", "--release", "--quiet", "--package", "ai-energy-reporters", "--example", "large_folder"];
    let of = ["--", &folder, &requests.to_string(), &seed.to_string()];
    shell(root, "cargo", &[&example[..], &of].concat())?;
    let bytes = std::fs::metadata(scratch.0.join("requests.jsonl"))?.len();
    say(&format!("{requests} requests of 100 tokens, requests.jsonl {:.0} MB", bytes as f64 / 1e6));
    let mut rounds = Vec::new();
    for _ in 0..ROUNDS {
        rounds.push(summarised(program, &folder)?);
    }
    let seconds = rounds.iter().map(|(seconds, _)| *seconds);
    let (least, most) = (seconds.clone().fold(f64::INFINITY, f64::min), seconds.fold(0.0, f64::max));
    let memory = rounds.iter().map(|(_, memory)| *memory).fold(0.0, f64::max);
    let scale = requests as f64 / 1e6;
    say(&format!(
        "summarize: {least:.2} to {most:.2} s (bar {:.1} s), at most {memory:.0} MiB (bar {MOST_MIB:.0} MiB for a million)",
        MOST_SECONDS * scale
    ));
    Ok(())
}

/// Wall time in seconds and greatest resident memory in MiB of one summary.
fn summarised(program: &Path, folder: &str) -> Result<(f64, f64)> {
    let start = Instant::now();
    let mut child = Command::new(program).args(["summarize", folder]).stdout(Stdio::null()).spawn()?;
    let memory = greatest_memory(&mut child)?;
    let seconds = start.elapsed().as_secs_f64();
    let status = child.wait()?;
    ensure!(status.success(), "summarize ended with {status}");
    Ok((seconds, memory))
}

/// The greatest resident memory of a process that is waited for, MiB. The system keeps the maximum itself, so that only what
/// the last few milliseconds add is missed.
fn greatest_memory(child: &mut Child) -> Result<f64> {
    let path = format!("/proc/{}/status", child.id());
    let mut most = 0.0_f64;
    while child.try_wait()?.is_none() {
        let status = std::fs::read_to_string(&path).unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let kib: Option<f64> = line.and_then(|line| line.trim().trim_end_matches(" kB").parse().ok());
        most = most.max(kib.unwrap_or(0.0) / 1024.0);
        std::thread::sleep(Duration::from_millis(2));
    }
    Ok(most)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn size_and_seed_are_asked_for_or_stand() {
        let parsed = |words: &[&str]| {
            let words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
            Asked::parse(&words).map_err(|error| format!("{error:#}"))
        };
        assert_eq!(parsed(&[]), Ok(Asked { requests: 1_000_000, seed: 1 }));
        assert_eq!(parsed(&["--seed", "9", "--requests", "70"]), Ok(Asked { requests: 70, seed: 9 }));
        for (words, said) in [
            (&["--requests"][..], "`--requests` needs a number"),
            (&["--requests", "many"], "not `many`"),
            (&["--requests", "0"], "no figures"),
            (&["--sed", "1"], "no option `--sed`"),
        ] {
            let error = parsed(words).unwrap_err();
            assert!(error.contains(said), "{words:?}: {error}");
        }
    }
}
