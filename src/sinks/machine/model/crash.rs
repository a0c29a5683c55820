//! The end of a process at any moment, and the next one.

use super::*;

impl Model {
    /// The process is killed, or the power is cut, and another one goes on.
    pub(super) fn crash(&mut self, power_cut: bool) {
        self.crashes += 1;
        // What was under way, and what the server had confirmed but the file does not know, may come again.
        let kept = if power_cut { self.synced.clone() } else { self.written.clone() };
        // A slot holds so many ranges only.
        let kept = Progress {
            done: kept.done.into_iter().take(crate::journal::progress::MAX_RANGES).collect(),
            ..kept
        };
        for (id, (uid, _)) in &self.known {
            if !matches!(id, Id::Journal(number) if kept.contains(*number)) {
                *self.server.excuses.entry(*uid).or_default() += 1;
            }
        }
        let before = self.next_number();
        if power_cut {
            self.disk.cut_power();
            let lost = self.random.below((self.journal.len() - self.journal_synced) as u64 + 1) as usize;
            self.journal.truncate(self.journal.len() - lost);
            self.journal_synced = self.journal.len();
        }
        self.epoch += 1;
        self.oldest = self.oldest.min(self.next_number());
        let (file, progress, found) =
            ProgressFile::open_for_tests(&self.disk, Path::new(PATH), self.oldest, self.next_number());
        assert!(matches!(found, Found::Progress { lost } if lost < self.oldest), "{found:?}");
        // Whatever the file knew for sure, it knows now.
        for number in 1..self.next_number() {
            assert!(
                !kept.contains(number) || progress.contains(number),
                "the file has forgotten {number}: {progress:?} after {kept:?}"
            );
            let known = self.known.get(&Id::Journal(number)).copied();
            if number < self.oldest && self.record(number).ours && !kept.contains(number) {
                self.expired.insert(self.record(number).uid);
                if let Some((_, known)) = self.known.get_mut(&Id::Journal(number)) {
                    *known = Known::Lost;
                }
            } else if progress.contains(number)
                && self.record(number).ours
                && !self.expired.contains(&self.record(number).uid)
            {
                let (_, known) = known.unwrap_or((0, Known::Open));
                assert_ne!(known, Known::Open, "the file says that {number} is done, which never was");
            }
        }
        assert!(
            (self.next_number()..before + 9).all(|number| !progress.contains(number)),
            "numbers that are given anew: {progress:?}"
        );
        self.known.retain(|id, _| matches!(id, Id::Journal(number) if progress.contains(*number)));
        self.open.clear();
        self.flights.iter_mut().for_each(|flight| *flight = None);
        (self.file, self.written, self.synced) = (file, progress.clone(), progress.clone());
        self.machine = Machine::new(self.settings, progress, self.random.below(u64::MAX));
        self.machine.queue.parking.room = self.room;
        self.again = 0;
        for (letter, uid) in self.retrying.clone() {
            self.give_letter(letter, uid);
        }
    }
}
