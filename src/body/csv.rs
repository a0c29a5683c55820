//! Values with commas between them (RFC 4180).

use crate::body::field::{MOST_FIELDS, Text};

/// The values of a text; none if it has no comma.
pub(super) fn read(text: &str) -> Option<Vec<Text>> {
    let mut values = Vec::new();
    let mut at = 0;
    while values.len() < MOST_FIELDS {
        let end = match text[at..].strip_prefix('"') {
            Some(quoted) => {
                let (value, length) = unquoted(quoted, at + 1);
                values.push(value);
                at + 1 + length
            }
            None => {
                let end = text[at..].find(',').map_or(text.len(), |comma| at + comma);
                values.push(Text::span(at, end));
                end
            }
        };
        // What is between a closing quote and the comma belongs to no value.
        match text[end..].find(',') {
            Some(comma) => at = end + comma + 1,
            None => break,
        }
    }
    (values.len() > 1).then_some(values)
}

/// A value in quotes, with two for one in it, from behind its first quote on; and its octets with its last quote.
fn unquoted(text: &str, from: usize) -> (Text, usize) {
    let octets = text.as_bytes();
    let (mut at, mut doubled) = (0, false);
    let end = loop {
        match text[at..].find('"').map(|quote| at + quote) {
            Some(quote) if octets.get(quote + 1) == Some(&b'"') => {
                doubled = true;
                at = quote + 2;
            }
            Some(quote) => break quote,
            // The line is cut.
            None => break text.len(),
        }
    };
    let value = if doubled {
        Text::Owned(text[..end].replace("\"\"", "\"").into())
    } else {
        Text::span(from, from + end)
    };
    (value, (end + 1).min(text.len()))
}
