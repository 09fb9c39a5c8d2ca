//! What a page is made of, and the template that draws it.
//!
//! Refuses to know any figure. Texts are escaped by the template engine; no function here takes markup.

use ai_energy_core::{Fault, FaultKind};
use minijinja::{Environment, context};
use serde::Serialize;

use super::chart::Chart;

/// The template's name; its ending makes the engine escape every value.
const TEMPLATE: &str = "page.html";

/// How a text or a number is to be taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// As it stands.
    #[default]
    Plain,
    /// As it should be.
    Good,
    /// Something to know.
    Notice,
    /// Wrong, or worthless.
    Bad,
    /// Of less weight than its neighbours.
    Dim,
}

/// A remark in a box.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Notice {
    /// How bad it is.
    pub level: Level,
    /// What is the matter.
    pub text: String,
    /// What to do; empty where there is nothing to do.
    pub remedy: String,
}

/// A headline figure.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
pub struct Card {
    /// What it is, for example `energy per output token`.
    pub label: String,
    /// Its value with unit and interval, for example `201 ± 7 mJ`.
    pub value: String,
    /// How it is known, for example `measured`; empty for none.
    pub mark: String,
    /// Colour of the mark.
    pub level: Level,
    /// Where it comes from, or what to know about it.
    pub note: String,
}

/// A column of a table.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Column {
    /// Its heading.
    pub name: String,
    /// `true` for numbers, which stand to the right.
    pub numeric: bool,
}

impl Column {
    /// A column of numbers.
    pub fn numbers(name: &str) -> Self {
        Self { name: name.to_owned(), numeric: true }
    }

    /// A column of words.
    pub fn words(name: &str) -> Self {
        Self { name: name.to_owned(), numeric: false }
    }
}

/// A cell of a table.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
pub struct Cell {
    /// What stands in it.
    pub text: String,
    /// Colour and weight.
    pub level: Level,
    /// Address that the text leads to, relative to the page; `None` for none.
    pub link: Option<String>,
}

impl Cell {
    /// The same cell in another colour.
    #[must_use]
    pub fn with(mut self, level: Level) -> Self {
        self.level = level;
        self
    }

    /// The same cell as a link to a file beside or below the page.
    #[must_use]
    pub fn linked(mut self, address: impl Into<String>) -> Self {
        self.link = Some(address.into());
        self
    }
}

impl<T: Into<String>> From<T> for Cell {
    fn from(text: T) -> Self {
        Self { text: text.into(), ..Self::default() }
    }
}

/// A row of a table; its first cell heads it.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
pub struct Row {
    /// What the row is about.
    pub head: Cell,
    /// The other cells, one a column after the first.
    pub cells: Vec<Cell>,
    /// Colour of the whole row.
    pub level: Level,
}

impl Row {
    /// A row of plain cells.
    pub fn new<C: Into<Cell>>(head: impl Into<Cell>, cells: impl IntoIterator<Item = C>) -> Self {
        Self {
            head: head.into(),
            cells: cells.into_iter().map(Into::into).collect(),
            level: Level::default(),
        }
    }
}

/// A table. The first column holds the rows' heads.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
pub struct Table {
    /// What it shows; read out by screen readers and printed above.
    pub caption: String,
    /// All columns, that of the heads included.
    pub columns: Vec<Column>,
    /// The rows.
    pub rows: Vec<Row>,
}

/// A part of a section.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub enum Block {
    /// A paragraph.
    Text {
        /// What it says.
        text: String,
        /// How it is to be taken.
        level: Level,
    },
    /// Remarks in boxes.
    Notices {
        /// The remarks.
        notices: Vec<Notice>,
    },
    /// Headline figures beside each other.
    Cards {
        /// The figures.
        cards: Vec<Card>,
    },
    /// A table.
    Table(Table),
    /// Names with their values.
    Facts {
        /// Name and value.
        facts: Vec<(String, String)>,
    },
    /// A chart.
    Chart(Chart),
    /// Something to copy, with a button that does.
    Code {
        /// What it is.
        label: String,
        /// The text itself.
        text: String,
    },
    /// Blocks that are folded away until somebody wants them; open on paper.
    Fold {
        /// What is within.
        title: String,
        /// The blocks.
        blocks: Vec<Block>,
    },
}

impl Block {
    /// A plain paragraph.
    pub fn text(text: impl Into<String>) -> Self {
        Self::Text { text: text.into(), level: Level::Plain }
    }

    /// A paragraph of less weight.
    pub fn dim(text: impl Into<String>) -> Self {
        Self::Text { text: text.into(), level: Level::Dim }
    }
}

/// A part of a page with a heading.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Section {
    /// Its name in addresses, for example `energy`; letters and hyphens.
    pub id: String,
    /// Its heading.
    pub title: String,
    /// What is in it.
    pub blocks: Vec<Block>,
}

impl Section {
    /// A section of these blocks.
    pub fn new(id: &str, title: &str, blocks: Vec<Block>) -> Self {
        Self { id: id.to_owned(), title: title.to_owned(), blocks }
    }
}

/// A page.
#[derive(Debug, Clone, PartialEq, Default, Serialize)]
pub struct Page {
    /// What it is about; also the window's title.
    pub title: String,
    /// Below the title, parted by dots.
    pub subtitle: Vec<String>,
    /// What makes the page partial or worthless; stands above everything else.
    pub banners: Vec<Notice>,
    /// The sections by their order.
    pub sections: Vec<Section>,
}

impl Page {
    /// The page as the text of one file.
    ///
    /// # Errors
    /// The template cannot be drawn, which is a fault of this program.
    pub fn render(&self) -> Result<String, Fault> {
        self.draw().map_err(|error| {
            Fault::new(FaultKind::Internal, "HTML page", format!("cannot be drawn: {error:#}"))
        })
    }

    fn draw(&self) -> Result<String, minijinja::Error> {
        let mut templates = Environment::new();
        templates.set_trim_blocks(true);
        templates.set_lstrip_blocks(true);
        templates.add_template(TEMPLATE, include_str!("page.html"))?;
        templates.get_template(TEMPLATE)?.render(context! {
            page => self,
            style => include_str!("style.css"),
            script => include_str!("page.js"),
            generator => concat!("ai-energy-benchmark ", env!("CARGO_PKG_VERSION")),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOSTILE: &str = "<script>alert('x')</script> & \"quoted\"";

    fn hostile() -> String {
        HOSTILE.to_owned()
    }

    #[test]
    fn no_text_becomes_markup_wherever_it_stands() {
        let notice = Notice { level: Level::Bad, text: hostile(), remedy: hostile() };
        let card =
            Card { label: hostile(), value: hostile(), mark: hostile(), level: Level::Good, note: hostile() };
        let table = Table {
            caption: hostile(),
            columns: vec![Column::words(HOSTILE), Column::numbers(HOSTILE)],
            rows: vec![Row::new(HOSTILE, [Cell::from(HOSTILE).linked(HOSTILE)])],
        };
        let blocks = vec![
            Block::text(HOSTILE),
            Block::Notices { notices: vec![notice.clone()] },
            Block::Cards { cards: vec![card] },
            Block::Facts { facts: vec![(hostile(), hostile())] },
            Block::Code { label: hostile(), text: hostile() },
            Block::Fold { title: hostile(), blocks: vec![Block::Table(table)] },
        ];
        let page = Page {
            title: hostile(),
            subtitle: vec![hostile()],
            banners: vec![notice],
            sections: vec![Section { id: "a".to_owned(), title: hostile(), blocks }],
        };
        let text = page.render().unwrap();
        assert!(!text.contains("<script>alert"), "{text}");
        assert_eq!(text.matches("&lt;script&gt;alert").count(), 25, "every text is there, escaped: {text}");
    }

    #[test]
    fn an_empty_page_is_whole_and_asks_the_network_for_nothing() {
        let text = Page { title: "t".to_owned(), ..Page::default() }.render().unwrap();
        assert!(text.starts_with("<!doctype html>") && text.trim_end().ends_with("</html>"), "{text}");
        assert!(text.contains("default-src &#x27;none&#x27;") || text.contains("default-src 'none'"));
        for address in ["http://", "https://", "src=", "@import", "url("] {
            assert!(!text.contains(address), "{address}");
        }
    }
}
