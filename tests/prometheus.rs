//! Energy through a real Prometheus: the program asks the server of Debian's package, which scrapes an exporter of this
//! test that shows known joules in the metrics of DCGM exporter, node_exporter and Kepler.
//!
//! Where the program `prometheus` is not installed the test says so and ends.

#![cfg(unix)]
#![allow(clippy::unwrap_used, clippy::print_stdout)]

mod support;

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant, SystemTime};

use serde_json::Value;
use support::{Bench, Options, endpoint, json, quick, serve};
use tempfile::TempDir;

/// Joules since the exporter began when it draws `watts` at first and 20 W more each second: a source that takes a value
/// for that of another moment is wrong here.
fn joules(watts: f64, seconds: f64) -> f64 {
    watts * seconds + 10.0 * seconds * seconds
}

/// A power that does not change, W.
const STEADY: f64 = 180.0;

/// What the exporter shows, as the real ones write it. A GPU's MIG instance repeats the whole GPU, a package's
/// memory-mapped zone the package.
fn metrics(seconds: f64) -> String {
    let gpu = |id: u32, instance: &str, watts: f64| {
        let labels = format!(
            r#"gpu="{id}",UUID="GPU-{id}",device="nvidia{id}",modelName="NVIDIA H200",GPU_I_ID="{instance}""#
        );
        let millijoules = (joules(watts, seconds) * 1e3).round();
        format!(
            "DCGM_FI_DEV_TOTAL_ENERGY_CONSUMPTION{{{labels}}} {millijoules}\n\
             DCGM_FI_DEV_POWER_USAGE{{{labels}}} {STEADY}\n"
        )
    };
    let zone =
        |metric: &str, labels: &str, watts: f64| format!("{metric}{{{labels}}} {}\n", joules(watts, seconds));
    let folder = "/sys/class/powercap/intel-rapl";
    [
        gpu(0, "", 300.0),
        gpu(0, "1", 300.0),
        gpu(1, "", 500.0),
        zone("node_rapl_package_joules_total", &format!(r#"index="0",path="{folder}:0""#), 100.0),
        zone("node_rapl_package_joules_total", &format!(r#"index="0",path="{folder}-mmio:0""#), 100.0),
        zone("node_rapl_dram_joules_total", &format!(r#"index="0",path="{folder}:0:0""#), 30.0),
        zone("kepler_node_cpu_joules_total", &format!(r#"zone="package",path="{folder}:0""#), 110.0),
        zone("kepler_node_cpu_joules_total", &format!(r#"zone="dram",path="{folder}:0:0""#), 40.0),
        format!("rack_energy_kwh{{outlet=\"7\"}} {:.12}\n", joules(900.0, seconds) / 3.6e6),
    ]
    .concat()
}

/// Serves [`metrics`] on a port of 127.0.0.1 until the test ends.
fn exporter() -> (u16, SystemTime) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let (begin, wall) = (Instant::now(), SystemTime::now());
    std::thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let head =
                BufReader::new(&stream).lines().map_while(Result::ok).take_while(|line| !line.is_empty());
            if head.count() == 0 {
                continue;
            }
            let body = metrics(begin.elapsed().as_secs_f64());
            let kind = "text/plain; version=0.0.4";
            let head =
                format!("HTTP/1.1 200 OK\r\ncontent-type: {kind}\r\ncontent-length: {}\r\n", body.len());
            // A scrape that was given up is Prometheus' own business.
            let _ = (&stream).write_all(format!("{head}connection: close\r\n\r\n{body}").as_bytes());
        }
    });
    (port, wall)
}

/// A running Prometheus, killed with this value.
struct Prometheus {
    child: Child,
    port: u16,
    _folder: TempDir,
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Prometheus {
    /// Starts it with one scrape a second of `target`; `None` where it is not installed.
    fn start(target: u16) -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let config = format!(
            "global: {{scrape_interval: 1s, scrape_timeout: 1s}}\nscrape_configs:\n- job_name: far\n  static_configs:\n  \
             - targets: ['127.0.0.1:{target}']\n"
        );
        std::fs::write(folder.path().join("prometheus.yml"), config).unwrap();
        // Free a moment ago; where somebody took it since, Prometheus ends and the wait below says so.
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let mut command = Command::new("prometheus");
        command.arg("--config.file=prometheus.yml").arg("--storage.tsdb.path=data").arg("--log.level=error");
        command.arg(format!("--web.listen-address=127.0.0.1:{port}")).current_dir(folder.path());
        match command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::inherit()).spawn() {
            Ok(child) => Some(Self { child, port, _folder: folder }),
            Err(error) => {
                println!(
                    "skipped: `prometheus` cannot be started ({error}); Debian's package of that name has it"
                );
                None
            }
        }
    }

    /// Waits until it has scraped a few times.
    fn wait(&mut self) {
        let deadline = Instant::now() + Duration::from_secs(60);
        while self.scrapes().is_none_or(|scrapes| scrapes < 3.0) {
            assert!(self.child.try_wait().unwrap().is_none(), "Prometheus ended");
            assert!(Instant::now() < deadline, "Prometheus does not come to scrape");
            std::thread::sleep(Duration::from_millis(200));
        }
    }

    fn scrapes(&self) -> Option<f64> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).ok()?;
        stream.set_read_timeout(Some(Duration::from_secs(5))).ok()?;
        let query = "GET /api/v1/query?query=sum_over_time(up%5B60s%5D) HTTP/1.0\r\nhost: x\r\n\r\n";
        stream.write_all(query.as_bytes()).ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).ok()?;
        let value: Value = serde_json::from_str(answer.split_once("\r\n\r\n")?.1).ok()?;
        value["data"]["result"][0]["value"][1].as_str()?.parse().ok()
    }

    fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }
}

/// A run of about four seconds with these settings; its report, and when its load began and ended on the exporter's clock.
fn run(settings: &[&str], config: Option<&str>, begin: SystemTime) -> (Value, f64, f64) {
    let server =
        serve(Options { ttft: "50ms".parse().unwrap(), inter_token: "9ms".parse().unwrap(), ..quick() });
    let (bench, address) = (Bench::new(), endpoint(&server));
    if let Some(config) = config {
        bench.file("run.yaml", config);
    }
    let load = [
        "--endpoint",
        &address,
        "--dataset",
        "builtin",
        "-n",
        "10",
        "--max-tokens",
        "40",
        "metrics.idle_seconds=0",
    ];
    let sources = ["metrics.sources=[prometheus,cpu_model,ram_model]"];
    let file = config.map(|_| "run.yaml");
    bench.run(&[&["run"][..], file.as_slice(), &load, &sources, settings].concat()).expect(0);
    let record = json(&bench.run_folder().join("record.json"))["record"].clone();
    let origin: SystemTime =
        record["started_at"].as_str().unwrap().parse::<jiff::Timestamp>().unwrap().into();
    let origin = origin.duration_since(begin).unwrap().as_secs_f64();
    let phases = record["phases"].as_array().unwrap();
    let load = phases.iter().find(|phase| phase["kind"] == "load").unwrap();
    let at = |key: &str| origin + load[key].as_f64().unwrap() * 1e-9;
    (bench.report(), at("start_ns"), at("end_ns"))
}

/// The domain's energy is that of the exporter, and its interval is no blanket.
#[track_caller]
fn agrees(report: &Value, domain: &str, expected: f64, words: &str) {
    let domains = report["figures"]["energy"]["domains"].as_array().unwrap();
    let energy = &domains.iter().find(|entry| entry["domain"] == domain).unwrap()["energy"];
    let value = energy["value"].as_f64().unwrap_or_else(|| panic!("{domain}: {energy}"));
    assert!((value - expected).abs() <= 0.02 * expected, "{domain}: {value} J, and {expected} J were spent");
    assert!((value - expected).abs() <= energy["ci95"].as_f64().unwrap(), "{domain}: {energy}");
    assert!(energy["source"].as_str().unwrap().contains(words), "{domain}: {energy}");
}

#[test]
fn the_joules_that_a_real_server_scraped_are_those_of_the_load() {
    let (port, begin) = exporter();
    let Some(mut prometheus) = Prometheus::start(port) else { return };
    prometheus.wait();
    let url = format!("metrics.prometheus.url={}", prometheus.url());
    let presets =
        ["metrics.prometheus.presets=[dcgm,node_exporter]", "metrics.prometheus.selector=job=\"far\""];
    let (report, from, to) = run(&[&[url.as_str()][..], &presets].concat(), None, begin);
    let spent = |watts: f64| joules(watts, to) - joules(watts, from);
    agrees(&report, "gpu", spent(300.0) + spent(500.0), "DCGM exporter");
    agrees(&report, "cpu", spent(100.0), "node_exporter");
    agrees(&report, "ram", spent(30.0), "node_exporter");

    let config = "backend: {model: simulated}\nmetrics:\n  prometheus:\n    presets: [kepler]\n    queries:\n    \
                  - {query: 'sum(DCGM_FI_DEV_POWER_USAGE{GPU_I_ID=\"\"})', domain: gpu, unit: W, gain_ci95: 0.01}\n    \
                  - {query: 'rack_energy_kwh{outlet=\"7\"}', domain: node, unit: kWh}\n";
    let (report, from, to) = run(&[url.as_str()], Some(config), begin);
    let spent = |watts: f64| joules(watts, to) - joules(watts, from);
    agrees(&report, "gpu", 2.0 * STEADY * (to - from), "sum(DCGM_FI_DEV_POWER_USAGE");
    agrees(&report, "cpu", spent(110.0), "Kepler");
    agrees(&report, "ram", spent(40.0), "Kepler");
    agrees(&report, "node", spent(900.0), "rack_energy_kwh");
}
