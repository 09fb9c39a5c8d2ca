//! What an unquoted word means: the habits of OmegaConf and PyYAML's YAML 1.1, without their surprises.
//!
//! `yes`, `no`, `on` and `off` are booleans, `1e-3` is a number and `1_000` too, as OmegaConf reads them. `010` (eight
//! to YAML 1.1, ten to YAML 1.2) and `1:30` (ninety to YAML 1.1) stay text, so that a guess never becomes a figure:
//! where a number is asked for, the check refuses them.

use serde_json::Number;

use crate::node::Data;

/// The value of an unquoted scalar.
pub(crate) fn plain(text: &str) -> Data {
    let text = text.trim();
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return Data::Null,
        "true" | "True" | "TRUE" | "yes" | "Yes" | "YES" | "on" | "On" | "ON" => return Data::Bool(true),
        "false" | "False" | "FALSE" | "no" | "No" | "NO" | "off" | "Off" | "OFF" => return Data::Bool(false),
        _ => {}
    }
    match integer(text).or_else(|| float(text)) {
        Some(number) => Data::Number(number),
        None => Data::Text(text.to_owned()),
    }
}

/// A decimal, hexadecimal, octal (`0o`) or binary integer, with `_` between digits allowed.
fn integer(text: &str) -> Option<Number> {
    let (negative, digits) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let (radix, digits) = match digits.get(..2) {
        Some("0x" | "0X") => (16, &digits[2..]),
        Some("0o" | "0O") => (8, &digits[2..]),
        Some("0b" | "0B") => (2, &digits[2..]),
        _ => (10, digits),
    };
    let leading_zero = radix == 10 && digits.len() > 1 && digits.starts_with('0');
    let well_formed = digits.starts_with(|c: char| c.is_digit(radix))
        && digits.ends_with(|c: char| c.is_digit(radix))
        && digits.chars().all(|c| c == '_' || c.is_digit(radix));
    if leading_zero || !well_formed {
        return None;
    }
    let magnitude = u64::from_str_radix(&digits.replace('_', ""), radix).ok()?;
    if negative {
        return 0i64.checked_sub_unsigned(magnitude).map(Number::from);
    }
    Some(Number::from(magnitude))
}

/// A decimal fraction or a power of ten; infinities and not-a-number stay text, since no option means them.
fn float(text: &str) -> Option<Number> {
    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
    let digits = unsigned.split(['.', 'e', 'E']).next().unwrap_or_default();
    let well_formed = unsigned.starts_with(|c: char| c.is_ascii_digit() || c == '.')
        && unsigned.chars().any(|c| c.is_ascii_digit())
        && unsigned.chars().all(|c| c.is_ascii_digit() || matches!(c, '.' | 'e' | 'E' | '+' | '-' | '_'))
        && unsigned.contains(['.', 'e', 'E'])
        && !(digits.len() > 1 && digits.starts_with('0'));
    if !well_formed {
        return None;
    }
    Number::from_f64(text.replace('_', "").parse::<f64>().ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn typed(text: &str) -> serde_json::Value {
        crate::node::Node::new(plain(text), crate::origin::Origin::Default).to_json()
    }

    #[test]
    fn words_mean_what_omegaconf_users_expect() {
        for (text, value) in [
            ("True", json!(true)),
            ("yes", json!(true)),
            ("off", json!(false)),
            ("y", json!("y")),
            ("~", json!(null)),
            ("", json!(null)),
            ("1e-3", json!(0.001)),
            ("1.5", json!(1.5)),
            (".5", json!(0.5)),
            ("1.", json!(1.0)),
            ("-12", json!(-12)),
            ("+7", json!(7)),
            ("1_000", json!(1000)),
            ("0x1F", json!(31)),
            ("18446744073709551615", json!(u64::MAX)),
            ("-9223372036854775808", json!(i64::MIN)),
        ] {
            assert_eq!(typed(text), value, "{text:?}");
        }
    }

    #[test]
    fn what_could_mean_two_numbers_stays_text() {
        for text in [
            "010",
            "1:30",
            "0, 1, 2",
            "1.2.3",
            "2024-01-01",
            ".inf",
            ".nan",
            "e5",
            "_1",
            "1_",
            "0x",
            "-",
            ".",
            "00.5",
            "1e",
            "é€",
        ] {
            assert_eq!(typed(text), json!(text), "{text:?}");
        }
    }
}
