//! One measurement: warm up, send, wait until all has come out, and what that cost.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::daemon::Daemon;
use crate::null::Null;
use crate::process::{self, Usage};
use crate::sender::{Load, Message};
use crate::table::median;

/// Datagrams before the measurement, so that it has no first touches of memory in it.
const WARM_UP: u64 = 2_000;
/// How often it is looked whether all has come out.
const LOOK: Duration = Duration::from_millis(20);

/// What receives.
pub trait Receiver {
    /// The port for these messages.
    fn port(&self, message: Message) -> u16;
    /// How many messages have come out.
    fn taken(&self) -> u64;
    fn usage(&self) -> Usage;
    /// Has it run on one core.
    fn keep_to(&self, core: &str);
    /// Anything that grows while it still works.
    fn progress(&self) -> u64 {
        self.taken()
    }
    /// When nothing has come out for so long, nothing more will.
    fn silence(&self) -> Duration {
        Duration::from_millis(500)
    }
}

impl Receiver for Null {
    fn port(&self, _: Message) -> u16 {
        self.port
    }

    fn taken(&self) -> u64 {
        self.taken()
    }

    fn usage(&self) -> Usage {
        self.usage()
    }

    fn keep_to(&self, core: &str) {
        self.keep_to(core);
    }
}

impl Receiver for Daemon {
    fn port(&self, message: Message) -> u16 {
        match message {
            Message::Trap | Message::Stamped => crate::daemon::SNMP,
            Message::Line | Message::Pattern => crate::daemon::SYSLOG,
        }
    }

    fn taken(&self) -> u64 {
        self.taken()
    }

    fn usage(&self) -> Usage {
        self.usage()
    }

    fn keep_to(&self, core: &str) {
        process::keep_to(core, true, &self.pid().to_string());
    }

    fn progress(&self) -> u64 {
        self.taken() + self.file_octets()
    }
}

/// What a number of messages cost.
#[derive(Debug, Clone, Copy)]
pub struct Cost {
    pub sent: u64,
    pub taken: u64,
    /// From the first to the last message that was sent.
    pub seconds: f64,
    /// See [`crate::sender::Sent::late`].
    pub late: f64,
    pub usage: Usage,
}

impl Cost {
    /// Microseconds of CPU a message that came out.
    pub fn each(&self) -> f64 {
        self.usage.cpu as f64 / 1000.0 / self.taken as f64
    }

    /// Context switches a message.
    pub fn switches(&self) -> f64 {
        self.usage.switches() as f64 / self.taken as f64
    }

    pub fn lost(&self) -> u64 {
        self.sent.saturating_sub(self.taken)
    }
}

/// Whether receivers have a core of their own.
static APART: AtomicBool = AtomicBool::new(false);

/// Takes figures with receivers on core 1, and on core 0 all that sends and reads what they write. A sender on the core of a receiver
/// wakes it without waking a core, which no network card does.
pub fn apart(figures: impl FnOnce()) {
    let this = std::process::id().to_string();
    let cores = std::thread::available_parallelism().unwrap().get();
    assert!(cores > 1, "this needs two cores");
    process::keep_to("0", true, &this);
    APART.store(true, Ordering::Relaxed);
    figures();
    APART.store(false, Ordering::Relaxed);
    process::keep_to(&format!("0-{}", cores - 1), true, &this);
}

/// Sends `load` and waits until the receiver has taken it, or takes nothing more.
pub fn cost(receiver: &dyn Receiver, message: Message, load: &Load) -> Cost {
    if APART.load(Ordering::Relaxed) {
        receiver.keep_to("1");
    }
    let warm_up = Load::new(message, receiver.port(message), (50_000, 64), WARM_UP);
    run(receiver, &warm_up);
    run(receiver, load)
}

/// The same without messages to warm up.
pub fn run(receiver: &dyn Receiver, load: &Load) -> Cost {
    let (before, usage) = (receiver.taken(), receiver.usage());
    let sent = load.send();
    let (mut progress, mut moved) = (receiver.progress(), Instant::now());
    loop {
        std::thread::sleep(LOOK);
        let now = receiver.progress();
        if now == progress
            && (receiver.taken() - before >= load.count || moved.elapsed() > receiver.silence())
        {
            break;
        }
        if now != progress {
            (progress, moved) = (now, Instant::now());
        }
    }
    Cost {
        sent: load.count,
        taken: receiver.taken() - before,
        seconds: sent.seconds,
        late: sent.late,
        usage: receiver.usage().since(usage),
    }
}

/// Runs `measure` for each of `count` subjects by turns, so that a noisy moment falls on all of them; every other
/// round in the opposite order. Gives the results of each subject, one a round.
pub fn by_turns<T>(count: usize, rounds: usize, mut measure: impl FnMut(usize) -> T) -> Vec<Vec<T>> {
    let mut results: Vec<Vec<T>> = (0..count).map(|_| Vec::new()).collect();
    for round in 0..rounds {
        for turn in 0..count {
            let subject = if round % 2 == 0 { turn } else { count - 1 - turn };
            results[subject].push(measure(subject));
        }
    }
    results
}

/// The median of a figure over the rounds.
pub fn middle<T>(rounds: &[T], figure: impl Fn(&T) -> f64) -> f64 {
    median(rounds.iter().map(figure))
}

/// The median over the rounds of the ratio of a figure to that of `other` in the same round.
pub fn ratio<T>(rounds: &[T], other: &[T], figure: impl Fn(&T) -> f64) -> f64 {
    median(rounds.iter().zip(other).map(|(one, other)| figure(one) / figure(other)))
}
