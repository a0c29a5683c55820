//! A stand-in that processes values of the items that it knows, and counts as Zabbix does.

use std::collections::BTreeSet;
use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::sync::Mutex;

use serde_json::Value as Json;

use super::*;
use crate::sinks::testing::{item, seat};

#[derive(Default)]
struct Known {
    /// Hosts and keys of its items.
    items: BTreeSet<(String, String)>,
    /// All values that it has processed: host, key, value.
    processed: Vec<(String, String, String)>,
    requests: usize,
    /// What it answers in place of counts.
    instead: Option<&'static str>,
    /// Whether it says of hosts that it does not have that another one has them.
    redirects: bool,
}

impl Known {
    fn add(&mut self, host: &str, key: &str) {
        self.items.insert((host.to_owned(), key.to_owned()));
    }

    fn add_service(&mut self, host: &str, service: &str) {
        self.add(host, &format!("trapline.state[\"{service}\"]"));
        self.add(host, &format!("trapline.output[\"{service}\"]"));
    }

    fn answer(&mut self, body: &[u8]) -> String {
        self.requests += 1;
        if let Some(instead) = self.instead {
            return instead.to_owned();
        }
        let request: Json = serde_json::from_slice(body).unwrap();
        let values = request["data"].as_array().unwrap();
        let has = |value: &Json| self.items.iter().any(|(host, _)| value["host"] == host.as_str());
        if self.redirects && !values.iter().all(has) {
            return r#"{"response":"failed","redirect":{"revision":1,"address":"p:10051"}}"#.to_owned();
        }
        let mut processed = 0;
        for value in values {
            let text = |key: &str| value[key].as_str().unwrap().to_owned();
            let (host, key) = (text("host"), text("key"));
            if self.items.contains(&(host.clone(), key.clone())) {
                self.processed.push((host, key, text("value")));
                processed += 1;
            }
        }
        let (failed, total) = (values.len() - processed, values.len());
        format!(
            r#"{{"response":"success","info":"processed: {processed}; failed: {failed}; total: {total}; seconds spent: 0.0"}}"#
        )
    }
}

struct Server {
    port: u16,
    known: Arc<Mutex<Known>>,
}

impl Server {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let known = Arc::new(Mutex::new(Known::default()));
        let shared = known.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                let mut head = [0; HEAD];
                if stream.read_exact(&mut head).is_err() {
                    continue;
                }
                let (_, length) = frame::head(&head).unwrap();
                let mut body = vec![0; length];
                stream.read_exact(&mut body).unwrap();
                let answer = shared.lock().unwrap().answer(&body);
                if !answer.is_empty() {
                    stream.write_all(&frame::frame(answer.as_bytes())).unwrap();
                }
            }
        });
        Server { port, known }
    }

    fn zabbix(&self) -> Zabbix {
        Zabbix {
            addresses: vec![Address { host: "127.0.0.1".into(), port: self.port }],
            host: Template::new("{{ outcome.host }}", str::to_owned).value.unwrap(),
            discovery: true,
            grace: Duration::from_mins(2),
            tls: None,
        }
    }

    /// How many requests it got since this was last asked.
    fn requests(&self) -> usize {
        std::mem::take(&mut self.known.lock().unwrap().requests)
    }
}

fn lane(zabbix: &Zabbix, memory: &std::path::Path) -> (Box<dyn Lane>, Arc<crate::time::clock::TestClock>) {
    let (seat, clock) = seat();
    (zabbix.lane(&Seat { memory: memory.join("sinks/z"), ..seat }), clock)
}

fn send(lane: &mut dyn Lane, items: &[Item]) -> Result<Vec<Fate>, Trouble> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(lane.send(items))
}

fn is_later(fate: &Fate) -> bool {
    matches!(fate, Fate::Later(_))
}

#[test]
fn one_bad_of_a_hundred_delays_and_repeats_no_other() {
    let (server, memory) = (Server::start(), tempfile::tempdir().unwrap());
    let names: Vec<String> = (0..100).map(|n| format!("s{n}")).collect();
    {
        let mut known = server.known.lock().unwrap();
        known.add("h", "trapline.discovery");
        names.iter().filter(|name| *name != "s37").for_each(|name| known.add_service("h", name));
    }
    let items: Vec<Item> = (0..).zip(&names).map(|(n, name)| item(n, "h", Some(name), "o")).collect();
    let (mut lane, clock) = lane(&server.zabbix(), memory.path());
    let fates = send(&mut *lane, &items).unwrap();
    let later: Vec<usize> = (0..100).filter(|at| fates[*at] != Fate::Taken).collect();
    assert_eq!(later, [37]);
    assert!(is_later(&fates[37]), "{:?}", fates[37]);
    assert!(server.requests() <= 20);
    {
        let known = server.known.lock().unwrap();
        let rows = known.processed.iter().filter(|(_, key, _)| key == "trapline.discovery");
        let rows: Vec<usize> = rows.map(|(_, _, value)| value.matches("{#SERVICE}").count()).collect();
        assert_eq!(rows, [100], "told once, and of all services");
    }
    // With others again it is sent apart from them, and the others once.
    server.known.lock().unwrap().processed.clear();
    let next = [items[37].clone(), item(200, "h", Some("s1"), "o"), item(201, "h", Some("s2"), "o")];
    let fates = send(&mut *lane, &next).unwrap();
    assert!(is_later(&fates[0]) && fates[1..] == [Fate::Taken, Fate::Taken], "{fates:?}");
    let known = server.known.lock().unwrap();
    assert_eq!(known.processed.iter().filter(|(_, key, _)| key.starts_with("trapline.state")).count(), 2);
    drop(known);
    // For as long as `grace` says.
    clock.advance(Duration::from_secs(119));
    assert!(is_later(&send(&mut *lane, &items[37..38]).unwrap()[0]));
    clock.advance(Duration::from_secs(1));
    let fates = send(&mut *lane, &items[37..38]).unwrap();
    let Fate::Dead(reason) = &fates[0] else { panic!("{fates:?}") };
    assert!(reason.as_str().contains("host 'h', key 'trapline.state[\"s37\"]'"), "{reason}");
}

#[test]
fn an_item_that_comes_late_gets_what_waited_for_it() {
    let (server, memory) = (Server::start(), tempfile::tempdir().unwrap());
    server.known.lock().unwrap().add("h", "trapline.discovery");
    let (mut lane, _) = lane(&server.zabbix(), memory.path());
    let items = [item(1, "h", Some("a"), "first")];
    assert!(is_later(&send(&mut *lane, &items).unwrap()[0]));
    server.known.lock().unwrap().add_service("h", "a");
    assert_eq!(send(&mut *lane, &items).unwrap(), [Fate::Taken]);
    let known = server.known.lock().unwrap();
    let values: Vec<&str> = known.processed.iter().map(|(_, _, value)| value.as_str()).collect();
    assert_eq!(values, ["[{\"{#SERVICE}\":\"a\"}]", "[{\"{#SERVICE}\":\"a\"}]", "2", "first"]);
}

#[test]
fn half_an_item_is_not_taken_and_a_host_needs_no_discovery() {
    let (server, memory) = (Server::start(), tempfile::tempdir().unwrap());
    {
        let mut known = server.known.lock().unwrap();
        known.add("h", "trapline.state[\"a\"]");
        known.add_service("h", "b");
    }
    let (mut lane, _) = lane(&server.zabbix(), memory.path());
    let items = [item(1, "h", Some("a"), "o"), item(2, "h", Some("b"), "o"), item(3, "h/x", None, "o")];
    let fates = send(&mut *lane, &items).unwrap();
    assert!(is_later(&fates[0]) && fates[1] == Fate::Taken && matches!(fates[2], Fate::Dead(_)), "{fates:?}");
}

#[test]
fn what_is_no_count_is_about_the_request() {
    let (server, memory) = (Server::start(), tempfile::tempdir().unwrap());
    server.known.lock().unwrap().add_service("h", "a");
    let zabbix = Zabbix { discovery: false, ..server.zabbix() };
    let (mut lane, _) = lane(&zabbix, memory.path());
    let items = [item(1, "h", Some("a"), "o")];
    let mut answered = |answer: &'static str| {
        server.known.lock().unwrap().instead = Some(answer);
        send(&mut *lane, &items)
    };
    assert!(matches!(answered(r#"{"response":"failed","info":"no"}"#), Err(Trouble::Refused(..))));
    assert!(matches!(answered("{}"), Err(Trouble::Unanswered(..))));
    assert!(matches!(answered(""), Err(Trouble::Unanswered(..))), "closed without an answer");
    server.known.lock().unwrap().instead = None;
    assert_eq!(send(&mut *lane, &items).unwrap(), [Fate::Taken]);
}

#[test]
fn the_next_address_is_used_when_one_is_away() {
    let (server, memory) = (Server::start(), tempfile::tempdir().unwrap());
    server.known.lock().unwrap().add_service("h", "a");
    let gone = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let mut zabbix = Zabbix { discovery: false, ..server.zabbix() };
    zabbix.addresses.insert(0, Address { host: "127.0.0.1".into(), port: gone });
    let (mut lane, _) = lane(&zabbix, memory.path());
    assert_eq!(send(&mut *lane, &[item(1, "h", Some("a"), "o")]).unwrap(), [Fate::Taken]);
    zabbix.addresses.pop();
    let (mut lane, _) = self::lane(&zabbix, memory.path());
    let away = send(&mut *lane, &[item(1, "h", Some("a"), "o")]);
    let Err(Trouble::Away(said, _)) = away else { panic!("{away:?}") };
    assert!(said.as_str().starts_with(&format!("cannot connect to Zabbix at 127.0.0.1:{gone}: ")), "{said}");
}

/// A network on which one address is a black hole, or takes connections and never answers.
#[derive(Debug)]
struct Holes {
    hole: &'static str,
    answers: bool,
}

impl Network for Holes {
    fn connect<'a>(&'a self, host: &'a str, port: u16) -> net::Connecting<'a> {
        if host != self.hole {
            return net::Internet.connect(host, port);
        }
        if self.answers {
            let (own, other) = tokio::io::duplex(1 << 16);
            tokio::spawn(async move {
                let _held = other;
                std::future::pending::<()>().await;
            });
            return Box::pin(std::future::ready(Ok(Box::new(own) as Box<dyn Stream>)));
        }
        Box::pin(std::future::pending())
    }
}

/// What takes too long is left for the next address, wherever it hangs: the future that waited for it is gone.
#[test]
fn the_next_address_is_used_when_one_is_a_black_hole() {
    for answers in [false, true] {
        let (server, memory) = (Server::start(), tempfile::tempdir().unwrap());
        server.known.lock().unwrap().add_service("h", "a");
        let mut zabbix = Zabbix { discovery: false, ..server.zabbix() };
        zabbix.addresses.insert(0, Address { host: "hole".into(), port: 10051 });
        let (mut seat, _) = seat();
        seat.memory = memory.path().join("sinks/z");
        seat.network = Arc::new(Holes { hole: "hole", answers });
        let mut lane = zabbix.lane(&seat);
        let items = [item(1, "h", Some("a"), "o")];
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            // Whoever waits may give up at any time.
            tokio::time::pause();
            let waited = tokio::time::timeout(Duration::from_secs(9), lane.send(&items)).await;
            tokio::time::resume();
            assert!(waited.is_err());
            let sent = tokio::time::timeout(Duration::from_secs(5), lane.send(&items)).await;
            assert_eq!(sent.expect("the next address is tried").unwrap(), [Fate::Taken], "{answers}");
        });
    }
}

#[test]
fn the_address_that_has_the_host_is_found() {
    let (first, second) = (Server::start(), Server::start());
    let memory = tempfile::tempdir().unwrap();
    for (server, host) in [(&first, "g"), (&second, "h")] {
        let mut known = server.known.lock().unwrap();
        known.add_service(host, "a");
        known.redirects = true;
    }
    let mut zabbix = Zabbix { discovery: false, ..first.zabbix() };
    zabbix.addresses.extend(second.zabbix().addresses);
    let (mut lane, _) = lane(&zabbix, memory.path());
    let items = [item(1, "h", Some("a"), "o"), item(2, "g", Some("a"), "o"), item(3, "h", Some("a"), "o")];
    assert_eq!(send(&mut *lane, &items).unwrap(), [Fate::Taken, Fate::Taken, Fate::Taken]);
    // A host that no address has is said; together with others it holds them up no longer than `grace`.
    let nobody = [item(4, "x", Some("a"), "o")];
    assert!(matches!(send(&mut *lane, &nobody), Err(Trouble::Refused(..))));
    let mixed = [item(5, "g", Some("a"), "o"), nobody[0].clone()];
    let fates = send(&mut *lane, &mixed).unwrap();
    assert!(fates[0] == Fate::Taken && is_later(&fates[1]), "{fates:?}");
}
