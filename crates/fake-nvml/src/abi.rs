//! The C boundary: the functions of `nvml.h`, each answered from the script. The only place here with `unsafe`.
//!
//! Callers keep NVML's contract: pointers are null or point to what the header says, handles come from this library.
#![allow(unsafe_code, reason = "exported C functions write through their caller's pointers")]
#![allow(non_snake_case, reason = "the names are those of nvml.h")]

use nvml_wrapper_sys::bindings::{
    nvmlDevice_t, nvmlFieldValue_t, nvmlMemory_v2_t, nvmlPciInfo_t, nvmlProcessInfo_t, nvmlUtilization_t,
    nvmlValue_t, nvmlValueType_enum_NVML_VALUE_TYPE_UNSIGNED_INT as UNSIGNED_INT,
    nvmlValueType_enum_NVML_VALUE_TYPE_UNSIGNED_LONG_LONG as UNSIGNED_LONG_LONG,
};
use std::ffi::{CStr, c_char, c_int, c_uint, c_ulonglong};

use crate::library::{Library, load, loaded};
use crate::script::{Device, Scope, Sensor, code};

type Code = c_uint;

const OK: Code = 0;
const UNINITIALIZED: Code = 1;

/// A handle's bits: the device's number from 1 on, and above them the MIG instance's.
const INSTANCE_SHIFT: u32 = 16;

fn handle(device: u32, instance: u32) -> nvmlDevice_t {
    std::ptr::without_provenance_mut(((instance << INSTANCE_SHIFT) | (device + 1)) as usize)
}

/// The device's index and its MIG instance from 1 on, 0 for the whole device.
fn parts(handle: nvmlDevice_t) -> (u32, u32) {
    let bits = handle.addr() as u32;
    ((bits & 0xffff).wrapping_sub(1), bits >> INSTANCE_SHIFT)
}

/// Answers a call: counts it, lets it fail as the script says, and does the work.
fn answer(call: &'static str, device: Option<u32>, work: impl FnOnce(&Library) -> Result<(), Code>) -> Code {
    let Some(library) = loaded() else { return UNINITIALIZED };
    match library.enter(call, device).and_then(|()| work(library)) {
        Ok(()) => OK,
        Err(code) => code,
    }
}

/// [`answer`] for a call with a device.
fn of(call: &'static str, device: nvmlDevice_t, work: impl FnOnce(&Device, f64) -> Result<(), Code>) -> Code {
    let index = parts(device).0;
    answer(call, Some(index), |library| work(library.device(index)?, library.now()))
}

/// Hands a value to the caller.
fn put<T>(to: *mut T, value: T) -> Result<(), Code> {
    if to.is_null() {
        return Err(code::INVALID_ARGUMENT);
    }
    // SAFETY: not null, and by NVML's contract it points to room for a `T` that nobody else uses during the call.
    unsafe { to.write(value) };
    Ok(())
}

/// Hands a text to the caller, cut to `length` bytes with its end.
fn put_text(to: *mut c_char, length: c_uint, text: &str) -> Result<(), Code> {
    if to.is_null() || length == 0 {
        return Err(code::INVALID_ARGUMENT);
    }
    let bytes = &text.as_bytes()[..text.len().min(length as usize - 1)];
    // SAFETY: by NVML's contract `to` has room for `length` bytes; one is left for the end.
    unsafe {
        std::ptr::copy_nonoverlapping(bytes.as_ptr().cast::<c_char>(), to, bytes.len());
        to.add(bytes.len()).write(0);
    }
    Ok(())
}

/// A text of the caller.
fn text(from: *const c_char) -> Result<String, Code> {
    if from.is_null() {
        return Err(code::INVALID_ARGUMENT);
    }
    // SAFETY: not null, and by NVML's contract a text with an end.
    Ok(unsafe { CStr::from_ptr(from) }.to_string_lossy().into_owned())
}

#[unsafe(no_mangle)]
extern "C" fn nvmlInit_v2() -> Code {
    match load() {
        Some(library) => library.enter("nvmlInit_v2", None).err().unwrap_or(OK),
        None => code::UNKNOWN,
    }
}

#[unsafe(no_mangle)]
extern "C" fn nvmlShutdown() -> Code {
    answer("nvmlShutdown", None, |_| Ok(()))
}

#[unsafe(no_mangle)]
extern "C" fn nvmlErrorString(code: Code) -> *const c_char {
    if code == OK { c"fine".as_ptr() } else { c"failed".as_ptr() }
}

#[unsafe(no_mangle)]
extern "C" fn nvmlSystemGetDriverVersion(version: *mut c_char, length: c_uint) -> Code {
    answer("nvmlSystemGetDriverVersion", None, |library| {
        put_text(version, length, &library.script().driver_version)
    })
}

#[unsafe(no_mangle)]
extern "C" fn nvmlDeviceGetCount_v2(count: *mut c_uint) -> Code {
    answer("nvmlDeviceGetCount_v2", None, |library| put(count, library.script().devices.len() as c_uint))
}

#[unsafe(no_mangle)]
extern "C" fn nvmlDeviceGetHandleByIndex_v2(index: c_uint, device: *mut nvmlDevice_t) -> Code {
    answer("nvmlDeviceGetHandleByIndex_v2", Some(index), |library| {
        library.device(index)?;
        put(device, handle(index, 0))
    })
}

#[unsafe(no_mangle)]
extern "C" fn nvmlDeviceGetHandleByUUID(uuid: *const c_char, device: *mut nvmlDevice_t) -> Code {
    answer("nvmlDeviceGetHandleByUUID", None, |library| {
        let wanted = text(uuid)?;
        for (index, found) in (0..).zip(&library.script().devices) {
            let instances = found.mig.iter().flatten();
            if found.uuid == wanted {
                return put(device, handle(index, 0));
            }
            if let Some((instance, _)) = (1..).zip(instances).find(|(_, uuid)| **uuid == wanted) {
                return put(device, handle(index, instance));
            }
        }
        Err(code::NOT_FOUND)
    })
}

#[unsafe(no_mangle)]
extern "C" fn nvmlDeviceGetHandleByPciBusId_v2(bus_id: *const c_char, device: *mut nvmlDevice_t) -> Code {
    answer("nvmlDeviceGetHandleByPciBusId_v2", None, |library| {
        let wanted = text(bus_id)?.to_lowercase();
        let devices = &library.script().devices;
        // The domain may be left out or be written with four digits, as NVML takes it.
        let same = |found: &Device| found.pci_bus_id.to_lowercase().ends_with(&wanted);
        let index = devices.iter().position(same).ok_or(code::NOT_FOUND)?;
        put(device, handle(index as u32, 0))
    })
}

#[unsafe(no_mangle)]
extern "C" fn nvmlDeviceGetIndex(device: nvmlDevice_t, index: *mut c_uint) -> Code {
    of("nvmlDeviceGetIndex", device, |_, _| put(index, parts(device).0))
}

#[unsafe(no_mangle)]
extern "C" fn nvmlDeviceGetName(device: nvmlDevice_t, name: *mut c_char, length: c_uint) -> Code {
    of("nvmlDeviceGetName", device, |found, _| put_text(name, length, &found.name))
}

#[unsafe(no_mangle)]
extern "C" fn nvmlDeviceGetUUID(device: nvmlDevice_t, uuid: *mut c_char, length: c_uint) -> Code {
    of("nvmlDeviceGetUUID", device, |found, _| {
        let instance = parts(device).1.checked_sub(1);
        let part = instance.and_then(|instance| found.mig.as_ref()?.get(instance as usize));
        put_text(uuid, length, part.unwrap_or(&found.uuid))
    })
}

#[unsafe(no_mangle)]
extern "C" fn nvmlDeviceGetPciInfo_v3(device: nvmlDevice_t, pci: *mut nvmlPciInfo_t) -> Code {
    of("nvmlDeviceGetPciInfo_v3", device, |found, _| {
        let mut info = nvmlPciInfo_t {
            busIdLegacy: [0; 16],
            domain: 0,
            bus: 0,
            device: 0,
            pciDeviceId: 0,
            pciSubSystemId: 0,
            busId: [0; 32],
        };
        info.busId.iter_mut().zip(found.pci_bus_id.bytes()).for_each(|(to, byte)| *to = byte as c_char);
        put(pci, info)
    })
}

#[unsafe(no_mangle)]
extern "C" fn nvmlDeviceGetCudaComputeCapability(
    device: nvmlDevice_t,
    major: *mut c_int,
    minor: *mut c_int,
) -> Code {
    of("nvmlDeviceGetCudaComputeCapability", device, |found, _| {
        put(major, found.capability.0)?;
        put(minor, found.capability.1)
    })
}

#[unsafe(no_mangle)]
extern "C" fn nvmlDeviceGetMigMode(device: nvmlDevice_t, current: *mut c_uint, pending: *mut c_uint) -> Code {
    of("nvmlDeviceGetMigMode", device, |found, _| {
        let on = c_uint::from(!found.mig.as_ref().ok_or(code::NOT_SUPPORTED)?.is_empty());
        put(current, on)?;
        put(pending, on)
    })
}

#[unsafe(no_mangle)]
extern "C" fn nvmlDeviceGetMaxMigDeviceCount(device: nvmlDevice_t, count: *mut c_uint) -> Code {
    // As on real GPUs, more places than there are instances.
    of("nvmlDeviceGetMaxMigDeviceCount", device, |found, _| {
        put(count, if found.mig.is_some() { 7 } else { 0 })
    })
}

#[unsafe(no_mangle)]
extern "C" fn nvmlDeviceGetMigDeviceHandleByIndex(
    device: nvmlDevice_t,
    index: c_uint,
    part: *mut nvmlDevice_t,
) -> Code {
    of("nvmlDeviceGetMigDeviceHandleByIndex", device, |found, _| {
        let there = found.mig.as_ref().is_some_and(|parts| (index as usize) < parts.len());
        if there { put(part, handle(parts(device).0, index + 1)) } else { Err(code::NOT_FOUND) }
    })
}

#[unsafe(no_mangle)]
extern "C" fn nvmlDeviceGetDeviceHandleFromMigDeviceHandle(
    part: nvmlDevice_t,
    device: *mut nvmlDevice_t,
) -> Code {
    of("nvmlDeviceGetDeviceHandleFromMigDeviceHandle", part, |_, _| match parts(part) {
        (_, 0) => Err(code::INVALID_ARGUMENT),
        (index, _) => put(device, handle(index, 0)),
    })
}

#[unsafe(no_mangle)]
extern "C" fn nvmlDeviceGetTotalEnergyConsumption(device: nvmlDevice_t, energy: *mut c_ulonglong) -> Code {
    of("nvmlDeviceGetTotalEnergyConsumption", device, |found, now| {
        let counter = found.counter.as_ref().ok_or(code::NOT_SUPPORTED)?;
        put(energy, counter.millijoules(&found.power, found.gain, now))
    })
}

#[unsafe(no_mangle)]
extern "C" fn nvmlDeviceGetPowerUsage(device: nvmlDevice_t, power: *mut c_uint) -> Code {
    of("nvmlDeviceGetPowerUsage", device, |found, now| {
        let sensor = found.power_usage.ok_or(code::NOT_SUPPORTED)?;
        put(power, sensor.milliwatts(&found.power, found.gain, now))
    })
}

#[unsafe(no_mangle)]
extern "C" fn nvmlDeviceGetFieldValues(
    device: nvmlDevice_t,
    count: c_int,
    values: *mut nvmlFieldValue_t,
) -> Code {
    of("nvmlDeviceGetFieldValues", device, |found, now| {
        let count = usize::try_from(count).map_err(|_| code::INVALID_ARGUMENT)?;
        if values.is_null() {
            return Err(code::INVALID_ARGUMENT);
        }
        // SAFETY: by NVML's contract `values` points to `count` values that nobody else uses during the call.
        let values = unsafe { std::slice::from_raw_parts_mut(values, count) };
        for value in values {
            let (kind, bits, code) = match field(found, value.fieldId, value.scopeId, now) {
                Some((kind, bits)) => (kind, bits, OK),
                None => (UNSIGNED_INT, 0, code::NOT_SUPPORTED),
            };
            (value.valueType, value.value, value.nvmlReturn) = (kind, nvmlValue_t { ullVal: bits }, code);
        }
        Ok(())
    })
}

/// A field's type and value; `None` where the device has none.
fn field(device: &Device, field: u32, scope: u32, now: f64) -> Option<(Code, u64)> {
    let whole = Scope {
        scope: 0,
        power: device.power.clone(),
        counter: device.counter.clone(),
        average: device.average,
        instant: device.instant,
    };
    let scope = if scope == 0 { &whole } else { device.scopes.iter().find(|found| found.scope == scope)? };
    let power = |sensor: Sensor| (UNSIGNED_INT, u64::from(sensor.milliwatts(&scope.power, device.gain, now)));
    match field {
        83 | 191 => {
            let counter = scope.counter.as_ref()?;
            Some((UNSIGNED_LONG_LONG, counter.millijoules(&scope.power, device.gain, now)))
        }
        185 => scope.average.map(power),
        186 => scope.instant.map(power),
        _ => None,
    }
}

#[unsafe(no_mangle)]
extern "C" fn nvmlDeviceGetUtilizationRates(device: nvmlDevice_t, rates: *mut nvmlUtilization_t) -> Code {
    of("nvmlDeviceGetUtilizationRates", device, |found, now| {
        let state = found.state(now);
        put(rates, nvmlUtilization_t { gpu: state.gpu_percent, memory: state.memory_percent })
    })
}

#[unsafe(no_mangle)]
extern "C" fn nvmlDeviceGetMemoryInfo_v2(device: nvmlDevice_t, memory: *mut nvmlMemory_v2_t) -> Code {
    of("nvmlDeviceGetMemoryInfo_v2", device, |found, now| {
        let state = found.state(now);
        let (total, used) = (state.memory_total, state.memory_used);
        put(memory, nvmlMemory_v2_t { version: 0, total, reserved: 0, free: total - used.min(total), used })
    })
}

#[unsafe(no_mangle)]
extern "C" fn nvmlDeviceGetTemperature(device: nvmlDevice_t, _sensor: c_uint, celsius: *mut c_uint) -> Code {
    of("nvmlDeviceGetTemperature", device, |found, now| put(celsius, found.state(now).temperature_c))
}

#[unsafe(no_mangle)]
extern "C" fn nvmlDeviceGetClockInfo(device: nvmlDevice_t, clock: c_uint, megahertz: *mut c_uint) -> Code {
    of("nvmlDeviceGetClockInfo", device, |found, now| match clock {
        1 => put(megahertz, found.state(now).sm_mhz),
        2 => put(megahertz, found.state(now).memory_mhz),
        _ => Err(code::NOT_SUPPORTED),
    })
}

#[unsafe(no_mangle)]
extern "C" fn nvmlDeviceGetCurrentClocksThrottleReasons(
    device: nvmlDevice_t,
    reasons: *mut c_ulonglong,
) -> Code {
    of("nvmlDeviceGetCurrentClocksThrottleReasons", device, |found, now| {
        put(reasons, found.state(now).throttle)
    })
}

#[unsafe(no_mangle)]
extern "C" fn nvmlDeviceGetEnforcedPowerLimit(device: nvmlDevice_t, milliwatts: *mut c_uint) -> Code {
    of("nvmlDeviceGetEnforcedPowerLimit", device, |found, now| {
        put(milliwatts, found.state(now).power_limit_mw)
    })
}

#[unsafe(no_mangle)]
extern "C" fn nvmlDeviceGetPerformanceState(device: nvmlDevice_t, state: *mut c_uint) -> Code {
    of("nvmlDeviceGetPerformanceState", device, |found, now| put(state, found.state(now).performance_state))
}

#[unsafe(no_mangle)]
extern "C" fn nvmlDeviceGetComputeRunningProcesses_v3(
    device: nvmlDevice_t,
    count: *mut c_uint,
    infos: *mut nvmlProcessInfo_t,
) -> Code {
    of("nvmlDeviceGetComputeRunningProcesses_v3", device, |found, now| {
        let processes = found.state(now).processes;
        if count.is_null() {
            return Err(code::INVALID_ARGUMENT);
        }
        // SAFETY: not null, and by NVML's contract it points to the number of places behind `infos`.
        let room = unsafe { count.read() } as usize;
        put(count, processes.len() as c_uint)?;
        if room < processes.len() {
            return Err(code::INSUFFICIENT_SIZE);
        }
        for (place, pid) in processes.into_iter().enumerate() {
            let info =
                nvmlProcessInfo_t { pid, usedGpuMemory: 1 << 30, gpuInstanceId: 0, computeInstanceId: 0 };
            // SAFETY: `place` is below `room`, the number of places that the caller has behind `infos`.
            put(unsafe { infos.add(place) }, info)?;
        }
        Ok(())
    })
}

#[unsafe(no_mangle)]
extern "C" fn nvmlDeviceGetGraphicsRunningProcesses_v3(
    device: nvmlDevice_t,
    count: *mut c_uint,
    _infos: *mut nvmlProcessInfo_t,
) -> Code {
    of("nvmlDeviceGetGraphicsRunningProcesses_v3", device, |_, _| put(count, 0))
}
