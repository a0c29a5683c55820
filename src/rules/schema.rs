//! Reads rule files: TOML to values with positions, before anything is compiled.

use crate::body::Form;
use crate::body::field::MOST_FIELDS;
use crate::message::PostKind;
use crate::outcome::result::{MAX_LABEL_NAME, is_label_name};
use crate::rules::hours;
use crate::rules::state_schema::{self, StateText};
use crate::rules::test_schema::{self, TestText};
use crate::settings::diagnostic::{Diagnostics, SourceText};
use crate::settings::section::{self, Located, Section};
use crate::settings::values::{names_no_host, network};
use crate::time::calendar::Hours;

/// One `[[rule]]`.
#[derive(Debug)]
pub struct RuleText {
    /// `id = ...`
    pub id: Located<String>,
    /// `trap = ...`
    pub trap: Option<Vec<Located<String>>>,
    /// `syslog = {...}`
    pub syslog: Option<SyslogText>,
    /// `checkin = ...` or `json = ...`
    pub posted: Option<(PostKind, Vec<Located<String>>)>,
    /// `tags = [...]`
    pub tags: Vec<Located<String>>,
    /// `from = [...]`
    pub from: Vec<Located<String>>,
    /// `when = {...}`
    pub when: Option<Hours>,
    /// `where = ...`
    pub where_: Option<Located<String>>,
    /// `[rule.check]`
    pub check: Option<CheckText>,
    /// `[rule.event]`
    pub event: Option<EventText>,
    /// `[rule.labels]`, and what `[labels]` of the file adds: name and template, sorted by name.
    pub labels: Vec<(Located<String>, Located<String>)>,
    /// `drop = true`
    pub drop: bool,
    /// `continue = true`
    pub continues: bool,
    /// What it keeps over time.
    pub state: StateText,
    /// `[[rule.test]]`
    pub tests: Vec<TestText>,
}

/// `syslog = {...}`
#[derive(Debug, Default)]
pub struct SyslogText {
    /// Actions of TCP Wrappers.
    pub tcp_wrappers: Option<Vec<Located<String>>>,
    /// Actions of lines about security.
    pub security: Option<Vec<Located<String>>>,
    /// What writes such lines.
    pub source: Option<Vec<Located<String>>>,
    /// Program names with wildcards.
    pub program: Option<Vec<Located<String>>>,
    /// Types of messages with wildcards.
    pub msgid: Option<Vec<Located<String>>>,
    /// A regular expression over the message.
    pub message: Option<Located<String>>,
    /// Facilities by name or number.
    pub facility: Option<Vec<Located<String>>>,
    /// Severities by name or number.
    pub severity: Option<Vec<Located<String>>>,
    /// Forms of the message.
    pub body: Option<Vec<Located<String>>>,
    /// Names of values by their position, counted from 1.
    pub columns: Vec<(usize, Located<String>)>,
}

/// `[rule.check]`
#[derive(Debug)]
pub struct CheckText {
    /// The host. Default: `{{ host }}`.
    pub host: Option<Located<String>>,
    /// The service; left out for a result of the host.
    pub service: Option<Located<String>>,
    /// A state, or an expression that gives one.
    pub state: Located<String>,
    /// The output. Default: `{{ trap }} {{ text }}`, of lines `{{ message }}`.
    pub output: Option<Located<String>>,
    /// Further lines of output.
    pub long_output: Option<Located<String>>,
    /// Performance data.
    pub perfdata: Option<Located<String>>,
}

/// `[rule.event]`
#[derive(Debug)]
pub struct EventText {
    /// The component. Default: `{{ host }}`.
    pub component: Option<Located<String>>,
    /// The resource.
    pub resource: Option<Located<String>>,
    /// A state, or an expression that gives one.
    pub state: Located<String>,
    /// The output. Default: `{{ trap }} {{ text }}`, of lines `{{ message }}`.
    pub output: Option<Located<String>>,
    /// Further lines of output.
    pub long_output: Option<Located<String>>,
    /// Further fields: name and template.
    pub fields: Vec<(Located<String>, Located<String>)>,
}

/// Reads a rule file.
pub fn read(source: &SourceText<'_>, found: &mut Diagnostics) -> Vec<RuleText> {
    let Some(root) = section::read(source, found) else { return Vec::new() };
    let root = Section::new(source, root.get_ref(), root.span(), "a rule file");
    let defaults = root.section("labels", found).map(|s| labels(&s, found)).unwrap_or_default();
    let sections = root.sections("rule", found);
    let mut rules = Vec::new();
    for section in sections {
        if found.len() > MANY && found.has_errors() {
            found.push(
                section.error(
                    "there are many mistakes before this rule; it and those behind it are not read",
                    "",
                ),
            );
            break;
        }
        rules.extend(rule(section, &defaults, found));
    }
    root.finish(found);
    rules
}

/// After so many mistakes no further rules are read: the place of each is looked for from the beginning of the file on.
const MANY: usize = 2_000;

/// The most labels of a rule, with those of its file.
const MOST_LABELS: usize = 16;

type Labels = Vec<(Located<String>, Located<String>)>;

fn labels(section: &Section<'_, '_>, found: &mut Diagnostics) -> Labels {
    let mut labels = Labels::new();
    for (name, span, value) in section.entries() {
        if !is_label_name(name) {
            let hint =
                format!("use letters, digits and '_', at most {MAX_LABEL_NAME}, and no digit at the start");
            let message = format!("'{name}' can be no name of a label");
            found.push(section.source().error(&span, message, Some(hint)));
            continue;
        }
        match value.get_ref().as_str() {
            Some(text) => {
                let text = Located { value: text.to_owned(), span: value.span() };
                labels.push((Located { value: name.to_owned(), span }, text));
            }
            None => {
                let hint = Some("write a template in quotes".to_owned());
                found.push(section.source().error(
                    &span,
                    format!("the label '{name}' must be a string"),
                    hint,
                ));
            }
        }
    }
    if labels.len() > MOST_LABELS {
        let message = format!("a rule has at most {MOST_LABELS} labels");
        found.push(section.error(message, "remove some of them"));
    }
    labels
}

/// Reads `from`. What looks like an address or a network and is none would never match, without a word.
fn senders(section: &Section<'_, '_>, found: &mut Diagnostics) -> Vec<Located<String>> {
    let from = section.strings("from", found).unwrap_or_default();
    for sender in from.iter().filter(|sender| network(sender).is_err()) {
        if let Some(what) = names_no_host(sender) {
            let message = format!("'{}' {what}", sender.escape_debug());
            let hint = "write 192.0.2.1, 192.0.2.0/24, or the name of a host with * and ?".to_owned();
            found.push(section.source().error(&sender.span, message, Some(hint)));
        }
    }
    from
}

fn rule(section: Section<'_, '_>, defaults: &Labels, found: &mut Diagnostics) -> Option<RuleText> {
    let id = section.string("id", found);
    if id.is_none() {
        found.push(section.lacks(&["id"], "the rule has no id", "add one, such as id = \"link-down\""));
    }
    let trap = section.strings("trap", found);
    let syslog = section.section("syslog", found).map(|s| syslog(s, found));
    let checkin = section.strings("checkin", found);
    let json = section.strings("json", found);
    let posted = match (checkin, json) {
        (Some(names), _) => Some((PostKind::CheckIn, names)),
        (None, names) => names.map(|names| (PostKind::Json, names)),
    };
    let tags = section.strings("tags", found).unwrap_or_default();
    let from = senders(&section, found);
    let where_ = section.string("where", found);
    let when = hours::when(&section, found);
    let misplaced = |key: &str| section.misplaces(key);
    let check = section.section("check", found).map(|s| check(s, &misplaced, found));
    let event = section.section("event", found).and_then(|s| event(s, &misplaced, found));
    let given = section.section("labels", found).map(|s| (s.span(), labels(&s, found)));
    let flag = |key, found: &mut Diagnostics| section.boolean(key, found).is_some_and(|b| b.value);
    let (drop, continues) = (flag("drop", found), flag("continue", found));
    let state = state_schema::read(&section, found);
    let tests =
        section.sections("test", found).into_iter().filter_map(|s| test_schema::read(s, found)).collect();
    let named = id.as_ref().map_or_else(String::new, |id| format!(" '{}'", id.value));
    let kinds = ["trap", "syslog", "checkin", "json"].iter().filter(|key| section.get(key).is_some()).count();
    if kinds != 1 {
        found.push(section.error(
            format!("rule{named} must have one of 'trap', 'syslog', 'checkin' and 'json'"),
            "write which messages it is for, such as trap = \"IF-MIB::linkDown\", syslog = { program = \"sshd\" } or checkin = \"backup-*\"",
        ));
    }
    let makes = section.get("check").is_some() || section.get("event").is_some();
    if makes == drop {
        let (what, hint) = if drop {
            ("has both 'drop' and [rule.check] or [rule.event]", "remove one of them")
        } else {
            ("makes no outcome", "add [rule.check], [rule.event] or drop = true")
        };
        found.push(section.lacks(&["check", "event", "drop"], format!("rule{named} {what}"), hint));
    }
    if let (true, Some((key, span))) = (drop, state.given.first()) {
        let message = format!("rule{named} makes nothing that '{key}' could be about");
        let hint = Some(format!("remove '{key}', or replace drop by [rule.check] or [rule.event]"));
        found.push(section.source().error(span, message, hint));
    }
    if let (true, Some((span, _))) = (drop, &given) {
        let message = format!("rule{named} makes nothing that could have labels");
        let hint = Some("remove [rule.labels], or replace drop by [rule.check] or [rule.event]".to_owned());
        found.push(section.source().error(span, message, hint));
    }
    let mut labels = given.map(|(_, labels)| labels).unwrap_or_default();
    let others = defaults.iter().filter(|(name, _)| !labels.iter().any(|(own, _)| own.value == name.value));
    let others: Labels = others.cloned().collect();
    labels.extend(others);
    labels.sort_unstable_by(|(a, _), (b, _)| a.value.cmp(&b.value));
    if labels.len() > MOST_LABELS {
        let message = format!("rule{named} has {} labels with those of its file", labels.len());
        found.push(section.error(message, &format!("a rule has at most {MOST_LABELS} labels")));
    }
    if event.is_some() && check.is_none() {
        section.are_elsewhere(&OF_EVENTS, "[rule.event]");
    } else {
        section.are_elsewhere(&OF_CHECKS, "[rule.check]");
    }
    section.finish(found);
    Some(RuleText {
        id: id?,
        trap,
        syslog,
        posted,
        tags,
        from,
        when,
        where_,
        check,
        event,
        labels,
        drop,
        continues,
        state,
        tests,
    })
}

fn syslog(section: Section<'_, '_>, found: &mut Diagnostics) -> SyslogText {
    let text = SyslogText {
        tcp_wrappers: section.strings("tcp_wrappers", found),
        security: section.strings("security", found),
        source: section.strings("source", found),
        program: section.strings("program", found),
        msgid: section.strings("msgid", found),
        message: section.string("message", found),
        facility: words(&section, "facility", found),
        severity: words(&section, "severity", found),
        body: section.strings("body", found),
        columns: section.section("columns", found).map(|s| columns(&s, found)).unwrap_or_default(),
    };
    let has_csv = text.body.iter().flatten().any(|kind| kind.as_str() == Form::Csv.as_str());
    if !text.columns.is_empty() && !has_csv {
        found.push(section.error("'columns' without body = \"csv\"", "add body = \"csv\""));
    }
    section.finish(found);
    text
}

/// `columns = { 4 = "type" }`
fn columns(section: &Section<'_, '_>, found: &mut Diagnostics) -> Vec<(usize, Located<String>)> {
    let mut columns: Vec<(usize, Located<String>)> = Vec::new();
    for (key, span, value) in section.entries() {
        let mut error = |message: String, hint: &str| {
            found.push(section.source().error(&span, message, Some(hint.to_owned())));
        };
        let Some(at) = key.parse::<usize>().ok().filter(|at| (1..=MOST_FIELDS).contains(at)) else {
            error(
                format!("'{key}' is no position of a value: they count from 1 to {MOST_FIELDS}"),
                "write columns = { 4 = \"type\" }",
            );
            continue;
        };
        match value.get_ref().as_str() {
            Some(name) if columns.iter().any(|(_, other)| other.value == name) => {
                error(format!("two columns have the name '{name}'"), "give each a name of its own");
            }
            Some(name) => columns.push((at, Located { value: name.to_owned(), span: value.span() })),
            None => error(
                format!("the name of column {key} must be a string"),
                "write columns = { 4 = \"type\" }",
            ),
        }
    }
    columns
}

/// A name or a number, or an array of them.
fn words(
    section: &Section<'_, '_>,
    key: &'static str,
    found: &mut Diagnostics,
) -> Option<Vec<Located<String>>> {
    let value = section.get(key)?;
    let items = match value.get_ref().as_array() {
        Some(array) => array.iter().collect(),
        None => vec![value],
    };
    let mut words = Vec::new();
    for item in items {
        let text = item.get_ref().as_str().map(str::to_owned);
        match text.or_else(|| section::as_integer(item.get_ref()).map(|number| number.to_string())) {
            Some(value) => words.push(Located { value, span: item.span() }),
            None => {
                let message = format!("'{key}' must be a name or a number, or an array of them");
                let hint = Some(format!("write {key} = \"NAME\" or {key} = 4"));
                found.push(section.source().error(&item.span(), message, hint));
            }
        }
    }
    Some(words)
}

/// `misplaced` says which keys stand in the rule, where they do not belong and are told to.
fn state(
    section: &Section<'_, '_>,
    misplaced: &dyn Fn(&str) -> bool,
    found: &mut Diagnostics,
) -> Option<Located<String>> {
    if section.get("state").is_none() && !misplaced("state") {
        found.push(section.error(
            "'state' is missing",
            "add one, such as state = \"critical\", or an expression: state = \"'ok' if ifOperStatus == 'up' else 'critical'\"",
        ));
    }
    section.string("state", found)
}

/// A state for a section whose own stands elsewhere.
fn placeholder(section: &Section<'_, '_>, misplaced: &dyn Fn(&str) -> bool) -> Option<Located<String>> {
    misplaced("state").then(|| Located { value: "unknown".into(), span: section.span() })
}

/// The keys of `[rule.check]`.
pub(super) const OF_CHECKS: [&str; 6] = ["host", "service", "state", "output", "long_output", "perfdata"];

/// The keys of `[rule.event]` that have a meaning of their own.
pub(super) const OF_EVENTS: [&str; 5] = ["component", "resource", "output", "long_output", "state"];

fn check(section: Section<'_, '_>, misplaced: &dyn Fn(&str) -> bool, found: &mut Diagnostics) -> CheckText {
    let state = state(&section, misplaced, found);
    let mut text = CheckText {
        host: section.string("host", found),
        service: section.string("service", found),
        output: section.string("output", found),
        long_output: section.string("long_output", found),
        perfdata: section.string("perfdata", found),
        state: state.unwrap_or(Located { value: "unknown".into(), span: section.span() }),
    };
    if section.unknown(found).contains(&"service") || misplaced("service") {
        // The check is meant for a service: hosts have other states.
        text.service =
            text.service.or_else(|| Some(Located { value: "unknown".into(), span: section.span() }));
    }
    text
}

fn event(
    section: Section<'_, '_>,
    misplaced: &dyn Fn(&str) -> bool,
    found: &mut Diagnostics,
) -> Option<EventText> {
    let state = state(&section, misplaced, found);
    let Some(state) = state.or_else(|| placeholder(&section, misplaced)) else {
        section.cut_short(found);
        return None;
    };
    let mut text = EventText {
        component: section.string("component", found),
        resource: section.string("resource", found),
        output: section.string("output", found),
        long_output: section.string("long_output", found),
        state,
        fields: Vec::new(),
    };
    for (key, span, value) in section.entries() {
        if OF_EVENTS.contains(&key) {
            continue;
        }
        match value.get_ref().as_str() {
            Some(template) => {
                let name = Located { value: key.to_owned(), span };
                text.fields.push((name, Located { value: template.to_owned(), span: value.span() }));
            }
            None => {
                found.push(section.source().error(
                    &span,
                    format!("'{key}' must be a string"),
                    Some("write a template in quotes".to_owned()),
                ));
            }
        }
    }
    Some(text)
}
