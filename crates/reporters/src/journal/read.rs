//! Reads a journal back. A last line that was cut (by a kill or a crash) is left out; any other bad line is an error.

use std::path::Path;

use ai_energy_core::energy::GpuSample;
use ai_energy_core::record::PhaseKind;
use ai_energy_core::store::Bound;
use ai_energy_core::{Channel, EnergyReading, Fault, RequestRecord};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::blocks::{self, Sink, wrong_line};
use super::line::{self, Room};

/// The requests of a `requests.jsonl`, in the order they ended.
///
/// # Errors
/// The file cannot be read, or a line other than a cut last one is no request.
pub fn read_requests(path: &Path) -> Result<Vec<RequestRecord>, Fault> {
    blocks::read(path, Vec::new(), parse_request)
}

/// The measured requests of a `requests.jsonl` and the others, what they hold being kept within a bound.
///
/// # Errors
/// As [`read_requests`].
pub(super) fn read_bounded(
    path: &Path,
    bound: Bound,
) -> Result<(Vec<RequestRecord>, Vec<RequestRecord>), Fault> {
    let sorted =
        blocks::read(path, Sorted { bound, measured: Vec::new(), others: Vec::new() }, parse_request)?;
    Ok((sorted.measured, sorted.others))
}

fn parse_request(line: &[u8], room: &mut Room) -> Result<RequestRecord, String> {
    line::parse(line, room).map_or_else(|| parse(line), Ok)
}

/// Requests by whether they are measured.
struct Sorted {
    bound: Bound,
    measured: Vec<RequestRecord>,
    others: Vec<RequestRecord>,
}

impl Sink<RequestRecord> for Sorted {
    fn take(&mut self, requests: Vec<RequestRecord>) {
        for mut request in requests {
            // Its text is in the file, and its tokens were counted by the run or never will be.
            self.bound.take(&mut request);
            let measured = request.offer.phase == PhaseKind::Load;
            if measured { &mut self.measured } else { &mut self.others }.push(request);
        }
    }
}

#[derive(Deserialize)]
struct ChannelLine {
    channels: Vec<Channel>,
}

/// A line of a `readings.jsonl`.
enum Line {
    Channels(Vec<Channel>),
    Reading(EnergyReading),
}

fn reading_line(line: &[u8]) -> Result<Line, String> {
    let first =
        |cause| parse(line).map(|first: ChannelLine| Line::Channels(first.channels)).map_err(|_| cause);
    parse(line).map(Line::Reading).or_else(first)
}

/// The channels and readings of a `readings.jsonl`.
///
/// # Errors
/// The file cannot be read, or a line other than a cut last one is not what it should be.
pub fn read_readings(path: &Path) -> Result<(Vec<Channel>, Vec<EnergyReading>), Fault> {
    let lines = blocks::read(path, Vec::new(), |line, (): &mut ()| reading_line(line))?;
    let mut channels = Vec::new();
    let mut readings = Vec::with_capacity(lines.len().saturating_sub(1));
    for (number, line) in lines.into_iter().enumerate() {
        match line {
            Line::Channels(first) if number == 0 => channels = first,
            Line::Reading(reading) if number > 0 && usize::from(reading.channel) < channels.len() => {
                readings.push(reading);
            }
            Line::Channels(_) => {
                return Err(wrong_line(path, number as u64, "lists channels, which only the first does"));
            }
            Line::Reading(_) if number == 0 => {
                return Err(wrong_line(
                    path,
                    0,
                    "is a reading, and the list of channels is missing before it",
                ));
            }
            Line::Reading(reading) => {
                let cause = format!("names channel {} of {}", reading.channel, channels.len());
                return Err(wrong_line(path, number as u64, &cause));
            }
        }
    }
    Ok((channels, readings))
}

/// The looks at GPUs of a `gpu_states.jsonl`, by time; none where there is no such file.
///
/// # Errors
/// The file cannot be read, or a line other than a cut last one is no look at a GPU.
pub fn read_gpu_states(path: &Path) -> Result<Vec<GpuSample>, Fault> {
    if path.exists() {
        blocks::read(path, Vec::new(), |line, (): &mut ()| parse(line))
    } else {
        Ok(Vec::new())
    }
}

fn parse<T: DeserializeOwned>(line: &[u8]) -> Result<T, String> {
    serde_json::from_slice(line).map_err(|error| match std::str::from_utf8(line) {
        Err(_) => "is not UTF-8".to_owned(),
        Ok(_) if error.is_data() => format!("is not what this file holds, or of another version: {error}"),
        Ok(_) => format!("is no JSON: {error}"),
    })
}
