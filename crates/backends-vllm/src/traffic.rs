//! Counts connections and bytes, for the client's health.
//!
//! A connection counts its own bytes in plain numbers and hands them in when it rests or ends: nothing is shared while
//! tokens come. Refuses to know what the bytes mean.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use ai_energy_core::client::Traffic;

/// The counts of one client's connections.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    opened: AtomicU64,
    open: AtomicU64,
    peak_open: AtomicU64,
    reused: AtomicU64,
    received: AtomicU64,
    sent: AtomicU64,
}

impl Counts {
    /// A request goes out on a connection that has carried another one.
    pub(crate) fn note_reuse(&self) {
        self.reused.fetch_add(1, Ordering::Relaxed);
    }

    /// The counts so far, save the bytes of answers under way; begins the peak anew.
    pub(crate) fn take(&self) -> Traffic {
        let get = |count: &AtomicU64| count.load(Ordering::Relaxed);
        Traffic {
            opened: get(&self.opened),
            peak_open: self.peak_open.swap(get(&self.open), Ordering::Relaxed),
            reused: get(&self.reused),
            received_bytes: get(&self.received),
            sent_bytes: get(&self.sent),
        }
    }
}

/// What one connection has carried since it last rested. Counts itself as open while it lives.
#[derive(Debug)]
pub(crate) struct Carried {
    counts: Arc<Counts>,
    pub(crate) received: u64,
    pub(crate) sent: u64,
}

impl Carried {
    /// A connection that has just been made.
    pub(crate) fn open(counts: &Arc<Counts>) -> Self {
        counts.opened.fetch_add(1, Ordering::Relaxed);
        let open = counts.open.fetch_add(1, Ordering::Relaxed) + 1;
        counts.peak_open.fetch_max(open, Ordering::Relaxed);
        Self { counts: Arc::clone(counts), received: 0, sent: 0 }
    }

    /// Hands its bytes in.
    pub(crate) fn rest(&mut self) {
        self.counts.received.fetch_add(std::mem::take(&mut self.received), Ordering::Relaxed);
        self.counts.sent.fetch_add(std::mem::take(&mut self.sent), Ordering::Relaxed);
    }
}

impl Drop for Carried {
    fn drop(&mut self) {
        self.rest();
        self.counts.open.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_count_once_and_the_peak_is_of_the_time_since_the_last_look() {
        let counts = Arc::new(Counts::default());
        let (mut a, b) = (Carried::open(&counts), Carried::open(&counts));
        (a.received, a.sent) = (10, 3);
        a.rest();
        a.rest();
        let first = counts.take();
        assert_eq!((first.opened, first.peak_open, first.received_bytes, first.sent_bytes), (2, 2, 10, 3));
        drop(b);
        a.received = 5;
        drop(a);
        let second = counts.take();
        assert_eq!(
            (second.opened, second.peak_open, second.received_bytes),
            (2, 2, 15),
            "two were open at the look"
        );
        assert_eq!(counts.take().peak_open, 0);
    }
}
