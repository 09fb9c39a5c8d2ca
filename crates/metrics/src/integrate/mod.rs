//! Energy over a window from raw readings, with what is not known about it.
//!
//! Works on one channel's readings at a time. Refuses to extend: where the readings do not span the window there is no
//! energy but a reason, since energy that went unseen would be a silent loss. Adjacent windows add up exactly, because
//! every window is a difference of one curve.

mod counter;
mod doubts;
mod edges;
mod fresh;
mod known;
mod lost;
mod points;
mod power;
mod spliced;
mod wraps;

use ai_energy_core::clock::Stamp;
use ai_energy_core::energy::{Channel, ChannelKind};
use ai_energy_core::figure::Provenance;

pub use counter::CounterCurve;
pub use known::Known;
pub use power::PowerCurve;
pub use spliced::SplicedCurve;

/// A stretch of time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    /// Its begin.
    pub start: Stamp,
    /// Its end.
    pub end: Stamp,
}

impl Window {
    /// Its length in seconds.
    pub fn seconds(self) -> f64 {
        self.end.seconds_since(self.start).0
    }

    /// `true` from its begin on and before its end.
    pub(crate) fn holds(self, at: Stamp) -> bool {
        at >= self.start && at < self.end
    }

    fn overlaps(self, from: Stamp, to: Stamp) -> bool {
        from < self.end && to > self.start
    }
}

/// What a channel consumed since its first reading, as a function of time.
#[derive(Debug, Clone, PartialEq)]
pub enum Curve {
    /// From a counter.
    Counter(CounterCurve),
    /// From a sampled power.
    Power(PowerCurve),
    /// From the segments of a run that had breaks.
    Spliced(SplicedCurve),
}

/// Energy over a window.
#[derive(Debug, Clone, PartialEq)]
pub struct Integral {
    /// Energy, J.
    pub joules: f64,
    /// Half the width of the 95 % interval from ticks, edges and sampling, J.
    pub random_ci95: f64,
    /// The same from the channel's gain, J; `None` where the channel states none.
    pub gain_ci95: Option<f64>,
    /// As the channel's, or weaker where a part had to be bridged.
    pub provenance: Provenance,
    /// What to know about it.
    pub remark: Option<String>,
}

impl Integral {
    /// Both parts in quadrature; `None` where the gain is not known.
    pub fn ci95(&self) -> Option<f64> {
        self.gain_ci95.map(|gain| gain.hypot(self.random_ci95))
    }
}

impl Curve {
    /// The curve of `channel` from its readings, by time: `(when, microjoules or microwatts)`. The
    /// channel's calibration is in it.
    ///
    /// # Errors
    /// Why there is none, as a reason for a figure.
    pub fn new(channel: &Channel, readings: &[(Stamp, u64)]) -> Result<Self, String> {
        Self::with(channel, readings, &Known::default())
    }

    /// [`Curve::new`] with what is known of the run beside the readings.
    ///
    /// # Errors
    /// Why there is none, as a reason for a figure.
    pub fn with(channel: &Channel, readings: &[(Stamp, u64)], known: &Known) -> Result<Self, String> {
        if readings.is_empty() {
            return Err(format!("source {} gave no reading", channel.name));
        }
        let gain = channel.instrument.gain_factor.unwrap_or(1.0);
        Ok(match channel.kind {
            ChannelKind::Counter { wrap_microjoules } => {
                Self::Counter(CounterCurve::new(readings, wrap_microjoules, gain, known))
            }
            ChannelKind::Power { averaging_ms } => {
                Self::Power(PowerCurve::new(readings, averaging_ms, &channel.instrument, known))
            }
        })
    }

    /// Joules since the first reading, held constant before it and after the last.
    pub fn joules_at(&self, at: Stamp) -> f64 {
        match self {
            Self::Counter(curve) => curve.joules_at(at),
            Self::Power(curve) => curve.joules_at(at),
            Self::Spliced(curve) => curve.joules_at(at),
        }
    }

    /// When it was first and last read.
    pub fn span(&self) -> (Stamp, Stamp) {
        match self {
            Self::Counter(curve) => curve.span(),
            Self::Power(curve) => curve.span(),
            Self::Spliced(curve) => curve.span(),
        }
    }

    /// How old a value can be, in seconds: a counter's tick as the readings show it. `None` for a power and where the
    /// counter moved fewer than two times.
    pub fn tick_seconds(&self) -> Option<f64> {
        match self {
            Self::Counter(curve) => curve.tick_seconds(),
            Self::Power(_) => None,
            Self::Spliced(curve) => curve.tick_seconds(),
        }
    }

    /// The moments of the readings within the window.
    pub fn moments(&self, window: Window) -> Vec<Stamp> {
        let within = |at: &Stamp| *at >= window.start && *at <= window.end;
        match self {
            Self::Counter(curve) => curve.moments().filter(within).collect(),
            Self::Power(curve) => curve.moments().filter(within).collect(),
            Self::Spliced(curve) => curve.moments(window),
        }
    }

    /// The energy over `window`.
    ///
    /// # Errors
    /// Why it is not known, as a reason for a figure: the readings do not span the window, or the counter stood still
    /// or may have wrapped more than once between two readings.
    pub fn energy(&self, channel: &Channel, window: Window) -> Result<Integral, String> {
        match self {
            Self::Spliced(curve) => return curve.energy(channel, window),
            Self::Counter(curve) => {
                self.check_span(channel, window)?;
                curve.check(channel, window)?;
            }
            Self::Power(_) => self.check_span(channel, window)?,
        }
        let joules = self.joules_at(window.end) - self.joules_at(window.start);
        if joules < 0.0 {
            return Err(format!("the readings of {} add up to less than nothing", channel.name));
        }
        let (budget, remark) = match self {
            Self::Counter(curve) => {
                (doubts::budget(curve, &channel.instrument, window), curve.remark(window))
            }
            Self::Power(curve) => (curve.budget(&channel.instrument, window), None),
            Self::Spliced(curve) => return curve.energy(channel, window),
        };
        let random_ci95 = budget.half_width();
        let provenance = match remark {
            Some(_) => channel.provenance.weaker(Provenance::Estimated),
            None => channel.provenance,
        };
        let gain_ci95 = channel.gain_ci95.map(|gain| (gain * joules).abs());
        Ok(Integral { joules, random_ci95, gain_ci95, provenance, remark })
    }

    fn check_span(&self, channel: &Channel, window: Window) -> Result<(), String> {
        let (first, last) = self.span();
        let name = &channel.name;
        if last < window.end {
            let seen = last.seconds_since(window.start).0;
            return Err(format!("source {name} was lost at {seen:.1} s of {:.1} s", window.seconds()));
        }
        if first > window.start {
            let late = first.seconds_since(window.start).0;
            return Err(format!("source {name} was first read {late:.3} s after the window began"));
        }
        Ok(())
    }
}

/// Where `at` lies among ascending moments: the index of the segment `i..i + 1` that holds it and the share of that
/// segment before it, 0 to 1. `None` where there is no segment of any length around it.
fn locate(moments: impl Fn(usize) -> Stamp, count: usize, at: Stamp) -> Option<(usize, f64)> {
    let (mut low, mut high) = (0, count);
    while low < high {
        let middle = low.midpoint(high);
        if moments(middle) <= at {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    let below = low.checked_sub(1)?;
    if low >= count {
        return None;
    }
    let (from, to) = (moments(below), moments(low));
    Some((below, (at.0 - from.0) as f64 / (to.0 - from.0) as f64))
}
