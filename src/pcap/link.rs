//! IP packets in frames of the link layer: <https://www.tcpdump.org/linktypes.html>.

/// Whether the frames of a link type are known.
pub(super) fn is_known(link: u32) -> bool {
    matches!(link, 0 | 1 | 12 | 14 | 101 | 108 | 113 | 228 | 229 | 276)
}

/// The IP packet in a frame; none if there is none.
pub(super) fn ip(link: u32, frame: &[u8]) -> Option<&[u8]> {
    let (mut kind, mut rest) = match link {
        // A protocol family in four octets, in any byte order; IPv4 and IPv6 are told apart by what follows.
        0 | 108 => return frame.get(4..),
        12 | 14 | 101 | 228 | 229 => return Some(frame),
        1 => (frame.get(12..14)?, frame.get(14..)?),
        // Linux's "cooked" captures, as of the interface "any".
        113 => (frame.get(14..16)?, frame.get(16..)?),
        276 => (frame.get(..2)?, frame.get(20..)?),
        _ => return None,
    };
    // VLAN tags: two octets of tag, then the type of what follows.
    while matches!(kind, [0x81 | 0x91, 0] | [0x88, 0xa8]) {
        (kind, rest) = (rest.get(2..4)?, rest.get(4..)?);
    }
    matches!(kind, [0x08, 0] | [0x86, 0xdd]).then_some(rest)
}

/// What the octets of a dump are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Octets<'p> {
    /// A packet of IP.
    Ip(&'p [u8]),
    /// What a datagram carries.
    Payload(&'p [u8]),
}

/// Finds out what a dump shows: an IP packet (tcpdump -x), a frame (tcpdump -xx, Wireshark) or what a datagram carries
/// (snmptrapd -d).
pub(super) fn octets(octets: &[u8]) -> Octets<'_> {
    if is_whole_sequence(octets) {
        return Octets::Payload(octets);
    }
    if is_ip(octets) {
        return Octets::Ip(octets);
    }
    let frame = [1, 113, 276, 0].into_iter().find_map(|link| ip(link, octets).filter(|packet| is_ip(packet)));
    frame.map_or(Octets::Payload(octets), Octets::Ip)
}

/// Whether octets are exactly one SEQUENCE of BER, as SNMP messages are.
fn is_whole_sequence(octets: &[u8]) -> bool {
    let [0x30, length, rest @ ..] = octets else { return false };
    let count = usize::from(length & 0x7f);
    match (length & 0x80, rest.split_at_checked(count)) {
        (0, _) => count == rest.len(),
        (_, Some((length, content))) if (1..=4).contains(&count) => {
            length.iter().fold(0, |length, octet| length << 8 | usize::from(*octet)) == content.len()
        }
        _ => false,
    }
}

/// Whether octets start as an IP packet does that carries UDP or a fragment.
fn is_ip(octets: &[u8]) -> bool {
    let length = |at: usize| Some(usize::from(u16::from_be_bytes([*octets.get(at)?, *octets.get(at + 1)?])));
    match octets.first() {
        Some(0x45..=0x4f) => octets.get(9) == Some(&17) && length(2).is_some_and(|length| length >= 20),
        Some(0x60..=0x6f) => octets.len() >= 40 && matches!(octets.get(6), Some(0 | 17 | 43 | 44 | 60)),
        _ => false,
    }
}
