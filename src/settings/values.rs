//! Kinds of values that several modules read.

use ipnet::IpNet;

use super::diagnostic::{Diagnostics, did_you_mean};
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

/// A network, or one address as the network that has it alone.
///
/// # Errors
///
/// What is wrong and what to write.
pub fn network(text: &str) -> Result<IpNet, String> {
    let address = || text.parse::<std::net::IpAddr>().ok().map(IpNet::from);
    let net = text.parse().ok().or_else(address);
    net.ok_or_else(|| format!("'{text}' is no network; write 192.0.2.0/24, 2001:db8::/32 or one address"))
}

/// The networks of the key `allow`; none where it is absent.
pub fn networks(section: &Section<'_, '_>, found: &mut Diagnostics) -> Vec<IpNet> {
    section.strings("allow", found).map(|all| parse_all(section, all, network, found)).unwrap_or_default()
}

/// `max_connections`: 1 to 100000.
pub fn max_connections(section: &Section<'_, '_>, found: &mut Diagnostics) -> Option<usize> {
    let n = section.integer("max_connections", found)?;
    let valid = usize::try_from(n.value).ok().filter(|n| (1..=100_000).contains(n));
    if valid.is_none() {
        found.push(section.source().error(&n.span, "max_connections must be 1 to 100000", None));
    }
    valid
}

/// One of some words.
pub fn word<T: Copy>(
    section: &Section<'_, '_>,
    key: &'static str,
    known: &[(&'static str, T)],
    what: &str,
    found: &mut Diagnostics,
) -> Option<T> {
    let text = section.string(key, found)?;
    let value = known.iter().find(|(word, _)| *word == text.value).map(|(_, value)| *value);
    if value.is_none() {
        let words = || known.iter().map(|(word, _)| *word);
        let hint = did_you_mean(&text, words())
            .unwrap_or_else(|| format!("one of {}", words().collect::<Vec<_>>().join(", ")));
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
            let hint = Some("write a number of bytes, or \"64MiB\", \"1GiB\"".to_owned());
            found.push(section.source().error(&value.span(), format!("'{key}' is no size"), hint));
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

/// Octets from hex digits, with or without `0x` before and colons between them.
pub fn unhex(text: &str) -> Option<Vec<u8>> {
    let digits: Vec<u8> = text
        .strip_prefix("0x")
        .unwrap_or(text)
        .bytes()
        .filter(|b| *b != b':')
        .map(|b| char::from(b).to_digit(16).map(|digit| digit as u8))
        .collect::<Option<_>>()?;
    digits.len().is_multiple_of(2).then(|| digits.chunks(2).map(|pair| pair[0] << 4 | pair[1]).collect())
}
