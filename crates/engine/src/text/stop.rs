//! Stop strings over a stream of text pieces, wherever the pieces' borders fall.
//!
//! Refuses to know tokens.

/// Watches a stream for strings that end it. What could still become a stop string is held back, and no more than that.
#[derive(Debug, Clone)]
pub struct StopStrings {
    stops: Vec<String>,
    held: String,
    hit: bool,
}

impl StopStrings {
    /// A watch for these strings; empty ones say nothing and are left out.
    pub fn new(stops: &[String]) -> Self {
        let stops = stops.iter().filter(|stop| !stop.is_empty()).cloned().collect();
        Self { stops, held: String::new(), hit: false }
    }

    /// Takes the next piece and returns what may be shown now; [`StopStrings::is_hit`] says whether the stream ends with
    /// it. The stop string itself is not shown. Of several, the one that is complete first ends the stream, and of those
    /// the longest, so that borders make no difference.
    pub fn push(&mut self, piece: &str) -> String {
        if self.hit {
            return String::new();
        }
        if self.stops.is_empty() {
            return piece.to_owned();
        }
        self.held.push_str(piece);
        let found = self.stops.iter().filter_map(|stop| {
            let start = self.held.find(stop.as_str())?;
            Some((start + stop.len(), start))
        });
        if let Some((_, start)) = found.min() {
            self.hit = true;
            self.held.truncate(start);
            return std::mem::take(&mut self.held);
        }
        let keep = self.stops.iter().map(|stop| overlap(&self.held, stop)).max().unwrap_or(0);
        let rest = self.held.split_off(self.held.len() - keep);
        std::mem::replace(&mut self.held, rest)
    }

    /// `true` once a stop string was complete.
    pub fn is_hit(&self) -> bool {
        self.hit
    }

    /// The stream has ended by itself: what was held back.
    pub fn finish(&mut self) -> String {
        std::mem::take(&mut self.held)
    }
}

/// Length of the longest end of `text` that begins `stop`.
fn overlap(text: &str, stop: &str) -> usize {
    let longest = text.len().min(stop.len().saturating_sub(1));
    (1..=longest)
        .rev()
        .find(|length| text.as_bytes()[text.len() - length..] == stop.as_bytes()[..*length])
        .unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Pushes pieces one after the other; what was shown, and whether the stream was ended.
    fn run(stops: &[String], pieces: &[String]) -> (String, bool) {
        let mut watch = StopStrings::new(stops);
        let mut shown = String::new();
        for piece in pieces {
            shown += &watch.push(piece);
        }
        shown += &watch.finish();
        (shown, watch.is_hit())
    }

    #[test]
    fn a_stop_string_across_borders_ends_the_stream_and_is_not_shown() {
        let stops = ["</s>".to_owned(), "END".to_owned()];
        let pieces = ["one <", "/", "s", "> two"].map(str::to_owned);
        assert_eq!(run(&stops, &pieces), ("one ".to_owned(), true));
        let near = ["one <", "/x", " EN"].map(str::to_owned);
        assert_eq!(run(&stops, &near), ("one </x EN".to_owned(), false));
    }

    #[test]
    fn only_what_could_become_a_stop_string_is_held_back() {
        let mut watch = StopStrings::new(&["abac".to_owned()]);
        assert_eq!(watch.push("xaba"), "x");
        assert_eq!(watch.push("b"), "ab");
        assert_eq!(watch.push("é"), "abé");
        assert!(!watch.is_hit());
        assert_eq!(watch.push("abac"), "");
        assert!(watch.is_hit());
        assert_eq!(watch.push("more"), "");
    }

    #[test]
    fn without_stop_strings_everything_passes_at_once() {
        assert_eq!(StopStrings::new(&[String::new()]).push("text"), "text");
    }

    proptest! {
        /// Cut anywhere, a text ends at the same place, and that place is where the first stop string is complete.
        #[test]
        fn borders_make_no_difference(
            text in "[abé]{0,24}",
            stops in prop::collection::vec("[abé]{1,4}", 0..4),
            cuts in prop::collection::vec(0usize..25, 0..6),
        ) {
            let chars: Vec<char> = text.chars().collect();
            let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(chars.len())).collect();
            cuts.extend([0, chars.len()]);
            cuts.sort_unstable();
            let pieces: Vec<String> = cuts.windows(2).map(|cut| chars[cut[0]..cut[1]].iter().collect()).collect();
            let end = (0..=text.len())
                .filter(|&end| text.is_char_boundary(end))
                .find(|&end| stops.iter().any(|stop| text[..end].ends_with(stop.as_str())));
            let wanted = end.map_or((text.clone(), false), |end| {
                let longest = stops.iter().filter(|stop| text[..end].ends_with(stop.as_str())).map(String::len).max();
                (text[..end - longest.unwrap()].to_owned(), true)
            });
            prop_assert_eq!(run(&stops, &pieces), wanted);
        }
    }
}
