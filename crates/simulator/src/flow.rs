//! A stream that is written at its times by the timer's own thread: no task wakes for a token, and no channel carries one.
//!
//! A [`Course`] holds all that a stream needs; the thread lends it, step by step, until it is over or needs what only the
//! connection's task can do: wait for room in the socket, or for the client to go. Exists so that a token costs its copy, its
//! stamp and its system call. Refuses to read from the socket.

use std::io;
use std::sync::{Arc, Mutex};
use std::time::Instant;
use tokio::net::TcpStream;
use tokio::sync::oneshot;

use crate::connection::write_marked;
use crate::events::{Framing, engine_error};
use crate::fault::InducedFault;
use crate::flight::Flight;
use crate::framer::Framer;
use crate::generate::Next;
use crate::script::{Draft, Piece};
use crate::server::Server;
use crate::stats::Finish;
use crate::truth::{Channel, Record, Truth, lock};

/// Most bytes of pieces that are overdue and go out in one write.
const BURST: usize = 16 << 10;

/// Why a course goes back to its connection's task.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Leaving {
    /// Everything is written.
    Over(Next),
    /// The socket has no room.
    Blocked,
    /// A fault wants that nothing comes any more.
    Stalled,
    /// The connection broke.
    Broken,
}

/// What the bytes that are ready are.
#[derive(Debug, Clone, Copy)]
enum Kind {
    /// Pieces, each with its mark.
    Pieces,
    /// What a fault says between two pieces.
    Aside,
    /// The stream's last bytes, and what comes after them.
    End(Finish, Next),
}

/// What a stream is made of.
pub(crate) struct Parts {
    pub(crate) server: Arc<Server>,
    pub(crate) stream: Arc<TcpStream>,
    pub(crate) record: Record,
    pub(crate) flight: Flight,
    pub(crate) draft: Draft,
    pub(crate) framer: Framer,
    pub(crate) fault: Option<InducedFault>,
    /// When its service began: pieces are due from here.
    pub(crate) start: Instant,
}

/// A stream under way.
pub(crate) struct Course {
    parts: Parts,
    done: bool,
    /// Tokens of the pieces made so far, for the fault that waits for so many.
    written: u32,
    piece: Piece,
    /// `piece` has been drawn and is not among the bytes yet.
    drawn: bool,
    kind: Kind,
    bytes: Vec<u8>,
    /// Bytes of them that the kernel has.
    sent: usize,
    marks: Vec<(u32, Channel)>,
    uncounted: u32,
    due: Instant,
    tell: Option<oneshot::Sender<Back>>,
}

/// A course on its way back, and why.
pub(crate) type Back = (Box<Course>, Leaving);

impl Course {
    /// A stream whose head is written.
    pub(crate) fn new(parts: Parts) -> Self {
        let done = parts.fault != Some(InducedFault::NoDone);
        Self {
            due: parts.start,
            parts,
            done,
            written: 0,
            piece: Piece::empty(),
            drawn: false,
            kind: Kind::Aside,
            bytes: Vec::new(),
            sent: 0,
            marks: Vec::new(),
            uncounted: 0,
            tell: None,
        }
    }

    /// Makes the next bytes ready and says when they are due; or why there will be none.
    pub(crate) fn prepare(&mut self) -> Result<(), Leaving> {
        self.bytes.clear();
        self.marks.clear();
        self.sent = 0;
        self.drawn = self.drawn || self.parts.draft.next(&mut self.piece);
        match self.struck() {
            None => self.render(),
            Some(InducedFault::Stall(_)) => return Err(Leaving::Stalled),
            Some(InducedFault::CutMidEvent(_)) => {
                self.render();
                self.bytes.truncate(self.bytes.len() / 2);
                self.kind = Kind::End(Finish::Error, Next::Close);
            }
            Some(fault) => self.interject(fault),
        }
        Ok(())
    }

    /// The fault, once, when its moment has come: enough tokens are written, or there are no more.
    fn struck(&mut self) -> Option<InducedFault> {
        let after = match self.parts.fault? {
            InducedFault::Stall(after)
            | InducedFault::Cut(after)
            | InducedFault::CutMidEvent(after)
            | InducedFault::Malformed(after)
            | InducedFault::InvalidUtf8(after)
            | InducedFault::ErrorEvent(after) => after,
            _ => return None,
        };
        if !self.drawn || self.written >= after { self.parts.fault.take() } else { None }
    }

    /// What a fault has to say, at once.
    fn interject(&mut self, fault: InducedFault) {
        let framing = self.parts.framer.framing();
        let begun = b"{\"id\":\"induced\",\"choices\":[{\"index\":0,\"delta\":{\"content\":";
        (self.kind, self.due) = (Kind::Aside, self.parts.start);
        match fault {
            InducedFault::Malformed(_) => framing.event(&mut self.bytes, begun),
            InducedFault::InvalidUtf8(_) => {
                framing.event_of(&mut self.bytes, [begun, b"\"\xff\xfe\"}}]}"]);
            }
            InducedFault::ErrorEvent(_) => {
                framing.event(&mut self.bytes, engine_error().json().to_string().as_bytes());
                framing.event(&mut self.bytes, b"[DONE]");
                framing.end(&mut self.bytes);
                self.kind = Kind::End(Finish::Error, self.in_order());
            }
            _ => self.kind = Kind::End(Finish::Error, Next::Close),
        }
    }

    /// What follows a body that ended in order.
    fn in_order(&self) -> Next {
        if self.parts.framer.framing() == Framing::Chunked { Next::Stay } else { Next::Close }
    }

    /// The next piece's bytes, or those behind the last one.
    fn render(&mut self) {
        if self.drawn {
            self.kind = Kind::Pieces;
            return self.add_piece();
        }
        let Parts { framer, draft, start, .. } = &mut self.parts;
        self.due = if framer.is_empty() { *start + draft.first } else { *start };
        framer.tail(&mut self.bytes, draft.finish, self.done);
        self.kind = Kind::End(self.parts.draft.finish, self.in_order());
    }

    fn add_piece(&mut self) {
        let Parts { framer, draft, start, .. } = &mut self.parts;
        framer.piece(&mut self.bytes, &self.piece, draft.is_over().then_some(draft.finish));
        self.marks.push((self.piece.tokens, self.piece.channel));
        self.uncounted += self.piece.tokens;
        self.written += self.piece.tokens;
        self.due = *start + self.piece.due;
        self.drawn = false;
    }

    /// Adds what is overdue, which goes out together, as a server's does that is behind; a fault strikes between two pieces.
    fn gather(&mut self, now: Instant) {
        while self.bytes.len() < BURST && self.parts.fault.is_none() {
            self.drawn = self.drawn || self.parts.draft.next(&mut self.piece);
            if !self.drawn || self.parts.start + self.piece.due > now {
                return;
            }
            self.add_piece();
        }
    }

    /// Writes what is due and makes the next bytes ready; says when those are due.
    fn go(&mut self) -> Result<Instant, Leaving> {
        let now = Instant::now();
        if self.due > now {
            return Ok(self.due);
        }
        if self.sent == 0 && matches!(self.kind, Kind::Pieces) {
            self.gather(now);
        }
        // Before the bytes go out, so that a client which has them finds them counted.
        if self.uncounted > 0 && matches!(self.kind, Kind::Pieces) {
            self.parts.flight.count(std::mem::take(&mut self.uncounted));
        }
        if let Kind::End(finish, _) = self.kind {
            self.parts.flight.end(finish);
        }
        match self.write() {
            Ok(true) => {}
            Ok(false) => return Err(Leaving::Blocked),
            Err(_) => return Err(Leaving::Broken),
        }
        if let Kind::End(_, next) = self.kind {
            return Err(Leaving::Over(next));
        }
        self.prepare()?;
        // Whoever is behind takes turns with the others that are.
        Ok(self.due.max(now))
    }

    /// Writes the bytes that are left; `false` where the kernel has no room for them.
    fn write(&mut self) -> io::Result<bool> {
        let Parts { server, stream, record, .. } = &self.parts;
        let (kind, marks) = (self.kind, &self.marks);
        let mark = |truth: &mut Truth, at| match kind {
            Kind::Pieces => {
                marks.iter().for_each(|(tokens, channel)| truth.mark_tokens(at, *tokens, *channel));
            }
            Kind::Aside => {}
            Kind::End(finish, _) => truth.mark_end(at, Some(finish.word())),
        };
        if self.bytes.is_empty() {
            mark(&mut lock(record), server.clock.now());
        }
        while let Some(rest) = self.bytes.get(self.sent..).filter(|rest| !rest.is_empty()) {
            match write_marked(stream, rest, record, server.clock, mark) {
                Ok(count) => self.sent += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(false),
                Err(error) => return Err(error),
            }
        }
        Ok(true)
    }
}

/// A course that the timer's thread lends.
pub(crate) struct Flow(Mutex<Option<Box<Course>>>);

impl Flow {
    /// Lends a course; it comes back through the receiver. Its first bytes are due at the instant.
    pub(crate) fn lend(mut course: Box<Course>) -> (Arc<Self>, Instant, oneshot::Receiver<Back>) {
        let (tell, back) = oneshot::channel();
        course.tell = Some(tell);
        let due = course.due;
        (Arc::new(Self(Mutex::new(Some(course)))), due, back)
    }

    /// Takes one step; says when the next is due, where there is one here.
    pub(crate) fn step(&self) -> Option<Instant> {
        let mut slot = lock(&self.0);
        let leaving = match slot.as_mut()?.go() {
            Ok(due) => return Some(due),
            Err(leaving) => leaving,
        };
        let mut course = slot.take()?;
        drop(slot);
        if let Some(tell) = course.tell.take() {
            // A task that has gone needs nothing back.
            let _ = tell.send((course, leaving));
        }
        None
    }
}

/// Takes a course back when the task that waits for it goes: nothing is written for a client that is gone.
pub(crate) struct Lent(pub(crate) Arc<Flow>);

impl Drop for Lent {
    fn drop(&mut self) {
        let course = lock(&self.0.0).take();
        drop(course);
    }
}
