use proptest::prelude::*;

use super::*;
use crate::mib::load::shipped_once;
use crate::snmp;

const V2C: &str = "2026-11-20 12:00:00 sw1 [UDP: [192.0.2.1]:54606->[192.0.2.9]:162]:\n\
    DISMAN-EVENT-MIB::sysUpTimeInstance = Timeticks: (12345) 0:02:03.45\tSNMPv2-MIB::snmpTrapOID.0 = OID: IF-MIB::linkDown\t\
    IF-MIB::ifIndex.3 = INTEGER: 3\tIF-MIB::ifOperStatus.3 = INTEGER: down(2)\tIF-MIB::ifDescr.3 = STRING: \"Gi 0/3 \\\"up\tlink\\\"\"";

fn describe(printed: &Printed) -> String {
    let packet = printed.packet.as_ref().unwrap();
    let decoded = snmp::decode(packet).unwrap();
    assert_eq!(decoded.odd, 0);
    let n = decoded.notification;
    let varbinds: Vec<String> = n.varbinds.iter().map(|v| format!("{}={:?}", v.oid, v.value)).collect();
    format!(
        "{:?} v{} {} {:?} {:?} {}",
        printed.from,
        n.version.as_str(),
        n.oid,
        n.agent,
        n.uptime,
        varbinds.join(" ")
    )
}

#[test]
fn what_snmptrapd_prints_is_read() {
    let mib = shipped_once();
    let v1 = "2026-11-20 12:00:00 192.0.2.1(via UDP: [192.0.2.7]:54606->[192.0.2.9]:162) TRAP, SNMP v1, community public\n\
        \tSNMPv2-SMI::enterprises.8072.3 Enterprise Specific Trap (17) Uptime: 1 day, 0:00:12.34\n\
        \tiso.3.6.1.4.1.8072.1 = Hex-STRING: 00 FF 20 \n\t.1.3.6.1.4.1.8072.2 = \"\"\n";
    let syslog =
        format!("Nov 20 12:00:00 mon snmptrapd[7]: {}", V2C.replace('\n', "#012").replace('\t', "#011"));
    let text = format!("NET-SNMP version 5.9.3\n{V2C}\n\n{v1}{syslog}\n");
    assert!(is_printed(&text) && !is_printed("<13>Nov 20 12:00:00 h p: down"));
    let all = traps(&text, &mib);
    let said: Vec<String> = all.iter().map(|one| format!("{} {}", one.line, describe(one))).collect();
    insta::assert_snapshot!(said.join("\n"));
    assert_eq!(all[0].packet, all[2].packet);
}

#[test]
fn what_cannot_be_read_is_said() {
    let mib = shipped_once();
    let error = |from: &str, to: &str| {
        let text = V2C.replace(from, to);
        traps(&text, &mib)[0].packet.clone().unwrap_err().to_string()
    };
    assert!(error("IF-MIB::ifIndex.3", "NO-MIB::thing.3").contains("no loaded MIB knows 'NO-MIB::thing.3'"));
    assert!(error("INTEGER: 3", "INTEGER: three").contains("no varbind of the form"));
    assert!(
        error("SNMPv2-MIB::snmpTrapOID.0 = OID: IF-MIB::linkDown\t", "").contains("does not say which trap")
    );
}

proptest! {
    #[test]
    fn any_text_is_safe(before in "\\PC{0,40}", rest in "(\\PC|\t|\n|\"|#012|=|:){0,120}") {
        let mib = shipped_once();
        let head = "x [UDP: [192.0.2.1]:5->[192.0.2.9]:162]:\n";
        for text in [format!("{before}{head}{rest}"), format!("{before}(via UDP: [::1]:5) TRAP, SNMP v1\n{rest}")] {
            let _ = traps(&text, &mib);
        }
    }
}
