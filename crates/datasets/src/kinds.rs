//! The kinds of datasets, and which kind a name means.
//!
//! A name that looks like a file is a file: where it is not there, that is an error about the file, never a lookup
//! of a hub dataset by that name.

use std::path::{Component, Path, PathBuf};

use ai_energy_core::{Dataset, Fault};
use ai_energy_hub::{HubEnv, is_hub_id};

use crate::builtin::BuiltinDataset;
use crate::files::{FileDataset, Format};
use crate::hub::HubDataset;
use crate::nearest::nearest;
use crate::options::Options;
use crate::rows::usage;
use crate::synthetic::SyntheticDataset;
use crate::trace::TraceDataset;

/// A kind of dataset, for listing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KindInfo {
    /// The kind's name, as [`DatasetInfo::kind`](ai_energy_core::DatasetInfo) has it.
    pub name: &'static str,
    /// What it is, in a line.
    pub description: &'static str,
    /// A value of `dataset_name` that means this kind.
    pub example: &'static str,
}

/// Every kind there is.
pub const KINDS: &[KindInfo] = &[
    KindInfo {
        name: "builtin",
        description: "prompts that ship with the program, varied in length and topic",
        example: "builtin",
    },
    KindInfo {
        name: "synthetic",
        description: "random English words of a set length or spread of lengths, from a seed",
        example: "synthetic:uniform:100..300/128",
    },
    KindInfo {
        name: "csv",
        description: "a local file of comma-, semicolon-, tab- or bar-separated values with a header",
        example: "prompts.csv",
    },
    KindInfo {
        name: "jsonl",
        description: "a local file with one JSON object a line: a text column, or OpenAI's messages",
        example: "prompts.jsonl",
    },
    KindInfo {
        name: "json",
        description: "a local JSON list of objects, texts or ShareGPT conversations",
        example: "sharegpt.json",
    },
    KindInfo { name: "parquet", description: "a local parquet file", example: "prompts.parquet" },
    KindInfo { name: "txt", description: "a local text file with one prompt a line", example: "prompts.txt" },
    KindInfo {
        name: "trace",
        description: "when requests came and how long they were: mooncake:PATH, burstgpt:PATH, azure:PATH",
        example: "mooncake:conversation_trace.jsonl",
    },
    KindInfo {
        name: "hub",
        description: "a dataset on the Hugging Face hub of parquet, jsonl, csv, json or txt files",
        example: "AIEnergyScore/text_generation",
    },
];

/// Opens the dataset that the options name, with the hub as the process's environment describes it. Downloads and
/// reads nothing yet; that is [`Dataset::load`]'s, whose limit is [`Options::num_samples`].
///
/// # Errors
/// The name means no dataset: a file that is not there or of no known format, or no valid name at all; or
/// `num_samples` is 0.
pub fn open(options: &Options) -> Result<Box<dyn Dataset>, Fault> {
    open_with(options, &HubEnv::from_env())
}

/// [`open`] with the hub's surroundings given.
///
/// # Errors
/// As [`open`].
pub fn open_with(options: &Options, env: &HubEnv) -> Result<Box<dyn Dataset>, Fault> {
    let name = options.dataset_name.trim();
    let subject = format!("dataset {name}");
    if options.num_samples == 0 {
        return Err(usage(&subject, "num_samples is 0").remedy("ask for at least one prompt"));
    }
    if name.is_empty() {
        return Err(usage("dataset_name", "is empty").remedy("set it to builtin, a file, or a hub dataset"));
    }
    if name == "builtin" {
        return Ok(Box::new(BuiltinDataset { shuffle_seed: options.shuffle_seed }));
    }
    if name == "synthetic" || name.starts_with("synthetic:") {
        return Ok(Box::new(SyntheticDataset::new(name, &options.synthetic)?));
    }
    if let Some(trace) = TraceDataset::new(name, &options.trace)? {
        return Ok(Box::new(trace));
    }
    let path = expand_home(name);
    if path.is_file() || looks_like_a_path(name) {
        return open_file(name, path, options).map(|file| Box::new(file) as Box<dyn Dataset>);
    }
    if !is_hub_id(name) {
        return Err(usage(&subject, "is neither a file nor a possible name of a hub dataset")
            .remedy("use builtin, synthetic, a file, or a hub dataset as owner/name"));
    }
    Ok(Box::new(HubDataset::new(options, env.clone())))
}

/// `~/x` in the user's home.
fn expand_home(name: &str) -> PathBuf {
    match (name.strip_prefix("~/"), std::env::home_dir()) {
        (Some(rest), Some(home)) => home.join(rest),
        _ => PathBuf::from(name),
    }
}

/// Whether nobody would write a hub dataset's name this way.
fn looks_like_a_path(name: &str) -> bool {
    let path = Path::new(name);
    let rooted = matches!(path.components().next(), Some(Component::RootDir | Component::Prefix(_)));
    rooted
        || name.starts_with(['.', '~'])
        || name.contains('\\')
        || name.matches('/').count() > 1
        || Format::of(path).is_some()
}

fn open_file(name: &str, path: PathBuf, options: &Options) -> Result<FileDataset, Fault> {
    let subject = format!("dataset {name}");
    if path.is_dir() {
        return Err(usage(&subject, format!("{} is a folder", absolute(&path).display()))
            .remedy("name one file in it"));
    }
    if !path.exists() {
        return Err(missing(&subject, &path));
    }
    let Some(format) = Format::of(&path) else {
        let known: Vec<&str> = Format::EXTENSIONS.iter().map(|(extension, _)| *extension).collect();
        return Err(usage(&subject, "its name does not say in which format it is")
            .remedy(format!("give it one of the extensions {}", known.join(", "))));
    };
    Ok(FileDataset {
        name: name.to_owned(),
        path,
        format,
        column: options.text_column_name.clone(),
        shuffle_seed: options.shuffle_seed,
        txt_separator: options.txt_separator.clone(),
    })
}

/// The fault for a file that is not there, with what is there instead.
fn missing(subject: &str, path: &Path) -> Fault {
    let full = absolute(path);
    let fault = usage(subject, format!("there is no file {}", full.display()));
    let Some(folder) = full.parent() else { return fault };
    let Ok(entries) = std::fs::read_dir(folder) else {
        return fault
            .remedy(format!("check the path: the folder {} cannot be read either", folder.display()));
    };
    let mut names: Vec<String> =
        entries.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    names.retain(|name| Format::of(Path::new(name)).is_some());
    names.sort();
    let wanted = full.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    match nearest(&wanted, names.iter().map(String::as_str)) {
        Some(near) => fault.remedy(format!("did you mean {}?", folder.join(near).display())),
        None if names.is_empty() => {
            fault.remedy(format!("no file of a known format is in {}", folder.display()))
        }
        None => fault.remedy(format!("{} has {}", folder.display(), first_few(&names))),
    }
}

/// At most five names, and how many more there are.
pub(crate) fn first_few(names: &[String]) -> String {
    let shown = names.iter().take(5).cloned().collect::<Vec<_>>().join(", ");
    if names.len() > 5 { format!("{shown} and {} more", names.len() - 5) } else { shown }
}

fn absolute(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_has_a_name_of_its_own() {
        let names: std::collections::BTreeSet<&str> = KINDS.iter().map(|kind| kind.name).collect();
        assert_eq!(names.len(), KINDS.len());
        for (_, format) in Format::EXTENSIONS {
            assert!(names.contains(format.kind()), "{format:?} is not listed");
        }
    }

    #[test]
    fn files_and_hub_ids_are_told_apart() {
        for name in
            ["a.csv", "./a", "../a", "/a", "~/a", "x/y/z", "owner/name.parquet", "a\\b", "data/a.JSONL"]
        {
            assert!(looks_like_a_path(name), "{name}");
        }
        for name in ["squad", "owner/name", "openai/gsm8k", "owner/name.v1"] {
            assert!(!looks_like_a_path(name) && is_hub_id(name), "{name}");
        }
        for name in ["a b", "owner/", "/name", "a/b/c", "-x", "naïve", "a..b"] {
            assert!(!is_hub_id(name), "{name}");
        }
    }
}
