//! The client's health on the page: whether the latencies are the server's alone, by which signs, and what measuring cost.
//!
//! Refuses to judge: verdict, thresholds and words are the summary's.

use ai_energy_core::summary::{ClientBound, Lateness, Sign};
use ai_energy_core::{Figure, Report};

use super::{clean, glyphs};
use crate::html::page::{Block, Cell, Column, Level, Notice, Row, Table};
use crate::terminal::health::used;
use crate::terminal::units::{SECONDS, count, pick, plain, significant};

pub(super) fn blocks(report: Report<'_>) -> Vec<Block> {
    let health = &report.summary.health;
    let facts = used(health, &glyphs());
    if health.client_bound == ClientBound::Unknown && facts.is_empty() {
        return Vec::new();
    }
    let (level, text) = match health.client_bound {
        ClientBound::Yes => {
            (Level::Bad, "Client-bound: yes. The latencies are the client's as well as the server's.")
        }
        ClientBound::Maybe => {
            (Level::Notice, "Client-bound: maybe. The latencies may be the client's as well as the server's.")
        }
        ClientBound::No => {
            (Level::Good, "Client-bound: no. The latencies are the server's and the network's.")
        }
        ClientBound::Unknown => {
            (Level::Plain, "Client-bound: not known. Nothing was observed that could tell.")
        }
    };
    let verdict = Notice { level, text: text.to_owned(), remedy: clean(&health.reasons.join("; ")) };
    let mut blocks = vec![Block::Notices { notices: vec![verdict] }];
    blocks.extend(signs(&health.signs).map(Block::Table));
    blocks.push(Block::dim(clean(&format!("Thresholds: {}.", health.thresholds))));
    let delays = [
        ("from being due to being sent", &health.schedule_lag),
        ("making a connection", &health.connecting),
        ("client's own delay before a request", &health.own_delay),
        ("event loop", &health.event_loop_delay),
    ];
    blocks.extend(lateness(&delays).map(Block::Table));
    if !facts.is_empty() {
        blocks.push(Block::dim(clean(&format!("Used: {}.", facts.join(", ")))));
    }
    blocks
}

/// Each sign with what it was held against.
fn signs(signs: &[Sign]) -> Option<Table> {
    let level = |bound: ClientBound| match bound {
        ClientBound::Yes => Level::Bad,
        ClientBound::Maybe => Level::Notice,
        ClientBound::No => Level::Good,
        ClientBound::Unknown => Level::Dim,
    };
    let rows = signs.iter().map(|sign| {
        let found = Cell::from(sign.verdict.word()).with(level(sign.verdict));
        let [maybe, yes] =
            [sign.maybe_from, sign.yes_from].map(|limit| limit.map(|limit| amount(limit, &sign.value.unit)));
        let seen = sign.value.value.map(|value| amount(value, &sign.value.unit));
        let numbers = [seen, maybe, yes].map(|cell| Cell::from(cell.unwrap_or_else(|| "–".to_owned())));
        let [seen, maybe, yes] = numbers;
        Row::new(clean(&sign.name.replace('_', " ")), [seen, maybe, yes, found])
    });
    let rows: Vec<Row> = rows.collect();
    let numbers = ["seen", "may limit from", "limits from"].map(Column::numbers);
    let columns =
        [Column::words("sign")].into_iter().chain(numbers).chain([Column::words("limits")]).collect();
    let caption = "Signs of a client that limits, and from which value on they count".to_owned();
    (!rows.is_empty()).then_some(Table { caption, columns, rows })
}

/// A value of a sign in its unit.
fn amount(value: f64, unit: &str) -> String {
    match unit {
        "s" => time(value),
        "" | "1" => significant(value, 3),
        unit => format!("{} {}", significant(value, 3), clean(unit)),
    }
}

fn time(seconds: f64) -> String {
    plain(seconds, pick(SECONDS, seconds), &glyphs())
}

/// Delays by what caused them.
fn lateness(delays: &[(&str, &Lateness)]) -> Option<Table> {
    let cell = |figure: &Figure| figure.value.map_or_else(|| "–".to_owned(), time);
    let rows = delays.iter().filter(|(_, late)| late.count > 0).map(|(name, late)| {
        Row::new(*name, [cell(&late.p50), cell(&late.p99), cell(&late.max), count(late.count)])
    });
    let rows: Vec<Row> = rows.collect();
    let numbers = ["p50", "p99", "max", "values"].map(Column::numbers);
    let columns = [Column::words("delay")].into_iter().chain(numbers).collect();
    let caption = "What the client itself added before a request left".to_owned();
    (!rows.is_empty()).then_some(Table { caption, columns, rows })
}
