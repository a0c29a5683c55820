//! Reads the keys of a rule that keep something over time.

use std::ops::{Range, RangeInclusive};

use toml::de::DeValue;

use crate::rules::expect_schema::{ExpectText, expect, time};
use crate::rules::plan::{Hold, MAX_STEPS, Orphan, StepAt};
use crate::settings::diagnostic::Diagnostics;
use crate::settings::section::{Located, Section, as_integer};
use crate::settings::values::{count, parse_duration, word};

/// The most messages that are counted.
const COUNTS: RangeInclusive<usize> = 1..=1_000_000;

/// These keys of one rule. Durations are microseconds.
#[derive(Debug, Default)]
pub struct StateText {
    /// The keys that are there, with their places.
    pub given: Vec<(&'static str, Range<usize>)>,
    /// `key`
    pub key: Option<Located<String>>,
    /// `dedup`
    pub dedup: Option<DedupText>,
    /// `threshold`
    pub threshold: Option<ThresholdText>,
    /// `[rule.recovery]`
    pub recovery: Option<RecoveryText>,
    /// `hold`
    pub hold: Option<Hold>,
    /// `throttle`
    pub throttle: Option<ThrottleText>,
    /// `escalate`
    pub escalate: Vec<StepText>,
    /// `expire`
    pub expire: Option<ExpireText>,
    /// `expect`
    pub expect: Option<ExpectText>,
    /// `remind`
    pub remind: Option<i64>,
    /// `clears = false`
    pub clears: Option<bool>,
    /// `clears = { ... }`
    pub wide: Option<WideText>,
    /// `orphan`
    pub orphan: Option<Orphan>,
}

/// `dedup`
#[derive(Debug)]
pub struct DedupText {
    /// `window`
    pub window: i64,
    /// `summary`
    pub summary: Option<Located<String>>,
}

/// `threshold`
#[derive(Debug)]
pub struct ThresholdText {
    /// `count`
    pub count: u32,
    /// `within`
    pub within: i64,
    /// `key`
    pub key: Option<Located<String>>,
    /// `recover`
    pub recover: Option<i64>,
}

/// `[rule.recovery]`
#[derive(Debug)]
pub struct RecoveryText {
    /// Where it stands.
    pub span: Range<usize>,
    /// `state`
    pub state: Option<Located<String>>,
    /// `output`
    pub output: Option<Located<String>>,
}

/// `throttle`
#[derive(Debug)]
pub struct ThrottleText {
    /// `count`
    pub count: u32,
    /// `per`
    pub per: i64,
    /// `key`
    pub key: Option<Located<String>>,
    /// `summary`
    pub summary: Option<Located<String>>,
}

/// A step of `escalate`.
#[derive(Debug)]
pub struct StepText {
    /// `after` or `count`
    pub at: StepAt,
    /// `state`
    pub state: Located<String>,
}

/// `expire`
#[derive(Debug)]
pub struct ExpireText {
    /// `after`
    pub after: i64,
    /// `state`
    pub state: Located<String>,
    /// `output`
    pub output: Option<Located<String>>,
}

/// `clears` as a table
#[derive(Debug)]
pub struct WideText {
    /// `rule`
    pub rules: Vec<Located<String>>,
    /// `service`
    pub service: Option<Located<String>>,
    /// `state`
    pub state: Option<Located<String>>,
    /// `output`
    pub output: Option<Located<String>>,
}

/// What the tables have at least: with a number for COUNT and a duration for TIME.
const EXAMPLES: [(&str, &str); 7] = [
    ("dedup", "{ window = TIME }"),
    ("threshold", "{ count = COUNT, within = TIME }"),
    ("recovery", "{ output = \"it is over\" }"),
    ("hold", "{ for = TIME }"),
    ("throttle", "{ count = COUNT, per = TIME }"),
    ("expire", "{ after = TIME, state = \"unknown\" }"),
    ("expect", "{ every = TIME }"),
];

/// One of these tables; in the place of another value it is told how the table has that value.
fn table<'d, 's>(
    rule: &Section<'d, 's>,
    key: &'static str,
    found: &mut Diagnostics,
) -> Option<Section<'d, 's>> {
    let example = |value: &DeValue<'_>| {
        let form = EXAMPLES.iter().find(|(name, _)| *name == key).map_or("{}", |(_, form)| *form);
        let number = as_integer(value).filter(|number| *number > 0);
        let time = value.as_str().filter(|text| parse_duration(text).is_some()).map(str::to_owned);
        // Of a number alone seconds are meant.
        let time =
            time.or_else(|| number.filter(|_| !form.contains("COUNT")).map(|seconds| format!("{seconds}s")));
        let table = form
            .replace("TIME", &format!("\"{}\"", time.as_deref().unwrap_or("5m")))
            .replace("COUNT", &number.unwrap_or(5).to_string());
        format!("write {key} = {table}")
    };
    rule.section_such_as(key, example, found)
}

/// Reads these keys of a rule.
pub fn read(rule: &Section<'_, '_>, found: &mut Diagnostics) -> StateText {
    let mut text = StateText {
        key: rule.string("key", found),
        dedup: table(rule, "dedup", found).and_then(|s| dedup(s, found)),
        threshold: table(rule, "threshold", found).and_then(|s| threshold(s, found)),
        recovery: table(rule, "recovery", found).map(|s| recovery(s, found)),
        hold: table(rule, "hold", found).and_then(|s| hold(s, found)),
        throttle: table(rule, "throttle", found).and_then(|s| throttle(s, found)),
        escalate: escalate(rule, found),
        expire: table(rule, "expire", found).and_then(|s| expire(s, found)),
        expect: table(rule, "expect", found).and_then(|s| expect(s, found)),
        remind: time(rule, "remind", found),
        clears: None,
        wide: None,
        orphan: word(rule, "orphan", &[("send", Orphan::Send), ("drop", Orphan::Drop)], "choice", found),
        given: Vec::new(),
    };
    if rule.get("clears").is_some_and(|value| value.get_ref().as_table().is_some()) {
        text.wide = rule.section("clears", found).map(|s| wide(s, found));
    } else {
        text.clears = rule.boolean("clears", found).map(|b| b.value);
    }
    for key in [
        "key",
        "dedup",
        "threshold",
        "recovery",
        "hold",
        "throttle",
        "escalate",
        "expire",
        "expect",
        "remind",
        "clears",
        "orphan",
    ] {
        if rule.get(key).is_some() {
            text.given.push((key, rule.key_span(key)));
        }
    }
    if rule.get("recovery").is_some() && text.threshold.as_ref().is_some_and(|t| t.recover.is_none()) {
        found.push(rule.source().error(
            &rule.key_span("recovery"),
            "[rule.recovery] needs 'recover' in 'threshold'",
            Some("add how long without a message it takes, such as recover = \"10m\"".to_owned()),
        ));
    }
    text
}

/// A duration that must be there.
fn needed_time(section: &Section<'_, '_>, key: &'static str, found: &mut Diagnostics) -> Option<i64> {
    if section.get(key).is_none() {
        found.push(section.error(format!("'{key}' is missing"), &format!("add it, such as {key} = \"5m\"")));
    }
    time(section, key, found)
}

/// A count that must be there.
fn needed_count(section: &Section<'_, '_>, found: &mut Diagnostics) -> Option<u32> {
    if section.get("count").is_none() {
        found.push(section.error("'count' is missing", "add it, such as count = 5"));
    }
    count(section, "count", COUNTS, found).and_then(|n| u32::try_from(n).ok())
}

fn needed_state(section: &Section<'_, '_>, found: &mut Diagnostics) -> Option<Located<String>> {
    if section.get("state").is_none() {
        found.push(
            section
                .error("'state' is missing", "add the state that is sent then, such as state = \"critical\""),
        );
    }
    section.string("state", found)
}

fn dedup(section: Section<'_, '_>, found: &mut Diagnostics) -> Option<DedupText> {
    let window = needed_time(&section, "window", found);
    let summary = section.string("summary", found);
    section.finish(found);
    Some(DedupText { window: window?, summary })
}

fn threshold(section: Section<'_, '_>, found: &mut Diagnostics) -> Option<ThresholdText> {
    let count = needed_count(&section, found);
    let within = needed_time(&section, "within", found);
    let key = section.string("key", found);
    let recover = time(&section, "recover", found);
    section.finish(found);
    Some(ThresholdText { count: count?, within: within?, key, recover })
}

fn wide(section: Section<'_, '_>, found: &mut Diagnostics) -> WideText {
    let host = section.boolean("host", found);
    let text = WideText {
        rules: section.strings("rule", found).unwrap_or_default(),
        service: section.string("service", found),
        state: section.string("state", found),
        output: section.string("output", found),
    };
    let only_host = host.as_ref().is_none_or(|host| host.value);
    let any = host.is_some() || section.get("rule").is_some() || section.get("service").is_some();
    if !only_host || !any {
        found.push(section.error(
            "'clears' does not say what of the host is cleared",
            "write clears = { host = true } for all its problems, or clears = { rule = [\"link-*\"] }",
        ));
    }
    section.finish(found);
    text
}

fn recovery(section: Section<'_, '_>, found: &mut Diagnostics) -> RecoveryText {
    let text = RecoveryText {
        span: section.span(),
        state: section.string("state", found),
        output: section.string("output", found),
    };
    section.finish(found);
    text
}

fn hold(section: Section<'_, '_>, found: &mut Diagnostics) -> Option<Hold> {
    let time_held = needed_time(&section, "for", found);
    let flaps = count(&section, "flaps", 2..=64, found).and_then(|n| u32::try_from(n).ok());
    let within = time(&section, "within", found);
    if section.get("flaps").is_some() != section.get("within").is_some() {
        found.push(section.error(
            "'flaps' and 'within' belong together",
            "write both, such as hold = { for = \"60s\", flaps = 3, within = \"10m\" }",
        ));
    }
    section.finish(found);
    Some(Hold { time: time_held?, flaps: flaps.zip(within) })
}

fn throttle(section: Section<'_, '_>, found: &mut Diagnostics) -> Option<ThrottleText> {
    let count = needed_count(&section, found);
    let per = needed_time(&section, "per", found);
    let (key, summary) = (section.string("key", found), section.string("summary", found));
    section.finish(found);
    Some(ThrottleText { count: count?, per: per?, key, summary })
}

fn escalate(rule: &Section<'_, '_>, found: &mut Diagnostics) -> Vec<StepText> {
    let sections = rule.sections("escalate", found);
    if sections.len() > MAX_STEPS {
        let message = format!("'escalate' has more than {MAX_STEPS} steps");
        found.push(rule.source().error(&rule.key_span("escalate"), message, None));
    }
    let step = |section: Section<'_, '_>, found: &mut Diagnostics| {
        let after = time(&section, "after", found);
        let count = count(&section, "count", COUNTS, found).and_then(|n| u32::try_from(n).ok());
        let state = needed_state(&section, found);
        if section.get("after").is_some() == section.get("count").is_some() {
            found.push(section.error(
                "a step of 'escalate' needs either 'after' or 'count'",
                "write { after = \"30m\", state = \"critical\" } or { count = 5, state = \"critical\" }",
            ));
        }
        section.finish(found);
        let at = after.map(StepAt::After).or(count.map(StepAt::Count))?;
        Some(StepText { at, state: state? })
    };
    sections.into_iter().filter_map(|section| step(section, found)).collect()
}

fn expire(section: Section<'_, '_>, found: &mut Diagnostics) -> Option<ExpireText> {
    let after = needed_time(&section, "after", found);
    let state = needed_state(&section, found);
    let output = section.string("output", found);
    section.finish(found);
    Some(ExpireText { after: after?, state: state?, output })
}
