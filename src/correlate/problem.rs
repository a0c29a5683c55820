//! One problem: what is kept of it, and when something is due.

use super::image::{Reader, Writer};
use super::key::{Key, Sender};
use super::moment::{Exact, Moment};
use crate::outcome::result::State;
use crate::rules::plan::{RulePlan, StepAt};

/// No time.
pub(super) const NEVER: i64 = i64::MAX;
/// How long a clear is remembered for a problem that it overtook, in microseconds.
pub(super) const OVERTAKEN: i64 = 2_000_000;

/// How bad an open problem is; among equals the one that opened last, then any order that stays the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Rank {
    pub(super) severity: u8,
    pub(super) since: i64,
    pub(super) key: u128,
}

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
    /// How many bytes are kept of it: its last outcome, if that may be sent later, or its names. 0 for none.
    pub(super) outcome: u32,
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

impl Problem {
    pub(super) fn new(key: Key, service: u64, rule: u32, state: State, now: i64) -> Self {
        Problem {
            key,
            service,
            rare: None,
            outcome: 0,
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

    /// Takes the steps that its number of messages has reached.
    pub(super) fn count_steps(&mut self, rule: &RulePlan) {
        for (bit, step) in rule.escalate.iter().enumerate() {
            if matches!(step.at, StepAt::Count(count) if self.raises >= count) {
                self.steps |= 1 << bit;
            }
        }
    }

    /// Ends it.
    pub(super) fn end(&mut self) {
        (self.phase, self.window, self.repeats) = (Phase::Idle, Moment::NEVER, 0);
        (self.raises, self.steps) = (0, 0);
    }

    /// How many bytes of outcomes it keeps.
    pub(super) fn bytes(&self) -> usize {
        let throttled = self.rare.as_ref().and_then(|rare| rare.throttled.as_ref());
        self.outcome as usize + throttled.map_or(0, |bytes| bytes.len())
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
    pub(super) fn read<'b>(image: &mut Reader<'b>) -> Option<(u64, Problem, Option<&'b [u8]>)> {
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
        let rare = Rare { bucket, throttled: throttled.map(Box::from), flaps, cleared };
        let mut problem = Problem {
            rare: (rare != Rare::default()).then(|| Box::new(rare)),
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

/// What the bytes of a problem have in memory beyond what each has.
mod has {
    pub(super) const SERVICE: u8 = 1;
    pub(super) const STEPS: u8 = 2;
    pub(super) const RAISED: u8 = 4;
    pub(super) const SENT: u8 = 8;
    pub(super) const WINDOW: u8 = 16;
    pub(super) const APART: u8 = 32;
    pub(super) const RARE: u8 = 64;
    pub(super) const BUCKET: u8 = 1;
    pub(super) const THROTTLED: u8 = 2;
    pub(super) const CLEARED: u8 = 4;
}

/// How many bits of a byte have the states; the others have the phase.
const STATES: u32 = 6;

/// A problem as it is kept in memory: what is as it mostly is takes no room. These bytes are on no disk.
///
/// ```text
/// key 16   phase and states 1   what there is 1   since 7   timer   rule   raises   repeats
/// where it is another one: service 8   steps 1   last message   last sent   window
/// rarely: what there is 1   bucket 16   throttled   clear   flaps
/// ```
///
/// Times are milliseconds since another of its times.
impl Problem {
    /// Writes it in the place of what is there.
    pub(super) fn pack(&self, out: &mut Vec<u8>) {
        let mut writer = Writer(std::mem::take(out));
        writer.0.clear();
        self.pack_into(&mut writer);
        *out = writer.0;
    }

    fn pack_into(&self, out: &mut Writer) {
        let since = self.since.micros() / 1000;
        let (raised, sent_at, window) = (self.raised.number(), self.sent_at.number(), self.window.number());
        let has_window = self.window != Moment::NEVER;
        let bits = [
            (has::SERVICE, self.is_one_of_several()),
            (has::STEPS, self.steps != 0),
            (has::RAISED, raised != since),
            (has::SENT, sent_at != since),
            (has::WINDOW, has_window),
            (has::APART, has_window && window != sent_at),
            (has::RARE, self.rare.is_some()),
        ];
        let bits = bits.iter().fold(0, |all, (bit, is)| if *is { all | bit } else { all });
        out.key(self.key);
        out.byte(((self.phase as u8) << STATES) | self.states.0);
        out.byte(bits);
        out.0.extend_from_slice(&self.since.octets());
        for number in [self.armed, self.rule, self.raises, self.repeats] {
            out.number(number.into());
        }
        if bits & has::SERVICE != 0 {
            out.fixed(self.service);
        }
        if bits & has::STEPS != 0 {
            out.byte(self.steps);
        }
        if bits & has::RAISED != 0 {
            out.signed(raised - since);
        }
        if bits & has::SENT != 0 {
            out.signed(sent_at - since);
        }
        if bits & has::APART != 0 {
            out.signed(window - sent_at);
        }
        if let Some(rare) = &self.rare {
            rare.pack(out);
        }
    }

    /// It from its bytes, with what is kept behind it.
    pub(super) fn unpack(bytes: &[u8]) -> Option<Problem> {
        let mut from = Reader(bytes);
        let (key, phase, bits) = (from.key()?, from.byte()?, from.byte()?);
        let since = Exact::of_octets(*from.take(7)?.first_chunk()?);
        let (armed, rule, raises, repeats) = (from.small()?, from.small()?, from.small()?, from.small()?);
        let has = |bit: u8| bits & bit != 0;
        let service = if has(has::SERVICE) { from.fixed()? } else { key.low() };
        let steps = if has(has::STEPS) { from.byte()? } else { 0 };
        let start = since.micros() / 1000;
        let raised = if has(has::RAISED) { start + from.signed()? } else { start };
        let sent_at = if has(has::SENT) { start + from.signed()? } else { start };
        let window = match (has(has::WINDOW), has(has::APART)) {
            (false, _) => Moment::NEVER,
            (true, false) => Moment::of_number(sent_at),
            (true, true) => Moment::of_number(sent_at + from.signed()?),
        };
        let rare = if has(has::RARE) { Some(Box::new(Rare::unpack(&mut from)?)) } else { None };
        Some(Problem {
            key,
            service,
            rare,
            outcome: from.0.len() as u32,
            rule,
            raises,
            repeats,
            armed,
            since,
            raised: Moment::of_number(raised),
            sent_at: Moment::of_number(sent_at),
            window,
            phase: [Phase::Idle, Phase::Held, Phase::Open, Phase::Flapping][usize::from(phase >> STATES)],
            states: States(phase & ((1 << STATES) - 1)),
            steps,
        })
    }
}

impl Rare {
    fn pack(&self, out: &mut Writer) {
        let bits = [
            (has::BUCKET, self.bucket.is_some()),
            (has::THROTTLED, self.throttled.is_some()),
            (has::CLEARED, self.cleared.is_some()),
        ];
        out.byte(bits.iter().fold(0, |all, (bit, is)| if *is { all | bit } else { all }));
        if let Some(bucket) = self.bucket {
            out.key(bucket);
        }
        if self.throttled.is_some() {
            out.blob(self.throttled.as_deref());
        }
        if let Some((at, sender)) = self.cleared {
            out.time(at);
            out.number(sender.agent.into());
            out.number(sender.uptime.into());
        }
        out.number(self.flaps.len() as u64);
        for at in &self.flaps {
            out.time(*at);
        }
    }

    fn unpack(from: &mut Reader<'_>) -> Option<Rare> {
        let bits = from.byte()?;
        let has = |bit: u8| bits & bit != 0;
        let bucket = if has(has::BUCKET) { Some(from.key()?) } else { None };
        let throttled = if has(has::THROTTLED) { from.blob()?.map(Box::from) } else { None };
        let cleared = if has(has::CLEARED) {
            Some((from.time()?, Sender { agent: from.small()?, uptime: from.small()? }))
        } else {
            None
        };
        let flaps = (0..from.number()?).map(|_| from.time()).collect::<Option<_>>()?;
        Some(Rare { bucket, throttled, flaps, cleared })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn moment() -> impl Strategy<Value = Moment> {
        prop_oneof![
            Just(Moment::NEVER),
            Just(Moment::at(7_000_000)),
            (0..i64::MAX).prop_map(Moment::at),
            (0..20_000_000i64).prop_map(Moment::at)
        ]
    }

    proptest! {
        #[test]
        fn problems_come_back_from_memory_and_from_disk(
            (low, service, rule, armed) in (0..3u64, 0..3u64, any::<u32>(), any::<u32>()),
            (raises, repeats, steps, phase) in (any::<u32>(), any::<u32>(), any::<u8>(), 0..4usize),
            since in prop_oneof![Just(7_000_000i64), 0..(1i64 << 56)],
            (raised, sent_at, window) in (moment(), moment(), moment()),
            (state, sent) in (0..State::ALL.len(), prop::option::of(0..State::ALL.len())),
            rare in prop::option::of((any::<bool>(), any::<bool>(), any::<bool>(), prop::collection::vec(any::<i64>(), 0..3))),
        ) {
            let mut problem = Problem::new(Key::new(low.into()), service, rule, State::ALL[state], since);
            problem.set_sent(sent.map(|sent| State::ALL[sent]));
            (problem.armed, problem.raises, problem.repeats, problem.steps) = (armed, raises, repeats, steps);
            (problem.raised, problem.sent_at, problem.window) = (raised, sent_at, window);
            problem.phase = [Phase::Idle, Phase::Held, Phase::Open, Phase::Flapping][phase];
            problem.rare = rare.map(|(bucket, throttled, cleared, flaps)| Box::new(Rare {
                bucket: bucket.then(|| Key::new(9)),
                throttled: throttled.then(|| Box::from(*b"word")),
                flaps,
                cleared: cleared.then_some((5, Sender { agent: 1, uptime: 2 })),
            }));
            let mut bytes = vec![1, 2, 3];
            problem.pack(&mut bytes);
            bytes.extend_from_slice(b"kept");
            problem.outcome = 4;
            prop_assert_eq!(Problem::unpack(&bytes), Some(problem.clone()));
            for length in 0..bytes.len() - 4 {
                let _ = Problem::unpack(&bytes[..length]);
            }
            problem.tidy();
            let mut image = Writer::default();
            problem.write(3, Some(b"kept"), &mut image);
            let (of, mut read, kept) = Problem::read(&mut Reader(&image.0)).unwrap();
            (read.rule, read.armed, read.outcome) = (rule, armed, 4);
            prop_assert_eq!((of, read, kept), (3, problem, Some(&b"kept"[..])));
        }
    }
}
