//! The side that sends: traps under an engine of its own, informs under that of who receives them.

use crate::message::{Notification, Oid};
use crate::snmp::ber::{self, tag};
use crate::snmp::encode;
use crate::snmp::usm::engine::{Engine, Keys};
use crate::snmp::usm::envelope::{AUTH, Envelope, PRIV, REPORTABLE, Salts, Sealing, scoped_pdu};
use crate::snmp::usm::user::User;

/// A user that sends.
pub struct Originator {
    user: User,
    engine: Engine,
    keys: Option<Keys>,
    context: Vec<u8>,
    salts: Salts,
}

/// The engine that informs go to, as a Report told of it.
pub struct Peer {
    id: Vec<u8>,
    boots: u32,
    time: u32,
    /// When it said so, in seconds since 1970.
    heard: u64,
    keys: Option<Keys>,
}

/// What came back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reply {
    /// The inform with this request-id was answered.
    Acknowledged(i64),
    /// The engine told its id, boots and time; ask it for them with [`Originator::peer`].
    Engine,
    /// It does not take the message.
    Refused(Refusal),
    /// Something else.
    Other,
}

/// Why the far end does not take a message, by the counter of its Report (RFC 3414, section 5).
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
    /// Any other.
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
        let salts = Salts::new(engine.boots)?;
        Ok(Originator { keys: keys(&user, &engine.id), user, engine, context: context.to_owned(), salts })
    }

    /// A trap; none if it cannot be encrypted. `now` is in seconds since 1970.
    pub fn trap(&self, trap: &Notification<'_>, message_id: i32, now: u64) -> Option<Vec<u8>> {
        let sealing = Sealing {
            message_id: message_id.into(),
            flags: self.user.flags(),
            engine: &self.engine.id,
            boots: self.engine.boots,
            time: self.engine.time(now),
            user: &self.user.name,
            keys: self.keys.as_ref(),
        };
        sealing.seal(&self.scoped(trap), &self.salts)
    }

    /// The question who the far end is (RFC 3414, section 4).
    pub fn discovery(&self, message_id: i32) -> Option<Vec<u8>> {
        let sealing = Sealing {
            message_id: message_id.into(),
            flags: REPORTABLE,
            engine: &[],
            boots: 0,
            time: 0,
            user: "",
            keys: None,
        };
        // A GetRequest-PDU without varbinds.
        let pdu = [2, 1, 0, 2, 1, 0, 2, 1, 0, 0x30, 0];
        sealing.seal(&scoped_pdu((&[], &[]), tag::GET, &pdu), &self.salts)
    }

    /// What a Report tells of the engine that it comes from. `now` is in seconds since 1970.
    pub fn peer(&self, report: &[u8], now: u64) -> Option<Peer> {
        let envelope = Envelope::read(report).ok()?;
        let id = envelope.engine.to_vec();
        let keys = keys(&self.user, &id);
        (!id.is_empty()).then_some(Peer { id, boots: envelope.boots, time: envelope.time, heard: now, keys })
    }

    /// An inform; none if it cannot be encrypted. `now` is in seconds since 1970.
    pub fn inform(
        &self,
        peer: &Peer,
        inform: &Notification<'_>,
        message_id: i32,
        now: u64,
    ) -> Option<Vec<u8>> {
        let passed = u32::try_from(now.saturating_sub(peer.heard)).unwrap_or(0);
        let sealing = Sealing {
            message_id: message_id.into(),
            flags: self.user.flags() | REPORTABLE,
            engine: &peer.id,
            boots: peer.boots,
            time: peer.time.saturating_add(passed),
            user: &self.user.name,
            keys: peer.keys.as_ref(),
        };
        sealing.seal(&self.scoped(inform), &self.salts)
    }

    /// What a packet says that came back from this peer. An answer counts only where it is proven as the user's is.
    pub fn reply(&self, peer: &Peer, packet: &[u8]) -> Reply {
        self.read_reply(peer, packet).unwrap_or(Reply::Other)
    }

    fn read_reply(&self, peer: &Peer, packet: &[u8]) -> Option<Reply> {
        let envelope = Envelope::read(packet).ok()?;
        let mut content = envelope.data.content.to_vec();
        if let (true, Some(keys)) = (envelope.flags & AUTH != 0, &peer.keys) {
            if !envelope.proven(&keys.0, packet) {
                return None;
            }
            if let (true, Some(key)) = (envelope.flags & PRIV != 0, &keys.1) {
                let plain =
                    key.decrypt(envelope.data.content, envelope.boots, envelope.time, envelope.salt).ok()?;
                content = ber::expect(tag::SEQUENCE)(&plain).ok()?.1.to_vec();
            }
        }
        let (rest, _engine) = ber::tlv(&content).ok()?;
        let (rest, _context) = ber::tlv(rest).ok()?;
        let (_, pdu) = ber::tlv(rest).ok()?;
        let (rest, request_id) = ber::integer(pdu.content).ok()?;
        match pdu.tag {
            tag::RESPONSE if envelope.flags & (AUTH | PRIV) == self.user.flags() => {
                Some(Reply::Acknowledged(request_id))
            }
            tag::REPORT => Some(match reported(rest)? {
                2 | 4 => Reply::Engine,
                1 => Reply::Refused(Refusal::Level),
                3 => Reply::Refused(Refusal::User),
                5 => Reply::Refused(Refusal::Digest),
                6 => Reply::Refused(Refusal::Decryption),
                _ => Reply::Refused(Refusal::Other),
            }),
            _ => None,
        }
    }

    fn scoped(&self, notification: &Notification<'_>) -> Vec<u8> {
        let (pdu_tag, pdu) = encode::pdu(notification);
        scoped_pdu((&self.engine.id, &self.context), pdu_tag, &pdu)
    }
}

/// The counter of usmStats that a Report names, by its last arc; the rest of a PDU behind its request-id.
fn reported(rest: &[u8]) -> Option<u32> {
    let (rest, _status) = ber::integer(rest).ok()?;
    let (rest, _index) = ber::integer(rest).ok()?;
    let (_, list) = ber::expect(tag::SEQUENCE)(rest).ok()?;
    let (_, varbind) = ber::expect(tag::SEQUENCE)(list).ok()?;
    let (_, oid) = ber::expect(tag::OBJECT_ID)(varbind).ok()?;
    let arcs: Vec<u32> = Oid::from_ber(oid)?.arcs().collect();
    match arcs.as_slice() {
        [1, 3, 6, 1, 6, 3, 15, 1, 1, stat, 0] => Some(*stat),
        _ => Some(0),
    }
}
