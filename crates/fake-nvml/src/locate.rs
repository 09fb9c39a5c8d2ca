//! Puts the built library and a script where a test can load them.

use std::collections::BTreeMap;
use std::io::{Error, ErrorKind, Result};
use std::path::{Path, PathBuf};
use tempfile::TempDir;

use crate::script::Script;

/// Names the script for a program that a test starts.
pub const SCRIPT_VARIABLE: &str = "AI_ENERGY_FAKE_NVML_SCRIPT";

/// A library with its script in a folder of its own, which goes with this value. Libraries of different folders can
/// be loaded side by side in one process.
#[derive(Debug)]
pub struct FakeNvml {
    folder: TempDir,
}

impl FakeNvml {
    /// Puts the library and `script` into a new folder.
    ///
    /// # Errors
    /// The library was not built, or the folder cannot be written.
    pub fn new(script: &Script) -> Result<Self> {
        let fake = Self { folder: tempfile::tempdir()? };
        // A copy, not a link: the loader takes two names of one file for one library.
        std::fs::copy(built_library()?, fake.library())?;
        let text = serde_json::to_vec_pretty(script)?;
        std::fs::write(fake.script(), text)?;
        Ok(fake)
    }

    /// As [`FakeNvml::new`], with a clock that stands until [`FakeNvml::set_time`], and with calls counted.
    ///
    /// # Errors
    /// As [`FakeNvml::new`].
    pub fn with_clock(script: &Script) -> Result<Self> {
        let fake = Self::new(script)?;
        let clock_file = Some(fake.clock());
        let script = Script { clock_file, calls_file: Some(fake.calls_file()), ..script.clone() };
        std::fs::write(fake.script(), serde_json::to_vec_pretty(&script)?)?;
        fake.set_time(0.0)?;
        Ok(fake)
    }

    /// The library's path.
    pub fn library(&self) -> PathBuf {
        self.folder.path().join("libnvidia-ml.so.1")
    }

    /// The script's path.
    pub fn script(&self) -> PathBuf {
        self.folder.path().join("libnvidia-ml.so.1.json")
    }

    /// Sets the clock, s.
    ///
    /// # Errors
    /// The clock's file cannot be written.
    pub fn set_time(&self, seconds: f64) -> Result<()> {
        std::fs::write(self.clock(), format!("{}", (seconds * 1e9).round() as u64))
    }

    /// How often each function was called so far; empty without [`FakeNvml::with_clock`].
    pub fn calls(&self) -> BTreeMap<String, u64> {
        let mut calls = BTreeMap::new();
        let text = std::fs::read_to_string(self.calls_file()).unwrap_or_default();
        text.lines().for_each(|call| *calls.entry(call.to_owned()).or_default() += 1);
        calls
    }

    fn clock(&self) -> PathBuf {
        self.folder.path().join("clock")
    }

    fn calls_file(&self) -> PathBuf {
        self.folder.path().join("calls")
    }
}

/// The shared library that Cargo built with this crate: it lies beside a test that depends on it, or one folder up or
/// down for a program.
///
/// # Errors
/// It is in none of these places.
pub fn built_library() -> Result<PathBuf> {
    let name = format!("{}ai_energy_fake_nvml{}", std::env::consts::DLL_PREFIX, std::env::consts::DLL_SUFFIX);
    let program = std::env::current_exe()?;
    let beside = program.parent().unwrap_or(Path::new("."));
    let folders = [beside.to_owned(), beside.join("deps"), beside.join("../deps"), beside.join("..")];
    let found = folders.iter().map(|folder| folder.join(&name)).find(|path| path.is_file());
    found.ok_or_else(|| {
        let message = format!(
            "{name} is not beside {}: build it with `cargo build -p ai-energy-fake-nvml`",
            program.display()
        );
        Error::new(ErrorKind::NotFound, message)
    })
}
