//! Reads plain text: a prompt a line, or prompts of several lines with a separator line between them.

use std::path::Path;

use ai_energy_core::Fault;

use crate::files::Lines;
use crate::rows::{Rows, Take, Want};

/// Reads the prompts. Blank lines between prompts are layout, not rows, hence neither counted nor warned about.
pub(crate) fn read(path: &Path, want: &Want) -> Result<Rows, Fault> {
    let mut lines = Lines::open(path, want)?;
    let mut rows = Rows::default();
    let mut prompt = String::new();
    while let Some((_, line)) = lines.next()? {
        match &want.txt_separator {
            None => push(&mut rows, line),
            Some(separator) if line.trim_end() == separator.trim_end() => {
                push(&mut rows, &prompt);
                prompt.clear();
            }
            Some(_) => {
                prompt.push_str(line);
                prompt.push('\n');
            }
        }
        if matches!(want.take, Take::First(limit) if rows.cells.len() >= limit) {
            return Ok(rows);
        }
    }
    push(&mut rows, &prompt);
    rows.total = Some(rows.cells.len());
    Ok(rows)
}

fn push(rows: &mut Rows, text: &str) {
    if !text.trim().is_empty() {
        rows.push_text(Some(text.trim_end().to_owned()));
    }
}
