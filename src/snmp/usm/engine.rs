//! Authoritative engines: who they are, and what time it is for them.

use crate::snmp::usm::auth_key::AuthKey;
use crate::snmp::usm::privacy_key::PrivacyKey;

/// How far a message's time may be off, in seconds (RFC 3414, section 2.2.3).
pub(crate) const WINDOW: u64 = 150;

/// The highest snmpEngineBoots and snmpEngineTime (RFC 3414, section 2.2).
pub(crate) const MAX_COUNT: u32 = u32::MAX >> 1;

/// The keys of a user for one engine: what proves, and what encrypts.
pub(crate) type Keys = (AuthKey, Option<PrivacyKey>);

/// An authoritative engine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Engine {
    /// snmpEngineID.
    pub id: Vec<u8>,
    /// snmpEngineBoots.
    pub boots: u32,
    /// When this boot began, in seconds of the monotonic clock that messages are received by.
    pub started: u64,
}

impl Engine {
    /// snmpEngineTime: seconds since the boot.
    pub(crate) fn time(&self, now: u64) -> u32 {
        u32::try_from(now.saturating_sub(self.started)).unwrap_or(MAX_COUNT).min(MAX_COUNT)
    }
}
