//! A generation request from its arrival to the last byte of its answer; streams are in `stream`.
//!
//! Exists to decide what is answered: a refusal, a fault, an answer in one piece or a stream. Refuses to know how
//! requests are read and routed.

use serde_json::Value;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use crate::connection::{Connection, Gone, Request};
use crate::events::{Events, UsagePlaces, engine_error};
use crate::fault::InducedFault;
use crate::flight::Flight;
use crate::http::Response;
use crate::request::{self, ApiError, Ask, Route};
use crate::script::{self, Draft, Script, mixed};
use crate::server::Server;
use crate::stats::Finish;
use crate::truth::{Channel, Record, Truth, lock};

/// What becomes of the connection after an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Next {
    /// It takes the next request.
    Stay,
    /// It closes in order.
    Close,
    /// It is reset.
    Reset,
}

/// A broken connection leaves nothing to do but to close it.
impl From<Gone> for Next {
    fn from(Gone: Gone) -> Self {
        Self::Close
    }
}

impl From<std::io::Error> for Next {
    fn from(_: std::io::Error) -> Self {
        Self::Close
    }
}

/// One generation request being answered.
pub(crate) struct Generation<'a> {
    pub(crate) server: &'a Arc<Server>,
    pub(crate) connection: &'a mut Connection,
    pub(crate) record: Record,
    pub(crate) route: Route,
    pub(crate) id: String,
    pub(crate) http11: bool,
    pub(crate) keep_alive: bool,
    sequence: u64,
}

/// Answers a generation request.
pub(crate) async fn answer(
    server: &Arc<Server>,
    connection: &mut Connection,
    route: Route,
    request: &Request,
) -> Next {
    let sequence = server.counters.requests.fetch_add(1, Relaxed) + 1;
    let request_id = match &request.head.request_id {
        Some(id) => id.clone(),
        None => format!("{:016x}", mixed(server.options.seed, sequence, 4)),
    };
    let id = match route {
        Route::Chat => format!("chatcmpl-{request_id}"),
        Route::Completions => format!("cmpl-{request_id}"),
    };
    let record = server.store.open(Truth {
        id: id.clone(),
        request_id,
        sequence,
        path: request.head.path.clone(),
        arrival_ns: request.arrival_ns,
        ..Truth::default()
    });
    let mut generation = Generation {
        server,
        connection,
        record,
        route,
        id,
        http11: request.head.http11,
        keep_alive: request.head.keep_alive,
        sequence,
    };
    let next = match generation.run(request).await {
        Ok(next) | Err(next) => next,
    };
    let alive = server.count_answer();
    if next == Next::Stay && !(request.head.keep_alive && alive) { Next::Close } else { next }
}

impl Server {
    /// The JSON writer for a request's answer.
    pub(crate) fn events(&self, id: &str, route: Route, ask: &Ask, fault: Option<InducedFault>) -> Events {
        let usage = match fault {
            Some(InducedFault::NoUsage) => UsagePlaces::NOWHERE,
            _ => UsagePlaces::of(self.options.usage, ask),
        };
        let prompt_tokens = ask.prompt_tokens;
        Events {
            options: Arc::clone(&self.options),
            route,
            id: id.to_owned(),
            created: unix_seconds(),
            prompt_tokens,
            usage,
        }
    }
}

impl Generation<'_> {
    /// `Err` is no failure of ours: it is the way out where the connection broke.
    async fn run(&mut self, request: &Request) -> Result<Next, Next> {
        let ask = match self.understand(request) {
            Ok(ask) => ask,
            Err(error) => return self.refuse(&error, None).await,
        };
        let fault = match self.fault(request, &ask) {
            Ok(fault) => fault,
            Err(error) => return self.refuse(&error, None).await,
        };
        {
            let mut truth = lock(&self.record);
            truth.stream = ask.stream;
            truth.prompt_tokens = Some(ask.prompt_tokens);
            truth.fault = fault.map(|fault| fault.to_string());
        }
        if let Some(fault) = fault {
            self.server.counters.faults.fetch_add(1, Relaxed);
            if let Some(next) = self.fault_at_once(fault).await? {
                return Ok(next);
            }
        }
        let mut draft = Draft::draw(&self.server.options, self.route, &ask, self.sequence);
        if fault == Some(InducedFault::Empty) {
            draft = draft.emptied();
        }
        let flight = Flight::accept(self.server, self.record.clone(), ask.prompt_tokens);
        if ask.stream {
            self.stream(&ask, draft, fault, flight).await
        } else {
            self.whole(&ask, &draft.whole(), fault, flight).await
        }
    }

    fn understand(&self, request: &Request) -> Result<Ask, ApiError> {
        request::read(self.route, &request::object(&request.body)?, &self.server.options)
    }

    /// The fault to induce: the header's, the body's or that of the options, in this order.
    fn fault(&self, request: &Request, ask: &Ask) -> Result<Option<InducedFault>, ApiError> {
        match request.head.fault.as_ref().or(ask.fault.as_ref()) {
            None => Ok(script::induced(&self.server.options, self.sequence)),
            Some(text) => text.parse().map(Some).map_err(|fault: ai_energy_core::Fault| {
                ApiError::bad(
                    "simulate_fault",
                    format!("{}: {}; {}", fault.object, fault.cause, fault.remedy),
                )
            }),
        }
    }

    /// The faults that come before any generation; none where the request goes on.
    async fn fault_at_once(&mut self, fault: InducedFault) -> Result<Option<Next>, Next> {
        let (error, extra) = match fault {
            InducedFault::Refuse => {
                self.server.counters.refused.fetch_add(1, Relaxed);
                lock(&self.record).mark_end(self.server.clock.now(), None);
                return Ok(Some(Next::Reset));
            }
            InducedFault::SlowHeaders(delay) => {
                self.connection.wait(&self.server.timer, Instant::now() + delay).await?;
                return Ok(None);
            }
            InducedFault::HtmlError => {
                let page =
                    b"<html>\n<head><title>502 Bad Gateway</title></head>\n<body>induced</body>\n</html>\n";
                return self.reply(502, "text/html", page, None).await.map(Some);
            }
            InducedFault::RateLimited => (
                ApiError::server(429, "RateLimitError", "Too many requests (induced by the simulator)."),
                Some("retry-after: 1"),
            ),
            InducedFault::InternalError => (engine_error(), None),
            InducedFault::Unavailable => (
                ApiError::server(503, "ServiceUnavailableError", "Unavailable (induced by the simulator)."),
                None,
            ),
            _ => return Ok(None),
        };
        self.refuse(&error, extra).await.map(Some)
    }

    /// Answers with an error object.
    async fn refuse(&mut self, error: &ApiError, extra: Option<&str>) -> Result<Next, Next> {
        tracing::debug!(id = self.id, status = error.status, error.message, "refused");
        self.reply(error.status, "application/json", error.json().to_string().as_bytes(), extra).await
    }

    /// Answers without a generation.
    async fn reply(
        &mut self,
        status: u16,
        content_type: &str,
        body: &[u8],
        extra: Option<&str>,
    ) -> Result<Next, Next> {
        self.server.counters.refused.fetch_add(1, Relaxed);
        let bytes = self.response(status, content_type, body, extra);
        let mark = |truth: &mut Truth, at| {
            truth.mark_head(at, status);
            truth.mark_end(at, None);
        };
        self.connection.send(&bytes, &self.record, mark).await?;
        Ok(Next::Stay)
    }

    fn response(&self, status: u16, content_type: &str, body: &[u8], extra: Option<&str>) -> Vec<u8> {
        let response = Response {
            status,
            content_type,
            length: Some(body.len()),
            chunked: false,
            keep_alive: self.keep_alive,
            extra,
        };
        let mut bytes = response.head();
        bytes.extend_from_slice(body);
        bytes
    }

    /// Answers in one piece, once the last token would have come.
    async fn whole(
        &mut self,
        ask: &Ask,
        script: &Script,
        fault: Option<InducedFault>,
        mut flight: Flight,
    ) -> Result<Next, Next> {
        let start = flight.board(self.connection).await?;
        let timer = &self.server.timer;
        self.connection.wait(timer, start + script.first).await?;
        if let Some(last) = script.pieces.last() {
            flight.count(0);
            self.connection.wait(timer, start + last.due).await?;
            flight.count(script.completion_tokens);
        }
        if let Some(InducedFault::Stall(_)) = fault {
            return Err(self.connection.gone().await.into());
        }
        if let Some(InducedFault::ErrorEvent(_)) = fault {
            flight.end(Finish::Error);
            return self.refuse(&engine_error(), None).await;
        }
        let json = self.server.events(&self.id, self.route, ask, fault).whole(script);
        let body = spoiled(json, fault);
        let bytes = self.response(200, "application/json", &body, None);
        if let Some(InducedFault::Cut(_) | InducedFault::CutMidEvent(_)) = fault {
            flight.end(Finish::Error);
            let half = bytes.get(..bytes.len() - body.len() / 2).unwrap_or_default();
            self.connection.send(half, &self.record, |truth, at| truth.mark_head(at, 200)).await?;
            lock(&self.record).mark_end(self.server.clock.now(), Some(Finish::Error.word()));
            return Ok(Next::Close);
        }
        flight.end(script.finish);
        let mark = |truth: &mut Truth, at| {
            truth.mark_head(at, 200);
            if script.completion_tokens > 0 {
                truth.mark_tokens(at, script.completion_tokens, Channel::Content);
            }
            truth.mark_end(at, Some(script.finish.word()));
        };
        self.connection.send(&bytes, &self.record, mark).await?;
        Ok(Next::Stay)
    }
}

/// However a request ends, its truth has an end: where the client left, or the server died, it is this moment.
impl Drop for Generation<'_> {
    fn drop(&mut self) {
        let mut truth = lock(&self.record);
        if truth.end_ns.is_none() {
            truth.mark_end(self.server.clock.now(), Some(Finish::Abort.word()));
        }
    }
}

/// The bytes of a whole response, broken where a fault wants it.
fn spoiled(json: Value, fault: Option<InducedFault>) -> Vec<u8> {
    let mut body = json.to_string().into_bytes();
    match fault {
        Some(InducedFault::Malformed(_)) => body.truncate(body.len() / 2),
        Some(InducedFault::InvalidUtf8(_)) => {
            // Inside a string: behind the quote that opens the response's id.
            let at = body.windows(2).position(|pair| pair == b":\"").map_or(0, |colon| colon + 2);
            body.splice(at..at, [0xff, 0xfe]);
        }
        _ => {}
    }
    body
}

/// Seconds since 1970, for `created`.
pub(crate) fn unix_seconds() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}
