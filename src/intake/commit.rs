//! The only way from a batch of outcomes into the journal.
//!
//! A batch that the journal refuses waits here, up to [`MAX_WAITING`] bytes of all listeners together, and is tried again
//! before the next one. An inform is known here by its key from its first copy on, whichever listener took it: one that comes again
//! is answered again once its outcomes are safe, and not processed twice. That they could not be synced changes nothing of that: it is
//! tried every second (`settling.rs`).

use std::collections::VecDeque;
use std::hash::{BuildHasher, Hash, Hasher, RandomState};
use std::io;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use siphasher::sip::SipHasher13;

use crate::correlate::Secret;
use crate::correlate::view::{Clear, Wanted};
use crate::intake::correlation::Correlation;
use crate::intake::informs::{Informs, Known};
use crate::intake::made::Made;
use crate::intake::mutes::{LastWord, Mutes};
use crate::intake::stats::Stats;
use crate::intake::taken::{MAX_INFORMS, Taken};
use crate::journal::{AppendError, Batch, Journal, SyncPolicy};
use crate::rules::plan::Plan;
use crate::time::clock::{Mono, Now};
use crate::time::log_limit::{Kind, Limiter};

/// How many bytes of outcomes may wait for a journal that refuses them.
pub const MAX_WAITING: usize = 8 << 20;
/// How long to wait before what was refused is tried again, where no other batch comes.
pub const RETRY: Duration = Duration::from_millis(200);

/// What became of a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Committed {
    /// It is in the journal and safe from a power cut.
    Synced,
    /// It is in the journal, safe from a crash of the process.
    Written,
    /// It is in the journal, as safe as the policy asks for. But the next process would not know the informs among it again.
    Forgettable,
    /// The journal refuses it; it waits for another try.
    Kept,
    /// The journal refuses it, and too much waits already: it is lost and counted.
    GivenUp,
}

/// Where a refused batch waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refused {
    /// With the commit, so that its listener goes on: datagrams cannot be held back.
    Queues,
    /// With its pipeline, which does not read on: a stream holds its sender back.
    Stays,
}

/// The way into the journal.
#[derive(Debug)]
pub struct Commit {
    pub(super) journal: Arc<Journal>,
    /// What rules keep over time.
    pub correlation: Correlation,
    /// What need not reach anybody for a while.
    pub mutes: Mutes,
    pub(super) policy: SyncPolicy,
    stats: Arc<Stats>,
    pub(super) limiter: Arc<Limiter>,
    informs: Mutex<Informs>,
    /// Their keys, for the next process.
    pub(super) taken: Taken,
    waiting: Mutex<Waiting>,
    /// When what waits was tried last, in nanoseconds of the monotonic clock.
    tried: AtomicU64,
    /// Whether there is something in [`Waiting::written`].
    unsettled: AtomicBool,
}

#[derive(Debug, Default)]
struct Waiting {
    batches: VecDeque<Made>,
    bytes: usize,
    /// What was written since, each with the number of its first outcome. It is synced by who does not hold the state of rules.
    written: Vec<(Made, u64)>,
}

impl Commit {
    /// The way into this journal.
    pub fn new(
        journal: Arc<Journal>,
        policy: SyncPolicy,
        stats: Arc<Stats>,
        limiter: Arc<Limiter>,
        now: Now,
    ) -> Self {
        let secret = Secret([1, 2].map(|n| RandomState::new().hash_one(n)));
        Commit {
            journal,
            correlation: Correlation::new(secret, stats.clone(), now),
            mutes: Mutes::default(),
            policy,
            stats,
            limiter,
            informs: Mutex::new(Informs::new()),
            taken: Taken::default(),
            waiting: Mutex::default(),
            tried: AtomicU64::new(0),
            unsettled: AtomicBool::new(false),
        }
    }

    /// The key of an inform: the same for the same sender and content, and unpredictable.
    pub fn key(&self, inform: impl Hash) -> u64 {
        // By the secret of the state, so that the next process knows it, too.
        let Secret(secret) = self.correlation.secret();
        let mut hasher = SipHasher13::new_with_keys(secret[0], !secret[1]);
        inform.hash(&mut hasher);
        hasher.finish()
    }

    /// What is known of an inform. One that is new is the caller's to process, and then to commit or to
    /// [`release`](Commit::release).
    pub fn claim(&self, key: u64, now: Mono) -> Known {
        self.informs().claim(key, now)
    }

    /// Forgets an inform that was claimed and cannot be committed: it is new when it comes again.
    pub fn release(&self, key: u64) {
        self.informs().release(&[key]);
    }

    /// Commits a batch, after all that waits. `made` is empty afterwards, unless it [`Stays`](Refused::Stays) and is
    /// [`Kept`](Committed::Kept): then everything in it is decided.
    pub fn batch(&self, now: Now, made: &mut Made, refused: Refused) -> Committed {
        let committed = self.one(now, made, refused);
        self.settle_written(now);
        committed
    }

    /// The same, but for what waited: its senders are not answered yet. [`Commit::settle_written`] follows.
    fn one(&self, now: Now, made: &mut Made, refused: Refused) -> Committed {
        if made.is_empty() {
            made.clear();
            return Committed::Synced;
        }
        made.batch.set_received(now);
        let appended = if made.undecided.is_empty() {
            self.append_all(now, made)
        } else {
            // Nothing else is decided until the journal has answered, so that the state and the journal have one order.
            let deciding = self.correlation.decide(now, &mut made.undecided, &mut made.batch, &made.informs);
            (made.stateful, made.kept) = (true, deciding.kept);
            let appended = self.append_all(now, made);
            if appended.is_err() {
                // Who decides next knows that outcomes wait.
                self.correlation.waits.set_refusing(true);
                if refused == Refused::Stays && !std::mem::replace(&mut made.stays, true) {
                    self.correlation.waits.stays();
                }
            }
            drop(deciding);
            appended
        };
        match (appended, refused) {
            (Ok(first), _) => {
                self.stays_no_more(made);
                let committed = self.settle(now, made, first);
                made.clear();
                committed
            }
            (Err(error), Refused::Stays) => {
                self.correlation.waits.set_refusing(true);
                self.log_refused(now, made.batch.len(), &error, "their stream is not read until it does");
                Committed::Kept
            }
            (Err(error), Refused::Queues) => self.queue(now, made, &error),
        }
    }

    /// Journals the last words of mutes that are over; whether there were any. What the journal does not take stays withheld, on
    /// disk: in the queue of what is refused it would be lost with the process. Blocks.
    pub fn last_words(&self, now: Now) -> bool {
        if self.refusing() {
            return false;
        }
        let order = self.mutes.order();
        let words = self.mutes.look(now.wall);
        if words.is_empty() {
            return false;
        }
        let mut batch = Batch::default();
        // As long as it was when it was journaled first, and a few octets.
        let (fits, long): (Vec<LastWord>, Vec<LastWord>) =
            words.into_iter().partition(|word| batch.push_encoded(&word.payload));
        batch.set_received(now);
        let appended = self.journal.append(&batch);
        let taken = appended.as_ref().map_or_else(|refused| refused.taken, |_| fits.len());
        self.stats.outcomes.add(taken as u64);
        self.mutes.said(&fits[..taken]);
        self.mutes.said(&long);
        if let Err(AppendError { error, .. }) = appended {
            self.mutes.look_again();
            self.log_refused(now, fits.len() - taken, &error, "they stay withheld");
        }
        drop(order);
        if !long.is_empty() {
            self.stats.outcomes_lost.add(long.len() as u64);
            tracing::error!(outcomes = long.len(), "last outcomes of mutes are longer than 1 MiB and lost");
        }
        // They are forgotten on disk next, which is safe from a power cut. Who logs that a disk cannot sync is whoever answers informs.
        let _ = self.journal.sync(u64::MAX);
        true
    }

    /// Has everything happen that is due by now in the state of rules, and commits it.
    pub fn advance(&self, now: Now) {
        self.correlation.advance(now, |batch| self.by_itself(now, batch));
        self.settle_written(now);
    }

    /// Ends entries of the state of rules by hand, and commits what that brings about. How many, and whether that is safe from
    /// a power cut; none before there are rules. Blocks.
    pub fn clear_state(&self, now: Now, wanted: &Wanted, how: Clear<'_>) -> Option<(usize, bool)> {
        let cleared = self.correlation.clear(now, wanted, how, |batch| self.by_itself(now, batch));
        self.settle_written(now);
        let cleared = cleared?;
        Some((cleared, self.sync_state(now)))
    }

    /// Puts other rules in force for the state of rules, and commits what that brings about.
    pub fn replace(&self, plan: &Arc<Plan>, now: Now) {
        if !plan.is_stateful() {
            // What knew their informs, too, is removed.
            self.sync_taken(now);
        }
        self.correlation.replace(plan, now, |batch| self.by_itself(now, batch));
        self.settle_written(now);
    }

    /// Commits outcomes that no message has brought about. The state of rules is locked.
    fn by_itself(&self, now: Now, batch: &mut Batch) {
        let mut made = Made { batch: std::mem::take(batch), ..Made::default() };
        self.one(now, &mut made, Refused::Queues);
    }

    /// Tries again to write what waits, unless that was tried less than [`RETRY`] ago. Everyone who finds the journal
    /// refusing calls this now and then.
    pub fn retry(&self, now: Now) {
        let (last, nanos) = (self.tried.load(Ordering::Relaxed), now.mono.nanos());
        let due = now.mono - Mono::from_nanos(last) >= RETRY;
        if due
            && self.refusing()
            && self.tried.compare_exchange(last, nanos, Ordering::Relaxed, Ordering::Relaxed).is_ok()
        {
            self.try_again(now);
        }
    }

    /// Tries once more to write what waits.
    pub fn try_again(&self, now: Now) {
        // What it says is logged with the next batch that is refused.
        let _ = self.write_waiting();
        self.settle_written(now);
    }

    /// Tries a last time to write what waits; what the journal still refuses is lost, logged and counted.
    pub fn finish(&self, now: Now) {
        self.try_again(now);
        let mut waiting = self.waiting();
        let given_up = std::mem::take(&mut *waiting);
        drop(waiting);
        for mut made in given_up.batches {
            self.give_up(&mut made);
        }
    }

    /// Gives up a batch that could not be written: its outcomes are lost, logged and counted, its informs are new when they come
    /// again.
    pub fn give_up(&self, made: &mut Made) {
        self.stays_no_more(made);
        let outcomes = made.outcomes();
        self.release_all(made);
        self.mutes.lost(&made.batch, made.marked);
        made.clear();
        if outcomes > 0 {
            self.stats.outcomes_lost.add(outcomes as u64);
            tracing::error!(outcomes, "outcomes could not be written to the journal and are lost");
        }
    }

    fn stays_no_more(&self, made: &mut Made) {
        if std::mem::take(&mut made.stays) {
            self.correlation.waits.stays_no_more();
        }
    }

    /// Whether the journal refuses outcomes at the moment.
    pub fn refusing(&self) -> bool {
        self.correlation.waits.refusing()
    }

    /// Writes a batch, after all that waits. Gives the number of its first outcome.
    fn append_all(&self, now: Now, made: &mut Made) -> io::Result<u64> {
        let _order = self.mutes.order();
        // One that comes again is decided.
        if !std::mem::replace(&mut made.is_marked, true) {
            made.marked = self.mutes.mark(&mut made.batch, now.wall, self.journal.point());
        }
        // Without outcomes there is nothing that the journal could refuse. But a message that changes nothing in the state of
        // rules may repeat one whose outcome waits, and is no safer than that.
        if self.refusing() && (!made.batch.is_empty() || made.stateful) {
            self.write_waiting()?;
        }
        self.append(made)
    }

    /// Writes one batch. Gives the number of its first outcome.
    fn append(&self, made: &mut Made) -> io::Result<u64> {
        match self.journal.append(&made.batch) {
            Ok(first) => {
                self.stats.outcomes.add(made.batch.len() as u64);
                self.mutes.written(&made.batch, made.batch.len(), made.marked);
                Ok(made.first.unwrap_or(first))
            }
            Err(AppendError { first, taken, error }) => {
                // The rest follows when there is space.
                if taken > 0 {
                    made.first.get_or_insert(first);
                    self.mutes.written(&made.batch, taken, made.marked);
                    made.marked = made.marked.map(|marked| marked + taken as u64);
                    made.batch.drop_front(taken);
                    self.stats.outcomes.add(taken as u64);
                }
                Err(error)
            }
        }
    }

    /// Writes what waits, the oldest first. The state of rules may be locked.
    fn write_waiting(&self) -> io::Result<()> {
        let mut waiting = self.waiting();
        while let Some(made) = waiting.batches.front_mut() {
            let before = made.batch.bytes();
            match self.append(made) {
                Ok(first) => {
                    let made = waiting.batches.pop_front();
                    waiting.written.extend(made.map(|made| (made, first)));
                    waiting.bytes -= before;
                    self.unsettled.store(true, Ordering::Release);
                }
                Err(error) => {
                    let left = made.batch.bytes();
                    waiting.bytes -= before - left;
                    return Err(error);
                }
            }
        }
        self.correlation.waits.set_refusing(false);
        Ok(())
    }

    /// Syncs what waited and was written. Never while the state of rules is locked, which is synced with it.
    fn settle_written(&self, now: Now) {
        if self.unsettled.swap(false, Ordering::AcqRel) {
            let written = std::mem::take(&mut self.waiting().written);
            for (made, first) in &written {
                self.settle(now, made, *first);
            }
        }
    }

    /// Keeps a refused batch, unless too much waits already.
    fn queue(&self, now: Now, made: &mut Made, error: &io::Error) -> Committed {
        let outcomes = made.batch.len();
        let mut waiting = self.waiting();
        // Whatever its size, one batch is not more than it was before.
        if made.batch.is_empty()
            && let Some(last) = waiting.batches.back_mut()
        {
            // Its informs are as safe as what waits.
            if last.informs.len() + made.informs.len() <= MAX_INFORMS {
                last.informs.append(&mut made.informs);
                last.stateful |= made.stateful;
            }
            self.release_all(made);
            made.clear();
            return Committed::Kept;
        }
        let kept = waiting.batches.is_empty() || waiting.bytes + made.batch.bytes() <= MAX_WAITING;
        self.correlation.waits.set_refusing(true);
        // Who writes the state tries again, also where no listener has anything to do.
        self.correlation.tell_written();
        if kept {
            waiting.bytes += made.batch.bytes();
            waiting.batches.push_back(std::mem::take(made));
        } else {
            self.release_all(made);
            self.mutes.lost(&made.batch, made.marked);
            made.clear();
            self.stats.outcomes_lost.add(outcomes as u64);
        }
        drop(waiting);
        self.log_refused(now, outcomes, error, if kept { "they wait in memory" } else { "they are lost" });
        if kept { Committed::Kept } else { Committed::GivenUp }
    }

    fn log_refused(&self, now: Now, outcomes: usize, error: &io::Error, fate: &str) {
        if let Some(suppressed) = self.limiter.allow_for(Kind::Journal, fate, now.mono) {
            let directory = self.journal.directory().display();
            tracing::error!(
                outcomes, suppressed, %error,
                "the journal in {directory} cannot take outcomes, {fate}; free disk space, or bring back the sink that is behind"
            );
        }
    }

    fn release_all(&self, made: &Made) {
        if !made.informs.is_empty() {
            self.informs().release(&made.informs);
        }
    }

    pub(super) fn informs(&self) -> MutexGuard<'_, Informs> {
        self.informs.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
#[path = "commit_tests.rs"]
mod tests;
