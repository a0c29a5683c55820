//! Reads MIB modules in a process of its own. Thousands of modules need gigabytes of memory, which go with that process; if
//! a module crashes it, the daemon goes on.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};

use super::systemd;
use crate::config::Config;
use crate::config::loaded;
use crate::mib::load::cache;

/// Has the index of the configuration's modules made, if there is none. If this fails, the daemon reads them itself.
pub fn index(config: &Config) {
    let index = loaded::mib_index(config);
    if cache::is_ready(&config.mib_paths, &index) {
        return;
    }
    if let Err(error) = run(config, &index) {
        tracing::warn!(%error, "no process can be started to read the MIB modules; reading them here");
    }
}

fn run(config: &Config, index: &Path) -> std::io::Result<()> {
    let mut child = Command::new(std::env::current_exe()?)
        .args(["mib", "load", "--while-stdin", "--json", "--index"])
        .arg(index)
        .arg("--")
        .args(&config.mib_paths)
        // This process holds the other end, so the child ends with it, however it ends.
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()?;
    if let Some(said) = child.stderr.take() {
        for line in BufReader::new(said).lines().map_while(Result::ok) {
            // Mistakes in modules are reported when the index is opened.
            if let Some(line) = line.strip_prefix("trapline: ") {
                tracing::info!("{line}");
                systemd::starting(line);
            }
        }
    }
    child.wait().map(drop)
}
