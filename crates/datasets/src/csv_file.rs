//! Reads comma-, semicolon-, tab- and bar-separated files.
//!
//! Record by record with the `csv` crate rather than as a frame: every error then names its line, a stray quote
//! inside a cell does no harm, and no more is read than asked for. Refuses to guess a missing header: the first
//! record names the columns.

use std::fs::File;
use std::io::{BufRead, BufReader, Read, Seek, SeekFrom};
use std::path::Path;

use ai_energy_core::Fault;
use csv::{ByteRecord, Reader, ReaderBuilder};

use crate::files;
use crate::rows::{Rows, Take, Want};

/// Separators that are told apart, in order of preference.
const SEPARATORS: [u8; 4] = *b",\t;|";

/// How much of the file the separator is judged by.
const SNIFF_BYTES: u64 = 64 * 1024;

/// Reads the wanted column.
pub(crate) fn read(path: &Path, want: &Want) -> Result<Rows, Fault> {
    let mut file = files::open(path, want)?;
    let separator = sniff(&head(&mut file, path, want)?);
    let builder = |file| ReaderBuilder::new().delimiter(separator).flexible(true).from_reader(file);
    let mut reader = builder(BufReader::new(file));
    let columns = header(&mut reader, path, want)?;
    if columns.is_empty() {
        return Ok(Rows { total: Some(0), ..Rows::default() });
    }
    let names: Vec<&str> = columns.iter().map(String::as_str).collect();
    let Some(name) = want.pick_column(&names) else {
        return Err(want.no_column(&names));
    };
    let at = names.iter().position(|column| *column == name).unwrap_or_default();
    read_records(&mut reader, path, want, at, columns.len())
}

/// The first bytes of the file, after which the file stands behind its byte order mark.
fn head(file: &mut File, path: &Path, want: &Want) -> Result<Vec<u8>, Fault> {
    let failed = |error: std::io::Error| files::unreadable(path, &error, want);
    let mut start = Vec::new();
    file.by_ref().take(SNIFF_BYTES).read_to_end(&mut start).map_err(failed)?;
    let mark = files::byte_order_mark(&start, want)?;
    file.seek(SeekFrom::Start(mark as u64)).map_err(failed)?;
    start.drain(..mark);
    Ok(start)
}

/// The separator that splits the first records into the same number of cells, more than one; failing that, a comma.
fn sniff(start: &[u8]) -> u8 {
    let cells = |separator: u8| {
        let mut reader =
            ReaderBuilder::new().delimiter(separator).flexible(true).has_headers(false).from_reader(start);
        let mut counts: Vec<usize> =
            reader.byte_records().map_while(Result::ok).take(50).map(|r| r.len()).collect();
        // The last one may be cut off by the end of the sample.
        if counts.len() > 1 && start.len() as u64 == SNIFF_BYTES {
            counts.pop();
        }
        let first = counts.first().copied().unwrap_or(0);
        let agreeing = counts.iter().filter(|count| **count == first).count();
        (first > 1).then_some((agreeing * 1000 / counts.len().max(1), first))
    };
    let mut best = (b',', None);
    for separator in SEPARATORS {
        let score = cells(separator);
        if score > best.1 {
            best = (separator, score);
        }
    }
    best.0
}

fn header<R: Read>(reader: &mut Reader<R>, path: &Path, want: &Want) -> Result<Vec<String>, Fault> {
    let header = reader.byte_headers().map_err(|error| broken(path, &error, want))?;
    header.iter().map(|cell| files::utf8(cell, 1, want).map(|name| name.trim().to_owned())).collect()
}

fn read_records<R: Read>(
    reader: &mut Reader<R>,
    path: &Path,
    want: &Want,
    at: usize,
    columns: usize,
) -> Result<Rows, Fault> {
    let mut rows = Rows::default();
    let mut record = ByteRecord::new();
    let (mut found, mut last_start) = (0, (0, 1));
    loop {
        if matches!(want.take, Take::First(limit) if found >= limit) {
            return Ok(rows);
        }
        if !reader.read_byte_record(&mut record).map_err(|error| broken(path, &error, want))? {
            break;
        }
        let start = record.position().map_or((0, 0), |position| (position.byte(), position.line()));
        last_start = start;
        if record.len() > columns {
            let cause = format!("line {} has {} cells where the header has {columns}", start.1, record.len());
            return Err(want.fault(cause).remedy("put cells that hold the separator in double quotes"));
        }
        let text = record.get(at).map(|cell| files::utf8(cell, start.1, want)).transpose()?;
        let filled = text.filter(|text| !text.trim().is_empty());
        found += usize::from(filled.is_some());
        rows.cast += usize::from(filled.is_some_and(is_number));
        rows.push_text(filled.map(str::to_owned));
    }
    refuse_open_quote(path, last_start, want)?;
    rows.total = Some(rows.cells.len());
    Ok(rows)
}

/// Whether the text is written in digits; `inf` and `nan` are words here.
fn is_number(text: &str) -> bool {
    text.bytes().any(|byte| byte.is_ascii_digit()) && text.trim().parse::<f64>().is_ok()
}

/// An unclosed quote makes one cell of the rest of the file; nobody wants that sent as a prompt. Only the last record
/// can be affected, and in it the number of quotes is then odd.
fn refuse_open_quote(path: &Path, (byte, line): (u64, u64), want: &Want) -> Result<(), Fault> {
    let failed = |error: std::io::Error| files::unreadable(path, &error, want);
    let mut file = files::open(path, want)?;
    let mut start = [0; 3];
    let read = file.read(&mut start).map_err(failed)?;
    let mark = files::byte_order_mark(&start[..read], want)? as u64;
    file.seek(SeekFrom::Start(byte + mark)).map_err(failed)?;
    let (mut quotes, mut lines) = (0usize, 0usize);
    let mut reader = BufReader::new(file);
    let mut buffer = Vec::new();
    while reader.read_until(b'\n', &mut buffer).map_err(failed)? > 0 {
        quotes += buffer.iter().filter(|byte| **byte == b'"').count();
        lines += 1;
        buffer.clear();
    }
    if quotes % 2 == 1 && lines > 1 {
        return Err(want
            .fault(format!("a double quote is opened in the record at line {line} and never closed"))
            .remedy("close it, or write a quote inside a quoted cell twice"));
    }
    Ok(())
}

fn broken(path: &Path, error: &csv::Error, want: &Want) -> Fault {
    match error.kind() {
        csv::ErrorKind::Io(error) => files::unreadable(path, error, want),
        _ => want.fault(format!("cannot be read as csv: {error}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_separator_is_told_from_the_data() {
        assert_eq!(sniff(b"id,text\n1,a;b\n2,c;d;e\n"), b',');
        assert_eq!(sniff(b"id;text\n1;a, b and c\n2;d\n"), b';');
        assert_eq!(sniff(b"id\ttext\n1\ta, b\n"), b'\t');
        assert_eq!(sniff(b"id|text\n1|a\n"), b'|');
        assert_eq!(sniff(b"text\nno separator here\n"), b',');
        assert_eq!(sniff(b"id,text\n1,\"a\nb;c\"\n"), b',');
        assert_eq!(sniff(b""), b',');
    }
}
