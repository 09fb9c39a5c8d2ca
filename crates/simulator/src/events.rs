//! The JSON of a generation: stream events and whole responses, in the fields and the order of vLLM's.
//!
//! Exists so that the shape of an answer is in one place. Refuses to know when anything is written.

use serde_json::{Map, Value, json};
use std::io::Write as _;
use std::sync::Arc;

use crate::options::{Options, RoleChunk, Usage};
use crate::request::{ApiError, Ask, Route};
use crate::script::{Piece, Script};
use crate::stats::Finish;
use crate::truth::Channel;

/// Where token counts go in a response.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct UsagePlaces {
    /// In every chunk.
    pub(crate) each: bool,
    /// In the chunk that holds the finish reason.
    pub(crate) finish: bool,
    /// In a chunk of its own behind all others.
    pub(crate) last: bool,
    /// In a response that is not streamed.
    pub(crate) whole: bool,
}

impl UsagePlaces {
    pub(crate) fn of(usage: Usage, ask: &Ask) -> Self {
        let none = Self { each: false, finish: false, last: false, whole: true };
        match usage {
            Usage::Never => Self { whole: false, ..none },
            Usage::OnRequest => Self { each: ask.continuous_usage, last: ask.include_usage, ..none },
            Usage::Always => Self { each: ask.continuous_usage, last: true, ..none },
            Usage::Continuous => Self { each: true, last: true, ..none },
            Usage::InFinishChunk => Self { each: ask.continuous_usage, finish: true, ..none },
        }
    }

    pub(crate) const NOWHERE: Self = Self { each: false, finish: false, last: false, whole: false };
}

/// Writes the JSON of one generation.
pub(crate) struct Events {
    pub(crate) options: Arc<Options>,
    pub(crate) route: Route,
    pub(crate) id: String,
    /// Seconds since 1970.
    pub(crate) created: u64,
    pub(crate) prompt_tokens: u32,
    pub(crate) usage: UsagePlaces,
}

impl Events {
    /// The chunk that names the role; none for plain completions, which know no roles.
    pub(crate) fn role(&self, when: RoleChunk) -> Option<String> {
        if self.route == Route::Completions || self.options.role_chunk != when {
            return None;
        }
        let choice = json!({"index": 0, "delta": {"role": "assistant", "content": ""}, "logprobs": null, "finish_reason": null});
        Some(self.chunk(Some(choice), self.usage.each.then(|| self.count(0, 0))))
    }

    /// The chunk of a piece; `written` are the completion tokens up to and with it, `thinking` those of them that are.
    pub(crate) fn piece(&self, piece: &Piece, finish: Option<Finish>, written: u32, thinking: u32) -> String {
        let with_usage = self.usage.each || (self.usage.finish && finish.is_some());
        let usage = with_usage.then(|| self.count(written, thinking));
        self.chunk(Some(self.choice(&piece.text, piece.channel, finish)), usage)
    }

    /// What stands before and behind the text of a piece in the middle; `None` where it cannot be told apart.
    pub(crate) fn surroundings(&self, channel: Channel) -> Option<Surroundings> {
        // A control character stands in no other field: its escape marks the place.
        let event = self.chunk(Some(self.choice("\u{1}", channel, None)), None);
        let (before, after) = event.split_once("\\u0001")?;
        (!after.contains("\\u0001")).then(|| Surroundings { before: before.into(), after: after.into() })
    }

    /// A chunk that holds a finish reason and nothing else.
    pub(crate) fn finish_only(&self, finish: Finish) -> String {
        let usage = (self.usage.each || self.usage.finish).then(|| self.count(0, 0));
        self.chunk(Some(self.choice("", Channel::Content, Some(finish))), usage)
    }

    /// The chunk behind all others that holds the counts, where there is to be one.
    pub(crate) fn last_usage(&self, written: u32, thinking: u32) -> Option<String> {
        self.usage.last.then(|| self.chunk(None, Some(self.count(written, thinking))))
    }

    /// The response in one piece.
    pub(crate) fn whole(&self, script: &Script) -> Value {
        let text = script.text(Channel::Content);
        let finish = script.finish.word();
        let choice = match self.route {
            Route::Completions => {
                json!({"index": 0, "text": text, "logprobs": null, "finish_reason": finish, "stop_reason": null})
            }
            Route::Chat => {
                let mut message = Map::new();
                message.insert("role".to_owned(), "assistant".into());
                message.insert("content".to_owned(), text.into());
                if script.reasoning_tokens > 0 {
                    let field = self.options.reasoning_field.to_string();
                    message.insert(field, script.text(Channel::Reasoning).into());
                }
                json!({"index": 0, "message": message, "logprobs": null, "finish_reason": finish, "stop_reason": null})
            }
        };
        let object = match self.route {
            Route::Chat => "chat.completion",
            Route::Completions => "text_completion",
        };
        let mut response = self.envelope(object, Some(choice));
        if self.usage.whole {
            let counts = self.count(script.completion_tokens, script.reasoning_tokens);
            response.insert("usage".to_owned(), counts);
        }
        Value::Object(response)
    }

    fn choice(&self, text: &str, channel: Channel, finish: Option<Finish>) -> Value {
        let finish = finish.map(Finish::word);
        match self.route {
            Route::Completions => {
                json!({"index": 0, "text": text, "logprobs": null, "finish_reason": finish, "stop_reason": null})
            }
            Route::Chat => {
                let field = match channel {
                    Channel::Reasoning => self.options.reasoning_field.to_string(),
                    Channel::Content | Channel::Eos => "content".to_owned(),
                };
                let delta = Map::from_iter([(field, Value::from(text))]);
                json!({"index": 0, "delta": delta, "logprobs": null, "finish_reason": finish})
            }
        }
    }

    fn chunk(&self, choice: Option<Value>, usage: Option<Value>) -> String {
        let object = match self.route {
            Route::Chat => "chat.completion.chunk",
            Route::Completions => "text_completion",
        };
        let mut chunk = self.envelope(object, choice);
        if let Some(usage) = usage {
            chunk.insert("usage".to_owned(), usage);
        }
        Value::Object(chunk).to_string()
    }

    fn envelope(&self, object: &str, choice: Option<Value>) -> Map<String, Value> {
        Map::from_iter([
            ("id".to_owned(), self.id.as_str().into()),
            ("object".to_owned(), object.into()),
            ("created".to_owned(), self.created.into()),
            ("model".to_owned(), self.options.model.as_str().into()),
            ("choices".to_owned(), choice.into_iter().collect()),
        ])
    }

    fn count(&self, written: u32, thinking: u32) -> Value {
        let prompt = u64::from(self.prompt_tokens);
        let mut usage = json!({
            "prompt_tokens": prompt,
            "total_tokens": prompt + u64::from(written),
            "completion_tokens": written,
        });
        if thinking > 0 {
            usage["completion_tokens_details"] = json!({"reasoning_tokens": thinking});
        }
        usage
    }
}

/// The error object that an `error_event` fault sends inside a stream, and the body of a response that failed.
pub(crate) fn engine_error() -> ApiError {
    ApiError::server(
        500,
        "InternalServerError",
        "EngineCore encountered an issue (induced by the simulator).",
    )
}

/// The JSON around a text.
pub(crate) struct Surroundings {
    pub(crate) before: Vec<u8>,
    pub(crate) after: Vec<u8>,
}

/// Whether a text stands in JSON as it is.
pub(crate) fn is_plain_text(text: &str) -> bool {
    text.bytes().all(|byte| byte >= 0x20 && byte != b'"' && byte != b'\\')
}

/// How the bytes of a response body are delimited.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Framing {
    /// HTTP/1.1's chunks.
    Chunked,
    /// By the end of the connection, for HTTP/1.0.
    UntilClose,
}

impl Framing {
    /// Appends one server-sent event whose data is `data`.
    pub(crate) fn event(self, out: &mut Vec<u8>, data: &[u8]) {
        self.event_of(out, [data]);
    }

    /// The same from parts.
    pub(crate) fn event_of<const N: usize>(self, out: &mut Vec<u8>, parts: [&[u8]; N]) {
        let length = parts.iter().map(|part| part.len()).sum::<usize>() + b"data: \n\n".len();
        if self == Self::Chunked {
            // Writing to a vector cannot fail.
            let _ = write!(out, "{length:x}\r\n");
        }
        out.extend_from_slice(b"data: ");
        parts.iter().for_each(|part| out.extend_from_slice(part));
        out.extend_from_slice(b"\n\n");
        if self == Self::Chunked {
            out.extend_from_slice(b"\r\n");
        }
    }

    /// Appends what ends the body.
    pub(crate) fn end(self, out: &mut Vec<u8>) {
        if self == Self::Chunked {
            out.extend_from_slice(b"0\r\n\r\n");
        }
    }
}
