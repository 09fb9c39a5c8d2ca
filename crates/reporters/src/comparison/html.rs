//! A comparison as one page of HTML.
//!
//! Refuses to judge a difference.

use ai_energy_core::Fault;
use ai_energy_core::comparison::Comparison;

use super::{Outcome, cells};
use crate::html::{Block, Cell, Column, Level, Notice, Page, Row, Section, Table};
use crate::terminal::text::Glyphs;

/// The comparison as the text of one file.
///
/// # Errors
/// The page cannot be drawn, which is a fault of this program.
pub fn comparison_html(comparison: &Comparison) -> Result<String, Fault> {
    let base = &comparison.sides[comparison.baseline].name;
    let others = comparison.sides.iter().enumerate().filter(|(place, _)| *place != comparison.baseline);
    let mut sections = vec![Section::new("sides", "What is compared", vec![sides(comparison)])];
    for (place, side) in others {
        let id = format!("against-{place}");
        let title = format!("{} against {base}", side.name);
        sections.push(Section::new(&id, &title, vec![Block::Table(table(comparison, place))]));
    }
    if !comparison.gates.is_empty() {
        sections.push(Section::new("conditions", "Conditions", vec![gates(comparison)]));
    }
    if !comparison.differing.is_empty() {
        sections.push(Section::new("differs", "What differs", vec![differing(comparison)]));
    }
    if !comparison.notes.is_empty() {
        let notes = comparison.notes.iter().map(|note| Block::dim(note.clone())).collect();
        sections.push(Section::new("method", "How the intervals were made", notes));
    }
    let notice =
        |level, text: &str, remedy: &str| Notice { level, text: text.to_owned(), remedy: remedy.to_owned() };
    let banners =
        comparison.warnings.iter().map(|warning| notice(Level::Notice, &warning.message, &warning.remedy));
    let subtitle = comparison.sides.iter().map(|side| side.name.clone()).collect();
    Page { title: "Comparison".to_owned(), subtitle, banners: banners.collect(), sections }.render()
}

fn words(names: &[&str]) -> Vec<Column> {
    names.iter().map(|name| Column::words(name)).collect()
}

fn sides(comparison: &Comparison) -> Block {
    let rows = comparison.sides.iter().enumerate().map(|(place, side)| {
        let role = if place == comparison.baseline { "baseline" } else { "" };
        let text = |value: &Option<String>| value.clone().unwrap_or_else(|| "–".to_owned());
        let cells = [role.to_owned(), side.runs.len().to_string(), text(&side.model), text(&side.server)];
        Row::new(side.name.clone(), cells)
    });
    let columns = words(&["side", "", "runs", "model", "server"]);
    Block::Table(Table { caption: "Sides".to_owned(), columns, rows: rows.collect() })
}

fn table(comparison: &Comparison, place: usize) -> Table {
    let glyphs = Glyphs::new(true);
    let rows = comparison.figures.iter().map(|figure| {
        let found = cells(figure, comparison.baseline, place, &glyphs);
        let level = match found.outcome {
            Some(Outcome::Better) => Level::Good,
            Some(Outcome::Worse) => Level::Bad,
            Some(Outcome::Other) => Level::Notice,
            Some(Outcome::Same | Outcome::Unknown) | None => Level::Dim,
        };
        let outcome = Cell::from(found.outcome.map_or("", Outcome::word)).with(level);
        let plain = [found.base, found.other, found.absolute, found.relative, found.interval].map(Cell::from);
        Row::new(format!("{}: {}", figure.group, figure.label), plain.into_iter().chain([outcome]))
    });
    let name = |place: usize| comparison.sides[place].name.clone();
    let (base, other) = (name(comparison.baseline), name(place));
    let mut columns = vec![Column::words("figure")];
    columns.extend([base.as_str(), other.as_str(), "difference", "%", "95 % interval"].map(Column::numbers));
    columns.push(Column::words("outcome"));
    Table { caption: format!("{other} less {base}"), columns, rows: rows.collect() }
}

fn gates(comparison: &Comparison) -> Block {
    let rows = comparison.gates.iter().map(|gate| {
        let (word, level) = if gate.failed { ("failed", Level::Bad) } else { ("passed", Level::Good) };
        let cells =
            [Cell::from(gate.side.clone()), Cell::from(word).with(level), Cell::from(gate.detail.clone())];
        Row::new(gate.condition.clone(), cells)
    });
    let columns = words(&["condition", "side", "outcome", "detail"]);
    Block::Table(Table {
        caption: "Conditions that make the comparison fail".to_owned(),
        columns,
        rows: rows.collect(),
    })
}

fn differing(comparison: &Comparison) -> Block {
    let rows = comparison.differing.iter().map(|differing| {
        let values = differing.values.iter().map(|value| value.clone().unwrap_or_else(|| "–".to_owned()));
        Row::new(differing.key.clone(), values)
    });
    let names: Vec<&str> = comparison.sides.iter().map(|side| side.name.as_str()).collect();
    let columns = words(&[&["setting"], names.as_slice()].concat());
    Block::Table(Table {
        caption: "Settings and facts of the machine".to_owned(),
        columns,
        rows: rows.collect(),
    })
}
