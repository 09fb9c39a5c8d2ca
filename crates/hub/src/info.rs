//! What the hub tells of a repository: its commit, its files, and its card.

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The parts of the hub's answer that choose files. Also kept in the cache, so that offline use chooses the same.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RepoInfo {
    /// The commit the answer is about.
    pub sha: String,
    /// Every file.
    #[serde(default)]
    pub siblings: Vec<Sibling>,
    /// The card's metadata, as far as there is any.
    #[serde(default, rename = "cardData")]
    pub card: Option<Value>,
}

/// One file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Sibling {
    /// Path in the repository.
    pub rfilename: String,
}

impl RepoInfo {
    /// Paths of all files.
    pub fn files(&self) -> Vec<&str> {
        self.siblings.iter().map(|sibling| sibling.rfilename.as_str()).collect()
    }
}
