//! Chunks in JSON: the first stamp, the gaps after it, and what repeats with how often.
//!
//! `{"first_ns": 100, "gaps_ns": [10, 10], "channels": [["content", 3]], "tokens": [[1, 3]]}`, and null for none. The list of
//! `[t_ns, channel, tokens]` that runs wrote before is read too.

use serde::de::{Error, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::{Alike, Chunks, Unpacked};
use crate::clock::Stamp;
use crate::record::{Chunk, OutputChannel};

#[derive(Serialize)]
struct Out<'a> {
    first_ns: Stamp,
    gaps_ns: Gaps<'a>,
    channels: Vec<(OutputChannel, usize)>,
    tokens: Vec<(Option<u32>, usize)>,
}

/// The differences between stamps.
struct Gaps<'a>(&'a [Stamp]);

impl Serialize for Gaps<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.0.windows(2).map(|pair| pair[1].0.wrapping_sub(pair[0].0) as i64))
    }
}

impl Serialize for Chunks {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut all = Unpacked::default();
        self.unpack(&mut all);
        let Some(first) = all.at.first() else { return serializer.serialize_none() };
        let out = Out {
            first_ns: *first,
            gaps_ns: Gaps(&all.at),
            channels: counted(&all.alike, |alike| alike.channel),
            tokens: counted(&all.alike, |alike| alike.tokens),
        };
        out.serialize(serializer)
    }
}

/// What repeats and how often.
fn counted<T: PartialEq>(all: &[Alike], value: impl Fn(&Alike) -> T) -> Vec<(T, usize)> {
    let mut found: Vec<(T, usize)> = Vec::new();
    for alike in all {
        match found.last_mut() {
            Some((last, chunks)) if *last == value(alike) => *chunks += alike.chunks,
            _ => found.push((value(alike), alike.chunks)),
        }
    }
    found
}

#[derive(Deserialize)]
struct In {
    first_ns: Stamp,
    gaps_ns: Vec<i64>,
    channels: Vec<(OutputChannel, usize)>,
    tokens: Vec<(Option<u32>, usize)>,
}

impl Unpacked {
    /// Sets what the chunks at hand are, from what repeats with how often.
    ///
    /// # Errors
    /// The numbers do not add up to the chunks.
    pub fn set_alike(
        &mut self,
        channels: &[(OutputChannel, usize)],
        tokens: &[(Option<u32>, usize)],
    ) -> Result<(), String> {
        let chunks = self.at.len();
        self.alike.clear();
        if let ([(channel, of_channels)], [(tokens, of_tokens)]) = (channels, tokens)
            && *of_channels == chunks
            && *of_tokens == chunks
        {
            self.alike.push(Alike { chunks, channel: *channel, tokens: *tokens });
            return Ok(());
        }
        let of_channels = channels.iter().map(|(_, times)| *times).try_fold(0, usize::checked_add);
        let of_tokens = tokens.iter().map(|(_, times)| *times).try_fold(0, usize::checked_add);
        for (name, sum) in [("channels", of_channels), ("tokens", of_tokens)] {
            if sum != Some(chunks) {
                return Err(format!("its `{name}` are not those of {chunks} chunks"));
            }
        }
        let mut counts = tokens.iter().copied().filter(|(_, times)| *times > 0);
        let mut current = counts.next();
        for (channel, times) in channels {
            let mut times = *times;
            while times > 0
                && let Some((tokens, left)) = current
            {
                let now = times.min(left);
                self.alike.push(Alike { chunks: now, channel: *channel, tokens });
                times -= now;
                current = if left > now { Some((tokens, left - now)) } else { counts.next() };
            }
        }
        Ok(())
    }
}

struct Any;

impl<'de> Visitor<'de> for Any {
    type Value = Chunks;

    fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("chunks: an object with first_ns, gaps_ns, channels and tokens, or null")
    }

    fn visit_unit<E: Error>(self) -> Result<Chunks, E> {
        Ok(Chunks::default())
    }

    fn visit_none<E: Error>(self) -> Result<Chunks, E> {
        Ok(Chunks::default())
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Chunks, D::Error> {
        deserializer.deserialize_any(self)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Chunks, A::Error> {
        let mut all = Unpacked::default();
        while let Some(chunk) = list.next_element::<Chunk>()? {
            all.push(chunk);
        }
        Ok((&all).into())
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Chunks, A::Error> {
        let read = In::deserialize(serde::de::value::MapAccessDeserializer::new(map))?;
        let mut all = Unpacked::default();
        let mut at = read.first_ns.0;
        all.at.push(read.first_ns);
        all.at.extend(read.gaps_ns.into_iter().map(|gap| {
            at = at.wrapping_add(gap as u64);
            Stamp(at)
        }));
        all.set_alike(&read.channels, &read.tokens).map_err(Error::custom)?;
        Ok((&all).into())
    }
}

impl<'de> Deserialize<'de> for Chunks {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Any)
    }
}
