//! The state of a loaded library: its script, its clock, how often each function was called, and its faults.

use std::collections::HashMap;
use std::io::Write;
use std::path::PathBuf;
use std::sync::{Mutex, OnceLock};
use std::time::Duration;

use crate::locate::SCRIPT_VARIABLE;
use crate::script::{Device, Script, code};

/// A call never hangs longer, whatever the script says: tests must end.
const LONGEST_HANG: f64 = 60.0;

/// A loaded library.
pub(crate) struct Library {
    script: Script,
    origin_ns: u64,
    calls: Mutex<HashMap<(&'static str, Option<u32>), u64>>,
}

static LIBRARY: OnceLock<Option<Library>> = OnceLock::new();

/// The library once `nvmlInit_v2` has been called.
pub(crate) fn loaded() -> Option<&'static Library> {
    LIBRARY.get()?.as_ref()
}

/// Reads the script, once.
pub(crate) fn load() -> Option<&'static Library> {
    LIBRARY.get_or_init(|| {
        let text = std::fs::read_to_string(script_path()?).ok()?;
        let script: Script = serde_json::from_str(&text).ok()?;
        let origin_ns = if script.clock_file.is_some() { 0 } else { monotonic_ns() };
        Some(Library { script, origin_ns, calls: Mutex::default() })
    });
    loaded()
}

/// The file that the environment names, else the one beside the library that this code was loaded from.
fn script_path() -> Option<PathBuf> {
    if let Some(path) = std::env::var_os(SCRIPT_VARIABLE).filter(|path| !path.is_empty()) {
        return Some(path.into());
    }
    let own = script_path as *const () as usize;
    let maps = std::fs::read_to_string("/proc/self/maps").ok()?;
    let library = maps.lines().find_map(|line| {
        let (from, to) = line.split_once(' ')?.0.split_once('-')?;
        let holds =
            usize::from_str_radix(from, 16).ok()? <= own && own < usize::from_str_radix(to, 16).ok()?;
        holds.then(|| line.find('/').map(|path| line[path..].to_owned())).flatten()
    })?;
    Some(format!("{library}.json").into())
}

fn monotonic_ns() -> u64 {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    now.tv_sec as u64 * 1_000_000_000 + now.tv_nsec as u64
}

impl Library {
    pub(crate) fn script(&self) -> &Script {
        &self.script
    }

    pub(crate) fn device(&self, index: u32) -> Result<&Device, u32> {
        self.script.devices.get(index as usize).ok_or(code::INVALID_ARGUMENT)
    }

    /// Seconds since the origin, or what the clock file says.
    pub(crate) fn now(&self) -> f64 {
        let ns = match &self.script.clock_file {
            Some(path) => {
                std::fs::read_to_string(path).ok().and_then(|text| text.trim().parse().ok()).unwrap_or(0)
            }
            None => monotonic_ns(),
        };
        (ns.saturating_sub(self.origin_ns)) as f64 * 1e-9
    }

    /// Counts a call and lets it suffer what the script has for it.
    pub(crate) fn enter(&self, call: &'static str, device: Option<u32>) -> Result<(), u32> {
        self.log(call);
        let before = {
            let mut calls = self.calls.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
            let count = calls.entry((call, device)).or_default();
            *count += 1;
            *count - 1
        };
        let now = self.now();
        let fault = self.script.faults.iter().find(|fault| {
            let named = fault.call == call || (fault.call == "*" && device.is_some());
            let meant = fault.device.is_none() || fault.device == device;
            let then = now >= fault.from_s && fault.until_s.is_none_or(|until| now < until);
            named && meant && then && before >= fault.after_calls
        });
        let Some(fault) = fault else { return Ok(()) };
        if fault.hang_s > 0.0 {
            std::thread::sleep(Duration::from_secs_f64(fault.hang_s.min(LONGEST_HANG)));
        }
        if fault.code == 0 { Ok(()) } else { Err(fault.code) }
    }

    fn log(&self, call: &str) {
        let Some(path) = &self.script.calls_file else { return };
        // A log that cannot be written shows as missing calls in the test that reads it.
        if let Ok(mut file) = std::fs::OpenOptions::new().append(true).create(true).open(path) {
            let _ = writeln!(file, "{call}");
        }
    }
}
