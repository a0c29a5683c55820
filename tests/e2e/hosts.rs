//! Which host a message is about, and who may say so.

use std::process::Command;

use serde_json::Value;

use crate::daemon::{Daemon, FILE_SINK, RELAYS, output, trapline};
use crate::support::{snmptrap, wait_until};

/// Changes the configuration of a daemon that does not run.
fn edit(daemon: &Daemon, from: &str, to: &str) {
    let path = daemon.path("trapline.toml");
    let config = std::fs::read_to_string(&path).unwrap();
    assert!(config.contains(from), "{config}");
    std::fs::write(&path, config.replace(from, to)).unwrap();
}

fn hosts_of(daemon: &Daemon, file: &str) -> Vec<String> {
    daemon.outcomes(file).iter().map(|outcome| outcome["host"].as_str().unwrap().to_owned()).collect()
}

const HOSTS: &str = "[hosts]\nmap = { \"192.0.2.1\" = \"core-router\", \"127.0.0.1\" = \"printer\" }\n";

/// A linkUp of v1 and one of v2c, both with 192.0.2.1 as their agent.
fn speak_for_the_router(daemon: &Daemon) {
    let target = daemon.snmp_target();
    snmptrap(&["-v1", "-c", "public", &target, "1.3.6.1.6.3.1.1.5", "192.0.2.1", "3", "0", ""]);
    daemon.trap(&["1.3.6.1.6.3.1.1.5.4", "1.3.6.1.6.3.18.1.3.0", "a", "192.0.2.1"]);
}

#[test]
fn a_printer_does_not_speak_for_the_core_router() {
    for (relays, host, refused, warned) in [
        ("", "core-router", 0, true),
        (RELAYS, "core-router", 0, false),
        ("relays = [\"::ffff:127.0.0.0/104\"]", "core-router", 0, false),
        ("relays = []", "printer", 2, false),
        ("relays = [\"192.0.2.0/24\"]", "printer", 2, false),
    ] {
        let mut daemon = Daemon::prepare(&format!("{FILE_SINK}{HOSTS}[http]\nlisten = \"127.0.0.1:0\"\n"));
        edit(&daemon, RELAYS, relays);
        daemon.restart();
        speak_for_the_router(&daemon);
        wait_until("both outcomes", || daemon.outcomes("out.jsonl").len() == 2);
        assert_eq!(hosts_of(&daemon, "out.jsonl"), [host, host], "{relays}");
        daemon.wait_count("claim_refused", refused);
        assert_eq!(daemon.status()["intake"]["claim_refused"], refused, "{relays}");
        let log = daemon.log();
        let says = log.contains("127.0.0.1 claims to be 192.0.2.1: not a relay");
        assert_eq!((says, log.contains("without 'relays'")), (refused > 0, warned), "{log}");
    }
}

#[test]
fn explain_says_which_candidate_won_and_why() {
    let daemon = Daemon::prepare(HOSTS);
    edit(&daemon, RELAYS, "relays = []");
    let config = daemon.path("trapline.toml").display().to_string();
    // A linkDown of v1 of the agent 192.0.2.1.
    let v1 = "302902010004067075626c6963a41c06082b060106030101054004c0000201020102020100430210923000";
    let explain = |from: &str| {
        let shown = output(&["explain", "--config", &config, "--from", from, "--packet-hex", v1]);
        String::from_utf8(shown.stdout).unwrap()
    };
    let text = explain("198.51.100.7");
    assert!(text.contains("host of outcome 198.51.100.7\n"), "{text}");
    assert!(text.contains("agent 192.0.2.1: 198.51.100.7 claims to be 192.0.2.1: not a relay\n"), "{text}");
    assert!(text.contains("sender 198.51.100.7: not known\n"), "{text}");
    let line = ["explain", "--config", &config, "--json", "--from", "127.0.0.1", "--line"];
    let shown = output(&[&line[..], &["<30>Nov 24 07:13:39 [localhost] systemd: x"]].concat());
    let json: Value = serde_json::from_slice(&shown.stdout).unwrap();
    assert_eq!(json["host"]["name"], "printer");
    assert_eq!(json["host"]["candidates"][0]["because"], "name in the line localhost: cannot name a host");
    assert_eq!(json["host"]["candidates"][1]["because"], "sender 127.0.0.1: known as printer");
}

#[test]
fn users_of_v3_may_be_relays_and_engines_are_hosts() {
    let user = |name: &str, more: &str| {
        format!(
            "[[snmp.users]]\nname = \"{name}\"\nauth = \"SHA-1\"\nauth_password = \"authpass123\"\n{more}\n"
        )
    };
    let bound = user("bound", "engine = \"0x80001f880401020304\"");
    let users = format!("{}{}{bound}", user("proxy", "relay = true"), user("device", ""));
    let mut daemon = Daemon::prepare(&format!(
        "{FILE_SINK}{users}[rules]\npaths = [\"rules.toml\"]\n\
         [hosts]\nmap = {{ \"192.0.2.1\" = \"core-router\", \"0x80001f8804747261706c\" = \"ups1\" }}\n"
    ));
    edit(&daemon, RELAYS, "relays = []");
    std::fs::write(
        daemon.path("rules.toml"),
        "[[rule]]\nid = \"all\"\ntrap = \"*\"\n[rule.event]\nstate = \"ok\"\noutput = \"{{ agent }} {{ engine_id }}\"\n",
    )
    .unwrap();
    daemon.restart();
    let send = |user: &str, engine: &str, agent: &[&str]| {
        let own = "0x80001f880401020304";
        let security = [
            "-v3",
            "-e",
            own,
            "-E",
            engine,
            "-u",
            user,
            "-l",
            "authNoPriv",
            "-a",
            "SHA",
            "-A",
            "authpass123",
        ];
        let (target, before) = (daemon.snmp_target(), daemon.outcomes("out.jsonl").len());
        snmptrap(&[&security[..], &[&target, "", "1.3.6.1.6.3.1.1.5.1"], agent].concat());
        wait_until("the outcome", || daemon.outcomes("out.jsonl").len() > before);
    };
    let agent = ["1.3.6.1.6.3.18.1.3.0", "a", "192.0.2.1"];
    send("proxy", "0x80001f880401020304", &agent);
    send("device", "0x80001f880401020304", &agent);
    send("device", "0x80001f8804747261706c", &[]);
    send("bound", "0x80001f8804747261706c", &[]);
    let outcomes = daemon.outcomes("out.jsonl");
    let got: Vec<String> = outcomes.iter().map(|o| format!("{}: {}", o["component"], o["output"])).collect();
    assert_eq!(
        got,
        [
            "\"core-router\": \"192.0.2.1 0x80001f880401020304\"",
            "\"127.0.0.1\": \"192.0.2.1 0x80001f880401020304\"",
            "\"ups1\": \"127.0.0.1 0x80001f8804747261706c\"",
            "\"127.0.0.1\": \"127.0.0.1 0x80001f8804747261706c\"",
        ]
    );
    daemon.wait_count("claim_refused", 1);
}

#[test]
fn senders_get_their_names_from_the_dns_and_no_message_waits_for_it() {
    let mut daemon = Daemon::prepare(&format!(
        "{FILE_SINK}[hosts]\nreverse_dns = true\ndomains = [\"example.org\"]\nmap = {{ \"sw9\" = \"switch-9\" }}\n"
    ));
    // The file of hosts of the machine is left alone: it is replaced in a mount namespace.
    std::fs::write(daemon.path("hosts"), "127.0.0.1 sw9.example.org\n").unwrap();
    let within = |program: &[&str]| {
        let script = format!("mount --bind {} /etc/hosts && exec \"$@\"", daemon.path("hosts").display());
        let mut command = Command::new("unshare");
        command.args(["--mount", "--map-root-user", "bash", "-c", &script, "bash"]);
        command.arg(trapline().get_program()).args(program);
        command
    };
    let config = daemon.path("trapline.toml").display().to_string();
    let line = ["explain", "--config", &config, "--from", "127.0.0.1", "--line", "<30>app: text"];
    let explained = String::from_utf8(within(&line).output().unwrap().stdout).unwrap();
    assert!(explained.contains("host of outcome switch-9\n"), "{explained}");
    assert!(explained.contains("sender 127.0.0.1 (sw9.example.org): known as switch-9\n"), "{explained}");
    let run = within(&["run", "--config", &config]);
    daemon.start_as(run);
    let send = || daemon.trap(&["1.3.6.1.6.3.1.1.5.1"]);
    send();
    wait_until("the first outcome", || daemon.outcomes("out.jsonl").len() == 1);
    wait_until("the answer of the resolver", || daemon.status()["reverse_dns"]["named"] == 1);
    send();
    wait_until("the second outcome", || daemon.outcomes("out.jsonl").len() == 2);
    assert_eq!(hosts_of(&daemon, "out.jsonl"), ["127.0.0.1", "switch-9"]);
    // A reload keeps what is known, and one without reverse_dns asks no more.
    edit(&daemon, "reverse_dns = true", "reverse_dns = false");
    daemon.reload();
    wait_until("the reload", || daemon.status()["reverse_dns"].is_null());
    send();
    wait_until("the third outcome", || daemon.outcomes("out.jsonl").len() == 3);
    assert_eq!(hosts_of(&daemon, "out.jsonl")[2], "127.0.0.1");
    daemon.stop();
}

/// Nagios, which writes its objects, may start after Trapline.
#[test]
fn files_of_hosts_may_come_after_the_start() {
    let mut daemon = Daemon::prepare(&format!(
        "{FILE_SINK}[hosts]\nfiles = [\"hosts.csv\"]\nnagios_objects = \"objects.cache\"\nmap = {{}}\n"
    ));
    let config = daemon.path("trapline.toml").display().to_string();
    let check = || output(&["check", "--config", &config]);
    assert!(!check().status.success(), "a typing mistake looks the same");
    daemon.restart();
    daemon.wait_log("it is read when it is there");
    let down = || {
        let before = daemon.outcomes("out.jsonl").len();
        daemon.link_down("Gi0/3");
        wait_until("it is processed", || daemon.outcomes("out.jsonl").len() == before + 1);
        hosts_of(&daemon, "out.jsonl").pop().unwrap()
    };
    assert_eq!(down(), "127.0.0.1");
    let reloads = |kind: &str| daemon.status()["reloads"][kind].as_u64().unwrap();
    // Any other reload does without it as well.
    daemon.reload();
    wait_until("it reloads", || reloads("done") == 1);
    // As Nagios does: all at once.
    let text = "define host {\n\thost_name\tcore-router\n\taddress\t127.0.0.1\n}\n";
    std::fs::write(daemon.path("new"), text).unwrap();
    std::fs::rename(daemon.path("new"), daemon.path("objects.cache")).unwrap();
    wait_until("it is read", || reloads("done") == 2);
    assert_eq!(down(), "core-router");
    std::fs::write(daemon.path("hosts.csv"), "127.0.0.1,printer\n").unwrap();
    wait_until("the other one is read", || reloads("done") == 3);
    assert_eq!(down(), "printer");
    assert!(check().status.success(), "{:?}", check());
    // What was there and is not there any more is a mistake.
    std::fs::remove_file(daemon.path("objects.cache")).unwrap();
    daemon.reload();
    wait_until("it is refused", || reloads("refused") == 1);
    assert_eq!(down(), "printer");
}
