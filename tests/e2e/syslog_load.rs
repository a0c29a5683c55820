//! Streams that hold places, send without an end, or never finish a handshake: others are served, and memory stays flat. Numbers
//! are those of the table in docs/syslog-transports.md.

use std::io::Write;
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Instant;

use nix::sys::resource::{Resource, getrlimit, setrlimit};
use socket2::{Domain, Socket, Type};
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName, pem::PemObject as _};
use tokio_rustls::rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

use crate::certificates::Authority;
use crate::daemon::{Daemon, FILE_SINK};
use crate::support::{port, wait_until};

const RULES: &str = "[[rule]]\nid = \"all\"\nsyslog = {}\n[rule.event]\nstate = \"ok\"\n\
    output = \"{{ truncated }}|{{ message }}\"\n";

/// A running daemon with a listener for TLS at this port, and what a client of it needs.
fn start(tls: u16, syslog: &str) -> (Daemon, Arc<ClientConfig>) {
    let mut daemon = Daemon::prepare(&format!("{FILE_SINK}[rules]\npacks = []\npaths = [\"rules.toml\"]\n"));
    std::fs::write(daemon.path("rules.toml"), RULES).unwrap();
    let authority = daemon.path("ca.pem");
    Authority::new(&authority).issue(daemon.dir.path(), "server", &["localhost"]);
    let path = daemon.path("trapline.toml");
    let text = std::fs::read_to_string(&path).unwrap();
    let tcp = format!("\"tcp://127.0.0.1:{}\"", daemon.syslog_tcp);
    let text = text.replace(&format!("{tcp}]"), &format!("{tcp}, \"tls://127.0.0.1:{tls}\"]\n{syslog}"));
    let pair = "[syslog.tls]\ncert_file = \"server.pem\"\nkey_file = \"server.key\"\n";
    std::fs::write(&path, text.replacen("[mibs]", &format!("{pair}[mibs]"), 1)).unwrap();
    // For the daemon as well.
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
    let enough = hard.min(20_000);
    if soft < enough {
        setrlimit(Resource::RLIMIT_NOFILE, enough, hard).unwrap();
    }
    daemon.restart();
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(authority).unwrap()).unwrap();
    let provider = Arc::new(tokio_rustls::rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    (daemon, Arc::new(config.with_root_certificates(roots).with_no_client_auth()))
}

/// A connection of this address of this machine.
fn connect(own: [u8; 4], port: u16) -> TcpStream {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    socket.bind(&SocketAddr::from((own, 0)).into()).unwrap();
    socket.connect(&SocketAddr::from(([127, 0, 0, 1], port)).into()).unwrap();
    socket.into()
}

/// As many connections as asked for, or fewer if this process may not have so many beside those of other tests.
fn many(wanted: usize, port: u16) -> Vec<TcpStream> {
    let (most, _) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
    let count = wanted.min(wanted * usize::try_from(most.min(12_000)).unwrap_or(0) / 12_000);
    (0..count).map(|_| connect([127, 0, 0, 1], port)).collect()
}

/// Memory of the daemon in KiB.
fn memory(daemon: &Daemon) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", daemon.pid())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.split_whitespace().next().unwrap().parse().unwrap()
}

fn arrived(daemon: &Daemon, text: &str) -> bool {
    daemon.outcomes("out.jsonl").iter().any(|outcome| outcome["output"].as_str().unwrap().starts_with(text))
}

/// Check 11: 5,000 idle streams and 1,000 stuck handshakes of one address: a line of another one arrives, over TCP and TLS.
#[test]
fn one_address_with_idle_streams_and_stuck_handshakes_shuts_nobody_out() {
    let tls = port();
    let (mut daemon, client) = start(tls, "");
    let before = memory(&daemon);
    let idle = many(5000, daemon.syslog_tcp);
    let mut stuck = many(1000, tls);
    for stream in &mut stuck {
        // The beginning of a ClientHello. Those without a place are closed already.
        let _ = stream.write_all(&[0x16, 3, 1, 2, 0]);
    }
    let limit = 100;
    daemon.wait_count("streams_refused", (idle.len() + stuck.len()).saturating_sub(2 * limit) as u64);
    let begun = Instant::now();
    let mut plain = connect([127, 0, 0, 2], daemon.syslog_tcp);
    plain.write_all(b"<13>Nov 20 12:00:00 web1 app[1]: over TCP\n").unwrap();
    let connection = ClientConnection::new(client, ServerName::try_from("localhost").unwrap()).unwrap();
    let mut secure = StreamOwned::new(connection, connect([127, 0, 0, 2], tls));
    secure.write_all(b"<13>Nov 20 12:00:00 web1 app[1]: over TLS\n").unwrap();
    secure.flush().unwrap();
    wait_until("both arrive", || arrived(&daemon, "False|over TCP") && arrived(&daemon, "False|over TLS"));
    let took = begun.elapsed();
    let after = memory(&daemon);
    println!(
        "{} idle, {} stuck: served in {took:?}, {before} KiB before, {after} KiB after",
        idle.len(),
        stuck.len()
    );
    assert!(after < before + 64 * 1024, "{before} KiB before, {after} KiB after");
    drop((idle, stuck));
    daemon.stop();
}

/// Check 12: lines without an end, a count of 999,999,999, and a trickle: memory stays flat, and others are served.
#[test]
fn endless_messages_take_no_memory() {
    let (mut daemon, _) = start(port(), "max_message = \"8KiB\"");
    let mut endless = connect([127, 0, 0, 1], daemon.syslog_tcp);
    let mut counted = connect([127, 0, 0, 1], daemon.syslog_tcp);
    let mut trickle = connect([127, 0, 0, 1], daemon.syslog_tcp);
    endless.write_all(b"<13>Nov 20 12:00:00 web1 app[1]: endless ").unwrap();
    counted.write_all(b"999999999 <13>Nov 20 12:00:00 web1 app[1]: counted ").unwrap();
    let block = vec![b'x'; 1 << 16];
    endless.write_all(&block).unwrap();
    counted.write_all(&block).unwrap();
    wait_until("both are cut", || arrived(&daemon, "True|endless x") && arrived(&daemon, "True|counted x"));
    let before = memory(&daemon);
    for step in 0..160 {
        endless.write_all(&block).unwrap();
        counted.write_all(&block).unwrap();
        let octet = b"<1>t "[step % 5];
        trickle.write_all(&[octet]).unwrap();
    }
    endless.write_all(b"\n<13>Nov 20 12:00:00 web1 app[1]: behind it\n").unwrap();
    connect([127, 0, 0, 2], daemon.syslog_tcp)
        .write_all(b"<13>Nov 20 12:00:00 web1 app[1]: of another\n")
        .unwrap();
    wait_until("others are served", || {
        arrived(&daemon, "False|behind it") && arrived(&daemon, "False|of another")
    });
    let after = memory(&daemon);
    println!("{before} KiB before, {after} KiB after 20 MiB");
    assert!(after < before + 16 * 1024, "{before} KiB before, {after} KiB after");
    let outcomes = daemon.outcomes("out.jsonl");
    let cut = outcomes.iter().filter(|outcome| outcome["output"].as_str().unwrap().starts_with("True|"));
    assert_eq!((cut.count(), outcomes.len()), (2, 4), "a cut message comes once");
    assert_eq!(daemon.status()["intake"]["oversized"], 2);
    daemon.stop();
}

/// A stream that is silent for longer than `idle` is closed; what it has sent last is taken, though it has no end.
#[test]
fn an_idle_stream_is_closed_and_its_last_line_is_taken() {
    use std::io::Read;

    let (mut daemon, _) = start(port(), "idle = \"1s\"");
    let mut stream = connect([127, 0, 0, 1], daemon.syslog_tcp);
    stream.write_all(b"<13>Nov 20 12:00:00 web1 app[1]: one\n<13>Nov 20 12:00:00 web1 app[1]: two").unwrap();
    assert_eq!(stream.read(&mut [0]).unwrap(), 0);
    wait_until("both are there", || arrived(&daemon, "False|one") && arrived(&daemon, "True|two"));
    daemon.stop();
}
