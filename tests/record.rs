//! The record of a run: its config and environment, the manifest over its files, verifying, bundling, and no secret in any
//! of it.

#![cfg(unix)]
#![allow(clippy::unwrap_used)]

mod support;

use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::Value;
use support::{Bench, done, endpoint, json, quick, serve};

/// A short run; returns what the tests look at.
fn short(bench: &Bench, address: &str) {
    bench.run(&["run", "--endpoint", address, "-n", "4", "-c", "2", "--max-tokens", "5"]).expect(0);
}

fn verify(bench: &Bench, folder: &Path, more: &[&str]) -> support::Done {
    bench.run(&[&["verify", folder.to_str().unwrap()], more].concat())
}

#[test]
fn the_folder_says_what_was_configured_by_whom_and_where_it_ran() {
    let server = serve(quick());
    let bench = Bench::new();
    bench.file(
        "mine.yaml",
        "name: mine\nscenario:\n  dataset_name: builtin\n  num_samples: 3\nbackend: {model: auto}\n",
    );
    let mut command = bench.command(&["run", "mine.yaml", "scenario.generate_kwargs.max_new_tokens=6"]);
    command.env("VLLM_ENDPOINT", endpoint(&server));
    done(command.output().unwrap()).expect(0);
    let folder = bench.run_folder();
    let record = json(&folder.join("record.json"));
    assert_eq!(record["origins"]["scenario.num_samples"], "mine.yaml:4");
    assert_eq!(record["origins"]["backend.endpoint"], "environment variable VLLM_ENDPOINT");
    assert!(record["origins"]["scenario.generate_kwargs.max_new_tokens"].as_str().unwrap().contains("=6"));
    let environment = &bench.report()["environment"];
    assert_eq!(environment["program_version"], env!("CARGO_PKG_VERSION"));
    assert!(environment["server"].as_str().unwrap().contains("simulator"), "{environment}");
    assert_eq!(environment["prompts_sha256"].as_str().unwrap().len(), 64);
    for (key, value) in environment.as_object().unwrap() {
        let reason = &environment["unknown"][key];
        assert_eq!(value.is_null(), reason.is_string(), "{key}: {value} {reason}");
    }

    // The kept config makes the same run again, without the variable and the override.
    let first = json(&folder.join("record.json"));
    let kept = folder.join("config.yaml");
    let again = Bench::new();
    again.run(&["run", kept.to_str().unwrap()]).expect(0);
    let second = json(&again.run_folder().join("record.json"));
    assert_eq!(second["config"], first["config"]);
    for key in ["load", "generation", "name"] {
        assert_eq!(second["record"]["plan"][key], first["record"]["plan"][key]);
    }
    assert_eq!(second["record"]["environment"]["prompts_sha256"], environment["prompts_sha256"]);
}

#[test]
fn a_folder_as_it_was_written_verifies_and_every_change_is_named() {
    let server = serve(quick());
    let bench = Bench::new();
    short(&bench, &endpoint(&server));
    let folder = bench.run_folder();
    let manifest = json(&folder.join("manifest.json"));
    let listed: Vec<&str> =
        manifest["files"].as_array().unwrap().iter().map(|file| file["path"].as_str().unwrap()).collect();
    for entry in fs::read_dir(&folder).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        assert!(name == "manifest.json" || listed.contains(&name.as_str()), "{name} is in no manifest");
    }
    let well = verify(&bench, &folder, &[]).expect(0);
    assert!(well.out.contains("verified") && !well.out.contains("not verified"), "{}", well.out);
    bench.run(&["summarize", folder.to_str().unwrap(), "--write"]).expect(0);
    verify(&bench, &folder, &[]).expect(0);

    // Another energy in the report, with the manifest made to fit: only computing it anew can tell.
    let path = folder.join("benchmark_report.json");
    let whole = fs::read_to_string(&path).unwrap();
    let mut report: Value = serde_json::from_str(&whole).unwrap();
    report["figures"]["duration"]["value"] = 0.5.into();
    report["summary"]["successful_prompts"] = 5.into();
    fs::write(&path, serde_json::to_vec_pretty(&report).unwrap()).unwrap();
    let changed = verify(&bench, &folder, &[]).expect(7);
    for words in ["changed: benchmark_report.json", "figures.duration.value", "summary.successful_prompts"] {
        assert!(changed.out.contains(words), "{words}: {}", changed.out);
    }
    fs::write(&path, &whole).unwrap();

    fs::remove_file(folder.join("benchmark_results.csv")).unwrap();
    fs::write(folder.join("notes.txt"), "mine").unwrap();
    let found = verify(&bench, &folder, &["--format", "json"]).expect(7);
    let found: Value = serde_json::from_str(&found.out).unwrap();
    let deviations = found[0]["deviations"].as_array().unwrap();
    let kinds: Vec<_> =
        deviations.iter().map(|one| (one["kind"].as_str().unwrap(), one["path"].as_str().unwrap())).collect();
    assert_eq!(kinds, [("missing", "benchmark_results.csv"), ("extra", "notes.txt")]);
    assert_eq!(found[0]["figures_that_differ"], serde_json::json!([]), "the figures still follow");
    let nowhere = bench.run(&["verify", "nowhere"]).expect(7);
    assert!(nowhere.out.contains("nowhere") && nowhere.out.contains("record.json"), "{}", nowhere.out);
}

const OPEN_AND_HASH: &str = "
import hashlib, json, sys, zipfile
archive = zipfile.ZipFile(sys.argv[1])
assert archive.testzip() is None
names = archive.namelist()
assert names == sorted(names), names
top = {name.split('/')[0] for name in names}
assert len(top) == 1, top
top = top.pop()
manifest = json.loads(archive.read(top + '/manifest.json'))
for file in manifest['files']:
    content = archive.read(top + '/' + file['path'])
    assert len(content) == file['size'] and hashlib.sha256(content).hexdigest() == file['sha256'], file
assert len(names) == len(manifest['files']) + 1
print(top, len(names))
";

#[test]
fn a_bundle_opens_elsewhere_with_the_manifests_hashes_and_is_the_same_twice() {
    let server = serve(quick());
    let bench = Bench::new();
    short(&bench, &endpoint(&server));
    let folder = bench.run_folder();
    let run_id = bench.report()["run_id"].as_str().unwrap().to_owned();
    let name = folder.to_str().unwrap();
    let said = bench.run(&["bundle", name]).expect(0).out;
    let archive = format!("{name}.zip");
    assert!(said.trim().ends_with(".zip"), "{said}");
    bench.run(&["bundle", name, "-o", "again.zip"]).expect(0);
    assert_eq!(
        fs::read(&archive).unwrap(),
        fs::read(bench.path("again.zip")).unwrap(),
        "no times of their own"
    );
    let python = Command::new("python3").args(["-c", OPEN_AND_HASH, &archive]).output().unwrap();
    assert!(python.status.success(), "{}", String::from_utf8_lossy(&python.stderr));
    assert!(String::from_utf8_lossy(&python.stdout).starts_with(&run_id));

    // What does not verify and what looks like a secret is packed by force alone.
    let readings = folder.join("readings.jsonl");
    let before = fs::read(&readings).unwrap();
    fs::write(&readings, [&before[..], b"\n"].concat()).unwrap();
    bench.run(&["bundle", name, "-o", "no.zip"]).expect(7).says(&["changed: readings.jsonl", "--force"]);
    assert!(!bench.path("no.zip").exists());
    bench.run(&["bundle", name, "-o", "yes.zip", "--force"]).expect(0);
    fs::write(&readings, before).unwrap();
    let requests = folder.join("requests.jsonl");
    let text = fs::read_to_string(&requests).unwrap();
    let leaked =
        text.replacen("\"response_id\":\"", "\"response_id\":\"sk-abcdefghijklmnopqrstuvwxyz0123456789", 1);
    assert_ne!(leaked, text, "{text:.300}");
    fs::write(&requests, leaked).unwrap();
    bench.run(&["summarize", name, "--write"]).expect(0);
    bench
        .run(&["bundle", name, "-o", "no.zip"])
        .expect(7)
        .says(&["requests.jsonl line 1", "key of a service"]);
}

#[test]
fn results_of_an_earlier_run_are_moved_away_with_their_manifest() {
    let server = serve(quick());
    let bench = Bench::new();
    let address = endpoint(&server);
    bench.file("results/of-others.log", "a line");
    for _ in 0..2 {
        let mut command = bench.command(&["run", "--endpoint", &address, "-n", "2", "--max-tokens", "3"]);
        command.env("RESULTS_DIR", "results");
        done(command.output().unwrap()).expect(0);
    }
    let moved: Vec<_> = fs::read_dir(bench.path("results"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.is_dir())
        .collect();
    assert_eq!(moved.len(), 1, "{moved:?}");
    verify(&bench, &moved[0], &[]).expect(0);
    let found = verify(&bench, &bench.path("results"), &[]).expect(7);
    assert!(found.out.contains("extra: of-others.log") && !found.out.contains("changed"), "{}", found.out);
}

/// Secrets of every kind that a run may meet.
const SECRETS: [&str; 8] = [
    "sk-the-api-key-0001",
    "hf_the_hub_token_0002",
    "bearer-of-a-header-0003",
    "password-of-endpoint-0004",
    "password-of-proxy-0005",
    "substituted-value-0006",
    "key-of-another-name-0007",
    "ElectricityMapsToken0008",
];

#[test]
fn no_secret_of_any_kind_is_in_a_file_a_log_or_an_archive() {
    let bench = Bench::new();
    bench.file(
        "c.yaml",
        "name: n\nbackend:\n  model: auto\n  server:\n    headers:\n      Authorization: Bearer bearer-of-a-header-0003\n      \
         X-Key: ${oc.env:MY_OWN_VARIABLE}\n    api_key_env: A_NAME_OF_ITS_OWN\nscenario:\n  dataset_name: builtin\n  \
         num_samples: 6\nmetrics:\n  project_name: about ${oc.env:MY_OWN_VARIABLE}\n",
    );
    for format in ["text", "json"] {
        let mut options = quick();
        // Error answers too: their bodies are quoted in requests.jsonl.
        options.faults = vec!["500@4".parse().unwrap()];
        let server = serve(options);
        let address = endpoint(&server).replace("http://", "http://me:password-of-endpoint-0004@");
        let arguments =
            ["-vvv", "--log-format", format, "run", "c.yaml", "--endpoint", &address, "--max-tokens", "4"];
        let mut command = bench.command(&arguments);
        command
            .env("RUST_LOG", "trace")
            .env("OPENAI_API_KEY", SECRETS[0])
            .env("HF_TOKEN", SECRETS[1])
            .env("HTTPS_PROXY", "http://me:password-of-proxy-0005@127.0.0.1:9")
            .env("MY_OWN_VARIABLE", SECRETS[5])
            .env("A_NAME_OF_ITS_OWN", SECRETS[6])
            .env("ELECTRICITYMAPS_API_TOKEN", SECRETS[7]);
        let finished = done(command.output().unwrap()).expect(4);
        holds_none("standard output and error", (finished.out + &finished.err).as_bytes());
    }
    let mut archives = 0;
    for folder in fs::read_dir(bench.path("benchmark_output")).unwrap() {
        let folder = folder.unwrap().path();
        for entry in fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            holds_none(&path.display().to_string(), &fs::read(&path).unwrap());
        }
        let config = fs::read_to_string(folder.join("config.yaml")).unwrap();
        assert!(config.contains("X-Key: \"***\"") && config.contains("***@127.0.0.1"), "{config}");
        bench.run(&["bundle", folder.to_str().unwrap(), "-o", "b.zip"]).expect(0);
        let unpacked = Command::new("python3")
            .args(["-c", "import sys,zipfile\nz=zipfile.ZipFile('b.zip')\nfor n in z.namelist(): sys.stdout.buffer.write(z.read(n))"])
            .current_dir(bench.folder.path())
            .output()
            .unwrap();
        assert!(unpacked.status.success() && unpacked.stdout.len() > 10_000);
        holds_none("the archive", &unpacked.stdout);
        archives += 1;
    }
    assert_eq!(archives, 2);
}

#[track_caller]
fn holds_none(place: &str, bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    for secret in SECRETS {
        assert!(!text.contains(secret), "{place} holds {secret}");
    }
}
