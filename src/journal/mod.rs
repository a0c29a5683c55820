//! The durable log: every outcome, from the moment its message was understood until every sink has it.
//!
//! # Layout
//!
//! ```text
//! DIRECTORY/
//!   lock                        held by the one process that has the journal open
//!   00000000000000000001.seg    segments, named after the sequence number of their first record
//!   00000000000000004711.seg    the newest is the one that is appended to
//!   7.spare                     the file of the next one, still empty
//!   cursors/NAME                how far the sink NAME is
//! ```
//!
//! A **segment** is a header and then records, back to back. All numbers are little-endian.
//!
//! ```text
//! header  magic "TRAPLINE"  8   format 4   reserved 4   epoch 8   first sequence number 8   crc32c of the 32 4   0 4
//! record  length of payload 4   crc32c of sequence number and payload 4   sequence number 8   payload
//! ```
//!
//! The payload is an outcome as [`codec`](crate::outcome::codec) writes it. The **epoch** is a random number, drawn
//! anew each time the journal is opened; epoch and sequence number together are the id of an outcome, unique for good,
//! even where a power cut made the same sequence number be given twice.
//!
//! A **cursor** file keeps what its sink is done with: everything before a sequence number, and some ranges behind it. See
//! [`progress`] for the format.
//!
//! # Invariants
//!
//! 1. Sequence numbers rise by one from record to record, across segments. A record is never changed.
//! 2. A record is visible to readers once it was written whole. It is safe from a crash of the process at that
//!    moment, from a power cut once [`Journal::sync`] has returned. What is visible only grows.
//! 3. A cursor names the lowest sequence number that its sink is not done with. It moves only forward, and only when the
//!    server has taken what is before it, or its dead letter is written.
//! 4. A segment is deleted when every registered cursor is past its last record, or when the journal is larger
//!    than its limit; then what cursors had not passed is counted as expired and said. With [`WhenFull::Refuse`]
//!    nothing is deleted that a cursor needs, and appending fails until there is room. The limit is checked for each
//!    segment: a batch goes into as many as it needs, and in parts if not all of it fits. The newest segment counts only
//!    as long as a cursor needs it, so a journal whose sinks have everything takes any record.
//! 5. On opening, what follows the last whole record of the newest segment is cut off and said. Appending goes
//!    on in a new segment. A damaged record is skipped, counted and said; reading goes on with the next place where a
//!    whole record stands.
//! 6. A failed write leaves the journal as it was before: the segment is cut back, or given up for a new one and cut back as
//!    soon as the disk lets it. A power cut before that, which takes the new one, can bring back what the write left.
//! 7. Nothing waits for the disk under the lock that appends need: syncs and removals come after it.
//! 8. If somebody removes or replaces the directory or the newest segment, nothing is promised any more and appending
//!    fails, until they are restored. The newest segment is restored with its records.
//! 9. A journal that is opened on a disk without room for a segment, or for the file of a cursor, has its records and its cursors, and
//!    takes no outcomes until there is room. What sinks have taken makes some.
//! 10. After a failed sync the system may have forgotten what it could not write, and the next one succeeds all the
//!     same. So the segment is given up for a new one, and what was not safe then is not promised by any later sync, but when it was read,
//!     found whole, written again in its place and synced: [`Journal::mend`]. The next process that opens the
//!     journal writes what it finds again, too, as it cannot know what the disk has.

pub mod batch;
mod begin;
pub mod cursor;
mod cursors;
mod durable;
pub mod inspect;
pub mod log;
mod mend;
pub mod payload;
pub mod place;
pub mod progress;
pub mod reader;
mod recover;
pub mod segment;
pub mod settings;
mod shape;
mod spare;
mod sync;
mod tail;
mod visible;

pub use batch::Batch;
pub use cursor::Cursor;
pub use log::{AppendError, Journal, OpenError, Options, Point};
pub use payload::Payload;
pub use place::Looked;
pub use reader::{Encoded, Reader};
pub use recover::Recovery;
pub use settings::{MIN_SIZE, Settings, SyncPolicy, WhenFull};
pub use visible::Follower;

#[cfg(test)]
mod mend_tests;
#[cfg(test)]
mod model_tests;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod visible_tests;
