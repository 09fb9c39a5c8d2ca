//! Where the run's files are, and the next step.

use std::path::Path;

use ai_energy_core::Written;

use super::page::{Page, Style};
use crate::json;

pub(super) fn draw(written: &[Written], page: &mut Page) {
    let mut folders: Vec<(&Path, Vec<&Path>)> = Vec::new();
    for file in written {
        let folder = file.path.parent().unwrap_or(Path::new(""));
        match folders.iter_mut().find(|(known, _)| *known == folder) {
            Some((_, files)) => files.push(&file.path),
            None => folders.push((folder, vec![&file.path])),
        }
    }
    let mut head = " Saved  ";
    for (folder, files) in &folders {
        let place = if let [file] = files.as_slice() { file.display().to_string() } else { shown(folder) };
        page.paragraph((Style::Heading, head), Style::Plain, &page.clean(&place));
        if files.len() > 1 {
            let names: Vec<String> = files.iter().map(|file| file_name(file, page)).collect();
            page.parts((Style::Plain, "          "), Style::Dim, &with_commas(&names), " ");
        }
        head = "        ";
    }
    for file in written {
        if let Some(note) = &file.note {
            let text = format!("{}: {}", file_name(&file.path, page), page.clean(note));
            page.paragraph((Style::Plain, &format!("   {} ", page.glyphs.dot)), Style::Notice, &text);
        }
    }
    if written.iter().any(|file| file.path.file_name() == Some(json::FILE_NAME.as_ref())) {
        let text =
            format!("every figure with its interval and source is under `figures` in {}", json::FILE_NAME);
        page.paragraph((Style::Heading, " Next   "), Style::Plain, &text);
    }
}

/// A folder with the separator that ends it; the working folder, which has no name in a relative path, is `./`.
fn shown(folder: &Path) -> String {
    let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
    folder.join("").display().to_string()
}

fn file_name(file: &Path, page: &Page) -> String {
    page.clean(&file.file_name().unwrap_or_default().to_string_lossy())
}

fn with_commas(names: &[String]) -> Vec<String> {
    let last = names.len().saturating_sub(1);
    names
        .iter()
        .enumerate()
        .map(|(at, name)| if at < last { format!("{name},") } else { name.clone() })
        .collect()
}
