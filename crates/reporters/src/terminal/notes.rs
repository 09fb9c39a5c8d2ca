//! What failed, what is not known and why, and what to know before trusting the figures.

use ai_energy_core::record::Ending;
use ai_energy_core::summary::{ValidityCheck, Verdict};
use ai_energy_core::{CheckOutcome, Domain, ErrorClass, Figure, Report};

use super::energy::label;
use super::header::plural;
use super::page::{Page, Style};
use super::text::fit;
use crate::journal;

/// Longest piece of a server's message that is shown; `requests.jsonl` has it whole.
const LONGEST_MESSAGE: usize = 160;

/// Warnings of the summary whose matter the banners and the failures above have said.
const SAID_ABOVE: [&str; 3] = ["synthetic", "ended_early", "failed_requests"];

/// Checks of validity whose findings are warnings of the summary too, or stand above.
const SAID_BY_WARNINGS: [&str; 5] =
    ["energy_source", "requests", "window_length", "sampling", "counter_against_power"];

/// The requests that did not succeed, by class, each class with the first message.
pub(super) fn draw_failures(report: Report<'_>, page: &mut Page) {
    let counts = &report.summary.counts;
    if counts.failed + counts.cancelled == 0 {
        return;
    }
    page.blank();
    let mut parts = vec![format!("{} of {} succeeded", counts.successful, counts.total)];
    if counts.failed > 0 {
        parts.push(format!("{} failed", counts.failed));
    }
    if counts.cancelled > 0 {
        parts.push(format!("{} cancelled by the end of the run", counts.cancelled));
    }
    page.paragraph((Style::Heading, " REQUESTS  "), Style::Plain, &parts.join(", "));
    for (class, number) in counts.errors.iter().filter(|(class, _)| **class != ErrorClass::Cancelled) {
        let message =
            first_message(report, *class).map(|text| fit(&page.clean(text), LONGEST_MESSAGE, &page.glyphs));
        let text = match message.filter(|message| !message.is_empty()) {
            Some(message) => format!("{}, for example: {message}", class_word(*class)),
            None => class_word(*class).to_owned(),
        };
        page.paragraph((Style::Bad, &format!("   {} {number} ", page.glyphs.cross)), Style::Plain, &text);
    }
    if counts.failed > 0 {
        let text =
            format!("each one's cause and times are in {}, under `error`", journal::REQUESTS_FILE_NAME);
        page.paragraph((Style::Dim, &format!("     {} ", page.glyphs.arrow)), Style::Notice, &text);
    }
}

/// The first message of a class of errors, as the server or the system wrote it.
pub(crate) fn first_message(report: Report<'_>, class: ErrorClass) -> Option<&str> {
    let errors = report.record.requests.iter().filter_map(|request| request.generation.error.as_ref());
    errors.into_iter().find(|error| error.class == class).map(|error| error.message.as_str())
}

/// A class of errors in words.
pub(crate) fn class_word(class: ErrorClass) -> &'static str {
    match class {
        ErrorClass::Connect => "no connection",
        ErrorClass::ConnectTimeout => "connecting took too long",
        ErrorClass::FirstTokenTimeout => "the first token took too long",
        ErrorClass::StallTimeout => "the stream fell silent",
        ErrorClass::TotalTimeout => "the request took too long",
        ErrorClass::Auth => "not allowed (401 or 403)",
        ErrorClass::NotFound => "no such model or route (404)",
        ErrorClass::RateLimited => "too many requests (429)",
        ErrorClass::BadRequest => "the server refused the request (4xx)",
        ErrorClass::Server => "the server failed (5xx)",
        ErrorClass::Protocol => "the response breaks the protocol",
        ErrorClass::Truncated => "the response ended too early",
        ErrorClass::Empty => "the response had no token",
        ErrorClass::Cancelled => "cancelled",
        ErrorClass::Engine => "the engine failed",
        ErrorClass::ClientLimit => "this machine gave the client no socket",
    }
}

/// Every figure of the tables that has no value, why, and what would give it one.
pub(super) fn draw_unknown(report: Report<'_>, page: &mut Page) {
    let unknown = unknown(report);
    if unknown.is_empty() {
        return;
    }
    page.blank();
    page.line(vec![(Style::Heading, " NOT KNOWN".to_owned())]);
    for entry in unknown {
        let prefix = format!("   {} ", page.glyphs.dot);
        let text = format!("{}: {}", entry.what.join(", "), page.clean(&entry.why));
        page.paragraph((Style::Plain, &prefix), Style::Plain, &text);
        for remedy in entry.remedies {
            let prefix = format!("     {} ", page.glyphs.arrow);
            let text = page.clean(&remedy);
            page.paragraph((Style::Dim, &prefix), Style::Notice, &text);
        }
    }
}

/// Figures that have no value for one reason.
pub(crate) struct Unknown {
    /// Which.
    pub(crate) what: Vec<String>,
    /// Why.
    pub(crate) why: String,
    /// What would give them one.
    pub(crate) remedies: Vec<String>,
}

/// The domains without energy, those of one reason together, then what is unknown for a reason of its own.
pub(crate) fn unknown(report: Report<'_>) -> Vec<Unknown> {
    let summary = report.summary;
    let mut list: Vec<Unknown> = Vec::new();
    for entry in summary.energy.domains.iter().filter(|entry| entry.energy.value.is_none()) {
        let (what, why) = (label(entry.domain).to_owned(), why(&entry.energy));
        let remedies = remedies(report, entry.domain);
        match list.iter_mut().find(|known| known.why == why) {
            Some(known) => {
                known.what.push(what);
                known.remedies.extend(remedies);
                known.remedies.dedup();
            }
            None => list.push(Unknown { what: vec![what], why, remedies }),
        }
    }
    for known in &mut list {
        known.what = vec![format!("{} energy", known.what.join(", "))];
    }
    // Without a success nothing can be shared out, and without any energy nothing can be turned into CO2e: that is
    // said already.
    if summary.counts.successful == 0 {
        return list;
    }
    let mut add = |what: &str, figure: &Figure| {
        if figure.value.is_some() {
            return;
        }
        let (what, why) = (what.to_owned(), why(figure));
        match list.iter_mut().find(|known| known.why == why) {
            Some(known) => known.what.push(what),
            None => list.push(Unknown { what: vec![what], why, remedies: Vec::new() }),
        }
    };
    let any = summary.energy.domains.iter().any(|entry| entry.energy.value.is_some());
    if any && summary.energy.total.value.is_none() {
        add("total energy and CO2e", &summary.energy.total);
    }
    if summary.energy.total.value.is_some() {
        add("energy per output token", &summary.energy.per_output_token);
        add("CO2e", &summary.carbon.emissions);
    }
    add("output tokens per second", &summary.throughput.output_tokens_per_second);
    list
}

fn why(figure: &Figure) -> String {
    figure.reason.clone().unwrap_or_else(|| "no reason was given".to_owned())
}

/// What would make a domain's sources available, each once.
fn remedies(report: Report<'_>, domain: Domain) -> Vec<String> {
    let mut remedies: Vec<String> = Vec::new();
    for source in report.record.unavailable_sources.iter().filter(|source| source.domain == domain) {
        if !source.remedy.is_empty() && !remedies.contains(&source.remedy) {
            remedies.push(source.remedy.clone());
        }
    }
    remedies
}

/// One word on how far to trust the figures, and every warning with its remedy.
pub(super) fn draw_validity(report: Report<'_>, page: &mut Page) {
    let notes = notes(report, &|text| page.clean(text));
    let (style, verdict) = verdict(report, notes.len());
    page.paragraph((Style::Heading, " VALID  "), style, &verdict);
    for (text, remedy) in notes {
        let prefix = format!("   {} ", page.glyphs.dot);
        page.paragraph((Style::Plain, &prefix), Style::Plain, &text);
        if !remedy.is_empty() {
            let prefix = format!("     {} ", page.glyphs.arrow);
            page.paragraph((Style::Dim, &prefix), Style::Notice, &remedy);
        }
    }
    draw_checks(report, page);
}

/// How many of the checks went how; each stands in the report.
fn draw_checks(report: Report<'_>, page: &mut Page) {
    let checks = &report.summary.validity.checks;
    let count = |verdict| checks.iter().filter(|check| check.verdict == verdict).count();
    let said = [
        (count(Verdict::Ok), "well"),
        (count(Verdict::Warning), "with a warning"),
        (count(Verdict::Invalid), "badly"),
        (count(Verdict::Unknown), "could not be made"),
    ];
    let parts: Vec<String> = said
        .into_iter()
        .filter(|(number, _)| *number > 0)
        .map(|(number, how)| format!("{number} {how}"))
        .collect();
    if !parts.is_empty() {
        let text = format!("{} checks of validity: {}", checks.len(), parts.join(", "));
        page.paragraph((Style::Dim, "   "), Style::Dim, &text);
    }
}

/// What the checks found that no warning says already.
fn found_by_checks(report: Report<'_>) -> impl Iterator<Item = &ValidityCheck> {
    let checks = report.summary.validity.checks.iter();
    checks
        .filter(|check| matches!(check.verdict, Verdict::Warning | Verdict::Invalid))
        .filter(|check| !SAID_BY_WARNINGS.contains(&check.name.as_str()))
}

/// One sentence on how far to trust the figures, and how bad that is.
pub(crate) fn verdict(report: Report<'_>, notes: usize) -> (Style, String) {
    let counts = &report.summary.counts;
    if report.record.synthetic {
        let nothing = if counts.successful == 0 { ", and no request succeeded" } else { "" };
        (Style::Bad, format!("no: synthetic{nothing}"))
    } else if let Some(check) = invalid(report).filter(|_| counts.successful > 0) {
        (Style::Bad, format!("no energy figure is: {}", check.detail))
    } else if counts.successful == 0 {
        (Style::Bad, "no: no request succeeded".to_owned())
    } else if report.summary.energy.domains.iter().all(|entry| entry.energy.value.is_none()) {
        (Style::Notice, "for speed only: no energy is known".to_owned())
    } else if report.summary.energy.total.value.is_none() {
        (Style::Notice, "in part: some energy could not be measured, so there is no total".to_owned())
    } else if report.record.ending != Ending::Complete {
        (Style::Notice, "in part: the run ended early".to_owned())
    } else if counts.failed > 0 {
        let failed = plural(counts.failed as u64, "request");
        (
            Style::Notice,
            format!("in part: {} {failed} failed, and their energy is in the figures", counts.failed),
        )
    } else if notes > 0 {
        (Style::Notice, format!("yes, with {notes} {}", plural(notes as u64, "note")))
    } else {
        (Style::Good, "yes".to_owned())
    }
}

/// The check that takes all worth from the energy figures.
fn invalid<'a>(report: Report<'a>) -> Option<&'a ValidityCheck> {
    report.summary.validity.checks.iter().find(|check| check.verdict == Verdict::Invalid)
}

/// Warnings with their remedies: those the summary and its checks judged, those the run collected, then what validation doubted.
pub(crate) fn notes(report: Report<'_>, clean: &dyn Fn(&str) -> String) -> Vec<(String, String)> {
    let said_above = |id: &str| SAID_ABOVE.contains(&id);
    let judged = report.summary.warnings.iter().filter(|warning| !said_above(&warning.id));
    let judged = judged.map(|warning| (clean(&warning.message), clean(&warning.remedy)));
    let checked = found_by_checks(report).map(|check| (clean(&check.detail), clean(&check.remedy)));
    let seen = report.record.warnings.iter().map(|text| (clean(text), String::new()));
    let doubted = report.record.checks.iter().filter(|check| check.outcome == CheckOutcome::Warning);
    let doubted = doubted.map(|check| {
        let (name, detail) = (clean(&check.name), clean(&check.detail));
        (if detail.is_empty() { name } else { format!("{name}: {detail}") }, String::new())
    });
    let mut notes: Vec<(String, String)> = Vec::new();
    for note in judged.chain(checked).chain(seen).chain(doubted) {
        if !notes.iter().any(|known| known.0 == note.0) {
            notes.push(note);
        }
    }
    notes
}
