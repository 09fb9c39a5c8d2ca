//! Reads every source for a moment and keeps what each channel gave.
//!
//! Refuses to lay anything out: `text` and the JSON do.

use std::sync::Arc;
use std::time::Duration;

use ai_energy_backends_pytorch as pytorch;
use ai_energy_core::energy::{Channel, ChannelKind, GpuState, UnavailableSource};
use ai_energy_core::figure::{Figure, Provenance};
use ai_energy_core::record::SamplerStats;
use ai_energy_core::runner::{Sampled, Sampler};
use ai_energy_core::{Clock, SourceDiscovery, Stamp, Stop};
use ai_energy_metrics::Roots;
use ai_energy_metrics::integrate::{Curve, Window};
use serde_json::{Map, Value, json};

/// One channel and what it gave.
pub(super) struct ChannelFinding {
    pub(super) channel: Channel,
    /// Mean power while it was looked at, W.
    pub(super) power: Figure,
    /// How old a counter's value can be, s.
    pub(super) tick_seconds: Option<f64>,
    pub(super) readings: usize,
}

/// Everything that was found out.
pub(super) struct Findings {
    pub(super) environment: Map<String, Value>,
    pub(super) channels: Vec<ChannelFinding>,
    pub(super) unavailable: Vec<UnavailableSource>,
    pub(super) warnings: Vec<String>,
    /// GPUs as last seen.
    pub(super) gpus: Vec<GpuState>,
    pub(super) sampler: SamplerStats,
    /// How long was looked, s.
    pub(super) seconds: f64,
    /// The PyTorch engine's program, or why there is none.
    pub(super) engine: Result<String, (String, String)>,
}

impl Findings {
    /// Reads `found` for `seconds`, or until `stop`.
    pub(super) async fn look(
        found: SourceDiscovery,
        interval_ms: u32,
        seconds: f64,
        roots: &Roots,
        stop: &Stop,
    ) -> Self {
        let SourceDiscovery { sources, unavailable, warnings } = found;
        let clock = Clock::start();
        let sampler = Sampler::start(sources, clock, interval_ms, Arc::new([])).await;
        let start = clock.now();
        tokio::select! {
            () = tokio::time::sleep(Duration::from_secs_f64(seconds)) => {}
            () = stop.cancelled() => {}
        }
        let end = clock.now();
        let Sampled { channels, readings, gpu_states, stats, .. } = sampler.finish(start, end, end).await;
        let window = Window { start, end };
        let mut traces: Vec<Vec<(Stamp, u64)>> = vec![Vec::new(); channels.len()];
        for reading in &readings {
            if let Some(trace) = traces.get_mut(usize::from(reading.channel)) {
                trace.push((reading.at, reading.value));
            }
        }
        let channels =
            channels.into_iter().zip(&traces).map(|(channel, trace)| finding(channel, trace, window));
        Self {
            environment: ai_energy_metrics::environment(roots),
            channels: channels.collect(),
            unavailable,
            warnings,
            gpus: gpu_states,
            sampler: stats,
            seconds: window.seconds(),
            engine: engine(),
        }
    }

    /// The same as JSON. Keys are a contract with scripts; every power is a figure with unit, provenance and interval.
    pub(super) fn to_json(&self) -> Value {
        let channels: Vec<Value> = self
            .channels
            .iter()
            .map(|finding| {
                json!({
                    "channel": finding.channel,
                    "power": finding.power,
                    "tick_seconds": finding.tick_seconds,
                    "readings": finding.readings,
                })
            })
            .collect();
        let engine = match &self.engine {
            Ok(path) => json!({"path": path}),
            Err((cause, remedy)) => json!({"path": null, "reason": cause, "remedy": remedy}),
        };
        json!({
            "environment": self.environment,
            "looked_seconds": self.seconds,
            "channels": channels,
            "gpus": self.gpus,
            "unavailable": self.unavailable,
            "warnings": self.warnings,
            "sampler": self.sampler,
            "pytorch_engine": engine,
        })
    }
}

/// What one channel's readings say of the window.
pub(super) fn finding(channel: Channel, trace: &[(Stamp, u64)], window: Window) -> ChannelFinding {
    let curve = Curve::new(&channel, trace);
    let tick_seconds = curve.as_ref().ok().and_then(Curve::tick_seconds);
    let energy = curve.and_then(|curve| curve.energy(&channel, window));
    let power = match energy {
        Ok(energy) => {
            let provenance = match channel.kind {
                ChannelKind::Counter { .. } => energy.provenance.weaker(Provenance::Derived),
                ChannelKind::Power { .. } => energy.provenance,
            };
            let joules = Figure::new(energy.joules, "J", provenance, channel.source.clone());
            match energy.ci95() {
                Some(ci95) => joules.with_ci95(ci95),
                None => joules,
            }
            .per(window.seconds(), "W")
        }
        Err(reason) => Figure::unavailable("W", reason),
    };
    ChannelFinding { channel, power, tick_seconds, readings: trace.len() }
}

/// Where the PyTorch engine's program is, or cause and remedy.
fn engine() -> Result<String, (String, String)> {
    pytorch::locate(None, &pytorch::Places::of_this_process())
        .map(|path| path.display().to_string())
        .map_err(|fault| (fault.cause, fault.remedy))
}
