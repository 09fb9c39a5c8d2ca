//! An answer as a stream of server-sent events, and the faults that strike inside one.
//!
//! Exists to write each token at its time. Refuses to decide what is written.

use std::time::Instant;

use crate::events::{Events, Framing, engine_error};
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
}

impl<'a> Framer<'a> {
    fn new(events: Events<'a>, framing: Framing) -> Self {
        let mut lead = Vec::new();
        if let Some(role) = events.role(RoleChunk::WithFirstToken) {
            framing.event(&mut lead, role.as_bytes());
        }
        Self { events, framing, lead, written: 0, thinking: 0 }
    }

    /// The bytes of the next piece; `finish` where it is the last one.
    fn piece(&mut self, piece: &Piece, finish: Option<Finish>) -> Vec<u8> {
        self.written += piece.tokens;
        if piece.channel == Channel::Reasoning {
            self.thinking += piece.tokens;
        }
        let mut bytes = std::mem::take(&mut self.lead);
        let event = self.events.piece(piece, finish, self.written, self.thinking);
        self.framing.event(&mut bytes, event.as_bytes());
        bytes
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
        for (position, piece) in script.pieces.iter().enumerate() {
            let finish = (position + 1 == script.pieces.len()).then_some(script.finish);
            let bytes = framer.piece(piece, finish);
            let due = start + piece.due;
            if let Some(next) = self.struck(&mut strike, false, &bytes, due, &mut flight).await? {
                return Ok(next);
            }
            self.connection.wait(&self.server.timer, due).await?;
            flight.count(piece.tokens);
            let mark = |truth: &mut Truth, at| truth.mark_tokens(at, piece.tokens, piece.channel);
            self.connection.send(&bytes, &self.record, mark).await?;
            strike.written += piece.tokens;
        }
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
