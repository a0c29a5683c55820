//! Random rules, messages, crashes, reloads and steps of the clock, against a state that is as simple as it can be: both send the
//! same outcomes, byte for byte, and know the same problems.
//!
//! `TRAPLINE_CHAOS=200 cargo test --lib correlate::model` has two hundred times as many histories.

use std::fmt::Write as _;
use std::sync::Arc;

use proptest::prelude::*;

use super::naive::{Naive, Phase, Story};
use crate::correlate::case_tests::mib;
use crate::correlate::key::Sender;
use crate::correlate::testing::made_of;
use crate::correlate::{Correlator, Effects, Facts, HEAD, Limits, Now, QUIET, Secret, Verdict};
use crate::outcome::codec;
use crate::outcome::result::Outcome;
use crate::rules::RuleSet;
use crate::rules::asks::{Question, Texts, What};
use crate::rules::compile::{RuleFile, compile};

const TENTH: i64 = 100_000;
const SECOND: i64 = 10 * TENTH;
/// The first moment: 2026-11-26T00:00:00Z.
const START: i64 = 1_795_651_200 * SECOND;

/// What a rule may have, by key; the first of each stands for nothing.
const FEATURES: &[&[&str]] = &[
    &[
        "",
        "dedup = { window = '7s' }",
        "dedup = { window = '30s', summary = '{{ seen.count }}x {{ output }} {{ seen.first }} {{ seen.last }} {{ seen.due }}' }",
    ],
    &[
        "",
        "",
        "threshold = { count = 2, within = '20s' }",
        "threshold = { count = 3, within = '40s', recover = '15s' }",
        "threshold = { count = 2, within = '10s', recover = '30s', key = '{{ service }}' }\nrecovery = { output = 'recovered {{ seen.count }} {{ seen.first }} {{ seen.last }} {{ seen.due }}' }",
    ],
    &[
        "",
        "",
        "hold = { for = '5s' }",
        "hold = { for = '15s', flaps = 2, within = '40s' }",
        "hold = { for = '60s', flaps = 3, within = '120s' }",
    ],
    &[
        "",
        "",
        "throttle = { count = 1, per = '20s' }",
        "throttle = { count = 2, per = '45s', key = 'all', summary = '{{ seen.count }} more {{ output }} {{ seen.first }} {{ seen.due }}' }",
    ],
    &[
        "",
        "",
        "escalate = [{ after = '10s', state = 'critical' }]",
        "escalate = [{ count = 3, state = 'critical' }, { after = '12s', state = 'unknown' }]",
    ],
    &[
        "",
        "",
        "expire = { after = '50s', state = 'unknown', output = 'expired {{ seen.count }} {{ seen.due }} {{ output }}' }",
        "expire = { after = '70s', state = 'ok' }",
    ],
    &["", "", "remind = '11s'"],
    &[
        "",
        "",
        "expect = { every = '25s', grace = '5s', service = 'Silence', output = 'late {{ seen.count }} {{ seen.first }} {{ seen.last }} {{ seen.due }}' }",
        "expect = { every = '40s', forget = '90s', keys = ['x0', 'x1'], learn = true, service = 'Silence' }",
        "expect = { by = '00:03', zone = 'UTC', grace = '10s', keys = ['x0', 'x2'], service = 'Silence' }",
        // Several keys of a service, which is that of messages, too, or is not.
        "expect = { every = '25s', key = '{{ key }}', host = 'x0', service = 's0', state = 'warning', output = 'late {{ key }} {{ seen.count }}' }",
        "expect = { every = '20s', grace = '9s', forget = '90s', key = '{{ key }}', keys = ['k0', 'k7'], learn = true, host = 'x0', service = 's0' }",
        "expect = { every = '40s', forget = '70s', key = '{{ key }}', host = 'x0', service = 'Silence', output = 'late {{ key }} {{ seen.last }}' }",
    ],
    &["", "", "orphan = 'drop'", "orphan = 'send'"],
];
/// The same for what clears: the last place of each is not for it.
const OF_GOOD: &[usize] = &[0, 1, 3, 7, 8];

/// The settings of one rule: a number for each key.
type Choice = Vec<usize>;

#[derive(Debug, Clone)]
struct Settings {
    bad: Choice,
    poor: Choice,
    good: Choice,
    /// Whether the rules have a key of their own: each, all but one, or none.
    explicit: usize,
    event: bool,
    /// Whether the ok outcomes close nothing.
    clears: bool,
    /// The rule that clears what is of its host.
    wide: usize,
    /// Whether problems have another service, which a reload may change.
    renamed: bool,
}

const WIDE: &[&str] = &[
    "clears = { host = true }",
    "clears = { host = true, state = 'unknown', output = 'gone {{ seen.count }} {{ output }}' }",
    "clears = { rule = ['bad'], service = 's*' }",
];

impl Settings {
    fn text(&self) -> String {
        let mut text = String::new();
        let target = if self.event { "resource" } else { "service" };
        let kind = if self.event { "event" } else { "check" };
        let mut rule = |id: &str, state: &str, keys: String| {
            let _ = write!(
                text,
                "[[rule]]\nid = '{id}'\nsyslog = {{ message = '^{id} (?<key>\\w+) (?<service>\\w+) (?<n>\\w+)' }}\n{keys}\n\
                 [rule.{kind}]\n{target} = '{{{{ service }}}}{}'\nstate = '{state}'\noutput = '{{{{ n }}}}'\n",
                if self.renamed && id == "bad" { "r" } else { "" }
            );
        };
        let keys = |choice: &Choice, explicit: bool, only: Option<&[usize]>| {
            let all = choice.iter().zip(FEATURES).enumerate();
            let all = all.filter(|(at, _)| only.is_none_or(|only| only.contains(at)));
            let lines = all.map(|(_, (choice, feature))| feature[choice % feature.len()].to_owned());
            let key = explicit.then(|| "key = '{{ key }}'".to_owned());
            key.into_iter().chain(lines).filter(|line| !line.is_empty()).collect::<Vec<_>>().join("\n")
        };
        rule("bad", "critical", keys(&self.bad, self.explicit > 0, None));
        rule("poor", "warning", keys(&self.poor, self.explicit > 1, None));
        let mut good = keys(&self.good, self.explicit > 0, Some(OF_GOOD));
        if !self.clears {
            good.push_str("\nclears = false");
        }
        rule("good", "ok", good);
        rule("flat", "critical", String::new());
        rule("fine", "ok", String::new());
        if let Some(wide) = WIDE.get(self.wide) {
            rule("reset", "ok", (*wide).to_owned());
        }
        text
    }

    fn rules(&self) -> RuleSet {
        let text = self.text();
        let compiled = compile(&[RuleFile { name: "x.toml".into(), text: text.as_str().into() }], mib());
        let found = compiled.found.to_text();
        compiled.rules.unwrap_or_else(|| panic!("{found}{text}"))
    }
}

fn settings() -> impl Strategy<Value = Settings> {
    let choice = || prop::collection::vec(0..12usize, FEATURES.len());
    (choice(), choice(), choice(), 0..3usize, any::<bool>(), prop::bool::weighted(0.8), 0..WIDE.len() + 2)
        .prop_map(|(bad, poor, good, explicit, event, clears, wide)| Settings {
            bad,
            poor,
            good,
            explicit,
            event,
            clears,
            wide,
            renamed: false,
        })
}

/// Rules, and what they become: something of the same kind with some other settings.
fn versions() -> impl Strategy<Value = Vec<Settings>> {
    let change = (0..FEATURES.len(), 0..12usize, 0..6usize, 0..4usize);
    (settings(), change.clone(), change).prop_map(|(first, one, two)| {
        let mut all = vec![first];
        for (feature, choice, which, explicit) in [one, two] {
            let mut next = all.last().unwrap().clone();
            match which {
                0 => next.bad[feature] = choice,
                1 => next.poor[feature] = choice,
                2 => next.good[feature] = choice,
                3 | 4 => next.renamed = !next.renamed,
                _ => next.explicit = explicit.min(2),
            }
            all.push(next);
        }
        all
    })
}

#[derive(Debug, Clone)]
enum Step {
    Message {
        rule: usize,
        key: u8,
        uptime: Option<u32>,
        /// Whether it names another service than the others of its key.
        other: bool,
    },
    Pass(i64),
    /// The wall clock jumps by so many tenths of a second.
    Clock(i64),
    /// The daemon ends, or dies, and comes again after so many tenths of a second.
    Restart {
        down: i64,
        dies: bool,
    },
    Reload(usize),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let uptime =
        prop_oneof![3 => Just(None), 1 => (0..3u32).prop_map(|n| Some(1000 + 300 * n)), 1 => Just(Some(3))];
    let pass = || prop_oneof![3 => 0..20i64, 3 => 20..200i64, 1 => 200..1300i64];
    let clock = prop_oneof![Just(36_000i64), Just(-36_000), Just(1500), Just(-1500), Just(5), Just(-5)];
    let step = prop_oneof![
        12 => (0..7usize, 0..5u8, uptime, prop::bool::weighted(0.15))
            .prop_map(|(rule, key, uptime, other)| Step::Message { rule, key, uptime, other }),
        8 => pass().prop_map(Step::Pass),
        1 => clock.prop_map(Step::Clock),
        1 => (pass(), any::<bool>()).prop_map(|(down, dies)| Step::Restart { down, dies }),
        1 => (0..3usize).prop_map(Step::Reload),
    ];
    prop::collection::vec(step, 1..50)
}

const SECRET: Secret = Secret([11, 12]);

/// What an outcome is about.
fn service(bytes: &[u8]) -> Option<(String, Option<String>)> {
    match codec::decode(bytes)? {
        Outcome::CheckResult(check) => {
            Some((check.host.to_string(), check.service.map(|service| service.to_string())))
        }
        Outcome::Event(event) => {
            Some((event.component.to_string(), event.resource.map(|resource| resource.to_string())))
        }
    }
}

/// Both states, and what is on disk of the one.
struct World<'r> {
    rules: &'r [RuleSet],
    at: usize,
    now: Now,
    correlator: Correlator,
    effects: Effects,
    naive: Naive,
    images: Vec<u8>,
    written: i64,
    messages: u32,
}

impl<'r> World<'r> {
    fn new(rules: &'r [RuleSet]) -> Self {
        let now = Now { engine: START, wall: START };
        let plan = rules[0].plan();
        World {
            rules,
            at: 0,
            now,
            correlator: Correlator::new(plan.clone(), SECRET, Limits::default(), now),
            effects: Effects::default(),
            naive: Naive::new(plan.clone(), SECRET, now),
            images: Correlator::new(plan.clone(), SECRET, Limits::default(), now).encode(now)[HEAD..]
                .to_vec(),
            written: START,
            messages: 0,
        }
    }

    /// Compares what both have sent, and writes what the one keeps.
    fn compare(&mut self) -> Result<(), TestCaseError> {
        let shown = |all: &[Vec<u8>]| {
            all.iter().map(|bytes| format!("{:?}", codec::decode(bytes))).collect::<Vec<_>>().join("\n")
        };
        let mut sent: Vec<Vec<u8>> = self.effects.outcomes().map(<[u8]>::to_vec).collect();
        let mut right = std::mem::take(&mut self.naive.out);
        // A receiver is told of a service in order. Which of two services comes first where both are late is open.
        sent.sort_by_cached_key(|bytes| service(bytes));
        right.sort_by_cached_key(|bytes| service(bytes));
        prop_assert_eq!(
            &sent,
            &right,
            "at {}: sent\n{}\nright\n{}",
            (self.now.engine - START) / TENTH,
            shown(&sent),
            shown(&right)
        );
        if !(sent.is_empty() && self.effects.touched.is_empty()) {
            self.images.extend(self.correlator.images(&mut self.effects.touched));
            self.written = self.now.engine;
        }
        self.effects.clear();
        let phase = |phase| self.naive.problems.values().filter(|story| story.phase == phase).count();
        let summary = self.correlator.summary();
        prop_assert_eq!(
            (summary.open, summary.held, summary.flapping, summary.expected),
            (phase(Phase::Open), phase(Phase::Held), phase(Phase::Flapping), self.naive.awaited.len())
        );
        Ok(())
    }

    fn send(
        &mut self,
        (rule, key, other): (usize, u8, bool),
        uptime: Option<u32>,
    ) -> Result<(), TestCaseError> {
        self.messages += 1;
        let id = ["bad", "poor", "good", "bad", "flat", "fine", "reset"][rule];
        // Two keys have a service, and two services a host.
        let named = if other { (key / 2 + 1) % 3 } else { key / 2 };
        let line = format!("<35>Nov 20 12:00:00 x{} app: {id} k{key} s{} n{}", key / 4, named, self.messages);
        let rules = &self.rules[self.at];
        let made = made_of(rules, SECRET, &line, self.now.wall);
        self.advance()?;
        let sender = uptime.map(|uptime| Sender { agent: 7, uptime });
        for (_, facts, bytes) in made {
            let facts = Facts { sender, ..facts };
            let verdict: Verdict = self.correlator.decide(self.now, &facts, &bytes, &mut self.effects);
            let right = self.naive.decide(self.now, &facts, &bytes);
            prop_assert_eq!(verdict, right, "{} of message {}", id, self.messages);
        }
        self.compare()?;
        for kind in ["check_result", "event"] {
            let question = Question { what: What::Open, rule: 0, kind, texts: Texts::Names };
            let texts = ["x0", "s0"];
            let key = SECRET.asked(&question, &texts).unwrap();
            let is_open = self.naive.problems.get(&key).is_some_and(Story::is_open);
            prop_assert_eq!(self.correlator.answer(self.now, &question, &texts) > 0, is_open);
        }
        // What rules are told.
        let kind = if rules.plan().rules.iter().any(|rule| rule.explicit) { "k" } else { "s" };
        if kind == "k" {
            for (kind, text) in [("check_result", format!("k{key}")), ("event", format!("k{key}"))] {
                let question = Question { what: What::Count, rule: 0, kind, texts: Texts::Key };
                let story =
                    self.naive.problems.get(&SECRET.problem(kind, &text)).filter(|story| story.is_open());
                prop_assert_eq!(
                    self.correlator.answer(self.now, &question, &[&text]),
                    story.map_or(0, |story| story.raises.max(1).into())
                );
            }
        }
        Ok(())
    }

    fn advance(&mut self) -> Result<(), TestCaseError> {
        while !self.correlator.advance(self.now, 3, &mut self.effects) {}
        self.naive.advance(self.now);
        self.compare()
    }

    fn go(&mut self, until: i64) -> Result<(), TestCaseError> {
        for n in 0.. {
            let due = self.correlator.next_due().into_iter().chain(self.naive.next_due()).min();
            let Some(due) = due.filter(|due| *due <= until) else { break };
            prop_assert!(n < 10_000, "there is no end of what is due");
            let due = due.max(self.now.engine);
            self.now = Now { engine: due, wall: self.now.wall + due - self.now.engine };
            self.advance()?;
        }
        self.now = Now { engine: until, wall: self.now.wall + until - self.now.engine };
        Ok(())
    }

    fn restart(&mut self, down: i64, dies: bool) -> Result<(), TestCaseError> {
        if !dies {
            self.write_all();
        }
        let (bytes, before) = (
            Correlator::with_head(SECRET, self.written, [&[0; HEAD][..], &*self.images].concat()),
            self.written,
        );
        self.now = Now { engine: self.now.engine + down, wall: self.now.wall + down };
        let plan = self.rules[self.at].plan();
        let correlator =
            Correlator::decode(&bytes, plan.clone(), Limits::default(), self.now, &mut self.effects);
        self.correlator = correlator.unwrap();
        self.naive.replace(plan.clone(), self.now, self.now.engine - before);
        self.correlator.stay_quiet_until(self.now.engine + QUIET);
        self.naive.quiet_until = self.now.engine + QUIET;
        self.compare()?;
        self.write_all();
        Ok(())
    }

    /// Writes all state anew, as each start does.
    fn write_all(&mut self) {
        self.images.clear();
        self.images.extend(&self.correlator.encode(self.now)[HEAD..]);
        self.written = self.now.engine;
    }

    fn step(&mut self, step: &Step) -> Result<(), TestCaseError> {
        match step {
            Step::Message { rule, key, uptime, other } => self.send((*rule, *key, *other), *uptime),
            Step::Pass(time) => self.go(self.now.engine + time * TENTH),
            Step::Clock(by) => {
                self.now.wall += by * TENTH;
                Ok(())
            }
            Step::Restart { down, dies } => self.restart(down * TENTH, *dies),
            Step::Reload(at) => {
                self.at = at % self.rules.len();
                let plan: &Arc<_> = self.rules[self.at].plan();
                self.correlator.replace(plan.clone(), self.now, &mut self.effects);
                self.naive.replace(plan.clone(), self.now, 0);
                self.compare()
            }
        }
    }
}

fn cases() -> u32 {
    std::env::var("TRAPLINE_CHAOS").ok().and_then(|n| n.parse().ok()).unwrap_or(1) * 50
}

proptest! {
    #![proptest_config(ProptestConfig { cases: cases(), max_shrink_iters: 3000, ..ProptestConfig::default() })]
    #[test]
    fn whatever_happens_the_state_is_the_simple_one(versions in versions(), steps in steps()) {
        let rules: Vec<RuleSet> = versions.iter().map(Settings::rules).collect();
        let mut world = World::new(&rules);
        for (at, step) in steps.iter().enumerate() {
            world.step(step).map_err(|error| {
                let text = versions.iter().map(Settings::text).collect::<Vec<_>>().join("\n# ---\n");
                TestCaseError::fail(format!("{text}\nstep {at} of {steps:#?}: {error}"))
            })?;
        }
        world.go(world.now.engine + 200 * SECOND)?;
    }
}
