//! The envelope of a v3 message (RFC 3412, section 6; RFC 3414, section 2.4): taken apart, and put around a scoped
//! PDU.

use crate::snmp::ber::{self, push_integer, push_tlv, tag};
use crate::snmp::usm::auth_key::AuthKey;
use crate::snmp::usm::engine::{Keys, MAX_COUNT};
use crate::snmp::usm::error::UsmError;
use crate::snmp::usm::salts::Salts;
use crate::snmp::usm::scoped::ScopedPdu;

/// The bit of msgFlags (RFC 3412, section 6.4) of an authenticated message.
pub(crate) const AUTH: u8 = 1;
/// The bit of an encrypted message.
pub(crate) const PRIV: u8 = 2;
/// The bit of a message that a Report may answer.
pub(crate) const REPORTABLE: u8 = 4;

/// The number of the User-based Security Model (RFC 3411, section 5).
const USM: i64 = 3;

/// The largest message that this engine takes, as it tells others (msgMaxSize).
pub(crate) const MAX_SIZE: u32 = 65_507;
/// The largest message that every engine takes: the least msgMaxSize (RFC 3412, section 6.3).
const LEAST_MAX_SIZE: i64 = 484;
/// The longest msgUserName, in octets (RFC 3414, section 2.4).
pub(crate) const MAX_NAME: usize = 32;

/// msgGlobalData.
struct Header {
    message_id: i64,
    max_size: i64,
    flags: u8,
    model: i64,
}

/// The parts of a message that its security speaks of.
pub(crate) struct Envelope<'p> {
    /// The message without what trails it.
    pub(crate) message: &'p [u8],
    pub(crate) message_id: i64,
    /// The longest message that the sender takes.
    pub(crate) max_size: usize,
    pub(crate) flags: u8,
    pub(crate) engine: &'p [u8],
    pub(crate) boots: u32,
    pub(crate) time: u32,
    pub(crate) user: &'p [u8],
    /// Place and length of the digest in the message.
    pub(crate) digest: (usize, usize),
    pub(crate) salt: &'p [u8],
    /// msgData, with its identifier octet.
    pub(crate) data: ber::Tlv<'p>,
}

impl<'p> Envelope<'p> {
    /// Reads the envelope and leaves the scoped PDU as it is.
    pub(crate) fn read(packet: &'p [u8]) -> Result<Self, UsmError> {
        let (trailing, _) = ber::expect(tag::SEQUENCE)(packet).map_err(|_| UsmError::Envelope)?;
        let message = &packet[..packet.len() - trailing.len()];
        let (header, security, data) = Self::parts(message).ok_or(UsmError::Envelope)?;
        let header = Self::header(header).ok_or(UsmError::Envelope)?;
        if header.model != USM {
            return Err(u32::try_from(header.model).map_or(UsmError::Envelope, UsmError::Model));
        }
        // There is no such level (RFC 3412, section 7.2, step 5), and what is not encrypted is a SEQUENCE (section 6).
        let level = header.flags & (AUTH | PRIV);
        if level == PRIV || (level & PRIV == 0 && data.tag != tag::SEQUENCE) {
            return Err(UsmError::Envelope);
        }
        Self::security(message, security, data, &header).ok_or(UsmError::Envelope)
    }

    /// The content of the header and of the security parameters, and msgData.
    fn parts(message: &[u8]) -> Option<(&[u8], &[u8], ber::Tlv<'_>)> {
        let (_, content) = ber::expect(tag::SEQUENCE)(message).ok()?;
        let (rest, version) = ber::integer(content).ok()?;
        let (rest, header) = ber::expect(tag::SEQUENCE)(rest).ok()?;
        let (rest, security) = ber::expect(tag::OCTET_STRING)(rest).ok()?;
        let (_, data) = ber::tlv(rest).ok()?;
        (version == 3).then_some((header, security, data))
    }

    fn header(header: &[u8]) -> Option<Header> {
        let (rest, message_id) = ber::integer(header).ok()?;
        let (rest, max_size) = ber::integer(rest).ok()?;
        let (rest, flags) = ber::expect(tag::OCTET_STRING)(rest).ok()?;
        let (_, model) = ber::integer(rest).ok()?;
        let &[flags] = flags else { return None };
        Some(Header { message_id, max_size, flags, model })
    }

    fn security(message: &'p [u8], security: &'p [u8], data: ber::Tlv<'p>, header: &Header) -> Option<Self> {
        let (_, rest) = ber::expect(tag::SEQUENCE)(security).ok()?;
        let (rest, engine) = ber::expect(tag::OCTET_STRING)(rest).ok()?;
        let (rest, boots) = ber::integer(rest).ok()?;
        let (rest, time) = ber::integer(rest).ok()?;
        let (rest, user) = ber::expect(tag::OCTET_STRING)(rest).ok()?;
        let (rest, digest) = ber::expect(tag::OCTET_STRING)(rest).ok()?;
        let (_, salt) = ber::expect(tag::OCTET_STRING)(rest).ok()?;
        let count = |number| u32::try_from(number).ok().filter(|count| *count <= MAX_COUNT);
        // The digest is a slice of the message, so its place is known.
        let offset = (digest.as_ptr() as usize).checked_sub(message.as_ptr() as usize)?;
        Some(Envelope {
            message,
            message_id: header.message_id,
            max_size: usize::try_from(header.max_size.max(LEAST_MAX_SIZE)).ok()?,
            flags: header.flags,
            engine,
            boots: count(boots)?,
            time: count(time)?,
            user: Some(user).filter(|name| name.len() <= MAX_NAME)?,
            digest: (offset, digest.len()),
            salt,
            data,
        })
    }

    /// The digest, as it was sent.
    pub(crate) fn digest(&self) -> &'p [u8] {
        self.message.get(self.digest.0..self.digest.0 + self.digest.1).unwrap_or_default()
    }

    /// Whether the digest is that of the message.
    pub(crate) fn proven(&self, key: &AuthKey) -> bool {
        key.proves(self.message, self.digest)
    }

    /// The level of security: [`AUTH`] and [`PRIV`].
    pub(crate) fn level(&self) -> u8 {
        self.flags & (AUTH | PRIV)
    }

    /// The scoped PDU, where it is not encrypted and can be read.
    pub(crate) fn plain(&self) -> Option<ScopedPdu<'p>> {
        (self.flags & PRIV == 0).then(|| ScopedPdu::read(self.data.content)).flatten()
    }

    /// The name of the user, for people.
    pub(crate) fn shown_user(&self) -> String {
        shown(self.user)
    }
}

/// A user name for people: what is not ASCII is escaped.
fn shown(name: &[u8]) -> String {
    match std::str::from_utf8(name) {
        Ok(name) => name.escape_default().to_string(),
        Err(_) => name.escape_ascii().to_string(),
    }
}

/// What goes around a scoped PDU.
pub(crate) struct Sealing<'a> {
    pub(crate) message_id: i64,
    pub(crate) max_size: u32,
    pub(crate) flags: u8,
    pub(crate) engine: &'a [u8],
    pub(crate) boots: u32,
    pub(crate) time: u32,
    pub(crate) user: &'a [u8],
    /// The keys for the engine, where the flags ask for any.
    pub(crate) keys: Option<&'a Keys>,
}

impl Sealing<'_> {
    /// The whole message; none if it cannot be encrypted.
    pub(crate) fn seal(&self, scoped: &[u8], salts: &Salts) -> Option<Vec<u8>> {
        let keys = self.keys.filter(|_| self.flags & AUTH != 0);
        let (data, salt) = match keys.and_then(|k| k.1.as_ref()).filter(|_| self.flags & PRIV != 0) {
            Some(key) => {
                let (encrypted, salt) = key.encrypt(scoped, (self.boots, self.time), salts)?;
                let mut data = Vec::with_capacity(encrypted.len() + 4);
                push_tlv(&mut data, tag::OCTET_STRING, &encrypted);
                (data, salt)
            }
            None => (scoped.to_vec(), Vec::new()),
        };
        let digest = vec![0; keys.map_or(0, |k| k.0.length())];
        let mut packet = self.around(&data, &digest, &salt);
        if let Some(keys) = keys {
            let (offset, length) = Envelope::read(&packet).ok()?.digest;
            let digest = keys.0.digest(&packet)?;
            packet.get_mut(offset..offset + length)?.copy_from_slice(&digest);
        }
        Some(packet)
    }

    fn around(&self, data: &[u8], digest: &[u8], salt: &[u8]) -> Vec<u8> {
        let mut security = Vec::with_capacity(96);
        push_tlv(&mut security, tag::OCTET_STRING, self.engine);
        push_integer(&mut security, tag::INTEGER, self.boots.into());
        push_integer(&mut security, tag::INTEGER, self.time.into());
        push_tlv(&mut security, tag::OCTET_STRING, self.user);
        push_tlv(&mut security, tag::OCTET_STRING, digest);
        push_tlv(&mut security, tag::OCTET_STRING, salt);
        let mut sequence = Vec::with_capacity(security.len() + 4);
        push_tlv(&mut sequence, tag::SEQUENCE, &security);
        let mut header = Vec::with_capacity(24);
        push_integer(&mut header, tag::INTEGER, self.message_id.into());
        push_integer(&mut header, tag::INTEGER, self.max_size.into());
        push_tlv(&mut header, tag::OCTET_STRING, &[self.flags]);
        push_integer(&mut header, tag::INTEGER, 3);
        let mut content = Vec::with_capacity(data.len() + 160);
        push_integer(&mut content, tag::INTEGER, 3);
        push_tlv(&mut content, tag::SEQUENCE, &header);
        push_tlv(&mut content, tag::OCTET_STRING, &sequence);
        content.extend_from_slice(data);
        let mut packet = Vec::with_capacity(content.len() + 4);
        push_tlv(&mut packet, tag::SEQUENCE, &content);
        packet
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use snmp_parser::{SecurityParameters, parse_snmp_v3};

    use super::*;
    use crate::snmp::usm::scoped::scoped_pdu;

    /// The fields of an envelope, as snmp-parser reads them; none where it refuses the message or sees another model.
    fn oracle(packet: &[u8]) -> Option<String> {
        let (_, message) = parse_snmp_v3(packet).ok()?;
        let header = message.header_data;
        let SecurityParameters::USM(usm) = message.security_params else { return None };
        Some(format!(
            "{} {} {:?} {} {} {} {:?} {:?}",
            header.msg_id,
            header.msg_flags,
            usm.msg_authoritative_engine_id,
            usm.msg_authoritative_engine_boots,
            usm.msg_authoritative_engine_time,
            usm.msg_user_name,
            usm.msg_authentication_parameters,
            usm.msg_privacy_parameters
        ))
    }

    fn ours(packet: &[u8]) -> Option<String> {
        let envelope = Envelope::read(packet).ok()?;
        let Envelope { message_id, flags, engine, boots, time, user, salt, .. } = &envelope;
        let (digest, user) = (envelope.digest(), std::str::from_utf8(user).ok()?);
        Some(format!("{message_id} {flags} {engine:?} {boots} {time} {user} {digest:?} {salt:?}"))
    }

    /// A message, sealed or not.
    fn message() -> impl Strategy<Value = Vec<u8>> {
        let numbers = (0..i32::MAX, 0..i32::MAX as u32, 0..i32::MAX as u32);
        let octets = |longest| prop::collection::vec(any::<u8>(), 0..longest);
        (numbers, octets(33), "[a-zü]{0,16}", any::<bool>(), octets(25), octets(9)).prop_map(
            |((message_id, boots, time), engine, user, reportable, digest, salt)| {
                let pdu = [2, 1, 5, 2, 1, 0, 2, 1, 0, 0x30, 0];
                let sealing = Sealing {
                    message_id: message_id.into(),
                    max_size: MAX_SIZE,
                    flags: if reportable { REPORTABLE } else { 0 },
                    engine: &engine,
                    boots,
                    time,
                    user: user.as_bytes(),
                    keys: None,
                };
                let scoped = scoped_pdu((&engine, b"context"), tag::TRAP_V2, &pdu);
                sealing.around(&scoped, &digest, &salt)
            },
        )
    }

    proptest! {
        #[test]
        fn what_snmp_parser_reads_is_read_the_same(packet in message()) {
            let oracle = oracle(&packet);
            prop_assert!(oracle.is_some());
            prop_assert_eq!(ours(&packet), oracle);
        }

        #[test]
        fn what_is_damaged_is_read_as_snmp_parser_reads_it_or_not_at_all(
            mut packet in message(),
            damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
        ) {
            for (at, octet) in damage {
                *at.get_mut(&mut packet) = octet;
            }
            // snmp-parser reads the scoped PDU, too, so that it refuses more.
            if let (Some(ours), Some(oracle)) = (ours(&packet), oracle(&packet)) {
                prop_assert_eq!(ours, oracle);
            }
        }
    }
}
