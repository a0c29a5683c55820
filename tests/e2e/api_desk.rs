//! What the console has beside: facets, messages as they come, MIB modules, edited rules and captured messages.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Value, json};

use crate::api::{Answer, Api, api};
use crate::history::RULES;
use crate::support::{Ends, snmptrap, wait_for, wait_until};

fn post(api: &Api, path: &str, body: &Value) -> Answer {
    api.ask(&api.admin, "POST", path, &body.to_string())
}

#[test]
fn facets_say_how_what_is_found_is_spread() {
    let api = api("[history]\n");
    for text in ["runs", "stopped", "runs", "stopped again"] {
        api.send(text);
    }
    wait_until("the history has them", || api.daemon.status()["history"]["rows"] == 4);
    let facets = api.get("/api/v1/facets?q=stopped").json();
    assert_eq!(
        (&facets["rows"], &facets["outcomes"], &facets["partial"]),
        (&2.into(), &2.into(), &false.into())
    );
    let of = |name: &str| facets["facets"][name].clone();
    let one = |value: &str, count: u64| json!({ "names": 1, "others": 0, "top": [{ "value": value, "count": count }] });
    assert_eq!((of("state"), of("rule")), (one("critical", 2), one("pump-stopped", 2)));
    assert_eq!((of("host"), of("service")), (one("h1", 2), one("Pump", 2)));
    assert_eq!(of("source"), one("127.0.0.1", 2));
    assert_eq!(of("why"), json!({ "names": 0, "others": 0, "top": [] }));
    let all = api.get("/api/v1/facets").json();
    assert_eq!(all["facets"]["state"]["top"].as_array().unwrap().len(), 2, "{all}");
    assert_eq!(api.get("/api/v1/facets?limit=1").status, 400);
}

/// The next message of a stream of lines.
fn message(stream: &mut BufReader<TcpStream>) -> Value {
    loop {
        let mut line = String::new();
        assert!(stream.read_line(&mut line).unwrap() > 0, "the stream was closed");
        let document: Value = serde_json::from_str(&line).unwrap_or_default();
        if document["type"] == "message" {
            return document["data"].clone();
        }
    }
}

#[test]
fn messages_are_shown_as_they_come_without_communities() {
    let api = api("");
    let mut all = api.stream("/api/v1/messages.jsonl", "");
    let mut unmatched = api.stream("/api/v1/messages.jsonl?unmatched=1", "");
    let mut pumps = api.stream("/api/v1/messages.jsonl?q=PUMP&from=127.0.0.0/8", "");
    api.send("stopped");
    let first = message(&mut all);
    assert_eq!(
        (&first["result"], &first["message"]["program"]),
        (&"matched".into(), &"pump".into()),
        "{first}"
    );
    assert_eq!(first["outcomes"][0]["state"], "critical", "{first}");
    assert_eq!(message(&mut pumps)["message"]["message"], "stopped");
    snmptrap(&["-v2c", "-c", "sesame", &api.daemon.snmp_target(), "", "1.3.6.1.4.1.99999.0.1"]);
    let trap = message(&mut unmatched);
    assert_eq!(
        (&trap["result"], &trap["message"]["oid"]),
        (&"unmatched".into(), &"1.3.6.1.4.1.99999.0.1".into())
    );
    assert!(!trap.to_string().contains("sesame"), "{trap}");
    assert_eq!(message(&mut all), trap);
    // As a proxy hands it on (RFC 3584, section 3.1).
    let proxied = ["1.3.6.1.6.3.18.1.4.0", "s", "sesame", "1.3.6.1.4.1.99999.1.0", "s", "shown"];
    snmptrap(
        &[&["-v2c", "-c", "sesame", &api.daemon.snmp_target(), "", "1.3.6.1.4.1.99999.0.2"], &proxied[..]]
            .concat(),
    );
    let trap = message(&mut unmatched).to_string();
    assert!(trap.contains("shown") && !trap.contains("sesame"), "{trap}");
    assert_eq!(message(&mut all).to_string(), trap);
    assert_eq!(api.get("/api/v1/messages.jsonl?from=here").status, 400);
    // Eight look on at most, and streams end with their token.
    let more: Vec<_> = (0..5).map(|_| api.stream("/api/v1/messages.jsonl", "")).collect();
    assert_eq!(api.get("/api/v1/messages.jsonl").status, 503);
    drop(more);
}

/// A module that needs another one.
fn module(name: &str, import: &str, oid: u32) -> String {
    format!(
        "{name} DEFINITIONS ::= BEGIN\nIMPORTS MODULE-IDENTITY, NOTIFICATION-TYPE, enterprises FROM SNMPv2-SMI\n{import};\n\
         own MODULE-IDENTITY LAST-UPDATED \"202601010000Z\" ORGANIZATION \"o\" CONTACT-INFO \"c\" DESCRIPTION \"d\"\n\
         ::= {{ enterprises {oid} }}\n\
         ownPart OBJECT IDENTIFIER ::= {{ foreign 1 }}\n\
         ownFan NOTIFICATION-TYPE STATUS current DESCRIPTION \"A fan has stopped.\" ::= {{ own 0 1 }}\nEND\n"
    )
}

#[test]
fn mib_modules_are_added_named_and_removed() {
    let api = api("[mibs]\npaths = []\n");
    let (reads, operates) = (api.token("reads", "read"), api.token("operates", "operate"));
    api.daemon.trap(&["1.3.6.1.4.1.99999.0.1"]);
    api.daemon.wait_count("unmatched", 1);
    let what = || api.get("/api/v1/inbox").json()["groups"][0]["what"].as_str().unwrap().to_owned();
    assert!(!what().contains("ownFan"), "{}", what());
    // The inbox is on disk some seconds later; the gain is looked up there.
    wait_until("the group is kept", || api.daemon.path("var/inbox.jsonl").exists());
    let upload = |token: &str, name: &str, text: &str| {
        let fields =
            [format!("Authorization: Bearer {token}"), "Content-Type: application/octet-stream".to_owned()];
        api.raw("POST", &format!("/api/v1/mibs?name={name}"), &fields, text)
    };
    let own = module("OWN-MIB", "foreign FROM FOREIGN-MIB", 99999);
    for token in [&reads, &operates] {
        assert_eq!(upload(token, "own.my", &own).status, 403);
    }
    let before = api.get("/api/v1/mibs").json();
    let added = upload(&api.admin, "own.my", &own);
    assert_eq!(added.status, 200, "{}", added.body);
    let added = added.json();
    assert_eq!(
        (&added["added"][0]["modules"], &added["changed"], &added["reload"]["ok"]),
        (&"OWN-MIB".into(), &true.into(), &true.into()),
        "{added}"
    );
    assert_eq!(added["missing"], json!(["FOREIGN-MIB"]), "{added}");
    assert_eq!(added["warnings"][0]["severity"], "warning", "{added}");
    assert_eq!((&added["notifications"], &added["groups_named"]), (&1.into(), &1.into()), "{added}");
    assert!(what().contains("OWN-MIB::ownFan"), "{}", what());
    let after = api.get("/api/v1/mibs").json();
    let count = |json: &Value| json["modules"].as_array().unwrap().len();
    assert_eq!((count(&after), &after["files"]), (count(&before) + 1, &json!(["OWN-MIB.txt"])), "{after}");
    // The same again, and what is no module, by the name that was given.
    let again = upload(&api.admin, "own.my", &own).json();
    assert_eq!(
        (&again["changed"], &again["not_added"][0]["module"]),
        (&false.into(), &"OWN-MIB".into()),
        "{again}"
    );
    let none = upload(&api.admin, "notes.txt", "nothing of interest").json();
    assert_eq!(none["left_out"][0]["file"], "notes.txt", "{none}");
    assert!(!none.to_string().contains("upload.tmp") && none.get("reload").is_none(), "{none}");
    assert_eq!(upload(&api.admin, "x", "").status, 400);
    // Another start reads them, too.
    let mut api = api;
    api.daemon.restart();
    wait_until("it answers", || TcpStream::connect(("127.0.0.1", api.port)).is_ok());
    assert!(api.get("/api/v1/mibs").json()["modules"].as_array().unwrap().contains(&"OWN-MIB".into()));
    let remove = |file: &str| api.ask(&api.admin, "DELETE", &format!("/api/v1/mibs/{file}"), "");
    assert_eq!(remove("..%2Fadmin-token").status, 404);
    let removed = remove("OWN-MIB.txt");
    assert_eq!((removed.status, &removed.json()["reload"]["ok"]), (200, &true.into()), "{}", removed.body);
    assert!(api.get("/api/v1/mibs").json()["files"].as_array().unwrap().is_empty());
    let audit = api.get("/api/v1/audit").json();
    let items = audit["items"].as_array().unwrap();
    let is_upload =
        |one: &&Value| one["method"] == "POST" && one["path"] == "/api/v1/mibs" && one["status"] == 200;
    assert_eq!(items.iter().filter(is_upload).count(), 3, "{audit}");
    assert!(items.iter().all(|one| one["status"].is_number()), "{audit}");
}

/// The processes that a daemon has started and that still run.
fn children(daemon: u32) -> Vec<Pid> {
    let is_child = |pid: &i32| {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        // Behind the name, which may have spaces: the state and the parent.
        let behind = stat.rsplit_once(") ").map_or("", |(_, behind)| behind);
        let mut words = behind.split(' ');
        words.next().is_some_and(|state| state != "Z") && words.next() == Some(daemon.to_string().as_str())
    };
    let all =
        std::fs::read_dir("/proc").unwrap().filter_map(|one| one.ok()?.file_name().to_str()?.parse().ok());
    all.filter(is_child).map(Pid::from_raw).collect()
}

#[test]
fn a_replay_ends_with_the_connection_that_waits_for_it() {
    let api = api("[capture]\nsize = \"1MiB\"\n");
    api.send("stopped");
    wait_until("it is captured", || api.daemon.status()["capture"]["messages"] == 1);
    let body = json!({ "since": "1h" }).to_string();
    let request = format!(
        "POST /api/v1/rules/replay HTTP/1.1\r\nHost: 127.0.0.1:{}\r\nAuthorization: Bearer {}\r\n\
         Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        api.port,
        api.admin,
        body.len()
    );
    let daemon = api.daemon.pid();
    let mut held = None;
    // It may have ended before it is stopped: then there is another one.
    wait_until("a replay is stopped at its work", || {
        let mut client = TcpStream::connect(("127.0.0.1", api.port)).unwrap();
        client.write_all(request.as_bytes()).unwrap();
        client.set_read_timeout(Some(Duration::from_millis(1))).unwrap();
        while !matches!(client.read(&mut [0; 1]), Ok(1)) {
            let Some(child) = children(daemon).first().copied() else { continue };
            if stopped(child) {
                held = Some((client, child));
                return true;
            }
        }
        false
    });
    let (client, child) = held.unwrap();
    let replay = || post(&api, "/api/v1/rules/replay", &json!({ "since": "1h" }));
    assert_eq!(replay().status, 429, "one at a time");
    drop(client);
    wait_until("it is ended", || !children(daemon).contains(&child));
    wait_until("the next one is carried out", || replay().status == 200);
}

#[test]
fn edited_rules_are_tried_on_captured_messages_over_http() {
    let api = api("[capture]\nsize = \"1MiB\"\n");
    api.send("stopped");
    api.send("runs");
    wait_until("they are captured", || api.daemon.status()["capture"]["messages"] == 2);
    let replay = |body: Value| post(&api, "/api/v1/rules/replay", &body);
    wait_until("they are on disk", || replay(json!({ "since": "1h" })).json()["messages"] == 2);
    assert_eq!(replay(json!({ "since": "1h" })).json()["differences"], 0);
    // The file, which is not in force yet.
    std::fs::write(api.daemon.path("own.toml"), RULES.replace("\"critical\"", "\"warning\"")).unwrap();
    let edited = replay(json!({ "since": "1h" })).json();
    assert_eq!(
        (&edited["differences"], &edited["rules"][0]["rule"]),
        (&1.into(), &"pump-stopped".into()),
        "{edited}"
    );
    let first = &edited["rules"][0]["state"]["first"];
    assert_eq!(
        (&first["before"]["state"], &first["after"]["state"]),
        (&"critical".into(), &"warning".into())
    );
    std::fs::write(api.daemon.path("own.toml"), RULES).unwrap();
    // Rules of the console come behind it, so that these take nothing that it takes.
    let rule = "[[rule]]\nid = \"more\"\nsyslog = { program = \"pump\" }\n[rule.check]\nservice = \"More\"\nstate = \"ok\"\n";
    let same = replay(json!({ "since": "1h", "toml": rule })).json();
    assert_eq!(same["differences"], 0, "{same}");
    std::fs::write(api.daemon.path("own.toml"), RULES.replace("[[rule]]", "[[rule]]\ncontinue = true"))
        .unwrap();
    let more = replay(json!({ "since": "1h", "toml": rule })).json();
    let of_new = more["rules"].as_array().unwrap().iter().find(|one| one["rule"] == "more").unwrap();
    assert_eq!(of_new["new"]["count"], 2, "{more}");
    let wrong = replay(
        json!({ "since": "1h", "toml": "[[rule]]\nid = \"a\"\nsyslog = { program = \"x\" }\nwhere = \"nothing ==\"\n" }),
    );
    assert_eq!(wrong.status, 422, "{}", wrong.body);
    assert!(wrong.body.contains("console.toml:4") && !wrong.body.contains("replay.toml"), "{}", wrong.body);
    assert_eq!(replay(json!({ "since": "soon" })).status, 400);
    let reads = api.token("reads", "read");
    assert_eq!(api.ask(&reads, "POST", "/api/v1/rules/replay", "{}").status, 403);
    // Nothing of it is in force, or left.
    assert!(
        !api.daemon.path("var/replay.toml").exists() && !api.daemon.path("var/rules/console.toml").exists()
    );
}

/// The process that replays for a daemon.
fn helper_of(daemon: u32) -> Option<i32> {
    let mut children = std::fs::read_dir(format!("/proc/{daemon}/task")).ok()?;
    let of_task = |task: std::io::Result<std::fs::DirEntry>| {
        let text = std::fs::read_to_string(task.ok()?.path().join("children")).ok()?;
        text.split_whitespace().next()?.parse().ok()
    };
    children.find_map(of_task)
}

/// Whether a process has a file of a folder open. It has come to its work then.
fn reads_in(process: Pid, folder: &std::path::Path) -> bool {
    let open = std::fs::read_dir(format!("/proc/{process}/fd")).into_iter().flatten().flatten();
    open.filter_map(|entry| std::fs::read_link(entry.path()).ok()).any(|path| path.starts_with(folder))
}

/// The state of a process; none if there is none.
fn state(process: Pid) -> Option<char> {
    let status = std::fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
    status.rsplit_once(") ")?.1.chars().next()
}

/// Stops a process, and says whether it stands now. A signal has its effect when the process gets to run, and one that is about
/// to end ends.
fn stopped(process: Pid) -> bool {
    kill(process, Signal::SIGSTOP).is_ok()
        && wait_for("it is stopped or at its end", || match state(process) {
            Some('T') => Some(true),
            None | Some('Z' | 'X') => Some(false),
            Some(_) => None,
        })
}

/// A daemon that is killed leaves nobody at work, and its successor begins without what it left.
#[test]
fn who_replays_ends_with_the_daemon() {
    let mut api = api("[capture]\nsize = \"8MiB\"\n");
    for n in 0..2000 {
        api.send(&format!("stopped {n}"));
    }
    wait_until("they are captured", || api.daemon.status()["capture"]["messages"].as_u64() > Some(1000));
    let (daemon, var) = (api.daemon.pid(), api.daemon.path("var"));
    let done = AtomicBool::new(false);
    let helper = std::thread::scope(|scope| {
        scope.spawn(|| {
            let (bearer, url) = (
                format!("Authorization: Bearer {}", api.admin),
                format!("http://127.0.0.1:{}/api/v1/rules/replay", api.port),
            );
            let body = json!({ "since": "1h", "toml": "" }).to_string();
            let json = "Content-Type: application/json";
            while !done.load(Ordering::Relaxed) {
                // It has no answer when the daemon is killed.
                let mut curl = Command::new("curl");
                curl.args(["-s", "-m", "100", "-H", &bearer, "-H", json, "-d", &body, &url]);
                curl.output().unwrap();
            }
        });
        let ends = Ends(&done);
        // It stays, as it is stopped.
        let helper = wait_for("a helper is at work", || {
            let helper = Pid::from_raw(helper_of(daemon)?);
            if !stopped(helper) {
                return None;
            }
            // Before its work it has not said yet that it ends with the daemon.
            if reads_in(helper, &var) {
                return Some(helper);
            }
            kill(helper, Signal::SIGCONT).ok()?;
            None
        });
        drop(ends);
        kill(Pid::from_raw(daemon.cast_signed()), Signal::SIGKILL).unwrap();
        helper
    });
    wait_until("it is gone", || state(helper).is_none_or(|state| state == 'Z'));
    api.daemon.kill();
    api.daemon.restart();
    assert!(!api.daemon.path("var/replay.toml").exists());
}

#[test]
fn without_captured_messages_a_replay_says_so() {
    let api = api("");
    let answer = post(&api, "/api/v1/rules/replay", &json!({ "since": "1h" }));
    assert!(answer.status == 422 && answer.body.contains("nothing is captured"), "{}", answer.body);
}

/// A document that a schema describes, with all keys.
fn example(schema: &Value) -> Value {
    let kind = match &schema["type"] {
        Value::Array(kinds) => &kinds[0],
        kind => kind,
    };
    match kind.as_str() {
        // Also an address, where one is asked for.
        Some("string") => "192.0.2.1".into(),
        Some("integer") => 1.into(),
        Some("boolean") => false.into(),
        Some("array") => json!([example(&schema["items"])]),
        Some("object") => {
            let keys = schema["properties"].as_object().unwrap().iter();
            Value::Object(keys.map(|(key, schema)| (key.clone(), example(schema))).collect())
        }
        _ => schema["enum"][0].clone(),
    }
}

/// The pointers to the objects of a document.
fn objects(document: &Value, at: &str, found: &mut Vec<String>) {
    match document {
        Value::Object(all) => {
            found.push(at.to_owned());
            all.iter().for_each(|(key, value)| objects(value, &format!("{at}/{key}"), found));
        }
        Value::Array(all) => {
            all.iter().enumerate().for_each(|(n, value)| objects(value, &format!("{at}/{n}"), found));
        }
        _ => {}
    }
}

/// Whether every object of a schema says that it has no other keys.
fn is_closed(schema: &Value) -> bool {
    match schema {
        Value::Object(all) => {
            let is_object = schema["type"] == "object" || all.contains_key("properties");
            (!is_object || schema["additionalProperties"] == false) && all.values().all(is_closed)
        }
        Value::Array(all) => all.iter().all(is_closed),
        _ => true,
    }
}

/// A key that is written wrongly would be left out, and more be done than is meant.
#[test]
fn no_request_has_a_key_that_is_not_known_at_any_level() {
    let api = api("[history]\n");
    let document = api.get("/api/v1/openapi.json").json();
    let (mut bodies, mut tried) = (0, 0);
    for (path, operations) in document["paths"].as_object().unwrap() {
        // Grafana sends what it likes.
        if path.starts_with("/api/grafana") {
            continue;
        }
        for (method, operation) in operations.as_object().unwrap() {
            let schema = &operation["requestBody"]["content"]["application/json"]["schema"];
            if schema.is_null() {
                continue;
            }
            assert!(is_closed(schema), "{path}: {schema}");
            bodies += 1;
            let whole = example(schema);
            let mut levels = Vec::new();
            objects(&whole, "", &mut levels);
            for level in levels {
                let mut body = whole.clone();
                body.pointer_mut(&level).unwrap()["servce"] = "x".into();
                let path = path.replace(['{', '}'], "x");
                let answer = api.ask(&api.admin, &method.to_uppercase(), &path, &body.to_string());
                assert_eq!(answer.status, 400, "{path} {body}: {}", answer.body);
                let detail = answer.json()["detail"].to_string();
                assert!(detail.contains("`servce`"), "{path} {body}: {detail}");
                tried += 1;
            }
        }
    }
    assert!(bodies >= 9 && tried > bodies, "{bodies} {tried}");
}

#[test]
fn a_mute_of_everything_names_nothing() {
    let api = api("");
    for (covers, everything, status) in [
        (json!({}), false, 400),
        (json!({ "reason": "works", "sinks": ["out"] }), false, 400),
        (json!({ "host": "db1" }), true, 400),
        (json!({ "service": "s" }), true, 400),
        (json!({ "rule": "r", "reason": "works" }), true, 400),
        (json!({ "host": "db1", "service": "Backup" }), false, 200),
        (json!({ "reason": "works" }), true, 200),
    ] {
        let body = json!({ "covers": covers, "seconds": 60, "everything": everything });
        let answer = post(&api, "/api/v1/mutes", &body);
        assert_eq!(answer.status, status, "{body}: {}", answer.body);
    }
    assert_eq!(api.get("/api/v1/mutes").json()["mutes"].as_array().unwrap().len(), 2);
}
