//! A place that outcomes are delivered to, as the world sees it: what it has taken, how often, and what it will never take.

use std::collections::BTreeMap;
use std::time::Duration;

use trapline::sinks::sink::Order;

use crate::outcome::Outcome;
use crate::random::Random;

/// The kinds of places.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    Webhook,
    Icinga2,
    Alignak,
    Nrdp,
    Splunk,
    Canopsis,
    Elastic,
    Nsca,
    Amqp,
    File,
    Pipe,
}

impl Kind {
    pub const ALL: [Kind; 11] = [
        Kind::Webhook,
        Kind::Icinga2,
        Kind::Alignak,
        Kind::Nrdp,
        Kind::Splunk,
        Kind::Canopsis,
        Kind::Elastic,
        Kind::Nsca,
        Kind::Amqp,
        Kind::File,
        Kind::Pipe,
    ];

    /// Its name in the configuration.
    pub fn word(self) -> &'static str {
        match self {
            Kind::Webhook => "webhook",
            Kind::Icinga2 => "icinga2",
            Kind::Alignak => "alignak",
            Kind::Nrdp => "nrdp",
            Kind::Splunk => "splunk",
            Kind::Canopsis => "canopsis",
            Kind::Elastic => "elasticsearch",
            Kind::Nsca => "nsca",
            Kind::Amqp => "amqp",
            Kind::File => "file",
            Kind::Pipe => "nagios",
        }
    }

    /// Whether it takes events.
    pub fn takes_events(self) -> bool {
        matches!(
            self,
            Kind::Webhook | Kind::Splunk | Kind::Canopsis | Kind::Elastic | Kind::Amqp | Kind::File
        )
    }

    /// Whether it says of each outcome what becomes of it.
    pub fn judges(self) -> bool {
        !matches!(self, Kind::Nsca | Kind::File | Kind::Pipe)
    }

    /// Whether it is asked over HTTP.
    pub fn is_web(self) -> bool {
        !matches!(self, Kind::Nsca | Kind::Amqp | Kind::File | Kind::Pipe)
    }
}

/// What a place makes of an outcome, whatever else happens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Nature {
    /// It takes it.
    Good,
    /// It refuses it and says why.
    Rejected,
    /// It refuses it so many times for now.
    Later(u32),
    /// It refuses it for now, for ever.
    Never,
    /// It never answers a request that has it.
    Silences,
}

/// A place.
#[derive(Debug)]
pub struct Place {
    /// Its number.
    pub id: usize,
    /// What it is.
    pub kind: Kind,
    /// Its order.
    pub order: Order,
    /// The host name of its server, or the path of its file.
    pub host: String,
    /// When it took what, in order.
    pub taken: Vec<(Duration, Outcome)>,
    /// When it said of what that it has it, in order.
    told: Vec<(Duration, Outcome)>,
    /// How often it took each.
    pub times: BTreeMap<Outcome, u32>,
    /// How often more than once it may get each.
    pub excuses: BTreeMap<Outcome, u32>,
    /// How often it has put each off.
    asked: BTreeMap<Outcome, u32>,
    /// How often the daemon was killed.
    kills: u32,
    /// Whether a power cut has taken the end of its file on a disk that fails: what is there twice may not be there to its end.
    pub is_torn: bool,
    /// From how many outcomes on one is bad; 0 for never.
    badness: u64,
    /// From which message on all are good.
    pub good_from: u64,
    salt: u64,
}

impl Place {
    /// A place that has taken nothing.
    pub fn new(id: usize, kind: Kind, order: Order, host: String, random: &Random) -> Self {
        let badness = if kind.judges() && random.once_in(2) { random.range(4, 30) } else { 0 };
        Place {
            id,
            kind,
            order,
            host,
            taken: Vec::new(),
            told: Vec::new(),
            times: BTreeMap::new(),
            excuses: BTreeMap::new(),
            asked: BTreeMap::new(),
            kills: 0,
            is_torn: false,
            badness,
            good_from: u64::MAX,
            salt: random.next(),
        }
    }

    /// From how many outcomes on one is bad; 0 for never.
    pub fn badness(&self) -> u64 {
        self.badness
    }

    /// What it makes of an outcome.
    pub fn nature(&self, outcome: Outcome) -> Nature {
        if self.badness == 0 || outcome.uid >= self.good_from {
            return Nature::Good;
        }
        let drawn = Random::new(outcome.uid << 8 | u64::from(outcome.part as u32), self.salt);
        if !drawn.once_in(self.badness) {
            return Nature::Good;
        }
        match drawn.below(10) {
            0..=3 => Nature::Rejected,
            4..=6 => Nature::Later(drawn.range(1, 4) as u32),
            7 => Nature::Never,
            8 => Nature::Silences,
            _ => Nature::Rejected,
        }
    }

    /// The same now: what was put off often enough is good.
    pub fn nature_now(&mut self, outcome: Outcome) -> Nature {
        match self.nature(outcome) {
            Nature::Later(most) => {
                let asked = self.asked.entry(outcome).or_default();
                if *asked >= most {
                    return Nature::Good;
                }
                *asked += 1;
                Nature::Later(most)
            }
            other => other,
        }
    }

    /// It takes an outcome.
    pub fn take(&mut self, at: Duration, outcome: Outcome) {
        self.taken.push((at, outcome));
        *self.times.entry(outcome).or_default() += 1;
    }

    /// It may get an outcome once more.
    pub fn excuse(&mut self, outcome: Outcome) {
        *self.excuses.entry(outcome).or_default() += 1;
    }

    /// It takes an outcome, and whoever sent it does not know that before [`Place::told`]: it may come again meanwhile.
    pub fn take_silently(&mut self, at: Duration, outcome: Outcome) {
        self.take(at, outcome);
        self.excuse(outcome);
    }

    /// The daemon is killed, or has ended.
    pub fn killed(&mut self) {
        self.kills += 1;
    }

    /// How often that was so.
    pub fn kills(&self) -> u32 {
        self.kills
    }

    /// It has said that it has some outcomes, which it took silently after so many kills. Nobody hears it if there was another.
    pub fn told_at_last(&mut self, at: Duration, outcomes: &[Outcome], kills: u32) {
        if kills != self.kills {
            return;
        }
        for outcome in outcomes {
            let excuses = self.excuses.entry(*outcome).or_default();
            *excuses = excuses.saturating_sub(1);
        }
        self.told(at, outcomes);
    }

    /// It has said that it has some outcomes.
    pub fn told(&mut self, at: Duration, outcomes: &[Outcome]) {
        self.told.extend(outcomes.iter().map(|outcome| (at, *outcome)));
    }

    /// What it took, or said that it took, from some time on may come again: whoever sent it may not have written that down. A
    /// message can be in the journal several times, each of which it may have taken.
    pub fn excuse_since(&mut self, since: Duration, journaled: impl Fn(u64) -> u32) {
        let since = |list: &[(Duration, Outcome)]| {
            let mut times = BTreeMap::<Outcome, u32>::new();
            let late = list.iter().rev().take_while(|(at, _)| *at >= since);
            late.for_each(|(_, outcome)| *times.entry(*outcome).or_default() += 1);
            times
        };
        let (mut late, told) = (since(&self.taken), since(&self.told));
        for (outcome, times) in told {
            let taken = late.entry(outcome).or_default();
            *taken = times.max(*taken);
        }
        for (outcome, times) in late {
            *self.excuses.entry(outcome).or_default() += times.min(journaled(outcome.uid).max(1));
        }
    }
}
