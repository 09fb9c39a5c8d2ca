//! Makes a generation's record of what the engine says about it.
//!
//! Refuses to know processes and time-outs.

use std::time::Instant;

use ai_energy_core::backend::Tally;
use ai_energy_core::record::{Chunk, FinishReason, Generation, OutputChannel, RequestError};
use ai_energy_core::{Clock, ErrorClass, TokenCount, TokenCountSource};

use crate::mapping::ClockMap;
use crate::protocol::{EngineErrorKind, FromEngine};
use crate::supervise::Heard;

/// A generation in the making.
pub(crate) struct Receiving<'a> {
    clock: &'a Clock,
    tally: &'a Tally,
    map: ClockMap,
    sent: Instant,
    tokens: u32,
    text: String,
    /// Tokens that the engine cut off the prompt.
    pub(crate) truncated: u32,
    pub(crate) generation: Generation,
}

impl<'a> Receiving<'a> {
    /// A generation whose line went out at `sent`.
    pub(crate) fn new(clock: &'a Clock, tally: &'a Tally, map: ClockMap, sent: Instant) -> Self {
        let generation = Generation { sent: Some(clock.at(sent)), ..Generation::default() };
        Self { clock, tally, map, sent, tokens: 0, text: String::new(), truncated: 0, generation }
    }

    /// Takes a message in; `true` where it was the last.
    pub(crate) fn hear(&mut self, heard: Heard) -> bool {
        self.generation.bytes_received += heard.bytes;
        match heard.message {
            FromEngine::Token { n, t_ns, channel, text, .. } => self.token(n, t_ns, heard.at, channel, &text),
            FromEngine::Done {
                t_ns,
                prompt_tokens,
                completion_tokens,
                finish_reason,
                truncated_prompt_tokens,
                ..
            } => {
                self.truncated = truncated_prompt_tokens;
                let counted = |tokens| Some(TokenCount { tokens, source: TokenCountSource::Server });
                self.generation.prompt_tokens = counted(prompt_tokens);
                self.generation.completion_tokens = counted(completion_tokens);
                self.generation.finish_reason = Some(match finish_reason.as_str() {
                    "stop" => FinishReason::Stop,
                    "length" => FinishReason::Length,
                    _ => FinishReason::Other(finish_reason),
                });
                self.done(t_ns, heard.at, completion_tokens)
            }
            FromEngine::Error { kind, message, .. } => {
                let class = match kind {
                    EngineErrorKind::BadRequest => ErrorClass::BadRequest,
                    EngineErrorKind::Model
                    | EngineErrorKind::Unsupported
                    | EngineErrorKind::OutOfMemory
                    | EngineErrorKind::Internal => ErrorClass::Engine,
                };
                self.fail(class, message, heard.at)
            }
            // Routed here by mistake: nothing else is about a generation.
            _ => false,
        }
    }

    /// Ends the generation with an error; what was seen so far stays.
    pub(crate) fn fail(&mut self, class: ErrorClass, message: String, at: Instant) -> bool {
        self.generation.error = Some(RequestError { class, message, status: None });
        self.generation.end = self.clock.at(at);
        true
    }

    /// Whether any token has come.
    pub(crate) fn begun(&self) -> bool {
        self.tokens > 0
    }

    /// The record, with the text. A generation that did not end has the tokens that the engine had counted by then.
    pub(crate) fn finish(mut self) -> Generation {
        if self.generation.completion_tokens.is_none() && self.begun() {
            let counted = TokenCount { tokens: self.tokens, source: TokenCountSource::Server };
            self.generation.completion_tokens = Some(counted);
        }
        self.generation.text = Some(self.text);
        self.generation
    }

    fn token(&mut self, n: u32, t_ns: u64, read: Instant, channel: OutputChannel, text: &str) -> bool {
        if n <= self.tokens {
            let message = format!("the engine counted {n} tokens after it had counted {}", self.tokens);
            return self.fail(ErrorClass::Protocol, message, read);
        }
        let new = n - self.tokens;
        self.tokens = n;
        self.tally.add_tokens(u64::from(new));
        let at = self.clock.at(self.map.instant(t_ns, self.sent, read));
        self.text.push_str(text);
        let generation = &mut self.generation;
        generation.first_token.get_or_insert(at);
        if channel == OutputChannel::Content {
            generation.first_content.get_or_insert(at);
        }
        if channel == OutputChannel::Reasoning {
            *generation.reasoning_tokens.get_or_insert(0) += new;
        }
        generation.chunks.push(Chunk { at, channel, tokens: Some(new) });
        false
    }

    fn done(&mut self, t_ns: u64, read: Instant, counted: u32) -> bool {
        let at = self.map.instant(t_ns, self.sent, read);
        if counted == 0 {
            return self.fail(ErrorClass::Empty, "the engine generated no token".to_owned(), at);
        }
        if counted != self.tokens {
            let message = format!("the engine counts {counted} tokens and told of {}", self.tokens);
            return self.fail(ErrorClass::Protocol, message, at);
        }
        self.generation.end = self.clock.at(at);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    const CONTENT: OutputChannel = OutputChannel::Content;

    struct Run {
        clock: Clock,
        tally: Tally,
        start: Instant,
    }

    impl Run {
        fn new() -> Self {
            Self { clock: Clock::start(), tally: Tally::default(), start: Instant::now() }
        }

        /// The engine's clock is 1 s ahead of `start`; every line is read 1 s after it.
        fn hear(&self, messages: Vec<FromEngine>) -> (bool, Generation) {
            let map = ClockMap::from_exchange(self.start, 1_000_000_000, self.start);
            let mut receiving = Receiving::new(&self.clock, &self.tally, map, self.start);
            let read = self.start + Duration::from_secs(1);
            let mut last = false;
            for message in messages {
                last = receiving.hear(Heard { message, at: read, bytes: 10 });
            }
            (last, receiving.finish())
        }
    }

    fn token(n: u32, ms: u64, channel: OutputChannel) -> FromEngine {
        let t_ns = 1_000_000_000 + ms * 1_000_000;
        FromEngine::Token { id: "a".into(), n, t_ns, channel, text: format!("{n} ") }
    }

    fn done(ms: u64, completion_tokens: u32) -> FromEngine {
        let t_ns = 1_000_000_000 + ms * 1_000_000;
        FromEngine::Done {
            id: "a".into(),
            t_ns,
            prompt_tokens: 4,
            completion_tokens,
            finish_reason: "length".into(),
            truncated_prompt_tokens: 0,
        }
    }

    #[test]
    fn stamps_are_the_engines_and_counts_are_by_difference() {
        let run = Run::new();
        let messages = vec![token(1, 10, OutputChannel::Reasoning), token(4, 20, CONTENT), done(30, 4)];
        let (last, generation) = run.hear(messages);
        assert!(last);
        let at = |ms| run.clock.at(run.start + Duration::from_millis(ms));
        assert_eq!(generation.first_token, Some(at(10)));
        assert_eq!(generation.first_content, Some(at(20)));
        assert_eq!(generation.end, at(30));
        assert_eq!(generation.reasoning_tokens, Some(1));
        let tokens: Vec<_> = generation.chunks.iter().map(|chunk| chunk.tokens).collect();
        assert_eq!(tokens, [Some(1), Some(3)]);
        assert_eq!((run.tally.tokens(), generation.text.as_deref()), (4, Some("1 4 ")));
        assert_eq!(generation.completion_tokens.map(|count| count.tokens), Some(4));
        assert_eq!((generation.error, generation.bytes_received), (None, 30));
    }

    #[test]
    fn counts_that_contradict_each_other_are_an_error() {
        let backwards = vec![token(2, 1, CONTENT), token(2, 2, CONTENT)];
        let lost = vec![token(1, 1, CONTENT), done(2, 2)];
        for (messages, said) in
            [(backwards, "2 tokens after it had counted 2"), (lost, "counts 2 tokens and told of 1")]
        {
            let error = Run::new().hear(messages).1.error.unwrap();
            assert_eq!(error.class, ErrorClass::Protocol);
            assert!(error.message.contains(said), "{}", error.message);
        }
    }

    #[test]
    fn no_token_is_no_success() {
        let error = Run::new().hear(vec![done(5, 0)]).1.error.unwrap();
        assert_eq!(error.class, ErrorClass::Empty);
    }
}
