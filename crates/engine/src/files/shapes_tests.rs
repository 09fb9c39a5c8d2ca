//! Tests of the known shapes.
