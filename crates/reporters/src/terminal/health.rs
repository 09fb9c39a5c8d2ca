//! The client's health in a line: whether latencies are the server's, and what measuring them cost.
//!
//! Refuses to compute, and to be long where all is well.

use ai_energy_core::summary::{ClientBound, Health};
use ai_energy_core::{Figure, Report};

use super::page::{Page, Style};
use super::text::Glyphs;
use super::units::{BYTES, SECONDS, count, pick, plain};

pub(super) fn draw(report: Report<'_>, page: &mut Page) {
    let health = &report.summary.health;
    let separator = format!(" {} ", page.glyphs.dot);
    let parts = used(health, &page.glyphs);
    match health.client_bound {
        ClientBound::Unknown if parts.is_empty() => {}
        ClientBound::Unknown => page.parts((Style::Plain, "   client   "), Style::Dim, &parts, &separator),
        ClientBound::No => {
            let parts: Vec<String> = std::iter::once("not the limit".to_owned()).chain(parts).collect();
            page.parts((Style::Plain, "   client   "), Style::Plain, &parts, &separator);
        }
        ClientBound::Maybe | ClientBound::Yes => draw_bound(health, &parts, page, &separator),
    }
}

/// The verdict by its reasons, then what was used, then what it was held against.
fn draw_bound(health: &Health, used: &[String], page: &mut Page, separator: &str) {
    let (style, verdict) = match health.client_bound {
        ClientBound::Yes => {
            (Style::Bad, "client-bound: yes, the latencies above are the client's as well as the server's")
        }
        _ => (
            Style::Notice,
            "client-bound: maybe, the latencies above may be the client's as well as the server's",
        ),
    };
    page.paragraph((style, "   client   "), style, verdict);
    for reason in &health.reasons {
        page.paragraph((Style::Plain, "            "), Style::Plain, reason);
    }
    page.parts((Style::Plain, "            "), Style::Dim, used, separator);
    page.paragraph((Style::Plain, "            "), Style::Dim, &format!("thresholds: {}", health.thresholds));
}

/// For example `event loop p99 0.1 ms`, `3.1 % of 2 cores`, `8.2 µs of CPU a token`, `8 connections`, `1.2 MB in`.
pub(crate) fn used(health: &Health, glyphs: &Glyphs) -> Vec<String> {
    let time = |value: f64| plain(value, pick(SECONDS, value), glyphs);
    let mut parts = Vec::new();
    parts.extend(health.event_loop_delay.p99.value.map(|p99| format!("event loop p99 {}", time(p99))));
    if let (Some(share), Some(cores)) = (health.cpu_share.value, health.cores.value) {
        let cores = if cores == 1.0 { "1 core".to_owned() } else { format!("{cores:.0} cores") };
        parts.push(format!("{:.1} % of {cores}", share * 100.0));
    }
    if let Some(micros) = health.cpu_per_output_token.value {
        let seconds = micros * 1e-6;
        parts.push(format!("{} of CPU a token", time(seconds)));
    }
    let whole = |figure: &Figure| figure.value.map(|value| value as u64);
    if let (Some(opened), Some(peak)) = (whole(&health.connections_opened), whole(&health.peak_connections)) {
        let reused = whole(&health.requests_on_kept_connections).unwrap_or_default();
        parts.push(format!("{} connections made, {} at most", count(opened), count(peak)));
        if reused > 0 {
            parts.push(format!("{} requests on kept ones", count(reused)));
        }
    }
    if let (Some(received), Some(sent)) = (health.bytes_received.value, health.bytes_sent.value) {
        let bytes = |value: f64| plain(value, pick(BYTES, value), glyphs);
        parts.push(format!("{} in, {} out", bytes(received), bytes(sent)));
    }
    parts
}
