//! Wall time in the forms that result files want. Refuses to read a clock: the time comes from the record.

use ai_energy_core::{RunRecord, Shift, Stamp};
use jiff::{SignedDuration, Timestamp, tz::TimeZone};

/// The wall time at a stamp; `None` where the record's start is no RFC 3339 time.
fn at(record: &RunRecord, stamp: Stamp) -> Option<Timestamp> {
    // Breaks take no time on the run's clock: the segment that the stamp lies in says what the wall clock showed.
    if let Some(segment) = record.segments.iter().rev().find(|segment| segment.at <= stamp) {
        let (start, _) = segment.record.load_window()?;
        return at(&segment.record, Shift::between(segment.at, start).of(stamp));
    }
    let start: Timestamp = record.started_at.parse().ok()?;
    let offset = SignedDuration::from_nanos(i64::try_from(stamp.0).ok()?);
    start.checked_add(offset).ok()
}

/// The moment the load ended, or the run's start where there was no load.
fn ended(record: &RunRecord) -> Option<Timestamp> {
    at(record, record.load_window().map_or(Stamp(0), |(_, end)| end))
}

/// When the load ended, UTC, ISO 8601 with milliseconds; the record's own text where that is no time.
pub(crate) fn ended_utc(record: &RunRecord) -> String {
    match ended(record) {
        Some(time) => format!("{time:.3}"),
        None => record.started_at.clone(),
    }
}

/// When the load ended, in the given zone, as CodeCarbon writes it: `2026-11-23T14:22:33`.
pub(crate) fn ended_in(record: &RunRecord, zone: TimeZone) -> Option<String> {
    ended(record).map(|time| time.to_zoned(zone).strftime("%Y-%m-%dT%H:%M:%S").to_string())
}

/// The wall time at a stamp in nanoseconds since 1970 as a text, as OTLP's JSON has it; `0`, which stands for unknown there,
/// where the record's start is no time.
pub(crate) fn at_nanos(record: &RunRecord, stamp: Stamp) -> String {
    at(record, stamp).map_or_else(|| "0".to_owned(), |time| time.as_nanosecond().to_string())
}
