//! `unknown`: why a key of `summary` or `energy` is null, key by key, and what a partial total does not include.
//!
//! Goes by the sections as they were made, so that no null key can be left without its reason.

use ai_energy_core::{Figure, Report};
use serde_json::{Map, Value, json};

use super::compat::{energies, figure_of, further_energies};
use crate::coverage::coverage;

/// The keys that rest on the total energy.
const OF_THE_TOTAL: [&str; 4] =
    ["total_energy_kwh", "total_energy_wh", "emissions_kg_co2eq", "emissions_g_co2eq"];

/// The reasons for the null keys of the sections `summary` and `energy` of `sections`, then the remarks on a partial
/// total: `section.key` to reason.
pub(super) fn reasons(report: Report<'_>, sections: &Map<String, Value>) -> Map<String, Value> {
    let mut reasons = Map::new();
    for (section, why) in [("summary", why_summary as fn(Report<'_>, &str) -> String), ("energy", why_energy)]
    {
        for (key, value) in sections.get(section).and_then(Value::as_object).into_iter().flatten() {
            if value.is_null() {
                reasons.insert(format!("{section}.{key}"), json!(why(report, key)));
            }
        }
    }
    if let Some(remark) = lacking(report) {
        for key in OF_THE_TOTAL {
            reasons.entry(format!("energy.{key}")).or_insert_with(|| json!(remark));
        }
    }
    reasons
}

/// What a partial total does not include, each domain with its reason.
fn lacking(report: Report<'_>) -> Option<String> {
    let lacks = coverage(report)?.lacks;
    let parts: Vec<String> = lacks
        .into_iter()
        .map(|domain| match report.summary.domain(domain) {
            Some(entry) => format!("{} ({})", domain.word(), why(&entry.energy)),
            None => domain.word().to_owned(),
        })
        .collect();
    (!parts.is_empty()).then(|| format!("does not include {}", parts.join(", ")))
}

fn why(figure: &Figure) -> String {
    match (&figure.reason, figure.value) {
        (_, Some(_)) => "the value is not a finite number".to_owned(),
        (Some(reason), None) => reason.clone(),
        (None, None) => "no reason was given".to_owned(),
    }
}

fn why_summary(report: Report<'_>, key: &str) -> String {
    let summary = report.summary;
    let tokens = &summary.tokens;
    let uncounted = |what: &str| format!("no response has a count of its {what} tokens");
    match key {
        "total_duration_seconds" => why(&summary.duration),
        _ if summary.counts.successful == 0 => "no request succeeded".to_owned(),
        "avg_time_to_first_token" => "the first token cannot be seen without streaming".to_owned(),
        "total_prompt_tokens" => uncounted("prompt"),
        "total_completion_tokens" => uncounted("generated"),
        "total_tokens" => match (tokens.prompt, tokens.completion) {
            (None, None) => uncounted("prompt or generated"),
            (None, _) => uncounted("prompt"),
            _ => uncounted("generated"),
        },
        "throughput_tokens_per_second" => why(&summary.throughput.total_tokens_per_second),
        _ => "not observed".to_owned(),
    }
}

fn why_energy(report: Report<'_>, key: &str) -> String {
    let carbon = &report.summary.carbon;
    match key {
        "emissions_kg_co2eq" | "emissions_g_co2eq" => why(&carbon.emissions),
        "duration_seconds" => why(&report.summary.duration),
        "carbon_intensity_g_per_kwh" => why(&carbon.intensity),
        "project_name" => "metrics.project_name is not set".to_owned(),
        "country" => "the location is not known".to_owned(),
        "region" => "no region was stated, or none that the intensity's table knows".to_owned(),
        "total_covers" | "total_is_partial" => {
            format!("there is no total: {}", why(&report.summary.energy.total))
        }
        "water_liters" => why(&carbon.water),
        _ => {
            let further = further_energies(report).into_iter().find(|(name, _)| *name == key);
            let (found, otherwise) = match further {
                Some((_, figure)) => {
                    (figure, "the load has no such part: no request was run, or another domain was split")
                }
                None => (figure_of(key, energies(report)), "no source looked at this domain"),
            };
            found.map_or_else(|| otherwise.to_owned(), why)
        }
    }
}
