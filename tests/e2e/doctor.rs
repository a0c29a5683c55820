//! `trapline doctor`: what it finds with and without a daemon.

use std::net::UdpSocket;

use serde_json::Value;

use crate::daemon::{Daemon, FILE_SINK, output};

/// The findings, and whether nothing is broken, which the exit status says too.
fn doctor(daemon: &Daemon) -> (Vec<Value>, bool) {
    let config = daemon.path("trapline.toml");
    let config = config.to_str().unwrap();
    let found = output(&["doctor", "--json", "--config", config]);
    let all: Value = serde_json::from_slice(&found.stdout).unwrap_or_else(|_| panic!("{found:?}"));
    assert_eq!(found.status.code(), Some(i32::from(all["ok"] != true)), "{all:#}");
    let words = output(&["doctor", "--config", config]);
    let words = String::from_utf8(words.stdout).unwrap();
    for finding in all["findings"].as_array().unwrap() {
        assert!(words.contains(finding["area"].as_str().unwrap()), "{finding} {words}");
    }
    (all["findings"].as_array().unwrap().clone(), all["ok"] == true)
}

fn find<'f>(findings: &'f [Value], says: &str) -> &'f Value {
    let found = findings.iter().find(|finding| finding["what"].as_str().unwrap().contains(says));
    found.unwrap_or_else(|| panic!("no '{says}' in {findings:#?}"))
}

#[test]
fn before_the_daemon_runs() {
    let daemon = Daemon::prepare(&format!(
        "{FILE_SINK}[[sinks]]\nname = \"core\"\ntype = \"nagios\"\ncommand_file = \"DIR/nagios.cmd\"\n"
    ));
    let (findings, well) = doctor(&daemon);
    assert!(!well);
    let levels: Vec<&Value> = [
        "no daemon runs",
        &format!("127.0.0.1:{}/udp is free", daemon.snmp),
        "sink 'core'",
        "the start makes it",
    ]
    .map(|says| &find(&findings, says)["level"])
    .to_vec();
    assert_eq!(levels, ["warning", "good", "error", "good"]);
    let _taken = UdpSocket::bind(("127.0.0.1", daemon.snmp)).unwrap();
    let (findings, _) = doctor(&daemon);
    let taken = find(&findings, &format!("127.0.0.1:{}/udp is in use by", daemon.snmp));
    assert!(
        taken["what"].as_str().unwrap().ends_with(&format!("(process {})", std::process::id())),
        "{taken}"
    );
    assert_eq!(taken["level"], "error");
    std::fs::write(daemon.path("trapline.toml"), "[smnp]\n").unwrap();
    let (findings, well) = doctor(&daemon);
    assert!(!well && find(&findings, "mistakes: 1")["remedy"].as_str().unwrap().contains("trapline check"));
}

#[test]
fn a_check_warns_of_what_keeps_the_daemon_from_its_work() {
    let mut daemon = Daemon::prepare(&format!(
        "{FILE_SINK}[[sinks]]\nname = \"core\"\ntype = \"nagios\"\ncommand_file = \"DIR/nagios.cmd\"\n\
         [[sinks]]\nname = \"folder\"\ntype = \"file\"\npath = \"DIR/trapline.toml/out\"\n"
    ));
    let config = daemon.path("trapline.toml").display().to_string();
    let check = |more: &[&str]| {
        let checked = output(&[&["check", "--config", &config], more].concat());
        assert!(checked.status.success(), "{checked:?}");
        String::from_utf8(checked.stderr).unwrap()
    };
    let taken = UdpSocket::bind(("127.0.0.1", daemon.snmp)).unwrap();
    let said = check(&[]);
    let port = format!(":2:11: warning: 127.0.0.1:{}/udp is in use by", daemon.snmp);
    for part in [port.as_str(), "the sink 'core' cannot deliver now", "the sink 'folder' cannot deliver now"]
    {
        assert!(said.contains(part), "{part}: {said}");
    }
    assert!(!said.contains("the sink 'out'"), "{said}");
    assert_eq!(check(&["--offline"]).matches("warning").count(), 0);
    drop(taken);
    // The daemon itself is in nobody's way.
    daemon.restart();
    assert!(!check(&[]).contains("in use"), "{}", check(&[]));
    daemon.stop();
}

#[test]
fn a_daemon_that_runs() {
    let mut daemon = Daemon::prepare(FILE_SINK);
    daemon.restart();
    let (findings, _) = doctor(&daemon);
    let port = find(&findings, &format!("127.0.0.1:{}/udp: Trapline receives", daemon.snmp));
    assert!(port["what"].as_str().unwrap().ends_with(&format!("(process {})", daemon.pid())), "{port}");
    assert_eq!(find(&findings, "no SNMP messages have arrived")["level"], "note");
    daemon.trap(&["1.3.6.1.4.1.99999.0.1"]);
    daemon.wait_count("unmatched", 1);
    let (findings, _) = doctor(&daemon);
    assert_eq!(find(&findings, "1 SNMP messages have arrived")["level"], "good");
    assert_eq!(find(&findings, "no rule matched 1 messages")["remedy"], "see `trapline unmatched`");
    // What is broken is not the daemon: a machine may lack space on its disk.
    let broken = findings.iter().filter(|finding| finding["level"] == "error" && finding["area"] != "disk");
    assert_eq!(broken.collect::<Vec<_>>(), Vec::<&Value>::new());
}
