//! A broker that answers as a test says.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};

use super::lane::MqttSink;
use super::session::Broker;
use super::topic::level;
use crate::net::{Connecting, Network, Stream};
use crate::settings::address::Address;
use crate::sinks::fields::Template;
use crate::sinks::sink::{Fate, Item, Key, Sink, Trouble};
use crate::sinks::testing::{assert_fates, item, seat};
use crate::time::clock::Clock as _;

/// What a broker does with a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Does {
    /// It answers with this reason code.
    Answers(u8),
    /// It ends the connection with this reason code.
    Ends(u8),
    /// It closes the connection.
    Closes,
}

/// A broker: how it begins, and what it does with the messages of each connection.
#[derive(Debug)]
struct Stub {
    connack: Vec<u8>,
    does: Vec<Does>,
    connections: AtomicUsize,
}

impl Network for Stub {
    fn connect<'a>(&'a self, _: &'a str, _: u16) -> Connecting<'a> {
        let (own, other) = tokio::io::duplex(1 << 20);
        self.connections.fetch_add(1, Ordering::Relaxed);
        tokio::spawn(serve(other, self.connack.clone(), self.does.clone()));
        Box::pin(std::future::ready(Ok(Box::new(own) as Box<dyn Stream>)))
    }
}

async fn serve(mut stream: DuplexStream, connack: Vec<u8>, does: Vec<Does>) {
    let (mut octets, mut at) = (Vec::new(), 0);
    while stream.read_buf(&mut octets).await.is_ok_and(|read| read > 0) {
        while let Some(length) = frame(&octets) {
            let frame: Vec<u8> = octets.drain(..length).collect();
            match frame[0] {
                0x10 => stream.write_all(&connack).await.unwrap(),
                0xc0 => stream.write_all(&[0xd0, 0]).await.unwrap(),
                0x32 | 0x33 => {
                    let head = frame.len() - body(&frame).len();
                    let topic = usize::from(u16::from_be_bytes([frame[head], frame[head + 1]]));
                    let id = [frame[head + 2 + topic], frame[head + 3 + topic]];
                    at += 1;
                    match does[(at - 1) % does.len()] {
                        Does::Answers(0) => stream.write_all(&[0x40, 2, id[0], id[1]]).await.unwrap(),
                        Does::Answers(code) => {
                            stream.write_all(&[0x40, 3, id[0], id[1], code]).await.unwrap();
                        }
                        Does::Ends(code) => {
                            stream.write_all(&[0xe0, 1, code]).await.unwrap();
                            return;
                        }
                        Does::Closes => return,
                    }
                }
                _ => return,
            }
        }
    }
}

fn body(frame: &[u8]) -> &[u8] {
    let end = frame[1..].iter().position(|octet| octet & 0x80 == 0).unwrap() + 2;
    &frame[end..]
}

/// The length of the first frame, if it is there.
fn frame(octets: &[u8]) -> Option<usize> {
    let size = octets.get(1..)?.iter().position(|octet| octet & 0x80 == 0)? + 1;
    let length =
        octets[1..=size].iter().rev().fold(0, |length, octet| length << 7 | usize::from(octet & 0x7f));
    (octets.len() > size + length).then_some(size + 1 + length)
}

const ACCEPTED: [u8; 5] = [0x20, 3, 0, 0, 0];

fn sink() -> MqttSink {
    let address = Address { host: "b".into(), port: 1883 };
    let broker = Broker { address, tls: None, login: None, client_id: String::new(), retain: false };
    MqttSink { broker, topic: Template::new("t/{{ outcome.host }}", level).value.unwrap(), expiry: None }
}

/// Three outcomes, of which the first two are of one host and service.
fn items() -> Vec<Item> {
    let mut items: Vec<Item> = (1..=3).map(|number| item(number, "h", Some("s"), "text")).collect();
    items[2].key = Key::Known(1);
    items
}

async fn sent(connack: &[u8], does: &[Does]) -> Result<Vec<Fate>, Trouble> {
    let (mut seat, _) = seat();
    let stub = Stub { connack: connack.to_vec(), does: does.to_vec(), connections: AtomicUsize::new(0) };
    seat.network = Arc::new(stub);
    sink().lane(&seat).send(&items()).await
}

/// Whatever a broker does: what it has acknowledged is delivered, unless an earlier outcome has to be sent before it, and nothing else is.
#[tokio::test(start_paused = true)]
async fn what_is_acknowledged_is_delivered_and_only_the_rest_is_sent_again_in_order() {
    use Does::{Answers, Closes, Ends};
    let all = [Answers(0), Answers(0x10), Answers(0x80), Answers(0x87), Answers(0x90), Ends(0x8b), Closes];
    for a in all {
        for b in all {
            for c in all {
                let does = [a, b, c];
                let end = does.iter().position(|does| matches!(does, Ends(_) | Closes)).unwrap_or(3);
                let is = |at: usize, codes: &[u8]| {
                    at < end && matches!(does[at], Answers(code) if codes.contains(&code))
                };
                let which = |codes: &[u8]| [0, 1, 2].map(|at| is(at, codes));
                let result = sent(&ACCEPTED, &does).await;
                assert_fates(&does, result, [which(&[0, 0x10]), which(&[0x90]), which(&[0x80])]);
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn the_terms_of_the_broker_are_kept() {
    let ok = [Does::Answers(0)];
    // One message at a time.
    assert_eq!(
        sent(&[0x20, 6, 0, 0, 3, 0x21, 0, 1], &ok).await.unwrap(),
        [Fate::Taken, Fate::Taken, Fate::Taken]
    );
    // Packets of 100 octets at most.
    let fates = sent(&[0x20, 8, 0, 0, 5, 0x27, 0, 0, 0, 100], &ok).await.unwrap();
    assert!(fates.iter().all(|fate| matches!(fate, Fate::Dead(_))), "{fates:?}");
    // No QoS 1.
    assert!(matches!(sent(&[0x20, 5, 0, 0, 2, 0x24, 0], &ok).await, Err(Trouble::Refused(..))));
    for (connack, means) in [
        (&[0x20, 3, 0, 0x86, 0][..], "Refused"),
        (&[0x20, 3, 0, 0x89, 0], "Busy"),
        (&[0x20, 3, 0, 0x80, 0], "Away"),
        (&[0x20, 2, 0, 1], "Refused"),
        (b"HTTP/1.1 400 Bad Request\r\n", "Away"),
    ] {
        let trouble = format!("{:?}", sent(connack, &ok).await.unwrap_err());
        assert!(trouble.starts_with(means), "{connack:?}: {trouble}");
    }
    // Only reasons that name something of a message are about one.
    for code in 0x80..=0xff {
        let sent = sent(&ACCEPTED, &[Does::Ends(code)]).await;
        let halves = matches!(sent, Err(Trouble::Halve(_)));
        assert_eq!(halves, matches!(code, 0x90 | 0x95 | 0x99), "{code:x}: {sent:?}");
    }
    assert!(matches!(sent(&ACCEPTED, &[Does::Ends(0x8e)]).await, Err(Trouble::Refused(..))));
}

#[tokio::test(start_paused = true)]
async fn a_connection_stays_open_and_is_replaced_when_it_was_lost() {
    let (mut seat, clock) = seat();
    let does = [0, 0, 0, 0, 0, 0].map(Does::Answers).into_iter().chain([Does::Closes]).collect();
    let stub = Arc::new(Stub { connack: ACCEPTED.to_vec(), does, connections: AtomicUsize::new(0) });
    seat.network = stub.clone();
    let mut lane = sink().lane(&seat);
    assert_eq!(lane.wants(), None);
    let taken = vec![Fate::Taken; 3];
    assert_eq!(lane.send(&items()).await.unwrap(), taken);
    let due = lane.wants().unwrap();
    lane.own(clock.now()).await.unwrap();
    assert!(lane.wants().unwrap() >= due);
    assert_eq!(lane.send(&items()).await.unwrap(), taken);
    assert_eq!(stub.connections.load(Ordering::Relaxed), 1);
    // The seventh message of a connection is not answered any more: the batch goes over a new one.
    assert_eq!(lane.send(&items()).await.unwrap(), taken);
    assert_eq!(stub.connections.load(Ordering::Relaxed), 2);
}
