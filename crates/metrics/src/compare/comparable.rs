//! Whether runs may be compared, and what is not the same about them.
//!
//! Refuses to forbid: a comparison of unlike runs is made, with the warning in front of it.

use std::collections::BTreeSet;

use ai_energy_core::comparison::{ComparedRun, ComparedSide, Differing, RunIdentity};
use ai_energy_core::figure::Provenance;
use ai_energy_core::summary::{Summary, Verdict, Warning};

/// Settings that name a run or a place and change nothing about it.
const NAMES: [&str; 9] = [
    "name",
    "output_dir",
    "reporter.output_file",
    "metrics.output_dir",
    "metrics.project_name",
    "repeat.count",
    "repeat.pause_seconds",
    "environment.command_line",
    "environment.repeat_command",
];
/// Tokens a request that differ by more than this are another load.
const TOKENS_APART: f64 = 0.01;

/// What differs between sides. A side whose own runs differ has all their values.
pub(super) fn differing(sides: &[ComparedSide]) -> Vec<Differing> {
    let keys: BTreeSet<&String> = sides
        .iter()
        .flat_map(|side| &side.runs)
        .flat_map(|run| run.settings.keys())
        .filter(|key| !NAMES.contains(&key.as_str()))
        .collect();
    let mut found = Vec::new();
    for key in keys {
        let values: Vec<Option<String>> = sides.iter().map(|side| side_setting(side, key)).collect();
        if values.windows(2).any(|pair| pair[0] != pair[1]) {
            found.push(Differing { key: key.clone(), values });
        }
    }
    found
}

fn side_setting(side: &ComparedSide, key: &str) -> Option<String> {
    let mut values: Vec<&String> = side.runs.iter().filter_map(|run| run.settings.get(key)).collect();
    values.dedup();
    (!values.is_empty()).then(|| values.iter().map(|value| value.as_str()).collect::<Vec<_>>().join(" | "))
}

/// Why sides may not be comparable.
pub(super) fn warnings(sides: &[ComparedSide], baseline: usize) -> Vec<Warning> {
    let mut found: Vec<Warning> = sides.iter().flat_map(side_warnings).collect();
    let Some(base) = sides.get(baseline) else { return found };
    for other in sides.iter().enumerate().filter(|(place, _)| *place != baseline).map(|(_, side)| side) {
        found.extend(pair_warnings(base, other));
    }
    found
}

fn warning(id: &str, message: String, remedy: &str) -> Warning {
    Warning { id: id.to_owned(), message, remedy: remedy.to_owned() }
}

/// What is wrong with a side whatever it is compared with.
fn side_warnings(side: &ComparedSide) -> Vec<Warning> {
    let mut found = Vec::new();
    let name = &side.name;
    if side.runs.iter().any(|run| run.identity.synthetic) {
        let message = format!("{name} is synthetic: a fake or a simulator took part");
        found.push(warning("synthetic", message, "compare runs of real servers"));
    }
    for run in &side.runs {
        let of = if side.runs.len() > 1 { format!("{} of {name}", run.label) } else { name.clone() };
        if let Some(ending) = run.identity.ending.as_deref().filter(|ending| *ending != "complete") {
            let message = format!("{of} did not come to its end: {}", ending.replace('_', " "));
            found.push(warning("not_complete", message, "run it again"));
        }
        if let Some(summary) = &run.summary {
            found.extend(summary_warnings(&of, summary));
        }
    }
    let unlike = |value: fn(&RunIdentity) -> &Option<String>| {
        side.runs.windows(2).any(|pair| value(&pair[0].identity) != value(&pair[1].identity))
    };
    if unlike(|of| &of.model) || unlike(|of| &of.backend) || unlike(|of| &of.dataset_sha256) {
        let message = format!("the runs of {name} are no repeats of one: model, backend or dataset differ");
        found.push(warning("no_repeats", message, "name runs of one config as repeats"));
    }
    found
}

fn summary_warnings(name: &str, summary: &Summary) -> Vec<Warning> {
    let mut found = Vec::new();
    if summary.validity.verdict == Verdict::Invalid {
        let why = summary.validity.checks.iter().find(|check| check.verdict == Verdict::Invalid);
        let why = why.map_or(String::new(), |check| format!(": {}", check.detail));
        found.push(warning(
            "invalid",
            format!("the energy figures of {name} are invalid{why}"),
            "run it again",
        ));
    }
    for check in summary.validity.checks.iter().filter(|check| check.name.starts_with("client")) {
        if matches!(check.verdict, Verdict::Warning | Verdict::Invalid) {
            let message = format!("in {name} the client itself may have been the bound: {}", check.detail);
            found.push(warning(
                "client_bound",
                message,
                "run the client on a machine of its own, or with less load",
            ));
        }
    }
    let counts = &summary.counts;
    if counts.failed > 0 {
        let message = format!(
            "in {name} {} of {} requests failed; their energy is in its figures",
            counts.failed, counts.total
        );
        found.push(warning("failed_requests", message, "compare runs without failures"));
    }
    found
}

/// What is not the same on two sides and should be.
fn pair_warnings(base: &ComparedSide, other: &ComparedSide) -> Vec<Warning> {
    let (Some(first), Some(second)) = (base.runs.first(), other.runs.first()) else { return Vec::new() };
    let mut found = Vec::new();
    let names = format!("{} and {}", base.name, other.name);
    let (a, b) = (&first.identity, &second.identity);
    let mut unlike = |id: &str, what: &str, one: &Option<String>, two: &Option<String>, remedy: &str| {
        if let (Some(one), Some(two)) = (one, two)
            && one != two
        {
            found.push(warning(id, format!("{names} have other {what}: {one} and {two}"), remedy));
        }
    };
    unlike(
        "backend",
        "backends",
        &a.backend,
        &b.backend,
        "compare runs of one backend, or say that backends are compared",
    );
    let short = |hash: &Option<String>| hash.as_ref().map(|hash| hash.chars().take(12).collect::<String>());
    unlike(
        "dataset",
        "prompts (SHA-256)",
        &short(&a.dataset_sha256),
        &short(&b.dataset_sha256),
        "send both the same prompts",
    );
    unlike(
        "host",
        "machines",
        &a.host,
        &b.host,
        "measure both on one machine: its instruments' gains then cancel",
    );
    let both = first.summary.as_deref().zip(second.summary.as_deref());
    if let Some((one, two)) = both {
        found.extend(token_warnings(&names, one, two));
        found.extend(energy_warnings(&names, [first, second], [one, two]));
    }
    found
}

fn token_warnings(names: &str, one: &Summary, two: &Summary) -> Vec<Warning> {
    let mut found = Vec::new();
    let each = |summary: &Summary, tokens: Option<u64>| {
        tokens
            .filter(|_| summary.counts.successful > 0)
            .map(|sum| sum as f64 / summary.counts.successful as f64)
    };
    let pairs = [
        ("output", each(one, one.tokens.completion), each(two, two.tokens.completion)),
        ("prompt", each(one, one.tokens.prompt), each(two, two.tokens.prompt)),
    ];
    for (what, first, second) in pairs {
        if let (Some(first), Some(second)) = (first, second)
            && (first - second).abs() > TOKENS_APART * first.max(second)
        {
            let message = format!(
                "{names} have other token counts: {first:.1} and {second:.1} {what} tokens a request"
            );
            found.push(warning(
                "token_counts",
                message,
                "figures per token are affected least; fix lengths with min_new_tokens = max_new_tokens",
            ));
        }
    }
    let sources = |summary: &Summary| summary.tokens.completion_sources.keys().copied().collect::<Vec<_>>();
    if sources(one) != sources(two) {
        let message =
            format!("{names} count tokens in other ways: {:?} and {:?}", sources(one), sources(two));
        found.push(warning("token_source", message, "figures per token are not of the same token"));
    }
    if one.counts.successful != two.counts.successful {
        let message = format!(
            "{names} have other numbers of successful requests: {} and {}",
            one.counts.successful, two.counts.successful
        );
        found.push(warning(
            "requests",
            message,
            "compare figures per request and per token, not those of the whole run",
        ));
    }
    found
}

fn energy_warnings(names: &str, runs: [&ComparedRun; 2], summaries: [&Summary; 2]) -> Vec<Warning> {
    let mut found = Vec::new();
    let [one, two] = summaries.map(|summary| &summary.energy.total);
    if let (Some(_), Some(_)) = (one.value, two.value) {
        if one.source != two.source {
            let message =
                format!("{names} measured other things: total is {} and {}", one.source, two.source);
            found.push(warning("coverage", message, "compare a domain that both have, such as the GPU's"));
        } else if (one.provenance == Provenance::Estimated) != (two.provenance == Provenance::Estimated) {
            let message =
                format!("the energy of {names} is {} and {}", one.provenance.word(), two.provenance.word());
            found.push(warning("provenance", message, "measure both with instruments"));
        }
    }
    let intensity = summaries.map(|summary| summary.carbon.intensity.value);
    if let [Some(first), Some(second)] = intensity
        && first != second
    {
        let message = format!(
            "{names} use other grids: {first:.0} and {second:.0} g/kWh; CO2e differs for that reason too"
        );
        found.push(warning("grid", message, "compare energies, or set one carbon intensity"));
    }
    let interval = |run: &ComparedRun| run.settings.get("metrics.sampling_interval_ms").cloned();
    if interval(runs[0]) != interval(runs[1]) {
        let message = format!("{names} were sampled at other intervals");
        found.push(warning("sampling", message, "sample both alike"));
    }
    found
}
