//! What is compared, from what was named: folders are computed anew from what they observed, reports and tables taken as
//! they are.
//!
//! Refuses to compare.

use std::path::Path;

use ai_energy_core::comparison::{ComparedRun, ComparedSide};
use ai_energy_core::{Fault, FaultKind, RunRecord, Summary};
use ai_energy_metrics::compare::compared_run;
use ai_energy_reporters::comparison::{
    REPEATS_FILE_NAME, flat_settings, read_repeats, read_report, read_rows,
};
use ai_energy_reporters::{journal, json};
use serde_json::{Map, Value};

use super::super::summarize::figure_options;

/// The sides that these inputs name, with names that tell them apart.
pub(super) fn sides(inputs: &[String]) -> Result<Vec<ComparedSide>, Fault> {
    let mut sides = Vec::new();
    for input in inputs {
        sides.extend(side(input, inputs.len() == 1)?);
    }
    let name_of = |sides: &[ComparedSide], place: usize| sides[place].name.clone();
    for place in 0..sides.len() {
        let name = name_of(&sides, place);
        let before = (0..place).filter(|other| name_of(&sides, *other) == name).count();
        if before > 0 {
            sides[place].name = format!("{name} ({})", before + 1);
        }
    }
    Ok(sides)
}

/// The sides of one input; several for a folder of folders of repeats and for a table that is the only input.
fn side(input: &str, alone: bool) -> Result<Vec<ComparedSide>, Fault> {
    let (path, row) = match input.rsplit_once('#') {
        Some((path, row)) if !Path::new(input).exists() => (path, Some(row)),
        _ => (input, None),
    };
    let path = Path::new(path);
    if path.is_dir() {
        return folder(path);
    }
    let is_table = path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("csv"));
    if is_table {
        return table(path, row, alone);
    }
    Ok(vec![ComparedSide { name: short_name(path), runs: vec![read_report(path)?] }])
}

/// The last part of a path that is a name; a report is named after its folder.
fn short_name(path: &Path) -> String {
    let name = |path: &Path| path.file_name().map(|name| name.to_string_lossy().into_owned());
    let parent = path.parent().filter(|_| path.ends_with(json::FILE_NAME)).and_then(name);
    let canonical = path.canonicalize().ok();
    parent
        .or_else(|| name(path))
        .or_else(|| canonical.as_deref().and_then(name))
        .unwrap_or_else(|| path.display().to_string())
}

fn folder(path: &Path) -> Result<Vec<ComparedSide>, Fault> {
    if let Some(repeats) = read_repeats(path)? {
        let measured =
            repeats.runs.iter().filter(|run| !run.folder.is_empty() && path.join(&run.folder).is_dir());
        let measured = measured.filter(|run| run.problem.is_none());
        let runs: Result<Vec<ComparedRun>, Fault> =
            measured.map(|run| run_folder(&path.join(&run.folder))).collect();
        let runs = runs?;
        if runs.is_empty() {
            let cause = "none of its repeats ended well";
            return Err(
                Fault::new(FaultKind::Usage, path.display().to_string(), cause).remedy("run it again")
            );
        }
        return Ok(vec![ComparedSide { name: short_name(path), runs }]);
    }
    let is_run = |name: &str| path.join(name).is_file();
    if is_run(journal::RECORD_FILE_NAME) || is_run(json::FILE_NAME) {
        return Ok(vec![ComparedSide { name: short_name(path), runs: vec![run_folder(path)?] }]);
    }
    let mut inner: Vec<_> = std::fs::read_dir(path)
        .into_iter()
        .flatten()
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|inner| inner.join(REPEATS_FILE_NAME).is_file())
        .collect();
    inner.sort();
    if inner.is_empty() {
        let cause =
            format!("has neither {}, {} nor {REPEATS_FILE_NAME}", journal::RECORD_FILE_NAME, json::FILE_NAME);
        return Err(Fault::new(FaultKind::Usage, path.display().to_string(), cause)
            .remedy("name the folder of a run"));
    }
    let mut sides = Vec::new();
    for path in inner {
        sides.extend(folder(&path)?);
    }
    Ok(sides)
}

/// A run's folder: its figures anew from what it observed, else its report.
fn run_folder(path: &Path) -> Result<ComparedRun, Fault> {
    if !path.join(journal::RECORD_FILE_NAME).is_file() {
        return read_report(&path.join(json::FILE_NAME));
    }
    let stored = journal::read_run(path)?;
    let options = figure_options(&stored.context, path)?;
    let summary = ai_energy_metrics::summarize(&stored.record, &options);
    Ok(run_of_record(path.display().to_string(), &stored.record, summary, &stored.context.config))
}

/// A run as comparisons see it.
pub(in crate::commands) fn run_of_record(
    label: String,
    record: &RunRecord,
    summary: Summary,
    config: &Map<String, Value>,
) -> ComparedRun {
    let settings = flat_settings(config, &record.environment);
    ComparedRun { settings, ..compared_run(label, record, summary) }
}

fn table(path: &Path, row: Option<&str>, alone: bool) -> Result<Vec<ComparedSide>, Fault> {
    let runs = read_rows(path)?;
    let count = runs.len();
    let wrong = |cause: String, remedy: String| {
        Err(Fault::new(FaultKind::Usage, path.display().to_string(), cause).remedy(remedy))
    };
    let named = |run: ComparedRun, number: usize| {
        let model = run.identity.model.clone().unwrap_or_else(|| short_name(path));
        ComparedSide { name: format!("{model}#{number}"), runs: vec![run] }
    };
    match row {
        Some("all") => Ok(vec![ComparedSide { name: short_name(path), runs }]),
        Some(row) => match row.parse::<usize>().ok().filter(|number| (1..=count).contains(number)) {
            Some(number) => {
                Ok(runs.into_iter().nth(number - 1).map(|run| named(run, number)).into_iter().collect())
            }
            None => wrong(format!("has no row `{row}`"), format!("give a row from 1 to {count}, or #all")),
        },
        None if count == 1 => Ok(vec![ComparedSide { name: short_name(path), runs }]),
        None if alone => Ok(runs.into_iter().enumerate().map(|(at, run)| named(run, at + 1)).collect()),
        None => wrong(
            format!("has {count} rows"),
            format!("name one, for example {}#{count}, or #all for rows that are repeats", path.display()),
        ),
    }
}
