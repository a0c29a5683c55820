//! The commands, and what a wrong input gets.

use std::net::UdpSocket;
use std::process::Command;

use serde_json::Value;

use crate::daemon::{Daemon, FILE_SINK, output};
use crate::support::wait_until;

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Runs the daemon that must not start; gives what it says.
fn refused(daemon: &Daemon) -> String {
    let output = output(&["run", "--config", daemon.path("trapline.toml").to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    text(&output.stderr)
}

#[test]
fn a_wrong_configuration_is_refused_before_anything_listens() {
    let daemon = Daemon::prepare(
        "[rules]\npacks = []\npaths = [\"rules.toml\"]\n[mibs]\npaths = [\"missing-mibs\"]\n[[sinks]]\ntype = \"nagois\"\n",
    );
    let said = refused(&daemon);
    assert!(said.contains("trapline.toml:") && said.contains("did you mean 'nagios'?"), "{said}");
    let config = std::fs::read_to_string(daemon.path("trapline.toml")).unwrap();
    std::fs::write(daemon.path("trapline.toml"), config.replace("nagois", "file\"\npath = \"x")).unwrap();
    std::fs::write(
        daemon.path("rules.toml"),
        "[[rule]]\nid = \"a\"\ntrap = \"IF-MIB::linkDwn\"\ndrop = true\n",
    )
    .unwrap();
    let said = refused(&daemon);
    assert!(
        said.contains("rules.toml:3:8: error:") && said.contains("did you mean 'IF-MIB::linkDown'?"),
        "{said}"
    );
    let missing = daemon.path("missing-mibs");
    let missing = format!("error: cannot read {}: No such file or directory", missing.display());
    let place =
        |line: &str| line.split_once(&missing).is_some_and(|(place, _)| place.contains("trapline.toml:"));
    assert!(said.lines().any(place), "{said}");
    assert!(!daemon.path("var").exists(), "nothing was made");
    let checked = output(&["check", "--config", daemon.path("trapline.toml").to_str().unwrap()]);
    assert_eq!((checked.status.code(), text(&checked.stderr)), (Some(1), said));
}

#[test]
fn a_port_or_a_directory_that_cannot_be_used() {
    let daemon = Daemon::prepare(FILE_SINK);
    let taken = UdpSocket::bind(("127.0.0.1", daemon.snmp)).unwrap();
    let said = refused(&daemon);
    assert!(
        said.contains(&format!("cannot listen on 127.0.0.1:{}/udp", daemon.snmp)) && said.contains("ss -lnp"),
        "{said}"
    );
    drop(taken);
    std::fs::write(daemon.path("var"), "a file in the way").unwrap();
    let said = refused(&daemon);
    assert!(
        said.contains("cannot use the journal directory") && said.contains("[journal] directory"),
        "{said}"
    );
    std::fs::remove_file(daemon.path("var")).unwrap();
    let mut first = daemon;
    first.restart();
    let mut second = Daemon::prepare("");
    let config = std::fs::read_to_string(second.path("trapline.toml")).unwrap();
    let shared = format!("{config}[journal]\ndirectory = \"{}\"\n", first.path("var").display());
    std::fs::write(second.path("trapline.toml"), shared).unwrap();
    let said = refused(&second);
    assert!(said.contains("in use by another trapline"), "{said}");
    second = Daemon::prepare("[rules]\npacks = []\npaths = \"nowhere\"\n");
    let said = refused(&second);
    assert!(said.contains("error: cannot read") && said.contains("/nowhere: No such file"), "{said}");
}

#[test]
fn a_reload_takes_all_or_nothing() {
    let mut daemon = Daemon::prepare(&format!("{FILE_SINK}[rules]\npacks = []\npaths = [\"rules.toml\"]\n"));
    let rule = |output: &str| {
        let text = format!(
            "[[rule]]\nid = \"any\"\ntrap = \"*\"\n[rule.check]\nservice = \"s\"\nstate = \"ok\"\noutput = \"{output}\"\n"
        );
        std::fs::write(daemon.path("rules.toml"), text).unwrap();
    };
    rule("first");
    let path = daemon.path("rules.toml");
    let write = |output: &str| {
        let text = std::fs::read_to_string(&path).unwrap();
        let line = text.lines().last().unwrap().to_owned();
        std::fs::write(&path, text.replace(&line, &format!("output = \"{output}\""))).unwrap();
    };
    daemon.restart();
    let send = |daemon: &Daemon| {
        daemon.trap(&["1.3.6.1.6.3.1.1.5.1"]);
    };
    let last = |daemon: &Daemon| {
        daemon.outcomes("out.jsonl").last().map(|o| o["output"].as_str().unwrap().to_owned())
    };
    send(&daemon);
    wait_until("the first rule", || last(&daemon).as_deref() == Some("first"));
    write("{{ nonsens }}");
    daemon.reload();
    wait_until("refused", || daemon.status()["reloads"]["refused"] == 1);
    daemon.wait_log("unknown variable 'nonsens'");
    daemon.wait_log("stay in force");
    send(&daemon);
    wait_until("the first rule still", || daemon.outcomes("out.jsonl").len() == 2);
    assert_eq!(last(&daemon).as_deref(), Some("first"));
    write("second");
    daemon.reload();
    wait_until("reloaded", || daemon.status()["reloads"]["done"] == 1);
    send(&daemon);
    wait_until("the second rule", || last(&daemon).as_deref() == Some("second"));
}

#[test]
fn shipped_rules_pass_their_tests() {
    let checked = output(&["check"]);
    assert!(checked.status.success() && text(&checked.stdout).contains("no errors"), "{checked:?}");
    let tested = output(&["test"]);
    assert!(tested.status.success() && text(&tested.stdout).contains(" passed, 0 failed"), "{tested:?}");
    assert_eq!(output(&["no-such-command"]).status.code(), Some(2));
}

#[test]
fn a_failing_rule_test_exits_1() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("r.toml");
    let rule = "[[rule]]\nid = \"a\"\ntrap = \"IF-MIB::linkDown\"\n[rule.check]\nservice = \"x\"\nstate = \"ok\"\n\
                [[rule.test]]\ntrap = \"IF-MIB::linkDown\"\nexpect = { state = \"critical\" }\n";
    std::fs::write(&path, rule).unwrap();
    let tested = output(&["test", path.to_str().unwrap()]);
    assert_eq!(tested.status.code(), Some(1));
    let said = text(&tested.stderr);
    assert!(said.contains("r.toml:9:12: error: state is \"ok\", expected \"critical\""), "{said}");
}

#[test]
fn check_and_test_speak_to_programs() {
    let daemon = Daemon::prepare(&format!("{FILE_SINK}[rules]\npacks = []\npaths = [\"rules.toml\"]\n"));
    let config = daemon.path("trapline.toml");
    let config = config.to_str().unwrap();
    let rule = "[[rule]]\nid = \"a<b\"\ntrap = \"IF-MIB::linkDown\"\n[rule.check]\nservice = \"x\"\nstate = \"ok\"\n";
    let test = |state: &str| {
        format!("[[rule.test]]\ntrap = \"IF-MIB::linkDown\"\nexpect = {{ state = \"{state}\" }}\n")
    };
    let check = || -> (Value, Option<i32>) {
        let checked = output(&["check", "--json", "--config", config]);
        (
            serde_json::from_slice(&checked.stdout).unwrap_or_else(|_| panic!("{checked:?}")),
            checked.status.code(),
        )
    };
    std::fs::write(daemon.path("rules.toml"), format!("{rule}{}{}", test("ok"), test("critical"))).unwrap();
    let (all, code) = check();
    assert_eq!(
        (&all["ok"], &all["configurations"][0]["tests"], code),
        (&true.into(), &2.into(), Some(0)),
        "{all:#}"
    );
    let tested = output(&["test", "--junit", "--config", config]);
    let xml = text(&tested.stdout);
    assert_eq!(tested.status.code(), Some(1));
    assert!(
        xml.contains("<testsuites tests=\"2\" failures=\"1\">") && xml.contains("name=\"a&lt;b, test 1\"/>"),
        "{xml}"
    );
    assert!(
        xml.contains("rules.toml:12:12: error: state is &quot;ok&quot;, expected &quot;critical&quot;"),
        "{xml}"
    );
    std::fs::write(daemon.path("rules.toml"), rule.replace("linkDown", "linkDwn")).unwrap();
    let (all, code) = check();
    let found = &all["configurations"][0]["found"][0];
    assert_eq!(
        (&all["ok"], &found["severity"], &found["line"], code),
        (&false.into(), &"error".into(), &3.into(), Some(1))
    );
    assert!(found["hint"].as_str().unwrap().contains("did you mean"), "{all:#}");
}

#[test]
fn explain_shows_decode_rule_and_what_is_sent() {
    let daemon = Daemon::prepare(
        "[[sinks]]\ntype = \"nagios\"\ncommand_file = \"/run/nagios.cmd\"\n\
         [[sinks]]\nname = \"bus\"\ntype = \"canopsis\"\nurl = \"amqp://127.0.0.1/canopsis\"\n",
    );
    let config = daemon.path("trapline.toml");
    let config = config.to_str().unwrap();
    let line = "<36>Nov 20 12:00:01 db1 in.telnetd[411]: refused connect from evil.example (203.0.113.9)";
    let explained = output(&["explain", "--config", config, "--line", line, "--json"]);
    assert!(explained.status.success(), "{explained:?}");
    let all: Value = serde_json::from_slice(&explained.stdout).unwrap();
    assert_eq!(all["matched"], serde_json::json!(["tcp-wrappers-refused"]));
    assert_eq!(all["message"]["tcp_wrappers"]["client_host"], "evil.example");
    assert_eq!(all["outcomes"][0]["output"], "Denied evil.example (203.0.113.9) - in.telnetd");
    let sends = all["sends"].as_array().unwrap();
    let nagios = sends[0]["sends"].as_str().unwrap();
    assert!(nagios.ends_with(
        "PROCESS_SERVICE_CHECK_RESULT;db1;TCP Wrappers;2;Denied evil.example (203.0.113.9) - in.telnetd\n"
    ));
    assert!(
        sends[1]["sends"]
            .as_str()
            .unwrap()
            .starts_with("trapline.trapline.check.resource.db1.TCP Wrappers {")
    );
    assert!(all["rejected"].as_array().unwrap().iter().any(|r| r["rule"] == "tcp-wrappers-twist"), "{all}");
    // A v2c coldStart of community public.
    let packet = "302a02010104067075626c6963a71d02010102010002010030123010060a2b06010603010104010006022b06";
    let explained = output(&["explain", "--packet-hex", packet]);
    assert_eq!(explained.status.code(), Some(1));
    assert!(text(&explained.stdout).contains("no rule takes it"), "{explained:?}");
    assert_eq!(output(&["explain", "--packet-hex", "zz"]).status.code(), Some(1));
    assert_eq!(output(&["explain"]).status.code(), Some(2));
}

#[test]
fn sending_to_nobody_says_so() {
    let port = crate::support::port();
    let sent = output(&[
        "send",
        "inform",
        "--to",
        &format!("127.0.0.1:{port}"),
        "--timeout",
        "1",
        "--retries",
        "1",
        "SNMPv2-MIB::coldStart",
    ]);
    assert_eq!(sent.status.code(), Some(1));
    assert!(text(&sent.stderr).contains("nobody listens"), "{sent:?}");
    let status = output(&["status", "--config", Daemon::prepare("").path("trapline.toml").to_str().unwrap()]);
    assert_eq!(status.status.code(), Some(1));
    let sent = output(&["send", "trap", "IF-MIB::linkDwn"]);
    assert_eq!(sent.status.code(), Some(1));
}

/// Without a target, messages go to the listeners of the configuration.
#[test]
fn what_is_sent_goes_where_the_configuration_listens() {
    let daemon = Daemon::start(FILE_SINK);
    let config = daemon.path("trapline.toml");
    let config = config.to_str().unwrap();
    for (args, to) in [
        (["send", "trap", "--config", config, "SNMPv2-MIB::coldStart"], daemon.snmp),
        (["send", "inform", "--config", config, "SNMPv2-MIB::coldStart"], daemon.snmp),
        (
            ["send", "syslog", "--config", config, "<36>sshd[1]: refused connect from 203.0.113.9"],
            daemon.syslog_udp,
        ),
    ] {
        let sent = output(&args);
        assert!(text(&sent.stdout).contains(&format!("127.0.0.1:{to}/")), "{sent:?}");
    }
    wait_until("all are delivered", || daemon.outcomes("out.jsonl").len() == 3);
}

#[test]
fn mibs_are_found_by_name_and_oid() {
    let by_name = output(&["mib", "find", "linkDown"]);
    assert!(
        text(&by_name.stdout).contains("IF-MIB::linkDown 1.3.6.1.6.3.1.1.5.3 notification with ifIndex"),
        "{by_name:?}"
    );
    let by_oid = output(&["mib", "find", "1.3.6.1.2.1.2.2.1.8.3", "--json"]);
    let found: Value = serde_json::from_slice(&by_oid.stdout).unwrap();
    assert_eq!((&found["name"], &found["enums"]["lowerLayerDown"]), (&"ifOperStatus".into(), &7.into()));
    let tree = output(&["mib", "tree", "UPS-MIB::upsTraps"]);
    assert_eq!(text(&tree.stdout).lines().count(), 5);
    let loaded: Value = serde_json::from_slice(&output(&["mib", "load", "--json"]).stdout).unwrap();
    assert!(
        loaded["notifications"].as_u64() > Some(30) && loaded["failed"] == serde_json::json!([]),
        "{loaded}"
    );
    assert_eq!(output(&["mib", "find", "noSuchThing"]).status.code(), Some(1));
}

/// Times in lines are read, and `strftime` writes, in the zone that TZ names.
#[test]
fn times_are_in_the_zone_that_the_environment_names() {
    let daemon = Daemon::prepare("[rules]\npacks = []\npaths = [\"rules.toml\"]\n");
    let rule = "[[rule]]\nid = \"a\"\nsyslog = {}\n[rule.check]\nstate = \"up\"\noutput = \"{{ received|strftime('%Z') }}\"\n";
    std::fs::write(daemon.path("rules.toml"), rule).unwrap();
    for (zone, names, time) in [
        ("America/New_York", ["EST", "EDT"], "T17:00:01Z"),
        ("Asia/Tokyo", ["JST", "JST"], "T03:00:01Z"),
        ("UTC", ["UTC", "UTC"], "T12:00:01Z"),
    ] {
        let explained = Command::new(env!("CARGO_BIN_EXE_trapline"))
            .args(["explain", "--json", "--line", "<13>Nov 20 12:00:01 h app: x", "--config"])
            .arg(daemon.path("trapline.toml"))
            .env("TZ", zone)
            .output()
            .unwrap();
        let all: Value = serde_json::from_slice(&explained.stdout).unwrap();
        let written = all["outcomes"][0]["output"].as_str().unwrap();
        assert!(names.contains(&written), "{zone}: {all}");
        assert!(all["message"]["time"].as_str().unwrap().ends_with(time), "{zone}: {all}");
    }
}

/// An error is one line, whatever the arguments have in them.
#[test]
fn an_error_with_line_breaks_in_its_arguments_is_one_line() {
    let daemon = Daemon::prepare(FILE_SINK);
    let config = daemon.path("trapline.toml");
    let config = config.to_str().unwrap();
    for (words, status) in [
        (&["dead", "retry", "a/../../b\nFORGED", "--config", config][..], 1),
        (&["rule", "show", "a\nFORGED", "--config", config], 1),
        (&["rule", "new", "IF-MIB::linkDown", "--write", "rules/a\nFORGED.toml", "--config", config], 1),
        (&["report", "--output", "/nowhere\nFORGED/r", "--config", config], 1),
        (&["mib", "find", "a\nFORGED", "--config", config], 1),
        (&["check", "--config", "a\nFORGED.toml"], 1),
        (&["import", "snmptrapd", "a\nFORGED"], 1),
        (&["explain", "--packet-hex", "a\nFORGED"], 1),
        (&["mute", "--all", "--for", "a\nFORGED", "--config", config], 1),
        (&["token", "add", "x", "--expires", "a\nFORGED", "--config", config], 1),
        (&["send", "syslog", "--to", "a\nFORGED", "<13>x"], 2),
        (&["send", "trap", "--to", "x://a\nFORGED", "IF-MIB::linkDown"], 2),
        (&["tap", "--from", "a\nFORGED"], 2),
        (&["a\nFORGED"], 2),
    ] {
        let ended = output(words);
        let said = text(&ended.stderr);
        assert_eq!(ended.status.code(), Some(status), "{words:?}: {said}");
        assert!(!said.lines().any(|line| line.starts_with("FORGED")), "{words:?}: {said}");
    }
}

#[test]
fn what_cannot_be_sent_is_refused_before_it_is() {
    for (words, part) in [
        (&["send", "syslog", "--to", "192.0.2.1:0", "<13>x"][..], "nothing listens on port 0"),
        (&["send", "syslog", "--to", "tcp://127.0.0.1:0", "<13>x"], "nothing listens on port 0"),
        (&["send", "trap", "--to", "192.0.2.1:0", "SNMPv2-MIB::coldStart"], "nothing listens on port 0"),
        (&["send", "inform", "--to", "192.0.2.1:0", "SNMPv2-MIB::coldStart"], "nothing listens on port 0"),
        (&["send", "syslog", "--to", "http://x", "<13>x"], "'http://' is not known; use udp:// or tcp://"),
        (
            &["send", "syslog", "--to", "tcp://127.0.0.1:9", "<13>one\n<13>two"],
            "send each line by a command of its own",
        ),
    ] {
        let ended = output(words);
        let said = text(&ended.stderr);
        assert!(!ended.status.success() && said.contains(part), "{words:?}: {said}");
        assert!(ended.stdout.is_empty(), "{words:?}");
    }
}
