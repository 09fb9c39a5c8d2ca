//! Counters and powers that a Prometheus server has collected, for machines that this program does not run on.
//!
//! The server is asked for the samples themselves (`query[…]`), so that each value has the moment of its scrape and not
//! that of the question; where the query is an expression, for its present value. The server's own clock is asked once
//! and set against ours. A domain that a query measures is this source's alone: the local machine's joules are others.

mod answer;
mod presets;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use ai_energy_core::energy::{Channel, ChannelKind, Domain, GainSource, Instrument, ReadFault, Scope};
use ai_energy_core::figure::Provenance;
use reqwest::Url;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::background::{Ask, Background, Hand};
use super::http::{Http, HttpError, HttpOptions, address, apart};
use super::{Found, Search};
use answer::{Series, series, server_time};
pub use presets::Preset;
use presets::Wanted;

/// The source's name.
pub(super) const NAME: &str = "prometheus";

/// How far back the first look goes, in seconds: several scrapes of any usual interval.
const FIRST_LOOK_SECONDS: f64 = 300.0;

/// The scrape interval where no two samples tell it, in seconds.
const USUAL_PERIOD_SECONDS: f64 = 15.0;

/// The longest wait for a scrape after the load, in seconds.
const LONGEST_WAIT_SECONDS: f64 = 180.0;

/// Options of reading from a Prometheus server.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct PrometheusOptions {
    /// Address of the server, for example `http://prometheus.example:9090`. Unset: none.
    pub url: Option<String>,
    /// What to look for: `dcgm` (NVIDIA GPUs, DCGM exporter), `node_exporter` (processors and memory, its rapl
    /// collector), `kepler` (processors and memory).
    pub presets: Vec<Preset>,
    /// Label matchers that single out the machine in the presets' metrics, for example `instance="gpu1:9400"`.
    pub selector: String,
    /// Further queries, each with what it measures.
    pub queries: Vec<PrometheusQuery>,
    /// How it is reached.
    pub http: HttpOptions,
}

/// A query of one's own.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PrometheusQuery {
    /// Any PromQL; each series of its answer is a channel.
    pub query: String,
    /// What the energy is spent in: `gpu`, `cpu`, `ram` or `node`.
    #[schemars(with = "String")]
    pub domain: Domain,
    /// Unit of its values: `J`, `mJ`, `uJ`, `Wh`, `kWh` for a counter of energy, `W`, `mW`, `uW`, `kW` for a power.
    pub unit: Unit,
    /// Relative error at 95 %. Unset: 0.05.
    #[serde(default)]
    pub gain_ci95: Option<f64>,
    /// Milliseconds that each power averages over, where that is known.
    #[serde(default)]
    pub averaging_ms: Option<u32>,
}

/// A unit of energy or power.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[allow(missing_docs, reason = "units are their own words")]
pub enum Unit {
    J,
    #[serde(rename = "mJ")]
    Millijoule,
    #[serde(rename = "uJ")]
    Microjoule,
    Wh,
    #[serde(rename = "kWh")]
    KilowattHour,
    W,
    #[serde(rename = "mW")]
    Milliwatt,
    #[serde(rename = "uW")]
    Microwatt,
    #[serde(rename = "kW")]
    Kilowatt,
}

impl Unit {
    /// Microjoules or microwatts in one of it.
    fn micro(self) -> f64 {
        match self {
            Self::J | Self::W => 1e6,
            Self::Millijoule | Self::Milliwatt => 1e3,
            Self::Microjoule | Self::Microwatt => 1.0,
            Self::Wh => 3.6e9,
            Self::KilowattHour => 3.6e12,
            Self::Kilowatt => 1e9,
        }
    }

    fn is_power(self) -> bool {
        matches!(self, Self::W | Self::Milliwatt | Self::Microwatt | Self::Kilowatt)
    }
}

/// Looks for series.
pub(super) fn discover(search: &Search<'_>) -> Found {
    let options = &search.options.prometheus;
    let Some(url) = &options.url else {
        return Found::default();
    };
    let wanted = presets::wanted(options);
    let mut claims: Vec<Domain> = wanted.iter().map(|wanted| wanted.domain).collect();
    claims.sort_unstable();
    claims.dedup();
    let looked = apart(|| look(url, options, &wanted));
    let looked = looked.unwrap_or_else(|| Err(("the look at the server failed".to_owned(), String::new())));
    match looked {
        Ok((channels, asking)) => {
            let wait = (2.0 * asking.period_seconds + 3.0).min(LONGEST_WAIT_SECONDS);
            let period = Duration::from_secs_f64((asking.period_seconds / 2.0).clamp(0.25, 5.0));
            let source = Background::new(channels, period, Duration::from_secs_f64(wait), asking);
            Found { claims, ..Found::source(source) }
        }
        Err((reason, remedy)) => {
            let missing =
                claims.iter().map(|domain| super::missing(NAME, *domain, &reason, &remedy)).collect();
            Found { unavailable: missing, claims, ..Found::default() }
        }
    }
}

/// What is found at the first look: the channels, and what to ask from then on.
fn look(
    url: &str,
    options: &PrometheusOptions,
    wanted: &[Wanted],
) -> Result<(Vec<Channel>, Asking), (String, String)> {
    let told = |error: HttpError| (error.to_string(), error.remedy().to_owned());
    let http = Http::new(&options.http).map_err(told)?;
    let api = address(url)
        .and_then(|base| base.join("api/v1/query").map_err(|error| HttpError::Settings(error.to_string())));
    let api = api.map_err(told)?;
    let (server_seconds, at) = server_clock(&http, &api).map_err(told)?;
    let (mut channels, mut asked, mut gaps) = (Vec::new(), Vec::new(), Vec::new());
    for (number, wanted) in wanted.iter().enumerate() {
        let (mut found, raw) = first_look(&http, &api, &wanted.query).map_err(told)?;
        presets::drop_repeats(&mut found);
        if found.is_empty() && !wanted.may_miss {
            let reason = format!("{url} has no series for `{}`", wanted.query);
            return Err((reason, "see that the exporter runs and is scraped, and the selector".to_owned()));
        }
        let mut places = BTreeMap::new();
        for series in found {
            gaps.extend(series.gaps());
            places.insert(series.key(), (channels.len(), f64::NEG_INFINITY));
            channels.push(channel(number, wanted, &series));
        }
        asked.push(Asked { query: wanted.query.clone(), raw, micro: wanted.unit.micro(), places });
    }
    if channels.is_empty() {
        let reason = format!("{url} has none of the series that are looked for");
        return Err((reason, "see that the exporters run and are scraped, and the selector".to_owned()));
    }
    gaps.sort_by(f64::total_cmp);
    let period_seconds = gaps.get(gaps.len() / 2).copied().unwrap_or(USUAL_PERIOD_SECONDS);
    for channel in &mut channels {
        channel.instrument.update_period_ms = Some(period_seconds * 1e3);
    }
    Ok((channels, Asking { http, api, asked, period_seconds, server_seconds, at }))
}

/// The server's time and the moment here that it belongs to: the middle of the question.
fn server_clock(http: &Http, api: &Url) -> Result<(f64, Instant), HttpError> {
    let begin = Instant::now();
    let answer = http.json(api, &[("query", "time()")])?;
    let at = begin + begin.elapsed() / 2;
    let seconds = server_time(&answer).ok_or_else(|| HttpError::NoJson(api.to_string()))?;
    Ok((seconds, at))
}

/// The series of a query, and whether their samples can be asked for.
fn first_look(http: &Http, api: &Url, query: &str) -> Result<(Vec<Series>, bool), HttpError> {
    match http.json(api, &[("query", &ranged(query, FIRST_LOOK_SECONDS))]) {
        Ok(answer) => Ok((series(&answer), true)),
        // The server's own parser says which queries are expressions: of these there are no samples.
        Err(HttpError::Refused(_, 400, _)) => Ok((series(&http.json(api, &[("query", query)])?), false)),
        Err(error) => Err(error),
    }
}

fn ranged(query: &str, seconds: f64) -> String {
    format!("{query}[{}s]", seconds.ceil())
}

fn channel(number: usize, wanted: &Wanted, series: &Series) -> Channel {
    let kind = match wanted.unit.is_power() {
        true => ChannelKind::Power { averaging_ms: wanted.averaging_ms },
        false => ChannelKind::Counter { wrap_microjoules: None },
    };
    let estimated = series.label("source").is_some_and(|source| source.contains("model"));
    Channel {
        name: format!("{NAME}:{number}:{}", series.name()),
        domain: wanted.domain,
        device: series.label("modelName").unwrap_or_else(|| series.name()),
        device_id: series.device(),
        kind,
        provenance: if estimated { Provenance::Estimated } else { Provenance::Measured },
        source: format!("Prometheus, {}", wanted.words),
        gain_ci95: Some(wanted.gain_ci95),
        counts: true,
        instrument: Instrument { gain_source: wanted.gain_source, ..Instrument::of(Scope::Unstated) },
    }
}

/// A query and what has come of it.
struct Asked {
    query: String,
    /// Samples are asked for, not the present value.
    raw: bool,
    micro: f64,
    /// By a series' labels: its channel, and its last sample's time.
    places: BTreeMap<String, (usize, f64)>,
}

/// What is asked in the background.
struct Asking {
    http: Http,
    api: Url,
    asked: Vec<Asked>,
    period_seconds: f64,
    /// The server's time at `at`.
    server_seconds: f64,
    at: Instant,
}

impl Ask for Asking {
    fn ask(&mut self, hand: Hand<'_>) -> Result<(), ReadFault> {
        let back = (4.0 * self.period_seconds).max(60.0);
        for asked in &mut self.asked {
            let query = if asked.raw { ranged(&asked.query, back) } else { asked.query.clone() };
            let answer = self.http.json(&self.api, &[("query", &query)]);
            let answer = answer.map_err(|error| ReadFault::Transient(error.to_string()))?;
            for series in series(&answer) {
                let Some((position, last)) = asked.places.get_mut(&series.key()) else { continue };
                for (seconds, value) in series.samples {
                    if seconds > *last && value.is_finite() && value >= 0.0 {
                        *last = seconds;
                        let at = moment(self.at, seconds - self.server_seconds);
                        hand(*position, at, (value * asked.micro).round() as u64);
                    }
                }
            }
        }
        Ok(())
    }
}

/// The moment this many seconds after another, or before it.
fn moment(at: Instant, seconds: f64) -> Instant {
    let span = Duration::try_from_secs_f64(seconds.abs()).unwrap_or_default();
    if seconds >= 0.0 { at + span } else { at.checked_sub(span).unwrap_or(at) }
}

/// Where a gain comes from that nobody stated.
const UNSTATED: (f64, GainSource) = (0.05, GainSource::Assumed);
