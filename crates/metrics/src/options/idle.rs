//! How long idling is measured: a number of seconds, or as long as it is worth it.
//!
//! Refuses to measure: the runner idles, [`crate::summarize`] computes.

use ai_energy_core::SourceDiscovery;
use ai_energy_core::figure::Provenance;
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize};

/// Idling on either side of the load where an instrument is there to see it, s.
const AUTO_SECONDS: f64 = 3.0;

/// The longest idling that is taken seriously: an hour on either side.
pub(super) const MOST_SECONDS: f64 = 3600.0;

/// Seconds of idling that are measured before and after the load.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(from = "Written", into = "Written")]
pub enum IdleSeconds {
    /// 3 s where an instrument counts energy, 0 where all is modelled or nothing is read.
    #[default]
    Auto,
    /// So many; 0 measures no idling.
    Seconds(f64),
}

/// How it is written: `auto` or a number.
#[derive(Clone, Serialize, JsonSchema)]
#[serde(untagged)]
pub(super) enum Written {
    Text(AutoWord),
    Number(f64),
}

/// The one word that stands for a number.
#[derive(Clone, Copy, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum AutoWord {
    Auto,
}

impl<'de> Deserialize<'de> for Written {
    /// Says what is wanted, which an untagged enum's own error does not.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = serde_json::Value::deserialize(deserializer)?;
        match (&value, value.as_f64()) {
            (_, Some(number)) => Ok(Self::Number(number)),
            (serde_json::Value::String(text), _) if text.trim().eq_ignore_ascii_case("auto") => {
                Ok(Self::Text(AutoWord::Auto))
            }
            _ => Err(serde::de::Error::custom(format!(
                "found {value}, expected `auto` or a number of seconds"
            ))),
        }
    }
}

impl From<Written> for IdleSeconds {
    fn from(written: Written) -> Self {
        match written {
            Written::Text(AutoWord::Auto) => Self::Auto,
            Written::Number(seconds) => Self::Seconds(seconds),
        }
    }
}

impl From<IdleSeconds> for Written {
    fn from(idle: IdleSeconds) -> Self {
        match idle {
            IdleSeconds::Auto => Self::Text(AutoWord::Auto),
            IdleSeconds::Seconds(seconds) => Self::Number(seconds),
        }
    }
}

impl IdleSeconds {
    /// The seconds to idle on either side of a load that these sources watch.
    pub fn resolve(self, sources: &SourceDiscovery) -> f64 {
        let measured = || {
            let mut channels = sources.sources.iter().flat_map(|source| source.channels());
            channels.any(|channel| channel.counts && channel.provenance == Provenance::Measured)
        };
        match self {
            Self::Auto if measured() => AUTO_SECONDS,
            Self::Auto => 0.0,
            Self::Seconds(seconds) => seconds,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ai_energy_core::energy::{Channel, Domain, EnergySource, ReadFault};
    use ai_energy_core::fakes::FakeSource;
    use serde_json::json;

    struct Instrument(Vec<Channel>);

    impl EnergySource for Instrument {
        fn channels(&self) -> &[Channel] {
            &self.0
        }

        fn read(&mut self, _out: &mut dyn FnMut(usize, u64)) -> Result<(), ReadFault> {
            Ok(())
        }
    }

    fn sources(provenance: Provenance, counts: bool) -> SourceDiscovery {
        let mut channels = FakeSource::new(Domain::Gpu, 1.0).channels().to_vec();
        (channels[0].provenance, channels[0].counts) = (provenance, counts);
        SourceDiscovery { sources: vec![Box::new(Instrument(channels))], ..SourceDiscovery::default() }
    }

    #[test]
    fn idling_costs_no_time_where_no_instrument_counts() {
        assert_eq!(IdleSeconds::Auto.resolve(&SourceDiscovery::default()), 0.0);
        assert_eq!(IdleSeconds::Auto.resolve(&sources(Provenance::Estimated, true)), 0.0);
        assert_eq!(IdleSeconds::Auto.resolve(&sources(Provenance::Measured, false)), 0.0);
        assert_eq!(IdleSeconds::Auto.resolve(&sources(Provenance::Measured, true)), AUTO_SECONDS);
        assert_eq!(IdleSeconds::Seconds(0.0).resolve(&sources(Provenance::Measured, true)), 0.0);
    }

    #[test]
    fn a_word_and_a_number_are_read_and_written_and_nothing_else() {
        let read = |value| serde_json::from_value::<IdleSeconds>(value);
        assert_eq!(read(json!("Auto")).unwrap(), IdleSeconds::Auto);
        assert_eq!(read(json!(2)).unwrap(), IdleSeconds::Seconds(2.0));
        assert_eq!(serde_json::to_value(IdleSeconds::Auto).unwrap(), json!("auto"));
        assert_eq!(serde_json::to_value(IdleSeconds::Seconds(1.5)).unwrap(), json!(1.5));
        for wrong in [json!("often"), json!(true), json!([3])] {
            assert!(read(wrong.clone()).unwrap_err().to_string().contains("`auto`"), "{wrong}");
        }
    }
}
