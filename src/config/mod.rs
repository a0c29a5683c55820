//! The configuration file: typed, defaulted, every mistake with its file, line and column.
//!
//! Relative paths in the file are relative to the folder that the file is in.

mod access;
pub mod files;
pub mod listen;
mod read;
mod secrets;
mod sinks;
pub mod users;

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use ipnet::IpNet;
use zeroize::Zeroizing;

use crate::access::Access;
use crate::diagnostic::{Diagnostics, SourceText};
use crate::hosts::Hosts;
use crate::journal::WhenFull;
use crate::snmp::usm::User;
pub use access::TagUse;
pub use listen::{SnmpListen, SyslogListen};
pub use sinks::{
    AmqpConfig, CanopsisConfig, FileConfig, NagiosConfig, NagiosMethod, NscaConfig, ServerConfig, SinkConfig,
    SinkKind,
};

/// The whole configuration.
#[derive(Debug, Clone)]
pub struct Config {
    /// The file that it was read from; none for the built-in defaults.
    pub file: Option<PathBuf>,
    /// `[snmp]`
    pub snmp: SnmpConfig,
    /// `[syslog]`
    pub syslog: SyslogConfig,
    /// `[mibs] paths`
    pub mib_paths: Vec<PathBuf>,
    /// `[rules] paths`; none for the shipped packs.
    pub rule_paths: Option<Vec<PathBuf>>,
    /// `[hosts]`
    pub hosts: Hosts,
    /// `[journal]`
    pub journal: JournalConfig,
    /// `[http]`
    pub http: Option<HttpConfig>,
    /// `[[sinks]]`
    pub sinks: Vec<SinkConfig>,
    /// `[log]`
    pub log: LogConfig,
}

/// `[snmp]`
#[derive(Debug, Clone)]
pub struct SnmpConfig {
    /// Where to listen.
    pub listen: Vec<SnmpListen>,
    /// Who may send, and which rules they may reach.
    pub access: Access,
    /// The tags that access speaks of.
    pub tags: Vec<TagUse>,
    /// Users of v3.
    pub users: Vec<User>,
    /// Receive buffer of each UDP socket in bytes.
    pub receive_buffer: usize,
    /// How many streams may be open at once.
    pub max_connections: usize,
}

/// `[syslog]`
#[derive(Debug, Clone)]
pub struct SyslogConfig {
    /// Where to listen.
    pub listen: Vec<SyslogListen>,
    /// Senders that are let in; empty for all.
    pub allow: Vec<IpNet>,
    /// Receive buffer of each UDP socket in bytes.
    pub receive_buffer: usize,
    /// How many streams may be open at once.
    pub max_connections: usize,
}

/// `[journal]`
#[derive(Debug, Clone)]
pub struct JournalConfig {
    /// Its directory.
    pub directory: PathBuf,
    /// The size in bytes that it may have.
    pub max_size: u64,
    /// When it is made safe from a power cut.
    pub sync: Sync,
    /// What is done when it is full.
    pub when_full: WhenFull,
}

/// `[http]`
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HttpConfig {
    /// Where metrics are served.
    pub listen: SocketAddr,
    /// Whether the daemon may go on without it.
    pub optional: bool,
}

/// When the journal is made safe from a power cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sync {
    /// Before an inform is answered, and once a second.
    Batch,
    /// Once a second.
    Interval,
    /// When the system likes.
    Never,
}

/// `[log]`
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogConfig {
    /// For people.
    Human,
    /// One JSON object a line.
    Json,
    /// Fields for systemd's journal.
    Journald,
}

impl Default for Config {
    fn default() -> Self {
        Config {
            file: None,
            snmp: SnmpConfig {
                listen: listen::default_snmp(),
                access: Access::default(),
                tags: Vec::new(),
                users: Vec::new(),
                receive_buffer: 16 << 20,
                max_connections: 1000,
            },
            syslog: SyslogConfig {
                listen: listen::default_syslog(),
                allow: Vec::new(),
                receive_buffer: 16 << 20,
                max_connections: 1000,
            },
            mib_paths: Vec::new(),
            rule_paths: None,
            hosts: Hosts::default(),
            journal: JournalConfig {
                directory: "var".into(),
                max_size: 1 << 30,
                sync: Sync::Batch,
                when_full: WhenFull::DropOldest,
            },
            http: Some(HttpConfig { listen: (Ipv4Addr::LOCALHOST, 8162).into(), optional: true }),
            sinks: vec![SinkConfig {
                name: "outcomes".into(),
                only: None,
                rate: None,
                kind: SinkKind::File(FileConfig { path: "var/outcomes.jsonl".into() }),
            }],
            log: LogConfig::Human,
        }
    }
}

impl Config {
    /// Reads a configuration file; every mistake in it and in the host files that it names is found at once.
    ///
    /// # Errors
    ///
    /// What is wrong.
    pub fn load(path: &std::path::Path) -> Result<(Config, Diagnostics), Diagnostics> {
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
        let config = read::read(&source, path, &mut found);
        match config {
            Some(config) if !found.has_errors() => Ok((config, found)),
            _ => Err(found),
        }
    }

    /// Where the running daemon answers `trapline status`.
    pub fn control_socket(&self) -> PathBuf {
        self.journal.directory.join("control.sock")
    }
}

#[cfg(test)]
mod tests;
