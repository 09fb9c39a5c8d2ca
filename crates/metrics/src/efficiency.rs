//! What follows from energy, work and time: watt-hours a request and token, tokens a joule, energy × delay.
//!
//! Refuses to integrate and to count: it divides figures by counts and keeps their intervals.

use ai_energy_core::energy::Domain;
use ai_energy_core::figure::{Figure, Provenance};
use ai_energy_core::summary::{Distribution, Efficiency, PhaseEnergy};
use ai_energy_core::units::JOULES_PER_WATT_HOUR;

use crate::shares::Shares;

/// The derived figures of a run with this total energy; `load` holds the energy above idle, `end_to_end` the time from
/// sending to the end.
pub(crate) fn efficiency(
    shares: &Shares,
    total: &Figure,
    load: Option<&PhaseEnergy>,
    end_to_end: Option<&Distribution>,
) -> Efficiency {
    let watt_hours = total.scaled(1.0 / JOULES_PER_WATT_HOUR, "Wh");
    let none = Figure::unavailable("J", "no request was run");
    let net = load.map_or(&none, |load| &load.total.net);
    let gpu_net = load.and_then(|load| load.domain(Domain::Gpu)).map_or(&none, |gpu| &gpu.net);
    Efficiency {
        wh_per_request: shares.per_request(&watt_hours, "Wh/request"),
        wh_per_output_token: shares.per_output_token(&watt_hours, "Wh/token"),
        per_input_token: shares.per_input_token(total, "J/token"),
        wh_per_input_token: shares.per_input_token(&watt_hours, "Wh/token"),
        wh_per_token: shares.per_token(&watt_hours, "Wh/token"),
        tokens_per_joule: shares.tokens_per_joule(total),
        net_per_request: shares.per_request(net, "J/request"),
        net_per_output_token: shares.per_output_token(net, "J/token"),
        gpu_net_per_request: shares.per_request(gpu_net, "J/request"),
        gpu_net_per_output_token: shares.per_output_token(gpu_net, "J/token"),
        energy_delay_product: energy_delay_product(&shares.per_request(total, "J/request"), end_to_end),
    }
}

/// Mean energy a request × mean time a request; relative errors in quadrature. Lower is better in both.
fn energy_delay_product(energy: &Figure, end_to_end: Option<&Distribution>) -> Figure {
    const UNIT: &str = "J·s";
    let Some(joules) = energy.value else {
        return energy.scaled(1.0, UNIT);
    };
    let Some(delay) = end_to_end else {
        return Figure::unavailable(UNIT, "no request has a known duration");
    };
    let value = joules * delay.mean;
    let provenance = energy.provenance.weaker(Provenance::Derived);
    let figure =
        Figure::new(value, UNIT, provenance, "energy per request × mean time from sending to the end");
    match (energy.ci95, delay.mean_ci95) {
        (Some(energy_ci95), Some(delay_ci95)) if joules > 0.0 && delay.mean > 0.0 => {
            figure.with_ci95(value * (energy_ci95 / joules).hypot(delay_ci95 / delay.mean))
        }
        _ => figure,
    }
}
