//! The configuration file to a [`Config`].

use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use super::config::Config;
use super::log::{self, LogFormat};
use crate::intake;
use crate::journal;
use crate::lookup;
use crate::mib::load::modules::system_mibs;
use crate::settings::diagnostic::{Diagnostics, SourceText};
use crate::settings::section::{self, Section};
use crate::sinks;
use crate::sinks::settings::SinkConfig;
use crate::web;

impl Config {
    /// Reads a configuration file; every mistake in it and in the host files that it names is found at once.
    ///
    /// # Errors
    ///
    /// What is wrong.
    pub fn load(path: &Path) -> Result<(Config, Diagnostics), Diagnostics> {
        let mut found = Diagnostics::default();
        let name = path.display().to_string();
        let text = match std::fs::read_to_string(path) {
            // Passwords may stand in it.
            Ok(text) => Zeroizing::new(text),
            Err(error) => {
                found.file_error(
                    &name,
                    format!("cannot read the configuration: {error}"),
                    "name another with --config",
                );
                return Err(found);
            }
        };
        let source = SourceText { file: &name, text: &text };
        let config = read(&source, path, &mut found);
        match config {
            Some(config) if !found.has_errors() => Ok((config, found)),
            _ => Err(found),
        }
    }
}

pub(super) fn read(source: &SourceText<'_>, path: &Path, found: &mut Diagnostics) -> Option<Config> {
    let root = section::read(source, found)?;
    let root = Section::new(source, root.get_ref(), root.span(), "the configuration");
    let folder = path.parent().unwrap_or(Path::new(""));
    let resolve = |text: &str| folder.join(text);
    let snmp = root.section("snmp", found).map(|s| intake::settings::snmp(s, &resolve, found));
    let syslog = root.section("syslog", found).map(|s| intake::settings::syslog(s, found));
    let mib_paths = root.section("mibs", found).and_then(|s| paths(s, &resolve, found));
    let rule_paths = root.section("rules", found).and_then(|s| paths(s, &resolve, found));
    let hosts = root.section("hosts", found).map(|s| lookup::read::hosts(s, &resolve, found));
    let journal = match root.section("journal", found) {
        Some(section) => journal::Settings::read(section, folder, found),
        None => journal::Settings::default_in(folder),
    };
    let log = root.section("log", found).map_or(LogFormat::Human, |s| log::read(s, found));
    let mut all: Vec<SinkConfig> = Vec::new();
    for section in root.sections("sinks", found) {
        let span = section.span();
        if let Some(sink) = sinks::settings::read(section, &resolve, found) {
            if all.iter().any(|other| other.name == sink.name) {
                let message = format!("two sinks are named '{}'", sink.name);
                found.push(source.error(&span, message, Some("give each a name of its own".to_owned())));
            }
            all.push(sink);
        }
    }
    let http = root.section("http", found).and_then(|s| web::settings::read(s, found));
    root.finish(found);
    Some(Config {
        file: Some(path.to_owned()),
        snmp: snmp.unwrap_or_default(),
        syslog: syslog.unwrap_or_default(),
        mib_paths: mib_paths.unwrap_or_else(system_mibs),
        rule_paths,
        hosts: hosts.unwrap_or_default(),
        journal,
        http,
        sinks: all,
        log,
    })
}

fn paths(
    section: Section<'_, '_>,
    resolve: &dyn Fn(&str) -> PathBuf,
    found: &mut Diagnostics,
) -> Option<Vec<PathBuf>> {
    let paths = section.strings("paths", found);
    section.finish(found);
    paths.map(|all| all.iter().map(|p| resolve(p)).collect())
}
