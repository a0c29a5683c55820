//! Devices whose traps meet rules that count and wait: `threshold`, `throttle` and `expect`. A message counts exactly once,
//! and what a rule says by itself comes once, whatever ends the daemon.
//!
//! As in `state.rs`, only a power cut without a sync and a disk that fails make the state unsure: a device then begins anew
//! with other keys. What a rule says by itself waits for no sync, so that each power cut may have it said once more.

use std::time::Duration;

use tokio::time::sleep;

use crate::outcome::{Makes, Message};
use crate::random::Random;
use crate::state::{Device, Expected, Sent};
use crate::world::World;

/// The last numbers of the traps of these devices.
const COUNTED: u32 = 4;
const SLOWED: u32 = 5;
const EXPECTED: u32 = 6;
/// How many messages the threshold has, and how long it takes to recover.
const COUNT: u64 = 3;
const RECOVER: Duration = Duration::from_secs(15);
/// How many outcomes the throttle lets pass, in which time.
const PASS: u64 = 2;
const PER: Duration = Duration::from_secs(10);
/// When a message is late: `every` and `grace`.
const DUE: Duration = Duration::from_secs(10);
/// How long what is due may take.
const LATE: Duration = Duration::from_secs(2);
/// A repeat is known for five minutes.
const KNOWN: Duration = Duration::from_secs(290);
const KEYS: usize = 3;
/// The hosts of what is expected begin here; each has one service.
const SILENT_HOSTS: u64 = 9_000_000;
const SILENT_SERVICE: u64 = 7;

/// How each of the rules ends.
const CHECK: &str = r#"[rule.check]
host = "{{ v[1] }}"
service = "{{ v[2] }}"
state = "v[3]"
output = "uid{{ v[5] }}a{EXTRA} {{ v[6] }}"
"#;

const COUNTED_RULE: &str = r#"
[[rule]]
id = "counted"
trap = "1.3.6.1.4.1.99999.7.0.4"
key = "{{ v[1] }} {{ v[2] }}"
threshold = { count = 3, within = "366d", recover = "15s" }
[rule.recovery]
state = "critical"
output = "{{ output }}"
"#;

const SLOWED_RULE: &str = r#"
[[rule]]
id = "slowed"
trap = "1.3.6.1.4.1.99999.7.0.5"
key = "{{ v[1] }} {{ v[2] }}"
throttle = { count = 2, per = "10s", key = "{{ v[1] }}" }
"#;

/// The key is the number of the message that says of the silence: six digits.
const EXPECTED_RULE: &str = r#"
[[rule]]
id = "expected"
trap = "1.3.6.1.4.1.99999.7.0.6"
orphan = "drop"
[rule.expect]
every = "8s"
grace = "2s"
key = "{{ v[6] }}"
host = "h9{{ key }}"
service = "s7"
output = "uid{{ key }}a{EXTRA}"
"#;

/// Which of these devices a seed has.
#[derive(Debug, Clone, Copy)]
pub struct Devices {
    counted: bool,
    slowed: bool,
    expected: bool,
}

impl Devices {
    /// Draws them, from numbers of their own: the rest of a seed does not depend on it.
    pub fn draw(random: &Random) -> Self {
        Devices { counted: random.once_in(3), slowed: random.once_in(3), expected: random.once_in(3) }
    }

    /// The rules of those that there are.
    pub fn rules(self) -> String {
        let all = [(self.counted, COUNTED_RULE), (self.slowed, SLOWED_RULE), (self.expected, EXPECTED_RULE)];
        all.into_iter().filter(|(is, _)| *is).flat_map(|(_, rule)| [rule, CHECK]).collect()
    }

    /// Starts those that there are.
    pub fn start(self, world: &World) {
        let spawn = &world.executor;
        if self.counted {
            spawn.spawn(crate::world::WORLD, counted(world.clone(), 32));
        }
        if self.slowed {
            spawn.spawn(crate::world::WORLD, slowed(world.clone(), 33));
        }
        if self.expected {
            spawn.spawn(crate::world::WORLD, expected(world.clone(), 34));
        }
    }
}

/// How often a message is in the journal at the end: so often, and once more for each power cut since.
#[derive(Debug)]
pub struct Bound {
    uid: u64,
    least: usize,
    most: usize,
    cuts: u64,
}

/// A key that was expected: each time that it was late, and each message that ended it, stand in the journal in turn.
#[derive(Debug)]
pub struct Silence {
    late: u64,
    informs: Vec<u64>,
    /// Whether it is surely late at the end.
    ends_late: bool,
    cuts: u64,
}

fn expect_times(world: &World, uid: u64, (least, most): (usize, usize), cuts: u64) {
    world.expected.borrow_mut().push(Expected::Bound(Bound { uid, least, most, cuts }));
}

/// Whether nothing that counts can have been lost, and no repeat can have been forgotten.
fn is_sure(sent: &Sent, doubts: u64, world: &World) -> bool {
    sent.sure && doubts == world.doubts.get() && sent.answered < sent.first + KNOWN
}

/// Whether one run of the daemon has listened for longer than `time` between two informs. It knows what came before it, and what was due
/// then happens 5 s after its start.
fn was_quiet(before: &Sent, after: &Sent, time: Duration) -> bool {
    after.run.is_some_and(|run| after.first > before.answered.max(run.began) + time)
}

/// Waits until a run of the daemon has listened for so long. False if none does.
async fn listens(world: &World, time: Duration) -> bool {
    for _ in 0..4 {
        sleep(time).await;
        if crate::state::run(world).is_some_and(|run| world.history.now() >= run.began + time) {
            return true;
        }
    }
    false
}

// Thresholds.

/// What is known of a key that is counted.
struct Counted {
    service: u64,
    doubts: u64,
    cuts: u64,
    count: u64,
    /// The message that took the threshold.
    taker: Option<u64>,
    last: Option<Sent>,
}

impl Counted {
    fn new(world: &World, service: u64) -> Self {
        let (doubts, cuts) = (world.doubts.get(), world.cuts.get());
        Counted { service, doubts, cuts, count: 0, taker: None, last: None }
    }

    /// One more answered message. False if nothing is sure of the key any more.
    fn take(&mut self, world: &World, sent: Sent) -> bool {
        if !is_sure(&sent, self.doubts, world) {
            return false;
        }
        let uid = sent.uid;
        if let (Some(taker), Some(last)) = (self.taker, &self.last)
            && sent.answered >= last.first + RECOVER
        {
            let recovered = was_quiet(last, &sent, RECOVER + LATE);
            expect_times(world, taker, (1 + usize::from(recovered), 2), self.cuts);
            (self.taker, self.count) = (None, 0);
            if !recovered {
                // It takes the threshold in no case, but counts or does not.
                expect_times(world, uid, (0, 0), world.cuts.get());
                return false;
            }
            self.cuts = world.cuts.get();
        }
        self.count += 1;
        if self.count == COUNT {
            self.taker = Some(uid);
            world.ledger.answered(uid);
        } else {
            expect_times(world, uid, (0, 0), world.cuts.get());
        }
        self.last = Some(sent);
        true
    }

    /// The key is not used any more: what it has taken recovers, sooner or later.
    fn leave(&self, world: &World) {
        if let Some(taker) = self.taker.filter(|_| self.doubts == world.doubts.get()) {
            expect_times(world, taker, (1, 2), self.cuts);
        }
    }
}

/// Messages of some keys: the third of each is journaled, and again when no more come.
async fn counted(world: World, number: u8) {
    let mut device = Device::new(&world, number, COUNTED);
    let mut next = KEYS as u64;
    let mut keys: Vec<_> = (0..next).map(|service| Counted::new(&world, service)).collect();
    loop {
        let most = if world.random.once_in(8) { 30_000 } else { 2500 };
        world.pause(most).await;
        let at = world.random.below(KEYS as u64) as usize;
        let Some(sent) = device.send(keys[at].service, 2).await else { break };
        if !keys[at].take(&world, sent) || world.random.once_in(12) {
            keys[at].leave(&world);
            keys[at] = Counted::new(&world, next);
            next += 1;
        }
    }
    for key in &keys {
        key.leave(&world);
    }
}

// Throttles.

/// Messages in bursts: the first two are journaled at once, the others when the window ends, each once.
async fn slowed(world: World, number: u8) {
    let mut device = Device::new(&world, number, SLOWED);
    let (mut next, mut before): (u64, Option<Sent>) = (0, None);
    let mut begun = world.doubts.get();
    while world.sending.get() {
        let (doubts, cuts) = (world.doubts.get(), world.cuts.get());
        let mut burst: Vec<Sent> = Vec::new();
        for _ in 0..world.random.range(1, 6) {
            world.pause(1500).await;
            let Some(sent) = device.send(next, 2).await else { break };
            next += 1;
            let sure = is_sure(&sent, doubts, &world);
            burst.push(sent);
            if !sure {
                break;
            }
        }
        let Some(first) = burst.first() else { return };
        // No window is open when it begins: there was none, or it has ended.
        let fresh =
            begun == doubts && before.as_ref().is_none_or(|before| was_quiet(before, first, PER + LATE));
        begun = doubts;
        for (at, sent) in burst.iter().enumerate() {
            if is_sure(sent, doubts, &world) && fresh && sent.answered < first.first + PER {
                at_once(&world, sent.uid, at as u64);
            }
        }
        let ended = listens(&world, PER + LATE).await;
        for sent in burst.iter().filter(|sent| is_sure(sent, doubts, &world)) {
            expect_times(&world, sent.uid, (usize::from(ended), 1), cuts);
        }
        before = burst.pop();
        begun = world.doubts.get().min(begun);
        world.pause(5000).await;
        if world.doubts.get() != doubts {
            // Nobody knows the window any more: let it end.
            (begun, before) = (world.doubts.get(), burst.pop().or(before));
        }
    }
}

/// One of a burst was answered within the window: it is in the journal if it is among the first.
fn at_once(world: &World, uid: u64, at: u64) {
    if at < PASS {
        world.ledger.answered(uid);
    }
}

// What is expected.

/// A key of its own for each episode: it goes silent now and then, comes back, and is left silent.
async fn expected(world: World, number: u8) {
    let mut device = Device::new(&world, number, EXPECTED);
    while world.sending.get() {
        let uid = world.ledger.messages() as u64 + 1;
        let late = world.ledger.message(SILENT_HOSTS + uid, SILENT_SERVICE, 2, Makes::State);
        episode(&world, &mut device, &late).await;
    }
}

async fn episode(world: &World, device: &mut Device, late: &Message) {
    let (doubts, cuts) = (world.doubts.get(), world.cuts.get());
    let (mut informs, mut before): (Vec<u64>, Option<Sent>) = (Vec::new(), None);
    for _ in 0..world.random.range(2, 8) {
        if before.is_some() && world.random.once_in(3) {
            listens(world, DUE + LATE).await;
        }
        world.pause(4000).await;
        let quiet_cuts = world.cuts.get();
        let message = world.ledger.message(late.host, late.service, 0, Makes::State);
        // One that is never answered may have been taken, too.
        informs.push(message.uid);
        let Some(sent) = device.send_this(&message, &format!("{:06}", late.uid)).await else { break };
        if !is_sure(&sent, doubts, world) {
            return;
        }
        let times = match &before {
            None => (0, 0),
            Some(before) if sent.answered < before.first + DUE => (0, 0),
            Some(before) if was_quiet(before, &sent, DUE + LATE) && cuts == quiet_cuts => (1, 1),
            Some(_) => (0, 1),
        };
        expect_times(world, sent.uid, times, world.cuts.get());
        if times == (1, 1) {
            world.ledger.answered(sent.uid);
        }
        before = Some(sent);
    }
    let ends_late = before.is_some() && world.random.once_in(2) && listens(world, DUE + LATE).await;
    if doubts == world.doubts.get() {
        let silence = Silence { late: late.uid, informs, ends_late, cuts };
        world.expected.borrow_mut().push(Expected::Silence(silence));
    }
}

// The end.

impl Bound {
    /// Compares it with the journal.
    pub fn settle(&self, world: &World) {
        let Bound { uid, least, most, .. } = *self;
        let (times, cuts) = (world.ledger.kept(uid), (world.cuts.get() - self.cuts) as usize);
        let most = if most > 0 { most + cuts } else { 0 };
        if times > most || (times + cuts < least && !world.ledger.has_unseen()) {
            let what = format!("uid{uid} is in the journal {times} times, not {least} to {most}");
            world.history.found(&what);
        }
    }
}

impl Silence {
    /// Compares it with the journal.
    pub fn settle(&self, world: &World) {
        if world.ledger.has_unseen() {
            return;
        }
        let cuts = (world.cuts.get() - self.cuts) as usize;
        let late = world.ledger.kept(self.late);
        let back: usize = self.informs.iter().map(|uid| world.ledger.kept(*uid)).sum();
        let least = back + usize::from(self.ends_late);
        if late + cuts < least || late > back + 1 + cuts {
            world.history.found(&format!(
                "uid{} says {late} times that messages are late, which came back {back} times, with {cuts} power cuts",
                self.late
            ));
        }
    }
}
