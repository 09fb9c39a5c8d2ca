//! The engine without its program: loads a model from a folder, a GGUF file or the hub's cache and continues a text.
//!
//! ```text
//! LIBTORCH=… cargo run --release -p ai-energy-engine --features torch --example generate -- MODEL "Once upon a time"
//! ```
#![allow(clippy::print_stdout, reason = "an example shows what it does")]

use std::time::Instant;

use ai_energy_engine::files::{self, FilesOptions};
use ai_energy_engine::model::Spec;
use ai_energy_engine::torch::{self, LoadOptions, Model};

const NEW_TOKENS: usize = 32;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let (Some(model), Some(prompt)) = (arguments.next(), arguments.next()) else {
        return Err("a model and a text are needed: generate MODEL TEXT".into());
    };
    // Finds GPUs, and must come before anything else that computes.
    torch::prepare();
    let files = files::open(&model, &FilesOptions::default())?;
    let spec = Spec::from_config(&files.config)?;
    let model = Model::load(&spec, files.weights.as_ref(), &LoadOptions::default(), &mut |_, _| {})?;
    let facts = model.facts();
    println!("{}, {} parameters, {} on {}", facts.family, facts.parameters, facts.dtype, facts.device);
    let tokens = files.text.encode(&prompt, true)?;
    let mut batch = model.begin(&[tokens.as_slice()], tokens.len() + NEW_TOKENS)?;
    let (start, mut given) = (Instant::now(), Vec::new());
    for _ in 0..NEW_TOKENS {
        let next = batch.logits().argmax()?;
        given.extend_from_slice(&next);
        batch.step(&next)?;
    }
    let seconds = start.elapsed().as_secs_f64();
    println!("{prompt}{}", files.text.decode(&given));
    println!("{:.1} tokens a second", given.len() as f64 / seconds);
    Ok(())
}
