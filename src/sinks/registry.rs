//! All types of sinks, and the reader of `[[sinks]]`.
//!
//! To add a type: a file here with its [`Kind`], a line in [`KINDS`], a page in docs/sinks/, an end-to-end test.

use crate::rules::looks::Looks;
use crate::settings::diagnostic::{Diagnostics, did_you_mean};
use crate::settings::section::Section;
use crate::sinks::settings::{Kind, Options, Resolve, SinkConfig};
use crate::sinks::{
    alertmanager, alignak, amqp, canopsis, elasticsearch, email, file, icinga2, influxdb, kafka, loki, mqtt,
    nagios, nats, nrdp, nsca, otlp, pagerduty, snmp, splunk, syslog, webhook, zabbix,
};

/// The types, in the order of the documentation.
pub const KINDS: &[Kind] = &[
    nagios::KIND,
    icinga2::KIND,
    alignak::KIND,
    nsca::KIND,
    nrdp::KIND,
    zabbix::KIND,
    alertmanager::KIND,
    canopsis::KIND,
    amqp::KIND,
    kafka::KIND,
    mqtt::KIND,
    nats::KIND,
    webhook::KIND,
    email::KIND,
    pagerduty::KIND,
    splunk::KIND,
    elasticsearch::KIND,
    influxdb::KIND,
    loki::KIND,
    otlp::KIND,
    syslog::KIND,
    snmp::KIND,
    file::KIND,
];

/// Reads one `[[sinks]]` entry of one of these types. What is wrong goes to `found`; then there may be no result. The caller
/// finishes the section.
pub fn read(
    kinds: &[Kind],
    section: &Section<'_, '_>,
    resolve: Resolve<'_>,
    found: &mut Diagnostics,
) -> Option<SinkConfig> {
    read_with(kinds, section, (resolve, &Looks::default()), found)
}

/// The same, with the tables that its templates may look into.
pub fn read_with(
    kinds: &[Kind],
    section: &Section<'_, '_>,
    (resolve, looks): (Resolve<'_>, &Looks),
    found: &mut Diagnostics,
) -> Option<SinkConfig> {
    let mut options = Options::new(section, (resolve, looks), found);
    let names = || kinds.iter().map(|kind| kind.name);
    let list = || format!("one of {}", names().collect::<Vec<_>>().join(", "));
    let all: Vec<&str> = names().collect();
    let name = options.one_of("type", &all);
    if options.get("type").is_none() {
        match section.misspelt("type") {
            Some(misspelt) => options.report_as(misspelt),
            None => options.report("a sink without a type", &format!("add type = {}", list())),
        }
    }
    let name = name?;
    let kind = kinds.iter().find(|kind| kind.name == name.value);
    if kind.is_none() {
        let hint = did_you_mean(&name, names()).unwrap_or_else(list);
        options.report_at(&name.span, format!("there is no sink of type '{}'", name.value), Some(&hint));
    }
    SinkConfig::read(&mut options, &name, |options| (kind?.read)(options))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::fmt::Write as _;
    use std::path::{Path, PathBuf};

    use super::*;
    use crate::settings::diagnostic::SourceText;
    use crate::settings::section;
    use crate::sinks::http::answers::{Row, STATUS};
    use crate::sinks::http::server::Server;
    use crate::sinks::settings::{COMMON, Key};

    fn page(name: &str) -> String {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/sinks").join(format!("{name}.md"));
        std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
    }

    fn key_table<'k>(keys: impl IntoIterator<Item = &'k Key>) -> String {
        let mut table = String::from("| key | default | meaning |\n|---|---|---|\n");
        for key in keys {
            let toml = |c: char| matches!(c, '"' | '0'..='9');
            let literal = key.default.starts_with(toml) || matches!(key.default, "true" | "false");
            let default = if literal { format!("`{}`", key.default) } else { key.default.to_owned() };
            writeln!(table, "| `{}` | {default} | {} |", key.name, key.says).unwrap();
        }
        table
    }

    fn answer_table(rows: &[Row]) -> String {
        let mut table = String::from("| status | answer | what follows |\n|---|---|---|\n");
        for rows in rows.chunk_by(|a, b| (&a.status, a.means) == (&b.status, b.means)) {
            let (from, to) = (rows[0].status.start(), rows[0].status.end());
            let status = if from == to { from.to_string() } else { format!("{from} to {to}") };
            let bodies: Vec<String> = rows.iter().map(|row| format!("`{}`", row.body)).collect();
            let bodies = if bodies == ["`*`"] { "any".to_owned() } else { bodies.join(", ") };
            writeln!(table, "| {status} | {bodies} | {} |", rows[0].means).unwrap();
        }
        table
    }

    fn has(page_name: &str, what: &str, table: &str) {
        assert!(page(page_name).contains(table), "docs/sinks/{page_name}.md has not this {what}:\n{table}");
    }

    #[test]
    fn the_pages_say_what_the_code_does() {
        let mut types = String::from("| type | sends to |\n|---|---|\n");
        for kind in KINDS {
            writeln!(types, "| [{0}]({0}.md) | {1} |", kind.name, kind.says).unwrap();
        }
        has("README", "table of types", &types);
        has("README", "table of the keys of every sink", &key_table(COMMON));
        has(
            "README",
            "table of the keys of HTTP sinks",
            &key_table([Server::URL, Server::KEYS, Server::CONNECTIONS].concat().iter()),
        );
        has("README", "table of statuses", &answer_table(STATUS));
        for kind in KINDS {
            let own = kind
                .keys
                .iter()
                .filter(|keys| ![Server::URL, Server::KEYS, Server::CONNECTIONS].contains(keys));
            has(kind.name, "table of keys", &key_table(own.copied().flatten()));
            if !kind.answers.is_empty() {
                has(kind.name, "table of answers", &answer_table(kind.answers));
            }
        }
    }

    /// What is promised of each type stands in one table, in the order of the documentation.
    #[test]
    fn every_type_has_its_promises_in_the_table() {
        let page = page("README");
        let (_, behind) = page.split_once("## What each promises").unwrap();
        let rows: Vec<&str> = behind
            .lines()
            .filter(|line| line.starts_with("| ["))
            .take_while(|line| !line.is_empty())
            .collect();
        let names: Vec<&str> = KINDS.iter().map(|kind| kind.name).collect();
        let of_page: Vec<&str> =
            rows.iter().filter_map(|row| row.strip_prefix("| [")?.split(']').next()).collect();
        assert_eq!(of_page, names);
        for row in rows {
            let cells: Vec<&str> = row.trim_matches('|').split(" | ").map(str::trim).collect();
            assert!(cells.len() == 5 && cells.iter().all(|cell| cell.len() > 2), "{row}");
        }
    }

    #[test]
    fn every_type_has_one_page_and_every_page_a_type() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/sinks");
        let pages: BTreeSet<String> = std::fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().path().file_stem().unwrap().to_str().unwrap().to_owned())
            .collect();
        let names: BTreeSet<String> =
            KINDS.iter().map(|kind| kind.name.to_owned()).chain(["README".to_owned()]).collect();
        assert_eq!((pages, KINDS.len() + 1), (names.clone(), names.len()));
    }

    /// The keys that a type asks for, given an entry of these lines.
    fn asked(kind: &Kind, lines: &str) -> BTreeSet<String> {
        let source = SourceText { file: "t.toml", text: lines };
        let mut found = Diagnostics::default();
        let root = section::read(&source, &mut found).unwrap();
        let section = Section::new(&source, root.get_ref(), root.span(), "[[sinks]]");
        let resolve = |path: &str| PathBuf::from(path);
        read(std::slice::from_ref(kind), &section, &resolve, &mut found);
        // `was` is read by who compares the configuration with the one before.
        section.asked().into_iter().chain(["was"]).map(str::to_owned).collect()
    }

    #[test]
    fn the_keys_are_those_that_are_asked_for() {
        for kind in KINDS {
            let keys: BTreeSet<String> =
                COMMON.iter().chain(kind.own_keys()).map(|key| key.name.to_owned()).collect();
            let own: Vec<&str> = kind.own_keys().map(|key| key.name).collect();
            assert_eq!(own.len(), own.iter().collect::<BTreeSet<_>>().len(), "{}: a key twice", kind.name);
            // An entry without anything, and one with an URL of the web, are asked for the same.
            for more in [
                "",
                "url = \"http://h/\"\n",
                "method = \"spool\"\n",
                "method = \"centcore\"\n",
                "url = \"amqp://h/v\"\n",
            ] {
                let lines = format!("type = \"{}\"\n{more}", kind.name);
                assert_eq!(asked(kind, &lines), keys, "{} {more}", kind.name);
            }
        }
    }
}
