//! What rules keep over time, in a running daemon.

use std::net::UdpSocket;

use serde_json::Value;
use trapline::snmp;

use crate::daemon::{Daemon, FILE_SINK, trapline};
use crate::support::wait_until;

/// A problem of what stands behind "down", held for so long, cleared by "up"; "mark" is always sent.
fn rules(hold: &str) -> String {
    format!(
        "[[rule]]\nid = \"down\"\nsyslog = {{ message = '^down (?<what>\\w+)' }}\n{hold}\ndedup = {{ window = \"1h\" }}\n\
         [rule.check]\nservice = \"{{{{ what }}}}\"\nstate = \"critical\"\noutput = \"{{{{ message }}}}\"\n\
         [[rule]]\nid = \"up\"\nsyslog = {{ message = '^up (?<what>\\w+)' }}\n\
         [rule.check]\nservice = \"{{{{ what }}}}\"\nstate = \"ok\"\noutput = \"{{{{ message }}}}\"\n\
         [[rule]]\nid = \"mark\"\nsyslog = {{ message = '^mark' }}\n[rule.event]\nstate = \"ok\"\n"
    )
}

struct Bench {
    daemon: Daemon,
    socket: UdpSocket,
}

impl Bench {
    fn start(hold: &str) -> Self {
        let mut daemon = Daemon::prepare(&format!("{FILE_SINK}\n[rules]\npaths = [\"rules.toml\"]\n"));
        std::fs::write(daemon.path("rules.toml"), rules(hold)).unwrap();
        daemon.restart();
        Bench { daemon, socket: UdpSocket::bind("127.0.0.1:0").unwrap() }
    }

    fn send(&self, message: &str) {
        let line = format!("<35>Nov 20 12:00:00 h app: {message}");
        self.socket.send_to(line.as_bytes(), ("127.0.0.1", self.daemon.syslog_udp)).unwrap();
    }

    /// The outputs of the outcomes so far.
    fn outputs(&self) -> Vec<String> {
        let text = |outcome: &Value| outcome["output"].as_str().unwrap().to_owned();
        self.daemon.outcomes("out.jsonl").iter().map(text).collect()
    }

    fn wait_for(&self, outputs: &[&str]) {
        wait_until(&format!("{outputs:?} are sent"), || self.outputs() == outputs);
    }

    fn wait_state(&self, name: &str, count: u64) {
        wait_until(&format!("{name} is {count}"), || self.daemon.status()["state"][name] == count);
    }
}

#[test]
fn a_hold_ends_by_itself_and_a_clear_cancels_it() {
    let bench = Bench::start("hold = { for = \"300ms\" }");
    // Without any other message.
    bench.send("down a");
    bench.wait_for(&["down a"]);
    bench.send("down a");
    bench.send("up a");
    bench.wait_for(&["down a", "up a"]);
    let status = bench.daemon.status();
    assert_eq!(status["intake"]["swallowed"]["duplicate"], 1, "{status}");
    assert_eq!(status["intake"]["swallowed"]["held"], 1, "{status}");
    assert_eq!(status["state"]["open"], 0, "{status}");
}

#[test]
fn what_is_held_survives_a_reload_and_goes_out_when_its_rule_goes() {
    let mut bench = Bench::start("hold = { for = \"1h\" }");
    bench.send("down a");
    bench.send("down b");
    bench.wait_state("held", 2);
    bench.send("up b");
    bench.wait_state("held", 1);
    // An edit elsewhere.
    let edited = rules("hold = { for = \"1h\" }")
        + "[[rule]]\nid = \"x\"\nsyslog = { program = \"x\" }\ndrop = true\n";
    std::fs::write(bench.daemon.path("rules.toml"), edited).unwrap();
    bench.daemon.reload();
    wait_until("the rules are reloaded", || bench.daemon.status()["reloads"]["done"] == 1);
    assert_eq!(bench.daemon.status()["state"]["held"], 1);
    bench.send("mark");
    bench.wait_for(&["up b", "mark"]);
    // Another key.
    std::fs::write(bench.daemon.path("rules.toml"), rules("key = \"{{ what }}\"\nhold = { for = \"1h\" }"))
        .unwrap();
    bench.daemon.reload();
    bench.wait_for(&["up b", "mark", "down a"]);
    bench.daemon.stop();
}

#[test]
fn what_is_held_survives_a_stop_and_a_crash() {
    let mut bench = Bench::start("hold = { for = \"1h\" }");
    bench.send("down a");
    bench.wait_state("held", 1);
    bench.daemon.stop();
    bench.daemon.restart();
    assert_eq!(bench.daemon.status()["state"]["held"], 1);
    // The clear finds it. It is sent, as rules without state may have told of "a" before.
    bench.send("up a");
    bench.wait_state("held", 0);
    bench.wait_for(&["up a"]);
    bench.send("down a");
    bench.wait_state("held", 1);
    bench.daemon.kill();
    bench.daemon.restart();
    assert_eq!(bench.daemon.status()["state"]["held"], 1);
    // Receivers know that it is well.
    bench.send("up a");
    bench.wait_state("held", 0);
    assert_eq!(bench.daemon.status()["intake"]["swallowed"]["cancelled"], 1);
    bench.send("mark");
    wait_until("the mark is sent", || bench.outputs().last().is_some_and(|output| output == "mark"));
    // The sink may repeat what it had delivered when it was killed.
    let mut outputs = bench.outputs();
    outputs.dedup();
    assert_eq!(outputs, ["up a", "mark"]);
}

#[test]
fn what_was_due_while_the_daemon_was_dead_is_sent_once() {
    let mut bench = Bench::start("hold = { for = \"1s\" }");
    bench.send("down a");
    bench.wait_state("held", 1);
    bench.daemon.kill();
    bench.daemon.restart();
    bench.wait_for(&["down a"]);
    bench.daemon.kill();
    bench.daemon.restart();
    // It is known to be open: the clear is sent, and its repeat is not.
    bench.send("down a");
    bench.send("up a");
    wait_until("the clear is sent", || bench.outputs().last().is_some_and(|output| output == "up a"));
    // The sink may repeat what it had delivered when it was killed.
    let mut outputs = bench.outputs();
    outputs.dedup();
    assert_eq!(outputs, ["down a", "up a"]);
    assert_eq!(bench.daemon.status()["intake"]["swallowed"]["duplicate"], 1);
}

/// What `trapline state` prints as JSON.
fn state(bench: &Bench, args: &[&str]) -> Value {
    let mut command = trapline();
    command.arg("state").args(args).args(["--json", "--config"]).arg(bench.daemon.path("trapline.toml"));
    let output = command.output().unwrap();
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{args:?}: {error}: {output:?}"))
}

#[test]
fn what_is_open_is_listed_and_what_is_cleared_stays_cleared() {
    let mut bench = Bench::start("hold = { for = \"100ms\" }");
    // One after the other, as problems that came in one batch have no order.
    for all in [&["down a"][..], &["down a", "down b"], &["down a", "down b", "down c"]] {
        bench.send(all[all.len() - 1]);
        bench.wait_for(all);
    }
    let list = state(&bench, &["list"]);
    assert_eq!(list["total"], 3, "{list}");
    for (entry, service) in list["entries"].as_array().unwrap().iter().zip(["a", "b", "c"]) {
        assert_eq!(
            (&entry["rule"], &entry["what"], &entry["host"]),
            (&"down".into(), &"open".into(), &"h".into())
        );
        assert_eq!((&entry["service"], &entry["next"]), (&service.into(), &"dedup".into()), "{entry}");
    }
    let only = state(&bench, &["list", "--host", "H*", "--service", "b", "--rule", "dow?"]);
    // Each answer reads both clocks anew, so that its dates differ by microseconds.
    let undated = |entry: &Value| {
        let mut entry = entry.clone();
        entry.as_object_mut().unwrap().retain(|key, _| !["since", "last", "due"].contains(&key.as_str()));
        entry
    };
    assert_eq!(only["total"], 1);
    assert_eq!(undated(&only["entries"][0]), undated(&list["entries"][1]));
    for none in [["--host", "other"], ["--rule", "up"], ["--key", "h"]] {
        assert_eq!(state(&bench, &["list", none[0], none[1]])["total"], 0, "{none:?}");
    }
    let id = only["entries"][0]["id"].as_str().unwrap();
    assert_eq!(undated(&state(&bench, &["show", id])), undated(&only["entries"][0]));
    // One with a word to the receivers, one without.
    let cleared = state(&bench, &["clear", id, "--output", "mended"]);
    assert_eq!(cleared, serde_json::json!({ "cleared": 1, "safe": true }));
    assert_eq!(state(&bench, &["clear", "--service", "c", "--silent"])["cleared"], 1);
    bench.wait_for(&["down a", "down b", "down c", "mended"]);
    assert_eq!(bench.daemon.outcomes("out.jsonl")[3]["state"], "ok");
    bench.daemon.kill();
    bench.daemon.restart();
    let list = state(&bench, &["list"]);
    assert_eq!((&list["total"], &list["entries"][0]["service"]), (&1.into(), &"a".into()), "{list}");
    // They are new when they come again.
    bench.send("down b");
    wait_until("it is sent again", || {
        bench.outputs().iter().filter(|output| *output == "down b").count() > 1
    });
}

#[test]
fn silence_is_said_once_even_if_the_daemon_is_killed_meanwhile() {
    let mut bench = Bench::start(
        "expect = { every = \"1s\", keys = [\"k\"], key = \"{{ what }}\", service = \"Silence\", output = \"silent {{ key }}\" }",
    );
    bench.wait_for(&["silent k"]);
    bench.daemon.kill();
    bench.daemon.restart();
    // It is known to be late, and not said again. What comes ends it.
    bench.send("mark");
    bench.send("down k");
    let all = ["silent k", "mark", "The messages come again", "down k"];
    wait_until("the messages come again", || bench.outputs().iter().any(|output| output == all[3]));
    let mut outputs = bench.outputs();
    // The sink may repeat what it had delivered when it was killed.
    outputs.dedup();
    // A second later it is silent again.
    outputs.truncate(all.len());
    assert_eq!(outputs, all);
    assert_eq!(bench.daemon.status()["state"]["expected"], 1);
}

#[test]
fn case_16_a_threshold_goes_on_after_a_kill() {
    let mut bench = Bench::start("threshold = { count = 3, within = \"1h\" }");
    bench.send("down a");
    bench.send("down a");
    wait_until("two are counted", || bench.daemon.status()["intake"]["swallowed"]["threshold"] == 2);
    bench.daemon.kill();
    bench.daemon.restart();
    bench.send("down a");
    bench.wait_for(&["down a"]);
    bench.send("down a");
    bench.send("mark");
    bench.wait_for(&["down a", "mark"]);
}

#[test]
fn case_17_an_inform_that_comes_again_after_a_kill_is_answered_and_not_counted() {
    let rules = "[[rule]]\nid = \"starts\"\ntrap = \"1.3.6.1.6.3.1.1.5.1\"\nthreshold = { count = 2, within = \"1h\" }\n\
                 [rule.check]\nservice = \"Starts\"\nstate = \"warning\"\n";
    let mut daemon =
        Daemon::prepare(&format!("{FILE_SINK}\n[rules]\npaths = [\"rules.toml\"]\npacks = []\n"));
    std::fs::write(daemon.path("rules.toml"), rules).unwrap();
    daemon.restart();
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.set_read_timeout(Some(std::time::Duration::from_millis(300))).unwrap();
    // After a start it is not answered before what the last process took is safe.
    let ask = |daemon: &Daemon, request_id: i32| {
        let packet = crate::informs::inform("public", request_id);
        let mut answer = [0; 1500];
        let right = snmp::decode(&packet).unwrap().answer(answer.len()).unwrap();
        wait_until("it is answered", || {
            socket.send_to(&packet, ("127.0.0.1", daemon.snmp)).unwrap();
            socket.recv(&mut answer).is_ok_and(|length| answer[..length] == right)
        });
    };
    ask(&daemon, 7);
    // For its sender the answer was lost.
    daemon.kill();
    daemon.restart();
    ask(&daemon, 7);
    let status = daemon.status();
    assert!(status["intake"]["informs_repeated"].as_u64() > Some(0), "{status}");
    assert_eq!(status["intake"]["outcomes"], 0, "it did not reach the threshold: {status}");
    ask(&daemon, 8);
    wait_until("two have come", || daemon.outcomes("out.jsonl").len() == 1);
}
