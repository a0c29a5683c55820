//! SNMPv3 under attack: nothing gets in, nothing fills up, and a good sender beside it loses nothing.

use std::net::{SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use trapline::message::{Notification, NotificationKind, Value, Varbind, Version};
use trapline::snmp::usm::originate::{Originator, Peer};
use trapline::snmp::usm::{AuthProtocol, Engine, PrivProtocol, User};

use crate::daemon::Daemon;
use crate::support::{Ends, PATIENCE, pace, wait_until};
use crate::v3;

pub fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

/// The user of that password, as an engine of this id that began to run at a time.
pub fn originator(password: &str, id: &[u8], started: u64) -> Originator {
    let privacy = Some((PrivProtocol::Aes128, &b"priv-AES-128-word"[..]));
    let user = User::new("SHA-256.AES-128", (AuthProtocol::Sha256, password.as_bytes()), privacy).unwrap();
    Originator::new(user, Engine { id: id.to_vec(), boots: 5, started }, b"").unwrap()
}

/// A notification whose only varbind is a text.
pub fn notification(
    kind: NotificationKind,
    version: Version,
    text: &str,
    request_id: i32,
) -> Notification<'_> {
    Notification {
        version,
        kind,
        community: b"public",
        proxied_community: None,
        security: None,
        request_id,
        oid: "1.3.6.1.4.1.99999.0.1".parse().unwrap(),
        enterprise: None,
        agent: None,
        generic: None,
        specific: None,
        uptime: Some(1),
        varbinds: vec![Varbind {
            oid: "1.3.6.1.4.1.99999.1".parse().unwrap(),
            value: Value::OctetString(text.as_bytes()),
        }],
    }
}

fn trap(from: &Originator, text: &str, number: i32) -> Vec<u8> {
    from.trap(&notification(NotificationKind::Trap, Version::V3, text, number), number, now()).unwrap()
}

/// Asks the daemon who it is; again, as every sender does, where the answer was held back in a flood.
pub fn discover(from: &Originator, socket: &UdpSocket, to: SocketAddr) -> Option<Peer> {
    let patience = socket.read_timeout().ok()?;
    socket.set_read_timeout(Some(Duration::from_secs(3))).ok()?;
    let peer = (0..10).find_map(|_| {
        socket.send_to(&from.discovery(1)?, to).ok()?;
        let mut answer = [0; 1500];
        let (length, _) = socket.recv_from(&mut answer).ok()?;
        from.peer(1, &answer[..length], now())
    });
    socket.set_read_timeout(patience).ok()?;
    peer
}

fn resident(daemon: &Daemon) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", daemon.pid())).unwrap();
    let line = status.lines().find(|l| l.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

/// Sends a packet and does not outrun the socket.
fn paced(socket: &UdpSocket, to: SocketAddr, packets: impl Iterator<Item = Vec<u8>>, a_second: f64) {
    let start = Instant::now();
    for (n, packet) in packets.enumerate() {
        socket.send_to(&packet, to).unwrap();
        let due = Duration::from_secs_f64(n as f64 / a_second);
        if let Some(wait) = due.checked_sub(start.elapsed()) {
            pace(wait);
        }
    }
}

#[test]
fn nothing_wrong_gets_in_and_a_good_sender_loses_nothing() {
    const WORD: &str = "auth-SHA-256-word";
    let daemon = v3::daemon();
    let to: SocketAddr = ([127, 0, 0, 1], daemon.snmp).into();
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    let first = originator(WORD, b"\x80\x00\x00\x01first", now() - 1000);
    let known = trap(&first, "known", 1);
    socket.send_to(&known, to).unwrap();
    wait_until("the first", || daemon.outcomes("out.jsonl").len() == 1);
    let before = resident(&daemon);

    let done = AtomicBool::new(false);
    let sent = std::thread::scope(|scope| {
        // Its engine is not seen before the attack.
        let good = scope.spawn(|| {
            let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
            let good = originator(WORD, b"\x80\x00\x00\x01good", now() - 1000);
            let mut sent = 0;
            while !done.load(Ordering::Relaxed) {
                sent += 1;
                socket.send_to(&trap(&good, &format!("good {sent}"), sent), to).unwrap();
                pace(Duration::from_millis(2));
            }
            sent
        });
        let ends = Ends(&done);
        let attack = UdpSocket::bind("127.0.0.1:0").unwrap();
        // 10,000 engine ids nobody has, from whoever knows the user's name.
        let unknown = (0..10_000u32).map(|n| {
            let mut packet = known.clone();
            let at = packet.windows(5).position(|w| w == b"first").unwrap();
            packet[at..at + 4].copy_from_slice(&n.to_be_bytes());
            packet
        });
        paced(&attack, to, unknown, 8000.0);
        // Every octet of a good packet changed, one at a time.
        let fresh = trap(&first, "tampered", 2);
        let tampered = (0..fresh.len()).map(|at| {
            let mut packet = fresh.clone();
            packet[at] ^= 0x20;
            packet
        });
        paced(&attack, to, tampered, 5000.0);
        // The same again, and again.
        paced(&attack, to, std::iter::repeat_n(known.clone(), 500), 5000.0);
        // From a boot and a time that are over.
        let old = originator(WORD, b"\x80\x00\x00\x01first", now());
        paced(&attack, to, (0..100).map(|n| trap(&old, "stale", 100 + n)), 5000.0);
        let wrong = originator("not-the-password", b"\x80\x00\x00\x01first", now() - 1000);
        paced(&attack, to, (0..100).map(|n| trap(&wrong, "wrong", 300 + n)), 5000.0);
        // Informs under this engine's own id, with the wrong password and out of date.
        let peer = discover(&wrong, &socket, to).unwrap();
        let inform = |from: &Originator, peer: &Peer, number: i32, at: u64| {
            let inform = notification(NotificationKind::Inform, Version::V3, "inform", number);
            from.inform(peer, &inform, number, at).unwrap()
        };
        paced(&attack, to, (0..100).map(|n| inform(&wrong, &peer, n, now())), 5000.0);
        let peer = discover(&first, &socket, to).unwrap();
        paced(&attack, to, (0..100).map(|n| inform(&first, &peer, n, now() + 10_000)), 5000.0);
        let counted = |reason: &str, count: u64| {
            wait_until(reason, || daemon.status()["intake"]["malformed"][reason].as_u64() >= Some(count));
        };
        counted("v3_digest", 10_000 + 100 + 100);
        counted("v3_replay", 500);
        counted("v3_time", 200);
        drop(ends);
        good.join().unwrap()
    });
    wait_until("all of the good sender's", || daemon.outcomes("out.jsonl").len() > sent as usize);
    let texts: Vec<String> = daemon
        .outcomes("out.jsonl")
        .iter()
        .map(|o| o["output"].as_str().unwrap().rsplit_once(".AES-128 ").unwrap().1.to_owned())
        .collect();
    assert_eq!(texts.len(), sent as usize + 1);
    for n in 1..=sent {
        assert!(texts.contains(&format!("good {n}")), "good {n}");
    }
    let grown = resident(&daemon).saturating_sub(before);
    println!(
        "{} packets refused: {}; {sent} of {sent} good ones delivered; {grown} kB more resident",
        daemon.status()["refused"]["sources"][0]["count"],
        daemon.status()["refused"]["sources"][0]["reasons"]
    );
    assert!(grown < 20_000, "{grown} kB");
}

#[test]
fn strangers_get_no_more_than_they_send() {
    let daemon = v3::daemon();
    let to: SocketAddr = ([127, 0, 0, 1], daemon.snmp).into();
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    let from = originator("whatever-it-is", b"\x80\x00\x00\x01x", 0);
    let question = from.discovery(1).unwrap();
    let count = 2_000;
    paced(&socket, to, std::iter::repeat_n(question.clone(), count), 2000.0);
    wait_until("all are taken", || daemon.status()["intake"]["discoveries"].as_u64() >= Some(count as u64));
    // Not all may fit into the socket here: the daemon's own count says how many there were.
    let mut answer = [0; 1500];
    let mut longest = socket.recv(&mut answer).unwrap();
    socket.set_nonblocking(true).unwrap();
    while let Ok(length) = socket.recv(&mut answer) {
        longest = longest.max(length);
    }
    let held_back = daemon.status()["intake"]["reports_held_back"].as_u64().unwrap() as usize;
    let answers = count - held_back;
    let (sent, back) = (count * question.len(), answers * longest);
    println!("{count} questions of {} octets: {answers} answers, {back} octets for {sent}", question.len());
    assert!(answers > 10 && back <= sent + 512, "{back} for {sent}");
}
