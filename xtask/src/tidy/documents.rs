//! Documents may only name what is there: crates, files and jobs that they mention must exist.

use anyhow::Result;
use std::path::Path;

/// Mentions in `README.md`, `CHANGELOG.md` and `docs/` of things that are not in the tree.
pub(super) fn violations(root: &Path) -> Result<Vec<String>> {
    let mut documents = super::files_under(root, &["docs"], "md")?;
    documents.extend(
        ["README.md", "CHANGELOG.md"].iter().map(|name| root.join(name)).filter(|path| path.exists()),
    );
    let packages = packages(root)?;
    let mut broken = Vec::new();
    for document in documents {
        let text = std::fs::read_to_string(&document)?;
        let name = document.strip_prefix(root).unwrap_or(&document).display().to_string();
        for (number, line) in text.lines().enumerate() {
            for quoted in line.split('`').skip(1).step_by(2) {
                if let Some(problem) = problem(root, &packages, quoted) {
                    broken.push(format!("{name}:{}: {problem}", number + 1));
                }
            }
        }
    }
    Ok(broken)
}

/// What is wrong with a mention in backticks, if it is one of a crate or of a path in the tree.
fn problem(root: &Path, packages: &[String], quoted: &str) -> Option<String> {
    let is_path =
        ["crates/", "xtask/", "configs/", "docs/", "tests/"].iter().any(|start| quoted.starts_with(start));
    if is_path && !quoted.contains(['*', '{', '<', ' ']) && !root.join(quoted).exists() {
        return Some(format!("names `{quoted}`, which does not exist"));
    }
    let is_package = quoted.starts_with("ai-energy-") && !quoted.contains(' ');
    let programs = ["ai-energy-benchmark", "ai-energy-torch", "ai-energy-profile"];
    if is_package && !programs.contains(&quoted) && !packages.iter().any(|package| package == quoted) {
        return Some(format!("names the package `{quoted}`, which does not exist"));
    }
    None
}

/// Names of the packages under `crates/`.
fn packages(root: &Path) -> Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in std::fs::read_dir(root.join("crates"))? {
        let manifest = entry?.path().join("Cargo.toml");
        if let Ok(text) = std::fs::read_to_string(manifest) {
            let name = text.lines().find_map(|line| line.strip_prefix("name = \""));
            names.extend(name.and_then(|rest| rest.strip_suffix('"')).map(str::to_owned));
        }
    }
    Ok(names)
}
