//! Response tables: what a server's answer means, as data. The first row that fits an answer counts.

use std::fmt::{self, Display};
use std::ops::RangeInclusive;

use hyper::StatusCode;

/// What an answer means.
#[derive(Debug, Clone)]
pub struct Row {
    /// The HTTP statuses.
    pub status: RangeInclusive<u16>,
    /// What the body says in the terms of its API, as the sink reads it. `*` stands for any text and `?`
    /// for one character; case does not matter.
    pub body: &'static str,
    /// What follows for the outcomes of the request.
    pub means: Means,
    /// Where the server's authors say so: their code or their documentation.
    pub source: &'static str,
}

/// What follows from an answer for the outcomes of its request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Means {
    /// The server has them.
    Taken,
    /// The answer names those that the server has not taken.
    Each,
    /// The server has something newer.
    Stale,
    /// The server will never take one of them.
    Dead,
    /// Not now. So is every answer that no row fits.
    Later,
    /// The server asks for a pause.
    Busy,
    /// The request is too large.
    TooLarge,
    /// User, password or token are wrong.
    AuthFailed,
    /// An option of the sink is wrong.
    Misconfigured,
    /// This is not the server that the configuration means.
    UnexpectedServer,
}

impl Display for Means {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Means::Taken => "delivered",
            Means::Each => "as the answer says of each",
            Means::Stale => "superseded: counted, not sent again",
            Means::Dead => "dead letter",
            Means::Later => "this outcome is retried",
            Means::Busy => "the sink waits, as the server asks",
            Means::TooLarge => "halves are sent; a single outcome becomes a dead letter",
            Means::AuthFailed => "the sink waits; check user, password and token",
            Means::Misconfigured => "the sink waits; check its keys",
            Means::UnexpectedServer => "the sink waits; check `url`",
        })
    }
}

impl Row {
    /// Whether the row fits an answer. `says` is what its body says.
    pub fn fits(&self, status: StatusCode, says: &str) -> bool {
        self.status.contains(&status.as_u16()) && matches(self.body.as_bytes(), says.as_bytes())
    }
}

/// Whether a text fits a pattern with `*` and `?`.
fn matches(pattern: &[u8], text: &[u8]) -> bool {
    // Where to go back to: behind the last `*`, and how much of the text it has taken.
    let (mut p, mut t, mut back) = (0, 0, None);
    while t < text.len() {
        match pattern.get(p) {
            Some(b'*') => {
                back = Some((p + 1, t));
                p += 1;
            }
            Some(c) if *c == b'?' || c.eq_ignore_ascii_case(&text[t]) => (p, t) = (p + 1, t + 1),
            _ => {
                let Some((after, taken)) = back else { return false };
                (p, t, back) = (after, taken + 1, Some((after, taken + 1)));
            }
        }
    }
    pattern[p..].iter().all(|c| *c == b'*')
}

/// What a status means where a sink's own table has nothing to say of it.
pub const STATUS: &[Row] = &[
    Row {
        status: 300..=399,
        body: "*",
        means: Means::UnexpectedServer,
        source: "RFC 9110, section 15.4; redirects are not followed",
    },
    Row { status: 401..=401, body: "*", means: Means::AuthFailed, source: "RFC 9110, section 15.5.2" },
    Row { status: 403..=403, body: "*", means: Means::AuthFailed, source: "RFC 9110, section 15.5.4" },
    Row { status: 404..=404, body: "*", means: Means::UnexpectedServer, source: "RFC 9110, section 15.5.5" },
    Row { status: 405..=405, body: "*", means: Means::UnexpectedServer, source: "RFC 9110, section 15.5.6" },
    Row { status: 407..=407, body: "*", means: Means::AuthFailed, source: "RFC 9110, section 15.5.8" },
    Row { status: 413..=413, body: "*", means: Means::TooLarge, source: "RFC 9110, section 15.5.14" },
    Row { status: 429..=429, body: "*", means: Means::Busy, source: "RFC 6585, section 4" },
    Row {
        status: 502..=504,
        body: "*",
        means: Means::Busy,
        source: "RFC 9110, sections 15.6.3 to 15.6.5: the server, or the one behind it, is away for a while",
    },
];

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn patterns() {
        for (pattern, text, fits) in [
            ("*", "", true),
            ("", "", true),
            ("", "a", false),
            ("0: *", "0: OK", true),
            ("*JSON*", "1: bad json", true),
            ("a*b*c", "aXbYbZc", true),
            ("a*b*c", "aXbYbZ", false),
            ("40?: *", "404: x", true),
            ("40?: *", "40: x", false),
            ("no objects found.", "No objects found.", true),
        ] {
            assert_eq!(matches(pattern.as_bytes(), text.as_bytes()), fits, "{pattern} {text}");
        }
    }

    proptest! {
        #[test]
        fn patterns_as_a_regex_has_them(pattern in "[ab*?]{0,8}", text in "[ab]{0,12}") {
            let regex = regex::Regex::new(&format!("^{}$", pattern.replace('*', ".*").replace('?', "."))).unwrap();
            prop_assert_eq!(matches(pattern.as_bytes(), text.as_bytes()), regex.is_match(&text));
        }
    }
}
