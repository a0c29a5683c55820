//! The User-based Security Model for receiving (RFC 3414, RFC 3826, RFC 7860): who sent a v3 message, whether it is
//! as it was sent, and what is in it. Without I/O and without a clock; the cryptography is async-snmp's.
//!
//! Of traps the sender is the authoritative engine: its keys are localised when it is first seen, and kept once a
//! message of it was proven. Of informs this daemon is: senders learn its engine id, boots and time by Reports.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

pub use async_snmp::v3::{AuthProtocol, PrivProtocol};
pub use async_snmp::v3::{
    DesSaltState, LocalizedKey, MasterKeys, PersistedDesSaltState, PrivKey, SaltCounter,
};
use snmp_parser::{SecurityModel, SecurityParameters, parse_snmp_v3};

use super::ber::{self, push_integer, push_tlv, tag};
use crate::message::Oid;

/// How far a message's time may be off, in seconds (RFC 3414, section 2.2.3).
const WINDOW: u64 = 150;
/// How many senders' keys and clocks are kept.
const MAX_ENGINES: usize = 20_000;

/// A user and its keys, not yet bound to an engine.
#[derive(Debug, Clone)]
pub struct User {
    /// The user name.
    pub name: String,
    keys: Option<Arc<MasterKeys>>,
    private: bool,
}

impl User {
    /// A user without authentication.
    pub fn open(name: &str) -> Self {
        User { name: name.to_owned(), keys: None, private: false }
    }

    /// A user whose messages must be authenticated, and encrypted where a second protocol is given.
    ///
    /// # Errors
    ///
    /// If a password is too short (8 characters, RFC 3414, section 11.2) or the protocols do not go together.
    pub fn new(
        name: &str,
        (auth, password): (AuthProtocol, &[u8]),
        privacy: Option<(PrivProtocol, &[u8])>,
    ) -> Result<Self, String> {
        let mut keys = MasterKeys::new(auth, password).map_err(|e| e.to_string())?;
        if let Some((protocol, password)) = privacy {
            keys = keys.with_privacy(protocol, password).map_err(|e| e.to_string())?;
        }
        Ok(User { name: name.to_owned(), keys: Some(Arc::new(keys)), private: privacy.is_some() })
    }

    /// The flags of its security level (RFC 3412, section 6.4).
    fn level(&self) -> u8 {
        match (&self.keys, self.private) {
            (None, _) => 0,
            (Some(_), false) => AUTH,
            (Some(_), true) => AUTH | PRIV,
        }
    }
}

impl std::fmt::Debug for Usm {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Usm").field("users", &self.users.len()).finish_non_exhaustive()
    }
}

/// This daemon as an authoritative engine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Engine {
    /// snmpEngineID.
    pub id: Vec<u8>,
    /// snmpEngineBoots.
    pub boots: u32,
    /// When this boot began, in seconds since 1970.
    pub started: u64,
}

/// All users, and what is known of the engines that send.
pub struct Usm {
    users: Vec<User>,
    engine: Engine,
    own_keys: Vec<Option<Arc<Keys>>>,
    aes_salt: SaltCounter,
    des_salt: DesSaltState,
    senders: Mutex<Senders>,
}

#[derive(Default)]
struct Senders {
    /// By user and engine, only where a message has proven the pair.
    keys: HashMap<(usize, Box<[u8]>), Arc<Keys>>,
    clocks: HashMap<Box<[u8]>, Clock>,
    /// The counters of usmStats, by their last arc less one (RFC 3414, section 5).
    stats: [u32; 6],
}

type Keys = (LocalizedKey, Option<PrivKey>);

#[derive(Debug, Clone, Copy)]
struct Clock {
    boots: u32,
    time: u32,
    seen: u64,
}

/// A message whose security is in order.
#[derive(Debug)]
pub struct Opened<'p> {
    /// The scoped PDU.
    pub scoped: Cow<'p, [u8]>,
    /// The place of its user among the users.
    user: usize,
    message_id: i64,
    flags: u8,
    /// Whether the sender waits for an answer, so that this daemon is the authoritative engine.
    pub confirmed: bool,
}

/// Why a v3 message is not taken, and the Report that the sender gets.
#[derive(Debug)]
pub struct Refused {
    /// Why.
    pub why: UsmError,
    /// The packet to answer with.
    pub report: Option<Vec<u8>>,
}

/// Why a v3 message is not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UsmError {
    /// The envelope cannot be read.
    #[error("broken SNMPv3 envelope")]
    Envelope,
    /// Not the User-based Security Model.
    #[error("security model {0} is not known; let the device use USM")]
    Model(u32),
    /// A sender that asks who this engine is.
    #[error("a sender asks for the engine id")]
    Discovery,
    /// A user that is not configured.
    #[error("unknown SNMPv3 user '{0}'; add it to [[snmp.users]]")]
    User(String),
    /// Less or more security than the user has.
    #[error("SNMPv3 user '{0}' sends with another security level than it is configured with")]
    Level(String),
    /// The digest is wrong.
    #[error("wrong digest for SNMPv3 user '{0}'; compare protocol and password with the device")]
    Digest(String),
    /// Too old, or from an earlier boot.
    #[error(
        "a message of SNMPv3 user '{0}' is outside of the time window; a replay, or a device whose clock went back"
    )]
    Time(String),
    /// It cannot be decrypted.
    #[error(
        "cannot decrypt a message of SNMPv3 user '{0}'; compare privacy protocol and password with the device"
    )]
    Decryption(String),
}

impl UsmError {
    /// The word for what is counted (`malformed` in the statistics).
    pub fn reason(&self) -> &'static str {
        match self {
            UsmError::Envelope => "v3_envelope",
            UsmError::Model(_) => "v3_model",
            UsmError::Discovery => "v3_discovery",
            UsmError::User(_) => "v3_user",
            UsmError::Level(_) => "v3_level",
            UsmError::Digest(_) => "v3_digest",
            UsmError::Time(_) => "v3_time",
            UsmError::Decryption(_) => "v3_decryption",
        }
    }

    /// The last arc of the counter in usmStats that a Report of it carries (RFC 3414, section 5).
    fn stat(&self) -> Option<u32> {
        match self {
            UsmError::Level(_) => Some(1),
            UsmError::Time(_) => Some(2),
            UsmError::User(_) => Some(3),
            UsmError::Discovery => Some(4),
            UsmError::Digest(_) => Some(5),
            UsmError::Decryption(_) => Some(6),
            UsmError::Envelope | UsmError::Model(_) => None,
        }
    }
}

/// The parts of a message that its security speaks of.
struct Envelope<'p> {
    message_id: i64,
    flags: u8,
    engine: &'p [u8],
    boots: u32,
    time: u32,
    user: String,
    /// Place and length of the digest in the packet.
    digest: (usize, usize),
    salt: &'p [u8],
    /// msgData, with its identifier octet.
    data: ber::Tlv<'p>,
}

const AUTH: u8 = 1;
const PRIV: u8 = 2;
const REPORTABLE: u8 = 4;

impl Usm {
    /// The model for these users. `engine` is this daemon as an authoritative engine.
    ///
    /// # Errors
    ///
    /// If keys cannot be made.
    pub fn new(users: Vec<User>, engine: Engine) -> Result<Self, String> {
        let own_keys = users.iter().map(|user| localise(user, &engine.id)).collect::<Result<_, _>>()?;
        let aes_salt = SaltCounter::new().map_err(|e| e.to_string())?;
        // The engine's boots are kept by who keeps the engine, so there is nothing more to write here.
        let kept = |_: &PersistedDesSaltState| Ok::<(), std::io::Error>(());
        let des_salt = match PersistedDesSaltState::new(engine.boots.saturating_sub(1)) {
            Ok(before) if engine.boots > 1 => DesSaltState::restart(before, kept),
            _ => DesSaltState::install(kept),
        };
        let des_salt = des_salt.map_err(|e| e.to_string())?;
        Ok(Usm { users, engine, own_keys, aes_salt, des_salt, senders: Mutex::default() })
    }

    /// The name of the user that a message came from.
    pub fn user_of(&self, opened: &Opened<'_>) -> &str {
        &self.users[opened.user].name
    }

    /// Checks a message and takes it apart. `now` is in seconds since 1970.
    ///
    /// # Errors
    ///
    /// [`Refused`] says why, and what the sender is told.
    pub fn open<'p>(&self, packet: &'p [u8], now: u64) -> Result<Opened<'p>, Refused> {
        let envelope = read_envelope(packet).map_err(|why| Refused { why, report: None })?;
        self.check(packet, &envelope, now).map_err(|why| {
            let report =
                (envelope.flags & REPORTABLE != 0).then(|| self.report(&envelope, &why, now)).flatten();
            Refused { why, report }
        })
    }

    fn check<'p>(&self, packet: &'p [u8], envelope: &Envelope<'p>, now: u64) -> Result<Opened<'p>, UsmError> {
        let confirmed = envelope.flags & REPORTABLE != 0;
        if confirmed && envelope.engine != self.engine.id {
            return Err(UsmError::Discovery);
        }
        let shown = || envelope.user.escape_default().to_string();
        let at =
            self.users.iter().position(|u| u.name == envelope.user).ok_or_else(|| UsmError::User(shown()))?;
        let user = &self.users[at];
        if envelope.flags & (AUTH | PRIV) != user.level() {
            return Err(UsmError::Level(shown()));
        }
        let mut scoped = Cow::Borrowed(envelope.data.content);
        if user.keys.is_some() {
            let keys = self.keys(at, envelope, confirmed).ok_or_else(|| UsmError::Digest(shown()))?;
            let (offset, length) = envelope.digest;
            // RFC 7860 and RFC 3414 fix the length: a shorter digest would be easier to guess.
            if length != keys.0.mac_len() || !proven(&keys.0, packet, offset) {
                return Err(UsmError::Digest(shown()));
            }
            if !self.in_time(envelope, confirmed, now) {
                return Err(UsmError::Time(shown()));
            }
            if !confirmed {
                self.remember(at, envelope, &keys, now);
            }
            if let Some(key) = &keys.1 {
                let plain = key.decrypt(envelope.data.content, envelope.boots, envelope.time, envelope.salt);
                // DES pads: what is behind the scoped PDU's own end does not count.
                let plain = plain.map_err(|_| UsmError::Decryption(shown()))?;
                let inner = ber::expect(tag::SEQUENCE)(&plain).map_err(|_| UsmError::Decryption(shown()))?.1;
                scoped = Cow::Owned(inner.to_vec());
            }
        }
        Ok(Opened { scoped, user: at, message_id: envelope.message_id, flags: envelope.flags, confirmed })
    }

    fn keys(&self, user: usize, envelope: &Envelope<'_>, own: bool) -> Option<Arc<Keys>> {
        if own {
            return self.own_keys[user].clone();
        }
        let senders = self.senders.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(keys) = senders.keys.get(&(user, envelope.engine.into())) {
            return Some(keys.clone());
        }
        drop(senders);
        localise(&self.users[user], envelope.engine).ok().flatten()
    }

    /// RFC 3414, section 3.2, step 7.
    fn in_time(&self, envelope: &Envelope<'_>, own: bool, now: u64) -> bool {
        let (boots, time) = (envelope.boots, u64::from(envelope.time));
        if own {
            let ours = now.saturating_sub(self.engine.started);
            return boots == self.engine.boots && boots != u32::MAX >> 1 && time.abs_diff(ours) <= WINDOW;
        }
        let senders = self.senders.lock().unwrap_or_else(PoisonError::into_inner);
        senders.clocks.get(envelope.engine).is_none_or(|known| {
            let expected = u64::from(known.time) + now.saturating_sub(known.seen);
            boots > known.boots || (boots == known.boots && time + WINDOW >= expected)
        })
    }

    /// Keeps what a proven message taught of its sender.
    fn remember(&self, user: usize, envelope: &Envelope<'_>, keys: &Arc<Keys>, now: u64) {
        let mut senders = self.senders.lock().unwrap_or_else(PoisonError::into_inner);
        if senders.keys.len() >= MAX_ENGINES {
            senders.keys.clear();
        }
        if senders.clocks.len() >= MAX_ENGINES {
            // Forgetting a clock only opens its sender's window anew; an engine that proves itself is no stranger.
            senders.clocks.clear();
        }
        senders.keys.entry((user, envelope.engine.into())).or_insert_with(|| keys.clone());
        let clock = Clock { boots: envelope.boots, time: envelope.time, seen: now };
        let known = senders.clocks.entry(envelope.engine.into()).or_insert(clock);
        if (envelope.boots, envelope.time) > (known.boots, known.time) {
            *known = clock;
        }
    }

    /// The Report for a message that was refused (RFC 3414, section 3.2). Of an outdated time it is proven, so that
    /// the sender may trust the time that it tells.
    fn report(&self, envelope: &Envelope<'_>, why: &UsmError, now: u64) -> Option<Vec<u8>> {
        let stat = why.stat()?;
        let count = {
            let mut senders = self.senders.lock().unwrap_or_else(PoisonError::into_inner);
            let counter = senders.stats.get_mut(stat as usize - 1)?;
            *counter = counter.wrapping_add(1);
            *counter
        };
        let oid = Oid::from_arcs(&[1, 3, 6, 1, 6, 3, 15, 1, 1, stat, 0])?;
        let mut varbind = Vec::new();
        push_tlv(&mut varbind, tag::OBJECT_ID, oid.as_bytes());
        push_integer(&mut varbind, tag::COUNTER32, count.into());
        let mut varbinds = Vec::new();
        push_tlv(&mut varbinds, tag::SEQUENCE, &varbind);
        let mut pdu = Vec::new();
        for _ in 0..3 {
            push_integer(&mut pdu, tag::INTEGER, 0);
        }
        push_tlv(&mut pdu, tag::SEQUENCE, &varbinds);
        let scoped = scoped_pdu((&self.engine.id, &[]), tag::REPORT, &pdu);
        let at = self.users.iter().position(|u| u.name == envelope.user);
        let prove = matches!(why, UsmError::Time(_));
        self.seal(
            &scoped,
            at.filter(|_| prove),
            envelope.message_id,
            if prove { AUTH } else { 0 },
            &envelope.user,
            now,
        )
    }

    /// The answer to an inform: its scoped PDU as a Response-PDU, with the security that it came with.
    pub fn answer(&self, opened: &Opened<'_>, now: u64) -> Option<Vec<u8>> {
        let (rest, engine) = ber::expect(tag::OCTET_STRING)(&opened.scoped).ok()?;
        let (rest, context) = ber::expect(tag::OCTET_STRING)(rest).ok()?;
        let (_, pdu) = ber::expect(tag::INFORM)(rest).ok()?;
        // The context is the sender's, whoever is authoritative (RFC 3412, section 7.1).
        let scoped = scoped_pdu((engine, context), tag::RESPONSE, pdu);
        let user = &self.users[opened.user].name;
        self.seal(&scoped, Some(opened.user), opened.message_id, opened.flags & (AUTH | PRIV), user, now)
    }

    /// A whole message of this engine around a scoped PDU.
    fn seal(
        &self,
        scoped: &[u8],
        user: Option<usize>,
        message_id: i64,
        flags: u8,
        name: &str,
        now: u64,
    ) -> Option<Vec<u8>> {
        let keys = user.and_then(|u| self.own_keys[u].clone()).filter(|_| flags & AUTH != 0);
        let time = u32::try_from(now.saturating_sub(self.engine.started)).unwrap_or(u32::MAX >> 1);
        let mut data = scoped.to_vec();
        let mut salt = Vec::new();
        if let Some(key) = keys.as_ref().and_then(|k| k.1.as_ref()).filter(|_| flags & PRIV != 0) {
            let (cipher, params) = match key.protocol() {
                PrivProtocol::Des | PrivProtocol::Des3 => {
                    key.encrypt_des_family(scoped, &self.des_salt).ok()?
                }
                _ => key.encrypt_aes(scoped, self.engine.boots, time, &self.aes_salt).ok()?,
            };
            data.clear();
            push_tlv(&mut data, tag::OCTET_STRING, &cipher);
            salt = params.to_vec();
        }
        let digest = vec![0; keys.as_ref().map_or(0, |k| k.0.mac_len())];
        let mut security = Vec::new();
        push_tlv(&mut security, tag::OCTET_STRING, &self.engine.id);
        push_integer(&mut security, tag::INTEGER, self.engine.boots.into());
        push_integer(&mut security, tag::INTEGER, time.into());
        push_tlv(&mut security, tag::OCTET_STRING, name.as_bytes());
        push_tlv(&mut security, tag::OCTET_STRING, &digest);
        push_tlv(&mut security, tag::OCTET_STRING, &salt);
        let mut sequence = Vec::new();
        push_tlv(&mut sequence, tag::SEQUENCE, &security);
        let mut header = Vec::new();
        push_integer(&mut header, tag::INTEGER, message_id.into());
        push_integer(&mut header, tag::INTEGER, 65_507);
        push_tlv(&mut header, tag::OCTET_STRING, &[flags]);
        push_integer(&mut header, tag::INTEGER, 3);
        let mut content = Vec::new();
        push_integer(&mut content, tag::INTEGER, 3);
        push_tlv(&mut content, tag::SEQUENCE, &header);
        push_tlv(&mut content, tag::OCTET_STRING, &sequence);
        content.extend_from_slice(&data);
        let mut packet = Vec::new();
        push_tlv(&mut packet, tag::SEQUENCE, &content);
        if let Some(keys) = keys {
            let (offset, length) = read_envelope(&packet).ok()?.digest;
            let digest = keys.0.compute_hmac(&packet).ok()?;
            packet.get_mut(offset..offset + length)?.copy_from_slice(&digest);
        }
        Some(packet)
    }
}

/// A scoped PDU in the context of an engine (RFC 3412, section 6).
fn scoped_pdu((engine, context): (&[u8], &[u8]), pdu_tag: u8, pdu: &[u8]) -> Vec<u8> {
    let mut content = Vec::new();
    push_tlv(&mut content, tag::OCTET_STRING, engine);
    push_tlv(&mut content, tag::OCTET_STRING, context);
    push_tlv(&mut content, pdu_tag, pdu);
    let mut scoped = Vec::new();
    push_tlv(&mut scoped, tag::SEQUENCE, &content);
    scoped
}

/// Whether the digest at this place is that of the message with zeros in its place (RFC 3414, section 6.3.2);
/// compared in constant time.
fn proven(key: &LocalizedKey, packet: &[u8], offset: usize) -> bool {
    let end = offset + key.mac_len();
    let Some(digest) = packet.get(offset..end) else { return false };
    let mut blank = packet.to_vec();
    blank[offset..end].fill(0);
    key.verify_hmac(&blank, digest).unwrap_or(false)
}

fn localise(user: &User, engine: &[u8]) -> Result<Option<Arc<Keys>>, String> {
    match &user.keys {
        Some(keys) => keys.localize(engine).map(|k| Some(Arc::new(k))).map_err(|e| e.to_string()),
        None => Ok(None),
    }
}

fn read_envelope(packet: &[u8]) -> Result<Envelope<'_>, UsmError> {
    let (_, message) = parse_snmp_v3(packet).map_err(|_| UsmError::Envelope)?;
    let header = message.header_data;
    if header.msg_security_model != SecurityModel::USM {
        return Err(UsmError::Model(header.msg_security_model.0));
    }
    let SecurityParameters::USM(usm) = message.security_params else { return Err(UsmError::Envelope) };
    // The digest is a slice of the packet, so its place is known.
    let digest = usm.msg_authentication_parameters;
    let offset =
        (digest.as_ptr() as usize).checked_sub(packet.as_ptr() as usize).ok_or(UsmError::Envelope)?;
    let data = || {
        let (_, content) = ber::expect(tag::SEQUENCE)(packet).ok()?;
        let (rest, _version) = ber::tlv(content).ok()?;
        let (rest, _header) = ber::tlv(rest).ok()?;
        let (rest, _security) = ber::tlv(rest).ok()?;
        Some(ber::tlv(rest).ok()?.1)
    };
    Ok(Envelope {
        message_id: header.msg_id.into(),
        flags: header.msg_flags,
        engine: usm.msg_authoritative_engine_id,
        boots: usm.msg_authoritative_engine_boots,
        time: usm.msg_authoritative_engine_time,
        user: usm.msg_user_name,
        digest: (offset, digest.len()),
        salt: usm.msg_privacy_parameters,
        data: data().ok_or(UsmError::Envelope)?,
    })
}

#[cfg(test)]
#[path = "usm_tests.rs"]
mod tests;
