//! Sources behind other programs, files that grow and the kernel's events, each with a stand-in for the other side.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "helpers of tests may fail the test")]
#![allow(clippy::print_stdout, reason = "a skipped test says so")]
#![cfg(target_os = "linux")]

mod common;
#[path = "common/run.rs"]
mod run;

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant, SystemTime};

use ai_energy_core::energy::{ChannelKind, Domain, SourceDiscovery};
use ai_energy_core::summary::Verdict;
use ai_energy_core::{Clock, ReadFault};
use ai_energy_metrics::{Options, Roots, SourceSelection, SummaryOptions, discover, summarize};

fn bare(dir: &Path) -> Roots {
    Roots {
        sys: dir.join("sys"),
        proc: dir.join("proc"),
        powercap: dir.join("sys/class/powercap"),
        dev: dir.join("dev"),
        ..Roots::default()
    }
}

fn options(source: &str) -> Options {
    Options { sources: SourceSelection::Named(vec![source.to_owned()]), ..Options::default() }
}

/// A program of the shell.
fn program(dir: &Path, name: &str, text: &str) -> PathBuf {
    let path = dir.join(name);
    fs::write(&path, format!("#!/bin/sh\n{text}\n")).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    path
}

fn joules(found: SourceDiscovery, count: usize, domain: Domain) -> (f64, f64) {
    let record = run::run(found, count);
    let (start, end) = record.load_window().unwrap();
    let figure = summarize(&record, &SummaryOptions::default()).domain(domain).unwrap().energy.clone();
    let joules = figure.value.unwrap_or_else(|| panic!("{figure:?} {:?}", record.sampler.faults));
    (joules, end.seconds_since(start).0)
}

const DCMI: &str = "echo '    Instantaneous power reading:                   418 Watts'
echo '    Power reading state is:                   activated'";

#[test]
fn a_controllers_watts_are_the_nodes_and_each_call_is_given_its_arguments() {
    let dir = tempfile::tempdir().unwrap();
    let ipmitool =
        program(dir.path(), "ipmitool", &format!("echo \"$@\" > {}/said\n{DCMI}", dir.path().display()));
    let roots = Roots { ipmitool: ipmitool.into(), ..bare(dir.path()) };
    assert!(discover(&options("ipmi"), &roots).sources.is_empty(), "no device, no question");
    fs::create_dir_all(dir.path().join("dev")).unwrap();
    fs::write(dir.path().join("dev/ipmi0"), "").unwrap();
    let mut quick = options("ipmi");
    quick.ipmi.interval_seconds = 0.1;
    let (joules, seconds) = joules(discover(&quick, &roots), 6, Domain::Node);
    assert!((joules / seconds - 418.0).abs() < 1e-6, "{joules} J in {seconds} s");
    assert_eq!(fs::read_to_string(dir.path().join("said")).unwrap(), "dcmi power reading\n");
    quick.ipmi.host = Some("far".to_owned());
    quick.ipmi.user = Some("me".to_owned());
    discover(&quick, &roots);
    let said = fs::read_to_string(dir.path().join("said")).unwrap();
    assert_eq!(said, "-I lanplus -H far -U me -E dcmi power reading\n");
}

#[test]
fn only_a_controller_of_another_host_can_see_a_server_there() {
    let dir = tempfile::tempdir().unwrap();
    let ipmitool = program(dir.path(), "ipmitool", DCMI);
    let roots = Roots { ipmitool: ipmitool.into(), ..bare(dir.path()) };
    fs::create_dir_all(dir.path().join("dev")).unwrap();
    fs::write(dir.path().join("dev/ipmi0"), "").unwrap();
    let verdict = |host: Option<&str>| {
        let mut asked = options("ipmi");
        asked.ipmi.interval_seconds = 0.1;
        asked.ipmi.host = host.map(str::to_owned);
        let mut record = run::run(discover(&asked, &roots), 2);
        record.backend.endpoint = Some("http://10.1.2.3:8000/v1".to_owned());
        let validity = summarize(&record, &SummaryOptions::default()).validity;
        validity.checks.iter().find(|check| check.name == "server_host").unwrap().verdict
    };
    assert_eq!(verdict(Some("bmc.far")), Verdict::Ok);
    assert_eq!(verdict(None), Verdict::Warning, "this machine's controller sees this machine alone");
}

#[test]
fn what_keeps_a_controller_from_being_read_has_its_remedy() {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir_all(dir.path().join("dev")).unwrap();
    fs::write(dir.path().join("dev/ipmi0"), "").unwrap();
    let look = |path: PathBuf| {
        let roots = Roots { ipmitool: path.into(), ..bare(dir.path()) };
        let mut found = discover(&options("ipmi"), &roots);
        assert!(found.sources.is_empty());
        found.unavailable.retain(|missing| missing.source == "ipmi");
        found.unavailable.remove(0)
    };
    let absent = look(dir.path().join("absent"));
    assert!(absent.reason.contains("not installed") && absent.remedy == "install ipmitool", "{absent:?}");
    let closed = program(dir.path(), "closed", "echo 'Could not open device at /dev/ipmi0' >&2; exit 1");
    let closed = look(closed);
    assert!(closed.reason.contains("Could not open") && closed.remedy.contains("chmod"), "{closed:?}");
}

const SAMPLE: &str = "*** Sampled system activity (Mon Jan  5 12:00:00 2026 +0000) (100.00ms elapsed) ***
CPU Power: 1200 mW
GPU Power: 350 mW
ANE Power: 50 mW
Combined Power (CPU + GPU + ANE): 1600 mW";

#[test]
fn apples_samples_are_summed_to_a_counter() {
    let dir = tempfile::tempdir().unwrap();
    let sample = dir.path().join("sample");
    fs::write(&sample, format!("{SAMPLE}\n")).unwrap();
    // One sample for the discovery; two at once in the run, then none: the sum must be of both.
    let go = dir.path().join("go");
    let text = format!(
        "cat {0}\nwhile [ ! -e {1} ]; do sleep 0.05; done\ncat {0} {0}\nexec sleep 60",
        sample.display(),
        go.display()
    );
    let powermetrics = program(dir.path(), "powermetrics", &text);
    let roots = Roots { powermetrics: Some(powermetrics.into()), ..bare(dir.path()) };
    let mut found = discover(&options("powermetrics"), &roots);
    let channels = found.sources[0].channels();
    let words: Vec<(&str, Domain, bool)> =
        channels.iter().map(|channel| (channel.name.as_str(), channel.domain, channel.counts)).collect();
    let expected = [
        ("powermetrics:cpu", Domain::Cpu, true),
        ("powermetrics:gpu", Domain::Gpu, true),
        ("powermetrics:ane", Domain::Gpu, true),
    ];
    assert_eq!(words, expected);
    let clock = Clock::start();
    fs::write(go, "").unwrap();
    let mut last = [0; 3];
    let begin = Instant::now();
    while last[0] < 240_000 && begin.elapsed() < Duration::from_secs(10) {
        found.sources[0].read_stamped(&clock, &mut |position, _, value| last[position] = value).unwrap();
    }
    assert_eq!(last, [240_000, 70_000, 10_000], "1.2 W over 0.2 s are 0.24 J");
    let silent = program(dir.path(), "silent", "echo 'must be invoked as the superuser' >&2; exit 1");
    let roots = Roots { powermetrics: Some(silent.into()), ..bare(dir.path()) };
    assert!(discover(&options("powermetrics"), &roots).unavailable[0].remedy.contains("root"));
}

/// A meter's program that writes a row every 50 ms until it is dropped.
struct Meter(Arc<AtomicBool>, Option<std::thread::JoinHandle<()>>);

impl Meter {
    fn start(path: PathBuf, row: impl Fn(f64) -> String + Send + 'static) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let thread = std::thread::spawn(move || {
            let mut file = OpenOptions::new().append(true).open(path).unwrap();
            while !stopped.load(Ordering::SeqCst) {
                let wall = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs_f64();
                // In two writes: a reader meets half a row now and then.
                let row = row(wall);
                let (one, two) = row.split_at(row.len() / 2);
                file.write_all(one.as_bytes()).unwrap();
                file.write_all(two.as_bytes()).unwrap();
                std::thread::sleep(Duration::from_millis(50));
            }
        });
        Self(stop, Some(thread))
    }
}

impl Drop for Meter {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
        self.1.take().unwrap().join().unwrap();
    }
}

#[test]
fn a_meters_log_is_followed_while_it_grows_and_its_clock_is_set_right() {
    let dir = tempfile::tempdir().unwrap();
    let wall = || SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs_f64();
    let begin = wall();
    for (header, kind) in [
        ("time,watts", ChannelKind::Power { averaging_ms: None }),
        ("joules,time", ChannelKind::Counter { wrap_microjoules: None }),
    ] {
        let counter = matches!(kind, ChannelKind::Counter { .. });
        let path = dir.path().join(format!("{counter}.csv"));
        fs::write(&path, format!("{header}\n")).unwrap();
        // The meter's clock is two hours ahead.
        let _meter = Meter::start(path.clone(), move |wall| match counter {
            true => format!("{},{}\n", 150.0 * (wall - begin), wall + 7200.0),
            false => format!("{},150\n", wall + 7200.0),
        });
        let mut options = options("wall_meter");
        options.wall_meter.file = Some(path);
        options.wall_meter.clock_offset_seconds = 7200.0;
        let found = discover(&options, &bare(dir.path()));
        let channel = &found.sources[0].channels()[0];
        assert_eq!((channel.kind, channel.gain_ci95), (kind, Some(0.01)));
        let (joules, seconds) = joules(found, 8, Domain::Node);
        assert!((joules / seconds - 150.0).abs() < 0.5, "{joules} J in {seconds} s, counter: {counter}");
    }
}

#[test]
fn a_meters_log_that_cannot_be_used_is_said() {
    let dir = tempfile::tempdir().unwrap();
    let look = |text: Option<&str>| {
        let path = dir.path().join("log.csv");
        let _ = fs::remove_file(&path);
        if let Some(text) = text {
            fs::write(&path, text).unwrap();
        }
        let mut options = options("wall_meter");
        options.wall_meter.file = Some(path);
        discover(&options, &bare(dir.path()))
    };
    let reason = |text| look(text).unavailable.remove(0).reason;
    assert!(reason(None).contains("cannot be opened"));
    assert!(reason(Some("when,watts\n")).contains("no column `time`"));
    assert!(reason(Some("time,volts\n")).contains("neither a column `joules` nor `watts`"));
    let mut found = look(Some("time,watts\n1767225600,oops\n"));
    let clock = Clock::start();
    let mut faults = Vec::new();
    while faults.is_empty() {
        faults.extend(found.sources[0].read_stamped(&clock, &mut |_, _, _| {}).err());
    }
    assert!(
        matches!(&faults[0], ReadFault::Transient(text) if text.contains("cannot be read")),
        "{faults:?}"
    );
}

/// The kernel's clock of a processor stands in for an energy counter: it is read through the same calls, and a
/// nanosecond passes for a nanojoule.
#[test]
fn perf_events_are_opened_as_the_kernel_describes_them_and_read() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("sys/bus/event_source/devices/power");
    for (file, text) in [
        ("type", "1"),
        ("cpumask", "0"),
        ("format/event", "config:0-7"),
        ("events/energy-pkg", "event=0x00"),
        ("events/energy-pkg.scale", "1e-9"),
        ("events/energy-pkg.unit", "Joules"),
        ("events/energy-cores", "event=0x01"),
    ] {
        let path = folder.join(file);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, format!("{text}\n")).unwrap();
    }
    let begin = Instant::now();
    let mut found = discover(&options("perf"), &bare(dir.path()));
    if found.sources.is_empty() {
        let missing = &found.unavailable[0];
        assert!(missing.source == "perf" && missing.reason.contains("energy-pkg"), "{missing:?}");
        println!("skipped: this machine opens no perf events: {}", missing.reason);
        return;
    }
    let channels = found.sources[0].channels();
    assert_eq!((channels.len(), channels[0].name.as_str()), (1, "perf:package-0"));
    assert_eq!((channels[0].device_id.as_str(), channels[0].counts), ("rapl:package-0", true));
    let mut read = Vec::new();
    while read.iter().max() <= Some(&20_000) && begin.elapsed() < Duration::from_secs(20) {
        found.sources[0].read(&mut |_, value| read.push(value)).unwrap();
    }
    let passed = begin.elapsed().as_micros();
    assert!(*read.last().unwrap() > 20_000, "20 ms of a processor's clock");
    assert!(u128::from(*read.last().unwrap()) <= passed, "no more microjoules than microseconds have passed");
    assert!(read.is_sorted());
}
