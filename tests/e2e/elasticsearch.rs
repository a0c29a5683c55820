//! A server with the API of OpenSearch, in memory: outcomes are documents there.

use std::io::Write;
use std::net::TcpStream;
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use crate::daemon::Daemon;
use crate::pages::block;
use crate::peers;
use crate::support::{Program, Random, let_pass, port, run, wait_or, wait_until};

/// A rule that makes a service of each line.
pub const RULE: &str = "[hosts]\nmap = { \"127.0.0.1\" = \"host1\" }\nprefer = \"sender\"\n[rules]\npacks = []\npaths = [\"rules.toml\"]\n";
pub const RULES: &str = r#"
[[rule]]
id = "numbers"
syslog = { program = "count" }
[rule.check]
service = "{{ text }}"
state = "warning"
output = "number {{ text }}"
"#;

/// Has a daemon take these texts, which are the services of outcomes; all of them arrive.
pub fn lines(daemon: &Daemon, texts: &[String]) {
    let mut stream = TcpStream::connect(("127.0.0.1", daemon.syslog_tcp)).unwrap();
    for text in texts {
        stream.write_all(format!("<13>Oct 11 22:14:15 host1 count: {text}\n").as_bytes()).unwrap();
    }
}

struct Server {
    _program: Program,
    port: u16,
}

impl Server {
    fn start() -> Self {
        let port = port();
        let program = Program::start(
            Command::new(peers::file("osmem_server/bin/osmem-server"))
                .args(["-addr", &format!("127.0.0.1:{port}"), "-no-stdin-watch", "-no-ja"])
                .stdout(Stdio::null())
                .stderr(Stdio::null()),
        );
        let server = Server { _program: program, port };
        wait_until("the server answers", || server.ask("GET", "/", None).is_some());
        server
    }

    fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    fn ask(&self, method: &str, path: &str, body: Option<Value>) -> Option<Value> {
        let mut curl = Command::new("curl");
        curl.args(["--silent", "--fail", "--request", method, "--header", "content-type: application/json"]);
        if let Some(body) = body {
            curl.args(["--data", &body.to_string()]);
        }
        let output = curl.arg(format!("{}{path}", self.url())).output().unwrap();
        output.status.success().then(|| serde_json::from_slice(&output.stdout).unwrap())
    }

    /// All documents.
    fn documents(&self) -> Vec<Value> {
        self.ask("POST", "/trapline-*/_refresh", None).unwrap();
        let found = self.ask("GET", "/trapline-*/_search?size=10000", None).unwrap();
        found["hits"]["hits"].as_array().unwrap().clone()
    }
}

fn prepare(server: &Server) -> Daemon {
    let daemon = Daemon::prepare(&format!("{RULE}{}", block("elasticsearch.md", &[("url", &server.url())])));
    std::fs::write(daemon.path("rules.toml"), RULES).unwrap();
    std::fs::write(daemon.path("elasticsearch.key"), "a2V5\n").unwrap();
    run(Command::new("chmod").arg("600").arg(daemon.path("elasticsearch.key")));
    daemon
}

#[test]
fn of_a_hundred_documents_the_server_takes_those_that_it_can() {
    let server = Server::start();
    let number =
        json!({ "properties": { "trapline": { "properties": { "service": { "type": "integer" } } } } });
    let template = json!({ "index_patterns": ["trapline-*"], "template": { "mappings": number } });
    server.ask("PUT", "/_index_template/numbers", Some(template)).unwrap();
    let mut daemon = prepare(&server);
    daemon.restart();
    let texts: Vec<String> =
        (0..100).map(|n| if n == 50 { "no number".to_owned() } else { n.to_string() }).collect();
    lines(&daemon, &texts);
    daemon.wait_settled(99, 1);
    daemon.wait_log("mapper_parsing_exception");
    let documents = server.documents();
    assert_eq!(documents.len(), 99);
    let first = documents.iter().find(|document| document["_source"]["trapline"]["service"] == "7").unwrap();
    let source = &first["_source"];
    assert_eq!(first["_id"], source["event"]["id"]);
    assert_eq!(
        (&source["host"]["name"], &source["rule"]["name"], &source["message"], &source["event"]["severity"]),
        (&"host1".into(), &"numbers".into(), &"number 7".into(), &1.into())
    );
}

/// What was sent before a kill is sent again, and is there once.
#[test]
fn kills_make_no_second_document() {
    let server = Server::start();
    let mut daemon = prepare(&server);
    daemon.restart();
    let mut random = Random::new();
    let mut sent = 0;
    for _ in 0..5 {
        let texts: Vec<String> = (sent..sent + 400).map(|n: u32| n.to_string()).collect();
        sent += 400;
        lines(&daemon, &texts);
        // All are in the journal, so that the kill loses none; some may be delivered.
        wait_until("all are in the journal", || daemon.status()["journal"]["next"] == sent + 1);
        let_pass(std::time::Duration::from_millis(random.below(30)));
        daemon.kill();
        daemon.restart();
    }
    wait_or(
        || format!("all are delivered: {}", daemon.status()),
        || {
            let sink = &daemon.status()["sinks"][0];
            (sink["behind"] == 0 && sink["dead"] == 0).then_some(())
        },
    );
    let mut services: Vec<u32> = server
        .documents()
        .iter()
        .map(|document| document["_source"]["trapline"]["service"].as_str().unwrap().parse().unwrap())
        .collect();
    services.sort_unstable();
    assert_eq!(services, (0..sent).collect::<Vec<u32>>());
}
