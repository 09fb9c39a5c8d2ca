//! An answer as a stream of server-sent events, and the faults that strike inside one.
//!
//! Exists to write each token at its time. Refuses to decide what is written.

use std::time::Instant;

use crate::events::{Framing, engine_error};
use crate::fault::InducedFault;
use crate::flight::Flight;
use crate::generate::{Generation, Next};
use crate::http::Response;
use crate::options::RoleChunk;
use crate::request::Ask;
use crate::script::{Piece, Script};
use crate::stats::Finish;
use crate::truth::{Channel, lock};

/// A stream's frames, made before the first is due: while tokens go out, nothing is left to do but to wait and write.
struct Frames<'a> {
    pieces: Vec<(Vec<u8>, &'a Piece)>,
    /// What comes behind the last piece.
    tail: Vec<u8>,
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
        let framing = if self.http11 {
            Framing::Chunked
        } else {
            Framing::UntilClose
        };
        let mut head = self.stream_head(framing);
        if let Some(role) = self.events(ask, fault).role(RoleChunk::BeforeFirstToken) {
            framing.event(&mut head, role.as_bytes());
        }
        self.connection
            .send(&head, &self.record, |truth, at| truth.mark_head(at, 200))
            .await?;
        let start = flight.board(self.connection).await?;
        let frames = self.frames(ask, script, fault, framing);
        let mut strike = Strike {
            fault,
            framing,
            written: 0,
        };
        for (frame, piece) in &frames.pieces {
            let due = start + piece.due;
            if let Some(next) = self.struck(&mut strike, false, frame, due, &mut flight).await? {
                return Ok(next);
            }
            self.connection.wait(&self.server.timer, due).await?;
            flight.count(piece.tokens);
            let mark =
                |truth: &mut crate::truth::Truth, at| truth.mark_tokens(at, piece.tokens, piece.channel);
            self.connection.send(frame, &self.record, mark).await?;
            strike.written += piece.tokens;
        }
        let due = if frames.pieces.is_empty() {
            start + script.first
        } else {
            start
        };
        if let Some(next) = self
            .struck(&mut strike, true, &frames.tail, due, &mut flight)
            .await?
        {
            return Ok(next);
        }
        self.connection.wait(&self.server.timer, due).await?;
        flight.end(script.finish);
        let finish = Some(script.finish.word());
        self.connection
            .send(&frames.tail, &self.record, |truth, at| truth.mark_end(at, finish))
            .await?;
        if frames.tail.is_empty() {
            lock(&self.record).mark_end(self.server.clock.now(), finish);
        }
        Ok(if framing == Framing::Chunked {
            Next::Stay
        } else {
            Next::Close
        })
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

    fn frames<'s>(
        &self,
        ask: &Ask,
        script: &'s Script,
        fault: Option<InducedFault>,
        framing: Framing,
    ) -> Frames<'s> {
        let events = self.events(ask, fault);
        let mut lead = Vec::new();
        if let Some(role) = events.role(RoleChunk::WithFirstToken) {
            framing.event(&mut lead, role.as_bytes());
        }
        let (mut written, mut thinking) = (0, 0);
        let mut pieces = Vec::with_capacity(script.pieces.len());
        for (position, piece) in script.pieces.iter().enumerate() {
            written += piece.tokens;
            if piece.channel == Channel::Reasoning {
                thinking += piece.tokens;
            }
            let finish = (position + 1 == script.pieces.len()).then_some(script.finish);
            let mut frame = std::mem::take(&mut lead);
            framing.event(
                &mut frame,
                events.piece(piece, finish, written, thinking).as_bytes(),
            );
            pieces.push((frame, piece));
        }
        let mut tail = lead;
        if script.pieces.is_empty() {
            framing.event(&mut tail, events.finish_only(script.finish).as_bytes());
        }
        if let Some(usage) = events.last_usage(written, thinking) {
            framing.event(&mut tail, usage.as_bytes());
        }
        if fault != Some(InducedFault::NoDone) {
            framing.event(&mut tail, b"[DONE]");
        }
        framing.end(&mut tail);
        Frames { pieces, tail }
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
                strike.framing.event(
                    &mut bytes,
                    br#"{"id":"induced","choices":[{"index":0,"delta":{"content":"#,
                );
            }
            InducedFault::InvalidUtf8(_) => {
                let event =
                    b"{\"id\":\"induced\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\"\xff\xfe\"}}]}";
                strike.framing.event(&mut bytes, event);
            }
            InducedFault::Stall(_) => return Err(self.connection.gone().await.into()),
            InducedFault::ErrorEvent(_) => {
                strike
                    .framing
                    .event(&mut bytes, engine_error().json().to_string().as_bytes());
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
        let finish = Some(Finish::Error.word());
        self.connection
            .send(bytes, &self.record, |truth, at| truth.mark_end(at, finish))
            .await?;
        if bytes.is_empty() {
            lock(&self.record).mark_end(self.server.clock.now(), finish);
        }
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
        if last || self.written >= after {
            self.fault.take()
        } else {
            None
        }
    }
}
