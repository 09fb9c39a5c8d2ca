//! A stand-in for NVIDIA's management library, so that what loads the real one is tested as it ships.
//!
//! Built as a shared library that exports the functions of `nvml.h` that this workspace calls. What it answers stands in
//! a [`Script`]: a JSON file that the variable [`SCRIPT_VARIABLE`] names, or else the one beside the library (its path
//! with `.json` appended). Time is the monotonic clock since the first `nvmlInit_v2`, or what a file says, so that a
//! test can set it. [`FakeNvml`] puts a library and its script into a folder of their own. Refuses to know what is
//! computed from its answers: it shares no code with the sources and the error budget that tests check with it.

mod abi;
mod device;
mod library;
mod locate;
mod script;

pub use locate::{FakeNvml, SCRIPT_VARIABLE, built_library};
pub use script::{Counter, Curve, Device, Fault, Scope, Script, Sensor, State, code};
