//! Tables that rules look things up in: rows by a key. Pure.

use std::borrow::Cow;
use std::net::IpAddr;

use ipnet::IpNet;

use crate::fast_map::FastMap;
use crate::settings::values::network;

/// The most columns of a table.
pub const MOST_COLUMNS: usize = 1000;
/// The most bytes of keys and values of a table.
pub const MOST_BYTES: usize = 64 << 20;
/// The units of work of a look at an index, beside the length of the text.
const LOOK: u64 = 100;

/// A value of a row.
#[derive(Debug, Clone, PartialEq)]
pub enum Cell {
    /// A boolean.
    Bool(bool),
    /// A whole number.
    Int(i64),
    /// A whole number that is larger.
    Large(u64),
    /// Another number.
    Float(f64),
    /// A text.
    Text(Box<str>),
}

impl Cell {
    /// The value as text.
    pub fn text(&self) -> Cow<'_, str> {
        match self {
            Cell::Bool(value) => Cow::Owned(value.to_string()),
            Cell::Int(number) => Cow::Owned(number.to_string()),
            Cell::Large(number) => Cow::Owned(number.to_string()),
            Cell::Float(number) => Cow::Owned(number.to_string()),
            Cell::Text(text) => Cow::Borrowed(text),
        }
    }

    fn size(&self) -> usize {
        size_of::<(u16, Cell)>() + if let Cell::Text(text) = self { text.len() } else { 0 }
    }
}

/// How keys are matched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum How {
    /// The text is the key.
    Exact,
    /// The text is an address, and the key the same one, in whatever form.
    Address,
    /// The text is an address in the network that the key is; the smallest network counts.
    Cidr,
    /// The key is a name with `*` and `?`; the first row counts.
    Glob,
}

impl How {
    /// The words of the configuration.
    pub const WORDS: [(&str, How); 4] =
        [("exact", How::Exact), ("address", How::Address), ("cidr", How::Cidr), ("glob", How::Glob)];
}

/// A table.
#[derive(Debug)]
pub struct Table {
    columns: Vec<Box<str>>,
    ids: FastMap<Box<str>, u16>,
    rows: Vec<Row>,
    index: Index,
    fold: bool,
    bytes: usize,
}

#[derive(Debug)]
struct Row {
    key: Box<str>,
    /// Sorted by column.
    cells: Box<[(u16, Cell)]>,
}

#[derive(Debug)]
enum Index {
    Exact(FastMap<Box<str>, u32>),
    Address(FastMap<IpAddr, u32>),
    /// By length of the prefix, the longest first; IPv4 and IPv6.
    Networks([Vec<(u8, FastMap<u128, u32>)>; 2]),
    Globs {
        literal: FastMap<Box<str>, u32>,
        patterns: Vec<(Box<str>, u32)>,
    },
}

/// What became of a row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Added {
    /// It is in the table.
    Yes,
    /// It has no key.
    WithoutKey,
    /// A row before it has the same key, and counts.
    Repeated,
    /// Its key is no address or network: why.
    NoKey(String),
    /// The table is full: which limit it has reached.
    Full(&'static str),
}

impl Table {
    /// An empty table. With `fold`, case does not matter.
    pub fn new(how: How, fold: bool) -> Self {
        let index = match how {
            How::Exact => Index::Exact(FastMap::default()),
            How::Address => Index::Address(FastMap::default()),
            How::Cidr => Index::Networks([Vec::new(), Vec::new()]),
            How::Glob => Index::Globs { literal: FastMap::default(), patterns: Vec::new() },
        };
        Table { columns: Vec::new(), ids: FastMap::default(), rows: Vec::new(), index, fold, bytes: 0 }
    }

    /// The number of a column, which is added if it is new; none if there are too many.
    pub fn add_column(&mut self, name: &str) -> Option<u16> {
        if let Some(id) = self.ids.get(name) {
            return Some(*id);
        }
        let id = u16::try_from(self.columns.len()).ok().filter(|id| usize::from(*id) < MOST_COLUMNS)?;
        self.columns.push(name.into());
        self.ids.insert(name.into(), id);
        Some(id)
    }

    /// Adds a row by its key.
    pub fn add(&mut self, key: &str, cells: Vec<(u16, Cell)>) -> Added {
        let key = key.trim();
        if key.is_empty() {
            return Added::WithoutKey;
        }
        let bytes = key.len() * 2 + cells.iter().map(|(_, cell)| cell.size()).sum::<usize>();
        if self.bytes + bytes > MOST_BYTES {
            return Added::Full("64 MiB of values");
        }
        let Ok(at) = u32::try_from(self.rows.len()) else { return Added::Full("rows") };
        let folded = if self.fold { Cow::Owned(key.to_lowercase()) } else { Cow::Borrowed(key) };
        let new = match &mut self.index {
            Index::Exact(map) => put(map, Box::from(&*folded), at),
            Index::Address(map) => match address(key.split('/').next().unwrap_or(key)) {
                Some(address) => put(map, address, at),
                None => return Added::NoKey(format!("'{}' is no address", key.escape_debug())),
            },
            Index::Networks(all) => match network(key) {
                Ok(net) => {
                    let (family, bits) = bits_of(net.network());
                    put(of_length(&mut all[family], net.prefix_len()), masked(family, bits, net), at)
                }
                Err(error) => return Added::NoKey(error),
            },
            Index::Globs { literal, patterns } => {
                if folded.contains(['*', '?']) {
                    patterns.push((Box::from(&*folded), at));
                    true
                } else {
                    put(literal, Box::from(&*folded), at)
                }
            }
        };
        if !new {
            return Added::Repeated;
        }
        let mut cells = cells;
        cells.sort_by_key(|(column, _)| *column);
        self.rows.push(Row { key: key.into(), cells: cells.into() });
        self.bytes += bytes;
        Added::Yes
    }

    /// The names of its columns.
    pub fn columns(&self) -> impl Iterator<Item = &str> {
        self.columns.iter().map(AsRef::as_ref)
    }

    /// The number of a column.
    pub fn column(&self, name: &str) -> Option<u16> {
        self.ids.get(name).copied()
    }

    /// How many rows it has.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Whether it has none.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// The row for a text. `spend` counts the work, a unit about a nanosecond; where it says false the search ends without a row.
    pub fn find(&self, text: &str, spend: &mut dyn FnMut(u64) -> bool) -> Option<u32> {
        let text = text.trim();
        if text.is_empty() || !spend(LOOK + text.len() as u64) {
            return None;
        }
        let lower;
        let folded = if self.fold && text.chars().any(char::is_uppercase) {
            lower = text.to_lowercase();
            lower.as_str()
        } else {
            text
        };
        match &self.index {
            Index::Exact(map) => map.get(folded).copied(),
            Index::Address(map) => map.get(&address(text)?).copied(),
            Index::Networks(all) => {
                let (family, bits) = bits_of(address(text)?);
                let width = WIDTHS[family];
                all[family].iter().find_map(|(length, map)| map.get(&mask(width, bits, *length)).copied())
            }
            Index::Globs { literal, patterns } => {
                let exact = literal.get(folded).copied();
                let before = patterns.iter().take_while(|(_, at)| exact.is_none_or(|exact| *at < exact));
                for (pattern, at) in before {
                    match glob(pattern, folded, spend) {
                        Some(true) => return Some(*at),
                        Some(false) => {}
                        None => return None,
                    }
                }
                exact
            }
        }
    }

    /// The key of a row, as its source writes it.
    pub fn key(&self, row: u32) -> &str {
        self.rows.get(row as usize).map_or("", |row| &row.key)
    }

    /// The value of a row in a column.
    pub fn cell(&self, row: u32, column: &str) -> Option<&Cell> {
        let column = self.column(column)?;
        let cells = &self.rows.get(row as usize)?.cells;
        let at = cells.binary_search_by_key(&column, |(column, _)| *column).ok()?;
        Some(&cells[at].1)
    }

    /// The places of all rows.
    pub fn rows(&self) -> std::ops::Range<u32> {
        0..self.rows.len() as u32
    }
}

/// Puts a row's place under a key; whether the key is new.
fn put<K: Eq + std::hash::Hash>(map: &mut FastMap<K, u32>, key: K, at: u32) -> bool {
    match map.entry(key) {
        std::collections::hash_map::Entry::Occupied(_) => false,
        std::collections::hash_map::Entry::Vacant(vacant) => {
            vacant.insert(at);
            true
        }
    }
}

fn address(text: &str) -> Option<IpAddr> {
    text.parse::<IpAddr>().ok().map(|address| address.to_canonical())
}

/// The bits of an address of IPv4 (0) and IPv6 (1).
const WIDTHS: [u32; 2] = [32, 128];

fn bits_of(address: IpAddr) -> (usize, u128) {
    match address {
        IpAddr::V4(v4) => (0, u128::from(v4.to_bits())),
        IpAddr::V6(v6) => (1, v6.to_bits()),
    }
}

fn mask(width: u32, bits: u128, length: u8) -> u128 {
    let gone = width - u32::from(length).min(width);
    if gone >= 128 { 0 } else { bits >> gone << gone }
}

fn masked(family: usize, bits: u128, net: IpNet) -> u128 {
    mask(WIDTHS[family], bits, net.prefix_len())
}

fn of_length(all: &mut Vec<(u8, FastMap<u128, u32>)>, length: u8) -> &mut FastMap<u128, u32> {
    let at = all.partition_point(|(other, _)| *other > length);
    if all.get(at).is_none_or(|(other, _)| *other != length) {
        all.insert(at, (length, FastMap::default()));
    }
    &mut all[at].1
}

/// Whether a name is like a pattern with `*` and `?`; none if that takes more work than `spend` allows.
fn glob(pattern: &str, name: &str, spend: &mut dyn FnMut(u64) -> bool) -> Option<bool> {
    let (pattern, name) = (pattern.as_bytes(), name.as_bytes());
    let (mut p, mut n, mut steps) = (0, 0, 1_u64);
    // Where to go on if what follows the last `*` does not fit: the `*` takes one character more.
    let mut again: Option<(usize, usize)> = None;
    let fits = loop {
        steps += 1;
        if steps.is_multiple_of(1024) && !spend(1024) {
            return None;
        }
        match pattern.get(p) {
            Some(b'*') => {
                again = Some((p + 1, n));
                p += 1;
            }
            None if n == name.len() => break true,
            Some(b'?') if n < name.len() => {
                n += width(name[n]);
                p += 1;
            }
            Some(octet) if name.get(n) == Some(octet) => {
                n += 1;
                p += 1;
            }
            _ => match again {
                Some((after, from)) if from < name.len() => {
                    let from = from + width(name[from]);
                    again = Some((after, from));
                    (p, n) = (after, from);
                }
                _ => break false,
            },
        }
    };
    spend(steps % 1024).then_some(fits)
}

/// How many octets the UTF-8 character has that begins with this one.
fn width(first: u8) -> usize {
    match first {
        0xf0.. => 4,
        0xe0.. => 3,
        0xc0.. => 2,
        _ => 1,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use regex::Regex;

    use super::*;

    fn table(how: How, fold: bool, keys: &[&str]) -> Table {
        let mut table = Table::new(how, fold);
        let column = table.add_column("n").unwrap();
        for (at, key) in keys.iter().enumerate() {
            assert_eq!(table.add(key, vec![(column, Cell::Int(at as i64))]), Added::Yes, "{key}");
        }
        table
    }

    fn found(table: &Table, text: &str) -> Option<i64> {
        let row = table.find(text, &mut |_| true)?;
        match table.cell(row, "n") {
            Some(Cell::Int(at)) => Some(*at),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn each_way_to_match() {
        let exact = table(How::Exact, false, &["sw1", "SW2"]);
        let folded = table(How::Exact, true, &["sw1", "SW2"]);
        let address = table(How::Address, false, &["192.0.2.1/24", "2001:DB8::1"]);
        let nets =
            ["0.0.0.0/0", "10.0.0.0/8", "10.1.0.0/16", "10.1.2.3", "2001:db8::/32", "::ffff:192.0.2.0/120"];
        let cidr = table(How::Cidr, false, &nets);
        let globs = table(How::Glob, true, &["core-1", "core-*", "*-?", "*"]);
        for (table, text, expected) in [
            (&exact, "sw1", Some(0)),
            (&exact, "sw2", None),
            (&exact, " sw1 ", Some(0)),
            (&exact, "", None),
            (&folded, "SW1", Some(0)),
            (&folded, "sw2", Some(1)),
            (&address, "192.0.2.1", Some(0)),
            (&address, "::ffff:192.0.2.1", Some(0)),
            (&address, "2001:db8:0::1", Some(1)),
            (&address, "192.0.2.2", None),
            (&address, "sw1", None),
            (&cidr, "10.1.2.3", Some(3)),
            (&cidr, "10.1.2.4", Some(2)),
            (&cidr, "10.2.2.4", Some(1)),
            (&cidr, "203.0.113.7", Some(0)),
            (&cidr, "192.0.2.200", Some(5)),
            (&cidr, "2001:db8:1::1", Some(4)),
            (&cidr, "2001:db9::1", None),
            (&cidr, "router", None),
            (&globs, "core-1", Some(0)),
            (&globs, "CORE-2", Some(1)),
            (&globs, "edge-7", Some(2)),
            (&globs, "edge-77", Some(3)),
            (&globs, "edge-ü", Some(2)),
        ] {
            assert_eq!(found(table, text), expected, "{text}");
        }
        assert_eq!(cidr.key(3), "10.1.2.3");
    }

    #[test]
    fn rows_that_are_not_taken() {
        let mut table = Table::new(How::Cidr, false);
        assert_eq!(table.add("10.0.0.0/8", Vec::new()), Added::Yes);
        assert_eq!(table.add("10.0.0.1/8", Vec::new()), Added::Repeated);
        assert_eq!(table.add(" ", Vec::new()), Added::WithoutKey);
        assert!(matches!(table.add("10.0.0.0/33", Vec::new()), Added::NoKey(_)));
        let large = Cell::Text("x".repeat(MOST_BYTES).into());
        assert_eq!(table.add("10.0.0.0/9", vec![(0, large)]), Added::Full("64 MiB of values"));
        assert_eq!(table.len(), 1);
        for at in 0..MOST_COLUMNS {
            assert!(table.add_column(&at.to_string()).is_some());
        }
        assert_eq!(table.add_column("more"), None);
        assert_eq!(table.add_column("7"), Some(7));
    }

    #[test]
    fn hostile_globs_end_within_the_budget() {
        let patterns: Vec<String> = (0..1000).map(|at| format!("{}{at}", "*a".repeat(100))).collect();
        let patterns: Vec<&str> = patterns.iter().map(String::as_str).collect();
        let globs = table(How::Glob, false, &patterns);
        let mut left = 1_000_000_u64;
        let mut spend = |units: u64| {
            left = left.saturating_sub(units);
            left > 0
        };
        assert_eq!(globs.find(&"a".repeat(60_000), &mut spend), None);
        assert_eq!(left, 0);
    }

    proptest! {
        #[test]
        fn globs_are_as_patterns_say(pattern in "[ab*?ü]{0,8}", name in "[abü]{0,10}") {
            let mut regex = String::from("^");
            for c in pattern.chars() {
                match c {
                    '*' => regex.push_str(".*"),
                    '?' => regex.push('.'),
                    c => regex.push(c),
                }
            }
            regex.push('$');
            let expected = Regex::new(&regex).unwrap().is_match(&name);
            prop_assert_eq!(glob(&pattern, &name, &mut |_| true), Some(expected), "{} {}", pattern, name);
        }
    }
}
