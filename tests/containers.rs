//! The containers' files without a container: the entrypoint as a script in a bare folder, the rest by their rules.

#![cfg(unix)]
#![allow(clippy::unwrap_used, clippy::print_stdout)]

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;

fn containers() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../packaging/containers")
}

fn text(name: &str) -> String {
    std::fs::read_to_string(containers().join(name)).unwrap()
}

/// A folder with a program in it that says what it was called with.
struct Bare(tempfile::TempDir);

impl Bare {
    fn new() -> Self {
        let bare = Self(tempfile::tempdir().unwrap());
        let program =
            "#!/bin/sh\necho \"$# args: $*\"\necho \"backend=$BENCHMARK_BACKEND results=${RESULTS_DIR:-}\"\n";
        std::fs::write(bare.path("program"), program).unwrap();
        std::fs::set_permissions(bare.path("program"), std::fs::Permissions::from_mode(0o755)).unwrap();
        bare
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// Calls the entrypoint with these variables and nothing else but a `PATH`.
    fn call(&self, variables: &[(&str, &str)], arguments: &[&str]) -> Output {
        let mut command = Command::new("sh");
        command.arg(containers().join("entrypoint.sh")).args(arguments).env_clear();
        command.env("PATH", "/usr/bin:/bin").env("AI_ENERGY_BENCHMARK", self.path("program"));
        command.env("RESULTS_DIR", self.path("results")).envs(variables.iter().copied());
        command.output().unwrap()
    }

    #[track_caller]
    fn says(&self, variables: &[(&str, &str)], arguments: &[&str]) -> String {
        let output = self.call(variables, arguments);
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap()
    }

    #[track_caller]
    fn refuses(&self, variables: &[(&str, &str)], arguments: &[&str]) -> String {
        let output = self.call(variables, arguments);
        assert_eq!(output.status.code(), Some(2), "{output:?}");
        String::from_utf8(output.stderr).unwrap()
    }
}

#[test]
fn the_old_call_runs_on_pytorch_into_the_results_folder() {
    let bare = Bare::new();
    let said = bare.says(&[], &["--config-name", "text_generation", "backend.model=a b"]);
    let results = bare.path("results");
    assert!(said.contains("3 args: --config-name text_generation backend.model=a b\n"), "{said}");
    assert!(said.contains(&format!("backend=pytorch results={}", results.display())), "{said}");
    assert!(results.is_dir(), "it makes the folder");
}

#[test]
fn a_server_must_be_named_somewhere() {
    let bare = Bare::new();
    let vllm = ("BENCHMARK_BACKEND", "vllm");
    let error = bare.refuses(&[vllm], &["run"]);
    assert!(error.contains("VLLM_ENDPOINT") && error.contains("hint"), "{error}");
    assert!(bare.says(&[vllm, ("VLLM_ENDPOINT", "http://h/v1")], &["run"]).contains("backend=vllm"));
    for named in ["--endpoint=http://h/v1", "backend.endpoint=http://h/v1", "bench.yaml"] {
        bare.says(&[vllm], &["run", named]);
    }
    bare.says(&[vllm, ("CONFIG_FILE", "c.yaml")], &[]);
    bare.says(&[vllm], &["--version"]);
}

#[test]
fn unknown_backends_are_refused_by_name() {
    let bare = Bare::new();
    let error = bare.refuses(&[("BENCHMARK_BACKEND", "optimum")], &["--config-name", "x"]);
    assert!(error.contains("optimum") && error.contains("pytorch") && error.contains("vllm"), "{error}");
    let error = bare.refuses(&[("BENCHMARK_BACKEND", "tgi")], &[]);
    assert!(error.contains("BENCHMARK_BACKEND=tgi"), "{error}");
}

#[test]
fn a_results_folder_that_cannot_be_written_is_said_before_anything_runs() {
    let bare = Bare::new();
    std::fs::write(bare.path("file"), "in the way").unwrap();
    let blocked = bare.path("file").join("results");
    let error = bare.refuses(&[("RESULTS_DIR", blocked.to_str().unwrap())], &["run"]);
    assert!(error.contains("cannot be written") && error.contains("--user"), "{error}");
    // What benchmarks nothing needs no folder.
    bare.says(&[("RESULTS_DIR", blocked.to_str().unwrap())], &["doctor"]);
}

#[test]
fn the_exit_code_is_the_programs() {
    let bare = Bare::new();
    std::fs::write(bare.path("program"), "#!/bin/sh\nexit 4\n").unwrap();
    assert_eq!(bare.call(&[], &["run"]).status.code(), Some(4));
}

/// The real program behind the entrypoint, in a folder with nothing else: results lie in the folder itself.
#[test]
fn a_run_through_the_entrypoint_leaves_its_files_where_containers_expect_them() {
    let bare = Bare::new();
    let server =
        ai_energy_simulator::Simulator::spawn_thread(ai_energy_simulator::Options::default()).unwrap();
    let endpoint = format!("http://{}/v1", server.local_addr());
    let variables = [
        ("AI_ENERGY_BENCHMARK", env!("CARGO_BIN_EXE_ai-energy-benchmark")),
        ("BENCHMARK_BACKEND", "vllm"),
        ("VLLM_ENDPOINT", &endpoint),
        ("NUM_SAMPLES", "2"),
    ];
    let fast = ["--model", "simulated", "--dataset", "builtin", "--max-tokens", "4"];
    let said = bare.says(&variables, &fast);
    for file in
        ["benchmark_report.json", "GPU_ENERGY_WH.txt", "GPU_ENERGY_SUMMARY.json", "benchmark_results.csv"]
    {
        assert!(bare.path("results").join(file).is_file(), "{file} is missing: {said}");
    }
}

/// A Dockerfile's instructions, continued lines joined.
fn instructions(name: &str) -> Vec<String> {
    let text = text(name).replace("\\\n", " ");
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
    lines.map(str::to_owned).collect()
}

#[test]
fn dockerfiles_keep_the_rules_that_their_linters_have() {
    for name in ["Dockerfile", "Dockerfile.pytorch"] {
        let all = instructions(name);
        let with = |word: &str| all.iter().filter(|line| line.starts_with(word)).collect::<Vec<_>>();
        for from in with("FROM ") {
            let image = from.split_whitespace().nth(1).unwrap();
            let tag = image.split_once(':').map_or("", |(_, tag)| tag);
            assert!(!tag.is_empty() && tag != "latest", "{name}: {from}: name a version");
        }
        let user = all.iter().rposition(|line| line.starts_with("USER ")).unwrap();
        assert!(!all[user].contains("root"), "{name} runs as root");
        assert!(!all[user..].iter().any(|line| line.starts_with("RUN ")), "{name}: RUN after USER");
        for run in with("RUN ") {
            if run.contains("apt-get install") {
                for part in
                    ["apt-get update", "--no-install-recommends", "--yes", "rm -rf /var/lib/apt/lists/*"]
                {
                    assert!(run.contains(part), "{name}: {run} lacks {part}");
                }
            }
            assert!(!run.contains("pip install") || run.contains("--no-cache-dir"), "{name}: {run}");
            assert!(!run.contains("sudo ") && !run.contains("curl "), "{name}: {run}");
        }
        assert!(with("ADD ").is_empty(), "{name}: COPY does what is meant");
        for word in ["HEALTHCHECK ", "ENTRYPOINT [", "CMD [", "WORKDIR /", "VOLUME [\"/results\"]"] {
            assert_eq!(with(word).len(), 1, "{name}: {word}");
        }
        // All that is copied is let into the context.
        let ignored = text(".dockerignore");
        for copy in with("COPY ").iter().filter(|line| !line.contains("--from=")) {
            let source =
                copy.split_whitespace().find(|word| !word.starts_with("--") && *word != "COPY").unwrap();
            assert!(
                ignored.contains(&format!("!{}", source.trim_end_matches('/'))),
                "{name}: {source} is ignored"
            );
        }
    }
}

fn yaml(name: &str) -> Value {
    serde_saphyr::from_str(&text(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

#[test]
fn compose_files_wait_for_what_they_need_and_write_as_the_caller() {
    for (name, needed) in [("compose.vllm.yaml", "vllm"), ("compose.dcgm.yaml", "prometheus")] {
        let compose = yaml(name);
        let benchmark = &compose["services"]["benchmark"];
        assert_eq!(benchmark["depends_on"][needed]["condition"], "service_healthy", "{name}");
        assert!(compose["services"][needed]["healthcheck"]["test"].is_array(), "{name}");
        assert!(benchmark["user"].as_str().unwrap().contains("USER_ID"), "{name}");
        let mounts = benchmark["volumes"].as_array().unwrap();
        assert!(mounts.iter().any(|mount| mount.as_str().unwrap().ends_with(":/results")), "{name}");
        for service in compose["services"].as_object().unwrap().values() {
            let image = service["image"].as_str().unwrap();
            assert!(image.contains(':') || service["build"].is_object(), "{name}: {image}: name a version");
            assert!(!image.ends_with(":latest"), "{name}: {image}");
        }
    }
    // What the benchmark is told, the program understands.
    let command = yaml("compose.dcgm.yaml")["services"]["benchmark"]["command"].clone();
    let overrides = command.as_array().unwrap().iter().skip(1).map(|part| part.as_str().unwrap().to_owned());
    let source = ai_energy_cli::args::ConfigSource { inputs: overrides.collect(), ..Default::default() };
    ai_energy_cli::resolve::resolve_with(&source, &|_| None).unwrap();
}

#[test]
fn jobs_run_once_as_nobody_special_and_with_arguments_that_resolve() {
    for name in ["kubernetes/benchmark-server.yaml", "kubernetes/benchmark-pytorch.yaml"] {
        let job = yaml(name);
        assert_eq!((&job["kind"], &job["apiVersion"]), (&"Job".into(), &"batch/v1".into()), "{name}");
        assert_eq!(job["spec"]["backoffLimit"], 0, "{name}: a failed run is not measured twice");
        let pod = &job["spec"]["template"]["spec"];
        assert_eq!(pod["securityContext"]["runAsNonRoot"], true, "{name}");
        assert_eq!(pod["restartPolicy"], "Never", "{name}");
        let container = &pod["containers"][0];
        let image = container["image"].as_str().unwrap();
        let version = env!("CARGO_PKG_VERSION");
        assert!(image.ends_with(&format!(":{version}")), "{name}: {image} is not of version {version}");
        let volumes: Vec<&Value> =
            pod["volumes"].as_array().unwrap().iter().map(|volume| &volume["name"]).collect();
        for mount in container["volumeMounts"].as_array().unwrap() {
            assert!(volumes.contains(&&mount["name"]), "{name}: {mount}");
        }
        let arguments = container["args"].as_array().unwrap().iter().map(|part| part.as_str().unwrap());
        let inputs = arguments.filter(|part| part.contains('=')).map(str::to_owned).collect();
        let source = ai_energy_cli::args::ConfigSource { inputs, ..Default::default() };
        ai_energy_cli::resolve::resolve_with(&source, &|_| None).unwrap();
    }
}
