//! Tests of the safetensors reader, damaged files above all.

use std::fs;

use super::*;
use ai_energy_backends_pytorch::protocol::EngineErrorKind;
use serde_json::json;
use tempfile::TempDir;

/// A file by hand: a header of JSON, then bytes.
fn file(header: &Value, data: &[u8]) -> Vec<u8> {
    let header = header.to_string();
    let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
    bytes.extend(header.as_bytes());
    bytes.extend(data);
    bytes
}

fn norm(name: &str, dtype: &str, size: usize) -> Vec<u8> {
    let mut header = json!({});
    header[name] = json!({"dtype": dtype, "shape": [2], "data_offsets": [0, 2 * size]});
    file(&header, &vec![7; 2 * size])
}

fn folder(files: &[(&str, Vec<u8>)]) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    files.iter().for_each(|(name, bytes)| fs::write(folder.path().join(name), bytes).unwrap());
    folder
}

fn open(files: &[(&str, Vec<u8>)]) -> Result<SafetensorsWeights, EngineError> {
    let folder = folder(files);
    SafetensorsWeights::open(folder.path()).map(|found| found.expect("there are files"))
}

fn index(map: Value) -> (&'static str, Vec<u8>) {
    (INDEX, json!({"weight_map": map}).to_string().into_bytes())
}

fn check(error: &EngineError, object: &str, cause: &str) {
    assert!(error.object.contains(object), "{error}");
    assert!(error.cause.contains(cause), "{error}");
    assert!(!error.remedy.is_empty(), "{error}");
}

#[test]
fn one_file_and_shards_are_read() {
    let single = open(&[(SINGLE, norm("a.weight", "BF16", 2))]).unwrap();
    let tensor = single.get("a.weight", &[2]).unwrap();
    assert_eq!(
        (tensor.stored, tensor.shape.as_slice(), tensor.bytes.as_ref()),
        (Stored::Bf16, &[2][..], &[7; 4][..])
    );
    assert!(matches!(tensor.bytes, Cow::Borrowed(_)));
    assert_eq!((single.main_format(), single.describe().as_str()), (Stored::Bf16, "1 safetensors file"));
    let shards = open(&[
        index(json!({"a.weight": "one.safetensors", "b.weight": "two.safetensors"})),
        ("one.safetensors", norm("a.weight", "F16", 2)),
        ("two.safetensors", norm("b.weight", "F32", 4)),
    ])
    .unwrap();
    assert!(shards.has("a.weight") && shards.has("b.weight") && !shards.has("c.weight"));
    assert_eq!((shards.main_format(), shards.describe().as_str()), (Stored::F32, "2 safetensors shards"));
    assert!(SafetensorsWeights::open(folder(&[]).path()).unwrap().is_none());
}

#[test]
fn a_missing_shard_is_named() {
    let error = open(&[
        index(json!({"a": "one.safetensors", "b": "two.safetensors", "c": "three.safetensors"})),
        ("one.safetensors", norm("a", "F32", 4)),
    ])
    .unwrap_err();
    check(&error, INDEX, "of its 3 shards, 2 are missing: three.safetensors, two.safetensors");
    for outside in ["../one.safetensors", "/etc/passwd", "sub/one.safetensors"] {
        check(&open(&[index(json!({"a": outside}))]).unwrap_err(), INDEX, outside);
    }
    check(&open(&[(INDEX, b"{\"metadata\": {}}".to_vec())]).unwrap_err(), INDEX, "no weight_map");
}

#[test]
fn damaged_files_are_named() {
    let whole = norm("a.weight", "F32", 4);
    let cut = whole[..whole.len() - 1].to_vec();
    check(&open(&[(SINGLE, cut)]).unwrap_err(), SINGLE, "do not agree");
    check(&open(&[(SINGLE, b"12".to_vec())]).unwrap_err(), SINGLE, "2 bytes");
    check(&open(&[(SINGLE, vec![0xFF; 64])]).unwrap_err(), SINGLE, "do not agree");
    let mut garbled = whole;
    garbled[9] = b'!';
    check(&open(&[(SINGLE, garbled)]).unwrap_err(), SINGLE, "do not agree");
    let overlap = json!({"a": {"dtype": "F32", "shape": [9], "data_offsets": [0, 8]}});
    check(&open(&[(SINGLE, file(&overlap, &[0; 8]))]).unwrap_err(), SINGLE, "do not agree");
    assert!(open(&[(SINGLE, Vec::new())]).is_err());
}

#[test]
fn a_tensor_that_does_not_fit_is_named() {
    let weights = open(&[(SINGLE, norm("a.weight", "F32", 4))]).unwrap();
    check(&weights.get("b.weight", &[2]).unwrap_err(), "tensor `b.weight`", "it is missing from");
    let shape = weights.get("a.weight", &[3]).unwrap_err();
    check(&shape, "tensor `a.weight` in", "its shape is [2], and config.json makes it [3]");
    let strange =
        open(&[(SINGLE, norm("a.weight", "F8_E4M3", 1))]).unwrap().get("a.weight", &[2]).unwrap_err();
    check(&strange, "tensor `a.weight`", "F8_E4M3");
    assert_eq!(strange.kind, EngineErrorKind::Unsupported);
}
