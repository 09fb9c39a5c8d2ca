//! A comparison as Markdown, for pull requests and papers.
//!
//! Refuses raw HTML and anything that a name from elsewhere could turn into markup.

use std::fmt::Write;

use ai_energy_core::comparison::Comparison;

use super::cells;
use crate::terminal::text::Glyphs;

/// The comparison as Markdown tables.
pub fn comparison_markdown(comparison: &Comparison) -> String {
    let glyphs = Glyphs::new(true);
    let mut text = String::from("# Comparison\n\n");
    sides(comparison, &mut text);
    warnings(comparison, &mut text);
    for place in (0..comparison.sides.len()).filter(|place| *place != comparison.baseline) {
        table(comparison, place, &glyphs, &mut text);
    }
    differing(comparison, &mut text);
    gates(comparison, &mut text);
    if !comparison.notes.is_empty() {
        text.push_str("\n## How the intervals were made\n\n");
        comparison.notes.iter().for_each(|note| line(&mut text, &format!("- {}", safe(note))));
    }
    text
}

fn line(text: &mut String, words: &str) {
    // Writing to a String cannot fail.
    let _ = writeln!(text, "{words}");
}

/// Text that is no markup: signs that mean something get a backslash, line ends become spaces.
pub(crate) fn safe(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '\\' | '|' | '`' | '*' | '_' | '[' | ']' | '<' | '>' | '#' | '~' | '!' | '&' => {
                safe.push('\\');
                safe.push(letter);
            }
            letter if letter.is_control() => safe.push(' '),
            letter => safe.push(letter),
        }
    }
    safe
}

fn sides(comparison: &Comparison, text: &mut String) {
    line(text, "| side | runs | model | server |\n|---|---|---|---|");
    for (place, side) in comparison.sides.iter().enumerate() {
        let role = if place == comparison.baseline { " (baseline)" } else { "" };
        let runs =
            if side.runs.len() == 1 { side.runs[0].clone() } else { format!("{} repeats", side.runs.len()) };
        let or_none = |value: &Option<String>| value.as_deref().map_or("–".to_owned(), safe);
        line(
            text,
            &format!(
                "| {}{role} | {} | {} | {} |",
                safe(&side.name),
                safe(&runs),
                or_none(&side.model),
                or_none(&side.server)
            ),
        );
    }
}

fn warnings(comparison: &Comparison, text: &mut String) {
    if comparison.warnings.is_empty() {
        return;
    }
    text.push_str("\n## Before comparing\n\n");
    for warning in &comparison.warnings {
        line(text, &format!("- **{}** {}", safe(&warning.message), safe(&warning.remedy)));
    }
}

fn table(comparison: &Comparison, place: usize, glyphs: &Glyphs, text: &mut String) {
    let name = |place: usize| safe(&comparison.sides[place].name);
    let (base, other) = (name(comparison.baseline), name(place));
    line(text, &format!("\n## {other} against {base}\n"));
    line(
        text,
        &format!(
            "| figure | {base} | {other} | difference | % | 95 % interval | |\n|---|---:|---:|---:|---:|---:|---|"
        ),
    );
    for figure in &comparison.figures {
        let row = cells(figure, comparison.baseline, place, glyphs);
        let outcome = row.outcome.map_or("", |outcome| outcome.word());
        let cells = [&row.base, &row.other, &row.absolute, &row.relative, &row.interval]
            .map(|cell| safe(cell))
            .join(" | ");
        line(text, &format!("| {}: {} | {cells} | {outcome} |", safe(&figure.group), safe(&figure.label)));
    }
}

fn differing(comparison: &Comparison, text: &mut String) {
    if comparison.differing.is_empty() {
        return;
    }
    let names: Vec<String> = comparison.sides.iter().map(|side| safe(&side.name)).collect();
    line(
        text,
        &format!(
            "\n## What differs\n\n| setting | {} |\n|---|{}",
            names.join(" | "),
            "---|".repeat(names.len())
        ),
    );
    for differing in &comparison.differing {
        let values: Vec<String> =
            differing.values.iter().map(|value| value.as_deref().map_or("–".to_owned(), safe)).collect();
        line(text, &format!("| {} | {} |", safe(&differing.key), values.join(" | ")));
    }
}

fn gates(comparison: &Comparison, text: &mut String) {
    if comparison.gates.is_empty() {
        return;
    }
    text.push_str("\n## Conditions\n\n| condition | side | outcome | |\n|---|---|---|---|\n");
    for gate in &comparison.gates {
        let outcome = if gate.failed { "**failed**" } else { "passed" };
        line(
            text,
            &format!(
                "| {} | {} | {outcome} | {} |",
                safe(&gate.condition),
                safe(&gate.side),
                safe(&gate.detail)
            ),
        );
    }
}
