//! A comparison for people: what is compared, why it may not be comparable, a table a side, what differs, conditions.
//!
//! Refuses to judge a difference.

use ai_energy_core::comparison::{Comparison, RepeatedFigure, Repeats};

use super::TerminalOptions;
use super::page::{Page, Style};
use super::table::{Row, Table};
use crate::comparison::{Outcome, cells, quantity};

/// Rows of what differs that are shown; the JSON holds all.
const MOST_DIFFERING: usize = 20;

/// The comparison as text.
pub fn render_comparison(comparison: &Comparison, options: &TerminalOptions) -> String {
    let mut page = options.page();
    sides(comparison, &mut page);
    warnings(comparison, &mut page);
    for place in (0..comparison.sides.len()).filter(|place| *place != comparison.baseline) {
        tables(comparison, place, &mut page);
    }
    differing(comparison, &mut page);
    gates(comparison, &mut page);
    page.blank();
    for note in &comparison.notes {
        let note = page.clean(note);
        page.paragraph((Style::Dim, "   "), Style::Dim, &note);
    }
    page.finish()
}

fn sides(comparison: &Comparison, page: &mut Page) {
    for (place, side) in comparison.sides.iter().enumerate() {
        let role = if place == comparison.baseline { " (baseline)" } else { "" };
        let repeats =
            if side.runs.len() > 1 { format!("{} repeats", side.runs.len()) } else { String::new() };
        let about: Vec<String> = [side.model.clone(), side.server.clone(), Some(repeats)]
            .into_iter()
            .flatten()
            .filter(|part| !part.is_empty())
            .collect();
        let text = page.clean(&format!("{}{role}  {}", side.name, about.join(" · ")));
        page.paragraph((Style::Plain, " "), Style::Plain, &text);
    }
}

fn warnings(comparison: &Comparison, page: &mut Page) {
    if comparison.warnings.is_empty() {
        return;
    }
    page.blank();
    page.line(vec![(Style::Notice, " BEFORE COMPARING".to_owned())]);
    for warning in &comparison.warnings {
        let mark = format!("   {} ", page.glyphs.warn);
        let text = page.clean(&warning.message);
        page.paragraph((Style::Notice, &mark), Style::Plain, &text);
        if !warning.remedy.is_empty() {
            let arrow = format!("     {} ", page.glyphs.arrow);
            let text = page.clean(&warning.remedy);
            page.paragraph((Style::Dim, &arrow), Style::Dim, &text);
        }
    }
}

/// The headings of groups; a group without one here is put under the last.
const GROUPS: [(&str, &str); 5] = [
    ("energy", "ENERGY"),
    ("latency", "LATENCY"),
    ("throughput", "THROUGHPUT"),
    ("carbon", "CARBON"),
    ("work", "WORK"),
];

fn tables(comparison: &Comparison, place: usize, page: &mut Page) {
    let (base, other) = (&comparison.sides[comparison.baseline].name, &comparison.sides[place].name);
    page.blank();
    let heading = page.clean(&format!("{other} AGAINST {base}"));
    page.line(vec![(Style::Heading, format!(" {heading}"))]);
    for (group, heading) in GROUPS {
        let rows: Vec<Row> = comparison
            .figures
            .iter()
            .filter(|figure| figure.group == group)
            .filter(|figure| [comparison.baseline, place].iter().any(|at| figure.values[*at].value.is_some()))
            .map(|figure| {
                let found = cells(figure, comparison.baseline, place, &page.glyphs);
                Row {
                    label: figure.label.clone(),
                    cells: vec![found.base, found.other, found.absolute, found.relative, found.interval],
                    mark: found.outcome.map_or("", Outcome::word).to_owned(),
                    prose: String::new(),
                    style: style(found.outcome),
                }
            })
            .collect();
        if !rows.is_empty() {
            let columns = vec!["baseline", "this", "difference", "%", "95 % interval"];
            Table { heading, columns, rows }.draw(page);
        }
    }
}

fn style(outcome: Option<Outcome>) -> Style {
    match outcome {
        Some(Outcome::Better) => Style::Good,
        Some(Outcome::Worse) => Style::Bad,
        Some(Outcome::Other) => Style::Notice,
        Some(Outcome::Same | Outcome::Unknown) | None => Style::Plain,
    }
}

fn differing(comparison: &Comparison, page: &mut Page) {
    if comparison.differing.is_empty() {
        return;
    }
    page.blank();
    page.line(vec![(Style::Heading, " WHAT DIFFERS".to_owned())]);
    for differing in comparison.differing.iter().take(MOST_DIFFERING) {
        let none = page.glyphs.none;
        let values: Vec<String> =
            differing.values.iter().map(|value| value.clone().unwrap_or_else(|| none.to_owned())).collect();
        let text =
            page.clean(&format!("{}: {}", differing.key, values.join(&format!(" {} ", page.glyphs.arrow))));
        page.paragraph((Style::Plain, "   "), Style::Plain, &text);
    }
    let more = comparison.differing.len().saturating_sub(MOST_DIFFERING);
    if more > 0 {
        page.line(vec![(Style::Dim, format!("   and {more} more, all in the JSON"))]);
    }
}

fn gates(comparison: &Comparison, page: &mut Page) {
    if comparison.gates.is_empty() {
        return;
    }
    page.blank();
    page.line(vec![(Style::Heading, " CONDITIONS".to_owned())]);
    for gate in &comparison.gates {
        let (style, mark) =
            if gate.failed { (Style::Bad, page.glyphs.cross) } else { (Style::Good, page.glyphs.check) };
        let prefix = format!("   {mark} ");
        let word = if gate.failed { "failed" } else { "passed" };
        let text = page.clean(&format!("{} {word} for {}: {}", gate.condition, gate.side, gate.detail));
        page.paragraph((style, &prefix), Style::Plain, &text);
    }
}

/// Figures of repeats that are shown; the JSON holds all.
const REPEATED: [&str; 11] = [
    "gpu_energy_per_output_token",
    "gpu_energy_per_request",
    "energy_per_output_token",
    "energy_per_request",
    "wh_per_1000_queries",
    "ttft_p50",
    "ttft_p99",
    "itl_mean",
    "e2e_mean",
    "output_tokens_per_second",
    "co2_per_request",
];

/// The spread over repeats as text.
pub fn render_repeats(repeats: &Repeats, options: &TerminalOptions) -> String {
    let mut page = options.page();
    let good = repeats.runs.iter().filter(|run| run.problem.is_none()).count();
    let name = page.clean(&repeats.name);
    page.line(vec![(Style::Heading, format!(" {name}: {good} of {} repeats well", repeats.runs.len()))]);
    for run in &repeats.runs {
        if let Some(problem) = &run.problem {
            let prefix = format!("   {} ", page.glyphs.cross);
            let text = page.clean(&format!("repeat {}: {problem} ({})", run.order, run.folder));
            page.paragraph((Style::Bad, &prefix), Style::Plain, &text);
        }
    }
    let rows: Vec<Row> = repeats
        .figures
        .iter()
        .filter(|figure| REPEATED.contains(&figure.key.as_str()))
        .map(|figure| repeated(figure, &page))
        .collect();
    if !rows.is_empty() {
        let columns = vec!["mean", "sd", "sd/mean", "of one run"];
        Table { heading: "SPREAD", columns, rows }.draw(&mut page);
    }
    page.finish()
}

fn repeated(figure: &RepeatedFigure, page: &Page) -> Row {
    let glyphs = &page.glyphs;
    let plain = |value: Option<f64>| {
        let bare = ai_energy_core::Figure { value, ci95: None, ..figure.mean.clone() };
        quantity(&bare, glyphs)
    };
    let relative = figure.coefficient_of_variation;
    let single = match figure.single_run_ci95 {
        Some(_) => format!("{} {}", glyphs.plus_minus, plain(figure.single_run_ci95)),
        None => glyphs.none.to_owned(),
    };
    // Above 1 the runs differ by more than one of them can know.
    let more = figure.spread_over_budget.is_some_and(|ratio| ratio > 1.0);
    Row {
        label: format!("{}: {}", figure.group, figure.label),
        cells: vec![
            quantity(&figure.mean, glyphs),
            plain(figure.standard_deviation),
            relative.map_or(glyphs.none.to_owned(), |share| format!("{:.2} %", share * 100.0)),
            single,
        ],
        mark: if more { "runs differ by more".to_owned() } else { String::new() },
        prose: String::new(),
        style: Style::Plain,
    }
}
