//! What tells one instance of a service from another.

use crate::import::mib::words::split;
use crate::mib::{Base, Mib, Object};

/// What tells the services of a group apart.
#[derive(Debug, Clone, PartialEq)]
pub enum Identity<'m> {
    /// All indexes that all notifications of the group carry in the instances of their objects.
    Indexes(Vec<&'m Object>),
    /// The objects of all notifications of the group that name a thing.
    Names(Vec<&'m Object>),
    /// The notifications carry objects, but none that names a thing.
    Missing,
    /// A notification carries no objects: the thing is the whole host.
    Host,
}

/// The most names in a service; more make it longer, not more exact.
const MOST_NAMES: usize = 3;

/// Words at the end of the name of an object that names a thing, the best first.
const NAMING: [&str; 29] = [
    "name",
    "fqdd",
    "descr",
    "id",
    "ident",
    "identifier",
    "index",
    "idx",
    "address",
    "addr",
    "gateway",
    "ip",
    "mac",
    "number",
    "num",
    "slot",
    "port",
    "unit",
    "label",
    "peer",
    "neighbor",
    "interface",
    "device",
    "node",
    "location",
    "key",
    "serial",
    "object",
    "bay",
];

/// Words in the name of an object that names no thing.
const NOT_NAMING: [&str; 39] = [
    "time",
    "date",
    "stamp",
    "timestamp",
    "severity",
    "status",
    "state",
    "message",
    "msg",
    "text",
    "reason",
    "cause",
    "count",
    "counter",
    "value",
    "threshold",
    "usage",
    "percent",
    "level",
    "version",
    "sequence",
    "seq",
    "seqnum",
    "action",
    "result",
    "uptime",
    "code",
    "comment",
    "url",
    "description",
    "prev",
    "previous",
    "old",
    "last",
    "error",
    "errors",
    "log",
    "event",
    "notification",
];

/// The identity of notifications that share a service.
pub fn identity<'m>(mib: &'m Mib, carried: &[Vec<&'m Object>]) -> Identity<'m> {
    let Some(first) = carried.first() else { return Identity::Host };
    let has = |objects: &[&Object], wanted: &Object| objects.iter().any(|o| o.oid == wanted.oid);
    let of_each: Vec<Vec<&Object>> = carried.iter().map(|objects| indexes(mib, objects)).collect();
    let shared: Vec<&Object> =
        of_each[0].iter().copied().filter(|index| of_each.iter().all(|other| has(other, index))).collect();
    if !shared.is_empty() {
        return Identity::Indexes(shared);
    }
    let common: Vec<&Object> =
        first.iter().copied().filter(|object| carried.iter().all(|other| has(other, object))).collect();
    let names = names(&common);
    if !names.is_empty() {
        return Identity::Names(names);
    }
    if carried.iter().any(Vec::is_empty) { Identity::Host } else { Identity::Missing }
}

/// The index objects of the rows of these columns, each once.
fn indexes<'m>(mib: &'m Mib, columns: &[&'m Object]) -> Vec<&'m Object> {
    let mut found: Vec<&Object> = Vec::new();
    for column in columns {
        for part in &*column.indexes {
            let object = part.object.and_then(|at| mib.objects().get(at as usize));
            if let Some(object) = object.filter(|object| !found.iter().any(|other| other.oid == object.oid)) {
                found.push(object);
            }
        }
    }
    found
}

fn names<'m>(objects: &[&'m Object]) -> Vec<&'m Object> {
    let mut ranked: Vec<(usize, usize)> =
        objects.iter().enumerate().filter_map(|(at, object)| Some((rank(object)?, at))).collect();
    ranked.sort_unstable();
    // A serial number is the device's in most notifications: only where nothing else names the thing.
    let serial = NAMING.iter().position(|naming| *naming == "serial").unwrap_or(NAMING.len());
    if ranked.iter().any(|(rank, _)| *rank != serial) {
        ranked.retain(|(rank, _)| *rank != serial);
    }
    // In the order in which the notification carries them.
    let mut best: Vec<usize> = ranked.iter().take(MOST_NAMES).map(|(_, at)| *at).collect();
    best.sort_unstable();
    best.into_iter().map(|at| objects[at]).collect()
}

/// How well an object names a thing, 0 for the best; none if it does not.
fn rank(object: &Object) -> Option<usize> {
    let words: Vec<String> = split(&object.name).iter().map(|word| word.to_lowercase()).collect();
    let is_of_system = words.first().is_some_and(|word| word == "sys" || word == "snmp");
    let names_nothing = words.iter().any(|word| NOT_NAMING.contains(&word.as_str()));
    let changes =
        matches!(object.syntax.base, Base::TimeTicks | Base::Counter32 | Base::Counter64 | Base::ObjectId);
    if is_of_system
        || names_nothing
        || changes
        || !object.syntax.enums.is_empty()
        || !object.syntax.bits.is_empty()
    {
        return None;
    }
    // `devMac1`, `ifNamePort`: the last word that is no number.
    let last = words.iter().rev().find(|word| !word.chars().all(|c| c.is_ascii_digit()))?;
    let naming = NAMING.iter().position(|naming| last == naming || last.strip_suffix('s') == Some(naming));
    let addresses = ["InetAddress", "MacAddress", "PhysAddress", "IpAddress"];
    let is_address = object.syntax.base == Base::IpAddress || addresses.contains(&&*object.syntax.convention);
    naming.or(is_address.then_some(NAMING.len()))
}
