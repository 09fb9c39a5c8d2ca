//! How long requests and tokens took, how many came a second, and how the load went.

use ai_energy_core::summary::{Distribution, Goodput, Part};
use ai_energy_core::{Figure, Report};

use super::{clean, distributions, glyphs};
use crate::html::page::{Block, Column, Row, Table};
use crate::terminal::speed::{between, tokens};
use crate::terminal::units::{self, SECONDS, pick, pick_common, plain};

pub(super) fn blocks(report: Report<'_>) -> Vec<Block> {
    let Some(table) = latencies(report) else {
        return vec![Block::dim("No request succeeded, so there is nothing to time.")];
    };
    let mut blocks = vec![Block::Table(table)];
    if report.summary.latency.time_to_first_token.is_none() {
        blocks.push(Block::dim("The first token cannot be seen without streaming."));
    }
    blocks.extend(distributions::blocks(report));
    let facts = facts(report);
    if !facts.is_empty() {
        blocks.push(Block::Facts { facts });
    }
    blocks.extend(steps(report).map(Block::Table));
    blocks
}

fn latencies(report: Report<'_>) -> Option<Table> {
    let latency = &report.summary.latency;
    let answer = latency.time_to_first_content.as_ref();
    let thinks = answer.filter(|_| answer != latency.time_to_first_token.as_ref());
    let kinds = [
        ("time to first token", latency.time_to_first_token.as_ref()),
        ("time to first answer", thinks),
        (between(report), latency.inter_token.as_ref()),
        ("per output token", latency.time_per_output_token.as_ref()),
        ("whole request", latency.end_to_end.as_ref()),
        ("waiting for room", latency.queueing.as_ref()),
        ("client's own delay", latency.schedule_lag.as_ref()),
    ];
    let rows: Vec<Row> = kinds.into_iter().filter_map(|(name, kind)| Some(row(name, kind?))).collect();
    let numbers = ["mean", "p50", "p90", "p95", "p99", "p99.9", "max", "values"].map(Column::numbers);
    let columns = [Column::words("")].into_iter().chain(numbers).collect();
    let caption = "Latency of the requests that succeeded, exact percentiles".to_owned();
    (!rows.is_empty()).then_some(Table { caption, columns, rows })
}

fn row(name: &str, times: &Distribution) -> Row {
    let scale = pick_common(SECONDS, [times.p50]);
    let mut mean = Figure::new(times.mean, "s", ai_energy_core::Provenance::Measured, "");
    mean.ci95 = times.mean_ci95;
    let value = |value: f64| {
        let scale = if value >= 10_000.0 * scale.factor() { pick(SECONDS, value) } else { scale };
        plain(value, scale, &glyphs())
    };
    let percentiles = [times.p50, times.p90, times.p95, times.p99, times.p999, times.max].map(value);
    let mean = units::figure(&mean, SECONDS, scale, &glyphs());
    let cells = [mean].into_iter().chain(percentiles).chain([units::count(times.count as u64)]);
    Row::new(name, cells)
}

fn facts(report: Report<'_>) -> Vec<(String, String)> {
    let (throughput, load) = (&report.summary.throughput, &report.summary.load);
    let number = |figure: &Figure, unit: &str| {
        let text = units::with_interval(figure.value?, figure.ci95, &glyphs());
        Some(format!("{text} {unit}").trim_end().to_owned())
    };
    let goodput = load.goodput.as_ref();
    let facts = [
        ("output tokens", number(&throughput.output_tokens_per_second, "token/s")),
        ("all tokens", number(&throughput.total_tokens_per_second, "token/s")),
        ("requests", number(&throughput.requests_per_second, "request/s")),
        ("counted", tokens(report)),
        ("load", report.summary.duration.value.map(|s| plain(s, pick(SECONDS, s), &glyphs()))),
        ("offered", Some(load.offered.clone()).filter(|text| !text.is_empty())),
        ("planned", number(&load.planned_rate, "request/s")),
        ("sent", load.planned_rate.value.and_then(|_| number(&load.sent_rate, "request/s"))),
        ("in flight, mean", number(&load.mean_concurrency, "")),
        ("in flight, most", load.peak_concurrency.value.map(|most| format!("{most:.0}"))),
        ("goodput", goodput.and_then(|good| number(&good.rate, "good request/s"))),
        ("good requests", goodput.and_then(good_share)),
        ("steady part", Some(load.steady_rule.clone()).filter(|rule| !rule.is_empty())),
    ];
    facts.into_iter().filter_map(|(name, value)| Some((name.to_owned(), clean(&value?)))).collect()
}

fn good_share(goodput: &Goodput) -> Option<String> {
    let share = units::with_interval(
        goodput.share.value? * 100.0,
        goodput.share.ci95.map(|ci95| ci95 * 100.0),
        &glyphs(),
    );
    Some(format!("{share} % ({} of {})", goodput.good, goodput.judged))
}

/// The steps of a load of several.
fn steps(report: Report<'_>) -> Option<Table> {
    let steps = &report.summary.load.steps;
    let names = ["requests", "TTFT p50", "TTFT p99", "token/s", "request/s", "in flight"];
    let columns = [Column::words("step")].into_iter().chain(names.map(Column::numbers)).collect();
    let rows = steps.iter().map(step).collect();
    (!steps.is_empty()).then_some(Table { caption: "Steps of the load".to_owned(), columns, rows })
}

fn step(part: &Part) -> Row {
    let first = part.latency.time_to_first_token.as_ref();
    let time = |of: fn(&Distribution) -> f64| {
        first.map(of).map_or_else(|| glyphs().none.to_owned(), |at| plain(at, pick(SECONDS, at), &glyphs()))
    };
    let number = |figure: &Figure| {
        figure.value.map_or_else(
            || glyphs().none.to_owned(),
            |value| units::with_interval(value, figure.ci95, &glyphs()),
        )
    };
    let cells = [
        units::count(part.counts.total as u64),
        time(|times| times.p50),
        time(|times| times.p99),
        number(&part.output_tokens_per_second),
        number(&part.requests_per_second),
        number(&part.mean_concurrency),
    ];
    Row::new(clean(&part.name), cells)
}
