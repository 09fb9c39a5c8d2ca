//! What a reader should know before trusting a figure, each with what to do about it.
//!
//! One function a warning and one list of them. Ids are stable: scripts filter by them. Warns of what stands in the
//! record alone and refuses to judge whether a run is good.

use ai_energy_core::chunks::Unpacked;
use ai_energy_core::clock::Stamp;
use ai_energy_core::energy::{Channel, Domain};
use ai_energy_core::figure::{Figure, Provenance};
use ai_energy_core::record::{Ending, SamplerFault, Suspension};
use ai_energy_core::summary::{Counts, DomainEnergy, Tokens, Warning};
use ai_energy_core::{Fault, RunRecord};

use crate::energy::ChannelResult;
use crate::integrate::{Curve, Window};
use crate::location::{IntensityKind, Location};

/// A counter's window holds this many ticks for an error of about 1 %.
const TICKS_FOR_ONE_PERCENT: f64 = 100.0;

/// A window of fewer sampling intervals rests on a handful of readings, whatever reads them.
const FEWEST_INTERVALS: f64 = 10.0;

/// A pause of the sampler is a gap from this many intervals on.
const GAP_INTERVALS: f64 = 10.0;

/// What warnings are drawn from.
pub(crate) struct Seen<'a> {
    pub(crate) record: &'a RunRecord,
    pub(crate) window: Option<Window>,
    pub(crate) counts: &'a Counts,
    pub(crate) tokens: &'a Tokens,
    pub(crate) results: &'a [ChannelResult<'a>],
    pub(crate) domains: &'a [DomainEnergy],
    pub(crate) total: &'a Figure,
    pub(crate) location: Result<Location, Fault>,
}

/// Every warning there is, in the order of reports.
const CHECKS: [fn(&Seen<'_>) -> Vec<Warning>; 17] = [
    synthetic,
    ended_early,
    failed_requests,
    cancelled_requests,
    source_lost,
    reading_faults,
    window_short,
    sampling_gap,
    suspended,
    cross_check,
    estimated,
    token_counts,
    server_counters,
    prompt_cache,
    prompts_truncated,
    arguments_ignored,
    location,
];

/// All warnings that hold for what was seen.
pub(crate) fn warnings(seen: &Seen<'_>) -> Vec<Warning> {
    CHECKS.iter().flat_map(|check| check(seen)).collect()
}

fn warning(id: &str, message: String, remedy: &str) -> Warning {
    Warning { id: id.to_owned(), message, remedy: remedy.to_owned() }
}

/// `synthetic`: a part of the run was a fake.
fn synthetic(seen: &Seen<'_>) -> Vec<Warning> {
    let fake = seen.record.channels.iter().find(|channel| channel.name.starts_with("fake:"));
    let what = match fake {
        Some(channel) => format!("the energy comes from {}", channel.source),
        None if seen.record.synthetic => format!("the backend {} is synthetic", seen.record.backend.backend),
        None => return Vec::new(),
    };
    vec![warning("synthetic", format!("{what}: no figure here says anything about a real system"), "")]
}

/// `ended_early`: not every request was run.
fn ended_early(seen: &Seen<'_>) -> Vec<Warning> {
    let (message, remedy) = match &seen.record.ending {
        Ending::Complete => return Vec::new(),
        Ending::Interrupted => {
            ("the run was interrupted".to_owned(), "run it again for figures of the whole load")
        }
        Ending::TooManyFailures { in_a_row } => (
            format!("the run was stopped after {in_a_row} failures in a row"),
            "look at the first errors in requests.jsonl",
        ),
        Ending::Unfinished => (
            "the run did not come to its end: it was killed or crashed, and requests in flight then are not counted, though they \
             drew energy"
                .to_owned(),
            "run it again for figures of the whole load",
        ),
    };
    vec![warning("ended_early", message, remedy)]
}

/// `failed_requests`: their energy is in every share.
fn failed_requests(seen: &Seen<'_>) -> Vec<Warning> {
    let Counts { failed, total, .. } = seen.counts;
    if *failed == 0 {
        return Vec::new();
    }
    let message =
        format!("{failed} of {total} requests failed; their energy is shared among those that succeeded");
    vec![warning(
        "failed_requests",
        message,
        "look at the errors in requests.jsonl and run again without failures",
    )]
}

/// `cancelled_requests`: requests that the end of the run cut off drew energy too.
fn cancelled_requests(seen: &Seen<'_>) -> Vec<Warning> {
    let Counts { cancelled, total, .. } = seen.counts;
    if *cancelled == 0 {
        return Vec::new();
    }
    let requests = seen.record.requests.iter().filter(|request| request.cancelled());
    let mut room = Unpacked::default();
    let tokens = requests.map(|request| {
        request.generation.chunks.unpack(&mut room);
        let each = room.alike.iter().map(|alike| alike.chunks as u64 * u64::from(alike.tokens.unwrap_or(1)));
        each.sum::<u64>()
    });
    let tokens: u64 = tokens.sum();
    let message = format!(
        "{cancelled} of {total} requests were cancelled after {tokens} tokens (by their chunks); \
         their energy is in the window and thus in the shares per request and token"
    );
    vec![warning("cancelled_requests", message, "let the run finish for exact shares")]
}

fn lost<'a>(seen: &'a Seen<'_>) -> impl Iterator<Item = (&'a Channel, &'a String)> {
    let end = seen.window.map_or(Stamp(0), |window| window.end);
    seen.results.iter().filter_map(move |result| {
        let over = result.curve.as_ref().is_none_or(|curve| curve.span().1 < end);
        let reason = result.energy.as_ref().err()?;
        (seen.window.is_some() && over).then_some((result.channel, reason))
    })
}

/// `source_lost`: a channel's readings end before the window does.
fn source_lost(seen: &Seen<'_>) -> Vec<Warning> {
    let remedy = "see the system's log for the device, and run again";
    lost(seen).map(|(_, reason)| warning("source_lost", reason.clone(), remedy)).collect()
}

/// `reading_faults`: some readings failed, but the source lived.
fn reading_faults(seen: &Seen<'_>) -> Vec<Warning> {
    let message = |fault: &SamplerFault| {
        format!("{} readings of the source of {} failed: {}", fault.count, fault.channel, fault.message)
    };
    let lived = seen.record.sampler.faults.iter().filter(|fault| !fault.gone);
    lived.map(|fault| warning("reading_faults", message(fault), "")).collect()
}

/// `window_short`: too few ticks or readings lie in the window, or its energy is lost in its own error. The first of
/// these that holds is said.
fn window_short(seen: &Seen<'_>) -> Vec<Warning> {
    let known = seen.results.iter().any(|result| result.channel.counts && result.energy.is_ok());
    let Some(window) = seen.window.filter(|_| known) else {
        return Vec::new();
    };
    let checks = [few_intervals, lost_in_error, few_ticks];
    checks.iter().find_map(|check| check(seen, window)).into_iter().collect()
}

/// Models and powers have no tick, but need readings all the same.
fn few_intervals(seen: &Seen<'_>, window: Window) -> Option<Warning> {
    let interval = f64::from(seen.record.plan.sampling_interval_ms) * 1e-3;
    if window.seconds() >= FEWEST_INTERVALS * interval {
        return None;
    }
    let message = format!(
        "the window of {:.3} s is shorter than {FEWEST_INTERVALS} sampling intervals of {interval} s: its energy rests \
         on very few readings",
        window.seconds()
    );
    let needed = TICKS_FOR_ONE_PERCENT * interval;
    Some(warning("window_short", message, &format!("run more requests, for {needed:.0} s or longer")))
}

/// The total, or every domain that is known where there is no total, is no larger than its error.
fn lost_in_error(seen: &Seen<'_>, window: Window) -> Option<Warning> {
    let lost = |figure: &Figure| figure.value.zip(figure.ci95).is_some_and(|(value, ci95)| ci95 >= value);
    let mut known = seen.domains.iter().filter(|entry| entry.energy.value.is_some()).peekable();
    known.peek()?;
    let every = known.all(|entry| lost(&entry.energy));
    if !(lost(seen.total) || every) {
        return None;
    }
    let message = format!(
        "the energy over the window of {:.3} s is no larger than its own 95 % interval",
        window.seconds()
    );
    Some(warning("window_short", message, "run more requests, so that the window is longer"))
}

/// The slowest instrument's ticks are too coarse for the window.
fn few_ticks(seen: &Seen<'_>, window: Window) -> Option<Warning> {
    let ticks = seen.results.iter().filter(|result| result.channel.counts).filter_map(|result| {
        (result.channel.provenance == Provenance::Measured)
            .then(|| Some((result.channel, result.curve.as_ref()?.tick_seconds()?)))
            .flatten()
    });
    let (channel, tick) = ticks.max_by(|a, b| a.1.total_cmp(&b.1))?;
    let needed = TICKS_FOR_ONE_PERCENT * tick;
    if window.seconds() >= needed {
        return None;
    }
    let message = format!(
        "the window of {:.2} s holds {:.0} ticks of {} ({:.1} ms each): its energy is coarse",
        window.seconds(),
        window.seconds() / tick,
        channel.name,
        tick * 1e3
    );
    Some(warning("window_short", message, &format!("run more requests, for {needed:.0} s or longer")))
}

/// `sampling_gap`: the sampler did not get to read for a while.
fn sampling_gap(seen: &Seen<'_>) -> Vec<Warning> {
    let interval = f64::from(seen.record.plan.sampling_interval_ms) * 1e-3;
    let Some(gap) = seen.record.sampler.longest_gap_seconds else {
        return Vec::new();
    };
    let powers = seen
        .results
        .iter()
        .any(|result| result.channel.counts && matches!(result.curve, Some(Curve::Power(_))));
    if seen.results.is_empty() || gap <= GAP_INTERVALS * interval {
        return Vec::new();
    }
    let effect =
        if powers { "powers in between were not seen" } else { "counters bridge it, peak power does not" };
    let message = format!("no sensor was read for {gap:.1} s at a time; {effect}");
    vec![warning("sampling_gap", message, "leave the machine a free core while measuring")]
}

/// `suspended`: the machine slept within the window. The run's clock stood still, counters may have gone on.
fn suspended(seen: &Seen<'_>) -> Vec<Warning> {
    let within = |pause: &&Suspension| {
        seen.window.is_some_and(|window| pause.after < window.end && pause.before > window.start)
    };
    let seconds: f64 = seen.record.sampler.suspensions.iter().filter(within).map(|pause| pause.seconds).sum();
    if seconds == 0.0 {
        return Vec::new();
    }
    let message = format!(
        "the machine slept for {seconds:.1} s within the window: powers do not hold that time's energy, counters may"
    );
    vec![warning("suspended", message, "keep the machine awake while it is measured, and run again")]
}

/// `cross_check`: two channels of one device disagree beyond both intervals.
fn cross_check(seen: &Seen<'_>) -> Vec<Warning> {
    let mut found = Vec::new();
    for counted in seen.results.iter().filter(|result| result.channel.counts) {
        for other in seen.results.iter().filter(|result| !result.channel.counts) {
            let same = counted.channel.device_id == other.channel.device_id
                && counted.channel.domain == other.channel.domain
                && counted.channel.instrument.scope == other.channel.instrument.scope;
            if let (true, Ok(a), Ok(b)) = (same, &counted.energy, &other.energy)
                && let (Some(a_ci95), Some(b_ci95)) = (a.ci95(), b.ci95())
                && (a.joules - b.joules).abs() > a_ci95 + b_ci95
            {
                let message = format!(
                    "{} says {:.1} ± {a_ci95:.1} J, {} says {:.1} ± {b_ci95:.1} J",
                    counted.channel.name, a.joules, other.channel.name, b.joules
                );
                found.push(warning("cross_check", message, "trust neither before a longer run agrees"));
            }
        }
    }
    found
}

/// `cpu_estimated`, `ram_estimated`: a model stands where an instrument could.
fn estimated(seen: &Seen<'_>) -> Vec<Warning> {
    let of = |domain: Domain| {
        let model = seen.results.iter().find(|result| {
            let channel = result.channel;
            channel.counts && channel.domain == domain && channel.provenance == Provenance::Estimated
        })?;
        let missing = seen.record.unavailable_sources.iter().find(|missing| missing.domain == domain);
        let why = missing.map_or(String::new(), |missing| match missing.reason.to_lowercase() {
            reason if reason.contains(&missing.source) => format!(": {}", missing.reason),
            _ => format!(": {}: {}", missing.source, missing.reason),
        });
        // How the model came by its numbers stands with the figure itself.
        let model = model.channel.source.split(" (").next().unwrap_or_default();
        let message = format!("{} energy is a model ({model}){why}", domain.word().to_uppercase());
        let remedy = missing.map_or("", |missing| missing.remedy.as_str());
        Some(warning(&format!("{}_estimated", domain.word()), message, remedy))
    };
    if seen.results.iter().any(|result| result.channel.name.starts_with("fake:")) {
        return Vec::new();
    }
    [Domain::Cpu, Domain::Ram].into_iter().filter_map(of).collect()
}

/// `missing_token_counts`: figures per token rest on incomplete or assumed counts.
fn token_counts(seen: &Seen<'_>) -> Vec<Warning> {
    use ai_energy_core::TokenCountSource::Chunks;
    let mut found = Vec::new();
    if seen.tokens.uncounted > 0 {
        let message = format!(
            "{} of {} successful requests have no token count",
            seen.tokens.uncounted, seen.counts.successful
        );
        found.push(warning("missing_token_counts", message, "let the server send usage"));
    }
    if let Some(count) = seen.tokens.completion_sources.get(&Chunks) {
        let message =
            format!("{count} requests are counted as one token a chunk, for want of a better count");
        found.push(warning("assumed_token_counts", message, "let the server send usage"));
    }
    found
}

/// `server_counters`: the server's own counters tell another number of generated tokens than the responses did.
/// Failed and cancelled requests generate tokens that no response counts, so nothing is compared then.
fn server_counters(seen: &Seen<'_>) -> Vec<Warning> {
    let (Some(theirs), Some(ours)) = (seen.tokens.server_completion, seen.tokens.completion) else {
        return Vec::new();
    };
    if theirs == ours || seen.counts.failed + seen.counts.cancelled > 0 {
        return Vec::new();
    }
    let message = format!(
        "the server's own counters rose by {theirs} generated tokens during the load, the responses count {ours}"
    );
    vec![warning("server_counters", message, "see that nobody else uses the server while it is measured")]
}

/// `prompt_cache`: prompts were not computed anew.
fn prompt_cache(seen: &Seen<'_>) -> Vec<Warning> {
    match seen.tokens.cached_prompt {
        Some(cached) if cached > 0 => {
            let of = seen.tokens.prompt.map_or(String::new(), |prompt| format!(" of {prompt}"));
            let message =
                format!("{cached}{of} prompt tokens came from the server's cache and cost next to nothing");
            vec![warning(
                "prompt_cache",
                message,
                "switch the server's prefix cache off to measure whole prompts",
            )]
        }
        _ => Vec::new(),
    }
}

/// `prompts_truncated`: the model read less than was asked of it.
fn prompts_truncated(seen: &Seen<'_>) -> Vec<Warning> {
    let said = |name: &str| seen.record.backend.details.get(name).and_then(serde_json::Value::as_u64);
    let (Some(prompts), Some(tokens)) = (said("truncated_prompts"), said("truncated_prompt_tokens")) else {
        return Vec::new();
    };
    let message =
        format!("{tokens} tokens were cut off {prompts} prompts so that they fit the model's context");
    vec![warning("prompts_truncated", message, "set scenario.truncation: false to let such prompts fail")]
}

/// `arguments_ignored`: an engine did not do all that was asked.
fn arguments_ignored(seen: &Seen<'_>) -> Vec<Warning> {
    let remarks = seen.record.backend.details.get("engine_remarks").and_then(serde_json::Value::as_array);
    let remarks = remarks.into_iter().flatten().filter_map(serde_json::Value::as_str);
    remarks.map(|remark| warning("arguments_ignored", remark.to_owned(), "")).collect()
}

/// `location_default`, `location_unknown`, `location_world`, `region_unused`: what the intensity rests on.
fn location(seen: &Seen<'_>) -> Vec<Warning> {
    let place = match &seen.location {
        Ok(place) => place,
        Err(fault) => {
            let message = format!("{}: {}; the world's carbon intensity is used", fault.object, fault.cause);
            return vec![warning("location_unknown", message, &fault.remedy)];
        }
    };
    let mut found = Vec::new();
    if !place.stated {
        let message = "no location is stated; USA is used (default, not stated)".to_owned();
        found.push(warning("location_default", message, "set metrics.country_iso_code"));
    }
    if place.kind == IntensityKind::World {
        let message = format!("no carbon intensity is known for {}; the world's is used", place.country_name);
        found.push(warning("location_world", message, "set metrics.carbon_intensity_g_per_kwh"));
    }
    if place.region_unused {
        let message =
            format!("no table knows the regions of {}; the country's value is used", place.country_name);
        found.push(warning("region_unused", message, "set metrics.carbon_intensity_g_per_kwh"));
    }
    found
}
