//! The rows of a text in JSON, one at a time: all of them as values would take several times the memory of the text. Pure.

use std::borrow::Cow;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::Value;

use super::pointer::Pointer;

/// What stands where the rows should be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// Nothing: there is no such place.
    Missing,
    /// Neither an array nor an object.
    Other,
    /// An array, or an object that has its members by their keys.
    Rows,
}

/// Takes a row: its key, where it is a member of an object, and its value.
pub type Take<'t> = &'t mut dyn FnMut(Option<&str>, Value);

/// Gives the rows at a place of a text to `take`, in order.
///
/// # Errors
///
/// If the text is no JSON. Rows before the mistake were given.
pub fn rows(text: &str, items: &Pointer, take: Take<'_>) -> serde_json::Result<Place> {
    let steps: Vec<&str> = items.steps().collect();
    let mut deserializer = serde_json::Deserializer::from_str(text);
    let place = Walk { steps: &steps, take }.deserialize(&mut deserializer)?;
    deserializer.end()?;
    Ok(place)
}

/// The way to the rows.
struct Walk<'s, 't> {
    /// What is left of it.
    steps: &'s [&'s str],
    take: Take<'t>,
}

impl Walk<'_, '_> {
    /// At a value that has nothing in it.
    fn scalar(self) -> Place {
        if self.steps.is_empty() { Place::Other } else { Place::Missing }
    }
}

impl<'de> DeserializeSeed<'de> for Walk<'_, '_> {
    type Value = Place;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Place, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Walk<'_, '_> {
    type Value = Place;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Place, A::Error> {
        let Some((step, rest)) = self.steps.split_first() else {
            while let Some(key) = map.next_key::<Cow<'_, str>>()? {
                (self.take)(Some(&key), map.next_value()?);
            }
            return Ok(Place::Rows);
        };
        let mut place = Place::Missing;
        while let Some(key) = map.next_key::<Cow<'_, str>>()? {
            // The first one counts, as it does of rows.
            if key == **step && place == Place::Missing {
                place = map.next_value_seed(Walk { steps: rest, take: &mut *self.take })?;
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        Ok(place)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Place, A::Error> {
        let Some((step, rest)) = self.steps.split_first() else {
            while let Some(row) = seq.next_element()? {
                (self.take)(None, row);
            }
            return Ok(Place::Rows);
        };
        // As in RFC 6901: no sign, and no zeros before a number.
        let wanted = step.parse().ok().filter(|at: &usize| at.to_string() == *step);
        let mut place = Place::Missing;
        for at in 0.. {
            if Some(at) == wanted {
                match seq.next_element_seed(Walk { steps: rest, take: &mut *self.take })? {
                    Some(there) => place = there,
                    None => break,
                }
            } else if seq.next_element::<IgnoredAny>()?.is_none() {
                break;
            }
        }
        Ok(place)
    }

    fn visit_bool<E>(self, _: bool) -> Result<Place, E> {
        Ok(self.scalar())
    }

    fn visit_i64<E>(self, _: i64) -> Result<Place, E> {
        Ok(self.scalar())
    }

    fn visit_u64<E>(self, _: u64) -> Result<Place, E> {
        Ok(self.scalar())
    }

    fn visit_f64<E>(self, _: f64) -> Result<Place, E> {
        Ok(self.scalar())
    }

    fn visit_str<E>(self, _: &str) -> Result<Place, E> {
        Ok(self.scalar())
    }

    fn visit_unit<E>(self) -> Result<Place, E> {
        Ok(self.scalar())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    type Found = (Place, Vec<(Option<String>, Value)>);

    /// The same with all values at once.
    fn at_once(value: &Value, items: &Pointer) -> Found {
        match items.of(value) {
            None => (Place::Missing, Vec::new()),
            Some(Value::Array(rows)) => (Place::Rows, rows.iter().map(|row| (None, row.clone())).collect()),
            Some(Value::Object(rows)) => {
                (Place::Rows, rows.iter().map(|(key, row)| (Some(key.clone()), row.clone())).collect())
            }
            Some(_) => (Place::Other, Vec::new()),
        }
    }

    fn one_by_one(text: &str, items: &Pointer) -> serde_json::Result<Found> {
        let mut all = Vec::new();
        let place = rows(text, items, &mut |key, row| all.push((key.map(str::to_owned), row)))?;
        Ok((place, all))
    }

    fn value() -> impl Strategy<Value = Value> {
        let scalar = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            (-1000..1000i32).prop_map(|number| json!(f64::from(number) / 8.0)),
            "[a\"\\\\ü]{0,3}".prop_map(Value::from),
        ];
        scalar.prop_recursive(4, 24, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                prop::collection::btree_map("[ab0/~]{0,2}", inner, 0..4)
                    .prop_map(|members| Value::Object(members.into_iter().collect())),
            ]
        })
    }

    #[test]
    fn of_places_with_one_key_the_first_one_counts() {
        let items = Pointer::parse("/a/b").unwrap();
        for (text, rows) in [
            (r#"{"a": {"b": [1], "b": [2]}, "a": {"b": [3]}}"#, json!([1])),
            (r#"{"a": 1, "a": {"c": [1]}, "a": {"b": [2]}, "a": {"b": [3]}}"#, json!([2])),
        ] {
            let (place, found) = one_by_one(text, &items).unwrap();
            let found: Vec<Value> = found.into_iter().map(|(_, row)| row).collect();
            assert_eq!((place, Value::from(found)), (Place::Rows, rows), "{text}");
        }
    }

    proptest! {
        #[test]
        fn rows_are_those_that_a_pointer_points_to(value in value(), pointer in "(/([ab0/]|~0|~1|00|1|\\+1){0,2}){0,3}") {
            if let Ok(items) = Pointer::parse(&pointer) {
                prop_assert_eq!(one_by_one(&value.to_string(), &items).unwrap(), at_once(&value, &items));
            }
        }

        #[test]
        fn what_is_no_json_is_told(text in "[\\[\\]{}\":,a01 ]{0,12}") {
            let all = serde_json::from_str::<Value>(&text);
            let one = one_by_one(&text, &Pointer::default());
            prop_assert_eq!(one.is_ok(), all.is_ok(), "{}", text);
        }
    }
}
