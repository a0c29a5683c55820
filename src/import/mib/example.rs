//! Example values for the tests of generated rules.

use crate::message::Value;
use crate::mib::format;
use crate::mib::index::Coding;
use crate::mib::parse::{Typed, from_number, from_text};
use crate::mib::{Base, Mib, Object, Syntax};
use crate::oid::Oid;
use crate::settings::section::quoted;
use crate::text::Charset;

/// An instance of an object; another `which`, up to 9, has other values for all indexes.
pub fn instance(object: &Object, which: u8) -> String {
    if object.indexes.is_empty() {
        return "0".to_owned();
    }
    let letter = 65 + u32::from(which);
    let part = |coding: Coding| match coding {
        Coding::Integer | Coding::RestOid => (u32::from(which) + 1).to_string(),
        Coding::Address => format!("192.0.2.{}", which + 1),
        Coding::Fixed(size) => vec![letter.to_string(); usize::from(size)].join("."),
        Coding::Counted => format!("1.{letter}"),
        Coding::Rest => letter.to_string(),
        Coding::CountedOid => format!("2.1.{}", which + 3),
    };
    object.indexes.iter().map(|p| part(p.coding)).collect::<Vec<_>>().join(".")
}

/// A value of an object, as a test writes it: in quotes, where it is no number.
pub fn value(object: &Object, which: u8, mib: &Mib) -> String {
    let text = shown(&object.syntax, which, mib);
    if text.parse::<u32>().is_ok() { text } else { quoted(&text) }
}

/// A value of a syntax, as `trapline explain` shows it; a test reads it as this value.
pub fn shown(syntax: &Syntax, which: u8, mib: &Mib) -> String {
    let number = u32::from(which) + 1;
    let value = match (syntax.base, syntax.enums.first()) {
        (Base::Octets, _) => return octets(syntax, which, mib),
        (Base::Integer, Some((_, name))) => return name.to_string(),
        (Base::ObjectId, _) => Oid::from_arcs(&[1, 3, 6, 1, 4, number]).map(Value::ObjectId),
        (Base::IpAddress, _) => Some(Value::IpAddress([192, 0, 2, which + 1].into())),
        _ => from_number(number.into(), Some(syntax)),
    };
    value.map_or_else(
        || number.to_string(),
        |value| format::text(&value, Some(syntax), Charset::default(), mib).into_owned(),
    )
}

/// Octets of as many as the DISPLAY-HINT wants: a MAC address and a date have other lengths than text.
fn octets(syntax: &Syntax, which: u8, mib: &Mib) -> String {
    if let Some((_, name)) = syntax.bits.get(usize::from(which)).or(syntax.bits.first()) {
        return name.to_string();
    }
    let letter = if which == 0 { b'x' } else { b'y' };
    let reads_back = |octets: &Vec<u8>| {
        let shown =
            format::text(&Value::OctetString(octets), Some(syntax), Charset::default(), mib).into_owned();
        let read = from_text(&shown, Some(syntax), mib);
        (read.as_ref() == Some(&Typed::Octets(octets.clone()))).then_some(shown)
    };
    let numbers = (2..=32).map(|length| vec![which + 1; length]);
    let mut candidates = std::iter::once(vec![letter]).chain(numbers);
    candidates.find_map(|octets| reads_back(&octets)).unwrap_or_else(|| format!("0x{letter:02X}"))
}
