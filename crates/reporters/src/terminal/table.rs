//! A table whose last column may be prose: beside the figures where there is room, below them where there is none.
//!
//! Refuses to know what the figures are.

use super::page::{Page, Span, Style};
use super::text::{width_of, wrap};

/// Least room for prose beside the figures.
const LEAST_PROSE: usize = 20;
/// Columns between figures: this where it leaves room for prose beside them, else less.
const WIDE_GAP: usize = 3;
const NARROW_GAP: usize = 2;
/// Columns before and after the mark.
const MARK_GAP: usize = 2;
/// Indent of labels, one more than that of headings.
const INDENT: &str = "   ";

/// A row: label, cells, and what is to say about them.
pub(super) struct Row {
    pub(super) label: String,
    pub(super) cells: Vec<String>,
    /// A short word, aligned over the rows, for example how the figures are known.
    pub(super) mark: String,
    pub(super) prose: String,
    pub(super) style: Style,
}

/// A heading, column names and rows.
pub(super) struct Table {
    pub(super) heading: &'static str,
    pub(super) columns: Vec<&'static str>,
    pub(super) rows: Vec<Row>,
}

/// The widths of a table's parts.
struct Layout {
    label: usize,
    cells: Vec<usize>,
    gap: usize,
    mark: usize,
    /// Room for prose beside the figures; `None` puts it below.
    prose: Option<usize>,
}

impl Table {
    pub(super) fn draw(self, page: &mut Page) {
        let layout = self.layout(page.width);
        if layout.figures() > page.width {
            return self.draw_stacked(page);
        }
        let mut heading = vec![(Style::Heading, pad_right(&format!(" {}", self.heading), layout.label))];
        for (name, width) in self.columns.iter().zip(&layout.cells) {
            heading.push((Style::Dim, pad_left(name, width + layout.gap)));
        }
        page.line(heading);
        for row in &self.rows {
            draw_row(row, &layout, page);
        }
        if layout.prose.is_none() {
            for row in self.rows.iter().filter(|row| !row.prose.is_empty() || !row.mark.is_empty()) {
                let prefix = format!("{INDENT}{}: ", row.label);
                page.paragraph((Style::Dim, &prefix), Style::Dim, &joined(row));
            }
        }
    }

    fn layout(&self, width: usize) -> Layout {
        let widest = |texts: &mut dyn Iterator<Item = usize>| texts.max().unwrap_or(0);
        let label = widest(&mut self.rows.iter().map(|row| INDENT.len() + width_of(&row.label)));
        let cell = |column: usize| {
            let name = self.columns.get(column).map_or(0, |name| width_of(name));
            let cells = self.rows.iter().filter_map(|row| row.cells.get(column));
            widest(&mut cells.map(|cell| width_of(cell))).max(name)
        };
        let mark = widest(&mut self.rows.iter().map(|row| width_of(&row.mark)));
        let mut layout = Layout {
            label: label.max(self.heading.len() + 1),
            cells: (0..self.columns.len()).map(cell).collect(),
            gap: WIDE_GAP,
            mark,
            prose: None,
        };
        let bare = mark == 0 && self.rows.iter().all(|row| row.prose.is_empty());
        let needed = if bare { 0 } else { layout.mark_columns() + LEAST_PROSE };
        if layout.figures() + needed > width {
            layout.gap = NARROW_GAP;
        }
        layout.prose = (layout.figures() + needed <= width)
            .then(|| width.saturating_sub(layout.figures() + layout.mark_columns()));
        layout
    }

    /// The figures of a row below its label, for figures that do not fit side by side.
    fn draw_stacked(&self, page: &mut Page) {
        page.line(vec![(Style::Heading, format!(" {}", self.heading))]);
        for row in &self.rows {
            let about = joined(row);
            let gap = if about.is_empty() { "" } else { ": " };
            page.paragraph((Style::Plain, INDENT), row.style, &format!("{}{gap}{about}", row.label));
            let cells = self.columns.iter().zip(&row.cells);
            let cells: Vec<String> = cells.map(|(name, cell)| format!("{name} {cell}")).collect();
            page.parts((Style::Plain, "     "), row.style, &cells, "   ");
        }
    }
}

impl Layout {
    /// Columns that the mark takes.
    fn mark_columns(&self) -> usize {
        MARK_GAP + self.mark + MARK_GAP
    }

    /// Columns that label and figures take.
    fn figures(&self) -> usize {
        self.label + self.cells.iter().map(|width| width + self.gap).sum::<usize>()
    }
}

fn draw_row(row: &Row, layout: &Layout, page: &mut Page) {
    let mut spans: Vec<Span> = vec![(row.style, pad_right(&format!("{INDENT}{}", row.label), layout.label))];
    for (cell, width) in row.cells.iter().zip(&layout.cells) {
        spans.push((row.style, pad_left(cell, width + layout.gap)));
    }
    let Some(room) = layout.prose else {
        return page.line(spans);
    };
    spans.push((Style::Dim, format!("  {}  ", pad_right(&row.mark, layout.mark))));
    let indent = " ".repeat(layout.figures() + layout.mark_columns());
    let mut prose = wrap(&row.prose, room.max(1)).into_iter();
    spans.push((Style::Dim, prose.next().unwrap_or_default()));
    page.line(spans);
    for line in prose {
        page.line(vec![(Style::Plain, indent.clone()), (Style::Dim, line)]);
    }
}

fn joined(row: &Row) -> String {
    let parts = [row.mark.as_str(), row.prose.as_str()];
    parts.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join(", ")
}

fn pad_right(text: &str, width: usize) -> String {
    format!("{text}{}", " ".repeat(width.saturating_sub(width_of(text))))
}

fn pad_left(text: &str, width: usize) -> String {
    format!("{}{text}", " ".repeat(width.saturating_sub(width_of(text))))
}
