//! A wall meter's log: a CSV file that another program writes while the run goes on.
//!
//! The file is read as it grows, and once more after the load until a row lies behind it. Rows have wall time; the
//! meter's clock may be off by a known offset. Refuses to guess columns: they are found by name or the source is not
//! there.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::PathBuf;
use std::time::{Duration, Instant, SystemTime};

use ai_energy_core::energy::{Channel, ChannelKind, Domain, GainSource, Instrument, ReadFault, Scope};
use ai_energy_core::figure::Provenance;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::background::{Background, Hand};
use super::{Found, Search};

/// The source's name.
pub(super) const NAME: &str = "wall_meter";

/// The pause between two looks at the file.
const PERIOD: Duration = Duration::from_millis(200);

/// The most that one look takes from the file.
const MOST_BYTES: u64 = 16 << 20;

/// Options of a meter's log.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct WallMeterOptions {
    /// CSV file with a header, written by the meter's own program while the run goes on. Unset: no meter.
    pub file: Option<PathBuf>,
    /// Column of the time: seconds or milliseconds since 1970, or a date and time; without an offset from UTC it is this
    /// machine's local time.
    pub time_column: String,
    /// Column of the power in watts; used where there is no column of energy.
    pub watts_column: String,
    /// Column of the energy in joules, a running total; used first.
    pub joules_column: String,
    /// Seconds by which the meter's clock is ahead of this machine's.
    pub clock_offset_seconds: f64,
    /// The meter's relative error at 95 %, by its data sheet.
    pub gain_ci95: f64,
    /// Longest time after the load to wait for a row behind it, in seconds.
    pub wait_seconds: f64,
}

impl Default for WallMeterOptions {
    /// Columns `time`, `watts` and `joules`, a meter of 1 %.
    fn default() -> Self {
        Self {
            file: None,
            time_column: "time".to_owned(),
            watts_column: "watts".to_owned(),
            joules_column: "joules".to_owned(),
            clock_offset_seconds: 0.0,
            gain_ci95: 0.01,
            wait_seconds: 10.0,
        }
    }
}

/// Looks at the file's header.
pub(super) fn discover(search: &Search<'_>) -> Found {
    let options = &search.options.wall_meter;
    let Some(path) = &options.file else {
        return Found::default();
    };
    let claims = vec![Domain::Node];
    match Log::open(options, path) {
        Ok((log, kind)) => {
            let channel = channel(options, path, kind);
            let latency = Duration::try_from_secs_f64(options.wait_seconds).unwrap_or(PERIOD);
            let source = Background::new(vec![channel], PERIOD, latency, log);
            Found { claims, ..Found::source(source) }
        }
        Err(reason) => {
            let remedy =
                "start the meter's program before the run; metrics.wall_meter names file and columns";
            Found { claims, ..Found::unavailable(NAME, Domain::Node, reason, remedy) }
        }
    }
}

fn channel(options: &WallMeterOptions, path: &std::path::Path, kind: ChannelKind) -> Channel {
    Channel {
        name: format!(
            "{NAME}:{}",
            if matches!(kind, ChannelKind::Power { .. }) { "power" } else { "energy" }
        ),
        domain: Domain::Node,
        device: path.file_name().unwrap_or_default().to_string_lossy().into_owned(),
        device_id: NAME.to_owned(),
        kind,
        provenance: Provenance::Measured,
        source: "wall meter's log".to_owned(),
        gain_ci95: Some(options.gain_ci95),
        counts: true,
        instrument: Instrument { gain_source: GainSource::Specified, ..Instrument::of(Scope::Node) },
    }
}

/// The file as far as it was read.
struct Log {
    path: PathBuf,
    position: u64,
    /// The beginning of a row whose end has not come.
    rest: Vec<u8>,
    time: usize,
    value: usize,
    clock_offset_seconds: f64,
}

impl Log {
    fn open(options: &WallMeterOptions, path: &std::path::Path) -> Result<(Self, ChannelKind), String> {
        let shown = path.display();
        let file = File::open(path).map_err(|error| format!("{shown} cannot be opened: {error}"))?;
        let mut reader = csv::ReaderBuilder::new().trim(csv::Trim::All).from_reader(file);
        let header = reader.headers().map_err(|error| format!("{shown} has no header: {error}"))?.clone();
        let column = |name: &str| header.iter().position(|column| column == name);
        let time = column(&options.time_column)
            .ok_or_else(|| format!("{shown} has no column `{}`", options.time_column))?;
        let (value, kind) = match (column(&options.joules_column), column(&options.watts_column)) {
            (Some(joules), _) => (joules, ChannelKind::Counter { wrap_microjoules: None }),
            (None, Some(watts)) => (watts, ChannelKind::Power { averaging_ms: None }),
            (None, None) => {
                let columns = (&options.joules_column, &options.watts_column);
                return Err(format!("{shown} has neither a column `{}` nor `{}`", columns.0, columns.1));
            }
        };
        let position = reader.position().byte();
        let clock_offset_seconds = options.clock_offset_seconds;
        let (path, rest) = (path.to_owned(), Vec::new());
        Ok((Self { path, position, rest, time, value, clock_offset_seconds }, kind))
    }

    /// What has been written since the last look, in whole rows.
    fn fresh(&mut self) -> std::io::Result<Vec<u8>> {
        let mut file = File::open(&self.path)?;
        file.seek(SeekFrom::Start(self.position))?;
        let read = file.take(MOST_BYTES).read_to_end(&mut self.rest)?;
        self.position += read as u64;
        let whole = self.rest.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
        let rows = self.rest.drain(..whole).collect();
        Ok(rows)
    }

    fn hand_on(&mut self, hand: Hand<'_>) -> Result<(), ReadFault> {
        let shown = self.path.display().to_string();
        let rows = self.fresh().map_err(|error| ReadFault::Transient(format!("{shown}: {error}")))?;
        let (wall, now) = (SystemTime::now(), Instant::now());
        let mut builder = csv::ReaderBuilder::new();
        let reader = builder.has_headers(false).flexible(true).trim(csv::Trim::All);
        let mut wrong = None;
        for row in reader.from_reader(rows.as_slice()).into_records() {
            let read = row.ok().and_then(|row| {
                let seconds = seconds(row.get(self.time)?)? - self.clock_offset_seconds;
                let value: f64 = row.get(self.value)?.parse().ok().filter(|value: &f64| value.is_finite())?;
                Some((moment(seconds, wall, now)?, (value.max(0.0) * 1e6).round() as u64))
            });
            match read {
                Some((at, value)) => hand(0, at, value),
                None => wrong = Some(ReadFault::Transient(format!("{shown} has a row that cannot be read"))),
            }
        }
        wrong.map_or(Ok(()), Err)
    }
}

impl super::background::Ask for Log {
    fn ask(&mut self, hand: Hand<'_>) -> Result<(), ReadFault> {
        self.hand_on(hand)
    }
}

/// Seconds since 1970 of a row's time.
fn seconds(text: &str) -> Option<f64> {
    // Later than any date in seconds that a meter writes, earlier than any in milliseconds.
    const MILLISECONDS_FROM: f64 = 1e11;
    if let Ok(number) = text.parse::<f64>() {
        return number.is_finite().then_some(if number >= MILLISECONDS_FROM {
            number * 1e-3
        } else {
            number
        });
    }
    let stamp = text.parse::<jiff::Timestamp>().ok().or_else(|| {
        let local: jiff::civil::DateTime = text.parse().ok()?;
        Some(local.to_zoned(jiff::tz::TimeZone::system()).ok()?.timestamp())
    })?;
    Some(stamp.as_nanosecond() as f64 * 1e-9)
}

/// The monotonic moment of a wall time.
fn moment(seconds: f64, wall: SystemTime, now: Instant) -> Option<Instant> {
    let wall = wall.duration_since(SystemTime::UNIX_EPOCH).ok()?.as_secs_f64();
    let age = wall - seconds;
    let span = Duration::try_from_secs_f64(age.abs()).ok()?;
    if age >= 0.0 { now.checked_sub(span) } else { now.checked_add(span) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_numbers_or_dates() {
        assert_eq!(seconds("1767225600.5"), Some(1_767_225_600.5));
        assert_eq!(seconds("1767225600500"), Some(1_767_225_600.5));
        assert_eq!(seconds("2026-01-01T00:00:00.5Z"), Some(1_767_225_600.5));
        assert_eq!(seconds("2026-01-01 01:00:00+01:00"), Some(1_767_225_600.0));
        assert_eq!(seconds("yesterday"), None);
    }

    #[test]
    fn a_rows_moment_is_as_far_from_now_as_its_wall_time() {
        let (wall, now) = (SystemTime::UNIX_EPOCH + Duration::from_secs(1000), Instant::now());
        assert_eq!(moment(999.5, wall, now), Some(now - Duration::from_millis(500)));
        assert_eq!(moment(1001.0, wall, now), Some(now + Duration::from_secs(1)));
    }
}
