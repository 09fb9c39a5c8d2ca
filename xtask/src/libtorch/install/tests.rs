//! Fetching with a played pip: what is left after success, failure and change.

use super::*;
use crate::wheels::tests::Index;

fn table(index: &Index, text: &str) -> Parts {
    let wheel = index.add(
        "torch",
        &["torch/lib/libtorch_cpu.so", "torch/include/"],
        &[("torch/lib/libtorch_cpu.so", text), ("torch/include/torch/a.h", "")],
    );
    Parts {
        wheels: vec![wheel].leak(),
        platforms: &["any"],
        libraries: &["libtorch_cpu.so", "libtorch.so"],
        stub: true,
        room: 1,
    }
}

#[test]
fn a_second_call_finds_it_and_a_damaged_or_older_folder_is_made_anew() {
    let Some(index) = Index::new() else { return };
    let cache = index.at("cache");
    let parts = table(&index, "one");
    let torch = fetch_into(&cache, &parts, &index.python()).unwrap();
    assert_eq!(torch, cache.join(format!("libtorch-{VERSION}/torch")));
    assert_eq!(fs::read_to_string(torch.join("build-version")).unwrap(), VERSION);
    assert!(
        fs::read(torch.join("lib/libtorch.so")).unwrap().starts_with(b"\x7fELF") || cfg!(target_os = "macos")
    );
    assert!(!cache.join(format!("libtorch-{VERSION}.partial")).exists());

    fetch_into(&cache, &parts, Path::new("no-such-python")).unwrap();
    assert_eq!(index.downloads().len(), 1, "nothing is asked of pip again");

    fs::remove_file(torch.join("lib/libtorch_cpu.so")).unwrap();
    fetch_into(&cache, &parts, &index.python()).unwrap();
    assert!(torch.join("lib/libtorch_cpu.so").is_file());

    let newer = table(&index, "two");
    fetch_into(&cache, &newer, &index.python()).unwrap();
    assert_eq!(fs::read_to_string(torch.join("lib/libtorch_cpu.so")).unwrap(), "two");
}

#[test]
fn a_call_that_fails_leaves_no_folder_that_looks_complete() {
    let Some(index) = Index::new() else { return };
    let cache = index.at("cache");
    let parts = table(&index, "one");
    fs::write(index.at("offline"), "").unwrap();
    assert!(fetch_into(&cache, &parts, &index.python()).is_err());
    assert!(!cache.join(format!("libtorch-{VERSION}")).exists());
    fs::remove_file(index.at("offline")).unwrap();
    let lacking = Parts { libraries: &["libmissing.so"], ..parts };
    let error = fetch_into(&cache, &lacking, &index.python()).unwrap_err().to_string();
    assert!(error.contains("a library is missing"), "{error}");
    assert!(!cache.join(format!("libtorch-{VERSION}")).exists());
    let greedy = Parts { room: u64::MAX, ..parts };
    assert!(
        fetch_into(&cache, &greedy, &index.python())
            .unwrap_err()
            .to_string()
            .contains("getting libtorch needs")
    );
}
