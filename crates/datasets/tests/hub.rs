//! The hub client against a hub on this machine: what it asks, whom it trusts with the token, what it keeps, and
//! what it says when things go wrong.

mod support;

use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::Duration;

use ai_energy_core::{Fault, FaultKind, LoadProgress, LoadedPrompts};
use ai_energy_datasets::{HubEnv, Options, Retry, open_with};
use support::{COMMIT, Hub, Trouble, sha256};

struct Bench {
    hub: Hub,
    folder: tempfile::TempDir,
}

impl Bench {
    async fn new() -> Self {
        Self {
            hub: Hub::start().await,
            folder: tempfile::tempdir().unwrap(),
        }
    }

    fn env(&self) -> HubEnv {
        HubEnv {
            endpoint: self.hub.endpoint(),
            token: Some("hf_secret".to_owned()),
            cache: self.folder.path().join("hub"),
            offline: false,
            retry: Retry {
                attempts: 3,
                first_wait: Duration::from_millis(1),
            },
        }
    }

    fn repo(&self) -> PathBuf {
        self.folder.path().join("hub/datasets--o--n")
    }

    async fn load(&self, limit: usize) -> Result<LoadedPrompts, Fault> {
        load(&options("o/n"), &self.env(), limit).await
    }
}

fn options(name: &str) -> Options {
    Options {
        dataset_name: name.to_owned(),
        ..Options::default()
    }
}

async fn load(options: &Options, env: &HubEnv, limit: usize) -> Result<LoadedPrompts, Fault> {
    open_with(options, env).unwrap().load(limit, &()).await
}

fn texts(loaded: &LoadedPrompts) -> Vec<&str> {
    loaded
        .prompts
        .iter()
        .map(|prompt| prompt.messages[0].content.as_str())
        .collect()
}

fn jsonl(prefix: &str, count: usize) -> Vec<u8> {
    (0..count)
        .map(|n| format!("{{\"text\": \"{prefix} {n}\"}}\n"))
        .collect::<String>()
        .into_bytes()
}

#[tokio::test]
async fn a_large_file_comes_by_redirect_without_the_token_and_lies_as_python_puts_it() {
    let bench = Bench::new().await;
    let rows = jsonl("prompt", 30);
    bench.hub.add(
        "o/n",
        "main",
        COMMIT,
        &[("data/train.jsonl", &rows, true)],
        "null",
    );
    let loaded = bench.load(3).await.unwrap();
    assert_eq!(texts(&loaded), ["prompt 0", "prompt 1", "prompt 2"]);
    assert_eq!(
        (loaded.info.kind.as_str(), loaded.info.revision.as_deref()),
        ("hub", Some(COMMIT))
    );

    for seen in bench.hub.seen() {
        let token = seen.headers.get("authorization").map(String::as_str);
        let expected = (seen.port == bench.hub.port).then_some("Bearer hf_secret");
        assert_eq!(token, expected, "{}", seen.line);
    }
    assert_eq!(
        bench
            .hub
            .seen()
            .iter()
            .filter(|seen| seen.port == bench.hub.cdn)
            .count(),
        1
    );

    let repo = bench.repo();
    assert_eq!(std::fs::read_to_string(repo.join("refs/main")).unwrap(), COMMIT);
    assert_eq!(
        std::fs::read(repo.join("blobs").join(sha256(&rows))).unwrap(),
        rows
    );
    let pointer = repo.join("snapshots").join(COMMIT).join("data/train.jsonl");
    let expected = format!("../../../blobs/{}", sha256(&rows));
    assert_eq!(std::fs::read_link(&pointer).unwrap(), Path::new(&expected));
    assert_eq!(std::fs::read(&pointer).unwrap(), rows);
}

#[tokio::test]
async fn what_is_cached_is_not_downloaded_again_and_serves_offline_and_in_an_outage() {
    let bench = Bench::new().await;
    let card = r#"{"configs":[{"config_name":"odd","data_files":[{"split":"train","path":"x/odd_*"}]}]}"#;
    bench.hub.add(
        "o/n",
        "main",
        COMMIT,
        &[("x/odd_test.jsonl", &jsonl("p", 5), true)],
        card,
    );
    let first = bench.load(5).await.unwrap();
    let second = bench.load(5).await.unwrap();
    assert_eq!(first, second);
    assert_eq!(bench.hub.asked("GET /datasets/").len(), 1);

    let before = bench.hub.seen().len();
    let offline = load(
        &options("o/n"),
        &HubEnv {
            offline: true,
            ..bench.env()
        },
        5,
    )
    .await
    .unwrap();
    assert_eq!(offline, first, "offline chooses as the card says");
    assert_eq!(bench.hub.seen().len(), before, "offline asks nobody");

    bench.hub.trouble("GET /api/", &vec![Trouble::Hang; 9]);
    let outage = bench.load(5).await.unwrap();
    assert_eq!(texts(&outage), texts(&first));
    assert!(
        outage.warnings[0].contains("the cached copy is used"),
        "{:?}",
        outage.warnings
    );
}

#[tokio::test]
async fn a_cache_that_python_filled_serves_offline() {
    let bench = Bench::new().await;
    let snapshot = bench.repo().join("snapshots").join(COMMIT);
    std::fs::create_dir_all(snapshot.join("data")).unwrap();
    std::fs::create_dir_all(bench.repo().join("refs")).unwrap();
    std::fs::write(bench.repo().join("refs/main"), COMMIT).unwrap();
    std::fs::write(snapshot.join("data/train-00000-of-00001.jsonl"), jsonl("p", 2)).unwrap();
    let offline = load(
        &options("o/n"),
        &HubEnv {
            offline: true,
            ..bench.env()
        },
        2,
    )
    .await
    .unwrap();
    assert_eq!(texts(&offline), ["p 0", "p 1"]);
    let absent = load(
        &options("o/other"),
        &HubEnv {
            offline: true,
            ..bench.env()
        },
        2,
    )
    .await
    .unwrap_err();
    assert_eq!(absent.cause, "its revision `main` is not in the cache");
    assert!(absent.remedy.contains("HF_HUB_OFFLINE"));
}

#[tokio::test]
async fn only_the_files_needed_are_downloaded() {
    let bench = Bench::new().await;
    let parts = [jsonl("a", 4), jsonl("b", 4), jsonl("c", 4)];
    let names = [
        "train-00000-of-00003.jsonl",
        "train-00001-of-00003.jsonl",
        "train-00002-of-00003.jsonl",
    ];
    let files: Vec<(&str, &[u8], bool)> = names
        .iter()
        .zip(&parts)
        .map(|(n, p)| (*n, p.as_slice(), false))
        .collect();
    bench.hub.add("o/n", "main", COMMIT, &files, "null");
    let loaded = bench.load(6).await.unwrap();
    assert_eq!(texts(&loaded), ["a 0", "a 1", "a 2", "a 3", "b 0", "b 1"]);
    assert_eq!(loaded.prompts[5].index, 5);
    assert_eq!(loaded.info.rows, None, "not all were read");
    assert_eq!(bench.hub.asked("GET /datasets/").len(), 2);

    let seeded = Options {
        shuffle_seed: Some(1),
        ..options("o/n")
    };
    let drawn = load(&seeded, &bench.env(), 6).await.unwrap();
    assert_eq!(
        bench.hub.asked("GET /datasets/").len(),
        3,
        "a draw needs them all"
    );
    assert_eq!(drawn.info.rows, Some(12));
    assert_ne!(texts(&drawn), texts(&loaded));
}

#[tokio::test]
async fn a_cut_download_goes_on_where_it_stopped() {
    let bench = Bench::new().await;
    let rows = jsonl("prompt", 2000);
    bench
        .hub
        .add("o/n", "main", COMMIT, &[("train.jsonl", &rows, true)], "null");
    // More cuts than attempts: each brings bytes, hence none counts as the last.
    let cuts = [
        Trouble::CutAfter(1000),
        Trouble::Hang,
        Trouble::CutAfter(2000),
        Trouble::CutAfter(3000),
        Trouble::CutAfter(10),
    ];
    bench.hub.trouble("GET /blob/", &cuts);
    let loaded = bench.load(2000).await.unwrap();
    assert_eq!(loaded.prompts.len(), 2000);
    let ranges: Vec<Option<String>> = bench
        .hub
        .asked("GET /blob/")
        .iter()
        .map(|seen| seen.headers.get("range").cloned())
        .collect();
    let expected = [
        None,
        Some("bytes=1000-"),
        Some("bytes=1000-"),
        Some("bytes=3000-"),
        Some("bytes=6000-"),
        Some("bytes=6010-"),
    ];
    assert_eq!(ranges, expected.map(|range| range.map(str::to_owned)));
}

#[tokio::test]
async fn a_download_left_by_an_earlier_run_is_resumed_and_rubbish_is_replaced() {
    for (left, gets) in [
        (jsonl("prompt", 500)[..700].to_vec(), 1),
        (vec![b'#'; 700], 2),
        (vec![b'#'; 99_999], 1),
    ] {
        let bench = Bench::new().await;
        let rows = jsonl("prompt", 500);
        bench
            .hub
            .add("o/n", "main", COMMIT, &[("train.jsonl", &rows, true)], "null");
        let blobs = bench.repo().join("blobs");
        std::fs::create_dir_all(&blobs).unwrap();
        std::fs::write(blobs.join(format!("{}.incomplete", sha256(&rows))), &left).unwrap();
        assert_eq!(bench.load(500).await.unwrap().prompts.len(), 500);
        let asked = bench.hub.asked("GET /blob/");
        assert_eq!(asked.len(), gets, "{} bytes left", left.len());
        assert_eq!(asked[0].headers.contains_key("range"), left.len() == 700);
        let names: Vec<_> = std::fs::read_dir(&blobs)
            .unwrap()
            .map(|e| e.unwrap().file_name())
            .collect();
        assert_eq!(names, [sha256(&rows).as_str()]);
    }
}

#[tokio::test]
async fn a_wrong_checksum_is_refused_and_leaves_nothing() {
    let bench = Bench::new().await;
    bench.hub.add(
        "o/n",
        "main",
        COMMIT,
        &[("train.jsonl", &jsonl("p", 9), true)],
        "null",
    );
    bench.hub.lie("train.jsonl", &"ab".repeat(32));
    let fault = bench.load(1).await.unwrap_err();
    assert!(
        fault.cause.starts_with("train.jsonl: its SHA-256 is ") && fault.cause.ends_with("was announced"),
        "{fault}"
    );
    assert_eq!(std::fs::read_dir(bench.repo().join("blobs")).unwrap().count(), 0);
    assert!(!bench.repo().join("snapshots").exists());
}

#[tokio::test]
async fn failures_that_pass_are_met_with_patience_and_others_are_not() {
    let bench = Bench::new().await;
    bench.hub.add(
        "o/n",
        "main",
        COMMIT,
        &[("train.jsonl", &jsonl("p", 9), false)],
        "null",
    );
    bench
        .hub
        .trouble("GET /api/", &[Trouble::Status(503, ""), Trouble::Status(429, "")]);
    bench
        .hub
        .trouble("HEAD /datasets/", &[Trouble::Hang, Trouble::Status(500, "")]);
    assert_eq!(bench.load(1).await.unwrap().prompts.len(), 1);
    assert_eq!(bench.hub.asked("GET /api/").len(), 3);

    let bench = Bench::new().await;
    bench.hub.trouble("GET /api/", &vec![Trouble::Status(502, ""); 9]);
    let fault = bench.load(1).await.unwrap_err();
    assert!(
        fault.cause.contains("the hub answered 502 for http://127.0.0.1:"),
        "{fault}"
    );
    assert_eq!(bench.hub.asked("GET /api/").len(), 3, "three attempts");
    assert_eq!(fault.kind, FaultKind::Internal);
}

#[tokio::test]
async fn refusals_say_what_to_do() {
    let bench = Bench::new().await;
    let missing = bench.load(1).await.unwrap_err();
    assert_eq!(
        (missing.kind, missing.object.as_str(), missing.cause.as_str()),
        (FaultKind::Usage, "dataset o/n", "is not on the hub")
    );
    assert_eq!(
        bench.hub.asked("GET /api/").len(),
        1,
        "asking again would not help"
    );
    let typo = load(&options("bulitin"), &bench.env(), 1).await.unwrap_err();
    assert_eq!(typo.remedy, "did you mean `builtin`?");

    bench
        .hub
        .trouble("GET /api/", &[Trouble::Status(404, "RevisionNotFound")]);
    assert_eq!(bench.load(1).await.unwrap_err().cause, "has no revision `main`");
    bench.hub.trouble("GET /api/", &[Trouble::Status(401, "")]);
    let private = load(
        &options("o/n"),
        &HubEnv {
            token: None,
            ..bench.env()
        },
        1,
    )
    .await
    .unwrap_err();
    assert!(private.remedy.contains("set HF_TOKEN"), "{private}");

    bench.hub.add(
        "o/n",
        "main",
        COMMIT,
        &[("train.jsonl", &jsonl("p", 9), true)],
        "null",
    );
    bench
        .hub
        .trouble("HEAD /datasets/", &[Trouble::Status(403, "GatedRepo")]);
    let gated = bench.load(1).await.unwrap_err();
    assert_eq!(gated.cause, "is gated");
    assert!(
        gated.remedy.contains(&format!(
            "accept its terms at {}/datasets/o/n",
            bench.hub.endpoint()
        )),
        "{gated}"
    );
    assert!(!gated.to_string().contains("hf_secret"));
}

#[tokio::test]
async fn nobody_there_is_told_with_the_way_out() {
    let bench = Bench::new().await;
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let fault = load(
        &options("o/n"),
        &HubEnv {
            endpoint: endpoint.clone(),
            ..bench.env()
        },
        1,
    )
    .await
    .unwrap_err();
    assert!(
        fault.cause.starts_with(&format!(
            "no answer from {endpoint}/api/datasets/o/n/revision/main"
        )),
        "{fault}"
    );
    assert!(fault.remedy.contains("HF_HUB_OFFLINE=1"));
    let nonsense = load(
        &options("o/n"),
        &HubEnv {
            endpoint: "not a url".to_owned(),
            ..bench.env()
        },
        1,
    )
    .await;
    assert!(nonsense.unwrap_err().cause.contains("not a url"));
}

#[tokio::test]
async fn a_dataset_with_only_a_script_is_read_from_the_conversion() {
    let bench = Bench::new().await;
    bench
        .hub
        .add("o/n", "main", COMMIT, &[("n.py", b"raise", false)], "null");
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
    assert_eq!(
        loaded.info.revision,
        Some(format!("refs/convert/parquet@{other}"))
    );
    assert!(
        loaded
            .warnings
            .iter()
            .any(|warning| warning.contains("conversion"))
    );
}

#[tokio::test]
async fn config_split_and_revision_are_asked_for() {
    let bench = Bench::new().await;
    let files: [(&str, &[u8], bool); 2] = [
        ("en/test.jsonl", &jsonl("en", 1), false),
        ("de/test.jsonl", &jsonl("de", 1), false),
    ];
    bench.hub.add("o/n", "v1.0", COMMIT, &files, "null");
    let chosen = Options {
        config: Some("de".to_owned()),
        split: "test".to_owned(),
        revision: "v1.0".to_owned(),
        ..options("o/n")
    };
    assert_eq!(texts(&load(&chosen, &bench.env(), 1).await.unwrap()), ["de 0"]);
    let no_split = load(
        &Options {
            split: "train".to_owned(),
            ..chosen
        },
        &bench.env(),
        1,
    )
    .await
    .unwrap_err();
    assert_eq!(
        no_split.cause,
        "configuration `de` has no split `train`; it has `test`"
    );
}

#[tokio::test]
async fn a_hostile_file_name_cannot_leave_the_cache() {
    let bench = Bench::new().await;
    bench.hub.add(
        "o/n",
        "main",
        COMMIT,
        &[("../../../evil.jsonl", &jsonl("p", 1), false)],
        "null",
    );
    assert!(bench.load(1).await.is_err());
    assert!(!bench.folder.path().join("evil.jsonl").exists());
    let other = Bench::new().await;
    other.hub.add(
        "o/n",
        "main",
        "../../evil",
        &[("train.jsonl", &jsonl("p", 1), false)],
        "null",
    );
    assert!(
        other
            .load(1)
            .await
            .unwrap_err()
            .cause
            .contains("no usable commit")
    );
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
    bench
        .hub
        .add("o/n", "main", COMMIT, &[("train.jsonl", &rows, true)], "null");
    let heard = Heard::default();
    let first = open_with(&options("o/n"), &bench.env()).unwrap();
    let second = open_with(&options("o/n"), &bench.env()).unwrap();
    let (one, two) = tokio::join!(first.load(5, &heard), second.load(5, &heard));
    assert_eq!(one.unwrap(), two.unwrap());
    assert_eq!(bench.hub.asked("GET /blob/").len(), 1);
    let heard = heard.0.into_inner().unwrap();
    let total = rows.len() as u64;
    assert_eq!(
        heard.last(),
        Some(&("train.jsonl".to_owned(), total, Some(total)))
    );
    assert!(heard.windows(2).all(|pair| pair[0].1 <= pair[1].1));
}
