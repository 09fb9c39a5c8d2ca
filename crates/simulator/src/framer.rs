//! The bytes of a stream, piece by piece, each made while its moment is still to come: at its time nothing is left to do but
//! to write.
//!
//! Exists so that a token costs the copying of its event and no JSON. Refuses to know sockets and times.

use std::io::Write as _;

use crate::events::{Events, Framing, Surroundings, is_plain_text};
use crate::options::RoleChunk;
use crate::script::Piece;
use crate::stats::Finish;
use crate::truth::Channel;

/// Makes a stream's bytes.
pub(crate) struct Framer {
    events: Events,
    framing: Framing,
    /// What goes out together with the next bytes.
    lead: Vec<u8>,
    written: u32,
    thinking: u32,
    /// What stands around the text of a plain piece, by the channel it was made for.
    plain: Option<(Channel, Surroundings)>,
    /// The end of an event that says its counts.
    counts: Vec<u8>,
}

impl Framer {
    pub(crate) fn new(events: Events, framing: Framing) -> Self {
        let mut lead = Vec::new();
        if let Some(role) = events.role(RoleChunk::WithFirstToken) {
            framing.event(&mut lead, role.as_bytes());
        }
        Self { events, framing, lead, written: 0, thinking: 0, plain: None, counts: Vec::new() }
    }

    /// How the bytes are delimited.
    pub(crate) fn framing(&self) -> Framing {
        self.framing
    }

    /// No piece has been made.
    pub(crate) fn is_empty(&self) -> bool {
        self.written == 0
    }

    /// Appends the next piece's bytes; `finish` where it is the last one.
    pub(crate) fn piece(&mut self, bytes: &mut Vec<u8>, piece: &Piece, finish: Option<Finish>) {
        self.written += piece.tokens;
        if piece.channel == Channel::Reasoning {
            self.thinking += piece.tokens;
        }
        bytes.append(&mut self.lead);
        let told_apart = finish.is_none() && (self.thinking == 0 || !self.events.usage.each);
        if told_apart && is_plain_text(&piece.text) && self.plain(bytes, piece) {
            return;
        }
        let event = self.events.piece(piece, finish, self.written, self.thinking);
        self.framing.event(bytes, event.as_bytes());
    }

    /// Appends a piece whose event differs from others in text and counts alone; `false` where it cannot be told apart.
    fn plain(&mut self, bytes: &mut Vec<u8>, piece: &Piece) -> bool {
        if self.plain.as_ref().is_none_or(|(channel, _)| *channel != piece.channel) {
            self.plain = self.events.surroundings(piece.channel).map(|around| (piece.channel, around));
        }
        let Some((_, Surroundings { before, after })) = &self.plain else { return false };
        if !self.events.usage.each {
            self.framing.event_of(bytes, [before, piece.text.as_bytes(), after]);
            return true;
        }
        let (prompt, written) = (u64::from(self.events.prompt_tokens), u64::from(self.written));
        let Some(open) = after.strip_suffix(b"}") else { return false };
        self.counts.clear();
        // Writing to a vector cannot fail.
        let _ = write!(
            self.counts,
            r#","usage":{{"prompt_tokens":{prompt},"total_tokens":{},"completion_tokens":{written}}}}}"#,
            prompt + written
        );
        self.framing.event_of(bytes, [before, piece.text.as_bytes(), open, &self.counts]);
        true
    }

    /// Appends the bytes behind the last piece.
    pub(crate) fn tail(&mut self, bytes: &mut Vec<u8>, finish: Finish, done: bool) {
        bytes.append(&mut self.lead);
        if self.written == 0 {
            self.framing.event(bytes, self.events.finish_only(finish).as_bytes());
        }
        if let Some(usage) = self.events.last_usage(self.written, self.thinking) {
            self.framing.event(bytes, usage.as_bytes());
        }
        if done {
            self.framing.event(bytes, b"[DONE]");
        }
        self.framing.end(bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::events::UsagePlaces;
    use crate::options::Options;
    use crate::request::Route;
    use std::sync::Arc;
    use std::time::Duration;

    fn framer(route: Route, each: bool) -> Framer {
        let events = Events {
            options: Arc::new(Options { role_chunk: RoleChunk::Never, ..Options::default() }),
            route,
            id: "a".to_owned(),
            created: 1,
            prompt_tokens: 7,
            usage: UsagePlaces { each, ..UsagePlaces::NOWHERE },
        };
        Framer::new(events, Framing::UntilClose)
    }

    /// The cheap way writes what the JSON of the same piece says.
    #[test]
    fn a_plain_piece_is_the_event_that_its_json_is() {
        for (route, each) in [
            (Route::Chat, false),
            (Route::Chat, true),
            (Route::Completions, false),
            (Route::Completions, true),
        ] {
            for channel in [Channel::Content, Channel::Reasoning] {
                let mut framer = framer(route, each);
                for text in [" stone", "", "a\"b", "\u{e9}\n"] {
                    let piece = Piece { due: Duration::ZERO, text: text.to_owned(), tokens: 2, channel };
                    let mut bytes = Vec::new();
                    framer.piece(&mut bytes, &piece, None);
                    let json = framer.events.piece(&piece, None, framer.written, framer.thinking);
                    assert_eq!(String::from_utf8(bytes).unwrap(), format!("data: {json}\n\n"));
                }
            }
        }
    }
}
