//! (being written)
#![allow(dead_code)]
mod error;
mod format;
mod node;
mod origin;
mod scalar;
