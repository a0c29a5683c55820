//! Captured messages, and edited rules tried on them.

use std::net::UdpSocket;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;

use crate::daemon::{Daemon, FILE_SINK, trapline};
use crate::support::{link_trap, run, wait_until};

const RULES: &str = r#"
[[rule]]
id = "link"
trap = "IF-MIB::linkDown"
[rule.check]
service = "Interface {{ ifDescr }}"
state = "critical"
output = "down by {{ community }}"

[[rule]]
id = "pump"
syslog = { program = "pump" }
[rule.check]
service = "Pump"
state = "warning"
output = "{{ message }}"
"#;

fn start(capture: &str) -> Daemon {
    let mut daemon =
        Daemon::prepare(&format!("[rules]\npaths = [\"own.toml\"]\npacks = []\n{FILE_SINK}{capture}"));
    std::fs::write(daemon.path("own.toml"), RULES).unwrap();
    daemon.restart();
    daemon
}

fn send_line(daemon: &Daemon, text: &str) {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.send_to(text.as_bytes(), ("127.0.0.1", daemon.syslog_udp)).unwrap();
}

fn against(daemon: &Daemon, args: &[&str]) -> Output {
    let mut command = trapline();
    command.args(["test", "--config"]).arg(daemon.path("trapline.toml")).arg("--against").args(args);
    command.output().unwrap()
}

fn text(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

fn captured(daemon: &Daemon, count: u64) {
    wait_until("the messages are captured", || daemon.status()["capture"]["messages"] == count);
}

#[test]
fn edited_rules_are_tried_on_what_came() {
    let daemon = start("[capture]\nsize = \"1MiB\"\nage = \"2h\"\n");
    link_trap(
        &["-v", "2c", "-c", "very-secret", &format!("127.0.0.1:{}", daemon.snmp), "", "1.3.6.1.6.3.1.1.5.3"],
        "Gi0/3",
        "2",
    );
    send_line(&daemon, "<13>Nov 20 12:00:01 h1 pump[1]: stopped");
    send_line(&daemon, "<13>Nov 20 12:00:02 h1 other[1]: no rule takes it");
    captured(&daemon, 3);
    let folder = daemon.path("var/capture");
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&folder), 0o700);
    for file in std::fs::read_dir(&folder).unwrap().map(|file| file.unwrap().path()) {
        assert_eq!(mode(&file), 0o600, "{}", file.display());
        let bytes = std::fs::read(&file).unwrap();
        assert!(!bytes.windows(11).any(|window| window == b"very-secret"), "{}", file.display());
    }

    let same = against(&daemon, &["1h"]);
    assert!(same.status.success(), "{}", text(&same));
    assert!(text(&same).contains("3 messages of the last 1h"), "{}", text(&same));

    std::fs::write(
        daemon.path("own.toml"),
        RULES.replace("\"critical\"", "\"warning\"").replace("program = \"pump\"", "program = \"other\""),
    )
    .unwrap();
    let edited = against(&daemon, &["1h", "--json"]);
    assert_eq!(edited.status.code(), Some(1), "{}", text(&edited));
    let all: Value = serde_json::from_slice(&edited.stdout).unwrap();
    assert_eq!((&all["messages"], &all["differences"]), (&3.into(), &3.into()), "{all}");
    let (link, pump) = (&all["rules"][0], &all["rules"][1]);
    assert_eq!(link["state"]["states"]["critical to warning"], 1, "{all}");
    assert_eq!((&pump["new"]["count"], &pump["gone"]["count"]), (&1.into(), &1.into()), "{all}");
    assert!(pump["new"]["first"]["message"].as_str().unwrap().contains("no rule takes it"), "{all}");

    // Rules that are named take the place of the edited ones, and a file that of what came.
    std::fs::write(daemon.path("none.toml"), "").unwrap();
    let gone = against(&daemon, &["1h", daemon.path("none.toml").to_str().unwrap()]);
    assert!(text(&gone).contains("1 less: 1 critical"), "{}", text(&gone));
    std::fs::write(daemon.path("lines"), "<13>Nov 20 12:00:01 h1 pump[1]: stopped\n").unwrap();
    let file = against(&daemon, &[daemon.path("lines").to_str().unwrap()]);
    assert!(text(&file).contains("1 messages in "), "{}", text(&file));
    assert!(text(&file).contains("1 less: 1 warning"), "{}", text(&file));

    // After a reload the edited rules are in force.
    let mut reload = trapline();
    run(reload.arg("reload").arg("--config").arg(daemon.path("trapline.toml")));
    wait_until("the rules in force are kept", || against(&daemon, &["1h"]).status.success());
}

#[test]
fn a_capture_that_cannot_be_written_counts_and_one_that_ends_stops() {
    let daemon = start("[capture]\n");
    send_line(&daemon, "<13>Nov 20 12:00:01 h1 pump[1]: one");
    captured(&daemon, 1);
    let folder = daemon.path("var/capture");
    // The daemon may write into it at this moment.
    wait_until("a file is in the way", || {
        let _ = std::fs::remove_dir_all(&folder);
        std::fs::write(&folder, "in the way").is_ok()
    });
    for _ in 0..3 {
        send_line(&daemon, "<13>Nov 20 12:00:01 h1 pump[1]: two");
    }
    wait_until("what is lost is counted", || daemon.status()["capture"]["lost"] == 3);
    daemon.wait_log("cannot keep captured messages");
    assert_eq!(daemon.log().matches("cannot keep captured messages").count(), 1, "{}", daemon.log());
    wait_until("nothing else suffers", || daemon.status()["intake"]["matched"] == 4);
    run(Command::new("rm").arg(&folder));
    send_line(&daemon, "<13>Nov 20 12:00:01 h1 pump[1]: three");
    captured(&daemon, 2);
    let kept = against(&daemon, &["1h"]);
    assert!(text(&kept).contains("1 messages of the last 1h"), "{}", text(&kept));

    let config = daemon.path("trapline.toml");
    let without = std::fs::read_to_string(&config).unwrap().replace("[capture]\n", "");
    std::fs::write(&config, without).unwrap();
    run(trapline().arg("reload").arg("--config").arg(&config));
    assert!(daemon.status()["capture"].is_null());
    send_line(&daemon, "<13>Nov 20 12:00:01 h1 pump[1]: four");
    wait_until("it is matched", || daemon.status()["intake"]["matched"] == 6);
    let kept = against(&daemon, &["1h"]);
    assert!(text(&kept).contains("1 messages of the last 1h"), "{}", text(&kept));
}
