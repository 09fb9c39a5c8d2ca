//! Whether a whole machine's meter and the sum of its parts can both be right.
//!
//! A node's figure contains GPU, CPU and RAM, so that it may be larger by any amount, and smaller by none. Refuses to
//! say which of the two is wrong.

use ai_energy_core::energy::{Domain, Scope};

use super::{Found, Look};
use crate::energy::{TOTAL_DOMAINS, counting};

const REMEDY: &str = "see that meter and counters are of the same machine and on one clock, and compare each with metrics.sources naming one \
                      source at a time; a wrong gain is set right by metrics.gains";

/// Parts that are lost make their sum smaller, which can hide a contradiction and never make one.
pub(super) fn node_against_parts(look: &Look<'_>) -> Found {
    let meters = counting(look.results, Domain::Node);
    let whole = |scope: Scope| matches!(scope, Scope::Node | Scope::Board | Scope::Unstated);
    if meters.is_empty() || !meters.iter().all(|meter| whole(meter.channel.instrument.scope)) {
        return Found::unknown("no meter read the whole machine", "");
    }
    let figure = |domain: Domain| {
        let entry = look.domains.iter().find(|entry| entry.domain == domain)?;
        Some((domain, entry.energy.value?, entry.energy.ci95))
    };
    let Some((_, node, Some(node_ci95))) = figure(Domain::Node) else {
        return Found::unknown("the whole machine's energy or its interval is not known", "");
    };
    let parts: Vec<(Domain, f64, Option<f64>)> = TOTAL_DOMAINS.into_iter().filter_map(figure).collect();
    let squares: Option<f64> = parts.iter().map(|(_, _, ci95)| ci95.map(|ci95| ci95.powi(2))).sum();
    let Some(ci95) = squares.map(f64::sqrt).filter(|_| !parts.is_empty()) else {
        return Found::unknown("no part of the machine has an energy with an interval", "");
    };
    let sum: f64 = parts.iter().map(|(_, joules, _)| joules).sum();
    let words: Vec<String> = parts.iter().map(|(domain, ..)| domain.word().to_uppercase()).collect();
    let detail = format!(
        "{} took {sum:.1} ± {ci95:.1} J, the whole machine {node:.1} ± {node_ci95:.1} J",
        words.join(" + ")
    );
    if sum - node > ci95 + node_ci95 {
        return Found::warning(format!("{detail}: parts cannot take more than the whole"), REMEDY);
    }
    Found::ok(detail)
}
