//! Reading a scenario's reasoning parameters: is thinking wanted, how much, and where does each parameter go.
//!
//! Refuses to know model families; a kind of format decides what to do with the answers.

use ai_energy_core::{Fault, FaultKind};
use serde_json::{Map, Value};

/// Switches thinking.
pub(crate) const ENABLE_THINKING: &str = "enable_thinking";
/// Switches thinking, in other tools' word.
pub(crate) const REASONING: &str = "reasoning";
/// How much to think, in words.
pub(crate) const REASONING_EFFORT: &str = "reasoning_effort";
/// Most tokens to think.
const THINKING_BUDGET: &str = "thinking_budget";

/// The efforts that OpenAI-compatible servers know, and whether they mean thinking for a model with an on-off switch.
const EFFORTS: [(&str, bool); 6] =
    [("none", false), ("minimal", false), ("low", false), ("medium", true), ("high", true), ("xhigh", true)];

/// Checks the parameters whose meaning is known, so that no kind of format passes on a value that cannot be meant.
///
/// # Errors
/// A known parameter has a value of the wrong type, or an effort is no known word.
pub(crate) fn check(params: &Map<String, Value>) -> Result<(), Fault> {
    thinking(params)?;
    effort(params)?;
    match params.get(THINKING_BUDGET) {
        None => Ok(()),
        Some(value) if value.is_i64() || value.is_u64() => Ok(()),
        Some(value) => Err(wrong(THINKING_BUDGET, value, "a whole number of tokens")),
    }
}

/// Whether the parameters want thinking: `enable_thinking` before `reasoning` before `reasoning_effort`, of which
/// `medium` and more mean on. `None` where they do not say.
///
/// # Errors
/// As [`check`].
pub(crate) fn thinking(params: &Map<String, Value>) -> Result<Option<bool>, Fault> {
    let by_effort = effort(params)?.map(|word| EFFORTS.contains(&(word, true)));
    Ok(switched(params)?.or(by_effort))
}

/// [`thinking`] without the effort: for formats in which an effort does not switch.
///
/// # Errors
/// As [`check`].
pub(crate) fn switched(params: &Map<String, Value>) -> Result<Option<bool>, Fault> {
    let enable = match params.get(ENABLE_THINKING) {
        None => None,
        Some(Value::Bool(on)) => Some(*on),
        Some(value) => return Err(wrong(ENABLE_THINKING, value, "true or false (without quotes)")),
    };
    let reasoning = match params.get(REASONING) {
        None => None,
        Some(Value::Bool(on)) => Some(*on),
        // Some servers take settings here; that somebody sets them means that reasoning is wanted.
        Some(Value::Object(_)) => Some(true),
        Some(value) => {
            return Err(wrong(REASONING, value, "true or false (without quotes), or a map of settings"));
        }
    };
    Ok(enable.or(reasoning))
}

/// The effort that the parameters ask for.
///
/// # Errors
/// It is no word, or none that servers know.
pub(crate) fn effort(params: &Map<String, Value>) -> Result<Option<&str>, Fault> {
    let Some(value) = params.get(REASONING_EFFORT) else {
        return Ok(None);
    };
    let known = value.as_str().filter(|word| EFFORTS.iter().any(|(effort, _)| effort == word));
    match known {
        Some(word) => Ok(Some(word)),
        None => Err(wrong(REASONING_EFFORT, value, "one of none, minimal, low, medium, high, xhigh")),
    }
}

/// What has to be said about thinking: `Some(true)` on, `Some(false)` off, `None` nothing.
///
/// A scenario without reasoning (`None`) wants no thinking, which only has to be said to a model that thinks by
/// default. A scenario with reasoning wants thinking unless its parameters say otherwise, and always says so.
///
/// # Errors
/// As [`check`].
pub(crate) fn to_say(
    reasoning: Option<&Map<String, Value>>,
    default_enabled: bool,
) -> Result<Option<bool>, Fault> {
    match reasoning {
        None => Ok(default_enabled.then_some(false)),
        Some(params) => Ok(Some(thinking(params)?.unwrap_or(true))),
    }
}

/// A fault about a parameter's value; `wanted` says what it has to be.
pub(crate) fn wrong(name: &str, value: &Value, wanted: &str) -> Fault {
    Fault::new(
        FaultKind::Usage,
        format!("scenario.reasoning_params.{name}"),
        format!("{value} is not {wanted}"),
    )
    .remedy(format!("set it to {wanted}, or leave it out"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn params(value: Value) -> Map<String, Value> {
        value.as_object().unwrap().clone()
    }

    #[test]
    fn the_clearer_word_wins() {
        for (given, wanted) in [
            (json!({}), None),
            (json!({"enable_thinking": false, "reasoning": true, "reasoning_effort": "high"}), Some(false)),
            (json!({"reasoning": true, "reasoning_effort": "low"}), Some(true)),
            (json!({"reasoning": {"effort": "high"}}), Some(true)),
            (json!({"reasoning_effort": "medium"}), Some(true)),
            (json!({"reasoning_effort": "high"}), Some(true)),
            (json!({"reasoning_effort": "low"}), Some(false)),
            (json!({"reasoning_effort": "none"}), Some(false)),
            (json!({"thinking_budget": 100}), None),
        ] {
            assert_eq!(thinking(&params(given.clone())).unwrap(), wanted, "{given}");
        }
    }

    #[test]
    fn a_wrong_value_is_named_with_what_it_has_to_be() {
        for (given, name) in [
            (json!({"reasoning_effort": 7}), "reasoning_effort"),
            (json!({"reasoning_effort": "hihg"}), "reasoning_effort"),
            (json!({"enable_thinking": "true"}), "enable_thinking"),
            (json!({"reasoning": 1}), "reasoning"),
            (json!({"thinking_budget": "lots"}), "thinking_budget"),
            (json!({"thinking_budget": 0.5}), "thinking_budget"),
        ] {
            let fault = check(&params(given.clone())).unwrap_err();
            assert_eq!(fault.object, format!("scenario.reasoning_params.{name}"));
            assert!(fault.cause.contains(&given[name].to_string()), "{fault}");
            assert!(!fault.remedy.is_empty(), "{fault}");
        }
    }

    #[test]
    fn off_is_said_only_to_models_that_think_by_default() {
        assert_eq!(to_say(None, true).unwrap(), Some(false));
        assert_eq!(to_say(None, false).unwrap(), None);
        assert_eq!(to_say(Some(&Map::new()), false).unwrap(), Some(true));
        assert_eq!(to_say(Some(&params(json!({"reasoning": false}))), false).unwrap(), Some(false));
    }
}
