//! Values from what a person writes: the inverse of [`format`](super::format).

use std::net::{Ipv4Addr, Ipv6Addr};

use data_encoding::HEXLOWER_PERMISSIVE;
use mib_rs::mib::display_hint::{
    self, DisplayHint, HexCase, IntegerFormat, IntegerHint, OctetFormat, OctetSegment,
};

use crate::message::Value;
use crate::mib::index::{Base, Mib, Syntax};

/// A value that owns its octets.
#[derive(Debug, Clone, PartialEq)]
pub enum Typed {
    /// OCTET STRING, BITS.
    Octets(Vec<u8>),
    /// A value of any other type.
    Other(Value<'static>),
}

impl Typed {
    /// The value.
    pub fn value(&self) -> Value<'_> {
        match self {
            Typed::Octets(octets) => Value::OctetString(octets),
            Typed::Other(value) => value.clone(),
        }
    }
}

/// A value given as text, in the type of its object; none if it does not fit. Without an object, octets.
///
/// Numbers, names of enumerations, names and numbers of BITS with commas between, addresses, OIDs and their names, times, and
/// what a DISPLAY-HINT makes of a value are read as [`format::text`](super::format::text) writes them. Octets that are no text
/// can be given in hex behind `0x`.
pub fn from_text(text: &str, syntax: Option<&Syntax>, mib: &Mib) -> Option<Typed> {
    let Some(syntax) = syntax else { return Some(Typed::Octets(hex(text).unwrap_or_else(|| text.into()))) };
    let other = match syntax.base {
        Base::Octets => return octets(text, syntax).map(Typed::Octets),
        Base::ObjectId => Value::ObjectId(mib.resolve(text)?),
        Base::IpAddress => Value::IpAddress(text.parse().ok()?),
        Base::TimeTicks => match text.parse() {
            Ok(number) => Value::TimeTicks(number),
            Err(_) => Value::TimeTicks(ticks(text)?),
        },
        _ => return from_number(number(text, syntax)?, Some(syntax)).map(Typed::Other),
    };
    Some(Typed::Other(other))
}

/// A value given as a number, in the type of its object; none if it does not fit. Without an object, INTEGER.
pub fn from_number(number: i128, syntax: Option<&Syntax>) -> Option<Value<'static>> {
    let unsigned = u32::try_from(number).ok();
    match syntax.map_or(Base::Integer, |syntax| syntax.base) {
        Base::Counter32 => unsigned.map(Value::Counter32),
        Base::Gauge32 => unsigned.map(Value::Gauge32),
        Base::TimeTicks => unsigned.map(Value::TimeTicks),
        Base::Counter64 => u64::try_from(number).ok().map(Value::Counter64),
        _ => i32::try_from(number).ok().map(Value::Integer),
    }
}

/// A number by its name, by its DISPLAY-HINT, or as it is. With `d-2`, `2.50` is 250, and so is `250`.
fn number(text: &str, syntax: &Syntax) -> Option<i128> {
    if let Some(number) = syntax.number_of(text) {
        return Some(number.into());
    }
    let plain = || text.parse::<i128>().ok();
    let hint = DisplayHint::parse(&syntax.hint);
    let Some(&IntegerHint { format, decimal_places }) = hint.as_ref().and_then(DisplayHint::as_integer)
    else {
        return plain();
    };
    // Counter64 has no hint when it is written.
    let radix = match format {
        _ if syntax.base == Base::Counter64 => return plain(),
        IntegerFormat::Decimal => return plain().or_else(|| scaled(text, decimal_places.into())),
        IntegerFormat::Hex => 16,
        IntegerFormat::Octal => 8,
        IntegerFormat::Binary => 2,
    };
    i64::from_str_radix(text, radix).ok().map(i128::from)
}

/// `-1.5` with two places is -150; more digits than places are none.
fn scaled(text: &str, places: usize) -> Option<i128> {
    let (sign, digits) = text.strip_prefix('-').map_or((1, text), |digits| (-1, digits));
    let (whole, fraction) = digits.split_once('.')?;
    let digits = |part: &str| part.bytes().all(|octet| octet.is_ascii_digit());
    if whole.is_empty() || !digits(whole) || !digits(fraction) || fraction.len() > places {
        return None;
    }
    format!("{whole}{fraction:0<places$}").parse::<i128>().ok().map(|number| sign * number)
}

/// `3 days, 4:05:06.07` in hundredths of a second.
fn ticks(text: &str) -> Option<u32> {
    let (days, time) = match text.split_once(", ") {
        Some((days, time)) => {
            (days.strip_suffix(" days").or_else(|| days.strip_suffix(" day"))?.parse().ok()?, time)
        }
        None => (0u64, text),
    };
    let (time, hundredths) = time.split_once('.')?;
    let parts: Vec<u64> = time.split(':').map(|part| part.parse().ok()).collect::<Option<_>>()?;
    let &[hours, minutes, seconds] = parts.as_slice() else { return None };
    let hundredths: u64 = Some(hundredths).filter(|digits| digits.len() == 2)?.parse().ok()?;
    let seconds = [(days, 86_400), (hours, 3600), (minutes, 60), (seconds, 1)];
    let total =
        seconds.iter().try_fold(0u64, |sum, (count, unit)| sum.checked_add(count.checked_mul(*unit)?))?;
    u32::try_from(total.checked_mul(100)?.checked_add(hundredths)?).ok()
}

fn octets(text: &str, syntax: &Syntax) -> Option<Vec<u8>> {
    if !syntax.bits.is_empty() {
        return bits(text, &syntax.bits).or_else(|| hex(text));
    }
    let is_text = syntax.hint.ends_with(['a', 't']) && !syntax.hint.contains('-');
    if is_text {
        return Some(text.into());
    }
    // A hint that is none changes nothing when a value is shown.
    if DisplayHint::parse(&syntax.hint).is_some_and(|hint| hint.as_octet_string().is_some()) {
        return hinted(text, &syntax.hint).or_else(|| hex(text));
    }
    let address = || (&*syntax.convention == "InetAddress").then(|| inet(text)).flatten();
    Some(address().or_else(|| hex(text)).unwrap_or_else(|| text.into()))
}

/// Octets in hex behind `0x`.
fn hex(text: &str) -> Option<Vec<u8>> {
    HEXLOWER_PERMISSIVE.decode(text.strip_prefix("0x")?.as_bytes()).ok()
}

/// As many octets as the names need, or more if a number without a name needs them (RFC 2578, section 7.1.4).
fn bits(text: &str, names: &[(i64, Box<str>)]) -> Option<Vec<u8>> {
    let known = names.iter().map(|(number, _)| *number).max().unwrap_or(0);
    let set = text.split(',').map(str::trim).filter(|word| !word.is_empty());
    let set: Vec<usize> = set
        .map(|word| match names.iter().find(|(_, name)| **name == *word) {
            Some((number, _)) => usize::try_from(*number).ok(),
            None => word.parse().ok().filter(|number| *number < 65_536 * 8),
        })
        .collect::<Option<_>>()?;
    let last = set.iter().copied().chain(usize::try_from(known).ok()).max().unwrap_or(0);
    let mut octets = vec![0; last / 8 + 1];
    for number in set {
        octets[number / 8] |= 0x80 >> (number % 8);
    }
    Some(octets)
}

/// An InetAddress (RFC 4001) that is an address, with or without a zone behind `%`.
fn inet(text: &str) -> Option<Vec<u8>> {
    let (address, zone) = text.split_once('%').map_or((text, None), |(address, zone)| (address, Some(zone)));
    let mut octets = match (address.parse::<Ipv4Addr>(), address.parse::<Ipv6Addr>()) {
        (Ok(v4), _) => v4.octets().to_vec(),
        (_, Ok(v6)) => v6.octets().to_vec(),
        _ => return None,
    };
    if let Some(zone) = zone {
        octets.extend(zone.parse::<u32>().ok()?.to_be_bytes());
    }
    Some(octets)
}

/// The octets that a DISPLAY-HINT (RFC 2579, section 3.1) shows as this text.
fn hinted(text: &str, hint: &str) -> Option<Vec<u8>> {
    let octets = read_hinted(text, hint)?;
    // What is shown of them must be read as them: a number may be too large for its octets, or have zeros before it.
    let shown = display_hint::format_octets(hint, &octets, HexCase::Upper).unwrap_or_default();
    (read_hinted(&shown, hint).as_ref() == Some(&octets)).then_some(octets)
}

fn read_hinted(text: &str, hint: &str) -> Option<Vec<u8>> {
    let hint = DisplayHint::parse(hint)?;
    let segments = &hint.as_octet_string()?.segments;
    let (mut rest, mut octets) = (text, Vec::new());
    let mut at = 0;
    while !rest.is_empty() {
        let before = rest.len();
        // The last one repeats until the end.
        let segment = segments.get(at).or(segments.last())?;
        at += 1;
        rest = if segment.repeat {
            repeated(rest, segment, &mut octets)?
        } else {
            let rest = element(rest, segment, &mut octets)?;
            after(rest, segment.separator)?
        };
        // An element may have no text, as one of no octets. If the last one has none, it would repeat for ever.
        if at >= segments.len() && before == rest.len() {
            return None;
        }
    }
    Some(octets)
}

/// A count, and so many elements.
fn repeated<'t>(mut rest: &'t str, segment: &OctetSegment, octets: &mut Vec<u8>) -> Option<&'t str> {
    let place = octets.len();
    octets.push(0);
    let mut count = 0u8;
    loop {
        rest = element(rest, segment, octets)?;
        count = count.checked_add(1)?;
        if let Some(behind) = segment.terminator.and_then(|end| rest.strip_prefix(char::from(end))) {
            rest = behind;
            break;
        }
        match segment.separator.and_then(|between| rest.strip_prefix(char::from(between))) {
            Some(behind) => rest = behind,
            None => break,
        }
    }
    octets[place] = count;
    Some(rest)
}

/// What is behind a separator, which stands only where something follows.
fn after(rest: &str, separator: Option<u8>) -> Option<&str> {
    match separator {
        Some(between) if !rest.is_empty() => {
            rest.strip_prefix(char::from(between)).filter(|behind| !behind.is_empty())
        }
        _ => Some(rest),
    }
}

/// Reads one element, and gives what is behind it.
fn element<'t>(text: &'t str, segment: &OctetSegment, octets: &mut Vec<u8>) -> Option<&'t str> {
    let length = segment.length as usize;
    let digits = |radix: u32, most: usize| {
        let end = text.bytes().take(most).take_while(|octet| char::from(*octet).is_digit(radix)).count();
        text.split_at(end)
    };
    let (own, rest) = match segment.format {
        OctetFormat::Hex => digits(16, length.checked_mul(2)?),
        OctetFormat::Decimal => digits(10, usize::MAX),
        OctetFormat::Octal => digits(8, usize::MAX),
        // Characters that are not ASCII have more octets than one.
        OctetFormat::Ascii | OctetFormat::Utf8 => {
            let end =
                text.char_indices().map(|(at, c)| at + c.len_utf8()).take_while(|end| *end <= length).last();
            text.split_at(end.unwrap_or(0))
        }
    };
    match segment.format {
        OctetFormat::Hex => octets.extend(HEXLOWER_PERMISSIVE.decode(own.as_bytes()).ok()?),
        OctetFormat::Ascii | OctetFormat::Utf8 => octets.extend(own.as_bytes()),
        OctetFormat::Decimal | OctetFormat::Octal if length == 0 => {}
        OctetFormat::Decimal | OctetFormat::Octal => {
            let radix = if segment.format == OctetFormat::Decimal { 10 } else { 8 };
            let number = u64::from_str_radix(own, radix).ok()?.to_be_bytes();
            // A number of more than eight octets is never shown.
            let (above, number) = number.split_at(8usize.checked_sub(length)?);
            octets.extend(Some(number).filter(|_| above.iter().all(|octet| *octet == 0))?);
        }
    }
    Some(rest)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::mib::format;
    use crate::text::Charset;

    fn hint(hint: &str, base: Base) -> Syntax {
        Syntax { hint: hint.into(), base, ..Syntax::default() }
    }

    fn names() -> Vec<(i64, Box<str>)> {
        vec![(0, "a".into()), (1, "b".into()), (9, "j".into())]
    }

    fn read(text: &str, syntax: &Syntax) -> Option<Typed> {
        from_text(text, Some(syntax), &Mib::default())
    }

    fn octets_of(text: &str, syntax: &Syntax) -> Option<Vec<u8>> {
        match read(text, syntax)? {
            Typed::Octets(octets) => Some(octets),
            other @ Typed::Other(_) => panic!("{other:?}"),
        }
    }

    /// Hints of standard modules, and the lengths of their values.
    const HINTS: [(&str, std::ops::RangeInclusive<usize>); 12] = [
        ("1x:", 0..=20),
        ("1d.1d.1d.1d", 4..=4),
        ("2d-1d-1d,1d:1d:1d.1d", 8..=8),
        ("2d-1d-1d,1d:1d:1d.1d,1a1d:1d", 8..=8),
        ("2x:2x:2x:2x:2x:2x:2x:2x", 16..=16),
        ("1d.1d.1d.1d%4d", 8..=8),
        ("2x:2x:2x:2x:2x:2x:2x:2x%4d", 20..=20),
        ("4x:", 0..=12),
        ("1o.", 1..=6),
        ("8d", 8..=8),
        ("1x-", 0..=9),
        ("2o", 2..=2),
    ];

    proptest! {
        /// What is shown of a value is read as the value.
        #[test]
        fn octets_of_hints_round_trip(
            (hint, octets) in prop::sample::select(HINTS.to_vec()).prop_flat_map(|(hint, lengths)| {
                prop::collection::vec(any::<u8>(), lengths).prop_map(move |octets| (hint, octets))
            }),
        ) {
            let syntax = self::hint(hint, Base::Octets);
            let value = Value::OctetString(&octets);
            let shown = format::text(&value, Some(&syntax), Charset::default(), &Mib::default());
            prop_assert_eq!(octets_of(&shown, &syntax), Some(octets.clone()), "{} {}", hint, shown);
        }

        #[test]
        fn dates_round_trip(octets in prop::collection::vec(any::<u8>(), 8), west: bool, zone: (u8, u8)) {
            let syntax = hint("2d-1d-1d,1d:1d:1d.1d,1a1d:1d", Base::Octets);
            let date = [&octets[..], &[if west { b'-' } else { b'+' }, zone.0, zone.1]].concat();
            let value = Value::OctetString(&date);
            let shown = format::text(&value, Some(&syntax), Charset::default(), &Mib::default());
            prop_assert_eq!(octets_of(&shown, &syntax), Some(date.clone()));
        }

        #[test]
        fn counted_elements_round_trip(
            first in prop::collection::vec(any::<u8>(), 1..5),
            rest in prop::collection::vec(any::<u8>(), 1..5),
        ) {
            let syntax = hint("*1d./1x:", Base::Octets);
            let octets = [&[first.len() as u8][..], &first, &[rest.len() as u8], &rest].concat();
            let value = Value::OctetString(&octets);
            let shown = format::text(&value, Some(&syntax), Charset::default(), &Mib::default());
            prop_assert_eq!(octets_of(&shown, &syntax), Some(octets.clone()));
        }

        #[test]
        fn bits_round_trip(octets in prop::collection::vec(any::<u8>(), 2..4)) {
            let syntax = Syntax { bits: names(), ..Syntax::default() };
            let shown = |octets: &[u8]| format::text(&Value::OctetString(octets), Some(&syntax), Charset::default(), &Mib::default()).into_owned();
            let read = octets_of(&shown(&octets), &syntax).unwrap();
            prop_assert_eq!(shown(&read), shown(&octets));
        }

        #[test]
        fn numbers_round_trip(
            number: i32,
            hint in prop::sample::select(vec!["", "d", "d-1", "d-2", "d-5", "x", "o", "b"]),
            named: bool,
        ) {
            let mut syntax = self::hint(hint, Base::Integer);
            if named {
                syntax.enums = vec![(number.into(), "itsName".into()), (-7, "other".into())];
            }
            let value = Value::Integer(number);
            let shown = format::text(&value, Some(&syntax), Charset::default(), &Mib::default());
            prop_assert_eq!(read(&shown, &syntax), Some(Typed::Other(value.clone())), "{}", shown);
        }

        #[test]
        fn unsigned_numbers_round_trip(number: u32, big: u64) {
            let mib = Mib::default();
            for (base, value) in [
                (Base::Counter32, Value::Counter32(number)),
                (Base::Gauge32, Value::Gauge32(number)),
                (Base::TimeTicks, Value::TimeTicks(number)),
                (Base::Counter64, Value::Counter64(big)),
                (Base::IpAddress, Value::IpAddress(number.into())),
            ] {
                let syntax = Syntax { base, ..Syntax::default() };
                let shown = format::text(&value, Some(&syntax), Charset::default(), &mib);
                prop_assert_eq!(read(&shown, &syntax), Some(Typed::Other(value.clone())), "{}", shown);
            }
        }

        #[test]
        fn addresses_round_trip(v4: u32, v6: u128, zone: u32) {
            let syntax = Syntax { convention: "InetAddress".into(), ..Syntax::default() };
            let (v4, v6, zone) = (v4.to_be_bytes().to_vec(), v6.to_be_bytes().to_vec(), zone.to_be_bytes().to_vec());
            for octets in [v4.clone(), [v4, zone.clone()].concat(), v6.clone(), [v6, zone].concat()] {
                let value = Value::OctetString(&octets);
                let shown = format::text(&value, Some(&syntax), Charset::default(), &Mib::default());
                // Octets that are all printable are shown as the name that they may be.
                let expected = if shown.as_bytes() == octets { shown.as_bytes() } else { &octets };
                prop_assert_eq!(octets_of(&shown, &syntax), Some(expected.to_vec()), "{}", shown);
            }
        }

        #[test]
        fn any_text_and_any_hint_are_safe(text in "\\PC{0,20}", hint in "[*0-9dxoat:.,%-]{0,12}") {
            for base in [Base::Octets, Base::Integer, Base::TimeTicks] {
                let _ = read(&text, &self::hint(&hint, base));
            }
        }
    }

    #[test]
    fn what_people_write() {
        let mac = hint("1x:", Base::Octets);
        assert_eq!(octets_of("00:1a:2B:3c:4d:5e", &mac), Some(vec![0, 0x1a, 0x2b, 0x3c, 0x4d, 0x5e]));
        assert_eq!(octets_of("0x001a2b", &mac), Some(vec![0, 0x1a, 0x2b]));
        for wrong in ["00:1a:", "eth0", "0:1a", "00-1a", "001:a0"] {
            assert_eq!(octets_of(wrong, &mac), None, "{wrong}");
        }
        let date = hint("2d-1d-1d,1d:1d:1d.1d,1a1d:1d", Base::Octets);
        let expected = Some(vec![0x07, 0xea, 11, 20, 12, 0, 1, 0, b'+', 1, 0]);
        assert_eq!(octets_of("2026-11-20,12:0:1.0,+1:0", &date), expected);
        assert_eq!(octets_of("2026-11-20,12:00:01.0,+01:00", &date), expected, "zeros before numbers");
        assert_eq!(octets_of("2026-11-20,12:00:256.0", &date), None, "too large for an octet");
        assert_eq!(octets_of("today", &date), None);
        let bits = Syntax { bits: names(), ..Syntax::default() };
        assert_eq!(octets_of("a,j", &bits), Some(vec![0x80, 0x40]));
        assert_eq!(octets_of("", &bits), Some(vec![0, 0]));
        assert_eq!(octets_of("b, 17", &bits), Some(vec![0x40, 0, 0x40]));
        assert_eq!(octets_of("0x8040", &bits), Some(vec![0x80, 0x40]));
        assert_eq!(octets_of("k", &bits), None);
        let scaled = hint("d-2", Base::Integer);
        let number = |text: &str| read(text, &scaled);
        assert_eq!(number("2.5"), Some(Typed::Other(Value::Integer(250))));
        assert_eq!(number("250"), Some(Typed::Other(Value::Integer(250))), "as it is sent");
        assert_eq!((number("2.505"), number("x"), number(".")), (None, None, None));
        let counter = Syntax { base: Base::Counter64, ..Syntax::default() };
        let most = Some(Typed::Other(Value::Counter64(u64::MAX)));
        assert_eq!(read("18446744073709551615", &counter), most);
        assert_eq!(read("18446744073709551616", &counter), None);
        let ticks = Syntax { base: Base::TimeTicks, ..Syntax::default() };
        let day = Some(Typed::Other(Value::TimeTicks(8_640_000)));
        assert_eq!((read("1 day, 0:00:00.00", &ticks), read("8640000", &ticks)), (day.clone(), day));
        let text = hint("255a", Base::Octets);
        assert_eq!(octets_of("0x41", &text), Some(b"0x41".to_vec()), "text is text");
        assert_eq!(octets_of("12:30", &Syntax::default()), Some(b"12:30".to_vec()));
        assert_eq!(octets_of("0x00ff", &Syntax::default()), Some(vec![0, 0xff]));
        assert_eq!(octets_of("12", &hint("1h:", Base::Octets)), Some(b"12".to_vec()), "no hint");
        let name = Syntax { convention: "InetAddress".into(), ..Syntax::default() };
        assert_eq!(octets_of("rtr1.lan", &name), Some(b"rtr1.lan".to_vec()));
    }
}
