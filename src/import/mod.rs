//! Makes rules from snmptt's configuration ([`snmptt`]) and from the notifications of MIB modules ([`mib`]).

pub mod mib;
pub mod snmptt;
