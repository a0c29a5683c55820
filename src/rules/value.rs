//! What expressions compute with.

use std::borrow::Cow;
use std::cmp::Ordering;
use std::fmt::Write as _;

/// A value of an expression. Borrows from the message or the rule where it can.
#[derive(Debug, Clone, PartialEq)]
pub enum Val<'m> {
    /// Not there: a varbind that the message lacks, a group that did not take part in the match.
    Undefined,
    /// True or false.
    Bool(bool),
    /// A whole number.
    Int(i128),
    /// A number with a fraction.
    Float(f64),
    /// Text.
    Str(Cow<'m, str>),
    /// A number that has a name: it is written by name, and equals both.
    Named {
        /// The number.
        number: i64,
        /// Its name.
        name: &'m str,
    },
}

impl<'m> Val<'m> {
    /// Text, undefined if there is none.
    pub fn optional(text: Option<&'m str>) -> Self {
        text.map_or(Val::Undefined, |t| Val::Str(Cow::Borrowed(t)))
    }

    /// Whether it counts as true: not undefined, false, zero or empty.
    pub fn is_true(&self) -> bool {
        match self {
            Val::Undefined => false,
            Val::Bool(b) => *b,
            Val::Int(n) => *n != 0,
            Val::Float(n) => *n != 0.0,
            Val::Str(s) => !s.is_empty(),
            Val::Named { .. } => true,
        }
    }

    /// Appends it as text, as the engine writes it.
    pub fn push_to(&self, out: &mut String) {
        match self {
            Val::Undefined => {}
            Val::Bool(b) => out.push_str(if *b { "True" } else { "False" }),
            Val::Int(n) => {
                let _ = write!(out, "{n}");
            }
            Val::Float(n) => {
                let _ = write!(out, "{n:?}");
            }
            Val::Str(s) => out.push_str(s),
            Val::Named { name, .. } => out.push_str(name),
        }
    }

    /// It as text.
    pub fn into_text(self) -> Cow<'m, str> {
        match self {
            Val::Str(s) => s,
            Val::Named { name, .. } => Cow::Borrowed(name),
            Val::Undefined => Cow::Borrowed(""),
            other => {
                let mut text = String::new();
                other.push_to(&mut text);
                text.into()
            }
        }
    }

    /// The text of a string or of a named number.
    fn as_text(&self) -> Option<&str> {
        match self {
            Val::Str(s) => Some(s),
            Val::Named { name, .. } => Some(name),
            _ => None,
        }
    }

    fn as_number(&self) -> Option<Number> {
        match self {
            Val::Int(n) => Some(Number::Int(*n)),
            Val::Bool(b) => Some(Number::Int(i128::from(*b))),
            Val::Float(n) => Some(Number::Float(*n)),
            Val::Named { number, .. } => Some(Number::Int((*number).into())),
            Val::Undefined | Val::Str(_) => None,
        }
    }

    /// Whether two values are the same: numbers by value, text by its characters, a named number by either.
    pub fn equals(&self, other: &Val<'_>) -> bool {
        if let (Val::Undefined, Val::Undefined) = (self, other) {
            return true;
        }
        if let (Some(a), Some(b)) = (self.as_text(), other.as_text()) {
            return a == b;
        }
        self.compare(other) == Some(Ordering::Equal)
    }

    /// The order of two numbers or two texts; none between different kinds.
    pub fn compare(&self, other: &Val<'_>) -> Option<Ordering> {
        if let (Some(a), Some(b)) = (self.as_number(), other.as_number()) {
            return match (a, b) {
                (Number::Int(a), Number::Int(b)) => Some(a.cmp(&b)),
                (a, b) => a.as_float().partial_cmp(&b.as_float()),
            };
        }
        match (self.as_text(), other.as_text()) {
            (Some(a), Some(b)) => Some(a.cmp(b)),
            _ => None,
        }
    }
}

#[derive(Clone, Copy)]
enum Number {
    Int(i128),
    Float(f64),
}

impl Number {
    fn as_float(self) -> f64 {
        match self {
            Number::Int(n) => n as f64,
            Number::Float(n) => n,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_named_number_equals_both() {
        let down = Val::Named { number: 2, name: "down" };
        assert!(down.equals(&Val::Int(2)) && down.equals(&Val::Str("down".into())));
        assert!(!down.equals(&Val::Int(1)) && !down.equals(&Val::Str("2".into())));
        assert!(down.equals(&Val::Named { number: 2, name: "down" }));
        assert_eq!(down.compare(&Val::Int(3)), Some(Ordering::Less));
    }

    #[test]
    fn kinds_do_not_mix() {
        assert!(!Val::Int(3).equals(&Val::Str("3".into())));
        assert!(!Val::Undefined.equals(&Val::Str("".into())));
        assert_eq!(Val::Undefined.compare(&Val::Int(3)), None);
        assert!(Val::Float(2.0).equals(&Val::Int(2)));
    }
}
