//! What will be generated and when it is due, drawn before the first byte is written.
//!
//! Exists so that everything random about an answer is decided in one pure place, by seed. Refuses to know sockets
//! and clocks: its times count from the start of service.

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use std::time::Duration;

use crate::fault::InducedFault;
use crate::options::Options;
use crate::request::{Ask, Route};
use crate::stats::Finish;
use crate::tokens::Words;
use crate::truth::Channel;

/// Tokens that go out in one chunk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Piece {
    /// When it is due, from the start of service; jitter included.
    pub(crate) due: Duration,
    pub(crate) text: String,
    /// The tokens in it, an end-of-sequence token included.
    pub(crate) tokens: u32,
    pub(crate) channel: Channel,
}

/// An answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Script {
    /// When the first token is due, from the start of service, jitter aside.
    pub(crate) first: Duration,
    /// The chunks; the last one carries the finish reason. None at all for an induced empty answer.
    pub(crate) pieces: Vec<Piece>,
    pub(crate) finish: Finish,
    /// The tokens of all pieces together.
    pub(crate) completion_tokens: u32,
    /// Those of them that are thinking.
    pub(crate) reasoning_tokens: u32,
}

impl Script {
    /// An answer without a token.
    pub(crate) fn emptied(self) -> Self {
        Self { pieces: Vec::new(), finish: Finish::Stop, completion_tokens: 0, reasoning_tokens: 0, ..self }
    }

    /// The text of a channel.
    pub(crate) fn text(&self, channel: Channel) -> String {
        let of_channel = self.pieces.iter().filter(|piece| piece.channel == channel);
        of_channel.map(|piece| piece.text.as_str()).collect()
    }

    /// Draws an answer. The request's number decides the delays, and its own seed the text where it has one; so a
    /// server answers the same sequence of requests in the same way each time.
    pub(crate) fn draw(options: &Options, route: Route, ask: &Ask, sequence: u64) -> Self {
        let mut rng = StdRng::seed_from_u64(mixed(options.seed, sequence, 1));
        let (length, finish) = length(options, ask, &mut rng);
        let reasoning = match route {
            Route::Chat => options.reasoning_tokens.sample(&mut rng).min(length),
            Route::Completions => 0,
        };
        let words = Words::new(mixed(options.seed, ask.seed.unwrap_or(sequence), 2));
        let mut writer =
            Writer { options, rng, words, pieces: Vec::new(), due: Duration::ZERO, latest: Duration::ZERO };
        let first = writer.first_due(ask.prompt_tokens);
        let eos = finish == Finish::Stop;
        writer.write(Channel::Reasoning, reasoning, eos && reasoning == length);
        writer.write(Channel::Content, length - reasoning, eos && reasoning < length);
        Self { first, pieces: writer.pieces, finish, completion_tokens: length, reasoning_tokens: reasoning }
    }
}

/// How many tokens there will be and why no more: the model's own end where it comes within the limit, as vLLM counts
/// it, with the end-of-sequence token as the last of them.
fn length(options: &Options, ask: &Ask, rng: &mut StdRng) -> (u32, Finish) {
    let Some(natural) = options.output_tokens else {
        return (ask.max_tokens, Finish::Length);
    };
    // Drawn in any case, so that `ignore_eos` does not shift what is drawn after it.
    let natural = natural.sample(rng).max(1);
    if ask.ignore_eos {
        return (ask.max_tokens, Finish::Length);
    }
    // The end-of-sequence token may not be among the tokens that must come.
    let natural = natural.max(ask.min_tokens.saturating_add(1));
    if natural <= ask.max_tokens { (natural, Finish::Stop) } else { (ask.max_tokens, Finish::Length) }
}

/// Lays tokens into pieces along a schedule.
struct Writer<'a> {
    options: &'a Options,
    rng: StdRng,
    words: Words,
    pieces: Vec<Piece>,
    /// When the last piece was due, jitter aside.
    due: Duration,
    /// When it was due with its jitter: the next cannot overtake it.
    latest: Duration,
}

impl Writer<'_> {
    fn first_due(&mut self, prompt_tokens: u32) -> Duration {
        let prefill: Duration = if self.options.prefill_per_token.is_zero() {
            Duration::ZERO
        } else {
            (0..prompt_tokens).map(|_| self.options.prefill_per_token.sample(&mut self.rng)).sum()
        };
        self.due = self.options.ttft.sample(&mut self.rng).saturating_add(prefill);
        self.due
    }

    /// Appends `count` tokens of a channel; `eos` makes the last of them the end of the sequence.
    fn write(&mut self, channel: Channel, count: u32, eos: bool) {
        self.words.restart();
        let mut left = count;
        while left > 0 {
            let tokens = self.options.tokens_per_chunk.sample(&mut self.rng).clamp(1, left);
            left -= tokens;
            let words = if eos && left == 0 { tokens - 1 } else { tokens };
            let mut text = String::new();
            for _ in 0..words {
                self.words.push_to(&mut text);
            }
            let due = self.next_due(tokens);
            let channel = if words == 0 { Channel::Eos } else { channel };
            self.pieces.push(Piece { due, text, tokens, channel });
        }
    }

    fn next_due(&mut self, tokens: u32) -> Duration {
        if !self.pieces.is_empty() {
            for _ in 0..tokens {
                self.due = self.due.saturating_add(self.options.inter_token.sample(&mut self.rng));
            }
        }
        let jittered = self.due.saturating_add(self.options.jitter.sample(&mut self.rng));
        self.latest = self.latest.max(jittered);
        self.latest
    }
}

/// A seed for one purpose of one request.
pub(crate) fn mixed(seed: u64, request: u64, purpose: u64) -> u64 {
    // The finalizer of splitmix64, so that neighbouring seeds and numbers share nothing.
    let mut value = seed
        .wrapping_add(request.wrapping_mul(0x9e37_79b9_7f4a_7c15))
        .wrapping_add(purpose.wrapping_mul(0xd1b5_4a32_d192_ed03));
    value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ (value >> 31)
}

/// The fault that the options induce in the request of this number, each rule's share drawn on its own.
pub(crate) fn induced(options: &Options, sequence: u64) -> Option<InducedFault> {
    let mut rng = StdRng::seed_from_u64(mixed(options.seed, sequence, 3));
    let struck = options.faults.iter().filter(|rule| rule.strikes(sequence, rng.random()));
    struck.map(|rule| rule.fault).next()
}

#[cfg(test)]
mod tests;
