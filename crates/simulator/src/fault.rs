//! The ways in which the simulator misbehaves when asked to, and when it does so.
//!
//! Exists so that a request header, a body field, a config and a flag name a fault the same way. Refuses to know how a
//! fault looks on the wire.

use ai_energy_core::{Fault, FaultKind};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use crate::quantity::{Nanoseconds, Quantity};

/// A misbehaviour. Where a variant holds tokens, it strikes once at least that many were written; where the
/// generation has fewer, after its last one and in place of its regular end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InducedFault {
    /// `refuse`: the connection is reset without a response.
    Refuse,
    /// `429`: too many requests, with `Retry-After: 1`.
    RateLimited,
    /// `500`: an internal error.
    InternalError,
    /// `503`: unavailable.
    Unavailable,
    /// `html_error`: status 502 with a page of HTML, as a proxy answers.
    HtmlError,
    /// `slow_headers:500ms`: the response's head comes that much later.
    SlowHeaders(Duration),
    /// `stall:5`: silence, the connection stays open.
    Stall(u32),
    /// `cut:5`: the connection closes between two events.
    Cut(u32),
    /// `cut:5:mid`: the connection closes in the middle of the next event.
    CutMidEvent(u32),
    /// `malformed:5`: an event whose data is no JSON, then on as before.
    Malformed(u32),
    /// `invalid_utf8:5`: an event whose text is no UTF-8, then on as before.
    InvalidUtf8(u32),
    /// `error_event:5`: an error object inside the 200 stream, then `[DONE]`.
    ErrorEvent(u32),
    /// `empty`: a whole response without a token.
    Empty,
    /// `no_usage`: no usage, asked or not.
    NoUsage,
    /// `no_done`: the stream ends without `[DONE]`.
    NoDone,
}

/// The names of all faults as they are written, for messages and help.
pub const FAULT_NAMES: &str = "refuse, 429, 500, 503, html_error, slow_headers:MS, stall:TOKENS, cut:TOKENS, \
     cut:TOKENS:mid, malformed:TOKENS, invalid_utf8:TOKENS, error_event:TOKENS, empty, no_usage, no_done";

impl fmt::Display for InducedFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refuse => f.write_str("refuse"),
            Self::RateLimited => f.write_str("429"),
            Self::InternalError => f.write_str("500"),
            Self::Unavailable => f.write_str("503"),
            Self::HtmlError => f.write_str("html_error"),
            Self::SlowHeaders(delay) => {
                write!(f, "slow_headers:{}", Nanoseconds::show(delay.as_nanos() as f64))
            }
            Self::Stall(tokens) => write!(f, "stall:{tokens}"),
            Self::Cut(tokens) => write!(f, "cut:{tokens}"),
            Self::CutMidEvent(tokens) => write!(f, "cut:{tokens}:mid"),
            Self::Malformed(tokens) => write!(f, "malformed:{tokens}"),
            Self::InvalidUtf8(tokens) => write!(f, "invalid_utf8:{tokens}"),
            Self::ErrorEvent(tokens) => write!(f, "error_event:{tokens}"),
            Self::Empty => f.write_str("empty"),
            Self::NoUsage => f.write_str("no_usage"),
            Self::NoDone => f.write_str("no_done"),
        }
    }
}

impl FromStr for InducedFault {
    type Err = Fault;

    /// Reads the forms in the variants' descriptions; a bare number of `slow_headers` is milliseconds.
    ///
    /// # Errors
    /// A usage fault that names the text and every fault there is.
    fn from_str(text: &str) -> Result<Self, Fault> {
        parse(text.trim()).map_err(|cause| {
            Fault::new(FaultKind::Usage, format!("simulated fault `{text}`"), cause)
                .remedy(format!("the faults are {FAULT_NAMES}"))
        })
    }
}

fn parse(text: &str) -> Result<InducedFault, String> {
    let (name, argument) =
        text.split_once(':').map_or((text, None), |(name, rest)| (name, Some(rest.trim())));
    let bare = |fault: InducedFault| match argument {
        None => Ok(fault),
        Some(_) => Err(format!("`{name}` takes no argument")),
    };
    match name {
        "refuse" => bare(InducedFault::Refuse),
        "429" => bare(InducedFault::RateLimited),
        "500" => bare(InducedFault::InternalError),
        "503" => bare(InducedFault::Unavailable),
        "html_error" => bare(InducedFault::HtmlError),
        "empty" => bare(InducedFault::Empty),
        "no_usage" => bare(InducedFault::NoUsage),
        "no_done" => bare(InducedFault::NoDone),
        "slow_headers" => delay(argument).map(InducedFault::SlowHeaders),
        "stall" => tokens(name, argument).map(InducedFault::Stall),
        "malformed" => tokens(name, argument).map(InducedFault::Malformed),
        "invalid_utf8" => tokens(name, argument).map(InducedFault::InvalidUtf8),
        "error_event" => tokens(name, argument).map(InducedFault::ErrorEvent),
        "cut" => match argument.and_then(|argument| argument.strip_suffix(":mid")) {
            Some(after) => tokens(name, Some(after)).map(InducedFault::CutMidEvent),
            None => tokens(name, argument).map(InducedFault::Cut),
        },
        other => Err(format!("no fault is called `{other}`")),
    }
}

fn tokens(name: &str, argument: Option<&str>) -> Result<u32, String> {
    let argument = argument.ok_or_else(|| format!("`{name}` needs the number of tokens it comes after"))?;
    argument.parse().map_err(|_| format!("`{argument}` is no number of tokens"))
}

fn delay(argument: Option<&str>) -> Result<Duration, String> {
    let argument = argument.ok_or("`slow_headers` needs a delay")?;
    let nanos = match argument.parse::<u32>() {
        Ok(millis) => f64::from(millis) * 1e6,
        Err(_) => Nanoseconds::parse(argument)?,
    };
    Ok(Duration::from_nanos(nanos as u64))
}

/// When a rule's fault strikes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum When {
    /// On every request.
    Always,
    /// On a share of the requests (0 to 1), drawn with the server's seed.
    Share(f64),
    /// On every nth request, counted from the server's start.
    EveryNth(u64),
}

/// A fault and when it strikes: `cut:5` always, `500@10%` on a tenth of the requests, `stall:3@7` on every seventh.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct FaultRule {
    /// What happens.
    pub fault: InducedFault,
    /// On which requests.
    pub when: When,
}

impl FaultRule {
    /// Whether the rule strikes the request of this number (the first is 1), `drawn` being uniform in 0 to 1.
    pub fn strikes(&self, request: u64, drawn: f64) -> bool {
        match self.when {
            When::Always => true,
            When::Share(share) => drawn < share,
            When::EveryNth(nth) => request.is_multiple_of(nth.max(1)),
        }
    }
}

impl fmt::Display for FaultRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.when {
            When::Always => write!(f, "{}", self.fault),
            When::Share(share) => write!(f, "{}@{}%", self.fault, share * 100.0),
            When::EveryNth(nth) => write!(f, "{}@{nth}", self.fault),
        }
    }
}

impl FromStr for FaultRule {
    type Err = Fault;

    /// Reads a fault, alone or with `@RATE%` or `@N` behind it; `@every:N` is `@N`.
    ///
    /// # Errors
    /// A usage fault that names the text, the cause and the forms.
    fn from_str(text: &str) -> Result<Self, Fault> {
        let Some((fault, when)) = text.split_once('@') else {
            return Ok(Self { fault: text.parse()?, when: When::Always });
        };
        let wrong = |cause: &str| {
            Fault::new(FaultKind::Usage, format!("simulated fault `{text}`"), cause)
                .remedy("write FAULT, FAULT@10% (a share) or FAULT@7 (every seventh)")
        };
        let when = match when.strip_suffix('%') {
            Some(percent) => match percent.trim().parse::<f64>() {
                Ok(percent) if (0.0..=100.0).contains(&percent) => When::Share(percent / 100.0),
                _ => return Err(wrong("the rate is no percentage from 0 to 100")),
            },
            None => match when.strip_prefix("every:").unwrap_or(when).trim().parse::<u64>() {
                Ok(nth) if nth > 0 => When::EveryNth(nth),
                _ => {
                    return Err(wrong("what follows `@` is neither a percentage nor a whole number above 0"));
                }
            },
        };
        Ok(Self { fault: fault.parse()?, when })
    }
}

impl Serialize for FaultRule {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for FaultRule {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(RuleText)
    }
}

/// Reads a rule from a string, or from a bare number: config files write `500` without quotes.
struct RuleText;

impl de::Visitor<'_> for RuleText {
    type Value = FaultRule;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a fault such as 500, cut:5 or stall:3@10%")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<FaultRule, E> {
        text.parse().map_err(|fault: Fault| {
            E::custom(format_args!("{}: {}; {}", fault.object, fault.cause, fault.remedy))
        })
    }

    fn visit_u64<E: de::Error>(self, value: u64) -> Result<FaultRule, E> {
        self.visit_str(&value.to_string())
    }

    fn visit_i64<E: de::Error>(self, value: i64) -> Result<FaultRule, E> {
        self.visit_str(&value.to_string())
    }
}

impl schemars::JsonSchema for FaultRule {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "FaultRule".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        let description = format!(
            "FAULT, FAULT@10% (a share) or FAULT@7 (every seventh), where FAULT is one of {FAULT_NAMES}"
        );
        schemars::json_schema!({ "type": ["string", "integer"], "description": description })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_named_fault_parses_and_shows_itself() {
        for name in FAULT_NAMES.split(", ") {
            let text = name.trim().replace("TOKENS", "5").replace("MS", "500");
            let fault: InducedFault = text.parse().unwrap();
            let shown = fault.to_string();
            assert_eq!(shown.parse::<InducedFault>().unwrap(), fault);
            assert!(shown == text || text == "slow_headers:500" && shown == "slow_headers:500ms", "{shown}");
        }
    }

    #[test]
    fn an_unknown_fault_names_the_known_ones() {
        let fault = "explode".parse::<InducedFault>().unwrap_err();
        assert!(fault.cause.contains("`explode`"));
        assert!(fault.remedy.contains("invalid_utf8:TOKENS"));
        for text in ["stall", "stall:x", "cut:-1", "500:3", "slow_headers", "slow_headers:5h", ""] {
            assert!(text.parse::<InducedFault>().is_err(), "{text}");
        }
    }

    #[test]
    fn rules_strike_as_written() {
        let rule: FaultRule = "cut:5:mid@3".parse().unwrap();
        assert_eq!(rule.to_string(), "cut:5:mid@3");
        assert_eq!("cut:5:mid@every:3".parse::<FaultRule>().unwrap(), rule);
        let struck: Vec<u64> = (1..=9).filter(|request| rule.strikes(*request, 0.0)).collect();
        assert_eq!(struck, [3, 6, 9]);
        let rule: FaultRule = serde_json::from_str("\"429@25%\"").unwrap();
        assert!(rule.strikes(1, 0.2) && !rule.strikes(1, 0.25));
        let rule: FaultRule = serde_json::from_str("500").unwrap();
        assert!(rule.strikes(1, 0.99) && rule.fault == InducedFault::InternalError);
        for text in ["500@", "500@110%", "500@every:0", "500@x%", "nope@5%"] {
            assert!(text.parse::<FaultRule>().is_err(), "{text}");
        }
    }
}
