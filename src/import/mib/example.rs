//! Example values for the tests of generated rules.

use crate::mib::index::Coding;
use crate::mib::{Base, Object, Syntax};
use crate::settings::section::quoted;

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

/// A value of an object, as a test writes it.
pub fn value(object: &Object, which: u8) -> String {
    let Syntax { base, enums, .. } = &*object.syntax;
    match (base, enums.first()) {
        (Base::Integer, Some((_, name))) => quoted(name),
        (Base::Octets, _) => quoted(if which == 0 { "x" } else { "y" }),
        (Base::ObjectId, _) => quoted(&format!("1.3.6.1.4.{}", which + 1)),
        (Base::IpAddress, _) => quoted(&format!("192.0.2.{}", which + 1)),
        _ => (which + 1).to_string(),
    }
}
