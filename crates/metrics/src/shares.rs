//! What a request and a token have of the run: shares of energy and emissions, and work per second.
//!
//! Shares divide what the whole window took by what succeeded in it. Refuses to divide the whole by a part: where only
//! some requests have a token count, nothing is shared among tokens, since the others' tokens took their part too.

use ai_energy_core::figure::{Figure, Provenance};
use ai_energy_core::record::TokenCountSource;
use ai_energy_core::summary::{Counts, Throughput, Tokens};

/// What energy is shared among.
#[derive(Debug, Clone, PartialEq)]
pub struct Shares {
    successful: usize,
    output: Amount,
    input: Amount,
    all: Amount,
}

/// A number of tokens, or why there is none to divide by; and why it is an assumption, where it is one.
#[derive(Debug, Clone, PartialEq)]
struct Amount {
    tokens: Result<u64, String>,
    doubt: Option<String>,
}

impl Shares {
    /// What there is to share among; `without_prompt` successful requests have no count of prompt tokens.
    pub fn new(counts: &Counts, tokens: &Tokens, without_prompt: usize) -> Self {
        let successful = counts.successful;
        let whole = |sum: Option<u64>, lacking: usize, what: &str| match sum {
            Some(sum) if lacking == 0 => Ok(sum),
            Some(_) => Err(format!("{lacking} of {successful} requests have no {what} token count")),
            None => Err("no request has a token count".to_owned()),
        };
        let output = whole(tokens.completion, tokens.uncounted, "completion");
        let prompt = whole(tokens.prompt, without_prompt, "prompt");
        let all = output.clone().and_then(|output| Ok(output + prompt.clone()?));
        let doubt = tokens
            .completion_sources
            .get(&TokenCountSource::Chunks)
            .map(|count| format!("{count} of {successful} requests count one token a chunk"));
        Self {
            successful,
            output: Amount { tokens: output, doubt: doubt.clone() },
            input: Amount { tokens: prompt, doubt: None },
            all: Amount { tokens: all, doubt },
        }
    }

    /// A figure of the whole window over its successful requests; `unit` is that of the share, for example `J/request`.
    pub fn per_request(&self, whole: &Figure, unit: &str) -> Figure {
        whole.per(self.successful as f64, unit)
    }

    /// A figure of the whole window over the generated tokens.
    pub fn per_output_token(&self, whole: &Figure, unit: &str) -> Figure {
        self.output.share(whole, unit)
    }

    /// A figure of the whole window over the prompt tokens.
    pub fn per_input_token(&self, whole: &Figure, unit: &str) -> Figure {
        self.input.share(whole, unit)
    }

    /// A figure of the whole window over prompt and generated tokens.
    pub fn per_token(&self, whole: &Figure, unit: &str) -> Figure {
        self.all.share(whole, unit)
    }

    /// Generated tokens over energy; the relative interval is the energy's.
    pub fn output_tokens_per_joule(&self, energy: &Figure) -> Figure {
        self.output.per_joule(energy)
    }

    /// Prompt and generated tokens over energy; the relative interval is the energy's.
    pub fn tokens_per_joule(&self, energy: &Figure) -> Figure {
        self.all.per_joule(energy)
    }

    /// Work per second over a window of `duration`.
    pub fn throughput(&self, duration: &Figure) -> Throughput {
        let rate = |amount: Result<u64, String>, unit: &str, source: &str| match (amount, duration.value) {
            (_, None) => Figure::unavailable(unit, "no request was run"),
            (Err(reason), _) => Figure::unavailable(unit, reason),
            (Ok(amount), Some(seconds)) => {
                Figure::new(amount as f64 / seconds, unit, Provenance::Derived, source)
            }
        };
        let tokens = |amount: &Amount| {
            amount.doubted(rate(amount.tokens.clone(), "token/s", "token counts over the load window"))
        };
        let requests = "successful requests over the load window";
        Throughput {
            output_tokens_per_second: tokens(&self.output),
            total_tokens_per_second: tokens(&self.all),
            requests_per_second: rate(Ok(self.successful as u64), "request/s", requests),
        }
    }
}

impl Amount {
    fn share(&self, whole: &Figure, unit: &str) -> Figure {
        match &self.tokens {
            _ if whole.value.is_none() => whole.scaled(1.0, unit),
            Ok(tokens) => self.doubted(whole.per(*tokens as f64, unit)),
            Err(reason) => Figure::unavailable(unit, reason),
        }
    }

    fn per_joule(&self, energy: &Figure) -> Figure {
        let unit = "token/J";
        let Some(joules) = energy.value else {
            return energy.scaled(1.0, unit);
        };
        let tokens = match &self.tokens {
            Ok(tokens) => *tokens as f64,
            Err(reason) => return Figure::unavailable(unit, reason),
        };
        if joules <= 0.0 {
            return Figure::unavailable(unit, "there is nothing to divide by");
        }
        let value = tokens / joules;
        let mut figure =
            Figure::new(value, unit, energy.provenance.weaker(Provenance::Derived), energy.source.clone());
        figure.reason.clone_from(&energy.reason);
        self.doubted(match energy.ci95 {
            Some(ci95) => figure.with_ci95(value * ci95 / joules),
            None => figure,
        })
    }

    /// The figure as an estimate where the count is an assumption.
    fn doubted(&self, mut figure: Figure) -> Figure {
        if let (Some(doubt), Some(_)) = (&self.doubt, figure.value) {
            figure.provenance = figure.provenance.weaker(Provenance::Estimated);
            figure.reason = Some(match figure.reason.take() {
                Some(reason) => format!("{reason}; {doubt}"),
                None => doubt.clone(),
            });
        }
        figure
    }
}
