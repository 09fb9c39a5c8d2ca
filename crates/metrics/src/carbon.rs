//! Emissions of a run: energy times the building's overhead times the grid's intensity.
//!
//! Always `estimated`, however well the energy is known: a yearly mean of a country or state is not the grid of the
//! moment. The interval is the energy's alone, since no table states its error. Refuses to know the tables.

use ai_energy_core::figure::{Figure, Provenance};
use ai_energy_core::summary::Carbon;
use ai_energy_core::units::JOULES_PER_WATT_HOUR;

use crate::location::{IntensityKind, Location, WORLD_G_PER_KWH};
use crate::shares::Shares;

const INTERVAL_REMARK: &str =
    "the interval is the energy's alone; the intensity is a yearly mean without one";

/// The emissions of `total` joules at `location`; the world average where the record's location is not known.
pub fn carbon(total: &Figure, location: Option<&Location>, pue: f64, shares: &Shares) -> Carbon {
    let intensity = intensity(location);
    let joules_to_grams = intensity.value.unwrap_or(WORLD_G_PER_KWH) / (1000.0 * JOULES_PER_WATT_HOUR) * pue;
    let mut emissions = total.scaled(joules_to_grams, "g");
    if emissions.value.is_some() {
        emissions.provenance = Provenance::Estimated;
        emissions.source = format!("total energy × PUE {pue} × {}", intensity.source);
        emissions.reason = Some(match &total.reason {
            Some(reason) => format!("{reason}; {INTERVAL_REMARK}"),
            None => INTERVAL_REMARK.to_owned(),
        });
    }
    Carbon {
        emissions_per_request: shares.per_request(&emissions, "g/request"),
        emissions_per_output_token: shares.per_output_token(&emissions, "g/token"),
        emissions,
        country_iso_code: location.map(|place| place.country_iso_code.clone()),
        country_name: location.map(|place| place.country_name.clone()),
        region: location.and_then(|place| place.region.clone()),
        intensity_year: location.map_or(Some(2019), |place| place.year),
        intensity,
        licence: None,
        pue,
        wue: None,
        water: Figure::unavailable("L", "metrics.wue is not set"),
    }
}

fn intensity(location: Option<&Location>) -> Figure {
    let figure = |value, source: String| Figure::new(value, "g/kWh", Provenance::Estimated, source);
    let Some(place) = location else {
        return figure(WORLD_G_PER_KWH, "world average, International Energy Agency".to_owned())
            .with_reason("the location is not known");
    };
    let found = figure(place.g_per_kwh, place.source.clone());
    let default = (!place.stated).then_some("location not stated: USA is the default");
    let kind = match place.kind {
        IntensityKind::Lifecycle => Some("lifecycle: includes plants and fuel supply"),
        IntensityKind::Direct => Some("direct: emissions of the plants alone"),
        IntensityKind::World => Some("no value for this country: the world average"),
        IntensityKind::Given => None,
    };
    let remarks: Vec<&str> = default.into_iter().chain(kind).collect();
    if remarks.is_empty() { found } else { found.with_reason(remarks.join("; ")) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::location::check_location;
    use crate::summary::SummaryOptions;
    use ai_energy_core::summary::{Counts, Tokens};

    /// Two requests with 40 tokens together.
    fn shares() -> Shares {
        let counts = Counts { successful: 2, ..Counts::default() };
        Shares::new(&counts, &Tokens { completion: Some(40), ..Tokens::default() }, 2)
    }

    fn place(code: &str) -> Location {
        let options = SummaryOptions { country_iso_code: Some(code.into()), ..SummaryOptions::default() };
        check_location(&options).unwrap()
    }

    #[test]
    fn a_kilowatt_hour_emits_the_intensity_times_the_pue() {
        let total = Figure::new(3_600_000.0, "J", Provenance::Measured, "counter").with_ci95(36_000.0);
        let found = carbon(&total, Some(&place("EST")), 1.5, &shares());
        assert!((found.emissions.value.unwrap() - 416.7 * 1.5).abs() < 1e-9);
        assert!((found.emissions.ci95.unwrap() - 4.167 * 1.5).abs() < 1e-9);
        assert!((found.emissions_per_request.value.unwrap() - 416.7 * 1.5 / 2.0).abs() < 1e-9);
        let token = found.emissions_per_output_token;
        assert_eq!((token.unit.as_str(), token.provenance), ("g/token", Provenance::Estimated));
        assert!((token.value.unwrap() - 416.7 * 1.5 / 40.0).abs() < 1e-9);
        assert_eq!((found.emissions.provenance, found.emissions.unit.as_str()), (Provenance::Estimated, "g"));
        assert_eq!((found.country_iso_code.as_deref(), found.intensity_year), (Some("EST"), Some(2023)));
    }

    #[test]
    fn without_energy_there_are_no_emissions_and_the_reason_stays() {
        let found = carbon(&Figure::unavailable("J", "no sensor"), Some(&place("USA")), 1.0, &shares());
        assert_eq!((found.emissions.value, found.emissions.reason.as_deref()), (None, Some("no sensor")));
        assert_eq!(found.emissions.unit, "g");
        assert!(found.intensity.value.is_some());
    }

    #[test]
    fn no_place_is_the_world_and_no_country() {
        let total = Figure::new(3_600_000.0, "J", Provenance::Measured, "counter");
        let found = carbon(&total, None, 1.0, &shares());
        assert!((found.emissions.value.unwrap() - 475.0).abs() < 1e-9);
        assert_eq!(found.country_iso_code, None);
        assert!(found.emissions.source.contains("world average"));
    }
}
