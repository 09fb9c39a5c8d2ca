//! An answer as a stream of server-sent events, and the faults that strike inside one.
//!
//! Exists to write each token at its time. Refuses to decide what is written.

use std::time::Instant;

use crate::events::{Events, Framing, Surroundings, engine_error, is_plain_text};
use crate::fault::InducedFault;
use crate::flight::Flight;
use crate::generate::{Generation, Next};
use crate::http::Response;
use crate::options::RoleChunk;
use crate::request::Ask;
use crate::script::{Piece, Script};
use crate::stats::Finish;
use crate::truth::{Channel, Truth, lock};

/// Makes a stream's bytes piece by piece, each while its moment is still to come: at its time nothing is left to do but
/// to write.
struct Framer<'a> {
    events: Events<'a>,
    framing: Framing,
    /// What goes out together with the next bytes.
    lead: Vec<u8>,
    written: u32,
    thinking: u32,
    /// What stands around the text of a plain piece, by the channel it was made for.
    plain: Option<(Channel, Surroundings)>,
}

/// The tokens and channels of pieces that go out together.
type Marks = Vec<(u32, Channel)>;

/// Most bytes of pieces that are overdue and go out in one write.
const BURST: usize = 16 << 10;

impl<'a> Framer<'a> {
    fn new(events: Events<'a>, framing: Framing) -> Self {
        let mut lead = Vec::new();
        if let Some(role) = events.role(RoleChunk::WithFirstToken) {
            framing.event(&mut lead, role.as_bytes());
        }
        Self { events, framing, lead, written: 0, thinking: 0, plain: None }
    }

    /// Appends the next piece's bytes; `finish` where it is the last one.
    fn piece(&mut self, bytes: &mut Vec<u8>, piece: &Piece, finish: Option<Finish>) {
        self.written += piece.tokens;
        if piece.channel == Channel::Reasoning {
            self.thinking += piece.tokens;
        }
        bytes.append(&mut self.lead);
        if finish.is_none() && self.events.is_plain() && is_plain_text(&piece.text) {
            if self.plain.as_ref().is_none_or(|(channel, _)| *channel != piece.channel) {
                self.plain = self.events.surroundings(piece.channel).map(|around| (piece.channel, around));
            }
            if let Some((_, around)) = &self.plain {
                return self.framing.event_of(bytes, [&around.before, piece.text.as_bytes(), &around.after]);
            }
        }
        let event = self.events.piece(piece, finish, self.written, self.thinking);
        self.framing.event(bytes, event.as_bytes());
    }

    /// The bytes behind the last piece.
    fn tail(self, finish: Finish, done: bool) -> Vec<u8> {
        let mut bytes = self.lead;
        if self.written == 0 {
            self.framing.event(&mut bytes, self.events.finish_only(finish).as_bytes());
        }
        if let Some(usage) = self.events.last_usage(self.written, self.thinking) {
            self.framing.event(&mut bytes, usage.as_bytes());
        }
        if done {
            self.framing.event(&mut bytes, b"[DONE]");
        }
        self.framing.end(&mut bytes);
        bytes
    }
}

impl Generation<'_> {
    /// Streams an answer.
    pub(crate) async fn stream(
        &mut self,
        ask: &Ask,
        script: &Script,
        fault: Option<InducedFault>,
        mut flight: Flight<'_>,
    ) -> Result<Next, Next> {
        let framing = if self.http11 { Framing::Chunked } else { Framing::UntilClose };
        let id = self.id.clone();
        let events = self.server.events(&id, self.route, ask, fault);
        let mut head = self.stream_head(framing);
        if let Some(role) = events.role(RoleChunk::BeforeFirstToken) {
            framing.event(&mut head, role.as_bytes());
        }
        self.connection.send(&head, &self.record, |truth, at| truth.mark_head(at, 200)).await?;
        let start = flight.board(self.connection).await?;
        let mut framer = Framer::new(events, framing);
        let mut strike = Strike { fault, framing, written: 0 };
        let (mut bytes, mut marks) = (Vec::new(), Marks::new());
        for (position, piece) in script.pieces.iter().enumerate() {
            let due = start + piece.due;
            // What is overdue goes out together, as a server's does that is behind; a fault strikes between two pieces.
            if !bytes.is_empty() && (fault.is_some() || bytes.len() >= BURST || due > Instant::now()) {
                self.write_pieces(&mut bytes, &mut marks).await?;
            }
            let last = position + 1 == script.pieces.len();
            framer.piece(&mut bytes, piece, last.then_some(script.finish));
            if let Some(next) = self.struck(&mut strike, false, &bytes, due, &mut flight).await? {
                return Ok(next);
            }
            if marks.is_empty() {
                self.connection.wait(&self.server.timer, due).await?;
            }
            flight.count(piece.tokens);
            marks.push((piece.tokens, piece.channel));
            strike.written += piece.tokens;
        }
        self.write_pieces(&mut bytes, &mut marks).await?;
        let due = if script.pieces.is_empty() { start + script.first } else { start };
        let tail = framer.tail(script.finish, fault != Some(InducedFault::NoDone));
        if let Some(next) = self.struck(&mut strike, true, &tail, due, &mut flight).await? {
            return Ok(next);
        }
        self.connection.wait(&self.server.timer, due).await?;
        flight.end(script.finish);
        self.write_end(&tail, script.finish).await?;
        Ok(if framing == Framing::Chunked { Next::Stay } else { Next::Close })
    }

    /// Writes pieces together and marks each of them.
    async fn write_pieces(&self, bytes: &mut Vec<u8>, marks: &mut Marks) -> Result<(), Next> {
        let mark = |truth: &mut Truth, at| {
            marks.iter().for_each(|(tokens, channel)| truth.mark_tokens(at, *tokens, *channel));
        };
        self.connection.send(bytes, &self.record, mark).await?;
        bytes.clear();
        marks.clear();
        Ok(())
    }

    /// Writes the last bytes of a stream, or marks its end where there are none.
    async fn write_end(&self, bytes: &[u8], finish: Finish) -> Result<(), Next> {
        let word = Some(finish.word());
        self.connection.send(bytes, &self.record, |truth, at| truth.mark_end(at, word)).await?;
        if bytes.is_empty() {
            lock(&self.record).mark_end(self.server.clock.now(), word);
        }
        Ok(())
    }

    fn stream_head(&self, framing: Framing) -> Vec<u8> {
        let chunked = framing == Framing::Chunked;
        let response = Response {
            status: 200,
            content_type: "text/event-stream; charset=utf-8",
            length: None,
            chunked,
            keep_alive: chunked && self.keep_alive,
            extra: Some("cache-control: no-cache"),
        };
        response.head()
    }

    /// Lets the fault strike if its moment has come; what is returned ends the stream. `next` is what would be written
    /// next, at `due`.
    async fn struck(
        &mut self,
        strike: &mut Strike,
        last: bool,
        next: &[u8],
        due: Instant,
        flight: &mut Flight<'_>,
    ) -> Result<Option<Next>, Next> {
        let Some(fault) = strike.take(last) else {
            return Ok(None);
        };
        let mut bytes = Vec::new();
        match fault {
            InducedFault::Malformed(_) => {
                strike
                    .framing
                    .event(&mut bytes, br#"{"id":"induced","choices":[{"index":0,"delta":{"content":"#);
            }
            InducedFault::InvalidUtf8(_) => {
                let event =
                    b"{\"id\":\"induced\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\"\xff\xfe\"}}]}";
                strike.framing.event(&mut bytes, event);
            }
            InducedFault::Stall(_) => return Err(self.connection.gone().await.into()),
            InducedFault::ErrorEvent(_) => {
                strike.framing.event(&mut bytes, engine_error().json().to_string().as_bytes());
                strike.framing.event(&mut bytes, b"[DONE]");
                strike.framing.end(&mut bytes);
                return self.break_off(&bytes, flight, Next::Stay).await.map(Some);
            }
            InducedFault::CutMidEvent(_) => {
                self.connection.wait(&self.server.timer, due).await?;
                let half = next.get(..next.len() / 2).unwrap_or_default();
                return self.break_off(half, flight, Next::Close).await.map(Some);
            }
            _ => return self.break_off(&[], flight, Next::Close).await.map(Some),
        }
        self.connection.send(&bytes, &self.record, |_, _| ()).await?;
        Ok(None)
    }

    /// Ends a stream before its time with these bytes.
    async fn break_off(&mut self, bytes: &[u8], flight: &mut Flight<'_>, next: Next) -> Result<Next, Next> {
        flight.end(Finish::Error);
        self.write_end(bytes, Finish::Error).await?;
        Ok(if self.http11 { next } else { Next::Close })
    }
}

/// The fault that waits for its moment.
struct Strike {
    fault: Option<InducedFault>,
    framing: Framing,
    /// Tokens written so far.
    written: u32,
}

impl Strike {
    /// The fault, once, when its moment has come: enough tokens are written, or there are no more.
    fn take(&mut self, last: bool) -> Option<InducedFault> {
        let after = match self.fault? {
            InducedFault::Stall(after)
            | InducedFault::Cut(after)
            | InducedFault::CutMidEvent(after)
            | InducedFault::Malformed(after)
            | InducedFault::InvalidUtf8(after)
            | InducedFault::ErrorEvent(after) => after,
            _ => return None,
        };
        if last || self.written >= after { self.fault.take() } else { None }
    }
}
