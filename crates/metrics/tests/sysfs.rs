//! The sources that read small files of the kernel, against trees of real files laid out as the kernel does.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "helpers of tests may fail the test")]

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use ai_energy_core::ReadFault;
use ai_energy_core::energy::{ChannelKind, Domain, EnergySource, GainSource, Scope, SourceDiscovery};
use ai_energy_metrics::options::Gain;
use ai_energy_metrics::{GpuChoice, Options, Roots, SourceSelection, check_options, discover};
use tempfile::TempDir;

/// A system's folder of these files.
fn tree(files: &[(&str, &str)]) -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    for (path, text) in files {
        write(dir.path(), path, text);
    }
    dir
}

fn write(root: &Path, path: &str, text: &str) {
    let file = root.join(path);
    fs::create_dir_all(file.parent().unwrap()).unwrap();
    fs::write(file, format!("{text}\n")).unwrap();
}

fn roots(sys: &Path) -> Roots {
    Roots {
        sys: sys.to_owned(),
        proc: sys.join("proc"),
        powercap: sys.join("class/powercap"),
        visible_gpus: None,
        visible_rocr: None,
        visible_hip: None,
        ..Roots::default()
    }
}

fn options(sources: &[&str]) -> Options {
    let names = sources.iter().map(|name| (*name).to_owned()).collect();
    Options { sources: SourceSelection::Named(names), ..Options::default() }
}

fn look(sys: &Path, sources: &[&str]) -> SourceDiscovery {
    discover(&options(sources), &roots(sys))
}

/// Names, domains and whether they count.
fn channels(found: &SourceDiscovery) -> Vec<(String, Domain, bool)> {
    let all = found.sources.iter().flat_map(|source| source.channels());
    all.map(|channel| (channel.name.clone(), channel.domain, channel.counts)).collect()
}

fn counting(found: &SourceDiscovery) -> Vec<String> {
    channels(found).into_iter().filter(|channel| channel.2).map(|channel| channel.0).collect()
}

fn values(source: &mut dyn EnergySource) -> Result<Vec<(usize, u64)>, ReadFault> {
    let mut values = Vec::new();
    source.read(&mut |position, value| values.push((position, value)))?;
    Ok(values)
}

fn reasons(found: &SourceDiscovery, source: &str) -> Vec<(Domain, String)> {
    let of = found.unavailable.iter().filter(|missing| missing.source == source);
    of.map(|missing| (missing.domain, missing.reason.clone())).collect()
}

/// A machine with two AMD GPUs, the second with a counter, and a processor with graphics.
fn amd() -> TempDir {
    let dir = tree(&[
        ("devices/0000:03:00.0/product_name", "AMD Instinct MI210"),
        ("devices/0000:83:00.0/vendor", "0x1002"),
        ("devices/0000:c5:00.0/vendor", "0x1002"),
        ("class/hwmon/hwmon2/name", "amdgpu"),
        ("class/hwmon/hwmon2/power1_average", "41000000"),
        ("class/hwmon/hwmon10/name", "amdgpu"),
        ("class/hwmon/hwmon10/power1_input", "52000000"),
        ("class/hwmon/hwmon10/energy1_input", "7000000"),
        ("class/hwmon/hwmon3/name", "amdgpu"),
        ("class/hwmon/hwmon3/power1_input", "9000000"),
        ("class/hwmon/hwmon3/in1_label", "vddnb"),
        ("class/hwmon/hwmon4/name", "nvme"),
        ("class/hwmon/hwmon4/power1_input", "1"),
    ]);
    for (monitor, pci) in [(2, "0000:03:00.0"), (10, "0000:83:00.0"), (3, "0000:c5:00.0")] {
        let target = dir.path().join("devices").join(pci);
        symlink(target, dir.path().join(format!("class/hwmon/hwmon{monitor}/device"))).unwrap();
    }
    dir
}

#[test]
fn amd_gpus_are_read_by_pci_address_and_graphics_in_a_processor_are_not() {
    let dir = amd();
    let mut found = look(dir.path(), &["amdgpu"]);
    let expected = [
        ("amdgpu:gpu0:power", Domain::Gpu, true),
        ("amdgpu:gpu1:energy", Domain::Gpu, true),
        ("amdgpu:gpu1:power", Domain::Gpu, false),
    ];
    assert_eq!(channels(&found), expected.map(|(name, domain, counts)| (name.to_owned(), domain, counts)));
    let first = &found.sources[0].channels()[0];
    assert_eq!((first.device.as_str(), first.device_id.as_str()), ("AMD Instinct MI210", "0000:03:00.0"));
    assert_eq!(first.instrument.scope, Scope::Accelerator);
    assert!(reasons(&found, "amdgpu")[0].1.contains("0000:c5:00.0 is inside the processor"));
    let read = values(&mut *found.sources[0]).unwrap();
    assert_eq!(read, [(0, 41_000_000), (1, 7_000_000), (2, 52_000_000)]);
    fs::remove_file(dir.path().join("class/hwmon/hwmon2/power1_average")).unwrap();
    let mut rest = Vec::new();
    let fault = found.sources[0].read(&mut |position, value| rest.push((position, value))).unwrap_err();
    assert!(matches!(&fault, ReadFault::Transient(text) if text.contains("power1_average")), "{fault:?}");
    assert_eq!(rest, [(1, 7_000_000), (2, 52_000_000)]);
}

#[test]
fn amd_gpus_are_selected_and_what_is_refused_in_part_is_refused_whole() {
    let dir = amd();
    let of = |ids: Vec<u32>| {
        discover(
            &Options { gpu_ids: Some(ids.into_iter().map(Into::into).collect()), ..options(&["amdgpu"]) },
            &roots(dir.path()),
        )
    };
    assert_eq!(counting(&of(vec![1])), ["amdgpu:gpu1:energy"]);
    let beyond = of(vec![0, 5]);
    assert!(reasons(&beyond, "amdgpu").iter().any(|(_, reason)| reason.contains("GPU 5 is not there")));
    fs::write(dir.path().join("class/hwmon/hwmon2/power1_average"), "?").unwrap();
    let found = look(dir.path(), &["amdgpu"]);
    assert!(found.sources.is_empty());
    assert!(reasons(&found, "amdgpu").iter().any(|(_, reason)| reason.contains("`?` is no number")));
}

#[test]
fn what_hip_sees_is_what_is_measured() {
    let dir = amd();
    write(dir.path(), "bus/pci/devices/0000:83:00.0/unique_id", "deadbeefdeadbeef");
    let look = |rocr: Option<&str>, hip: Option<&str>, cuda: Option<&str>| {
        let text = |value: Option<&str>| value.map(str::to_owned);
        let roots = Roots {
            visible_rocr: text(rocr),
            visible_hip: text(hip),
            visible_gpus: text(cuda),
            ..roots(dir.path())
        };
        discover(&options(&["amdgpu"]), &roots)
    };
    let first = ["amdgpu:gpu0:power"];
    let second = ["amdgpu:gpu1:energy"];
    assert_eq!(counting(&look(Some("1"), None, None)), second);
    assert_eq!(counting(&look(Some("GPU-deadbeefdeadbeef"), None, None)), second);
    assert_eq!(
        counting(&look(None, Some("1"), Some("0"))),
        second,
        "HIP's own variable stands before CUDA's"
    );
    assert_eq!(counting(&look(None, None, Some("0"))), first, "which HIP takes where its own is unset");
    assert_eq!(counting(&look(Some("1,0"), Some("1"), None)), first, "numbers count what the runtime shows");
    let none = look(Some("1"), Some("1"), None);
    assert!(none.sources.is_empty());
    let said = "HIP_VISIBLE_DEVICES is `1` and names no GPU".to_owned();
    assert!(reasons(&none, "amdgpu").contains(&(Domain::Gpu, said)), "{:?}", none.unavailable);
    for word in ["83:00.0", "0000:83:00.0", "GPU-DEADBEEFDEADBEEF"] {
        let named = Options { gpu_ids: Some(vec![GpuChoice::Name(word.into())]), ..options(&["amdgpu"]) };
        assert_eq!(counting(&discover(&named, &roots(dir.path()))), second, "{word}");
    }
}

#[test]
fn an_amd_gpu_that_sleeps_is_not_woken_and_not_0() {
    let dir = amd();
    let status = "bus/pci/devices/0000:83:00.0/power/runtime_status";
    write(dir.path(), status, "suspended");
    // A reading would fail here, and be said.
    write(dir.path(), "class/hwmon/hwmon10/energy1_input", "it was read");
    let found = look(dir.path(), &["amdgpu"]);
    assert!(found.sources.is_empty(), "the other GPU alone would pass for both");
    let missing = found.unavailable.iter().find(|missing| missing.reason.contains("sleeps")).unwrap();
    assert!(missing.reason.starts_with("GPU 1: the GPU at 0000:83:00.0 sleeps"), "{missing:?}");
    assert!(missing.remedy.contains("devices/0000:83:00.0/power/control"), "{missing:?}");
    write(dir.path(), status, "active");
    write(dir.path(), "class/hwmon/hwmon10/energy1_input", "7000000");
    let mut awake = look(dir.path(), &["amdgpu"]);
    write(dir.path(), status, "suspending");
    let mut read = Vec::new();
    let fault = awake.sources[0].read(&mut |position, value| read.push((position, value))).unwrap_err();
    assert!(matches!(&fault, ReadFault::Transient(text) if text.contains("sleeps")), "{fault:?}");
    assert_eq!(read, [(0, 41_000_000)], "the GPU that is awake is read on");
    write(dir.path(), status, "active");
    assert_eq!(values(&mut *awake.sources[0]).unwrap().len(), 3, "it woke by itself");
}

#[test]
fn machines_without_the_hardware_hear_nothing_of_it() {
    let dir = tree(&[("class/hwmon/hwmon0/name", "coretemp")]);
    let found = look(dir.path(), &["amdgpu", "jetson", "grace", "battery"]);
    assert!(found.sources.is_empty());
    let named: Vec<&str> = found.unavailable.iter().map(|missing| missing.source.as_str()).collect();
    assert!(!named.iter().any(|name| ["amdgpu", "jetson", "grace", "battery"].contains(name)), "{named:?}");
}

#[test]
fn grace_hopper_counts_the_socket_once_and_models_no_memory_beside_it() {
    let meter = |number: usize, words: &'static str, microwatts: &'static str| {
        [
            (format!("class/hwmon/hwmon{number}/name"), "power_meter"),
            (format!("class/hwmon/hwmon{number}/device/power1_oem_info"), words),
            (format!("class/hwmon/hwmon{number}/device/power1_average"), microwatts),
            (format!("class/hwmon/hwmon{number}/device/power1_average_interval"), "50"),
        ]
    };
    let files: Vec<(String, &str)> = [
        meter(1, "Module Power Socket 0", "700000000"),
        meter(2, "Grace Power Socket 0", "180000000"),
        meter(3, "CPU Power Socket 0", "110000000"),
        meter(4, "SysIO Power Socket 0", "30000000"),
    ]
    .concat();
    let files: Vec<(&str, &str)> = files.iter().map(|(path, text)| (path.as_str(), *text)).collect();
    let dir = tree(&files);
    write(dir.path(), "proc/meminfo", "MemTotal: 16000000 kB");
    write(dir.path(), "proc/stat", "cpu  1 1 1 1 1 1 1\ncpu0 1 1 1 1 1 1 1");
    let mut found = look(dir.path(), &["grace", "rapl", "cpu_model", "ram_model"]);
    assert_eq!(counting(&found), ["grace:grace-0"]);
    assert_eq!(channels(&found).len(), 4, "the others stand beside it");
    let socket = &found.sources[0].channels()[1];
    assert_eq!(socket.instrument.contains, [Domain::Ram]);
    assert_eq!(socket.kind, ChannelKind::Power { averaging_ms: Some(50) });
    assert_eq!(reasons(&found, "grace")[0].0, Domain::Ram, "why there is no figure for memory");
    assert!(reasons(&found, "rapl").is_empty(), "nobody misses RAPL here");
    assert_eq!(values(&mut *found.sources[0]).unwrap()[1], (1, 180_000_000));
}

#[test]
fn both_layouts_of_a_jetson_give_the_same_powers() {
    let monitor = "class/hwmon/hwmon1";
    let mut files = vec![(format!("{monitor}/name"), "ina3221".to_owned())];
    for (number, label, volts, amperes) in
        [(1, "VDD_IN", 5000, 2000), (2, "VDD_CPU_GPU_CV", 5000, 800), (3, "VDD_SOC", 5000, 300)]
    {
        files.push((format!("{monitor}/in{number}_label"), label.to_owned()));
        files.push((format!("{monitor}/in{number}_input"), volts.to_string()));
        files.push((format!("{monitor}/curr{number}_input"), amperes.to_string()));
    }
    files.push((format!("{monitor}/in7_label"), "sum of shunt voltages".to_owned()));
    let files: Vec<(&str, &str)> = files.iter().map(|(path, text)| (path.as_str(), text.as_str())).collect();
    let newer = tree(&files);
    let mut found = look(newer.path(), &["jetson", "rapl", "cpu_model"]);
    let expected = [
        ("jetson:vdd_in", Domain::Node, true),
        ("jetson:vdd_cpu_gpu_cv", Domain::Gpu, true),
        ("jetson:vdd_soc", Domain::Cpu, false),
    ];
    assert_eq!(channels(&found), expected.map(|(name, domain, counts)| (name.to_owned(), domain, counts)));
    assert_eq!(reasons(&found, "jetson")[0].0, Domain::Cpu, "it is within the GPU's rail");
    assert_eq!(values(&mut *found.sources[0]).unwrap(), [(0, 10_000_000), (1, 4_000_000), (2, 1_500_000)]);

    let chip = "bus/i2c/drivers/ina3221x/1-0040/iio:device0";
    let files: Vec<(String, &str)> = vec![
        (format!("{chip}/rail_name_0"), "POM_5V_IN"),
        (format!("{chip}/in_power0_input"), "10000"),
        (format!("{chip}/rail_name_1"), "POM_5V_GPU"),
        (format!("{chip}/in_power1_input"), "4000"),
        (format!("{chip}/rail_name_2"), "POM_5V_CPU"),
        (format!("{chip}/in_power2_input"), "1500"),
    ];
    let files: Vec<(&str, &str)> = files.iter().map(|(path, text)| (path.as_str(), *text)).collect();
    let older = tree(&files);
    let mut found = look(older.path(), &["jetson"]);
    assert_eq!(counting(&found), ["jetson:pom_5v_in", "jetson:pom_5v_gpu", "jetson:pom_5v_cpu"]);
    assert_eq!(values(&mut *found.sources[0]).unwrap(), [(0, 10_000_000), (1, 4_000_000), (2, 1_500_000)]);
}

const BATTERY: &str = "class/power_supply/BAT0";

fn laptop(gauge: &[(&str, &str)]) -> TempDir {
    let dir = tree(&[
        ("class/power_supply/AC/type", "Mains"),
        ("class/power_supply/AC/online", "0"),
        ("class/power_supply/hidpp_battery_0/type", "Battery"),
        ("class/power_supply/hidpp_battery_0/scope", "Device"),
        ("class/power_supply/hidpp_battery_0/energy_now", "1"),
    ]);
    for (file, text) in [("type", "Battery"), ("status", "Discharging")].iter().chain(gauge) {
        write(dir.path(), &format!("{BATTERY}/{file}"), text);
    }
    dir
}

#[test]
fn a_battery_counts_what_leaves_it_and_only_while_it_carries_the_machine() {
    let dir = laptop(&[("energy_now", "50000000"), ("power_now", "12000000")]);
    let mut found = look(dir.path(), &["battery"]);
    assert_eq!(counting(&found), ["battery:BAT0:energy"]);
    let source = &mut *found.sources[0];
    assert_eq!(values(source).unwrap(), [(0, 0), (1, 12_000_000)]);
    write(dir.path(), &format!("{BATTERY}/energy_now"), "49990000");
    assert_eq!(values(source).unwrap()[0], (0, 36_000_000), "10 mWh are 36 J");
    write(dir.path(), &format!("{BATTERY}/energy_now"), "49995000");
    assert_eq!(
        values(source).unwrap()[0],
        (0, 36_000_000),
        "a gauge that corrects itself gives nothing back"
    );
    write(dir.path(), "class/power_supply/AC/online", "1");
    let gone = values(source).unwrap_err();
    assert!(matches!(&gone, ReadFault::Gone(text) if text.contains("feeds the machine")), "{gone:?}");
    let found = look(dir.path(), &["battery"]);
    assert!(found.sources.is_empty() && found.unavailable[0].remedy.contains("unplug"));
}

#[test]
fn a_gauge_of_charge_is_multiplied_by_the_voltage() {
    let dir = laptop(&[("charge_now", "3000000"), ("voltage_now", "12000000"), ("current_now", "-1500000")]);
    let mut found = look(dir.path(), &["battery"]);
    let source = &mut *found.sources[0];
    assert_eq!(values(source).unwrap(), [(0, 0), (1, 18_000_000)], "1.5 A at 12 V");
    write(dir.path(), &format!("{BATTERY}/charge_now"), "2999000");
    assert_eq!(values(source).unwrap()[0], (0, 43_200_000), "1 mAh at 12 V is 43.2 J");
}

#[test]
fn dies_that_mirror_one_counter_count_once() {
    let zone = |number: usize, name: &'static str| (format!("class/powercap/intel-rapl:{number}/name"), name);
    let dir = tree(&[]);
    for (path, name) in [zone(0, "package-0"), zone(1, "package-1"), zone(2, "package-2")] {
        write(dir.path(), &path, name);
    }
    let set = |values: [u64; 3]| {
        for (number, value) in values.iter().enumerate() {
            write(dir.path(), &format!("class/powercap/intel-rapl:{number}/energy_uj"), &value.to_string());
        }
    };
    set([100, 100, 100]);
    assert_eq!(counting(&look(dir.path(), &["rapl"])).len(), 3, "standing still tells nothing");
    let done = std::sync::atomic::AtomicBool::new(false);
    let counted = std::thread::scope(|scope| {
        // Each file is replaced at once, so that no reading meets half a number.
        scope.spawn(|| {
            let mut value = 1_000_u64;
            while !done.load(std::sync::atomic::Ordering::Relaxed) {
                value += 1;
                let fresh = dir.path().join("fresh");
                fs::write(&fresh, value.to_string()).unwrap();
                fs::rename(&fresh, dir.path().join("class/powercap/shared")).unwrap();
                std::thread::sleep(std::time::Duration::from_millis(10));
            }
        });
        while !dir.path().join("class/powercap/shared").exists() {
            std::thread::yield_now();
        }
        for number in 0..2 {
            let file = dir.path().join(format!("class/powercap/intel-rapl:{number}/energy_uj"));
            fs::remove_file(&file).unwrap();
            symlink(dir.path().join("class/powercap/shared"), &file).unwrap();
        }
        // A look may fall between two steps of the counter; one of several does not.
        let counted = (0..50)
            .map(|_| counting(&look(dir.path(), &["rapl"])))
            .find(|counted| counted.len() < 3)
            .unwrap_or_default();
        done.store(true, std::sync::atomic::Ordering::Relaxed);
        counted
    });
    assert_eq!(counted, ["rapl:package-0", "rapl:package-2"]);
}

#[test]
fn a_gain_is_applied_to_its_device_alone_and_says_where_it_comes_from() {
    let dir = amd();
    let gains = [("0000:03:00.0".to_owned(), Gain { factor: 1.057, ci95: Some(0.01) })].into();
    let found = discover(&Options { gains, ..options(&["amdgpu"]) }, &roots(dir.path()));
    let channels = found.sources[0].channels();
    let (first, second) = (&channels[0], &channels[1]);
    assert_eq!((first.instrument.gain_factor, first.gain_ci95), (Some(1.057), Some(0.01)));
    assert_eq!(first.instrument.gain_source, GainSource::Calibrated);
    assert_eq!((second.instrument.gain_factor, second.gain_ci95), (None, Some(0.05)));
    let written: Options = serde_json::from_value(
        serde_json::json!({"gains": {"GPU-1": 1.057, "GPU-2": {"factor": 0.98, "ci95": 0.02}}}),
    )
    .unwrap();
    assert_eq!(written.gains["GPU-1"], Gain { factor: 1.057, ci95: None });
    assert_eq!(written.gains["GPU-2"], Gain { factor: 0.98, ci95: Some(0.02) });
    let again: Options = serde_json::from_value(serde_json::to_value(&written).unwrap()).unwrap();
    assert_eq!((again, check_options(&written)), (written.clone(), Ok(())));
    let wrong = Options { gains: [("GPU-1".to_owned(), Gain { factor: 0.0, ci95: None })].into(), ..written };
    assert!(check_options(&wrong).unwrap_err().object.contains("GPU-1"));
}
