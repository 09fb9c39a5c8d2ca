//! The message itself: resource, scope, one metric a measure.

use ai_energy_core::{Report, Stamp};
use serde_json::{Value, json};

use crate::measures::{Measure, Samples, measures, run_facts, run_labels};
use crate::time::at_nanos;

/// What every name begins with.
const PREFIX: &str = "ai_energy";

/// Labels with their values.
type Labels = Vec<(&'static str, String)>;

/// An `ExportMetricsServiceRequest` in the protocol's JSON form: 64-bit integers as texts, field names in camel case.
pub fn message(report: Report<'_>) -> Value {
    let (start, end) = report.record.load_window().unwrap_or((Stamp(0), Stamp(0)));
    let times = [at_nanos(report.record, start), at_nanos(report.record, end)];
    let metrics: Vec<Value> = measures(report).iter().map(|measure| metric(measure, &times)).collect();
    let mut resource = vec![
        ("service.name", "ai-energy-benchmark".to_owned()),
        ("service.version", env!("CARGO_PKG_VERSION").to_owned()),
    ];
    if let Some(host) = report.record.environment.get("hostname").and_then(Value::as_str) {
        resource.push(("host.name", host.to_owned()));
    }
    let named: Labels = [run_labels(report), run_facts(report)].concat();
    let mut attributes = attributes(&resource);
    attributes.extend(named.iter().map(|(name, value)| attribute(&format!("{PREFIX}.{name}"), value)));
    json!({
        "resourceMetrics": [{
            "resource": { "attributes": attributes },
            "scopeMetrics": [{
                "scope": { "name": "ai-energy-benchmark", "version": env!("CARGO_PKG_VERSION") },
                "metrics": metrics,
            }],
        }],
    })
}

fn attribute(name: &str, value: &str) -> Value {
    json!({ "key": name, "value": { "stringValue": value } })
}

fn attributes(labels: &Labels) -> Vec<Value> {
    labels.iter().map(|(name, value)| attribute(name, value)).collect()
}

fn metric(measure: &Measure, [start, end]: &[String; 2]) -> Value {
    let mut metric = json!({
        "name": format!("{PREFIX}.{}", measure.name),
        "description": measure.help,
        "unit": measure.unit.ucum,
    });
    match &measure.samples {
        Samples::Gauge(samples) => {
            let points: Vec<Value> = samples
                .iter()
                .map(|sample| {
                    json!({
                        "attributes": attributes(&sample.labels),
                        "startTimeUnixNano": start,
                        "timeUnixNano": end,
                        "asDouble": sample.value,
                    })
                })
                .collect();
            metric["gauge"] = json!({ "dataPoints": points });
        }
        Samples::Spread { quantiles, count, sum } => {
            let quantiles: Vec<Value> = quantiles
                .iter()
                .map(|(quantile, value)| json!({ "quantile": quantile, "value": value }))
                .collect();
            metric["summary"] = json!({ "dataPoints": [{
                "startTimeUnixNano": start,
                "timeUnixNano": end,
                "count": count.to_string(),
                "sum": sum,
                "quantileValues": quantiles,
            }] });
        }
    }
    metric
}
