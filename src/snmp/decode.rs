//! Packets to [`Notification`]s.
//!
//! Devices are sloppy, and a trap that is thrown away for a stray octet is an outage that nobody hears of. So
//! only what cannot be understood at all is refused. A value that does not fit its type is kept as [`Value::Odd`], a varbind whose
//! name is no OID keeps its place under the name 0.0, and one whose frame is broken ends the list but not the notification. A
//! message that ends before its length says, and one without snmpTrapOID.0, are taken for what is there.

use std::net::Ipv4Addr;

use crate::message::{Notification, NotificationKind, Oid, Security, SecurityLevel, Value, Varbind, Version};
use crate::oid::ZERO_DOT_ZERO;
use crate::snmp::ber::{self, Tlv, push_integer, push_tlv, tag};
use crate::snmp::response;
use crate::snmp::usm::UsmError;
use crate::snmp::well_known as oids;

/// The most varbinds that are kept of one notification; what comes after is counted as odd.
pub const MAX_VARBINDS: usize = 512;

/// A decoded packet.
#[derive(Debug, Clone, PartialEq)]
pub struct Decoded<'a> {
    /// The notification.
    pub notification: Notification<'a>,
    /// How many things were odd: varbinds whose name or content does not fit, whose frame is broken, or that are more than
    /// [`MAX_VARBINDS`]; a message that is cut off; an enterprise or a snmpTrapOID.0 that is missing or none.
    pub odd: usize,
    /// The content of the PDU.
    pdu: &'a [u8],
}

/// Why a packet is no notification.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// The packet does not start with a SEQUENCE.
    #[error("not an SNMP message: it does not start with a SEQUENCE")]
    NotSnmp,
    /// The length of the message cannot be read.
    #[error("cut off: the packet ends within the length of the message, or the length is indefinite")]
    Truncated,
    /// Version or community cannot be read.
    #[error("broken header: no version and community where they belong")]
    Header,
    /// A version other than v1, v2c and v3.
    #[error("SNMP version number {0} is not known")]
    Version(i64),
    /// An SNMPv3 message: [`Usm::open`](crate::snmp::usm::Usm::open) takes it apart.
    #[error("SNMPv3, but no user is configured; add one as [[snmp.users]]")]
    V3,
    /// An SNMPv3 message that its security does not let in.
    #[error(transparent)]
    Usm(#[from] UsmError),
    /// A PDU that is neither trap nor inform.
    #[error("a PDU of type 0x{0:02x}, which is neither trap nor inform")]
    NotNotification(u8),
    /// The fields of the PDU cannot be read.
    #[error("broken PDU: its fields are not those of a notification")]
    Pdu,
}

impl DecodeError {
    /// All reasons, in the order of [`DecodeError::index`].
    pub const REASONS: [&'static str; 16] = [
        "not_snmp",
        "truncated",
        "header",
        "version",
        "v3",
        "not_notification",
        "pdu",
        "v3_envelope",
        "v3_model",
        "v3_user",
        "v3_level",
        "v3_digest",
        "v3_time",
        "v3_replay",
        "v3_decryption",
        "v3_engines",
    ];

    /// The place of this error's reason in [`DecodeError::REASONS`].
    pub fn index(&self) -> usize {
        match self {
            Self::NotSnmp => 0,
            Self::Truncated => 1,
            Self::Header => 2,
            Self::Version(_) => 3,
            Self::V3 => 4,
            Self::NotNotification(_) => 5,
            Self::Pdu => 6,
            Self::Usm(error) => Self::REASONS.iter().position(|r| *r == error.reason()).unwrap_or(4),
        }
    }
}

/// Decodes a v1 or v2c trap or inform.
///
/// # Errors
///
/// [`DecodeError`] says why the packet is none.
pub fn decode(packet: &[u8]) -> Result<Decoded<'_>, DecodeError> {
    let (rest, version) = versioned(packet)?;
    let version = match version {
        0 => Version::V1,
        1 => Version::V2c,
        3 => return Err(DecodeError::V3),
        other => return Err(DecodeError::Version(other)),
    };
    let (rest, community) = ber::expect(tag::OCTET_STRING)(rest).map_err(|_| DecodeError::Header)?;
    let (_, pdu) = ber::last_tlv(rest).map_err(|_| DecodeError::Pdu)?;
    let cut_off = usize::from(ber::tlv(packet).is_err());
    notification(version, (community, None), pdu, cut_off)
}

/// The version number of a message, as [`decode`] reads it; none if it has none.
pub fn version_number(packet: &[u8]) -> Option<i64> {
    versioned(packet).ok().map(|(_, version)| version)
}

/// What follows the version of a message, and its number.
#[inline]
fn versioned(packet: &[u8]) -> Result<(&[u8], i64), DecodeError> {
    if packet.first() != Some(&tag::SEQUENCE) {
        return Err(DecodeError::NotSnmp);
    }
    let (_, message) = ber::last_tlv(packet).map_err(|_| DecodeError::Truncated)?;
    ber::integer(message.content).map_err(|_| DecodeError::Header)
}

impl Decoded<'_> {
    /// The answer to an inform of v1 or v2c, of at most `most` octets: its community, and a Response-PDU with its request-id and
    /// varbinds, or tooBig where they do not fit (RFC 3416, section 4.2.7). None if not even that fits.
    pub fn answer(&self, most: usize) -> Option<Vec<u8>> {
        let Notification { version, community, .. } = &self.notification;
        response::to_inform(self.pdu, most, |pdu| {
            let mut content = Vec::with_capacity(pdu.len() + community.len() + 16);
            push_integer(&mut content, tag::INTEGER, i128::from(*version != Version::V1));
            push_tlv(&mut content, tag::OCTET_STRING, community);
            push_tlv(&mut content, tag::RESPONSE, pdu);
            let mut message = Vec::with_capacity(content.len() + 6);
            push_tlv(&mut message, tag::SEQUENCE, &content);
            Some(message)
        })
    }
}

/// Who sent a notification: a community, or a user of v3.
type Sender<'a> = (&'a [u8], Option<Security<'a>>);

/// The notification of a PDU, with how many things were odd before it. Any version may carry a PDU of any other.
#[inline]
fn notification<'a>(
    version: Version,
    sender: Sender<'a>,
    pdu: Tlv<'a>,
    odd: usize,
) -> Result<Decoded<'a>, DecodeError> {
    // Each makes the result where it is wanted: it is large.
    match pdu.tag {
        tag::TRAP_V1 => trap_v1(version, sender, pdu.content, odd),
        tag::TRAP_V2 => trap_v2((version, NotificationKind::Trap), sender, pdu.content, odd),
        tag::INFORM => trap_v2((version, NotificationKind::Inform), sender, pdu.content, odd),
        other => Err(DecodeError::NotNotification(other)),
    }
}

/// A packet that people may be shown: the community of v1 and v2c is written over with `*`. Where it cannot be found,
/// all that may be one is.
pub fn without_community(packet: &[u8]) -> Vec<u8> {
    let mut shown = packet.to_vec();
    let from_end = |rest: &[u8]| packet.len() - rest.len();
    let Some((rest, version)) = ber::last_tlv(packet).ok().and_then(|(_, m)| ber::integer(m.content).ok())
    else {
        // Not even a version: what follows the first octets of a SEQUENCE may be a community.
        if packet.first() == Some(&tag::SEQUENCE) {
            shown.iter_mut().skip(2).for_each(|octet| *octet = b'*');
        }
        return shown;
    };
    let secret = match ber::last_tlv(rest) {
        _ if version == 3 => return shown,
        Ok((behind, community)) => from_end(behind) - community.content.len()..from_end(behind),
        Err(_) => from_end(rest)..packet.len(),
    };
    shown[secret].fill(b'*');
    shown
}

/// Decodes the scoped PDU of a v3 message (RFC 3412, section 6) of this user, which came at this level.
///
/// # Errors
///
/// [`DecodeError`] says why it is no notification.
pub fn decode_scoped<'a>(
    scoped: &'a [u8],
    user: &'a str,
    level: SecurityLevel,
) -> Result<Decoded<'a>, DecodeError> {
    let parts = || {
        let (rest, engine) = ber::expect(tag::OCTET_STRING)(scoped).ok()?;
        let (rest, context) = ber::expect(tag::OCTET_STRING)(rest).ok()?;
        Some((engine, context, ber::last_tlv(rest).ok()?.1))
    };
    let (engine, context, pdu) = parts().ok_or(DecodeError::Pdu)?;
    let security = Security { user, level, context, engine, relay: false, of_engine: false };
    notification(Version::V3, (&[], Some(security)), pdu, 0)
}

/// Trap-PDU (RFC 1157, section 4.1.6), its trap OID by RFC 3584, section 3.1.
fn trap_v1<'a>(
    version: Version,
    (community, security): Sender<'a>,
    pdu: &'a [u8],
    odd: usize,
) -> Result<Decoded<'a>, DecodeError> {
    let no_pdu = |_| DecodeError::Pdu;
    let (rest, enterprise) = ber::expect(tag::OBJECT_ID)(pdu).map_err(no_pdu)?;
    let (enterprise, not_an_oid) = oid_or_zero(enterprise);
    let (rest, agent) = ber::tlv(rest).map_err(no_pdu)?;
    let (rest, generic) = ber::integer(rest).map_err(no_pdu)?;
    let (rest, specific) = ber::integer(rest).map_err(no_pdu)?;
    let (rest, ticks) = ber::tlv(rest).map_err(no_pdu)?;
    let Varbinds { all: mut varbinds, odd: odd_varbinds, .. } = varbinds(rest, false);
    let (generic, specific) = (generic as i32, specific as i32);
    let oid = match generic {
        0..=5 => oids::SNMP_TRAPS.child(generic as u32 + 1),
        _ => enterprise.child(0).child(specific as u32),
    };
    let agent = <[u8; 4]>::try_from(agent.content).ok().map(Ipv4Addr::from);
    let proxied = Proxied::of(&mut varbinds);
    let notification = Notification {
        version,
        kind: NotificationKind::Trap,
        community,
        proxied_community: proxied.community,
        security,
        request_id: 0,
        oid,
        enterprise: Some(enterprise),
        agent: agent.filter(|a| !a.is_unspecified()).or(proxied.agent),
        generic: Some(generic),
        specific: Some(specific),
        uptime: ber::unsigned(ticks.content).map(|t| t as u32),
        varbinds,
    };
    Ok(Decoded { notification, odd: odd + odd_varbinds + not_an_oid, pdu })
}

/// An OID, or 0.0 where the octets are none; and how many are not.
fn oid_or_zero(octets: &[u8]) -> (Oid<'_>, usize) {
    Oid::from_ber(octets).map_or((ZERO_DOT_ZERO, 1), |oid| (oid, 0))
}

/// SNMPv2-Trap-PDU and InformRequest-PDU (RFC 3416, section 3).
fn trap_v2<'a>(
    (version, kind): (Version, NotificationKind),
    (community, security): Sender<'a>,
    pdu: &'a [u8],
    odd: usize,
) -> Result<Decoded<'a>, DecodeError> {
    let no_pdu = |_| DecodeError::Pdu;
    let (rest, request_id) = ber::integer(pdu).map_err(no_pdu)?;
    let (rest, _error_status) = ber::integer(rest).map_err(no_pdu)?;
    let (rest, _error_index) = ber::integer(rest).map_err(no_pdu)?;
    let Varbinds { all: mut varbinds, uptime, trap, odd: odd_varbinds } = varbinds(rest, true);
    let uptime = match uptime {
        Some(Value::TimeTicks(ticks)) => Some(ticks),
        Some(other) => other.as_integer().map(|v| v as u32),
        None => None,
    };
    let (oid, no_trap) = match trap {
        Some(Value::ObjectId(oid)) => (oid, 0),
        _ => (ZERO_DOT_ZERO, 1),
    };
    let proxied = Proxied::of(&mut varbinds);
    let notification = Notification {
        version,
        kind,
        community,
        proxied_community: proxied.community,
        security,
        request_id: request_id as i32,
        oid,
        enterprise: proxied.enterprise,
        agent: proxied.agent,
        generic: None,
        specific: None,
        uptime,
        varbinds,
    };
    Ok(Decoded { notification, odd: odd + odd_varbinds + no_trap, pdu })
}

/// What stands in the place of a community that a proxy has put into the varbinds.
const MASK: &[u8] = b"*";

/// What a proxy that translates between versions says in varbinds of the agent (RFC 3584, section 3.1).
#[derive(Default)]
struct Proxied<'a> {
    community: Option<&'a [u8]>,
    agent: Option<Ipv4Addr>,
    enterprise: Option<Oid<'a>>,
}

impl<'a> Proxied<'a> {
    /// What varbinds say. The community among them is a password: the varbind keeps none of it, so that nothing that shows varbinds
    /// shows it.
    #[inline]
    fn of(varbinds: &mut [Varbind<'a>]) -> Self {
        let mut proxied = Proxied::default();
        for varbind in varbinds {
            // One look at the arc below snmpModules spares three comparisons for every other varbind.
            if let Some([0x2b, 6, 1, 6, 3]) = varbind.oid.as_bytes().first_chunk() {
                proxied.take(varbind);
            }
        }
        proxied
    }

    #[cold]
    fn take(&mut self, varbind: &mut Varbind<'a>) {
        match &varbind.value {
            Value::IpAddress(address) if varbind.oid == oids::SNMP_TRAP_ADDRESS => {
                self.agent = self.agent.or(Some(*address).filter(|a| !a.is_unspecified()));
            }
            value if varbind.oid.starts_with(&oids::SNMP_TRAP_COMMUNITY_OBJECT) => {
                if let (Value::OctetString(community), true) =
                    (value, varbind.oid == oids::SNMP_TRAP_COMMUNITY)
                {
                    self.community = Some(community);
                }
                // Where there is none, nothing is masked.
                if !matches!(varbind.value, Value::OctetString(b"")) {
                    varbind.value = Value::OctetString(MASK);
                }
            }
            Value::ObjectId(enterprise) if varbind.oid == oids::SNMP_TRAP_ENTERPRISE => {
                self.enterprise.get_or_insert_with(|| enterprise.clone());
            }
            _ => {}
        }
    }
}

/// The varbinds of a VarBindList.
struct Varbinds<'a> {
    all: Vec<Varbind<'a>>,
    /// What the first sysUpTime.0 and the first snmpTrapOID.0 say, which are not among them.
    uptime: Option<Value<'a>>,
    trap: Option<Value<'a>>,
    /// How many were odd.
    odd: usize,
}

/// Reads a VarBindList; of v2, whose first varbinds are fields of the notification.
fn varbinds(input: &[u8], v2: bool) -> Varbinds<'_> {
    let mut rest = match ber::last_tlv(input) {
        Ok((_, list)) => list.content,
        Err(_) => &[],
    };
    let mut found = Varbinds { all: Vec::with_capacity(8), uptime: None, trap: None, odd: 0 };
    let mut fields = 0;
    while !rest.is_empty() {
        let Ok((after, varbind)) = ber::tlv(rest) else {
            found.odd += 1;
            break;
        };
        rest = after;
        // What is left out is counted all the same.
        if found.all.len() + fields >= MAX_VARBINDS {
            found.odd += 1;
            continue;
        }
        let (varbind, is_odd) = self::varbind(varbind.content);
        found.odd += usize::from(is_odd);
        // They come first, in this order, but not from every device.
        if v2 && fields < 2 {
            let field = match &varbind.oid {
                oid if found.uptime.is_none() && *oid == oids::SYS_UP_TIME => Some(&mut found.uptime),
                oid if found.trap.is_none() && *oid == oids::SNMP_TRAP_OID => Some(&mut found.trap),
                _ => None,
            };
            if let Some(field) = field {
                *field = Some(varbind.value);
                fields += 1;
                continue;
            }
        }
        found.all.push(varbind);
    }
    found
}

/// A varbind, and whether it is odd. Rules count varbinds, so that each keeps its place whatever is in it.
fn varbind(content: &[u8]) -> (Varbind<'_>, bool) {
    // Whatever its identifier octet says, what comes first is the name.
    let Ok((rest, name)) = ber::tlv(content) else {
        let value = Value::Odd { tag: tag::SEQUENCE, bytes: content };
        return (Varbind { oid: ZERO_DOT_ZERO, value }, true);
    };
    let (oid, not_an_oid) = oid_or_zero(name.content);
    let value = match ber::tlv(rest) {
        Ok((_, found)) => value(found).unwrap_or(Value::Odd { tag: found.tag, bytes: found.content }),
        Err(_) => Value::Odd { tag: rest.first().copied().unwrap_or(tag::NULL), bytes: rest },
    };
    let odd = not_an_oid > 0 || matches!(value, Value::Odd { .. });
    (Varbind { oid, value }, odd)
}

/// The value of an element, where its content fits its type.
fn value(Tlv { tag, content }: Tlv<'_>) -> Option<Value<'_>> {
    // 32-bit values are taken modulo 2^32, as net-snmp takes them: agents encode them with and without sign.
    let low32 =
        |content| ber::signed(content).map(|v| v as u32).or_else(|| ber::unsigned(content).map(|v| v as u32));
    Some(match tag {
        tag::INTEGER => Value::Integer(low32(content)? as i32),
        tag::OCTET_STRING => Value::OctetString(content),
        // Strings of ASN.1 that the SMI does not have, as some devices send them.
        tag::UTF8_STRING | tag::NUMERIC_STRING..=tag::IA5_STRING | tag::GRAPHIC_STRING..=tag::BMP_STRING => {
            Value::OctetString(content)
        }
        tag::NULL => Value::Null,
        tag::OBJECT_ID => Value::ObjectId(Oid::from_ber(content)?),
        tag::IP_ADDRESS => Value::IpAddress(<[u8; 4]>::try_from(content).ok()?.into()),
        tag::COUNTER32 => Value::Counter32(low32(content)?),
        tag::GAUGE32 => Value::Gauge32(low32(content)?),
        tag::TIME_TICKS => Value::TimeTicks(low32(content)?),
        tag::UINTEGER32 => Value::UInteger32(low32(content)?),
        tag::COUNTER64 => Value::Counter64(ber::unsigned(content)?),
        tag::OPAQUE => opaque(content).unwrap_or(Value::Opaque(content)),
        tag::NSAP => Value::Nsap(content),
        tag::BIT_STRING => Value::BitString(content),
        tag::NO_SUCH_OBJECT => Value::NoSuchObject,
        tag::NO_SUCH_INSTANCE => Value::NoSuchInstance,
        tag::END_OF_MIB_VIEW => Value::EndOfMibView,
        _ => return None,
    })
}

/// Numbers that net-snmp and others wrap in Opaque: a tag of two octets (0x9f and 0x30 + the type), a length,
/// the number (draft-perkins-opaque-01).
fn opaque(content: &[u8]) -> Option<Value<'static>> {
    let (&[0x9f, kind, length], number) = content.split_first_chunk::<3>()? else { return None };
    if usize::from(length) != number.len() {
        return None;
    }
    Some(match kind {
        0x78 => Value::Float(f32::from_be_bytes(number.try_into().ok()?)),
        0x79 => Value::Double(f64::from_be_bytes(number.try_into().ok()?)),
        0x7a => Value::Integer64(ber::signed(number)?),
        0x76 | 0x7b => Value::Unsigned64(ber::unsigned(number)?),
        _ => return None,
    })
}

#[cfg(test)]
#[path = "decode_tests.rs"]
mod tests;
