//! Which stream of a generation a token belongs to: thinking, or the answer.
//!
//! Two conventions are known: `<think>` … `</think>`, written by most reasoning models, and Harmony's channels
//! (`<|channel|>analysis<|message|>` …), written by gpt-oss. Refuses to know models: whoever writes these marks means them.

use ai_energy_core::record::OutputChannel;

const THINK: &str = "<think>";
const THOUGHT: &str = "</think>";

/// The tokens that a vocabulary has for the marks; `None` where a mark is no token of its own.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Marks {
    think: Option<u32>,
    thought: Option<u32>,
    channel: Option<u32>,
    message: Option<u32>,
    /// What ends a Harmony message. Other models use some of these words too, so they count only after `channel`.
    ends: [Option<u32>; 3],
}

impl Marks {
    /// The marks of a vocabulary; `token_id` gives the number of a token by its name.
    pub(super) fn find(token_id: impl Fn(&str) -> Option<u32>) -> Self {
        Self {
            think: token_id(THINK),
            thought: token_id(THOUGHT),
            channel: token_id("<|channel|>"),
            message: token_id("<|message|>"),
            ends: ["<|end|>", "<|return|>", "<|call|>"].map(token_id),
        }
    }
}

/// Where a generation is.
#[derive(Debug, Clone, PartialEq, Eq)]
enum State {
    Content,
    Thinking,
    /// Between Harmony's marks: the header collected so far, which names the channel.
    Header(String),
    /// Inside a Harmony message of this channel.
    Message(OutputChannel),
}

/// Follows one generation.
#[derive(Debug, Clone)]
pub(super) struct ChannelTracker {
    marks: Marks,
    state: State,
    /// The end of the text so far, long enough to hold the start of a mark.
    tail: String,
}

impl ChannelTracker {
    /// A tracker for what follows `prompt`, which may have opened the thinking already, as some chat templates do.
    pub(super) fn after(prompt: &str, marks: Marks) -> Self {
        let thinking = prompt.trim_end().ends_with(THINK);
        let state = if thinking { State::Thinking } else { State::Content };
        Self { marks, state, tail: String::new() }
    }

    /// Takes the next token in with the text that it adds. Gives the channel it belongs to and whether its text is part of
    /// that channel: a header of Harmony is not.
    pub(super) fn push(&mut self, token: u32, text: &str) -> (OutputChannel, bool) {
        let token = Some(token);
        if token == self.marks.channel {
            self.state = State::Header(String::new());
            return (OutputChannel::Reasoning, false);
        }
        match &mut self.state {
            State::Header(name) if token == self.marks.message => {
                self.state = State::Message(channel_named(name));
                (OutputChannel::Reasoning, false)
            }
            State::Header(name) => {
                name.push_str(text);
                (OutputChannel::Reasoning, false)
            }
            State::Message(channel) => {
                let channel = *channel;
                let ends = self.marks.ends.contains(&token);
                if ends {
                    self.state = State::Header(String::new());
                }
                (channel, !ends)
            }
            State::Content | State::Thinking => (self.think(token, text), true),
        }
    }

    /// A mark belongs to the thinking that it opens or closes. It may be one token or several.
    fn think(&mut self, token: Option<u32>, text: &str) -> OutputChannel {
        // A mark that is a special token adds no text.
        self.tail.push_str(match token {
            _ if !text.is_empty() => text,
            token if token == self.marks.think => THINK,
            token if token == self.marks.thought => THOUGHT,
            _ => "",
        });
        let (mark, after) = match self.state {
            State::Thinking => (THOUGHT, State::Content),
            _ => (THINK, State::Thinking),
        };
        if self.tail.contains(mark) {
            self.state = after;
            self.tail.clear();
            return OutputChannel::Reasoning;
        }
        let excess = self.tail.len().saturating_sub(THOUGHT.len());
        let cut = (excess..=self.tail.len()).find(|&at| self.tail.is_char_boundary(at)).unwrap_or(0);
        self.tail.drain(..cut);
        if self.state == State::Thinking { OutputChannel::Reasoning } else { OutputChannel::Content }
    }
}

/// The channel of a Harmony header such as `analysis` or `commentary to=functions.x`.
fn channel_named(header: &str) -> OutputChannel {
    let header = header.trim_start();
    if header.starts_with("analysis") {
        OutputChannel::Reasoning
    } else if header.contains("to=") {
        OutputChannel::Tool
    } else {
        OutputChannel::Content
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use OutputChannel::{Content, Reasoning, Tool};

    /// Special tokens of the tests; a token's number is its place here, and 99 where it is not special.
    const SPECIAL: [&str; 7] =
        ["<|channel|>", "<|message|>", "<|end|>", "<|return|>", "<|call|>", "<|start|>", "<|constrain|>"];

    fn id(token: &str) -> Option<u32> {
        SPECIAL.iter().position(|name| *name == token).map(|at| at as u32)
    }

    /// The channels of tokens, and the text that is kept; special tokens read as nothing.
    fn follow(prompt: &str, tokens: &[&str]) -> (Vec<OutputChannel>, String) {
        let mut tracker = ChannelTracker::after(prompt, Marks::find(id));
        let mut kept = String::new();
        let channels = tokens
            .iter()
            .map(|token| {
                let text = if id(token).is_some() { "" } else { token };
                let (channel, keep) = tracker.push(id(token).unwrap_or(99), text);
                if keep {
                    kept.push_str(text);
                }
                channel
            })
            .collect();
        (channels, kept)
    }

    #[test]
    fn thinking_lasts_from_mark_to_mark() {
        let (channels, _) = follow("Hi", &["<think>", "hm", "</think>", "yes"]);
        assert_eq!(channels, [Reasoning, Reasoning, Reasoning, Content]);
        assert_eq!(follow("Hi", &["no", " think", ">"]).0, [Content; 3]);
    }

    #[test]
    fn a_mark_may_be_several_tokens() {
        let (channels, _) = follow("Hi", &["<", "think", ">", "so", "</", "think", ">\n", "é", "yes"]);
        assert_eq!(channels[2..7], [Reasoning; 5]);
        assert_eq!(channels[7..], [Content; 2]);
    }

    #[test]
    fn a_prompt_may_have_opened_the_thinking() {
        assert_eq!(follow("Hi<think>\n", &["a", "</think>", "b"]).0, [Reasoning, Reasoning, Content]);
        assert_eq!(follow("<think>\n\n</think>\n\n", &["a"]).0, [Content]);
    }

    #[test]
    fn special_marks_without_text_count_too() {
        let marks = Marks { think: Some(1), thought: Some(2), ..Marks::default() };
        let mut tracker = ChannelTracker::after("", marks);
        let channels =
            [(1, ""), (9, "x"), (2, ""), (9, "y")].map(|(token, text)| tracker.push(token, text).0);
        assert_eq!(channels, [Reasoning, Reasoning, Reasoning, Content]);
    }

    #[test]
    fn harmonys_channels_are_told_apart_and_their_headers_are_no_text() {
        let tokens = [
            "<|channel|>",
            "analysis",
            "<|message|>",
            "let me",
            " see",
            "<|end|>",
            "<|start|>",
            "assistant",
            "<|channel|>",
            "final",
            "<|message|>",
            "42",
        ];
        let (channels, kept) = follow("", &tokens);
        assert_eq!(channels[..11], [Reasoning; 11]);
        assert_eq!((channels[11], kept.as_str()), (Content, "let me see42"));
        let call = [
            "<|channel|>",
            "commentary",
            " to=functions.f",
            "<|constrain|>",
            "json",
            "<|message|>",
            "{}",
            "<|call|>",
        ];
        assert_eq!(follow("", &call).0[5..], [Reasoning, Tool, Tool]);
        assert_eq!(follow("", &["Hi", "<|end|>"]).0, [Content; 2], "Phi-3 ends so, and knows no channels");
    }
}
