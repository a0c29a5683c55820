//! A connection to a broker.

use std::fmt::{self, Display};
use std::time::Duration;

use zeroize::Zeroizing;

use super::packet::{self, Connect, Found, Message, Packet, Terms};
use super::reason::Reason;
use crate::net::{self, Network};
use crate::reach::{Failure, within};
use crate::settings::address::Address;
use crate::sinks::acks::Ack;
use crate::sinks::hints::{CERTIFICATES, Hints};
use crate::sinks::link::Link;
use crate::sinks::session_lane::Progress;
use crate::sinks::sink::{Fate, Trouble, Unopened};
use crate::sinks::tls::{self, Tls};

/// How long the broker may take to answer.
const PATIENCE: Duration = Duration::from_secs(30);
/// How long it may take to read our goodbye.
const GOODBYE: Duration = Duration::from_secs(1);
/// How many seconds may pass between two packets, unless the broker says otherwise.
const KEEP_ALIVE: u16 = 60;

const HINTS: Hints = Hints {
    running: "see whether it runs, and whether url of this sink is right",
    certificates: CERTIFICATES,
    log: "see the log of the broker",
};

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
    link: Link,
    server: String,
    terms: Terms,
}

/// Messages under way.
#[derive(Debug, Default)]
pub(super) struct Flight {
    /// The places of those that are not acknowledged yet.
    waiting: Vec<usize>,
    /// The place of the next one to send.
    pub(super) next: usize,
}

impl Session {
    /// Connects and logs in.
    pub(super) async fn open(
        broker: &Broker,
        network: &dyn Network,
        client_id: &str,
    ) -> Result<Self, Unopened> {
        Ok(Self::begin(broker, network, client_id).await?)
    }

    async fn begin(broker: &Broker, network: &dyn Network, client_id: &str) -> Result<Self, Trouble> {
        let server = broker.address.to_string();
        let name = format!("the MQTT broker {server}");
        let failed = |failure: Failure| HINTS.trouble(&failure, &name);
        let connect = net::connect(network, &broker.address.host, broker.address.port);
        let stream = within(PATIENCE, connect).await.flatten().map_err(failed)?;
        let stream = within(PATIENCE, tls::begin(&broker.tls, stream)).await.flatten().map_err(failed)?;
        let mut session = Session { link: Link::new(stream), server, terms: Terms::default() };
        let login = broker.login.as_ref().map(|(user, password)| (user.as_str(), password.as_bytes()));
        let connect = Connect { client_id, login, keep_alive: KEEP_ALIVE }.encode();
        let answer = within(PATIENCE, async {
            session.link.write(&connect).await?;
            Ok(session.next().await?)
        });
        match answer.await.flatten().map_err(failed)? {
            Packet::Connected(Reason { code: 0, .. }, terms) => session.terms = terms,
            Packet::Connected(reason, _) | Packet::Ended(reason) => {
                return Err(reason.not_accepted(&session.server));
            }
            _ => return Err(session.broken(&"it does not begin with CONNACK")),
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

    /// Publishes messages, as many as the broker takes at once, and awaits what it says of one more of them. What stands in `acks` before is
    /// left alone.
    pub(super) async fn advance(
        &mut self,
        flight: &mut Flight,
        messages: &[Option<Message>],
        acks: &mut [Ack],
    ) -> Result<Progress, Trouble> {
        self.send(flight, messages, acks);
        while !flight.waiting.is_empty() {
            match self.next().await.map_err(|error| self.broken(&error))? {
                Packet::Published(number, reason) => {
                    let place = flight.waiting.iter().position(|at| identifier(*at) == number);
                    let Some(place) = place else { return Err(self.broken(&"it answers what was not sent")) };
                    let at = flight.waiting.remove(place);
                    let topic = messages[at].as_ref().map_or("", |message| &message.topic);
                    acks[at] = reason.ack(topic);
                    return Ok(Progress::More);
                }
                Packet::Pong => {}
                Packet::Ended(reason) => return Err(reason.ended(&self.server)),
                Packet::Connected(..) => return Err(self.broken(&"it says CONNACK twice")),
            }
        }
        Ok(Progress::All)
    }

    fn send(&mut self, flight: &mut Flight, messages: &[Option<Message>], acks: &mut [Ack]) {
        while flight.waiting.len() < usize::from(self.terms.at_once) && flight.next < messages.len() {
            let at = flight.next;
            flight.next += 1;
            let Some(message) = &messages[at] else { continue };
            let frame = message.encode(identifier(at));
            if frame.len() > self.terms.longest as usize {
                let (length, longest) = (frame.len(), self.terms.longest);
                let said = format!("the message has {length} bytes, and the broker takes {longest}");
                acks[at] = Ack::Fate(Fate::Dead(said.into()));
                continue;
            }
            self.link.push(&frame);
            flight.waiting.push(at);
        }
    }

    /// What it means that the broker has acknowledged nothing for `patience`.
    pub(super) fn silent(&self, patience: Duration) -> Trouble {
        let (server, seconds) = (&self.server, patience.as_secs());
        let said = format!("the MQTT broker {server} acknowledged nothing for {seconds} s");
        Trouble::Unanswered(said.into(), HINTS.log)
    }

    /// Asks whether the broker is there.
    pub(super) async fn ping(&mut self) -> Result<(), Trouble> {
        let answer = within(PATIENCE, async {
            self.link.write(&packet::PING).await?;
            Ok(self.next().await?)
        });
        match answer.await.flatten() {
            Ok(Packet::Pong) => Ok(()),
            Ok(Packet::Ended(reason)) => Err(reason.ended(&self.server)),
            Ok(_) => Err(self.broken(&"it does not answer a ping")),
            Err(failure) => Err(self.failed(&failure)),
        }
    }

    /// Ends the connection as the standard has it.
    pub(super) async fn close(mut self) {
        let goodbye = async {
            let _ = self.link.write(&packet::GOODBYE).await;
            self.link.shutdown().await;
        };
        let _ = tokio::time::timeout(GOODBYE, goodbye).await;
    }

    fn broken(&self, what: &dyn Display) -> Trouble {
        self.failed(&what.to_string().into())
    }

    fn failed(&self, failure: &Failure) -> Trouble {
        HINTS.trouble(failure, &format_args!("the MQTT broker {}", self.server))
    }

    /// The next packet.
    async fn next(&mut self) -> Result<Packet, String> {
        loop {
            match packet::parse(self.link.received()) {
                Found::Packet(packet, length) => {
                    self.link.understood(length);
                    return Ok(packet);
                }
                Found::Nonsense => return Err("it does not speak MQTT 5".to_owned()),
                Found::Partial => self.link.more().await?,
            }
        }
    }
}

/// The identifier of a message by its place; each batch has fewer than there are.
fn identifier(at: usize) -> u16 {
    at as u16 + 1
}
