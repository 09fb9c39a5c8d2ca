//! Tests of the GGUF weights.
