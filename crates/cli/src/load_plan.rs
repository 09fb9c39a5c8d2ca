//! From the `load` section to the plan that the runner follows. What contradicts itself is told with the keys and the
//! remedy, before anything is loaded or asked.
//!
//! Refuses to know prompts: `workload` finds them.

use ai_energy_core::load::{Arrivals, Law, LoadPlan, Objectives, Profile, Step};
use ai_energy_core::{Fault, FaultKind, PhaseKind};
use ai_energy_datasets::Distribution;

use crate::settings::{LoadSettings, Pattern, SloSettings, StepSettings};

/// Keys that say what one step would offer.
const OF_ONE_STEP: [&str; 7] =
    ["concurrency", "rate", "pattern", "burstiness", "max_in_flight", "ramp_from", "duration_seconds"];

/// The steps that settings name: their own, those of the profile, or the one of the section itself.
pub fn steps(load: &LoadSettings) -> Vec<StepSettings> {
    if let Some(profile) = load.profile.as_deref().and_then(Profile::named) {
        let spread = |(low, high)| Some(Distribution::Uniform { low, high });
        let step = |step: &ai_energy_core::load::ProfileStep| StepSettings {
            name: Some(step.name.to_owned()),
            concurrency: Some(step.concurrency),
            requests: Some(step.requests),
            input_tokens: spread(step.input_tokens),
            output_tokens: spread(step.output_tokens),
            ..StepSettings::default()
        };
        return profile.steps.iter().map(step).collect();
    }
    if !load.steps.is_empty() {
        return load.steps.clone();
    }
    vec![StepSettings {
        concurrency: load.rate.is_none().then_some(load.concurrency),
        rate: load.rate,
        pattern: load.pattern,
        burstiness: load.burstiness,
        max_in_flight: load.max_in_flight,
        ramp_from: load.ramp_from,
        duration_seconds: load.duration_seconds,
        ..StepSettings::default()
    }]
}

/// The plan of a `load` section. `is_default` says whether a key was left at its default. `traced` is true where the
/// prompts come with instants of their own.
///
/// # Errors
/// Every contradiction and every value that cannot be followed.
pub fn plan(
    load: &LoadSettings,
    is_default: &dyn Fn(&str) -> bool,
    traced: bool,
) -> Result<LoadPlan, Vec<Fault>> {
    let stated = |key: &str| !is_default(&format!("load.{key}"));
    let mut faults = contradictions(load, &stated, traced);
    let mut measured = Vec::new();
    let object =
        |number| if load.steps.is_empty() { "load".to_owned() } else { format!("load.steps[{number}]") };
    for (number, settings) in steps(load).iter().enumerate() {
        match step(settings, &object(number), traced && load.steps.is_empty() && load.profile.is_none()) {
            Ok(step) => measured.push(step),
            Err(fault) => faults.push(fault),
        }
    }
    let only_measured = LoadPlan { steps: measured.clone(), ..LoadPlan::default() };
    if faults.is_empty() {
        faults.extend(only_measured.check_as(&object).err().into_iter().flatten());
    }
    let concurrency = measured.iter().filter_map(Step::most_in_flight).max().unwrap_or(load.concurrency);
    let plan = LoadPlan {
        concurrency,
        max_consecutive_failures: load.max_consecutive_failures,
        steps: around(load, measured),
        seed: load.seed,
        objectives: objectives(&load.slo, &mut faults),
    };
    if faults.is_empty() {
        // What stands around the measured steps has values of its own.
        plan.check_as(&|_| "load.warmup_seconds".to_owned())?;
        return Ok(plan);
    }
    Err(faults)
}

/// What cannot be meant together.
fn contradictions(load: &LoadSettings, stated: &dyn Fn(&str) -> bool, traced: bool) -> Vec<Fault> {
    let mut faults = Vec::new();
    let mut wrong = |key: &str, cause: String, remedy: &str| faults.push(usage(key, cause, remedy));
    let several = match (&load.profile, load.steps.is_empty()) {
        (Some(_), false) => {
            wrong("load.steps", "load.profile names the steps already".to_owned(), "keep one of them");
            None
        }
        (Some(profile), true) => Some(format!("the profile `{profile}`")),
        (None, false) => Some("load.steps".to_owned()),
        (None, true) => None,
    };
    if let Some(several) = several {
        for key in OF_ONE_STEP.into_iter().filter(|key| stated(key)) {
            let cause = format!("{several} says what is offered");
            wrong(&format!("load.{key}"), cause, "leave one of them out, or put this key into a step");
        }
    } else if load.rate.is_some() && stated("concurrency") {
        let cause = "a rate is an open loop and a concurrency a closed one".to_owned();
        wrong("load.concurrency", cause, "leave it out; load.max_in_flight bounds an open loop");
    } else if load.rate.is_some() && traced {
        let cause = "the trace has instants of its own".to_owned();
        wrong("load.rate", cause, "leave it out; scenario.trace.speed_up changes the pace of a trace");
    }
    if load.warmup_requests > 0 && load.warmup_seconds.is_some() {
        let cause = "load.warmup_requests says how long already".to_owned();
        wrong("load.warmup_seconds", cause, "keep one of them");
    }
    if stated("settle_seconds") && load.warmup_requests == 0 && load.warmup_seconds.is_none() {
        let cause = "there is no warm-up to settle from".to_owned();
        wrong("load.settle_seconds", cause, "set load.warmup_requests or load.warmup_seconds");
    }
    if !(load.cooldown_seconds >= 0.0 && load.cooldown_seconds.is_finite()) {
        wrong("load.cooldown_seconds", "is no usable duration".to_owned(), "give 0 or more seconds");
    }
    faults
}

/// One measured step.
fn step(settings: &StepSettings, object: &str, traced: bool) -> Result<Step, Fault> {
    let key = |name: &str| format!("{object}.{name}");
    let arrivals = match (settings.concurrency, settings.rate) {
        (Some(_), Some(_)) => {
            let cause = "a rate is an open loop and a concurrency a closed one";
            return Err(usage(&key("rate"), cause, "keep one of them"));
        }
        (None, None) => {
            return Err(usage(
                &key("concurrency"),
                "the step says neither rate nor concurrency",
                "set one of them",
            ));
        }
        _ if traced => Arrivals::Trace,
        (None, Some(rate)) => Arrivals::Open { rate, from: settings.ramp_from, law: law(settings, object)? },
        (Some(concurrency), None) => closed(settings, concurrency, object)?,
    };
    if settings.input_tokens.is_some() && settings.requests.is_none() {
        let cause = "prompts made to size need to know how many";
        return Err(usage(&key("input_tokens"), cause, "set requests of the same step"));
    }
    let mut step = Step {
        name: String::new(),
        kind: PhaseKind::Load,
        arrivals,
        max_in_flight: settings.max_in_flight,
        requests: settings.requests,
        duration_seconds: settings.duration_seconds,
        drain: settings.drain,
        pause_seconds: settings.pause_seconds,
    };
    step.name = settings.name.clone().unwrap_or_else(|| step.words());
    Ok(step)
}

fn law(settings: &StepSettings, object: &str) -> Result<Law, Fault> {
    let key = |name: &str| format!("{object}.{name}");
    match (settings.pattern.unwrap_or(Pattern::Poisson), settings.burstiness) {
        (Pattern::Constant, None) => Ok(Law::Constant),
        (Pattern::Poisson, None) => Ok(Law::Poisson),
        (Pattern::Gamma, Some(burstiness)) => Ok(Law::Gamma { burstiness }),
        (Pattern::Gamma, None) => {
            Err(usage(&key("burstiness"), "the gamma pattern needs it", "set it, for example to 0.5"))
        }
        (_, Some(_)) => Err(usage(
            &key("burstiness"),
            "only the gamma pattern has it",
            "set pattern to gamma, or leave it out",
        )),
    }
}

fn closed(settings: &StepSettings, concurrency: usize, object: &str) -> Result<Arrivals, Fault> {
    let open = [("pattern", settings.pattern.is_some()), ("burstiness", settings.burstiness.is_some())];
    if let Some((name, _)) = open.into_iter().find(|(_, set)| *set) {
        let cause = "a closed loop has no pattern: the server's answers set the pace";
        return Err(usage(&format!("{object}.{name}"), cause, "set a rate, or leave it out"));
    }
    let from = match settings.ramp_from {
        None => None,
        Some(from) if from >= 1.0 && from.fract() == 0.0 && from <= 1e9 => Some(from as usize),
        Some(from) => {
            let cause = format!("{from} is no number of requests in flight");
            return Err(usage(&format!("{object}.ramp_from"), cause, "give a whole number, 1 or more"));
        }
    };
    Ok(Arrivals::Closed { concurrency, from })
}

/// The measured steps with warm-up before and cool-down after them, which offer what their neighbours do.
fn around(load: &LoadSettings, mut measured: Vec<Step>) -> Vec<Step> {
    let unmeasured = |step: &Step, kind: PhaseKind, requests, duration_seconds| Step {
        name: kind.words().to_owned(),
        kind,
        arrivals: match step.arrivals {
            Arrivals::Closed { concurrency, .. } => Arrivals::Closed { concurrency, from: None },
            Arrivals::Open { rate, law, .. } => Arrivals::Open { rate, from: None, law },
            Arrivals::Trace => Arrivals::Closed { concurrency: 1, from: None },
        },
        max_in_flight: if step.arrivals == Arrivals::Trace { None } else { step.max_in_flight },
        requests,
        duration_seconds,
        drain: true,
        pause_seconds: 0.0,
    };
    let warm_up = measured.first().filter(|_| load.warmup_requests > 0 || load.warmup_seconds.is_some());
    let requests = (load.warmup_requests > 0).then_some(load.warmup_requests);
    let warm_up = warm_up.map(|first| Step {
        pause_seconds: load.settle_seconds,
        ..unmeasured(first, PhaseKind::Warmup, requests, load.warmup_seconds)
    });
    let mut cool_down = None;
    if load.cooldown_seconds > 0.0
        && let Some(last) = measured.last_mut()
    {
        last.drain = false;
        cool_down = Some(unmeasured(last, PhaseKind::Cooldown, None, Some(load.cooldown_seconds)));
    }
    warm_up.into_iter().chain(measured).chain(cool_down).collect()
}

fn objectives(slo: &SloSettings, faults: &mut Vec<Fault>) -> Objectives {
    let SloSettings { ttft_ms, tpot_ms, itl_ms, e2e_ms } = *slo;
    for (name, limit) in [("ttft_ms", ttft_ms), ("tpot_ms", tpot_ms), ("itl_ms", itl_ms), ("e2e_ms", e2e_ms)]
    {
        if limit.is_some_and(|limit| !(limit > 0.0 && limit.is_finite())) {
            let cause = "is no limit that a request could keep";
            faults.push(usage(&format!("load.slo.{name}"), cause, "give milliseconds above 0"));
        }
    }
    Objectives { ttft_ms, tpot_ms, itl_ms, e2e_ms }
}

fn usage(object: &str, cause: impl Into<String>, remedy: &str) -> Fault {
    Fault::new(FaultKind::Usage, object, cause).remedy(remedy)
}

#[cfg(test)]
mod tests;
