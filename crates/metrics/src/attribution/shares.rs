//! Each request's share of the load's energy.
//!
//! The energy of each interval goes to the requests that were in flight in it: by their tokens there, weighted by what a
//! prompt and a generated token take where that is known, else by their time in flight. An interval in which nobody was
//! in flight is spread over all requests as the rest is. The shares of all requests, failed ones included, add up to the
//! domain's energy. Refuses to share what is not known.

use ai_energy_core::energy::Domain;
use ai_energy_core::summary::{DomainEnergy, RequestShare, RequestShares};
use ai_energy_core::{RequestRecord, RunRecord};

use super::split::PerToken;
use super::work::{Intervals, Piece, Work};
use crate::blocks::by_block;
use crate::energy::{ChannelResult, TOTAL_DOMAINS, counting};
use crate::integrate::Window;
use crate::stats::distribution;

/// Intervals that the load is cut into, where the sampling allows so many.
const MOST: usize = 2000;

/// Shares the energy of every known domain.
pub(super) fn request_shares(
    record: &RunRecord,
    results: &[ChannelResult<'_>],
    domains: &[DomainEnergy],
    window: Window,
    per_token: Option<PerToken>,
) -> RequestShares {
    let refused =
        |reason: &str| RequestShares { reason: Some(reason.to_owned()), ..RequestShares::default() };
    if record.requests.is_empty() {
        return refused("no request was run");
    }
    let known: Vec<(Domain, f64)> = domains
        .iter()
        .filter(|entry| TOTAL_DOMAINS.contains(&entry.domain))
        .filter_map(|entry| Some((entry.domain, entry.energy.value?)))
        .collect();
    if known.is_empty() {
        return refused("no energy is known");
    }
    let sampling = f64::from(record.plan.sampling_interval_ms.max(1)) * 1e-3;
    let intervals = Intervals::new(window, ((window.seconds() / sampling) as usize).clamp(1, MOST));
    let load = InFlight::new(&record.requests, intervals, per_token);
    let joules: Vec<Vec<f64>> =
        known.iter().map(|(domain, _)| interval_joules(&counting(results, *domain), &intervals)).collect();
    let given = load.shares(&record.requests, &joules);
    let shares: Vec<(Domain, Vec<f64>)> =
        known.iter().zip(given).map(|((domain, whole), shares)| (*domain, scaled(shares, *whole))).collect();
    collect(record, &shares, method(per_token, &intervals))
}

fn method(per_token: Option<PerToken>, intervals: &Intervals) -> String {
    let by = match per_token {
        Some(PerToken { prefill, decode }) => format!(
            "its tokens in flight, a prompt token weighing {prefill:.3e} J and a generated one {decode:.3e} J, or by \
             time in flight where there are none"
        ),
        None => "the time it was in flight".to_owned(),
    };
    format!(
        "each interval of {:.2} s is shared among the requests in flight, each by {by}",
        intervals.seconds
    )
}

/// Joules of each interval, all channels together.
fn interval_joules(channels: &[&ChannelResult<'_>], intervals: &Intervals) -> Vec<f64> {
    let curves: Vec<_> = channels.iter().filter_map(|result| result.curve.as_ref()).collect();
    let at: Vec<f64> = intervals
        .edges()
        .iter()
        .map(|edge| curves.iter().map(|curve| curve.joules_at(*edge)).sum())
        .collect();
    at.windows(2).map(|pair| (pair[1] - pair[0]).max(0.0)).collect()
}

/// What was in flight in each interval, all requests together.
struct InFlight {
    intervals: Intervals,
    per_token: Option<PerToken>,
    by_tokens: Vec<f64>,
    by_time: Vec<f64>,
}

impl InFlight {
    fn new(requests: &[RequestRecord], intervals: Intervals, per_token: Option<PerToken>) -> Self {
        let none = || vec![0.0; intervals.count];
        let mut all = Self { intervals, per_token, by_tokens: none(), by_time: none() };
        let of_blocks = by_block(requests, |block| {
            let (mut sums, mut work) = (vec![[0.0; 2]; intervals.count], Work::default());
            for request in block {
                for piece in work.pieces(request, &intervals) {
                    sums[piece.interval][0] += all.weight(piece);
                    sums[piece.interval][1] += piece.seconds;
                }
            }
            sums
        });
        for block in of_blocks {
            for (interval, [tokens, seconds]) in block.into_iter().enumerate() {
                all.by_tokens[interval] += tokens;
                all.by_time[interval] += seconds;
            }
        }
        all
    }

    /// What the tokens of a piece take, J.
    fn weight(&self, piece: &Piece) -> f64 {
        self.per_token.map_or(0.0, |each| each.prefill * piece.prefill + each.decode * piece.decode)
    }

    /// The part of its interval's energy that a piece has.
    fn part(&self, piece: &Piece) -> f64 {
        let (tokens, time) = (self.by_tokens[piece.interval], self.by_time[piece.interval]);
        if tokens > 0.0 {
            self.weight(piece) / tokens
        } else if time > 0.0 {
            piece.seconds / time
        } else {
            0.0
        }
    }

    /// For each domain, of whose intervals' energy `joules` tells, the shares, one a request.
    fn shares(&self, requests: &[RequestRecord], joules: &[Vec<f64>]) -> Vec<Vec<f64>> {
        let of_blocks = by_block(requests, |block| {
            let (mut shares, mut work) =
                (vec![Vec::with_capacity(block.len()); joules.len()], Work::default());
            for request in block {
                let pieces = work.pieces(request, &self.intervals);
                for (shares, joules) in shares.iter_mut().zip(joules) {
                    shares.push(pieces.iter().map(|piece| self.part(piece) * joules[piece.interval]).sum());
                }
            }
            shares
        });
        let mut all = vec![Vec::with_capacity(requests.len()); joules.len()];
        for block in of_blocks {
            all.iter_mut().zip(block).for_each(|(all, part): (&mut Vec<f64>, Vec<f64>)| all.extend(part));
        }
        all
    }
}

/// Shares that add up to the whole: what nobody was in flight for goes to all in proportion, so that nothing is lost.
fn scaled(shares: Vec<f64>, whole: f64) -> Vec<f64> {
    let given: f64 = shares.iter().sum();
    if given > 0.0 {
        shares.into_iter().map(|joules| joules * whole / given).collect()
    } else {
        vec![whole / shares.len() as f64; shares.len()]
    }
}

fn collect(record: &RunRecord, domains: &[(Domain, Vec<f64>)], method: String) -> RequestShares {
    let of = |domain: Domain, number: usize| {
        domains.iter().find(|(known, _)| *known == domain).map(|(_, shares)| shares[number])
    };
    let shares: Vec<RequestShare> = record
        .requests
        .iter()
        .enumerate()
        .map(|(number, request)| RequestShare {
            id: request.id.clone(),
            gpu_joules: of(Domain::Gpu, number),
            cpu_joules: of(Domain::Cpu, number),
            ram_joules: of(Domain::Ram, number),
            total_joules: Some(domains.iter().map(|(_, shares)| shares[number]).sum()),
        })
        .collect();
    let succeeded = |value: fn(&RequestShare) -> Option<f64>| {
        let pairs = shares.iter().zip(&record.requests).filter(|(_, request)| request.succeeded());
        pairs.filter_map(|(share, _)| value(share)).collect::<Vec<f64>>()
    };
    RequestShares {
        method,
        reason: None,
        total: distribution(succeeded(|share| share.total_joules), "J"),
        gpu: distribution(succeeded(|share| share.gpu_joules), "J"),
        shares,
    }
}
