//! The command line as it is given away: optimised, without symbols, and on Linux for old C libraries.

use anyhow::{Context, Result, bail};
use std::path::{Path, PathBuf};
use std::process::Command;

use super::tools::{self, text};
use super::{Dist, PROGRAM};
use crate::{place, say, shell, shell_with};

/// The oldest C library that the program is to run with.
pub(super) const FLOOR: (u32, u32) = (2, 28);

pub(super) fn plan(dist: &Dist) -> String {
    match (dist.options.debug, dist.options.native) {
        (true, _) => "the debug build without its symbols".to_owned(),
        (false, true) => "the release build for this machine's own C library".to_owned(),
        (false, false) => format!("the release build by zig, for glibc {}.{} and later", FLOOR.0, FLOOR.1),
    }
}

/// Where the program that is packed lies.
pub(super) fn path(dist: &Dist) -> PathBuf {
    dist.work.join("stage").join(PROGRAM)
}

/// Builds the program and measures what it needs of the system.
pub(super) fn make(dist: &Dist) -> Result<()> {
    let built = if dist.options.debug {
        shell(&dist.root, "cargo", &["build", "--package", "ai-energy-cli"])?;
        crate::target(&dist.root).join("debug")
    } else if dist.options.native {
        shell(&dist.root, "cargo", &["build", "--release", "--locked", "--package", "ai-energy-cli"])?;
        crate::target(&dist.root).join("release")
    } else {
        by_zig(dist)?
    };
    let program = path(dist);
    super::copy(&built.join(PROGRAM), &program)?;
    if dist.options.debug {
        shell(&dist.root, "strip", &[text(&program)?])?;
    }
    let bytes = program.metadata()?.len();
    say(&format!("   {PROGRAM}: {bytes} bytes ({})", place::size(bytes)));
    if cfg!(target_os = "linux") {
        let floor = glibc_floor(&program)?;
        say(&format!("   runs with glibc {}.{} and later", floor.0, floor.1));
        if floor > FLOOR && !dist.options.debug && !dist.options.native {
            bail!("it needs glibc {}.{}, and {}.{} was promised", floor.0, floor.1, FLOOR.0, FLOOR.1);
        }
    }
    Ok(())
}

/// zig links against the symbols of an old C library, whatever this machine has.
fn by_zig(dist: &Dist) -> Result<PathBuf> {
    let target = format!("{}.{}.{}", dist.triple, FLOOR.0, FLOOR.1);
    let path = with_tools(dist)?;
    let environment = [("PATH", Some(path.as_str()))];
    let zigbuild = tools::programs(dist).join("cargo-zigbuild");
    let arguments = ["zigbuild", "--release", "--locked", "--package", "ai-energy-cli", "--target", &target];
    shell_with(&dist.root, text(&zigbuild)?, &arguments, &environment)?;
    Ok(crate::target(&dist.root).join(&dist.triple).join("release"))
}

/// The `PATH` with the tools in front.
fn with_tools(dist: &Dist) -> Result<String> {
    let inherited = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::iter::once(tools::programs(dist)).chain(std::env::split_paths(&inherited));
    let joined = std::env::join_paths(folders).context("a folder of the PATH has a colon in its name")?;
    joined.into_string().ok().context("the PATH is not UTF-8")
}

/// The oldest C library that has every symbol that a program asks for.
pub(super) fn glibc_floor(program: &Path) -> Result<(u32, u32)> {
    let output = Command::new("readelf")
        .args(["--version-info", "--wide"])
        .arg(program)
        .output()
        .context("readelf cannot be started: apt-get install binutils")?;
    highest_glibc(&String::from_utf8_lossy(&output.stdout))
        .with_context(|| format!("{} names no version of glibc", program.display()))
}

/// The highest `GLIBC_x.y` in what `readelf --version-info` prints.
fn highest_glibc(printed: &str) -> Option<(u32, u32)> {
    let versions = printed.split("GLIBC_").skip(1).filter_map(|rest| {
        let mut numbers = rest.split(|letter: char| !letter.is_ascii_digit());
        Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
    });
    versions.max()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_highest_version_wins_by_number_and_private_ones_count_for_nothing() {
        let printed = "  0x0010:   Name: GLIBC_2.9  Flags: none  Version: 4\n  Name: GLIBC_2.28  Flags\n Name: GLIBC_PRIVATE";
        assert_eq!(highest_glibc(printed), Some((2, 28)));
        assert_eq!(highest_glibc("Name: GCC_3.0"), None);
    }
}
