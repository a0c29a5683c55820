//! Outcomes as JSON, with the field names that users rely on.

use std::borrow::Cow;

use jiff::Timestamp;
use serde::ser::{Serialize, SerializeMap, Serializer};
use serde_json::Value;

use crate::outcome::record::Record;
use crate::outcome::result::{CheckResult, Common, Event, Outcome, State};
use crate::time::clock::rfc3339;

/// The field names that every outcome may have; an event's own fields cannot take them.
pub const FIELDS: [&str; 13] = [
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
    let common = Common {
        time: text("time")?.parse::<Timestamp>().ok()?.as_microsecond(),
        rule: text("rule")?,
        state: State::ALL.into_iter().find(|state| Some(state.as_str()) == json["state"].as_str())?,
        output: text("output")?,
        long_output: text("long_output")?,
        source: text("source")?,
    };
    if json["kind"] == "check_result" {
        let (host, service, perfdata) = (text("host")?, text("service"), text("perfdata")?);
        return Some(Outcome::CheckResult(CheckResult { common, host, service, perfdata }));
    }
    let own = json.as_object()?.iter().filter(|(name, _)| !FIELDS.contains(&name.as_str()));
    let fields = own.filter_map(|(name, value)| Some((name.into(), value.as_str()?.into())));
    let (component, resource) = (text("component")?, text("resource"));
    Some(Outcome::Event(Event { common, component, resource, fields: fields.collect() }))
}

/// An event's own fields, without those whose names are taken.
pub fn own_fields<'e>(event: &'e Event<'_>) -> impl Iterator<Item = (&'e str, &'e str)> {
    event.fields.iter().map(|(n, v)| (n.as_ref(), v.as_ref())).filter(|(n, _)| !FIELDS.contains(n))
}
