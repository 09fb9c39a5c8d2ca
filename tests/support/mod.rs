//! Runs the real program in a folder of its own, against the simulator on 127.0.0.1.

#![allow(dead_code, unreachable_pub, missing_docs, clippy::unwrap_used)]

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;

pub use ai_energy_simulator::{Handle, Options, Simulator};

/// Variables that would make a test depend on who runs it.
const FOREIGN: [&str; 17] = [
    "BENCHMARK_BACKEND",
    "BENCHMARK_MODEL",
    "VLLM_ENDPOINT",
    "NUM_SAMPLES",
    "CONFIG_FILE",
    "RESULTS_DIR",
    "OPENAI_API_KEY",
    "HF_TOKEN",
    "HF_ENDPOINT",
    "RUST_LOG",
    "CUDA_VISIBLE_DEVICES",
    "ROCR_VISIBLE_DEVICES",
    "HIP_VISIBLE_DEVICES",
    "AI_ENERGY_NVML",
    "AI_ENERGY_ROCM_SMI",
    "ELECTRICITYMAPS_API_TOKEN",
    "HTTP_PROXY",
];

/// A folder to run the program in.
pub struct Bench {
    pub folder: TempDir,
}

/// What the program did.
pub struct Done {
    pub code: Option<i32>,
    pub out: String,
    pub err: String,
}

impl Bench {
    pub fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Writes a file into the folder and returns its name.
    pub fn file(&self, name: &str, content: impl AsRef<[u8]>) -> String {
        let path = self.path(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, content).unwrap();
        name.to_owned()
    }

    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_ai-energy-benchmark"));
        FOREIGN.iter().for_each(|name| {
            command.env_remove(name);
        });
        command.current_dir(self.folder.path()).env("HF_HOME", self.path("hf")).env("HF_HUB_OFFLINE", "1");
        // What somebody calibrated on this machine is none of a test's business.
        command.env("XDG_STATE_HOME", self.path("state"));
        command.env("LC_ALL", "C.UTF-8").args(arguments);
        command
    }

    pub fn run(&self, arguments: &[&str]) -> Done {
        done(self.command(arguments).output().unwrap())
    }

    /// The one run folder below `output_dir`.
    pub fn run_folder(&self) -> PathBuf {
        let folders: Vec<_> = std::fs::read_dir(self.path("benchmark_output"))
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .collect();
        assert_eq!(folders.len(), 1, "{folders:?}");
        folders[0].clone()
    }

    pub fn report(&self) -> Value {
        json(&self.run_folder().join("benchmark_report.json"))
    }
}

/// Starts a run that would take minutes, signals it once `after` requests reached the server, and returns what it did.
#[cfg(unix)]
pub fn signalled(signal: &str, after: usize) -> (Bench, Done) {
    let server = serve(quick());
    let bench = Bench::new();
    let address = endpoint(&server);
    let load = ["--dataset", "synthetic", "-n", "5000", "-c", "2", "--max-tokens", "20"];
    let mut command = bench.command(&[&["run", "--endpoint", &address], &load[..]].concat());
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let deadline = Instant::now() + Duration::from_secs(60);
    while server.truth().len() < after {
        assert!(Instant::now() < deadline, "the run does not come to its requests");
        std::thread::sleep(Duration::from_millis(10));
    }
    let sent = Command::new("kill").args([signal, &child.id().to_string()]).status().unwrap();
    assert!(sent.success());
    let done = done(child.wait_with_output().unwrap());
    (bench, done)
}

pub fn done(output: Output) -> Done {
    Done {
        code: output.status.code(),
        out: String::from_utf8(output.stdout).unwrap(),
        err: String::from_utf8(output.stderr).unwrap(),
    }
}

impl Done {
    #[track_caller]
    pub fn expect(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "--- stdout\n{}\n--- stderr\n{}", self.out, self.err);
        self
    }

    /// Standard error says all of this.
    #[track_caller]
    pub fn says(self, words: &[&str]) -> Self {
        for word in words {
            assert!(self.err.contains(word), "standard error does not say `{word}`:\n{}", self.err);
        }
        self
    }
}

pub fn json(path: &Path) -> Value {
    let text = std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    serde_json::from_str(&text).unwrap()
}

pub fn lines(path: &Path) -> Vec<Value> {
    std::fs::read_to_string(path).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// A simulator that answers at once.
pub fn quick() -> Options {
    Options { ttft: "2ms".parse().unwrap(), inter_token: "1ms".parse().unwrap(), ..Options::default() }
}

/// Starts a simulator on threads of its own.
pub fn serve(options: Options) -> Handle {
    Simulator::spawn_thread(options).unwrap()
}

pub fn endpoint(server: &Handle) -> String {
    format!("http://{}/v1", server.local_addr())
}
