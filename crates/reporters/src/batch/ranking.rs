//! A ranking as files: `ranking.json`, `ranking.md` and `ranking.html`.
//!
//! Refuses to rank.

use std::fmt::Write;
use std::path::Path;

use ai_energy_core::ranking::{Ranked, Ranking};
use ai_energy_core::{Fault, FaultKind, Written};

use crate::comparison::safe_markdown;
use crate::files::{make_folder, write_whole};
use crate::html::{Block, Column, Level, Page, Row, Section, Table};
use crate::terminal::units::significant;

/// The rule, for the foot of every ranking.
pub(crate) const RULE: &str = "Stars by AI Energy Score's public rule: the range between the least and the greatest GPU energy of a \
class's models is cut into five equal bands; the band of least energy has five stars. An energy on an edge belongs to the better band.";

/// Headings of a ranking's columns.
pub(crate) const HEADINGS: [&str; 7] =
    ["rank", "stars", "class", "Wh per 1,000 queries (GPU)", "tokens per joule", "s per query", "CO2e, g"];

/// The cells below [`HEADINGS`].
pub(crate) fn cells(row: &Ranked) -> [String; 7] {
    let number = |value: Option<f64>| value.map_or("–".to_owned(), |value| significant(value, 3));
    let candidate = &row.candidate;
    [
        row.rank.map_or("–".to_owned(), |rank| rank.to_string()),
        row.stars.map_or("–".to_owned(), stars),
        if candidate.class.is_empty() { "–".to_owned() } else { candidate.class.clone() },
        number(candidate.wh_per_1000_queries),
        number(candidate.tokens_per_joule),
        number(candidate.seconds_per_query),
        number(candidate.co2_grams),
    ]
}

fn stars(stars: u8) -> String {
    let full = usize::from(stars.min(5));
    format!("{}{}", "★".repeat(full), "☆".repeat(5 - full))
}

/// The model with its reasoning state.
pub(crate) fn name(row: &Ranked) -> String {
    match row.candidate.reasoning_state.as_str() {
        "" => row.candidate.model.clone(),
        state => format!("{} ({state})", row.candidate.model),
    }
}

/// Why a row lacks something; empty where it lacks nothing.
pub(crate) fn remark(row: &Ranked) -> String {
    match (&row.candidate.error, &row.no_stars) {
        (error, _) if !error.is_empty() => error.clone(),
        (_, Some(why)) => why.clone(),
        (_, None) => String::new(),
    }
}

/// The range of each class in words.
pub(crate) fn bands(ranking: &Ranking) -> Vec<String> {
    let each = ranking.bands.iter().map(|band| {
        let class =
            if band.class.is_empty() { "all classes".to_owned() } else { format!("class {}", band.class) };
        format!(
            "{class}: {} to {} Wh per 1,000 queries, {} models",
            significant(band.least, 3),
            significant(band.greatest, 3),
            band.count
        )
    });
    each.collect()
}

/// The ranking as Markdown.
pub fn ranking_markdown(ranking: &Ranking) -> String {
    let mut text = String::from("# Ranking\n\n");
    let headings = HEADINGS[1..].join(" | ");
    // Writing to a String cannot fail.
    let _ = writeln!(
        text,
        "| rank | model | task | {headings} | |\n|---:|---|---|---|---|---:|---:|---:|---:|---|"
    );
    for row in &ranking.rows {
        let [rank, rest @ ..] = cells(row);
        let rest = rest.map(|cell| safe_markdown(&cell)).join(" | ");
        let (model, task, remark) = (name(row), &row.candidate.task, remark(row));
        let [model, task, remark] = [&model, task, &remark].map(|text| safe_markdown(text));
        let _ = writeln!(text, "| {rank} | {model} | {task} | {rest} | {remark} |");
    }
    if !ranking.bands.is_empty() {
        let _ = writeln!(text, "\n{}\n", safe_markdown(RULE));
        bands(ranking).iter().for_each(|band| {
            let _ = writeln!(text, "- {}", safe_markdown(band));
        });
    }
    text
}

fn page(ranking: &Ranking) -> Page {
    let mut columns = vec![Column::words("model"), Column::words("task")];
    columns.extend(HEADINGS.iter().enumerate().map(|(place, name)| {
        if place == 1 || place == 2 { Column::words(name) } else { Column::numbers(name) }
    }));
    columns.push(Column::words("remark"));
    let rows = ranking.rows.iter().map(|row| {
        let all = [row.candidate.task.clone()].into_iter().chain(cells(row)).chain([remark(row)]);
        let level = if row.candidate.error.is_empty() { Level::Plain } else { Level::Dim };
        Row { level, ..Row::new(name(row), all) }
    });
    let caption = "Models by the GPU energy of a query, least first, within task and class".to_owned();
    let mut blocks = vec![Block::Table(Table { caption, columns, rows: rows.collect() })];
    if !ranking.bands.is_empty() {
        blocks.push(Block::dim(RULE));
        blocks.extend(bands(ranking).into_iter().map(Block::dim));
    }
    Page {
        title: "Ranking".to_owned(),
        subtitle: vec![format!("{} models", ranking.rows.len())],
        banners: Vec::new(),
        sections: vec![Section::new("ranking", "Models", blocks)],
    }
}

/// Writes the three files into `dir`.
///
/// # Errors
/// A file cannot be written.
pub fn write_ranking(dir: &Path, ranking: &Ranking) -> Result<Vec<Written>, Fault> {
    make_folder(dir)?;
    let json = serde_json::to_vec_pretty(ranking).map_err(|error| {
        Fault::new(FaultKind::Internal, "ranking", format!("cannot be put into JSON: {error}"))
    })?;
    let files = [
        ("ranking.json", json),
        ("ranking.md", ranking_markdown(ranking).into_bytes()),
        ("ranking.html", page(ranking).render()?.into_bytes()),
    ];
    let mut written = Vec::new();
    for (name, bytes) in files {
        let path = dir.join(name);
        write_whole(&path, &bytes)?;
        written.push(Written::at(&path));
    }
    Ok(written)
}
