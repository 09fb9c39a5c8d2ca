//! What a snapshot brings, where it lies, and what is said when it cannot be brought.

use std::path::PathBuf;
use std::time::Duration;

use crate::server::{COMMIT, Hub as Server, Trouble, sha256};
use ai_energy_core::FaultKind;
use ai_energy_hub::{Hub, HubEnv, Repo, Retry, Snapshot};

struct Bench {
    server: Server,
    folder: tempfile::TempDir,
}

impl Bench {
    async fn new() -> Self {
        Self { server: Server::start().await, folder: tempfile::tempdir().unwrap() }
    }

    fn env(&self) -> HubEnv {
        HubEnv {
            endpoint: self.server.endpoint(),
            token: Some("hf_secret".to_owned()),
            cache: self.folder.path().join("hub"),
            offline: false,
            retry: Retry { attempts: 2, first_wait: Duration::from_millis(1) },
        }
    }

    fn hub(&self) -> Hub {
        Hub::new(Repo::model("o/m"), &self.env()).unwrap()
    }

    fn repo(&self) -> PathBuf {
        self.folder.path().join("hub/models--o--m")
    }

    fn stock(&self, weights: &[u8]) {
        let files: [(&str, &[u8], bool); 4] = [
            ("config.json", b"{}", false),
            ("model.safetensors", weights, true),
            ("onnx/model.onnx", b"not wanted", true),
            ("README.md", b"# m", false),
        ];
        self.server.add_model("o/m", COMMIT, &files);
    }
}

fn wanted(file: &str) -> bool {
    file.ends_with(".json") || file.ends_with(".safetensors")
}

fn names(snapshot: &Snapshot) -> Vec<&str> {
    snapshot.files.iter().map(String::as_str).collect()
}

#[tokio::test]
async fn the_chosen_files_lie_where_python_looks_for_them_and_no_others_are_asked_for() {
    let bench = Bench::new().await;
    let weights = vec![7; 50_000];
    bench.stock(&weights);
    let snapshot = bench.hub().snapshot(wanted, &()).await.unwrap();
    assert_eq!(names(&snapshot), ["config.json", "model.safetensors"]);
    assert_eq!(snapshot.folder, bench.repo().join("snapshots").join(COMMIT));
    assert_eq!(std::fs::read(snapshot.folder.join("model.safetensors")).unwrap(), weights);
    assert!(bench.repo().join("blobs").join(sha256(&weights)).is_file());
    assert_eq!(std::fs::read_to_string(bench.repo().join("refs/main")).unwrap(), COMMIT);
    assert!(bench.server.asked("HEAD /o/m/resolve/").len() == 2, "models live at the root");
    assert!(!bench.server.seen().iter().any(|seen| seen.line.contains("onnx")));

    let gets = bench.server.asked("GET /blob/").len();
    let again = bench.hub().snapshot(wanted, &()).await.unwrap();
    assert_eq!(again, snapshot);
    assert_eq!(bench.server.asked("GET /blob/").len(), gets, "nothing twice");
}

#[tokio::test]
async fn a_model_that_is_cached_serves_offline_and_while_the_hub_is_down() {
    let bench = Bench::new().await;
    bench.stock(b"weights");
    let first = bench.hub().snapshot(wanted, &()).await.unwrap();
    let before = bench.server.seen().len();
    let offline = HubEnv { offline: true, ..bench.env() };
    let mut hub = Hub::new(Repo::model("o/m"), &offline).unwrap();
    assert_eq!(hub.snapshot(wanted, &()).await.unwrap(), first);
    assert_eq!(bench.server.seen().len(), before, "offline asks nobody");

    bench.server.trouble("GET /api/", &vec![Trouble::Status(503, ""); 9]);
    let outage = bench.hub().snapshot(wanted, &()).await.unwrap();
    assert_eq!((&outage.folder, outage.warnings.len()), (&first.folder, 1));
    assert!(outage.warnings[0].starts_with("model o/m: the hub does not answer"), "{:?}", outage.warnings);
    // What the cache lacks is missing because of the outage, and that is what is said.
    let lacking = bench.hub().snapshot(|file| file == "README.md", &()).await.unwrap_err();
    assert!(lacking.cause.contains("the hub answered 503"), "{lacking}");
    let missing =
        Hub::new(Repo::model("o/other"), &offline).unwrap().snapshot(wanted, &()).await.unwrap_err();
    assert_eq!(missing.cause, "its revision `main` is not in the cache");
}

#[tokio::test]
async fn refusals_speak_of_models_and_keep_the_token() {
    let bench = Bench::new().await;
    let absent = bench.hub().snapshot(wanted, &()).await.unwrap_err();
    assert_eq!(
        (absent.kind, absent.object.as_str(), absent.cause.as_str()),
        (FaultKind::Usage, "model o/m", "is not on the hub")
    );
    assert!(absent.remedy.contains("local folder"), "{absent}");
    bench.stock(b"weights");
    let none = bench.hub().snapshot(|file| file.ends_with(".gguf"), &()).await.unwrap_err();
    assert_eq!(none.cause, "holds none of the files that are needed, among 4");
    bench.server.trouble("HEAD /o/m", &[Trouble::Status(403, "GatedRepo")]);
    let gated = bench.hub().snapshot(wanted, &()).await.unwrap_err();
    let page = format!("accept its terms at {}/o/m,", bench.server.endpoint());
    assert!(gated.remedy.starts_with(&page), "{gated}");
    assert!(!gated.to_string().contains("hf_secret"));
}
