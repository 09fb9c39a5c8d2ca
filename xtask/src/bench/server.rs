//! The simulator as a process of its own, so that client and server share nothing but the machine.

use anyhow::{Context, Result, bail};
use serde_json::Value;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};

/// A running simulator; ends with the value.
pub(super) struct Server {
    process: Child,
    /// `host:port`.
    pub(super) address: String,
}

impl Server {
    /// Starts `program simulate` on a free port with further arguments.
    pub(super) fn start(program: &Path, arguments: &[&str]) -> Result<Self> {
        Self::start_on(program, arguments, None)
    }

    /// The same on one core, by `taskset`.
    pub(super) fn start_on(program: &Path, arguments: &[&str], core: Option<&str>) -> Result<Self> {
        let mut command = Command::new(if core.is_some() { Path::new("taskset") } else { program });
        if let Some(core) = core {
            command.args(["-c", core]).arg(program);
        }
        let mut process = command
            .args(["simulate", "--port", "0"])
            .args(arguments)
            .stderr(Stdio::piped())
            .spawn()
            .with_context(|| format!("cannot start {}", program.display()))?;
        let mut first = String::new();
        let output = process.stderr.take().context("no standard error")?;
        BufReader::new(output).read_line(&mut first)?;
        let address =
            first.split("http://").nth(1).and_then(|rest| rest.split('/').next()).map(str::to_owned);
        match address {
            Some(address) => Ok(Self { process, address }),
            None => {
                // It ended or will: nothing else can be said of it.
                let _ = process.kill();
                bail!("the simulator did not say its address: {first}")
            }
        }
    }

    /// The body of `GET path` as JSON.
    pub(super) fn get(&self, path: &str) -> Result<Value> {
        let mut stream = TcpStream::connect(&self.address)?;
        write!(stream, "GET {path} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\r\n", self.address)?;
        let mut response = Vec::new();
        stream.read_to_end(&mut response)?;
        let text = String::from_utf8(response)?;
        let (head, body) = text.split_once("\r\n\r\n").context("no end of headers")?;
        if head.to_lowercase().contains("transfer-encoding: chunked") {
            bail!("{path} came in chunks, which this reader does not take");
        }
        Ok(serde_json::from_str(body)?)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // By the id that we started; an error means that it is gone already.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
