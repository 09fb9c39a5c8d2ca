//! `calibrate`: finds what this client can do on this machine, against the built-in simulator's truth.
//!
//! The simulator runs as a process of its own, on other processors where there are some. Each of three ladders is climbed
//! until the client no longer keeps within its bounds; what is found goes into a file that `run` reads. Refuses to judge a run.

mod cores;
mod ladder;
mod level;
mod limits;
mod simulator;
mod text;

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

use ai_energy_core::{Fault, FaultKind, Stop};
use ai_energy_metrics::Roots;
use clap::Args;

use super::run::block_on;
use crate::args::{Globals, OutputFormat};
use crate::calibration::{Calibration, Identity, Level, default_path};
use crate::client_limits;
use crate::diagnostics::{note, print_out};
use crate::exit::{CliError, Exit};
use crate::signals;
use cores::Cores;
use ladder::{Ladder, Trial};

/// Arguments of `calibrate`.
#[derive(Debug, Clone, Args)]
pub struct CalibrateArgs {
    /// A few short levels instead of whole ladders: a first impression in seconds
    #[arg(long)]
    pub quick: bool,
    /// Begin no level after that many seconds
    #[arg(long, value_name = "S", default_value_t = 60.0, value_parser = seconds)]
    pub seconds: f64,
    /// File to write instead of the one that runs read
    #[arg(short, long, value_name = "FILE")]
    pub output: Option<PathBuf>,
    /// What standard output gets: a table for people, or the file's content alone
    #[arg(long, value_enum, default_value_t, value_name = "FORMAT")]
    pub format: OutputFormat,
}

fn seconds(text: &str) -> Result<f64, String> {
    let seconds: f64 = text.parse().map_err(|_| "is no number of seconds".to_owned())?;
    if (1.0..=3600.0).contains(&seconds) { Ok(seconds) } else { Err("use 1 to 3600 seconds".to_owned()) }
}

/// Calibrates and writes the file.
///
/// # Errors
/// The simulator cannot be started, the file cannot be written, or a signal came.
pub fn calibrate(arguments: &CalibrateArgs, globals: &Globals) -> Result<Exit, CliError> {
    if !cfg!(target_os = "linux") {
        let cause = "needs one clock that two processes share, which this program knows on Linux alone";
        return Err(Fault::new(FaultKind::Usage, "calibrate", cause).into());
    }
    let path = match &arguments.output {
        Some(path) => path.clone(),
        None => default_path(&|name| std::env::var(name).ok()).ok_or_else(no_folder)?,
    };
    let program = std::env::current_exe().map_err(|error| {
        Fault::new(FaultKind::Internal, "this program", format!("cannot be found: {error}"))
    })?;
    // Before anything is moved to some processors: the identity is of the whole machine.
    let identity = Identity::here(&Roots::default());
    let cores = Cores::halves();
    cores.become_client();
    let shown = !globals.quiet && arguments.format == OutputFormat::Text;
    let levels = block_on(async {
        let stop = Stop::new();
        let received = signals::listen(stop.clone());
        let climb = Climb { arguments, program: &program, cores: &cores, stop: &stop, shown };
        let levels = climb.all().await?;
        match received.exit() {
            Some(exit) => Err(CliError::Stopped(exit)),
            None => Ok(levels),
        }
    })?;
    let own = std::thread::available_parallelism().map_or(1, std::num::NonZero::get) as f64;
    let found = limits::limits(&levels, own, crate::place::rfc3339(SystemTime::now()));
    let calibration = Calibration::new(identity, limits::BOUNDS, found, levels);
    calibration.write(&path)?;
    if arguments.format == OutputFormat::Json {
        print_out(&format!("{:#}\n", serde_json::to_value(&calibration).unwrap_or_default()))?;
    } else if shown {
        print_out(&text::conclusion(&calibration, &cores.words()))?;
        note(&format!("saved {}", path.display()));
    }
    Ok(Exit::Ok)
}

fn no_folder() -> Fault {
    Fault::new(FaultKind::Usage, "calibrate", "there is no home folder to keep the calibration in")
        .remedy("set XDG_STATE_HOME or HOME, or name a file with --output")
}

/// The way up the ladders.
struct Climb<'a> {
    arguments: &'a CalibrateArgs,
    program: &'a Path,
    cores: &'a Cores,
    stop: &'a Stop,
    shown: bool,
}

impl Climb<'_> {
    async fn all(&self) -> Result<Vec<Level>, CliError> {
        let (begin, mut levels) = (Instant::now(), Vec::new());
        if self.shown {
            print_out(&text::heading())?;
        }
        for (number, ladder) in Ladder::ALL.into_iter().enumerate() {
            // Each has its share of the time, so that the last one is climbed too.
            let share = (number + 1) as f64 / Ladder::ALL.len() as f64;
            let end = begin + Duration::from_secs_f64(self.arguments.seconds * share);
            self.ladder(ladder, end, &mut levels).await?;
        }
        Ok(levels)
    }

    /// Climbs one ladder until a level does not hold or the time is over.
    async fn ladder(&self, ladder: Ladder, end: Instant, levels: &mut Vec<Level>) -> Result<(), CliError> {
        for trial in Trial::rungs(ladder, self.arguments.quick) {
            if self.stop.is_cancelled() || Instant::now() >= end {
                return Ok(());
            }
            if client_limits::make_room(trial.most_in_flight()).is_err() {
                tracing::info!(level = trial.words(), "needs more open files than this process may have");
                return Ok(());
            }
            let mut level = self.level(&trial).await?;
            if !level.held && !self.stop.is_cancelled() {
                // A neighbour's hiccup is not this client's limit: what breaks twice is.
                level = self.level(&trial).await?;
            }
            let goes_on = level.held;
            if self.shown {
                print_out(&text::row(&trial.words(), &level))?;
            }
            levels.push(level);
            if !goes_on {
                return Ok(());
            }
        }
        Ok(())
    }

    async fn level(&self, trial: &Trial) -> Result<Level, CliError> {
        let mut level = level::run(trial, self.program, self.cores, self.stop).await?;
        limits::judge(&mut level, &limits::BOUNDS);
        Ok(level)
    }
}
