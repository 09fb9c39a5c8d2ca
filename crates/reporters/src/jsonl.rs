//! The whole report on one line: in the run's folder, and appended to a file that collects runs.
//!
//! A collecting file is appended to only where every line that it begins and ends with is a JSON object; anything else is
//! another file, and stays as it is.

use std::path::{Path, PathBuf};

use ai_energy_core::{Fault, FaultKind, Place, Report, Reporter, Written};

use crate::append::Locked;
use crate::collect::collect;
use crate::files::{io_fault, write_whole};
use crate::json::report_value;
use crate::options::Options;

/// The registry's name.
pub const NAME: &str = "jsonl";
/// The file's name within the run's folder.
pub const FILE_NAME: &str = "benchmark_report.jsonl";

/// Writes the report on one line.
#[derive(Debug, Clone, Default)]
pub struct Jsonl {
    collected_file: Option<PathBuf>,
}

impl Jsonl {
    /// Appends to the file that collects lines, where the options name one.
    pub fn new(options: &Options) -> Self {
        Self { collected_file: options.collected_lines().map(Path::to_owned) }
    }
}

impl Reporter for Jsonl {
    fn name(&self) -> &'static str {
        NAME
    }

    fn write(&self, report: Report<'_>, place: &Place) -> Result<Vec<Written>, Fault> {
        let path = place.run_dir.join(FILE_NAME);
        let mut line = serde_json::to_vec(&report_value(report)).map_err(|error| {
            let cause = format!("cannot be put into JSON: {error}");
            Fault::new(FaultKind::Internal, path.display().to_string(), cause)
        })?;
        line.push(b'\n');
        write_whole(&path, &line)?;
        let mut written = vec![Written::at(&path)];
        if let Some(file) = &self.collected_file {
            let why = "does not hold JSON objects line by line";
            written.push(collect(file, why, |path| append(path, &line))?);
        }
        Ok(written)
    }
}

/// Appends the line where the file is empty or holds objects; `false` where it holds anything else.
fn append(path: &Path, line: &[u8]) -> Result<bool, Fault> {
    let fault = |error| io_fault(path, "the report cannot be appended", &error);
    let mut locked = Locked::open(path).map_err(fault)?;
    if !holds_objects(locked.content()) {
        return Ok(false);
    }
    locked.append(line).map_err(fault)?;
    Ok(true)
}

/// `true` where the first line and the last are objects, or there is none.
fn holds_objects(content: &[u8]) -> bool {
    let mut lines = content.split(|byte| *byte == b'\n').filter(|line| !line.trim_ascii().is_empty());
    let object =
        |line: &[u8]| serde_json::from_slice::<serde_json::Map<String, serde_json::Value>>(line).is_ok();
    let first = lines.next();
    let last = lines.next_back();
    first.into_iter().chain(last).all(object)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_objects_line_by_line_are_appended_to() {
        assert!(holds_objects(b"") && holds_objects(b"\n\n") && holds_objects(b"{}\n{\"a\":1}"));
        for other in [&b"a,b\n1,2\n"[..], b"{}\n{\"cut\":", b"[1]\n", b"{\n \"whole\": 1\n}\n", b"\xff\xfe"] {
            assert!(!holds_objects(other), "{}", String::from_utf8_lossy(other));
        }
    }
}
