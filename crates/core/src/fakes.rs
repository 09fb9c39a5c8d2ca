//! Parts that need no machine: a backend with set timing and an energy source with set power.
//!
//! They stand on the shipped path (a config can name them), so every record they touch is marked synthetic.

use async_trait::async_trait;
use serde_json::Map;
use std::time::Duration;

use crate::backend::{Backend, BackendInfo, Check, CheckOutcome, Request, Tally};
use crate::clock::Clock;
use crate::energy::{Channel, ChannelKind, Domain, EnergySource, Instrument, ReadFault};
use crate::fault::Fault;
use crate::figure::Provenance;
use crate::record::{
    Chunk, ErrorClass, FinishReason, Generation, OutputChannel, RequestError, TokenCount, TokenCountSource,
};

/// A backend that sleeps instead of generating.
#[derive(Debug, Clone)]
pub struct FakeBackend {
    /// From the call to the first token.
    pub first_token: Duration,
    /// Between two tokens.
    pub inter_token: Duration,
}

impl Default for FakeBackend {
    fn default() -> Self {
        Self { first_token: Duration::from_millis(20), inter_token: Duration::from_millis(5) }
    }
}

#[async_trait]
impl Backend for FakeBackend {
    fn info(&self) -> BackendInfo {
        BackendInfo {
            backend: "fake".to_owned(),
            model: "fake".to_owned(),
            endpoint: None,
            device: None,
            server: Some("fake backend".to_owned()),
            synthetic: true,
            details: Map::new(),
        }
    }

    async fn validate(&self) -> Result<Vec<Check>, Fault> {
        Ok(vec![Check {
            name: "fake backend".to_owned(),
            outcome: CheckOutcome::Warning,
            detail: "sleeps instead of generating".to_owned(),
        }])
    }

    async fn generate(&self, request: &Request, clock: &Clock, tally: &Tally) -> Generation {
        let sent = clock.now();
        let tokens =
            request.prompt.target_output_tokens.or(request.params.max_new_tokens).unwrap_or(16).max(1);
        let mut chunks = Vec::with_capacity(tokens as usize);
        for position in 0..tokens {
            let pause = tokio::time::sleep(if position == 0 { self.first_token } else { self.inter_token });
            tokio::select! {
                () = pause => {}
                () = request.stop.cancelled() => break,
            }
            chunks.push(Chunk { at: clock.now(), channel: OutputChannel::Content, tokens: Some(1) });
            tally.add_tokens(1);
        }
        let first = chunks.first().map(|chunk: &Chunk| chunk.at);
        let generated = chunks.len() as u32;
        let cancelled = (generated < tokens).then(|| RequestError {
            class: ErrorClass::Cancelled,
            message: "the run was stopped".to_owned(),
            status: None,
        });
        Generation {
            sent: Some(sent),
            first_byte: first,
            first_token: first,
            first_content: first,
            end: clock.now(),
            chunks: chunks.into(),
            prompt_tokens: Some(TokenCount { tokens: 8, source: TokenCountSource::Server }),
            completion_tokens: Some(TokenCount { tokens: generated, source: TokenCountSource::Server }),
            finish_reason: cancelled.is_none().then_some(FinishReason::Length),
            error: cancelled,
            ..Generation::default()
        }
    }
}

/// A source whose power is set and whose provenance is `estimated`, since no instrument is behind it.
#[derive(Debug)]
pub struct FakeSource {
    channels: [Channel; 1],
    microwatts: u64,
}

impl FakeSource {
    /// A source of `watts` in `domain`.
    pub fn new(domain: Domain, watts: f64) -> Self {
        let channel = Channel {
            name: format!("fake:{}", domain.word()),
            domain,
            device: "fake device".to_owned(),
            device_id: format!("fake-{}", domain.word()),
            kind: ChannelKind::Power { averaging_ms: None },
            provenance: Provenance::Estimated,
            source: format!("fake source of {watts} W"),
            gain_ci95: Some(0.0),
            counts: true,
            instrument: Instrument::default(),
        };
        Self { channels: [channel], microwatts: (watts.max(0.0) * 1e6) as u64 }
    }
}

impl EnergySource for FakeSource {
    fn channels(&self) -> &[Channel] {
        &self.channels
    }

    fn is_synthetic(&self) -> bool {
        true
    }

    fn read(&mut self, out: &mut dyn FnMut(usize, u64)) -> Result<(), ReadFault> {
        out(0, self.microwatts);
        Ok(())
    }
}
