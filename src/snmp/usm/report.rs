//! Reports: what the sender of a refused message is told (RFC 3412, section 7.1; RFC 3414, section 3.2).

use std::sync::atomic::{AtomicU32, Ordering};

use crate::oid::Oid;
use crate::snmp::ber::{push_integer, push_tlv, tag};
use crate::snmp::usm::envelope::{Envelope, REPORTABLE};
use crate::snmp::usm::error::UsmError;
use crate::snmp::usm::scoped::{Class, ScopedPdu, scoped_pdu};

/// A counter of refused messages, which a Report carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Counter {
    UnsupportedSecLevels,
    NotInTimeWindows,
    UnknownUserNames,
    UnknownEngineIds,
    WrongDigests,
    DecryptionErrors,
    UnknownPduHandlers,
}

impl Counter {
    /// All of them, in the order of their declaration.
    const ALL: [Counter; 7] = [
        Counter::UnsupportedSecLevels,
        Counter::NotInTimeWindows,
        Counter::UnknownUserNames,
        Counter::UnknownEngineIds,
        Counter::WrongDigests,
        Counter::DecryptionErrors,
        Counter::UnknownPduHandlers,
    ];

    /// The counter of a refusal; none where the RFCs have none, or discard the message without a Report.
    pub(crate) fn of(why: &UsmError) -> Option<Self> {
        match why {
            UsmError::Level { .. } => Some(Counter::UnsupportedSecLevels),
            UsmError::Time(_) => Some(Counter::NotInTimeWindows),
            UsmError::User(_) | UsmError::Bound { .. } => Some(Counter::UnknownUserNames),
            UsmError::Discovery => Some(Counter::UnknownEngineIds),
            UsmError::Digest(_) => Some(Counter::WrongDigests),
            UsmError::Decryption(_) => Some(Counter::DecryptionErrors),
            UsmError::Unhandled(_) => Some(Counter::UnknownPduHandlers),
            UsmError::Envelope | UsmError::Model(_) | UsmError::Replay(_) | UsmError::Engines(_) => None,
        }
    }

    /// The counter of an instance that a Report names.
    pub(crate) fn of_oid(oid: &Oid<'_>) -> Option<Self> {
        Self::ALL.into_iter().find(|counter| counter.oid() == *oid)
    }

    /// usmStats (RFC 3414, section 5), or snmpUnknownPDUHandlers (RFC 3412, section 5).
    pub(crate) fn oid(self) -> Oid<'static> {
        const SNMP_MODULES: Oid<'static> = Oid::from_canonical(&[0x2b, 6, 1, 6, 3]);
        let below: [u32; 5] = match self {
            Counter::UnknownPduHandlers => [11, 2, 1, 3, 0],
            usm => [15, 1, 1, usm as u32 + 1, 0],
        };
        below.into_iter().fold(SNMP_MODULES, |oid, arc| oid.child(arc))
    }
}

/// The counts, since the daemon started.
#[derive(Debug, Default)]
pub(crate) struct Counts([AtomicU32; Counter::ALL.len()]);

impl Counts {
    /// Counts one, and gives the count.
    pub(crate) fn add(&self, counter: Counter) -> u32 {
        self.0[counter as usize].fetch_add(1, Ordering::Relaxed).wrapping_add(1)
    }
}

/// Whether a Report may answer a message (RFC 3412, sections 6.4 and 7.1): if its PDU is of the Confirmed Class, or, where that
/// cannot be told, if the sender says so. `known` is the scoped PDU, where it was read.
pub(crate) fn may_answer(envelope: &Envelope<'_>, known: Option<&ScopedPdu<'_>>) -> bool {
    match known.map_or(Class::Unknown, ScopedPdu::class) {
        Class::Confirmed => true,
        Class::Trap | Class::Reply => false,
        Class::Unknown => envelope.flags & REPORTABLE != 0,
    }
}

/// The scoped PDU of a Report: the request-id of the message and its context where they can be read, which keeps the Report of a
/// discovery short.
pub(crate) fn scoped_report(
    known: Option<&ScopedPdu<'_>>,
    engine: &[u8],
    counter: Counter,
    count: u32,
) -> Vec<u8> {
    let mut varbind = Vec::new();
    push_tlv(&mut varbind, tag::OBJECT_ID, counter.oid().as_bytes());
    push_integer(&mut varbind, tag::COUNTER32, count.into());
    let mut varbinds = Vec::new();
    push_tlv(&mut varbinds, tag::SEQUENCE, &varbind);
    let mut pdu = Vec::new();
    for number in [known.and_then(ScopedPdu::request_id).unwrap_or(0), 0, 0] {
        push_integer(&mut pdu, tag::INTEGER, number.into());
    }
    push_tlv(&mut pdu, tag::SEQUENCE, &varbinds);
    scoped_pdu(known.map_or((engine, &[]), |scoped| scoped.context), tag::REPORT, &pdu)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counters_by_name_and_number() {
        let oids: Vec<String> = Counter::ALL.iter().map(|counter| counter.oid().to_string()).collect();
        assert_eq!(oids[0], "1.3.6.1.6.3.15.1.1.1.0");
        assert_eq!(oids[5], "1.3.6.1.6.3.15.1.1.6.0");
        assert_eq!(oids[6], "1.3.6.1.6.3.11.2.1.3.0");
        for counter in Counter::ALL {
            assert_eq!(Counter::of_oid(&counter.oid()), Some(counter));
        }
        let counts = Counts::default();
        assert_eq!((counts.add(Counter::WrongDigests), counts.add(Counter::WrongDigests)), (1, 2));
        assert_eq!(counts.add(Counter::UnknownPduHandlers), 1);
    }
}
