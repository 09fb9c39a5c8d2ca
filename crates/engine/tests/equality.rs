//! The engine against transformers: the same greedy tokens and logits for every fixture, one by one, as a left-padded batch
//! and over two devices; and for real models where `AI_ENERGY_TEST_MODEL` names a folder of SmolLM2-135M-Instruct and
//! `AI_ENERGY_TEST_GGUF` its Q4_1 file.
//!
//! The fixtures are found by looking into their folder, so that none is left out.

#![cfg(feature = "torch")]
#![allow(clippy::unwrap_used, reason = "a failing helper fails its test")]
#![allow(clippy::print_stdout, reason = "a test that is skipped says so")]

use std::path::{Path, PathBuf};

use ai_energy_backends_pytorch::{DeviceMap, TorchDtype};
use ai_energy_engine::files::{self, FilesOptions};
use ai_energy_engine::model::Spec;
use ai_energy_engine::torch::{LoadOptions, Model, Quantization};
use serde::Deserialize;

/// What the logits may differ by.
const TOLERANCE: f32 = 1e-4;

/// `expected.json` of a fixture.
#[derive(Deserialize)]
struct Expected {
    smallest_margin: f32,
    single: Vec<Row>,
    batch: Together,
}

/// One prompt and what transformers continues it with.
#[derive(Deserialize)]
struct Row {
    prompt: Vec<u32>,
    ids: Vec<u32>,
    /// Of every token, or of those in `best`.
    logits: Vec<f32>,
    #[serde(default)]
    best: Vec<usize>,
}

/// Prompts, by their place among the single ones, that were computed together.
#[derive(Deserialize)]
struct Together {
    prompts: Vec<usize>,
    ids: Vec<Vec<u32>>,
}

fn folder(of: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures").join(of)
}

fn fixtures() -> Vec<PathBuf> {
    let mut folders: Vec<_> =
        folder("models").read_dir().unwrap().map(|entry| entry.unwrap().path()).collect();
    folders.sort();
    assert!(folders.len() >= 25, "the fixtures are not all there: {folders:?}");
    folders
}

fn read<T: for<'a> Deserialize<'a>>(file: &Path) -> T {
    serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap()
}

fn in_f32() -> LoadOptions {
    LoadOptions { dtype: TorchDtype::Float32, threads: Some(1), ..LoadOptions::default() }
}

fn load(model: &Path, options: &LoadOptions) -> Result<Model, String> {
    let files = files::open(model.to_str().unwrap(), &FilesOptions::default()).map_err(|e| e.to_string())?;
    let spec = Spec::from_config(&files.config).map_err(|e| e.to_string())?;
    Model::load(&spec, files.weights.as_ref(), options, &mut |_, _| {}).map_err(|e| e.to_string())
}

/// Tokens of each row, and the logits after each prompt.
type Generated = (Vec<Vec<u32>>, Vec<Vec<f32>>);

/// Greedy tokens of each row, and the logits after the prompts.
fn greedy(model: &Model, prompts: &[&[u32]], tokens: usize) -> Result<Generated, String> {
    let capacity = prompts.iter().map(|prompt| prompt.len()).max().unwrap() + tokens;
    let mut batch = model.begin(prompts, capacity).map_err(|error| error.to_string())?;
    let first = batch.logits().rows().map_err(|error| error.to_string())?;
    let mut ids = vec![Vec::new(); prompts.len()];
    for n in 1..=tokens {
        let next = batch.logits().argmax().map_err(|error| error.to_string())?;
        ids.iter_mut().zip(&next).for_each(|(row, id)| row.push(*id));
        if n < tokens {
            batch.step(&next).map_err(|error| error.to_string())?;
        }
    }
    Ok((ids, first))
}

/// The row's logits of the tokens that are expected.
fn far(row: &Row, logits: &[f32]) -> f32 {
    let of = |(n, wanted): (usize, &f32)| (logits[row.best.get(n).copied().unwrap_or(n)] - wanted).abs();
    row.logits.iter().enumerate().map(of).fold(0.0, f32::max)
}

/// What differs for one row.
fn differs(row: &Row, ids: &[u32], logits: &[f32]) -> Option<String> {
    let same = row.ids.iter().zip(ids).take_while(|(wanted, is)| wanted == is).count();
    let far = far(row, logits);
    let right = same == row.ids.len() && ids.len() == same && far <= TOLERANCE;
    (!right).then(|| {
        format!("prompt of {}: {same} of {} tokens, logits {far} away", row.prompt.len(), row.ids.len())
    })
}

/// What differs between the engine and transformers, one prompt at a time.
fn single(model: &Model, rows: &[Row]) -> Result<Vec<String>, String> {
    let mut wrong = Vec::new();
    for row in rows {
        let (ids, logits) = greedy(model, &[&row.prompt], row.ids.len())?;
        wrong.extend(differs(row, &ids[0], &logits[0]));
    }
    Ok(wrong)
}

/// The same for prompts that are computed together.
fn batched(model: &Model, expected: &Expected) -> Result<Vec<String>, String> {
    let rows: Vec<&Row> = expected.batch.prompts.iter().map(|&place| &expected.single[place]).collect();
    let prompts: Vec<&[u32]> = rows.iter().map(|row| row.prompt.as_slice()).collect();
    let (ids, logits) = greedy(model, &prompts, rows[0].ids.len())?;
    let mut wrong = Vec::new();
    for (place, row) in rows.iter().enumerate() {
        assert_eq!(row.ids, expected.batch.ids[place], "the fixture contradicts itself");
        wrong.extend(differs(row, &ids[place], &logits[place]).map(|what| format!("in a batch, {what}")));
    }
    Ok(wrong)
}

/// Checks every fixture and names all that fail.
fn every_fixture(check: impl Fn(&Path, &Expected) -> Result<Vec<String>, String>) {
    let mut failures = Vec::new();
    for folder in fixtures() {
        let expected: Expected = read(&folder.join("expected.json"));
        assert!(expected.single.len() >= 3 && expected.single.iter().all(|row| row.ids.len() == 64));
        // A tie would make equality a matter of luck.
        assert!(expected.smallest_margin > 10.0 * TOLERANCE, "{folder:?}");
        let name = folder.file_name().unwrap().to_string_lossy().into_owned();
        match check(&folder, &expected) {
            Ok(wrong) => failures.extend(wrong.into_iter().map(|what| format!("{name}: {what}"))),
            Err(error) => failures.push(format!("{name}: {error}")),
        }
    }
    assert!(failures.is_empty(), "{} differ from transformers:\n{}", failures.len(), failures.join("\n"));
}

#[test]
fn every_fixture_gives_transformers_tokens_and_logits() {
    every_fixture(|folder, expected| single(&load(folder, &in_f32())?, &expected.single));
}

#[test]
fn every_fixture_gives_the_same_on_several_threads() {
    // One thread starts none and waits for none. A few tokens: on a busy machine threads wait for each other long.
    const TOKENS: usize = 4;
    every_fixture(|folder, expected| {
        let model = load(folder, &LoadOptions { threads: Some(2), ..in_f32() })?;
        let rows = &expected.single;
        let prompts: Vec<&[u32]> = rows.iter().take(3).map(|row| row.prompt.as_slice()).collect();
        let (ids, _) = greedy(&model, &prompts, TOKENS)?;
        let wrong = ids.iter().zip(rows).filter(|(ids, row)| ids[..] != row.ids[..TOKENS]);
        Ok(wrong.map(|(ids, row)| format!("{ids:?}, not {:?}", &row.ids[..TOKENS])).collect())
    });
}

/// Root mean square of the logits' differences after each prompt, as a share of the logits', the worst of all.
fn off(folder: &Path, expected: &Expected, quantization: Quantization) -> Result<f64, String> {
    let few = load(folder, &LoadOptions { quantization, ..in_f32() })?;
    let full = load(folder, &in_f32())?;
    let mut worst: f64 = 0.0;
    for row in &expected.single {
        let ((_, given), (_, wanted)) = (greedy(&few, &[&row.prompt], 3)?, greedy(&full, &[&row.prompt], 3)?);
        let squares = |values: &mut dyn Iterator<Item = f64>| values.map(|value| value * value).sum::<f64>();
        let pairs = || given[0].iter().zip(&wanted[0]).map(|(one, two)| f64::from(*one) - f64::from(*two));
        let of = squares(&mut wanted[0].iter().map(|value| f64::from(*value)));
        worst = worst.max((squares(&mut pairs()) / of).sqrt());
    }
    Ok(worst)
}

#[test]
fn fewer_bits_stay_near_in_every_fixture_and_differ() {
    for (quantization, most) in [(Quantization::Int8, 0.1), (Quantization::Int4, 0.9)] {
        every_fixture(|folder, expected| {
            let off = off(folder, expected, quantization)?;
            let near = off > 0.0 && off < most;
            Ok(if near { Vec::new() } else { vec![format!("{quantization:?} is {off} off")] })
        });
    }
}

#[test]
fn every_fixture_gives_the_same_in_a_left_padded_batch() {
    every_fixture(|folder, expected| batched(&load(folder, &in_f32())?, expected));
}

#[test]
fn every_fixture_gives_the_same_over_two_devices() {
    every_fixture(|folder, expected| {
        let options = LoadOptions { processors: 2, device_map: DeviceMap::Balanced, ..in_f32() };
        let model = load(folder, &options)?;
        if model.facts().layer_devices.len() < 2 {
            return Ok(vec![format!("not spread: {:?}", model.facts().layer_devices)]);
        }
        let mut wrong = single(&model, &expected.single)?;
        wrong.extend(batched(&model, expected)?);
        Ok(wrong)
    });
}

#[test]
fn rows_that_leave_a_batch_change_nothing_for_the_others() {
    every_fixture(|folder, expected| {
        let model = load(folder, &in_f32())?;
        let fail = |error: ai_energy_engine::EngineError| error.to_string();
        let members = &expected.batch.prompts;
        let rows: Vec<&Row> = members.iter().map(|&place| &expected.single[place]).collect();
        let prompts: Vec<&[u32]> = rows.iter().map(|row| row.prompt.as_slice()).collect();
        let longest = prompts.iter().map(|prompt| prompt.len()).max().unwrap();
        let mut batch = model.begin(&prompts, longest + 64).map_err(fail)?;
        let mut stay: Vec<usize> = (0..rows.len()).collect();
        for n in 0..64 {
            if n == 20 {
                // The longest prompt leaves, the others change places.
                stay = vec![1, 0];
                batch.keep(&stay).map_err(fail)?;
            }
            let next = batch.logits().argmax().map_err(fail)?;
            let wanted: Vec<u32> = stay.iter().map(|&row| rows[row].ids[n]).collect();
            if next != wanted {
                return Ok(vec![format!("token {n} is {next:?}, not {wanted:?}")]);
            }
            if n < 63 {
                batch.step(&next).map_err(fail)?;
            }
        }
        Ok(Vec::new())
    });
}

/// A real model against the expectations of that name, where the variable says where it lies.
fn real(variable: &str, expected: &str) {
    let Ok(model) = std::env::var(variable) else {
        println!("skipped: {variable} names no model");
        return;
    };
    #[derive(Deserialize)]
    struct Real {
        single: Vec<Row>,
    }
    let expected: Real = read(&folder("real").join(expected));
    let model = load(Path::new(&model), &LoadOptions { threads: None, ..in_f32() }).unwrap();
    let wrong = single(&model, &expected.single).unwrap();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    let prompts: Vec<&[u32]> = expected.single.iter().map(|row| row.prompt.as_slice()).collect();
    let (ids, _) = greedy(&model, &prompts, 64).unwrap();
    for (row, ids) in expected.single.iter().zip(ids) {
        assert_eq!(row.ids, ids, "in a batch, the prompt of {}", row.prompt.len());
    }
}

#[test]
fn the_real_model_gives_transformers_tokens() {
    real("AI_ENERGY_TEST_MODEL", "smollm2-135m-instruct.json");
}

#[test]
fn the_real_gguf_file_gives_transformers_tokens() {
    real("AI_ENERGY_TEST_GGUF", "smollm2-135m-instruct-q4_1.json");
}
