//! The backend for any OpenAI-compatible server: vLLM, llama.cpp, transformers serve and others that speak the same
//! routes.
//!
//! Exists so that a token's instant is the instant its bytes left the socket. A request runs in one task from the
//! first byte sent to the last byte read: `link` reads the connection in the task that waits for it, `socket`
//! stamps each read below TLS and before parsing, `head` and `dechunk` know HTTP/1.1, `sse` cuts the stream into events, `account` says what they amount
//! to. A connection is made before `sent` is stamped, so connecting never counts as the server's time to first token.
//!
//! Refuses to schedule, to print and to compute figures; refuses to know config files and other backends.
//!
//! # Against a real server
//!
//! The test `tests/real_server.rs` holds our counts against a server's own. It does nothing, and passes, unless a
//! server is named:
//!
//! ```text
//! AI_ENERGY_TEST_ENDPOINT=http://127.0.0.1:8000/v1 \
//!     cargo nextest run -p ai-energy-backends-vllm real_server --no-capture
//! ```

mod account;
mod backend;
mod body;
mod client;
mod counters;
mod dechunk;
mod dial;
mod endpoint;
mod event;
mod failure;
mod head;
mod identity;
mod link;
mod options;
mod proxy;
mod refusal;
mod socket;
mod sse;
mod template;
mod tls;
mod traffic;
mod validate;
mod watch;

pub use backend::VllmBackend;
pub use options::{Api, MaxTokensField, Options, ServerOptions};
pub use validate::served_models;
