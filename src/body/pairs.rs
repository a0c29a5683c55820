//! Keys and values, alone or in prose: FortiGate, SonicWall, netfilter, logfmt, Check Point.
//!
//! Between key and value is `=` or, before a quote, `:`. Between pairs are spaces, commas, `|` or `;`: what is between the
//! first two. Where it is spaces, a value without quotes ends at a space, and a word that is no pair is skipped.

use crate::body::field::{LONGEST_KEY, MOST_FIELDS, Text};

/// What is between pairs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Separator {
    Space,
    /// A comma, `|` or `;`.
    Sign(u8),
}

/// The pairs of a text. The first of equal keys holds, as what an attacker has a say in comes later.
pub(super) fn read(text: &str) -> Vec<(Text, Text)> {
    let mut pairs: Vec<(Text, Text)> = Vec::new();
    let mut separator = None;
    let mut next = first(text);
    while let Some(start) = next.filter(|_| pairs.len() < MOST_FIELDS) {
        let Some((key_end, value_start)) = key(text, start) else {
            next = following(text, start, separator.unwrap_or(Separator::Space));
            continue;
        };
        let (value, end) = match text[value_start..].strip_prefix('"') {
            Some(quoted) => unquoted(quoted, value_start + 1),
            None => {
                let (end, found) = match separator {
                    Some(known) => (value_end(text, value_start, known), known),
                    None => first_value_end(text, value_start),
                };
                separator = Some(found);
                let value = text[value_start..end].trim_end();
                (Text::span(value_start, value_start + value.len()), end)
            }
        };
        let between = *separator.get_or_insert_with(|| separator_at(text, end));
        let name = &text[start..key_end];
        if name.len() <= LONGEST_KEY && !pairs.iter().any(|(other, _)| other.get(text) == name) {
            pairs.push((Text::span(start, key_end), value));
        }
        next = following(text, end, between);
    }
    pairs
}

fn is_key(octet: u8) -> bool {
    octet.is_ascii_alphanumeric()
        || matches!(octet, b'_' | b'-' | b'.' | b'/' | b'@' | b'$' | b'#')
        || octet >= 0x80
}

/// Whether a key ends at this octet, and where its value starts.
fn sign(octets: &[u8], at: usize) -> Option<usize> {
    match octets.get(at)? {
        b'=' => Some(at + 1),
        b':' if octets.get(at + 1) == Some(&b'"') => Some(at + 1),
        _ => None,
    }
}

/// Where the first key starts.
fn first(text: &str) -> Option<usize> {
    let octets = text.as_bytes();
    let mut start = 0;
    for (at, octet) in octets.iter().enumerate() {
        if at > start && sign(octets, at).is_some() {
            return Some(start);
        }
        if !is_key(*octet) {
            start = at + 1;
        }
    }
    None
}

/// The ends of the key that starts here and of the sign behind it; none if there is no key.
fn key(text: &str, start: usize) -> Option<(usize, usize)> {
    let octets = text.as_bytes();
    let length = octets[start..].iter().take_while(|octet| is_key(**octet)).count();
    let value = sign(octets, start + length)?;
    (length > 0).then_some((start + length, value))
}

/// The end of a run of spaces.
fn behind_spaces(text: &str, at: usize) -> usize {
    let rest = &text[at..];
    at + rest.len() - rest.trim_start_matches(is_space).len()
}

fn is_space(c: char) -> bool {
    c.is_ascii_whitespace()
}

/// Where a value without quotes ends.
fn value_end(text: &str, start: usize, separator: Separator) -> usize {
    let rest = &text[start..];
    let length = match separator {
        Separator::Space => rest.find(is_space),
        Separator::Sign(sign) => rest.find(char::from(sign)),
    };
    start + length.unwrap_or(rest.len())
}

/// Where the value of the first pair ends, and what is between it and the next pair.
fn first_value_end(text: &str, start: usize) -> (usize, Separator) {
    let octets = text.as_bytes();
    let mut at = start;
    while let Some(&octet) = octets.get(at) {
        let separator = match octet {
            b',' | b'|' | b';' => Separator::Sign(octet),
            octet if octet.is_ascii_whitespace() => Separator::Space,
            _ => {
                at += 1;
                continue;
            }
        };
        let next = behind_spaces(text, at + 1);
        if key(text, next).is_some() {
            return (at, separator);
        }
        // Spaces are looked at once.
        at = if separator == Separator::Space { next } else { at + 1 };
    }
    (value_end(text, start, Separator::Space), Separator::Space)
}

/// What is between pairs where a value in quotes has ended.
fn separator_at(text: &str, end: usize) -> Separator {
    match text.as_bytes().get(behind_spaces(text, end)) {
        Some(sign @ (b',' | b'|' | b';')) => Separator::Sign(*sign),
        _ => Separator::Space,
    }
}

/// Where the next piece starts.
fn following(text: &str, from: usize, separator: Separator) -> Option<usize> {
    let end = value_end(text, from, separator);
    let next = match separator {
        Separator::Space => end,
        Separator::Sign(_) => end + 1,
    };
    (next < text.len()).then(|| behind_spaces(text, next)).filter(|next| *next < text.len())
}

/// A value in quotes from behind the first one on, and where the text behind the last one starts. A backslash before a
/// quote or a backslash is left out; others stay, as in `C:\temp`.
fn unquoted(quoted: &str, from: usize) -> (Text, usize) {
    let octets = quoted.as_bytes();
    let (mut at, mut escaped) = (0, false);
    while let Some(&octet) = octets.get(at) {
        match octet {
            b'"' => break,
            b'\\' if matches!(octets.get(at + 1), Some(b'"' | b'\\')) => {
                escaped = true;
                at += 2;
            }
            _ => at += 1,
        }
    }
    let value = if escaped {
        Text::Owned(without_escapes(&quoted[..at]).into())
    } else {
        Text::span(from, from + at)
    };
    (value, from + (at + 1).min(octets.len()))
}

fn without_escapes(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        let escaped = (c == '\\').then(|| chars.next_if(|next| matches!(next, '"' | '\\'))).flatten();
        plain.push(escaped.unwrap_or(c));
    }
    plain
}
