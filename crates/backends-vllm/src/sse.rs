//! Server-sent events out of bytes that arrive in any pieces.
//!
//! Exists apart from the events' meaning so that it can be tested against every way to cut a stream. Works on bytes:
//! refuses to know UTF-8 and JSON. Follows the event stream format of the HTML standard, section 9.2.6, for the
//! field `data`; other fields are skipped.

use std::ops::Range;

/// Largest event that is taken, in bytes; a server that sends more in one event is broken.
pub(crate) const LARGEST_EVENT: usize = 16 << 20;

/// An event or line grew beyond [`LARGEST_EVENT`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TooLarge;

/// An incremental parser. Its buffers are reused, so a steady stream needs no allocation.
#[derive(Debug, Default)]
pub(crate) struct SseParser {
    /// A line that began in an earlier piece.
    line: Vec<u8>,
    /// The data of the event under way.
    data: Vec<u8>,
    /// Whether the event under way has a data field, empty data included.
    has_data: bool,
    /// The last byte was a CR that ended a line: an LF now belongs to it.
    after_cr: bool,
    /// Whether the stream's first line is behind us: a byte order mark may only stand in front of it.
    past_start: bool,
}

impl SseParser {
    /// Takes the next piece, and calls `event` with the data of each event that is complete. `event` returns `false`
    /// to stop: the rest of the piece is dropped then.
    ///
    /// # Errors
    /// A line or an event is larger than [`LARGEST_EVENT`].
    pub(crate) fn push(
        &mut self,
        piece: &[u8],
        mut event: impl FnMut(&[u8]) -> bool,
    ) -> Result<(), TooLarge> {
        let mut rest = piece;
        if self.after_cr && !rest.is_empty() {
            self.after_cr = false;
            rest = rest.strip_prefix(b"\n").unwrap_or(rest);
        }
        while let Some(end) = memchr::memchr2(b'\n', b'\r', rest) {
            let (line, ender) = (&rest[..end], rest[end]);
            // An event of one line that is here as a whole is given out where it lies.
            if rest[end..].starts_with(b"\n\n")
                && self.between_events()
                && let Some(value) = data_field(line).filter(|_| line.len() <= LARGEST_EVENT)
            {
                rest = &rest[end + 2..];
                if !event(&line[value]) {
                    return Ok(());
                }
                continue;
            }
            rest = &rest[end + 1..];
            if ender == b'\r' {
                match rest.first() {
                    Some(b'\n') => rest = &rest[1..],
                    Some(_) => {}
                    None => self.after_cr = true,
                }
            }
            let go_on = if self.line.is_empty() {
                self.take_line(line, &mut event)?
            } else {
                self.line.extend_from_slice(line);
                let whole = std::mem::take(&mut self.line);
                let go_on = self.take_line(&whole, &mut event);
                self.line = whole;
                self.line.clear();
                go_on?
            };
            if !go_on {
                return Ok(());
            }
        }
        if self.line.len() + rest.len() > LARGEST_EVENT {
            return Err(TooLarge);
        }
        self.line.extend_from_slice(rest);
        Ok(())
    }

    /// What is left of an event whose end never came: its data so far, the unfinished line included. `None` where
    /// the stream ended between events.
    pub(crate) fn remainder(&self) -> Option<Vec<u8>> {
        let mut data = self.data.clone();
        let mut any = self.has_data;
        if let Some(value) = data_field(&self.line) {
            data.extend_from_slice(&self.line[value]);
            any = true;
        } else if !self.line.is_empty() && !self.line.starts_with(b":") {
            // A line that was cut before its colon is cut mid-event as well.
            any = true;
        }
        any.then_some(data)
    }

    /// Nothing of an event or a line is kept from before.
    fn between_events(&self) -> bool {
        self.line.is_empty() && !self.has_data && self.past_start
    }

    fn take_line(&mut self, line: &[u8], event: &mut impl FnMut(&[u8]) -> bool) -> Result<bool, TooLarge> {
        let line = if self.past_start { line } else { line.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(line) };
        self.past_start = true;
        if line.is_empty() {
            if !std::mem::take(&mut self.has_data) {
                return Ok(true);
            }
            let go_on = event(&self.data);
            self.data.clear();
            return Ok(go_on);
        }
        let Some(value) = data_field(line) else {
            return Ok(true);
        };
        if self.has_data {
            self.data.push(b'\n');
        }
        self.has_data = true;
        if self.data.len() + value.len() > LARGEST_EVENT {
            return Err(TooLarge);
        }
        self.data.extend_from_slice(&line[value]);
        Ok(true)
    }
}

/// Where the value of a `data` line stands; `None` for every other line, comments included.
fn data_field(line: &[u8]) -> Option<Range<usize>> {
    let rest = line.strip_prefix(b"data")?;
    match rest {
        [] => Some(4..4),
        [b':', b' ', ..] => Some(6..line.len()),
        [b':', ..] => Some(5..line.len()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn events_of(pieces: &[&[u8]]) -> (Vec<Vec<u8>>, Option<Vec<u8>>) {
        let mut parser = SseParser::default();
        let mut events = Vec::new();
        for piece in pieces {
            parser
                .push(piece, |data| {
                    events.push(data.to_vec());
                    true
                })
                .unwrap();
        }
        (events, parser.remainder())
    }

    fn texts(stream: &str) -> Vec<String> {
        events_of(&[stream.as_bytes()]).0.into_iter().map(|event| String::from_utf8(event).unwrap()).collect()
    }

    #[test]
    fn line_ends_comments_fields_and_joined_lines() {
        assert_eq!(texts("data: a\n\ndata:b\n\n"), ["a", "b"]);
        assert_eq!(texts("data: a\r\n\r\ndata: b\r\n\r\n"), ["a", "b"]);
        assert_eq!(texts("data: a\r\rdata: b\r\r"), ["a", "b"]);
        assert_eq!(texts(": ping\n\n:\n\nevent: x\nid: 3\nretry: 5\ndata: a\n\n"), ["a"]);
        assert_eq!(texts("data: a\ndata:  b\ndata\n\n"), ["a\n b\n"]);
        assert_eq!(texts("data\n\n"), [""]);
        assert_eq!(texts("\u{feff}data: a\n\n"), ["a"]);
        assert_eq!(texts("database: a\n\n"), Vec::<String>::new());
    }

    #[test]
    fn a_byte_order_mark_counts_only_at_the_start() {
        assert_eq!(texts("data: a\n\n\u{feff}data: b\n\n"), ["a"]);
        let (events, _) = events_of(&[b"\xEF", b"\xBB", b"\xBFdata: a\n", b"\n"]);
        assert_eq!(events, [b"a"]);
    }

    #[test]
    fn an_event_without_its_end_is_a_remainder_and_a_comment_is_none() {
        assert_eq!(events_of(&[b"data: a\n\n"]).1, None);
        assert_eq!(events_of(&[b"data: a\n\n:"]).1, None);
        assert_eq!(events_of(&[b"data: a\n\ndata: {\"x\""]).1, Some(b"{\"x\"".to_vec()));
        assert_eq!(events_of(&[b"data: a\n"]).1, Some(b"a".to_vec()));
        assert_eq!(events_of(&[b"da"]).1, Some(Vec::new()));
    }

    #[test]
    fn an_event_is_given_out_with_the_byte_that_ends_it_and_not_later() {
        let mut parser = SseParser::default();
        let mut seen = 0;
        for (piece, expected) in
            [(&b"data: a\r\n"[..], 0), (b"\r", 1), (b"\n", 1), (b"data: b\n", 1), (b"\n", 2)]
        {
            parser
                .push(piece, |_| {
                    seen += 1;
                    true
                })
                .unwrap();
            assert_eq!(seen, expected, "after {piece:?}");
        }
    }

    #[test]
    fn a_stopped_parser_drops_the_rest() {
        let mut parser = SseParser::default();
        let mut seen = Vec::new();
        parser
            .push(b"data: a\n\ndata: b\n\n", |data| {
                seen.push(data.to_vec());
                false
            })
            .unwrap();
        assert_eq!(seen, [b"a"]);
    }

    #[test]
    fn an_endless_line_is_refused() {
        let mut parser = SseParser::default();
        let piece = vec![b'x'; 1 << 20];
        let refused = (0..32).any(|_| parser.push(&piece, |_| true).is_err());
        assert!(refused);
    }

    proptest! {
        #[test]
        fn cuts_never_change_the_events(
            events in proptest::collection::vec(("[a-z\u{e9}\u{1F642}:{}\" ]{0,12}", 0..3usize, any::<bool>()), 1..12),
            cuts in proptest::collection::vec(any::<prop::sample::Index>(), 0..20),
        ) {
            let mut stream = String::new();
            let mut expected = Vec::new();
            for (data, ender, comment) in &events {
                let end = ["\n", "\r\n", "\r"][*ender];
                if *comment {
                    stream += &format!(": keep-alive{end}");
                }
                stream += &format!("data: {data}{end}{end}");
                expected.push(data.clone().into_bytes());
            }
            let bytes = stream.as_bytes();
            let mut borders: Vec<usize> = cuts.iter().map(|cut| cut.index(bytes.len())).collect();
            borders.extend([0, bytes.len()]);
            borders.sort_unstable();
            let pieces: Vec<&[u8]> = borders.windows(2).map(|pair| &bytes[pair[0]..pair[1]]).collect();
            prop_assert_eq!(&events_of(&pieces).0, &expected);
            let single: Vec<&[u8]> = bytes.chunks(1).collect();
            prop_assert_eq!(events_of(&single).0, expected);
        }

        #[test]
        fn arbitrary_bytes_never_panic_and_cuts_do_not_matter(bytes in proptest::collection::vec(
            prop_oneof![Just(b'\n'), Just(b'\r'), Just(b':'), Just(b'd'), Just(b'a'), Just(b't'), any::<u8>()], 0..200)) {
            let single: Vec<&[u8]> = bytes.chunks(1).collect();
            prop_assert_eq!(events_of(&[&bytes]), events_of(&single));
        }
    }
}
