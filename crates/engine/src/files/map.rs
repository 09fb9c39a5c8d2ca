//! A file as memory, without reading it first.
//!
//! The one place of the engine's file readers with unsafe code. Refuses to know what is in the file.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use memmap2::Mmap;

use super::json::unreadable;
use crate::EngineError;

/// A file that stays mapped while anything refers to it.
#[derive(Debug, Clone)]
pub(super) struct MappedFile {
    map: Arc<Mmap>,
    path: Arc<PathBuf>,
}

impl MappedFile {
    /// Maps a file.
    pub(super) fn open(path: &Path) -> Result<Self, EngineError> {
        let wrong = |error| unreadable(path, &error);
        let file = File::open(path).map_err(wrong)?;
        #[allow(unsafe_code)]
        // SAFETY: the map is read-only, and whoever changes a model's file while it is being loaded gets wrong weights or
        // ends this process, which every program that maps model files accepts. Nothing here relies on the bytes being
        // valid: every reader checks bounds and formats.
        let map = unsafe { Mmap::map(&file) }.map_err(wrong)?;
        Ok(Self { map: Arc::new(map), path: Arc::new(path.to_owned()) })
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.map
    }

    /// The file's name for messages.
    pub(super) fn name(&self) -> String {
        self.path.display().to_string()
    }
}
