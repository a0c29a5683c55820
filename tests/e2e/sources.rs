//! Network devices that send traps and lines of syslog: what one of them reports, the other one clears, with the packs as they are shipped.
//! Packets are those of net-snmp's snmptrap, lines come by UDP.

use std::net::UdpSocket;

use serde_json::Value;

use crate::daemon::{Daemon, FILE_SINK, output};
use crate::support::{interface, snmptrap, wait_until};

/// Something of a device that fails and recovers: its service, and what is sent of it as a trap and as a line. Traps are the arguments of
/// snmptrap behind the uptime. Where a device does not say one of the four, it is empty.
struct Part {
    service: &'static str,
    traps: [Vec<String>; 2],
    lines: [&'static str; 2],
}

/// The arguments of a trap: its OID, and a name, a type and a value each.
fn trap(oid: &str, varbinds: &[(&str, &str, &str)]) -> Vec<String> {
    let varbinds = varbinds.iter().flat_map(|(name, kind, value)| [*name, *kind, *value]);
    std::iter::once(oid).chain(varbinds).map(ToOwned::to_owned).collect()
}

fn link(name: &str) -> [Vec<String>; 2] {
    [("1.3.6.1.6.3.1.1.5.3", "2"), ("1.3.6.1.6.3.1.1.5.4", "1")]
        .map(|(oid, status)| std::iter::once(oid.to_owned()).chain(interface(name, status)).collect())
}

/// Of the peer 198.51.100.2: idle, established.
fn bgp() -> [Vec<String>; 2] {
    [("1.3.6.1.2.1.15.0.2", "1"), ("1.3.6.1.2.1.15.0.1", "6")].map(|(oid, state)| {
        trap(
            oid,
            &[
                ("1.3.6.1.2.1.15.3.1.7.198.51.100.2", "a", "198.51.100.2"),
                ("1.3.6.1.2.1.15.3.1.14.198.51.100.2", "x", "0000"),
                ("1.3.6.1.2.1.15.3.1.2.198.51.100.2", "i", state),
            ],
        )
    })
}

/// Of the neighbor 192.0.2.17 with the router id 10.0.0.9, of a device of this enterprise: down, full.
fn ospf(enterprise: Option<&str>) -> [Vec<String>; 2] {
    ["1", "8"].map(|state| {
        let mut varbinds = vec![
            ("1.3.6.1.2.1.14.1.1.0", "a", "192.0.2.1"),
            ("1.3.6.1.2.1.14.10.1.1.192.0.2.17.0", "a", "192.0.2.17"),
            ("1.3.6.1.2.1.14.10.1.2.192.0.2.17.0", "i", "0"),
            ("1.3.6.1.2.1.14.10.1.3.192.0.2.17.0", "a", "10.0.0.9"),
            ("1.3.6.1.2.1.14.10.1.6.192.0.2.17.0", "i", state),
        ];
        varbinds.extend(enterprise.map(|enterprise| ("1.3.6.1.6.3.1.1.4.3.0", "o", enterprise)));
        trap("1.3.6.1.2.1.14.16.2.2", &varbinds)
    })
}

/// A notification of HUAWEI-ENTITY-TRAP-MIB and the one that ends it, of an entity with this name.
fn huawei(oids: [&str; 2], name: &str) -> [Vec<String>; 2] {
    oids.map(|oid| trap(oid, &[("1.3.6.1.2.1.47.1.1.1.1.7.69206016", "s", name)]))
}

fn cisco() -> Vec<Part> {
    vec![
        Part {
            service: "Interface GigabitEthernet0/8",
            traps: link("GigabitEthernet0/8"),
            lines: [
                "<187>37972: Nov 20 12:00:01.429: %LINK-3-UPDOWN: Interface GigabitEthernet0/8, changed state to down",
                "<187>37973: Nov 20 12:00:02.429: %LINK-3-UPDOWN: Interface GigabitEthernet0/8, changed state to up",
            ],
        },
        Part {
            service: "BGP 198.51.100.2",
            traps: bgp(),
            lines: [
                "<189>100: Nov 20 12:00:01.024: %BGP-5-ADJCHANGE: neighbor 198.51.100.2 Down Interface flap",
                "<189>101: Nov 20 12:00:02.024: %BGP-5-ADJCHANGE: neighbor 198.51.100.2 Up ",
            ],
        },
        Part {
            service: "OSPF neighbor 10.0.0.9",
            traps: ospf(None),
            lines: [
                "<189>101: Nov 20 12:00:01.876: %OSPF-5-ADJCHG: Process 1, Nbr 10.0.0.9 on GigabitEthernet0/0 from FULL to DOWN, \
                 Neighbor Down: Dead timer expired",
                "<189>102: Nov 20 12:00:02.876: %OSPF-5-ADJCHG: Process 1, Nbr 10.0.0.9 on GigabitEthernet0/0 from LOADING to FULL, \
                 Loading Done",
            ],
        },
    ]
}

fn juniper() -> Vec<Part> {
    let power = ["1.3.6.1.4.1.2636.4.1.1", "1.3.6.1.4.1.2636.4.2.1"].map(|oid| {
        trap(
            oid,
            &[
                ("1.3.6.1.4.1.2636.3.1.8.1.6.2.1.0.0", "s", "PEM 0"),
                ("1.3.6.1.4.1.2636.3.1.13.1.6.2.1.0.0", "i", if oid.ends_with(".4.1.1") { "6" } else { "2" }),
            ],
        )
    });
    vec![
        Part {
            service: "Interface ge-1/0/1",
            traps: link("ge-1/0/1"),
            lines: [
                "<28>Nov 20 12:00:01 sw1 mib2d[1421]: SNMP_TRAP_LINK_DOWN: ifIndex 531, ifAdminStatus up(1), ifOperStatus down(2), \
                 ifName ge-1/0/1",
                "<28>Nov 20 12:00:02 sw1 mib2d[1421]: SNMP_TRAP_LINK_UP: ifIndex 531, ifAdminStatus up(1), ifOperStatus up(1), \
                 ifName ge-1/0/1",
            ],
        },
        Part {
            service: "BGP 198.51.100.2",
            traps: bgp(),
            lines: [
                "<28>Nov 20 12:00:01 sw1 rpd[1391]: RPD_BGP_NEIGHBOR_STATE_CHANGED: BGP peer 198.51.100.2 (External AS 64500) changed \
                 state from Established to Idle (event HoldTime)",
                "<28>Nov 20 12:00:02 sw1 rpd[1391]: RPD_BGP_NEIGHBOR_STATE_CHANGED: BGP peer 198.51.100.2 (External AS 64500) changed \
                 state from OpenConfirm to Established (event RecvKeepAlive)",
            ],
        },
        Part {
            service: "OSPF neighbor 192.0.2.17",
            traps: ospf(Some("1.3.6.1.4.1.2636.1.1.1.2.29")),
            lines: [
                "<28>Nov 20 12:00:01 sw1 rpd[6962]: RPD_OSPF_NBRDOWN: OSPF neighbor 192.0.2.17 (realm ospf-v2 ge-0/0/0.0 area 0.0.0.0) \
                 state changed from Full to Down due to KillNbr (event reason: interface went down)",
                "<28>Nov 20 12:00:02 sw1 rpd[6962]: RPD_OSPF_NBRUP: OSPF neighbor 192.0.2.17 (realm ospf-v2 ge-0/0/0.0 area 0.0.0.0) \
                 state changed from Loading to Full due to LoadDone (event reason: OSPF loading completed)",
            ],
        },
        Part {
            service: "PEM 0",
            traps: power,
            lines: [
                "<27>Nov 20 12:00:01 sw1 chassisd[2268]: CHASSISD_SNMP_TRAP6: SNMP trap generated: Power Supply failed \
                 (jnxContentsContainerIndex 2, jnxContentsL1Index 1, jnxContentsL2Index 0, jnxContentsL3Index 0, jnxContentsDescr PEM 0, \
                 jnxOperatingState/Temp 6)",
                "<27>Nov 20 12:00:02 sw1 chassisd[2268]: CHASSISD_SNMP_TRAP6: SNMP trap generated: Power Supply OK \
                 (jnxContentsContainerIndex 2, jnxContentsL1Index 1, jnxContentsL2Index 0, jnxContentsL3Index 0, jnxContentsDescr PEM 0, \
                 jnxOperatingState/Temp 2)",
            ],
        },
    ]
}

fn arista() -> Vec<Part> {
    vec![
        Part {
            service: "Interface Ethernet1",
            traps: link("Ethernet1"),
            lines: [
                "<189>Nov 20 12:00:01 sw1 Ebra: %LINEPROTO-5-UPDOWN: Line protocol on Interface Ethernet1, changed state to down",
                "<189>Nov 20 12:00:02 sw1 Ebra: %LINEPROTO-5-UPDOWN: Line protocol on Interface Ethernet1, changed state to up",
            ],
        },
        Part {
            service: "BGP 198.51.100.2",
            traps: bgp(),
            lines: [
                "<13>Nov 20 12:00:01 sw1 Bgp: %BGP-5-ADJCHANGE: peer 198.51.100.2 (VRF default AS 64500) old state Established event \
                 AdminReset new state Idle",
                "<189>Nov 20 12:00:02 sw1 Bgp: %BGP-5-ADJCHANGE: peer 198.51.100.2 (AS 64500) old state OpenConfirm event Established \
                 new state Established",
            ],
        },
        Part {
            service: "OSPF neighbor 10.0.0.9",
            traps: ospf(None),
            lines: [
                "<188>Nov 20 12:00:01 sw1 Ospf: Instance 1: %OSPF-4-OSPF_ADJACENCY_TEARDOWN: NGB 10.0.0.9, interface 192.0.2.18 adjacency \
                 dropped: DD packet mismatch, state was: FULL",
                "<188>Nov 20 12:00:02 sw1 Ospf: Instance 1: %OSPF-4-OSPF_ADJACENCY_ESTABLISHED: NGB 10.0.0.9, interface 192.0.2.18 \
                 adjacency established",
            ],
        },
    ]
}

fn huawei_parts() -> Vec<Part> {
    vec![
        Part {
            service: "Interface GigabitEthernet0/0/1",
            traps: link("GigabitEthernet0/0/1"),
            lines: [
                "<188>Nov 20 2026 12:00:01 sw1 %%01IFPDT/4/IF_STATE(l)[6]:Interface GigabitEthernet0/0/1 has turned into DOWN state.",
                "<188>Nov 20 2026 12:00:02 sw1 %%01IFPDT/4/IF_STATE(l)[7]:Interface GigabitEthernet0/0/1 has turned into UP state.",
            ],
        },
        Part {
            service: "BGP 198.51.100.2",
            traps: bgp(),
            lines: [
                "<187>Nov 20 2026 12:00:01 sw1 %%01BGP/3/STATE_CHG_UPDOWN(l)[14]:The status of the peer 198.51.100.2 changed from \
                 ESTABLISHED to IDLE. (InstanceName=Public, StateChangeReason=Hold Timer Expired)",
                "<187>Nov 20 2026 12:00:02 sw1 %%01BGP/3/STATE_CHG_UPDOWN(l)[15]:The status of the peer 198.51.100.2 changed from \
                 OPENCONFIRM to ESTABLISHED. (InstanceName=Public, StateChangeReason=Up)",
            ],
        },
        Part {
            service: "OSPF neighbor 10.0.0.9",
            traps: ospf(None),
            lines: [
                "<186>Nov 20 2026 12:00:01 sw1 OSPF/2/NBRCHG:OID 1.3.6.1.2.1.14.16.2.2 The status of the non-virtual neighbor changes. \
                 (NbrIpAddress=192.0.2.17, NbrAddressLessIndex=0, ProcessId=1, AreaId=0.0.0.0, IfnetIndex=7, LocalIfIpAddress=192.0.2.18, \
                 ProcessId=1, RouterId=192.0.2.1, NbrRtrId=10.0.0.9, NbrState=1, IfName=Vlanif10, InstanceName=public, NbrChgReason=1)",
                "<186>Nov 20 2026 12:00:02 sw1 %%01OSPF/2/ospfNbrStateChange_clear(l)[15]:The status of the non-virtual neighbor has \
                 changed. (RouterId=192.0.2.1, NbrIpAddress=192.0.2.17, NbrAddressLessIndex=0, NbrRtrId=10.0.0.9, NbrState=8, ProcessId=1, \
                 AreaId=0.0.0.0, IfnetIndex=7, LocalIfIpAddress=192.0.2.18, IfName=GigabitEthernet1/0/0, VpnName=_public_, Reason=102, \
                 SubReason=58)",
            ],
        },
        Part {
            service: "Power supply PWR slot 1",
            traps: huawei(
                ["1.3.6.1.4.1.2011.5.25.219.2.5.5", "1.3.6.1.4.1.2011.5.25.219.2.5.6"],
                "PWR slot 1",
            ),
            lines: [
                "<185>Nov 20 2026 12:00:01 sw1 ENTITYTRAP/1/POWERFAIL:OID 1.3.6.1.4.1.2011.5.25.219.2.5.5 Power is \
                 invalid.(Index=69206016, EntityPhysicalIndex=69206016, PhysicalName=\"PWR slot 1\", EntityTrapFaultID=136704)",
                "<185>Nov 20 2026 12:00:02 sw1 ENTITYTRAP/1/POWERRESUME:OID 1.3.6.1.4.1.2011.5.25.219.2.5.6 Power is \
                 resumed.(Index=69206016, EntityPhysicalIndex=69206016, PhysicalName=\"PWR slot 1\", EntityTrapFaultID=136704)",
            ],
        },
        Part {
            service: "Fan FAN slot 1",
            traps: huawei(
                ["1.3.6.1.4.1.2011.5.25.219.2.6.5", "1.3.6.1.4.1.2011.5.25.219.2.6.6"],
                "FAN slot 1",
            ),
            lines: [
                "<185>Nov 20 2026 12:00:01 sw1 ENTITYTRAP/1/FANFAIL:OID 1.3.6.1.4.1.2011.5.25.219.2.6.5 Fan is \
                 invalid.(Index=69140480, EntityPhysicalIndex=69140480, PhysicalName=\"FAN slot 1\", EntityTrapFaultID=137216)",
                "<185>Nov 20 2026 12:00:02 sw1 ENTITYTRAP/1/FANRESUME:OID 1.3.6.1.4.1.2011.5.25.219.2.6.6 Fan is \
                 resumed.(Index=69140480, EntityPhysicalIndex=69140480, PhysicalName=\"FAN slot 1\", EntityTrapFaultID=137216)",
            ],
        },
        Part {
            service: "VRRP 7/10",
            traps: [
                Vec::new(),
                trap("1.3.6.1.2.1.68.0.1", &[("1.3.6.1.2.1.68.1.3.1.7.7.10", "a", "192.0.2.20")]),
            ],
            lines: [
                "<188>Nov 20 2026 12:00:01 sw1 %%01VRRP/4/vrrpMasterDown(l)[9]:The VRRP status changed from master to another state. \
                 (ifIndex=7, VrId=10, MasterIpAddr=192.0.2.20, sysName=sw1, ifName=Eth-Trunk1.10, CurrentState=Initialize, \
                 ChangeReason=interface down)",
                "",
            ],
        },
    ]
}

fn hpe() -> Vec<Part> {
    vec![
        Part {
            service: "Interface GigabitEthernet1/0/6",
            traps: link("GigabitEthernet1/0/6"),
            lines: [
                "<187>Nov 20 12:00:01 2026 sw1 %%10IFNET/3/PHY_UPDOWN: Physical state on the interface GigabitEthernet1/0/6 changed to down.",
                "<187>Nov 20 12:00:02 2026 sw1 %%10IFNET/3/PHY_UPDOWN: Physical state on the interface GigabitEthernet1/0/6 changed to up.",
            ],
        },
        Part {
            service: "BGP 198.51.100.2",
            traps: bgp(),
            lines: [
                "<189>Nov 20 12:00:01 2026 sw1 %%10BGP/5/BGP_STATE_CHANGED: BGP.: 198.51.100.2 state has changed from ESTABLISHED to IDLE \
                 for TCP connection down.",
                "<189>Nov 20 12:00:02 2026 sw1 %%10BGP/5/BGP_STATE_CHANGED: BGP.: 198.51.100.2 state has changed from OPENCONFIRM to \
                 ESTABLISHED.",
            ],
        },
        Part {
            service: "OSPF neighbor 10.0.0.9",
            traps: ospf(None),
            lines: [
                "<189>Nov 20 12:00:01 2026 sw1 %%10OSPF/5/OSPF_NBR_CHG: OSPF 1 Neighbor 10.0.0.9(Vlan-interface100) changed from FULL to DOWN.",
                "<189>Nov 20 12:00:02 2026 sw1 %%10OSPF/5/OSPF_NBR_CHG: OSPF 1 Neighbor 10.0.0.9(Vlan-interface100) changed from LOADING to \
                 FULL.",
            ],
        },
    ]
}

/// FortiGate says by a trap that a power supply or a fan has failed, and only by a line that it works again.
fn fortinet() -> Vec<Part> {
    let failed = |number: &str| [trap(&format!("1.3.6.1.4.1.12356.100.1.3.0.{number}"), &[]), Vec::new()];
    vec![
        Part {
            service: "Interface port1",
            traps: link("port1"),
            lines: [
                r#"<188>date=2026-11-20 time=12:00:01 devname="sw1" devid="FGT60E0000000000" tz="+0000" logid="0100020099" type="event" subtype="system" level="warning" vd="root" logdesc="Interface status changed" action="interface-stat-change" status="DOWN" msg="Interface port1 turned down""#,
                r#"<188>date=2026-11-20 time=12:00:02 devname="sw1" devid="FGT60E0000000000" tz="+0000" logid="0100020099" type="event" subtype="system" level="warning" vd="root" logdesc="Interface status changed" action="interface-stat-change" status="UP" msg="Interface port1 turned up""#,
            ],
        },
        Part {
            service: "BGP 198.51.100.2",
            traps: bgp(),
            lines: [
                r#"<188>date=2026-11-20 time=12:00:01 devname="sw1" devid="FGT60E0000000000" tz="+0000" logid="0103020300" type="event" subtype="router" level="warning" vd="root" logdesc="BGP neighbor status changed" msg="BGP: %BGP-5-ADJCHANGE: neighbor 198.51.100.2 Down Interface flap""#,
                r#"<188>date=2026-11-20 time=12:00:02 devname="sw1" devid="FGT60E0000000000" tz="+0000" logid="0103020300" type="event" subtype="router" level="warning" vd="root" logdesc="BGP neighbor status changed" msg="BGP: %BGP-5-ADJCHANGE: neighbor 198.51.100.2 Up ""#,
            ],
        },
        Part {
            service: "Power supply",
            traps: failed("106"),
            lines: [
                "",
                r#"<188>date=2026-11-20 time=12:00:02 devname="sw1" devid="FG121G0000000000" tz="+0000" logid="0100022104" type="event" subtype="system" level="notice" vd="root" logdesc="Power supply restored" unit=1 msg="Power supply restored""#,
            ],
        },
        Part {
            service: "Fan",
            traps: failed("108"),
            lines: [
                "",
                r#"<188>date=2026-11-20 time=12:00:02 devname="sw1" devid="FG121G0000000000" tz="+0000" logid="0100022151" type="event" subtype="system" level="notice" vd="root" logdesc="Fan normal" msg="Fan normal""#,
            ],
        },
        Part {
            service: "Temperature",
            traps: failed("104"),
            lines: [
                "",
                r#"<188>date=2026-11-20 time=12:00:02 devname="sw1" devid="FG121G0000000000" tz="+0000" logid="0100022153" type="event" subtype="system" level="notice" vd="root" logdesc="Temperature normal" msg="Temperature normal""#,
            ],
        },
    ]
}

fn palo_alto() -> Vec<Part> {
    let mut parts = vec![
        Part {
            service: "Interface ethernet1/1",
            traps: link("ethernet1/1"),
            lines: [
                "<14>Nov 20 12:00:01 sw1 1,2026/11/20 12:00:01,001122334455,SYSTEM,port,0,2026/11/20 12:00:01,,link-change,ethernet1/1,0,0,\
                 general,critical,Port ethernet1/1: Down 1Gb/s-full duplex,4711,0x0",
                "<14>Nov 20 12:00:02 sw1 1,2026/11/20 12:00:02,001122334455,SYSTEM,port,0,2026/11/20 12:00:02,,link-change,ethernet1/1,0,0,\
                 general,informational,Port ethernet1/1: Up   1Gb/s-full duplex,4712,0x0",
            ],
        },
        Part {
            service: "BGP 198.51.100.2",
            traps: bgp(),
            lines: [
                "<14>Nov 20 12:00:01 sw1 1,2026/11/20 12:00:01,001122334455,SYSTEM,routing,0,2026/11/20 12:00:01,,\
                 routed-BGP-peer-left-established,vr1,0,0,general,high,\"BGP peer session left established state, peer name: ISP-1, \
                 peer IP: 198.51.100.2.\",4713,0x0",
                "<14>Nov 20 12:00:02 sw1 1,2026/11/20 12:00:02,001122334455,SYSTEM,routing,0,2026/11/20 12:00:02,,\
                 routed-BGP-peer-enter-established,vr1,0,0,general,informational,\"BGP peer session entered established state, \
                 peer name: ISP-1, peer IP: 198.51.100.2.\",4714,0x0",
            ],
        },
        Part {
            service: "OSPF neighbor 10.0.0.9",
            traps: ospf(None),
            lines: [
                "<14>Nov 20 12:00:01 sw1 1,2026/11/20 12:00:01,001122334455,SYSTEM,routing,0,2026/11/20 12:00:01,,\
                 routed-OSPF-neighbor-down,vr1,0,0,general,high,\"OSPF adjacency with neighbor has gone down. interface tunnel.1, \
                 neighbor router ID 10.0.0.9, neighbor IP address 192.0.2.17.\",4715,0x0",
                "<14>Nov 20 12:00:02 sw1 1,2026/11/20 12:00:02,001122334455,SYSTEM,routing,0,2026/11/20 12:00:02,,\
                 routed-OSPF-neighbor-full,vr1,0,0,general,informational,\"OSPF full adjacency established with neighbor. \
                 interface tunnel.1, neighbor router ID 10.0.0.9, neighbor IP address 192.0.2.17.\",4716,0x0",
            ],
        },
    ];
    let own = [
        [
            (1200, "Port ethernet1/1: Down 1Gb/s-full duplex"),
            (1200, "Port ethernet1/1: Up   1Gb/s-full duplex"),
        ],
        [
            (1532, "BGP peer session left established state, peer name: ISP-1, peer IP: 198.51.100.2."),
            (1531, "BGP peer session entered established state, peer name: ISP-1, peer IP: 198.51.100.2."),
        ],
        [
            (
                1525,
                "OSPF adjacency with neighbor has gone down. interface tunnel.1, neighbor router ID 10.0.0.9.",
            ),
            (
                1524,
                "OSPF full adjacency established with neighbor. interface tunnel.1, neighbor router ID 10.0.0.9.",
            ),
        ],
    ];
    let own: Vec<Part> = parts
        .iter()
        .zip(own)
        .map(|(part, traps)| Part { service: part.service, traps: traps.map(pan_os), lines: part.lines })
        .collect();
    parts.extend(own);
    parts
}

/// A trap of PAN-OS's own (PAN-TRAPS).
fn pan_os((number, text): (u32, &str)) -> Vec<String> {
    trap(
        &format!("1.3.6.1.4.1.25461.2.1.3.2.0.{number}"),
        &[("1.3.6.1.4.1.25461.2.1.3.1.303.0", "i", "4"), ("1.3.6.1.4.1.25461.2.1.3.1.304.0", "s", text)],
    )
}

fn mikrotik() -> Vec<Part> {
    vec![
        Part {
            service: "Interface ether9",
            traps: link("ether9"),
            lines: [
                "<30>Nov 20 12:00:01 sw1 interface,info ether9 link down",
                "<30>Nov 20 12:00:02 sw1 interface,info ether9 link up (speed 1G, full duplex)",
            ],
        },
        Part {
            service: "OSPF neighbor 10.0.0.9",
            traps: ospf(None),
            lines: [
                "<30>Nov 20 12:00:01 sw1 route,ospf,info OSPFv2 neighbor 10.0.0.9: state change from Full to Down",
                "<30>Nov 20 12:00:02 sw1 route,ospf,info OSPFv2 neighbor 10.0.0.9: state change from Exchange to Full",
            ],
        },
    ]
}

/// The HSRP group 10 of the interface 7, Vlan10: speak, active.
fn hsrp() -> Part {
    Part {
        service: "HSRP Vlan10/10",
        traps: ["4", "6"].map(|state| {
            trap("1.3.6.1.4.1.9.9.106.2.0.1", &[("1.3.6.1.4.1.9.9.106.1.2.1.1.15.7.10", "i", state)])
        }),
        lines: [
            "<189>44: Nov 20 12:00:01 UTC: %HSRP-5-STATECHANGE: Vlan10 Grp 10 state Active -> Speak",
            "<189>45: Nov 20 12:00:02 UTC: %HSRP-5-STATECHANGE: Vlan10 Grp 10 state Standby -> Active",
        ],
    }
}

/// Sends what each part has in both directions, and returns how many pairs these were.
fn either_clears_the_other(daemon: &Daemon, parts: &[Part]) -> usize {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let target = daemon.snmp_target();
    let send_trap = |arguments: &[String]| {
        let head = ["-v2c", "-c", "public", &target, "100"];
        let arguments: Vec<&str> = head.into_iter().chain(arguments.iter().map(String::as_str)).collect();
        snmptrap(&arguments);
    };
    let send_line = |line: &str| {
        socket.send_to(line.as_bytes(), ("127.0.0.1", daemon.syslog_udp)).unwrap();
    };
    let mut pairs = 0;
    for part in parts {
        for trap_first in [true, false] {
            let (of_trap, line) =
                (&part.traps[usize::from(!trap_first)], part.lines[usize::from(trap_first)]);
            if of_trap.is_empty() || line.is_empty() {
                continue;
            }
            let before = daemon.outcomes("out.jsonl").len();
            let arrives = |count: usize| {
                wait_until(part.service, || daemon.outcomes("out.jsonl").len() >= before + count);
            };
            if trap_first {
                send_trap(of_trap);
            } else {
                send_line(line);
            }
            arrives(1);
            if trap_first {
                send_line(line);
            } else {
                send_trap(of_trap);
            }
            arrives(2);
            let outcomes = daemon.outcomes("out.jsonl");
            let said = |outcome: &Value| {
                ["host", "service"].map(|key| outcome[key].as_str().unwrap_or_default().to_owned())
            };
            let new = &outcomes[before..];
            let expected = ["sw1".to_owned(), part.service.to_owned()];
            assert_eq!([said(&new[0]), said(&new[1])], [expected.clone(), expected], "{new:?}");
            assert_ne!(new[0]["state"], "ok", "{new:?}");
            assert_eq!(new[1]["state"], "ok", "{new:?}");
            pairs += 1;
        }
    }
    pairs
}

const HOSTS: &str = "[hosts]\nmap = { \"127.0.0.1\" = \"sw1\" }\n";

#[test]
fn a_trap_clears_what_a_line_has_reported_and_the_other_way_round() {
    let vendors = [cisco(), juniper(), arista(), huawei_parts(), hpe(), fortinet(), palo_alto(), mikrotik()];
    let mut daemon = Daemon::start(&format!("{FILE_SINK}[rules]\npacks = \"all\"\n{HOSTS}"));
    let parts: Vec<Part> = vendors.into_iter().flatten().collect();
    let pairs = either_clears_the_other(&daemon, &parts);
    println!("{pairs} pairs");
    assert!(pairs >= 50, "{pairs}");
    daemon.stop();
}

/// With the table and the rule of docs/packs.md.
#[test]
fn a_table_of_interfaces_gives_hsrp_one_service() {
    let page = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/packs.md")).unwrap();
    let block = |fence: &str, start: &str| {
        let mut blocks = page.split(fence).skip(1).map(|rest| rest.split("```").next().unwrap());
        blocks.find(|block| block.starts_with(start)).unwrap().to_owned()
    };
    let lookups = block("```toml\n", "[[lookups]]");
    let mut daemon = Daemon::prepare(&format!(
        "{FILE_SINK}[rules]\npacks = \"all\"\npaths = [\"rules.toml\"]\n{HOSTS}{lookups}"
    ));
    std::fs::write(daemon.path("rules.toml"), block("```toml\n", "[[rule]]")).unwrap();
    std::fs::write(daemon.path("interfaces.csv"), block("```text\n", "interface,name")).unwrap();
    let config = daemon.path("trapline.toml");
    let tested = output(&["test", "--config", config.to_str().unwrap()]);
    assert!(tested.status.success(), "{tested:?}");
    daemon.restart();
    assert_eq!(either_clears_the_other(&daemon, &[hsrp()]), 2);
    daemon.stop();
}
