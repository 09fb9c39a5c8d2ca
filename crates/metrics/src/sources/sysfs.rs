//! Sources whose values are small files of the kernel: what they share.
//!
//! Knows how a file is read and what a failure means; which files there are is each source's own business.

use std::fs;
use std::io::{Error, ErrorKind};
use std::path::{Path, PathBuf};

use ai_energy_core::energy::{Channel, EnergySource, ReadFault};

use super::amd;

/// Where a channel's value comes from, in microjoules or microwatts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Value {
    /// The file's number times a factor.
    File(PathBuf, u64),
    /// The product of two files: millivolts times milliamperes are microwatts.
    Product(PathBuf, PathBuf),
    /// The file's number, where the kernel's `status` file does not say that the device sleeps: reading would wake it.
    Awake {
        /// Where the number is.
        file: PathBuf,
        /// Where the kernel tells whether the device sleeps.
        status: PathBuf,
    },
}

impl Value {
    /// Reads it now. A negative number, as a current that flows the other way is, reads as 0.
    pub(super) fn read(&self) -> Result<u64, Error> {
        match self {
            Self::File(file, factor) => Ok(number(file)?.saturating_mul(*factor)),
            Self::Product(volts, amperes) => Ok(number(volts)?.saturating_mul(number(amperes)?)),
            Self::Awake { status, .. } if amd::sleeps(status) => {
                Err(Error::new(ErrorKind::ResourceBusy, format!("its GPU {}", amd::SLEEPS)))
            }
            Self::Awake { file, .. } => number(file),
        }
    }

    pub(super) fn path(&self) -> &Path {
        match self {
            Self::File(file, _) | Self::Product(file, _) | Self::Awake { file, .. } => file,
        }
    }
}

/// A whole number in a file; a negative one is 0.
pub(super) fn number(file: &Path) -> Result<u64, Error> {
    let text = fs::read_to_string(file)?;
    let signed: i128 = text
        .trim()
        .parse()
        .map_err(|_| Error::new(ErrorKind::InvalidData, format!("`{}` is no number", text.trim())))?;
    Ok(u64::try_from(signed.max(0)).unwrap_or(u64::MAX))
}

/// The entries of a folder, sorted by name, `hwmon2` before `hwmon10`.
pub(super) fn entries(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(folder) else {
        return Vec::new();
    };
    let mut paths: Vec<PathBuf> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
    paths.sort_by_key(|path| (path.as_os_str().len(), path.clone()));
    paths
}

/// Folders of the hardware monitors whose driver has this name.
pub(super) fn monitors(sys: &Path, driver: &str) -> Vec<PathBuf> {
    let all = entries(&sys.join("class/hwmon"));
    all.into_iter()
        .filter(|folder| {
            // Older kernels keep the attributes in the device's folder.
            [folder.join("name"), folder.join("device/name")]
                .iter()
                .any(|file| crate::machine::line(file).as_deref() == Some(driver))
        })
        .collect()
}

/// The first of these names that is a file of the monitor, in its own folder or its device's.
pub(super) fn attribute(monitor: &Path, names: &[&str]) -> Option<PathBuf> {
    let places = names.iter().flat_map(|name| [monitor.join(name), monitor.join("device").join(name)]);
    places.into_iter().find(|file| file.exists())
}

/// The name of the bus device behind a monitor, for example a PCI address.
pub(super) fn device_name(monitor: &Path) -> Option<String> {
    let device = fs::canonicalize(monitor.join("device")).ok()?;
    Some(device.file_name()?.to_string_lossy().into_owned())
}

/// Reason and remedy for a file that cannot be read, with `remedy` for a missing permission.
pub(super) fn refusal(file: &Path, error: &Error, remedy: &str) -> (String, String) {
    match error.kind() {
        ErrorKind::PermissionDenied => {
            (format!("no permission to read {}", file.display()), remedy.to_owned())
        }
        _ => (format!("{} cannot be read: {error}", file.display()), String::new()),
    }
}

/// What opens a monitor's file to a user who is not root: now, and whenever the kernel shows such a monitor.
pub(super) fn opening(file: &Path) -> String {
    let name = file.file_name().unwrap_or_default().to_string_lossy();
    format!(
        "run as root, or until the next boot `sudo chmod a+r {}`, or for good `echo 'SUBSYSTEM==\"hwmon\", \
         RUN+=\"/bin/chmod -fR a+r /sys%p /sys%p/device/{name}\"' | sudo tee /etc/udev/rules.d/70-hwmon.rules`",
        file.display()
    )
}

/// A source of files.
pub(super) struct Files {
    channels: Vec<Channel>,
    values: Vec<Value>,
}

impl Files {
    /// A source of these channels, each with its value.
    pub(super) fn new(parts: Vec<(Channel, Value)>) -> Self {
        let (channels, values) = parts.into_iter().unzip();
        Self { channels, values }
    }
}

impl EnergySource for Files {
    fn channels(&self) -> &[Channel] {
        &self.channels
    }

    /// Reads what can be read; files that are gone do not keep the others from being read.
    fn read(&mut self, out: &mut dyn FnMut(usize, u64)) -> Result<(), ReadFault> {
        let mut failed = Vec::new();
        for (position, value) in self.values.iter().enumerate() {
            match value.read() {
                Ok(value) => out(position, value),
                Err(error) => failed.push((error.kind(), format!("{}: {error}", value.path().display()))),
            }
        }
        let gone =
            failed.len() == self.values.len() && failed.iter().all(|(kind, _)| *kind == ErrorKind::NotFound);
        match failed.into_iter().next() {
            None => Ok(()),
            Some((_, message)) if gone => Err(ReadFault::Gone(message)),
            Some((_, message)) => Err(ReadFault::Transient(message)),
        }
    }
}
