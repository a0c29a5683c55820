//! The configuration as a value, and its defaults.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::log::LogFormat;
use super::sinks::SinkSection;
use crate::capture;
use crate::history;
use crate::intake::amqp::settings::Queue;
use crate::intake::follow::settings::Source;
use crate::intake::forward::settings::Forward;
use crate::intake::http::settings::HttpSettings;
use crate::intake::line::Reading;
use crate::intake::listener::Listener;
use crate::intake::settings::{SnmpSettings, SyslogSettings};
use crate::intake::{mutes, storm};
use crate::journal;
use crate::lookup::hosts::Hosts;
use crate::lookup::settings::Definition;
use crate::report::schedule::Schedule;
use crate::rules::console::ConsoleRules;
use crate::rules::looks::Looks;
use crate::rules::rule::MAX_MESSAGE;
use crate::rules::shipped::Packs;
use crate::settings::diagnostic::{Diagnostic, Place};
use crate::sinks::file::JsonLines;
use crate::sinks::settings::SinkConfig;
use crate::vitals;
use crate::web;

/// The whole configuration.
#[derive(Debug, Clone)]
pub struct Config {
    /// The file that it was read from; none for the built-in defaults.
    pub file: Option<PathBuf>,
    /// `[snmp]`
    pub snmp: SnmpSettings,
    /// `[syslog]`
    pub syslog: SyslogSettings,
    /// `[[intake]] type = "http"`
    pub intake: Vec<HttpSettings>,
    /// `[[intake]] type = "amqp"`
    pub queues: Vec<Arc<Queue>>,
    /// `[[intake]] type = "file"` and `type = "journald"`
    pub followed: Vec<Arc<Source>>,
    /// `[[forward]]`
    pub forwards: Vec<Arc<Forward>>,
    /// `[storm]`
    pub storm: Option<storm::Settings>,
    /// `[mibs] paths`
    pub mib_paths: Vec<PathBuf>,
    /// `[rules] paths`
    pub rule_paths: Vec<PathBuf>,
    /// The rules that were made in the console.
    pub console: ConsoleRules,
    /// `[rules] packs`
    pub rule_packs: Packs,
    /// `[rules] max_message`
    pub max_message: usize,
    /// Which of these paths do not lead anywhere, with what to report.
    pub missing: Vec<(PathBuf, Diagnostic)>,
    /// Files of hosts that do not exist, with what to report.
    pub absent_hosts: Vec<(PathBuf, Diagnostic)>,
    /// `[hosts]`
    pub hosts: Hosts,
    /// `[[lookups]]`
    pub lookups: Vec<Arc<Definition>>,
    /// Where sinks find these tables.
    pub looks: Looks,
    /// `[journal]`
    pub journal: journal::Settings,
    /// Where `[journal]` is; none if there is no such section.
    pub journal_place: Option<Place>,
    /// `[capture]`; none if nothing is captured.
    pub capture: Option<capture::Settings>,
    /// `[history]`; none if there is no such section.
    pub history: Option<history::Settings>,
    /// `[[reports]]`
    pub reports: Vec<Schedule>,
    /// `[self]`
    pub own_service: Option<vitals::settings::Settings>,
    /// `[http]`
    pub http: Option<web::settings::Settings>,
    /// `[[sinks]]`
    pub sinks: Vec<SinkSection>,
    /// `[[mute]]`
    pub mutes: Vec<mutes::Configured>,
    /// `[log]`
    pub log: LogFormat,
    /// Where `[log]` is; none if there is no such section.
    pub log_place: Option<Place>,
    /// Where `[syslog]` is; none if it is not there.
    pub syslog_place: Option<Place>,
}

impl Config {
    /// All listeners for messages.
    pub fn listeners(&self) -> impl Iterator<Item = &Listener> {
        let http = self.intake.iter().map(|one| &one.listener);
        self.snmp.listen.iter().chain(&self.syslog.listen).chain(http)
    }

    /// How lines of syslog are read.
    pub fn lines(&self) -> Reading<'_> {
        let (allow, max_message) = (self.syslog.allow.as_deref(), self.syslog.lines.max_message);
        Reading { allow, max_message, zones: &self.syslog.zones, hosts: &self.hosts }
    }
}

impl Default for Config {
    fn default() -> Self {
        let journal = journal::Settings::default_in(Path::new(""));
        Config {
            file: None,
            snmp: SnmpSettings::default(),
            syslog: SyslogSettings::default(),
            intake: Vec::new(),
            queues: Vec::new(),
            followed: Vec::new(),
            forwards: Vec::new(),
            storm: None,
            mib_paths: Vec::new(),
            rule_paths: Vec::new(),
            console: ConsoleRules::In(journal.directory.clone()),
            rule_packs: Packs::All,
            max_message: MAX_MESSAGE,
            missing: Vec::new(),
            absent_hosts: Vec::new(),
            hosts: Hosts::default(),
            lookups: Vec::new(),
            looks: Looks::default(),
            journal,
            journal_place: None,
            capture: None,
            history: None,
            reports: Vec::new(),
            own_service: None,
            http: Some(web::settings::Settings::default()),
            sinks: vec![SinkSection {
                settings: SinkConfig::new("outcomes", JsonLines { path: "var/outcomes.jsonl".into() }),
                was: None,
                digest: [0; 32],
                place: None,
            }],
            mutes: Vec::new(),
            log: LogFormat::Human,
            log_place: None,
            syslog_place: None,
        }
    }
}
