//! The User-based Security Model (RFC 3414, RFC 3826, RFC 7860): who sent a v3 message, whether it is as it was
//! sent, and what is in it. Without I/O and without a clock; the cryptography is async-snmp's.
//!
//! Of traps the sender is the authoritative engine: its keys are localised when it is first seen, and kept once a
//! message of it was proven. Of informs this daemon is: senders learn its engine id, boots and time by Reports.
//!
//! `user` has the users and their keys, `engine` who is authoritative, `envelope` reads and writes the frame of a message,
//! [`open`] decides who gets in, `senders` is what it remembers of them, and [`originate`] is the side that sends.

mod engine;
mod envelope;
mod error;
pub mod open;
pub mod originate;
mod senders;
mod user;
pub mod users;

pub use async_snmp::v3::{AuthProtocol, PrivProtocol};
pub use engine::Engine;
pub use error::{Refused, UsmError};
pub use open::{Opened, Usm};
pub use senders::Senders;
pub use user::User;

#[cfg(test)]
mod tests;
