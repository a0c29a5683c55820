//! What state costs: CPU a message, memory a key, and the start with what an earlier process has left.
//!
//! `cargo bench --bench correlation` prints a table. Traps come from memory, go through rules and state into a journal on
//! disk, as in the pipeline's benchmark. Each rule may keep 100,000 keys, so there is one for each 100,000.
//!
//! Memory is by how much the pages grow that the process has in memory, so what the allocator needs for itself is in it. The log of the
//! state is synced now and then, as the daemon does each second. A start is counted as CPU time, of user and system, as other programs
//! may run.
#![allow(missing_docs, clippy::print_stdout, clippy::unwrap_used, clippy::panic)]

use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use trapline::correlate::view::Wanted;
use trapline::intake::pipeline::Pipeline;
use trapline::intake::{Active, Shared};
use trapline::journal::{Journal, Options, SyncPolicy, WhenFull};
use trapline::message::{Notification, NotificationKind, Oid, Value, Varbind, Version};
use trapline::mib;
use trapline::rules::compile::{RuleFile, compile};
use trapline::sys::Arrival;
use trapline::time::clock::{Clock as _, SystemClock};

const ROUNDS: usize = 5;
/// Packets between two appends, as a full batch of a listener has.
const BATCH: usize = 128;
/// Messages of a round.
const COUNT: usize = 400_000;
/// Keys of a rule.
const OF_RULE: usize = 100_000;
const KEPT: &str = "--kept";
const STATELESS: &str = "";
const STATEFUL: &str = "dedup = { window = '1h' }\nhold = { for = '30min' }\n";
/// What each kind of state keeps, by itself.
const KINDS: [(&str, &str); 6] = [
    ("dedup", "dedup = { window = '1h' }\n"),
    ("dedup and hold", STATEFUL),
    ("the same with a key", "key = '{{ ifDescr }}'\ndedup = { window = '1h' }\nhold = { for = '30min' }\n"),
    ("expire", "expire = { after = '1h', state = 'unknown' }\n"),
    ("threshold", "threshold = { count = 5, within = '1h' }\n"),
    ("throttle, one each", "throttle = { count = 5, per = '1h' }\n"),
];
/// Keys after which the log of the state is synced.
const SYNCED: usize = 40 * BATCH;
/// How many keys each kind is measured with.
const OF_KINDS: usize = 500_000;

fn main() {
    let args: Vec<String> = std::env::args().collect();
    if !args.iter().any(|arg| arg == "--bench") {
        return;
    }
    if let Some(keys) = args.iter().position(|arg| arg == KEPT).and_then(|at| args.get(at + 1)) {
        let held = args.last().map_or(STATEFUL, String::as_str);
        let (bytes, start) = kept(keys.parse().unwrap(), held);
        return println!("{bytes} {start}");
    }
    println!(
        "us of CPU a message, {ROUNDS} rounds by turns, medians; bytes of memory a key; seconds of CPU of a start"
    );
    println!("keys       without   dedup and hold   more    bytes a key   start");
    for keys in [1_000, 10_000, 100_000, 1_000_000] {
        let mut rounds: Vec<[f64; 2]> = Vec::new();
        for _ in 0..ROUNDS {
            rounds.push([STATELESS, STATEFUL].map(|held| known_keys(held, keys)));
        }
        let median = |of: fn(&[f64; 2]) -> f64| {
            let mut all: Vec<f64> = rounds.iter().map(of).collect();
            all.sort_by(f64::total_cmp);
            all[ROUNDS / 2]
        };
        let (without, with) = (median(|round| round[0]), median(|round| round[1]));
        let more = median(|round| round[1] - round[0]);
        let (bytes, start) = kept_by_another(keys, STATEFUL);
        println!("{keys:<9}  {without:<8.2}  {with:<15.2}  {more:<6.2}  {bytes:<12.0}  {start:.2}");
    }
    println!("\nbytes of memory a key, and seconds of CPU of a start, with {OF_KINDS} keys");
    for (name, held) in KINDS {
        let (bytes, start) = kept_by_another(OF_KINDS, held);
        println!("{name:<20}  {bytes:<6.0}  {start:.2}");
    }
}

/// CPU of a message in microseconds, once all keys are known.
fn known_keys(held: &str, keys: usize) -> f64 {
    let dir = tempfile::tempdir().unwrap();
    let shared = shared(dir.path(), held, keys);
    let mut pipeline = Pipeline::new(shared);
    for key in (0..keys).step_by(BATCH) {
        take(&mut pipeline, key..(key + BATCH).min(keys));
    }
    let (mut cpu, mut taken, mut key) = (0, 0, 0);
    while taken < COUNT {
        // Not in the order in which they came.
        key = (key + 7919 * BATCH) % keys;
        cpu += take(&mut pipeline, key..(key + BATCH).min(keys));
        taken += BATCH.min(keys - key);
    }
    cpu as f64 / 1000.0 / taken as f64
}

/// The same as [`kept`], of a process of its own: memory that was used before would be used again.
fn kept_by_another(keys: usize, held: &str) -> (f64, f64) {
    let mut program = Command::new(std::env::current_exe().unwrap());
    let output = program.args(["--bench", KEPT, &keys.to_string(), held]).output().unwrap().stdout;
    let text = String::from_utf8(output).unwrap();
    let (bytes, start) = text.trim().split_once(' ').unwrap();
    (bytes.parse().unwrap(), start.parse().unwrap())
}

/// Bytes of memory a key, and the seconds of CPU that the next process needs to read them.
fn kept(keys: usize, held: &str) -> (f64, f64) {
    let dir = tempfile::tempdir().unwrap();
    let first = open(dir.path());
    first.commit.resume(SystemClock.now());
    first.replace(Active { rules: rules(held, keys), ..Active::default() });
    let mut pipeline = Pipeline::new(first.clone());
    let before = resident();
    for key in (0..keys).step_by(BATCH) {
        take(&mut pipeline, key..(key + BATCH).min(keys));
        if key % SYNCED == 0 {
            first.commit.correlation.sync(SystemClock.now(), false).unwrap();
        }
    }
    let bytes = (resident() - before) as f64 / keys as f64;
    assert!(open_keys(&first) >= keys);
    drop((pipeline, first));
    let rules = rules(held, keys);
    let start = cpu();
    let next = open(dir.path());
    next.commit.resume(SystemClock.now());
    next.replace(Active { rules, ..Active::default() });
    let seconds = (cpu() - start) as f64 / 1e9;
    assert!(open_keys(&next) >= keys);
    (bytes, seconds)
}

/// Takes a trap for each of these keys. CPU time of this thread in nanoseconds.
fn take(pipeline: &mut Pipeline, keys: std::ops::Range<usize>) -> u64 {
    let packets: Vec<Vec<u8>> = keys.map(packet).collect();
    let arrival = Arrival { peer: ([192, 0, 2, 1], 162).into(), local: None };
    let now = SystemClock.now();
    let before = cpu();
    for packet in &packets {
        pipeline.packet(packet, arrival, now);
    }
    assert_eq!(pipeline.commit(now).count(), 0, "a trap is not answered");
    cpu() - before
}

fn cpu() -> u64 {
    let schedstat = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap();
    schedstat.split_whitespace().next().unwrap().parse().unwrap()
}

/// Bytes of memory that the process has.
fn resident() -> i64 {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap();
    statm.split_whitespace().nth(1).unwrap().parse::<i64>().unwrap() * 4096
}

fn oid_of(rule: usize) -> String {
    format!("1.3.6.1.4.1.{}.0.1", 90_000 + rule)
}

fn packet(key: usize) -> Vec<u8> {
    let name = format!("Gi{}/{}", key / 48, key % 48);
    let oid = |text: &str| text.parse::<Oid>().unwrap();
    trapline::snmp::encode::encode(&Notification {
        version: Version::V2c,
        kind: NotificationKind::Trap,
        community: b"public",
        proxied_community: None,
        security: None,
        request_id: 1,
        oid: oid(&oid_of(key / OF_RULE)),
        enterprise: None,
        agent: None,
        generic: None,
        specific: None,
        uptime: Some(100),
        varbinds: vec![
            Varbind { oid: oid("1.3.6.1.2.1.2.2.1.1.3"), value: Value::Integer(3) },
            Varbind { oid: oid("1.3.6.1.2.1.2.2.1.2.3"), value: Value::OctetString(name.as_bytes()) },
        ],
    })
}

fn rules(held: &str, keys: usize) -> trapline::rules::RuleSet {
    let rule = |n: usize| {
        format!(
            "[[rule]]\nid = \"down-{n}\"\ntrap = \"{}\"\n{held}[rule.check]\nservice = \"Interface {{{{ ifDescr }}}}\"\n\
             state = \"critical\"\noutput = \"{{{{ ifDescr }}}} is down\"\n",
            oid_of(n)
        )
    };
    let text: String = (0..keys.div_ceil(OF_RULE)).map(rule).collect();
    let file = RuleFile { name: "rules.toml".into(), text: text.into() };
    let compiled = compile(&[file], Arc::new(mib::load::load(&[]).mib));
    compiled.rules.unwrap_or_else(|| panic!("{}", compiled.found.to_text()))
}

/// A journal that no sink reads.
fn open(directory: &Path) -> Arc<Shared> {
    let options =
        Options { directory: directory.to_owned(), max_size: 1 << 30, when_full: WhenFull::DropOldest };
    let (journal, _) = Journal::open(options, 7).unwrap();
    Arc::new(Shared::new(journal, SyncPolicy::Interval, Arc::new(SystemClock)))
}

fn shared(directory: &Path, held: &str, keys: usize) -> Arc<Shared> {
    let shared = open(directory);
    shared.replace(Active { rules: rules(held, keys), ..Active::default() });
    shared
}

/// How many keys have state.
fn open_keys(shared: &Shared) -> usize {
    shared
        .commit
        .correlation
        .view(SystemClock.now(), &Wanted { counts: true, ..Wanted::default() }, 1)
        .unwrap()
        .total
}
