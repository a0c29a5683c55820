//! What loops get from outside of the program: the time, the network, random numbers. `daemon` makes a [`World`] and hands
//! it out, so that the same loops run in a simulation, where all of it follows from one seed.

use std::fmt::Debug;
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;

use crate::net::{Internet, Network};
use crate::time::clock::{Clock, SystemClock};

/// The outside. Clones are the same one.
#[derive(Debug, Clone)]
pub struct World {
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Connections to servers.
    pub network: Arc<dyn Network>,
    /// Random numbers.
    pub random: Arc<dyn Random>,
}

impl World {
    /// That of the operating system, with another clock.
    pub fn with_clock(clock: Arc<dyn Clock>) -> Self {
        World { clock, network: Arc::new(Internet), random: Arc::new(SystemRandom) }
    }
}

impl Default for World {
    /// That of the operating system.
    fn default() -> Self {
        World::with_clock(Arc::new(SystemClock))
    }
}

/// Gives random numbers that nobody can predict.
pub trait Random: Debug + Send + Sync {
    /// The next one.
    fn next(&self) -> u64;
}

/// Random numbers of the operating system.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemRandom;

impl Random for SystemRandom {
    fn next(&self) -> u64 {
        // The keys of the standard library's tables are as unpredictable, and are there without an error to handle.
        getrandom::u64().unwrap_or_else(|_| RandomState::new().hash_one(0))
    }
}
