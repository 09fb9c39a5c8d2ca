//! The laws hold on this tree, and are noticed on a tree that breaks them.

use std::fs;

#[test]
fn every_law_holds_on_this_tree() {
    let root = xtask::workspace_root().unwrap();
    let broken = xtask::tidy::violations(&root).unwrap();
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}

#[test]
fn documents_that_name_what_is_gone_are_noticed() {
    let tree = tempfile::tempdir().unwrap();
    let root = tree.path();
    fs::create_dir_all(root.join("crates/real/src")).unwrap();
    fs::write(root.join("crates/real/Cargo.toml"), "[package]\nname = \"ai-energy-real\"\n").unwrap();
    fs::write(
        root.join("README.md"),
        "`crates/real` and `ai-energy-real` are there,\n`crates/gone` and `ai-energy-gone` are not; `docs/*.md` is a pattern\n",
    )
    .unwrap();
    let broken = xtask::tidy::document_violations(root).unwrap();
    assert_eq!(broken.len(), 2, "{broken:?}");
    assert!(broken.iter().all(|line| line.starts_with("README.md:2:")));
}

#[test]
fn source_files_deep_in_the_tree_are_looked_at() {
    let tree = tempfile::tempdir().unwrap();
    let folder = tree.path().join("crates/a/src/b/c");
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join("d.rs"), "fn f() {}\n").unwrap();
    let broken = xtask::tidy::source_violations(tree.path()).unwrap();
    assert_eq!(broken.len(), 1, "{broken:?}");
    assert!(broken[0].starts_with("crates/a/src/b/c/d.rs"));
}
