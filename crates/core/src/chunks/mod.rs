//! The chunks of a generation in few bytes: a run keeps a hundred million of them.
//!
//! While a generation goes on, a stamp takes 8 bytes and what repeats (channel, tokens a chunk) is counted. When it is
//! over, [`Chunks::pack`] keeps the gaps between stamps in as many bytes as the widest needs, about 3 a chunk; and
//! [`Chunks::put_into`] moves those to a [`Store`]. The content is the same in every form, to the nanosecond. Refuses to
//! know what a chunk means.

mod packed;
mod wire;

use std::sync::Arc;

use crate::clock::Stamp;
use crate::record::{Chunk, OutputChannel};
use crate::store::Store;

/// Consecutive chunks that are alike but for their stamps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Alike {
    /// How many.
    pub chunks: usize,
    /// What they belong to.
    pub channel: OutputChannel,
    /// Tokens in each, where the server says.
    pub tokens: Option<u32>,
}

/// Chunks as two plain lists, for whoever goes through all of them. One is used again and again without allocating.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Unpacked {
    /// When each was read.
    pub at: Vec<Stamp>,
    /// What they are; the numbers add up to the length of `at`.
    pub alike: Vec<Alike>,
    /// What was read from a store.
    bytes: Vec<u8>,
}

impl Unpacked {
    fn clear(&mut self) {
        self.at.clear();
        self.alike.clear();
    }

    fn push(&mut self, chunk: Chunk) {
        self.at.push(chunk.at);
        match self.alike.last_mut() {
            Some(last) if last.channel == chunk.channel && last.tokens == chunk.tokens => last.chunks += 1,
            _ => self.alike.push(Alike { chunks: 1, channel: chunk.channel, tokens: chunk.tokens }),
        }
    }

    /// `true` where every chunk but the first `skipped` has a count of its tokens.
    pub fn counted_after(&self, skipped: usize) -> bool {
        let mut before = 0;
        self.alike.iter().all(|alike| {
            before += alike.chunks;
            alike.tokens.is_some() || before <= skipped
        })
    }

    /// The tokens of each chunk in turn, where they are counted.
    pub fn tokens(&self) -> impl Iterator<Item = Option<u32>> + '_ {
        self.alike.iter().flat_map(|alike| std::iter::repeat_n(alike.tokens, alike.chunks))
    }

    fn iter(&self) -> impl Iterator<Item = Chunk> + '_ {
        let alike = self
            .alike
            .iter()
            .flat_map(|alike| std::iter::repeat_n((alike.channel, alike.tokens), alike.chunks));
        self.at.iter().zip(alike).map(|(at, (channel, tokens))| Chunk { at: *at, channel, tokens })
    }
}

/// Each chunk of a generation that carried tokens, in the order they came.
#[derive(Debug, Clone, Default)]
pub struct Chunks(Form);

#[derive(Debug, Clone, Default)]
enum Form {
    #[default]
    None,
    /// A generation that goes on.
    Growing(Box<Unpacked>),
    /// One that is over.
    Packed(Box<[u8]>),
    /// One whose bytes are elsewhere.
    Stored(Box<Stored>),
}

#[derive(Debug, Clone)]
struct Stored {
    store: Arc<dyn Store>,
    at: u64,
    bytes: usize,
    chunks: usize,
    first: Chunk,
    last: Chunk,
}

impl Chunks {
    /// Adds one. What was packed is unpacked for it.
    pub fn push(&mut self, chunk: Chunk) {
        if !matches!(self.0, Form::Growing(_)) {
            let mut all = Box::default();
            self.unpack(&mut all);
            self.0 = Form::Growing(all);
        }
        if let Form::Growing(all) = &mut self.0 {
            all.push(chunk);
        }
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        match &self.0 {
            Form::None => 0,
            Form::Growing(all) => all.at.len(),
            Form::Packed(bytes) => packed::count(bytes),
            Form::Stored(stored) => stored.chunks,
        }
    }

    /// `true` where there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The first one.
    pub fn first(&self) -> Option<Chunk> {
        match &self.0 {
            Form::Packed(bytes) => packed::ends(bytes).map(|(first, _)| first),
            Form::Stored(stored) => Some(stored.first),
            _ => self.iter().next(),
        }
    }

    /// The last one.
    pub fn last(&self) -> Option<Chunk> {
        match &self.0 {
            Form::Packed(bytes) => packed::ends(bytes).map(|(_, last)| last),
            Form::Stored(stored) => Some(stored.last),
            _ => self.iter().last(),
        }
    }

    /// The one at a position.
    pub fn get(&self, position: usize) -> Option<Chunk> {
        self.iter().nth(position)
    }

    /// All of them. Allocates; [`Chunks::unpack`] does not.
    pub fn iter(&self) -> impl Iterator<Item = Chunk> + use<> {
        let mut all = Unpacked::default();
        self.unpack(&mut all);
        let mut alike = all
            .alike
            .into_iter()
            .flat_map(|alike| std::iter::repeat_n((alike.channel, alike.tokens), alike.chunks));
        all.at.into_iter().filter_map(move |at| {
            let (channel, tokens) = alike.next()?;
            Some(Chunk { at, channel, tokens })
        })
    }

    /// Puts them into two plain lists, which lose what they held. Bytes that their store cannot read are no chunks, and
    /// a warning.
    pub fn unpack(&self, into: &mut Unpacked) {
        into.clear();
        match &self.0 {
            Form::None => {}
            Form::Growing(all) => {
                into.at.extend_from_slice(&all.at);
                into.alike.extend_from_slice(&all.alike);
            }
            Form::Packed(bytes) => packed::read(bytes, into),
            Form::Stored(stored) => {
                let mut bytes = std::mem::take(&mut into.bytes);
                bytes.resize(stored.bytes, 0);
                match stored.store.read(stored.at, &mut bytes) {
                    Ok(()) => packed::read(&bytes, into),
                    Err(error) => tracing::warn!(%error, "token times cannot be read back"),
                }
                into.bytes = bytes;
            }
        }
    }

    /// Makes them small. Done once a generation is over.
    pub fn pack(&mut self) {
        if let Form::Growing(all) = &self.0 {
            self.0 = if all.at.is_empty() { Form::None } else { Form::Packed(packed::write(all)) };
        }
    }

    /// The same chunks without their tokens' counts.
    #[must_use]
    pub fn uncounted(mut self) -> Self {
        let mut all = Unpacked::default();
        self.unpack(&mut all);
        let mut plain = Unpacked::default();
        all.iter().for_each(|chunk| plain.push(Chunk { tokens: None, ..chunk }));
        self.0 = Form::Growing(Box::new(plain));
        self
    }

    /// Moves every stamp to another clock. What was in a store goes there again.
    pub fn restamp(&mut self, moved: impl Fn(Stamp) -> Stamp) {
        let mut all = Unpacked::default();
        self.unpack(&mut all);
        all.at.iter_mut().for_each(|at| *at = moved(*at));
        let store = match &self.0 {
            Form::Stored(stored) => Some(Arc::clone(&stored.store)),
            _ => None,
        };
        *self = Self::from(&all);
        if let Some(store) = store {
            self.put_into(&store);
        }
    }

    /// Bytes on the heap, about.
    pub fn heap_bytes(&self) -> usize {
        match &self.0 {
            Form::None => 0,
            Form::Growing(all) => 8 * all.at.capacity() + size_of::<Alike>() * all.alike.capacity(),
            Form::Packed(bytes) => bytes.len(),
            Form::Stored(_) => size_of::<Stored>(),
        }
    }

    /// Packs them and moves the bytes to a store, where that saves memory.
    pub fn put_into(&mut self, store: &Arc<dyn Store>) {
        self.pack();
        if let (Form::Packed(bytes), Some(first), Some(last)) = (&self.0, self.first(), self.last())
            && bytes.len() > size_of::<Stored>()
        {
            let at = store.keep(bytes);
            let stored =
                Stored { store: Arc::clone(store), at, bytes: bytes.len(), chunks: self.len(), first, last };
            self.0 = Form::Stored(Box::new(stored));
        }
    }
}

impl PartialEq for Chunks {
    /// The same chunks, in whatever form.
    fn eq(&self, other: &Self) -> bool {
        self.len() == other.len() && self.iter().eq(other.iter())
    }
}

impl From<&Unpacked> for Chunks {
    /// Packs them.
    fn from(all: &Unpacked) -> Self {
        Self(if all.at.is_empty() { Form::None } else { Form::Packed(packed::write(all)) })
    }
}

impl FromIterator<Chunk> for Chunks {
    fn from_iter<T: IntoIterator<Item = Chunk>>(chunks: T) -> Self {
        let mut all = Unpacked::default();
        chunks.into_iter().for_each(|chunk| all.push(chunk));
        Self(Form::Growing(Box::new(all)))
    }
}

impl From<Vec<Chunk>> for Chunks {
    fn from(chunks: Vec<Chunk>) -> Self {
        chunks.into_iter().collect()
    }
}

#[cfg(test)]
mod tests;
