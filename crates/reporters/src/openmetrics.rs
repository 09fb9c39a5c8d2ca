//! `metrics.prom`: the figures as OpenMetrics text, which Prometheus, its push gateway and node_exporter read.
//!
//! Written so that the older text format's parsers take it too (node_exporter's textfile collector is one): gauges and
//! summaries alone, no timestamps, and lines of units and the end mark, which those parsers skip as comments.

use std::fmt::Write;
use std::path::PathBuf;

use ai_energy_core::{Fault, Place, Report, Reporter, Written};

use crate::files::{make_folder, write_whole};
use crate::measures::{Measure, Samples, measures, run_facts, run_labels};
use crate::options::Options;

/// The registry's name.
pub const NAME: &str = "openmetrics";
/// The file's name within the run's folder.
pub const FILE_NAME: &str = "metrics.prom";
/// What every name begins with.
const PREFIX: &str = "ai_energy";

/// Labels with their values.
type Labels = Vec<(&'static str, String)>;

/// Writes `metrics.prom` and a copy for a collector that watches a folder.
#[derive(Debug, Clone, Default)]
pub struct OpenMetrics {
    textfile: Option<PathBuf>,
}

impl OpenMetrics {
    /// Copies to the options' `textfile`, where they name one.
    pub fn new(options: &Options) -> Self {
        Self { textfile: options.textfile.clone() }
    }
}

impl Reporter for OpenMetrics {
    fn name(&self) -> &'static str {
        NAME
    }

    fn write(&self, report: Report<'_>, place: &Place) -> Result<Vec<Written>, Fault> {
        let text = text(report);
        let path = place.run_dir.join(FILE_NAME);
        write_whole(&path, text.as_bytes())?;
        let mut written = vec![Written::at(&path)];
        if let Some(copy) = &self.textfile {
            if let Some(folder) = copy.parent().filter(|folder| !folder.as_os_str().is_empty()) {
                make_folder(folder)?;
            }
            // Renamed into place, so that a scrape never meets half a file.
            write_whole(copy, text.as_bytes())?;
            written.push(Written::at(copy));
        }
        Ok(written)
    }
}

/// The figures as OpenMetrics text.
pub fn text(report: Report<'_>) -> String {
    let labels = run_labels(report);
    let mut text = String::new();
    let facts = [labels.clone(), run_facts(report)].concat();
    let name = format!("{PREFIX}_run");
    let help = "The run that the other metrics are of; always 1.";
    let _ = writeln!(text, "# TYPE {name} gauge\n# HELP {name} {help}\n{name}{} 1", braces(&facts));
    for measure in measures(report) {
        family(&mut text, &measure, &labels);
    }
    text.push_str("# EOF\n");
    text
}

fn family(text: &mut String, measure: &Measure, common: &Labels) {
    let suffix = measure.unit.suffix;
    let name = if suffix.is_empty() {
        format!("{PREFIX}_{}", measure.name)
    } else {
        format!("{PREFIX}_{}_{suffix}", measure.name)
    };
    let kind = match measure.samples {
        Samples::Gauge(_) => "gauge",
        Samples::Spread { .. } => "summary",
    };
    let _ = writeln!(text, "# TYPE {name} {kind}");
    if !suffix.is_empty() {
        let _ = writeln!(text, "# UNIT {name} {suffix}");
    }
    let _ = writeln!(text, "# HELP {name} {}", measure.help);
    match &measure.samples {
        Samples::Gauge(samples) => {
            for sample in samples {
                let labels = [common.clone(), sample.labels.clone()].concat();
                let _ = writeln!(text, "{name}{} {}", braces(&labels), sample.value);
            }
        }
        Samples::Spread { quantiles, count, sum } => {
            for (quantile, value) in quantiles {
                let labels = [common.clone(), vec![("quantile", quantile.to_string())]].concat();
                let _ = writeln!(text, "{name}{} {value}", braces(&labels));
            }
            let _ =
                writeln!(text, "{name}_count{} {count}\n{name}_sum{} {sum}", braces(common), braces(common));
        }
    }
}

/// Labels as they stand behind a name; backslash, quote and line end are escaped as the format asks.
fn braces(labels: &Labels) -> String {
    let escaped = |value: &str| value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
    let parts: Vec<String> =
        labels.iter().map(|(name, value)| format!("{name}=\"{}\"", escaped(value))).collect();
    format!("{{{}}}", parts.join(","))
}
