//! What ran and how it ended. What makes the figures partial or worthless stands first.

use ai_energy_core::record::Ending;
use ai_energy_core::{CheckOutcome, Report};

use super::page::{Page, Style};
use super::units::count;

pub(super) fn draw(report: Report<'_>, page: &mut Page) {
    draw_banners(report, page);
    draw_title(report, page);
    draw_checks(report, page);
}

fn draw_banners(report: Report<'_>, page: &mut Page) {
    let record = report.record;
    if record.synthetic {
        let text =
            "a part of this run was a fake or a simulator: no figure below says anything about a real model";
        page.paragraph((Style::Bad, " SYNTHETIC  "), Style::Bad, text);
    }
    let counts = &report.summary.counts;
    let seen =
        format!("the figures below are of the {} requests that succeeded until then", counts.successful);
    match &record.ending {
        Ending::Complete => {}
        Ending::Interrupted => {
            let text = format!("the run was ended before all requests were done; {seen}");
            page.paragraph((Style::Notice, " INTERRUPTED  "), Style::Notice, &text);
        }
        Ending::TooManyFailures { in_a_row } => {
            let text = format!("{in_a_row} requests failed in a row, which ended the run; {seen}");
            page.paragraph((Style::Bad, " STOPPED  "), Style::Bad, &text);
        }
        Ending::Unfinished => {
            let text = format!("the run was killed or crashed; {seen}");
            page.paragraph((Style::Bad, " CUT  "), Style::Bad, &text);
        }
    }
    page.blank();
}

fn draw_title(report: Report<'_>, page: &mut Page) {
    let record = report.record;
    let backend = &record.backend;
    let server = page.clean(backend.server.as_deref().unwrap_or(&backend.backend));
    let place = backend.endpoint.as_deref().map(|endpoint| format!(" at {}", page.clean(host(endpoint))));
    let device = backend.device.as_deref().map(|device| format!(" on {}", page.clean(device)));
    let parts = [
        page.clean(&backend.model),
        format!("{server}{}", place.or(device).unwrap_or_default()),
        format!("{} ({})", load(report), page.clean(&record.dataset.name)),
        record.plan.load.words(),
    ];
    let separator = format!(" {} ", page.glyphs.dot);
    page.parts((Style::Plain, " "), Style::Heading, &parts, &separator);
}

/// For example `200 prompts`; of a run that ended early only the requests that were run are known.
pub(crate) fn load(report: Report<'_>) -> String {
    let requests = report.summary.counts.total as u64;
    match report.record.ending {
        Ending::Complete => format!("{} {}", count(requests), plural(requests, "prompt")),
        _ => format!("{} {} run", count(requests), plural(requests, "request")),
    }
}

fn draw_checks(report: Report<'_>, page: &mut Page) {
    let checks = &report.record.checks;
    let glyphs = page.glyphs;
    let parts: Vec<String> = checks
        .iter()
        .map(|check| {
            let sign = match check.outcome {
                CheckOutcome::Ok => glyphs.check,
                CheckOutcome::Warning => glyphs.warn,
            };
            let detail = glyphs.clean(&check.detail);
            let gap = if detail.is_empty() { "" } else { " " };
            format!("{sign} {}{gap}{detail}", glyphs.clean(&check.name))
        })
        .collect();
    if !parts.is_empty() {
        let warned = checks.iter().any(|check| check.outcome == CheckOutcome::Warning);
        page.parts((Style::Plain, " "), if warned { Style::Notice } else { Style::Good }, &parts, "   ");
    }
}

/// An endpoint without what goes without saying: plain HTTP and the API's version.
pub(crate) fn host(endpoint: &str) -> &str {
    let endpoint = endpoint.strip_prefix("http://").unwrap_or(endpoint);
    let endpoint = endpoint.trim_end_matches('/');
    endpoint.strip_suffix("/v1").unwrap_or(endpoint)
}

/// `prompt` or `prompts`.
pub(crate) fn plural(number: u64, word: &str) -> String {
    if number == 1 { word.to_owned() } else { format!("{word}s") }
}
