//! Processes that die, and power that is cut, at any moment: what becomes of the state, and what is journaled.

use std::path::Path;
use std::sync::OnceLock;

use proptest::prelude::*;

use super::*;
use crate::files::disk::Disk as _;
use crate::files::faulty::{Faults, Faulty};
use crate::intake::commit::{Commit, Committed, Refused};
use crate::intake::correlation::tests::{add, rules};
use crate::intake::informs::Known;
use crate::intake::made::Made;
use crate::journal::{Options, WhenFull};
use crate::outcome::result::State;
use crate::rules::RuleSet;
use crate::time::clock::{Mono, Now, Wall};

const DIRECTORY: &str = "/journal";
/// Longer than nothing fires by itself after a start.
const QUIET: i64 = 6;

/// A process, and the disk that outlives it.
struct Process<'r> {
    rules: &'r RuleSet,
    disk: Faulty,
    journal: Arc<Journal>,
    commit: Commit,
    /// Seconds.
    now: i64,
    /// How long after that messages come and processes start, in milliseconds.
    later: i64,
    informs: u64,
}

fn now(seconds: i64) -> Now {
    at_millis(seconds * 1000)
}

fn at_millis(millis: i64) -> Now {
    let wall = Wall::from_micros((1_000_000 + millis) * 1000);
    Now { wall, mono: Mono::from_nanos((1_000_000 + millis) as u64 * 1_000_000) }
}

impl<'r> Process<'r> {
    fn start(rules: &'r RuleSet, disk: Faulty, at: i64, policy: SyncPolicy) -> Self {
        Self::start_with_room(rules, disk, at, policy, 1 << 30)
    }

    fn start_with_room(rules: &'r RuleSet, disk: Faulty, at: i64, policy: SyncPolicy, max_size: u64) -> Self {
        Self::start_with(rules, disk, at, (policy, max_size), |_| {})
    }

    fn start_with(
        rules: &'r RuleSet,
        disk: Faulty,
        at: i64,
        settings: (SyncPolicy, u64),
        prepare: impl FnOnce(&Commit),
    ) -> Self {
        Self::start_later(rules, disk, (at, 0), settings, prepare)
    }

    fn start_later(
        rules: &'r RuleSet,
        disk: Faulty,
        at: (i64, i64),
        settings: (SyncPolicy, u64),
        prepare: impl FnOnce(&Commit),
    ) -> Self {
        let process = Self::before_rules(rules, disk, at, settings, prepare);
        process.commit.replace(rules.plan(), at_millis(at.0 * 1000 + at.1));
        process
    }

    /// The rules are still to come.
    fn before_rules(
        rules: &'r RuleSet,
        disk: Faulty,
        (at, later): (i64, i64),
        (policy, max_size): (SyncPolicy, u64),
        prepare: impl FnOnce(&Commit),
    ) -> Self {
        let start = at_millis(at * 1000 + later);
        let directory = Path::new(DIRECTORY);
        let options = Options { directory: directory.to_owned(), max_size, when_full: WhenFull::Refuse };
        let shared: Arc<dyn crate::files::disk::Disk> = Arc::new(disk.clone());
        let (journal, _) = Journal::open_on(shared.clone(), options, 7).unwrap();
        // A sink that takes nothing, so that nothing is deleted.
        journal.register("none").unwrap();
        let commit = Commit::new(journal.clone(), policy, Arc::default(), Arc::default(), start);
        let log = StateLog::within(Folder::on(shared, directory), &journal, policy);
        prepare(&commit);
        commit.resume_with(log, start).unwrap();
        Process { rules, disk, journal, commit, now: at, later, informs: 0 }
    }

    /// Takes a message of an inform, and answers it.
    fn message(&mut self, message: &str) -> Committed {
        self.informs += 1;
        self.inform(message, self.informs)
    }

    /// The same, with its key.
    fn inform(&self, message: &str, key: u64) -> Committed {
        let mut made = Made::default();
        add(&format!("<35>Nov 20 12:00:00 h app: {message}"), &self.commit, self.rules, &mut made);
        let now = at_millis(self.now * 1000 + self.later);
        self.commit.claim(key, now.mono);
        made.add_inform(key);
        self.commit.batch(now, &mut made, Refused::Queues)
    }

    fn pass(&mut self, seconds: i64) {
        for _ in 0..seconds {
            self.now += 1;
            self.commit.advance(now(self.now));
        }
    }

    fn die(self, policy: SyncPolicy) -> Self {
        let disk = self.disk.crash();
        Self::start_later(self.rules, disk, (self.now, self.later), (policy, 1 << 30), |_| {})
    }

    /// The services and states of what is in the journal.
    fn journaled(&self) -> Vec<(String, State)> {
        let mut all = Vec::new();
        let mut reader = self.journal.reader(1);
        while reader
            .read(100, |record| {
                let outcome = &record.outcome;
                all.push((outcome.service().unwrap_or_default().to_owned(), outcome.common().state));
                true
            })
            .unwrap()
            > 0
        {}
        all
    }

    /// The states of each service, none twice in a row.
    fn turns(&self) -> Vec<(String, State)> {
        let mut all = self.journaled();
        all.sort_by(|a, b| a.0.cmp(&b.0));
        all.dedup();
        all
    }

    fn length(&self, which: fn(&str) -> bool) -> (std::path::PathBuf, u64) {
        let names = self.disk.names().into_iter();
        let newest =
            names.filter(|path| path.file_name().is_some_and(|name| which(&name.to_string_lossy()))).max();
        let path = newest.unwrap();
        let length = self.disk.length(&path).unwrap();
        (path, length)
    }
}

fn is_log(name: &str) -> bool {
    name.starts_with(PREFIX)
}

fn is_segment(name: &str) -> bool {
    name.strip_suffix(".seg").is_some()
}

fn held() -> &'static RuleSet {
    static RULES: OnceLock<RuleSet> = OnceLock::new();
    RULES.get_or_init(|| rules("hold = { for = '60s' }"))
}

#[test]
fn a_decision_is_whole_or_not_at_all_wherever_its_entry_is_cut() {
    let critical = vec![("a".to_owned(), State::Critical)];
    let run = || {
        let mut process = Process::start(held(), Faulty::new(1), 0, SyncPolicy::Interval);
        process.message("held a");
        process.pass(59);
        let before = (process.length(is_log), process.length(is_segment));
        process.pass(1);
        assert_eq!(process.journaled(), critical);
        (process, before)
    };
    let (process, ((_, start), _)) = run();
    let (_, end) = process.length(is_log);
    assert!(start < end);
    for cut in start..=end {
        let (process, ((log, _), (segment, journaled))) = run();
        let disk = process.disk.crash();
        // It died before it had written all of the entry, or all of the outcome.
        disk.open(&log, true).unwrap().set_length(cut).unwrap();
        disk.open(&segment, true).unwrap().set_length(journaled).unwrap();
        let mut process = Process::start(held(), disk, 60, SyncPolicy::Interval);
        let again: &[_] = if cut == end { &critical } else { &[] };
        assert_eq!(process.journaled(), again, "cut at {cut} of {start} to {end}");
        process.pass(QUIET);
        assert_eq!(process.journaled(), critical, "cut at {cut} of {start} to {end}");
        // What is journaled once stays so.
        let mut process = process.die(SyncPolicy::Interval);
        process.pass(QUIET);
        assert_eq!(process.journaled(), critical, "cut at {cut} of {start} to {end}");
    }
}

/// What is in the journal: the service, and whether it is muted.
fn marks(process: &Process<'_>) -> Vec<(String, bool)> {
    let mut all = Vec::new();
    let mut reader = process.journal.reader(1);
    reader
        .read_encoded(100, |_, bytes| {
            let service = codec::decode(bytes).unwrap().service().unwrap_or_default().to_owned();
            all.push((service, codec::mute_of(bytes).is_some_and(|mute| !mute.last)));
            true
        })
        .unwrap();
    all
}

#[test]
fn what_was_muted_is_muted_whenever_the_process_dies() {
    let everything = |commit: &Commit| {
        let until = now(3600).wall;
        let covers = crate::intake::mute::Covers { host: Some("*".to_owned()), ..Default::default() };
        commit.mutes.add(covers, now(0).wall, until).unwrap();
    };
    let muted = vec![("a".to_owned(), true)];
    let room = (SyncPolicy::Interval, 1 << 30);
    let run = || {
        let mut process = Process::start_with(held(), Faulty::new(1), 0, room, everything);
        process.message("held a");
        process.pass(59);
        let before = process.length(is_segment);
        process.pass(1);
        assert_eq!(marks(&process), muted);
        (process, before)
    };
    // It is in the journal with its mark, and in the log without: it is one outcome.
    let (process, _) = run();
    let (disk, at) = (process.disk.crash(), process.now);
    let mut next = Process::start_with(held(), disk, at, room, everything);
    next.pass(QUIET);
    assert_eq!(marks(&next), muted);
    // It is in the log only, wherever its record in the journal is cut.
    let (path, start) = run().1;
    let end = run().0.length(is_segment).1;
    assert!(start < end);
    for length in start..end {
        let (process, _) = run();
        let (disk, at) = (process.disk.crash(), process.now);
        disk.open(&path, true).unwrap().set_length(length).unwrap();
        let mut next = Process::start_with(held(), disk, at, room, everything);
        next.pass(QUIET);
        assert_eq!(marks(&next), muted, "cut at {length}");
    }
}

#[test]
fn an_inform_is_not_answered_before_its_state_is_safe() {
    let mut process = Process::start(held(), Faulty::new(1), 0, SyncPolicy::Batch);
    assert_eq!(process.message("held a"), Committed::Synced);
    process.disk.set_faults(Faults { sync: 1, ..Faults::default() });
    assert_eq!(process.message("held b"), Committed::Written);
    process.disk.set_faults(Faults::default());
    // The state is written anew.
    assert!(process.commit.keep_state(now(process.now)));
    assert_eq!(process.message("held c"), Committed::Synced);
    process.disk.cut_power();
    let mut process = process.die(SyncPolicy::Batch);
    process.pass(60 + QUIET);
    let services: Vec<String> = process.journaled().into_iter().map(|(service, _)| service).collect();
    assert!(["a", "c"].iter().all(|service| services.iter().any(|other| other == service)), "{services:?}");
}

#[test]
fn what_was_taken_is_known_to_the_next_process() {
    let mut process = Process::start(held(), Faulty::new(1), 0, SyncPolicy::Batch);
    assert_eq!(process.message("held a"), Committed::Synced);
    let key = process.commit.key(("192.0.2.1", "a packet"));
    let known = |process: &Process<'_>, inform| process.commit.claim(inform, now(process.now).mono);
    for _ in 0..3 {
        // Also after the state was written anew, twice.
        process = process.die(SyncPolicy::Batch);
        assert!(process.commit.keep_state(now(process.now)));
        assert_eq!(known(&process, 1), Known::Safe);
        assert_eq!(known(&process, 2), Known::No);
        assert_eq!(process.commit.key(("192.0.2.1", "a packet")), key, "it is known by the same");
    }
    process.pass(400);
    process.message("held b");
    let process = process.die(SyncPolicy::Batch);
    assert_eq!(known(&process, 77), Known::No);
}

#[test]
fn what_was_taken_is_not_answered_before_there_are_rules() {
    for (policy, early) in [(SyncPolicy::Batch, Known::Waits), (SyncPolicy::Interval, Known::Safe)] {
        let mut process = Process::start(held(), Faulty::new(1), 0, policy);
        process.message("held a");
        let process = Process::before_rules(held(), process.disk.crash(), (0, 0), (policy, 1 << 30), |_| {});
        let known = || process.commit.claim(1, now(0).mono);
        // The state is in the files of the last process alone, as it has left them.
        assert!(!process.commit.keep_state(now(0)));
        assert_eq!(known(), early, "{policy:?}");
        process.commit.replace(held().plan(), now(0));
        assert_eq!(known(), early, "{policy:?}");
        assert!(process.commit.keep_state(now(0)));
        assert_eq!(known(), Known::Safe, "{policy:?}");
    }
}

#[test]
fn case_19_a_death_while_the_state_is_written_anew_changes_nothing() {
    // The process that has just started has written all state anew; the log before is still there.
    let run = || {
        let mut process = Process::start(held(), Faulty::new(1), 0, SyncPolicy::Interval);
        for message in ["held a", "held b", "good b", "held c"] {
            process.message(message);
            process.pass(1);
        }
        process.die(SyncPolicy::Interval)
    };
    let (newest, end) = run().length(is_log);
    assert!(end > 100);
    for cut in (0..=end).step_by(3) {
        let process = run();
        let disk = process.disk.crash();
        disk.open(&newest, true).unwrap().set_length(cut).unwrap();
        let mut process = Process::start(held(), disk, process.now, SyncPolicy::Interval);
        process.message("held d");
        process.pass(70);
        let sent: Vec<String> = process.journaled().into_iter().map(|(service, _)| service).collect();
        // What rules without state may have told of "b" is over with its clear.
        assert_eq!(sent, ["b", "a", "c", "d"], "cut at {cut} of {end}");
    }
}

#[test]
fn one_file_is_left_when_another_one_has_taken_its_place() {
    let mut process = Process::start(held(), Faulty::new(1), 0, SyncPolicy::Interval);
    process.message("held a");
    for _ in 0..3 {
        process = process.die(SyncPolicy::Interval);
        assert!(process.commit.keep_state(now(process.now)));
        let logs = process
            .disk
            .names()
            .iter()
            .filter(|path| is_log(&path.file_name().unwrap().to_string_lossy()))
            .count();
        assert_eq!(logs, 1);
    }
    process.pass(60);
    assert_eq!(process.journaled(), [("a".to_owned(), State::Critical)]);
}

fn logs(process: &Process<'_>) -> Vec<String> {
    let names = process.disk.names();
    let names = names.iter().filter_map(|path| Some(path.file_name()?.to_string_lossy().into_owned()));
    names.filter(|name| is_log(name)).collect()
}

fn put(disk: &Faulty, name: &str, content: &[u8]) {
    disk.open(&Path::new(DIRECTORY).join(name), true).unwrap().write(content, 0).unwrap();
}

#[test]
fn a_file_that_is_no_log_takes_nothing_from_the_others() {
    // What a power cut can leave of a file made anew, what others put there, and names that are not those of the log.
    let zeros = [0; 4096];
    for (name, content) in [
        ("correlation.2", &b""[..]),
        ("correlation.2", &zeros),
        ("correlation.2", &[0x5a; 4096]),
        ("correlation.0", &zeros),
        ("correlation.+2", &zeros),
        ("correlation.02", b"TRAPLOG1"),
        ("correlation.18446744073709551615", &zeros),
        ("correlation.", &zeros),
        ("correlation.2.old", &zeros),
    ] {
        let mut process = Process::start(held(), Faulty::new(1), 0, SyncPolicy::Interval);
        process.message("held a");
        let disk = process.disk.crash();
        put(&disk, name, content);
        let mut process = Process::start(held(), disk, 1, SyncPolicy::Interval);
        for _ in 0..2 {
            assert!(process.commit.keep_state(now(process.now)), "{name}");
            process = process.die(SyncPolicy::Interval);
        }
        process.pass(60 + QUIET);
        assert_eq!(process.journaled(), [("a".to_owned(), State::Critical)], "{name} {content:?}");
    }
}

#[test]
fn what_cannot_be_written_anew_leaves_nothing_and_goes_on_when_there_is_room() {
    let mut process = Process::start(held(), Faulty::new(1), 0, SyncPolicy::Interval);
    for service in 0..20 {
        process.message(&format!("held s{service}"));
    }
    let before = logs(&process);
    let used = process.disk.used();
    for room in [0, 10, 30, 60, 100, 300, 500] {
        process.disk.set_room(used + room);
        // It takes no more: the state is to be written anew.
        for service in 0..20 {
            process.message(&format!("held t{service} with a text that is longer than the room"));
        }
        for _ in 0..3 {
            process.commit.keep_state(now(process.now));
            assert_eq!(logs(&process), before, "with {room} bytes");
        }
    }
    process.disk.set_room(u64::MAX);
    assert!(process.commit.keep_state(now(process.now)));
    let mut process = process.die(SyncPolicy::Interval);
    process.pass(60 + QUIET);
    assert_eq!(process.turns().len(), 40);
}

const SETTINGS: &[&str] = &[
    "dedup = { window = '60s' }",
    "hold = { for = '30s' }",
    "hold = { for = '30s' }\ndedup = { window = '90s' }",
    "threshold = { count = 3, within = '100s' }",
    "threshold = { count = 2, within = '50s', recover = '80s' }",
    "throttle = { count = 1, per = '60s', key = 'all' }",
    "expire = { after = '100s', state = 'unknown' }",
];

fn all_rules() -> &'static [RuleSet] {
    static RULES: OnceLock<Vec<RuleSet>> = OnceLock::new();
    RULES.get_or_init(|| SETTINGS.iter().map(|held| rules(held)).collect())
}

#[derive(Debug, Clone)]
enum Step {
    Message(&'static str, u8),
    Pass(i64),
    Die,
    CutPower,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        4 => (prop_oneof![3 => Just("held"), 1 => Just("good")], 0..3u8)
            .prop_map(|(word, service)| Step::Message(word, service)),
        2 => prop_oneof![Just(1i64), Just(10), Just(35)].prop_map(Step::Pass),
        1 => Just(Step::Die),
        1 => Just(Step::CutPower),
    ];
    prop::collection::vec(step, 1..25)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, max_shrink_iters: 300, ..ProptestConfig::default() })]
    #[test]
    fn with_deaths_and_power_cuts_the_same_is_journaled(
        at in 0..SETTINGS.len(),
        seed in any::<u64>(),
        steps in steps(),
    ) {
        let rules = &all_rules()[at];
        let mut plain = Process::start(rules, Faulty::new(1), 0, SyncPolicy::Batch);
        let mut dies = Process::start(rules, Faulty::new(seed), 0, SyncPolicy::Batch);
        // Deadlines come with ticks of 100 ms, which are not those of another process. So what happens after time has passed
        // is a little earlier in its second than all before, and no deadline of those is near.
        let mut passed = 0;
        for (at, step) in steps.iter().enumerate() {
            let later = 750 - 30 * passed + at as i64;
            (plain.later, dies.later) = (later, later);
            passed += i64::from(!matches!(step, Step::Message(..)));
            match step {
                Step::Message(word, service) => {
                    for process in [&mut plain, &mut dies] {
                        prop_assert_eq!(process.message(&format!("{word} s{service}")), Committed::Synced);
                    }
                }
                Step::Pass(seconds) => {
                    plain.pass(*seconds);
                    dies.pass(*seconds);
                }
                Step::Die | Step::CutPower => {
                    if matches!(step, Step::CutPower) {
                        dies.disk.cut_power();
                    }
                    dies = dies.die(SyncPolicy::Batch);
                    plain.pass(QUIET);
                    dies.pass(QUIET);
                }
            }
        }
        plain.pass(200);
        dies.pass(200);
        prop_assert_eq!(dies.turns(), plain.turns(), "{}", SETTINGS[at]);
    }
}

/// An outcome that is nothing to the state is synced with what the journal has before it. So is the state after that.
#[test]
fn what_is_synced_with_an_outcome_without_state_is_not_decided_again() {
    let mut process = Process::start(&all_rules()[6], Faulty::new(0), 0, SyncPolicy::Batch);
    process.message("held s0");
    process.pass(55);
    process = process.die(SyncPolicy::Batch);
    process.pass(50);
    process.message("good s0");
    process.disk.cut_power();
    process = process.die(SyncPolicy::Batch);
    process.pass(200);
    let states: Vec<State> = process.journaled().into_iter().map(|(_, state)| state).collect();
    assert_eq!(states, [State::Critical, State::Unknown, State::Ok]);
}

#[path = "state_log_fault_tests.rs"]
mod faults;

#[test]
fn a_step_of_the_wall_clock_before_a_restart_is_no_time_that_has_passed() {
    let rules = rules("hold = { for = '30s' }");
    for step in [3600, -3600, 150, -150] {
        let mut process = Process::start(&rules, Faulty::new(1), 10_000, SyncPolicy::Batch);
        process.message("held a");
        let mut made = Made::default();
        add("<35>Nov 20 12:00:00 h app: held b", &process.commit, &rules, &mut made);
        let later = now(10_001);
        let stepped = Now { wall: Wall::from_micros(later.wall.micros() + step * 1_000_000), ..later };
        process.commit.batch(stepped, &mut made, Refused::Queues);
        // Two seconds later by the wall clock, which stays as it was set.
        let disk = process.disk.crash();
        let mut process = Process::start(&rules, disk, 10_003 + step, SyncPolicy::Batch);
        process.pass(20);
        assert_eq!(process.journaled(), [], "{step}: after 23 seconds");
        process.pass(10);
        let both = ["a", "b"].map(|service| (service.to_owned(), State::Critical));
        assert_eq!(process.journaled(), both, "{step}: after 33 seconds");
    }
}

#[path = "state_log_waiting_tests.rs"]
mod waiting;
