//! Ranks models by the GPU energy of a query and gives AI Energy Score's one to five stars.
//!
//! The rule is AI Energy Score's, from its public documentation: the range between the least and the greatest GPU energy
//! of a class's models is cut into five equal bands, and the band of least energy has five stars. Refuses to guess a class's range
//! from the models at hand: a best of three is not a best of its class.

use ai_energy_core::ranking::{Bands, Candidate, Ranked, Ranking};

/// Number of bands.
const BANDS: f64 = 5.0;

/// Energies of a class's models, Wh of 1,000 queries.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct ClassEnergies {
    /// Class and energy; an empty class stands for every class.
    pub energies: Vec<(String, f64)>,
}

/// Ranks the models within their task and class, least energy first. `classes` gives the stars.
pub fn rank(candidates: Vec<Candidate>, classes: Option<&ClassEnergies>) -> Ranking {
    let bands = classes.map_or_else(Vec::new, bands);
    let mut candidates = candidates;
    let energy = |candidate: &Candidate| {
        candidate.wh_per_1000_queries.filter(|wh| wh.is_finite() && *wh >= 0.0 && candidate.error.is_empty())
    };
    candidates.sort_by(|a, b| {
        let place = |of: &Candidate| (of.task.clone(), of.class.clone());
        let size = |of: &Candidate| energy(of).unwrap_or(f64::INFINITY);
        place(a).cmp(&place(b)).then(size(a).total_cmp(&size(b)))
    });
    let mut rows: Vec<Ranked> = Vec::with_capacity(candidates.len());
    for candidate in candidates {
        let before = rows
            .last()
            .filter(|row| (&row.candidate.task, &row.candidate.class) == (&candidate.task, &candidate.class));
        let place = before.and_then(|row| row.rank).map_or(1, |rank| rank + 1);
        let found = energy(&candidate);
        let stars = match found {
            Some(wh) => stars_of(wh, &candidate.class, &bands),
            None if !candidate.error.is_empty() => Err("its run failed".to_owned()),
            None => Err("its GPU energy is not known".to_owned()),
        };
        rows.push(Ranked {
            candidate,
            rank: found.map(|_| place),
            stars: stars.as_ref().ok().copied(),
            no_stars: stars.err(),
        });
    }
    Ranking { rows, bands }
}

fn bands(classes: &ClassEnergies) -> Vec<Bands> {
    let mut bands: Vec<Bands> = Vec::new();
    for (class, wh) in classes.energies.iter().filter(|(_, wh)| wh.is_finite() && *wh >= 0.0) {
        match bands.iter_mut().find(|band| band.class.eq_ignore_ascii_case(class)) {
            Some(band) => {
                band.least = band.least.min(*wh);
                band.greatest = band.greatest.max(*wh);
                band.count += 1;
            }
            None => bands.push(Bands { class: class.clone(), least: *wh, greatest: *wh, count: 1 }),
        }
    }
    bands
}

fn stars_of(wh: f64, class: &str, bands: &[Bands]) -> Result<u8, String> {
    if bands.is_empty() {
        return Err("no file of class energies is given".to_owned());
    }
    let of_class = bands.iter().find(|band| band.class.eq_ignore_ascii_case(class));
    let band = of_class.or_else(|| bands.iter().find(|band| band.class.is_empty()));
    let band = band.ok_or_else(|| format!("the file of energies has no class `{class}`"))?;
    if band.greatest <= band.least {
        return Err(format!("the class has {} energies and no range", band.count));
    }
    Ok(stars(wh, band.least, band.greatest))
}

/// The stars of an energy in a class's range. An energy on an edge belongs to the better band; less than the least has
/// five stars, more than the greatest one.
pub fn stars(wh: f64, least: f64, greatest: f64) -> u8 {
    let width = (greatest - least) / BANDS;
    // A hair's breadth above an edge is what rounding of the edge itself makes.
    let place = (wh - least) / width;
    let band = (place - 1e-9).ceil().clamp(1.0, BANDS);
    (BANDS - band) as u8 + 1
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn candidate(model: &str, class: &str, wh: Option<f64>) -> Candidate {
        Candidate {
            model: model.into(),
            class: class.into(),
            wh_per_1000_queries: wh,
            ..Candidate::default()
        }
    }

    #[test]
    fn five_equal_bands_with_edges_to_the_better_side() {
        let of = |wh: f64| stars(wh, 10.0, 20.0);
        assert_eq!(
            [10.0, 12.0, 12.001, 14.0, 14.001, 16.0, 16.001, 18.0, 18.001, 20.0].map(of),
            [5, 5, 4, 4, 3, 3, 2, 2, 1, 1]
        );
        assert_eq!((of(3.0), of(99.0)), (5, 1), "beyond the range");
        // Edges that have no exact binary value stay edges.
        assert_eq!([0.1, 0.16, 0.22, 0.28, 0.34, 0.4].map(|wh| stars(wh, 0.1, 0.4)), [5, 5, 4, 3, 2, 1]);
    }

    #[test]
    fn models_are_ranked_within_task_and_class_and_what_has_no_energy_is_last_with_the_reason() {
        let failed = Candidate { error: "no server".into(), ..candidate("f", "A", Some(1.0)) };
        let all = vec![
            failed,
            candidate("b", "A", Some(15.0)),
            candidate("n", "A", None),
            candidate("a", "A", Some(11.0)),
            candidate("c", "B", Some(9.0)),
        ];
        let classes =
            ClassEnergies { energies: vec![("a".into(), 10.0), ("A".into(), 20.0), ("A".into(), f64::NAN)] };
        let found = rank(all, Some(&classes));
        let row = |model: &str| found.rows.iter().find(|row| row.candidate.model == model).unwrap();
        assert_eq!((row("a").rank, row("a").stars), (Some(1), Some(5)));
        assert_eq!((row("b").rank, row("b").stars), (Some(2), Some(3)));
        assert_eq!((row("n").rank, row("n").stars), (None, None));
        assert!(row("n").no_stars.as_deref().unwrap().contains("not known"));
        assert!(row("f").no_stars.as_deref().unwrap().contains("failed"));
        assert_eq!(row("c").rank, Some(1), "the first of its own class");
        assert!(row("c").no_stars.as_deref().unwrap().contains("no class `B`"));
        assert_eq!((found.bands[0].count, found.bands.len()), (2, 1));
    }

    #[test]
    fn without_a_file_or_a_range_there_are_no_stars() {
        let one = || vec![candidate("a", "", Some(1.0))];
        assert!(rank(one(), None).rows[0].no_stars.as_deref().unwrap().contains("no file"));
        let single = ClassEnergies { energies: vec![(String::new(), 5.0)] };
        assert!(rank(one(), Some(&single)).rows[0].no_stars.as_deref().unwrap().contains("no range"));
    }

    proptest! {
        #[test]
        fn less_energy_never_has_fewer_stars(a in 0.0..100.0f64, b in 0.0..100.0f64, least in 0.0..50.0f64, range in 0.1..50.0f64) {
            let (low, high) = (a.min(b), a.max(b));
            let of = |wh: f64| stars(wh, least, least + range);
            prop_assert!(of(low) >= of(high));
            prop_assert!((1..=5).contains(&of(a)));
        }
    }
}
