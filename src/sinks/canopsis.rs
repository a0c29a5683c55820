//! The canopsis sink: events for Canopsis on its AMQP exchange.

use serde_json::{Map, Value};

use super::amqp::{Amqp, Form};
use super::json::own_fields;
use crate::config::CanopsisConfig;
use crate::journal::Record;
use crate::outcome::{Outcome, State};

/// Outcomes as Canopsis' check events.
#[derive(Debug)]
pub struct CanopsisForm {
    connector: String,
    connector_name: String,
}

/// What the sink of `type = "canopsis"` makes of outcomes.
pub fn form(config: &CanopsisConfig) -> CanopsisForm {
    CanopsisForm { connector: config.connector.clone(), connector_name: config.connector_name.clone() }
}

/// The sink of `type = "canopsis"`.
pub fn sink(config: &CanopsisConfig) -> Amqp<CanopsisForm> {
    Amqp::new(config.url.clone(), config.exchange.clone(), config.declare, form(config))
}

impl Form for CanopsisForm {
    fn message(&mut self, record: &Record<'_>) -> Option<(String, Vec<u8>)> {
        let common = record.outcome.common();
        let (component, resource) = match &record.outcome {
            Outcome::CheckResult(check) => (&check.host, check.service.as_ref()),
            Outcome::Event(event) => (&event.component, event.resource.as_ref()),
        };
        let source_type = if resource.is_some() { "resource" } else { "component" };
        let mut event = Map::new();
        // A rule's own fields first: event_type, tags and their like may be its own, the identity may not.
        if let Outcome::Event(outcome) = &record.outcome {
            event.extend(own_fields(outcome).map(|(name, value)| (name.to_owned(), value.into())));
        }
        let event_type = event.entry("event_type").or_insert_with(|| "check".into()).clone();
        event.insert("connector".into(), self.connector.as_str().into());
        event.insert("connector_name".into(), self.connector_name.as_str().into());
        event.insert("source_type".into(), source_type.into());
        event.insert("component".into(), component.as_ref().into());
        if let Some(resource) = resource {
            event.insert("resource".into(), resource.as_ref().into());
        }
        event.insert("timestamp".into(), common.time.div_euclid(1_000_000).into());
        event.insert("state".into(), severity(common.state).into());
        event.insert("state_type".into(), 1.into());
        event.insert("output".into(), common.output.as_ref().into());
        event.insert("long_output".into(), common.long_output.as_ref().into());
        if let Outcome::CheckResult(check) = &record.outcome
            && !check.perfdata.is_empty()
        {
            event.insert("perf_data".into(), check.perfdata.as_ref().into());
        }
        event.insert("trapline_id".into(), record.id().into());
        event.insert("trapline_rule".into(), common.rule.as_ref().into());
        let mut key = format!(
            "{}.{}.{}.{source_type}.{component}",
            self.connector,
            self.connector_name,
            event_type.as_str().unwrap_or("check")
        );
        if let Some(resource) = resource {
            key.push('.');
            key.push_str(resource);
        }
        Some((key, serde_json::to_vec(&Value::Object(event)).ok()?))
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
    use super::*;
    use crate::outcome::{CheckResult, Common, Event};

    fn common(state: State) -> Common<'static> {
        Common {
            time: 1_700_000_000_500_000,
            rule: "link-down".into(),
            state,
            output: "down\n\"x\"".into(),
            long_output: "".into(),
            source: "192.0.2.1".into(),
        }
    }

    fn message(outcome: Outcome<'static>) -> (String, Value) {
        let mut form = CanopsisForm { connector: "trapline".into(), connector_name: "edge1".into() };
        let (key, body) = form.message(&Record { epoch: 1, sequence: 2, outcome }).unwrap();
        (key, serde_json::from_slice(&body).unwrap())
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
}
