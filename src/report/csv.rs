//! A report as CSV: one table, whose first column says what a line is.

use super::figures::Report;
use crate::history::export::push_field;
use crate::outcome::name::visible;
use crate::outcome::result::State;
use crate::time::clock::rfc3339;

/// The names of the columns.
pub const COLUMNS: [&str; 9] =
    ["table", "time", "host", "service", "rule", "state", "outcomes", "changes", "text"];

/// The fields of a line; those that are not given are empty.
#[derive(Debug, Default)]
struct Line<'l> {
    table: &'l str,
    time: &'l str,
    host: &'l str,
    service: &'l str,
    rule: &'l str,
    state: &'l str,
    outcomes: Option<u64>,
    changes: Option<u64>,
    text: &'l str,
}

impl Line<'_> {
    fn push(&self, out: &mut String) {
        let number = |number: Option<u64>| number.map_or(String::new(), |number| number.to_string());
        let (outcomes, changes) = (number(self.outcomes), number(self.changes));
        push(
            out,
            [
                self.table,
                self.time,
                self.host,
                self.service,
                self.rule,
                self.state,
                &outcomes,
                &changes,
                self.text,
            ],
        );
    }
}

/// Control characters and those that turn text become visible, so that a line of the file is a line of the table.
fn push(out: &mut String, fields: [&str; COLUMNS.len()]) {
    for (at, field) in fields.into_iter().enumerate() {
        if at > 0 {
            out.push(',');
        }
        push_field(out, &visible(field));
    }
    out.push_str("\r\n");
}

/// The table.
pub fn text(report: &Report) -> String {
    let mut out = String::new();
    push(&mut out, COLUMNS);
    let (from, to) = (rfc3339(report.from), rfc3339(report.to));
    let total =
        Line { outcomes: Some(report.outcomes()), changes: Some(report.changes()), ..Line::default() };
    Line { table: "from", time: &from, ..total }.push(&mut out);
    Line { table: "to", time: &to, ..Line::default() }.push(&mut out);
    Line { table: "made", time: &rfc3339(report.made), ..Line::default() }.push(&mut out);
    for (state, count) in State::ALL.iter().zip(report.states) {
        Line { table: "state", state: state.as_str(), outcomes: Some(count), ..Line::default() }
            .push(&mut out);
    }
    for (rule, count) in &report.rules.first {
        Line { table: "rule", rule, outcomes: Some(*count), ..Line::default() }.push(&mut out);
    }
    for (host, count) in &report.hosts.first {
        Line { table: "host", host, outcomes: Some(*count), ..Line::default() }.push(&mut out);
    }
    for step in &report.steps {
        let time = rfc3339(step.time);
        let outcomes = Some(step.states.iter().sum());
        Line {
            table: report.step_name(),
            time: &time,
            outcomes,
            changes: Some(step.changes),
            ..Line::default()
        }
        .push(&mut out);
    }
    for problem in &report.problems {
        Line {
            table: "problem",
            time: &problem.since,
            host: &problem.host,
            service: problem.service.as_deref().unwrap_or_default(),
            rule: &problem.rule,
            state: problem.state.as_str(),
            text: &problem.output,
            ..Line::default()
        }
        .push(&mut out);
    }
    for flap in &report.flapped {
        Line {
            table: "flapped",
            host: &flap.host,
            service: flap.service.as_deref().unwrap_or_default(),
            state: flap.state.as_str(),
            changes: Some(flap.changes),
            ..Line::default()
        }
        .push(&mut out);
    }
    for note in report.notes() {
        Line { table: "note", text: &note, ..Line::default() }.push(&mut out);
    }
    out
}
