//! When what was committed is safe, so that its senders may be answered, also those of an earlier process.

use std::collections::VecDeque;
use std::io;

use crate::intake::commit::{Commit, Committed, Refused};
use crate::intake::informs::{Known, Unsettled};
use crate::intake::made::Made;
use crate::intake::state_log::StateLog;
use crate::intake::taken::{Left, Place};
use crate::journal::SyncPolicy;
use crate::time::clock::Now;
use crate::time::log_limit::Kind;

/// How many keys of an earlier process are settled at a time.
const AT_ONCE: usize = 1000;

impl Commit {
    /// Keeps the state of rules on disk from now on, and goes on with what an earlier process left there.
    pub fn resume(&self, now: Now) {
        let log = StateLog::new(&self.journal, self.policy);
        if let Err(error) = log.and_then(|log| self.resume_with(log, now)) {
            tracing::error!(
                %error,
                "cannot read the state of rules in {}: rules begin without state",
                self.journal.directory().display()
            );
        }
    }

    /// The same, with a log. Outcomes that the journal does not take now wait in memory, as those of messages do, and informs
    /// that were taken lately with them. These are answered when this process has made safe what the last one may have left unsynced.
    pub(in crate::intake) fn resume_with(&self, log: StateLog, now: Now) -> io::Result<()> {
        let mut left = self.taken.open(log.folder(), now)?;
        if let Some(secret) = left.secret {
            self.correlation.use_secret(secret);
        }
        let resumed = self.correlation.resume(log, now);
        // The secret of state that is there is the one, and the same if nobody has changed the files.
        let secret = self.correlation.secret();
        self.taken.use_secret(secret);
        if left.secret != Some(secret) {
            left = Left::default();
        }
        self.know(&left, now);
        let (batch, mut informs) = resumed?;
        informs.retain(|inform| self.informs().claim(*inform, now.mono) == Known::No);
        if !batch.is_empty() {
            tracing::warn!(
                outcomes = batch.len(),
                "the last process ended before it could journal outcomes: they are journaled now"
            );
        }
        let mut made = Made { batch, informs, stateful: true, kept: true, ..Made::default() };
        self.batch(now, &mut made, Refused::Queues);
        Ok(())
    }

    /// Knows what the last process has taken. Its outcomes are in the journal.
    fn know(&self, left: &Left, now: Now) {
        for keys in left.keys.chunks(AT_ONCE) {
            if self.policy != SyncPolicy::Batch {
                self.informs().settle(keys, now.mono);
                continue;
            }
            // Their outcomes were as safe as the policy asks for when they were written.
            let batch = Unsettled { informs: keys.to_vec(), records: 0..0, place: left.place, to_keep: true };
            self.informs().unsettle(batch);
        }
        if !left.keys.is_empty() {
            self.correlation.tell_written();
        }
    }

    /// Makes the state of rules safe from a power cut; whether it is. Blocks.
    pub fn sync_state(&self, now: Now) -> bool {
        self.state_synced(now, self.correlation.sync(now, false))
    }

    /// Does once a second what the policy asks for, writes state that could not be written before, and makes safe what informs have
    /// brought about and could not be synced; whether all of that is done. Blocks.
    pub fn keep_state(&self, now: Now) -> bool {
        // Those that come to it meanwhile may have changed state that is not synced now.
        let unsettled = self.informs().take_unsettled();
        let synced = self.state_synced(now, self.correlation.sync(now, self.policy == SyncPolicy::Never));
        let is_kept = self.sync_informs(now, unsettled, synced);
        synced && is_kept
    }

    /// Makes safe what these informs have brought about, and then their keys, with all others that were added. Whether nothing is left.
    fn sync_informs(&self, now: Now, unsettled: VecDeque<Unsettled>, synced: bool) -> bool {
        let asks = self.policy == SyncPolicy::Batch;
        if asks
            && synced
            && !unsettled.is_empty()
            && let Err(error) = self.journal.mend().and_then(|_| self.journal.sync(u64::MAX))
        {
            self.log_unsynced(now, &error);
        }
        let (mut safe, mut left) = (Vec::new(), VecDeque::new());
        let mut kept = self.taken.renew(now, || self.informs().safe());
        for mut batch in unsettled {
            if !asks || (synced && self.journal.has_safe(&batch.records)) {
                if !self.taken.has(batch.place) {
                    match self.taken.add(&batch.informs, now, || self.informs().safe()) {
                        Ok(place) => batch.place = place,
                        Err(error) => kept = Err(error),
                    }
                }
                safe.push(batch);
            } else if self.journal.has_lost(&batch.records) {
                // The journal does not have them for sure: their senders send them again, and they are new.
                self.informs().release(&batch.informs);
            } else {
                left.push_back(batch);
            }
        }
        if self.policy != SyncPolicy::Never {
            kept = kept.and(self.taken.sync());
        }
        if kept.is_ok() && left.is_empty() && safe.iter().all(|batch| self.taken.has(batch.place)) {
            self.taken.tidy();
        }
        for batch in safe {
            if !batch.to_keep || self.taken.has(batch.place) {
                self.informs().settle(&batch.informs, now.mono);
            } else {
                left.push_back(batch);
            }
        }
        if let Err(error) = &kept {
            self.log_unkept(now, error);
        }
        let mut informs = self.informs();
        informs.put_back(left);
        kept.is_ok() && informs.is_settled()
    }

    fn state_synced(&self, now: Now, synced: io::Result<bool>) -> bool {
        if let Err(error) = &synced
            && let Some(suppressed) = self.limiter.allow_for(Kind::Journal, "state", now.mono)
        {
            tracing::error!(
                suppressed, %error,
                "the state of rules cannot be synced: it may not survive a crash; check the disk"
            );
        }
        synced.unwrap_or(false)
    }

    /// Whether informs whose outcomes were committed like this may be answered.
    pub fn may_answer(&self, committed: Committed) -> bool {
        committed != Committed::Forgettable && self.is_safe(committed)
    }

    /// Whether messages that nothing is known by, and whose outcomes were committed like this, may be acknowledged.
    pub fn is_safe(&self, committed: Committed) -> bool {
        match committed {
            Committed::Synced | Committed::Forgettable => true,
            Committed::Written => self.policy != SyncPolicy::Batch,
            Committed::Kept | Committed::GivenUp => false,
        }
    }

    /// Syncs a batch that was written, where an inform or another acknowledgement waits for that.
    pub(super) fn settle(&self, now: Now, made: &Made, first: u64) -> Committed {
        if made.informs.is_empty() && !made.acknowledged {
            return Committed::Written;
        }
        let without = made.batch.is_empty() && made.first.is_none();
        let mut committed = match self.policy {
            // What has no outcomes is as safe as it can be.
            _ if without && !made.stateful => Committed::Synced,
            // What the journal has of earlier decisions must not be safer than the state after them: they would be made again.
            SyncPolicy::Batch if !self.sync_state(now) => Committed::Written,
            SyncPolicy::Batch if without => Committed::Synced,
            SyncPolicy::Batch => self.sync(now, first),
            SyncPolicy::Interval | SyncPolicy::Never => Committed::Written,
        };
        if made.informs.is_empty() {
            if !self.is_safe(committed) {
                self.correlation.tell_written();
            }
            return committed;
        }
        // The log of the state has its informs, and one without outcomes makes none either when it comes again.
        let to_keep = !made.kept && (made.stateful || !without);
        // What changes nothing may repeat what the journal has.
        let records = if without { first..first } else { first..self.journal.next() };
        let mut place = None;
        if self.is_safe(committed) {
            let kept;
            (place, kept) = self.keep_taken(now, &made.informs, to_keep);
            if kept {
                self.informs().settle(&made.informs, now.mono);
                return committed;
            }
            committed = Committed::Forgettable;
        }
        // They are decided: a repeat must wait until they are safe, which is tried every second.
        self.informs().unsettle(Unsettled { informs: made.informs.clone(), records, place, to_keep });
        self.correlation.tell_written();
        committed
    }

    /// Keeps keys for the next process. Where they are, and whether they may be counted on if they have to be there.
    fn keep_taken(&self, now: Now, keys: &[u64], to_keep: bool) -> (Option<Place>, bool) {
        let added = self.taken.add(keys, now, || self.informs().safe());
        let place = added.as_ref().ok().copied().flatten();
        // It is synced, or tried again, once a second: a sync for each batch would double the time that an inform takes.
        self.correlation.tell_written();
        let kept = added.map(drop);
        if let Err(error) = &kept {
            self.log_unkept(now, error);
            if !to_keep {
                self.taken.lose();
            }
        }
        (place, kept.is_ok() || !to_keep)
    }

    /// Makes the keys that were added safe from a power cut, if the policy asks for syncs.
    pub(super) fn sync_taken(&self, now: Now) {
        if self.policy != SyncPolicy::Never
            && let Err(error) = self.taken.sync()
        {
            self.log_unkept(now, &error);
        }
    }

    fn sync(&self, now: Now, first: u64) -> Committed {
        match self.journal.sync(first) {
            Ok(()) => Committed::Synced,
            Err(error) => {
                self.log_unsynced(now, &error);
                Committed::Written
            }
        }
    }

    fn log_unsynced(&self, now: Now, error: &io::Error) {
        if let Some(suppressed) = self.limiter.allow_for(Kind::Journal, "sync", now.mono) {
            tracing::error!(
                suppressed, %error,
                "the journal cannot be synced; informs are not answered; check the disk"
            );
        }
    }

    fn log_unkept(&self, now: Now, error: &io::Error) {
        if let Some(suppressed) = self.limiter.allow_for(Kind::Journal, "taken", now.mono) {
            let directory = self.journal.directory().display();
            tracing::error!(
                suppressed, %error,
                "the files taken.* in {directory} cannot be written; informs, and check-ins and events with an id, are not answered; check the disk"
            );
        }
    }
}
