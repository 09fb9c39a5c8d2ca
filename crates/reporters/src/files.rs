//! Files on disk: whole ones that appear at once or not at all, and what to tell the user when the system refuses.
//!
//! Refuses to know what is in a file.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use ai_energy_core::{Fault, FaultKind, Written};

/// The file with a further remark, where there is one.
pub(crate) fn with_note(mut file: Written, note: Option<&str>) -> Written {
    if let Some(note) = note {
        file.note = Some(match file.note.take() {
            Some(first) => format!("{note}; {first}"),
            None => note.to_owned(),
        });
    }
    file
}

/// The fault of a failed `action` (for example `cannot be written`) on a file or folder.
pub(crate) fn io_fault(path: &Path, action: &str, error: &io::Error) -> Fault {
    let fault =
        Fault::new(FaultKind::Output, path.display().to_string(), format!("{action}: {}", cause(error)));
    fault.remedy(remedy(error.kind()))
}

/// The system's message without Rust's `(os error 28)`, in lower case as causes are.
fn cause(error: &io::Error) -> String {
    let text = error.to_string();
    let text = text.split(" (os error").next().unwrap_or(&text);
    let mut letters = text.chars();
    letters.next().map(|first| first.to_lowercase().chain(letters).collect()).unwrap_or_default()
}

fn remedy(kind: io::ErrorKind) -> &'static str {
    match kind {
        io::ErrorKind::StorageFull => "free space on that disk, or choose another with output_dir",
        io::ErrorKind::QuotaExceeded => "raise the disk quota, or choose another disk with output_dir",
        io::ErrorKind::FileTooLarge => {
            "raise the file size limit (ulimit -f), or choose another disk with output_dir"
        }
        io::ErrorKind::PermissionDenied => {
            "give yourself write access, or choose another folder with output_dir"
        }
        io::ErrorKind::ReadOnlyFilesystem => {
            "the file system is read-only: choose another folder with output_dir"
        }
        io::ErrorKind::NotADirectory | io::ErrorKind::AlreadyExists => {
            "a file stands where a folder is needed: remove it, or choose another folder"
        }
        io::ErrorKind::IsADirectory => {
            "a folder stands where a file is needed: remove it, or choose another name"
        }
        io::ErrorKind::NotFound => {
            "choose another folder with output_dir, or see that its parent exists and can be written to"
        }
        _ => "choose another folder with output_dir",
    }
}

/// Makes a folder and its parents.
pub(crate) fn make_folder(folder: &Path) -> Result<(), Fault> {
    fs::create_dir_all(folder).map_err(|error| io_fault(folder, "the folder cannot be made", &error))
}

/// Writes a whole file: under another name first, then synced and renamed, so that `path` is never half written and
/// an older file stays whole until the new one is safe.
pub(crate) fn write_whole(path: &Path, bytes: &[u8]) -> Result<(), Fault> {
    write_whole_by(path, |file| file.write_all(bytes))
}

/// [`write_whole`] of what `write` puts into the file.
pub(crate) fn write_whole_by(
    path: &Path,
    write: impl FnOnce(&mut File) -> io::Result<()>,
) -> Result<(), Fault> {
    replace_whole(path, |file| write(file).map_err(|error| io_fault(path, "cannot be written", &error)))
}

/// [`write_whole`] for content that is not kept in memory: `fill` writes it.
pub(crate) fn replace_whole(
    path: &Path,
    fill: impl FnOnce(&mut File) -> Result<(), Fault>,
) -> Result<(), Fault> {
    let temporary = temporary_name(path);
    let unwritable = |error: io::Error| io_fault(path, "cannot be written", &error);
    let outcome = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .open(&temporary)
        .map_err(unwritable)
        .and_then(|mut file| {
            fill(&mut file)?;
            file.sync_all().map_err(unwritable)
        })
        .and_then(|()| fs::rename(&temporary, path).map_err(unwritable));
    if outcome.is_err() {
        // What is left of the temporary file is of no use; that it cannot be removed either changes nothing.
        let _ = fs::remove_file(&temporary);
        return outcome;
    }
    sync_folder(path);
    Ok(())
}

fn temporary_name(path: &Path) -> PathBuf {
    let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    path.with_file_name(format!(".{name}.{}.tmp", std::process::id()))
}

/// Makes a rename durable where the system can; elsewhere the file is whole all the same.
fn sync_folder(path: &Path) {
    let folder = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    if let Err(error) = File::open(folder).and_then(|folder| folder.sync_all()) {
        tracing::debug!(folder = %folder.display(), %error, "the folder cannot be synced");
    }
}

/// `true` where both paths lead to one file or to one place where a file would be made.
pub(crate) fn same_place(one: &Path, other: &Path) -> bool {
    resolved(one) == resolved(other)
}

fn resolved(path: &Path) -> PathBuf {
    if let Ok(real) = fs::canonicalize(path) {
        return real;
    }
    let folder = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    match (fs::canonicalize(folder), path.file_name()) {
        (Ok(folder), Some(name)) => folder.join(name),
        _ => path.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_disk_is_named_with_its_remedy() {
        let fault = io_fault(Path::new("out/a.json"), "cannot be written", &io::Error::from_raw_os_error(28));
        assert_eq!(fault.kind, FaultKind::Output);
        assert_eq!(fault.object, "out/a.json");
        assert_eq!(fault.cause, "cannot be written: no space left on device");
        assert!(fault.remedy.starts_with("free space"), "{}", fault.remedy);
    }

    #[test]
    fn a_failed_write_leaves_neither_a_temporary_file_nor_a_changed_target() {
        let folder = tempfile::tempdir().unwrap();
        let target = folder.path().join("report.json");
        // A folder that is not empty cannot be replaced by a file, so the rename fails after the write.
        fs::create_dir_all(target.join("inside")).unwrap();
        let fault = write_whole(&target, b"new").unwrap_err();
        assert!(fault.object.ends_with("report.json"), "{fault}");
        let left: Vec<_> =
            fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(left, ["report.json"]);
    }

    #[test]
    fn an_older_file_is_replaced_as_a_whole() {
        let folder = tempfile::tempdir().unwrap();
        let target = folder.path().join("a.txt");
        fs::write(&target, "a longer text that was here before").unwrap();
        write_whole(&target, b"new").unwrap();
        assert_eq!(fs::read_to_string(&target).unwrap(), "new");
        assert!(write_whole(&folder.path().join("absent/a.txt"), b"x").is_err());
    }

    #[test]
    fn one_place_under_two_names_is_recognised_before_and_after_the_file_exists() {
        let folder = tempfile::tempdir().unwrap();
        let (plain, detour) = (folder.path().join("a.csv"), folder.path().join(".").join("a.csv"));
        assert!(same_place(&plain, &detour));
        fs::write(&plain, "x").unwrap();
        assert!(same_place(&plain, &detour));
        assert!(!same_place(&plain, &folder.path().join("b.csv")));
    }
}
