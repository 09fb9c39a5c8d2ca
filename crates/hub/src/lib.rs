//! Files of the Hugging Face hub: datasets and models alike, through the cache that Python's tools share.
//!
//! Exists apart from those who read such files, so that prompts and weights come by one way: resumed where a download
//! broke off, checked against size and SHA-256, once for all processes, and from the cache where the hub is out of reach.
//! Refuses to know what is in the files and which of them are wanted; callers choose by name.

mod cache;
mod env;
mod error;
mod fetch;
mod http;
mod info;
mod repo;

pub use env::{DEFAULT_ENDPOINT, HubEnv, Retry};
pub use error::HubError;
pub use info::{RepoInfo, Sibling};
pub use repo::{DEFAULT_REVISION, Hub, Kind, Repo, Snapshot, is_hub_id};
