//! Packets that go on as they came: to a real snmptrapd, to sockets, and in circles.

use std::net::{SocketAddr, UdpSocket};
use std::process::{Command, Stdio};
use std::time::Duration;

use serde_json::Value;
use trapline::message::{Notification, NotificationKind, Value as Snmp, Varbind, Version};
use trapline::snmp::encode::encode;

use crate::daemon::{Daemon, FILE_SINK};
use crate::support::{Program, port, read, wait_until};

/// A trap with a text.
fn trap(text: &str) -> Vec<u8> {
    encode(&Notification {
        version: Version::V2c,
        kind: NotificationKind::Trap,
        community: b"public",
        proxied_community: None,
        security: None,
        request_id: 7,
        oid: "1.3.6.1.6.3.1.1.5.1".parse().unwrap(),
        enterprise: None,
        agent: None,
        generic: None,
        specific: None,
        uptime: Some(5),
        varbinds: vec![Varbind {
            oid: "1.3.6.1.2.1.1.6.0".parse().unwrap(),
            value: Snmp::OctetString(text.as_bytes()),
        }],
    })
}

fn forward(what: &str, to: impl std::fmt::Display, more: &str) -> String {
    format!("[[forward]]\nname = \"it\"\nwhat = \"{what}\"\nto = \"{to}\"\n{more}\n")
}

fn counts(daemon: &Daemon) -> Value {
    daemon.status()["forwards"][0].clone()
}

fn receiver(address: &str) -> UdpSocket {
    let socket = UdpSocket::bind((address, 0)).unwrap();
    socket.set_read_timeout(Some(Duration::from_mins(1))).unwrap();
    socket
}

/// What comes next, and from whom.
fn next(socket: &UdpSocket) -> (Vec<u8>, SocketAddr) {
    let mut buffer = vec![0; 65_536];
    let (length, from) = socket.recv_from(&mut buffer).unwrap();
    buffer.truncate(length);
    (buffer, from)
}

#[test]
fn snmptrapd_sees_the_sender() {
    let port = port();
    let daemon = Daemon::start(&format!("{FILE_SINK}{}", forward("snmp", format!("127.0.0.1:{port}"), "")));
    let (log, config) = (daemon.path("snmptrapd.log"), daemon.path("snmptrapd.conf"));
    std::fs::write(&config, "disableAuthorization yes\n").unwrap();
    let file = std::fs::File::create(&log).unwrap();
    let _snmptrapd = Program::start(
        Command::new("snmptrapd")
            .args(["-f", "-n", "-Lo", "-On", "-m", "", "-C", "-c"])
            .arg(&config)
            .arg(format!("127.0.0.1:{port}"))
            .stdout(Stdio::from(file.try_clone().unwrap()))
            .stderr(Stdio::from(file)),
    );
    wait_until("snmptrapd listens", || read(&log).contains("NET-SNMP version"));
    let sender = UdpSocket::bind("127.0.0.5:0").unwrap();
    sender.send_to(&trap("short one"), ("127.0.0.1", daemon.snmp)).unwrap();
    wait_until("it has it", || read(&log).contains("short one"));
    let from = format!("[UDP: [127.0.0.5]:{}->", sender.local_addr().unwrap().port());
    assert!(read(&log).contains(&from), "no {from}:\n{}", read(&log));
    // In fragments.
    let long = "x".repeat(5000) + "end of it";
    sender.send_to(&trap(&long), ("127.0.0.1", daemon.snmp)).unwrap();
    wait_until("it has the long one", || read(&log).contains("end of it"));
    wait_until("both are counted", || counts(&daemon)["sent"] == 2);
    assert_eq!((&counts(&daemon)["own_address"], &counts(&daemon)["dropped"]), (&0.into(), &0.into()));
    wait_until("rules have them, too", || daemon.outcomes("out.jsonl").len() == 2);
}

#[test]
fn octets_and_senders_stay_or_are_those_of_this_machine() {
    for (at, from, keeps) in
        [("127.0.0.1", "127.0.0.6", true), ("127.0.0.1", "127.0.0.6", false), ("::1", "::1", true)]
    {
        let receiver = receiver(at);
        let to = receiver.local_addr().unwrap();
        let daemon = Daemon::start(&format!(
            "{FILE_SINK}{}",
            forward("snmp", to, &format!("keep_sender = {keeps}\nsenders = [\"{from}\"]"))
        ));
        let sender = UdpSocket::bind((from, 0)).unwrap();
        // Neither is any SNMP.
        for packet in [&b"no SNMP at all"[..], &[0xff; 1200]] {
            sender.send_to(packet, (at, daemon.snmp)).unwrap();
            let (got, who) = next(&receiver);
            assert_eq!(got, packet);
            assert_eq!(who == sender.local_addr().unwrap(), keeps, "{who}");
        }
        if from == "127.0.0.6" {
            // Others are not meant.
            let other = UdpSocket::bind("127.0.0.7:0").unwrap();
            other.send_to(b"other", (at, daemon.snmp)).unwrap();
            daemon.wait_count("snmp_received", 3);
            sender.send_to(b"last", (at, daemon.snmp)).unwrap();
            assert_eq!(next(&receiver).0, b"last");
        }
    }
}

#[test]
fn lines_go_on_also_from_streams() {
    use std::io::Write as _;
    let receiver = receiver("127.0.0.1");
    let to = receiver.local_addr().unwrap();
    let daemon = Daemon::start(&format!("{FILE_SINK}{}", forward("syslog", to, "")));
    let sender = UdpSocket::bind("127.0.0.8:0").unwrap();
    let line = b"<13>Nov 26 12:00:00 h app: \xe9 \x01 text";
    sender.send_to(line, ("127.0.0.1", daemon.syslog_udp)).unwrap();
    let (got, who) = next(&receiver);
    assert_eq!((&got[..], who), (&line[..], sender.local_addr().unwrap()));
    let mut stream = std::net::TcpStream::connect(("127.0.0.1", daemon.syslog_tcp)).unwrap();
    stream.write_all(b"<13>Nov 26 12:00:00 h app: one\n<13>Nov 26 12:00:00 h app: two\n").unwrap();
    for word in ["one", "two"] {
        let (got, who) = next(&receiver);
        assert!(got.ends_with(word.as_bytes()), "{got:?}");
        assert_eq!(who, stream.local_addr().unwrap());
    }
}

#[test]
fn without_the_capability_packets_have_another_sender_and_that_is_said() {
    let receiver = receiver("127.0.0.1");
    let to = receiver.local_addr().unwrap();
    let mut daemon = Daemon::prepare(&format!("{FILE_SINK}{}", forward("snmp", to, "")));
    let mut command = Command::new("setpriv");
    command.args([
        "--bounding-set",
        "-net_raw",
        "--inh-caps",
        "-net_raw",
        env!("CARGO_BIN_EXE_trapline"),
        "run",
        "--config",
    ]);
    command.arg(daemon.path("trapline.toml"));
    daemon.start_as(command);
    let sender = UdpSocket::bind("127.0.0.9:0").unwrap();
    sender.send_to(&trap("x"), ("127.0.0.1", daemon.snmp)).unwrap();
    let (got, who) = next(&receiver);
    assert_eq!((got, who.ip().to_string()), (trap("x"), "127.0.0.1".to_owned()));
    wait_until("it is counted", || counts(&daemon)["own_address"] == 1);
    daemon.wait_log("give the daemon CAP_NET_RAW");
}

#[test]
fn a_circle_of_two_ends() {
    let mut daemons = [Daemon::prepare(FILE_SINK), Daemon::prepare(FILE_SINK)];
    let ports = [daemons[1].snmp, daemons[0].snmp];
    for (daemon, port) in daemons.iter_mut().zip(ports) {
        let path = daemon.path("trapline.toml");
        let text = std::fs::read_to_string(&path).unwrap();
        std::fs::write(&path, text + &forward("snmp", format!("127.0.0.1:{port}"), "")).unwrap();
        daemon.restart();
    }
    let sender = UdpSocket::bind("127.0.0.5:0").unwrap();
    sender.send_to(&trap("round"), ("127.0.0.1", daemons[0].snmp)).unwrap();
    wait_until("the circle ends", || daemons.iter().any(|daemon| counts(daemon)["looped"] == 1));
    let sent: u64 = daemons.iter().map(|daemon| counts(daemon)["sent"].as_u64().unwrap()).sum();
    assert_eq!(sent, 16);
    // A daemon does not forward to itself.
    let text = forward("snmp", format!("127.0.0.1:{}", daemons[0].snmp), "");
    let path = daemons[0].path("itself.toml");
    let config = std::fs::read_to_string(daemons[0].path("trapline.toml")).unwrap();
    std::fs::write(&path, config.split("[[forward]]").next().unwrap().to_owned() + &text).unwrap();
    let checked = crate::daemon::output(&["check", "--config", path.to_str().unwrap()]);
    assert!(!checked.status.success());
    assert!(String::from_utf8_lossy(&checked.stderr).contains("packets would go in a circle"), "{checked:?}");
}
