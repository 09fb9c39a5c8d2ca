//! How much each artefact may weigh, from a file of the repository.

use anyhow::{Context, Result, bail};
use std::path::{Path, PathBuf};

use super::{Dist, archive, binary, deb, wheel};
use crate::{place, say};

const FILE: &str = "packaging/limits.toml";

/// The limit of one kind of artefact, in bytes.
fn limit(text: &str, kind: &str) -> Result<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(kind)?.trim_start().strip_prefix('='));
    let number = line.with_context(|| format!("{FILE} has no limit for {kind}"))?;
    number.trim().replace('_', "").parse().with_context(|| format!("{FILE}: {kind}: no number of bytes"))
}

/// Measures everything and prints it against its limit. A debug build is measured and not judged.
pub(super) fn check(dist: &Dist) -> Result<()> {
    let text =
        std::fs::read_to_string(dist.root.join(FILE)).with_context(|| format!("cannot read {FILE}"))?;
    let mut artefacts: Vec<(&str, PathBuf)> =
        vec![("program", binary::path(dist)), ("archive", archive::path(dist))];
    if cfg!(target_os = "linux") {
        artefacts.push(("deb", deb::path(dist)));
    }
    for path in wheel::all(dist)? {
        let with_engine = wheel_has_engine(&path)?;
        artefacts.push((if with_engine { "engine_wheel" } else { "wheel" }, path));
    }
    artefacts.extend(wheel::sources(dist)?.into_iter().map(|path| ("sdist", path)));
    let mut heavy = Vec::new();
    for (kind, path) in artefacts {
        let (bytes, most) = (path.metadata()?.len(), limit(&text, kind)?);
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        say(&format!("   {:>7} of {:>7}  {name}", place::size(bytes), place::size(most)));
        if bytes > most {
            heavy.push(format!("{name} has {bytes} bytes, {most} are allowed for {kind}"));
        }
    }
    if heavy.is_empty() || dist.options.debug {
        return Ok(());
    }
    bail!("{}\nmake it smaller, or raise the limit in {FILE} on purpose", heavy.join("\n"))
}

/// Names in a zip file stand in it as they are.
fn wheel_has_engine(path: &Path) -> Result<bool> {
    let bytes = std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
    let name = format!("scripts/{}", super::ENGINE);
    Ok(bytes.windows(name.len()).any(|window| window == name.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_are_read_by_kind_and_a_missing_one_is_named() {
        let text = "# most\nprogram = 32_000_000\nengine_wheel = 5\nwheel = 7\n";
        assert_eq!(limit(text, "program").unwrap(), 32_000_000);
        assert_eq!(limit(text, "wheel").unwrap(), 7);
        assert!(limit(text, "deb").unwrap_err().to_string().contains("deb"));
    }

    #[test]
    fn every_kind_has_a_limit_in_the_repository() {
        let text = std::fs::read_to_string(crate::workspace_root().unwrap().join(FILE)).unwrap();
        for kind in ["program", "archive", "deb", "wheel", "engine_wheel", "sdist"] {
            assert!(limit(&text, kind).unwrap() > 0);
        }
    }
}
