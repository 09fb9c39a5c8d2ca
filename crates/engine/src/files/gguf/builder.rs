//! Makes small GGUF files for tests.

use serde_json::Value;

use super::quants;

/// A file in the making; tensors are plain single precision unless packed bytes are given.
#[derive(Default)]
pub(super) struct Builder {
    metadata: Vec<u8>,
    entries: u64,
    tensors: Vec<(String, Vec<usize>, u32, Vec<u8>)>,
}

impl Builder {
    /// A file of a family, with the embedding that every one has.
    pub(super) fn family(name: &str) -> Self {
        Self::default().with("general.architecture", &name.into()).tensor(
            "token_embd.weight",
            &[10, 8],
            &[0.5; 80],
        )
    }

    /// Adds metadata: integers as 32 bits, fractions in single precision, lists of one kind.
    pub(super) fn with(mut self, key: &str, value: &Value) -> Self {
        string(&mut self.metadata, key);
        self.metadata.extend(kind(value).to_le_bytes());
        write(&mut self.metadata, value);
        self.entries += 1;
        self
    }

    /// Adds a tensor, sizes outermost first.
    pub(super) fn tensor(self, name: &str, shape: &[usize], values: &[f32]) -> Self {
        assert_eq!(shape.iter().product::<usize>(), values.len());
        self.packed(name, shape, 0, values.iter().flat_map(|value| value.to_le_bytes()).collect())
    }

    /// Adds a packed tensor.
    pub(super) fn packed(mut self, name: &str, shape: &[usize], kind: u32, bytes: Vec<u8>) -> Self {
        let known = quants::kind(kind).unwrap();
        assert_eq!(shape.iter().product::<usize>() / known.values * known.bytes, bytes.len());
        self.tensors.push((name.to_owned(), shape.to_vec(), kind, bytes));
        self
    }

    /// The file's bytes.
    pub(super) fn bytes(&self) -> Vec<u8> {
        let mut file = b"GGUF".to_vec();
        file.extend(3_u32.to_le_bytes());
        file.extend((self.tensors.len() as u64).to_le_bytes());
        file.extend(self.entries.to_le_bytes());
        file.extend(&self.metadata);
        let mut offset = 0;
        for (name, shape, kind, bytes) in &self.tensors {
            string(&mut file, name);
            file.extend((shape.len() as u32).to_le_bytes());
            shape.iter().rev().for_each(|size| file.extend((*size as u64).to_le_bytes()));
            file.extend(kind.to_le_bytes());
            file.extend((offset as u64).to_le_bytes());
            offset += bytes.len().next_multiple_of(32);
        }
        for (.., bytes) in &self.tensors {
            file.resize(file.len().next_multiple_of(32), 0);
            file.extend(bytes);
        }
        file
    }
}

fn string(file: &mut Vec<u8>, text: &str) {
    file.extend((text.len() as u64).to_le_bytes());
    file.extend(text.as_bytes());
}

fn kind(value: &Value) -> u32 {
    match value {
        Value::Bool(_) => 7,
        Value::String(_) => 8,
        Value::Array(_) => 9,
        Value::Number(number) if number.is_f64() => 6,
        _ => 4,
    }
}

fn write(file: &mut Vec<u8>, value: &Value) {
    match value {
        Value::Bool(yes) => file.push(u8::from(*yes)),
        Value::String(text) => string(file, text),
        Value::Array(list) => {
            file.extend(list.first().map_or(4, kind).to_le_bytes());
            file.extend((list.len() as u64).to_le_bytes());
            list.iter().for_each(|item| write(file, item));
        }
        Value::Number(number) if number.is_f64() => {
            file.extend((number.as_f64().unwrap() as f32).to_le_bytes());
        }
        other => file.extend((other.as_u64().unwrap() as u32).to_le_bytes()),
    }
}
