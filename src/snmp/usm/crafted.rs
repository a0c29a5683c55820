//! Messages for tests, right in all but what a test changes; and what came back, in words.

use crate::oid::Oid;
use crate::snmp::ber::{self, push_integer, push_tlv, tag};
use crate::snmp::usm::envelope::{AUTH, Envelope, MAX_SIZE, PRIV, REPORTABLE, Sealing};
use crate::snmp::usm::salts::Salts;
use crate::snmp::usm::scoped::{ScopedPdu, scoped_pdu};
use crate::snmp::usm::user::User;

/// An identifier octet that no PDU has.
pub(crate) const UNREADABLE: u8 = 0xaf;

/// A message of a user.
pub(crate) struct Crafted<'a> {
    pub(crate) message_id: i64,
    pub(crate) max_size: u32,
    /// msgFlags; [`AUTH`] and [`PRIV`] need a user that has the keys.
    pub(crate) flags: u8,
    pub(crate) engine: &'a [u8],
    pub(crate) boots: u32,
    pub(crate) time: u32,
    /// msgUserName, where it is not the user's.
    pub(crate) name: Option<&'a [u8]>,
    /// The identifier octet of the PDU.
    pub(crate) pdu: u8,
    pub(crate) request_id: i32,
    /// error-status and error-index.
    pub(crate) errors: (i32, i32),
    /// The octets of a varbind ifDescr.3.
    pub(crate) text: &'a [u8],
}

impl Default for Crafted<'_> {
    fn default() -> Self {
        Crafted {
            message_id: 1000,
            max_size: MAX_SIZE,
            flags: 0,
            engine: &[0x80, 0, 0, 1, 1],
            boots: 1,
            time: 1000,
            name: None,
            pdu: tag::TRAP_V2,
            request_id: 4242,
            errors: (0, 0),
            text: b"Gi0/3",
        }
    }
}

impl Crafted<'_> {
    /// The message.
    pub(crate) fn of(&self, user: &User) -> Vec<u8> {
        self.with(user, &Salts::random().unwrap())
    }

    fn with(&self, user: &User, salts: &Salts) -> Vec<u8> {
        let keys = user.auth_key(self.engine).map(|auth| (auth, user.priv_key(self.engine)));
        let sealing = Sealing {
            message_id: self.message_id,
            max_size: self.max_size,
            flags: self.flags,
            engine: self.engine,
            boots: self.boots,
            time: self.time,
            user: self.name.unwrap_or(user.name.as_bytes()),
            keys: keys.as_ref(),
        };
        sealing.seal(&scoped_pdu((self.engine, b""), self.pdu, &self.content()), salts).unwrap()
    }

    fn content(&self) -> Vec<u8> {
        let mut varbinds = Vec::new();
        let mut varbind = |oid: &str, value: &dyn Fn(&mut Vec<u8>)| {
            let mut content = Vec::new();
            push_tlv(&mut content, tag::OBJECT_ID, oid.parse::<Oid>().unwrap().as_bytes());
            value(&mut content);
            push_tlv(&mut varbinds, tag::SEQUENCE, &content);
        };
        let if_descr = |out: &mut Vec<u8>| push_tlv(out, tag::OCTET_STRING, self.text);
        let mut pdu = Vec::new();
        match self.pdu {
            tag::TRAP_V1 => {
                push_tlv(&mut pdu, tag::OBJECT_ID, "1.3.6.1.4.1.32473".parse::<Oid>().unwrap().as_bytes());
                push_tlv(&mut pdu, tag::IP_ADDRESS, &[192, 0, 2, 7]);
                for (pdu_tag, number) in [(tag::INTEGER, 2), (tag::INTEGER, 0), (tag::TIME_TICKS, 4711)] {
                    push_integer(&mut pdu, pdu_tag, number);
                }
            }
            _ => {
                for number in [self.request_id, self.errors.0, self.errors.1] {
                    push_integer(&mut pdu, tag::INTEGER, number.into());
                }
                varbind("1.3.6.1.2.1.1.3.0", &|out| push_integer(out, tag::TIME_TICKS, 1234));
                let link_down: Oid<'_> = "1.3.6.1.6.3.1.1.5.3".parse().unwrap();
                let link_down = |out: &mut Vec<u8>| push_tlv(out, tag::OBJECT_ID, link_down.as_bytes());
                varbind("1.3.6.1.6.3.1.1.4.1.0", &link_down);
            }
        }
        varbind("1.3.6.1.2.1.2.2.1.2.3", &if_descr);
        push_tlv(&mut pdu, tag::SEQUENCE, &varbinds);
        pdu
    }
}

/// What came back for a message of this user: `Report usmStatsWrongDigests = 1, authNoPriv, msgID 1000, id 4242` or
/// `Response 0 0, authPriv, msgID 1000, id 4242, 3 varbinds`. A digest and encryption are checked.
pub(crate) fn in_words(answer: &[u8], user: &User) -> String {
    let envelope = Envelope::read(answer).unwrap();
    assert_eq!(envelope.flags & REPORTABLE, 0, "nothing answers an answer");
    let mut content = envelope.data.content.to_vec();
    if envelope.flags & AUTH != 0 {
        assert!(envelope.proven(&user.auth_key(envelope.engine).unwrap()), "the digest of the answer");
    }
    if envelope.flags & PRIV != 0 {
        let key = user.priv_key(envelope.engine).unwrap();
        let mut plain = Vec::new();
        key.decrypt(&content, (envelope.boots, envelope.time), envelope.salt, &mut plain).unwrap();
        content = ber::expect(tag::SEQUENCE)(&plain).unwrap().1.to_vec();
    }
    let scoped = ScopedPdu::read(&content).unwrap();
    let level = ["noAuthNoPriv", "authNoPriv", "", "authPriv"][usize::from(envelope.level())];
    let (rest, request_id) = ber::integer(scoped.pdu.content).unwrap();
    let (rest, status) = ber::integer(rest).unwrap();
    let (rest, index) = ber::integer(rest).unwrap();
    let (_, mut list) = ber::expect(tag::SEQUENCE)(rest).unwrap();
    let numbers = format!("{level}, msgID {}, id {request_id}", envelope.message_id);
    if scoped.pdu.tag == tag::REPORT {
        let (_, varbind) = ber::expect(tag::SEQUENCE)(list).unwrap();
        let (value, oid) = ber::expect(tag::OBJECT_ID)(varbind).unwrap();
        let (_, count) = ber::tlv(value).unwrap();
        let oid = Oid::from_ber(oid).unwrap().to_string();
        let name = match oid.as_str() {
            "1.3.6.1.6.3.15.1.1.1.0" => "usmStatsUnsupportedSecLevels",
            "1.3.6.1.6.3.15.1.1.2.0" => "usmStatsNotInTimeWindows",
            "1.3.6.1.6.3.15.1.1.3.0" => "usmStatsUnknownUserNames",
            "1.3.6.1.6.3.15.1.1.4.0" => "usmStatsUnknownEngineIDs",
            "1.3.6.1.6.3.15.1.1.5.0" => "usmStatsWrongDigests",
            "1.3.6.1.6.3.15.1.1.6.0" => "usmStatsDecryptionErrors",
            "1.3.6.1.6.3.11.2.1.3.0" => "snmpUnknownPDUHandlers",
            other => other,
        };
        return format!("Report {name} = {}, {numbers}", ber::unsigned(count.content).unwrap());
    }
    assert_eq!(scoped.pdu.tag, tag::RESPONSE);
    let mut varbinds = 0;
    while let Ok((rest, _)) = ber::tlv(list) {
        (list, varbinds) = (rest, varbinds + 1);
    }
    format!("Response {status} {index}, {numbers}, {varbinds} varbinds")
}
