//! Who gets in: v3 messages checked and taken apart, refusals reported, informs answered.

use std::borrow::Cow;
use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

use async_snmp::v3::LocalizedKey;
use data_encoding::HEXLOWER;

use crate::message::{Notification, Oid, SecurityLevel};
use crate::snmp::ber::{self, push_integer, push_tlv, tag};
use crate::snmp::usm::engine::{Engine, Keys, WINDOW};
use crate::snmp::usm::envelope::{AUTH, Envelope, PRIV, REPORTABLE, Salts, Sealing, context_of, scoped_pdu};
use crate::snmp::usm::error::{Refused, UsmError};
use crate::snmp::usm::senders::{KeyCache, Late, Senders};
use crate::snmp::usm::user::User;

/// All users, and what is known of the engines that send.
pub struct Usm {
    users: Vec<User>,
    by_name: HashMap<String, Vec<usize>>,
    engine: Engine,
    /// By user, for messages of which this engine is the authority.
    own_keys: Vec<Option<Arc<Keys>>>,
    salts: Salts,
    cache: Mutex<KeyCache>,
    senders: Arc<Mutex<Senders>>,
}

impl std::fmt::Debug for Usm {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Usm").field("users", &self.users.len()).finish_non_exhaustive()
    }
}

/// A message whose security is in order.
#[derive(Debug)]
pub struct Opened<'p> {
    /// The content of the scoped PDU.
    pub scoped: Cow<'p, [u8]>,
    /// The place of its user among the users.
    user: usize,
    message_id: i64,
    flags: u8,
    /// Whether the sender waits for an answer, so that this daemon is the authoritative engine.
    pub confirmed: bool,
}

/// A refusal, and the user that had proven itself before.
struct Denied {
    why: UsmError,
    proven: Option<usize>,
}

impl From<UsmError> for Denied {
    fn from(why: UsmError) -> Self {
        Denied { why, proven: None }
    }
}

impl Opened<'_> {
    /// How it was secured.
    pub fn level(&self) -> SecurityLevel {
        level(self.flags)
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
    /// The model for these users. `engine` is this daemon as an authoritative engine; `senders` is what is known from
    /// before.
    ///
    /// # Errors
    ///
    /// If no random numbers are to be had.
    pub fn new(users: Vec<User>, engine: Engine, senders: Arc<Mutex<Senders>>) -> Result<Self, String> {
        let own_keys = users
            .iter()
            .map(|user| Some(Arc::new((user.auth_key(&engine.id)?, user.priv_key(&engine.id)))))
            .collect();
        let salts = Salts::new(engine.boots)?;
        let mut by_name: HashMap<String, Vec<usize>> = HashMap::new();
        for (at, user) in users.iter().enumerate() {
            by_name.entry(user.name.clone()).or_default().push(at);
        }
        Ok(Usm { users, by_name, engine, own_keys, salts, cache: Mutex::default(), senders })
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

    /// Checks a message and takes it apart. `now` is in seconds since 1970.
    ///
    /// # Errors
    ///
    /// [`Refused`] says why, and what the sender is told.
    pub fn open<'p>(&self, packet: &'p [u8], from: IpAddr, now: u64) -> Result<Opened<'p>, Refused> {
        let envelope = Envelope::read(packet).map_err(|why| Refused { why, report: None })?;
        self.check(packet, &envelope, from, now).map_err(|Denied { why, proven }| {
            let reportable = envelope.flags & REPORTABLE != 0;
            let report = reportable.then(|| self.report(&envelope, &why, proven, now)).flatten();
            Refused { why, report }
        })
    }

    fn check<'p>(
        &self,
        packet: &'p [u8],
        envelope: &Envelope<'p>,
        from: IpAddr,
        now: u64,
    ) -> Result<Opened<'p>, Denied> {
        let confirmed = envelope.flags & REPORTABLE != 0;
        if confirmed && envelope.engine != self.engine.id {
            return Err(UsmError::Discovery.into());
        }
        let shown = || envelope.user.escape_default().to_string();
        let candidates = self.candidates(envelope, confirmed)?;
        let mut scoped = Cow::Borrowed(envelope.data.content);
        let user = if envelope.flags & AUTH == 0 {
            candidates[0]
        } else {
            let (user, keys) = self.prove(packet, envelope, &candidates, (confirmed, from, now))?;
            if confirmed {
                let late = |why| Denied { why, proven: Some(user) };
                self.in_own_time(envelope, now).map_err(late)?;
            } else {
                let clock = (envelope.engine, envelope.boots, envelope.time);
                let admitted = self.senders().admit(clock, envelope.digest_of(packet), now);
                admitted.map_err(|late| match late {
                    Late::Outside => UsmError::Time(shown()),
                    Late::Again => UsmError::Replay(shown()),
                })?;
            }
            if let Some(key) = &keys.1 {
                let plain = key.decrypt(envelope.data.content, envelope.boots, envelope.time, envelope.salt);
                // DES pads: what is behind the scoped PDU's own end does not count.
                let mut plain = Vec::from(plain.map_err(|_| UsmError::Decryption(shown()))?);
                let (padding, inner) =
                    ber::expect(tag::SEQUENCE)(&plain).map_err(|_| UsmError::Decryption(shown()))?;
                let (end, length) = (plain.len() - padding.len(), inner.len());
                plain.truncate(end);
                plain.drain(..end - length);
                scoped = Cow::Owned(plain);
            }
            user
        };
        Ok(Opened { scoped, user, message_id: envelope.message_id, flags: envelope.flags, confirmed })
    }

    /// The users of that name and level that may send from that engine, the most particular first; at least one.
    fn candidates(&self, envelope: &Envelope<'_>, confirmed: bool) -> Result<Cow<'_, [usize]>, UsmError> {
        let shown = || envelope.user.escape_default().to_string();
        let named = self.by_name.get(envelope.user).ok_or_else(|| UsmError::User(shown()))?;
        let bound = |at: &usize| self.users[*at].engine.as_deref().map(|id| id == envelope.engine);
        let fits = |at: &usize| self.users[*at].flags() == envelope.flags & (AUTH | PRIV);
        // Who sends an inform says its own engine only where it is encrypted, so that a digest has to tell.
        let may = |at: &usize| confirmed || bound(at) != Some(false);
        if named.len() == 1 && may(&named[0]) && fits(&named[0]) {
            return Ok(Cow::Borrowed(named));
        }
        let mut all: Vec<usize> = named.iter().copied().filter(may).collect();
        if all.is_empty() {
            return Err(UsmError::Bound { user: shown(), engine: HEXLOWER.encode(envelope.engine) });
        }
        all.sort_by_key(|at| match bound(at) {
            Some(true) => 0,
            None => 1,
            Some(false) => 2,
        });
        let first = all[0];
        all.retain(fits);
        if all.is_empty() {
            let (came, needed) = (level(envelope.flags).as_str(), level(self.users[first].flags()).as_str());
            return Err(UsmError::Level { user: shown(), came, needed });
        }
        Ok(Cow::Owned(all))
    }

    /// The user whose key the digest was made with, and its keys.
    fn prove(
        &self,
        packet: &[u8],
        envelope: &Envelope<'_>,
        candidates: &[usize],
        (own, from, now): (bool, IpAddr, u64),
    ) -> Result<(usize, Arc<Keys>), UsmError> {
        for &user in candidates {
            if own {
                if let Some(keys) = self.own_keys[user].as_ref().filter(|k| envelope.proven(&k.0, packet)) {
                    return Ok((user, keys.clone()));
                }
                continue;
            }
            let known = self.cache().get(user, envelope.engine);
            if let Some(keys) = known {
                if envelope.proven(&keys.0, packet) {
                    return Ok((user, keys));
                }
                continue;
            }
            self.cache().may_make(from, now)?;
            let fresh: Option<LocalizedKey> = self.users[user].auth_key(envelope.engine);
            if let Some(auth) = fresh.filter(|auth| envelope.proven(auth, packet)) {
                let keys = Arc::new((auth, self.users[user].priv_key(envelope.engine)));
                self.cache().keep(user, envelope.engine, keys.clone());
                return Ok((user, keys));
            }
        }
        Err(UsmError::Digest(envelope.user.escape_default().to_string()))
    }

    fn cache(&self) -> std::sync::MutexGuard<'_, KeyCache> {
        self.cache.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn senders(&self) -> std::sync::MutexGuard<'_, Senders> {
        self.senders.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// RFC 3414, section 3.2, step 7a.
    fn in_own_time(&self, envelope: &Envelope<'_>, now: u64) -> Result<(), UsmError> {
        let off = envelope.time.abs_diff(self.engine.time(now));
        let worn_out = envelope.boots == u32::MAX >> 1;
        if envelope.boots == self.engine.boots && !worn_out && u64::from(off) <= WINDOW {
            Ok(())
        } else {
            Err(UsmError::Time(envelope.user.escape_default().to_string()))
        }
    }

    /// The Report for a message that was refused (RFC 3414, section 3.2). Of an outdated time it is proven, so that
    /// the sender may trust the time that it tells.
    fn report(
        &self,
        envelope: &Envelope<'_>,
        why: &UsmError,
        proven: Option<usize>,
        now: u64,
    ) -> Option<Vec<u8>> {
        let stat = why.stat()?;
        let count = self.senders().count(stat);
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
        // The context of the message where it can be read, which keeps the Report of a discovery short (RFC 3412,
        // section 7.1, step 3).
        let scoped = scoped_pdu(envelope.context().unwrap_or((&self.engine.id, &[])), tag::REPORT, &pdu);
        let flags = if proven.is_some() { AUTH } else { 0 };
        self.seal(&scoped, proven, envelope.message_id, flags, envelope.user, now)
    }

    /// The answer to an inform: its scoped PDU as a Response-PDU, with the security that it came with.
    pub fn answer(&self, opened: &Opened<'_>, now: u64) -> Option<Vec<u8>> {
        // The context is the sender's, whoever is authoritative (RFC 3412, section 7.1).
        let context = context_of(&opened.scoped)?;
        let (rest, _) = ber::tlv(&opened.scoped).ok()?;
        let (rest, _) = ber::tlv(rest).ok()?;
        let (_, pdu) = ber::expect(tag::INFORM)(rest).ok()?;
        let scoped = scoped_pdu(context, tag::RESPONSE, pdu);
        let user = &self.users[opened.user].name;
        self.seal(&scoped, Some(opened.user), opened.message_id, opened.flags & (AUTH | PRIV), user, now)
    }

    fn seal(
        &self,
        scoped: &[u8],
        user: Option<usize>,
        message_id: i64,
        flags: u8,
        name: &str,
        now: u64,
    ) -> Option<Vec<u8>> {
        let keys = user.and_then(|u| self.own_keys[u].clone());
        let sealing = Sealing {
            message_id,
            flags,
            engine: &self.engine.id,
            boots: self.engine.boots,
            time: self.engine.time(now),
            user: name,
            keys: keys.as_deref(),
        };
        sealing.seal(scoped, &self.salts)
    }

    #[cfg(test)]
    pub(crate) fn senders_for_test(&self) -> Arc<Mutex<Senders>> {
        self.senders.clone()
    }

    #[cfg(test)]
    pub(crate) fn remembered(&self) -> (usize, usize) {
        (self.cache().len(), self.senders().len())
    }
}
