//! `[hosts]` and the files that it names.

use std::collections::HashMap;
use std::io::ErrorKind;
use std::ops::Range;
use std::path::{Path, PathBuf};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use regex::{Regex, RegexBuilder};

use super::hosts::{FromTable, Hosts, Prefer};
use super::nagios::objects;
use super::names::{HostWord, Spelling, clean};
use super::networks::ByNetwork;
use crate::settings::diagnostic::{Diagnostic, Diagnostics, Severity, SourceText};
use crate::settings::input;
use crate::settings::section::Section;
use crate::settings::values::{in_a_line, names_no_host, network, word};
use crate::text::Charset;

/// Reads `[hosts]`; relative paths are given to `resolve`. Files that do not exist go to `absent`, with what to report.
pub fn hosts(
    section: Section<'_, '_>,
    resolve: &dyn Fn(&str) -> PathBuf,
    absent: &mut Vec<(PathBuf, Diagnostic)>,
    found: &mut Diagnostics,
) -> Hosts {
    let mut hosts = Hosts::default();
    hosts.spelling = spelling(&section, found);
    let words = [("claim", Prefer::Claim), ("sender", Prefer::Sender)];
    let prefer = |text: &str| {
        let word = words.iter().find(|(word, _)| *word == text);
        word.map(|(_, prefer)| *prefer).ok_or_else(|| format!("'{text}' is neither \"claim\" nor \"sender\""))
    };
    hosts.prefer = by_network(&section, "prefer", &prefer, found);
    let charset = |label: &str| {
        Charset::of_label(label).ok_or_else(|| {
            let label = label.escape_debug();
            format!(
                "'{label}' is no character set; name one as browsers do, such as \"windows-1252\" or \"gbk\""
            )
        })
    };
    hosts.charset = by_network(&section, "charset", &charset, found);
    if let Some(map) = section.section("map", found) {
        for (key, span, name) in map.entries() {
            match name.get_ref().as_str() {
                Some(name) => {
                    found.extend(never_matches(map.source(), &span, key));
                    hosts.insert(key, name);
                }
                None => found.push(map.source().error(&span, "a host's name must be a string", None)),
            }
        }
    }
    let mut is_there = |path: &Path, span: &Range<usize>| match std::fs::metadata(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => {
            let message = format!("cannot read {}: {error}", path.display());
            let hint = Some("correct the path, or create the file".to_owned());
            absent.push((path.to_owned(), section.source().error(span, message, hint)));
            false
        }
        _ => true,
    };
    for entry in section.strings("files", found).unwrap_or_default() {
        let path = resolve(&entry);
        if is_there(&path, &entry.span) {
            read_hosts_csv(&path, &mut hosts, found);
        }
    }
    if let Some(entry) = section.string("nagios_objects", found) {
        let path = resolve(&entry);
        if is_there(&path, &entry.span) {
            read_nagios_objects(&path, &mut hosts, found);
        }
        hosts.nagios_objects = Some(path);
    }
    hosts.from = from_tables(&section, found);
    hosts.reverse_dns = section.boolean("reverse_dns", found).is_some_and(|reverse| reverse.value);
    section.finish(found);
    hosts
}

/// Reads `lookups`: the tables that name hosts.
fn from_tables(section: &Section<'_, '_>, found: &mut Diagnostics) -> Vec<FromTable> {
    let mut all = Vec::new();
    for table in section.sections("lookups", found) {
        let place = table.source().place_of(&table.span());
        let name = table.string("name", found).map_or_else(|| "name".into(), |name| name.value.into());
        let addresses = table.strings("address", found);
        let addresses = addresses.map_or_else(
            || vec!["address".into(), "address6".into()],
            |all| all.into_iter().map(|address| address.value.into()).collect(),
        );
        let wanted = table.string("table", found);
        if wanted.is_none() && table.get("table").is_none() {
            found.push(table.error(
                "the name of a table is missing",
                "write { table = \"cmdb\", name = \"hostname\", address = \"ip\" }",
            ));
        }
        table.finish(found);
        all.extend(wanted.map(|wanted| FromTable { table: wanted.value.into(), name, addresses, place }));
    }
    all
}

/// Reads `case`, `domains` and `rewrite`.
fn spelling(section: &Section<'_, '_>, found: &mut Diagnostics) -> Spelling {
    let lower = word(section, "case", &[("keep", false), ("lower", true)], "case", found).unwrap_or_default();
    let domains = section.strings("domains", found).unwrap_or_default().into_iter().filter_map(|domain| {
        match clean(domain.trim_start_matches('.')) {
            Some(HostWord::Name(name)) => Some(name.to_lowercase().into()),
            _ => {
                let message = format!("'{}' is no domain", domain.value.escape_debug());
                let hint = Some("write a domain such as \"example.org\"".to_owned());
                found.push(section.source().error(&domain.span, message, hint));
                None
            }
        }
    });
    let domains = domains.collect();
    let rewrite = section.sections("rewrite", found).into_iter().filter_map(|rule| rewrite(rule, found));
    let rewrite = rewrite.collect();
    Spelling { lower, domains, rewrite }
}

/// Reads one `{ match, to }`.
fn rewrite(section: Section<'_, '_>, found: &mut Diagnostics) -> Option<(Regex, String)> {
    let (pattern, to) = (section.string("match", found), section.string("to", found));
    if pattern.is_none() || to.is_none() {
        found.push(section.error(
            "a replacement has a 'match' and a 'to'",
            "write { match = \"^(.+)-mgmt$\", to = \"$1\" }",
        ));
    }
    let read = pattern.zip(to).and_then(|(pattern, to)| {
        let built = RegexBuilder::new(&pattern).case_insensitive(true).size_limit(1 << 20).build();
        let regex = built.map_err(|error| {
            let message = format!("invalid regular expression: {}", in_a_line(&error));
            found.push(section.source().error(&pattern.span, message, None));
        });
        Some((regex.ok()?, to.value))
    });
    section.finish(found);
    read
}

/// Reads a value for all senders (a string), or by their networks (a table).
fn by_network<T: Copy>(
    section: &Section<'_, '_>,
    key: &'static str,
    parse: &dyn Fn(&str) -> Result<T, String>,
    found: &mut Diagnostics,
) -> ByNetwork<T> {
    let Some(value) = section.get(key) else { return ByNetwork::default() };
    let source = section.source();
    if let Some(text) = value.get_ref().as_str() {
        let everywhere = [IpNet::V4(Ipv4Net::default()), IpNet::V6(Ipv6Net::default())];
        return match parse(text) {
            Ok(value) => ByNetwork::new(everywhere.map(|net| (net, value)).into()),
            Err(message) => {
                found.push(source.error(&value.span(), message, None));
                ByNetwork::default()
            }
        };
    }
    let table = section.section(key, found);
    let mut all = Vec::new();
    for (net, span, value) in table.iter().flat_map(Section::entries) {
        let text = value.get_ref().as_str().ok_or_else(|| format!("the value for '{net}' must be a string"));
        let net = network(net).map_err(|message| source.error(&span, message, None));
        let value = text.and_then(parse).map_err(|message| source.error(&value.span(), message, None));
        match (net, value) {
            (Ok(net), Ok(value)) => all.push((net, value)),
            (net, value) => net.err().into_iter().chain(value.err()).for_each(|error| found.push(error)),
        }
    }
    ByNetwork::new(all)
}

/// Adds the hosts of a file of lines `address,name`; `#` begins a comment.
pub fn read_hosts_csv(path: &Path, hosts: &mut Hosts, found: &mut Diagnostics) {
    let Some(text) = read(path, "hosts", found) else { return };
    let name = path.display().to_string();
    let source = SourceText { file: &name, text: &text };
    let (mut offset, mut count) = (0, 0);
    let mut named: HashMap<String, (String, usize)> = HashMap::new();
    for (number, line) in text.split_inclusive('\n').enumerate() {
        let span = offset..offset + line.len();
        offset += line.len();
        let content = line.split('#').next().unwrap_or_default().trim();
        if content.is_empty() {
            continue;
        }
        match content.split_once(',').map(|(a, n)| (a.trim(), n.trim())) {
            Some((address, host)) if count == 0 && is_heading(address, host) => {
                let message =
                    format!("'{}' is taken for a heading and names no host", content.escape_debug());
                found.extend(warning(&source, &span, &message, "begin it with #, or remove it"));
            }
            Some((address, host)) if !address.is_empty() && !host.is_empty() => {
                found.extend(never_matches(&source, &span, address));
                let key = address.to_lowercase();
                match named.get(&key) {
                    Some((before, line)) if before != host => {
                        let (key, before) = (address.escape_debug(), before.escape_debug());
                        let message = format!("'{key}' is '{before}' by line {line}, which counts");
                        found.extend(warning(&source, &span, &message, "remove one of the two lines"));
                    }
                    Some(_) => {}
                    None => drop(named.insert(key, (host.to_owned(), number + 1))),
                }
                hosts.insert(address, host);
                count += 1;
            }
            _ => {
                let hint = Some("write address,name on each line".to_owned());
                found.push(source.error(&span, format!("'{}' is no host", content.escape_debug()), hint));
                count += 1;
            }
        }
    }
    if count == 0 {
        found.extend(warning(
            &source,
            &(0..0),
            "there are no hosts in it",
            "write address,name on each line",
        ));
    }
}

/// Whether the first line of a table says what its columns are.
fn is_heading(address: &str, name: &str) -> bool {
    let among = |word: &str, all: &[&str]| all.iter().any(|one| word.eq_ignore_ascii_case(one));
    among(address, &["address", "ip", "ip_address", "ipaddress", "ip address"])
        && among(name, &["name", "host", "host_name", "hostname", "host name"])
}

/// Warns of an entry that no sender, name or engine id can be equal to.
fn never_matches(source: &SourceText<'_>, span: &Range<usize>, key: &str) -> Diagnostics {
    let Some(what) = names_no_host(key) else { return Diagnostics::default() };
    let what = if network(key).is_ok() { "is a network, which cannot have a name" } else { what };
    let message = format!("'{}' {what}: this entry never matches", key.escape_debug());
    warning(source, span, &message, "write an address, a name, or an engine id")
}

fn warning(source: &SourceText<'_>, span: &Range<usize>, message: &str, hint: &str) -> Diagnostics {
    let mut found = Diagnostics::default();
    let error = source.error(span, message, Some(hint.to_owned()));
    found.push(Diagnostic { severity: Severity::Warning, ..error });
    found
}

/// Adds the hosts of Nagios' object cache: each by its address and by its own name.
pub fn read_nagios_objects(path: &Path, hosts: &mut Hosts, found: &mut Diagnostics) {
    let Some(text) = read(path, "objects", found) else { return };
    for (kind, directives) in objects(&text) {
        let directive = |name: &str| directives.iter().find(|(key, _)| *key == name).map(|(_, value)| *value);
        if let ("host", Some(name), Some(address)) = (kind, directive("host_name"), directive("address")) {
            hosts.insert(address, name);
            hosts.insert(name, name);
        }
    }
}

fn read(path: &Path, what: &str, found: &mut Diagnostics) -> Option<String> {
    input::text(path, input::DATA)
        .map(|mut text| std::mem::take(&mut *text))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_table_says_that_names_no_host_is_said() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let path = file.path();
        let said = |text: &str| {
            std::fs::write(path, text).unwrap();
            let (mut hosts, mut found) = (Hosts::default(), Diagnostics::default());
            read_hosts_csv(path, &mut hosts, &mut found);
            (hosts.len(), found.to_text().replace(&path.display().to_string(), "t"))
        };
        for (text, hosts, words) in [
            ("192.0.2.1,a\n192.0.2.2,a\n", 2, ""),
            ("address,name\n192.0.2.1,a\n", 1, "t:1:1: warning: 'address,name' is taken for a heading"),
            ("# all\nIP Address, Hostname\n192.0.2.1,a\n", 1, "t:2:1: warning: 'IP Address, Hostname'"),
            ("address,name\n", 0, "there are no hosts in it"),
            ("192.0.2.1,a\naddress,name\n", 2, ""),
            ("192.0.2.1,a\n192.0.2.1,a\n", 1, ""),
            (
                "192.0.2.1,a\nSW1,b\n192.0.2.1,c\n",
                2,
                "t:3:1: warning: '192.0.2.1' is 'a' by line 1, which counts",
            ),
            ("SW1,a\nsw1,b\n", 1, "t:2:1: warning: 'sw1' is 'a' by line 1"),
            ("192.0.2.0/24,a\n", 1, "t:1:1: warning: '192.0.2.0/24' is a network, which cannot have a name"),
            ("192.0.2.0/33,a\n", 1, "'192.0.2.0/33' is no network: this entry never matches"),
            ("192.0.2.256,a\n", 1, "'192.0.2.256' is no address: this entry never matches"),
            ("nothing\n", 0, "t:1:1: error: 'nothing' is no host"),
        ] {
            let (known, found) = said(text);
            assert_eq!(known, hosts, "{text}");
            assert!(found.contains(words) && found.is_empty() == words.is_empty(), "{text}: {found}");
        }
    }
}
