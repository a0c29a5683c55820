//! The side that sends: traps under an engine of its own, informs under that of who receives them.

use crate::message::{Notification, Oid};
use crate::snmp::ber::{self, tag};
use crate::snmp::encode;
use crate::snmp::response::Response;
use crate::snmp::usm::engine::{Engine, Keys, WINDOW};
use crate::snmp::usm::envelope::{AUTH, Envelope, MAX_SIZE, PRIV, REPORTABLE, Sealing};
use crate::snmp::usm::report::Counter;
use crate::snmp::usm::salts::Salts;
use crate::snmp::usm::scoped::{ScopedPdu, scoped_pdu};
use crate::snmp::usm::user::User;

/// A user that sends.
pub struct Originator {
    user: User,
    engine: Engine,
    keys: Option<Keys>,
    context: Vec<u8>,
    salts: Salts,
}

/// The engine that informs go to, as far as it told of itself.
#[derive(Debug, Clone)]
pub struct Peer {
    id: Vec<u8>,
    boots: u32,
    time: u32,
    /// When it said so, in seconds.
    heard: u64,
    keys: Option<Keys>,
}

/// A message that waits for an answer, by the numbers that the answer repeats.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Asked {
    /// msgID
    pub message_id: i32,
    /// request-id of the PDU
    pub request_id: i32,
}

/// What came back.
#[derive(Debug)]
pub enum Reply {
    /// The inform was taken.
    Acknowledged,
    /// The engine is another one than it was taken for, or its time is another.
    Engine(Box<Peer>),
    /// It does not take the message.
    Refused(Refusal),
    /// Something else: an answer to another message, or one that is not proven.
    Other,
}

/// Why the far end does not take a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// usmStatsUnsupportedSecLevels
    #[error("it wants another security level of this user; compare --auth and --priv with its configuration")]
    Level,
    /// usmStatsUnknownUserNames
    #[error("it does not know the user; compare --user with its configuration")]
    User,
    /// usmStatsWrongDigests
    #[error("the digest is wrong; compare the auth protocol and password with its configuration")]
    Digest,
    /// usmStatsDecryptionErrors
    #[error("it cannot decrypt the message; compare the priv protocol and password with its configuration")]
    Decryption,
    /// snmpUnknownPDUHandlers
    #[error("it takes no informs")]
    NoHandler,
    /// An error-status of a Response (RFC 3416, section 3).
    #[error("it answered with the error {0}")]
    Status(&'static str),
    /// Any other Report.
    #[error("it answered with a Report of an unknown kind")]
    Other,
}

fn keys(user: &User, engine: &[u8]) -> Option<Keys> {
    Some((user.auth_key(engine)?, user.priv_key(engine)))
}

impl Originator {
    /// A user that sends traps as this engine.
    ///
    /// # Errors
    ///
    /// If no random numbers are to be had.
    pub fn new(user: User, engine: Engine, context: &[u8]) -> Result<Self, String> {
        // Its boots are not counted, so that they cannot keep salts of two processes apart.
        let salts = Salts::random()?;
        Ok(Originator { keys: keys(&user, &engine.id), user, engine, context: context.to_owned(), salts })
    }

    /// A trap; none if it cannot be encrypted. `now` is in seconds of the clock that the engine's start was read from.
    pub fn trap(&self, trap: &Notification<'_>, message_id: i32, now: u64) -> Option<Vec<u8>> {
        let sealing = Sealing {
            message_id: message_id.into(),
            max_size: MAX_SIZE,
            flags: self.user.flags(),
            engine: &self.engine.id,
            boots: self.engine.boots,
            time: self.engine.time(now),
            user: self.user.name.as_bytes(),
            keys: self.keys.as_ref(),
        };
        sealing.seal(&self.scoped(trap), &self.salts)
    }

    /// The question who the far end is (RFC 3414, section 4).
    pub fn discovery(&self, message_id: i32) -> Option<Vec<u8>> {
        let sealing = Sealing {
            message_id: message_id.into(),
            max_size: MAX_SIZE,
            flags: REPORTABLE,
            engine: &[],
            boots: 0,
            time: 0,
            user: b"",
            keys: None,
        };
        // A GetRequest-PDU without varbinds.
        let pdu = [2, 1, 0, 2, 1, 0, 2, 1, 0, 0x30, 0];
        sealing.seal(&scoped_pdu((&[], &[]), tag::GET, &pdu), &self.salts)
    }

    /// The engine that a Report to a discovery tells of; none if the packet is no Report to the discovery with this msgID. `now` is
    /// in seconds.
    pub fn peer(&self, discovery: i32, report: &[u8], now: u64) -> Option<Peer> {
        let envelope = Envelope::read(report).ok()?;
        let is_report = envelope.plain().is_some_and(|scoped| scoped.pdu.tag == tag::REPORT);
        (is_report && envelope.message_id == i64::from(discovery))
            .then(|| self.told(&envelope, now))
            .flatten()
    }

    fn told(&self, envelope: &Envelope<'_>, now: u64) -> Option<Peer> {
        let id = envelope.engine.to_vec();
        let keys = keys(&self.user, &id);
        (!id.is_empty()).then_some(Peer { id, boots: envelope.boots, time: envelope.time, heard: now, keys })
    }

    /// An inform; none if it cannot be encrypted. `now` is in seconds.
    pub fn inform(
        &self,
        peer: &Peer,
        inform: &Notification<'_>,
        message_id: i32,
        now: u64,
    ) -> Option<Vec<u8>> {
        let sealing = Sealing {
            message_id: message_id.into(),
            max_size: MAX_SIZE,
            flags: self.user.flags() | REPORTABLE,
            engine: &peer.id,
            boots: peer.boots,
            time: peer.time_at(now),
            user: self.user.name.as_bytes(),
            keys: peer.keys.as_ref(),
        };
        sealing.seal(&self.scoped(inform), &self.salts)
    }

    /// What a packet says that came back from this peer. It counts only where it repeats the numbers of the question; a Response and
    /// another time only where they are proven as the user's messages are.
    pub fn reply(&self, peer: &Peer, asked: Asked, packet: &[u8], now: u64) -> Reply {
        self.read_reply(peer, asked, packet, now).unwrap_or(Reply::Other)
    }

    fn read_reply(&self, peer: &Peer, asked: Asked, packet: &[u8], now: u64) -> Option<Reply> {
        let envelope = Envelope::read(packet).ok()?;
        if envelope.message_id != i64::from(asked.message_id) {
            return None;
        }
        let proves = self.user.flags() & AUTH;
        if envelope.flags & AUTH != 0 && !peer.keys.as_ref().is_some_and(|keys| envelope.proven(&keys.0)) {
            return None;
        }
        let plain = match peer.keys.as_ref().and_then(|keys| keys.1.as_ref()) {
            Some(key) if envelope.flags & PRIV != 0 => {
                let at = (envelope.boots, envelope.time);
                let mut plain = Vec::new();
                key.decrypt(envelope.data.content, at, envelope.salt, &mut plain)?;
                ber::expect(tag::SEQUENCE)(&plain).ok()?.1.to_vec()
            }
            _ => envelope.data.content.to_vec(),
        };
        let pdu = ScopedPdu::read(&plain)?.pdu;
        match pdu.tag {
            tag::RESPONSE if envelope.level() == self.user.flags() && peer.in_time(&envelope, now) => {
                let response = Response::read(pdu.content)?;
                let answers = response.request_id == i64::from(asked.request_id);
                let refused = |status| Reply::Refused(Refusal::Status(status));
                answers.then(|| response.error().map_or(Reply::Acknowledged, refused))
            }
            tag::REPORT => Some(match reported(pdu.content)? {
                Some(Counter::NotInTimeWindows) if envelope.flags & AUTH != proves => return None,
                Some(Counter::NotInTimeWindows | Counter::UnknownEngineIds) => {
                    Reply::Engine(Box::new(self.told(&envelope, now)?))
                }
                Some(Counter::UnsupportedSecLevels) => Reply::Refused(Refusal::Level),
                Some(Counter::UnknownUserNames) => Reply::Refused(Refusal::User),
                Some(Counter::WrongDigests) => Reply::Refused(Refusal::Digest),
                Some(Counter::DecryptionErrors) => Reply::Refused(Refusal::Decryption),
                Some(Counter::UnknownPduHandlers) => Reply::Refused(Refusal::NoHandler),
                None => Reply::Refused(Refusal::Other),
            }),
            _ => None,
        }
    }

    fn scoped(&self, notification: &Notification<'_>) -> Vec<u8> {
        let (pdu_tag, pdu) = encode::pdu(notification);
        scoped_pdu((&self.engine.id, &self.context), pdu_tag, &pdu)
    }
}

impl Peer {
    /// Its time, as far as it is known.
    fn time_at(&self, now: u64) -> u32 {
        self.time.saturating_add(u32::try_from(now.saturating_sub(self.heard)).unwrap_or(0))
    }

    /// Whether a message of this engine is in time (RFC 3414, section 3.2, step 7b). Without authentication there is no time.
    fn in_time(&self, envelope: &Envelope<'_>, now: u64) -> bool {
        let late = u64::from(envelope.time) + WINDOW < u64::from(self.time_at(now));
        envelope.engine == self.id
            && (envelope.level() == 0
                || envelope.boots > self.boots
                || (envelope.boots == self.boots && !late))
    }
}

/// The counter that the PDU of a Report carries; none for one that is not known.
fn reported(pdu: &[u8]) -> Option<Option<Counter>> {
    let (rest, _request_id) = ber::integer(pdu).ok()?;
    let (rest, _status) = ber::integer(rest).ok()?;
    let (rest, _index) = ber::integer(rest).ok()?;
    let (_, list) = ber::expect(tag::SEQUENCE)(rest).ok()?;
    let (_, varbind) = ber::expect(tag::SEQUENCE)(list).ok()?;
    let (_, oid) = ber::expect(tag::OBJECT_ID)(varbind).ok()?;
    Some(Counter::of_oid(&Oid::from_ber(oid)?))
}
