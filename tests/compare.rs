//! `compare` and `run --repeat` of the real program, on runs against the simulator.

#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used)]

#[path = "support/gpu.rs"]
mod gpu;
mod support;

use gpu::{FakeNvml, gpus};
use serde_json::Value;
use support::{Bench, Options, endpoint, json, quick, serve};

/// A run of `n` requests of 8 tokens whose tokens come `gap` apart, into `folder`; returns the run's folder.
fn run(bench: &Bench, gap: &str, n: &str, folder: &str) -> String {
    let server = serve(Options { inter_token: gap.parse().unwrap(), ..quick() });
    let load = ["-n", n, "-c", "2", "--max-tokens", "8", "--dataset", "synthetic"];
    bench.run(&[&["run", "--endpoint", &endpoint(&server), "-o", folder], &load[..]].concat()).expect(0);
    let mut folders = std::fs::read_dir(bench.path(folder)).unwrap();
    format!("{folder}/{}", folders.next().unwrap().unwrap().file_name().to_string_lossy())
}

fn compared(bench: &Bench, arguments: &[&str]) -> Value {
    let done = bench.run(&[&["compare", "--format", "json"], arguments].concat()).expect(0);
    serde_json::from_str(&done.out).unwrap()
}

fn figure<'a>(comparison: &'a Value, key: &str) -> &'a Value {
    comparison["figures"].as_array().unwrap().iter().find(|figure| figure["key"] == key).unwrap()
}

#[test]
fn a_slower_server_is_significantly_slower_and_a_run_is_not_different_from_itself() {
    let bench = Bench::new();
    // 25 ms a token more is far beyond what a busy machine adds to every one of 24 requests.
    let (fast, slow) = (run(&bench, "1ms", "24", "a"), run(&bench, "26ms", "24", "b"));
    let found = compared(&bench, &[&fast, &slow]);
    let tpot = &figure(&found, "tpot_mean")["differences"][1];
    assert_eq!(
        (&tpot["significant"], &tpot["basis"]),
        (&Value::Bool(true), &Value::from("requests")),
        "{tpot}"
    );
    assert!(tpot["absolute"].as_f64().unwrap() > 0.015, "{tpot}");
    let [low, high] = [0, 1].map(|end| tpot["absolute_ci95"][end].as_f64().unwrap());
    assert!(
        0.0 < low && low <= tpot["absolute"].as_f64().unwrap() && tpot["absolute"].as_f64().unwrap() <= high
    );
    assert!(tpot["method"].as_str().unwrap().contains("same prompts on both sides"), "{tpot}");
    let p99 = &figure(&found, "ttft_p99")["differences"][1];
    assert!(p99["absolute_ci95"].is_null() && p99["method"].as_str().unwrap().contains("too few"), "{p99}");
    assert_eq!(figure(&found, "output_tokens_per_second")["differences"][1]["significant"], true);
    assert!(found["warnings"].as_array().unwrap().iter().any(|warning| warning["id"] == "synthetic"));

    let same = compared(&bench, &[&fast, &fast]);
    for figure in same["figures"].as_array().unwrap() {
        let difference = &figure["differences"][1];
        assert_ne!(difference["significant"], true, "{figure}");
        assert!(difference["absolute"].is_null() || difference["absolute"] == 0.0, "{figure}");
    }
    assert!(same["differing"].as_array().unwrap().is_empty(), "{}", same["differing"]);
    assert!(found["differing"].as_array().unwrap().iter().any(|entry| entry["key"] == "backend.endpoint"));

    // The other way round every sign turns.
    let turned = compared(&bench, &[&fast, &slow, "--baseline", "2"]);
    assert!(figure(&turned, "tpot_mean")["differences"][0]["absolute"].as_f64().unwrap() < -0.015);

    let text = bench.run(&["compare", &fast, &slow]).expect(0).out;
    for words in ["BEFORE COMPARING", "synthetic", "LATENCY", "worse", "bootstrap over requests"] {
        assert!(text.contains(words), "{words}:\n{text}");
    }
    let markdown = bench.run(&["compare", &fast, &slow, "--format", "markdown"]).expect(0).out;
    assert!(
        markdown.contains("| latency: per output token, mean | ") && markdown.contains("| worse |"),
        "{markdown}"
    );

    bench.run(&["compare", &fast, &slow, "--format", "html", "-o", "page.html"]).expect(0);
    let page = std::fs::read_to_string(bench.path("page.html")).unwrap();
    assert!(page.contains("latency: per output token, mean") && page.contains("worse"), "{page}");

    conditions(&bench, &fast, &slow);
    other_inputs(&bench, &fast, &slow);
}

fn conditions(bench: &Bench, fast: &str, slow: &str) {
    let compare = |more: &[&str]| bench.run(&[&["compare", fast, slow], more].concat());
    compare(&["--fail-if", "tpot_mean>50%"]).expect(6).says(&["condition failed: tpot_mean>50%"]);
    compare(&["--fail-if", "tpot_mean<-50%", "--fail-if", "tpot_mean>1s"]).expect(0);
    compare(&["--fail-if", "tpot_mean<-50%", "--fail-if", "e2e_p50>0.1ms"]).expect(6);
    compare(&["--fail-if", "gpu_power>5%"]).expect(6).says(&["cannot be judged"]);
    compare(&["--fail-if", "speed>5%"]).expect(2).says(&["no figure", "did you mean"]);
    bench.run(&["compare", fast]).expect(2).says(&["is one run"]);
    bench.run(&["compare", fast, "--fail-if", "tpot_mean>1s"]).expect(0);
    bench.run(&["compare", fast, "nowhere"]).expect(2).says(&["nowhere", "cannot be read"]);
    bench.run(&["compare", fast, slow, "--baseline", "3"]).expect(2).says(&["--baseline", "1 to 2"]);
}

fn other_inputs(bench: &Bench, fast: &str, slow: &str) {
    let report = |folder: &str| format!("{folder}/benchmark_report.json");
    let table = |folder: &str| format!("{folder}/benchmark_results.csv");
    let folders = compared(bench, &[fast, slow]);
    let reports = compared(bench, &[&report(fast), &report(slow)]);
    let rows = compared(bench, &[&table(fast), &table(slow)]);
    let relative =
        |found: &Value, key: &str| figure(found, key)["differences"][1]["relative"].as_f64().unwrap();
    for key in ["e2e_mean", "output_tokens_per_second", "energy_per_output_token"] {
        let known = relative(&folders, key);
        assert!((relative(&reports, key) - known).abs() < 1e-9, "{key}");
        assert!((relative(&rows, key) - known).abs() < 1e-6 * known.abs().max(1.0), "{key}");
    }
    let basis = |found: &Value| figure(found, "e2e_mean")["differences"][1]["basis"].clone();
    assert_eq!(
        (basis(&folders), basis(&reports), basis(&rows)),
        ("requests".into(), "nothing".into(), "nothing".into())
    );
    bench.file("broken/record.json", "{");
    bench.run(&["compare", fast, "broken"]).expect(2).says(&["broken/record.json", "is no JSON"]);
}

#[test]
fn repeats_lie_in_one_folder_with_their_spread_and_compare_as_one_side() {
    let bench = Bench::new();
    let server = serve(quick());
    let load = ["-n", "3", "--max-tokens", "6", "--repeat", "3", "--pause", "0.01"];
    let done = bench.run(&[&["run", "--endpoint", &endpoint(&server)], &load[..]].concat()).expect(0);
    assert!(done.out.contains("3 of 3 repeats well") && done.out.contains("SPREAD"), "{}", done.out);
    let folder = bench.run_folder();
    let repeats = json(&folder.join("repeats.json"));
    let runs = repeats["runs"].as_array().unwrap();
    assert_eq!(runs.len(), 3);
    for run in runs {
        assert_eq!((&run["exit_code"], &run["problem"]), (&Value::from(0), &Value::Null));
        assert!(folder.join(run["folder"].as_str().unwrap()).join("requests.jsonl").is_file());
    }
    let figure =
        repeats["figures"].as_array().unwrap().iter().find(|figure| figure["key"] == "e2e_mean").unwrap();
    let values: Vec<f64> =
        figure["values"].as_array().unwrap().iter().map(|value| value.as_f64().unwrap()).collect();
    let mean = values.iter().sum::<f64>() / 3.0;
    let deviation = (values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / 2.0).sqrt();
    assert!((figure["mean"]["value"].as_f64().unwrap() - mean).abs() < 1e-12);
    assert!((figure["standard_deviation"].as_f64().unwrap() - deviation).abs() < 1e-12);
    // t of 2 degrees of freedom, over √3.
    assert!((figure["mean"]["ci95"].as_f64().unwrap() - 4.302_653 / 3f64.sqrt() * deviation).abs() < 1e-9);
    let path = folder.to_string_lossy().into_owned();
    let same = compared(&bench, &[&path, &path]);
    assert_eq!(same["sides"][0]["runs"].as_array().unwrap().len(), 3);
    let e2e = same["figures"].as_array().unwrap().iter().find(|figure| figure["key"] == "e2e_mean").unwrap();
    assert_eq!(
        (&e2e["differences"][1]["basis"], &e2e["differences"][1]["significant"]),
        (&"repeats".into(), &false.into())
    );
}

#[test]
fn two_configs_run_in_turn_and_one_that_fails_is_kept_and_said() {
    let bench = Bench::new();
    let server = serve(quick());
    let config = |endpoint: &str| {
        format!(
            "name: c\nbackend: {{type: vllm, model: auto, endpoint: \"{endpoint}\"}}\nscenario: {{dataset_name: builtin, num_samples: 2, generate_kwargs: {{max_new_tokens: 4, min_new_tokens: 1}}}}\n"
        )
    };
    bench.file("one.yaml", config(&endpoint(&server)));
    bench.file("two.yaml", config(&endpoint(&server)));
    // Nothing listens on the discard port.
    bench.file("dead.yaml", config("http://127.0.0.1:9/v1"));
    let done = bench
        .run(&["run", "one.yaml", "two.yaml", "--repeat", "2", "--interleave", "--format", "json"])
        .expect(0);
    let found: Value = serde_json::from_str(&done.out).unwrap();
    let orders = |side: usize| -> Vec<u64> {
        let runs = found["repeats"][side]["runs"].as_array().unwrap();
        runs.iter().map(|run| run["order"].as_u64().unwrap()).collect()
    };
    assert_eq!((orders(0), orders(1)), (vec![1, 4], vec![2, 3]), "one two, two one");
    assert_eq!(found["comparison"]["sides"][1]["name"], "two");
    let folder = bench.path(found["folder"].as_str().unwrap());
    assert!(folder.join("comparison.json").is_file() && folder.join("two/repeats.json").is_file());
    let again = compared(&bench, &[&folder.to_string_lossy()]);
    assert_eq!(again["sides"].as_array().unwrap().len(), 2, "the folder of both is both");

    let bench = Bench { folder: bench.folder };
    let done = bench.run(&["run", "one.yaml", "dead.yaml", "-o", "mixed", "--repeat", "2"]).expect(3);
    assert!(
        done.err.contains("dead: went wrong") && done.out.contains("0 of 2 repeats well"),
        "{}\n{}",
        done.err,
        done.out
    );
    let top = std::fs::read_dir(bench.path("mixed")).unwrap().next().unwrap().unwrap().path();
    let dead = json(&top.join("dead/repeats.json"));
    assert!(dead["runs"][1]["problem"].as_str().unwrap().contains("127.0.0.1:9"), "{dead}");
    assert_eq!(json(&top.join("one/repeats.json"))["runs"][1]["exit_code"], 0);
    bench.run(&["run", "one.yaml", "--interleave"]).expect(2).says(&["--interleave", "only one config"]);
    bench.run(&["run", "one.yaml", "two.yaml", "repeat.count=0"]).expect(2).says(&["repeat.count"]);
    bench.run(&["sweep", "one.yaml", "--rates", "5", "--repeat", "2"]).expect(2).says(&["each level once"]);
}

const MODELS: &str = "Models to Add,Priority (1=hi),Class,Task,Reasoning State,Chat Template\n\
    https://hub.example/org/absent/tree/main,1,A,text_generation,Off,\n\
    Qwen/Qwen3-0.6B,3,B,text_generation,On,\"enable_thinking=True\nblue\"\n\
    Qwen/Qwen3-0.6B,2,B,text_generation,Off,enable_thinking: False\n";

/// Rows of a table by column.
fn rows(path: &std::path::Path) -> Vec<std::collections::BTreeMap<String, String>> {
    let mut reader = csv::Reader::from_path(path).unwrap();
    let columns = reader.headers().unwrap().clone();
    let row = |record: csv::StringRecord| {
        columns.iter().zip(&record).map(|(column, cell)| (column.to_owned(), cell.to_owned())).collect()
    };
    reader.records().map(|record| row(record.unwrap())).collect()
}

#[test]
fn a_batch_goes_on_after_a_failed_model_and_where_it_was_left_off() {
    let bench = Bench::new();
    let fake = FakeNvml::new(&gpus(1)).unwrap();
    let model = "Qwen/Qwen3-0.6B".to_owned();
    let server = serve(Options { model, output_tokens: Some("12".parse().unwrap()), ..quick() });
    bench.file("models.csv", MODELS);
    bench.file("classes.csv", "model_class,wh_per_1000_queries\nB,0\nB,1e6\n");
    let address = endpoint(&server);
    let base = [
        "batch",
        "models.csv",
        "--endpoint",
        &address,
        "-n",
        "3",
        "-o",
        "out",
        "metrics.sources=[nvml]",
        "metrics.idle_seconds=0",
    ];
    let batch = |more: &[&str]| {
        support::done(gpu::command(&bench, &fake, &[&base[..], more].concat()).output().unwrap())
    };

    let plan = batch(&["--dry-run"]).expect(0).out;
    assert!(plan.starts_with("3 models into out\n") && plan.contains("`blue` is not understood"), "{plan}");
    assert!(!bench.path("out").exists() && server.truth().is_empty(), "a plan runs nothing");

    let done = batch(&["--stars", "classes.csv"]).expect(4);
    assert!(done.err.contains("model 1 of 3: org/absent (Off): failed"), "{}", done.err);
    assert!(done.out.contains("RANKING") && done.out.contains("★★★★★"), "{}", done.out);
    let master = bench.path("out/master_results.csv");
    let found = rows(&master);
    let states: Vec<[&str; 2]> =
        found.iter().map(|row| [row["model_name"].as_str(), row["reasoning_state"].as_str()]).collect();
    assert_eq!(states, [["org/absent", "Off"], ["Qwen/Qwen3-0.6B", "Off"], ["Qwen/Qwen3-0.6B", "On"]]);
    assert!(
        found[0]["error_message"].contains("exit code 3") && found[0]["gpu_energy_wh"].is_empty(),
        "{:?}",
        found[0]
    );
    let number = |row: usize, column: &str| found[row][column].parse::<f64>().unwrap();
    for row in [1, 2] {
        assert_eq!((number(row, "successful_prompts"), found[row]["error_message"].as_str()), (3.0, ""));
        let each = number(row, "gpu_energy_wh") / 3.0;
        assert!(each > 0.0 && (number(row, "wh_per_1000_queries") - each * 1000.0).abs() < 1e-9);
        assert!(
            (number(row, "tokens_per_joule") - number(row, "total_tokens") / (each * 3.0 * 3600.0)).abs()
                < 1e-9
        );
    }
    let limits = |folder: &str| {
        let report = json(&bench.path(&format!("out/individual_runs/{folder}/benchmark_report.json")));
        let scenario = &report["resolved_config"]["scenario"];
        let kwargs = &scenario["generate_kwargs"];
        let limits =
            [&kwargs["max_new_tokens"], &kwargs["min_new_tokens"]].map(|limit| limit.as_u64().unwrap());
        (limits, scenario["reasoning_params"]["enable_thinking"].as_bool().unwrap())
    };
    assert_eq!(limits("Qwen_Qwen3-0.6B_Off"), ([10, 10], false));
    assert_eq!(limits("Qwen_Qwen3-0.6B_On"), ([8192, 1], true));
    let log = std::fs::read_to_string(bench.path("out/logs/org_absent_Off.log")).unwrap();
    assert!(log.contains("org/absent"), "{log}");
    let page = std::fs::read_to_string(bench.path("out/ranking.html")).unwrap();
    assert!(page.contains("<html") && page.contains("Qwen3-0.6B (On)") && page.contains("★"), "{page}");

    // Started again, nothing is left to do; a failed model is run again when asked, and only that.
    let sent = server.truth().len();
    assert!(batch(&[]).expect(0).err.contains("3 of 3 models have their row already"));
    assert_eq!(server.truth().len(), sent);
    let again = batch(&["--rerun-failed"]).expect(4);
    assert!(again.err.contains("model 1 of 1: org/absent"), "{}", again.err);
    let after = rows(&master);
    assert_eq!((after.len(), &after[1], &after[2]), (3, &found[1], &found[2]));
    assert_ne!(after[0]["timestamp"], found[0]["timestamp"]);

    let ranked = bench.run(&["rank", "out", "--class-energies", "classes.csv", "--format", "json"]).expect(0);
    let ranked: Value = serde_json::from_str(&ranked.out).unwrap();
    let last = &ranked["rows"][0];
    assert_eq!(
        (&last["model"], &last["rank"], &last["stars"]),
        (&"org/absent".into(), &Value::Null, &Value::Null)
    );
    assert_eq!((&ranked["rows"][1]["rank"], &ranked["rows"][1]["stars"]), (&1.into(), &5.into()));
    let ratio = compared(&bench, &["out/master_results.csv#2", "out/master_results.csv#3"]);
    assert!(figure(&ratio, "gpu_wh_per_1000_queries")["differences"][1]["relative"].is_number());

    batch(&["--class", "Z"]).expect(2).says(&["no row is left by the filters"]);
    batch(&["--model", "x"]).expect(2).says(&["--model-name chooses"]);
    batch(&["load.concurrncy=2"]).expect(2).says(&["concurrency"]);
    bench.run(&["rank", "nowhere.csv"]).expect(2).says(&["nowhere.csv", "is not there"]);
}
