//! Rule files to a [`RuleSet`]; every mistake in all of them is found in one go.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use ipnet::IpNet;

use crate::message::WrapperAction;
use crate::mib::{Kind, Mib, Object};
use crate::oid::Oid;
use crate::outcome::result::State;
use crate::rules::engine::Engine;
use crate::rules::functions::in_a_line;
use crate::rules::index::Index;
use crate::rules::matching::{From, Glob, LinePattern, Matcher, Pattern, TrapPattern};
use crate::rules::schema::{self, CheckText, EventText, RuleText, SyslogText, TestText};
use crate::rules::template::{Compiler, Template};
use crate::rules::variable::Scope;
use crate::rules::{CheckTemplate, EventTemplate, Rule, RuleSet, StateTemplate};
use crate::settings::diagnostic::{Diagnostic, Diagnostics, SourceText, did_you_mean};
use crate::settings::section::Located;
use crate::syslog::{FACILITIES, SEVERITIES, number_of};

/// A rule file: its name as the user knows it, and its text.
#[derive(Debug, Clone)]
pub struct RuleFile {
    /// The name.
    pub name: Arc<str>,
    /// The text.
    pub text: Arc<str>,
}

/// A test that a rule carries.
#[derive(Debug)]
pub struct RuleTest {
    /// The place of its rule in the rule set.
    pub rule: usize,
    /// The file that it stands in.
    pub file: RuleFile,
    /// What it says.
    pub text: TestText,
}

/// What compiling gave.
#[derive(Debug)]
pub struct Compiled {
    /// The rules; none if anything in them is wrong.
    pub rules: Option<RuleSet>,
    /// Their tests.
    pub tests: Vec<RuleTest>,
    /// What is wrong.
    pub found: Diagnostics,
}

/// Compiles rule files, in this order.
pub fn compile(files: &[RuleFile], mib: Arc<Mib>) -> Compiled {
    let mut found = Diagnostics::default();
    let mut engine = Engine::default();
    let (mut rules, mut tests) = (Vec::new(), Vec::new());
    let mut ids: HashMap<String, Arc<str>> = HashMap::new();
    for file in files {
        let source = SourceText { file: &file.name, text: &file.text };
        for text in schema::read(&source, &mut found) {
            if let Some(other) = ids.insert(text.id.value.clone(), file.name.clone()) {
                let message = format!("rule id '{}' is already taken in {other}", text.id.value);
                found.push(source.error(
                    &text.id.span,
                    message,
                    Some("give every rule an id of its own".into()),
                ));
            }
            let mut build = Build { source: &source, mib: &mib, engine: &mut engine, found: &mut found };
            let (rule, carried) = build.rule(text, &file.name);
            let place = rules.len();
            tests.extend(carried.into_iter().map(|text| RuleTest { rule: place, file: file.clone(), text }));
            rules.extend(rule);
        }
    }
    let index = match Index::new(rules.iter().map(|r: &Rule| &r.matcher)) {
        Ok(index) => Some(index),
        Err(error) => {
            found.file_error(
                "rules",
                format!("all message patterns together: {error}"),
                "use fewer or simpler patterns",
            );
            None
        }
    };
    let rules = index.filter(|_| !found.has_errors()).map(|index| RuleSet { rules, index, engine, mib });
    Compiled { rules, tests, found }
}

struct Build<'c> {
    source: &'c SourceText<'c>,
    mib: &'c Mib,
    engine: &'c mut Engine,
    found: &'c mut Diagnostics,
}

impl Build<'_> {
    fn error(&mut self, at: &Located<String>, message: String, hint: Option<String>) {
        self.found.push(self.source.error(&at.span, message, hint));
    }

    /// The rule and its tests; no rule if something in it is wrong.
    fn rule(&mut self, text: RuleText, file: &Arc<str>) -> (Option<Rule>, Vec<TestText>) {
        let tests = text.tests;
        let matcher = match (&text.trap, &text.syslog) {
            (Some(traps), _) => Some(Matcher::Trap(traps.iter().flat_map(|t| self.trap(t)).collect())),
            (None, Some(syslog)) => Some(Matcher::Syslog(self.line(syslog))),
            (None, None) => None,
        };
        let captures: Vec<String> = match &matcher {
            Some(Matcher::Syslog(LinePattern { message: Some(pattern), .. })) => pattern.names().to_vec(),
            _ => Vec::new(),
        };
        let from = text.from.iter().map(from).collect();
        let notifications = matches!(matcher, Some(Matcher::Trap(_)));
        let scope = Scope { mib: self.mib, notifications, captures: &captures };
        let mut compiler = Compiler { source: self.source, scope, engine: self.engine, found: self.found };
        let where_ = text.where_.as_ref().map(|w| (w.value.clone(), compiler.expression(w)));
        let check = text.check.as_ref().map(|c| check(&mut compiler, c));
        let event = text.event.as_ref().map(|e| event(&mut compiler, e));
        let whole = || {
            Some(Rule {
                id: text.id.value,
                file: file.clone(),
                span: text.id.span,
                matcher: matcher?,
                tags: text.tags.into_iter().map(|tag| tag.value).collect(),
                from,
                where_: match where_ {
                    Some((source, expression)) => Some((source, expression?)),
                    None => None,
                },
                check: optional(check)?,
                event: optional(event)?,
                goes_on: text.goes_on,
                taken: AtomicU64::new(0),
            })
        };
        (whole(), tests)
    }

    /// The patterns of one entry of `trap`.
    fn trap(&mut self, text: &Located<String>) -> Vec<TrapPattern> {
        let (name, subtree) = match text.value.strip_suffix(".*") {
            Some(name) => (name, true),
            None if text.value == "*" => {
                return vec![TrapPattern { oid: Oid::from_canonical(&[]), subtree: true }];
            }
            None => (text.value.as_str(), false),
        };
        if let Ok(oid) = name.parse() {
            return vec![TrapPattern { oid, subtree }];
        }
        let found: Vec<&Object> =
            self.mib.find(name).filter(|o| subtree || o.kind == Kind::Notification).collect();
        if found.is_empty() {
            let (message, hint) = match self.mib.find(name).next() {
                Some(other) => (
                    format!("'{name}' is no notification: {} is {}", other.qualified(), other.oid),
                    Some(format!("write '{name}.*' for the traps below it")),
                ),
                None => (format!("no loaded MIB knows the trap '{name}'"), Some(self.suggest_trap(name))),
            };
            self.error(text, message, hint);
        }
        let candidates = self.mib.ambiguous(name, |o| subtree || o.kind == Kind::Notification);
        if !candidates.is_empty() {
            let message = format!("'{name}' is ambiguous: {}", candidates.join(", "));
            self.error(text, message, Some("write the one that is meant with its module".to_owned()));
        }
        found.into_iter().flat_map(|object| forms(object, subtree)).collect()
    }

    fn suggest_trap(&self, name: &str) -> String {
        let notifications = self.mib.objects().iter().filter(|o| o.kind == Kind::Notification);
        let near = if name.contains("::") {
            let names: Vec<String> = notifications.map(Object::qualified).collect();
            did_you_mean(name, names.iter().map(String::as_str))
        } else {
            did_you_mean(name, notifications.map(|o| &*o.name))
        };
        near.unwrap_or_else(|| {
            "add the folder of its MIB to mibs.paths, or give the trap by its OID".to_owned()
        })
    }

    fn line(&mut self, text: &SyslogText) -> LinePattern {
        let message = text.message.as_ref().and_then(|pattern| match Pattern::new(&pattern.value) {
            Ok(pattern) => Some(pattern),
            Err(error) => {
                self.regex_error(pattern, &error);
                None
            }
        });
        let tcp_wrappers = text
            .tcp_wrappers
            .as_ref()
            .map(|words| words.iter().filter_map(|word| self.wrapper_action(word)).collect());
        LinePattern {
            tcp_wrappers,
            program: text.program.as_ref().map(|p| p.iter().map(|p| Glob::new(&p.value, false)).collect()),
            message,
            facilities: text.facility.as_ref().map(|words| self.bits(words, &FACILITIES, "facility")),
            severities: text.severity.as_ref().map(|words| self.bits(words, &SEVERITIES, "severity")),
        }
    }

    fn wrapper_action(&mut self, word: &Located<String>) -> Option<WrapperAction> {
        let action = WrapperAction::from_word(word);
        if action.is_none() {
            let words = WrapperAction::ALL.map(WrapperAction::as_str);
            let hint = did_you_mean(word, words).unwrap_or_else(|| format!("one of {}", words.join(", ")));
            self.error(word, format!("'{}' is nothing that TCP Wrappers do", word.value), Some(hint));
        }
        action
    }

    fn bits(&mut self, words: &[Located<String>], names: &[&str], what: &str) -> u32 {
        let mut bits = 0;
        for word in words {
            match number_of(names, word) {
                Some(number) => bits |= 1 << number,
                None => {
                    let hint = did_you_mean(word, names.iter().copied())
                        .unwrap_or_else(|| format!("one of {}", names.join(", ")));
                    self.error(word, format!("'{}' is no {what}", word.value), Some(hint));
                }
            }
        }
        bits
    }

    fn regex_error(&mut self, pattern: &Located<String>, error: &regex::Error) {
        self.error(
            pattern,
            format!("the pattern is not a regular expression: {}", in_a_line(error)),
            Some("the syntax is that of the Rust crate regex: no look-around, no back-references".to_owned()),
        );
    }
}

/// The inner value of something that, if it is there, must be right.
#[allow(clippy::option_option)]
fn optional<T>(value: Option<Option<T>>) -> Option<Option<T>> {
    match value {
        Some(value) => value.map(Some),
        None => Some(None),
    }
}

/// The OIDs that a notification comes with. One defined without a 0 before its last arc comes with it from v1
/// agents (RFC 3584, section 3.1).
fn forms(object: &Object, subtree: bool) -> Vec<TrapPattern> {
    let mut forms = vec![TrapPattern { oid: object.oid.clone(), subtree }];
    let arcs: Vec<u32> = object.oid.arcs().collect();
    if let (false, [head @ .., before, last]) = (subtree, arcs.as_slice())
        && *before != 0
    {
        let with_zero: Vec<u32> = head.iter().chain([before, &0, last]).copied().collect();
        forms.extend(Oid::from_arcs(&with_zero).map(|oid| TrapPattern { oid, subtree }));
    }
    forms
}

fn from(text: &Located<String>) -> From {
    let address = || text.parse::<IpAddr>().ok().map(IpNet::from);
    match text.parse::<IpNet>().ok().or_else(address) {
        Some(net) => From::Net(net),
        None => From::Host(Glob::new(&text.value, true)),
    }
}

fn check(compiler: &mut Compiler<'_>, text: &CheckText) -> Option<CheckTemplate> {
    let state = state(compiler, &text.state, text.service.is_none());
    let mut template = |text: &Option<Located<String>>| text.as_ref().map(|t| compiler.template(t));
    let host = template(&text.host);
    let service = template(&text.service);
    let output = template(&text.output);
    let long_output = template(&text.long_output);
    let perfdata = template(&text.perfdata);
    Some(CheckTemplate {
        host: or_default(compiler, host, "{{ host }}")?,
        service: optional(service)?,
        state: state?,
        output: default_output(compiler, output)?,
        long_output: optional(long_output)?,
        perfdata: optional(perfdata)?,
    })
}

fn event(compiler: &mut Compiler<'_>, text: &EventText) -> Option<EventTemplate> {
    let state = state(compiler, &text.state, false);
    let mut template = |text: &Option<Located<String>>| text.as_ref().map(|t| compiler.template(t));
    let component = template(&text.component);
    let resource = template(&text.resource);
    let output = template(&text.output);
    let long_output = template(&text.long_output);
    let fields: Vec<_> =
        text.fields.iter().map(|(name, t)| Some((name.clone(), compiler.template(t)?))).collect();
    Some(EventTemplate {
        component: or_default(compiler, component, "{{ host }}")?,
        resource: optional(resource)?,
        state: state?,
        output: default_output(compiler, output)?,
        long_output: optional(long_output)?,
        fields: fields.into_iter().collect::<Option<_>>()?,
    })
}

fn default_output(compiler: &mut Compiler<'_>, given: Option<Option<Template>>) -> Option<Template> {
    let default = if compiler.scope.notifications { "{{ trap }} {{ text }}" } else { "{{ message }}" };
    or_default(compiler, given, default)
}

fn or_default(
    compiler: &mut Compiler<'_>,
    given: Option<Option<Template>>,
    default: &str,
) -> Option<Template> {
    match given {
        Some(given) => given,
        None => compiler.template(&Located { value: default.to_owned(), span: 0..0 }),
    }
}

fn state(compiler: &mut Compiler<'_>, text: &Located<String>, of_host: bool) -> Option<StateTemplate> {
    let fixed = if of_host { State::host(text) } else { State::service(text) };
    if let Some(state) = fixed {
        return Some(StateTemplate::Fixed(state));
    }
    let words = State::ALL.map(State::as_str);
    let word_like = text.value.chars().all(|c| c.is_ascii_alphanumeric());
    if word_like {
        let (expected, other) = if of_host { (&words[4..], &words[..4]) } else { (&words[..4], &words[4..]) };
        let swapped = other.contains(&text.value.to_lowercase().as_str());
        let near = did_you_mean(text, expected.iter().copied());
        if swapped || near.is_some() {
            let kind = if of_host { "a host (the check has no 'service')" } else { "a service" };
            let hint = near.unwrap_or_else(|| format!("one of {}", expected.join(", ")));
            let message = format!("'{}' is no state of {kind}", text.value);
            let diagnostic: Diagnostic = compiler.source.error(&text.span, message, Some(hint));
            compiler.found.push(diagnostic);
            return None;
        }
    }
    compiler.expression(text).map(StateTemplate::Expression)
}
