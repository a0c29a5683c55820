//! The rows of what made no outcome: the first of its kind in a minute gets one, further ones count in it. Pure.

use std::collections::HashMap;

use super::why::{Untold, Why};

/// How many kinds a minute tells apart.
const MOST: usize = 1000;
const MINUTE: i64 = 60_000_000;

/// What makes a kind: the reason, rule, host, service, and what else tells it from others.
type Kind = (Why, String, String, Option<String>, u64);

/// The rows of this minute.
#[derive(Debug, Default)]
pub(super) struct Rows {
    minute: i64,
    known: HashMap<Kind, i64>,
}

/// What becomes of messages.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// They count in the row with this key.
    In(i64),
    /// They get a row, whose key is to be [kept](Rows::keep).
    New(Untold),
}

fn kind(untold: &Untold) -> Kind {
    (untold.why, untold.rule.clone(), untold.host.clone(), untold.service.clone(), untold.about)
}

impl Rows {
    /// Where messages count that are written now.
    pub(super) fn place(&mut self, untold: Untold, now: i64) -> Place {
        let minute = now.div_euclid(MINUTE);
        if minute != self.minute {
            self.known.clear();
            self.minute = minute;
        }
        if let Some(n) = self.known.get(&kind(&untold)) {
            return Place::In(*n);
        }
        if self.known.len() < MOST {
            return Place::New(untold);
        }
        let others = Untold::others(untold.why, untold.time, untold.count);
        match self.known.get(&kind(&others)) {
            Some(n) => Place::In(*n),
            None => Place::New(others),
        }
    }

    /// The row of a kind has this key.
    pub(super) fn keep(&mut self, untold: &Untold, n: i64) {
        self.known.insert(kind(untold), n);
    }

    /// Rows are written into another file from now on.
    pub(super) fn clear(&mut self) {
        self.known.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_minute_has_a_row_a_kind_and_so_many_kinds() {
        let mut rows = Rows::default();
        let one = |host: usize| Untold { host: host.to_string(), ..Untold::others(Why::Held, 5, 1) };
        let mut n = 0;
        let mut write = |host, now| match rows.place(one(host), now) {
            Place::In(n) => (n, false),
            Place::New(untold) => {
                n += 1;
                rows.keep(&untold, n);
                (n, true)
            }
        };
        assert_eq!((write(1, 0), write(1, MINUTE - 1), write(1, MINUTE)), ((1, true), (1, false), (2, true)));
        let new = (0..10_000).filter(|host| write(*host, MINUTE).1).count();
        assert_eq!(new, MOST, "999 more, and one for all others");
    }
}
