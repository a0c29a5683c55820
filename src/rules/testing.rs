//! Runs the tests in rule files. A test runs against all rules, so it fails if an earlier rule matches its message.

use std::net::{IpAddr, Ipv4Addr};

use jiff::tz::TimeZone;

use crate::lookup::choice::Received;
use crate::lookup::hosts::Hosts;
use crate::message::{
    Message, Notification, NotificationKind, Oid, PostKind, Source, Value, Varbind, Version,
};
use crate::mib::parse::{Typed, from_number, from_text};
use crate::mib::{Kind, Mib};
use crate::outcome::result::Outcome;
use crate::posted::checkin;
use crate::posted::kept::Kept;
use crate::rules::apply::{MatchResult, Scratch};
use crate::rules::compile::RuleTest;
use crate::rules::context::MessageContext;
use crate::rules::rule::RuleSet;
use crate::rules::test_schema::{Expected, Scalar, TestInput, TestKind, TestMessage};
use crate::settings::diagnostic::{Diagnostic, Diagnostics, SourceText, did_you_mean};
use crate::settings::section::Located;
use crate::settings::values::unhex;
use crate::snmp::encode::{as_v1, encode};
use crate::snmp::{decode, well_known};
use crate::syslog::parse_line_in;

/// The result of running tests.
#[derive(Debug, Default)]
pub struct Report {
    /// The number of tests that passed.
    pub passed: usize,
    /// The number of tests that failed.
    pub failed: usize,
    /// Why they failed.
    pub found: Diagnostics,
    /// Each of them, in the order in which they ran.
    pub results: Vec<TestResult>,
}

/// What became of a test.
#[derive(Debug)]
pub struct TestResult {
    /// The index of its rule in the rule set.
    pub rule: usize,
    /// Why it has failed; empty if it has passed.
    pub failures: Vec<Diagnostic>,
}

/// The time at which tests receive their messages, in microseconds since 1970 UTC: 2026-11-20 12:00.
pub const TEST_TIME: i64 = 1_795_176_000_000_000;

/// Runs the tests of one message against all rules. Those with steps are run by
/// [`correlate::steps`](crate::correlate::steps).
pub fn run(rules: &RuleSet, tests: &[RuleTest], hosts: &Hosts) -> Report {
    let mut report = Report::default();
    for test in tests {
        let TestKind::Message { message, expect } = &test.text.kind else { continue };
        report.add(test.rule, one(rules, test, (message, expect), hosts));
    }
    report
}

impl Report {
    /// Counts a test of a rule: it has passed if nothing is wrong.
    pub fn add(&mut self, rule: usize, failures: Vec<Diagnostic>) {
        if failures.is_empty() {
            self.passed += 1;
        } else {
            self.failed += 1;
        }
        for failure in &failures {
            self.found.push(failure.clone());
        }
        self.results.push(TestResult { rule, failures });
    }
}

/// Fields that an outcome must have.
type Fields = Vec<(Located<String>, Scalar)>;

/// Runs a test; no diagnostics if it passes.
fn one(
    rules: &RuleSet,
    test: &RuleTest,
    (message, expect): (&TestMessage, &Fields),
    hosts: &Hosts,
) -> Vec<Diagnostic> {
    let source = SourceText { file: &test.file.name, text: &test.file.text };
    let judge = |context: &MessageContext<'_>| outcome_of(rules, test, context, expect, &source);
    match receive(message, rules.mib(), hosts, message.received.unwrap_or(TEST_TIME), judge) {
        Ok(failures) => failures,
        Err((at, error, hint)) => vec![source.error(&at, error, hint)],
    }
}

/// Gives `then` the message of a test as it is received at a time in microseconds since 1970 UTC.
///
/// # Errors
///
/// Where the message is wrong, what is wrong, and what to write.
pub fn receive<T>(
    message: &TestMessage,
    mib: &Mib,
    hosts: &Hosts,
    received: i64,
    then: impl FnOnce(&MessageContext<'_>) -> T,
) -> Result<T, Misplaced> {
    let sender = match message.from.as_ref().map(|f| (f, f.parse::<IpAddr>())) {
        None => IpAddr::from([192, 0, 2, 1]),
        Some((_, Ok(address))) => address,
        Some((text, Err(_))) => {
            let error = format!("invalid address '{}'", text.value);
            return Err((text.span.clone(), error, Some("write an IPv4 or IPv6 address".to_owned())));
        }
    };
    // A notification goes through the encoder and the decoder, so that rules see what a real one gives them.
    let packet = match &message.input {
        TestInput::Line(_) | TestInput::CheckIn(_) | TestInput::Json(_) => Vec::new(),
        TestInput::Packet(hex) => match unhex(&hex.value) {
            Some(packet) => packet,
            None => {
                let hint = "write the octets of the packet in hex, as `trapline unmatched show` prints them";
                return Err((hex.span.clone(), "the packet is not in hex".to_owned(), Some(hint.to_owned())));
            }
        },
        TestInput::Trap { .. } => packet(message, mib)?,
    };
    let posted = match &message.input {
        TestInput::CheckIn(fields) => Some(checkin(fields)?),
        TestInput::Json(fields) => Some(event(fields)?),
        _ => None,
    };
    let decoded = match &message.input {
        TestInput::CheckIn(_) | TestInput::Json(_) => {
            let Some(posted) = &posted else {
                return Err((message.span.clone(), "nothing is posted".to_owned(), None));
            };
            posted.message()
        }
        // The result of a test must not depend on the time zone of the machine that runs it.
        TestInput::Line(line) => Message::Syslog(parse_line_in(&line.value, received, &TimeZone::UTC)),
        TestInput::Trap { .. } => match decode(&packet) {
            Ok(decoded) => Message::Notification(decoded.notification),
            Err(error) => return Err((message.span.clone(), format!("invalid trap: {error}"), None)),
        },
        TestInput::Packet(hex) => match decode(&packet) {
            Ok(decoded) => Message::Notification(decoded.notification),
            Err(error) => {
                return Err((hex.span.clone(), format!("the packet cannot be decoded: {error}"), None));
            }
        },
    };
    let origin = Source { peer: (sender, 162).into(), received };
    let address = sender.to_string();
    // A test says who the agent is, so that its sender is a relay.
    let received =
        Received { message: &decoded, source: &origin, address: &address, relay: true, reverse: &|_| None };
    let choice = hosts.choose(&received, None);
    let context = MessageContext::new(&received, &choice, hosts, None);
    Ok(then(&context))
}

/// A check-in of its fields, read as the body of a request is. `host` is what the configuration would say.
fn checkin(fields: &Located<Vec<(Located<String>, Scalar)>>) -> Result<Kept, Misplaced> {
    let mut body = serde_json::Map::new();
    let mut host = None;
    for (name, value) in &fields.value {
        let value = match value {
            Scalar::Text(text) => text.as_str().into(),
            Scalar::Integer(number) => (*number).into(),
            Scalar::Float(number) => (*number).into(),
            Scalar::Boolean(value) => (*value).into(),
        };
        if name.value == "host" {
            host = Some(text_of_json(&value));
        } else {
            body.insert(name.value.clone(), value);
        }
    }
    let body = serde_json::Value::Object(body).to_string();
    let checkin = checkin::read(body.as_bytes()).map_err(|mistake| {
        let hint = "write checkin = { service = \"backup\", status = \"ok\", info = \"done\" }".to_owned();
        (fields.span.clone(), mistake.to_string(), Some(hint))
    })?;
    Ok(checkin.into_kept(host.as_deref()))
}

/// An event of its fields: `name` and `body`, and the `host` that the configuration would find in it.
fn event(fields: &Located<Vec<(Located<String>, Scalar)>>) -> Result<Kept, Misplaced> {
    let field = |wanted: &str| fields.value.iter().find(|(name, _)| name.value == wanted);
    let wrong = |at: std::ops::Range<usize>, what: String| {
        let hint = "write json = { name = \"NAME\", body = '{\"a\": 1}', host = \"HOST\" }".to_owned();
        (at, what, Some(hint))
    };
    let text = |wanted: &str| field(wanted).map(|(_, value)| text_of(value));
    if let Some((name, _)) =
        fields.value.iter().find(|(name, _)| !["name", "body", "host"].contains(&name.value.as_str()))
    {
        return Err(wrong(name.span.clone(), format!("'{}' is no part of an event", name.value)));
    }
    let (Some(name), Some(body)) = (text("name"), text("body")) else {
        return Err(wrong(fields.span.clone(), "an event has a name and a body".to_owned()));
    };
    match serde_json::from_str::<serde_json::Value>(&body) {
        Ok(value) if value.is_object() => {}
        _ => return Err(wrong(fields.span.clone(), "the body is no JSON object".to_owned())),
    }
    Ok(Kept { kind: PostKind::Json, name, host: text("host"), status: None, info: String::new(), text: body })
}

fn text_of_json(value: &serde_json::Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

fn outcome_of(
    rules: &RuleSet,
    test: &RuleTest,
    context: &MessageContext<'_>,
    expect: &Fields,
    source: &SourceText<'_>,
) -> Vec<Diagnostic> {
    let rule = &rules.rules()[test.rule];
    let failed = |message: String| vec![source.error(&test.text.span, message, None)];
    let mut made: Vec<(String, Vec<(String, String)>)> = Vec::new();
    let mut scratch = Scratch::for_trial();
    let result = rules.apply(context, &mut scratch, |rule, outcome| {
        made.push((rule.id.clone(), fields(outcome)));
    });
    if let Some(failure) = scratch.failures().iter().find(|failure| failure.rule == test.rule) {
        return failed(format!("cannot render {} of rule '{}': {}", failure.field, rule.id, failure.error));
    }
    let expects_drop = expect.iter().any(|(k, v)| k.value == "drop" && *v == Scalar::Boolean(true));
    let is_drop = rule.check.is_none() && rule.event.is_none();
    if expects_drop || is_drop {
        let dropped =
            result == MatchResult::Dropped && rules.explain(context).matched.iter().any(|m| m.id == rule.id);
        if dropped == expects_drop {
            return Vec::new();
        }
        return failed(match (dropped, result) {
            (true, _) => format!("rule '{}' drops the message; write expect = {{ drop = true }}", rule.id),
            (false, MatchResult::Matched) => {
                format!("rule '{}' did not drop the message: it makes outcomes", rule.id)
            }
            (false, _) => format!("rule '{}' did not drop the message: it does not match", rule.id),
        });
    }
    let of_rule: Vec<_> = made.iter().filter(|(id, _)| *id == rule.id).collect();
    if of_rule.is_empty() {
        let explanation = rules.explain(context);
        let why = match explanation.rejected.iter().find(|(r, _)| r.id == rule.id) {
            Some((_, reason)) => reason.clone(),
            None => match explanation.matched.first() {
                Some(other) => format!("rule '{}' matches it", other.id),
                None => "no rule matches it".to_owned(),
            },
        };
        return failed(format!("rule '{}' does not match: {why}", rule.id));
    }
    mismatches(expect, &of_rule, source)
}

/// The differences between the expected fields and the most similar outcome of the rule.
fn mismatches(
    expect: &Fields,
    outcomes: &[&(String, Vec<(String, String)>)],
    source: &SourceText<'_>,
) -> Vec<Diagnostic> {
    let differences = outcomes.iter().map(|(_, fields)| differences(expect, fields, source));
    differences.min_by_key(Vec::len).unwrap_or_default()
}

/// The differences between expected fields and those of an outcome.
fn differences(expect: &Fields, fields: &[(String, String)], source: &SourceText<'_>) -> Vec<Diagnostic> {
    let mut found = Vec::new();
    for (key, expected) in expect {
        let expected = text_of(expected);
        let got = fields.iter().find(|(name, _)| *name == key.value).map(|(_, v)| v.as_str());
        if got != Some(expected.as_str()) {
            let got = got.map_or_else(|| "nothing".to_owned(), |g| format!("\"{}\"", g.escape_debug()));
            let message = format!("{} is {got}, expected \"{}\"", key.value, expected.escape_debug());
            found.push(source.error(&key.span, message, None));
        }
    }
    found
}

/// What is wrong with the outcomes of a step, in their order.
pub fn compare(
    step: &std::ops::Range<usize>,
    expected: &[Expected],
    outcomes: &[Outcome<'_>],
    source: &SourceText<'_>,
) -> Vec<Diagnostic> {
    let mut found = Vec::new();
    for (expected, outcome) in expected.iter().zip(outcomes) {
        found.extend(differences(&expected.fields, &fields(outcome), source));
    }
    for missing in expected.iter().skip(outcomes.len()) {
        found.push(source.error(&missing.span, "this outcome was not made until this step", None));
    }
    for more in outcomes.iter().skip(expected.len()) {
        let common = more.common();
        let (service, output) = (more.service().unwrap_or(more.host()), &common.output);
        let message = format!(
            "an outcome more than expected: rule '{}', {} of '{}': {}",
            common.rule,
            common.state.as_str(),
            service.escape_debug(),
            output.escape_debug()
        );
        let hint = "add it to 'expect', or correct the rule; 'expect' has all outcomes since the step before";
        found.push(source.error(step, message, Some(hint.to_owned())));
    }
    found
}

fn text_of(scalar: &Scalar) -> String {
    match scalar {
        Scalar::Text(text) => text.clone(),
        Scalar::Integer(number) => number.to_string(),
        Scalar::Float(number) => number.to_string(),
        Scalar::Boolean(b) => b.to_string(),
    }
}

/// The fields of an outcome, as tests name them.
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
    let labels = common.labels.iter().map(|(name, value)| (format!("labels.{name}"), value.to_string()));
    fields.into_iter().map(|(k, v)| (k.to_owned(), v.to_owned())).chain(labels).collect()
}

/// An error at a position of the file, with a hint.
pub type Misplaced = (std::ops::Range<usize>, String, Option<String>);

/// The packet of a test, as its sender sends it.
fn packet(test: &TestMessage, mib: &Mib) -> Result<Vec<u8>, Misplaced> {
    let TestInput::Trap { trap, version, agent, uptime, varbinds } = &test.input else {
        return Err((test.span.clone(), "the test has no trap".to_owned(), None));
    };
    let oid = mib.resolve(trap).ok_or_else(|| {
        let hint = "add the folder of its MIB to mibs.paths, or write the trap's OID".to_owned();
        (trap.span.clone(), format!("unknown trap '{}': no loaded MIB defines it", trap.value), Some(hint))
    })?;
    let version = match version {
        None => Version::V2c,
        Some(v) if v.value == "1" => Version::V1,
        Some(v) if v.value == "2c" => Version::V2c,
        Some(v) => {
            let hint = Some("write version = \"1\" or version = \"2c\"".to_owned());
            return Err((v.span.clone(), format!("unknown SNMP version '{}'", v.value), hint));
        }
    };
    let agent: Option<Ipv4Addr> = match agent {
        None => None,
        Some(text) => Some(text.parse().map_err(|_| {
            let hint = Some("write an address such as 192.0.2.9".to_owned());
            (text.span.clone(), format!("invalid IPv4 address '{}'", text.value), hint)
        })?),
    };
    let values: Vec<(Oid<'static>, Typed)> =
        varbinds.iter().map(|(name, value)| varbind(name, value, &oid, mib)).collect::<Result<_, _>>()?;
    let mut varbinds: Vec<Varbind<'_>> =
        values.iter().map(|(oid, value)| Varbind { oid: oid.borrowed(), value: value.value() }).collect();
    // A v2c notification names its agent in a varbind (RFC 3584, section 3.1).
    if let (Version::V2c, Some(agent)) = (version, agent) {
        let oid = well_known::SNMP_TRAP_ADDRESS;
        varbinds.push(Varbind { oid, value: Value::IpAddress(agent) });
    }
    let v1 = match version {
        Version::V1 => Some(as_v1(&oid).ok_or_else(|| {
            let hint = Some("its last number is beyond 2147483647; write version = \"2c\"".to_owned());
            (trap.span.clone(), format!("SNMPv1 cannot send the trap '{}'", trap.value), hint)
        })?),
        _ => None,
    };
    let (generic, enterprise, specific) = v1.map_or((None, None, None), |(generic, enterprise, specific)| {
        (Some(generic), Some(enterprise), Some(specific))
    });
    Ok(encode(&Notification {
        version,
        kind: NotificationKind::Trap,
        community: b"public",
        proxied_community: None,
        security: None,
        request_id: 0,
        oid,
        enterprise,
        agent,
        generic,
        specific,
        uptime: Some(*uptime),
        varbinds,
    }))
}

fn varbind<'t>(
    name: &'t Located<String>,
    value: &'t Scalar,
    trap: &Oid<'static>,
    mib: &Mib,
) -> Result<(Oid<'static>, Typed), Misplaced> {
    let oid = resolve(name, trap, mib).map_err(|(message, hint)| (name.span.clone(), message, Some(hint)))?;
    let syntax = mib.lookup(&oid).map(|object| &*object.syntax);
    let value = match value {
        Scalar::Text(text) => from_text(text, syntax, mib),
        Scalar::Integer(number) => from_number((*number).into(), syntax).map(Typed::Other),
        Scalar::Float(number) => Some(Typed::Other(Value::Double(*number))),
        Scalar::Boolean(_) => None,
    };
    let value = value.ok_or_else(|| {
        let hint = "write a value as `trapline explain` shows it: a number, a name, an address, a date; octets in hex behind 0x"
            .to_owned();
        (name.span.clone(), format!("the value does not fit the type of {}", name.value), Some(hint))
    })?;
    Ok((oid, value))
}

/// The OID of `NAME.INSTANCE` or of numbers in a notification; else what is wrong, and a hint.
///
/// # Errors
///
/// If no module defines the name, or several do and none of their objects is one of the notification or its module.
pub fn resolve(name: &str, trap: &Oid<'static>, mib: &Mib) -> Result<Oid<'static>, (String, String)> {
    let plain = name.split_once('.').map_or(name, |(plain, _)| plain);
    let candidates = mib.objects_for(plain, std::slice::from_ref(trap));
    let oid = match candidates.as_slice() {
        [only] => mib.resolve(&format!("{}{}", only.qualified(), &name[plain.len()..])),
        [] => mib.resolve(name),
        several => {
            let names: Vec<String> =
                several.iter().map(|object| format!("{} ({})", object.qualified(), object.oid)).collect();
            let message = format!("'{plain}' is ambiguous: {}", names.join(", "));
            return Err((message, "write MODULE::name for the one that you mean".to_owned()));
        }
    };
    oid.ok_or_else(|| {
        let near = mib.objects().iter().filter(|object| object.kind == Kind::Object).map(|o| &*o.name);
        let hint = did_you_mean(plain, near).unwrap_or_else(|| {
            "write NAME.INSTANCE of a loaded MIB, such as ifDescr.3, or an OID".to_owned()
        });
        (format!("unknown object '{name}': no loaded MIB defines it"), hint)
    })
}
