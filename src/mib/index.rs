//! The compact index: names to OIDs, OIDs to names.

use std::collections::HashMap;

use crate::snmp::Oid;

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
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
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
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Syntax {
    /// The base type.
    pub base: Base,
    /// Names of numbers, for enumerations.
    pub enums: Vec<(i64, Box<str>)>,
    /// Names of bits, for BITS.
    pub bits: Vec<(i64, Box<str>)>,
    /// DISPLAY-HINT (RFC 2579, section 3.1), or empty.
    pub hint: Box<str>,
}

impl Syntax {
    /// The name of an enumerated number.
    pub fn name_of(&self, number: i64) -> Option<&str> {
        self.enums.iter().find(|(n, _)| *n == number).map(|(_, name)| name.as_ref())
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
    pub module: Box<str>,
    /// Its OID, without instance.
    pub oid: Oid<'static>,
    /// What it is.
    pub kind: Kind,
    /// How its values are written.
    pub syntax: Syntax,
    /// The objects of a notification, by their places in the index.
    pub objects: Vec<u32>,
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
    /// Sorted by OID, so that the longest prefix of any OID is found by one search and a walk up.
    objects: Vec<Object>,
    /// For each object the nearest one above it in the tree.
    parents: Vec<Option<u32>>,
    by_name: HashMap<Box<str>, Vec<u32>>,
    modules: Vec<Box<str>>,
}

impl Mib {
    /// The index of these definitions. `notifications` gives for a notification's qualified name the qualified
    /// names of its objects.
    pub fn new(
        mut objects: Vec<Object>,
        notifications: &HashMap<String, Vec<String>>,
        mut modules: Vec<Box<str>>,
    ) -> Self {
        objects.sort_by(|a, b| a.oid.cmp(&b.oid).then_with(|| a.module.cmp(&b.module)));
        let mut by_name: HashMap<Box<str>, Vec<u32>> = HashMap::new();
        let mut by_qualified: HashMap<String, u32> = HashMap::new();
        for (at, object) in objects.iter().enumerate() {
            by_name.entry(object.name.clone()).or_default().push(at as u32);
            by_qualified.insert(object.qualified(), at as u32);
        }
        for object in &mut objects {
            if let Some(names) = notifications.get(&object.qualified()) {
                object.objects = names.iter().filter_map(|n| by_qualified.get(n).copied()).collect();
            }
        }
        let mut parents = Vec::with_capacity(objects.len());
        let mut above: Vec<u32> = Vec::new();
        for (at, object) in objects.iter().enumerate() {
            while above.last().is_some_and(|top| !object.oid.starts_with(&objects[*top as usize].oid)) {
                above.pop();
            }
            parents.push(above.last().copied());
            above.push(at as u32);
        }
        modules.sort();
        Mib { objects, parents, by_name, modules }
    }

    /// The definition whose OID is the longest prefix of this one.
    pub fn lookup(&self, oid: &Oid<'_>) -> Option<&Object> {
        let after = self.objects.partition_point(|o| o.oid <= *oid);
        let mut at = after.checked_sub(1);
        while let Some(place) = at {
            let object = &self.objects[place];
            if oid.starts_with(&object.oid) {
                return Some(object);
            }
            at = self.parents[place].map(|p| p as usize);
        }
        None
    }

    /// The definitions that have this name: `name` or `MODULE::name`.
    pub fn find<'m>(&'m self, name: &str) -> impl Iterator<Item = &'m Object> {
        let (module, name) = match name.split_once("::") {
            Some((module, name)) => (Some(module.to_owned()), name),
            None => (None, name),
        };
        self.by_name
            .get(name)
            .into_iter()
            .flatten()
            .map(|at| &self.objects[*at as usize])
            .filter(move |o| module.as_deref().is_none_or(|m| *m == *o.module))
    }

    /// The objects that a notification carries by its definition.
    pub fn objects_of(&self, notification: &Object) -> impl Iterator<Item = &Object> {
        notification.objects.iter().map(|at| &self.objects[*at as usize])
    }

    /// All definitions, in the order of their OIDs.
    pub fn objects(&self) -> &[Object] {
        &self.objects
    }

    /// The names of the loaded modules.
    pub fn modules(&self) -> &[Box<str>] {
        &self.modules
    }

    /// An OID as text, with the longest name there is: `IF-MIB::ifDescr.3`; all numbers where there is none.
    pub fn name_of(&self, oid: &Oid<'_>) -> String {
        let Some(object) = self.lookup(oid) else { return oid.to_string() };
        let mut text = object.qualified();
        for arc in oid.suffix(&object.oid).into_iter().flatten() {
            text.push('.');
            text.push_str(&arc.to_string());
        }
        text
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
