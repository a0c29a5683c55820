//! What holds for all rules with state, in random histories: the last word passes, state that is written and read back is the
//! same state, and limits hold.

use std::collections::BTreeMap;
use std::sync::OnceLock;

use proptest::prelude::*;

use super::case_tests::mib;
use super::testing::made_of;
use super::view::{Clear, Wanted, What};
use super::{Correlator, Effects, HEAD, Limits, Now, Reason, Secret};
use crate::outcome::codec;
use crate::outcome::result::State;
use crate::rules::RuleSet;
use crate::rules::compile::{RuleFile, compile};

const SECOND: i64 = 1_000_000;

/// Rules for lines "bad KEY SERVICE", "poor KEY SERVICE", "odd KEY SERVICE" and "good KEY SERVICE", with some keys each.
fn rules(problem: &str, good: &str) -> RuleSet {
    let (rules, found) = all_words([problem, problem, problem, good]);
    assert_eq!(found, "", "{problem} / {good}");
    rules
}

/// The same without "odd", and with settings of their own for each.
fn three_rules([bad, poor, good]: [&str; 3]) -> (RuleSet, String) {
    all_words([bad, poor, "", good])
}

/// The rules with settings of their own for each, and what is said about them.
fn all_words([bad, poor, odd, good]: [&str; 4]) -> (RuleSet, String) {
    let rule = |id: &str, state: &str, keys: &str| {
        format!(
            "[[rule]]\nid = \"{id}\"\nsyslog = {{ message = '^{id} (?<key>\\w+) (?<service>\\w+)' }}\n{keys}\n\
             [rule.check]\nservice = \"{{{{ service }}}}\"\nstate = \"{state}\"\n"
        )
    };
    let text = format!(
        "{}{}{}{}",
        rule("bad", "critical", bad),
        rule("poor", "warning", poor),
        rule("odd", "unknown", odd),
        rule("good", "ok", good)
    );
    let compiled = compile(&[RuleFile { name: "x.toml".into(), text: text.as_str().into() }], mib());
    let found = compiled.found.to_text();
    (compiled.rules.unwrap_or_else(|| panic!("{found}{text}")), found)
}

struct World<'r> {
    rules: &'r RuleSet,
    correlator: Correlator,
    now: Now,
    effects: Effects,
    /// The states that were sent, by service.
    sent: BTreeMap<String, State>,
    /// All outcomes, encoded.
    outcomes: Vec<Vec<u8>>,
    /// How many were swallowed, by reason.
    swallowed: Vec<u64>,
    full: usize,
    /// The images of all changes.
    log: Vec<u8>,
}

impl<'r> World<'r> {
    fn new(rules: &'r RuleSet, limits: Limits) -> Self {
        let now = Now { engine: 1000 * SECOND, wall: 1000 * SECOND };
        World {
            rules,
            correlator: Correlator::new(rules.plan().clone(), Secret([3, 4]), limits, now),
            now,
            effects: Effects::default(),
            sent: BTreeMap::new(),
            outcomes: Vec::new(),
            swallowed: vec![0; Reason::ALL.len()],
            full: 0,
            log: Vec::new(),
        }
    }

    fn send(&mut self, message: &str) {
        let line = format!("<35>Nov 20 12:00:00 h app: {message}");
        for (_, facts, bytes) in made_of(self.rules, self.correlator.secret(), &line, self.now.wall) {
            self.correlator.decide(self.now, &facts, &bytes, &mut self.effects);
        }
        self.collect();
    }

    fn pass(&mut self, time: i64) {
        let until = self.now.engine + time;
        while let Some(due) = self.correlator.next_due().filter(|due| *due <= until) {
            let due = due.max(self.now.engine);
            self.now = Now { engine: due, wall: due };
            self.correlator.advance(self.now, 3, &mut self.effects);
            self.collect();
        }
        self.now = Now { engine: until, wall: until };
    }

    fn collect(&mut self) {
        for bytes in self.effects.outcomes() {
            let outcome = codec::decode(bytes).unwrap();
            self.sent.insert(outcome.service().unwrap().to_owned(), outcome.common().state);
            self.outcomes.push(bytes.to_vec());
        }
        for (all, more) in self.swallowed.iter_mut().zip(self.effects.swallowed) {
            *all += more;
        }
        self.full += self.effects.full.len();
        self.log.extend(self.correlator.images(&mut self.effects.touched));
        self.effects.clear();
    }

    /// All entries, and all that the log of changes says.
    fn entries_and_replayed(&mut self) -> (Vec<Vec<u8>>, Vec<Vec<u8>>) {
        let (secret, plan) = (self.correlator.secret(), self.rules.plan().clone());
        let bytes = Correlator::with_head(secret, self.now.engine, [&[0; HEAD][..], &*self.log].concat());
        let mut effects = Effects::default();
        let replayed = Correlator::decode(&bytes, plan, Limits::default(), self.now, &mut effects).unwrap();
        let images = |correlator: &Correlator| {
            let mut images: Vec<Vec<u8>> = Vec::new();
            for (kind, key) in correlator.entries() {
                let mut image = Vec::new();
                correlator.image(kind, key, &mut image);
                images.push(image);
            }
            images.sort();
            images
        };
        (images(&self.correlator), images(&replayed))
    }

    fn reencode(&mut self) {
        let bytes = self.correlator.encode(self.now);
        let plan = self.rules.plan().clone();
        self.correlator =
            Correlator::decode(&bytes, plan, Limits::default(), self.now, &mut self.effects).unwrap();
        assert!(self.effects.is_empty());
    }
}

/// Settings of the rules that raise and of the one that clears: none of them may hide how things stand in the end.
const SETTINGS: &[(&str, &str)] = &[
    ("dedup = { window = '60s' }", ""),
    ("dedup = { window = '60s', summary = '{{ seen.count }}' }", "dedup = { window = '20s' }"),
    ("hold = { for = '30s' }", ""),
    ("hold = { for = '10s', flaps = 2, within = '60s' }", ""),
    ("throttle = { count = 1, per = '60s', key = 'all' }", ""),
    ("throttle = { count = 1, per = '60s' }", "throttle = { count = 1, per = '50s' }"),
    ("throttle = { count = 2, per = '60s', key = 'all', summary = 'more' }\ndedup = { window = '30s' }", ""),
    ("key = '{{ key }}'", "key = '{{ key }}'"),
    ("key = '{{ key }}'\nhold = { for = '30s' }\ndedup = { window = '45s' }", "key = '{{ key }}'"),
    ("key = '{{ key }}'\nhold = { for = '10s', flaps = 2, within = '60s' }", "key = '{{ key }}'"),
    ("key = '{{ key }}'\nthrottle = { count = 1, per = '60s', key = 'all' }", "key = '{{ key }}'"),
    (
        "key = '{{ key }}'\nremind = '7m'\nhold = { for = '5s' }",
        "key = '{{ key }}'\ndedup = { window = '1m' }",
    ),
    ("hold = { for = '20s' }\nthrottle = { count = 1, per = '60s' }\ndedup = { window = '90s' }", ""),
];

/// The rules of all settings, compiled once.
fn all_rules() -> &'static [RuleSet] {
    static RULES: OnceLock<Vec<RuleSet>> = OnceLock::new();
    RULES.get_or_init(|| SETTINGS.iter().map(|(problem, good)| rules(problem, good)).collect())
}

/// What the messages of the rules begin with, and the states of their outcomes.
const WORDS: [(&str, State); 4] =
    [("bad", State::Critical), ("poor", State::Warning), ("good", State::Ok), ("odd", State::Unknown)];

#[derive(Debug, Clone)]
enum Step {
    Message { state: usize, key: u8 },
    Pass(i64),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        3 => (0..4usize, 0..4u8).prop_map(|(state, key)| Step::Message { state, key }),
        2 => prop_oneof![0..3i64, 0..40i64, 40..100i64].prop_map(|s| Step::Pass(s * SECOND)),
    ];
    prop::collection::vec(step, 1..40)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 32, max_shrink_iters: 500, ..ProptestConfig::default() })]
    #[test]
    fn the_last_word_passes_and_state_is_what_it_was_after_a_restart(
        at in 0..SETTINGS.len(),
        steps in steps(),
    ) {
        let (problem, good) = SETTINGS[at];
        let rules = &all_rules()[at];
        let explicit = problem.contains("key = '{{ key }}'");
        let (mut plain, mut restarted) = (World::new(rules, Limits::default()), World::new(rules, Limits::default()));
        // The state of each problem, as its last message has it: two keys share a service.
        let mut truth: BTreeMap<String, State> = BTreeMap::new();
        for step in &steps {
            match step {
                Step::Message { state, key } => {
                    let (word, state) = WORDS[*state];
                    // Without keys of its own the service is the problem.
                    let service = if explicit { key / 2 } else { *key };
                    truth.insert(format!("s{service} k{key}"), state);
                    for world in [&mut plain, &mut restarted] {
                        world.send(&format!("{word} k{key} s{service}"));
                    }
                }
                Step::Pass(time) => {
                    plain.pass(*time);
                    restarted.pass(*time);
                }
            }
            restarted.reencode();
            let (entries, replayed) = plain.entries_and_replayed();
            prop_assert_eq!(entries, replayed, "{} / {}", problem, good);
        }
        for world in [&mut plain, &mut restarted] {
            world.pass(3600 * SECOND);
        }
        prop_assert_eq!(&plain.outcomes, &restarted.outcomes);
        let mut worst: BTreeMap<String, State> = BTreeMap::new();
        for (name, state) in &truth {
            let service = name.split(' ').next().unwrap().to_owned();
            let known = worst.entry(service).or_insert(State::Ok);
            if state.severity() > known.severity() {
                *known = *state;
            }
        }
        for (service, state) in worst {
            // What was never sent is ok for all that anybody knows.
            let sent = plain.sent.get(&service).copied().unwrap_or(State::Ok);
            prop_assert_eq!(sent, state, "{} with {} / {}", service, problem, good);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 32, max_shrink_iters: 500, ..ProptestConfig::default() })]
    #[test]
    fn what_is_cleared_by_hand_is_over_for_receivers_too(
        at in 0..SETTINGS.len(),
        steps in steps(),
        silent in any::<bool>(),
        parts in 1..9u32,
    ) {
        let mut world = World::new(&all_rules()[at], Limits::default());
        for step in &steps {
            match step {
                Step::Message { state, key } => {
                    let word = WORDS[*state].0;
                    world.send(&format!("{word} k{key} s{}", key / 2));
                }
                Step::Pass(time) => world.pass(*time),
            }
        }
        let wanted = Wanted { counts: true, ..Wanted::default() };
        let (rows, rest) = world.correlator.view(world.now, &wanted, 0, u32::MAX);
        prop_assert_eq!(rest, None);
        for row in &rows {
            // Everybody can see whose problem it is, whether its outcome is kept or not.
            if !matches!(row.what, What::Threshold | What::Throttle | What::Expected) {
                prop_assert_eq!(row.host.as_deref(), Some("h"), "{:?}", row);
                prop_assert!(row.service.as_deref().is_some_and(|s| s == "s0" || s == "s1"), "{:?}", row);
            }
            let ids = vec![u64::from_str_radix(&row.id, 16).unwrap()];
            let one = Wanted { ids, counts: true, ..Wanted::default() };
            prop_assert_eq!(&world.correlator.view(world.now, &one, 0, u32::MAX).0, &vec![row.clone()]);
        }
        let before = world.outcomes.len();
        let (mut from, mut cleared) = (Some(0), 0);
        while let Some(place) = from {
            let how = Clear { output: "over", silent };
            let (now, effects) = (world.now, &mut world.effects);
            let (rows, next) = world.correlator.clear(now, (&wanted, how), (place, parts), effects);
            (from, cleared) = (next, cleared + rows.len());
            world.collect();
        }
        prop_assert_eq!(cleared, rows.len());
        prop_assert_eq!(world.correlator.view(world.now, &wanted, 0, u32::MAX).0, vec![]);
        let (entries, replayed) = world.entries_and_replayed();
        prop_assert_eq!(entries, replayed);
        prop_assert!(!silent || world.outcomes.len() == before);
        world.pass(7200 * SECOND);
        prop_assert!(world.correlator.usage().iter().all(|usage| (usage.keys, usage.bytes) == (0, 0)));
        if !silent {
            prop_assert!(world.sent.values().all(|state| state.is_good()), "{:?}", world.sent);
        }
    }
}

/// Rules that raise the same problems with other settings, or without state, and the one that clears them.
const MIXED: [[&str; 3]; 8] = [
    ["hold = { for = '30s' }", "", ""],
    ["", "hold = { for = '10s', flaps = 2, within = '60s' }", ""],
    ["dedup = { window = '60s' }", "hold = { for = '30s' }", "orphan = 'drop'"],
    [
        "key = '{{ key }}'\nhold = { for = '30s' }\ndedup = { window = '45s' }",
        "key = '{{ key }}'\nhold = { for = '10s', flaps = 2, within = '60s' }",
        "key = '{{ key }}'\norphan = 'drop'",
    ],
    [
        "throttle = { count = 2, per = '60s', key = 'all', summary = 'more' }\ndedup = { window = '30s' }",
        "dedup = { window = '20s' }",
        "orphan = 'drop'",
    ],
    ["key = '{{ key }}'\nremind = '7m'\nhold = { for = '5s' }", "", "key = '{{ key }}'"],
    ["hold = { for = '10s', flaps = 2, within = '60s' }", "throttle = { count = 1, per = '60s' }", ""],
    [
        "key = '{{ key }}'",
        "key = '{{ key }}'\nthrottle = { count = 1, per = '60s', key = 'all' }",
        "key = '{{ key }}'\norphan = 'drop'",
    ],
];

/// The rules of all mixtures, compiled once.
fn mixed_rules() -> &'static [RuleSet] {
    static RULES: OnceLock<Vec<RuleSet>> = OnceLock::new();
    RULES.get_or_init(|| MIXED.iter().map(|settings| three_rules(*settings).0).collect())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, max_shrink_iters: 500, ..ProptestConfig::default() })]
    /// Whichever rules raise a problem, with state, without, or without room for it: what was told is taken back.
    #[test]
    fn what_was_told_is_taken_back_whichever_rule_lacks_room(
        at in 0..MIXED.len(),
        steps in steps(),
        keys in 1..4usize,
    ) {
        let mut world = World::new(&mixed_rules()[at], Limits { keys, ..Limits::default() });
        for step in &steps {
            match step {
                Step::Message { state, key } => {
                    // These rules know no "odd".
                    let word = WORDS[*state % 3].0;
                    world.send(&format!("{word} k{key} s{}", key / 2));
                }
                Step::Pass(time) => world.pass(*time),
            }
        }
        for key in 0..4 {
            world.send(&format!("good k{key} s{}", key / 2));
        }
        world.pass(3600 * SECOND);
        prop_assert!(world.sent.values().all(|state| state.is_good()), "{:?} of {:?}", world.sent, MIXED[at]);
    }
}

#[test]
fn without_room_nothing_is_lost_and_no_false_alarm_is_raised() {
    let limits = Limits { keys: 100, ..Limits::default() };
    let states = |settings: &str| {
        let rules = rules(settings, "");
        let mut world = World::new(&rules, limits);
        for n in 0..1000 {
            world.send(&format!("bad k s{n}"));
        }
        let usage: usize = world.correlator.usage().iter().map(|usage| usage.keys).sum();
        assert!(usage <= 101, "{settings}: {usage}");
        assert_eq!(world.full, 1, "{settings}: said once");
        world.pass(3600 * SECOND);
        world.outcomes.len()
    };
    // All are sent, at once or at the end of the hold.
    assert_eq!(states("dedup = { window = '60s' }"), 1000);
    assert_eq!(states("hold = { for = '60s' }"), 1000);
    // A threshold that is not reached says nothing.
    assert_eq!(states("threshold = { count = 2, within = '60s' }"), 0);
}

#[test]
fn case_25_a_flood_of_new_keys_hides_no_key_that_comes_often() {
    let rules = rules("threshold = { count = 50, within = '1h' }", "");
    let mut world = World::new(&rules, Limits { keys: 100, ..Limits::default() });
    for n in 0..5000 {
        world.send(&format!("bad k s{n}"));
        // A key among many others.
        if n % 20 == 0 {
            world.send("bad k often");
        }
    }
    let services: Vec<&String> = world.sent.keys().collect();
    assert_eq!(services, ["often"]);
    assert_eq!(world.full, 1);
}

/// What is known goes on as ever, whatever else comes: only new keys are without state.
#[test]
fn without_room_what_is_known_goes_on() {
    for (settings, first) in [
        ("dedup = { window = '1h' }", 1),
        ("key = '{{ service }}'\ndedup = { window = '1h' }", 1),
        ("dedup = { window = '1h', summary = 'x' }", 1),
        ("hold = { for = '1h' }", 0),
        ("key = '{{ service }}'\nhold = { for = '1h' }", 0),
        ("dedup = { window = '1h' }\nremind = '2h'", 1),
        ("dedup = { window = '1h' }\nexpire = { after = '2h', state = 'unknown' }", 1),
        ("dedup = { window = '1h' }\nescalate = [{ after = '2h', state = 'critical' }]", 1),
    ] {
        let key = if settings.starts_with("key") { "key = '{{ service }}'" } else { "" };
        let rules = rules(settings, key);
        // By their number, and by their bytes.
        for limits in
            [Limits { keys: 20, ..Limits::default() }, Limits { bytes: 20 * 60, ..Limits::default() }]
        {
            let mut world = World::new(&rules, limits);
            world.send("bad k a");
            for n in 0..100 {
                world.send(&format!("bad k s{n}"));
            }
            let of = |world: &World<'_>| {
                let is_a = |bytes: &&Vec<u8>| codec::decode(bytes).unwrap().service() == Some("a");
                world.outcomes.iter().filter(is_a).count()
            };
            for key in ["k", "much_longer_than_what_was_kept_before"] {
                world.send(&format!("bad {key} a"));
                assert_eq!(of(&world), first, "{settings} {limits:?}");
            }
            world.send("good k a");
            assert_eq!(of(&world), 2 * first, "{settings} {limits:?}: a problem that was sent is cleared");
            let most = world.correlator.usage().iter().map(|usage| usage.bytes).max().unwrap();
            assert!(most <= limits.bytes, "{settings}: {most}");
        }
    }
}

/// Names that are too long to be kept, and outcomes for which there is no room: nothing without a body is ever sent.
#[test]
fn what_is_not_kept_is_not_sent() {
    let long = "x".repeat(600);
    for (settings, after) in [
        (
            "dedup = { window = '1h' }",
            "dedup = { window = '1h' }\nexpire = { after = '1m', state = 'unknown' }",
        ),
        ("dedup = { window = '1h' }", "dedup = { window = '1h' }\nremind = '1m'"),
        (
            "key = '{{ key }}'\ndedup = { window = '1h' }",
            "key = '{{ key }}'\nexpire = { after = '1m', state = 'ok' }",
        ),
    ] {
        let key = if settings.starts_with("key") { "key = '{{ key }}'" } else { "" };
        let (first, second) = (rules(settings, key), rules(after, key));
        let mut world = World::new(&first, Limits::default());
        for key in 0..3 {
            world.send(&format!("bad k{key} {long}"));
        }
        world.correlator.replace(second.plan().clone(), world.now, &mut world.effects);
        world.collect();
        world.rules = &second;
        world.pass(3600 * SECOND);
        world.send(&format!("good k1 {long}"));
        assert!(world.outcomes.iter().all(|bytes| codec::decode(bytes).is_some()), "{settings}");
    }
    // The last word of one that flaps is longer than there is room for.
    let rules = rules("hold = { for = '30s', flaps = 2, within = '60s' }", "");
    let mut world = World::new(&rules, Limits { bytes: 120, ..Limits::default() });
    for _ in 0..2 {
        world.send("bad k s");
        world.send(&format!("good {} s", "k".repeat(100)));
    }
    world.send(&format!("bad {} s", "k".repeat(100)));
    world.pass(3600 * SECOND);
    assert!(world.outcomes.iter().all(|bytes| codec::decode(bytes).is_some()));
    assert_eq!(world.sent.get("s"), Some(&State::Critical));
}

/// What docs/architecture.md says of it: another field should be worth its bytes.
#[test]
fn a_record_has_not_grown() {
    assert_eq!(size_of::<Option<super::problem::Problem>>(), 80);
}
