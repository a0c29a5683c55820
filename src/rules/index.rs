//! From a message to the few rules that may take it, so that the number of rules does not matter.

use std::collections::HashMap;

use crate::message::SyslogLine;
use crate::oid::Oid;
use crate::rules::matching::{Glob, Matcher};
use crate::rules::patterns::Patterns;

/// The index of a rule set. Rules are known by their places in it.
#[derive(Debug, Default)]
pub struct Index {
    exact: HashMap<Box<[u8]>, Vec<u32>>,
    subtree: HashMap<Box<[u8]>, Vec<u32>>,
    /// Rules that take every trap.
    all_traps: Vec<u32>,
    /// Lengths of the OIDs in `subtree`, by bit; 63 stands for all from there on.
    subtree_lengths: u64,
    /// Rules whose message pattern must match.
    patterns: Patterns,
    /// Rules without a pattern that name their programs.
    programs: HashMap<Box<str>, Vec<u32>>,
    /// Rules without a pattern that need a line of TCP Wrappers.
    wrappers: Vec<u32>,
    /// Rules for lines without any of these.
    all_lines: Vec<u32>,
}

impl Index {
    /// The index of rules with these matchers, in order.
    ///
    /// # Errors
    ///
    /// If all message patterns together are too large.
    pub fn new<'r>(matchers: impl Iterator<Item = &'r Matcher>) -> Result<Self, regex::Error> {
        let mut index = Index {
            exact: HashMap::new(),
            subtree: HashMap::new(),
            all_traps: Vec::new(),
            subtree_lengths: 0,
            patterns: Patterns::new(std::iter::empty())?,
            programs: HashMap::new(),
            wrappers: Vec::new(),
            all_lines: Vec::new(),
        };
        let mut patterns = Vec::new();
        for (at, matcher) in matchers.enumerate() {
            let at = at as u32;
            match matcher {
                Matcher::Trap(traps) => {
                    for trap in traps {
                        let octets = trap.oid.as_bytes();
                        let rules = match (trap.subtree, octets.len()) {
                            (true, 0) => &mut index.all_traps,
                            (true, length) => {
                                index.subtree_lengths |= 1 << length.min(63);
                                index.subtree.entry(octets.into()).or_default()
                            }
                            (false, _) => index.exact.entry(octets.into()).or_default(),
                        };
                        if rules.last() != Some(&at) {
                            rules.push(at);
                        }
                    }
                }
                Matcher::Syslog(line) => {
                    let exact: Option<Vec<&str>> = line.program.as_ref().and_then(|globs| {
                        globs
                            .iter()
                            .map(|g| if let Glob::Exact(name) = g { Some(name.as_str()) } else { None })
                            .collect()
                    });
                    if let Some(pattern) = &line.message {
                        patterns.push((at, pattern.as_str()));
                    } else if line.tcp_wrappers.is_some() {
                        index.wrappers.push(at);
                    } else if let Some(names) = exact {
                        for name in names {
                            index.programs.entry(name.into()).or_default().push(at);
                        }
                    } else {
                        index.all_lines.push(at);
                    }
                }
            }
        }
        index.patterns = Patterns::new(patterns.into_iter())?;
        Ok(index)
    }

    /// The rules that may take a trap, in order.
    pub fn for_trap(&self, oid: &Oid<'_>, candidates: &mut Vec<u32>) {
        candidates.clear();
        candidates.extend(self.exact.get(oid.as_bytes()).into_iter().flatten());
        if self.subtree_lengths != 0 {
            for ancestor in oid.lineage() {
                let octets = ancestor.as_bytes();
                if self.subtree_lengths & (1 << octets.len().min(63)) != 0 {
                    candidates.extend(self.subtree.get(octets).into_iter().flatten());
                }
            }
        }
        candidates.extend(&self.all_traps);
        in_order(candidates);
    }

    /// The rules that may take a line, in order.
    pub fn for_line(&self, line: &SyslogLine<'_>, candidates: &mut Vec<u32>) {
        candidates.clear();
        self.patterns.candidates(line.message, candidates);
        if line.tcp_wrappers.is_some() {
            candidates.extend(&self.wrappers);
        }
        if let Some(rules) = line.program.and_then(|p| self.programs.get(p)) {
            candidates.extend(rules);
        }
        candidates.extend(&self.all_lines);
        in_order(candidates);
    }
}

fn in_order(candidates: &mut Vec<u32>) {
    if candidates.len() > 1 {
        candidates.sort_unstable();
        candidates.dedup();
    }
}
