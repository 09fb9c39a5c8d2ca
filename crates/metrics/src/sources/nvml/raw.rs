//! Device handles that are kept between readings, and field values by scope: what the safe layer does not offer.
//!
//! Nothing here allocates: a batch of fields is made once and read in place. Refuses to know what a field means.
#![allow(
    unsafe_code,
    reason = "handles are kept beside their library, and fields are read by the C function"
)]

use nvml_wrapper::error::{NvmlError, nvml_sym, nvml_try};
use nvml_wrapper::{Device, Nvml};
use nvml_wrapper_sys::bindings::{
    nvmlDevice_t, nvmlFieldValue_t, nvmlValue_t, nvmlValueType_enum_NVML_VALUE_TYPE_DOUBLE as DOUBLE,
    nvmlValueType_enum_NVML_VALUE_TYPE_SIGNED_INT as SIGNED_INT,
    nvmlValueType_enum_NVML_VALUE_TYPE_SIGNED_LONG_LONG as SIGNED_LONG_LONG,
    nvmlValueType_enum_NVML_VALUE_TYPE_UNSIGNED_INT as UNSIGNED_INT,
    nvmlValueType_enum_NVML_VALUE_TYPE_UNSIGNED_LONG as UNSIGNED_LONG,
    nvmlValueType_enum_NVML_VALUE_TYPE_UNSIGNED_LONG_LONG as UNSIGNED_LONG_LONG,
    nvmlValueType_enum_NVML_VALUE_TYPE_UNSIGNED_SHORT as UNSIGNED_SHORT, nvmlValueType_t,
};

/// A device of an initialised library, kept so that a reading needs no call to find it again.
pub(super) struct Handle(nvmlDevice_t);

// SAFETY: a handle is an opaque number to us, and NVML may be called from any thread (nvml.h: "thread-safe").
unsafe impl Send for Handle {}

impl Handle {
    /// The handle of a device.
    pub(super) fn of(device: &Device<'_>) -> Self {
        // SAFETY: it is used with the same library alone, through `device` and `read`, whose callers hold both together.
        Self(unsafe { device.handle() })
    }

    /// The device, for calls of the safe layer. `nvml` is the library that the handle came from.
    pub(super) fn device<'nvml>(&self, nvml: &'nvml Nvml) -> Device<'nvml> {
        // SAFETY: the handle came from this library, which stays initialised for as long as `nvml` lives. Should the
        // device vanish, NVML answers with an error code.
        unsafe { Device::new(self.0, nvml) }
    }

    /// Reads a batch of fields in one call.
    pub(super) fn read(&self, nvml: &Nvml, fields: &mut [Field]) -> Result<(), NvmlError> {
        let symbol = nvml_sym(nvml.lib().nvmlDeviceGetFieldValues.as_ref())?;
        let count = i32::try_from(fields.len()).map_err(|_| NvmlError::InvalidArg)?;
        // SAFETY: `Field` is transparent over the C struct, and the function writes to `count` of them at most.
        nvml_try(unsafe { symbol(self.0, count, fields.as_mut_ptr().cast::<nvmlFieldValue_t>()) })
    }
}

/// One field in one scope, and what was last read from it.
#[derive(Clone, Copy)]
#[repr(transparent)]
pub(super) struct Field(nvmlFieldValue_t);

impl Field {
    /// The field `id` in `scope`; not read yet.
    pub(super) fn new(id: u32, scope: u32) -> Self {
        Self(nvmlFieldValue_t {
            fieldId: id,
            scopeId: scope,
            timestamp: 0,
            latencyUsec: 0,
            valueType: UNSIGNED_INT,
            nvmlReturn: 0,
            value: nvmlValue_t { ullVal: 0 },
        })
    }

    /// What was last read, a whole number that is not negative.
    pub(super) fn value(&self) -> Result<u64, NvmlError> {
        nvml_try(self.0.nvmlReturn)?;
        whole(self.0.valueType, self.0.value).ok_or(NvmlError::Unknown)
    }
}

#[allow(clippy::useless_conversion, reason = "an unsigned long has 32 bits on some systems")]
fn whole(kind: nvmlValueType_t, value: nvmlValue_t) -> Option<u64> {
    // SAFETY: every member is a number of any bits, and the library wrote the one that `kind` names.
    unsafe {
        match kind {
            DOUBLE => (value.dVal.is_finite() && value.dVal >= 0.0).then_some(value.dVal as u64),
            UNSIGNED_INT => Some(u64::from(value.uiVal)),
            UNSIGNED_LONG => Some(u64::from(value.ulVal)),
            UNSIGNED_LONG_LONG => Some(value.ullVal),
            UNSIGNED_SHORT => Some(u64::from(value.usVal)),
            SIGNED_INT => u64::try_from(value.siVal).ok(),
            SIGNED_LONG_LONG => u64::try_from(value.sllVal).ok(),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_every_type_are_read_and_those_below_zero_refused() {
        assert_eq!(whole(UNSIGNED_INT, nvmlValue_t { uiVal: 700_000 }), Some(700_000));
        assert_eq!(whole(UNSIGNED_LONG_LONG, nvmlValue_t { ullVal: 1 << 40 }), Some(1 << 40));
        assert_eq!(whole(UNSIGNED_SHORT, nvmlValue_t { usVal: 7 }), Some(7));
        assert_eq!(whole(DOUBLE, nvmlValue_t { dVal: 12.5 }), Some(12));
        assert_eq!(whole(SIGNED_LONG_LONG, nvmlValue_t { sllVal: -1 }), None);
        assert_eq!(whole(SIGNED_INT, nvmlValue_t { siVal: -1 }), None);
        assert_eq!(whole(99, nvmlValue_t { uiVal: 1 }), None);
    }
}
