//! Devices whose traps meet rules that keep state, and what these rules must make of them: each change of a problem is
//! journaled once, a repeat never, and a problem that is cleared while it is held is not journaled at all.
//!
//! The messages are informs, sent until they are answered: what was answered is in the state, whatever ends the daemon. Only a
//! power cut without a sync, and a disk that fails, may take state away; what comes after that begins anew.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::{sleep, timeout};
use trapline::intake::listener::Protocol;
use trapline::message::NotificationKind;
use trapline::snmp;

use crate::count::{Bound, Silence};
use crate::outcome::{Makes, Message};
use crate::senders::{MOST_ANSWER, notification, padding};
use crate::world::World;

/// The last number of the traps of problems that are reported once.
pub const ONCE: u32 = 2;
/// The last number of the traps of problems that are held.
pub const HELD: u32 = 3;
/// For how long they are held.
const HOLD: Duration = Duration::from_secs(5);
/// How long a problem may take to be sent after that.
const LATE: Duration = Duration::from_secs(2);
/// The hosts of these devices have higher numbers than those of others.
const HOST: u64 = 10;
const PROBLEMS: u64 = 3;

/// The rules. `{EXTRA}` stands for their version.
pub const RULES: &str = r#"
[[rule]]
id = "once"
trap = "1.3.6.1.4.1.99999.7.0.2"
key = "{{ v[1] }} {{ v[2] }}"
dedup = { window = "366d" }
orphan = "drop"
[rule.check]
host = "{{ v[1] }}"
service = "{{ v[2] }}"
state = "v[3]"
output = "uid{{ v[5] }}a{EXTRA} {{ v[6] }}"

[[rule]]
id = "held"
trap = "1.3.6.1.4.1.99999.7.0.3"
key = "{{ v[1] }} {{ v[2] }}"
hold = { for = "5s" }
orphan = "drop"
[rule.check]
host = "{{ v[1] }}"
service = "{{ v[2] }}"
state = "v[3]"
output = "uid{{ v[5] }}a{EXTRA} {{ v[6] }}"
"#;

/// What must have become of messages at the end.
#[derive(Debug)]
pub enum Expected {
    /// This one is in the journal so many times.
    Times { uid: u64, times: usize },
    /// A problem that was held, and its clear: either both are there once, or neither, or the clear alone where receivers may have known
    /// of a problem before.
    Both { problem: u64, clear: u64 },
    /// What devices that count have found.
    Bound(Bound),
    /// What became of a key that was expected.
    Silence(Silence),
}

/// An inform under way, and what may have happened meanwhile.
pub struct Sent {
    pub uid: u64,
    pub first: Duration,
    pub answered: Duration,
    /// Whether the state cannot have been lost meanwhile.
    pub sure: bool,
    /// The run of the daemon, if it was one.
    pub run: Option<Run>,
}

/// A run of the daemon.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Run {
    number: u64,
    /// Since when it has listened.
    pub began: Duration,
}

/// A device that waits for answers.
pub struct Device {
    world: World,
    peer: SocketAddr,
    answers: mpsc::UnboundedReceiver<Vec<u8>>,
    trap: u32,
    host: u64,
}

impl Device {
    pub fn new(world: &World, number: u8, trap: u32) -> Self {
        let peer = SocketAddr::from(([192, 0, 2, number], 7000));
        let (sender, answers) = mpsc::unbounded_channel();
        world.devices.borrow_mut().insert(peer, sender);
        Device { world: world.clone(), peer, answers, trap, host: HOST + u64::from(number) }
    }

    fn message(&self, service: u64, state: u64) -> Message {
        self.world.ledger.message(self.host, service, state, Makes::State)
    }

    /// Sends until it is answered; none if the devices are told to end before.
    pub async fn send(&mut self, service: u64, state: u64) -> Option<Sent> {
        let message = self.message(service, state);
        let text = padding(&self.world);
        self.send_this(&message, &text).await
    }

    /// Sends a message with a text until it is answered.
    pub async fn send_this(&mut self, message: &Message, text: &str) -> Option<Sent> {
        let world = self.world.clone();
        let (uid, service, state) = (message.uid, message.service, message.state);
        world
            .history
            .say(&format!("uid{uid} says {state} of s{service}, for the rule of trap {}", self.trap));
        let (first, sure, run) = (world.history.now(), world.doubts.get(), run(&world));
        let packet = notification(message, NotificationKind::Inform, text, self.trap, first);
        let expected = snmp::decode(&packet).unwrap().answer(MOST_ANSWER).unwrap();
        while world.sending.get() {
            crate::senders::send(&world, Protocol::Snmp, packet.clone(), self.peer, 0);
            let answers = &mut self.answers;
            let answer = async {
                while let Some(answer) = answers.recv().await {
                    if answer == expected {
                        return;
                    }
                }
            };
            if timeout(Duration::from_millis(world.random.range(500, 2000)), answer).await.is_ok() {
                world.history.say(&format!("uid{uid} is answered"));
                return Some(Sent {
                    uid,
                    first,
                    answered: world.history.now(),
                    sure: sure == world.doubts.get(),
                    run: run.filter(|run| self::run(&world) == Some(*run)),
                });
            }
        }
        None
    }
}

/// The run of the daemon, if it runs and does not end: then nothing happens by itself any more.
pub fn run(world: &World) -> Option<Run> {
    let node = world.node().filter(|node| !node.ending.get())?;
    Some(Run { number: node.group.0, began: node.began })
}

/// Problems that are reported, repeated and cleared.
pub async fn once(world: World, number: u8) {
    let mut device = Device::new(&world, number, ONCE);
    // Whether each is a problem, and how often the state was in doubt when that was so.
    let mut known = [(false, world.doubts.get()); PROBLEMS as usize];
    while world.sending.get() {
        world.pause(2500).await;
        let which = world.random.below(PROBLEMS);
        let problem = world.random.once_in(2);
        let (before, doubts) = known[which as usize];
        let Some(sent) = device.send(which, if problem { 2 } else { 0 }).await else { return };
        if sent.sure && doubts == world.doubts.get() {
            let times = usize::from(before != problem);
            world.expected.borrow_mut().push(Expected::Times { uid: sent.uid, times });
            if times > 0 {
                world.ledger.answered(sent.uid);
            }
        }
        known[which as usize] = (problem, world.doubts.get());
    }
}

/// Problems that are cleared while they are held, or after.
pub async fn held(world: World, number: u8) {
    let mut device = Device::new(&world, number, HELD);
    // How often the state was in doubt when each was cleared.
    let mut cleared = [world.doubts.get(); PROBLEMS as usize];
    loop {
        world.pause(4000).await;
        let which = world.random.below(PROBLEMS);
        let (doubts, cuts) = (world.doubts.get(), world.cuts.get());
        let Some(problem) = device.send(which, 2).await else { return };
        let soon = world.random.once_in(2);
        if soon {
            world.pause(4000).await;
        } else {
            sleep(HOLD + LATE).await;
            world.pause(2000).await;
        }
        let since = world.history.now();
        let Some(clear) = device.send(which, 0).await else { return };
        // What is sent by itself waits for no sync: with a cut of the power right after it, it counts as held again.
        let before = std::mem::replace(&mut cleared[which as usize], world.doubts.get());
        if !(problem.sure && clear.sure)
            || before != doubts
            || doubts != world.doubts.get()
            || cuts != world.cuts.get()
            // One that is sent again after the hold has ended is a repeat.
            || problem.answered >= problem.first + HOLD
        {
            continue;
        }
        let one_run = problem.run.is_some() && problem.run == clear.run;
        let mut expected = vec![Expected::Both { problem: problem.uid, clear: clear.uid }];
        if one_run && clear.answered < problem.first + HOLD {
            expected.push(Expected::Times { uid: problem.uid, times: 0 });
        }
        if one_run && since > problem.answered + HOLD + LATE {
            expected.push(Expected::Times { uid: problem.uid, times: 1 });
        }
        world.expected.borrow_mut().extend(expected);
    }
}

/// Compares what became of messages with what must have, of all that were answered by now.
pub fn settle(world: &World) {
    let times = |uid: u64| world.ledger.kept(uid);
    // What nobody has seen in the journal may have been there.
    let unseen = world.ledger.has_unseen();
    let found = |what: String| world.history.found(&what);
    for expected in world.expected.take() {
        match expected {
            Expected::Times { uid, times: right }
                if times(uid) > right || (times(uid) < right && !unseen) =>
            {
                found(format!("uid{uid} is in the journal {} times, not {right}", times(uid)));
            }
            Expected::Both { problem, clear } => {
                let both = (times(problem), times(clear));
                let half = both == (1, 0);
                if !(matches!(both, (0, 0 | 1) | (1, 1)) || (unseen && half)) {
                    found(format!(
                        "the problem uid{problem} and its clear uid{clear} are in the journal {both:?} times"
                    ));
                }
            }
            Expected::Bound(bound) => bound.settle(world),
            Expected::Silence(silence) => silence.settle(world),
            Expected::Times { .. } => {}
        }
    }
}
