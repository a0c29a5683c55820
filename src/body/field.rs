//! Fields of a body and how they are found.

use std::fmt::Write as _;

/// The most fields of a body; those behind them are not read.
pub const MOST_FIELDS: usize = 256;
/// The longest name of a field, in octets. Fields with longer names are not read.
pub const LONGEST_KEY: usize = 128;
/// How deep JSON may be nested; what is deeper is not read.
pub const DEEPEST: usize = 32;

/// A piece of a message, or a text made of one because it had escapes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Text {
    /// The octets of the message from the first to before the second.
    Span(u32, u32),
    /// A text of its own.
    Owned(Box<str>),
}

impl Text {
    /// The piece from one octet to before another.
    pub(super) fn span(from: usize, to: usize) -> Self {
        // No body has more octets than fit; see `bodies::LONGEST`.
        Text::Span(u32::try_from(from).unwrap_or(u32::MAX), u32::try_from(to).unwrap_or(u32::MAX))
    }

    /// The text. `message` is what it was read from.
    pub fn get<'b>(&'b self, message: &'b str) -> &'b str {
        match self {
            Text::Span(from, to) => message.get(*from as usize..*to as usize).unwrap_or(""),
            Text::Owned(text) => text,
        }
    }
}

/// A value of JSON.
#[derive(Debug, Clone, PartialEq)]
pub enum Item {
    /// `null`
    Null,
    /// `true`, `false`
    Bool(bool),
    /// A whole number of 64 bits.
    Integer(i128),
    /// Another number.
    Float(f64),
    /// A string.
    Text(Box<str>),
    /// An array.
    List(Vec<Item>),
    /// An object. Of equal keys only the first is there.
    Map(Vec<(Box<str>, Item)>),
}

impl Item {
    /// The item in this one to which a step leads.
    pub fn step(&self, step: &Step) -> Option<&Item> {
        match (self, step) {
            (Item::Map(entries), Step::Key(key)) => {
                entries.iter().find(|(name, _)| **name == **key).map(|(_, item)| item)
            }
            (Item::List(items), Step::At(at)) => items.get(*at),
            _ => None,
        }
    }

    /// Appends the item as JSON.
    pub fn push_to(&self, out: &mut String) {
        match self {
            Item::Null => out.push_str("null"),
            Item::Bool(value) => out.push_str(if *value { "true" } else { "false" }),
            Item::Integer(number) => {
                let _ = write!(out, "{number}");
            }
            Item::Float(number) => {
                let _ = write!(out, "{number}");
            }
            Item::Text(text) => push_quoted(text, out),
            Item::List(items) => {
                out.push('[');
                for (at, item) in items.iter().enumerate() {
                    out.push_str(if at > 0 { "," } else { "" });
                    item.push_to(out);
                }
                out.push(']');
            }
            Item::Map(entries) => {
                out.push('{');
                for (at, (key, item)) in entries.iter().enumerate() {
                    out.push_str(if at > 0 { "," } else { "" });
                    push_quoted(key, out);
                    out.push(':');
                    item.push_to(out);
                }
                out.push('}');
            }
        }
    }

    /// The item as JSON.
    pub fn to_json(&self) -> String {
        let mut text = String::new();
        self.push_to(&mut text);
        text
    }
}

/// Appends a string as JSON writes it (RFC 8259, section 7).
fn push_quoted(text: &str, out: &mut String) {
    out.push('"');
    for c in text.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            '\n' => out.push_str("\\n"),
            c if c < ' ' => {
                let _ = write!(out, "\\u{:04x}", c as u32);
            }
            c => out.push(c),
        }
    }
    out.push('"');
}

/// A step from a body to one of its fields.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// The field of this name.
    Key(Box<str>),
    /// The item at this position, from 0.
    At(usize),
}

/// A field that was found.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Found<'b> {
    /// A text.
    Text(&'b str),
    /// A value of JSON that is no string.
    Item(&'b Item),
}
