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

pub use crate::gain::Gain;
use crate::gain::check_gains;
use crate::grid::GridOptions;
use crate::location::check_location;
use crate::sources::SOURCES;
use crate::sources::bounded::LIMIT;
use crate::sources::{IpmiOptions, PrometheusOptions, RedfishOptions, WallMeterOptions};
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
    /// Longest time that the look for one energy source may take before the load, in seconds. A driver that takes longer
    /// hangs, and the run goes on without it.
    pub discovery_seconds: f64,
    /// GPUs to measure: indices as NVML numbers them, UUIDs or their beginnings, PCI bus ids, or MIG instances, each of
    /// which stands for its whole GPU. Unset: those that `CUDA_VISIBLE_DEVICES` names, or all where that is unset too.
    pub gpu_ids: Option<Vec<GpuChoice>>,
    /// Country whose grid feeds the machine, ISO 3166-1 alpha-3. Unset: USA, reported as "default, not stated".
    pub country_iso_code: Option<String>,
    /// Region within the country; for the USA a state's name or two-letter code.
    pub region: Option<String>,
    /// Grid carbon intensity in gCO2e/kWh; overrides the tables.
    pub carbon_intensity_g_per_kwh: Option<f64>,
    /// The grid's intensity of the hour from a service, where a token is given.
    pub grid: GridOptions,
    /// Power usage effectiveness of the building (1 or more); multiplies the energy for the emissions alone.
    pub pue: f64,
    /// Water usage effectiveness of the site, litres per kWh of the machine's energy, 0 or more. Unset: no water is told.
    pub wue: Option<f64>,
    /// Power in watts of all processors together under full load, for the model that stands in where RAPL cannot be
    /// read. Unset: 4 W per hardware thread.
    pub cpu_tdp_watts: Option<f64>,
    /// Calibrations by device identity (a GPU's UUID, or another `device_id` of the report), each found against a better
    /// instrument: a factor alone, as in `GPU-…: 1.057`, or `{factor: 1.057, ci95: 0.01}` with its own relative
    /// uncertainty at 95 %. Every joule of the device is multiplied by the factor.
    pub gains: BTreeMap<String, Gain>,
    /// A management controller through IPMI, for the power of the whole machine.
    pub ipmi: IpmiOptions,
    /// A management controller through Redfish, for the power of the whole machine.
    pub redfish: RedfishOptions,
    /// A meter's log, for the power of the whole machine at its socket.
    pub wall_meter: WallMeterOptions,
    /// A Prometheus server, for machines that this program does not run on.
    pub prometheus: PrometheusOptions,
}

impl Default for Options {
    /// All sources, ten readings a second, all visible GPUs, the USA as an unstated location, a PUE of 1.
    fn default() -> Self {
        Self {
            sources: SourceSelection::Auto,
            interval_ms: 100,
            idle_seconds: IdleSeconds::Auto,
            discovery_seconds: LIMIT.as_secs_f64(),
            gpu_ids: None,
            country_iso_code: None,
            region: None,
            carbon_intensity_g_per_kwh: None,
            grid: GridOptions::default(),
            pue: 1.0,
            wue: None,
            cpu_tdp_watts: None,
            gains: BTreeMap::new(),
            ipmi: IpmiOptions::default(),
            redfish: RedfishOptions::default(),
            wall_meter: WallMeterOptions::default(),
            prometheus: PrometheusOptions::default(),
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
            wue: self.wue,
            codecarbon: false,
            cpu_tdp_watts: self.cpu_tdp_watts,
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
    /// The value of `ROCR_VISIBLE_DEVICES`; `None` where it is unset.
    pub visible_rocr: Option<String>,
    /// The value of `HIP_VISIBLE_DEVICES`; `None` where it is unset.
    pub visible_hip: Option<String>,
    /// The device files, `/dev`.
    pub dev: PathBuf,
    /// The program `ipmitool`.
    pub ipmitool: OsString,
    /// The program `powermetrics`; `None` where there is none, which is everywhere but on macOS.
    pub powermetrics: Option<OsString>,
    /// The ROCm SMI shared library; `None` leaves the search to the system's loader.
    pub rocm_library: Option<OsString>,
}

impl Default for Roots {
    /// The system's own folders and programs; the libraries that `AI_ENERGY_NVML` and `AI_ENERGY_ROCM_SMI` name, where
    /// they are set and not empty.
    fn default() -> Self {
        let named = |variable: &str| std::env::var_os(variable).filter(|path| !path.is_empty());
        Self {
            powercap: PathBuf::from("/sys/class/powercap"),
            proc: PathBuf::from("/proc"),
            sys: PathBuf::from("/sys"),
            nvml_library: named("AI_ENERGY_NVML"),
            visible_gpus: std::env::var("CUDA_VISIBLE_DEVICES").ok(),
            visible_rocr: std::env::var("ROCR_VISIBLE_DEVICES").ok(),
            visible_hip: std::env::var("HIP_VISIBLE_DEVICES").ok(),
            dev: PathBuf::from("/dev"),
            ipmitool: OsString::from("ipmitool"),
            powermetrics: cfg!(target_os = "macos").then(|| OsString::from("powermetrics")),
            rocm_library: named("AI_ENERGY_ROCM_SMI"),
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
    check_places(options)?;
    check_location(&options.summary()).map(|_| ())
}

/// The settings of the sources that need some.
fn check_places(options: &Options) -> Result<(), Fault> {
    let positive = |object: &str, value: f64| match value.is_finite() && value > 0.0 {
        true => Ok(()),
        false => {
            Err(usage(object, format!("{value} is no time")).remedy("set seconds above 0, for example 1"))
        }
    };
    positive("metrics.discovery_seconds", options.discovery_seconds)?;
    positive("metrics.ipmi.interval_seconds", options.ipmi.interval_seconds)?;
    positive("metrics.redfish.interval_seconds", options.redfish.interval_seconds)?;
    positive("metrics.wall_meter.wait_seconds", options.wall_meter.wait_seconds)?;
    let meter = &options.wall_meter;
    if !(meter.gain_ci95.is_finite() && meter.gain_ci95 >= 0.0 && meter.clock_offset_seconds.is_finite()) {
        return Err(usage("metrics.wall_meter", "its error and its clock's offset have to be numbers")
            .remedy("set gain_ci95 by the meter's data sheet, for example 0.01"));
    }
    let prometheus = &options.prometheus;
    if prometheus.url.is_some() && prometheus.presets.is_empty() && prometheus.queries.is_empty() {
        return Err(usage("metrics.prometheus", "nothing is asked of the server")
            .remedy("set presets, for example [dcgm], or queries"));
    }
    Ok(())
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
            Options { wue: Some(-0.1), ..good.clone() },
            Options { pue: f64::NAN, ..good.clone() },
            Options { carbon_intensity_g_per_kwh: Some(-3.0), ..good.clone() },
            Options { country_iso_code: Some("XXX".into()), ..good.clone() },
        ] {
            let fault = check_options(&bad).unwrap_err();
            assert!(!fault.remedy.is_empty() && fault.object.starts_with("metrics."), "{fault}");
        }
    }
}
