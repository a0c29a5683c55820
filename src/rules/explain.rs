//! Explains which rules match a message and which do not.

use crate::body::bodies::likely;
use crate::language::names::{Names, Resolved};
use crate::language::syntax;
use crate::language::value::Val;
use crate::message::SyslogLine;
use crate::rules::context::MessageContext;
use crate::rules::cut::cut;
use crate::rules::matching::{Glob, LinePattern, Matcher, RejectReason};
use crate::rules::rule::{Rule, RuleSet};
use crate::rules::scope::{Messages, Scope};
use crate::syslog::{FACILITIES, SEVERITIES};

/// The rules that match a message, and the near misses.
#[derive(Debug)]
pub struct Explanation<'r> {
    /// The rules that match, in their order.
    pub matched: Vec<&'r Rule>,
    /// The rules that nearly match, and why they do not.
    pub rejected: Vec<(&'r Rule, String)>,
}

impl RuleSet {
    /// Explains which rules match a message.
    pub fn explain(&self, context: &MessageContext<'_>) -> Explanation<'_> {
        let cut = cut(context.message, self.max_message);
        let context = &cut.as_ref().map_or(*context, |message| MessageContext { message, ..*context });
        let mut explanation = Explanation { matched: Vec::new(), rejected: Vec::new() };
        let mut matched_by: Option<&Rule> = None;
        for rule in &self.rules {
            match (self.matches(rule, context), matched_by) {
                (Ok(_), None) => {
                    explanation.matched.push(rule);
                    if !rule.continues {
                        matched_by = Some(rule);
                    }
                }
                (Ok(_), Some(first)) => {
                    let reason = format!("rule '{}' matches first, without continue = true", first.id);
                    explanation.rejected.push((rule, reason));
                }
                (Err(reason), _) => {
                    if let Some(text) = self.near_miss(rule, reason, context) {
                        explanation.rejected.push((rule, text));
                    }
                }
            }
        }
        explanation
    }

    /// Why a rule does not match a message, in words; none if it is no near miss.
    fn near_miss(&self, rule: &Rule, reason: RejectReason, context: &MessageContext<'_>) -> Option<String> {
        Some(match reason {
            RejectReason::Access => {
                // A near miss only if nothing else prevents the match.
                let all = MessageContext { tags: None, ..*context };
                self.matches(rule, &all).ok()?;
                let tags = if rule.tags.is_empty() { "none".to_owned() } else { rule.tags.join(", ") };
                format!("[[snmp.access]] grants the sender none of the rule's tags ({tags})")
            }
            RejectReason::Trap => {
                // A sibling is a near miss: traps of one module are easily confused.
                let oid = &context.notification()?.oid;
                let parent = oid.lineage().nth(1)?;
                let Matcher::Trap(traps) = &rule.matcher else { return None };
                let sibling = traps.iter().find(|t| t.oid.lineage().nth(1).as_ref() == Some(&parent))?;
                format!("rule wants {}; message is {}", self.mib.name_of(&sibling.oid), self.mib.name_of(oid))
            }
            RejectReason::From => {
                format!("neither sender {} nor host '{}' matches its from", context.address, context.host)
            }
            RejectReason::When => "it came at another time than the rule's when".to_owned(),
            RejectReason::OverBudget => {
                "its pattern or where is over budget: it takes too long for this message".to_owned()
            }
            RejectReason::Where => {
                let (source, _) = rule.where_.as_ref()?;
                format!("where is false: {source}{}", self.values_in(rule, source, context))
            }
            RejectReason::Posted => {
                let (Matcher::Posted(pattern), Some(posted)) = (&rule.matcher, context.posted()) else {
                    return None;
                };
                let kind = posted.kind();
                if pattern.kind != kind {
                    return None;
                }
                let names: Vec<String> = pattern.names.iter().map(ToString::to_string).collect();
                let (kind, wants) = (kind.as_str(), names.join(" or "));
                format!("rule wants {kind} = {wants}; message has {}", posted.name.escape_debug())
            }
            on_line => {
                let line = context.syslog()?;
                let Matcher::Syslog(pattern) = &rule.matcher else { return None };
                if !nearly(pattern, line) {
                    return None;
                }
                reason_on_line(on_line, pattern, line)
            }
        })
    }

    /// The values of the variables in a condition, in parentheses.
    fn values_in(&self, rule: &Rule, source: &str, context: &MessageContext<'_>) -> String {
        let names = match &rule.matcher {
            Matcher::Syslog(pattern) => pattern.message.as_ref().map_or(&[][..], |p| p.names()),
            Matcher::Trap(_) | Matcher::Posted(_) => &[],
        };
        let traps = rule.matcher.trap_oids();
        let columns = match &rule.matcher {
            Matcher::Syslog(pattern) => pattern.columns.as_slice(),
            Matcher::Trap(_) | Matcher::Posted(_) => &[],
        };
        let kind = Messages::of(&rule.matcher);
        let scope = Scope {
            mib: &self.mib,
            kind,
            captures: names,
            columns,
            traps: &traps,
            asked: None,
            lookups: None,
        };
        let Ok(parsed) = syntax::expression(source) else { return String::new() };
        let captures = match (&rule.matcher, context.syslog()) {
            (Matcher::Syslog(pattern), Some(line)) => pattern.matches(line).unwrap_or_default(),
            _ => Vec::new(),
        };
        let mut values: Vec<String> = syntax::paths(&[&parsed])
            .into_iter()
            .filter_map(|path| {
                let Resolved::Variable(variable) = scope.resolve(&path) else { return None };
                let name = source.get(path.span)?;
                Some(match variable.get(context, &captures, &self.mib) {
                    Val::Undefined => format!("{name} is missing"),
                    value => format!("{name} is '{}'", value.into_text().escape_debug()),
                })
            })
            .collect();
        values.sort();
        values.dedup();
        if values.is_empty() { String::new() } else { format!(" ({})", values.join(", ")) }
    }
}

/// Whether at least one condition of a rule holds for a line.
fn nearly(pattern: &LinePattern, line: &SyslogLine<'_>) -> bool {
    let any = |globs: &Option<Vec<Glob>>, text: Option<&str>| {
        globs.as_ref().zip(text).is_some_and(|(globs, text)| globs.iter().any(|glob| glob.matches(text)))
    };
    let program = any(&pattern.program, line.program) || any(&pattern.msgid, line.msgid);
    let message = pattern.message_matches(line);
    let wrapper = pattern.tcp_wrappers.is_some() && line.tcp_wrappers.is_some();
    let security = (pattern.security.is_some() || pattern.source.is_some()) && line.security.is_some();
    program || message || wrapper || security
}

/// What the rule wants and what the line has.
fn reason_on_line(reason: RejectReason, pattern: &LinePattern, line: &SyslogLine<'_>) -> String {
    let name = |number: Option<u8>, names: &[&'static str]| {
        number.and_then(|n| names.get(usize::from(n)).copied()).unwrap_or("none").to_owned()
    };
    let listed = |bits: Option<u32>, names: &[&str]| {
        let all = names.iter().enumerate().filter(|(at, _)| bits.unwrap_or(0) & (1 << at) != 0);
        all.map(|(_, name)| *name).collect::<Vec<_>>().join(" or ")
    };
    let (key, wants, has) = match reason {
        RejectReason::TcpWrappers => {
            let actions = pattern.tcp_wrappers.iter().flatten().map(|action| action.as_str());
            let has = match &line.tcp_wrappers {
                Some(wrapper) => wrapper.action.as_str(),
                None => "none: TCP Wrappers did not write it",
            };
            ("tcp_wrappers", actions.collect::<Vec<_>>().join(" or "), has.to_owned())
        }
        RejectReason::Program => {
            let globs = pattern.program.iter().flatten().map(ToString::to_string);
            let has = line.program.map_or("none".to_owned(), |program| program.escape_debug().to_string());
            ("program", globs.collect::<Vec<_>>().join(" or "), has)
        }
        RejectReason::Security | RejectReason::SecuritySource => {
            let none = || "none: it is no line about security that is known".to_owned();
            let security = line.security.as_ref();
            if reason == RejectReason::Security {
                let actions = pattern.security.iter().flatten().map(|action| action.as_str());
                let has = security.map_or_else(none, |security| security.action.as_str().to_owned());
                ("security", actions.collect::<Vec<_>>().join(" or "), has)
            } else {
                let globs = pattern.source.iter().flatten().map(ToString::to_string);
                let has = security.map_or_else(none, |security| security.source.escape_debug().to_string());
                ("source", globs.collect::<Vec<_>>().join(" or "), has)
            }
        }
        RejectReason::MsgId => {
            let globs = pattern.msgid.iter().flatten().map(ToString::to_string);
            let has = line.msgid.map_or("none".to_owned(), |msgid| msgid.escape_debug().to_string());
            ("msgid", globs.collect::<Vec<_>>().join(" or "), has)
        }
        RejectReason::Body => {
            let kinds = pattern.bodies.iter().flatten().map(|kind| kind.as_str());
            let has = likely(line.message).map_or("none of the forms", |(kind, _)| kind.as_str());
            ("body", kinds.collect::<Vec<_>>().join(" or "), has.to_owned())
        }
        RejectReason::Facility => {
            ("facility", listed(pattern.facilities, &FACILITIES), name(line.facility, &FACILITIES))
        }
        RejectReason::Severity => {
            ("severity", listed(pattern.severities, &SEVERITIES), name(line.severity, &SEVERITIES))
        }
        _ => return "the message does not match its pattern".to_owned(),
    };
    format!("rule wants {key} = {wants}; message has {has}")
}
