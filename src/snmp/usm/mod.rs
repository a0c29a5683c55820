//! The User-based Security Model (RFC 3414, RFC 3826, RFC 7860): who sent a v3 message, whether it is as it was
//! sent, and what is in it. Without I/O and without a clock; the cryptography is that of async-snmp and of the crates that it is made of.
//!
//! Of traps the sender is the authoritative engine: its keys are localised when it is first seen, and kept once a
//! message of it was proven. Of informs this daemon is: senders learn its engine id, boots and time by Reports.
//!
//! `user` has the users and their keys, `auth_key` a key that proves (`sha_hmac` with most hashes), `privacy_key` one that encrypts, `engine` who is authoritative, `envelope` and `scoped` read and write a message, [`open`]
//! decides who gets in, `report` what the others are told, `memory`, `senders` and `keys` hold what is remembered,
//! `desk` and `room` what one listener has at hand, and [`originate`] is the side that sends.

mod auth_key;
mod desk;
mod engine;
mod envelope;
mod error;
mod keys;
mod memory;
pub mod open;
pub mod originate;
mod privacy_key;
mod report;
mod room;
mod salts;
mod scoped;
mod senders;
mod sha_hmac;
mod user;
pub mod users;

pub use async_snmp::v3::{AuthProtocol, PrivProtocol};
pub use desk::Desk;
pub use engine::Engine;
pub use error::{Refused, UsmError};
pub use memory::Memory;
pub use open::{Opened, Usm};
pub use senders::Senders;
pub use user::User;

#[cfg(test)]
pub(crate) mod crafted;
#[cfg(test)]
mod matrix_tests;
#[cfg(test)]
mod tests;
