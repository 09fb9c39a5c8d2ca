//! Where prompts come from: built in, generated to size, local files, and datasets on the Hugging Face hub.
//!
//! One call, [`open`], picks the kind by the dataset's name. Exists so that everything after it sees prompts and
//! nothing else. Refuses to know how prompts are formatted and sent, and who draws the progress bar of a download.
//!
//! Nothing here guesses silently: rows without a prompt, cells that were no text, and fewer rows than asked for all
//! end up in [`LoadedPrompts::warnings`](ai_energy_core::LoadedPrompts), and no row is ever used twice.

mod builtin;
mod conversation;
mod csv_file;
mod distribution;
mod files;
mod frame;
mod hub;
mod json_file;
mod kinds;
mod nearest;
mod options;
mod parquet_file;
mod rows;
mod sized;
mod synthetic;
mod text_file;
mod trace;

pub use ai_energy_hub::{DEFAULT_REVISION, HubEnv, Retry};
pub use distribution::{Distribution, DistributionError, MAX_TOKENS};
pub use kinds::{KINDS, KindInfo, open, open_with};
pub use options::{DEFAULT_COLUMN, Options, SyntheticOptions, TraceOptions};
pub use sized::{Sized, made_to_size, set_outputs, stand_ins};
pub use trace::is_trace;
