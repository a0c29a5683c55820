//! The values that expressions compute with, and how they compare.

use std::borrow::Cow;
use std::cmp::Ordering;
use std::fmt::Write as _;

/// A value. Strings are borrowed from the message or the template where possible.
#[derive(Debug, Clone, PartialEq)]
pub enum Val<'m> {
    /// A missing value: a varbind that the message lacks, a group that did not take part in the match.
    Undefined,
    /// A boolean.
    Bool(bool),
    /// An integer.
    Int(i128),
    /// A floating-point number.
    Float(f64),
    /// A string.
    Str(Cow<'m, str>),
    /// A number with a name, such as an enumeration. Prints as its name; equals its name and its number.
    Named {
        /// The number.
        number: i64,
        /// The name.
        name: &'m str,
    },
}

impl<'m> Val<'m> {
    /// A borrowed string, undefined if there is none.
    pub fn optional(text: Option<&'m str>) -> Self {
        text.map_or(Val::Undefined, |t| Val::Str(Cow::Borrowed(t)))
    }

    /// The same value, its string borrowed.
    pub fn borrowed(&self) -> Val<'_> {
        match self {
            Val::Undefined => Val::Undefined,
            Val::Bool(b) => Val::Bool(*b),
            Val::Int(n) => Val::Int(*n),
            Val::Float(n) => Val::Float(*n),
            Val::Str(s) => Val::Str(Cow::Borrowed(s)),
            Val::Named { number, name } => Val::Named { number: *number, name },
        }
    }

    /// Whether the value counts as true. Undefined, false, zero and the empty string do not; a named number does,
    /// even if the number is zero.
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

    /// Appends the value as text, as minijinja prints it. Undefined prints as nothing.
    pub fn push_to(&self, out: &mut String) {
        match self {
            Val::Undefined => {}
            Val::Bool(b) => out.push_str(if *b { "True" } else { "False" }),
            Val::Int(n) => {
                let _ = write!(out, "{n}");
            }
            Val::Float(n) => {
                let start = out.len();
                let _ = write!(out, "{n}");
                if n.is_finite() && !out[start..].contains('.') {
                    out.push_str(".0");
                }
            }
            Val::Str(s) => out.push_str(s),
            Val::Named { name, .. } => out.push_str(name),
        }
    }

    /// The value as text.
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

    /// Whether two values are equal: numbers by value, strings by their characters, a named number by either.
    /// A number never equals a string. Undefined equals nothing, not even undefined.
    pub fn equals(&self, other: &Val<'_>) -> bool {
        if let (Some(a), Some(b)) = (self.as_text(), other.as_text()) {
            return a == b;
        }
        self.compare(other) == Some(Ordering::Equal)
    }

    /// The order of two numbers or two strings; none between different kinds, and none with undefined.
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

    /// Whether the text of this value contains the text of another; false if either is undefined.
    pub fn contains(self, needle: Val<'_>) -> bool {
        if self == Val::Undefined || needle == Val::Undefined {
            return false;
        }
        self.into_text().contains(&*needle.into_text())
    }
}

/// A comparison of two values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Comparison {
    /// `==`
    Eq,
    /// `!=`
    Ne,
    /// `<`
    Lt,
    /// `<=`
    Le,
    /// `>`
    Gt,
    /// `>=`
    Ge,
}

impl Comparison {
    /// Whether the comparison holds. `!=` is the negation of `==`; the others are false where there is no order.
    pub fn holds(self, a: &Val<'_>, b: &Val<'_>) -> bool {
        match self {
            Comparison::Eq => a.equals(b),
            Comparison::Ne => !a.equals(b),
            ordered => a.compare(b).is_some_and(|order| ordered.allows(order)),
        }
    }

    /// Whether the comparison holds for two values in this order.
    pub fn allows(self, order: Ordering) -> bool {
        match self {
            Comparison::Eq => order.is_eq(),
            Comparison::Ne => order.is_ne(),
            Comparison::Lt => order.is_lt(),
            Comparison::Le => order.is_le(),
            Comparison::Gt => order.is_gt(),
            Comparison::Ge => order.is_ge(),
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

    const DOWN: Val<'_> = Val::Named { number: 2, name: "down" };

    /// The truth table of docs/rules.md: for each pair `==`, `!=`, `<`, `<=`, `>`, `>=`, and `in`.
    #[test]
    fn truth_table_of_comparisons() {
        let text = |t: &'static str| Val::Str(t.into());
        let (t, f) = (true, false);
        for (a, b, holds) in [
            (Val::Undefined, Val::Undefined, [f, t, f, f, f, f, f]),
            (Val::Undefined, text(""), [f, t, f, f, f, f, f]),
            (text(""), Val::Undefined, [f, t, f, f, f, f, f]),
            (Val::Undefined, Val::Int(0), [f, t, f, f, f, f, f]),
            (Val::Undefined, Val::Bool(false), [f, t, f, f, f, f, f]),
            (Val::Int(3), text("3"), [f, t, f, f, f, f, t]),
            (Val::Int(3), Val::Int(4), [f, t, t, t, f, f, f]),
            (Val::Int(2), Val::Float(2.0), [t, f, f, t, f, t, t]),
            (Val::Float(f64::NAN), Val::Float(f64::NAN), [f, t, f, f, f, f, t]),
            (Val::Bool(true), Val::Int(1), [t, f, f, t, f, t, f]),
            (text("a"), text("ab"), [f, t, t, t, f, f, t]),
            (DOWN, text("down"), [t, f, f, t, f, t, t]),
            (DOWN, Val::Int(2), [t, f, f, t, f, t, f]),
            (DOWN, Val::Int(3), [f, t, t, t, f, f, f]),
            (DOWN, text("2"), [f, t, f, f, t, t, f]),
            (DOWN, DOWN, [t, f, f, t, f, t, t]),
        ] {
            use Comparison::{Eq, Ge, Gt, Le, Lt, Ne};
            let all = [Eq, Ne, Lt, Le, Gt, Ge].map(|c| c.holds(&a, &b));
            assert_eq!(all, holds[..6], "{a:?} {b:?}");
            assert_eq!(b.clone().contains(a.clone()), holds[6], "{a:?} in {b:?}");
        }
    }

    #[test]
    fn numbers_print_as_minijinja_prints_them() {
        for number in [0.0, -0.0, 2.5, 1e16, 1e-7, f64::INFINITY, f64::NEG_INFINITY, f64::NAN] {
            let value = minijinja::Value::from(number);
            assert_eq!(Val::Float(number).into_text(), value.to_string());
        }
        assert_eq!(Val::Int(i128::MIN).into_text(), i128::MIN.to_string());
    }
}
