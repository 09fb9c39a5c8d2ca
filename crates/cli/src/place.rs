//! Where a run's files go, decided and proven writable before anything is measured.

use std::hash::{BuildHasher, Hasher};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use ai_energy_core::{Fault, FaultKind, Place, Written};
use ai_energy_reporters::{journal, place};
use jiff::Timestamp;
use jiff::tz::TimeZone;

use crate::resolve::Lookup;
use crate::settings::Settings;

/// A place that is known to be writable, before the run's folder is made.
#[derive(Debug)]
pub struct Prepared {
    /// The run's id: name, time, four random letters.
    pub run_id: String,
    results_dir: Option<PathBuf>,
    output_dir: PathBuf,
    collected_file: Option<PathBuf>,
    /// Whether rows are what is collected; the format of lines knows its file itself.
    collects_rows: bool,
    emissions_dir: Option<PathBuf>,
}

/// Decides where results go: `RESULTS_DIR` itself where it is set, else a folder of the run's own under `output_dir`.
///
/// # Errors
/// A folder or file cannot be written to; the fault names it.
pub fn prepare(settings: &Settings, environment: Lookup<'_>) -> Result<Prepared, Fault> {
    let prepared = Prepared {
        run_id: run_id(&settings.name, SystemTime::now(), &suffix()),
        results_dir: environment("RESULTS_DIR").filter(|path| !path.is_empty()).map(PathBuf::from),
        output_dir: PathBuf::from(&settings.output_dir),
        collected_file: settings.reporter.output_file.clone(),
        collects_rows: settings.reporter.collected_rows().is_some(),
        emissions_dir: settings.metrics.output_dir.clone(),
    };
    place::check_writable(prepared.results_dir.as_ref().unwrap_or(&prepared.output_dir))?;
    if let Some(file) = &prepared.collected_file {
        place::check_appendable(file)?;
    }
    if let Some(folder) = prepared.emissions_dir.as_deref().filter(|_| settings.metrics.kind == "codecarbon")
    {
        place::check_appendable(&folder.join("emissions.csv"))?;
    }
    Ok(prepared)
}

impl Prepared {
    /// Makes the run's folder; moves an earlier run's files in `RESULTS_DIR` out of the way and says so.
    ///
    /// # Errors
    /// The folder cannot be made, or a run that goes on writes into it.
    pub fn open(&self) -> Result<(Place, Vec<Written>), Fault> {
        let (run_dir, moved) = match &self.results_dir {
            Some(folder) if journal::in_use(folder) => {
                let object = format!("results folder {}", folder.display());
                return Err(Fault::new(FaultKind::Usage, object, "a run that goes on writes into it")
                    .remedy("let that run end, or choose another folder"));
            }
            Some(folder) => place::results_folder(folder, &self.collected())?,
            None => (place::run_folder(&self.output_dir, &self.run_id)?, Vec::new()),
        };
        let place = Place {
            run_dir,
            collected_file: self.collected_file.clone().filter(|_| self.collects_rows),
            emissions_dir: self.emissions_dir.clone(),
        };
        Ok((place, moved))
    }

    /// Where a sweep puts its own files, beside the folders of its runs.
    pub fn sweep_folder(&self) -> PathBuf {
        self.group_folder("sweep")
    }

    /// A folder for several runs together.
    pub fn group_folder(&self, kind: &str) -> PathBuf {
        let parent = self.results_dir.as_ref().unwrap_or(&self.output_dir);
        parent.join(format!("{kind}-{}", self.run_id))
    }

    fn collected(&self) -> Vec<PathBuf> {
        let emissions = self.emissions_dir.as_deref().map(|folder: &Path| folder.join("emissions.csv"));
        self.collected_file.iter().cloned().chain(emissions).collect()
    }
}

/// `name-YYYYMMDD-HHMMSS-abcd`, UTC; letters of the name that a folder's name should not have become `-`.
fn run_id(name: &str, now: SystemTime, suffix: &str) -> String {
    let plain = plain_name(name);
    let time = utc(now).map_or_else(String::new, |time| time.strftime("%Y%m%d-%H%M%S").to_string());
    format!("{plain}-{time}-{suffix}")
}

/// A name as a folder's name: at most 80 letters, and never empty.
pub fn plain_name(name: &str) -> String {
    let plain: String = name
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() || "._-".contains(c) { c } else { '-' })
        .take(80)
        .collect();
    let plain = plain.trim_matches(['-', '.']);
    if plain.is_empty() { "run".to_owned() } else { plain.to_owned() }
}

/// Four letters and digits that tell runs of one second apart.
fn suffix() -> String {
    const LETTERS: &[u8; 32] = b"abcdefghijkmnpqrstuvwxyz23456789";
    // The standard library seeds its hash maps from the system's randomness; nothing more is needed for four letters.
    let random = std::hash::RandomState::new().build_hasher().finish();
    (0..4).map(|place| char::from(LETTERS[(random >> (5 * place)) as usize % LETTERS.len()])).collect()
}

/// A wall time as RFC 3339 in UTC, to the millisecond.
pub fn rfc3339(time: SystemTime) -> String {
    utc(time).map_or_else(String::new, |time| time.strftime("%Y-%m-%dT%H:%M:%S%.3fZ").to_string())
}

fn utc(time: SystemTime) -> Option<jiff::Zoned> {
    Timestamp::try_from(time).ok().map(|time| time.to_zoned(TimeZone::UTC))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn ids_name_time_and_are_safe_as_folders() {
        let time = SystemTime::UNIX_EPOCH + Duration::from_millis(1_795_434_708_250);
        assert_eq!(run_id("my run/../x", time, "ab12"), "my-run-..-x-20261123-115148-ab12");
        assert_eq!(run_id("...", time, "ab12"), "run-20261123-115148-ab12");
        assert_eq!(rfc3339(time), "2026-11-23T11:51:48.250Z");
    }

    #[test]
    fn suffixes_differ() {
        let all: std::collections::BTreeSet<_> = (0..50).map(|_| suffix()).collect();
        assert!(all.len() > 40 && all.iter().all(|suffix| suffix.len() == 4));
    }
}
