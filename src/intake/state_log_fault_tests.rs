//! A journal or a log that fails, and what waits meanwhile.

use super::*;
use crate::correlate::view::{Clear, Wanted};
use crate::outcome::testing::seeds;

/// Whoever finds that the journal takes outcomes again writes what has waited, and answers its informs; some have the state of
/// rules locked then, which is synced before an inform is answered.
#[test]
fn who_writes_what_waited_never_waits_for_himself() {
    type Does = fn(&mut Process<'_>);
    let ways: [(&str, Does); 7] = [
        ("a message of a rule with state", |process| {
            process.message("held b");
        }),
        ("a message of a rule without", |process| {
            process.message("bad b");
        }),
        ("time that passes", |process| process.pass(120)),
        ("a clear by hand", |process| {
            let how = Clear { output: "by hand", silent: false };
            process.commit.clear_state(now(process.now), &Wanted::default(), how);
        }),
        ("other rules", |process| {
            static OTHERS: OnceLock<RuleSet> = OnceLock::new();
            let others = OTHERS.get_or_init(|| rules(""));
            process.commit.replace(others.plan(), now(process.now));
        }),
        ("another try", |process| process.commit.retry(now(process.now + 10))),
        ("the end", |process| process.commit.finish(now(process.now))),
    ];
    for (what, does) in ways {
        let (tell, told) = std::sync::mpsc::channel();
        std::thread::spawn(move || {
            let mut process = Process::start(held(), Faulty::new(1), 0, SyncPolicy::Batch);
            assert_eq!(process.message("held a"), Committed::Synced);
            process.disk.set_room(process.disk.used());
            // An inform whose outcome waits.
            assert_eq!(process.message("bad x"), Committed::Kept);
            assert_eq!(process.commit.claim(2, now(0).mono), Known::Waits);
            process.disk.set_room(u64::MAX);
            does(&mut process);
            // Time alone brings nothing about that would be written.
            process.commit.retry(now(process.now + 20));
            tell.send((process.commit.claim(2, now(0).mono), process.commit.refusing())).unwrap();
        });
        let (known, refusing) = told.recv_timeout(std::time::Duration::from_mins(1)).expect(what);
        assert_eq!((known, refusing), (Known::Safe, false), "{what}");
    }
}

/// A repeated inform that changes nothing any more is answered only if what its first copy has brought about survives a power cut,
/// whatever write or sync of the journal or the log has failed in between.
#[test]
fn a_repeated_inform_is_answered_when_what_it_said_is_safe() {
    let rules = &all_rules()[0];
    let (seeds, mut answered, mut refused) = (seeds(4000), 0, 0);
    for seed in 0..seeds {
        let mut process = Process::start(rules, Faulty::new(seed), 0, SyncPolicy::Batch);
        let rate = |shift: u64| [0, 2, 3, 5][(seed >> shift) as usize % 4];
        process.disk.set_faults(Faults { write: rate(0), sync: rate(2), ..Faults::default() });
        let mut safe = process.message("held a") == Committed::Synced;
        for _ in 0..4 {
            process.disk.set_faults(Faults { write: rate(4), sync: rate(6), ..Faults::default() });
            safe |= process.message("held a") == Committed::Synced;
            process.commit.keep_state(now(process.now));
        }
        answered += u64::from(safe);
        refused += u64::from(!safe);
        process.disk.set_faults(Faults::default());
        process.disk.cut_power();
        let mut process = process.die(SyncPolicy::Batch);
        process.pass(QUIET);
        if safe {
            let journaled = process.journaled();
            assert!(journaled.contains(&("a".to_owned(), State::Critical)), "seed {seed}: {journaled:?}");
        }
    }
    assert!(answered > seeds / 4 && refused > seeds / 40, "{answered} answered, {refused} not");
}

/// A copy of an inform comes, and a second passes unless it is answered. What was known of it.
fn copy_of(process: &mut Process<'_>, key: u64) -> Known {
    let known = process.commit.claim(key, now(process.now).mono);
    if known == Known::No {
        process.inform("held a", key);
    }
    if known != Known::Safe {
        process.pass(1);
        process.commit.retry(now(process.now));
        process.commit.keep_state(now(process.now));
    }
    known
}

/// How the disk fails for an inform: each seed has other rates.
fn faults(seed: u64, key: u64) -> Faults {
    let rate = |shift: u64| (seed >> shift) % 4;
    Faults { write: rate(key), sync: rate(key + 2), ..Faults::default() }
}

/// However often an inform is repeated while writes and syncs fail, it counts once; and what is answered survives a power cut.
#[test]
fn a_repeated_inform_counts_once_whatever_fails() {
    let rules = rules("threshold = { count = 3, within = '1h' }");
    let (seeds, mut waited) = (seeds(1000), 0);
    for seed in 0..seeds {
        let mut process = Process::start(&rules, Faulty::new(seed), 0, SyncPolicy::Batch);
        for key in 1..4 {
            process.disk.set_faults(faults(seed, key));
            for copy in 0.. {
                if copy == 4 {
                    process.disk.set_faults(Faults::default());
                }
                match copy_of(&mut process, key) {
                    Known::Safe => break,
                    Known::Waits => waited += 1,
                    Known::No => {}
                }
                assert!(copy < 10, "seed {seed}: it is never answered");
            }
            assert_eq!(process.journaled().len(), usize::from(key == 3), "seed {seed}, inform {key}");
        }
        let once = [("a".to_owned(), State::Critical)];
        assert_eq!(process.journaled(), once, "seed {seed}");
        process.disk.set_faults(Faults::default());
        process.disk.cut_power();
        let mut process = process.die(SyncPolicy::Batch);
        process.pass(QUIET);
        assert_eq!(process.journaled(), once, "seed {seed}, after a power cut");
    }
    assert!(waited > seeds, "{waited}");
}

/// The same where the process dies in between, while the system goes on: what was in its caches is taken for written.
#[test]
fn a_repeated_inform_counts_once_for_the_next_process() {
    let rules = rules("threshold = { count = 3, within = '1h' }");
    let once = [("a".to_owned(), State::Critical)];
    for seed in 0..seeds(1000) {
        let mut process = Process::start(&rules, Faulty::new(seed), 0, SyncPolicy::Batch);
        for key in 1..4 {
            process.disk.set_faults(faults(seed, key));
            for copy in 0.. {
                if copy == 1 + seed % 4 {
                    process.disk.set_faults(Faults::default());
                    process = process.die(SyncPolicy::Batch);
                }
                if copy_of(&mut process, key) == Known::Safe {
                    break;
                }
                assert!(copy < 10, "seed {seed}: it is never answered");
            }
            // An outcome whose state was not written may come a second time.
            let turns = process.turns();
            assert_eq!(turns, once[..usize::from(key == 3)], "seed {seed}, inform {key}");
        }
        process.disk.set_faults(Faults::default());
        process.disk.cut_power();
        let mut process = process.die(SyncPolicy::Batch);
        process.pass(QUIET);
        assert_eq!(process.turns(), once, "seed {seed}, after a power cut");
    }
}

/// What is known of an inform, which stays new if it is.
fn known(process: &Process<'_>, key: u64) -> Known {
    let known = process.commit.claim(key, now(process.now).mono);
    if known == Known::No {
        process.commit.release(key);
    }
    known
}

/// Three informs, each repeated until its answer arrives, count three times, whenever processes die, the power is cut and syncs fail.
/// What any process answers survives a power cut, also what another one had taken and not synced.
#[test]
fn what_any_process_has_answered_survives_a_power_cut() {
    let rules = rules("threshold = { count = 3, within = '1h' }");
    let (seeds, mut read_back, mut cuts) = (seeds(1000), 0, 0);
    for seed in 0..seeds {
        let mut bits = seed;
        let mut once_in = |times: u64| {
            bits = bits.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(0x1405_7b7e_f767_814f);
            (bits >> 33).is_multiple_of(times)
        };
        let mut process = Process::start(&rules, Faulty::new(seed), 0, SyncPolicy::Batch);
        for key in 1..4 {
            for copy in 0.. {
                assert!(copy < 100, "seed {seed}: it is never answered");
                let sync = u64::from(copy < 20 && once_in(2));
                process.disk.set_faults(Faults { sync, ..Faults::default() });
                let mut answered = copy_of(&mut process, key) == Known::Safe;
                process.disk.set_faults(Faults::default());
                if once_in(3) {
                    process = process.die(SyncPolicy::Batch);
                    if once_in(2) {
                        process.commit.keep_state(now(process.now));
                    }
                    read_back += u64::from(known(&process, key) != Known::No);
                }
                answered |= known(&process, key) == Known::Safe;
                if once_in(3) {
                    process.disk.cut_power();
                    process = process.die(SyncPolicy::Batch);
                    cuts += u64::from(answered);
                    assert!(!answered || known(&process, key) != Known::No, "seed {seed}, inform {key}");
                }
                if answered && once_in(2) {
                    break;
                }
            }
        }
        process.pass(QUIET);
        assert_eq!(process.turns(), [("a".to_owned(), State::Critical)], "seed {seed}");
    }
    assert!(read_back > seeds / 2 && cuts > seeds / 2, "{read_back} read back, {cuts} power cuts");
}
