//! `report.md`: the run as tables for pull requests and papers.
//!
//! Foreign text is escaped, so that a model's name is neither markup nor a link. Refuses to compute.

use std::fmt::Write;

use ai_energy_core::summary::Distribution;
use ai_energy_core::units::JOULES_PER_WATT_HOUR;
use ai_energy_core::{Fault, Figure, Place, Provenance, Report, Reporter, Written};

use crate::files::write_whole;
use crate::html::run::headline_texts;
use crate::terminal::energy::{carbon_basis, label, origin};
use crate::terminal::notes::{notes, unknown, verdict};
use crate::terminal::speed::{between, tokens};
use crate::terminal::text::Glyphs;
use crate::terminal::units::{self, Family, GRAMS, JOULES, SECONDS, WATT_HOURS, pick, pick_common, plain};

/// The registry's name.
pub const NAME: &str = "markdown";
/// The file's name within the run's folder.
pub const FILE_NAME: &str = "report.md";

/// Writes `report.md`.
#[derive(Debug, Clone, Copy)]
pub struct Markdown;

impl Reporter for Markdown {
    fn name(&self) -> &'static str {
        NAME
    }

    fn write(&self, report: Report<'_>, place: &Place) -> Result<Vec<Written>, Fault> {
        let path = place.run_dir.join(FILE_NAME);
        write_whole(&path, text(report).as_bytes())?;
        Ok(vec![Written::at(&path)])
    }
}

/// The run as Markdown.
pub fn text(report: Report<'_>) -> String {
    let record = report.record;
    let mut text = format!("# {} · {}\n\n", escaped(&record.plan.name), escaped(&record.backend.model));
    let (subtitle, banners) = headline_texts(report);
    let subtitle: Vec<String> = subtitle.iter().map(|part| escaped(part)).collect();
    let _ = writeln!(text, "{}\n", subtitle.join(" · "));
    for banner in banners {
        let _ = writeln!(text, "> **{}**\n", escaped(&banner));
    }
    energy(&mut text, report);
    speed(&mut text, report);
    trust(&mut text, report);
    let _ = writeln!(
        text,
        "<sub>Run `{}`, ai-energy-benchmark {}. ± is half of the 95 % interval.</sub>",
        record.plan.run_id.replace('`', ""),
        env!("CARGO_PKG_VERSION")
    );
    text
}

fn glyphs() -> Glyphs {
    Glyphs::new(true)
}

/// Foreign text as text: what Markdown or HTML would read as markup is escaped, line ends are spaces.
fn escaped(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for letter in glyphs().clean(text).chars() {
        match letter {
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '&' => safe.push_str("&amp;"),
            '\\' | '`' | '*' | '_' | '[' | ']' | '|' | '#' | '~' | '!' => {
                safe.push('\\');
                safe.push(letter);
            }
            // A host that links names of users and addresses finds none.
            '@' => safe.push_str("&#64;"),
            letter => safe.push(letter),
        }
    }
    safe
}

fn table(text: &mut String, heads: &[&str], rows: &[Vec<String>]) {
    let rules: Vec<&str> =
        heads.iter().enumerate().map(|(at, _)| if at == 0 { "---" } else { "---:" }).collect();
    let _ = writeln!(text, "| {} |\n|{}|", heads.join(" | "), rules.join("|"));
    for row in rows {
        let _ = writeln!(text, "| {} |", row.join(" | "));
    }
    text.push('\n');
}

fn shown(figure: &Figure, family: Family) -> String {
    units::figure(figure, family, pick_common(family, figure.value), &glyphs())
}

fn energy(text: &mut String, report: Report<'_>) {
    let energy = &report.summary.energy;
    let row = |name: &str, request: &Figure, token: &Figure, whole: &Figure| {
        let watt_hours = whole.scaled(1.0 / JOULES_PER_WATT_HOUR, "Wh");
        let known = match whole.provenance {
            Provenance::Unavailable => {
                format!("not known: {}", escaped(whole.reason.as_deref().unwrap_or_default()))
            }
            known => format!("{}: {}", known.word(), escaped(&origin(whole))),
        };
        let figures = [shown(request, JOULES), shown(token, JOULES), shown(&watt_hours, WATT_HOURS)];
        [name.to_owned()].into_iter().chain(figures).chain([known]).collect::<Vec<String>>()
    };
    let mut rows: Vec<Vec<String>> = energy
        .domains
        .iter()
        .map(|entry| row(label(entry.domain), &entry.per_request, &entry.per_output_token, &entry.energy))
        .collect();
    rows.push(row("**total**", &energy.per_request, &energy.per_output_token, &energy.total));
    let carbon = &report.summary.carbon;
    let grams = [&carbon.emissions_per_request, &carbon.emissions_per_output_token, &carbon.emissions];
    let basis = match (&carbon.emissions.value, &carbon.emissions.reason) {
        (None, Some(reason)) => format!("not known: {}", escaped(reason)),
        _ => format!("{}: {}", carbon.emissions.provenance.word(), escaped(&carbon_basis(report))),
    };
    let cells = grams.map(|figure| shown(figure, GRAMS));
    rows.push(["CO₂e".to_owned()].into_iter().chain(cells).chain([basis]).collect());
    text.push_str("## Energy\n\n");
    table(text, &["", "per request", "per output token", "whole run", "known"], &rows);
}

fn speed(text: &mut String, report: Report<'_>) {
    let latency = &report.summary.latency;
    let kinds = [
        ("time to first token", &latency.time_to_first_token),
        (between(report), &latency.inter_token),
        ("per output token", &latency.time_per_output_token),
        ("whole request", &latency.end_to_end),
        ("client's own delay", &latency.schedule_lag),
    ];
    let row = |name: &str, times: &Distribution| {
        let value = |value: f64| plain(value, pick(SECONDS, value), &glyphs());
        let mut mean = Figure::new(times.mean, "s", Provenance::Measured, "");
        mean.ci95 = times.mean_ci95;
        let percentiles = [times.p50, times.p95, times.p99].map(value);
        let cells = [name.to_owned(), shown(&mean, SECONDS)];
        cells.into_iter().chain(percentiles).collect::<Vec<String>>()
    };
    let rows: Vec<Vec<String>> =
        kinds.into_iter().filter_map(|(name, times)| Some(row(name, times.as_ref()?))).collect();
    text.push_str("## Speed\n\n");
    if rows.is_empty() {
        text.push_str("No request succeeded, so there is nothing to time.\n\n");
        return;
    }
    table(text, &["", "mean", "p50", "p95", "p99"], &rows);
    let throughput = &report.summary.throughput;
    let rate = |figure: &Figure, unit: &str| {
        Some(format!("{} {unit}", units::with_interval(figure.value?, figure.ci95, &glyphs())))
    };
    let parts = [
        rate(&throughput.output_tokens_per_second, "output tokens/s"),
        rate(&throughput.requests_per_second, "requests/s"),
        tokens(report),
    ];
    let parts: Vec<String> = parts.into_iter().flatten().map(|part| escaped(&part)).collect();
    let _ = writeln!(text, "{}\n", parts.join(" · "));
}

fn trust(text: &mut String, report: Report<'_>) {
    let notes = notes(report, &|text| text.to_owned());
    let (_, word) = verdict(report, notes.len());
    let counts = &report.summary.counts;
    let _ = writeln!(text, "## Validity\n\n**{}**", escaped(&word));
    let _ = writeln!(
        text,
        "\n{} of {} requests succeeded, {} failed, {} were cancelled.\n",
        counts.successful, counts.total, counts.failed, counts.cancelled
    );
    for (note, remedy) in notes {
        let remedy = if remedy.is_empty() { String::new() } else { format!(" → {}", escaped(&remedy)) };
        let _ = writeln!(text, "- {}{remedy}", escaped(&note));
    }
    for entry in unknown(report) {
        let _ = writeln!(text, "- not known: {}: {}", entry.what.join(", "), escaped(&entry.why));
    }
    text.push('\n');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn foreign_text_is_neither_markup_nor_a_cell() {
        let text = escaped("a|b <img src=x> [x](y) @user `c`\n# d");
        assert_eq!(text, "a\\|b &lt;img src=x&gt; \\[x\\](y) &#64;user \\`c\\` \\# d");
    }
}
