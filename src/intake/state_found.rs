//! What the files of the state of rules have, put together. Pure.

use std::collections::{HashMap, VecDeque};

use crate::correlate::record::Entry;
use crate::correlate::{HEAD, Secret};

/// What the files have, one after the other.
#[derive(Debug, Default)]
pub(super) struct Found {
    pub(super) secret: Option<Secret>,
    pub(super) engine: i64,
    pub(super) safe: u64,
    /// A number that what was journaled after the last decision is not below.
    pub(super) last: u64,
    /// Behind room for their head.
    pub(super) images: Vec<u8>,
    /// Outcomes that may not be in the journal, in order.
    pub(super) pending: Vec<Pending>,
    pub(super) damaged: u64,
    pub(super) informs: VecDeque<(i64, u64)>,
    pub(super) ahead: Option<i64>,
    /// What was found before the file that is read.
    before: Before,
    /// Whether that file has all state.
    is_whole: bool,
}

/// How much of what was found is of older files.
#[derive(Debug, Default, Clone, Copy)]
struct Before {
    secret: Option<Secret>,
    engine: i64,
    safe: u64,
    last: u64,
    images: usize,
    pending: usize,
    informs: usize,
    ahead: Option<i64>,
}

/// Outcomes of a decision that may not be in the journal.
#[derive(Debug)]
pub(super) struct Pending {
    /// The engine time of the decision.
    pub(super) engine: i64,
    /// A sequence number that they are not below.
    pub(super) lower: u64,
    pub(super) outcomes: Vec<Box<[u8]>>,
}

impl Found {
    /// Nothing.
    pub(super) fn new() -> Self {
        Found { engine: i64::MIN, images: vec![0; HEAD], ..Found::default() }
    }

    /// A file begins.
    pub(super) fn begin(&mut self) {
        self.before = Before {
            secret: self.secret,
            engine: self.engine,
            safe: self.safe,
            last: self.last,
            images: self.images.len(),
            pending: self.pending.len(),
            informs: self.informs.len(),
            ahead: self.ahead,
        };
        self.is_whole = false;
    }

    /// The file has an entry.
    pub(super) fn add(&mut self, entry: Entry<'_>) {
        match entry {
            Entry::Head(secret) => self.secret = Some(secret),
            Entry::All => {
                self.is_whole = true;
                drop(self.images.drain(HEAD..self.before.images.max(HEAD)));
                self.replace();
            }
            Entry::Clocks(ahead) => self.ahead = Some(ahead),
            Entry::Change(change) => {
                self.engine = self.engine.max(change.engine);
                self.safe = self.safe.max(change.safe);
                self.last = self.last.max(change.lower);
                self.images.extend_from_slice(change.images);
                self.informs.extend(change.informs.iter().map(|inform| (change.engine, *inform)));
                if !change.outcomes.is_empty() {
                    let outcomes = change.outcomes.iter().map(|outcome| (*outcome).into()).collect();
                    self.pending.push(Pending { engine: change.engine, lower: change.lower, outcomes });
                }
            }
        }
    }

    /// Outcomes that a file has taken over from older ones are the same: the newer one knows what of them the journal had.
    fn replace(&mut self) {
        let newer = self.pending.split_off(self.before.pending);
        // What fires at one time can be several decisions.
        let mut by_engine: HashMap<i64, Vec<&Pending>> = HashMap::new();
        for one in &newer {
            by_engine.entry(one.engine).or_default().push(one);
        }
        let is_same = |old: &Pending| {
            let mut newer = by_engine.get(&old.engine).into_iter().flatten();
            newer.any(|newer| newer.outcomes.iter().all(|outcome| old.outcomes.contains(outcome)))
        };
        self.pending.retain(|old| !is_same(old));
        self.pending.extend(newer);
    }

    /// The file ends. Without all state, as the disk let nobody write it, it is left out where an older one is: the outcomes and
    /// informs of decisions without what they changed would be half of them.
    pub(super) fn end(&mut self) {
        let before = self.before;
        if !self.is_whole && before.secret.is_some() {
            let Before { secret, engine, safe, last, ahead, .. } = before;
            (self.secret, self.engine, self.safe, self.ahead) = (secret, engine, safe, ahead);
            self.last = last;
            self.images.truncate(before.images);
            self.pending.truncate(before.pending);
            self.informs.truncate(before.informs);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::correlate::record::Change;

    const OLD: i64 = 100;
    const NEW: i64 = 200;

    fn change<'c>(engine: i64, informs: &[u64], outcomes: Vec<&'c [u8]>, images: &'c [u8]) -> Entry<'c> {
        Entry::Change(Change { engine, lower: 7, safe: 3, informs: informs.to_vec(), outcomes, images })
    }

    /// What a file can change.
    #[derive(Debug, PartialEq)]
    struct Known {
        images: Vec<u8>,
        informs: Vec<u64>,
        outcomes: Vec<Vec<u8>>,
        engine: i64,
    }

    fn known(found: &Found) -> Known {
        let outcomes =
            found.pending.iter().flat_map(|one| one.outcomes.iter().map(|outcome| outcome.to_vec()));
        Known {
            images: found.images[HEAD..].to_vec(),
            informs: found.informs.iter().map(|(_, inform)| *inform).collect(),
            outcomes: outcomes.collect(),
            engine: found.engine,
        }
    }

    fn read(found: &mut Found, entries: Vec<Entry<'_>>) {
        found.begin();
        for entry in entries {
            found.add(entry);
        }
        found.end();
    }

    fn older() -> Vec<Entry<'static>> {
        vec![
            Entry::Head(Secret([1, 2])),
            change(OLD, &[11], Vec::new(), b"old"),
            Entry::All,
            change(OLD + 1, &[12], vec![b"taken over", b"journaled"], b"more"),
        ]
    }

    /// The outcomes of decisions come first, with the informs that brought them about, and then the state after them.
    fn newer() -> Vec<Entry<'static>> {
        vec![
            Entry::Head(Secret([1, 2])),
            change(OLD + 1, &[12], vec![b"taken over"], b""),
            change(NEW, &[13], vec![b"new"], b""),
            change(NEW, &[11, 12, 13], Vec::new(), b"all"),
            Entry::All,
        ]
    }

    #[test]
    fn a_file_without_all_state_adds_nothing_to_an_older_one() {
        for whole in 0..newer().len() {
            let mut found = Found::new();
            read(&mut found, older());
            let before = known(&found);
            read(&mut found, newer().into_iter().take(whole).collect());
            assert_eq!(known(&found), before, "after {whole} entries");
        }
    }

    #[test]
    fn a_file_with_all_state_takes_the_place_of_older_ones_and_has_what_it_took_over_once() {
        let mut found = Found::new();
        read(&mut found, older());
        read(&mut found, newer());
        let known = known(&found);
        assert_eq!((&*known.images, known.engine), (&b"all"[..], NEW));
        assert_eq!(known.outcomes, [b"taken over".to_vec(), b"new".to_vec()]);
    }

    #[test]
    fn several_decisions_at_one_time_are_taken_over_once_each() {
        let mut found = Found::new();
        let timers = || [b"a", b"b", b"c"].map(|one| change(NEW, &[], vec![one], b"")).into_iter();
        read(&mut found, older().into_iter().chain(timers()).collect());
        let newer = newer().into_iter().take(2).chain(timers());
        read(&mut found, newer.chain([change(NEW, &[], Vec::new(), b"all"), Entry::All]).collect());
        assert_eq!(known(&found).outcomes, [&b"taken over"[..], b"a", b"b", b"c"]);
    }

    #[test]
    fn what_is_there_alone_counts_as_it_is() {
        let mut found = Found::new();
        read(&mut found, newer().into_iter().take(3).collect());
        assert_eq!(found.pending.len(), 2);
    }
}
