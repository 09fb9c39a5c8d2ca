//! Tests of unpacking against what the `gguf` Python package makes of the same blocks.

use super::*;
use serde_json::{Map, Value};

fn hex(value: &Value) -> Vec<u8> {
    let text = value.as_str().unwrap();
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap()).collect()
}

fn floats(bytes: &[u8]) -> Vec<f32> {
    bytes.chunks_exact(4).map(|four| f32::from_le_bytes([four[0], four[1], four[2], four[3]])).collect()
}

#[test]
fn every_kind_unpacks_as_the_python_package_does() {
    let vectors = include_str!("../../../fixtures/gguf/quants.json");
    let vectors: Map<String, Value> = serde_json::from_str(vectors).unwrap();
    assert_eq!(vectors.len(), KINDS.len());
    for (name, vector) in &vectors {
        let kind = kind(u32::try_from(vector["number"].as_u64().unwrap()).unwrap()).unwrap();
        assert_eq!(kind.name, name);
        let (packed, wanted) = (hex(&vector["packed"]), floats(&hex(&vector["values"])));
        let found = floats(&kind.unpack(&packed));
        assert_eq!(found.len(), wanted.len(), "{name}");
        for (at, (found, wanted)) in found.iter().zip(&wanted).enumerate() {
            // The order of two products may differ by a rounding.
            let near = (found - wanted).abs() <= wanted.abs() * 2e-6 + 1e-9;
            assert!(near, "{name}, value {at}: {found}, and not {wanted}");
        }
    }
}

#[test]
fn tasks_meet_where_blocks_do() {
    let kind = kind(8).unwrap();
    let block: Vec<u8> = [0x00, 0x3C].into_iter().chain(0..32).collect();
    let many = block.repeat(BLOCKS_A_TASK * 2 + 3);
    let values = floats(&kind.unpack(&many));
    assert_eq!(values.len(), (BLOCKS_A_TASK * 2 + 3) * 32);
    assert!(values.iter().enumerate().all(|(at, value)| *value == (at % 32) as f32));
}

#[test]
fn an_unknown_number_is_no_kind() {
    assert!(kind(9999).is_none());
    assert!(KINDS.iter().all(|kind| kind.values <= MOST_VALUES));
}
