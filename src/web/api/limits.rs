//! How much may be asked: by token and second, by address for wrong tokens, and at a time for what costs much.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::kinds::Cost;
use super::problem::Problem;

use super::tokens::Hash;
use crate::shares::Shares;
use crate::time::clock::Mono;
use hyper::StatusCode;

/// Requests a second of a token, and how many may come at once.
const RATE: Allowance = Allowance { each: Duration::from_millis(50), burst: 40 };
/// Wrong tokens of an address.
const WRONG: Allowance = Allowance { each: Duration::from_secs(12), burst: 5 };
/// How many addresses have wrong tokens counted apart.
const ADDRESSES: usize = 4096;
/// Searches, exports and streams at a time.
const SEARCHES: usize = 4;
const EXPORTS: usize = 2;
const STREAMS: usize = 32;

/// How much may come.
#[derive(Debug, Clone, Copy)]
struct Allowance {
    each: Duration,
    burst: u32,
}

/// What has come: when as much as has come would have come at the rate.
#[derive(Debug, Clone, Copy, Default)]
struct Level(Mono);

impl Level {
    /// Takes one; else how long to wait.
    fn take(&mut self, allowance: Allowance, now: Mono) -> Result<(), Duration> {
        let after = self.0.max(now) + allowance.each;
        let most = allowance.each * allowance.burst;
        let wait = after.since(now).saturating_sub(most);
        if !wait.is_zero() {
            return Err(wait);
        }
        self.0 = after;
        Ok(())
    }
}

/// What was asked lately.
#[derive(Debug)]
pub struct Rates {
    tokens: HashMap<Hash, (Level, Mono)>,
    wrong: Shares<Level>,
}

impl Default for Rates {
    fn default() -> Self {
        Rates { tokens: HashMap::new(), wrong: Shares::new(ADDRESSES, Level::default()) }
    }
}

fn too_many(detail: &str, wait: Duration) -> Problem {
    let retry_after = Some(wait.as_secs() + 1);
    Problem { retry_after, ..Problem::new(StatusCode::TOO_MANY_REQUESTS, detail) }
}

impl Rates {
    /// A request with a token, which is valid.
    ///
    /// # Errors
    ///
    /// 429.
    pub fn request(&mut self, token: Hash, now: Mono) -> Result<(), Problem> {
        let (level, used) = self.tokens.entry(token).or_default();
        *used = now;
        level.take(RATE, now).map_err(|wait| too_many("more than 20 requests a second with this token", wait))
    }

    /// When each token was used last; those that are gone are forgotten.
    pub fn used(&mut self, tokens: &[Hash]) -> Vec<Option<Mono>> {
        self.tokens.retain(|hash, _| tokens.contains(hash));
        tokens.iter().map(|hash| self.tokens.get(hash).map(|(_, used)| *used)).collect()
    }

    /// A request with a wrong token.
    ///
    /// # Errors
    ///
    /// 429.
    pub fn wrong(&mut self, address: IpAddr, now: Mono) -> Result<(), Problem> {
        let level = self.wrong.of(address);
        level.take(WRONG, now).map_err(|wait| too_many("too many wrong tokens from this address", wait))
    }
}

/// Places for what costs much.
#[derive(Debug, Clone)]
pub struct AtOnce {
    searches: Arc<Semaphore>,
    exports: Arc<Semaphore>,
    streams: Arc<Semaphore>,
}

impl Default for AtOnce {
    fn default() -> Self {
        let places = |count| Arc::new(Semaphore::new(count));
        AtOnce { searches: places(SEARCHES), exports: places(EXPORTS), streams: places(STREAMS) }
    }
}

impl AtOnce {
    /// A place, kept until it is dropped; none is needed for what costs little.
    ///
    /// # Errors
    ///
    /// 429.
    pub fn take(&self, cost: Cost) -> Result<Option<OwnedSemaphorePermit>, Problem> {
        let (places, what) = match cost {
            Cost::Small | Cost::Login => return Ok(None),
            Cost::Search => (&self.searches, "4 searches run"),
            Cost::Export => (&self.exports, "2 exports run"),
            Cost::Stream => (&self.streams, "32 streams are open"),
        };
        let place = places.clone().try_acquire_owned();
        place.map(Some).map_err(|_| too_many(&format!("{what}; try again later"), Duration::from_secs(1)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_then_the_rate() {
        let mut rates = Rates::default();
        let at = |millis: u64| Mono::from_nanos((1_000_000 + millis) * 1_000_000);
        let many = |rates: &mut Rates, token: u8, now| {
            (0..100).filter(|_| rates.request([token; 32], now).is_ok()).count()
        };
        assert_eq!(many(&mut rates, 1, at(0)), 40);
        assert_eq!(many(&mut rates, 2, at(0)), 40);
        assert_eq!(many(&mut rates, 1, at(1000)), 20);
        let refused = rates.request([1; 32], at(1000)).unwrap_err();
        assert_eq!((refused.status.as_u16(), refused.retry_after), (429, Some(1)));
        let address = "192.0.2.1".parse().unwrap();
        let wrong = (0..100).filter(|_| rates.wrong(address, at(0)).is_ok()).count();
        assert_eq!(wrong, 5);
        assert!(rates.wrong(address, at(12_000)).is_ok());
        assert_eq!(rates.used(&[[1; 32], [3; 32]]), [Some(at(1000)), None]);
        assert_eq!(rates.tokens.len(), 1);
    }

    #[test]
    fn only_so_many_at_a_time() {
        let places = AtOnce::default();
        let held: Vec<_> = (0..SEARCHES).map(|_| places.take(Cost::Search).unwrap()).collect();
        assert_eq!(places.take(Cost::Search).unwrap_err().status.as_u16(), 429);
        assert!(places.take(Cost::Small).unwrap().is_none());
        drop(held);
        assert!(places.take(Cost::Search).unwrap().is_some());
    }
}
