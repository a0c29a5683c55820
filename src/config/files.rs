//! The files that a configuration names: rules and hosts.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use crate::diagnostic::{Diagnostics, SourceText};
use crate::hosts::Hosts;
use crate::rules::compile::RuleFile;
use crate::rules::shipped;

/// The rule files of some paths, folders by their `*.toml`, in the order of the file names; the shipped packs
/// where no path is given.
pub fn rule_files(paths: Option<&[PathBuf]>, found: &mut Diagnostics) -> Vec<RuleFile> {
    let Some(paths) = paths else {
        return shipped::PACKS
            .iter()
            .map(|(name, text)| RuleFile {
                name: format!("shipped rules/{name}").into(),
                text: (*text).into(),
            })
            .collect();
    };
    let mut files = BTreeSet::new();
    for path in paths {
        match toml_files(path) {
            Ok(some) => files.extend(some.into_iter().map(|f| (f.file_name().map(ToOwned::to_owned), f))),
            Err(error) => found.file_error(
                &path.display().to_string(),
                format!("cannot read these rules: {error}"),
                "name a folder or a file that exists in [rules] paths",
            ),
        }
    }
    files
        .into_iter()
        .filter_map(|(_, path)| {
            let name = path.display().to_string();
            match std::fs::read_to_string(&path) {
                Ok(text) => Some(RuleFile { name: name.into(), text: text.into() }),
                Err(error) => {
                    found.file_error(&name, format!("cannot read it: {error}"), "");
                    None
                }
            }
        })
        .collect()
}

/// The folders of MIB modules that this system has, where net-snmp and its like put them.
pub fn system_mibs() -> Vec<PathBuf> {
    let folders = ["/usr/share/snmp/mibs", "/usr/share/mibs", "/usr/local/share/snmp/mibs", "/var/lib/mibs"];
    // One may be a link to another.
    let there: BTreeSet<PathBuf> =
        folders.iter().filter_map(|folder| std::fs::canonicalize(folder).ok()).collect();
    there.into_iter().collect()
}

fn toml_files(path: &Path) -> std::io::Result<Vec<PathBuf>> {
    if !std::fs::metadata(path)?.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let entries = std::fs::read_dir(path)?.collect::<Result<Vec<_>, _>>()?;
    Ok(entries.into_iter().map(|e| e.path()).filter(|p| p.extension().is_some_and(|e| e == "toml")).collect())
}

/// Adds the hosts of a file of lines `address,name`; `#` begins a comment.
pub fn read_hosts_csv(path: &Path, hosts: &mut Hosts, found: &mut Diagnostics) {
    let Some(text) = read(path, "hosts", found) else { return };
    let name = path.display().to_string();
    let source = SourceText { file: &name, text: &text };
    let mut offset = 0;
    for line in text.split_inclusive('\n') {
        let span = offset..offset + line.len();
        offset += line.len();
        let content = line.split('#').next().unwrap_or_default().trim();
        if content.is_empty() {
            continue;
        }
        match content.split_once(',').map(|(a, n)| (a.trim(), n.trim())) {
            Some((address, host)) if !address.is_empty() && !host.is_empty() => hosts.insert(address, host),
            _ => {
                let hint = Some("write address,name on each line".to_owned());
                found.push(source.error(&span, format!("'{}' is no host", content.escape_debug()), hint));
            }
        }
    }
}

/// Adds the hosts of Nagios' object cache: each by its address and by its own name.
pub fn read_nagios_objects(path: &Path, hosts: &mut Hosts, found: &mut Diagnostics) {
    let Some(text) = read(path, "objects", found) else { return };
    let mut in_host = false;
    let (mut name, mut address) = (None, None);
    for line in text.lines().map(str::trim) {
        if line.starts_with("define host {") || line.starts_with("define host{") {
            (in_host, name, address) = (true, None, None);
        } else if line == "}" {
            if let (true, Some(name), Some(address)) = (in_host, name, address) {
                hosts.insert(address, name);
                hosts.insert(name, name);
            }
            in_host = false;
        } else if in_host {
            match line.split_once(char::is_whitespace) {
                Some(("host_name", value)) => name = Some(value.trim()),
                Some(("address", value)) => address = Some(value.trim()),
                _ => {}
            }
        }
    }
}

fn read(path: &Path, what: &str, found: &mut Diagnostics) -> Option<String> {
    std::fs::read_to_string(path)
        .map_err(|error| {
            let name = path.display().to_string();
            found.file_error(
                &name,
                format!("cannot read these {what}: {error}"),
                "name a file that exists in [hosts]",
            );
        })
        .ok()
}
