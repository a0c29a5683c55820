//! Parts that lines about security have in common: clients, and pairs of keys and values.

use std::borrow::Cow;

use crate::message::SecurityLine;

/// `ADDRESS port N` at the start of a text, and what is behind it.
pub(super) fn client(text: &str) -> Option<(&str, u16, &str)> {
    // A search for one character costs a fraction of one for a text.
    let (address, rest) = text.split_once(' ')?;
    let rest = rest.strip_prefix("port ")?;
    let end = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
    let port = rest[..end].parse().ok()?;
    (!address.is_empty()).then_some((address, port, &rest[end..]))
}

/// What stands before the last ` from ADDRESS port N`, with the address, the port and what is behind.
pub(super) fn from_the_right<'a>(text: &'a str, before: &str) -> Option<(&'a str, &'a str, u16, &'a str)> {
    text.rmatch_indices(' ').find_map(|(at, _)| {
        let (address, port, rest) = client(text[at..].strip_prefix(before)?)?;
        Some((&text[..at], address, port, rest))
    })
}

/// A line about a client at an address or, where it is none, of a name.
pub(super) fn with_client<'a>(line: SecurityLine<'a>, client: &'a str) -> SecurityLine<'a> {
    let client = client.strip_prefix('[').and_then(|client| client.strip_suffix(']')).unwrap_or(client);
    if client.parse::<std::net::IpAddr>().is_ok() {
        SecurityLine { client_address: Some(client.into()), ..line }
    } else {
        SecurityLine { client_host: some(client).map(Cow::Borrowed), ..line }
    }
}

/// A text that is not empty.
pub(super) fn some(text: &str) -> Option<&str> {
    (!text.is_empty()).then_some(text)
}

/// The value of ` key=value` in a text of pairs; without quotes around it.
pub(super) fn pair<'a>(text: &'a str, key: &str) -> Option<&'a str> {
    let mut rest = text;
    loop {
        let at = rest.find(key)?;
        let starts = at == 0 || matches!(rest.as_bytes()[at - 1], b' ' | b'\'' | b'(' | b',');
        let behind = &rest[at + key.len()..];
        match behind.strip_prefix('=') {
            Some(value) if starts => {
                return match value.strip_prefix('"') {
                    Some(quoted) => quoted.split('"').next(),
                    None => value.split([' ', ',', '\'']).next(),
                };
            }
            _ => rest = behind,
        }
    }
}
