//! Arguments of what is done with a run's folder: going on with it, verifying it, packing it.
//!
//! Refuses to look at any folder.

use std::path::PathBuf;

use clap::Args;

use crate::args::{OutputFormat, RunArgs};

/// Arguments of `run`: those of a run, and of one that goes on.
#[derive(Debug, Clone, Default, Args)]
pub struct RunCommand {
    /// What is run.
    #[command(flatten)]
    pub run: RunArgs,
    /// Go on with the run in this folder: its config, and the requests that have not ended
    #[arg(long, value_name = "DIR")]
    pub resume: Option<PathBuf>,
    /// With --resume, try failed requests again too
    #[arg(long, requires = "resume")]
    pub retry_failed: bool,
}

/// Arguments of `verify`.
#[derive(Debug, Args)]
pub struct VerifyArgs {
    /// Runs' folders
    #[arg(value_name = "DIR", required = true)]
    pub folders: Vec<PathBuf>,
    /// What standard output gets: text for people, or JSON
    #[arg(long, value_enum, default_value_t, value_name = "FORMAT")]
    pub format: OutputFormat,
}

/// Arguments of `bundle`.
#[derive(Debug, Args)]
pub struct BundleArgs {
    /// A run's folder
    #[arg(value_name = "DIR")]
    pub folder: PathBuf,
    /// The archive; unset: the folder's name and .zip, beside it
    #[arg(short, long, value_name = "FILE.zip")]
    pub output: Option<PathBuf>,
    /// Pack a folder that does not verify, or in which something looks like a secret
    #[arg(long)]
    pub force: bool,
}
