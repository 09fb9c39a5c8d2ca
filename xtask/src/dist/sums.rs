//! `SHA256SUMS` in the form that `sha256sum --check` reads.

use anyhow::{Context, Result};
use sha2::{Digest, Sha256};
use std::fmt::Write;

use super::Dist;

pub(super) const FILE: &str = "SHA256SUMS";

/// Bytes as hexadecimal digits.
pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// Writes the sum of every file in `dist/`.
pub(super) fn make(dist: &Dist) -> Result<()> {
    let mut lines = String::new();
    for file in super::files_below(&dist.out)? {
        let name = file.to_str().context("a file name that is not UTF-8")?;
        let content = std::fs::read(dist.out.join(&file)).with_context(|| format!("cannot read {name}"))?;
        let _ = writeln!(lines, "{}  {name}", hex(&Sha256::digest(&content)));
    }
    std::fs::write(dist.out.join(FILE), lines).context("cannot write SHA256SUMS")
}
