//! Why a message went the way it went.

use minijinja::machinery::parse_expr;

use crate::message::SyslogLine;
use crate::rules::matching::{Because, Matcher};
use crate::rules::variable::Scope;
use crate::rules::{Rule, RuleSet, Subject, expr, walk};

/// What the rules make of a message, and why the near ones did not take it.
#[derive(Debug)]
pub struct Explanation<'r> {
    /// The rules that took it, in order.
    pub matched: Vec<&'r Rule>,
    /// The rules that nearly took it, and why they did not.
    pub rejected: Vec<(&'r Rule, String)>,
}

impl RuleSet {
    /// Which rules take a message, and why the near ones do not.
    pub fn explain(&self, subject: &Subject<'_>) -> Explanation<'_> {
        let mut explanation = Explanation { matched: Vec::new(), rejected: Vec::new() };
        let mut taken_by: Option<&Rule> = None;
        for rule in &self.rules {
            match (self.takes(rule, subject), taken_by) {
                (Ok(_), None) => {
                    explanation.matched.push(rule);
                    if !rule.goes_on {
                        taken_by = Some(rule);
                    }
                }
                (Ok(_), Some(first)) => {
                    let because =
                        format!("rule '{}' before it took the message, and does not say continue", first.id);
                    explanation.rejected.push((rule, because));
                }
                (Err(because), _) => {
                    if let Some(text) = self.near_miss(rule, because, subject) {
                        explanation.rejected.push((rule, text));
                    }
                }
            }
        }
        explanation
    }

    /// In words why a rule did not take a message, if it was near.
    fn near_miss(&self, rule: &Rule, because: Because, subject: &Subject<'_>) -> Option<String> {
        Some(match because {
            Because::Access => {
                // Only where it would have taken the message else.
                let all = Subject { tags: None, ..*subject };
                self.takes(rule, &all).ok()?;
                format!("[[snmp.access]] lets its sender reach none of its tags ({})", rule.tags.join(", "))
            }
            Because::Trap => {
                // A sibling: the traps of one module are easily mistaken for each other.
                let oid = &subject.notification()?.oid;
                let parent = oid.lineage().nth(1)?;
                let Matcher::Trap(traps) = &rule.matcher else { return None };
                let sibling = traps.iter().find(|t| t.oid.lineage().nth(1).as_ref() == Some(&parent))?;
                format!("it is for {}, not for {}", self.mib.name_of(&sibling.oid), self.mib.name_of(oid))
            }
            Because::From => {
                format!("neither {} nor host '{}' is in its from", subject.address, subject.host)
            }
            Because::Where => {
                let (source, _) = rule.where_.as_ref()?;
                format!("its where is false: {source}{}", self.values_in(rule, source, subject))
            }
            on_line => {
                let line = subject.syslog()?;
                if !nearly(rule, line) {
                    return None;
                }
                reason_on_line(on_line, line)
            }
        })
    }

    /// What the variables of a condition are, in brackets.
    fn values_in(&self, rule: &Rule, source: &str, subject: &Subject<'_>) -> String {
        let captures = match &rule.matcher {
            Matcher::Syslog(pattern) => pattern.message.as_ref().map_or(&[][..], |p| p.names()),
            Matcher::Trap(_) => &[],
        };
        let notifications = matches!(rule.matcher, Matcher::Trap(_));
        let scope = Scope { mib: &self.mib, notifications, captures };
        let Ok(parsed) = parse_expr(source) else { return String::new() };
        let matched = match (&rule.matcher, subject.syslog()) {
            (Matcher::Syslog(pattern), Some(line)) => pattern.matches(line).unwrap_or_default(),
            _ => Vec::new(),
        };
        let mut values: Vec<String> = walk::variables(&[&parsed])
            .into_iter()
            .filter_map(|found| {
                let variable = expr::variable(found, &scope)?.ok()?;
                let value = variable.get(subject, &matched, &self.mib).into_text().into_owned();
                let name = source.get(walk::range(found.span()))?;
                Some(format!("{name} is '{}'", value.escape_debug()))
            })
            .collect();
        values.sort();
        values.dedup();
        if values.is_empty() { String::new() } else { format!(" ({})", values.join(", ")) }
    }
}

/// Whether at least one of the conditions that a rule names holds.
fn nearly(rule: &Rule, line: &SyslogLine<'_>) -> bool {
    let Matcher::Syslog(pattern) = &rule.matcher else { return false };
    let program = pattern
        .program
        .as_ref()
        .is_some_and(|globs| line.program.is_some_and(|p| globs.iter().any(|g| g.matches(p))));
    let message = pattern.message.as_ref().is_some_and(|p| p.matches(line.message).is_some());
    let wrapper = pattern.tcp_wrappers.is_some() && line.tcp_wrappers.is_some();
    program || message || wrapper
}

fn reason_on_line(because: Because, line: &SyslogLine<'_>) -> String {
    let number = |n: Option<u8>| n.map_or_else(|| "none".to_owned(), |n| n.to_string());
    match because {
        Because::TcpWrappers => match &line.tcp_wrappers {
            Some(wrapper) => format!("its tcp_wrappers is not '{}'", wrapper.action.as_str()),
            None => "TCP Wrappers did not write the line".to_owned(),
        },
        Because::Program => format!("its program is not '{}'", line.program.unwrap_or("").escape_debug()),
        Because::Facility => format!("its facility is not that of the line ({})", number(line.facility)),
        Because::Severity => format!("its severity is not that of the line ({})", number(line.severity)),
        _ => "its message pattern does not match".to_owned(),
    }
}
