//! Each request's share of the load's energy.
//!
//! The energy of each interval goes to the requests that were in flight in it: by their tokens there, weighted by what a
//! prompt and a generated token take where that is known, else by their time in flight. An interval in which nobody was
//! in flight is spread over all requests as the rest is. The shares of all requests, failed ones included, add up to the
//! domain's energy. Refuses to share what is not known.

use ai_energy_core::RunRecord;
use ai_energy_core::energy::Domain;
use ai_energy_core::summary::{DomainEnergy, RequestShare, RequestShares};

use super::split::PerToken;
use super::work::{Intervals, Piece, pieces};
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
    let work: Vec<Vec<Piece>> = record.requests.iter().map(|request| pieces(request, &intervals)).collect();
    let shares: Vec<(Domain, Vec<f64>)> = known
        .iter()
        .map(|(domain, whole)| {
            let joules = interval_joules(&counting(results, *domain), &intervals);
            (*domain, share(&joules, *whole, &work, per_token))
        })
        .collect();
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

/// The shares of one domain's energy, one a request.
fn share(joules: &[f64], whole: f64, work: &[Vec<Piece>], per_token: Option<PerToken>) -> Vec<f64> {
    let tokens = |piece: &Piece| {
        per_token.map_or(0.0, |each| each.prefill * piece.prefill + each.decode * piece.decode)
    };
    let (mut by_tokens, mut by_time) = (vec![0.0; joules.len()], vec![0.0; joules.len()]);
    for piece in work.iter().flatten() {
        by_tokens[piece.interval] += tokens(piece);
        by_time[piece.interval] += piece.seconds;
    }
    let part = |piece: &Piece| {
        let interval = piece.interval;
        let share = if by_tokens[interval] > 0.0 {
            tokens(piece) / by_tokens[interval]
        } else if by_time[interval] > 0.0 {
            piece.seconds / by_time[interval]
        } else {
            0.0
        };
        share * joules[interval]
    };
    let shares: Vec<f64> = work.iter().map(|pieces| pieces.iter().map(part).sum()).collect();
    let given: f64 = shares.iter().sum();
    if given > 0.0 {
        // What nobody was in flight for goes to all in proportion, so that nothing is lost.
        shares.into_iter().map(|joules| joules * whole / given).collect()
    } else {
        vec![whole / work.len() as f64; work.len()]
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
