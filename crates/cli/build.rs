//! Tells the program which git revision it was built from: the variable AI_ENERGY_REVISION where it is set, and git in a
//! release build. A debug build is of no revision: it would be built anew with every commit.

use std::env;
use std::process::Command;

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-env-changed=AI_ENERGY_REVISION");
    let given = env::var("AI_ENERGY_REVISION").ok().filter(|revision| !revision.is_empty());
    let release = env::var("PROFILE").is_ok_and(|profile| profile == "release");
    if let Some(revision) = given.or_else(|| if release { of_git() } else { None }) {
        println!("cargo:rustc-env=AI_ENERGY_REVISION={revision}");
    }
}

fn of_git() -> Option<String> {
    let git = |arguments: &[&str]| {
        let output =
            Command::new("git").args(arguments).output().ok().filter(|output| output.status.success())?;
        String::from_utf8(output.stdout).ok().map(|text| text.trim().to_owned())
    };
    println!("cargo:rerun-if-changed={}", git(&["rev-parse", "--git-path", "logs/HEAD"])?);
    let changed = git(&["status", "--porcelain", "--untracked-files=no"])?;
    let mark = if changed.is_empty() { "" } else { "-changed" };
    git(&["rev-parse", "--short=12", "HEAD"]).map(|revision| format!("{revision}{mark}"))
}
