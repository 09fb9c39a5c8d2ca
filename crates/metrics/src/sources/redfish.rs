//! Power of a whole machine from its management controller's Redfish service.
//!
//! The newer resource is a chassis' `EnvironmentMetrics`, the older its `Power` (DMTF DSP2046). Where several chassis
//! tell a power, one may contain another, as an enclosure its sleds: then the user has to name one.

use std::time::{Duration, Instant};

use ai_energy_core::energy::{Channel, ChannelKind, Domain, GainSource, Instrument, ReadFault, Scope};
use ai_energy_core::figure::Provenance;
use reqwest::Url;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::background::{Background, Hand};
use super::http::{Http, HttpError, HttpOptions, address, apart};
use super::{Found, Search};

/// The source's name.
pub(super) const NAME: &str = "redfish";

/// Power supplies report within a few per cent; no norm binds them.
const GAIN_CI95: f64 = 0.05;

/// Chassis that are looked at, at most.
const MOST_CHASSIS: usize = 32;

/// Options of reading a management controller through Redfish.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct RedfishOptions {
    /// Address of the controller, for example `https://bmc.example`. Unset: none.
    pub endpoint: Option<String>,
    /// Id of the chassis to read. Unset: the one that tells a power.
    pub chassis: Option<String>,
    /// Seconds between two readings.
    pub interval_seconds: f64,
    /// How it is reached.
    pub http: HttpOptions,
}

impl Default for RedfishOptions {
    /// No controller; once a second.
    fn default() -> Self {
        Self { endpoint: None, chassis: None, interval_seconds: 1.0, http: HttpOptions::default() }
    }
}

/// Where a power is told.
struct Place {
    chassis: String,
    url: Url,
}

/// Looks for a chassis that tells its power.
pub(super) fn discover(search: &Search<'_>) -> Found {
    let options = &search.options.redfish;
    let Some(endpoint) = &options.endpoint else {
        return Found::default();
    };
    let claims = vec![Domain::Node];
    let begin = Instant::now();
    let looked = apart(|| -> Result<_, (String, String)> {
        let told = |error: HttpError| (error.to_string(), error.remedy().to_owned());
        let http = Http::new(&options.http).map_err(told)?;
        let base = address(endpoint).map_err(told)?;
        let place = choose(places(&http, &base).map_err(told)?, options.chassis.as_deref())?;
        Ok((http, place))
    });
    let looked =
        looked.unwrap_or_else(|| Err(("the look at the controller failed".to_owned(), String::new())));
    match looked {
        Ok((http, place)) => {
            let period = Duration::from_secs_f64(options.interval_seconds);
            let latency = 2 * period + begin.elapsed() + Duration::from_secs(2);
            let channel = channel(endpoint, &place.chassis);
            let ask = move |hand: Hand<'_>| {
                let begin = Instant::now();
                let fault = |error: HttpError| ReadFault::Transient(error.to_string());
                let watts = watts(&http.json(&place.url, &[]).map_err(fault)?)
                    .ok_or_else(|| ReadFault::Transient(format!("{} tells no power", place.chassis)))?;
                hand(0, begin + begin.elapsed() / 2, (watts * 1e6).round() as u64);
                Ok(())
            };
            Found { claims, ..Found::source(Background::new(vec![channel], period, latency, ask)) }
        }
        Err((reason, remedy)) => Found { claims, ..Found::unavailable(NAME, Domain::Node, reason, remedy) },
    }
}

/// Every chassis that tells a power.
fn places(http: &Http, base: &Url) -> Result<Vec<Place>, HttpError> {
    let join = |path: &str| base.join(path).map_err(|error| HttpError::Settings(error.to_string()));
    let all = http.json(&join("/redfish/v1/Chassis")?, &[])?;
    let members = all["Members"].as_array().cloned().unwrap_or_default();
    let links = members.iter().filter_map(|member| member["@odata.id"].as_str());
    let mut places = Vec::new();
    for link in links.take(MOST_CHASSIS) {
        let chassis = http.json(&join(link)?, &[])?;
        let id = chassis["Id"].as_str().unwrap_or(link).to_owned();
        for resource in ["EnvironmentMetrics", "Power"] {
            let Some(link) = chassis[resource]["@odata.id"].as_str() else { continue };
            let url = join(link)?;
            // Services link resources that they then refuse; the other one may still tell.
            if http.json(&url, &[]).ok().as_ref().and_then(watts).is_some() {
                places.push(Place { chassis: id, url });
                break;
            }
        }
    }
    Ok(places)
}

fn choose(mut places: Vec<Place>, wanted: Option<&str>) -> Result<Place, (String, String)> {
    let ids: Vec<String> = places.iter().map(|place| place.chassis.clone()).collect();
    if let Some(wanted) = wanted {
        places.retain(|place| place.chassis == wanted);
    }
    match (places.pop(), places.is_empty()) {
        (Some(place), true) => Ok(place),
        (None, _) => {
            let reason = match wanted {
                Some(wanted) => format!("no chassis `{wanted}` tells a power; these do: {}", ids.join(", ")),
                None => "no chassis of this controller tells a power".to_owned(),
            };
            Err((reason, "set metrics.redfish.chassis to one that does, if there is one".to_owned()))
        }
        (Some(_), false) => Err((
            format!("several chassis tell a power, and one may contain another: {}", ids.join(", ")),
            "set metrics.redfish.chassis to the machine's".to_owned(),
        )),
    }
}

/// The power in an answer, W. Controllers without a sensor tell null or 0.
fn watts(answer: &Value) -> Option<f64> {
    let newer = answer["PowerWatts"]["Reading"].as_f64();
    let older = || answer["PowerControl"].as_array()?.first()?["PowerConsumedWatts"].as_f64();
    newer.or_else(older).filter(|watts| *watts > 0.0)
}

fn channel(endpoint: &str, chassis: &str) -> Channel {
    let host = Url::parse(endpoint).ok().and_then(|url| url.host_str().map(str::to_owned));
    let host = host.unwrap_or_default();
    Channel {
        name: format!("{NAME}:{chassis}"),
        domain: Domain::Node,
        device: format!("chassis {chassis} of {host}"),
        device_id: format!("{NAME}:{host}:{chassis}"),
        kind: ChannelKind::Power { averaging_ms: None },
        provenance: Provenance::Measured,
        source: "Redfish power reading".to_owned(),
        gain_ci95: Some(GAIN_CI95),
        counts: true,
        instrument: Instrument { gain_source: GainSource::Assumed, ..Instrument::of(Scope::Node) },
    }
}
