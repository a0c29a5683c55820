//! Packets to [`Notification`]s.
//!
//! Devices are sloppy, and a trap that is thrown away for a stray octet is an outage that nobody hears of. So
//! only what cannot be understood at all is refused; a varbind that does not fit its type is kept as
//! [`Value::Odd`], and one whose frame is broken ends the list but not the notification.

use std::net::Ipv4Addr;

use crate::message::{Notification, NotificationKind, Oid, Security, SecurityLevel, Value, Varbind, Version};
use crate::snmp::ber::{self, Tlv, tag};
use crate::snmp::usm::UsmError;
use crate::snmp::well_known as oids;

/// The most varbinds that are kept of one notification; what comes after is counted as odd.
pub const MAX_VARBINDS: usize = 512;

/// A decoded packet.
#[derive(Debug, Clone, PartialEq)]
pub struct Decoded<'a> {
    /// The notification.
    pub notification: Notification<'a>,
    /// How many varbinds were odd: content that does not fit the type, or a broken frame.
    pub odd: usize,
    /// The message without what trails it, and the place of the PDU's identifier octet in it.
    frame: (&'a [u8], usize),
}

/// Why a packet is no notification.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// The packet does not start with a SEQUENCE.
    #[error("not an SNMP message: it does not start with a SEQUENCE")]
    NotSnmp,
    /// A length points past the end of the packet.
    #[error("cut off: the message says that it is longer than the packet")]
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
    /// A v2c notification without snmpTrapOID.0.
    #[error("a v2c notification without snmpTrapOID.0")]
    NoTrapOid,
}

impl DecodeError {
    /// All reasons, in the order of [`DecodeError::index`].
    pub const REASONS: [&'static str; 18] = [
        "not_snmp",
        "truncated",
        "header",
        "version",
        "v3",
        "not_notification",
        "pdu",
        "no_trap_oid",
        "v3_envelope",
        "v3_model",
        "v3_discovery",
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
            Self::NoTrapOid => 7,
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
    if packet.first() != Some(&tag::SEQUENCE) {
        return Err(DecodeError::NotSnmp);
    }
    let (trailing, message) = ber::expect(tag::SEQUENCE)(packet).map_err(|_| DecodeError::Truncated)?;
    let (rest, version) = ber::integer(message).map_err(|_| DecodeError::Header)?;
    let version = match version {
        0 => Version::V1,
        1 => Version::V2c,
        3 => return Err(DecodeError::V3),
        other => return Err(DecodeError::Version(other)),
    };
    let (rest, community) = ber::expect(tag::OCTET_STRING)(rest).map_err(|_| DecodeError::Header)?;
    let frame = &packet[..packet.len() - trailing.len()];
    let pdu_at = frame.len() - rest.len();
    let (_, pdu) = ber::last_tlv(rest).map_err(|_| DecodeError::Pdu)?;
    let (notification, odd) = match pdu.tag {
        tag::TRAP_V1 => trap_v1(version, community, pdu.content).ok_or(DecodeError::Pdu)?,
        tag::TRAP_V2 => trap_v2(version, NotificationKind::Trap, community, pdu.content)?,
        tag::INFORM => trap_v2(version, NotificationKind::Inform, community, pdu.content)?,
        other => return Err(DecodeError::NotNotification(other)),
    };
    Ok(Decoded { notification, odd, frame: (frame, pdu_at) })
}

impl Decoded<'_> {
    /// The answer to an inform: the same message as a Response-PDU (RFC 3416, section 4.2.7).
    pub fn answer(&self) -> Vec<u8> {
        let (frame, pdu_at) = self.frame;
        let mut answer = frame.to_vec();
        if let Some(octet) = answer.get_mut(pdu_at) {
            *octet = tag::RESPONSE;
        }
        answer
    }
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
    let kind = match pdu.tag {
        tag::TRAP_V2 => NotificationKind::Trap,
        tag::INFORM => NotificationKind::Inform,
        other => return Err(DecodeError::NotNotification(other)),
    };
    let (mut notification, odd) = trap_v2(Version::V3, kind, &[], pdu.content)?;
    notification.security = Some(Security { user, level, context, engine, relay: false, of_engine: false });
    Ok(Decoded { notification, odd, frame: (&[], 0) })
}

/// Trap-PDU (RFC 1157, section 4.1.6), its trap OID by RFC 3584, section 3.1.
fn trap_v1<'a>(version: Version, community: &'a [u8], pdu: &'a [u8]) -> Option<(Notification<'a>, usize)> {
    let (rest, enterprise) = ber::expect(tag::OBJECT_ID)(pdu).ok()?;
    let enterprise = Oid::from_ber(enterprise)?;
    let (rest, agent) = ber::tlv(rest).ok()?;
    let (rest, generic) = ber::integer(rest).ok()?;
    let (rest, specific) = ber::integer(rest).ok()?;
    let (rest, ticks) = ber::tlv(rest).ok()?;
    let (varbinds, odd) = varbinds(rest);
    let (generic, specific) = (generic as i32, specific as i32);
    let oid = match generic {
        0..=5 => oids::SNMP_TRAPS.child(generic as u32 + 1),
        _ => enterprise.child(0).child(specific as u32),
    };
    let agent = <[u8; 4]>::try_from(agent.content).ok().map(Ipv4Addr::from);
    let mut notification = Notification {
        version,
        kind: NotificationKind::Trap,
        community,
        proxied_community: None,
        security: None,
        request_id: 0,
        oid,
        enterprise: Some(enterprise),
        agent: agent.filter(|a| !a.is_unspecified()),
        generic: Some(generic),
        specific: Some(specific),
        uptime: ber::unsigned(ticks.content).map(|t| t as u32),
        varbinds,
    };
    honour_proxy(&mut notification);
    Some((notification, odd))
}

/// SNMPv2-Trap-PDU and InformRequest-PDU (RFC 3416, section 3).
fn trap_v2<'a>(
    version: Version,
    kind: NotificationKind,
    community: &'a [u8],
    pdu: &'a [u8],
) -> Result<(Notification<'a>, usize), DecodeError> {
    let header = |rest| {
        let (rest, request_id) = ber::integer(rest).ok()?;
        let (rest, _error_status) = ber::integer(rest).ok()?;
        let (rest, _error_index) = ber::integer(rest).ok()?;
        Some((rest, request_id as i32))
    };
    let (rest, request_id) = header(pdu).ok_or(DecodeError::Pdu)?;
    let (mut varbinds, odd) = varbinds(rest);
    // They come first, in this order, but not from every device.
    let uptime = match take(&mut varbinds, &oids::SYS_UP_TIME) {
        Some(Value::TimeTicks(ticks)) => Some(ticks),
        Some(other) => other.as_integer().map(|v| v as u32),
        None => None,
    };
    let Some(Value::ObjectId(oid)) = take(&mut varbinds, &oids::SNMP_TRAP_OID) else {
        return Err(DecodeError::NoTrapOid);
    };
    let mut notification = Notification {
        version,
        kind,
        community,
        proxied_community: None,
        security: None,
        request_id,
        oid,
        enterprise: None,
        agent: None,
        generic: None,
        specific: None,
        uptime,
        varbinds,
    };
    honour_proxy(&mut notification);
    Ok((notification, odd))
}

fn take<'a>(varbinds: &mut Vec<Varbind<'a>>, oid: &Oid<'_>) -> Option<Value<'a>> {
    let at = varbinds.iter().position(|v| v.oid == *oid)?;
    Some(varbinds.remove(at).value)
}

/// A proxy that translates between versions says in varbinds who the agent was (RFC 3584, section 3.1).
fn honour_proxy(notification: &mut Notification<'_>) {
    for varbind in &notification.varbinds {
        // One look at the arc below snmpModules spares three comparisons for every other varbind.
        if varbind.oid.as_bytes().get(..5) != Some(&[0x2b, 6, 1, 6, 3]) {
            continue;
        }
        match &varbind.value {
            Value::IpAddress(address) if varbind.oid == oids::SNMP_TRAP_ADDRESS => {
                notification.agent = notification.agent.or(Some(*address).filter(|a| !a.is_unspecified()));
            }
            Value::OctetString(community) if varbind.oid == oids::SNMP_TRAP_COMMUNITY => {
                notification.proxied_community = Some(community);
            }
            Value::ObjectId(enterprise) if varbind.oid == oids::SNMP_TRAP_ENTERPRISE => {
                notification.enterprise.get_or_insert_with(|| enterprise.clone());
            }
            _ => {}
        }
    }
}

/// The varbinds of a VarBindList, and how many of them were odd.
fn varbinds(input: &[u8]) -> (Vec<Varbind<'_>>, usize) {
    let mut rest = match ber::last_tlv(input) {
        Ok((_, list)) => list.content,
        Err(_) => &[],
    };
    let mut varbinds = Vec::with_capacity(8);
    let mut odd = 0;
    while !rest.is_empty() {
        let Ok((after, varbind)) = ber::tlv(rest) else {
            odd += 1;
            break;
        };
        rest = after;
        let parsed = self::varbind(varbind.content);
        odd += usize::from(parsed.as_ref().is_none_or(|v| matches!(v.value, Value::Odd { .. })));
        if varbinds.len() >= MAX_VARBINDS {
            odd += 1;
            break;
        }
        varbinds.extend(parsed);
    }
    (varbinds, odd)
}

fn varbind(content: &[u8]) -> Option<Varbind<'_>> {
    // Whatever its identifier octet says, what comes first is the name.
    let (rest, name) = ber::tlv(content).ok()?;
    let oid = Oid::from_ber(name.content)?;
    let value = match ber::tlv(rest) {
        Ok((_, found)) => value(found).unwrap_or(Value::Odd { tag: found.tag, bytes: found.content }),
        Err(_) => Value::Odd { tag: rest.first().copied().unwrap_or(tag::NULL), bytes: rest },
    };
    Some(Varbind { oid, value })
}

/// The value of an element, where its content fits its type.
fn value(Tlv { tag, content }: Tlv<'_>) -> Option<Value<'_>> {
    // 32-bit values are taken modulo 2^32, as net-snmp takes them: agents encode them with and without sign.
    let low32 =
        |content| ber::signed(content).map(|v| v as u32).or_else(|| ber::unsigned(content).map(|v| v as u32));
    Some(match tag {
        tag::INTEGER => Value::Integer(low32(content)? as i32),
        tag::OCTET_STRING => Value::OctetString(content),
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
