//! `lookup('table', text).column` in conditions and templates.

use std::borrow::Cow;
use std::cell::RefCell;
use std::collections::BTreeSet;
use std::sync::Arc;

use minijinja::value::{Object, ObjectRepr, Value};
use minijinja::{Error, ErrorKind, State};

use crate::language::budget;
use crate::language::convert::{Fields, entry, scalar};
use crate::language::names::{Doubt, Key};
use crate::language::syntax::joined;
use crate::language::value::Val;
use crate::lookup::table::{Cell, Table};
use crate::lookup::tables::Tables;
use crate::settings::diagnostic::did_you_mean;

/// The function.
pub const FUNCTION: &str = "lookup";
/// The most columns that a hint names.
const MOST_NAMED: usize = 20;

/// The tables that rules are compiled with, and what they need of them.
#[derive(Debug)]
pub struct Offered<'t> {
    /// The tables.
    pub tables: &'t Tables,
    /// The columns that were used, by the places of their tables.
    pub needs: RefCell<BTreeSet<(usize, Box<str>)>>,
    /// The columns that were to be used and that their tables do not have.
    pub lacking: RefCell<BTreeSet<(usize, Box<str>)>>,
}

/// A look into a table: what is resolved when a rule is compiled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Look {
    /// The place of the table.
    pub table: usize,
    /// The column; none for the key of the row.
    pub column: Option<Box<str>>,
}

impl<'t> Offered<'t> {
    /// These tables, nothing of which was used yet.
    pub fn new(tables: &'t Tables) -> Self {
        Offered { tables, needs: RefCell::default(), lacking: RefCell::default() }
    }

    /// The look that a call is. `first` is the first argument, if that is a text; `keys` stand behind the call.
    pub fn look(&self, first: Option<&str>, args: usize, keys: &[Key<'_>]) -> Result<Look, Doubt> {
        let wrong = |message: String, hint: String| Err(Doubt { message, hint });
        let example = || "write lookup('site', host).city".to_owned();
        let Some(name) = first else {
            return wrong("the first argument of 'lookup' is the name of a table".to_owned(), example());
        };
        let Some(place) = self.tables.place(name) else {
            let names = || self.tables.all().iter().map(|known| &*known.definition.name);
            let hint =
                did_you_mean(name, names()).unwrap_or_else(|| match names().collect::<Vec<_>>().as_slice() {
                    [] => "the configuration has no [[lookups]]".to_owned(),
                    names => format!("tables: {}", names.join(", ")),
                });
            return wrong(format!("there is no table '{name}'"), hint);
        };
        if args != 2 {
            return wrong(format!("'lookup' takes 2 arguments, not {args}"), example());
        }
        if keys.is_empty() {
            return Ok(Look { table: place, column: None });
        }
        let column = joined(keys);
        if let Some(table) = self.tables.at(place)
            && table.column(&column).is_none()
        {
            self.lacking.borrow_mut().insert((place, column.as_str().into()));
            let all: Vec<&str> = table.columns().collect();
            let hint = did_you_mean(&column, all.iter().copied()).unwrap_or_else(|| {
                let more = if all.len() > MOST_NAMED { ", ..." } else { "" };
                format!("its columns: {}{more}", all[..all.len().min(MOST_NAMED)].join(", "))
            });
            return wrong(format!("the table '{name}' has no column '{column}'"), hint);
        }
        self.needs.borrow_mut().insert((place, column.as_str().into()));
        Ok(Look { table: place, column: Some(column.into()) })
    }
}

/// The row for a value: what is undefined is in no table.
fn row(table: &Table, value: &Val<'_>) -> Option<u32> {
    if *value == Val::Undefined {
        return None;
    }
    table.find(&value.clone().into_word(), &mut budget::spend)
}

fn value(cell: Option<&Cell>) -> Val<'_> {
    match cell {
        None => Val::Undefined,
        Some(Cell::Bool(value)) => Val::Bool(*value),
        Some(Cell::Int(number)) => Val::Int((*number).into()),
        Some(Cell::Large(number)) => Val::Int((*number).into()),
        Some(Cell::Float(number)) => Val::Float(*number),
        Some(Cell::Text(text)) => Val::Str(Cow::Borrowed(text)),
    }
}

impl Look {
    /// What is in the tables for a text.
    pub fn of<'t>(&self, tables: &'t Tables, text: Option<&Val<'_>>) -> Val<'t> {
        found(tables.at(self.table), self.column.as_deref(), text)
    }
}

/// What is in a table for a text: in a column, or without one the key of the row.
pub fn found<'t>(table: Option<&'t Table>, column: Option<&str>, text: Option<&Val<'_>>) -> Val<'t> {
    let found = table.zip(text).and_then(|(table, text)| Some((table, row(table, text)?)));
    let Some((table, row)) = found else { return Val::Undefined };
    let value = match column {
        None => Val::Str(Cow::Borrowed(table.key(row))),
        Some(column) => value(table.cell(row, column)),
    };
    if let Val::Str(text) = &value {
        budget::spend(text.len() as u64);
    }
    value
}

/// The function in the template engine.
pub fn function(tables: &Arc<Tables>) -> Value {
    Value::from_object(Function(tables.clone()))
}

#[derive(Debug)]
struct Function(Arc<Tables>);

impl Object for Function {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Plain
    }

    fn call(self: &Arc<Self>, _: &mut State<'_, '_>, args: &[Value]) -> Result<Value, Error> {
        let [name, text] = args else {
            return Err(Error::new(ErrorKind::InvalidOperation, "'lookup' takes 2 arguments"));
        };
        let place = name.as_str().and_then(|name| self.0.place(name));
        // A list or map is in no table.
        let text = scalar(text).unwrap_or(Val::Undefined);
        let found = place.and_then(|place| Some((place, row(self.0.at(place)?, &text)?)));
        Ok(found.map_or(Value::UNDEFINED, |(place, row)| {
            entry(Arc::new(Row { tables: self.0.clone(), place, row }))
        }))
    }
}

/// A row in the template engine.
#[derive(Debug)]
struct Row {
    tables: Arc<Tables>,
    place: usize,
    row: u32,
}

impl Fields for Row {
    fn text(&self) -> &str {
        self.tables.at(self.place).map_or("", |table| table.key(self.row))
    }

    fn field(&self, name: &str) -> Val<'_> {
        let value = value(self.tables.at(self.place).and_then(|table| table.cell(self.row, name)));
        if let Val::Str(text) = &value {
            budget::spend(text.len() as u64);
        }
        value
    }
}

#[cfg(test)]
#[path = "lookups_tests.rs"]
mod tests;
