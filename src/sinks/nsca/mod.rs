//! The nsca sink: check results for the NSCA daemon, protocol version 3.
//!
//! The protocol has no acknowledgement. A batch goes over a connection of its own and counts as taken when the daemon,
//! which reads up to the end, closes its side in turn; one that closes before has refused something.

mod cipher;
mod packet;

use std::collections::VecDeque;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::outcome::record::Record;
use crate::outcome::result::Outcome;
use crate::sinks::adapter::{PushSink, Pushed, SinkError, Taken};
use crate::sinks::settings::NscaConfig;
pub use cipher::Method;
use packet::Packet;
pub use packet::Size;

/// How long the daemon may take for a batch.
const PATIENCE: Duration = Duration::from_secs(30);
/// Octets of the daemon's greeting: the initialisation vector and its time.
const GREETING: usize = packet::IV + 4;

/// Check results for an NSCA daemon.
pub struct Nsca {
    config: NscaConfig,
    pending: VecDeque<Packet>,
}

impl Nsca {
    /// A sink for this daemon.
    pub fn new(config: NscaConfig) -> Self {
        Nsca { config, pending: VecDeque::new() }
    }

    fn unavailable(&self, what: &str, error: impl ToString, hint: &'static str) -> SinkError {
        SinkError::unavailable(format!("{what} the NSCA daemon {}", self.config.address), error, hint)
    }

    async fn send(&self) -> Result<(), SinkError> {
        let running = "see whether it runs, and whether allowed_hosts has this machine";
        let mut stream = TcpStream::connect(&self.config.address)
            .await
            .map_err(|error| self.unavailable("cannot connect to", error, running))?;
        let mut greeting = [0; GREETING];
        stream
            .read_exact(&mut greeting)
            .await
            .map_err(|error| self.unavailable("no greeting from", error, running))?;
        let (iv, time) = greeting.split_at(packet::IV);
        let time = u32::from_be_bytes([time[0], time[1], time[2], time[3]]);
        let mut cipher = self.config.method.cipher(self.config.password.as_bytes(), iv);
        let mut bytes = Vec::with_capacity(self.pending.len() * self.config.size.octets());
        for packet in &self.pending {
            let start = bytes.len();
            packet.push(&mut bytes, time, self.config.size);
            cipher.encrypt(&mut bytes[start..]);
        }
        let refused = "compare password and encryption_method with its configuration";
        stream.write_all(&bytes).await.map_err(|error| self.unavailable("broken off by", error, refused))?;
        // Before our end is there, it has no reason to close.
        match tokio::time::timeout(Duration::ZERO, stream.read(&mut greeting)).await {
            Err(_) => {}
            Ok(ended) => {
                let error = ended.map_or_else(|e| e.to_string(), |_| "it closed the connection".to_owned());
                return Err(self.unavailable("broken off by", error, refused));
            }
        }
        stream.shutdown().await.map_err(|error| self.unavailable("broken off by", error, refused))?;
        match stream.read(&mut greeting).await {
            Ok(0) => Ok(()),
            Ok(_) => Err(self.unavailable("unexpected words from", "no NSCA daemon answers so", running)),
            Err(error) => Err(self.unavailable("broken off by", error, refused)),
        }
    }
}

impl PushSink for Nsca {
    fn push(&mut self, record: &Record<'_>) -> Pushed {
        let Outcome::CheckResult(check) = &record.outcome else { return Pushed::Skipped };
        let (packet, cut) = Packet::new(check, self.config.size);
        self.pending.push_back(packet);
        if cut { Pushed::Cut } else { Pushed::Queued }
    }

    async fn flush(&mut self) -> Result<Taken, SinkError> {
        if self.pending.is_empty() {
            return Ok(Taken::All);
        }
        match tokio::time::timeout(PATIENCE, self.send()).await {
            Ok(sent) => sent?,
            Err(_) => {
                return Err(SinkError::NotTaken(format!(
                    "the NSCA daemon {} has not taken a batch within 30 s",
                    self.config.address
                )));
            }
        }
        self.pending.clear();
        Ok(Taken::All)
    }

    fn reset(&mut self) {
        self.pending.clear();
    }
}
