//! The User-based Security Model (RFC 3414, RFC 3826, RFC 7860): who sent a v3 message, whether it is as it was
//! sent, and what is in it. Without I/O and without a clock; the cryptography is async-snmp's.
//!
//! Of traps the sender is the authoritative engine: its keys are localised when it is first seen, and kept once a
//! message of it was proven. Of informs this daemon is: senders learn its engine id, boots and time by Reports.
//!
//! `user` has the users and their keys, `envelope` reads and writes the frame of a message, [`open`] decides
//! who gets in, `senders` is what it remembers of them, and [`originate`] is the side that sends.

mod envelope;
mod error;
pub mod open;
pub mod originate;
mod senders;
mod user;
pub mod users;

pub use async_snmp::v3::{AuthProtocol, PrivProtocol};
use async_snmp::v3::{DesSaltState, LocalizedKey, MasterKeys, PersistedDesSaltState, PrivKey, SaltCounter};

use crate::snmp::ber;
pub use error::{Refused, UsmError};
pub use open::{Opened, Usm};
pub use senders::Senders;
pub use user::User;

/// How far a message's time may be off, in seconds (RFC 3414, section 2.2.3).
const WINDOW: u64 = 150;

const AUTH: u8 = 1;
const PRIV: u8 = 2;
const REPORTABLE: u8 = 4;

/// What proves, and what encrypts.
type Keys = (LocalizedKey, Option<PrivKey>);

/// An authoritative engine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Engine {
    /// snmpEngineID.
    pub id: Vec<u8>,
    /// snmpEngineBoots.
    pub boots: u32,
    /// When this boot began, in seconds since 1970.
    pub started: u64,
}

impl Engine {
    /// snmpEngineTime: seconds since the boot.
    fn time(&self, now: u64) -> u32 {
        u32::try_from(now.saturating_sub(self.started)).unwrap_or(u32::MAX).min(u32::MAX >> 1)
    }
}

#[cfg(test)]
mod tests;
