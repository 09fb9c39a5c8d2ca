//! Which joules lie within which others, and thus which channels count: the one place that decides it.
//!
//! Sources propose; this table only takes away. Knows scopes and devices as channels state them and refuses to know
//! any source by name. The laws, in the order they are applied:
//!
//! 1. A domain that the user gave to a source (a server on another host) is that source's alone, also where it fails.
//! 2. Within a domain only the scope that stands first in [`rank`] counts; parts and containers do not.
//! 3. What another counting channel says it contains does not count again: memory within a socket's figure.
//! 4. Whole machines: one source counts, the first; the others see the same joules.
//! 5. One device, one domain: one channel counts, a counter before a power, an instrument before a model.

use ai_energy_core::energy::{Channel, ChannelKind, Domain, Scope};
use ai_energy_core::figure::Provenance;

/// A domain that belongs to one source: its position among the sources, `None` where that source is not there.
pub(crate) type Claim = (Domain, Option<usize>);

/// The place of a scope among those that can count for a domain, the first one counting; `None` for a part of
/// something, and for what contains more than the domain.
///
/// A socket stands before a package, since the package lies in it. Modules and platforms never count: they contain
/// several domains whose parts count for themselves.
fn rank(domain: Domain, scope: Scope) -> Option<u8> {
    match (domain, scope) {
        (Domain::Gpu, Scope::Accelerator | Scope::Unstated) => Some(0),
        (Domain::Cpu, Scope::Socket) => Some(0),
        (Domain::Cpu, Scope::Package | Scope::Unstated) => Some(1),
        (Domain::Ram, Scope::Memory | Scope::Unstated) => Some(0),
        (Domain::Node, Scope::Node | Scope::Unstated) => Some(0),
        (Domain::Node, Scope::Board) => Some(1),
        _ => None,
    }
}

/// For every channel of every source whether it counts.
pub(crate) fn decide(sources: &[Vec<Channel>], claims: &[Claim]) -> Vec<Vec<bool>> {
    let mut entries: Vec<Entry<'_>> = Vec::new();
    for (source, channels) in sources.iter().enumerate() {
        entries.extend(channels.iter().map(|channel| Entry { source, channel, counts: channel.counts }));
    }
    drop_claimed(&mut entries, claims);
    drop_lower_scopes(&mut entries);
    drop_contained(&mut entries);
    drop_other_nodes(&mut entries);
    drop_twins(&mut entries);
    let of = |source: usize| entries.iter().filter(move |entry| entry.source == source);
    (0..sources.len()).map(|source| of(source).map(|entry| entry.counts).collect()).collect()
}

struct Entry<'a> {
    source: usize,
    channel: &'a Channel,
    counts: bool,
}

impl Entry<'_> {
    fn rank(&self) -> Option<u8> {
        rank(self.channel.domain, self.channel.instrument.scope)
    }
}

fn drop_claimed(entries: &mut [Entry<'_>], claims: &[Claim]) {
    for entry in entries {
        let foreign = |claim: &Claim| claim.0 == entry.channel.domain && claim.1 != Some(entry.source);
        entry.counts &= !claims.iter().any(foreign);
    }
}

fn drop_lower_scopes(entries: &mut [Entry<'_>]) {
    for domain in [Domain::Gpu, Domain::Cpu, Domain::Ram, Domain::Node] {
        let of_domain = |entry: &&Entry<'_>| entry.counts && entry.channel.domain == domain;
        let best = entries.iter().filter(of_domain).filter_map(Entry::rank).min();
        for entry in entries.iter_mut().filter(|entry| entry.channel.domain == domain) {
            entry.counts &= entry.rank().is_some() && entry.rank() == best;
        }
    }
}

fn drop_contained(entries: &mut [Entry<'_>]) {
    let containers = entries.iter().filter(|entry| entry.counts);
    let contained: Vec<Domain> =
        containers.flat_map(|entry| entry.channel.instrument.contains.iter().copied()).collect();
    for entry in entries.iter_mut().filter(|entry| contained.contains(&entry.channel.domain)) {
        entry.counts = false;
    }
}

fn drop_other_nodes(entries: &mut [Entry<'_>]) {
    let node = |entry: &Entry<'_>| entry.counts && entry.channel.domain == Domain::Node;
    let first = entries.iter().find(|entry| node(entry)).map(|entry| entry.source);
    for entry in entries.iter_mut().filter(|entry| entry.channel.domain == Domain::Node) {
        entry.counts &= Some(entry.source) == first;
    }
}

fn drop_twins(entries: &mut [Entry<'_>]) {
    let goodness = |channel: &Channel| {
        let counter = matches!(channel.kind, ChannelKind::Counter { .. });
        (channel.provenance == Provenance::Measured, counter)
    };
    for index in 0..entries.len() {
        let this = &entries[index];
        let better = |(other, entry): (usize, &Entry<'_>)| {
            let twin = entry.counts
                && other != index
                && entry.channel.domain == this.channel.domain
                && entry.channel.device_id == this.channel.device_id;
            let (theirs, ours) = (goodness(entry.channel), goodness(this.channel));
            twin && (theirs > ours || (theirs == ours && other < index))
        };
        let beaten = entries.iter().enumerate().any(better);
        entries[index].counts &= !beaten;
    }
}

/// Which of several counters repeat an earlier one: both of two looks show the same value, and it moved in between.
/// Counters of microjoules that run apart never do; dies that mirror one counter always do.
pub(crate) fn mirrors(first: &[u64], second: &[u64]) -> Vec<bool> {
    let looks: Vec<(u64, u64)> = first.iter().copied().zip(second.iter().copied()).collect();
    let repeats = |(index, look): (usize, &(u64, u64))| look.0 != look.1 && looks[..index].contains(look);
    looks.iter().enumerate().map(repeats).collect()
}

#[cfg(test)]
mod tests;
