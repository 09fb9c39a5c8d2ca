//! Arguments of `simulate`: the simulator's options as flags.
//!
//! Refuses to know defaults: a flag that is not given leaves the simulator's own.

use ai_energy_simulator::{Count, Delay, FaultRule, Options, ReasoningField, RoleChunk, Usage};
use clap::Args;

/// Arguments of `simulate`. Delays are written like `20ms`, `uniform:10ms..50ms`, `normal:20ms,5ms`,
/// `lognormal:20ms,0.5`, `exponential:20ms`; counts like `4` or `uniform:1..4`.
#[derive(Debug, Args)]
pub struct SimulateArgs {
    /// Address to listen on
    #[arg(long, value_name = "HOST")]
    pub host: Option<String>,
    /// Port to listen on; 0 takes a free one, which is printed
    #[arg(long, value_name = "PORT", default_value_t = 8000)]
    pub port: u16,
    /// Name of the model that is served
    #[arg(long, value_name = "NAME")]
    pub model: Option<String>,
    /// Serve any model name instead of answering 404
    #[arg(long)]
    pub any_model: bool,
    /// Delay to the first token
    #[arg(long, value_name = "DELAY", help_heading = "Timing")]
    pub ttft: Option<Delay>,
    /// Further delay of the first token for each prompt token
    #[arg(long, value_name = "DELAY", help_heading = "Timing")]
    pub prefill_per_token: Option<Delay>,
    /// Delay between tokens
    #[arg(long, value_name = "DELAY", help_heading = "Timing")]
    pub inter_token: Option<Delay>,
    /// Delay of single writes that does not shift the ones after it
    #[arg(long, value_name = "DELAY", help_heading = "Timing")]
    pub jitter: Option<Delay>,
    /// Poll the clock for that many microseconds before each deadline, for sharper timing
    #[arg(long, value_name = "US", help_heading = "Timing")]
    pub spin_us: Option<u32>,
    /// Tokens in one chunk
    #[arg(long, value_name = "COUNT", help_heading = "Tokens")]
    pub tokens_per_chunk: Option<Count>,
    /// Tokens until the model stops of itself; unset, an answer has what the request allows
    #[arg(long, value_name = "COUNT", help_heading = "Tokens")]
    pub output_tokens: Option<Count>,
    /// Thinking tokens before the answer
    #[arg(long, value_name = "COUNT", help_heading = "Tokens")]
    pub reasoning_tokens: Option<Count>,
    /// Field that holds the thinking: reasoning or reasoning_content
    #[arg(long, value_name = "FIELD", help_heading = "Tokens")]
    pub reasoning_field: Option<ReasoningField>,
    /// When the chunk that names the role comes: with_first_token, before_first_token, never
    #[arg(long, value_name = "WHEN", help_heading = "Tokens")]
    pub role_chunk: Option<RoleChunk>,
    /// When token counts are said: on_request, never, always, continuous, in_finish_chunk
    #[arg(long, value_name = "WHEN", help_heading = "Tokens")]
    pub usage: Option<Usage>,
    /// Most tokens of an answer where the request does not say
    #[arg(long, value_name = "N", help_heading = "Tokens")]
    pub default_max_tokens: Option<u32>,
    /// Longest prompt and answer together, in tokens
    #[arg(long, value_name = "N", help_heading = "Tokens")]
    pub max_model_len: Option<u32>,
    /// Most requests served at a time; the rest wait
    #[arg(long, value_name = "N", help_heading = "Load and faults")]
    pub max_concurrent: Option<u32>,
    /// A fault, for example 500, stall:5, cut:5; with @4 on every fourth request, with @10% on that share; may be
    /// given several times
    #[arg(long = "fault", value_name = "RULE", help_heading = "Load and faults")]
    pub faults: Vec<FaultRule>,
    /// Die after that many generations: stop listening, drop every connection
    #[arg(long, value_name = "N", help_heading = "Load and faults")]
    pub die_after: Option<u64>,
    /// Seed of everything that is drawn
    #[arg(long, value_name = "N")]
    pub seed: Option<u64>,
    /// Requests of which the truth is kept for GET /truth
    #[arg(long, value_name = "N")]
    pub truth_capacity: Option<usize>,
}

impl SimulateArgs {
    /// The simulator's options with what the flags set.
    pub fn options(&self) -> Options {
        let mut options = Options { port: self.port, any_model: self.any_model, ..Options::default() };
        set(&mut options.host, &self.host);
        set(&mut options.model, &self.model);
        set(&mut options.ttft, &self.ttft);
        set(&mut options.prefill_per_token, &self.prefill_per_token);
        set(&mut options.inter_token, &self.inter_token);
        set(&mut options.jitter, &self.jitter);
        set(&mut options.spin_us, &self.spin_us);
        set(&mut options.tokens_per_chunk, &self.tokens_per_chunk);
        set(&mut options.reasoning_tokens, &self.reasoning_tokens);
        set(&mut options.reasoning_field, &self.reasoning_field);
        set(&mut options.role_chunk, &self.role_chunk);
        set(&mut options.usage, &self.usage);
        set(&mut options.default_max_tokens, &self.default_max_tokens);
        set(&mut options.max_model_len, &self.max_model_len);
        set(&mut options.seed, &self.seed);
        set(&mut options.truth_capacity, &self.truth_capacity);
        options.output_tokens = self.output_tokens.or(options.output_tokens);
        options.max_concurrent = self.max_concurrent.or(options.max_concurrent);
        options.die_after = self.die_after.or(options.die_after);
        options.faults.extend(self.faults.iter().copied());
        options
    }
}

fn set<T: Clone>(option: &mut T, flag: &Option<T>) {
    if let Some(value) = flag {
        option.clone_from(value);
    }
}
