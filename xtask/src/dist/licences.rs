//! The licences of everything that is linked in, in their own words: each text once, under the packages that it is of.

use anyhow::{Context, Result};
use cargo_metadata::Package;
use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::Path;

use super::{Dist, graph};
use crate::say;

pub(super) const FILE: &str = "THIRD_PARTY_LICENSES.txt";

/// How the files begin that hold a licence or what it wants said.
const NAMES: [&str; 5] = ["LICENSE", "LICENCE", "COPYING", "NOTICE", "UNLICENSE"];

/// Writes the texts beside the other artefacts.
pub(super) fn make(dist: &Dist) -> Result<()> {
    let linked = graph::linked(dist)?;
    let foreign: Vec<&Package> = linked.packages.iter().filter(|package| package.source.is_some()).collect();
    let (texts, without) = texts(&foreign)?;
    let path = dist.out.join(FILE);
    std::fs::write(&path, page(&texts, &without))
        .with_context(|| format!("cannot write {}", path.display()))?;
    say(&format!(
        "   {} packages, {} texts, {} without a file of their own",
        foreign.len(),
        texts.len(),
        without.len()
    ));
    Ok(())
}

/// Packages by licence text.
type Texts = BTreeMap<String, Vec<String>>;

/// The texts, and the packages that ship none.
fn texts(packages: &[&Package]) -> Result<(Texts, Vec<String>)> {
    let (mut texts, mut without) = (Texts::new(), Vec::new());
    for package in packages {
        let licence = package.license.as_deref().unwrap_or("no licence named");
        let name = format!("{} {} ({licence})", package.name, package.version);
        let folder = package.manifest_path.parent().context("a manifest without a folder")?;
        let found = files(folder.as_std_path())?;
        if found.is_empty() {
            without.push(name.clone());
        }
        for text in found {
            texts.entry(text).or_default().push(name.clone());
        }
    }
    Ok((texts, without))
}

/// The licence texts in a folder.
fn files(folder: &Path) -> Result<Vec<String>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))? {
        let path = entry?.path();
        let name = path.file_name().map(|name| name.to_string_lossy().to_uppercase()).unwrap_or_default();
        if path.is_file() && NAMES.iter().any(|start| name.starts_with(start)) {
            // Some authors wrote their names in other encodings; the text stays readable.
            let bytes = std::fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
            found.push(String::from_utf8_lossy(&bytes).replace("\r\n", "\n").trim_end().to_owned());
        }
    }
    found.sort();
    Ok(found)
}

fn page(texts: &Texts, without: &[String]) -> String {
    let mut page = String::from("Licences of the packages that ai-energy-benchmark is linked with.\n");
    let mut by_use: Vec<_> = texts.iter().collect();
    by_use.sort_by_key(|(_, packages)| std::cmp::Reverse(packages.len()));
    for (text, packages) in by_use {
        let _ = write!(page, "\n{}\n\n", "=".repeat(80));
        for package in packages {
            let _ = writeln!(page, "{package}");
        }
        let _ = write!(page, "{}\n\n{text}\n", "-".repeat(80));
    }
    if !without.is_empty() {
        let _ = write!(page, "\n{}\n\nThese name their licence and ship no text of it:\n\n", "=".repeat(80));
        for package in without {
            let _ = writeln!(page, "{package}");
        }
    }
    page
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_stands_once_with_all_who_use_it_and_the_missing_are_named() {
        let texts = BTreeMap::from([
            ("MIT text".to_owned(), vec!["a 1 (MIT)".to_owned(), "b 2 (MIT)".to_owned()]),
            ("other".to_owned(), vec!["c 3 (Zlib)".to_owned()]),
        ]);
        let page = page(&texts, &["d 4 (MIT)".to_owned()]);
        assert_eq!(page.matches("MIT text").count(), 1);
        assert!(page.contains("a 1 (MIT)\nb 2 (MIT)\n") && page.ends_with("d 4 (MIT)\n"), "{page}");
    }

    #[test]
    fn files_of_any_case_and_encoding_are_found() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("License-MIT"), b"by J\xf6rg\r\n").unwrap();
        std::fs::write(folder.path().join("README.md"), "no").unwrap();
        let found = files(folder.path()).unwrap();
        assert_eq!(found.len(), 1);
        assert!(found[0].starts_with("by J"));
    }
}
