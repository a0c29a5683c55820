use super::super::finding::Level;
use super::*;

fn bound(address: &str, datagram: bool, owner: Option<(u32, &str)>) -> Bound {
    let owner = owner.map(|(id, name)| Process { id, name: name.to_owned() });
    Bound { datagram, address: address.parse().unwrap(), inode: 1, owner }
}

fn wanted(section: &'static str, address: &str) -> Wanted {
    Wanted { section, datagram: true, address: address.parse().unwrap(), optional: false }
}

#[test]
fn who_has_a_port() {
    let (here, other) = (Some((7, "trapline")), Some((9, "snmptrapd")));
    for (address, taken, daemon, level, says) in [
        ("0.0.0.0:162", vec![], Daemon::Not(0), Level::Good, "is free"),
        ("0.0.0.0:162", vec![], Daemon::Not(1024), Level::Warning, "may not bind a port below 1024"),
        ("0.0.0.0:162", vec![("0.0.0.0:162", other)], Daemon::Not(0), Level::Error, "snmptrapd (process 9)"),
        ("0.0.0.0:162", vec![("[::]:162", other)], Daemon::Not(0), Level::Error, "snmptrapd (process 9)"),
        (
            "192.0.2.1:162",
            vec![("0.0.0.0:162", other)],
            Daemon::Not(0),
            Level::Error,
            "snmptrapd (process 9)",
        ),
        ("192.0.2.1:162", vec![("192.0.2.2:162", other)], Daemon::Not(0), Level::Good, "is free"),
        ("0.0.0.0:162", vec![("0.0.0.0:162", None)], Daemon::Not(0), Level::Error, "only root can see"),
        ("0.0.0.0:162", vec![("0.0.0.0:162", here)], Daemon::Runs(7), Level::Good, "Trapline receives"),
        ("0.0.0.0:162", vec![("0.0.0.0:162", None)], Daemon::Runs(7), Level::Note, "perhaps by Trapline"),
        ("0.0.0.0:162", vec![("0.0.0.0:162", other)], Daemon::Runs(7), Level::Error, "snmptrapd (process 9)"),
        ("0.0.0.0:162", vec![], Daemon::Runs(7), Level::Error, "does not listen there"),
    ] {
        let taken: Vec<Bound> =
            taken.into_iter().map(|(address, owner)| bound(address, true, owner)).collect();
        let found = judge(&[wanted("[snmp]", address)], &taken, daemon);
        assert_eq!((found.len(), found[0].level), (1, level), "{address} {taken:?}: {found:?}");
        assert!(found[0].what.contains(says), "{found:?}");
        assert_eq!(found[0].remedy.is_empty(), level == Level::Good, "{found:?}");
    }
    // TCP and UDP are not in each other's way.
    let tcp = [bound("0.0.0.0:162", false, other)];
    assert_eq!(judge(&[wanted("[snmp]", "0.0.0.0:162")], &tcp, Daemon::Not(0))[0].level, Level::Good);
    let optional = Wanted { optional: true, ..wanted("[snmp]", "[::]:162") };
    assert_eq!(judge(&[optional], &[], Daemon::Runs(7)), []);
}

#[test]
fn standard_ports_that_others_have() {
    let wanted = [wanted("[snmp]", "0.0.0.0:1162"), wanted("[syslog]", "0.0.0.0:1514")];
    let levels = |bound: &[Bound]| -> Vec<Level> {
        judge(&wanted, bound, Daemon::Not(0)).iter().skip(2).map(|finding| finding.level).collect()
    };
    assert_eq!(levels(&[]), [Level::Note, Level::Note]);
    let others = [bound("0.0.0.0:162", true, None), bound("127.0.0.1:514", true, None)];
    assert_eq!(levels(&others), [Level::Warning, Level::Note]);
    for program in ["snmptrapd", "rsyslogd", "syslog-ng", "systemd", "trapline", "other"] {
        let found = judge(&wanted, &[bound("0.0.0.0:514", true, Some((9, program)))], Daemon::Not(0));
        assert!(found[3].what.contains(program) && found[3].remedy.contains("add port 514"), "{found:?}");
    }
}
