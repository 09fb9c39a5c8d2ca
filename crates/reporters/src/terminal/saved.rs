//! Where the run's files are, and the next step.

use std::path::Path;

use ai_energy_core::{Domain, Report, Written};

use super::page::{Page, Style};
use crate::{journal, json};

pub(super) fn draw(report: Report<'_>, written: &[Written], page: &mut Page) {
    let mut folders: Vec<(&Path, Vec<String>)> = Vec::new();
    for file in written {
        let folder = file.path.parent().unwrap_or(Path::new(""));
        let name = page.clean(&file.path.file_name().unwrap_or_default().to_string_lossy());
        match folders.iter_mut().find(|(known, _)| *known == folder) {
            Some((_, names)) => names.push(name),
            None => folders.push((folder, vec![name])),
        }
    }
    let mut head = " Saved  ";
    for (folder, names) in &folders {
        let shown = page.clean(&folder.display().to_string());
        let place = if names.len() == 1 {
            format!("{shown}/{}", names[0])
        } else {
            format!("{shown}/")
        };
        page.paragraph((Style::Heading, head), Style::Plain, &place);
        if names.len() > 1 {
            let names: Vec<String> = with_commas(names);
            page.parts((Style::Plain, "          "), Style::Dim, &names, " ");
        }
        head = "        ";
    }
    for file in written {
        if let Some(note) = &file.note {
            let name = page.clean(&file.path.file_name().unwrap_or_default().to_string_lossy());
            let text = format!("{name}: {}", page.clean(note));
            page.paragraph(
                (Style::Plain, &format!("   {} ", page.glyphs.dot)),
                Style::Notice,
                &text,
            );
        }
    }
    page.paragraph((Style::Heading, " Next   "), Style::Plain, &next_step(report));
}

fn with_commas(names: &[String]) -> Vec<String> {
    let last = names.len().saturating_sub(1);
    names
        .iter()
        .enumerate()
        .map(|(at, name)| {
            if at < last {
                format!("{name},")
            } else {
                name.clone()
            }
        })
        .collect()
}

/// What helps most, given what this run lacks.
fn next_step(report: Report<'_>) -> String {
    let counts = &report.summary.counts;
    let gpu_known = report
        .summary
        .domain(Domain::Gpu)
        .is_some_and(|gpu| gpu.energy.value.is_some());
    let gpu_remedy = report
        .record
        .unavailable_sources
        .iter()
        .any(|source| source.domain == Domain::Gpu && !source.remedy.is_empty());
    if counts.failed > 0 {
        format!(
            "each failed request with its cause is a line with `error` in {}",
            journal::REQUESTS_FILE_NAME
        )
    } else if !gpu_known && gpu_remedy {
        "follow the arrows above, and the next run will know its energy".to_owned()
    } else {
        format!(
            "every figure with its interval and source is under `figures` in {}",
            json::FILE_NAME
        )
    }
}
