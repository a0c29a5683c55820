//! What a stream sends of the history before what the ring has, and what neither has.

use std::collections::HashSet;

use super::desk::Desk;
use crate::history::search::IsOver;
use crate::history::{Filter, Row, Search};
use crate::web::feed::{Missed, Which};

/// How many rows of the history come before what the ring has.
const MOST: usize = 10_000;
const PAGE: usize = 1000;

/// What is found of what a ring does not have any more, the newest first.
#[derive(Debug)]
pub(super) struct Past {
    wanted: Missed,
    filter: Filter,
    which: Which,
    rows: Vec<Row>,
    /// From this number on everything was found or is lacking.
    end: u64,
    /// How many are lacking, the number of the first one and that of the last one.
    lacking: Option<Missed>,
}

impl Past {
    pub(super) fn new(wanted: Missed, filter: Filter, which: Which) -> Past {
        Past { end: wanted.to.saturating_add(1), wanted, filter, which, rows: Vec::new(), lacking: None }
    }

    /// What the history has, the oldest first, and what it has not: it may be switched off, behind, thinned or shorter. Blocks.
    pub(super) fn read(mut self, desk: &Desk, is_over: IsOver) -> (Vec<Row>, Option<Missed>) {
        let Ok(folder) = desk.folder() else { return self.ended() };
        // Without the filter, as only then it shows what is lacking.
        let search = Search { filter: Filter::default(), oldest_first: false, is_over: Some(is_over) };
        let mut behind = None;
        while !self.is_full() {
            let Ok(page) = search.page(&folder, behind, PAGE) else { break };
            page.rows.into_iter().for_each(|row| self.take(row));
            behind = page.next;
            if behind.is_none() || page.partial {
                break;
            }
        }
        self.ended()
    }

    fn is_full(&self) -> bool {
        self.end <= self.wanted.from || self.rows.len() >= MOST
    }

    /// Takes a row, which is older than those before it.
    fn take(&mut self, row: Row) {
        if self.is_full() {
            return;
        }
        let Missed { from, to, .. } = self.wanted;
        self.lack_from(row.sequence.saturating_add(1));
        self.end = self.end.min(row.sequence);
        if (from..=to).contains(&row.sequence) && self.filter.matches(&row) {
            self.rows.push(row);
        }
    }

    /// Nothing was found between this number and what was found before.
    fn lack_from(&mut self, number: u64) {
        let first = number.max(self.wanted.from);
        if first < self.end {
            let lacking = self.lacking.get_or_insert(Missed { dropped: 0, from: first, to: self.end - 1 });
            (lacking.dropped, lacking.from) = (lacking.dropped + (self.end - first), first);
            self.end = first;
        }
    }

    fn ended(mut self) -> (Vec<Row>, Option<Missed>) {
        self.lack_from(0);
        self.rows.reverse();
        if self.which == Which::Changes {
            // As in a ring, the first outcome of a host or service is one: what was before it is not known.
            let mut known = HashSet::new();
            self.rows.retain(|row| {
                known.insert((row.host.clone(), row.service.clone())) || row.previous.is_some()
            });
        }
        (self.rows, self.lacking)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::history::row::{Mark, Rest};
    use crate::outcome::result::State;

    fn row(sequence: u64, host: &str, previous: Option<State>) -> Row {
        Row {
            n: 0,
            time: 0,
            epoch: 1,
            sequence,
            is_event: false,
            state: State::Critical,
            previous,
            is_first: false,
            count: 1,
            mark: Mark::None,
            rule: String::new(),
            host: host.to_owned(),
            service: None,
            source: String::new(),
            output: String::new(),
            rest: Rest::default(),
        }
    }

    fn found(which: Which, rows: impl IntoIterator<Item = Row>) -> (Vec<u64>, Option<Missed>) {
        let mut past = Past::new(Missed { dropped: 11, from: 10, to: 20 }, Filter::default(), which);
        rows.into_iter().for_each(|row| past.take(row));
        let (rows, lacking) = past.ended();
        (rows.iter().map(|row| row.sequence).collect(), lacking)
    }

    #[test]
    fn what_the_history_lacks_is_said() {
        let of = |numbers: &[u64]| found(Which::All, numbers.iter().map(|number| row(*number, "a", None)));
        let all: Vec<u64> = (5..30).rev().collect();
        assert_eq!(of(&all), ((10..=20).collect(), None));
        // Switched off, or behind what the ring has.
        assert_eq!(of(&[]), (vec![], Some(Missed { dropped: 11, from: 10, to: 20 })));
        assert_eq!(of(&[9, 8]), (vec![], Some(Missed { dropped: 11, from: 10, to: 20 })));
        // Thinned, or shorter.
        assert_eq!(
            of(&[21, 20, 17, 12, 9]),
            (vec![12, 17, 20], Some(Missed { dropped: 8, from: 10, to: 19 }))
        );
        assert_eq!(of(&[22, 19, 18]), (vec![18, 19], Some(Missed { dropped: 9, from: 10, to: 20 })));
        // More than is sent.
        let mut past =
            Past::new(Missed { dropped: 20_000, from: 0, to: 19_999 }, Filter::default(), Which::All);
        (0..20_000).rev().for_each(|number| past.take(row(number, "a", None)));
        let (rows, lacking) = past.ended();
        assert_eq!((rows.len(), lacking), (MOST, Some(Missed { dropped: 10_000, from: 0, to: 9_999 })));
    }

    #[test]
    fn the_first_outcome_of_a_host_is_a_change_as_in_a_ring() {
        let ok = Some(State::Ok);
        let mut rows = vec![
            row(10, "a", None),
            row(11, "a", None),
            row(12, "a", ok),
            row(13, "b", None),
            row(14, "b", None),
        ];
        rows.extend((15..=20).map(|number| row(number, "b", None)));
        rows.reverse();
        assert_eq!(found(Which::Changes, rows), (vec![10, 12, 13], None));
    }
}
