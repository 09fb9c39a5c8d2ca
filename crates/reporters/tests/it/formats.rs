//! The formats that are written on request, each read back by something that did not write it.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::{Read, Write};
use std::net::TcpListener;
use std::process::Command;

use ai_energy_core::summary::{RequestShare, RequestTimes};
use ai_energy_core::{ErrorClass, Reporter};
use ai_energy_reporters::markdown::Markdown;
use ai_energy_reporters::openmetrics::{self, OpenMetrics};
use ai_energy_reporters::otlp::{self, Otlp};
use ai_energy_reporters::requests::{Parquet, RequestsCsv};
use ai_energy_reporters::{Options, jsonl::Jsonl};
use polars::prelude::{DataType, ParquetReader, SerReader};
use serde_json::Value;

use crate::support::{self, Run, place};

/// A run whose requests have times and shares, the last one failed.
fn detailed() -> Run {
    let mut run = support::complete();
    run.record.requests[199] = support::failed_request(199, ErrorClass::Server, "out of \"memory\", twice");
    for (number, request) in run.record.requests.iter().enumerate() {
        run.summary.curves.requests.push(RequestTimes {
            time_to_first_token: Some(0.06),
            end_to_end: Some(0.76),
            ..RequestTimes::default()
        });
        run.summary.energy.requests.shares.push(RequestShare {
            id: request.id.clone(),
            gpu_joules: Some(number as f64),
            total_joules: Some(2.0 * number as f64),
            ..RequestShare::default()
        });
    }
    run
}

#[test]
fn a_row_of_every_request_in_typed_columns() {
    let folder = tempfile::tempdir().unwrap();
    let run = detailed();
    RequestsCsv.write(run.report(), &place(folder.path())).unwrap();
    Parquet.write(run.report(), &place(folder.path())).unwrap();
    let mut csv = csv::Reader::from_path(folder.path().join("requests.csv")).unwrap();
    let names: Vec<String> = csv.headers().unwrap().iter().map(str::to_owned).collect();
    let rows: Vec<csv::StringRecord> = csv.records().map(Result::unwrap).collect();
    let frame =
        ParquetReader::new(File::open(folder.path().join("requests.parquet")).unwrap()).finish().unwrap();
    assert_eq!((rows.len(), frame.height()), (200, 200));
    let columns: Vec<String> = frame.get_column_names().iter().map(ToString::to_string).collect();
    assert_eq!(names, columns);
    let at = |name: &str| names.iter().position(|known| known == name).unwrap();
    let kind = |name: &str| frame.column(name).unwrap().dtype().clone();
    assert_eq!(kind("time_to_first_token_seconds"), DataType::Float64);
    assert_eq!(kind("completion_tokens"), DataType::UInt64);
    assert_eq!(kind("error_class"), DataType::String);
    let joules = frame.column("gpu_energy_joules").unwrap().f64().unwrap();
    assert_eq!((joules.get(7), &rows[7][at("gpu_energy_joules")]), (Some(7.0), "7"));
    let unknown = frame.column("ram_energy_joules").unwrap();
    assert_eq!((unknown.null_count(), &rows[7][at("ram_energy_joules")]), (200, ""), "unknown is never 0");
    assert_eq!(&rows[199][at("error_class")], "server");
    assert_eq!(&rows[199][at("error_message")], "out of \"memory\", twice");
    assert_eq!((&rows[199][at("succeeded")], &rows[0][at("error_class")]), ("false", ""));
    for name in &names {
        let dimensional = name.contains("time_to") || name.contains("energy") || name.contains("_at");
        let unit = ["_seconds", "_joules", "_tokens", "_bytes"].iter().any(|unit| name.ends_with(unit));
        assert!(!dimensional || unit, "{name} names no unit");
    }
}

/// The samples of an OpenMetrics text by name, after checking what the format asks for.
fn parsed(text: &str) -> BTreeMap<String, Vec<(String, f64)>> {
    let body = text.strip_suffix("# EOF\n").unwrap();
    let mut families: BTreeSet<String> = BTreeSet::new();
    let mut open: Option<(String, String)> = None;
    let mut samples: BTreeMap<String, Vec<(String, f64)>> = BTreeMap::new();
    for line in body.lines() {
        if let Some(words) = line.strip_prefix("# ") {
            let (keyword, rest) = words.split_once(' ').unwrap();
            let (name, rest) = rest.split_once(' ').unwrap();
            if keyword == "TYPE" {
                assert!(families.insert(name.to_owned()), "{name} comes twice");
                open = Some((name.to_owned(), rest.to_owned()));
            }
            assert!(["TYPE", "UNIT", "HELP"].contains(&keyword), "{line}");
            assert_eq!(open.as_ref().unwrap().0, name, "lines of one metric stand together");
            assert!(keyword != "UNIT" || name.ends_with(&format!("_{rest}")), "{line}");
            continue;
        }
        let (name, rest) = line.split_once('{').unwrap();
        let (labels, value) = rest.rsplit_once("} ").unwrap();
        let (family, kind) = open.as_ref().unwrap();
        let own = name == family
            || (kind == "summary"
                && [format!("{family}_sum"), format!("{family}_count")].contains(&name.to_owned()));
        assert!(own, "{line} stands under {family}");
        let known = samples.entry(name.to_owned()).or_default();
        assert!(known.iter().all(|(other, _)| other != labels), "{line} comes twice");
        known.push((labels.to_owned(), value.parse().unwrap()));
    }
    samples
}

#[test]
fn openmetrics_holds_the_figures_and_what_the_format_asks_for() {
    let folder = tempfile::tempdir().unwrap();
    let mut run = support::complete();
    run.record.backend.model = "odd\"name\\with\nlines".to_owned();
    let options = Options { textfile: Some(folder.path().join("node/energy.prom")), ..Options::default() };
    OpenMetrics::new(&options).write(run.report(), &place(folder.path())).unwrap();
    let text = fs::read_to_string(folder.path().join("metrics.prom")).unwrap();
    assert_eq!(fs::read_to_string(folder.path().join("node/energy.prom")).unwrap(), text);
    assert!(text.contains(r#"model="odd\"name\\with\nlines""#), "{text}");
    let samples = parsed(&text);
    let gpu = samples["ai_energy_energy_joules"].iter().find(|(labels, _)| labels.contains("domain=\"gpu\""));
    let (labels, joules) = gpu.unwrap();
    assert!(*joules == 2560.0 && labels.contains("provenance=\"measured\""), "{labels} {joules}");
    assert_eq!(samples["ai_energy_request_duration_seconds_count"][0].1, 200.0);
    assert_eq!(samples["ai_energy_run"][0].1, 1.0);
    let silent = parsed(&openmetrics::text(support::nothing_measurable().report()));
    assert!(!silent.contains_key("ai_energy_energy_joules"), "what is not known has no sample, not 0");
}

#[test]
fn promtool_finds_nothing_wrong_where_it_is_installed() {
    let Ok(mut child) = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn()
    else {
        println!("promtool is not installed: the check of the test above stands alone");
        return;
    };
    let text = openmetrics::text(support::complete().report());
    child.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

/// A collector for one message: its address, and what it was sent.
fn collector(
    status: &'static str,
    answer: &'static str,
) -> (String, std::thread::JoinHandle<(String, Value)>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://user:secret@{}", listener.local_addr().unwrap());
    let serving = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut seen = Vec::new();
        let mut piece = [0; 4096];
        loop {
            let text = String::from_utf8_lossy(&seen).into_owned();
            if let Some((head, body)) = text.split_once("\r\n\r\n") {
                let length = head.lines().find_map(|line| {
                    let (name, value) = line.split_once(": ")?;
                    name.eq_ignore_ascii_case("content-length").then(|| value.parse::<usize>().unwrap())
                });
                if body.len() >= length.unwrap() {
                    let reply =
                        format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\n\r\n{answer}", answer.len());
                    stream.write_all(reply.as_bytes()).unwrap();
                    return (head.to_owned(), serde_json::from_str(body).unwrap());
                }
            }
            let count = stream.read(&mut piece).unwrap();
            assert!(count > 0, "the connection ended early");
            seen.extend_from_slice(&piece[..count]);
        }
    });
    (address, serving)
}

fn sending_to(address: String) -> Otlp {
    Otlp::new(&Options { otlp_endpoint: Some(address), ..Options::default() })
}

#[test]
fn a_collector_gets_the_message_that_is_on_disk() {
    let folder = tempfile::tempdir().unwrap();
    let (address, serving) = collector("200 OK", "{\"partialSuccess\":{}}");
    let written = sending_to(address).write(support::complete().report(), &place(folder.path())).unwrap();
    let (head, sent) = serving.join().unwrap();
    assert!(
        head.starts_with("POST /v1/metrics ")
            && head.to_lowercase().contains("content-type: application/json")
    );
    let kept: Value =
        serde_json::from_slice(&fs::read(folder.path().join("otlp_metrics.json")).unwrap()).unwrap();
    assert_eq!(sent, kept);
    assert!(written[0].note.as_deref().unwrap().contains("sent"));
    let metrics = sent["resourceMetrics"][0]["scopeMetrics"][0]["metrics"].as_array().unwrap();
    let energy = metrics.iter().find(|metric| metric["name"] == "ai_energy.energy").unwrap();
    let point = &energy["gauge"]["dataPoints"][0];
    assert_eq!((energy["unit"].as_str(), point["asDouble"].as_f64()), (Some("J"), Some(2560.0)));
    // The load ended 75.25 s after 14:22:33 UTC.
    assert_eq!(point["timeUnixNano"], "1795443828250000000");
    let times = metrics.iter().find(|metric| metric["name"] == "ai_energy.request_duration").unwrap();
    assert_eq!(times["summary"]["dataPoints"][0]["count"], "200");
}

#[test]
fn a_collector_that_fails_is_named_and_loses_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let (refusing, first) = collector("503 Service Unavailable", "full");
    let (picky, second) = collector("200 OK", "{\"partialSuccess\":{\"rejectedDataPoints\":\"3\"}}");
    for (address, cause) in [
        (format!("http://user:secret@{closed}"), "cannot be reached"),
        (refusing, "answers 503"),
        (picky, "rejected 3"),
    ] {
        let fault =
            sending_to(address).write(support::complete().report(), &place(folder.path())).unwrap_err();
        assert!(fault.cause.contains(cause) && fault.remedy.contains("otlp_metrics.json"), "{fault}");
        assert!(!format!("{fault:?}").contains("secret"), "{fault:?}");
        let kept: Value =
            serde_json::from_slice(&fs::read(folder.path().join("otlp_metrics.json")).unwrap()).unwrap();
        assert_eq!(kept, otlp::message(support::complete().report()));
        fs::remove_file(folder.path().join("otlp_metrics.json")).unwrap();
    }
    first.join().unwrap();
    second.join().unwrap();
}

#[test]
fn lines_are_collected_and_a_file_of_another_shape_is_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("runs.jsonl");
    let reporter = Jsonl::new(&Options { output_file: Some(file.clone()), ..Options::default() });
    for run in [support::complete(), support::gpu_lost()] {
        let written = reporter.write(run.report(), &place(folder.path())).unwrap();
        assert!(written.iter().all(|file| file.note.is_none()), "{written:?}");
    }
    let text = fs::read_to_string(&file).unwrap();
    let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.len(), 2);
    assert!(lines[1]["energy"]["gpu_energy_wh"].is_null() && lines[0]["energy"]["gpu_energy_wh"].is_number());
    fs::write(&file, "name,value\nmine,1\n").unwrap();
    let written = reporter.write(support::complete().report(), &place(folder.path())).unwrap();
    assert_eq!(fs::read_to_string(&file).unwrap(), "name,value\nmine,1\n");
    let beside = &written[1];
    assert!(
        beside.path.ends_with("runs.1.jsonl") && beside.note.as_deref().unwrap().contains("left as it is")
    );
}

#[test]
fn markdown_says_what_the_terminal_says() {
    let folder = tempfile::tempdir().unwrap();
    let mut run = support::gpu_lost();
    run.record.backend.model = "a|b <script>alert(1)</script>".to_owned();
    Markdown.write(run.report(), &place(folder.path())).unwrap();
    let text = fs::read_to_string(folder.path().join("report.md")).unwrap();
    assert!(
        text.contains("not known: source nvml:gpu0:energy was lost") && !text.contains("<script>"),
        "{text}"
    );
    assert!(text.contains("a\\|b &lt;script&gt;"), "{text}");
    for table in text.split("\n\n").filter(|part| part.starts_with('|')) {
        let cells = |line: &str| line.replace("\\|", "").matches('|').count();
        let lines: Vec<usize> = table.lines().map(cells).collect();
        assert!(lines.windows(2).all(|pair| pair[0] == pair[1]), "{table}");
    }
    let synthetic = ai_energy_reporters::markdown::text(support::synthetic().report());
    assert!(synthetic.contains("> **Synthetic"), "{synthetic}");
}
