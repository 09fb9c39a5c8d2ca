//! Raw arguments. Parsing never touches the machine: `resolve` turns them into settings.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

const AFTER_HELP: &str = "\
Exit codes: 0 ok · 1 results not written · 2 usage or config · 3 backend unreachable or unfit
            4 finished with failed requests · 5 nothing measured · 6 a condition of compare failed
            130, 143 interrupted, partial results saved

Try it without a server:
  ai-energy-benchmark simulate --port 8000 &
  ai-energy-benchmark run --endpoint http://127.0.0.1:8000/v1

Or let PyTorch run a model here:
  ai-energy-benchmark run --backend pytorch --device auto --model HuggingFaceTB/SmolLM2-135M-Instruct";

/// What a token of AI costs: joules, watt-hours, grams of CO2 and milliseconds.
#[derive(Debug, Parser)]
#[command(name = "ai-energy-benchmark", version, after_help = AFTER_HELP, max_term_width = 100)]
pub struct Cli {
    /// Options of every command.
    #[command(flatten)]
    pub globals: Globals,
    /// What to do; `run` where none is named.
    #[command(subcommand)]
    pub command: Command,
}

/// Options of every command.
#[derive(Debug, Clone, Default, Args)]
pub struct Globals {
    /// Say more: -v what is done, -vv each request, -vvv everything
    #[arg(short, long, action = clap::ArgAction::Count, global = true)]
    pub verbose: u8,
    /// Print nothing but errors
    #[arg(short, long, global = true)]
    pub quiet: bool,
    /// How diagnostics on standard error are written
    #[arg(long, value_enum, default_value_t, global = true, value_name = "FORMAT")]
    pub log_format: LogFormat,
    /// Use colours
    #[arg(long, value_enum, default_value_t, global = true, value_name = "WHEN")]
    pub color: When,
}

/// How diagnostics are written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// Lines for people.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

/// When to use colours.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum When {
    /// On a terminal, unless NO_COLOR is set.
    #[default]
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Measure: load prompts, send them, read the counters, report
    Run(Box<RunCommand>),
    /// Look whether a run would work, without running it
    Validate(RunArgs),
    /// Run at several levels of load, or search for the level that reaches a goal
    Sweep(Box<SweepArgs>),
    /// List backends, sources, datasets, formats and reporters
    List(ListArgs),
    /// Print the prompts that a run would send, as the model's family wants them
    Prompts(Box<PromptsArgs>),
    /// Compare runs: differences with intervals, what differs, conditions for scripts
    Compare(CompareArgs),
    /// Run every model of a table, into one table of results and a ranking
    Batch(Box<BatchArgs>),
    /// Rank the models of a batch by the energy of a query, with one to five stars
    Rank(RankArgs),
    /// Compute a finished or cut run's figures anew from its folder
    Summarize(SummarizeArgs),
    /// Hold runs' folders against their manifests, and their reports against their journals
    Verify(VerifyArgs),
    /// Pack a run's folder into one zip file, after verifying it
    Bundle(BundleArgs),
    /// Show what this machine can measure, what it cannot, and what would change that
    Doctor(DoctorArgs),
    /// Measure the energy of another program, or of some time
    Measure(Box<MeasureArgs>),
    /// Show the resolved configuration, its schema, and the configs that ship
    Config(ConfigArgs),
    /// Serve an OpenAI-compatible API with known timing, to calibrate a client with
    Simulate(Box<SimulateArgs>),
    /// Find what this client can do on this machine, against the simulator's truth; runs read the result
    Calibrate(CalibrateArgs),
    /// Print a completion script for a shell
    Completions(CompletionsArgs),
    /// Print the manual page, or write one a command into a folder
    Man(ManArgs),
}

/// Names that are commands; anything else in front is an argument of `run`.
const COMMANDS: [&str; 19] = [
    "run",
    "sweep",
    "compare",
    "batch",
    "rank",
    "validate",
    "list",
    "prompts",
    "summarize",
    "verify",
    "bundle",
    "doctor",
    "measure",
    "config",
    "simulate",
    "calibrate",
    "completions",
    "man",
    "help",
];

/// Options that the program answers without a command.
const OWN_OPTIONS: [&str; 4] = ["-h", "--help", "-V", "--version"];

/// Inserts `run` where the first argument is no command: `ai-energy-benchmark --config-name NAME` and
/// `ai-energy-benchmark FILE` are what containers and scripts of the Python package call.
pub fn with_default_command(mut arguments: Vec<OsString>) -> Vec<OsString> {
    let implied = match deciding_argument(&arguments) {
        Some(first) if OWN_OPTIONS.contains(&first.as_str()) => false,
        Some(first) if first.starts_with('-') => true,
        Some(first) => !COMMANDS.contains(&first.as_str()) && first.contains(['.', '/', '=', '~', '+']),
        None => false,
    };
    if implied {
        arguments.insert(1, OsString::from("run"));
    }
    arguments
}

/// The first argument that is no option of every command.
fn deciding_argument(arguments: &[OsString]) -> Option<String> {
    let mut rest = arguments.iter().skip(1).map(|argument| argument.to_string_lossy());
    while let Some(argument) = rest.next() {
        match argument.as_ref() {
            "--quiet" | "-q" | "--verbose" => {}
            "--log-format" | "--color" => {
                rest.next();
            }
            other if other.starts_with("--log-format=") || other.starts_with("--color=") => {}
            other if other.starts_with("-v") && other.trim_start_matches("-v").chars().all(|c| c == 'v') => {}
            other => return Some(other.to_owned()),
        }
    }
    None
}

/// What is configured: a file or a name, flags, and overrides.
#[derive(Debug, Clone, Default, Args)]
pub struct ConfigSource {
    /// A config file, and overrides: a.b=value, +a.b=value, ++a.b=value, ~a.b
    #[arg(value_name = "CONFIG | KEY=VALUE")]
    pub inputs: Vec<String>,
    /// A config by name, with or without .yaml: from --config-dir, else one that ships
    #[arg(long, value_name = "NAME")]
    pub config_name: Option<String>,
    /// Where --config-name and groups are looked for
    #[arg(long, value_name = "DIR")]
    pub config_dir: Option<PathBuf>,
    /// Server address, for example http://127.0.0.1:8000/v1 [key: backend.endpoint]
    #[arg(long, value_name = "URL", help_heading = "Shortcuts for config keys")]
    pub endpoint: Option<String>,
    /// Model name; without one, a server that serves one model is asked for it [key: backend.model]
    #[arg(long, value_name = "NAME", help_heading = "Shortcuts for config keys")]
    pub model: Option<String>,
    /// Backend [key: backend.type]
    #[arg(long, value_name = "NAME", help_heading = "Shortcuts for config keys")]
    pub backend: Option<String>,
    /// Where PyTorch computes: cuda, cuda:1, cpu, mps or auto [key: backend.device]
    #[arg(long, value_name = "NAME", help_heading = "Shortcuts for config keys")]
    pub device: Option<String>,
    /// API that requests use: chat or completions [key: backend.server.api]
    #[arg(
        long,
        visible_alias = "endpoint-type",
        value_name = "API",
        help_heading = "Shortcuts for config keys"
    )]
    pub api: Option<String>,
    /// Dataset: builtin, synthetic, a file, or a hub id [key: scenario.dataset_name]
    #[arg(
        long,
        visible_alias = "prompts-file",
        value_name = "NAME",
        help_heading = "Shortcuts for config keys"
    )]
    pub dataset: Option<String>,
    /// Prompts to run [key: scenario.num_samples]
    #[arg(short = 'n', long, value_name = "N", help_heading = "Shortcuts for config keys")]
    pub num_samples: Option<u64>,
    /// Most tokens to generate a request [key: scenario.generate_kwargs.max_new_tokens]
    #[arg(long, value_name = "N", help_heading = "Shortcuts for config keys")]
    pub max_tokens: Option<u64>,
    /// Seed of sampling at the server [key: scenario.generate_kwargs.seed]
    #[arg(long, value_name = "N", help_heading = "Shortcuts for config keys")]
    pub seed: Option<i64>,
    /// Where run folders are made [key: output_dir]
    #[arg(short, long, value_name = "DIR", help_heading = "Shortcuts for config keys")]
    pub output_dir: Option<String>,
    /// Formats to write besides the standard ones, for example markdown,parquet [key: reporter.type]
    #[arg(long, value_name = "NAMES", value_delimiter = ',', help_heading = "Shortcuts for config keys")]
    pub report: Vec<String>,
    /// How requests are offered.
    #[command(flatten)]
    pub load: LoadArgs,
    /// Keys that options outside this group set: key, value, option.
    #[arg(skip)]
    pub further: Vec<(String, serde_json::Value, String)>,
}

/// Arguments of `run` and `validate`.
#[derive(Debug, Clone, Default, Args)]
pub struct RunArgs {
    /// What is configured.
    #[command(flatten)]
    pub source: ConfigSource,
    /// How often.
    #[command(flatten)]
    pub repeat: RepeatArgs,
    /// What standard output gets: a summary for people, or the report alone
    #[arg(long, value_enum, default_value_t, value_name = "FORMAT")]
    pub format: OutputFormat,
}

/// What standard output gets.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum OutputFormat {
    /// Text for people.
    #[default]
    Text,
    /// JSON for programs.
    Json,
}

/// Arguments of `list`.
#[derive(Debug, Args)]
pub struct ListArgs {
    /// What to list; everything where nothing is named
    #[arg(value_enum)]
    pub kind: Option<ListKind>,
    /// How to print it
    #[arg(long, value_enum, default_value_t, value_name = "FORMAT")]
    pub format: OutputFormat,
}

/// Arguments of `summarize`.
#[derive(Debug, Args)]
pub struct SummarizeArgs {
    /// A run's folder, with record.json, requests.jsonl and readings.jsonl in it
    #[arg(value_name = "DIR")]
    pub folder: PathBuf,
    /// Write the reports into the folder anew; a run that was cut gets its reports without being asked
    #[arg(long)]
    pub write: bool,
    /// What standard output gets: a summary for people, or the report alone
    #[arg(long, value_enum, default_value_t, value_name = "FORMAT")]
    pub format: OutputFormat,
}

/// Arguments of `doctor`.
#[derive(Debug, Args)]
pub struct DoctorArgs {
    /// What is configured: its metrics section says which sources are looked for.
    #[command(flatten)]
    pub source: ConfigSource,
    /// Show live power until stopped, instead of one look
    #[arg(long)]
    pub watch: bool,
    /// How long to look, in seconds
    #[arg(long, default_value_t = 2.0, value_name = "S", value_parser = seconds)]
    pub seconds: f64,
    /// How to print it
    #[arg(long, value_enum, default_value_t, value_name = "FORMAT")]
    pub format: OutputFormat,
}

/// A time to look that is neither nothing nor for ever.
pub(crate) fn seconds(text: &str) -> Result<f64, String> {
    let seconds: f64 = text.parse().map_err(|_| "is no number of seconds".to_owned())?;
    if (0.1..=3600.0).contains(&seconds) { Ok(seconds) } else { Err("use 0.1 to 3600 seconds".to_owned()) }
}

/// What can be listed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ListKind {
    /// What runs models.
    Backends,
    /// What energy is read from.
    Sources,
    /// Where prompts come from.
    Datasets,
    /// How prompts are written for model families.
    Formats,
    /// What results are written as.
    Reporters,
}

/// Arguments of `config`.
#[derive(Debug, Args)]
pub struct ConfigArgs {
    /// What to do.
    #[command(subcommand)]
    pub command: ConfigCommand,
}

/// What `config` can do.
#[derive(Debug, Subcommand)]
pub enum ConfigCommand {
    /// Print the resolved configuration with the origin of each value
    Show(Box<ShowArgs>),
    /// Print the JSON schema of config files, for editors
    Schema,
    /// List the configs and groups that ship
    List,
}

/// Arguments of `config show`.
#[derive(Debug, Clone, Default, Args)]
pub struct ShowArgs {
    /// What is configured.
    #[command(flatten)]
    pub source: ConfigSource,
    /// How to print it
    #[arg(long, value_enum, default_value_t, value_name = "FORMAT")]
    pub format: OutputFormat,
}

pub use crate::commands::batch::BatchArgs;
pub use crate::commands::calibrate::CalibrateArgs;
pub use crate::commands::compare::CompareArgs;
pub use crate::commands::measure::MeasureArgs;
pub use crate::commands::prompts::PromptsArgs;
pub use crate::commands::rank::RankArgs;
pub use crate::commands::shell::{CompletionsArgs, ManArgs};
pub use crate::commands::simulate_args::SimulateArgs;
pub use crate::load_args::{LoadArgs, RepeatArgs, SearchGoal, SweepArgs};
pub use crate::record_args::{BundleArgs, RunCommand, VerifyArgs};

#[cfg(test)]
mod tests {
    use super::*;

    fn with(arguments: &[&str]) -> Vec<String> {
        let all = std::iter::once("x").chain(arguments.iter().copied()).map(OsString::from).collect();
        with_default_command(all)
            .into_iter()
            .skip(1)
            .map(|argument| argument.into_string().unwrap())
            .collect()
    }

    #[test]
    fn run_is_implied_for_what_containers_and_scripts_call() {
        assert_eq!(with(&["--config-name", "list"]), ["run", "--config-name", "list"]);
        assert_eq!(with(&["configs/a.yaml"]), ["run", "configs/a.yaml"]);
        assert_eq!(with(&["-vv", "--color", "never", "backend.model=x"])[0], "run");
    }

    #[test]
    fn commands_and_questions_stay_as_they_are() {
        for arguments in
            [&["run", "a.yaml"][..], &["--version"], &["-v", "list"], &["--quiet", "validate"], &[]]
        {
            assert_eq!(with(arguments), arguments);
        }
        assert_eq!(with(&["lst"]), ["lst"], "a misspelt command is clap's to explain");
    }

    #[test]
    fn every_command_is_known_to_the_rule() {
        use clap::CommandFactory;
        for command in Cli::command().get_subcommands() {
            assert!(COMMANDS.contains(&command.get_name()), "{} is missing", command.get_name());
        }
    }
}
