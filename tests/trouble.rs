//! Bad input and bad luck: each names the object, the cause and the remedy, ends with its own exit code, and loses
//! nothing that was measured.

#![allow(clippy::unwrap_used)]

mod support;

use std::net::TcpListener;

use support::{Bench, endpoint, lines, quick, serve};

#[test]
fn an_unreachable_server() {
    let bench = Bench::new();
    // A port that was free a moment ago and that nobody listens on.
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let address = format!("http://127.0.0.1:{port}/v1");
    bench.run(&["run", "--endpoint", &address]).expect(3).says(&[
        &format!("127.0.0.1:{port}"),
        "refused",
        "hint:",
    ]);
}

#[test]
fn an_address_that_is_none() {
    let bench = Bench::new();
    bench.run(&["run", "--endpoint", "localhost:8000"]).expect(2).says(&[
        "localhost:8000",
        "http://",
        "hint:",
    ]);
}

#[test]
fn a_wrong_model() {
    let server = serve(quick());
    let bench = Bench::new();
    bench.run(&["run", "--endpoint", &endpoint(&server), "--model", "simulatd"]).expect(3).says(&[
        "simulatd",
        "simulated",
        "hint:",
    ]);
}

#[test]
fn several_wrong_keys_are_reported_together_with_file_line_and_nearest_key() {
    let bench = Bench::new();
    bench.file("bad.yaml", "name: x\nbackend:\n  modle: a\nscenario:\n  num_samples: ten\n");
    bench.run(&["run", "bad.yaml"]).expect(2).says(&[
        "bad.yaml:3",
        "backend.modle",
        "backend.model",
        "bad.yaml:5",
        "scenario.num_samples",
        "ten",
    ]);
}

#[test]
fn wrong_values_of_every_kind() {
    let bench = Bench::new();
    for (argument, words) in [
        ("load.concurrency=0", vec!["load.concurrency", "1"]),
        ("backend.type=vlm", vec!["backend.type", "vllm"]),
        ("metrics.country_iso_code=GER", vec!["GER", "DEU"]),
        ("scenario.generate_kwargs.top_p=7", vec!["top_p"]),
        ("backend.server.stal_timeout_seconds=1", vec!["stall_timeout_seconds"]),
        ("metrics.sources=[rappl]", vec!["rappl", "rapl"]),
        (
            "scenario.synthetic.input_tokens=foo",
            vec!["scenario.synthetic.input_tokens", "uniform:LOW..HIGH", "foo"],
        ),
    ] {
        bench.run(&["run", argument]).expect(2).says(&words);
    }
}

#[test]
fn what_the_schema_cannot_see_is_reported_together_with_its_place() {
    let bench = Bench::new();
    let config = [
        "scenario:",
        "  reasoning: true",
        "  reasoning_params: {reasoning_effort: 7}",
        "  generate_kwargs:",
        "    max_new_tokens: 5",
        "    min_new_tokens: 9",
        "metrics:",
        "  country_iso_code: XXX",
        "backend: {model: gpt-oss}",
    ];
    bench.file("bad.yaml", config.join("\n"));
    let words =
        ["bad.yaml:6", "min_new_tokens", "bad.yaml:8", "country_iso_code", "bad.yaml:3", "reasoning_effort"];
    bench.run(&["run", "bad.yaml"]).expect(2).says(&words);
    bench.run(&["config", "show", "bad.yaml"]).expect(2).says(&words);
}

#[test]
fn secrets_in_arguments_are_shown_by_no_command() {
    let bench = Bench::new();
    let header = "backend.server.headers.X-Key=hunter2";
    let address = "backend.endpoint=http://me:hunter2@127.0.0.1:9/v1";
    for arguments in [
        &["config", "show", header, address][..],
        &["config", "show", "--format", "json", header, address],
        &["config", "show", "backend.endpont=http://me:hunter2@h/v1"],
        &["run", header, address],
    ] {
        let done = bench.run(arguments);
        assert!(
            !(done.out.clone() + &done.err).contains("hunter2"),
            "{arguments:?}\n{}{}",
            done.out,
            done.err
        );
    }
}

#[cfg(unix)]
#[test]
fn a_stop_while_the_dataset_is_read_ends_the_program() {
    let server = serve(quick());
    let bench = Bench::new();
    assert!(std::process::Command::new("mkfifo").arg(bench.path("p.csv")).status().unwrap().success());
    let address = endpoint(&server);
    let child = bench
        .command(&["run", "--endpoint", &address, "--dataset", "p.csv"])
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    // Opening for writing waits for the reader. Nothing is written, so reading never ends.
    let _pipe = std::fs::OpenOptions::new().write(true).open(bench.path("p.csv")).unwrap();
    assert!(
        std::process::Command::new("kill")
            .args(["-INT", &child.id().to_string()])
            .status()
            .unwrap()
            .success()
    );
    support::done(child.wait_with_output().unwrap()).expect(130).says(&["stopped before"]);
}

#[test]
fn optimum_is_named_with_its_alternatives() {
    let bench = Bench::new();
    let mut command = bench.command(&["run"]);
    command.env("BENCHMARK_BACKEND", "optimum");
    support::done(command.output().unwrap()).expect(2).says(&["optimum", "pytorch", "vllm"]);
}

#[test]
fn datasets_that_cannot_be_used() {
    let server = serve(quick());
    let bench = Bench::new();
    bench.file("empty.jsonl", "");
    bench.file("people.csv", "name,txt\na,b\n");
    bench.file("latin.txt", b"caf\xe9\n");
    bench.file("broken.jsonl", "{\"text\": \"a\"}\n{\"text\": \n");
    std::fs::create_dir(bench.path("folder.csv")).unwrap();
    for (name, words) in [
        ("empty.jsonl", vec!["empty.jsonl"]),
        ("people.csv", vec!["people.csv", "`text`", "txt", "scenario.text_column_name"]),
        ("latin.txt", vec!["latin.txt", "UTF-8", "1"]),
        ("broken.jsonl", vec!["broken.jsonl", "2"]),
        ("folder.csv", vec!["folder.csv"]),
        ("pepole.csv", vec!["pepole.csv", "people.csv"]),
    ] {
        let words: Vec<&str> = words.into_iter().chain(["hint:"]).collect();
        bench.run(&["run", "--endpoint", &endpoint(&server), "--dataset", name]).expect(2).says(&words);
    }
}

#[test]
fn a_config_that_is_not_there_names_its_neighbours() {
    let bench = Bench::new();
    bench.file("benchmark.yaml", "name: x\n");
    bench.run(&["run", "benchmrk.yaml"]).expect(2).says(&["benchmrk.yaml", "benchmark.yaml"]);
    bench.run(&["run", "--config-name", "gpt_oss_120"]).expect(2).says(&["gpt_oss_120b"]);
}

#[test]
fn results_that_cannot_be_written_are_noticed_before_anything_is_measured() {
    let server = serve(quick());
    let bench = Bench::new();
    bench.file("occupied", "a file");
    let done = bench.run(&["run", "--endpoint", &endpoint(&server), "--output-dir", "occupied"]);
    done.expect(1).says(&["occupied", "hint:"]);
    assert_eq!(server.truth().len(), 0, "the server was not asked");
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_for_the_collected_file_loses_no_other_report() {
    let server = serve(quick());
    let bench = Bench::new();
    let endpoint = endpoint(&server);
    let arguments =
        ["run", "--endpoint", &endpoint, "-n", "2", "--max-tokens", "3", "reporter.output_file=/dev/full"];
    bench.run(&arguments).expect(1).says(&["/dev/full", "space"]);
    assert_eq!(bench.report()["summary"]["successful_prompts"], 2, "what was measured is kept");
}

#[cfg(target_os = "linux")]
#[test]
fn a_standard_output_that_is_full_hides_no_other_fault() {
    let server = serve(quick());
    let bench = Bench::new();
    let address = endpoint(&server);
    let mut command = bench.command(&[
        "run",
        "--endpoint",
        &address,
        "-n",
        "2",
        "--max-tokens",
        "3",
        "reporter.output_file=/dev/full",
    ]);
    command.stdout(std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap());
    support::done(command.output().unwrap()).expect(1).says(&["/dev/full", "standard output"]);
    assert_eq!(bench.report()["summary"]["successful_prompts"], 2);
}

#[test]
fn a_server_that_dies_half_way() {
    let mut options = quick();
    // The probe is the first.
    options.die_after = Some(5);
    let server = serve(options);
    let bench = Bench::new();
    let done =
        bench.run(&["run", "--endpoint", &endpoint(&server), "-n", "40", "--max-tokens", "5"]).expect(4);
    assert!(done.out.contains("early") || done.out.contains("row"), "{}", done.out);
    let report = bench.report();
    assert_eq!(report["summary"]["successful_prompts"], 4);
    assert_eq!(report["summary"]["failed_prompts"], 3, "three failures in a row end the run");
    assert_eq!(lines(&bench.run_folder().join("requests.jsonl")).len(), 7);
}

#[test]
fn a_server_that_never_answers_well_measures_nothing() {
    let mut options = quick();
    options.faults = vec!["500".parse().unwrap()];
    let server = serve(options);
    let bench = Bench::new();
    // The probe meets the same error, so the run does not start.
    bench.run(&["run", "--endpoint", &endpoint(&server)]).expect(3).says(&["500", "hint:"]);
}

#[test]
fn faults_of_single_requests_are_classed_and_the_rest_is_measured() {
    for (fault, class) in [
        ("cut:3", "truncated"),
        ("malformed:3", "protocol"),
        ("invalid_utf8:3", "protocol"),
        ("429", "rate_limited"),
        ("500", "server"),
        ("empty", "empty"),
        ("error_event:3", "server"),
    ] {
        let mut options = quick();
        options.faults = vec![format!("{fault}@4").parse().unwrap()];
        let server = serve(options);
        let bench = Bench::new();
        bench.run(&["run", "--endpoint", &endpoint(&server), "-n", "6", "--max-tokens", "8"]).expect(4);
        let requests = lines(&bench.run_folder().join("requests.jsonl"));
        let failed: Vec<_> = requests.iter().filter(|request| !request["error"].is_null()).collect();
        assert!(!failed.is_empty(), "{fault} struck nothing");
        for request in failed {
            assert_eq!(request["error"]["class"], class, "{fault}: {request}");
        }
        let report = bench.report();
        let good = report["summary"]["successful_prompts"].as_u64().unwrap();
        assert_eq!(
            report["summary"]["total_completion_tokens"],
            good * 8,
            "{fault}: failed requests count no tokens"
        );
    }
}

#[test]
fn a_stall_ends_at_its_own_time_limit() {
    let mut options = quick();
    options.faults = vec!["stall:3@2".parse().unwrap()];
    let server = serve(options);
    let bench = Bench::new();
    bench
        .run(&[
            "run",
            "--endpoint",
            &endpoint(&server),
            "-n",
            "1",
            "--max-tokens",
            "8",
            "backend.server.stall_timeout_seconds=0.3",
        ])
        .expect(5);
    let request = &lines(&bench.run_folder().join("requests.jsonl"))[0];
    assert_eq!(request["error"]["class"], "stall_timeout");
    assert!(request["error"]["message"].as_str().unwrap().contains("stall_timeout_seconds"), "{request}");
    assert_eq!(
        request["chunks"]["gaps_ns"].as_array().unwrap().len(),
        2,
        "what came before the stall is kept"
    );
}

#[test]
fn keys_reach_neither_files_nor_logs() {
    let server = serve(quick());
    let bench = Bench::new();
    let address = endpoint(&server).replace("http://", "http://me:hunter2@");
    let mut command = bench.command(&["-vvv", "run", "--endpoint", &address, "-n", "1", "--max-tokens", "3"]);
    command.env("OPENAI_API_KEY", "sk-verysecret");
    let done = support::done(command.output().unwrap()).expect(0);
    let mut everything = done.out + &done.err;
    for entry in std::fs::read_dir(bench.run_folder()).unwrap() {
        everything += &std::fs::read_to_string(entry.unwrap().path()).unwrap();
    }
    assert!(!everything.contains("hunter2") && !everything.contains("verysecret"));
}
