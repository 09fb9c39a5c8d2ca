//! The NVML source against a shared library that stands in for NVIDIA's and is loaded as the real one is.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "helpers of tests may fail the test")]

#[path = "../common/mod.rs"]
mod common;

mod choice;
mod reading;
mod runs;
mod support;
