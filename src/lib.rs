//! x
pub mod diagnostic;
pub mod document;
pub mod message;
pub mod mib;
pub mod outcome;
pub mod snmp;
pub mod syslog;
