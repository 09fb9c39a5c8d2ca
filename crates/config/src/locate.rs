//! Where configurations are: a few folders on disk, then the ones that ship inside the program.
//!
//! Refuses to know what a configuration says.

use std::path::{Path, PathBuf};

use crate::error::ConfigError;
use crate::format::{self, Document, EXTENSIONS};
use crate::origin::Origin;
use crate::schema::nearest_word;

/// Configurations compiled into the program: path such as `backend/vllm.yaml`, and text.
pub type Embedded = &'static [(&'static str, &'static str)];

/// A configuration that can be named.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Available {
    /// As it is named: `pytorch_test`, or `backend/vllm` for the choice `vllm` of the group `backend`.
    pub name: String,
    /// The file; `built-in:NAME` for one that ships inside the program.
    pub path: PathBuf,
}

/// A file that was found, not read yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Found {
    pub(crate) path: PathBuf,
    embedded: Option<&'static str>,
}

impl Found {
    /// Reads and parses it; `at` makes the origin of a line from the path.
    pub(crate) fn load(&self, at: &dyn Fn(PathBuf, usize) -> Origin) -> Result<Document, ConfigError> {
        let at = |line| at(self.path.clone(), line);
        match self.embedded {
            Some(text) => format::parse(&self.path, text, &at),
            None => format::parse(&self.path, &format::read(&self.path)?, &at),
        }
    }
}

/// The places that are searched, in order.
#[derive(Debug, Clone)]
pub(crate) struct Store {
    pub(crate) folders: Vec<PathBuf>,
    pub(crate) embedded: Embedded,
}

impl Store {
    /// A configuration by its name, with or without extension, such as `pytorch_test` or `backend/vllm`.
    pub(crate) fn find(&self, name: &str) -> Option<Found> {
        let has_extension = EXTENSIONS.iter().any(|e| name.ends_with(&format!(".{e}")));
        let names: Vec<String> = if has_extension {
            vec![name.to_owned()]
        } else {
            EXTENSIONS.iter().map(|extension| format!("{name}.{extension}")).collect()
        };
        let on_disk = self.folders.iter().flat_map(|folder| names.iter().map(move |name| folder.join(name)));
        if let Some(path) = on_disk.into_iter().find(|path| path.is_file()) {
            return Some(Found { path, embedded: None });
        }
        let (path, text) = self.embedded.iter().find(|(path, _)| names.iter().any(|name| name == path))?;
        Some(Found { path: PathBuf::from(format!("built-in:{path}")), embedded: Some(text) })
    }

    /// A file that was named by its path.
    pub(crate) fn open(&self, path: &Path) -> Result<Found, ConfigError> {
        if path.exists() {
            return Ok(Found { path: path.to_owned(), embedded: None });
        }
        let fault = ConfigError::new(format!("config file {}: does not exist", path.display()));
        let folder = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let near: Vec<String> =
            on_disk(folder, "").into_iter().map(|a| a.path.display().to_string()).collect();
        let stem = path.file_stem().unwrap_or_default().to_string_lossy();
        let shipped = self.embedded.iter().map(|(p, _)| p.rsplit_once('.').map_or(*p, |(stem, _)| stem));
        // The folder is the same for all and would make every name look near.
        let file_name = |path: &Path| path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let names: Vec<String> = near.iter().map(|path| file_name(Path::new(path))).collect();
        let word = nearest_word(&file_name(path), names.iter().map(String::as_str));
        if let Some(index) = word.and_then(|word| names.iter().position(|name| name == word)) {
            return Err(fault.hint(format!("did you mean {}?", near[index])));
        }
        if let Some(name) = shipped.clone().find(|name| *name == stem) {
            return Err(
                fault.hint(format!("a config of that name ships with the program: `--config-name {name}`"))
            );
        }
        Err(match near.is_empty() {
            false => fault.hint(format!("configs there: {}", near.join(", "))),
            true => fault.hint(format!("no config is in {}", folder.display())),
        })
    }

    /// A configuration by its name, which must exist.
    pub(crate) fn open_name(&self, name: &str) -> Result<Found, ConfigError> {
        if let Some(found) = self.find(name) {
            return Ok(found);
        }
        let folders: Vec<String> = self.folders.iter().map(|f| f.display().to_string()).collect();
        let places =
            if folders.is_empty() { String::new() } else { format!("in {} or ", folders.join(", ")) };
        let fault = ConfigError::new(format!(
            "config `{name}`: not found {places}among those that ship with the program"
        ));
        let names: Vec<String> = self.all().into_iter().map(|a| a.name).collect();
        let stem = EXTENSIONS.iter().find_map(|e| name.strip_suffix(&format!(".{e}"))).unwrap_or(name);
        let mains: Vec<&str> = names.iter().map(String::as_str).filter(|n| !n.contains('/')).collect();
        Err(match nearest_word(stem, names.iter().map(String::as_str)) {
            Some(near) => fault.hint(format!("did you mean `{near}`?")),
            None if mains.is_empty() => fault,
            None => fault.hint(format!("there are {}", mains.join(", "))),
        })
    }

    /// The choices of a group.
    pub(crate) fn choices(&self, group: &str) -> Vec<String> {
        let inside = |a: Available| a.name.strip_prefix(&format!("{group}/")).map(str::to_owned);
        self.all().into_iter().filter_map(inside).collect()
    }

    /// Everything that can be named; what is on disk hides what ships under the same name.
    pub(crate) fn all(&self) -> Vec<Available> {
        let mut found: Vec<Available> = Vec::new();
        let mut add = |item: Available| {
            if !found.iter().any(|old| old.name == item.name) {
                found.push(item);
            }
        };
        for folder in &self.folders {
            on_disk(folder, "").into_iter().for_each(&mut add);
            for group in sorted(folder).into_iter().filter(|path| path.is_dir()) {
                let name = group.file_name().unwrap_or_default().to_string_lossy().into_owned();
                on_disk(&group, &format!("{name}/")).into_iter().for_each(&mut add);
            }
        }
        for (path, _) in self.embedded {
            let name = path.rsplit_once('.').map_or(*path, |(stem, _)| stem).to_owned();
            add(Available { name, path: PathBuf::from(format!("built-in:{path}")) });
        }
        found.sort_by(|a, b| (a.name.contains('/'), &a.name).cmp(&(b.name.contains('/'), &b.name)));
        found
    }
}

/// The configurations in one folder, by name.
fn on_disk(folder: &Path, prefix: &str) -> Vec<Available> {
    let is_config = |path: &PathBuf| {
        let extension = path.extension().map(|e| e.to_string_lossy().into_owned()).unwrap_or_default();
        // `schema.json` describes configurations and is none.
        EXTENSIONS.contains(&extension.as_str()) && path.is_file() && !path.ends_with("schema.json")
    };
    let named = |path: PathBuf| {
        let stem = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        Available { name: format!("{prefix}{stem}"), path }
    };
    sorted(folder).into_iter().filter(is_config).map(named).collect()
}

/// The entries of a folder in a fixed order; none where it cannot be read.
fn sorted(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).into_iter().flatten();
    let mut paths: Vec<PathBuf> = entries.filter_map(|entry| entry.ok().map(|e| e.path())).collect();
    paths.sort();
    paths
}
