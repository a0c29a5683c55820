//! Sends informs and awaits their Responses. An inform is repeated until it is answered, or often enough; copies have the same
//! request-id, so that the receiver knows them.

use std::fmt::{self, Debug};
use std::io::{self, ErrorKind};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::UdpSocket;
use tokio::time::Instant;
use zeroize::Zeroizing;

use super::message::{Form, Head};
use crate::engine_id;
use crate::message::{Notification, Version};
use crate::net::{Network, is_too_long};
use crate::outcome::codec;
use crate::outcome::record::Record;
use crate::settings::address::Address;
use crate::sinks::piece::{Format, Piece};
use crate::sinks::sink::{
    Destination, Fate, Hint, Item, Lane, Limits, Order, Pieces, Said, Seat, Sending, Sink, Trouble, too_long,
};
use crate::snmp::usm::originate::{Asked, Originator, Peer, Refusal, Reply};
use crate::snmp::usm::{Engine, User};
use crate::snmp::{Response, encode};
use crate::time::clock::{Clock, Mono};

/// How many informs are under way at once.
const AT_ONCE: usize = 64;
/// The longest datagram in octets: what IPv4 leaves of 65,535.
const LONGEST: usize = 65_507;
/// How often the receiver may tell its time anew while some informs are under way.
const CORRECTIONS: u32 = 8;
/// So many copies of an inform are sent where the receiver answers others: what waits behind them does not wait for more.
const COPIES: usize = 2;
/// Where no engine id can be read, the one that stands for it: that of `trapline send`.
const ENGINE: &[u8] = b"\x80\x00\x7e\xd9\x04trapline";

const RUNNING: Hint =
    "see whether it runs, and whether it takes informs from this machine, with this community or user";
const CREDENTIALS: Hint = "compare user, auth and priv with its configuration";

/// A receiver of informs.
#[derive(Clone)]
pub struct SnmpSink {
    /// Where it is.
    pub address: Address,
    /// How informs are secured.
    pub security: Security,
    /// What is sent.
    pub form: Form,
    /// How long the first try waits.
    pub timeout: Duration,
    /// How many tries follow.
    pub retries: u32,
}

/// How informs are secured.
#[derive(Clone)]
pub enum Security {
    /// v2c, by this community.
    Community(Zeroizing<String>),
    /// v3, by this user, in this context.
    User(User, String),
}

impl Debug for SnmpSink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SnmpSink").field("address", &self.address).finish_non_exhaustive()
    }
}

impl SnmpSink {
    fn version(&self) -> Version {
        match self.security {
            Security::Community(_) => Version::V2c,
            Security::User(..) => Version::V3,
        }
    }
}

impl Sink for SnmpSink {
    fn limits(&self) -> Limits {
        Limits { items: AT_ONCE, bytes: 1 << 20, order: Order::OneByOne, ..Limits::default() }
    }

    fn wants_originals(&self) -> bool {
        // The path of the notification is in it, whatever is sent.
        true
    }

    fn pieces(&self, record: &Record<'_>) -> Option<Pieces> {
        let how = match self.form {
            Form::Original => "inform, as the notification came, else",
            Form::Outcome => "inform",
        };
        let to = Piece::new(Format::Words, format!("{how} to {}:", self.address));
        // Without its secrets.
        let (form, version) = (Form::Outcome, self.version());
        let head = Head { form, version, community: b"", own: b"", uptime: 0, request_id: 0 };
        let inform = head.notify(record, None, |inform, _| encode::encode(inform));
        Some(inform.map(|inform| vec![to, Piece::new(Format::Snmp, inform)]))
    }

    fn destination(&self) -> Destination {
        // Of datagrams nothing can be seen without sending one.
        Destination::Unknown
    }

    fn lane(&self, seat: &Seat) -> Box<dyn Lane> {
        Box::new(SnmpLane {
            sink: self.clone(),
            engine: seat.engine.clone(),
            clock: seat.clock.clone(),
            network: seat.network.clone(),
            began: seat.clock.now().mono,
            own: Vec::new(),
            number: getrandom::u32().unwrap_or(0),
            turn: 0,
            session: None,
        })
    }
}

/// The way to a receiver.
struct SnmpLane {
    sink: SnmpSink,
    engine: PathBuf,
    clock: Arc<dyn Clock>,
    network: Arc<dyn Network>,
    began: Mono,
    /// The engine id of this daemon, once it was read.
    own: Vec<u8>,
    /// The last request-id or msgID.
    number: u32,
    /// Which address of the receiver is next.
    turn: usize,
    session: Option<Session>,
}

/// What is known of the receiver.
struct Session {
    socket: UdpSocket,
    /// In v3, who sends, and the engine that receives.
    v3: Option<(Originator, Peer)>,
}

/// An inform under way.
struct Pending {
    place: usize,
    request_id: i32,
    /// Of v3: an answer to an earlier copy is one, too.
    message_ids: Vec<i32>,
}

impl Lane for SnmpLane {
    fn send<'a>(&'a mut self, items: &'a [Item]) -> Sending<'a> {
        Box::pin(self.deliver(items))
    }
}

impl SnmpLane {
    async fn deliver(&mut self, items: &[Item]) -> Result<Vec<Fate>, Trouble> {
        let mut session = match self.session.take() {
            Some(session) => session,
            None => self.open().await?,
        };
        let mut fates: Vec<Option<Fate>> = vec![None; items.len()];
        let mut is_answered = false;
        match self.exchange(&mut session, items, &mut fates, &mut is_answered).await {
            Ok(()) => self.session = Some(session),
            // What was answered until then stays so.
            Err(trouble) if fates.iter().all(Option::is_none) => return Err(trouble),
            Err(_) => {}
        }
        let unanswered = || {
            if is_answered {
                Fate::Unanswered("others sent with it were answered, and it was not".into())
            } else {
                Fate::Later("it was not answered".into())
            }
        };
        Ok(fates.into_iter().map(|fate| fate.unwrap_or_else(unanswered)).collect())
    }

    fn seconds(&self) -> u64 {
        self.clock.now().mono.seconds()
    }

    /// A number from 1 to 2^31-1, other than the last ones.
    fn next_number(&mut self) -> i32 {
        self.number = self.number.wrapping_add(1) & (i32::MAX as u32);
        self.number.max(1) as i32
    }

    fn away(&self, what: &str, error: &io::Error) -> Trouble {
        Trouble::Away(format!("{what} {}: {error}", self.sink.address).into(), RUNNING)
    }

    fn silent(&self) -> Trouble {
        let what = format!("{} answers no inform", self.sink.address);
        Trouble::Unanswered(what.into(), RUNNING)
    }

    async fn open(&mut self) -> Result<Session, Trouble> {
        if self.own.is_empty() {
            let read = engine_id::read(&self.engine).ok().flatten();
            self.own = read.map_or_else(|| ENGINE.to_vec(), |(id, _)| id);
        }
        let Address { host, port } = self.sink.address.clone();
        let turn = self.turn;
        self.turn = turn.wrapping_add(1);
        let opening = self.network.datagrams(&host, port, turn);
        let socket = opening.await.map_err(|error| self.away("cannot send to", &error))?;
        let v3 = match self.sink.security.clone() {
            Security::Community(_) => None,
            Security::User(user, context) => {
                let engine = Engine { id: self.own.clone(), boots: 1, started: 0 };
                let originator = Originator::new(user, engine, context.as_bytes());
                let originator = originator.map_err(|error| {
                    Trouble::Away(error.into(), "see that this machine has random numbers")
                })?;
                let peer = self.discover(&socket, &originator).await?;
                Some((originator, peer))
            }
        };
        Ok(Session { socket, v3 })
    }

    /// When each try ends, from now on.
    fn tries(&self) -> impl Iterator<Item = Instant> + use<> {
        let (mut until, mut wait) = (Instant::now(), self.sink.timeout);
        (0..=self.sink.retries).map(move |_| {
            until += wait;
            wait *= 2;
            until
        })
    }

    /// Asks the receiver who it is.
    async fn discover(&mut self, socket: &UdpSocket, originator: &Originator) -> Result<Peer, Trouble> {
        let mut asked = Vec::new();
        for until in self.tries() {
            let number = self.next_number();
            asked.push(number);
            if let Some(question) = originator.discovery(number) {
                self.put(socket, &question).await?;
            }
            while let Some(answer) = self.get(socket, until).await? {
                let now = self.seconds();
                if let Some(peer) = asked.iter().find_map(|number| originator.peer(*number, &answer, now)) {
                    return Ok(peer);
                }
            }
        }
        let what = format!("{} does not say which SNMP engine it is", self.sink.address);
        Err(Trouble::Away(what.into(), "see whether it runs and has SNMPv3 configured"))
    }

    async fn put(&self, socket: &UdpSocket, datagram: &[u8]) -> Result<(), Trouble> {
        self.was_put(socket.send(datagram).await)
    }

    fn was_put(&self, sent: io::Result<usize>) -> Result<(), Trouble> {
        match sent {
            // Of a datagram before; that nobody is there still is said by the next answer.
            Err(error) if error.kind() != ErrorKind::ConnectionRefused => {
                Err(self.away("cannot send to", &error))
            }
            _ => Ok(()),
        }
    }

    /// The next datagram that comes until then.
    async fn get(&self, socket: &UdpSocket, until: Instant) -> Result<Option<Vec<u8>>, Trouble> {
        let mut buffer = vec![0; LONGEST];
        match tokio::time::timeout_at(until, socket.recv(&mut buffer)).await {
            Err(_) => Ok(None),
            Ok(Ok(length)) => {
                buffer.truncate(length);
                Ok(Some(buffer))
            }
            Ok(Err(error)) => Err(self.away("nobody takes informs at", &error)),
        }
    }

    async fn exchange(
        &mut self,
        session: &mut Session,
        items: &[Item],
        fates: &mut [Option<Fate>],
        is_answered: &mut bool,
    ) -> Result<(), Trouble> {
        let mut pending: Vec<Pending> = (0..items.len())
            .map(|place| Pending { place, request_id: self.next_number(), message_ids: Vec::new() })
            .collect();
        let mut cuts = vec![false; items.len()];
        let mut corrections = 0;
        for (before, until) in self.tries().enumerate() {
            if *is_answered && before >= COPIES {
                break;
            }
            for one in &mut pending {
                self.send_one(session, items, one, fates, &mut cuts).await?;
            }
            pending.retain(|one| fates[one.place].is_none());
            while !pending.is_empty() {
                let Some(answer) = self.get(&session.socket, until).await? else { break };
                let Some((at, reply)) = self.read(session, &pending, &answer) else { continue };
                *is_answered |= matches!(reply, Reply::Acknowledged | Reply::Refused(Refusal::Status(_)));
                match reply {
                    Reply::Acknowledged => {
                        let place = pending.swap_remove(at).place;
                        fates[place] = Some(if cuts[place] { Fate::Cut } else { Fate::Taken });
                    }
                    Reply::Refused(Refusal::Status(status)) => {
                        let place = pending.swap_remove(at).place;
                        fates[place] = Some(judge(status)?);
                    }
                    Reply::Refused(refusal) => return Err(self.refused(refusal)),
                    // It has started anew, or the clocks have parted.
                    Reply::Engine(told) => {
                        corrections += 1;
                        if corrections > CORRECTIONS {
                            return Err(self.silent());
                        }
                        if let Some((_, peer)) = &mut session.v3 {
                            *peer = *told;
                        }
                        self.send_one(session, items, &mut pending[at], fates, &mut cuts).await?;
                    }
                    Reply::Other => {}
                }
            }
            if pending.is_empty() {
                return Ok(());
            }
        }
        Err(self.silent())
    }

    /// Sends a copy of an inform, or settles it if it cannot be sent.
    async fn send_one(
        &mut self,
        session: &Session,
        items: &[Item],
        one: &mut Pending,
        fates: &mut [Option<Fate>],
        cuts: &mut [bool],
    ) -> Result<(), Trouble> {
        let item = &items[one.place];
        let Some(record) = item.record() else {
            fates[one.place] = Some(Fate::Dead("the outcome is damaged".into()));
            return Ok(());
        };
        let message_id = self.next_number();
        match self.packet(session, &record, item, one.request_id, message_id) {
            Ok((packet, cut)) => {
                one.message_ids.push(message_id);
                cuts[one.place] = cut;
                match session.socket.send(&packet).await {
                    Err(error) if is_too_long(&error) => {
                        fates[one.place] = Some(Fate::Dead(too_long(packet.len(), &self.sink.address)));
                        Ok(())
                    }
                    sent => self.was_put(sent),
                }
            }
            Err(reason) => {
                fates[one.place] = Some(Fate::Dead(reason));
                Ok(())
            }
        }
    }

    fn packet(
        &self,
        session: &Session,
        record: &Record<'_>,
        item: &Item,
        request_id: i32,
        message_id: i32,
    ) -> Result<(Vec<u8>, bool), Said> {
        let now = self.clock.now().mono;
        let uptime = (now.since(self.began).as_millis() / 10) as u32;
        let community = match &self.sink.security {
            Security::Community(community) => community.as_bytes(),
            Security::User(..) => b"",
        };
        let (form, version, own) = (self.sink.form, self.sink.version(), &self.own);
        let head = Head { form, version, community, own, uptime, request_id };
        let seal = |inform: &Notification<'_>| match &session.v3 {
            None => Some(encode::encode(inform)),
            Some((originator, peer)) => originator.inform(peer, inform, message_id, now.seconds()),
        };
        let sealed =
            head.notify(record, codec::original_of(&item.payload), |inform, cut| (seal(inform), cut))?;
        match sealed {
            (None, _) => Err("it cannot be encrypted".into()),
            (Some(packet), _) if packet.len() > LONGEST => Err(too_long(packet.len(), &self.sink.address)),
            (Some(packet), cut) => Ok((packet, cut)),
        }
    }

    /// Which inform a datagram answers, and what it says.
    fn read(&self, session: &Session, pending: &[Pending], answer: &[u8]) -> Option<(usize, Reply)> {
        let Some((originator, peer)) = &session.v3 else {
            let response = Response::of_v2c(answer)?;
            let at = pending.iter().position(|one| i64::from(one.request_id) == response.request_id)?;
            let refused = |status| Reply::Refused(Refusal::Status(status));
            return Some((at, response.error().map_or(Reply::Acknowledged, refused)));
        };
        let now = self.seconds();
        pending.iter().enumerate().find_map(|(at, one)| {
            one.message_ids.iter().find_map(|&message_id| {
                let asked = Asked { message_id, request_id: one.request_id };
                match originator.reply(peer, asked, answer, now) {
                    Reply::Other => None,
                    reply => Some((at, reply)),
                }
            })
        })
    }

    fn refused(&self, refusal: Refusal) -> Trouble {
        let why = match refusal {
            Refusal::Level => "it wants another security level of this user",
            Refusal::User => "it does not know the user",
            Refusal::Digest => "the digest is wrong",
            Refusal::Decryption => "it cannot decrypt the message",
            Refusal::NoHandler => "it takes no informs",
            Refusal::Status(_) | Refusal::Other => "it answers with a Report of an unknown kind",
        };
        Trouble::Refused(format!("{} refuses informs: {why}", self.sink.address).into(), CREDENTIALS)
    }
}

/// What an error-status means for the inform.
fn judge(status: &'static str) -> Result<Fate, Trouble> {
    let said = Said::new(&format!("it answers {status}"));
    match status {
        "tooBig" | "badValue" | "wrongType" | "wrongLength" | "wrongEncoding" | "wrongValue" => {
            Ok(Fate::Dead(said))
        }
        "authorizationError" | "noAccess" => {
            Err(Trouble::Refused(said, "see what the community or the user may do there"))
        }
        _ => Ok(Fate::Later(said)),
    }
}
