//! Places for connections, shared fairly by address: no address can take them all, and a newcomer finds one though silent
//! connections hold the rest.

use std::collections::HashMap;
use std::fmt;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::watch;

use crate::peer::Peer;
use crate::time::clock::Mono;

/// How long a connection must be silent to be closed for another one of the same address.
pub const SILENT: Duration = Duration::from_secs(30);

/// How many connections there may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// All together.
    pub total: usize,
    /// Of one address; of one /64 network in IPv6, as a host can have any address of its own.
    pub per_address: usize,
}

/// Why a connection gets no place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// Its address has as many as it may have, and none of them is silent.
    Address(usize),
    /// There are as many as there may be, and no address has more than its own.
    Total(usize),
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Refusal::Address(most) => write!(f, "its address has {most} already"),
            Refusal::Total(most) => write!(f, "{most} are open"),
        }
    }
}

/// Who shares places with whom.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Group {
    /// An IPv4 address, or a /64 network of IPv6: a host can have any address of its own.
    Address(IpAddr),
    /// The programs of a user of this machine, over a socket in the file system. They may have all places, as on many machines one
    /// user has nearly all programs, but are the first to make space if they have most.
    User(u32),
}

impl From<IpAddr> for Group {
    fn from(address: IpAddr) -> Self {
        Group::Address(match address.to_canonical() {
            IpAddr::V6(v6) => {
                let [a, b, c, d, ..] = v6.segments();
                Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0).into()
            }
            v4 @ IpAddr::V4(_) => v4,
        })
    }
}

impl From<Peer> for Group {
    fn from(peer: Peer) -> Self {
        match peer {
            Peer::Network(address) => address.ip().into(),
            Peer::Local(credentials) => Group::User(credentials.map_or(u32::MAX, |of| of.uid)),
        }
    }
}

impl fmt::Display for Group {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Group::Address(address) => address.fmt(f),
            Group::User(user) => write!(f, "user {user}"),
        }
    }
}

/// Places for the connections of one listener.
#[derive(Debug)]
pub struct Places(Mutex<Table>);

#[derive(Debug)]
struct Table {
    limits: Limits,
    total: usize,
    groups: HashMap<Group, Vec<Arc<Seat>>>,
}

#[derive(Debug)]
struct Seat {
    /// When its connection brought something last, in nanoseconds.
    heard: AtomicU64,
    displaced: watch::Sender<bool>,
}

impl Seat {
    fn heard(&self) -> Mono {
        Mono::from_nanos(self.heard.load(Ordering::Relaxed))
    }
}

/// The place of one connection, free again when dropped.
#[derive(Debug)]
pub struct Place {
    places: Arc<Places>,
    group: Group,
    seat: Arc<Seat>,
}

/// A place, and whose place it was.
#[derive(Debug)]
pub struct Taken {
    /// The place.
    pub place: Place,
    /// Whose connection was closed for it, and how long that was silent.
    pub displaced: Option<(Group, Duration)>,
}

impl Places {
    /// So many places.
    pub fn new(limits: Limits) -> Arc<Self> {
        Arc::new(Places(Mutex::new(Table { limits, total: 0, groups: HashMap::new() })))
    }

    /// Changes how many there are. Connections that are open stay open.
    pub fn set(&self, limits: Limits) {
        self.table().limits = limits;
    }

    /// Whether all places are taken.
    pub fn are_taken(&self) -> bool {
        let table = self.table();
        table.total >= table.limits.total
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a place for a connection that begins now. If there is none, the connection goes that was silent for longest:
    /// of the same address if that has its share, else of the address that has the most.
    ///
    /// # Errors
    ///
    /// [`Refusal`], if nobody else has to go.
    pub fn take(self: &Arc<Self>, whose: impl Into<Group>, now: Mono) -> Result<Taken, Refusal> {
        let group = whose.into();
        let mut table = self.table();
        let Limits { total, per_address } = table.limits;
        let per_address = if matches!(group, Group::User(_)) { total } else { per_address };
        let own = table.count(group);
        let displaced = if own >= per_address {
            let silent = table.longest_silent(group).filter(|seat| now.since(seat.heard()) >= SILENT);
            Some((group, silent.ok_or(Refusal::Address(per_address))?))
        } else if table.total >= total {
            let (largest, count) = table.largest().ok_or(Refusal::Total(total))?;
            let seat = table.longest_silent(largest).filter(|_| count > own + 1);
            Some((largest, seat.ok_or(Refusal::Total(total))?))
        } else {
            None
        };
        let displaced = displaced.map(|(group, seat)| {
            table.leave(group, &seat);
            seat.displaced.send_replace(true);
            (group, now.since(seat.heard()))
        });
        let seat = Arc::new(Seat { heard: AtomicU64::new(now.nanos()), displaced: watch::channel(false).0 });
        table.groups.entry(group).or_default().push(seat.clone());
        table.total += 1;
        drop(table);
        Ok(Taken { place: Place { places: self.clone(), group, seat }, displaced })
    }
}

impl Table {
    fn count(&self, group: Group) -> usize {
        self.groups.get(&group).map_or(0, Vec::len)
    }

    /// The address with the most connections.
    fn largest(&self) -> Option<(Group, usize)> {
        self.groups.iter().map(|(group, seats)| (*group, seats.len())).max_by_key(|(_, count)| *count)
    }

    fn longest_silent(&self, group: Group) -> Option<Arc<Seat>> {
        self.groups.get(&group)?.iter().min_by_key(|seat| seat.heard()).cloned()
    }

    /// Takes away a place, unless that was done already.
    fn leave(&mut self, group: Group, seat: &Arc<Seat>) {
        let Some(seats) = self.groups.get_mut(&group) else { return };
        let before = seats.len();
        seats.retain(|other| !Arc::ptr_eq(other, seat));
        self.total -= before - seats.len();
        if seats.is_empty() {
            self.groups.remove(&group);
        }
    }
}

impl Place {
    /// Its connection has brought something.
    pub fn heard(&self, now: Mono) {
        self.seat.heard.store(now.nanos(), Ordering::Relaxed);
    }

    /// Becomes true when another connection has got the place: this one is to end.
    pub fn displaced(&self) -> watch::Receiver<bool> {
        self.seat.displaced.subscribe()
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.places.table().leave(self.group, &self.seat);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn address(n: u8) -> IpAddr {
        IpAddr::from([192, 0, 2, n])
    }

    fn at(seconds: u64) -> Mono {
        Mono::from_nanos(1 + seconds * 1_000_000_000)
    }

    fn ended(place: &Place) -> bool {
        *place.displaced().borrow()
    }

    #[test]
    fn one_address_cannot_take_all_places() {
        let places = Places::new(Limits { total: 20, per_address: 5 });
        let take = |n, now| places.take(address(n), at(now)).map(|taken| taken.place);
        let first: Vec<Place> = (0..5).map(|_| take(1, 0).unwrap()).collect();
        assert_eq!(take(1, 1).unwrap_err(), Refusal::Address(5));
        // After a while its own silent connection makes space.
        first[0].heard(at(20));
        let again = take(1, 30).unwrap();
        assert_eq!(first.iter().filter(|place| ended(place)).count(), 1);
        assert!(!ended(&first[0]) && !ended(&again));
        drop(first);
        drop(again);
        assert!(!places.are_taken() && places.table().groups.is_empty());
    }

    #[test]
    fn when_all_are_taken_the_largest_address_gives_one() {
        let places = Places::new(Limits { total: 9, per_address: 4 });
        let take = |n, now| places.take(address(n), at(now));
        let greedy: Vec<Place> = (0..4).map(|n| take(1, 10 - n).unwrap().place).collect();
        let _others: Vec<Place> = (2..7).map(|n| take(n, 11).unwrap().place).collect();
        assert!(places.are_taken());
        let taken = take(9, 12).unwrap();
        assert_eq!(taken.displaced, Some((address(1).into(), Duration::from_secs(5))));
        assert!(ended(&greedy[3]) && !ended(&greedy[0]));
        let one_each: Vec<Place> = (10..12).map(|n| take(n, 12).unwrap().place).collect();
        assert_eq!(take(20, 13).unwrap_err(), Refusal::Total(9), "nobody has more than the newcomer would");
        drop(one_each);
        assert!(take(20, 13).unwrap().displaced.is_none());
    }

    #[test]
    fn a_network_of_v6_counts_as_one_address() {
        let places = Places::new(Limits { total: 9, per_address: 1 });
        let take = |text: &str| places.take(text.parse::<IpAddr>().unwrap(), at(0));
        let _one = take("2001:db8:0:1::1").unwrap();
        assert!(take("2001:db8:0:1:ffff::2").is_err());
        let _other = take("2001:db8:0:2::1").unwrap();
        let _mapped = take("::ffff:192.0.2.1").unwrap();
        assert!(take("192.0.2.1").is_err());
    }

    #[derive(Debug, Clone)]
    enum Step {
        Take(u8),
        Heard(usize),
        End(usize),
        Limits(usize, usize),
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            6 => (0u8..6).prop_map(Step::Take),
            2 => any::<usize>().prop_map(Step::Heard),
            2 => any::<usize>().prop_map(Step::End),
            1 => (1usize..12, 1usize..6).prop_map(|(total, own)| Step::Limits(total, own)),
        ]
    }

    proptest! {
        #[test]
        fn the_limits_hold_and_a_newcomer_gets_in(steps in prop::collection::vec(step(), 1..120)) {
            let mut limits = Limits { total: 6, per_address: 3 };
            let places = Places::new(limits);
            let mut open: Vec<(u8, Place)> = Vec::new();
            for (second, step) in steps.into_iter().enumerate() {
                let now = at(second as u64);
                match step {
                    Step::Take(n) => {
                        let own = open.iter().filter(|(of, _)| *of == n).count();
                        let before = open.len();
                        let taken = places.take(address(n), now);
                        open.retain(|(_, place)| !ended(place));
                        match taken {
                            Ok(taken) => {
                                prop_assert_eq!(taken.displaced.is_some(), open.len() < before);
                                open.push((n, taken.place));
                                prop_assert!(open.len() <= limits.total.max(before));
                                let own_now = open.iter().filter(|(of, _)| *of == n).count();
                                prop_assert!(own_now <= limits.per_address.max(own));
                            }
                            Err(Refusal::Address(_)) => prop_assert!(own >= limits.per_address),
                            Err(Refusal::Total(_)) => {
                                prop_assert!(before >= limits.total);
                                let most = (0..6).map(|n| open.iter().filter(|(of, _)| *of == n).count()).max();
                                prop_assert!(most <= Some(own + 1), "somebody has more");
                            }
                        }
                    }
                    Step::Heard(which) if !open.is_empty() => open[which % open.len()].1.heard(now),
                    Step::End(which) if !open.is_empty() => drop(open.swap_remove(which % open.len())),
                    Step::Heard(_) | Step::End(_) => {}
                    Step::Limits(total, per_address) => {
                        limits = Limits { total, per_address };
                        places.set(limits);
                    }
                }
                prop_assert_eq!(places.table().total, open.len());
            }
        }
    }
}
