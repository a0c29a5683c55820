//! What tests/run installs from PyPI to stand at the other end.

use std::path::{Path, PathBuf};
use std::process::Command;

fn environment() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("target/peers")
}

/// A file of an installed package.
pub fn file(name: &str) -> PathBuf {
    let folders = std::fs::read_dir(environment().join("lib")).expect("run tests/run");
    let mut found = folders.map(|folder| folder.unwrap().path().join("site-packages").join(name));
    found.find(|file| file.exists()).unwrap_or_else(|| panic!("{name} is not installed; run tests/run"))
}

/// A script of this folder, in the environment of the packages.
pub fn script(name: &str) -> Command {
    let mut command = Command::new(environment().join("bin/python"));
    command.arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/e2e").join(name));
    command
}
