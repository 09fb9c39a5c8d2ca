//! The machine in words, for the record: what a reader needs to compare two runs.
//!
//! Keys are a contract with reports: `hostname`, `os`, `kernel`, `architecture`, `cpu_model`, `cpu_count` (hardware
//! threads), `ram_total_gib`, `virtual_machine`, `container`, `gpu_driver`, `gpu_count`, `gpus` (a list of `index`,
//! `name`, `uuid`). A key whose value cannot be found out is there and `null`. Refuses to keep anything secret:
//! no variables of the environment, no paths, no addresses.

use nvml_wrapper::Nvml;
use serde_json::{Map, Value, json};

use crate::machine;
use crate::options::Roots;
use crate::sources::{bounded, nvml};

/// Describes the machine.
pub fn environment(roots: &Roots) -> Map<String, Value> {
    let kernel = roots.proc.join("sys/kernel");
    let system = rustix::system::uname();
    let hostname = machine::line(&kernel.join("hostname"))
        .or_else(|| system.nodename().to_str().ok().map(str::to_owned));
    let release = release(roots);
    let threads = std::fs::read_to_string(roots.proc.join("stat")).ok().as_deref().and_then(machine::busy);
    let mut map = Map::new();
    map.insert("hostname".into(), json!(hostname));
    map.insert("os".into(), json!(std::env::consts::OS));
    map.insert("kernel".into(), json!(release));
    map.insert("architecture".into(), json!(std::env::consts::ARCH));
    map.insert("cpu_model".into(), json!(machine::cpu_model(roots)));
    map.insert("cpu_count".into(), json!(threads.map(|(threads, _)| threads)));
    map.insert("ram_total_gib".into(), json!(machine::ram_total_gib(roots)));
    map.insert("virtual_machine".into(), json!(machine::virtual_machine(roots)));
    map.insert("container".into(), json!(machine::container(roots)));
    let (driver, gpus) = nvidia(roots).unwrap_or_default();
    map.insert("gpu_driver".into(), json!(driver));
    map.insert("gpu_count".into(), json!(gpus.as_ref().map(Vec::len)));
    map.insert("gpus".into(), json!(gpus.unwrap_or_default()));
    map
}

/// What tells one machine from another where its speed matters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MachineIdentity {
    /// The processor's name; `None` where the kernel prints none.
    pub cpu_model: Option<String>,
    /// The kernel's release.
    pub kernel: Option<String>,
}

/// This machine's identity; asks no driver.
pub fn machine_identity(roots: &Roots) -> MachineIdentity {
    MachineIdentity { cpu_model: machine::cpu_model(roots), kernel: release(roots) }
}

/// The kernel's release.
fn release(roots: &Roots) -> Option<String> {
    let system = rustix::system::uname();
    machine::line(&roots.proc.join("sys/kernel/osrelease"))
        .or_else(|| system.release().to_str().ok().map(str::to_owned))
}

/// NVIDIA's driver and GPUs; `None` where it is not there, or does not answer in time.
fn nvidia(roots: &Roots) -> Option<(Option<String>, Option<Vec<Value>>)> {
    let places = roots.clone();
    let asked = bounded::within(nvml::NAME, roots, bounded::LIMIT, move || {
        let nvml = nvml::open(&places).ok()?;
        Some((nvml.sys_driver_version().ok(), Some(gpus(&nvml))))
    });
    asked.ok().flatten()
}

fn gpus(nvml: &Nvml) -> Vec<Value> {
    let count = nvml.device_count().unwrap_or(0);
    let describe = |index: u32| {
        let device = nvml.device_by_index(index).ok()?;
        Some(json!({ "index": index, "name": device.name().ok(), "uuid": device.uuid().ok() }))
    };
    (0..count).filter_map(describe).collect()
}
