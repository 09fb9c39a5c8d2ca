//! The live line and the meter behind it.

use std::sync::Arc;
use std::time::Duration;

use ai_energy_core::backend::Tally;
use ai_energy_core::energy::{Channel, ChannelKind, Domain};
use ai_energy_core::{ErrorClass, Observer, PhaseKind, Stamp};
use ai_energy_reporters::{LiveMeter, LiveState, render_progress};
use proptest::prelude::*;

use crate::support::{channel, failed_request, reading, request};

const SECOND: u64 = 1_000_000_000;

fn channels() -> Vec<Channel> {
    let counter = ChannelKind::Counter { wrap_microjoules: Some(1_000_000_000) };
    let power = ChannelKind::Power { averaging_ms: Some(1000) };
    vec![
        channel("gpu-counter", Domain::Gpu, counter, true),
        channel("gpu-power", Domain::Gpu, power, false),
        channel("cpu-power", Domain::Cpu, power, true),
    ]
}

#[test]
fn watts_are_those_of_the_last_second_of_channels_that_count() {
    let meter = LiveMeter::new(Arc::new(Tally::default()));
    meter.load_started(Stamp(0), 10);
    assert_eq!(meter.state(Stamp(0)).watts, None, "nothing is read yet");
    // 100 W for 20 s, then 300 W for 2 s, the counter wrapping within both looks' windows; the uncounted channel says 9 kW.
    let mut microjoules = 550_000_000_u64;
    for tenth in 0..220_u64 {
        microjoules = (microjoules + if tenth < 200 { 10_000_000 } else { 30_000_000 }) % 1_000_000_000;
        let at = tenth * SECOND / 10;
        meter.readings(
            &channels(),
            &[reading(0, at, microjoules), reading(1, at, 9_000_000_000), reading(2, at, 20_000_000)],
        );
        if tenth == 150 {
            let watts = meter.state(Stamp(at)).watts.unwrap();
            assert!((watts - 120.0).abs() < 1e-6, "{watts}");
        }
    }
    let watts = meter.state(Stamp(22 * SECOND)).watts.unwrap();
    assert!((watts - 320.0).abs() < 1e-6, "{watts}");
}

#[test]
fn a_counter_that_starts_again_without_a_wrap_gives_no_figure() {
    let meter = LiveMeter::new(Arc::new(Tally::default()));
    let channels = [channel("a", Domain::Gpu, ChannelKind::Counter { wrap_microjoules: None }, true)];
    meter.readings(&channels, &[reading(0, 0, 5_000_000), reading(0, SECOND / 2, 10)]);
    assert_eq!(meter.state(Stamp(SECOND)).watts, None);
}

#[test]
fn requests_time_and_tokens_are_counted() {
    let tally = Arc::new(Tally::default());
    let meter = LiveMeter::new(Arc::clone(&tally));
    meter.load_started(Stamp(SECOND), 8);
    assert_eq!(meter.state(Stamp(SECOND)).remaining, None);
    meter.request_ended(&request(0));
    meter.request_ended(&failed_request(1, ErrorClass::Server, "x"));
    tally.add_tokens(90);
    let state = meter.state(Stamp(SECOND + SECOND / 2));
    assert_eq!((state.done, state.failed, state.total), (2, 1, 8));
    assert_eq!(state.elapsed, Duration::from_millis(500));
    assert_eq!(state.remaining, Some(Duration::from_millis(1500)));
    assert!((state.tokens_per_second.unwrap() - 180.0).abs() < 1e-9);
}

#[test]
fn the_line() {
    let state = LiveState {
        phase: None,
        done: 120,
        failed: 2,
        total: 200,
        elapsed: Duration::from_secs(44),
        remaining: Some(Duration::from_secs(30)),
        watts: Some(41.23),
        tokens_per_second: Some(171.9),
    };
    insta::assert_snapshot!(
        [
            render_progress(&state, 100, true),
            render_progress(&state, 60, false),
            render_progress(&LiveState::default(), 100, true),
            render_progress(&LiveState { done: 200, ..state }, 100, true),
            render_progress(
                &LiveState { phase: Some((PhaseKind::IdleBefore, Duration::from_millis(2100))), ..state },
                100,
                true
            ),
        ]
        .join("\n")
    );
}

#[test]
fn idling_is_shown_until_the_load_begins() {
    let meter = LiveMeter::new(Arc::new(Tally::default()));
    meter.phase_started(PhaseKind::IdleBefore, Stamp(1_000_000_000), Duration::from_secs(3));
    let left = |meter: &LiveMeter, seconds: u64| meter.state(Stamp(seconds * 1_000_000_000)).phase;
    assert_eq!(left(&meter, 2), Some((PhaseKind::IdleBefore, Duration::from_secs(2))));
    assert_eq!(left(&meter, 9), Some((PhaseKind::IdleBefore, Duration::ZERO)), "never negative");
    meter.load_started(Stamp(4_000_000_000), 1);
    assert_eq!(left(&meter, 5), None);
}

proptest! {
    #[test]
    fn the_line_is_one_line_and_fits(
        width in 0_usize..120, unicode: bool, done in 0_usize..2000, total in 0_usize..2000, watts in 0.0_f64..1e7,
    ) {
        let state = LiveState {
            done, failed: 1, total, watts: Some(watts), remaining: Some(Duration::from_secs(9)), ..LiveState::default()
        };
        let line = render_progress(&state, width, unicode);
        prop_assert!(unicode_width::UnicodeWidthStr::width(line.as_str()) <= width);
        prop_assert!(!line.contains('\n') && (unicode || line.is_ascii()));
    }
}
