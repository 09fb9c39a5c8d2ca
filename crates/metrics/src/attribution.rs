//! What energy was spent on: prompts, generated tokens, and each request.
//!
//! The load is cut into intervals of equal length. In each, the work of every request is known from its stamps: its
//! prompt tokens lie evenly between sending and the first token, its generated tokens between the chunks that brought
//! them. Refuses to look inside a server: what ran when is known as well as its stream tells.

mod fit;
mod shares;
mod split;
mod work;

use ai_energy_core::RunRecord;
use ai_energy_core::summary::{DomainEnergy, PrefillDecode, RequestShares};

use crate::energy::ChannelResult;
use crate::integrate::Window;

pub use fit::{Fit, least_squares};

/// Energy by kind of work and by request over the load.
pub(crate) fn attribution(
    record: &RunRecord,
    results: &[ChannelResult<'_>],
    domains: &[DomainEnergy],
    window: Option<Window>,
) -> (PrefillDecode, RequestShares) {
    let Some(window) = window else {
        let reason = "no request was run";
        return (
            split::refused(reason),
            RequestShares { reason: Some(reason.to_owned()), ..Default::default() },
        );
    };
    let (split, per_token) = split::prefill_decode(record, results, domains, window);
    let shares = shares::request_shares(record, results, domains, window, per_token);
    (split, shares)
}
