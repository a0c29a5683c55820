//! When the progress of a sink is written and synced.

use std::time::Duration;

use crate::journal::Cursor;
use crate::journal::cursor::Reached;
use crate::sinks::machine::Machine;
use crate::time::clock::Mono;

/// The progress is written when this has passed since it was written last, or when so many more outcomes are done.
const WRITE_EVERY: Duration = Duration::from_millis(20);
/// After this time it is written when the sink is awake, so that a stream of outcomes does not wake it for that.
const WRITE_ALONG: Duration = Duration::from_millis(15);
const WRITE_AFTER: u64 = 512;
/// The time between two writes is longer by this for each outcome that is open and not in memory: each may be a range of the progress.
const FOR_EACH_PARKED: Duration = Duration::from_micros(1);
/// How long after a write it is synced.
const SYNC_AFTER: Duration = Duration::from_secs(1);
/// The same while the journal refuses outcomes: only what is synced makes space.
const HURRY: Duration = Duration::from_millis(50);

/// Keeps the progress of a sink in its cursor's file.
#[derive(Debug)]
pub(super) struct Keeper {
    /// How many numbers were done when the progress was written last.
    done: u64,
    written: Mono,
    /// Since when something is written that is not synced.
    unsynced: Option<Mono>,
    /// Whether the last write or sync failed, which is said once.
    failing: bool,
}

impl Keeper {
    /// One for a machine that starts.
    pub(super) fn new(machine: &Machine) -> Self {
        Keeper { done: done(machine), written: Mono::default(), unsynced: None, failing: false }
    }

    /// Tells how far the machine is, and writes or syncs it if it is time. Returns whether it was synced. `hurry` is true
    /// while the journal refuses outcomes.
    pub(super) fn keep(
        &mut self,
        sink: &str,
        cursor: &Cursor,
        machine: &Machine,
        now: Mono,
        hurry: bool,
    ) -> bool {
        let reached =
            Reached { position: machine.cursor(), read: machine.position(), open: machine.open() as u64 };
        cursor.reach(reached, machine.done_ahead());
        let new = done(machine) - self.done;
        let write = new >= WRITE_AFTER + machine.parked() as u64 / 8
            || (new > 0 && now.since(self.written) >= WRITE_ALONG + more(machine));
        let sync = self.unsynced.is_some_and(|since| now.since(since) >= sync_after(machine, hurry));
        if sync {
            let result = cursor.sync(machine.progress());
            // After a failure the next try is a second later too.
            self.unsynced = result.is_err().then_some(now);
            self.wrote(sink, machine, now, result);
        } else if write {
            self.unsynced.get_or_insert(now);
            self.wrote(sink, machine, now, cursor.write(machine.progress()));
        }
        sync
    }

    /// Syncs what is not synced: nothing more comes.
    pub(super) fn end(&mut self, sink: &str, cursor: &Cursor, machine: &Machine, now: Mono) {
        if done(machine) > self.done || self.unsynced.is_some() {
            self.unsynced = None;
            self.wrote(sink, machine, now, cursor.sync(machine.progress()));
        }
    }

    /// When there is something to do.
    pub(super) fn due(&self, machine: &Machine, hurry: bool) -> Option<Mono> {
        let write = (done(machine) > self.done).then_some(self.written + WRITE_EVERY + more(machine));
        write.into_iter().chain(self.unsynced.map(|since| since + sync_after(machine, hurry))).min()
    }

    fn wrote(&mut self, sink: &str, machine: &Machine, now: Mono, result: std::io::Result<()>) {
        (self.done, self.written) = (done(machine), now);
        match result {
            Ok(()) => self.failing = false,
            Err(error) if !self.failing => {
                self.failing = true;
                tracing::error!(
                    sink, %error,
                    "cannot write the cursor; after a restart outcomes will be delivered again; check the disk"
                );
            }
            Err(_) => {}
        }
    }
}

fn sync_after(machine: &Machine, hurry: bool) -> Duration {
    if hurry { HURRY + more(machine) } else { SYNC_AFTER }
}

/// By how much more writes are apart: the more is open, the longer they are.
fn more(machine: &Machine) -> Duration {
    FOR_EACH_PARKED * u32::try_from(machine.parked()).unwrap_or(u32::MAX)
}

/// How many numbers are done, from some start on.
fn done(machine: &Machine) -> u64 {
    machine.position() - machine.open() as u64
}
