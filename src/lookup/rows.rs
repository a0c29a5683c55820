//! From what a source gives to a table: texts with commas, TOML, JSON. Pure.

use std::ops::Range;

use serde_json::Value;
use toml::Spanned;
use toml::de::DeValue;

use super::csv::Records;
use super::pointer::Pointer;
use super::settings::Definition;
use super::stream::{self, Place};
use super::table::{Added, Cell, MOST_COLUMNS, Table};
use crate::settings::diagnostic::{Diagnostic, Diagnostics, Severity, SourceText, did_you_mean};
use crate::settings::section::{self, as_integer};

/// How deep the values of a row may be within each other.
const DEEPEST: usize = 8;
/// The most warnings about rows that are given one by one.
const MOST_WARNINGS: usize = 10;

/// A table and what was found while it was made; no table if there are errors.
pub type Made = (Option<Table>, Diagnostics);

/// Makes a table row by row.
struct Maker<'d> {
    definition: &'d Definition,
    source: SourceText<'d>,
    table: Table,
    found: Diagnostics,
    without_key: usize,
    warnings: usize,
    /// Whether no more rows are taken.
    full: bool,
}

/// Where a row is: its bytes in the source, or its number.
#[derive(Debug, Clone)]
enum At {
    Bytes(Range<usize>),
    Item(usize),
}

impl<'d> Maker<'d> {
    fn new(definition: &'d Definition, source: SourceText<'d>) -> Self {
        let table = Table::new(definition.how, definition.ignore_case);
        let found = Diagnostics::default();
        Maker { definition, source, table, found, without_key: 0, warnings: 0, full: false }
    }

    fn error(&mut self, at: &At, message: String, hint: Option<String>) {
        let diagnostic = self.diagnostic(at, message, hint);
        self.found.push(diagnostic);
    }

    fn warn(&mut self, at: &At, message: String, hint: &str) {
        self.warnings += 1;
        if self.warnings <= MOST_WARNINGS {
            let error = self.diagnostic(at, message, Some(hint.to_owned()));
            self.found.push(Diagnostic { severity: Severity::Warning, ..error });
        }
    }

    fn diagnostic(&self, at: &At, message: String, hint: Option<String>) -> Diagnostic {
        match at {
            At::Bytes(span) => self.source.error(span, message, hint),
            At::Item(number) => Diagnostic {
                severity: Severity::Error,
                file: self.source.file.to_owned(),
                place: None,
                message: format!("item {number}: {message}"),
                hint,
            },
        }
    }

    fn column(&mut self, at: &At, name: &str) -> Option<u16> {
        let column = self.table.add_column(name);
        if column.is_none() && !self.full {
            self.full = true;
            let hint = "name those that you need: columns = { city = \"/site/name\" }".to_owned();
            self.error(at, format!("the table has more than {MOST_COLUMNS} columns"), Some(hint));
        }
        column
    }

    fn row(&mut self, at: &At, key: &str, cells: Vec<(u16, Cell)>) {
        if self.full {
            return;
        }
        if self.table.len() >= self.definition.max && !key.trim().is_empty() {
            self.full = true;
            let message = format!("the table has more than {} rows", self.definition.max);
            return self.error(at, message, Some("raise 'max' in [[lookups]], or ask for fewer".to_owned()));
        }
        match self.table.add(key, cells) {
            Added::Yes => {}
            Added::WithoutKey => self.without_key += 1,
            Added::Repeated => {
                let message = format!("the key '{}' comes again; its first row counts", key.escape_debug());
                self.warn(at, message, "remove one of the rows");
            }
            Added::NoKey(why) => {
                self.error(at, why, Some("correct it, or choose another 'match' in [[lookups]]".to_owned()));
            }
            Added::Full(limit) => {
                self.full = true;
                let hint = "name the columns that you need, or ask for fewer rows".to_owned();
                self.error(at, format!("the table has more than {limit}"), Some(hint));
            }
        }
    }

    fn done(mut self) -> Made {
        let key = &self.definition.key;
        if !self.found.has_errors() && self.table.is_empty() {
            let columns: Vec<&str> = self.table.columns().collect();
            let (message, hint) = match self.without_key {
                0 => ("there are no rows in it".to_owned(), None),
                without => {
                    let hint = did_you_mean(key, columns.iter().copied()).or_else(|| {
                        (!columns.is_empty()).then(|| format!("its columns: {}", columns.join(", ")))
                    });
                    (format!("none of its {without} rows has a '{key}', which is the key"), hint)
                }
            };
            // A server that has lost all it had is broken rather than empty.
            let broken = self.without_key > 0 || self.definition.source.is_remote();
            let severity = if broken { Severity::Error } else { Severity::Warning };
            let file = self.source.file.to_owned();
            self.found.push(Diagnostic { severity, file, place: None, message, hint });
        }
        if self.warnings > MOST_WARNINGS {
            let error = Diagnostic {
                severity: Severity::Warning,
                file: self.source.file.to_owned(),
                place: None,
                message: format!("{} more keys come again", self.warnings - MOST_WARNINGS),
                hint: None,
            };
            self.found.push(error);
        }
        ((!self.found.has_errors()).then_some(self.table), self.found)
    }
}

/// The table of a text whose first line names the columns.
pub fn of_csv(definition: &Definition, source: SourceText<'_>, separator: char) -> Made {
    let mut maker = Maker::new(definition, source);
    let mut columns: Option<(Vec<u16>, usize)> = None;
    for record in Records::new(source.text, separator) {
        let fields = match record {
            Ok(fields) => fields,
            Err((at, message)) => {
                let hint = "write a quote within quotes twice: \"\"".to_owned();
                maker.error(&At::Bytes(at..at), message.to_owned(), Some(hint));
                break;
            }
        };
        let start = fields.first().map_or(0, |(at, _)| *at);
        let at = At::Bytes(start..start);
        let Some((ids, key)) = &columns else {
            columns = heading(&mut maker, &fields, &at);
            if columns.is_none() {
                break;
            }
            continue;
        };
        if fields.len() != ids.len() {
            let message = format!("this row has {} fields, and the heading has {}", fields.len(), ids.len());
            maker.error(&at, message, Some("write an empty field for what a row does not have".to_owned()));
            continue;
        }
        let text = |field: &str| Cell::Text(field.into());
        let filled = ids.iter().zip(&fields).filter(|(_, (_, field))| !field.is_empty());
        let cells = filled.map(|(id, (_, field))| (*id, text(field))).collect();
        let (at, key) = &fields[*key];
        maker.row(&At::Bytes(*at..*at), key, cells);
    }
    maker.done()
}

/// The columns of a heading, and which of its fields is the key.
fn heading(
    maker: &mut Maker<'_>,
    fields: &[(usize, std::borrow::Cow<'_, str>)],
    at: &At,
) -> Option<(Vec<u16>, usize)> {
    let mut ids = Vec::new();
    for (start, name) in fields {
        let at = At::Bytes(*start..*start);
        if name.is_empty() || fields.iter().filter(|(_, other)| other == name).count() > 1 {
            let message =
                format!("the heading has the column '{}' twice, or without a name", name.escape_debug());
            maker.error(&at, message, Some("the first line names each column: address,city".to_owned()));
            return None;
        }
        ids.push(maker.column(&at, name)?);
    }
    let key = &maker.definition.key;
    let place = fields.iter().position(|(_, name)| **name == **key);
    if place.is_none() {
        let names = || fields.iter().map(|(_, name)| &**name);
        let hint = did_you_mean(key, names()).unwrap_or_else(|| {
            format!("the first line names the columns: {}", names().collect::<Vec<_>>().join(", "))
        });
        maker.error(at, format!("there is no column '{key}', which is the key"), Some(hint));
    }
    Some((ids, place?))
}

/// The table of TOML: tables in an array, or tables by their keys.
pub fn of_toml(definition: &Definition, source: SourceText<'_>, items: &Pointer) -> Made {
    let mut maker = Maker::new(definition, source);
    let Some(root) = section::read(&source, &mut maker.found) else { return maker.done() };
    let span = root.span();
    let root = Spanned::new(span, DeValue::Table(root.into_inner()));
    let mut place = &root;
    for step in items.steps() {
        let inner = place.get_ref().as_table().and_then(|table| table.get(step));
        let Some(inner) = inner else {
            let message = format!("it has no '{}', where the rows should be", items.text());
            maker.error(&At::Bytes(place.span()), message, Some("correct 'items' in [[lookups]]".to_owned()));
            return maker.done();
        };
        place = inner;
    }
    match place.get_ref() {
        DeValue::Array(rows) => {
            for row in rows {
                toml_row(&mut maker, row.span(), None, row);
            }
        }
        DeValue::Table(rows) => {
            for (key, row) in rows {
                toml_row(&mut maker, key.span(), Some(key.get_ref()), row);
            }
        }
        _ => {
            let message = "the rows are neither an array of tables nor tables by their keys".to_owned();
            maker.error(
                &At::Bytes(place.span()),
                message,
                Some("write [[row]] or [\"192.0.2.1\"]".to_owned()),
            );
        }
    }
    maker.done()
}

fn toml_row(maker: &mut Maker<'_>, span: Range<usize>, name: Option<&str>, row: &Spanned<DeValue<'_>>) {
    let at = At::Bytes(span);
    if row.get_ref().as_table().is_none() {
        let message = format!("a row must be a table, not a value of the type {}", row.get_ref().type_str());
        let hint = "if the rows are in an array, name it: items = \"/row\"".to_owned();
        return maker.error(&at, message, Some(hint));
    }
    let mut value = json(row.get_ref());
    if let (Some(name), Some(all)) = (name, value.as_object_mut()) {
        all.entry(&*maker.definition.key).or_insert_with(|| name.into());
    }
    item(maker, &at, &value);
}

fn json(value: &DeValue<'_>) -> Value {
    match value {
        DeValue::String(text) => Value::from(&**text),
        DeValue::Integer(number) => as_integer(value).map_or_else(|| number.as_str().into(), Value::from),
        DeValue::Float(number) => number.as_str().parse::<f64>().map_or(Value::Null, Value::from),
        DeValue::Boolean(value) => Value::from(*value),
        DeValue::Datetime(time) => Value::from(time.to_string()),
        DeValue::Array(items) => items.iter().map(|item| json(item.get_ref())).collect(),
        DeValue::Table(table) => {
            let entries = table.iter().map(|(key, value)| (key.get_ref().to_string(), json(value.get_ref())));
            Value::Object(entries.collect())
        }
    }
}

/// The table of a text in JSON.
pub fn of_json(definition: &Definition, source: SourceText<'_>, items: &Pointer) -> Made {
    let mut maker = Maker::new(definition, source);
    let mut number = 0;
    let place = stream::rows(source.text, items, &mut |key, mut row| {
        // Objects by their keys.
        if let (Some(key), Some(all)) = (key, row.as_object_mut()) {
            all.entry(&*definition.key).or_insert_with(|| key.into());
        }
        item(&mut maker, &At::Item(number), &row);
        number += 1;
    });
    match place {
        Ok(Place::Rows) => {}
        Ok(Place::Missing) => {
            let message = format!("it has no '{}', where the rows should be", items.text());
            maker.error(&At::Bytes(0..0), message, Some("correct 'items' in [[lookups]]".to_owned()));
        }
        Ok(Place::Other) => {
            let message = "the rows are neither an array nor objects by their keys".to_owned();
            maker.error(&At::Bytes(0..0), message, None);
        }
        Err(error) => {
            // What its rows seemed to lack may be due to the mistake.
            maker.found = Diagnostics::default();
            // The place is said in front.
            let what = error.to_string();
            let what = what.split(" at line ").next().unwrap_or_default();
            let (file, message) = (source.file.to_owned(), format!("it is no JSON: {what}"));
            let place = (error.line() > 0).then(|| (error.line(), error.column().max(1)));
            maker.found.push(Diagnostic { severity: Severity::Error, file, place, message, hint: None });
        }
    }
    maker.done()
}

/// The table of items; `name` is what they are called in messages.
pub fn of_items(definition: &Definition, name: &str, items: &[Value]) -> Made {
    let mut maker = Maker::new(definition, SourceText { file: name, text: "" });
    for (at, value) in items.iter().enumerate() {
        item(&mut maker, &At::Item(at), value);
    }
    maker.done()
}

/// Adds an object as a row.
fn item(maker: &mut Maker<'_>, at: &At, value: &Value) {
    if !value.is_object() {
        return maker.error(
            at,
            "a row must be an object".to_owned(),
            Some("correct 'items' in [[lookups]]".to_owned()),
        );
    }
    let mut values: Vec<(String, Cell)> = Vec::new();
    let definition = maker.definition;
    if definition.columns.is_empty() {
        flatten(value, String::new(), 0, &mut values);
    } else {
        for (name, pointer) in &definition.columns {
            if let Some(value) = pointer.of(value) {
                flatten(value, name.to_string(), 0, &mut values);
            }
        }
        // The key need not be among them.
        if !values.iter().any(|(name, _)| **name == *definition.key)
            && let Some(value) = value.get(&*definition.key)
        {
            flatten(value, definition.key.to_string(), 0, &mut values);
        }
    }
    let key =
        values.iter().find(|(name, _)| **name == *definition.key).map(|(_, cell)| cell.text().into_owned());
    let mut cells: Vec<(u16, Cell)> = Vec::with_capacity(values.len());
    for (name, cell) in values {
        let Some(column) = maker.column(at, &name) else { return };
        if !cells.iter().any(|(other, _)| *other == column) {
            cells.push((column, cell));
        }
    }
    maker.row(at, key.as_deref().unwrap_or_default(), cells);
}

/// The values in a value: of objects each member behind a point, of lists the texts with commas between. What is null is not
/// there.
fn flatten(value: &Value, name: String, depth: usize, out: &mut Vec<(String, Cell)>) {
    let cell = match value {
        Value::Null => return,
        Value::Bool(value) => Cell::Bool(*value),
        Value::Number(number) => match (number.as_i64(), number.as_u64()) {
            (Some(number), _) => Cell::Int(number),
            (None, Some(number)) => Cell::Large(number),
            (None, None) => {
                number.as_f64().map_or_else(|| Cell::Text(number.to_string().into()), Cell::Float)
            }
        },
        Value::String(text) => Cell::Text(text.as_str().into()),
        Value::Array(items) => {
            let scalar = |item: &Value| match item {
                Value::String(text) => Some(text.clone()),
                Value::Number(_) | Value::Bool(_) => Some(item.to_string()),
                _ => None,
            };
            Cell::Text(items.iter().filter_map(scalar).collect::<Vec<_>>().join(", ").into())
        }
        Value::Object(members) if depth < DEEPEST => {
            for (member, value) in members {
                let name = if name.is_empty() { member.clone() } else { format!("{name}.{member}") };
                flatten(value, name, depth + 1, out);
            }
            return;
        }
        Value::Object(_) => return,
    };
    out.push((name, cell));
}

#[cfg(test)]
#[path = "rows_tests.rs"]
pub(crate) mod tests;
