//! Packets of MQTT 5 (OASIS standard, 7 March 2019), as far as a client needs them that publishes at QoS 1. From and to octets, without
//! I/O.

use super::reason::Reason;

/// The longest packet that a broker may send, which it is told: more than any answer needs.
pub(super) const LONGEST: u32 = 65_535;

/// PINGREQ (section 3.12).
pub(super) const PING: [u8; 2] = [0xc0, 0];
/// DISCONNECT without a reason: a normal end (section 3.14).
pub(super) const GOODBYE: [u8; 2] = [0xe0, 0];

/// The identifiers of properties (section 2.2.2.2).
mod property {
    pub(super) const PAYLOAD_FORMAT: u8 = 0x01;
    pub(super) const EXPIRY: u8 = 0x02;
    pub(super) const CONTENT_TYPE: u8 = 0x03;
    pub(super) const SERVER_KEEP_ALIVE: u8 = 0x13;
    pub(super) const SERVER_REFERENCE: u8 = 0x1c;
    pub(super) const REASON_STRING: u8 = 0x1f;
    pub(super) const RECEIVE_MAXIMUM: u8 = 0x21;
    pub(super) const MAXIMUM_QOS: u8 = 0x24;
    pub(super) const RETAIN_AVAILABLE: u8 = 0x25;
    pub(super) const USER: u8 = 0x26;
    pub(super) const MAXIMUM_PACKET: u8 = 0x27;
}

/// What a client says first.
#[derive(Debug, Clone, Copy)]
pub(super) struct Connect<'a> {
    /// Who it is; empty for a name of the broker's choice.
    pub(super) client_id: &'a str,
    /// User and password.
    pub(super) login: Option<(&'a str, &'a [u8])>,
    /// The most seconds between two of its packets.
    pub(super) keep_alive: u16,
}

/// A message for the broker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Message {
    /// Its topic.
    pub(super) topic: String,
    /// The id of its outcome, a user property.
    pub(super) id: String,
    /// JSON.
    pub(super) payload: Vec<u8>,
    /// Whether the broker keeps it for those who subscribe later.
    pub(super) retain: bool,
    /// For how many seconds the broker keeps it.
    pub(super) expiry: Option<u32>,
}

/// What a broker says of itself when it accepts a connection (section 3.2.2.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Terms {
    /// How many messages may await their acknowledgement.
    pub(super) at_once: u16,
    /// The longest packet.
    pub(super) longest: u32,
    /// The highest QoS.
    pub(super) qos: u8,
    /// Whether it keeps messages.
    pub(super) retains: bool,
    /// The most seconds between two packets, where it says so.
    pub(super) keep_alive: Option<u16>,
}

impl Default for Terms {
    fn default() -> Self {
        Terms { at_once: u16::MAX, longest: u32::MAX, qos: 2, retains: true, keep_alive: None }
    }
}

/// A packet of a broker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Packet {
    /// CONNACK.
    Connected(Reason, Terms),
    /// PUBACK, with the identifier of the message.
    Published(u16, Reason),
    /// PINGRESP.
    Pong,
    /// DISCONNECT.
    Ended(Reason),
}

/// What stands at the start of octets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Found {
    /// A packet, and its length.
    Packet(Packet, usize),
    /// The start of one.
    Partial,
    /// Nothing that a broker sends to such a client.
    Nonsense,
}

impl Connect<'_> {
    /// The packet: a new session that ends with the connection.
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut body = Vec::new();
        push_text(&mut body, "MQTT");
        let login = if self.login.is_some() { 0xc0 } else { 0 };
        body.extend_from_slice(&[5, 0x02 | login]);
        body.extend_from_slice(&self.keep_alive.to_be_bytes());
        let mut properties = vec![property::MAXIMUM_PACKET];
        properties.extend_from_slice(&LONGEST.to_be_bytes());
        push_all(&mut body, &properties);
        push_text(&mut body, self.client_id);
        if let Some((user, password)) = self.login {
            push_text(&mut body, user);
            push_octets(&mut body, password);
        }
        packet(0x10, &body)
    }
}

impl Message {
    /// The packet at QoS 1, with an identifier other than 0.
    pub(super) fn encode(&self, identifier: u16) -> Vec<u8> {
        let mut body = Vec::with_capacity(self.payload.len() + self.topic.len() + 128);
        push_text(&mut body, &self.topic);
        body.extend_from_slice(&identifier.to_be_bytes());
        let mut properties = vec![property::PAYLOAD_FORMAT, 1];
        if let Some(seconds) = self.expiry {
            properties.push(property::EXPIRY);
            properties.extend_from_slice(&seconds.to_be_bytes());
        }
        properties.push(property::CONTENT_TYPE);
        push_text(&mut properties, "application/json");
        properties.push(property::USER);
        push_text(&mut properties, "trapline-id");
        push_text(&mut properties, &self.id);
        push_all(&mut body, &properties);
        body.extend_from_slice(&self.payload);
        packet(0x32 | u8::from(self.retain), &body)
    }
}

fn packet(kind: u8, body: &[u8]) -> Vec<u8> {
    let mut packet = Vec::with_capacity(body.len() + 5);
    packet.push(kind);
    push_all(&mut packet, body);
    packet
}

/// Octets behind their length.
fn push_all(out: &mut Vec<u8>, octets: &[u8]) {
    let mut length = octets.len();
    loop {
        let more = length > 0x7f;
        out.push((length & 0x7f) as u8 | if more { 0x80 } else { 0 });
        length >>= 7;
        if !more {
            break;
        }
    }
    out.extend_from_slice(octets);
}

/// Callers have checked that a text fits.
fn push_text(out: &mut Vec<u8>, text: &str) {
    push_octets(out, text.as_bytes());
}

fn push_octets(out: &mut Vec<u8>, octets: &[u8]) {
    let length = octets.len().min(usize::from(u16::MAX));
    out.extend_from_slice(&(length as u16).to_be_bytes());
    out.extend_from_slice(&octets[..length]);
}

/// Reads the packet at the start of octets.
pub(super) fn parse(octets: &[u8]) -> Found {
    let Some((&kind, rest)) = octets.split_first() else { return Found::Partial };
    let (length, head) = match number(rest) {
        Some(Ok((length, size))) => (length, size + 1),
        Some(Err(())) => return Found::Nonsense,
        None => return Found::Partial,
    };
    if length > LONGEST {
        return Found::Nonsense;
    }
    let Some(body) = octets.get(head..head + length as usize) else { return Found::Partial };
    match read(kind, body) {
        Some(packet) => Found::Packet(packet, head + length as usize),
        None => Found::Nonsense,
    }
}

fn read(kind: u8, body: &[u8]) -> Option<Packet> {
    match (kind, body) {
        // The second octet has flags of sessions. Brokers of MQTT 3.1.1 send no properties.
        (0x20, [_, code, rest @ ..]) => {
            let (words, terms) = properties(rest)?;
            Some(Packet::Connected(Reason { code: *code, words }, terms))
        }
        (0x40, [high, low, rest @ ..]) => {
            Some(Packet::Published(u16::from_be_bytes([*high, *low]), reason(rest)?))
        }
        (0xd0, []) => Some(Packet::Pong),
        (0xe0, rest) => Some(Packet::Ended(reason(rest)?)),
        _ => None,
    }
}

/// A reason and properties, which may both be left out.
fn reason(octets: &[u8]) -> Option<Reason> {
    let Some((&code, rest)) = octets.split_first() else { return Some(Reason { code: 0, words: None }) };
    let (words, _) = properties(rest)?;
    Some(Reason { code, words })
}

/// A variable byte integer and its size; none if it has not ended.
fn number(octets: &[u8]) -> Option<Result<(u32, usize), ()>> {
    let mut value = 0;
    for at in 0..4 {
        let octet = *octets.get(at)?;
        value |= u32::from(octet & 0x7f) << (7 * at);
        if octet & 0x80 == 0 {
            return Some(Ok((value, at + 1)));
        }
    }
    Some(Err(()))
}

/// The properties at the end of a packet: what is said in words, and the terms.
fn properties(octets: &[u8]) -> Option<(Option<String>, Terms)> {
    let (mut words, mut terms) = (None, Terms::default());
    if octets.is_empty() {
        return Some((words, terms));
    }
    let (length, size) = number(octets)?.ok()?;
    let mut rest = octets.get(size..)?;
    if rest.len() != length as usize {
        return None;
    }
    while let Some((&identifier, behind)) = rest.split_first() {
        let (value, behind) = value(identifier, behind)?;
        rest = behind;
        match (identifier, value) {
            (property::RECEIVE_MAXIMUM, Value::Number(number)) => terms.at_once = (number as u16).max(1),
            (property::MAXIMUM_PACKET, Value::Number(number)) => terms.longest = number,
            (property::MAXIMUM_QOS, Value::Number(number)) => terms.qos = number as u8,
            (property::RETAIN_AVAILABLE, Value::Number(number)) => terms.retains = number != 0,
            (property::SERVER_KEEP_ALIVE, Value::Number(number)) => terms.keep_alive = Some(number as u16),
            (property::REASON_STRING | property::SERVER_REFERENCE, Value::Text(text)) => {
                words = Some(String::from_utf8_lossy(text).into_owned());
            }
            _ => {}
        }
    }
    Some((words, terms))
}

enum Value<'a> {
    Number(u32),
    Text(&'a [u8]),
}

/// The value of a property, and what stands behind it.
fn value(identifier: u8, octets: &[u8]) -> Option<(Value<'_>, &[u8])> {
    let fixed = |size: usize| {
        let (value, rest) = octets.split_at_checked(size)?;
        let number = value.iter().fold(0, |number, octet| number << 8 | u32::from(*octet));
        Some((Value::Number(number), rest))
    };
    match identifier {
        0x01 | 0x17 | 0x19 | 0x24 | 0x25 | 0x28 | 0x29 | 0x2a => fixed(1),
        0x13 | 0x21 | 0x22 | 0x23 => fixed(2),
        0x02 | 0x11 | 0x18 | 0x27 => fixed(4),
        0x03 | 0x08 | 0x09 | 0x12 | 0x15 | 0x16 | 0x1a | 0x1c | 0x1f => {
            let (text, rest) = text(octets)?;
            Some((Value::Text(text), rest))
        }
        property::USER => {
            let (name, rest) = text(octets)?;
            let (_, rest) = text(rest)?;
            Some((Value::Text(name), rest))
        }
        0x0b => {
            let (number, size) = number(octets)?.ok()?;
            Some((Value::Number(number), &octets[size..]))
        }
        _ => None,
    }
}

fn text(octets: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = octets.split_at_checked(2)?;
    rest.split_at_checked(usize::from(u16::from_be_bytes([length[0], length[1]])))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn found(octets: &[u8]) -> Packet {
        match parse(octets) {
            Found::Packet(packet, length) if length == octets.len() => packet,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn packets_are_those_of_the_standard() {
        let login = Some(("u", b"pw".as_slice()));
        let connect = Connect { client_id: "c", login, keep_alive: 60 }.encode();
        assert_eq!(connect, b"\x10\x1a\0\x04MQTT\x05\xc2\0\x3c\x05\x27\0\0\xff\xff\0\x01c\0\x01u\0\x02pw");
        let message = Message {
            topic: "a/b".into(),
            id: "i".into(),
            payload: b"{}".to_vec(),
            retain: true,
            expiry: Some(3600),
        };
        let expected =
            b"\x33\x36\0\x03a/b\0\x07\x2c\x01\x01\x02\0\0\x0e\x10\x03\0\x10application/json\x26\0\x0btrapline-id\0\x01i{}";
        let encoded = message.encode(7);
        assert_eq!(encoded.len(), usize::from(encoded[1]) + 2);
        assert_eq!(encoded[2..9], expected[2..9]);
        assert_eq!(encoded[0], 0x33);
        assert_eq!(encoded[9], encoded.len() as u8 - 10 - 2, "the length of the properties");
        assert!(encoded.ends_with(b"\x26\0\x0btrapline-id\0\x01i{}"));
        assert_eq!(encoded[10..17], [1, 1, 2, 0, 0, 0x0e, 0x10]);
        let long = Message { payload: vec![b'x'; 20_000], ..message }.encode(1);
        assert!(long[1] & 0x80 != 0 && long[2] & 0x80 != 0 && long[3] & 0x80 == 0);
    }

    #[test]
    fn answers_are_read() {
        let ok = Reason { code: 0, words: None };
        let terms = Terms { at_once: 20, longest: 1000, qos: 1, retains: false, keep_alive: Some(30) };
        let connack = b"\x20\x18\0\0\x15\x21\0\x14\x27\0\0\x03\xe8\x24\x01\x25\0\x13\0\x1e\x12\0\x03abc";
        let mut connack = connack.to_vec();
        (connack[1], connack[4]) = (connack.len() as u8 - 2, connack.len() as u8 - 5);
        assert_eq!(found(&connack), Packet::Connected(ok.clone(), terms));
        assert_eq!(
            found(&[0x20, 2, 0, 5]),
            Packet::Connected(Reason { code: 5, words: None }, Terms::default()),
            "a broker of MQTT 3.1.1"
        );
        assert_eq!(found(&[0x40, 2, 1, 2]), Packet::Published(258, ok));
        let no = |words: &str| Reason { code: 0x87, words: Some(words.to_owned()) };
        assert_eq!(found(b"\x40\x09\0\x01\x87\x05\x1f\0\x02no"), Packet::Published(1, no("no")));
        assert_eq!(found(&[0xd0, 0]), Packet::Pong);
        assert_eq!(found(&[0xe0, 1, 0x8b]), Packet::Ended(Reason { code: 0x8b, words: None }));
        // A QoS that was not asked for, a length that does not end, a property that is none, one that is cut.
        for nonsense in [
            &b"\x50\x02\0\x01"[..],
            b"\x40\xff\xff\xff\xff",
            b"\x40\x05\0\x01\x87\x01\x77",
            b"\x40\x06\0\x01\x87\x02\x1f\0",
            b"HTTP/1.1 400",
        ] {
            assert!(matches!(parse(nonsense), Found::Nonsense | Found::Partial), "{nonsense:?}");
        }
        assert_eq!(parse(b"\x40\x05\0\x01\x87\x01\x77"), Found::Nonsense);
    }

    proptest! {
        #[test]
        fn no_octets_make_it_fail(octets in proptest::collection::vec(any::<u8>(), 0..64), kind in 0_u8..16, body in proptest::collection::vec(any::<u8>(), 0..40)) {
            let _ = parse(&octets);
            let whole = packet(kind << 4, &body);
            prop_assert!(parse(&whole) != Found::Partial);
            for end in 0..whole.len() {
                prop_assert_eq!(parse(&whole[..end]), Found::Partial);
            }
        }
    }
}
