//! Text for a terminal: what it can show, how wide it is, and where it breaks.
//!
//! Text that came from elsewhere (a server's message, a model's name) passes [`Glyphs::clean`], so that it can neither
//! steer the terminal nor break the layout. Refuses to know what the text is about.

use unicode_width::UnicodeWidthStr;

/// The signs in use: real ones, or stand-ins in plain ASCII.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Glyphs {
    unicode: bool,
    pub(crate) plus_minus: &'static str,
    pub(crate) dot: &'static str,
    pub(crate) check: &'static str,
    pub(crate) warn: &'static str,
    pub(crate) cross: &'static str,
    pub(crate) none: &'static str,
    pub(crate) ellipsis: &'static str,
    pub(crate) arrow: &'static str,
    pub(crate) micro: &'static str,
    pub(crate) bar_full: &'static str,
    pub(crate) bar_empty: &'static str,
}

impl Glyphs {
    pub(crate) fn new(unicode: bool) -> Self {
        if unicode {
            Self {
                unicode,
                plus_minus: "±",
                dot: "·",
                check: "✓",
                warn: "!",
                cross: "✗",
                none: "–",
                ellipsis: "…",
                arrow: "→",
                micro: "µ",
                bar_full: "━",
                bar_empty: "─",
            }
        } else {
            Self {
                unicode,
                plus_minus: "+-",
                dot: "|",
                check: "ok",
                warn: "!",
                cross: "x",
                none: "-",
                ellipsis: "...",
                arrow: "->",
                micro: "u",
                bar_full: "#",
                bar_empty: ".",
            }
        }
    }

    /// Foreign text made harmless: control characters become spaces, and runs of spaces one; without Unicode, known
    /// signs become their stand-ins and the rest `?`.
    pub(crate) fn clean(&self, text: &str) -> String {
        let mut clean = String::with_capacity(text.len());
        for letter in text.chars() {
            if letter.is_control() || letter.is_whitespace() || is_steering(letter) {
                if !clean.ends_with(' ') {
                    clean.push(' ');
                }
            } else if letter.is_ascii() || self.unicode {
                clean.push(letter);
            } else {
                clean.push_str(stand_in(letter));
            }
        }
        clean.trim().to_owned()
    }
}

/// Signs that reorder or hide what follows.
fn is_steering(letter: char) -> bool {
    matches!(letter, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}')
}

fn stand_in(letter: char) -> &'static str {
    match letter {
        '±' => "+-",
        '×' => "x",
        '÷' => "/",
        'µ' | 'μ' => "u",
        '°' => " deg ",
        '–' | '—' | '−' => "-",
        '…' => "...",
        '·' | '•' => "|",
        '→' => "->",
        '‘' | '’' => "'",
        '“' | '”' => "\"",
        '≤' => "<=",
        '≥' => ">=",
        '²' => "2",
        '₂' => "2",
        _ => "?",
    }
}

/// Columns that a text takes.
pub(crate) fn width_of(text: &str) -> usize {
    UnicodeWidthStr::width(text)
}

/// The text, cut with an ellipsis where it is wider than `width`.
pub(crate) fn fit(text: &str, width: usize, glyphs: &Glyphs) -> String {
    if width_of(text) <= width {
        return text.to_owned();
    }
    let (head, _) = split_at_width(text, width.saturating_sub(width_of(glyphs.ellipsis)));
    let cut = format!("{head}{}", glyphs.ellipsis);
    split_at_width(&cut, width).0.to_owned()
}

/// The longest head of at most `width` columns, and the rest.
fn split_at_width(text: &str, width: usize) -> (&str, &str) {
    for (position, letter) in text.char_indices() {
        // A sign's width depends on its neighbours (a candle with a variation selector takes two columns), so the
        // head is measured as a whole.
        if width_of(&text[..position + letter.len_utf8()]) > width {
            return text.split_at(position);
        }
    }
    (text, "")
}

/// The text in lines of at most `width` columns, broken at spaces, within a word only where the word is wider.
pub(crate) fn wrap(text: &str, width: usize) -> Vec<String> {
    pack(text.split(' '), " ", width)
}

/// Parts in lines of at most `width` columns, joined by `separator`; a part that is wider is broken.
pub(crate) fn pack<'a>(
    parts: impl IntoIterator<Item = &'a str>,
    separator: &str,
    width: usize,
) -> Vec<String> {
    // Two columns hold any character, so that every break makes progress.
    let width = width.max(2);
    let mut lines: Vec<String> = Vec::new();
    for part in parts {
        if let Some(line) = lines.last_mut()
            && width_of(line) + width_of(separator) + width_of(part) <= width
        {
            line.push_str(separator);
            line.push_str(part);
            continue;
        }
        let mut rest = part;
        while width_of(rest) > width {
            let mut spaces =
                rest.char_indices().filter(|(at, letter)| *letter == ' ' && width_of(&rest[..*at]) <= width);
            let (head, tail) = match spaces.next_back() {
                Some((at, _)) if at > 0 => (&rest[..at], rest[at..].trim_start()),
                _ => split_at_width(rest, width),
            };
            lines.push(head.to_owned());
            rest = tail;
        }
        lines.push(rest.to_owned());
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn foreign_text_cannot_steer_the_terminal() {
        let glyphs = Glyphs::new(true);
        assert_eq!(glyphs.clean("a\u{1b}[31mred\n\tb\u{202e}c"), "a [31mred b c");
        assert_eq!(Glyphs::new(false).clean("2 DIMMs × 5 W, ± 3 µs, 模"), "2 DIMMs x 5 W, +- 3 us, ?");
    }

    proptest! {
        #[test]
        fn wrapped_text_keeps_its_letters_and_its_width(text in "[a-zé模🕯\u{fe0f} ]{0,120}", width in 2_usize..40) {
            let lines = wrap(&text, width);
            for line in &lines {
                prop_assert!(width_of(line) <= width, "{line:?}");
            }
            let letters = |text: &str| text.chars().filter(|letter| *letter != ' ').collect::<String>();
            prop_assert_eq!(letters(&lines.concat()), letters(&text));
        }

        #[test]
        fn a_cut_text_is_never_wider_than_asked(text in "\\PC{0,60}", width in 0_usize..30, unicode: bool) {
            prop_assert!(width_of(&fit(&text, width, &Glyphs::new(unicode))) <= width);
        }
    }
}
