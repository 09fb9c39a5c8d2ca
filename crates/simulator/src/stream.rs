//! An answer as a stream of server-sent events.
//!
//! Exists to write the head, to hand what follows to the timer's thread, and to do what that cannot: wait for the client.
//! Refuses to decide what is written, and when.

use std::sync::Arc;

use crate::events::Framing;
use crate::fault::InducedFault;
use crate::flight::Flight;
use crate::flow::{Course, Flow, Leaving, Lent, Parts};
use crate::framer::Framer;
use crate::generate::{Generation, Next};
use crate::http::Response;
use crate::options::RoleChunk;
use crate::request::Ask;
use crate::script::Draft;

impl Generation<'_> {
    /// Streams an answer.
    pub(crate) async fn stream(
        &mut self,
        ask: &Ask,
        draft: Draft,
        fault: Option<InducedFault>,
        mut flight: Flight,
    ) -> Result<Next, Next> {
        let framing = if self.http11 { Framing::Chunked } else { Framing::UntilClose };
        let events = self.server.events(&self.id, self.route, ask, fault);
        let mut head = self.stream_head(framing);
        if let Some(role) = events.role(RoleChunk::BeforeFirstToken) {
            framing.event(&mut head, role.as_bytes());
        }
        self.connection.send(&head, &self.record, |truth, at| truth.mark_head(at, 200)).await?;
        let start = flight.board(self.connection).await?;
        let course = Course::new(Parts {
            server: Arc::clone(self.server),
            stream: self.connection.stream(),
            record: Arc::clone(&self.record),
            flight,
            draft,
            framer: Framer::new(events, framing),
            fault,
            start,
        });
        self.follow(Box::new(course)).await
    }

    /// Lends the course to the timer's thread until it is over or the client is gone.
    async fn follow(&mut self, mut course: Box<Course>) -> Result<Next, Next> {
        let mut leaving = course.prepare().err();
        loop {
            match leaving {
                None => {}
                Some(Leaving::Over(next)) => return Ok(next),
                Some(Leaving::Blocked) => self.connection.writable().await?,
                Some(Leaving::Stalled) => return Err(self.connection.gone().await.into()),
                Some(Leaving::Broken) => return Err(Next::Close),
            }
            let (flow, due, mut back) = Flow::lend(course);
            let lent = Lent(Arc::clone(&flow));
            self.server.timer.lend(due, flow);
            let returned = tokio::select! {
                biased;
                returned = &mut back => returned,
                gone = self.connection.gone() => return Err(gone.into()),
            };
            drop(lent);
            // An error means the timer has ended, and the server with it.
            let (returned, why) = returned.map_err(|_| Next::Close)?;
            (course, leaving) = (returned, Some(why));
        }
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
}
