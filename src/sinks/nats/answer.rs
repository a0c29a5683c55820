//! What the answers of JetStream mean, and the errors of the server (nats-server, server/errors.json and server/errors.go).

use serde_json::Value;

use super::protocol::Message;
use crate::sinks::acks::{Ack, Means, Row, row};
use crate::sinks::sink::{Fate, Hint, Said, Trouble};

const STREAM: Hint = "create a stream for the subject: nats stream add";
const PERMISSIONS: Hint = "see which subjects this user may publish to, in the permissions of the server";
const LOGIN: Hint = "check user, password and token of this sink";
const LOG: Hint = "see the log of the server";

/// The errors that a stream gives to who publishes. The first row that fits counts.
pub(super) const ROWS: &[Row<u64>] = &[
    row(10054, "message size exceeds maximum allowed", Means::Dead),
    row(10097, "header size exceeds maximum allowed of 64k", Means::Dead),
    row(10039, "JetStream not enabled for account", Means::Refused("enable JetStream for the account")),
    row(10076, "JetStream not enabled", Means::Refused("enable JetStream on the server")),
    row(10109, "invalid operation on sealed stream", Means::Refused(STREAM)),
    row(10002, "resource limits exceeded for account", Means::Later),
    row(10023, "insufficient resources", Means::Later),
    row(10077, "maximum messages exceeded, maximum bytes exceeded", Means::Later),
];

/// What became of a message, by the answer to it.
pub(super) fn ack(message: &Message, status: Option<u16>, body: &[u8]) -> Ack {
    let subject = &message.subject;
    if status == Some(503) {
        return Ack::Refused(format!("no stream takes the subject {subject}").into(), STREAM);
    }
    let Ok(answer) = serde_json::from_slice::<Value>(body) else {
        return Ack::Fate(Fate::Later(format!("no stream answers for {subject}, but somebody else").into()));
    };
    let error = &answer["error"];
    if error.is_null() {
        // A repeated message is acknowledged with "duplicate": true.
        let has = answer["stream"].as_str().is_some_and(|name| !name.is_empty()) && answer["seq"].is_u64();
        return Ack::Fate(if has {
            Fate::Taken
        } else {
            Fate::Later(format!("no stream answers for {subject}, but somebody else").into())
        });
    }
    let code = error["err_code"].as_u64();
    let row = ROWS.iter().find(|row| Some(row.code) == code);
    let words = error["description"].as_str().or(row.map(|row| row.says)).unwrap_or("an error");
    let said =
        Said::from(format!("the stream answers '{words}' ({}) for {subject}", code.unwrap_or_default()));
    row.map_or(Means::Later, |row| row.means).ack(said)
}

/// What an error of the server is about.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum About {
    /// Publishing to this subject is forbidden; the connection goes on.
    Subject(String),
    /// The connection ends, with this trouble.
    Connection(Trouble),
}

/// What an error of the server means.
pub(super) fn error(server: &str, words: &str) -> About {
    let said = || Said::from(format!("the NATS server {server} answers '{words}'"));
    let lower = words.to_ascii_lowercase();
    if let Some(at) = lower.find("permissions violation for publish to \"") {
        let subject = words[at..].split('"').nth(1).unwrap_or_default();
        return About::Subject(subject.to_owned());
    }
    let is = |part: &str| lower.contains(part);
    About::Connection(if is("permissions violation for subscription") {
        Trouble::Refused(said(), "allow this user to subscribe to _INBOX.>, where answers come")
    } else if is("authorization") || is("authentication") || is("user account") || is("account") {
        Trouble::Refused(said(), LOGIN)
    } else if is("secure connection") || is("tls") {
        Trouble::Refused(said(), "write tls:// in url")
    } else if is("maximum payload") || is("invalid publish subject") || is("control line") {
        // Only these are about a message.
        Trouble::Halve(said())
    } else {
        Trouble::Unanswered(said(), LOG)
    })
}

/// What it means that publishing to the subject of a message is forbidden.
pub(super) fn forbidden(subject: &str) -> Ack {
    Ack::Refused(format!("the server does not allow this user to publish to {subject}").into(), PERMISSIONS)
}

#[cfg(test)]
mod tests {
    use std::fmt::Write as _;

    use super::*;

    fn message() -> Message {
        Message { subject: "a.b".into(), id: "i".into(), payload: Vec::new() }
    }

    #[test]
    fn what_answers_mean() {
        let ack = |body: &str| ack(&message(), None, body.as_bytes());
        assert_eq!(ack(r#"{"stream":"S","seq":1}"#), Ack::Fate(Fate::Taken));
        assert_eq!(ack(r#"{"stream":"S","seq":1,"duplicate":true}"#), Ack::Fate(Fate::Taken));
        for other in ["", "pong", "{}", r#"{"stream":"","seq":0}"#, r#"{"error":{"code":500,"err_code":1}}"#]
        {
            assert!(matches!(ack(other), Ack::Fate(Fate::Later(_))), "{other}");
        }
        assert!(matches!(super::ack(&message(), Some(503), b""), Ack::Refused(..)));
        for row in ROWS {
            let body =
                format!(r#"{{"error":{{"err_code":{},"description":"x"}},"stream":"","seq":0}}"#, row.code);
            let expected = match row.means {
                Means::Dead => "Fate(Dead",
                Means::Later => "Fate(Later",
                Means::Refused(_) => "Refused",
            };
            assert!(format!("{:?}", ack(&body)).starts_with(expected), "{body}");
        }
    }

    #[test]
    fn what_errors_mean() {
        let of = |words: &str| format!("{:?}", error("s", words));
        assert_eq!(
            error("s", "Permissions Violation for Publish to \"a.b\""),
            About::Subject("a.b".to_owned())
        );
        for (words, expected) in [
            ("Permissions Violation for Subscription to \"_INBOX.x.*\"", "Refused"),
            ("Authorization Violation", "Refused"),
            ("User Authentication Expired", "Refused"),
            ("Secure Connection - TLS Required", "Refused"),
            ("Maximum Payload Violation", "Halve"),
            ("Invalid Publish Subject", "Halve"),
            ("maximum control line exceeded", "Halve"),
            ("Unknown Protocol Operation", "Unanswered"),
            ("Parser Error", "Unanswered"),
            ("Invalid Client Protocol", "Unanswered"),
            ("Stale Connection", "Unanswered"),
            ("Slow Consumer", "Unanswered"),
        ] {
            assert!(of(words).starts_with(&format!("Connection({expected}")), "{words}: {}", of(words));
        }
    }

    #[test]
    fn the_page_has_the_table() {
        let mut table = String::from("| error | what follows |\n|---|---|\n");
        for rows in ROWS.chunk_by(|a, b| kind(a) == kind(b)) {
            let names: Vec<String> = rows.iter().map(|row| format!("{} ({})", row.code, row.says)).collect();
            writeln!(table, "| {} | {} |", names.join("; "), kind(&rows[0])).unwrap();
        }
        let page =
            std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/sinks/nats.md")).unwrap();
        assert!(page.contains(&table), "docs/sinks/nats.md has not this table:\n{table}");
    }

    fn kind(row: &Row<u64>) -> &'static str {
        match row.means {
            Means::Dead => "dead letter",
            Means::Later => "sent again after its own delay",
            Means::Refused(_) => "refused, as below",
        }
    }
}
