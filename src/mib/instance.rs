//! Instances of columns, taken apart into the values of their row's indexes (RFC 2578, section 7.7).

use std::borrow::Cow;
use std::fmt::Write as _;

use crate::message::Value;
use crate::mib::format;
use crate::mib::index::{Base, Coding, Mib, Object};
use crate::oid::Oid;

/// The value of one index.
#[derive(Debug, Clone, PartialEq)]
pub struct IndexValue<'m> {
    /// The object that it is a value of, where the module names one.
    pub object: Option<&'m Object>,
    /// How it stands in the OID.
    coding: Coding,
    /// Its arcs, without a length before them.
    arcs: Vec<u32>,
}

/// The indexes of an instance; none if it does not fit the row's definition.
pub fn indexes<'m>(arcs: &[u32], column: &Object, mib: &'m Mib) -> Option<Vec<IndexValue<'m>>> {
    if column.indexes.is_empty() {
        return None;
    }
    let mut rest = arcs;
    let mut values = Vec::with_capacity(column.indexes.len());
    for part in &*column.indexes {
        let length = match part.coding {
            Coding::Integer => 1,
            Coding::Address => 4,
            Coding::Fixed(octets) => octets.into(),
            Coding::Rest | Coding::RestOid => rest.len(),
            Coding::Counted | Coding::CountedOid => {
                let (first, behind) = rest.split_first()?;
                rest = behind;
                *first as usize
            }
        };
        let (own, behind) = rest.split_at_checked(length)?;
        rest = behind;
        let octets = !matches!(part.coding, Coding::Integer | Coding::CountedOid | Coding::RestOid);
        if octets && own.iter().any(|arc| *arc > 255) {
            return None;
        }
        let object = part.object.and_then(|at| mib.objects().get(at as usize));
        values.push(IndexValue { object, coding: part.coding, arcs: own.to_vec() });
    }
    rest.is_empty().then_some(values)
}

impl IndexValue<'_> {
    fn octets(&self) -> Vec<u8> {
        self.arcs.iter().map(|arc| *arc as u8).collect()
    }

    /// The value as text, as one of its object would be written in a varbind.
    pub fn text(&self, mib: &Mib) -> String {
        let syntax = self.object.map(|o| &*o.syntax);
        match self.coding {
            Coding::Integer => {
                let number = self.arcs.first().copied().unwrap_or(0);
                let value = match syntax.map(|s| s.base) {
                    Some(Base::TimeTicks) => Value::TimeTicks(number),
                    Some(Base::Gauge32) => Value::Gauge32(number),
                    _ => i32::try_from(number).map_or(Value::Gauge32(number), Value::Integer),
                };
                format::text(&value, syntax, mib).into_owned()
            }
            Coding::Address => dotted(&self.arcs),
            Coding::CountedOid | Coding::RestOid => {
                Oid::from_arcs(&self.arcs).map_or_else(|| dotted(&self.arcs), |oid| mib.name_of(&oid))
            }
            Coding::Fixed(_) | Coding::Counted | Coding::Rest => {
                let octets = self.octets();
                format::text(&Value::OctetString(&octets), syntax, mib).into_owned()
            }
        }
    }

    /// The number, where it is one.
    pub fn number(&self) -> Option<i64> {
        (self.coding == Coding::Integer).then(|| self.arcs.first().copied().map(i64::from)).flatten()
    }
}

fn dotted(arcs: &[u32]) -> String {
    arcs.iter().map(u32::to_string).collect::<Vec<_>>().join(".")
}

/// An instance behind the name of its column, with a dot before each index: numbers as they are, strings in quotes
/// where they are text. None where the arcs say as much, or do not fit.
pub(crate) fn text(arcs: &[u32], column: &Object, mib: &Mib) -> Option<String> {
    let strings = |coding: &Coding| matches!(coding, Coding::Counted | Coding::Rest | Coding::Fixed(_));
    if !column.indexes.iter().any(|part| strings(&part.coding)) {
        return None;
    }
    let mut text = String::new();
    for value in indexes(arcs, column, mib)? {
        if !strings(&value.coding) {
            let _ = write!(text, ".{}", dotted(&value.arcs));
            continue;
        }
        let octets = value.octets();
        let printable = std::str::from_utf8(&octets).ok().filter(|t| !t.chars().any(char::is_control));
        match printable {
            Some(string) if !octets.is_empty() => {
                let _ = write!(text, ".\"{}\"", string.replace('\\', "\\\\").replace('"', "\\\""));
            }
            _ => {
                if value.coding == Coding::Counted {
                    let _ = write!(text, ".{}", octets.len());
                }
                for arc in &value.arcs {
                    let _ = write!(text, ".{arc}");
                }
            }
        }
    }
    Some(text)
}

/// The value of an index of this name in the instance of a varbind, as text; and its number where it is one.
pub fn index_of<'v>(oid: &Oid<'_>, index: &Oid<'_>, mib: &Mib) -> Option<(Cow<'v, str>, Option<i64>)> {
    let column = mib.lookup(oid)?;
    let arcs: Vec<u32> = oid.suffix(&column.oid)?.collect();
    let values = indexes(&arcs, column, mib)?;
    let value = values.into_iter().find(|value| value.object.is_some_and(|object| object.oid == *index))?;
    Some((value.text(mib).into(), value.number()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mib::load::load;

    #[test]
    fn instances_of_the_shipped_modules() {
        let mib = load(&[]).mib;
        let name = |oid: &str| mib.name_of(&oid.parse().unwrap());
        assert_eq!(name("1.3.6.1.2.1.2.2.1.2.3"), "IF-MIB::ifDescr.3");
        // ospfNbrTable: an address and a number.
        assert_eq!(name("1.3.6.1.2.1.14.10.1.6.192.0.2.1.0"), "OSPF-MIB::ospfNbrState.192.0.2.1.0");
        let of = |oid: &str, index: &str| {
            let index = mib.find(index).next().unwrap().oid.clone();
            index_of(&oid.parse().unwrap(), &index, &mib).map(|(text, number)| (text.into_owned(), number))
        };
        assert_eq!(of("1.3.6.1.2.1.2.2.1.2.3", "ifIndex"), Some(("3".into(), Some(3))));
        let neighbour = of("1.3.6.1.2.1.14.10.1.6.192.0.2.1.0", "ospfNbrIpAddr");
        assert_eq!(neighbour, Some(("192.0.2.1".into(), None)));
        assert_eq!(of("1.3.6.1.2.1.14.10.1.6.192.0.2.1", "ospfNbrIpAddr"), None, "too short");
        assert_eq!(of("1.3.6.1.2.1.2.2.1.2.3", "ospfNbrIpAddr"), None);
    }

    #[test]
    fn strings_counted_and_implied() {
        use std::sync::Arc;

        use crate::mib::index::{Kind, Links, Syntax};
        let object = |name: &str, oid: &str| Object {
            name: name.into(),
            module: "T".into(),
            oid: oid.parse().unwrap(),
            kind: Kind::Object,
            syntax: Arc::new(Syntax::default()),
            objects: Box::default(),
            indexes: Arc::from([]),
        };
        let objects =
            vec![object("counted", "1.3.1.1"), object("implied", "1.3.1.2"), object("name", "1.3.1.3")];
        let name = || Some("T::name".to_owned());
        let mut links = Links::default();
        links.indexes.insert("T::counted".into(), vec![(name(), Coding::Counted), (None, Coding::Integer)]);
        links.indexes.insert("T::implied".into(), vec![(None, Coding::Fixed(2)), (name(), Coding::Rest)]);
        let mib = Mib::new(objects, &links, Vec::new());
        let shown = |oid: &str| mib.name_of(&oid.parse().unwrap());
        assert_eq!(shown("1.3.1.1.3.111.112.115.7"), "T::counted.\"ops\".7");
        assert_eq!(shown("1.3.1.2.0.1.97.34.98"), "T::implied.0.1.\"a\\\"b\"");
        assert_eq!(shown("1.3.1.1.2.0.200.7"), "T::counted.2.0.200.7");
        assert_eq!(shown("1.3.1.1.9.111.7"), "T::counted.9.111.7", "does not fit");
    }
}
