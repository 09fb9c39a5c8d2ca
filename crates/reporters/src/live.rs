//! The live line: how far the run is, what it draws and how fast tokens come.
//!
//! Exists for people who watch; nothing that a report says comes from here. Refuses to draw: `cli` does, on a
//! terminal, and nowhere else.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use ai_energy_core::backend::Tally;
use ai_energy_core::energy::ChannelKind;
use ai_energy_core::{Channel, EnergyReading, Observer, PhaseKind, RequestRecord, Stamp};

use crate::terminal::text::{Glyphs, fit, width_of};
use crate::terminal::units::{clock, significant};

/// The span that power and token rate are taken over.
const WINDOW: Duration = Duration::from_millis(1000);

/// Columns of the bar; where there is no room for the narrowest, there is none.
const WIDEST_BAR: usize = 30;
const NARROWEST_BAR: usize = 5;

/// What the live line shows at a moment.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct LiveState {
    /// What goes on outside the load, and the time left of it, such as idling; `None` during the load.
    pub phase: Option<(PhaseKind, Duration)>,
    /// Requests that have ended.
    pub done: usize,
    /// Of those, failed.
    pub failed: usize,
    /// Requests in all.
    pub total: usize,
    /// Time since the load began.
    pub elapsed: Duration,
    /// Time left at the pace so far; `None` before the first request has ended.
    pub remaining: Option<Duration>,
    /// Power of all counting channels over about the last second, W; `None` where nothing is read.
    pub watts: Option<f64>,
    /// Tokens per second over about the last second; `None` before two looks.
    pub tokens_per_second: Option<f64>,
}

/// Watches a run for the live line.
#[derive(Debug)]
pub struct LiveMeter {
    tally: Arc<Tally>,
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    start: Option<Stamp>,
    /// A stretch outside the load and its planned end.
    phase: Option<(PhaseKind, Stamp)>,
    done: usize,
    failed: usize,
    total: usize,
    /// Recent values of each counting channel, by its index.
    channels: Vec<Trail>,
    /// Recent looks at the tally.
    tokens: VecDeque<(Stamp, u64)>,
}

#[derive(Debug)]
struct Trail {
    kind: ChannelKind,
    counts: bool,
    values: VecDeque<(Stamp, u64)>,
}

impl LiveMeter {
    /// A meter that reads live token counts from `tally`.
    pub fn new(tally: Arc<Tally>) -> Self {
        Self { tally, inner: Mutex::default() }
    }

    /// What to show at `now`. Asked a few times a second; the token rate is taken between these looks.
    pub fn state(&self, now: Stamp) -> LiveState {
        let mut inner = self.inner();
        let tokens = self.tally.tokens();
        inner.tokens.push_back((now, tokens));
        trim(&mut inner.tokens);
        let elapsed = inner.start.map_or(Duration::ZERO, |start| now.since(start));
        LiveState {
            phase: inner.phase.map(|(kind, end)| (kind, end.since(now))),
            done: inner.done,
            failed: inner.failed,
            total: inner.total,
            elapsed,
            remaining: remaining(elapsed, inner.done, inner.total),
            watts: watts(&inner.channels),
            tokens_per_second: rise_per_second(&inner.tokens, None),
        }
    }

    fn inner(&self) -> std::sync::MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Observer for LiveMeter {
    fn phase_started(&self, kind: PhaseKind, at: Stamp, expected: Duration) {
        let length = u64::try_from(expected.as_nanos()).unwrap_or(u64::MAX);
        self.inner().phase = Some((kind, Stamp(at.0.saturating_add(length))));
    }

    fn load_started(&self, at: Stamp, requests: usize) {
        let mut inner = self.inner();
        inner.phase = None;
        inner.start = Some(at);
        inner.total = requests;
    }

    fn request_ended(&self, record: &RequestRecord) {
        if record.offer.phase != PhaseKind::Load {
            return;
        }
        let mut inner = self.inner();
        inner.done += 1;
        inner.failed += usize::from(record.failed());
    }

    fn readings(&self, channels: &[Channel], readings: &[EnergyReading]) {
        let mut inner = self.inner();
        for channel in channels.iter().skip(inner.channels.len()) {
            inner.channels.push(Trail {
                kind: channel.kind,
                counts: channel.counts,
                values: VecDeque::new(),
            });
        }
        for reading in readings {
            if let Some(trail) =
                inner.channels.get_mut(usize::from(reading.channel)).filter(|trail| trail.counts)
            {
                trail.values.push_back((reading.at, reading.value));
                trim(&mut trail.values);
            }
        }
    }
}

/// Drops what is older than the window, but keeps two values, and one at or before the window's begin.
fn trim(values: &mut VecDeque<(Stamp, u64)>) {
    let Some((newest, _)) = values.back().copied() else {
        return;
    };
    while values.len() > 2 && newest.since(values[1].0) >= WINDOW {
        values.pop_front();
    }
}

fn remaining(elapsed: Duration, done: usize, total: usize) -> Option<Duration> {
    (done > 0).then(|| elapsed.mul_f64(total.saturating_sub(done) as f64 / done as f64))
}

/// The sum over the counting channels; `None` where none has a value yet.
fn watts(channels: &[Trail]) -> Option<f64> {
    let known: Vec<f64> = channels.iter().filter(|trail| trail.counts).filter_map(channel_watts).collect();
    (!known.is_empty()).then(|| known.iter().sum())
}

fn channel_watts(trail: &Trail) -> Option<f64> {
    let microwatts = match trail.kind {
        ChannelKind::Counter { wrap_microjoules } => rise_per_second(&trail.values, wrap_microjoules)?,
        ChannelKind::Power { .. } => {
            let sum: f64 = trail.values.iter().map(|(_, value)| *value as f64).sum();
            (!trail.values.is_empty()).then(|| sum / trail.values.len() as f64)?
        }
    };
    Some(microwatts * 1e-6)
}

/// How fast a counter rises between its oldest and newest value; `None` where that cannot be said, for example after
/// a reset.
fn rise_per_second(values: &VecDeque<(Stamp, u64)>, wrap: Option<u64>) -> Option<f64> {
    let ((first, old), (last, new)) = (*values.front()?, *values.back()?);
    let rise = new.checked_sub(old).or_else(|| wrap?.checked_sub(old)?.checked_add(new))?;
    let seconds = last.seconds_since(first).0;
    (seconds > 0.0).then(|| rise as f64 / seconds)
}

/// The live line for a terminal of `width` columns; never wider, nor more than one line.
pub fn render_progress(state: &LiveState, width: usize, unicode: bool) -> String {
    let glyphs = Glyphs::new(unicode);
    if let Some((kind, left)) = state.phase {
        let watts = state.watts.map_or(String::new(), |watts| format!("  {} W", significant(watts, 3)));
        // Rounded up, so that the last second does not read as none.
        let left = clock(left + Duration::from_millis(999));
        return fit(&format!(" measuring {}  {left} left{watts}", kind.words()), width, &glyphs);
    }
    // Where the time decides, nobody knows how many there will be.
    let of = if state.total > 0 { format!("/{}", state.total) } else { String::new() };
    let mut parts = vec![format!("{}{of}", state.done)];
    if state.failed > 0 {
        parts.push(format!("{} failed", state.failed));
    }
    parts.push(clock(state.elapsed));
    if let Some(remaining) = state.remaining.filter(|_| state.done < state.total) {
        parts.push(format!("{} left", clock(remaining)));
    }
    parts.extend(state.watts.map(|watts| format!("{} W", significant(watts, 3))));
    parts.extend(state.tokens_per_second.map(|rate| format!("{} tok/s", significant(rate, 3))));
    let text = parts.join("  ");
    let head = " measuring ";
    let room = width.saturating_sub(width_of(head) + width_of(&text) + 2).min(WIDEST_BAR);
    if room >= NARROWEST_BAR {
        format!("{head}{}  {text}", bar(state, room, &glyphs))
    } else {
        fit(&format!(" {text}"), width, &glyphs)
    }
}

fn bar(state: &LiveState, room: usize, glyphs: &Glyphs) -> String {
    let filled = (room * state.done.min(state.total)).checked_div(state.total).unwrap_or(0);
    format!("{}{}", glyphs.bar_full.repeat(filled), glyphs.bar_empty.repeat(room - filled))
}
