//! The client's health by the real program: what a run tells of itself, what a calibration changes, and what happens where
//! this machine gives too few sockets.

#![allow(clippy::unwrap_used)]

mod support;

use std::process::Command;

use serde_json::Value;
use support::{Bench, Done, Options, done, endpoint, json, lines, quick, serve};

/// Runs the program with a limit of open files, `-n` for the hard one or `-S -n` for the soft one alone.
fn limited(bench: &Bench, limit: &str, arguments: &[&str]) -> Done {
    let program = bench.command(arguments);
    let mut shell = Command::new("sh");
    shell.args(["-c", &format!("ulimit {limit}; exec \"$0\" \"$@\"")]).arg(program.get_program());
    shell.args(program.get_args()).current_dir(bench.folder.path());
    for (name, value) in program.get_envs() {
        match value {
            Some(value) => shell.env(name, value),
            None => shell.env_remove(name),
        };
    }
    done(shell.output().unwrap())
}

fn health(bench: &Bench) -> Value {
    bench.report()["figures"]["health"].clone()
}

#[test]
fn a_run_tells_what_the_client_used_and_whether_it_limited() {
    let (server, bench) = (serve(quick()), Bench::new());
    let address = endpoint(&server);
    let load = ["-n", "24", "-c", "4", "--max-tokens", "40", "--dataset", "synthetic"];
    let run = bench.run(&[&["run", "--endpoint", &address], &load[..]].concat()).expect(0);
    let report = bench.report();
    let health = &report["figures"]["health"];
    let value = |name: &str| health[name]["value"].as_f64().unwrap_or_else(|| panic!("{name}: {health:#}"));
    assert!(value("cpu") > 0.0 && value("cores") >= 1.0 && value("cpu_share") > 0.0);
    assert!(value("cpu_per_output_token") > 0.0);
    // Four at a time: every request either made a connection or used a kept one, and so did looks at the server's metrics.
    let (opened, kept) = (value("connections_opened"), value("requests_on_kept_connections"));
    assert!(opened + kept >= 24.0 && opened <= 8.0 && value("peak_connections") >= 4.0, "{opened} + {kept}");
    let requests = lines(&bench.run_folder().join("requests.jsonl"));
    let bodies: f64 = requests.iter().map(|request| request["bytes_received"].as_f64().unwrap()).sum();
    assert!(value("bytes_received") > bodies, "heads and framing count too");
    assert!(value("bytes_sent") > 24.0 * 100.0);
    assert!(requests.iter().any(|request| request["connecting_ns"].as_u64().is_some()));
    assert!(requests.iter().any(|request| request.get("connecting_ns").is_none()), "kept ones took no time");
    assert!(health["event_loop_delay"]["count"].as_u64().unwrap() > 0);
    let verdict = health["client_bound"].as_str().unwrap();
    assert!(["no", "maybe", "yes"].contains(&verdict), "{verdict}");
    assert!(!health["reasons"].as_array().unwrap().is_empty());
    assert!(health["thresholds"].as_str().unwrap().contains("no calibration was made"));
    let marked = report["figures"]["latency"].get("client_bound").is_some();
    assert_eq!(marked, verdict == "yes");
    assert!(run.out.contains("   client   "), "{}", run.out);
    let checks = report["validity"]["checks"].as_array().unwrap();
    assert!(checks.iter().any(|check| check["name"] == "client_bound" && check["verdict"] != "unknown"));

    let folder = bench.run_folder();
    let again = bench.run(&["summarize", folder.to_str().unwrap(), "--format", "json"]);
    let again: Value = serde_json::from_str(&again.out).unwrap();
    assert_eq!(&again["figures"]["health"], health, "the folder alone gives the same");
}

#[test]
fn a_calibration_is_read_by_runs_that_it_fits() {
    let bench = Bench::new();
    let made = bench.run(&["calibrate", "--quick", "--seconds", "9", "--format", "json"]).expect(0);
    let made: Value = serde_json::from_str(&made.out).unwrap();
    let file = bench.path("state/ai-energy-benchmark/calibration.json");
    assert_eq!(json(&file), made);
    assert_eq!(made["schema_version"], 1);
    let levels = made["levels"].as_array().unwrap();
    for ladder in ["streams", "tokens", "requests"] {
        let level =
            levels.iter().find(|level| level["ladder"] == ladder).unwrap_or_else(|| panic!("{made:#}"));
        // However slow the machine: tokens came, and each error is held against the simulator's truth.
        assert!(level["requests"].as_u64().unwrap() > 0, "{level:#}");
        assert!(level["ttft_error_seconds"][1].as_f64().unwrap() > 0.0, "{level:#}");
        let between = level["inter_token_error_seconds"].is_array();
        assert_eq!(between, ladder != "requests", "a single token has nothing after it");
        assert!(level["own_delay_seconds"].is_number(), "every request had its instant: {level:#}");
        assert_eq!(level["held"], level["remark"] == "", "{level:#}");
    }

    let server = serve(quick());
    let address = endpoint(&server);
    let run = |name: &str| {
        let output = bench.path(name);
        let out = output.to_str().unwrap();
        bench.run(&["run", "--endpoint", &address, "-n", "3", "--max-tokens", "5", "-o", out]).expect(0);
        let folder = std::fs::read_dir(&output).unwrap().next().unwrap().unwrap().path();
        json(&folder.join("benchmark_report.json"))["figures"]["health"].clone()
    };
    let fits = run("a");
    assert!(fits["thresholds"].as_str().unwrap().contains("calibrated on this machine"), "{fits:#}");
    assert_eq!(fits["calibration"]["streams"]["value"], made["limits"]["streams"]["value"]);
    let mut foreign = made;
    foreign["identity"]["cpu_model"] = "another processor".into();
    std::fs::write(&file, foreign.to_string()).unwrap();
    let refused = run("b");
    let thresholds = refused["thresholds"].as_str().unwrap();
    assert!(thresholds.contains("does not fit") && thresholds.contains("another processor"), "{thresholds}");
    assert!(refused["calibration"].is_null());
}

#[test]
fn too_few_open_files_are_told_before_anything_is_sent() {
    let (server, bench) = (serve(quick()), Bench::new());
    let address = endpoint(&server);
    let load = ["--dataset", "synthetic", "-n", "200", "-c", "200", "--max-tokens", "2"];
    let run = [&["run", "--endpoint", &address][..], &load].concat();
    limited(&bench, "-n 100", &run).expect(2).says(&["200 requests in flight", "ulimit -n"]);
    let sent = server.truth().iter().filter(|truth| truth.request_id.contains("benchmark-")).count();
    assert_eq!(sent, 0, "nothing but the probe has reached the server");
    // The soft limit alone is raised without a word.
    limited(&bench, "-S -n 100", &run).expect(0);
    let health = health(&bench);
    assert_ne!(health["client_bound"], "unknown");
}

#[test]
fn sockets_that_this_machine_refuses_are_the_clients_errors() {
    let slow = Options { ttft: "3s".parse().unwrap(), ..quick() };
    let (server, bench) = (serve(slow), Bench::new());
    let address = endpoint(&server);
    let load = [
        "--dataset",
        "synthetic",
        "-n",
        "150",
        "--rate",
        "1000",
        "--max-tokens",
        "2",
        "load.max_consecutive_failures=0",
        "metrics.enabled=false",
    ];
    let run = limited(&bench, "-n 90", &[&["run", "--endpoint", &address][..], &load].concat());
    run.expect(4).says(&["no bound on requests in flight", "client_limit"]);
    let report = bench.report();
    let errors = report["figures"]["counts"]["errors"].as_object().unwrap();
    let refused = errors["client_limit"].as_u64().unwrap();
    assert!(refused > 0 && errors.len() == 1, "{errors:?}");
    assert_eq!(health(&bench)["client_bound"], "yes");
    assert!(report["figures"]["latency"]["client_bound"].as_str().unwrap().contains("no socket"));
    let requests = lines(&bench.run_folder().join("requests.jsonl"));
    let error = requests.iter().find_map(|request| request["error"]["message"].as_str()).unwrap();
    assert!(error.contains("ulimit -n"), "{error}");
}
