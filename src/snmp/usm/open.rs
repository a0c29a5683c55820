//! Who gets in: v3 messages checked and taken apart, refusals reported, informs answered.
//!
//! The engine id of a message says who is authoritative for its time and keys: this daemon for messages to its own id, which are
//! informs and requests; the sender for all others, which are traps. The PDU says whether the sender waits for an answer; the
//! reportable flag only where the PDU cannot be read (RFC 3412, section 6.4).

use std::borrow::Cow;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

use data_encoding::HEXLOWER;

use crate::fast_map::FastMap;
use crate::message::{Notification, SecurityLevel};
use crate::snmp::ber::{self, tag};
use crate::snmp::response;
use crate::snmp::usm::engine::{Keys, MAX_COUNT, WINDOW};
use crate::snmp::usm::envelope::{AUTH, Envelope, MAX_SIZE, PRIV, Sealing};
use crate::snmp::usm::error::{Refused, UsmError};
use crate::snmp::usm::keys::KeyCache;
use crate::snmp::usm::memory::Memory;
use crate::snmp::usm::report::{Counter, may_answer, scoped_report};
use crate::snmp::usm::room::Room;
use crate::snmp::usm::scoped::{Class, ScopedPdu, scoped_pdu};
use crate::snmp::usm::senders::Late;
use crate::snmp::usm::user::User;

/// All users, and what is known of the engines that send.
pub struct Usm {
    users: Vec<User>,
    by_name: FastMap<Box<[u8]>, Vec<usize>>,
    /// By user, for messages of which this engine is the authority.
    own_keys: Vec<Option<Arc<Keys>>>,
    cache: Mutex<KeyCache>,
    memory: Arc<Memory>,
}

impl std::fmt::Debug for Usm {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Usm").field("users", &self.users.len()).finish_non_exhaustive()
    }
}

/// A message whose security is in order.
#[derive(Debug)]
pub struct Opened<'p> {
    /// The users of whom it is.
    pub usm: &'p Usm,
    /// The content of the scoped PDU.
    pub scoped: Cow<'p, [u8]>,
    /// Whether this daemon is the authoritative engine. All informs that are opened are such.
    pub own: bool,
    /// Whether a key proves it, and no copy of it was proven before: nobody but its user can have sent it. False for what cannot
    /// be read, as copies of that are not known again.
    pub first: bool,
    /// The place of its user among the users.
    user: usize,
    message_id: i64,
    /// The longest message that the sender takes.
    max_size: usize,
    /// [`AUTH`] and [`PRIV`].
    level: u8,
}

/// What a message has when its security is in order: its user, its scoped PDU, and [`Opened::first`].
struct Checked<'p> {
    user: usize,
    scoped: &'p [u8],
    first: bool,
}

/// A refusal, the user that had proven itself before, and the scoped PDU where it was read.
struct Denied<'d> {
    why: UsmError,
    proven: Option<usize>,
    scoped: Option<&'d [u8]>,
}

impl From<UsmError> for Denied<'_> {
    fn from(why: UsmError) -> Self {
        Denied { why, proven: None, scoped: None }
    }
}

impl Opened<'_> {
    /// How it was secured.
    pub fn level(&self) -> SecurityLevel {
        level(self.level)
    }
}

fn level(flags: u8) -> SecurityLevel {
    match flags & (AUTH | PRIV) {
        0 | PRIV => SecurityLevel::NoAuthNoPriv,
        AUTH => SecurityLevel::AuthNoPriv,
        _ => SecurityLevel::AuthPriv,
    }
}

impl Usm {
    /// The model for these users.
    pub fn new(users: Vec<User>, memory: Arc<Memory>) -> Self {
        let id = &memory.engine().id;
        let own_keys =
            users.iter().map(|user| Some(Arc::new((user.auth_key(id)?, user.priv_key(id))))).collect();
        let mut by_name: FastMap<Box<[u8]>, Vec<usize>> = FastMap::default();
        for (at, user) in users.iter().enumerate() {
            by_name.entry(user.name.as_bytes().into()).or_default().push(at);
        }
        Usm { users, by_name, own_keys, cache: Mutex::default(), memory }
    }

    /// The name of the user that a message came from.
    pub fn user_of(&self, opened: &Opened<'_>) -> &str {
        &self.users[opened.user].name
    }

    /// Says in the notification of a message for whom its user may speak.
    pub fn vouch(&self, opened: &Opened<'_>, notification: &mut Notification<'_>) {
        let (user, Some(security)) = (&self.users[opened.user], &mut notification.security) else { return };
        security.relay = user.relay;
        security.of_engine = user.relay || user.engine.as_deref().is_none_or(|id| id == security.engine);
    }

    /// Checks a message and takes it apart. `now` is in seconds of a clock that never goes back, the one that
    /// [`Engine::started`](crate::snmp::usm::Engine::started) was read from. Who opens many has a [`Desk`](crate::snmp::usm::Desk).
    ///
    /// # Errors
    ///
    /// [`Refused`] says why, and what the sender is told.
    pub fn open<'p>(&'p self, packet: &'p [u8], from: IpAddr, now: u64) -> Result<Opened<'p>, Refused> {
        let mut room = Room::default();
        let Opened { scoped, own, first, user, message_id, max_size, level, .. } =
            self.open_in(&mut room, packet, from, now)?;
        let scoped = Cow::Owned(scoped.into_owned());
        Ok(Opened { usm: self, scoped, own, first, user, message_id, max_size, level })
    }

    pub(crate) fn open_in<'p>(
        &'p self,
        room: &'p mut Room,
        packet: &'p [u8],
        from: IpAddr,
        now: u64,
    ) -> Result<Opened<'p>, Refused> {
        let envelope = Envelope::read(packet).map_err(|why| Refused { why, report: None, proven: false })?;
        let own = envelope.engine == self.memory.engine().id;
        let opened = if own {
            self.open_own(room, &envelope, now)
        } else {
            self.open_senders(room, &envelope, from, now)
        };
        match opened {
            Ok(Checked { user, scoped, first }) => Ok(Opened {
                usm: self,
                scoped: Cow::Borrowed(scoped),
                own,
                first,
                user,
                message_id: envelope.message_id,
                max_size: envelope.max_size,
                level: envelope.level(),
            }),
            Err(denied) => Err(self.refuse(&envelope, own, denied, now)),
        }
    }

    /// A message that names this engine (RFC 3414, section 3.2, with step 7a).
    fn open_own<'p>(
        &self,
        room: &'p mut Room,
        envelope: &Envelope<'p>,
        now: u64,
    ) -> Result<Checked<'p>, Denied<'p>> {
        let candidates = self.candidates(envelope, true)?;
        if envelope.level() == 0 {
            let scoped = envelope.data.content;
            handled(class_of(scoped), scoped, None)?;
            return Ok(Checked { user: candidates[0], scoped, first: false });
        }
        let keys = |user: &usize| Some((*user, self.own_keys[*user].as_deref()?));
        let proven = candidates.iter().filter_map(keys).find(|(_, keys)| envelope.proven(&keys.0));
        let (user, keys) = proven.ok_or_else(|| UsmError::Digest(envelope.shown_user()))?;
        let late = |why| Denied { why, proven: Some(user), scoped: None };
        self.in_own_time(envelope, now).map_err(late)?;
        let scoped = decrypted(envelope, keys, &mut room.plain)?;
        let class = class_of(scoped);
        handled(class, scoped, Some(user))?;
        // An inform that comes again is answered again. Nothing tells a copy of a trap but its digest.
        let first = match class {
            Class::Trap => {
                let first = self.memory.senders().first_time(envelope.digest(), now);
                first.map_err(|late| too_late(envelope, late, scoped))?;
                true
            }
            Class::Confirmed => self.memory.senders().first_confirmed(envelope.digest(), now),
            Class::Reply | Class::Unknown => false,
        };
        Ok(Checked { user, scoped, first })
    }

    /// A message that names another engine, or none (RFC 3414, section 3.2, with step 7b).
    fn open_senders<'p>(
        &self,
        room: &'p mut Room,
        envelope: &Envelope<'p>,
        from: IpAddr,
        now: u64,
    ) -> Result<Checked<'p>, Denied<'p>> {
        // What can be read is decided before any key is made.
        if envelope.level() & PRIV == 0 || envelope.engine.is_empty() {
            let plain = envelope.plain();
            senders_class(plain.map_or(Class::Unknown, |scoped| scoped.class()), plain.as_ref(), envelope)?;
        }
        let Room { plain, known, spares } = room;
        let expect = || self.memory.senders().expect(envelope.digest());
        let made;
        let (user, keys) = match known.get(envelope) {
            Some((user, keys)) => {
                expect();
                if !envelope.proven(&keys.0) {
                    return Err(UsmError::Digest(envelope.shown_user()).into());
                }
                (user, keys)
            }
            None => {
                let user = self.candidates(envelope, false)?[0];
                if envelope.level() == 0 {
                    return Ok(Checked { user, scoped: envelope.data.content, first: false });
                }
                expect();
                made = self.prove(envelope, user, from, now, *spares)?;
                known.keep(envelope, user, made.clone());
                (user, &*made)
            }
        };
        let scoped = decrypted(envelope, keys, plain)?;
        let read = ScopedPdu::read(scoped);
        let class = read.map_or(Class::Unknown, |scoped| scoped.class());
        senders_class(class, read.as_ref(), envelope).map_err(|why| Denied {
            why,
            proven: None,
            scoped: Some(scoped),
        })?;
        // What is not taken must not become the engine's clock, nor a repetition of it a replay.
        if class == Class::Unknown {
            return Ok(Checked { user, scoped, first: false });
        }
        let clock = (envelope.engine, envelope.boots, envelope.time);
        let admitted = self.memory.senders().admit(clock, envelope.digest(), now);
        admitted.map_err(|late| too_late(envelope, late, scoped))?;
        Ok(Checked { user, scoped, first: true })
    }

    /// The users that a message may come from, at least one: of its name, its level, and for its engine.
    ///
    /// A name and an engine that sends have one user: the one that is bound to the engine, else the one that is bound to none.
    /// A message to this engine may be of any of the name, as it does not tell where it comes from.
    fn candidates(&self, envelope: &Envelope<'_>, own: bool) -> Result<Cow<'_, [usize]>, UsmError> {
        let named = self.by_name.get(envelope.user).ok_or_else(|| UsmError::User(envelope.shown_user()))?;
        let bound_to = |at: &usize| self.users[*at].engine.as_deref();
        let fits = |at: &usize| self.users[*at].flags() == envelope.level();
        let bound = named.iter().find(|at| bound_to(at) == Some(envelope.engine));
        let of_engine: Cow<'_, [usize]> =
            match bound.or_else(|| named.iter().find(|at| bound_to(at).is_none())) {
                Some(user) if !own || bound.is_some() => Cow::Borrowed(std::slice::from_ref(user)),
                None if !own => {
                    let (user, engine) = (envelope.shown_user(), HEXLOWER.encode(envelope.engine));
                    return Err(UsmError::Bound { user, engine });
                }
                _ => Cow::Borrowed(named),
            };
        if of_engine.iter().all(fits) {
            return Ok(of_engine);
        }
        let first = of_engine[0];
        let fitting: Vec<usize> = of_engine.iter().copied().filter(fits).collect();
        if fitting.is_empty() {
            let (came, needed) = (level(envelope.flags).as_str(), level(self.users[first].flags()).as_str());
            return Err(UsmError::Level { user: envelope.shown_user(), came, needed });
        }
        Ok(Cow::Owned(fitting))
    }

    /// The keys of a user for the engine of a message that they prove.
    fn prove(
        &self,
        envelope: &Envelope<'_>,
        user: usize,
        from: IpAddr,
        now: u64,
        spares: bool,
    ) -> Result<Arc<Keys>, UsmError> {
        let wrong = || UsmError::Digest(envelope.shown_user());
        let known = self.cache().get(user, envelope.engine);
        if let Some(keys) = known {
            return Some(keys).filter(|keys| envelope.proven(&keys.0)).ok_or_else(wrong);
        }
        if spares || !self.memory.senders().knows(envelope.engine) {
            self.cache().may_make(from, now)?;
        }
        let fresh = self.users[user].auth_key(envelope.engine);
        let auth = fresh.filter(|auth| envelope.proven(auth)).ok_or_else(wrong)?;
        let keys = Arc::new((auth, self.users[user].priv_key(envelope.engine)));
        self.cache().keep(user, envelope.engine, keys.clone());
        Ok(keys)
    }

    fn cache(&self) -> std::sync::MutexGuard<'_, KeyCache> {
        self.cache.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// RFC 3414, section 3.2, step 7a.
    fn in_own_time(&self, envelope: &Envelope<'_>, now: u64) -> Result<(), UsmError> {
        let engine = self.memory.engine();
        let off = envelope.time.abs_diff(engine.time(now));
        let worn_out = envelope.boots == MAX_COUNT;
        if envelope.boots == engine.boots && !worn_out && u64::from(off) <= WINDOW {
            Ok(())
        } else {
            Err(UsmError::Time(envelope.shown_user()))
        }
    }

    /// Counts a refusal, and makes the Report of it where one is due.
    fn refuse(&self, envelope: &Envelope<'_>, own: bool, denied: Denied<'_>, now: u64) -> Refused {
        let Denied { why, proven, scoped } = denied;
        let known = scoped.and_then(ScopedPdu::read).or_else(|| envelope.plain());
        let may_answer = may_answer(envelope, known.as_ref());
        // Who waits for an answer of another engine is told who this one is, whatever else is wrong (step 3).
        let counter = if own || !may_answer { Counter::of(&why) } else { Some(Counter::UnknownEngineIds) };
        let count = counter.map(|counter| (counter, self.memory.counts.add(counter)));
        let report = count.filter(|_| may_answer).and_then(|(counter, count)| {
            // What was understood is answered at its own level. Of an outdated time the Report is proven but not encrypted, so
            // that the sender may trust the time that it tells. All others are plain (RFC 3414, section 3.2).
            let flags = match (proven, counter) {
                (None, _) => 0,
                (_, Counter::UnknownPduHandlers) => envelope.level(),
                _ => AUTH,
            };
            let scoped = scoped_report(known.as_ref(), &self.memory.engine().id, counter, count);
            self.seal(&scoped, proven, (envelope.message_id, flags, envelope.user), now)
        });
        Refused { why, report, proven: proven.is_some() }
    }

    /// The answer to an inform: a Response-PDU with the security that the inform came with, of at most `most` octets. None if
    /// none fits that and what the sender takes.
    pub fn answer(&self, opened: &Opened<'_>, most: usize, now: u64) -> Option<Vec<u8>> {
        let scoped = ScopedPdu::read(&opened.scoped)?;
        let user = self.users[opened.user].name.as_bytes();
        response::to_inform(scoped.pdu.content, most.min(opened.max_size), |pdu| {
            // The context is the sender's, whoever is authoritative (RFC 3412, section 7.1).
            let scoped = scoped_pdu(scoped.context, tag::RESPONSE, pdu);
            self.seal(&scoped, Some(opened.user), (opened.message_id, opened.level, user), now)
        })
    }

    fn seal(
        &self,
        scoped: &[u8],
        user: Option<usize>,
        (message_id, flags, name): (i64, u8, &[u8]),
        now: u64,
    ) -> Option<Vec<u8>> {
        let engine = self.memory.engine();
        let keys = user.and_then(|user| self.own_keys[user].clone());
        let sealing = Sealing {
            message_id,
            max_size: MAX_SIZE,
            flags,
            engine: &engine.id,
            boots: engine.boots,
            time: engine.time(now),
            user: name,
            keys: keys.as_deref(),
        };
        sealing.seal(scoped, &self.memory.salts)
    }

    #[cfg(test)]
    pub(crate) fn remembered(&self) -> (usize, usize) {
        (self.cache().len(), self.memory.senders().len())
    }
}

fn class_of(scoped: &[u8]) -> Class {
    ScopedPdu::read(scoped).map_or(Class::Unknown, |scoped| scoped.class())
}

/// Of what is sent to this engine, only notifications are handled. What cannot be read is for the decoder to say.
fn handled(class: Class, scoped: &[u8], proven: Option<usize>) -> Result<(), Denied<'_>> {
    let pdu_tag = ScopedPdu::read(scoped).map_or(0, |scoped| scoped.pdu.tag);
    match class {
        Class::Trap | Class::Unknown => Ok(()),
        Class::Confirmed if pdu_tag == tag::INFORM => Ok(()),
        Class::Confirmed | Class::Reply => {
            Err(Denied { why: UsmError::Unhandled(pdu_tag), proven, scoped: Some(scoped) })
        }
    }
}

/// Of what is sent by another engine, only traps are taken.
fn senders_class(
    class: Class,
    scoped: Option<&ScopedPdu<'_>>,
    envelope: &Envelope<'_>,
) -> Result<(), UsmError> {
    match class {
        Class::Trap => Ok(()),
        Class::Reply => Err(UsmError::Unhandled(scoped.map_or(0, |scoped| scoped.pdu.tag))),
        Class::Unknown if !may_answer(envelope, scoped) => Ok(()),
        Class::Confirmed | Class::Unknown => Err(UsmError::Discovery),
    }
}

/// The content of the scoped PDU of a proven message, decrypted into `plain` where it is encrypted.
fn decrypted<'p>(envelope: &Envelope<'p>, keys: &Keys, plain: &'p mut Vec<u8>) -> Result<&'p [u8], UsmError> {
    if envelope.level() & PRIV == 0 {
        return Ok(envelope.data.content);
    }
    let wrong = || UsmError::Decryption(envelope.shown_user());
    let key = keys.1.as_ref().filter(|_| envelope.data.tag == tag::OCTET_STRING).ok_or_else(wrong)?;
    let at = (envelope.boots, envelope.time);
    key.decrypt(envelope.data.content, at, envelope.salt, plain).ok_or_else(wrong)?;
    // DES pads: what is behind the scoped PDU's own end does not count.
    ber::expect(tag::SEQUENCE)(plain).map(|(_, content)| content).map_err(|_| wrong())
}

/// The user that a message names, escaped for people; nothing says that it is this one.
pub fn claimed_user(packet: &[u8]) -> Option<String> {
    Envelope::read(packet).ok().map(|envelope| envelope.shown_user()).filter(|user| !user.is_empty())
}

fn too_late<'p>(envelope: &Envelope<'_>, late: Late, scoped: &'p [u8]) -> Denied<'p> {
    let why = match late {
        Late::Outside => UsmError::Time(envelope.shown_user()),
        Late::Again => UsmError::Replay(envelope.shown_user()),
    };
    Denied { why, proven: None, scoped: Some(scoped) }
}
