//! A backend that asks a program: each prompt goes to its standard input, and each line that it prints is a token.

use std::process::Stdio;

use ai_energy_core::backend::{Request, Tally};
use ai_energy_core::prompt::PromptContent;
use ai_energy_core::record::{
    Chunk, ErrorClass, Generation, OutputChannel, RequestError, TokenCount, TokenCountSource,
};
use ai_energy_core::{Backend, BackendInfo, Check, CheckOutcome, Clock, Fault, FaultKind};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::process::Command;

/// Runs `program` once for each prompt.
pub struct Program(pub String);

#[async_trait::async_trait]
impl Backend for Program {
    fn info(&self) -> BackendInfo {
        BackendInfo {
            backend: "program".to_owned(),
            model: self.0.clone(),
            endpoint: None,
            device: None,
            server: None,
            synthetic: false,
            details: serde_json::Map::new(),
        }
    }

    async fn validate(&self) -> Result<Vec<Check>, Fault> {
        let started = Command::new(&self.0).stdin(Stdio::null()).stdout(Stdio::null()).status().await;
        started.map_err(|error| {
            Fault::new(FaultKind::Backend, &self.0, error.to_string()).remedy("install it")
        })?;
        Ok(vec![Check { name: self.0.clone(), outcome: CheckOutcome::Ok, detail: "starts".to_owned() }])
    }

    async fn generate(&self, request: &Request, clock: &Clock, tally: &Tally) -> Generation {
        let mut seen = Generation { sent: Some(clock.now()), ..Generation::default() };
        let asked = self.ask(request, &mut seen, clock, tally);
        let (class, message) = tokio::select! {
            asked = asked => match asked {
                Ok(()) => (None, String::new()),
                Err(error) => (Some(ErrorClass::Engine), error.to_string()),
            },
            () = request.stop.cancelled() => (Some(ErrorClass::Cancelled), "the run was stopped".to_owned()),
        };
        seen.error = class.map(|class| RequestError { class, message, status: None });
        seen.end = clock.now();
        seen
    }
}

impl Program {
    async fn ask(
        &self,
        request: &Request,
        seen: &mut Generation,
        clock: &Clock,
        tally: &Tally,
    ) -> std::io::Result<()> {
        let mut command = Command::new(&self.0);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).kill_on_drop(true).spawn()?;
        if let Some(mut input) = child.stdin.take() {
            let PromptContent::Text(prompt) = &request.prompt.content else { return Ok(()) };
            input.write_all(prompt.as_bytes()).await?;
        }
        let Some(output) = child.stdout.take() else { return Ok(()) };
        let (mut lines, mut chunks) = (BufReader::new(output).lines(), Vec::new());
        while lines.next_line().await?.is_some() {
            chunks.push(Chunk { at: clock.now(), channel: OutputChannel::Content, tokens: Some(1) });
            tally.add_tokens(1);
        }
        let first = chunks.first().map(|chunk| chunk.at);
        (seen.first_byte, seen.first_token, seen.first_content) = (first, first, first);
        seen.completion_tokens =
            Some(TokenCount { tokens: chunks.len() as u32, source: TokenCountSource::Chunks });
        seen.chunks = chunks.into();
        child.wait().await.map(drop)
    }
}
