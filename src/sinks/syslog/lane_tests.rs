//! Servers of RELP that take some of a batch.

use tokio::io::DuplexStream;

use super::*;
use crate::net::Connecting;
use crate::sinks::sink::Key;
use crate::sinks::testing::{item, seat};

/// What a server does with a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Does {
    Takes,
    Refuses,
    /// It says nothing, and goes on.
    Ignores,
    /// It closes the connection.
    Closes,
}

const ALL: [Does; 4] = [Does::Takes, Does::Refuses, Does::Ignores, Does::Closes];

/// A server that does this with the messages of each connection, one after the other.
#[derive(Debug, Clone, Copy)]
struct Server([Does; 3]);

impl Network for Server {
    fn connect<'a>(&'a self, _: &'a str, _: u16) -> Connecting<'a> {
        let (own, other) = tokio::io::duplex(1 << 20);
        tokio::spawn(serve(other, self.0));
        Box::pin(std::future::ready(Ok(Box::new(own) as Box<dyn Stream>)))
    }
}

async fn serve(mut stream: DuplexStream, does: [Does; 3]) {
    let (mut octets, mut at) = (Vec::new(), 0);
    while stream.read_buf(&mut octets).await.is_ok_and(|read| read > 0) {
        while let Some((number, command, length)) = frame(&octets) {
            octets.drain(..length);
            let does = if command == "syslog" { does[at] } else { Does::Takes };
            at += usize::from(command == "syslog");
            let says = match does {
                Does::Takes => "200 OK",
                Does::Refuses => "500 no",
                Does::Ignores => continue,
                Does::Closes => return,
            };
            let answer = format!("{number} rsp {} {says}\n", says.len());
            stream.write_all(answer.as_bytes()).await.unwrap();
        }
    }
}

/// The number, the command and the length of the first frame, if it is there.
fn frame(octets: &[u8]) -> Option<(u32, String, usize)> {
    let text = String::from_utf8_lossy(octets);
    let (number, rest) = text.split_once(' ')?;
    let (command, rest) = rest.split_once(' ')?;
    let digits = rest.split(|c: char| !c.is_ascii_digit()).next()?;
    let head = number.len() + command.len() + digits.len() + 3;
    let length = head + digits.parse::<usize>().unwrap() + 1;
    (octets.len() >= length).then(|| (number.parse().unwrap(), command.to_owned(), length))
}

/// Whatever a server does with three outcomes, of which the first two are of one host and service: what it took is
/// delivered, unless an earlier one has to be sent again before it, and nothing else is.
#[tokio::test(start_paused = true)]
async fn what_is_acknowledged_is_delivered_and_only_the_rest_is_sent_again_in_order() {
    let does = ALL.iter().flat_map(|a| ALL.iter().flat_map(move |b| ALL.iter().map(move |c| [*a, *b, *c])));
    let mut items: Vec<Item> = (1..=3).map(|number| item(number, "h", Some("s"), "text")).collect();
    items[2].key = Key::Known(1);
    for does in does {
        let (mut seat, _) = seat();
        seat.network = Arc::new(Server(does));
        let address = Address { host: "siem".into(), port: 2514 };
        let target = Target { protocol: Protocol::Relp, address };
        let sink = SyslogSink { target, form: Form::Rfc5424, facility: 16, most: 8192, tls: None };
        let sent = sink.lane(&seat).send(&items).await;
        let closes = does.iter().position(|does| *does == Does::Closes).unwrap_or(3);
        let answered = |at: usize| at < closes && matches!(does[at], Does::Takes | Does::Refuses);
        let taken = |at: usize| at < closes && does[at] == Does::Takes;
        if !(0..3).any(answered) {
            assert!(matches!(sent, Err(Trouble::Unanswered(..))), "{does:?}: {sent:?}");
            continue;
        }
        let fates: Vec<bool> = sent.unwrap().iter().map(|fate| matches!(fate, Fate::Taken)).collect();
        assert_eq!(fates, [taken(0), taken(0) && taken(1), taken(2)], "{does:?}");
    }
}

/// A network of real datagrams to one address.
#[derive(Debug)]
struct Datagrams(std::net::SocketAddr);

impl Network for Datagrams {
    fn connect<'a>(&'a self, _: &'a str, _: u16) -> Connecting<'a> {
        Box::pin(std::future::ready(Err(io::ErrorKind::Unsupported.into())))
    }

    fn datagrams<'a>(&'a self, _: &'a str, _: u16, turn: usize) -> net::Opening<'a> {
        Box::pin(async move { net::Internet.datagrams("127.0.0.1", self.0.port(), turn).await })
    }
}

/// An outcome whose fields alone make a longer datagram than there can be is refused, and holds up no other.
#[tokio::test]
async fn what_no_datagram_holds_is_a_dead_letter() {
    let receiver = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let (mut seat, _) = seat();
    seat.network = Arc::new(Datagrams(receiver.local_addr().unwrap()));
    for form in [Form::Rfc5424, Form::Cef, Form::Leef] {
        let address = Address { host: "siem".into(), port: 514 };
        let target = Target { protocol: Protocol::Udp, address };
        let sink = SyslogSink { target, form, facility: 16, most: 8192, tls: None };
        let long = "s".repeat(LONGEST_DATAGRAM);
        let items =
            [item(1, "h", Some("s"), "a"), item(2, "h", Some(&long), "b"), item(3, "h", Some("s"), "c")];
        let fates = sink.lane(&seat).send(&items).await.unwrap();
        let Fate::Dead(said) = &fates[1] else { panic!("{form:?}: {fates:?}") };
        assert!(said.as_str().contains("longer than one to udp://siem:514 can be"), "{said}");
        assert_eq!((&fates[0], &fates[2]), (&Fate::Taken, &Fate::Taken), "{form:?}");
    }
}
