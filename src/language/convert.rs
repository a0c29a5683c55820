//! Values of the language in the template engine, and back. Named numbers are objects there.

use std::borrow::Cow;
use std::cmp::Ordering;
use std::fmt;
use std::sync::Arc;

use minijinja::value::{DynObject, Object, ObjectRepr, Value, ValueKind};

use crate::language::value::Val;

/// A value of the language as one of the engine.
pub fn to_value(value: Val<'_>) -> Value {
    match value {
        Val::Undefined => Value::UNDEFINED,
        Val::Bool(b) => Value::from(b),
        Val::Int(n) => Value::from(n),
        Val::Float(n) => Value::from(n),
        Val::Str(s) => Value::from(s.as_ref()),
        Val::Named { number, name } => Value::from_object(NamedNumber { number, name: name.into() }),
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
        ValueKind::Plain => {
            let named = value.downcast_object_ref::<NamedNumber>()?;
            Val::Named { number: named.number, name: &named.name }
        }
        _ => return None,
    })
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

/// A scalar as text, undefined as the empty string; lists and maps as they are.
pub fn text(value: &Value) -> Value {
    match scalar(value) {
        Some(Val::Str(_)) | None => value.clone(),
        Some(other) => Value::from(other.into_text()),
    }
}

/// A named number as its number, everything else as it is.
pub fn number(value: &Value) -> Value {
    match scalar(value) {
        Some(Val::Named { number, .. }) => Value::from(number),
        _ => value.clone(),
    }
}
