//! The protocol has no acknowledgement. A batch goes over a connection of its own and counts as taken when the daemon, which
//! reads up to the end, closes its side in turn; one that closes before has refused something.

use std::fmt::{self, Debug};
use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use zeroize::Zeroizing;

use super::cipher::Method;
use super::packet::{IV, Packet, Size};
use crate::net::{self, Network};
use crate::outcome::record::Record;
use crate::outcome::result::Outcome;
use crate::reach::within;
use crate::settings::address::Address;
use crate::sinks::hints::Hints;
use crate::sinks::piece::{Format, Piece};
use crate::sinks::plugin_output::Newlines;
use crate::sinks::sink::{
    Destination, Fate, Hint, Item, Lane, Limits, Order, Pieces, Said, Seat, Sending, Sink, Trouble,
};
use crate::time::clock::{Clock, Mono};

/// How long the daemon may take for a batch.
const PATIENCE: Duration = Duration::from_secs(30);
/// Octets of the daemon's greeting: the initialisation vector and its time.
const GREETING: usize = IV + 4;
/// How long the daemon is given at least to refuse what was sent, and at most.
const REFUSAL: (Duration, Duration) = (Duration::from_millis(10), Duration::from_secs(2));
/// How long a batch that was taken proves the password. Only one packet needs the proof: behind a packet that the daemon refuses, others
/// are left unread, so that the connection breaks.
const PROOF: Duration = Duration::from_mins(1);

const RUNNING: Hint = "see whether it runs, and whether allowed_hosts has this machine";
const HINTS: Hints = Hints { running: RUNNING, certificates: RUNNING, log: RUNNING };
const REFUSED: Hint = "compare password and encryption_method with its configuration";

/// An NSCA daemon.
#[derive(Clone)]
pub struct Nsca {
    /// Where it is.
    pub address: Address,
    /// The password of its configuration.
    pub password: Zeroizing<String>,
    /// The encryption method of its configuration.
    pub method: Method,
    /// How much output fits into a packet.
    pub size: Size,
    /// How further lines are written.
    pub newlines: Newlines,
}

impl Debug for Nsca {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Nsca").field("address", &self.address).finish_non_exhaustive()
    }
}

impl Sink for Nsca {
    fn limits(&self) -> Limits {
        Limits { items: 512, order: Order::Kept, ..Limits::default() }
    }

    fn takes_events(&self) -> bool {
        false
    }

    fn pieces(&self, record: &Record<'_>) -> Option<Pieces> {
        let Outcome::CheckResult(check) = &record.outcome else { return None };
        let to = Piece::new(Format::Words, format!("to {}:", self.address));
        let packet = Packet::new(check, self.size, self.newlines).map(|(packet, _)| packet.pieces(self.size));
        Some(packet.map(|fields| [to].into_iter().chain(fields).collect()).map_err(Said::from))
    }

    fn destination(&self) -> Destination {
        Destination::Server(self.address.host.clone(), self.address.port)
    }

    fn lane(&self, seat: &Seat) -> Box<dyn Lane> {
        let Seat { clock, network, .. } = seat;
        Box::new(NscaLane {
            daemon: self.clone(),
            clock: clock.clone(),
            network: network.clone(),
            proven: None,
        })
    }
}

/// A connection for each batch.
struct NscaLane {
    daemon: Nsca,
    clock: Arc<dyn Clock>,
    network: Arc<dyn Network>,
    /// When the daemon took a batch last, if nothing has gone wrong since.
    proven: Option<Mono>,
}

impl Lane for NscaLane {
    fn send<'a>(&'a mut self, items: &'a [Item]) -> Sending<'a> {
        Box::pin(self.deliver(items))
    }
}

impl NscaLane {
    async fn deliver(&mut self, items: &[Item]) -> Result<Vec<Fate>, Trouble> {
        let mut packets = Vec::with_capacity(items.len());
        let mut fates = Vec::with_capacity(items.len());
        for item in items {
            let record = item.record();
            let Some(Outcome::CheckResult(check)) = record.as_ref().map(|record| &record.outcome) else {
                fates.push(Fate::Dead("the outcome is no check result".into()));
                continue;
            };
            fates.push(match Packet::new(check, self.daemon.size, self.daemon.newlines) {
                Ok((packet, cut)) => {
                    packets.push(packet);
                    if cut { Fate::Cut } else { Fate::Taken }
                }
                Err(error) => Fate::Dead(error.into()),
            });
        }
        if packets.is_empty() {
            return Ok(fates);
        }
        let now = self.clock.now().mono;
        let is_proven = packets.len() > 1 || self.proven.take().is_some_and(|last| now.since(last) < PROOF);
        let least = if is_proven { REFUSAL.0 } else { REFUSAL.1 };
        match within(PATIENCE, self.exchange(&packets, least)).await {
            Ok(sent) => {
                sent?;
                self.proven = Some(now);
                Ok(fates)
            }
            Err(late) => {
                Err(HINTS.unanswered(&late, &format_args!("the NSCA daemon {}", self.daemon.address)))
            }
        }
    }

    /// Gives the daemon at least the time `least` to refuse.
    async fn exchange(&self, packets: &[Packet], least: Duration) -> Result<(), Trouble> {
        let Nsca { address, password, method, size, .. } = &self.daemon;
        let start = self.clock.now().mono;
        let ungreeted = |error: io::Error| {
            Trouble::Away(format!("no greeting from the NSCA daemon {address}: {error}").into(), RUNNING)
        };
        let broken = |error: &dyn fmt::Display, hint| {
            Trouble::Unanswered(format!("the NSCA daemon {address} broke off: {error}").into(), hint)
        };
        let stream = net::connect(&*self.network, &address.host, address.port).await;
        let mut stream =
            stream.map_err(|failure| HINTS.trouble(&failure, &format_args!("the NSCA daemon {address}")))?;
        let mut greeting = [0; GREETING];
        stream.read_exact(&mut greeting).await.map_err(ungreeted)?;
        let round_trips = self.clock.now().mono.since(start);
        let (iv, time) = greeting.split_at(IV);
        let time = u32::from_be_bytes([time[0], time[1], time[2], time[3]]);
        let mut cipher = method.cipher(password.as_bytes(), iv);
        let mut bytes = Vec::with_capacity(packets.len() * size.octets());
        for packet in packets {
            let start = bytes.len();
            packet.push(&mut bytes, time, *size);
            cipher.encrypt(&mut bytes[start..]);
        }
        stream.write_all(&bytes).await.map_err(|error| broken(&error, REFUSED))?;
        // Before our end is there, it has no reason to close. A refusal needs a round trip; the connection took two.
        let patience = (round_trips * 2).clamp(least, REFUSAL.1);
        if let Ok(ended) = tokio::time::timeout(patience, stream.read(&mut greeting)).await {
            let error = ended.map_or_else(|e| e.to_string(), |_| "it closed the connection".to_owned());
            return Err(broken(&error, REFUSED));
        }
        stream.shutdown().await.map_err(|error| broken(&error, REFUSED))?;
        match stream.read(&mut greeting).await {
            Ok(0) => Ok(()),
            Ok(_) => Err(broken(&"it says more than its greeting, as no NSCA daemon does", RUNNING)),
            Err(error) => Err(broken(&error, REFUSED)),
        }
    }
}
