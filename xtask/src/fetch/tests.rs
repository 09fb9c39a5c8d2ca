//! Fetching with a played pip: what is left after success, failure and change.

use super::*;
use crate::wheels::tests::Index;

const NEEDED: &[&str] = &["lib/a.so", "made"];

fn wheel(index: &Index, text: &str) -> Vec<Wheel> {
    vec![index.add("one", &["lib/a.so"], &[("lib/a.so", text)])]
}

fn finish(root: &Path) -> Result<()> {
    write(&root.join("made"), "here")
}

fn wanted(wheels: &[Wheel]) -> Wanted<'_> {
    Wanted {
        name: "thing-1.0",
        what: "the thing",
        wheels,
        platforms: &["any"],
        room: 1,
        layout: 1,
        needed: NEEDED,
        finish: &finish,
    }
}

#[test]
fn a_second_call_finds_it_and_a_damaged_or_older_folder_is_made_anew() {
    let Some(index) = Index::new() else { return };
    let cache = index.at("cache");
    let wheels = wheel(&index, "one");
    let folder = folder_in(&cache, &wanted(&wheels), &index.python()).unwrap();
    assert_eq!(folder, cache.join("thing-1.0"));
    assert_eq!(fs::read_to_string(folder.join("made")).unwrap(), "here");
    assert!(!cache.join("thing-1.0.partial").exists());

    folder_in(&cache, &wanted(&wheels), Path::new("no-such-python")).unwrap();
    assert_eq!(index.downloads().len(), 1, "nothing is asked of pip again");

    fs::remove_file(folder.join("lib/a.so")).unwrap();
    folder_in(&cache, &wanted(&wheels), &index.python()).unwrap();
    assert!(folder.join("lib/a.so").is_file());

    fs::write(folder.join("left"), "").unwrap();
    folder_in(&cache, &Wanted { layout: 2, ..wanted(&wheels) }, &index.python()).unwrap();
    assert!(!folder.join("left").exists(), "another layout, another folder");

    let newer = wheel(&index, "two");
    folder_in(&cache, &wanted(&newer), &index.python()).unwrap();
    assert_eq!(fs::read_to_string(folder.join("lib/a.so")).unwrap(), "two");
}

#[test]
fn a_call_that_fails_leaves_no_folder_that_looks_complete() {
    let Some(index) = Index::new() else { return };
    let cache = index.at("cache");
    let wheels = wheel(&index, "one");
    let failing = |wanted: Wanted<'_>| {
        let error = folder_in(&cache, &wanted, &index.python()).unwrap_err().to_string();
        assert!(!cache.join("thing-1.0").exists());
        error
    };
    fs::write(index.at("offline"), "").unwrap();
    assert!(failing(wanted(&wheels)).contains("pip could not download it"));
    fs::remove_file(index.at("offline")).unwrap();
    let lacking = Wanted { needed: &["gone"], ..wanted(&wheels) };
    assert!(failing(lacking).starts_with("the thing: gone is missing"));
    let unfinished = Wanted { finish: &|_| bail!("no compiler"), ..wanted(&wheels) };
    assert_eq!(failing(unfinished), "no compiler");
    let greedy = Wanted { room: u64::MAX, ..wanted(&wheels) };
    assert!(failing(greedy).starts_with("getting the thing needs "));
}
