//! The hosts that the monitoring core knows.

use std::collections::hash_map::Entry;
use std::hash::Hash;
use std::net::IpAddr;
use std::path::PathBuf;

use super::names::Spelling;
use super::networks::ByNetwork;
use super::table::{Cell, Table};
use super::tables::Tables;
use crate::fast_map::{FastMap, FastSet};
use crate::message::Source;
use crate::settings::diagnostic::{Diagnostics, Place, did_you_mean};
use crate::settings::values::unhex;
use crate::text::Charset;

/// The known hosts, and how the others are named.
#[derive(Debug, Default, Clone)]
pub struct Hosts {
    by_address: FastMap<IpAddr, Box<str>>,
    by_name: FastMap<Box<str>, Box<str>>,
    by_engine: FastMap<Box<[u8]>, Box<str>>,
    /// The names that the others lead to.
    names: FastSet<Box<str>>,
    /// How names that are not known are spelled.
    pub spelling: Spelling,
    /// What names the host first, by the network of the sender.
    pub prefer: ByNetwork<Prefer>,
    /// Whether senders that are not known are named by reverse DNS.
    pub reverse_dns: bool,
    /// The character sets of senders that do not write UTF-8, by their network.
    pub charset: ByNetwork<Charset>,
    /// Nagios' object cache, if hosts are read from there.
    pub nagios_objects: Option<PathBuf>,
    /// The tables that name further hosts.
    pub from: Vec<FromTable>,
    /// The name of this machine, which is the host of what its own programs send over a socket in the file system. If it is
    /// empty, `localhost` is.
    pub machine: Box<str>,
}

/// A table whose rows are hosts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FromTable {
    /// The name of the table.
    pub table: Box<str>,
    /// The column with the name of the host.
    pub name: Box<str>,
    /// The columns with its addresses, and other names of it.
    pub addresses: Vec<Box<str>>,
    /// Where this is written.
    pub place: Place,
}

impl FromTable {
    /// A column that a table must have for this and has not.
    pub fn lacks(&self, table: &Table) -> Option<&str> {
        let lacks = |column: &str| table.column(column).is_none();
        let without_addresses = || self.addresses.iter().all(|address| lacks(address));
        let name = lacks(&self.name).then_some(&self.name);
        name.or_else(|| self.addresses.first().filter(|_| without_addresses())).map(|column| &**column)
    }
}

/// What names the host first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Prefer {
    /// The agent of a notification, the name in a line.
    Claim,
    /// The sender.
    Sender,
}

impl Hosts {
    /// Adds a host by an address, another name of it or the id of its SNMP engine (`0x80001f88...`). What was added first
    /// stays.
    pub fn insert(&mut self, key: &str, name: &str) {
        let added = if let Ok(address) = key.parse::<IpAddr>() {
            add(&mut self.by_address, address.to_canonical(), name)
        } else if let Some(engine) = engine_id(key) {
            add(&mut self.by_engine, engine.into(), name)
        } else {
            add(&mut self.by_name, key.trim_end_matches('.').to_lowercase().into(), name)
        };
        if added && !self.names.contains(name) {
            self.names.insert(name.into());
        }
    }

    /// The same hosts, and behind them those of the tables. A table that is not there adds none.
    #[must_use]
    pub fn with_tables(&self, tables: &Tables) -> Self {
        let mut hosts = self.clone();
        for from in &self.from {
            let Some(table) = tables.place(&from.table).and_then(|place| tables.at(place)) else { continue };
            for row in table.rows() {
                let Some(name) = table.cell(row, &from.name).map(Cell::text) else { continue };
                for address in from.addresses.iter().filter_map(|column| table.cell(row, column)) {
                    // NetBox and its kin write the length of the prefix behind an address.
                    let text = address.text();
                    let address = text.split('/').next().unwrap_or(&text).trim();
                    if !address.is_empty() {
                        hosts.insert(address, &name);
                    }
                }
                hosts.insert(&name, &name);
            }
        }
        hosts
    }

    /// What is wrong with the tables that name hosts: those that are not there, and columns that they lack.
    pub fn check_tables(&self, tables: &Tables) -> Diagnostics {
        let mut found = Diagnostics::default();
        for from in &self.from {
            let Some(place) = tables.place(&from.table) else {
                let names = || tables.all().iter().map(|known| &*known.definition.name);
                let hint = did_you_mean(&from.table, names())
                    .unwrap_or_else(|| "define it in [[lookups]]".to_owned());
                found.push(from.place.error(format!("there is no table '{}'", from.table), hint));
                continue;
            };
            let Some(table) = tables.at(place) else { continue };
            if let Some(column) = from.lacks(table) {
                let columns: Vec<&str> = table.columns().take(20).collect();
                let hint = did_you_mean(column, table.columns())
                    .unwrap_or_else(|| format!("its columns: {}", columns.join(", ")));
                let message = format!("the table '{}' has no column '{column}'", from.table);
                found.push(from.place.error(message, hint));
            }
        }
        found
    }

    /// How many addresses, names and engines are known.
    pub fn len(&self) -> usize {
        self.by_address.len() + self.by_name.len() + self.by_engine.len()
    }

    /// Whether none is known.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The character set of a sender that does not write UTF-8.
    pub fn charset_of(&self, source: &Source) -> Charset {
        if self.charset.is_empty() {
            return Charset::default();
        }
        self.charset.of(source.address()).unwrap_or_default()
    }

    /// The names of all known hosts, each once.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.names.iter().map(AsRef::as_ref)
    }

    /// Whether a known host has this name.
    pub fn names_a_host(&self, name: &str) -> bool {
        self.names.contains(name)
    }

    /// All known addresses, with the names of their hosts.
    pub fn addresses(&self) -> impl Iterator<Item = (IpAddr, &str)> {
        self.by_address.iter().map(|(address, name)| (*address, &**name))
    }

    /// The name of the host with this address.
    pub fn of_address(&self, address: IpAddr) -> Option<&str> {
        self.by_address.get(&address).map(AsRef::as_ref)
    }

    /// The name of the host with this SNMP engine.
    pub fn of_engine(&self, engine: &[u8]) -> Option<&str> {
        self.by_engine.get(engine).map(AsRef::as_ref)
    }

    /// The name of the host that calls itself so, in any case, with or without one of the domains.
    pub fn of_name<'h>(&'h self, name: &str) -> Option<&'h str> {
        if self.by_name.is_empty() {
            return None;
        }
        let of = |name: &str| self.by_name.get(name).map(AsRef::as_ref);
        let lower;
        let name = if name.chars().any(char::is_uppercase) {
            lower = name.to_lowercase();
            &lower
        } else {
            name
        };
        of(name).or_else(|| self.spelling.forms(name).find_map(|form| of(&form)))
    }
}

/// Adds a name, unless there is one; whether it did.
fn add<K: Eq + Hash>(map: &mut FastMap<K, Box<str>>, key: K, name: &str) -> bool {
    match map.entry(key) {
        Entry::Occupied(_) => false,
        Entry::Vacant(vacant) => {
            vacant.insert(name.into());
            true
        }
    }
}

/// An SNMP engine id (RFC 3411, section 5: 5 to 32 octets) in hex behind `0x`.
fn engine_id(text: &str) -> Option<Vec<u8>> {
    text.strip_prefix("0x").and_then(unhex).filter(|id| (5..=32).contains(&id.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_in_any_case_addresses_in_any_form() {
        let mut hosts = Hosts::default();
        hosts.insert("192.0.2.1", "router1");
        hosts.insert("DB1.example", "db1");
        hosts.insert("0x80001F8804747261706C", "ups1");
        assert_eq!(hosts.of_address("192.0.2.1".parse().unwrap()), Some("router1"));
        assert_eq!(hosts.of_name("db1.EXAMPLE"), Some("db1"));
        assert_eq!(hosts.of_name("db2"), None);
        hosts.insert("::ffff:192.0.2.9", "mapped");
        assert_eq!(hosts.of_address("192.0.2.9".parse().unwrap()), Some("mapped"));
        assert_eq!(hosts.of_engine(b"\x80\x00\x1f\x88\x04trapl"), Some("ups1"));
        assert_eq!(hosts.len(), 4);
    }

    #[test]
    fn short_and_full_names_meet_by_the_domains() {
        let mut hosts = Hosts::default();
        hosts.spelling.domains = vec!["example.org".into(), "lan".into()];
        hosts.insert("fw1.example.org", "fw1");
        hosts.insert("db1", "database");
        for (name, expected) in [
            ("fw1.example.org", Some("fw1")),
            ("FW1", Some("fw1")),
            ("db1", Some("database")),
            ("db1.lan", Some("database")),
            ("DB1.Example.Org", Some("database")),
            ("db1.example.com", None),
            ("fw1.lan", None),
            (".lan", None),
            ("lan", None),
        ] {
            assert_eq!(hosts.of_name(name), expected, "{name}");
        }
    }

    #[test]
    fn tables_name_hosts_behind_those_of_the_configuration() {
        use crate::lookup::load::parse;
        use crate::lookup::rows::tests::definition;
        use crate::lookup::tables::Known;
        let lines = "json = \"f\"\nkey = \"name\"";
        let text = br#"[{"name": "sw1", "address": "192.0.2.1/24", "address6": "2001:db8::1"}, {"name": "sw2", "address": "192.0.2.2"}, {"name": "sw3"}]"#;
        let table = parse(&definition(lines), "f", text).0.map(std::sync::Arc::new);
        let tables = Tables::new(vec![Known::new(std::sync::Arc::new(definition(lines)), table)]);
        let place = Place { file: "t.toml".into(), line: 3, column: 5 };
        let from = |table: &str, name: &str, addresses: &[&str]| FromTable {
            table: table.into(),
            name: name.into(),
            addresses: addresses.iter().map(|address| (*address).into()).collect(),
            place: place.clone(),
        };
        let mut own = Hosts { from: vec![from("t", "name", &["address", "address6"])], ..Hosts::default() };
        own.insert("192.0.2.2", "own");
        let hosts = own.with_tables(&tables);
        let of = |address: &str| hosts.of_address(address.parse().unwrap());
        assert_eq!(
            (of("192.0.2.1"), of("2001:db8::1"), of("192.0.2.2")),
            (Some("sw1"), Some("sw1"), Some("own"))
        );
        assert_eq!((hosts.of_name("SW3"), own.of_name("sw3")), (Some("sw3"), None));
        assert_eq!(own.check_tables(&tables).to_text(), "");
        for (from, words) in [
            (
                from("tt", "name", &["address"]),
                "t.toml:3:5: error: there is no table 'tt'; did you mean 't'?",
            ),
            (
                from("t", "nme", &["address"]),
                "t.toml:3:5: error: the table 't' has no column 'nme'; did you mean 'name'?",
            ),
            (
                from("t", "name", &["ip"]),
                "t.toml:3:5: error: the table 't' has no column 'ip'; its columns: name, address, address6",
            ),
        ] {
            let found = Hosts { from: vec![from], ..Hosts::default() }.check_tables(&tables).to_text();
            assert!(found.starts_with(words), "{found}");
        }
    }
}
