//! Text out of octets of unknown encoding. Values of varbinds and lines of syslog are decoded here and nowhere else.
//!
//! Senders write UTF-8, UTF-16 or a character set of their country, with or without a byte order mark, and pad with NULs.
//! In this order octets are read as: UTF-16 (by its byte order mark, or by NULs in every other octet), UTF-8, the character
//! set that is configured for the sender, Windows-1252. Labels and tables are those of the Encoding Standard of WHATWG.

use std::borrow::Cow;

use ascii::{AsAsciiStr as _, AsciiStr};
use encoding_rs::{Encoding, UTF_8, UTF_16BE, UTF_16LE, WINDOWS_1252};

const BOM_UTF_8: &[u8] = &[0xef, 0xbb, 0xbf];

/// Whether octets are printable ASCII without two characters; give one twice to exclude one only.
///
/// Most texts are, and are written as they are. Eight octets are looked at together: nearly all texts are too short for what the
/// compiler makes of a loop over each.
#[inline]
pub fn is_plain(octets: &[u8], one: u8, other: u8) -> bool {
    const ONES: u64 = u64::from_ne_bytes([1; 8]);
    const HIGH: u64 = ONES << 7;
    let (one_eight, other_eight) = (ONES * u64::from(one), ONES * u64::from(other));
    // A high bit in the result is set if an octet is zero; maybe also in octets above that one.
    let zero = |eight: u64| eight.wrapping_sub(ONES) & !eight;
    let unfit = |octets: [u8; 8]| {
        let eight = u64::from_le_bytes(octets);
        let control = eight.wrapping_sub(ONES * u64::from(b' ')) & !eight;
        let above = ((eight & !HIGH) + ONES) | eight;
        (control | above | zero(eight ^ one_eight) | zero(eight ^ other_eight)) & HIGH
    };
    let (eights, rest) = octets.as_chunks::<8>();
    let of_eights = eights.iter().fold(0, |all, eight| all | unfit(*eight));
    // The rest with what is before it: twice looked at is no harm.
    let of_rest = match octets.last_chunk::<8>() {
        _ if rest.is_empty() => 0,
        Some(last) => unfit(*last),
        None => {
            return rest.iter().all(|octet| matches!(octet, b' '..=b'~') && *octet != one && *octet != other);
        }
    };
    of_eights | of_rest == 0
}

/// Whether one of two octets is among others; give one twice to look for one only.
///
/// For texts as short as names this takes less than a search does.
#[inline]
pub fn has_either(octets: &[u8], one: u8, other: u8) -> bool {
    const ONES: u64 = u64::from_ne_bytes([1; 8]);
    let (one_eight, other_eight) = (ONES * u64::from(one), ONES * u64::from(other));
    // As in `is_plain`.
    let zero = |eight: u64| eight.wrapping_sub(ONES) & !eight;
    let found = |octets: [u8; 8]| {
        let eight = u64::from_ne_bytes(octets);
        zero(eight ^ one_eight) | zero(eight ^ other_eight)
    };
    let Some(last) = octets.last_chunk::<8>() else {
        return octets.iter().any(|octet| *octet == one || *octet == other);
    };
    let (eights, _) = octets.as_chunks::<8>();
    eights.iter().fold(found(*last), |all, eight| all | found(*eight)) & (ONES << 7) != 0
}

/// Whether octets are printable ASCII.
#[inline]
pub fn is_printable(octets: &[u8]) -> bool {
    const ONES: u64 = u64::from_ne_bytes([1; 8]);
    const HIGH: u64 = ONES << 7;
    // As in `is_plain`.
    let unfit = |octets: [u8; 8]| {
        let eight = u64::from_le_bytes(octets);
        let control = eight.wrapping_sub(ONES * u64::from(b' ')) & !eight;
        let above = ((eight & !HIGH) + ONES) | eight;
        control | above
    };
    let Some(last) = octets.last_chunk::<8>() else {
        return octets.iter().all(|octet| matches!(octet, b' '..=b'~'));
    };
    let (eights, _) = octets.as_chunks::<8>();
    eights.iter().fold(unfit(*last), |all, eight| all | unfit(*eight)) & HIGH == 0
}

/// The digits of the numbers up to 99, two for each.
const PAIRS: [[u8; 2]; 100] = {
    let mut pairs = [[0; 2]; 100];
    let mut number = 0;
    while number < 100 {
        pairs[number] = [b'0' + (number / 10) as u8, b'0' + (number % 10) as u8];
        number += 1;
    }
    pairs
};

/// The last two digits of a number.
#[inline]
pub fn two_digits(number: u64) -> [u8; 2] {
    PAIRS[(number % 100) as usize]
}

/// The digits of a number.
#[derive(Debug)]
pub struct Digits {
    /// They are at the end.
    octets: [u8; 20],
    start: usize,
}

impl Digits {
    /// The digits of a number.
    #[inline]
    pub fn of(number: u64) -> Self {
        let mut digits = [0; 20];
        let (mut at, mut rest) = (digits.len(), number);
        while rest >= 10 {
            at -= 2;
            // A copy of two octets would be a call.
            [digits[at], digits[at + 1]] = two_digits(rest);
            rest /= 100;
        }
        // The first one of an odd number of digits, and a lone 0.
        if rest > 0 || number == 0 {
            at -= 1;
            digits[at] = b'0' + rest as u8;
        }
        Digits { octets: digits, start: at }
    }

    /// Them alone.
    #[inline]
    pub fn as_bytes(&self) -> &[u8] {
        &self.octets[self.start..]
    }
}

/// Appends the digits of a number.
pub fn push_number(out: &mut Vec<u8>, number: u64) {
    out.extend_from_slice(Digits::of(number).as_bytes());
}

/// The character set of a sender that does not write UTF-8. The default is that none is configured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Charset(Option<&'static Encoding>);

impl Charset {
    /// The character set of a label such as `windows-1252`, `gbk` or `latin1`, in any case.
    pub fn of_label(label: &str) -> Option<Charset> {
        let encoding = Encoding::for_label_no_replacement(label.as_bytes())?;
        Some(Charset(Some(encoding)))
    }
}

/// What is known of octets that may be text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Likely {
    /// They are text.
    Text,
    /// Nothing is known: they may be a number or an address.
    Unknown,
}

/// A line as text, whatever its octets are. NULs at the end and a byte order mark at the start are left out.
pub fn line(octets: &[u8], charset: Charset) -> Cow<'_, str> {
    match whole(octets) {
        Whole::Text(text) => text,
        Whole::Cut(octets) => String::from_utf8_lossy(octets),
        Whole::Other(octets) => {
            let encoding = charset.0.unwrap_or(WINDOWS_1252);
            encoding.decode_without_bom_handling(octets).0
        }
    }
}

/// A value as text; none if it is no text: if it has control characters, or cannot be told from a number or an address.
/// NULs at the end and a byte order mark at the start are left out.
pub fn value(octets: &[u8], charset: Charset, likely: Likely) -> Option<Cow<'_, str>> {
    if let Some(text) = plain(octets) {
        return Some(Cow::Borrowed(text));
    }
    let text = match whole(octets) {
        Whole::Text(text) => text,
        Whole::Cut(octets) => String::from_utf8_lossy(octets),
        Whole::Other(octets) => {
            let configured = charset
                .0
                .and_then(|encoding| encoding.decode_without_bom_handling_and_without_replacement(octets))
                .filter(|text| is_written(text));
            match configured {
                Some(text) => text,
                None if likely == Likely::Text || has_mostly_ascii(octets) => {
                    WINDOWS_1252.decode_without_bom_handling(octets).0
                }
                None => return None,
            }
        }
    };
    is_written(&text).then_some(text)
}

/// What somebody else wrote, such as the body of a request, without the byte order mark that some programs put before it.
pub fn without_bom(octets: &[u8]) -> &[u8] {
    octets.strip_prefix("\u{feff}".as_bytes()).unwrap_or(octets)
}

/// Octets as text, if they are UTF-8.
#[inline]
pub fn utf_8(octets: &[u8]) -> Option<&str> {
    // For UTF-8 the standard library looks at each octet of a short text alone.
    match octets.as_ascii_str() {
        Ok(ascii) => Some(ascii.as_str()),
        Err(_) => std::str::from_utf8(octets).ok(),
    }
}

/// Octets as text, if they are printable ASCII, as nearly all texts are.
#[inline]
pub fn plain(octets: &[u8]) -> Option<&str> {
    if !is_printable(octets) {
        return None;
    }
    octets.as_ascii_str().ok().map(AsciiStr::as_str)
}

/// What octets are without a configured character set.
enum Whole<'o> {
    /// UTF-8 or UTF-16.
    Text(Cow<'o, str>),
    /// UTF-8 beyond ASCII whose last character is not complete.
    Cut(&'o [u8]),
    /// Neither, without NULs at the end.
    Other(&'o [u8]),
}

#[inline]
fn whole(octets: &[u8]) -> Whole<'_> {
    // Nearly all octets are ASCII or UTF-8 without NULs and byte order marks.
    if !is_special(octets)
        && let Some(text) = utf_8(octets)
    {
        return Whole::Text(Cow::Borrowed(text));
    }
    special(octets)
}

/// Whether octets can be anything but UTF-8 as it stands.
#[inline]
fn is_special(octets: &[u8]) -> bool {
    match octets {
        [0, ..] | [_, 0, ..] | [.., 0] => true,
        [first, ..] => matches!(first, 0xef | 0xfe | 0xff),
        [] => false,
    }
}

#[cold]
fn special(octets: &[u8]) -> Whole<'_> {
    if let Some(text) = utf_16(octets) {
        return Whole::Text(text);
    }
    let end = octets.iter().rposition(|octet| *octet != 0).map_or(0, |last| last + 1);
    let octets = octets[..end].strip_prefix(BOM_UTF_8).unwrap_or(&octets[..end]);
    match std::str::from_utf8(octets) {
        Ok(text) => Whole::Text(Cow::Borrowed(text)),
        // What ends within a character has been UTF-8 only if it has another character beyond ASCII.
        Err(error) if error.error_len().is_none() && !octets[..error.valid_up_to()].is_ascii() => {
            Whole::Cut(octets)
        }
        Err(_) => Whole::Other(octets),
    }
}

/// UTF-16 with a byte order mark, or with NULs in every other octet of most characters.
fn utf_16(octets: &[u8]) -> Option<Cow<'_, str>> {
    let marked = Encoding::for_bom(octets).filter(|(encoding, _)| *encoding != UTF_8);
    let (encoding, text) = match marked {
        Some((encoding, mark)) => (encoding, &octets[mark..]),
        None => (unmarked(octets)?, octets),
    };
    // NULs at the end are whole characters.
    let (pairs, rest) = text.as_chunks::<2>();
    let end = pairs.iter().rposition(|pair| *pair != [0, 0]).map_or(0, |last| last + 1);
    if !matches!(rest, [] | [0]) || pairs[..end].contains(&[0, 0]) {
        return None;
    }
    let text = encoding.decode_without_bom_handling_and_without_replacement(&text[..end * 2])?;
    (marked.is_some() || is_written(&text)).then_some(text)
}

/// The order of the octets of UTF-16 without a byte order mark: three characters at least, the first one and most others of
/// Latin-1.
fn unmarked(octets: &[u8]) -> Option<&'static Encoding> {
    let (pairs, _) = octets.as_chunks::<2>();
    let end = pairs.iter().rposition(|pair| *pair != [0, 0]).map_or(0, |last| last + 1);
    let pairs = &pairs[..end];
    let is_most = |at: usize| {
        let high = pairs.iter().filter(|pair| pair[at] == 0).count();
        pairs.len() >= 3 && pairs[0][at] == 0 && high * 4 >= pairs.len() * 3
    };
    if is_most(1) {
        Some(UTF_16LE)
    } else if is_most(0) {
        Some(UTF_16BE)
    } else {
        None
    }
}

fn is_written(text: &str) -> bool {
    text.chars().all(|c| !c.is_control() || matches!(c, '\t' | '\n' | '\r'))
}

/// Whether octets are text in a character set of one octet a character rather than numbers: three at least, and for each
/// one beyond ASCII two of ASCII.
fn has_mostly_ascii(octets: &[u8]) -> bool {
    let beyond = octets.iter().filter(|octet| !octet.is_ascii()).count();
    octets.len() >= 3 && beyond * 3 <= octets.len()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn charset(label: &str) -> Charset {
        Charset::of_label(label).unwrap()
    }

    proptest! {
        #[test]
        fn plain_is_printable_ascii_without_two(
            octets in prop_oneof![
                prop::collection::vec(any::<u8>(), 0..40),
                prop::collection::vec(prop_oneof![30 => b' '..=b'~', 1 => any::<u8>()], 0..40),
            ],
            (one, other) in any::<(u8, u8)>(),
        ) {
            for (one, other) in [(one, other), (b';', b'|'), (0x7f, 0x7f)] {
                let plain = octets.iter().all(|octet| matches!(octet, b' '..=b'~') && ![one, other].contains(octet));
                prop_assert_eq!(is_plain(&octets, one, other), plain);
            }
            for (one, other) in [(one, other), (b':', b':'), (b' ', b')')] {
                prop_assert_eq!(has_either(&octets, one, other), octets.contains(&one) || octets.contains(&other));
            }
            prop_assert_eq!(is_printable(&octets), octets.iter().all(|octet| matches!(octet, b' '..=b'~')));
        }

        #[test]
        fn numbers_are_written_as_the_library_does(number: u64, small in 0..200u64) {
            for number in [number, small] {
                let mut out = b"n".to_vec();
                push_number(&mut out, number);
                prop_assert_eq!(out, format!("n{number}").into_bytes());
            }
        }
    }

    fn utf_16(text: &str, big: bool) -> Vec<u8> {
        let order = |unit: u16| if big { unit.to_be_bytes() } else { unit.to_le_bytes() };
        text.encode_utf16().flat_map(order).collect()
    }

    /// Octets, their character set, and the text of a line. Values are the same text, or in hex where they are marked so.
    #[test]
    fn lines_and_values() {
        let none = Charset::default();
        let mark = |mark: &[u8], text: Vec<u8>| [mark.to_vec(), text].concat();
        let (le, be) = (utf_16("Tür offen", false), utf_16("Tür offen", true));
        let cases: Vec<(Vec<u8>, Charset, &str, bool)> = vec![
            (b"plain".into(), none, "plain", true),
            (b"".into(), none, "", true),
            ("Tür, 告警".into(), none, "Tür, 告警", true),
            ("Tür".into(), charset("gbk"), "Tür", true),
            (b"Door open\0".into(), none, "Door open", true),
            (b"Door open\0\0\0\0\0\0\0".into(), none, "Door open", true),
            (b"\0".into(), none, "", true),
            (b"\0\0\0\0\0\0".into(), none, "", true),
            (b"in\0side".into(), none, "in\0side", false),
            (mark(BOM_UTF_8, b"marked\0".into()), none, "marked", true),
            (le.clone(), none, "Tür offen", true),
            (be.clone(), none, "Tür offen", true),
            (mark(&le, vec![0, 0]), none, "Tür offen", true),
            (mark(&le, vec![0]), none, "Tür offen", true),
            (mark(&[0xff, 0xfe], le), none, "Tür offen", true),
            (mark(&[0xfe, 0xff], be), none, "Tür offen", true),
            (mark(&[0xff, 0xfe], utf_16("告警", false)), none, "告警", true),
            (utf_16("Server 告警", false), none, "Server 告警", true),
            (vec![0x54, 0xfc, 0x72], none, "Tür", true),
            (b"T\xfcr offen".into(), none, "Tür offen", true),
            (b"caf\xe9".into(), none, "café", true),
            (b"caf\xe9\0\0".into(), none, "café", true),
            (b"price 10 \x80 \x96 \x84a\x93".into(), none, "price 10 € – „a“", true),
            ("Tür auf: Grü".as_bytes()[..13].into(), none, "Tür auf: Gr\u{fffd}", true),
            (vec![0xb8, 0xe6, 0xbe, 0xaf], charset("GBK"), "告警", true),
            (vec![0xc4, 0xe5, 0xe9], charset("windows-1251"), "Дей", true),
            (vec![0xcc, 0xe1], charset("iso-8859-7"), "Μα", true),
            (vec![0x82, 0xa0, 0x41], charset("shift_jis"), "あA", true),
            // What is not in the character set of the sender.
            (b"disk C: \x81 is full".into(), none, "disk C: \u{81} is full", false),
            (vec![0xff, 0xc0, 0xc3, 0xa9], none, "ÿÀÃ©", false),
            (vec![0xff, 0xc0, 0xc3, 0xff], charset("gbk"), "\u{fffd}烂\u{fffd}", false),
            (vec![0, 0x1a, 0x2b, 0x3c, 0x4d, 0x5e], none, "\0\u{1a}+<M^", false),
            (vec![0, 1, 0, 2, 0, 3], none, "\0\u{1}\0\u{2}\0\u{3}", false),
            (vec![b'U', 0, b'p', 0], none, "U\0p", false),
        ];
        for (octets, charset, text, is_text) in cases {
            assert_eq!(line(&octets, charset), text, "{octets:02x?}");
            let read = value(&octets, charset, Likely::Unknown);
            assert_eq!(read.as_deref(), is_text.then_some(text), "{octets:02x?}");
        }
        assert_eq!(value(&[0xd6, 0x6c], none, Likely::Text).as_deref(), Some("Öl"));
        assert_eq!(value(&[0xd6, 0x6c], none, Likely::Unknown), None);
        assert_eq!(value(&[0xd6, 0x07], none, Likely::Text), None);
    }

    #[test]
    fn labels_of_the_encoding_standard() {
        for label in ["windows-1252", "Latin1", "iso-8859-15", "GBK", "gb18030", "Big5", "euc-kr", "utf-16le"]
        {
            assert!(Charset::of_label(label).is_some(), "{label}");
        }
        for label in ["", "cp-1252", "replacement", "utf-7"] {
            assert!(Charset::of_label(label).is_none(), "{label}");
        }
    }

    #[test]
    fn what_is_utf_8_without_marks_is_not_copied() {
        for octets in ["<36>plain".as_bytes(), "Tür".as_bytes(), b""] {
            assert!(matches!(line(octets, Charset::default()), Cow::Borrowed(_)));
        }
    }

    proptest! {
        #[test]
        fn text_in_any_encoding_comes_back(text in "[A-Za-zäöüß ]{3,40}[a-z]{3,30}", nuls in 0_usize..9) {
            let none = Charset::default();
            let padded = |octets: Vec<u8>| [octets, vec![0; nuls]].concat();
            let encodings = [
                text.clone().into_bytes(),
                [BOM_UTF_8, text.as_bytes()].concat(),
                [&[0xff, 0xfe][..], &utf_16(&text, false)].concat(),
                [&[0xfe, 0xff][..], &utf_16(&text, true)].concat(),
            ];
            for octets in encodings {
                let octets = padded(octets);
                prop_assert_eq!(line(&octets, none), text.as_str());
            }
            let single = WINDOWS_1252.encode(&text).0.into_owned();
            let padded = padded(single.clone());
            prop_assert_eq!(line(&padded, none), text.as_str());
            let read = value(&single, none, Likely::Text);
            prop_assert_eq!(read.as_deref(), Some(text.as_str()));
        }

        #[test]
        fn any_octets_are_some_line(octets: Vec<u8>, label in "windows-1252|gbk|shift_jis|utf-16be") {
            let _ = line(&octets, charset(&label));
            if let Some(text) = value(&octets, charset(&label), Likely::Unknown) {
                prop_assert!(is_written(&text));
            }
        }
    }
}
