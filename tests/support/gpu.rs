//! NVIDIA GPUs that a script plays, for the real program: it loads the fake library as it loads NVIDIA's.

#![allow(dead_code, unused_imports, unreachable_pub, missing_docs, clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::process::Command;

use serde_json::Value;

pub use ai_energy_fake_nvml::{Curve, Device, FakeNvml, Fault, Script, State, code};

use super::support::{Bench, Handle, Options, endpoint, quick, serve};

/// A command whose NVML is `fake`.
pub fn command(bench: &Bench, fake: &FakeNvml, arguments: &[&str]) -> Command {
    let mut command = bench.command(arguments);
    command.env("AI_ENERGY_NVML", fake.library());
    command
}

/// GPUs of 100 W, 200 W and so on.
pub fn gpus(count: u32) -> Script {
    let devices = (0..count).map(|index| Device::new(index, 100.0 * f64::from(index + 1))).collect();
    Script { devices, ..Script::default() }
}

/// The same with something that goes wrong.
pub fn faulty(script: Script, fault: Fault) -> Script {
    Script { faults: vec![fault], ..script }
}

/// A server with which ten requests of forty tokens take four seconds.
pub fn steady() -> (Handle, String) {
    let server =
        serve(Options { ttft: "50ms".parse().unwrap(), inter_token: "9ms".parse().unwrap(), ..quick() });
    let address = endpoint(&server);
    (server, address)
}

/// The arguments of such a run that reads GPUs alone.
pub fn arguments(address: &str) -> Vec<&str> {
    vec!["run", "--endpoint", address, "-n", "10", "--max-tokens", "40", "metrics.sources=[nvml]"]
}

/// A check of validity: its verdict and detail.
pub fn check(report: &Value, name: &str) -> (String, String) {
    let checks = report["validity"]["checks"].as_array().unwrap();
    let found = checks.iter().find(|check| check["name"] == name).unwrap();
    let text = |key: &str| found[key].as_str().unwrap().to_owned();
    (text("verdict"), text("detail"))
}

/// The GPU's entry in a list by domain.
pub fn of_gpu(list: &Value) -> &Value {
    list.as_array().unwrap().iter().find(|entry| entry["domain"] == "gpu").unwrap()
}

/// The only row of a CSV file, by column. No field of the columns that tests ask for holds a comma.
pub fn row(bench: &Bench, name: &str) -> BTreeMap<String, String> {
    let text = std::fs::read_to_string(bench.run_folder().join(name)).unwrap();
    let mut reader = text.lines().map(fields);
    let (header, row) = (reader.next().unwrap(), reader.next().unwrap());
    header.into_iter().zip(row).collect()
}

fn fields(line: &str) -> Vec<String> {
    let (mut fields, mut quoted) = (vec![String::new()], false);
    for sign in line.chars() {
        match sign {
            '"' => quoted = !quoted,
            ',' if !quoted => fields.push(String::new()),
            other => fields.last_mut().unwrap().push(other),
        }
    }
    fields
}
