//! What failed, what is not known and why, and what to know before trusting the figures.

use ai_energy_core::summary::Verdict;
use ai_energy_core::{ErrorClass, Report};

use super::clean;
use crate::html::page::{Block, Cell, Column, Level, Notice, Row, Table};
use crate::terminal::notes::{class_word, first_message, notes, unknown, verdict};
use crate::terminal::page::Style;
use crate::terminal::units::count;

pub(super) fn blocks(report: Report<'_>) -> Vec<Block> {
    let notes = notes(report, &clean);
    let (style, word) = verdict(report, notes.len());
    let level = match style {
        Style::Bad => Level::Bad,
        Style::Good => Level::Good,
        _ => Level::Notice,
    };
    let verdict = Notice {
        level,
        text: format!("Are the figures valid? {}.", sentence(&clean(&word))),
        remedy: String::new(),
    };
    let remarks = notes.into_iter().map(|(text, remedy)| Notice { level: Level::Notice, text, remedy });
    let unknown = unknown(report).into_iter().map(|entry| Notice {
        level: Level::Plain,
        text: format!("Not known: {}: {}", entry.what.join(", "), clean(&entry.why)),
        remedy: clean(&entry.remedies.join("; ")),
    });
    let mut blocks =
        vec![Block::Notices { notices: [verdict].into_iter().chain(remarks).chain(unknown).collect() }];
    blocks.extend(errors(report).map(Block::Table));
    let title = format!("All {} checks of validity", report.summary.validity.checks.len());
    blocks.extend(checks(report).map(|table| Block::Fold { title, blocks: vec![Block::Table(table)] }));
    blocks
}

/// The text with a capital.
fn sentence(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map(|first| first.to_uppercase().chain(letters).collect()).unwrap_or_default()
}

/// Requests that did not succeed, by class.
fn errors(report: Report<'_>) -> Option<Table> {
    let counts = &report.summary.counts;
    let rows: Vec<Row> = counts
        .errors
        .iter()
        .map(|(class, number)| {
            let message = first_message(report, *class).filter(|_| *class != ErrorClass::Cancelled);
            Row::new(class_word(*class), [count(*number as u64), clean(message.unwrap_or_default())])
        })
        .collect();
    let columns = vec![Column::words("error"), Column::numbers("requests"), Column::words("first message")];
    let caption = format!(
        "{} of {} requests succeeded, {} failed, {} were cancelled by the end of the run",
        counts.successful, counts.total, counts.failed, counts.cancelled
    );
    (!rows.is_empty()).then_some(Table { caption, columns, rows })
}

fn checks(report: Report<'_>) -> Option<Table> {
    let checks = &report.summary.validity.checks;
    let rows = checks.iter().map(|check| {
        let level = match check.verdict {
            Verdict::Ok => Level::Good,
            Verdict::Warning => Level::Notice,
            Verdict::Invalid => Level::Bad,
            Verdict::Unknown => Level::Dim,
        };
        let said = [&check.detail, &check.remedy].map(|text| clean(text));
        let said = said.into_iter().filter(|text| !text.is_empty()).collect::<Vec<_>>().join(" → ");
        Row::new(clean(&check.name), [Cell::from(check.verdict.word()).with(level), Cell::from(said)])
    });
    let rows: Vec<Row> = rows.collect();
    let columns = ["check", "found", "seen"].map(Column::words).into();
    let caption = "What was looked at, with what was seen".to_owned();
    (!rows.is_empty()).then_some(Table { caption, columns, rows })
}
