//! `cargo xtask release VERSION`: makes the commit and the tag that a workflow then publishes. Refuses to publish anything itself.
//!
//! Everything is checked before anything is written: the version, the changelog, the work tree. `--plan` stops after that,
//! `--check` holds a tag that exists to the tree, `--notes` prints the version's part of the changelog.

use anyhow::{Context, Result, bail, ensure};
use std::path::Path;
use std::process::Command;

use crate::{say, shell};

/// The files that name the version, and how the line that does begins and ends.
const PLACES: [(&str, &str, &str); 4] = [
    ("Cargo.toml", "version = \"", "\""),
    ("python/src/ai_energy_benchmarks/_version.py", "__version__ = \"", "\""),
    ("packaging/containers/kubernetes/benchmark-server.yaml", "          image: ai-energy-benchmark:", ""),
    (
        "packaging/containers/kubernetes/benchmark-pytorch.yaml",
        "          image: ai-energy-benchmark-pytorch:",
        "",
    ),
];

/// The Python packages of this name below that version exist already.
const ABOVE: (u64, u64, u64) = (0, 0, 7);

/// A version: three numbers, and what stands behind a dash for a trial.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Version {
    numbers: (u64, u64, u64),
    trial: Option<String>,
}

impl Version {
    fn parse(text: &str) -> Result<Self> {
        let wrong = || format!("{text} is no version: use three numbers as in 1.4.0, for a trial 1.4.0-rc.1");
        let (numbers, trial) =
            text.split_once('-').map_or((text, None), |(numbers, trial)| (numbers, Some(trial)));
        let parts: Vec<u64> =
            numbers.split('.').map(str::parse).collect::<Result<_, _>>().ok().with_context(wrong)?;
        let &[major, minor, patch] = parts.as_slice() else { bail!(wrong()) };
        let good = |trial: &str| {
            let number = trial.strip_prefix("rc.");
            number
                .is_some_and(|number| !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit()))
        };
        ensure!(trial.is_none_or(good), wrong());
        Ok(Self { numbers: (major, minor, patch), trial: trial.map(str::to_owned) })
    }

    /// Trials come before their release.
    fn is_after(&self, other: &Self) -> bool {
        let number = |version: &Self| {
            let trial = version.trial.as_deref().and_then(|trial| trial.strip_prefix("rc.")?.parse().ok());
            trial.unwrap_or(u64::MAX)
        };
        (self.numbers, number(self)) > (other.numbers, number(other))
    }
}

/// Prepares a release.
///
/// # Errors
/// Something is not as a release needs it; the message says what and how to set it right.
pub fn run(root: &Path, arguments: &[String]) -> Result<()> {
    let [version, options @ ..] = arguments else { bail!("release VERSION [--plan | --check | --notes]") };
    let wanted = Version::parse(version)?;
    let read =
        |path: &str| std::fs::read_to_string(root.join(path)).with_context(|| format!("cannot read {path}"));
    let changelog = read("CHANGELOG.md")?;
    match options.first().map(String::as_str) {
        Some("--notes") => {
            // Notes are for a file: they go to standard output.
            print_out(&notes(&changelog, version)?)
        }
        Some("--check") => {
            for (path, start, end) in PLACES {
                let named =
                    named(&read(path)?, start, end).with_context(|| format!("{path} names no version"))?;
                ensure!(
                    named == *version,
                    "{path} names {named}, the tag {version}: release it with this tool"
                );
            }
            notes(&changelog, version)?;
            say(&format!("{version}: every file and the changelog agree"));
            Ok(())
        }
        None | Some("--plan") => {
            let texts = PLACES.map(|(path, ..)| read(path));
            let texts = texts.into_iter().collect::<Result<Vec<_>>>()?;
            let current =
                named(&texts[0], PLACES[0].1, PLACES[0].2).context("Cargo.toml names no version")?;
            ready(root, &wanted, version, &current, &changelog)?;
            prepare(root, version, &texts, &changelog, options.is_empty())
        }
        Some(other) => bail!("release knows no {other}: --plan, --check, --notes"),
    }
}

/// Whether a release of this version can be made from this tree.
fn ready(root: &Path, wanted: &Version, version: &str, current: &str, changelog: &str) -> Result<()> {
    ensure!(wanted.numbers > ABOVE, "{version} is not above 0.0.7, which pip's users have already");
    let tag = format!("v{version}");
    ensure!(!git(root, &["tag", "--list", &tag])?.contains(&tag), "the tag {tag} is there already");
    let first = git(root, &["tag", "--list", "v*"])?.trim().is_empty();
    ensure!(
        wanted.is_after(&Version::parse(current)?) || (first && version == current),
        "{version} is not after {current}"
    );
    let dirty = git(root, &["status", "--porcelain"])?;
    ensure!(dirty.trim().is_empty(), "the work tree has changes: commit them first\n{dirty}");
    ensure!(!unreleased(changelog)?.trim().is_empty(), "CHANGELOG.md has nothing under Unreleased");
    Ok(())
}

/// Says what is done, and where `really`, does it.
fn prepare(root: &Path, version: &str, texts: &[String], changelog: &str, really: bool) -> Result<()> {
    say(&format!("release {version}:"));
    for ((path, start, end), text) in PLACES.iter().zip(texts) {
        say(&format!("  {path}: {}", named(text, start, end).unwrap_or_default()));
        let changed =
            renamed(text, start, end, version).with_context(|| format!("{path} names no version"))?;
        if really {
            std::fs::write(root.join(path), changed).with_context(|| format!("cannot write {path}"))?;
        }
    }
    say(&format!("  CHANGELOG.md: Unreleased becomes {version}"));
    say(&format!("  Cargo.lock follows, then a commit and the tag v{version}; nothing is pushed"));
    if !really {
        return Ok(());
    }
    let date = Command::new("date").args(["-u", "+%Y-%m-%d"]).output().context("date cannot be started")?;
    let date = String::from_utf8_lossy(&date.stdout).trim().to_owned();
    std::fs::write(root.join("CHANGELOG.md"), released(changelog, version, &date)?)?;
    shell(root, "cargo", &["update", "--workspace", "--offline"])?;
    shell(root, "git", &["commit", "--quiet", "--all", "--message", &format!("Release {version}")])?;
    shell(
        root,
        "git",
        &["tag", "--annotate", &format!("v{version}"), "--message", &format!("Release {version}")],
    )?;
    say(&format!("now look at it, and: git push --follow-tags, which publishes v{version}"));
    Ok(())
}

fn git(root: &Path, arguments: &[&str]) -> Result<String> {
    let output =
        Command::new("git").args(arguments).current_dir(root).output().context("git cannot be started")?;
    ensure!(
        output.status.success(),
        "git {}: {}",
        arguments.join(" "),
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// The version that the first line beginning with `start` names.
fn named(text: &str, start: &str, end: &str) -> Option<String> {
    let line = text.lines().find_map(|line| line.strip_prefix(start))?;
    line.strip_suffix(end).map(str::to_owned)
}

/// The text with another version in that line, and in those that name this workspace's own crates.
fn renamed(text: &str, start: &str, end: &str, version: &str) -> Option<String> {
    let old = named(text, start, end)?;
    let (from, to) = (format!("{start}{old}{end}"), format!("{start}{version}{end}"));
    let mut first = true;
    let line = |line: &str| {
        let own = line.starts_with("ai-energy-") || (first && line.starts_with(&from));
        first &= !line.starts_with(&from);
        if own { line.replacen(&from, &to, 1) } else { line.to_owned() }
    };
    Some(text.split('\n').map(line).collect::<Vec<_>>().join("\n"))
}

const UNRELEASED: &str = "## Unreleased\n";

/// What stands under Unreleased.
fn unreleased(changelog: &str) -> Result<&str> {
    let (_, rest) = changelog.split_once(UNRELEASED).context("CHANGELOG.md has no `## Unreleased`")?;
    Ok(rest.split_once("\n## ").map_or(rest, |(part, _)| part))
}

/// The changelog with what was unreleased under the version, and nothing unreleased.
fn released(changelog: &str, version: &str, date: &str) -> Result<String> {
    unreleased(changelog)?;
    Ok(changelog.replacen(UNRELEASED, &format!("{UNRELEASED}\n## {version} - {date}\n"), 1))
}

/// The changelog's part about a version.
fn notes(changelog: &str, version: &str) -> Result<String> {
    let start = format!("## {version} - ");
    let (_, rest) =
        changelog.split_once(&start).with_context(|| format!("CHANGELOG.md has no `{start}DATE`"))?;
    let (_, body) = rest.split_once('\n').context("nothing follows the version's heading")?;
    Ok(format!("{}\n", body.split_once("\n## ").map_or(body, |(part, _)| part).trim()))
}

fn print_out(text: &str) -> Result<()> {
    use std::io::Write;
    std::io::stdout().write_all(text.as_bytes()).context("standard output cannot be written")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_crates_name_each_other_by_the_new_version_and_nothing_else_changes() {
        let text = "version = \"0.1.0\"\n[workspace.dependencies]\n\
                    ai-energy-core = { path = \"crates/core\", version = \"0.1.0\" }\nother = { version = \"0.1.0\" }\n";
        let new = renamed(text, "version = \"", "\"", "0.2.0").unwrap();
        assert_eq!(new.matches("0.2.0").count(), 2, "{new}");
        assert!(
            new.starts_with("version = \"0.2.0\"\n") && new.ends_with("other = { version = \"0.1.0\" }\n")
        );
    }

    #[test]
    fn versions_are_three_numbers_and_trials_come_before_their_release() {
        let version = |text: &str| Version::parse(text).unwrap();
        assert!(
            version("0.1.1").is_after(&version("0.1.0")) && version("0.10.0").is_after(&version("0.9.9"))
        );
        assert!(version("0.2.0").is_after(&version("0.2.0-rc.2")));
        assert!(version("0.2.0-rc.10").is_after(&version("0.2.0-rc.9")));
        assert!(!version("0.2.0-rc.1").is_after(&version("0.2.0")));
        for wrong in ["1.2", "1.2.x", "v1.2.3", "1.2.3-beta", "1.2.3-rc.", "1.2.3.4"] {
            assert!(Version::parse(wrong).unwrap_err().to_string().contains(wrong));
        }
    }

    #[test]
    fn every_place_names_the_same_version() {
        let root = crate::workspace_root().unwrap();
        for (path, start, end) in PLACES {
            let text = std::fs::read_to_string(root.join(path)).unwrap();
            assert_eq!(named(&text, start, end).as_deref(), Some(env!("CARGO_PKG_VERSION")), "{path}");
            let changed = renamed(&text, start, end, "9.8.7").unwrap();
            assert_eq!(named(&changed, start, end).as_deref(), Some("9.8.7"), "{path}");
            assert_eq!(changed.lines().count(), text.lines().count(), "{path}");
        }
    }

    #[test]
    fn the_changelog_moves_on_and_gives_its_notes() {
        let before =
            "# Changelog\n\n## Unreleased\n\n### Added\n\n- it\n\n## 0.1.0 - 2026-01-01\n\n- first\n";
        assert_eq!(unreleased(before).unwrap().trim(), "### Added\n\n- it");
        let after = released(before, "0.2.0", "2026-02-02").unwrap();
        assert!(after.contains("## Unreleased\n\n## 0.2.0 - 2026-02-02\n\n### Added\n"), "{after}");
        assert_eq!(notes(&after, "0.2.0").unwrap(), "### Added\n\n- it\n");
        assert_eq!(notes(&after, "0.1.0").unwrap(), "- first\n");
        assert!(unreleased(&after).unwrap().trim().is_empty());
        assert!(notes(&after, "0.3.0").is_err());
    }

    #[test]
    fn what_a_release_needs_is_looked_at_before_anything_changes() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        for (path, start, end) in PLACES {
            let file = root.join(path);
            std::fs::create_dir_all(file.parent().unwrap()).unwrap();
            std::fs::write(file, format!("{start}0.1.0{end}\n")).unwrap();
        }
        std::fs::write(root.join("CHANGELOG.md"), "## Unreleased\n\n- it\n").unwrap();
        for arguments in [
            &["init", "-q"][..],
            &["config", "user.email", "x@localhost"],
            &["config", "user.name", "x"],
            &["add", "."],
        ] {
            git(root, arguments).unwrap();
        }
        git(root, &["commit", "-q", "-m", "first"]).unwrap();
        let call = |words: &[&str]| {
            run(root, &words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>())
                .map_err(|error| format!("{error:#}"))
        };
        assert!(call(&["0.0.7", "--plan"]).unwrap_err().contains("above 0.0.7"));
        call(&["0.2.0", "--plan"]).unwrap();
        assert!(git(root, &["status", "--porcelain"]).unwrap().is_empty(), "a plan changes nothing");
        assert!(call(&["0.2.0", "--check"]).unwrap_err().contains("0.1.0"));
        std::fs::write(root.join("new"), "").unwrap();
        assert!(call(&["0.2.0", "--plan"]).unwrap_err().contains("commit them first"));
    }
}
