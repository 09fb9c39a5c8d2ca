//! The tokens that may be drawn and their probabilities: temperature, top-k, top-p, min-p, in that order.
//!
//! Refuses to know random numbers. Works in buffers that are kept, and sorts only what can be drawn.

use super::Sampling;

/// Candidates that are sorted first where no top-k bounds them; in text the mass is mostly within fewer.
const FIRST_SORT: usize = 256;

/// Tokens with their logits, then their weights.
#[derive(Debug, Clone, Default)]
pub(super) struct Candidates {
    /// Token and its logit over the temperature; the most probable first as far as `sorted`.
    list: Vec<(f32, u32)>,
    /// Probability of each over that of the most probable.
    weights: Vec<f64>,
}

impl Candidates {
    /// Chooses the candidates and weighs them.
    pub(super) fn fill(&mut self, logits: &[f32], how: &Sampling) {
        self.list.clear();
        let possible = logits.iter().zip(0_u32..).filter(|(logit, _)| **logit > f32::NEG_INFINITY);
        match how.top_k {
            Some(top_k) => self.collect_top(possible, top_k),
            None => self.list.extend(possible.map(|(logit, token)| (*logit, token))),
        }
        self.list.iter_mut().for_each(|candidate| candidate.0 /= how.temperature);
        let most = self.list.iter().map(|candidate| candidate.0).fold(f32::NEG_INFINITY, f32::max);
        // An infinite logit is as probable as itself, and the difference of two would be no number.
        let weight = |logit: f32| if logit >= most { 1.0 } else { f64::from(logit - most).exp() };
        if how.top_p < 1.0 {
            self.keep_mass(how.top_p, weight);
        }
        if how.min_p > 0.0 {
            let least = f64::from(how.min_p);
            self.list.retain(|candidate| weight(candidate.0) >= least);
        }
        self.weights.clear();
        self.weights.extend(self.list.iter().map(|candidate| weight(candidate.0)));
    }

    /// Collects the `count` largest. Most of a vocabulary is below the least of those seen so far and is never stored.
    fn collect_top<'a>(&mut self, possible: impl Iterator<Item = (&'a f32, u32)>, count: usize) {
        let (mut least, mut full) = (f32::NEG_INFINITY, count.saturating_mul(4).max(FIRST_SORT));
        for (logit, token) in possible {
            if *logit < least {
                continue;
            }
            self.list.push((*logit, token));
            if self.list.len() >= full {
                least = self.keep_top(count);
                // Where many are equal little is dropped; doubling keeps the work in proportion.
                full = full.max(2 * self.list.len());
            }
        }
        self.keep_top(count);
    }

    /// Keeps the `count` largest and returns the least of them; those equal to it stay too, as in transformers.
    fn keep_top(&mut self, count: usize) -> f32 {
        if count >= self.list.len() {
            return f32::NEG_INFINITY;
        }
        let (_, least, _) = self.list.select_nth_unstable_by(count - 1, |a, b| b.0.total_cmp(&a.0));
        let least = least.0;
        self.list.retain(|candidate| candidate.0 >= least);
        least
    }

    /// Keeps the fewest whose probabilities add up to `mass`, at least one. Only as much is sorted as that takes.
    fn keep_mass(&mut self, mass: f32, weight: impl Fn(f32) -> f64) {
        let total: f64 = self.list.iter().map(|candidate| weight(candidate.0)).sum();
        let wanted = total * f64::from(mass);
        // All that are less likely than this have together less than what may be left out.
        let crumb = total * (1.0 - f64::from(mass)) / self.list.len() as f64;
        self.list.retain(|candidate| weight(candidate.0) >= crumb);
        // The order of tokens breaks ties, so that nothing depends on how the list was shuffled.
        let order = |a: &(f32, u32), b: &(f32, u32)| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1));
        let (mut sorted, mut sum) = (0, 0.0);
        while sorted < self.list.len() {
            let next = (sorted.max(FIRST_SORT / 8) * 8).min(self.list.len());
            if next < self.list.len() {
                self.list[sorted..].select_nth_unstable_by(next - sorted, order);
            }
            self.list[sorted..next].sort_unstable_by(order);
            for at in sorted..next {
                sum += weight(self.list[at].0);
                if sum >= wanted {
                    self.list.truncate(at + 1);
                    return;
                }
            }
            sorted = next;
        }
    }

    /// The candidate at `share` (0 to under 1) of the whole weight.
    pub(super) fn at(&self, share: f64) -> Option<u32> {
        let mut left = share * self.weights.iter().sum::<f64>();
        for (candidate, weight) in self.list.iter().zip(&self.weights) {
            left -= weight;
            if left < 0.0 {
                return Some(candidate.1);
            }
        }
        // Rounding may leave a crumb at the end.
        self.list.last().map(|candidate| candidate.1)
    }

    /// Each candidate with its probability.
    #[cfg(test)]
    pub(super) fn probabilities(&self) -> impl Iterator<Item = (u32, f64)> {
        let total: f64 = self.weights.iter().sum();
        self.list.iter().zip(&self.weights).map(move |(candidate, weight)| (candidate.1, weight / total))
    }
}
