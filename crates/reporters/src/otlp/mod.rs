//! The figures by OpenTelemetry's protocol: `otlp_metrics.json`, and the same sent to a collector.
//!
//! The message is the protocol's JSON form (OTLP 1.x, `ExportMetricsServiceRequest`), which every collector takes at
//! `/v1/metrics` and which can be written by serde alone: the SDK would bring a second HTTP client and protobuf for one
//! message a run. What was to be sent is on disk before anything is sent, so that a collector that is away loses nothing.

mod message;
mod send;

use ai_energy_core::{Fault, Place, Report, Reporter, Written};

use crate::files::write_whole;
use crate::json::pretty;
use crate::options::Options;

pub use message::message;

/// The registry's name.
pub const NAME: &str = "otlp";
/// The file's name within the run's folder.
pub const FILE_NAME: &str = "otlp_metrics.json";
/// The protocol's own variable for headers: `name=value`, parted by commas.
pub const HEADERS_VARIABLE: &str = "OTEL_EXPORTER_OTLP_HEADERS";

/// Writes the message, and sends it where the options name a collector.
#[derive(Debug, Clone, Default)]
pub struct Otlp {
    endpoint: Option<String>,
}

impl Otlp {
    /// Sends to the options' collector, where they name one.
    pub fn new(options: &Options) -> Self {
        Self { endpoint: options.otlp_endpoint.clone() }
    }
}

impl Reporter for Otlp {
    fn name(&self) -> &'static str {
        NAME
    }

    fn write(&self, report: Report<'_>, place: &Place) -> Result<Vec<Written>, Fault> {
        let path = place.run_dir.join(FILE_NAME);
        let message = message(report);
        write_whole(&path, &pretty(&path.display().to_string(), &message)?)?;
        let mut written = Written::at(&path);
        if let Some(endpoint) = &self.endpoint {
            let headers = std::env::var(HEADERS_VARIABLE).unwrap_or_default();
            send::send(endpoint, &headers, &message).map_err(|fault| {
                let kept = format!("{}; {} holds what was to be sent", fault.remedy, path.display());
                fault.remedy(kept)
            })?;
            written.note = Some("sent to the collector".to_owned());
        }
        Ok(vec![written])
    }
}
