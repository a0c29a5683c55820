//! Outcomes as JSON, with the field names that users rely on.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::io::Write;

use jiff::Timestamp;
use jiff::tz::Offset;
use serde::ser::{Serialize, SerializeMap, Serializer};
use serde_json::Value;

use crate::outcome::name::{Name, breaks_line, turns};
use crate::outcome::record::Record;
use crate::outcome::result::{CheckResult, Common, Event, Outcome, State};
use crate::outcome::room::{self, Room};
use crate::text::{Digits, is_plain, push_number, two_digits};
use crate::time::clock::rfc3339;

/// The field names that every outcome may have; an event's own fields cannot take them.
pub const FIELDS: [&str; 14] = [
    "id",
    "time",
    "kind",
    "rule",
    "host",
    "service",
    "state",
    "output",
    "long_output",
    "perfdata",
    "source",
    "component",
    "resource",
    "labels",
];

/// A record to be written as one JSON object.
#[derive(Debug)]
pub struct Json<'r>(pub &'r Record<'r>);

impl Serialize for Json<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("id", &self.0.id())?;
        serialize_outcome(&self.0.outcome, &mut map)?;
        map.end()
    }
}

/// Appends a record as one JSON object, the one that [`Json`] is serialized to, in a third of its time.
pub fn push(out: &mut Vec<u8>, record: &Record<'_>) {
    Writer::default().push(out, record);
}

/// Writes records as [`push`] does. It keeps the text of the last second, which mostly is that of the next record.
#[derive(Debug, Default)]
pub struct Writer {
    second: Option<(i64, [u8; 19])>,
}

impl Writer {
    /// Appends a record.
    pub fn push(&mut self, out: &mut Vec<u8>, record: &Record<'_>) {
        let time = record.outcome.common().time;
        if let Outcome::CheckResult(check) = &record.outcome
            && check.common.labels.is_empty()
            && let Some(second) = self.second_of(time)
        {
            let texts = texts_of(check);
            // Nearly all results are of this kind.
            if texts.iter().all(|text| text.is_empty() || is_plain(text.as_bytes(), b'"', b'\\')) {
                let service = check.service.is_some();
                return push_plain(out, record, (&second, time), (check.common.state, service), texts);
            }
        }
        out.extend_from_slice(b"{\"id\":\"");
        out.extend_from_slice(&hex(record.epoch));
        out.push(b'-');
        push_number(out, record.sequence);
        out.extend_from_slice(b"\",\"time\":\"");
        self.push_time(out, time);
        push_after_time(out, &record.outcome);
    }

    /// Appends a time in microseconds since 1970 UTC as jiff writes it.
    fn push_time(&mut self, out: &mut Vec<u8>, micros: i64) {
        match self.second_of(micros) {
            Some(second) => room::append(out, LONGEST_TIME, |room| put_time(room, &second, micros)),
            None => match Timestamp::from_microsecond(micros) {
                // Writing to memory does not fail.
                Ok(timestamp) => drop(write!(out, "{timestamp}")),
                Err(_) => self.push_time(out, 0),
            },
        }
    }

    /// The text of the second of a time; none if it has another form.
    #[inline]
    fn second_of(&mut self, micros: i64) -> Option<[u8; 19]> {
        let second = micros.div_euclid(1_000_000);
        match self.second {
            Some((known, text)) if known == second => Some(text),
            _ => self.another_second(micros, second),
        }
    }

    #[cold]
    fn another_second(&mut self, micros: i64, second: i64) -> Option<[u8; 19]> {
        let text = second_of(Timestamp::from_microsecond(micros).ok()?)?;
        self.second = Some((second, text));
        Some(text)
    }
}

/// The longest time of a year with four digits: its second, a point, six digits and a `Z`.
const LONGEST_TIME: usize = 27;

/// Appends the text of a second, with the fraction of a time and its zone.
#[inline]
fn put_time(room: &mut Room<'_>, second: &[u8; 19], micros: i64) {
    room.push(second);
    let micros = micros.rem_euclid(1_000_000).unsigned_abs();
    if micros > 0 {
        room.push_octet(b'.');
        let digits = [micros / 10_000, micros / 100, micros].map(two_digits);
        let digits = digits.as_flattened();
        // The zeros at the end are not written.
        let end = digits.iter().rposition(|digit| *digit != b'0').map_or(0, |last| last + 1);
        room.push(&digits[..end]);
    }
    room.push_octet(b'Z');
}

/// The texts of a result, in the order that they are written in.
#[inline]
fn texts_of<'c>(check: &'c CheckResult<'_>) -> [&'c str; 7] {
    let common = &check.common;
    let service = check.service.as_deref().unwrap_or_default();
    let outputs = (&*common.output, &*common.long_output);
    [&common.rule, &check.host, service, outputs.0, outputs.1, &check.perfdata, &common.source]
}

/// Appends a result without labels whose texts need no escapes. It has a state, and maybe a service.
fn push_plain(
    out: &mut Vec<u8>,
    record: &Record<'_>,
    (second, time): (&[u8; 19], i64),
    (state, has_service): (State, bool),
    texts: [&str; 7],
) {
    // What is fixed has 215 with the longest numbers.
    let most = 256 + texts.iter().map(|text| text.len()).sum::<usize>();
    let [rule, host, service, output, long_output, perfdata, source] = texts;
    let sequence = Digits::of(record.sequence);
    room::append(out, most, |room| {
        room.push(b"{\"id\":\"");
        room.push(&hex(record.epoch));
        room.push_octet(b'-');
        room.push(sequence.as_bytes());
        room.push(b"\",\"time\":\"");
        put_time(room, second, time);
        room.push(b"\",\"kind\":\"check_result\",\"rule\":\"");
        room.push(rule.as_bytes());
        room.push(b"\",\"host\":\"");
        room.push(host.as_bytes());
        if has_service {
            room.push(b"\",\"service\":\"");
            room.push(service.as_bytes());
            room.push(b"\",\"state\":\"");
        } else {
            room.push(b"\",\"service\":null,\"state\":\"");
        }
        room.push(state.as_str().as_bytes());
        room.push(b"\",\"output\":\"");
        room.push(output.as_bytes());
        room.push(b"\",\"long_output\":\"");
        room.push(long_output.as_bytes());
        room.push(b"\",\"perfdata\":\"");
        room.push(perfdata.as_bytes());
        room.push(b"\",\"source\":\"");
        room.push(source.as_bytes());
        room.push(b"\"}");
    });
}

fn push_after_time(out: &mut Vec<u8>, outcome: &Outcome<'_>) {
    let common = outcome.common();
    out.extend_from_slice(b"\",\"kind\":\"");
    out.extend_from_slice(outcome.kind().as_bytes());
    out.push(b'"');
    push_field(out, b",\"rule\":\"", &common.rule);
    let (host, service, perfdata) = match outcome {
        Outcome::CheckResult(check) => (&check.host, &check.service, &*check.perfdata),
        Outcome::Event(event) => (&event.component, &event.resource, ""),
    };
    push_field(out, b",\"host\":\"", host);
    push_optional(out, b",\"service\":", service.as_deref());
    push_field(out, b",\"state\":\"", common.state.as_str());
    push_field(out, b",\"output\":\"", &common.output);
    push_field(out, b",\"long_output\":\"", &common.long_output);
    push_field(out, b",\"perfdata\":\"", perfdata);
    push_field(out, b",\"source\":\"", &common.source);
    if !common.labels.is_empty() {
        let mut before: &[u8] = b",\"labels\":{";
        for (name, value) in &common.labels {
            out.extend_from_slice(before);
            push_text(out, name);
            push_field(out, b":\"", value);
            before = b",";
        }
        out.push(b'}');
    }
    if let Outcome::Event(event) = outcome {
        push_field(out, b",\"component\":\"", &event.component);
        push_optional(out, b",\"resource\":", event.resource.as_deref());
        for (name, value) in own_fields(event) {
            out.push(b',');
            push_text(out, name);
            push_field(out, b":\"", value);
        }
    }
    out.push(b'}');
}

/// Date and time of day as jiff writes them; none of a year that has not four digits.
fn second_of(timestamp: Timestamp) -> Option<[u8; 19]> {
    let local = Offset::UTC.to_datetime(timestamp);
    let Ok(year @ 0..=9999) = u32::try_from(local.year()) else { return None };
    // All of these are positive, and have two digits at most.
    let pair = |number: i8| two_digits(number.unsigned_abs().into());
    let mut text = *b"0000-00-00T00:00:00";
    let pairs = [
        two_digits(u64::from(year) / 100),
        two_digits(year.into()),
        pair(local.month()),
        pair(local.day()),
        pair(local.hour()),
        pair(local.minute()),
        pair(local.second()),
    ];
    for (at, pair) in [0, 2, 5, 8, 11, 14, 17].into_iter().zip(pairs) {
        [text[at], text[at + 1]] = pair;
    }
    Some(text)
}

/// Sixteen hexadecimal digits.
fn hex(number: u64) -> [u8; 16] {
    // Each octet becomes two, of which each has a half of it.
    let spread = |half: u32| {
        let wide = u64::from(half);
        let wide = (wide | wide << 16) & 0x0000_ffff_0000_ffff;
        let wide = (wide | wide << 8) & 0x00ff_00ff_00ff_00ff;
        let wide = (wide | wide << 4) & 0x0f0f_0f0f_0f0f_0f0f;
        // Those above 9 are letters, which stand 39 behind where the digits would go on.
        let letters = (wide + 0x0606_0606_0606_0606) >> 4 & 0x0101_0101_0101_0101;
        wide + 0x3030_3030_3030_3030 + letters * 39
    };
    let (high, low) = (spread((number >> 32) as u32), spread(number as u32));
    (u128::from(high) << 64 | u128::from(low)).to_be_bytes()
}

/// Appends a name, which ends with the quote that begins the value, and the value.
fn push_field(out: &mut Vec<u8>, name: &[u8], value: &str) {
    out.extend_from_slice(name);
    push_rest(out, value);
}

fn push_optional(out: &mut Vec<u8>, name: &[u8], value: Option<&str>) {
    out.extend_from_slice(name);
    match value {
        Some(value) => push_text(out, value),
        None => out.extend_from_slice(b"null"),
    }
}

/// Appends a string with its quotes.
fn push_text(out: &mut Vec<u8>, text: &str) {
    out.push(b'"');
    push_rest(out, text);
}

/// Appends a string behind its first quote.
#[inline]
fn push_rest(out: &mut Vec<u8>, text: &str) {
    if is_plain(text.as_bytes(), b'"', b'\\') {
        out.extend_from_slice(text.as_bytes());
        out.push(b'"');
    } else {
        push_escaped(out, text);
    }
}

/// As JSON demands, and so that a line of it controls no terminal: the characters that end lines for some readers, control
/// terminals or turn others are escaped, too.
#[inline(never)]
fn push_escaped(out: &mut Vec<u8>, text: &str) {
    let mut rest = text;
    while let Some(at) = rest.find(|c| matches!(c, '"' | '\\') || breaks_line(c) || turns(c)) {
        out.extend_from_slice(&rest.as_bytes()[..at]);
        let c = rest[at..].chars().next().unwrap_or(' ');
        match c {
            '"' => out.extend_from_slice(b"\\\""),
            '\\' => out.extend_from_slice(b"\\\\"),
            '\n' => out.extend_from_slice(b"\\n"),
            '\r' => out.extend_from_slice(b"\\r"),
            '\t' => out.extend_from_slice(b"\\t"),
            // All of them have one unit in UTF-16.
            c => drop(write!(out, "\\u{:04x}", u32::from(c))),
        }
        rest = &rest[at + c.len_utf8()..];
    }
    out.extend_from_slice(rest.as_bytes());
    out.push(b'"');
}

/// An outcome that has no id yet, as `trapline explain` shows it.
#[derive(Debug)]
pub struct Unsaved<'r>(pub &'r Outcome<'r>);

impl Serialize for Unsaved<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        serialize_outcome(self.0, &mut map)?;
        map.end()
    }
}

fn serialize_outcome<M: SerializeMap>(outcome: &Outcome<'_>, map: &mut M) -> Result<(), M::Error> {
    let common = outcome.common();
    map.serialize_entry("time", &rfc3339(common.time))?;
    map.serialize_entry("kind", outcome.kind())?;
    map.serialize_entry("rule", &common.rule)?;
    let (host, service, perfdata) = match outcome {
        Outcome::CheckResult(check) => (&check.host, &check.service, &*check.perfdata),
        Outcome::Event(event) => (&event.component, &event.resource, ""),
    };
    map.serialize_entry("host", host)?;
    map.serialize_entry("service", service)?;
    map.serialize_entry("state", common.state.as_str())?;
    map.serialize_entry("output", &common.output)?;
    map.serialize_entry("long_output", &common.long_output)?;
    map.serialize_entry("perfdata", perfdata)?;
    map.serialize_entry("source", &common.source)?;
    if !common.labels.is_empty() {
        let labels: BTreeMap<&str, &str> = common.labels.iter().map(|(n, v)| (&**n, &**v)).collect();
        map.serialize_entry("labels", &labels)?;
    }
    if let Outcome::Event(event) = outcome {
        map.serialize_entry("component", &event.component)?;
        map.serialize_entry("resource", &event.resource)?;
        for (name, value) in own_fields(event) {
            map.serialize_entry(name, value)?;
        }
    }
    Ok(())
}

/// The outcome that a JSON object says, as [`Json`] has written it; none if it does not.
pub fn outcome(json: &Value) -> Option<Outcome<'_>> {
    let text = |name: &str| json[name].as_str().map(Cow::Borrowed);
    let labels = json["labels"].as_object().into_iter().flatten();
    let common = Common {
        time: text("time")?.parse::<Timestamp>().ok()?.as_microsecond(),
        rule: text("rule")?,
        state: State::ALL.into_iter().find(|state| Some(state.as_str()) == json["state"].as_str())?,
        output: text("output")?,
        long_output: text("long_output")?,
        source: text("source")?,
        labels: labels.filter_map(|(name, value)| Some((name.into(), value.as_str()?.into()))).collect(),
    };
    if json["kind"] == "check_result" {
        let (host, service, perfdata) =
            (text("host")?.into(), text("service").map(Name::from), text("perfdata")?);
        return Some(Outcome::CheckResult(CheckResult { common, host, service, perfdata }));
    }
    let own = json.as_object()?.iter().filter(|(name, _)| !FIELDS.contains(&name.as_str()));
    let fields = own.filter_map(|(name, value)| Some((name.into(), value.as_str()?.into())));
    let (component, resource) = (text("component")?.into(), text("resource").map(Name::from));
    Some(Outcome::Event(Event { common, component, resource, fields: fields.collect() }))
}

/// An event's own fields, without those whose names are taken.
pub fn own_fields<'e>(event: &'e Event<'_>) -> impl Iterator<Item = (&'e str, &'e str)> {
    event.fields.iter().map(|(n, v)| (n.as_ref(), v.as_ref())).filter(|(n, _)| !FIELDS.contains(n))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn text() -> impl Strategy<Value = Cow<'static, str>> {
        prop_oneof!["[ -~]{0,12}", any::<String>(), Just(String::new())].prop_map(Cow::Owned)
    }

    proptest! {
        #[test]
        fn pushed_as_serialized_and_read_back(
            texts in prop::collection::vec(text(), 8),
            time in prop_oneof![any::<i64>(), 0..2_000_000_000_000_000_i64, (0..2_000_000_000_i64).prop_map(|s| s * 1_000_000)],
            (epoch, sequence) in any::<(u64, u64)>(),
            (with_service, event) in any::<(bool, bool)>(),
            state in prop::sample::select(&State::ALL[..]),
            labels in 0..3_usize,
            before in prop_oneof![any::<i64>(), -2_000_000..2_000_000_i64],
        ) {
            let next = |at: usize| texts[at].clone();
            let labels = ["a", "b"][..labels].iter().map(|name| ((*name).into(), next(2))).collect();
            let common = Common { time, rule: next(0), state, output: next(1), long_output: next(2), source: next(3), labels };
            let service = with_service.then(|| next(4).into());
            let outcome = if event {
                let fields = vec![(next(5), next(6)), ("host".into(), "taken".into())];
                Outcome::Event(Event { common, component: next(7).into(), resource: service, fields })
            } else {
                Outcome::CheckResult(CheckResult { common, host: next(7).into(), service, perfdata: next(5) })
            };
            let record = Record { epoch, sequence, outcome };
            let mut pushed = Vec::new();
            push(&mut pushed, &record);
            let line = std::str::from_utf8(&pushed).unwrap();
            let (mut writer, mut again) = (Writer::default(), Vec::new());
            writer.push_time(&mut Vec::new(), time.saturating_add(before));
            writer.push(&mut again, &record);
            prop_assert_eq!(&again, &pushed, "whatever was written before");
            prop_assert!(!line.contains(|c| breaks_line(c) || turns(c)), "{}", line);
            prop_assert_eq!(serde_json::from_str::<Value>(line).unwrap(), serde_json::to_value(Json(&record)).unwrap());
            if Timestamp::from_microsecond(time).is_ok() {
                let json: Value = serde_json::from_slice(&pushed).unwrap();
                let read = super::outcome(&json).unwrap();
                prop_assert_eq!((read.common(), read.kind()), (record.outcome.common(), record.outcome.kind()));
            }
        }
    }
}
