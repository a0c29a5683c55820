use std::io::{ErrorKind, Read, Write};
use std::mem::MaybeUninit;
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpStream, UdpSocket};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tempfile::TempDir;
use tokio::runtime::Runtime;

use super::*;
use crate::files::faulty::{Faults, Faulty};
use crate::intake::admission::admit_waiting;
use crate::intake::bind::bind;
use crate::intake::listener::{Limits, Protocol, Transport};
use crate::intake::shared::Active;
use crate::journal::{Journal, Options, SyncPolicy, WhenFull};
use crate::message::{Notification, NotificationKind, Value, Varbind, Version};
use crate::rules::compile::{RuleFile, compile};
use crate::snmp::encode;
use crate::time::clock::{Clock, Mono, Now, SystemClock};

#[path = "relp_tests.rs"]
mod relp_tests;

/// How long a condition may take to come true, on a loaded machine.
const PATIENCE: Duration = Duration::from_mins(1);

const RULES: &str = "[[rule]]\nid = \"trap\"\ntrap = \"*\"\n[rule.event]\nstate = \"ok\"\noutput = \"{{ v[1] }}\"\n\
                     [[rule]]\nid = \"line\"\nsyslog = {}\n[rule.event]\nstate = \"ok\"\noutput = \"{{ message }}\"\n";

/// What listeners share, with rules in force, on a journal whose disk can be told to fail.
struct Bench {
    shared: Arc<Shared>,
    disk: Faulty,
    runtime: Runtime,
    _dir: TempDir,
}

/// A listener whose workers run.
struct Started {
    serving: Serving,
    threads: Vec<std::thread::JoinHandle<()>>,
}

impl std::ops::Deref for Started {
    type Target = Serving;

    fn deref(&self) -> &Serving {
        &self.serving
    }
}

impl Started {
    fn address(&self) -> Option<SocketAddr> {
        self.at().address()
    }
}

impl std::ops::DerefMut for Started {
    fn deref_mut(&mut self) -> &mut Serving {
        &mut self.serving
    }
}

fn start(bound: Bound, shared: &Arc<Shared>, runtime: &Runtime) -> Started {
    let (serving, workers) = serve(bound, shared).unwrap();
    let mut threads = Vec::new();
    for worker in workers {
        match worker {
            Worker::Thread(run) => threads.push(std::thread::spawn(run)),
            Worker::Task(mut run) => drop(runtime.spawn(run())),
        }
    }
    Started { serving, threads }
}

/// A clock on which 600 ms pass with each look.
#[derive(Debug, Default)]
struct Hasty(AtomicU64);

impl Clock for Hasty {
    fn now(&self) -> Now {
        let looks = self.0.fetch_add(1, Ordering::Relaxed);
        Now { mono: Mono::default() + looks as u32 * Duration::from_millis(600), ..Now::default() }
    }
}

impl Bench {
    fn new() -> Self {
        Self::on(Arc::new(SystemClock))
    }

    fn on(clock: Arc<dyn Clock>) -> Self {
        let dir = TempDir::new().unwrap();
        let disk = Faulty::new(3);
        let options =
            Options { directory: dir.path().to_owned(), max_size: 1 << 30, when_full: WhenFull::DropOldest };
        let (journal, _) = Journal::open_on(Arc::new(disk.clone()), options, 7).unwrap();
        let shared = Arc::new(Shared::new(journal, SyncPolicy::Batch, clock));
        let file = RuleFile { name: "rules.toml".into(), text: RULES.into() };
        let compiled = compile(&[file], Arc::default());
        let rules = compiled.rules.unwrap_or_else(|| panic!("{}", compiled.found.to_text()));
        shared.replace(Active { rules, ..Active::default() });
        admit_waiting(&shared);
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        Bench { shared, disk, runtime, _dir: dir }
    }

    fn serve(&self, protocol: Protocol, transport: &str, limits: Limits) -> Started {
        let transport = Transport::parse(protocol, transport).unwrap();
        let listener = Listener { protocol, transport, limits, optional: false, place: None };
        start(bind(&listener, true).unwrap(), &self.shared, &self.runtime)
    }

    fn refuse(&self, refuse: bool) {
        self.disk.set_faults(Faults { write: refuse.into(), ..Faults::default() });
    }

    /// The outputs in the journal, as they were received.
    fn outputs(&self) -> Vec<String> {
        let (mut reader, mut outputs) = (self.shared.journal.reader(1), Vec::new());
        let mut more = true;
        while more {
            let read = reader.read(1000, |record| {
                outputs.push(record.outcome.common().output.to_string());
                true
            });
            more = read.unwrap() > 0;
        }
        outputs
    }
}

fn listener(protocol: Protocol, transport: &str) -> Listener {
    let transport = Transport::parse(protocol, transport).unwrap();
    Listener { protocol, transport, limits: Limits::default(), optional: false, place: None }
}

fn wait_until(what: &str, mut holds: impl FnMut() -> bool) {
    let until = Instant::now() + PATIENCE;
    while !holds() {
        assert!(Instant::now() < until, "{what}: not within {PATIENCE:?}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// Stops a listener; says how long that took.
fn join(started: Started) -> Duration {
    let begun = Instant::now();
    let Started { serving, threads } = started;
    let (done, ended) = mpsc::channel();
    std::thread::spawn(move || {
        serving.join();
        for thread in threads {
            thread.join().unwrap();
        }
        done.send(()).unwrap();
    });
    ended.recv_timeout(PATIENCE).expect("it stops");
    begun.elapsed()
}

fn notification(kind: NotificationKind, request_id: i32, text: &[u8]) -> Vec<u8> {
    encode::encode(&Notification {
        version: Version::V2c,
        kind,
        community: b"public",
        proxied_community: None,
        security: None,
        request_id,
        oid: "1.3.6.1.6.3.1.1.5.1".parse().unwrap(),
        enterprise: None,
        agent: None,
        generic: None,
        specific: None,
        uptime: Some(1),
        varbinds: vec![Varbind {
            oid: "1.3.6.1.4.1.99999.1".parse().unwrap(),
            value: Value::OctetString(text),
        }],
    })
}

#[test]
fn a_listener_that_waits_is_stopped_at_once() {
    let bench = Bench::new();
    let is_free = || {
        let limits = Limits { receivers: 3, ..Limits::default() };
        let datagrams = bench.serve(Protocol::Snmp, "127.0.0.1:0", limits);
        let streams = bench.serve(Protocol::Syslog, "tcp://127.0.0.1:0", Limits::default());
        let again = (datagrams.address().unwrap(), streams.address().unwrap());
        // Both wait for input by now, or are about to.
        std::thread::yield_now();
        for took in [join(datagrams), join(streams)] {
            assert!(took < PATIENCE / 4, "{took:?}");
        }
        UdpSocket::bind(again.0).is_ok() && std::net::TcpListener::bind(again.1).is_ok()
    };
    // Another test may get a port that has just become free, but not every time.
    assert!((0..10).any(|_| is_free()), "sockets are closed");
}

#[test]
fn a_listener_stops_before_there_are_rules() {
    let bench = Bench::new();
    let shared =
        Arc::new(Shared::new(bench.shared.journal.clone(), SyncPolicy::Batch, Arc::new(SystemClock)));
    let begin = |transport| {
        start(bind(&listener(Protocol::Syslog, transport), true).unwrap(), &shared, &bench.runtime)
    };
    join(begin("udp://127.0.0.1:0"));
    join(begin("tcp://127.0.0.1:0"));
}

#[test]
fn datagrams_that_wait_in_the_socket_are_taken_when_it_stops() {
    let bench = Bench::new();
    let bound = bind(&listener(Protocol::Syslog, "127.0.0.1:0"), true).unwrap();
    let client = UdpSocket::bind("127.0.0.1:0").unwrap();
    for n in 0..1000 {
        client.send_to(format!("<13>t: {n}").as_bytes(), bound.address().unwrap()).unwrap();
    }
    join(start(bound, &bench.shared, &bench.runtime));
    let expected: Vec<String> = (0..1000).map(|n| n.to_string()).collect();
    assert!(bench.outputs() == expected);
}

/// However little time there is, each datagram that the socket held is processed, now or by the next start.
#[test]
fn what_a_stop_has_no_time_for_is_kept_for_the_next_start() {
    let bench = Bench::on(Arc::new(Hasty::default()));
    let bound = bind(&listener(Protocol::Syslog, "127.0.0.1:0"), true).unwrap();
    let client = UdpSocket::bind("127.0.0.1:0").unwrap();
    for n in 0..400 {
        client.send_to(format!("<13>t: {n}").as_bytes(), bound.address().unwrap()).unwrap();
    }
    let (serving, workers) = serve(bound, &bench.shared).unwrap();
    serving.stop();
    for worker in workers {
        let Worker::Thread(mut run) = worker else { panic!("datagrams have a thread") };
        run();
    }
    let processed = bench.outputs().len();
    assert!(processed < 400, "the clock is too slow");
    admit_waiting(&bench.shared);
    let expected: Vec<String> = (0..400).map(|n| n.to_string()).collect();
    assert!(bench.outputs() == expected, "{processed} were processed before the stop");
}

#[test]
fn large_datagrams_arrive_whole_and_informs_are_answered() {
    let bench = Bench::new();
    let serving = bench.serve(Protocol::Snmp, "127.0.0.1:0", Limits::default());
    let client = UdpSocket::bind("127.0.0.1:0").unwrap();
    client.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut answer = vec![0; 70_000];
    for (request_id, size) in [(1, 100), (2, 2049), (3, 2100), (4, 65_000)] {
        let text = vec![b'x'; size];
        let mut packet = notification(NotificationKind::Inform, request_id, &text);
        assert!(packet.len() > size && packet.len() <= 65_507);
        client.send_to(&packet, serving.address().unwrap()).unwrap();
        let length = client.recv(&mut answer).unwrap();
        // The same message as a Response.
        let pdu = packet.iter().position(|octet| *octet == 0xa6).unwrap();
        packet[pdu] = 0xa2;
        assert!(answer[..length] == packet, "{size}");
    }
    join(serving);
    assert_eq!(bench.shared.stats.informs_answered.get(), 4);
    assert_eq!(bench.outputs()[1].len(), 2049);
}

#[test]
fn every_source_has_one_receiver_and_keeps_its_order() {
    const SOURCES: u8 = 40;
    for address in ["127.0.0.1:0", "0.0.0.0:0"] {
        let bench = Bench::new();
        let transport = Transport::parse(Protocol::Syslog, address).unwrap();
        let limits = Limits { receivers: 4, ..Limits::default() };
        let listener =
            Listener { protocol: Protocol::Syslog, transport, limits, optional: false, place: None };
        let bound = bind(&listener, true).unwrap();
        let to = SocketAddr::from((Ipv4Addr::LOCALHOST, bound.address().unwrap().port()));
        // Each source sends from many ports, as a host does whose processes log.
        let send = |first: u32| {
            for n in first..first + 20 {
                for source in 1..=SOURCES {
                    let socket = UdpSocket::bind((Ipv4Addr::new(127, 0, 1, source), 0)).unwrap();
                    socket.send_to(format!("<13>t: {source} {n}").as_bytes(), to).unwrap();
                }
            }
        };
        send(0);
        let Sockets::Datagrams(sockets) = &bound.sockets else { panic!("datagrams") };
        let waiting: Vec<bool> = sockets
            .iter()
            .map(|socket| {
                socket.socket.set_nonblocking(true).unwrap();
                let found = socket.socket.peek(&mut [MaybeUninit::uninit(); 100]).is_ok();
                socket.socket.set_nonblocking(false).unwrap();
                found
            })
            .collect();
        assert_eq!(waiting, [true; 4], "all share the work");
        let serving = start(bound, &bench.shared, &bench.runtime);
        send(20);
        let total = usize::from(SOURCES) * 40;
        wait_until("all are taken", || bench.shared.stats.syslog_received.get() == total as u64);
        join(serving);
        let outputs = bench.outputs();
        for source in 1..=SOURCES {
            let start = format!("{source} ");
            let of_source: Vec<&str> =
                outputs.iter().filter_map(|output| output.strip_prefix(&start)).collect();
            assert_eq!(of_source, (0..40).map(|n| n.to_string()).collect::<Vec<_>>(), "{source}");
        }
    }
}

#[test]
fn each_source_reaches_the_same_socket_from_any_port() {
    let transport = |text| Transport::parse(Protocol::Syslog, text).unwrap();
    for (text, sources) in [("127.0.0.1:0", 30), ("[::1]:0", 1)] {
        let limits = Limits { receivers: 3, ..Limits::default() };
        let listener = Listener {
            protocol: Protocol::Syslog,
            transport: transport(text),
            limits,
            optional: false,
            place: None,
        };
        let bound = bind(&listener, true).unwrap();
        let Sockets::Datagrams(sockets) = &bound.sockets else { panic!("datagrams") };
        for socket in sockets {
            socket.socket.set_nonblocking(true).unwrap();
        }
        for source in 1..=sources {
            for _ in 0..20 {
                let from = if listener.transport.address().unwrap().is_ipv6() {
                    "[::1]:0".parse().unwrap()
                } else {
                    SocketAddr::from((Ipv4Addr::new(127, 0, 0, source), 0))
                };
                UdpSocket::bind(from).unwrap().send_to(b"x", bound.address().unwrap()).unwrap();
            }
            let counts: Vec<usize> = sockets
                .iter()
                .map(|socket| {
                    std::iter::from_fn(|| socket.socket.recv(&mut [MaybeUninit::uninit(); 10]).ok()).count()
                })
                .collect();
            assert!(counts.contains(&20), "{counts:?}");
        }
    }
}

#[test]
fn receivers_do_not_share_a_port_that_is_in_use() {
    let limits = Limits { receivers: 2, ..Limits::default() };
    let listener = |address: SocketAddr| Listener {
        protocol: Protocol::Snmp,
        transport: Transport::Udp(address),
        limits,
        optional: false,
        place: None,
    };
    let first = bind(&listener("127.0.0.1:0".parse().unwrap()), true).unwrap();
    let error = bind(&listener(first.address().unwrap()), true).unwrap_err();
    assert_eq!(error.error.kind(), ErrorKind::AddrInUse);
    assert!(error.to_string().contains("ss -lnp"), "{error}");
}

#[test]
fn a_stream_is_read_to_its_end_when_its_listener_stops() {
    let bench = Bench::new();
    let serving = bench.serve(Protocol::Syslog, "tcp://127.0.0.1:0", Limits::default());
    let mut client = TcpStream::connect(serving.address().unwrap()).unwrap();
    client.write_all(b"<13>t: before\n").unwrap();
    wait_until("the first line is there", || bench.shared.stats.syslog_received.get() == 1);
    serving.stop();
    // The sender learns of it, and still sends what it has.
    client.set_read_timeout(Some(PATIENCE)).unwrap();
    assert_eq!(client.read(&mut [0; 1]).unwrap(), 0);
    client.write_all(b"<13>t: on its way\n<13>t: the last").unwrap();
    client.shutdown(Shutdown::Write).unwrap();
    join(serving);
    assert_eq!(bench.outputs(), ["before", "on its way", "the last"]);
}

#[test]
fn half_a_line_of_a_stream_that_goes_on_is_no_message() {
    let bench = Bench::new();
    let serving = bench.serve(Protocol::Syslog, "tcp://127.0.0.1:0", Limits::default());
    let mut client = TcpStream::connect(serving.address().unwrap()).unwrap();
    client.write_all(b"<13>t: whole\n<13>t: refused connect from evil.exam").unwrap();
    wait_until("the whole line is there", || bench.shared.stats.syslog_received.get() == 1);
    let took = join(serving);
    assert!(took < PATIENCE / 4, "{took:?}");
    assert_eq!(bench.outputs(), ["whole"]);
    assert_eq!(bench.shared.stats.unfinished.get(), 1);
    drop(client);
}

#[test]
fn a_sender_is_held_back_while_the_journal_refuses_and_loses_nothing() {
    let bench = Bench::new();
    let serving = bench.serve(Protocol::Syslog, "tcp://127.0.0.1:0", Limits::default());
    let address = serving.address().unwrap();
    bench.refuse(true);
    let mut client = TcpStream::connect(address).unwrap();
    client.set_write_timeout(Some(Duration::from_millis(500))).unwrap();
    let mut sent = Vec::new();
    // Until the buffers between are full: the daemon does not read. A write may end within a line.
    let mut open = Vec::new();
    loop {
        let line = format!("<13>t: {} {}\n", sent.len(), "x".repeat(1000));
        open.extend(line.bytes());
        match client.write(&open) {
            Ok(count) => {
                open.drain(..count);
                sent.push(line);
            }
            Err(error) => {
                assert!(matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut), "{error}");
                sent.push(line);
                break;
            }
        }
        assert!(sent.len() < 1_000_000, "nothing holds the sender back");
    }
    assert!(bench.shared.refusing());
    assert_eq!(bench.outputs(), [""; 0]);
    bench.refuse(false);
    client.set_write_timeout(Some(PATIENCE)).unwrap();
    client.write_all(&open).unwrap();
    drop(client);
    wait_until("all lines are there", || bench.shared.stats.outcomes.get() == sent.len() as u64);
    join(serving);
    let outputs = bench.outputs();
    assert!(outputs.iter().zip(&sent).all(|(output, line)| line.contains(output.as_str())));
    assert_eq!((outputs.len(), bench.shared.stats.outcomes_lost.get()), (sent.len(), 0));
}

#[test]
fn streams_beyond_the_limit_are_refused_and_the_limit_can_be_raised() {
    let bench = Bench::new();
    let limits = Limits { max_connections: 1, ..Limits::default() };
    let mut serving = bench.serve(Protocol::Syslog, "tcp://127.0.0.1:0", limits);
    let mut first = TcpStream::connect(serving.address().unwrap()).unwrap();
    first.write_all(b"<13>t: a\n").unwrap();
    wait_until("it is served", || bench.shared.stats.syslog_received.get() == 1);
    let mut second = TcpStream::connect(serving.address().unwrap()).unwrap();
    second.set_read_timeout(Some(PATIENCE)).unwrap();
    assert_eq!(second.read(&mut [0; 1]).unwrap_or(0), 0, "it is closed");
    assert_eq!(bench.shared.stats.streams_refused.get(), 1);
    let raised = Listener { limits: Limits { max_connections: 2, ..limits }, ..serving.listener().clone() };
    assert_eq!(serving.adjust(&raised), [""; 0]);
    let mut third = TcpStream::connect(serving.address().unwrap()).unwrap();
    third.write_all(b"<13>t: b\n").unwrap();
    wait_until("the new limit holds", || bench.shared.stats.syslog_received.get() == 2);
    first.write_all(b"<13>t: c\n").unwrap();
    wait_until("and the first goes on", || bench.shared.stats.syslog_received.get() == 3);
}

#[test]
fn limits_change_while_datagrams_are_received() {
    let bench = Bench::new();
    let mut serving = bench.serve(Protocol::Syslog, "127.0.0.1:0", Limits::default());
    let limits = Limits {
        latency: Duration::ZERO,
        receive_buffer: 1 << 20,
        receivers: 4,
        ..serving.listener().limits
    };
    let other = Listener { limits, ..serving.listener().clone() };
    assert_eq!(serving.adjust(&other), ["receivers"]);
    assert_eq!(serving.listener().limits, Limits { receivers: 1, ..limits });
    let Work::Datagrams(threads) = &serving.work else { panic!("datagrams") };
    assert!((1 << 20..4 << 20).contains(&threads[0].socket.buffer()));
    let client = UdpSocket::bind("127.0.0.1:0").unwrap();
    client.send_to(b"<13>t: a", serving.address().unwrap()).unwrap();
    wait_until("it goes on", || bench.shared.stats.outcomes.get() == 1);
}

#[test]
fn the_watchdog_sees_only_listeners_that_work() {
    let bench = Bench::new();
    let serving = bench.serve(Protocol::Syslog, "127.0.0.1:0", Limits::default());
    let client = UdpSocket::bind("127.0.0.1:0").unwrap();
    client.send_to(b"<13>t: a", serving.address().unwrap()).unwrap();
    wait_until("it is taken", || bench.shared.stats.outcomes.get() == 1);
    let later = || bench.shared.now().mono + Duration::from_hours(1);
    wait_until("it rests", || bench.shared.slowest(later()) == Duration::ZERO);
    let beat = bench.shared.beat();
    beat.work(bench.shared.now().mono);
    assert!(bench.shared.slowest(later()) > Duration::from_mins(59));
    drop(beat);
    assert_eq!(bench.shared.slowest(later()), Duration::ZERO, "a listener that is gone is not stuck");
}

/// Whether something takes less than this in one of a few tries: a loaded machine delays anything now and then.
fn within(limit: Duration, mut what: impl FnMut() -> Duration) -> bool {
    (0..5).any(|_| what() < limit)
}

#[test]
fn a_lone_message_and_informs_are_not_delayed() {
    let bench = Bench::new();
    let latency = Duration::from_millis(500);
    let serving = bench.serve(Protocol::Snmp, "127.0.0.1:0", Limits { latency, ..Limits::default() });
    let client = UdpSocket::bind("127.0.0.1:0").unwrap();
    client.connect(serving.address().unwrap()).unwrap();
    client.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut request_id = 0;
    let mut ask = || {
        request_id += 1;
        let start = Instant::now();
        client.send(&notification(NotificationKind::Inform, request_id, b"x")).unwrap();
        client.recv(&mut [0; 1000]).unwrap();
        start.elapsed()
    };
    assert!(within(latency / 2, &mut ask), "the first");
    for n in 0..10 {
        assert!(within(latency / 2, &mut ask), "inform {n} after the one before");
    }
    let trap = notification(NotificationKind::Trap, 0, b"x");
    let stats = &bench.shared.stats;
    let alone = || {
        // Longer than messages are apart that follow each other.
        std::thread::sleep(latency * 5);
        let (start, before) = (Instant::now(), stats.outcomes.get());
        client.send(&trap).unwrap();
        wait_until("it is there", || stats.outcomes.get() > before);
        start.elapsed()
    };
    assert!(within(latency / 2, alone), "a lone trap");
}

#[test]
fn messages_of_a_stream_share_wake_ups() {
    let bench = Bench::new();
    let latency = Duration::from_millis(200);
    let serving = bench.serve(Protocol::Syslog, "127.0.0.1:0", Limits { latency, ..Limits::default() });
    let client = UdpSocket::bind("127.0.0.1:0").unwrap();
    for n in 0..100 {
        client.send_to(format!("<13>t: {n}").as_bytes(), serving.address().unwrap()).unwrap();
        std::thread::sleep(Duration::from_millis(5));
    }
    join(serving);
    // A batch has one time.
    let mut times = std::collections::BTreeSet::new();
    let mut count = 0;
    let mut reader = bench.shared.journal.reader(1);
    while count < 100 {
        let read = reader.read(1000, |record| {
            times.insert(record.outcome.common().time);
            true
        });
        count += read.unwrap();
    }
    assert!(times.len() < 20, "{} batches of 100 messages", times.len());
}

#[test]
fn streams_of_both_families_share_a_port() {
    let listener = |address: SocketAddr| Listener {
        protocol: Protocol::Syslog,
        transport: Transport::Tcp(address),
        limits: Limits::default(),
        optional: false,
        place: None,
    };
    let v4 = bind(&listener((Ipv4Addr::UNSPECIFIED, 0).into()), false).unwrap();
    let v6 = listener((std::net::Ipv6Addr::UNSPECIFIED, v4.address().unwrap().port()).into());
    assert!(bind(&v6, false).is_err(), "it is for IPv4 too");
    assert!(
        v6.is_v6_only(&[v6.clone(), listener(v4.address().unwrap())])
            && !v6.is_v6_only(std::slice::from_ref(&v6))
    );
    let v6 = bind(&v6, true).unwrap();
    let both: SocketAddr = (std::net::Ipv6Addr::UNSPECIFIED, 0).into();
    let both = bind(&listener(both), false).unwrap();
    TcpStream::connect((Ipv4Addr::LOCALHOST, both.address().unwrap().port())).unwrap();
    TcpStream::connect((Ipv4Addr::LOCALHOST, v6.address().unwrap().port())).unwrap();
    TcpStream::connect((std::net::Ipv6Addr::LOCALHOST, v6.address().unwrap().port())).unwrap();
}
