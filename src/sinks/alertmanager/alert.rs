//! Alerts: what is made of an outcome, and how it is written. Pure.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::outcome::name::Name;
use crate::outcome::record::Record;
use crate::sinks::fields::Template;
use crate::sinks::http::escape::{in_text, percent};
use crate::sinks::sink::Said;
use crate::time::clock::rfc3339;

/// The longest value of a label, in octets. Alertmanager itself has no limit.
const MAX_LABEL: usize = 2048;
/// The longest annotation, in octets: open alerts are kept in memory and sent again and again.
const MAX_ANNOTATION: usize = 4096;

/// The annotations that every alert has.
const USUAL: [&str; 4] = ["summary", "rule", "source", "id"];

/// Texts by name.
pub(super) type Texts = BTreeMap<String, String>;

/// An alert. Its labels are its identity.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Alert {
    pub(super) labels: Texts,
    pub(super) annotations: Texts,
    /// When it began, in microseconds since 1970 UTC.
    pub(super) starts: i64,
    /// When it ended; none while it is open.
    pub(super) ends: Option<i64>,
}

impl Alert {
    /// As JSON. One that is open ends by itself at `until` if it is not sent again.
    pub(super) fn json(&self, now: i64, until: i64) -> String {
        // After a step of the clock times may be in the future: what ended there would be open at Alertmanager until then. And
        // Alertmanager refuses what ends before it begins.
        let starts = self.starts.min(now);
        let ends = self.ends.map_or(until, |ends| ends.min(now)).max(starts);
        serde_json::json!({
            "labels": self.labels,
            "annotations": self.annotations,
            "startsAt": rfc3339(starts),
            "endsAt": rfc3339(ends),
        })
        .to_string()
    }
}

/// Which problem an outcome is about: its host and service, percent-encoded.
pub(super) fn key(record: &Record<'_>) -> String {
    let host = percent(record.outcome.host());
    match record.outcome.service() {
        Some(service) => format!("{host}/{}", percent(service)),
        None => host,
    }
}

/// How alerts are made of outcomes.
#[derive(Debug, Clone)]
pub(super) struct Encoder {
    /// Labels beside the usual ones, or in their place.
    pub(super) labels: Vec<(String, Template)>,
    /// Annotations beside the usual ones, or in their place.
    pub(super) annotations: Vec<(String, Template)>,
}

impl Encoder {
    /// The alert for an outcome, and whether something of it was cut.
    ///
    /// # Errors
    ///
    /// Why there can be none.
    pub(super) fn alert(&self, record: &Record<'_>) -> Result<(Alert, bool), Said> {
        let common = record.outcome.common();
        let usual = [
            ("alertname", record.outcome.service().unwrap_or("Host")),
            ("instance", record.outcome.host()),
            ("severity", common.state.as_str()),
        ];
        let mut labels = Texts::new();
        labels.extend(usual.map(|(name, value)| (name.to_owned(), value.to_owned())));
        labels.extend(common.labels.iter().map(|(name, value)| (name.to_string(), value.to_string())));
        compute(&mut labels, &self.labels, record)?;
        for (name, value) in &mut labels {
            *value = Name::new(std::mem::take(value)).into_text().into_owned();
            if value.len() > MAX_LABEL {
                let length = value.len();
                return Err(format!("the label '{name}' has {length} octets; at most {MAX_LABEL} fit").into());
            }
        }
        // For Alertmanager a label without a value is no label.
        labels.retain(|name, value| !value.is_empty() || name == "alertname" || name == "instance");
        let mut annotations = Texts::new();
        let id = record.id();
        let usual = [
            ("summary", &*common.output),
            ("description", &*common.long_output),
            ("rule", &*common.rule),
            ("source", &*common.source),
            ("id", &id),
        ];
        annotations.extend(usual.map(|(name, value)| (name.to_owned(), value.to_owned())));
        compute(&mut annotations, &self.annotations, record)?;
        let mut cut = false;
        for value in annotations.values_mut() {
            *value = in_text(value);
            cut |= value.len() > MAX_ANNOTATION;
            value.truncate(value.floor_char_boundary(MAX_ANNOTATION));
        }
        annotations.retain(|name, value| !value.is_empty() || USUAL.contains(&name.as_str()));
        Ok((Alert { labels, annotations, starts: common.time, ends: None }, cut))
    }
}

fn compute(texts: &mut Texts, templates: &[(String, Template)], record: &Record<'_>) -> Result<(), Said> {
    for (name, template) in templates {
        let value = template.render(record);
        let value = value.map_err(|error| Said::from(format!("'{name}' cannot be computed: {error}")))?;
        texts.insert(name.clone(), value);
    }
    Ok(())
}

/// Whether a label or annotation can have this name (Prometheus, Data model).
pub(super) fn is_name(name: &str) -> bool {
    let mut chars = name.chars();
    chars.next().is_some_and(|c| c.is_ascii_alphabetic() || c == '_')
        && chars.all(|c| c.is_ascii_alphanumeric() || c == '_')
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sinks::testing::record;

    fn template(source: &str) -> Template {
        Template::new(source, str::to_owned).value.unwrap()
    }

    #[test]
    fn an_alert_has_the_labels_of_its_problem() {
        let encoder = Encoder {
            labels: vec![
                ("team".into(), template("net")),
                ("severity".into(), template("{{ 'page' if outcome.state == 'critical' }}")),
                ("empty".into(), template("{{ outcome.perfdata }}")),
            ],
            annotations: vec![("runbook".into(), template("http://wiki/{{ outcome.rule }}"))],
        };
        let record = record("rtr1", Some("Interface\nGi0/3"), "down\u{1b}[2J\nnow");
        let (alert, cut) = encoder.alert(&record).unwrap();
        assert!(!cut);
        assert_eq!(key(&record), "rtr1/Interface%20Gi0%2F3");
        let json: serde_json::Value =
            serde_json::from_str(&alert.json(1_700_000_100_000_000, 1_700_000_240_000_000)).unwrap();
        let expected = serde_json::json!({
            "labels": { "alertname": "Interface Gi0/3", "instance": "rtr1", "severity": "page", "team": "net" },
            "annotations": {
                "summary": "down [2J\nnow",
                "rule": "r",
                "source": "192.0.2.1",
                "id": "0000000000000001-2",
                "runbook": "http://wiki/r",
            },
            "startsAt": "2023-11-14T22:13:20.123456Z",
            "endsAt": "2023-11-14T22:17:20Z",
        });
        assert_eq!(json, expected);
        let alert_starts = alert.starts;
        let ended = Alert { ends: Some(alert_starts - 1), ..alert };
        let json: serde_json::Value = serde_json::from_str(&ended.json(alert_starts, 0)).unwrap();
        assert_eq!(json["endsAt"], json["startsAt"]);
        // The clock was set back since: nothing is open at the server that has ended here.
        let ended = Alert { ends: Some(alert_starts), ..ended };
        let json: serde_json::Value = serde_json::from_str(&ended.json(1_699_999_000_000_000, 0)).unwrap();
        assert_eq!((&json["startsAt"], &json["endsAt"]), (&json["endsAt"], &"2023-11-14T21:56:40Z".into()));
    }

    #[test]
    fn what_is_too_long_is_cut_or_refused() {
        let encoder =
            Encoder { labels: vec![("x".into(), template("{{ outcome.output|int }}"))], annotations: vec![] };
        assert!(encoder.alert(&record("h", None, "no number")).unwrap_err().as_str().starts_with("'x' "));
        let encoder = Encoder { labels: vec![], annotations: vec![] };
        let long = "é".repeat(3000);
        let outcome = record("h", None, &long);
        let (alert, cut) = encoder.alert(&outcome).unwrap();
        assert!(cut);
        assert_eq!(alert.annotations["summary"].len(), 4096);
        assert_eq!((key(&outcome).as_str(), alert.labels["alertname"].as_str()), ("h", "Host"));
        let error = encoder.alert(&record(&long, None, "")).unwrap_err();
        assert_eq!(error.as_str(), "the label 'instance' has 6000 octets; at most 2048 fit");
    }

    #[test]
    fn names() {
        assert!(["a", "_", "A1_"].into_iter().all(is_name));
        assert!(!["", "1a", "a-b", "é", "a b", "a:b"].into_iter().any(is_name));
    }
}
