//! The entries of the log that the state is kept in on disk.
//!
//! ```text
//! head    1   format 1   secret 16
//! change  2   engine time 8   lower 8   safe 8   count of outcomes, each with its length before it   images
//! taken   4   engine time 8   lower 8   safe 8   count of informs, 8 each   count of outcomes, each with its length before it   images
//! all     3
//! clocks  5   by how much the wall clock is ahead of the engine time 8
//! ```
//!
//! `taken` is a change by messages of which some are informs, by what they are known by: one that comes again is answered, and not
//! taken again. A change has everything that one decision has brought about: the outcomes, encoded, and the images of all entries that are
//! not as they were. `all` says that every entry has an image since the last head, so that what was before does not count.
//! A change is written before its outcomes are journaled. `lower` is a number that none of them is below,
//! `safe` one below which all outcomes in the journal are safe. Images are whole entries, so the last one of an entry counts.

use super::image::{Reader, Writer};
use super::key::Secret;

const HEAD: u8 = 1;
const CHANGE: u8 = 2;
const ALL: u8 = 3;
const TAKEN: u8 = 4;
const CLOCKS: u8 = 5;
const FORMAT: u8 = 1;

/// An entry of the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Entry<'b> {
    /// What keys are made with; the first entry.
    Head(Secret),
    /// What a decision has changed.
    Change(Change<'b>),
    /// Every entry has an image since the last head.
    All,
    /// By how much the wall clock is ahead of the engine time, in microseconds.
    Clocks(i64),
}

/// What a decision has changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change<'b> {
    /// The engine time.
    pub engine: i64,
    /// No outcome of it has a lower sequence number.
    pub lower: u64,
    /// All outcomes with lower sequence numbers are safe.
    pub safe: u64,
    /// The informs among the messages that have brought it about.
    pub informs: Vec<u64>,
    /// Its outcomes, encoded.
    pub outcomes: Vec<&'b [u8]>,
    /// The images.
    pub images: &'b [u8],
}

impl Entry<'_> {
    /// Its bytes.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Writer::default();
        match self {
            Entry::Head(secret) => {
                out.byte(HEAD);
                out.byte(FORMAT);
                out.fixed(secret.0[0]);
                out.fixed(secret.0[1]);
            }
            Entry::All => out.byte(ALL),
            Entry::Clocks(ahead) => {
                out.byte(CLOCKS);
                out.time(*ahead);
            }
            Entry::Change(change) => {
                out.byte(if change.informs.is_empty() { CHANGE } else { TAKEN });
                out.time(change.engine);
                out.fixed(change.lower);
                out.fixed(change.safe);
                if !change.informs.is_empty() {
                    out.number(change.informs.len() as u64);
                    change.informs.iter().for_each(|inform| out.fixed(*inform));
                }
                out.number(change.outcomes.len() as u64);
                for outcome in &change.outcomes {
                    out.number(outcome.len() as u64);
                    out.0.extend_from_slice(outcome);
                }
                out.0.extend_from_slice(change.images);
            }
        }
        out.0
    }

    /// The entry that these bytes are; none if they are none.
    pub fn decode(bytes: &[u8]) -> Option<Entry<'_>> {
        let mut from = Reader(bytes);
        match from.byte()? {
            HEAD if from.byte()? == FORMAT => Some(Entry::Head(Secret([from.fixed()?, from.fixed()?]))),
            kind @ (CHANGE | TAKEN) => {
                let (engine, lower, safe) = (from.time()?, from.fixed()?, from.fixed()?);
                let informs = if kind == TAKEN { from.number()? } else { 0 };
                let informs = (0..informs).map(|_| from.fixed()).collect::<Option<_>>()?;
                let outcomes = (0..from.number()?)
                    .map(|_| {
                        let length = usize::try_from(from.number()?).ok()?;
                        from.take(length)
                    })
                    .collect::<Option<_>>()?;
                Some(Entry::Change(Change { engine, lower, safe, informs, outcomes, images: from.0 }))
            }
            ALL => Some(Entry::All),
            CLOCKS => Some(Entry::Clocks(from.time()?)),
            _ => None,
        }
    }
}
