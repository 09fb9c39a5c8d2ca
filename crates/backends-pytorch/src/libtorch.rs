//! Where libtorch is, for an engine whose own path to it is gone.
//!
//! The engine program remembers the libtorch it was built with; a program that was moved, or whose libtorch was, needs
//! the loader's search path. Refuses to start anything.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use crate::places::Places;

/// The release of PyTorch that the engine is built for.
pub(crate) const RELEASE: &str = "2.11";

/// The one command that gets libtorch and builds the engine.
pub(crate) const GET_IT: &str = "cargo xtask libtorch";

/// The environment variable with the loader's search path.
pub(crate) const LOADER_PATH: &str = if cfg!(target_os = "macos") {
    "DYLD_LIBRARY_PATH"
} else if cfg!(windows) {
    "PATH"
} else {
    "LD_LIBRARY_PATH"
};

const LIBRARY: &str = if cfg!(target_os = "macos") {
    "libtorch_cpu.dylib"
} else if cfg!(windows) {
    "torch_cpu.dll"
} else {
    "libtorch_cpu.so"
};

/// Where to look, best first: folders that may hold libtorch's libraries.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct LibtorchPlaces(Vec<PathBuf>);

impl LibtorchPlaces {
    /// `LIBTORCH`, `lib/torch/lib` beside and above `program`, and the cache that `cargo xtask libtorch` fills.
    pub(crate) fn new(places: &Places, program: &Path) -> Self {
        let mut folders: Vec<PathBuf> = places.libtorch.iter().map(|root| root.join("lib")).collect();
        let around = program.ancestors().skip(1).take(2);
        folders.extend(around.map(|folder| folder.join("lib/torch/lib")));
        let cached = format!("ai-energy-benchmarks/libtorch-{RELEASE}.0/torch/lib");
        folders.extend(places.cache.iter().map(|cache| cache.join(&cached)));
        Self(folders)
    }

    /// The same places, and then the folder of an installed Python package `torch`.
    pub(crate) fn and_package(mut self, torch: PathBuf) -> Self {
        self.0.push(torch.join("lib"));
        self
    }

    /// The loader's search path with the first place that has libtorch of the right release, in front of `inherited`.
    pub(crate) fn search_path(&self, inherited: Option<OsString>) -> Option<OsString> {
        let found = self.0.iter().find(|folder| folder.join(LIBRARY).is_file() && fits(folder))?;
        let mut folders = vec![found.clone()];
        folders.extend(companions(found));
        folders.extend(
            inherited.iter().flat_map(std::env::split_paths).filter(|path| !path.as_os_str().is_empty()),
        );
        std::env::join_paths(folders).ok()
    }
}

/// Whether the libtorch that has this `lib` folder is of [`RELEASE`]; one that does not say is taken at its word.
fn fits(lib: &Path) -> bool {
    let Some(root) = lib.parent() else { return true };
    match std::fs::read_to_string(root.join("build-version")) {
        Ok(version) => version.trim().starts_with(&format!("{RELEASE}.")),
        Err(_) => true,
    }
}

/// The libraries that a CUDA build of libtorch needs beside itself: `nvidia/*/lib`, where pip puts them.
fn companions(lib: &Path) -> Vec<PathBuf> {
    let Some(packages) = lib.parent().and_then(Path::parent) else { return Vec::new() };
    let Ok(entries) = std::fs::read_dir(packages.join("nvidia")) else { return Vec::new() };
    let mut folders: Vec<PathBuf> = entries
        .filter_map(|entry| Some(entry.ok()?.path().join("lib")))
        .filter(|folder| folder.is_dir())
        .collect();
    folders.sort();
    folders
}

/// The shared library that a program's last words say is missing, in the words of the loaders of Linux and macOS.
pub(crate) fn missing_library(words: &str) -> Option<&str> {
    let after = |mark: &str| words.split_once(mark).map(|(_, rest)| rest.trim_start());
    if let Some(rest) = after("error while loading shared libraries:") {
        return rest.split([':', ' ']).find(|word| !word.is_empty());
    }
    let rest = after("Library not loaded:")?;
    rest.split_whitespace().next()?.rsplit('/').next()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    fn put(folder: &Path, name: &str, text: &str) {
        fs::create_dir_all(folder).unwrap();
        fs::write(folder.join(name), text).unwrap();
    }

    #[test]
    fn the_first_place_with_the_right_release_wins() {
        let root = tempfile::tempdir().unwrap();
        let at = |path: &str| root.path().join(path);
        let cache = at("cache/ai-energy-benchmarks/libtorch-2.11.0/torch");
        put(&at("old/lib"), LIBRARY, "");
        put(&at("old"), "build-version", "2.6.0\n");
        put(&cache.join("lib"), LIBRARY, "");
        put(&cache, "build-version", "2.11.0+cpu\n");
        put(&cache.parent().unwrap().join("nvidia/cu13/lib"), "x", "");
        let around = Places { libtorch: Some(at("old")), cache: Some(at("cache")), ..Places::default() };
        let places = LibtorchPlaces::new(&around, &at("bin/ai-energy-torch"));
        let path = places.search_path(Some("/usr/lib:/opt".into())).unwrap();
        let folders: Vec<PathBuf> = std::env::split_paths(&path).collect();
        let nvidia = cache.parent().unwrap().join("nvidia/cu13/lib");
        assert_eq!(folders, [cache.join("lib"), nvidia, "/usr/lib".into(), "/opt".into()]);

        // A packaged engine brings its own, which comes before the cache.
        put(&at("lib/torch/lib"), LIBRARY, "");
        let path = places.search_path(None).unwrap();
        assert_eq!(std::env::split_paths(&path).next(), Some(at("lib/torch/lib")));
    }

    #[test]
    fn the_python_package_comes_last_and_nothing_is_nothing() {
        let root = tempfile::tempdir().unwrap();
        assert_eq!(LibtorchPlaces::default().search_path(Some("/usr/lib".into())), None);
        put(&root.path().join("torch/lib"), LIBRARY, "");
        let places = LibtorchPlaces::default().and_package(root.path().join("torch"));
        assert_eq!(places.search_path(None), Some(root.path().join("torch/lib").into_os_string()));
    }

    #[test]
    fn the_loaders_complaints_name_the_library() {
        let linux = "x/ai-energy-torch: error while loading shared libraries: libtorch_cpu.so: cannot open shared \
                     object file: No such file or directory";
        assert_eq!(missing_library(linux), Some("libtorch_cpu.so"));
        let mac = "dyld[12]: Library not loaded: @rpath/libtorch_cpu.dylib | Referenced from: /x";
        assert_eq!(missing_library(mac), Some("libtorch_cpu.dylib"));
        assert_eq!(missing_library("out of luck"), None);
    }
}
