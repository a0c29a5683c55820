//! Writes captured messages to their files.

use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::supervise::{Stop, told};
use crate::capture::buffer::Wanted;
use crate::capture::{Ring, in_force};
use crate::intake::Shared;

/// How long messages are gathered before they are written.
const DELAY: Duration = Duration::from_millis(20);
/// The longest sleep: what is too old goes within an hour.
const LONGEST: Duration = Duration::from_hours(1);

/// Runs on a thread of its own, as a write blocks, until told to stop. Nothing wakes it up while nothing is captured and nothing is left
/// of what was.
pub async fn run(shared: Arc<Shared>, mut stop: Stop) {
    let mut writer = Writer { shared: shared.clone(), ring: None, wanted: None, failed: None };
    loop {
        let changed = async {
            shared.capture.changed().await;
            tokio::time::sleep(DELAY).await;
        };
        let until_due = writer.until_due();
        let due = async {
            match until_due {
                Some(time) => tokio::time::sleep(time).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = changed => {}
            () = due => {}
            () = told(&mut stop) => return writer.write(),
        }
        writer.write();
    }
}

struct Writer {
    shared: Arc<Shared>,
    ring: Option<Ring>,
    wanted: Option<Wanted>,
    /// What the log has said of the ring.
    failed: Option<String>,
}

impl Writer {
    fn now(&self) -> i64 {
        self.shared.now().wall.micros()
    }

    fn until_due(&self) -> Option<Duration> {
        let due = self.ring.as_ref()?.next_due()?;
        let micros = u64::try_from(due.saturating_sub(self.now())).unwrap_or(0);
        // A file that cannot be removed is not tried without a pause.
        Some(Duration::from_micros(micros).clamp(Duration::from_secs(1), LONGEST))
    }

    /// Writes what waits. What cannot be written is counted, and said once.
    fn write(&mut self) {
        let shared = self.shared.clone();
        let capture = &shared.capture;
        let batch = capture.take();
        let count = batch.count();
        match self.try_write(batch.entries()) {
            Ok(()) => {
                capture.kept.fetch_add(count, Ordering::Relaxed);
                if self.failed.take().is_some() {
                    tracing::info!("messages are captured again");
                }
            }
            Err(error) => {
                capture.lost.fetch_add(count, Ordering::Relaxed);
                let said = error.to_string();
                if self.failed.as_ref() != Some(&said) {
                    tracing::warn!(
                        "cannot keep captured messages: {said}; they are counted as lost until it can be written; check the disk and the permissions of the folder 'capture' in the journal directory"
                    );
                }
                self.failed = Some(said);
            }
        }
        let bytes = self.ring.as_ref().map_or(0, Ring::bytes);
        capture.bytes.store(bytes, Ordering::Relaxed);
    }

    fn try_write<'e>(&mut self, entries: impl Iterator<Item = &'e [u8]>) -> io::Result<()> {
        let now = self.now();
        let Some(wanted) = self.shared.capture.wanted() else { return self.expire(now) };
        let directory = self.shared.journal.directory();
        let mut ring = match self.ring.take() {
            // The folder may have been removed with all that is in it.
            Some(ring) if ring.folder().list().is_ok() => ring,
            _ => {
                self.wanted = None;
                Ring::open(directory, wanted.settings, now)?
            }
        };
        ring.set(wanted.settings);
        ring.keep_age()?;
        let is_new = self.wanted.as_ref().is_none_or(|before| !Arc::ptr_eq(&before.rules, &wanted.rules));
        let written = if is_new || !in_force::is_there(ring.folder()) {
            in_force::write(ring.folder(), &wanted.rules)
        } else {
            Ok(())
        };
        if written.is_ok() {
            self.wanted = Some(wanted);
        }
        let appended = written.and_then(|()| ring.append(entries, now)).and_then(|()| ring.make_room(0, now));
        self.ring = Some(ring);
        appended
    }

    /// What was captured goes when it is as old as was configured, also when nothing is captured any more.
    fn expire(&mut self, now: i64) -> io::Result<()> {
        self.wanted = None;
        let ring = match self.ring.take().filter(|ring| ring.folder().list().is_ok()) {
            Some(ring) => Some(ring),
            None => Ring::left(self.shared.journal.directory())?,
        };
        let Some(mut ring) = ring else { return Ok(()) };
        ring.close(now);
        ring.make_room(0, now)?;
        if ring.is_empty() {
            in_force::remove(ring.folder())?;
            return ring.forget_age();
        }
        self.ring = Some(ring);
        Ok(())
    }
}
