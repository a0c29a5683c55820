//! Which services each host has, as Zabbix was told: a discovery rule is told all of them each time, and what it is not told is
//! lost for it.

use std::collections::HashMap;
use std::time::Duration;

use super::values::{Value, discovery};
use crate::sinks::memory::Memory;
use crate::time::clock::Mono;

/// The most services of a host. Beyond them the one that was new the longest ago goes.
const MOST: usize = 500;
/// How often a host is told its services again, when an outcome of it comes.
const AGAIN: Duration = Duration::from_hours(1);
/// How long a host without a discovery rule is not asked again, and how many such hosts are remembered.
const PAUSE: Duration = Duration::from_mins(10);
const MOST_PAUSED: usize = 10_000;

/// The services of hosts.
pub(super) struct Services {
    /// The services of each host that has a discovery rule, the newest last.
    known: Memory<Vec<String>>,
    /// When each of these hosts was told last.
    told: HashMap<String, Mono>,
    /// Hosts without a discovery rule, and when that was found.
    without: HashMap<String, Mono>,
}

impl Services {
    pub(super) fn new(known: Memory<Vec<String>>) -> Self {
        Services { known, told: HashMap::new(), without: HashMap::new() }
    }

    /// What a host is to be told before values of some of its services. `urgent` if it has refused these values before; `time` is
    /// that of the values, in microseconds since 1970 UTC.
    pub(super) fn news(
        &mut self,
        host: &str,
        services: &[&str],
        urgent: bool,
        time: i64,
        now: Mono,
    ) -> Option<Value> {
        let since = |times: &HashMap<String, Mono>| times.get(host).map(|then| now.since(*then));
        if !urgent && since(&self.without).is_some_and(|passed| passed < PAUSE) {
            return None;
        }
        let known = self.known.values().get(host).map(Vec::as_slice).unwrap_or_default();
        let is_new = services.iter().any(|service| !has(known, service));
        if !is_new && !urgent && since(&self.told).is_some_and(|passed| passed < AGAIN) {
            return None;
        }
        let others = known.iter().map(String::as_str).filter(|other| !services.contains(other));
        let all: Vec<&str> = others.chain(services.iter().copied()).collect();
        let all = &all[all.len().saturating_sub(MOST)..];
        Some(discovery(host, all.iter().copied(), time))
    }

    /// The host has been told, or has no discovery rule.
    pub(super) fn told(&mut self, host: &str, services: &[&str], taken: bool, now: Mono) {
        if !taken {
            if self.without.len() >= MOST_PAUSED {
                self.without.clear();
            }
            self.without.insert(host.to_owned(), now);
            return;
        }
        self.without.remove(host);
        self.told.insert(host.to_owned(), now);
        let known = self.known.values().get(host).map(Vec::as_slice).unwrap_or_default();
        let new = services.iter().filter(|service| !has(known, service)).map(|service| (*service).to_owned());
        let new: Vec<String> = new.collect();
        if !new.is_empty() {
            let mut all: Vec<String> = known.iter().cloned().chain(new).collect();
            all.drain(..all.len().saturating_sub(MOST));
            self.known.set(host, all);
        }
    }

    /// Writes what has changed.
    pub(super) fn keep(&mut self) {
        self.known.keep();
    }
}

fn has(known: &[String], service: &str) -> bool {
    known.iter().any(|known| known == service)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Mono {
        Mono::default() + Duration::from_secs(seconds)
    }

    #[test]
    fn a_host_is_told_all_its_services_when_one_is_new_and_every_hour() {
        let journal = tempfile::tempdir().unwrap();
        let path = journal.path().join("sinks/z");
        let mut services = Services::new(Memory::new("z".into(), path.clone()));
        let rows = |value: Option<Value>| value.map(|value| value.value.matches("{#SERVICE}").count());
        assert_eq!(rows(services.news("h", &["a"], false, 0, at(0))), Some(1));
        services.told("h", &["a"], true, at(0));
        assert_eq!(rows(services.news("h", &["a"], false, 0, at(1))), None);
        assert_eq!(
            rows(services.news("h", &["a"], true, 0, at(1))),
            Some(1),
            "its item may not be there yet"
        );
        assert_eq!(rows(services.news("h", &["b", "a"], false, 0, at(1))), Some(2));
        services.told("h", &["b", "a"], true, at(1));
        assert_eq!(rows(services.news("h", &["a"], false, 0, at(3602))), Some(2));
        services.keep();
        let mut services = Services::new(Memory::new("z".into(), path));
        assert_eq!(rows(services.news("h", &["a"], false, 0, at(0))), Some(2), "also after a restart");
        services.told("other", &["a"], false, at(0));
        assert_eq!(rows(services.news("other", &["a"], false, 0, at(599))), None, "it has no rule");
        assert_eq!(rows(services.news("other", &["a"], true, 0, at(599))), Some(1));
        assert_eq!(rows(services.news("other", &["a"], false, 0, at(600))), Some(1));
        for n in 0..600 {
            services.told("h", &[&n.to_string()], true, at(0));
        }
        assert_eq!(rows(services.news("h", &["a"], true, 0, at(0))), Some(MOST));
    }
}
