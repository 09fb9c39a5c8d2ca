//! Where the run's files are, and the next step.

use std::path::Path;

use ai_energy_core::Written;

use super::page::{Page, Style};
use crate::json;

pub(super) fn draw(written: &[Written], page: &mut Page) {
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
        let place = if names.len() == 1 { format!("{shown}/{}", names[0]) } else { format!("{shown}/") };
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
            page.paragraph((Style::Plain, &format!("   {} ", page.glyphs.dot)), Style::Notice, &text);
        }
    }
    if written.iter().any(|file| file.path.file_name() == Some(json::FILE_NAME.as_ref())) {
        let text =
            format!("every figure with its interval and source is under `figures` in {}", json::FILE_NAME);
        page.paragraph((Style::Heading, " Next   "), Style::Plain, &text);
    }
}

fn with_commas(names: &[String]) -> Vec<String> {
    let last = names.len().saturating_sub(1);
    names
        .iter()
        .enumerate()
        .map(|(at, name)| if at < last { format!("{name},") } else { name.clone() })
        .collect()
}
