//! Where entries wait until they are written.

#![cfg_attr(not(test), deny(clippy::disallowed_methods))]

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use super::entry::Entry;
use super::settings::Settings;
use crate::rules::compile::RuleFile;

/// The most bytes that wait to be written: some tenths of a second of the highest rate.
const MOST: usize = 16 << 20;
/// How many bytes of a batch are gathered before they are added.
const FULL: usize = 1 << 20;
/// The longest entry in bytes. A message has less than 64 KiB.
pub const LONGEST: usize = 1 << 17;

/// Entries of one listener on their way to the buffer, each behind its length (4, little-endian).
#[derive(Debug, Default)]
pub struct Batch {
    bytes: Vec<u8>,
    count: u64,
    /// Entries that are longer than one may be.
    lost: u64,
}

impl Batch {
    /// Adds an entry.
    pub fn push(&mut self, entry: &Entry<'_>) {
        let start = self.bytes.len();
        self.bytes.extend([0; 4]);
        entry.encode(&mut self.bytes);
        let length = self.bytes.len() - start - 4;
        if length > LONGEST {
            self.bytes.truncate(start);
            self.lost += 1;
            return;
        }
        self.bytes[start..start + 4].copy_from_slice(&(length as u32).to_le_bytes());
        self.count += 1;
    }

    /// Whether it is time to add it to the buffer.
    pub fn is_full(&self) -> bool {
        self.bytes.len() >= FULL
    }

    fn is_empty(&self) -> bool {
        self.count == 0 && self.lost == 0
    }

    /// The entries.
    pub fn entries(&self) -> impl Iterator<Item = &[u8]> {
        let mut rest = self.bytes.as_slice();
        std::iter::from_fn(move || {
            let (length, after) = rest.split_first_chunk::<4>()?;
            let (entry, after) = after.split_at_checked(u32::from_le_bytes(*length) as usize)?;
            rest = after;
            Some(entry)
        })
    }

    /// How many entries it has.
    pub fn count(&self) -> u64 {
        self.count
    }
}

/// What is captured at the moment, and with which rules in force.
#[derive(Debug, Clone)]
pub struct Wanted {
    /// `[capture]`
    pub settings: Settings,
    /// The rules in force, as they were read.
    pub rules: Arc<[RuleFile]>,
}

/// What listeners share with the thread that writes.
#[derive(Debug, Default)]
pub struct Capture {
    on: AtomicBool,
    waiting: Mutex<Batch>,
    wanted: Mutex<Option<Wanted>>,
    changed: Notify,
    /// Messages that were written.
    pub kept: AtomicU64,
    /// Messages that did not fit into the buffer, or could not be written.
    pub lost: AtomicU64,
    /// The bytes on disk.
    pub bytes: AtomicU64,
}

impl Capture {
    /// Whether messages are captured.
    pub fn is_on(&self) -> bool {
        self.on.load(Ordering::Relaxed)
    }

    /// Begins, changes or ends the capture.
    pub fn set(&self, wanted: Option<Wanted>) {
        self.on.store(wanted.is_some(), Ordering::Relaxed);
        *lock(&self.wanted) = wanted;
        self.changed.notify_one();
    }

    /// What is wanted.
    pub fn wanted(&self) -> Option<Wanted> {
        lock(&self.wanted).clone()
    }

    /// Takes the entries of a batch, which is empty then. What does not fit is counted.
    pub fn add(&self, batch: &mut Batch) {
        if batch.is_empty() {
            return;
        }
        let mut waiting = lock(&self.waiting);
        let was_empty = waiting.is_empty();
        if waiting.bytes.len() + batch.bytes.len() <= MOST {
            waiting.bytes.extend_from_slice(&batch.bytes);
            waiting.count += batch.count;
            batch.count = 0;
        }
        drop(waiting);
        self.lost.fetch_add(batch.lost + batch.count, Ordering::Relaxed);
        batch.bytes.clear();
        (batch.count, batch.lost) = (0, 0);
        if was_empty {
            self.changed.notify_one();
        }
    }

    /// Waits for something to write, or for a change of what is wanted.
    pub async fn changed(&self) {
        self.changed.notified().await;
    }

    /// What waits.
    pub fn take(&self) -> Batch {
        std::mem::take(&mut *lock(&self.waiting))
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // What a panicking thread left is whole, or is read up to the last whole entry.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;
    use crate::capture::Body;

    fn entry(body: &[u8]) -> Entry<'_> {
        Entry { received: 7, from: Ipv4Addr::LOCALHOST.into(), tags: None, body: Body::Packet(body) }
    }

    fn lost(capture: &Capture) -> u64 {
        capture.lost.load(Ordering::Relaxed)
    }

    #[test]
    fn what_does_not_fit_is_counted_and_what_fits_comes_out_whole() {
        let (capture, mut batch) = (Capture::default(), Batch::default());
        let body = vec![7; 60_000];
        let mut pushed = 0;
        while lost(&capture) == 0 {
            batch.push(&entry(&body));
            pushed += 1;
            if batch.is_full() {
                capture.add(&mut batch);
            }
        }
        let taken = capture.take();
        assert_eq!(taken.count() + lost(&capture), pushed);
        assert!(taken.bytes.len() <= MOST);
        assert_eq!(
            taken.entries().filter(|bytes| Entry::decode(bytes) == Some(entry(&body))).count() as u64,
            taken.count()
        );
        // One that is too long takes no other with it.
        let before = lost(&capture);
        batch.push(&entry(b"a"));
        batch.push(&entry(&vec![7; LONGEST + 1]));
        batch.push(&entry(b"b"));
        capture.add(&mut batch);
        assert_eq!((capture.take().count(), lost(&capture)), (2, before + 1));
    }

    #[tokio::test]
    async fn the_writer_is_woken_once_for_what_waits() {
        let (capture, mut batch) = (Capture::default(), Batch::default());
        for _ in 0..3 {
            batch.push(&entry(b"x"));
            capture.add(&mut batch);
        }
        capture.changed().await;
        assert_eq!(capture.take().count(), 3);
        capture.add(&mut batch);
        let nothing = tokio::time::timeout(std::time::Duration::from_millis(1), capture.changed()).await;
        assert!(nothing.is_err());
    }
}
