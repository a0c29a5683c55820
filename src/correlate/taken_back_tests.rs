//! Whatever was told of a service is taken back: by rules with state and without, under several names, over reloads, and where
//! outcomes of rules without state pass the state by.

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};

use proptest::prelude::*;

use super::case_tests::mib;
use super::testing::made_of;
use super::{Correlator, Effects, Limits, Now, Presence, Secret};
use crate::outcome::codec;
use crate::outcome::result::State;
use crate::rules::RuleSet;
use crate::rules::compile::{RuleFile, compile};

const SECOND: i64 = 1_000_000;
const WORDS: [&str; 4] = ["bad", "poor", "odd", "good"];

/// What "bad", "poor" and "odd" have, and "good": of one list each may follow any other by a reload.
const WITHOUT_KEYS: &[[&str; 4]] = &[
    ["", "", "", ""],
    ["", "hold = { for = '60s' }", "", ""],
    ["hold = { for = '60s' }", "", "hold = { for = '10s', flaps = 2, within = '60s' }", ""],
    ["", "throttle = { count = 1, per = '90s' }\nexpire = { after = '20s', state = 'unknown' }", "", ""],
    ["throttle = { count = 1, per = '60s', key = 'all' }", "", "dedup = { window = '30s' }", ""],
    [
        "threshold = { count = 2, within = '60s' }",
        "expire = { after = '40s', state = 'unknown' }",
        "",
        "dedup = { window = '20s' }",
    ],
];
const WITH_KEYS: &[[&str; 4]] = &[
    ["hold = { for = '60s', flaps = 3, within = '10m' }\ndedup = { window = '5m' }", "", "", ""],
    ["dedup = { window = '1m' }", "dedup = { window = '1m' }", "remind = '70s'", ""],
    ["throttle = { count = 1, per = '60s' }", "escalate = [{ after = '20s', state = 'critical' }]", "", ""],
    [
        "hold = { for = '10s', flaps = 2, within = '60s' }",
        "",
        "hold = { for = '30s' }",
        "throttle = { count = 2, per = '30s' }",
    ],
];

fn compiled(settings: [&str; 4], key: &str) -> RuleSet {
    let mut text = String::new();
    for ((word, keys), state) in WORDS.iter().zip(settings).zip(["critical", "warning", "unknown", "ok"]) {
        text.push_str(&format!(
            "[[rule]]\nid = \"{word}\"\nsyslog = {{ message = '^{word} (?<key>\\w+) (?<service>\\w+)' }}\n{key}\n{keys}\n\
             [rule.check]\nservice = \"{{{{ service }}}}\"\nstate = \"{state}\"\n"
        ));
    }
    let compiled = compile(&[RuleFile { name: "x.toml".into(), text: text.as_str().into() }], mib());
    let found = compiled.found.to_text();
    compiled.rules.unwrap_or_else(|| panic!("{found}{text}"))
}

fn all() -> &'static [Vec<RuleSet>; 2] {
    static ALL: OnceLock<[Vec<RuleSet>; 2]> = OnceLock::new();
    ALL.get_or_init(|| {
        [(WITHOUT_KEYS, ""), (WITH_KEYS, "key = '{{ key }}'")]
            .map(|(all, key)| all.iter().map(|settings| compiled(*settings, key)).collect())
    })
}

/// A state, and what receivers know.
struct World {
    rules: &'static [RuleSet],
    at: usize,
    correlator: Correlator,
    /// Where outcomes of rules without state pass the state by, what keeps them from it.
    presence: Option<Arc<Presence>>,
    now: Now,
    effects: Effects,
    receivers: BTreeMap<String, State>,
    told: Vec<(String, State)>,
}

impl World {
    fn new(rules: &'static [RuleSet], at: usize, passes_by: bool) -> Self {
        let now = Now { engine: 1000 * SECOND, wall: 1000 * SECOND };
        let plan = rules[at].plan().clone();
        let mut correlator = Correlator::new(plan, Secret([3, 4]), Limits::default(), now);
        let presence = passes_by.then(Arc::<Presence>::default);
        if let Some(presence) = &presence {
            correlator.count_in(presence.clone());
        }
        let (effects, receivers, told) = (Effects::default(), BTreeMap::new(), Vec::new());
        World { rules, at, correlator, presence, now, effects, receivers, told }
    }

    fn tell(&mut self, bytes: &[u8]) {
        let outcome = codec::decode(bytes).unwrap();
        let (service, state) = (outcome.service().unwrap().to_owned(), outcome.common().state);
        self.receivers.insert(service.clone(), state);
        self.told.push((service, state));
    }

    fn collect(&mut self) {
        let made: Vec<Vec<u8>> = self.effects.outcomes().map(<[u8]>::to_vec).collect();
        for bytes in made {
            self.tell(&bytes);
        }
        self.effects.clear();
    }

    fn send(&mut self, message: &str) {
        let line = format!("<35>Nov 20 12:00:00 h app: {message}");
        let rules = &self.rules[self.at];
        let plan = rules.plan();
        for (tracked, facts, bytes) in made_of(rules, self.correlator.secret(), &line, self.now.wall) {
            let passes_by = |presence: &Arc<Presence>| {
                !plan.is_stateful() || !tracked && !presence.may_have(facts.service)
            };
            if self.presence.as_ref().is_some_and(passes_by) {
                self.tell(&bytes);
            } else {
                self.correlator.decide(self.now, &facts, &bytes, &mut self.effects);
                self.collect();
            }
        }
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

    fn reload(&mut self, at: usize) {
        self.at = at % self.rules.len();
        let plan = self.rules[self.at].plan().clone();
        self.correlator.replace(plan, self.now, &mut self.effects);
        self.collect();
    }

    fn restart(&mut self) {
        let bytes = self.correlator.encode(self.now);
        let plan = self.rules[self.at].plan().clone();
        self.correlator =
            Correlator::decode(&bytes, plan, Limits::default(), self.now, &mut self.effects).unwrap();
        if self.presence.is_some() {
            let presence = Arc::<Presence>::default();
            self.correlator.count_in(presence.clone());
            self.presence = Some(presence);
        }
        self.collect();
    }
}

#[derive(Debug, Clone)]
enum Step {
    Message { word: usize, key: u8, other: bool },
    Pass(i64),
    Reload(usize),
    Restart,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        9 => (0..4usize, 0..4u8, prop::bool::weighted(0.2))
            .prop_map(|(word, key, other)| Step::Message { word, key, other }),
        6 => prop_oneof![0..3i64, 0..40i64, 40..100i64].prop_map(|s| Step::Pass(s * SECOND)),
        1 => (0..9usize).prop_map(Step::Reload),
        1 => Just(Step::Restart),
    ];
    prop::collection::vec(step, 1..40)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, max_shrink_iters: 2000, ..ProptestConfig::default() })]
    #[test]
    fn what_was_told_is_taken_back(
        with_keys in any::<bool>(),
        at in 0..9usize,
        passes_by in any::<bool>(),
        steps in steps(),
    ) {
        let rules = &all()[usize::from(with_keys)];
        let mut world = World::new(rules, at % rules.len(), passes_by);
        for step in &steps {
            match step {
                Step::Message { word, key, other } => {
                    let service = if *other { (key / 2 + 1) % 2 } else { key / 2 };
                    world.send(&format!("{} k{key} s{service}", WORDS[*word]));
                }
                Step::Pass(time) => world.pass(*time),
                Step::Reload(at) => world.reload(*at),
                Step::Restart => world.restart(),
            }
        }
        // All is over, under the name that each key mostly has.
        for key in 0..4 {
            world.send(&format!("good k{key} s{}", key / 2));
        }
        world.pass(7200 * SECOND);
        prop_assert!(world.receivers.values().all(|state| state.is_good()), "{:?}", world.told);
    }
}

fn told(with_keys: bool, settings: [usize; 2], passes_by: bool, steps: &[&str]) -> Vec<(String, State)> {
    let mut world = World::new(&all()[usize::from(with_keys)], settings[0], passes_by);
    for step in steps {
        match step.strip_suffix('s').and_then(|seconds| seconds.parse::<i64>().ok()) {
            Some(seconds) => world.pass(seconds * SECOND),
            None if *step == "reload" => world.reload(settings[1]),
            None => world.send(step),
        }
    }
    world.told
}

#[test]
fn a_cancelled_hold_takes_back_what_a_rule_without_state_has_told() {
    for passes_by in [false, true] {
        // The rule that holds is another one, or the rule holds since a reload.
        for (settings, steps) in [
            ([1, 1], &["bad k s0", "10s", "poor k s0", "10s", "good k s0"][..]),
            ([0, 2], &["bad k s0", "10s", "reload", "bad k s0", "10s", "good k s0"]),
        ] {
            let told = told(false, settings, passes_by, steps);
            assert_eq!(told.last().map(|(_, state)| *state), Some(State::Ok), "{passes_by} {told:?}");
        }
    }
}

#[test]
fn a_cancelled_hold_is_silent_once_receivers_know_that_all_is_well() {
    let flap = ["poor k s0", "10s", "good k s0", "10s"];
    let twice = [flap, flap].concat();
    assert_eq!(told(false, [1, 1], false, &twice), []);
    assert_eq!(
        told(false, [1, 1], true, &twice),
        [("s0".to_owned(), State::Ok)],
        "others may have told of it"
    );
    let again = [&twice[..], &["bad k s0", "10s"], &flap, &flap].concat();
    let ok = ("s0".to_owned(), State::Ok);
    assert_eq!(told(false, [1, 1], true, &again), [ok.clone(), ("s0".to_owned(), State::Critical), ok]);
}

#[test]
fn a_problem_whose_messages_name_two_services_ends_for_both() {
    for setting in [0, 1, 3] {
        let steps = ["bad k s0", "400s", "bad k s1", "400s", "good k s1", "2000s"];
        let mut told = told(true, [setting, setting], false, &steps);
        told.sort_by(|(a, _), (b, _)| a.cmp(b));
        let states: Vec<(&str, State)> = told.iter().map(|(service, state)| (&**service, *state)).collect();
        let both = ["s0", "s1"].map(|service| [(service, State::Critical), (service, State::Ok)]);
        assert_eq!(states, both.concat(), "{setting}");
    }
}

#[test]
fn an_ok_after_an_unknown_end_is_sent_whatever_was_withheld() {
    let told = told(false, [3, 3], false, &["poor k s0", "30s", "poor k s0", "10s", "good k s0", "200s"]);
    let states: Vec<State> = told.into_iter().map(|(_, state)| state).collect();
    assert_eq!(states, [State::Warning, State::Unknown, State::Ok]);
}

#[test]
fn a_threshold_that_goes_on_is_heard_above_a_milder_problem() {
    let bad = ["bad k s0", "10s"];
    let steps = [&bad[..], &bad, &["poor k s0", "10s"], &bad, &bad].concat();
    let told = told(false, [5, 5], false, &steps);
    let states: Vec<State> = told.into_iter().map(|(_, state)| state).collect();
    assert_eq!(states, [State::Critical, State::Warning, State::Critical]);
}
