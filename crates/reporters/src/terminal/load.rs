//! How the load went: what was in flight, what was good, the steady part and the steps.
//!
//! Silent for a plain run of one request at a time. Refuses to compute.

use ai_energy_core::summary::{Distribution, Goodput, LoadFigures, Part, ServerFigures};
use ai_energy_core::{Figure, Report};

use super::page::{Page, Style};
use super::units::{self, SECONDS, pick, plain};

pub(super) fn draw(report: Report<'_>, page: &mut Page) {
    let load = &report.summary.load;
    let (Some(peak), Some(mean)) = (load.peak_concurrency.value, load.mean_concurrency.value) else { return };
    if peak <= 1.0 && load.planned_rate.value.is_none() && load.goodput.is_none() {
        return;
    }
    let separator = format!(" {} ", page.glyphs.dot);
    let mut parts = vec![format!("{mean:.1} on average, {peak:.0} at most")];
    if let (Some(planned), Some(sent)) = (load.planned_rate.value, load.sent_rate.value) {
        parts.push(format!("{planned:.4} requests/s planned, {sent:.4} sent"));
    }
    page.parts((Style::Plain, "   in flight   "), Style::Plain, &parts, &separator);
    if let Some(goodput) = &load.goodput {
        page.parts((Style::Plain, "   goodput   "), Style::Plain, &good(goodput, page), &separator);
    }
    draw_steady(load, page, &separator);
    if let Some(server) = &load.server {
        page.parts((Style::Plain, "   server says   "), Style::Plain, &of_server(server, page), &separator);
    }
    for step in &load.steps {
        let prefix = format!("   {}   ", page.clean(&step.name));
        page.parts((Style::Plain, &prefix), Style::Plain, &of_part(step, page), &separator);
    }
}

fn draw_steady(load: &LoadFigures, page: &mut Page, separator: &str) {
    match &load.steady {
        Some(steady) => {
            let start = load_start(load, steady);
            let end = start + steady.duration.value.unwrap_or_default();
            let bounds = format!("{start:.1} to {end:.1} s of the load");
            let parts: Vec<String> = std::iter::once(bounds).chain(of_part(steady, page)).collect();
            page.parts((Style::Plain, "   steady   "), Style::Plain, &parts, separator);
        }
        None if load.steps.is_empty() => {
            page.paragraph(
                (Style::Dim, "   steady   "),
                Style::Dim,
                &format!("no part: {}", load.steady_rule),
            );
        }
        None => {}
    }
}

/// When the steady part began, s since the load's begin.
fn load_start(load: &LoadFigures, steady: &Part) -> f64 {
    (steady.start_seconds - load.start_seconds).max(0.0)
}

fn of_part(part: &Part, page: &Page) -> Vec<String> {
    let time = |name: &str, distribution: &Option<Distribution>| {
        let distribution = distribution.as_ref()?;
        let value = |value: f64| plain(value, pick(SECONDS, value), &page.glyphs);
        Some(format!("{name} p50 {}, p99 {}", value(distribution.p50), value(distribution.p99)))
    };
    let rate = |figure: &Figure, unit: &str| {
        Some(format!("{} {unit}", units::with_interval(figure.value?, figure.ci95, &page.glyphs)))
    };
    let mut parts: Vec<String> = Vec::new();
    parts.extend(time("TTFT", &part.latency.time_to_first_token));
    parts.extend(time("ITL", &part.latency.inter_token));
    parts.extend(rate(&part.output_tokens_per_second, "output tok/s"));
    parts.extend(rate(&part.requests_per_second, "requests/s"));
    parts.extend(part.mean_concurrency.value.map(|mean| format!("{mean:.1} in flight")));
    parts
}

/// For example `3.1 running, 0.2 waiting on average`, `cache 43 % used at most`, `TTFT 80.1 ms, 2.10 ms less than seen here`.
fn of_server(server: &ServerFigures, page: &Page) -> Vec<String> {
    let time = |value: f64| plain(value, pick(SECONDS, value), &page.glyphs);
    let mut parts = Vec::new();
    if let (Some(running), Some(waiting)) = (server.mean_running.value, server.mean_waiting.value) {
        parts.push(format!("{running:.1} running, {waiting:.1} waiting on average"));
    }
    parts.extend(server.peak_cache_use.value.map(|used| format!("cache {:.0} % used at most", used * 100.0)));
    parts.extend(server.prefix_hit_share.value.map(|hits| format!("{:.0} % prefix hits", hits * 100.0)));
    let preempted = server.preemptions.value.filter(|preempted| *preempted > 0.0);
    parts.extend(preempted.map(|preempted| format!("{preempted:.0} preempted")));
    if let Some(ttft) = server.mean_ttft.value {
        let beyond = server.ttft_beyond_server.value.filter(|beyond| *beyond > 0.0);
        let less = beyond.map_or(String::new(), |beyond| format!(", {} less than seen here", time(beyond)));
        parts.push(format!("TTFT {}{less}", time(ttft)));
    }
    parts
}

/// For example `92.5 ± 4.1 % keep ttft 500 ms`, `11.3 requests/s`, `12 missed ttft`.
fn good(goodput: &Goodput, page: &Page) -> Vec<String> {
    let share = goodput.share.scaled(100.0, "%");
    let Some(value) = share.value else {
        return vec![format!("not known: {}", goodput.share.reason.as_deref().unwrap_or_default())];
    };
    let kept = units::with_interval(value, share.ci95, &page.glyphs);
    let mut parts =
        vec![format!("{kept} % of {} requests keep {}", goodput.judged, goodput.objectives.words())];
    if let Some(rate) = goodput.rate.value {
        parts.push(format!("{} requests/s", units::with_interval(rate, goodput.rate.ci95, &page.glyphs)));
    }
    parts.extend(goodput.misses.iter().map(|(name, count)| match name.as_str() {
        "failed" => format!("{count} failed"),
        name => format!("{count} missed {name}"),
    }));
    parts
}
