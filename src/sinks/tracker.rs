//! Which sequence numbers of the journal a sink is done with. Pure.
//!
//! Every number from the cursor up to what was read is either open or done. So only the open ones are kept, in order.

use std::collections::VecDeque;
use std::ops::Range;

use crate::journal::progress::Progress;
use crate::time::receipts::Moment;

/// The progress of a sink that is at work.
#[derive(Debug)]
pub(super) struct Tracker {
    /// What is before was read: it is open or done.
    read: u64,
    /// The open numbers in order, and done ones between them that were not removed yet.
    open: VecDeque<Open>,
    /// How many of these are done.
    done: usize,
    /// What is done behind `read`: left from a run before.
    ahead: VecDeque<Range<u64>>,
}

#[derive(Debug)]
struct Open {
    number: u64,
    received: Moment,
    done: bool,
}

impl Tracker {
    /// Goes on where a run before has stopped.
    pub(super) fn new(progress: Progress) -> Self {
        let mut tracker =
            Tracker { read: progress.cursor, open: VecDeque::new(), done: 0, ahead: progress.done.into() };
        tracker.pass(progress.cursor);
        tracker
    }

    /// Whether a number is still to be delivered, and not known yet.
    pub(super) fn is_new(&self, number: u64) -> bool {
        let at = self.ahead.partition_point(|range| range.end <= number);
        number >= self.read && self.ahead.get(at).is_none_or(|range| !range.contains(&number))
    }

    /// Takes a new number for open. Numbers that were passed over do not exist any more.
    pub(super) fn opened(&mut self, number: u64, received: Moment) {
        debug_assert!(self.is_new(number), "{number} is known");
        self.open.push_back(Open { number, received, done: false });
        self.pass(number + 1);
    }

    /// All before a number was read; what is not open of it is done.
    pub(super) fn pass(&mut self, to: u64) {
        self.read = self.read.max(to);
        while let Some(range) = self.ahead.front()
            && range.start <= self.read
        {
            self.read = self.read.max(range.end);
            self.ahead.pop_front();
        }
    }

    /// An open number is done.
    pub(super) fn finish(&mut self, number: u64) {
        let first = self.open.front().is_some_and(|open| open.number == number);
        let at = if first { Ok(0) } else { self.open.binary_search_by_key(&number, |open| open.number) };
        if let Some(open) = at.ok().and_then(|at| self.open.get_mut(at))
            && !open.done
        {
            open.done = true;
            self.done += 1;
        }
        while self.open.front().is_some_and(|open| open.done) {
            self.open.pop_front();
            self.done -= 1;
        }
        if self.done > 1024 && self.done > self.open.len() / 2 {
            self.open.retain(|open| !open.done);
            self.done = 0;
        }
    }

    /// The lowest number that is not done.
    pub(super) fn cursor(&self) -> u64 {
        self.open.front().map_or(self.read, |open| open.number)
    }

    /// The number from which on nothing was read.
    pub(super) fn read(&self) -> u64 {
        self.read
    }

    /// How many numbers are open.
    pub(super) fn open(&self) -> usize {
        self.open.len() - self.done
    }

    /// How many numbers from [`Tracker::read`] on are done.
    pub(super) fn ahead(&self) -> u64 {
        self.ahead.iter().map(|range| range.end - range.start).sum()
    }

    /// When the message of the lowest open number was received.
    pub(super) fn oldest(&self) -> Option<Moment> {
        self.open.front().map(|open| open.received)
    }

    /// Whether nothing is open or done from [`Tracker::read`] on.
    pub(super) fn is_even(&self) -> bool {
        self.open.is_empty() && self.ahead.is_empty()
    }

    /// What is done, as it is kept in the file.
    pub(super) fn progress(&self) -> Progress {
        let open = self.open.iter().filter(|open| !open.done).map(|open| open.number);
        let mut progress = progress(open, self.read);
        progress.done.extend(self.ahead.iter().cloned());
        progress
    }
}

/// What is done if these numbers are open, of what is before `read`.
pub(super) fn progress(open: impl Iterator<Item = u64>, read: u64) -> Progress {
    let mut open = open.peekable();
    let mut from = open.peek().copied().unwrap_or(read);
    let mut progress = Progress::before(from);
    for number in open {
        if number > from {
            progress.done.push(from..number);
        }
        from = number + 1;
    }
    if read > from {
        progress.done.push(from..read);
    }
    progress
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    #[derive(Debug, Clone)]
    enum Step {
        Read(u64),
        Skip(u64),
        Finish(prop::sample::Index),
        Restart,
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            6 => (0u64..3).prop_map(Step::Read),
            2 => (1u64..4).prop_map(Step::Skip),
            5 => any::<prop::sample::Index>().prop_map(Step::Finish),
            1 => Just(Step::Restart),
        ]
    }

    proptest! {
        /// Against a plain set of open numbers.
        #[test]
        fn open_or_done_never_both(steps in prop::collection::vec(step(), 1..150)) {
            let mut tracker = Tracker::new(Progress::before(1));
            let (mut open, mut done): (BTreeSet<u64>, BTreeSet<u64>) = Default::default();
            let mut cursor = 1;
            for step in steps {
                match step {
                    Step::Read(gap) => {
                        let number = (tracker.read() + gap..u64::MAX).find(|n| tracker.is_new(*n)).unwrap();
                        done.extend((tracker.read()..number).filter(|n| !open.contains(n)));
                        tracker.opened(number, Moment::from_micros(number as i64));
                        open.insert(number);
                    }
                    Step::Skip(count) => {
                        done.extend(tracker.read()..tracker.read() + count);
                        tracker.pass(tracker.read() + count);
                    }
                    Step::Finish(index) => {
                        if open.is_empty() {
                            continue;
                        }
                        let number = *index.get(&open.iter().copied().collect::<Vec<_>>());
                        open.remove(&number);
                        done.insert(number);
                        tracker.finish(number);
                        tracker.finish(number);
                    }
                    Step::Restart => {
                        tracker = Tracker::new(tracker.progress());
                        // What was open is read again.
                        let again: Vec<u64> = (cursor..done.last().map_or(cursor, |n| n + 1)).filter(|n| tracker.is_new(*n)).collect();
                        let expected: Vec<u64> = open.iter().copied().filter(|n| done.last() > Some(n)).collect();
                        prop_assert_eq!(&again, &expected);
                        for number in &open {
                            tracker.opened(*number, Moment::from_micros(*number as i64));
                        }
                    }
                }
                prop_assert!(tracker.cursor() >= cursor, "never back");
                cursor = tracker.cursor();
                prop_assert_eq!(Some(cursor), open.first().copied().or(Some(tracker.read())));
                prop_assert_eq!(tracker.open(), open.len());
                prop_assert_eq!(tracker.oldest(), open.first().map(|n| Moment::from_micros(*n as i64)));
                let progress = tracker.progress();
                for number in 1..tracker.read() {
                    prop_assert_eq!(progress.contains(number), !open.contains(&number), "{}", number);
                }
                prop_assert!(!progress.contains(tracker.read()));
                let ahead = progress.done.iter().filter(|range| range.start >= tracker.read());
                prop_assert_eq!(tracker.ahead(), ahead.map(|range| range.end - range.start).sum::<u64>());
            }
        }
    }

    #[test]
    fn one_number_that_stays_open_does_not_let_the_others_pile_up() {
        let mut tracker = Tracker::new(Progress::before(1));
        tracker.opened(1, Moment::default());
        for number in 2..1_000_000 {
            tracker.opened(number, Moment::default());
            tracker.finish(number);
        }
        assert!(tracker.open.len() < 4096, "{}", tracker.open.len());
        let progress = tracker.progress();
        assert_eq!((progress.cursor, progress.done.as_slice()), (1, std::slice::from_ref(&(2..1_000_000))));
    }
}
