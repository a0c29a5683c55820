//! A connection to a broker.

use std::fmt::{self, Display};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use zeroize::Zeroizing;

use super::packet::{self, Connect, Found, Message, Packet, Terms};
use super::reason::Reason;
use crate::net::{Network, Stream};
use crate::settings::address::Address;
use crate::sinks::acks::Ack;
use crate::sinks::sink::{Fate, Hint, Said, Trouble};
use crate::sinks::tls::{self, Tls};

/// How long the broker may take to answer.
const PATIENCE: Duration = Duration::from_secs(30);
const SILENT: &str = "no answer within 30 s";
/// How many seconds may pass between two packets, unless the broker says otherwise.
const KEEP_ALIVE: u16 = 60;

const RUNNING: Hint = "see whether it runs, and whether url of this sink is right";
const CERTIFICATES: Hint = "check ca_file, fingerprint, server_name, cert_file and key_file of this sink";
const LOG: Hint = "see the log of the broker";

/// A broker.
#[derive(Clone)]
pub(super) struct Broker {
    pub(super) address: Address,
    pub(super) tls: Tls,
    pub(super) login: Option<(String, Zeroizing<String>)>,
    /// Who we are; empty for a name of the broker's choice.
    pub(super) client_id: String,
    /// Whether messages are to be kept by it.
    pub(super) retain: bool,
}

impl fmt::Debug for Broker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Broker").field("address", &self.address).finish_non_exhaustive()
    }
}

/// A connection that the broker has accepted.
pub(super) struct Session {
    stream: Box<dyn Stream>,
    buffer: Vec<u8>,
    server: String,
    terms: Terms,
}

impl Session {
    /// Connects and logs in.
    pub(super) async fn open(
        broker: &Broker,
        network: &dyn Network,
        client_id: &str,
    ) -> Result<Self, Trouble> {
        let server = broker.address.to_string();
        let away = |error: &dyn Display| {
            Trouble::Away(format!("cannot connect to the MQTT broker {server}: {error}").into(), RUNNING)
        };
        let connect = network.connect(&broker.address.host, broker.address.port);
        let stream = tokio::time::timeout(PATIENCE, connect).await;
        let stream = stream.map_err(|_| away(&SILENT))?.map_err(|error| away(&error))?;
        let stream = tokio::time::timeout(PATIENCE, tls::begin(&broker.tls, stream)).await;
        let stream = stream.map_err(|_| away(&SILENT))?.map_err(|error| {
            Trouble::Away(format!("no TLS with the MQTT broker {server}: {error}").into(), CERTIFICATES)
        })?;
        let mut session =
            Session { stream, buffer: Vec::new(), server: server.clone(), terms: Terms::default() };
        let login = broker.login.as_ref().map(|(user, password)| (user.as_str(), password.as_bytes()));
        let connect = Connect { client_id, login, keep_alive: KEEP_ALIVE }.encode();
        let answer = tokio::time::timeout(PATIENCE, async {
            session.write(&connect).await?;
            session.next().await
        });
        let answer = answer.await.unwrap_or_else(|_| Err(SILENT.to_owned()));
        match answer {
            Ok(Packet::Connected(Reason { code: 0, .. }, terms)) => session.terms = terms,
            Ok(Packet::Connected(reason, _) | Packet::Ended(reason)) => {
                return Err(reason.not_accepted(&session.server));
            }
            Ok(_) => return Err(away(&"it does not begin with CONNACK")),
            Err(error) => return Err(away(&error)),
        }
        session.fits(broker)?;
        Ok(session)
    }

    /// Whether the broker can do what is wanted.
    fn fits(&self, broker: &Broker) -> Result<(), Trouble> {
        let refused = |what: &str, hint| {
            Err(Trouble::Refused(format!("the MQTT broker {} {what}", self.server).into(), hint))
        };
        if self.terms.qos == 0 {
            return refused("takes no messages at QoS 1", "use a broker that takes messages at QoS 1");
        }
        if broker.retain && !self.terms.retains {
            return refused("keeps no messages", "set retain = false");
        }
        Ok(())
    }

    /// After how long of silence something must be said; none if never.
    pub(super) fn keep_alive(&self) -> Option<Duration> {
        let seconds = self.terms.keep_alive.unwrap_or(KEEP_ALIVE);
        // Half of it, so that a packet that is late is in time.
        (seconds > 0).then(|| Duration::from_millis(u64::from(seconds) * 500))
    }

    /// Publishes messages, and awaits what the broker says of each. What stands in `acks` before is left alone. Says whether
    /// the connection can be used again, else why it ended.
    pub(super) async fn publish(
        &mut self,
        messages: &[Option<Message>],
        acks: &mut [Ack],
    ) -> Result<(), Trouble> {
        let mut waiting: Vec<usize> = Vec::with_capacity(messages.len());
        let mut next = 0;
        loop {
            let mut frames = Vec::new();
            while waiting.len() < usize::from(self.terms.at_once) && next < messages.len() {
                let at = next;
                next += 1;
                let Some(message) = &messages[at] else { continue };
                let frame = message.encode(identifier(at));
                if frame.len() > self.terms.longest as usize {
                    let (length, longest) = (frame.len(), self.terms.longest);
                    let said = format!("the message has {length} bytes, and the broker takes {longest}");
                    acks[at] = Ack::Fate(Fate::Dead(said.into()));
                    continue;
                }
                frames.extend_from_slice(&frame);
                waiting.push(at);
            }
            if waiting.is_empty() {
                return Ok(());
            }
            let answer = tokio::time::timeout(PATIENCE, async {
                // What is written may fail because the broker has ended the connection: its reason counts.
                let written = if frames.is_empty() { Ok(()) } else { self.write(&frames).await };
                self.next().await.map_err(|error| written.err().unwrap_or(error))
            });
            match answer.await.unwrap_or_else(|_| Err(SILENT.to_owned())) {
                Ok(Packet::Published(number, reason)) => {
                    let place = waiting.iter().position(|at| identifier(*at) == number);
                    let Some(place) = place else { return Err(self.broken(&"it answers what was not sent")) };
                    let at = waiting.remove(place);
                    let topic = messages[at].as_ref().map_or("", |message| &message.topic);
                    acks[at] = reason.ack(topic);
                }
                Ok(Packet::Pong) => {}
                Ok(Packet::Ended(reason)) => return Err(reason.ended(&self.server)),
                Ok(Packet::Connected(..)) => return Err(self.broken(&"it says CONNACK twice")),
                Err(error) => return Err(self.broken(&error)),
            }
        }
    }

    /// Asks whether the broker is there.
    pub(super) async fn ping(&mut self) -> Result<(), Trouble> {
        let answer = tokio::time::timeout(PATIENCE, async {
            self.write(&packet::PING).await?;
            self.next().await
        });
        match answer.await.unwrap_or_else(|_| Err(SILENT.to_owned())) {
            Ok(Packet::Pong) => Ok(()),
            Ok(Packet::Ended(reason)) => Err(reason.ended(&self.server)),
            Ok(_) => Err(self.broken(&"it does not answer a ping")),
            Err(error) => Err(self.broken(&error)),
        }
    }

    /// Ends the connection as the standard has it.
    pub(super) async fn close(mut self) {
        let _ = self.write(&packet::GOODBYE).await;
        let _ = self.stream.shutdown().await;
    }

    fn broken(&self, what: &dyn Display) -> Trouble {
        let said = Said::from(format!("the MQTT broker {} broke off: {what}", self.server));
        Trouble::Unanswered(said, LOG)
    }

    async fn write(&mut self, octets: &[u8]) -> Result<(), String> {
        let written = async {
            self.stream.write_all(octets).await?;
            self.stream.flush().await
        };
        written.await.map_err(|error| error.to_string())
    }

    /// The next packet.
    async fn next(&mut self) -> Result<Packet, String> {
        loop {
            match packet::parse(&self.buffer) {
                Found::Packet(packet, length) => {
                    self.buffer.drain(..length);
                    return Ok(packet);
                }
                Found::Nonsense => return Err("it does not speak MQTT 5".to_owned()),
                Found::Partial => match self.stream.read_buf(&mut self.buffer).await {
                    Ok(0) => return Err("it closed the connection".to_owned()),
                    Ok(_) => {}
                    Err(error) => return Err(error.to_string()),
                },
            }
        }
    }
}

/// The identifier of a message by its place; each batch has fewer than there are.
fn identifier(at: usize) -> u16 {
    at as u16 + 1
}
