//! The whole path: a real process, a real socket, real files.

#![allow(clippy::unwrap_used)]

mod support;

use std::collections::BTreeMap;

use serde_json::Value;
use support::{Bench, endpoint, json, lines, quick, serve};

#[test]
fn one_command_measures_and_writes_every_report() {
    let server = serve(quick());
    let bench = Bench::new();
    let done = bench
        .run(&["run", "--endpoint", &endpoint(&server), "-n", "6", "-c", "2", "--max-tokens", "12"])
        .expect(0);
    assert!(done.out.contains("ENERGY") && done.out.contains("SPEED"), "{}", done.out);
    assert!(
        done.out.to_lowercase().contains("synthetic"),
        "a simulated server is said to be one:\n{}",
        done.out
    );
    let folder = bench.run_folder();
    for name in [
        "benchmark_report.json",
        "benchmark_results.csv",
        "emissions.csv",
        "GPU_ENERGY_WH.txt",
        "GPU_ENERGY_SUMMARY.json",
        "requests.jsonl",
        "readings.jsonl",
        "record.json",
    ] {
        assert!(folder.join(name).metadata().unwrap().len() > 0, "{name}");
        assert!(
            done.out.contains(name) || done.out.contains(&*folder.file_name().unwrap().to_string_lossy())
        );
    }
    let report = bench.report();
    assert_eq!(report["summary"]["total_prompts"], 6);
    assert_eq!(report["summary"]["successful_prompts"], 6);
    assert_eq!(report["summary"]["total_completion_tokens"], 72);
    assert_eq!(report["synthetic"], true);
    assert_eq!(report["config"]["model"], "simulated", "the server was asked for its only model");
    assert!(report["schema_version"].is_u64());
}

#[test]
fn token_counts_equal_the_servers_own_counters_and_requests_pair_by_id() {
    let server = serve(quick());
    let bench = Bench::new();
    let seen_before = server.truth().len();
    bench
        .run(&["run", "--endpoint", &endpoint(&server), "-n", "9", "-c", "3", "--max-tokens", "7"])
        .expect(0);
    let requests = lines(&bench.run_folder().join("requests.jsonl"));
    let truths: BTreeMap<String, _> =
        server.truth().into_iter().skip(seen_before).map(|truth| (truth.request_id.clone(), truth)).collect();
    for request in &requests {
        let truth = &truths[request["id"].as_str().unwrap()];
        assert_eq!(request["prompt_tokens"]["tokens"], truth.prompt_tokens.unwrap());
        assert_eq!(request["completion_tokens"]["tokens"], truth.completion_tokens);
        assert_eq!(request["completion_tokens"]["source"], "server");
        let stamps = ["scheduled_ns", "sent_ns", "first_byte_ns", "first_token_ns", "end_ns"];
        let stamps: Vec<u64> = stamps.iter().map(|name| request[name].as_u64().unwrap()).collect();
        assert!(stamps.windows(2).all(|pair| pair[0] <= pair[1]), "{request}");
        // No client can have a token before the server wrote it.
        let ttft = request["first_token_ns"].as_u64().unwrap() - request["sent_ns"].as_u64().unwrap();
        assert!(ttft >= 2_000_000, "{ttft} ns is less than the server waited");
    }
    // Besides the run's requests the server saw one probe of one token.
    let report = bench.report();
    let total: u64 = truths.values().map(|truth| u64::from(truth.completion_tokens)).sum();
    assert_eq!(report["summary"]["total_completion_tokens"].as_u64().unwrap() + 1, total);
    assert_eq!(requests.len(), 9);
    // The load alone, between two readings of the server's own counters.
    let tokens = &report["figures"]["tokens"];
    assert_eq!(tokens["server_completion"], tokens["completion"]);
    assert_eq!(tokens["server_prompt"], tokens["prompt"]);
}

#[test]
fn a_config_path_alone_runs_and_collects_rows() {
    let server = serve(quick());
    let bench = Bench::new();
    bench.file("prompts.csv", "question\nWhat is a joule?\n\"Why, \"\"oh\"\" why\nso long?\"\n");
    bench.file(
        "mine.yaml",
        format!(
            "name: mine\nbackend: {{model: simulated, endpoint: '{}'}}\nscenario:\n  dataset_name: prompts.csv\n  \
             text_column_name: question\n  num_samples: 2\n  generate_kwargs: {{max_new_tokens: 5}}\nmetrics:\n  \
             output_dir: ./emissions\n  country_iso_code: FRA\nreporter: {{type: csv, output_file: all/runs.csv}}\n",
            endpoint(&server)
        ),
    );
    for _ in 0..2 {
        bench.run(&["mine.yaml"]).expect(0);
    }
    let collected = std::fs::read_to_string(bench.path("all/runs.csv")).unwrap();
    assert_eq!(collected.lines().count(), 3, "a header and two rows:\n{collected}");
    assert!(collected.starts_with("timestamp,") || collected.lines().next().unwrap().contains("timestamp"));
    assert!(collected.contains("summary_total_prompts"));
    let emissions = std::fs::read_to_string(bench.path("emissions/emissions.csv")).unwrap();
    assert_eq!(emissions.lines().count(), 3);
    assert!(emissions.lines().nth(1).unwrap().contains("FRA"));
    assert_eq!(std::fs::read_dir(bench.path("benchmark_output")).unwrap().count(), 2);
}

#[test]
fn nothing_is_written_outside_the_run_folder_unless_a_config_says_so() {
    let server = serve(quick());
    let bench = Bench::new();
    bench.run(&["run", "--endpoint", &endpoint(&server), "-n", "1", "--max-tokens", "3"]).expect(0);
    let names: Vec<_> =
        std::fs::read_dir(bench.folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(names, ["benchmark_output"]);
}

#[test]
fn results_dir_gets_the_files_themselves_and_keeps_an_earlier_run() {
    let server = serve(quick());
    let bench = Bench::new();
    let results = bench.path("results");
    let mut ids = Vec::new();
    for _ in 0..2 {
        let mut command = bench.command(&["run", "-n", "2", "--max-tokens", "4"]);
        command.env("RESULTS_DIR", &results).env("VLLM_ENDPOINT", endpoint(&server));
        support::done(command.output().unwrap()).expect(0);
        ids.push(json(&results.join("benchmark_report.json"))["run_id"].as_str().unwrap().to_owned());
    }
    assert_ne!(ids[0], ids[1]);
    let kept = json(&results.join(&ids[0]).join("benchmark_report.json"));
    assert_eq!(kept["run_id"], ids[0].as_str());
    assert!(results.join("GPU_ENERGY_WH.txt").exists() && results.join("requests.jsonl").exists());
    assert!(!bench.path("benchmark_output").exists());
}

#[test]
fn json_goes_to_standard_output_alone_and_quiet_prints_nothing() {
    let server = serve(quick());
    let bench = Bench::new();
    let endpoint = endpoint(&server);
    let arguments = ["run", "--endpoint", &endpoint, "-n", "2", "--max-tokens", "4"];
    let done = bench.run(&[&arguments[..], &["--format", "json"]].concat()).expect(0);
    let printed: Value = serde_json::from_str(&done.out).unwrap();
    assert_eq!(printed, bench.report());
    let done = bench.run(&[&arguments[..], &["--quiet"]].concat()).expect(0);
    assert_eq!((done.out.as_str(), done.err.as_str()), ("", ""));
}

#[test]
fn what_was_not_measured_is_null_everywhere_and_never_zero() {
    let server = serve(quick());
    let bench = Bench::new();
    let done = bench
        .run(&[
            "run",
            "--endpoint",
            &endpoint(&server),
            "-n",
            "2",
            "--max-tokens",
            "4",
            "metrics.enabled=false",
        ])
        .expect(0);
    let report = bench.report();
    for key in [
        "energy_wh",
        "gpu_energy_wh",
        "cpu_energy_wh",
        "ram_energy_wh",
        "total_energy_wh",
        "emissions_g_co2eq",
    ] {
        assert!(report["energy"].as_object().unwrap().contains_key(key), "{key} stays");
        assert!(report["energy"][key].is_null(), "{key}: {}", report["energy"][key]);
    }
    assert!(
        report["sampler"]["longest_gap_seconds"].is_null(),
        "nothing was read, so there is no gap between readings"
    );
    assert!(done.out.contains("metrics.enabled"), "the summary says why:\n{}", done.out);
    assert_eq!(std::fs::read_to_string(bench.run_folder().join("GPU_ENERGY_WH.txt")).unwrap().trim(), "nan");
}

#[test]
fn every_api_and_mode_counts_the_same_tokens() {
    let server = serve(quick());
    for (api, stream) in [("chat", true), ("chat", false), ("completions", true), ("completions", false)] {
        let bench = Bench::new();
        let stream_override = format!("backend.server.stream={stream}");
        bench
            .run(&[
                "run",
                "--endpoint",
                &endpoint(&server),
                "--api",
                api,
                "-n",
                "3",
                "--max-tokens",
                "6",
                &stream_override,
            ])
            .expect(0);
        let report = bench.report();
        assert_eq!(report["summary"]["total_completion_tokens"], 18, "{api} {stream}");
        let ttft = &report["summary"]["avg_time_to_first_token"];
        assert_eq!(ttft.is_null(), !stream, "without streaming the first token cannot be seen: {ttft}");
    }
}

#[test]
fn a_server_that_gives_no_usage_is_counted_by_its_tokenizer() {
    let mut options = quick();
    options.usage = ai_energy_simulator::Usage::Never;
    let server = serve(options);
    let bench = Bench::new();
    bench.run(&["run", "--endpoint", &endpoint(&server), "-n", "2", "--max-tokens", "9"]).expect(0);
    let requests = lines(&bench.run_folder().join("requests.jsonl"));
    for request in &requests {
        assert_eq!(request["completion_tokens"]["source"], "tokenizer", "{request}");
        assert_eq!(request["completion_tokens"]["tokens"], 9);
    }
}

#[test]
fn the_python_packages_config_names_its_engine_and_says_what_to_do() {
    let bench = Bench::new();
    // AI Energy Score's own config: no backend.type, `backend: pytorch` in the defaults list.
    let arguments = ["--config-name", "text_generation", "scenario.dataset_name=builtin"];
    // An engine that was built beside this program would be found.
    let mut command = bench.command(&arguments);
    command.env("AI_ENERGY_TORCH", "/nowhere/ai-energy-torch");
    support::done(command.output().unwrap()).expect(2).says(&[
        "AI_ENERGY_TORCH",
        "/nowhere/ai-energy-torch",
        "hint",
    ]);
    let shown = bench.run(&["config", "show", "--config-name", "text_generation"]).expect(0);
    assert!(shown.out.contains("type: \"pytorch\""), "{}", shown.out);
}

#[test]
fn diagnostics_are_json_lines_where_that_is_asked_for() {
    let bench = Bench::new();
    let done = bench.run(&["--log-format", "json", "run", "load.concurrency=0"]).expect(2);
    let events: Vec<Value> = done.err.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let error = events.iter().find(|event| event["level"] == "ERROR").unwrap();
    assert_eq!(error["exit_code"], 2);
    assert!(error["message"].as_str().unwrap().contains("load.concurrency"), "{error}");
}
