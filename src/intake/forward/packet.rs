//! UDP datagrams as IP packets with a sender of choice, in fragments where they are long. Pure.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddrV4, SocketAddrV6};

/// The longest IP packet in octets: what Ethernet carries.
const MTU: usize = 1500;
const V4_HEADER: usize = 20;
const V6_HEADER: usize = 40;
const V6_FRAGMENT: usize = 8;
const UDP_HEADER: usize = 8;
const UDP: u8 = 17;
const FRAGMENT: u8 = 44;
const TTL: u8 = 64;
/// The longest payload: the lengths of UDP and IPv4 have 16 bits.
pub(super) const LONGEST: usize = 65_535 - UDP_HEADER - V4_HEADER;

/// The packets of a datagram over IPv4 (RFC 791); `id` is other than that of any datagram a short time ago.
pub(super) fn v4(from: SocketAddrV4, to: SocketAddrV4, payload: &[u8], id: u16) -> Vec<Vec<u8>> {
    let addresses = [from.ip().octets(), to.ip().octets()].concat();
    let datagram = datagram((from.port(), to.port()), payload, &addresses);
    let most = (MTU - V4_HEADER) / 8 * 8;
    pieces(&datagram, most)
        .map(|(offset, piece, more)| {
            let mut packet = Vec::with_capacity(V4_HEADER + piece.len());
            let length = (V4_HEADER + piece.len()) as u16;
            let place = u16::from(more) << 13 | (offset / 8) as u16;
            packet.extend_from_slice(&[0x45, 0]);
            packet.extend(length.to_be_bytes());
            packet.extend(id.to_be_bytes());
            packet.extend(place.to_be_bytes());
            packet.extend_from_slice(&[TTL, UDP, 0, 0]);
            packet.extend_from_slice(&addresses);
            let sum = checksum(&[&packet]);
            packet[10..12].copy_from_slice(&sum.to_be_bytes());
            packet.extend_from_slice(piece);
            packet
        })
        .collect()
}

/// The packets of a datagram over IPv6 (RFC 8200).
pub(super) fn v6(from: SocketAddrV6, to: SocketAddrV6, payload: &[u8], id: u32) -> Vec<Vec<u8>> {
    let addresses = [from.ip().octets(), to.ip().octets()].concat();
    let datagram = datagram((from.port(), to.port()), payload, &addresses);
    let whole = datagram.len() + V6_HEADER <= MTU;
    let most = if whole { datagram.len() } else { (MTU - V6_HEADER - V6_FRAGMENT) / 8 * 8 };
    pieces(&datagram, most)
        .map(|(offset, piece, more)| {
            let mut packet = Vec::with_capacity(V6_HEADER + V6_FRAGMENT + piece.len());
            let (next, extra) = if whole { (UDP, 0) } else { (FRAGMENT, V6_FRAGMENT) };
            packet.extend_from_slice(&[0x60, 0, 0, 0]);
            packet.extend(((piece.len() + extra) as u16).to_be_bytes());
            packet.extend_from_slice(&[next, TTL]);
            packet.extend_from_slice(&addresses);
            if !whole {
                packet.extend_from_slice(&[UDP, 0]);
                packet.extend((offset as u16 | u16::from(more)).to_be_bytes());
                packet.extend(id.to_be_bytes());
            }
            packet.extend_from_slice(piece);
            packet
        })
        .collect()
}

/// A UDP datagram with its checksum (RFC 768).
fn datagram((from, to): (u16, u16), payload: &[u8], addresses: &[u8]) -> Vec<u8> {
    let length = (UDP_HEADER + payload.len()) as u16;
    let mut datagram = Vec::with_capacity(UDP_HEADER + payload.len());
    for number in [from, to, length, 0] {
        datagram.extend(number.to_be_bytes());
    }
    datagram.extend_from_slice(payload);
    // The pseudo headers of IPv4 and IPv6 have the same sum.
    let sum = checksum(&[addresses, &[0, UDP], &length.to_be_bytes(), &datagram]);
    let sum = if sum == 0 { u16::MAX } else { sum };
    datagram[6..8].copy_from_slice(&sum.to_be_bytes());
    datagram
}

/// Pieces of at most `most` octets, with where each begins, and whether more follow.
fn pieces(datagram: &[u8], most: usize) -> impl Iterator<Item = (usize, &[u8], bool)> {
    let count = datagram.len().div_ceil(most);
    datagram.chunks(most).enumerate().map(move |(at, piece)| (at * most, piece, at + 1 < count))
}

/// The checksum of the Internet (RFC 1071). All but the last have an even length.
fn checksum(all: &[&[u8]]) -> u16 {
    let word = |pair: &[u8]| u32::from(pair[0]) << 8 | pair.get(1).map_or(0, |low| u32::from(*low));
    let mut sum: u64 = all.iter().flat_map(|octets| octets.chunks(2)).map(|pair| u64::from(word(pair))).sum();
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !(sum as u16)
}

/// Whether an address can be that of a sender: no group, and not all.
pub(super) fn is_sender_v4(address: Ipv4Addr) -> bool {
    !address.is_multicast() && !address.is_broadcast() && !address.is_unspecified()
}

/// The same for IPv6.
pub(super) fn is_sender_v6(address: &Ipv6Addr) -> bool {
    !address.is_multicast() && !address.is_unspecified()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_short_datagram_as_others_write_it() {
        let (from, to) = ("192.0.2.1:162".parse().unwrap(), "192.0.2.2:1162".parse().unwrap());
        let packets = v4(from, to, b"abc", 0x1234);
        assert_eq!(packets.len(), 1);
        let packet = &packets[0];
        assert_eq!(packet[..10], [0x45, 0, 0, 31, 0x12, 0x34, 0, 0, 64, 17]);
        assert_eq!(packet[20..28], [0, 162, 4, 138, 0, 11, packet[26], packet[27]]);
        assert_eq!(&packet[28..], b"abc");
        // A header with its sum has the sum 0.
        assert_eq!(checksum(&[&packet[..20]]), 0);
    }

    proptest! {
        #[test]
        fn any_datagram_can_be_put_together_again(payload in prop::collection::vec(any::<u8>(), 0..9000), long in any::<bool>(), ports in any::<(u16, u16)>()) {
            let payload = if long { payload.repeat(7) } else { payload };
            let from = SocketAddrV4::new([198, 51, 100, 7].into(), ports.0);
            let to = SocketAddrV4::new([192, 0, 2, 2].into(), ports.1);
            let mut whole = Vec::new();
            let packets = v4(from, to, &payload, 7);
            for (at, packet) in packets.iter().enumerate() {
                prop_assert!(packet.len() <= MTU);
                prop_assert_eq!(checksum(&[&packet[..20]]), 0);
                prop_assert_eq!(usize::from(u16::from_be_bytes([packet[2], packet[3]])), packet.len());
                let place = u16::from_be_bytes([packet[6], packet[7]]);
                prop_assert_eq!((usize::from(place & 0x1fff) * 8, place & 0x2000 != 0), (whole.len(), at + 1 < packets.len()));
                whole.extend_from_slice(&packet[20..]);
            }
            prop_assert_eq!(&whole[8..], &payload[..]);
            let pseudo = [&[198, 51, 100, 7, 192, 0, 2, 2][..], &[0, 17], &whole[4..6]].concat();
            prop_assert_eq!(checksum(&[&pseudo, &whole]), 0);

            let (from, to) = ("[2001:db8::1]:7".parse().unwrap(), "[2001:db8::2]:8".parse().unwrap());
            let mut again = Vec::new();
            for packet in v6(from, to, &payload, 9) {
                prop_assert!(packet.len() <= MTU);
                prop_assert_eq!(usize::from(u16::from_be_bytes([packet[4], packet[5]])) + 40, packet.len());
                let head = if packet[6] == FRAGMENT { 48 } else { 40 };
                again.extend_from_slice(&packet[head..]);
            }
            prop_assert_eq!(&again[8..], &payload[..]);
        }
    }
}
