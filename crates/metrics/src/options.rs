//! What a user may set about measuring, and the folders that sources read.
//!
//! Refuses to know where options come from: files, environment and command line are another crate's business.

mod idle;

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::PathBuf;

use ai_energy_core::{Fault, FaultKind};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::location::check_location;
use crate::sources::SOURCES;
use crate::summary::SummaryOptions;

pub use idle::IdleSeconds;

/// Which sources to look for.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(from = "Selection", into = "Selection")]
pub enum SourceSelection {
    /// Every source, instruments before models.
    #[default]
    Auto,
    /// The named ones alone; an empty list measures nothing.
    Named(Vec<String>),
}

/// How a selection is written: `auto`, one name, names with commas between, or a list of names.
#[derive(Clone, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
enum Selection {
    Text(String),
    List(Vec<String>),
}

impl From<Selection> for SourceSelection {
    fn from(written: Selection) -> Self {
        let names = match written {
            Selection::Text(text) if text.trim().eq_ignore_ascii_case("auto") => return Self::Auto,
            Selection::Text(text) => text.split(',').map(|name| name.trim().to_owned()).collect(),
            Selection::List(names) => names,
        };
        Self::Named(names.into_iter().filter(|name| !name.is_empty()).collect())
    }
}

impl From<SourceSelection> for Selection {
    fn from(selection: SourceSelection) -> Self {
        match selection {
            SourceSelection::Auto => Self::Text("auto".to_owned()),
            SourceSelection::Named(names) => Self::List(names),
        }
    }
}

impl SourceSelection {
    /// `true` where the source of this name is to be looked for.
    pub fn includes(&self, name: &str) -> bool {
        match self {
            Self::Auto => true,
            Self::Named(names) => names.iter().any(|wanted| wanted == name),
        }
    }
}

/// A GPU as a user names it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum GpuChoice {
    /// Its index, as NVML numbers them.
    Index(u32),
    /// Its UUID or the beginning of it, its PCI bus id, or the UUID of one of its MIG instances.
    Name(String),
}

impl GpuChoice {
    /// The index, where it is one, written as a number or as a word.
    pub fn index(&self) -> Option<u32> {
        match self {
            Self::Index(index) => Some(*index),
            Self::Name(name) => name.parse().ok(),
        }
    }
}

impl From<u32> for GpuChoice {
    fn from(index: u32) -> Self {
        Self::Index(index)
    }
}

impl std::fmt::Display for GpuChoice {
    fn fmt(&self, to: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Index(index) => write!(to, "{index}"),
            Self::Name(name) => to.write_str(name),
        }
    }
}

/// Options of measuring.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Options {
    /// Energy sources to look for: `auto` (all of them, instruments before models) or a list of names as
    /// `list sources` prints them. An empty list measures nothing.
    #[schemars(with = "Selection")]
    pub sources: SourceSelection,
    /// Milliseconds between two rounds of sensor readings.
    #[schemars(range(min = 1))]
    pub interval_ms: u32,
    /// Seconds of idling measured before the load and again after it, for energy above idle: `auto` (3 s where an
    /// instrument counts energy, none where all is modelled or nothing is read) or a number; 0 measures none.
    #[schemars(with = "idle::Written")]
    pub idle_seconds: IdleSeconds,
    /// GPUs to measure: indices as NVML numbers them, UUIDs or their beginnings, PCI bus ids, or MIG instances, each of
    /// which stands for its whole GPU. Unset: those that `CUDA_VISIBLE_DEVICES` names, or all where that is unset too.
    pub gpu_ids: Option<Vec<GpuChoice>>,
    /// Country whose grid feeds the machine, ISO 3166-1 alpha-3. Unset: USA, reported as "default, not stated".
    pub country_iso_code: Option<String>,
    /// Region within the country; for the USA a state's name or two-letter code.
    pub region: Option<String>,
    /// Grid carbon intensity in gCO2e/kWh; overrides the tables.
    pub carbon_intensity_g_per_kwh: Option<f64>,
    /// Power usage effectiveness of the building (1 or more); multiplies the energy for the emissions alone.
    pub pue: f64,
    /// Power in watts of all processors together under full load, for the model that stands in where RAPL cannot be
    /// read. Unset: 4 W per hardware thread.
    pub cpu_tdp_watts: Option<f64>,
    /// Calibrations by device identity (a GPU's UUID, or another `device_id` of the report), each found against a better
    /// instrument: a factor alone, as in `GPU-…: 1.057`, or `{factor: 1.057, ci95: 0.01}` with its own relative
    /// uncertainty at 95 %. Every joule of the device is multiplied by the factor.
    pub gains: BTreeMap<String, Gain>,
}

/// A calibrated gain.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(from = "GainForm", into = "GainForm")]
pub struct Gain {
    /// What the readings are multiplied by.
    pub factor: f64,
    /// The factor's relative uncertainty at 95 %; unset, the instrument keeps its own.
    pub ci95: Option<f64>,
}

/// How a gain is written.
#[derive(Clone, Copy, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
enum GainForm {
    Factor(f64),
    Full {
        factor: f64,
        #[serde(default)]
        ci95: Option<f64>,
    },
}

impl From<GainForm> for Gain {
    fn from(written: GainForm) -> Self {
        match written {
            GainForm::Factor(factor) => Self { factor, ci95: None },
            GainForm::Full { factor, ci95 } => Self { factor, ci95 },
        }
    }
}

impl From<Gain> for GainForm {
    fn from(gain: Gain) -> Self {
        match gain.ci95 {
            None => Self::Factor(gain.factor),
            ci95 => Self::Full { factor: gain.factor, ci95 },
        }
    }
}

impl JsonSchema for Gain {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Gain".into()
    }

    fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
        GainForm::json_schema(generator)
    }
}

impl Default for Options {
    /// All sources, ten readings a second, all visible GPUs, the USA as an unstated location, a PUE of 1.
    fn default() -> Self {
        Self {
            sources: SourceSelection::Auto,
            interval_ms: 100,
            idle_seconds: IdleSeconds::Auto,
            gpu_ids: None,
            country_iso_code: None,
            region: None,
            carbon_intensity_g_per_kwh: None,
            pue: 1.0,
            cpu_tdp_watts: None,
            gains: BTreeMap::new(),
        }
    }
}

impl Options {
    /// The part that summaries need.
    pub fn summary(&self) -> SummaryOptions {
        SummaryOptions {
            country_iso_code: self.country_iso_code.clone(),
            region: self.region.clone(),
            carbon_intensity_g_per_kwh: self.carbon_intensity_g_per_kwh,
            pue: self.pue,
        }
    }
}

/// Where sources look, so that tests and containers can put other folders in the system's place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Roots {
    /// The powercap class folder, `/sys/class/powercap`.
    pub powercap: PathBuf,
    /// The process file system, `/proc`.
    pub proc: PathBuf,
    /// The system file system, `/sys`.
    pub sys: PathBuf,
    /// The NVML shared library; `None` leaves the search to the system's loader.
    pub nvml_library: Option<OsString>,
    /// The value of `CUDA_VISIBLE_DEVICES`; `None` where it is unset.
    pub visible_gpus: Option<String>,
}

impl Default for Roots {
    /// The system's own folders; the NVML library that `AI_ENERGY_NVML` names, if it is set and not empty.
    fn default() -> Self {
        Self {
            powercap: PathBuf::from("/sys/class/powercap"),
            proc: PathBuf::from("/proc"),
            sys: PathBuf::from("/sys"),
            nvml_library: std::env::var_os("AI_ENERGY_NVML").filter(|path| !path.is_empty()),
            visible_gpus: std::env::var("CUDA_VISIBLE_DEVICES").ok(),
        }
    }
}

/// Checks every option without touching the machine.
///
/// # Errors
/// The first option that cannot be used: an unknown source, a number out of range, an unknown country or region.
pub fn check_options(options: &Options) -> Result<(), Fault> {
    if let SourceSelection::Named(names) = &options.sources {
        names.iter().try_for_each(|name| check_source_name(name))?;
    }
    if options.interval_ms == 0 {
        return Err(usage("metrics.interval_ms", "0 ms between readings is no interval")
            .remedy("set 1 or more; 100 suits most sensors"));
    }
    if let IdleSeconds::Seconds(seconds) = options.idle_seconds
        && !(0.0..=idle::MOST_SECONDS).contains(&seconds)
    {
        let cause = format!("{seconds} s is no time to idle for");
        return Err(
            usage("metrics.idle_seconds", cause).remedy("set auto, or 0 to 3600; 0 measures no idling")
        );
    }
    if let Some(watts) = options.cpu_tdp_watts
        && !(watts.is_finite() && watts > 0.0)
    {
        return Err(usage("metrics.cpu_tdp_watts", format!("{watts} is not a power"))
            .remedy("set the processors' design power in watts, for example 65"));
    }
    check_gains(&options.gains)?;
    check_location(&options.summary()).map(|_| ())
}

fn check_gains(gains: &BTreeMap<String, Gain>) -> Result<(), Fault> {
    let bad = gains.iter().find(|(_, gain)| {
        let factor = gain.factor.is_finite() && gain.factor > 0.0;
        !factor || gain.ci95.is_some_and(|ci95| !(ci95.is_finite() && ci95 >= 0.0))
    });
    match bad {
        None => Ok(()),
        Some((device, gain)) => {
            let object = format!("metrics.gains.{device}");
            Err(usage(&object, format!("{} is no gain", gain.factor))
                .remedy("set true energy / measured energy, for example 1.057"))
        }
    }
}

fn check_source_name(name: &str) -> Result<(), Fault> {
    if SOURCES.iter().any(|kind| kind.name == name) {
        return Ok(());
    }
    let known: Vec<&str> = SOURCES.iter().map(|kind| kind.name).collect();
    let fault = usage("metrics.sources", format!("there is no energy source `{name}`"));
    Err(match nearest(name, known.iter().copied()).first() {
        Some(close) => fault.remedy(format!("did you mean `{close}`? known are {}", known.join(", "))),
        None => fault.remedy(format!("known are {}", known.join(", "))),
    })
}

pub(crate) fn usage(object: &str, cause: impl Into<String>) -> Fault {
    Fault::new(FaultKind::Usage, object, cause)
}

/// Up to three of `known` that resemble `word`, the nearest first, without regard to case.
pub(crate) fn nearest<'a>(word: &str, known: impl Iterator<Item = &'a str>) -> Vec<&'a str> {
    let word = word.to_lowercase();
    let mut scored: Vec<(f64, &str)> = known
        .map(|candidate| (strsim::jaro_winkler(&word, &candidate.to_lowercase()), candidate))
        .filter(|(score, _)| *score >= 0.75)
        .collect();
    scored.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(b.1)));
    scored.into_iter().take(3).map(|(_, candidate)| candidate).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn read(value: serde_json::Value) -> Options {
        serde_json::from_value(value).unwrap()
    }

    #[test]
    fn sources_may_be_auto_a_name_a_line_or_a_list() {
        assert_eq!(read(json!({"sources": "auto"})).sources, SourceSelection::Auto);
        assert_eq!(read(json!({"sources": "rapl"})).sources, SourceSelection::Named(vec!["rapl".into()]));
        let two = SourceSelection::Named(vec!["nvml".into(), "rapl".into()]);
        assert_eq!(read(json!({"sources": "nvml, rapl"})).sources, two);
        assert_eq!(read(json!({"sources": ["nvml", "rapl"]})).sources, two);
        assert!(two.includes("rapl") && !two.includes("cpu_model"));
    }

    #[test]
    fn options_survive_json_and_refuse_unknown_keys() {
        let options = Options {
            gpu_ids: Some(vec![1.into(), GpuChoice::Name("GPU-7".into())]),
            cpu_tdp_watts: Some(65.0),
            ..Options::default()
        };
        let again: Options = serde_json::from_value(serde_json::to_value(&options).unwrap()).unwrap();
        assert_eq!(again, options);
        assert!(serde_json::from_value::<Options>(json!({"intervall_ms": 5})).is_err());
    }

    #[test]
    fn the_schema_allows_a_word_and_a_list_of_sources() {
        let schema = serde_json::to_string(&schemars::schema_for!(Options)).unwrap();
        assert!(schema.contains("\"array\"") && schema.contains("interval_ms"), "{schema}");
    }

    #[test]
    fn a_misspelt_source_is_named_with_its_neighbour() {
        let options = Options { sources: SourceSelection::Named(vec!["rappl".into()]), ..Options::default() };
        let fault = check_options(&options).unwrap_err();
        assert!(fault.cause.contains("`rappl`") && fault.remedy.contains("`rapl`"), "{fault}");
    }

    #[test]
    fn numbers_out_of_range_are_refused() {
        let good = Options::default();
        assert_eq!(check_options(&good), Ok(()));
        for bad in [
            Options { interval_ms: 0, ..good.clone() },
            Options { idle_seconds: IdleSeconds::Seconds(-1.0), ..good.clone() },
            Options { idle_seconds: IdleSeconds::Seconds(f64::NAN), ..good.clone() },
            Options { cpu_tdp_watts: Some(-1.0), ..good.clone() },
            Options { pue: 0.5, ..good.clone() },
            Options { pue: f64::NAN, ..good.clone() },
            Options { carbon_intensity_g_per_kwh: Some(-3.0), ..good.clone() },
            Options { country_iso_code: Some("XXX".into()), ..good.clone() },
        ] {
            let fault = check_options(&bad).unwrap_err();
            assert!(!fault.remedy.is_empty() && fault.object.starts_with("metrics."), "{fault}");
        }
    }
}
