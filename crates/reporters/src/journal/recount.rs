//! Writes `requests.jsonl` anew, line by line: the journal's lines were written before tokens that no server counted were
//! counted. Refuses to hold more than a line.

use std::collections::HashMap;
use std::fs::File;
use std::io::{BufRead, BufReader, BufWriter, Write};
use std::path::Path;

use ai_energy_core::{Fault, RequestRecord, TokenCount, Written};

use super::{REQUESTS_FILE_NAME, push_line};
use crate::files::{io_fault, write_whole_by};

/// Puts the counts of requests, by their id, into the lines of `requests.jsonl`; all else stays as it is, texts too.
///
/// # Errors
/// The file cannot be read or written; the journal's own stays.
pub fn recount(dir: &Path, counts: &HashMap<&str, TokenCount>) -> Result<Written, Fault> {
    let path = dir.join(REQUESTS_FILE_NAME);
    let unreadable = |error: std::io::Error| io_fault(&path, "cannot be read", &error);
    let mut lines = BufReader::new(File::open(&path).map_err(unreadable)?);
    write_whole_by(&path, |file| {
        let mut out = BufWriter::new(file);
        let mut line = Vec::new();
        while lines.read_until(b'\n', &mut line)? > 0 {
            // What cannot be read is no request of this run; it stays for whoever reads the file.
            if let Ok(mut request) = serde_json::from_slice::<RequestRecord>(&line)
                && let Some(count) = counts.get(request.id.as_str())
            {
                request.generation.completion_tokens = Some(*count);
                line.clear();
                push_line(&mut line, &path, &request).map_err(|fault| std::io::Error::other(fault.cause))?;
            }
            out.write_all(&line)?;
            line.clear();
        }
        out.flush()
    })?;
    Ok(Written::at(&path))
}

/// Writes `requests.jsonl` from records alone.
///
/// # Errors
/// The file cannot be written; an older one stays.
pub fn replace_requests<'a>(
    dir: &Path,
    requests: impl IntoIterator<Item = &'a RequestRecord>,
) -> Result<Written, Fault> {
    let path = dir.join(REQUESTS_FILE_NAME);
    let mut requests = requests.into_iter();
    write_whole_by(&path, |file| {
        let (mut out, mut line) = (BufWriter::new(file), Vec::new());
        requests.try_for_each(|request| {
            line.clear();
            push_line(&mut line, &path, request).map_err(|fault| std::io::Error::other(fault.cause))?;
            out.write_all(&line)
        })?;
        out.flush()
    })?;
    Ok(Written::at(&path))
}
