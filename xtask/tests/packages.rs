//! Each crate that is for others can be packaged: it has a README, a description and a licence, its dependencies within the
//! workspace name a version, and what its source includes lies within its folder.

#![allow(clippy::unwrap_used)]

use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::Command;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").canonicalize().unwrap()
}

fn cargo(arguments: &[&str]) -> String {
    let done = Command::new(env!("CARGO")).args(arguments).current_dir(root()).output().unwrap();
    assert!(done.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&done.stderr));
    String::from_utf8(done.stdout).unwrap()
}

/// The crates that a registry would take.
fn published() -> Vec<Value> {
    let all: Value =
        serde_json::from_str(&cargo(&["metadata", "--no-deps", "--format-version", "1", "--offline"]))
            .unwrap();
    let packages = all["packages"].as_array().unwrap().clone();
    packages.into_iter().filter(|package| package["publish"].is_null()).collect()
}

#[test]
fn every_package_says_what_it_is_and_versions_what_it_needs() {
    let packages = published();
    assert!(packages.len() >= 13, "{} packages", packages.len());
    for package in &packages {
        let name = package["name"].as_str().unwrap();
        assert!(package["description"].is_string() && package["license"] == "MIT", "{name}");
        let readme = Path::new(package["manifest_path"].as_str().unwrap()).with_file_name("README.md");
        let text = std::fs::read_to_string(&readme).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert!(text.starts_with(&format!("# {name}\n")), "{name}: its README has another title");
        for dependency in package["dependencies"].as_array().unwrap() {
            let within = dependency["path"].is_string();
            let dev = dependency["kind"] == "dev";
            assert!(
                !within || dev || dependency["req"] != "*",
                "{name} needs {} of any version",
                dependency["name"]
            );
        }
    }
}

#[test]
fn every_file_that_a_package_is_built_from_is_in_it() {
    for package in published() {
        let name = package["name"].as_str().unwrap();
        let listed = cargo(&["package", "--list", "--allow-dirty", "--offline", "--package", name]);
        let listed: Vec<&str> = listed.lines().collect();
        assert!(listed.contains(&"README.md") && listed.contains(&"Cargo.toml"), "{name}: {listed:?}");
        let folder = Path::new(package["manifest_path"].as_str().unwrap()).parent().unwrap().to_owned();
        for file in listed.iter().filter(|file| file.starts_with("src/") && file.ends_with(".rs")) {
            let text = std::fs::read_to_string(folder.join(file)).unwrap();
            for included in text.split("include_str!(\"").skip(1).filter_map(|rest| rest.split('"').next()) {
                let from = Path::new(file).parent().unwrap().join(included);
                let mut parts: Vec<&str> = Vec::new();
                for part in from.to_str().unwrap().split('/') {
                    if part == ".." {
                        assert!(parts.pop().is_some(), "{name}: {file} includes {included} from outside")
                    } else {
                        parts.push(part)
                    }
                }
                let wanted = parts.join("/");
                assert!(
                    listed.contains(&wanted.as_str()),
                    "{name}: {file} includes {wanted}, which is not packaged"
                );
            }
        }
    }
}
