//! Gives `trapline --version` the commit that a release was built from.
//!
//! `TRAPLINE_VERSION` becomes `0.1.0 (db29253aa1c2 2026-11-26)`: the first twelve digits of the commit and its date, so that the same
//! commit always gives the same program; `-dirty` marks files that were changed since. Without git, outside of a clone and in debug
//! builds, which would otherwise be built again after each commit, it is the plain version. Whoever builds without git can set
//! `TRAPLINE_COMMIT`.

use std::env;
use std::path::Path;
use std::process::Command;

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-env-changed=TRAPLINE_COMMIT");
    let version = env::var("CARGO_PKG_VERSION").unwrap_or_default();
    let given = env::var("TRAPLINE_COMMIT").ok().filter(|commit| !commit.trim().is_empty());
    let of_git = || (env::var("PROFILE").as_deref() == Ok("release")).then(commit).flatten();
    match given.or_else(of_git) {
        Some(commit) => println!("cargo:rustc-env=TRAPLINE_VERSION={version} ({})", commit.trim()),
        None => println!("cargo:rustc-env=TRAPLINE_VERSION={version}"),
    }
}

/// The commit that is checked out, and its date; none if this folder is not the top of a clone.
fn commit() -> Option<String> {
    let here = env::var("CARGO_MANIFEST_DIR").ok()?;
    let top = git(&["rev-parse", "--show-toplevel"])?;
    if Path::new(&top).canonicalize().ok()? != Path::new(&here).canonicalize().ok()? {
        return None;
    }
    // What a commit, a checkout and an edit change.
    for file in ["HEAD", "logs/HEAD"] {
        let path = git(&["rev-parse", "--git-path", file])?;
        if Path::new(&path).exists() {
            println!("cargo:rerun-if-changed={path}");
        }
    }
    for path in ["Cargo.toml", "Cargo.lock", "src", "rules", "mibs"] {
        println!("cargo:rerun-if-changed={path}");
    }
    let commit = git(&["log", "-1", "--format=%H %cs"])?;
    let (hash, date) = commit.split_once(' ')?;
    let changed =
        git(&["status", "--porcelain", "--untracked-files=no"]).is_none_or(|files| !files.is_empty());
    Some(format!("{}{} {date}", hash.get(..12)?, if changed { "-dirty" } else { "" }))
}

/// What git says, without the end of its line; none if it is not there or fails.
fn git(args: &[&str]) -> Option<String> {
    let said = Command::new("git").args(args).output().ok().filter(|said| said.status.success())?;
    Some(String::from_utf8(said.stdout).ok()?.trim().to_owned())
}
