//! Which request gets which answer.
//!
//! Exists to keep the list of paths in one place. Refuses to know how a generation goes.

use serde_json::{Value, json};
use std::sync::Arc;

use crate::connection::{Connection, NoRequest, Request};
use crate::generate::{self, Next, unix_seconds};
use crate::http::{self, Response};
use crate::request::{self, ApiError, Route};
use crate::server::Server;
use crate::tokens;

/// Every path and the method that it takes.
const PATHS: [(&str, &str); 8] = [
    ("/health", "GET"),
    ("/version", "GET"),
    ("/metrics", "GET"),
    ("/truth", "GET"),
    ("/v1/models", "GET"),
    ("/v1/chat/completions", "POST"),
    ("/v1/completions", "POST"),
    ("/tokenize", "POST"),
];

/// A response that has nothing to do with a generation.
struct Plain {
    status: u16,
    content_type: &'static str,
    body: Vec<u8>,
    extra: Option<String>,
}

impl Plain {
    fn json(status: u16, value: &Value) -> Self {
        Self { status, content_type: "application/json", body: value.to_string().into_bytes(), extra: None }
    }

    fn error(error: &ApiError) -> Self {
        Self::json(error.status, &error.json())
    }
}

/// Answers a client's requests until the connection ends.
pub(crate) async fn serve(server: &Arc<Server>, mut connection: Connection) {
    let next = loop {
        match answer_one(server, &mut connection).await {
            Next::Stay => {}
            next => break next,
        }
    };
    match next {
        Next::Reset => connection.reset(),
        Next::Close | Next::Stay => connection.close().await,
    }
}

async fn answer_one(server: &Arc<Server>, connection: &mut Connection) -> Next {
    let request = match connection.request().await {
        Ok(request) => request,
        Err(NoRequest::Gone) => return Next::Close,
        Err(NoRequest::Refused(refusal)) => {
            let error = ApiError {
                status: refusal.status,
                message: refusal.message,
                kind: "BadRequestError",
                param: None,
            };
            send(connection, &Plain::error(&error), false).await;
            return Next::Close;
        }
    };
    // The request has its arrival; others that came with it get theirs before any is answered. Else a burst would wait in
    // this server's own queue, and the truth would begin after that wait.
    tokio::task::yield_now().await;
    let head = &request.head;
    let known = PATHS.iter().find(|(path, _)| *path == head.path);
    let plain = match known {
        None => Plain::json(404, &json!({"detail": "Not Found"})),
        Some((_, method)) if *method != head.method => {
            let mut refused = Plain::json(405, &json!({"detail": "Method Not Allowed"}));
            refused.extra = Some(format!("allow: {method}"));
            refused
        }
        Some(("/v1/chat/completions", _)) => {
            return generate::answer(server, connection, Route::Chat, &request).await;
        }
        Some(("/v1/completions", _)) => {
            return generate::answer(server, connection, Route::Completions, &request).await;
        }
        Some((path, _)) => plain(server, path, &request),
    };
    if send(connection, &plain, head.keep_alive).await && head.keep_alive { Next::Stay } else { Next::Close }
}

async fn send(connection: &Connection, plain: &Plain, keep_alive: bool) -> bool {
    let response = Response {
        status: plain.status,
        content_type: plain.content_type,
        length: Some(plain.body.len()),
        chunked: false,
        keep_alive,
        extra: plain.extra.as_deref(),
    };
    let mut bytes = response.head();
    bytes.extend_from_slice(&plain.body);
    connection.send_plain(&bytes).await.is_ok()
}

fn plain(server: &Server, path: &str, request: &Request) -> Plain {
    match path {
        "/version" => Plain::json(200, &json!({"version": env!("CARGO_PKG_VERSION")})),
        "/v1/models" => Plain::json(200, &models(server)),
        "/metrics" => Plain {
            status: 200,
            content_type: "text/plain; version=0.0.4; charset=utf-8",
            body: server.counters.prometheus(&server.options.model, server.started).into_bytes(),
            extra: None,
        },
        "/truth" => truth(server, &request.head.query),
        "/tokenize" => match tokenize(server, &request.body) {
            Ok(value) => Plain::json(200, &value),
            Err(error) => Plain::error(&error),
        },
        _ => Plain { status: 200, content_type: "", body: Vec::new(), extra: None },
    }
}

fn models(server: &Server) -> Value {
    let options = &server.options;
    json!({"object": "list", "data": [{
        "id": options.model,
        "object": "model",
        "created": unix_seconds(),
        "owned_by": http::SERVER,
        "root": options.model,
        "parent": null,
        "max_model_len": options.max_model_len,
    }]})
}

/// `?reset=1` forgets what is handed out; `?format=jsonl` gives one request a line without the frame around them.
fn truth(server: &Server, query: &str) -> Plain {
    let report = server.store.report(&server.clock);
    let lines = http::parameter(query, "format") == Some("jsonl");
    let body = if lines {
        let mut body = Vec::new();
        let written = report.requests.iter().try_for_each(|truth| {
            serde_json::to_writer(&mut body, truth)?;
            body.push(b'\n');
            Ok(())
        });
        written.map(|()| body)
    } else {
        serde_json::to_vec(&report)
    };
    let body = match body {
        Ok(body) => body,
        Err(error) => {
            let error: serde_json::Error = error;
            return Plain::error(&ApiError::server(500, "InternalServerError", &error.to_string()));
        }
    };
    if matches!(http::parameter(query, "reset"), Some("1" | "true")) {
        server.store.forget(&report);
    }
    let content_type = if lines { "application/x-ndjson" } else { "application/json" };
    Plain { status: 200, content_type, body, extra: None }
}

/// vLLM's `/tokenize`: a prompt or messages in, count and ids out; `return_token_strs` adds the pieces. The ids of a
/// chat are those of its roles and texts in order.
fn tokenize(server: &Server, body: &[u8]) -> Result<Value, ApiError> {
    let body = request::object(body)?;
    request::check_model(&body, &server.options)?;
    let text = match request::text(&body, "prompt")? {
        Some(prompt) => prompt.to_owned(),
        None => request::chat_text(&body)?,
    };
    let pieces: Vec<String> = tokens::pieces(&text).collect();
    let ids: Vec<u32> = pieces.iter().map(|piece| tokens::id(piece)).collect();
    let strings = request::boolean(&body, "return_token_strs")?.unwrap_or(false).then_some(pieces);
    Ok(json!({
        "count": ids.len(),
        "max_model_len": server.options.max_model_len,
        "tokens": ids,
        "token_strs": strings,
    }))
}
