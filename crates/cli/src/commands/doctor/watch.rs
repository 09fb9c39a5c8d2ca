//! `doctor --watch`: power by channel as it is, until it is stopped.
//!
//! Refuses to keep a history: a run does that.

use std::io::IsTerminal;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use ai_energy_core::energy::{Channel, EnergyReading};
use ai_energy_core::runner::Sampler;
use ai_energy_core::{Clock, Fault, Observer, SourceDiscovery, Stamp, Stop};
use ai_energy_metrics::integrate::Window;
use serde_json::{Map, Value, json};

use super::look::{ChannelFinding, finding};
use super::text;
use crate::args::{DoctorArgs, Globals, OutputFormat};
use crate::diagnostics::{note, print_live};

/// Between two looks.
const REFRESH: Duration = Duration::from_secs(1);

/// Readings older than this are forgotten: long enough for an interval that a slow counter's tick does not swamp.
const REMEMBERED_NS: u64 = 5_000_000_000;

/// What was read lately.
#[derive(Default)]
struct Lately {
    channels: Vec<Channel>,
    readings: Vec<EnergyReading>,
}

struct Watcher(Mutex<Lately>);

impl Observer for Watcher {
    fn readings(&self, channels: &[Channel], readings: &[EnergyReading]) {
        let mut lately = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if lately.channels.is_empty() {
            lately.channels = channels.to_vec();
        }
        let newest = readings.iter().map(|reading| reading.at.0).max().unwrap_or(0);
        lately.readings.retain(|reading| reading.at.0 + REMEMBERED_NS >= newest);
        lately.readings.extend_from_slice(readings);
    }
}

impl Watcher {
    /// Each channel's power over the time between its oldest and newest remembered reading.
    fn now(&self) -> Vec<ChannelFinding> {
        let lately = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let channels = lately.channels.iter().enumerate();
        channels
            .map(|(index, channel)| {
                let mine = lately.readings.iter().filter(|reading| usize::from(reading.channel) == index);
                let mut trace: Vec<(Stamp, u64)> = mine.map(|reading| (reading.at, reading.value)).collect();
                trace.sort_by_key(|(at, _)| *at);
                let start = trace.first().map_or(Stamp(0), |(at, _)| *at);
                let end = trace.last().map_or(Stamp(0), |(at, _)| *at);
                finding(channel.clone(), &trace, Window { start, end })
            })
            .collect()
    }
}

/// Prints powers once a second until `stop`, or until nobody reads them: a block that renews itself on a terminal, blocks one after the other
/// elsewhere, one JSON object a line with `--format json`.
///
/// # Errors
/// Standard output cannot be written.
pub(super) async fn watch(
    found: SourceDiscovery,
    interval_ms: u32,
    arguments: &DoctorArgs,
    globals: &Globals,
    stop: &Stop,
) -> Result<(), Fault> {
    let clock = Clock::start();
    let watcher = Arc::new(Watcher(Mutex::default()));
    let observers: Arc<[Arc<dyn Observer>]> = Arc::new([Arc::clone(&watcher) as Arc<dyn Observer>]);
    if found.sources.is_empty() {
        note("nothing can be read here: `doctor` without --watch says why");
        return Ok(());
    }
    let sampler = Sampler::start(found.sources, clock, interval_ms, observers).await;
    if !globals.quiet && arguments.format == OutputFormat::Text {
        note("power over the last 5 s, Ctrl-C ends");
    }
    let renew = arguments.format == OutputFormat::Text && std::io::stdout().is_terminal();
    let mut lines = 0;
    loop {
        tokio::select! {
            () = stop.cancelled() => break,
            () = tokio::time::sleep(REFRESH) => {}
        }
        let findings = watcher.now();
        let block = match arguments.format {
            OutputFormat::Json => format!("{}\n", object(clock, &findings)),
            OutputFormat::Text => text::rows(&findings.iter().collect::<Vec<_>>()),
        };
        // Up over the block before, and clear to the end: the cursor stays where a shell expects it.
        let up = if renew && lines > 0 { format!("\x1b[{lines}A\x1b[J") } else { String::new() };
        lines = block.lines().count();
        if !print_live(&format!("{up}{block}"))? {
            break;
        }
    }
    let end = clock.now();
    sampler.finish(end, end, end).await;
    Ok(())
}

fn object(clock: Clock, findings: &[ChannelFinding]) -> Value {
    let powers: Map<String, Value> =
        findings.iter().map(|finding| (finding.channel.name.clone(), json!(finding.power))).collect();
    json!({"seconds": clock.now().seconds_since(Stamp(0)).0, "power": powers})
}

#[cfg(test)]
mod tests {
    use super::*;
    use ai_energy_core::energy::{ChannelKind, Domain, Instrument};
    use ai_energy_core::figure::Provenance;

    #[test]
    fn old_readings_are_forgotten_and_the_rest_gives_the_power() {
        let channel = Channel {
            name: "probe:cpu".into(),
            domain: Domain::Cpu,
            device: String::new(),
            device_id: String::new(),
            kind: ChannelKind::Counter { wrap_microjoules: None },
            provenance: Provenance::Measured,
            source: String::new(),
            gain_ci95: None,
            counts: true,
            instrument: Instrument::default(),
        };
        let watcher = Watcher(Mutex::default());
        // 100 W in the first ten seconds, then 10 W for ten.
        let joules = |ms: u64| if ms <= 10_000 { ms * 100 } else { 1_000_000 + (ms - 10_000) * 10 };
        for ms in (0..=20_000).step_by(100) {
            let reading = EnergyReading { channel: 0, at: Stamp(ms * 1_000_000), value: joules(ms) * 1_000 };
            watcher.readings(std::slice::from_ref(&channel), &[reading]);
        }
        let now = watcher.now();
        let watts = now[0].power.value.unwrap();
        assert!((watts - 10.0).abs() < 0.01, "{watts}");
        assert!(now[0].readings <= 52);
    }
}
