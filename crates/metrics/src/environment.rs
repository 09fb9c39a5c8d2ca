//! The machine in words, for the record: what a reader needs to compare two runs.
//!
//! Keys are a contract with reports: `hostname`, `os`, `os_release`, `kernel`, `architecture`, `cpu_model`, `cpu_count`
//! (hardware threads), `cpu_cores`, `cpu_sockets`, `cpu_governor`, `ram_total_gib`, `virtual_machine`, `container`,
//! `gpu_driver`, `gpu_count`, `gpus` (a list of `index`, `name`, `uuid`, memory, power limits and clocks, those the driver
//! tells). A key whose value cannot be found out is there and `null`, and `unknown` has its reason. Refuses to keep anything
//! secret: no variables of the environment, no paths, no addresses.

mod processor;

use nvml_wrapper::Nvml;
use nvml_wrapper::enum_wrappers::device::Clock;
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
    let cores = processor::cores(roots);
    let mut found = Found::default();
    found.put("hostname", json!(hostname), "the kernel gives no host name");
    found.put("os", json!(std::env::consts::OS), "");
    found.put("os_release", json!(machine::os_release(roots)), "there is no os-release file");
    found.put("kernel", json!(release), "the kernel gives no release");
    found.put("architecture", json!(std::env::consts::ARCH), "");
    found.put("cpu_model", json!(machine::cpu_model(roots)), "the kernel prints no processor name");
    found.put("cpu_count", json!(threads.map(|(threads, _)| threads)), "the kernel's `stat` cannot be read");
    found.put("cpu_cores", json!(cores.map(|(cores, _)| cores)), "the kernel shows no topology");
    found.put("cpu_sockets", json!(cores.map(|(_, sockets)| sockets)), "the kernel shows no topology");
    let governor = processor::governor(roots);
    found.put(
        "cpu_governor",
        json!(governor),
        "the kernel shows no frequency scaling, as in most virtual machines",
    );
    found.put("ram_total_gib", json!(machine::ram_total_gib(roots)), "the kernel's `meminfo` cannot be read");
    let virtual_machine = machine::virtual_machine(roots);
    found.put("virtual_machine", json!(virtual_machine), "the processor does not tell");
    found.put("container", json!(machine::container(roots)), "there is no trace of a container");
    match nvidia(roots) {
        Ok((driver, gpus)) => {
            found.put("gpu_driver", json!(driver), "the driver does not tell its version");
            found.put("gpu_count", json!(gpus.len()), "");
            found.put("gpus", json!(gpus), "");
        }
        Err(reason) => {
            found.put("gpu_driver", Value::Null, &reason);
            found.put("gpu_count", Value::Null, &reason);
            found.put("gpus", json!([]), "");
        }
    }
    found.done()
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

/// What was found, and why the rest was not.
#[derive(Default)]
struct Found {
    known: Map<String, Value>,
    unknown: Map<String, Value>,
}

impl Found {
    fn put(&mut self, key: &str, value: Value, reason: &str) {
        if value.is_null() {
            self.unknown.insert(key.to_owned(), json!(reason));
        }
        self.known.insert(key.to_owned(), value);
    }

    fn done(mut self) -> Map<String, Value> {
        self.known.insert("unknown".to_owned(), Value::Object(self.unknown));
        self.known
    }
}

/// NVIDIA's driver and GPUs.
///
/// # Errors
/// Why nothing is known of them: there is no driver, or it does not answer in time.
fn nvidia(roots: &Roots) -> Result<(Option<String>, Vec<Value>), String> {
    let places = roots.clone();
    let asked = bounded::within(nvml::NAME, roots, bounded::LIMIT, move || {
        nvml::open(&places)
            .map(|nvml| (nvml.sys_driver_version().ok(), gpus(&nvml)))
            .map_err(|error| format!("NVML: {error}"))
    });
    match asked {
        Ok(answer) => answer,
        Err(_) => Err("the NVIDIA driver did not answer in time".to_owned()),
    }
}

fn gpus(nvml: &Nvml) -> Vec<Value> {
    const MIB: f64 = 1_048_576.0;
    let count = nvml.device_count().unwrap_or(0);
    let watts = |milliwatts: u32| f64::from(milliwatts) / 1000.0;
    let describe = |index: u32| {
        let device = nvml.device_by_index(index).ok()?;
        Some(json!({
            "index": index,
            "name": device.name().ok(),
            "uuid": device.uuid().ok(),
            "memory_total_mib": device.memory_info().ok().map(|memory| memory.total as f64 / MIB),
            "power_limit_w": device.enforced_power_limit().ok().map(watts),
            "power_limit_default_w": device.power_management_limit_default().ok().map(watts),
            "compute_clock_mhz": device.clock_info(Clock::SM).ok(),
            "compute_clock_max_mhz": device.max_clock_info(Clock::SM).ok(),
            "memory_clock_mhz": device.clock_info(Clock::Memory).ok(),
            "memory_clock_max_mhz": device.max_clock_info(Clock::Memory).ok(),
        }))
    };
    (0..count).filter_map(describe).collect()
}
