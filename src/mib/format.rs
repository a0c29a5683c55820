//! Values as a person writes them.

use std::borrow::Cow;
use std::net::{Ipv4Addr, Ipv6Addr};

use data_encoding::HEXUPPER;
use mib_rs::mib::display_hint::{self, DisplayHint, HexCase};

use crate::message::{Value, Varbind};
use crate::mib::index::{Mib, Syntax};
use crate::text::{self, Charset, Likely};

/// How many characters a floating point number has at most without an exponent.
const MAX_DECIMALS: usize = 24;

/// What a value is, with what a MIB knows of it. Texts and rules are made of this alone, so that they agree.
#[derive(Debug, Clone, PartialEq)]
pub enum Presented<'v> {
    /// A number with no more to say about it.
    Number(i128),
    /// An enumerated number.
    Named {
        /// The number.
        number: i64,
        /// Its name.
        name: &'v str,
    },
    /// A number that its DISPLAY-HINT writes.
    Hinted {
        /// The number as it was sent.
        number: i64,
        /// How many of its digits are behind the decimal point.
        places: u8,
        /// As the hint writes it.
        text: String,
    },
    /// Everything else.
    Text(Cow<'v, str>),
}

impl<'v> Presented<'v> {
    /// As a person reads it.
    pub fn into_text(self) -> Cow<'v, str> {
        match self {
            Presented::Number(number) => number.to_string().into(),
            Presented::Named { name, .. } => Cow::Borrowed(name),
            Presented::Hinted { text, .. } => text.into(),
            Presented::Text(text) => text,
        }
    }
}

/// Presents a value: numbers by name or DISPLAY-HINT, whatever their type in the message; BITS by name, octets by
/// DISPLAY-HINT, else as text where they are text and in hex where not, OIDs by name, times as times. `charset` is that of
/// the sender.
pub fn present<'v>(
    value: &'v Value<'_>,
    syntax: Option<&'v Syntax>,
    charset: Charset,
    mib: &Mib,
) -> Presented<'v> {
    let text = match value {
        Value::OctetString(octets) => octet_text(octets, syntax, charset),
        Value::ObjectId(oid) => mib.name_of(oid).into(),
        Value::TimeTicks(ticks) => time_ticks(*ticks).into(),
        other => match other.as_integer() {
            // No DISPLAY-HINT is for 64 bits.
            Some(number) if matches!(other, Value::Counter64(_)) => return named(number, syntax),
            Some(number) => return present_integer(number, syntax),
            None => plain(other, charset),
        },
    };
    Presented::Text(text)
}

/// A number of 32 bits as [`present`] has it.
pub fn present_integer(number: i128, syntax: Option<&Syntax>) -> Presented<'_> {
    let presented = named(number, syntax);
    let Presented::Number(number) = presented else { return presented };
    let hint = syntax.map_or("", |syntax| &syntax.hint);
    let small = i64::try_from(number).ok().filter(|_| !hint.is_empty() && hint != "d");
    match small.and_then(|small| Some((small, display_hint::format_integer(hint, small, HexCase::Upper)?))) {
        Some((number, text)) => {
            let parsed = DisplayHint::parse(hint);
            let places =
                parsed.as_ref().and_then(DisplayHint::as_integer).map_or(0, |hint| hint.decimal_places);
            Presented::Hinted { number, places, text }
        }
        None => Presented::Number(number),
    }
}

/// A number by its name, if it is enumerated.
fn named(number: i128, syntax: Option<&Syntax>) -> Presented<'_> {
    let small = i64::try_from(number).ok();
    match syntax.zip(small).and_then(|(syntax, number)| Some((number, syntax.name_of(number)?))) {
        Some((number, name)) => Presented::Named { number, name },
        None => Presented::Number(number),
    }
}

/// A value as text, as [`present`] has it.
pub fn text<'v>(
    value: &'v Value<'_>,
    syntax: Option<&'v Syntax>,
    charset: Charset,
    mib: &Mib,
) -> Cow<'v, str> {
    present(value, syntax, charset, mib).into_text()
}

/// A value without what a MIB knows of it: numbers as numbers, OIDs in numbers, octets as text or hex. `charset` is that of
/// the sender.
pub fn plain<'v>(value: &'v Value<'_>, charset: Charset) -> Cow<'v, str> {
    match value {
        Value::OctetString(octets) => octet_text(octets, None, charset),
        Value::ObjectId(oid) => oid.to_string().into(),
        Value::IpAddress(address) => address.to_string().into(),
        Value::Float(number) => float(number.to_string(), format_args!("{number:e}")).into(),
        Value::Double(number) => float(number.to_string(), format_args!("{number:e}")).into(),
        Value::Opaque(octets)
        | Value::Nsap(octets)
        | Value::BitString(octets)
        | Value::Odd { bytes: octets, .. } => hex(octets).into(),
        Value::Null => Cow::Borrowed(""),
        Value::NoSuchObject | Value::NoSuchInstance | Value::EndOfMibView => Cow::Borrowed(value.type_name()),
        number => number.as_integer().map(|n| n.to_string()).unwrap_or_default().into(),
    }
}

/// A value as snmptrapd of net-snmp hands it to a handler where it has no MIBs, but for the quotes around octets:
/// enumerations as numbers, OIDs with a dot before, times as `0:1:02:03.04`, octets beyond ASCII in hex.
pub fn as_net_snmp<'v>(value: &'v Value<'_>) -> Cow<'v, str> {
    match value {
        Value::OctetString(octets) => match std::str::from_utf8(octets) {
            Ok(text) if text.bytes().all(|b| matches!(b, b' '..=b'~' | 9..=13)) => Cow::Borrowed(text),
            _ => octets.iter().map(|octet| HEXUPPER.encode(&[*octet]) + " ").collect::<String>().into(),
        },
        Value::ObjectId(oid) => format!(".{oid}").into(),
        Value::TimeTicks(ticks) => net_snmp_ticks(*ticks).into(),
        Value::Float(number) => format!("{number:.6}").into(),
        Value::Double(number) => format!("{number:.6}").into(),
        Value::Null => Cow::Borrowed("NULL"),
        other => plain(other, Charset::default()),
    }
}

/// Hundredths of a second as net-snmp's quick print writes them: days, hours, minutes and seconds.
pub fn net_snmp_ticks(ticks: u32) -> String {
    let (hundredths, seconds) = (ticks % 100, ticks / 100);
    let (s, m, h, d) = (seconds % 60, seconds / 60 % 60, seconds / 3600 % 24, seconds / 86_400);
    format!("{d}:{h}:{m:02}:{s:02}.{hundredths:02}")
}

/// Octets as [`text()`] writes them, if that is as they are: the short way for nearly all.
pub fn unchanged<'v>(octets: &'v [u8], syntax: Option<&Syntax>) -> Option<&'v str> {
    if syntax.is_none_or(Syntax::keeps_text) { text::plain(octets) } else { None }
}

fn octet_text<'v>(octets: &'v [u8], syntax: Option<&'v Syntax>, charset: Charset) -> Cow<'v, str> {
    let mut likely = Likely::Unknown;
    if let Some(syntax) = syntax {
        if !syntax.bits.is_empty() {
            return bits(octets, &syntax.bits).into();
        }
        let is_text = syntax.is_text();
        if !syntax.hint.is_empty()
            && !is_text
            && let Some(text) = display_hint::format_octets(&syntax.hint, octets, HexCase::Upper)
        {
            return text.into();
        }
        if is_text {
            likely = Likely::Text;
        }
    }
    if let Some(address) = syntax.filter(|s| &*s.convention == "InetAddress").and_then(|_| inet(octets)) {
        return address.into();
    }
    text::value(octets, charset, likely).unwrap_or_else(|| hex(octets).into())
}

/// A number in decimals, or with an exponent where these would be many.
fn float(decimals: String, exponent: std::fmt::Arguments<'_>) -> String {
    if decimals.len() > MAX_DECIMALS { exponent.to_string() } else { decimals }
}

/// An InetAddress (RFC 4001) by its length: an address, where it has one's; a zone behind `%`.
fn inet(octets: &[u8]) -> Option<String> {
    // A name may be as long as an address. Four octets of letters are still more likely an address.
    if octets.len() > 4 && octets.iter().all(|octet| (0x20..0x7f).contains(octet)) {
        return None;
    }
    let zone = |zone: &[u8]| zone.first_chunk().map_or(0, |z| u32::from_be_bytes(*z));
    match octets.len() {
        4 => octets.first_chunk::<4>().map(|o| Ipv4Addr::from(*o).to_string()),
        8 => octets.first_chunk::<4>().map(|o| format!("{}%{}", Ipv4Addr::from(*o), zone(&octets[4..]))),
        16 => octets.first_chunk::<16>().map(|o| Ipv6Addr::from(*o).to_string()),
        20 => octets.first_chunk::<16>().map(|o| format!("{}%{}", Ipv6Addr::from(*o), zone(&octets[16..]))),
        _ => None,
    }
}

/// A varbind's value as [`present`] has it; an InetAddress by the InetAddressType before it, which says whether what
/// has the length of an address is a name. `charset` is that of the sender.
pub fn present_varbind<'v>(
    varbind: &'v Varbind<'_>,
    syntax: Option<&'v Syntax>,
    (charset, all): (Charset, &[Varbind<'_>]),
    mib: &Mib,
) -> Presented<'v> {
    /// InetAddressType dns.
    const DNS: i32 = 16;
    let address = syntax.is_some_and(|s| &*s.convention == "InetAddress");
    let Value::OctetString(octets) = &varbind.value else {
        return present(&varbind.value, syntax, charset, mib);
    };
    if !address {
        return present(&varbind.value, syntax, charset, mib);
    }
    let before = all.iter().take_while(|other| !std::ptr::eq(*other, varbind));
    let kind = before
        .filter(|other| mib.lookup(&other.oid).is_some_and(|o| &*o.syntax.convention == "InetAddressType"))
        .last()
        .map(|other| &other.value);
    if kind == Some(&Value::Integer(DNS)) {
        Presented::Text(octet_text(octets, None, charset))
    } else {
        present(&varbind.value, syntax, charset, mib)
    }
}

/// The same as text.
pub fn of_varbind<'v>(
    varbind: &'v Varbind<'_>,
    syntax: Option<&'v Syntax>,
    context: (Charset, &[Varbind<'_>]),
    mib: &Mib,
) -> Cow<'v, str> {
    present_varbind(varbind, syntax, context, mib).into_text()
}

fn bits(octets: &[u8], names: &[(i64, Box<str>)]) -> String {
    let mut set = Vec::new();
    for (at, octet) in octets.iter().enumerate() {
        for bit in (0..8).filter(|bit| octet & (0x80 >> bit) != 0) {
            let number = (at * 8 + bit) as i64;
            match names.iter().find(|(n, _)| *n == number) {
                Some((_, name)) => set.push(name.to_string()),
                None => set.push(number.to_string()),
            }
        }
    }
    set.join(",")
}

/// Octets in hex, as `00:1A:2B`.
pub fn hex(octets: &[u8]) -> String {
    let mut text = String::with_capacity(octets.len() * 3);
    for (at, octet) in octets.iter().enumerate() {
        if at > 0 {
            text.push(':');
        }
        HEXUPPER.encode_append(&[*octet], &mut text);
    }
    text
}

/// Hundredths of a second as `3 days, 4:05:06.07`.
pub fn time_ticks(ticks: u32) -> String {
    let (hundredths, seconds) = (ticks % 100, ticks / 100);
    let (s, m, h, d) = (seconds % 60, seconds / 60 % 60, seconds / 3600 % 24, seconds / 86_400);
    let time = format!("{h}:{m:02}:{s:02}.{hundredths:02}");
    match d {
        0 => time,
        1 => format!("1 day, {time}"),
        _ => format!("{d} days, {time}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn syntax(hint: &str) -> Syntax {
        Syntax { hint: hint.into(), ..Syntax::default() }
    }

    #[test]
    fn values_without_mibs_as_net_snmp_has_them() {
        for (value, text) in [
            (Value::OctetString(b"plain text"), "plain text"),
            (Value::OctetString(&[0xde, 0xad, 0]), "DE AD 00 "),
            (Value::OctetString("ü".as_bytes()), "C3 BC "),
            (Value::ObjectId("1.3.6.1.4".parse().unwrap()), ".1.3.6.1.4"),
            (Value::TimeTicks(8_640_123), "1:0:00:01.23"),
            (Value::Integer(-5), "-5"),
            (Value::Null, "NULL"),
            (Value::Float(3.5), "3.500000"),
        ] {
            assert_eq!(as_net_snmp(&value), text);
        }
    }

    #[test]
    fn octets() {
        let mib = Mib::default();
        let show = |octets: &'static [u8], hint| {
            text(&Value::OctetString(octets), Some(&syntax(hint)), Charset::default(), &mib).into_owned()
        };
        assert_eq!(show(b"Gi0/3", "255a"), "Gi0/3");
        assert_eq!(show(b"Gi0/3\0", ""), "Gi0/3");
        assert_eq!(show(&[0, 0x1a, 0x2b, 0x3c, 0x4d, 0x5e], "1x:"), "00:1A:2B:3C:4D:5E");
        assert_eq!(show(&[0xff, 0x07], "255a"), "FF:07");
        assert_eq!(show(b"\xd6l", "255a"), "Öl", "the MIB says that it is text");
        assert_eq!(show("café".as_bytes(), ""), "café");
        assert_eq!(show(b"T\xfcr offen", "255a"), "Tür offen", "Latin-1");
        assert_eq!(show(b"caf\xe9", ""), "café");
        assert_eq!(show(&[0xc3, 0xa9, 0xff, 0xc0], ""), "C3:A9:FF:C0", "numbers");
        assert_eq!(show(&[b'a', b'b', b'c', 0x01, 0xe9], ""), "61:62:63:01:E9");
        assert_eq!(
            show(&[0x07, 0xea, 11, 20, 12, 0, 1, 0, b'+', 1, 0], "2d-1d-1d,1d:1d:1d.1d,1a1d:1d"),
            "2026-11-20,12:0:1.0,+1:0"
        );
    }

    #[test]
    fn internet_addresses() {
        let mib = Mib::default();
        let syntax = Syntax { convention: "InetAddress".into(), ..Syntax::default() };
        let show = |octets: &'static [u8]| {
            text(&Value::OctetString(octets), Some(&syntax), Charset::default(), &mib).into_owned()
        };
        assert_eq!(show(&[192, 0, 2, 1]), "192.0.2.1");
        assert_eq!(show(&[169, 254, 0, 1, 0, 0, 0, 7]), "169.254.0.1%7");
        assert_eq!(show(&[0x20, 1, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]), "2001:db8::1");
        assert_eq!(show(b"router.example"), "router.example");
        assert_eq!(show(b"rtr1.lan"), "rtr1.lan", "as long as an address with a zone");
    }

    #[test]
    fn numbers_and_times() {
        let mib = Mib::default();
        let status = Syntax { enums: vec![(1, "up".into()), (2, "down".into())], ..Syntax::default() };
        assert_eq!(text(&Value::Integer(2), Some(&status), Charset::default(), &mib), "down");
        assert_eq!(text(&Value::Integer(9), Some(&status), Charset::default(), &mib), "9");
        assert_eq!(text(&Value::Integer(2345), Some(&syntax("d-2")), Charset::default(), &mib), "23.45");
        assert_eq!(plain(&Value::Double(1e100), Charset::default()), "1e100");
        assert_eq!(plain(&Value::Double(-2.5e-30), Charset::default()), "-2.5e-30");
        assert_eq!(plain(&Value::Float(23.3), Charset::default()), "23.3");
        assert_eq!(text(&Value::TimeTicks(4711), None, Charset::default(), &mib), "0:00:47.11");
        assert_eq!(text(&Value::TimeTicks(u32::MAX), None, Charset::default(), &mib), "497 days, 2:27:52.95");
        let bits = Syntax { bits: vec![(0, "a".into()), (9, "j".into())], ..Syntax::default() };
        assert_eq!(text(&Value::OctetString(&[0x80, 0x60]), Some(&bits), Charset::default(), &mib), "a,j,10");
    }
}
