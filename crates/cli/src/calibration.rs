//! What `calibrate` found, as a file, and whether it is about this client on this machine.
//!
//! Refuses to know how it is found and what follows from it.

use std::path::{Path, PathBuf};

use ai_energy_core::client::ClientLimits;
use ai_energy_core::{Fault, FaultKind};
use ai_energy_metrics::Roots;
use serde::{Deserialize, Serialize};

/// The shape of the file. Another one is not read.
const SCHEMA_VERSION: u32 = 1;

/// What makes a calibration another one's: figures of another machine or program say nothing here.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    /// The processor's name.
    pub cpu_model: Option<String>,
    /// Hardware threads that a process may use.
    pub cores: usize,
    /// The kernel's release.
    pub kernel: Option<String>,
    /// This program's version.
    pub version: String,
    /// `release`, or `debug` for a program without optimisation.
    pub build: String,
}

impl Identity {
    /// This machine and program.
    pub fn here(roots: &Roots) -> Self {
        let environment = ai_energy_metrics::machine_identity(roots);
        Self {
            cpu_model: environment.cpu_model,
            cores: std::thread::available_parallelism().map_or(1, std::num::NonZero::get),
            kernel: environment.kernel,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            build: if cfg!(debug_assertions) { "debug" } else { "release" }.to_owned(),
        }
    }

    /// The first thing in which another identity differs, in words.
    fn difference(&self, other: &Self) -> Option<String> {
        let named = |name: &Option<String>| name.clone().unwrap_or_else(|| "unknown".to_owned());
        let pairs = [
            ("processor", named(&self.cpu_model), named(&other.cpu_model)),
            ("number of cores", self.cores.to_string(), other.cores.to_string()),
            ("kernel", named(&self.kernel), named(&other.kernel)),
            ("version of this program", self.version.clone(), other.version.clone()),
            ("build of this program", self.build.clone(), other.build.clone()),
        ];
        let differing = pairs.into_iter().find(|(_, a, b)| a != b)?;
        Some(format!("of another {} ({}, and this is {})", differing.0, differing.1, differing.2))
    }
}

/// One level that was tried.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Level {
    /// What was raised: `streams`, `tokens` or `requests`.
    pub ladder: String,
    /// Streams at a time; most in flight in an open loop.
    pub streams: usize,
    /// What was asked for, a second: tokens of all streams, or requests.
    pub asked_per_second: f64,
    /// What came, a second.
    pub tokens_per_second: f64,
    /// Requests that ended well, a second.
    pub requests_per_second: f64,
    /// Requests that ended well.
    pub requests: usize,
    /// CPU time over the client's cores, 0 to 1.
    pub cpu_share: f64,
    /// Delay of the event loop, s, p99.
    pub event_loop_seconds: f64,
    /// The client's own delay before a request, s, p99; `None` where nothing was planned.
    pub own_delay_seconds: Option<f64>,
    /// Error of the time to first token against the simulator's truth, s: p50 and p99 of its absolute value.
    pub ttft_error_seconds: Option<[f64; 2]>,
    /// The same of the time between tokens.
    pub inter_token_error_seconds: Option<[f64; 2]>,
    /// The simulator did not write tokens as fast as it was asked to.
    pub simulator_behind: bool,
    /// Whether the client kept within the bounds.
    pub held: bool,
    /// Why it did not, or why the level says nothing of the client.
    pub remark: String,
}

/// Errors up to which a level holds, s.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Bounds {
    /// Absolute error of the time to first token, p99.
    pub ttft_error_seconds: f64,
    /// Absolute error of the time between tokens, p99.
    pub inter_token_error_seconds: f64,
    /// The client's own delay before a request, p99.
    pub own_delay_seconds: f64,
}

/// The file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Calibration {
    /// Its shape.
    pub schema_version: u32,
    /// What it is of.
    pub identity: Identity,
    /// What a level had to keep.
    pub bounds: Bounds,
    /// What follows for runs.
    pub limits: ClientLimits,
    /// Every level in the order it was tried.
    pub levels: Vec<Level>,
}

impl Calibration {
    /// A calibration of this machine and program.
    pub fn new(identity: Identity, bounds: Bounds, limits: ClientLimits, levels: Vec<Level>) -> Self {
        Self { schema_version: SCHEMA_VERSION, identity, bounds, limits, levels }
    }

    /// Writes the file, and its folder where that is missing.
    ///
    /// # Errors
    /// It cannot be written; an older one stays.
    pub fn write(&self, path: &Path) -> Result<(), Fault> {
        let fault = |cause: String| {
            Fault::new(FaultKind::Output, path.display().to_string(), cause).remedy(
                "name another file with --output, or set XDG_STATE_HOME to a folder that can be written",
            )
        };
        let mut text = serde_json::to_string_pretty(self).map_err(|error| fault(error.to_string()))?;
        text.push('\n');
        let written = path.parent().map_or(Ok(()), std::fs::create_dir_all).and_then(|()| {
            let partial = path.with_extension("partial");
            std::fs::write(&partial, text)?;
            std::fs::rename(&partial, path)
        });
        written.map_err(|error| fault(format!("cannot be written: {error}")))
    }
}

/// Where the file is: `$XDG_STATE_HOME/ai-energy-benchmark/calibration.json`, by default in `~/.local/state`. `None`
/// without a home folder.
pub fn default_path(variable: &dyn Fn(&str) -> Option<String>) -> Option<PathBuf> {
    let folder = |name: &str| variable(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let state = folder("XDG_STATE_HOME").or_else(|| folder("HOME").map(|home| home.join(".local/state")))?;
    Some(state.join("ai-energy-benchmark/calibration.json"))
}

/// What was found of this client on this machine.
///
/// # Errors
/// Why nothing is known, in words for the report.
pub fn of_this_client(roots: &Roots) -> Result<ClientLimits, String> {
    let path = default_path(&|name| std::env::var(name).ok());
    let path = path.ok_or("there is no home folder to look for a calibration in")?;
    read(&path, &Identity::here(roots))
}

/// The limits in a file, where it is of that identity.
fn read(path: &Path, here: &Identity) -> Result<ClientLimits, String> {
    let again = "`ai-energy-benchmark calibrate` makes one";
    let text = match std::fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            return Err(format!("no calibration was made on this machine; {again}"));
        }
        Err(error) => return Err(format!("the calibration cannot be read ({error}); {again}")),
    };
    let shape: Shape = serde_json::from_str(&text)
        .map_err(|error| format!("the calibration is damaged ({error}); {again}"))?;
    if shape.schema_version != SCHEMA_VERSION {
        let version = shape.schema_version;
        return Err(format!("the calibration is of shape {version}, not {SCHEMA_VERSION}; {again}"));
    }
    let found: Calibration = serde_json::from_str(&text)
        .map_err(|error| format!("the calibration is damaged ({error}); {again}"))?;
    match found.identity.difference(here) {
        Some(difference) => Err(format!("the calibration does not fit: it is {difference}; {again}")),
        None => Ok(found.limits),
    }
}

/// What every shape of the file has.
#[derive(Deserialize)]
struct Shape {
    schema_version: u32,
}

#[cfg(test)]
mod tests {
    use super::*;
    use ai_energy_core::client::Limit;

    fn calibration() -> Calibration {
        let limits = ClientLimits {
            made_at: "2026-01-01T00:00:00Z".to_owned(),
            streams: Limit { value: 64.0, reached: true },
            ..ClientLimits::default()
        };
        let bounds =
            Bounds { ttft_error_seconds: 0.01, inter_token_error_seconds: 0.005, own_delay_seconds: 0.01 };
        Calibration::new(Identity::here(&Roots::default()), bounds, limits, Vec::new())
    }

    #[test]
    fn a_calibration_comes_back_as_it_was_written() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a/b/calibration.json");
        let made = calibration();
        made.write(&path).unwrap();
        assert_eq!(read(&path, &made.identity), Ok(made.limits));
    }

    #[test]
    fn one_that_does_not_fit_says_in_what() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("calibration.json");
        let here = calibration().identity;
        assert!(read(&path, &here).unwrap_err().contains("no calibration was made"));
        for (change, says) in [
            (Identity { cores: here.cores + 1, ..here.clone() }, "number of cores"),
            (Identity { version: "0.0.0".to_owned(), ..here.clone() }, "version"),
            (Identity { kernel: Some("other".to_owned()), ..here.clone() }, "kernel"),
            (Identity { cpu_model: Some("other".to_owned()), ..here.clone() }, "processor"),
            (Identity { build: "other".to_owned(), ..here.clone() }, "build"),
        ] {
            Calibration { identity: change, ..calibration() }.write(&path).unwrap();
            let refused = read(&path, &here).unwrap_err();
            assert!(refused.contains(says) && refused.contains("calibrate"), "{refused}");
        }
        std::fs::write(&path, "{\"schema_version\": 99}").unwrap();
        assert!(read(&path, &here).unwrap_err().contains("shape 99"));
        std::fs::write(&path, "{").unwrap();
        assert!(read(&path, &here).unwrap_err().contains("damaged"));
    }

    #[test]
    fn the_file_lies_where_state_belongs() {
        let with = |pairs: &'static [(&str, &str)]| {
            default_path(&|name| {
                pairs.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned())
            })
        };
        let path = |text: &str| Some(PathBuf::from(text));
        assert_eq!(with(&[("HOME", "/h")]), path("/h/.local/state/ai-energy-benchmark/calibration.json"));
        assert_eq!(
            with(&[("HOME", "/h"), ("XDG_STATE_HOME", "/s")]),
            path("/s/ai-energy-benchmark/calibration.json")
        );
        assert_eq!(
            with(&[("HOME", "/h"), ("XDG_STATE_HOME", "relative")]),
            path("/h/.local/state/ai-energy-benchmark/calibration.json"),
            "a relative path is ignored, as the specification of base directories says"
        );
        assert_eq!(with(&[]), None);
    }
}
