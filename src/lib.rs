//! Trapline: receives SNMP traps and security syslog, matches them against rules, and delivers passive check results and
//! events. Nothing is lost on the way.
//!
//! # Data flow
//!
//! ```text
//! socket batch -> decode -> name (MIB) -> match (rules) -> journal =+=> a sink -> Nagios
//! (recvmmsg)      pure      pure          pure             on disk  +=> a sink -> a broker
//!                                                                   +=> a sink -> ...
//! ```
//!
//! Data flows in one direction. Up to the journal everything runs on the listener's thread or task, a batch at a time.
//! Behind the journal every sink has a thread and a cursor of its own: a sink that is slow or down slows neither the
//! intake nor another sink.
//!
//! # Modules, from the bottom up
//!
//! A module imports only modules above it in this list; `tests/layers` enforces this.
//!
//! Basics:
//! - [`peer`]: who is at the other end of a socket. [`reach`]: the stages of the way to a server and its answer, and why one fails. [`oid`]: object identifiers. [`shares`]: something for each address in bounded memory. [`time`]: clocks, backoff, rates, log limits. [`sys`]: the few unsafe system calls.
//!   [`settings`]: TOML sections with positions, diagnostics with hints, secrets, TLS and URL settings. [`files`]: files of
//!   the state directory. [`net`]: connections to servers. [`pcap`]: packets out of captures. [`terminal`]: what commands
//!   write. [`text`]: text out of octets of unknown encoding. [`body`]: fields of JSON, CEF and the like.
//! - [`world`]: clock, network and random numbers, as loops get them. [`inbound`]: connections that come in: one loop that
//!   accepts them, fair shares by address, a budget of descriptors.
//!
//! Data:
//! - [`message`]: what a listener received, decoded. [`outcome`]: what a rule makes of it. [`http`]: the HTTP client.
//!
//! Protocols and rules. They do no I/O and read no clock; time is an argument:
//! - [`posted`]: bodies of HTTP requests to check-ins and events. [`snmp`]: packets to notifications and back, SNMPv3, access control. [`syslog`]: lines, stream framing, TCP-wrapper
//!   lines. [`engine_id`]: this daemon as an SNMP engine, in files. [`mib`]: names for OIDs, and in `mib::load` reading and caching of modules. [`lookup`]: host names.
//!   [`language`]: expressions and templates.
//!   [`rules`]: rule files, compiled and applied. [`correlate`]: what rules keep over time. [`import`]: rules from snmptt.conf and from MIBs.
//!
//! I/O:
//! - [`journal`]: the durable log. [`inbox`]: unmatched messages. [`history`]: outcomes in SQLite files, for people. [`report`]: pages and tables on a time of it. [`capture`]: a ring of all messages. [`intake`]: listeners and the pipeline up to the journal. [`sinks`]: one file or folder
//!   per sink, the registry, and delivery.
//!
//! The program:
//! - [`vitals`]: whether the daemon is well. [`maker`]: from unmatched messages to rules. [`status`]: what is counted. [`web`]: metrics over HTTP. [`config`]: the configuration file, combined from the
//!   sections of the modules. [`daemon`]: assembly, reload, drain, supervision. [`commands`]: one file per subcommand.

pub mod amqp;
pub mod body;
pub mod capture;
pub mod commands;
pub mod config;
pub mod correlate;
pub mod daemon;
pub mod engine_id;
pub mod fast_map;
pub mod files;
pub mod history;
pub mod http;
pub mod import;
pub mod inbound;
pub mod inbox;
pub mod intake;
pub mod journal;
pub mod language;
pub mod lookup;
pub mod maker;
pub mod message;
pub mod mib;
pub mod net;
pub mod oid;
pub mod outcome;
pub mod pcap;
pub mod peer;
pub mod posted;
pub mod reach;
pub mod report;
pub mod rules;
pub mod settings;
pub mod shares;
pub mod sinks;
pub mod snmp;
pub mod status;
pub mod sys;
pub mod syslog;
pub mod terminal;
pub mod text;
pub mod time;
pub mod vitals;
pub mod web;
pub mod world;
