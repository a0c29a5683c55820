//! The compact index: names to OIDs, OIDs to names.

use std::collections::HashMap;
use std::sync::Arc;

use crate::mib::table::{Hash, Table};
use crate::oid::Oid;

/// What a name stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A place in the tree without a value.
    Node,
    /// An object: a scalar or a column.
    Object,
    /// NOTIFICATION-TYPE or TRAP-TYPE.
    Notification,
}

/// The base type of an object's values, as far as a value given as text needs it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Base {
    /// INTEGER, Integer32.
    Integer,
    /// OCTET STRING, BITS, and what is not known.
    #[default]
    Octets,
    /// OBJECT IDENTIFIER.
    ObjectId,
    /// IpAddress.
    IpAddress,
    /// Counter32.
    Counter32,
    /// Gauge32, Unsigned32.
    Gauge32,
    /// TimeTicks.
    TimeTicks,
    /// Counter64.
    Counter64,
}

/// How values of an object are written.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct Syntax {
    /// The base type.
    pub base: Base,
    /// Names of numbers, for enumerations.
    pub enums: Vec<(i64, Box<str>)>,
    /// Names of bits, for BITS.
    pub bits: Vec<(i64, Box<str>)>,
    /// DISPLAY-HINT (RFC 2579, section 3.1), or empty.
    pub hint: Box<str>,
    /// The textual convention, such as `InetAddress`, or empty.
    pub convention: Box<str>,
}

impl Syntax {
    /// The name of an enumerated number.
    pub fn name_of(&self, number: i64) -> Option<&str> {
        self.enums.iter().find(|(n, _)| *n == number).map(|(_, name)| name.as_ref())
    }

    /// Whether the hint says that octets are text (255a, 255t), which says no more than the octets do.
    #[inline]
    pub fn is_text(&self) -> bool {
        // Nearly all such hints are a number and one letter, and each value is asked for it.
        match self.hint.as_bytes() {
            [b'2', b'5', b'5', b'a' | b't'] => true,
            [.., b'a' | b't'] => !self.hint.contains('-'),
            _ => false,
        }
    }

    /// Whether octets that are printable ASCII are written as they are.
    pub fn keeps_text(&self) -> bool {
        let hinted = !self.hint.is_empty() && !self.is_text();
        self.bits.is_empty() && !hinted && &*self.convention != "InetAddress"
    }

    /// The number of an enumerated name.
    pub fn number_of(&self, name: &str) -> Option<i64> {
        self.enums.iter().find(|(_, n)| n.as_ref() == name).map(|(number, _)| *number)
    }
}

/// One definition of a module.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Object {
    /// The descriptor, such as `ifDescr`.
    pub name: Box<str>,
    /// The module that defines it.
    pub module: Arc<str>,
    /// Its OID, without instance.
    pub oid: Oid<'static>,
    /// What it is.
    pub kind: Kind,
    /// How its values are written; many share one.
    pub syntax: Arc<Syntax>,
    /// The objects of a notification, by their places in the index.
    pub objects: Box<[u32]>,
    /// What the instances of a column consist of.
    pub indexes: Arc<[Part]>,
}

/// What a module says of a notification for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct About {
    /// STATUS, such as `current`.
    pub status: Box<str>,
    /// DESCRIPTION.
    pub description: Box<str>,
}

/// One index of a row: a part of the instances of its columns.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Part {
    /// The object that it is a value of, by its place in the index; none where the module names only a type.
    pub object: Option<u32>,
    /// How it stands in an OID.
    pub coding: Coding,
}

/// How the value of an index stands in an OID (RFC 2578, section 7.7).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Coding {
    /// One arc.
    Integer,
    /// Four arcs.
    Address,
    /// So many arcs, an octet each.
    Fixed(u16),
    /// A number of octets, then an arc each.
    Counted,
    /// An arc for each octet up to the end (IMPLIED).
    Rest,
    /// A number of arcs, then they.
    CountedOid,
    /// The arcs up to the end (IMPLIED).
    RestOid,
}

impl Object {
    /// `MODULE::name`
    pub fn qualified(&self) -> String {
        format!("{}::{}", self.module, self.name)
    }
}

/// All definitions of the loaded modules.
#[derive(Debug, Default)]
pub struct Mib {
    /// Sorted by OID.
    objects: Vec<Object>,
    /// All objects by name.
    names: Table,
    /// The last object of each OID.
    oids: Table,
    /// How many octets the longest OID has.
    longest: usize,
    modules: Vec<Arc<str>>,
    /// Of notifications, by their places.
    about: Vec<(u32, About)>,
}

/// What names stand for before they are places: for a qualified name, the qualified names of a notification's
/// objects, and those of a row's indexes.
#[derive(Debug, Default)]
pub struct Links {
    /// Of notifications.
    pub objects: HashMap<String, Vec<String>>,
    /// Of columns.
    pub indexes: HashMap<String, Vec<(Option<String>, Coding)>>,
    /// What is said of notifications.
    pub about: HashMap<String, About>,
}

impl Mib {
    /// The index of these definitions.
    pub fn new(mut objects: Vec<Object>, links: &Links, mut modules: Vec<Arc<str>>) -> Self {
        // Stable: of the definitions of one OID the last one names it.
        objects.sort_by(|a, b| a.oid.cmp(&b.oid));
        let by_qualified: HashMap<String, u32> =
            objects.iter().enumerate().map(|(at, object)| (object.qualified(), at as u32)).collect();
        // The columns of a row share one list.
        let mut lists: HashMap<Vec<Part>, Arc<[Part]>> = HashMap::new();
        let mut about = Vec::new();
        for (at, object) in objects.iter_mut().enumerate() {
            let qualified = object.qualified();
            about.extend(links.about.get(&qualified).map(|said| (at as u32, said.clone())));
            if let Some(names) = links.objects.get(&qualified) {
                object.objects = names.iter().filter_map(|n| by_qualified.get(n).copied()).collect();
            }
            if let Some(indexes) = links.indexes.get(&qualified) {
                let place = |name: &Option<String>| by_qualified.get(name.as_ref()?).copied();
                let parts: Vec<Part> = indexes
                    .iter()
                    .map(|(name, coding)| Part { object: place(name), coding: *coding })
                    .collect();
                object.indexes = lists.entry(parts.clone()).or_insert_with(|| Arc::from(parts)).clone();
            }
        }
        modules.sort();
        Self::sorted(objects, modules).with_about(about)
    }

    /// The index of definitions that are in the order of their OIDs, with their places right.
    fn sorted(objects: Vec<Object>, modules: Vec<Arc<str>>) -> Self {
        let (mut names, mut oids) = (Table::with_room(objects.len()), Table::with_room(objects.len()));
        for (at, object) in objects.iter().enumerate() {
            names.insert(Hash::of(object.name.as_bytes()), at as u32);
            // The last of those that have it.
            if objects.get(at + 1).is_none_or(|next| next.oid != object.oid) {
                oids.insert(Hash::of(object.oid.as_bytes()), at as u32);
            }
        }
        Self::with_tables(objects, modules, (names, oids))
    }

    /// The places of names, and those of OIDs.
    pub(crate) fn tables(&self) -> (&Table, &Table) {
        (&self.names, &self.oids)
    }

    /// The index with its tables, whose places are within.
    pub(crate) fn with_tables(
        objects: Vec<Object>,
        modules: Vec<Arc<str>>,
        (names, oids): (Table, Table),
    ) -> Self {
        let longest = objects.iter().map(|object| object.oid.as_bytes().len()).max().unwrap_or(0);
        Mib { objects, names, oids, longest, modules, about: Vec::new() }
    }

    /// The same with what is said of notifications.
    pub(crate) fn with_about(self, about: Vec<(u32, About)>) -> Self {
        Mib { about, ..self }
    }

    /// Frees what is said of notifications: a daemon with all modules of a large collection does without these megabytes.
    pub fn forget_texts(&mut self) {
        self.about = Vec::new();
    }

    /// What is said of notifications, by their places.
    pub(crate) fn all_about(&self) -> &[(u32, About)] {
        &self.about
    }

    /// The definition whose OID is the longest prefix of this one.
    pub fn lookup(&self, oid: &Oid<'_>) -> Option<&Object> {
        let octets = oid.as_bytes();
        let mut prefix = &octets[..octets.len().min(self.longest)];
        let mut hash = Hash::of(prefix);
        while let Some((last, shorter)) = prefix.split_last() {
            // An arc ends here.
            if last & 0x80 == 0 {
                let is_it = |at: &usize| self.objects[*at].oid.as_bytes() == prefix;
                if let Some(at) = self.oids.find(hash).find(is_it) {
                    return Some(&self.objects[at]);
                }
            }
            hash = hash.without(*last);
            prefix = shorter;
        }
        None
    }

    /// The definitions that have this name: `name` or `MODULE::name`.
    pub fn find<'m>(&'m self, name: &str) -> impl Iterator<Item = &'m Object> {
        let (module, name) =
            name.split_once("::").map_or((None, name), |(module, name)| (Some(module), name));
        // In the order of their places, as they were put in.
        self.names
            .find(Hash::of(name.as_bytes()))
            .map(|at| &self.objects[at])
            .filter(move |object| *object.name == *name)
            .filter(move |object| module.is_none_or(|module| *module == *object.module))
    }

    /// What a name may stand for where modules disagree: those with other OIDs than the first, told apart by their
    /// modules. Empty where there is no doubt.
    pub fn ambiguous(&self, name: &str, meant: impl Fn(&Object) -> bool) -> Vec<String> {
        let all: Vec<&Object> = self.find(name).filter(|object| meant(object)).collect();
        if all.iter().all(|object| object.oid == all[0].oid) {
            return Vec::new();
        }
        all.iter().map(|object| format!("{} ({})", object.qualified(), object.oid)).collect()
    }

    /// The objects that a notification carries by its definition.
    pub fn objects_of(&self, notification: &Object) -> impl Iterator<Item = &Object> {
        notification.objects.iter().map(|at| &self.objects[*at as usize])
    }

    /// What its module says of a notification; none of anything else.
    pub fn about(&self, notification: &Object) -> Option<&About> {
        let place = self.place(notification)? as u32;
        let at = self.about.binary_search_by_key(&place, |(at, _)| *at).ok()?;
        Some(&self.about[at].1)
    }

    /// The place of one of its definitions.
    pub fn place(&self, object: &Object) -> Option<usize> {
        let at = self.objects.partition_point(|o| o.oid < object.oid);
        self.objects[at..].iter().position(|o| std::ptr::eq(o, object)).map(|after| at + after)
    }

    /// All definitions, in the order of their OIDs.
    pub fn objects(&self) -> &[Object] {
        &self.objects
    }

    /// The names of the loaded modules.
    pub fn modules(&self) -> &[Arc<str>] {
        &self.modules
    }

    /// The OID of `name`, `MODULE::name`, either with an instance behind it (`ifDescr.3`), or of numbers.
    pub fn resolve(&self, text: &str) -> Option<Oid<'static>> {
        if let Ok(oid) = text.parse() {
            return Some(oid);
        }
        let (name, instance) = text.split_once('.').map_or((text, None), |(n, i)| (n, Some(i)));
        let mut oid = self.find(name).next()?.oid.clone();
        for arc in instance.into_iter().flat_map(|i| i.split('.')) {
            oid = oid.child(arc.parse().ok()?);
        }
        Some(oid)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn shipped() -> Arc<Mib> {
        crate::mib::load::shipped_once()
    }

    proptest! {
        #[test]
        fn look_ups_are_those_of_a_search_of_all(
            at in any::<prop::sample::Index>(),
            less in 0..4usize,
            more in prop::collection::vec(prop_oneof![0..20u32, any::<u32>()], 0..4),
        ) {
            let mib = shipped();
            let object = at.get(mib.objects());
            let arcs: Vec<u32> = object.oid.arcs().collect();
            let arcs: Vec<u32> = arcs[..arcs.len() - less.min(arcs.len() - 2)].iter().copied().chain(more).collect();
            let oid = Oid::from_arcs(&arcs).unwrap();
            let above = mib.objects().iter().filter(|o| oid.starts_with(&o.oid));
            let longest = above.max_by_key(|o| o.oid.as_bytes().len());
            prop_assert_eq!(mib.lookup(&oid).map(|o| &o.oid), longest.map(|o| &o.oid));
            let same = mib.objects().iter().filter(|o| o.name == object.name);
            prop_assert_eq!(mib.find(&object.name).count(), same.count());
            prop_assert!(mib.find(&object.qualified()).any(|found| std::ptr::eq(found, object)));
        }
    }

    #[test]
    fn what_nobody_has() {
        assert!(shipped().lookup(&"2.5.4".parse().unwrap()).is_none());
        assert_eq!(shipped().find("ifDesc").count(), 0);
        assert_eq!(Mib::default().lookup(&"1.3".parse().unwrap()), None);
    }
}
