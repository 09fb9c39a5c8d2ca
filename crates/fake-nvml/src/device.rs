//! What the instruments of a scripted device show at a moment. Pure: time comes in as seconds.

use crate::script::{Counter, Curve, Device, Sensor, State};

impl Curve {
    /// Joules from 0 s to `to` s; negative before.
    pub fn joules(&self, to: f64) -> f64 {
        self.since_first(to) - self.since_first(0.0)
    }

    /// The mean power of `from..to`, or the power at `to` where the two are the same.
    pub fn mean(&self, from: f64, to: f64) -> f64 {
        if to > from { (self.joules(to) - self.joules(from)) / (to - from) } else { self.watts(to) }
    }

    /// Joules since the first point.
    fn since_first(&self, to: f64) -> f64 {
        let Some((first, level)) = self.0.first() else { return 0.0 };
        if to <= *first {
            return (to - first) * level;
        }
        let mut joules = 0.0;
        for pair in self.0.windows(2) {
            let ((from, low), (until, high)) = (pair[0], pair[1]);
            if to <= from {
                return joules;
            }
            let end = to.min(until);
            if until > from {
                let watts = low + (high - low) * (end - from) / (until - from);
                joules += (low + watts) / 2.0 * (end - from);
            }
        }
        let (last, level) = self.0.last().copied().unwrap_or_default();
        joules + (to - last).max(0.0) * level
    }

    fn watts(&self, at: f64) -> f64 {
        let after = self.0.iter().position(|(when, _)| *when > at);
        match after {
            Some(0) => self.0[0].1,
            Some(next) => {
                let ((from, low), (until, high)) = (self.0[next - 1], self.0[next]);
                low + (high - low) * (at - from) / (until - from)
            }
            None => self.0.last().map_or(0.0, |(_, watts)| *watts),
        }
    }
}

impl Counter {
    /// Millijoules that it shows under `power` at `now`.
    pub(crate) fn millijoules(&self, power: &Curve, gain: f64, now: f64) -> u64 {
        let tick = self.tick_ms.max(0.001) * 1e-3;
        let shown = ((now / tick).floor() * tick).min(now);
        let reset = self.resets_s.iter().copied().filter(|reset| *reset <= shown).fold(None, max);
        let millijoules = match reset {
            Some(reset) => (power.joules(shown) - power.joules(reset)) * gain * 1e3,
            None => self.start_mj as f64 + power.joules(shown) * gain * 1e3,
        };
        millijoules.max(0.0) as u64
    }
}

fn max(best: Option<f64>, value: f64) -> Option<f64> {
    Some(best.map_or(value, |best| best.max(value)))
}

impl Sensor {
    /// Milliwatts that it shows under `power` at `now`.
    pub(crate) fn milliwatts(self, power: &Curve, gain: f64, now: f64) -> u32 {
        let update = self.update_ms.max(0.001) * 1e-3;
        let shown = ((now / update).floor() * update).min(now);
        (power.mean(shown - self.window_ms * 1e-3, shown) * gain * 1e3).round().max(0.0) as u32
    }
}

impl Device {
    /// What else it tells at `now`.
    pub(crate) fn state(&self, now: f64) -> State {
        let begun = self.states.iter().rfind(|state| state.from_s <= now).or(self.states.first());
        begun.cloned().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_joules_of_steps_and_ramps_are_exact() {
        let steps = Curve::steps(&[(0.0, 100.0), (2.0, 300.0)]);
        assert_eq!((steps.joules(2.0), steps.joules(3.5), steps.joules(-1.0)), (200.0, 650.0, -100.0));
        assert_eq!((steps.mean(1.0, 3.0), steps.mean(2.5, 2.5), steps.mean(1.0, 1.0)), (200.0, 300.0, 100.0));
        let ramp = Curve(vec![(0.0, 0.0), (10.0, 100.0)]);
        assert_eq!((ramp.joules(4.0), ramp.joules(12.0), ramp.watts(4.0)), (80.0, 700.0, 40.0));
    }

    #[test]
    fn a_counter_stands_between_ticks_and_starts_again_at_its_resets() {
        let power = Curve::constant(100.0);
        let counter = Counter { start_mj: 5, tick_ms: 50.0, resets_s: vec![1.0, 3.0] };
        let shown = |now| counter.millijoules(&power, 1.0, now);
        assert_eq!((shown(0.0), shown(0.49), shown(0.51)), (5, 45_005, 50_005));
        assert_eq!((shown(1.01), shown(1.5), shown(3.25)), (0, 50_000, 25_000));
    }

    #[test]
    fn a_sensor_shows_the_mean_of_its_window_at_its_last_update() {
        let power = Curve::steps(&[(0.0, 100.0), (1.0, 300.0)]);
        let sensor = Sensor { update_ms: 100.0, window_ms: 1000.0 };
        assert_eq!(sensor.milliwatts(&power, 1.0, 1.55), 200_000);
        assert_eq!(sensor.milliwatts(&power, 1.1, 9.0), 330_000);
        let quarter = Sensor { update_ms: 100.0, window_ms: 25.0 };
        assert_eq!(quarter.milliwatts(&power, 1.0, 1.09), 100_000, "what came after the update is not seen");
    }
}
