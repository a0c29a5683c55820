use std::net::{Ipv4Addr, SocketAddr};
use std::sync::mpsc::Receiver;

use socket2::{Domain, Socket, Type};
use tempfile::TempDir;
use tokio::io::AsyncReadExt as _;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::ClientConfig;
use tokio_rustls::rustls::pki_types::CertificateDer;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;

use super::*;
use crate::inbound::places::Limits;
use crate::intake::admission::admit_waiting;
use crate::intake::shared::Active;
use crate::journal::{Journal, Options, SyncPolicy, WhenFull};
use crate::rules::compile::{RuleFile, compile};
use crate::settings::tls_server::Server;
use crate::time::clock::SystemClock;

const RULES: &str =
    "[[rule]]\nid = \"line\"\nsyslog = {}\n[rule.event]\nstate = \"ok\"\noutput = \"{{ message }}\"\n";

/// A listener for syslog on a clock that goes on as soon as nobody has anything to do.
struct Bench {
    shared: Arc<Shared>,
    stop: Arc<Stop>,
    address: SocketAddr,
    ended: Receiver<()>,
    _dir: TempDir,
}

impl Bench {
    async fn new(limits: Limits) -> Self {
        Self::with(limits, None).await
    }

    /// One that speaks TLS, if there is a server.
    async fn with(limits: Limits, tls: Option<Arc<Server>>) -> Self {
        Self::speaking(Speech::Syslog, limits, tls).await
    }

    async fn speaking(speech: Speech, limits: Limits, tls: Option<Arc<Server>>) -> Self {
        let secure = tls.is_some();
        let dir = TempDir::new().unwrap();
        let options =
            Options { directory: dir.path().to_owned(), max_size: 1 << 20, when_full: WhenFull::DropOldest };
        let (journal, _) = Journal::open(options, 7).unwrap();
        let shared = Arc::new(Shared::new(journal, SyncPolicy::Never, Arc::new(SystemClock)));
        let file = RuleFile { name: "rules.toml".into(), text: RULES.into() };
        shared.replace(Active {
            rules: compile(&[file], Arc::default()).rules.unwrap(),
            tls,
            ..Active::default()
        });
        admit_waiting(&shared);
        let listener = TcpListener::bind((Ipv4Addr::UNSPECIFIED, 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let stop = Arc::new(Stop::new().unwrap());
        let (running, ended) = mpsc::channel();
        let places = Places::new(limits);
        let at = if secure { Transport::Tls(address) } else { Transport::Tcp(address) };
        let streams =
            Streams::new((speech, Arc::new(at)), "test", shared.clone(), places, stop.clone(), running);
        tokio::spawn(streams.run(Incoming::Network(listener)));
        Bench { shared, stop, address, ended, _dir: dir }
    }

    /// A stream of this client.
    fn connect(&self, client: u8) -> TcpStream {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        socket.bind(&SocketAddr::from(([127, 0, 0, client], 0)).into()).unwrap();
        socket.connect(&SocketAddr::from(([127, 0, 0, 1], self.address.port())).into()).unwrap();
        socket.set_nonblocking(true).unwrap();
        TcpStream::from_std(socket.into()).unwrap()
    }

    fn count(&self, counter: impl Fn(&Shared) -> u64) -> u64 {
        counter(&self.shared)
    }

    async fn end(self) {
        self.stop.tell();
        while self.ended.try_recv() != Err(mpsc::TryRecvError::Disconnected) {
            sleep(Duration::from_millis(10)).await;
        }
    }
}

/// Whether the other side closes the stream, without a word, as long as nobody else does.
async fn closes(stream: &mut TcpStream) -> bool {
    // A reset is an end as well.
    timeout(Duration::from_hours(48), stream.read(&mut [0])).await.is_ok_and(|read| read.unwrap_or(0) == 0)
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_brings_nothing_is_closed_and_one_that_brings_something_is_kept_as_long_as_configured()
{
    let bench = Bench::new(Limits { total: 10, per_address: 10 }).await;
    let mut silent = bench.connect(1);
    let start = Instant::now();
    assert!(closes(&mut silent).await);
    assert!(start.elapsed() >= FIRST && start.elapsed() < 2 * FIRST);
    let mut speaks = bench.connect(1);
    speaks.write_all(b"<13>a line\n<13>half a li").await.unwrap();
    let start = Instant::now();
    assert!(closes(&mut speaks).await);
    let idle = bench.shared.active().lines.idle;
    assert!(start.elapsed() >= idle && start.elapsed() < 2 * idle, "{:?}", start.elapsed());
    assert_eq!(bench.count(|shared| shared.stats.streams_silent.get()), 2);
    assert_eq!(bench.count(|shared| shared.stats.matched.get()), 2, "half a line is taken, too");
    assert_eq!(bench.count(|shared| shared.stats.unfinished.get()), 1);
    bench.end().await;
}

#[tokio::test(start_paused = true)]
async fn a_newcomer_gets_the_place_of_a_silent_stream_of_the_largest_client() {
    let bench = Bench::new(Limits { total: 4, per_address: 3 }).await;
    let mut greedy = Vec::new();
    for _ in 0..3 {
        let mut stream = bench.connect(1);
        stream.write_all(b"<13>taken\n").await.unwrap();
        greedy.push(stream);
    }
    let mut refused = bench.connect(1);
    assert!(closes(&mut refused).await, "it has its share, and none of them is silent");
    assert_eq!(bench.count(|shared| shared.stats.streams_refused.get()), 1);
    let mut second = bench.connect(2);
    second.write_all(b"<13>taken\n").await.unwrap();
    let mut third = bench.connect(3);
    third.write_all(b"<13>taken\n").await.unwrap();
    while bench.count(|shared| shared.stats.matched.get()) < 5 {
        sleep(Duration::from_millis(1)).await;
    }
    assert_eq!(bench.count(|shared| shared.stats.streams_displaced.get()), 1);
    assert!(closes(&mut greedy[0]).await, "the longest silent one of the largest client");
    for stream in greedy[1..].iter_mut().chain([&mut second, &mut third]) {
        stream.write_all(b"<13>goes on\n").await.unwrap();
    }
    while bench.count(|shared| shared.stats.matched.get()) < 9 {
        sleep(Duration::from_millis(1)).await;
    }
    bench.end().await;
}

/// Who does not read its answers holds a stop up no longer than who does not stop sending.
#[tokio::test(start_paused = true)]
async fn a_sender_that_reads_no_answers_does_not_hold_a_stop_up() {
    let bench = Bench::speaking(Speech::Relp, Limits { total: 10, per_address: 10 }, None).await;
    let mut sender = bench.connect(1);
    sender.write_all(b"1 open 30 relp_version=0\ncommands=syslog\n").await.unwrap();
    let mut number = 2;
    // Until neither side can write any more.
    loop {
        let messages: String = (number..number + 1000).map(|n| format!("{n} syslog 9 <13>x: ab\n")).collect();
        number += 1000;
        if timeout(Duration::from_secs(1), sender.write_all(messages.as_bytes())).await.is_err() {
            break;
        }
    }
    let start = Instant::now();
    bench.end().await;
    assert!(start.elapsed() < WRITE / 2, "{:?} of the clock of the test", start.elapsed());
    drop(sender);
}

/// How a stream ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    ClientCloses,
    Silent,
    Displaced,
    Stopped,
}

#[tokio::test(start_paused = true)]
async fn a_stream_of_tls_ends_with_its_word_however_it_ends() {
    let (folder, server) = tls::tests::server();
    let pem = std::fs::read(folder.path().join("server.pem")).unwrap();
    let mut roots = tokio_rustls::rustls::RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(&pem).unwrap()).unwrap();
    let provider = Arc::new(tokio_rustls::rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let connector = TlsConnector::from(Arc::new(config.with_root_certificates(roots).with_no_client_auth()));
    for way in [Way::ClientCloses, Way::Silent, Way::Displaced, Way::Stopped] {
        let total = if way == Way::Displaced { 1 } else { 10 };
        let bench = Bench::with(Limits { total, per_address: 1 }, Some(server.clone())).await;
        let stream = bench.connect(1);
        let mut client = connector.connect("localhost".try_into().unwrap(), stream).await.unwrap();
        client.write_all(b"<13>a line\n").await.unwrap();
        client.flush().await.unwrap();
        while bench.count(|shared| shared.stats.matched.get()) < 1 {
            sleep(Duration::from_millis(1)).await;
        }
        let mut newcomer = None;
        match way {
            Way::ClientCloses => client.shutdown().await.unwrap(),
            Way::Silent => {}
            Way::Displaced => newcomer = Some(bench.connect(2)),
            Way::Stopped => bench.stop.tell(),
        }
        // An end without the word is an error.
        let read = client.read(&mut [0]).await;
        assert_eq!(read.map_err(|error| error.to_string()), Ok(0), "{way:?}");
        drop(newcomer);
        bench.end().await;
    }
}
