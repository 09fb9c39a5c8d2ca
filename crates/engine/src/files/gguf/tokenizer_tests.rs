//! Tests of the GGUF tokenizer.
