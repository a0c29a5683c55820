//! A real nats-server: outcomes in a stream of JetStream.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Command, Stdio};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::certificates::Authority;
use crate::daemon::{Daemon, output, trapline};
use crate::pages::{block, nth_block};
use crate::support::{Program, link_trap, port, read, run, wait_for, wait_until};

const LINK_DOWN: &str = "1.3.6.1.6.3.1.1.5.3";
/// The pair of keys that the documentation of NATS prints.
const USER_KEY: &str = "UDXU4RCSJNZOIQHZNWXHXORDPRTGNJAHAHFRGZNEEJCPQTT2M7NLCNF4";
const USER_SEED: &str = "SUACSSL3UAHUDXKFSNVUZRF5UHPMWZ6BFDTJ7M6USDXIEDNPPQYYYCU3VY";

/// A server with its own port and directory. `admin` may do everything, `trapline` publishes.
struct Nats {
    dir: TempDir,
    port: u16,
    program: Option<Program>,
}

impl Nats {
    /// A server that runs; `more` is more of its configuration, where `DIR` stands for its directory.
    fn start(more: &str) -> Self {
        let mut server = Nats { dir: TempDir::new().unwrap(), port: port(), program: None };
        server.configure(more);
        server
    }

    fn configure(&mut self, more: &str) {
        let dir = self.dir.path().to_str().unwrap();
        let config = format!(
            "listen: \"127.0.0.1:{}\"\njetstream {{ store_dir: \"{dir}/store\" }}\n\
             authorization {{ users: [\n {{ user: admin, password: secret }}\n {{ user: trapline, password: secret, permissions: {{ \
             publish: [\"trapline.>\", \"monitoring.>\"], subscribe: [\"_INBOX.>\"] }} }}\n {{ nkey: {USER_KEY} }}\n] }}\n{}\n",
            self.port,
            more.replace("DIR", dir)
        );
        std::fs::write(self.dir.path().join("nats.conf"), config).unwrap();
        self.go();
    }

    /// Starts it, or another one in the place of one that is killed.
    fn go(&mut self) {
        self.program = None;
        let mut command = Command::new("/usr/sbin/nats-server");
        command.arg("-c").arg(self.dir.path().join("nats.conf"));
        self.program = Some(Program::start(command.stdout(Stdio::null()).stderr(Stdio::null())));
        wait_until("the server listens", || TcpStream::connect(("127.0.0.1", self.port)).is_ok());
    }

    fn url(&self) -> String {
        format!("nats://127.0.0.1:{}", self.port)
    }

    /// Asks JetStream; none if it does not answer yet.
    fn ask(&self, subject: &str, body: &Value) -> Option<Value> {
        let mut stream = BufReader::new(TcpStream::connect(("127.0.0.1", self.port)).ok()?);
        let mut line = String::new();
        stream.read_line(&mut line).ok()?;
        let body = body.to_string();
        let lines = format!(
            "CONNECT {{\"user\":\"admin\",\"pass\":\"secret\",\"headers\":true,\"no_responders\":true,\"verbose\":false}}\r\nSUB answer 1\r\n\
             PUB $JS.API.{subject} answer {}\r\n{body}\r\n",
            body.len()
        );
        stream.get_mut().write_all(lines.as_bytes()).ok()?;
        loop {
            line.clear();
            if stream.read_line(&mut line).ok()? == 0 || line.starts_with("HMSG") {
                return None;
            }
            if line.starts_with("MSG ") {
                let size = line.split_whitespace().last()?.parse().ok()?;
                let mut answer = vec![0; size];
                stream.read_exact(&mut answer).ok()?;
                return serde_json::from_slice(&answer).ok();
            }
        }
    }

    /// Makes a stream, once the server has loaded what it has.
    fn stream(&self, more: &Value) {
        let mut stream = json!({
            "name": "trapline", "subjects": ["trapline.>", "monitoring.>"], "storage": "file", "num_replicas": 1,
            "retention": "limits", "discard": "new", "duplicate_window": 120_000_000_000_u64,
        });
        stream.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let made = wait_for("JetStream answers", || self.ask("STREAM.CREATE.trapline", &stream));
        assert!(made["error"].is_null(), "{made}");
    }

    /// How many messages the stream has.
    fn messages(&self) -> Option<u64> {
        self.ask("STREAM.INFO.trapline", &json!({}))?["state"]["messages"].as_u64()
    }

    /// A message of the stream: its subject and outcome.
    fn message(&self, number: u64) -> (String, Value) {
        let answer = self.ask("STREAM.MSG.GET.trapline", &json!({ "seq": number })).unwrap();
        let data = answer["message"]["data"].as_str().unwrap_or_else(|| panic!("{answer}"));
        let data = data_encoding::BASE64.decode(data.as_bytes()).unwrap();
        (answer["message"]["subject"].as_str().unwrap().to_owned(), serde_json::from_slice(&data).unwrap())
    }
}

fn login(sink: &str) -> String {
    format!("{sink}user = \"trapline\"\npassword = \"secret\"\n")
}

fn error(daemon: &Daemon) -> String {
    daemon.status()["sinks"][0]["error"].as_str().unwrap_or_default().to_owned()
}

/// Killed at any time, server and daemon, the stream has each outcome once.
#[test]
fn the_stream_has_each_outcome_once_though_both_ends_are_killed() {
    let mut server = Nats::start("");
    let mut daemon = Daemon::start(&login(&block("nats.md", &[("url", &server.url())])));
    let to = format!("127.0.0.1:{}", daemon.snmp);
    let send = |count: &str| {
        Program::start(
            trapline()
                .args(["send", "trap", "--to", &to, "--count", count, "--rate", "500", "IF-MIB::linkDown"])
                .args(["ifIndex.3=3", "ifAdminStatus.3=up", "ifOperStatus.3=down", "ifDescr.3=Gi0/3.7"])
                .stdout(Stdio::null())
                .stderr(Stdio::null()),
        )
    };
    // There is no stream yet.
    let mut sender = send("1");
    assert!(sender.0.wait().unwrap().success());
    wait_until("the sink says so", || error(&daemon).contains("no stream takes the subject trapline."));
    server.stream(&json!({}));
    wait_until("it is delivered", || daemon.status()["sinks"][0]["delivered"] == 1);
    let mut sender = send("1500");
    for some in [100, 300] {
        wait_until("some are there", || server.messages().is_some_and(|messages| messages >= some));
        server.go();
        wait_until("the server has its stream again", || server.messages().is_some());
    }
    let _ = sender.0.wait();
    for _ in 0..2 {
        let before = wait_for("the stream", || server.messages());
        // What is sent while nobody listens is lost.
        let _sender = send("500");
        wait_until("more are there", || server.messages().is_some_and(|messages| messages > before));
        daemon.kill();
        daemon.restart();
    }
    wait_until("all is delivered", || {
        let sink = &daemon.status()["sinks"][0];
        sink["behind"] == 0 && sink["dead"] == 0
    });
    let expected = daemon.status()["journal"]["next"].as_u64().unwrap() - 1;
    assert_eq!(server.messages(), Some(expected), "no outcome twice, none less");
    let (subject, outcome) = server.message(1);
    assert_eq!(subject, "trapline.127%2E0%2E0%2E1.Interface%20Gi0/3%2E7");
    assert_eq!(outcome["service"], "Interface Gi0/3.7");
}

/// A stream that is full, a message that is too long for it, a subject that is forbidden: each holds up only itself.
#[test]
fn what_a_stream_refuses_holds_up_nothing_else() {
    let mut server = Nats::start("");
    server.stream(&json!({ "max_msg_size": 2000 }));
    let sink = login(&block("nats.md", &[("url", &server.url())]));
    let only = "subject = \"{% if 'Gi0/66' in outcome.service %}forbidden.{% endif %}trapline.{{ outcome.service }}\"\n";
    server.program = None;
    let daemon = Daemon::start(&format!("{sink}{only}"));
    let send =
        |port: &str| link_trap(&["-v2c", "-c", "public", &daemon.snmp_target(), "", LINK_DOWN], port, "2");
    for n in 1..=98 {
        send(&format!("Gi0/{n}"));
    }
    send(&"x".repeat(1200));
    send("> *\t.");
    daemon.wait_count("snmp_received", 100);
    // All of them are sent at once.
    server.go();
    wait_until("all others are settled", || {
        let sink = &daemon.status()["sinks"][0];
        (&sink["behind"], &sink["delivered"], &sink["dead"]) == (&1.into(), &98.into(), &1.into())
    });
    assert_eq!(wait_for("the stream", || server.messages()), 98);
    daemon.wait_log("message size exceeds maximum allowed");
    let messages = (1..=98).map(|number| server.message(number));
    let found = messages.into_iter().find(|(_, outcome)| outcome["service"] == "Interface > * .");
    let (subject, _) = found.expect("no message of the hostile name");
    assert!(subject.starts_with("trapline.Interface%20%3E%20%2A%20%2E"), "{subject}");
}

#[test]
fn over_tls_with_a_wrong_and_a_right_login() {
    let mut server = Nats::start("");
    server.stream(&json!({}));
    let authority = Authority::new(&server.dir.path().join("ca.pem"));
    authority.issue(server.dir.path(), "server", &["localhost"]);
    server.configure("tls { cert_file: \"DIR/server.pem\", key_file: \"DIR/server.key\" }");
    let (url, ca) = (format!("tls://localhost:{}", server.port), server.dir.path().join("ca.pem"));
    let values = [("url", url.as_str()), ("ca_file", ca.to_str().unwrap())];
    let of = |password: &str| {
        let password = format!("password = \"{password}\"");
        nth_block("nats.md", 1, &values).replace("password_file = \"nats.password\"", &password)
    };
    let daemon = Daemon::start(&of("wrong"));
    let send = || link_trap(&["-v2c", "-c", "public", &daemon.snmp_target(), "", LINK_DOWN], "Gi0/3", "2");
    send();
    wait_until("the sink says why", || error(&daemon).contains("Authorization Violation"));
    let config = daemon.path("trapline.toml");
    let checked = output(&["check", "--config", config.to_str().unwrap()]);
    assert!(
        String::from_utf8_lossy(&checked.stderr).contains("check user, password and token"),
        "{checked:?}"
    );
    let text = read(&config).replace("password = \"wrong\"", "password = \"secret\"");
    std::fs::write(&config, text).unwrap();
    daemon.reload();
    wait_until("it is delivered", || daemon.status()["sinks"][0]["delivered"] == 1);
    // Without TLS the server lets nobody in.
    let plain = read(&config).replace("tls://localhost", "nats://localhost");
    let plain: String =
        plain.lines().filter(|line| !line.starts_with("ca_file")).map(|line| format!("{line}\n")).collect();
    std::fs::write(&config, plain).unwrap();
    daemon.reload();
    wait_until("it is in force", || daemon.status()["reloads"]["done"] == 2);
    send();
    wait_until("the sink says what it wants", || error(&daemon).contains("wants TLS; write tls:// in url"));
}

#[test]
fn a_user_proves_who_it_is_by_its_key() {
    let server = Nats::start("");
    server.stream(&json!({}));
    let sink = block("nats.md", &[("url", &server.url())]) + "credentials_file = \"user.nk\"\n";
    let mut daemon = Daemon::prepare(&sink);
    let seed = |seed: &str| {
        std::fs::write(daemon.path("user.nk"), format!("{seed}\n")).unwrap();
        run(Command::new("chmod").arg("600").arg(daemon.path("user.nk")));
    };
    let check = || output(&["check", "--config", daemon.path("trapline.toml").to_str().unwrap()]);
    seed("SUA");
    let checked = check();
    assert!(String::from_utf8_lossy(&checked.stderr).contains("it has no seed of a user"), "{checked:?}");
    // The key of somebody else.
    seed("SUAAAAICAMCAKBQHBAEQUCYMBUHA6EARCIJRIFIWC4MBSGQ3DQOR4H776Y");
    let checked = check();
    assert!(String::from_utf8_lossy(&checked.stderr).contains("Authorization Violation"), "{checked:?}");
    seed(USER_SEED);
    daemon.restart();
    link_trap(&["-v2c", "-c", "public", &daemon.snmp_target(), "", LINK_DOWN], "Gi0/3", "2");
    wait_until("it is delivered", || daemon.status()["sinks"][0]["delivered"] == 1);
    assert!(!daemon.log().contains(USER_SEED));
}
