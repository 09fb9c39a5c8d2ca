//! Text of SVG elements. Every text and every number goes through here, so that nothing foreign becomes markup.
//!
//! Refuses to know what is drawn.

use std::fmt::Write;

/// A text as the content of an element or a quoted attribute.
pub(super) fn escaped(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\'' => safe.push_str("&#39;"),
            // Not allowed in any document.
            letter if letter.is_control() => safe.push(' '),
            letter => safe.push(letter),
        }
    }
    safe
}

/// A length: two decimals, no more digits than it needs.
pub(super) fn length(value: f64) -> String {
    let text = format!("{value:.2}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// A share of the width.
pub(super) fn percent(share: f64) -> String {
    format!("{}%", length(100.0 * share))
}

/// Where a text is held.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Anchor {
    Start,
    Middle,
    End,
}

/// A drawing that grows.
#[derive(Debug, Default)]
pub(super) struct Drawing(String);

impl Drawing {
    /// A straight line; x as shares of the width, y in pixels.
    pub(super) fn line(&mut self, class: &str, from: (f64, f64), to: (f64, f64)) {
        let _ = write!(
            self.0,
            r#"<line class="{}" x1="{}" y1="{}" x2="{}" y2="{}"/>"#,
            escaped(class),
            percent(from.0),
            length(from.1),
            percent(to.0),
            length(to.1)
        );
    }

    /// A box; `x` and `width` as shares, `y` and `height` in pixels. `title` is what a browser shows over it.
    pub(super) fn rect(&mut self, class: &str, x: (f64, f64), y: (f64, f64), title: &str) {
        let (left, width) = (percent(x.0), percent(x.1.max(0.0)));
        let (top, height) = (length(y.0), length(y.1.max(0.0)));
        let class = escaped(class);
        let _ =
            write!(self.0, r#"<rect class="{class}" x="{left}" y="{top}" width="{width}" height="{height}""#);
        if title.is_empty() {
            self.0.push_str("/>");
        } else {
            let _ = write!(self.0, "><title>{}</title></rect>", escaped(title));
        }
    }

    /// A dot.
    pub(super) fn circle(&mut self, class: &str, at: (f64, f64), radius: f64, title: &str) {
        let _ = write!(
            self.0,
            r#"<circle class="{}" cx="{}" cy="{}" r="{}"><title>{}</title></circle>"#,
            escaped(class),
            percent(at.0),
            length(at.1),
            length(radius),
            escaped(title)
        );
    }

    /// A text `dx` pixels from a share of the width.
    pub(super) fn text(&mut self, class: &str, at: (f64, f64), dx: f64, anchor: Anchor, text: &str) {
        let anchor = match anchor {
            Anchor::Start => "start",
            Anchor::Middle => "middle",
            Anchor::End => "end",
        };
        let (class, x, y, dx) = (escaped(class), percent(at.0), length(at.1), length(dx));
        let _ = write!(
            self.0,
            r#"<text class="{class}" x="{x}" y="{y}" dx="{dx}" text-anchor="{anchor}">{}</text>"#,
            escaped(text)
        );
    }

    /// Paths within an inner drawing that stretches to the width: 1000 units wide, from `top` on `height` pixels high.
    pub(super) fn stretched(&mut self, top: f64, height: f64, paths: &[(String, String)]) {
        let _ = write!(
            self.0,
            r#"<svg x="0" y="{}" width="100%" height="{}" viewBox="0 0 1000 {}" preserveAspectRatio="none" overflow="visible">"#,
            length(top),
            length(height),
            length(height)
        );
        for (class, path) in paths {
            let _ = write!(self.0, r#"<path class="{}" d="{}"/>"#, escaped(class), escaped(path));
        }
        self.0.push_str("</svg>");
    }

    /// The whole drawing with its title and description for those who do not see it.
    pub(super) fn finish(self, id: &str, class: &str, height: f64, title: &str, description: &str) -> String {
        let (id, height) = (escaped(id), length(height));
        format!(
            r#"<svg class="chart {class}" height="{height}" role="img" aria-labelledby="{id}-title {id}-about"><title id="{id}-title">{}</title><desc id="{id}-about">{}</desc>{}</svg>"#,
            escaped(title),
            escaped(description),
            self.0
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn foreign_text_stays_text() {
        let mut drawing = Drawing::default();
        drawing.text("a\"b", (0.5, 1.0), 0.0, Anchor::End, "<script>&'\u{1}");
        let svg = drawing.finish("id", "axes", 10.0, "</title><script>", "x");
        assert!(!svg.contains("<script>") && svg.contains("&lt;script&gt;&amp;&#39; "), "{svg}");
        assert!(svg.contains(r#"class="a&quot;b""#), "{svg}");
    }

    #[test]
    fn lengths_carry_no_needless_digits() {
        assert_eq!(
            (length(12.0), length(0.126), percent(1.0 / 3.0)),
            ("12".into(), "0.13".into(), "33.33%".into())
        );
    }
}
