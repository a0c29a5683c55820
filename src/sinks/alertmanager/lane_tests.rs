//! A stand-in that keeps which alerts are open, by their labels, as Alertmanager does.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::sync::Mutex;

use serde_json::Value as Json;

use super::super::alert::Encoder;
use super::*;
use crate::outcome::codec;
use crate::outcome::result::{Outcome, State};
use crate::settings::url::Target;
use crate::sinks::fields::Template;
use crate::sinks::testing::{check, item, seat};
use crate::time::clock::{TestClock, Wall};

const START: i64 = 1_700_000_000_000_000;

#[derive(Default)]
struct Known {
    /// Labels, with the end.
    alerts: BTreeMap<String, String>,
    requests: usize,
    /// The status that it answers in place of taking alerts, and the body.
    instead: Option<(u16, &'static str)>,
    /// An alert that it does not take, with its name, and what it answers then.
    poison: Option<(&'static str, u16, &'static str)>,
}

struct Standin {
    target: Target,
    known: Arc<Mutex<Known>>,
}

impl Standin {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let target = Target::parse(&format!("http://{}", listener.local_addr().unwrap())).unwrap();
        let known = Arc::new(Mutex::new(Known::default()));
        let shared = known.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let (stream, shared) = (stream.unwrap(), shared.clone());
                std::thread::spawn(move || serve(stream, &shared));
            }
        });
        Standin { target, known }
    }

    fn server(&self) -> Server {
        let headers = hyper::HeaderMap::new();
        Server { target: self.target.clone(), tls: None, login: None, headers, connections: 1 }
    }

    fn answer(&self, instead: Option<(u16, &'static str)>) {
        self.known.lock().unwrap().instead = instead;
    }

    /// The alerts that are open at a time in seconds after the start, as "NAME SEVERITY".
    fn open(&self, seconds: i64) -> Vec<String> {
        let now = crate::time::clock::rfc3339(START + seconds * 1_000_000);
        let known = self.known.lock().unwrap();
        let open = known.alerts.iter().filter(|(_, ends)| ends.as_str() > now.as_str());
        let labels = open.map(|(labels, _)| serde_json::from_str::<Json>(labels).unwrap());
        let shown = labels.map(|labels| {
            let text = |name: &str| labels[name].as_str().unwrap().to_owned();
            format!("{} {}", text("alertname"), text("severity"))
        });
        shown.collect()
    }

    /// How many requests it got since this was last asked.
    fn requests(&self) -> usize {
        std::mem::take(&mut self.known.lock().unwrap().requests)
    }
}

fn serve(mut stream: TcpStream, known: &Mutex<Known>) {
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    loop {
        let (mut first, mut length) = (String::new(), 0);
        if reader.read_line(&mut first).unwrap_or(0) == 0 {
            return;
        }
        assert_eq!(first.trim(), "POST /api/v2/alerts HTTP/1.1");
        loop {
            let mut line = String::new();
            reader.read_line(&mut line).unwrap();
            match line.trim().split_once(": ") {
                Some(("content-length", value)) => length = value.parse().unwrap(),
                Some(_) => {}
                None => break,
            }
        }
        let mut body = vec![0; length];
        reader.read_exact(&mut body).unwrap();
        let mut known = known.lock().unwrap();
        known.requests += 1;
        let alerts = serde_json::from_slice::<Vec<Json>>(&body).unwrap();
        let is = |name: &str| alerts.iter().any(|alert| alert["labels"]["alertname"] == name);
        let poison = known.poison.filter(|(name, ..)| is(name)).map(|(_, status, text)| (status, text));
        let (status, text) = known.instead.or(poison).unwrap_or((200, ""));
        if status == 200 {
            for alert in alerts {
                let ends = alert["endsAt"].as_str().unwrap().to_owned();
                known.alerts.insert(alert["labels"].to_string(), ends);
            }
        }
        drop(known);
        let length = text.len();
        write!(stream, "HTTP/1.1 {status} x\r\ncontent-length: {length}\r\n\r\n{text}").unwrap();
    }
}

struct Bench {
    lane: Box<dyn Lane>,
    clock: Arc<TestClock>,
    runtime: tokio::runtime::Runtime,
    sink: Alertmanager,
    memory: std::path::PathBuf,
}

impl Bench {
    fn new(servers: Vec<Server>, journal: &Path) -> Self {
        let labels = vec![("team".to_owned(), Template::new("net", str::to_owned).value.unwrap())];
        let api = Alerts { encoder: Encoder { labels, annotations: vec![] } };
        let (resend, expire) = (Duration::from_mins(1), Duration::from_hours(24));
        let sink = Alertmanager { servers, api, resend, expire };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let now = Now { wall: Wall::from_micros(START), mono: Mono::default() };
        let (lane, clock, memory) =
            (Box::new(Nothing), Arc::new(TestClock::at(now)), journal.join("sinks/a"));
        let mut bench = Bench { lane, clock, runtime, sink, memory };
        bench.restart();
        bench
    }

    fn restart(&mut self) {
        let seat = Seat { memory: self.memory.clone(), clock: self.clock.clone(), ..seat().0 };
        self.lane = self.sink.lane(&seat);
    }

    fn send(&mut self, items: &[Item]) -> Result<Vec<Fate>, Trouble> {
        self.runtime.block_on(self.lane.send(items))
    }

    /// Does what the lane wants to do by now; false if that is nothing.
    fn own(&mut self) -> Result<bool, Trouble> {
        let now = self.clock.now();
        if self.lane.wants().is_none_or(|due| due > now.mono) {
            return Ok(false);
        }
        self.runtime.block_on(self.lane.own(now)).map(|()| true)
    }

    fn seconds(&self, seconds: u64) {
        self.clock.advance(Duration::from_secs(seconds));
    }
}

struct Nothing;

impl Lane for Nothing {
    fn send<'a>(&'a mut self, _items: &'a [Item]) -> Sending<'a> {
        unreachable!("it is replaced at once")
    }
}

fn result(number: u64, service: &str, state: State) -> Item {
    let mut check = check("h", Some(service), "o");
    check.common.state = state;
    let mut payload = Vec::new();
    codec::encode(&Outcome::CheckResult(check), &mut payload);
    Item { payload: payload.into(), ..item(number, "h", Some(service), "o") }
}

#[test]
fn an_alert_is_open_until_it_is_ended_whatever_restarts() {
    let (server, journal) = (Standin::start(), tempfile::tempdir().unwrap());
    let mut bench = Bench::new(vec![server.server()], journal.path());
    assert_eq!((bench.own(), server.requests()), (Ok(true), 0), "nothing is open");
    assert_eq!(bench.lane.wants(), None);
    let taken = [Fate::Taken, Fate::Taken];
    let items = [result(1, "a", State::Critical), result(2, "b", State::Ok)];
    assert_eq!(bench.send(&items).unwrap(), taken);
    assert_eq!((server.open(1), server.requests()), (vec!["a critical".to_owned()], 1));
    assert_eq!(server.open(241), [] as [&str; 0], "not sent again it ends");
    bench.seconds(60);
    assert_eq!(bench.own(), Ok(true));
    assert_eq!(server.open(299), ["a critical"]);
    // The server has forgotten it, and then this process was killed.
    server.known.lock().unwrap().alerts.clear();
    bench.restart();
    assert_eq!(bench.own(), Ok(true));
    assert_eq!((server.open(61), server.requests()), (vec!["a critical".to_owned()], 2));
    // What is sent again after a crash changes nothing.
    assert_eq!(bench.send(&[items[0].clone()]).unwrap(), [Fate::Taken]);
    assert_eq!(server.requests(), 0);
    // Other labels are another alert.
    assert_eq!(bench.send(&[result(3, "a", State::Warning)]).unwrap(), [Fate::Taken]);
    assert_eq!(server.open(61), ["a warning"]);
    assert!(matches!(bench.send(&[items[0].clone()]).unwrap()[..], [Fate::Stale(_)]));
    assert_eq!(bench.send(&[result(4, "a", State::Ok)]).unwrap(), [Fate::Taken]);
    assert_eq!(server.open(61), [] as [&str; 0]);
    // Its end is sent again for a while.
    server.known.lock().unwrap().alerts.clear();
    bench.seconds(60);
    assert_eq!(bench.own(), Ok(true));
    assert_eq!(server.known.lock().unwrap().alerts.len(), 2);
    bench.seconds(900);
    assert_eq!((bench.own(), bench.lane.wants()), (Ok(true), None));
}

#[test]
fn each_member_of_a_cluster_is_told_and_one_is_enough() {
    let (a, b, journal) = (Standin::start(), Standin::start(), tempfile::tempdir().unwrap());
    let mut bench = Bench::new(vec![a.server(), b.server()], journal.path());
    a.answer(Some((503, "")));
    assert_eq!(bench.send(&[result(1, "a", State::Critical)]).unwrap(), [Fate::Taken]);
    assert_eq!((a.requests(), b.requests()), (1, 1));
    assert_eq!(bench.send(&[result(2, "b", State::Down)]).unwrap(), [Fate::Taken]);
    assert_eq!((a.requests(), b.requests()), (0, 1), "who is away does not delay others");
    a.answer(None);
    assert_eq!((a.open(1), b.open(1)), (vec![], vec!["a critical".to_owned(), "b down".to_owned()]));
    assert_eq!(bench.own(), Ok(true));
    assert_eq!(a.open(1), b.open(1));
    assert_eq!(bench.send(&[result(3, "b", State::Up)]).unwrap(), [Fate::Taken]);
    assert_eq!((a.open(1), b.open(1)), (vec!["a critical".to_owned()], vec!["a critical".to_owned()]));
    // Nobody is there.
    for server in [&a, &b] {
        server.answer(Some((503, "")));
    }
    assert!(matches!(bench.send(&[result(4, "a", State::Ok)]), Err(Trouble::Busy(..))));
    bench.seconds(60);
    assert!(matches!(bench.own(), Err(Trouble::Busy(..))));
    assert!(bench.lane.wants().is_some_and(|due| due <= bench.clock.now().mono), "it is tried again");
    b.answer(None);
    assert_eq!(bench.own(), Ok(true));
    assert_eq!(bench.send(&[result(4, "a", State::Ok)]).unwrap(), [Fate::Taken]);
    assert_eq!(b.open(61), [] as [&str; 0]);
}

#[test]
fn one_that_is_refused_is_found() {
    let (server, journal) = (Standin::start(), tempfile::tempdir().unwrap());
    let mut bench = Bench::new(vec![server.server()], journal.path());
    server.answer(Some((400, "\"invalid label set\"")));
    let items = [result(1, "a", State::Critical), result(2, "b", State::Critical)];
    assert!(matches!(bench.send(&items), Err(Trouble::Halve(_))));
    let fates = bench.send(&items[..1]).unwrap();
    let [Fate::Dead(reason)] = &fates[..] else { panic!("{fates:?}") };
    assert!(reason.as_str().ends_with("answered 400 Bad Request: alerts: invalid label set"), "{reason}");
    // It is not open, so it is not sent again.
    server.answer(None);
    bench.restart();
    assert_eq!((bench.own(), bench.lane.wants()), (Ok(true), None));
    assert_eq!(server.open(1), [] as [&str; 0]);
}

#[test]
fn one_that_is_refused_again_costs_no_other_its_alert() {
    let (server, journal) = (Standin::start(), tempfile::tempdir().unwrap());
    let mut bench = Bench::new(vec![server.server()], journal.path());
    let names: Vec<String> = (0..70).map(|n| format!("s{n:02}")).collect();
    for (n, name) in (1..).zip(&names) {
        assert_eq!(bench.send(&[result(n, name, State::Critical)]).unwrap(), [Fate::Taken]);
    }
    bench.seconds(60);
    server.known.lock().unwrap().poison = Some(("s33", 400, "\"invalid label set\""));
    assert_eq!(bench.own(), Ok(true));
    let open = server.open(299);
    assert_eq!(open.len(), 69, "{open:?}");
    // What has no end is not asked for one by one.
    server.known.lock().unwrap().poison = None;
    server.answer(Some((500, "\"disk\"")));
    bench.seconds(60);
    server.requests();
    assert!(matches!(bench.own(), Err(Trouble::Busy(..))));
    assert!(server.requests() < 20);
}

#[test]
fn steps_of_the_wall_clock_end_no_alert_and_open_none_again() {
    for step in [-3600, -150, 150, 3600] {
        let (server, journal) = (Standin::start(), tempfile::tempdir().unwrap());
        let mut bench = Bench::new(vec![server.server()], journal.path());
        bench.sink.expire = Duration::from_mins(30);
        bench.restart();
        assert_eq!(bench.own(), Ok(true));
        assert_eq!(bench.send(&[result(1, "a", State::Critical)]).unwrap(), [Fate::Taken]);
        assert_eq!(bench.send(&[result(2, "b", State::Critical)]).unwrap(), [Fate::Taken]);
        assert_eq!(bench.send(&[result(3, "b", State::Ok)]).unwrap(), [Fate::Taken]);
        bench.clock.step(step * 1_000_000);
        bench.seconds(60);
        assert_eq!(bench.own(), Ok(true));
        assert_eq!(server.open(step + 61), ["a critical"], "{step}");
        bench.seconds(29 * 60);
        assert_eq!(bench.own(), Ok(true));
        assert_eq!(server.open(step + 30 * 60 + 1), [] as [&str; 0], "{step}: it has expired");
    }
}

/// Lines of a log.
#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl std::io::Write for Lines {
    fn write(&mut self, text: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().write(text)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[test]
fn the_oldest_of_too_many_is_given_up() {
    let (server, journal) = (Standin::start(), tempfile::tempdir().unwrap());
    let bench = Bench::new(vec![server.server()], journal.path());
    let seat = Seat { memory: bench.memory.clone(), clock: bench.clock.clone(), ..seat().0 };
    let mut lane = AlertLane {
        api: bench.sink.api.clone(),
        resend: bench.sink.resend,
        expire: bench.sink.expire,
        members: vec![],
        clock: seat.clock.clone(),
        memory: Memory::new(seat.name, seat.memory),
        ages: HashMap::new(),
        surplus: 0,
        next: None,
    };
    let alert = Alert { labels: BTreeMap::new(), annotations: BTreeMap::new(), starts: 0, ends: None };
    let lines = Lines::default();
    let written = lines.clone();
    let subscriber = tracing_subscriber::fmt().with_writer(move || written.clone()).finish();
    tracing::subscriber::with_default(subscriber, || {
        for n in 0..MOST as i64 + 100 {
            let told = if n < MOST as i64 { (n + 5000) % 10_000 } else { n };
            let problem = Problem { told, open: Some(alert.clone()), ..Problem::default() };
            lane.remember(&n.to_string(), problem, Now::default());
        }
    });
    let known = lane.memory.values();
    assert_eq!(known.len(), MOST);
    assert!((5000..5100).all(|n| !known.contains_key(&n.to_string())) && known.contains_key("5100"));
    // Of a flood a few lines say so.
    let text = String::from_utf8(lines.0.lock().unwrap().clone()).unwrap();
    let told = text.lines().filter(|line| line.contains("alerts are open")).count();
    assert_eq!(told, 7, "at 1, 2, 4 and so on to 64: {text}");
}
