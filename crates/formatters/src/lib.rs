//! Reasoning formats: how each family of models wants its prompts written and its thinking switched.
//!
//! Exists so that a family is a few lines of data (`data/reasoning_formats.yaml`, or a user's file) and a kind of
//! format is one small module. Refuses to know backends: a formatter leaves text, messages and parameters behind,
//! and [`ai_energy_core::Target`] alone says what the other side does with them.
//!
//! ```
//! use ai_energy_core::{Prompt, Target};
//!
//! # fn main() -> Result<(), ai_energy_core::Fault> {
//! let registry = ai_energy_formatters::Registry::builtin();
//! let selected = registry.for_model("openai/gpt-oss-120b");
//! let prompt = selected.formatter.format(&Prompt::text(0, "Hi"), None, Target::ChatApi)?;
//! assert_eq!((selected.family.as_str(), prompt.params["reasoning_effort"].as_str()), ("gpt-oss", Some("high")));
//! # Ok(())
//! # }
//! ```

mod kinds;
mod options;
mod pattern;
mod registry;
mod switch;
mod table;

pub use kinds::{Kind, Settings};
pub use options::Options;
pub use registry::{DEFAULT_FAMILY, FamilyInfo, Registry, Selected};

/// The table that is compiled in, as YAML: the example to start a file of one's own from.
pub const BUILTIN_TABLE: &str = include_str!("../data/reasoning_formats.yaml");
