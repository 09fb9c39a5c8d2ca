//! What is linked in, as a CycloneDX document.

use anyhow::{Context, Result};
use cargo_metadata::{Package, PackageId};
use serde_json::{Value, json};

use super::graph::{self, Linked};
use super::{Dist, PROGRAM};
use crate::say;

pub(super) const FILE: &str = "sbom.cdx.json";

/// Writes the document; the same sources give the same bytes.
pub(super) fn make(dist: &Dist) -> Result<()> {
    let linked = graph::linked(dist)?;
    let document = document(dist, &linked)?;
    let path = dist.out.join(FILE);
    std::fs::write(&path, format!("{document:#}\n"))
        .with_context(|| format!("cannot write {}", path.display()))?;
    say(&format!("   {} packages", linked.packages.len()));
    Ok(())
}

fn document(dist: &Dist, linked: &Linked) -> Result<Value> {
    let reference = |id: &PackageId| linked.packages.iter().find(|package| package.id == *id).map(purl);
    let components: Vec<Value> =
        linked.packages.iter().filter(|package| package.id != linked.root).map(component).collect();
    let mut dependencies = Vec::new();
    for (id, uses) in &linked.uses {
        let mut on: Vec<String> = uses.iter().filter_map(reference).collect();
        on.sort();
        on.dedup();
        dependencies
            .push(json!({ "ref": reference(id).context("a package that is not linked")?, "dependsOn": on }));
    }
    let root = linked.packages.iter().find(|package| package.id == linked.root);
    Ok(json!({
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "version": 1,
        "metadata": {
            "component": {
                "type": "application",
                "bom-ref": root.map(purl),
                "name": PROGRAM,
                "version": dist.version,
                "licenses": [{ "expression": "MIT" }],
            },
            "properties": [{ "name": "target", "value": dist.triple }],
        },
        "components": components,
        "dependencies": dependencies,
    }))
}

fn component(package: &Package) -> Value {
    let mut component = json!({
        "type": "library",
        "bom-ref": purl(package),
        "name": package.name.as_str(),
        "version": package.version.to_string(),
        "purl": purl(package),
    });
    if let Some(licence) = &package.license {
        // Cargo once allowed a slash where SPDX has OR.
        component["licenses"] = json!([{ "expression": licence.replace('/', " OR ") }]);
    }
    component
}

/// The name that the whole ecosystem knows a package by.
fn purl(package: &Package) -> String {
    format!("pkg:cargo/{}@{}", package.name, package.version)
}
