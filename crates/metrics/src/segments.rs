//! The channels of a run that had breaks: each segment's readings give a curve of their own, and the curves are joined.
//!
//! Refuses to guess: a channel that one segment did not read has no energy over the run.

use ai_energy_core::energy::Channel;
use ai_energy_core::{RunRecord, Segment};

use crate::energy::{ChannelResult, channel_results};
use crate::integrate::{Curve, SplicedCurve, Window};

/// As [`channel_results`], for a record with segments.
pub(crate) fn spliced_results(record: &RunRecord, window: Option<Window>) -> Vec<ChannelResult<'_>> {
    let apart: Vec<(&Segment, Window, Vec<ChannelResult<'_>>)> = record
        .segments
        .iter()
        .filter_map(|segment| {
            let (start, end) = segment.record.load_window()?;
            let load = Window { start, end };
            Some((segment, load, channel_results(&segment.record, Some(load))))
        })
        .collect();
    record.channels.iter().map(|channel| joined(channel, &apart, window)).collect()
}

fn joined<'a>(
    channel: &'a Channel,
    apart: &[(&Segment, Window, Vec<ChannelResult<'_>>)],
    window: Option<Window>,
) -> ChannelResult<'a> {
    let mut curves = Vec::with_capacity(apart.len());
    let (mut readings, mut missing) = (0, None);
    for (place, (segment, load, results)) in apart.iter().enumerate() {
        let found = results.iter().find(|result| result.channel.name == channel.name);
        readings += found.map_or(0, |result| result.readings);
        match found.map(|result| (&result.curve, &result.energy)) {
            Some((Some(curve), _)) => curves.push((curve.clone(), *load, segment.at)),
            Some((None, Err(reason))) => {
                missing.get_or_insert(format!("segment {}: {reason}", place + 1));
            }
            _ => {
                missing.get_or_insert(format!("segment {} did not read {}", place + 1, channel.name));
            }
        }
    }
    if let Some(reason) = missing {
        return ChannelResult { channel, curve: None, energy: Err(reason), readings };
    }
    let curve = Curve::Spliced(SplicedCurve::new(curves));
    let energy = match window {
        Some(window) => curve.energy(channel, window),
        None => Err("no request was run, so there is no window to measure over".to_owned()),
    };
    ChannelResult { channel, curve: Some(curve), energy, readings }
}
