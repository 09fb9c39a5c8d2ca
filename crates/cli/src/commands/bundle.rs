//! `bundle`: a run's folder as one zip file, for an archive or for others to check.
//!
//! Verifies the folder before, and looks through every file for what looks like a secret. Refuses to pack what does not
//! verify unless it is told to.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};

use ai_energy_core::{Fault, FaultKind};
use ai_energy_reporters::manifest::Manifest;

use super::verify;
use crate::args::{BundleArgs, Globals};
use crate::diagnostics::{note, print_out};
use crate::exit::{CliError, Exit};
use crate::redact;

/// Most places that are named.
const NAMED: usize = 5;

/// Verifies and packs a folder.
///
/// # Errors
/// The folder holds no run, does not verify, holds what looks like a secret, or the archive cannot be written.
pub fn bundle(arguments: &BundleArgs, globals: &Globals) -> Result<Exit, CliError> {
    let folder = &arguments.folder;
    let verified = verify::look(folder)?;
    let mut objections = verified.faults();
    let Some(manifest) = verified.manifest else {
        let cause = format!("is not verified: {}", objections.join("; "));
        return Err(Fault::new(FaultKind::Usage, folder.display().to_string(), cause)
            .remedy("complete it with `summarize --write`, which also writes its manifest")
            .into());
    };
    objections.extend(suspicions(folder, &manifest)?);
    if !objections.is_empty() && !arguments.force {
        for objection in &objections {
            note(&format!("{}: {objection}", folder.display()));
        }
        note("nothing was packed; see to it, or pack it as it is with --force");
        return Ok(Exit::Unverified);
    }
    for objection in &objections {
        note(&format!("note: packed all the same: {objection}"));
    }
    let target = match &arguments.output {
        Some(target) => target.clone(),
        None => beside(folder)?,
    };
    let written = ai_energy_reporters::write_bundle(folder, &manifest, &target)?;
    if !globals.quiet {
        print_out(&format!("{}\n", written.path.display()))?;
    }
    Ok(Exit::Ok)
}

/// The folder's name and `.zip`, beside it.
fn beside(folder: &Path) -> Result<PathBuf, Fault> {
    let whole = folder.canonicalize().map_err(|error| {
        Fault::new(FaultKind::Usage, folder.display().to_string(), format!("cannot be found: {error}"))
            .remedy("name the folder of a run")
    })?;
    let name = whole.file_name().map(|name| name.to_string_lossy().into_owned());
    let name = name.unwrap_or_else(|| "run".to_owned());
    Ok(whole.parent().unwrap_or(Path::new(".")).join(format!("{name}.zip")))
}

/// Where a file of the folder holds what looks like a secret: file and line.
fn suspicions(folder: &Path, manifest: &Manifest) -> Result<Vec<String>, Fault> {
    let mut found = Vec::new();
    for file in &manifest.files {
        let path = folder.join(&file.path);
        // What is missing has been told already.
        let Ok(content) = File::open(&path) else { continue };
        let mut reader = BufReader::new(content);
        let mut line = Vec::new();
        for number in 1_u64.. {
            line.clear();
            let read = reader.read_until(b'\n', &mut line).map_err(|error| {
                Fault::new(FaultKind::Usage, path.display().to_string(), format!("cannot be read: {error}"))
            })?;
            if read == 0 {
                break;
            }
            if let Some(what) = redact::suspicion(&String::from_utf8_lossy(&line)) {
                found.push(format!("secret: {} line {number} looks like {what}", file.path));
                if found.len() >= NAMED {
                    return Ok(found);
                }
            }
        }
    }
    Ok(found)
}
