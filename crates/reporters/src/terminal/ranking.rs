//! A ranking for people.
//!
//! Refuses to rank.

use ai_energy_core::ranking::Ranking;

use super::TerminalOptions;
use super::page::Style;
use super::table::{Row, Table};
use crate::batch::{
    RANKING_HEADINGS, RANKING_RULE, ranking_bands, ranking_cells, ranking_name, ranking_remark,
};

/// The ranking as text.
pub fn render_ranking(ranking: &Ranking, options: &TerminalOptions) -> String {
    let mut page = options.page();
    let unicode = options.unicode;
    let rows: Vec<Row> = ranking
        .rows
        .iter()
        .map(|row| {
            let mut cells = ranking_cells(row).to_vec();
            if !unicode {
                cells[1] = row.stars.map_or("-".to_owned(), |stars| format!("{stars} of 5"));
            }
            Row {
                label: page.clean(&ranking_name(row)),
                cells: cells.iter().map(|cell| page.clean(cell)).collect(),
                mark: String::new(),
                prose: page.clean(&ranking_remark(row)),
                style: if row.candidate.error.is_empty() { Style::Plain } else { Style::Dim },
            }
        })
        .collect();
    let mut columns = RANKING_HEADINGS.to_vec();
    // What a terminal has room for.
    columns[3..].copy_from_slice(&["Wh/1000", "tok/J", "s", "g CO2e"]);
    Table { heading: "RANKING", columns, rows }.draw(&mut page);
    if !ranking.bands.is_empty() {
        page.blank();
        page.paragraph((Style::Dim, "   "), Style::Dim, RANKING_RULE);
        for band in ranking_bands(ranking) {
            let band = page.clean(&band);
            page.paragraph((Style::Dim, "   "), Style::Dim, &band);
        }
    }
    page.finish()
}
