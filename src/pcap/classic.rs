//! The classic pcap format: <https://www.ietf.org/archive/id/draft-ietf-opsawg-pcap-05.html>.

use nom::bytes::complete::take;
use nom::error::{Error, ErrorKind};
use nom::number::Endianness;
use nom::number::complete::u32 as u32_of;
use nom::{IResult, Parser};

use super::frame::{Frame, Frames, PcapError};
use super::link;

/// The records of a file.
#[derive(Debug)]
pub(super) struct Classic<'f> {
    rest: &'f [u8],
    endian: Endianness,
    nanos: bool,
    link: u32,
}

/// How numbers are written in a file that starts so, and whether times have nanoseconds.
pub(super) fn magic(file: &[u8]) -> Option<(Endianness, bool)> {
    match file.first_chunk::<4>()? {
        [0xd4, 0xc3, 0xb2, 0xa1] => Some((Endianness::Little, false)),
        [0x4d, 0x3c, 0xb2, 0xa1] => Some((Endianness::Little, true)),
        [0xa1, 0xb2, 0xc3, 0xd4] => Some((Endianness::Big, false)),
        [0xa1, 0xb2, 0x3c, 0x4d] => Some((Endianness::Big, true)),
        _ => None,
    }
}

impl<'f> Classic<'f> {
    pub(super) fn new(file: &'f [u8]) -> Result<Self, PcapError> {
        let (endian, nanos) = magic(file).ok_or(PcapError::Format)?;
        let header: IResult<&[u8], (&[u8], u32)> = (take(20usize), u32_of(endian)).parse(file);
        let (rest, (_, link)) = header.map_err(|_| PcapError::Format)?;
        // The upper bits say something of check sequences.
        let link = link & 0xffff;
        if link::is_known(link) {
            Ok(Classic { rest, endian, nanos, link })
        } else {
            Err(PcapError::Link(link))
        }
    }
}

impl<'f> Frames<'f> for Classic<'f> {
    fn next(&mut self) -> Option<Frame<'f>> {
        let (rest, (seconds, fraction, bytes, sent)) = record(self.rest, self.endian).ok()?;
        self.rest = rest;
        let micros = if self.nanos { fraction / 1000 } else { fraction };
        let time = i64::from(seconds) * 1_000_000 + i64::from(micros);
        Some(Frame { time: Some(time), link: self.link, bytes, cut: (bytes.len() as u64) < u64::from(sent) })
    }

    fn is_at_end(&self) -> bool {
        self.rest.is_empty()
    }
}

fn record(input: &[u8], endian: Endianness) -> IResult<&[u8], (u32, u32, &[u8], u32)> {
    let (rest, (seconds, fraction, length, sent)) =
        (u32_of(endian), u32_of(endian), u32_of(endian), u32_of(endian)).parse(input)?;
    // Zeros are no record but what a file has where it was not written to, or a device without an end.
    if (seconds, fraction, length, sent) == (0, 0, 0, 0) {
        return Err(nom::Err::Error(Error::new(input, ErrorKind::Verify)));
    }
    let (rest, frame) = take(length)(rest)?;
    Ok((rest, (seconds, fraction, frame, sent)))
}
