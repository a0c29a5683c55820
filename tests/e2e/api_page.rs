//! The commands that docs/api.md prints, as they are printed but for the port, the folder and values of the example.

use std::io::{BufRead, BufReader};
use std::net::UdpSocket;
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use crate::daemon::{Daemon, FILE_SINK};
use crate::support::{port, read, wait_for, wait_until};

const RULES: &str = r#"
[[rule]]
id = "pump"
syslog = { program = "pump" }
[rule.check]
service = "Pump"
state = "critical"
output = "{{ message }}"
"#;

struct Page {
    daemon: Daemon,
    port: u16,
}

impl Page {
    fn start() -> Page {
        let port = port();
        let mut daemon = Daemon::prepare(&format!(
            "[rules]\npaths = [\"own.toml\"]\npacks = []\n{FILE_SINK}[http]\nlisten = \"127.0.0.1:{port}\"\n[history]\n"
        ));
        std::fs::write(daemon.path("own.toml"), RULES).unwrap();
        daemon.restart();
        Page { daemon, port }
    }

    fn send(&self, line: &str) {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        socket.send_to(line.as_bytes(), ("127.0.0.1", self.daemon.syslog_udp)).unwrap();
    }

    /// A line of a block, as somebody would enter it in the folder of the daemon.
    fn shell(&self, line: &str) -> Command {
        let folder = self.daemon.path("var").display().to_string();
        let line = line
            .replace("localhost:8162", &format!("localhost:{}", self.port))
            .replace("/var/lib/trapline", &folder);
        let token = read(&self.daemon.path("var/admin-token"));
        let mut command = Command::new("sh");
        command.arg("-c").arg(line).env("TOKEN", token.trim()).current_dir(self.daemon.dir.path());
        command
    }

    fn run(&self, line: &str) -> String {
        let done = self.shell(line).output().unwrap();
        assert!(done.status.success(), "{line}: {done:?}");
        String::from_utf8(done.stdout).unwrap()
    }

    fn json(&self, line: &str) -> Value {
        let text = self.run(line);
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{line}: {error}: {text}"))
    }
}

/// The lines of the block of commands below a heading.
fn commands(heading: &str) -> Vec<String> {
    let page = read(&Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/api.md"));
    let below = page.split(&format!("\n## {heading}\n")).nth(1).unwrap_or_else(|| panic!("no {heading}"));
    let block = below.split("```sh\n").nth(1).unwrap().split("```").next().unwrap();
    block.lines().map(str::to_owned).collect()
}

#[test]
fn the_one_liners_run_as_they_are_printed() {
    let page = Page::start();
    let lines = commands("From programs");
    let [export, outcomes, stream, python, node] = &lines[..] else { panic!("{lines:#?}") };
    let token = page.run(&format!("{export} && echo $TOKEN"));
    assert_eq!(token.trim(), read(&page.daemon.path("var/admin-token")).trim());
    let mut streaming = page.shell(&format!("exec {stream}")).stdout(Stdio::piped()).spawn().unwrap();
    let mut came = BufReader::new(streaming.stdout.take().unwrap()).lines();
    let hello: Value = serde_json::from_str(&came.next().unwrap().unwrap()).unwrap();
    assert_eq!(hello["type"], "hello");
    page.send("<13>Nov 20 12:00:01 h1 pump[1]: stopped");
    let update: Value = serde_json::from_str(&came.next().unwrap().unwrap()).unwrap();
    assert_eq!(update["data"]["service"], "Pump", "{update}");
    streaming.kill().unwrap();
    streaming.wait().unwrap();
    wait_until("the history has it", || {
        page.json(outcomes)["items"].as_array().is_some_and(|all| all.len() == 1)
    });
    assert!(page.run(python).contains("Pump"));
    if Command::new("node").arg("--version").output().is_ok() {
        assert_eq!(page.run(node).trim(), env!("CARGO_PKG_VERSION"));
    }
}

#[test]
fn from_a_message_to_a_rule_as_it_is_printed() {
    let page = Page::start();
    let lines = commands("From a message to a rule");
    let [inbox, suggest, attempt, show, put] = &lines[..] else { panic!("{lines:#?}") };
    page.send("<28>Nov 20 12:00:01 web1 disk[7]: sda1 is full");
    let group = wait_for("the inbox has it", || page.json(inbox)["groups"][0]["id"].as_u64());
    // A line has no varbinds to choose from.
    let suggest = suggest.replace(
        "\"group\":7,\"varbinds\":[{\"at\":1,\"use\":[\"service\"]}]",
        &format!("\"group\":{group}"),
    );
    let toml = page.json(&suggest)["toml"].as_str().unwrap().to_owned();
    let trial = json!({ "toml": toml, "group": group }).to_string();
    std::fs::write(page.daemon.path("trial.json"), trial).unwrap();
    let tried = page.json(attempt);
    assert_eq!((&tried["ok"], &tried["matches"]["here"]), (&json!(true), &json!(1)), "{tried:#}");
    let shown = page.run(show);
    let etag = shown.lines().find_map(|line| line.strip_prefix("etag: ")).unwrap().trim().to_owned();
    std::fs::write(page.daemon.path("console.toml"), &toml).unwrap();
    let saved = page.json(&put.replace("\"…\"", &etag));
    assert_eq!(saved["left"], json!([group]), "{saved:#}");
}

/// Some hundred requests that schemathesis makes of the OpenAPI document, the same each time: none is answered by 5xx, and each answer
/// has the schema and the type that the document says.
#[test]
fn schemathesis_finds_no_5xx_and_each_answer_has_its_schema() {
    let api = crate::api::api("[history]\n[capture]\nsize = \"1MiB\"\n");
    api.send("stopped");
    api.send("runs");
    wait_until("the history has them", || api.daemon.status()["history"]["rows"] == 2);
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut command = Command::new(root.join("target/console/bin/python"));
    command.env("SCHEMATHESIS_HOOKS", "bodies").env("PYTHONPATH", root.join("tests/console"));
    command.current_dir(api.daemon.path(".")).arg(root.join("target/console/bin/st")).arg("run");
    command.arg(format!("http://127.0.0.1:{}/api/v1/openapi.json", api.port));
    command.args(["-H", &format!("Authorization: Bearer {}", api.admin), "--no-color", "--no-shrink"]);
    command.args(["--phases", "fuzzing", "--max-examples", "12", "--generation-deterministic"]);
    // A token has 20 requests a second, and must not be removed. Streams do not end.
    command.args(["--rate-limit", "15/s", "--request-timeout", "300", "--continue-on-failure"]);
    command.args(["--exclude-path-regex", "/ws/|jsonl$|/api/events/|/api/v1/session|/tokens/"]);
    command.args(["--checks", "not_a_server_error,response_schema_conformance,content_type_conformance"]);
    let output = command.output().unwrap_or_else(|error| panic!("schemathesis: {error}; run tests/run"));
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
    println!("{}", said.lines().filter(|line| line.contains("generated")).collect::<String>());
    wait_until("the daemon answers", || api.get("/api/v1/status").status == 200);
}
