//! What this daemon remembers as an engine, whatever its users become: it outlives reloads.

use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::snmp::usm::engine::Engine;
use crate::snmp::usm::envelope::Envelope;
use crate::snmp::usm::report::Counts;
use crate::snmp::usm::salts::Salts;
use crate::snmp::usm::senders::Senders;

/// This daemon as an engine: who it is, which salts it has used, what it has counted, and what it knows of engines that send.
pub struct Memory {
    engine: Engine,
    pub(crate) salts: Salts,
    pub(crate) counts: Counts,
    senders: Mutex<Senders>,
}

impl std::fmt::Debug for Memory {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Memory").field("engine", &self.engine).finish_non_exhaustive()
    }
}

impl Memory {
    /// The memory of an engine whose boots were stored, and which knows these senders.
    ///
    /// # Errors
    ///
    /// If no random numbers are to be had.
    pub fn new(engine: Engine, senders: Senders) -> Result<Self, String> {
        let salts = Salts::of_boot(engine.boots)?;
        Ok(Memory { engine, salts, counts: Counts::default(), senders: Mutex::new(senders) })
    }

    /// The memory of the engine with this id at the moment that a message tells of, and that moment: for messages from a
    /// capture, of which nobody knows when they were sent.
    ///
    /// # Errors
    ///
    /// As [`Memory::new`].
    pub fn as_told(id: Vec<u8>, message: &[u8]) -> Result<(Self, u64), String> {
        let told = Envelope::read(message).map(|envelope| (envelope.boots, envelope.time));
        let (boots, time) = told.unwrap_or((1, 0));
        Ok((Self::new(Engine { id, boots, started: 0 }, Senders::default())?, time.into()))
    }

    /// Who it is.
    pub fn engine(&self) -> &Engine {
        &self.engine
    }

    /// What is known of engines that send.
    pub fn senders(&self) -> MutexGuard<'_, Senders> {
        self.senders.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
