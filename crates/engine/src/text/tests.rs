//! Tests of the tokenizer, templates and detokenizer.
