//! Hosts of which a server answers nothing, however many they are and however much of them waits: they hold up no other for longer than
//! one of their tries. A server that answers nothing at all is not asked often, and loses nothing.

use std::collections::{BTreeMap, HashSet};

use proptest::prelude::*;
use proptest::test_runner::TestCaseError;

use super::*;

/// How long the server says nothing of a request before it counts as not answered.
const TRY: Duration = Duration::from_secs(30);
/// The longest pause of a sink.
const PAUSE: Duration = Duration::from_secs(30);
/// Good hosts have numbers from this one on.
const GOOD: u64 = 1_000_000;

/// What the server was sent and has taken.
#[derive(Debug, Default)]
struct Seen {
    /// The hosts of the outcomes, and when they came.
    came: HashMap<u64, (u64, Instant)>,
    /// Hosts below this are not answered.
    silent: u64,
    /// How long it takes until that is known, if there is nothing else in the request.
    takes: Duration,
    /// Each outcome has a turn of its own.
    is_free: bool,
    /// When each was taken first, and in which order.
    taken: HashMap<u64, Instant>,
    log: Vec<u64>,
    /// The hosts that were not answered in this process.
    tried: HashSet<u64>,
    /// When requests were sent that had something of a silent host, until when they took, and whether one of the hosts had not been tried.
    tries: Vec<(Instant, Instant, bool)>,
    requests: usize,
}

impl Seen {
    fn answer(&mut self, outputs: &[String]) -> (Duration, Result<Vec<Fate>, Trouble>) {
        self.requests += 1;
        let numbers: Vec<u64> = outputs.iter().map(|output| output.parse().unwrap()).collect();
        let now = Instant::now();
        let silent: HashSet<u64> = numbers.iter().copied().filter(|n| self.came[n].0 < self.silent).collect();
        let takes = match silent.len() {
            0 => Duration::from_millis(5),
            count if count == numbers.len() => self.takes,
            _ => Duration::from_secs(5),
        };
        if !silent.is_empty() {
            let turns = silent.iter().map(|n| if self.is_free { *n } else { self.came[n].0 });
            let before = self.tried.len();
            self.tried.extend(turns);
            self.tries.push((now, now + takes, self.tried.len() > before));
        }
        if silent.len() == numbers.len() {
            return (takes, Err(Trouble::Unanswered("silent".into(), "see its log")));
        }
        let fate = |n| if silent.contains(n) { Fate::Unanswered("silent".into()) } else { Fate::Taken };
        let fates = numbers.iter().map(fate).collect();
        for number in numbers.iter().filter(|n| !silent.contains(n)) {
            self.taken.entry(*number).or_insert(now + takes);
            self.log.push(*number);
        }
        (takes, Ok(fates))
    }
}

/// A sink, its server, and what comes.
struct Silence {
    rig: Rig,
    seen: Arc<Mutex<Seen>>,
}

impl Silence {
    fn new(limits: Limits, room: usize, silent: u64, takes: Duration) -> Self {
        let mut rig = Rig::new(limits);
        rig.reopen(64 << 20);
        rig.room.items = room;
        let is_free = limits.order == Order::Free;
        let seen = Arc::new(Mutex::new(Seen { silent, takes, is_free, ..Seen::default() }));
        let server = seen.clone();
        rig.answers(move |outputs| server.lock().unwrap().answer(outputs));
        Silence { rig, seen }
    }

    fn append(&mut self, hosts: Vec<u64>) {
        let (first, now) = (self.rig.next + 1, Instant::now());
        self.seen.lock().unwrap().came.extend((first..).zip(hosts.iter().map(|host| (*host, now))));
        self.rig.append(hosts);
    }

    /// Outcomes of silent hosts, and one of a good host after each so many.
    fn backlog(&mut self, silent: u64, count: u64, every: u64) {
        let host = |n: u64| if n % every == every - 1 { GOOD + n % 7 } else { n % silent.max(1) };
        self.append((0..count).map(host).filter(|host| *host >= GOOD || silent > 0).collect());
    }

    /// An outcome of a good host each second.
    async fn some(&mut self, time: Duration) {
        for n in 0..time.as_secs() {
            self.append(vec![GOOD + n % 7]);
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    }

    async fn restart(&mut self) {
        self.rig.end().await;
        self.rig.reopen(64 << 20);
        self.seen.lock().unwrap().tried.clear();
        self.rig.start();
    }

    /// How many of the good ones are not taken, and how many tries of silent hosts there were.
    fn missing(&self) -> (usize, usize) {
        let seen = self.seen.lock().unwrap();
        let good = seen.came.iter().filter(|(_, (host, _))| *host >= GOOD);
        (good.filter(|(number, _)| !seen.taken.contains_key(number)).count(), seen.tries.len())
    }

    /// Until all of the good ones are taken.
    async fn until_good(&self, longest: Duration) -> Result<(), TestCaseError> {
        let start = Instant::now();
        loop {
            let (missing, tries) = self.missing();
            if missing == 0 {
                return Ok(());
            }
            prop_assert!(start.elapsed() < longest, "{missing} good ones wait after {tries} tries");
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    }

    /// No good one has waited for more than one try of what was tried before, and one of each request that had something new.
    fn check_waits(&self, since: Instant, slack: Duration) -> Result<(), TestCaseError> {
        let lanes = self.rig.limits.lanes;
        let seen = self.seen.lock().unwrap();
        for (number, taken) in &seen.taken {
            let (host, came) = seen.came[number];
            if host < GOOD || came < since {
                continue;
            }
            let meanwhile = seen.tries.iter().filter(|(from, until, _)| *until > came && *from < *taken);
            let (new, again): (Vec<&(Instant, Instant, bool)>, Vec<_>) =
                meanwhile.partition(|(.., is_new)| *is_new);
            let begun = again.iter().filter(|(from, ..)| *from > came).count();
            let waits = taken.duration_since(came);
            let most = (TRY + PAUSE) * new.len() as u32 + TRY + slack;
            let what = || format!("{number} waits for {waits:?}, with {} first tries, {again:?}", new.len());
            // While others are tried for the first time, what was tried before takes half of the time at most.
            prop_assert!(begun <= lanes + new.len(), "{}", what());
            prop_assert!(waits <= most, "{}", what());
        }
        Ok(())
    }

    /// The server answers, and takes all that is left, each host's in its order.
    async fn recovers(&mut self) -> Result<(), TestCaseError> {
        self.seen.lock().unwrap().silent = 0;
        let start = Instant::now();
        while self.rig.behind() > 0 {
            prop_assert!(start.elapsed() < Duration::from_mins(30), "{} are left", self.rig.behind());
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        self.rig.end().await;
        prop_assert_eq!((self.rig.count(|s| &s.dead), self.rig.running.cursor.expired()), (0, 0));
        let seen = self.seen.lock().unwrap();
        prop_assert_eq!(seen.taken.len(), seen.came.len());
        prop_assert_eq!(seen.log.len(), seen.came.len(), "each is taken once");
        let mut last: BTreeMap<u64, u64> = BTreeMap::new();
        for number in seen.log.iter().filter(|_| !seen.is_free) {
            let before = last.insert(seen.came[number].0, *number);
            prop_assert!(before < Some(*number), "{number} comes after {before:?}");
        }
        Ok(())
    }
}

fn in_virtual_time<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .start_paused(true)
        .build()
        .unwrap()
        .block_on(future)
}

/// Ways to send with one lane or several.
fn ways() -> impl Strategy<Value = Limits> {
    let ways = vec![
        (Order::OneByOne, 1, 1),
        (Order::OneByOne, 3, 1),
        (Order::OneByOne, 1, 40),
        (Order::Kept, 1, 20),
        (Order::Kept, 1, 300),
        (Order::Free, 1, 100),
    ];
    let limits = |(order, lanes, items)| Limits { lanes, items, order, ..Limits::default() };
    prop::sample::select(ways).prop_map(limits)
}

proptest! {
    #![proptest_config(ProptestConfig { max_shrink_iters: 30, ..ProptestConfig::with_cases(8) })]

    #[test]
    fn silent_hosts_delay_others_by_one_try_however_many_they_are_and_however_much_waits(
        (limits, room) in (ways(), prop::sample::select(vec![64_usize, 300, 1000])),
        (few, many) in (0..40_u64, 0..300_u64),
        (before, later) in (1..4000_u64, 1..4000_u64),
        every in 10..1000_u64,
        restarts in any::<bool>(),
    ) {
        // Without an order, each outcome has to be tried.
        prop_assume!(limits.order != Order::Free);
        // What was tried once stays in memory with one outcome each.
        let silent = if limits.items == 1 { few } else { many.min(room as u64 / 2) };
        in_virtual_time(async move {
            let mut silence = Silence::new(limits, room, silent, TRY);
            let begin = Instant::now();
            let longest = (TRY + PAUSE) * (silent.max((before + later) / 100) as u32 + 10);
            silence.backlog(silent, before, every);
            silence.rig.start();
            silence.some(Duration::from_mins(5)).await;
            silence.until_good(longest).await?;
            silence.backlog(silent, later, every);
            silence.some(Duration::from_mins(5)).await;
            if restarts {
                silence.restart().await;
                silence.some(Duration::from_mins(5)).await;
            }
            silence.until_good(longest).await?;
            silence.check_waits(begin, PAUSE + Duration::from_secs(15))?;
            silence.recovers().await
        })?;
    }

    /// Nothing is lost either, and it is soon there when the server answers.
    #[test]
    fn a_server_that_answers_nothing_is_not_asked_often(
        (limits, room) in (ways(), prop::sample::select(vec![64_usize, 300, 1000])),
        (hosts, count) in (1..2000_u64, 1..4000_u64),
        takes in prop::sample::select(vec![Duration::from_millis(1), TRY]),
    ) {
        in_virtual_time(async move {
            let mut silence = Silence::new(limits, room, u64::MAX, takes);
            silence.backlog(hosts, count, u64::MAX);
            silence.rig.start();
            silence.some(Duration::from_hours(1)).await;
            let requests = silence.seen.lock().unwrap().requests;
            // Some at first, and one each 15 s at least in a lane.
            prop_assert!(requests <= (20 + 3600 / 15) * limits.lanes, "{requests} requests");
            silence.recovers().await
        })?;
    }
}

/// What was seen with 20 hosts of a broker that acknowledged nothing of them.
#[test]
fn known_silent_hosts_delay_others_by_one_try() {
    for (order, items) in [(Order::OneByOne, 1), (Order::OneByOne, 40), (Order::Kept, 300)] {
        for (silent, backlog) in [(1, 1000), (1, 20_000), (20, 10_000)] {
            let what = format!("{order:?}, {items} items, {silent} hosts, {backlog} outcomes");
            let result = in_virtual_time(async {
                let limits = Limits { lanes: 1, items, order, ..Limits::default() };
                let mut silence = Silence::new(limits, 7680, silent, TRY);
                silence.append((0..silent).collect());
                silence.rig.start();
                // Each is tried twice, so that it is known to be at fault.
                silence.some((TRY + PAUSE) * (3 * silent as u32 + 2)).await;
                let known = Instant::now();
                silence.backlog(silent, backlog, 500);
                silence.some(Duration::from_mins(10)).await;
                silence.until_good(2 * TRY).await?;
                silence.check_waits(known, Duration::from_secs(1))?;
                silence.recovers().await
            });
            result.unwrap_or_else(|error| panic!("{what}: {error}"));
        }
    }
}
