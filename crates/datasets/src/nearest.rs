//! The name a user most likely meant.
//!
//! Refuses to know what the names name.

/// The candidate closest to `given`, where one is close enough to be worth a question: within a third of the longer
/// length, letter case aside, by Damerau and Levenshtein's distance.
pub(crate) fn nearest<'a>(given: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let given = given.to_lowercase();
    candidates
        .into_iter()
        .map(|candidate| {
            let lower = candidate.to_lowercase();
            let distance = strsim::damerau_levenshtein(&given, &lower);
            (distance, distance * 3 <= given.chars().count().max(lower.chars().count()), candidate)
        })
        .filter(|(_, close, _)| *close)
        .min_by_key(|(distance, _, _)| *distance)
        .map(|(_, _, candidate)| candidate)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_names_are_found_and_far_ones_are_not() {
        assert_eq!(nearest("promt", ["text", "prompt", "id"]), Some("prompt"));
        assert_eq!(nearest("TEXT", ["text"]), Some("text"));
        assert_eq!(nearest("question", ["text", "id"]), None);
        assert_eq!(nearest("a", []), None);
    }
}
