//! The workspace's own tool: `cargo xtask JOB`. One module a job; refuses to know what the product does.

use anyhow::{Result, bail};
use std::process::ExitCode;

const HELP: &str = "\
cargo xtask JOB

  quickstart  from a fresh clone to a first report: libtorch, a release build, a small model, ten prompts
  test        everything that must hold: tidy, then all tests (this is the README's test command)
  tidy        the laws of the tree: crate graph, headers, file length, who prints, names in documents
  ci          what a merge needs: fmt, clippy, test, docs, deny
  docs        writes the documents that are generated (config schema, command line reference)
  libtorch    gets the PyTorch libraries and builds the engine against them [--fetch-only] [--debug]
  fixtures    makes the engine's fixtures anew from transformers and says what changed [--accept] [NAME...]
  dist        archive, wheel, Debian package, containers' files, sums, bill of materials in dist/ [--plan] [--engine]
  release     bumps, checks, commits and tags what a workflow then publishes: VERSION [--plan | --check | --notes]
  bench       ratios and agreements measured side by side; never decides a test [agreement|startup|client|results|energy|engine]
";

fn main() -> ExitCode {
    match job() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            xtask::say(&format!("error: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

fn job() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let rest = arguments.get(1..).unwrap_or_default();
    let root = xtask::workspace_root()?;
    match arguments.first().map(String::as_str) {
        Some("test") => xtask::test::run(&root, rest),
        Some("tidy") => xtask::tidy::run(&root),
        Some("ci") => xtask::ci::run(&root),
        Some("docs") => xtask::docs::run(&root),
        Some("libtorch") => xtask::libtorch::run(&root, rest),
        Some("quickstart") => xtask::quickstart::run(&root, rest),
        Some("fixtures") => xtask::fixtures::run(&root, rest),
        Some("dist") => xtask::dist::run(&root, rest),
        Some("release") => xtask::release::run(&root, rest),
        Some("bench") => xtask::bench::run(&root, rest),
        Some("help" | "--help" | "-h") | None => {
            xtask::say(HELP.trim_end());
            Ok(())
        }
        Some(other) => bail!("xtask has no job `{other}`\n\n{HELP}"),
    }
}
