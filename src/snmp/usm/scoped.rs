//! The scoped PDU of a v3 message (RFC 3412, section 6.8), and what class its PDU is of.

use crate::snmp::ber::{self, push_tlv, tag};

/// What a PDU is for: who is authoritative for it, and whether a Report may answer it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Class {
    /// Informs and requests (Confirmed Class of RFC 3411, section 2.8): their receiver is authoritative.
    Confirmed,
    /// Traps: their sender is authoritative.
    Trap,
    /// Responses and Reports. Nothing answers them.
    Reply,
    /// It is encrypted, or cannot be read.
    Unknown,
}

impl Class {
    pub(crate) fn of(pdu_tag: u8) -> Self {
        match pdu_tag {
            tag::GET | tag::GET_NEXT | tag::SET | tag::GET_BULK | tag::INFORM => Class::Confirmed,
            tag::TRAP_V1 | tag::TRAP_V2 => Class::Trap,
            tag::RESPONSE | tag::REPORT => Class::Reply,
            _ => Class::Unknown,
        }
    }
}

/// A scoped PDU.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ScopedPdu<'p> {
    /// contextEngineID and contextName.
    pub(crate) context: (&'p [u8], &'p [u8]),
    /// The PDU: its identifier octet and its content.
    pub(crate) pdu: ber::Tlv<'p>,
}

impl<'p> ScopedPdu<'p> {
    /// Reads the content of a scoped PDU.
    pub(crate) fn read(content: &'p [u8]) -> Option<Self> {
        let (rest, engine) = ber::expect(tag::OCTET_STRING)(content).ok()?;
        let (rest, name) = ber::expect(tag::OCTET_STRING)(rest).ok()?;
        let (_, pdu) = ber::last_tlv(rest).ok()?;
        Some(ScopedPdu { context: (engine, name), pdu })
    }

    pub(crate) fn class(&self) -> Class {
        Class::of(self.pdu.tag)
    }

    /// request-id; none of a Trap-PDU of v1, which has none.
    pub(crate) fn request_id(&self) -> Option<i64> {
        (self.pdu.tag != tag::TRAP_V1)
            .then(|| ber::integer(self.pdu.content).ok())
            .flatten()
            .map(|(_, id)| id)
    }
}

/// Writes a scoped PDU in a context.
pub(crate) fn scoped_pdu((engine, context): (&[u8], &[u8]), pdu_tag: u8, pdu: &[u8]) -> Vec<u8> {
    let mut content = Vec::with_capacity(pdu.len() + 64);
    push_tlv(&mut content, tag::OCTET_STRING, engine);
    push_tlv(&mut content, tag::OCTET_STRING, context);
    push_tlv(&mut content, pdu_tag, pdu);
    let mut scoped = Vec::with_capacity(content.len() + 4);
    push_tlv(&mut scoped, tag::SEQUENCE, &content);
    scoped
}
