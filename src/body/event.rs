//! CEF (ArcSight, Common Event Format, revision 25) and LEEF (IBM, Log Event Extended Format 1.0 and 2.0).

use crate::body::field::{LONGEST_KEY, MOST_FIELDS, Text};

/// The parts of the head of CEF, as the format names them.
const CEF_HEAD: [&str; 7] =
    ["version", "deviceVendor", "deviceProduct", "deviceVersion", "deviceEventClassId", "name", "severity"];
/// The parts of the head of LEEF.
const LEEF_HEAD: [&str; 5] = ["version", "vendor", "product", "productVersion", "eventID"];

type Pairs = Vec<(Text, Text)>;

/// The head and the extension of CEF; none if the text is something else.
pub(super) fn cef(text: &str) -> Option<Pairs> {
    let (mut pairs, end) = head(text, "CEF:", &CEF_HEAD)?;
    spaced(text, end, &mut pairs);
    // `cs1Label=Reason` names what `cs1` holds.
    let renamed: Vec<(Text, Text)> = pairs
        .iter()
        .filter_map(|(key, label)| {
            let of = key.get(text).strip_suffix("Label")?;
            let (_, value) = pairs.iter().find(|(key, _)| key.get(text) == of)?;
            (1..=LONGEST_KEY).contains(&label.get(text).len()).then(|| (label.clone(), value.clone()))
        })
        .collect();
    for (label, value) in renamed {
        push(text, (label, value), &mut pairs);
    }
    Some(pairs)
}

/// The head and the attributes of LEEF; none if the text is something else.
pub(super) fn leef(text: &str) -> Option<Pairs> {
    let (mut pairs, end) = head(text, "LEEF:", &LEEF_HEAD)?;
    let (mut delimiter, mut from) = ('\t', end);
    if pairs.first().is_some_and(|(_, version)| version.get(text).starts_with('2'))
        && let Some((sign, _)) = text[end..].split_once('|')
        && let Some(named) = delimiter_of(sign)
    {
        (delimiter, from) = (named, end + sign.len() + 1);
    }
    if !text[from..].contains(delimiter) {
        // Some senders separate attributes by spaces.
        spaced(text, from, &mut pairs);
        return Some(pairs);
    }
    let mut start = from;
    for attribute in text[from..].split(delimiter) {
        if let Some((key, value)) = attribute.split_once('=') {
            let trimmed = key.trim_start();
            let key_end = start + key.len();
            let (key_start, value_start) = (key_end - trimmed.len(), key_end + 1);
            let pair = (Text::span(key_start, key_end), Text::span(value_start, value_start + value.len()));
            if (1..=LONGEST_KEY).contains(&trimmed.len()) {
                push(text, pair, &mut pairs);
            }
        }
        start += attribute.len() + delimiter.len_utf8();
    }
    Some(pairs)
}

/// The delimiter that LEEF 2.0 names: a character, or its number in hexadecimal behind `x` or `0x`; a tab if it is left out.
fn delimiter_of(sign: &str) -> Option<char> {
    let mut chars = sign.chars();
    match (chars.next(), chars.next()) {
        (None, _) => Some('\t'),
        (Some(sign), None) => Some(sign),
        _ => {
            let digits = sign.strip_prefix("0x").or_else(|| sign.strip_prefix('x'))?;
            char::from_u32(u32::from_str_radix(digits, 16).ok()?)
        }
    }
}

/// The parts of a head with `|` behind each, and where the head ends. A head that is cut has less of them.
fn head(text: &str, prefix: &str, names: &[&str]) -> Option<(Pairs, usize)> {
    let start = text.len() - text.trim_start().len();
    text[start..].strip_prefix(prefix)?;
    let mut from = start + prefix.len();
    let octets = text.as_bytes();
    let (mut pairs, mut at) = (Pairs::new(), from);
    while pairs.len() < names.len() {
        match octets.get(at) {
            Some(b'\\') => at += 2,
            Some(b'|') | None => {
                let end = at.min(octets.len());
                let name = Text::Owned(names[pairs.len()].into());
                pairs.push((name, unescaped(text, from, end)));
                at = (end + 1).min(octets.len());
                from = at;
                if end == octets.len() {
                    break;
                }
            }
            Some(_) => at += 1,
        }
    }
    // The version alone is no head.
    (pairs.len() > 1).then_some((pairs, from))
}

/// Appends pairs with spaces between them whose values may have spaces: a value ends before the next ` key=`.
fn spaced(text: &str, from: usize, pairs: &mut Pairs) {
    let octets = text.as_bytes();
    let (mut word, mut at) = (from, from);
    let mut open: Option<(usize, usize)> = None;
    while let Some(&octet) = octets.get(at) {
        match octet {
            b'\\' => at += 1,
            b' ' | b'\t' => word = at + 1,
            b'=' if at > word && at - word <= LONGEST_KEY && octets[word..at].iter().all(|o| is_key(*o)) => {
                close(text, open, word, pairs);
                open = Some((word, at));
            }
            _ => {}
        }
        at += 1;
    }
    close(text, open, octets.len(), pairs);
}

fn is_key(octet: u8) -> bool {
    octet.is_ascii_alphanumeric() || matches!(octet, b'_' | b'.' | b'-')
}

/// Appends the pair of a key and of what is between it and the next one.
fn close(text: &str, open: Option<(usize, usize)>, next: usize, pairs: &mut Pairs) {
    if let Some((key, sign)) = open {
        let value = text[sign + 1..next].trim_end_matches([' ', '\t']);
        push(text, (Text::span(key, sign), unescaped(text, sign + 1, sign + 1 + value.len())), pairs);
    }
}

/// Appends a pair, if there is no other with its key and room is left.
fn push(text: &str, pair: (Text, Text), pairs: &mut Pairs) {
    if pairs.len() < MOST_FIELDS && !pairs.iter().any(|(key, _)| key.get(text) == pair.0.get(text)) {
        pairs.push(pair);
    }
}

/// A piece without its escapes: `\|`, `\=`, `\\`, `\n`, `\r`. Other backslashes stay.
fn unescaped(text: &str, from: usize, to: usize) -> Text {
    let piece = &text[from..to];
    if !piece.contains('\\') {
        return Text::span(from, to);
    }
    let mut plain = String::with_capacity(piece.len());
    let mut chars = piece.chars().peekable();
    while let Some(c) = chars.next() {
        let escaped =
            (c == '\\').then(|| chars.next_if(|next| matches!(next, '|' | '=' | '\\' | 'n' | 'r'))).flatten();
        plain.push(match escaped {
            Some('n') => '\n',
            Some('r') => '\r',
            Some(sign) => sign,
            None => c,
        });
    }
    Text::Owned(plain.into())
}
