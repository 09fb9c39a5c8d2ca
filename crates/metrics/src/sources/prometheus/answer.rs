//! What a Prometheus server answers to a query: series of samples, by labels.

use std::collections::BTreeMap;

use serde_json::Value;

/// Labels that say where a sample came by, not what it is of.
const ROUTE: [&str; 2] = ["__name__", "job"];

/// One series: its labels and its samples, `(seconds since 1970 by the server's clock, value)`, by time.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Series {
    pub(super) labels: BTreeMap<String, String>,
    pub(super) samples: Vec<(f64, f64)>,
}

impl Series {
    /// What tells this series from others of the same query.
    pub(super) fn key(&self) -> String {
        let pairs: Vec<String> = self.labels.iter().map(|(name, value)| format!("{name}={value}")).collect();
        pairs.join(",")
    }

    pub(super) fn label(&self, name: &str) -> Option<String> {
        self.labels.get(name).cloned()
    }

    /// The device's identity: a GPU's UUID, else every label that says what it is of.
    pub(super) fn device(&self) -> String {
        self.label("UUID").unwrap_or_else(|| format!("prometheus:{}", self.key()))
    }

    /// A name for reports, unique within a query.
    pub(super) fn name(&self) -> String {
        let of = self.labels.iter().filter(|(name, _)| !ROUTE.contains(&name.as_str()));
        let words: Vec<&str> = of.map(|(_, value)| value.as_str()).collect();
        if words.is_empty() { "value".to_owned() } else { words.join(":") }
    }

    /// Seconds between neighbouring samples.
    pub(super) fn gaps(&self) -> Vec<f64> {
        self.samples.windows(2).map(|pair| pair[1].0 - pair[0].0).filter(|gap| *gap > 0.0).collect()
    }
}

/// The series of an answer; an answer of another shape has none.
pub(super) fn series(answer: &Value) -> Vec<Series> {
    let data = &answer["data"];
    let result = data["result"].as_array().map(Vec::as_slice).unwrap_or_default();
    match data["resultType"].as_str() {
        // `scalar(…)` and `time()` have one value without labels.
        Some("scalar") => sample(&data["result"])
            .map(|sample| Series { labels: BTreeMap::new(), samples: vec![sample] })
            .into_iter()
            .collect(),
        _ => result.iter().map(one).collect(),
    }
}

fn one(series: &Value) -> Series {
    let text = |(name, value): (&String, &Value)| Some((name.clone(), value.as_str()?.to_owned()));
    let labels = series["metric"].as_object().into_iter().flatten().filter_map(text).collect();
    let many = series["values"].as_array().map(|values| values.iter().filter_map(sample).collect());
    let samples = many.unwrap_or_else(|| sample(&series["value"]).into_iter().collect());
    Series { labels, samples }
}

/// `[1767225600.5, "17.25"]`.
fn sample(value: &Value) -> Option<(f64, f64)> {
    Some((value.get(0)?.as_f64()?, value.get(1)?.as_str()?.parse().ok()?))
}

/// The server's clock in its answer to `time()`.
pub(super) fn server_time(answer: &Value) -> Option<f64> {
    series(answer).first()?.samples.first().map(|(_, seconds)| *seconds)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn every_shape_of_answer_is_read() {
        let matrix = json!({"data": {"resultType": "matrix", "result": [
            {"metric": {"__name__": "x", "gpu": "0", "UUID": "GPU-1"}, "values": [[10.5, "1"], [25.5, "2.5"]]}
        ]}});
        let read = series(&matrix);
        assert_eq!(read[0].samples, [(10.5, 1.0), (25.5, 2.5)]);
        assert_eq!((read[0].device(), read[0].gaps()), ("GPU-1".to_owned(), vec![15.0]));
        let vector = json!({"data": {"resultType": "vector", "result": [
            {"metric": {"instance": "a"}, "value": [3, "NaN"]}
        ]}});
        assert!(series(&vector)[0].samples[0].1.is_nan());
        assert_eq!(series(&vector)[0].name(), "a");
        let scalar = json!({"data": {"resultType": "scalar", "result": [3.25, "3.25"]}});
        assert_eq!(server_time(&scalar), Some(3.25));
        assert_eq!(series(&json!({"status": "error"})), []);
    }
}
