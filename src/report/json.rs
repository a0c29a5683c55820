//! A report as JSON.

use serde_json::{Map, Value, json};

use super::figures::{ByState, Report};
use crate::history::endpoint;
use crate::outcome::result::State;
use crate::time::clock::rfc3339;

/// The number of the shape. It rises when a field goes or changes what it means.
const VERSION: u64 = 1;

fn states(counts: &ByState) -> Value {
    let all = State::ALL.iter().zip(counts);
    all.map(|(state, count)| (state.as_str().to_owned(), (*count).into())).collect::<Map<_, _>>().into()
}

/// The document.
pub fn document(report: &Report) -> Value {
    let named = |name: &str, all: &[(String, u64)]| -> Vec<Value> {
        all.iter().map(|(text, count)| json!({ name: text, "outcomes": count })).collect()
    };
    let account = &report.account;
    json!({
        "version": VERSION,
        "from": rfc3339(report.from),
        "to": rfc3339(report.to),
        "made": rfc3339(report.made),
        "outcomes": report.outcomes(),
        "changes": report.changes(),
        "states": states(&report.states),
        "rules": named("rule", &report.rules.first),
        "rule_count": report.rules.names,
        "hosts": named("host", &report.hosts.first),
        "host_count": report.hosts.names,
        "step_seconds": report.step / 1_000_000,
        "steps": report.steps.iter().map(|step| json!({
            "time": rfc3339(step.time),
            "outcomes": step.states.iter().sum::<u64>(),
            "changes": step.changes,
            "states": states(&step.states),
        })).collect::<Vec<_>>(),
        "problems": report.problems.iter().map(|problem| json!({
            "endpointId": endpoint::encode(&problem.host, problem.service.as_deref()),
            "host": problem.host,
            "service": problem.service,
            "state": problem.state.as_str(),
            "since": problem.since,
            "last": problem.last,
            "rule": problem.rule,
            "output": problem.output,
        })).collect::<Vec<_>>(),
        "more_problems": report.more_problems,
        "flapped": report.flapped.iter().map(|flap| json!({
            "endpointId": endpoint::encode(&flap.host, flap.service.as_deref()),
            "host": flap.host,
            "service": flap.service,
            "changes": flap.changes,
            "state": flap.state.as_str(),
        })).collect::<Vec<_>>(),
        "kept": {
            "rows": account.rows,
            "stand_for": account.stand_for,
            "unstored": account.unstored,
            "missed": account.missed,
            "oldest": account.oldest.map(rfc3339),
        },
        "notes": report.notes(),
        "unreadable": account.unreadable,
    })
}

/// The document, indented, with a line break at its end.
pub fn text(report: &Report) -> String {
    format!("{:#}\n", document(report))
}
