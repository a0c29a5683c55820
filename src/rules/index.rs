//! The index from a message to the few rules that can match it. Its cost hardly depends on the number of rules.

use crate::fast_map::FastMap;
use crate::message::{PostKind, Posted, SyslogLine};
use crate::oid::{Lengths, Oid};
use crate::rules::matching::{Glob, Matcher};
use crate::rules::patterns::Patterns;

/// The index of a rule set. Rules are numbers: their positions in the set.
#[derive(Debug, Default)]
pub struct Index {
    exact: FastMap<Box<[u8]>, Vec<u32>>,
    subtree: FastMap<Box<[u8]>, Vec<u32>>,
    /// Rules for every trap.
    all_traps: Vec<u32>,
    /// The lengths of the OIDs in `subtree`.
    subtree_lengths: Lengths,
    /// Rules with a message pattern.
    patterns: Patterns,
    /// Rules without a message pattern whose program names have no wildcards.
    programs: FastMap<Box<str>, Vec<u32>>,
    /// Rules without these whose types of messages have no wildcards.
    msgids: FastMap<Box<str>, Vec<u32>>,
    /// All other rules for lines: with those for lines of TCP Wrappers (1), for lines about security (2), for both (3), or without these.
    lines: [Vec<u32>; 4],
    /// Rules for check-ins and events, by names without wildcards.
    posted: FastMap<(PostKind, Box<str>), Vec<u32>>,
    /// The same with wildcards.
    all_posted: Vec<(PostKind, u32)>,
}

impl Index {
    /// The index of rules with these matchers, in their order.
    ///
    /// # Errors
    ///
    /// If all message patterns together exceed the size limit.
    pub fn new<'r>(matchers: impl Iterator<Item = &'r Matcher>) -> Result<Self, regex::Error> {
        let mut index = Index {
            exact: FastMap::default(),
            subtree: FastMap::default(),
            all_traps: Vec::new(),
            subtree_lengths: Lengths::default(),
            patterns: Patterns::new(std::iter::empty())?,
            programs: FastMap::default(),
            msgids: FastMap::default(),
            lines: Default::default(),
            posted: FastMap::default(),
            all_posted: Vec::new(),
        };
        let mut patterns = Vec::new();
        let (mut wrappers, mut security, mut all_lines) = (Vec::new(), Vec::new(), Vec::new());
        for (at, matcher) in matchers.enumerate() {
            let at = at as u32;
            match matcher {
                Matcher::Trap(traps) => {
                    for trap in traps {
                        let octets = trap.oid.as_bytes();
                        let rules = match (trap.subtree, octets.len()) {
                            (true, 0) => &mut index.all_traps,
                            (true, length) => {
                                index.subtree_lengths.add(length);
                                index.subtree.entry(octets.into()).or_default()
                            }
                            (false, _) => index.exact.entry(octets.into()).or_default(),
                        };
                        push_once(rules, at);
                    }
                }
                Matcher::Posted(posted) => {
                    for glob in &posted.names {
                        match glob {
                            Glob::Exact(name) => {
                                index.posted.entry((posted.kind, name.as_str().into())).or_default().push(at);
                            }
                            Glob::Pattern(..) => index.all_posted.push((posted.kind, at)),
                        }
                    }
                }
                Matcher::Syslog(line) => {
                    let exact = |globs: Option<&'r Vec<Glob>>| -> Option<Vec<&'r str>> {
                        let name = |glob: &'r Glob| match glob {
                            Glob::Exact(name) => Some(name.as_str()),
                            Glob::Pattern(..) => None,
                        };
                        globs?.iter().map(name).collect()
                    };
                    if let Some(pattern) = &line.message {
                        patterns.push((at, pattern.as_str()));
                    } else if line.tcp_wrappers.is_some() {
                        wrappers.push(at);
                    } else if line.security.is_some() || line.source.is_some() {
                        security.push(at);
                    } else if let Some(names) = exact(line.program.as_ref()) {
                        for name in names {
                            push_once(index.programs.entry(name.into()).or_default(), at);
                        }
                    } else if let Some(types) = exact(line.msgid.as_ref()) {
                        for msgid in types {
                            push_once(index.msgids.entry(msgid.into()).or_default(), at);
                        }
                    } else {
                        all_lines.push(at);
                    }
                }
            }
        }
        index.patterns = Patterns::new(patterns.into_iter())?;
        for (kind, lines) in index.lines.iter_mut().enumerate() {
            merge(lines, &all_lines);
            merge(lines, if kind & OF_WRAPPERS != 0 { &wrappers } else { &[] });
            merge(lines, if kind & OF_SECURITY != 0 { &security } else { &[] });
        }
        Ok(index)
    }

    /// The rules that can match a trap, in their order.
    pub fn for_trap(&self, oid: &Oid<'_>, candidates: &mut Vec<u32>) {
        candidates.clear();
        let mut add = |rules: &[u32]| match rules {
            // Most lists are of one.
            [] => {}
            [rule] => candidates.push(*rule),
            rules => candidates.extend_from_slice(rules),
        };
        if let Some(rules) = self.exact.get(oid.as_bytes()) {
            add(rules);
        }
        for ancestor in oid.ancestors_of(self.subtree_lengths) {
            if let Some(rules) = self.subtree.get(ancestor) {
                add(rules);
            }
        }
        add(&self.all_traps);
        in_order(candidates);
    }

    /// The rules that can match what was posted, in their order.
    pub fn for_posted(&self, posted: &Posted<'_>, candidates: &mut Vec<u32>) {
        candidates.clear();
        let kind = posted.kind();
        candidates.extend(self.posted.get(&(kind, posted.name.into())).into_iter().flatten());
        candidates.extend(self.all_posted.iter().filter(|(of, _)| *of == kind).map(|(_, at)| at));
        in_order(candidates);
    }

    /// The rules that can match a line, in their order.
    pub fn for_line(&self, line: &SyslogLine<'_>, candidates: &mut Vec<u32>) {
        candidates.clear();
        self.patterns.candidates(line.message, candidates);
        in_order(candidates);
        // No rule is in two of these, nor twice in one.
        let wrappers = if line.tcp_wrappers.is_some() { OF_WRAPPERS } else { 0 };
        let security = if line.security.is_some() { OF_SECURITY } else { 0 };
        merge(candidates, &self.lines[wrappers | security]);
        if let Some(rules) = line.program.and_then(|p| self.programs.get(p)) {
            merge(candidates, rules);
        }
        if let Some(rules) = line.msgid.and_then(|msgid| self.msgids.get(msgid)) {
            merge(candidates, rules);
        }
    }
}

/// The bits of a kind of lines.
const OF_WRAPPERS: usize = 1;
const OF_SECURITY: usize = 2;

/// Adds the last one of some rules, if it is not among them.
fn push_once(rules: &mut Vec<u32>, at: u32) {
    if rules.last() != Some(&at) {
        rules.push(at);
    }
}

/// Adds rules that are in order to others that are.
fn merge(candidates: &mut Vec<u32>, rules: &[u32]) {
    let (before, Some(first)) = (candidates.last(), rules.first()) else { return };
    if before.is_none_or(|before| before < first) {
        return candidates.extend_from_slice(rules);
    }
    let (mut left, mut end) = (candidates.len(), rules.len());
    candidates.extend_from_slice(rules);
    // The few that were there go to their places, from the last one on, each behind the rules before it.
    while left > 0 && end > 0 {
        let last = candidates[left - 1];
        let at = rules[..end].partition_point(|rule| *rule < last);
        candidates[left + at..left + end].copy_from_slice(&rules[at..end]);
        (left, end) = (left - 1, at);
        candidates[left + end] = last;
    }
    candidates[left..left + end].copy_from_slice(&rules[..end]);
}

#[inline]
fn in_order(candidates: &mut Vec<u32>) {
    if candidates.len() > 1 {
        candidates.sort_unstable();
        candidates.dedup();
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_is_merged_is_in_order(all in prop::collection::btree_map(0..60_u32, 0..4_usize, 0..40)) {
            let mut candidates = Vec::new();
            for list in 0..4 {
                let rules: Vec<u32> = all.iter().filter(|(_, of)| **of == list).map(|(rule, _)| *rule).collect();
                merge(&mut candidates, &rules);
            }
            prop_assert!(candidates.iter().eq(all.keys()));
        }
    }
}
