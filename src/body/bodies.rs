//! The bodies of one message, each read when it is first asked for.

use std::fmt;
use std::sync::OnceLock;

use crate::body::field::{Found, Item, Step, Text};
use crate::body::{csv, event, json, pairs};

/// The most octets of a message that are read; the rest is not.
const LONGEST: usize = 256 * 1024;

/// A form that the text of a message can have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// JSON, also behind `@cee:`.
    Json,
    /// Keys and values.
    Kv,
    /// Common Event Format.
    Cef,
    /// Log Event Extended Format.
    Leef,
    /// Values with commas between them.
    Csv,
}

impl Form {
    /// All of them.
    pub const ALL: [Form; 5] = [Form::Json, Form::Kv, Form::Cef, Form::Leef, Form::Csv];

    /// The name that rules use.
    pub fn as_str(self) -> &'static str {
        match self {
            Form::Json => "json",
            Form::Kv => "kv",
            Form::Cef => "cef",
            Form::Leef => "leef",
            Form::Csv => "csv",
        }
    }

    /// The kind of this name.
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == word)
    }
}

/// The fields of a message in one form. [`Text`]s in it are pieces of that message.
#[derive(Debug, Clone, PartialEq)]
pub enum Body {
    /// JSON: an object or an array.
    Tree(Item),
    /// Names and values; the first of equal names holds.
    Pairs(Vec<(Text, Text)>),
    /// Values by their position.
    Values(Vec<Text>),
}

impl Body {
    /// Reads a message in a form; none if it does not have that form.
    pub fn read(kind: Form, message: &str) -> Option<Body> {
        let message = &message[..message.floor_char_boundary(LONGEST)];
        let some = |pairs: Vec<(Text, Text)>| (!pairs.is_empty()).then_some(Body::Pairs(pairs));
        match kind {
            Form::Json => json::read(message).map(Body::Tree),
            Form::Kv => some(pairs::read(message)),
            Form::Cef => event::cef(message).and_then(some),
            Form::Leef => event::leef(message).and_then(some),
            Form::Csv => csv::read(message).map(Body::Values),
        }
    }

    /// The field at the end of some steps. `message` is what the body was read from.
    pub fn get<'b>(&'b self, steps: &[Step], message: &'b str) -> Option<Found<'b>> {
        match (self, steps) {
            (Body::Tree(root), steps) => {
                let item = steps.iter().try_fold(root, |item, step| item.step(step))?;
                Some(match item {
                    Item::Text(text) => Found::Text(text),
                    item => Found::Item(item),
                })
            }
            (Body::Pairs(pairs), [Step::Key(key)]) => {
                let named = |(name, _): &&(Text, Text)| name.get(message) == &**key;
                pairs.iter().find(named).map(|(_, value)| Found::Text(value.get(message)))
            }
            (Body::Values(values), [Step::At(at)]) => {
                values.get(*at).map(|value| Found::Text(value.get(message)))
            }
            _ => None,
        }
    }
}

/// The bodies of one message: each is read when it is first asked for, and then kept. Copies and comparisons leave them out,
/// as they can be read again.
#[derive(Default)]
pub struct Bodies(OnceLock<Box<[OnceLock<Option<Body>>; 5]>>);

impl Bodies {
    /// The body of a message in a form; none if it does not have that form. The message must be the same each time.
    pub fn open(&self, kind: Form, message: &str) -> Option<&Body> {
        let all = self.0.get_or_init(Box::default);
        all[kind as usize].get_or_init(|| Body::read(kind, message)).as_ref()
    }

    /// Whether a form was asked for.
    pub fn is_open(&self, kind: Form) -> bool {
        self.0.get().is_some_and(|all| all[kind as usize].get().is_some())
    }
}

impl Clone for Bodies {
    fn clone(&self) -> Self {
        Bodies::default()
    }
}

impl PartialEq for Bodies {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl fmt::Debug for Bodies {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let open = Form::ALL.into_iter().filter(|kind| self.is_open(*kind));
        f.debug_set().entries(open.map(Form::as_str)).finish()
    }
}

/// The form that a message most likely has: what only that form has, else several keys with values, else several values
/// with commas between them.
pub fn likely(message: &str) -> Option<(Form, Body)> {
    Form::ALL
        .into_iter()
        .filter(|kind| matches!(kind, Form::Json | Form::Cef | Form::Leef))
        .chain([Form::Kv, Form::Csv])
        .find_map(|kind| {
            let body = Body::read(kind, message)?;
            let is_it = match &body {
                Body::Pairs(pairs) => kind != Form::Kv || pairs.len() > 1,
                Body::Values(values) => values.len() > 4,
                Body::Tree(_) => true,
            };
            is_it.then_some((kind, body))
        })
}
