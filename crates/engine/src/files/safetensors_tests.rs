//! Tests of the safetensors reader.
