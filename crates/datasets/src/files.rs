//! Local files: the formats by extension, and what can go wrong with any file.
//!
//! The formats themselves have a module each. Refuses to know where a file came from: the hub hands its files here too.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};

use ai_energy_core::{Dataset, Fault, FaultKind, LoadProgress, LoadedPrompts};
use async_trait::async_trait;

use crate::rows::{self, Origin, Rows, Take, Want};
use crate::{csv_file, json_file, parquet_file, text_file};

/// A file format.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Format {
    /// Apache Parquet.
    Parquet,
    /// One JSON object a line.
    JsonLines,
    /// Separated values.
    Csv,
    /// One JSON document.
    Json,
    /// Plain text.
    Text,
}

impl Format {
    /// Every extension with its format.
    pub(crate) const EXTENSIONS: [(&'static str, Self); 7] = [
        ("csv", Self::Csv),
        ("tsv", Self::Csv),
        ("jsonl", Self::JsonLines),
        ("ndjson", Self::JsonLines),
        ("json", Self::Json),
        ("parquet", Self::Parquet),
        ("txt", Self::Text),
    ];

    /// The format of a file by its name.
    pub(crate) fn of(path: &Path) -> Option<Self> {
        let extension = path.extension()?.to_str()?.to_ascii_lowercase();
        Self::EXTENSIONS.iter().find(|(known, _)| *known == extension).map(|(_, format)| *format)
    }

    /// The kind as the registry lists it.
    pub(crate) fn kind(self) -> &'static str {
        match self {
            Self::Csv => "csv",
            Self::JsonLines => "jsonl",
            Self::Json => "json",
            Self::Parquet => "parquet",
            Self::Text => "txt",
        }
    }

    /// Reads what is wanted of a file. Blocks.
    ///
    /// # Errors
    /// The file is not readable, not of this format, or has no such column.
    pub(crate) fn read(self, path: &Path, want: &Want) -> Result<Rows, Fault> {
        match self {
            Self::Csv => csv_file::read(path, want),
            Self::JsonLines => json_file::read_lines(path, want),
            Self::Json => json_file::read(path, want),
            Self::Parquet => parquet_file::read(path, want),
            Self::Text => text_file::read(path, want),
        }
    }
}

/// A dataset in one local file.
#[derive(Debug)]
pub(crate) struct FileDataset {
    pub(crate) name: String,
    pub(crate) path: PathBuf,
    pub(crate) format: Format,
    pub(crate) column: String,
    pub(crate) shuffle_seed: Option<u64>,
    pub(crate) txt_separator: Option<String>,
}

#[async_trait]
impl Dataset for FileDataset {
    async fn load(&self, limit: usize, _progress: &dyn LoadProgress) -> Result<LoadedPrompts, Fault> {
        let want = Want {
            subject: format!("dataset {}", self.name),
            column: self.column.clone(),
            take: Take::for_limit(limit, self.shuffle_seed),
            txt_separator: self.txt_separator.clone(),
        };
        let rows = read_apart(self.format, self.path.clone(), want).await?;
        let origin = Origin { name: self.name.clone(), kind: self.format.kind(), revision: None };
        rows::assemble(origin, rows, limit, self.shuffle_seed)
    }
}

/// [`Format::read`] on a thread that may block. A reader that panics on a file nobody foresaw is a fault of that file.
pub(crate) async fn read_apart(format: Format, path: PathBuf, want: Want) -> Result<Rows, Fault> {
    let subject = want.subject.clone();
    let read = tokio::task::spawn_blocking(move || format.read(&path, &want));
    read.await.unwrap_or_else(|error| {
        let cause = format!("the {} reader gave up on this file: {error}", format.kind());
        Err(Fault::new(FaultKind::Internal, subject, cause).remedy("check that the file is complete"))
    })
}

/// Opens a file for reading.
pub(crate) fn open(path: &Path, want: &Want) -> Result<File, Fault> {
    File::open(path).map_err(|error| unreadable(path, &error, want))
}

/// The fault for a file that cannot be read.
pub(crate) fn unreadable(path: &Path, error: &std::io::Error, want: &Want) -> Fault {
    let fault = want.fault(format!("cannot read {}: {error}", path.display()));
    match error.kind() {
        std::io::ErrorKind::PermissionDenied => fault.remedy("make the file readable for this user"),
        std::io::ErrorKind::NotFound => fault.remedy("check the path"),
        _ => fault,
    }
}

/// The length of the UTF-8 byte order mark at the start, which some editors write; 0 where there is none.
///
/// # Errors
/// The mark is that of UTF-16.
pub(crate) fn byte_order_mark(start: &[u8], want: &Want) -> Result<usize, Fault> {
    match start {
        [0xEF, 0xBB, 0xBF, ..] => Ok(3),
        [0xFF, 0xFE, ..] | [0xFE, 0xFF, ..] => Err(want
            .fault("is in UTF-16")
            .remedy("save it as UTF-8, for example with iconv -f UTF-16 -t UTF-8")),
        _ => Ok(0),
    }
}

/// The bytes as text.
///
/// # Errors
/// They are no UTF-8; names the line, counted from `line`, where the text begins.
pub(crate) fn utf8<'a>(bytes: &'a [u8], line: u64, want: &Want) -> Result<&'a str, Fault> {
    std::str::from_utf8(bytes).map_err(|error| {
        let before = &bytes[..error.valid_up_to()];
        let line = line + before.iter().filter(|byte| **byte == b'\n').count() as u64;
        want.fault(format!("line {line} is no valid UTF-8")).remedy("save the file as UTF-8")
    })
}

/// The lines of a text file, without their ends, each with its number from 1.
pub(crate) struct Lines<'a> {
    reader: BufReader<File>,
    path: &'a Path,
    want: &'a Want,
    line: u64,
    buffer: Vec<u8>,
}

impl<'a> Lines<'a> {
    /// Opens the file.
    pub(crate) fn open(path: &'a Path, want: &'a Want) -> Result<Self, Fault> {
        let reader = BufReader::new(open(path, want)?);
        Ok(Self { reader, path, want, line: 0, buffer: Vec::new() })
    }

    /// The next line and its number; `None` at the end.
    pub(crate) fn next(&mut self) -> Result<Option<(u64, &str)>, Fault> {
        self.buffer.clear();
        let read = self.reader.read_until(b'\n', &mut self.buffer);
        if read.map_err(|error| unreadable(self.path, &error, self.want))? == 0 {
            return Ok(None);
        }
        self.line += 1;
        let mark = if self.line == 1 { byte_order_mark(&self.buffer, self.want)? } else { 0 };
        let mut bytes = &self.buffer[mark..];
        bytes = bytes.strip_suffix(b"\n").unwrap_or(bytes);
        bytes = bytes.strip_suffix(b"\r").unwrap_or(bytes);
        Ok(Some((self.line, utf8(bytes, self.line, self.want)?)))
    }
}
