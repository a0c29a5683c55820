//! What all servers may do to a lane, whatever they speak.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
use tokio::time::Instant;

use crate::net::{Connecting, Network, Stream};
use crate::sinks::sink::{Fate, Item, Trouble};
use crate::sinks::testing::{configured, item, seat};

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

async fn sent(speaks: Speaks, does: Does, length: usize) -> (Result<Vec<Fate>, Trouble>, Duration) {
    let lines = match speaks {
        Speaks::Nats => "type = \"nats\"\nurl = \"nats://n\"",
        Speaks::Mqtt => "type = \"mqtt\"\nurl = \"mqtt://b\"",
    };
    let (mut seat, _) = seat();
    seat.network = std::sync::Arc::new(Server(speaks, does));
    let mut lane = configured(lines).0.unwrap().lane(&seat);
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
