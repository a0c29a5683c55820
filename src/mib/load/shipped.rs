//! The modules of `mibs/`, built into the program.

/// Names and texts of the shipped modules.
pub const MODULES: &[(&str, &str)] = &[
    ("ARCserve-Alarm-MIB", include_str!("../../../mibs/ARCserve-Alarm-MIB.txt")),
    ("BGP4-MIB", include_str!("../../../mibs/BGP4-MIB.txt")),
    ("CISCO-ENVMON-MIB", include_str!("../../../mibs/CISCO-ENVMON-MIB.txt")),
    ("DISMAN-EVENT-MIB", include_str!("../../../mibs/DISMAN-EVENT-MIB.txt")),
    ("ENTITY-MIB", include_str!("../../../mibs/ENTITY-MIB.txt")),
    ("ENTITY-STATE-MIB", include_str!("../../../mibs/ENTITY-STATE-MIB.txt")),
    ("IF-MIB", include_str!("../../../mibs/IF-MIB.txt")),
    ("INET-ADDRESS-MIB", include_str!("../../../mibs/INET-ADDRESS-MIB.txt")),
    ("NET-SNMP-AGENT-MIB", include_str!("../../../mibs/NET-SNMP-AGENT-MIB.txt")),
    ("NET-SNMP-MIB", include_str!("../../../mibs/NET-SNMP-MIB.txt")),
    ("OSPF-MIB", include_str!("../../../mibs/OSPF-MIB.txt")),
    ("OSPF-TRAP-MIB", include_str!("../../../mibs/OSPF-TRAP-MIB.txt")),
    ("SNMP-COMMUNITY-MIB", include_str!("../../../mibs/SNMP-COMMUNITY-MIB.txt")),
    ("SNMPv2-MIB", include_str!("../../../mibs/SNMPv2-MIB.txt")),
    ("TRAPLINE-MIB", include_str!("../../../mibs/TRAPLINE-MIB.txt")),
    ("UCD-SNMP-MIB", include_str!("../../../mibs/UCD-SNMP-MIB.txt")),
    ("UPS-MIB", include_str!("../../../mibs/UPS-MIB.txt")),
];
