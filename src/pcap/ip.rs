//! UDP datagrams out of IP packets, with fragments put together (RFC 791 section 3.2, RFC 8200 section 4.5).

use std::borrow::Cow;
use std::collections::{BTreeMap, VecDeque};
use std::net::IpAddr;

use nom::number::complete::be_u16;
use nom::{IResult, Parser};

/// How many datagrams may lack fragments at once. Another one takes the place of the oldest.
const OPEN: usize = 256;
/// The most octets of a datagram.
const LARGEST: usize = 0xffff;
/// The most headers between that of IPv6 and what it carries.
const EXTENSIONS: usize = 8;
const UDP: u8 = 17;

/// A datagram.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Datagram<'f> {
    /// The sender.
    pub from: IpAddr,
    /// The port that it was sent to.
    pub port: u16,
    /// What it carries.
    pub payload: Cow<'f, [u8]>,
}

/// Why a packet gives no datagram.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Skip {
    /// It is no UDP, or no IP.
    Other,
    /// It was not captured to its end.
    Cut,
    /// It is a fragment, and others lack.
    Fragment,
}

/// Datagrams that lack fragments.
#[derive(Debug, Default)]
pub(super) struct Datagrams<'f> {
    open: VecDeque<(Key, Parts<'f>)>,
    /// Fragments that were given up.
    lost: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Key {
    from: IpAddr,
    to: IpAddr,
    id: u32,
}

/// The fragments of a datagram that have come, by offset. None overlaps another.
#[derive(Debug, Default)]
struct Parts<'f> {
    parts: BTreeMap<usize, &'f [u8]>,
    octets: usize,
    /// How long the datagram is, once its last fragment has come.
    length: Option<usize>,
}

/// What an IP packet carries.
struct Content<'f> {
    key: Key,
    protocol: u8,
    /// Where in the datagram this is, and whether more follows; none if it is the whole.
    fragment: Option<(usize, bool)>,
    octets: &'f [u8],
}

impl<'f> Datagrams<'f> {
    /// The datagram that a packet carries or completes.
    pub(super) fn take(&mut self, packet: &'f [u8]) -> Result<Datagram<'f>, Skip> {
        let content = match packet.first().map(|first| first >> 4) {
            Some(4) => v4(packet)?,
            Some(6) => v6(packet)?,
            _ => return Err(Skip::Other),
        };
        let whole = match content.fragment {
            _ if content.protocol != UDP => return Err(Skip::Other),
            None => Cow::Borrowed(content.octets),
            Some((at, more)) => Cow::Owned(self.fragment(content.key, at, more, content.octets)?),
        };
        udp(content.key.from, whole)
    }

    /// Fragments that were never completed.
    pub(super) fn lost(&self) -> u64 {
        self.lost + self.open.iter().map(|(_, parts)| parts.parts.len() as u64).sum::<u64>()
    }

    /// The whole datagram, if this is the last fragment that it lacked.
    fn fragment(&mut self, key: Key, at: usize, more: bool, octets: &'f [u8]) -> Result<Vec<u8>, Skip> {
        let place = match self.open.iter().position(|(open, _)| *open == key) {
            Some(place) => place,
            None => {
                if self.open.len() == OPEN {
                    let oldest = self.open.pop_front();
                    self.lost += oldest.map_or(0, |(_, parts)| parts.parts.len() as u64);
                }
                self.open.push_back((key, Parts::default()));
                self.open.len() - 1
            }
        };
        let parts = &mut self.open[place].1;
        match parts.add(at, more, octets) {
            Ok(None) => Err(Skip::Fragment),
            Ok(Some(whole)) => {
                self.open.remove(place);
                Ok(whole)
            }
            // Who sends such fragments wants them to be read in two ways.
            Err(Overlap) => {
                self.lost += 1 + parts.parts.len() as u64;
                self.open.remove(place);
                Err(Skip::Fragment)
            }
        }
    }
}

/// Fragments that overlap, or go beyond the end of their datagram.
struct Overlap;

impl<'f> Parts<'f> {
    fn add(&mut self, at: usize, more: bool, octets: &'f [u8]) -> Result<Option<Vec<u8>>, Overlap> {
        let end = at + octets.len();
        if self.parts.get(&at).is_some_and(|known| *known == octets) {
            return Ok(None);
        }
        let before = self.parts.range(..=at).next_back().map_or(0, |(start, part)| start + part.len());
        let after = self.parts.range(at..).next().map_or(usize::MAX, |(start, _)| *start);
        let last = self.parts.last_key_value().map_or(0, |(start, part)| start + part.len());
        let length = if more { self.length } else { Some(self.length.unwrap_or(end)) };
        let beyond = length.is_some_and(|length| end > length || last > length || (!more && end != length));
        if before > at || end > after || beyond || end > LARGEST || octets.is_empty() {
            return Err(Overlap);
        }
        self.parts.insert(at, octets);
        self.octets += octets.len();
        self.length = length;
        let whole = self.length == Some(self.octets);
        Ok(whole.then(|| self.parts.values().copied().collect::<Vec<&[u8]>>().concat()))
    }
}

fn v4(packet: &[u8]) -> Result<Content<'_>, Skip> {
    let header = packet.first_chunk::<20>().ok_or(Skip::Cut)?;
    let start = usize::from(header[0] & 0xf) * 4;
    if start < 20 {
        return Err(Skip::Other);
    }
    // 0 where the network card fills in the length.
    let length = match usize::from(u16::from_be_bytes([header[2], header[3]])) {
        0 => packet.len(),
        length => length,
    };
    let octets = packet.get(..length).ok_or(Skip::Cut)?.get(start..).ok_or(Skip::Other)?;
    let flags = u16::from_be_bytes([header[6], header[7]]);
    let (at, more) = (usize::from(flags & 0x1fff) * 8, flags & 0x2000 != 0);
    let from: [u8; 4] = [header[12], header[13], header[14], header[15]];
    let to: [u8; 4] = [header[16], header[17], header[18], header[19]];
    let key =
        Key { from: from.into(), to: to.into(), id: u32::from(u16::from_be_bytes([header[4], header[5]])) };
    let fragment = (more || at > 0).then_some((at, more));
    Ok(Content { key, protocol: header[9], fragment, octets })
}

fn v6(packet: &[u8]) -> Result<Content<'_>, Skip> {
    let (header, rest) = packet.split_first_chunk::<40>().ok_or(Skip::Cut)?;
    let mut octets = match usize::from(u16::from_be_bytes([header[4], header[5]])) {
        0 => rest,
        length => rest.get(..length).ok_or(Skip::Cut)?,
    };
    let address = |at: usize| header[at..].first_chunk::<16>().map(|octets| IpAddr::from(*octets));
    let (Some(from), Some(to)) = (address(8), address(24)) else { return Err(Skip::Other) };
    let mut key = Key { from, to, id: 0 };
    let (mut protocol, mut fragment) = (header[6], None);
    for _ in 0..EXTENSIONS {
        let length = match (protocol, octets) {
            (44, [_, _, high, low, a, b, c, d, ..]) => {
                let place = u16::from_be_bytes([*high, *low]);
                key.id = u32::from_be_bytes([*a, *b, *c, *d]);
                let (at, more) = (usize::from(place & 0xfff8), place & 1 != 0);
                fragment = (more || at > 0).then_some((at, more));
                8
            }
            (0 | 43 | 60, [_, length, ..]) => usize::from(*length) * 8 + 8,
            _ => break,
        };
        protocol = octets[0];
        octets = octets.get(length..).ok_or(Skip::Other)?;
        if fragment.is_some_and(|(at, _)| at > 0) {
            break;
        }
    }
    Ok(Content { key, protocol, fragment, octets })
}

fn udp(from: IpAddr, segment: Cow<'_, [u8]>) -> Result<Datagram<'_>, Skip> {
    let header: IResult<&[u8], _> = (be_u16, be_u16, be_u16, be_u16).parse(&segment);
    let (_, (_, port, length, _)) = header.map_err(|_| Skip::Cut)?;
    let length = usize::from(length);
    if length < 8 {
        return Err(Skip::Other);
    }
    if length > segment.len() {
        return Err(Skip::Cut);
    }
    let payload = match segment {
        Cow::Borrowed(segment) => Cow::Borrowed(&segment[8..length]),
        Cow::Owned(segment) => Cow::Owned(segment[8..length].to_vec()),
    };
    Ok(Datagram { from, port, payload })
}
