//! `verify`: is a run's folder what was written, and do its figures follow from its journal?
//!
//! Holds every file against the manifest, computes the report anew from the journal and compares it with the one that is
//! there. Refuses to change anything in the folder.

use std::fmt::Write;
use std::path::Path;

use ai_energy_core::{Fault, Report};
use ai_energy_reporters::journal::{self, StoredRun};
use ai_energy_reporters::json::{FILE_NAME as REPORT_FILE_NAME, report_value};
use ai_energy_reporters::manifest::{self, Deviation, Manifest};
use serde_json::{Value, json};

use super::summarize::figure_options;
use crate::args::{Globals, OutputFormat, VerifyArgs};
use crate::diagnostics::print_out;
use crate::exit::{CliError, Exit};

/// Figures of one program on two kinds of processors may differ in their last bits.
const SAME: f64 = 1e-9;

/// Most differing keys that are named.
const NAMED: usize = 12;

/// What verifying a folder found.
pub(super) struct Verified {
    /// The folder's manifest; `None` where there is none.
    pub(super) manifest: Option<Manifest>,
    /// What is not as it was written.
    deviations: Vec<Deviation>,
    /// Keys of the report whose values do not follow from the journal, with both; or why that could not be seen.
    figures: Result<Vec<Difference>, String>,
    /// The run did not come to its end.
    cut: bool,
}

/// A key of the report whose value is another than the journal gives.
struct Difference {
    key: String,
    written: Value,
    computed: Value,
}

impl Verified {
    /// Whether all is as it should be.
    pub(super) fn well(&self) -> bool {
        self.manifest.is_some()
            && self.deviations.is_empty()
            && self.figures.as_ref().is_ok_and(Vec::is_empty)
    }

    /// What is wrong, a line each.
    pub(super) fn faults(&self) -> Vec<String> {
        let mut lines = Vec::new();
        if self.manifest.is_none() {
            lines.push(if self.cut {
                "cut: the run did not come to its end and has no manifest; `summarize` completes it, `run --resume` goes on \
                 with it"
                    .to_owned()
            } else {
                "no manifest.json: nothing says what was written; `summarize --write` makes one of what is there now"
                    .to_owned()
            });
        }
        lines.extend(self.deviations.iter().map(|deviation| match deviation {
            Deviation::Missing { path } => format!("missing: {path}"),
            Deviation::Changed { path, how } => format!("changed: {path} ({how})"),
            Deviation::Extra { path } => format!("extra: {path}"),
        }));
        match &self.figures {
            Ok(differences) => {
                let named = differences.iter().take(NAMED);
                lines.extend(named.map(|Difference { key, written, computed }| {
                    format!("figure: {key} is {written:.60} in the report, {computed:.60} from the journal")
                }));
                if differences.len() > NAMED {
                    lines.push(format!("figure: {} further keys differ", differences.len() - NAMED));
                }
            }
            Err(_) if self.cut && self.manifest.is_none() => {}
            Err(reason) => lines.push(format!("figures: cannot be compared: {reason}")),
        }
        lines
    }
}

/// Verifies folders; the worst of them gives the exit code.
///
/// # Errors
/// Standard output cannot be written. A folder that is damaged is a finding, no error.
pub fn verify(arguments: &VerifyArgs, globals: &Globals) -> Result<Exit, CliError> {
    let found: Vec<(&Path, Result<Verified, Fault>)> =
        arguments.folders.iter().map(|folder| (folder.as_path(), look(folder))).collect();
    let well = found.iter().all(|(_, verified)| verified.as_ref().is_ok_and(Verified::well));
    let text = match arguments.format {
        OutputFormat::Json => {
            let all: Vec<Value> = found.iter().map(|(folder, verified)| as_json(folder, verified)).collect();
            format!("{:#}\n", Value::Array(all))
        }
        OutputFormat::Text if globals.quiet => String::new(),
        OutputFormat::Text => found.iter().map(|(folder, verified)| as_text(folder, verified)).collect(),
    };
    print_out(&text)?;
    Ok(if well { Exit::Ok } else { Exit::Unverified })
}

/// Verifies one folder.
///
/// # Errors
/// It cannot be read at all.
pub(super) fn look(folder: &Path) -> Result<Verified, Fault> {
    let manifest = manifest::read_manifest(folder)?;
    let deviations = match &manifest {
        Some(manifest) => manifest::deviations(folder, manifest)?,
        None => Vec::new(),
    };
    let stored = journal::read_run(folder);
    let cut = stored.as_ref().is_ok_and(|stored| stored.cut);
    let figures = match (stored, &manifest) {
        (Ok(stored), _) => differences(folder, &stored),
        (Err(fault), Some(_)) => Err(fault.to_string()),
        (Err(fault), None) => return Err(fault),
    };
    Ok(Verified { manifest, deviations, figures, cut })
}

fn differences(folder: &Path, stored: &StoredRun) -> Result<Vec<Difference>, String> {
    let path = folder.join(REPORT_FILE_NAME);
    let bytes =
        std::fs::read(&path).map_err(|error| format!("{REPORT_FILE_NAME} cannot be read: {error}"))?;
    let written: Value =
        serde_json::from_slice(&bytes).map_err(|error| format!("{REPORT_FILE_NAME} is no JSON: {error}"))?;
    let options = figure_options(&stored.context, folder).map_err(|fault| fault.to_string())?;
    let summary = ai_energy_metrics::summarize(&stored.record, &options);
    let report = Report { record: &stored.record, summary: &summary, config: &stored.context.config };
    let mut found = Vec::new();
    compare("", &written, &report_value(report), &mut found);
    Ok(found)
}

/// Collects the leaves that differ. Numbers may differ in their last bits.
fn compare(key: &str, written: &Value, computed: &Value, found: &mut Vec<Difference>) {
    let inner = |name: &str| if key.is_empty() { name.to_owned() } else { format!("{key}.{name}") };
    match (written, computed) {
        (Value::Object(one), Value::Object(other)) => {
            for (name, value) in one {
                compare(&inner(name), value, other.get(name).unwrap_or(&Value::Null), found);
            }
            for (name, value) in other.iter().filter(|(name, _)| !one.contains_key(*name)) {
                compare(&inner(name), &Value::Null, value, found);
            }
        }
        (Value::Array(one), Value::Array(other)) if one.len() == other.len() => {
            for (place, (one, other)) in one.iter().zip(other).enumerate() {
                compare(&format!("{key}[{place}]"), one, other, found);
            }
        }
        _ if written == computed || close(written, computed) => {}
        _ => found.push(Difference {
            key: key.to_owned(),
            written: written.clone(),
            computed: computed.clone(),
        }),
    }
}

fn close(one: &Value, other: &Value) -> bool {
    match (one.as_f64(), other.as_f64()) {
        (Some(one), Some(other)) => (one - other).abs() <= SAME * one.abs().max(other.abs()),
        _ => false,
    }
}

fn as_text(folder: &Path, verified: &Result<Verified, Fault>) -> String {
    let name = folder.display();
    let verified = match verified {
        Ok(verified) => verified,
        Err(fault) => return format!("{name}: not verified\n  {fault}\n"),
    };
    let files = verified.manifest.as_ref().map_or(0, |manifest| manifest.files.len());
    if verified.well() {
        let cut =
            if verified.cut { "; the run was cut, and its figures are of what it had written" } else { "" };
        return format!(
            "{name}: verified: {files} files as written, the figures follow from the journal{cut}\n"
        );
    }
    let mut text = format!("{name}: not verified\n");
    for line in verified.faults() {
        let _ = writeln!(text, "  {line}");
    }
    let wrong = verified.deviations.iter().filter(|found| !matches!(found, Deviation::Extra { .. })).count();
    let right = files.saturating_sub(wrong);
    let figures = if verified.figures.as_ref().is_ok_and(Vec::is_empty) {
        "; the figures follow from the journal"
    } else {
        ""
    };
    if files > 0 {
        let _ = writeln!(text, "  as written: {right} of {files} files{figures}");
    }
    text
}

fn as_json(folder: &Path, verified: &Result<Verified, Fault>) -> Value {
    let name = folder.display().to_string();
    let verified = match verified {
        Ok(verified) => verified,
        Err(fault) => return json!({ "folder": name, "verified": false, "fault": fault.to_string() }),
    };
    let figures = match &verified.figures {
        Ok(differences) => json!(
            differences
                .iter()
                .map(|Difference { key, written, computed }| {
                    json!({ "key": key, "written": written, "computed": computed })
                })
                .collect::<Vec<_>>()
        ),
        Err(_) => Value::Null,
    };
    json!({
        "folder": name,
        "verified": verified.well(),
        "run_id": verified.manifest.as_ref().map(|manifest| &manifest.run_id),
        "cut": verified.cut,
        "files": verified.manifest.as_ref().map(|manifest| manifest.files.len()),
        "deviations": verified.deviations,
        "figures_that_differ": figures,
        "faults": verified.faults(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn differences_are_named_by_their_keys_and_last_bits_are_none() {
        let mut found = Vec::new();
        let one = json!({"a": {"b": [1.0, 2.0]}, "c": 1, "gone": true, "same": "x"});
        let other = json!({"a": {"b": [1.000_000_000_000_1, 3.0]}, "c": 1, "new": 2, "same": "x"});
        compare("", &one, &other, &mut found);
        let keys: Vec<&str> = found.iter().map(|difference| difference.key.as_str()).collect();
        assert_eq!(keys, ["a.b[1]", "gone", "new"]);
    }
}
