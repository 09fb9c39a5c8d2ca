//! The grid's carbon intensity of the hour, from Electricity Maps.
//!
//! Asked once, before a run, and only where the user gave both a token and a zone: a place is never inferred. Refuses to
//! fail a run: what cannot be asked is a warning, and the tables stand in.
//!
//! Names of the request and the answer are those of the service's API reference, `/v3/carbon-intensity/latest`
//! (portal.electricitymaps.com, "API Reference" and "Getting started"). It says that the service falls back on the place
//! of the caller's address where it does not know the zone, unless `shouldUseFallbackCallerLookup` is false; and that the
//! default `emissionFactorType` is `lifecycle`, the kind of the table by country, which is asked for by name here.

use std::time::Duration;

use ai_energy_core::record::GridIntensity;
use ai_energy_core::{Fault, FaultKind};
use reqwest::StatusCode;
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Environment variable with the service's token.
pub const TOKEN_VARIABLE: &str = "ELECTRICITYMAPS_API_TOKEN";

/// Longest time for the answer.
const LIMIT: Duration = Duration::from_secs(10);

/// What the intensity is to include.
const KIND: &str = "lifecycle";

/// Whom to ask about the grid.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct GridOptions {
    /// Zone of the grid that feeds the machine, in Electricity Maps' codes, for example `DE` or `US-CAL-CISO`. With it and
    /// a token in `ELECTRICITYMAPS_API_TOKEN` the intensity of the hour is asked for; without either the tables hold.
    pub zone: Option<String>,
    /// Address of the service.
    pub endpoint: String,
}

impl Default for GridOptions {
    /// No zone: nobody is asked.
    fn default() -> Self {
        Self { zone: None, endpoint: "https://api.electricitymaps.com".to_owned() }
    }
}

/// The part of the answer that is used. Further fields are `updatedAt`, `createdAt`, `estimationMethod` and, in newer
/// answers, `temporalGranularity`.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Answer {
    zone: String,
    carbon_intensity: f64,
    datetime: String,
    emission_factor_type: Option<String>,
    is_estimated: Option<bool>,
}

/// Asks for the intensity of the hour; `None` where the options name no zone or there is no token.
///
/// # Errors
/// The service cannot be reached, refuses the token or the zone, or answers with something else. No message holds the
/// token.
pub async fn ask(options: &GridOptions, token: Option<&str>) -> Result<Option<GridIntensity>, Fault> {
    let token = token.map(str::trim).filter(|token| !token.is_empty());
    let (Some(zone), Some(token)) = (options.zone.as_deref(), token) else {
        return Ok(None);
    };
    let fault = |cause: String| Fault::new(FaultKind::Backend, "Electricity Maps", cause);
    let client = client(token).map_err(fault)?;
    let url = format!("{}/v3/carbon-intensity/latest", options.endpoint.trim_end_matches('/'));
    let query = [("zone", zone), ("emissionFactorType", KIND), ("shouldUseFallbackCallerLookup", "false")];
    let sent = client.get(&url).query(&query).send().await;
    let response = sent.map_err(|error| fault(format!("cannot be reached: {}", reason(&error))))?;
    match response.status() {
        status if status.is_success() => {}
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
            return Err(fault(format!("refuses the token for zone `{zone}`"))
                .remedy(format!("see that {TOKEN_VARIABLE} holds a token for this zone")));
        }
        status => {
            return Err(fault(format!("answers {status} for zone `{zone}`"))
                .remedy("see that metrics.grid.zone is one of its zones, such as DE or US-CAL-CISO"));
        }
    }
    let answer: Answer = response
        .json()
        .await
        .map_err(|error| fault(format!("answers something else: {}", reason(&error))))?;
    if !answer.zone.eq_ignore_ascii_case(zone) {
        return Err(fault(format!("answers for zone `{}`, and zone `{zone}` was asked for", answer.zone))
            .remedy("see that metrics.grid.zone is one of its zones, such as DE or US-CAL-CISO"));
    }
    if !(answer.carbon_intensity.is_finite() && answer.carbon_intensity >= 0.0) {
        return Err(fault(format!("answers {} g/kWh, which is no intensity", answer.carbon_intensity)));
    }
    Ok(Some(GridIntensity {
        zone: answer.zone,
        g_per_kwh: answer.carbon_intensity,
        at: answer.datetime,
        kind: answer.emission_factor_type.unwrap_or_else(|| KIND.to_owned()),
        estimated: answer.is_estimated,
        source: "Electricity Maps".to_owned(),
    }))
}

/// A client that sends the token as the service wants it, and shows it nowhere.
fn client(token: &str) -> Result<reqwest::Client, String> {
    let mut value = HeaderValue::from_str(token)
        .map_err(|_| format!("{TOKEN_VARIABLE} holds signs that no token has"))?;
    value.set_sensitive(true);
    let headers = HeaderMap::from_iter([(HeaderName::from_static("auth-token"), value)]);
    let builder = reqwest::Client::builder().timeout(LIMIT).default_headers(headers);
    builder.build().map_err(|error| format!("no client can be made: {}", reason(&error)))
}

/// The innermost cause, without the address.
fn reason(error: &reqwest::Error) -> String {
    let mut cause: &dyn std::error::Error = error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    cause.to_string()
}
