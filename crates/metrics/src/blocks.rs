//! Work over many requests on all cores, with the same bits as on one.
//!
//! Sums of floating-point numbers depend on their order. So requests are cut into blocks of a fixed size, each block is
//! worked on by one thread from its first request to its last, and the blocks' results are put together in the blocks'
//! order: how many threads there were shows nowhere. Refuses to know what is summed.

use std::sync::atomic::{AtomicUsize, Ordering};

/// Requests in a block.
pub(crate) const BLOCK: usize = 4096;

/// More threads than this wait for memory.
const MOST_THREADS: usize = 16;

/// The results of each block of `items`, in order.
pub(crate) fn by_block<R: Sync, T: Send>(items: &[R], work: impl Fn(&[R]) -> T + Sync) -> Vec<T> {
    let blocks: Vec<&[R]> = items.chunks(BLOCK).collect();
    let add = |found: &mut Vec<(usize, T)>, number: usize| {
        if let Some(block) = blocks.get(number) {
            found.push((number, work(block)));
        }
    };
    let mut found: Vec<(usize, T)> = by_thread(blocks.len(), Vec::new, add).into_iter().flatten().collect();
    found.sort_unstable_by_key(|(number, _)| *number);
    found.into_iter().map(|(_, result)| result).collect()
}

/// Shares the blocks `0..blocks` among threads, each of which has a state of its own that is handed back. What is added up
/// across states must not depend on the order.
pub(crate) fn by_thread<A: Send>(
    blocks: usize,
    new: impl Fn() -> A + Sync,
    work: impl Fn(&mut A, usize) + Sync,
) -> Vec<A> {
    let next = AtomicUsize::new(0);
    let one = || {
        let mut state = new();
        loop {
            let number = next.fetch_add(1, Ordering::Relaxed);
            if number >= blocks {
                return state;
            }
            work(&mut state, number);
        }
    };
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZeroUsize::get);
    let others = cores.min(MOST_THREADS).min(blocks).saturating_sub(1);
    if others == 0 {
        return vec![one()];
    }
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..others).map(|_| scope.spawn(one)).collect();
        let mut states = vec![one()];
        for thread in threads {
            states.push(thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)));
        }
        states
    })
}

/// Two pieces of work at the same time.
pub(crate) fn both<A: Send, B>(first: impl FnOnce() -> A + Send, second: impl FnOnce() -> B) -> (A, B) {
    std::thread::scope(|scope| {
        let thread = scope.spawn(first);
        let second = second();
        (thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)), second)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_come_back_in_order_and_none_is_missed() {
        for count in [0, 1, BLOCK, BLOCK + 1, 9 * BLOCK + 17] {
            let items: Vec<usize> = (0..count).collect();
            let found = by_block(&items, <[usize]>::to_vec);
            assert_eq!(found.len(), count.div_ceil(BLOCK));
            assert_eq!(found.concat(), items);
        }
        assert_eq!(both(|| 1, || 2), (1, 2));
    }
}
