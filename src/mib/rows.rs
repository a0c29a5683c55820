//! The indexes of a row as values: what the instance of a varbind says.

use std::borrow::Cow;

use crate::message::Value;
use crate::mib::format;
use crate::mib::index::{Base, Coding, Mib};
use crate::mib::instance::{IndexValue, dotted, indexes};
use crate::oid::Oid;
use crate::text::Charset;

impl IndexValue<'_> {
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
                format::text(&value, syntax, Charset::default(), mib).into_owned()
            }
            Coding::Address => dotted(&self.arcs),
            Coding::CountedOid | Coding::RestOid => {
                Oid::from_arcs(&self.arcs).map_or_else(|| dotted(&self.arcs), |oid| mib.name_of(&oid))
            }
            Coding::Fixed(_) | Coding::Counted | Coding::Rest => {
                let octets = self.octets();
                format::text(&Value::OctetString(&octets), syntax, Charset::default(), mib).into_owned()
            }
        }
    }
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
    fn indexes_of_the_shipped_modules() {
        let mib = load(&[]).mib;
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
}
