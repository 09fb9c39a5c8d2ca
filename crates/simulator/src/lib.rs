//! An OpenAI-compatible server that generates nothing and knows everything: it answers with made-up words at set
//! times, keeps the truth about each write, and misbehaves on request.
//!
//! Exists because a client that measures latency has to be measured itself, against a server whose times are known and
//! not believed. Refuses to know any client, this project's included, and to claim anything that it intended: its
//! truth is what it did.
//!
//! # Calibrating a client
//!
//! 1. Start a simulator with delays that the client cannot guess, on the machine that the client runs on:
//!    `ttft: uniform:5ms..80ms`, `inter_token: lognormal:6ms,0.6`, `tokens_per_chunk: uniform:1..3`,
//!    `jitter: exponential:200us`, a `seed` of its own, and a `truth_capacity` that holds the run.
//! 2. Run the client against it, with an `X-Request-Id` header of its own on each request, at the concurrency of the
//!    real measurement.
//! 3. Fetch `/truth` and pair its `requests` with the client's by `request_id`. For each pair compare
//!    - the time to first token: `first_token_ns - arrival_ns` with the client's first token less its moment of sending;
//!    - the gaps between tokens: differences of `writes[i][0]` with those of the client's chunks (a write whose channel
//!      is `eos` holds a token and no text, so most clients see no token in it);
//!    - the tokens: `prompt_tokens` and `completion_tokens` with what the client counted.
//! 4. What is left is the client's own error and the loopback's: it should be far below the delays that are to be
//!    measured, at the median and at the 99th percentile. Compare also the counters of `/metrics` before and after.
//!
//! On Linux the stamps are `CLOCK_MONOTONIC`, which every program on the machine can read: a client that keeps it
//! can split its error into the way there, the way back and its own share.
//!
//! # What a stamp means
//!
//! A write is stamped immediately before the system call that hands its last byte to the kernel, with the request's
//! record locked until the call returns. So a client cannot have a byte before its stamp, and whoever asks for the
//! truth because it has seen a byte finds the stamp there. Sockets have `TCP_NODELAY`; each write of tokens is a system
//! call of its own. The arrival is stamped when the read that completed the request returns.
//!
//! # Timing
//!
//! Delays are laid out as a schedule from the start of service, so lateness does not add up. The runtime's timer counts
//! whole milliseconds; deadlines are therefore kept by a thread of the server's own, which writes what streams have due
//! without waking a task, late by some tens of microseconds on a quiet machine, less with `spin_us`. Lateness does no harm to a calibration: the truth is stamped anyway.
//!
//! # Faults
//!
//! [`FAULT_NAMES`] lists them. A request asks for one with the header `X-Simulate-Fault` or the body field
//! `simulate_fault`; the option `faults` induces them at a rate or on every nth request. Where a response is not
//! streamed, the number of tokens that a fault waits for means nothing, and the fault breaks the one body.
//!
//! # What it leaves out
//!
//! One answer a request (`n` of 1), one prompt a completion. Stop strings, sampling parameters, tools and logprobs are
//! accepted and change nothing. A client that closes its sending side counts as gone, as it does to vLLM.
//!
//! # In a test
//!
//! ```
//! use ai_energy_simulator::{Options, Simulator};
//! use std::io::{Read, Write};
//!
//! let options = Options { ttft: "5ms".parse()?, inter_token: "1ms".parse()?, ..Options::default() };
//! let server = Simulator::spawn_thread(options)?;
//!
//! let body = r#"{"prompt": "how long is a token", "max_tokens": 4, "stream": true}"#;
//! let mut client = std::net::TcpStream::connect(server.local_addr())?;
//! write!(client, "POST /v1/completions HTTP/1.1\r\nConnection: close\r\nX-Request-Id: mine\r\n")?;
//! write!(client, "Content-Length: {}\r\n\r\n{body}", body.len())?;
//! let mut answer = String::new();
//! client.read_to_string(&mut answer)?;
//! assert!(answer.contains("data: [DONE]"));
//!
//! let truth = server.truth().remove(0);
//! assert_eq!((truth.request_id.as_str(), truth.completion_tokens), ("mine", 4));
//! assert!(truth.first_token_ns.ok_or("no token")? - truth.arrival_ns >= 5_000_000);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod clock;
mod connection;
mod distribution;
mod events;
mod fault;
mod flight;
mod flow;
mod framer;
mod generate;
mod handle;
mod http;
mod options;
mod quantity;
mod request;
mod routes;
mod script;
mod server;
mod stats;
mod stream;
mod timer;
pub mod tokens;
mod truth;

pub use clock::ServerClock;
pub use distribution::{Count, Delay, Distribution};
pub use fault::{FAULT_NAMES, FaultRule, InducedFault, When};
pub use handle::{Handle, View};
pub use options::{Options, ReasoningField, RoleChunk, Usage};
pub use quantity::{Nanoseconds, Quantity, Tokens};
pub use server::{Ended, Simulator};
pub use stats::Stats;
pub use truth::{Channel, TokenWrite, Truth, TruthReport};
