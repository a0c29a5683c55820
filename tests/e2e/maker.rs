//! From an unmatched message to a rule in force over HTTP, and what keeps a wrong rule out.

use std::io::{Read, Write};
use std::net::{TcpStream, UdpSocket};
use std::sync::Barrier;
use std::time::Duration;

use serde_json::{Value, json};

use crate::daemon::{Daemon, FILE_SINK, output};
use crate::support::{let_pass, port, read, snmptrap, wait_for, wait_until};

/// A daemon with a web server.
struct Console {
    daemon: Daemon,
    http: u16,
}

/// An answer.
#[derive(Debug)]
struct Answer {
    status: u16,
    etag: Option<String>,
    text: String,
}

impl Answer {
    fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }
}

/// A rule with a test for lines of a program.
fn rule(id: &str, program: &str, service: &str) -> String {
    format!(
        "[[rule]]\nid = \"{id}\"\nsyslog = {{ program = \"{program}\" }}\n[rule.check]\nservice = \"{service}\"\nstate = \"critical\"\n\
         output = \"{{{{ message }}}}\"\n[[rule.test]]\nline = \"<28>Nov 20 12:00:01 web1 {program}[7]: x\"\nexpect = {{ service = \"{service}\" }}\n"
    )
}

impl Console {
    fn start(rest: &str) -> Self {
        let http = port();
        let mut daemon = Daemon::prepare(&format!(
            "{FILE_SINK}[http]\nlisten = \"127.0.0.1:{http}\"\n[rules]\npaths = [\"DIR/rules\"]\n{rest}"
        ));
        std::fs::create_dir(daemon.path("rules")).unwrap();
        std::fs::write(daemon.path("rules/own.toml"), rule("own", "own", "Own")).unwrap();
        daemon.restart();
        Console { daemon, http }
    }

    fn try_ask(&self, method: &str, path: &str, body: &str, base: Option<&str>) -> std::io::Result<Answer> {
        let token = read(&self.daemon.path("var/admin-token"));
        let mut stream = TcpStream::connect(("127.0.0.1", self.http))?;
        stream.set_read_timeout(Some(Duration::from_mins(1)))?;
        let kind = if method == "PUT" { "application/toml" } else { "application/json" };
        let base = base.map_or_else(String::new, |base| format!("If-Match: {base}\r\n"));
        let head = format!(
            "{method} {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {}\r\nContent-Type: {kind}\r\n{base}Content-Length: {}\r\nConnection: close\r\n\r\n",
            token.trim(),
            body.len()
        );
        stream.write_all(format!("{head}{body}").as_bytes())?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        let wrong = || std::io::Error::other(format!("no answer: {answer}"));
        let (head, text) = answer.split_once("\r\n\r\n").ok_or_else(wrong)?;
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).ok_or_else(wrong)?;
        let etag = head.lines().find_map(|line| {
            let (name, value) = line.split_once(':')?;
            name.eq_ignore_ascii_case("etag").then(|| value.trim().to_owned())
        });
        Ok(Answer { status, etag, text: text.to_owned() })
    }

    fn ask(&self, method: &str, path: &str, body: &str, base: Option<&str>) -> Answer {
        self.try_ask(method, path, body, base).unwrap()
    }

    fn post(&self, path: &str, body: &Value) -> Value {
        let answer = self.ask("POST", path, &body.to_string(), None);
        assert_eq!(answer.status, 200, "{answer:?}");
        answer.json()
    }

    fn put(&self, text: &str, base: &str) -> Answer {
        self.ask("PUT", "/api/v1/rules/console", text, Some(base))
    }

    /// The rules of the console, and their ETag.
    fn console(&self) -> (String, String) {
        let answer = self.ask("GET", "/api/v1/rules/console", "", None);
        assert_eq!(answer.status, 200, "{answer:?}");
        (answer.text, answer.etag.unwrap())
    }

    fn file(&self) -> String {
        read(&self.daemon.path("var/rules/console.toml"))
    }

    /// The group of the inbox whose words have this.
    fn group(&self, what: &str) -> Value {
        wait_for(&format!("{what} is in the inbox"), || {
            let groups = self.ask("GET", "/api/v1/inbox", "", None).json();
            let has = |group: &&Value| group["what"].as_str().unwrap().contains(what);
            groups["groups"].as_array().unwrap().iter().find(has).cloned()
        })
    }

    fn line(&self, text: &str) {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        socket.send_to(text.as_bytes(), ("127.0.0.1", self.daemon.syslog_udp)).unwrap();
    }

    fn has_outcome(&self, rule: &str, holds: impl Fn(&Value) -> bool) {
        wait_until(&format!("{rule} has made an outcome"), || {
            self.daemon.outcomes("out.jsonl").iter().any(|outcome| outcome["rule"] == rule && holds(outcome))
        });
    }
}

/// Octets that are no text, in hex as snmptrap takes them.
const BINARY: &str = "00ff80fe01";

fn trap(console: &Console, version: &str) {
    let target = console.daemon.snmp_target();
    let varbinds = ["1.3.6.1.4.1.99999.2.1.3", "x", BINARY, "1.3.6.1.4.1.99999.2.2.3", "s", "fan 3"];
    if version == "1" {
        let head = ["-v1", "-c", "secret", &target, "1.3.6.1.4.1.99999.1", "192.0.2.9", "6", "7", "55"];
        snmptrap(&[&head[..], &varbinds].concat());
    } else {
        snmptrap(
            &[&["-v2c", "-c", "secret", &target, "", "1.3.6.1.4.1.99999.1.0.8"][..], &varbinds].concat(),
        );
    }
}

#[test]
fn an_unmatched_trap_becomes_a_rule_in_force_over_http_binary_included() {
    let mut console = Console::start("");
    for (version, oid, id) in [("1", "99999.1.0.7", "fan-1"), ("2c", "99999.1.0.8", "fan-2")] {
        trap(&console, version);
        let group = console.group(oid);
        let shown = console.ask("GET", &format!("/api/v1/inbox/{}", group["id"]), "", None).json();
        let message = &shown["messages"][0];
        assert!(message.get("community").is_none(), "{message}");
        assert_eq!(
            message["varbinds"][0]["value"]
                .as_str()
                .unwrap()
                .replace([' ', ':'], "")
                .to_lowercase()
                .trim_start_matches("0x"),
            BINARY
        );
        let made = console.post(
            "/api/v1/rules/suggest",
            &json!({ "group": group["id"], "id": id, "state": "critical", "varbinds": [
                { "at": 1, "use": ["condition", "output"] }, { "at": 2, "use": ["service"] } ] }),
        );
        let toml = made["toml"].as_str().unwrap();
        let packet = message["packet_hex"].as_str().unwrap();
        assert!(toml.contains(&format!("packet = \"{packet}\"")), "{toml}");
        let tried = console.post("/api/v1/rules/try", &json!({ "toml": toml, "group": group["id"] }));
        assert_eq!((&tried["ok"], &tried["tests"]["passed"]), (&json!(true), &json!(1)), "{tried:#}\n{toml}");
        assert_eq!((&tried["matches"]["here"], &tried["matches"]["of"]), (&json!(1), &json!(1)), "{tried:#}");
        assert_eq!(tried["explained"]["sends"][0]["sink"], "out", "{tried:#}");
        let (before, etag) = console.console();
        let whole = format!("{before}\n{toml}");
        let dry = console.ask("PUT", "/api/v1/rules/console?dry_run=1", &whole, Some(&etag));
        assert_eq!(dry.status, 200, "{dry:?}");
        assert_eq!(console.console(), (before, etag.clone()), "only looked at");
        let saved = console.put(&whole, &etag);
        assert_eq!(saved.status, 200, "{saved:?}");
        assert_eq!(saved.json()["left"], json!([group["id"]]), "{saved:?}");
        assert_eq!((console.console().1, console.file()), (saved.etag.unwrap(), whole));
        let gone = console.ask("GET", &format!("/api/v1/inbox/{}", group["id"]), "", None);
        assert_eq!(gone.status, 404, "{gone:?}");
        trap(&console, version);
        console.has_outcome(id, |outcome| {
            outcome["state"] == "critical" && outcome["service"].as_str().unwrap().ends_with("fan 3")
        });
        // Trying, explaining and testing are not counted as matches.
        let rules = console.ask("GET", "/api/v1/rules", "", None).json();
        let own = rules["rules"].as_array().unwrap().iter().find(|rule| rule["id"] == id).unwrap().clone();
        assert_eq!(own["matched"], 1, "{own}");
        assert!(own["file"].as_str().unwrap().ends_with("var/rules/console.toml"), "{own}");
    }
    let config = console.daemon.path("trapline.toml");
    let config = config.to_str().unwrap();
    for args in [&["check"][..], &["test"]] {
        let done = output(&[args, &["--config", config]].concat());
        assert!(done.status.success(), "{done:?}");
    }
    let list = output(&["rule", "list", "console.toml", "--config", config]);
    assert_eq!(String::from_utf8_lossy(&list.stdout).matches("fan-").count(), 2, "{list:?}");
    console.daemon.kill();
    console.daemon.restart();
    trap(&console, "2c");
    wait_until("the rules are there after a restart", || console.daemon.status()["intake"]["matched"] == 1);
}

#[test]
fn an_unmatched_line_becomes_a_rule_and_undo_takes_it_back() {
    let console = Console::start("");
    let line = "<28>Nov 20 12:00:01 web1 pool[7]: member blue of pool big is down for 97 s";
    console.line(line);
    let group = console.group("pool");
    let message =
        console.ask("GET", &format!("/api/v1/inbox/{}", group["id"]), "", None).json()["messages"][0].clone();
    let start = message["message"].as_str().unwrap().find("blue").unwrap();
    let span = json!({ "start": start, "end": start + 4, "name": "member", "use": ["service"] });
    let made = console.post(
        "/api/v1/rules/suggest",
        &json!({ "group": group["id"], "id": "member-down", "spans": [span] }),
    );
    let toml = made["toml"].as_str().unwrap();
    let tried =
        console.post("/api/v1/rules/try", &json!({ "toml": toml, "group": group["id"], "sample": 0 }));
    assert_eq!(tried["ok"], true, "{tried:#}");
    let (_, etag) = console.console();
    assert_eq!(console.ask("POST", "/api/v1/rules/console/undo", "", Some("*")).status, 409);
    let saved = console.put(toml, &etag);
    assert_eq!(saved.status, 200, "{saved:?}");
    console.line(&line.replace("blue", "green").replace("97", "5"));
    console.has_outcome("member-down", |outcome| outcome["service"].as_str().unwrap().ends_with("green"));
    let explained = console.post("/api/v1/explain", &json!({ "line": line, "from": "127.0.0.1" }));
    assert_eq!(explained["matched"], json!(["member-down"]), "{explained:#}");
    let undone = console.ask("POST", "/api/v1/rules/console/undo", "", saved.etag.as_deref());
    assert_eq!((undone.status, console.console().0.as_str()), (200, ""), "{undone:?}");
    let explained = console.post("/api/v1/explain", &json!({ "line": line, "from": "127.0.0.1" }));
    assert_eq!(explained["matched"], json!([]), "{explained:#}");
    console.line(line);
    let group = console.group("pool");
    let dropped = console
        .post("/api/v1/rules/suggest", &json!({ "group": group["id"], "drop": true, "id": "no-pool" }));
    assert_eq!(console.put(dropped["toml"].as_str().unwrap(), "*").status, 200);
    console.line(line);
    console.daemon.wait_count("dropped", 1);
    let forgotten = |id: &Value| console.ask("DELETE", &format!("/api/v1/inbox/{id}"), "", None).status;
    console.line("<28>Nov 20 12:00:01 web1 other[7]: something");
    let other = console.group("other");
    assert_eq!((forgotten(&other["id"]), forgotten(&other["id"])), (204, 404));
}

#[test]
fn a_broken_rule_is_refused_with_its_place_and_the_rules_from_before_stay() {
    let console = Console::start("");
    let good = rule("good", "good", "Good");
    let (_, etag) = console.console();
    let saved = console.put(&good, &etag);
    assert_eq!(saved.status, 200, "{saved:?}");
    let etag = saved.etag.unwrap();
    let reloads = console.daemon.status()["reloads"]["done"].clone();
    let unknown = format!(
        "{good}\n[[rule]]\nid = \"b\"\ntrap = \"NO-MIB::none\"\n[rule.check]\nservice = \"s\"\nstate = \"ok\"\n"
    );
    let line = good.lines().count() + 4;
    for (text, place) in [
        ("[[rule]]\nid = \"x\n", Some((2, 6))),
        (unknown.as_str(), Some((line, 8))),
        (&rule("own", "x", "X"), Some((2, 6))),
    ] {
        for path in ["/api/v1/rules/console", "/api/v1/rules/console?dry_run"] {
            let refused = console.ask("PUT", path, text, Some(&etag));
            assert_eq!(refused.status, 422, "{refused:?}");
            let error = &refused.json()["errors"][0];
            assert!(error["file"].as_str().unwrap().ends_with("console.toml"), "{error}");
            let (line, column) = place.unwrap();
            assert_eq!((&error["line"], &error["column"]), (&json!(line), &json!(column)), "{error}");
        }
    }
    let without = console.ask("PUT", "/api/v1/rules/console", &good, None);
    assert_eq!(without.status, 428, "{without:?}");
    assert_eq!((console.file(), console.console().1), (good, etag));
    assert_eq!(console.daemon.status()["reloads"]["done"], reloads);
    console.line("<28>Nov 20 12:00:01 web1 good[7]: still there");
    console.has_outcome("good", |_| true);
}

#[test]
fn a_rule_that_fails_another_rules_test_is_refused() {
    let console = Console::start("");
    let (_, etag) = console.console();
    // Of two rules of the console the first takes what the second is tested with.
    let thief = "[[rule]]\nid = \"thief\"\nsyslog = { message = 'x' }\ndrop = true\n";
    let refused = console.put(&format!("{thief}{}", rule("victim", "victim", "Victim")), &etag);
    assert_eq!(refused.status, 422, "{refused:?}");
    let errors = refused.json()["errors"].to_string();
    assert!(errors.contains("victim") && errors.contains("thief"), "{errors}");
    // A user's file may change under the console: its test is run, too.
    std::fs::write(
        console.daemon.path("rules/own.toml"),
        rule("own", "own", "Own").replace("service = \"Own\" }", "service = \"Other\" }"),
    )
    .unwrap();
    let refused = console.put(&rule("good", "good", "Good"), &etag);
    assert_eq!(refused.status, 422, "{refused:?}");
    assert!(refused.json()["errors"][0]["file"].as_str().unwrap().ends_with("own.toml"), "{refused:?}");
    assert_eq!((console.file(), console.console().1), (String::new(), etag));
}

#[test]
fn of_two_editors_the_second_is_refused() {
    let console = Console::start("");
    let (_, etag) = console.console();
    let both = Barrier::new(2);
    let statuses: Vec<u16> = std::thread::scope(|scope| {
        let editor = |name: &'static str| {
            let (console, etag, both) = (&console, &etag, &both);
            scope.spawn(move || {
                both.wait();
                console.put(&rule(name, name, name), etag).status
            })
        };
        let editors = [editor("one"), editor("two")];
        editors.into_iter().map(|editor| editor.join().unwrap()).collect()
    });
    let mut sorted = statuses.clone();
    sorted.sort_unstable();
    assert_eq!(sorted, [200, 412]);
    let winner = if statuses[0] == 200 { "one" } else { "two" };
    assert_eq!(console.console().0, rule(winner, winner, winner));
    let late = console.ask("POST", "/api/v1/rules/console/undo", "", Some(&etag));
    assert_eq!(late.status, 412, "{late:?}");
}

#[test]
fn an_undo_that_is_refused_says_so_and_goes_further_back() {
    let console = Console::start("");
    for name in ["mine", "other"] {
        let saved = console.put(&rule(name, name, "Service"), "*");
        assert_eq!(saved.status, 200, "{saved:?}");
    }
    // A file takes the id of the version before.
    std::fs::write(console.daemon.path("rules/own.toml"), rule("mine", "own", "Own")).unwrap();
    let undo =
        |query: &str| console.ask("POST", &format!("/api/v1/rules/console/undo{query}"), "", Some("*"));
    let refused = undo("");
    assert_eq!(refused.status, 422, "{refused:?}");
    assert!(refused.text.contains("?skip=1") && refused.text.contains("duplicate rule id"), "{refused:?}");
    assert!(console.console().0.contains("other"));
    assert_eq!(undo("?skip=2").status, 409);
    assert_eq!(undo("?skip=x").status, 400);
    let undone = undo("?skip=1");
    assert_eq!((undone.status, console.console().0.as_str()), (200, ""), "{undone:?}");
    assert_eq!(undo("").status, 409);
}

#[test]
fn more_than_is_tried_or_saved_at_once_is_refused() {
    let console = Console::start("");
    let many = |count: usize| (0..count).map(|n| rule(&format!("r{n}"), "p", "P")).collect::<String>();
    let tried = console.ask("POST", "/api/v1/rules/try", &json!({ "toml": many(101) }).to_string(), None);
    assert!(tried.status == 413 && tried.text.contains("at most 100"), "{tried:?}");
    let saved = console.put(&many(1_001), "*");
    assert!(saved.status == 422 && saved.text.contains("at most 1000"), "{saved:?}");
}

#[test]
fn a_kill_during_a_save_leaves_old_or_new_rules_whole() {
    let mut console = Console::start("");
    let text = |n: usize| format!("{}# {}\n", rule("r", "r", &format!("S{n}")), "x".repeat(200_000));
    assert_eq!(console.put(&text(0), "*").status, 200);
    let mut stands = 0;
    for round in 1..=8 {
        let (new, before) = (text(round), text(stands));
        let pid = console.daemon.pid();
        std::thread::scope(|scope| {
            let save = scope.spawn(|| console.try_ask("PUT", "/api/v1/rules/console", &new, Some("*")));
            // Kills at different moments of the save, which the write of the file is a part of.
            let folder = console.daemon.path("var/rules");
            let begun = || {
                std::fs::read_dir(&folder).is_ok_and(|all| {
                    all.flatten().any(|file| file.file_name().to_string_lossy().starts_with(".console.toml."))
                })
            };
            if round % 2 == 0 {
                let started = std::time::Instant::now();
                while !begun() && !save.is_finished() && started.elapsed() < Duration::from_secs(30) {
                    std::hint::spin_loop();
                }
            } else {
                let_pass(Duration::from_millis(round as u64 * 40));
            }
            nix::sys::signal::kill(
                nix::unistd::Pid::from_raw(i32::try_from(pid).unwrap()),
                nix::sys::signal::Signal::SIGKILL,
            )
            .unwrap();
            let _ = save.join().unwrap();
        });
        console.daemon.kill();
        let found = console.file();
        assert!(found == new || found == before, "round {round}: {} bytes", found.len());
        if found == new {
            stands = round;
        }
        console.daemon.restart();
        assert_eq!(console.console().0, found);
    }
}
