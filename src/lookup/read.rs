//! `[hosts]` and the files that it names.

use std::path::{Path, PathBuf};

use super::hosts::Hosts;
use crate::settings::diagnostic::{Diagnostics, SourceText};
use crate::settings::section::Section;

/// Reads `[hosts]`; relative paths are given to `resolve`.
pub fn hosts(section: Section<'_, '_>, resolve: &dyn Fn(&str) -> PathBuf, found: &mut Diagnostics) -> Hosts {
    let mut hosts = Hosts::default();
    if let Some(map) = section.section("map", found) {
        for (address, span, name) in map.entries() {
            match name.get_ref().as_str() {
                Some(name) => hosts.insert(address, name),
                None => found.push(map.source().error(&span, "a host's name must be a string", None)),
            }
        }
    }
    for path in section.strings("files", found).unwrap_or_default() {
        read_hosts_csv(&resolve(&path), &mut hosts, found);
    }
    if let Some(path) = section.string("nagios_objects", found) {
        read_nagios_objects(&resolve(&path), &mut hosts, found);
    }
    if let Some(reverse) = section.boolean("reverse_dns", found).filter(|r| r.value) {
        let hint = Some("use map, files or nagios_objects".to_owned());
        found.push(section.source().error(
            &reverse.span,
            "reverse_dns is not supported by this release",
            hint,
        ));
    }
    section.finish(found);
    hosts
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
