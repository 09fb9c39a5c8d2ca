//! The packed form: a head of numbers of variable length, then each gap in the same number of bytes.
//!
//! Head: chunks, first stamp, last less first, least gap, bytes a gap, kinds of alike chunks, and for each kind its chunks, its channel
//! with whether it is counted, its tokens. A gap is the wrapping difference of two stamps less the least of them, so that
//! stamps that go backwards are kept too. Equal widths decode several times as fast as numbers of variable length, and
//! lose little: the gaps of one answer are alike. Written and read by this file alone, never kept beyond a run.

use super::{Alike, Unpacked};
use crate::clock::Stamp;
use crate::record::{Chunk, OutputChannel};

const CHANNELS: [OutputChannel; 3] = [OutputChannel::Content, OutputChannel::Reasoning, OutputChannel::Tool];
const COUNTED: u64 = 4;

/// The packed form of at least one chunk.
pub(super) fn write(all: &Unpacked) -> Box<[u8]> {
    let gap = |pair: &[Stamp]| pair[1].0.wrapping_sub(pair[0].0);
    let gaps = || all.at.windows(2).map(gap);
    let (least, most) = gaps().fold((u64::MAX, 0), |(least, most), gap| (least.min(gap), most.max(gap)));
    let least = least.min(most);
    let width = (8 - ((most - least).leading_zeros() / 8) as usize).min(8);
    let mut bytes = Vec::with_capacity(40 + 8 * all.alike.len() + width * all.at.len());
    put(&mut bytes, all.at.len() as u64);
    put(&mut bytes, all.at.first().map_or(0, |at| at.0));
    put(&mut bytes, all.at.last().map_or(0, |at| at.0).wrapping_sub(all.at.first().map_or(0, |at| at.0)));
    put(&mut bytes, least);
    bytes.push(width as u8);
    put(&mut bytes, all.alike.len() as u64);
    for alike in &all.alike {
        put(&mut bytes, alike.chunks as u64);
        let channel = CHANNELS.iter().position(|channel| *channel == alike.channel).unwrap_or(0) as u64;
        put(&mut bytes, channel | if alike.tokens.is_some() { COUNTED } else { 0 });
        put(&mut bytes, u64::from(alike.tokens.unwrap_or(0)));
    }
    for gap in gaps() {
        bytes.extend_from_slice(&(gap - least).to_le_bytes()[..width]);
    }
    bytes.into_boxed_slice()
}

/// How many chunks the bytes hold.
pub(super) fn count(bytes: &[u8]) -> usize {
    take(&mut { bytes }) as usize
}

/// The first chunk and the last.
pub(super) fn ends(mut bytes: &[u8]) -> Option<(Chunk, Chunk)> {
    take(&mut bytes);
    let first = take(&mut bytes);
    let last = first.wrapping_add(take(&mut bytes));
    take(&mut bytes);
    bytes.split_off_first();
    let mut alike = (0..take(&mut bytes)).map(|_| one_alike(&mut bytes));
    let begin = alike.next()?;
    let end = alike.last().unwrap_or(begin);
    let chunk = |at, alike: Alike| Chunk { at: Stamp(at), channel: alike.channel, tokens: alike.tokens };
    Some((chunk(first, begin), chunk(last, end)))
}

fn one_alike(bytes: &mut &[u8]) -> Alike {
    let chunks = take(bytes) as usize;
    let kind = take(bytes);
    let tokens = take(bytes) as u32;
    let channel = CHANNELS[(kind % COUNTED) as usize % CHANNELS.len()];
    Alike { chunks, channel, tokens: (kind >= COUNTED).then_some(tokens) }
}

/// Adds the chunks to empty lists.
pub(super) fn read(mut bytes: &[u8], into: &mut Unpacked) {
    let count = take(&mut bytes) as usize;
    let first = take(&mut bytes);
    take(&mut bytes);
    let least = take(&mut bytes);
    let width = usize::from(bytes.split_off_first().copied().unwrap_or(0)).min(8);
    for _ in 0..take(&mut bytes) {
        into.alike.push(one_alike(&mut bytes));
    }
    into.at.reserve(count);
    into.at.push(Stamp(first));
    let mut at = first;
    let mut add = |gap: u64| {
        at = at.wrapping_add(least).wrapping_add(gap);
        into.at.push(Stamp(at));
    };
    // One loop for each usual width, in which the compiler knows it.
    match width {
        0 => (1..count).for_each(|_| add(0)),
        2 => each::<2>(bytes, add),
        3 => each::<3>(bytes, add),
        4 => each::<4>(bytes, add),
        _ => bytes.chunks_exact(width).for_each(|gap| {
            let mut whole = [0; 8];
            whole[..width].copy_from_slice(gap);
            add(u64::from_le_bytes(whole));
        }),
    }
}

fn each<const WIDTH: usize>(bytes: &[u8], mut add: impl FnMut(u64)) {
    for gap in bytes.as_chunks::<WIDTH>().0 {
        let mut whole = [0; 8];
        whole[..WIDTH].copy_from_slice(gap);
        add(u64::from_le_bytes(whole));
    }
}

/// Adds a number, 7 bits a byte, lowest first.
fn put(bytes: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        bytes.push(number as u8 | 0x80);
        number >>= 7;
    }
    bytes.push(number as u8);
}

fn take(bytes: &mut &[u8]) -> u64 {
    let (mut number, mut shift) = (0, 0);
    while let Some(byte) = bytes.split_off_first() {
        number |= u64::from(byte & 0x7f) << shift;
        shift += 7;
        if byte & 0x80 == 0 || shift > 63 {
            break;
        }
    }
    number
}
