//! The pcapng format: <https://www.ietf.org/archive/id/draft-ietf-opsawg-pcapng-02.html>. The names of blocks are those of
//! its section 4.

use nom::bytes::complete::take;
use nom::number::Endianness;
use nom::number::complete::{u16 as u16_of, u32 as u32_of, u64 as u64_of};
use nom::{IResult, Parser};

use super::frame::{Frame, Frames};

const SECTION: u32 = 0x0a0d_0d0a;
const INTERFACE: u32 = 1;
const OLD_PACKET: u32 = 2;
const SIMPLE_PACKET: u32 = 3;
const PACKET: u32 = 6;

/// The most interfaces of a section; further ones are not known.
const INTERFACES: usize = 4096;
/// The latest time that can be written, in microseconds: the end of the year 9999.
const LATEST: i64 = 253_402_300_799_000_000;

/// The packets of a file.
#[derive(Debug)]
pub(super) struct Ng<'f> {
    rest: &'f [u8],
    endian: Endianness,
    interfaces: Vec<Interface>,
}

#[derive(Debug, Clone, Copy)]
struct Interface {
    link: u32,
    /// The most octets of a packet that are kept; 0 is all.
    snap: u32,
    /// if_tsresol: units of time are 10^-n s, or 2^-n s with the upper bit set.
    resolution: u8,
    /// if_tsoffset: seconds to add.
    offset: i64,
}

/// Whether a file starts as pcapng does.
pub(super) fn is_ng(file: &[u8]) -> bool {
    file.starts_with(&SECTION.to_be_bytes()) && file.get(8..).and_then(byte_order).is_some()
}

fn byte_order(magic: &[u8]) -> Option<Endianness> {
    match magic.first_chunk::<4>()? {
        [0x1a, 0x2b, 0x3c, 0x4d] => Some(Endianness::Big),
        [0x4d, 0x3c, 0x2b, 0x1a] => Some(Endianness::Little),
        _ => None,
    }
}

impl<'f> Ng<'f> {
    pub(super) fn new(file: &'f [u8]) -> Self {
        Ng { rest: file, endian: Endianness::Big, interfaces: Vec::new() }
    }

    /// The type and the body of the next block; none at the end, or if it is damaged.
    fn block(&mut self) -> Option<(u32, &'f [u8])> {
        if self.rest.starts_with(&SECTION.to_be_bytes()) {
            self.endian = byte_order(self.rest.get(8..)?)?;
        }
        let block: IResult<&[u8], _> = block(self.rest, self.endian);
        let (rest, block) = block.ok()?;
        self.rest = rest;
        Some(block)
    }

    fn frame(&self, kind: u32, body: &'f [u8]) -> Option<Frame<'f>> {
        let parsed: IResult<&[u8], Frame<'f>> = match kind {
            PACKET => self.packet(body, u32_of(self.endian)),
            OLD_PACKET => {
                let interface = (u16_of(self.endian), u16_of(self.endian)).map(|(id, _drops)| u32::from(id));
                self.packet(body, interface)
            }
            _ => self.simple_packet(body),
        };
        parsed.ok().map(|(_, frame)| frame)
    }

    fn packet(
        &self,
        body: &'f [u8],
        mut interface: impl Parser<&'f [u8], Output = u32, Error = nom::error::Error<&'f [u8]>>,
    ) -> IResult<&'f [u8], Frame<'f>> {
        let number = || u32_of(self.endian);
        let (body, id) = interface.parse(body)?;
        let (body, (high, low, length, sent)) = (number(), number(), number(), number()).parse(body)?;
        let (body, bytes) = take(length)(body)?;
        let interface = self.interfaces.get(id as usize);
        let time = interface.map(|interface| interface.micros(u64::from(high) << 32 | u64::from(low)));
        let link = interface.map_or(u32::MAX, |interface| interface.link);
        Ok((body, Frame { time, link, bytes, cut: length < sent }))
    }

    /// It belongs to the first interface and has no time. Its length is the smaller one of what was sent and what is kept.
    fn simple_packet(&self, body: &'f [u8]) -> IResult<&'f [u8], Frame<'f>> {
        let (body, sent) = u32_of(self.endian)(body)?;
        let interface = self.interfaces.first();
        let snap = interface.map_or(0, |interface| interface.snap);
        let length = if snap == 0 { sent } else { sent.min(snap) };
        let (body, bytes) = take(length)(body)?;
        let link = interface.map_or(u32::MAX, |interface| interface.link);
        Ok((body, Frame { time: None, link, bytes, cut: length < sent }))
    }
}

impl<'f> Frames<'f> for Ng<'f> {
    fn next(&mut self) -> Option<Frame<'f>> {
        loop {
            let before = self.rest;
            let (kind, body) = self.block()?;
            match kind {
                SECTION => self.interfaces.clear(),
                INTERFACE if self.interfaces.len() < INTERFACES => {
                    let interface = interface(body, self.endian);
                    self.interfaces.extend(interface.ok().map(|(_, interface)| interface));
                }
                PACKET | OLD_PACKET | SIMPLE_PACKET => match self.frame(kind, body) {
                    Some(frame) => return Some(frame),
                    None => {
                        // It is not at its end: the file is damaged here.
                        self.rest = before;
                        return None;
                    }
                },
                _ => {}
            }
        }
    }

    fn is_at_end(&self) -> bool {
        self.rest.is_empty()
    }
}

fn block(input: &[u8], endian: Endianness) -> IResult<&[u8], (u32, &[u8])> {
    let (body, (kind, length)) = (u32_of(endian), u32_of(endian)).parse(input)?;
    // The length of the whole block, which stands at its end again.
    let inner = length.checked_sub(12).filter(|_| length.is_multiple_of(4)).unwrap_or(u32::MAX);
    let (rest, (body, _)) = (take(inner), take(4usize)).parse(body)?;
    Ok((rest, (kind, body)))
}

fn interface(body: &[u8], endian: Endianness) -> IResult<&[u8], Interface> {
    let (mut options, (link, _, snap)) = (u16_of(endian), u16_of(endian), u32_of(endian)).parse(body)?;
    let mut interface = Interface { link: link.into(), snap, resolution: 6, offset: 0 };
    while let Ok((rest, (kind, value))) = option(options, endian) {
        options = rest;
        match (kind, value) {
            (0, _) => break,
            (9, [resolution, ..]) => interface.resolution = *resolution,
            (14, _) => {
                let offset: IResult<&[u8], u64> = u64_of(endian)(value);
                interface.offset = offset.map_or(0, |(_, offset)| offset.cast_signed());
            }
            _ => {}
        }
    }
    Ok((options, interface))
}

/// An option: its number, its length, its value and zeros up to a multiple of four.
fn option(input: &[u8], endian: Endianness) -> IResult<&[u8], (u16, &[u8])> {
    let (rest, (kind, length)) = (u16_of(endian), u16_of(endian)).parse(input)?;
    let (rest, value) = take(length)(rest)?;
    let (rest, _) = take(usize::from(length.wrapping_neg() % 4))(rest)?;
    Ok((rest, (kind, value)))
}

impl Interface {
    /// A time in microseconds since 1970 UTC, up to the end of the year 9999.
    fn micros(self, units: u64) -> i64 {
        let (units, exponent) = (u128::from(units), self.resolution & 0x7f);
        let micros = if self.resolution & 0x80 != 0 {
            (units * 1_000_000) >> exponent
        } else if exponent <= 6 {
            units * 10u128.pow(u32::from(6 - exponent))
        } else {
            // Beyond the range it is less than a microsecond.
            10u128.checked_pow(u32::from(exponent - 6)).map_or(0, |scale| units / scale)
        };
        let micros = i64::try_from(micros).unwrap_or(LATEST);
        micros.saturating_add(self.offset.saturating_mul(1_000_000)).clamp(0, LATEST)
    }
}
