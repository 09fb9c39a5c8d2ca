//! The crate graph: leaf crates know core and the hub's client, the engine its protocol too, config knows nobody, only cli
//! and the umbrella know the parts.

use anyhow::Result;
use cargo_metadata::{DependencyKind, MetadataCommand};
use std::path::Path;

const PREFIX: &str = "ai-energy-";

/// Workspace dependencies that break the graph.
pub(super) fn violations(root: &Path) -> Result<Vec<String>> {
    let metadata = MetadataCommand::new().manifest_path(root.join("Cargo.toml")).no_deps().exec()?;
    let names: Vec<String> = metadata.packages.iter().map(|package| package.name.to_string()).collect();
    let mut broken = Vec::new();
    for package in &metadata.packages {
        for dependency in &package.dependencies {
            let ours = names.contains(&dependency.name);
            // A crate's tests may use the simulator; what ships may not.
            let test_only = dependency.kind == DependencyKind::Development;
            if ours && !test_only && !allowed(&package.name, &dependency.name) {
                broken.push(format!(
                    "crates/{}: depends on {}, which the graph in docs/architecture.md does not allow",
                    package.name.trim_start_matches(PREFIX),
                    dependency.name
                ));
            }
        }
        if package.description.as_deref().unwrap_or_default().len() < 20 {
            broken.push(format!("{}: its manifest has no description worth the name", package.name));
        }
    }
    Ok(broken)
}

/// `true` where `package` may depend on `dependency`, both of this workspace.
pub(super) fn allowed(package: &str, dependency: &str) -> bool {
    match package {
        "ai-energy-core" | "ai-energy-config" | "xtask" => false,
        "ai-energy-cli" | "ai-energy-benchmarks" => dependency != "xtask",
        // A client and no part: it would otherwise be written twice.
        "ai-energy-hub" => dependency == "ai-energy-core",
        // The protocol that the engine speaks is the host side's to define.
        "ai-energy-engine" => ["ai-energy-core", "ai-energy-backends-pytorch"].contains(&dependency),
        _ => ["ai-energy-core", "ai-energy-hub"].contains(&dependency),
    }
}

#[cfg(test)]
mod tests {
    use super::allowed;

    #[test]
    fn leaves_know_core_and_the_hub_alone() {
        assert!(allowed("ai-energy-metrics", "ai-energy-core"));
        assert!(!allowed("ai-energy-metrics", "ai-energy-reporters"));
        assert!(!allowed("ai-energy-metrics", "ai-energy-config"));
        assert!(!allowed("ai-energy-config", "ai-energy-core"));
        assert!(!allowed("ai-energy-core", "ai-energy-config"));
        assert!(allowed("ai-energy-datasets", "ai-energy-hub"));
        assert!(
            !allowed("ai-energy-hub", "ai-energy-datasets") && !allowed("ai-energy-core", "ai-energy-hub")
        );
        assert!(allowed("ai-energy-engine", "ai-energy-backends-pytorch"));
        assert!(!allowed("ai-energy-engine", "ai-energy-hub"), "the host brings the files");
        assert!(!allowed("ai-energy-backends-pytorch", "ai-energy-engine"), "libtorch stays out of the host");
        assert!(allowed("ai-energy-cli", "ai-energy-reporters"));
    }
}
