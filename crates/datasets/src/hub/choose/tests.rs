//! Repositories as they are found on the hub, and which of their files a question means.

use super::*;
use serde_json::{Value, json};

fn repo(files: &[&str], card: Value) -> RepoInfo {
    let siblings: Vec<Value> = files.iter().map(|file| json!({ "rfilename": file })).collect();
    serde_json::from_value(json!({ "sha": "c0ffee", "siblings": siblings, "cardData": card, "extra": 1 }))
        .unwrap()
}

fn ask(info: &RepoInfo, config: Option<&str>, split: &str) -> Result<(String, Vec<String>), Fault> {
    choose(info, &Asked { subject: "dataset o/n", config, split }).map(|choice| (choice.config, choice.files))
}

fn files(info: &RepoInfo, config: Option<&str>, split: &str) -> Vec<String> {
    ask(info, config, split).unwrap_or_else(|fault| panic!("{fault}")).1
}

#[test]
fn a_card_decides() {
    let info = repo(
        &[
            "README.md",
            "main/train-00001-of-00002.parquet",
            "main/train-00000-of-00002.parquet",
            "main/test-00000-of-00001.parquet",
            "socratic/train-00000-of-00001.parquet",
        ],
        json!({"configs": [
            {"config_name": "main", "data_files": [
                {"split": "train", "path": "main/train-*"}, {"split": "test", "path": ["main/test-*"]}]},
            {"config_name": "socratic", "data_files": [{"split": "train", "path": "socratic/train-*"}]}]}),
    );
    let parts = ["main/train-00000-of-00002.parquet", "main/train-00001-of-00002.parquet"];
    assert_eq!(files(&info, Some("main"), "train"), parts);
    assert_eq!(files(&info, Some("main"), "test"), ["main/test-00000-of-00001.parquet"]);
    let several = ask(&info, None, "train").unwrap_err();
    assert_eq!(several.cause, "has 2 configurations: `main`, `socratic`");
    let wrong = ask(&info, Some("mian"), "train").unwrap_err();
    assert_eq!(wrong.remedy, "did you mean `main`?");
    let split = ask(&info, Some("main"), "validation").unwrap_err();
    assert_eq!(split.cause, "configuration `main` has no split `validation`; it has `train`, `test`");
    let near = ask(&info, Some("main"), "trian").unwrap_err();
    assert_eq!(near.remedy, "did you mean `train`?");
}

#[test]
fn a_declared_default_is_taken_and_a_single_pattern_is_train() {
    let info = repo(
        &["a.csv", "b/x.jsonl", "b/y.jsonl"],
        json!({"configs": [{"config_name": "a", "data_files": "a.csv"},
                           {"config_name": "b", "data_files": "*.jsonl", "data_dir": "b", "default": true}]}),
    );
    assert_eq!(
        ask(&info, None, "train").unwrap(),
        ("b".into(), vec!["b/x.jsonl".into(), "b/y.jsonl".into()])
    );
    assert_eq!(files(&info, Some("a"), "train"), ["a.csv"]);
}

#[test]
fn names_decide_where_there_is_no_card() {
    let shards = repo(
        &[
            "data/train-00000-of-00002.parquet",
            "data/train-00001-of-00002.parquet",
            "data/train_sft-00000-of-00001-a1b2.parquet",
            "dataset_infos.json",
        ],
        Value::Null,
    );
    assert_eq!(files(&shards, None, "train").len(), 2);
    assert_eq!(files(&shards, None, "train_sft"), ["data/train_sft-00000-of-00001-a1b2.parquet"]);

    let flat =
        repo(&["train.csv", "my_dev_set.csv", "test.csv", "readme.txt", ".gitattributes"], Value::Null);
    assert_eq!(files(&flat, None, "train"), ["train.csv"]);
    assert_eq!(files(&flat, None, "validation"), ["my_dev_set.csv"]);
    assert_eq!(files(&flat, None, "val"), ["my_dev_set.csv"]);

    let folders = repo(&["train/part-1.jsonl", "train/part-0.jsonl", "test/part-0.jsonl"], Value::Null);
    assert_eq!(files(&folders, None, "train"), ["train/part-0.jsonl", "train/part-1.jsonl"]);

    let single = repo(&["prompts.json"], Value::Null);
    assert_eq!(files(&single, None, "train"), ["prompts.json"]);

    let converted = repo(&["default/train/0000.parquet", "default/test/0000.parquet"], Value::Null);
    assert_eq!(ask(&converted, None, "test").unwrap().0, "default");
}

#[test]
fn folders_are_configurations_where_there_is_no_card() {
    let info = repo(&["en/train.jsonl", "de/train.jsonl", "de/test.jsonl"], Value::Null);
    assert_eq!(files(&info, Some("de"), "test"), ["de/test.jsonl"]);
    assert!(ask(&info, None, "train").unwrap_err().cause.contains("`de`, `en`"));
}

#[test]
fn of_several_formats_one_is_read() {
    let info = repo(&["train.csv", "train.parquet", "train.jsonl"], Value::Null);
    assert_eq!(files(&info, None, "train"), ["train.parquet"]);
}

#[test]
fn a_repository_without_data_says_so() {
    for names in [&["script.py", "README.md"][..], &["config.json", "readme.txt"], &["images/a.png"], &[]] {
        let info = repo(names, Value::Null);
        assert!(!has_data(&info));
        assert!(ask(&info, None, "train").unwrap_err().cause.starts_with("holds no parquet"));
    }
    let broken = repo(&["a.csv"], json!({"configs": [{"config_name": "x", "data_files": "missing-*.csv"}]}));
    assert!(ask(&broken, None, "train").unwrap_err().cause.contains("without a readable file"));
}
