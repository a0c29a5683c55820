//! Values of the language in the template engine, and back. Named numbers are objects there.

use std::borrow::Cow;
use std::cmp::Ordering;
use std::fmt;
use std::sync::Arc;

use minijinja::value::{DynObject, Object, ObjectRepr, Value, ValueKind};

use crate::language::value::{Shown, Val};

/// A value of the language as one of the engine.
pub fn to_value(value: Val<'_>) -> Value {
    match value {
        Val::Undefined => Value::UNDEFINED,
        Val::Bool(b) => Value::from(b),
        Val::Int(n) => Value::from(n),
        Val::Float(n) => Value::from(n),
        Val::Str(s) => Value::from(s.as_ref()),
        Val::Named { number, name } => Value::from_object(NamedNumber { number, name: name.into() }),
        Val::Shown(shown) => Value::from_dyn_object(shown),
    }
}

/// A value of the engine as one of the language; none for lists, maps and the like.
pub fn scalar(value: &Value) -> Option<Val<'_>> {
    Some(match value.kind() {
        ValueKind::Undefined | ValueKind::None => Val::Undefined,
        ValueKind::Bool => Val::Bool(value.is_true()),
        ValueKind::Number => match i128::try_from(value.clone()) {
            Ok(number) if value.is_integer() => Val::Int(number),
            _ => Val::Float(f64::try_from(value.clone()).unwrap_or_default()),
        },
        ValueKind::String => Val::Str(Cow::Borrowed(value.as_str()?)),
        ValueKind::Plain if row_of(value).is_some() => Val::Str(Cow::Borrowed(row_of(value)?.text())),
        ValueKind::Plain => {
            if let Some(shown) = value.downcast_object::<Shown>() {
                return Some(Val::Shown(shown));
            }
            let named = value.downcast_object_ref::<NamedNumber>()?;
            Val::Named { number: named.number, name: &named.name }
        }
        _ => return None,
    })
}

fn row_of(value: &Value) -> Option<&Arc<dyn Fields>> {
    value.downcast_object_ref::<Entry>().map(|entry| &entry.0)
}

/// A row of a table: as text its key, and fields by their names.
pub trait Fields: fmt::Debug + Send + Sync {
    /// Its key, which is not empty.
    fn text(&self) -> &str;

    /// A field.
    fn field(&self, name: &str) -> Val<'_>;
}

/// A row in the engine.
pub fn entry(fields: Arc<dyn Fields>) -> Value {
    Value::from_object(Entry(fields))
}

/// A field of a row; none if the value is no row.
pub fn field(value: &Value, name: &Value) -> Option<Value> {
    let entry = value.downcast_object_ref::<Entry>()?;
    let name = scalar(name).unwrap_or(Val::Undefined).into_text();
    Some(to_value(entry.0.field(&name)))
}

#[derive(Debug)]
struct Entry(Arc<dyn Fields>);

impl Object for Entry {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Plain
    }

    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        let value = to_value(self.0.field(key.as_str()?));
        (!value.is_undefined()).then_some(value)
    }

    fn render(self: &Arc<Self>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.text())
    }
}

/// [`Val::Named`] in the engine.
struct NamedNumber {
    number: i64,
    name: Box<str>,
}

impl fmt::Debug for NamedNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.name)
    }
}

impl Object for NamedNumber {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Plain
    }

    fn custom_cmp(self: &Arc<Self>, other: &DynObject) -> Option<Ordering> {
        let other = other.downcast_ref::<NamedNumber>()?;
        Some(self.number.cmp(&other.number).then_with(|| self.name.cmp(&other.name)))
    }

    fn render(self: &Arc<Self>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

impl Object for Shown {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Plain
    }

    fn custom_cmp(self: &Arc<Self>, other: &DynObject) -> Option<Ordering> {
        let other = other.downcast_ref::<Shown>()?;
        let order = self.number.compare(other.number).unwrap_or(Ordering::Equal);
        Some(order.then_with(|| self.text.cmp(&other.text)))
    }

    fn render(self: &Arc<Self>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// A scalar as text, undefined as the empty string; lists and maps as they are.
pub fn text(value: &Value) -> Value {
    match scalar(value) {
        Some(Val::Str(_)) if value.kind() == ValueKind::String => value.clone(),
        None => value.clone(),
        Some(other) => Value::from(other.into_text()),
    }
}

/// A number that has a text as its number, everything else as it is.
pub fn number(value: &Value) -> Value {
    match scalar(value) {
        Some(Val::Named { number, .. }) => Value::from(number),
        Some(Val::Shown(shown)) => to_value(shown.number.into()),
        _ => value.clone(),
    }
}

/// What is added to a text: a number that is shown as text is that text, as `'a' + x` joins texts; a named number is its
/// number, everything else as it is.
pub fn addend(value: &Value) -> Value {
    match scalar(value) {
        Some(Val::Shown(shown)) => Value::from(&*shown.text),
        _ => number(value),
    }
}
