//! Which files of a hub dataset hold the configuration and split asked for.
//!
//! A card that declares `configs` decides; otherwise the names of folders and files do, by the conventions of the
//! Hugging Face `datasets` library. Pure: refuses to know how files are fetched and read.

use std::collections::BTreeMap;
use std::path::Path;

use ai_energy_core::Fault;
use ai_energy_hub::RepoInfo;

use super::card::{self, CardConfig};
use super::glob;
use crate::files::Format;
use crate::kinds::first_few;
use crate::nearest::nearest;
use crate::rows::usage;

/// The files of a split, in order, all of one format.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Choice {
    /// The configuration they belong to.
    pub(crate) config: String,
    /// Paths in the repository.
    pub(crate) files: Vec<String>,
    /// Their format.
    pub(crate) format: Format,
}

/// What is asked for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Asked<'a> {
    /// How messages call the dataset.
    pub(crate) subject: &'a str,
    /// [`crate::Options::config`].
    pub(crate) config: Option<&'a str>,
    /// [`crate::Options::split`].
    pub(crate) split: &'a str,
}

/// Splits with their files, in the order they are declared or named.
type Splits = Vec<(String, Vec<String>)>;

/// Whether the repository holds any file that can be read here.
pub(crate) fn has_data(info: &RepoInfo) -> bool {
    info.files().into_iter().any(is_data)
}

/// The files to read.
///
/// # Errors
/// No such configuration, none chosen where there are several, no such split, or no file of a known format.
pub(crate) fn choose(info: &RepoInfo, asked: &Asked<'_>) -> Result<Choice, Fault> {
    let data: Vec<&str> = info.files().into_iter().filter(|path| is_data(path)).collect();
    let declared = card::configs(info);
    let (config, splits) = if declared.is_empty() {
        let by_name = configs_by_name(&data);
        let names: Vec<&str> = by_name.keys().map(String::as_str).collect();
        let config = pick_config(&names, None, asked)?.to_owned();
        let splits = by_name.get(&config).cloned().unwrap_or_default();
        (config, splits)
    } else {
        let names: Vec<&str> = declared.iter().map(|config| config.name.as_str()).collect();
        let default = declared.iter().find(|config| config.default).map(|config| config.name.as_str());
        let name = pick_config(&names, default, asked)?;
        let config = declared.iter().find(|config| config.name == name);
        (name.to_owned(), config.map(|config| declared_splits(config, &data)).unwrap_or_default())
    };
    let files = pick_split(&splits, &config, asked)?;
    one_format(files, config, asked)
}

/// Whether a file may hold rows: a known extension, and not one of the files about the data.
fn is_data(path: &str) -> bool {
    let name = path.rsplit('/').next().unwrap_or(path);
    let about = ["dataset_info.json", "dataset_infos.json", "dataset_dict.json", "state.json", "config.json"];
    let hidden = path.split('/').any(|part| part.starts_with(['.', '_']));
    let text_about = ["readme.txt", "license.txt", "requirements.txt", "citation.txt"];
    Format::of(Path::new(path)).is_some()
        && !hidden
        && !about.contains(&name)
        && !text_about.contains(&name.to_lowercase().as_str())
}

fn pick_config<'a>(names: &[&'a str], default: Option<&'a str>, asked: &Asked<'_>) -> Result<&'a str, Fault> {
    let listed: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
    let find = |wanted: &str| names.iter().copied().find(|name| *name == wanted);
    if let Some(wanted) = asked.config {
        return find(wanted).ok_or_else(|| {
            let cause = format!("has no configuration `{wanted}`; it has {}", first_few(&listed));
            let near = nearest(wanted, names.iter().copied());
            let remedy = near.map_or_else(
                || "set config to one of them".to_owned(),
                |near| format!("did you mean `{near}`?"),
            );
            usage(asked.subject, cause).remedy(remedy)
        });
    }
    match (default.or_else(|| find("default")), names) {
        (Some(name), _) => Ok(name),
        (None, [name]) => Ok(*name),
        (None, []) => Err(no_data(asked)),
        (None, _) => {
            Err(usage(asked.subject, format!("has {} configurations: {}", names.len(), listed.join(", ")))
                .remedy("choose one with scenario.config"))
        }
    }
}

fn no_data(asked: &Asked<'_>) -> Fault {
    usage(asked.subject, "holds no parquet, jsonl, json, csv or txt file")
        .remedy("choose another dataset, or convert it to one of these formats")
}

fn pick_split(splits: &Splits, config: &str, asked: &Asked<'_>) -> Result<Vec<String>, Fault> {
    let exact = splits.iter().find(|(name, _)| name == asked.split);
    let alias =
        || splits.iter().find(|(name, _)| keyword(name).is_some() && keyword(name) == keyword(asked.split));
    if let Some((name, files)) = exact.or_else(alias) {
        if files.is_empty() {
            let cause = format!("configuration `{config}` declares a split `{name}` without a readable file");
            return Err(usage(asked.subject, cause).remedy("choose another split or configuration"));
        }
        return Ok(files.clone());
    }
    if splits.is_empty() {
        return Err(no_data(asked));
    }
    let listed: Vec<String> = splits.iter().map(|(name, _)| format!("`{name}`")).collect();
    let cause =
        format!("configuration `{config}` has no split `{}`; it has {}", asked.split, listed.join(", "));
    let near = nearest(asked.split, splits.iter().map(|(name, _)| name.as_str()));
    let remedy =
        near.map_or_else(|| "set split to one of them".to_owned(), |near| format!("did you mean `{near}`?"));
    Err(usage(asked.subject, cause).remedy(remedy))
}

/// Files of the best format among them; the same rows are often there in several.
fn one_format(files: Vec<String>, config: String, asked: &Asked<'_>) -> Result<Choice, Fault> {
    let format = files.iter().filter_map(|path| Format::of(Path::new(path))).min();
    let format = format.ok_or_else(|| no_data(asked))?;
    let files = files.into_iter().filter(|path| Format::of(Path::new(path)) == Some(format)).collect();
    Ok(Choice { config, files, format })
}

/// The splits of a declared configuration, each pattern's files in order of their names.
fn declared_splits(config: &CardConfig, data: &[&str]) -> Splits {
    let folder = config.data_dir.as_deref().map(|dir| dir.trim_start_matches("./").trim_matches('/'));
    let inside: Vec<&str> = match folder.filter(|dir| !dir.is_empty() && *dir != ".") {
        Some(dir) => data
            .iter()
            .copied()
            .filter(|path| path.strip_prefix(dir).is_some_and(|rest| rest.starts_with('/')))
            .collect(),
        None => data.to_vec(),
    };
    if config.splits.is_empty() {
        return splits_by_name(&inside);
    }
    let matching = |pattern: &String| {
        let full = folder.filter(|dir| !dir.is_empty() && *dir != ".").map(|dir| format!("{dir}/{pattern}"));
        let mut files: Vec<String> = inside
            .iter()
            .filter(|path| glob::matches(full.as_deref().unwrap_or(pattern), path))
            .map(|path| (*path).to_owned())
            .collect();
        files.sort();
        files
    };
    config
        .splits
        .iter()
        .map(|(split, patterns)| {
            let mut files: Vec<String> = Vec::new();
            for file in patterns.iter().flat_map(matching) {
                if !files.contains(&file) {
                    files.push(file);
                }
            }
            (split.clone(), files)
        })
        .collect()
}

/// Configurations by folder: the first folder of a path is one, unless it is `data` or names a split.
fn configs_by_name(data: &[&str]) -> BTreeMap<String, Splits> {
    let mut files: BTreeMap<String, Vec<&str>> = BTreeMap::new();
    for path in data {
        let folder = path.split_once('/').map(|(folder, _)| folder);
        let config =
            folder.filter(|folder| *folder != "data" && keyword(folder).is_none()).unwrap_or("default");
        files.entry(config.to_owned()).or_default().push(path);
    }
    files.into_iter().map(|(config, files)| (config, splits_by_name(&files))).collect()
}

fn splits_by_name(files: &[&str]) -> Splits {
    let mut splits: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for path in files {
        splits.entry(split_of(path)).or_default().push((*path).to_owned());
    }
    splits
        .into_iter()
        .map(|(split, mut files)| {
            (split, {
                files.sort();
                files
            })
        })
        .collect()
}

/// The split that a path names: `SPLIT-00000-of-00003.parquet`, a name or folder that contains a word for a split,
/// and `train` where nothing says otherwise.
fn split_of(path: &str) -> String {
    let mut parts: Vec<&str> = path.split('/').collect();
    let name = parts.pop().unwrap_or_default();
    let stem = name.split('.').next().unwrap_or(name);
    if let Some(split) = shard_of(stem) {
        return split.to_owned();
    }
    let by_word = |text: &str| text.split(['-', '_', ' ', '.']).rev().find_map(keyword);
    let in_folder = || parts.iter().rev().find_map(|folder| keyword(folder));
    by_word(stem).or_else(in_folder).unwrap_or("train").to_owned()
}

/// `X` of `X-00000-of-00003`, also with a hash after it.
fn shard_of(stem: &str) -> Option<&str> {
    let (before, after) = stem.split_once("-of-")?;
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let (split, number) = before.rsplit_once('-')?;
    let total = after.split('-').next().unwrap_or(after);
    (digits(number) && digits(total) && !split.is_empty()).then_some(split)
}

/// The usual name of the split that a word means.
fn keyword(word: &str) -> Option<&'static str> {
    match word.to_ascii_lowercase().as_str() {
        "train" | "training" => Some("train"),
        "validation" | "valid" | "val" | "dev" => Some("validation"),
        "test" | "testing" | "eval" | "evaluation" => Some("test"),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
