//! The Basic Encoding Rules as far as SNMP needs them (X.690), read leniently: lengths need not be minimal,
//! integers may be empty or padded, unsigned ones may look negative.

use nom::{
    IResult,
    bytes::complete::take,
    error::{Error, ErrorKind},
    number::complete::be_u8,
};

/// Identifier octets of the types that SNMP uses.
pub mod tag {
    /// INTEGER.
    pub const INTEGER: u8 = 0x02;
    /// BIT STRING (RFC 1442).
    pub const BIT_STRING: u8 = 0x03;
    /// OCTET STRING.
    pub const OCTET_STRING: u8 = 0x04;
    /// NULL.
    pub const NULL: u8 = 0x05;
    /// OBJECT IDENTIFIER.
    pub const OBJECT_ID: u8 = 0x06;
    /// UTF8String.
    pub const UTF8_STRING: u8 = 0x0c;
    /// NumericString; PrintableString, T61String and VideotexString follow.
    pub const NUMERIC_STRING: u8 = 0x12;
    /// IA5String.
    pub const IA5_STRING: u8 = 0x16;
    /// GraphicString; VisibleString, GeneralString, UniversalString and CHARACTER STRING follow.
    pub const GRAPHIC_STRING: u8 = 0x19;
    /// BMPString.
    pub const BMP_STRING: u8 = 0x1e;
    /// SEQUENCE.
    pub const SEQUENCE: u8 = 0x30;
    /// IpAddress.
    pub const IP_ADDRESS: u8 = 0x40;
    /// Counter32.
    pub const COUNTER32: u8 = 0x41;
    /// Gauge32, Unsigned32.
    pub const GAUGE32: u8 = 0x42;
    /// TimeTicks.
    pub const TIME_TICKS: u8 = 0x43;
    /// Opaque.
    pub const OPAQUE: u8 = 0x44;
    /// NsapAddress (RFC 1442).
    pub const NSAP: u8 = 0x45;
    /// Counter64.
    pub const COUNTER64: u8 = 0x46;
    /// UInteger32 (RFC 1442).
    pub const UINTEGER32: u8 = 0x47;
    /// noSuchObject.
    pub const NO_SUCH_OBJECT: u8 = 0x80;
    /// noSuchInstance.
    pub const NO_SUCH_INSTANCE: u8 = 0x81;
    /// endOfMibView.
    pub const END_OF_MIB_VIEW: u8 = 0x82;
    /// Response-PDU.
    pub const RESPONSE: u8 = 0xa2;
    /// GetRequest-PDU.
    pub const GET: u8 = 0xa0;
    /// GetNextRequest-PDU.
    pub const GET_NEXT: u8 = 0xa1;
    /// SetRequest-PDU.
    pub const SET: u8 = 0xa3;
    /// GetBulkRequest-PDU.
    pub const GET_BULK: u8 = 0xa5;
    /// Trap-PDU of v1.
    pub const TRAP_V1: u8 = 0xa4;
    /// InformRequest-PDU.
    pub const INFORM: u8 = 0xa6;
    /// Report-PDU.
    pub const REPORT: u8 = 0xa8;
    /// SNMPv2-Trap-PDU.
    pub const TRAP_V2: u8 = 0xa7;
}

/// One element: its identifier octet and its content.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tlv<'a> {
    /// The identifier octet; for a tag number above 30 the first of them.
    pub tag: u8,
    /// The content octets.
    pub content: &'a [u8],
}

/// Reads one element of any type.
#[inline]
pub fn tlv(input: &[u8]) -> IResult<&[u8], Tlv<'_>> {
    let (rest, (tag, length)) = header(input)?;
    match rest.split_at_checked(length) {
        Some((content, rest)) => Ok((rest, Tlv { tag, content })),
        None => Err(nom::Err::Error(Error::new(rest, ErrorKind::Eof))),
    }
}

/// Reads the last element of its parent: one whose length is beyond the end goes up to the end.
#[inline]
pub fn last_tlv(input: &[u8]) -> IResult<&[u8], Tlv<'_>> {
    let (rest, (tag, length)) = header(input)?;
    let (content, rest) = rest.split_at(length.min(rest.len()));
    Ok((rest, Tlv { tag, content }))
}

/// Identifier and length.
#[inline]
fn header(input: &[u8]) -> IResult<&[u8], (u8, usize)> {
    // Nearly all elements begin so: one octet for the identifier, up to three for the length.
    match input {
        [tag, length @ ..=0x7f, rest @ ..] if tag & 0x1f != 0x1f => Ok((rest, (*tag, (*length).into()))),
        [tag, 0x81, length, rest @ ..] if tag & 0x1f != 0x1f => Ok((rest, (*tag, (*length).into()))),
        [tag, 0x82, high, low, rest @ ..] if tag & 0x1f != 0x1f => {
            Ok((rest, (*tag, u16::from_be_bytes([*high, *low]).into())))
        }
        _ => header_of_any_form(input),
    }
}

#[inline(never)]
fn header_of_any_form(input: &[u8]) -> IResult<&[u8], (u8, usize)> {
    let (mut rest, tag) = be_u8(input)?;
    if tag & 0x1f == 0x1f {
        // Tag numbers above 30 go on in further octets; none is known here, so they are only skipped.
        loop {
            let (after, octet) = be_u8(rest)?;
            rest = after;
            if octet & 0x80 == 0 {
                break;
            }
        }
    }
    let (rest, length) = length(rest)?;
    Ok((rest, (tag, length)))
}

/// Reads one element that must have this identifier octet.
#[inline]
pub fn expect(tag: u8) -> impl Fn(&[u8]) -> IResult<&[u8], &[u8]> {
    #[inline]
    move |input| match tlv(input)? {
        (rest, found) if found.tag == tag => Ok((rest, found.content)),
        _ => Err(nom::Err::Error(Error::new(input, ErrorKind::Tag))),
    }
}

/// Reads an INTEGER that fits 64 bits.
#[inline]
pub fn integer(input: &[u8]) -> IResult<&[u8], i64> {
    let (rest, content) = expect(tag::INTEGER)(input)?;
    match signed(content) {
        Some(value) => Ok((rest, value)),
        None => Err(nom::Err::Error(Error::new(input, ErrorKind::MapOpt))),
    }
}

fn length(input: &[u8]) -> IResult<&[u8], usize> {
    let (rest, first) = be_u8(input)?;
    if first & 0x80 == 0 {
        return Ok((rest, first.into()));
    }
    // The indefinite form (0x80) is not allowed in SNMP (RFC 3417, section 8). Up to eight octets, as
    // leading zeros are harmless.
    let count = usize::from(first & 0x7f);
    if !(1..=8).contains(&count) {
        return Err(nom::Err::Error(Error::new(input, ErrorKind::LengthValue)));
    }
    let (rest, octets) = take(count)(rest)?;
    let length = octets.iter().fold(0u64, |v, b| v << 8 | u64::from(*b));
    let length =
        usize::try_from(length).map_err(|_| nom::Err::Error(Error::new(input, ErrorKind::TooLarge)))?;
    Ok((rest, length))
}

/// The value of integer content: empty is 0, padding is fine. None if it needs more than 64 bits.
#[inline]
pub fn signed(content: &[u8]) -> Option<i64> {
    let first = match *content {
        [] => return Some(0),
        // Most integers are so small.
        [only] => return Some(i64::from(only as i8)),
        [high, low] => return Some(i64::from(i16::from_be_bytes([high, low]))),
        [high, middle, low] => return Some(i64::from(i32::from_be_bytes([high, middle, low, 0]) >> 8)),
        [a, b, c, d] => return Some(i64::from(i32::from_be_bytes([a, b, c, d]))),
        [first, ..] => first,
    };
    let pad = if first & 0x80 == 0 { 0 } else { 0xff };
    let start = content.len().saturating_sub(8);
    let (padding, significant) = content.split_at(start);
    if padding.iter().any(|b| *b != pad) {
        return None;
    }
    let value = significant.iter().fold(i64::from(pad as i8), |v, b| v << 8 | i64::from(*b));
    // Cut padding must not have turned the sign.
    (start == 0 || (value < 0) == (pad != 0)).then_some(value)
}

/// The value of content that stands for a number of 0 to 2^64-1, whether or not its sign bit was padded.
pub fn unsigned(content: &[u8]) -> Option<u64> {
    let start = content.len().saturating_sub(8);
    let (padding, significant) = content.split_at(start);
    if padding.iter().any(|b| *b != 0) {
        return None;
    }
    Some(significant.iter().fold(0, |v, b| v << 8 | u64::from(*b)))
}

/// Appends an element.
pub fn push_tlv(out: &mut Vec<u8>, tag: u8, content: &[u8]) {
    out.push(tag);
    let length = content.len().to_be_bytes();
    match content.len() {
        short @ 0..=0x7f => out.push(short as u8),
        _ => {
            let octets = &length[length.iter().take_while(|octet| **octet == 0).count()..];
            out.push(0x80 | octets.len() as u8);
            out.extend_from_slice(octets);
        }
    }
    out.extend_from_slice(content);
}

/// Appends an integer of some type in as few octets as it takes.
pub fn push_integer(out: &mut Vec<u8>, tag: u8, value: i128) {
    let bytes = value.to_be_bytes();
    let redundant = bytes
        .windows(2)
        .take_while(|w| (w[0] == 0 && w[1] & 0x80 == 0) || (w[0] == 0xff && w[1] & 0x80 != 0))
        .count();
    push_tlv(out, tag, &bytes[redundant..]);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn sloppy_integers() {
        assert_eq!(signed(&[]), Some(0));
        assert_eq!(signed(&[0, 0, 0, 0, 0, 0, 0, 0, 0, 5]), Some(5));
        assert_eq!(signed(&[0xff; 12]), Some(-1));
        assert_eq!(signed(&[1, 0, 0, 0, 0, 0, 0, 0, 0]), None);
        assert_eq!(unsigned(&[0xff, 0xff, 0xff, 0xff]), Some(0xffff_ffff));
        assert_eq!(unsigned(&[0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]), Some(u64::MAX));
    }

    #[test]
    fn lengths_of_every_form() {
        for packet in [&[4, 1, 7][..], &[4, 0x81, 1, 7], &[4, 0x84, 0, 0, 0, 1, 7]] {
            assert_eq!(tlv(packet).unwrap(), (&[][..], Tlv { tag: 4, content: &[7] }));
            assert_eq!(header(packet), header_of_any_form(packet));
        }
        assert!(tlv(&[0x30, 0x80, 0, 0]).is_err(), "indefinite");
        assert!(tlv(&[4, 0x88, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]).is_err(), "huge");
        assert!(tlv(&[4, 2, 1]).is_err(), "cut off");
        assert!(tlv(&[0x1f, 0xff]).is_err(), "endless tag");
    }

    #[test]
    fn elements_of_every_length_round_trip() {
        let content: Vec<u8> = (0..70_000u32).map(|n| n as u8).collect();
        let around = [0, 0x7f, 0x80, 0xff, 0x100, 0xffff, 0x1_0000, 70_000];
        let lengths = (0..70_000).step_by(997).chain(around);
        for length in lengths {
            let mut out = Vec::new();
            push_tlv(&mut out, tag::OCTET_STRING, &content[..length]);
            assert_eq!(
                tlv(&out).unwrap(),
                (&[][..], Tlv { tag: 4, content: &content[..length] }),
                "{length}"
            );
        }
    }

    proptest! {
        /// The short way reads what the long one does.
        #[test]
        fn headers_are_the_same_both_ways(
            tag in prop_oneof![Just(0x30u8), Just(4), any::<u8>()],
            first in prop_oneof![any::<u8>(), 0x7eu8..0x86],
            rest in prop::collection::vec(any::<u8>(), 0..8),
            cut in any::<prop::sample::Index>(),
        ) {
            let octets = [&[tag, first][..], &rest].concat();
            let octets = &octets[..cut.index(octets.len() + 1)];
            prop_assert_eq!(header(octets), header_of_any_form(octets));
        }

        /// However long, and however much of it is padding.
        #[test]
        fn integers_have_the_value_of_their_octets(content in prop::collection::vec(prop_oneof![Just(0u8), Just(0xff), any::<u8>()], 0..14)) {
            let start = if content.first().is_some_and(|first| first & 0x80 != 0) { -1 } else { 0 };
            let value = content.iter().fold(start, |value: i128, octet| value << 8 | i128::from(*octet));
            prop_assert_eq!(signed(&content), i64::try_from(value).ok());
        }

        #[test]
        fn integers_round_trip(value: i64) {
            let mut out = Vec::new();
            push_integer(&mut out, tag::INTEGER, value.into());
            prop_assert_eq!(integer(&out).unwrap().1, value);
        }
    }
}
