//! Where the engine program is: named, beside this program, or on the `PATH`.
//!
//! Refuses to start anything and to read the environment by itself: [`Places`] is made by the caller.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use ai_energy_core::{Fault, FaultKind};

/// The engine program's name.
pub const ENGINE_PROGRAM: &str = "ai-energy-torch";

/// The environment variable that names the engine program.
pub const ENGINE_ENV: &str = "AI_ENERGY_TORCH";

/// Where to look.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Places {
    /// The value of [`ENGINE_ENV`].
    pub named: Option<PathBuf>,
    /// The folder of the running program.
    pub beside: Option<PathBuf>,
    /// The folders of the `PATH`.
    pub path: Vec<PathBuf>,
}

impl Places {
    /// The places that an environment names; `lookup` gives a variable's value.
    pub fn new(lookup: impl Fn(&str) -> Option<OsString>, running: Option<&Path>) -> Self {
        Self {
            named: lookup(ENGINE_ENV).filter(|value| !value.is_empty()).map(PathBuf::from),
            beside: running.and_then(Path::parent).map(Path::to_owned),
            path: lookup("PATH").map(|value| std::env::split_paths(&value).collect()).unwrap_or_default(),
        }
    }

    /// The places of this process.
    pub fn of_this_process() -> Self {
        Self::new(|name| std::env::var_os(name), std::env::current_exe().ok().as_deref())
    }
}

/// Finds the engine program: `configured` before the environment's before the usual places.
///
/// # Errors
/// A program that was named is not there or cannot be run, or none was named and none is found.
pub fn locate(configured: Option<&Path>, places: &Places) -> Result<PathBuf, Fault> {
    let named = configured
        .map(|path| ("backend.engine_options.program", path))
        .or_else(|| places.named.as_deref().map(|path| (ENGINE_ENV, path)));
    if let Some((by, path)) = named {
        // What was named is meant: falling back on another program would measure something else.
        return if runnable(path) {
            Ok(path.to_owned())
        } else {
            let cause = format!("names {}, which is no program that can be run", path.display());
            Err(Fault::new(FaultKind::Usage, by, cause).remedy("name the engine program, or leave it out"))
        };
    }
    let file = format!("{ENGINE_PROGRAM}{}", std::env::consts::EXE_SUFFIX);
    let folders = places.beside.iter().chain(&places.path);
    folders.map(|folder| folder.join(&file)).find(|path| runnable(path)).ok_or_else(|| {
        let object = format!("the PyTorch engine {ENGINE_PROGRAM}");
        Fault::new(FaultKind::Backend, object, "is not installed: it is neither beside this program nor on the PATH")
            .remedy(format!(
                "this release ships without it: serve the model and use backend.type: vllm, or name an engine that \
                 speaks its protocol in {ENGINE_ENV}"
            ))
    })
}

#[cfg(unix)]
fn runnable(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt;
    path.metadata().is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & 0o111 != 0)
}

#[cfg(not(unix))]
fn runnable(path: &Path) -> bool {
    path.is_file()
}

#[cfg(test)]
#[cfg(unix)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    fn program(folder: &Path, name: &str, mode: u32) -> PathBuf {
        fs::create_dir_all(folder).unwrap();
        let path = folder.join(name);
        fs::write(&path, "#!/bin/sh\n").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        path
    }

    #[test]
    fn the_nearer_place_wins_and_what_cannot_run_is_passed_over() {
        let root = tempfile::tempdir().unwrap();
        let at = |name: &str| root.path().join(name);
        let configured = program(&at("c"), "engine", 0o755);
        let named = program(&at("n"), "engine", 0o755);
        let beside = program(&at("b"), ENGINE_PROGRAM, 0o755);
        let on_path = program(&at("p2"), ENGINE_PROGRAM, 0o755);
        program(&at("p1"), ENGINE_PROGRAM, 0o644);
        let mut places =
            Places { named: Some(named.clone()), beside: Some(at("b")), path: vec![at("p1"), at("p2")] };
        assert_eq!(locate(Some(&configured), &places), Ok(configured));
        assert_eq!(locate(None, &places), Ok(named));
        places.named = None;
        assert_eq!(locate(None, &places), Ok(beside));
        places.beside = Some(at("nowhere"));
        assert_eq!(locate(None, &places), Ok(on_path));
    }

    #[test]
    fn a_named_program_that_is_not_there_is_an_error_and_no_reason_to_take_another() {
        let root = tempfile::tempdir().unwrap();
        program(root.path(), ENGINE_PROGRAM, 0o755);
        let places =
            Places { named: Some("/nowhere/x".into()), beside: Some(root.path().into()), path: vec![] };
        let fault = locate(None, &places).unwrap_err();
        assert_eq!(fault.object, ENGINE_ENV);
        assert!(fault.cause.contains("/nowhere/x"), "{fault}");
    }

    #[test]
    fn without_an_engine_the_fault_says_what_works_instead() {
        let fault = locate(None, &Places::default()).unwrap_err();
        assert_eq!(fault.kind, FaultKind::Backend);
        assert!(
            fault.object.contains(ENGINE_PROGRAM) && fault.remedy.contains("backend.type: vllm"),
            "{fault}"
        );
    }

    #[test]
    fn places_come_from_the_environment_that_is_given() {
        let lookup = |name: &str| match name {
            ENGINE_ENV => Some("/e/engine".into()),
            "PATH" => Some("/a:/b".into()),
            _ => None,
        };
        let places = Places::new(lookup, Some(Path::new("/opt/bin/ai-energy-benchmark")));
        let wanted = Places {
            named: Some("/e/engine".into()),
            beside: Some("/opt/bin".into()),
            path: vec!["/a".into(), "/b".into()],
        };
        assert_eq!(places, wanted);
        assert_eq!(Places::new(|_| Some("".into()), None).named, None);
    }
}
