//! A daemon that reads one packet and refuses it after a while, as one with another password does.

use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
use zeroize::Zeroizing;

use super::cipher::Method;
use super::lane::Nsca;
use super::packet::{IV, Size};
use crate::net::{Connecting, Network, Stream};
use crate::settings::address::Address;
use crate::sinks::plugin_output::Newlines;
use crate::sinks::sink::{Fate, Sink, Trouble};
use crate::sinks::testing::{item, seat};

/// After how long it closes the connections that it refuses: the first ones, up to this many.
#[derive(Debug)]
struct Slow {
    refuses: std::sync::atomic::AtomicUsize,
    after: Duration,
}

impl Network for Slow {
    fn connect<'a>(&'a self, _: &'a str, _: u16) -> Connecting<'a> {
        use std::sync::atomic::Ordering::Relaxed;
        let (own, other) = tokio::io::duplex(1 << 20);
        let refuses = self.refuses.fetch_update(Relaxed, Relaxed, |left| left.checked_sub(1)).is_ok();
        tokio::spawn(serve(other, refuses.then_some(self.after)));
        Box::pin(std::future::ready(Ok(Box::new(own) as Box<dyn Stream>)))
    }
}

async fn serve(mut stream: DuplexStream, refuses: Option<Duration>) {
    stream.write_all(&[7; IV + 4]).await.unwrap();
    let mut packets = vec![0; Size::Long.octets()];
    stream.read_exact(&mut packets).await.unwrap();
    match refuses {
        Some(after) => tokio::time::sleep(after).await,
        None => drop(stream.read_to_end(&mut packets).await),
    }
}

/// However slowly a daemon refuses within two seconds, what it refuses is not delivered.
#[tokio::test(start_paused = true)]
async fn a_refusal_that_takes_its_time_is_heard() {
    for after in [0, 11, 100, 1900].map(Duration::from_millis) {
        let (mut seat, _) = seat();
        seat.network = Arc::new(Slow { refuses: 3.into(), after });
        let address = Address { host: "n".into(), port: 5667 };
        let daemon = Nsca {
            address,
            password: Zeroizing::new("another one".to_owned()),
            method: Method::Xor,
            size: Size::Long,
            newlines: Newlines::Joined,
        };
        let mut lane = daemon.lane(&seat);
        let one = [item(1, "h", Some("s"), "text")];
        for _ in 0..3 {
            let sent = lane.send(&one).await;
            assert!(matches!(sent, Err(Trouble::Unanswered(..))), "{after:?}: {sent:?}");
        }
        assert_eq!(lane.send(&one).await.unwrap(), [Fate::Taken], "{after:?}");
    }
}
