//! `list`: the registry, as text or JSON.

use serde_json::{Map, Value};

use crate::args::{ListArgs, ListKind, OutputFormat};
use crate::diagnostics::print_out;
use crate::exit::{CliError, Exit};
use crate::registry::{self, Entry};

/// Prints what was asked for.
///
/// # Errors
/// Standard output cannot be written.
pub fn list(arguments: &ListArgs) -> Result<Exit, CliError> {
    let sections: Vec<_> =
        sections().into_iter().filter(|(kind, ..)| arguments.kind.is_none_or(|k| k == *kind)).collect();
    let text = match arguments.format {
        OutputFormat::Text => {
            sections.iter().map(|(_, title, entries)| table(title, entries)).collect::<Vec<_>>().join("\n")
        }
        OutputFormat::Json => {
            let object: Map<String, Value> = sections
                .into_iter()
                .map(|(_, title, entries)| (title.to_owned(), serde_json::json!(entries)))
                .collect();
            format!("{:#}\n", Value::Object(object))
        }
    };
    print_out(&text)?;
    Ok(Exit::Ok)
}

fn sections() -> [(ListKind, &'static str, Vec<Entry>); 5] {
    [
        (ListKind::Backends, "backends", registry::backends()),
        (ListKind::Sources, "sources", registry::sources()),
        (ListKind::Datasets, "datasets", registry::datasets()),
        (ListKind::Formats, "formats", registry::formats()),
        (ListKind::Reporters, "reporters", registry::reporters()),
    ]
}

fn table(title: &str, entries: &[Entry]) -> String {
    let width = entries.iter().map(|entry| entry.name.len()).max().unwrap_or(0);
    let rows: Vec<String> =
        entries.iter().map(|entry| format!("  {:width$}  {}\n", entry.name, entry.description)).collect();
    format!("{title}\n{}", rows.concat())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up() {
        let entries = [("a", "first"), ("long", "second")]
            .map(|(name, description)| Entry { name: name.to_owned(), description: description.to_owned() });
        assert_eq!(table("things", &entries), "things\n  a     first\n  long  second\n");
    }
}
