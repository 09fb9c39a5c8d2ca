//! One zip of a run's folder: the files of its manifest and the manifest itself.
//!
//! The same folder gives the same bytes: entries are sorted and carry no time of their own. Refuses to judge the folder:
//! the caller verifies it before.

use std::fs::File;
use std::io::{self, Write};
use std::path::Path;

use ai_energy_core::{Fault, FaultKind, Written};
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, DateTime, ZipWriter};

use crate::files::{io_fault, replace_whole};
use crate::manifest::{self, Manifest, is_within};

/// Packs the folder into `target`, under a folder with the run's id. The archive appears whole or not at all.
///
/// # Errors
/// A file cannot be read, or the archive cannot be written.
pub fn write_bundle(dir: &Path, manifest: &Manifest, target: &Path) -> Result<Written, Fault> {
    let mut names: Vec<&str> = manifest.files.iter().map(|file| file.path.as_str()).collect();
    names.push(manifest::FILE_NAME);
    names.retain(|name| is_within(name));
    names.sort_unstable();
    let top = crate::place::file_name_of(&manifest.run_id);
    replace_whole(target, |file| pack(dir, &top, &names, file))?;
    Ok(Written::at(target))
}

fn pack(dir: &Path, top: &str, names: &[&str], file: &mut File) -> Result<(), Fault> {
    let options = SimpleFileOptions::default()
        .compression_method(CompressionMethod::Deflated)
        .last_modified_time(DateTime::default())
        .unix_permissions(0o644)
        .large_file(true);
    let mut archive = ZipWriter::new(io::BufWriter::new(file));
    let failed = |name: &str, cause: &dyn std::fmt::Display| {
        Fault::new(FaultKind::Output, name, format!("cannot be packed: {cause}"))
            .remedy("choose another place with -o, or free space on that disk")
    };
    for name in names {
        let place = dir.join(name);
        let mut content = File::open(&place).map_err(|error| io_fault(&place, "cannot be read", &error))?;
        archive.start_file(format!("{top}/{name}"), options).map_err(|error| failed(name, &error))?;
        io::copy(&mut content, &mut archive).map_err(|error| failed(name, &error))?;
    }
    let mut writer = archive.finish().map_err(|error| failed("the archive", &error))?;
    writer.flush().map_err(|error| failed("the archive", &error))
}
