//! Reads a journal back. A last line that was cut (by a kill or a crash) is left out; any other bad line is an error.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::Path;

use ai_energy_core::energy::GpuSample;
use ai_energy_core::{Channel, EnergyReading, Fault, FaultKind, RequestRecord};
use serde::Deserialize;
use serde::de::DeserializeOwned;

/// The requests of a `requests.jsonl`, in the order they ended.
///
/// # Errors
/// The file cannot be read, or a line other than a cut last one is no request.
pub fn read_requests(path: &Path) -> Result<Vec<RequestRecord>, Fault> {
    let mut requests = Vec::new();
    for_each_line(path, |line| parse(line).map(|request| requests.push(request)))?;
    Ok(requests)
}

#[derive(Deserialize)]
struct ChannelLine {
    channels: Vec<Channel>,
}

/// The channels and readings of a `readings.jsonl`.
///
/// # Errors
/// The file cannot be read, or a line other than a cut last one is not what it should be.
pub fn read_readings(path: &Path) -> Result<(Vec<Channel>, Vec<EnergyReading>), Fault> {
    let mut channels: Option<Vec<Channel>> = None;
    let mut readings = Vec::new();
    for_each_line(path, |line| match &channels {
        None => parse(line).map(|first: ChannelLine| channels = Some(first.channels)),
        Some(channels) => {
            let reading: EnergyReading = parse(line)?;
            if usize::from(reading.channel) >= channels.len() {
                return Err(format!("names channel {} of {}", reading.channel, channels.len()));
            }
            readings.push(reading);
            Ok(())
        }
    })?;
    Ok((channels.unwrap_or_default(), readings))
}

/// The looks at GPUs of a `gpu_states.jsonl`, by time; none where there is no such file.
///
/// # Errors
/// The file cannot be read, or a line other than a cut last one is no look at a GPU.
pub fn read_gpu_states(path: &Path) -> Result<Vec<GpuSample>, Fault> {
    let mut samples = Vec::new();
    if path.exists() {
        for_each_line(path, |line| parse(line).map(|sample| samples.push(sample)))?;
    }
    Ok(samples)
}

fn parse<T: DeserializeOwned>(line: &[u8]) -> Result<T, String> {
    serde_json::from_slice(line).map_err(|error| error.to_string())
}

fn for_each_line(path: &Path, mut take: impl FnMut(&[u8]) -> Result<(), String>) -> Result<(), Fault> {
    let unreadable = |error: std::io::Error| {
        Fault::new(FaultKind::Usage, path.display().to_string(), format!("cannot be read: {error}"))
            .remedy("name the folder of a run")
    };
    let mut reader = BufReader::new(File::open(path).map_err(unreadable)?);
    let mut line = Vec::new();
    for number in 1_u64.. {
        line.clear();
        if reader.read_until(b'\n', &mut line).map_err(unreadable)? == 0 {
            break;
        }
        let whole = line.pop_if(|last| *last == b'\n').is_some();
        match take(&line) {
            Ok(()) => {}
            Err(_) if !whole => {
                tracing::warn!(path = %path.display(), line = number, "the last line is cut and was left out");
                break;
            }
            Err(cause) => {
                let cause = format!("line {number} {cause}");
                return Err(Fault::new(FaultKind::Usage, path.display().to_string(), cause)
                    .remedy("remove that line, or restore the file"));
            }
        }
    }
    Ok(())
}
