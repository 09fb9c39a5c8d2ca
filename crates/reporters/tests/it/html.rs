//! `report.html` as a parser that follows the standard reads it: well formed, self-contained, nothing foreign in it.

use std::collections::BTreeSet;

use ai_energy_core::summary::{ClientBound, DomainPower, Health, RequestTimes, Sign, TimeBin};
use ai_energy_core::{Domain, Figure, Provenance};
use ai_energy_reporters::html::run::page;
use html5gum::{DefaultEmitter, Token, Tokenizer};

use crate::support::{self, Run};

/// Elements without an end.
const VOID: [&str; 3] = ["meta", "link", "br"];
/// Elements of drawings that end where they begin.
const DRAWN: [&str; 4] = ["line", "rect", "path", "circle"];

/// A run with everything that is drawn.
fn drawn() -> Run {
    let mut run = support::complete();
    let requests = run.record.requests.len();
    run.summary.curves.power = [(Domain::Gpu, 300.0), (Domain::Cpu, 40.0)]
        .map(|(domain, watts)| DomainPower {
            domain,
            points: (0..200).map(|at| (f64::from(at) * 0.4, watts + f64::from(at % 7))).collect(),
        })
        .into();
    run.summary.curves.power_step_seconds = 0.4;
    let figure = |value| Figure::new(value, "request", Provenance::Measured, "");
    run.summary.load.peak_concurrency = figure(8.0);
    run.summary.load.mean_concurrency = figure(5.2);
    run.summary.curves.in_flight = vec![(1.0, 1.0), (2.0, 8.0), (70.0, 3.0), (75.25, 0.0)];
    run.summary.curves.requests = (0..requests)
        .map(|number| RequestTimes {
            time_to_first_token: Some(0.05 + number as f64 * 1e-4),
            time_per_output_token: Some(0.011),
            end_to_end: Some(0.7 + number as f64 * 1e-3),
            ..RequestTimes::default()
        })
        .collect();
    run.summary.curves.inter_token = [(0.010, 0.011, 900), (0.011, 0.0125, 41)]
        .map(|(from, to, count)| TimeBin { from, to, count })
        .into();
    run
}

/// A start tag: its name, its attributes with their values.
type Tag = (String, Vec<(String, String)>);

/// Checks the document's form and gives back its start tags as name and attributes, and its text.
fn checked(document: &str) -> (Vec<Tag>, String) {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    let (mut open, mut tags, mut shown) = (Vec::new(), Vec::new(), String::new());
    // What stands in scripts and styles is no markup.
    let mut emitter = DefaultEmitter::default();
    emitter.naively_switch_states(true);
    for token in Tokenizer::new_with_emitter(document, emitter).flatten() {
        match token {
            Token::Error(error) => panic!("{error:?} after {:?}", tags.last()),
            Token::StartTag(tag) => {
                let name = text(&tag.name);
                let attributes =
                    tag.attributes.iter().map(|(name, value)| (text(name), text(&value.value))).collect();
                assert!(
                    !DRAWN.contains(&name.as_str())
                        || tag.self_closing
                        || ["rect", "circle"].contains(&name.as_str())
                );
                if !tag.self_closing && !VOID.contains(&name.as_str()) {
                    open.push(name.clone());
                }
                tags.push((name, attributes));
            }
            Token::EndTag(tag) => assert_eq!(open.pop().as_deref(), Some(text(&tag.name).as_str())),
            Token::String(piece) if !open.iter().any(|name| ["style", "script"].contains(&name.as_str())) => {
                shown.push_str(&text(&piece.value));
            }
            _ => {}
        }
    }
    assert!(open.is_empty(), "{open:?} are not closed");
    (tags, shown)
}

fn render(run: &Run) -> String {
    page(run.report()).render().unwrap()
}

#[test]
fn every_kind_of_run_gives_a_well_formed_page() {
    for run in [
        drawn(),
        support::complete(),
        support::gpu_lost(),
        support::nothing_measurable(),
        support::failures(),
        support::all_failed(),
        support::interrupted(),
        support::synthetic(),
    ] {
        let document = render(&run);
        let (tags, _) = checked(&document);
        let values = |wanted: &str| -> Vec<&str> {
            let all = tags.iter().flat_map(|(_, attributes)| attributes);
            all.filter(|(name, _)| name == wanted).map(|(_, value)| value.as_str()).collect()
        };
        let ids = values("id");
        let unique: BTreeSet<&str> = ids.iter().copied().collect();
        assert_eq!(ids.len(), unique.len(), "ids are unique: {ids:?}");
        for id in values("aria-labelledby").iter().flat_map(|ids| ids.split(' ')) {
            assert!(unique.contains(id), "{id} names nothing");
        }
        assert_eq!(tags.iter().filter(|(name, _)| name == "h1").count(), 1);
        for (name, attributes) in tags.iter().filter(|(name, _)| name == "th") {
            assert!(attributes.iter().any(|(key, _)| key == "scope"), "{name} has no scope");
        }
        assert!(
            values("src").is_empty()
                && values("href").iter().all(|to| to.starts_with('#') || *to == "data:,")
        );
    }
}

#[test]
fn the_page_shows_the_figures_their_intervals_and_how_they_are_known() {
    let document = render(&drawn());
    let (tags, shown) = checked(&document);
    for part in [
        "306.1 ± 9.4 mJ",
        "measured",
        "NVML total-energy counter",
        "Power over time",
        "Requests in flight",
        "p99.9",
        "Tokens by the time between",
    ] {
        assert!(shown.contains(part), "{part}: {shown}");
    }
    assert!(document.contains("900 tokens"), "the histogram's values are there for the pointer");
    assert!(tags.iter().filter(|(name, _)| name == "path").count() >= 6);
    let lost = checked(&render(&support::gpu_lost())).1;
    assert!(lost.contains("device fell off the bus") && !lost.contains("Power over time"), "{lost}");
    let synthetic = checked(&render(&support::synthetic())).1;
    assert!(synthetic.contains("Synthetic: a part of this run"));
}

#[test]
fn the_client_has_its_verdict_its_signs_and_what_they_were_held_against() {
    let mut run = drawn();
    run.summary.health = Health::default();
    assert!(!checked(&render(&run)).1.contains("Was the client the limit?"), "nothing was observed");
    for (verdict, words) in [
        (ClientBound::No, "Client-bound: no."),
        (ClientBound::Maybe, "Client-bound: maybe."),
        (ClientBound::Yes, "Client-bound: yes."),
    ] {
        run.summary.health = crate::figures::health(verdict);
        run.summary.health.signs = vec![Sign {
            name: "event_loop_delay".to_owned(),
            value: Figure::new(0.061, "s", Provenance::Measured, "probe"),
            maybe_from: Some(0.005),
            yes_from: Some(0.05),
            verdict,
            words: String::new(),
        }];
        let (_, shown) = checked(&render(&run));
        for part in [words, "event loop delay", "61", "50.0 ms", "stated defaults", "3,712"] {
            assert!(shown.contains(part), "{part}: {shown}");
        }
    }
}

#[test]
fn nothing_foreign_becomes_markup() {
    const HOSTILE: &str = "<script>alert(1)</script><img src=x onerror=alert(2)>\" onload=\"x";
    let mut run = drawn();
    run.record.plan.name = HOSTILE.to_owned();
    run.record.backend.model = HOSTILE.to_owned();
    run.record.backend.server = Some(HOSTILE.to_owned());
    run.record.dataset.name = HOSTILE.to_owned();
    run.record.warnings.push(HOSTILE.to_owned());
    run.record.environment.insert(HOSTILE.to_owned(), HOSTILE.into());
    run.record.environment.insert("repeat_command".to_owned(), HOSTILE.into());
    run.config.insert(HOSTILE.to_owned(), HOSTILE.into());
    run.summary.energy.domains[0].energy.source = HOSTILE.to_owned();
    let document = render(&run);
    let (tags, shown) = checked(&document);
    assert_eq!(tags.iter().filter(|(name, _)| name == "script").count(), 1, "our own alone");
    assert!(tags.iter().all(|(name, _)| name != "img"));
    assert!(tags.iter().flat_map(|(_, all)| all).all(|(name, _)| !name.starts_with("on")));
    assert!(shown.contains("<img src=x"), "it is shown as it is");
}
