//! A backend whose words hold no secret: what a server or an engine says of an error may quote the key it was given.
//!
//! Refuses to touch anything but messages.

use std::sync::Arc;

use ai_energy_core::backend::{BackendInfo, Check, Request, Tally};
use ai_energy_core::client::Traffic;
use ai_energy_core::record::{Generation, ServerCounters};
use ai_energy_core::server::ServerSample;
use ai_energy_core::{Backend, Clock, Fault};
use async_trait::async_trait;

use crate::redact;

/// Hides secrets in what a backend says.
pub struct Discreet(pub Arc<dyn Backend>);

/// A fault without secrets.
pub fn fault(fault: Fault) -> Fault {
    Fault {
        object: redact::text(&fault.object),
        cause: redact::text(&fault.cause),
        remedy: redact::text(&fault.remedy),
        ..fault
    }
}

#[async_trait]
impl Backend for Discreet {
    fn info(&self) -> BackendInfo {
        let info = self.0.info();
        BackendInfo { endpoint: info.endpoint.as_deref().map(redact::text), ..info }
    }

    async fn validate(&self) -> Result<Vec<Check>, Fault> {
        let mut checks = self.0.validate().await.map_err(fault)?;
        checks.iter_mut().for_each(|check| check.detail = redact::text(&check.detail));
        Ok(checks)
    }

    async fn generate(&self, request: &Request, clock: &Clock, tally: &Tally) -> Generation {
        let mut generation = self.0.generate(request, clock, tally).await;
        if let Some(error) = &mut generation.error {
            error.message = redact::text(&error.message);
        }
        generation
    }

    async fn count_tokens(&self, text: &str) -> Option<u32> {
        self.0.count_tokens(text).await
    }

    async fn token_counters(&self) -> Option<ServerCounters> {
        self.0.token_counters().await
    }

    fn traffic(&self) -> Option<Traffic> {
        self.0.traffic()
    }

    async fn server_sample(&self, clock: &Clock) -> Option<ServerSample> {
        self.0.server_sample(clock).await
    }

    async fn close(&self) {
        self.0.close().await;
    }
}
