//! Values of messages that have a form: JSON, keys and values, CEF, LEEF, CSV.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use minijinja::value::{Enumerator, Object, ObjectRepr, Value, ValueKind};

use crate::body::{Bodies, Body, Form, Found, Item, Step};
use crate::language::budget;
use crate::language::value::Val;
use crate::message::{Posted, SyslogLine};
use crate::rules::context::MessageContext;

/// The units of [`budget`] of an octet that is read.
const OCTET: u64 = 4;

/// What has bodies.
#[derive(Debug, Clone, Copy)]
pub(super) enum Source<'m> {
    /// A line.
    Line(&'m SyslogLine<'m>),
    /// What was posted.
    Posted(&'m Posted<'m>),
}

impl<'m> Source<'m> {
    /// A message; none if it has no bodies.
    pub(super) fn of(context: &MessageContext<'m>) -> Option<Self> {
        let line = context.syslog().map(Source::Line);
        line.or_else(|| context.posted().map(Source::Posted))
    }

    /// What its bodies are read from.
    fn text(self) -> &'m str {
        match self {
            Source::Line(line) => line.message,
            Source::Posted(posted) => posted.text,
        }
    }

    fn bodies(self) -> &'m Bodies {
        match self {
            Source::Line(line) => &line.bodies,
            Source::Posted(posted) => &posted.bodies,
        }
    }
}

/// The body of a message in a form. Whoever is first to ask for it pays for it.
fn open(source: Source<'_>, kind: Form) -> Option<&Body> {
    let (bodies, text) = (source.bodies(), source.text());
    let units = if bodies.is_open(kind) { budget::ITEM } else { text.len() as u64 * OCTET };
    // What is read is bounded, so that it is not refused; what comes behind it may be.
    budget::spend(units);
    bodies.open(kind, text)
}

/// A field. Lists and objects of JSON are their text.
pub(super) fn field<'m>(source: Source<'m>, kind: Form, steps: &[Step]) -> Val<'m> {
    match open(source, kind).and_then(|body| body.get(steps, source.text())) {
        None | Some(Found::Item(Item::Null)) => Val::Undefined,
        Some(Found::Text(text)) => Val::Str(Cow::Borrowed(text)),
        Some(Found::Item(Item::Text(text))) => Val::Str(Cow::Borrowed(text)),
        Some(Found::Item(Item::Bool(value))) => Val::Bool(*value),
        Some(Found::Item(Item::Integer(number))) => Val::Int(*number),
        Some(Found::Item(Item::Float(number))) => Val::Float(*number),
        Some(Found::Item(item)) => {
            let text = item.to_json();
            budget::spend(text.len() as u64);
            Val::Str(Cow::Owned(text))
        }
    }
}

/// All fields, for templates that compute names of fields or iterate over them.
pub(super) fn table(source: Source<'_>, kind: Form) -> Value {
    match open(source, kind) {
        Some(Body::Tree(item)) => value_of(item),
        Some(Body::Pairs(pairs)) => {
            let text = |text: &crate::body::Text| Value::from(text.get(source.text()));
            Value::from_object(Fields(pairs.iter().map(|(key, value)| (text(key), text(value))).collect()))
        }
        Some(Body::Values(values)) => Value::from_object(Columns(
            values.iter().map(|value| Value::from(value.get(source.text()))).collect(),
        )),
        None => Value::UNDEFINED,
    }
}

/// An item of JSON in the template engine. `null` is undefined.
fn value_of(item: &Item) -> Value {
    match item {
        Item::Null => Value::UNDEFINED,
        Item::Bool(value) => Value::from(*value),
        Item::Integer(number) => Value::from(*number),
        Item::Float(number) => Value::from(*number),
        Item::Text(text) => Value::from(&**text),
        Item::List(items) => Value::from_object(List(items.iter().map(value_of).collect())),
        Item::Map(entries) => Value::from_object(Fields(
            entries.iter().map(|(key, item)| (Value::from(&**key), value_of(item))).collect(),
        )),
    }
}

/// Fields by their names, in the order of the message. Prints as JSON.
#[derive(Debug)]
struct Fields(Vec<(Value, Value)>);

impl Object for Fields {
    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        self.0.iter().find(|(name, _)| name == key).map(|(_, value)| value.clone())
    }

    fn enumerate(self: &Arc<Self>) -> Enumerator {
        Enumerator::Values(self.0.iter().map(|(name, _)| name.clone()).collect())
    }

    fn render(self: &Arc<Self>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut between = "{";
        for (name, value) in &self.0 {
            write!(f, "{between}{}:{}", Json(name), Json(value))?;
            between = ",";
        }
        f.write_str(if self.0.is_empty() { "{}" } else { "}" })
    }
}

/// A list of JSON. Prints as JSON.
#[derive(Debug)]
struct List(Vec<Value>);

impl Object for List {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Seq
    }

    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        self.0.get(usize::try_from(key.clone()).ok()?).cloned()
    }

    fn enumerate(self: &Arc<Self>) -> Enumerator {
        Enumerator::Seq(self.0.len())
    }

    fn render(self: &Arc<Self>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut between = "[";
        for value in &self.0 {
            write!(f, "{between}{}", Json(value))?;
            between = ",";
        }
        f.write_str(if self.0.is_empty() { "[]" } else { "]" })
    }
}

/// A value as JSON.
struct Json<'v>(&'v Value);

impl fmt::Display for Json<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.kind() {
            ValueKind::Undefined | ValueKind::None => f.write_str("null"),
            ValueKind::Bool => f.write_str(if self.0.is_true() { "true" } else { "false" }),
            ValueKind::String => {
                f.write_str(&Item::Text(self.0.as_str().unwrap_or_default().into()).to_json())
            }
            _ => write!(f, "{}", self.0),
        }
    }
}

/// `csv`: values by their position from 1. Iterates over the values.
#[derive(Debug)]
struct Columns(Vec<Value>);

impl Object for Columns {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Iterable
    }

    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        self.0.get(usize::try_from(key.clone()).ok()?.checked_sub(1)?).cloned()
    }

    fn enumerate(self: &Arc<Self>) -> Enumerator {
        Enumerator::Values(self.0.clone())
    }
}

#[cfg(test)]
#[path = "body_tests.rs"]
mod tests;
