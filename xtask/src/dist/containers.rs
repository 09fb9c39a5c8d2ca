//! What containers are built from, beside the wheel that they install: a folder that is a whole build context.

use anyhow::Result;

use super::{Dist, wheel};

/// The folder in `dist/`.
pub(super) const FOLDER: &str = "containers";

/// Copies the files and the wheels.
pub(super) fn make(dist: &Dist) -> Result<()> {
    let (from, to) = (dist.root.join("packaging/containers"), dist.out.join(FOLDER));
    for file in super::files_below(&from)? {
        super::copy(&from.join(&file), &to.join(&file))?;
    }
    for wheel in wheel::all(dist)? {
        let name = wheel.file_name().map(ToOwned::to_owned).unwrap_or_default();
        super::copy(&wheel, &to.join("wheels").join(name))?;
    }
    Ok(())
}
