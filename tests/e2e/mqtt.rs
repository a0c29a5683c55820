//! A real Mosquitto: outcomes as messages of MQTT 5.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::process::{Command, Stdio};

use serde_json::Value;
use tempfile::TempDir;

use crate::certificates::Authority;
use crate::daemon::{Daemon, output, trapline};
use crate::pages::{block, nth_block};
use crate::support::{Program, link_trap, port, read, run, wait_until};

const LINK_DOWN: &str = "1.3.6.1.6.3.1.1.5.3";

/// A broker with its own port and directory. `watcher` may read everything.
struct Mosquitto {
    dir: TempDir,
    port: u16,
    program: Option<Program>,
}

impl Mosquitto {
    /// A broker that does not run yet; `more` is more of its configuration, where `DIR` stands for its directory.
    fn prepare(more: &str) -> Self {
        let (dir, port) = (TempDir::new().unwrap(), port());
        let path = dir.path().to_str().unwrap();
        let config = format!(
            "listener {port} 127.0.0.1\nuser root\nallow_anonymous false\npassword_file {path}/passwords\nacl_file {path}/acl\n\
             log_type all\nlog_dest file {path}/log\nconnection_messages true\n{}\n",
            more.replace("DIR", path)
        );
        std::fs::write(dir.path().join("mosquitto.conf"), config).unwrap();
        let broker = Mosquitto { dir, port, program: None };
        broker.write("passwords", "");
        broker.user("watcher");
        broker.allow("");
        broker
    }

    fn write(&self, name: &str, text: &str) {
        std::fs::write(self.dir.path().join(name), text).unwrap();
        run(Command::new("chmod").arg("600").arg(self.dir.path().join(name)));
    }

    /// Makes a user known.
    fn user(&self, name: &str) {
        run(Command::new("mosquitto_passwd")
            .arg("-b")
            .arg(self.dir.path().join("passwords"))
            .args([name, "secret"]));
    }

    /// What `trapline` may do, beside writing below `trapline/` and `site1/`.
    fn allow(&self, more: &str) {
        let acl = format!(
            "user watcher\ntopic read #\nuser trapline\ntopic write trapline/#\ntopic write site1/#\n{more}"
        );
        self.write("acl", &acl);
    }

    fn go(&mut self) {
        let before = read(&self.dir.path().join("log")).matches(" running").count();
        let mut command = Command::new("/usr/sbin/mosquitto");
        command.arg("-c").arg(self.dir.path().join("mosquitto.conf"));
        self.program = Some(Program::start(command.stdout(Stdio::null()).stderr(Stdio::null())));
        self.logs(" running", before + 1);
    }

    /// Waits until its log says something so often.
    fn logs(&self, text: &str, times: usize) {
        wait_until(&format!("the broker says {text}"), || {
            read(&self.dir.path().join("log")).matches(text).count() >= times
        });
    }

    /// Has it read its files of users and rights again.
    fn reload(&self) {
        let before = read(&self.dir.path().join("log")).matches("Reloading config").count();
        self.program.as_ref().unwrap().signal("HUP");
        self.logs("Reloading config", before + 1);
    }

    fn url(&self) -> String {
        format!("mqtt://127.0.0.1:{}", self.port)
    }

    fn client(&self) -> Command {
        let mut command = Command::new("mosquitto_sub");
        command.args([
            "-V",
            "mqttv5",
            "-u",
            "watcher",
            "-P",
            "secret",
            "-h",
            "127.0.0.1",
            "-p",
            &self.port.to_string(),
        ]);
        command
    }
}

/// One who has subscribed to everything.
struct Watcher {
    file: std::path::PathBuf,
    _program: Program,
}

impl Watcher {
    fn start(broker: &Mosquitto, options: &[&str]) -> Self {
        let file = broker.dir.path().join("seen");
        let before = read(&broker.dir.path().join("log")).matches("Received SUBSCRIBE").count();
        let mut command = broker.client();
        command.args(options).args(["-q", "0", "-t", "#", "-F", "%t\t%r\t%p"]);
        let program = Program::start(command.stdout(File::create(&file).unwrap()).stderr(Stdio::null()));
        broker.logs("Received SUBSCRIBE", before + 1);
        Watcher { file, _program: program }
    }

    /// Topics and payloads, by now.
    fn seen(&self) -> Vec<(String, Value)> {
        let text = read(&self.file);
        let whole = text.rfind('\n').map_or("", |at| &text[..at]);
        whole
            .lines()
            .map(|line| {
                let mut parts = line.splitn(3, '\t');
                let topic = parts.next().unwrap().to_owned();
                (topic, serde_json::from_str(parts.nth(1).unwrap()).unwrap_or_else(|e| panic!("{e}: {line}")))
            })
            .collect()
    }
}

fn login(sink: &str) -> String {
    format!("{sink}user = \"trapline\"\npassword = \"secret\"\n")
}

fn hosts() -> &'static str {
    "[hosts]\nmap = { \"127.0.0.1\" = \"sw1\" }\n"
}

/// Wrong passwords, a broker that is killed under load, and one that is away: all is seen by who has subscribed.
#[test]
fn all_arrives_though_the_broker_is_killed_and_does_not_let_in() {
    let mut broker = Mosquitto::prepare("");
    broker.user("trapline");
    broker.go();
    let watcher = Watcher::start(&broker, &[]);
    let sink = login(&block("mqtt.md", &[("url", &broker.url())]));
    let daemon = Daemon::start(&format!("{sink}{}", hosts()));
    let to = format!("127.0.0.1:{}", daemon.snmp);
    let mut sender = Program::start(
        trapline()
            .args(["send", "trap", "--to", &to, "--count", "1500", "--rate", "500", "IF-MIB::linkDown"])
            .args(["ifIndex.3=3", "ifAdminStatus.3=up", "ifOperStatus.3=down", "ifDescr.3=Gi0/3"])
            .stdout(Stdio::null())
            .stderr(Stdio::null()),
    );
    wait_until("some are there", || watcher.seen().len() >= 200);
    // Killed where it is. The next one does not know the user, until who watches has subscribed again.
    broker.program = None;
    broker.write("passwords", "");
    broker.user("watcher");
    broker.go();
    broker.logs("Received SUBSCRIBE", 2);
    wait_until("the sink says why", || {
        daemon.status()["sinks"][0]["error"].as_str().is_some_and(|error| error.contains("Not authorized"))
    });
    let error = daemon.status()["sinks"][0]["error"].as_str().unwrap().to_owned();
    assert!(error.ends_with("check user, password and client_id of this sink"), "{error}");
    broker.user("trapline");
    broker.reload();
    assert!(sender.0.wait().unwrap().success());
    wait_until("all is delivered", || {
        let status = daemon.status();
        let (sink, intake) = (&status["sinks"][0], &status["intake"]);
        let came = intake["snmp_received"].as_u64().unwrap() + intake["kernel_drops"].as_u64().unwrap();
        came == 1500 && sink["behind"] == 0
    });
    assert_eq!(daemon.status()["sinks"][0]["dead"], 0);
    let expected = daemon.status()["journal"]["next"].as_u64().unwrap() - 1;
    wait_until("all are seen", || {
        let ids: BTreeSet<String> =
            watcher.seen().iter().map(|(_, outcome)| outcome["id"].as_str().unwrap().to_owned()).collect();
        ids.len() as u64 == expected
    });
    assert!(watcher.seen().iter().all(|(topic, _)| topic == "trapline/sw1/Interface Gi0%2F3"));
}

/// Of 100 outcomes the broker forbids one: the others are there once, and it is when it is allowed.
#[test]
fn what_an_access_list_forbids_holds_up_nothing_else() {
    let mut broker = Mosquitto::prepare("");
    broker.user("trapline");
    broker.allow("topic deny trapline/sw1/Interface Gi0%2F66\n");
    let sink = login(&block("mqtt.md", &[("url", &broker.url())]));
    let daemon = Daemon::start(&format!("{sink}{}", hosts()));
    for n in 1..=100 {
        link_trap(&["-v2c", "-c", "public", &daemon.snmp_target(), "", LINK_DOWN], &format!("Gi0/{n}"), "2");
    }
    daemon.wait_count("snmp_received", 100);
    // All of them are sent at once.
    broker.go();
    let watcher = Watcher::start(&broker, &[]);
    wait_until("all others are delivered", || daemon.status()["sinks"][0]["behind"] == 1);
    let sink = &daemon.status()["sinks"][0];
    assert_eq!((&sink["delivered"], &sink["dead"]), (&99.into(), &0.into()), "{sink}");
    broker.logs("Denied PUBLISH", 1);
    broker.allow("");
    broker.reload();
    wait_until("it is delivered, too", || daemon.status()["sinks"][0]["delivered"] == 100);
    // What came before the watcher has not been seen: the broker's log has it.
    let log = read(&broker.dir.path().join("log"));
    let mut taken: BTreeMap<&str, usize> = BTreeMap::new();
    for line in log.lines().filter(|line| line.contains("Received PUBLISH from")) {
        *taken.entry(line.split('\'').nth(1).unwrap()).or_default() += 1;
    }
    assert_eq!(taken.len(), 100, "{taken:?}");
    assert!(taken.values().all(|times| *times == 1), "{taken:?}");
    wait_until("who watches sees the last", || {
        watcher.seen().iter().any(|(topic, _)| topic.ends_with("F66"))
    });
}

/// TLS with the page's second block: hostile texts stay in their level, the last state is kept, what is too long is a dead letter.
#[test]
fn over_tls_with_retained_messages_and_a_limit() {
    let mut broker = Mosquitto::prepare(
        "cafile DIR/ca.pem\ncertfile DIR/broker.pem\nkeyfile DIR/broker.key\nmax_packet_size 3000",
    );
    let authority = Authority::new(&broker.dir.path().join("ca.pem"));
    authority.issue(broker.dir.path(), "broker", &["localhost"]);
    broker.user("trapline");
    broker.go();
    let ca = broker.dir.path().join("ca.pem");
    let url = format!("mqtts://localhost:{}", broker.port);
    let values = [("url", url.as_str()), ("ca_file", ca.to_str().unwrap())];
    let sink = nth_block("mqtt.md", 1, &values)
        .replace("password_file = \"mqtt.password\"", "password = \"secret\"");
    let daemon = Daemon::start(&format!("{sink}{}", hosts()));
    let send =
        |port: &str| link_trap(&["-v2c", "-c", "public", &daemon.snmp_target(), "", LINK_DOWN], port, "2");
    let hostile = "+/#/$SYS/%2F";
    send(hostile);
    send(&"x".repeat(4000));
    wait_until("both are settled", || {
        let sink = &daemon.status()["sinks"][0];
        (&sink["delivered"], &sink["dead"]) == (&1.into(), &1.into())
    });
    let config = daemon.path("trapline.toml").display().to_string();
    let dead = output(&["dead", "list", "--config", &config]);
    let dead = String::from_utf8_lossy(&dead.stdout).into_owned();
    assert!(dead.contains("and the broker takes 3000"), "{dead}");
    // Who subscribes now gets the last state.
    let watcher = Watcher::start(&broker, &["--cafile", ca.to_str().unwrap(), "-h", "localhost"]);
    wait_until("the message that is kept", || watcher.seen().len() == 1);
    let (topic, outcome) = watcher.seen().remove(0);
    assert_eq!(topic, "site1/check_result/sw1/Interface %2B%2F%23%2F%24SYS%2F%252F");
    assert_eq!(outcome["service"], format!("Interface {hostile}"));
    assert!(read(&watcher.file).contains("\t1\t"), "{}", read(&watcher.file));
    let checked = output(&["check", "--config", &config]);
    assert!(checked.status.success(), "{checked:?}");
}
