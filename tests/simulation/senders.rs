//! Devices and hosts that send: traps and lines over UDP, informs until they are answered, lines over TCP.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, split};
use tokio::sync::mpsc;
use tokio::time::{sleep, timeout};
use trapline::intake::listener::Protocol;
use trapline::message::{Notification, NotificationKind, Oid, Value, Varbind, Version};
use trapline::snmp;
use trapline::snmp::encode::encode;

use crate::config::TRAPS;
use crate::executor::Group;
use crate::network::SimStream;
use crate::node::Datagram;
use crate::outcome::{Makes, Message};
use crate::world::{OnTheWay, WORLD, World};

/// The most octets of an answer.
pub const MOST_ANSWER: usize = 65_507;
/// How long octets are under way at most, in milliseconds.
const MOST_DELAY: u64 = 60;
const HOSTS: u64 = 4;
const SERVICES: u64 = 3;

fn draw(world: &World) -> Message {
    let random = &world.random;
    let makes = match random.below(20) {
        0 => Makes::Dropped,
        1 => Makes::Unmatched,
        2..=6 => Makes::Both,
        _ => Makes::Check,
    };
    world.ledger.message(random.below(HOSTS), random.below(SERVICES), random.below(4), makes)
}

/// A text of any length, if messages have some.
pub fn padding(world: &World) -> String {
    if world.padding == 0 { String::new() } else { "x".repeat(world.random.below(world.padding) as usize) }
}

fn line(message: &Message, padding: &str) -> String {
    let Message { uid, host, service, state, makes } = message;
    format!(
        "<13>1 2026-11-20T12:00:00Z h{host} sim - - - {} h{host} s{service} {state} {uid} {padding}",
        makes.word()
    )
}

/// A notification with a message in it, sent at `at`. `trap` is its last number.
pub fn notification(
    message: &Message,
    kind: NotificationKind,
    padding: &str,
    trap: u32,
    at: Duration,
) -> Vec<u8> {
    let Message { uid, host, service, state, makes } = message;
    let (host, service, uid) = (format!("h{host}"), format!("s{service}"), uid.to_string());
    let values = [
        Value::OctetString(host.as_bytes()),
        Value::OctetString(service.as_bytes()),
        Value::Integer(*state as i32),
        Value::OctetString(makes.word().as_bytes()),
        Value::OctetString(uid.as_bytes()),
        Value::OctetString(padding.as_bytes()),
    ];
    let oid = |last: u32| Oid::from_arcs(&[&TRAPS[..], &[last]].concat()).unwrap();
    let varbinds = values.into_iter().enumerate();
    let varbinds = varbinds.map(|(at, value)| Varbind { oid: oid(100 + at as u32), value }).collect();
    encode(&Notification {
        version: Version::V2c,
        kind,
        community: b"public",
        proxied_community: None,
        security: None,
        request_id: message.uid as i32,
        oid: oid(trap),
        enterprise: None,
        agent: None,
        generic: None,
        specific: None,
        uptime: Some(at.as_millis() as u32 / 10),
        varbinds,
    })
}

/// A datagram arrives at the daemon, if it runs.
pub fn send(world: &World, protocol: Protocol, octets: Vec<u8>, peer: SocketAddr, makes: u64) {
    if let Some(node) = world.node() {
        node.receive(Datagram { protocol, octets, peer, makes });
    }
}

/// Sends one line over UDP.
pub fn one(world: &World, number: u8) {
    let state = world.history.now().as_secs() / 20 % 4;
    let message = world.ledger.message(HOSTS, state, state, Makes::Both);
    let peer = SocketAddr::from(([192, 0, 2, number], 5000));
    send(world, Protocol::Syslog, line(&message, "").into_bytes(), peer, 2);
}

/// Sends traps and lines over UDP.
pub async fn datagrams(world: World, number: u8) {
    let peer = SocketAddr::from(([192, 0, 2, number], 5000));
    while world.sending.get() {
        world.pause(2500).await;
        let burst = if world.random.once_in(6) { world.random.range(2, 12) } else { 1 };
        for _ in 0..burst {
            let message = draw(&world);
            let (text, makes) = (padding(&world), message.makes.count());
            if world.random.once_in(2) {
                send(&world, Protocol::Syslog, line(&message, &text).into_bytes(), peer, makes);
            } else {
                let packet = notification(&message, NotificationKind::Trap, &text, 1, world.history.now());
                send(&world, Protocol::Snmp, packet, peer, makes);
            }
        }
    }
}

/// Sends informs, each until it is answered or the sender has no patience any more.
pub async fn informs(world: World, number: u8) {
    let peer = SocketAddr::from(([192, 0, 2, number], 6000));
    let (answers, mut answered) = mpsc::unbounded_channel();
    world.devices.borrow_mut().insert(peer, answers);
    while world.sending.get() {
        world.pause(3000).await;
        let message = draw(&world);
        let packet =
            notification(&message, NotificationKind::Inform, &padding(&world), 1, world.history.now());
        let expected = snmp::decode(&packet).unwrap().answer(MOST_ANSWER).unwrap();
        for _ in 0..6 {
            send(&world, Protocol::Snmp, packet.clone(), peer, message.makes.count());
            let answer = async {
                while let Some(answer) = answered.recv().await {
                    if answer == expected {
                        return;
                    }
                }
            };
            if timeout(Duration::from_millis(world.random.range(500, 2000)), answer).await.is_ok() {
                if message.makes.count() > 0 {
                    world.ledger.answered(message.uid);
                }
                break;
            }
        }
    }
}

/// Opens a connection on which everything takes a while to arrive, so that a stop finds octets under way.
async fn open_from_afar(world: &World, host: &str) -> io::Result<SimStream> {
    let near = world.network.open(host).await?;
    let (ours, far) = SimStream::pair();
    let ((near_read, near_write), (far_read, far_write)) = (split(near), split(far));
    world.executor.spawn(WORLD, carry(world.clone(), far_read, near_write));
    world.executor.spawn(WORLD, carry(world.clone(), near_read, far_write));
    Ok(ours)
}

/// Carries octets one way, to the end.
async fn carry(world: World, mut from: impl AsyncRead + Unpin, mut to: impl AsyncWrite + Unpin) {
    let _on_the_way = OnTheWay::new(&world);
    let mut octets = vec![0; 1 << 14];
    loop {
        let read = from.read(&mut octets).await;
        world.pause(MOST_DELAY).await;
        match read {
            Ok(count) if count > 0 => {
                if to.write_all(&octets[..count]).await.is_err() {
                    return;
                }
            }
            _ => {
                let _ = to.shutdown().await;
                return;
            }
        }
    }
}

/// Writes octets in pieces, most of which end in the middle of a message. Once the daemon says that it reads no more, the rest
/// follows at once. Says whether more may be sent.
async fn in_pieces(world: &World, stream: &mut SimStream, mut octets: &[u8]) -> io::Result<bool> {
    let mut more = true;
    while more && octets.len() > 1 && !world.random.once_in(3) {
        let (piece, rest) = octets.split_at(world.random.range(1, octets.len() as u64 - 1) as usize);
        stream.write_all(piece).await?;
        octets = rest;
        more = !ends(world, stream).await;
    }
    stream.write_all(octets).await?;
    Ok(more)
}

/// Pauses. Says whether the daemon closes: a read ends then, as nothing is sent that was not asked for.
async fn ends(world: &World, stream: &mut SimStream) -> bool {
    let pause = Duration::from_millis(world.random.below(1500));
    timeout(pause, stream.read(&mut [0])).await.is_ok()
}

/// Sends lines over TCP, on one connection after the other.
pub async fn lines(world: World) {
    while world.sending.get() {
        world.pause(2000).await;
        let Ok(mut stream) = open_from_afar(&world, "daemon-syslog").await else { continue };
        let (since, run) = (world.history.now(), world.node().map_or(Group(0), |node| node.group));
        for _ in 0..world.random.range(1, 30) {
            let mut text = String::new();
            let mut uids = Vec::new();
            for _ in 0..world.random.range(1, 4) {
                let message = draw(&world);
                let one = line(&message, &padding(&world));
                text += &if world.random.once_in(2) {
                    format!("{} {one}", one.len())
                } else {
                    format!("{one}\n")
                };
                uids.extend((message.makes.count() > 0).then_some(message.uid));
            }
            let Ok(more) = in_pieces(&world, &mut stream, text.as_bytes()).await else { break };
            let mut written = world.written.borrow_mut();
            written.extend(uids.into_iter().map(|uid| (run, since, uid)));
            drop(written);
            if !more || ends(&world, &mut stream).await || !world.sending.get() {
                break;
            }
        }
    }
}

/// Sends informs over TCP.
pub async fn streams(world: World) {
    let _on_the_way = OnTheWay::new(&world);
    while world.sending.get() {
        world.pause(4000).await;
        let Ok(mut stream) = world.network.open("daemon-snmp").await else { continue };
        let (since, run) = (world.history.now(), world.node().map_or(Group(0), |node| node.group));
        for _ in 0..world.random.range(1, 10) {
            let message = draw(&world);
            let packet =
                notification(&message, NotificationKind::Inform, &padding(&world), 1, world.history.now());
            let expected = snmp::decode(&packet).unwrap().answer(MOST_ANSWER).unwrap();
            let Ok(more) = in_pieces(&world, &mut stream, &packet).await else { break };
            if message.makes.count() > 0 {
                world.written.borrow_mut().push((run, since, message.uid));
            }
            if !more {
                break;
            }
            let mut answer = vec![0; expected.len()];
            match timeout(Duration::from_secs(5), stream.read_exact(&mut answer)).await {
                Ok(Ok(_)) if answer == expected => {
                    if message.makes.count() > 0 {
                        world.ledger.answered(message.uid);
                    }
                }
                _ => break,
            }
            sleep(Duration::from_millis(world.random.below(1500))).await;
        }
    }
}
