//! Which packages are linked into the command line, from cargo's own resolution.

use anyhow::{Context, Result};
use cargo_metadata::{DependencyKind, MetadataCommand, Package, PackageId};
use std::collections::{BTreeMap, BTreeSet};

use super::Dist;

/// The packages that are linked in, each with those that it uses itself.
pub(super) struct Linked {
    /// By name and version, in order.
    pub(super) packages: Vec<Package>,
    /// What each uses.
    pub(super) uses: BTreeMap<PackageId, Vec<PackageId>>,
    /// The command line's own.
    pub(super) root: PackageId,
}

/// What the command line links for this machine: no build scripts' packages, no tests'.
pub(super) fn linked(dist: &Dist) -> Result<Linked> {
    let options = ["--filter-platform".to_owned(), dist.triple.clone(), "--locked".to_owned()];
    let metadata = MetadataCommand::new()
        .manifest_path(dist.root.join("Cargo.toml"))
        .other_options(options.to_vec())
        .exec()
        .context("cargo metadata")?;
    let cli = metadata.packages.iter().find(|package| package.name.as_str() == "ai-energy-cli");
    let root = cli.context("the workspace has no ai-energy-cli")?.id.clone();
    let resolve = metadata.resolve.as_ref().context("cargo resolved nothing")?;
    let mut uses = BTreeMap::new();
    let mut left = vec![root.clone()];
    while let Some(id) = left.pop() {
        if uses.contains_key(&id) {
            continue;
        }
        let node = resolve.nodes.iter().find(|node| node.id == id).context("a package without a node")?;
        let normal = node
            .deps
            .iter()
            .filter(|used| used.dep_kinds.iter().any(|kind| kind.kind == DependencyKind::Normal));
        let used: Vec<PackageId> = normal.map(|used| used.pkg.clone()).collect();
        left.extend(used.iter().cloned());
        uses.insert(id, used);
    }
    let linked: BTreeSet<&PackageId> = uses.keys().collect();
    let mut packages: Vec<Package> =
        metadata.packages.iter().filter(|package| linked.contains(&package.id)).cloned().collect();
    packages.sort_by(|one, other| (&one.name, &one.version).cmp(&(&other.name, &other.version)));
    Ok(Linked { packages, uses, root })
}
