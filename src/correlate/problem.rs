//! One problem: what is kept of it, and when something is due.

use super::image::{Reader, Writer};
use super::kept::Kept;
use super::key::{Key, Sender};
use super::moment::{Exact, Moment};
use super::services::Rank;
use super::slots::Slot;
use super::table::Entry;
use crate::outcome::result::State;
use crate::rules::plan::{RulePlan, StepAt};

/// No time.
pub(super) const NEVER: i64 = i64::MAX;
/// How long a clear is remembered for a problem that it overtook, in microseconds.
pub(super) const OVERTAKEN: i64 = 2_000_000;

/// How far a problem is. The numbers stand in the state on disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    /// There is none.
    Idle = 0,
    /// It is not sent before it has lasted.
    Held = 1,
    /// It is open.
    Open = 2,
    /// It comes and goes too often.
    Flapping = 3,
}

/// One problem.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Problem {
    pub(super) key: Key,
    /// The low half of the key of its service.
    pub(super) service: u64,
    /// What few problems have.
    pub(super) rare: Option<Box<Rare>>,
    /// Where the last outcome of it is, if that may be sent later, or its names.
    pub(super) outcome: Option<Slot>,
    /// The rule whose settings hold: that of its last message.
    pub(super) rule: u32,
    /// How many messages there were since it opened.
    pub(super) raises: u32,
    /// How many messages the window of `dedup` has.
    pub(super) repeats: u32,
    /// The tick of its timer; 0 if none is set.
    pub(super) armed: u32,
    /// Since when it is in its phase.
    pub(super) since: Exact,
    /// When its last message came.
    pub(super) raised: Moment,
    /// When it was sent last.
    pub(super) sent_at: Moment,
    /// When the window of `dedup` began.
    pub(super) window: Moment,
    pub(super) phase: Phase,
    pub(super) states: States,
    /// The steps of `escalate` that were taken, a bit each.
    pub(super) steps: u8,
}

/// The state of a problem, and the one that was sent last, in a byte.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct States(u8);

/// No state has this number.
const NO_STATE: u8 = 7;

impl States {
    fn new(state: State, sent: Option<State>) -> Self {
        let number =
            |state: State| State::ALL.iter().position(|s| *s == state).map_or(NO_STATE, |at| at as u8);
        States(number(state) | (sent.map_or(NO_STATE, number) << 3))
    }
}

impl std::fmt::Debug for States {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let name = |number: u8| State::ALL.get(usize::from(number & NO_STATE));
        (name(self.0), name(self.0 >> 3)).fmt(f)
    }
}

/// What few problems have.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Rare {
    /// What `throttle` counts it by.
    pub(super) bucket: Option<Key>,
    /// What `throttle` swallowed last.
    pub(super) throttled: Option<Box<[u8]>>,
    /// When holds were cancelled.
    pub(super) flaps: Vec<i64>,
    /// The last clear.
    pub(super) cleared: Option<(i64, Sender)>,
}

/// How long cancelled holds are remembered, in microseconds: the rule of the last message decides, and one without `flaps` may
/// have cleared the problem of one with it.
pub(super) fn flaps_kept(rule: &RulePlan) -> i64 {
    rule.hold.and_then(|hold| hold.flaps).map_or(3_600_000_000, |(_, within)| within)
}

/// What is due.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Due {
    /// The hold ends.
    Hold,
    /// It was quiet long enough after flapping.
    Quiet,
    /// A step of `escalate`.
    Step(u8),
    /// It expires.
    Expire,
    /// It is sent again.
    Remind,
    /// The window of `dedup` ends.
    Window,
    /// What is remembered is old.
    Forget,
}

impl Entry for Problem {
    fn key(&self) -> Key {
        self.key
    }
}

impl Problem {
    pub(super) fn new(key: Key, service: u64, rule: u32, state: State, now: i64) -> Self {
        Problem {
            key,
            service,
            rare: None,
            outcome: None,
            rule,
            raises: 0,
            repeats: 0,
            armed: 0,
            since: Exact::at(now),
            raised: Moment::at(now),
            sent_at: Moment::at(now),
            window: Moment::NEVER,
            phase: Phase::Idle,
            states: States::new(state, None),
            steps: 0,
        }
    }

    /// Its state.
    pub(super) fn state(&self) -> State {
        State::ALL.get(usize::from(self.states.0 & NO_STATE)).copied().unwrap_or(State::Unknown)
    }

    pub(super) fn set_state(&mut self, state: State) {
        self.states = States::new(state, self.sent());
    }

    /// The state that was sent last.
    pub(super) fn sent(&self) -> Option<State> {
        State::ALL.get(usize::from(self.states.0 >> 3)).copied()
    }

    pub(super) fn set_sent(&mut self, sent: Option<State>) {
        self.states = States::new(self.state(), sent);
    }

    /// Whether nothing of it needs to be kept.
    pub(super) fn is_over(&self) -> bool {
        self.phase == Phase::Idle && self.window == Moment::NEVER && self.rare.is_none()
    }

    /// Whether it is one of possibly several problems of its service.
    pub(super) fn is_one_of_several(&self) -> bool {
        self.key.low() != self.service
    }

    /// Its place among the open problems of its service.
    pub(super) fn rank(&self) -> Rank {
        Rank { severity: self.state().severity(), since: self.since.micros(), key: self.key.number() }
    }

    pub(super) fn rare(&mut self) -> &mut Rare {
        self.rare.get_or_insert_default()
    }

    /// Drops what is empty.
    pub(super) fn tidy(&mut self) {
        let idle = self.phase == Phase::Idle;
        if let Some(rare) = self.rare.as_deref_mut().filter(|rare| idle && rare.throttled.is_none()) {
            rare.bucket = None;
        }
        self.rare.take_if(|rare| **rare == Rare::default());
    }

    /// Ends it.
    pub(super) fn end(&mut self) {
        (self.phase, self.window, self.repeats) = (Phase::Idle, Moment::NEVER, 0);
        (self.raises, self.steps) = (0, 0);
    }

    /// How many bytes of outcomes it keeps.
    pub(super) fn bytes(&self, kept: &Kept) -> usize {
        let throttled = self.rare.as_ref().and_then(|rare| rare.throttled.as_ref());
        self.outcome.map_or(0, |slot| kept.length(slot)) + throttled.map_or(0, |bytes| bytes.len())
    }

    /// Whether receivers know it, or would if no worse one were open.
    pub(super) fn is_open(&self) -> bool {
        matches!(self.phase, Phase::Open | Phase::Flapping)
    }

    /// Whether what receivers were told last is a problem.
    pub(super) fn is_told(&self) -> bool {
        self.sent().is_some_and(|sent| !sent.is_good())
    }

    /// What is due next, and when.
    pub(super) fn due(&self, rule: &RulePlan) -> Option<(i64, Due)> {
        let mut first: Option<(i64, Due)> = None;
        let mut may = |at: i64, due: Due| {
            if first.is_none_or(|first| (at, due) < first) {
                first = Some((at, due));
            }
        };
        match self.phase {
            Phase::Idle => {}
            // Without the setting, which was taken out, it is due at once.
            Phase::Held => may(self.since.micros() + rule.hold.map_or(0, |hold| hold.time), Due::Hold),
            Phase::Flapping => {
                let within = rule.hold.and_then(|hold| hold.flaps).map_or(0, |(_, within)| within);
                may(self.raised.micros() + within, Due::Quiet);
            }
            Phase::Open => {
                for (at, step) in rule.escalate.iter().enumerate() {
                    if let (StepAt::After(after), 0) = (step.at, self.steps & (1 << at)) {
                        may(self.since.micros() + after, Due::Step(at as u8));
                    }
                }
                if let Some(expire) = &rule.expire {
                    may(self.raised.micros() + expire.after, Due::Expire);
                }
                if let Some(remind) = rule.remind {
                    may(self.sent_at.micros() + remind, Due::Remind);
                }
            }
        }
        if self.window != Moment::NEVER {
            may(self.window.micros() + rule.dedup.as_ref().map_or(0, |dedup| dedup.window), Due::Window);
        }
        if let Some(rare) = &self.rare {
            if let Some((at, _)) = rare.cleared {
                may(at + OVERTAKEN, Due::Forget);
            }
            if let Some(last) = rare.flaps.last().filter(|_| self.phase != Phase::Flapping) {
                may(last + flaps_kept(rule), Due::Forget);
            }
        }
        first
    }

    pub(super) fn write(&self, rule: u64, outcome: Option<&[u8]>, out: &mut Writer) {
        out.key(self.key);
        out.fixed(rule);
        out.fixed(self.service);
        out.time(self.since.micros());
        for time in [self.raised, self.sent_at, self.window] {
            out.time(time.micros());
        }
        out.number(self.raises.into());
        out.number(self.repeats.into());
        out.byte(self.phase as u8);
        out.state(Some(self.state()));
        out.state(self.sent());
        out.byte(self.steps);
        out.blob(outcome);
        let none = Rare::default();
        let rare = self.rare.as_deref().unwrap_or(&none);
        out.blob(rare.throttled.as_deref());
        out.key(rare.bucket.unwrap_or(Key::new(0)));
        out.number(rare.flaps.len() as u64);
        for at in &rare.flaps {
            out.time(*at);
        }
        out.byte(rare.cleared.is_some().into());
        if let Some((at, sender)) = rare.cleared {
            out.time(at);
            out.number(sender.agent.into());
            out.number(sender.uptime.into());
        }
    }

    /// The identity of its rule, the problem, and the outcome that is kept of it.
    #[expect(clippy::type_complexity, reason = "three things that are taken apart at once, by one caller")]
    pub(super) fn read(image: &mut Reader<'_>) -> Option<(u64, Problem, Option<Box<[u8]>>)> {
        let key = image.key()?;
        let rule = image.fixed()?;
        let service = image.fixed()?;
        let (since, raised, sent_at, window) = (image.time()?, image.time()?, image.time()?, image.time()?);
        let (raises, repeats) = (image.small()?, image.small()?);
        let phase = match image.byte()? {
            0 => Phase::Idle,
            1 => Phase::Held,
            2 => Phase::Open,
            3 => Phase::Flapping,
            _ => return None,
        };
        let (state, sent, steps) = (image.state()??, image.state()?, image.byte()?);
        let outcome = image.blob()?;
        let (throttled, bucket) = (image.blob()?, image.key()?);
        let flaps = (0..image.number()?).map(|_| image.time()).collect::<Option<Vec<i64>>>()?;
        let cleared = match image.byte()? {
            0 => None,
            _ => Some((image.time()?, Sender { agent: image.small()?, uptime: image.small()? })),
        };
        let bucket = Some(bucket).filter(|key| *key != Key::new(0));
        let rare = Rare { bucket, throttled, flaps, cleared };
        let mut problem = Problem {
            rare: Some(Box::new(rare)),
            raised: Moment::at(raised),
            sent_at: Moment::at(sent_at),
            window: Moment::at(window),
            raises,
            repeats,
            phase,
            states: States::new(state, sent),
            steps,
            ..Problem::new(key, service, 0, state, since)
        };
        problem.tidy();
        Some((rule, problem, outcome))
    }
}
