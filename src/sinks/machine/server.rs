//! A server for the model: it answers partially, wrongly, with errors, never.

use std::collections::{BTreeSet, HashMap};
use std::time::Duration;

use crate::sinks::sink::{Fate, Item, Order, Trouble};

/// An outcome, whatever number it has.
pub(super) type Uid = u64;

/// How long a lane waits for an answer.
const TIMEOUT: Duration = Duration::from_secs(30);

/// What a server makes of an item.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Nature {
    Good,
    /// Refused with a reason.
    Rejected,
    /// A request that has it is refused as a whole.
    Spoils,
    /// A request that has it is never answered.
    Silences,
    /// It is never answered, and others in its request are.
    Unacknowledged,
    /// A request that has it cannot be sent.
    Unsendable,
    /// A request that has it is refused, as if the password was wrong.
    Refused,
    /// A request that has it is answered by a wish to wait.
    Busy,
    /// Not now, so many times.
    Later(u32),
    /// Not now, ever.
    Never,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mood {
    Up,
    Away,
    Busy,
    Refusing,
}

/// The server.
pub(super) struct Server {
    pub(super) mood: Mood,
    /// Whether it misbehaves beside what is in the nature of the outcomes.
    pub(super) faults: bool,
    /// Whether each outcome gets an answer.
    pub(super) is_gentle: bool,
    pub(super) natures: HashMap<Uid, Nature>,
    /// How often it has taken each.
    pub(super) taken: HashMap<Uid, u32>,
    /// What it has taken of each key, in order.
    pub(super) log: HashMap<u64, Vec<Uid>>,
    /// How often more than once each may come.
    pub(super) excuses: HashMap<Uid, u32>,
    pub(super) requests: u64,
    asked: HashMap<Uid, u32>,
    order: Order,
    random: Rng,
}

impl Server {
    pub(super) fn new(order: Order, seed: u64) -> Self {
        Server {
            mood: Mood::Up,
            faults: true,
            is_gentle: false,
            natures: HashMap::new(),
            taken: HashMap::new(),
            log: HashMap::new(),
            excuses: HashMap::new(),
            requests: 0,
            asked: HashMap::new(),
            order,
            random: Rng(!seed),
        }
    }

    /// A new outcome.
    pub(super) fn outcome(&mut self) -> Uid {
        let nature = match self.random.below(120) {
            4 | 5 | 12..=16 if self.is_gentle => Nature::Good,
            12 => Nature::Unsendable,
            13 => Nature::Refused,
            14 => Nature::Busy,
            15 | 16 => Nature::Unacknowledged,
            n => match n / 2 {
                0 => Nature::Rejected,
                1 => Nature::Spoils,
                2 => Nature::Silences,
                3 | 4 => Nature::Later(1 + self.random.below(5) as u32),
                5 => Nature::Never,
                _ => Nature::Good,
            },
        };
        self.insert(nature)
    }

    /// A new outcome that will be taken.
    pub(super) fn good_outcome(&mut self) -> Uid {
        self.insert(Nature::Good)
    }

    fn insert(&mut self, nature: Nature) -> Uid {
        let uid = self.natures.len() as u64;
        self.natures.insert(uid, nature);
        uid
    }

    /// The answer to a request, and how long it takes.
    pub(super) fn serve(&mut self, items: &[Item]) -> (Duration, Result<Vec<Fate>, Trouble>) {
        self.requests += 1;
        assert!(self.requests < 1_000_000, "it never ends");
        let wait = Duration::from_millis(1 + self.random.below(200));
        match self.mood {
            Mood::Up => {}
            Mood::Away => return (wait, Err(Trouble::Away("away".into(), "start it"))),
            Mood::Refusing => return (wait, Err(Trouble::Refused("no".into(), "check the password"))),
            Mood::Busy => {
                let pause = Duration::from_millis(self.random.below(5000));
                return (wait, Err(Trouble::Busy("busy".into(), pause)));
            }
        }
        let has = |nature| items.iter().any(|item| self.natures[&item.sequence] == nature);
        if has(Nature::Silences) {
            return (TIMEOUT, Err(Trouble::Unanswered("closed".into(), "see its log")));
        }
        if has(Nature::Unsendable) {
            return (wait, Err(Trouble::Away("too long".into(), "start it")));
        }
        if has(Nature::Refused) {
            return (wait, Err(Trouble::Refused("not that one".into(), "check the topic")));
        }
        if has(Nature::Busy) {
            let pause = Duration::from_millis(self.random.below(60_000));
            return (wait, Err(Trouble::Busy("not now".into(), pause)));
        }
        if has(Nature::Spoils) {
            return (wait, Err(Trouble::Halve("one of them".into())));
        }
        if self.faults && self.random.once_in(25) {
            return (wait, Ok(Vec::new()));
        }
        let partial = self.faults && self.random.once_in(10);
        let lost = self.faults && self.random.once_in(20);
        let done =
            if partial || lost { self.random.below(items.len() as u64 + 1) as usize } else { items.len() };
        // With `Kept`: keys of which something was put off. One in a while does not heed them.
        let mut broken = BTreeSet::new();
        let rude = self.faults && self.random.once_in(20);
        let (mut fates, mut answers) = (Vec::new(), 0);
        for item in &items[..done] {
            let uid = item.sequence;
            let asked = self.asked.entry(uid).or_default();
            *asked += 1;
            let kept = self.order == Order::Kept && broken.contains(&item.key());
            let fate = match self.natures[&uid] {
                Nature::Never => Fate::Later("never".into()),
                Nature::Later(times) if *asked <= times => Fate::Later("not yet".into()),
                Nature::Rejected => Fate::Dead("no such service".into()),
                Nature::Unacknowledged => Fate::Unanswered("not that one".into()),
                _ if kept && !rude => Fate::Later("behind another".into()),
                _ if rude && self.random.once_in(6) => Fate::Later("in a moment".into()),
                _ => self.take(uid, item.key(), kept),
            };
            // What stands behind one without an answer was taken, and has to be sent again.
            answers += usize::from(!kept && !matches!(fate, Fate::Unanswered(_)));
            if matches!(fate, Fate::Later(_) | Fate::Unanswered(_)) {
                broken.insert(item.key());
            }
            fates.push(fate);
        }
        if done > 0 && answers == 0 {
            return (TIMEOUT, Err(Trouble::Unanswered("no answer".into(), "see its log")));
        }
        if lost {
            for item in items {
                *self.excuses.entry(item.sequence).or_default() += 1;
            }
            return (TIMEOUT, Err(Trouble::Unanswered("no answer".into(), "see its log")));
        }
        (wait, Ok(fates))
    }

    fn take(&mut self, uid: Uid, key: u64, out_of_order: bool) -> Fate {
        self.log.entry(key).or_default().push(uid);
        *self.taken.entry(uid).or_default() += 1;
        if out_of_order {
            // It will be sent again behind the one that was put off.
            *self.excuses.entry(uid).or_default() += 1;
        }
        if self.random.once_in(10) { Fate::Cut } else { Fate::Taken }
    }
}

/// Random numbers (splitmix64).
pub(super) struct Rng(pub(super) u64);

impl Rng {
    pub(super) fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % limit
    }

    pub(super) fn once_in(&mut self, times: u64) -> bool {
        self.below(times) == 0
    }
}
