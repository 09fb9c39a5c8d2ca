//! Where the electricity comes from: countries, US states and what their grids emit.
//!
//! The tables are compiled in; no network is asked. Refuses to guess: a code that is no country is an error, a country
//! without a row gets the world average and says so.

use ai_energy_core::Fault;

use crate::options::{nearest, usage};
use crate::summary::SummaryOptions;

/// Mean intensity of the world's electricity, gCO2e/kWh (International Energy Agency, 2019).
pub const WORLD_G_PER_KWH: f64 = 475.0;

/// The country that stands where none is stated, as in the Python package.
pub const DEFAULT_COUNTRY: &str = "USA";

const BY_COUNTRY: &str = include_str!("../data/grid_carbon_by_country.csv");
const BY_US_STATE: &str = include_str!("../data/grid_carbon_us_states.csv");

const OWID_LICENCE: &str = "CC BY 4.0: Our World in Data, from Ember's yearly electricity data and the Energy Institute's Statistical Review";

/// eGRID's subregions (EPA eGRID2023 Technical Guide), which follow the grid and not state borders. The shipped table
/// has states alone; a subregion's rate can be set by hand.
const EGRID_SUBREGIONS: [&str; 27] = [
    "AKGD", "AKMS", "AZNM", "CAMX", "ERCT", "FRCC", "HIMS", "HIOA", "MROE", "MROW", "NEWE", "NWPP", "NYCW",
    "NYLI", "NYUP", "PRMS", "RFCE", "RFCM", "RFCW", "RMPA", "SPNO", "SPSO", "SRMV", "SRMW", "SRSO", "SRTV",
    "SRVC",
];

/// Countries and territories of ISO 3166-1 that the table has no row for.
const WITHOUT_ROW: [(&str, &str); 36] = [
    ("AIA", "Anguilla"),
    ("ALA", "Aland Islands"),
    ("AND", "Andorra"),
    ("ATA", "Antarctica"),
    ("ATF", "French Southern Territories"),
    ("BES", "Bonaire, Sint Eustatius and Saba"),
    ("BLM", "Saint Barthelemy"),
    ("BVT", "Bouvet Island"),
    ("CCK", "Cocos (Keeling) Islands"),
    ("CUW", "Curacao"),
    ("CXR", "Christmas Island"),
    ("FSM", "Micronesia"),
    ("GGY", "Guernsey"),
    ("HMD", "Heard Island and McDonald Islands"),
    ("IMN", "Isle of Man"),
    ("IOT", "British Indian Ocean Territory"),
    ("JEY", "Jersey"),
    ("LIE", "Liechtenstein"),
    ("MAF", "Saint Martin"),
    ("MCO", "Monaco"),
    ("MHL", "Marshall Islands"),
    ("MNP", "Northern Mariana Islands"),
    ("MYT", "Mayotte"),
    ("NFK", "Norfolk Island"),
    ("NIU", "Niue"),
    ("PCN", "Pitcairn"),
    ("PLW", "Palau"),
    ("SGS", "South Georgia and the South Sandwich Islands"),
    ("SJM", "Svalbard and Jan Mayen"),
    ("SMR", "San Marino"),
    ("SXM", "Sint Maarten"),
    ("TKL", "Tokelau"),
    ("TUV", "Tuvalu"),
    ("UMI", "United States Minor Outlying Islands"),
    ("VAT", "Vatican City"),
    ("WLF", "Wallis and Futuna"),
];

/// What an intensity includes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IntensityKind {
    /// Building plants and supplying fuel are included.
    Lifecycle,
    /// Emissions of the plants alone.
    Direct,
    /// The world average, for want of a better one.
    World,
    /// Set by the user.
    Given,
}

/// A resolved location.
#[derive(Debug, Clone, PartialEq)]
pub struct Location {
    /// ISO 3166-1 alpha-3.
    pub country_iso_code: String,
    /// The country's name.
    pub country_name: String,
    /// The region as the table writes it, or as the user did where there is no table for the country.
    pub region: Option<String>,
    /// `false` where no country was stated and [`DEFAULT_COUNTRY`] stands in.
    pub stated: bool,
    /// Grid intensity, gCO2e/kWh.
    pub g_per_kwh: f64,
    /// What it includes.
    pub kind: IntensityKind,
    /// The year it is of.
    pub year: Option<u16>,
    /// Where it comes from, for reports.
    pub source: String,
    /// Licence of that source, and what it wants said; `None` where there is none.
    pub licence: Option<&'static str>,
    /// `true` where a region was given that no table knows, so that the whole country's value is used.
    pub region_unused: bool,
}

#[derive(Clone, Copy)]
struct Row {
    code: &'static str,
    name: &'static str,
    year: Option<u16>,
    g_per_kwh: f64,
}

/// Rows of a table whose columns are `first,second,year,intensity`; no field of either table is quoted.
fn rows(table: &'static str) -> impl Iterator<Item = (&'static str, &'static str, Option<u16>, f64)> {
    table.lines().skip(1).filter_map(|line| {
        let mut fields = line.split(',');
        let (first, second) = (fields.next()?, fields.next()?);
        let year = fields.next()?.parse().ok();
        Some((first, second, year, fields.next()?.trim().parse().ok()?))
    })
}

fn countries() -> impl Iterator<Item = Row> {
    rows(BY_COUNTRY).map(|(code, name, year, g_per_kwh)| Row { code, name, year, g_per_kwh })
}

/// US states; the table's row for the whole country is none.
fn states() -> impl Iterator<Item = Row> {
    rows(BY_US_STATE).filter(|(name, ..)| *name != "usa").map(|(name, code, year, g_per_kwh)| Row {
        code,
        name,
        year,
        g_per_kwh,
    })
}

/// The location that `options` state, with the intensity that holds there: the user's own, else the US state's, else
/// the country's, else the world's.
///
/// # Errors
/// A country code that is none (with the nearest codes or names), an unknown US state, an intensity or a PUE out of
/// range.
pub fn check_location(options: &SummaryOptions) -> Result<Location, Fault> {
    check_numbers(options)?;
    let stated = options.country_iso_code.as_deref().map(str::trim).filter(|code| !code.is_empty());
    let mut location = country(stated.unwrap_or(DEFAULT_COUNTRY))?;
    location.stated = stated.is_some();
    if let Some(region) = options.region.as_deref().map(str::trim).filter(|region| !region.is_empty()) {
        set_region(&mut location, region)?;
    }
    if let Some(g_per_kwh) = options.carbon_intensity_g_per_kwh {
        location.g_per_kwh = g_per_kwh;
        location.kind = IntensityKind::Given;
        location.year = None;
        location.licence = None;
        location.source = "intensity set in the configuration".to_owned();
        location.region_unused = false;
    }
    Ok(location)
}

fn check_numbers(options: &SummaryOptions) -> Result<(), Fault> {
    if !(options.pue.is_finite() && options.pue >= 1.0) {
        return Err(usage("metrics.pue", format!("{} is not a power usage effectiveness", options.pue))
            .remedy("set 1 or more; 1 counts the machine alone"));
    }
    if let Some(wue) = options.wue
        && !(wue.is_finite() && wue >= 0.0)
    {
        return Err(usage("metrics.wue", format!("{wue} is not a water usage effectiveness"))
            .remedy("set litres per kWh, 0 or more, or leave it out"));
    }
    match options.carbon_intensity_g_per_kwh {
        Some(given) if !(given.is_finite() && given >= 0.0) => {
            Err(usage("metrics.carbon_intensity_g_per_kwh", format!("{given} is not an intensity"))
                .remedy("set gCO2e per kWh, 0 or more, or leave it out to use the shipped tables"))
        }
        _ => Ok(()),
    }
}

fn country(written: &str) -> Result<Location, Fault> {
    let code = written.to_ascii_uppercase();
    let found = |name: &str, g_per_kwh, kind, year, source: &str, licence| Location {
        country_iso_code: code.clone(),
        country_name: name.to_owned(),
        region: None,
        stated: true,
        g_per_kwh,
        kind,
        year,
        source: source.to_owned(),
        licence,
        region_unused: false,
    };
    if let Some(row) = countries().find(|row| row.code == code) {
        let source = "lifecycle, Our World in Data from Ember and the Energy Institute, CC BY 4.0";
        return Ok(found(
            row.name,
            row.g_per_kwh,
            IntensityKind::Lifecycle,
            row.year,
            source,
            Some(OWID_LICENCE),
        ));
    }
    if let Some((_, name)) = WITHOUT_ROW.iter().find(|(known, _)| *known == code) {
        let source = "world average, International Energy Agency";
        return Ok(found(name, WORLD_G_PER_KWH, IntensityKind::World, Some(2019), source, None));
    }
    Err(unknown_country(written))
}

fn unknown_country(written: &str) -> Fault {
    let fault =
        usage("metrics.country_iso_code", format!("`{written}` is no ISO 3166-1 alpha-3 country code"));
    let named = |name: &str| countries().find(|row| row.name.eq_ignore_ascii_case(name));
    if let Some(row) = named(written) {
        return fault.remedy(format!("{} is `{}`", row.name, row.code));
    }
    let mut close: Vec<Row> =
        nearest(written, countries().map(|row| row.name)).into_iter().filter_map(named).collect();
    if written.len() <= 3 {
        // `GER` is more often the begin of a name than a slip of the pen.
        let begin =
            |row: &Row| row.name.get(..written.len()).is_some_and(|name| name.eq_ignore_ascii_case(written));
        let codes = nearest(written, countries().map(|row| row.code));
        let by_code = codes.into_iter().filter_map(|code| countries().find(|row| row.code == code));
        close = countries().filter(begin).chain(by_code).take(3).collect();
    }
    if close.is_empty() {
        return fault.remedy("use a code of three letters, for example USA, DEU or JPN");
    }
    let close: Vec<String> = close.iter().map(|row| format!("`{}` ({})", row.code, row.name)).collect();
    fault.remedy(format!("did you mean {}?", close.join(" or ")))
}

fn set_region(location: &mut Location, written: &str) -> Result<(), Fault> {
    if location.country_iso_code != "USA" {
        location.region = Some(written.to_owned());
        location.region_unused = true;
        return Ok(());
    }
    let name = written.replace(['_', '-'], " ");
    let code = name.trim_start_matches("US ").trim_start_matches("us ");
    let state =
        states().find(|row| row.name.eq_ignore_ascii_case(&name) || row.code.eq_ignore_ascii_case(code));
    let Some(state) = state else {
        if EGRID_SUBREGIONS.iter().any(|known| known.eq_ignore_ascii_case(written)) {
            let cause =
                format!("`{written}` is a subregion of eGRID, and the shipped table has states alone");
            return Err(usage("metrics.region", cause).remedy(
                "name the state, or set metrics.carbon_intensity_g_per_kwh to the subregion's CO2e total output \
                 emission rate from EPA's table, lb/MWh × 0.4536",
            ));
        }
        let fault = usage("metrics.region", format!("`{written}` is no state of the USA"));
        let close = nearest(&name, states().map(|row| row.name));
        return Err(match close.is_empty() {
            true => fault.remedy("use a state's name or two-letter code, for example california or CA"),
            false => fault.remedy(format!("did you mean `{}`?", close.join("` or `"))),
        });
    };
    location.region = Some(state.name.to_owned());
    location.g_per_kwh = state.g_per_kwh;
    location.kind = IntensityKind::Direct;
    location.year = state.year;
    location.source = "direct, US EPA eGRID2023".to_owned();
    location.licence = Some("work of the US government, public domain");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(country: Option<&str>, region: Option<&str>) -> Result<Location, Fault> {
        check_location(&SummaryOptions {
            country_iso_code: country.map(str::to_owned),
            region: region.map(str::to_owned),
            ..SummaryOptions::default()
        })
    }

    #[test]
    fn every_row_of_both_tables_is_read_and_no_code_twice() {
        assert_eq!(countries().count(), BY_COUNTRY.trim_end().lines().count() - 1);
        assert_eq!(states().count(), 51, "fifty states and the district");
        let mut codes: Vec<&str> =
            countries().map(|row| row.code).chain(WITHOUT_ROW.iter().map(|row| row.0)).collect();
        assert_eq!(codes.len(), 249, "all of ISO 3166-1");
        codes.sort_unstable();
        codes.dedup();
        assert_eq!(codes.len(), 249);
        assert!(codes.iter().all(|code| code.len() == 3));
    }

    #[test]
    fn a_country_a_state_by_name_and_by_code() {
        let estonia = at(Some("est"), None).unwrap();
        assert_eq!((estonia.country_name.as_str(), estonia.g_per_kwh), ("Estonia", 416.7));
        assert_eq!((estonia.kind, estonia.stated), (IntensityKind::Lifecycle, true));
        for written in ["california", "California", "CA", "US-CA"] {
            let california = at(Some("USA"), Some(written)).unwrap();
            assert_eq!((california.g_per_kwh, california.kind), (179.1, IntensityKind::Direct), "{written}");
            assert_eq!(california.region.as_deref(), Some("california"));
        }
        assert_eq!(at(Some("USA"), Some("new_york")).unwrap().g_per_kwh, 211.7);
    }

    #[test]
    fn unset_is_the_default_and_says_so() {
        let unset = at(None, None).unwrap();
        assert_eq!((unset.country_iso_code.as_str(), unset.stated), ("USA", false));
        assert!(at(Some("USA"), None).unwrap().stated);
    }

    #[test]
    fn unknown_places_are_errors_with_neighbours() {
        let name = at(Some("Germany"), None).unwrap_err();
        assert!(name.remedy.contains("`DEU`"), "{name}");
        let typo = at(Some("Germny"), None).unwrap_err();
        assert!(typo.remedy.contains("`DEU` (Germany)"), "{typo}");
        let swapped = at(Some("DUE"), None).unwrap_err();
        assert!(swapped.remedy.contains("DEU"), "{swapped}");
        let state = at(Some("USA"), Some("californa")).unwrap_err();
        assert!(state.remedy.contains("`california`"), "{state}");
        let subregion = at(Some("USA"), Some("camx")).unwrap_err();
        assert!(subregion.cause.contains("subregion of eGRID"), "{subregion}");
        assert!(subregion.remedy.contains("0.4536"), "{subregion}");
        assert!(at(Some("USA"), Some("usa")).is_err(), "the whole country is no region of itself");
    }

    #[test]
    fn no_row_means_the_world_average_and_no_table_means_the_country() {
        let monaco = at(Some("MCO"), None).unwrap();
        assert_eq!((monaco.g_per_kwh, monaco.kind), (WORLD_G_PER_KWH, IntensityKind::World));
        let quebec = at(Some("CAN"), Some("quebec")).unwrap();
        assert!(quebec.region_unused && quebec.region.as_deref() == Some("quebec"));
        assert_eq!(quebec.g_per_kwh, at(Some("CAN"), None).unwrap().g_per_kwh);
    }

    #[test]
    fn the_users_own_intensity_wins() {
        let options = SummaryOptions { carbon_intensity_g_per_kwh: Some(12.5), ..SummaryOptions::default() };
        let given = check_location(&options).unwrap();
        assert_eq!((given.g_per_kwh, given.kind, given.year), (12.5, IntensityKind::Given, None));
    }
}
