//! Whether a plan can be followed. Refuses to repair one: what contradicts itself is told with the key and the remedy.

use super::{Arrivals, LoadPlan, Step};
use crate::fault::{Fault, FaultKind};

/// Longest duration or pause, s: a year.
const LONGEST: f64 = 366.0 * 86_400.0;

/// Highest rate, requests a second: far beyond what any client sends.
const HIGHEST_RATE: f64 = 1e7;

impl LoadPlan {
    /// Looks whether the plan can be followed.
    ///
    /// # Errors
    /// Everything that cannot, each with the key under `load` that says so.
    pub fn check(&self) -> Result<(), Vec<Fault>> {
        let several = self.steps.len() > 1;
        self.check_as(&|number| if several { format!("load.steps[{number}]") } else { "load".to_owned() })
    }

    /// [`LoadPlan::check`] for steps that are called otherwise: `object` names one by its place.
    ///
    /// # Errors
    /// As [`LoadPlan::check`].
    pub fn check_as(&self, object: &dyn Fn(usize) -> String) -> Result<(), Vec<Fault>> {
        let mut faults = Vec::new();
        if self.measured().next().is_none() {
            faults.push(fault("load.steps", "none of them is measured", "add a step that is no warm-up"));
        }
        for (number, step) in self.steps.iter().enumerate() {
            faults.extend(step.check(&object(number)));
        }
        if faults.is_empty() { Ok(()) } else { Err(faults) }
    }
}

impl Step {
    fn check(&self, object: &str) -> Vec<Fault> {
        let mut faults = Vec::new();
        let mut wrong = |key: &str, cause: String, remedy: &str| {
            faults.push(fault(&format!("{object}.{key}"), &cause, remedy));
        };
        if let Some(seconds) = self.duration_seconds
            && !(seconds > 0.0 && seconds <= LONGEST)
        {
            wrong(
                "duration_seconds",
                format!("{seconds} is no usable duration"),
                "give seconds above 0, a year at most",
            );
        }
        if !(0.0..=LONGEST).contains(&self.pause_seconds) {
            wrong(
                "pause_seconds",
                format!("{} is no usable pause", self.pause_seconds),
                "give 0 or more seconds",
            );
        }
        if self.requests == Some(0) {
            wrong("requests", "0 requests measure nothing".to_owned(), "give 1 or more, or leave it out");
        }
        if self.max_in_flight == Some(0) {
            wrong(
                "max_in_flight",
                "with 0 in flight nothing is sent".to_owned(),
                "give 1 or more, or leave it out",
            );
        }
        match &self.arrivals {
            Arrivals::Closed { concurrency, from } => {
                if *concurrency == 0 || *from == Some(0) {
                    wrong("concurrency", "with 0 at a time nothing is sent".to_owned(), "give 1 or more");
                }
                if self.max_in_flight.is_some() {
                    let cause = "a closed loop is bounded by its concurrency already".to_owned();
                    wrong("max_in_flight", cause, "leave it out, or set a rate for an open loop");
                }
                if from.is_some() && self.duration_seconds.is_none() {
                    let cause = "a ramp needs to know how long it takes".to_owned();
                    wrong("ramp_from", cause, "set duration_seconds of the same step");
                }
            }
            Arrivals::Open { rate, from, law } => self.check_rate(*rate, *from, *law, &mut wrong),
            Arrivals::Trace => {}
        }
        faults
    }

    fn check_rate(
        &self,
        rate: f64,
        from: Option<f64>,
        law: super::Law,
        wrong: &mut dyn FnMut(&str, String, &str),
    ) {
        let usable = |rate: f64| (0.0..=HIGHEST_RATE).contains(&rate);
        let ramp = from.is_some();
        if !usable(rate) || (rate == 0.0 && from.is_none_or(|from| from == 0.0)) {
            wrong("rate", format!("{rate} is no usable rate"), "give requests a second, above 0");
        }
        if from.is_some_and(|from| !usable(from)) {
            wrong("ramp_from", "is no usable rate".to_owned(), "give requests a second, 0 or more");
        }
        if ramp && self.duration_seconds.is_none() {
            let cause = "a ramp needs to know how long it takes".to_owned();
            wrong("ramp_from", cause, "set duration_seconds of the same step");
        }
        if let super::Law::Gamma { burstiness } = law
            && !(0.01..=1e4).contains(&burstiness)
        {
            wrong("burstiness", format!("{burstiness} is out of range"), "give 0.01 to 10000; 1 is Poisson");
        }
    }
}

fn fault(object: &str, cause: &str, remedy: &str) -> Fault {
    Fault::new(FaultKind::Usage, object, cause).remedy(remedy)
}
