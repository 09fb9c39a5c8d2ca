//! What a response amounts to: tokens, counts, text, how it ended.
//!
//! Takes events and the instants they were read at; refuses to know sockets, HTTP and event framing. A role-only or
//! empty chunk is no token; the first non-empty text of any channel is the first token.

use ai_energy_core::Stamp;
use ai_energy_core::backend::Tally;
use ai_energy_core::record::{
    Chunk, ErrorClass, FinishReason, Generation, OutputChannel, RequestError, TokenCount, TokenCountSource,
};

use crate::event::{Choice, Delta, Event, Text, Usage, server_energy};
use crate::refusal::{class_of_status, error_line, excerpt};
use crate::template::Template;

/// Alternatives whose text is kept; more than anybody asks for, few enough that an index cannot eat the memory.
const MOST_ALTERNATIVES: usize = 64;

/// The running account of one response.
#[derive(Debug, Default)]
pub(crate) struct Account {
    /// What is known so far.
    pub(crate) generation: Generation,
    /// Generated text by alternative. Kept until the end, since only then it is known whether the server counts.
    texts: Vec<String>,
    /// The latest counts.
    usage: Option<Usage>,
    /// Completion tokens that the chunks so far account for.
    counted: u32,
    /// Chunks with text whose event had no usage: then no chunk has a count.
    uncounted_chunks: bool,
    /// More than one alternative was seen.
    alternatives: bool,
    /// `[DONE]` was seen.
    pub(crate) done: bool,
    /// What the last event with text looked like around it, with its channel and alternative.
    template: Template,
    repeated: Option<(OutputChannel, usize)>,
    /// HTTP status, for errors inside the response.
    status: Option<u16>,
}

impl Account {
    pub(crate) fn new(status: u16) -> Self {
        Self { status: Some(status), ..Self::default() }
    }

    /// Takes the data of one event of a stream, read at `at`.
    ///
    /// # Errors
    /// The event is no JSON of the protocol, or is an error that the server reports.
    pub(crate) fn event(&mut self, data: &[u8], at: Stamp, tally: &Tally) -> Result<(), RequestError> {
        if data.trim_ascii() == b"[DONE]" {
            self.done = true;
            return Ok(());
        }
        if let Some((channel, index)) = self.repeated
            && let Some(text) = self.template.text(data)
        {
            self.keep(index, text);
            self.take_chunk(channel, at, None, tally);
            return Ok(());
        }
        let event = self.read(data, "event of the stream")?;
        self.take_header(&event);
        let counts = event.usage.and_then(|usage| usage.completion_tokens);
        for choice in event.choices.iter() {
            if let Some(channel) = self.take_choice(choice, choice.delta.as_ref().or(choice.message.as_ref()))
            {
                self.take_chunk(channel, at, counts, tally);
            }
        }
        self.learn(data, &event);
        self.check_finish()
    }

    /// Keeps the shape of an event that holds one text and nothing else that the account reads, but for its name.
    fn learn(&mut self, data: &[u8], event: &Event<'_>) {
        self.repeated = None;
        let mut choices = event.choices.iter();
        let (Some(choice), None) = (choices.next(), choices.next()) else { return };
        let plain = event.usage.is_none() && event.energy.is_none() && choice.finish_reason.is_none();
        if let Some((channel, text)) = lone_text(choice).filter(|_| plain && choice.index == 0) {
            self.template.learn(data, text);
            self.repeated = Some((channel, choice.index as usize));
        }
    }

    /// Takes a whole response, as it comes without streaming. Moments within it cannot be seen.
    ///
    /// # Errors
    /// As [`Account::event`].
    pub(crate) fn whole(&mut self, body: &[u8], tally: &Tally) -> Result<(), RequestError> {
        let event = self.read(body, "response")?;
        self.take_header(&event);
        let mut any = false;
        for choice in event.choices.iter() {
            any |= self.take_choice(choice, choice.message.as_ref().or(choice.delta.as_ref())).is_some();
        }
        let tokens = self.usage.and_then(|usage| usage.completion_tokens);
        tally.add_tokens(u64::from(tokens.unwrap_or(u32::from(any))));
        self.check_finish()
    }

    fn read<'a>(&self, bytes: &'a [u8], what: &str) -> Result<Event<'a>, RequestError> {
        let event: Event<'a> = match serde_json::from_slice(bytes) {
            Ok(event) => event,
            Err(cause) => return Err(self.protocol_error(bytes, what, &cause)),
        };
        let is_error = event.object.as_ref().is_some_and(|object| object.0 == "error");
        match &event.error {
            Some(error) => Err(self.server_error(error)),
            None if is_error => Err(self.server_error(&serde_json::from_slice(bytes).unwrap_or_default())),
            None => Ok(event),
        }
    }

    fn protocol_error(&self, bytes: &[u8], what: &str, cause: &serde_json::Error) -> RequestError {
        let reason = match std::str::from_utf8(bytes) {
            Err(utf8) => format!("is no valid UTF-8 (byte {})", utf8.valid_up_to()),
            Ok(_) if cause.is_data() => format!("has an unexpected shape ({cause})"),
            Ok(_) => format!("is no JSON ({cause})"),
        };
        self.error(
            ErrorClass::Protocol,
            format!("an {what} {reason}: {}", excerpt(bytes)).replace("an response", "the response"),
        )
    }

    fn server_error(&self, error: &serde_json::Value) -> RequestError {
        let code = error
            .get("code")
            .and_then(|code| code.as_u64().or_else(|| code.as_str()?.parse().ok()))
            .and_then(|code| u16::try_from(code).ok())
            .filter(|code| (400..600).contains(code));
        let class = code.map_or(ErrorClass::Server, class_of_status);
        let code = code.map(|code| format!(" {code}")).unwrap_or_default();
        self.error(class, format!("the server reported error{code} inside its answer: {}", error_line(error)))
    }

    fn error(&self, class: ErrorClass, message: String) -> RequestError {
        RequestError { class, message, status: self.status }
    }

    fn take_header(&mut self, event: &Event<'_>) {
        if self.generation.response_id.is_none()
            && let Some(id) = event.id.as_ref().filter(|id| !id.0.is_empty())
        {
            self.generation.response_id = Some(id.0.clone().into_owned());
        }
        if event.usage.is_some() {
            self.usage = event.usage;
        }
        if let Some(energy) = &event.energy {
            self.generation.server_energy = server_energy(energy).map(Box::new);
        }
    }

    /// Notes a choice's text and end; the channel where it carries any token.
    fn take_choice(&mut self, choice: &Choice<'_>, delta: Option<&Delta<'_>>) -> Option<OutputChannel> {
        if let Some(reason) = &choice.finish_reason
            && (self.generation.finish_reason.is_none() || choice.index == 0)
        {
            self.generation.finish_reason = Some(finish_reason(&reason.0));
        }
        let index = choice.index as usize;
        let thinking =
            delta.and_then(|delta| non_empty(&delta.reasoning).or(non_empty(&delta.reasoning_content)));
        let content = delta.and_then(|delta| non_empty(&delta.content)).or(non_empty(&choice.text));
        let mut channel = None;
        if let Some(thinking) = thinking {
            self.keep(index, thinking);
            channel = Some(OutputChannel::Reasoning);
        }
        let calls = delta.into_iter().flat_map(|delta| {
            delta
                .tool_calls
                .iter()
                .map(|call| call.function.as_ref())
                .chain(delta.function_call.as_ref().map(Some))
        });
        for call in calls.flatten() {
            for part in [&call.name, &call.arguments].into_iter().filter_map(non_empty) {
                channel = Some(OutputChannel::Tool);
                self.keep(index, part);
            }
        }
        if let Some(content) = content {
            self.keep(index, content);
            channel = Some(OutputChannel::Content);
        }
        if index > 0 && channel.is_some() {
            // Usage within a stream of several alternatives is about one of them: no difference is a chunk's count.
            self.uncounted_chunks = true;
            self.alternatives = true;
        }
        channel
    }

    fn keep(&mut self, index: usize, text: &str) {
        let index = index.min(MOST_ALTERNATIVES - 1);
        if self.texts.len() <= index {
            self.texts.resize_with(index + 1, String::new);
        }
        self.texts[index].push_str(text);
    }

    fn take_chunk(&mut self, channel: OutputChannel, at: Stamp, counts: Option<u32>, tally: &Tally) {
        let tokens = match counts {
            Some(total) => {
                let tokens = total.saturating_sub(self.counted);
                self.counted = self.counted.max(total);
                Some(tokens)
            }
            None => {
                self.uncounted_chunks = true;
                None
            }
        };
        tally.add_tokens(u64::from(tokens.filter(|_| !self.uncounted_chunks).unwrap_or(1)));
        self.generation.first_token.get_or_insert(at);
        if channel == OutputChannel::Content {
            self.generation.first_content.get_or_insert(at);
        }
        self.generation.chunks.push(Chunk { at, channel, tokens });
    }

    fn check_finish(&self) -> Result<(), RequestError> {
        match &self.generation.finish_reason {
            Some(FinishReason::Other(word)) if word == "abort" || word == "error" => Err(self.error(
                ErrorClass::Server,
                format!("the server ended the generation with finish reason `{word}`"),
            )),
            _ => Ok(()),
        }
    }

    /// Judges a response whose body ended as its framing said, `remainder` being an event that was cut.
    ///
    /// # Errors
    /// The stream ended before the generation did, or no token came.
    pub(crate) fn complete(&self, streamed: bool, remainder: Option<&[u8]>) -> Result<(), RequestError> {
        let cut = remainder.filter(|rest| rest.trim_ascii() != b"[DONE]");
        if let Some(rest) = cut.filter(|_| !self.done) {
            let message = format!("the stream ended in the middle of an event: {}", excerpt(rest));
            return Err(self.error(ErrorClass::Truncated, message));
        }
        let ended = self.done || remainder.is_some() || self.generation.finish_reason.is_some();
        if streamed && !ended {
            let message = format!(
                "the stream ended without a finish reason and without [DONE], after {} chunks with tokens",
                self.generation.chunks.len()
            );
            return Err(self.error(ErrorClass::Truncated, message));
        }
        let counted = self.usage.and_then(|usage| usage.completion_tokens).unwrap_or(0);
        if counted == 0 && self.generation.chunks.is_empty() && self.texts.iter().all(String::is_empty) {
            let message = "the server answered without generating a token".to_owned();
            return Err(self.error(ErrorClass::Empty, message));
        }
        Ok(())
    }

    /// Closes the account. The text stays where it is asked for, or where it is needed to count tokens.
    pub(crate) fn close(mut self, end: Stamp, keep_text: bool, error: Option<RequestError>) -> Generation {
        let chunks = u32::try_from(self.generation.chunks.len()).unwrap_or(u32::MAX);
        if self.uncounted_chunks {
            self.generation.chunks = std::mem::take(&mut self.generation.chunks).uncounted();
        }
        let by_server = |tokens| TokenCount { tokens, source: TokenCountSource::Server };
        if let Some(usage) = self.usage {
            self.generation.prompt_tokens = usage.prompt_tokens.map(by_server);
            self.generation.cached_prompt_tokens =
                usage.prompt_tokens_details.and_then(|details| details.cached_tokens);
            self.generation.reasoning_tokens =
                usage.completion_tokens_details.and_then(|details| details.reasoning_tokens);
            // A zero beside generated text is a placeholder, not a count.
            self.generation.completion_tokens = usage
                .completion_tokens
                .filter(|tokens| *tokens > 0 || self.texts.iter().all(String::is_empty))
                // Some servers count only one of several alternatives.
                .filter(|tokens| !self.alternatives || *tokens >= chunks)
                .map(by_server);
        }
        let server_counts = self.generation.completion_tokens.is_some();
        if !server_counts && chunks > 0 {
            self.generation.completion_tokens =
                Some(TokenCount { tokens: chunks, source: TokenCountSource::Chunks });
        }
        if keep_text || !server_counts {
            self.texts.retain(|text| !text.is_empty());
            self.generation.text = (!self.texts.is_empty()).then(|| self.texts.join("\n"));
        }
        self.generation.end = end;
        self.generation.error = error;
        self.generation
    }
}

fn non_empty<'a>(text: &'a Option<Text<'_>>) -> Option<&'a str> {
    text.as_ref().map(|text| text.0.as_ref()).filter(|text| !text.is_empty())
}

/// The text of a choice that has one text and no call.
fn lone_text<'a>(choice: &'a Choice<'_>) -> Option<(OutputChannel, &'a str)> {
    let delta = choice.delta.as_ref().or(choice.message.as_ref());
    let calls = |delta: &Delta<'_>| delta.tool_calls.iter().next().is_some() || delta.function_call.is_some();
    if delta.is_some_and(calls) {
        return None;
    }
    let texts = [
        (OutputChannel::Content, delta.and_then(|delta| non_empty(&delta.content))),
        (OutputChannel::Content, non_empty(&choice.text)),
        (OutputChannel::Reasoning, delta.and_then(|delta| non_empty(&delta.reasoning))),
        (OutputChannel::Reasoning, delta.and_then(|delta| non_empty(&delta.reasoning_content))),
    ];
    let mut known = texts.into_iter().filter_map(|(channel, text)| Some((channel, text?)));
    known.next().filter(|_| known.next().is_none())
}

fn finish_reason(word: &str) -> FinishReason {
    match word {
        "stop" => FinishReason::Stop,
        "length" => FinishReason::Length,
        "tool_calls" | "function_call" => FinishReason::ToolCalls,
        other => FinishReason::Other(other.to_owned()),
    }
}

#[cfg(test)]
mod tests;
