//! The page that sections are written on: lines of styled spans, never wider than the terminal.
//!
//! Refuses to know what the lines say. Colour is added last, so that widths are those of the text alone.

use super::text::{Glyphs, fit, pack, width_of, wrap};

/// How a span is drawn where colour is on; without colour every span must be clear by its words alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Style {
    Plain,
    Heading,
    Dim,
    Good,
    Notice,
    Bad,
}

impl Style {
    /// The terminal's code; empty for plain text.
    fn code(self) -> &'static str {
        match self {
            Style::Plain => "",
            Style::Heading => "\u{1b}[1m",
            Style::Dim => "\u{1b}[2m",
            Style::Good => "\u{1b}[32m",
            Style::Notice => "\u{1b}[33m",
            Style::Bad => "\u{1b}[1;31m",
        }
    }
}

/// A piece of a line.
pub(super) type Span = (Style, String);

/// Lines on their way to a terminal.
pub(super) struct Page {
    pub(super) width: usize,
    pub(super) glyphs: Glyphs,
    color: bool,
    lines: Vec<Vec<Span>>,
}

impl Page {
    pub(super) fn new(width: usize, color: bool, unicode: bool) -> Self {
        Self { width: width.max(super::MIN_WIDTH), glyphs: Glyphs::new(unicode), color, lines: Vec::new() }
    }

    pub(super) fn clean(&self, text: &str) -> String {
        self.glyphs.clean(text)
    }

    pub(super) fn blank(&mut self) {
        if self.lines.last().is_some_and(|line| !line.is_empty()) {
            self.lines.push(Vec::new());
        }
    }

    pub(super) fn line(&mut self, spans: Vec<Span>) {
        self.lines.push(spans);
    }

    /// Text after a prefix, its further lines under its first.
    pub(super) fn paragraph(&mut self, prefix: (Style, &str), style: Style, text: &str) {
        let indent = width_of(prefix.1);
        let lines = wrap(text, self.width.saturating_sub(indent));
        self.hang(prefix, style, lines);
    }

    /// Parts after a prefix, as many in a line as fit.
    pub(super) fn parts(&mut self, prefix: (Style, &str), style: Style, parts: &[String], separator: &str) {
        let width = self.width.saturating_sub(width_of(prefix.1));
        let lines = pack(parts.iter().map(String::as_str), separator, width);
        self.hang(prefix, style, lines);
    }

    fn hang(&mut self, prefix: (Style, &str), style: Style, lines: Vec<String>) {
        let indent = " ".repeat(width_of(prefix.1));
        for (number, text) in lines.into_iter().enumerate() {
            let head =
                if number == 0 { (prefix.0, prefix.1.to_owned()) } else { (Style::Plain, indent.clone()) };
            self.lines.push(vec![head, (style, text)]);
        }
    }

    /// The page as text, each line ended.
    pub(super) fn finish(self) -> String {
        let mut text = String::new();
        for line in &self.lines {
            let mut room = self.width;
            let mut drawn = String::new();
            for (style, span) in line {
                // Every section lays itself out to fit; this only makes sure.
                let span = fit(span, room, &self.glyphs);
                room -= width_of(&span).min(room);
                drawn.push_str(&self.paint(*style, &span));
            }
            text.push_str(drawn.trim_end());
            text.push('\n');
        }
        text
    }

    fn paint(&self, style: Style, text: &str) -> String {
        if !self.color || style == Style::Plain || text.trim().is_empty() {
            return text.to_owned();
        }
        format!("{}{text}\u{1b}[0m", style.code())
    }
}
