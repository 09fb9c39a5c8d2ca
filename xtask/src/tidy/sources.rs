//! What a single Rust file owes its reader: a header, a bounded length, and no printing where printing is not its job.

/// The most lines a file may have; above, a reader looks for two things in one room.
pub(super) const MOST_LINES: usize = 400;

/// Words of vendors and formats that core must not know.
const FOREIGN_TO_CORE: [&str; 10] =
    ["nvml", "nvidia", "rapl", "vllm", "llama", "openai", "csv", "parquet", "polars", "reqwest"];

/// Macros that write to the terminal.
const PRINTERS: [&str; 4] = ["println!(", "eprintln!(", "print!(", "eprint!("];

/// What `text`, the file `name` (relative to the root), breaks.
pub(super) fn violations(name: &str, text: &str) -> Vec<String> {
    let mut broken = Vec::new();
    let lines = text.lines().count();
    if lines > MOST_LINES {
        broken.push(format!(
            "{name}: {lines} lines, {MOST_LINES} at most: split it where a reader would look for two things"
        ));
    }
    if !text.starts_with("//!") {
        broken.push(format!(
            "{name}: does not begin with a `//!` header that says why it exists and what it refuses to know"
        ));
    }
    let shipped = !is_test(name);
    for (number, line) in text.lines().enumerate() {
        let code = line.split("//").next().unwrap_or_default();
        let place = format!("{name}:{}", number + 1);
        if shipped && !may_print(name) && PRINTERS.iter().any(|printer| code.contains(printer)) {
            broken.push(format!("{place}: prints, which only crates/cli may"));
        }
        if name.starts_with("crates/core/src/") {
            let lower = code.to_lowercase();
            broken.extend(
                FOREIGN_TO_CORE
                    .iter()
                    .filter(|word| lower.contains(*word))
                    .map(|word| format!("{place}: core names `{word}`, a vendor or format it must not know")),
            );
        }
    }
    broken
}

fn is_test(name: &str) -> bool {
    name.contains("/tests/") || name.ends_with("/tests.rs") || name.contains("/examples/")
}

fn may_print(name: &str) -> bool {
    name.starts_with("crates/cli/") || name.starts_with("xtask/") || name.ends_with("build.rs")
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "//! Exists for a test.\n\nfn f() {}\n";

    #[test]
    fn a_good_file_breaks_nothing() {
        assert!(violations("crates/metrics/src/x.rs", GOOD).is_empty());
    }

    #[test]
    fn each_law_is_noticed() {
        let long = format!("{GOOD}{}", "\n".repeat(MOST_LINES));
        assert!(violations("crates/metrics/src/x.rs", &long)[0].contains("lines"));
        assert!(violations("crates/metrics/src/x.rs", "fn f() {}\n")[0].contains("header"));
        // Split, so that this file does not break the law that it tests.
        let printing = format!("{GOOD}fn g() {{ print{}(\"x\") }}\n", "ln!");
        assert!(violations("crates/metrics/src/x.rs", &printing)[0].contains("prints"));
        assert!(violations("crates/cli/src/x.rs", &printing).is_empty());
        assert!(violations("crates/metrics/tests/x.rs", &printing).is_empty());
        let vendor = format!("{GOOD}const A: &str = \"nvml\"; // nvml in a comment is fine\n");
        assert_eq!(violations("crates/core/src/x.rs", &vendor).len(), 1);
        assert!(violations("crates/metrics/src/x.rs", &vendor).is_empty());
    }
}
