//! Reading tables: from their files, from what a server has given, from the last good copy.

use std::path::Path;
use std::sync::Arc;

use serde_json::Value;

use super::copy;
use super::nagios::objects;
use super::pointer::Pointer;
use super::rows::{self, Made};
use super::settings::{Definition, Source};
use super::sqlite;
use super::table::Table;
use super::tables::{Known, Tables};
use crate::settings::diagnostic::{Diagnostic, Diagnostics, Severity, SourceText};
use crate::settings::input;
use crate::text::without_bom;

/// What a source gives: the text of a file, or items in JSON.
pub type Content = Vec<u8>;

/// The table of a content. `name` is what the source is called in messages.
pub fn parse(definition: &Definition, name: &str, content: &[u8]) -> Made {
    let broken = |message: String| {
        let mut found = Diagnostics::default();
        found.file_error(name, message, "write it in UTF-8");
        (None, found)
    };
    let text = match str::from_utf8(without_bom(content)) {
        Ok(text) => text,
        Err(error) => return broken(format!("it is not UTF-8 at byte {}", error.valid_up_to())),
    };
    let source = SourceText { file: name, text };
    match &definition.source {
        Source::Csv { separator, .. } => rows::of_csv(definition, source, *separator),
        Source::Toml { items, .. } => rows::of_toml(definition, source, items),
        Source::Json { items, .. } => rows::of_json(definition, source, items),
        Source::Nagios { .. } => {
            let items: Vec<Value> =
                objects(text).filter(|(kind, _)| *kind == "host").map(|(_, host)| of_host(&host)).collect();
            rows::of_items(definition, name, &items)
        }
        Source::Http(_) | Source::Sqlite { .. } => rows::of_json(definition, source, &Pointer::default()),
    }
}

/// A host of Nagios as an object.
fn of_host(directives: &[(&str, &str)]) -> Value {
    let entries = directives.iter().map(|(name, value)| ((*name).to_owned(), Value::from(*value)));
    Value::Object(entries.collect())
}

/// The content of a table that is on this machine.
///
/// # Errors
///
/// If it cannot be read.
pub fn read(definition: &Definition, path: &Path) -> Result<Content, Diagnostics> {
    if let Source::Sqlite { query, .. } = &definition.source {
        let items = sqlite::rows(path, query, definition.max).map_err(|error| {
            let mut found = Diagnostics::default();
            found.push(definition.place.error(error.to_string(), "correct 'sqlite' or 'query'"));
            found
        })?;
        return Ok(Value::from(items).to_string().into_bytes());
    }
    match input::bytes(path, copy::LONGEST) {
        Ok(mut content) => Ok(std::mem::take(&mut *content)),
        Err(error) => {
            let mut found = Diagnostics::default();
            let name = path.display().to_string();
            let hint = "name a file that exists in [[lookups]]";
            found.file_error(&name, format!("cannot read this table: {error}"), hint);
            Err(found)
        }
    }
}

/// What a program begins with.
#[derive(Debug, Default)]
pub struct Begun {
    /// The tables.
    pub tables: Tables,
    /// Warnings, and errors in tables that are there in no version.
    pub found: Diagnostics,
    /// Errors in tables whose last good version is used in their place.
    pub broken: Diagnostics,
}

/// Reads all tables: files as they are now, what servers have given as it was kept in the state directory.
pub fn begin(definitions: &[Arc<Definition>], directory: &Path) -> Begun {
    let mut begun = Begun::default();
    let mut all = Vec::new();
    for definition in definitions {
        let broken = begun.broken.len();
        let table = first(definition, directory, &mut begun);
        let is_copy = begun.broken.len() > broken;
        all.push(Known { is_copy, ..Known::new(definition.clone(), table.map(Arc::new)) });
    }
    begun.tables = Tables::new(all);
    begun
}

fn first(definition: &Definition, directory: &Path, begun: &mut Begun) -> Option<Table> {
    let Some(path) = definition.source.path() else {
        let table = last_copy(definition, directory);
        if table.is_none() {
            let warning = definition.place.error(
                format!("nothing of the table '{}' was fetched yet: it has no rows, and its columns are not checked", definition.name),
                "the running daemon fetches it",
            );
            begun.found.push(Diagnostic { severity: Severity::Warning, ..warning });
        }
        return table;
    };
    let name = path.display().to_string();
    let (table, found) = match read(definition, path) {
        Ok(content) => parse(definition, &name, &content),
        Err(found) => (None, found),
    };
    if table.is_some() {
        begun.found.extend(found);
        return table;
    }
    let copy = last_copy(definition, directory);
    if copy.is_some() { &mut begun.broken } else { &mut begun.found }.extend(found);
    copy
}

/// The same tables, but the last good copies of files that lack columns which are used, by their places, where these have all of them.
/// None if there is no such copy. What the files lack is added to `broken`.
pub fn with_copies(
    tables: &Tables,
    lacking: &[(usize, Box<str>)],
    directory: &Path,
    broken: &mut Diagnostics,
) -> Option<Tables> {
    let mut all = tables.all().to_vec();
    let mut any = false;
    for (place, known) in all.iter_mut().enumerate() {
        let columns: Vec<&str> =
            lacking.iter().filter(|(of, _)| *of == place).map(|(_, column)| &**column).collect();
        let Some(path) = known.definition.source.path().filter(|_| !columns.is_empty() && !known.is_copy)
        else {
            continue;
        };
        let copy = last_copy(&known.definition, directory);
        let Some(copy) = copy.filter(|copy| columns.iter().all(|column| copy.column(column).is_some()))
        else {
            continue;
        };
        for column in columns {
            is_gone(broken, &path.display().to_string(), column);
        }
        (known.table, known.is_copy, any) = (Some(Arc::new(copy)), true, true);
    }
    any.then(|| Tables::new(all))
}

/// Says that a table lacks a column that is used.
pub fn is_gone(found: &mut Diagnostics, name: &str, column: &str) {
    let message = format!("the column '{column}' is gone, which rules, sinks or [hosts] use");
    found.file_error(name, message, "bring it back, or stop using it first");
}

/// The table of the last good copy, if there is one.
fn last_copy(definition: &Definition, directory: &Path) -> Option<Table> {
    let content = copy::read(directory, definition).ok()??;
    parse(definition, &format!("the last copy of {}", definition.source.shown()), &content).0
}

#[cfg(test)]
#[path = "load_tests.rs"]
mod tests;
