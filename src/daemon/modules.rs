//! MIB modules read by a process of its own: what it needs of memory, gigabytes for thousands of modules, goes with it,
//! and should a module bring it down, the daemon stays.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use super::systemd;
use crate::config::Config;
use crate::config::loaded as setup;
use crate::mib::load::cache;

/// Has the index made, where there is none of the configuration's modules. If this does not work the daemon reads them
/// itself.
pub fn index(config: &Config) {
    let index = setup::mib_index(config);
    if cache::is_ready(&config.mib_paths, &index) {
        return;
    }
    if let Err(error) = run(config, &index) {
        tracing::warn!(%error, "no process can be started to read the MIB modules; reading them here");
    }
}

fn run(config: &Config, index: &std::path::Path) -> std::io::Result<()> {
    let mut child = Command::new(std::env::current_exe()?)
        .args(["mib", "load", "--while-stdin", "--json", "--index"])
        .arg(index)
        .arg("--")
        .args(&config.mib_paths)
        // Held by this process, so that the other one ends with it, however it ends.
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()?;
    if let Some(said) = child.stderr.take() {
        for line in BufReader::new(said).lines().map_while(Result::ok) {
            // What is wrong in modules is said again when the index is opened.
            if let Some(line) = line.strip_prefix("trapline: ") {
                tracing::info!("{line}");
                systemd::starting(line);
            }
        }
    }
    child.wait().map(drop)
}
