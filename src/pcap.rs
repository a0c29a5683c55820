//! UDP packets out of a capture file (the classic pcap format, as tcpdump writes it), without I/O.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use nom::{
    IResult, Parser,
    bytes::complete::take,
    number::Endianness,
    number::complete::{be_u16, u32 as u32_of},
};

/// One UDP packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Packet<'p> {
    /// When it was captured, in microseconds since 1970 UTC.
    pub time: i64,
    /// The sender's address.
    pub from: IpAddr,
    /// The port that it was sent to.
    pub port: u16,
    /// What it carries.
    pub payload: &'p [u8],
}

/// Why a file is no capture.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PcapError {
    /// Another format.
    #[error(
        "this is no pcap file; if it is pcapng, convert it: tcpdump -r FILE -w OTHER, or editcap -F pcap"
    )]
    Format,
    /// A kind of link that is not known.
    #[error("captured on a link of type {0}, which is not supported; capture on Ethernet, loopback or 'any'")]
    Link(u32),
}

/// The UDP packets of a capture. Fragments, other protocols and what is cut off are left out.
///
/// # Errors
///
/// [`PcapError`], if it is no capture.
pub fn packets(file: &[u8]) -> Result<Vec<Packet<'_>>, PcapError> {
    let (endian, nanos) = match file.first_chunk::<4>() {
        Some([0xd4, 0xc3, 0xb2, 0xa1]) => (Endianness::Little, false),
        Some([0x4d, 0x3c, 0xb2, 0xa1]) => (Endianness::Little, true),
        Some([0xa1, 0xb2, 0xc3, 0xd4]) => (Endianness::Big, false),
        Some([0xa1, 0xb2, 0x3c, 0x4d]) => (Endianness::Big, true),
        _ => return Err(PcapError::Format),
    };
    let header: IResult<&[u8], (&[u8], u32)> = (take(20usize), u32_of(endian)).parse(file);
    let (mut rest, (_, link)) = header.map_err(|_| PcapError::Format)?;
    let link = link & 0xffff;
    if !matches!(link, 0 | 1 | 12 | 101 | 108 | 113 | 276) {
        return Err(PcapError::Link(link));
    }
    let mut packets = Vec::new();
    while let Ok((after, (seconds, fraction, frame))) = record(rest, endian) {
        rest = after;
        let micros = if nanos { fraction / 1000 } else { fraction };
        if let Some((from, port, payload)) = network(link, frame).and_then(udp) {
            packets.push(Packet {
                time: i64::from(seconds) * 1_000_000 + i64::from(micros),
                from,
                port,
                payload,
            });
        }
    }
    Ok(packets)
}

fn record(input: &[u8], endian: Endianness) -> IResult<&[u8], (u32, u32, &[u8])> {
    let (rest, (seconds, fraction, length, _)) =
        (u32_of(endian), u32_of(endian), u32_of(endian), u32_of(endian)).parse(input)?;
    let (rest, frame) = take(length)(rest)?;
    Ok((rest, (seconds, fraction, frame)))
}

/// The IP packet in a frame.
fn network(link: u32, frame: &[u8]) -> Option<&[u8]> {
    let skipped = match link {
        0 | 108 => 4,
        113 => 16,
        276 => 20,
        1 => {
            // VLAN tags stand before the type.
            let mut at = 12;
            while frame.get(at..at + 2).is_some_and(|t| matches!(t, [0x81, 0] | [0x88, 0xa8])) {
                at += 4;
            }
            at + 2
        }
        _ => 0,
    };
    frame.get(skipped..)
}

/// Sender, destination port and payload of an IP packet that carries UDP.
fn udp(packet: &[u8]) -> Option<(IpAddr, u16, &[u8])> {
    let (from, segment) = match packet.first()? >> 4 {
        4 => {
            let header = usize::from(packet[0] & 0xf) * 4;
            let fragment = u16::from_be_bytes([*packet.get(6)?, *packet.get(7)?]) & 0x3fff;
            if *packet.get(9)? != 17 || fragment != 0 {
                return None;
            }
            let from = packet.get(12..16)?.first_chunk::<4>()?;
            (IpAddr::V4(Ipv4Addr::from(*from)), packet.get(header..)?)
        }
        6 => {
            if *packet.get(6)? != 17 {
                return None;
            }
            let from = packet.get(8..24)?.first_chunk::<16>()?;
            (IpAddr::V6(Ipv6Addr::from(*from)), packet.get(40..)?)
        }
        _ => return None,
    };
    let parsed: IResult<&[u8], _> = (be_u16, be_u16, be_u16, be_u16).parse(segment);
    let (payload, (_, port, length, _)) = parsed.ok()?;
    Some((from, port, payload.get(..usize::from(length).checked_sub(8)?)?))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn ipv4_udp(payload: &[u8]) -> Vec<u8> {
        let mut packet = vec![0x45, 0, 0, 0, 0, 0, 0, 0, 64, 17, 0, 0, 192, 0, 2, 7, 192, 0, 2, 1];
        packet.extend([0x30, 0x39, 0, 162, 0, 8 + payload.len() as u8, 0, 0]);
        packet.extend(payload);
        packet
    }

    fn capture(link: u8, frame: &[u8]) -> Vec<u8> {
        let mut file =
            vec![0xd4, 0xc3, 0xb2, 0xa1, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, link, 0, 0, 0];
        let length = [frame.len() as u8, 0, 0, 0];
        file.extend([[5, 0, 0, 0], [7, 0, 0, 0], length, length].concat());
        file.extend(frame);
        file
    }

    #[test]
    fn every_link() {
        let ip = ipv4_udp(b"trap");
        let vlan = [&[0; 12][..], &[0x81, 0, 0, 5, 8, 0], &ip].concat();
        let ethernet = [&[0; 12][..], &[8, 0], &ip].concat();
        let any = [&[0; 16][..], &ip].concat();
        for (link, frame) in [(101, &ip), (1, &ethernet), (1, &vlan), (113, &any)] {
            let file = capture(link, frame);
            let packet =
                Packet { time: 5_000_007, from: [192, 0, 2, 7].into(), port: 162, payload: &b"trap"[..] };
            assert_eq!(packets(&file), Ok(vec![packet]), "{link}");
        }
        assert_eq!(packets(b"hello"), Err(PcapError::Format));
        assert_eq!(packets(&capture(200, &ip)), Err(PcapError::Link(200)));
    }

    proptest! {
        #[test]
        fn any_frame_is_safe(link in prop::sample::select(vec![0u8, 1, 12, 101, 113]), frame in prop::collection::vec(any::<u8>(), 0..80)) {
            let _ = packets(&capture(link, &frame));
        }
    }
}
