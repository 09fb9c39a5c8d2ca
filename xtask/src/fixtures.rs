//! `cargo xtask fixtures`: makes the engine's fixtures anew from transformers and says what differs from those committed.
//!
//! Refuses to know what is in them, but that numbers may differ in their last digits from machine to machine.

use anyhow::{Context, Result, bail};
use serde_json::Value;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::{say, shell_with};

/// How the job is called.
const USAGE: &str = "cargo xtask fixtures [--accept] [NAME...]";

/// Where they are, and what makes them.
const FOLDER: &str = "crates/engine/fixtures";
const SCRIPT: &str = "make.py";
/// Folders that the script writes.
const MADE: [&str; 2] = ["models", "text"];

/// Makes them in a temporary folder, compares, and with `--accept` puts them in their place.
///
/// # Errors
/// There is no Python with transformers, the script fails, or something differs and is not accepted.
pub fn run(root: &Path, arguments: &[String]) -> Result<()> {
    let accept = arguments.iter().any(|argument| argument == "--accept");
    let names: Vec<&str> = arguments.iter().map(String::as_str).filter(|name| *name != "--accept").collect();
    if let Some(flag) = names.iter().find(|name| name.starts_with('-')) {
        bail!("unknown argument `{flag}`: {USAGE}");
    }
    let python = python()?;
    let committed = root.join(FOLDER);
    let fresh = crate::target(root).join("fixtures");
    if fresh.exists() {
        std::fs::remove_dir_all(&fresh).with_context(|| format!("cannot clear {}", fresh.display()))?;
    }
    let script = committed.join(SCRIPT);
    let (script, into) = (script.to_string_lossy(), fresh.to_string_lossy());
    let call = [&[&*script, "--into", &*into], names.as_slice()].concat();
    shell_with(root, &python.to_string_lossy(), &call, &[])?;
    let differences = compare(&committed, &fresh, names.is_empty())?;
    differences.iter().for_each(|line| say(line));
    if differences.is_empty() {
        say("fixtures: the same bytes as those committed");
    } else if accept {
        copy(&fresh, &committed)?;
        say("fixtures: replaced; look at the difference before committing it");
    } else {
        bail!("fixtures: {} files differ; {USAGE} puts the new ones in place", differences.len());
    }
    Ok(())
}

/// `AI_ENERGY_PYTHON`, else the Python on the `PATH`, where it has transformers.
fn python() -> Result<PathBuf> {
    let named = std::env::var_os("AI_ENERGY_PYTHON").filter(|value| !value.is_empty());
    let python = named.map_or_else(|| PathBuf::from(crate::wheels::python()), PathBuf::from);
    let probe = "import importlib.util as u, sys; sys.exit(not (u.find_spec('transformers') and u.find_spec('torch')))";
    let has = Command::new(&python).args(["-c", probe]).output();
    if has.is_ok_and(|output| output.status.success()) {
        return Ok(python);
    }
    bail!(
        "{} has no transformers and torch: pip install transformers torch, or name a Python that has them in \
         AI_ENERGY_PYTHON",
        python.display()
    )
}

/// What differs, a line a file. Files that are committed and were not made count only where everything was made.
fn compare(committed: &Path, fresh: &Path, whole: bool) -> Result<Vec<String>> {
    let (mut old, mut new) = (BTreeSet::new(), BTreeSet::new());
    for folder in MADE {
        files(committed, &committed.join(folder), &mut old)?;
        files(fresh, &fresh.join(folder), &mut new)?;
    }
    let mut lines = Vec::new();
    for file in old.union(&new) {
        let verdict = match (old.contains(file), new.contains(file)) {
            (true, true) => difference(&committed.join(file), &fresh.join(file))?,
            (true, false) => whole.then(|| "is made no more".to_owned()),
            _ => Some("is new".to_owned()),
        };
        lines.extend(verdict.map(|verdict| format!("{}: {verdict}", file.display())));
    }
    Ok(lines)
}

fn difference(old: &Path, new: &Path) -> Result<Option<String>> {
    let (old_bytes, new_bytes) = (std::fs::read(old)?, std::fs::read(new)?);
    if old_bytes == new_bytes {
        return Ok(None);
    }
    let parsed = (serde_json::from_slice(&old_bytes), serde_json::from_slice(&new_bytes));
    let (Ok(old_value), Ok(new_value)) = parsed else {
        return Ok(Some(format!("differs ({} bytes, were {})", new_bytes.len(), old_bytes.len())));
    };
    Ok(Some(match furthest(&old_value, &new_value) {
        Some(by) => format!("differs in fractional numbers alone, by {by:.1e} at most"),
        None => "differs in more than the digits of its fractional numbers".to_owned(),
    }))
}

/// The largest difference of fractional numbers where two values are alike in all else.
fn furthest(old: &Value, new: &Value) -> Option<f64> {
    match (old, new) {
        (Value::Number(a), Value::Number(b)) if a.is_f64() && b.is_f64() => {
            Some((a.as_f64()? - b.as_f64()?).abs())
        }
        (Value::Array(a), Value::Array(b)) if a.len() == b.len() => {
            a.iter().zip(b).try_fold(0.0, |most: f64, (a, b)| Some(most.max(furthest(a, b)?)))
        }
        (Value::Object(a), Value::Object(b)) if a.len() == b.len() => {
            a.iter().try_fold(0.0, |most: f64, (key, a)| Some(most.max(furthest(a, b.get(key)?)?)))
        }
        _ => (old == new).then_some(0.0),
    }
}

/// The files below a folder, as paths from `root`; none where there is no folder.
fn files(root: &Path, folder: &Path, found: &mut BTreeSet<PathBuf>) -> Result<()> {
    if !folder.is_dir() {
        return Ok(());
    }
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            files(root, &path, found)?;
        } else if let Ok(relative) = path.strip_prefix(root) {
            found.insert(relative.to_owned());
        }
    }
    Ok(())
}

fn copy(from: &Path, to: &Path) -> Result<()> {
    let mut made = BTreeSet::new();
    files(from, from, &mut made)?;
    for file in made {
        let target = to.join(&file);
        if let Some(folder) = target.parent() {
            std::fs::create_dir_all(folder)?;
        }
        std::fs::copy(from.join(&file), &target)
            .with_context(|| format!("cannot write {}", target.display()))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    fn put(root: &Path, file: &str, text: &str) {
        let path = root.join(file);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    #[test]
    fn every_kind_of_difference_is_told_and_what_is_equal_is_not() {
        let (old, new) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        for (file, before, after) in [
            ("models/a/same.json", "{\"x\": 1.5}", "{\"x\": 1.5}"),
            ("models/a/digits.json", "{\"x\": [1.5, 2], \"n\": null}", "{\"x\": [1.25, 2], \"n\": null}"),
            ("models/a/ids.json", "{\"ids\": [1, 2]}", "{\"ids\": [1, 3]}"),
            ("text/t.bin", "abc", "abcd"),
        ] {
            put(old.path(), file, before);
            put(new.path(), file, after);
        }
        put(old.path(), "models/b/gone.json", "1");
        put(new.path(), "models/c/new.json", "1");
        put(old.path(), "make.py", "not made by itself");
        let said = compare(old.path(), new.path(), true).unwrap();
        assert_eq!(
            said,
            [
                "models/a/digits.json: differs in fractional numbers alone, by 2.5e-1 at most",
                "models/a/ids.json: differs in more than the digits of its fractional numbers",
                "models/b/gone.json: is made no more",
                "models/c/new.json: is new",
                "text/t.bin: differs (4 bytes, were 3)",
            ]
        );
        assert_eq!(compare(old.path(), new.path(), false).unwrap().len(), 4, "others were not asked for");
        copy(new.path(), old.path()).unwrap();
        assert_eq!(compare(old.path(), new.path(), false).unwrap(), Vec::<String>::new());
    }
}
