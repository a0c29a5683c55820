//! What comes to the state, what passes by it, and in which order both reach the journal.

use std::sync::mpsc;
use std::time::Duration;

use super::*;
use crate::correlate::testing::with_context;
use crate::intake::commit::{Commit, Committed, Refused};
use crate::intake::made::Made;
use crate::journal::{Journal, Options, Reader, SyncPolicy, WhenFull};
use crate::rules::compile::{RuleFile, compile};
use crate::rules::{RuleSet, Scratch};
use crate::time::clock::Mono;

/// "held SERVICE" is critical and held, "bad SERVICE" critical, "good SERVICE" ok; the last two have no state.
pub(in crate::intake) fn rules(held: &str) -> RuleSet {
    let rule = |id: &str, state: &str, keys: &str| {
        format!(
            "[[rule]]\nid = \"{id}\"\nsyslog = {{ message = '^{id} (?<service>\\w+)' }}\n{keys}\n\
             [rule.check]\nservice = \"{{{{ service }}}}\"\nstate = \"{state}\"\noutput = \"{{{{ message }}}}\"\n"
        )
    };
    let text = format!(
        "{}{}{}",
        rule("held", "critical", held),
        rule("bad", "critical", ""),
        rule("good", "ok", "")
    );
    let mib = Arc::new(crate::mib::load::load(&[]).mib);
    let compiled = compile(&[RuleFile { name: "x.toml".into(), text: text.as_str().into() }], mib);
    compiled.rules.unwrap()
}

struct Bench {
    commit: Commit,
    rules: RuleSet,
    reader: Reader,
    made: Made,
    now: clock::Now,
    _dir: tempfile::TempDir,
}

impl Bench {
    fn new(held: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let options =
            Options { directory: dir.path().to_owned(), max_size: 1 << 30, when_full: WhenFull::DropOldest };
        let (journal, _) = Journal::open(options, 7).unwrap();
        let reader = journal.reader(journal.next());
        let now = clock::Now { wall: Wall::from_micros(1_000_000), mono: Mono::from_nanos(1_000_000_000) };
        let commit = Commit::new(journal, SyncPolicy::Never, Arc::default(), Arc::default(), now);
        let rules = rules(held);
        commit.replace(rules.plan(), now);
        Bench { commit, rules, reader, made: Made::default(), now, _dir: dir }
    }

    /// Adds what rules make of a message to the batch; how many outcomes of it pass by the state.
    fn message(&mut self, message: &str) -> usize {
        let before = self.made.batch.len();
        let line = format!("<35>Nov 20 12:00:00 h app: {message}");
        add(&line, &self.commit, &self.rules, &mut self.made);
        self.made.batch.len() - before
    }

    fn commit(&mut self) -> Vec<String> {
        assert_eq!(self.commit.batch(self.now, &mut self.made, Refused::Queues), Committed::Written);
        let mut outputs = Vec::new();
        let read = |record: crate::outcome::record::Record<'_>| {
            outputs.push(record.outcome.common().output.to_string());
            true
        };
        self.reader.read(100, read).unwrap();
        outputs
    }

    fn pass(&mut self, seconds: u64) {
        let (wall, mono) = (self.now.wall.micros(), self.now.mono.nanos());
        self.now = clock::Now {
            wall: Wall::from_micros(wall + seconds as i64 * 1_000_000),
            mono: Mono::from_nanos(mono + seconds * 1_000_000_000),
        };
        self.commit.advance(self.now);
    }
}

pub(in crate::intake) fn add(line: &str, commit: &Commit, rules: &RuleSet, made: &mut Made) {
    with_context(line, 1, |context| {
        rules.apply_keyed(context, &mut Scratch::default(), |emitted| {
            let follows = !made.undecided.is_empty();
            assert!(match commit.correlation.facts(rules.plan(), follows, emitted, context) {
                Some(facts) => made.undecided.push(rules.plan(), facts, emitted.outcome, None),
                None => made.batch.push(emitted.outcome),
            });
        });
    });
}

#[test]
fn only_what_concerns_the_state_comes_to_it() {
    let mut bench = Bench::new("hold = { for = '1m' }");
    assert_eq!(bench.message("bad a"), 1, "no state, and no problem");
    assert_eq!(bench.message("good a"), 1);
    assert_eq!(bench.message("held b"), 0);
    // What follows in the batch stays behind it.
    assert_eq!(bench.message("bad a"), 0);
    assert_eq!(bench.message("good b"), 0);
    assert_eq!(
        bench.commit(),
        ["bad a", "good a", "bad a", "good b"],
        "over before its hold, and nobody knows what passed by"
    );
    for message in ["held b", "good b", "bad a"] {
        assert_eq!(bench.message(message), 0);
    }
    assert_eq!(bench.commit(), ["bad a"], "receivers know that b is well");
    bench.pass(61);
    assert_eq!(bench.message("good c"), 1, "there is nothing to clear");
    assert_eq!(bench.message("bad b"), 0, "b is not well any more");
    assert_eq!(bench.commit(), ["good c", "bad b"]);
    for message in ["held b", "good b"] {
        assert_eq!(bench.message(message), 0);
    }
    assert_eq!(bench.commit(), ["good b"]);
}

#[test]
fn without_state_in_any_rule_nothing_comes_to_it() {
    let mut bench = Bench::new("");
    for message in ["held a", "bad a", "good a"] {
        assert_eq!(bench.message(message), 1);
    }
    assert_eq!(bench.commit(), ["held a", "bad a", "good a"]);
}

#[test]
fn who_keeps_nothing_does_not_wait_for_the_state() {
    let bench = Bench::new("hold = { for = '1m' }");
    let mut empty = (Undecided::default(), Batch::default());
    let deciding = bench.commit.correlation.decide(bench.now, &mut empty.0, &mut empty.1, &[]);
    let (done, ended) = mpsc::channel();
    let passed = std::thread::scope(|scope| {
        let (commit, rules, now) = (&bench.commit, &bench.rules, bench.now);
        scope.spawn(move || {
            let mut made = Made::default();
            add("<35>Nov 20 12:00:00 h app: bad a", commit, rules, &mut made);
            done.send((made.batch.len(), commit.batch(now, &mut made, Refused::Queues)))
        });
        let passed = ended.recv_timeout(Duration::from_secs(20));
        // Whoever waited goes on.
        drop(deciding);
        passed
    });
    assert_eq!(passed, Ok((1, Committed::Written)));
}

#[test]
fn what_is_due_is_journaled_by_itself() {
    let mut bench = Bench::new("hold = { for = '1m' }");
    bench.message("held a");
    assert_eq!(bench.commit(), [""; 0]);
    bench.pass(59);
    bench.message("bad b");
    assert_eq!(bench.commit(), ["bad b"]);
    bench.pass(1);
    bench.message("bad c");
    assert_eq!(bench.commit(), ["held a", "bad c"]);
}

#[test]
fn what_is_due_at_the_same_moment_comes_in_the_order_of_its_arrival() {
    let mut bench = Bench::new("hold = { for = '1m' }");
    let all: Vec<String> = (0..40).map(|n| format!("held s{n}")).collect();
    for message in &all {
        bench.message(message);
    }
    assert_eq!(bench.commit(), [""; 0]);
    bench.pass(61);
    bench.message("bad b");
    let mut sent = bench.commit();
    assert_eq!(sent.pop().as_deref(), Some("bad b"));
    assert_eq!(sent, all, "one batch, one time of reception");
}
