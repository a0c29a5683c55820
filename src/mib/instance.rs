//! Instances of columns, taken apart into the values of their row's indexes (RFC 2578, section 7.7).

use std::fmt::Write as _;

use crate::mib::index::{Coding, Mib, Object};
use crate::oid::Oid;

/// The value of one index.
#[derive(Debug, Clone, PartialEq)]
pub struct IndexValue<'m> {
    /// The object that it is a value of, where the module names one.
    pub object: Option<&'m Object>,
    /// How it stands in the OID.
    pub(crate) coding: Coding,
    /// Its arcs, without a length before them.
    pub(crate) arcs: Vec<u32>,
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
    pub(crate) fn octets(&self) -> Vec<u8> {
        self.arcs.iter().map(|arc| *arc as u8).collect()
    }
}

pub(crate) fn dotted(arcs: &[u32]) -> String {
    arcs.iter().map(u32::to_string).collect::<Vec<_>>().join(".")
}

/// An instance behind the name of its column, with a dot before each index: numbers as they are, strings in quotes
/// where they are text. None where the arcs say as much, or do not fit.
fn text(arcs: &[u32], column: &Object, mib: &Mib) -> Option<String> {
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

impl Mib {
    /// An OID as text, with the longest name there is: `IF-MIB::ifDescr.3`, its instance by the indexes of its row
    /// (`ospfNbrState.192.0.2.1.0`, strings in quotes); all numbers where there is no name.
    pub fn name_of(&self, oid: &Oid<'_>) -> String {
        let Some(object) = self.lookup(oid) else { return oid.to_string() };
        let mut name = object.qualified();
        let arcs: Vec<u32> = oid.suffix(&object.oid).into_iter().flatten().collect();
        if let Some(instance) = text(&arcs, object, self) {
            return name + &instance;
        }
        for arc in arcs {
            name.push('.');
            name.push_str(&arc.to_string());
        }
        name
    }
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
