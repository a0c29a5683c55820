//! The tests that rules carry: run against the whole rule set, so that a rule that stands in another's way is
//! found.

use std::net::{IpAddr, SocketAddr};

use crate::lookup::hosts::Hosts;
use crate::message::{Message, Notification, NotificationKind, Oid, Source, Value, Varbind, Version};
use crate::mib::{Base, Kind, Mib, Object};
use crate::outcome::result::Outcome;
use crate::rules::compile::RuleTest;
use crate::rules::schema::{Scalar, TestInput, TestText};
use crate::rules::{RuleSet, Scratch, Subject, Verdict};
use crate::settings::diagnostic::{Diagnostic, Diagnostics, SourceText};
use crate::settings::section::Located;
use crate::syslog::parse_line;

/// What running all tests gave.
#[derive(Debug, Default)]
pub struct Report {
    /// How many held.
    pub passed: usize,
    /// How many did not.
    pub failed: usize,
    /// Why not.
    pub found: Diagnostics,
}

/// The time at which test messages are received, in microseconds since 1970 UTC: 2026-11-20 12:00.
pub const TEST_TIME: i64 = 1_795_176_000_000_000;

/// Runs tests against the rules.
pub fn run(rules: &RuleSet, tests: &[RuleTest], hosts: &Hosts) -> Report {
    let mut report = Report::default();
    for test in tests {
        let failures = one(rules, test, hosts);
        if failures.is_empty() {
            report.passed += 1;
        } else {
            report.failed += 1;
        }
        for failure in failures {
            report.found.push(failure);
        }
    }
    report
}

fn one(rules: &RuleSet, test: &RuleTest, hosts: &Hosts) -> Vec<Diagnostic> {
    let source = SourceText { file: &test.file.name, text: &test.file.text };
    let rule = &rules.rules()[test.rule];
    let fail = |span: &std::ops::Range<usize>, message: String| source.error(span, message, None);
    let from = match test.text.from.as_ref().map(|f| (f, f.parse::<IpAddr>())) {
        None => IpAddr::from([192, 0, 2, 1]),
        Some((_, Ok(address))) => address,
        Some((text, Err(_))) => return vec![fail(&text.span, format!("'{}' is no address", text.value))],
    };
    let message = match message(&test.text, rules.mib()) {
        Ok(message) => message,
        Err((at, text)) => return vec![fail(&at.span, text)],
    };
    let origin = Source { peer: SocketAddr::new(from, 162), received: TEST_TIME };
    let address = from.to_string();
    let host = hosts.of_message(&message, &origin, &address);
    let subject =
        Subject { message: &message, source: &origin, address: &address, host: &host, hosts, tags: None };
    let mut made: Vec<(String, Vec<(String, String)>)> = Vec::new();
    let verdict = rules.apply(&subject, &mut Scratch::default(), |rule, outcome| {
        made.push((rule.id.clone(), fields(outcome)));
    });
    let expects_drop = test.text.expect.iter().any(|(k, v)| k.value == "drop" && *v == Scalar::Boolean(true));
    let is_drop = rule.check.is_none() && rule.event.is_none();
    if expects_drop || is_drop {
        let dropped =
            verdict == Verdict::Dropped && rules.explain(&subject).matched.iter().any(|m| m.id == rule.id);
        if dropped == expects_drop {
            return Vec::new();
        }
        return vec![fail(
            &test.text.span,
            format!("rule '{}' did not drop the message ({verdict:?})", rule.id),
        )];
    }
    let of_rule: Vec<_> = made.iter().filter(|(id, _)| *id == rule.id).collect();
    if of_rule.is_empty() {
        let explanation = rules.explain(&subject);
        let why = match explanation.rejected.iter().find(|(r, _)| r.id == rule.id) {
            Some((_, because)) => because.clone(),
            None => match explanation.matched.first() {
                Some(other) => format!("rule '{}' took it", other.id),
                None => "no rule took it".to_owned(),
            },
        };
        return vec![fail(&test.text.span, format!("rule '{}' did not match: {why}", rule.id))];
    }
    mismatches(&test.text, &of_rule, &source)
}

/// What the best outcome of the rule has other than expected.
fn mismatches(
    test: &TestText,
    outcomes: &[&(String, Vec<(String, String)>)],
    source: &SourceText<'_>,
) -> Vec<Diagnostic> {
    let differences = |fields: &[(String, String)]| -> Vec<Diagnostic> {
        let mut found = Vec::new();
        for (key, expected) in &test.expect {
            let expected = text_of(expected);
            let got = fields.iter().find(|(name, _)| *name == key.value).map(|(_, v)| v.as_str());
            if got != Some(expected.as_str()) {
                let got = got.map_or_else(|| "nothing".to_owned(), |g| format!("\"{}\"", g.escape_debug()));
                let message = format!("{} is {got}, expected \"{}\"", key.value, expected.escape_debug());
                found.push(source.error(&key.span, message, None));
            }
        }
        found
    };
    outcomes.iter().map(|(_, fields)| differences(fields)).min_by_key(Vec::len).unwrap_or_default()
}

fn text_of(scalar: &Scalar) -> String {
    match scalar {
        Scalar::Text(text) => text.clone(),
        Scalar::Integer(number) => number.to_string(),
        Scalar::Float(number) => number.to_string(),
        Scalar::Boolean(b) => b.to_string(),
    }
}

/// The fields of an outcome that a test can speak of.
fn fields(outcome: &Outcome<'_>) -> Vec<(String, String)> {
    let common = outcome.common();
    let mut fields: Vec<(&str, &str)> = vec![
        ("state", common.state.as_str()),
        ("output", &common.output),
        ("long_output", &common.long_output),
        ("source", &common.source),
        ("rule", &common.rule),
        ("kind", outcome.kind()),
    ];
    match outcome {
        Outcome::CheckResult(check) => {
            fields.extend([("host", &*check.host), ("perfdata", &*check.perfdata)]);
            fields.extend(check.service.as_deref().map(|s| ("service", s)));
        }
        Outcome::Event(event) => {
            fields.push(("component", &event.component));
            fields.extend(event.resource.as_deref().map(|r| ("resource", r)));
            fields.extend(event.fields.iter().map(|(k, v)| (k.as_ref(), v.as_ref())));
        }
    }
    fields.into_iter().map(|(k, v)| (k.to_owned(), v.to_owned())).collect()
}

type Misplaced<'t> = (&'t Located<String>, String);

fn message<'t>(test: &'t TestText, mib: &Mib) -> Result<Message<'t>, Misplaced<'t>> {
    match &test.input {
        TestInput::Line(line) => Ok(Message::Syslog(parse_line(&line.value, TEST_TIME))),
        TestInput::Trap { trap, version, agent, varbinds } => {
            let oid = mib
                .resolve(trap)
                .ok_or_else(|| (trap, format!("no loaded MIB knows the trap '{}'", trap.value)))?;
            let version = match version {
                None => Version::V2c,
                Some(v) if v.value == "1" => Version::V1,
                Some(v) if v.value == "2c" => Version::V2c,
                Some(v) => return Err((v, "version must be \"1\" or \"2c\"".to_owned())),
            };
            let agent = match agent {
                None => None,
                Some(a) => Some(a.parse().map_err(|_| (a, format!("'{}' is no IPv4 address", a.value)))?),
            };
            let varbinds =
                varbinds.iter().map(|(name, value)| varbind(name, value, mib)).collect::<Result<_, _>>()?;
            Ok(Message::Notification(Notification {
                version,
                kind: NotificationKind::Trap,
                community: b"public",
                proxied_community: None,
                security: None,
                request_id: 0,
                oid,
                enterprise: None,
                agent,
                generic: None,
                specific: None,
                uptime: Some(0),
                varbinds,
            }))
        }
    }
}

fn varbind<'t>(
    name: &'t Located<String>,
    value: &'t Scalar,
    mib: &Mib,
) -> Result<Varbind<'t>, Misplaced<'t>> {
    let plain = name.split_once('.').map_or(name.as_str(), |(plain, _)| plain);
    let candidates = mib.ambiguous(plain, |object| object.kind == Kind::Object);
    if !candidates.is_empty() {
        let message = format!("'{plain}' is ambiguous: {}; write it with its module", candidates.join(", "));
        return Err((name, message));
    }
    let oid = mib.resolve(name).ok_or_else(|| (name, format!("no loaded MIB knows '{}'", name.value)))?;
    let value = match value {
        Scalar::Text(text) => from_text(text, mib.lookup(&oid), mib),
        Scalar::Integer(number) => from_number(*number, mib.lookup(&oid)),
        Scalar::Float(number) => Some(Value::Double(*number)),
        Scalar::Boolean(_) => None,
    };
    let value = value.ok_or_else(|| (name, format!("the value does not fit {}", name.value)))?;
    Ok(Varbind { oid, value })
}

/// A value given as text, in the type that the MIB says.
pub fn from_text<'t>(text: &'t str, object: Option<&Object>, mib: &Mib) -> Option<Value<'t>> {
    let Some(syntax) = object.map(|o| &*o.syntax) else { return Some(Value::OctetString(text.as_bytes())) };
    match syntax.base {
        Base::Octets => Some(Value::OctetString(text.as_bytes())),
        Base::ObjectId => mib.resolve(text).map(|oid: Oid<'static>| Value::ObjectId(oid)),
        Base::IpAddress => text.parse().ok().map(Value::IpAddress),
        _ => from_number(syntax.number_of(text).or_else(|| text.parse().ok())?, object),
    }
}

/// A value given as a number, in the type that the MIB says.
pub fn from_number(number: i64, object: Option<&Object>) -> Option<Value<'static>> {
    let unsigned = u32::try_from(number).ok();
    match object.map_or(Base::Integer, |o| o.syntax.base) {
        Base::Counter32 => unsigned.map(Value::Counter32),
        Base::Gauge32 => unsigned.map(Value::Gauge32),
        Base::TimeTicks => unsigned.map(Value::TimeTicks),
        Base::Counter64 => u64::try_from(number).ok().map(Value::Counter64),
        _ => i32::try_from(number).ok().map(Value::Integer),
    }
}
