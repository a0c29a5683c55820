//! The indexes of a row as values: what the instance of a varbind says.

use crate::message::Value;
use crate::mib::format::{self, Presented};
use crate::mib::index::{Base, Coding, Mib};
use crate::mib::instance::{IndexValue, dotted, indexes};
use crate::oid::Oid;
use crate::text::Charset;

impl<'m> IndexValue<'m> {
    /// The value, as one of its object is presented in a varbind.
    pub fn present(&self, mib: &Mib) -> Presented<'m> {
        let syntax = self.object.map(|o| &*o.syntax);
        let text = match self.coding {
            Coding::Integer => {
                let number = self.arcs.first().copied().unwrap_or(0);
                match syntax.map(|s| s.base) {
                    Some(Base::TimeTicks) => format::time_ticks(number),
                    _ => return format::present_integer(number.into(), syntax),
                }
            }
            Coding::Address => dotted(&self.arcs),
            Coding::CountedOid | Coding::RestOid => {
                Oid::from_arcs(&self.arcs).map_or_else(|| dotted(&self.arcs), |oid| mib.name_of(&oid))
            }
            Coding::Fixed(_) | Coding::Counted | Coding::Rest => {
                let octets = self.octets();
                format::text(&Value::OctetString(&octets), syntax, Charset::default(), mib).into_owned()
            }
        };
        Presented::Text(text.into())
    }
}

/// The value of an index of this name in the instance of a varbind.
pub fn index_of<'m>(oid: &Oid<'_>, index: &Oid<'_>, mib: &'m Mib) -> Option<Presented<'m>> {
    let column = mib.lookup(oid)?;
    let arcs: Vec<u32> = oid.suffix(&column.oid)?.collect();
    let values = indexes(&arcs, column, mib)?;
    let value = values.into_iter().find(|value| value.object.is_some_and(|object| object.oid == *index))?;
    Some(value.present(mib))
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
            index_of(&oid.parse().unwrap(), &index, &mib)
        };
        assert_eq!(of("1.3.6.1.2.1.2.2.1.2.3", "ifIndex"), Some(Presented::Number(3)));
        let neighbour = of("1.3.6.1.2.1.14.10.1.6.192.0.2.1.0", "ospfNbrIpAddr");
        assert_eq!(neighbour, Some(Presented::Text("192.0.2.1".into())));
        assert_eq!(of("1.3.6.1.2.1.14.10.1.6.192.0.2.1", "ospfNbrIpAddr"), None, "too short");
        assert_eq!(of("1.3.6.1.2.1.2.2.1.2.3", "ospfNbrIpAddr"), None);
    }
}
