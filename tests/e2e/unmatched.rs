//! From an unmatched message to what it was: the inbox, over restarts, for traps, lines and SNMPv3.

use std::net::UdpSocket;

use serde_json::Value;

use crate::daemon::{Daemon, FILE_SINK, output};
use crate::support::{snmptrap, wait_until};

const USERS: &str = "[[snmp.users]]\nname = \"ops\"\nauth = \"SHA-256\"\nauth_password = \"authpass1\"\npriv = \"AES-128\"\n\
    priv_password = \"privpass1\"\n";

fn group<'g>(groups: &'g Value, what: &str) -> &'g Value {
    let found =
        groups["groups"].as_array().unwrap().iter().find(|g| g["what"].as_str().unwrap().contains(what));
    found.unwrap_or_else(|| panic!("no {what} in {groups:#}"))
}

#[test]
fn messages_that_no_rule_takes_are_kept_by_kind() {
    let mut daemon = Daemon::prepare(&format!("{FILE_SINK}{USERS}"));
    daemon.restart();
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    for n in 0..15 {
        let line = format!("<13>Nov 20 12:00:01 h1 pump[{n}]: pressure {n} bar at valve-{n}");
        socket.send_to(line.as_bytes(), ("127.0.0.1", daemon.syslog_udp)).unwrap();
        daemon.trap(&["1.3.6.1.4.1.99999.0.1", "1.3.6.1.4.1.99999.1.1", "s", &format!("number {n}")]);
    }
    snmptrap(&[
        "-v3",
        "-e",
        "0x80001f8880c0ffee01",
        "-l",
        "authPriv",
        "-u",
        "ops",
        "-a",
        "SHA-256",
        "-A",
        "authpass1",
        "-x",
        "AES",
        "-X",
        "privpass1",
        &daemon.snmp_target(),
        "",
        "1.3.6.1.4.1.99999.0.2",
        "1.3.6.1.4.1.99999.1.1",
        "s",
        "a secret",
    ]);
    daemon.wait_count("unmatched", 31);
    let check = |daemon: &Daemon| {
        let groups = daemon.unmatched(&[]);
        assert_eq!(groups["groups"].as_array().unwrap().len(), 3, "{groups:#}");
        let (trap, line) = (group(&groups, "99999.0.1"), group(&groups, "pump"));
        assert_eq!((&trap["count"], &line["count"]), (&15.into(), &15.into()));
        assert_eq!(trap["senders"]["127.0.0.1"], 15);
        let id = trap["group"].to_string();
        let shown = daemon.unmatched(&["show", &id]);
        let last = shown["messages"].as_array().unwrap().last().unwrap();
        assert_eq!(last["varbinds"][0]["text"], "number 14");
        let v3 = group(&groups, "99999.0.2")["group"].to_string();
        let shown = daemon.unmatched(&["show", &v3]);
        assert_eq!(
            (&shown["messages"][0]["user"], &shown["messages"][0]["version"]),
            (&"ops".into(), &"3".into())
        );
        assert_eq!(shown["messages"][0]["varbinds"][0]["text"], "a secret");
        (id, v3)
    };
    let (trap, v3) = check(&daemon);
    // A clean stop keeps the inbox, and it can be read without a daemon.
    daemon.stop();
    check(&daemon);
    let text = std::fs::read_to_string(daemon.path("var/inbox.jsonl")).unwrap();
    assert!(
        !text.contains(&"public".bytes().map(|b| format!("{b:02x}")).collect::<String>()),
        "the community is kept"
    );
    daemon.restart();
    check(&daemon);
    let config = daemon.path("trapline.toml");
    let config = config.to_str().unwrap();
    let list = output(&["unmatched", "--config", config]);
    let list = String::from_utf8(list.stdout).unwrap();
    assert!(list.contains("(1.3.6.1.4.1.99999.0.1): number 14\n"), "{list}");
    for id in [&trap, &v3] {
        let explained = output(&["explain", "--unmatched", id, "--json", "--config", config]);
        // No rule takes it, which is what it is asked for.
        assert_eq!(explained.status.code(), Some(1), "{explained:?}");
        let explained: Value = serde_json::from_slice(&explained.stdout).unwrap();
        assert_eq!(explained["matched"], serde_json::json!([]));
    }
    assert!(output(&["unmatched", "forget", &trap, "--config", config]).status.success());
    assert!(!output(&["unmatched", "forget", &trap, "--config", config]).status.success());
    assert_eq!(daemon.unmatched(&[])["groups"].as_array().unwrap().len(), 2);
    assert!(output(&["unmatched", "forget", "--all", "--config", config]).status.success());
    assert_eq!(daemon.unmatched(&[])["groups"], serde_json::json!([]));
}

#[test]
fn from_an_unmatched_message_to_a_rule_in_force() {
    let mut daemon = Daemon::prepare(&format!("{FILE_SINK}[rules]\npaths = [\"DIR/rules\"]\n"));
    std::fs::create_dir(daemon.path("rules")).unwrap();
    daemon.restart();
    let config = daemon.path("trapline.toml");
    let config = config.to_str().unwrap();
    let file = daemon.path("rules/own.toml");
    let line = "<35>Nov 20 12:00:01 h1 pump[7]: pressure 9 bar at valve-3";
    let send = |daemon: &Daemon| {
        daemon.trap(&["1.3.6.1.4.1.99999.0.1", "1.3.6.1.4.1.99999.1.1", "s", "fan 2"]);
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        socket.send_to(line.as_bytes(), ("127.0.0.1", daemon.syslog_udp)).unwrap();
    };
    send(&daemon);
    daemon.wait_count("unmatched", 2);
    let groups = daemon.unmatched(&[]);
    for what in ["99999.0.1", "pump"] {
        let id = group(&groups, what)["group"].to_string();
        let made = output(&["rule", "new", &id, "--write", file.to_str().unwrap(), "--config", config]);
        assert!(made.status.success(), "{made:?}");
    }
    send(&daemon);
    wait_until("both are outcomes", || daemon.outcomes("out.jsonl").len() == 2);
    let outcomes = daemon.outcomes("out.jsonl");
    let of = |service: &str| {
        outcomes.iter().find(|o| o["service"] == service).unwrap_or_else(|| panic!("{outcomes:#?}"))
    };
    assert_eq!(of("Trap 99999.0.1")["output"], "Trap 1.3.6.1.4.1.99999.0.1: value 1 fan 2");
    assert_eq!(of("pump: pressure")["state"], "critical");
    let id = group(&groups, "pump")["group"].to_string();
    let example = output(&["rule", "new", &id, "--example-addresses", "--config", config]);
    // The rule is in force, so that its id is taken; the text comes all the same.
    assert!(String::from_utf8_lossy(&example.stdout).contains("at valve-3"), "{example:?}");
    // What is wrong changes nothing: its id is taken, and it lies where no rules are read.
    let before = std::fs::read_to_string(&file).unwrap();
    let id = group(&groups, "pump")["group"].to_string();
    for path in [&file, &daemon.path("elsewhere.toml")] {
        let refused = output(&["rule", "new", &id, "--write", path.to_str().unwrap(), "--config", config]);
        assert!(!refused.status.success(), "{refused:?}");
    }
    assert_eq!(std::fs::read_to_string(&file).unwrap(), before);
    assert!(!daemon.path("elsewhere.toml").exists());
    assert!(output(&["check", "--config", config]).status.success());
}
