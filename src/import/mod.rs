//! Makes rules from snmptt's configuration ([`snmptt`]) and from the notifications of MIB modules ([`mib`]), and a
//! configuration from that of snmptrapd ([`snmptrapd`]).

pub mod mib;
pub mod snmptrapd;
pub mod snmptt;
