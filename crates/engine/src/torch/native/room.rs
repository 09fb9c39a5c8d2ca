//! Memory in large pages for tensors that are read over and over.
//!
//! Refuses to know what is in them.

use std::ffi::{c_char, c_void};

use tch::{Device, Tensor};

use super::{Raw, taken};
use crate::EngineError;

unsafe extern "C" {
    fn ai_energy_room_new() -> *mut c_void;
    fn ai_energy_room_delete(room: *mut c_void);
    fn ai_energy_room_take(room: *mut c_void, like: *const Raw, error: *mut *mut c_char) -> *mut Raw;
}

/// Where tensors of the processor's memory are put side by side. Each keeps the memory it lies in, so they may outlive it.
#[derive(Debug)]
pub(in super::super) struct Room(*mut c_void);

impl Room {
    /// Takes nothing yet.
    pub(in super::super) fn new() -> Self {
        // SAFETY: it takes nothing and gives an object that `drop` hands back once.
        Self(unsafe { ai_energy_room_new() })
    }

    /// Zeros of a tensor's form, format and device; on a device that is not the processor, as libtorch places them.
    ///
    /// # Errors
    /// There is not enough memory.
    pub(in super::super) fn zeros_like(&mut self, like: &Tensor) -> Result<Tensor, EngineError> {
        if like.device() != Device::Cpu {
            return Ok(like.f_zeros_like()?);
        }
        let mut error = std::ptr::null_mut();
        // SAFETY: the room lives, the tensor is valid for the call, and no exception leaves the function.
        let result = unsafe { ai_energy_room_take(self.0, like.as_ptr(), &raw mut error) };
        taken(result, error)
    }

    /// A tensor of the processor's memory moved here; others stay where they are.
    ///
    /// # Errors
    /// There is not enough memory.
    pub(in super::super) fn moved(&mut self, tensor: Tensor) -> Result<Tensor, EngineError> {
        if tensor.device() != Device::Cpu {
            return Ok(tensor);
        }
        let mut here = self.zeros_like(&tensor)?;
        here.f_copy_(&tensor)?;
        Ok(here)
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        // SAFETY: it came from `ai_energy_room_new` and is handed back once; tensors keep their own share of the memory.
        unsafe { ai_energy_room_delete(self.0) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tch::Kind;

    #[test]
    fn tensors_outlive_their_room_and_do_not_overlap() {
        let mut room = Room::new();
        let one = room.moved(Tensor::arange(1000, (Kind::Float, Device::Cpu)).view([10, 100])).unwrap();
        let two = room.moved(Tensor::ones([7], (Kind::BFloat16, Device::Cpu))).unwrap();
        let large = room.zeros_like(&Tensor::empty([20 << 20], (Kind::Float, Device::Cpu))).unwrap();
        drop(room);
        assert_eq!((one.size(), one.double_value(&[9, 99])), (vec![10, 100], 999.0));
        assert_eq!((two.kind(), two.sum(Kind::Float).double_value(&[])), (Kind::BFloat16, 7.0));
        assert_eq!((large.numel(), large.sum(Kind::Float).double_value(&[])), (20 << 20, 0.0));
    }
}
