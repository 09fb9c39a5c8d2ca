//! From levels to what a run may rely on: whether each held, the limits, and the thresholds of the signs.
//!
//! Refuses to measure.

use ai_energy_core::client::{ClientLimits, Limit, Threshold, Thresholds};

use super::ladder::Ladder;
use crate::calibration::{Bounds, Level};

/// What a level has to keep: an error of 10 ms of a time to first token, 5 ms between tokens, and requests that go out within
/// 10 ms, for 99 of 100.
pub(super) const BOUNDS: Bounds =
    Bounds { ttft_error_seconds: 0.01, inter_token_error_seconds: 0.005, own_delay_seconds: 0.01 };

/// Delays within the bounds are doubled before they are a sign, and none below this is one: a run has neighbours that a
/// calibration had not.
const MARGIN: f64 = 2.0;
const LEAST_DELAY_SECONDS: f64 = 0.001;

/// A process that used less of its processors than this has room, whatever the calibration saw.
const LEAST_SHARE: f64 = 0.5;

/// Judges a level by the bounds; one that failed otherwise stays as it is.
pub(super) fn judge(level: &mut Level, bounds: &Bounds) {
    if !level.held {
        return;
    }
    let p99 = |pair: Option<[f64; 2]>| pair.map(|[_, p99]| p99);
    let signs = [
        ("TTFT error", p99(level.ttft_error_seconds), bounds.ttft_error_seconds),
        ("inter-token error", p99(level.inter_token_error_seconds), bounds.inter_token_error_seconds),
        ("own delay", level.own_delay_seconds, bounds.own_delay_seconds),
    ];
    let beyond = signs
        .into_iter()
        .find_map(|(name, value, bound)| Some((name, value.filter(|value| *value > bound)?, bound)));
    if let Some((name, value, bound)) = beyond {
        level.held = false;
        level.remark = format!("{name} p99 {:.1} ms, bound {:.0} ms", value * 1e3, bound * 1e3);
    } else if level.requests == 0 {
        level.held = false;
        "no request ended".clone_into(&mut level.remark);
    } else if level.simulator_behind {
        level.held = false;
        "the simulator fell behind: says nothing of the client".clone_into(&mut level.remark);
    }
}

/// Whether a level that did not hold shows the client's limit.
fn broke(level: &Level) -> bool {
    !level.held && (!level.simulator_behind || level.remark.contains("p99"))
}

/// What follows from all levels.
pub(super) fn limits(levels: &[Level], cores: f64, made_at: String) -> ClientLimits {
    let of = |ladder: Ladder| levels.iter().filter(move |level| level.ladder == ladder.word());
    let limit = |ladder: Ladder, value: fn(&Level) -> f64| Limit {
        value: of(ladder).filter(|level| level.held).map(value).fold(0.0, f64::max),
        reached: of(ladder).any(broke),
    };
    let last_held = || Ladder::ALL.into_iter().filter_map(|ladder| of(ladder).rfind(|level| level.held));
    let worst = |error: fn(&Level) -> Option<[f64; 2]>| {
        last_held().filter_map(error).reduce(|a, b| [a[0].max(b[0]), a[1].max(b[1])])
    };
    ClientLimits {
        made_at,
        cores,
        streams: limit(Ladder::Streams, |level| level.streams as f64),
        tokens_per_second: limit(Ladder::Tokens, |level| level.tokens_per_second),
        requests_per_second: limit(Ladder::Requests, |level| level.requests_per_second),
        ttft_error_seconds: worst(|level| level.ttft_error_seconds),
        inter_token_error_seconds: worst(|level| level.inter_token_error_seconds),
        thresholds: thresholds(levels),
    }
}

/// Signs as they were within the bounds and beyond them. What was never beyond keeps its default.
fn thresholds(levels: &[Level]) -> Thresholds {
    let defaults = Thresholds::default();
    let largest =
        |value: fn(&Level) -> f64| levels.iter().filter(|level| level.held).map(value).reduce(f64::max);
    let smallest = |value: fn(&Level) -> f64, above: f64| {
        levels.iter().filter(|level| broke(level)).map(value).filter(|value| *value > above).reduce(f64::min)
    };
    let delay = |value: fn(&Level) -> f64, default: Threshold| {
        let Some(held) = largest(value) else { return default };
        let maybe = (MARGIN * held).max(LEAST_DELAY_SECONDS).min(default.yes);
        Threshold { maybe, yes: smallest(value, maybe).unwrap_or(default.yes) }
    };
    let share = |level: &Level| level.cpu_share;
    let cpu_share = match largest(share) {
        Some(held) => {
            let maybe = held.max(LEAST_SHARE).min(defaults.cpu_share.yes);
            Threshold { maybe, yes: smallest(share, maybe).unwrap_or(defaults.cpu_share.yes) }
        }
        None => defaults.cpu_share,
    };
    Thresholds {
        event_loop_seconds: delay(|level| level.event_loop_seconds, defaults.event_loop_seconds),
        cpu_share,
        ..defaults
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A level of a ladder that was so late, ms.
    fn level(ladder: Ladder, streams: usize, error_ms: f64, loop_ms: f64, cpu_share: f64) -> Level {
        let mut level = Level {
            ladder: ladder.word().to_owned(),
            streams,
            asked_per_second: streams as f64 * 100.0,
            tokens_per_second: streams as f64 * 100.0,
            requests_per_second: streams as f64,
            requests: streams,
            cpu_share,
            event_loop_seconds: loop_ms * 1e-3,
            own_delay_seconds: None,
            ttft_error_seconds: Some([error_ms * 0.5e-3, error_ms * 1e-3]),
            inter_token_error_seconds: Some([1e-5, 1e-4]),
            simulator_behind: false,
            held: true,
            remark: String::new(),
        };
        judge(&mut level, &BOUNDS);
        level
    }

    #[test]
    fn the_limit_is_the_highest_level_that_held() {
        let levels = [
            level(Ladder::Streams, 16, 0.1, 0.2, 0.1),
            level(Ladder::Streams, 64, 0.3, 0.8, 0.4),
            level(Ladder::Streams, 256, 25.0, 30.0, 0.95),
            level(Ladder::Requests, 10, 0.2, 0.1, 0.1),
        ];
        assert!(levels[2].remark.contains("TTFT error p99 25.0 ms"), "{}", levels[2].remark);
        let found = limits(&levels, 1.0, "now".to_owned());
        assert_eq!((found.streams.value, found.streams.reached), (64.0, true));
        assert_eq!((found.requests_per_second.value, found.requests_per_second.reached), (10.0, false));
        assert_eq!(found.tokens_per_second, Limit::default(), "nothing was tried");
        assert_eq!(found.ttft_error_seconds, Some([0.15e-3, 0.3e-3]));
        let Thresholds { event_loop_seconds, cpu_share, own_delay_seconds } = found.thresholds;
        assert!(
            (event_loop_seconds.maybe - 0.0016).abs() < 1e-12
                && (event_loop_seconds.yes - 0.03).abs() < 1e-12
        );
        assert_eq!((cpu_share.maybe, cpu_share.yes), (LEAST_SHARE, 0.95));
        assert_eq!(own_delay_seconds, Thresholds::default().own_delay_seconds);
    }

    #[test]
    fn a_simulator_that_fell_behind_is_no_limit_of_the_client() {
        let mut behind = level(Ladder::Tokens, 64, 0.1, 0.2, 0.5);
        behind.simulator_behind = true;
        judge(&mut behind, &BOUNDS);
        assert!(!behind.held && !broke(&behind), "{behind:?}");
        let found = limits(&[level(Ladder::Tokens, 32, 0.1, 0.2, 0.3), behind], 1.0, String::new());
        assert_eq!((found.tokens_per_second.value, found.tokens_per_second.reached), (3200.0, false));
    }

    #[test]
    fn where_nothing_held_nothing_is_promised_and_the_defaults_stay() {
        let found = limits(&[level(Ladder::Streams, 16, 99.0, 99.0, 1.0)], 1.0, String::new());
        assert_eq!((found.streams.value, found.streams.reached), (0.0, true));
        assert_eq!((found.thresholds, found.ttft_error_seconds), (Thresholds::default(), None));
    }

    #[test]
    fn a_level_whose_requests_failed_or_never_ended_does_not_hold() {
        let mut failed = level(Ladder::Streams, 16, 0.1, 0.1, 0.1);
        (failed.held, failed.remark) = (false, "3 requests failed".to_owned());
        judge(&mut failed, &BOUNDS);
        assert!(!failed.held && broke(&failed) && failed.remark.contains('3'));
        let mut empty = Level { requests: 0, held: true, ..failed };
        judge(&mut empty, &BOUNDS);
        assert!(!empty.held);
    }
}
