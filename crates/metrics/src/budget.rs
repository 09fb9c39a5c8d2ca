//! The error budget of an energy over a window: what each cause adds to its 95 % interval.
//!
//! Each cause states the variance of the error that it makes, derived in `docs/measurement.md`; independent causes are
//! added in quadrature and 1.96 standard deviations make the interval. An instrument's gain is kept apart, since the
//! gains of one design are common to its devices and add linearly. Refuses to know where readings come from.

/// Standard deviations to each side of a normal distribution's middle 95 %.
pub const NORMAL_95: f64 = 1.96;

/// The same of a triangle, which two even ages make together: (1 − √0.05)·√6.
pub const TRIANGLE_95: f64 = 1.9018;

/// Differences that a noise level is estimated from at least; of fewer, the largest counts in full.
const FEWEST_DIFFERENCES: usize = 6;

/// Why an energy is not known exactly.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Cause {
    /// A counter's value is as old as up to its tick, at each end of the window.
    Tick,
    /// A window's end lies between two readings.
    Edge,
    /// A power is known at its readings alone.
    Sampling,
    /// A sensor sees only a part of the time.
    Unseen,
    /// An average is as old as up to its update period when it is read.
    Age,
    /// What an average still holds of the time before the first reading.
    Before,
    /// A part was lost and bridged.
    Bridged,
}

/// What the causes other than the gain make of an energy's error.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Budget {
    parts: Vec<(Cause, f64)>,
}

impl Budget {
    /// Adds a cause by the variance of its error, J².
    pub fn add_variance(&mut self, cause: Cause, joules_squared: f64) {
        self.add_half_width(cause, NORMAL_95 * joules_squared.max(0.0).sqrt());
    }

    /// Adds the ages of a counter's values at both ends by their variance together, J².
    pub fn add_ages(&mut self, joules_squared: f64) {
        self.add_half_width(Cause::Tick, TRIANGLE_95 * joules_squared.max(0.0).sqrt());
    }

    /// Adds a cause by half the width of its own 95 % interval, J.
    pub fn add_half_width(&mut self, cause: Cause, joules: f64) {
        if joules > 0.0 {
            self.parts.push((cause, joules));
        }
    }

    /// Half the widths of the causes' own 95 % intervals, J.
    pub fn parts(&self) -> &[(Cause, f64)] {
        &self.parts
    }

    /// Half the width of the 95 % interval of all causes together, J.
    pub fn half_width(&self) -> f64 {
        self.parts.iter().map(|(_, joules)| joules.powi(2)).sum::<f64>().sqrt()
    }
}

/// Lengths of a tick within its bounds that the likeness of two ages is averaged over.
const LENGTHS: u32 = 32;

/// Variance of one end of a window on a counter whose tick lies within `tick_seconds` under this power, J². A value is
/// between 0 and one tick old, each age as likely (variance tick²/12). Between two readings the value at `share` of the
/// way has the weights of both ages, and of what they have in common: where the readings lie n + x ticks apart, the
/// second age is the first one and x more, less a tick where that is too old, which gives the correlation 1 − 6·x·(1 − x).
pub fn tick_variance(tick_seconds: [f64; 2], watts: f64, share: f64, between_seconds: f64) -> f64 {
    let [lower, upper] = tick_seconds;
    let likeness = |step: u32| {
        let tick = lower + (upper - lower) * (f64::from(step) + 0.5) / f64::from(LENGTHS);
        let x = (between_seconds / tick).fract();
        1.0 - 6.0 * x * (1.0 - x)
    };
    let likeness =
        if upper > 0.0 { (0..LENGTHS).map(likeness).sum::<f64>() / f64::from(LENGTHS) } else { 1.0 };
    let weight = share.powi(2) + (1.0 - share).powi(2) + 2.0 * share * (1.0 - share) * likeness;
    weight * (f64::midpoint(lower, upper) * watts).powi(2) / 12.0
}

/// The power around a cut between two readings: what it was before them, in between, and after them.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Cut {
    /// Seconds between the two readings.
    pub seconds: f64,
    /// Where between them the cut is, 0 to 1.
    pub share: f64,
    /// Mean power before, between and after, W.
    pub watts: [f64; 3],
    /// Variance of noise of a mean over `seconds`, W².
    pub noise: f64,
    /// Variances of the three powers that come from their readings' ages, W².
    pub ages: [f64; 3],
}

impl Cut {
    /// Variance of the energy to one side of the cut, J², which is taken by its share of the time. Noise follows a
    /// Brownian bridge. A step from the power before to the power after lies anywhere in between: E²·s²(1 − s)²/3. What
    /// the power in between has beyond both is a burst that lies anywhere: E²·s(1 − s).
    pub fn variance(self) -> f64 {
        let product = self.share * (1.0 - self.share);
        let [before, between, after] = self.watts;
        let step = ((after - before).powi(2) - self.noise - self.ages[0] - self.ages[2]).max(0.0);
        let beyond = (between - before.max(after)).max(before.min(after) - between);
        // Noise and ages alone stay within three of their deviations.
        let burst = (beyond - 3.0 * (self.noise + self.ages[1]).sqrt()).max(0.0);
        let squares = product * self.noise + product.powi(2) * step / 3.0 + product * burst.powi(2);
        self.seconds.powi(2) * squares
    }
}

/// How a series changes from value to value: noise, which returns, and steps, which stay.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Changes {
    /// Variance of the noise of each value.
    pub noise: f64,
    /// Mean square of what is left of a change without the noise.
    pub step: f64,
}

impl Changes {
    /// Tells the two apart by neighbouring differences: noise of variance v gives differences of mean square 2 v whose
    /// neighbours have the mean product −v; lasting steps give neighbours without a product.
    pub fn of(values: &[f64]) -> Self {
        let differences: Vec<f64> = values.windows(2).map(|pair| pair[1] - pair[0]).collect();
        if differences.len() < FEWEST_DIFFERENCES {
            let largest = differences.iter().map(|difference| difference.powi(2)).fold(0.0, f64::max);
            return Self { noise: 0.0, step: largest };
        }
        let count = differences.len() as f64;
        let square = differences.iter().map(|difference| difference.powi(2)).sum::<f64>() / count;
        let product = differences.windows(2).map(|pair| pair[0] * pair[1]).sum::<f64>() / (count - 1.0);
        let noise = (-product).clamp(0.0, square / 2.0);
        Self { noise, step: square - 2.0 * noise }
    }

    /// The same without a part of the noise whose origin is known.
    #[must_use]
    pub fn without_noise(self, known: f64) -> Self {
        Self { noise: (self.noise - known).max(0.0), ..self }
    }

    /// Variance of the integral over `seconds` of values `spacing` apart of which each sees `seen` of its spacing, J².
    /// The noise of each spacing's unseen rest is missed; a step lies anywhere between two values, of which the
    /// straight line between them misses 1/12 of its square.
    pub fn integral_variance(self, seconds: f64, spacing: f64, seen: f64) -> f64 {
        let each = spacing.powi(2) * (self.noise * (1.0 - seen.clamp(0.0, 1.0)) + self.step / 12.0);
        each * seconds / spacing.max(f64::MIN_POSITIVE)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn independent_causes_add_in_quadrature() {
        let mut budget = Budget::default();
        budget.add_half_width(Cause::Tick, 3.0);
        budget.add_half_width(Cause::Edge, 4.0);
        budget.add_variance(Cause::Unseen, 0.0);
        assert_eq!((budget.half_width(), budget.parts().len()), (5.0, 2));
        budget.add_variance(Cause::Unseen, 1.0);
        assert_eq!(budget.parts()[2], (Cause::Unseen, NORMAL_95));
    }

    #[test]
    fn noise_returns_and_steps_stay() {
        let noise: Vec<f64> = (0..100).map(|index| f64::from(index % 2) * 10.0).collect();
        let found = Changes::of(&noise);
        assert_eq!((found.noise, found.step), (50.0, 0.0), "every change is taken back");
        let steps: Vec<f64> = (0..100).map(|index| if index < 50 { 0.0 } else { 10.0 }).collect();
        let found = Changes::of(&steps);
        assert_eq!(found.noise, 0.0);
        assert!((found.step - 100.0 / 99.0).abs() < 1e-12);
        assert_eq!(Changes::of(&[7.0; 50]), Changes::default());
    }

    #[test]
    fn a_sensor_that_sees_everything_misses_no_noise() {
        let changes = Changes { noise: 9.0, step: 0.0 };
        assert_eq!(changes.integral_variance(10.0, 0.1, 1.0), 0.0);
        assert!((changes.integral_variance(10.0, 0.1, 0.25) - 100.0 * 0.01 * 9.0 * 0.75).abs() < 1e-12);
    }

    #[test]
    fn an_end_between_two_readings_is_less_known_in_the_middle() {
        let cut = Cut { seconds: 2.0, share: 0.5, watts: [100.0; 3], noise: 100.0, ages: [0.0; 3] };
        assert_eq!(cut.variance(), 100.0);
        assert_eq!(Cut { share: 0.0, ..cut }.variance(), 0.0, "at a reading everything is known");
        let step = Cut { noise: 0.0, watts: [100.0, 150.0, 200.0], ..cut };
        assert!((step.variance() - 4.0 * 1e4 / 48.0).abs() < 1e-9);
        let aged = Cut { ages: [5e3; 3], ..step };
        assert_eq!(aged.variance(), 0.0, "ages alone may make the powers differ as much");
        let burst = Cut { noise: 0.0, watts: [100.0, 300.0, 100.0], ..cut };
        assert!((burst.variance() - 4.0 * 4e4 / 4.0).abs() < 1e-9);
    }

    #[test]
    fn two_readings_whole_ticks_apart_are_of_one_age_and_half_a_tick_apart_they_make_up_for_each_other() {
        let tick = |seconds: f64, share: f64| tick_variance([0.1, 0.1], 120.0, share, seconds);
        let one = 12.0_f64.powi(2) / 12.0;
        assert!((tick(1.0, 0.5) - one).abs() < 1e-9 && (tick(0.0, 0.3) - one).abs() < 1e-9);
        assert!((tick(0.77, 0.0) - one).abs() < 1e-9, "at a reading it is that one's age");
        assert!((tick(0.25, 0.5) - one / 4.0).abs() < 1e-9, "0.5 + 0.5 × (1 − 6/4)");
        let unknown = tick_variance([0.0, 0.2], 120.0, 0.5, 60.0);
        assert!((unknown / one - 0.5).abs() < 0.1, "of an unknown tick the ages are independent: {unknown}");
    }
}
