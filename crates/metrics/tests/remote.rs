//! Prometheus and Redfish against a server on this machine that answers as they do.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "helpers of tests may fail the test")]

mod common;
#[path = "common/http.rs"]
mod http;
#[path = "common/run.rs"]
mod run;

use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::{Instant, SystemTime};

use ai_energy_core::energy::{Domain, SourceDiscovery};
use ai_energy_metrics::sources::{Preset, PrometheusQuery, Unit};
use ai_energy_metrics::{
    Options, Roots, SourceSelection, SummaryOptions, check_options, discover, summarize,
};
use http::{Asked, Server};
use serde_json::{Value, json};

fn bare(dir: &Path) -> Roots {
    Roots {
        sys: dir.to_owned(),
        proc: dir.join("proc"),
        powercap: dir.join("class/powercap"),
        dev: dir.join("dev"),
        nvml_library: Some(dir.join("no-library").into()),
        rocm_library: Some(dir.join("no-library").into()),
        ..Roots::default()
    }
}

fn options(sources: &[&str]) -> Options {
    let names = sources.iter().map(|name| (*name).to_owned()).collect();
    Options { sources: SourceSelection::Named(names), ..Options::default() }
}

fn channels(found: &SourceDiscovery) -> Vec<(String, Domain, bool)> {
    let all = found.sources.iter().flat_map(|source| source.channels());
    all.map(|channel| (channel.device_id.clone(), channel.domain, channel.counts)).collect()
}

/// The server's clock is ahead of ours by this much.
const AHEAD_SECONDS: f64 = 3600.0;

/// Seconds between two scrapes.
const SCRAPE: f64 = 0.25;

/// A Prometheus that scrapes counters of constant power. Each series has a metric, labels, and watts; a query names
/// its metric.
struct Scraped {
    begin: Instant,
    series: Vec<(&'static str, Value, f64)>,
}

impl Scraped {
    fn now(&self) -> f64 {
        let wall = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs_f64();
        wall + AHEAD_SECONDS
    }

    fn answer(&self, asked: &Asked) -> (u16, String) {
        let query = asked.target.split_once("query=").unwrap().1;
        let now = self.now();
        let data = if query == "time()" {
            json!({"resultType": "scalar", "result": [now, now.to_string()]})
        } else if query.starts_with("sum(") && query.ends_with(']') {
            let error = json!({"status": "error", "error": "ranges only allowed for vector selectors"});
            return (400, error.to_string());
        } else if query.starts_with("sum(") {
            let watts: f64 = self.series.iter().map(|series| series.2).sum();
            json!({"resultType": "vector", "result": [{"metric": {}, "value": [now, watts.to_string()]}]})
        } else {
            let of = self.series.iter().filter(|series| query.starts_with(&format!("{}{{", series.0)));
            let result: Vec<Value> = of.map(|series| self.samples(series, now)).collect();
            json!({"resultType": "matrix", "result": result})
        };
        (200, json!({"status": "success", "data": data}).to_string())
    }

    /// The scrapes of the last two seconds: never one of this moment.
    fn samples(&self, (metric, labels, watts): &(&str, Value, f64), now: f64) -> Value {
        let last = (now / SCRAPE).floor() as i64;
        let values: Vec<Value> = (last - 8..=last)
            .map(|number| {
                let at = number as f64 * SCRAPE;
                // In the exporter's unit, millijoules.
                let since_begin = at - (now - self.begin.elapsed().as_secs_f64());
                json!([at, (watts * (since_begin + 1000.0) * 1e3).to_string()])
            })
            .collect();
        let mut labels = labels.clone();
        labels["__name__"] = json!(metric);
        json!({"metric": labels, "values": values})
    }
}

const DCGM: &str = "DCGM_FI_DEV_TOTAL_ENERGY_CONSUMPTION";

fn gpu(uuid: &str, part: &str) -> Value {
    json!({"UUID": uuid, "gpu": "0", "modelName": "NVIDIA H200", "GPU_I_ID": part, "instance": "far:9400"})
}

#[test]
fn the_joules_of_another_host_are_those_of_the_load_whatever_its_clock_says() {
    let scraped = Scraped {
        begin: Instant::now(),
        // An instance of MIG repeats its parent.
        series: vec![
            (DCGM, gpu("GPU-1", ""), 300.0),
            (DCGM, gpu("GPU-1", "7"), 300.0),
            (DCGM, gpu("GPU-2", ""), 100.0),
        ],
    };
    let server = Server::start(move |asked| scraped.answer(asked));
    let mut options = options(&["prometheus", "nvml"]);
    options.prometheus.url = Some(server.url());
    options.prometheus.presets = vec![Preset::Dcgm];
    let dir = tempfile::tempdir().unwrap();
    let found = discover(&options, &bare(dir.path()));
    let expected = [("GPU-1", Domain::Gpu, true), ("GPU-2", Domain::Gpu, true)];
    assert_eq!(channels(&found), expected.map(|(name, domain, counts)| (name.to_owned(), domain, counts)));
    let first = found.sources[0].channels()[0].clone();
    assert_eq!((first.device.as_str(), first.instrument.update_period_ms), ("NVIDIA H200", Some(250.0)));
    let record = run::run(found, 10);
    let (start, end) = record.load_window().unwrap();
    let seconds = end.seconds_since(start).0;
    let gpu = summarize(&record, &SummaryOptions::default()).domain(Domain::Gpu).unwrap().energy.clone();
    let joules = gpu.value.unwrap_or_else(|| panic!("{gpu:?}"));
    assert!((joules / seconds - 400.0).abs() < 4.0, "{joules} J in {seconds} s");
    assert!(gpu.source.contains("DCGM exporter"), "{gpu:?}");
}

#[test]
fn an_expression_is_asked_for_its_present_value_in_its_own_unit() {
    let scraped = Scraped { begin: Instant::now(), series: vec![("x", json!({}), 0.25)] };
    let server = Server::start(move |asked| scraped.answer(asked));
    let mut options = options(&["prometheus"]);
    options.prometheus.url = Some(server.url());
    options.prometheus.queries = vec![PrometheusQuery {
        query: "sum(rate(x[5m]))".to_owned(),
        domain: Domain::Node,
        unit: Unit::Kilowatt,
        gain_ci95: Some(0.02),
        averaging_ms: Some(300_000),
    }];
    let dir = tempfile::tempdir().unwrap();
    let mut found = discover(&options, &bare(dir.path()));
    assert_eq!(found.sources[0].channels()[0].gain_ci95, Some(0.02));
    let clock = ai_energy_core::Clock::start();
    let mut read = Vec::new();
    while read.is_empty() {
        found.sources[0].read_stamped(&clock, &mut |_, _, value| read.push(value)).unwrap();
    }
    assert_eq!(read[0], 250_000_000, "0.25 kW");
}

#[test]
fn a_server_that_fails_leaves_its_domains_to_nobody_else() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::create_dir_all(dir.path().join("proc")).unwrap();
    std::fs::write(dir.path().join("proc/stat"), "cpu  1 1 1 1 1 1 1\ncpu0 1 1 1 1 1 1 1\n").unwrap();
    let look = |url: String| {
        let mut options = options(&["prometheus", "cpu_model"]);
        options.prometheus.url = Some(url);
        options.prometheus.presets = vec![Preset::NodeExporter];
        discover(&options, &bare(dir.path()))
    };
    let shut = Server::start(|_| (401, String::new()));
    let empty = Server::start(|asked| {
        let data = match asked.target.contains("time()") {
            true => json!({"resultType": "scalar", "result": [5.0, "5"]}),
            false => json!({"resultType": "matrix", "result": []}),
        };
        (200, json!({"data": data}).to_string())
    });
    let nobody = "http://127.0.0.1:9".to_owned();
    for (url, reason, remedy) in [
        (shut.url(), "answered 401", "username_env"),
        (empty.url(), "has no series for `node_rapl_package_joules_total{}`", "is scraped"),
        (nobody, "cannot be reached", "check the address"),
        ("ftp://x".to_owned(), "no http or https URL", "http options"),
    ] {
        let found = look(url);
        let missing: Vec<_> =
            found.unavailable.iter().filter(|missing| missing.source == "prometheus").collect();
        let domains: Vec<Domain> = missing.iter().map(|missing| missing.domain).collect();
        assert_eq!(domains, [Domain::Cpu, Domain::Ram]);
        assert!(missing[0].reason.contains(reason) && missing[0].remedy.contains(remedy), "{missing:?}");
        assert!(channels(&found).iter().all(|channel| !channel.2), "no model stands in for another host");
    }
}

#[test]
fn a_server_without_anything_to_ask_is_a_mistake() {
    let mut options = options(&["prometheus"]);
    options.prometheus.url = Some("http://127.0.0.1:9".to_owned());
    assert!(check_options(&options).unwrap_err().remedy.contains("presets"));
}

/// A controller with two chassis; `power` is the answer of each one's resource.
fn controller(asked: &Asked, power: [&Value; 2]) -> (u16, String) {
    let id = |path: &str| json!({"@odata.id": path});
    let base = "/redfish/v1/Chassis";
    let body = match asked.target.as_str() {
        "/redfish/v1/Chassis" => {
            json!({"Members": [id(&format!("{base}/Enc")), id(&format!("{base}/Sled"))]})
        }
        "/redfish/v1/Chassis/Enc" => json!({"Id": "Enc", "Power": id(&format!("{base}/Enc/Power"))}),
        "/redfish/v1/Chassis/Sled" => {
            json!({"Id": "Sled", "EnvironmentMetrics": id(&format!("{base}/Sled/EnvironmentMetrics"))})
        }
        "/redfish/v1/Chassis/Enc/Power" => power[0].clone(),
        "/redfish/v1/Chassis/Sled/EnvironmentMetrics" => power[1].clone(),
        _ => return (404, String::new()),
    };
    (200, body.to_string())
}

fn redfish(url: String, chassis: Option<&str>) -> SourceDiscovery {
    let mut options = options(&["redfish"]);
    options.redfish.endpoint = Some(url);
    options.redfish.chassis = chassis.map(str::to_owned);
    options.redfish.interval_seconds = 0.1;
    let dir = tempfile::tempdir().unwrap();
    discover(&options, &bare(dir.path()))
}

#[test]
fn a_chassis_is_read_in_the_newer_and_the_older_form_and_never_two_at_once() {
    let older = json!({"PowerControl": [{"PowerConsumedWatts": 812}]});
    let newer = json!({"PowerWatts": {"Reading": 640.5}});
    let (a, b) = (older.clone(), newer.clone());
    let both = Server::start(move |asked| controller(asked, [&a, &b]));
    let found = redfish(both.url(), None);
    assert!(found.sources.is_empty(), "an enclosure may contain its sleds");
    assert!(found.unavailable[0].reason.contains("Enc, Sled"), "{:?}", found.unavailable);
    for (chassis, microwatts) in [("Enc", 812_000_000), ("Sled", 640_500_000)] {
        let mut found = redfish(both.url(), Some(chassis));
        assert_eq!(found.sources[0].channels()[0].name, format!("redfish:{chassis}"));
        let mut read = Vec::new();
        let clock = ai_energy_core::Clock::start();
        found.sources[0].read_stamped(&clock, &mut |_, _, value| read.push(value)).unwrap();
        assert_eq!(read[0], microwatts);
    }
    assert!(redfish(both.url(), Some("Other")).unavailable[0].reason.contains("`Other`"));
    let none = json!({"PowerWatts": {"Reading": null}});
    let one = Server::start(move |asked| controller(asked, [&older, &none]));
    let record = run::run(redfish(one.url(), None), 6);
    let node =
        summarize(&record, &SummaryOptions::default()).domain(Domain::Node).unwrap().mean_power.clone();
    assert!((node.value.unwrap() - 812.0).abs() < 1e-6, "{node:?}");
}

#[test]
fn credentials_come_from_the_environment_and_a_missing_one_is_said() {
    let heard = Arc::new(Mutex::new(Vec::new()));
    let hears = Arc::clone(&heard);
    let server = Server::start(move |asked| {
        hears.lock().unwrap().extend(asked.headers.clone());
        (403, String::new())
    });
    let look = |password: &str| {
        let mut options = options(&["redfish"]);
        options.redfish.endpoint = Some(server.url());
        // Variables that every test process has, so that none has to be set.
        options.redfish.http.username_env = Some("CARGO_PKG_NAME".to_owned());
        options.redfish.http.password_env = Some(password.to_owned());
        let dir = tempfile::tempdir().unwrap();
        discover(&options, &bare(dir.path())).unavailable.remove(0)
    };
    let missing = look("AI_ENERGY_TEST_NO_SUCH_VARIABLE");
    assert!(missing.reason.contains("AI_ENERGY_TEST_NO_SUCH_VARIABLE is not set"), "{missing:?}");
    assert!(heard.lock().unwrap().is_empty(), "nothing is sent without it");
    let refused = look("CARGO_PKG_VERSION");
    assert!(
        refused.reason.contains("403") && !refused.reason.contains(env!("CARGO_PKG_VERSION")),
        "{refused:?}"
    );
    assert!(heard.lock().unwrap().iter().any(|header| header.starts_with("authorization: basic ")));
}
