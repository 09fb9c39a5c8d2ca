//! Traces of real services: when requests came and how long they were. Their publishers leave the texts out, so the prompts
//! are made to size.
//!
//! Three formats, as their publishers document them: Mooncake's (`formats::mooncake`), BurstGPT's and Azure's. Where a trace
//! says which blocks of prompts were the same, the made-up prompts share the same blocks. Refuses to guess a format by
//! looking into a file.

mod formats;

use std::path::{Path, PathBuf};
use std::time::Duration;

use ai_energy_core::{Dataset, DatasetInfo, Fault, LoadProgress, LoadedPrompts, Prompt};
use async_trait::async_trait;

use crate::options::TraceOptions;
use crate::rows::{fingerprint, usage};
use crate::synthetic::like;
use formats::{Format, Row};

/// Keeps a trace's texts apart from other synthetic ones.
const SEED: u64 = 0x7ace;

/// Tokens of a block that a Mooncake trace tells apart, as its publishers say.
const BLOCK: usize = 512;

/// Whether a dataset's name means a trace: `mooncake:PATH`, `burstgpt:PATH`, `azure:PATH`.
pub fn is_trace(name: &str) -> bool {
    parse(name).is_some()
}

fn parse(name: &str) -> Option<(Format, &str)> {
    let (word, path) = name.trim().split_once(':')?;
    Some((Format::named(word)?, path))
}

/// A trace in a local file.
#[derive(Debug)]
pub(crate) struct TraceDataset {
    name: String,
    format: Format,
    path: PathBuf,
    options: TraceOptions,
}

impl TraceDataset {
    /// The trace that a name means; `None` where it means none.
    ///
    /// # Errors
    /// The file is not there, or an option makes no sense.
    pub(crate) fn new(name: &str, options: &TraceOptions) -> Result<Option<Self>, Fault> {
        let Some((format, path)) = parse(name) else { return Ok(None) };
        let subject = format!("dataset {name}");
        if !Path::new(path).is_file() {
            let publisher = format.published_at();
            return Err(usage(&subject, format!("there is no file `{path}`"))
                .remedy(format!("name a file in this format; published traces are at {publisher}")));
        }
        if !(options.speed_up > 0.0 && options.speed_up.is_finite()) {
            return Err(usage("scenario.trace.speed_up", format!("{} is no speed", options.speed_up))
                .remedy("give a number above 0; 2 is twice as fast as it happened"));
        }
        for (key, seconds) in
            [("start_seconds", Some(options.start_seconds)), ("duration_seconds", options.duration_seconds)]
        {
            if seconds.is_some_and(|seconds| !(seconds >= 0.0 && seconds.is_finite())) {
                return Err(
                    usage(&format!("scenario.trace.{key}"), "is no time").remedy("give 0 or more seconds")
                );
            }
        }
        Ok(Some(Self { name: name.to_owned(), format, path: path.into(), options: options.clone() }))
    }

    /// The rows that the options leave, by time, and how many there were.
    fn rows(&self, limit: usize) -> Result<(Vec<Row>, usize), Fault> {
        let mut rows = self.format.read(&self.path, &format!("dataset {}", self.name))?;
        let all = rows.len();
        // Publishers order by time, but not all of them to the last row.
        rows.sort_by(|a, b| a.at.total_cmp(&b.at));
        let first = rows.first().map_or(0.0, |row| row.at) + self.options.start_seconds;
        let end = self.options.duration_seconds.map_or(f64::INFINITY, |seconds| first + seconds);
        rows.retain(|row| row.at >= first && row.at < end && row.input > 0 && row.output > 0);
        rows.truncate(limit);
        for row in &mut rows {
            let cut = |tokens: u32, most: Option<u32>| most.map_or(tokens, |most| tokens.min(most.max(1)));
            row.input = cut(row.input, self.options.max_input_tokens);
            row.output = cut(row.output, self.options.max_output_tokens);
        }
        Ok((rows, all))
    }

    fn loaded(&self, limit: usize) -> Result<LoadedPrompts, Fault> {
        let (rows, all) = self.rows(limit)?;
        let Some(first) = rows.first().map(|row| row.at) else {
            return Err(usage(&format!("dataset {}", self.name), "leaves no request with tokens in and out")
                .remedy("look at scenario.trace.start_seconds and duration_seconds, and at the file"));
        };
        let prompts: Vec<Prompt> = rows.iter().enumerate().map(|(index, row)| prompt(index, row)).collect();
        let since = |row: &Row| Duration::try_from_secs_f64((row.at - first) / self.options.speed_up);
        let info = DatasetInfo {
            name: self.name.clone(),
            kind: "trace".to_owned(),
            revision: None,
            sha256: fingerprint(&prompts),
            rows: Some(all),
        };
        let warning = format!(
            "the prompts of {} are made to the trace's sizes: it says when and how long, not what",
            self.name
        );
        Ok(LoadedPrompts {
            timeline: rows.iter().map(|row| since(row).unwrap_or(Duration::MAX)).collect(),
            follow_ups: std::collections::BTreeMap::new(),
            prompts,
            info,
            warnings: vec![warning],
        })
    }
}

/// A prompt of a row's size, of the row's blocks where it names them.
fn prompt(index: usize, row: &Row) -> Prompt {
    let words = row.input as usize;
    let text = if row.blocks.is_empty() {
        like(words, SEED, index as u64)
    } else {
        let mut left = words;
        let mut texts = Vec::new();
        for (place, block) in row.blocks.iter().enumerate().take_while(|(place, _)| place * BLOCK < words) {
            // What the blocks do not cover belongs to the last one.
            let last = place + 1 == row.blocks.len();
            let count = if last { left } else { left.min(BLOCK) };
            texts.push(like(count, SEED + 1, *block));
            left -= count;
        }
        texts.join(" ")
    };
    Prompt {
        target_input_tokens: Some(row.input),
        target_output_tokens: Some(row.output),
        ..Prompt::text(index, text)
    }
}

#[async_trait]
impl Dataset for TraceDataset {
    async fn load(&self, limit: usize, _progress: &dyn LoadProgress) -> Result<LoadedPrompts, Fault> {
        self.loaded(limit)
    }
}

#[cfg(test)]
mod tests;
