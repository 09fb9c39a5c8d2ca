//! The container of GGUF files, versions 2 and 3: metadata and where tensors lie.
//!
//! Every length in the file is checked against the file before it is believed, so that a damaged or hostile file is an
//! error and never a crash or a huge allocation. Refuses to know what metadata and tensors mean.

use std::collections::HashMap;
use std::ops::Range;

use serde_json::{Map, Value};

use super::quants::{self, Kind};

/// What a file begins with.
const MAGIC: &[u8; 4] = b"GGUF";
/// Where tensors begin when the file does not say.
const DEFAULT_ALIGNMENT: u64 = 32;
/// Most dimensions of a tensor in the format.
const MOST_DIMENSIONS: u32 = 4;
/// Arrays within arrays are rare; deeper ones are nonsense.
const MOST_NESTING: u32 = 4;

/// What a file holds.
#[derive(Debug)]
pub(super) struct Contents {
    /// Metadata by key; numbers that are not finite are null.
    pub(super) metadata: Map<String, Value>,
    /// Tensors by name.
    pub(super) tensors: HashMap<String, Tensor>,
}

/// Where a tensor lies and how.
#[derive(Debug, Clone)]
pub(super) struct Tensor {
    /// Sizes, outermost first.
    pub(super) shape: Vec<usize>,
    /// How values are packed.
    pub(super) kind: &'static Kind,
    /// Its bytes in the file.
    pub(super) bytes: Range<usize>,
}

/// Reads the container.
///
/// # Errors
/// Why it is no such file, in a few words.
pub(super) fn read(file: &[u8]) -> Result<Contents, String> {
    let mut cursor = Cursor { file, at: 0 };
    if cursor.take(4)? != MAGIC {
        return Err("it does not begin as GGUF files do".to_owned());
    }
    let version = cursor.u32()?;
    if !(2..=3).contains(&version) {
        return Err(format!(
            "its version is {version}; versions 2 and 3 of little-endian machines are known"
        ));
    }
    let tensors = cursor.u64()?;
    let entries = cursor.u64()?;
    let mut metadata = Map::new();
    for _ in 0..entries {
        let key = cursor.string()?;
        let kind = cursor.u32()?;
        let value = cursor.value(kind, 0)?;
        metadata.insert(key, value);
    }
    let mut headers = Vec::new();
    for _ in 0..tensors {
        headers.push(cursor.header()?);
    }
    let alignment = match metadata.get("general.alignment") {
        None => DEFAULT_ALIGNMENT,
        Some(value) => {
            value.as_u64().filter(|bytes| bytes.is_power_of_two()).ok_or("its alignment is none")?
        }
    };
    let data = (cursor.at as u64).next_multiple_of(alignment);
    let tensors =
        headers.into_iter().map(|header| header.place(data, file.len())).collect::<Result<_, _>>()?;
    Ok(Contents { metadata, tensors })
}

/// A tensor as the file lists it.
struct Header {
    name: String,
    shape: Vec<usize>,
    kind: u32,
    offset: u64,
}

impl Header {
    fn place(self, data: u64, length: usize) -> Result<(String, Tensor), String> {
        let Self { name, shape, kind, offset } = self;
        let kind = quants::kind(kind)
            .ok_or_else(|| format!("tensor `{name}` is packed in a way that is not known, number {kind}"))?;
        let values = shape.iter().try_fold(1_usize, |product, size| product.checked_mul(*size));
        let row = shape.last().copied().unwrap_or(1);
        let values = values.filter(|_| row.is_multiple_of(kind.values)).ok_or_else(|| {
            format!("tensor `{name}` has the shape {shape:?}, which {} cannot have", kind.name)
        })?;
        let range = (values / kind.values).checked_mul(kind.bytes).and_then(|bytes| {
            let start = usize::try_from(data.checked_add(offset)?).ok()?;
            let end = start.checked_add(bytes)?;
            (end <= length).then_some(start..end)
        });
        let bytes = range.ok_or_else(|| {
            format!("tensor `{name}` lies beyond its end ({length} bytes): it is cut short or damaged")
        })?;
        Ok((name, Tensor { shape, kind, bytes }))
    }
}

struct Cursor<'a> {
    file: &'a [u8],
    at: usize,
}

impl<'a> Cursor<'a> {
    fn take(&mut self, count: usize) -> Result<&'a [u8], String> {
        let end = self.at.checked_add(count).filter(|end| *end <= self.file.len());
        let end = end.ok_or("it ends within its header: it is cut short or damaged")?;
        let bytes = &self.file[self.at..end];
        self.at = end;
        Ok(bytes)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], String> {
        let mut bytes = [0; N];
        bytes.copy_from_slice(self.take(N)?);
        Ok(bytes)
    }

    fn u32(&mut self) -> Result<u32, String> {
        Ok(u32::from_le_bytes(self.array()?))
    }

    fn u64(&mut self) -> Result<u64, String> {
        Ok(u64::from_le_bytes(self.array()?))
    }

    fn count(&mut self) -> Result<usize, String> {
        usize::try_from(self.u64()?).map_err(|_| "a length in its header is none".to_owned())
    }

    fn string(&mut self) -> Result<String, String> {
        let length = self.count()?;
        // Vocabularies hold pieces of characters; such a piece becomes U+FFFD rather than making the file unreadable.
        Ok(String::from_utf8_lossy(self.take(length)?).into_owned())
    }

    fn value(&mut self, kind: u32, depth: u32) -> Result<Value, String> {
        Ok(match kind {
            0 => self.array::<1>()?[0].into(),
            1 => i8::from_le_bytes(self.array()?).into(),
            2 => u16::from_le_bytes(self.array()?).into(),
            3 => i16::from_le_bytes(self.array()?).into(),
            4 => self.u32()?.into(),
            5 => i32::from_le_bytes(self.array()?).into(),
            6 => shortest(f32::from_le_bytes(self.array()?)),
            7 => (self.array::<1>()?[0] != 0).into(),
            8 => self.string()?.into(),
            9 => {
                let kind = self.u32()?;
                let count = self.count()?;
                if depth == MOST_NESTING || count > self.file.len() - self.at {
                    return Err("an array in its header is longer than the file".to_owned());
                }
                let mut list = Vec::new();
                for _ in 0..count {
                    list.push(self.value(kind, depth + 1)?);
                }
                list.into()
            }
            10 => self.u64()?.into(),
            11 => i64::from_le_bytes(self.array()?).into(),
            12 => f64::from_le_bytes(self.array()?).into(),
            other => return Err(format!("its metadata has a value of the unknown kind {other}")),
        })
    }

    fn header(&mut self) -> Result<Header, String> {
        let name = self.string()?;
        let dimensions = self.u32()?;
        if dimensions > MOST_DIMENSIONS {
            return Err(format!("tensor `{name}` has {dimensions} dimensions"));
        }
        let mut shape = Vec::new();
        for _ in 0..dimensions {
            shape.push(self.count()?);
        }
        // The file lists the innermost first.
        shape.reverse();
        Ok(Header { name, shape, kind: self.u32()?, offset: self.u64()? })
    }
}

/// A single-precision number with the digits that name it, so that 1e-5 stays 1e-5 in double precision.
pub(super) fn shortest(number: f32) -> Value {
    number.to_string().parse::<f64>().map_or(Value::Null, Value::from)
}

#[cfg(test)]
#[path = "reader_tests.rs"]
mod tests;
