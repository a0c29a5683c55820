//! Compiles rule files to a [`RuleSet`]. Finds all mistakes in all files at once.

use std::collections::HashMap;
use std::fmt::{self, Display};
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64};

use crate::body::Form;
use crate::language::functions::REGEX_SYNTAX;
use crate::language::jinja::Environment;
use crate::lookup::tables::Tables;
use crate::message::{SecurityAction, WrapperAction};
use crate::mib::{Kind, Mib, Object};
use crate::oid::Oid;
use crate::rules::asks::{Asked, Declared, Service};
use crate::rules::index::Index;
use crate::rules::labels;
use crate::rules::lookups::Offered;
use crate::rules::matching::{
    Glob, LinePattern, Matcher, Pattern, PostedPattern, SenderPattern, TrapPattern,
};
use crate::rules::plan::{Plan, RuleId, RulePlan};
use crate::rules::rule::{MAX_MESSAGE, Rule, RuleSet};
use crate::rules::schema::{self, RuleText, SyslogText};
use crate::rules::scope::{Messages, Scope};
use crate::rules::state;
use crate::rules::templates::Templates;
use crate::rules::test_schema::TestText;
use crate::settings::diagnostic::{Diagnostics, SourceText, did_you_mean};
use crate::settings::section::Located;
use crate::settings::values::{in_a_line, network};
use crate::syslog::{FACILITIES, SEVERITIES, number_of};

/// What the names of shipped rule files start with.
pub const SHIPPED: &str = "shipped rules/";

/// Whether a rule file of this name is a shipped one.
pub fn is_shipped(file: &str) -> bool {
    file.starts_with(SHIPPED)
}

/// A rule file.
#[derive(Debug, Clone)]
pub struct RuleFile {
    /// The name, as the user knows it.
    pub name: Arc<str>,
    /// The text.
    pub text: Arc<str>,
}

/// A test of a rule.
#[derive(Debug)]
pub struct RuleTest {
    /// The index of its rule in the rule set.
    pub rule: usize,
    /// The file that contains it.
    pub file: RuleFile,
    /// The test as written.
    pub text: TestText,
}

/// What a part of a rule is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RuleField {
    /// `where`
    Where,
    /// `syslog.message`
    Message,
    /// A key of `[rule.check]`.
    Check(String),
    /// A key of `[rule.event]`.
    Event(String),
    /// A key of `[rule.labels]`.
    Label(String),
}

impl Display for RuleField {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            RuleField::Where => "where",
            RuleField::Message => "message",
            RuleField::Check(name) | RuleField::Event(name) | RuleField::Label(name) => name,
        })
    }
}

/// Where a part of a rule is written.
#[derive(Debug, Clone)]
pub struct FieldPlace {
    /// The index of its rule in the rule set.
    pub rule: usize,
    /// The part.
    pub field: RuleField,
    /// The file that contains it.
    pub file: RuleFile,
    /// The bytes of the file.
    pub span: Range<usize>,
}

/// The result of compiling.
#[derive(Debug)]
pub struct Compiled {
    /// The rules; none if any of them has an error.
    pub rules: Option<RuleSet>,
    /// Their tests.
    pub tests: Vec<RuleTest>,
    /// Where their patterns, conditions and templates are written.
    pub places: Vec<FieldPlace>,
    /// Errors and warnings.
    pub found: Diagnostics,
    /// The columns that they use and that tables do not have, by the places of the tables.
    pub lacking: Vec<(usize, Box<str>)>,
}

/// Compiles rule files. The order of the files is the order of their rules. A shipped rule whose id a user's rule has is
/// left out.
pub fn compile(files: &[RuleFile], mib: Arc<Mib>) -> Compiled {
    compile_with(files, mib, &Arc::default())
}

/// The same, with tables that rules may look into.
pub fn compile_with(files: &[RuleFile], mib: Arc<Mib>, tables: &Arc<Tables>) -> Compiled {
    compile_until(files, mib, tables, ("", &|| false))
}

/// The same, but `late` is asked before each rule of one file, and from when it says so on that file's rules are left out: whoever gave
/// it must not take what is compiled then.
pub fn compile_until(
    files: &[RuleFile],
    mib: Arc<Mib>,
    tables: &Arc<Tables>,
    (watched, late): (&str, &dyn Fn() -> bool),
) -> Compiled {
    let mut found = Diagnostics::default();
    let mut environment = Environment::default();
    let (mut rules, mut tests, mut places) = (Vec::new(), Vec::new(), Vec::new());
    let mut plan = Plan::default();
    let mut ids: HashMap<String, Arc<str>> = HashMap::new();
    let mut read = Vec::new();
    for file in files {
        let source = SourceText { file: &file.name, text: &file.text };
        read.extend(schema::read(&source, &mut found).into_iter().map(|text| (file, text)));
    }
    let asked = declared(&read);
    let lookups = Offered::new(tables);
    let mut globs = Vec::new();
    for (file, text) in read {
        if *file.name == *watched && late() {
            continue;
        }
        let source = SourceText { file: &file.name, text: &file.text };
        let other = ids.get(&text.id.value).cloned();
        // A user's copy of a shipped rule stands in its place.
        if other.as_ref().is_some_and(|other| is_shipped(&file.name) && !is_shipped(other)) {
            continue;
        }
        ids.insert(text.id.value.clone(), file.name.clone());
        if let Some(other) = other {
            let message = format!("duplicate rule id '{}': {other} has a rule with this id", text.id.value);
            found.push(source.error(&text.id.span, message, Some("use another id".into())));
        }
        let fields = fields(&text);
        globs.extend(text.state.wide.iter().flat_map(|wide| &wide.rules).map(|glob| (file, glob.clone())));
        let kept = state::plan(&text, &source, &mut plan.environment, &mut found);
        let mut build = Build {
            source: &source,
            mib: &mib,
            environment: &mut environment,
            found: &mut found,
            asked: &asked,
            lookups: &lookups,
        };
        asked.used.set(false);
        let (rule, carried) = build.rule(text, &file.name);
        let place = rules.len();
        tests.extend(carried.into_iter().map(|text| RuleTest { rule: place, file: file.clone(), text }));
        let at = |(field, span)| FieldPlace { rule: place, field, file: file.clone(), span };
        places.extend(fields.into_iter().map(at));
        let both: Option<(Rule, RulePlan)> = rule.zip(kept);
        let (rule, kept) = both.unzip();
        rules.extend(rule);
        plan.rules.extend(kept);
    }
    let index = match Index::new(rules.iter().map(|r: &Rule| &r.matcher)) {
        Ok(index) => Some(index),
        Err(error) => {
            found.file_error(
                "rules",
                format!("all message patterns together: {error}"),
                "use fewer patterns, or patterns that contain literal text",
            );
            None
        }
    };
    without_rules(&globs, &asked, &mut found);
    plan.wide = plan.rules.iter().any(|rule| rule.wide.is_some());
    plan.stateful = plan.rules.iter().any(|rule| rule.tracked);
    let plan = Arc::new(plan);
    let lacking = lookups.lacking.into_inner().into_iter().collect();
    let rules = index.filter(|_| !found.has_errors()).map(|index| RuleSet {
        asks: rules.iter().any(|rule| rule.asks),
        rules,
        index,
        environment,
        mib,
        max_message: MAX_MESSAGE,
        plan,
        tables: tables.clone(),
        needs: lookups.needs.into_inner().into_iter().collect(),
    });
    Compiled { rules, tests, places, found, lacking }
}

/// What can be asked about the rules. Of several with one id the first counts.
fn declared(read: &[(&RuleFile, RuleText)]) -> Asked {
    let mut asked = Asked::default();
    for (_, text) in read {
        let (service, kind) = match (&text.check, &text.event) {
            (Some(check), _) => (check.service.as_ref(), Some("check_result")),
            (None, Some(event)) => (event.resource.as_ref(), Some("event")),
            (None, None) => (None, None),
        };
        let service = service.map_or(Service::None, |service| {
            let template = service.value.contains("{{") || service.value.contains("{%");
            if template { Service::Template } else { Service::Fixed(service.value.clone()) }
        });
        asked.rules.entry(text.id.value.clone()).or_insert_with(|| Declared {
            rule: RuleId::of(&text.id.value).0,
            tracked: !text.state.given.is_empty(),
            key: text.state.key.is_some(),
            threshold: text.state.threshold.as_ref().map(|threshold| threshold.key.is_some()),
            kind,
            service,
        });
    }
    asked
}

/// Names of rules that no rule has.
fn without_rules(globs: &[(&RuleFile, Located<String>)], asked: &Asked, found: &mut Diagnostics) {
    for (file, text) in globs {
        let glob = Glob::new(&text.value, false);
        if !asked.rules.keys().any(|id| glob.matches(id)) {
            let source = SourceText { file: &file.name, text: &file.text };
            let hint = did_you_mean(&text.value, asked.rules.keys().map(String::as_str));
            let hint = hint.unwrap_or_else(|| "`trapline rule list` shows the rules".to_owned());
            found.push(source.error(&text.span, format!("no rule is like '{}'", text.value), Some(hint)));
        }
    }
}

/// The patterns, conditions and templates of a rule, with their places.
fn fields(rule: &RuleText) -> Vec<(RuleField, Range<usize>)> {
    let mut fields: Vec<(RuleField, Range<usize>)> = Vec::new();
    let mut add = |field: RuleField, text: Option<&Located<String>>| {
        fields.extend(text.map(|text| (field, text.span.clone())));
    };
    add(RuleField::Where, rule.where_.as_ref());
    add(RuleField::Message, rule.syslog.as_ref().and_then(|syslog| syslog.message.as_ref()));
    if let Some(check) = &rule.check {
        let all = [
            ("host", check.host.as_ref()),
            ("service", check.service.as_ref()),
            ("state", Some(&check.state)),
            ("output", check.output.as_ref()),
            ("long_output", check.long_output.as_ref()),
            ("perfdata", check.perfdata.as_ref()),
        ];
        for (name, text) in all {
            add(RuleField::Check(name.to_owned()), text);
        }
    }
    if let Some(event) = &rule.event {
        let all = [
            ("component", event.component.as_ref()),
            ("resource", event.resource.as_ref()),
            ("state", Some(&event.state)),
            ("output", event.output.as_ref()),
            ("long_output", event.long_output.as_ref()),
        ];
        let own = event.fields.iter().map(|(name, text)| (name.as_str(), Some(text)));
        for (name, text) in all.into_iter().chain(own) {
            add(RuleField::Event(name.to_owned()), text);
        }
    }
    for (name, text) in &rule.labels {
        add(RuleField::Label(name.value.clone()), Some(text));
    }
    fields
}

struct Build<'c> {
    source: &'c SourceText<'c>,
    mib: &'c Mib,
    environment: &'c mut Environment,
    found: &'c mut Diagnostics,
    asked: &'c Asked,
    lookups: &'c Offered<'c>,
}

impl Build<'_> {
    fn error(&mut self, at: &Located<String>, message: String, hint: Option<String>) {
        self.found.push(self.source.error(&at.span, message, hint));
    }

    /// The rule and its tests; no rule if it has an error.
    fn rule(&mut self, text: RuleText, file: &Arc<str>) -> (Option<Rule>, Vec<TestText>) {
        let tests = text.tests;
        let matcher = match (&text.trap, &text.syslog) {
            (Some(traps), _) => Some(Matcher::Trap(traps.iter().flat_map(|t| self.trap(t)).collect())),
            (None, Some(syslog)) => Some(Matcher::Syslog(self.line(syslog))),
            (None, None) => text
                .posted
                .as_ref()
                .map(|(kind, names)| Matcher::Posted(PostedPattern { kind: *kind, names: globs(names) })),
        };
        let captures: Vec<String> = match &matcher {
            Some(Matcher::Syslog(LinePattern { message: Some(pattern), .. })) => pattern.names().to_vec(),
            _ => Vec::new(),
        };
        let from = text.from.iter().map(from).collect();
        let kind = matcher.as_ref().map_or(Messages::Lines, Messages::of);
        let traps = matcher.as_ref().map(Matcher::trap_oids).unwrap_or_default();
        let columns = match &matcher {
            Some(Matcher::Syslog(line)) => line.columns.clone(),
            _ => Vec::new(),
        };
        let scope = Scope {
            mib: self.mib,
            kind,
            captures: &captures,
            columns: &columns,
            traps: &traps,
            asked: Some(self.asked),
            lookups: Some(self.lookups),
        };
        let mut templates = Templates::new(self.source, &scope, self.environment, self.found);
        let where_ = text.where_.as_ref().map(|w| Some((w.value.clone(), templates.condition(w)?)));
        let check = text.check.as_ref().map(|check| templates.check(check));
        let event = text.event.as_ref().map(|event| templates.event(event));
        let labels = templates.labels(&text.labels);
        let keys = state::key_templates(&text.state, &mut templates);
        let whole = || {
            Some(Rule {
                id: text.id.value,
                file: file.clone(),
                line: self.source.place(text.id.span.start).0,
                span: text.id.span,
                tests: tests.len(),
                matcher: matcher?,
                tags: text.tags.into_iter().map(|tag| tag.value).collect(),
                from,
                when: text.when,
                where_: all_right(where_)?,
                check: all_right(check)?,
                event: all_right(event)?,
                constant_labels: labels.as_deref().and_then(labels::constant),
                labels: labels?,
                keys: keys?,
                asks: self.asked.used.get(),
                continues: text.continues,
                match_count: AtomicU64::new(0),
                last_match: AtomicI64::new(0),
                render_failures: AtomicU64::new(0),
                over_budget: AtomicU64::new(0),
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
                    format!("'{name}' is not a notification: {} is {}", other.qualified(), other.oid),
                    Some(format!("write '{name}.*' for all traps below it")),
                ),
                None => unnamed(name).unwrap_or_else(|| {
                    let message = format!("unknown trap '{name}': no loaded MIB defines it");
                    (message, Some(self.suggest_trap(name)))
                }),
            };
            self.error(text, message, hint);
        }
        let candidates = self.mib.ambiguous(name, |o| subtree || o.kind == Kind::Notification);
        if !candidates.is_empty() {
            let message = format!("'{name}' is ambiguous: {}", candidates.join(", "));
            self.error(text, message, Some("write MODULE::name for the one that you mean".to_owned()));
        }
        let mut patterns: Vec<TrapPattern> = Vec::new();
        for form in found.into_iter().flat_map(|object| forms(object, subtree)) {
            if !patterns.contains(&form) {
                patterns.push(form);
            }
        }
        patterns
    }

    fn suggest_trap(&self, name: &str) -> String {
        let notifications = self.mib.objects().iter().filter(|o| o.kind == Kind::Notification);
        let near = if name.contains("::") {
            let names: Vec<String> = notifications.map(Object::qualified).collect();
            did_you_mean(name, names.iter().map(String::as_str))
        } else {
            did_you_mean(name, notifications.map(|o| &*o.name))
        };
        near.unwrap_or_else(|| "add the folder of its MIB to mibs.paths, or write the trap's OID".to_owned())
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
        let security = text
            .security
            .as_ref()
            .map(|words| words.iter().filter_map(|word| self.security_action(word)).collect());
        LinePattern {
            tcp_wrappers,
            security,
            source: text.source.as_deref().map(globs),
            program: text.program.as_deref().map(globs),
            msgid: text.msgid.as_deref().map(globs),
            message,
            facilities: text.facility.as_ref().map(|words| self.bits(words, &FACILITIES, "facility")),
            severities: text.severity.as_ref().map(|words| self.bits(words, &SEVERITIES, "severity")),
            bodies: text
                .body
                .as_ref()
                .map(|words| words.iter().filter_map(|word| self.body_kind(word)).collect()),
            columns: text.columns.iter().map(|(at, name)| (*at, name.value.clone())).collect(),
        }
    }

    fn body_kind(&mut self, word: &Located<String>) -> Option<Form> {
        let kind = Form::from_word(word);
        if kind.is_none() {
            let words = Form::ALL.map(Form::as_str);
            let hint = did_you_mean(word, words).unwrap_or_else(|| format!("forms: {}", words.join(", ")));
            self.error(word, format!("unknown form of a message '{}'", word.value), Some(hint));
        }
        kind
    }

    fn wrapper_action(&mut self, word: &Located<String>) -> Option<WrapperAction> {
        let action = WrapperAction::from_word(word);
        if action.is_none() {
            let words = WrapperAction::ALL.map(WrapperAction::as_str);
            let hint = did_you_mean(word, words).unwrap_or_else(|| format!("actions: {}", words.join(", ")));
            self.error(word, format!("unknown action of TCP Wrappers '{}'", word.value), Some(hint));
        }
        action
    }

    fn security_action(&mut self, word: &Located<String>) -> Option<SecurityAction> {
        let action = SecurityAction::ALL.iter().find(|action| action.as_str() == word.value);
        if action.is_none() {
            let words = || SecurityAction::ALL.iter().map(|action| action.as_str());
            let hint = did_you_mean(word, words())
                .unwrap_or_else(|| format!("actions: {}", words().collect::<Vec<_>>().join(", ")));
            self.error(word, format!("unknown action of security '{}'", word.value), Some(hint));
        }
        action.copied()
    }

    fn bits(&mut self, words: &[Located<String>], names: &[&str], what: &str) -> u32 {
        let mut bits = 0;
        for word in words {
            match number_of(names, word) {
                Some(number) => bits |= 1 << number,
                None => {
                    let hint = did_you_mean(word, names.iter().copied())
                        .unwrap_or_else(|| format!("write a number, or one of {}", names.join(", ")));
                    self.error(word, format!("unknown {what} '{}'", word.value), Some(hint));
                }
            }
        }
        bits
    }

    fn regex_error(&mut self, pattern: &Located<String>, error: &regex::Error) {
        self.error(
            pattern,
            format!("invalid regular expression: {}", in_a_line(error)),
            Some(REGEX_SYNTAX.to_owned()),
        );
    }
}

/// An optional part of a rule: none if the part has an error, `Some(None)` if it is left out.
#[allow(clippy::option_option)]
fn all_right<T>(value: Option<Option<T>>) -> Option<Option<T>> {
    match value {
        Some(value) => value.map(Some),
        None => Some(None),
    }
}

/// The OIDs of a notification. If its OID has no 0 before the last number, v1 agents send it with one (RFC 3584,
/// section 3.1).
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

/// What is wrong with the text of a trap that can be no name, and what to do; none for one that can.
fn unnamed(text: &str) -> Option<(String, Option<String>)> {
    if text.trim().is_empty() {
        let hint = "write a name such as IF-MIB::linkDown, an OID, or \"*\" for all traps";
        return Some(("the trap is empty".to_owned(), Some(hint.to_owned())));
    }
    let wrong = text.trim_start_matches('.').split('.').find(|part| part.parse::<u32>().is_err())?;
    let begins = text.trim_start_matches('.').starts_with(|c: char| c.is_ascii_digit());
    begins.then(|| {
        let message = format!("'{text}' is no OID: '{wrong}' is no number from 0 to 4294967295");
        (message, Some("write numbers with points between them, such as 1.3.6.1.4.1.99999.0.1".to_owned()))
    })
}

fn globs(texts: &[Located<String>]) -> Vec<Glob> {
    texts.iter().map(|text| Glob::new(&text.value, false)).collect()
}

fn from(text: &Located<String>) -> SenderPattern {
    match network(&text.value) {
        Ok(net) => SenderPattern::Net(net),
        Err(_) => SenderPattern::Host(Glob::new(&text.value, true)),
    }
}
