//! Reads a line of `requests.jsonl` in the one shape that runs write, several times as fast as JSON in general.
//!
//! Every byte is looked at: the keys must stand there in order and letter by letter, and numbers and strings must be what
//! JSON allows. Anything else, an escape or an error among them, is not recognised, and `serde_json` reads the line. Refuses
//! to guess; a test holds it against `serde_json` on lines that were damaged at random.

use ai_energy_core::chunks::{Chunks, Unpacked};
use ai_energy_core::record::{FinishReason, Generation, Offer, OutputChannel, TokenCount, TokenCountSource};
use ai_energy_core::{RequestRecord, Stamp};

/// Memory for the lists of a line, used again for the next.
#[derive(Default)]
pub(super) struct Room {
    chunks: Unpacked,
    channels: Vec<(OutputChannel, usize)>,
    tokens: Vec<(Option<u32>, usize)>,
}

/// The request of a line without its end; `None` where the line has another shape.
pub(super) fn parse(line: &[u8], room: &mut Room) -> Option<RequestRecord> {
    let line = &mut Line(line);
    line.word(b"{\"id\":")?;
    let id = line.string()?.to_owned();
    line.word(b",\"prompt_index\":")?;
    let prompt_index = usize::try_from(line.number()?).ok()?;
    line.word(b",\"scheduled_ns\":")?;
    let scheduled = Stamp(line.number()?);
    let offer = offer(line)?;
    let generation = generation(line, room)?;
    line.word(b"}")?;
    line.0.is_empty().then_some(RequestRecord { id, prompt_index, scheduled, offer, generation })
}

/// What is left out where it is nothing special. Warm-ups and conversations are rare and left to JSON.
fn offer(line: &mut Line<'_>) -> Option<Offer> {
    let mut offer = Offer::default();
    if line.word(b",\"step\":").is_some() {
        offer.step = u32::try_from(line.number()?).ok()?;
    }
    offer.planned = line.word(b",\"planned\":true").is_some();
    if line.word(b",\"admitted_ns\":").is_some() {
        offer.admitted = Some(Stamp(line.number()?));
    }
    Some(offer)
}

fn generation(line: &mut Line<'_>, room: &mut Room) -> Option<Generation> {
    let mut generation = Generation::default();
    line.word(b",\"sent_ns\":")?;
    generation.sent = line.stamp()?;
    line.word(b",\"first_byte_ns\":")?;
    generation.first_byte = line.stamp()?;
    line.word(b",\"first_token_ns\":")?;
    generation.first_token = line.stamp()?;
    line.word(b",\"first_content_ns\":")?;
    generation.first_content = line.stamp()?;
    line.word(b",\"end_ns\":")?;
    generation.end = Stamp(line.number()?);
    line.word(b",\"chunks\":")?;
    generation.chunks = chunks(line, room)?;
    line.word(b",\"prompt_tokens\":")?;
    generation.prompt_tokens = line.or_null(count)?;
    line.word(b",\"cached_prompt_tokens\":")?;
    generation.cached_prompt_tokens = line.or_null(Line::small)?;
    line.word(b",\"completion_tokens\":")?;
    generation.completion_tokens = line.or_null(count)?;
    line.word(b",\"reasoning_tokens\":")?;
    generation.reasoning_tokens = line.or_null(Line::small)?;
    line.word(b",\"finish_reason\":")?;
    generation.finish_reason = line.or_null(finish_reason)?;
    line.word(b",\"response_id\":")?;
    generation.response_id = line.or_null(|line| line.string().map(str::to_owned))?;
    line.word(b",\"bytes_received\":")?;
    generation.bytes_received = line.number()?;
    line.word(b",\"text\":")?;
    generation.text = line.or_null(|line| line.string().map(str::to_owned))?;
    line.word(b",\"server_energy\":null")?;
    if line.word(b",\"server\":").is_some() {
        generation.server = Some(line.small()?);
    }
    line.word(b",\"error\":null")?;
    Some(generation)
}

fn count(line: &mut Line<'_>) -> Option<TokenCount> {
    line.word(b"{\"tokens\":")?;
    let tokens = line.small()?;
    line.word(b",\"source\":")?;
    let source = match line.string()? {
        "server" => TokenCountSource::Server,
        "tokenizer" => TokenCountSource::Tokenizer,
        "chunks" => TokenCountSource::Chunks,
        _ => return None,
    };
    line.word(b"}")?;
    Some(TokenCount { tokens, source })
}

fn finish_reason(line: &mut Line<'_>) -> Option<FinishReason> {
    Some(match line.string()? {
        "stop" => FinishReason::Stop,
        "length" => FinishReason::Length,
        "tool_calls" => FinishReason::ToolCalls,
        other => FinishReason::Other(other.to_owned()),
    })
}

fn chunks(line: &mut Line<'_>, room: &mut Room) -> Option<Chunks> {
    if line.word(b"null").is_some() {
        return Some(Chunks::default());
    }
    line.word(b"{\"first_ns\":")?;
    let first = Stamp(line.number()?);
    line.word(b",\"gaps_ns\":[")?;
    let Room { chunks, channels, tokens } = room;
    chunks.at.clear();
    chunks.at.push(first);
    let mut at = first.0;
    if line.word(b"]").is_none() {
        loop {
            at = at.wrapping_add(line.signed()? as u64);
            chunks.at.push(Stamp(at));
            if line.word(b",").is_none() {
                line.word(b"]")?;
                break;
            }
        }
    }
    line.word(b",\"channels\":")?;
    line.repeats(channels, |line| match line.string()? {
        "content" => Some(OutputChannel::Content),
        "reasoning" => Some(OutputChannel::Reasoning),
        "tool" => Some(OutputChannel::Tool),
        _ => None,
    })?;
    line.word(b",\"tokens\":")?;
    line.repeats(tokens, |line| line.or_null(Line::small))?;
    line.word(b"}")?;
    chunks.set_alike(channels, tokens).ok()?;
    Some((&*chunks).into())
}

/// What is left of a line.
struct Line<'a>(&'a [u8]);

impl<'a> Line<'a> {
    /// Goes on behind a word that must stand here.
    #[inline]
    fn word(&mut self, word: &[u8]) -> Option<()> {
        self.0 = self.0.strip_prefix(word)?;
        Some(())
    }

    fn or_null<T>(&mut self, read: impl FnOnce(&mut Self) -> Option<T>) -> Option<Option<T>> {
        if self.word(b"null").is_some() { Some(None) } else { read(self).map(Some) }
    }

    fn stamp(&mut self) -> Option<Option<Stamp>> {
        self.or_null(|line| line.number().map(Stamp))
    }

    fn small(&mut self) -> Option<u32> {
        u32::try_from(self.number()?).ok()
    }

    fn signed(&mut self) -> Option<i64> {
        if self.word(b"-").is_some() {
            // JSON knows -0, which is no whole number to serde_json.
            let number = self.number().filter(|number| *number > 0)?;
            return 0_i64.checked_sub_unsigned(number);
        }
        i64::try_from(self.number()?).ok()
    }

    /// A whole number as JSON writes it, eight digits at a time.
    #[inline]
    fn number(&mut self) -> Option<u64> {
        let begin = self.0;
        let mut number = 0_u64;
        loop {
            let Some(eight) = self.0.first_chunk::<8>() else { return self.last_digits(begin, number) };
            let (digits, value) = digits(u64::from_le_bytes(*eight));
            number = number.checked_mul(TENS[digits])?.checked_add(value)?;
            self.0 = &self.0[digits..];
            if digits < 8 {
                return self.no_more(begin, number);
            }
        }
    }

    /// The end of a number that is so close to the end of the line that no eight bytes are left.
    fn last_digits(&mut self, begin: &[u8], mut number: u64) -> Option<u64> {
        while let Some(digit @ b'0'..=b'9') = self.0.first() {
            number = number.checked_mul(10)?.checked_add(u64::from(digit - b'0'))?;
            self.0 = &self.0[1..];
        }
        self.no_more(begin, number)
    }

    /// A number that has digits, no needless zero, and no fraction or exponent.
    fn no_more(&self, begin: &[u8], number: u64) -> Option<u64> {
        let digits = begin.len() - self.0.len();
        let plain = !matches!(self.0.first(), Some(b'.' | b'e' | b'E'));
        (digits > 0 && plain && (digits == 1 || begin.first() != Some(&b'0'))).then_some(number)
    }

    /// A string without escapes.
    fn string(&mut self) -> Option<&'a str> {
        self.word(b"\"")?;
        let end = self.0.iter().position(|byte| *byte == b'"' || *byte == b'\\' || *byte < 0x20)?;
        let (string, rest) = self.0.split_at(end);
        self.0 = rest;
        self.word(b"\"")?;
        std::str::from_utf8(string).ok()
    }

    /// `[[what, times], …]`.
    fn repeats<T>(
        &mut self,
        into: &mut Vec<(T, usize)>,
        mut what: impl FnMut(&mut Self) -> Option<T>,
    ) -> Option<()> {
        into.clear();
        self.word(b"[")?;
        if self.word(b"]").is_some() {
            return Some(());
        }
        loop {
            self.word(b"[")?;
            let value = what(self)?;
            self.word(b",")?;
            into.push((value, usize::try_from(self.number()?).ok()?));
            self.word(b"]")?;
            if self.word(b",").is_none() {
                return self.word(b"]");
            }
        }
    }
}

const TENS: [u64; 9] = [1, 10, 100, 1_000, 10_000, 100_000, 1_000_000, 10_000_000, 100_000_000];

/// How many of eight characters are digits before the first that is none, and the number that these make.
#[inline]
fn digits(eight: u64) -> (usize, u64) {
    // A digit less '0' is 0 to 9: adding 0x76 to anything greater sets the byte's highest bit.
    let values = eight ^ 0x3030_3030_3030_3030;
    let others = (values.wrapping_add(0x7676_7676_7676_7676) | values) & 0x8080_8080_8080_8080;
    let count = (others.trailing_zeros() / 8) as usize;
    if count == 0 {
        return (0, 0);
    }
    // The digits moved to the end, zeros before them; then neighbours are joined: by 10, by 100, by 10,000.
    let values = values << (64 - 8 * count);
    let pairs = values.wrapping_mul(10).wrapping_add(values >> 8) & 0x00ff_00ff_00ff_00ff;
    let fours = pairs.wrapping_mul(100).wrapping_add(pairs >> 16) & 0x0000_ffff_0000_ffff;
    (count, fours.wrapping_mul(10_000).wrapping_add(fours >> 32) & 0xffff_ffff)
}

#[cfg(test)]
mod tests;
