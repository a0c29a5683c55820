//! Delivery from a real journal to a sink that answers as the test says, in virtual time.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicI64, AtomicU64};

use tokio::task::JoinHandle;
use tokio::time::Instant;

use super::*;
use crate::journal::{Batch as Outcomes, Options as JournalOptions, WhenFull};
use crate::outcome::record::Record;
use crate::outcome::result::{CheckResult, Common, Event, Labels, Outcome, State};
use crate::sinks::machine::GIVE_UP;
use crate::sinks::parking::Room;
use crate::sinks::sink::{Item, Limits, Order, Pieces, Sending};
use crate::time::clock::Wall;
use crate::world::Random;

/// When virtual time begins, in microseconds since 1970.
const START: i64 = 1_700_000_000_000_000;

/// The clock of the runtime. Counts how often it is asked.
#[derive(Debug)]
struct VirtualClock {
    start: Instant,
    asked: AtomicU64,
    /// By how much the wall clock was set, in microseconds.
    stepped: AtomicI64,
}

impl Clock for VirtualClock {
    fn now(&self) -> Now {
        self.asked.fetch_add(1, Ordering::Relaxed);
        self.look()
    }
}

impl VirtualClock {
    /// The time, without being counted.
    fn look(&self) -> Now {
        let passed = self.start.elapsed();
        let wall =
            Wall::from_micros(START + passed.as_micros() as i64 + self.stepped.load(Ordering::Relaxed));
        Now { wall, mono: Mono::from_nanos(1_000_000_000) + passed }
    }
}

/// Numbers that are the same in each run.
#[derive(Debug, Default)]
struct Counting(AtomicU64);

impl Random for Counting {
    fn next(&self) -> u64 {
        self.0.fetch_add(0x9e37_79b9_7f4a_7c15, Ordering::Relaxed)
    }
}

type Answer = Box<dyn FnMut(&[String]) -> (Duration, Result<Vec<Fate>, Trouble>) + Send>;

/// A sink for check results whose server answers by a function of their outputs.
struct Toy {
    limits: Limits,
    answer: Arc<Mutex<Answer>>,
    /// All that was sent, in order.
    sent: Arc<Mutex<Vec<String>>>,
}

impl std::fmt::Debug for Toy {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Toy")
    }
}

impl Sink for Toy {
    fn limits(&self) -> Limits {
        self.limits
    }

    fn takes_events(&self) -> bool {
        false
    }

    fn pieces(&self, _record: &Record<'_>) -> Option<Pieces> {
        None
    }

    fn lane(&self, seat: &Seat) -> Box<dyn Lane> {
        assert!(seat.memory.ends_with("sinks/toy"));
        Box::new(ToyLane { answer: self.answer.clone(), sent: self.sent.clone() })
    }
}

struct ToyLane {
    answer: Arc<Mutex<Answer>>,
    sent: Arc<Mutex<Vec<String>>>,
}

impl Lane for ToyLane {
    fn send<'a>(&'a mut self, items: &'a [Item]) -> Sending<'a> {
        Box::pin(async move {
            let output = |item: &Item| item.record().unwrap().outcome.common().output.to_string();
            let outputs: Vec<String> = items.iter().map(output).collect();
            self.sent.lock().unwrap().extend(outputs.clone());
            let (wait, result) = (self.answer.lock().unwrap())(&outputs);
            tokio::time::sleep(wait).await;
            result
        })
    }
}

/// A journal and a sink that delivers from it.
struct Rig {
    directory: tempfile::TempDir,
    journal: Arc<Journal>,
    running: Running,
    clock: Arc<VirtualClock>,
    limits: Limits,
    options: Options,
    answer: Arc<Mutex<Answer>>,
    sent: Arc<Mutex<Vec<String>>>,
    stop: watch::Sender<bool>,
    task: Option<JoinHandle<()>>,
    next: u64,
    room: Room,
}

fn open(directory: &Path) -> Arc<Journal> {
    open_with(directory, WhenFull::DropOldest)
}

fn open_with(directory: &Path, when_full: WhenFull) -> Arc<Journal> {
    let options = JournalOptions { directory: directory.to_owned(), max_size: 1 << 20, when_full };
    Journal::open(options, 7).unwrap().0
}

fn taken(outputs: &[String]) -> (Duration, Result<Vec<Fate>, Trouble>) {
    (Duration::ZERO, Ok(vec![Fate::Taken; outputs.len()]))
}

impl Rig {
    fn new(limits: Limits) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let journal = open(directory.path());
        let running = Running::open("toy", &journal).unwrap();
        let options = Options { only: None, rate: None, give_up: GIVE_UP, gate: Gate::default() };
        Rig {
            journal,
            running,
            directory,
            clock: Arc::new(VirtualClock {
                start: Instant::now(),
                asked: AtomicU64::new(0),
                stepped: AtomicI64::new(0),
            }),
            limits,
            options,
            answer: Arc::new(Mutex::new(Box::new(taken))),
            sent: Arc::default(),
            stop: watch::channel(false).0,
            task: None,
            next: 0,
            room: Room::default(),
        }
    }

    fn answers(
        &self,
        answer: impl FnMut(&[String]) -> (Duration, Result<Vec<Fate>, Trouble>) + Send + 'static,
    ) {
        *self.answer.lock().unwrap() = Box::new(answer);
    }

    fn start(&mut self) {
        self.stop.send_replace(false);
        let toy = Toy { limits: self.limits, answer: self.answer.clone(), sent: self.sent.clone() };
        let (options, running) = (self.options.clone(), self.running.clone());
        let random = Arc::<Counting>::default();
        let world = World { random, ..World::with_clock(self.clock.clone()) };
        let (journal, room) = (self.journal.clone(), self.room);
        let stop = self.stop.subscribe();
        self.task = Some(tokio::spawn(async move {
            let mut delivery = Delivery::new(&toy, options, running, journal, &world);
            delivery.machine.queue.parking.room = room;
            delivery.run(stop).await;
        }));
    }

    async fn end(&mut self) {
        self.stop.send_replace(true);
        self.task.take().unwrap().await.unwrap();
    }

    /// The same journal and sink in a new process.
    fn restart(&mut self) {
        let directory = self.directory.path().to_owned();
        // The lock on the journal goes with its last user.
        let other = tempfile::tempdir().unwrap();
        self.journal = open(other.path());
        self.running = Running::open("toy", &self.journal).unwrap();
        self.journal = open(&directory);
        self.running = Running::open("toy", &self.journal).unwrap();
        self.start();
    }

    /// Appends check results of hosts; their outputs are numbers that rise.
    fn append(&mut self, hosts: impl IntoIterator<Item = u64>) {
        assert!(self.try_append(hosts), "the journal takes them");
    }

    /// The same; false if the journal does not take all of them.
    fn try_append(&mut self, hosts: impl IntoIterator<Item = u64>) -> bool {
        let mut batch = Outcomes::default();
        batch.set_received(self.clock.look());
        for host in hosts {
            self.next += 1;
            batch.push(&Outcome::CheckResult(CheckResult {
                common: self.common(self.next.to_string()),
                host: format!("h{host}").into(),
                service: Some("s".into()),
                perfdata: "".into(),
            }));
        }
        self.journal.append(&batch).is_ok()
    }

    fn common(&self, output: String) -> Common<'static> {
        Common {
            time: self.clock.look().wall.micros(),
            rule: "r".into(),
            state: State::Ok,
            output: output.into(),
            long_output: "".into(),
            source: "192.0.2.1".into(),
            labels: Labels::default(),
        }
    }

    fn append_event(&mut self) {
        let mut batch = Outcomes::default();
        let common = self.common("event".to_owned());
        batch.push(&Outcome::Event(Event {
            common,
            component: "c".into(),
            resource: None,
            fields: Vec::new(),
        }));
        self.journal.append(&batch).unwrap();
    }

    fn sent(&self) -> Vec<String> {
        self.sent.lock().unwrap().clone()
    }

    fn behind(&self) -> u64 {
        self.journal.behind(&self.running.cursor)
    }

    async fn until(&self, what: &str, holds: impl Fn(&Self) -> bool) {
        let start = Instant::now();
        let mut pause = Duration::from_millis(1);
        while !holds(self) {
            assert!(start.elapsed() < Duration::from_hours(100), "{what}: never; sent {:?}", self.sent());
            tokio::time::sleep(pause).await;
            pause = (pause * 5 / 4).min(Duration::from_secs(10));
        }
    }

    fn count(&self, counter: impl Fn(&crate::sinks::stats::SinkStats) -> &AtomicU64) -> u64 {
        counter(&self.running.stats).load(Ordering::Relaxed)
    }

    fn letters(&self) -> DeadLetters {
        DeadLetters::new(self.journal.directory(), "toy")
    }
}

fn limits(lanes: usize, items: usize) -> Limits {
    Limits { lanes, items, order: Order::OneByOne, ..Limits::default() }
}

fn repeats(sent: &[String]) -> Vec<&String> {
    let mut times: HashMap<&String, u32> = HashMap::new();
    for output in sent {
        *times.entry(output).or_default() += 1;
    }
    times.into_iter().filter(|(_, times)| *times > 1).map(|(output, _)| output).collect()
}

#[tokio::test(start_paused = true)]
async fn everything_is_delivered_counted_and_not_again_after_a_restart() {
    let mut rig = Rig::new(limits(2, 3));
    rig.append(0..100);
    rig.append_event();
    rig.start();
    rig.until("all", |rig| rig.behind() == 0).await;
    rig.append(0..10);
    rig.append_event();
    rig.until("more", |rig| rig.behind() == 0).await;
    assert_eq!((rig.count(|s| &s.delivered), rig.count(|s| &s.skipped)), (110, 2));
    assert!(rig.running.stats.lag(rig.clock.look().mono) <= 0.0);
    rig.end().await;
    rig.restart();
    rig.append([1]);
    rig.until("the new one", |rig| rig.behind() == 0).await;
    assert_eq!((rig.sent().len(), repeats(&rig.sent()).len()), (111, 0));
    rig.end().await;
}

#[tokio::test(start_paused = true)]
async fn one_that_is_put_off_holds_up_its_own_service_only() {
    let mut rig = Rig::new(limits(4, 1));
    rig.answers(|outputs| {
        let fate = if outputs[0] == "1" { Fate::Later("500".into()) } else { Fate::Taken };
        (Duration::from_millis(2), Ok(vec![fate]))
    });
    // 401 is of the same service as 1.
    rig.append(0..400);
    rig.append([0]);
    rig.start();
    rig.until("the others", |rig| rig.behind() == 2).await;
    let error = rig.running.stats.error.lock().unwrap().clone();
    assert_eq!(error.as_deref(), Some("some outcomes are not taken now: 500"));
    assert!(rig.clock.look().mono.since(Mono::from_nanos(1_000_000_000)) < Duration::from_secs(2));
    rig.append(1..100);
    rig.until("what comes after", |rig| rig.behind() == 2).await;
    assert_eq!(repeats(&rig.sent()), ["1"]);
    rig.end().await;
    // The same after a restart, and a crash.
    rig.restart();
    tokio::time::sleep(Duration::from_secs(5)).await;
    rig.task.take().unwrap().abort();
    tokio::time::sleep(Duration::from_secs(1)).await;
    rig.restart();
    rig.until("it is given up", |rig| rig.behind() == 0).await;
    assert_eq!(repeats(&rig.sent()), ["1"], "and the one that waited behind it came once");
    assert_eq!(rig.sent().last().unwrap(), "401");
    let letters = rig.letters().list().unwrap();
    assert_eq!((letters.len(), letters[0].reason()), (1, "not taken for 1d; the last answer: 500"));
    assert_eq!(*rig.running.stats.error.lock().unwrap(), None);
    rig.end().await;
}

#[tokio::test(start_paused = true)]
async fn those_that_are_never_answered_hold_up_nothing_that_comes_later() {
    // Fewer than lanes, as many, and more.
    for (lanes, count) in [(1, 1), (1, 2), (1, 5), (2, 1), (2, 2), (2, 5)] {
        let mut rig = Rig::new(limits(lanes, 1));
        rig.answers(move |outputs| {
            let unanswered = Err(Trouble::Unanswered("it closed the connection".into(), "see its log"));
            let bad = outputs[0].parse::<u64>().is_ok_and(|number| number <= count);
            (Duration::from_millis(1), if bad { unanswered } else { Ok(vec![Fate::Taken]) })
        });
        rig.append(0..count);
        rig.start();
        for _ in 0..7 {
            tokio::time::sleep(Duration::from_mins(1)).await;
            rig.append([7, 8]);
            let start = rig.clock.look().mono;
            rig.until("what comes later", |rig| rig.behind() == count).await;
            // The longest pause of a sink for each of them, and how often it is looked.
            let late = rig.clock.look().mono.since(start);
            assert!(late < Duration::from_secs(75), "{lanes} lanes, {count} without an answer: {late:?}");
        }
        rig.end().await;
    }
}

#[tokio::test(start_paused = true)]
async fn lines_are_gathered_for_a_short_time() {
    let mut rig = Rig::new(Limits { linger: Duration::from_millis(20), ..limits(1, 1000) });
    let requests = Arc::new(AtomicU64::new(0));
    let counted = requests.clone();
    rig.answers(move |outputs| {
        counted.fetch_add(1, Ordering::Relaxed);
        taken(outputs)
    });
    rig.start();
    for host in 0..1000 {
        rig.append([host]);
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    rig.until("all", |rig| rig.behind() == 0).await;
    assert!(requests.load(Ordering::Relaxed) <= 60, "{requests:?} requests");
    assert_eq!(rig.sent().len(), 1000);
    rig.end().await;
}

#[tokio::test(start_paused = true)]
async fn a_full_journal_gets_its_space_back_at_once() {
    let mut rig = Rig::new(limits(1, 1000));
    let options = JournalOptions {
        directory: rig.directory.path().join("refusing"),
        max_size: 1 << 20,
        when_full: WhenFull::Refuse,
    };
    rig.journal = Journal::open(options, 7).unwrap().0;
    rig.running = Running::open("toy", &rig.journal).unwrap();
    let batch = |rig: &Rig| {
        let mut batch = Outcomes::default();
        for n in 0..500 {
            batch.push(&Outcome::CheckResult(CheckResult {
                common: rig.common(n.to_string()),
                host: "h".into(),
                service: None,
                perfdata: "".into(),
            }));
        }
        batch
    };
    while rig.journal.append(&batch(&rig)).is_ok() {}
    assert!(rig.journal.is_full());
    rig.start();
    let start = Instant::now();
    while rig.journal.append(&batch(&rig)).is_err() {
        assert!(start.elapsed() < Duration::from_millis(500), "the cursor is not synced");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert!(!rig.journal.is_full());
    rig.end().await;
}

#[tokio::test(start_paused = true)]
async fn a_dead_letter_is_about_what_was_sent_though_the_journal_has_lost_it() {
    let mut rig = Rig::new(limits(1, 1));
    rig.answers(|outputs| match outputs[0].as_str() {
        "1" => (Duration::from_secs(20), Ok(vec![Fate::Dead("I cannot read this".into())])),
        _ => taken(outputs),
    });
    rig.append([0]);
    rig.start();
    tokio::time::sleep(Duration::from_secs(1)).await;
    for _ in 0..60 {
        rig.append(0..500);
    }
    assert!(rig.journal.oldest() > 1);
    let expired = rig.running.cursor.expired();
    rig.until("the rest", |rig| rig.behind() == 0).await;
    let letters = rig.letters().list().unwrap();
    let output = letters[0].record().unwrap().outcome.common().output.to_string();
    assert_eq!((letters.len(), output.as_str()), (1, "1"));
    let (delivered, expired_then) = (rig.count(|s| &s.delivered), rig.running.cursor.expired());
    assert!(expired > 0);
    assert_eq!((expired_then, delivered + expired_then + 1), (expired, 30_001), "everything is counted once");
    rig.end().await;
}

#[tokio::test(start_paused = true)]
async fn a_stop_awaits_what_is_under_way_and_sends_nothing_more() {
    let mut rig = Rig::new(limits(2, 10));
    rig.answers(|outputs| (Duration::from_secs(3), taken(outputs).1));
    rig.append(0..400);
    rig.start();
    tokio::time::sleep(Duration::from_secs(4)).await;
    rig.end().await;
    assert_eq!((rig.sent().len(), rig.behind()), (40, 360));
    rig.restart();
    rig.until("the rest", |rig| rig.behind() == 0).await;
    assert_eq!((rig.sent().len(), repeats(&rig.sent()).len()), (400, 0));
    rig.end().await;
}

#[tokio::test(start_paused = true)]
async fn what_was_not_awaited_comes_again_and_nothing_else() {
    let mut rig = Rig::new(limits(1, 10));
    rig.answers(|outputs| (Duration::from_secs(3), taken(outputs).1));
    rig.append(0..100);
    rig.start();
    tokio::time::sleep(Duration::from_millis(9500)).await;
    rig.task.take().unwrap().abort();
    tokio::time::sleep(Duration::from_millis(1)).await;
    assert_eq!(rig.behind(), 70);
    rig.restart();
    rig.until("the rest", |rig| rig.behind() == 0).await;
    assert_eq!((rig.sent().len(), repeats(&rig.sent()).len()), (110, 10));
    rig.end().await;
}

#[tokio::test(start_paused = true)]
async fn letters_are_sent_again_beside_the_journal_and_can_be_taken_back() {
    let mut rig = Rig::new(limits(1, 1));
    rig.answers(|outputs| {
        let dead = outputs[0].len() == 1;
        let fate = if dead { Fate::Dead("no such host".into()) } else { Fate::Taken };
        (Duration::from_millis(1), Ok(vec![fate]))
    });
    rig.append(0..20);
    rig.start();
    rig.until("the first", |rig| rig.behind() == 0).await;
    assert_eq!((rig.letters().list().unwrap().len(), rig.count(|s| &s.dead)), (9, 9));
    assert_eq!(rig.count(|s| &s.letters), 9);
    // One is still dead, one is put off, the others are taken.
    rig.answers(|outputs| {
        let fate = match outputs[0].as_str() {
            "3" => Fate::Dead("still not".into()),
            "4" => Fate::Later("503".into()),
            _ => Fate::Taken,
        };
        (Duration::from_millis(1), Ok(vec![fate]))
    });
    assert_eq!(rig.letters().take(true, |_| true).unwrap().count, 9);
    rig.running.look_at_letters();
    rig.until("seven are taken", |rig| rig.count(|s| &s.delivered) == 11 + 7).await;
    rig.append(100..130);
    rig.until("the journal goes on", |rig| rig.behind() == 0).await;
    rig.until("the file knows", |rig| rig.letters().retrying().unwrap().len() == 1).await;
    assert_eq!(rig.letters().list().unwrap()[0].reason(), "still not");
    assert_eq!((rig.count(|s| &s.letters), rig.count(|s| &s.dead)), (1, 10));
    // A restart goes on with the one that is put off, and knows what is kept.
    rig.end().await;
    rig.restart();
    rig.until("they are counted", |rig| rig.count(|s| &s.letters) == 1).await;
    assert_eq!(rig.count(|s| &s.dead), 0);
    let tries = |rig: &Rig| rig.sent().iter().filter(|output| *output == "4").count();
    let before = tries(&rig);
    rig.until("it is tried", |rig| tries(rig) > before + 1).await;
    assert_eq!(rig.letters().take(false, |letter| letter.reason() == "no such host").unwrap().count, 1);
    rig.running.look_at_letters();
    tokio::time::sleep(Duration::from_mins(1)).await;
    let before = tries(&rig);
    tokio::time::sleep(Duration::from_hours(1)).await;
    assert_eq!((tries(&rig), rig.letters().retrying().unwrap().len()), (before, 0));
    assert_eq!(rig.letters().list().unwrap().len(), 1);
    rig.end().await;
}

#[tokio::test(start_paused = true)]
async fn no_number_is_done_before_its_letter_is_written() {
    let mut rig = Rig::new(limits(1, 1));
    rig.answers(|_| (Duration::ZERO, Ok(vec![Fate::Dead("no".into())])));
    // A file in place of the folder.
    std::fs::write(rig.directory.path().join("dead"), "").unwrap();
    rig.append([0]);
    rig.start();
    tokio::time::sleep(Duration::from_mins(1)).await;
    assert_eq!((rig.behind(), rig.running.cursor.position()), (1, 1));
    assert!(
        rig.running.stats.error.lock().unwrap().as_ref().unwrap().starts_with("cannot keep dead letters")
    );
    std::fs::remove_file(rig.directory.path().join("dead")).unwrap();
    rig.until("it is written", |rig| rig.behind() == 0).await;
    assert_eq!((rig.letters().list().unwrap().len(), rig.sent().len()), (1, 1));
    rig.end().await;
}

/// A journal that refuses is full behind an outcome that the server never answers, and everything else is delivered.
#[tokio::test(start_paused = true)]
async fn a_full_journal_and_an_outcome_without_an_answer_do_not_wait_for_each_other() {
    let mut rig = Rig::new(limits(1, 100));
    let directory = tempfile::tempdir().unwrap();
    rig.journal = open_with(directory.path(), WhenFull::Refuse);
    rig.directory = directory;
    rig.running = Running::open("toy", &rig.journal).unwrap();
    rig.answers(|outputs| {
        if outputs.iter().any(|output| output == "1") {
            return (Duration::from_secs(30), Err(Trouble::Unanswered("closed".into(), "see its log")));
        }
        taken(outputs)
    });
    // Each of another host: what is behind an outcome of its own host waits with it.
    while rig.try_append(rig.next..rig.next + 1000) {}
    assert!(rig.journal.is_full());
    rig.start();
    rig.until("all others", |rig| rig.behind() == 1).await;
    assert!(!rig.try_append([1 << 40]) && rig.letters().list().unwrap().is_empty());
    rig.until("it is given up", |rig| rig.behind() == 0).await;
    assert_eq!(rig.letters().list().unwrap().len(), 1);
    rig.until("there is room", |rig| !rig.journal.is_full()).await;
    assert!(rig.try_append([1 << 40]));
    rig.until("what comes is delivered", |rig| rig.behind() == 0).await;
    rig.end().await;
}

#[tokio::test(start_paused = true)]
async fn a_slow_sink_shows_how_late_it_is() {
    let mut rig = Rig::new(limits(1, 10));
    rig.options.rate = Some(2);
    rig.append(0..100);
    rig.start();
    tokio::time::sleep(Duration::from_secs(20)).await;
    let lag = rig.running.stats.lag(rig.clock.look().mono);
    assert!((19.0..21.0).contains(&lag), "{lag}");
    assert!((50..=60).contains(&rig.behind()), "{}", rig.behind());
    rig.end().await;
}

#[path = "delivery_clock_tests.rs"]
mod clock;
#[path = "delivery_parked_tests.rs"]
mod parked;
#[path = "delivery_silent_tests.rs"]
mod silent;
#[path = "delivery_turns_tests.rs"]
mod turns;

#[path = "dropped_tests.rs"]
mod dropped;
