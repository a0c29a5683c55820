//! Outcomes as Canopsis' check events.

use serde::ser::{Serialize, SerializeMap, Serializer};

use crate::outcome::json::own_fields;
use crate::outcome::record::Record;
use crate::outcome::result::{Outcome, State};
use crate::sinks::amqp::json::one_word;
use crate::sinks::amqp::lane::{Encoder, Message, RoutingKey};
use crate::sinks::sink::Said;

/// Makes outcomes into check events.
#[derive(Debug, Clone)]
pub struct EventEncoder {
    /// `connector` of every event.
    pub connector: String,
    /// `connector_name` of every event.
    pub connector_name: String,
}

/// The fields that say what an event is and where it came from: a rule cannot set them.
const IDENTITY: [&str; 14] = [
    "event_type",
    "connector",
    "connector_name",
    "source_type",
    "component",
    "resource",
    "timestamp",
    "state",
    "state_type",
    "output",
    "long_output",
    "perf_data",
    "trapline_id",
    "trapline_rule",
];

impl EventEncoder {
    /// The fields that it sets, whatever a rule says. `event_type` is a rule's to choose.
    pub const SETS: &'static [&'static str] = {
        let [_, rest @ ..] = &IDENTITY;
        rest
    };
}

impl Encoder for EventEncoder {
    fn sets(&self) -> &'static [&'static str] {
        Self::SETS
    }

    fn message(&self, record: &Record<'_>) -> Result<Message, Said> {
        let event = CheckEvent { encoder: self, record };
        let body = serde_json::to_vec(&event).map_err(|error| Said::from(error.to_string()))?;
        Ok(Message { routing_key: RoutingKey::new(&event.routing_key()), body })
    }
}

/// A record as an event of Canopsis.
struct CheckEvent<'r> {
    encoder: &'r EventEncoder,
    record: &'r Record<'r>,
}

impl CheckEvent<'_> {
    fn component(&self) -> &str {
        match &self.record.outcome {
            Outcome::CheckResult(check) => &check.host,
            Outcome::Event(event) => &event.component,
        }
    }

    fn resource(&self) -> Option<&str> {
        match &self.record.outcome {
            Outcome::CheckResult(check) => check.service.as_deref(),
            Outcome::Event(event) => event.resource.as_deref(),
        }
    }

    /// An event's own fields that it may set.
    fn own_fields(&self) -> impl Iterator<Item = (&str, &str)> {
        let event = match &self.record.outcome {
            Outcome::CheckResult(_) => None,
            Outcome::Event(event) => Some(event),
        };
        event.into_iter().flat_map(own_fields)
    }

    fn event_type(&self) -> &str {
        self.own_fields().find(|(name, _)| *name == "event_type").map_or("check", |(_, value)| value)
    }

    fn source_type(&self) -> &'static str {
        if self.resource().is_some() { "resource" } else { "component" }
    }

    fn routing_key(&self) -> String {
        let EventEncoder { connector, connector_name } = self.encoder;
        // A component has the dots of its name, but only a rule says where the words before it end.
        let (event_type, source_type) = (one_word(self.event_type()), self.source_type());
        let component = self.component();
        let mut key = format!("{connector}.{connector_name}.{event_type}.{source_type}.{component}");
        if let Some(resource) = self.resource() {
            key.push('.');
            key.push_str(resource);
        }
        key
    }
}

impl Serialize for CheckEvent<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let common = self.record.outcome.common();
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("connector", &self.encoder.connector)?;
        map.serialize_entry("connector_name", &self.encoder.connector_name)?;
        map.serialize_entry("event_type", self.event_type())?;
        map.serialize_entry("source_type", self.source_type())?;
        map.serialize_entry("component", self.component())?;
        if let Some(resource) = self.resource() {
            map.serialize_entry("resource", resource)?;
        }
        map.serialize_entry("timestamp", &common.time.div_euclid(1_000_000))?;
        map.serialize_entry("state", &severity(common.state))?;
        map.serialize_entry("state_type", &1)?;
        map.serialize_entry("output", &common.output)?;
        map.serialize_entry("long_output", &common.long_output)?;
        if let Outcome::CheckResult(check) = &self.record.outcome
            && !check.perfdata.is_empty()
        {
            map.serialize_entry("perf_data", &check.perfdata)?;
        }
        map.serialize_entry("trapline_id", &self.record.id())?;
        map.serialize_entry("trapline_rule", &common.rule)?;
        for (name, value) in self.own_fields().filter(|(name, _)| !IDENTITY.contains(name)) {
            map.serialize_entry(name, value)?;
        }
        map.end()
    }
}

/// Canopsis' state: 0 to 3 for services; a host that is down is critical, one that is unreachable unknown.
fn severity(state: State) -> u8 {
    match state {
        State::Down => 2,
        State::Unreachable => 3,
        other => other.code(),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::Value;

    use super::*;
    use crate::outcome::name::Name;
    use crate::outcome::result::Labels;
    use crate::outcome::result::{CheckResult, Common, Event};

    fn common(state: State) -> Common<'static> {
        Common {
            time: 1_700_000_000_500_000,
            rule: "link-down".into(),
            state,
            output: "down\n\"x\"".into(),
            long_output: "".into(),
            source: "192.0.2.1".into(),
            labels: Labels::default(),
        }
    }

    fn message(outcome: Outcome<'static>) -> (String, Value) {
        let encoder = EventEncoder { connector: "trapline".into(), connector_name: "edge1".into() };
        let message = encoder.message(&Record { epoch: 1, sequence: 2, outcome }).unwrap();
        (message.routing_key.as_str().to_owned(), serde_json::from_slice(&message.body).unwrap())
    }

    #[test]
    fn a_check_result_of_a_service() {
        let (key, body) = message(Outcome::CheckResult(CheckResult {
            common: common(State::Critical),
            host: "sw1".into(),
            service: Some("Interface Gi0/3".into()),
            perfdata: "".into(),
        }));
        assert_eq!(key, "trapline.edge1.check.resource.sw1.Interface Gi0/3");
        let expected = serde_json::json!({
            "event_type": "check", "connector": "trapline", "connector_name": "edge1", "source_type": "resource",
            "component": "sw1", "resource": "Interface Gi0/3", "timestamp": 1_700_000_000, "state": 2,
            "state_type": 1, "output": "down\n\"x\"", "long_output": "", "trapline_id": "0000000000000001-2",
            "trapline_rule": "link-down",
        });
        assert_eq!(body, expected);
    }

    #[test]
    fn an_event_with_fields_of_its_own() {
        let (key, body) = message(Outcome::Event(Event {
            common: common(State::Down),
            component: "sw1".into(),
            resource: None,
            fields: vec![
                ("event_type".into(), "trap".into()),
                ("tags".into(), "core".into()),
                ("component".into(), "forged".into()),
                ("connector".into(), "forged".into()),
            ],
        }));
        assert_eq!(key, "trapline.edge1.trap.component.sw1");
        assert_eq!((&body["tags"], &body["component"]), (&"core".into(), &"sw1".into()));
        assert_eq!((&body["connector"], &body["state"]), (&"trapline".into(), &2.into()));
    }

    proptest! {
        #[test]
        fn no_value_makes_another_field(component in any::<String>(), name in "(\\PC|[\"\\\\]){0,12}", value in any::<String>()) {
            let (_, body) = message(Outcome::Event(Event {
                common: common(State::Critical),
                component: component.clone().into(),
                resource: None,
                fields: vec![(name.clone().into(), value.into())],
            }));
            let component = Name::from(component);
            prop_assert_eq!(body["component"].as_str(), Some(component.as_str()));
            prop_assert!(body.as_object().unwrap().len() <= 13, "{}", body);
            prop_assert_eq!(&body["connector"], "trapline");
        }
    }
}
