//! What the load added above idling, and what it was spent on: two or three lines below the energy table.
//!
//! Refuses to compute, and to show what is not known: the report has the reasons.

use ai_energy_core::summary::{IdlePower, Stretch};
use ai_energy_core::units::JOULES_PER_WATT_HOUR;
use ai_energy_core::{Figure, Report};

use super::energy::label;
use super::page::{Page, Style};
use super::units::{self, JOULES, LITRES, WATT_HOURS, WATTS, pick_common};

pub(super) fn draw(report: Report<'_>, page: &mut Page) {
    draw_net(report, page);
    draw_idle(report, page);
    draw_work(report, page);
    draw_water(report, page);
}

fn text(figure: &Figure, family: units::Family, page: &Page) -> Option<String> {
    let value = figure.value?;
    Some(units::figure(figure, family, pick_common(family, [value]), &page.glyphs))
}

fn watt_hours(figure: &Figure, page: &Page) -> Option<String> {
    text(&figure.scaled(1.0 / JOULES_PER_WATT_HOUR, "Wh"), WATT_HOURS, page)
}

/// Energy above idle, by domain and in total.
fn draw_net(report: Report<'_>, page: &mut Page) {
    let energy = &report.summary.energy;
    let Some(load) = energy.phase(Stretch::Load) else { return };
    let mut parts: Vec<String> = load
        .domains
        .iter()
        .filter_map(|entry| Some(format!("{} {}", label(entry.domain), watt_hours(&entry.split.net, page)?)))
        .collect();
    if parts.len() > 1 {
        parts.extend(watt_hours(&load.total.net, page).map(|total| format!("total {total}")));
    }
    if parts.is_empty() {
        return;
    }
    parts.extend(
        text(&energy.efficiency.net_per_request, JOULES, page).map(|net| format!("{net} per request")),
    );
    parts.extend(
        text(&energy.efficiency.net_per_output_token, JOULES, page)
            .map(|net| format!("{net} per output token")),
    );
    let separator = format!(" {} ", page.glyphs.dot);
    page.parts((Style::Dim, "   above idle  "), Style::Plain, &parts, &separator);
}

fn draw_idle(report: Report<'_>, page: &mut Page) {
    let side = |idle: &IdlePower, page: &Page| {
        let before = text(&idle.before, WATTS, page);
        let after = text(&idle.after, WATTS, page);
        let sides = match (before, after) {
            (Some(before), Some(after)) => format!("{before} before, {after} after"),
            (Some(before), None) => format!("{before} before"),
            (None, Some(after)) => format!("{after} after"),
            (None, None) => return None,
        };
        Some(format!("{} {sides}", label(idle.domain)))
    };
    let parts: Vec<String> = report.summary.energy.idle.iter().filter_map(|idle| side(idle, page)).collect();
    if !parts.is_empty() {
        let separator = format!(" {} ", page.glyphs.dot);
        page.parts((Style::Dim, "   idle power  "), Style::Plain, &parts, &separator);
    }
}

/// Prefill, decode and the rest.
fn draw_work(report: Report<'_>, page: &mut Page) {
    let split = &report.summary.energy.prefill_decode;
    let Some(domain) = split.domain else { return };
    let parts: Vec<String> = [
        ("prefill", &split.prefill, Some(&split.per_prefill_token)),
        ("decode", &split.decode, Some(&split.per_decode_token)),
        ("other", &split.other, None),
    ]
    .into_iter()
    .filter_map(|(name, whole, each)| {
        let each = each.and_then(|each| text(each, JOULES, page)).map(|each| format!(" ({each} a token)"));
        Some(format!("{name} {}{}", watt_hours(whole, page)?, each.unwrap_or_default()))
    })
    .collect();
    let separator = format!(" {} ", page.glyphs.dot);
    let head = format!("   {} work  ", label(domain));
    page.parts((Style::Dim, &head), Style::Plain, &parts, &separator);
}

fn draw_water(report: Report<'_>, page: &mut Page) {
    if let Some(water) = text(&report.summary.carbon.water, LITRES, page) {
        page.parts((Style::Dim, "   water    "), Style::Plain, &[water], "");
    }
}
