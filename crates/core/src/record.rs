//! The raw record of a run: what was sent, when each token came, what each counter read.
//!
//! Everything that a report says follows from this and nothing else; a record read back from disk gives the same
//! summary. Refuses to hold any computed figure.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::backend::{BackendInfo, Check};
use crate::clock::Stamp;
use crate::dataset::DatasetInfo;
use crate::energy::{Channel, EnergyReading, GpuSample, GpuState, UnavailableSource};
use crate::plan::Plan;
use crate::segment::Segment;
use crate::server::ServerSample;

pub use crate::chunks::Chunks;
pub use crate::client::ClientUsage;
pub use crate::observing::{SamplerFault, SamplerStats, SourceCost, Suspension};
pub use crate::offer::{ConversationTurn, Offer};
pub use crate::phase::{Phase, PhaseKind};

/// Which stream of a generation a chunk belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OutputChannel {
    /// The answer.
    Content,
    /// Thinking.
    Reasoning,
    /// A tool call.
    Tool,
}

/// One piece of a streamed generation: when it was read, what it belongs to, and the tokens in it where the server
/// counts them. Stored as `[t_ns, channel, tokens]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "(u64, OutputChannel, Option<u32>)", from = "(u64, OutputChannel, Option<u32>)")]
pub struct Chunk {
    /// When its bytes left the socket.
    pub at: Stamp,
    /// What it belongs to.
    pub channel: OutputChannel,
    /// Tokens in this chunk, where the server says.
    pub tokens: Option<u32>,
}

impl From<Chunk> for (u64, OutputChannel, Option<u32>) {
    fn from(chunk: Chunk) -> Self {
        (chunk.at.0, chunk.channel, chunk.tokens)
    }
}

impl From<(u64, OutputChannel, Option<u32>)> for Chunk {
    fn from((at, channel, tokens): (u64, OutputChannel, Option<u32>)) -> Self {
        Self { at: Stamp(at), channel, tokens }
    }
}

/// Where a token count comes from, best first.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, schemars::JsonSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum TokenCountSource {
    /// The server's `usage`, or the engine's own count.
    Server,
    /// The model's tokenizer over the generated text.
    Tokenizer,
    /// One token a chunk, an assumption.
    Chunks,
}

/// A number of tokens and where it comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct TokenCount {
    /// The number.
    pub tokens: u32,
    /// Where it comes from.
    pub source: TokenCountSource,
}

/// Why a generation ended without an error.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FinishReason {
    /// End of sequence or a stop string.
    Stop,
    /// The token limit.
    Length,
    /// A tool call.
    ToolCalls,
    /// Anything else, in the server's word.
    #[serde(untagged)]
    Other(String),
}

/// What kind of error ended a request. Reports count by it.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, schemars::JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum ErrorClass {
    /// The connection could not be made, or broke before a response.
    Connect,
    /// No connection within the connect time-out.
    ConnectTimeout,
    /// No first token within its time-out.
    FirstTokenTimeout,
    /// A stream fell silent for longer than the stall time-out.
    StallTimeout,
    /// The whole request took too long.
    TotalTimeout,
    /// 401 or 403.
    Auth,
    /// 404: no such model or route.
    NotFound,
    /// 429.
    RateLimited,
    /// Another 4xx.
    BadRequest,
    /// 5xx, or an error object inside a stream.
    Server,
    /// The response is not what the protocol says, for example an event that is no JSON.
    Protocol,
    /// The response ended before it was complete.
    Truncated,
    /// A complete response with no token in it.
    Empty,
    /// Ended by us: interrupted, or the run stopped early. Neither success nor failure.
    Cancelled,
    /// The engine or its process failed.
    Engine,
    /// This machine gave the client no further socket: no free file descriptor or port. Not the server's doing.
    ClientLimit,
}

/// An error of one request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RequestError {
    /// Its kind.
    pub class: ErrorClass,
    /// What the server or the system said, in one readable line.
    pub message: String,
    /// HTTP status, where there was one.
    pub status: Option<u16>,
}

/// Energy that a server reports for a request by itself (a response field `energy`).
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct ServerEnergy {
    /// Joules the server gives this request.
    pub energy_joules: Option<f64>,
    /// Mean power, W.
    pub avg_power_watts: Option<f64>,
    /// Span it speaks of, s.
    pub duration_seconds: Option<f64>,
    /// How it shares energy among concurrent requests.
    pub attribution_method: Option<String>,
    /// This request's share.
    pub attribution_ratio: Option<f64>,
}

/// What a backend saw of one generation. All stamps are of the run's clock.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Generation {
    /// Right before the request's last bytes were handed to the system, the connection being made already.
    #[serde(rename = "sent_ns")]
    pub sent: Option<Stamp>,
    /// Time that making the connection took before that, ns: names, TCP, a proxy, TLS. `None` on a kept connection.
    #[serde(rename = "connecting_ns", skip_serializing_if = "Option::is_none")]
    pub connecting: Option<u64>,
    /// First byte of the response, headers included.
    #[serde(rename = "first_byte_ns")]
    pub first_byte: Option<Stamp>,
    /// First token of any channel. `None` without streaming: the moment cannot be seen then.
    #[serde(rename = "first_token_ns")]
    pub first_token: Option<Stamp>,
    /// First token of the answer itself.
    #[serde(rename = "first_content_ns")]
    pub first_content: Option<Stamp>,
    /// Last byte of the response, or the moment of the error.
    #[serde(rename = "end_ns")]
    pub end: Stamp,
    /// Each chunk that carried tokens.
    pub chunks: Chunks,
    /// Tokens of the prompt.
    pub prompt_tokens: Option<TokenCount>,
    /// Tokens of the prompt that came from the server's cache, where it says.
    pub cached_prompt_tokens: Option<u32>,
    /// Tokens generated.
    pub completion_tokens: Option<TokenCount>,
    /// Of those, thinking tokens, where the server says.
    pub reasoning_tokens: Option<u32>,
    /// Why it ended.
    pub finish_reason: Option<FinishReason>,
    /// The name the server gave the response.
    pub response_id: Option<String>,
    /// Bytes of response body read.
    pub bytes_received: u64,
    /// The generated text, where it is kept.
    pub text: Option<String>,
    /// The server's own energy figures, where it gives them.
    pub server_energy: Option<Box<ServerEnergy>>,
    /// Which of several servers answered, by its place; `None` where there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub server: Option<u32>,
    /// What went wrong, if anything.
    pub error: Option<RequestError>,
}

/// One request of a run: a line of `requests.jsonl`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RequestRecord {
    /// Unique within the run.
    pub id: String,
    /// The prompt's position in the dataset.
    pub prompt_index: usize,
    /// When the load plan wanted it sent.
    #[serde(rename = "scheduled_ns")]
    pub scheduled: Stamp,
    /// How the load came to send it.
    #[serde(flatten)]
    pub offer: Offer,
    /// What the backend saw.
    #[serde(flatten)]
    pub generation: Generation,
}

impl RequestRecord {
    /// `true` where the generation is complete and has tokens.
    pub fn succeeded(&self) -> bool {
        self.generation.error.is_none()
    }

    /// `true` where we ended it ourselves.
    pub fn cancelled(&self) -> bool {
        matches!(&self.generation.error, Some(error) if error.class == ErrorClass::Cancelled)
    }

    /// `true` where it ended in an error that was not our doing.
    pub fn failed(&self) -> bool {
        !self.succeeded() && !self.cancelled()
    }
}

/// Why a run ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case", tag = "kind")]
pub enum Ending {
    /// All requests were run.
    Complete,
    /// Too many failures in a row.
    TooManyFailures {
        /// How many there were.
        in_a_row: u32,
    },
    /// A signal or the caller ended it.
    Interrupted,
    /// Nothing says how: its process was killed or crashed, and what it had written is all there is.
    Unfinished,
}

/// A grid's carbon intensity at the time of the run, as a service told it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct GridIntensity {
    /// The grid's zone in the service's own code, for example `DE` or `US-CAL-CISO`.
    pub zone: String,
    /// Intensity, gCO2e/kWh.
    pub g_per_kwh: f64,
    /// The hour it is of, RFC 3339, as the service wrote it.
    pub at: String,
    /// What it includes: `lifecycle` or `direct`, as the service says.
    pub kind: String,
    /// `true` where the service estimated it; `None` where it does not say.
    pub estimated: Option<bool>,
    /// The service, for reports.
    pub source: String,
}

/// Tokens since a server started, by its own counters, over all its clients.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServerCounters {
    /// Prompt tokens. Some servers leave out those taken from their cache.
    pub prompt_tokens: u64,
    /// Generated tokens.
    pub generation_tokens: u64,
}

/// Everything a run observed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RunRecord {
    /// What was to be done.
    pub plan: Plan,
    /// Wall time at the clock's origin, RFC 3339, UTC.
    pub started_at: String,
    /// What ran the model.
    pub backend: BackendInfo,
    /// Where the prompts came from.
    pub dataset: DatasetInfo,
    /// What validation looked at.
    pub checks: Vec<Check>,
    /// The server's own counters right before and right after the load, where it has them.
    #[serde(default)]
    pub server_counters: Option<[ServerCounters; 2]>,
    /// The server's own metrics about once a second: first right before the load, last right after it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub server_samples: Vec<ServerSample>,
    /// The stretches of the run.
    pub phases: Vec<Phase>,
    /// The measured requests in the order they ended. Missing in a [head](RunRecord::head).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub requests: Vec<RequestRecord>,
    /// Requests that were sent and are kept out of every figure: warm-up, cool-down, and attempts that a resumed run made
    /// again. Missing in a head.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unmeasured: Vec<RequestRecord>,
    /// What was read. Missing in a [head](RunRecord::head).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub channels: Vec<Channel>,
    /// The values read, by time. Missing in a [head](RunRecord::head).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub readings: Vec<EnergyReading>,
    /// What could not be read.
    pub unavailable_sources: Vec<UnavailableSource>,
    /// GPUs as they were last seen within the load.
    pub gpu_states: Vec<GpuState>,
    /// GPUs as they were seen about once a second, by time. Missing in a [head](RunRecord::head).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub gpu_samples: Vec<GpuSample>,
    /// What sampling cost.
    pub sampler: SamplerStats,
    /// What the client itself used.
    #[serde(default)]
    pub client: ClientUsage,
    /// The grid's intensity at the time, where a service was asked.
    #[serde(default)]
    pub grid: Option<GridIntensity>,
    /// The stretches between breaks, where the run was interrupted and resumed; empty where it was not.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub segments: Vec<Segment>,
    /// Why it ended.
    pub ending: Ending,
    /// `true` where any part was a fake: every report says so.
    pub synthetic: bool,
    /// Things the user should know.
    pub warnings: Vec<String>,
    /// The machine and the programs, as `cli` found them.
    pub environment: Map<String, Value>,
}

impl RunRecord {
    /// Everything but the long lists (requests, channels, readings, looks at the GPUs), which a journal keeps in files of their own.
    #[must_use]
    pub fn head(&self) -> Self {
        Self {
            plan: self.plan.clone(),
            started_at: self.started_at.clone(),
            backend: self.backend.clone(),
            dataset: self.dataset.clone(),
            checks: self.checks.clone(),
            server_counters: self.server_counters,
            server_samples: self.server_samples.clone(),
            phases: self.phases.clone(),
            requests: Vec::new(),
            unmeasured: Vec::new(),
            channels: Vec::new(),
            readings: Vec::new(),
            unavailable_sources: self.unavailable_sources.clone(),
            gpu_states: self.gpu_states.clone(),
            gpu_samples: Vec::new(),
            sampler: self.sampler.clone(),
            client: self.client.clone(),
            grid: self.grid.clone(),
            segments: Vec::new(),
            ending: self.ending.clone(),
            synthetic: self.synthetic,
            warnings: self.warnings.clone(),
            environment: self.environment.clone(),
        }
    }

    /// The window of the measured requests; `None` where none was sent.
    pub fn load_window(&self) -> Option<(Stamp, Stamp)> {
        self.phase(PhaseKind::Load).map(|phase| (phase.start, phase.end))
    }

    /// The first stretch of this kind.
    pub fn phase(&self, kind: PhaseKind) -> Option<Phase> {
        self.phases.iter().copied().find(|phase| phase.kind == kind)
    }
}
