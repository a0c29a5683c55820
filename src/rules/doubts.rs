//! What is doubtful in rules that are valid one by one: rules that no message reaches, networks that nothing comes from,
//! problems that others end, and names that a sink cannot hold.

use std::collections::{BTreeSet, HashMap};

use ipnet::IpNet;

use crate::language::template::{Expression, Template};
use crate::message::PostKind;
use crate::outcome::name::Name;
use crate::outcome::record::Record;
use crate::outcome::result::{CheckResult, Common, Event, Labels, Outcome, State};
use crate::rules::compile::{FieldPlace, RuleField, RuleFile, is_shipped};
use crate::rules::matching::{Glob, LinePattern, Matcher, Pattern, SenderPattern, TrapPattern};
use crate::rules::rule::{Rule, RuleSet, StateTemplate};
use crate::rules::variable::Variable;
use crate::settings::diagnostic::{Diagnostic, Diagnostics, Severity, SourceText};

/// Warns of the user's rules that can never match, as rules before them take all that they would take.
pub fn unreachable(rules: &RuleSet, files: &[RuleFile]) -> Diagnostics {
    let mut found = Diagnostics::default();
    let mut before = Before::default();
    for rule in rules.rules() {
        if !is_shipped(&rule.file)
            && let Some(taker) = before.taker(rule)
        {
            let message = format!(
                "rule '{}' can never match: rule '{}' of {} takes every message before it",
                rule.id, taker.id, taker.file
            );
            let hint = "put it before that rule, narrow that rule with 'where' or 'from', or give it continue = true";
            found.extend(warning(rule, files, message, hint));
        }
        before.add(rule);
    }
    found
}

/// Warns of networks in `from` of the user's rules for lines that lie outside of all networks that lines may come from. A
/// rule for notifications may mean an agent behind a relay.
pub fn outside(rules: &RuleSet, allowed: Option<&[IpNet]>, files: &[RuleFile]) -> Diagnostics {
    let mut found = Diagnostics::default();
    // An empty list has a warning of its own.
    let Some(allowed) = allowed.filter(|allowed| !allowed.is_empty()) else { return found };
    let of_lines = |rule: &&Rule| !is_shipped(&rule.file) && matches!(rule.matcher, Matcher::Syslog(_));
    for rule in rules.rules().iter().filter(of_lines) {
        for from in &rule.from {
            let SenderPattern::Net(net) = from else { continue };
            if !meets(allowed, net) {
                let message = format!(
                    "rule '{}': no line comes from {net}, which [syslog] 'allow' does not let in",
                    rule.id
                );
                found.extend(warning(rule, files, message, "correct 'from', or add the network to 'allow'"));
            }
        }
    }
    found
}

/// Warns of the user's rules that look for the type of a message among the programs, where it never is.
pub fn types_as_programs(rules: &RuleSet, files: &[RuleFile]) -> Diagnostics {
    let mut found = Diagnostics::default();
    for rule in rules.rules().iter().filter(|rule| !is_shipped(&rule.file)) {
        let Matcher::Syslog(LinePattern { program: Some(programs), .. }) = &rule.matcher else { continue };
        let Some(glob) = programs.iter().map(ToString::to_string).find(|glob| glob.starts_with(['%', '#']))
        else {
            continue;
        };
        let message = format!("rule '{}': no program is '{glob}', which is the type of a message", rule.id);
        let hint = format!("write syslog = {{ msgid = \"{glob}\" }}");
        found.extend(warning(rule, files, message, &hint));
    }
    found
}

/// Warns of rules without state that send problems of a service whose problems of another rule end by themselves: receivers
/// take that end for the end of both. Of shipped rules too if `shipped`.
pub fn ended_by_others(rules: &RuleSet, files: &[RuleFile], shipped: bool) -> Diagnostics {
    let mut found = Diagnostics::default();
    let plans = || rules.rules().iter().zip(&rules.plan().rules);
    let mut ending: HashMap<(bool, &str), (&Rule, &str)> = HashMap::new();
    for (rule, plan) in plans() {
        let by = if plan.threshold.as_ref().is_some_and(|threshold| threshold.recover.is_some()) {
            "threshold.recover"
        } else if plan.expire.as_ref().is_some_and(|expire| expire.state.is_good()) {
            "expire"
        } else {
            continue;
        };
        for service in services(rule, |_| true) {
            ending.entry(service).or_insert((rule, by));
        }
    }
    for (rule, _) in plans().filter(|(rule, plan)| !plan.tracked && (shipped || !is_shipped(&rule.file))) {
        let is_problem =
            |state: &StateTemplate| !matches!(state, StateTemplate::Fixed(state) if state.is_good());
        for service in services(rule, is_problem) {
            let Some((other, by)) = ending.get(&service) else { continue };
            let message = format!(
                "rule '{}' keeps no state, and '{by}' of rule '{}' of {} also ends its problems of '{}'",
                rule.id, other.id, other.file, service.1
            );
            let hint = "give it a service of its own, or a 'key' and 'expire'";
            found.extend(warning(rule, files, message, hint));
        }
    }
    found
}

/// The services and resources that a rule names without a variable, and whether they are those of events.
fn services(rule: &Rule, fits: impl Fn(&StateTemplate) -> bool) -> Vec<(bool, &str)> {
    let check = rule.check.as_ref().filter(|check| fits(&check.state));
    let event = rule.event.as_ref().filter(|event| fits(&event.state));
    let check = check.and_then(|check| check.service.as_ref()).map(|service| (false, service));
    let event = event.and_then(|event| event.resource.as_ref()).map(|resource| (true, resource));
    let named = [check, event].into_iter().flatten();
    named
        .filter_map(|(is_event, template)| match template {
            Template::Text(text) => Some((is_event, &**text)),
            Template::Parts(_) | Template::Program(_) => None,
        })
        .collect()
}

/// Whether a network has addresses in common with one of several.
pub fn meets(allowed: &[IpNet], net: &IpNet) -> bool {
    allowed.iter().any(|allow| allow.contains(net) || net.contains(allow))
}

/// Warns of names that a rule writes without a variable and that a sink refuses. `refusal` gives the sink and its reason.
pub fn names(
    rules: &RuleSet,
    places: &[FieldPlace],
    refusal: impl Fn(&Record<'_>) -> Option<(String, String)>,
) -> Diagnostics {
    let mut found = Diagnostics::default();
    for place in places {
        let Some((rule, name)) =
            rules.rules().get(place.rule).and_then(|rule| Some((rule, constant(rule, &place.field)?)))
        else {
            continue;
        };
        let record = Record { epoch: 0, sequence: 0, outcome: with_name(&place.field, name) };
        if let Some((sink, reason)) = refusal(&record) {
            let source = SourceText { file: &place.file.name, text: &place.file.text };
            let message = format!("sink '{sink}' makes dead letters of rule '{}': {reason}", rule.id);
            let error = source.error(&place.span, message, Some("change the name".to_owned()));
            found.push(Diagnostic { severity: Severity::Warning, ..error });
        }
    }
    found
}

/// Warns of own fields of events that a sink does not send, as it sets fields of these names itself. `sink` gives its name.
pub fn own_fields(
    rules: &RuleSet,
    places: &[FieldPlace],
    sink: impl Fn(&str) -> Option<String>,
) -> Diagnostics {
    let mut found = Diagnostics::default();
    for place in places {
        let RuleField::Event(name) = &place.field else { continue };
        let Some(rule) = rules.rules().get(place.rule) else { continue };
        let is_own = rule.event.as_ref().is_some_and(|event| event.fields.iter().any(|(own, _)| own == name));
        if let Some(sink) = is_own.then(|| sink(name)).flatten() {
            let source = SourceText { file: &place.file.name, text: &place.file.text };
            let message =
                format!("sink '{sink}' sets '{name}' itself: that of rule '{}' is not sent", rule.id);
            let error = source.error(&place.span, message, Some("use another name".to_owned()));
            found.push(Diagnostic { severity: Severity::Warning, ..error });
        }
    }
    found
}

/// The name of a field that has no variable.
fn constant<'r>(rule: &'r Rule, field: &RuleField) -> Option<&'r str> {
    let template: &Template<Variable> = match field {
        RuleField::Check(name) if name == "host" => &rule.check.as_ref()?.host,
        RuleField::Check(name) if name == "service" => rule.check.as_ref()?.service.as_ref()?,
        RuleField::Event(name) if name == "component" => &rule.event.as_ref()?.component,
        RuleField::Event(name) if name == "resource" => rule.event.as_ref()?.resource.as_ref()?,
        _ => return None,
    };
    match template {
        Template::Text(text) => Some(text),
        Template::Parts(_) | Template::Program(_) => None,
    }
}

/// An outcome with this name and others that fit everywhere.
fn with_name<'r>(field: &RuleField, name: &'r str) -> Outcome<'r> {
    let common = |state| Common {
        time: 0,
        rule: "rule".into(),
        state,
        output: "output".into(),
        long_output: "".into(),
        source: "192.0.2.1".into(),
        labels: Labels::default(),
    };
    let (fits, name) = (Name::new("name"), Name::new(name));
    match field {
        RuleField::Check(field) if field == "host" => {
            let common = common(State::Up);
            Outcome::CheckResult(CheckResult { common, host: name, service: None, perfdata: "".into() })
        }
        RuleField::Event(field) => {
            let common = common(State::Ok);
            let (component, resource) = if field == "component" { (name, None) } else { (fits, Some(name)) };
            Outcome::Event(Event { common, component, resource, fields: Vec::new() })
        }
        _ => {
            let common = common(State::Ok);
            Outcome::CheckResult(CheckResult { common, host: fits, service: Some(name), perfdata: "".into() })
        }
    }
}

fn warning(rule: &Rule, files: &[RuleFile], message: String, hint: &str) -> Diagnostics {
    let mut found = Diagnostics::default();
    if let Some(file) = files.iter().find(|file| file.name == rule.file) {
        let source = SourceText { file: &file.name, text: &file.text };
        let error = source.error(&rule.span, message, Some(hint.to_owned()));
        found.push(Diagnostic { severity: Severity::Warning, ..error });
    }
    found
}

/// The rules before one that keep what they match from later ones, by what they match.
#[derive(Default)]
struct Before<'r> {
    exact: HashMap<&'r [u8], Vec<&'r Rule>>,
    subtree: HashMap<&'r [u8], Vec<&'r Rule>>,
    lines: HashMap<Option<&'r str>, Vec<&'r Rule>>,
    posted: HashMap<(PostKind, String), Vec<&'r Rule>>,
}

impl<'r> Before<'r> {
    fn add(&mut self, rule: &'r Rule) {
        if rule.continues {
            return;
        }
        match &rule.matcher {
            Matcher::Trap(traps) => {
                for trap in traps {
                    let map = if trap.subtree { &mut self.subtree } else { &mut self.exact };
                    map.entry(trap.oid.as_bytes()).or_default().push(rule);
                }
            }
            Matcher::Syslog(line) => self.lines.entry(pattern_of(line)).or_default().push(rule),
            Matcher::Posted(posted) => {
                for glob in &posted.names {
                    self.posted.entry((posted.kind, glob.to_string())).or_default().push(rule);
                }
            }
        }
    }

    /// A rule that takes a part of what a rule would take, if such rules take all of it.
    fn taker(&self, rule: &Rule) -> Option<&'r Rule> {
        match &rule.matcher {
            Matcher::Trap(traps) => {
                let takers: Option<Vec<&Rule>> = traps.iter().map(|trap| self.of_trap(trap, rule)).collect();
                takers?.first().copied()
            }
            Matcher::Syslog(line) => [None, pattern_of(line)]
                .iter()
                .filter_map(|pattern| self.lines.get(pattern))
                .flatten()
                .find(|before| takes_line(before, line) && takes(before, rule))
                .copied(),
            Matcher::Posted(posted) => {
                let of = |glob: &Glob| {
                    let same =
                        [glob.to_string(), "*".to_owned()].map(|text| self.posted.get(&(posted.kind, text)));
                    same.into_iter().flatten().flatten().find(|before| takes(before, rule)).copied()
                };
                let takers: Option<Vec<&Rule>> = posted.names.iter().map(of).collect();
                takers?.first().copied()
            }
        }
    }

    fn of_trap(&self, trap: &TrapPattern, rule: &Rule) -> Option<&'r Rule> {
        let first = |rules: Option<&Vec<&'r Rule>>| rules?.iter().find(|before| takes(before, rule)).copied();
        let exact = || (!trap.subtree).then(|| first(self.exact.get(trap.oid.as_bytes()))).flatten();
        let above = || trap.oid.lineage().find_map(|oid| first(self.subtree.get(oid.as_bytes())));
        exact().or_else(above).or_else(|| first(self.subtree.get(&[][..])))
    }
}

fn pattern_of(line: &LinePattern) -> Option<&str> {
    line.message.as_ref().map(Pattern::as_str)
}

/// Whether a rule's conditions other than its matcher hold wherever those of another do.
fn takes(before: &Rule, rule: &Rule) -> bool {
    let from = |sender: &SenderPattern| before.from.iter().any(|other| other.includes(sender));
    (before.from.is_empty() || (!rule.from.is_empty() && rule.from.iter().all(from)))
        && rule.tags.iter().all(|tag| before.tags.contains(tag))
        && (before.when.is_none() || before.when == rule.when)
        && (before.where_.is_none() || is_same_condition(before, rule))
}

/// Whether two rules have the same condition: the same text about the same things. A name may be a group of the one rule's
/// pattern, or a column with another position there.
fn is_same_condition(before: &Rule, rule: &Rule) -> bool {
    let variables = |expression: &'_ Expression<Variable>| -> Vec<Variable> {
        match expression {
            Expression::Native(node) => node.variables().into_iter().cloned().collect(),
            Expression::Program(program) => program.variables().cloned().collect(),
        }
    };
    match (&before.where_, &rule.where_) {
        (Some((a, one)), Some((b, other))) => a == b && variables(one) == variables(other),
        _ => false,
    }
}

/// The same for the conditions on a line, other than its pattern.
fn takes_line(before: &Rule, line: &LinePattern) -> bool {
    let Matcher::Syslog(wide) = &before.matcher else { return false };
    let among = |wide: Option<u32>, narrow: Option<u32>| {
        wide.is_none_or(|wide| narrow.is_some_and(|narrow| narrow & !wide == 0))
    };
    let actions = match (&wide.tcp_wrappers, &line.tcp_wrappers) {
        (None, _) => true,
        (Some(wide), Some(narrow)) => narrow.iter().all(|action| wide.contains(action)),
        (Some(_), None) => false,
    };
    let security = match (&wide.security, &line.security) {
        (None, _) => true,
        (Some(wide), Some(narrow)) => narrow.iter().all(|action| wide.contains(action)),
        (Some(_), None) => false,
    };
    let globs = |wide: &Option<Vec<Glob>>, narrow: &Option<Vec<Glob>>| match (wide, narrow) {
        (None, _) => true,
        (Some(wide), Some(narrow)) => {
            let wide: BTreeSet<String> = wide.iter().map(ToString::to_string).collect();
            narrow.iter().all(|glob| wide.contains(&glob.to_string()))
        }
        (Some(_), None) => false,
    };
    let programs = globs(&wide.program, &line.program)
        && globs(&wide.msgid, &line.msgid)
        && globs(&wide.source, &line.source);
    let bodies = match (&wide.bodies, &line.bodies) {
        (None, _) => true,
        (Some(wide), Some(narrow)) => narrow.iter().all(|kind| wide.contains(kind)),
        (Some(_), None) => false,
    };
    actions
        && security
        && programs
        && bodies
        && among(wide.facilities, line.facilities)
        && among(wide.severities, line.severities)
}
