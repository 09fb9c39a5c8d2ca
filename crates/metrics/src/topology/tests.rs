//! The tree of what contains what, case by case.

use super::*;
use ai_energy_core::energy::{GainSource, Instrument};

/// A channel named `name` of a device: a counter that counts.
fn channel(name: &str, domain: Domain, scope: Scope) -> Channel {
    Channel {
        name: name.to_owned(),
        domain,
        device: String::new(),
        device_id: name.to_owned(),
        kind: ChannelKind::Counter { wrap_microjoules: None },
        provenance: Provenance::Measured,
        source: String::new(),
        gain_ci95: None,
        counts: true,
        instrument: Instrument { gain_source: GainSource::Unstated, ..Instrument::of(scope) },
    }
}

fn containing(mut channel: Channel, domains: &[Domain]) -> Channel {
    channel.instrument.contains = domains.to_vec();
    channel
}

fn power(mut channel: Channel, device_id: &str) -> Channel {
    channel.kind = ChannelKind::Power { averaging_ms: None };
    channel.device_id = device_id.to_owned();
    channel
}

/// The names that count.
fn counted(sources: &[Vec<Channel>], claims: &[Claim]) -> Vec<String> {
    let decided = decide(sources, claims);
    let pairs = sources.iter().flatten().zip(decided.into_iter().flatten());
    pairs.filter(|(_, counts)| *counts).map(|(channel, _)| channel.name.clone()).collect()
}

#[test]
fn packages_and_memory_count_and_the_platform_around_them_does_not() {
    let rapl = vec![
        channel("psys", Domain::Node, Scope::Platform),
        channel("package-0", Domain::Cpu, Scope::Package),
        channel("package-1", Domain::Cpu, Scope::Package),
        channel("core", Domain::Cpu, Scope::PackagePart),
        channel("dram", Domain::Ram, Scope::Memory),
    ];
    assert_eq!(counted(&[rapl], &[]), ["package-0", "package-1", "dram"]);
}

#[test]
fn one_package_seen_by_two_interfaces_counts_once_and_the_first_wins() {
    let powercap = vec![channel("package-0", Domain::Cpu, Scope::Package)];
    let mut perf = channel("perf", Domain::Cpu, Scope::Package);
    perf.device_id = "package-0".to_owned();
    assert_eq!(counted(&[powercap.clone(), vec![perf.clone()]], &[]), ["package-0"]);
    assert_eq!(counted(&[vec![perf], powercap], &[]), ["perf"]);
}

#[test]
fn grace_counts_once_its_rails_and_its_module_do_not_and_its_memory_is_within_it() {
    let hopper = vec![channel("gpu", Domain::Gpu, Scope::Accelerator)];
    let grace = vec![
        channel("module", Domain::Node, Scope::Module),
        containing(channel("grace", Domain::Cpu, Scope::Socket), &[Domain::Ram]),
        channel("cpu", Domain::Cpu, Scope::PackagePart),
        channel("sysio", Domain::Cpu, Scope::PackagePart),
    ];
    let others =
        vec![channel("package", Domain::Cpu, Scope::Package), channel("dram", Domain::Ram, Scope::Memory)];
    assert_eq!(counted(&[hopper, grace, others], &[]), ["gpu", "grace"]);
}

#[test]
fn a_module_is_in_no_domain_and_never_counts() {
    let module = vec![
        channel("module-of-gpu", Domain::Gpu, Scope::Module),
        channel("module", Domain::Node, Scope::Module),
    ];
    assert!(counted(&[module], &[]).is_empty());
}

#[test]
fn a_rail_of_gpu_and_cpu_together_takes_the_cpu_out() {
    let jetson = vec![
        channel("input", Domain::Node, Scope::Board),
        containing(channel("cpu+gpu", Domain::Gpu, Scope::Accelerator), &[Domain::Cpu]),
        channel("soc", Domain::Cpu, Scope::PackagePart),
    ];
    let model = vec![channel("load", Domain::Cpu, Scope::Package)];
    assert_eq!(counted(&[jetson, model], &[]), ["input", "cpu+gpu"]);
}

#[test]
fn one_device_has_one_channel_a_counter_before_a_power() {
    let gpus = vec![
        power(channel("gpu0:power", Domain::Gpu, Scope::Accelerator), "0000:03:00.0"),
        channel("gpu1", Domain::Gpu, Scope::Accelerator),
    ];
    let mut counter = channel("gpu0:energy", Domain::Gpu, Scope::Accelerator);
    counter.device_id = "0000:03:00.0".to_owned();
    assert_eq!(counted(&[gpus.clone(), vec![counter]], &[]), ["gpu1", "gpu0:energy"]);
    assert_eq!(counted(&[gpus], &[]), ["gpu0:power", "gpu1"], "a power counts where it is alone");
}

#[test]
fn of_whole_machines_the_first_source_counts_and_an_inlet_before_what_lies_behind_it() {
    let meter = vec![channel("meter", Domain::Node, Scope::Node)];
    let controller = vec![channel("controller", Domain::Node, Scope::Node)];
    let batteries = vec![
        channel("battery 0", Domain::Node, Scope::Board),
        channel("battery 1", Domain::Node, Scope::Board),
    ];
    assert_eq!(counted(&[meter, controller.clone(), batteries.clone()], &[]), ["meter"]);
    assert_eq!(counted(&[batteries.clone(), controller], &[]), ["controller"]);
    assert_eq!(counted(&[batteries], &[]), ["battery 0", "battery 1"], "both feed the machine");
}

#[test]
fn a_claimed_domain_is_its_sources_alone_also_where_that_fails() {
    let local =
        vec![channel("here", Domain::Cpu, Scope::Package), channel("here too", Domain::Ram, Scope::Memory)];
    let remote = vec![channel("there", Domain::Cpu, Scope::Package)];
    let sources = [local, remote];
    assert_eq!(counted(&sources, &[(Domain::Cpu, Some(1))]), ["here too", "there"]);
    assert_eq!(counted(&sources, &[(Domain::Cpu, None)]), ["here too"]);
}

#[test]
fn what_its_source_does_not_offer_never_counts_and_hides_nothing() {
    let mut shy = channel("shy", Domain::Cpu, Scope::Socket);
    shy.counts = false;
    let package = channel("package", Domain::Cpu, Scope::Package);
    assert_eq!(counted(&[vec![shy, package]], &[]), ["package"]);
}

#[test]
fn dies_that_mirror_one_counter_are_told_by_identical_values_that_move() {
    assert_eq!(mirrors(&[10, 10, 10, 7], &[19, 19, 12, 9]), [false, true, false, false]);
    assert_eq!(mirrors(&[10, 10], &[10, 10]), [false, false], "standing still tells nothing");
    assert_eq!(mirrors(&[], &[]), Vec::<bool>::new());
}
