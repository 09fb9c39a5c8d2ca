//! `cargo xtask libtorch`: gets the PyTorch libraries that the engine is built against, and builds the engine.
//!
//! Refuses to know what the engine does.

mod source;
mod table;

use anyhow::{Context, Result, bail};
use std::path::{Path, PathBuf};
use std::process::Command;

use self::source::Choice;
use self::table::VERSION;
use crate::fetch::{self, Wanted};
use crate::{say, shell_with};

/// How the job is called.
const USAGE: &str = "cargo xtask libtorch [--fetch-only] [--debug]";

/// A libtorch to build against and run with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Libtorch {
    /// Folder with `lib` and `include`.
    pub folder: PathBuf,
    /// What it is and why it was taken, for people.
    pub what: String,
    /// It is the very patch release that the pinned `tch` is made for, which torch-sys insists on where it can.
    exact: bool,
}

impl Libtorch {
    /// The variables that make cargo build against it: to set, and to leave out since they would go before these.
    ///
    /// # Errors
    /// Its path is no text, which a variable's list of arguments needs.
    pub fn environment(&self) -> Result<Vec<(&'static str, Option<&str>)>> {
        let Some(folder) = self.folder.to_str() else {
            bail!("the path {} is not UTF-8: use a folder whose path is", self.folder.display());
        };
        let mut variables = vec![("LIBTORCH", Some(folder)), ("LIBTORCH_USE_PYTORCH", None)];
        if !self.exact {
            variables.push(("LIBTORCH_BYPASS_VERSION_CHECK", Some("1")));
        }
        Ok(variables)
    }
}

/// Gets libtorch, then builds the engine against it unless told otherwise.
///
/// # Errors
/// Unknown arguments, no libtorch to be had, or the engine does not build.
pub fn run(root: &Path, arguments: &[String]) -> Result<()> {
    let (mut fetch_only, mut debug) = (false, false);
    for argument in arguments {
        match argument.as_str() {
            "--fetch-only" => fetch_only = true,
            "--debug" => debug = true,
            other => bail!("unknown argument `{other}`: {USAGE}"),
        }
    }
    let libtorch = ensure()?;
    say(&format!("libtorch: {}, in {}", libtorch.what, libtorch.folder.display()));
    if fetch_only {
        say(&format!("to build with cargo alone: export LIBTORCH={}", libtorch.folder.display()));
        return Ok(());
    }
    let profile: &[&str] = if debug { &[] } else { &["--release"] };
    let arguments = [&["build", "--package", "ai-energy-engine", "--features", "torch"], profile].concat();
    shell_with(root, "cargo", &arguments, &libtorch.environment()?)
}

/// The libtorch to use, fetched where there is none.
///
/// # Errors
/// The one that the user names does not fit, or none can be fetched.
pub fn ensure() -> Result<Libtorch> {
    match source::choose(&source::look()?)? {
        Choice::Use { folder, what, exact } => Ok(Libtorch { folder, what, exact }),
        Choice::Fetch { remark } => {
            if !remark.is_empty() {
                say(&remark);
            }
            let what = format!("PyTorch {}, CPU libraries from its wheel", VERSION);
            Ok(Libtorch { folder: fetched()?, what, exact: true })
        }
    }
}

/// The folder `torch` of the fetched libtorch, fetched first where it is not there.
fn fetched() -> Result<PathBuf> {
    let (os, arch) = (std::env::consts::OS, std::env::consts::ARCH);
    let Some(parts) = table::parts(os, arch) else {
        bail!(
            "libtorch is not fetched for {os} on {arch}: install PyTorch {VERSION} (pip install torch=={VERSION}) and set \
             LIBTORCH_USE_PYTORCH=1, or set LIBTORCH to an unpacked libtorch {VERSION}"
        )
    };
    let finish = |root: &Path| {
        if parts.stub {
            make_stub(&root.join("torch/lib/libtorch.so"))?;
        }
        // The wheel lacks this file, by which torch-sys checks the version.
        fetch::write(&root.join("torch/build-version"), VERSION)
    };
    let folder = fetch::folder(&Wanted {
        name: &format!("libtorch-{VERSION}"),
        what: "libtorch",
        wheels: parts.wheels,
        platforms: parts.platforms,
        room: parts.room,
        layout: 1,
        needed: parts.libraries,
        finish: &finish,
    })?;
    Ok(folder.join("torch"))
}

/// A library without contents, for the linker's `-ltorch`.
fn make_stub(path: &Path) -> Result<()> {
    let status = Command::new("cc")
        .args(["-shared", "-fPIC", "-Wl,-soname,libtorch.so", "-x", "c", "/dev/null", "-o"])
        .arg(path)
        .status()
        .context("there is no C compiler `cc`: apt-get install build-essential")?;
    if !status.success() {
        bail!("`cc` could not make {}", path.display());
    }
    Ok(())
}

#[cfg(test)]
#[cfg(target_os = "linux")]
mod tests {
    #[test]
    fn the_stub_is_a_library() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("libtorch.so");
        super::make_stub(&path).unwrap();
        assert!(std::fs::read(&path).unwrap().starts_with(b"\x7fELF"));
    }
}
