//! How an engine process is started: the program, its arguments, its environment.
//!
//! Refuses to talk to it.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use tokio::process::Command;

use crate::engine::{Engine, Trouble};
use crate::gpus::Gpus;
use crate::libtorch::{self, LibtorchPlaces};
use crate::places::Places;
use crate::python;

/// The transformers engine, a Python program of one file.
const WORKER: &str = include_str!("worker/ai_energy_transformers.py");

/// What to start.
#[derive(Debug, Clone)]
pub(crate) struct Launch {
    pub(crate) program: PathBuf,
    arguments: Vec<OsString>,
    environment: Vec<(OsString, OsString)>,
}

impl Launch {
    /// The native engine.
    pub(crate) fn native(program: &Path) -> Self {
        Self { program: program.to_owned(), arguments: Vec::new(), environment: Vec::new() }
    }

    /// The transformers engine in this Python. Its text goes with the command, so that no file is left behind.
    pub(crate) fn transformers(python: &Path) -> Self {
        let arguments = ["-u", "-c", WORKER].map(OsString::from).to_vec();
        Self { program: python.to_owned(), arguments, environment: Vec::new() }
    }

    /// The same start with only these GPUs to be seen.
    pub(crate) fn seeing(mut self, gpus: &Gpus, places: &Places) -> Self {
        let set = gpus.environment(places.gpu_order.as_deref());
        self.environment.extend(set.into_iter().map(|(name, value)| (name.into(), value.into())));
        self
    }

    fn with_libraries(mut self, search_path: OsString) -> Self {
        self.environment.push((libtorch::LOADER_PATH.into(), search_path));
        self
    }

    /// The command, with its three streams as pipes; dropped, it ends the process.
    pub(crate) fn command(&self) -> Command {
        let mut command = Command::new(&self.program);
        command.args(&self.arguments).envs(self.environment.iter().map(|(name, value)| (name, value)));
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
        // A group of its own: Ctrl-C on the terminal is for us, who then end the engine in order.
        #[cfg(unix)]
        command.process_group(0);
        command
    }

    /// Starts the engine. Where the loader misses a shared library, libtorch is looked for where it may be, and the start
    /// is tried once more.
    pub(crate) async fn start(
        self,
        places: &Places,
        python: Option<&Path>,
        wait: std::time::Duration,
    ) -> Result<Engine, Unstarted> {
        let trouble = match Engine::start(&self, wait).await {
            Ok(engine) => return Ok(engine),
            Err(trouble) => trouble,
        };
        let words = trouble.message();
        let Some(library) = libtorch::missing_library(&words).map(str::to_owned) else {
            return Err(Unstarted { trouble, library: None });
        };
        let Some(found) = search_path(&self.program, places, python).await else {
            return Err(Unstarted { trouble, library: Some(library) });
        };
        tracing::debug!(?found, library, "the engine starts with another search path for shared libraries");
        Engine::start(&self.with_libraries(found), wait).await.map_err(|trouble| {
            let library = libtorch::missing_library(&trouble.message()).map(str::to_owned);
            Unstarted { trouble, library }
        })
    }
}

/// Why an engine did not start.
#[derive(Debug)]
pub(crate) struct Unstarted {
    pub(crate) trouble: Trouble,
    /// The shared library that is missing, where that is why.
    pub(crate) library: Option<String>,
}

/// The loader's search path to a libtorch of the right release: in the usual places, else in the user's Python.
async fn search_path(program: &Path, places: &Places, python: Option<&Path>) -> Option<OsString> {
    let folders = LibtorchPlaces::new(places, program);
    if let Some(path) = folders.search_path(places.loader_path.clone()) {
        return Some(path);
    }
    let python = python::ask(python::locate(python, places).ok()?).await.ok()?;
    let (version, folder) = python.torch?;
    let fits = version.starts_with(&format!("{}.", libtorch::RELEASE));
    fits.then(|| folders.and_package(folder).search_path(places.loader_path.clone())).flatten()
}
