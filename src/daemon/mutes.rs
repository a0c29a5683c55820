//! Ends mutes in time, journals the last words of what was muted, and keeps the mutes on disk.

#![cfg_attr(not(test), deny(clippy::disallowed_methods))]

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use super::supervise::{Stop, told};
use crate::files::Folder;
use crate::intake::Shared;
use crate::intake::mutes::Mutes;
use crate::intake::mutes_kept::{Kept, Newer};
use crate::journal::Journal;
use crate::outcome::Record;

/// The file of the state directory.
const FILE: &str = "mutes.json";
/// How many records of the journal are read at once.
const AT_ONCE: usize = 1000;
/// The largest file that is read, in octets.
const LARGEST: u64 = 64 << 20;
/// How often one looks while there are mutes.
const LOOK: Duration = Duration::from_secs(1);
/// How many looks there are from one writing to the next where much is withheld.
const SELDOM: u32 = 30;

/// Goes on with what an earlier process has left; whether it could be read. Called before messages are processed.
pub fn resume(shared: &Shared) -> bool {
    let directory = shared.journal.directory();
    let error = match read(directory) {
        Ok(Some(mut kept)) => {
            if let Err(error) = forget_what_is_overtaken(&shared.journal, &mut kept) {
                tracing::error!(%error, "cannot read the journal: a muted outcome may be sent after a newer one");
            }
            shared.commit.mutes.resume(kept);
            return true;
        }
        Ok(None) => return true,
        Err(error) => error,
    };
    let file = directory.join(FILE);
    let file = file.display();
    // Not written again over what may be read elsewhere.
    match Folder::existing(directory).and_then(|folder| folder.set_aside(FILE)) {
        Ok(aside) => tracing::error!(
            %error,
            "cannot read {file}: it is renamed to {aside}; mutes by command have ended, and what they withheld is not sent; mute again"
        ),
        Err(why) => tracing::error!(
            %error, %why,
            "cannot read {file}, nor rename it: mutes by command have ended, and what they withheld is not sent; mute again"
        ),
    }
    false
}

/// Leaves out what the journal has newer outcomes of.
fn forget_what_is_overtaken(journal: &Arc<Journal>, kept: &mut Kept) -> io::Result<()> {
    let mut newer = Newer::new(kept, |point| journal.resumes(point.epoch, point.next));
    let Some(first) = newer.first() else { return Ok(()) };
    let mut reader = journal.reader(first.max(journal.oldest()));
    let mut take = |record: Record<'_>, encoded: &[u8]| {
        newer.add(&record, encoded);
        true
    };
    while reader.read_encoded(AT_ONCE, &mut take)? > 0 {}
    let forgotten = newer.forget(kept);
    if forgotten > 0 {
        tracing::info!(outcomes = forgotten, "the journal has newer outcomes than {FILE} withholds");
    }
    Ok(())
}

/// Looks until told to stop. Sleeps while there are no mutes. Blocks.
pub async fn run(shared: Arc<Shared>, mut stop: Stop) {
    let (mut unsaid, mut looks) = (true, 0u32);
    loop {
        if shared.commit.mutes.any() {
            // To stop comes first, as in all loops here: a simulation repeats what has an order.
            tokio::select! {
                biased;
                () = told(&mut stop) => break,
                () = tokio::time::sleep(LOOK) => {}
            }
        } else {
            tokio::select! {
                biased;
                () = told(&mut stop) => break,
                () = shared.commit.mutes.changed() => {}
            }
        }
        looks = looks.wrapping_add(1);
        let said = shared.commit.last_words(shared.now());
        if said || looks % SELDOM == 0 || !shared.commit.mutes.is_large() {
            // Only now is forgotten on disk what was sent: a crash in between sends it twice.
            keep(&shared, &mut unsaid);
        }
    }
}

/// Writes the mutes if they have changed; `unsaid` says whether a failure is still to be logged.
pub fn keep(shared: &Shared, unsaid: &mut bool) {
    match save(&shared.commit.mutes, shared.journal.directory()) {
        Ok(()) => *unsaid = true,
        Err(error) if std::mem::take(unsaid) => {
            tracing::warn!(%error, "cannot write {FILE}: a crash forgets mutes; it is tried again; check the disk");
        }
        Err(_) => {}
    }
}

/// Writes the mutes if they have changed.
///
/// # Errors
///
/// If they cannot be written.
pub fn save(mutes: &Mutes, directory: &Path) -> io::Result<()> {
    let Some(kept) = mutes.take_changes() else { return Ok(()) };
    let written = Folder::existing(directory).and_then(|folder| {
        folder.replace(FILE, |file| serde_json::to_writer(file, &kept).map_err(io::Error::from))
    });
    if written.is_err() {
        mutes.not_written();
    }
    written
}

fn read(directory: &Path) -> io::Result<Option<Kept>> {
    match Folder::existing(directory).and_then(|folder| folder.read(FILE, LARGEST)) {
        Ok(bytes) => serde_json::from_slice(&bytes).map(Some).map_err(io::Error::from),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::files::faulty::{Faults, Faulty};
    use crate::intake::commit::Refused;
    use crate::intake::made::Made;
    use crate::intake::mute::Covers;
    use crate::journal::{Options, SyncPolicy, WhenFull};
    use crate::outcome::codec;
    use crate::outcome::result::Outcome;
    use crate::sinks::testing::check;
    use crate::time::clock::{TestClock, Wall};

    const SERVICES: usize = 50;

    fn payload(host: &str, output: &str) -> Vec<u8> {
        let mut payload = Vec::new();
        codec::encode(&Outcome::CheckResult(check(host, None, output)), &mut payload);
        payload
    }

    /// What was withheld of mutes that ended while no process ran.
    fn withheld_of(payloads: impl Iterator<Item = Vec<u8>>) -> Kept {
        let words = payloads
            .map(|payload| json!({ "payload": data_encoding::HEXLOWER.encode(&payload), "sinks": "*" }))
            .collect::<Vec<_>>();
        serde_json::from_value(json!({ "last_id": 1, "mutes": [], "words": words })).unwrap()
    }

    fn withheld(mutes: &Mutes) -> usize {
        mutes.to_json(Wall::from_micros(0))["withheld"].as_u64().unwrap() as usize
    }

    fn shared(disk: &Faulty, max_size: u64, clock: &Arc<TestClock>) -> Shared {
        let options = Options { directory: "/journal".into(), max_size, when_full: WhenFull::Refuse };
        let (journal, _) = Journal::open_on(Arc::new(disk.clone()), options, 7).unwrap();
        Shared::new(journal, SyncPolicy::Never, clock.clone())
    }

    #[test]
    fn last_words_stay_on_the_disk_while_the_journal_refuses() {
        let (disk, clock) = (Faulty::new(7), Arc::new(TestClock::default()));
        let shared = shared(&disk, 1 << 30, &clock);
        let payload = payload("h", "down");
        disk.set_faults(Faults { write: 1, ..Faults::default() });
        let mut made = Made::default();
        assert!(made.batch.push_encoded(&payload));
        let _ = shared.commit.batch(shared.now(), &mut made, Refused::Queues);
        assert!(shared.refusing());
        let mutes = &shared.commit.mutes;
        mutes.resume(withheld_of([payload].into_iter()));
        assert!(!shared.commit.last_words(shared.now()));
        assert_eq!(withheld(mutes), 1);
        disk.set_faults(Faults::default());
        clock.advance(Duration::from_mins(1));
        shared.commit.retry(shared.now());
        assert!(shared.commit.last_words(shared.now()));
        assert_eq!(withheld(mutes), 0);
    }

    #[test]
    fn last_words_that_the_journal_does_not_take_stay_withheld_whenever_it_refuses() {
        let (disk, clock) = (Faulty::new(7), Arc::new(TestClock::default()));
        let shared = shared(&disk, 1 << 20, &clock);
        // A sink that takes nothing.
        let behind = shared.journal.register("behind").unwrap();
        let mutes = &shared.commit.mutes;
        let long = "x".repeat(30_000);
        mutes.resume(withheld_of((0..SERVICES).map(|n| payload(&format!("h{n}"), &long))));
        let mut given = 0;
        for refused in 0..3 {
            clock.advance(Duration::from_secs(1));
            assert!(shared.commit.last_words(shared.now()));
            let next = shared.journal.next() as usize - 1;
            assert_eq!(next + withheld(mutes), SERVICES, "each is in one place");
            assert!(next > given || refused > 0);
            assert!(next < SERVICES, "it is full before");
            given = next;
            // What would be on the disk has all that is left, and nothing else.
            if let Some(kept) = mutes.take_changes() {
                let next = Mutes::default();
                next.resume(kept);
                assert_eq!(withheld(&next), withheld(mutes));
            }
        }
        drop(behind);
    }

    #[test]
    fn a_start_forgets_what_was_overtaken_while_the_disk_let_nobody_write() {
        for news in [false, true] {
            let directory = tempfile::tempdir().unwrap();
            let clock = Arc::new(TestClock::default());
            let start = || {
                let options = Options {
                    directory: directory.path().into(),
                    max_size: 1 << 30,
                    when_full: WhenFull::Refuse,
                };
                Shared::new(Journal::open(options, 7).unwrap().0, SyncPolicy::Never, clock.clone())
            };
            let dies = start();
            let commit = |output: &str| {
                let mut made = Made::default();
                assert!(made.batch.push_encoded(&payload("h", output)));
                let _ = dies.commit.batch(dies.now(), &mut made, Refused::Queues);
            };
            let (mutes, from) = (&dies.commit.mutes, dies.now().wall);
            let until = Wall::from_micros(from.micros() + 3_600_000_000);
            mutes.add(Covers { host: Some("h".into()), ..Covers::default() }, from, until).unwrap();
            commit("down");
            keep(&dies, &mut true);
            clock.advance(Duration::from_hours(2));
            if news {
                commit("up");
            }
            drop(dies);
            let next = start();
            assert!(resume(&next));
            assert_eq!(withheld(&next.commit.mutes), usize::from(!news));
        }
    }
}
