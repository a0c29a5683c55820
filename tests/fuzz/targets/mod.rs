//! What each target of `fuzz/` does with an input.

pub mod certificate;
pub mod framing;
pub mod journal;
pub mod pcap;
pub mod relp;
pub mod rules;
pub mod snmp;
pub mod snmptt;
pub mod syslog;
pub mod usm;
