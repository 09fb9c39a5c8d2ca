//! What will be generated and when it is due, drawn before the first byte is written.
//!
//! Exists so that everything random about an answer is decided in one pure place, by seed. Refuses to know sockets
//! and clocks: its times count from the start of service.

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use std::sync::Arc;
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

impl Piece {
    /// Nothing yet; [`Draft::next`] fills it.
    pub(crate) fn empty() -> Self {
        Self { due: Duration::ZERO, text: String::new(), tokens: 0, channel: Channel::Content }
    }
}

/// An answer, whole.
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
    /// The text of a channel.
    pub(crate) fn text(&self, channel: Channel) -> String {
        let of_channel = self.pieces.iter().filter(|piece| piece.channel == channel);
        of_channel.map(|piece| piece.text.as_str()).collect()
    }
}

/// An answer whose size is decided and whose pieces are drawn one by one: a thousand long answers that begin at once cost
/// nothing before their first tokens, and no memory for the tokens to come.
pub(crate) struct Draft {
    /// As [`Script::first`].
    pub(crate) first: Duration,
    pub(crate) finish: Finish,
    pub(crate) completion_tokens: u32,
    pub(crate) reasoning_tokens: u32,
    writer: Writer,
}

impl Draft {
    /// Draws an answer. The request's number decides the delays, and its own seed the text where it has one; so a
    /// server answers the same sequence of requests in the same way each time.
    pub(crate) fn draw(options: &Arc<Options>, route: Route, ask: &Ask, sequence: u64) -> Self {
        let mut rng = StdRng::seed_from_u64(mixed(options.seed, sequence, 1));
        let (length, finish) = length(options, ask, &mut rng);
        let reasoning = match route {
            Route::Chat => options.reasoning_tokens.sample(&mut rng).min(length),
            Route::Completions => 0,
        };
        let words = Words::new(mixed(options.seed, ask.seed.unwrap_or(sequence), 2));
        let mut writer = Writer {
            options: Arc::clone(options),
            rng,
            words,
            channel: if reasoning > 0 { Channel::Reasoning } else { Channel::Content },
            left: if reasoning > 0 { reasoning } else { length },
            behind: if reasoning > 0 { length - reasoning } else { 0 },
            stops: finish == Finish::Stop,
            begun: false,
            due: Duration::ZERO,
            latest: Duration::ZERO,
        };
        let first = writer.first_due(ask.prompt_tokens);
        Self { first, finish, completion_tokens: length, reasoning_tokens: reasoning, writer }
    }

    /// An answer without a token.
    pub(crate) fn emptied(self) -> Self {
        let writer = Writer { left: 0, behind: 0, ..self.writer };
        Self { finish: Finish::Stop, completion_tokens: 0, reasoning_tokens: 0, writer, ..self }
    }

    /// Draws the next piece in place of the one before it; `false` where there is none.
    pub(crate) fn next(&mut self, piece: &mut Piece) -> bool {
        self.writer.next(piece)
    }

    /// Whether the last piece has been drawn.
    pub(crate) fn is_over(&self) -> bool {
        self.writer.left == 0 && self.writer.behind == 0
    }

    /// Draws all that is left.
    pub(crate) fn whole(mut self) -> Script {
        let (mut pieces, mut piece) = (Vec::new(), Piece::empty());
        while self.next(&mut piece) {
            pieces.push(piece.clone());
        }
        let Self { first, finish, completion_tokens, reasoning_tokens, .. } = self;
        Script { first, pieces, finish, completion_tokens, reasoning_tokens }
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
struct Writer {
    options: Arc<Options>,
    rng: StdRng,
    words: Words,
    /// The channel being written, and the tokens left in it.
    channel: Channel,
    left: u32,
    /// Tokens of the answer that come after the thinking.
    behind: u32,
    /// The last token of all is the end of the sequence.
    stops: bool,
    begun: bool,
    /// When the last piece was due, jitter aside.
    due: Duration,
    /// When it was due with its jitter: the next cannot overtake it.
    latest: Duration,
}

impl Writer {
    fn first_due(&mut self, prompt_tokens: u32) -> Duration {
        let prefill: Duration = if self.options.prefill_per_token.is_zero() {
            Duration::ZERO
        } else {
            (0..prompt_tokens).map(|_| self.options.prefill_per_token.sample(&mut self.rng)).sum()
        };
        self.due = self.options.ttft.sample(&mut self.rng).saturating_add(prefill);
        self.due
    }

    /// Lays the next piece; `false` where all tokens are laid.
    fn next(&mut self, piece: &mut Piece) -> bool {
        if self.left == 0 && self.behind > 0 {
            (self.channel, self.left, self.behind) = (Channel::Content, self.behind, 0);
            self.words.restart();
        }
        if self.left == 0 {
            return false;
        }
        let tokens = self.options.tokens_per_chunk.sample(&mut self.rng).clamp(1, self.left);
        self.left -= tokens;
        let ends = self.stops && self.left == 0 && self.behind == 0;
        let words = if ends { tokens - 1 } else { tokens };
        piece.text.clear();
        for _ in 0..words {
            self.words.push_to(&mut piece.text);
        }
        piece.due = self.next_due(tokens);
        piece.tokens = tokens;
        piece.channel = if words == 0 { Channel::Eos } else { self.channel };
        true
    }

    fn next_due(&mut self, tokens: u32) -> Duration {
        if std::mem::replace(&mut self.begun, true) {
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
