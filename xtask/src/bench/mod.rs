//! `cargo xtask bench`: what the client costs and how true its times are, against the simulator's own truth and against
//! other programs in the same run. Prints ratios and errors; never decides a test, since machines differ.

mod agreement;
mod client;
mod energy;
mod engine;
mod floor;
mod results;
mod server;
mod startup;

use anyhow::{Result, bail};
use std::path::{Path, PathBuf};

use crate::{say, shell};

/// Runs one benchmark, or those of the client: `agreement`, `startup`, `client` (all of it, or its parts `cost`, `error`,
/// `rest`); `energy` holds the error budget against many random cases of known energy (`--seed N`, `--cases N`); `results`
/// summarises the folder of a large run (`--requests N`, `--seed N`); `engine` needs more than this tree.
///
/// # Errors
/// The release build fails, or a benchmark cannot be run.
pub fn run(root: &Path, arguments: &[String]) -> Result<()> {
    if let Some(("engine", rest)) = arguments.split_first().map(|(name, rest)| (name.as_str(), rest)) {
        return engine::run(root, rest);
    }
    if let Some(("energy", rest)) = arguments.split_first().map(|(name, rest)| (name.as_str(), rest)) {
        return energy::run(root, rest);
    }
    if let Some(("floor", rest)) = arguments.split_first().map(|(name, rest)| (name.as_str(), rest)) {
        return floor::run(rest);
    }
    // One build for both: with other packages the same dependencies would be built with other features.
    let packages = ["--package", "ai-energy-cli", "--package", "xtask"];
    shell(root, "cargo", &[&["build", "--release", "--quiet"], &packages[..]].concat())?;
    let program = program(root);
    match arguments.first().map(String::as_str) {
        None => {
            startup::run(&program)?;
            agreement::run(&program)?;
            client::run(root, &program, &[])
        }
        Some("startup") => startup::run(&program),
        Some("agreement") => agreement::run(&program),
        Some("client") => client::run(root, &program, arguments.get(1..).unwrap_or_default()),
        Some("results") => results::run(root, &program, arguments.get(1..).unwrap_or_default()),
        Some(other) => {
            bail!(
                "there is no benchmark `{other}`: known are startup, agreement, client, results, energy, engine"
            )
        }
    }
}

fn program(root: &Path) -> PathBuf {
    crate::target(root).join("release/ai-energy-benchmark")
}

/// A folder for a benchmark's results that goes when it is dropped.
struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str) -> Result<Self> {
        let folder = std::env::temp_dir().join(format!("ai-energy-bench-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&folder)?;
        Ok(Self(folder))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_dir_all(&self.0) {
            say(&format!("cannot remove {}: {error}", self.0.display()));
        }
    }
}

/// The `q`-quantile of some values, `0 <= q <= 1`; not a number where there are none.
fn quantile(values: &mut [f64], q: f64) -> f64 {
    values.sort_by(f64::total_cmp);
    let last = values.len().saturating_sub(1);
    values.get((q * last as f64).round() as usize).copied().unwrap_or(f64::NAN)
}
