//! What all servers may do to a lane, whatever they speak.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
use tokio::time::Instant;

use crate::journal::progress::Progress;
use crate::net::{Connecting, Network, Stream};
use crate::sinks::machine::{Machine, Settings};
use crate::sinks::sink::{Fate, Item, Key, Sink, Trouble};
use crate::sinks::testing::{configured, item, seat};
use crate::time::clock::Mono;

/// What a server speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Speaks {
    Nats,
    Mqtt,
}

/// What it does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Does {
    /// It acknowledges nothing, and says every ten seconds that it is there.
    KeepsAlive,
    /// It reads nothing more, and says every ten seconds that it is there.
    StopsReading,
    /// It acknowledges a message every twenty seconds.
    IsSlow,
    /// It answers the login with these octets, and closes.
    Ends(&'static [u8]),
}

#[derive(Debug)]
struct Server(Speaks, Does);

impl Network for Server {
    fn connect<'a>(&'a self, _: &'a str, _: u16) -> Connecting<'a> {
        let (own, other) = tokio::io::duplex(4096);
        tokio::spawn(serve(other, self.0, self.1));
        Box::pin(std::future::ready(Ok(Box::new(own) as Box<dyn Stream>)))
    }
}

async fn serve(mut stream: DuplexStream, speaks: Speaks, does: Does) -> Option<()> {
    if speaks == Speaks::Nats {
        let info = b"INFO {\"max_payload\":1048576,\"headers\":true,\"jetstream\":true}\r\n";
        stream.write_all(info).await.ok()?;
    }
    let mut octets = [0; 4096];
    let _ = stream.read(&mut octets).await.ok()?;
    let (welcome, ping): (&[u8], &[u8]) = match speaks {
        Speaks::Nats => (b"PONG\r\n", b"PING\r\n"),
        Speaks::Mqtt => (&[0x20, 3, 0, 0, 0], &[0xd0, 0]),
    };
    if let Does::Ends(octets) = does {
        return stream.write_all(octets).await.ok();
    }
    stream.write_all(welcome).await.ok()?;
    let mut text = String::new();
    loop {
        match does {
            Does::IsSlow if text.matches("HPUB ").count() == 3 || speaks == Speaks::Mqtt => break,
            Does::StopsReading => {}
            _ => {
                let read = tokio::time::timeout(Duration::from_secs(10), stream.read(&mut octets)).await;
                if let Ok(read) = read {
                    let read = read.ok().filter(|read| *read > 0)?;
                    text.push_str(&String::from_utf8_lossy(&octets[..read]));
                    continue;
                }
            }
        }
        tokio::time::sleep(Duration::from_secs(10)).await;
        stream.write_all(ping).await.ok()?;
    }
    for at in 1..=3_u8 {
        tokio::time::sleep(Duration::from_secs(20)).await;
        match speaks {
            Speaks::Nats => {
                let reply = text.split("HPUB ").nth(usize::from(at))?.split(' ').nth(1)?;
                let ack = "{\"stream\":\"S\",\"seq\":1}";
                let answer = format!("MSG {reply} 1 {}\r\n{ack}\r\n", ack.len());
                stream.write_all(answer.as_bytes()).await.ok()?;
            }
            Speaks::Mqtt => stream.write_all(&[0x40, 2, 0, at]).await.ok()?,
        }
    }
    // It reads to the end.
    while stream.read(&mut octets).await.ok()? > 0 {}
    Some(())
}

fn sink(speaks: Speaks) -> Arc<dyn Sink> {
    let lines = match speaks {
        Speaks::Nats => "type = \"nats\"\nurl = \"nats://n\"",
        Speaks::Mqtt => "type = \"mqtt\"\nurl = \"mqtt://b\"",
    };
    configured(lines).0.unwrap()
}

async fn sent(speaks: Speaks, does: Does, length: usize) -> (Result<Vec<Fate>, Trouble>, Duration) {
    let (mut seat, _) = seat();
    seat.network = Arc::new(Server(speaks, does));
    let mut lane = sink(speaks).lane(&seat);
    let text = "x".repeat(length);
    let items: Vec<Item> = (1..=3).map(|number| item(number, "h", Some("s"), &text)).collect();
    let start = Instant::now();
    let sent = tokio::time::timeout(Duration::from_mins(5), lane.send(&items)).await;
    (sent.unwrap_or_else(|_| panic!("{speaks:?} {does:?}: nobody ends it")), start.elapsed())
}

/// Only an acknowledgement gives a server more time; a sign of life does not, and no write waits longer.
#[tokio::test(start_paused = true)]
async fn a_server_that_acknowledges_nothing_is_left() {
    for speaks in [Speaks::Nats, Speaks::Mqtt] {
        for (does, length) in
            [(Does::KeepsAlive, 10), (Does::KeepsAlive, 10_000), (Does::StopsReading, 10_000)]
        {
            let (sent, time) = sent(speaks, does, length).await;
            assert!(matches!(sent, Err(Trouble::Unanswered(..))), "{speaks:?} {does:?}: {sent:?}");
            assert_eq!(time.as_secs(), 30, "{speaks:?} {does:?}");
        }
        let (slow, time) = sent(speaks, Does::IsSlow, 10).await;
        assert_eq!(slow.unwrap(), [Fate::Taken, Fate::Taken, Fate::Taken], "{speaks:?}");
        assert!(time > Duration::from_secs(59), "{speaks:?}: {time:?}");
    }
}

/// Whatever a server answers to a login: it has seen no outcome, so none is at fault.
#[tokio::test(start_paused = true)]
async fn what_happens_while_a_connection_is_opened_is_no_fault_of_an_outcome() {
    let nats: [&[u8]; 10] = [
        b"-ERR 'maximum control line exceeded'\r\n",
        b"-ERR 'Maximum Payload Violation'\r\n",
        b"-ERR 'Invalid Publish Subject'\r\n",
        b"-ERR 'Unknown Protocol Operation'\r\n",
        b"-ERR 'Parser Error'\r\n",
        b"-ERR 'Permissions Violation for Publish to \"a\"'\r\n",
        b"-ERR 'Authorization Violation'\r\n",
        b"-ERR 'whatever'\r\n",
        b"\xff\xff\r\n",
        b"",
    ];
    let mut table: Vec<(Speaks, &'static [u8])> = nats.map(|octets| (Speaks::Nats, octets)).to_vec();
    for code in 0x80..=0xff_u8 {
        table.push((Speaks::Mqtt, Box::leak(Box::new([0xe0, 1, code]))));
        table.push((Speaks::Mqtt, Box::leak(Box::new([0x20, 3, 0, code, 0]))));
    }
    table.extend([
        (Speaks::Mqtt, &b""[..]),
        (Speaks::Mqtt, b"HTTP/1.1 400"),
        (Speaks::Mqtt, b"\x40\x02\0\x01"),
    ]);
    for (speaks, octets) in table {
        let (sent, _) = sent(speaks, Does::Ends(octets), 10).await;
        let right = matches!(sent, Err(Trouble::Away(..) | Trouble::Refused(..) | Trouble::Busy(..)));
        assert!(right, "{speaks:?} {octets:?}: {sent:?}");
    }
}

/// A server that acknowledges each message at once, but those of the host `bad`. Keeps when it got these.
#[derive(Debug, Clone)]
struct Forgetful {
    speaks: Speaks,
    /// How many messages it takes at once.
    at_once: u8,
    tries: Arc<Mutex<Vec<Instant>>>,
}

impl Network for Forgetful {
    fn connect<'a>(&'a self, _: &'a str, _: u16) -> Connecting<'a> {
        let (own, other) = tokio::io::duplex(1 << 20);
        tokio::spawn(self.clone().serve(other));
        Box::pin(std::future::ready(Ok(Box::new(own) as Box<dyn Stream>)))
    }
}

impl Forgetful {
    async fn serve(self, mut stream: DuplexStream) -> Option<()> {
        if self.speaks == Speaks::Nats {
            let info = b"INFO {\"max_payload\":1048576,\"headers\":true,\"jetstream\":true}\r\n";
            stream.write_all(info).await.ok()?;
        }
        let mut octets = Vec::new();
        loop {
            while let Some((length, answer)) = self.answer(&octets) {
                octets.drain(..length);
                stream.write_all(&answer).await.ok()?;
            }
            if stream.read_buf(&mut octets).await.ok()? == 0 {
                return None;
            }
        }
    }

    /// How long the first message is, if it is there, and what the server says to it.
    fn answer(&self, octets: &[u8]) -> Option<(usize, Vec<u8>)> {
        if self.speaks == Speaks::Nats {
            let line = octets.windows(2).position(|two| two == b"\r\n")?;
            let text = String::from_utf8_lossy(&octets[..line]).into_owned();
            let words: Vec<&str> = text.split(' ').collect();
            return match words[0] {
                "PING" => Some((line + 2, b"PONG\r\n".to_vec())),
                "HPUB" => {
                    let length = line + 2 + words[4].parse::<usize>().unwrap() + 2;
                    let ack = "{\"stream\":\"S\",\"seq\":1}";
                    let ack = format!("MSG {} 1 {}\r\n{ack}\r\n", words[2], ack.len());
                    Some((length, self.acknowledge(octets.get(..length)?, ack.as_bytes())))
                }
                _ => Some((line + 2, Vec::new())),
            };
        }
        let size = octets.get(1..)?.iter().position(|octet| octet & 0x80 == 0)? + 1;
        let digits = octets[1..=size].iter().rev();
        let length = size + 1 + digits.fold(0, |length, octet| length << 7 | usize::from(octet & 0x7f));
        let frame = octets.get(..length)?;
        let answer = match frame[0] >> 4 {
            1 => vec![0x20, 6, 0, 0, 3, 0x21, 0, self.at_once],
            3 => {
                let topic = usize::from(u16::from_be_bytes([frame[size + 1], frame[size + 2]]));
                self.acknowledge(frame, &[0x40, 2, frame[size + 3 + topic], frame[size + 4 + topic]])
            }
            _ => Vec::new(),
        };
        Some((length, answer))
    }

    fn acknowledge(&self, message: &[u8], ack: &[u8]) -> Vec<u8> {
        if !message.windows(5).any(|five| five == b"\"bad\"") {
            return ack.to_vec();
        }
        self.tries.lock().unwrap().push(Instant::now());
        Vec::new()
    }
}

/// An outcome of a host of its own, or of the one that is never acknowledged.
fn outcome(number: u64, is_bad: bool) -> Item {
    let host = if is_bad { "bad".to_owned() } else { format!("h{number}") };
    Item { key: Key::Known(number), ..item(number, &host, Some("s"), "text") }
}

/// What is never acknowledged holds up what is sent with it for a short while, and nothing that was not sent at all.
#[tokio::test(start_paused = true)]
async fn a_batch_waits_little_for_what_is_never_acknowledged() {
    for (speaks, at_once) in [(Speaks::Nats, 255), (Speaks::Mqtt, 255), (Speaks::Mqtt, 1)] {
        let (mut seat, _) = seat();
        seat.network = Arc::new(Forgetful { speaks, at_once, tries: Arc::default() });
        let mut lane = sink(speaks).lane(&seat);
        let items = [1, 2, 3].map(|number| outcome(number, number == 2));
        let start = Instant::now();
        let fates = lane.send(&items).await.unwrap();
        assert_eq!(start.elapsed().as_secs(), 5, "{speaks:?}");
        assert!(matches!(&fates[..2], [Fate::Taken, Fate::Unanswered(_)]), "{speaks:?}: {fates:?}");
        let third: &[Fate] = if at_once == 1 { &[] } else { &[Fate::Taken] };
        assert_eq!(&fates[2..], third, "{speaks:?}");
        // Alone it has more time, and the connection is not taken for an old one.
        assert_eq!(lane.send(&items[..1]).await.unwrap(), [Fate::Taken]);
        let start = Instant::now();
        let alone = lane.send(&items[1..2]).await;
        assert!(matches!(alone, Err(Trouble::Unanswered(..))), "{speaks:?}: {alone:?}");
        assert_eq!(start.elapsed().as_secs(), 30, "{speaks:?}");
    }
}

/// One outcome that is never acknowledged: it is tried ever more seldom and given up, and the others go on.
#[tokio::test(start_paused = true)]
async fn what_is_never_acknowledged_is_tried_ever_more_seldom_and_given_up() {
    const BAD: u64 = 10;
    let (second, give_up) = (Duration::from_secs(1), Duration::from_mins(40));
    for speaks in [Speaks::Nats, Speaks::Mqtt] {
        let server = Forgetful { speaks, at_once: 255, tries: Arc::default() };
        let (mut seat, _) = seat();
        seat.network = Arc::new(server.clone());
        let sink = sink(speaks);
        let settings = Settings { limits: sink.limits(), rate: None, give_up };
        let mut machine = Machine::new(settings, Progress::before(1), 1);
        let mut lane = sink.lane(&seat);
        let start = Instant::now();
        let now = || Mono::from_nanos(1 + u64::try_from(start.elapsed().as_nanos()).unwrap());
        let (mut longest, mut died) = (Duration::ZERO, None);
        while start.elapsed() < give_up * 2 {
            // One a second.
            while second * u32::try_from(machine.position()).unwrap() <= start.elapsed() {
                let number = machine.position();
                machine.read(outcome(number, number == BAD), now());
            }
            machine.tick(now());
            let Some(batch) = machine.next(0, now()) else {
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            };
            let result = lane.send(&batch.items).await;
            for (item, fate) in batch.items.iter().zip(result.iter().flatten()) {
                if *fate == Fate::Taken {
                    let came = second * u32::try_from(item.sequence).unwrap();
                    longest = longest.max(start.elapsed().saturating_sub(came));
                }
            }
            machine.answered(0, result, now());
            for dead in machine.take_dead() {
                assert_eq!((dead.item.sequence, died), (BAD, None), "{speaks:?}");
                died = Some(start.elapsed());
                machine.letter_written(&dead);
            }
        }
        assert!(longest < Duration::from_secs(32), "{speaks:?}: {longest:?}");
        assert!(machine.open() < 2, "{speaks:?}: {}", machine.open());
        let died = died.unwrap_or_else(|| panic!("{speaks:?}: it is not given up"));
        assert!(died >= give_up && died < give_up + Duration::from_mins(6), "{speaks:?}: {died:?}");
        let tries = server.tries.lock().unwrap().clone();
        let gaps: Vec<Duration> = tries.windows(2).map(|two| two[1].duration_since(two[0])).collect();
        // The first lone try may be of a server that answers nothing.
        assert!(gaps[1..].iter().all(|gap| *gap >= Duration::from_mins(1)), "{speaks:?}: {gaps:?}");
        let late = &gaps[gaps.len() - 3..];
        assert!(late.iter().all(|gap| *gap > Duration::from_mins(2)), "{speaks:?}: {gaps:?}");
        assert!((10..26).contains(&tries.len()), "{speaks:?}: {gaps:?}");
    }
}
