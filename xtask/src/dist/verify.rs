//! What was made, tried as a user would: contents, sums, the archive unpacked, the wheel in a fresh environment without compilers.

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, Command, Stdio};

use super::tools::{self, text};
use super::{Dist, PROGRAM, archive, deb, limits, sbom, sums, wheel};
use crate::{say, shell};

/// What no artefact may hold.
const FOREIGN: [&str; 9] =
    ["__pycache__", ".git/", "/target/", ".env", "id_rsa", ".pem", ".key", ".pyc", "requests.jsonl"];

/// Everything.
pub(super) fn all(dist: &Dist) -> Result<()> {
    limits::check(dist)?;
    contents(dist)?;
    checksums(dist)?;
    documents(dist)?;
    unpacked_archive(dist)?;
    if cfg!(target_os = "linux") {
        debian_package(dist)?;
    }
    for wheel in wheel::all(dist)? {
        installed_wheel(dist, &wheel)?;
    }
    Ok(())
}

/// The names in a tar or zip file, by the Python of the tools, which reads both.
fn names(dist: &Dist, file: &Path) -> Result<Vec<String>> {
    let script = "import sys, tarfile, zipfile\n\
                  name = sys.argv[1]\n\
                  names = zipfile.ZipFile(name).namelist() if zipfile.is_zipfile(name) else tarfile.open(name).getnames()\n\
                  print('\\n'.join(names))";
    let output = Command::new(tools::python(dist)).args(["-c", script]).arg(file).output()?;
    ensure!(output.status.success(), "{} cannot be listed", file.display());
    Ok(String::from_utf8_lossy(&output.stdout).lines().map(str::to_owned).collect())
}

/// Each artefact has what it should, and nothing that is nobody's business.
fn contents(dist: &Dist) -> Result<()> {
    let wanted_archive =
        [PROGRAM, "LICENSE", "THIRD_PARTY_LICENSES.txt", "README.md", "configs/", "man/", "completions/"];
    let wanted_wheel = [
        "ai_energy_benchmarks/py.typed",
        "ai_energy_benchmarks/runner.py",
        ".data/scripts/ai-energy-benchmark",
        "entry_points.txt",
        "licenses/LICENSE",
        "licenses/THIRD_PARTY_LICENSES.txt",
    ];
    let wanted_sources =
        ["hatch_build.py", "src/ai_energy_benchmarks/runner.py", "rust/Cargo.lock", "rust/crates/cli/"];
    hold(&archive::path(dist), &names(dist, &archive::path(dist))?, &wanted_archive, &["/tests/", "/src/"])?;
    for file in wheel::all(dist)? {
        hold(&file, &names(dist, &file)?, &wanted_wheel, &["tests/", ".rs", "hatch_build"])?;
    }
    for file in wheel::sources(dist)? {
        hold(&file, &names(dist, &file)?, &wanted_sources, &[])?;
    }
    Ok(())
}

fn hold(file: &Path, names: &[String], wanted: &[&str], unwanted: &[&str]) -> Result<()> {
    let shown = file.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    for part in wanted {
        ensure!(names.iter().any(|name| name.contains(part)), "{shown} lacks {part}");
    }
    for part in unwanted.iter().chain(&FOREIGN) {
        if let Some(name) = names.iter().find(|name| name.contains(part)) {
            bail!("{shown} holds {name}, which has no place in it");
        }
    }
    say(&format!("   {shown}: {} entries, all that is wanted and nothing else", names.len()));
    Ok(())
}

fn checksums(dist: &Dist) -> Result<()> {
    let program = if crate::succeeds("sha256sum", &["--version"]) {
        ("sha256sum", vec![])
    } else {
        ("shasum", vec!["-a", "256"])
    };
    let arguments = [program.1, vec!["--check", "--quiet", sums::FILE]].concat();
    shell(&dist.out, program.0, &arguments)
}

/// The metadata of wheel and sources as the index reads them, and the bill of materials against its schema.
fn documents(dist: &Dist) -> Result<()> {
    let python = tools::python(dist);
    let mut arguments = vec!["-m", "twine", "check", "--strict"];
    let files = [wheel::all(dist)?, wheel::sources(dist)?].concat();
    for file in &files {
        arguments.push(text(file)?);
    }
    shell(&dist.root, text(&python)?, &arguments)?;
    let script = "import sys\n\
                  from cyclonedx.schema import SchemaVersion\n\
                  from cyclonedx.validation.json import JsonStrictValidator\n\
                  error = JsonStrictValidator(SchemaVersion.V1_5).validate_str(open(sys.argv[1]).read())\n\
                  sys.exit(None if error is None else f'not CycloneDX: {error}')";
    shell(&dist.out, text(&python)?, &["-c", script, sbom::FILE])
}

/// Unpacked somewhere else, it runs with an empty environment and finds what ships in it.
fn unpacked_archive(dist: &Dist) -> Result<()> {
    let folder = fresh(dist, "unpacked")?;
    shell(&folder, "tar", &["-xzf", text(&archive::path(dist))?])?;
    let program = folder.join(dist.stem()).join(PROGRAM);
    let said =
        Command::new(&program).arg("--version").env_clear().output().context("the unpacked program")?;
    let said = String::from_utf8_lossy(&said.stdout).into_owned();
    ensure!(said.trim() == format!("{PROGRAM} {}", dist.version), "it says to be {said:?}");
    try_run(&program, &folder, &program)
}

/// Its control file is Debian's, and what it installs runs.
fn debian_package(dist: &Dist) -> Result<()> {
    if !crate::succeeds("dpkg-deb", &["--version"]) {
        say("   dpkg-deb is not here: the Debian package was made and not looked into");
        return Ok(());
    }
    let folder = fresh(dist, "debian")?;
    let package = deb::path(dist);
    shell(&folder, "dpkg-deb", &["--info", text(&package)?])?;
    shell(&folder, "dpkg-deb", &["--extract", text(&package)?, "."])?;
    ensure!(folder.join("usr/share/man/man1/ai-energy-benchmark.1").is_file(), "it has no manual page");
    try_run(&folder.join("usr/bin").join(PROGRAM), &folder, &folder.join("usr/bin").join(PROGRAM))
}

/// A fresh environment, no index, no compiler: import, run, profile, uninstall.
fn installed_wheel(dist: &Dist, wheel: &Path) -> Result<()> {
    let folder = fresh(dist, "installed")?;
    let environment = folder.join("venv");
    tools::new_environment(dist, &environment)?;
    let python = tools::program(&environment, "python");
    pip(&python, &folder, &["install", "--quiet", "--no-index", text(wheel)?])?;
    let program = tools::program(&environment, PROGRAM);
    ensure!(program.is_file(), "the wheel installs no {PROGRAM}");
    try_run(&program, &folder, &program)?;
    let server = Server::start(&program)?;
    let script = "import json, sys\n\
                  from ai_energy_benchmarks import BenchmarkConfig, BenchmarkRunner, __version__\n\
                  config = BenchmarkConfig(name='installed')\n\
                  config.backend.model, config.backend.endpoint = 'simulated', sys.argv[1]\n\
                  config.scenario.dataset_name, config.scenario.num_samples = 'builtin', 2\n\
                  config.scenario.generate_kwargs = {'max_new_tokens': 4, 'min_new_tokens': 0}\n\
                  results = BenchmarkRunner(config).run()\n\
                  assert results['summary']['successful_prompts'] == 2, results['summary']\n\
                  assert __version__ == sys.argv[2], __version__";
    bare(Command::new(&python).args(["-c", script, &server.address, &dist.version]).current_dir(&folder))?;
    bare(Command::new(tools::program(&environment, "ai-energy-profile")).arg("--version"))?;
    pip(&python, &folder, &["uninstall", "--quiet", "--yes", "ai_energy_benchmarks"])?;
    ensure!(!program.exists(), "uninstalling leaves {}", program.display());
    let gone = Command::new(&python).args(["-c", "import ai_energy_benchmarks"]).output()?;
    ensure!(!gone.status.success(), "uninstalling leaves the package importable");
    say(&format!(
        "   {}: installed, imported, run, uninstalled",
        wheel.file_name().unwrap_or_default().to_string_lossy()
    ));
    Ok(())
}

fn pip(python: &Path, folder: &Path, arguments: &[&str]) -> Result<()> {
    let mut command = Command::new(python);
    command.args(["-m", "pip", "--disable-pip-version-check"]).args(arguments).current_dir(folder);
    // Nothing of the caller's may help: no compiler, no index, no sources beside the wheel.
    bare(command.env_remove("PIP_FIND_LINKS"))
}

/// Runs a command without a `PATH` on which a compiler could be found.
fn bare(command: &mut Command) -> Result<()> {
    let status = command.env("PATH", "/nowhere").env_remove("PYTHONPATH").status()?;
    ensure!(status.success(), "{command:?} ended with {status}");
    Ok(())
}

/// A small benchmark of `program` against a simulator of `server`, and a look at its report.
fn try_run(program: &Path, folder: &Path, server: &Path) -> Result<()> {
    let server = Server::start(server)?;
    let output = Command::new(program)
        .args(["run", "--endpoint", &server.address, "-n", "3", "--max-tokens", "5", "--format", "json"])
        .current_dir(folder)
        .env_clear()
        .output()
        .with_context(|| format!("{} cannot be started", program.display()))?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{} ended with {}: {said}", program.display(), output.status);
    let report: Value = serde_json::from_slice(&output.stdout).context("its report is no JSON")?;
    ensure!(report["summary"]["total_completion_tokens"] == 15, "its report counts {}", report["summary"]);
    ensure!(report["synthetic"] == true, "a simulated run must say so");
    Ok(())
}

/// A folder of its own below the target folder, empty.
fn fresh(dist: &Dist, name: &str) -> Result<PathBuf> {
    let folder = dist.work.join("verify").join(name);
    if folder.exists() {
        std::fs::remove_dir_all(&folder).with_context(|| format!("cannot remove {}", folder.display()))?;
    }
    std::fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
    Ok(folder)
}

/// The packed program's own simulator, as long as this lives.
struct Server {
    child: Child,
    address: String,
    /// Kept open: a program that writes to a closed pipe may end.
    _out: BufReader<ChildStderr>,
}

impl Server {
    fn start(program: &Path) -> Result<Self> {
        let mut child = Command::new(program)
            .args(["simulate", "--port", "0"])
            .env_clear()
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .context("the simulator cannot be started")?;
        let out = child.stderr.take().context("the simulator has no output")?;
        let mut out = BufReader::new(out);
        let mut line = String::new();
        out.read_line(&mut line).context("the simulator says nothing")?;
        let start = line.find("http://").context("the simulator names no address")?;
        let address = line[start..].split_whitespace().next().unwrap_or_default().to_owned();
        Ok(Self { child, address, _out: out })
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended by itself; then there is nothing to end.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn contents_are_held_to_what_is_wanted_and_what_is_not() {
        let names = |list: &[&str]| -> Vec<String> { list.iter().map(|name| (*name).to_owned()).collect() };
        let file = Path::new("x.whl");
        assert!(hold(file, &names(&["a/b.py", "LICENSE"]), &["LICENSE"], &["tests/"]).is_ok());
        let lacking = hold(file, &names(&["a/b.py"]), &["LICENSE"], &[]).unwrap_err().to_string();
        assert_eq!(lacking, "x.whl lacks LICENSE");
        let secret =
            hold(file, &names(&["LICENSE", "a/server.key"]), &["LICENSE"], &[]).unwrap_err().to_string();
        assert!(secret.contains("a/server.key"), "{secret}");
    }
}
