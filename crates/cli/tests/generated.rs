//! Holds generated documents to the program. `cargo xtask docs` runs this with AI_ENERGY_WRITE_DOCS=1, which writes
//! them instead.

#![allow(clippy::unwrap_used)]

use std::path::Path;

use ai_energy_cli::{reference, report_reference};

fn hold(path: &str, expected: &str) {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(path);
    if std::env::var_os("AI_ENERGY_WRITE_DOCS").is_some() {
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(&file, expected).unwrap();
    }
    let found = std::fs::read_to_string(&file).unwrap_or_default();
    assert!(
        found == expected,
        "{path} is not what the program says: run `cargo xtask docs` and commit the change"
    );
}

#[test]
fn the_command_line_reference_is_current() {
    hold("docs/cli.md", &reference::command_line());
}

#[test]
fn the_config_reference_is_current() {
    hold("docs/config.md", &reference::config_keys());
}

#[test]
fn the_report_reference_and_its_schema_are_current() {
    hold("docs/report.md", &report_reference::report_keys());
    hold("docs/schema/benchmark_report.schema.json", &report_reference::schema_file());
}

#[test]
fn the_schema_for_editors_is_current() {
    hold("configs/schema.json", &reference::schema_file());
}
