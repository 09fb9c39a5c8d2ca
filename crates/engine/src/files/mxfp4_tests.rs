//! Tests of the packed experts.
