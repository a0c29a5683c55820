//! Outcomes that wait for the journal when a process ends.

use super::*;

/// A line with so much text that a journal of 1 MiB is soon full.
fn filling() -> String {
    format!("bad b {}", "x".repeat(1000))
}

/// A process whose journal takes nothing more.
fn full(rules: &RuleSet, policy: SyncPolicy) -> Process<'_> {
    let mut process = Process::start_with_room(rules, Faulty::new(1), 0, policy, ROOM);
    fill(&mut process);
    process
}

fn fill(process: &mut Process<'_>) {
    while process.message(&filling()) != Committed::Kept {}
}

/// How often a service is in the journal.
fn times(process: &Process<'_>, service: &str) -> usize {
    process.journaled().iter().filter(|(name, _)| name == service).count()
}

const ROOM: u64 = 1 << 20;

#[test]
fn what_waits_for_the_journal_survives_the_process() {
    let mut process = Process::start(held(), Faulty::new(1), 0, SyncPolicy::Batch);
    process.message("held a");
    process.pass(59);
    let (segment, _) = process.length(is_segment);
    // The journal is gone, the log of the state is not.
    process.disk.lose(&segment);
    let _ = process.journal.look();
    process.pass(1);
    let mut process = process.die(SyncPolicy::Batch);
    process.pass(QUIET);
    assert_eq!(process.journaled(), [("a".to_owned(), State::Critical)]);
}

#[test]
fn what_a_full_journal_refuses_survives_processes_until_there_is_room() {
    let (room, policy) = (ROOM, SyncPolicy::Batch);
    let mut process = Process::start_with_room(held(), Faulty::new(1), 0, policy, room);
    process.message("held a");
    fill(&mut process);
    process.pass(60);
    for _ in 0..2 {
        // Logs that are not needed any more would be removed.
        assert!(process.commit.keep_state(now(process.now)));
        let disk = process.disk.crash();
        process = Process::start_with_room(held(), disk, process.now, policy, room);
        process.pass(QUIET);
        assert!(process.commit.refusing());
        assert!(!process.journaled().contains(&("a".to_owned(), State::Critical)));
    }
    let disk = process.disk.crash();
    let mut process = Process::start(held(), disk, process.now, policy);
    process.pass(QUIET);
    assert_eq!(times(&process, "a"), 1);
}

#[test]
fn what_waits_is_in_what_is_synced_next_whatever_the_last_process_has_synced() {
    let (room, policy) = (ROOM, SyncPolicy::Batch);
    let rules = rules("dedup = { window = '366d' }");
    let mut process = full(&rules, policy);
    // Written, and not synced: the journal has refused it.
    assert_eq!(process.message("held a"), Committed::Kept);
    for _ in 0..2 {
        let disk = process.disk.crash();
        process = Process::start_with_room(&rules, disk, process.now, policy, room);
        assert!(process.commit.keep_state(now(process.now)));
        assert!(process.commit.refusing());
        process.disk.cut_power();
    }
    let disk = process.disk.crash();
    let process = Process::start(&rules, disk, process.now, policy);
    assert_eq!(times(&process, "a"), 1);
}

#[test]
fn what_a_full_journal_takes_in_part_is_not_safe_for_the_rest() {
    let policy = SyncPolicy::Batch;
    let rules = rules("dedup = { window = '366d' }");
    let mut process = Process::start_with_room(&rules, Faulty::new(1), 0, policy, ROOM);
    let filling = "x".repeat(1000);
    // Several in one batch: the journal takes some.
    let mut number = 0;
    loop {
        let mut made = Made::default();
        for _ in 0..7 {
            let line = format!("<35>Nov 20 12:00:00 h app: held s{number} {filling}");
            add(&line, &process.commit, &rules, &mut made);
            number += 1;
        }
        if process.commit.batch(at_millis(0), &mut made, Refused::Queues) == Committed::Kept {
            break;
        }
    }
    process.journal.sync(u64::MAX).unwrap();
    assert_eq!(process.message("held a"), Committed::Kept);
    assert!(process.commit.keep_state(now(process.now)));
    let process = process.die(policy);
    let journaled: Vec<String> = process.journaled().into_iter().map(|(service, _)| service).collect();
    let wanted: Vec<String> = (0..number).map(|n| format!("s{n}")).chain(["a".to_owned()]).collect();
    assert_eq!(journaled, wanted);
}

#[test]
fn an_inform_that_repeats_what_waits_is_not_answered_before_it() {
    let (room, policy) = (ROOM, SyncPolicy::Interval);
    let rules = rules("dedup = { window = '366d' }");
    let mut process = full(&rules, policy);
    assert_eq!(process.message("held a"), Committed::Kept);
    assert_eq!(process.message("held a"), Committed::Kept);
    let disk = process.disk.crash();
    let mut process = Process::start_with_room(&rules, disk, process.now, policy, room);
    assert_eq!(process.message("held a"), Committed::Kept);
    let disk = process.disk.crash();
    let mut process = Process::start(&rules, disk, process.now, policy);
    assert_eq!(process.message("held a"), Committed::Written);
    assert_eq!(times(&process, "a"), 1);
}

#[test]
fn what_waits_survives_rules_that_keep_no_state() {
    let policy = SyncPolicy::Batch;
    let (stateful, stateless) = (rules("dedup = { window = '366d' }"), rules(""));
    let mut process = full(&stateful, policy);
    assert_eq!(process.message("held a"), Committed::Kept);
    for _ in 0..2 {
        let disk = process.disk.crash();
        process = Process::start_with_room(&stateless, disk, process.now, policy, ROOM);
        assert!(process.commit.keep_state(now(process.now)));
        assert_eq!(times(&process, "a"), 0);
    }
    // There is room, and what the journal has is not safe from a power cut before the log is gone.
    let disk = process.disk.crash();
    let process = Process::start(&stateless, disk, process.now, policy);
    assert!(process.commit.keep_state(now(process.now)));
    assert!(!process.disk.names().iter().any(|path| path.to_string_lossy().contains(PREFIX)));
    process.disk.cut_power();
    let disk = process.disk.crash();
    let process = Process::start(&stateless, disk, process.now, policy);
    assert_eq!(times(&process, "a"), 1);
}

#[test]
fn what_stays_with_its_stream_survives_though_the_journal_takes_what_others_have() {
    let policy = SyncPolicy::Batch;
    let rules = rules("dedup = { window = '366d' }");
    let mut process = Process::start(&rules, Faulty::new(1), 0, policy);
    process.disk.set_faults(Faults { write: 1, ..Faults::default() });
    // The journal refuses it, and the log of the state is written anew, as soon as the disk takes it.
    let mut made = Made::default();
    add("<35>Nov 20 12:00:00 h app: held a", &process.commit, &rules, &mut made);
    assert_eq!(process.commit.batch(at_millis(0), &mut made, Refused::Stays), Committed::Kept);
    process.disk.set_faults(Faults::default());
    process.now = 1;
    for other in ["b", "c", "d"] {
        assert_eq!(process.message(&format!("held {other}")), Committed::Synced);
        assert!(process.commit.keep_state(now(process.now)));
    }
    assert_eq!(times(&process, "a"), 0);
    let process = process.die(policy);
    assert_eq!(times(&process, "a"), 1);
    assert_eq!(times(&process, "d"), 1);
}

/// The log cannot be written any more, the journal can: its segments have their room.
#[test]
fn what_was_told_after_the_log_ended_is_news_to_the_next_process() {
    let (held, deduped) = ("hold = { for = '1m' }", "dedup = { window = '366d' }");
    // The state that the log has, what is said after it, and what must be said then.
    let cases: [(&str, &str, &[&str], &str, State); 4] = [
        (deduped, "held a", &["good a"], "held a", State::Critical),
        (deduped, "good a", &["held a"], "good a", State::Ok),
        (held, "held a", &[""], "good a", State::Ok),
        (deduped, "held a", &["good a", "held a", "good a"], "held a", State::Critical),
    ];
    for ((keys, before, after, then, state), are_taken) in
        cases.iter().flat_map(|case| [(case, false), (case, true)])
    {
        let rules = rules(keys);
        let policy = SyncPolicy::Interval;
        let mut process = Process::start(&rules, Faulty::new(1), 0, policy);
        process.message(before);
        assert!(process.commit.keep_state(now(process.now)));
        process.now += 2;
        let (log, _) = process.length(|name| name.starts_with(PREFIX));
        process.disk.shift(&log, Path::new("/elsewhere"));
        for message in *after {
            // Nothing but time that passes ends a hold.
            if message.is_empty() {
                process.pass(60);
            } else {
                let _ = process.message(message);
            }
        }
        process.disk.shift(Path::new("/elsewhere"), &log);
        let mut told = process.journaled().len();
        if are_taken {
            // The journal lets go of what every sink has.
            process.journal.cursor("none").unwrap().advance(process.journal.next()).unwrap();
            told = 0;
        }
        let mut process = process.die(policy);
        process.now += 1;
        process.message(then);
        let all = process.journaled();
        assert_eq!(all.len(), told + 1, "{before}, {after:?}, {then}, taken: {are_taken}: {all:?}");
        assert_eq!(all.last().unwrap().1, *state, "{before}, {after:?}, {then}: {all:?}");
    }
}
