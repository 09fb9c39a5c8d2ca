//! What goes wrong on the way, and what is said of it.

use ai_energy_core::FaultKind;
use ai_energy_datasets::HubEnv;

use crate::bench::{Bench, jsonl, load, options};
use crate::server::{COMMIT, Trouble, sha256};

#[tokio::test]
async fn a_cut_download_goes_on_where_it_stopped() {
    let bench = Bench::new().await;
    let rows = jsonl("prompt", 2000);
    bench.hub.add("o/n", "main", COMMIT, &[("train.jsonl", &rows, true)], "null");
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
    let ranges: Vec<Option<String>> =
        bench.hub.asked("GET /blob/").iter().map(|seen| seen.headers.get("range").cloned()).collect();
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
    for (left, gets) in
        [(jsonl("prompt", 500)[..700].to_vec(), 1), (vec![b'#'; 700], 2), (vec![b'#'; 99_999], 1)]
    {
        let bench = Bench::new().await;
        let rows = jsonl("prompt", 500);
        bench.hub.add("o/n", "main", COMMIT, &[("train.jsonl", &rows, true)], "null");
        let blobs = bench.repo().join("blobs");
        std::fs::create_dir_all(&blobs).unwrap();
        std::fs::write(blobs.join(format!("{}.incomplete", sha256(&rows))), &left).unwrap();
        assert_eq!(bench.load(500).await.unwrap().prompts.len(), 500);
        let asked = bench.hub.asked("GET /blob/");
        assert_eq!(asked.len(), gets, "{} bytes left", left.len());
        assert_eq!(asked[0].headers.contains_key("range"), left.len() == 700);
        let names: Vec<_> = std::fs::read_dir(&blobs).unwrap().map(|e| e.unwrap().file_name()).collect();
        assert_eq!(names, [sha256(&rows).as_str()]);
    }
}

#[tokio::test]
async fn a_wrong_checksum_is_refused_and_leaves_nothing() {
    let bench = Bench::new().await;
    bench.hub.add("o/n", "main", COMMIT, &[("train.jsonl", &jsonl("p", 9), true)], "null");
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
    bench.hub.add("o/n", "main", COMMIT, &[("train.jsonl", &jsonl("p", 9), false)], "null");
    bench.hub.trouble("GET /api/", &[Trouble::Status(503, ""), Trouble::Status(429, "")]);
    bench.hub.trouble("HEAD /datasets/", &[Trouble::Hang, Trouble::Status(500, "")]);
    assert_eq!(bench.load(1).await.unwrap().prompts.len(), 1);
    assert_eq!(bench.hub.asked("GET /api/").len(), 3);

    let bench = Bench::new().await;
    bench.hub.trouble("GET /api/", &vec![Trouble::Status(502, ""); 9]);
    let fault = bench.load(1).await.unwrap_err();
    assert!(fault.cause.contains("the hub answered 502 for http://127.0.0.1:"), "{fault}");
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
    assert_eq!(bench.hub.asked("GET /api/").len(), 1, "asking again would not help");
    let typo = load(&options("bulitin"), &bench.env(), 1).await.unwrap_err();
    assert_eq!(typo.remedy, "did you mean `builtin`?");

    bench.hub.trouble("GET /api/", &[Trouble::Status(404, "RevisionNotFound")]);
    assert_eq!(bench.load(1).await.unwrap_err().cause, "has no revision `main`");
    bench.hub.trouble("GET /api/", &[Trouble::Status(401, "")]);
    let private = load(&options("o/n"), &HubEnv { token: None, ..bench.env() }, 1).await.unwrap_err();
    assert!(private.remedy.contains("set HF_TOKEN"), "{private}");

    bench.hub.add("o/n", "main", COMMIT, &[("train.jsonl", &jsonl("p", 9), true)], "null");
    bench.hub.trouble("HEAD /datasets/", &[Trouble::Status(403, "GatedRepo")]);
    let gated = bench.load(1).await.unwrap_err();
    assert_eq!(gated.cause, "is gated");
    assert!(
        gated.remedy.contains(&format!("accept its terms at {}/datasets/o/n", bench.hub.endpoint())),
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
    let fault =
        load(&options("o/n"), &HubEnv { endpoint: endpoint.clone(), ..bench.env() }, 1).await.unwrap_err();
    assert!(
        fault.cause.starts_with(&format!("no answer from {endpoint}/api/datasets/o/n/revision/main")),
        "{fault}"
    );
    assert!(fault.remedy.contains("HF_HUB_OFFLINE=1"));
    let nonsense =
        load(&options("o/n"), &HubEnv { endpoint: "not a url".to_owned(), ..bench.env() }, 1).await;
    assert!(nonsense.unwrap_err().cause.contains("not a url"));
}

#[tokio::test]
async fn a_hostile_file_name_cannot_leave_the_cache() {
    let bench = Bench::new().await;
    bench.hub.add("o/n", "main", COMMIT, &[("../../../evil.jsonl", &jsonl("p", 1), false)], "null");
    assert!(bench.load(1).await.is_err());
    assert!(!bench.folder.path().join("evil.jsonl").exists());
    let other = Bench::new().await;
    other.hub.add("o/n", "main", "../../evil", &[("train.jsonl", &jsonl("p", 1), false)], "null");
    assert!(other.load(1).await.unwrap_err().cause.contains("no usable commit"));
}
