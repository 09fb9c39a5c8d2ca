//! What the surroundings say about where things are: programs, libraries, GPUs, the hub.
//!
//! Exists so that nothing else here reads the process's environment, and tests need not change it.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use ai_energy_hub::HubEnv;

use crate::gpus::{ORDER_ENV, VISIBLE_ENV};
use crate::libtorch::LOADER_PATH;
use crate::locate::ENGINE_ENV;
use crate::python::PYTHON_ENV;

/// Where to look.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Places {
    /// The engine program that the environment names (`AI_ENERGY_TORCH`).
    pub named: Option<PathBuf>,
    /// The folder of the running program.
    pub beside: Option<PathBuf>,
    /// The folders of the `PATH`.
    pub path: Vec<PathBuf>,
    /// The Python that the environment names (`AI_ENERGY_PYTHON`).
    pub python: Option<PathBuf>,
    /// The active Python environment (`VIRTUAL_ENV`).
    pub virtual_env: Option<PathBuf>,
    /// The libtorch that the environment names (`LIBTORCH`).
    pub libtorch: Option<PathBuf>,
    /// The user's cache folder (`XDG_CACHE_HOME`, else `~/.cache`).
    pub cache: Option<PathBuf>,
    /// The loader's search path for shared libraries.
    pub loader_path: Option<OsString>,
    /// The GPUs that are shown already (`CUDA_VISIBLE_DEVICES`).
    pub visible_gpus: Option<String>,
    /// How CUDA numbers GPUs (`CUDA_DEVICE_ORDER`).
    pub gpu_order: Option<String>,
    /// The hub and its cache; `None` where models must be on this machine.
    pub hub: Option<HubEnv>,
}

impl Places {
    /// The places that an environment names; `lookup` gives a variable's value.
    pub fn new(lookup: impl Fn(&str) -> Option<OsString>, running: Option<&Path>) -> Self {
        let path = |name: &str| lookup(name).filter(|value| !value.is_empty()).map(PathBuf::from);
        let text = |name: &str| lookup(name).and_then(|value| value.into_string().ok());
        Self {
            named: path(ENGINE_ENV),
            beside: running.and_then(Path::parent).map(Path::to_owned),
            path: lookup("PATH").map(|value| std::env::split_paths(&value).collect()).unwrap_or_default(),
            python: path(PYTHON_ENV),
            virtual_env: path("VIRTUAL_ENV"),
            libtorch: path("LIBTORCH"),
            cache: path("XDG_CACHE_HOME").or_else(|| path("HOME").map(|home| home.join(".cache"))),
            loader_path: lookup(LOADER_PATH),
            visible_gpus: text(VISIBLE_ENV),
            gpu_order: text(ORDER_ENV),
            hub: Some(HubEnv::from_lookup(&text)),
        }
    }

    /// The places of this process.
    pub fn of_this_process() -> Self {
        Self::new(|name| std::env::var_os(name), std::env::current_exe().ok().as_deref())
    }
}

/// Whether a file is a program.
#[cfg(unix)]
pub(crate) fn runnable(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt;
    path.metadata().is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & 0o111 != 0)
}

/// Whether a file is a program.
#[cfg(not(unix))]
pub(crate) fn runnable(path: &Path) -> bool {
    path.is_file()
}

#[cfg(test)]
#[cfg(unix)]
mod tests {
    use super::*;

    #[test]
    fn places_come_from_the_environment_that_is_given() {
        let lookup = |name: &str| match name {
            ENGINE_ENV => Some("/e/engine".into()),
            "PATH" => Some("/a:/b".into()),
            "HOME" => Some("/home/me".into()),
            "CUDA_VISIBLE_DEVICES" => Some("1".into()),
            "HF_HUB_OFFLINE" => Some("1".into()),
            _ => None,
        };
        let places = Places::new(lookup, Some(Path::new("/opt/bin/ai-energy-benchmark")));
        assert_eq!(places.named, Some("/e/engine".into()));
        assert_eq!(places.beside, Some("/opt/bin".into()));
        assert_eq!(places.path, [PathBuf::from("/a"), "/b".into()]);
        assert_eq!(places.cache, Some("/home/me/.cache".into()));
        assert_eq!(places.visible_gpus.as_deref(), Some("1"));
        assert!(places.hub.is_some_and(|hub| hub.offline));
        assert_eq!(Places::new(|_| Some("".into()), None).named, None);
    }
}
