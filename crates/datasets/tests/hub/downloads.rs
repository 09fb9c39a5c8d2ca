//! What is asked, whom the token goes to, and what the cache keeps.

use std::path::Path;
use std::sync::Mutex;

use ai_energy_core::LoadProgress;
use ai_energy_datasets::{HubEnv, Options, open_with};

use crate::bench::{Bench, jsonl, load, options, texts};
use crate::server::{COMMIT, Trouble, sha256};

#[tokio::test]
async fn a_large_file_comes_by_redirect_without_the_token_and_lies_as_python_puts_it() {
    let bench = Bench::new().await;
    let rows = jsonl("prompt", 30);
    bench.hub.add("o/n", "main", COMMIT, &[("data/train.jsonl", &rows, true)], "null");
    let loaded = bench.load(3).await.unwrap();
    assert_eq!(texts(&loaded), ["prompt 0", "prompt 1", "prompt 2"]);
    assert_eq!((loaded.info.kind.as_str(), loaded.info.revision.as_deref()), ("hub", Some(COMMIT)));

    for seen in bench.hub.seen() {
        let token = seen.headers.get("authorization").map(String::as_str);
        let expected = (seen.port == bench.hub.port).then_some("Bearer hf_secret");
        assert_eq!(token, expected, "{}", seen.line);
    }
    assert_eq!(bench.hub.seen().iter().filter(|seen| seen.port == bench.hub.cdn).count(), 1);

    let repo = bench.repo();
    assert_eq!(std::fs::read_to_string(repo.join("refs/main")).unwrap(), COMMIT);
    assert_eq!(std::fs::read(repo.join("blobs").join(sha256(&rows))).unwrap(), rows);
    let pointer = repo.join("snapshots").join(COMMIT).join("data/train.jsonl");
    let expected = format!("../../../blobs/{}", sha256(&rows));
    assert_eq!(std::fs::read_link(&pointer).unwrap(), Path::new(&expected));
    assert_eq!(std::fs::read(&pointer).unwrap(), rows);
}

#[tokio::test]
async fn what_is_cached_is_not_downloaded_again_and_serves_offline_and_in_an_outage() {
    let bench = Bench::new().await;
    let card = r#"{"configs":[{"config_name":"odd","data_files":[{"split":"train","path":"x/odd_*"}]}]}"#;
    bench.hub.add("o/n", "main", COMMIT, &[("x/odd_test.jsonl", &jsonl("p", 5), true)], card);
    let first = bench.load(5).await.unwrap();
    let second = bench.load(5).await.unwrap();
    assert_eq!(first, second);
    assert_eq!(bench.hub.asked("GET /datasets/").len(), 1);

    let before = bench.hub.seen().len();
    let offline = load(&options("o/n"), &HubEnv { offline: true, ..bench.env() }, 5).await.unwrap();
    assert_eq!(offline, first, "offline chooses as the card says");
    assert_eq!(bench.hub.seen().len(), before, "offline asks nobody");

    bench.hub.trouble("GET /api/", &vec![Trouble::Hang; 9]);
    let outage = bench.load(5).await.unwrap();
    assert_eq!(texts(&outage), texts(&first));
    assert!(outage.warnings[0].contains("the cached copy is used"), "{:?}", outage.warnings);
}

#[tokio::test]
async fn a_cache_that_python_filled_serves_offline() {
    let bench = Bench::new().await;
    let snapshot = bench.repo().join("snapshots").join(COMMIT);
    std::fs::create_dir_all(snapshot.join("data")).unwrap();
    std::fs::create_dir_all(bench.repo().join("refs")).unwrap();
    std::fs::write(bench.repo().join("refs/main"), COMMIT).unwrap();
    std::fs::write(snapshot.join("data/train-00000-of-00001.jsonl"), jsonl("p", 2)).unwrap();
    let offline = load(&options("o/n"), &HubEnv { offline: true, ..bench.env() }, 2).await.unwrap();
    assert_eq!(texts(&offline), ["p 0", "p 1"]);
    let absent = load(&options("o/other"), &HubEnv { offline: true, ..bench.env() }, 2).await.unwrap_err();
    assert_eq!(absent.cause, "its revision `main` is not in the cache");
    assert!(absent.remedy.contains("HF_HUB_OFFLINE"));
}

#[tokio::test]
async fn only_the_files_needed_are_downloaded() {
    let bench = Bench::new().await;
    let parts = [jsonl("a", 4), jsonl("b", 4), jsonl("c", 4)];
    let names = ["train-00000-of-00003.jsonl", "train-00001-of-00003.jsonl", "train-00002-of-00003.jsonl"];
    let files: Vec<(&str, &[u8], bool)> =
        names.iter().zip(&parts).map(|(n, p)| (*n, p.as_slice(), false)).collect();
    bench.hub.add("o/n", "main", COMMIT, &files, "null");
    let loaded = bench.load(6).await.unwrap();
    assert_eq!(texts(&loaded), ["a 0", "a 1", "a 2", "a 3", "b 0", "b 1"]);
    assert_eq!(loaded.prompts[5].index, 5);
    assert_eq!(loaded.info.rows, None, "not all were read");
    assert_eq!(bench.hub.asked("GET /datasets/").len(), 2);

    let seeded = Options { shuffle_seed: Some(1), ..options("o/n") };
    let drawn = load(&seeded, &bench.env(), 6).await.unwrap();
    assert_eq!(bench.hub.asked("GET /datasets/").len(), 3, "a draw needs them all");
    assert_eq!(drawn.info.rows, Some(12));
    assert_ne!(texts(&drawn), texts(&loaded));
}

#[tokio::test]
async fn a_dataset_with_only_a_script_is_read_from_the_conversion() {
    let bench = Bench::new().await;
    bench.hub.add("o/n", "main", COMMIT, &[("n.py", b"raise", false)], "null");
    let without = bench.load(1).await.unwrap_err();
    assert!(without.cause.starts_with("holds no parquet"), "{without}");
    let other = "f".repeat(40);
    bench.hub.add(
        "o/n",
        "refs/convert/parquet",
        &other,
        &[("default/train/0000.jsonl", &jsonl("c", 3), true)],
        "null",
    );
    let loaded = bench.load(2).await.unwrap();
    assert_eq!(texts(&loaded), ["c 0", "c 1"]);
    assert_eq!(loaded.info.revision, Some(format!("refs/convert/parquet@{other}")));
    assert!(loaded.warnings.iter().any(|warning| warning.contains("conversion")));
}

#[tokio::test]
async fn config_split_and_revision_are_asked_for() {
    let bench = Bench::new().await;
    let files: [(&str, &[u8], bool); 2] =
        [("en/test.jsonl", &jsonl("en", 1), false), ("de/test.jsonl", &jsonl("de", 1), false)];
    bench.hub.add("o/n", "v1.0", COMMIT, &files, "null");
    let chosen = Options {
        config: Some("de".to_owned()),
        split: "test".to_owned(),
        revision: "v1.0".to_owned(),
        ..options("o/n")
    };
    assert_eq!(texts(&load(&chosen, &bench.env(), 1).await.unwrap()), ["de 0"]);
    let no_split = load(&Options { split: "train".to_owned(), ..chosen }, &bench.env(), 1).await.unwrap_err();
    assert_eq!(no_split.cause, "configuration `de` has no split `train`; it has `test`");
}

#[derive(Default)]
struct Heard(Mutex<Vec<(String, u64, Option<u64>)>>);

impl LoadProgress for Heard {
    fn bytes(&self, what: &str, done: u64, total: Option<u64>) {
        self.0.lock().unwrap().push((what.to_owned(), done, total));
    }
}

#[tokio::test]
async fn progress_rises_to_the_total_and_two_loads_at_once_download_once() {
    let bench = Bench::new().await;
    let rows = jsonl("prompt", 20_000);
    bench.hub.add("o/n", "main", COMMIT, &[("train.jsonl", &rows, true)], "null");
    let heard = Heard::default();
    let first = open_with(&options("o/n"), &bench.env()).unwrap();
    let second = open_with(&options("o/n"), &bench.env()).unwrap();
    let (one, two) = tokio::join!(first.load(5, &heard), second.load(5, &heard));
    assert_eq!(one.unwrap(), two.unwrap());
    assert_eq!(bench.hub.asked("GET /blob/").len(), 1);
    let heard = heard.0.into_inner().unwrap();
    let total = rows.len() as u64;
    assert_eq!(heard.last(), Some(&("train.jsonl".to_owned(), total, Some(total))));
    assert!(heard.windows(2).all(|pair| pair[0].1 <= pair[1].1));
}
