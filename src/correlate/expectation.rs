//! One expectation: the messages of a key, and when the next one is due.

use std::collections::BTreeSet;
use std::ops::Deref;

use super::image::{Reader, Writer};
use super::key::Key;
use super::problem::NEVER;
use super::table::{Entry, Table};
use crate::rules::plan::{Expect, When};

/// What is expected of one key.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Expectation {
    pub(super) key: Key,
    pub(super) rule: u32,
    pub(super) armed: u32,
    /// The key's text.
    pub(super) text: Box<str>,
    /// How many messages there were.
    pub(super) count: u32,
    /// When its first message came, or it became known.
    pub(super) first: i64,
    /// When its last message came, or it became known; while the daemon does not run, this moves on.
    pub(super) last: i64,
    /// The time of day that is judged next, in the time of the wall clock, with the grace: NEVER for `every`.
    pub(super) judged: i64,
    /// Whether a message came since the one before.
    pub(super) seen: bool,
    /// The key of the problem that it has raised, while it is late.
    late: Option<Key>,
}

/// All that is expected.
#[derive(Debug, Default)]
pub(super) struct Expectations {
    table: Table<Expectation>,
    /// What is late, by the problem that it has raised: those of one service share it.
    late: BTreeSet<(Key, Key)>,
}

impl Deref for Expectations {
    type Target = Table<Expectation>;

    fn deref(&self) -> &Table<Expectation> {
        &self.table
    }
}

impl Expectations {
    /// The entry at a place.
    pub(super) fn get_mut(&mut self, at: u32) -> Option<&mut Expectation> {
        self.table.get_mut(at)
    }

    /// Adds an entry whose key is not there. Gives its place.
    pub(super) fn insert(&mut self, entry: Expectation) -> u32 {
        self.late.extend(entry.late.map(|late| (late, entry.key)));
        self.table.insert(entry)
    }

    /// Takes an entry out.
    pub(super) fn remove(&mut self, at: u32) -> Option<Expectation> {
        let gone = self.table.remove(at)?;
        gone.late.map(|late| self.late.remove(&(late, gone.key)));
        Some(gone)
    }

    /// From now on the entry at a place is late, with this problem, or no longer late. Gives the problem of before.
    pub(super) fn set_late(&mut self, at: u32, late: Option<Key>) -> Option<Key> {
        let entry = self.table.get_mut(at)?;
        let before = std::mem::replace(&mut entry.late, late);
        if before != late {
            before.map(|before| self.late.remove(&(before, entry.key)));
            self.late.extend(late.map(|late| (late, entry.key)));
        }
        before
    }

    /// The place of what is late with a problem; of several always the same one.
    pub(super) fn late_with(&self, problem: Key) -> Option<u32> {
        let (_, key) =
            self.late.range((problem, Key::new(0))..).next().filter(|(late, _)| *late == problem)?;
        self.table.find(*key)
    }
}

impl Entry for Expectation {
    fn key(&self) -> Key {
        self.key
    }
}

impl Expectation {
    pub(super) fn new(key: Key, rule: u32, text: &str, now: i64) -> Self {
        Expectation {
            key,
            rule,
            armed: 0,
            text: text.into(),
            count: 0,
            first: now,
            last: now,
            judged: NEVER,
            seen: false,
            late: None,
        }
    }

    /// Sees to it that the next time of day is after `wall`, for one that is judged later than it should be, or of other
    /// settings.
    pub(super) fn plan(&mut self, expect: &Expect, wall: i64) {
        let When::By(daily) = &expect.when else {
            self.judged = NEVER;
            return;
        };
        let next = daily.after(wall.saturating_sub(expect.grace));
        self.judged = next.map_or(NEVER, |next| next.saturating_add(expect.grace));
    }

    /// Whether the next time of day is one of these settings.
    pub(super) fn is_planned(&self, expect: &Expect) -> bool {
        let When::By(daily) = &expect.when else { return self.judged == NEVER };
        let at = self.judged.saturating_sub(expect.grace);
        self.judged != NEVER && daily.after(at.saturating_sub(1)) == Some(at)
    }

    /// The key of the problem that it has raised, while it is late.
    pub(super) fn late(&self) -> Option<Key> {
        self.late
    }

    /// When the next message is late in engine time, with the wall clock so much ahead of it; [`NEVER`] while it is late.
    pub(super) fn deadline(&self, expect: &Expect, ahead: i64) -> i64 {
        match expect.when {
            When::Every(every) if self.late.is_none() => {
                self.last.saturating_add(every).saturating_add(expect.grace)
            }
            When::Every(_) => NEVER,
            When::By(_) => self.judged.saturating_sub(ahead),
        }
    }

    /// When it is forgotten.
    pub(super) fn forgotten(&self, expect: &Expect) -> i64 {
        let known = expect.keys.iter().any(|key| **key == *self.text);
        expect.forget.filter(|_| !known).map_or(NEVER, |forget| self.last.saturating_add(forget))
    }

    pub(super) fn bytes(&self) -> usize {
        self.text.len()
    }

    pub(super) fn write(&self, rule: u64, out: &mut Writer) {
        out.key(self.key);
        out.fixed(rule);
        out.blob(Some(self.text.as_bytes()));
        out.number(self.count.into());
        for time in [self.first, self.last, self.judged] {
            out.time(time);
        }
        out.byte(self.seen.into());
        out.byte(self.late.is_some().into());
        out.key(self.late.unwrap_or(Key::new(0)));
    }

    pub(super) fn read(image: &mut Reader<'_>) -> Option<(u64, Expectation)> {
        let (key, rule, text) = (image.key()?, image.fixed()?, image.blob()??);
        let text = String::from_utf8(text.into()).ok()?.into_boxed_str();
        let (count, first, last, judged) = (image.small()?, image.time()?, image.time()?, image.time()?);
        let (seen, is_late, late) = (image.byte()? != 0, image.byte()? != 0, image.key()?);
        let late = is_late.then_some(late);
        Some((rule, Expectation { key, rule: 0, armed: 0, text, count, first, last, judged, seen, late }))
    }
}
