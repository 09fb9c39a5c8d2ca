//! One file a command. Each reads settings, calls the parts, and prints; none measures.

pub mod batch;
pub mod bundle;
pub mod calibrate;
pub mod compare;
pub mod config;
pub mod doctor;
pub mod list;
pub mod measure;
pub mod prompts;
pub mod rank;
pub mod repeat;
pub mod resume;
pub mod run;
pub mod shell;
pub mod simulate;
pub mod simulate_args;
pub mod summarize;
pub mod sweep;
pub mod validate;
pub mod verify;
