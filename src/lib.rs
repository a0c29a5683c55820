//! Trapline: SNMP traps and security syslog in, passive check results and events out, nothing lost on the way.
//!
//! # The way of the data
//!
//! ```text
//! socket batch -> decode -> name (MIB) -> match (rules) -> journal =+=> nagios
//! (recvmmsg)      pure      pure          pure             on disk  +=> canopsis, amqp
//!                                                                   +=> file
//! ```
//!
//! One direction, no way back. Up to the journal everything runs where the message came in, a batch at a time,
//! with no lock but the journal's. Behind the journal every sink is a task of its own with a cursor of its own:
//! one that is slow or dead slows neither the intake nor another sink.
//!
//! # The map
//!
//! What goes through:
//! - [`message`]: what came in, decoded; [`outcome`]: what a rule makes of it; [`hosts`]: whose it is.
//!
//! Protocols and rules, pure: no I/O, no clock; the time is an argument.
//! - [`snmp`]: packets to notifications and back. [`syslog`]: lines, stream framing, TCP-wrapper lines.
//! - [`mib`]: names for OIDs, values as people write them. [`rules`]: rule files, compiled and applied.
//! - [`access`]: who may send, and which rules they reach. [`recent`]: what came lately.
//! - [`pcap`]: packets out of captures. [`describe`]: messages as JSON.
//!
//! I/O:
//! - [`intake`]: listeners, and the pipeline up to the journal. [`journal`]: the durable log.
//! - [`sinks`]: one file (or folder) a sink, and the delivery loop. [`sys`]: the few unsafe system calls. [`lockfile`]: who may
//!   change a file.
//!
//! For people:
//! - [`config`]: the configuration file. [`document`] and [`diagnostic`]: TOML with places, mistakes with hints.
//! - [`stats`]: what is counted, [`metrics`]: as Prometheus reads it. [`commands`]: one file a subcommand.

pub mod access;
pub mod commands;
pub mod config;
pub mod describe;
pub mod diagnostic;
pub mod document;
pub mod hosts;
pub mod intake;
pub mod journal;
pub mod lockfile;
pub mod message;
pub mod metrics;
pub mod mib;
pub mod outcome;
pub mod pcap;
pub mod recent;
pub mod rules;
pub mod sinks;
pub mod snmp;
pub mod stats;
pub mod sys;
pub mod syslog;
