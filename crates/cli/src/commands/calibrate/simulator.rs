//! The simulator as a process of its own, on other processors than the client where there are some.
//!
//! Refuses to know what is measured with it.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, ChildStderr, Command, Stdio};

use ai_energy_core::{Fault, FaultKind};
use ai_energy_simulator::TruthReport;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::cores::Cores;

/// Lines of its standard error within which it says where it is.
const LINES: usize = 20;

/// A running simulator; ends with the value.
pub(super) struct Server {
    process: Child,
    /// Held open: what it says later has somewhere to go.
    _said: BufReader<ChildStderr>,
    /// `host:port`.
    pub(super) address: String,
}

impl Server {
    /// Starts `program simulate` on a free port of this machine alone.
    ///
    /// # Errors
    /// The program cannot be started or does not say where it listens.
    pub(super) fn start(program: &Path, arguments: &[String], cores: &Cores) -> Result<Self, Fault> {
        let mut command = Command::new(program);
        command.args(["simulate", "--host", "127.0.0.1", "--port", "0"]).args(arguments);
        command.env_remove("RUST_LOG").stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        let started = cores.for_server(|| command.spawn());
        let mut process = started.map_err(|error| fault(format!("cannot be started: {error}")))?;
        let said = process.stderr.take().ok_or_else(|| fault("has no standard error".to_owned()))?;
        let mut said = BufReader::new(said);
        match address(&mut said) {
            Ok(address) => Ok(Self { process, _said: said, address }),
            Err(lines) => {
                // It ended or will: nothing else can be said of it.
                let _ = process.kill();
                let _ = process.wait();
                Err(fault(format!("did not say where it listens: {}", lines.trim())))
            }
        }
    }

    /// What really happened to each request.
    ///
    /// # Errors
    /// It does not answer, or not with the truth.
    pub(super) async fn truth(&self) -> Result<TruthReport, Fault> {
        let broken = |error: std::io::Error| fault(format!("gave no truth: {error}"));
        let mut stream = tokio::net::TcpStream::connect(&self.address).await.map_err(broken)?;
        let request = format!("GET /truth HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\r\n", self.address);
        stream.write_all(request.as_bytes()).await.map_err(broken)?;
        let mut response = Vec::new();
        stream.read_to_end(&mut response).await.map_err(broken)?;
        let body = response.windows(4).position(|end| end == b"\r\n\r\n").map(|end| &response[end + 4..]);
        let body = body.ok_or_else(|| fault("gave no truth: its answer has no end of headers".to_owned()))?;
        serde_json::from_slice(body).map_err(|error| fault(format!("gave no truth: {error}")))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // By the process that was started here; an error means that it is gone already.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// The address in what it says first; everything it said where there is none.
fn address(said: &mut impl BufRead) -> Result<String, String> {
    let mut all = String::new();
    for _ in 0..LINES {
        let begin = all.len();
        if said.read_line(&mut all).unwrap_or(0) == 0 {
            break;
        }
        let line = &all[begin..];
        if let Some(address) = line.split("http://").nth(1).and_then(|rest| rest.split('/').next()) {
            return Ok(address.to_owned());
        }
    }
    Err(all)
}

fn fault(cause: String) -> Fault {
    Fault::new(FaultKind::Internal, "the simulator", cause)
        .remedy("see whether `ai-energy-benchmark simulate --port 0` works by itself")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_address_is_found_among_other_lines() {
        let mut said =
            "a warning\nsimulating model `m` at http://127.0.0.1:4321/v1 (truth)\ntry\n".as_bytes();
        assert_eq!(address(&mut said), Ok("127.0.0.1:4321".to_owned()));
        assert_eq!(address(&mut "error: no port\n".as_bytes()), Err("error: no port\n".to_owned()));
    }
}
