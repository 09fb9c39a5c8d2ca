//! The ROCm SMI library, loaded when it is looked for: the program starts and runs without it.
//!
//! The one place that calls into it. Knows its functions and their units (header `rocm_smi.h` of ROCm 5 and newer) and
//! refuses to know what the values are for.

#![allow(unsafe_code, reason = "a C library's functions are called here, and nowhere else")]

use std::ffi::{CStr, OsStr, c_char};
use std::fmt;

use libloading::Library;

/// Every function answers with a status; 0 is success.
type Status = u32;

/// What the library calls a thing that this device or driver does not have.
const NOT_SUPPORTED: [Status; 2] = [2, 9];
const PERMISSION: Status = 4;

/// Length of a device's name, its end included.
const NAME_BYTES: usize = 256;

/// Why the library gives no answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum RocmError {
    /// It cannot be loaded.
    Missing,
    /// The device or the driver does not have it.
    NotSupported,
    /// This user may not ask.
    Permission,
    /// Another status.
    Status(Status),
}

impl fmt::Display for RocmError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing => out.write_str("the ROCm SMI library cannot be loaded"),
            Self::NotSupported => out.write_str("this GPU or its driver does not tell it"),
            Self::Permission => out.write_str("no permission to use ROCm SMI"),
            Self::Status(status) => write!(out, "ROCm SMI answered with status {status}"),
        }
    }
}

fn checked(status: Status) -> Result<(), RocmError> {
    match status {
        0 => Ok(()),
        PERMISSION => Err(RocmError::Permission),
        status if NOT_SUPPORTED.contains(&status) => Err(RocmError::NotSupported),
        status => Err(RocmError::Status(status)),
    }
}

type Init = unsafe extern "C" fn(u64) -> Status;
type ShutDown = unsafe extern "C" fn() -> Status;
type Count = unsafe extern "C" fn(*mut u32) -> Status;
type One = unsafe extern "C" fn(u32, *mut u64) -> Status;
type Sensor = unsafe extern "C" fn(u32, u32, *mut u64) -> Status;
type Energy = unsafe extern "C" fn(u32, *mut u64, *mut f32, *mut u64) -> Status;
type Name = unsafe extern "C" fn(u32, *mut c_char, usize) -> Status;

/// The library, initialised.
pub(super) struct Rocm {
    count: Count,
    pci: One,
    name: Name,
    energy: Option<Energy>,
    socket_power: Option<One>,
    average_power: Option<Sensor>,
    shut_down: ShutDown,
    /// Last, so that it outlives its functions.
    _library: Library,
}

/// A function of the library by its name.
fn function<T: Copy>(library: &Library, name: &str) -> Result<T, RocmError> {
    // SAFETY: `T` is the type that rocm_smi.h declares for this name; the pointer is copied out of the symbol and kept
    // beside the library, which is unloaded after it.
    unsafe { library.get::<T>(name.as_bytes()) }.map(|symbol| *symbol).map_err(|_| RocmError::Missing)
}

impl Rocm {
    /// Loads the first of these libraries that is there, and initialises it.
    ///
    /// # Errors
    /// None can be loaded, or it finds no driver.
    pub(super) fn open<'a>(names: impl IntoIterator<Item = &'a OsStr>) -> Result<Self, RocmError> {
        let load = |name: &OsStr| {
            // SAFETY: loading runs the library's initialisers. It is ROCm's, or the one that the user names; both are as
            // trusted as the program itself.
            unsafe { Library::new(name) }.ok()
        };
        let library = names.into_iter().find_map(load).ok_or(RocmError::Missing)?;
        let init: Init = function(&library, "rsmi_init")?;
        let rocm = Self {
            count: function(&library, "rsmi_num_monitor_devices")?,
            pci: function(&library, "rsmi_dev_pci_id_get")?,
            name: function(&library, "rsmi_dev_name_get")?,
            // Older releases lack some of these.
            energy: function(&library, "rsmi_dev_energy_count_get").ok(),
            socket_power: function(&library, "rsmi_dev_current_socket_power_get").ok(),
            average_power: function(&library, "rsmi_dev_power_ave_get").ok(),
            shut_down: function(&library, "rsmi_shut_down")?,
            _library: library,
        };
        // SAFETY: the flags 0 ask for AMD GPUs alone; every `rsmi_init` is matched by one `rsmi_shut_down`, in `drop`.
        checked(unsafe { init(0) })?;
        Ok(rocm)
    }

    /// How many GPUs there are.
    pub(super) fn count(&self) -> Result<u32, RocmError> {
        let mut count = 0;
        // SAFETY: the pointer is to a number of the declared width that lives through the call.
        checked(unsafe { (self.count)(&raw mut count) })?;
        Ok(count)
    }

    /// The PCI address as the kernel writes it, `0000:03:00.0`.
    pub(super) fn pci(&self, gpu: u32) -> Result<String, RocmError> {
        let id = one(self.pci, gpu)?;
        // Domain in the upper half, then bus, device and function.
        let (domain, bus, device, function) = (id >> 32, (id >> 8) & 0xff, (id >> 3) & 0x1f, id & 0x7);
        Ok(format!("{domain:04x}:{bus:02x}:{device:02x}.{function}"))
    }

    /// The product's name.
    pub(super) fn name(&self, gpu: u32) -> Result<String, RocmError> {
        let mut bytes = [0 as c_char; NAME_BYTES];
        // SAFETY: the pointer is to as many bytes as are said, less one that stays 0.
        checked(unsafe { (self.name)(gpu, bytes.as_mut_ptr(), NAME_BYTES - 1) })?;
        // SAFETY: the last byte is 0 whatever the library wrote.
        let name = unsafe { CStr::from_ptr(bytes.as_ptr()) };
        Ok(name.to_string_lossy().into_owned())
    }

    /// Energy since the driver loaded, in microjoules.
    pub(super) fn energy_microjoules(&self, gpu: u32) -> Result<u64, RocmError> {
        let energy = self.energy.ok_or(RocmError::NotSupported)?;
        let (mut steps, mut microjoules_a_step, mut timestamp) = (0_u64, 0_f32, 0_u64);
        // SAFETY: three pointers to values of the declared types that live through the call.
        checked(unsafe { energy(gpu, &raw mut steps, &raw mut microjoules_a_step, &raw mut timestamp) })?;
        Ok((steps as f64 * f64::from(microjoules_a_step)) as u64)
    }

    /// Present power of the socket, in microwatts; newer GPUs.
    pub(super) fn socket_microwatts(&self, gpu: u32) -> Result<u64, RocmError> {
        one(self.socket_power.ok_or(RocmError::NotSupported)?, gpu)
    }

    /// Average power, in microwatts; older GPUs.
    pub(super) fn average_microwatts(&self, gpu: u32) -> Result<u64, RocmError> {
        let average = self.average_power.ok_or(RocmError::NotSupported)?;
        let mut microwatts = 0;
        // SAFETY: sensor 0, and a pointer to a number of the declared width that lives through the call.
        checked(unsafe { average(gpu, 0, &raw mut microwatts) })?;
        Ok(microwatts)
    }
}

fn one(function: One, gpu: u32) -> Result<u64, RocmError> {
    let mut value = 0;
    // SAFETY: the pointer is to a number of the declared width that lives through the call.
    checked(unsafe { function(gpu, &raw mut value) })?;
    Ok(value)
}

impl Drop for Rocm {
    fn drop(&mut self) {
        // SAFETY: matches the `rsmi_init` of `open`. What it answers helps nobody any more.
        let _ = unsafe { (self.shut_down)() };
    }
}
