//! The findings as a page for people. Refuses to look at the machine.

use ai_energy_core::energy::UnavailableSource;
use serde_json::{Map, Value};

use super::look::{ChannelFinding, Findings};

/// The whole page.
pub(super) fn page(findings: &Findings) -> String {
    let mut page = format!("machine   {}\n", machine(&findings.environment));
    page += &format!("\nmeasured here, read for {:.1} s\n", findings.seconds);
    let (counting, others): (Vec<_>, Vec<_>) =
        findings.channels.iter().partition(|finding| finding.channel.counts);
    if counting.is_empty() {
        page += "  nothing: a run would report times and tokens, and no energy\n";
    }
    page += &rows(&counting);
    if !others.is_empty() {
        page += "\nread beside them, for cross-checks: the same joules are in a line above\n";
        page += &rows(&others);
    }
    if !findings.unavailable.is_empty() {
        page += "\nnot available\n";
        page += &findings.unavailable.iter().map(missing).collect::<String>();
    }
    for fault in &findings.sampler.faults {
        page += &format!("\nfault: {}: {} ({} times)\n", fault.channel, fault.message, fault.count);
    }
    for warning in &findings.warnings {
        page += &format!("\nnote: {warning}\n");
    }
    page += &cost(findings);
    page += &match &findings.engine {
        Ok(path) => format!("\nPyTorch engine   {path}\n"),
        Err((cause, remedy)) => format!("\nPyTorch engine   {cause}\n                 hint: {remedy}\n"),
    };
    page
}

/// One line a channel: its domain, what it is, what it shows, and how well.
pub(super) fn rows(findings: &[&ChannelFinding]) -> String {
    let names: Vec<String> = findings.iter().map(|finding| name(finding)).collect();
    let width = names.iter().map(|name| name.chars().count()).max().unwrap_or(0);
    let line = |(finding, name): (&&ChannelFinding, &String)| {
        let padding = " ".repeat(width - name.chars().count());
        let domain = finding.channel.domain.word();
        format!("  {domain:<4} {name}{padding}  {:<22} {}\n", power(finding), quality(finding))
    };
    findings.iter().zip(&names).map(line).collect()
}

fn name(finding: &ChannelFinding) -> String {
    let channel = &finding.channel;
    if channel.device.is_empty() {
        format!("{} [{}]", channel.source, channel.name)
    } else {
        format!("{}, {} [{}]", channel.source, channel.device, channel.name)
    }
}

/// The power with its interval, or why there is none.
fn power(finding: &ChannelFinding) -> String {
    match (finding.power.value, finding.power.ci95) {
        (Some(watts), Some(ci95)) => format!("{watts:.2} W ± {ci95:.2}"),
        (Some(watts), None) => format!("{watts:.2} W ± unknown"),
        (None, _) => format!("no value: {}", finding.power.reason.as_deref().unwrap_or("no reason is known")),
    }
}

fn quality(finding: &ChannelFinding) -> String {
    let provenance = finding.channel.provenance.word();
    match finding.tick_seconds {
        Some(tick) => format!("{provenance}, values up to {:.1} ms old", tick * 1e3),
        None => provenance.to_owned(),
    }
}

fn missing(source: &UnavailableSource) -> String {
    let line = format!("  {:<4} {}: {}\n", source.domain.word(), source.source, source.reason);
    if source.remedy.is_empty() { line } else { format!("{line}       hint: {}\n", source.remedy) }
}

/// What reading cost, so that nobody has to guess whether the instrument disturbs what it measures.
fn cost(findings: &Findings) -> String {
    match findings.sampler.cpu_seconds {
        Some(cpu) if findings.seconds > 0.0 => format!(
            "\nreading cost {:.2} % of one core ({} rounds)\n",
            cpu / findings.seconds * 100.0,
            findings.sampler.rounds
        ),
        _ => String::new(),
    }
}

/// The machine in one line from what is known of it.
fn machine(environment: &Map<String, Value>) -> String {
    let text = |key: &str| environment.get(key).and_then(Value::as_str).map(str::to_owned);
    let mut parts: Vec<String> = text("cpu_model").into_iter().collect();
    parts.extend(
        environment.get("cpu_count").and_then(Value::as_u64).map(|count| format!("{count} hardware threads")),
    );
    parts.extend(
        environment.get("ram_total_gib").and_then(Value::as_f64).map(|gib| format!("{gib:.1} GiB of memory")),
    );
    let system = [text("os"), text("kernel")].into_iter().flatten().collect::<Vec<_>>().join(" ");
    parts.extend((!system.is_empty()).then_some(system));
    parts.extend(text("virtual_machine").map(|name| format!("virtual machine ({name})")));
    parts.extend(text("container").map(|name| format!("container ({name})")));
    parts.extend(text("gpu_driver").map(|version| format!("GPU driver {version}")));
    if parts.is_empty() { "unknown".to_owned() } else { parts.join(", ") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::doctor::look::finding;
    use ai_energy_core::Stamp;
    use ai_energy_core::energy::{Channel, ChannelKind, Domain, Instrument};
    use ai_energy_core::figure::Provenance;
    use ai_energy_core::record::SamplerStats;
    use ai_energy_metrics::integrate::Window;

    fn channel(counts: bool) -> Channel {
        Channel {
            name: "probe:cpu".into(),
            domain: Domain::Cpu,
            device: "socket 0".into(),
            device_id: "0".into(),
            kind: ChannelKind::Counter { wrap_microjoules: None },
            provenance: Provenance::Measured,
            source: "a counter".into(),
            gain_ci95: Some(0.05),
            counts,
            instrument: Instrument::default(),
        }
    }

    /// 20 W, read every 10 ms for 2 s.
    fn steady(counts: bool) -> ChannelFinding {
        let trace: Vec<_> = (0..=200_u64).map(|i| (Stamp(i * 10_000_000), i * 200_000)).collect();
        finding(channel(counts), &trace, Window { start: Stamp(0), end: Stamp(2_000_000_000) })
    }

    fn findings(channels: Vec<ChannelFinding>) -> Findings {
        let missing = UnavailableSource {
            source: "gpu".into(),
            domain: Domain::Gpu,
            reason: "no driver".into(),
            remedy: "install it".into(),
        };
        Findings {
            environment: Map::new(),
            channels,
            unavailable: vec![missing],
            warnings: Vec::new(),
            gpus: Vec::new(),
            sampler: SamplerStats { cpu_seconds: Some(0.001), rounds: 20, ..SamplerStats::default() },
            seconds: 2.0,
            engine: Err(("is not installed".into(), "get it".into())),
        }
    }

    #[test]
    fn a_counter_shows_its_power_its_interval_and_its_tick() {
        let page = page(&findings(vec![steady(true)]));
        assert!(page.contains("a counter, socket 0 [probe:cpu]"), "{page}");
        assert!(page.contains("20.00 W ± "), "{page}");
        assert!(page.contains("measured, values up to 20.0 ms old"), "{page}");
        assert!(page.contains("gpu  gpu: no driver\n       hint: install it"), "{page}");
        assert!(page.contains("0.05 % of one core"), "{page}");
    }

    #[test]
    fn what_does_not_count_stands_apart_and_nothing_is_said_as_such() {
        let page = page(&findings(vec![steady(false)]));
        assert!(page.contains("nothing: a run would report times and tokens, and no energy"), "{page}");
        let apart = page.find("for cross-checks").unwrap();
        assert!(page.find("probe:cpu").unwrap() > apart, "{page}");
    }

    #[test]
    fn a_channel_without_readings_has_no_power_rather_than_0() {
        let silent = finding(channel(true), &[], Window { start: Stamp(0), end: Stamp(1) });
        assert_eq!(silent.power.value, None);
        assert!(rows(&[&silent]).contains("no value: source probe:cpu gave no reading"));
    }
}
