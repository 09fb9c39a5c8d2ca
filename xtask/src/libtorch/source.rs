//! Which libtorch to use: the one the user names, an installed Python's, or one that is fetched.
//!
//! Finding is apart from choosing: [`choose`] is pure. Refuses to fetch anything.

use anyhow::{Context, Result, bail};
use std::path::{Path, PathBuf};
use std::process::Command;

use super::table::VERSION;

/// Prints where the installed torch is, without importing it, which would take seconds.
const WHERE: &str = "\
import importlib.util
spec = importlib.util.find_spec('torch')
if spec and spec.origin: print(spec.origin)
";

/// A libtorch that was found, whether or not it fits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Found {
    /// Folder with `lib` and `include`.
    pub(crate) folder: PathBuf,
    /// Its version, for example `2.11.0+cu130`, or why it is not known.
    pub(crate) version: Result<String, String>,
}

/// Everything there is to choose from.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Offers {
    /// What `LIBTORCH` names.
    pub(crate) named: Option<Found>,
    /// `LIBTORCH_USE_PYTORCH` is set.
    pub(crate) use_pytorch: bool,
    /// The torch of the Python on the `PATH`.
    pub(crate) python: Option<Found>,
}

/// What is used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Choice {
    /// What is there.
    Use {
        /// Its folder.
        folder: PathBuf,
        /// What it is, for people.
        what: String,
        /// It is the very patch release that the pinned crate is made for.
        exact: bool,
    },
    /// The pinned wheels. Says why the Python's torch, if there is one, is not used.
    Fetch {
        /// A remark for people; empty where there is nothing to remark.
        remark: String,
    },
}

/// Chooses. What the user names must fit: taking another one instead would surprise.
///
/// # Errors
/// What the user names does not fit.
pub(crate) fn choose(offers: &Offers) -> Result<Choice> {
    let remedy = format!("use PyTorch {VERSION}, or unset the variable and let it be fetched");
    if let Some(found) = &offers.named {
        return match fits(found) {
            Ok(version) => Ok(used(found, version, "that LIBTORCH names")),
            Err(reason) => bail!("LIBTORCH names {}: {reason}; {remedy}", found.folder.display()),
        };
    }
    let python = offers.python.as_ref().map(|found| (found, fits(found)));
    match python {
        Some((found, Ok(version))) => Ok(used(found, version, "of the installed Python")),
        Some((found, Err(reason))) if offers.use_pytorch => {
            bail!(
                "LIBTORCH_USE_PYTORCH is set, and Python's torch in {}: {reason}; {remedy}",
                found.folder.display()
            )
        }
        None if offers.use_pytorch => {
            bail!(
                "LIBTORCH_USE_PYTORCH is set, and the Python on the PATH has no torch: activate its environment, or {remedy}"
            )
        }
        Some((found, Err(reason))) => Ok(Choice::Fetch {
            remark: format!("the torch in {} is not used: {reason}", found.folder.display()),
        }),
        None => Ok(Choice::Fetch { remark: String::new() }),
    }
}

fn used(found: &Found, version: &str, whose: &str) -> Choice {
    let exact = version.split('+').next() == Some(VERSION);
    Choice::Use { folder: found.folder.clone(), what: format!("PyTorch {version} {whose}"), exact }
}

/// The version where it fits the pinned `tch`, else why not.
fn fits(found: &Found) -> Result<&str, String> {
    let version = found.version.as_ref().map_err(Clone::clone)?;
    let numbers = version.split('+').next().unwrap_or(version);
    let series = |text: &str| text.rsplit_once('.').map(|(series, _)| series.to_owned());
    // Patch releases keep the interface.
    if numbers.split('.').count() == 3 && series(numbers) == series(VERSION) {
        Ok(version)
    } else {
        Err(format!(
            "it is PyTorch {version}, and the engine needs {}.x",
            series(VERSION).unwrap_or_default()
        ))
    }
}

/// Looks at the environment and the Python on the `PATH`.
///
/// # Errors
/// The named folder's path cannot be made absolute.
pub(crate) fn look() -> Result<Offers> {
    let set = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty());
    let named = set("LIBTORCH").map(|path| std::path::absolute(&path)).transpose();
    let named = named.context("LIBTORCH names no path")?.map(|folder| inspect(&folder));
    let use_pytorch = set("LIBTORCH_USE_PYTORCH").is_some_and(|value| value != "0");
    let python = if named.is_some() { None } else { python_torch() };
    Ok(Offers { named, use_pytorch, python })
}

/// The torch that `python3` would import.
fn python_torch() -> Option<Found> {
    let answer = Command::new(crate::wheels::python()).args(["-c", WHERE]).output().ok()?;
    let origin = PathBuf::from(String::from_utf8_lossy(&answer.stdout).trim());
    Some(inspect(origin.parent().filter(|folder| folder.is_dir())?))
}

/// What a folder holds.
pub(crate) fn inspect(folder: &Path) -> Found {
    let read = |name: &str| std::fs::read_to_string(folder.join(name)).ok();
    let library = format!("lib/{}torch_cpu{}", std::env::consts::DLL_PREFIX, std::env::consts::DLL_SUFFIX);
    let version = if !folder.join(&library).is_file() {
        Err(format!("it holds no {library}"))
    } else if !folder.join("include/torch").is_dir() {
        Err("it holds no include/torch, the headers to build against".to_owned())
    } else {
        let stated = read("build-version").map(|text| text.trim().to_owned());
        let stated = stated.or_else(|| read("version.py").as_deref().and_then(version_in));
        stated.ok_or_else(|| "neither build-version nor version.py says which version it is".to_owned())
    };
    Found { folder: folder.to_owned(), version }
}

/// The version that PyTorch's `version.py` states.
fn version_in(text: &str) -> Option<String> {
    let value = text.lines().find_map(|line| line.trim().strip_prefix("__version__"))?;
    let quoted = value.trim_start_matches([' ', '=', ':']);
    Some(quoted.trim().trim_matches(['\'', '"']).to_owned()).filter(|version| !version.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    fn found(version: Result<&str, &str>) -> Found {
        Found { folder: "/t".into(), version: version.map(str::to_owned).map_err(str::to_owned) }
    }

    fn what(offers: &Offers) -> String {
        match choose(offers) {
            Ok(Choice::Use { what, .. }) => what,
            Ok(Choice::Fetch { remark }) => format!("fetch: {remark}"),
            Err(error) => format!("error: {error}"),
        }
    }

    #[test]
    fn what_is_named_goes_first_and_must_fit() {
        let python = Some(found(Ok("2.11.0+cu130")));
        let named =
            |version| Offers { named: Some(found(version)), python: python.clone(), ..Offers::default() };
        assert_eq!(what(&named(Ok("2.11.0"))), "PyTorch 2.11.0 that LIBTORCH names");
        assert_eq!(what(&named(Ok("2.11.1+cpu"))), "PyTorch 2.11.1+cpu that LIBTORCH names");
        for wrong in ["2.10.0", "2.12.0", "2.1.1", "2.11", "12.11.0"] {
            let said = what(&named(Ok(wrong)));
            assert!(
                said.starts_with("error: LIBTORCH names /t: it is PyTorch") && said.contains("2.11.x"),
                "{said}"
            );
        }
        assert!(
            what(&named(Err("it holds nothing"))).starts_with("error: LIBTORCH names /t: it holds nothing")
        );
    }

    #[test]
    fn an_installed_torch_is_used_where_it_fits_and_passed_over_with_a_remark_where_not() {
        let python = |version, use_pytorch| Offers { named: None, use_pytorch, python: Some(found(version)) };
        assert_eq!(what(&python(Ok("2.11.0+cu130"), false)), "PyTorch 2.11.0+cu130 of the installed Python");
        assert_eq!(what(&python(Ok("2.11.0+cu130"), true)), "PyTorch 2.11.0+cu130 of the installed Python");
        assert!(
            what(&python(Ok("2.9.1"), false))
                .starts_with("fetch: the torch in /t is not used: it is PyTorch 2.9.1")
        );
        assert!(what(&python(Ok("2.9.1"), true)).starts_with("error: LIBTORCH_USE_PYTORCH is set"));
        assert_eq!(what(&Offers::default()), "fetch: ");
        let none = Offers { use_pytorch: true, ..Offers::default() };
        assert!(what(&none).contains("has no torch"), "{}", what(&none));
    }

    #[test]
    fn a_folder_is_known_by_what_it_holds() {
        let root = tempfile::tempdir().unwrap();
        let at = |name: &str| root.path().join(name);
        let why = || inspect(root.path()).version;
        assert!(why().unwrap_err().contains("torch_cpu"));
        fs::create_dir_all(at("lib")).unwrap();
        let library = format!("{}torch_cpu{}", std::env::consts::DLL_PREFIX, std::env::consts::DLL_SUFFIX);
        fs::write(at("lib").join(library), "").unwrap();
        assert!(why().unwrap_err().contains("include/torch"));
        fs::create_dir_all(at("include/torch")).unwrap();
        assert!(why().unwrap_err().contains("build-version"));
        fs::write(
            at("version.py"),
            "from typing import Optional\n__version__ = '2.11.0+cu130'\ndebug = False\n",
        )
        .unwrap();
        assert_eq!(why(), Ok("2.11.0+cu130".to_owned()));
        fs::write(at("build-version"), "2.11.0+cpu\n").unwrap();
        assert_eq!(why(), Ok("2.11.0+cpu".to_owned()));
    }
}
