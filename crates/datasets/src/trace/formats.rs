//! What the publishers of traces say their files hold.
//!
//! - Mooncake (Qin et al., FAST 2025; github.com/kvcache-ai/Mooncake): JSON lines with `timestamp` in ms, `input_length`,
//!   `output_length` and `hash_ids`, one for each block of 512 tokens: equal ids are equal prefixes.
//! - BurstGPT (Wang et al., 2024; github.com/HPMLL/BurstGPT): CSV with `Timestamp` in s, `Model`, `Request tokens`,
//!   `Response tokens`, `Total tokens`, `Log Type`. Failed requests have 0 response tokens.
//! - Azure LLM inference (Patel et al., ISCA 2024; github.com/Azure/AzurePublicDataset): CSV with `TIMESTAMP` as a date and
//!   time, `ContextTokens`, `GeneratedTokens`.
//!
//! Refuses to know what is done with a row.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::Path;

use ai_energy_core::Fault;
use serde::Deserialize;

use crate::rows::usage;

/// A request of a trace.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Row {
    /// When it came, s; only differences mean anything.
    pub(super) at: f64,
    /// Tokens of its prompt.
    pub(super) input: u32,
    /// Tokens of its answer.
    pub(super) output: u32,
    /// Blocks of its prompt by what they hold; empty where the trace does not say.
    pub(super) blocks: Vec<u64>,
}

/// A format of traces.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Format {
    Mooncake,
    BurstGpt,
    Azure,
}

#[derive(Deserialize)]
struct Mooncake {
    timestamp: f64,
    input_length: u32,
    output_length: u32,
    #[serde(default)]
    hash_ids: Vec<u64>,
}

#[derive(Deserialize)]
struct BurstGpt {
    #[serde(rename = "Timestamp")]
    timestamp: f64,
    #[serde(rename = "Request tokens")]
    request: u32,
    #[serde(rename = "Response tokens")]
    response: u32,
}

#[derive(Deserialize)]
struct Azure {
    #[serde(rename = "TIMESTAMP")]
    timestamp: String,
    #[serde(rename = "ContextTokens")]
    context: u32,
    #[serde(rename = "GeneratedTokens")]
    generated: u32,
}

impl Format {
    pub(super) fn named(word: &str) -> Option<Self> {
        match word {
            "mooncake" => Some(Self::Mooncake),
            "burstgpt" => Some(Self::BurstGpt),
            "azure" => Some(Self::Azure),
            _ => None,
        }
    }

    /// Where such traces are published.
    pub(super) fn published_at(self) -> &'static str {
        match self {
            Self::Mooncake => "github.com/kvcache-ai/Mooncake",
            Self::BurstGpt => "github.com/HPMLL/BurstGPT",
            Self::Azure => "github.com/Azure/AzurePublicDataset",
        }
    }

    /// All rows of a file.
    ///
    /// # Errors
    /// The file cannot be read, or a row is not of this format; the fault names the line.
    pub(super) fn read(self, path: &Path, subject: &str) -> Result<Vec<Row>, Fault> {
        let file = File::open(path).map_err(|error| {
            usage(subject, format!("cannot be read: {error}")).remedy("look at the file's permissions")
        })?;
        let wrong = |line: u64, cause: String| {
            let remedy = format!("the format is described at {}", self.published_at());
            usage(subject, format!("line {line}: {cause}")).remedy(remedy)
        };
        match self {
            Self::Mooncake => json_lines(BufReader::new(file), &wrong),
            Self::BurstGpt => records(file, &wrong, |row: BurstGpt| {
                Ok(Row { at: row.timestamp, input: row.request, output: row.response, blocks: Vec::new() })
            }),
            Self::Azure => records(file, &wrong, |row: Azure| {
                let at = seconds(&row.timestamp)?;
                Ok(Row { at, input: row.context, output: row.generated, blocks: Vec::new() })
            }),
        }
    }
}

type Wrong<'a> = &'a dyn Fn(u64, String) -> Fault;

fn json_lines(reader: impl BufRead, wrong: Wrong<'_>) -> Result<Vec<Row>, Fault> {
    let mut rows = Vec::new();
    for (line, number) in reader.lines().zip(1_u64..) {
        let line = line.map_err(|error| wrong(number, format!("cannot be read: {error}")))?;
        if line.trim().is_empty() {
            continue;
        }
        let row: Mooncake = serde_json::from_str(&line).map_err(|error| wrong(number, error.to_string()))?;
        rows.push(Row {
            at: row.timestamp * 1e-3,
            input: row.input_length,
            output: row.output_length,
            blocks: row.hash_ids,
        });
    }
    Ok(rows)
}

fn records<T: serde::de::DeserializeOwned>(
    file: File,
    wrong: Wrong<'_>,
    to_row: impl Fn(T) -> Result<Row, String>,
) -> Result<Vec<Row>, Fault> {
    let mut reader = csv::ReaderBuilder::new().trim(csv::Trim::All).from_reader(BufReader::new(file));
    let mut rows = Vec::new();
    for record in reader.deserialize::<T>() {
        // A header is line 1.
        let number = rows.len() as u64 + 2;
        let record = record.map_err(|error| wrong(number, error.to_string()))?;
        rows.push(to_row(record).map_err(|cause| wrong(number, cause))?);
    }
    Ok(rows)
}

/// A date and time such as `2023-11-16 18:17:03.9799600` or `2024-05-10 00:00:00.009930+00:00`, s since 1970; without a zone it
/// is taken as UTC, since only differences matter.
fn seconds(text: &str) -> Result<f64, String> {
    let cause = || format!("`{text}` is no date and time");
    let (date, time) = text.trim().split_once([' ', 'T']).ok_or_else(cause)?;
    let (time, offset) = match time.find(['+', '-', 'Z']) {
        Some(at) => time.split_at(at),
        None => (time, ""),
    };
    let numbers = |text: &str, separator: char| -> Option<Vec<f64>> {
        text.split(separator).map(|part| part.parse::<f64>().ok()).collect()
    };
    let date = numbers(date, '-').filter(|date| date.len() == 3).ok_or_else(cause)?;
    let clock = numbers(time, ':').filter(|clock| clock.len() == 3).ok_or_else(cause)?;
    let shift = match offset {
        "" | "Z" => 0.0,
        offset => {
            let parts = numbers(&offset[1..], ':').ok_or_else(cause)?;
            let minutes = parts.first().unwrap_or(&0.0) * 60.0 + parts.get(1).unwrap_or(&0.0);
            if offset.starts_with('-') { -minutes * 60.0 } else { minutes * 60.0 }
        }
    };
    let days = days_since_1970(date[0] as i64, date[1] as i64, date[2] as i64);
    Ok(days as f64 * 86_400.0 + clock[0] * 3600.0 + clock[1] * 60.0 + clock[2] - shift)
}

/// Days of the Gregorian calendar since 1970-01-01, counting years from March so that a leap day ends one.
fn days_since_1970(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let month = (month + 9) % 12;
    let leap = year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400);
    year * 365 + leap + (month * 306 + 5) / 10 + day - 1 - 719_468
}
