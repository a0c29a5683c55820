//! The sinks that speak to a web server, before small servers that keep to the protocols.

use std::io::Read;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::daemon::Daemon;
use crate::support::wait_until;
use crate::web_server::WebServer;

/// A daemon with these sinks; its traps are of router1.
fn daemon(sinks: &str) -> Daemon {
    Daemon::start(&format!("{sinks}\n[hosts]\nmap = {{ \"127.0.0.1\" = \"router1\" }}\n"))
}

fn link_down(daemon: &Daemon, interface: &str) {
    daemon.link_down(interface);
}

fn sink_status(daemon: &Daemon) -> Value {
    daemon.status()["sinks"][0].clone()
}

fn ok() -> (u16, &'static str, String) {
    (200, "", String::new())
}

#[test]
fn alignak_by_command_with_a_login() {
    let server = WebServer::start(|request| match (request.path.as_str(), request.header("authorization")) {
        ("/login", _) if request.json() == json!({ "username": "admin", "password": "secret" }) => {
            (200, "", json!({ "_status": "OK", "_result": ["the-token"] }).to_string())
        }
        // The token as user, an empty password.
        ("/command", Some("Basic dGhlLXRva2VuOg==")) => match request.json()["service"].as_str() {
            Some("Interface Gi9/9") => (
                200,
                "",
                json!({ "_status": "ERR", "_issues": ["Requested service does not exist."] }).to_string(),
            ),
            _ => (200, "", json!({ "_status": "ok", "_result": ["raised"] }).to_string()),
        },
        _ => (401, "", "who are you".to_owned()),
    });
    let url = server.url();
    let daemon = daemon(&format!(
        "[[sinks]]\ntype = \"alignak\"\nurl = \"{url}\"\nuser = \"admin\"\npassword = \"secret\"\nconnections = 1\n"
    ));
    link_down(&daemon, "Gi0/3");
    link_down(&daemon, "Gi9/9");
    wait_until("one taken, one dead", || {
        let sink = sink_status(&daemon);
        sink["delivered"] == 1 && sink["dead"] == 1
    });
    let commands: Vec<_> = server.requests().into_iter().filter(|r| r.path == "/command").collect();
    let first = commands[0].json();
    assert_eq!(first["command"], "PROCESS_SERVICE_CHECK_RESULT");
    assert_eq!(
        (first["host"].as_str(), first["service"].as_str()),
        (Some("router1"), Some("Interface Gi0/3"))
    );
    assert_eq!(first["parameters"], "2;Link down on Gi0/3 (admin up, oper down)");
    daemon.wait_log("service does not exist");
}

#[test]
fn alignak_by_live_state() {
    let server = WebServer::start(|_| (200, "", json!({ "_status": "OK" }).to_string()));
    let daemon =
        daemon(&format!("[[sinks]]\ntype = \"alignak\"\nmethod = \"host\"\nurl = \"{}\"\n", server.url()));
    link_down(&daemon, "Gi0/3");
    wait_until("it is taken", || sink_status(&daemon)["delivered"] == 1);
    let request = server.requests().remove(0);
    assert_eq!((request.method.as_str(), request.path.as_str()), ("PATCH", "/host"));
    let service = &request.json()["services"]["Interface Gi0/3"];
    assert_eq!(service["livestate"]["state"], "CRITICAL");
}

#[test]
fn nrdp_in_batches() {
    let server = WebServer::start(|request| {
        let ok = request.text().starts_with("token=t%26t&cmd=submitcheck&json=%7B%22checkresults%22");
        let xml = if ok {
            "<status>0</status><message>OK</message>"
        } else {
            "<status>-1</status><message>BAD TOKEN</message>"
        };
        (200, "", format!("<?xml version=\"1.0\"?>\n<result>{xml}</result>"))
    });
    let sink = |token: &str| {
        format!(
            "[[sinks]]\ntype = \"nrdp\"\nurl = \"{}/nrdp/\"\ntoken = \"{token}\"\nconnections = 1\n",
            server.url()
        )
    };
    let good = daemon(&sink("t&t"));
    for n in 0..20 {
        link_down(&good, &format!("Gi0/{n}"));
    }
    wait_until("all are taken", || sink_status(&good)["delivered"] == 20);
    assert!(server.requests().iter().all(|r| r.path == "/nrdp/"));
    let bad = daemon(&sink("wrong"));
    link_down(&bad, "Gi0/3");
    wait_until("it is said", || bad.log().contains("BAD TOKEN"));
    assert_eq!(
        (sink_status(&bad)["delivered"].clone(), sink_status(&bad)["dead"].clone()),
        (0.into(), 0.into())
    );
}

#[test]
fn canopsis_over_http() {
    let server = WebServer::start(|request| {
        let events = request.json();
        let failed: Vec<Value> = events
            .as_array()
            .unwrap()
            .iter()
            .filter(|event| event["resource"] == "Interface Gi9/9")
            .cloned()
            .collect();
        (200, "", json!({ "sent_events": [], "retry_events": [], "failed_events": failed }).to_string())
    });
    let daemon = daemon(&format!(
        "[[sinks]]\ntype = \"canopsis\"\nurl = \"{}/api/v4/event\"\ntoken = \"the-key\"\nconnections = 1\n",
        server.url()
    ));
    for interface in ["Gi0/1", "Gi9/9", "Gi0/2"] {
        link_down(&daemon, interface);
    }
    wait_until("two taken, one dead", || {
        let sink = sink_status(&daemon);
        sink["delivered"] == 2 && sink["dead"] == 1
    });
    let request = server.requests().remove(0);
    assert_eq!(request.header("x-canopsis-authkey"), Some("the-key"));
    let event = &request.json()[0];
    assert_eq!((event["component"].as_str(), event["state"].as_i64()), (Some("router1"), Some(2)));
}

#[test]
fn a_webhook_by_templates_signed() {
    let server = WebServer::start(|request| match request.path.as_str() {
        path if path.contains("Gi9") => (422, "", "no such channel".to_owned()),
        _ => ok(),
    });
    let daemon = daemon(&format!(
        "[[sinks]]\nname = \"hook\"\ntype = \"webhook\"\nurl = \"{}/hooks\"\nmethod = \"PUT\"\nconnections = 1\n\
         path = \"/{{{{ outcome.host }}}}?s={{{{ outcome.service }}}}\"\nheaders = {{ \"X-Team\" = \"noc\" }}\n\
         secret = \"key\"\nsignature_header = \"X-Hub-Signature-256\"\n\
         body = '{{\"text\": \"{{{{ outcome.state }}}}: {{{{ outcome.output }}}}\"}}'\n",
        server.url()
    ));
    link_down(&daemon, "Gi\"0/3\n");
    link_down(&daemon, "Gi9/9");
    wait_until("one taken, one dead", || {
        let sink = sink_status(&daemon);
        sink["delivered"] == 1 && sink["dead"] == 1
    });
    let request = server.requests().remove(0);
    assert_eq!(request.method, "PUT");
    assert!(request.path.starts_with("/hooks/router1?s=Interface%20Gi"), "{}", request.path);
    assert_eq!(request.header("x-team"), Some("noc"));
    assert!(request.json()["text"].as_str().unwrap().starts_with("critical: Link down on Gi\"0/3"));
    let signature = request.header("x-hub-signature-256").unwrap();
    let ours = hmac_by_openssl("key", &request.body);
    assert_eq!(signature, format!("sha256={ours}"));
}

fn hmac_by_openssl(key: &str, body: &[u8]) -> String {
    use std::io::Write;
    use std::process::{Command, Stdio};
    let mut child = Command::new("openssl")
        .args(["dgst", "-sha256", "-hmac", key, "-hex"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(body).unwrap();
    let output = child.wait_with_output().unwrap();
    String::from_utf8_lossy(&output.stdout).trim().rsplit_once(' ').unwrap().1.to_owned()
}

#[test]
fn splunk_compressed_and_acknowledged() {
    // The indexer says yes at the third question.
    let asked = AtomicU64::new(0);
    let server = WebServer::start(move |request| {
        assert_eq!(request.header("authorization"), Some("Splunk the-token"));
        assert!(request.header("x-splunk-request-channel").is_some_and(|c| c.len() == 36));
        match request.path.as_str() {
            "/services/collector/event" => {
                (200, "", json!({ "text": "Success", "code": 0, "ackId": 7 }).to_string())
            }
            _ => {
                let yes = asked.fetch_add(1, Ordering::Relaxed) >= 2;
                (200, "", json!({ "acks": { "7": yes } }).to_string())
            }
        }
    });
    let daemon = daemon(&format!(
        "[[sinks]]\ntype = \"splunk\"\nurl = \"{}\"\ntoken = \"the-token\"\nindex = \"network\"\nacknowledge = true\nconnections = 1\n",
        server.url()
    ));
    link_down(&daemon, "Gi0/3");
    wait_until("it is taken", || sink_status(&daemon)["delivered"] == 1);
    let requests = server.requests();
    assert_eq!(requests.iter().filter(|r| r.path == "/services/collector/ack").count(), 3);
    assert_eq!(requests[0].header("content-encoding"), Some("gzip"));
    let mut text = String::new();
    flate2::read::GzDecoder::new(&requests[0].body[..]).read_to_string(&mut text).unwrap();
    let event: Value = serde_json::from_str(&text).unwrap();
    assert_eq!((event["index"].as_str(), event["host"].as_str()), (Some("network"), Some("router1")));
    assert_eq!(event["event"]["service"], "Interface Gi0/3");
}

#[test]
fn a_server_that_asks_for_a_pause_gets_it() {
    let refused_at = std::sync::Arc::new(std::sync::Mutex::new(None::<Instant>));
    let first = AtomicBool::new(true);
    let at = refused_at.clone();
    let server = WebServer::start(move |_| {
        if first.swap(false, Ordering::Relaxed) {
            *at.lock().unwrap() = Some(Instant::now());
            return (429, "retry-after: 3\r\n", "slow down".to_owned());
        }
        ok()
    });
    let daemon = daemon(&format!("[[sinks]]\ntype = \"webhook\"\nurl = \"{}\"\n", server.url()));
    link_down(&daemon, "Gi0/3");
    wait_until("it is taken", || sink_status(&daemon)["delivered"] == 1);
    let waited = refused_at.lock().unwrap().unwrap().elapsed();
    assert!(waited >= Duration::from_millis(2900), "{waited:?}");
    assert_eq!(server.requests().len(), 2);
    daemon.wait_log("waiting 3 s");
}

#[test]
fn order_stays_by_service_and_the_rate_is_kept() {
    let server = WebServer::start(|_| ok());
    let mut daemon = Daemon::prepare(&format!(
        "[[sinks]]\ntype = \"webhook\"\nurl = \"{}\"\nconnections = 8\nrate = 300\n[rules]\npacks = []\npaths = [\"rules.toml\"]\n",
        server.url()
    ));
    std::fs::write(
        daemon.path("rules.toml"),
        "[[rule]]\nid = \"n\"\nsyslog = { message = '^(?<service>[a-z]+) (?<number>\\d+)$' }\n[rule.check]\nservice = \"{{ service }}\"\nstate = \"ok\"\noutput = \"{{ number }}\"\n",
    )
    .unwrap();
    daemon.restart();
    let start = Instant::now();
    let mut stream = std::net::TcpStream::connect(("127.0.0.1", daemon.syslog_tcp)).unwrap();
    for n in 0..1200 {
        let line = format!("<13>Nov 20 12:00:00 h t: {} {n}\n", ["alpha", "beta", "gamma", "delta"][n % 4]);
        std::io::Write::write_all(&mut stream, line.as_bytes()).unwrap();
    }
    wait_until("all are taken", || sink_status(&daemon)["delivered"] == 1200);
    // A second's worth may go at once.
    assert!(start.elapsed() >= Duration::from_millis(2900), "{:?}", start.elapsed());
    let mut last = std::collections::HashMap::new();
    for request in server.requests() {
        let json = request.json();
        let number: i64 = json["output"].as_str().unwrap().parse().unwrap();
        let before = last.insert(json["service"].as_str().unwrap().to_owned(), number);
        assert!(before < Some(number), "{before:?} before {number}");
    }
    assert_eq!(last.len(), 4);
}
