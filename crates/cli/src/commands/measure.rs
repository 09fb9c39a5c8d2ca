//! `measure`: the energy of another program, or of whatever happens until a signal or the end of standard input.
//!
//! Exists for work that is no benchmark, and for scripts that measure between two lines of theirs. Refuses to write files: the
//! figures go to standard output.

use std::process::Stdio;
use std::time::Duration;

use ai_energy_core::{Fault, FaultKind, Figure, Report, Stop};
use ai_energy_metrics::{Measurement, Meter, Roots};
use clap::Args;
use serde_json::{Map, Value};

use crate::args::{ConfigSource, OutputFormat};
use crate::diagnostics::print_out;
use crate::exit::{CliError, Exit};
use crate::{redact, resolve, signals};

/// Arguments of `measure`.
#[derive(Debug, Clone, Default, Args)]
pub struct MeasureArgs {
    /// What is configured: its metrics section says which sources are read.
    #[command(flatten)]
    pub source: ConfigSource,
    /// Measure for so long, in seconds; without it and without a program, until Ctrl-C
    #[arg(long, value_name = "S", value_parser = super::super::args::seconds)]
    pub seconds: Option<f64>,
    /// Measure until standard input ends, for programs that start and stop this one
    #[arg(long, conflicts_with = "seconds")]
    pub until_stdin_ends: bool,
    /// How to print the figures
    #[arg(long, value_enum, default_value_t, value_name = "FORMAT")]
    pub format: OutputFormat,
    /// The program to run and its arguments; its standard output goes to standard error
    #[arg(last = true, value_name = "PROGRAM", conflicts_with_all = ["seconds", "until_stdin_ends"])]
    pub program: Vec<String>,
}

/// Measures and prints. The program's own exit code becomes this one's where it is not 0.
///
/// # Errors
/// The config is wrong, the program cannot be started, or standard output cannot be written.
pub fn measure(arguments: &MeasureArgs) -> Result<Exit, CliError> {
    let loaded = resolve::resolve(&arguments.source)?;
    let metrics = loaded.value.metrics.options.clone();
    let config = match redact::tree(&loaded.tree) {
        Value::Object(config) => config,
        _ => Map::new(),
    };
    super::run::block_on(async {
        let stop = Stop::new();
        // Ctrl-C is how measuring ends, so it is no interruption.
        let _received = signals::listen(stop.clone());
        let meter = Meter::start(&metrics, &Roots::default()).await;
        let worked = work(arguments, &stop).await;
        let measured = meter.finish(&loaded.value.name).await;
        print_out(&match arguments.format {
            OutputFormat::Text => as_text(&measured),
            OutputFormat::Json => {
                let report = Report { record: &measured.record, summary: &measured.summary, config: &config };
                format!("{:#}\n", ai_energy_reporters::json::report_value(report))
            }
        })?;
        worked
    })
}

/// Runs the program, or waits.
async fn work(arguments: &MeasureArgs, stop: &Stop) -> Result<Exit, CliError> {
    if let [program, rest @ ..] = arguments.program.as_slice() {
        return run(program, rest).await;
    }
    let end = async {
        match arguments.seconds {
            Some(seconds) => tokio::time::sleep(Duration::from_secs_f64(seconds)).await,
            None if arguments.until_stdin_ends => end_of_input().await,
            None => std::future::pending().await,
        }
    };
    tokio::select! {
        () = end => {}
        () = stop.cancelled() => {}
    }
    Ok(Exit::Ok)
}

/// The program gets the terminal's signals itself; this one waits for it.
async fn run(program: &str, arguments: &[String]) -> Result<Exit, CliError> {
    let mut command = std::process::Command::new(program);
    command.args(arguments).stdin(Stdio::inherit()).stdout(std::io::stderr());
    let mut child = command.spawn().map_err(|error| {
        Fault::new(FaultKind::Usage, format!("program {program}"), format!("cannot be started: {error}"))
            .remedy("check its name and permissions")
    })?;
    let ended = tokio::task::spawn_blocking(move || child.wait()).await;
    match ended {
        Ok(Ok(status)) if status.success() => Ok(Exit::Ok),
        Ok(Ok(status)) => Err(Fault::new(
            FaultKind::NothingMeasured,
            format!("program {program}"),
            format!("ended with {status}"),
        )
        .remedy("the figures above are of the time until then")
        .into()),
        Ok(Err(error)) => {
            Err(Fault::new(FaultKind::Internal, format!("program {program}"), error.to_string()).into())
        }
        Err(error) => Err(Fault::new(FaultKind::Internal, "waiting", error.to_string()).into()),
    }
}

/// Returns when whoever holds the other end of standard input closes it, or is gone.
async fn end_of_input() {
    let (gone, ended) = tokio::sync::oneshot::channel();
    // A thread of its own: a runtime that shuts down would wait for a read that nobody ends.
    std::thread::spawn(move || {
        let copied = std::io::copy(&mut std::io::stdin().lock(), &mut std::io::sink());
        // Nobody listens any more once a signal ended the wait; and an input that fails has ended too.
        let _ = gone.send(copied.is_ok());
    });
    let _ = ended.await;
}

fn as_text(measured: &Measurement) -> String {
    let summary = &measured.summary;
    let mut text = line("time", summary.duration.value, summary.duration.ci95, "s", &summary.duration);
    for entry in &summary.energy.domains {
        text += &line(entry.domain.word(), entry.energy.value, entry.energy.ci95, "J", &entry.energy);
    }
    text += &line("total", summary.energy.total.value, summary.energy.total.ci95, "J", &summary.energy.total);
    let emissions = &summary.carbon.emissions;
    text + &line("CO2e", emissions.value, emissions.ci95, "g", emissions)
}

fn line(name: &str, value: Option<f64>, ci95: Option<f64>, unit: &str, figure: &Figure) -> String {
    let source = format!("{}, {}", figure.provenance.word(), figure.source);
    match (value, ci95) {
        (Some(value), Some(ci95)) => format!("{name:6} {value:.4} ± {ci95:.4} {unit}  {source}\n"),
        (Some(value), None) => format!("{name:6} {value:.4} {unit}  {source}\n"),
        (None, _) => format!("{name:6} not known: {}\n", figure.reason.as_deref().unwrap_or("no source")),
    }
}
