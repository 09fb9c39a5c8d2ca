//! Weights in safetensors files: one, or shards with an index.
//!
//! Refuses to know what the tensors are for.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use safetensors::{Dtype, SafeTensors};
use serde_json::Value;

use super::json;
use super::map::MappedFile;
use crate::EngineError;
use crate::weights::{RawTensor, Stored, Weights};

/// Name of the index of a model in several files.
const INDEX: &str = "model.safetensors.index.json";
/// Name of a model in one file.
const SINGLE: &str = "model.safetensors";
/// What transformers calls the base model inside a model with a head.
const BASES: [&str; 3] = ["model.", "transformer.", "gpt_neox."];

/// Tensors in one or more mapped files.
#[derive(Debug)]
pub(super) struct SafetensorsWeights {
    files: Vec<MappedFile>,
    tensors: HashMap<String, Entry>,
    main: Stored,
}

/// Where one tensor lies.
#[derive(Debug)]
struct Entry {
    file: usize,
    dtype: Dtype,
    shape: Vec<usize>,
    start: usize,
    end: usize,
}

impl SafetensorsWeights {
    /// The weights of a folder; `None` where it has no safetensors files.
    pub(super) fn open(folder: &Path) -> Result<Option<Self>, EngineError> {
        let index = folder.join(INDEX);
        let paths = match json::object_if_there(&index)? {
            Some(listed) => shards(&index, listed.get("weight_map"))?,
            None if folder.join(SINGLE).is_file() => vec![folder.join(SINGLE)],
            None => return Ok(None),
        };
        let mut weights = Self { files: Vec::new(), tensors: HashMap::new(), main: Stored::F32 };
        for path in &paths {
            weights.add(path)?;
        }
        weights.main = weights.most_common();
        Ok(Some(weights))
    }

    fn add(&mut self, path: &Path) -> Result<(), EngineError> {
        let file = MappedFile::open(path)?;
        let damaged = |error: safetensors::SafeTensorError| {
            let cause = format!("its header and its {} bytes do not agree: {error}", file.bytes().len());
            EngineError::model(file.name(), cause).remedy("fetch the file again: it is cut short or damaged")
        };
        let (header, metadata) = SafeTensors::read_metadata(file.bytes()).map_err(damaged)?;
        let data = header + size_of::<u64>();
        for (name, info) in metadata.tensors() {
            let (start, end) = info.data_offsets;
            let entry = Entry {
                file: self.files.len(),
                dtype: info.dtype,
                shape: info.shape.clone(),
                start: data + start,
                end: data + end,
            };
            self.tensors.insert(name, entry);
        }
        self.files.push(file);
        Ok(())
    }

    /// The format of most bytes.
    fn most_common(&self) -> Stored {
        let mut bytes = [(Stored::F32, 0), (Stored::Bf16, 0), (Stored::F16, 0)];
        for entry in self.tensors.values() {
            let stored = stored(entry.dtype);
            if let Some((_, sum)) = bytes.iter_mut().find(|(format, _)| Some(*format) == stored) {
                *sum += entry.end - entry.start;
            }
        }
        let packed = self.tensors.values().any(|entry| entry.dtype == Dtype::U8);
        // Packed blocks say nothing about what they are computed in; what is beside them does.
        let most = bytes.iter().max_by_key(|(_, sum)| *sum).filter(|(_, sum)| *sum > 0);
        most.map_or(if packed { Stored::Bf16 } else { Stored::F32 }, |(format, _)| *format)
    }

    /// A tensor by its name, or by the same without the name of the base model in front: checkpoints of that part alone
    /// lack it, GPT-2's own among them.
    fn entry(&self, name: &str) -> Option<&Entry> {
        let bare = || BASES.iter().find_map(|base| name.strip_prefix(base));
        self.tensors.get(name).or_else(|| bare().and_then(|name| self.tensors.get(name)))
    }

    fn missing(&self, name: &str) -> EngineError {
        let files: Vec<String> = self.files.iter().map(MappedFile::name).collect();
        EngineError::model(format!("tensor `{name}`"), format!("it is missing from {}", files.join(", ")))
            .remedy("fetch the model again, or use one whose files fit its config.json")
    }
}

impl Weights for SafetensorsWeights {
    fn has(&self, name: &str) -> bool {
        self.entry(name).is_some()
    }

    fn get(&self, name: &str, shape: &[usize]) -> Result<RawTensor<'_>, EngineError> {
        let entry = self.entry(name).ok_or_else(|| self.missing(name))?;
        let file = &self.files[entry.file];
        let object = format!("tensor `{name}` in {}", file.name());
        if entry.shape != shape {
            let cause = format!("its shape is {:?}, and config.json makes it {shape:?}", entry.shape);
            return Err(EngineError::model(object, cause)
                .remedy("use the config.json that came with these weights, or fetch both again"));
        }
        let stored = stored(entry.dtype).ok_or_else(|| {
            EngineError::unsupported(
                &object,
                format!("its number format {:?} is not known here", entry.dtype),
            )
            .remedy("use a copy in f32, f16 or bf16, or `backend.engine=transformers`")
        })?;
        let bytes = file.bytes().get(entry.start..entry.end).ok_or_else(|| {
            EngineError::model(object, "its bytes lie beyond the file's end").remedy("fetch the file again")
        })?;
        Ok(RawTensor { stored, shape: entry.shape.clone(), bytes: Cow::Borrowed(bytes) })
    }

    fn main_format(&self) -> Stored {
        self.main
    }

    fn describe(&self) -> String {
        match self.files.as_slice() {
            [_] => "1 safetensors file".to_owned(),
            files => format!("{} safetensors shards", files.len()),
        }
    }
}

fn stored(dtype: Dtype) -> Option<Stored> {
    match dtype {
        Dtype::F32 => Some(Stored::F32),
        Dtype::F16 => Some(Stored::F16),
        Dtype::BF16 => Some(Stored::Bf16),
        Dtype::U8 => Some(Stored::U8),
        _ => None,
    }
}

/// The files that an index names, each once, beside the index.
fn shards(index: &Path, map: Option<&Value>) -> Result<Vec<std::path::PathBuf>, EngineError> {
    let damaged =
        |cause: &str| EngineError::model(index.display().to_string(), cause).remedy("fetch the model again");
    let map = map.and_then(Value::as_object).ok_or_else(|| damaged("it has no weight_map"))?;
    let mut files = BTreeMap::new();
    for file in map.values() {
        let file = file.as_str().ok_or_else(|| damaged("a file's name in its weight_map is no text"))?;
        let plain = Path::new(file).file_name().is_some_and(|name| name == file);
        if !plain {
            return Err(damaged(&format!("its weight_map names `{file}`, which is no file beside it")));
        }
        files.insert(file, index.with_file_name(file));
    }
    let missing: Vec<&str> =
        files.iter().filter(|(_, path)| !path.is_file()).map(|(name, _)| *name).collect();
    if !missing.is_empty() {
        let cause =
            format!("of its {} shards, {} are missing: {}", files.len(), missing.len(), missing.join(", "));
        return Err(damaged(&cause).remedy("fetch the model again: some shards did not arrive"));
    }
    Ok(files.into_values().collect())
}

#[cfg(test)]
#[path = "safetensors_tests.rs"]
mod tests;
