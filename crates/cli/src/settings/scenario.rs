//! The `scenario` section: the dataset, reasoning, and what is asked of each generation.

use ai_energy_core::{Fault, FaultKind, GenerationParams};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// What is sent, and how the model is to answer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct ScenarioSettings {
    /// Where prompts come from.
    #[serde(flatten)]
    pub dataset: ai_energy_datasets::Options,
    /// Cut a prompt that does not fit the model's context beside the new tokens, from its start, instead of refusing it: the
    /// PyTorch engine's. A server decides that by itself, and nothing is cut before it is sent.
    pub truncation: bool,
    /// Turn the model's reasoning on, as its family wants it.
    pub reasoning: bool,
    /// How to reason: `reasoning_effort`, `enable_thinking`, `thinking_budget`, … as the model's family takes them.
    pub reasoning_params: Option<Map<String, Value>>,
    /// A YAML file with more model families, or other ones, than the shipped table of reasoning formats.
    pub formats_file: Option<String>,
    /// Shape of the input.
    pub input_shapes: InputShapes,
    /// What is asked of each generation: `max_new_tokens`, `min_new_tokens`, `temperature`, `top_p`, `top_k`,
    /// `do_sample`, `seed`, `stop`, `ignore_eos`; anything else is passed on by name.
    pub generate_kwargs: Map<String, Value>,
    /// Keep the generated texts in `requests.jsonl`.
    pub keep_text: bool,
}

impl Default for ScenarioSettings {
    fn default() -> Self {
        let generation = GenerationParams::default();
        let limits =
            [("max_new_tokens", generation.max_new_tokens), ("min_new_tokens", generation.min_new_tokens)];
        Self {
            dataset: ai_energy_datasets::Options::default(),
            truncation: true,
            reasoning: false,
            reasoning_params: None,
            formats_file: None,
            input_shapes: InputShapes::default(),
            generate_kwargs: limits
                .into_iter()
                .filter_map(|(key, limit)| Some((key.to_owned(), Value::from(limit?))))
                .collect(),
            keep_text: false,
        }
    }
}

/// Shape of the input.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct InputShapes {
    /// Prompts that the PyTorch engine may compute together; an unset `load.concurrency` offers as many. A server batches by
    /// itself: use `load.concurrency` there.
    #[schemars(range(min = 1))]
    pub batch_size: usize,
}

impl Default for InputShapes {
    fn default() -> Self {
        Self { batch_size: 1 }
    }
}

impl ScenarioSettings {
    /// `generate_kwargs` with types. `is_default` says whether a key was left at its default: a default minimum is
    /// dropped where the user set a maximum below it, and the sampling defaults hold where the config sets none.
    ///
    /// # Errors
    /// Every key whose value has the wrong type or range.
    pub fn generation(&self, is_default: impl Fn(&str) -> bool) -> Result<GenerationParams, Vec<Fault>> {
        let mut reader = Reader { left: self.generate_kwargs.clone(), faults: Vec::new() };
        reader.rename_aliases(&is_default);
        let defaults = GenerationParams::default();
        let mut params = GenerationParams {
            max_new_tokens: reader.take("max_new_tokens", "a number of tokens, 1 or more"),
            min_new_tokens: reader.take("min_new_tokens", "a number of tokens, 0 or more"),
            temperature: reader.take_or("temperature", "a number, 0 or more", defaults.temperature),
            top_p: reader.take_or("top_p", "a number above 0, 1 at most", defaults.top_p),
            top_k: reader.take_or("top_k", "an integer; -1 for all", defaults.top_k),
            do_sample: reader.take("do_sample", "true or false"),
            seed: reader.take("seed", "an integer"),
            stop: reader.stop(),
            ignore_eos: reader.take("ignore_eos", "true or false"),
            extra: Map::new(),
        };
        if let (Some(max), Some(min)) = (params.max_new_tokens, params.min_new_tokens)
            && min > max
        {
            if is_default("scenario.generate_kwargs.min_new_tokens") {
                params.min_new_tokens = None;
            } else {
                reader.fault(
                    "min_new_tokens",
                    format!("{min} is above max_new_tokens, which is {max}"),
                    "lower it",
                );
            }
        }
        reader.check_ranges(&params);
        params.extra = reader.left;
        if reader.faults.is_empty() { Ok(params) } else { Err(reader.faults) }
    }
}

/// Takes known keys out of a map and collects what is wrong with them.
struct Reader {
    left: Map<String, Value>,
    faults: Vec<Fault>,
}

impl Reader {
    fn take<T: serde::de::DeserializeOwned>(&mut self, key: &str, expected: &str) -> Option<T> {
        let value = self.left.shift_remove(key)?;
        if value.is_null() {
            return None;
        }
        let shown = value.to_string();
        serde_json::from_value(value)
            .map_err(|_| self.fault(key, format!("found {shown}"), &format!("set {expected}")))
            .ok()
    }

    /// [`Self::take`], with a default where the key is not there; a null leaves the value to the backend.
    fn take_or<T: serde::de::DeserializeOwned>(
        &mut self,
        key: &str,
        expected: &str,
        default: Option<T>,
    ) -> Option<T> {
        if self.left.contains_key(key) { self.take(key, expected) } else { default }
    }

    /// The names that servers give to the limits mean ours.
    fn rename_aliases(&mut self, is_default: &impl Fn(&str) -> bool) {
        let aliases = [("max_tokens", "max_new_tokens"), ("min_tokens", "min_new_tokens")];
        for (alias, name) in aliases {
            let Some(value) = self.left.shift_remove(alias) else { continue };
            if self.left.contains_key(name) && !is_default(&format!("scenario.generate_kwargs.{name}")) {
                self.fault(alias, format!("means {name}, which is set too"), "keep one of them");
            } else {
                self.left.insert(name.to_owned(), value);
            }
        }
    }

    /// One stop string or a list of them.
    fn stop(&mut self) -> Vec<String> {
        match self.left.get("stop") {
            Some(Value::String(one)) => {
                let one = one.clone();
                self.left.shift_remove("stop");
                vec![one]
            }
            _ => self.take("stop", "a string or a list of strings").unwrap_or_default(),
        }
    }

    fn check_ranges(&mut self, params: &GenerationParams) {
        if params.max_new_tokens == Some(0) {
            self.fault(
                "max_new_tokens",
                "a generation of 0 tokens measures nothing".to_owned(),
                "set 1 or more",
            );
        }
        if params.temperature.is_some_and(|value| value < 0.0 || !value.is_finite()) {
            self.fault("temperature", "it is below 0".to_owned(), "set 0 for greedy, or a number above");
        }
        if params.top_p.is_some_and(|value| !(value > 0.0 && value <= 1.0)) {
            self.fault("top_p", "it is not above 0 and 1 at most".to_owned(), "set 1 to switch it off");
        }
    }

    fn fault(&mut self, key: &str, cause: String, remedy: &str) {
        let object = format!("scenario.generate_kwargs.{key}");
        self.faults.push(Fault::new(FaultKind::Usage, object, cause).remedy(remedy));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn with(kwargs: Value) -> ScenarioSettings {
        let Value::Object(generate_kwargs) = kwargs else { panic!("not a map") };
        ScenarioSettings { generate_kwargs, ..ScenarioSettings::default() }
    }

    #[test]
    fn defaults_are_those_of_the_python_package() {
        let params = ScenarioSettings::default().generation(|_| true).unwrap();
        assert_eq!(params, GenerationParams::default());
    }

    #[test]
    fn a_default_minimum_gives_way_to_a_smaller_maximum_and_a_stated_one_does_not() {
        let scenario = with(json!({"max_new_tokens": 10, "min_new_tokens": 50}));
        assert_eq!(scenario.generation(|_| true).unwrap().min_new_tokens, None);
        let faults = scenario.generation(|_| false).unwrap_err();
        assert_eq!(faults[0].object, "scenario.generate_kwargs.min_new_tokens");
    }

    #[test]
    fn other_keys_are_passed_on_and_known_ones_are_typed() {
        let params = with(json!({"top_k": -1, "stop": "END", "repetition_penalty": 1.1}))
            .generation(|_| true)
            .unwrap();
        assert_eq!((params.top_k, params.stop), (Some(-1), vec!["END".to_owned()]));
        assert_eq!(params.extra, *json!({"repetition_penalty": 1.1}).as_object().unwrap());
    }

    #[test]
    fn a_null_leaves_a_parameter_to_the_server_and_servers_names_mean_ours() {
        let params = with(json!({"temperature": null, "max_new_tokens": 100, "max_tokens": 7}))
            .generation(|_| true)
            .unwrap();
        assert_eq!((params.temperature, params.top_p), (None, Some(0.9)));
        assert_eq!((params.max_new_tokens, params.extra.len()), (Some(7), 0));
        let faults = with(json!({"max_new_tokens": 100, "max_tokens": 7})).generation(|_| false).unwrap_err();
        assert!(faults[0].object.ends_with("max_tokens"), "{faults:?}");
    }

    #[test]
    fn several_wrong_values_are_reported_together() {
        let faults =
            with(json!({"max_new_tokens": "ten", "top_p": 1.5, "stop": 3})).generation(|_| true).unwrap_err();
        let objects: Vec<_> = faults.iter().map(|fault| fault.object.rsplit('.').next().unwrap()).collect();
        assert_eq!(objects, ["max_new_tokens", "stop", "top_p"]);
    }
}
