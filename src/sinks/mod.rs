//! Sinks: each delivers the outcomes of the journal to one place, at its own pace, with its own cursor.
//!
//! - [`sink`] has the traits, [`registry`] the types, [`settings`] what their keys share. Each type has a file or folder with
//!   its keys, its encoding and its response table; [`piece`] is what it sends, [`http`], [`amqp`], [`fields`] and [`plugin_output`] are what
//!   several of them use.
//! - [`machine`] decides which outcome is sent when, and what its answer means for it. Pure.
//! - [`delivery`] reads the journal and runs the machine. [`dead`] keeps what servers will never take.

mod acks;
pub mod alertmanager;
pub mod alignak;
pub mod amqp;
pub mod batch;
pub mod canopsis;
mod classes;
pub mod dead;
pub mod delivery;
pub mod elasticsearch;
pub mod email;
pub mod fields;
pub mod file;
pub mod gate;
#[cfg(test)]
mod hangs_tests;
mod hints;
#[cfg(test)]
mod hostile_tests;
pub mod http;
pub mod icinga2;
pub mod influxdb;
mod jitter;
pub mod kafka;
mod keeper;
mod key;
mod link;
pub mod loki;
pub mod machine;
pub mod memory;
pub mod mqtt;
pub mod nagios;
pub mod nats;
pub mod nrdp;
pub mod nsca;
mod open;
pub mod otlp;
pub mod pagerduty;
mod parked;
mod parking;
pub mod piece;
mod place;
pub mod plugin_output;
mod queue;
mod read_again;
pub mod registry;
mod report;
mod retries;
mod run;
pub mod running;
#[cfg(test)]
mod secrets_tests;
mod session_lane;
pub mod settings;
pub mod sink;
pub mod snmp;
pub mod splunk;
pub mod stats;
mod suspects;
pub mod syslog;
#[cfg(test)]
pub(crate) mod testing;
mod tls;
mod tracker;
mod trouble;
mod turns;
pub mod webhook;
pub mod zabbix;

pub use delivery::deliver;
pub use running::Running;
pub use stats::SinkStats;
