//! How fast the engine generates beside transformers in Python: the same weights, number format, threads and prompt, turn by
//! turn in one run; and how near it comes to what the memory gives, since a decoded token reads every weight once.

mod contestants;
mod pair;

use anyhow::{Context, Result, bail};
use std::path::{Path, PathBuf};
use std::process::Command;

use self::contestants::{Engine, Rival};
use self::pair::Took;
use super::{Scratch, quantile};
use crate::{say, shell_with, target};

const BANDWIDTH: &str = include_str!("bandwidth.c");

/// Bytes of the buffer that is read to measure the memory: far above any cache.
const BUFFER: u64 = 1 << 30;

/// Turns of each; medians are printed.
const ROUNDS: usize = 5;

/// How the benchmark is called.
const USAGE: &str = "\
cargo xtask bench engine [--dtype float32|bfloat16] [--context 128|2000] [--threads N] [--rounds N]
with AI_ENERGY_TEST_MODEL, a model's folder, and AI_ENERGY_PYTHON, a Python that has transformers";

/// What both are given.
pub(super) struct Setting {
    model: PathBuf,
    dtype: &'static str,
    threads: usize,
}

/// One length: tokens of context in the middle of the decoded stretch, words of the prompt, tokens to generate.
struct Length {
    context: u32,
    new_tokens: u32,
}

const LENGTHS: [Length; 2] =
    [Length { context: 128, new_tokens: 128 }, Length { context: 2000, new_tokens: 64 }];
const DTYPES: [&str; 2] = ["float32", "bfloat16"];

/// What to measure.
struct Asked {
    dtypes: Vec<&'static str>,
    contexts: Vec<u32>,
    threads: usize,
    rounds: usize,
}

/// Prints tokens a second and time to first token of both, their ratio, and the share of the memory's limit.
///
/// # Errors
/// There is no model or no transformers to compare with, or one of the two fails.
pub(super) fn run(root: &Path, arguments: &[String]) -> Result<()> {
    let asked = read(arguments)?;
    let variable = |name: &str| {
        let value = std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
        value.with_context(|| format!("{name} is not set: {USAGE}"))
    };
    let (model, python) = (variable("AI_ENERGY_TEST_MODEL")?, variable("AI_ENERGY_PYTHON")?);
    let libtorch = crate::libtorch::ensure()?;
    let build = ["build", "--release", "--quiet", "--package", "ai-energy-engine", "--features", "torch"];
    shell_with(root, "cargo", &build, &libtorch.environment()?)?;
    let engine = target(root).join("release/ai-energy-torch");
    let bandwidth = bandwidth(asked.threads)?;
    say(&format!(
        "memory: {:.1} GB/s read by {} threads over {} MiB, best of five",
        bandwidth / 1e9,
        asked.threads,
        BUFFER >> 20
    ));
    for dtype in &asked.dtypes {
        let setting = Setting { model: model.clone(), dtype, threads: asked.threads };
        compare(&engine, &python, &setting, &asked, bandwidth)?;
    }
    Ok(())
}

fn read(arguments: &[String]) -> Result<Asked> {
    let mut asked = Asked {
        dtypes: DTYPES.to_vec(),
        contexts: LENGTHS.iter().map(|length| length.context).collect(),
        threads: std::thread::available_parallelism().map_or(1, usize::from),
        rounds: ROUNDS,
    };
    let mut rest = arguments.iter();
    while let Some(name) = rest.next() {
        let value = rest.next().with_context(|| format!("`{name}` has no value: {USAGE}"))?;
        let number =
            || value.parse::<usize>().ok().filter(|number| *number > 0).context("is no number above 0");
        match name.as_str() {
            "--dtype" => {
                let known = DTYPES.iter().find(|dtype| *dtype == value);
                asked.dtypes = vec![*known.with_context(|| format!("there is no {value} here: {USAGE}"))?];
            }
            "--context" => {
                let known = LENGTHS.iter().find(|length| length.context.to_string() == *value);
                asked.contexts =
                    vec![known.with_context(|| format!("{value} is not measured: {USAGE}"))?.context];
            }
            "--threads" => asked.threads = number().with_context(|| format!("--threads {value}"))?,
            "--rounds" => asked.rounds = number().with_context(|| format!("--rounds {value}"))?,
            other => bail!("unknown argument `{other}`: {USAGE}"),
        }
    }
    Ok(asked)
}

/// Both, turn by turn, at each length.
fn compare(engine: &Path, python: &Path, setting: &Setting, asked: &Asked, bandwidth: f64) -> Result<()> {
    let mut ours = Engine::load(engine, setting)?;
    let mut theirs = Rival::load(python, setting)?;
    say(&format!(
        "{}, {} threads: {} ({}) beside {}",
        setting.dtype, setting.threads, ours.greeting, ours.kernels, theirs.versions
    ));
    say("  prompt  decode tok/s                      to first token                     of the   same");
    say("  tokens  engine transformers  ratio       engine  transformers      ratio    memory   text");
    for length in LENGTHS.iter().filter(|length| asked.contexts.contains(&length.context)) {
        let prompt = prompt(length.context - length.new_tokens / 2);
        let (mut our_turns, mut their_turns) = (Vec::new(), Vec::new());
        // The first turn of each warms up and is not counted.
        for round in 0..=asked.rounds {
            let (our, their) =
                (ours.generate(&prompt, length.new_tokens)?, theirs.generate(&prompt, length.new_tokens)?);
            if round > 0 {
                our_turns.push(our);
                their_turns.push(their);
            }
        }
        say(&row(&our_turns, &their_turns, ours.bytes_per_token / bandwidth));
    }
    Ok(())
}

/// Medians and their ratios; `limit` is the seconds that reading a token's weights takes.
fn row(ours: &[Took], theirs: &[Took], limit: f64) -> String {
    let median = |turns: &[Took], value: fn(&Took) -> f64| {
        quantile(&mut turns.iter().map(value).collect::<Vec<_>>(), 0.5)
    };
    let (our_rate, their_rate) =
        (median(ours, |took| took.tokens_per_second), median(theirs, |took| took.tokens_per_second));
    let (our_first, their_first) =
        (median(ours, |took| took.first_seconds), median(theirs, |took| took.first_seconds));
    let same = ours.iter().zip(theirs).all(|(our, their)| our.text == their.text);
    let tokens = ours.first().map_or(0, |took| took.prompt_tokens);
    let theirs_too = theirs.first().map_or(0, |took| took.prompt_tokens);
    let tokens = if tokens == theirs_too { tokens.to_string() } else { format!("{tokens}≠{theirs_too}") };
    format!(
        "  {tokens:>6}  {our_rate:>6.1} {their_rate:>12.1} {:>6.2}   {:>8.1} ms {:>10.1} ms {:>6.2}    {:>5.0} %   {}",
        our_rate / their_rate,
        our_first * 1e3,
        their_first * 1e3,
        their_first / our_first,
        our_rate * limit * 100.0,
        if same { "yes" } else { "no" }
    )
}

/// A text of about so many tokens.
fn prompt(tokens: u32) -> String {
    const SENTENCE: &str = "The quick brown fox jumps over the lazy dog.";
    const TOKENS: u32 = 10;
    let count = (tokens / TOKENS).max(1) as usize;
    vec![SENTENCE; count].join(" ")
}

/// Bytes a second that `threads` read from memory, by a program of thirty lines compiled on the spot: this one may be
/// built without optimisation.
fn bandwidth(threads: usize) -> Result<f64> {
    let scratch = Scratch::new("bandwidth")?;
    let (source, program) = (scratch.0.join("bandwidth.c"), scratch.0.join("bandwidth"));
    std::fs::write(&source, BANDWIDTH)?;
    let compiled = Command::new("cc")
        .args(["-O3", "-march=native", "-pthread", "-o"])
        .arg(&program)
        .arg(&source)
        .status();
    if !compiled.is_ok_and(|status| status.success()) {
        bail!("`cc` cannot compile {}", source.display());
    }
    let output = Command::new(&program).args([threads.to_string(), BUFFER.to_string()]).output()?;
    let printed = String::from_utf8_lossy(&output.stdout);
    let rate = printed.split(' ').next().and_then(|rate| rate.parse().ok());
    rate.with_context(|| format!("the memory could not be measured: {}", output.status))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn took(rate: f64, first: f64, text: &str) -> Took {
        Took { prompt_tokens: 7, first_seconds: first, tokens_per_second: rate, text: text.to_owned() }
    }

    #[test]
    fn a_row_has_medians_ratios_and_the_share_of_the_limit() {
        let ours = [took(50.0, 0.1, "a"), took(10.0, 9.0, "a"), took(60.0, 0.05, "a")];
        let theirs = [took(25.0, 0.2, "a"), took(20.0, 0.2, "a"), took(30.0, 0.3, "a")];
        let said = row(&ours, &theirs, 0.015);
        let words: Vec<&str> = said.split_whitespace().collect();
        assert_eq!(
            words,
            ["7", "50.0", "25.0", "2.00", "100.0", "ms", "200.0", "ms", "2.00", "75", "%", "yes"]
        );
        let other = [took(25.0, 0.2, "b"), took(20.0, 0.2, "a"), took(30.0, 0.3, "a")];
        assert!(row(&ours, &other, 0.015).ends_with("no"));
    }

    #[test]
    fn arguments_choose_and_wrong_ones_are_named() {
        let words = |text: &str| text.split(' ').map(str::to_owned).collect::<Vec<_>>();
        let asked = read(&words("--dtype bfloat16 --context 2000 --threads 3")).unwrap();
        assert_eq!((asked.dtypes, asked.contexts, asked.threads), (vec!["bfloat16"], vec![2000], 3));
        assert_eq!(read(&[]).unwrap().rounds, ROUNDS);
        for wrong in ["--dtype float8", "--context 7", "--threads 0", "--fast yes", "--dtype"] {
            assert!(read(&words(wrong)).is_err(), "{wrong}");
        }
    }

    #[cfg(unix)]
    #[test]
    fn the_memory_is_measured() {
        let rate = bandwidth(1).unwrap();
        assert!(rate > 1e8, "{rate} bytes a second is no memory");
    }
}
