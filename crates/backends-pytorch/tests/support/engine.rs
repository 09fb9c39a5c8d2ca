//! The example engine, built where it is not there yet.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// The example engine. `cargo test` and `cargo nextest run` build it with the tests; a run of one test alone does not, so
/// then it is built here, into the same folder.
pub(crate) fn path() -> &'static Path {
    static ENGINE: OnceLock<PathBuf> = OnceLock::new();
    ENGINE.get_or_init(|| {
        let tests = std::env::current_exe().unwrap();
        let profile = tests.ancestors().nth(2).unwrap();
        let engine = profile.join("examples/echo_engine");
        if !engine.exists() {
            let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
            let built = Command::new(cargo)
                .args(["build", "--quiet", "--package", env!("CARGO_PKG_NAME"), "--example", "echo_engine"])
                .arg("--target-dir")
                .arg(profile.parent().unwrap())
                .status()
                .unwrap();
            assert!(built.success() && engine.exists(), "cannot build {}", engine.display());
        }
        engine
    })
}
