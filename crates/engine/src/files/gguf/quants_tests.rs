//! Tests of the GGUF quants.
