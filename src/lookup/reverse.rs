//! Names of addresses by reverse DNS, without a wait on the path of a message.
//!
//! A message gets what the cache has. What is missing or too old is asked for by a few workers meanwhile, and later messages
//! get the answer. Cache and queue are bounded, and each address is in the queue once.

#![cfg_attr(not(test), deny(clippy::disallowed_methods))]

use std::collections::{HashMap, HashSet, VecDeque};
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::sync::Notify;

use crate::net::{NoName, Resolver};
use crate::time::clock::Mono;

/// For how long a name is taken from the cache before it is asked for again. Until the answer is there, the old name holds.
const NAME_HOLDS: Duration = Duration::from_hours(1);
/// For how long an address without a name is not asked for again.
const NO_NAME_HOLDS: Duration = Duration::from_mins(10);
/// The same, after a question that nobody could answer.
const FAILURE_HOLDS: Duration = Duration::from_mins(1);
/// How many addresses one generation of the cache holds; there are two.
const GENERATION: usize = 5_000;
/// How many addresses wait to be asked for. Further ones are not, until they come again.
const QUEUE: usize = 1_000;

/// The cache, and the addresses that are to be asked for.
#[derive(Debug, Default)]
pub struct ReverseNames {
    state: Mutex<State>,
    /// Wakes a worker up.
    asked: Notify,
    counts: Counts,
}

#[derive(Debug, Default)]
struct State {
    /// What was used lately. When it is full it becomes the old generation, and the one before is forgotten.
    young: HashMap<IpAddr, Entry>,
    old: HashMap<IpAddr, Entry>,
    queue: VecDeque<IpAddr>,
    /// The addresses that are in the queue or with a worker.
    open: HashSet<IpAddr>,
}

#[derive(Debug, Clone)]
struct Entry {
    name: Option<Box<str>>,
    until: Mono,
}

/// What became of questions.
#[derive(Debug, Default)]
struct Counts {
    named: AtomicU64,
    unnamed: AtomicU64,
    unconfirmed: AtomicU64,
    failed: AtomicU64,
    not_asked: AtomicU64,
}

impl ReverseNames {
    /// The name of an address, if it is known at once. Otherwise, or if the name is too old, the address is asked for.
    pub fn name(&self, address: IpAddr, now: Mono) -> Option<String> {
        let mut state = self.state();
        let entry = state.find(address);
        let name = entry.as_ref().and_then(|entry| entry.name.as_deref().map(str::to_owned));
        if entry.is_none_or(|entry| now >= entry.until) && !state.open.contains(&address) {
            if state.queue.len() < QUEUE {
                state.open.insert(address);
                state.queue.push_back(address);
                self.asked.notify_one();
            } else {
                self.counts.not_asked.fetch_add(1, Ordering::Relaxed);
            }
        }
        name
    }

    /// The next address to ask for.
    pub async fn next(&self) -> IpAddr {
        loop {
            let asked = self.asked.notified();
            if let Some(address) = self.state().queue.pop_front() {
                return address;
            }
            asked.await;
        }
    }

    /// Takes the answer for an address. An address that nobody could answer for keeps the name that it had.
    pub fn answered(&self, address: IpAddr, answer: &Result<String, NoName>, now: Mono) {
        let (counter, holds) = match answer {
            Ok(_) => (&self.counts.named, NAME_HOLDS),
            Err(NoName::None) => (&self.counts.unnamed, NO_NAME_HOLDS),
            Err(NoName::Unconfirmed(_)) => (&self.counts.unconfirmed, NO_NAME_HOLDS),
            Err(NoName::Failed(_)) => (&self.counts.failed, FAILURE_HOLDS),
        };
        counter.fetch_add(1, Ordering::Relaxed);
        let mut state = self.state();
        state.open.remove(&address);
        let name = match answer {
            Ok(name) => Some(name.as_str().into()),
            Err(NoName::Failed(_)) => state.find(address).and_then(|entry| entry.name),
            Err(_) => None,
        };
        state.insert(address, Entry { name, until: now + holds });
    }

    /// What became of questions, as `trapline status` shows it.
    pub fn to_json(&self) -> Value {
        let get = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let Counts { named, unnamed, unconfirmed, failed, not_asked } = &self.counts;
        json!({
            "named": get(named), "unnamed": get(unnamed), "unconfirmed": get(unconfirmed), "failed": get(failed),
            "not_asked": get(not_asked),
        })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Nothing panics while it is held.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn find(&mut self, address: IpAddr) -> Option<Entry> {
        if let Some(entry) = self.young.get(&address) {
            return Some(entry.clone());
        }
        let entry = self.old.remove(&address)?;
        self.insert(address, entry.clone());
        Some(entry)
    }

    fn insert(&mut self, address: IpAddr, entry: Entry) {
        if self.young.len() >= GENERATION && !self.young.contains_key(&address) {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(address, entry);
    }
}

/// The name of an address that leads back to it. Blocks for as long as the resolver does.
///
/// Whoever owns an address chooses its name in the DNS, so that the name counts only if it has this address.
///
/// # Errors
///
/// Why there is none.
pub fn confirmed(resolver: &dyn Resolver, address: IpAddr) -> Result<String, NoName> {
    let name = resolver.name_of(address)?;
    let addresses = resolver.addresses_of(&name)?;
    if addresses.iter().any(|found| found.to_canonical() == address) {
        Ok(name)
    } else {
        Err(NoName::Unconfirmed(name))
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    fn at(seconds: u64) -> Mono {
        Mono::default() + Duration::from_secs(seconds)
    }

    fn next(names: &ReverseNames) -> Option<IpAddr> {
        names.next().now_or_never()
    }

    fn count(names: &ReverseNames, which: &str) -> u64 {
        names.to_json()[which].as_u64().unwrap()
    }

    #[test]
    fn a_message_never_waits_and_each_address_is_asked_for_once() {
        let (names, address) = (ReverseNames::default(), ip("192.0.2.1"));
        for _ in 0..3 {
            assert_eq!(names.name(address, at(0)), None);
        }
        assert_eq!((next(&names), next(&names)), (Some(address), None));
        assert_eq!(names.name(address, at(1)), None);
        assert_eq!(next(&names), None, "a worker has it");
        names.answered(address, &Ok("router1.example.org".to_owned()), at(2));
        assert_eq!(names.name(address, at(3601)).as_deref(), Some("router1.example.org"));
        assert_eq!(next(&names), None);
        assert_eq!(names.name(address, at(3602)).as_deref(), Some("router1.example.org"), "old, but a name");
        assert_eq!(next(&names), Some(address));
        names.answered(address, &Err(NoName::Failed("no server".to_owned())), at(3603));
        assert_eq!(names.name(address, at(3604)).as_deref(), Some("router1.example.org"), "as it was");
        assert_eq!((count(&names, "named"), count(&names, "failed")), (1, 1));
    }

    #[test]
    fn answers_hold_by_what_they_are() {
        for (answer, seconds, counter) in [
            (Ok("a".to_owned()), 3600, "named"),
            (Err(NoName::None), 600, "unnamed"),
            (Err(NoName::Unconfirmed("a".to_owned())), 600, "unconfirmed"),
            (Err(NoName::Failed("no".to_owned())), 60, "failed"),
        ] {
            let (names, address) = (ReverseNames::default(), ip("2001:db8::1"));
            names.answered(address, &answer, at(100));
            let name = answer.ok();
            assert_eq!(names.name(address, at(99 + seconds)), name);
            assert_eq!(next(&names), None, "{counter}");
            assert_eq!(names.name(address, at(100 + seconds)), name);
            assert_eq!(next(&names), Some(address), "{counter}");
            assert_eq!(count(&names, counter), 1);
        }
    }

    #[test]
    fn forged_addresses_take_no_more_than_the_bounds() {
        let names = ReverseNames::default();
        let known = ip("192.0.2.1");
        names.answered(known, &Ok("known".to_owned()), at(0));
        for n in 0..20_000_u32 {
            let forged = IpAddr::V4((0x0a00_0000 + n).into());
            assert_eq!(names.name(forged, at(1)), None);
            if n % 2 == 0
                && let Some(address) = next(&names)
            {
                names.answered(address, &Err(NoName::None), at(1));
            }
            if n % 1000 == 0 {
                assert_eq!(names.name(known, at(1)).as_deref(), Some("known"), "what is used is kept");
            }
        }
        let state = names.state();
        assert!(state.young.len() + state.old.len() <= 2 * GENERATION);
        assert!(state.queue.len() <= QUEUE && state.open.len() <= QUEUE);
        drop(state);
        assert!(count(&names, "not_asked") > 0);
    }

    /// Names and addresses as somebody has put them into the DNS.
    #[derive(Debug)]
    struct Zone(&'static [(&'static str, &'static str)], &'static [(&'static str, &'static str)]);

    impl Resolver for Zone {
        fn name_of(&self, address: IpAddr) -> Result<String, NoName> {
            let found = self.0.iter().find(|(of, _)| ip(of) == address);
            found.map(|(_, name)| (*name).to_owned()).ok_or(NoName::None)
        }

        fn addresses_of(&self, name: &str) -> Result<Vec<IpAddr>, NoName> {
            let found = self.1.iter().filter(|(of, _)| *of == name).map(|(_, address)| ip(address));
            Ok(found.collect())
        }
    }

    #[test]
    fn a_name_counts_only_if_it_has_the_address() {
        let zone = Zone(
            &[
                ("192.0.2.1", "sw1.example.org"),
                ("2001:db8::1", "sw1.example.org"),
                ("203.0.113.66", "core-router.example.org"),
            ],
            &[
                ("sw1.example.org", "2001:db8::1"),
                ("sw1.example.org", "::ffff:192.0.2.1"),
                ("core-router.example.org", "192.0.2.254"),
            ],
        );
        let name = "sw1.example.org".to_owned();
        assert_eq!(confirmed(&zone, ip("192.0.2.1")), Ok(name.clone()));
        assert_eq!(confirmed(&zone, ip("2001:db8::1")), Ok(name));
        let forged = NoName::Unconfirmed("core-router.example.org".to_owned());
        assert_eq!(confirmed(&zone, ip("203.0.113.66")), Err(forged));
        assert_eq!(confirmed(&zone, ip("192.0.2.9")), Err(NoName::None));
    }
}
