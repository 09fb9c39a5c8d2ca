//! The calibration as a table for people. Refuses to compute.

use ai_energy_core::client::Limit;

use crate::calibration::{Calibration, Level};

/// The table's head.
pub(super) fn heading() -> String {
    format!(
        "{:<40} {:>9} {:>10} {:>6} {:>9}  {:>17}  {:>17}\n",
        " level", "tokens/s", "requests/s", "CPU", "loop p99", "TTFT err p50/p99", "ITL err p50/p99"
    )
}

/// One level.
pub(super) fn row(words: &str, level: &Level) -> String {
    let pair = |pair: Option<[f64; 2]>| {
        pair.map_or("-".to_owned(), |[p50, p99]| format!("{} / {}", time(p50), time(p99)))
    };
    let remark = if level.remark.is_empty() { String::new() } else { format!("   ! {}\n", level.remark) };
    format!(
        " {words:<39} {:>9.0} {:>10.1} {:>4.0} % {:>9}  {:>17}  {:>17}\n{remark}",
        level.tokens_per_second,
        level.requests_per_second,
        level.cpu_share * 100.0,
        time(level.event_loop_seconds),
        pair(level.ttft_error_seconds),
        pair(level.inter_token_error_seconds)
    )
}

/// What was found.
pub(super) fn conclusion(calibration: &Calibration, cores: &str) -> String {
    let limits = &calibration.limits;
    let limit = |limit: &Limit, unit: &str| match (limit.value > 0.0, limit.reached) {
        (true, true) => format!("{:.0} {unit}", limit.value),
        (true, false) => format!("at least {:.0} {unit}", limit.value),
        (false, true) => format!("not even the lowest level of {unit}"),
        (false, false) => format!("{unit} not tried"),
    };
    let bounds = &calibration.bounds;
    format!(
        "\n this client keeps up with {}, {}, {}\n processors: {cores}\n bounds, 99 of 100: TTFT error {}, \
         inter-token error {}, own delay {}\n",
        limit(&limits.streams, "streams"),
        limit(&limits.tokens_per_second, "tokens/s"),
        limit(&limits.requests_per_second, "requests/s"),
        time(bounds.ttft_error_seconds),
        time(bounds.inter_token_error_seconds),
        time(bounds.own_delay_seconds)
    )
}

/// A time in three digits.
fn time(seconds: f64) -> String {
    match seconds * 1e6 {
        micros if micros < 999.5 => format!("{micros:.0} us"),
        micros if micros < 9995.0 => format!("{:.2} ms", micros * 1e-3),
        micros if micros < 999_500.0 => format!("{:.1} ms", micros * 1e-3),
        _ => format!("{seconds:.2} s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_units_that_fit() {
        assert_eq!([0.000_04, 0.001_234, 0.012_34, 2.5].map(time), ["40 us", "1.23 ms", "12.3 ms", "2.50 s"]);
    }
}
