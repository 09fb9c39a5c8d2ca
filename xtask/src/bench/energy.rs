//! `cargo xtask bench energy`: what reading the sensors costs, and how many stated intervals hold the truth.
//!
//! The coverage is taken on seeds that the formulas were not made with, unless others are asked for. Refuses to know
//! what a stressor is: the metrics crate's ignored tests do the work and print their table.

use anyhow::{Context, Result, bail};
use std::path::Path;

use crate::shell_with;

/// The first seed of every stressor where none is stated. The formulas were made with those from 0 on.
const SEED: u64 = 202_611_230_000;

/// Cases of each stressor.
const CASES: u64 = 5000;

/// What to draw.
#[derive(Debug, PartialEq, Eq)]
struct Asked {
    seed: u64,
    cases: u64,
}

impl Asked {
    fn parse(arguments: &[String]) -> Result<Self> {
        let mut asked = Self { seed: SEED, cases: CASES };
        let mut rest = arguments.iter();
        while let Some(option) = rest.next() {
            let mut number = || -> Result<u64> {
                let text = rest.next().with_context(|| format!("`{option}` needs a number"))?;
                text.parse().with_context(|| format!("`{option}` needs a whole number, not `{text}`"))
            };
            match option.as_str() {
                "--seed" => asked.seed = number()?,
                "--cases" => asked.cases = number()?,
                other => bail!("there is no option `{other}`: known are --seed N and --cases N"),
            }
        }
        if asked.cases == 0 {
            bail!("`--cases` is 0: of no case nothing can be told");
        }
        Ok(asked)
    }
}

/// Prints both.
///
/// # Errors
/// An option is wrong, a build fails, or a stressor's coverage is outside 92 to 98 %.
pub(super) fn run(root: &Path, arguments: &[String]) -> Result<()> {
    let Asked { seed, cases } = Asked::parse(arguments)?;
    let (seed, cases) = (seed.to_string(), cases.to_string());
    let environment = [
        ("AI_ENERGY_COVERAGE_SEED", Some(seed.as_str())),
        ("AI_ENERGY_COVERAGE_CASES", Some(cases.as_str())),
    ];
    for test in ["cost", "coverage"] {
        let cargo = ["test", "--release", "--quiet", "--package", "ai-energy-metrics", "--test", test];
        shell_with(root, "cargo", &[&cargo[..], &["--", "--ignored", "--nocapture"]].concat(), &environment)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(words: &[&str]) -> Result<Asked, String> {
        let words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
        Asked::parse(&words).map_err(|error| format!("{error:#}"))
    }

    #[test]
    fn seed_and_cases_are_asked_for_or_stand() {
        assert_eq!(parsed(&[]), Ok(Asked { seed: SEED, cases: CASES }));
        assert_eq!(parsed(&["--cases", "70", "--seed", "9"]), Ok(Asked { seed: 9, cases: 70 }));
        for (words, said) in [
            (&["--seed"][..], "`--seed` needs a number"),
            (&["--seed", "x"], "not `x`"),
            (&["--cases", "0"], "of no case"),
            (&["--sed", "1"], "no option `--sed`"),
        ] {
            let error = parsed(words).unwrap_err();
            assert!(error.contains(said), "{words:?}: {error}");
        }
    }
}
