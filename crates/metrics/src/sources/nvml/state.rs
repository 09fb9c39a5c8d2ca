//! A GPU's state beside its energy: load, memory, clocks, limits and who works on it, for reports and validity.

use ai_energy_core::energy::GpuState;
use nvml_wrapper::Device;
use nvml_wrapper::bitmasks::device::ThrottleReasons;
use nvml_wrapper::enum_wrappers::device::{Clock, TemperatureSensor};

const MIB: f64 = 1_048_576.0;

/// Calls into the driver that one state takes where no process works on the GPU; a list of processes takes one more.
const CALLS: u64 = 11;

/// The throttle reasons in words that last, whatever a driver calls them.
const WORDS: [(ThrottleReasons, &str); 9] = [
    (ThrottleReasons::GPU_IDLE, "idle"),
    (ThrottleReasons::APPLICATIONS_CLOCKS_SETTING, "application_clocks"),
    (ThrottleReasons::SW_POWER_CAP, "software_power_cap"),
    (ThrottleReasons::HW_SLOWDOWN, "hardware_slowdown"),
    (ThrottleReasons::SYNC_BOOST, "sync_boost"),
    (ThrottleReasons::SW_THERMAL_SLOWDOWN, "software_thermal_slowdown"),
    (ThrottleReasons::HW_THERMAL_SLOWDOWN, "hardware_thermal_slowdown"),
    (ThrottleReasons::HW_POWER_BRAKE_SLOWDOWN, "hardware_power_brake"),
    (ThrottleReasons::DISPLAY_CLOCK_SETTING, "display_clocks"),
];

/// What the device tells of itself now; what it does not tell is absent. Counts its calls.
pub(super) fn state(index: u32, device: &Device<'_>, calls: &mut u64) -> GpuState {
    let memory = device.memory_info().ok();
    let utilization = device.utilization_rates().ok();
    let process_ids = processes(device);
    *calls += CALLS + u64::from(process_ids.as_ref().is_some_and(|ids| !ids.is_empty()));
    GpuState {
        index,
        utilization_percent: utilization.as_ref().map(|rates| f64::from(rates.gpu)),
        memory_used_mib: memory.as_ref().map(|memory| memory.used as f64 / MIB),
        memory_total_mib: memory.as_ref().map(|memory| memory.total as f64 / MIB),
        temperature_c: device.temperature(TemperatureSensor::Gpu).ok().map(f64::from),
        power_draw_w: device.power_usage().ok().map(watts),
        memory_utilization_percent: utilization.map(|rates| f64::from(rates.memory)),
        compute_clock_mhz: device.clock_info(Clock::SM).ok(),
        memory_clock_mhz: device.clock_info(Clock::Memory).ok(),
        throttle_reasons: device.current_throttle_reasons().ok().map(words),
        power_limit_w: device.enforced_power_limit().ok().map(watts),
        performance_state: device.performance_state().ok().map(|state| state.as_c()),
        process_ids,
    }
}

fn watts(milliwatts: u32) -> f64 {
    f64::from(milliwatts) / 1000.0
}

fn words(reasons: ThrottleReasons) -> Vec<String> {
    let meant = WORDS.iter().filter(|(reason, _)| reasons.contains(*reason));
    meant.map(|(_, word)| (*word).to_owned()).collect()
}

/// Processes that compute or draw on the device; `None` where neither list can be read.
fn processes(device: &Device<'_>) -> Option<Vec<u32>> {
    let (compute, graphics) = (device.running_compute_processes(), device.running_graphics_processes());
    if compute.is_err() && graphics.is_err() {
        return None;
    }
    let both = compute.unwrap_or_default().into_iter().chain(graphics.unwrap_or_default());
    let mut ids: Vec<u32> = both.map(|process| process.pid).collect();
    ids.sort_unstable();
    ids.dedup();
    Some(ids)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn throttle_reasons_become_words() {
        assert!(words(ThrottleReasons::empty()).is_empty());
        let both = ThrottleReasons::SW_POWER_CAP | ThrottleReasons::HW_THERMAL_SLOWDOWN;
        assert_eq!(words(both), ["software_power_cap", "hardware_thermal_slowdown"]);
    }
}
