//! The curve of a sampled power: straight lines between readings (the trapezoid rule), cut exactly at a window's ends.
//!
//! Refuses to correct a sensor's averaging: what it hides is in the interval, not in the value.

use ai_energy_core::clock::Stamp;

use super::{Window, locate};

/// A sampled power's energy as a function of time.
#[derive(Debug, Clone, PartialEq)]
pub struct PowerCurve {
    points: Vec<Point>,
    averaging_seconds: f64,
}

#[derive(Debug, Clone, Copy, PartialEq)]
struct Point {
    at: Stamp,
    watts: f64,
    /// Since the first reading.
    joules: f64,
}

impl PowerCurve {
    /// Builds the curve from readings in microwatts, by time, each multiplied by `gain`.
    pub(super) fn new(readings: &[(Stamp, u64)], averaging_ms: Option<u32>, gain: f64) -> Self {
        let mut points: Vec<Point> = Vec::with_capacity(readings.len());
        for (at, microwatts) in readings {
            let watts = *microwatts as f64 * 1e-6 * gain;
            let joules = points
                .last()
                .map_or(0.0, |last| last.joules + (last.watts + watts) / 2.0 * at.seconds_since(last.at).0);
            points.push(Point { at: *at, watts, joules });
        }
        Self { points, averaging_seconds: f64::from(averaging_ms.unwrap_or(0)) * 1e-3 }
    }

    pub(super) fn joules_at(&self, at: Stamp) -> f64 {
        match locate(|index| self.points[index].at, self.points.len(), at) {
            Some((below, share)) => {
                let (from, to) = (self.points[below], self.points[below + 1]);
                let watts = from.watts + share * (to.watts - from.watts);
                from.joules + (from.watts + watts) / 2.0 * at.seconds_since(from.at).0
            }
            None if at < self.span().0 => 0.0,
            None => self.points.last().map_or(0.0, |point| point.joules),
        }
    }

    pub(super) fn span(&self) -> (Stamp, Stamp) {
        let first = self.points.first().map_or(Stamp(0), |point| point.at);
        (first, self.points.last().map_or(first, |point| point.at))
    }

    pub(super) fn moments(&self) -> impl Iterator<Item = Stamp> {
        self.points.iter().map(|point| point.at)
    }

    /// Sampling between readings and the sensor's own averaging, in quadrature.
    pub(super) fn random_ci95(&self, window: Window) -> f64 {
        let within = || self.points.windows(2).filter(|pair| window.overlaps(pair[0].at, pair[1].at));
        let sampling: f64 = within()
            .map(|pair| {
                let step = (pair[1].watts - pair[0].watts).abs();
                (step * pair[1].at.seconds_since(pair[0].at).0 / 4.0).powi(2)
            })
            .sum();
        let powers = || within().flat_map(|pair| [pair[0].watts, pair[1].watts]);
        let spread = powers().fold(0.0, f64::max) - powers().fold(f64::INFINITY, f64::min);
        let averaging = if spread.is_finite() { spread * self.averaging_seconds / 2.0 } else { 0.0 };
        (sampling + averaging.powi(2)).sqrt()
    }
}
