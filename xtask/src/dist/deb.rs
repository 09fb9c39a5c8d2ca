//! The Debian package: an `ar` archive of a version, a control archive and a data archive.
//!
//! Written here because the format is three members of sixty header bytes each, and the tool for it builds for minutes.

use anyhow::{Context, Result};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use super::{Dist, PROGRAM, archive, binary, licences};
use crate::{place, say};

/// The package's file; Debian's own word for this architecture is in it.
pub(super) fn path(dist: &Dist) -> PathBuf {
    dist.out.join(format!("{PROGRAM}_{}_{}.deb", dist.version, architecture(&dist.triple)))
}

/// Debian's word for an architecture.
fn architecture(triple: &str) -> &str {
    match triple.split('-').next() {
        Some("x86_64") => "amd64",
        Some("aarch64") => "arm64",
        Some(other) => other,
        None => "all",
    }
}

/// Lays the files out as they are installed and packs them.
pub(super) fn make(dist: &Dist) -> Result<()> {
    let stage = dist.work.join("stage").join("deb");
    let data = stage.join("data");
    lay_out(dist, &data)?;
    let control = stage.join("control");
    std::fs::create_dir_all(&control)?;
    let floor = if dist.options.native || dist.options.debug {
        binary::glibc_floor(&binary::path(dist))?
    } else {
        binary::FLOOR
    };
    std::fs::write(control.join("control"), control_file(dist, installed_kib(&data)?, floor))?;
    let mut package = b"!<arch>\n".to_vec();
    member(&mut package, "debian-binary", b"2.0\n")?;
    member(&mut package, "control.tar.gz", &archive::tar_gz(&control, Path::new("."), 0o755)?)?;
    member(&mut package, "data.tar.gz", &archive::tar_gz(&data, Path::new("."), 0o755)?)?;
    std::fs::write(path(dist), &package).context("cannot write the Debian package")?;
    say(&format!("   {}", place::size(package.len() as u64)));
    Ok(())
}

fn lay_out(dist: &Dist, data: &Path) -> Result<()> {
    let program = binary::path(dist);
    let doc = data.join("usr/share/doc").join(PROGRAM);
    super::copy(&program, &data.join("usr/bin").join(PROGRAM))?;
    super::copy(&dist.root.join("LICENSE"), &doc.join("copyright"))?;
    super::copy(&dist.root.join("README.md"), &doc.join("README.md"))?;
    super::copy(&dist.root.join("CHANGELOG.md"), &doc.join("changelog"))?;
    super::copy(&dist.out.join(licences::FILE), &doc.join(licences::FILE))?;
    for file in super::files_below(&dist.root.join("configs"))? {
        super::copy(&dist.root.join("configs").join(&file), &doc.join("configs").join(&file))?;
    }
    archive::man_pages(&program, &data.join("usr/share/man/man1"))?;
    let made = dist.work.join("stage").join("completions");
    archive::completions(&program, &made)?;
    let places = [
        "usr/share/bash-completion/completions",
        "usr/share/zsh/vendor-completions",
        "usr/share/fish/vendor_completions.d",
    ];
    for ((_, file), place) in archive::SHELLS.iter().zip(places) {
        super::copy(&made.join(file), &data.join(place).join(file))?;
    }
    Ok(())
}

fn installed_kib(data: &Path) -> Result<u64> {
    let mut bytes = 0;
    for file in super::files_below(data)? {
        bytes += data.join(file).metadata()?.len();
    }
    Ok(bytes.div_ceil(1024))
}

fn control_file(dist: &Dist, kib: u64, (major, minor): (u32, u32)) -> String {
    let mut text = String::new();
    for (key, value) in [
        ("Package", PROGRAM),
        ("Version", &dist.version),
        ("Architecture", architecture(&dist.triple)),
        ("Maintainer", "The ai-energy-benchmarks developers <noreply@localhost>"),
        ("Installed-Size", &kib.to_string()),
        ("Depends", &format!("libc6 (>= {major}.{minor}), libgcc-s1 | libgcc1")),
        ("Recommends", "ca-certificates"),
        ("Section", "science"),
        ("Priority", "optional"),
        ("Description", "what a token of AI costs: joules, watt-hours, grams of CO2 and milliseconds"),
    ] {
        let _ = writeln!(text, "{key}: {value}");
    }
    text + " Sends prompts to a model behind any OpenAI-compatible server, or runs the model\n itself, and reads the energy counters of \
            GPU, CPU and memory meanwhile.\n"
}

/// Appends a member: a header of sixty bytes, the content, and a byte that makes its length even.
fn member(package: &mut Vec<u8>, name: &str, content: &[u8]) -> Result<()> {
    let header = format!("{name:<16}{:<12}{:<6}{:<6}{:<8}{:<10}`\n", 0, 0, 0, "100644", content.len());
    anyhow::ensure!(header.len() == 60, "the member {name} does not fit an ar header");
    package.extend_from_slice(header.as_bytes());
    package.extend_from_slice(content);
    if content.len() % 2 == 1 {
        package.push(b'\n');
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_have_headers_of_sixty_bytes_and_even_lengths() {
        let mut package = Vec::new();
        member(&mut package, "debian-binary", b"2.0\n").unwrap();
        member(&mut package, "odd", b"abc").unwrap();
        assert_eq!(package.len(), 60 + 4 + 60 + 4);
        assert_eq!(&package[58..64], b"`\n2.0\n");
        assert!(member(&mut package, "a name that is longer than sixteen", b"").is_err());
    }

    #[test]
    fn architectures_are_debians() {
        assert_eq!(architecture("x86_64-unknown-linux-gnu"), "amd64");
        assert_eq!(architecture("aarch64-unknown-linux-gnu"), "arm64");
    }
}
