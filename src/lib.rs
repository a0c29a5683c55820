//! x
pub mod diagnostic;
pub mod document;
pub mod hosts;
pub mod journal;
pub mod message;
pub mod mib;
pub mod outcome;
pub mod rules;
pub mod snmp;
pub mod syslog;
