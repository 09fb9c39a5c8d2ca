//! `cargo xtask dist`: everything that users install, made in `dist/` and tried before it is called done.
//!
//! One module an artefact. Each step says what it does before it does it; `--plan` prints the steps alone. Refuses to publish.

mod archive;
mod binary;
mod containers;
mod deb;
mod graph;
mod licences;
mod limits;
mod sbom;
mod sums;
mod tools;
mod verify;
mod wheel;

use anyhow::{Context, Result, bail};
use std::path::{Path, PathBuf};
use std::time::Instant;

use crate::say;

pub(crate) const PROGRAM: &str = "ai-energy-benchmark";
pub(crate) const ENGINE: &str = "ai-energy-torch";

/// What is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Options {
    /// Say the steps and do nothing.
    plan: bool,
    /// The debug build in the release build's place, without its symbols: to try the packaging itself.
    debug: bool,
    /// Build for this machine's own C library instead of an old one by zig.
    native: bool,
    /// Also build the engine and its wheel.
    engine: bool,
}

impl Options {
    fn parse(arguments: &[String]) -> Result<Self> {
        let mut options = Self { native: !cfg!(target_os = "linux"), ..Self::default() };
        for argument in arguments {
            match argument.as_str() {
                "--plan" => options.plan = true,
                "--debug" => options.debug = true,
                "--native" => options.native = true,
                "--engine" => options.engine = true,
                other => bail!("dist knows no {other}: --plan, --engine, --native, --debug"),
            }
        }
        Ok(options)
    }
}

/// What the steps share.
pub(crate) struct Dist {
    root: PathBuf,
    /// The folder of what is made.
    out: PathBuf,
    /// A folder for what is on the way, under the target folder.
    work: PathBuf,
    version: String,
    /// This machine's target triple.
    triple: String,
    options: Options,
}

impl Dist {
    fn new(root: &Path, options: Options) -> Result<Self> {
        let metadata = cargo_metadata::MetadataCommand::new()
            .manifest_path(root.join("Cargo.toml"))
            .no_deps()
            .exec()
            .context("cargo metadata")?;
        let cli = metadata.packages.iter().find(|package| package.name.as_str() == "ai-energy-cli");
        let version = cli.context("the workspace has no ai-energy-cli")?.version.to_string();
        Ok(Self {
            root: root.to_owned(),
            out: root.join("dist"),
            work: crate::target(root).join("dist"),
            version,
            triple: triple()?,
            options,
        })
    }

    /// The name that archive and folder carry.
    fn stem(&self) -> String {
        format!("{PROGRAM}-{}-{}", self.version, self.triple)
    }
}

/// The target triple of this machine, as the compiler says it.
fn triple() -> Result<String> {
    let said = std::process::Command::new("rustc").arg("-vV").output().context("rustc cannot be started")?;
    let said = String::from_utf8_lossy(&said.stdout).into_owned();
    let line = said.lines().find_map(|line| line.strip_prefix("host: "));
    line.map(str::to_owned).context("rustc -vV names no host")
}

/// A step: what it is called, what it does, and the doing.
struct Step {
    name: &'static str,
    what: String,
    run: fn(&Dist) -> Result<()>,
}

fn steps(dist: &Dist) -> Vec<Step> {
    let step = |name, what: String, run: fn(&Dist) -> Result<()>| Step { name, what, run };
    let mut steps = vec![
        step("clean", format!("empty {} and {}", dist.out.display(), dist.work.display()), clean),
        step(
            "tools",
            "Python tools of packaging/requirements.txt, in an environment of their own".into(),
            tools::ensure,
        ),
        step("binary", binary::plan(dist), binary::make),
        step("licences", "licences of everything that is linked in".into(), licences::make),
        step("sbom", "what is linked in, as CycloneDX".into(), sbom::make),
        step("archive", format!("{}.tar.gz", dist.stem()), archive::make),
    ];
    if cfg!(target_os = "linux") {
        steps.push(step("deb", "a Debian package".into(), deb::make));
    }
    steps.push(step("wheel", "the Python wheel and the source distribution".into(), wheel::make));
    if dist.options.engine {
        steps.push(step("engine", "the PyTorch engine and a wheel with it".into(), wheel::make_with_engine));
    }
    steps.push(step("containers", "Dockerfiles, compose files and Kubernetes jobs".into(), containers::make));
    steps.push(step("sums", "SHA256SUMS".into(), sums::make));
    steps.push(step(
        "verify",
        "contents, sizes, sums, an installation without compilers, a run".into(),
        verify::all,
    ));
    steps
}

/// Makes everything in `dist/`, verified.
///
/// # Errors
/// An option is not known, a step fails, or something that was made does not hold.
pub fn run(root: &Path, arguments: &[String]) -> Result<()> {
    let options = Options::parse(arguments)?;
    let dist = Dist::new(root, options)?;
    let steps = steps(&dist);
    say(&format!("dist of {} for {}, in {} steps:", dist.version, dist.triple, steps.len()));
    for (number, step) in steps.iter().enumerate() {
        say(&format!("  {:2}. {:10} {}", number + 1, step.name, step.what));
    }
    if options.plan {
        return Ok(());
    }
    if options.debug {
        say("this is a DEBUG build: to try the packaging, not to be given to anybody");
    }
    let begin = Instant::now();
    for step in &steps {
        let start = Instant::now();
        say(&format!("\n== {}: {}", step.name, step.what));
        (step.run)(&dist).with_context(|| format!("dist: step `{}`", step.name))?;
        say(&format!("   {} took {:.1} s", step.name, start.elapsed().as_secs_f64()));
    }
    say(&format!("\ndist/ is whole after {:.0} s", begin.elapsed().as_secs_f64()));
    Ok(())
}

/// Removes what an earlier call made, and nothing else.
fn clean(dist: &Dist) -> Result<()> {
    for folder in [&dist.out, &dist.work.join("stage")] {
        if folder.exists() {
            std::fs::remove_dir_all(folder).with_context(|| format!("cannot remove {}", folder.display()))?;
        }
        std::fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    }
    Ok(())
}

/// Copies a file and makes the folders above it.
pub(crate) fn copy(from: &Path, to: &Path) -> Result<()> {
    let folder = to.parent().context("a file without a folder")?;
    std::fs::create_dir_all(folder).with_context(|| format!("cannot make {}", folder.display()))?;
    std::fs::copy(from, to).with_context(|| format!("cannot copy {} to {}", from.display(), to.display()))?;
    Ok(())
}

/// Every file below a folder, relative to it, in order.
pub(crate) fn files_below(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(current) = folders.pop() {
        for entry in
            std::fs::read_dir(&current).with_context(|| format!("cannot read {}", current.display()))?
        {
            let path = entry?.path();
            if path.is_dir() {
                folders.push(path);
            } else {
                found.push(path.strip_prefix(folder)?.to_owned());
            }
        }
    }
    found.sort();
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(arguments: &[&str]) -> Vec<String> {
        arguments.iter().map(|argument| (*argument).to_owned()).collect()
    }

    #[test]
    fn options_are_known_or_refused_with_the_known_ones() {
        assert!(Options::parse(&texts(&["--plan", "--engine"])).unwrap().engine);
        let error = Options::parse(&texts(&["--paln"])).unwrap_err().to_string();
        assert!(error.contains("--paln") && error.contains("--plan"), "{error}");
    }

    #[test]
    fn cleaning_comes_first_and_verifying_last_and_the_engine_is_asked_for() {
        let root = crate::workspace_root().unwrap();
        let names = |options| -> Vec<&str> {
            steps(&Dist::new(&root, options).unwrap()).iter().map(|step| step.name).collect()
        };
        let plain = names(Options::default());
        assert_eq!((plain.first(), plain.last()), (Some(&"clean"), Some(&"verify")));
        assert!(!plain.contains(&"engine"));
        assert!(names(Options { engine: true, ..Options::default() }).contains(&"engine"));
    }
}
