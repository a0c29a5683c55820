//! Makes rules from snmptt's configuration ([`snmptt`]), from the notifications of MIB modules ([`mib`]) and from messages
//! that were received ([`observed`]), and a configuration from that of snmptrapd ([`snmptrapd`]). Packets from traps that snmptrapd
//! has printed ([`printed`]).

pub mod mib;
pub mod observed;
pub mod printed;
pub mod snmptrapd;
pub mod snmptt;
