//! What rules keep over time: duplicates, thresholds, holds, pairs of problems and clears, throttles, escalations, reminders,
//! expiries, and messages that must come.
//!
//! [`Correlator::decide`] takes what rules make of a message, [`Correlator::advance`] the passing of time. Both give
//! [`Effects`]: outcomes to be journaled. Nothing here reads a clock, does I/O or takes a lock.
//!
//! # Order
//!
//! An outcome goes through threshold, hold or clear, dedup and throttle. What one of them swallows goes no further.
//! Escalations, reminders and expiries are not throttled.
//!
//! # Laws
//!
//! 1. A problem is what has a key. An outcome that is ok or up, of any rule, clears the problem of its key,
//!    but that of a rule that expects messages does not while those of another key are late. Receivers know services: of several problems
//!    of a service the worst is sent, and ok only when the last one closes.
//! 2. The last word passes. Dedup swallows only the state that was sent last; of what a throttle or flapping swallows, the
//!    latest is sent at the end if it is news.
//! 3. Windows are half-open: a message at their end is outside. What is due at a time happens before a message of that time.
//! 4. Time is that of arrival on an even clock; jumps of the wall clock change nothing.
//! 5. Without room a rule behaves as one without state: nothing is lost, and no false alarm is raised.

mod core;
mod correlator;
mod count;
mod decide;
mod effects;
mod elsewhere;
mod expect;
mod expectation;
mod fire;
mod image;
mod index;
mod kept;
mod key;
mod moment;
mod presence;
mod preview;
mod problem;
mod problems;
pub mod record;
mod replay;
mod send;
mod services;
mod slots;
pub mod steps;
mod table;
mod texts;
mod threshold;
mod told;
pub mod view;
mod wheel;
mod wide;

pub use core::{Limits, QUIET, Usage};
pub use correlator::{Correlator, HEAD, Summary};
pub use effects::{Effects, Kind, Now, Reason, Verdict};
pub use key::{Facts, Key, Secret, Sender};
pub use presence::Presence;
pub use preview::preview;
pub use replay::Replay;
pub use told::Told;

#[cfg(test)]
mod case_tests;
#[cfg(test)]
mod expect_tests;
#[cfg(test)]
mod law_tests;
#[cfg(test)]
mod model_tests;
#[cfg(test)]
mod taken_back_tests;
#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod wide_tests;
