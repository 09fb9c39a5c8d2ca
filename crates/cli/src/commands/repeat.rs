//! `run --repeat N` and `run A.yaml B.yaml`: the same run several times, or several configs in turn, and their spread.
//!
//! Each repeat is a run like any other, with a folder of its own below one folder. Refuses to compute a spread or a difference; the
//! metrics crate does.

use std::path::{Path, PathBuf};
use std::time::Duration;

use ai_energy_config::Loaded;
use ai_energy_core::comparison::{
    COMPARISON_SCHEMA_VERSION, ComparedRun, ComparedSide, Comparison, RepeatInfo, Repeats,
};
use ai_energy_core::{Fault, FaultKind, Stop};
use ai_energy_metrics::compare::{CompareOptions, compare, repeats_of};
use ai_energy_reporters::comparison::{write_comparison, write_repeats};
use ai_energy_reporters::{render_comparison, render_repeats};
use serde_json::json;

use super::compare::{run_of_record, terminal};
use super::run::{Finished, block_on, measure_into};
use crate::args::{ConfigSource, Globals, OutputFormat, RunArgs};
use crate::diagnostics::{note, print_out};
use crate::exit::{CliError, Exit};
use crate::place::{self, Prepared};
use crate::resolve::{self, Checked};
use crate::settings::Settings;
use crate::signals;

/// Whether this is more than one run: several configs, or a repeat by option or config.
///
/// # Errors
/// As of resolving.
pub(super) fn wanted(arguments: &RunArgs) -> Result<bool, CliError> {
    if configs(&arguments.source).len() > 1 {
        return Ok(true);
    }
    let repeat = resolve::resolve(&with_repeats(arguments, None))?.value.repeat;
    if arguments.repeat.interleave {
        return Err(
            usage("--interleave", "there is only one config to run", "name two or more configs").into()
        );
    }
    Ok(repeat.count > 1)
}

/// The config files among the arguments.
fn configs(source: &ConfigSource) -> Vec<String> {
    source.inputs.iter().filter(|input| !resolve::is_override(input)).cloned().collect()
}

/// The arguments of one config with the options of repeating as keys.
fn with_repeats(arguments: &RunArgs, config: Option<&str>) -> ConfigSource {
    let mut source = arguments.source.clone();
    if let Some(config) = config {
        source.inputs.retain(|input| resolve::is_override(input));
        source.inputs.insert(0, config.to_owned());
    }
    let repeat = &arguments.repeat;
    source.further = [
        ("repeat.count", repeat.repeat.map(|count| json!(count)), "--repeat"),
        ("repeat.pause_seconds", repeat.pause.map(|pause| json!(pause)), "--pause"),
    ]
    .into_iter()
    .filter_map(|(key, value, flag)| Some((key.to_owned(), value?, flag.to_owned())))
    .collect();
    source
}

/// One of the configs that are run.
struct Series {
    source: ConfigSource,
    name: String,
    folder: PathBuf,
    runs: Vec<RepeatInfo>,
    measured: Vec<ComparedRun>,
}

/// How runs follow each other.
struct Course {
    /// Places among the series, in order.
    order: Vec<usize>,
    words: String,
    pause: f64,
}

/// Runs everything, writes `repeats.json` for each config and, of several, `comparison.json`.
///
/// # Errors
/// What makes every run impossible; a repeat that went wrong is kept and said.
pub(super) fn run(arguments: &RunArgs, globals: &Globals) -> Result<Exit, CliError> {
    let (top, mut series, course) = prepare(arguments)?;
    let quiet = globals.quiet || arguments.format == OutputFormat::Json;
    if !quiet {
        note(&format!("{} runs into {}: {}", course.order.len(), top.display(), course.words));
    }
    let mut worst = Exit::Ok;
    for (done, place) in course.order.iter().enumerate() {
        if done > 0 && wait(course.pause)? {
            worst = Exit::Interrupted;
            break;
        }
        let exit = one(&mut series[*place], done + 1, globals)?;
        if !quiet {
            note(&line(&series[*place], done + 1, course.order.len()));
        }
        write_series(&series[*place], &course)?;
        if exit != Exit::Ok {
            worst = exit;
        }
        if matches!(exit, Exit::Interrupted | Exit::Terminated) {
            break;
        }
    }
    if series.iter().all(|series| series.measured.is_empty()) {
        return Err(nothing(&series));
    }
    report(&top, &series, &course, arguments.format, globals)?;
    Ok(worst)
}

/// Resolves every config before the first run, so that what is wrong is said then; makes the folders.
fn prepare(arguments: &RunArgs) -> Result<(PathBuf, Vec<Series>, Course), CliError> {
    let files = configs(&arguments.source);
    let each: Vec<Option<&str>> =
        if files.len() > 1 { files.iter().map(|file| Some(file.as_str())).collect() } else { vec![None] };
    let mut series: Vec<Series> = Vec::new();
    let mut found: Option<(PathBuf, u64, f64)> = None;
    for config in each {
        let source = with_repeats(arguments, config);
        let (loaded, _) = resolved(&source)?;
        let repeat = &loaded.value.repeat;
        if found.is_none() {
            let prepared = place::prepare(&loaded.value, &|name| std::env::var(name).ok())?;
            found = Some((prepared.group_folder("repeat"), repeat.count, repeat.pause_seconds));
        }
        let stem =
            config.map(|file| Path::new(file).file_stem().unwrap_or_default().to_string_lossy().into_owned());
        let name = free_name(stem.unwrap_or_else(|| loaded.value.name.clone()), &series);
        series.push(Series { source, name, folder: PathBuf::new(), runs: Vec::new(), measured: Vec::new() });
    }
    let (top, count, pause) = found.unwrap_or_default();
    let several = series.len() > 1;
    for entry in &mut series {
        entry.folder = if several { top.join(place::plain_name(&entry.name)) } else { top.clone() };
    }
    let course = course(
        series.len(),
        usize::try_from(count).unwrap_or(usize::MAX),
        arguments.repeat.interleave,
        pause,
    );
    Ok((top, series, course))
}

fn resolved(source: &ConfigSource) -> Result<(Loaded<Settings>, Checked), CliError> {
    let loaded = resolve::resolve(source)?;
    let checked = resolve::check(&loaded)?;
    Ok((loaded, checked))
}

fn free_name(name: String, series: &[Series]) -> String {
    let taken = |name: &str| series.iter().any(|other| other.name == name);
    (1..)
        .map(|number| if number == 1 { name.clone() } else { format!("{name}-{number}") })
        .find(|name| !taken(name))
        .unwrap_or(name)
}

/// Interleaved, rounds go forward and backward in turn (A B, B A, A B …), so that a machine that warms up or drifts
/// evenly does so for all alike.
fn course(configs: usize, count: usize, interleave: bool, pause: f64) -> Course {
    let mut order = Vec::new();
    if interleave {
        for round in 0..count {
            let forward = 0..configs;
            if round % 2 == 0 { order.extend(forward) } else { order.extend(forward.rev()) }
        }
    } else {
        (0..configs).for_each(|config| order.extend(std::iter::repeat_n(config, count)));
    }
    let words = match (configs, interleave) {
        (1, _) => "one after the other",
        (_, true) => "interleaved, each round in the other direction (A B, B A, …)",
        (_, false) => {
            "all of one config, then all of the next; --interleave keeps drift out of the difference"
        }
    };
    Course { order, words: words.to_owned(), pause }
}

/// Waits; `true` where a signal ended it.
fn wait(seconds: f64) -> Result<bool, CliError> {
    if seconds <= 0.0 {
        return Ok(false);
    }
    block_on(async {
        let stop = Stop::new();
        let _received = signals::listen(stop.clone());
        Ok(tokio::select! {
            () = tokio::time::sleep(Duration::from_secs_f64(seconds)) => false,
            () = stop.cancelled() => true,
        })
    })
}

/// One run of a series. What made it impossible is kept as its problem.
fn one(series: &mut Series, order: usize, globals: &Globals) -> Result<Exit, CliError> {
    let (mut loaded, checked) = resolved(&series.source)?;
    loaded.value.output_dir = series.folder.display().to_string();
    loaded.tree["output_dir"] = json!(loaded.value.output_dir);
    // The folder of all runs lies in RESULTS_DIR already where that is set.
    let target: Prepared = place::prepare(&loaded.value, &|name| {
        if name == "RESULTS_DIR" { None } else { std::env::var(name).ok() }
    })?;
    let outcome = block_on(async {
        let stop = Stop::new();
        let received = signals::listen(stop.clone());
        measure_into(target, loaded, checked, stop, &received, OutputFormat::Json, globals).await
    });
    match outcome {
        Ok(finished) => Ok(keep(series, order, finished)),
        Err(error) => {
            let (exit, problem) = (error.exit(), Some(error.to_string()));
            series.runs.push(RepeatInfo { folder: String::new(), order, exit_code: exit.number(), problem });
            Ok(exit)
        }
    }
}

/// Keeps a run that came to an end; one that measured nothing is a problem.
fn keep(series: &mut Series, order: usize, finished: Finished) -> Exit {
    let Finished { record, summary, config, place, faults, exit, .. } = finished;
    let exit = faults.first().map_or(exit, |fault| fault.kind.into());
    let problem = match exit {
        Exit::Ok => None,
        Exit::FailedRequests if record.ending == ai_energy_core::record::Ending::Complete => None,
        _ if !faults.is_empty() => {
            Some(faults.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))
        }
        Exit::NothingMeasured => Some("no request succeeded".to_owned()),
        _ => Some("it ended early".to_owned()),
    };
    let folder = place.run_dir.strip_prefix(&series.folder).unwrap_or(&place.run_dir).display().to_string();
    if problem.is_none() {
        series.measured.push(run_of_record(folder.clone(), &record, summary, &config));
    }
    series.runs.push(RepeatInfo { folder, order, exit_code: exit.number(), problem });
    exit
}

fn line(series: &Series, done: usize, all: usize) -> String {
    let outcome = match series.runs.last().and_then(|run| run.problem.clone()) {
        Some(problem) => format!("went wrong: {}", problem.lines().next().unwrap_or_default()),
        None => series.runs.last().map_or(String::new(), |run| format!("saved {}", run.folder)),
    };
    format!("run {done} of {all}, {}: {outcome}", series.name)
}

fn repeats(series: &Series, course: &Course) -> Repeats {
    Repeats {
        schema_version: COMPARISON_SCHEMA_VERSION,
        name: series.name.clone(),
        order: course.words.clone(),
        pause_seconds: course.pause,
        runs: series.runs.clone(),
        figures: repeats_of(&series.measured),
    }
}

/// Written after each run, so that a kill loses none.
fn write_series(series: &Series, course: &Course) -> Result<(), Fault> {
    write_repeats(&series.folder, &repeats(series, course)).map(|_| ())
}

fn nothing(series: &[Series]) -> CliError {
    let last = series.iter().flat_map(|series| &series.runs).next_back();
    let cause = last.and_then(|run| run.problem.clone()).unwrap_or_else(|| "nothing was run".to_owned());
    let kind = match last.map(|run| run.exit_code) {
        Some(2) => FaultKind::Usage,
        Some(3) => FaultKind::Backend,
        _ => FaultKind::NothingMeasured,
    };
    Fault::new(kind, "run", format!("no repeat measured anything; the last one: {cause}")).into()
}

/// Prints the spread of each config and, of several, their comparison.
fn report(
    top: &Path,
    series: &[Series],
    course: &Course,
    format: OutputFormat,
    globals: &Globals,
) -> Result<(), CliError> {
    let all: Vec<Repeats> = series.iter().map(|series| repeats(series, course)).collect();
    let comparison = (series.len() > 1).then(|| compared(series));
    if let Some(comparison) = &comparison {
        write_comparison(top, comparison)?;
    }
    if format == OutputFormat::Json {
        let value = json!({ "folder": top.display().to_string(), "repeats": all, "comparison": comparison });
        print_out(&format!("{value:#}\n"))?;
    } else if !globals.quiet {
        let options = terminal(globals, false);
        for repeats in &all {
            print_out(&format!("{}\n", render_repeats(repeats, &options)))?;
        }
        if let Some(comparison) = &comparison {
            print_out(&render_comparison(comparison, &options))?;
        }
        note(&format!("saved {}", top.display()));
    }
    Ok(())
}

fn compared(series: &[Series]) -> Comparison {
    let side = |series: &Series| ComparedSide { name: series.name.clone(), runs: series.measured.clone() };
    let sides: Vec<ComparedSide> =
        series.iter().filter(|series| !series.measured.is_empty()).map(side).collect();
    compare(&sides, &CompareOptions::default())
}

fn usage(object: &str, cause: &str, remedy: &str) -> Fault {
    Fault::new(FaultKind::Usage, object, cause).remedy(remedy)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn interleaved_rounds_go_back_and_forth_so_that_each_config_has_the_same_mean_place() {
        let places = |order: &[usize], config: usize| -> usize {
            order.iter().enumerate().filter(|(_, of)| **of == config).map(|(at, _)| at).sum()
        };
        let interleaved = course(2, 4, true, 0.0).order;
        assert_eq!(interleaved, [0, 1, 1, 0, 0, 1, 1, 0]);
        assert_eq!(places(&interleaved, 0), places(&interleaved, 1));
        assert_eq!(course(3, 2, true, 0.0).order, [0, 1, 2, 2, 1, 0]);
        assert_eq!(course(2, 2, false, 0.0).order, [0, 0, 1, 1]);
    }
}
