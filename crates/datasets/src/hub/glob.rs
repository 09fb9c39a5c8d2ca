//! File patterns as dataset cards write them: `*`, `?`, `[…]`, `{a,b}` within a folder, `**` across folders.
//!
//! Refuses to touch a disk: the hub lists its files, and a pattern only chooses among them.

use std::collections::HashSet;

/// Whether `path` fits `pattern`. A leading `./` means nothing.
pub(crate) fn matches(pattern: &str, path: &str) -> bool {
    let pattern = pattern.strip_prefix("./").unwrap_or(pattern);
    alternatives(pattern).iter().any(|plain| {
        let plain: Vec<char> = plain.chars().collect();
        let path: Vec<char> = path.chars().collect();
        fits(&plain, &path, &mut HashSet::new())
    })
}

/// The patterns without braces that a pattern stands for; at most 1,000, which no card comes near.
fn alternatives(pattern: &str) -> Vec<String> {
    let mut open = vec![pattern.to_owned()];
    let mut done = Vec::new();
    while let Some(next) = open.pop() {
        let close = next.find('}');
        let begin = close.and_then(|close| next[..close].rfind('{').map(|begin| (begin, close)));
        match begin {
            Some((begin, close)) if open.len() + done.len() < 1000 => {
                let choices = next[begin + 1..close].split(',');
                open.extend(
                    choices.map(|choice| format!("{}{choice}{}", &next[..begin], &next[close + 1..])),
                );
            }
            _ => done.push(next),
        }
    }
    done
}

/// Remainders of pattern and path (by length) that are known not to fit. Without it, a card with many stars could
/// keep the matcher busy for ever.
type Failed = HashSet<(usize, usize)>;

fn fits(pattern: &[char], path: &[char], failed: &mut Failed) -> bool {
    let key = (pattern.len(), path.len());
    if failed.contains(&key) {
        return false;
    }
    let fit = step(pattern, path, failed);
    if !fit {
        failed.insert(key);
    }
    fit
}

fn step(pattern: &[char], path: &[char], failed: &mut Failed) -> bool {
    match pattern {
        [] => path.is_empty(),
        ['*', '*', '/', rest @ ..] => {
            fits(rest, path, failed)
                || (0..path.len()).any(|at| path[at] == '/' && fits(rest, &path[at + 1..], failed))
        }
        ['*', '*', rest @ ..] => (0..=path.len()).any(|at| fits(rest, &path[at..], failed)),
        ['*', rest @ ..] => {
            let folder = path.iter().position(|c| *c == '/').unwrap_or(path.len());
            (0..=folder).any(|at| fits(rest, &path[at..], failed))
        }
        ['[', rest @ ..] => match (rest.iter().position(|c| *c == ']'), path.split_first()) {
            (Some(end), Some((first, path))) if end > 0 => {
                in_set(&rest[..end], *first) && fits(&rest[end + 1..], path, failed)
            }
            (None, Some(('[', path))) => fits(rest, path, failed),
            _ => false,
        },
        [wanted, rest @ ..] => match path.split_first() {
            Some((first, path)) => {
                (*wanted == *first || (*wanted == '?' && *first != '/')) && fits(rest, path, failed)
            }
            None => false,
        },
    }
}

/// Whether a character is in a set such as `0-9` or `!abc`.
fn in_set(set: &[char], c: char) -> bool {
    let (negated, mut set) = match set {
        ['!' | '^', rest @ ..] => (true, rest),
        _ => (false, set),
    };
    let mut hit = false;
    while let [low, rest @ ..] = set {
        if let ['-', high, after @ ..] = rest {
            hit |= (*low..=*high).contains(&c);
            set = after;
        } else {
            hit |= *low == c;
            set = rest;
        }
    }
    c != '/' && hit != negated
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn patterns_choose_what_cards_mean_by_them() {
        for (pattern, path, fit) in [
            ("data/train-*", "data/train-00000-of-00002.parquet", true),
            ("data/train-*", "data/test-00000-of-00002.parquet", false),
            ("*.csv", "a.csv", true),
            ("*.csv", "sub/a.csv", false),
            ("**/*.csv", "a.csv", true),
            ("**/*.csv", "x/y/a.csv", true),
            ("en/**", "en/x/a.parquet", true),
            ("./train.jsonl", "train.jsonl", true),
            ("{train,dev}.csv", "dev.csv", true),
            ("{train,dev}.csv", "test.csv", false),
            ("part-[0-9].json", "part-7.json", true),
            ("part-[!0-9].json", "part-7.json", false),
            ("part-?.json", "part-x.json", true),
            ("a?b", "a/b", false),
            ("train", "train-x", false),
            ("[", "[", true),
        ] {
            assert_eq!(matches(pattern, path), fit, "{pattern} {path}");
        }
    }

    #[test]
    fn many_stars_do_not_hang() {
        assert!(!matches(&"*a".repeat(40), &"a".repeat(39)));
    }

    proptest! {
        #[test]
        fn a_path_fits_itself_and_the_stars(path in "[a-z]{1,5}(/[a-z]{1,5}){0,3}\\.csv") {
            prop_assert!(matches(&path, &path));
            prop_assert!(matches("**", &path));
            prop_assert!(matches("**/*.csv", &path));
            prop_assert_eq!(matches("*", &path), !path.contains('/'));
        }

        #[test]
        fn no_pattern_panics(pattern in "[a-c*?\\[\\]{},!/-]{0,12}", path in "[a-c/\\[-]{0,8}") {
            matches(&pattern, &path);
        }
    }
}
