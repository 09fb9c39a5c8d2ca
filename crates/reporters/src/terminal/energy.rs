//! What a request, a token and the whole run cost in joules, watt-hours and grams.
//!
//! Refuses to compute: every figure is the summary's, in the unit that reads best.

use ai_energy_core::units::JOULES_PER_WATT_HOUR;
use ai_energy_core::{Domain, Figure, Provenance, Report};

use super::page::{Page, Style};
use super::parts;
use super::table::{Row, Table};
use super::units::{self, GRAMS, JOULES, WATT_HOURS, WATTS, pick_common};

/// The figures of one row in base units: per request, per output token, whole run.
struct Costs {
    label: String,
    per_request: Figure,
    per_token: Figure,
    whole: Figure,
    /// How the energy is known; its watt-hours are known no worse.
    provenance: Provenance,
    prose: String,
}

pub(super) fn draw(report: Report<'_>, page: &mut Page) {
    let energies = energy_rows(report);
    let mut rows = rows(&energies, JOULES, WATT_HOURS, page);
    let carbon = carbon_row(report);
    rows.extend(self::rows(std::slice::from_ref(&carbon), GRAMS, GRAMS, page));
    let columns = vec!["per request", "per output token", "whole run"];
    Table { heading: "ENERGY", columns, rows }.draw(page);
    draw_rates(report, page);
    draw_power(report, page);
    parts::draw(report, page);
    if energies.iter().any(|row| row.whole.ci95.is_some()) {
        let prefix = format!("   {}        ", page.glyphs.plus_minus);
        let text = "half of the 95 % interval; that of CO2e is the energy's alone";
        page.paragraph((Style::Dim, &prefix), Style::Dim, text);
    }
    if let Some(server) = &report.summary.energy.server_reported {
        let value = units::figure(server, JOULES, pick_common(JOULES, server.value), &page.glyphs);
        let prose = page.clean(&server.source);
        page.paragraph(
            (Style::Dim, "   the server itself reports  "),
            Style::Plain,
            &format!("{value} ({prose})"),
        );
    }
}

/// A domain's name on the terminal.
pub(crate) fn label(domain: Domain) -> &'static str {
    match domain {
        Domain::Gpu => "GPU",
        Domain::Cpu => "CPU",
        Domain::Ram => "RAM",
        Domain::Node => "node",
    }
}

fn energy_rows(report: Report<'_>) -> Vec<Costs> {
    let energy = &report.summary.energy;
    let mut rows: Vec<Costs> = energy
        .domains
        .iter()
        .map(|entry| costs(label(entry.domain), &entry.per_request, &entry.per_output_token, &entry.energy))
        .collect();
    rows.push(costs("total", &energy.per_request, &energy.per_output_token, &energy.total));
    rows
}

fn costs(label: &str, per_request: &Figure, per_token: &Figure, joules: &Figure) -> Costs {
    Costs {
        label: label.to_owned(),
        per_request: per_request.clone(),
        per_token: per_token.clone(),
        whole: joules.scaled(1.0 / JOULES_PER_WATT_HOUR, "Wh"),
        provenance: joules.provenance,
        prose: origin(joules),
    }
}

/// Where a figure comes from, and the remark on it.
pub(crate) fn origin(figure: &Figure) -> String {
    match (&figure.value, &figure.reason) {
        (None, _) => "see below".to_owned(),
        (Some(_), Some(remark)) if figure.source.is_empty() => remark.clone(),
        (Some(_), Some(remark)) => format!("{}; {remark}", figure.source),
        (Some(_), None) => figure.source.clone(),
    }
}

fn carbon_row(report: Report<'_>) -> Costs {
    let carbon = &report.summary.carbon;
    let prose = if carbon.emissions.value.is_some() { carbon_basis(report) } else { "see below".to_owned() };
    Costs {
        label: "CO2e".to_owned(),
        per_request: carbon.emissions_per_request.clone(),
        per_token: carbon.emissions_per_output_token.clone(),
        whole: carbon.emissions.clone(),
        provenance: carbon.emissions.provenance,
        prose,
    }
}

/// For example `USA 2024, 369 g/kWh, Ember`. What the total lacks stands in its own row.
pub(crate) fn carbon_basis(report: Report<'_>) -> String {
    let carbon = &report.summary.carbon;
    let mut place: Vec<String> = Vec::new();
    place.extend(carbon.country_iso_code.clone());
    place.extend(carbon.region.clone());
    place.extend(carbon.intensity_year.map(|year| year.to_string()));
    let intensity = carbon.intensity.value.map(|value| format!("{} g/kWh", units::significant(value, 3)));
    let mut parts = vec![place.join(" ")];
    parts.extend(intensity);
    if carbon.pue != 1.0 {
        parts.push(format!("PUE {}", carbon.pue));
    }
    parts.push(carbon.intensity.source.clone());
    parts.retain(|part| !part.is_empty());
    parts.join(", ")
}

/// Rows with a common unit in each column.
fn rows(costs: &[Costs], small: units::Family, whole: units::Family, page: &Page) -> Vec<Row> {
    let request_scale = pick_common(small, costs.iter().filter_map(|row| row.per_request.value));
    let token_scale = pick_common(small, costs.iter().filter_map(|row| row.per_token.value));
    let whole_scale = pick_common(whole, costs.iter().filter_map(|row| row.whole.value));
    let glyphs = &page.glyphs;
    let row = |row: &Costs| Row {
        label: row.label.clone(),
        cells: vec![
            units::figure(&row.per_request, small, request_scale, glyphs),
            units::figure(&row.per_token, small, token_scale, glyphs),
            units::figure(&row.whole, whole, whole_scale, glyphs),
        ],
        mark: mark(row.provenance),
        prose: page.clean(&row.prose),
        style: if row.whole.value.is_some() { Style::Plain } else { Style::Dim },
    };
    costs.iter().map(row).collect()
}

fn mark(provenance: Provenance) -> String {
    match provenance {
        Provenance::Unavailable => "not known".to_owned(),
        known => known.word().to_owned(),
    }
}

/// The figures by which models are compared elsewhere.
fn draw_rates(report: Report<'_>, page: &mut Page) {
    let energy = &report.summary.energy;
    let mut parts = Vec::new();
    if let Some(value) = energy.wh_per_1000_requests.value {
        let scale = pick_common(WATT_HOURS, [value]);
        let text = units::figure(&energy.wh_per_1000_requests, WATT_HOURS, scale, &page.glyphs);
        parts.push(format!("{text} per 1000 requests"));
    }
    if let Some(value) = energy.output_tokens_per_joule.value.filter(|value| *value > 0.0) {
        let text = units::with_interval(value, energy.output_tokens_per_joule.ci95, &page.glyphs);
        parts.push(format!("{text} output tokens per joule"));
    }
    let separator = format!(" {} ", page.glyphs.dot);
    if !parts.is_empty() {
        page.parts((Style::Dim, "   also     "), Style::Plain, &parts, &separator);
    }
}

fn draw_power(report: Report<'_>, page: &mut Page) {
    let glyphs = page.glyphs;
    let watts = |figure: &Figure| {
        figure.value.map(|value| units::figure(figure, WATTS, pick_common(WATTS, [value]), &glyphs))
    };
    let parts: Vec<String> = report
        .summary
        .energy
        .domains
        .iter()
        .filter_map(|entry| {
            let mean = watts(&entry.mean_power)?;
            let peak = entry
                .peak_power
                .value
                .map(|peak| format!(", peak {}", units::plain(peak, pick_common(WATTS, [peak]), &glyphs)));
            Some(format!("{} {mean}{}", label(entry.domain), peak.unwrap_or_default()))
        })
        .collect();
    if !parts.is_empty() {
        page.parts((Style::Dim, "   power    "), Style::Plain, &parts, &format!(" {} ", glyphs.dot));
    }
}
