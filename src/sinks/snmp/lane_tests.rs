//! A receiver that answers as a test says.

use std::os::fd::OwnedFd;
use std::os::unix::net::UnixDatagram;
use std::sync::{Arc, Mutex};

use tokio::net::UdpSocket;

use super::lane::{Security, SnmpSink};
use super::message::Form;
use crate::net::{Connecting, Network, Opening};
use crate::settings::address::Address;
use crate::sinks::sink::{Fate, Seat, Sink as _, Trouble};
use crate::sinks::testing::{item, seat};
use crate::snmp::ber::{push_integer, push_tlv, tag};
use crate::snmp::decode;
use std::time::Duration;

fn response(request_id: i32, status: i64) -> Vec<u8> {
    let (mut pdu, mut message, mut packet) = (Vec::new(), Vec::new(), Vec::new());
    for number in [i64::from(request_id), status, 0] {
        push_integer(&mut pdu, tag::INTEGER, number.into());
    }
    push_tlv(&mut pdu, tag::SEQUENCE, &[]);
    push_integer(&mut message, tag::INTEGER, 1);
    push_tlv(&mut message, tag::OCTET_STRING, b"c");
    push_tlv(&mut message, tag::RESPONSE, &pdu);
    push_tlv(&mut packet, tag::SEQUENCE, &message);
    packet
}

/// The service of an inform of TRAPLINE-MIB.
fn service_of(inform: &[u8]) -> (i32, String) {
    let decoded = decode(inform).unwrap().notification;
    let service = decoded.varbinds.iter().find(|v| v.oid == crate::snmp::well_known::TRAPLINE_SERVICE);
    let crate::message::Value::OctetString(service) = service.unwrap().value else { panic!("no text") };
    (decoded.request_id, String::from_utf8(service.to_vec()).unwrap())
}

/// Sends informs for services, of which the receiver answers each copy with these error-status; none for no answer. Gives also how many
/// datagrams it got.
fn told(answers: &[(&'static str, Option<i64>)], retries: u32) -> (Result<Vec<Fate>, Trouble>, usize) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let receiver = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let port = receiver.local_addr().unwrap().port();
        let sink = SnmpSink {
            address: Address { host: "127.0.0.1".into(), port },
            security: Security::Community("c".to_owned().into()),
            form: Form::Original,
            timeout: Duration::from_millis(100),
            retries,
        };
        let mut lane = sink.lane(&seat().0);
        let items: Vec<_> =
            (0_u64..).zip(answers).map(|(n, (service, _))| item(n, "h", Some(service), "o")).collect();
        let mut got = 0;
        let answering = async {
            let mut buffer = vec![0; 65_536];
            loop {
                let (length, from) = receiver.recv_from(&mut buffer).await.unwrap();
                got += 1;
                let (request_id, service) = service_of(&buffer[..length]);
                let (_, status) = answers.iter().find(|(name, _)| **name == *service).unwrap();
                if let Some(status) = status {
                    // What belongs to nothing, or is nothing, is passed over.
                    receiver.send_to(b"nonsense", from).await.unwrap();
                    receiver.send_to(&response(request_id ^ 0x4000_0000, 5), from).await.unwrap();
                    receiver.send_to(&response(request_id, *status), from).await.unwrap();
                }
            }
        };
        let fates = tokio::select! {
            fates = lane.send(&items) => fates,
            () = answering => unreachable!("it has no end"),
        };
        (fates, got)
    })
}

#[test]
fn what_answers_mean() {
    for (status, expected) in
        [(0, "Taken"), (1, "Dead"), (3, "Dead"), (5, "Later"), (13, "Later"), (99, "Later"), (-1, "Later")]
    {
        let (fates, got) = told(&[("a", Some(status)), ("b", Some(0))], 1);
        let fates = fates.unwrap();
        assert!(format!("{:?}", fates[0]).starts_with(expected), "{status}: {fates:?}");
        assert_eq!((&fates[1], got), (&Fate::Taken, 2));
    }
    assert!(matches!(told(&[("a", Some(16))], 1).0, Err(Trouble::Refused(..))));
}

#[test]
fn what_is_not_answered_is_repeated_and_holds_up_nothing_else() {
    for retries in [1, 2] {
        let (fates, got) = told(&[("a", None), ("b", Some(0)), ("c", Some(0))], retries);
        let fates = fates.unwrap();
        assert!(matches!(&fates[..], [Fate::Unanswered(_), Fate::Taken, Fate::Taken]), "{fates:?}");
        // What waits behind the others does not wait for more than a second copy.
        assert_eq!(got, 4);
        let (silent, got) = told(&[("a", None), ("b", None)], retries);
        assert!(matches!(silent, Err(Trouble::Unanswered(..))), "{silent:?}");
        assert_eq!(got, 2 + 2 * retries as usize);
    }
}

#[test]
fn where_nobody_listens_the_sink_waits() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let port = std::net::UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let sink = SnmpSink {
        address: Address { host: "127.0.0.1".into(), port },
        security: Security::Community("c".to_owned().into()),
        form: Form::Original,
        timeout: Duration::from_millis(100),
        retries: 1,
    };
    let mut lane = sink.lane(&seat().0);
    let trouble = runtime.block_on(lane.send(&[item(1, "h", None, "o")])).unwrap_err();
    assert!(matches!(trouble, Trouble::Away(..)), "{trouble}");
}

/// A way on which a datagram may have some 4,500 octets: that of a network can have more than any inform of such a sink.
#[derive(Debug)]
struct Narrow(Mutex<Option<UnixDatagram>>);

impl Network for Narrow {
    fn connect<'a>(&'a self, _host: &'a str, _port: u16) -> Connecting<'a> {
        Box::pin(std::future::ready(Err(std::io::ErrorKind::Unsupported.into())))
    }

    fn datagrams<'a>(&'a self, _host: &'a str, _port: u16, _turn: usize) -> Opening<'a> {
        let socket = self.0.lock().unwrap().take().unwrap();
        socket2::SockRef::from(&socket).set_send_buffer_size(1).unwrap();
        socket.set_nonblocking(true).unwrap();
        Box::pin(async move { UdpSocket::from_std(OwnedFd::from(socket).into()) })
    }
}

#[test]
fn a_datagram_that_is_too_long_for_the_way_is_a_dead_letter() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let (socket, receiver) = UnixDatagram::pair().unwrap();
    let sink = SnmpSink {
        address: Address { host: "192.0.2.1".into(), port: 162 },
        security: Security::Community("c".to_owned().into()),
        form: Form::Original,
        timeout: Duration::from_secs(5),
        retries: 0,
    };
    let mut lane = sink.lane(&Seat { network: Arc::new(Narrow(Mutex::new(Some(socket)))), ..seat().0 });
    let answering = std::thread::spawn(move || {
        let mut buffer = vec![0; 65_536];
        let length = receiver.recv(&mut buffer).unwrap();
        let (request_id, service) = service_of(&buffer[..length]);
        receiver.send(&response(request_id, 0)).unwrap();
        service
    });
    let name = "n".repeat(250);
    let items = [item(1, &name, Some(&name), &"o".repeat(5000)), item(2, "h", Some("short"), "o")];
    let fates = runtime.block_on(lane.send(&items)).unwrap();
    assert_eq!(answering.join().unwrap(), "short");
    let [Fate::Dead(why), Fate::Taken] = &fates[..] else { panic!("{fates:?}") };
    assert!(why.as_str().contains("longer than one to 192.0.2.1:162 can be"), "{why}");
}
