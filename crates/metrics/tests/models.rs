//! The models and the environment against a made-up `/proc`, and who stands in for whom.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "helpers of tests may fail the test")]

use std::fs;
use std::path::Path;

use ai_energy_core::ReadFault;
use ai_energy_core::energy::{Domain, SourceDiscovery};
use ai_energy_core::figure::Provenance;
use ai_energy_metrics::{Options, Roots, SourceSelection, discover, environment};
use tempfile::TempDir;

/// An empty machine: nothing is there, and no NVML library either.
fn bare(dir: &Path) -> Roots {
    Roots {
        powercap: dir.join("powercap"),
        proc: dir.join("proc"),
        sys: dir.join("sys"),
        nvml_library: Some(dir.join("no-nvml.so").into_os_string()),
        visible_gpus: None,
        dev: dir.join("dev"),
        powermetrics: None,
        rocm_library: Some(dir.join("no-rocm.so").into_os_string()),
        ..Roots::default()
    }
}

fn stat(roots: &Roots, busy_ticks: u64) {
    let text = format!(
        "cpu  {busy_ticks} 0 0 5000 0 0 0 0 0 0\ncpu0 1 0 0 1 0 0 0 0 0 0\ncpu1 1 0 0 1 0 0 0 0 0 0\n"
    );
    fs::write(roots.proc.join("stat"), text).unwrap();
}

/// Two hardware threads and 15.5 GiB.
fn machine() -> (TempDir, Roots) {
    let dir = tempfile::tempdir().unwrap();
    let roots = bare(dir.path());
    fs::create_dir_all(roots.proc.join("sys/kernel")).unwrap();
    fs::write(roots.proc.join("meminfo"), "MemTotal:       16252928 kB\nMemFree: 1 kB\n").unwrap();
    fs::write(roots.proc.join("cpuinfo"), "model name\t: Example 9000\nflags\t\t: fpu hypervisor sse\n")
        .unwrap();
    fs::write(roots.proc.join("sys/kernel/hostname"), "box\n").unwrap();
    stat(&roots, 1000);
    (dir, roots)
}

fn package(roots: &Roots, zones: &[(&str, &str)]) {
    for (zone, name) in zones {
        fs::create_dir_all(roots.powercap.join(zone)).unwrap();
        fs::write(roots.powercap.join(zone).join("name"), name).unwrap();
        fs::write(roots.powercap.join(zone).join("energy_uj"), "1").unwrap();
    }
}

fn counting(found: &SourceDiscovery) -> Vec<String> {
    let channels = found.sources.iter().flat_map(|source| source.channels().to_vec());
    channels.filter(|channel| channel.counts).map(|channel| channel.name).collect()
}

#[test]
fn models_stand_in_exactly_where_no_counter_does() {
    let (_dir, roots) = machine();
    assert_eq!(counting(&discover(&Options::default(), &roots)), ["cpu_model:load", "ram_model:modules"]);
    package(&roots, &[("intel-rapl:0", "package-0")]);
    assert_eq!(counting(&discover(&Options::default(), &roots)), ["rapl:package-0", "ram_model:modules"]);
    package(&roots, &[("intel-rapl:0:0", "dram")]);
    assert_eq!(counting(&discover(&Options::default(), &roots)), ["rapl:package-0", "rapl:package-0:dram"]);
}

#[test]
fn the_load_counter_follows_busy_time_and_never_falls() {
    let (_dir, roots) = machine();
    let options = Options { cpu_tdp_watts: Some(1_000_000.0), ..Options::default() };
    let mut found = discover(&options, &roots);
    let mut model = found.sources.remove(0);
    let channel = model.channels()[0].clone();
    assert_eq!((channel.provenance, channel.device.as_str()), (Provenance::Estimated, "Example 9000"));
    assert!(channel.gain_ci95.unwrap() >= 0.5);
    let mut read = || {
        let mut last = 0;
        model.read(&mut |_, value| last = value).map(|()| last)
    };
    std::thread::sleep(std::time::Duration::from_millis(30));
    let idle = read().unwrap();
    assert!(idle > 0, "an idle processor draws power too");
    // Two threads were busy for 10 ms each, so the average thread was too: 9 kJ at 0.9 MW.
    stat(&roots, 1002);
    let busy = read().unwrap();
    assert!(busy - idle >= 9_000_000_000, "{idle} {busy}");
    stat(&roots, 900);
    assert!(read().unwrap() >= busy);
    fs::remove_file(roots.proc.join("stat")).unwrap();
    assert!(matches!(read(), Err(ReadFault::Gone(_))));
}

#[test]
fn memory_is_the_containers_where_it_has_a_limit() {
    let (_dir, roots) = machine();
    let ram = |roots: &Roots| {
        let found = discover(&Options::default(), roots);
        let source = found.sources.iter().find(|source| source.channels()[0].domain == Domain::Ram).unwrap();
        (source.channels()[0].source.clone(), found.warnings)
    };
    assert_eq!(ram(&roots).0, "2 modules, 10.0 W for 15.5 GiB");
    fs::create_dir_all(roots.proc.join("self/root")).unwrap();
    fs::write(roots.proc.join("self/root/.dockerenv"), "").unwrap();
    assert_eq!(
        ram(&roots).1,
        ["this is a container (docker): estimated CPU and RAM energy is the whole virtual machine's"]
    );
    fs::create_dir_all(roots.sys.join("fs/cgroup")).unwrap();
    fs::write(roots.sys.join("fs/cgroup/memory.max"), "2147483648\n").unwrap();
    let (source, warnings) = ram(&roots);
    assert_eq!(source, "1 module, 10.0 W for the container's limit of 2.0 GiB");
    assert_eq!(
        warnings,
        ["this is a container (docker): estimated CPU energy is the whole virtual machine's"],
        "memory has a limit"
    );
}

#[test]
fn a_machine_that_tells_nothing_has_a_reason_for_every_domain() {
    let dir = tempfile::tempdir().unwrap();
    let found = discover(&Options::default(), &bare(dir.path()));
    assert!(found.sources.is_empty());
    for domain in [Domain::Gpu, Domain::Cpu, Domain::Ram] {
        assert!(found.unavailable.iter().any(|missing| missing.domain == domain), "{domain:?}");
    }
    let nvml = found.unavailable.iter().find(|missing| missing.source == "nvml").unwrap();
    assert!(nvml.reason.contains("library") && !nvml.remedy.is_empty());
}

#[test]
fn sources_that_are_not_selected_are_named_as_such() {
    let (_dir, roots) = machine();
    let options = Options { sources: SourceSelection::Named(vec!["cpu_model".into()]), ..Options::default() };
    let found = discover(&options, &roots);
    assert_eq!(counting(&found), ["cpu_model:load"]);
    let names: Vec<&str> = found.unavailable.iter().map(|missing| missing.source.as_str()).collect();
    assert_eq!(names, ["nvml", "rapl", "ram_model"], "the processors are covered, memory and GPUs are not");
    assert!(found.unavailable.iter().all(|missing| missing.reason.contains("not among the selected")));
}

#[test]
fn the_environment_has_every_key_and_null_for_what_is_not_known() {
    let (_dir, roots) = machine();
    let found = environment(&roots);
    assert_eq!(found["hostname"], "box");
    assert_eq!((&found["cpu_model"], &found["cpu_count"]), (&"Example 9000".into(), &2.into()));
    assert_eq!((&found["ram_total_gib"], &found["virtual_machine"]), (&15.5.into(), &true.into()));
    assert!(found["gpu_count"].is_null() && found["gpu_driver"].is_null() && found["container"].is_null());
    let dir = tempfile::tempdir().unwrap();
    let nothing = environment(&bare(dir.path()));
    assert_eq!(nothing.keys().collect::<Vec<_>>(), found.keys().collect::<Vec<_>>());
    assert!(nothing["cpu_count"].is_null() && nothing["ram_total_gib"].is_null());
    for machine in [&found, &nothing] {
        let nulls = machine.iter().filter(|(_, value)| value.is_null()).map(|(key, _)| key);
        let told = machine["unknown"].as_object().unwrap();
        assert_eq!(nulls.collect::<Vec<_>>(), told.keys().collect::<Vec<_>>(), "each null has its reason");
        assert!(
            told.values().all(|reason| reason.as_str().is_some_and(|reason| reason.len() > 10)),
            "{told:?}"
        );
    }
}
