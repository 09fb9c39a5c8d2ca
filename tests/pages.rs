//! The formats through the real program, and the HTML page in a real browser where one is installed.

#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, clippy::print_stdout)]

#[path = "support/gpu.rs"]
mod gpu;
mod support;

use std::path::Path;
use std::process::Command;

use gpu::{Curve, FakeNvml, arguments, command, gpus, steady};
use support::{Bench, Done, done, endpoint, json, lines, quick, serve};

/// Names under which Chromium is installed.
const BROWSERS: [&str; 4] = ["chromium", "chromium-browser", "google-chrome", "chrome"];

/// Reports on itself to the page around it: what the keys read, how much wider it is than its window.
const PROBE: &str = "<script>
addEventListener('load', () => {
  const plot = document.querySelector('.plot[data-hover]');
  plot.focus();
  for (const key of ['ArrowRight', 'PageDown']) plot.dispatchEvent(new KeyboardEvent('keydown', { key }));
  const read = plot.querySelector('.tip').textContent, wider = document.documentElement.scrollWidth - document.documentElement.clientWidth;
  parent.postMessage('READ<' + read + '> WIDER<' + wider + '> CHARTS<' + document.querySelectorAll('svg.chart').length + '>', '*');
});
</script></body>";

/// A run with a GPU, idling before and after, in every format.
fn run_with_a_gpu(bench: &Bench) -> Done {
    let mut script = gpus(1);
    script.devices[0].power = Curve::steps(&[(0.0, 90.0), (2.0, 310.0), (5.0, 90.0)]);
    let fake = FakeNvml::new(&script).unwrap();
    let (_server, address) = steady();
    let formats = ["--report", "markdown,jsonl,requests_csv,parquet,openmetrics,otlp"];
    let rest = ["metrics.idle_seconds=1", "name=a <b>page</b>"];
    done(command(bench, &fake, &[&arguments(&address)[..], &formats, &rest].concat()).output().unwrap())
        .expect(0)
}

#[test]
fn named_formats_stand_beside_the_standard_ones_and_summarize_writes_them_again() {
    let bench = Bench::new();
    run_with_a_gpu(&bench);
    let folder = bench.run_folder();
    let names = [
        "report.html",
        "report.md",
        "benchmark_report.jsonl",
        "requests.csv",
        "requests.parquet",
        "metrics.prom",
        "otlp_metrics.json",
        "benchmark_results.csv",
    ];
    let read = || names.map(|name| std::fs::read(folder.join(name)).unwrap());
    let first = read();
    let report = bench.report();
    let line = lines(&folder.join("benchmark_report.jsonl"));
    assert_eq!(line, std::slice::from_ref(&report));
    let joules = report["figures"]["energy"]["total"]["value"].as_f64().unwrap();
    let prom = String::from_utf8(first[5].clone()).unwrap();
    assert!(prom.contains(&format!("}} {joules}\n")), "{joules} J in {prom}");
    let page = String::from_utf8(first[0].clone()).unwrap();
    assert!(page.contains("Power over time") && page.contains("idle before") && page.contains("repeat"));
    assert!(page.contains("a &lt;b&gt;page") && !page.contains("<b>"));
    for name in names {
        std::fs::remove_file(folder.join(name)).unwrap();
    }
    bench.run(&["summarize", folder.to_str().unwrap(), "--write"]).expect(0);
    for ((name, first), again) in names.iter().zip(first).zip(read()) {
        assert!(first == again, "{name} is not the same from the folder alone");
    }
}

#[test]
fn a_config_names_formats_in_a_list_and_a_wrong_name_is_refused() {
    let server = serve(quick());
    let bench = Bench::new();
    let config = |reporter: &str| {
        format!(
            "backend: {{model: simulated, endpoint: '{}'}}\nscenario: {{dataset_name: builtin, num_samples: 2, generate_kwargs: {{max_new_tokens: 4}}}}\nreporter: {reporter}\n",
            endpoint(&server)
        )
    };
    bench.file("list.yaml", config("[csv, markdown]"));
    bench.run(&["list.yaml"]).expect(0);
    assert!(
        bench.run_folder().join("report.md").exists() && !bench.run_folder().join("metrics.prom").exists()
    );
    bench.file("lines.yaml", config("{type: jsonl, output_file: all/runs.jsonl}"));
    for _ in 0..2 {
        bench.run(&["lines.yaml", "output_dir=other"]).expect(0);
    }
    assert_eq!(lines(&bench.path("all/runs.jsonl")).len(), 2);
    bench.file("wrong.yaml", config("[csv, markdwon]"));
    bench.run(&["wrong.yaml"]).expect(2).says(&["reporter", "markdwon", "did you mean `markdown`"]);
}

#[test]
fn a_collector_that_is_away_costs_the_exit_code_and_no_result() {
    let server = serve(quick());
    let bench = Bench::new();
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let otlp = format!("reporter.otlp_endpoint=http://{closed}");
    let address = endpoint(&server);
    let run = ["run", "--endpoint", &address, "-n", "2", "--max-tokens", "4", &otlp];
    bench.run(&run).expect(1).says(&["OTLP collector", "cannot be reached", "otlp_metrics.json"]);
    let folder = bench.run_folder();
    assert!(json(&folder.join("otlp_metrics.json"))["resourceMetrics"][0].is_object());
    for name in ["report.html", "benchmark_report.json", "requests.jsonl", "record.json"] {
        assert!(folder.join(name).exists(), "{name}");
    }
}

/// The browser that is installed, if any.
fn browser() -> Option<&'static str> {
    BROWSERS
        .into_iter()
        .find(|name| Command::new(name).arg("--version").output().is_ok_and(|output| output.status.success()))
}

/// Opens a page in a frame of this width, and gives back the document around it and what the browser logged.
fn opened(browser: &str, folder: &Path, page: &str, width: u32) -> (String, String) {
    std::fs::write(folder.join("probed.html"), page.replace("</body>", PROBE)).unwrap();
    let around = format!(
        "<body><iframe src=probed.html width={width} height=4000></iframe><p id=said></p>\
         <script>addEventListener('message', event => {{ said.textContent = event.data; }});</script>"
    );
    std::fs::write(folder.join("around.html"), around).unwrap();
    let output = Command::new(browser)
        .args([
            "--headless=new",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-dev-shm-usage",
            "--no-first-run",
        ])
        .args(["--disable-background-networking", "--enable-logging=stderr", "--timeout=60000"])
        .args(["--host-resolver-rules=MAP * ~NOTFOUND", "--virtual-time-budget=5000", "--dump-dom"])
        .arg(format!("--user-data-dir={}", folder.join("profile").display()))
        .arg(format!("--log-net-log={}", folder.join("net.json").display()))
        .arg(format!("file://{}", folder.join("around.html").display()))
        .output()
        .unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    (text(output.stdout), text(output.stderr))
}

#[test]
fn a_browser_shows_the_page_without_errors_network_or_sideways_scrolling() {
    let Some(browser) = browser() else {
        println!("NOT TESTED: no Chromium is installed; the form of the page is tested without one");
        return;
    };
    let bench = Bench::new();
    run_with_a_gpu(&bench);
    let page = std::fs::read_to_string(bench.run_folder().join("report.html")).unwrap();
    for width in [1280, 390] {
        let folder = tempfile::tempdir().unwrap();
        let (document, log) = opened(browser, folder.path(), &page, width);
        assert!(!log.contains("CONSOLE"), "the page complains at {width}: {log}");
        assert!(document.contains("READ&lt;") && document.contains("W"), "keys read no value: {document}");
        assert!(document.contains(" s ("), "the reading names time and phase: {document}");
        assert!(document.contains("WIDER&lt;0&gt;"), "{width} pixels are too few: {document}");
        let charts = document.split("CHARTS&lt;").nth(1).unwrap().split('&').next().unwrap();
        assert!(charts.parse::<u32>().unwrap() >= 4, "{charts} charts");
        // The browser's own log of everything it asked any host for.
        let asked = std::fs::read_to_string(folder.path().join("net.json")).unwrap();
        let own = ["http://", "https://"].iter().flat_map(|scheme| asked.match_indices(scheme));
        for (at, _) in own {
            let url = asked[at..].split(['"', '\\', ' ']).next().unwrap();
            assert!(!page.contains(url), "the page asked for {url}");
        }
    }
}
