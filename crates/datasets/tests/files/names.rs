//! Parquet, the built-in prompts, and which dataset a name means.

use std::path::{Path, PathBuf};

use ai_energy_datasets::{KINDS, Options};

use crate::bench::{Folder, column, load, options, texts};

fn parquet() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/pyarrow.parquet")
}

/// The file was written by pyarrow 26: 300 rows in groups of 40, zstd, a null and an empty text in rows 1 and 2.
#[tokio::test]
async fn parquet_as_pyarrow_writes_it() {
    let loaded = load(&options(&parquet()), 3).await.unwrap();
    assert_eq!(texts(&loaded), ["prompt 0 – ü", "prompt 3 – ü", "prompt 4 – ü"]);
    assert_eq!(loaded.info.rows, Some(300));
    assert_eq!(loaded.warnings.len(), 1, "{:?}", loaded.warnings);
    // The first step reads 64 rows, two of which hold nothing; the next one must go on without a gap.
    let steps = load(&options(&parquet()), 64).await.unwrap();
    assert_eq!((texts(&steps)[62].as_str(), texts(&steps)[63].as_str()), ("prompt 64 – ü", "prompt 65 – ü"));
    let all = load(&options(&parquet()), 1000).await.unwrap();
    assert_eq!(all.prompts.len(), 298);
    assert_eq!(texts(&all)[297], "prompt 299 – ü");

    for (name, first, last) in [
        ("kind", "a", "b"),
        ("large", "large 0", "large 299"),
        ("raw", "raw 0", "raw 299"),
        ("id", "0", "299"),
        ("small", "0", "99"),
        ("score", "0.0", "74.75"),
        ("messages", "question 0", "question 299"),
    ] {
        let loaded =
            load(&column(&parquet(), name), 300).await.unwrap_or_else(|fault| panic!("{name}: {fault}"));
        let texts = texts(&loaded);
        assert_eq!((texts[0].as_str(), texts[299].as_str(), texts.len()), (first, last, 300), "{name}");
    }
    let missing = load(&column(&parquet(), "mesages"), 1).await.unwrap_err();
    assert_eq!(missing.remedy, "did you mean `messages`? set scenario.text_column_name");
}

#[tokio::test]
async fn broken_parquet_is_a_fault() {
    let whole = std::fs::read(parquet()).unwrap();
    let folder = Folder::new();
    for (name, bytes) in
        [("empty", vec![]), ("cut", whole[..whole.len() / 2].to_vec()), ("text", b"text\na\n".to_vec())]
    {
        let path = folder.write(&format!("{name}.parquet"), bytes);
        let fault = load(&options(&path), 1).await.unwrap_err();
        assert!(fault.cause.contains("parquet"), "{name}: {fault}");
        assert_eq!(fault.remedy, "check that the file is complete");
    }
}

#[tokio::test]
async fn a_missing_file_is_never_looked_up_on_the_hub() {
    let folder = Folder::new();
    folder.write("prompts.csv", "text\na\n");
    folder.write("notes.md", "x");
    let near = load(&options(&folder.0.path().join("promts.csv")), 1).await.unwrap_err();
    let at = |name: &str| folder.0.path().join(name).display().to_string();
    assert_eq!(near.cause, format!("there is no file {}", at("promts.csv")));
    assert_eq!(near.remedy, format!("did you mean {}?", at("prompts.csv")));
    let far = load(&options(&folder.0.path().join("zzz.parquet")), 1).await.unwrap_err();
    assert!(far.remedy.ends_with("has prompts.csv"), "{far}");
    let relative = load(&options(Path::new("owner/name.jsonl")), 1).await.unwrap_err();
    assert!(
        relative.cause.contains("there is no file /") && relative.remedy.contains("folder"),
        "{relative}"
    );
}

#[tokio::test]
async fn names_that_mean_nothing_are_refused() {
    let folder = Folder::new();
    let directory = load(&options(folder.0.path()), 1).await.unwrap_err();
    assert!(directory.cause.ends_with("is a folder"), "{directory}");
    let unknown = load(&options(&folder.write("a.xlsx", "x")), 1).await.unwrap_err();
    assert!(unknown.remedy.contains("csv, tsv, jsonl"), "{unknown}");
    for name in ["", "two words", "-x/y"] {
        assert!(load(&options(Path::new(name)), 1).await.is_err(), "{name}");
    }
    let none = Options { num_samples: 0, dataset_name: "builtin".to_owned(), ..Options::default() };
    assert_eq!(load(&none, 1).await.unwrap_err().cause, "num_samples is 0");
}

#[cfg(unix)]
#[tokio::test]
async fn an_unreadable_file_is_told() {
    use std::os::unix::fs::PermissionsExt;
    let folder = Folder::new();
    let path = folder.write("a.csv", "text\na\n");
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o000)).unwrap();
    // The superuser reads it all the same; a link to itself nobody can open.
    if std::fs::File::open(&path).is_err() {
        let fault = load(&options(&path), 1).await.unwrap_err();
        assert_eq!(fault.remedy, "make the file readable for this user");
    }
    let endless = folder.0.path().join("loop.csv");
    std::os::unix::fs::symlink(&endless, &endless).unwrap();
    assert!(load(&options(&endless), 1).await.is_err());
}

#[tokio::test]
async fn every_kind_opens_by_its_example() {
    let folder = Folder::new();
    let samples = [("csv", "text\na\n"), ("jsonl", "{\"text\":\"a\"}"), ("json", "[\"a\"]"), ("txt", "a")];
    for kind in KINDS {
        let mut options = Options { dataset_name: kind.example.to_owned(), ..Options::default() };
        if let Some((_, text)) = samples.iter().find(|(name, _)| *name == kind.name) {
            options.dataset_name = folder.write(kind.example, text).display().to_string();
        } else if kind.name == "parquet" {
            options.dataset_name = parquet().display().to_string();
        } else if kind.name == "trace" {
            let line = r#"{"timestamp": 0, "input_length": 3, "output_length": 2, "hash_ids": [1]}"#;
            let path = folder.write("trace.jsonl", line).display().to_string();
            options.dataset_name = format!("mooncake:{path}");
        }
        match load(&options, 2).await {
            Ok(loaded) => assert_eq!(loaded.info.kind, kind.name),
            Err(fault) => {
                assert_eq!(kind.name, "hub", "{fault}");
                assert!(fault.cause.contains("not in the cache"), "{fault}");
            }
        }
    }
}

#[tokio::test]
async fn the_builtin_prompts_load_in_order_and_by_seed() {
    let builtin = Options { dataset_name: "builtin".to_owned(), ..Options::default() };
    let first = load(&builtin, 10).await.unwrap();
    assert_eq!((first.prompts.len(), first.warnings.len()), (10, 0));
    assert!(first.prompts.iter().enumerate().all(|(at, prompt)| prompt.index == at));
    let drawn = load(&Options { shuffle_seed: Some(3), ..builtin.clone() }, 10).await.unwrap();
    assert_ne!(drawn.info.sha256, first.info.sha256);
    let all = load(&builtin, 100_000).await.unwrap();
    assert!(all.prompts.len() >= 100 && all.warnings[0].contains("none is repeated"), "{:?}", all.warnings);
}
