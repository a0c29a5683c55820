//! Translates EVENTs to rules.

use std::collections::HashSet;
use std::fmt::Write as _;

use crate::import::snmptt::condition::{self, ReadNodes};
use crate::import::snmptt::ini::{Ini, Names};
use crate::import::snmptt::left_out::LeftOut;
use crate::import::snmptt::order::{self, Entry, Place};
use crate::import::snmptt::parse::{self, Event, trap};
use crate::import::snmptt::substitute::{Meaning, Piece, Variable, pieces};
use crate::import::snmptt::{perl, submit, write};
use crate::language::syntax;
use crate::mib::{Kind, Mib};
use crate::oid::Oid;
use crate::outcome::result::State;
use crate::settings::diagnostic::Diagnostics;
use crate::settings::section::quoted;

/// The most varbinds that a test gets; a rule that needs more has none.
const MOST_VARBINDS: usize = 64;

/// The options of an import.
#[derive(Debug, Default)]
pub struct Options {
    /// The states of severities; they take precedence over the built-in ones. Case does not matter.
    pub severities: Vec<(String, State)>,
    /// The settings of snmptt.
    pub ini: Ini,
    /// Scripts that submit results.
    pub wrappers: Vec<submit::Wrapper>,
}

/// The result of an import.
#[derive(Debug)]
pub struct Imported {
    /// The rule file.
    pub text: String,
    /// The number of EVENTs.
    pub events: usize,
    /// The number of rules.
    pub rules: usize,
    /// Everything that was left out or changed.
    pub left_out: Diagnostics,
}

/// Translates files, given by name and text. `read` reads the files that NODES lines name.
pub fn import(files: &[(String, String)], read: ReadNodes<'_>, mib: &Mib, options: &Options) -> Imported {
    let mut import =
        Import { options, mib, left_out: Diagnostics::default(), severities: HashSet::new(), by_dns: None };
    let mut entries = Vec::new();
    let mut events = 0;
    for (file, text) in files {
        let all = parse::events(text, |line, what| import.leave_out(file, line, &what));
        events += all.len();
        for event in all {
            entries.extend(import.entry(file, event, read));
        }
    }
    let places = order::order(&entries, options.ini.multiple_event);
    let values = match options.ini.names {
        Names::Numbers => " plain[1] is the first varbind without MIBs, v[1] the same by name.",
        Names::Short | Names::Qualified => "",
    };
    let mut text = format!(
        "# Made from {} by `trapline import snmptt`.{values}\n",
        files.iter().map(|(name, _)| name.escape_debug().to_string()).collect::<Vec<_>>().join(", ")
    );
    let mut ids = HashSet::new();
    let mut rules = 0;
    for place in &places {
        match place {
            Place::Entry { at, more, except, test } => {
                rules += import.write(&mut text, &entries[*at], (*more, except, test.as_deref()), &mut ids);
            }
            Place::Stop { oid, conditions } => {
                rules += 1;
                stop(&mut text, oid, conditions, &mut ids);
            }
            Place::Unreached(at) => {
                let Entry { file, event, .. } = &entries[*at];
                import.leave_out(file, event.line, &LeftOut::NeverReached(event.name.clone()));
            }
        }
    }
    if let Some((file, line, count)) = import.by_dns.take() {
        import.leave_out(&file, line, &LeftOut::Dns(count));
    }
    Imported { text, events, rules, left_out: import.left_out }
}

struct Import<'o> {
    options: &'o Options,
    mib: &'o Mib,
    left_out: Diagnostics,
    /// The unknown severities that were reported, in lower case.
    severities: HashSet<String>,
    /// Where the first EXEC names its host by the DNS, and how many do.
    by_dns: Option<(String, usize, usize)>,
}

impl Import<'_> {
    fn leave_out(&mut self, file: &str, line: usize, what: &LeftOut) {
        self.left_out.push(what.at(file, line));
    }

    /// An EVENT with its condition; none if it is left out.
    fn entry(&mut self, file: &str, event: Event, read: ReadNodes<'_>) -> Option<Entry> {
        if event.format.is_none() && event.exec.is_empty() {
            self.leave_out(file, event.line, &LeftOut::Empty(event.name));
            return None;
        }
        for line in &event.preexec {
            self.leave_out(file, line.number, &LeftOut::Preexec);
        }
        let oid = self.oid(&event).map_err(|error| self.leave_out(file, event.line, &error)).ok()?;
        let nodes = condition::nodes(&event.nodes, read, &mut |line, what| self.leave_out(file, line, &what));
        let description = self.description(&event);
        let meaning = meaning(&self.options.ini, &event, &oid, &description, None);
        let mut remarks = Vec::new();
        let matches =
            condition::matches(&event.matches, &meaning, &mut |line, what| remarks.push((line, what)));
        for (line, what) in remarks {
            self.leave_out(file, line, &what);
        }
        match (nodes, matches) {
            (Ok(nodes), Ok(matches)) => {
                let both: Vec<String> = nodes.into_iter().chain(matches).collect();
                let condition = (!both.is_empty()).then(|| both.join(" and "));
                Some(Entry { file: file.to_owned(), event, oid, condition })
            }
            // A rule without the condition would match too much.
            (Err((line, error)), _) | (_, Err((line, error))) => {
                self.leave_out(file, line, &error);
                self.leave_out(file, event.line, &LeftOut::Condition { name: event.name, line });
                None
            }
        }
    }

    /// The OID of an EVENT as numbers, with its leading dot and its wildcard.
    fn oid(&self, event: &Event) -> Result<String, LeftOut> {
        let (name, oid) = (event.name.clone(), event.oid.clone());
        if oid == ".*" {
            return Ok(oid);
        }
        let plain = oid.strip_suffix(".*").unwrap_or(&oid);
        let is_number = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
        if plain.strip_prefix('.').is_some_and(|rest| rest.split('.').all(is_number)) {
            let known = trap(&oid).trim_end_matches(".*").parse::<Oid>().is_ok();
            return if known { Ok(oid) } else { Err(LeftOut::Oid { name, oid }) };
        }
        let mut known: Vec<String> = self
            .mib
            .find(&oid)
            .filter(|object| object.kind == Kind::Notification)
            .map(|object| format!(".{}", object.oid))
            .collect();
        known.dedup();
        match known.as_slice() {
            [one] => Ok(one.clone()),
            [] => Err(LeftOut::Oid { name, oid }),
            several => Err(LeftOut::Ambiguous { name, oid, candidates: several.join(" or ") }),
        }
    }

    /// The text of `$D`.
    fn description(&self, event: &Event) -> String {
        let text = match self.options.ini.description_mode {
            1 => event.description.clone(),
            2 => self
                .mib
                .find(&event.name)
                .find(|object| object.kind == Kind::Notification)
                .and_then(|object| self.mib.about(object))
                .map(|about| about.description.to_string())
                .unwrap_or_default(),
            _ => String::new(),
        };
        if !self.options.ini.description_clean {
            return text;
        }
        let lines: Vec<&str> =
            text.split('\n').enumerate().map(|(at, l)| if at == 0 { l } else { l.trim_start() }).collect();
        lines.join("\n")
    }

    fn state(&mut self, entry: &Entry) -> State {
        let severity = &entry.event.severity;
        if let Some(state) = state_of(&self.options.severities, severity) {
            return state;
        }
        if self.severities.insert(severity.to_lowercase()) {
            self.leave_out(&entry.file, entry.event.line, &LeftOut::Severity(severity.clone()));
        }
        State::Unknown
    }

    /// Writes the rules of an EVENT and returns their number.
    fn write(
        &mut self,
        text: &mut String,
        entry: &Entry,
        (more, except, sample): (bool, &[String], Option<&str>),
        ids: &mut HashSet<String>,
    ) -> usize {
        let conditions: Vec<String> = except
            .iter()
            .map(|wildcard| format!("oid is not startingwith({})", syntax::quoted(wildcard)))
            .chain(entry.condition.clone())
            .collect();
        let head = |ids: &mut HashSet<String>, goes_on: bool| {
            let mut head = format!(
                "\n[[rule]]\nid = {}\ntrap = {}\n",
                quoted(&id(ids, &entry.event.name)),
                quoted(trap(&entry.oid))
            );
            if !conditions.is_empty() {
                let _ = writeln!(head, "where = {}", quoted(&conditions.join(" and ")));
            }
            head.push_str(if goes_on { "continue = true\n" } else { "" });
            head
        };
        if entry.event.category == "IGNORE" {
            text.push_str(&head(ids, more));
            text.push_str("drop = true\n");
            if let (Some(sample), false) = (sample, more) {
                text.push_str(&test(sample, 0, "drop = true"));
            }
            return 1;
        }
        let bodies = self.bodies(entry);
        let varbinds = self.varbinds(&entry.event);
        let sample = sample.filter(|_| varbinds <= MOST_VARBINDS);
        let count = bodies.len();
        for (at, (body, expect)) in bodies.into_iter().enumerate() {
            text.push_str(&head(ids, more || at + 1 < count));
            text.push_str(&body);
            if let (Some(sample), Some(expect)) = (sample, expect) {
                text.push_str(&test(sample, varbinds, &expect));
            }
        }
        count
    }

    /// How many varbinds a trap needs so that the hosts and services of its EXEC lines have names.
    fn varbinds(&self, event: &Event) -> usize {
        let of = |text: &str| {
            let of_piece = |piece: &Piece| match piece {
                Piece::Variable(variable) => variable.varbinds(),
                Piece::Text(_) => 0,
            };
            pieces(text).iter().map(of_piece).max().unwrap_or_default()
        };
        let submissions =
            event.exec.iter().filter_map(|line| submit::submission(&line.text, &self.options.wrappers));
        let names = submissions.flat_map(|one| [Some(one.host), one.service]).flatten();
        let format = event.format.as_ref().map_or(0, |line| of(&line.text));
        names
            .map(|name| of(&name).max(if name.contains("$Fz") { format } else { 0 }))
            .max()
            .unwrap_or_default()
    }

    /// What each rule of an EVENT makes, and what its test expects: the event of FORMAT and the results of EXEC.
    fn bodies(&mut self, entry: &Entry) -> Vec<(String, Option<String>)> {
        let Entry { file, event, oid, .. } = entry;
        let description = self.description(event);
        let filters = self.filters(file, event);
        let plain = meaning(&self.options.ini, event, oid, &description, None);
        let mut problems = Vec::new();
        let format = event.format.as_ref().map(|line| {
            let template = plain.template(&pieces(&line.text), |error| problems.push((line.number, error)));
            filtered(&template, &filters)
        });
        let mut checks = Vec::new();
        if event.category == "LOGONLY" {
            problems.extend(event.exec.iter().map(|line| (line.number, LeftOut::LogOnly)));
        } else if event.severity != "LOGONLY" {
            let mut meaning = meaning(&self.options.ini, event, oid, &description, Some(""));
            let text = event.format.as_ref().map(|line| pieces(&line.text)).unwrap_or_default();
            // Its problems are in the list already.
            let text = filtered(&meaning.template(&text, |_| {}), &filters);
            meaning.format = Some(&text);
            for line in &event.exec {
                let Some(submission) = submit::submission(&line.text, &self.options.wrappers) else {
                    problems.push((line.number, LeftOut::Exec));
                    continue;
                };
                if submission.host.contains("$r") || submission.host.contains("$R") {
                    self.by_dns.get_or_insert((file.clone(), line.number, 0)).2 += 1;
                }
                let left_out = |error| problems.push((line.number, error));
                let severity = state_of(&self.options.severities, &event.severity);
                checks.extend(check(&submission, &meaning, (&filters, severity), left_out));
            }
        }
        for (line, error) in problems {
            self.leave_out(file, line, &error);
        }
        let mut bodies: Vec<(String, Option<String>)> = checks;
        // Without FORMAT snmptt logs nothing, but a rule must make an outcome.
        if format.is_some() || bodies.is_empty() {
            let state = self.state(entry);
            let output = format.unwrap_or_else(|| "{{ trap }} {{ text }}".to_owned());
            let body = format!(
                "[rule.event]\nresource = {}\nstate = \"{}\"\noutput = {}\ncategory = {}\nseverity = {}\n",
                quoted(&write::template_text(&event.name)),
                state.as_str(),
                quoted(&output),
                quoted(&write::template_text(&event.category)),
                quoted(&write::template_text(&event.severity)),
            );
            match bodies.last_mut() {
                Some((last, _)) => last.push_str(&body),
                None => bodies.push((body, Some(format!("state = \"{}\"", state.as_str())))),
            }
        }
        bodies
    }

    /// The REGEX lines as calls of the filter `regex_replace`.
    fn filters(&mut self, file: &str, event: &Event) -> Vec<String> {
        let mut filters = Vec::new();
        for line in &event.regex {
            let ends = line.text.trim().rsplit(')').next().unwrap_or("");
            if ends.contains('e') && !self.options.ini.unsafe_regex {
                self.leave_out(file, line.number, &LeftOut::NoCode);
            }
            match perl::replacement(&line.text, self.options.ini.unsafe_regex) {
                Ok(Some(filter)) => filters.push(filter),
                Ok(None) => self.leave_out(file, line.number, &LeftOut::NoRegex),
                Err(error) => self.leave_out(file, line.number, &error),
            }
        }
        filters
    }
}

fn meaning<'e>(
    ini: &'e Ini,
    event: &'e Event,
    oid: &'e str,
    description: &'e str,
    format: Option<&'e str>,
) -> Meaning<'e> {
    Meaning {
        ini,
        name: &event.name,
        oid,
        category: &event.category,
        severity: &event.severity,
        description,
        format,
    }
}

/// A template inside filter blocks; the first filter is the innermost.
fn filtered(template: &str, filters: &[String]) -> String {
    filters
        .iter()
        .fold(template.to_owned(), |inner, filter| format!("{{% filter {filter} %}}{inner}{{% endfilter %}}"))
}

/// `[rule.check]` for the result that an EXEC line submits, and what its test expects; none if it cannot be
/// translated.
fn check(
    submission: &submit::Submission,
    meaning: &Meaning<'_>,
    (filters, severity): (&[String], Option<State>),
    mut left_out: impl FnMut(LeftOut),
) -> Option<(String, Option<String>)> {
    let fixed = match &submission.service {
        // The severity of the EVENT, which never changes.
        Some(_) if submission.state.trim() == "$s" => Some(severity.unwrap_or(State::Unknown)),
        Some(_) => State::service(&submission.state),
        None => State::host(&submission.state),
    };
    if !submission.unused.is_empty() {
        left_out(LeftOut::Unused(submission.unused.join(" ")));
    }
    if let Some(service) = submission.service.as_deref().filter(|service| is_host(service)) {
        left_out(LeftOut::HostAsService(service.to_owned()));
    }
    let state = match (fixed, pieces(&submission.state).as_slice()) {
        (Some(state), _) => state.as_str().to_owned(),
        (None, all) if !all.iter().any(may_be_a_state) => {
            left_out(LeftOut::NoState(submission.state.clone()));
            return None;
        }
        (None, all) => meaning.expression(all).map_err(&mut left_out).ok()?,
    };
    let mut template = |text: &str| meaning.template(&pieces(text), &mut left_out);
    let host = template(&submission.host);
    let service = submission.service.as_deref().map(&mut template);
    // `$Fz` without FORMAT, too, stands for nothing.
    for (name, nothing) in [(Some(&host), LeftOut::NoHost), (service.as_ref(), LeftOut::NoService)] {
        if name.is_some_and(|name| name.trim().is_empty()) {
            left_out(nothing);
            return None;
        }
    }
    let mut body = String::from("[rule.check]\n");
    // The default.
    if host != "{{ host }}" {
        let _ = writeln!(body, "host = {}", quoted(&host));
    }
    if let Some(service) = &service {
        let _ = writeln!(body, "service = {}", quoted(service));
    }
    let (output, perfdata) = match submission.output.split_once('|') {
        Some((output, perfdata)) => (output, Some(perfdata)),
        None => (&*submission.output, None),
    };
    let mut template = |text: &str| meaning.template(&pieces(text), &mut left_out);
    let output = filtered(&template(output), filters);
    let _ = writeln!(body, "state = {}\noutput = {}", quoted(&state), quoted(&output));
    if let Some(perfdata) = perfdata {
        let _ = writeln!(body, "perfdata = {}", quoted(&filtered(&template(perfdata), filters)));
    }
    Some((body, fixed.map(|state| format!("state = \"{}\"", state.as_str()))))
}

/// Whether a service is nothing but a variable for a host.
fn is_host(service: &str) -> bool {
    matches!(service.trim(), "$A" | "$aA" | "$r" | "$R" | "$aR" | "$ar" | "$H")
}

/// Whether a part of a state argument can be a state: values of the trap and its severity, but no host, OID or time.
fn may_be_a_state(piece: &Piece) -> bool {
    match piece {
        Piece::Text(_) => false,
        Piece::Variable(Variable::Word(name)) => matches!(*name, "s" | "S"),
        Piece::Variable(_) => true,
    }
}

/// The rule behind the rules of one OID: if one of them has matched, no wildcard may.
fn stop(text: &mut String, oid: &str, conditions: &[String], ids: &mut HashSet<String>) {
    let name = format!("end of {}", trap(oid));
    let _ = write!(
        text,
        "\n# Wildcards are only for traps that no rule with the complete OID has matched.\n[[rule]]\nid = {}\ntrap = {}\n",
        quoted(&id(ids, &name)),
        quoted(trap(oid))
    );
    if !conditions.is_empty() {
        let _ = writeln!(text, "where = {}", quoted(&conditions.join(" or ")));
    }
    text.push_str("drop = true\n");
}

/// An id that no rule has yet.
fn id(ids: &mut HashSet<String>, name: &str) -> String {
    let mut id = name.to_owned();
    let mut count = 1;
    while !ids.insert(id.clone()) {
        count += 1;
        id = format!("{name}-{count}");
    }
    id
}

/// A test with a trap of some varbinds, which are of no MIB.
fn test(oid: &str, varbinds: usize, expect: &str) -> String {
    let all: Vec<String> = (1..=varbinds).map(|at| format!("\"2.999.{at}\" = \"value{at}\"")).collect();
    let varbinds =
        if all.is_empty() { String::new() } else { format!("varbinds = {{ {} }}\n", all.join(", ")) };
    format!("[[rule.test]]\ntrap = \"{oid}\"\n{varbinds}expect = {{ {expect} }}\n")
}

/// The state of a severity: from the user's table, or by common usage.
fn state_of(table: &[(String, State)], severity: &str) -> Option<State> {
    let own = table.iter().find(|(name, _)| name.eq_ignore_ascii_case(severity)).map(|(_, state)| *state);
    own.or_else(|| {
        Some(match severity.to_lowercase().as_str() {
            "normal" | "ok" | "info" | "informational" | "information" | "notice" | "debug" | "clear"
            | "cleared" | "logonly" => State::Ok,
            "warning" | "minor" => State::Warning,
            "major" | "critical" | "severe" | "error" | "serious" | "alert" | "emergency" | "fatal" => {
                State::Critical
            }
            "unknown" | "indeterminate" => State::Unknown,
            _ => return None,
        })
    })
}
