//! What loops get from outside of the program: the time, the network, random numbers. `daemon` makes a [`World`] and hands
//! it out, so that the same loops run in a simulation, where all of it follows from one seed.

use std::fmt::Debug;
use std::hash::{BuildHasher, RandomState};
use std::net::{IpAddr, ToSocketAddrs as _};
use std::sync::Arc;

use crate::net::{Internet, Network, NoName, Resolver};
use crate::sys;
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
    /// Names of addresses.
    pub resolver: Arc<dyn Resolver>,
}

impl World {
    /// That of the operating system, with another clock.
    pub fn with_clock(clock: Arc<dyn Clock>) -> Self {
        let (network, random) = (Arc::new(Internet), Arc::new(SystemRandom));
        World { clock, network, random, resolver: Arc::new(SystemResolver) }
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

/// The resolver of the operating system: the files, name servers and whatever else nsswitch.conf names.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemResolver;

impl Resolver for SystemResolver {
    fn name_of(&self, address: IpAddr) -> Result<String, NoName> {
        sys::name_of(address).map_err(|error| NoName::Failed(error.to_string()))?.ok_or(NoName::None)
    }

    fn addresses_of(&self, name: &str) -> Result<Vec<IpAddr>, NoName> {
        let found = (name, 0).to_socket_addrs().map_err(|error| NoName::Failed(error.to_string()))?;
        Ok(found.map(|address| address.ip()).collect())
    }
}
