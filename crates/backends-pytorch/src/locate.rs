//! Where the engine program is: named, beside this program, or on the `PATH`.
//!
//! Refuses to start anything.

use std::path::{Path, PathBuf};

use ai_energy_core::{Fault, FaultKind};

use crate::libtorch::GET_IT;
use crate::places::{Places, runnable};

/// The engine program's name.
pub const ENGINE_PROGRAM: &str = "ai-energy-torch";

/// The environment variable that names the engine program.
pub const ENGINE_ENV: &str = "AI_ENERGY_TORCH";

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
        Fault::new(
            FaultKind::Backend,
            object,
            "is not installed: it is neither beside this program nor on the PATH",
        )
        .remedy(format!("`{GET_IT}` gets libtorch and builds it, pip's extra [pytorch] brings it"))
    })
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
        let mut places = Places {
            named: Some(named.clone()),
            beside: Some(at("b")),
            path: vec![at("p1"), at("p2")],
            ..Places::default()
        };
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
        let places = Places {
            named: Some("/nowhere/x".into()),
            beside: Some(root.path().into()),
            ..Places::default()
        };
        let fault = locate(None, &places).unwrap_err();
        assert_eq!(fault.object, ENGINE_ENV);
        assert!(fault.cause.contains("/nowhere/x"), "{fault}");
    }

    #[test]
    fn without_an_engine_the_fault_says_how_to_get_it_in_one_line() {
        let fault = locate(None, &Places::default()).unwrap_err();
        assert_eq!(fault.kind, FaultKind::Backend);
        assert!(fault.object.contains(ENGINE_PROGRAM) && fault.remedy.contains(GET_IT), "{fault}");
        assert!(!fault.remedy.contains('\n'));
    }
}
