//! Names and plugin output in the format of Nagios, for all sinks that speak to Nagios and its kin.
//!
//! A real newline ends a command, `;` separates its arguments, `|` begins performance data, `\` begins an escape. So in
//! texts a newline becomes `\n`, `\` itself `\\`, `|` a broken bar, and other control characters become spaces. A name is
//! never changed: with another character it would be another host's or service's name. A [`Name`] has no control
//! characters; one with `;` or `|` is refused, and no object of Nagios has these in its name.

use crate::outcome::name::{Name, breaks_line, turns};
use crate::outcome::result::CheckResult;
use crate::sinks::sink::Said;
use crate::text::{self, has_either, is_plain};

/// Why a server of Nagios' kin cannot hold a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Unfit {
    /// It is longer than its place.
    #[error("the {what} has {length} bytes, and {most} fit")]
    Long {
        /// What is named.
        what: &'static str,
        /// Its length in bytes.
        length: usize,
        /// The most bytes.
        most: usize,
    },
    /// It has a character with another meaning there.
    #[error("the {what} has '{character}', which no name of a Nagios object has; replace it in the rule")]
    Character {
        /// What is named.
        what: &'static str,
        /// The character.
        character: char,
    },
    /// There is nothing left of it.
    #[error("the {what} is empty")]
    Empty {
        /// What is named.
        what: &'static str,
    },
}

impl From<Unfit> for Said {
    fn from(error: Unfit) -> Self {
        Said::from(error.to_string())
    }
}

/// Appends the name of a host: one argument.
///
/// # Errors
///
/// If it does not fit, or is longer than `most` bytes. Then nothing was appended.
pub fn push_host(out: &mut Vec<u8>, check: &CheckResult<'_>, most: usize) -> Result<(), Unfit> {
    push_name(out, "host name", &check.host, most)
}

/// Appends the description of a service: one argument.
///
/// # Errors
///
/// If it does not fit, or is longer than `most` bytes. Then nothing was appended.
pub fn push_service(out: &mut Vec<u8>, service: &Name<'_>, most: usize) -> Result<(), Unfit> {
    push_name(out, "service description", service, most)
}

fn push_name(out: &mut Vec<u8>, what: &'static str, name: &Name<'_>, most: usize) -> Result<(), Unfit> {
    let length = name.len();
    if length == 0 {
        return Err(Unfit::Empty { what });
    }
    if length > most {
        return Err(Unfit::Long { what, length, most });
    }
    if has_either(name.as_bytes(), b';', b'|')
        && let Some(character) = name.chars().find(|c| matches!(c, ';' | '|'))
    {
        return Err(Unfit::Character { what, character });
    }
    out.extend_from_slice(name.as_bytes());
    Ok(())
}

/// Host, service and output where they are written as they are, as nearly all of them are; none if the output has more to it, or
/// what is not fit.
#[inline]
pub fn plain_parts<'c>(check: &'c CheckResult<'_>, most: usize) -> Option<(&'c str, &'c str, &'c str)> {
    let (host, service, output) = (&*check.host, check.service.as_deref()?, &*check.common.output);
    let fits = |name: &str| (1..=most).contains(&name.len()) && !has_either(name.as_bytes(), b';', b'|');
    let is_alone = check.perfdata.is_empty() && check.common.long_output.is_empty();
    let is_fit = is_alone && fits(host) && fits(service) && is_plain(output.as_bytes(), b'\\', b'|');
    is_fit.then_some((host, service, output))
}

/// How further lines of an output are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Newlines {
    /// As `\n`, and `\` as `\\`, for a core that undoes it.
    Escaped,
    /// The lines are joined by ` / `, and `\` stays: for a core that shows what it gets.
    Joined,
    /// As they are, and `\` too: for a daemon that escapes them itself.
    Raw,
}

impl Newlines {
    /// What stands for the end of a line.
    fn newline(self) -> &'static str {
        match self {
            Newlines::Escaped => "\\n",
            Newlines::Joined => " / ",
            Newlines::Raw => "\n",
        }
    }

    fn backslash(self) -> &'static str {
        if self == Newlines::Escaped { "\\\\" } else { "\\" }
    }
}

/// Appends text, performance data and further lines, of at most `most` bytes together: in one line, unless `newlines` are
/// [`Newlines::Raw`]. Returns whether it had to be cut.
pub fn push_output(out: &mut Vec<u8>, check: &CheckResult<'_>, newlines: Newlines, most: usize) -> bool {
    let mut writer = Writer { out, newlines, left: most, cut: false };
    writer.text(&check.common.output, true);
    if !check.perfdata.is_empty() {
        writer.raw("|");
        writer.text(&check.perfdata, false);
    }
    if !check.common.long_output.is_empty() {
        writer.raw(newlines.newline());
        writer.text(&check.common.long_output, true);
    }
    writer.cut
}

/// The name of a host as text, as [`push_host`] writes it.
///
/// # Errors
///
/// If it does not fit, or is longer than `most` bytes.
pub fn host(check: &CheckResult<'_>, most: usize) -> Result<String, Unfit> {
    let mut out = Vec::new();
    push_host(&mut out, check, most)?;
    Ok(text(&out))
}

/// The description of a service as text, as [`push_service`] writes it.
///
/// # Errors
///
/// If it does not fit, or is longer than `most` bytes.
pub fn service(service: &Name<'_>, most: usize) -> Result<String, Unfit> {
    let mut out = Vec::new();
    push_service(&mut out, service, most)?;
    Ok(text(&out))
}

/// Output as text, as [`push_output`] writes it, and whether it had to be cut.
pub fn output(check: &CheckResult<'_>, most: usize) -> (String, bool) {
    let mut out = Vec::new();
    let cut = push_output(&mut out, check, Newlines::Escaped, most);
    (text(&out), cut)
}

/// It is UTF-8: whole characters of strings were written.
fn text(out: &[u8]) -> String {
    String::from_utf8_lossy(out).into_owned()
}

/// Appends a whole number.
pub fn push_number(out: &mut Vec<u8>, number: i64) {
    if number < 0 {
        out.push(b'-');
    }
    text::push_number(out, number.unsigned_abs());
}

struct Writer<'o> {
    out: &'o mut Vec<u8>,
    newlines: Newlines,
    left: usize,
    cut: bool,
}

impl Writer<'_> {
    /// A piece that must not be torn.
    fn raw(&mut self, piece: &str) {
        if self.cut || piece.len() > self.left {
            self.cut = true;
            return;
        }
        self.left -= piece.len();
        self.out.extend_from_slice(piece.as_bytes());
    }

    fn text(&mut self, text: &str, bars_are_text: bool) {
        if is_plain(text.as_bytes(), b'\\', b'|') {
            return self.plain(text);
        }
        let mut rest = text;
        // Runs of plain characters go over in one piece.
        while let Some(at) = rest.find(|c: char| matches!(c, '\\' | '|') || breaks_line(c) || turns(c)) {
            self.plain(&rest[..at]);
            let c = rest[at..].chars().next().unwrap_or(' ');
            match c {
                '\\' => self.raw(self.newlines.backslash()),
                '\n' => self.raw(self.newlines.newline()),
                '\r' => {}
                c if turns(c) => {}
                '|' if bars_are_text => self.raw("\u{a6}"),
                '|' => self.raw("|"),
                _ => self.raw(" "),
            }
            rest = &rest[at + c.len_utf8()..];
        }
        self.plain(rest);
    }

    fn plain(&mut self, text: &str) {
        if self.cut {
            return;
        }
        let end = text.floor_char_boundary(self.left);
        self.cut = end < text.len();
        self.left -= end;
        self.out.extend_from_slice(&text.as_bytes()[..end]);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::sinks::testing::check;

    #[test]
    fn a_name_is_whole_or_refused() {
        let mut out = b"x".to_vec();
        assert_eq!(push_host(&mut out, &check("sw1", None, ""), 3), Ok(()));
        let error = push_service(&mut out, &"Interface Gi0/3".into(), 14).unwrap_err();
        assert_eq!(error.to_string(), "the service description has 15 bytes, and 14 fit");
        for name in ["a|", "a;0;b", "\u{1b}", "ü;"] {
            assert!(push_service(&mut out, &name.into(), 99).is_err(), "{name}");
        }
        assert_eq!(out, b"xsw1");
    }

    #[test]
    fn further_lines_by_who_escapes_them() {
        let mut result = check("h", None, "one\ntwo C:\\temp|x");
        result.perfdata = "a=1".into();
        result.common.long_output = "three\r\nfour\u{2028}five".into();
        for (newlines, expected) in [
            (Newlines::Escaped, "one\\ntwo C:\\\\temp\u{a6}x|a=1\\nthree\\nfour five"),
            (Newlines::Joined, "one / two C:\\temp\u{a6}x|a=1 / three / four five"),
            (Newlines::Raw, "one\ntwo C:\\temp\u{a6}x|a=1\nthree\nfour five"),
        ] {
            let mut out = Vec::new();
            assert!(!push_output(&mut out, &result, newlines, 4000));
            assert_eq!(String::from_utf8(out).unwrap(), expected, "{newlines:?}");
        }
    }

    proptest! {
        #[test]
        fn numbers_as_the_library_writes_them(number in any::<i64>()) {
            for number in [number, 0, i64::MIN, i64::MAX, number % 100] {
                let mut out = Vec::new();
                push_number(&mut out, number);
                prop_assert_eq!(String::from_utf8(out).unwrap(), number.to_string());
            }
        }

        #[test]
        fn a_plain_text_is_what_the_slow_way_leaves_alone(text in "([ -~]|\u{7f}|\\PC){0,40}") {
            let left_alone = |c: char| !c.is_control() && !matches!(c, ';' | '|') && c.is_ascii();
            prop_assert_eq!(is_plain(text.as_bytes(), b';', b'|'), text.chars().all(left_alone));
        }

        #[test]
        fn any_name_is_one_argument(name in any::<String>()) {
            let mut out = Vec::new();
            let name = Name::from(name);
            if push_service(&mut out, &name, usize::MAX).is_ok() {
                prop_assert_eq!(out, name.as_bytes());
                prop_assert!(!name.contains(|c: char| matches!(c, ';' | '|') || breaks_line(c)));
            } else {
                prop_assert!(name.is_empty() || name.contains([';', '|']));
            }
        }

        #[test]
        fn any_output_is_one_line_that_reads_back(output in "(\\PC|\n|\\\\|;|\\||\u{7f}|a){0,60}", most in 0..300_usize) {
            let result = check("h", None, &output);
            let mut out = Vec::new();
            let cut = push_output(&mut out, &result, Newlines::Escaped, most);
            prop_assert!(out.len() <= most);
            let line = String::from_utf8(out).unwrap();
            prop_assert!(!line.contains(|c: char| c.is_control() || c == '|'));
            // As Nagios takes the escapes away again.
            let mut read = String::new();
            let mut chars = line.chars();
            while let Some(c) = chars.next() {
                match c {
                    '\\' => match chars.next() {
                        Some('n') => read.push('\n'),
                        Some('\\') => read.push('\\'),
                        other => prop_assert!(false, "an escape of {:?}", other),
                    },
                    c => read.push(c),
                }
            }
            let expected: String = output
                .chars()
                .filter(|c| !turns(*c))
                .map(|c| match c {
                    '|' => '\u{a6}',
                    '\n' | '\\' => c,
                    c if breaks_line(c) => ' ',
                    c => c,
                })
                .collect();
            prop_assert!(expected.starts_with(&read) && (cut || read == expected), "{} {}", read, expected);
        }
    }
}
