//! The API: who may what, pages of other sites, streams that go on, exports, what Grafana asks.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpStream, UdpSocket};
use std::time::Duration;

use serde_json::{Value, json};

use crate::daemon::{Daemon, FILE_SINK, trapline};
use crate::history::RULES;
use crate::support::{Program, port, read, wait_until};

pub struct Api {
    pub daemon: Daemon,
    pub port: u16,
    pub admin: String,
}

/// What is answered: status, head, body.
pub struct Answer {
    pub status: u16,
    pub head: String,
    pub body: String,
}

impl Answer {
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.body))
    }
}

pub fn api(more: &str) -> Api {
    let port = port();
    let mut daemon = Daemon::prepare(&format!(
        "[rules]\npaths = [\"own.toml\"]\npacks = []\n{FILE_SINK}[http]\nlisten = \"127.0.0.1:{port}\"\n{more}"
    ));
    std::fs::write(daemon.path("own.toml"), RULES).unwrap();
    daemon.restart();
    let admin = read(&daemon.path("var/admin-token")).trim().to_owned();
    assert!(!daemon.log().contains(&admin), "a token is in the log");
    Api { daemon, port, admin }
}

impl Api {
    /// A request with these header lines, as it is answered.
    pub fn raw(&self, method: &str, path: &str, fields: &[String], body: &str) -> Answer {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).unwrap();
        let host = if fields.iter().any(|field| field.starts_with("Host:")) {
            String::new()
        } else {
            format!("Host: 127.0.0.1:{}\r\n", self.port)
        };
        let fields: String = fields.iter().map(|field| format!("{field}\r\n")).collect();
        let length = body.len();
        let head = format!(
            "{method} {path} HTTP/1.1\r\n{host}Connection: close\r\nContent-Length: {length}\r\n{fields}\r\n"
        );
        stream.write_all(&[head.as_bytes(), body.as_bytes()].concat()).unwrap();
        let mut text = Vec::new();
        stream.read_to_end(&mut text).unwrap();
        let text = String::from_utf8(text).unwrap();
        let (head, body) =
            text.split_once("\r\n\r\n").unwrap_or_else(|| panic!("no answer to {method} {path}: {text}"));
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        let body = if head.to_ascii_lowercase().contains("transfer-encoding: chunked") {
            unchunked(body)
        } else {
            body.to_owned()
        };
        Answer { status, head: head.to_owned(), body }
    }

    pub fn ask(&self, token: &str, method: &str, path: &str, body: &str) -> Answer {
        let bearer = format!("Authorization: Bearer {token}");
        self.raw(method, path, &[bearer, "Content-Type: application/json".to_owned()], body)
    }

    pub fn get(&self, path: &str) -> Answer {
        self.ask(&self.admin, "GET", path, "")
    }

    pub fn token(&self, name: &str, role: &str) -> String {
        let output = trapline()
            .args(["token", "add", name, "--role", role, "--config"])
            .arg(self.daemon.path("trapline.toml"))
            .output()
            .unwrap();
        assert!(output.status.success(), "{output:?}");
        let token = String::from_utf8(output.stdout).unwrap().trim().to_owned();
        wait_until("it is known", || self.ask(&token, "GET", "/api/v1/session", "").status == 200);
        token
    }

    pub fn send(&self, text: &str) {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        let line = format!("<13>Nov 20 12:00:01 h1 pump[1]: {text}");
        socket.send_to(line.as_bytes(), ("127.0.0.1", self.daemon.syslog_udp)).unwrap();
    }

    /// A stream, behind its head.
    pub fn stream(&self, path: &str, more: &str) -> BufReader<TcpStream> {
        self.stream_of(&self.admin, path, more)
    }

    fn stream_of(&self, token: &str, path: &str, more: &str) -> BufReader<TcpStream> {
        self.stream_by(&format!("Authorization: Bearer {token}"), path, more)
    }

    fn stream_by(&self, who: &str, path: &str, more: &str) -> BufReader<TcpStream> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).unwrap();
        stream.set_read_timeout(Some(Duration::from_mins(1))).unwrap();
        let port = self.port;
        let head = format!("GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n{who}\r\n{more}\r\n");
        stream.write_all(head.as_bytes()).unwrap();
        let mut lines = BufReader::new(stream);
        let mut line = String::new();
        while line != "\r\n" {
            line.clear();
            assert!(lines.read_line(&mut line).unwrap() > 0, "{path} was closed");
        }
        lines
    }
}

fn unchunked(body: &str) -> String {
    let (mut rest, mut text) = (body, String::new());
    while let Some((length, behind)) = rest.split_once("\r\n") {
        let length = usize::from_str_radix(length, 16).unwrap();
        text.push_str(&behind[..length]);
        rest = behind[length..].strip_prefix("\r\n").unwrap();
        if length == 0 {
            break;
        }
    }
    text
}

/// The ids of the next updates of a stream of server-sent events.
fn ids(stream: &mut BufReader<TcpStream>, count: usize) -> Vec<String> {
    let mut found = Vec::new();
    let mut line = String::new();
    while found.len() < count {
        line.clear();
        assert!(stream.read_line(&mut line).unwrap() > 0, "the stream was closed");
        found.extend(line.strip_prefix("id: ").map(|id| id.trim().to_owned()));
    }
    found
}

/// Every role with every route, as the OpenAPI document has them.
#[test]
fn every_role_and_every_endpoint() {
    let api = api("[history]\nmax_size = \"16MiB\"\n");
    let (reads, operates) = (api.token("reads", "read"), api.token("operates", "operate"));
    let document = api.get("/api/v1/openapi.json").json();
    let rank =
        |role: &str| ["open", "read", "operate", "admin"].iter().position(|known| *known == role).unwrap();
    let mut count = 0;
    for (path, operations) in document["paths"].as_object().unwrap() {
        for (method, operation) in operations.as_object().unwrap() {
            let needed = operation["x-role"].as_str().unwrap();
            for (role, token) in [("open", ""), ("read", &*reads), ("operate", &operates)] {
                // What may be asked would be answered, which is for other tests, or never ends.
                if rank(role) >= rank(needed) {
                    continue;
                }
                if (path.as_str(), method.as_str()) == ("/api/v1/states", "get") {
                    continue;
                }
                let path = path.replace(['{', '}'], "x");
                let method = method.to_uppercase();
                let answer = match token {
                    "" => api.raw(&method, &path, &["Content-Type: application/json".to_owned()], "{}"),
                    token => api.ask(token, &method, &path, "{}"),
                };
                let said = if token.is_empty() { 401 } else { 403 };
                assert_eq!(answer.status, said, "{role}: {method} {path}: {}", answer.body);
                assert!(answer.head.contains("application/problem+json"), "{}", answer.head);
                count += 1;
            }
            if method == "get"
                && rank(needed) > 0
                && !operation["responses"]["200"]["content"]["text/event-stream"].is_object()
            {
                let is_stream = path.contains("/ws/") || path.contains(".jsonl");
                if !is_stream {
                    let answer = api.get(&path.replace(['{', '}'], "x"));
                    assert!(answer.status < 500, "{path}: {}", answer.body);
                }
            }
        }
    }
    assert!(count > 60, "{count}");
    // A token that is removed is refused, and its session with it.
    let config = api.daemon.path("trapline.toml");
    let removed = trapline().args(["token", "remove", "reads", "--config"]).arg(config).output().unwrap();
    assert!(removed.status.success(), "{removed:?}");
    wait_until("it is refused", || matches!(api.ask(&reads, "GET", "/api/v1/status", "").status, 401 | 429));
    let audit = api.get("/api/v1/audit").json();
    assert!(audit["items"].as_array().unwrap().iter().any(|entry| entry["status"] == 401), "{audit}");
}

#[test]
fn pages_of_other_sites_and_rebound_names_are_refused() {
    let api = api("");
    let own = format!("Origin: http://127.0.0.1:{}", api.port);
    let json = "Content-Type: application/json".to_owned();
    let login = api.raw(
        "POST",
        "/api/v1/session",
        &[own.clone(), json.clone()],
        &json!({ "token": api.admin }).to_string(),
    );
    assert_eq!(login.status, 200, "{}", login.body);
    let set = login.head.lines().find(|line| line.starts_with("set-cookie: ")).unwrap();
    assert!(set.contains("HttpOnly") && set.contains("SameSite=Strict"), "{set}");
    let cookie = format!("Cookie: {}", set.trim_start_matches("set-cookie: ").split(';').next().unwrap());
    let reload = |fields: &[String]| {
        let all: Vec<String> = [cookie.clone(), json.clone()].iter().chain(fields).cloned().collect();
        api.raw("POST", "/api/v1/reload", &all, "").status
    };
    assert_eq!(reload(std::slice::from_ref(&own)), 200);
    assert_eq!(reload(&[]), 403);
    assert_eq!(reload(&["Origin: http://evil.example".to_owned()]), 403);
    assert_eq!(reload(&[own.clone(), "Sec-Fetch-Site: cross-site".to_owned()]), 403);
    assert_eq!(api.raw("GET", "/api/v1/status", std::slice::from_ref(&cookie), "").status, 200);
    let socket = |fields: &[String]| {
        let upgrade = [
            "Upgrade: websocket",
            "Sec-WebSocket-Version: 13",
            "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==",
        ];
        let all: Vec<String> = upgrade
            .iter()
            .map(|field| (*field).to_owned())
            .chain([cookie.clone()])
            .chain(fields.to_vec())
            .collect();
        api.raw("GET", "/api/ws/status", &all, "").status
    };
    assert_eq!(socket(&["Origin: http://evil.example".to_owned()]), 403);
    assert_eq!(socket(&[]), 403);
    for path in ["/api/v1/status", "/api/events/status", "/api/ws/status", "/"] {
        let answer = api.raw("GET", path, &["Host: evil.example".to_owned(), cookie.clone()], "");
        assert_eq!(answer.status, 421, "{path}");
    }
    // A browser also sends the cookie of another Trapline on this host, before or behind its own.
    for both in [format!("Cookie: trapline=stale; {}", &cookie[8..]), format!("{cookie}; trapline=stale")] {
        assert_eq!(api.raw("GET", "/api/v1/status", std::slice::from_ref(&both), "").status, 200, "{both}");
    }
    let mut mine = api.stream_by(&cookie, "/api/events/status", "");
    let mut others = api.stream("/api/events/status", "");
    let end = api.raw("DELETE", "/api/v1/session", &[cookie.clone(), own.clone()], "");
    assert_eq!(end.status, 204, "{}", end.body);
    // It ends with the session, long before its next sign of life; those of the token itself go on.
    let mut rest = String::new();
    mine.read_to_string(&mut rest).unwrap();
    assert!(
        rest.contains("event: hello") && rest.ends_with("0\r\n\r\n") && !rest.contains(": open"),
        "{rest}"
    );
    api.send("stopped");
    let mut line = String::new();
    while !line.contains("pump-stopped") {
        line.clear();
        assert!(others.read_line(&mut line).unwrap() > 0, "it was closed");
    }
    assert_eq!(api.raw("GET", "/api/v1/status", std::slice::from_ref(&cookie), "").status, 401);
    let wrong = json!({ "token": "guess" }).to_string();
    let tries: Vec<u16> = (0..7)
        .map(|_| api.raw("POST", "/api/v1/session", std::slice::from_ref(&json), &wrong).status)
        .collect();
    assert_eq!(tries, [401, 401, 401, 401, 401, 429, 429]);
    assert_eq!(api.get("/api/v1/status").status, 200, "a right token is let in all the same");
}

#[test]
fn a_stream_goes_on_and_nothing_is_lost_or_comes_twice() {
    let api = api("");
    let mut stream = api.stream("/api/events/status", "");
    let send = |from: usize, to: usize| {
        for n in from..to {
            api.send(if n % 2 == 0 { "stopped" } else { "runs" });
        }
    };
    send(0, 20);
    let mut seen = ids(&mut stream, 7);
    drop(stream);
    send(20, 40);
    let delivered = || api.daemon.outcomes("out.jsonl");
    wait_until("they are delivered", || delivered().len() == 40);
    let mut again = api.stream("/api/events/status", &format!("Last-Event-ID: {}\r\n", seen[6]));
    seen.extend(ids(&mut again, 20));
    let mut since = api.stream(&format!("/api/events/status?since={}", seen[26]), "");
    send(40, 44);
    seen.extend(ids(&mut since, 17));
    wait_until("they are delivered", || delivered().len() == 44);
    // Datagrams of one socket a line may be taken in another order, so states may repeat: then a line is no change.
    let all: Vec<String> =
        delivered().iter().map(|outcome| outcome["id"].as_str().unwrap().to_owned()).collect();
    assert_eq!(seen, all);
    let mut lines = api.stream("/api/v1/stream.jsonl?all=1&host=other*", "");
    api.send("runs");
    drop(again);
    let mut line = String::new();
    // The length of a chunk stands before it.
    while !line.starts_with('{') {
        line.clear();
        lines.read_line(&mut line).unwrap();
    }
    assert!(line.contains("\"type\":\"hello\""), "{line}");
}

#[test]
fn a_stream_ends_with_its_token_even_while_much_comes() {
    let api = api("");
    let token = api.token("watcher", "read");
    let mut stream = api.stream_of(&token, "/api/v1/stream.jsonl?all=1", "");
    assert_eq!(api.ask(&api.admin, "DELETE", "/api/v1/tokens/watcher", "").status, 204);
    let reader = std::thread::spawn(move || stream.read_to_end(&mut Vec::new()));
    wait_until("the stream ends", || {
        api.send("stopped");
        reader.is_finished()
    });
    reader.join().unwrap().unwrap();
}

#[test]
fn the_audit_names_who_has_logged_in_and_strangers_do_not_fill_it() {
    let api = api("");
    let json = ["Content-Type: application/json".to_owned()];
    for _ in 0..20 {
        assert_eq!(api.raw("POST", "/api/v1/session", &json, "{}").status, 400);
    }
    let login = json!({ "token": api.admin }).to_string();
    assert_eq!(api.raw("POST", "/api/v1/session", &json, &login).status, 200);
    let audit = api.get("/api/v1/audit").json();
    let items = audit["items"].as_array().unwrap();
    assert_eq!(
        (items.len(), &items[0]["token"], &items[0]["role"]),
        (1, &json!("admin"), &json!("admin")),
        "{audit}"
    );
}

#[test]
fn bodies_that_do_not_come_keep_nobody_from_searching() {
    let api = api("");
    let slow: Vec<TcpStream> = (0..4)
        .map(|_| {
            let mut stream = TcpStream::connect(("127.0.0.1", api.port)).unwrap();
            let (port, admin) = (api.port, &api.admin);
            let head = format!(
                "POST /api/v1/rules/try HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nAuthorization: Bearer {admin}\r\n\
                 Expect: 100-continue\r\nContent-Length: 100\r\n\r\n"
            );
            stream.write_all(head.as_bytes()).unwrap();
            // It is waited for.
            let mut line = String::new();
            BufReader::new(&stream).read_line(&mut line).unwrap();
            assert_eq!(line, "HTTP/1.1 100 Continue\r\n");
            stream
        })
        .collect();
    let explained =
        api.ask(&api.admin, "POST", "/api/v1/explain", &json!({ "line": "<13>pump: stopped" }).to_string());
    assert_eq!(explained.status, 200, "{}", explained.body);
    drop(slow);
}

#[test]
fn an_export_equals_the_search_and_no_field_is_a_formula() {
    let api = api("[history]\nmax_size = \"16MiB\"\n");
    for text in ["=HYPERLINK(\"http://evil.example\")", "stopped, \"really\"", "+1"] {
        api.send(text);
    }
    wait_until("the history has them", || api.daemon.status()["history"]["rows"] == 3);
    let export = api.get("/api/export/history?format=json&order=asc");
    assert_eq!(export.status, 200, "{}", export.body);
    let rows: Vec<Value> = export.body.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let mut found = Vec::new();
    let mut cursor = String::new();
    loop {
        let page = api.get(&format!("/api/v1/outcomes?order=asc&limit=1{cursor}")).json();
        found.extend(page["items"].as_array().unwrap().iter().cloned());
        match page["next"].as_str() {
            Some(next) => cursor = format!("&cursor={next}"),
            None => break,
        }
    }
    assert_eq!(found, rows);
    let csv = api.get("/api/export/history").body;
    assert!(
        csv.contains(",\"'=HYPERLINK(\"\"http://evil.example\"\")\",") && csv.contains(",\"'+1\","),
        "{csv}"
    );
    let ended = api
        .get("/api/export/history?format=json&endTime=2020-01-01T00:00:00Z&startTime=2019-01-01T00:00:00Z");
    assert_eq!((ended.status, &*ended.body), (200, ""));
    let daily = api.get("/api/export/history?format=csv&bucket=daily").body;
    assert!(daily.contains("\"ok\",\"2\"") && daily.contains("\"critical\",\"1\""), "{daily}");
    // Counts have no filter: one that is given is not passed over.
    for filter in ["host=h1", "state=ok", "q=x", "why=held", "changes=1", "untold=1"] {
        let refused = api.get(&format!("/api/export/history?bucket=daily&{filter}"));
        assert_eq!(refused.status, 400, "{filter}: {}", refused.body);
    }
    let states = api.get("/api/v1/endpoints").json();
    assert_eq!(states["items"][0]["endpointId"], "h1/Pump", "{states}");
    let of_one = api.get("/api/v1/states/h1/Pump/history").json();
    assert_eq!(of_one["items"].as_array().unwrap().len(), 3);
    assert_eq!(api.get("/api/v1/states/h1/history").json()["items"], json!([]));
    // What came is counted by the daemon itself; outcomes by what is asked for.
    let sum = |path: &str, series: &str| -> u64 {
        let points = api.get(path).json();
        let of = points.as_array().unwrap().iter().filter(|point| point["series"] == series);
        of.map(|point| point["value"].as_u64().unwrap()).sum()
    };
    let messages = "/api/v1/series?metric=messages";
    assert_eq!(sum(messages, "matched"), api.daemon.status()["intake"]["matched"].as_u64().unwrap());
    assert_eq!(sum(&format!("{messages}&to=2020-01-01T00:00:00Z"), "matched"), 0);
    wait_until("minutes are written", || sum("/api/v1/series", "ok") == 2);
    for (filter, count) in
        [("host=H*", 2), ("host=x*", 0), ("rule=nothing", 0), ("state=critical", 0), ("state=ok,down", 2)]
    {
        assert_eq!(sum(&format!("/api/v1/series?{filter}"), "ok"), count, "{filter}");
    }
    for (path, status) in [
        ("/api/v1/series?metric=messages&by=state", 400),
        ("/api/v1/series?metric=x", 400),
        ("/api/v1/series?state=x", 400),
        ("/api/v1/outcomes?hots=x", 400),
        ("/api/v1/outcomes?limit=0", 400),
        ("/api/v1/outcomes?cursor=x", 400),
        ("/api/v1/series?by=x", 400),
        ("/api/v1/nothing", 404),
    ] {
        assert_eq!(api.get(path).status, status, "{path}");
    }
}

/// The requests of simpod-json-datasource 0.6, as its source has them.
#[test]
fn grafana_is_answered() {
    let api = api("[history]\nmax_size = \"16MiB\"\n");
    api.send("stopped");
    api.send("runs");
    wait_until("the history has them", || api.daemon.status()["history"]["rows"] == 2);
    let post = |path: &str, body: Value| {
        let answer = api.ask(&api.admin, "POST", path, &body.to_string());
        assert_eq!(answer.status, 200, "{path}: {}", answer.body);
        answer.json()
    };
    assert_eq!(api.get("/api/grafana").status, 200);
    assert_eq!(api.get("/api/grafana/").status, 200);
    let metrics = post("/api/grafana/metrics", json!({ "metric": "", "payload": {} }));
    assert_eq!(metrics[0]["value"], "outcomes");
    assert_eq!(post("/api/grafana/search", json!({ "target": "" }))[0], "outcomes");
    let query = json!({
        "app": "dashboard", "requestId": "Q1", "timezone": "browser", "panelId": 2,
        "range": { "from": "2020-01-01T00:00:00.000Z", "to": "2099-01-01T00:00:00.000Z", "raw": { "from": "now-1h", "to": "now" } },
        "interval": "1m", "intervalMs": 60000, "maxDataPoints": 100, "scopedVars": {}, "startTime": 0, "adhocFilters": [],
        "targets": [
            { "target": "outcomes", "refId": "A", "payload": {}, "datasource": {} },
            { "target": "events", "refId": "B", "payload": { "host": "h*", "state": ["critical"] } },
        ],
    });
    let answer = post("/api/grafana/query", query);
    let total: u64 =
        answer[0]["datapoints"].as_array().unwrap().iter().map(|point| point[0].as_u64().unwrap()).sum();
    assert_eq!(
        (total, &answer[1]["type"], answer[1]["rows"].as_array().unwrap().len()),
        (2, &json!("table"), 1),
        "{answer}"
    );
    let range = json!({ "from": "2020-01-01T00:00:00Z", "to": "2099-01-01T00:00:00Z" });
    let annotations =
        post("/api/grafana/annotations", json!({ "range": range, "annotation": { "query": "runs" } }));
    assert_eq!(annotations[0]["text"], "runs", "{annotations}");
    let hosts = post("/api/grafana/variable", json!({ "payload": { "target": "host" }, "range": range }));
    assert_eq!(hosts, json!([{ "__text": "h1", "__value": "h1" }]));
    assert_eq!(post("/api/grafana/tag-keys", json!({}))[0]["text"], "host");
    assert_eq!(post("/api/grafana/tag-values", json!({ "key": "host" })), json!([{ "text": "h1" }]));
    let series = api.get("/api/v1/series?by=state&from=1577836800000&step=3600").json();
    assert!(series.as_array().unwrap().iter().any(|point| point["series"] == "ok"), "{series}");
    let events = api.get("/api/v1/events").json();
    assert_eq!(events[0]["title"], "h1 / Pump: ok", "{events}");
}

#[test]
fn an_audit_that_cannot_be_written_is_seen_until_it_is_written_again() {
    let api = api("");
    let audit = api.daemon.path("var/audit.jsonl");
    let reload = || api.ask(&api.admin, "POST", "/api/v1/reload", "").status;
    let reloads = || api.daemon.status()["reloads"]["done"].as_u64().unwrap();
    assert_eq!((reload(), reloads()), (200, 1));
    std::fs::remove_file(&audit).unwrap();
    std::fs::create_dir(&audit).unwrap();
    assert_eq!((reload(), reloads()), (503, 1), "nothing is changed");
    let ready = api.raw("GET", "/ready", &[], "");
    assert!(
        ready.status == 503 && ready.body.contains("the audit of the API cannot be written"),
        "{}",
        ready.body
    );
    std::fs::remove_dir(&audit).unwrap();
    assert_eq!((reload(), reloads()), (200, 2));
    let ready = api.raw("GET", "/ready", &[], "");
    assert_eq!((ready.status, ready.body.as_str()), (200, "ready\n"));
}

#[test]
fn streams_leave_room_for_requests() {
    let api = api("");
    let streams: Vec<_> =
        (0..32).map(|n| api.stream(["/api/events/status", "/api/v1/stream.jsonl"][n % 2], "")).collect();
    // All of them come from one address, as behind a proxy.
    assert_eq!(api.get("/api/v1/status").status, 200);
    let one_more = api.get("/api/events/status");
    assert_eq!((one_more.status, one_more.body.contains("32 streams")), (429, true), "{}", one_more.body);
    drop(streams);
    wait_until("their places are free", || api.get("/api/v1/status").status == 200);
}

#[test]
fn a_number_that_has_not_come_yet_is_no_place_to_go_on_from() {
    let api = api("");
    let mut first = api.stream("/api/events/status", "");
    api.send("stopped");
    let id = ids(&mut first, 1).remove(0);
    let (epoch, _) = id.split_once('-').unwrap();
    let ahead = format!("Last-Event-ID: {epoch}-{}\r\n", u64::MAX);
    let mut again = api.stream("/api/events/status", &ahead);
    assert_eq!(ids(&mut again, 1), [id]);
}

#[test]
fn during_a_start_the_history_is_not_said_to_be_missing() {
    let port = port();
    let daemon = Daemon::prepare(&format!(
        "[mibs]\npaths = [\"mibs\"]\n[history]\n[http]\nlisten = \"127.0.0.1:{port}\"\n"
    ));
    let slow = daemon.slow_modules();
    let log = std::fs::File::create(daemon.path("log")).unwrap();
    let mut command = trapline();
    let _program =
        Program::start(command.args(["run", "--config"]).arg(daemon.path("trapline.toml")).stderr(log));
    let token = daemon.path("var/admin-token");
    wait_until("it answers", || token.exists() && TcpStream::connect(("127.0.0.1", port)).is_ok());
    let admin = read(&token).trim().to_owned();
    let api = Api { daemon, port, admin };
    let paths = ["/api/v1/endpoints", "/api/v1/outcomes", "/api/v1/events"];
    for path in paths {
        let answer = api.get(path);
        assert_eq!(answer.status, 503, "{path}: {}", answer.body);
        assert!(answer.head.to_ascii_lowercase().contains("retry-after: 1"), "{path}: {}", answer.head);
        assert!(answer.body.contains("starting"), "{path}: {}", answer.body);
    }
    drop(slow);
    for path in paths {
        wait_until(&format!("{path} is answered"), || api.get(path).status == 200);
    }
}
