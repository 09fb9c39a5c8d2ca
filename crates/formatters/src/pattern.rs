//! Patterns over model names: a word to find, a glob for the whole name, or a regular expression.
//!
//! Refuses to know what a match is for.

use regex_lite::{Regex, RegexBuilder, escape};

/// Characters that no model name holds: with one of them a pattern is a regular expression.
const REGEX_MARKS: &[char] = &['\\', '^', '$', '(', ')', '[', ']', '{', '}', '|', '+', '?'];

/// A compiled pattern. Letters match in either case.
#[derive(Debug, Clone)]
pub(crate) enum Pattern {
    /// Stands anywhere in the name; kept in lower case.
    Word(String),
    /// A glob (anchored) or a regular expression (not anchored).
    Regex(Regex),
}

impl Pattern {
    /// Compiles `text`; the error is one line that says what is wrong with it.
    pub(crate) fn new(text: &str) -> Result<Self, String> {
        let text = text.trim();
        if text.is_empty() {
            return Err("is empty and would match every model".to_owned());
        }
        if text.contains(REGEX_MARKS) || text.contains(".*") {
            Self::regex(text)
        } else if text.contains('*') {
            let parts: Vec<String> = text.split('*').map(escape).collect();
            Self::regex(&format!("^{}$", parts.join(".*")))
        } else {
            Ok(Self::Word(text.to_lowercase()))
        }
    }

    fn regex(text: &str) -> Result<Self, String> {
        let compiled = RegexBuilder::new(text).case_insensitive(true).build();
        compiled.map(Self::Regex).map_err(|error| format!("is no regular expression: {error}"))
    }

    /// `true` where the pattern fits `name`, which is in lower case.
    pub(crate) fn fits(&self, name: &str) -> bool {
        match self {
            Self::Word(word) => name.contains(word.as_str()),
            Self::Regex(regex) => regex.is_match(name),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fits(pattern: &str, name: &str) -> bool {
        Pattern::new(pattern).unwrap().fits(name)
    }

    #[test]
    fn a_word_fits_anywhere_and_its_dot_is_a_dot() {
        assert!(fits("Qwen2.5", "qwen/qwen2.5-7b"));
        assert!(!fits("qwen2.5", "qwen/qwen2x5-7b"));
    }

    #[test]
    fn a_glob_fits_the_whole_name() {
        assert!(fits("org/*-think", "org/m-7b-think"));
        assert!(!fits("org/*-think", "org/m-7b-think-gguf"));
        assert!(!fits("*.gguf", "a-gguf"));
    }

    #[test]
    fn a_regular_expression_fits_any_part() {
        assert!(fits("deepseek.*parameter", "org/deepseek-r1-parameter-8b"));
        assert!(!fits("deepseek.*parameter", "org/deepseek-r1"));
        assert!(fits("(^|[^a-z])phi", "microsoft/phi-4"));
        assert!(!fits("(^|[^a-z])phi", "org/dolphin-7b"));
    }

    #[test]
    fn what_cannot_be_compiled_or_matches_everything_is_refused() {
        assert!(Pattern::new("gpt-(oss").unwrap_err().contains("regular expression"));
        assert!(Pattern::new("  ").unwrap_err().contains("empty"));
    }
}
