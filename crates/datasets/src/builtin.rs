//! The prompts that ship with the instrument, so that a first run needs neither a file nor a network.

use ai_energy_core::{Dataset, Fault, FaultKind, LoadProgress, LoadedPrompts};
use async_trait::async_trait;
use serde::Deserialize;

use crate::rows::{self, Origin, Rows};

const PROMPTS: &str = include_str!("../data/builtin_prompts.jsonl");

/// One line of the file.
#[derive(Debug, Deserialize)]
struct Line {
    #[cfg_attr(not(test), allow(dead_code))]
    topic: String,
    text: String,
}

fn lines() -> impl Iterator<Item = Result<Line, serde_json::Error>> {
    PROMPTS.lines().map(serde_json::from_str)
}

/// The prompts written for this project, varied in length and topic.
#[derive(Debug)]
pub(crate) struct BuiltinDataset {
    pub(crate) shuffle_seed: Option<u64>,
}

#[async_trait]
impl Dataset for BuiltinDataset {
    async fn load(&self, limit: usize, _progress: &dyn LoadProgress) -> Result<LoadedPrompts, Fault> {
        let mut rows = Rows::default();
        for line in lines() {
            let line =
                line.map_err(|error| Fault::new(FaultKind::Internal, "dataset builtin", error.to_string()))?;
            rows.push_text(Some(line.text));
        }
        rows.total = Some(rows.cells.len());
        let origin = Origin { name: "builtin".to_owned(), kind: "builtin", revision: None };
        rows::assemble(origin, rows, limit, self.shuffle_seed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn there_are_many_prompts_all_different_and_varied() {
        let lines: Vec<Line> = lines().collect::<Result<_, _>>().unwrap();
        assert!(lines.len() >= 100, "{}", lines.len());
        let texts: BTreeSet<&str> = lines.iter().map(|line| line.text.trim()).collect();
        assert_eq!(texts.len(), lines.len(), "a prompt is there twice");
        assert!(!texts.contains(""));
        let topics: BTreeSet<&str> = lines.iter().map(|line| line.topic.as_str()).collect();
        assert!(topics.len() >= 8, "{topics:?}");
        let words: Vec<usize> = texts.iter().map(|text| text.split_whitespace().count()).collect();
        let (shortest, longest) = (words.iter().min().unwrap(), words.iter().max().unwrap());
        assert!(*shortest < 15 && *longest > 100, "lengths from {shortest} to {longest} words");
    }
}
