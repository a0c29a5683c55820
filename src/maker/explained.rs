//! What rules make of one message, and what sinks would send: the answer of `trapline explain`.

use serde_json::{Value, json};

use crate::correlate::preview;
use crate::intake::describe;
use crate::lookup::choice::Candidate;
use crate::message::Message;
use crate::outcome::json::Unsaved;
use crate::outcome::record::Record;
use crate::outcome::result::Outcome;
use crate::rules::{MatchResult, MessageContext, Rule, RuleSet, Scratch};
use crate::sinks::piece::shown;
use crate::sinks::settings::SinkConfig;

/// What rules make of a message.
#[derive(Debug)]
pub struct Explained<'r> {
    /// The message.
    pub message: Value,
    /// The host that it is about, and what was said of each candidate.
    pub host: Value,
    /// The rules that match, in their order.
    pub matched: Vec<&'r Rule>,
    /// The rules that nearly match, and why they do not.
    pub rejected: Vec<(&'r Rule, String)>,
    /// What becomes of it.
    pub result: MatchResult,
    /// The outcomes.
    pub outcomes: Vec<Value>,
    /// What sinks would send: their names, and what.
    pub sends: Vec<(String, String)>,
    /// What the state of rules does with an outcome without an earlier message: the rule, and what.
    pub state: Vec<(String, String)>,
    /// What could not be rendered: the rule, the field and why.
    pub failures: Vec<(String, String, String)>,
}

/// Explains a message.
pub fn explain<'r, 's>(
    rules: &'r RuleSet,
    sinks: impl Iterator<Item = &'s SinkConfig> + Clone,
    context: &MessageContext<'_>,
    candidates: &[Candidate<'_>],
) -> Explained<'r> {
    let explanation = rules.explain(context);
    let (mut outcomes, mut sends, mut state) = (Vec::new(), Vec::new(), Vec::new());
    let mut scratch = Scratch::for_trial();
    let result = rules.apply_keyed(context, &mut scratch, |emitted| {
        let outcome = emitted.outcome;
        let words = preview(rules.plan(), emitted, context);
        state.extend(words.map(|words| (emitted.rule.id.clone(), words)));
        outcomes.extend(serde_json::to_value(Unsaved(outcome)).ok());
        sends.extend(sinks.clone().filter_map(|sink| would_send(sink, outcome)));
    });
    let mut message = describe::message(context.message, context.source, context.charset, rules.mib());
    if let (Message::Syslog(line), Some(fields)) = (context.message, message.as_object_mut()) {
        fields.extend(describe::body(line));
    }
    let id = |at: usize| rules.rules()[at].id.clone();
    let failures = scratch.failures().iter();
    let failures = failures.map(|f| (id(f.rule), f.field.clone(), f.error.to_string())).collect();
    let (matched, rejected) = (explanation.matched, explanation.rejected);
    let host = host(context, candidates);
    Explained { message, host, matched, rejected, result, outcomes, sends, state, failures }
}

impl Explained<'_> {
    /// As `trapline explain --json` gives it.
    pub fn to_json(&self) -> Value {
        let ids: Vec<&str> = self.matched.iter().map(|rule| rule.id.as_str()).collect();
        let rejected = self.rejected.iter();
        let rejected: Vec<Value> =
            rejected.map(|(rule, because)| json!({ "rule": rule.id, "because": because })).collect();
        let sends = self.sends.iter();
        let sends: Vec<Value> = sends.map(|(sink, what)| json!({ "sink": sink, "sends": what })).collect();
        let state: Vec<Value> =
            self.state.iter().map(|(rule, does)| json!({ "rule": rule, "does": does })).collect();
        let failures = self.failures.iter();
        let failures: Vec<Value> = failures
            .map(|(rule, field, error)| json!({ "rule": rule, "field": field, "error": error }))
            .collect();
        json!({
            "message": self.message, "host": self.host, "matched": ids, "rejected": rejected,
            "outcomes": self.outcomes, "sends": sends, "state": state, "asked": null, "render_errors": failures,
        })
    }
}

/// The host that a message is about, and what was said of each candidate.
fn host(context: &MessageContext<'_>, candidates: &[Candidate<'_>]) -> Value {
    let candidates = candidates.iter().map(|candidate| {
        json!({
            "origin": candidate.origin.as_str(),
            "value": candidate.value,
            "reverse_dns": candidate.reverse,
            "because": candidate.in_words(context.address),
        })
    });
    json!({ "name": context.host, "candidates": candidates.collect::<Vec<Value>>() })
}

/// What a sink would send for an outcome; none if it would not send it.
fn would_send(sink: &SinkConfig, outcome: &Outcome<'_>) -> Option<(String, String)> {
    let record = Record { epoch: 0, sequence: 0, outcome: outcome.clone() };
    if sink.only.as_ref().is_some_and(|only| !only.takes(&record)) {
        return None;
    }
    let what = match sink.sink.pieces(&record)? {
        Ok(pieces) => shown(&pieces),
        Err(reason) => format!("nothing: {reason}"),
    };
    Some((sink.name.clone(), what))
}
