//! The Python package against the program and the simulator: its own tests, run by the Python that is here.
//!
//! `AI_ENERGY_TEST_PYTHON` names an interpreter, for example one with omegaconf; without Python the tests say that they are
//! skipped. `AI_ENERGY_TEST_INSTALLED` tests the package that this interpreter has installed instead of the sources.

#![cfg(unix)]
#![allow(clippy::unwrap_used, clippy::print_stdout)]

use std::path::Path;
use std::process::Command;

use ai_energy_fake_nvml::{Device, FakeNvml, Script};

/// Runs one file of `python/tests` with a GPU of 100 W at hand.
fn unittest(module: &str) {
    let python = std::env::var("AI_ENERGY_TEST_PYTHON").unwrap_or_else(|_| "python3".to_owned());
    if !recent_enough(&python) {
        println!("skipped: {python} is no Python 3.9 or newer");
        return;
    }
    let script = Script { devices: vec![Device::new(0, 100.0)], ..Script::default() };
    let nvml = FakeNvml::new(&script).unwrap();
    let tests = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../python/tests");
    let done = Command::new(&python)
        .args(["-B", "-m", "unittest", "-v", module])
        .current_dir(tests)
        .env("AI_ENERGY_BENCHMARK", env!("CARGO_BIN_EXE_ai-energy-benchmark"))
        .env("AI_ENERGY_TEST_NVML", nvml.library())
        .env("LC_ALL", "C.UTF-8")
        .env_remove("PYTHONPATH")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&done.stderr).into_owned();
    println!("{said}");
    assert!(done.status.success() && said.contains("\nOK"), "{said}");
    assert!(!said.contains("Ran 0 tests"), "{module} has no tests");
}

fn recent_enough(python: &str) -> bool {
    let question = "import sys; sys.exit(sys.version_info < (3, 9))";
    Command::new(python).args(["-c", question]).status().is_ok_and(|status| status.success())
}

#[test]
fn the_packages_surface_is_the_compatible_one() {
    unittest("test_package");
}

#[test]
fn runs_from_python_are_the_programs_runs() {
    unittest("test_runs");
}

#[test]
fn scripts_of_the_older_packages_users_run_as_they_are() {
    unittest("test_scripts");
}
