//! Mutes: a sink that honours them gets the last state, the others everything.

use std::net::UdpSocket;

use serde_json::Value;

use crate::daemon::{Daemon, FILE_SINK, trapline};
use crate::support::wait_until;

const PAGER: &str =
    "[[sinks]]\nname = \"pager\"\ntype = \"file\"\npath = \"DIR/pager.jsonl\"\nhonour_mutes = true\n";
const RULES: &str = "[[rule]]\nid = \"thing\"\nsyslog = { message = '^(?<what>\\w+) is (?<state>\\w+)' }\n\
                     [rule.check]\nservice = \"{{ what }}\"\nstate = \"state\"\noutput = \"{{ message }}\"\n";

fn outputs(daemon: &Daemon, file: &str) -> Vec<String> {
    daemon.outcomes(file).iter().map(|outcome| outcome["output"].as_str().unwrap().to_owned()).collect()
}

fn mute(daemon: &Daemon, args: &[&str]) -> (bool, String) {
    let mut command = trapline();
    command.arg("mute").args(args).arg("--config").arg(daemon.path("trapline.toml"));
    let output = command.output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap() + &String::from_utf8(output.stderr).unwrap();
    (output.status.success(), text)
}

#[test]
fn a_muted_sink_gets_the_state_that_holds_at_the_end_even_after_a_crash() {
    let mut daemon =
        Daemon::prepare(&format!("{FILE_SINK}{PAGER}[rules]\npaths = [\"rules.toml\"]\npacks = []\n"));
    std::fs::write(daemon.path("rules.toml"), RULES).unwrap();
    daemon.restart();
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let send = |daemon: &Daemon, host: &str, message: &str| {
        let line = format!("<35>Nov 20 12:00:00 {host} app: {message}");
        socket.send_to(line.as_bytes(), ("127.0.0.1", daemon.syslog_udp)).unwrap();
        wait_until("it is in the core's file", || {
            outputs(daemon, "out.jsonl").last().is_some_and(|output| output == message)
        });
    };
    let (_, wrong) = mute(&daemon, &["--host", "core-*"]);
    assert!(wrong.contains("--for 2h"), "{wrong}");
    let (_, wrong) = mute(&daemon, &["--for", "2h"]);
    assert!(wrong.contains("--host, --service or --rule"), "{wrong}");
    let (_, wrong) = mute(&daemon, &["--host", "x", "--for", "2h", "--sink", "papger"]);
    assert!(wrong.contains("sink 'papger' is not configured"), "{wrong}");
    let (done, text) = mute(&daemon, &["--host", "CORE-*", "--for", "1h", "--reason", "new line cards"]);
    assert!(done && text.starts_with("mute 1 until "), "{text}");

    send(&daemon, "core-1", "fan is critical");
    send(&daemon, "core-1", "fan is ok");
    send(&daemon, "core-2", "disk is critical");
    send(&daemon, "edge", "link is warning");
    wait_until("what is not muted arrives", || outputs(&daemon, "pager.jsonl") == ["link is warning"]);
    let (_, text) = mute(&daemon, &["list", "--json"]);
    let list: Value = serde_json::from_str(&text).unwrap();
    assert_eq!((&list["mutes"][0]["muted"], &list["withheld"]), (&3.into(), &2.into()), "{list}");
    let (_, text) = mute(&daemon, &["list"]);
    assert!(text.contains("3  host CORE-*: new line cards"), "{text}");
    wait_until("it is on disk", || {
        let kept = std::fs::read_to_string(daemon.path("var/mutes.json")).unwrap_or_default();
        kept.contains("\"swallowed\":3")
    });

    daemon.kill();
    daemon.restart();
    send(&daemon, "core-2", "disk is warning");
    let (done, text) = mute(&daemon, &["end", "1"]);
    assert!(done, "{text}");
    assert!(!mute(&daemon, &["end", "1"]).0, "it has ended");
    wait_until("the last words arrive", || {
        outputs(&daemon, "pager.jsonl").ends_with(&["fan is ok".to_owned(), "disk is warning".to_owned()])
    });
    send(&daemon, "core-1", "fan is warning");
    wait_until("it is not muted any more", || {
        outputs(&daemon, "pager.jsonl").last().is_some_and(|output| output == "fan is warning")
    });
    // A sink may repeat what it had delivered when it was killed.
    let told = |file: &str| {
        let mut told = outputs(&daemon, file);
        told.sort();
        told.dedup();
        told
    };
    assert_eq!(told("pager.jsonl"), ["disk is warning", "fan is ok", "fan is warning", "link is warning"]);
    let all = [
        "disk is critical",
        "disk is warning",
        "fan is critical",
        "fan is ok",
        "fan is warning",
        "link is warning",
    ];
    assert_eq!(told("out.jsonl"), all, "others get everything");
}
