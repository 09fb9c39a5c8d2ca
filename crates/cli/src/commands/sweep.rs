//! `sweep`: the same run at several levels of load, or a search for the level that reaches a goal.
//!
//! Each level is a run like any other, with a folder of its own. Refuses to decide which level comes next in a search; the
//! metrics crate does.

use ai_energy_core::{Fault, FaultKind};
use ai_energy_metrics::search::{Goal, Kept, Point, Search};
use ai_energy_reporters::html::sweep::{SweepLevel, SweepPage};
use ai_energy_reporters::{Sweep, SweepRow, sweep_cell, write_sweep};

use super::run::{Finished, block_on, measure_and_write};
use crate::args::{Globals, OutputFormat, RunArgs, SearchGoal, SweepArgs};
use crate::diagnostics::{note, print_out};
use crate::exit::{CliError, Exit};
use crate::{resolve, signals};

/// Runs a sweep or a search.
///
/// # Errors
/// Nothing says which levels, or a run is impossible. A level whose run went wrong half-way is a row like others.
pub fn sweep(arguments: &SweepArgs, globals: &Globals) -> Result<Exit, CliError> {
    let plan = Plan::new(arguments)?;
    let output_dir = plan.check(arguments)?;
    let mut rows: Vec<SweepRow<Point>> = Vec::new();
    let mut points: Vec<Point> = Vec::new();
    let quiet = globals.quiet || arguments.run.format == OutputFormat::Json;
    let mut exit = Exit::Ok;
    if !quiet {
        print_out(&heading(plan.unit))?;
    }
    while let Some(level) = plan.next(&points) {
        let run = plan.run(arguments, level);
        let loaded = resolve::resolve(&run.source)?;
        let checked = resolve::check(&loaded)?;
        let finished = block_on(async {
            let stop = ai_energy_core::Stop::new();
            let received = signals::listen(stop.clone());
            measure_and_write(loaded, checked, stop, &received, OutputFormat::Json, globals).await
        })?;
        let Finished { summary, place, exit: of_run, faults, .. } = finished;
        if !faults.is_empty() {
            return Err(CliError::Faults(faults));
        }
        let point = Point::new(level, &summary, arguments.good_share);
        if !quiet {
            print_out(&line(&point))?;
        }
        points.push(point.clone());
        rows.push(SweepRow { point, run_dir: place.run_dir });
        if of_run != Exit::Ok {
            exit = of_run;
        }
        if matches!(of_run, Exit::Interrupted | Exit::Terminated) {
            break;
        }
    }
    let best = plan.search.and_then(|search| search.best(&points));
    let goal = plan.search.map(|search| words(search.goal).to_owned());
    let sweep = Sweep { unit: plan.unit, goal, best, rows };
    let levels: Vec<SweepLevel> = sweep.rows.iter().map(shown).collect();
    let page = SweepPage {
        unit: sweep.unit,
        conclusion: &conclusion(&sweep),
        best: sweep.best,
        levels: &levels,
        dir: &output_dir,
    };
    let written = write_sweep(&output_dir, &sweep, cells, &page.page())?;
    if arguments.run.format == OutputFormat::Json {
        print_out(&format!("{:#}\n", serde_json::to_value(&sweep).unwrap_or_default()))?;
    } else if !quiet {
        print_out(&conclusion(&sweep))?;
        written.iter().for_each(|file| note(&format!("saved {}", file.path.display())));
    }
    Ok(exit)
}

/// Which levels are tried.
struct Plan {
    unit: &'static str,
    rates: bool,
    levels: Vec<f64>,
    search: Option<Search>,
}

impl Plan {
    fn new(arguments: &SweepArgs) -> Result<Self, CliError> {
        let SweepArgs { rates, concurrencies, find, .. } = arguments;
        let by_rate = concurrencies.is_empty();
        let unit = if by_rate { "requests/s" } else { "requests in flight" };
        let levels: Vec<f64> =
            if by_rate { rates.clone() } else { concurrencies.iter().map(|n| *n as f64).collect() };
        if rates.is_empty() == concurrencies.is_empty() {
            return Err(usage(
                "sweep",
                "it needs either --rates or --concurrencies",
                "give one of them, for example --rates 1,2,4,8",
            )
            .into());
        }
        let load = &arguments.run.source.load;
        if load.rate.is_some() || load.concurrency.is_some() || load.profile.is_some() {
            let cause = "the sweep sets rate or concurrency itself";
            return Err(usage("sweep", cause, "leave out --rate, --concurrency and --profile").into());
        }
        if levels.iter().any(|level| !(*level > 0.0 && level.is_finite())) {
            return Err(usage("sweep", "a level is above 0", "give levels above 0").into());
        }
        let bounds = || {
            levels
                .iter()
                .copied()
                .fold((f64::INFINITY, 0.0_f64), |(low, high), level| (low.min(level), high.max(level)))
        };
        let search = find.map(|goal| {
            let (from, to) = bounds();
            let (resolution, most) = (arguments.resolution, arguments.max_runs);
            Search { goal: goal.into(), from, to, resolution, whole: !by_rate, most }
        });
        if search.is_some_and(|search| search.from >= search.to) {
            return Err(usage(
                "--find",
                "a search needs the lowest and the highest level",
                "give both, for example --rates 1,64",
            )
            .into());
        }
        Ok(Self { unit, rates: by_rate, levels, search })
    }

    /// What is wrong with the config is said before the first run; the folder for the sweep's own files.
    fn check(&self, arguments: &SweepArgs) -> Result<std::path::PathBuf, CliError> {
        let loaded = resolve::resolve(&self.run(arguments, self.next(&[]).unwrap_or(1.0)).source)?;
        let checked = resolve::check(&loaded)?;
        let repeat = &arguments.run.repeat;
        if loaded.value.repeat.count > 1 || repeat.repeat.is_some() || repeat.interleave {
            let cause = "a sweep runs each level once";
            return Err(usage("--repeat", cause, "leave out --repeat and repeat.count").into());
        }
        if self.needs_objectives() && checked.load.objectives.is_empty() {
            let remedy = "set --slo, for example --slo ttft=500";
            return Err(usage("--find", "this goal needs objectives", remedy).into());
        }
        Ok(crate::place::prepare(&loaded.value, &|name| std::env::var(name).ok())?.sweep_folder())
    }

    fn needs_objectives(&self) -> bool {
        self.search.is_some_and(|search| search.goal != Goal::Knee)
    }

    /// The next level after these points.
    fn next(&self, points: &[Point]) -> Option<f64> {
        match self.search {
            Some(search) => search.next(points),
            None => self.levels.get(points.len()).copied(),
        }
    }

    /// The run at a level.
    fn run(&self, arguments: &SweepArgs, level: f64) -> RunArgs {
        let mut run = arguments.run.clone();
        if self.rates {
            run.source.load.rate = Some(level);
        } else {
            run.source.load.concurrency = Some(level as u64);
        }
        run
    }
}

impl From<SearchGoal> for Goal {
    fn from(goal: SearchGoal) -> Self {
        match goal {
            SearchGoal::Goodput => Goal::Goodput,
            SearchGoal::Knee => Goal::Knee,
            SearchGoal::Energy => Goal::Energy,
        }
    }
}

fn words(goal: Goal) -> &'static str {
    match goal {
        Goal::Goodput => "highest level that keeps the objectives",
        Goal::Knee => "knee: most throughput over latency",
        Goal::Energy => "least energy per token that keeps the objectives",
    }
}

fn cells(point: &Point) -> Vec<(&'static str, Option<f64>)> {
    vec![
        ("level", Some(point.level)),
        ("good_share", point.good_share.value),
        ("good_share_ci95", point.good_share.ci95),
        ("goodput_requests_per_second", point.goodput.value),
        ("requests_per_second", point.requests_per_second.value),
        ("output_tokens_per_second", point.output_tokens_per_second.value),
        ("ttft_p50_seconds", point.ttft_seconds.map(|ttft| ttft[0])),
        ("ttft_p99_seconds", point.ttft_seconds.map(|ttft| ttft[1])),
        ("mean_latency_seconds", point.mean_latency_seconds),
        ("joules_per_output_token", point.energy_per_output_token.value),
        ("joules_per_output_token_ci95", point.energy_per_output_token.ci95),
    ]
}

/// A level as the page shows it.
fn shown(row: &SweepRow<Point>) -> SweepLevel {
    let point = &row.point;
    SweepLevel {
        level: point.level,
        good_share: point.good_share.clone(),
        requests_per_second: point.requests_per_second.clone(),
        output_tokens_per_second: point.output_tokens_per_second.clone(),
        ttft_seconds: point.ttft_seconds,
        mean_latency_seconds: point.mean_latency_seconds,
        energy_per_output_token: point.energy_per_output_token.clone(),
        run_dir: row.run_dir.clone(),
    }
}

fn heading(unit: &str) -> String {
    format!(
        "{unit:>18}  {:>10}  {:>10}  {:>11}  {:>11}  {:>16}  {:>16}\n",
        "requests/s", "tok/s", "TTFT p50", "TTFT p99", "good %", "mJ/token"
    )
}

fn line(point: &Point) -> String {
    let ms = |place: usize| {
        point.ttft_seconds.map_or("–".to_owned(), |ttft| format!("{:.1} ms", ttft[place] * 1e3))
    };
    let rate = |figure: &ai_energy_core::Figure| {
        figure.value.map_or("–".to_owned(), |value| format!("{value:.2}"))
    };
    let sure = match point.kept {
        Some(Kept::Unsure) => "  not sure: longer runs tell",
        _ => "",
    };
    format!(
        "{:>18}  {:>10}  {:>10}  {:>11}  {:>11}  {:>16}  {:>16}{sure}\n",
        level_text(point.level),
        rate(&point.requests_per_second),
        rate(&point.output_tokens_per_second),
        ms(0),
        ms(1),
        sweep_cell(&point.good_share, 100.0),
        sweep_cell(&point.energy_per_output_token, 1e3),
    )
}

fn level_text(level: f64) -> String {
    format!("{level:.4}").trim_end_matches('0').trim_end_matches('.').to_owned()
}

fn conclusion(sweep: &Sweep<Point>) -> String {
    let Some(goal) = &sweep.goal else { return String::new() };
    match sweep.best.and_then(|best| sweep.rows.get(best)) {
        Some(row) => {
            let highest = sweep.rows.iter().all(|other| other.point.level <= row.point.level);
            let beyond = if highest { "; nothing above was tried" } else { "" };
            format!("{goal}: {} {}{beyond}\n", level_text(row.point.level), sweep.unit)
        }
        None => format!("{goal}: none of the levels tried\n"),
    }
}

fn usage(object: &str, cause: &str, remedy: &str) -> Fault {
    Fault::new(FaultKind::Usage, object, cause).remedy(remedy)
}
