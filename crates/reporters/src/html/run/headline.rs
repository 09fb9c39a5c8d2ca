//! The figures that people came for, what ran, and what makes all of it partial or worthless.

use ai_energy_core::record::Ending;
use ai_energy_core::summary::Distribution;
use ai_energy_core::units::JOULES_PER_WATT_HOUR;
use ai_energy_core::{Domain, Figure, Provenance, Report};

use super::{clean, glyphs, level, mark, text};
use crate::html::page::{Block, Card, Level, Notice};
use crate::terminal::energy::{carbon_basis, origin};
use crate::terminal::header::{host, load};
use crate::terminal::units::{self, Family, GRAMS, JOULES, SECONDS, WATT_HOURS, pick};

/// Below the title: what ran, on what, with which load, when.
pub(super) fn subtitle(report: Report<'_>) -> Vec<String> {
    let record = report.record;
    let backend = &record.backend;
    let server = backend.server.as_deref().unwrap_or(&backend.backend);
    let place = backend.endpoint.as_deref().map(|endpoint| format!(" at {}", host(endpoint)));
    let device = backend.device.as_deref().map(|device| format!(" on {device}"));
    let parts = [
        format!("{server}{}", place.or(device).unwrap_or_default()),
        format!("{} ({})", load(report), record.dataset.name),
        record.plan.load.words(),
        record.started_at.clone(),
    ];
    parts.iter().map(|part| clean(part)).collect()
}

/// What makes the figures partial or worthless.
pub(super) fn banners(report: Report<'_>) -> Vec<Notice> {
    let banner = |level, text: String| Notice { level, text, remedy: String::new() };
    let mut banners = Vec::new();
    if report.record.synthetic {
        let text = "Synthetic: a part of this run was a fake or a simulator. No figure below says anything about a \
                    real model.";
        banners.push(banner(Level::Bad, text.to_owned()));
    }
    let seen = format!(
        "the figures are of the {} requests that succeeded until then",
        report.summary.counts.successful
    );
    match &report.record.ending {
        Ending::Complete => {}
        Ending::Interrupted => {
            let text = format!("Interrupted: the run was ended before all requests were done; {seen}.");
            banners.push(banner(Level::Notice, text));
        }
        Ending::TooManyFailures { in_a_row } => {
            let text = format!("Stopped: {in_a_row} requests failed in a row, which ended the run; {seen}.");
            banners.push(banner(Level::Bad, text));
        }
        Ending::Unfinished => {
            banners.push(banner(Level::Bad, format!("Cut: the run was killed or crashed; {seen}.")));
        }
    }
    banners
}

pub(super) fn blocks(report: Report<'_>) -> Vec<Block> {
    let (energy, carbon) = (&report.summary.energy, &report.summary.carbon);
    let latency = &report.summary.latency;
    let throughput = &report.summary.throughput;
    let mut cards = vec![
        card("energy per output token", &energy.per_output_token, JOULES, &energy.total),
        card("energy per request", &energy.per_request, JOULES, &energy.total),
    ];
    if let Some(gpu) = report.summary.domain(Domain::Gpu).filter(|gpu| gpu.energy.value.is_some()) {
        cards.push(card("GPU energy, whole run", &watt_hours(&gpu.energy), WATT_HOURS, &gpu.energy));
    }
    cards.push(card("energy, whole run", &watt_hours(&energy.total), WATT_HOURS, &energy.total));
    let mut emissions = card("CO₂e, whole run", &carbon.emissions, GRAMS, &carbon.emissions);
    if carbon.emissions.value.is_some() {
        emissions.note = clean(&carbon_basis(report));
    }
    cards.push(emissions);
    cards.extend(timed("time to first token", latency.time_to_first_token.as_ref()));
    cards.extend(timed("whole request", latency.end_to_end.as_ref()));
    cards.push(rate("output tokens a second", &throughput.output_tokens_per_second));
    let remark =
        "± is half of the 95 % interval. Energy is that of the whole load over what succeeded in it.";
    vec![Block::Cards { cards }, Block::dim(remark)]
}

fn watt_hours(joules: &Figure) -> Figure {
    Figure { provenance: joules.provenance, ..joules.scaled(1.0 / JOULES_PER_WATT_HOUR, "Wh") }
}

/// A figure; `basis` says how it is known and where it comes from.
fn card(label: &str, figure: &Figure, family: Family, basis: &Figure) -> Card {
    let note = match (&figure.value, &figure.reason) {
        (None, Some(reason)) => reason.clone(),
        _ => origin(basis),
    };
    Card {
        label: label.to_owned(),
        value: text(figure, family),
        mark: mark(basis.provenance),
        level: level(basis.provenance),
        note: clean(&note),
    }
}

/// Mean and tail of a time; none where nothing was seen.
fn timed(label: &str, distribution: Option<&Distribution>) -> Option<Card> {
    let distribution = distribution?;
    let mut mean = Figure::new(distribution.mean, "s", Provenance::Measured, "");
    mean.ci95 = distribution.mean_ci95;
    let tail = |value: f64| units::plain(value, pick(SECONDS, value), &glyphs());
    Some(Card {
        label: format!("{label}, mean"),
        value: text(&mean, SECONDS),
        mark: mark(Provenance::Measured),
        level: level(Provenance::Measured),
        note: format!("p50 {}, p99 {}", tail(distribution.p50), tail(distribution.p99)),
    })
}

fn rate(label: &str, figure: &Figure) -> Card {
    let value = match figure.value {
        Some(value) => units::with_interval(value, figure.ci95, &glyphs()),
        None => glyphs().none.to_owned(),
    };
    let note = figure.reason.clone().unwrap_or_else(|| "over the whole load".to_owned());
    Card {
        label: label.to_owned(),
        value,
        mark: mark(figure.provenance),
        level: level(figure.provenance),
        note: clean(&note),
    }
}
