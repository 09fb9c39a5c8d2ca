//! The user's Python: where it is, and what it has installed.
//!
//! Nothing is imported to find out: importing torch takes seconds. Refuses to install anything.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use ai_energy_core::{Fault, FaultKind};
use tokio::process::Command;
use tokio::time::timeout;

use crate::places::{Places, runnable};

/// The environment variable that names the Python with transformers.
pub const PYTHON_ENV: &str = "AI_ENERGY_PYTHON";

/// How long Python may take to say what it has installed; it reads some folders, perhaps from a slow disk.
const PATIENCE: Duration = Duration::from_secs(30);

/// Prints a line `name<tab>version<tab>folder` for each package that is there.
const WHAT_IS_THERE: &str = "
import importlib.metadata as metadata, importlib.util as util
for name in ('torch', 'transformers'):
    try:
        spec = util.find_spec(name)
        if spec and spec.submodule_search_locations:
            print(name, metadata.version(name), list(spec.submodule_search_locations)[0], sep='\\t')
    except Exception:
        pass
";

/// A Python and its packages that matter here.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Python {
    pub(crate) program: PathBuf,
    /// Version and folder of `torch`.
    pub(crate) torch: Option<(String, PathBuf)>,
    /// Version of `transformers`.
    pub(crate) transformers: Option<String>,
}

impl Python {
    /// The line that installs what the transformers engine needs.
    pub(crate) fn get_transformers(&self) -> String {
        format!("`{} -m pip install torch transformers accelerate`", self.program.display())
    }
}

/// Finds Python: `configured` before the environment's, before the active virtual environment's, before `python3` and
/// `python` on the `PATH`.
///
/// # Errors
/// One that was named is not there, or there is none.
pub(crate) fn locate(configured: Option<&Path>, places: &Places) -> Result<PathBuf, Fault> {
    let named = configured
        .map(|path| ("backend.engine_options.python", path))
        .or_else(|| places.python.as_deref().map(|path| (PYTHON_ENV, path)));
    if let Some((by, path)) = named {
        // A bare name is looked up as a shell would.
        let found = if path.components().count() == 1 {
            places.path.iter().map(|folder| folder.join(path)).find(|path| runnable(path))
        } else {
            runnable(path).then(|| path.to_owned())
        };
        return found.ok_or_else(|| {
            let cause = format!("names {}, which is no program that can be run", path.display());
            Fault::new(FaultKind::Usage, by, cause)
                .remedy("name a Python that has transformers, or leave it out")
        });
    }
    let folder = if cfg!(windows) { "Scripts" } else { "bin" };
    let active = places.virtual_env.iter().map(|root| (root.join(folder), "python"));
    let usual = ["python3", "python"]
        .into_iter()
        .flat_map(|name| places.path.iter().map(move |folder| (folder.clone(), name)));
    let program =
        |(folder, name): (PathBuf, &str)| folder.join(format!("{name}{}", std::env::consts::EXE_SUFFIX));
    active.chain(usual).map(program).find(|path| runnable(path)).ok_or_else(|| {
        Fault::new(FaultKind::Backend, "Python", "there is none in the active environment or on the PATH")
            .remedy(format!(
                "name one that has transformers in backend.engine_options.python or {PYTHON_ENV}"
            ))
    })
}

/// Asks a Python what it has installed.
///
/// # Errors
/// It cannot be run, or gives no answer in time.
pub(crate) async fn ask(program: PathBuf) -> Result<Python, Fault> {
    let fault = |cause: String| {
        Fault::new(FaultKind::Backend, format!("Python {}", program.display()), cause)
            .remedy("name one that works in backend.engine_options.python")
    };
    let mut command = Command::new(&program);
    command.args(["-c", WHAT_IS_THERE]).stdin(Stdio::null()).kill_on_drop(true);
    let output = match timeout(PATIENCE, command.output()).await {
        Ok(Ok(output)) => output,
        Ok(Err(error)) => return Err(fault(format!("cannot be started: {error}"))),
        Err(_) => return Err(fault(format!("gave no answer within {} s", PATIENCE.as_secs()))),
    };
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        let last = said.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or("no message").trim();
        return Err(fault(format!("ended with {}: {last}", output.status)));
    }
    let python = Python { program: program.clone(), ..Python::default() };
    Ok(read(python, &String::from_utf8_lossy(&output.stdout)))
}

fn read(mut python: Python, answer: &str) -> Python {
    for line in answer.lines() {
        let mut parts = line.trim_end().splitn(3, '\t');
        if let (Some(name), Some(version), Some(folder)) = (parts.next(), parts.next(), parts.next()) {
            match name {
                "torch" => python.torch = Some((version.to_owned(), PathBuf::from(folder))),
                "transformers" => python.transformers = Some(version.to_owned()),
                _ => {}
            }
        }
    }
    python
}

#[cfg(test)]
#[cfg(unix)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    fn script(folder: &Path, name: &str, text: &str) -> PathBuf {
        fs::create_dir_all(folder).unwrap();
        let path = folder.join(name);
        fs::write(&path, format!("#!/bin/sh\n{text}\n")).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        path
    }

    #[test]
    fn the_nearer_python_wins_and_a_named_one_must_be_there() {
        let root = tempfile::tempdir().unwrap();
        let at = |name: &str| root.path().join(name);
        let named = script(&at("n"), "py", "");
        let active = script(&at("venv/bin"), "python", "");
        let usual = script(&at("p"), "python3", "");
        script(&at("q"), "python", "");
        let mut places = Places {
            python: Some(named.clone()),
            virtual_env: Some(at("venv")),
            path: vec![at("q"), at("p")],
            ..Places::default()
        };
        assert_eq!(locate(Some(&usual), &places), Ok(usual.clone()));
        assert_eq!(locate(Some(Path::new("python3")), &places), Ok(usual.clone()));
        assert_eq!(locate(None, &places), Ok(named));
        places.python = None;
        assert_eq!(locate(None, &places), Ok(active));
        places.virtual_env = None;
        assert_eq!(locate(None, &places), Ok(usual), "python3 before python, wherever they are");
        places.path.clear();
        assert!(locate(None, &places).unwrap_err().remedy.contains(PYTHON_ENV));
        places.python = Some(at("nowhere/python"));
        assert_eq!(locate(None, &places).unwrap_err().object, PYTHON_ENV);
    }

    #[tokio::test]
    async fn what_is_installed_is_told_and_a_broken_python_is_a_fault() {
        let root = tempfile::tempdir().unwrap();
        let good = script(root.path(), "good", "printf 'torch\\t2.11.0+cpu\\t/site/my torch\\nnoise\\n'");
        let python = ask(good.clone()).await.unwrap();
        assert_eq!(python.torch, Some(("2.11.0+cpu".to_owned(), "/site/my torch".into())));
        assert_eq!((python.transformers.clone(), &python.program), (None, &good));
        assert!(python.get_transformers().contains("pip install torch transformers"));
        let bad = script(root.path(), "bad", "echo 'no module named site' >&2; exit 4");
        let fault = ask(bad).await.unwrap_err();
        assert!(fault.cause.contains("exit status: 4") && fault.cause.contains("no module"), "{fault}");
    }
}
