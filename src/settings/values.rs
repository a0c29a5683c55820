//! Kinds of values that several modules read.

use std::ops::RangeInclusive;
use std::time::Duration;

use data_encoding::HEXLOWER_PERMISSIVE;
use ipnet::{IpNet, Ipv4Net};

use super::diagnostic::{Diagnostics, did_you_mean};
use super::secret::warning;
use super::section::{Located, Section, as_integer};

/// Parses every string of an array; what is wrong with one is reported at its place.
pub fn parse_all<T>(
    section: &Section<'_, '_>,
    all: Vec<Located<String>>,
    parse: fn(&str) -> Result<T, String>,
    found: &mut Diagnostics,
) -> Vec<T> {
    all.into_iter()
        .filter_map(|text| match parse(&text.value) {
            Ok(value) => Some(value),
            Err(message) => {
                found.push(section.source().error(&text.span, message, None));
                None
            }
        })
        .collect()
}

/// A network, or one address as the network that has it alone. Senders over IPv4 have IPv4 addresses also where they reach
/// an IPv6 socket, so `::ffff:192.0.2.0/120` is 192.0.2.0/24.
///
/// # Errors
///
/// What is wrong and what to write.
pub fn network(text: &str) -> Result<IpNet, String> {
    let address = || text.parse::<std::net::IpAddr>().ok().map(IpNet::from);
    let net = text.parse().ok().or_else(address).map(|net| match net {
        IpNet::V6(v6) if v6.prefix_len() >= 96 => match v6.addr().to_ipv4_mapped() {
            Some(address) => Ipv4Net::new(address, v6.prefix_len() - 96).map_or(net, IpNet::V4),
            None => net,
        },
        _ => net,
    });
    net.ok_or_else(|| format!("'{text}' is no network; write 192.0.2.0/24, 2001:db8::/32 or one address"))
}

/// Why no address or name of a host can be equal to a text: it looks like an address or a network that is none, or has white
/// space. None if one can be.
pub fn names_no_host(text: &str) -> Option<&'static str> {
    let digits = text.bytes().all(|b| b.is_ascii_digit() || b == b'.') && text.contains('.');
    match () {
        () if text.parse::<std::net::IpAddr>().is_ok() => None,
        () if digits => Some("is no address"),
        () if network(text).is_ok() => Some("is a network"),
        () if text.contains('/') => Some("is no network"),
        () if text.contains(char::is_whitespace) => Some("has white space, as no address or name has"),
        () => None,
    }
}

/// The networks of the key `allow`; none where it is absent.
pub fn networks(section: &Section<'_, '_>, found: &mut Diagnostics) -> Option<Vec<IpNet>> {
    allowed(section, "allow", found).map(|all| parse_all(section, all, network, found))
}

/// A list of what is let in. An absent one lets everything in, an empty one nothing, with a warning.
pub fn allowed(
    section: &Section<'_, '_>,
    key: &'static str,
    found: &mut Diagnostics,
) -> Option<Vec<Located<String>>> {
    let all = section.strings(key, found)?;
    if all.is_empty() {
        let message = format!("an empty '{key}' lets nothing in");
        found.push(warning(
            section,
            key,
            &message,
            "list what may come in, or remove the key to let everything in",
        ));
    }
    Some(all)
}

/// A whole number within a range.
pub fn count(
    section: &Section<'_, '_>,
    key: &'static str,
    range: RangeInclusive<usize>,
    found: &mut Diagnostics,
) -> Option<usize> {
    let n = section.integer(key, found)?;
    let valid = usize::try_from(n.value).ok().filter(|n| range.contains(n));
    if valid.is_none() {
        let message = format!("{key} must be {} to {}", range.start(), range.end());
        found.push(section.source().error(&n.span, message, None));
    }
    valid
}

/// A duration within a range: a string of a whole number and a unit, or 0.
pub fn duration(
    section: &Section<'_, '_>,
    key: &'static str,
    range: RangeInclusive<Duration>,
    found: &mut Diagnostics,
) -> Option<Duration> {
    let value = section.get(key)?;
    let read = match value.get_ref().as_str() {
        Some(text) => parse_duration(text),
        None => as_integer(value.get_ref()).filter(|n| *n == 0).map(|_| Duration::ZERO),
    };
    let problem = match read {
        Some(duration) if range.contains(&duration) => return Some(duration),
        Some(_) => format!("{key} must be {} to {}", shown(*range.start()), shown(*range.end())),
        None => format!("'{key}' is no duration"),
    };
    let hint = Some("write \"5ms\", \"10s\" or \"1h\"; units are us, ms, s, min, h and d".to_owned());
    found.push(section.source().error(&value.span(), problem, hint));
    None
}

/// Units of durations, the longest first, in microseconds.
const UNITS: [(&str, u64); 7] = [
    ("d", 86_400_000_000),
    ("h", 3_600_000_000),
    ("min", 60_000_000),
    ("m", 60_000_000),
    ("s", 1_000_000),
    ("ms", 1000),
    ("us", 1),
];

/// A duration of a whole number and a unit, or 0.
pub fn parse_duration(text: &str) -> Option<Duration> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    let number: u64 = number.parse().ok()?;
    let unit = unit.trim();
    if unit.is_empty() {
        return (number == 0).then_some(Duration::ZERO);
    }
    let (_, micros) = UNITS.iter().find(|(name, _)| *name == unit)?;
    number.checked_mul(*micros).map(Duration::from_micros)
}

/// A duration as the configuration writes it.
pub fn shown(duration: Duration) -> String {
    let micros = u64::try_from(duration.as_micros()).unwrap_or(u64::MAX);
    let unit = UNITS.iter().find(|(_, unit)| micros > 0 && micros.is_multiple_of(*unit));
    unit.map_or_else(|| "0".to_owned(), |(name, unit)| format!("{}{name}", micros / unit))
}

/// One of some words.
pub fn word<T: Copy>(
    section: &Section<'_, '_>,
    key: &'static str,
    known: &[(&'static str, T)],
    what: &str,
    found: &mut Diagnostics,
) -> Option<T> {
    let words: Vec<&str> = known.iter().map(|(word, _)| *word).collect();
    let text = section.one_of(key, &words, found)?;
    let value = known.iter().find(|(word, _)| *word == text.value).map(|(_, value)| *value);
    if value.is_none() {
        let hint = did_you_mean(&text, words.iter().copied())
            .unwrap_or_else(|| format!("one of {}", words.join(", ")));
        found.push(section.source().error(&text.span, format!("'{}' is no {what}", text.value), Some(hint)));
    }
    value
}

/// A size: a number of bytes, or a string such as `"64MiB"`.
pub fn size(section: &Section<'_, '_>, key: &'static str, found: &mut Diagnostics) -> Option<Located<u64>> {
    let value = section.get(key)?;
    let bytes = match value.get_ref().as_str() {
        Some(text) => parse_size(text),
        None => as_integer(value.get_ref()).and_then(|n| u64::try_from(n).ok()),
    };
    match bytes {
        Some(bytes) => Some(Located { value: bytes, span: value.span() }),
        None => {
            let hint = Some("write a number of bytes, or use KiB, MiB or GiB: \"64MiB\"".to_owned());
            let message = match value.get_ref().as_str() {
                Some(text) => format!("invalid size '{}'", text.escape_debug()),
                None => format!("invalid size in '{key}'"),
            };
            found.push(section.source().error(&value.span(), message, hint));
            None
        }
    }
}

fn parse_size(text: &str) -> Option<u64> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    let shift = match unit.trim() {
        "" | "B" => 0,
        "KiB" | "K" | "k" => 10,
        "MiB" | "M" => 20,
        "GiB" | "G" => 30,
        "TiB" | "T" => 40,
        _ => return None,
    };
    number.parse::<u64>().ok()?.checked_mul(1 << shift)
}

/// The error in a pattern as one line. The library draws the pattern with a caret and puts the error last.
pub fn in_a_line(error: &regex::Error) -> String {
    let text = error.to_string();
    text.lines().last().unwrap_or_default().trim_start_matches("error: ").to_owned()
}

/// Octets from hex digits in upper or lower case, with or without `0x` before, with colons and white space between.
pub fn unhex(text: &str) -> Option<Vec<u8>> {
    let text = text.strip_prefix("0x").unwrap_or(text);
    let digits: Vec<u8> = text.bytes().filter(|byte| *byte != b':' && !byte.is_ascii_whitespace()).collect();
    HEXLOWER_PERMISSIVE.decode(&digits).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::diagnostic::SourceText;
    use crate::settings::section;

    #[test]
    fn durations_have_units_and_ranges() {
        for (text, expected) in [
            ("0", Some(0)),
            ("250us", Some(250)),
            ("5ms", Some(5000)),
            ("5 ms", Some(5000)),
            ("2min", Some(120_000_000)),
            ("2m", Some(120_000_000)),
            ("1d", Some(86_400_000_000)),
            ("5", None),
            ("ms", None),
            ("5 parsecs", None),
            ("-1s", None),
            ("99999999999999d", None),
        ] {
            assert_eq!(parse_duration(text), expected.map(Duration::from_micros), "{text}");
        }
        assert_eq!(
            [1_000_000, 90_000_000, 1500, 0].map(|micros| shown(Duration::from_micros(micros))),
            ["1s", "90s", "1500us", "0"]
        );
    }

    #[test]
    fn what_is_no_word_is_told_the_words() {
        for (given, said) in [
            ("true", "t.toml:1:5: error: 'k' must be \"one\", \"two\" or \"three\", not a boolean\n"),
            ("[\"one\"]", "t.toml:1:5: error: 'k' must be \"one\", \"two\" or \"three\", not an array\n"),
            ("\"tow\"", "t.toml:1:5: error: 'tow' is no number; did you mean 'two'?\n"),
            ("\"x\"", "t.toml:1:5: error: 'x' is no number; one of one, two, three\n"),
            ("\"two\"", ""),
        ] {
            let text = format!("k = {given}");
            let source = SourceText { file: "t.toml", text: &text };
            let mut found = Diagnostics::default();
            let root = section::read(&source, &mut found).unwrap();
            let section = Section::new(&source, root.get_ref(), root.span(), "t");
            let known = [("one", 1), ("two", 2), ("three", 3)];
            let read = word(&section, "k", &known, "number", &mut found);
            assert_eq!((found.to_text().as_str(), read), (said, said.is_empty().then_some(2)), "{given}");
        }
    }

    #[test]
    fn networks_of_mapped_addresses_are_networks_of_ipv4() {
        for (text, expected) in [
            ("192.0.2.0/24", Some("192.0.2.0/24")),
            ("192.0.2.1", Some("192.0.2.1/32")),
            ("::ffff:192.0.2.1", Some("192.0.2.1/32")),
            ("::ffff:192.0.2.1/128", Some("192.0.2.1/32")),
            ("::FFFF:c000:200/120", Some("192.0.2.0/24")),
            ("::ffff:0:0/96", Some("0.0.0.0/0")),
            ("::ffff:0:0/95", Some("::ffff:0.0.0.0/95")),
            ("2001:db8::/32", Some("2001:db8::/32")),
            ("::1", Some("::1/128")),
            ("router1", None),
        ] {
            let got = network(text).ok().map(|net| net.to_string());
            assert_eq!(got.as_deref(), expected, "{text}");
        }
    }

    #[test]
    fn what_is_no_duration_or_out_of_range_says_what_to_write() {
        let text = "a = 0\nb = \"2s\"\nc = 5\nd = \"soon\"\ne = \"1s\"\n";
        let source = SourceText { file: "t.toml", text };
        let mut found = Diagnostics::default();
        let root = section::read(&source, &mut found).unwrap();
        let section = Section::new(&source, root.get_ref(), root.span(), "t");
        let range = Duration::ZERO..=Duration::from_secs(1);
        let read = ["a", "b", "c", "d", "e"].map(|key| duration(&section, key, range.clone(), &mut found));
        assert_eq!(read, [Some(Duration::ZERO), None, None, None, Some(Duration::from_secs(1))]);
        insta::assert_snapshot!(found.to_text(), @r#"
        t.toml:2:5: error: b must be 0 to 1s; write "5ms", "10s" or "1h"; units are us, ms, s, min, h and d
        t.toml:3:5: error: 'c' is no duration; write "5ms", "10s" or "1h"; units are us, ms, s, min, h and d
        t.toml:4:5: error: 'd' is no duration; write "5ms", "10s" or "1h"; units are us, ms, s, min, h and d
        "#);
    }
}
