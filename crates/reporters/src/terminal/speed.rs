//! How long requests and tokens took, and how many came per second.

use ai_energy_core::summary::{Distribution, InterTokenBasis};
use ai_energy_core::{Figure, Provenance, Report, TokenCountSource};

use super::header::plural;
use super::page::{Page, Style};
use super::table::{Row, Table};
use super::text::Glyphs;
use super::units::{self, SECONDS, count, pick, plain};

/// Below this many observations the 99th percentile is hardly more than the largest one.
const ENOUGH_FOR_P99: usize = 100;

pub(super) fn draw(report: Report<'_>, page: &mut Page) {
    let latency = &report.summary.latency;
    let answer = latency.time_to_first_content.as_ref();
    // A model that does not think has its first token in the answer: one row says it all.
    let thinks = answer.is_some() && answer != latency.time_to_first_token.as_ref();
    let lines = [
        ("time to first token", latency.time_to_first_token.as_ref()),
        ("time to first answer", answer.filter(|_| thinks)),
        (between(report), latency.inter_token.as_ref()),
        ("per output token", latency.time_per_output_token.as_ref()),
        ("whole request", latency.end_to_end.as_ref()),
        ("waiting for room", latency.queueing.as_ref().filter(|queueing| queueing.max > 0.0)),
        ("client's own delay", latency.schedule_lag.as_ref()),
    ];
    let rows: Vec<Row> = lines
        .into_iter()
        .filter_map(|(label, distribution)| Some(row(label, distribution?, &page.glyphs)))
        .collect();
    if rows.is_empty() {
        page.paragraph(
            (Style::Heading, " SPEED  "),
            Style::Dim,
            "no request succeeded, so there is nothing to time",
        );
    } else {
        Table { heading: "SPEED", columns: vec!["mean", "p50", "p95", "p99"], rows }.draw(page);
    }
    draw_unseen(report, page);
    draw_throughput(report, page);
    draw_caution(report, page);
}

/// What lies between two moments: the summary splits the time before a chunk among its tokens where it knows how many.
pub(crate) fn between(report: Report<'_>) -> &'static str {
    match report.summary.load.inter_token_basis {
        InterTokenBasis::Counted | InterTokenBasis::Split => "between tokens",
        InterTokenBasis::OneAChunk | InterTokenBasis::Unseen => "between chunks",
    }
}

fn row(label: &str, distribution: &Distribution, glyphs: &Glyphs) -> Row {
    let scale = pick(SECONDS, distribution.p50);
    let mut mean = Figure::new(distribution.mean, "s", Provenance::Derived, "");
    mean.ci95 = distribution.mean_ci95;
    let value = |value: f64| {
        // A tail far beyond the median reads better in its own unit.
        let scale = if value >= 10_000.0 * scale.factor() { pick(SECONDS, value) } else { scale };
        plain(value, scale, glyphs)
    };
    Row {
        label: label.to_owned(),
        cells: vec![
            units::figure(&mean, SECONDS, scale, glyphs),
            value(distribution.p50),
            value(distribution.p95),
            value(distribution.p99),
        ],
        mark: String::new(),
        prose: String::new(),
        style: Style::Plain,
    }
}

/// Why the rows of the first token are missing.
fn draw_unseen(report: Report<'_>, page: &mut Page) {
    let latency = &report.summary.latency;
    if latency.end_to_end.is_some() && latency.time_to_first_token.is_none() {
        let text = "the first token cannot be seen without streaming";
        page.paragraph((Style::Plain, "   time to first token   "), Style::Dim, text);
    }
}

fn draw_throughput(report: Report<'_>, page: &mut Page) {
    let throughput = &report.summary.throughput;
    let rate = |figure: &Figure, unit: &str| {
        Some(format!("{} {unit}", units::with_interval(figure.value?, figure.ci95, &page.glyphs)))
    };
    let mut parts: Vec<String> = Vec::new();
    parts.extend(rate(&throughput.output_tokens_per_second, "output tok/s"));
    parts.extend(rate(&throughput.requests_per_second, "requests/s"));
    parts.extend(tokens(report));
    if let Some(seconds) = report.summary.duration.value {
        parts.push(format!("in {}", plain(seconds, pick(SECONDS, seconds), &page.glyphs)));
    }
    let separator = format!(" {} ", page.glyphs.dot);
    page.parts((Style::Plain, "   throughput   "), Style::Plain, &parts, &separator);
}

/// For example `12,742 tokens out, 8,511 in (server's count)`.
pub(crate) fn tokens(report: Report<'_>) -> Option<String> {
    let tokens = &report.summary.tokens;
    let out = tokens.completion.map(|out| format!("{} {} out", count(out), plural(out, "token")));
    let prompt = tokens.prompt.map(|prompt| format!("{} in", count(prompt)));
    let cached =
        tokens.cached_prompt.filter(|cached| *cached > 0).map(|cached| format!("{} cached", count(cached)));
    let counts: Vec<String> = [out, prompt, cached].into_iter().flatten().collect();
    if counts.is_empty() {
        return None;
    }
    let sources = &tokens.completion_sources;
    let word = |source: &TokenCountSource| match source {
        TokenCountSource::Server => "server's count",
        TokenCountSource::Tokenizer => "tokenizer's count",
        TokenCountSource::Chunks => "one a chunk assumed",
    };
    let words: Vec<String> = match sources.len() {
        1 => sources.keys().map(|source| word(source).to_owned()).collect(),
        _ => sources.iter().map(|(source, requests)| format!("{requests} by {}", word(source))).collect(),
    };
    let uncounted = (tokens.uncounted > 0).then(|| format!("{} requests uncounted", tokens.uncounted));
    // Where they differ, a warning says by how much.
    let agree = tokens.server_completion.is_some() && tokens.server_completion == tokens.completion;
    let its = if sources.len() == 1 && sources.contains_key(&TokenCountSource::Server) {
        "its"
    } else {
        "the server's"
    };
    let counters = agree.then(|| format!("{its} counters agree"));
    let basis: Vec<String> = words.into_iter().chain(uncounted).chain(counters).collect();
    Some(format!("{} ({})", counts.join(", "), basis.join(", ")))
}

/// What the percentiles of a short run are worth.
fn draw_caution(report: Report<'_>, page: &mut Page) {
    let observed = report.summary.latency.end_to_end.as_ref().map_or(0, |distribution| distribution.count);
    if (1..ENOUGH_FOR_P99).contains(&observed) {
        let requests = plural(observed as u64, "request");
        let text = format!(
            "with {observed} {requests} p99 is hardly more than the slowest one; 100 or more would tell"
        );
        page.paragraph((Style::Dim, "   note  "), Style::Dim, &text);
    }
}
