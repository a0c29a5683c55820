//! Names of hosts, services, components and resources.

use std::borrow::Cow;
use std::fmt::{self, Debug, Display};
use std::ops::Deref;

use serde::{Serialize, Serializer};

use crate::text::is_printable;

/// A name as every sink gets it: one line without white space at its ends.
///
/// Messages choose parts of names, so there is no way around [`Name::new`]. It removes what no name has: a control character
/// or line break becomes a space, a character that only changes the direction in which others are shown is left out.
/// Whether a server can hold the name is for the sink to say.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Name<'a>(Cow<'a, str>);

impl<'a> Name<'a> {
    /// Cleans a text.
    #[inline]
    pub fn new(text: impl Into<Cow<'a, str>>) -> Self {
        let text = text.into();
        if is_clean(text.as_bytes()) { Name(text) } else { Self::cleaned(&text) }
    }

    fn cleaned(text: &str) -> Self {
        let mut clean = String::with_capacity(text.len());
        for c in text.chars() {
            match c {
                c if breaks_line(c) => clean.push(' '),
                c if turns(c) => {}
                c => clean.push(c),
            }
        }
        let trimmed = clean.trim();
        Name(if trimmed.len() == clean.len() { clean.into() } else { trimmed.to_owned().into() })
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Takes the text out, which leaves an empty name.
    pub fn take(&mut self) -> Cow<'a, str> {
        std::mem::take(&mut self.0)
    }

    /// The text, without a copy.
    pub fn into_text(self) -> Cow<'a, str> {
        self.0
    }
}

/// Printable ASCII without spaces at its ends, as most names are.
#[inline]
fn is_clean(bytes: &[u8]) -> bool {
    bytes.first() != Some(&b' ') && bytes.last() != Some(&b' ') && is_printable(bytes)
}

/// Whether a character ends a line, or controls a terminal.
pub fn breaks_line(c: char) -> bool {
    c.is_control() || matches!(c, '\u{2028}' | '\u{2029}')
}

/// Whether a character has no glyph and changes the direction of others, or is a byte order mark.
pub fn turns(c: char) -> bool {
    matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
}

/// A text on one line, without what moves a terminal's cursor or turns text: those are written as escapes.
pub fn visible(text: &str) -> String {
    let hides = |c: char| breaks_line(c) || turns(c);
    text.chars().flat_map(|c| if hides(c) { c.escape_default().collect() } else { vec![c] }).collect()
}

impl Deref for Name<'_> {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl<'a> From<&'a str> for Name<'a> {
    #[inline]
    fn from(text: &'a str) -> Self {
        Name::new(text)
    }
}

impl From<String> for Name<'_> {
    fn from(text: String) -> Self {
        Name::new(text)
    }
}

impl<'a> From<Cow<'a, str>> for Name<'a> {
    fn from(text: Cow<'a, str>) -> Self {
        Name::new(text)
    }
}

impl Debug for Name<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Debug::fmt(&self.0, f)
    }
}

impl Display for Name<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self)
    }
}

impl Serialize for Name<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_hostile_name_becomes_one_line() {
        for (text, name) in [
            ("Interface Gi0/3", "Interface Gi0/3"),
            (" a\r\n[1] SHUTDOWN_PROGRAM;\u{1b}[2J\0", "a  [1] SHUTDOWN_PROGRAM; [2J"),
            ("a\u{2028}b\u{85}c\u{7f}d", "a b c d"),
            ("core\u{202e}rtr\u{feff}", "corertr"),
            ("Zürich\u{200d}", "Zürich\u{200d}"),
            (" \t\u{a0}", ""),
        ] {
            assert_eq!(Name::new(text).as_str(), name, "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn any_text_becomes_one_clean_line(text in any::<String>(), dense in "[\\x00-\\x22\\x7f-\u{a1}\u{2028}\u{202e}\u{feff}a]{0,20}") {
            for text in [text, dense] {
                let name = Name::new(text.as_str());
                prop_assert!(!name.contains(|c| breaks_line(c) || turns(c)));
                prop_assert_eq!(name.trim(), name.as_str());
                prop_assert_eq!(&Name::new(name.as_str()), &name, "cleaning twice changes nothing");
                // A text that is clean stays as it is.
                let clean = !text.contains(|c| breaks_line(c) || turns(c)) && text.trim() == text;
                prop_assert_eq!(clean, name.as_str() == text);
            }
        }
    }
}
