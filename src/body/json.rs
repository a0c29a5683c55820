//! JSON (RFC 8259), within limits.

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
    let mut json = serde_json::Deserializer::from_str(text);
    let left = Cell::new(MOST_FIELDS);
    let item = Reader { left: &left, depth: 0 }.deserialize(&mut json).ok()?;
    json.end().ok()?;
    Some(item)
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
