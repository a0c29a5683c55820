//! JSON (RFC 8259), within limits.

use std::borrow::Cow;
use std::cell::Cell;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

use crate::body::field::{DEEPEST, Item, LONGEST_KEY, MOST_FIELDS};

/// What is before JSON where CEE made it: `@cee:`, with or without a space behind it.
const CEE: &str = "@cee:";

/// An object or an array that is all of a text; none if the text is something else.
pub(super) fn read(text: &str) -> Option<Item> {
    let text = text.trim_start();
    let text = text.strip_prefix(CEE).unwrap_or(text).trim_start();
    if !text.starts_with(['{', '[']) {
        return None;
    }
    let text = exact(text);
    let mut json = serde_json::Deserializer::from_str(&text);
    let left = Cell::new(MOST_FIELDS);
    let item = Reader { left: &left, depth: 0 }.deserialize(&mut json).ok()?;
    json.end().ok()?;
    Some(item)
}

/// What to say of JSON that cannot be read for a number beyond those of 64 bits, such as 1e400: it is no broken JSON. None of what is.
pub fn too_large(error: &serde_json::Error) -> Option<String> {
    // The library tells it by its text alone, to which it adds the place.
    error.to_string().starts_with("number out of range").then(|| {
        let (line, column) = (error.line(), error.column());
        format!(
            "a number of the body is too large, at line {line} column {column}: write one of at most 1.7e308, or send it as a string"
        )
    })
}

/// JSON whose whole numbers beyond 64 bits are strings of their digits: as numbers they would lose all but some 16 of them. What is no
/// JSON stays as it is.
pub fn exact(text: &str) -> Cow<'_, str> {
    /// The fewest digits of such a number.
    const FEWEST: usize = 19;
    let octets = text.as_bytes();
    // Hardly any text has one.
    if !octets.chunk_by(|a, b| a.is_ascii_digit() && b.is_ascii_digit()).any(|run| run.len() >= FEWEST)
        || serde_json::from_str::<IgnoredAny>(text).is_err()
    {
        return Cow::Borrowed(text);
    }
    let (mut out, mut copied, mut at) = (String::new(), 0, 0);
    while let Some(octet) = octets.get(at) {
        let start = at;
        match octet {
            b'"' => {
                at += 1;
                while octets.get(at).is_some_and(|octet| *octet != b'"') {
                    at += if octets[at] == b'\\' { 2 } else { 1 };
                }
                at += 1;
            }
            b'-' | b'0'..=b'9' => {
                let is_part = |octet: &u8| matches!(octet, b'-' | b'+' | b'.' | b'e' | b'E' | b'0'..=b'9');
                while octets.get(at).is_some_and(is_part) {
                    at += 1;
                }
                let number = &text[start..at];
                let is_whole = !number.contains(['.', 'e', 'E']);
                if is_whole && number.parse::<i64>().is_err() && number.parse::<u64>().is_err() {
                    out.push_str(&text[copied..start]);
                    out.extend(["\"", number, "\""]);
                    copied = at;
                }
            }
            _ => at += 1,
        }
    }
    out.push_str(&text[copied..]);
    Cow::Owned(out)
}

/// Reads an item. All readers of a text count down how many are left.
#[derive(Clone, Copy)]
struct Reader<'l> {
    left: &'l Cell<usize>,
    depth: usize,
}

impl Reader<'_> {
    /// The reader for what is in this item; none if no more is read.
    fn inner(self) -> Option<Self> {
        let left = self.left.get().checked_sub(1)?;
        self.left.set(left);
        (self.depth < DEEPEST).then_some(Reader { depth: self.depth + 1, ..self })
    }
}

impl<'de> DeserializeSeed<'de> for Reader<'_> {
    type Value = Item;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Item, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Reader<'_> {
    type Value = Item;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Item, E> {
        Ok(Item::Bool(value))
    }

    fn visit_i64<E>(self, number: i64) -> Result<Item, E> {
        Ok(Item::Integer(number.into()))
    }

    fn visit_u64<E>(self, number: u64) -> Result<Item, E> {
        Ok(Item::Integer(number.into()))
    }

    fn visit_f64<E>(self, number: f64) -> Result<Item, E> {
        Ok(Item::Float(number))
    }

    fn visit_str<E>(self, text: &str) -> Result<Item, E> {
        Ok(Item::Text(text.into()))
    }

    fn visit_unit<E>(self) -> Result<Item, E> {
        Ok(Item::Null)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut array: A) -> Result<Item, A::Error> {
        let mut items = Vec::new();
        while let Some(inner) = self.inner() {
            match array.next_element_seed(inner)? {
                Some(item) => items.push(item),
                None => return Ok(Item::List(items)),
            }
        }
        while array.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Item::List(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut object: A) -> Result<Item, A::Error> {
        let mut entries: Vec<(Box<str>, Item)> = Vec::new();
        while let Some(key) = object.next_key::<Box<str>>()? {
            let wanted = key.len() <= LONGEST_KEY && !entries.iter().any(|(other, _)| *other == key);
            match wanted.then(|| self.inner()).flatten() {
                Some(inner) => entries.push((key, object.next_value_seed(inner)?)),
                None => {
                    object.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(Item::Map(entries))
    }
}
