//! Devices by name, what there is of them, and the threads of the CPU.
//!
//! Refuses to know models.

use std::sync::OnceLock;

use ai_energy_backends_pytorch::protocol::EngineErrorKind;
use tch::{Cuda, Device};

use super::native;
use crate::EngineError;

/// Loads libtorch's CUDA half, once, where it is there. Every way into this module goes through here, so that it comes
/// before the first call into libtorch.
pub fn prepare() -> bool {
    static LOADED: OnceLock<bool> = OnceLock::new();
    *LOADED.get_or_init(native::load_cuda)
}

/// The name that options and reports use.
pub(super) fn name(device: Device) -> String {
    match device {
        Device::Cpu => "cpu".to_owned(),
        Device::Cuda(index) => format!("cuda:{index}"),
        Device::Mps => "mps".to_owned(),
        Device::Vulkan => "vulkan".to_owned(),
    }
}

/// GPUs that libtorch can use.
pub fn gpus() -> usize {
    prepare();
    usize::try_from(Cuda::device_count()).unwrap_or(0)
}

/// Bytes that are free on a device.
///
/// # Errors
/// The device does not say.
pub(super) fn free_memory(device: Device) -> Result<u64, EngineError> {
    let unknown = |cause: &str| {
        EngineError::new(EngineErrorKind::Internal, format!("memory of {}", name(device)), cause)
    };
    match device {
        Device::Cuda(index) => native::gpu_memory(index).map(|memory| memory.free),
        _ => {
            let text =
                std::fs::read_to_string("/proc/meminfo").map_err(|error| unknown(&error.to_string()))?;
            let line = text.lines().find_map(|line| line.strip_prefix("MemAvailable:"));
            let kib = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
            kib.map(|kib| kib * 1024).ok_or_else(|| unknown("the kernel does not say what is available"))
        }
    }
}

/// The devices that `device` and `device_ids` mean, in order; one but for several `device_ids` with `cuda` or `auto`.
///
/// # Errors
/// A device that is not there.
pub(super) fn chosen(device: &str, device_ids: &[u32]) -> Result<Vec<Device>, EngineError> {
    prepare();
    match device {
        "cpu" => Ok(vec![Device::Cpu]),
        "mps" if tch::utils::has_mps() => Ok(vec![Device::Mps]),
        "mps" => Err(missing("mps", "this libtorch has no Metal support")),
        "auto" if gpus() > 0 => cuda(device_ids),
        "auto" if tch::utils::has_mps() => Ok(vec![Device::Mps]),
        "auto" => Ok(vec![Device::Cpu]),
        "cuda" => cuda(device_ids),
        other => match other.strip_prefix("cuda:").and_then(|index| index.parse().ok()) {
            Some(index) => cuda(&[index]),
            None => Err(missing(other, "there is no such device")),
        },
    }
}

fn cuda(ids: &[u32]) -> Result<Vec<Device>, EngineError> {
    let there = gpus();
    if there == 0 {
        let cause = if prepare() {
            "no NVIDIA GPU can be used, or its driver is too old"
        } else {
            "this libtorch is a CPU build"
        };
        return Err(missing("cuda", cause));
    }
    let ids = if ids.is_empty() { &[0] } else { ids };
    match ids.iter().find(|&&id| id as usize >= there) {
        Some(id) => Err(missing(&format!("cuda:{id}"), &format!("there are {there} GPUs, numbered from 0"))),
        None => Ok(ids.iter().map(|&id| Device::Cuda(id as usize)).collect()),
    }
}

fn missing(device: &str, cause: &str) -> EngineError {
    EngineError::new(EngineErrorKind::Model, format!("device {device}"), cause)
        .remedy("use backend.device=cpu, or backend.device=auto for the best there is")
}

/// Sets and returns the threads that libtorch computes with on the CPU: those asked for, else one a physical core that
/// this process may use.
pub(super) fn set_threads(asked: Option<usize>) -> usize {
    let threads = asked.unwrap_or_else(physical_cores).max(1);
    tch::set_num_threads(i32::try_from(threads).unwrap_or(i32::MAX));
    threads
}

/// Physical cores that this process may use: what the system allows, less the second thread of each core where the
/// kernel says which threads share one.
fn physical_cores() -> usize {
    let allowed = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let siblings = std::fs::read_to_string("/sys/devices/system/cpu/cpu0/topology/thread_siblings_list");
    let per_core = siblings.map_or(1, |list| count_cpus(list.trim()));
    (allowed / per_core).max(1)
}

/// How many CPUs a list of the kernel names, for example `0,64` or `0-1`.
fn count_cpus(list: &str) -> usize {
    let range = |part: &str| match part.split_once('-') {
        Some((first, last)) => Some(last.parse::<usize>().ok()?.checked_sub(first.parse().ok()?)? + 1),
        None => part.parse::<usize>().ok().map(|_| 1),
    };
    list.split(',').map(range).sum::<Option<usize>>().unwrap_or(1).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cpus_that_share_a_core_are_counted() {
        assert_eq!(
            [count_cpus("0"), count_cpus("0,64"), count_cpus("0-1"), count_cpus("0-3,8")],
            [1, 2, 2, 5]
        );
        assert_eq!(count_cpus("junk"), 1);
    }

    #[test]
    fn a_device_that_is_not_there_is_named_with_the_remedy() {
        let error = chosen("cuda:977", &[]).unwrap_err();
        assert!(error.object.contains("cuda"), "{error}");
        assert!(error.remedy.contains("backend.device=cpu"));
        assert_eq!(chosen("cpu", &[0]).unwrap(), [Device::Cpu]);
        assert!(!chosen("auto", &[0]).unwrap().is_empty());
    }
}
