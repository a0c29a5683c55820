//! The bytes of an index on disk.

use std::collections::HashMap;
use std::sync::Arc;

use unsigned_varint as varint;

use crate::mib::index::{About, Base, Coding, Kind, Mib, Object, Part, Syntax};
use crate::mib::load::loaded::Loaded;
use crate::mib::table::Table;
use crate::oid::Oid;
use crate::settings::diagnostic::{Diagnostic, Diagnostics, Severity};

fn push(out: &mut Vec<u8>, number: u64) {
    out.extend_from_slice(varint::encode::u64(number, &mut varint::encode::u64_buffer()));
}

fn push_text(out: &mut Vec<u8>, text: &str) {
    push(out, text.len() as u64);
    out.extend_from_slice(text.as_bytes());
}

fn push_names(out: &mut Vec<u8>, names: &[(i64, Box<str>)]) {
    push(out, names.len() as u64);
    for (number, name) in names {
        out.extend(number.to_le_bytes());
        push_text(out, name);
    }
}

const BASES: [Base; 8] = [
    Base::Octets,
    Base::Integer,
    Base::ObjectId,
    Base::IpAddress,
    Base::Counter32,
    Base::Gauge32,
    Base::TimeTicks,
    Base::Counter64,
];
const KINDS: [Kind; 3] = [Kind::Node, Kind::Object, Kind::Notification];

/// An index, and what was found wrong in its modules, in sections: so that it is opened without all of the bytes being
/// there at once.
pub(crate) fn encode(loaded: &Loaded) -> [Vec<u8>; 3] {
    let mut sections = [const { Vec::new() }; 3];
    push_definitions(loaded, &mut sections[0]);
    push_tables(&loaded.mib, &mut sections[1]);
    push_about(&loaded.mib, &mut sections[2]);
    sections
}

fn push_definitions(loaded: &Loaded, out: &mut Vec<u8>) {
    let mib = &loaded.mib;
    push(out, loaded.found.clone().sorted().len() as u64);
    for found in loaded.found.clone().sorted() {
        push_text(out, &found.file);
        let (line, column) = found.place.unwrap_or_default();
        push(out, line as u64);
        push(out, column as u64);
        push_text(out, &found.message);
        push_text(out, found.hint.as_deref().unwrap_or_default());
    }
    push(out, mib.modules().len() as u64);
    for module in mib.modules() {
        push_text(out, module);
    }
    // Shared parts once, by their addresses.
    let (mut syntaxes, mut lists) = (HashMap::new(), HashMap::new());
    let (mut all_syntaxes, mut all_lists) = (Vec::new(), Vec::new());
    for object in mib.objects() {
        syntaxes.entry(Arc::as_ptr(&object.syntax)).or_insert_with(|| {
            all_syntaxes.push(&object.syntax);
            all_syntaxes.len() - 1
        });
        lists.entry(object.indexes.as_ptr()).or_insert_with(|| {
            all_lists.push(&object.indexes);
            all_lists.len() - 1
        });
    }
    push(out, all_syntaxes.len() as u64);
    for syntax in all_syntaxes {
        out.push(BASES.iter().position(|base| *base == syntax.base).unwrap_or(0) as u8);
        push_names(out, &syntax.enums);
        push_names(out, &syntax.bits);
        push_text(out, &syntax.hint);
        push_text(out, &syntax.convention);
    }
    push(out, all_lists.len() as u64);
    for list in all_lists {
        push(out, list.len() as u64);
        for part in &**list {
            push(out, part.object.map_or(0, |at| u64::from(at) + 1));
            let (coding, size) = match part.coding {
                Coding::Integer => (0, 0),
                Coding::Address => (1, 0),
                Coding::Fixed(size) => (2, size),
                Coding::Counted => (3, 0),
                Coding::Rest => (4, 0),
                Coding::CountedOid => (5, 0),
                Coding::RestOid => (6, 0),
            };
            out.push(coding);
            push(out, size.into());
        }
    }
    let modules: HashMap<&str, u64> =
        mib.modules().iter().enumerate().map(|(at, module)| (&**module, at as u64)).collect();
    push(out, mib.objects().len() as u64);
    for object in mib.objects() {
        push_text(out, &object.name);
        push(out, modules.get(&*object.module).copied().unwrap_or(0));
        push(out, object.oid.as_bytes().len() as u64);
        out.extend_from_slice(object.oid.as_bytes());
        out.push(KINDS.iter().position(|kind| *kind == object.kind).unwrap_or(0) as u8);
        push(out, syntaxes.get(&Arc::as_ptr(&object.syntax)).map_or(0, |at| *at as u64));
        push(out, lists.get(&object.indexes.as_ptr()).map_or(0, |at| *at as u64));
        push(out, object.objects.len() as u64);
        for at in &*object.objects {
            push(out, u64::from(*at));
        }
    }
}

fn push_tables(mib: &Mib, out: &mut Vec<u8>) {
    let (names, oids) = mib.tables();
    for table in [names, oids] {
        push(out, table.slots().len() as u64);
        out.extend(table.slots().iter().flat_map(|slot| slot.to_le_bytes()));
    }
}

fn push_about(mib: &Mib, out: &mut Vec<u8>) {
    push(out, mib.all_about().len() as u64);
    for (at, said) in mib.all_about() {
        push(out, u64::from(*at));
        push_text(out, &said.status);
        push_text(out, &said.description);
    }
}

/// The index of these sections, each asked for when it is needed; none if they are not one's.
pub(crate) fn decode(mut section: impl FnMut() -> Option<Vec<u8>>) -> Option<Loaded> {
    let (objects, modules, found) = Input(&section()?).definitions()?;
    let tables = Input(&section()?).tables(objects.len())?;
    let about = Input(&section()?).about()?;
    Some(Loaded { mib: Mib::with_tables(objects, modules, tables).with_about(about), found })
}

/// What is left to read. Everything is checked: a checksum says that it was written so, not that this program wrote it.
struct Input<'i>(&'i [u8]);

impl<'i> Input<'i> {
    fn byte(&mut self) -> Option<u8> {
        let (first, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(*first)
    }

    fn bytes(&mut self, count: usize) -> Option<&'i [u8]> {
        let (taken, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(taken)
    }

    fn number(&mut self) -> Option<usize> {
        let (number, rest) = varint::decode::usize(self.0).ok()?;
        self.0 = rest;
        Some(number)
    }

    /// A number of things that follow, each of an octet at least.
    fn count(&mut self) -> Option<usize> {
        self.number().filter(|count| *count <= self.0.len())
    }

    fn text(&mut self) -> Option<&'i str> {
        let length = self.number()?;
        std::str::from_utf8(self.bytes(length)?).ok()
    }

    fn names(&mut self) -> Option<Vec<(i64, Box<str>)>> {
        let count = self.count()?;
        (0..count)
            .map(|_| {
                let number = i64::from_le_bytes(self.bytes(8)?.try_into().ok()?);
                Some((number, self.text()?.into()))
            })
            .collect()
    }

    fn found(&mut self) -> Option<Diagnostics> {
        let mut found = Diagnostics::default();
        for _ in 0..self.count()? {
            let file = self.text()?.to_owned();
            let (line, column) = (self.number()?, self.number()?);
            let message = self.text()?.to_owned();
            let hint = Some(self.text()?.to_owned()).filter(|hint| !hint.is_empty());
            let place = (line > 0).then_some((line, column));
            // An index with errors is not kept.
            found.push(Diagnostic { severity: Severity::Warning, file, place, message, hint });
        }
        Some(found)
    }

    fn part(&mut self) -> Option<Part> {
        let object = self.number()?.checked_sub(1).and_then(|at| u32::try_from(at).ok());
        let coding = self.byte()?;
        let size = u16::try_from(self.number()?).ok()?;
        let coding = match coding {
            0 => Coding::Integer,
            1 => Coding::Address,
            2 => Coding::Fixed(size),
            3 => Coding::Counted,
            4 => Coding::Rest,
            5 => Coding::CountedOid,
            6 => Coding::RestOid,
            _ => return None,
        };
        Some(Part { object, coding })
    }

    /// A table of places below a number.
    fn table(&mut self, places: usize) -> Option<Table> {
        let count = self.count()?;
        let slots = self.bytes(count.checked_mul(8)?)?.chunks_exact(8);
        let slots =
            slots.map(|slot| slot.try_into().map(u64::from_le_bytes)).collect::<Result<_, _>>().ok()?;
        Table::of_slots(slots, places)
    }

    fn definitions(mut self) -> Option<(Vec<Object>, Vec<Arc<str>>, Diagnostics)> {
        let found = self.found()?;
        let count = self.count()?;
        let modules: Vec<Arc<str>> = (0..count).map(|_| self.text().map(Arc::from)).collect::<Option<_>>()?;
        let count = self.count()?;
        let syntaxes: Vec<Arc<Syntax>> = (0..count)
            .map(|_| {
                let base = *BASES.get(usize::from(self.byte()?))?;
                let (enums, bits) = (self.names()?, self.names()?);
                let (hint, convention) = (self.text()?.into(), self.text()?.into());
                Some(Arc::new(Syntax { base, enums, bits, hint, convention }))
            })
            .collect::<Option<_>>()?;
        let count = self.count()?;
        let lists: Vec<Arc<[Part]>> = (0..count)
            .map(|_| {
                let count = self.count()?;
                (0..count).map(|_| self.part()).collect::<Option<Arc<[Part]>>>()
            })
            .collect::<Option<_>>()?;
        let count = self.count()?;
        let mut objects = Vec::with_capacity(count);
        for _ in 0..count {
            let name = self.text()?.into();
            let module = modules.get(self.number()?)?.clone();
            let length = self.number()?;
            let oid = Oid::from_ber(self.bytes(length)?)?.into_owned();
            let kind = *KINDS.get(usize::from(self.byte()?))?;
            let syntax = syntaxes.get(self.number()?)?.clone();
            let indexes = lists.get(self.number()?)?.clone();
            let carried = self.count()?;
            let carried = (0..carried)
                .map(|_| self.number().filter(|at| *at < count).map(|at| at as u32))
                .collect::<Option<_>>()?;
            objects.push(Object { name, module, oid, kind, syntax, objects: carried, indexes });
        }
        Some((objects, modules, found))
    }

    fn tables(mut self, count: usize) -> Option<(Table, Table)> {
        Some((self.table(count)?, self.table(count)?))
    }

    fn about(mut self) -> Option<Vec<(u32, About)>> {
        let count = self.count()?;
        (0..count)
            .map(|_| {
                let at = u32::try_from(self.number()?).ok()?;
                Some((at, About { status: self.text()?.into(), description: self.text()?.into() }))
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    proptest::proptest! {
        #[test]
        fn any_bytes_are_safe(
            sections in proptest::collection::vec(proptest::collection::vec(proptest::prelude::any::<u8>(), 0..200), 0..4),
        ) {
            let mut sections = sections.into_iter();
            let _ = decode(|| sections.next());
        }
    }
}
