//! The two quantities that are drawn: time and tokens, each with its text and its limit.
//!
//! Exists so that one distribution type serves both. Refuses to know any distribution.

/// Something that a distribution can be over. Values are non-negative whole numbers of the base unit.
pub trait Quantity {
    /// What a user calls a distribution of it.
    const NAME: &'static str;
    /// The name of its JSON schema.
    const SCHEMA: &'static str;
    /// The largest value that is drawn or accepted.
    const LIMIT: f64;
    /// Three values in ascending order, for messages.
    const EXAMPLES: [&'static str; 3];

    /// Reads a value.
    ///
    /// # Errors
    /// What is wrong with the text, to follow the text itself.
    fn parse(text: &str) -> Result<f64, String>;

    /// The text of a value that [`Quantity::parse`] reads back to the same value.
    fn show(value: f64) -> String;
}

/// Time, in nanoseconds.
pub struct Nanoseconds;

/// The units of time, largest first, in nanoseconds. `µs` is read as `us`.
const UNITS: [(&str, f64); 4] = [("s", 1e9), ("ms", 1e6), ("us", 1e3), ("ns", 1.0)];

impl Quantity for Nanoseconds {
    const NAME: &'static str = "delay";
    const SCHEMA: &'static str = "Delay";
    const LIMIT: f64 = 86_400.0 * 1e9;
    const EXAMPLES: [&'static str; 3] = ["10ms", "20ms", "50ms"];

    fn parse(text: &str) -> Result<f64, String> {
        let text = text.trim();
        let split = text.find(|c: char| c.is_ascii_alphabetic() || c == 'µ').unwrap_or(text.len());
        let (digits, unit) = text.split_at(split);
        let value = non_negative(digits.trim(), text)?;
        if unit.is_empty() && value == 0.0 {
            return Ok(0.0);
        }
        let unit = unit.replace('µ', "u");
        let Some((_, factor)) = UNITS.iter().find(|(name, _)| *name == unit) else {
            return Err(match unit.as_str() {
                "" => format!("`{text}` has no unit (s, ms, us or ns)"),
                other => format!("no unit of time is called `{other}` (there are s, ms, us and ns)"),
            });
        };
        let nanos = (value * factor).round();
        if nanos > Self::LIMIT { Err(format!("`{text}` is more than a day")) } else { Ok(nanos) }
    }

    fn show(value: f64) -> String {
        let nanos = value as u64;
        let fitting = UNITS.iter().find(|(_, factor)| nanos > 0 && nanos.is_multiple_of(*factor as u64));
        match fitting {
            Some((unit, factor)) => format!("{}{unit}", nanos / *factor as u64),
            None => format!("{nanos}ns"),
        }
    }
}

/// Tokens, whole.
pub struct Tokens;

impl Quantity for Tokens {
    const NAME: &'static str = "token count";
    const SCHEMA: &'static str = "Count";
    const LIMIT: f64 = 4_194_304.0;
    const EXAMPLES: [&'static str; 3] = ["10", "20", "50"];

    fn parse(text: &str) -> Result<f64, String> {
        let text = text.trim();
        let value = non_negative(text, text)?;
        if value.fract() != 0.0 {
            Err(format!("`{text}` is no whole number of tokens"))
        } else if value > Self::LIMIT {
            Err(format!("`{text}` is more than {} tokens", Self::LIMIT))
        } else {
            Ok(value)
        }
    }

    fn show(value: f64) -> String {
        format!("{value}")
    }
}

fn non_negative(digits: &str, whole: &str) -> Result<f64, String> {
    let value: f64 = digits.parse().map_err(|_| format!("`{whole}` is no number"))?;
    if !value.is_finite() {
        Err(format!("`{whole}` is no finite number"))
    } else if value.is_sign_negative() && value != 0.0 {
        Err(format!("`{whole}` lies below zero"))
    } else {
        Ok(value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn units_of_time() {
        for (text, nanos) in [
            ("20ms", 20e6),
            ("0.5 s", 5e8),
            ("7us", 7e3),
            ("7µs", 7e3),
            ("3ns", 3.0),
            ("0", 0.0),
            ("1.5ms", 1.5e6),
        ] {
            assert_eq!(Nanoseconds::parse(text), Ok(nanos), "{text}");
        }
    }

    #[test]
    fn wrong_values_say_what_is_wrong() {
        assert!(Nanoseconds::parse("20").unwrap_err().contains("has no unit"));
        assert!(Nanoseconds::parse("20min").unwrap_err().contains("`min`"));
        assert!(Nanoseconds::parse("-5ms").unwrap_err().contains("below zero"));
        assert!(Nanoseconds::parse("ms").unwrap_err().contains("no number"));
        assert!(Nanoseconds::parse("90000s").unwrap_err().contains("more than a day"));
        assert!(Tokens::parse("1.5").unwrap_err().contains("whole"));
        assert!(Tokens::parse("inf").unwrap_err().contains("finite"));
    }

    proptest! {
        #[test]
        fn shown_times_read_back(nanos in 0_u64..86_400_000_000_000) {
            prop_assert_eq!(Nanoseconds::parse(&Nanoseconds::show(nanos as f64)), Ok(nanos as f64));
        }

        #[test]
        fn any_text_is_read_or_refused(text in "\\PC{0,20}") {
            let _ = Nanoseconds::parse(&text);
            let _ = Tokens::parse(&text);
        }
    }
}
