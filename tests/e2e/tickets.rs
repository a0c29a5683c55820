//! Webhooks as docs/sinks/webhook.md prints them, against stand-ins that refuse every path, header and field that they do not know.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

use crate::daemon::Daemon;
use crate::support::{link_trap, read, run, wait_until};
use crate::web_server::{Answer, Request, WebServer};

pub const LINK_DOWN: &str = "1.3.6.1.6.3.1.1.5.3";
pub const LINK_UP: &str = "1.3.6.1.6.3.1.1.5.4";
const NAMES: [&str; 10] = [
    "host",
    "content-type",
    "content-length",
    "authorization",
    "accept",
    "user-agent",
    "connection",
    "accept-encoding",
    "x-team",
    "x-rundeck-auth-token",
];

/// Tickets, and what was wrong with requests.
#[derive(Default)]
pub struct Desk {
    /// By id: the fields, and whether it is open.
    pub tickets: BTreeMap<u32, (Value, bool)>,
    pub notes: Vec<String>,
    pub wrong: Vec<String>,
    /// How many requests are refused before one is answered.
    pub refuses: u32,
    /// How many requests are answered with status 200 and something else than is asked for, before one is answered.
    pub strange: u32,
}

pub type Shared = Arc<Mutex<Desk>>;

/// The block of a page that has this name, for a server.
fn block(name: &str, url: &str) -> String {
    let page = read(std::path::Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/sinks/webhook.md")));
    let blocks = page.split("```toml\n").skip(1).map(|rest| rest.split("```").next().unwrap());
    let block = blocks.clone().find(|block| block.contains(&format!("name = \"{name}\""))).unwrap();
    let old = block.lines().find(|line| line.starts_with("url = ")).unwrap();
    let path =
        old.splitn(4, '/').nth(3).map_or(String::new(), |path| format!("/{}", path.trim_end_matches('"')));
    block.replace(old, &format!("url = \"{url}{path}\""))
}

pub fn daemon(name: &str, server: &WebServer) -> Daemon {
    let block = block(name, &server.url());
    let mut daemon = Daemon::prepare(&format!("[hosts]\nmap = {{ \"127.0.0.1\" = \"sw 1\" }}\n{block}"));
    for line in block.lines().filter(|line| line.contains("_file = ")) {
        let file = daemon.path(line.split('"').nth(1).unwrap());
        std::fs::write(&file, "secret\n").unwrap();
        run(std::process::Command::new("chmod").arg("600").arg(file));
    }
    daemon.restart();
    daemon
}

/// Answers by `known`, none for what is not known.
pub fn server(
    desk: &Shared,
    known: impl Fn(&mut Desk, &Request) -> Option<Answer> + Send + Sync + 'static,
) -> WebServer {
    let desk = desk.clone();
    WebServer::start(move |request| {
        let mut desk = desk.lock().unwrap();
        let unknown = request.headers.iter().find(|(name, _)| !NAMES.contains(&name.to_lowercase().as_str()));
        if let Some((name, _)) = unknown {
            desk.wrong.push(format!("header {name}"));
        }
        if desk.refuses > 0 {
            desk.refuses -= 1;
            return (503, "retry-after: 0\r\n", String::new());
        }
        if desk.strange > 0 {
            desk.strange -= 1;
            return (200, "", json!({ "status": "maintenance" }).to_string());
        }
        known(&mut desk, request).unwrap_or_else(|| {
            desk.wrong.push(format!("{} {} {}", request.method, request.path, request.text()));
            (400, "", "unknown".to_owned())
        })
    })
}

/// A part of a path, without its percent-encoding.
pub fn decoded(text: &str) -> String {
    let mut parts = text.split('%');
    let first = parts.next().unwrap().to_owned();
    parts.fold(first, |out, part| {
        let (hex, rest) = part.split_at(2);
        format!("{out}{}{rest}", char::from(u8::from_str_radix(hex, 16).unwrap()))
    })
}

/// Whether a body is JSON with these fields and no others.
pub fn has(body: &Value, fields: &[&str]) -> bool {
    body.as_object().is_some_and(|body| {
        body.len() == fields.len() && fields.iter().all(|field| body.contains_key(*field))
    })
}

fn servicenow(desk: &mut Desk, request: &Request) -> Option<Answer> {
    let rest = request.path.strip_prefix("/api/now/table/incident")?;
    (request.header("authorization")?.starts_with("Basic ")
        && request.header("accept")? == "application/json")
        .then_some(())?;
    let body = request.json();
    match (request.method.as_str(), rest) {
        ("GET", query) => {
            let key = query.strip_prefix("?sysparm_query=active=true^correlation_id=")?;
            let key = key.strip_suffix("&sysparm_limit=1&sysparm_fields=sys_id")?;
            let key = decoded(key);
            let open = |(id, (fields, open)): (&u32, &(Value, bool))| {
                (*open && fields["correlation_id"] == key.as_str())
                    .then(|| json!({ "sys_id": format!("s{id}") }))
            };
            let found: Vec<Value> = desk.tickets.iter().filter_map(open).take(1).collect();
            Some((200, "", json!({ "result": found }).to_string()))
        }
        ("POST", "") if has(&body, &["short_description", "urgency", "correlation_id", "description"]) => {
            let id = desk.tickets.len() as u32 + 1;
            desk.tickets.insert(id, (body, true));
            Some((201, "", json!({ "result": { "sys_id": format!("s{id}") } }).to_string()))
        }
        ("PATCH", path) => {
            let id: u32 = path.strip_prefix("/s")?.parse().ok()?;
            if has(&body, &["work_notes"]) {
                desk.notes.push(body["work_notes"].as_str()?.to_owned());
            } else if has(&body, &["state", "close_code", "close_notes"]) && body["state"] == "6" {
                desk.tickets.get_mut(&id)?.1 = false;
            } else {
                return None;
            }
            Some((200, "", json!({ "result": {} }).to_string()))
        }
        _ => None,
    }
}

fn jira(desk: &mut Desk, request: &Request) -> Option<Answer> {
    let rest = request.path.strip_prefix("/rest/api/2")?;
    request.header("authorization")?.strip_prefix("Basic ")?;
    let body = request.json();
    if request.method == "GET" {
        let jql =
            rest.strip_prefix("/search/jql?jql=statusCategory%20%21%3D%20Done%20AND%20labels%20%3D%20%22")?;
        let label = decoded(jql.strip_suffix("%22&maxResults=1&fields=id")?);
        let open = |(id, (fields, open)): (&u32, &(Value, bool))| {
            (*open && fields["labels"][0] == label.as_str()).then(|| json!({ "id": id.to_string() }))
        };
        let found: Vec<Value> = desk.tickets.iter().filter_map(open).take(1).collect();
        return Some((200, "", json!({ "issues": found }).to_string()));
    }
    let parts: Vec<&str> = rest.split('/').skip(1).collect();
    match parts[..] {
        ["issue"] => {
            let fields = &body["fields"];
            let known = has(fields, &["project", "issuetype", "labels", "summary", "description"]);
            // A label of Jira has no spaces.
            (has(&body, &["fields"]) && known && !fields["labels"][0].as_str()?.contains(' '))
                .then_some(())?;
            let id = desk.tickets.len() as u32 + 1;
            desk.tickets.insert(id, (fields.clone(), true));
            Some((201, "", json!({ "id": id.to_string() }).to_string()))
        }
        ["issue", id, "comment"] if has(&body, &["body"]) && desk.tickets.contains_key(&id.parse().ok()?) => {
            desk.notes.push(body["body"].as_str()?.to_owned());
            Some((201, "", "{}".to_owned()))
        }
        ["issue", id, "transitions"] if body == json!({ "transition": { "id": "31" } }) => {
            desk.tickets.get_mut(&id.parse().ok()?)?.1 = false;
            Some((204, "", String::new()))
        }
        _ => None,
    }
}

pub fn delivered(daemon: &Daemon, count: u64) {
    wait_until(&format!("{count} are delivered"), || {
        let sink = &daemon.status()["sinks"][0];
        assert_eq!(sink["dead"], 0, "{sink}");
        sink["delivered"] == count
    });
}

#[test]
fn a_ticket_is_opened_noted_and_closed_once() {
    for (name, known) in
        [("servicenow", servicenow as fn(&mut Desk, &Request) -> Option<Answer>), ("jira", jira)]
    {
        let desk = Shared::default();
        let server = server(&desk, known);
        let daemon = daemon(name, &server);
        let target = daemon.snmp_target();
        let send = |trap: &str, port: &str, oper: &str| {
            link_trap(&["-v2c", "-c", "public", &target, "", trap], port, oper);
        };
        // An ok without a ticket is nobody's.
        send(LINK_UP, "Gi0/3", "1");
        delivered(&daemon, 1);
        assert!(desk.lock().unwrap().tickets.is_empty());
        // The server is away at first, between search and opening, too.
        desk.lock().unwrap().refuses = 3;
        send(LINK_DOWN, "Gi0/3", "2");
        delivered(&daemon, 2);
        send(LINK_DOWN, "Gi0/3", "2");
        send(LINK_DOWN, "a\"b/%2e^active=false&x=1", "2");
        delivered(&daemon, 4);
        {
            let desk = desk.lock().unwrap();
            assert_eq!((desk.tickets.len(), desk.notes.len()), (2, 1), "{name}: {:?}", desk.wrong);
            assert!(desk.notes[0].starts_with("critical: Link down"), "{:?}", desk.notes);
        }
        // What is no answer to a search says of no ticket that it is not there.
        desk.lock().unwrap().strange = 1;
        send(LINK_UP, "Gi0/3", "1");
        delivered(&daemon, 5);
        send(LINK_DOWN, "Gi0/3", "2");
        delivered(&daemon, 6);
        let desk = desk.lock().unwrap();
        let open: Vec<bool> = desk.tickets.values().map(|(_, open)| *open).collect();
        assert_eq!(open, [false, true, true], "{name}: closed, and another one opened");
        assert_eq!(desk.wrong, Vec::<String>::new(), "{name}");
    }
}

#[test]
fn recipes_send_what_their_systems_know() {
    type Known = fn(&mut Desk, &Request) -> Option<Answer>;
    let slack: Known = |_, request| {
        let known = request.path == "/services/T000/B000/XXXX" && has(&request.json(), &["text"]);
        known.then(|| (200, "", "ok".to_owned()))
    };
    let mattermost: Known = |_, request| {
        (request.path == "/hooks/xxxx" && has(&request.json(), &["text"])).then(|| (200, "", "ok".to_owned()))
    };
    let teams: Known = |_, request| {
        let (body, path) = (request.json(), request.path.as_str());
        let card = &body["attachments"][0];
        let known = path
            .starts_with("/workflows/XXXX/triggers/manual/paths/invoke?api-version=2016-06-01&sig=")
            && has(&body, &["type", "attachments"])
            && has(card, &["contentType", "content"])
            && card["contentType"] == "application/vnd.microsoft.card.adaptive"
            && has(&card["content"], &["type", "version", "body"])
            && card["content"]["body"].as_array()?.iter().all(|block| {
                has(block, &["type", "weight", "text"]) || has(block, &["type", "wrap", "text"])
            });
        known.then(|| (202, "", String::new()))
    };
    let events: Known = |_, request| {
        let body = request.json();
        let record = &body["records"][0];
        let fields = ["source", "node", "resource", "type", "message_key", "description", "severity"];
        let known =
            request.path == "/api/global/em/jsonv2" && has(&body, &["records"]) && has(record, &fields);
        (known && record["severity"] == "1").then(|| (200, "", "{}".to_owned()))
    };
    let logstash: Known = |desk, request| {
        let lines: Option<Vec<Value>> =
            request.text().lines().map(|line| serde_json::from_str(line).ok()).collect();
        let known =
            request.header("content-type")? == "application/x-ndjson" && request.text().ends_with('\n');
        desk.notes.extend(lines?.iter().map(|line| line["service"].to_string()));
        known.then(|| (200, "", "ok".to_owned()))
    };
    for (name, known) in [
        ("slack", slack),
        ("mattermost", mattermost),
        ("teams", teams),
        ("events", events),
        ("logstash", logstash),
    ] {
        let desk = Shared::default();
        let server = server(&desk, known);
        let daemon = daemon(name, &server);
        link_trap(
            &["-v2c", "-c", "public", &daemon.snmp_target(), "", LINK_DOWN],
            "<!channel> @all \"x",
            "2",
        );
        delivered(&daemon, 1);
        assert_eq!(desk.lock().unwrap().wrong, Vec::<String>::new(), "{name}");
    }
}

/// What came before the server was there goes in few requests, and one that it never takes spoils no other.
#[test]
fn many_outcomes_go_in_one_request() {
    let desk = Shared::default();
    desk.lock().unwrap().refuses = 1;
    let server = server(&desk, |desk, request| {
        let text = request.text();
        if text.contains("Gi0/13") {
            return Some((400, "", "not this one".to_owned()));
        }
        desk.notes.extend(text.lines().map(str::to_owned));
        Some((200, "", "ok".to_owned()))
    });
    let daemon = daemon("logstash", &server);
    for n in 0..60 {
        let target = daemon.snmp_target();
        link_trap(&["-v2c", "-c", "public", &target, "", LINK_DOWN], &format!("Gi0/{n}"), "2");
    }
    wait_until("all but one are there", || {
        let sink = &daemon.status()["sinks"][0];
        (sink["delivered"].as_u64(), sink["dead"].as_u64()) == (Some(59), Some(1))
    });
    let desk = desk.lock().unwrap();
    assert_eq!(desk.notes.len(), 59);
    println!("60 outcomes in {} requests", server.requests().len());
}
