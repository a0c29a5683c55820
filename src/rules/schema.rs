//! Rule files as they are written: TOML to values with places, before anything is compiled.

use toml::de::DeValue;

use crate::settings::diagnostic::{Diagnostics, SourceText};
use crate::settings::section::{self as document, Located, Section};

/// One `[[rule]]`.
#[derive(Debug)]
pub struct RuleText {
    /// Its id.
    pub id: Located<String>,
    /// `trap = ...`
    pub trap: Option<Vec<Located<String>>>,
    /// `syslog = {...}`
    pub syslog: Option<SyslogText>,
    /// `tags = [...]`
    pub tags: Vec<Located<String>>,
    /// `from = [...]`
    pub from: Vec<Located<String>>,
    /// `where = ...`
    pub where_: Option<Located<String>>,
    /// `[rule.check]`
    pub check: Option<CheckText>,
    /// `[rule.event]`
    pub event: Option<EventText>,
    /// `drop = true`
    pub drop: bool,
    /// `continue = true`
    pub goes_on: bool,
    /// `[[rule.test]]`
    pub tests: Vec<TestText>,
}

/// `syslog = {...}`
#[derive(Debug, Default)]
pub struct SyslogText {
    /// What TCP Wrappers did.
    pub tcp_wrappers: Option<Vec<Located<String>>>,
    /// Programs by name or glob.
    pub program: Option<Vec<Located<String>>>,
    /// A regular expression over the message.
    pub message: Option<Located<String>>,
    /// Facilities by name or number.
    pub facility: Option<Vec<Located<String>>>,
    /// Severities by name or number.
    pub severity: Option<Vec<Located<String>>>,
}

/// `[rule.check]`
#[derive(Debug)]
pub struct CheckText {
    /// Template of the host; `{{ host }}` if left out.
    pub host: Option<Located<String>>,
    /// Template of the service; left out for a result of the host.
    pub service: Option<Located<String>>,
    /// State or expression.
    pub state: Located<String>,
    /// Template of the output.
    pub output: Option<Located<String>>,
    /// Template of further lines.
    pub long_output: Option<Located<String>>,
    /// Template of performance data.
    pub perfdata: Option<Located<String>>,
}

/// `[rule.event]`
#[derive(Debug)]
pub struct EventText {
    /// Template of the component; `{{ host }}` if left out.
    pub component: Option<Located<String>>,
    /// Template of the resource.
    pub resource: Option<Located<String>>,
    /// State or expression.
    pub state: Located<String>,
    /// Template of the output.
    pub output: Option<Located<String>>,
    /// Template of further lines.
    pub long_output: Option<Located<String>>,
    /// Templates of further fields.
    pub fields: Vec<(String, Located<String>)>,
}

/// `[[rule.test]]`
#[derive(Debug)]
pub struct TestText {
    /// Where it stands.
    pub span: std::ops::Range<usize>,
    /// The message.
    pub input: TestInput,
    /// The sender's address; 192.0.2.1 if left out.
    pub from: Option<Located<String>>,
    /// The fields that the rule's outcome must have.
    pub expect: Vec<(Located<String>, Scalar)>,
}

/// The message of a test.
#[derive(Debug)]
pub enum TestInput {
    /// A notification.
    Trap {
        /// Name or OID.
        trap: Located<String>,
        /// "1" or "2c".
        version: Option<Located<String>>,
        /// The agent address of a v1 trap.
        agent: Option<Located<String>>,
        /// Instances and values, in order.
        varbinds: Vec<(Located<String>, Scalar)>,
    },
    /// A line of syslog.
    Line(Located<String>),
}

/// A value of a test.
#[derive(Debug, Clone, PartialEq)]
pub enum Scalar {
    /// Text.
    Text(String),
    /// A whole number.
    Integer(i64),
    /// A number with a fraction.
    Float(f64),
    /// True or false.
    Boolean(bool),
}

/// Reads a rule file.
pub fn read(source: &SourceText<'_>, found: &mut Diagnostics) -> Vec<RuleText> {
    let Some(root) = document::read(source, found) else { return Vec::new() };
    let root = Section::new(source, root.get_ref(), root.span(), "a rule file");
    let sections = root.sections("rule", found);
    let rules = sections.into_iter().filter_map(|section| rule(section, found)).collect();
    root.finish(found);
    rules
}

fn rule(section: Section<'_, '_>, found: &mut Diagnostics) -> Option<RuleText> {
    let id = section.string("id", found);
    if id.is_none() {
        found.push(section.error("a rule without an id", "give it one: id = \"link-down\""));
    }
    let trap = section.strings("trap", found);
    let syslog = section.section("syslog", found).map(|s| syslog(s, found));
    let tags = section.strings("tags", found).unwrap_or_default();
    let from = section.strings("from", found).unwrap_or_default();
    let where_ = section.string("where", found);
    let check = section.section("check", found).map(|s| check(s, found));
    let event = section.section("event", found).and_then(|s| event(s, found));
    let flag = |key, found: &mut Diagnostics| section.boolean(key, found).is_some_and(|b| b.value);
    let (drop, goes_on) = (flag("drop", found), flag("continue", found));
    let tests = section.sections("test", found).into_iter().filter_map(|s| test(s, found)).collect();
    let named = id.as_ref().map_or_else(String::new, |id| format!(" '{}'", id.value));
    if trap.is_some() == syslog.is_some() {
        found.push(section.error(
            format!("rule{named} must have either 'trap' or 'syslog'"),
            "say which messages it is for, such as trap = \"IF-MIB::linkDown\" or syslog = { program = \"sshd\" }",
        ));
    }
    let makes = section.get("check").is_some() || section.get("event").is_some();
    if makes == drop {
        let (what, hint) = if drop {
            ("has both 'drop' and something to make", "remove one of them")
        } else {
            ("makes nothing", "add [rule.check], [rule.event] or drop = true")
        };
        found.push(section.error(format!("rule{named} {what}"), hint));
    }
    section.finish(found);
    Some(RuleText { id: id?, trap, syslog, tags, from, where_, check, event, drop, goes_on, tests })
}

fn syslog(section: Section<'_, '_>, found: &mut Diagnostics) -> SyslogText {
    let text = SyslogText {
        tcp_wrappers: section.strings("tcp_wrappers", found),
        program: section.strings("program", found),
        message: section.string("message", found),
        facility: section.strings("facility", found),
        severity: section.strings("severity", found),
    };
    section.finish(found);
    text
}

fn state(section: &Section<'_, '_>, found: &mut Diagnostics) -> Option<Located<String>> {
    if section.get("state").is_none() {
        found.push(section.error(
            "'state' is missing",
            "give one, such as state = \"critical\", or an expression: state = \"'ok' if ifOperStatus == 'up' else 'critical'\"",
        ));
    }
    section.string("state", found)
}

fn check(section: Section<'_, '_>, found: &mut Diagnostics) -> CheckText {
    let state = state(&section, found);
    let text = CheckText {
        host: section.string("host", found),
        service: section.string("service", found),
        output: section.string("output", found),
        long_output: section.string("long_output", found),
        perfdata: section.string("perfdata", found),
        state: state.unwrap_or(Located { value: "unknown".into(), span: section.span() }),
    };
    section.finish(found);
    text
}

fn event(section: Section<'_, '_>, found: &mut Diagnostics) -> Option<EventText> {
    let state = state(&section, found)?;
    let mut text = EventText {
        component: section.string("component", found),
        resource: section.string("resource", found),
        output: section.string("output", found),
        long_output: section.string("long_output", found),
        state,
        fields: Vec::new(),
    };
    for (key, span, value) in section.entries() {
        if ["component", "resource", "output", "long_output", "state"].contains(&key) {
            continue;
        }
        match value.get_ref().as_str() {
            Some(template) => {
                text.fields
                    .push((key.to_owned(), Located { value: template.to_owned(), span: value.span() }));
            }
            None => {
                found.push(section.source().error(
                    &span,
                    format!("'{key}' must be a string (a template)"),
                    None,
                ));
            }
        }
    }
    Some(text)
}

fn test(section: Section<'_, '_>, found: &mut Diagnostics) -> Option<TestText> {
    let trap = section.string("trap", found);
    let version = section.string("version", found);
    let agent = section.string("agent", found);
    let line = section.string("line", found);
    let from = section.string("from", found);
    let varbinds = section.section("varbinds", found).map(|s| scalars(&s, found)).unwrap_or_default();
    let expect = match section.section("expect", found) {
        Some(expect) => scalars(&expect, found),
        None => {
            found.push(
                section
                    .error("a test without 'expect'", "add one, such as expect = { state = \"critical\" }"),
            );
            Vec::new()
        }
    };
    let input = match (trap, line) {
        (Some(trap), None) => Some(TestInput::Trap { trap, version, agent, varbinds }),
        (None, Some(line)) => Some(TestInput::Line(line)),
        _ => {
            found.push(
                section.error("a test must have either 'trap' or 'line'", "give the message to test with"),
            );
            None
        }
    };
    let span = section.span();
    section.finish(found);
    Some(TestText { span, input: input?, from, expect })
}

fn scalars(section: &Section<'_, '_>, found: &mut Diagnostics) -> Vec<(Located<String>, Scalar)> {
    let mut scalars = Vec::new();
    for (key, span, value) in section.entries() {
        let scalar = match value.get_ref() {
            DeValue::String(text) => Some(Scalar::Text(text.to_string())),
            DeValue::Boolean(b) => Some(Scalar::Boolean(*b)),
            DeValue::Float(number) => number.as_str().parse().ok().map(Scalar::Float),
            integer => document::as_integer(integer).map(Scalar::Integer),
        };
        match scalar {
            Some(scalar) => scalars.push((Located { value: key.to_owned(), span }, scalar)),
            None => {
                let message = format!("'{key}' must be a string, a number or a boolean");
                found.push(section.source().error(&value.span(), message, None));
            }
        }
    }
    scalars
}
