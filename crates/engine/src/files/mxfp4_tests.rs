//! Tests of unpacking experts.

use std::path::Path;

use super::*;
use serde_json::{Map, Value, json};

/// A checkpoint with one packed tensor of two experts, 64 inputs and 19 outputs (no multiple of the rows turned at a time).
fn checkpoint(
    folder: &Path,
    code: impl Fn(usize, usize, usize) -> u8,
    scale: impl Fn(usize, usize, usize) -> u8,
) {
    let (experts, outputs, inputs) = (2, 19, 64);
    let mut blocks = Vec::new();
    let mut scales = Vec::new();
    for expert in 0..experts {
        for output in 0..outputs {
            for input in (0..inputs).step_by(2) {
                blocks.push(code(expert, output, input) | code(expert, output, input + 1) << 4);
            }
            scales.extend((0..inputs / 32).map(|block| scale(expert, output, block)));
        }
    }
    let end = blocks.len();
    let header = json!({
        "e.down_proj_blocks": {"dtype": "U8", "shape": [2, 19, 2, 16], "data_offsets": [0, end]},
        "e.down_proj_scales": {"dtype": "U8", "shape": [2, 19, 2], "data_offsets": [end, end + scales.len()]},
    })
    .to_string();
    let mut file = (header.len() as u64).to_le_bytes().to_vec();
    file.extend(header.as_bytes());
    file.extend(blocks);
    file.extend(scales);
    std::fs::write(folder.join("model.safetensors"), file).unwrap();
}

fn code(expert: usize, output: usize, input: usize) -> u8 {
    ((expert * 5 + output * 3 + input) % 16) as u8
}

fn scale(expert: usize, output: usize, block: usize) -> u8 {
    (120 + expert * 4 + output % 3 + block) as u8
}

#[test]
fn values_land_where_inputs_are_rows() {
    let folder = tempfile::tempdir().unwrap();
    checkpoint(folder.path(), code, scale);
    let weights = Unpacking(SafetensorsWeights::open(folder.path()).unwrap().unwrap());
    assert!(weights.has("e.down_proj") && weights.has("e.down_proj_scales") && !weights.has("e.up_proj"));
    let tensor = weights.get("e.down_proj", &[2, 64, 19]).unwrap();
    assert_eq!(tensor.stored, Stored::Bf16);
    let found: Vec<f64> =
        tensor.bytes.chunks_exact(2).map(|two| bf16::from_le_bytes([two[0], two[1]]).to_f64()).collect();
    let sizes = [0.0, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0];
    for expert in 0..2 {
        for input in 0..64 {
            for output in 0..19 {
                let code = code(expert, output, input);
                let sign = if code > 7 { -1.0 } else { 1.0 };
                let power = 2_f64.powi(i32::from(scale(expert, output, input / 32)) - 127);
                let wanted = sign * sizes[usize::from(code % 8)] * power;
                assert_eq!(found[(expert * 64 + input) * 19 + output], wanted, "{expert} {input} {output}");
            }
        }
    }
}

#[test]
fn shapes_that_do_not_fit_are_errors() {
    let folder = tempfile::tempdir().unwrap();
    checkpoint(folder.path(), code, scale);
    let weights = Unpacking(SafetensorsWeights::open(folder.path()).unwrap().unwrap());
    for shape in [&[2, 19, 64][..], &[2, 64], &[3, 64, 19], &[2, 63, 19]] {
        let error = weights.get("e.down_proj", shape).unwrap_err();
        assert!(error.object.contains("e.down_proj"), "{error}");
    }
}

#[test]
fn a_packed_folder_is_opened_through_it() {
    let folder = tempfile::tempdir().unwrap();
    checkpoint(folder.path(), code, scale);
    let write =
        |config: Value| std::fs::write(folder.path().join("config.json"), config.to_string()).unwrap();
    let open = || super::super::open(folder.path().to_str().unwrap(), &super::super::FilesOptions::default());
    write(json!({"vocab_size": 300, "quantization_config": {"quant_method": "mxfp4"}}));
    let model = open().unwrap();
    assert!(model.weights.get("e.down_proj", &[2, 64, 19]).is_ok());
    assert!(model.weights.describe().contains("MXFP4"));
    write(json!({"quantization_config": null}));
    assert!(!open().unwrap().weights.describe().contains("MXFP4"));
    write(json!({"quantization_config": {"quant_method": "awq"}}));
    let error = open().err().unwrap();
    assert!(error.cause.contains("awq") && error.remedy.contains("transformers"), "{error}");
    assert_eq!(
        model.config["quantization_config"],
        Value::Object(Map::from_iter([("quant_method".into(), "mxfp4".into())]))
    );
}
