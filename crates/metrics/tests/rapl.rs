//! The RAPL source against a powercap tree of real files, as the kernel lays it out.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "helpers of tests may fail the test")]

mod common;

use std::fs;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

use ai_energy_core::energy::{Channel, ChannelKind, Domain, EnergySource, SourceDiscovery};
use ai_energy_core::{EnergyReading, ReadFault};
use ai_energy_metrics::{Options, Roots, SourceSelection, SummaryOptions, discover, summarize};
use common::{at, record};
use tempfile::TempDir;

/// Zones of a two-socket server with everything that must not be counted twice.
const ZONES: [(&str, &str); 9] = [
    ("intel-rapl:0", "package-0"),
    ("intel-rapl:0:0", "core"),
    ("intel-rapl:0:1", "dram"),
    ("intel-rapl:0:2", "uncore"),
    ("intel-rapl:1", "package-1"),
    ("intel-rapl:1:0", "dram"),
    ("intel-rapl:2", "psys"),
    ("intel-rapl-mmio:0", "package-0"),
    ("intel-rapl-mmio:0:0", "dram"),
];

fn set(root: &Path, zone: &str, microjoules: u64) {
    fs::write(root.join(zone).join("energy_uj"), format!("{microjoules}\n")).unwrap();
}

fn tree(zones: &[(&str, &str)]) -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir(dir.path().join("intel-rapl")).unwrap();
    for (zone, name) in zones {
        let path = dir.path().join(zone);
        fs::create_dir(&path).unwrap();
        fs::write(path.join("name"), format!("{name}\n")).unwrap();
        fs::write(path.join("max_energy_range_uj"), "999999999\n").unwrap();
        set(dir.path(), zone, 5_000_000);
    }
    dir
}

fn look(root: &Path) -> SourceDiscovery {
    let roots = Roots { powercap: root.to_owned(), ..Roots::default() };
    let options = Options { sources: SourceSelection::Named(vec!["rapl".into()]), ..Options::default() };
    discover(&options, &roots)
}

fn source(root: &Path) -> Box<dyn EnergySource> {
    look(root).sources.pop().expect("a source")
}

/// The last value of each channel that one call reads.
fn values(source: &mut dyn EnergySource) -> Result<Vec<(String, u64)>, ReadFault> {
    let names: Vec<String> = source.channels().iter().map(|channel| channel.name.clone()).collect();
    let mut values = vec![None; names.len()];
    source.read(&mut |position, value| values[position] = Some(value))?;
    Ok(names.into_iter().zip(values).filter_map(|(name, value)| Some((name, value?))).collect())
}

#[test]
fn each_joule_counts_once() {
    let dir = tree(&ZONES);
    let source = source(dir.path());
    let found: Vec<(&str, Domain, bool)> = source
        .channels()
        .iter()
        .map(|channel| (channel.name.as_str(), channel.domain, channel.counts))
        .collect();
    let expected = [
        ("rapl:package-0", Domain::Cpu, true),
        ("rapl:package-0:dram", Domain::Ram, true),
        ("rapl:package-1", Domain::Cpu, true),
        ("rapl:package-1:dram", Domain::Ram, true),
        ("rapl:psys", Domain::Node, false),
    ];
    assert_eq!(found, expected);
    let kind = ChannelKind::Counter { wrap_microjoules: Some(999_999_999) };
    assert!(source.channels().iter().all(|channel| channel.kind == kind));
}

#[test]
fn the_memory_mapped_twin_counts_where_it_is_alone() {
    let dir = tree(&[("intel-rapl-mmio:0", "package-0")]);
    let channels: Vec<Channel> = source(dir.path()).channels().to_vec();
    assert_eq!((channels.len(), channels[0].counts), (1, true));
    let unavailable = look(dir.path()).unavailable;
    assert!(unavailable.iter().any(|missing| missing.source == "rapl" && missing.domain == Domain::Ram));
}

#[test]
fn values_are_the_files_and_a_wrap_in_the_files_is_undone_in_the_summary() {
    let dir = tree(&[("intel-rapl:0", "package-0")]);
    let mut source = source(dir.path());
    let mut record = record();
    record.channels = source.channels().to_vec();
    for tenth in 9..=111_u64 {
        // 500 W: the counter of 1000 J wraps five times within the 10 s of the load.
        set(dir.path(), "intel-rapl:0", (tenth * 50_000_000) % 1_000_000_000);
        let (_, value) = values(&mut *source).unwrap().remove(0);
        record.readings.push(EnergyReading { channel: 0, at: at(tenth as f64 / 10.0), value });
    }
    let summary = summarize(&record, &SummaryOptions::default());
    let cpu = summary.domain(Domain::Cpu).unwrap().energy.clone();
    assert!((cpu.value.unwrap() - 5000.0).abs() < 1e-6, "{cpu:?}");
    assert!(cpu.ci95.unwrap() >= 250.0, "5 % of gain at least");
}

#[test]
fn a_zone_that_vanishes_does_not_silence_the_others_and_all_gone_is_gone() {
    let dir = tree(&ZONES[..1]);
    fs::create_dir_all(dir.path().join("intel-rapl:1")).unwrap();
    fs::write(dir.path().join("intel-rapl:1/name"), "package-1").unwrap();
    set(dir.path(), "intel-rapl:1", 7);
    let mut source = source(dir.path());
    assert_eq!(values(&mut *source).unwrap().len(), 2);
    fs::remove_dir_all(dir.path().join("intel-rapl:0")).unwrap();
    let mut left = Vec::new();
    let fault = source.read(&mut |position, value| left.push((position, value))).unwrap_err();
    assert!(matches!(&fault, ReadFault::Transient(text) if text.contains("intel-rapl:0")), "{fault:?}");
    assert_eq!(left, [(1, 7)]);
    fs::remove_dir_all(dir.path().join("intel-rapl:1")).unwrap();
    assert!(matches!(source.read(&mut |_, _| {}), Err(ReadFault::Gone(_))));
}

#[test]
fn no_tree_and_no_zones_are_unavailable_with_a_reason() {
    let dir = tempfile::tempdir().unwrap();
    for root in [dir.path().to_owned(), dir.path().join("absent")] {
        let found = look(&root);
        assert!(found.sources.is_empty());
        for domain in [Domain::Cpu, Domain::Ram] {
            let missing =
                found.unavailable.iter().find(|missing| missing.source == "rapl" && missing.domain == domain);
            assert!(missing.unwrap().reason.contains("RAPL shows no zones"), "{domain:?}");
        }
    }
}

#[test]
fn an_engine_that_hides_the_counters_is_told_to_show_them() {
    for (engine, trace, option) in [
        ("docker", "self/root/.dockerenv", "--security-opt systempaths=unconfined"),
        ("podman", "self/root/run/.containerenv", "--security-opt unmask=/sys/devices/virtual/powercap"),
    ] {
        let dir = tempfile::tempdir().unwrap();
        let proc = dir.path().join("proc");
        fs::create_dir_all(proc.join(trace).parent().unwrap()).unwrap();
        fs::write(proc.join(trace), "").unwrap();
        fs::write(proc.join("cpuinfo"), "flags\t\t: fpu\n").unwrap();
        // As a mask leaves it: the links are there, and lead to nothing.
        let powercap = dir.path().join("powercap");
        fs::create_dir_all(&powercap).unwrap();
        std::os::unix::fs::symlink("../devices/masked", powercap.join("intel-rapl:0")).unwrap();
        let options = Options { sources: SourceSelection::Named(vec!["rapl".into()]), ..Options::default() };
        let found = discover(&options, &Roots { powercap, proc, ..Roots::default() });
        let missing = &found.unavailable[0];
        assert!(missing.reason.contains(&format!("in this container ({engine})")), "{missing:?}");
        assert!(missing.remedy.contains(option), "{missing:?}");
    }
}

#[test]
fn garbage_in_a_file_is_no_reading() {
    let dir = tree(&ZONES[..1]);
    fs::write(dir.path().join("intel-rapl:0/energy_uj"), "n/a").unwrap();
    let found = look(dir.path());
    assert!(found.sources.is_empty() && found.unavailable[0].reason.contains("`n/a` is no number"));
}

/// Root reads anything, so this test runs itself again as nobody where it is root.
#[test]
fn without_permission_there_is_a_remedy_and_no_source() {
    const CHILD: &str = "AI_ENERGY_TEST_POWERCAP";
    if let Some(root) = std::env::var_os(CHILD) {
        let found = look(Path::new(&root));
        assert!(found.sources.is_empty());
        let missing = &found.unavailable[0];
        assert!(missing.reason.contains("no permission to read"), "{missing:?}");
        assert!(missing.remedy.contains("sudo chmod a+r /sys/class/powercap/*/energy_uj"), "{missing:?}");
        assert!(missing.remedy.contains("| sudo tee /etc/udev/rules.d/70-rapl.rules"), "{missing:?}");
        return;
    }
    let dir = tree(&ZONES);
    use std::os::unix::fs::PermissionsExt;
    fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
    fs::set_permissions(dir.path().join("intel-rapl:0/energy_uj"), fs::Permissions::from_mode(0o000))
        .unwrap();
    let mut child = Command::new(std::env::current_exe().unwrap());
    child.args(["--exact", "without_permission_there_is_a_remedy_and_no_source"]).env(CHILD, dir.path());
    if fs::read(dir.path().join("intel-rapl:0/energy_uj")).is_ok() {
        child.uid(65534).current_dir("/");
    }
    match child.output() {
        Ok(output) => assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout)),
        Err(error) => println!("skipped: this test cannot run itself as nobody: {error}"),
    }
}
