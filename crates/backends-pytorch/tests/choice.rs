//! Which engine runs a model, where its libraries and its files come from: over the example `echo_engine`, shell scripts
//! that stand for programs, and a hub on this machine.

#![cfg(unix)]
#![allow(clippy::unwrap_used, reason = "a failing helper fails its test")]

#[path = "support/engine.rs"]
mod engine;
#[allow(dead_code, reason = "shared by test crates that need parts of it")]
#[path = "../../hub/tests/support/server.rs"]
mod server;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use ai_energy_backends_pytorch::{EngineChoice, EngineOptions, Options, Places, PytorchBackend};
use ai_energy_core::{Backend, CheckOutcome, Fault, FaultKind, LoadProgress};
use ai_energy_hub::{HubEnv, Retry};
use serde_json::json;
use server::{COMMIT, Hub as Server};

struct Bench {
    root: tempfile::TempDir,
    options: Options,
    places: Places,
}

impl Bench {
    fn new() -> Self {
        let engine = EngineOptions { program: Some(engine::path().to_owned()), ..EngineOptions::default() };
        let options = Options { device: "cpu".to_owned(), engine_options: engine, ..Options::default() };
        Self { root: tempfile::tempdir().unwrap(), options, places: Places::default() }
    }

    fn at(&self, name: &str) -> PathBuf {
        self.root.path().join(name)
    }

    fn script(&self, name: &str, text: &str) -> PathBuf {
        let path = self.at(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, format!("#!/bin/sh\n{text}\n")).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        path
    }

    /// A Python with these packages that becomes the example engine when it is given the worker.
    fn python(&self, packages: &str) -> PathBuf {
        let engine = engine::path().display();
        self.script(
            "py/python3",
            &format!("case \"$1\" in -u) exec {engine};; *) printf '{packages}';; esac"),
        )
    }

    fn random(mut self) -> Self {
        self.options.no_weights = Some(true);
        self
    }

    fn backend(&self, model: &str) -> PytorchBackend {
        PytorchBackend::new(model, self.options.clone()).unwrap().with_places(self.places.clone())
    }

    /// A model on this machine, for engines that look at names alone.
    fn folder(&self) -> String {
        self.root.path().display().to_string()
    }

    async fn refused(&self, model: &str) -> Fault {
        self.backend(model).validate().await.unwrap_err()
    }
}

const BOTH: &str = "torch\\t2.11.0\\t/t\\ntransformers\\t5.19.0\\t/f\\n";

#[tokio::test]
async fn auto_takes_the_native_engine_where_it_knows_the_model() {
    let mut bench = Bench::new().random();
    bench.options.engine_options.python = Some(bench.python(BOTH));
    let backend = bench.backend("echo");
    let checks = backend.validate().await.unwrap();
    assert_eq!((checks[0].name.as_str(), checks[0].outcome), ("engine", CheckOutcome::Ok));
    assert_eq!(backend.info().details["engine"], json!("native"));
    assert!(!checks.iter().any(|check| check.name == "weights"), "{checks:?}");
    backend.close().await;
}

#[tokio::test]
async fn random_weights_are_said_where_every_report_shows_it() {
    let bench = Bench::new().random();
    let backend = bench.backend("random");
    let checks = backend.validate().await.unwrap();
    let weights = checks.iter().find(|check| check.name == "weights").unwrap();
    assert_eq!(weights.outcome, CheckOutcome::Warning);
    assert!(weights.detail.contains("random weights"), "{}", weights.detail);
    assert_eq!(backend.info().details["random_weights"], json!(true));
    backend.close().await;
}

#[tokio::test]
async fn auto_falls_back_on_transformers_and_says_why() {
    // The native engine refuses every model; the Python becomes an engine that takes them.
    let mut bench = Bench::new().random();
    let refusing = "echo '{\"type\":\"hello\",\"version\":2,\"program\":\"n\"}'; while read line; do case $line in \
                    *clock*) echo \"{\\\"type\\\":\\\"clock\\\",\\\"seq\\\":$(echo $line | tr -cd 0-9),\\\"t_ns\\\":1}\";; \
                    *load*) echo '{\"type\":\"error\",\"kind\":\"unsupported\",\"object\":\"architecture `X`\",\"message\":\"is not known\"}';; \
                    *) exit 0;; esac; done";
    bench.options.engine_options.program = Some(bench.script("native", refusing));
    bench.options.engine_options.python = Some(bench.python(BOTH));
    let backend = bench.backend(&bench.folder());
    let checks = backend.validate().await.unwrap();
    assert_eq!((checks[0].name.as_str(), checks[0].outcome), ("engine", CheckOutcome::Warning));
    let details = backend.info().details;
    assert_eq!(details["engine"], json!("transformers"));
    let reason = details["engine_reason"].as_str().unwrap();
    assert!(reason.contains("architecture `X`") && reason.contains("is not known"), "{reason}");
    assert!(checks[0].detail.contains(reason), "{}", checks[0].detail);
    backend.close().await;

    bench.options.engine = EngineChoice::Native;
    let fault = bench.refused(&bench.folder()).await;
    assert!(fault.object.contains("architecture `X`"), "{fault}");
    assert!(fault.remedy.contains("backend.engine: transformers"), "{fault}");
}

#[tokio::test]
async fn a_model_that_nobody_can_run_names_both_causes_and_the_pip_command() {
    let mut bench = Bench::new().random();
    let python = bench.python("torch\\t2.11.0\\t/t\\n");
    bench.options.engine_options.python = Some(python.clone());
    let fault = bench.refused("strange").await;
    assert!(
        fault.cause.contains("`Strange`") && fault.cause.contains("has no package `transformers`"),
        "{fault}"
    );
    assert!(
        fault.remedy.contains(&format!("{} -m pip install torch transformers", python.display())),
        "{fault}"
    );
    bench.options.engine = EngineChoice::Transformers;
    let fault = bench.refused(&bench.folder()).await;
    assert!(fault.cause.contains("`transformers`") && fault.remedy.contains("pip install"), "{fault}");
}

#[tokio::test]
async fn without_the_native_engine_transformers_runs_the_model_where_it_is_there() {
    let mut bench = Bench::new().random();
    bench.options.engine_options.program = None;
    bench.places.python = Some(bench.python(BOTH));
    let backend = bench.backend(&bench.folder());
    backend.validate().await.unwrap();
    let details = backend.info().details;
    assert!(details["engine_reason"].as_str().unwrap().contains("not installed"), "{details:?}");
    backend.close().await;
    // A program that was named is meant.
    bench.options.engine_options.program = Some("/nowhere/engine".into());
    assert_eq!(bench.refused(&bench.folder()).await.kind, FaultKind::Usage);
}

#[tokio::test]
async fn a_missing_shared_library_is_looked_for_and_else_named_with_the_remedy() {
    let mut bench = Bench::new().random();
    let engine = engine::path().display();
    let libtorch = bench.at("found/lib");
    let script = format!(
        "case \"$LD_LIBRARY_PATH\" in {}*) exec {engine};; esac\n\
         echo \"$0: error while loading shared libraries: libtorch_cpu.so: cannot open shared object file\" >&2; exit 127",
        libtorch.display()
    );
    bench.options.engine_options.program = Some(bench.script("bin/ai-energy-torch", &script));
    let fault = bench.refused("echo").await;
    assert!(fault.cause.contains("libtorch_cpu.so"), "{fault}");
    assert!(
        fault.remedy.contains("cargo xtask libtorch") && fault.remedy.contains("pip install torch==2.11.*"),
        "{fault}"
    );

    fs::create_dir_all(&libtorch).unwrap();
    fs::write(libtorch.join("libtorch_cpu.so"), "").unwrap();
    bench.places.libtorch = Some(bench.at("found"));
    bench.places.loader_path = Some("/usr/elsewhere".into());
    let backend = bench.backend("echo");
    backend.validate().await.unwrap();
    let path = backend.info().details["LD_LIBRARY_PATH"].as_str().unwrap().to_owned();
    assert_eq!(path, format!("{}:/usr/elsewhere", libtorch.display()));
    backend.close().await;
}

#[tokio::test]
async fn an_engine_sees_the_gpus_of_the_config_and_reports_use_the_configs_numbers() {
    let mut bench = Bench::new().random();
    bench.options.device = "cuda:3".to_owned();
    let backend = bench.backend("echo");
    backend.validate().await.unwrap();
    let info = backend.info();
    assert_eq!(info.device.as_deref(), Some("cuda:3"), "the engine said cuda:0");
    assert_eq!(info.details["CUDA_VISIBLE_DEVICES"], json!("3"));
    assert_eq!(info.details["CUDA_DEVICE_ORDER"], json!("PCI_BUS_ID"));
    assert_eq!(info.details["layers_by_device"], json!({"cuda:3": 2}));
    backend.close().await;
}

/// Keeps what was said about progress.
#[derive(Default)]
struct Told(Mutex<Vec<String>>);

impl LoadProgress for Told {
    fn bytes(&self, what: &str, done: u64, _total: Option<u64>) {
        self.0.lock().unwrap().push(format!("{what} {done}"));
    }
}

async fn hub(bench: &mut Bench) -> Server {
    let server = Server::start().await;
    bench.places.hub = Some(HubEnv {
        endpoint: server.endpoint(),
        token: None,
        cache: bench.at("hub"),
        offline: false,
        retry: Retry { attempts: 2, first_wait: Duration::from_millis(1) },
    });
    server
}

fn cached(bench: &Bench, file: &str) -> PathBuf {
    bench.at("hub/models--o--m/snapshots").join(COMMIT).join(file)
}

#[tokio::test]
async fn a_model_of_the_hub_is_brought_with_the_shards_that_its_list_names() {
    let mut bench = Bench::new();
    let server = hub(&mut bench).await;
    let index =
        br#"{"weight_map": {"a": "w-1.safetensors", "b": "w-2.safetensors", "c": "w-1.safetensors"}}"#;
    let (weights, others) = (vec![7; 3000], vec![8; 3000]);
    let files: [(&str, &[u8], bool); 8] = [
        ("config.json", b"{}", false),
        ("tokenizer.json", b"{}", false),
        ("model.safetensors.index.json", index, false),
        ("w-1.safetensors", &weights, true),
        ("w-2.safetensors", &others, true),
        ("consolidated.safetensors", &weights, true),
        ("pytorch_model.bin", &weights, true),
        ("modeling_m.py", b"", false),
    ];
    server.add_model("o/m", COMMIT, &files);
    let told = Arc::new(Told::default());
    let backend = bench.backend("o/m").with_progress(told.clone());
    let checks = backend.validate().await.unwrap();
    let brought = checks.iter().find(|check| check.name == "model files").unwrap();
    assert_eq!(brought.detail, "5 files of o/m at 01234567");
    assert_eq!(backend.info().details["model_commit"], json!(COMMIT));
    for (file, there) in
        [("config.json", true), ("w-2.safetensors", true), ("consolidated.safetensors", false)]
    {
        assert_eq!(cached(&bench, file).exists(), there, "{file}");
    }
    assert!(!server.seen().iter().any(|seen| seen.line.contains(".bin") || seen.line.contains(".py")));
    let told = told.0.lock().unwrap().clone();
    assert!(told.iter().any(|line| line.contains("w-2.safetensors")), "{told:?}");
    assert_eq!(told.last().map(String::as_str), Some("loading weights 3"));
    backend.close().await;
}

#[tokio::test]
async fn random_weights_need_no_download_of_weights_and_known_shapes_none_at_all() {
    let mut bench = Bench::new().random();
    let server = hub(&mut bench).await;
    let files: [(&str, &[u8], bool); 2] = [("config.json", b"{}", false), ("model.safetensors", b"w", true)];
    server.add_model("o/m", COMMIT, &files);
    // The example engine takes any name but `missing` for a shape it knows.
    let backend = bench.backend("o/m");
    backend.validate().await.unwrap();
    backend.close().await;
    assert!(server.seen().is_empty(), "{:?}", server.seen());

    server.add_model("missing", COMMIT, &files);
    let backend = bench.backend("missing");
    backend.validate().await.unwrap();
    backend.close().await;
    let asked: Vec<String> = server.seen().into_iter().map(|seen| seen.line).collect();
    assert!(asked.iter().any(|line| line.contains("config.json")), "{asked:?}");
    assert!(!asked.iter().any(|line| line.contains("safetensors")), "{asked:?}");
}

#[tokio::test]
async fn one_gguf_file_is_brought_and_a_repository_of_many_lists_them() {
    let mut bench = Bench::new();
    let server = hub(&mut bench).await;
    let files: [(&str, &[u8], bool); 2] = [("m-Q4.gguf", b"GGUF", true), ("m-Q8.gguf", b"GGUF", true)];
    server.add_model("o/m", COMMIT, &files);
    let backend = bench.backend("o/m/m-Q8.gguf");
    let checks = backend.validate().await.unwrap();
    assert!(checks.iter().any(|check| check.detail == "1 file of o/m at 01234567"), "{checks:?}");
    backend.close().await;
    assert!(cached(&bench, "m-Q8.gguf").exists() && !cached(&bench, "m-Q4.gguf").exists());
    let fault = bench.refused("o/m").await;
    assert!(fault.cause.contains("config.json") && fault.remedy.contains("o/m/m-Q4.gguf"), "{fault}");
}

#[tokio::test]
async fn weights_of_another_format_are_transformers_business() {
    let mut bench = Bench::new();
    let server = hub(&mut bench).await;
    let files: [(&str, &[u8], bool); 2] = [("config.json", b"{}", false), ("pytorch_model.bin", b"w", true)];
    server.add_model("o/m", COMMIT, &files);
    bench.options.engine_options.python = Some(bench.python(BOTH));
    let backend = bench.backend("o/m");
    backend.validate().await.unwrap();
    let details = backend.info().details;
    assert!(details["engine_reason"].as_str().unwrap().contains("safetensors"), "{details:?}");
    assert_eq!(details["model"], json!("o/m"), "the worker asks the hub itself");
    assert!(!cached(&bench, "pytorch_model.bin").exists());
    backend.close().await;
}

#[tokio::test]
async fn what_is_nowhere_is_named() {
    let mut bench = Bench::new();
    let server = hub(&mut bench).await;
    let fault = bench.refused("o/unknown").await;
    assert!(fault.object.contains("o/unknown") && !fault.remedy.is_empty(), "{fault}");
    assert!(!server.seen().is_empty());
    assert!(bench.refused("./nowhere").await.cause.contains("./nowhere"));
    assert!(Path::new("/").exists());
}
