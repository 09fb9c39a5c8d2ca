//! What a run had done survives its end, however it came: a kill at any moment, a disk that fills up. A resumed run does the
//! rest and says that it had a break.

#![cfg(unix)]
#![allow(clippy::unwrap_used)]

mod support;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;
use support::{Bench, Done, Handle, done, endpoint, json, lines, quick, serve};

/// Waits for the number of requests that reached the server, the probe among them.
fn wait_for(server: &Handle, requests: usize) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while server.truth().len() < requests {
        assert!(Instant::now() < deadline, "the run does not come to its requests");
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn kill(child: &mut Child) {
    child.kill().unwrap();
    child.wait().unwrap();
}

/// Starts a run, kills it once so many requests reached the server, and returns its folder.
fn killed(bench: &Bench, server: &Handle, after: usize, more: &[&str]) -> PathBuf {
    let address = endpoint(server);
    let arguments = [&["run", "--endpoint", &address, "--max-tokens", "10"], more].concat();
    let mut child = bench.command(&arguments).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    wait_for(server, after);
    kill(&mut child);
    bench.run_folder()
}

fn resume(bench: &Bench, folder: &Path, more: &[&str]) -> Done {
    bench.run(&[&["run", "--resume", folder.to_str().unwrap()], more].concat())
}

fn numbers(requests: &[Value]) -> Vec<usize> {
    requests
        .iter()
        .map(|line| line["id"].as_str().unwrap().rsplit('-').next().unwrap().parse().unwrap())
        .collect()
}

fn ended(folder: &Path) -> Vec<Value> {
    let text = fs::read_to_string(folder.join("requests.jsonl")).unwrap_or_default();
    text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
}

#[test]
fn a_killed_run_goes_on_with_the_requests_that_had_not_ended() {
    let server = serve(quick());
    let bench = Bench::new();
    let folder = killed(&bench, &server, 25, &["--dataset", "synthetic", "-n", "60", "-c", "2"]);
    let before = ended(&folder);
    assert!((15..60).contains(&before.len()), "{}", before.len());
    let cut = bench.run(&["verify", folder.to_str().unwrap()]).expect(7);
    assert!(cut.out.contains("cut"), "{}", cut.out);

    let resumed = resume(&bench, &folder, &[]).expect(0);
    let report = json(&folder.join("benchmark_report.json"));
    assert_eq!(report["summary"]["successful_prompts"], 60);
    assert_eq!(report["summary"]["total_completion_tokens"], 600);
    assert_eq!(report["ending"]["kind"], "complete");
    let rest = lines(&folder.join("segment-2/requests.jsonl"));
    let mut all = [numbers(&before), numbers(&rest)].concat();
    all.sort_unstable();
    assert_eq!(all, (0..60).collect::<Vec<_>>(), "each once, none twice");
    let prompts: BTreeSet<u64> =
        before.iter().chain(&rest).map(|line| line["prompt_index"].as_u64().unwrap()).collect();
    assert_eq!(prompts.len(), 60);

    // The break is said and is in no figure: the window is the sum of the segments' own loads.
    let segments = report["segments"].as_array().unwrap();
    assert_eq!(segments.len(), 2);
    assert!(segments[1]["break_before_seconds"].as_f64().unwrap() > 0.0);
    let length = |part: &Value| part["end_ns"].as_f64().unwrap() - part["start_ns"].as_f64().unwrap();
    let sum: f64 = segments.iter().map(length).sum();
    assert!((report["figures"]["duration"]["value"].as_f64().unwrap() - sum * 1e-9).abs() < 1e-9);
    let own = |folder: PathBuf| {
        let requests = ended(&folder);
        let at = |key: &str| requests.iter().map(|line| line[key].as_u64().unwrap()).collect::<Vec<_>>();
        (*at("end_ns").iter().max().unwrap() - *at("scheduled_ns").iter().min().unwrap()) as f64
    };
    assert!(
        sum <= own(folder.clone()) + own(folder.join("segment-2")) + 5e7,
        "the break is not in the window"
    );
    let check = report["validity"]["checks"]
        .as_array()
        .unwrap()
        .iter()
        .find(|check| check["name"] == "breaks")
        .unwrap();
    assert_eq!(check["verdict"], "warning");
    assert!(check["detail"].as_str().unwrap().contains("2 segments"), "{check}");
    let warnings = report["warnings"].to_string();
    assert!(warnings.contains("resumed: 2 segments, break of"), "{warnings}");
    assert!(resumed.out.contains("resumed: 2 segments"), "{}", resumed.out);

    // The folder alone still gives the figures, and is as it was written.
    let again = bench.run(&["summarize", folder.to_str().unwrap(), "--format", "json"]).expect(0);
    assert_eq!(serde_json::from_str::<Value>(&again.out).unwrap(), report);
    bench.run(&["verify", folder.to_str().unwrap()]).expect(0);
    resume(&bench, &folder, &[]).expect(2).says(&["nothing is left"]);
}

#[test]
fn a_run_that_goes_on_is_neither_resumed_nor_overwritten() {
    let (server, bench) = (serve(quick()), Bench::new());
    let address = endpoint(&server);
    let load = ["--dataset", "synthetic", "-n", "5000", "--max-tokens", "20"];
    let arguments = [&["run", "--endpoint", &address], &load[..]].concat();
    let mut child = bench.command(&arguments).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    wait_for(&server, 3);
    let folder = bench.run_folder();
    resume(&bench, &folder, &[]).expect(2).says(&["goes on writes into it", "let it end"]);
    let results = [("RESULTS_DIR", folder.to_str().unwrap())];
    let second = bench.command(&arguments).envs(results).output().unwrap();
    done(second).expect(2).says(&["results folder", "goes on writes into it", "choose another folder"]);
    let before = ended(&folder).len();
    kill(&mut child);
    assert!(ended(&folder).len() >= before, "the second did not empty the first one's file");
}

#[test]
fn energy_is_integrated_in_each_segment_apart() {
    let server = serve(quick());
    let bench = Bench::new();
    let folder = killed(
        &bench,
        &server,
        40,
        &["--dataset", "synthetic", "-n", "80", "metrics.sources=[cpu_model, ram_model]"],
    );
    // A break that an integral over the gap would show: the model draws watts all the time.
    std::thread::sleep(Duration::from_millis(1500));
    resume(&bench, &folder, &[]).expect(0);
    let report = json(&folder.join("benchmark_report.json"));
    let ram = report["figures"]["energy"]["domains"]
        .as_array()
        .unwrap()
        .iter()
        .find(|it| it["domain"] == "ram")
        .unwrap();
    let (joules, watts) = (&ram["energy"]["value"], &ram["mean_power"]["value"]);
    let seconds = report["figures"]["duration"]["value"].as_f64().unwrap();
    let constant = watts.as_f64().unwrap();
    assert!((joules.as_f64().unwrap() - constant * seconds).abs() < 1e-6 * constant);
    // The RAM model is constant: its power over both segments is that of one segment.
    let one =
        bench.run(&["doctor", "--format", "json", "--seconds", "0.2", "metrics.sources=[ram_model]"]).out;
    assert!(one.contains("ram_model"), "{one}");
    let peak = ram["peak_power"]["value"].as_f64().unwrap();
    assert!((peak - constant).abs() < 1e-3 * constant, "mean {constant} W, peak {peak} W");
}

#[test]
fn failed_requests_are_tried_again_only_when_asked() {
    let mut options = quick();
    // The probe is the first; the fifth request fails.
    options.faults = vec!["500@6".parse().unwrap()];
    let server = serve(options);
    let bench = Bench::new();
    let arguments =
        ["--dataset", "synthetic", "-n", "8", "--max-tokens", "4", "load.max_consecutive_failures=1"];
    bench.run(&[&["run", "--endpoint", &endpoint(&server)], &arguments[..]].concat()).expect(4);
    let folder = bench.run_folder();
    let failed: Vec<Value> = ended(&folder).into_iter().filter(|line| !line["error"].is_null()).collect();
    assert_eq!(failed.len(), 1);

    // Another server with the same model; the first one's faults stay away.
    let well = serve(quick());
    let other = endpoint(&well);
    resume(&bench, &folder, &["--endpoint", &other]).expect(4);
    let report = json(&folder.join("benchmark_report.json"));
    assert_eq!(report["summary"]["successful_prompts"], 7);
    assert_eq!(report["summary"]["failed_prompts"], 1);
    resume(&bench, &folder, &["--endpoint", &other]).expect(2).says(&["--retry-failed"]);
    resume(&bench, &folder, &["--endpoint", &other, "--retry-failed"]).expect(0);
    let report = json(&folder.join("benchmark_report.json"));
    assert_eq!(report["summary"]["successful_prompts"], 8);
    assert_eq!(report["summary"]["failed_prompts"], 0, "the last attempt counts");
    assert_eq!(numbers(&lines(&folder.join("segment-3/requests.jsonl"))), numbers(&failed));
    bench.run(&["verify", folder.to_str().unwrap()]).expect(0);
}

#[test]
fn an_interrupted_open_loop_goes_on_with_the_rest_of_its_schedule() {
    let server = serve(quick());
    let bench = Bench::new();
    let address = endpoint(&server);
    let load = ["--dataset", "synthetic", "-n", "60", "--rate", "60", "--max-tokens", "4"];
    let child =
        bench.command(&[&["run", "--endpoint", &address], &load[..]].concat()).stdout(Stdio::piped()).spawn();
    let child = child.unwrap();
    wait_for(&server, 15);
    assert!(Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap().success());
    done(child.wait_with_output().unwrap()).expect(130);
    let folder = bench.run_folder();
    resume(&bench, &folder, &[]).expect(0);
    let report = json(&folder.join("benchmark_report.json"));
    assert_eq!(report["summary"]["successful_prompts"], 60);
    assert_eq!(report["summary"]["total_prompts"], 60, "what was interrupted and made again counts once");
    let rest = lines(&folder.join("segment-2/requests.jsonl"));
    assert!(rest.iter().all(|line| line["planned"] == true), "latency still counts from planned instants");
    // The gaps between the planned instants of neighbours are those of the whole plan: the same seed, another run.
    let whole = Bench::new();
    whole.run(&[&["run", "--endpoint", &address], &load[..]].concat()).expect(0);
    let planned = |lines: &[Value]| -> Vec<(usize, u64)> {
        let at = lines.iter().map(|line| line["scheduled_ns"].as_u64().unwrap());
        let mut all: Vec<_> = numbers(lines).into_iter().zip(at).collect();
        all.sort_unstable();
        all
    };
    let (ours, theirs) = (planned(&rest), planned(&lines(&whole.run_folder().join("requests.jsonl"))));
    for pair in ours.windows(2).filter(|pair| pair[0].0 + 1 == pair[1].0) {
        let gap = theirs[pair[1].0].1 - theirs[pair[0].0].1;
        assert!((pair[1].1 - pair[0].1).abs_diff(gap) <= 1, "{pair:?} {gap}");
    }
}

#[test]
fn what_would_make_it_another_run_is_refused_by_name() {
    let server = serve(quick());
    let bench = Bench::new();
    bench.file("p.txt", (0..80).map(|number| format!("tell me about {number}\n")).collect::<String>());
    let folder = killed(&bench, &server, 10, &["--dataset", "p.txt", "-n", "80"]);
    for (argument, key) in [
        ("scenario.num_samples=90", "scenario.num_samples"),
        ("scenario.generate_kwargs.max_new_tokens=11", "scenario.generate_kwargs.max_new_tokens"),
        ("load.concurrency=2", "load.concurrency"),
        ("metrics.interval_ms=50", "metrics.interval_ms"),
    ] {
        resume(&bench, &folder, &[argument]).expect(2).says(&[key, "would change the run"]);
    }
    resume(&bench, &folder, &["other.yaml"]).expect(2);
    bench.file("p.txt", "other prompts\n".repeat(80));
    resume(&bench, &folder, &[]).expect(2).says(&["the prompts of `p.txt`"]);
    assert!(!folder.join("segment-2").exists(), "nothing was begun");
    resume(&bench, &bench.path("nowhere"), &[]).expect(2).says(&["record.json"]);
    bench.run(&["run", "--retry-failed"]).expect(2).says(&["--resume"]);
}

#[test]
fn a_full_disk_stops_cleanly_and_what_was_written_is_valid() {
    let server = serve(quick());
    let bench = Bench::new();
    let program = bench.command(&[]).get_program().to_owned();
    let address = endpoint(&server);
    // A limit on the size of files fails writes as a full disk does, and needs no rights: 64 blocks of 512 bytes.
    let script = "ulimit -f 64; exec \"$0\" \"$@\"";
    let mut command = bench.command(&[]);
    let arguments = [
        "run",
        "--endpoint",
        &address,
        "--dataset",
        "synthetic",
        "-n",
        "3000",
        "-c",
        "2",
        "--max-tokens",
        "10",
    ];
    let environment: Vec<_> =
        command.get_envs().map(|(name, value)| (name.to_owned(), value.map(ToOwned::to_owned))).collect();
    command = Command::new("sh");
    command.current_dir(bench.folder.path()).arg("-c").arg(script).arg(program).args(arguments);
    for (name, value) in environment {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    done(command.output().unwrap()).expect(1).says(&["file too large", "hint:", "ulimit -f"]);
    let folder = bench.run_folder();
    let sent = server.truth().len();
    assert!(sent < 3000, "the load ended with the disk");
    let kept = fs::read_to_string(folder.join("requests.jsonl")).unwrap();
    assert!(kept.ends_with('\n') && kept.lines().count() > 5);
    assert!(kept.lines().all(|line| serde_json::from_str::<Value>(line).is_ok()), "every line is whole");
    assert!(!folder.join("manifest.json").exists(), "what is not complete is not sealed");
    let done = bench.run(&["summarize", folder.to_str().unwrap()]);
    assert!(matches!(done.code, Some(0 | 4)), "{}", done.err);
    // With room again it goes on.
    let left = 3000 - kept.lines().filter(|line| line.contains("\"error\":null")).count();
    assert!(left > 0);
    let mut child = bench
        .command(&["run", "--resume", folder.to_str().unwrap()])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    wait_for(&server, sent + 20);
    kill(&mut child);
    assert!(!ended(&folder.join("segment-2")).is_empty());
}
