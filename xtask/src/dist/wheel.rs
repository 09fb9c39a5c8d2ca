//! The Python wheel with the program in it, the source distribution, and the wheel that also has the engine.
//!
//! Two wheels of one version may stand side by side: pip takes the one with the newest platform tag that a machine can run, so
//! the engine's higher demand on the C library costs older machines the engine and not the command line.

use anyhow::{Context, Result, bail};
use std::path::{Path, PathBuf};

use super::tools::{self, text};
use super::{Dist, ENGINE, binary, licences};
use crate::{libtorch, place, say, shell, shell_with};

/// The wheels in `dist/`.
pub(super) fn all(dist: &Dist) -> Result<Vec<PathBuf>> {
    of_kind(dist, "whl")
}

/// The source distributions in `dist/`.
pub(super) fn sources(dist: &Dist) -> Result<Vec<PathBuf>> {
    of_kind(dist, "gz").map(|found| {
        let own = |path: &PathBuf| {
            path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("ai_energy_benchmarks-"))
        };
        found.into_iter().filter(own).collect()
    })
}

fn of_kind(dist: &Dist, extension: &str) -> Result<Vec<PathBuf>> {
    let files = super::files_below(&dist.out)?;
    let fits = |file: &PathBuf| {
        file.extension().is_some_and(|found| found == extension) && file.components().count() == 1
    };
    Ok(files.into_iter().filter(fits).map(|file| dist.out.join(file)).collect())
}

/// The wheel with the command line, and the source distribution.
pub(super) fn make(dist: &Dist) -> Result<()> {
    let program = binary::path(dist);
    let tag = tag(dist, &[&program])?;
    build(dist, &[&program], &tag)?;
    let python = tools::python(dist);
    let arguments = ["-m", "build", "--no-isolation", "--sdist", "--outdir", text(&dist.out)?, "python"];
    shell(&dist.root, text(&python)?, &arguments)
}

/// The engine, and the wheel with both programs.
pub(super) fn make_with_engine(dist: &Dist) -> Result<()> {
    let libtorch = libtorch::ensure()?;
    say(&format!("   libtorch: {}", libtorch.what));
    let profile: &[&str] = if dist.options.debug { &[] } else { &["--release"] };
    let arguments =
        [&["build", "--locked", "--package", "ai-energy-engine", "--features", "torch"], profile].concat();
    shell_with(&dist.root, "cargo", &arguments, &libtorch.environment()?)?;
    let built = crate::target(&dist.root).join(if dist.options.debug { "debug" } else { "release" });
    let engine = dist.work.join("stage").join(ENGINE);
    super::copy(&built.join(ENGINE), &engine)?;
    shell(&dist.root, "strip", &[text(&engine)?])?;
    // The path of this machine's libtorch is in it, and of no use elsewhere: the command line gives the loader the path.
    let bytes = engine.metadata()?.len();
    let program = binary::path(dist);
    let tag = tag(dist, &[&program, &engine])?;
    say(&format!("   {ENGINE}: {} ({bytes} bytes), {tag}", place::size(bytes)));
    if all(dist)?.iter().any(|wheel| wheel.to_string_lossy().contains(&tag)) {
        say("   the engine runs wherever the command line does: one wheel has both");
    }
    build(dist, &[&program, &engine], &tag)
}

/// The platform part of a wheel's tag for these programs.
fn tag(dist: &Dist, programs: &[&Path]) -> Result<String> {
    let machine = dist.triple.split('-').next().unwrap_or_default();
    if dist.triple.ends_with("apple-darwin") {
        let machine = if machine == "aarch64" { "arm64" } else { machine };
        return Ok(format!("macosx_11_0_{machine}"));
    }
    if !dist.triple.ends_with("linux-gnu") {
        bail!("there is no tag for {}", dist.triple);
    }
    let mut floor = binary::FLOOR;
    for program in programs {
        floor = floor.max(binary::glibc_floor(program)?);
    }
    Ok(format!("manylinux_{}_{}_{machine}", floor.0, floor.1))
}

/// Builds one wheel by the package's own build backend.
fn build(dist: &Dist, programs: &[&Path], tag: &str) -> Result<()> {
    // The texts of what is linked in belong into the wheel; they are made, and kept out of the tree.
    let licences = dist.root.join("python").join(licences::FILE);
    super::copy(&dist.out.join(licences::FILE), &licences)?;
    let names = std::env::join_paths(programs).context("a path with a colon")?;
    let names = names.to_str().context("a path that is not UTF-8")?.to_owned();
    let environment =
        [("AI_ENERGY_WHEEL_PROGRAMS", Some(names.as_str())), ("AI_ENERGY_WHEEL_TAG", Some(tag))];
    let python = tools::python(dist);
    let arguments = ["-m", "build", "--no-isolation", "--wheel", "--outdir", text(&dist.out)?, "python"];
    let built = shell_with(&dist.root, text(&python)?, &arguments, &environment);
    std::fs::remove_file(&licences).context("cannot remove the licences beside the package")?;
    built
}
