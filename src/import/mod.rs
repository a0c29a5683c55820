//! Rules made from other sources: snmptt's configuration ([`snmptt`]) and the notifications of MIB modules ([`mib`]).

pub mod mib;
pub mod snmptt;
