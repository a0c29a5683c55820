//! How much may be asked: by token and second, by address for wrong tokens, and at a time for what costs much.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
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
const TRIALS: usize = 2;
/// How long a trial waits for the one before it of the same token: a page gives up one that it began before the last key.
const TURN: Duration = Duration::from_secs(4);
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

/// A place, kept until it is dropped.
#[derive(Debug)]
pub struct Place {
    _place: OwnedSemaphorePermit,
    /// The turn of its token.
    _turn: Option<OwnedSemaphorePermit>,
}

/// Places for what costs much.
#[derive(Debug)]
pub struct AtOnce {
    searches: Arc<Semaphore>,
    trials: Arc<Semaphore>,
    /// Turns of the tokens that try rules now.
    turns: Mutex<HashMap<Hash, Arc<Semaphore>>>,
    exports: Arc<Semaphore>,
    streams: Arc<Semaphore>,
    uploads: Arc<Semaphore>,
}

impl Default for AtOnce {
    fn default() -> Self {
        let places = |count| Arc::new(Semaphore::new(count));
        AtOnce {
            searches: places(SEARCHES),
            trials: places(TRIALS),
            turns: Mutex::default(),
            exports: places(EXPORTS),
            streams: places(STREAMS),
            uploads: places(1),
        }
    }
}

impl AtOnce {
    /// A place; none is needed for what costs little.
    ///
    /// # Errors
    ///
    /// 429.
    pub async fn take(&self, cost: Cost, token: Hash) -> Result<Option<Place>, Problem> {
        if cost != Cost::Trial {
            return self.place(cost).map(|place| place.map(|place| Place { _place: place, _turn: None }));
        }
        let wait = async {
            let turn = self.turn(token).acquire_owned().await.ok()?;
            Some(Place { _place: self.trials.clone().acquire_owned().await.ok()?, _turn: Some(turn) })
        };
        match tokio::time::timeout(TURN, wait).await {
            Ok(Some(place)) => Ok(Some(place)),
            _ => {
                let what = "rules are tried with this token, or with two others; try again later";
                Err(too_many(what, Duration::from_secs(1)))
            }
        }
    }

    /// The place of an upload, taken before it is read.
    ///
    /// # Errors
    ///
    /// 429.
    pub fn upload(&self) -> Result<OwnedSemaphorePermit, Problem> {
        let place = self.uploads.clone().try_acquire_owned();
        place.map_err(|_| too_many("another file is uploaded; try again later", Duration::from_secs(5)))
    }

    fn turn(&self, token: Hash) -> Arc<Semaphore> {
        let mut turns = self.turns.lock().unwrap_or_else(PoisonError::into_inner);
        // Who waits or works has one as well.
        turns.retain(|_, turn| Arc::strong_count(turn) > 1);
        turns.entry(token).or_insert_with(|| Arc::new(Semaphore::new(1))).clone()
    }

    fn place(&self, cost: Cost) -> Result<Option<OwnedSemaphorePermit>, Problem> {
        let (places, what) = match cost {
            Cost::Small | Cost::Login | Cost::Trial | Cost::Upload => return Ok(None),
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
        let held: Vec<_> = (0..SEARCHES).map(|_| places.place(Cost::Search).unwrap()).collect();
        assert_eq!(places.place(Cost::Search).unwrap_err().status.as_u16(), 429);
        assert!(places.place(Cost::Small).unwrap().is_none());
        drop(held);
        assert!(places.place(Cost::Search).unwrap().is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn a_token_tries_one_at_a_time_and_the_next_waits_for_its_turn() {
        let places = Arc::new(AtOnce::default());
        let trial = |token: u8| {
            let places = places.clone();
            async move { places.take(Cost::Trial, [token; 32]).await }
        };
        let first = trial(1).await.unwrap();
        assert_eq!(trial(1).await.unwrap_err().status.as_u16(), 429);
        let other = trial(2).await.unwrap();
        assert_eq!(trial(3).await.unwrap_err().status.as_u16(), 429, "two at a time in all");
        let waiting = tokio::spawn(trial(1));
        tokio::task::yield_now().await;
        drop(first);
        let first = waiting.await.unwrap().unwrap();
        assert!(first.is_some());
        drop((first, other));
        trial(4).await.unwrap();
        assert!(places.turns.lock().unwrap().len() <= 1);
    }
}
