//! The values that expressions compute with, and how they compare.

use std::borrow::Cow;
use std::cmp::Ordering;
use std::fmt::{self, Write as _};
use std::sync::Arc;

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
    /// A number that is written in another way, such as with a decimal point. Prints as it is written; equals its text and
    /// its number.
    Shown(Arc<Shown>),
}

/// A number and how it is written.
#[derive(Clone, PartialEq)]
pub struct Shown {
    /// The number that is meant: 23.45 where 2345 was sent as hundredths.
    pub number: Number,
    /// As it is written, which is not empty.
    pub text: Box<str>,
}

impl fmt::Debug for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.text)
    }
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
            Val::Shown(shown) => Val::Shown(shown.clone()),
        }
    }

    /// Whether the value counts as true. Undefined, false, zero and the empty string do not; a named number and one that is
    /// shown as text do, even if the number is zero.
    pub fn is_true(&self) -> bool {
        match self {
            Val::Undefined => false,
            Val::Bool(b) => *b,
            Val::Int(n) => *n != 0,
            Val::Float(n) => *n != 0.0,
            Val::Str(s) => !s.is_empty(),
            Val::Named { .. } | Val::Shown(_) => true,
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
            Val::Shown(shown) => out.push_str(&shown.text),
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

    /// The value as a word that says which one is meant, such as a key or a state: 2.0 is `2`, as JSON does not tell them
    /// apart.
    pub fn into_word(self) -> Cow<'m, str> {
        match self {
            Val::Float(n) => Cow::Owned(n.to_string()),
            other => other.into_text(),
        }
    }

    /// The whole number that the value is, however it is written; none if it is another number or none.
    pub fn whole(&self) -> Option<i128> {
        match self.as_number()? {
            Number::Int(n) => Some(n),
            Number::Float(n) => (n.fract() == 0.0).then_some(n as i128),
        }
    }

    /// The text of a string, or of a number that has one.
    fn as_text(&self) -> Option<&str> {
        match self {
            Val::Str(s) => Some(s),
            Val::Named { name, .. } => Some(name),
            Val::Shown(shown) => Some(&shown.text),
            _ => None,
        }
    }

    fn as_number(&self) -> Option<Number> {
        match self {
            Val::Int(n) => Some(Number::Int(*n)),
            Val::Bool(b) => Some(Number::Int(i128::from(*b))),
            Val::Float(n) => Some(Number::Float(*n)),
            Val::Named { number, .. } => Some(Number::Int((*number).into())),
            Val::Shown(shown) => Some(shown.number),
            Val::Undefined | Val::Str(_) => None,
        }
    }

    /// Whether two values are equal: numbers by value, strings by their characters, a number that has a text by
    /// either.
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
            return a.compare(b);
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

/// A number.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Number {
    /// An integer.
    Int(i128),
    /// A floating-point number.
    Float(f64),
}

impl From<Number> for Val<'_> {
    fn from(number: Number) -> Self {
        match number {
            Number::Int(number) => Val::Int(number),
            Number::Float(number) => Val::Float(number),
        }
    }
}

impl Number {
    /// The order of two numbers; none with what is no number.
    pub fn compare(self, other: Number) -> Option<Ordering> {
        match (self, other) {
            (Number::Int(a), Number::Int(b)) => Some(a.cmp(&b)),
            (a, b) => a.as_float().partial_cmp(&b.as_float()),
        }
    }

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
        let shown = |number, text: &str| Val::Shown(Arc::new(Shown { number, text: text.into() }));
        let temperature = || shown(Number::Float(23.45), "23.45");
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
            (temperature(), text("23.45"), [t, f, f, t, f, t, t]),
            (temperature(), Val::Float(23.45), [t, f, f, t, f, t, t]),
            (temperature(), Val::Int(50), [f, t, t, t, f, f, f]),
            (temperature(), Val::Int(2345), [f, t, t, t, f, f, f]),
            (temperature(), shown(Number::Float(9.5), "9.50"), [f, t, f, f, t, t, f]),
            (shown(Number::Int(31), "1F"), Val::Int(31), [t, f, f, t, f, t, f]),
            (shown(Number::Int(31), "1F"), text("1F"), [t, f, f, t, f, t, t]),
            (temperature(), Val::Undefined, [f, t, f, f, f, f, f]),
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
