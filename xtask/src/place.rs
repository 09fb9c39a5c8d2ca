//! Where this machine keeps what was fetched, and whether there is room for it.
//!
//! Refuses to know what is fetched.

use anyhow::{Context, Result, bail};
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The folder in the user's cache that every clone shares.
///
/// # Errors
/// Neither `XDG_CACHE_HOME` nor a home is known.
pub(crate) fn cache() -> Result<PathBuf> {
    cache_of(|name| std::env::var_os(name), std::env::home_dir())
        .context("there is no home folder to keep a cache in: set XDG_CACHE_HOME")
}

fn cache_of(lookup: impl Fn(&str) -> Option<OsString>, home: Option<PathBuf>) -> Option<PathBuf> {
    // A relative path there is to be ignored, says the specification.
    let named = lookup("XDG_CACHE_HOME").map(PathBuf::from).filter(|path| path.is_absolute());
    let base = named.or_else(|| home.map(|home| home.join(".cache")))?;
    Some(base.join("ai-energy-benchmarks"))
}

/// Checks that `folder`, which exists, has room for `bytes`. Where `df` does not answer, there may be.
///
/// # Errors
/// There is less room.
pub(crate) fn need_room(folder: &Path, bytes: u64, what: &str) -> Result<()> {
    let Ok(answer) = Command::new("df").arg("-Pk").arg(folder).output() else {
        return Ok(());
    };
    match free_bytes(&String::from_utf8_lossy(&answer.stdout)) {
        Some(free) if free < bytes => bail!(
            "{what} needs {}, and {} has only {} left: free some, or set XDG_CACHE_HOME to a folder on another disk",
            size(bytes),
            folder.display(),
            size(free)
        ),
        _ => Ok(()),
    }
}

/// Free bytes in what `df -Pk` prints: the fourth column of its second line, in units of 1024 bytes.
fn free_bytes(printed: &str) -> Option<u64> {
    let line = printed.lines().nth(1)?;
    line.split_whitespace().nth(3)?.parse::<u64>().ok()?.checked_mul(1024)
}

/// A number of bytes for people.
pub(crate) fn size(bytes: u64) -> String {
    const STEPS: [(u64, &str); 2] = [(1_000_000_000, "GB"), (1_000_000, "MB")];
    match STEPS.iter().find(|(unit, _)| bytes >= *unit) {
        Some((1_000_000_000, name)) => {
            format!("{}.{} {name}", bytes / 1_000_000_000, bytes / 100_000_000 % 10)
        }
        Some((unit, name)) => format!("{} {name}", bytes / unit),
        None => format!("{bytes} bytes"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cache_is_where_the_environment_says() {
        let xdg = |name: &str| (name == "XDG_CACHE_HOME").then(|| "/x".into());
        assert_eq!(cache_of(xdg, Some("/home/u".into())), Some("/x/ai-energy-benchmarks".into()));
        assert_eq!(cache_of(|_| None, Some("/h".into())), Some("/h/.cache/ai-energy-benchmarks".into()));
        let relative = cache_of(|_| Some("x".into()), Some("/h".into()));
        assert_eq!(relative, Some("/h/.cache/ai-energy-benchmarks".into()));
        assert_eq!(cache_of(|_| None, None), None);
    }

    #[test]
    fn free_space_is_read_from_the_fourth_column() {
        let printed = "Filesystem 1024-blocks Used Available Capacity Mounted on\n/dev/x 100 40 7 41% /tmp\n";
        assert_eq!(free_bytes(printed), Some(7 * 1024));
        assert_eq!(free_bytes("df: no such file"), None);
    }

    #[test]
    fn room_that_is_missing_is_said_with_both_sizes() {
        let folder = tempfile::tempdir().unwrap();
        assert!(need_room(folder.path(), 1, "a byte").is_ok());
        let error = need_room(folder.path(), u64::MAX, "the world").unwrap_err().to_string();
        assert!(error.starts_with("the world needs ") && error.contains("XDG_CACHE_HOME"), "{error}");
        assert_eq!(
            (size(1_560_000_000), size(13_400_000), size(9)),
            ("1.5 GB".into(), "13 MB".into(), "9 bytes".into())
        );
    }
}
