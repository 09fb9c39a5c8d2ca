//! Exact statistics of more observations than the memory should hold: selection by radix, in several passes.
//!
//! The bits of a number, read as an integer, order as the number does. The first pass counts how many observations begin
//! with each of the 2^16 possible 16 bits, which tells the bits that each wanted order statistic begins with; the second
//! counts the next 16 bits of those that begin so. Then the few that are left are collected and sorted, or, where they
//! are still many (all alike, say), two more passes give the remaining bits. Sums go by blocks in a fixed order. The
//! percentiles are those of sorting everything, to the bit.

use ai_energy_core::summary::Distribution;

use super::{QUANTILES, about_the_mean, between, of_moments};
use crate::blocks::by_thread;

/// Observations that can be gone through again and again, block by block.
pub(crate) trait Observations: Sync {
    /// How many blocks there are.
    fn blocks(&self) -> usize;
    /// Hands each observation of a block to `take` with how many times it was made, in a fixed order. None is infinite.
    fn each(&self, block: usize, take: impl FnMut(f64, u64));
}

/// Bits that one pass settles.
const BITS: u32 = 16;
/// Observations that are collected and sorted rather than counted once more.
const FEW: u64 = 1 << 20;

/// The distribution of observations in `unit`; `None` without one.
pub(crate) fn distribution(all: &impl Observations, unit: &str) -> Option<Distribution> {
    let first = pass(all, &[0], 0, 0.0);
    let count = first.count;
    let last = count.checked_sub(1)?;
    let (min, max) = (value(first.least), value(first.most));
    let mean = (first.sum / count as f64).clamp(min, max);
    let mut wanted = Vec::new();
    for q in QUANTILES {
        between(last, q, |number| {
            wanted.push(number);
            0.0
        });
    }
    wanted.sort_unstable();
    wanted.dedup();
    let mut ranks: Vec<Rank> =
        wanted.into_iter().map(|number| Rank { number, left: number, key: 0 }).collect();
    let mut counted = first;
    let mut squares = None;
    for level in 0..u64::BITS / BITS {
        let rest = settle(&mut ranks, &counted);
        let known = (level + 1) * BITS;
        if known == u64::BITS {
            break;
        }
        let begins = begins(&ranks, known);
        if rest <= FEW && squares.is_some() {
            collect(all, &begins, known, &mut ranks);
            break;
        }
        counted = pass(all, &begins, known, mean);
        squares.get_or_insert_with(|| about_the_mean(counted.squares, counted.offs, count));
    }
    let nth = |number: u64| {
        ranks.iter().find(|rank| rank.number == number).map_or(f64::NAN, |rank| value(rank.key))
    };
    let points = QUANTILES.map(|q| between(last, q, nth));
    let squares = squares.unwrap_or_default();
    Some(of_moments(unit, count, mean, squares, (min, max), points))
}

/// A wanted order statistic: its number among all, among those that begin as it does, and its key as far as it is known.
struct Rank {
    number: u64,
    left: u64,
    key: u64,
}

/// What a pass counted.
struct Counted {
    /// Bits that were known before.
    known: u32,
    count: u64,
    sum: f64,
    /// Differences to the mean that the pass was given, and their squares.
    offs: f64,
    squares: f64,
    least: u64,
    most: u64,
    /// What those bits may be, ascending, and how many observations go on with each of the next.
    begins: Vec<u64>,
    tables: Vec<u64>,
}

/// What one thread counted.
struct Part {
    tables: Vec<u64>,
    least: u64,
    most: u64,
    /// Each block's number, count, and sums.
    sums: Vec<(usize, u64, [f64; 3])>,
}

/// A number's place in the order of all numbers, and back.
fn key(value: f64) -> u64 {
    let bits = value.to_bits();
    if bits >> 63 == 0 { bits | 1 << 63 } else { !bits }
}

fn value(key: u64) -> f64 {
    f64::from_bits(if key >> 63 == 1 { key & !(1 << 63) } else { !key })
}

/// The first `known` bits of a key as a number of their own.
fn head(key: u64, known: u32) -> u64 {
    key.checked_shr(u64::BITS - known).unwrap_or(0)
}

fn begins(ranks: &[Rank], known: u32) -> Vec<u64> {
    let mut begins: Vec<u64> = ranks.iter().map(|rank| head(rank.key, known)).collect();
    begins.sort_unstable();
    begins.dedup();
    begins
}

/// Counts the next bits of all observations whose first `known` bits are among `begins`.
fn pass(all: &impl Observations, begins: &[u64], known: u32, mean: f64) -> Counted {
    let shift = u64::BITS - known - BITS;
    let new = || Part { tables: vec![0; begins.len() << BITS], least: u64::MAX, most: 0, sums: Vec::new() };
    let work = |part: &mut Part, block: usize| {
        let (mut count, mut sum, mut offs, mut squares) = (0_u64, 0.0, 0.0, 0.0);
        all.each(block, |value, times| {
            count = count.saturating_add(times);
            sum += value * times as f64;
            let off = value - mean;
            offs += off * times as f64;
            squares += off * off * times as f64;
            let key = key(value);
            (part.least, part.most) = (part.least.min(key), part.most.max(key));
            if let Some(place) = find(begins, head(key, known)) {
                let slot = (place << BITS) | (key >> shift) as usize & ((1 << BITS) - 1);
                part.tables[slot] = part.tables[slot].saturating_add(times);
            }
        });
        part.sums.push((block, count, [sum, offs, squares]));
    };
    let states = by_thread(all.blocks(), new, work);
    let mut counted = Counted {
        known,
        count: 0,
        sum: 0.0,
        offs: 0.0,
        squares: 0.0,
        least: u64::MAX,
        most: 0,
        begins: begins.to_vec(),
        tables: vec![0; begins.len() << BITS],
    };
    let mut sums = Vec::new();
    for part in states {
        counted.least = counted.least.min(part.least);
        counted.most = counted.most.max(part.most);
        counted.tables.iter_mut().zip(part.tables).for_each(|(sum, part)| *sum = sum.saturating_add(part));
        sums.extend(part.sums);
    }
    sums.sort_unstable_by_key(|(block, ..)| *block);
    for (_, count, [sum, offs, squares]) in sums {
        counted.count = counted.count.saturating_add(count);
        counted.sum += sum;
        counted.offs += offs;
        counted.squares += squares;
    }
    counted
}

/// The place of a head among those looked for.
fn find(begins: &[u64], head: u64) -> Option<usize> {
    begins.iter().position(|begin| *begin == head)
}

/// Adds the bits that a pass counted to each rank's key; how many observations begin as any of them now.
fn settle(ranks: &mut [Rank], counted: &Counted) -> u64 {
    let known = counted.known;
    let (mut rest, mut last) = (0_u64, None);
    for rank in ranks {
        let Some(place) = find(&counted.begins, head(rank.key, known)) else { continue };
        let table = &counted.tables[place << BITS..(place + 1) << BITS];
        let mut before = 0_u64;
        for (bits, number) in table.iter().enumerate() {
            if rank.left < before.saturating_add(*number) {
                rank.left -= before;
                rank.key |= (bits as u64) << (u64::BITS - known - BITS);
                if last != Some(rank.key) {
                    rest = rest.saturating_add(*number);
                    last = Some(rank.key);
                }
                break;
            }
            before = before.saturating_add(*number);
        }
    }
    rest
}

/// Collects the observations that begin with one of `begins`, and reads the ranks' keys off.
fn collect(all: &impl Observations, begins: &[u64], known: u32, ranks: &mut [Rank]) {
    let new = || vec![Vec::<(u64, u64)>::new(); begins.len()];
    let work = |found: &mut Vec<Vec<(u64, u64)>>, block: usize| {
        all.each(block, |value, times| {
            let key = key(value);
            if let Some(place) = find(begins, head(key, known)) {
                found[place].push((key, times));
            }
        });
    };
    let mut found = new();
    for part in by_thread(all.blocks(), new, work) {
        found.iter_mut().zip(part).for_each(|(all, part)| all.extend(part));
    }
    found.iter_mut().for_each(|keys| keys.sort_unstable());
    for rank in ranks {
        let Some(place) = find(begins, head(rank.key, known)) else { continue };
        let mut upto = 0_u64;
        let at = found[place].iter().find(|(_, times)| {
            upto = upto.saturating_add(*times);
            rank.left < upto
        });
        rank.key = at.map_or(rank.key, |(key, _)| *key);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stats::weighted_distribution;
    use proptest::prelude::*;

    struct Lists(Vec<Vec<(f64, u64)>>);

    impl Observations for Lists {
        fn blocks(&self) -> usize {
            self.0.len()
        }

        fn each(&self, block: usize, mut take: impl FnMut(f64, u64)) {
            self.0[block].iter().for_each(|(value, times)| take(*value, *times));
        }
    }

    fn same_as_sorting(lists: Vec<Vec<(f64, u64)>>) {
        let sorted = weighted_distribution(lists.concat(), "s");
        let selected = distribution(&Lists(lists), "s");
        let points = |of: &Distribution| {
            [of.min, of.p50, of.p90, of.p95, of.p99, of.p999, of.max].map(f64::to_bits).to_vec()
        };
        let (Some(sorted), Some(selected)) = (&sorted, &selected) else {
            assert_eq!((sorted.is_none(), selected.is_none()), (true, true));
            return;
        };
        assert_eq!((points(selected), selected.count), (points(sorted), sorted.count));
        let close = |a: f64, b: f64| (a - b).abs() <= 1e-10 * sorted.max.abs().max(sorted.min.abs());
        assert!(close(selected.mean, sorted.mean), "{} {}", selected.mean, sorted.mean);
        let spread = |of: &Distribution| of.standard_deviation.unwrap_or(0.0);
        assert!((spread(selected) - spread(sorted)).abs() <= 1e-9 * spread(sorted).max(1e-9));
    }

    #[test]
    fn many_alike_and_many_apart_are_selected_as_if_sorted() {
        // More than are collected, so that every pass is needed.
        let alike = vec![(0.010, 1); FEW as usize / 2 + 10];
        let close = (0..FEW / 2).map(|number| (0.010 + number as f64 * 1e-17, 1)).collect();
        let apart = (0..3 * FEW).map(|number| ((number * 7919 % 1_000_003) as f64 * 1e-7, 1)).collect();
        same_as_sorting(vec![alike.clone(), alike.clone(), close]);
        same_as_sorting(vec![alike, apart]);
    }

    #[test]
    fn keys_order_as_numbers_do_and_come_back() {
        let numbers = [f64::MIN, -2.5, -f64::MIN_POSITIVE, -0.0, 0.0, 1e-300, 0.01, 1.0, f64::MAX];
        assert!(numbers.map(key).is_sorted());
        assert!(numbers.iter().all(|number| value(key(*number)).to_bits() == number.to_bits()));
    }

    proptest! {
        #[test]
        fn selecting_is_sorting(lists in prop::collection::vec(
            prop::collection::vec((prop_oneof![-1e3..1e3f64, 0.0099..0.0101f64, Just(0.0)], 1..5_u64), 0..60), 0..6)) {
            same_as_sorting(lists);
        }
    }
}
