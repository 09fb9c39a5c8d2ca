//! Tests of the container: what is read, and that no damaged file is believed.

use super::super::builder::Builder;
use super::*;
use proptest::prelude::*;
use serde_json::json;

fn sample() -> Builder {
    Builder::family("llama")
        .with("llama.block_count", &json!(2))
        .with("a.fraction", &json!(1e-5))
        .with("a.list", &json!(["x", "é"]))
        .with("a.nested", &json!([[1, 2], [3]]))
        .with("a.switch", &json!(true))
        .packed("q", &[2, 32], 8, vec![1; 68])
}

#[test]
fn metadata_and_tensors_are_read() {
    let file = sample().bytes();
    let read = read(&file).unwrap();
    assert_eq!(read.metadata["a.fraction"], json!(1e-5));
    assert_eq!(read.metadata["a.list"], json!(["x", "é"]));
    assert_eq!(read.metadata["a.nested"], json!([[1, 2], [3]]));
    assert_eq!((&read.metadata["a.switch"], &read.metadata["llama.block_count"]), (&json!(true), &json!(2)));
    let (plain, packed) = (&read.tensors["token_embd.weight"], &read.tensors["q"]);
    assert_eq!((plain.shape.as_slice(), plain.kind.name, plain.bytes.len()), (&[10, 8][..], "F32", 320));
    assert_eq!((packed.shape.as_slice(), packed.kind.name), (&[2, 32][..], "Q8_0"));
    assert_eq!(&file[packed.bytes.clone()], &[1; 68]);
}

#[test]
fn damage_is_told_in_words() {
    let file = sample().bytes();
    assert!(read(b"").unwrap_err().contains("cut short"));
    assert!(read(b"GGML....").unwrap_err().contains("does not begin"));
    assert!(read(&file[..file.len() - 1]).unwrap_err().contains("tensor `q` lies beyond its end"));
    let mut old = file.clone();
    old[4] = 1;
    assert!(read(&old).unwrap_err().contains("version is 1"));
    let strange = Builder::family("llama").with("general.alignment", &json!(0)).bytes();
    assert!(read(&strange).unwrap_err().contains("alignment"));
    // The kind's number comes after the name, the number of dimensions and two sizes.
    let name = b"token_embd.weight";
    let at = file.windows(name.len()).position(|bytes| bytes == name).unwrap();
    let mut unknown = file;
    unknown[at + name.len() + 4 + 16] = 99;
    assert!(read(&unknown).unwrap_err().contains("not known, number 99"));
}

proptest! {
    /// Bytes changed anywhere: either it is still a file whose tensors lie within it, or an error.
    #[test]
    fn no_damage_is_believed(changes in prop::collection::vec((0usize..2000, any::<u8>()), 1..6), cut in 0usize..2000) {
        let mut file = sample().bytes();
        for (at, byte) in changes {
            let at = at % file.len();
            file[at] = byte;
        }
        file.truncate(file.len().saturating_sub(cut % 400).max(1));
        if let Ok(read) = read(&file) {
            for tensor in read.tensors.values() {
                prop_assert!(tensor.bytes.end <= file.len());
                let values = tensor.shape.iter().product::<usize>();
                prop_assert_eq!(values / tensor.kind.values * tensor.kind.bytes, tensor.bytes.len());
            }
        }
    }

    /// Lengths that no file has, at each place where one stands.
    #[test]
    fn huge_lengths_are_errors_and_take_no_memory(at in 8usize..400, length in (1u64 << 32)..u64::MAX) {
        let mut file = sample().bytes();
        let at = at.min(file.len() - 8);
        file[at..at + 8].copy_from_slice(&length.to_le_bytes());
        let _ = read(&file);
    }
}
