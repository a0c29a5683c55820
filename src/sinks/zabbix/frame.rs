//! The frames of Zabbix: `ZBXD`, flags, length, four reserved octets, JSON (Zabbix documentation, Header). Pure.

use std::io::Read as _;

use flate2::read::ZlibDecoder;

/// What each frame starts with.
const MAGIC: &[u8] = b"ZBXD";
/// Octets before the JSON: magic, flags, length, reserved.
pub(super) const HEAD: usize = 13;
/// The flags: the protocol, which is always there, and a body that zlib has compressed.
const PROTOCOL: u8 = 1;
const COMPRESSED: u8 = 2;
/// The longest answer in octets, also when it is no longer compressed. A few hundred are usual.
const LONGEST: u64 = 1 << 20;

/// A frame with a body.
pub(super) fn frame(body: &[u8]) -> Vec<u8> {
    let mut frame = Vec::with_capacity(HEAD + body.len());
    frame.extend_from_slice(MAGIC);
    frame.push(PROTOCOL);
    // A request has at most some megabytes.
    frame.extend_from_slice(&u32::try_from(body.len()).unwrap_or(u32::MAX).to_le_bytes());
    frame.extend_from_slice(&[0; 4]);
    frame.extend_from_slice(body);
    frame
}

/// The flags and the length of the body of an answer, from its head.
///
/// # Errors
///
/// Why it is none.
pub(super) fn head(head: &[u8; HEAD]) -> Result<(u8, usize), String> {
    if !head.starts_with(MAGIC) {
        return Err("it does not speak Zabbix's protocol".to_owned());
    }
    let flags = head[4];
    if flags & PROTOCOL == 0 || flags & !(PROTOCOL | COMPRESSED) != 0 {
        return Err(format!("its answer has the flags {flags:#04x}, which are not known here"));
    }
    let length = u64::from(u32::from_le_bytes([head[5], head[6], head[7], head[8]]));
    if length > LONGEST {
        return Err(format!("its answer has {length} octets"));
    }
    Ok((flags, length as usize))
}

/// The JSON of an answer.
///
/// # Errors
///
/// Why it cannot be read.
pub(super) fn body(flags: u8, body: &[u8]) -> Result<Vec<u8>, String> {
    if flags & COMPRESSED == 0 {
        return Ok(body.to_vec());
    }
    let mut text = Vec::new();
    let read = ZlibDecoder::new(body).take(LONGEST).read_to_end(&mut text);
    read.map_err(|error| format!("its compressed answer cannot be read: {error}"))?;
    Ok(text)
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use proptest::prelude::*;

    use super::*;

    fn parsed(octets: &[u8]) -> Result<Vec<u8>, String> {
        let (start, rest) = octets.split_first_chunk::<HEAD>().ok_or("too short")?;
        let (flags, length) = head(start)?;
        body(flags, rest.get(..length).ok_or("too short")?)
    }

    #[test]
    fn frames_as_zabbix_has_them() {
        let octets = frame(b"{\"a\":1}");
        assert_eq!(octets, b"ZBXD\x01\x07\0\0\0\0\0\0\0{\"a\":1}");
        assert_eq!(parsed(&octets).unwrap(), b"{\"a\":1}");
        let mut compressor = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::fast());
        compressor.write_all(b"{\"response\":\"success\"}").unwrap();
        let mut octets = frame(&compressor.finish().unwrap());
        octets[4] = 3;
        assert_eq!(parsed(&octets).unwrap(), b"{\"response\":\"success\"}");
        for (at, octet) in [(0, b'X'), (4, 0), (4, 5), (8, 0xff)] {
            let mut wrong = frame(b"{}");
            wrong[at] = octet;
            assert!(parsed(&wrong).is_err(), "{at} {octet}");
        }
    }

    #[test]
    fn a_small_answer_does_not_become_a_huge_one() {
        let mut compressor = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::best());
        compressor.write_all(&vec![b' '; 4 << 20]).unwrap();
        assert_eq!(body(3, &compressor.finish().unwrap()).unwrap().len() as u64, LONGEST);
    }

    proptest! {
        #[test]
        fn nothing_panics(octets in prop::collection::vec(any::<u8>(), 0..60), flags in 0..8_u8) {
            let _ = parsed(&octets);
            let mut framed = frame(&octets);
            framed[4] = flags;
            let read = parsed(&framed);
            prop_assert_eq!(read.as_ref() == Ok(&octets), flags == 1);
        }
    }
}
