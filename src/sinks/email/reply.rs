//! What the replies of a mail server mean, as data. Pure.

use std::ops::RangeInclusive;

use crate::sinks::sink::Said;

/// The most lines of a reply, and the most octets of a line. RFC 5321 has 512 octets (section 4.5.3.1.5).
pub(super) const MOST_LINES: usize = 100;
pub(super) const MOST_OCTETS: u64 = 4096;

/// What a reply answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stage {
    Greeting,
    Hello,
    Starttls,
    Auth,
    From,
    Recipient,
    Data,
    End,
}

impl Stage {
    /// The command, for people.
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Stage::Greeting => "the connection",
            Stage::Hello => "EHLO",
            Stage::Starttls => "STARTTLS",
            Stage::Auth => "AUTH",
            Stage::From => "MAIL",
            Stage::Recipient => "RCPT",
            Stage::Data => "DATA",
            Stage::End => "the mail",
        }
    }
}

/// What follows from a reply.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Means {
    /// It goes on; at the end, the server has the mail.
    Done,
    /// This recipient, or all that are left, later.
    Later,
    /// This recipient, or all that are left, never.
    Dead,
    /// The server asks for a pause.
    Busy,
    /// The mail is too large.
    TooLarge,
    /// A key of the sink is wrong.
    Refused,
}

/// A row of the table of replies. The first one that fits counts.
#[derive(Debug)]
pub(super) struct Row {
    stage: Stage,
    codes: RangeInclusive<u16>,
    pub(super) means: Means,
    /// Where it is said.
    #[cfg_attr(not(test), expect(dead_code, reason = "for readers"))]
    source: &'static str,
}

const fn row(stage: Stage, codes: RangeInclusive<u16>, means: Means, source: &'static str) -> Row {
    Row { stage, codes, means, source }
}

const SEQUENCES: &str = "RFC 5321, section 4.3.2";
const CLASSES: &str = "RFC 5321, section 4.2.1";

/// The table.
pub(super) const REPLIES: &[Row] = &[
    row(Stage::Greeting, 220..=220, Means::Done, SEQUENCES),
    row(Stage::Greeting, 400..=499, Means::Busy, "RFC 5321, section 3.8: 421"),
    row(Stage::Greeting, 500..=599, Means::Refused, "RFC 5321, section 3.1: 554"),
    row(Stage::Hello, 250..=250, Means::Done, SEQUENCES),
    row(Stage::Hello, 400..=499, Means::Busy, CLASSES),
    row(Stage::Hello, 500..=599, Means::Refused, SEQUENCES),
    row(Stage::Starttls, 220..=220, Means::Done, "RFC 3207, section 4"),
    row(Stage::Starttls, 400..=499, Means::Busy, "RFC 3207, section 4: 454"),
    row(Stage::Starttls, 500..=599, Means::Refused, "RFC 3207, section 4: 501"),
    row(Stage::Auth, 235..=235, Means::Done, "RFC 4954, section 4"),
    row(Stage::Auth, 400..=499, Means::Busy, "RFC 4954, section 6: 454"),
    row(Stage::Auth, 500..=599, Means::Refused, "RFC 4954, section 6: 535, 534, 530"),
    row(Stage::From, 250..=250, Means::Done, SEQUENCES),
    row(Stage::From, 400..=499, Means::Busy, SEQUENCES),
    row(Stage::From, 552..=552, Means::TooLarge, "RFC 1870, section 6.1"),
    row(Stage::From, 500..=599, Means::Refused, "RFC 5321, section 3.3; RFC 4954, section 6: 530"),
    row(Stage::Recipient, 250..=252, Means::Done, SEQUENCES),
    row(Stage::Recipient, 421..=421, Means::Busy, "RFC 5321, section 3.8"),
    row(Stage::Recipient, 400..=499, Means::Later, SEQUENCES),
    row(Stage::Recipient, 530..=530, Means::Refused, "RFC 4954, section 6"),
    row(Stage::Recipient, 552..=552, Means::Later, "RFC 5321, section 4.5.3.1.10: too many recipients"),
    row(Stage::Recipient, 500..=599, Means::Dead, SEQUENCES),
    row(Stage::Data, 354..=354, Means::Done, SEQUENCES),
    row(Stage::Data, 421..=421, Means::Busy, "RFC 5321, section 3.8"),
    row(Stage::Data, 400..=499, Means::Later, SEQUENCES),
    row(Stage::Data, 530..=530, Means::Refused, "RFC 4954, section 6"),
    row(Stage::Data, 500..=599, Means::Dead, SEQUENCES),
    row(Stage::End, 250..=250, Means::Done, SEQUENCES),
    row(Stage::End, 421..=421, Means::Busy, "RFC 5321, section 3.8"),
    row(Stage::End, 400..=499, Means::Later, SEQUENCES),
    row(Stage::End, 552..=552, Means::TooLarge, "RFC 1870, section 6.3"),
    row(Stage::End, 500..=599, Means::Dead, SEQUENCES),
];

/// A reply.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Reply {
    pub(super) code: u16,
    /// Its lines, without code.
    pub(super) lines: Vec<String>,
}

impl Reply {
    /// What it means; none if no row says so.
    pub(super) fn means(&self, stage: Stage) -> Option<Means> {
        let row = REPLIES.iter().find(|row| row.stage == stage && row.codes.contains(&self.code));
        row.map(|row| row.means)
    }

    /// What it says, for people.
    pub(super) fn said(&self, server: &str, stage: Stage) -> Said {
        let (code, text) = (self.code, self.lines.join(" "));
        format!("{server} answered {code} to {}: {text}", stage.as_str()).into()
    }
}

/// A line of a reply: its code, whether it is the last one, its text. None if it is no line of one.
pub(super) fn line(line: &[u8]) -> Option<(u16, bool, String)> {
    let text = String::from_utf8_lossy(line);
    let text = text.trim_end_matches(['\r', '\n']);
    let code = text.get(..3).filter(|code| code.bytes().all(|b| b.is_ascii_digit()))?.parse().ok()?;
    let last = match text.as_bytes().get(3) {
        None | Some(b' ') => true,
        Some(b'-') => false,
        Some(_) => return None,
    };
    Some((code, last, text.get(4..).unwrap_or_default().to_owned()))
}

#[cfg(test)]
mod tests {
    use std::fmt::Write as _;

    use super::*;

    fn says(means: Means, stage: Stage) -> &'static str {
        match (means, stage) {
            (Means::Done, Stage::End) => "delivered to the accepted recipients",
            (Means::Done, Stage::Recipient) => "this recipient is accepted",
            (Means::Done, _) => "continue",
            (Means::Later, Stage::Recipient) => "the outcome is retried for this recipient",
            (Means::Later, _) => "the outcome is retried for the accepted recipients",
            (Means::Dead, Stage::Recipient) => "dead letter for this recipient",
            (Means::Dead, _) => "split into halves; a single outcome becomes a dead letter",
            (Means::Busy, _) => "the sink waits",
            (Means::TooLarge, _) => {
                "split into halves; a single outcome is sent again, cut to 4,096 octets, then becomes a dead letter"
            }
            (Means::Refused, _) => "the sink waits; check its keys",
        }
    }

    #[test]
    fn the_page_has_the_table() {
        let mut table = String::from("| to | reply | what follows |\n|---|---|---|\n");
        for row in REPLIES {
            let (from, to) = (row.codes.start(), row.codes.end());
            let codes = if from == to { from.to_string() } else { format!("{from} to {to}") };
            writeln!(table, "| {} | {codes} | {} |", row.stage.as_str(), says(row.means, row.stage)).unwrap();
            assert!(!row.source.is_empty());
        }
        let page = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/sinks/email.md");
        let page = std::fs::read_to_string(page).unwrap();
        assert!(page.contains(&table), "docs/sinks/email.md has not this table:\n{table}");
    }

    #[test]
    fn every_row_is_the_first_for_some_code() {
        for (at, row) in REPLIES.iter().enumerate() {
            let first = |code: u16| {
                REPLIES.iter().position(|row2| row2.stage == row.stage && row2.codes.contains(&code))
            };
            assert!(row.codes.clone().any(|code| first(code) == Some(at)), "{row:?}");
        }
        let means = |stage, code| Reply { code, lines: vec![] }.means(stage);
        assert_eq!(means(Stage::Recipient, 550), Some(Means::Dead));
        assert_eq!(means(Stage::Recipient, 552), Some(Means::Later));
        assert_eq!(means(Stage::End, 552), Some(Means::TooLarge));
        assert_eq!(means(Stage::End, 354), None);
        assert_eq!(means(Stage::Data, 250), None);
    }

    #[test]
    fn lines() {
        assert_eq!(line(b"250-SIZE 20480\r\n"), Some((250, false, "SIZE 20480".into())));
        assert_eq!(line(b"250 HELP\n"), Some((250, true, "HELP".into())));
        assert_eq!(line(b"354\r\n"), Some((354, true, String::new())));
        assert_eq!(line("550 \u{1b}é\r\n".as_bytes()), Some((550, true, "\u{1b}é".into())));
        for wrong in [&b"25"[..], b"2500 x", b"abc x", b"", "2é0 x".as_bytes()] {
            assert_eq!(line(wrong), None, "{wrong:?}");
        }
        let hostile = Reply { code: 550, lines: vec!["no\u{1b}[2J".into(), "\u{202e}user".into()] };
        assert_eq!(
            hostile.said("mail:25", Stage::Recipient).as_str(),
            "mail:25 answered 550 to RCPT: no [2J user"
        );
    }
}
