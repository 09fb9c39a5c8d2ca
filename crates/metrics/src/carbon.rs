//! Emissions of a run: energy times the building's overhead times the grid's intensity.
//!
//! Always `estimated`, however well the energy is known: a yearly mean of a country or state is not the grid of the
//! moment. The interval is the energy's alone, since no table states its error. Refuses to know the tables.

use ai_energy_core::figure::{Figure, Provenance};
use ai_energy_core::record::GridIntensity;
use ai_energy_core::summary::Carbon;
use ai_energy_core::units::JOULES_PER_WATT_HOUR;

use crate::location::{IntensityKind, Location, WORLD_G_PER_KWH};
use crate::shares::Shares;

const INTERVAL_REMARK: &str = "the interval is the energy's alone; the intensity comes without one";

/// How the building uses energy and water.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Site {
    /// Power usage effectiveness, 1 or more.
    pub pue: f64,
    /// Water usage effectiveness, litres per kWh of the machine's energy.
    pub wue: Option<f64>,
}

/// The emissions of `total` joules at `location`, by the grid's own intensity at the time where a service told it, else
/// by the location's; the world average where the record's location is not known.
pub fn carbon(
    total: &Figure,
    location: Option<&Location>,
    grid: Option<&GridIntensity>,
    site: Site,
    shares: &Shares,
) -> Carbon {
    // What the user set stands above all.
    let grid = grid.filter(|_| location.is_none_or(|place| place.kind != IntensityKind::Given));
    let intensity = grid.map_or_else(|| intensity(location), of_the_hour);
    let pue = site.pue;
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
        intensity_year: match grid {
            Some(grid) => grid.at.get(..4).and_then(|year| year.parse().ok()),
            None => location.map_or(Some(2019), |place| place.year),
        },
        licence: match grid {
            Some(_) => None,
            None => location.and_then(|place| place.licence.map(str::to_owned)),
        },
        intensity,
        pue,
        wue: site.wue,
        water: water(total, site.wue),
    }
}

/// Water used on site: the machine's energy × water usage effectiveness, as The Green Grid defines it. The building's
/// overhead is no factor here: the effectiveness is per kWh of the machines.
fn water(total: &Figure, wue: Option<f64>) -> Figure {
    let Some(wue) = wue else {
        return Figure::unavailable("L", "metrics.wue is not set");
    };
    let mut water = total.scaled(wue / (1000.0 * JOULES_PER_WATT_HOUR), "L");
    if water.value.is_some() {
        water.provenance = Provenance::Estimated;
        water.source = format!("total energy × {wue} L/kWh");
    }
    water
}

/// The intensity that a service told for the run's hour.
fn of_the_hour(grid: &GridIntensity) -> Figure {
    let estimated = if grid.estimated == Some(true) { ", estimated by the service" } else { "" };
    let remark = format!("{} intensity of zone {} at {}{estimated}", grid.kind, grid.zone, grid.at);
    Figure::new(grid.g_per_kwh, "g/kWh", Provenance::Estimated, grid.source.clone()).with_reason(remark)
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
        let found = carbon(&total, Some(&place("EST")), None, site(1.5, None), &shares());
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
        let found = carbon(
            &Figure::unavailable("J", "no sensor"),
            Some(&place("USA")),
            None,
            site(1.0, None),
            &shares(),
        );
        assert_eq!((found.emissions.value, found.emissions.reason.as_deref()), (None, Some("no sensor")));
        assert_eq!(found.emissions.unit, "g");
        assert!(found.intensity.value.is_some());
    }

    fn site(pue: f64, wue: Option<f64>) -> Site {
        Site { pue, wue }
    }

    #[test]
    fn the_grids_own_hour_stands_above_the_table_and_below_what_the_user_set() {
        let total = Figure::new(3_600_000.0, "J", Provenance::Measured, "counter");
        let grid = GridIntensity {
            zone: "EE".to_owned(),
            g_per_kwh: 123.0,
            at: "2026-11-23T16:00:00.000Z".to_owned(),
            kind: "lifecycle".to_owned(),
            estimated: Some(true),
            source: "a service".to_owned(),
        };
        let found = carbon(&total, Some(&place("EST")), Some(&grid), site(1.0, None), &shares());
        assert!((found.emissions.value.unwrap() - 123.0).abs() < 1e-9);
        assert_eq!((found.intensity_year, found.licence), (Some(2026), None));
        let reason = found.intensity.reason.unwrap();
        assert!(reason.contains("zone EE") && reason.contains("estimated by the service"), "{reason}");
        let options = SummaryOptions { carbon_intensity_g_per_kwh: Some(7.0), ..SummaryOptions::default() };
        let given = check_location(&options).unwrap();
        let forced = carbon(&total, Some(&given), Some(&grid), site(1.0, None), &shares());
        assert!((forced.emissions.value.unwrap() - 7.0).abs() < 1e-9);
    }

    #[test]
    fn water_is_the_machines_energy_times_its_effectiveness_and_unknown_without_one() {
        let total = Figure::new(3_600_000.0, "J", Provenance::Measured, "counter").with_ci95(36_000.0);
        let found = carbon(&total, Some(&place("EST")), None, site(1.5, Some(1.8)), &shares()).water;
        assert!((found.value.unwrap() - 1.8).abs() < 1e-9, "without the building's overhead: {found:?}");
        assert!((found.ci95.unwrap() - 0.018).abs() < 1e-9 && found.unit == "L");
        let none = carbon(&total, Some(&place("EST")), None, site(1.5, None), &shares()).water;
        assert_eq!((none.value, none.reason.as_deref()), (None, Some("metrics.wue is not set")));
    }

    #[test]
    fn no_place_is_the_world_and_no_country() {
        let total = Figure::new(3_600_000.0, "J", Provenance::Measured, "counter");
        let found = carbon(&total, None, None, site(1.0, None), &shares());
        assert!((found.emissions.value.unwrap() - 475.0).abs() < 1e-9);
        assert_eq!(found.country_iso_code, None);
        assert!(found.emissions.source.contains("world average"));
    }
}
