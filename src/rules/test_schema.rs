//! Reads the tests of a rule: one message and its outcome, or steps in time.

use std::ops::Range;

use jiff::Timestamp;
use toml::de::DeValue;

use crate::outcome::result::State;
use crate::settings::diagnostic::{Diagnostics, did_you_mean};
use crate::settings::section::{self, Located, Section};
use crate::settings::values::parse_duration;

/// `[[rule.test]]`
#[derive(Debug)]
pub struct TestText {
    /// Its position in the file.
    pub span: Range<usize>,
    /// What it does.
    pub kind: TestKind,
}

/// What a test does.
#[derive(Debug)]
pub enum TestKind {
    /// It shows what its rule makes of one message.
    Message {
        /// The message.
        message: Box<TestMessage>,
        /// The fields that the outcome of the rule must have.
        expect: Vec<(Located<String>, Scalar)>,
    },
    /// It shows what all rules make of messages in time.
    Steps(Vec<StepText>),
}

/// The message of a test.
#[derive(Debug)]
pub struct TestMessage {
    /// The position of the test or of the step.
    pub span: Range<usize>,
    /// What is received.
    pub input: TestInput,
    /// The sender's address. Default: 192.0.2.1.
    pub from: Option<Located<String>>,
    /// When it is received, in microseconds since 1970 UTC. In steps `at` says it.
    pub received: Option<i64>,
}

/// What is received in a test.
#[derive(Debug)]
pub enum TestInput {
    /// A notification.
    Trap {
        /// Name or OID.
        trap: Located<String>,
        /// "1" or "2c".
        version: Option<Located<String>>,
        /// The address of the agent: agent-addr of v1, snmpTrapAddress of v2c.
        agent: Option<Located<String>>,
        /// sysUpTime in hundredths of a second. Default: 0.
        uptime: u32,
        /// Instances and values, in their order.
        varbinds: Vec<(Located<String>, Scalar)>,
    },
    /// A line of syslog.
    Line(Located<String>),
    /// A packet of SNMP v1 or v2c in hex, as `trapline unmatched` shows it.
    Packet(Located<String>),
    /// An event in JSON: its fields `name`, `body` and `host`.
    Json(Located<Vec<(Located<String>, Scalar)>>),
    /// A check-in: its fields.
    CheckIn(Located<Vec<(Located<String>, Scalar)>>),
}

/// `[[rule.test.step]]`
#[derive(Debug)]
pub struct StepText {
    /// Its position in the file.
    pub span: Range<usize>,
    /// When it happens.
    pub at: StepTime,
    /// How long the daemon is stopped before, in microseconds.
    pub restart: Option<i64>,
    /// How far the wall clock jumps before, in microseconds.
    pub clock: i64,
    /// The file that replaces the file of the test before.
    pub reload: Option<Located<String>>,
    /// The message.
    pub message: Option<TestMessage>,
    /// All outcomes since the step before, each with the fields that it must have; none to look later.
    pub expect: Option<Vec<Expected>>,
}

/// An outcome that a step expects.
#[derive(Debug)]
pub struct Expected {
    /// Its position in the file.
    pub span: Range<usize>,
    /// The fields that it must have.
    pub fields: Vec<(Located<String>, Scalar)>,
}

/// When a step happens, in microseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StepTime {
    /// So long after the start of the test.
    After(i64),
    /// At this time since 1970 UTC.
    At(i64),
}

/// A value in a test.
#[derive(Debug, Clone, PartialEq)]
pub enum Scalar {
    /// A string.
    Text(String),
    /// An integer.
    Integer(i64),
    /// A floating-point number.
    Float(f64),
    /// A boolean.
    Boolean(bool),
}

/// Reads a test; none if it has no message or no steps.
pub fn read(section: Section<'_, '_>, found: &mut Diagnostics) -> Option<TestText> {
    let span = section.span();
    if section.get("step").is_some() {
        let steps = section.sections("step", found);
        let steps: Vec<_> = steps.into_iter().filter_map(|step| read_step(step, found)).collect();
        if steps.is_empty() {
            found.push(section.error("the test has no steps", "add [[rule.test.step]], or remove the test"));
        }
        section.finish(found);
        return Some(TestText { span, kind: TestKind::Steps(steps) });
    }
    let received = received(&section, found);
    let message = message(&section, found).map(|message| TestMessage { received, ..message });
    if message.is_none() {
        found.push(section.error(
            "the test must have one of 'trap', 'line', 'packet', 'checkin' and 'json'",
            "add the message, such as line = \"<36>Nov 20 12:00:01 db1 sshd[411]: ...\", or [[rule.test.step]]",
        ));
    }
    let expect = match section.section("expect", found) {
        Some(expect) => expected(&expect, found),
        None => {
            found.push(
                section
                    .error("the test has no 'expect'", "add one, such as expect = { state = \"critical\" }"),
            );
            Vec::new()
        }
    };
    section.finish(found);
    Some(TestText { span, kind: TestKind::Message { message: Box::new(message?), expect } })
}

/// When the message of a test is received.
fn received(section: &Section<'_, '_>, found: &mut Diagnostics) -> Option<i64> {
    let value = section.get("received")?;
    let time = match value.get_ref() {
        DeValue::String(text) => text.parse::<Timestamp>().ok(),
        DeValue::Datetime(time) => time.to_string().parse().ok(),
        _ => None,
    };
    if time.is_none() {
        let hint = Some("write a time with its offset, such as received = 2026-11-20T12:00:00Z".to_owned());
        found.push(section.source().error(&value.span(), "'received' is no time", hint));
    }
    time.map(Timestamp::as_microsecond)
}

/// The message of a test or a step; none if there is none, or two.
fn message(section: &Section<'_, '_>, found: &mut Diagnostics) -> Option<TestMessage> {
    let trap = section.string("trap", found);
    let version = section.string("version", found);
    let agent = section.string("agent", found);
    let line = section.string("line", found);
    let packet = section.string("packet", found);
    let checkin =
        section.section("checkin", found).map(|s| Located { span: s.span(), value: scalars(&s, found) });
    let json = section.section("json", found).map(|s| Located { span: s.span(), value: scalars(&s, found) });
    let from = section.string("from", found);
    let uptime = section.integer("uptime", found);
    let varbinds = section.section("varbinds", found).map(|s| scalars(&s, found)).unwrap_or_default();
    let uptime = match uptime.map(|n| (u32::try_from(n.value), n.span)) {
        None => 0,
        Some((Ok(ticks), _)) => ticks,
        Some((Err(_), span)) => {
            let message = "'uptime' is hundredths of a second, 0 to 4294967295";
            found.push(section.source().error(&span, message, None));
            0
        }
    };
    let input = match (trap, line, packet, checkin, json) {
        (Some(trap), None, None, None, None) => TestInput::Trap { trap, version, agent, uptime, varbinds },
        (None, Some(line), None, None, None) => TestInput::Line(line),
        (None, None, Some(packet), None, None) => TestInput::Packet(packet),
        (None, None, None, Some(checkin), None) => TestInput::CheckIn(checkin),
        (None, None, None, None, Some(json)) => TestInput::Json(json),
        _ => return None,
    };
    Some(TestMessage { span: section.span(), input, from, received: None })
}

fn read_step(section: Section<'_, '_>, found: &mut Diagnostics) -> Option<StepText> {
    let at = step_time(&section, found);
    let message = message(&section, found);
    let inputs =
        ["trap", "line", "packet", "checkin", "json"].iter().filter(|key| section.get(key).is_some()).count();
    if inputs > 1 {
        found.push(section.error(
            "the step has more than one of 'trap', 'line', 'packet', 'checkin' and 'json'",
            "make a step of each, with the same 'at'",
        ));
    }
    let restart = section.string("restart", found).and_then(|text| {
        let time = parse_duration(&text).and_then(|d| i64::try_from(d.as_micros()).ok());
        if time.is_none() {
            let hint = Some("write how long the daemon is stopped, such as restart = \"5s\"".to_owned());
            let message = format!("'{}' is no duration", text.value);
            found.push(section.source().error(&text.span, message, hint));
        }
        time
    });
    let clock = section.string("clock", found).and_then(|text| {
        let (sign, digits) = match text.strip_prefix('-') {
            Some(rest) => (-1, rest),
            None => (1, text.strip_prefix('+').unwrap_or(&text)),
        };
        let time = parse_duration(digits).and_then(|d| i64::try_from(d.as_micros()).ok()).map(|t| sign * t);
        if time.is_none() {
            let hint = Some("write how far the clock jumps, such as clock = \"-1h\"".to_owned());
            let message = format!("'{}' is no duration", text.value);
            found.push(section.source().error(&text.span, message, hint));
        }
        time
    });
    let reload = section.string("reload", found);
    let expect = section.get("expect").is_some().then(|| {
        let sections = section.sections("expect", found);
        let read = |s: Section<'_, '_>, found: &mut Diagnostics| Expected {
            span: s.span(),
            fields: expected(&s, found),
        };
        sections.into_iter().map(|s| read(s, found)).collect()
    });
    let span = section.span();
    section.finish(found);
    Some(StepText { span, at: at?, restart, clock: clock.unwrap_or(0), reload, message, expect })
}

fn step_time(section: &Section<'_, '_>, found: &mut Diagnostics) -> Option<StepTime> {
    let Some(value) = section.get("at") else {
        found.push(section.error("the step has no 'at'", "add when it happens, such as at = \"65s\""));
        return None;
    };
    let text = match value.get_ref() {
        DeValue::String(text) => text.to_string(),
        DeValue::Datetime(time) => time.to_string(),
        DeValue::Integer(_) if section::as_integer(value.get_ref()) == Some(0) => "0".to_owned(),
        _ => String::new(),
    };
    let after = parse_duration(&text).and_then(|d| i64::try_from(d.as_micros()).ok()).map(StepTime::After);
    let at = after.or_else(|| text.parse::<Timestamp>().ok().map(|t| StepTime::At(t.as_microsecond())));
    if at.is_none() {
        found.push(
            section.source().error(
                &value.span(),
                "'at' is neither a duration nor a time",
                Some(
                    "write at = \"65s\", or a time with its offset such as at = 2027-03-28T02:30:00+01:00"
                        .to_owned(),
                ),
            ),
        );
    }
    at
}

/// The fields that an outcome must have. A state is one that outcomes have.
fn expected(section: &Section<'_, '_>, found: &mut Diagnostics) -> Vec<(Located<String>, Scalar)> {
    let fields = scalars(section, found);
    let words = State::ALL.map(State::as_str);
    for (key, value) in fields.iter().filter(|(key, _)| key.value == "state") {
        let wrong = match value {
            Scalar::Text(text) => Some(text).filter(|text| !words.contains(&text.as_str())).cloned(),
            other => Some(format!("{other:?}")),
        };
        if let Some(text) = wrong {
            let hint = did_you_mean(&text, words).unwrap_or_else(|| format!("states: {}", words.join(", ")));
            let message = format!("no outcome has the state '{text}'");
            found.push(section.source().error(&key.span, message, Some(hint)));
        }
    }
    fields
}

fn scalars(section: &Section<'_, '_>, found: &mut Diagnostics) -> Vec<(Located<String>, Scalar)> {
    let mut scalars = Vec::new();
    for (key, span, value) in section.entries() {
        let scalar = match value.get_ref() {
            DeValue::String(text) => Some(Scalar::Text(text.to_string())),
            DeValue::Boolean(b) => Some(Scalar::Boolean(*b)),
            DeValue::Float(number) => number.as_str().parse().ok().map(Scalar::Float),
            integer => section::as_integer(integer).map(Scalar::Integer),
        };
        match scalar {
            Some(scalar) => scalars.push((Located { value: key.to_owned(), span }, scalar)),
            None => {
                let message = format!("'{key}' must be a string, a number or a boolean");
                let hint = Some("write the value in quotes".to_owned());
                found.push(section.source().error(&value.span(), message, hint));
            }
        }
    }
    scalars
}
