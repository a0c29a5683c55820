//! The order of the rules: they match the traps that snmptt's look-up gives to their EVENTs.

use crate::import::snmptt::parse::{Event, trap};
use crate::oid::Oid;

/// An EVENT with its condition.
#[derive(Debug, Clone)]
pub struct Entry {
    /// The file that contains it.
    pub file: String,
    /// The EVENT.
    pub event: Event,
    /// Its OID as numbers, with its leading dot and its wildcard.
    pub oid: String,
    /// The condition for a match; none if it always matches.
    pub condition: Option<String>,
}

/// A position in the order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// The rules of an entry.
    Entry {
        /// The index of the entry.
        at: usize,
        /// Whether later entries can match the same trap.
        more: bool,
        /// Prefixes of OIDs that it must not match: a longer wildcard has precedence even if none of its entries
        /// matches. Each ends with a dot.
        except: Vec<String>,
        /// The OID of a trap that certainly reaches it, if there is one.
        test: Option<String>,
    },
    /// The end of the entries of one OID: no wildcard matches a trap that one of them has matched.
    Stop {
        /// The OID.
        oid: String,
        /// The conditions; one of them held.
        conditions: Vec<String>,
    },
    /// The index of an entry that no trap reaches.
    Unreached(usize),
}

/// The order of some entries. With `all`, every entry of an OID can match a trap, otherwise only the first.
pub fn order(entries: &[Entry], all: bool) -> Vec<Place> {
    let mut groups: Vec<(&str, Vec<usize>)> = Vec::new();
    for (at, entry) in entries.iter().enumerate() {
        match groups.iter_mut().find(|(oid, _)| *oid == entry.oid) {
            Some((_, group)) => group.push(at),
            None => groups.push((&entry.oid, vec![at])),
        }
    }
    let prefix = |oid: &str| oid.strip_suffix('*').map(str::to_owned);
    let (mut wildcards, exact): (Vec<_>, Vec<_>) =
        groups.into_iter().partition(|(oid, _)| oid.ends_with('*'));
    wildcards.sort_by_key(|(oid, _)| std::cmp::Reverse(oid.matches('.').count()));
    let prefixes: Vec<String> = wildcards.iter().filter_map(|(oid, _)| prefix(oid)).collect();
    let always = |group: &[usize]| group.iter().position(|at| entries[*at].condition.is_none());
    let whole: Vec<&str> = exact.iter().map(|(oid, _)| *oid).collect();
    let mut places = Vec::new();
    for (oid, group) in exact {
        let covered = prefixes.iter().any(|prefix| oid.starts_with(prefix.as_str()));
        places.extend(of_group(entries, &group, all, &[], Some(trap(oid))));
        let (last, before) = group.split_last().map_or((0, &[][..]), |(last, before)| (*last, before));
        let taken_before = all && !before.is_empty() && entries[last].condition.is_some();
        if covered && taken_before {
            let conditions: Option<Vec<String>> =
                before.iter().map(|at| entries[*at].condition.clone()).collect();
            // An entry without a condition has always matched.
            places.push(Place::Stop { oid: oid.to_owned(), conditions: conditions.unwrap_or_default() });
        }
    }
    let mut closed: Vec<String> = Vec::new();
    for (oid, group) in wildcards {
        let prefix = prefix(oid).unwrap_or_default();
        let except: Vec<String> = closed
            .iter()
            .filter(|longer| longer.starts_with(&prefix))
            .map(|longer| longer.trim_start_matches('.').to_owned())
            .collect();
        let sample = sample(&prefix, &prefixes, &whole);
        places.extend(of_group(entries, &group, all, &except, sample.as_deref()));
        let ends = if all {
            group.last().is_some_and(|at| entries[*at].condition.is_none())
        } else {
            always(&group).is_some()
        };
        if !ends {
            closed.push(prefix);
        }
    }
    places
}

/// An OID below a wildcard, but below no longer wildcard, and without an entry of its own.
fn sample(prefix: &str, prefixes: &[String], whole: &[&str]) -> Option<String> {
    let below = if prefix == "." {
        ["2.999.1", "1.3.4294967295", "1.2.1"]
    } else {
        ["4294967295", "3.4294967295", "2.1"]
    };
    let all = below.map(|rest| format!("{prefix}{rest}"));
    let free = |oid: &String| {
        let longer = |other: &&String| other.len() > prefix.len() && oid.starts_with(other.as_str());
        let is_oid = trap(oid).parse::<Oid>().is_ok();
        is_oid && prefixes.iter().find(longer).is_none() && !whole.contains(&oid.as_str())
    };
    all.into_iter().find(free).map(|oid| trap(&oid).to_owned())
}

fn of_group(
    entries: &[Entry],
    group: &[usize],
    all: bool,
    except: &[String],
    sample: Option<&str>,
) -> Vec<Place> {
    let mut taken = false;
    let mut places = Vec::new();
    for (count, at) in group.iter().enumerate() {
        if taken && !all {
            places.push(Place::Unreached(*at));
            continue;
        }
        let unconditional = entries[*at].condition.is_none();
        taken |= unconditional;
        places.push(Place::Entry {
            at: *at,
            more: all && count + 1 < group.len(),
            except: except.to_vec(),
            // Earlier entries can match the trap too, but they continue.
            test: sample
                .filter(|_| unconditional && except.is_empty() && (all || count == 0))
                .map(str::to_owned),
        });
    }
    places
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The entries that snmptt's look-up gives a trap to if these conditions hold.
    fn looked_up<'e>(entries: &'e [Entry], all: bool, oid: &str, held: &[String]) -> Vec<&'e str> {
        let of = |key: &str| {
            let mut taken: Vec<&str> = Vec::new();
            for entry in entries.iter().filter(|entry| entry.oid == key) {
                let holds = entry.condition.as_ref().is_none_or(|condition| held.contains(condition));
                if holds && (all || taken.is_empty()) {
                    taken.push(&entry.event.name);
                }
            }
            taken
        };
        let taken = of(oid);
        if !taken.is_empty() {
            return taken;
        }
        let mut rest = oid;
        while let Some((shorter, _)) = rest.rsplit_once('.') {
            rest = shorter;
            let key = format!("{rest}.*");
            if entries.iter().any(|entry| entry.oid == key) {
                return of(&key);
            }
        }
        Vec::new()
    }

    /// The entries whose rules match.
    fn ordered<'e>(entries: &'e [Entry], all: bool, oid: &str, held: &[String]) -> Vec<&'e str> {
        let takes = |pattern: &str| match pattern.strip_suffix('*') {
            Some(prefix) => oid.starts_with(prefix) && oid.len() > prefix.len(),
            None => oid == pattern,
        };
        let mut taken = Vec::new();
        for place in order(entries, all) {
            match place {
                Place::Entry { at, more, except, .. } => {
                    let entry = &entries[at];
                    let holds = entry.condition.as_ref().is_none_or(|condition| held.contains(condition));
                    let excepted = except.iter().any(|prefix| oid[1..].starts_with(prefix.as_str()));
                    if takes(&entry.oid) && holds && !excepted {
                        taken.push(&*entry.event.name);
                        if !more {
                            return taken;
                        }
                    }
                }
                Place::Stop { oid: stop, conditions } => {
                    if takes(&stop) && (conditions.is_empty() || conditions.iter().any(|c| held.contains(c)))
                    {
                        return taken;
                    }
                }
                Place::Unreached(_) => {}
            }
        }
        taken
    }

    proptest::proptest! {
        #[test]
        fn rules_take_what_the_look_up_gives(
            oids in proptest::collection::vec((0..6usize, 0..4usize), 1..7),
            all in proptest::bool::ANY,
            held in proptest::collection::vec(0..3usize, 0..3),
        ) {
            let keys = [".1.3.1", ".1.3.2", ".1.3.*", ".1.*", ".*", ".1.3.1.*"];
            let conditions = [None, Some("a"), Some("b"), Some("c")];
            let entries: Vec<Entry> = oids
                .iter()
                .enumerate()
                .map(|(at, (key, condition))| Entry {
                    file: String::new(),
                    event: Event { name: format!("e{at}"), ..Event::default() },
                    oid: keys[*key].to_owned(),
                    condition: conditions[*condition].map(str::to_owned),
                })
                .collect();
            let held: Vec<String> = held.iter().map(|at| conditions[at + 1].unwrap().to_owned()).collect();
            for oid in [".1.3.1", ".1.3.2", ".1.3.9", ".1.3.1.5", ".1.9.9", ".2.5"] {
                proptest::prop_assert_eq!(
                    looked_up(&entries, all, oid, &held),
                    ordered(&entries, all, oid, &held),
                    "{} {:?}", oid, &entries
                );
            }
        }
    }
}
