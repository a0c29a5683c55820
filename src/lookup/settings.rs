//! `[[lookups]]`

use std::collections::BTreeSet;
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::pointer::Pointer;
use super::server::{self, Http};
use super::table::How;
use crate::settings::diagnostic::{Diagnostics, Place};
use crate::settings::section::{Digest, Section};
use crate::settings::values::{count, duration, word};

/// The most tables.
pub const MOST_TABLES: usize = 100;
/// The default of `max`, and what it can be.
const MAX: usize = 100_000;
const MAX_RANGE: RangeInclusive<usize> = 1..=1_000_000;
/// The longest name of a table.
const LONGEST_NAME: usize = 64;
/// The default of `refresh` for files and for servers.
const REFRESH_FILE: Duration = Duration::from_mins(1);
const REFRESH_URL: Duration = Duration::from_mins(15);

/// What a table is, and where it comes from.
#[derive(Debug)]
pub struct Definition {
    /// Its name.
    pub name: Arc<str>,
    /// Where it is written.
    pub place: Place,
    /// Where its rows come from.
    pub source: Source,
    /// The column that is the key.
    pub key: Box<str>,
    /// How keys are matched.
    pub how: How,
    /// Whether case does not matter.
    pub ignore_case: bool,
    /// How often is looked for another version.
    pub refresh: Duration,
    /// The most rows.
    pub max: usize,
    /// The columns of JSON and TOML, by pointers into each item; empty for all values.
    pub columns: Vec<(Box<str>, Pointer)>,
    /// Tells whether two definitions are the same.
    pub digest: Digest,
}

/// Where rows come from.
#[derive(Debug)]
pub enum Source {
    /// A file whose first line names the columns.
    Csv {
        /// The file.
        path: PathBuf,
        /// What stands between fields.
        separator: char,
    },
    /// A file of TOML.
    Toml {
        /// The file.
        path: PathBuf,
        /// Where the rows are in it.
        items: Pointer,
    },
    /// A file of JSON.
    Json {
        /// The file.
        path: PathBuf,
        /// Where the rows are in it.
        items: Pointer,
    },
    /// Nagios' object cache: its hosts.
    Nagios {
        /// The file.
        path: PathBuf,
    },
    /// A query in an SQLite database.
    Sqlite {
        /// The file.
        path: PathBuf,
        /// The query.
        query: String,
    },
    /// A server that gives JSON.
    Http(Box<Http>),
}

impl Source {
    /// Whether it is a server.
    pub fn is_remote(&self) -> bool {
        matches!(self, Source::Http(_))
    }

    /// The file that it is.
    pub fn path(&self) -> Option<&PathBuf> {
        match self {
            Source::Csv { path, .. }
            | Source::Toml { path, .. }
            | Source::Json { path, .. }
            | Source::Sqlite { path, .. }
            | Source::Nagios { path } => Some(path),
            Source::Http(_) => None,
        }
    }

    /// What it is called in messages.
    pub fn shown(&self) -> String {
        match self {
            Source::Http(http) => http.url.clone(),
            _ => self.path().map(|path| path.display().to_string()).unwrap_or_default(),
        }
    }
}

/// Reads all `[[lookups]]`; relative paths are given to `resolve`.
pub fn read(
    root: &Section<'_, '_>,
    resolve: &dyn Fn(&str) -> PathBuf,
    found: &mut Diagnostics,
) -> Vec<Arc<Definition>> {
    let sections = root.sections("lookups", found);
    if let Some(beyond) = sections.get(MOST_TABLES) {
        found.push(beyond.error(format!("there are more than {MOST_TABLES} tables"), "remove some"));
    }
    let mut names = BTreeSet::new();
    let mut all = Vec::new();
    for section in sections {
        let span = section.span();
        let source = section.source();
        let Some(definition) = definition(section, resolve, found) else { continue };
        if !names.insert(definition.name.clone()) {
            let message = format!("there is another table '{}'", definition.name);
            found.push(source.error(&span, message, Some("give each table a name of its own".to_owned())));
        }
        all.push(Arc::new(definition));
    }
    all
}

/// The keys that say where rows come from.
const SOURCES: [&str; 7] = ["csv", "toml", "json", "sqlite", "url", "nagios_objects", "icinga2"];

fn definition(
    section: Section<'_, '_>,
    resolve: &dyn Fn(&str) -> PathBuf,
    found: &mut Diagnostics,
) -> Option<Definition> {
    let place = section.source().place_of(&section.span());
    let name = name(&section, found);
    let source = source(&section, resolve, found);
    let key = section.string("key", found);
    let columns = columns(&section, found);
    let columns =
        if columns.is_empty() && section.get("icinga2").is_some() { of_icinga_columns() } else { columns };
    if key.is_none() && section.get("key").is_none() {
        found.push(
            section.error("this table has no 'key'", "name the column that is looked for: key = \"address\""),
        );
    }
    let how = word(&section, "match", &How::WORDS, "way to match", found).unwrap_or(How::Exact);
    let ignore_case = section.boolean("ignore_case", found).is_some_and(|ignore| ignore.value);
    let week = Duration::from_hours(7 * 24);
    let refresh = duration(&section, "refresh", Duration::from_secs(1)..=week, found);
    let max = count(&section, "max", MAX_RANGE, found).unwrap_or(MAX);
    let names_columns = match &source {
        Some(Source::Csv { .. }) => Some("the first line of the file names its columns"),
        Some(Source::Sqlite { .. }) => Some("the query names its columns: SELECT site AS city"),
        _ => None,
    };
    if let (false, Some(hint)) = (columns.is_empty(), names_columns) {
        let span = section.key_span("columns");
        found.push(section.source().error(&span, "'columns' is for JSON and TOML", Some(hint.to_owned())));
    }
    let digest = section.digest(&[]);
    section.finish(found);
    let source = source?;
    let default = if source.is_remote() { REFRESH_URL } else { REFRESH_FILE };
    Some(Definition {
        name: name?,
        place,
        source,
        key: key?.value.into(),
        how,
        ignore_case,
        refresh: refresh.unwrap_or(default),
        max,
        columns,
        digest,
    })
}

fn name(section: &Section<'_, '_>, found: &mut Diagnostics) -> Option<Arc<str>> {
    let Some(name) = section.string("name", found) else {
        if section.get("name").is_none() {
            found
                .push(section.error("this table has no 'name'", "rules use it by its name: name = \"site\""));
        }
        return None;
    };
    let valid = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
    if name.is_empty() || name.len() > LONGEST_NAME || !name.chars().all(valid) {
        let message = format!("'{}' cannot be the name of a table", name.value.escape_debug());
        let hint = format!("write up to {LONGEST_NAME} letters, digits, '_' and '-'");
        found.push(section.source().error(&name.span, message, Some(hint)));
        return None;
    }
    Some(name.value.into())
}

fn source(
    section: &Section<'_, '_>,
    resolve: &dyn Fn(&str) -> PathBuf,
    found: &mut Diagnostics,
) -> Option<Source> {
    let given: Vec<&str> = SOURCES.into_iter().filter(|key| section.get(key).is_some()).collect();
    let [only] = given.as_slice() else {
        let hint = "give one of csv, toml, json, sqlite, url, nagios_objects and icinga2, such as csv = \"sites.csv\"";
        let message = match given.as_slice() {
            [] => "this table has no source".to_owned(),
            all => format!("this table has several sources: {}", all.join(", ")),
        };
        found.push(section.error(message, hint));
        // Keys of all sources are known ones.
        section.get("separator");
        section.get("items");
        section.get("query");
        if given.is_empty() {
            server::read(section, resolve, found, false);
        }
        return None;
    };
    let path = |key, found: &mut Diagnostics| section.string(key, found).map(|path| resolve(&path));
    let separator = separator(section, found);
    let items = server::pointer(section, "items", found);
    let query = section.string("query", found);
    let remote = server::read(section, resolve, found, matches!(*only, "url" | "icinga2"));
    let misplaced = |key: &str, of: &str, found: &mut Diagnostics| {
        let message = format!("'{key}' is for {of}");
        found.push(section.source().error(&section.key_span(key), message, Some("remove it".to_owned())));
    };
    if separator.is_some() && *only != "csv" {
        misplaced("separator", "'csv'", found);
    }
    if query.is_some() && *only != "sqlite" {
        misplaced("query", "'sqlite'", found);
    }
    if items.is_some() && matches!(*only, "csv" | "sqlite" | "nagios_objects" | "icinga2") {
        misplaced("items", "'toml', 'json' and 'url'", found);
    }
    let items = items.unwrap_or_default();
    match *only {
        "csv" => Some(Source::Csv { path: path("csv", found)?, separator: separator.unwrap_or(',') }),
        "toml" => Some(Source::Toml { path: path("toml", found)?, items }),
        "nagios_objects" => Some(Source::Nagios { path: path("nagios_objects", found)? }),
        "icinga2" => remote.map(|http| Source::Http(Box::new(server::of_icinga(http)))),
        "sqlite" => {
            let Some(query) = query else {
                let hint = "give the rows: query = \"SELECT address, city FROM devices\"";
                found.push(section.error("this table has no 'query'", hint));
                return None;
            };
            Some(Source::Sqlite { path: path("sqlite", found)?, query: query.value })
        }
        "json" => Some(Source::Json { path: path("json", found)?, items }),
        _ => remote.map(|http| Source::Http(Box::new(Http { items, ..http }))),
    }
}

fn separator(section: &Section<'_, '_>, found: &mut Diagnostics) -> Option<char> {
    let text = section.string("separator", found)?;
    let mut chars = text.chars();
    match (chars.next(), chars.next()) {
        (Some(c), None) if !matches!(c, '"' | '\n' | '\r' | '#' | ' ') => Some(c),
        _ => {
            let hint = Some("write one character, such as \";\" or \"\\t\"".to_owned());
            found.push(section.source().error(&text.span, "this cannot stand between fields", hint));
            None
        }
    }
}

/// The columns of Icinga 2's hosts: without `attrs` before them.
fn of_icinga_columns() -> Vec<(Box<str>, Pointer)> {
    let all = ["name", "address", "address6", "display_name", "groups", "vars"];
    let column = |name: &str| {
        let pointer = if name == "name" { Pointer::to(&[name]) } else { Pointer::to(&["attrs", name]) };
        (name.into(), pointer)
    };
    all.map(column).into()
}

fn columns(section: &Section<'_, '_>, found: &mut Diagnostics) -> Vec<(Box<str>, Pointer)> {
    let Some(table) = section.section("columns", found) else { return Vec::new() };
    let mut columns = Vec::new();
    for (name, span, value) in table.entries() {
        let pointer = value.get_ref().as_str().map_or_else(
            || Err(format!("the pointer of '{name}' must be a string, such as \"/site/name\"")),
            Pointer::parse,
        );
        match pointer {
            Ok(pointer) => columns.push((name.into(), pointer)),
            Err(error) => found.push(table.source().error(&span, error, None)),
        }
    }
    columns
}

#[cfg(test)]
#[path = "settings_tests.rs"]
mod tests;
