//! Calls that tch does not bind, made safe: what a step on the CPU needs, inference mode, a GPU's memory, and libtorch's CUDA
//! half loaded where it is there.
//!
//! The only module with `unsafe`. Refuses to know models.
#![allow(unsafe_code)]

pub(super) mod decode;
pub(super) mod product;
pub(super) mod room;
pub(super) mod step;
#[cfg(test)]
mod tests;

use std::ffi::{CStr, c_char, c_int, c_void};
use std::marker::PhantomData;

use tch::Tensor;

use super::failure;
use crate::EngineError;

/// `at::Tensor` of C++, behind a pointer.
type Raw = torch_sys::C_tensor;

unsafe extern "C" {
    fn ai_energy_gpu_memory(index: c_int, figures: *mut u64, error: *mut *mut c_char) -> c_int;
    fn ai_energy_torch_version() -> *const c_char;
    fn ai_energy_inference_enter() -> *mut c_void;
    fn ai_energy_inference_leave(guard: *mut c_void);
    fn free(pointer: *mut c_void);
}

/// Takes a result of one of the functions above.
fn taken(result: *mut Raw, error: *mut c_char) -> Result<Tensor, EngineError> {
    if !result.is_null() {
        // SAFETY: the C++ side made it with `new at::Tensor` and keeps no pointer to it; tch deletes it the same way.
        return Ok(unsafe { Tensor::from_ptr(result) });
    }
    Err(told(error))
}

/// The error whose text the C++ side left.
fn told(error: *mut c_char) -> EngineError {
    if error.is_null() {
        return failure::from_message("libtorch gave no result and no reason");
    }
    // SAFETY: the C++ side made it with `strdup`: it ends with a zero, and it is ours to free.
    let message = unsafe { CStr::from_ptr(error) }.to_string_lossy().into_owned();
    // SAFETY: as above; nothing points to it any more.
    unsafe { free(error.cast()) };
    failure::from_message(&message)
}

/// Memory of a CUDA device, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GpuMemory {
    /// Free on the device.
    pub free: u64,
    /// On the device in all.
    pub total: u64,
    /// The most that libtorch's tensors took at once.
    pub peak: u64,
}

/// Memory of a CUDA device.
///
/// # Errors
/// There is no such device.
pub fn gpu_memory(index: usize) -> Result<GpuMemory, EngineError> {
    let mut figures = [0u64; 3];
    let mut error = std::ptr::null_mut();
    let index = c_int::try_from(index).unwrap_or(c_int::MAX);
    // SAFETY: there is room for the three figures, and no exception leaves the function.
    match unsafe { ai_energy_gpu_memory(index, figures.as_mut_ptr(), &raw mut error) } {
        0 => Err(told(error)),
        _ => Ok(GpuMemory { free: figures[0], total: figures[1], peak: figures[2] }),
    }
}

/// The libtorch that this program was built for, for example `2.11.0`.
pub fn version() -> String {
    // SAFETY: it gives a constant text that ends with a zero.
    unsafe { CStr::from_ptr(ai_energy_torch_version()) }.to_string_lossy().into_owned()
}

fn raw(tensor: Option<&Tensor>) -> *const Raw {
    tensor.map_or(std::ptr::null(), Tensor::as_ptr)
}

/// While it lives, this thread computes without anything that training would need.
pub(super) struct Inference {
    guard: *mut c_void,
    // Inference mode belongs to a thread: the pointer keeps the guard from being sent to another.
    _thread: PhantomData<*mut ()>,
}

impl Inference {
    /// From here on.
    pub(super) fn enter() -> Self {
        // SAFETY: it takes nothing and gives an object that `drop` hands back once, on the same thread.
        Self { guard: unsafe { ai_energy_inference_enter() }, _thread: PhantomData }
    }
}

impl Drop for Inference {
    fn drop(&mut self) {
        // SAFETY: it came from `ai_energy_inference_enter` and is handed back once.
        unsafe { ai_energy_inference_leave(self.guard) };
    }
}

/// Loads libtorch's CUDA half into the process where it is there; must come before the first call into libtorch. `false`
/// where there is none, which does no harm.
pub(super) fn load_cuda() -> bool {
    #[cfg(target_os = "linux")]
    {
        use libloading::os::unix::{Library, RTLD_GLOBAL, RTLD_NOW};
        // SAFETY: it is libtorch's own library, made to be loaded next to the libtorch that this program is linked to;
        // its initialisers register CUDA kernels and do nothing else.
        match unsafe { Library::open(Some("libtorch_cuda.so"), RTLD_NOW | RTLD_GLOBAL) } {
            Ok(library) => {
                // Registered kernels point into it: it stays for as long as the process lives.
                std::mem::forget(library);
                true
            }
            Err(_) => false,
        }
    }
    #[cfg(not(target_os = "linux"))]
    false
}
