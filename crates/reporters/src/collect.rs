//! Files that collect runs: each run is appended to the first file of its shape.
//!
//! A file of another shape is never touched: a numbered one beside it is begun, and the user is told. Refuses to know
//! shapes; each format brings its own way to look.

use std::path::{Path, PathBuf};

use ai_energy_core::{Fault, FaultKind, Written};

use crate::files::make_folder;

/// How many files beside the collecting one are tried before giving up.
const MOST_SIBLINGS: u32 = 1000;

/// Appends to `file`, or to the first `file.1`, `file.2`, … that fits. `append` returns `false` where a file does not, and
/// leaves it as it is; `why` then tells the user what is wrong with it, for example `has other columns`.
pub(crate) fn collect(
    file: &Path,
    why: &str,
    append: impl Fn(&Path) -> Result<bool, Fault>,
) -> Result<Written, Fault> {
    if let Some(folder) = file.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        make_folder(folder)?;
    }
    for number in 0..MOST_SIBLINGS {
        let path = sibling(file, number);
        if append(&path)? {
            let note = (number > 0).then(|| format!("{} {why}; it was left as it is", file.display()));
            return Ok(Written { path, note });
        }
    }
    let cause = format!("it {why}, and so do {MOST_SIBLINGS} files beside it");
    Err(Fault::new(FaultKind::Output, file.display().to_string(), cause)
        .remedy("set reporter.output_file to another name"))
}

/// `results.csv` for 0, `results.1.csv` for 1.
fn sibling(file: &Path, number: u32) -> PathBuf {
    if number == 0 {
        return file.to_owned();
    }
    let stem = file.file_stem().unwrap_or_default().to_string_lossy();
    match file.extension() {
        Some(extension) => file.with_file_name(format!("{stem}.{number}.{}", extension.to_string_lossy())),
        None => file.with_file_name(format!("{stem}.{number}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn siblings_are_numbered_before_the_extension() {
        assert_eq!(sibling(Path::new("r/a.b.csv"), 2), Path::new("r/a.b.2.csv"));
        assert_eq!(sibling(Path::new("r/a"), 1), Path::new("r/a.1"));
        assert_eq!(sibling(Path::new("r/a.csv"), 0), Path::new("r/a.csv"));
    }
}
