//! The configuration of the simulated daemon, as text.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::{Arc, OnceLock};

use trapline::config::sinks::SinkSection;
use trapline::intake::Active;
use trapline::mib::load::Held;
use trapline::rules::compile::{RuleFile, compile};
use trapline::settings::diagnostic::{Diagnostics, SourceText};
use trapline::settings::section::{self, Section};
use trapline::sinks::registry::{self, KINDS};

use crate::ledger::Lineage;
use crate::place::Kind;
use crate::world::World;
use crate::{flood, state};

/// What may be changed of a sink by a reload.
#[derive(Debug, Clone)]
pub struct SinkText {
    pub lineage: Rc<Lineage>,
    /// Its former name.
    pub was: Option<String>,
    pub rate: Option<u64>,
    pub connections: u64,
    pub give_up: bool,
    /// Whether there are reports about storms, which servers do not know.
    pub no_storms: bool,
}

impl SinkText {
    fn write(&self, text: &mut String) {
        let place = self.lineage.place.borrow();
        let name = self.lineage.name.borrow();
        let host = &place.host;
        writeln!(text, "[[sinks]]\ntype = \"{}\"\nname = \"{name}\"", place.kind.word()).unwrap();
        if let Some(was) = &self.was {
            writeln!(text, "was = \"{was}\"").unwrap();
        }
        if let Some(rate) = self.rate {
            writeln!(text, "rate = {rate}").unwrap();
        }
        if self.give_up {
            writeln!(text, "give_up = \"1min\"").unwrap();
        }
        let mut only = Vec::new();
        if let Some(state) = self.lineage.only {
            let word = ["ok", "warning", "critical", "unknown"][state as usize];
            only.push(format!("outcome.state != '{word}'"));
        }
        if self.no_storms {
            only.push(format!("outcome.rule != '{}'", trapline::daemon::storms::RULE));
        }
        if !only.is_empty() {
            writeln!(text, "only = \"{}\"", only.join(" and ")).unwrap();
        }
        if self.lineage.honours {
            writeln!(text, "honour_mutes = true").unwrap();
        }
        match place.kind {
            Kind::File => writeln!(text, "path = \"{host}\""),
            Kind::Pipe => writeln!(text, "command_file = \"{host}\""),
            Kind::Nsca => writeln!(text, "address = \"{host}\"\nencryption_method = 0"),
            Kind::Amqp => writeln!(text, "url = \"amqp://u:p@{host}:5672/v\"\nexchange = \"x\""),
            Kind::Splunk => writeln!(text, "url = \"http://{host}\"\ntoken = \"t\"\ngzip = false"),
            Kind::Nrdp => writeln!(text, "url = \"http://{host}/\"\ntoken = \"t\""),
            _ => writeln!(text, "url = \"http://{host}/\""),
        }
        .unwrap();
        if place.kind.is_web() {
            writeln!(text, "connections = {}", self.connections).unwrap();
        }
    }
}

/// The sinks as the daemon reads them.
pub fn sections(sinks: &[SinkText]) -> Vec<SinkSection> {
    let mut text = String::new();
    for sink in sinks {
        sink.write(&mut text);
    }
    let source = SourceText { file: "trapline.toml", text: &text };
    let mut found = Diagnostics::default();
    let root = section::read(&source, &mut found).unwrap();
    let root = Section::new(&source, root.get_ref(), root.span(), "the configuration");
    let resolve = |path: &str| PathBuf::from(path);
    let mut sections = Vec::new();
    for section in root.sections("sinks", &mut found) {
        let settings = registry::read(KINDS, &section, &resolve, &mut found);
        let was = section.string("was", &mut found).map(|was| was.value);
        let digest = section.digest(&["name", "was"]);
        section.finish(&mut found);
        sections.extend(settings.map(|settings| SinkSection { settings, was, digest, place: None }));
    }
    assert!(!found.has_errors(), "{}\n{text}", found.to_text());
    sections
}

/// The OID below which all traps are.
pub const TRAPS: [u32; 9] = [1, 3, 6, 1, 4, 1, 99_999, 7, 0];

const RULES: &str = r#"
[[rule]]
id = "trap-check"
trap = "1.3.6.1.4.1.99999.7.0.1"
where = "v[4] == 'check' or v[4] == 'both'"
continue = true
[rule.check]
host = "{{ v[1] }}"
service = "{{ v[2] }}"
state = "v[3]"
output = "uid{{ v[5] }}a{EXTRA} {{ v[6] }}"

[[rule]]
id = "trap-event"
trap = "1.3.6.1.4.1.99999.7.0.1"
where = "v[4] == 'both'"
[rule.event]
component = "{{ v[1] }}"
resource = "{{ v[2] }}"
state = "v[3]"
output = "uid{{ v[5] }}b{EXTRA} {{ v[6] }}"

[[rule]]
id = "trap-drop"
trap = "1.3.6.1.4.1.99999.7.0.1"
where = "v[4] == 'drop'"
drop = true

[[rule]]
id = "line-check"
syslog = { program = "sim", message = '^(?<makes>check|both) (?<h>[a-z0-9]+) (?<s>[a-z0-9]+) (?<state>[0-9]) (?<uid>[0-9]+) ?(?<pad>x*)$' }
continue = true
[rule.check]
host = "{{ h }}"
service = "{{ s }}"
state = "state|number"
output = "uid{{ uid }}a{EXTRA} {{ pad }}"

[[rule]]
id = "line-event"
syslog = { program = "sim", message = '^both (?<h>[a-z0-9]+) (?<s>[a-z0-9]+) (?<state>[0-9]) (?<uid>[0-9]+) ?(?<pad>x*)$' }
[rule.event]
component = "{{ h }}"
resource = "{{ s }}"
state = "state|number"
output = "uid{{ uid }}b{EXTRA} {{ pad }}"

[[rule]]
id = "line-drop"
syslog = { program = "sim", message = '^drop ' }
drop = true
"#;

/// The rules and what goes with them, in a version of their own.
pub fn active(version: u64, world: &World) -> Active {
    static MIBS: OnceLock<Held> = OnceLock::new();
    let mibs = MIBS.get_or_init(|| trapline::mib::load::cache::load(&[], None, &Held::default(), &|_| {}).0);
    let with_state = if world.keeps_state.get() { state::RULES } else { "" };
    let text = [RULES, with_state, &world.counts.rules()].concat();
    let text = text.replace("{EXTRA}", &format!(" version {version}"));
    let file = RuleFile { name: "rules.toml".into(), text: Arc::from(text) };
    let compiled = compile(&[file], mibs.mib.clone());
    let rules = compiled.rules.unwrap_or_else(|| panic!("{}", compiled.found.to_text()));
    let storm = world.floods.then(flood::settings);
    Active { rules, storm, ..Active::default() }
}
