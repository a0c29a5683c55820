//! `trapline senders`: who sends, who is refused, who is silent.

use std::net::UdpSocket;

use serde_json::Value;

use crate::daemon::{Daemon, FILE_SINK, output};
use crate::support::{link_trap, snmptrap, wait_for, wait_until};

fn senders(daemon: &Daemon, args: &[&str]) -> Value {
    let config = daemon.path("trapline.toml");
    let output = output(&[&["senders", "--json"], args, &["--config", config.to_str().unwrap()]].concat());
    assert!(output.status.success(), "{output:?}\n{}", daemon.log());
    serde_json::from_slice(&output.stdout).unwrap()
}

#[test]
fn senders_are_counted_and_the_line_that_lets_one_in_does() {
    let mut daemon = Daemon::prepare(&format!(
        "{FILE_SINK}[hosts]\nmap = {{ \"192.0.2.1\" = \"far\", \"db1\" = \"db1\" }}\n\
         [[snmp.access]]\ncommunities = [\"public\"]\n"
    ));
    daemon.restart();
    let target = daemon.snmp_target();
    daemon.link_down("Gi0/3");
    snmptrap(&["-v2c", "-c", "a-secret", &target, "", "1.3.6.1.6.3.1.1.5.3"]);
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let line = b"<13>Nov 20 12:00:01 db1 pump[1]: pressure";
    socket.send_to(line, ("127.0.0.1", daemon.syslog_udp)).unwrap();
    let one = wait_for("all three are counted", || {
        let all = senders(&daemon, &["--refused"]);
        let one = all["senders"][0].clone();
        let counts = ["matched", "unmatched", "refused"].map(|key| one[key].as_u64().unwrap_or(0));
        (counts == [1, 1, 1]).then_some(one)
    });
    assert_eq!((&one["address"], &one["known_as"]), (&"127.0.0.1".into(), &Value::Null));
    assert_eq!(one["speaks"], serde_json::json!(["v2c", "syslog"]));
    assert_eq!(one["refusal"]["reason"], "no_access");
    let silent = senders(&daemon, &["--silent"]);
    assert_eq!(silent["silent"].as_array().unwrap().len(), 1, "{silent:#}");
    assert_eq!((&silent["silent"][0]["host"], &silent["known_hosts"]), (&"far".into(), &2.into()));
    assert_eq!(senders(&daemon, &["--unknown"])["senders"].as_array().unwrap().len(), 1);
    // What it advises is pasted at the end of the configuration.
    let file = daemon.path("trapline.toml");
    let lines = one["refusal"]["toml"]["lines"].as_str().unwrap();
    let text = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, format!("{text}{lines}\n")).unwrap();
    daemon.reload();
    wait_until("it reloads", || daemon.status()["reloads"]["done"] == 1);
    let before = daemon.outcomes("out.jsonl").len();
    wait_until("it is let in", || {
        link_trap(&["-v2c", "-c", "a-secret", &target, "", "1.3.6.1.6.3.1.1.5.3"], "Gi0/4", "2");
        daemon.outcomes("out.jsonl").len() > before
    });
    let config = file.to_str().unwrap();
    let said = output(&["senders", "--refused", "--config", config]);
    let said = String::from_utf8(said.stdout).unwrap();
    assert!(said.contains("refused (no_access)") && said.contains("[[snmp.access]]"), "{said}");
    assert!(!said.contains("a-secret"), "{said}");
    // Each number has a column: it is a word of its own.
    let row: Vec<&str> =
        said.lines().find(|line| line.starts_with("127.0.0.1 ")).unwrap().split_whitespace().collect();
    assert_eq!(row.len(), 8, "{said}");
    daemon.stop();
    let none = output(&["senders", "--config", config]);
    assert_eq!(none.status.code(), Some(1));
}
