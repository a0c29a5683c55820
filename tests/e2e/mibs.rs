//! MIBs as users have them: what comes while they are read waits, the index is kept, values read as net-snmp's.

use std::process::Command;

use crate::daemon::{Daemon, FILE_SINK, output, trapline};
use crate::support::{Program, corpus, read, wait_until};

#[test]
fn what_comes_while_modules_are_read_waits_on_disk() {
    let daemon = Daemon::prepare(&format!("{FILE_SINK}[mibs]\npaths = [\"mibs\"]\n"));
    let slow = daemon.slow_modules();
    let log = std::fs::File::create(daemon.path("log")).unwrap();
    let mut first = Program::start(
        trapline()
            .args(["run", "--config"])
            .arg(daemon.path("trapline.toml"))
            .stderr(log.try_clone().unwrap()),
    );
    let down = |daemon: &Daemon, n: u32| daemon.link_down(&format!("Gi0/{n}"));
    let waiting = daemon.path("var/waiting");
    wait_until("the daemon listens", || daemon.path("var/engine").exists());
    for n in 0..20 {
        down(&daemon, n);
    }
    wait_until("they wait", || std::fs::metadata(&waiting).is_ok_and(|m| m.len() > 20 * 100));
    assert!(!read(&daemon.path("log")).contains("listening: "));
    // It is killed before it is ready; the next one takes what it left.
    first.kill();
    let mut daemon = daemon;
    let mut command = trapline();
    command.args(["run", "--config"]).arg(daemon.path("trapline.toml"));
    down(&daemon, 20);
    drop(slow);
    daemon.start_as(command);
    down(&daemon, 21);
    wait_until("all that waited, and what came after", || daemon.outcomes("out.jsonl").len() >= 21);
    let services: Vec<String> =
        daemon.outcomes("out.jsonl").iter().map(|o| o["service"].as_str().unwrap().to_owned()).collect();
    for n in (0..20).chain([21]) {
        assert!(services.contains(&format!("Interface Gi0/{n}")), "Gi0/{n}: {services:?}");
    }
    assert!(!waiting.exists());
}

#[test]
fn a_reload_that_reads_modules_keeps_nobody_waiting() {
    let mut daemon = Daemon::prepare(&format!("{FILE_SINK}[mibs]\npaths = [\"mibs\"]\n"));
    std::fs::create_dir(daemon.path("mibs")).unwrap();
    daemon.restart();
    let _slow = daemon.slow_modules();
    daemon.reload();
    wait_until("another process reads", || {
        let parent = daemon.pid().to_string();
        Command::new("pgrep").args(["-P", &parent]).status().unwrap().success()
    });
    daemon.link_down("Gi0/3");
    wait_until("the rules from before take it", || daemon.outcomes("out.jsonl").len() == 1);
    // Neither does it keep the daemon from stopping.
    daemon.stop();
}

#[test]
fn rules_of_a_module_pass_check_and_test_as_they_come() {
    let daemon = Daemon::prepare("[rules]\npacks = []\npaths = [\"rules.toml\"]\n");
    let made = output(&["mib", "rules", "IF-MIB", "UPS-MIB", "OSPF-TRAP-MIB"]);
    assert!(made.status.success(), "{made:?}");
    let text = String::from_utf8(made.stdout).unwrap();
    // What clears reaches the service of what went wrong.
    assert_eq!(text.matches("service = \"Link {{ index['IF-MIB::ifIndex'] }}\"").count(), 2, "{text}");
    std::fs::write(daemon.path("rules.toml"), text).unwrap();
    let config = daemon.path("trapline.toml").display().to_string();
    for command in ["check", "test"] {
        let done = output(&[command, "--config", &config]);
        assert!(done.status.success(), "{command}: {done:?}");
    }
    let wrong = output(&["mib", "rules", "IF-MBI"]);
    assert!(!wrong.status.success());
    assert!(String::from_utf8_lossy(&wrong.stderr).contains("did you mean 'IF-MIB'?"), "{wrong:?}");
}

#[test]
fn rules_of_every_notification_there_is_pass_check_and_test() {
    let Some(corpus) = corpus() else { return };
    let daemon = Daemon::prepare(&format!(
        "[mibs]\npaths = [{corpus:?}]\n[rules]\npacks = []\npaths = [\"rules.toml\"]\n"
    ));
    // So that the modules are read once.
    std::fs::create_dir(daemon.path("var")).unwrap();
    let config = daemon.path("trapline.toml").display().to_string();
    let made = output(&["mib", "rules", "--config", &config]);
    assert!(made.status.success(), "{made:?}");
    std::fs::write(daemon.path("rules.toml"), &made.stdout).unwrap();
    let loaded = output(
        &["mib", "load", "--json", "--config", &config, "--index"]
            .into_iter()
            .chain([&*daemon.path("var/mibs.index").display().to_string()])
            .collect::<Vec<_>>(),
    );
    let loaded: serde_json::Value = serde_json::from_slice(&loaded.stdout).unwrap();
    for command in ["check", "test"] {
        let done = output(&[command, "--config", &config]);
        assert!(done.status.success(), "{command}: {done:?}");
    }
    let tested = output(&["test", "--config", &config]);
    let rules = String::from_utf8_lossy(&made.stdout).matches("[[rule]]").count();
    println!("{} modules, {} notifications, {rules} rules", loaded["modules"], loaded["notifications"]);
    assert!(loaded["modules"].as_u64() >= Some(490) && loaded["from_index"] == true);
    assert_eq!(loaded["notifications"].as_u64(), Some(rules as u64));
    assert!(
        String::from_utf8_lossy(&tested.stdout).contains(&format!("{rules} passed, 0 failed")),
        "{tested:?}"
    );
}

const VENDOR: &str = "VENDOR-MIB DEFINITIONS ::= BEGIN\nIMPORTS NOTIFICATION-TYPE FROM SNMPv2-SMI\n vendorRoot FROM ROOT-MIB;\n\
    vendorOverheated NOTIFICATION-TYPE STATUS current DESCRIPTION \"It is too hot.\" ::= { vendorRoot 4 }\nEND\n";
const ROOT: &str = "ROOT-MIB DEFINITIONS ::= BEGIN\nIMPORTS enterprises FROM SNMPv2-SMI;\nvendorRoot OBJECT IDENTIFIER ::= { enterprises 99991 }\nEND\n";

#[test]
fn modules_of_a_vendor_are_added_and_compiled() {
    let daemon = Daemon::prepare(&format!("[mibs]\npaths = [\"DIR/mibs\"]\n{FILE_SINK}"));
    for folder in ["mibs", "in"] {
        std::fs::create_dir(daemon.path(folder)).unwrap();
    }
    std::fs::write(daemon.path("in/a vendor.dat"), VENDOR).unwrap();
    std::fs::write(daemon.path("in/readme"), "no module").unwrap();
    std::fs::write(daemon.path("root"), ROOT).unwrap();
    let mib = |args: &[&str], config: &str| {
        let mut command = trapline();
        let output = command.arg("mib").args(args).arg("--config").arg(daemon.path(config)).output().unwrap();
        let text =
            String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
        (output.status.code(), text)
    };
    let path = |name: &str| daemon.path(name).display().to_string();
    let (code, said) = mib(&["add", &path("in")], "trapline.toml");
    assert_eq!(code, Some(1), "{said}");
    for part in ["VENDOR-MIB: added as VENDOR-MIB.txt", "imports ROOT-MIB", "readme: left out"] {
        assert!(said.contains(part), "{part}: {said}");
    }
    let (code, said) = mib(&["add", &path("root")], "trapline.toml");
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("1 notifications more"), "{said}");
    assert_eq!(mib(&["find", "vendorOverheated"], "trapline.toml").0, Some(0));
    let (_, said) = mib(&["add", &path("root"), "--json"], "trapline.toml");
    assert!(said.contains("is the same"), "{said}");

    let (code, said) = mib(&["compile", "-o", &path("names.tlp")], "trapline.toml");
    assert_eq!(code, Some(0), "{said}");
    let config = std::fs::read_to_string(daemon.path("trapline.toml")).unwrap();
    let edge = config.replace(&path("mibs"), &path("names.tlp"));
    std::fs::write(daemon.path("edge.toml"), edge).unwrap();
    let (code, said) = mib(&["find", "VENDOR-MIB::vendorOverheated"], "edge.toml");
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("1.3.6.1.4.1.99991.4") && said.contains("It is too hot."), "{said}");
}
