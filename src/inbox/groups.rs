//! The groups of an inbox: bounded, pure.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::net::IpAddr;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::course::Course;
use crate::time::clock::{Mono, Now};

/// How many groups are kept.
pub const MAX_GROUPS: usize = 2000;
/// How many groups may begin with messages of one sender. What it sends of further kinds is one group.
pub const MAX_GROUPS_OF_ONE: usize = 200;
/// How many senders a group tells apart.
pub const MAX_SENDERS: usize = 64;
/// How many messages of a group are kept.
pub const MAX_SAMPLES: usize = 20;
/// How many bytes the messages of a group may have. The newest one is kept whatever its size.
pub const MAX_BYTES: usize = 160 * 1024;
/// How many bytes the messages of all groups may have.
pub const MAX_ALL: usize = 8 << 20;
/// How long a group does not keep another message after it has kept one, once it has [`MAX_SAMPLES`].
const PAUSE: Duration = Duration::from_millis(100);

/// What the messages of a group have in common.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Key {
    /// Notifications with this OID.
    Trap(String),
    /// Lines of a program, by [`mask`](super::mask::mask).
    Line {
        /// The program, if the line names one.
        program: Option<String>,
        /// What the lines have in common.
        text: String,
    },
    /// What was posted: what it is, and the service or the name of its `[[intake.json]]`.
    Posted {
        /// `checkin` or `json`.
        kind: String,
        /// The name.
        name: String,
    },
    /// Packets that cannot be decoded, by the reason.
    Malformed(String),
    /// Further kinds of messages of a sender that has begun as many groups as one sender may.
    Others(IpAddr),
}

/// A message as it came.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Raw {
    /// A packet of SNMP v1 or v2c without its community, or the PDU of a v3 message in a v2c message, in hex.
    Packet(String),
    /// A line of syslog.
    Line(String),
    /// The first octets of a packet that cannot be decoded, without what may be a community, in hex.
    Octets(String),
    /// What was posted, as [`written`](crate::posted::kept::written) writes it.
    Posted(String),
}

impl Raw {
    fn bytes(&self) -> usize {
        let (Raw::Packet(text) | Raw::Line(text) | Raw::Octets(text) | Raw::Posted(text)) = self;
        text.len()
    }
}

/// A message that is kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sample {
    /// When it was received, in microseconds since 1970 UTC.
    pub received: i64,
    /// Who sent it.
    pub from: IpAddr,
    /// The user of an SNMPv3 message.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// Whether it is a line whose end is missing.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub cut: bool,
    /// The message.
    pub raw: Raw,
}

/// Messages of one kind.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Group {
    /// Stays the same as long as the group is kept.
    pub id: u64,
    /// What they have in common.
    pub key: Key,
    /// How many there were.
    pub count: u64,
    /// When the first one was received, in microseconds since 1970 UTC.
    pub first: i64,
    /// When the last one was received.
    pub last: i64,
    /// Rises with each message of all groups: the group whose number is highest had the newest one, whatever the wall clock
    /// was set to meanwhile.
    #[serde(default)]
    order: u64,
    /// How many each sender has sent, of the first [`MAX_SENDERS`].
    pub senders: BTreeMap<IpAddr, u64>,
    /// How many all others have sent.
    #[serde(default)]
    pub other_senders: u64,
    /// The last messages, the oldest first.
    pub samples: VecDeque<Sample>,
    /// Whose message began it.
    pub begun_by: IpAddr,
    /// How many came in each minute of the last hour.
    #[serde(default, skip_serializing_if = "Course::is_empty")]
    pub course: Course,
    #[serde(skip)]
    sampled: Option<Mono>,
    /// The bytes of all samples.
    #[serde(skip)]
    bytes: usize,
}

impl Group {
    fn new(id: u64, key: Key, from: IpAddr, now: Now) -> Self {
        let received = now.wall.micros();
        Group {
            id,
            key,
            count: 0,
            first: received,
            last: received,
            order: 0,
            senders: BTreeMap::new(),
            other_senders: 0,
            samples: VecDeque::new(),
            begun_by: from,
            course: Course::default(),
            sampled: None,
            bytes: 0,
        }
    }

    fn count(&mut self, from: IpAddr, now: Now, order: u64) {
        self.count += 1;
        self.order = order;
        self.last = now.wall.micros();
        self.course.count(now);
        if let Some(count) = self.senders.get_mut(&from) {
            *count += 1;
        } else if self.senders.len() < MAX_SENDERS {
            self.senders.insert(from, 1);
        } else {
            self.other_senders += 1;
        }
    }

    /// Higher for a group with a newer message. Groups of earlier versions of the file are told by the wall clock.
    pub fn age_rank(&self) -> impl Ord + use<> {
        (self.order, self.last, self.id)
    }

    /// Whether another message is to be kept: always the first ones, then no more than the pause allows.
    fn samples_now(&self, now: Mono) -> bool {
        self.samples.len() < MAX_SAMPLES || self.sampled.is_none_or(|at| now.since(at) >= PAUSE)
    }

    /// Keeps a message, and no more than it may.
    fn keep(&mut self, sample: Sample, now: Mono) {
        self.bytes += sample.raw.bytes();
        self.samples.push_back(sample);
        self.sampled = Some(now);
        while self.samples.len() > 1 && (self.samples.len() > MAX_SAMPLES || self.bytes > MAX_BYTES) {
            self.drop_oldest();
        }
    }

    fn drop_oldest(&mut self) {
        if let Some(oldest) = self.samples.pop_front() {
            self.bytes -= oldest.raw.bytes();
        }
    }
}

/// All groups.
#[derive(Debug, Default)]
pub struct Groups {
    groups: HashMap<Key, Group>,
    begun: HashMap<IpAddr, usize>,
    next: u64,
    /// How many messages there were.
    order: u64,
    bytes: usize,
}

impl Groups {
    /// Groups that were kept in a file.
    pub fn from_groups(groups: impl IntoIterator<Item = Group>) -> Self {
        let mut all = Groups::default();
        for mut group in groups.into_iter().take(MAX_GROUPS) {
            group.bytes = group.samples.iter().map(|sample| sample.raw.bytes()).sum();
            all.next = all.next.max(group.id);
            all.order = all.order.max(group.order);
            all.bytes += group.bytes;
            *all.begun.entry(group.begun_by).or_default() += 1;
            all.groups.insert(group.key.clone(), group);
        }
        all
    }

    /// Counts a message. `sample` gives the message as it came; it is called only if the message is kept.
    pub fn add(&mut self, key: Key, from: IpAddr, now: Now, sample: impl FnOnce() -> Sample) {
        let key = self.key_for(key, from);
        if !self.groups.contains_key(&key) {
            self.begin(key.clone(), from, now);
        }
        let Some(group) = self.groups.get_mut(&key) else { return };
        self.order += 1;
        group.count(from, now, self.order);
        if group.samples_now(now.mono) {
            let before = group.bytes;
            group.keep(sample(), now.mono);
            self.bytes = self.bytes + group.bytes - before;
            self.shrink();
        }
    }

    /// The group that a message is counted in.
    fn key_for(&self, key: Key, from: IpAddr) -> Key {
        let full = self.begun.get(&from).is_some_and(|begun| *begun >= MAX_GROUPS_OF_ONE);
        if full && !self.groups.contains_key(&key) { Key::Others(from) } else { key }
    }

    fn begin(&mut self, key: Key, from: IpAddr, now: Now) {
        if self.groups.len() >= MAX_GROUPS {
            let longest_silent = self.groups.values().min_by_key(|group| group.age_rank());
            if let Some(id) = longest_silent.map(|group| group.id) {
                self.forget(id);
            }
        }
        self.next += 1;
        *self.begun.entry(from).or_default() += 1;
        self.groups.insert(key.clone(), Group::new(self.next, key, from, now));
    }

    /// Takes messages of the group that has most, until all are within the limit.
    fn shrink(&mut self) {
        while self.bytes > MAX_ALL {
            let Some(group) = self.groups.values_mut().max_by_key(|group| group.bytes) else { return };
            let before = group.bytes;
            group.drop_oldest();
            self.bytes = self.bytes + group.bytes - before;
        }
    }

    /// Forgets a group. Returns whether there was one with this number.
    pub fn forget(&mut self, id: u64) -> bool {
        let Some(key) = self.groups.values().find(|group| group.id == id).map(|group| group.key.clone())
        else {
            return false;
        };
        let Some(group) = self.groups.remove(&key) else { return false };
        self.bytes -= group.bytes;
        if let Some(begun) = self.begun.get_mut(&group.begun_by) {
            *begun -= 1;
            if *begun == 0 {
                self.begun.remove(&group.begun_by);
            }
        }
        true
    }

    /// Forgets all groups. Their numbers are not given again.
    pub fn forget_all(&mut self) -> usize {
        let count = self.groups.len();
        *self = Groups { next: self.next, order: self.order, ..Groups::default() };
        count
    }

    /// All groups, the one with the newest message first.
    pub fn newest_first(&self) -> Vec<&Group> {
        let mut groups: Vec<&Group> = self.groups.values().collect();
        groups.sort_by_key(|group| std::cmp::Reverse(group.age_rank()));
        groups
    }

    /// How many groups there are.
    pub fn len(&self) -> usize {
        self.groups.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.groups.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use proptest::prelude::*;

    use super::*;
    use crate::time::clock::Wall;

    fn at(millis: u64) -> Now {
        let wall = Wall::from_micros(1_700_000_000_000_000 + i64::try_from(millis).unwrap() * 1000);
        Now { wall, mono: Mono::from_nanos((1 + millis) * 1_000_000) }
    }

    fn address(last: u8) -> IpAddr {
        Ipv4Addr::new(192, 0, 2, last).into()
    }

    fn sample(from: IpAddr, now: Now, text: String) -> Sample {
        Sample { received: now.wall.micros(), from, user: None, cut: false, raw: Raw::Line(text) }
    }

    fn trap(n: u64) -> Key {
        Key::Trap(format!("1.3.6.1.4.1.{n}"))
    }

    #[test]
    fn counts_are_exact_and_the_last_messages_are_kept() {
        let mut groups = Groups::default();
        for n in 0..100_000u64 {
            let (from, now) = (address((n % 200) as u8), at(n));
            groups.add(trap(1), from, now, || sample(from, now, n.to_string()));
        }
        let all = groups.newest_first();
        let group = all[0];
        assert_eq!((group.count, all.len()), (100_000, 1));
        assert_eq!(group.senders.values().sum::<u64>() + group.other_senders, 100_000);
        assert_eq!((group.first, group.last), (at(0).wall.micros(), at(99_999).wall.micros()));
        assert_eq!((group.senders.len(), group.samples.len()), (MAX_SENDERS, MAX_SAMPLES));
        assert!(group.samples.back().unwrap().received >= at(99_899).wall.micros(), "recent ones");
    }

    #[test]
    fn a_million_messages_are_counted_exactly_and_keep_what_they_may() {
        let mut groups = Groups::default();
        let (kinds, senders) = (40u64, 250u64);
        let text = "x".repeat(MAX_BYTES / 4);
        for n in 0..1_000_000u64 {
            let (from, now) = (address((n % senders) as u8), at(n));
            groups.add(trap(n % kinds), from, now, || sample(from, now, text.clone()));
        }
        let all = groups.newest_first();
        assert_eq!(all.len() as u64, kinds);
        assert!(all.iter().all(|group| group.count == 1_000_000 / kinds));
        assert!(groups.bytes <= MAX_ALL && all.iter().all(|group| group.bytes <= MAX_BYTES));
    }

    #[test]
    fn a_flood_pushes_no_other_kind_out() {
        let mut groups = Groups::default();
        groups.add(trap(1), address(1), at(0), || sample(address(1), at(0), "rare".into()));
        let big = "x".repeat(MAX_BYTES / 4);
        for n in 2..100_000 {
            groups.add(trap(n), address(2), at(n), || sample(address(2), at(n), big.clone()));
        }
        let all = groups.newest_first();
        assert_eq!(all.len(), 1 + MAX_GROUPS_OF_ONE + 1);
        let rare = all.iter().find(|group| group.key == trap(1)).unwrap();
        assert_eq!((rare.count, rare.samples.len()), (1, 1));
        let others = all.iter().find(|group| group.key == Key::Others(address(2))).unwrap();
        assert_eq!(others.count, 99_998 - MAX_GROUPS_OF_ONE as u64);
    }

    #[test]
    fn a_message_of_any_size_is_kept_alone() {
        let mut groups = Groups::default();
        for n in 0..3 {
            groups.add(trap(1), address(1), at(n), || sample(address(1), at(n), "x".repeat(MAX_BYTES * 2)));
        }
        assert_eq!(groups.newest_first()[0].samples.len(), 1);
    }

    #[test]
    fn forgotten_numbers_are_not_given_again() {
        let mut groups = Groups::default();
        for n in 1..=2 {
            groups.add(trap(n), address(1), at(n), || sample(address(1), at(n), String::new()));
        }
        assert!(groups.forget(2) && !groups.forget(2));
        assert_eq!(groups.forget_all(), 1);
        groups.add(trap(3), address(1), at(3), || sample(address(1), at(3), String::new()));
        assert_eq!(groups.newest_first()[0].id, 3);
    }

    /// What is kept, the newest first, if the wall clock is set by some milliseconds before some of the messages.
    fn kept(steps: &[(u64, i64)]) -> Vec<Key> {
        let mut groups = Groups::default();
        for n in 0..2 * MAX_GROUPS as u64 {
            let stepped: i64 = steps.iter().filter(|(at, _)| *at <= n).map(|(_, millis)| millis * 1000).sum();
            let even = at(n);
            let now = Now { wall: Wall::from_micros(even.wall.micros() + stepped), ..even };
            let from = address((n % 250) as u8);
            groups.add(trap(n % (MAX_GROUPS as u64 + 500)), from, now, || sample(from, now, String::new()));
        }
        groups.newest_first().into_iter().map(|group| group.key.clone()).collect()
    }

    #[test]
    fn the_group_that_was_silent_for_longest_goes_whatever_the_wall_clock_says() {
        const HOUR: i64 = 3_600_000;
        let even = kept(&[]);
        assert_eq!(even.len(), MAX_GROUPS);
        for steps in
            [&[(300, HOUR)][..], &[(2100, -HOUR)], &[(100, 9 * HOUR), (1500, -20 * HOUR), (3000, 11 * HOUR)]]
        {
            assert!(kept(steps) == even, "{steps:?}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(4))]

        #[test]
        fn everything_stays_bounded_and_adds_up(
            messages in prop::collection::vec((0u64..3000, 0u8..20, 0usize..MAX_BYTES), 1..300),
            forgets in prop::collection::vec(0u64..400, 0..20),
        ) {
            let mut groups = Groups::default();
            for (n, (kind, from, size)) in messages.iter().enumerate() {
                let (from, now) = (address(*from), at(n as u64));
                groups.add(trap(*kind), from, now, || sample(from, now, "x".repeat(*size)));
                if n % 20 == 0 && let Some(id) = forgets.get(n / 20) {
                    groups.forget(*id);
                }
                if n % 50 > 0 {
                    continue;
                }
                let all = groups.newest_first();
                prop_assert!(all.len() <= MAX_GROUPS);
                let bytes = |group: &&Group| group.samples.iter().map(|sample| sample.raw.bytes()).sum::<usize>();
                prop_assert_eq!(groups.bytes, all.iter().map(bytes).sum::<usize>());
                prop_assert_eq!(groups.begun.values().sum::<usize>(), all.len());
                prop_assert!(groups.bytes <= MAX_ALL + MAX_BYTES);
                for group in all {
                    prop_assert_eq!(group.senders.values().sum::<u64>() + group.other_senders, group.count);
                }
            }
            let kept: Vec<Group> = groups.newest_first().into_iter().cloned().collect();
            let text = serde_json::to_string(&kept).unwrap();
            let read: Vec<Group> = serde_json::from_str(&text).unwrap();
            let again = Groups::from_groups(read);
            prop_assert_eq!((again.next >= again.groups.len() as u64, again.bytes), (true, groups.bytes));
        }
    }
}
