//! Where a run's files go: a folder of its own, or the one folder that a container's users expect.
//!
//! Looks before the run whether everything can be written, so that no hour of measuring ends in a refused file.
//! Refuses to choose: `cli` says which folder a config or the environment names.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use ai_energy_core::{Fault, FaultKind, Written};
use serde_json::Value;

use crate::files::{io_fault, make_folder, same_place};
use crate::{ai_energy_score, config_file, csv, emissions, journal, json, manifest, request_energy};

/// Makes `output_dir/<run_id>/` and sees that files can be made in it.
///
/// # Errors
/// The folder cannot be made or written to, or an earlier run is in it.
pub fn run_folder(output_dir: &Path, run_id: &str) -> Result<PathBuf, Fault> {
    make_folder(output_dir)?;
    let folder = output_dir.join(file_name_of(run_id));
    match fs::create_dir(&folder) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists && is_empty_folder(&folder) => {}
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            let fault = Fault::new(
                FaultKind::Output,
                folder.display().to_string(),
                "it exists and is not an empty folder",
            );
            return Err(fault.remedy("choose another output_dir, or move it away"));
        }
        Err(error) => return Err(io_fault(&folder, "the folder cannot be made", &error)),
    }
    check_writable(&folder)?;
    Ok(folder)
}

/// Makes the one folder that all runs' results go straight into, and moves an earlier run's report files into a
/// folder named after that run. Files in `collected` (those that runs are appended to) stay where they are.
///
/// # Errors
/// The folder cannot be made or written to, or an earlier file cannot be moved; nothing is lost then.
pub fn results_folder(results_dir: &Path, collected: &[PathBuf]) -> Result<(PathBuf, Vec<Written>), Fault> {
    check_writable(results_dir)?;
    let earlier: Vec<PathBuf> = earlier_files(results_dir)?
        .into_iter()
        .filter(|path| path.exists() && !collected.iter().any(|kept| same_place(kept, path)))
        .collect();
    if earlier.is_empty() {
        return Ok((results_dir.to_owned(), Vec::new()));
    }
    let keep = free_folder(results_dir, &earlier_name(results_dir, &earlier))?;
    for path in &earlier {
        let name = path.file_name().unwrap_or_default();
        fs::rename(path, keep.join(name)).map_err(|error| io_fault(path, "cannot be moved", &error))?;
    }
    let note = Some("an earlier run's results were moved here".to_owned());
    Ok((results_dir.to_owned(), vec![Written { path: keep, note }]))
}

/// Makes a folder with its parents and proves with a probe file that it can be written to.
///
/// # Errors
/// It cannot, with the cause: a file in the way, no permission, a full disk, a read-only file system.
pub fn check_writable(folder: &Path) -> Result<(), Fault> {
    make_folder(folder)?;
    let probe = folder.join(format!(".writable.{}.tmp", std::process::id()));
    let outcome = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .open(&probe)
        // A full disk still makes empty files: only a byte on the disk proves that there is room.
        .and_then(|mut file| file.write_all(b"probe\n").and_then(|()| file.sync_all()));
    // Already gone or never made: both are as wanted.
    let _ = fs::remove_file(&probe);
    outcome.map_err(|error| io_fault(folder, "no file can be written in it", &error))
}

/// Sees before a run that rows can be appended to `file`: its folder is made, and an existing file opened.
///
/// # Errors
/// It cannot.
pub fn check_appendable(file: &Path) -> Result<(), Fault> {
    match file.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        Some(folder) => check_writable(folder)?,
        None => check_writable(Path::new("."))?,
    }
    match OpenOptions::new().append(true).open(file) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(io_fault(file, "no row can be appended to it", &error))
        }
        _ => Ok(()),
    }
}

/// The names of all files that a run makes in its folder.
fn report_file_names() -> impl Iterator<Item = &'static str> {
    [
        json::FILE_NAME,
        csv::FILE_NAME,
        emissions::FILE_NAME,
        ai_energy_score::TEXT_FILE_NAME,
        ai_energy_score::SUMMARY_FILE_NAME,
        request_energy::FILE_NAME,
        journal::REQUESTS_FILE_NAME,
        journal::READINGS_FILE_NAME,
        journal::GPU_STATES_FILE_NAME,
        journal::RECORD_FILE_NAME,
        config_file::FILE_NAME,
        manifest::FILE_NAME,
    ]
    .into_iter()
}

/// What an earlier run left in `results_dir`: the files that every run may write, those that its manifest lists, and the
/// folders of its resumptions.
fn earlier_files(results_dir: &Path) -> Result<Vec<PathBuf>, Fault> {
    let mut names: Vec<String> = report_file_names().map(str::to_owned).collect();
    // A manifest that cannot be read is moved away with the rest.
    let listed = manifest::read_manifest(results_dir).ok().flatten();
    let listed = listed.into_iter().flat_map(|manifest| manifest.files).map(|file| file.path);
    names.extend(listed.filter_map(|path| path.split('/').next().map(str::to_owned)));
    names.extend(
        journal::segment_folders(results_dir)?
            .into_iter()
            .filter_map(|folder| folder.file_name().map(|name| name.to_string_lossy().into_owned())),
    );
    names.sort();
    names.dedup();
    names.retain(|name| manifest::is_within(name));
    Ok(names.into_iter().map(|name| results_dir.join(name)).collect())
}

/// The earlier run's id from its report; where that cannot be read, a name from the time of its newest file.
fn earlier_name(results_dir: &Path, earlier: &[PathBuf]) -> String {
    let report = fs::read(results_dir.join(json::FILE_NAME)).ok();
    let report: Option<Value> = report.and_then(|bytes| serde_json::from_slice(&bytes).ok());
    let run_id = report.as_ref().and_then(|report| report.get("run_id")).and_then(Value::as_str);
    if let Some(run_id) = run_id.map(file_name_of).filter(|run_id| !run_id.is_empty()) {
        return run_id;
    }
    let newest =
        earlier.iter().filter_map(|path| fs::metadata(path).and_then(|data| data.modified()).ok()).max();
    match newest.and_then(|time| jiff::Timestamp::try_from(time).ok()) {
        Some(time) => format!("earlier-{}", time.strftime("%Y%m%d-%H%M%S")),
        None => "earlier".to_owned(),
    }
}

/// Makes the first free of `name`, `name-2`, `name-3`, ….
fn free_folder(parent: &Path, name: &str) -> Result<PathBuf, Fault> {
    let mut folder = parent.join(name);
    for number in 2_u32.. {
        match fs::create_dir(&folder) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                folder = parent.join(format!("{name}-{number}"));
            }
            Err(error) => return Err(io_fault(&folder, "the folder cannot be made", &error)),
            Ok(()) => break,
        }
    }
    Ok(folder)
}

fn is_empty_folder(folder: &Path) -> bool {
    fs::read_dir(folder).is_ok_and(|mut entries| entries.next().is_none())
}

/// A text as one file name: path separators and what file systems refuse become `_`, and it never climbs upwards.
pub(crate) fn file_name_of(text: &str) -> String {
    let name: String = text
        .chars()
        .map(|letter| if letter.is_control() || r#"/\:*?"<>|"#.contains(letter) { '_' } else { letter })
        .collect();
    if name.chars().all(|letter| letter == '.') { "_".repeat(name.len()) } else { name }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_never_leaves_its_folder() {
        assert_eq!(file_name_of("org/model:8b"), "org_model_8b");
        assert_eq!(file_name_of(".."), "__");
        assert_eq!(file_name_of("../../etc"), ".._.._etc");
        assert_eq!(file_name_of("vllm-20261123-142233-7f3a"), "vllm-20261123-142233-7f3a");
    }
}
