//! Several servers of one model as one backend: requests go to them in turn.
//!
//! Which server a request goes to follows from its number alone, so that two runs ask the same server the same. Refuses to
//! balance by load: that is a router's work, and would hide an uneven fleet.

use async_trait::async_trait;
use serde_json::Value;
use std::sync::Arc;

use crate::backend::{Backend, BackendInfo, Check, Request, Tally};
use crate::client::Traffic;
use crate::clock::Clock;
use crate::fault::Fault;
use crate::record::{Generation, ServerCounters};
use crate::server::ServerSample;

/// Backends that take turns.
pub struct Several {
    backends: Vec<Arc<dyn Backend>>,
}

impl Several {
    /// One backend of several; `None` of none.
    pub fn new(backends: Vec<Arc<dyn Backend>>) -> Option<Self> {
        (!backends.is_empty()).then_some(Self { backends })
    }

    /// The place of the server for a request: its number, which ends its name, in turns.
    fn turn(&self, request: &Request) -> usize {
        let digits: String = request.id.chars().rev().take_while(char::is_ascii_digit).collect();
        let number: String = digits.chars().rev().collect();
        number.parse::<usize>().unwrap_or(0) % self.backends.len()
    }
}

#[async_trait]
impl Backend for Several {
    /// The first one's, with every endpoint; synthetic where any is.
    fn info(&self) -> BackendInfo {
        let all: Vec<BackendInfo> = self.backends.iter().map(|backend| backend.info()).collect();
        let endpoints: Vec<String> = all.iter().filter_map(|info| info.endpoint.clone()).collect();
        let synthetic = all.iter().any(|info| info.synthetic);
        let mut info = self.backends[0].info();
        info.details.insert("endpoints".to_owned(), Value::from(endpoints));
        BackendInfo { synthetic, ..info }
    }

    async fn validate(&self) -> Result<Vec<Check>, Fault> {
        let mut checks = Vec::new();
        for backend in &self.backends {
            checks.extend(backend.validate().await?);
        }
        Ok(checks)
    }

    async fn generate(&self, request: &Request, clock: &Clock, tally: &Tally) -> Generation {
        let turn = self.turn(request);
        let generation = self.backends[turn].generate(request, clock, tally).await;
        Generation { server: u32::try_from(turn).ok(), ..generation }
    }

    async fn count_tokens(&self, text: &str) -> Option<u32> {
        self.backends[0].count_tokens(text).await
    }

    /// The sum over all; `None` where any does not say.
    async fn token_counters(&self) -> Option<ServerCounters> {
        let mut sum = ServerCounters { prompt_tokens: 0, generation_tokens: 0 };
        for backend in &self.backends {
            let counters = backend.token_counters().await?;
            sum.prompt_tokens += counters.prompt_tokens;
            sum.generation_tokens += counters.generation_tokens;
        }
        Some(sum)
    }

    /// The sum over all, the largest share of cache; `None` where any does not say.
    async fn server_sample(&self, clock: &Clock) -> Option<ServerSample> {
        let mut sum: Option<ServerSample> = None;
        for backend in &self.backends {
            let one = backend.server_sample(clock).await?;
            sum = Some(sum.map_or(one, |sum| added(sum, one)));
        }
        sum
    }

    /// The sum over all; `None` where any does not say. Their peaks need not fall together, so that the sum is a bound.
    fn traffic(&self) -> Option<Traffic> {
        let mut all = self.backends.iter().map(|backend| backend.traffic());
        let first = all.next()??;
        all.try_fold(first, |sum, one| Some(sum.plus(one?)))
    }

    async fn close(&self) {
        for backend in &self.backends {
            backend.close().await;
        }
    }
}

fn added(a: ServerSample, b: ServerSample) -> ServerSample {
    let plus = |a: Option<f64>, b: Option<f64>| Some(a? + b?);
    ServerSample {
        at: b.at,
        running: plus(a.running, b.running),
        waiting: plus(a.waiting, b.waiting),
        cache_use: a.cache_use.zip(b.cache_use).map(|(a, b)| a.max(b)),
        preemptions: plus(a.preemptions, b.preemptions),
        prefix_queries: plus(a.prefix_queries, b.prefix_queries),
        prefix_hits: plus(a.prefix_hits, b.prefix_hits),
        ttft_seconds_sum: plus(a.ttft_seconds_sum, b.ttft_seconds_sum),
        ttft_count: plus(a.ttft_count, b.ttft_count),
    }
}
