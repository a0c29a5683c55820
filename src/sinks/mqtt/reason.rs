//! What the reason codes of a broker mean (MQTT 5.0, section 2.4), of a message and of the connection.

use std::fmt;
use std::time::Duration;

use crate::sinks::acks::Ack;
use crate::sinks::sink::{Fate, Hint, Said, Trouble};

/// How long a sink waits when the broker says that it has too much to do.
const PAUSE: Duration = Duration::from_secs(5);

const LOGIN: Hint = "check user, password and client_id of this sink";
const PERMISSIONS: Hint = "see which topics this user may publish to, in the access list of the broker";
const CLIENT: Hint =
    "give this sink another client_id: the broker ends the older of two connections with one";
const URL: Hint = "check url of this sink";
const LOG: Hint = "see the log of the broker";

/// What follows from a reason code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Means {
    /// The broker has the message.
    Taken,
    /// It can never take it; of a connection: one of the messages of a batch is at fault. Only of reasons that name something of a message.
    Dead,
    /// It does not take it now.
    Later,
    /// It refuses what the configuration says.
    Refused(Hint),
    /// It has too much to do.
    Busy,
}

/// A reason code.
pub(super) struct Row {
    code: u8,
    name: &'static str,
    means: Means,
}

const fn row(code: u8, name: &'static str, means: Means) -> Row {
    Row { code, name, means }
}

/// The codes that brokers send to clients that publish.
pub(super) const ROWS: &[Row] = &[
    row(0x00, "Success", Means::Taken),
    row(0x10, "No matching subscribers", Means::Taken),
    row(0x80, "Unspecified error", Means::Later),
    row(0x81, "Malformed Packet", Means::Later),
    row(0x82, "Protocol Error", Means::Later),
    row(0x83, "Implementation specific error", Means::Later),
    row(0x84, "Unsupported Protocol Version", Means::Refused("use a broker that speaks MQTT 5")),
    row(0x85, "Client Identifier not valid", Means::Refused("set client_id of this sink")),
    row(0x86, "Bad User Name or Password", Means::Refused(LOGIN)),
    row(0x87, "Not authorized", Means::Refused(PERMISSIONS)),
    row(0x88, "Server unavailable", Means::Busy),
    row(0x89, "Server busy", Means::Busy),
    row(0x8a, "Banned", Means::Refused(LOGIN)),
    row(0x8b, "Server shutting down", Means::Later),
    row(0x8c, "Bad authentication method", Means::Refused(LOGIN)),
    row(0x8d, "Keep Alive timeout", Means::Later),
    row(0x8e, "Session taken over", Means::Refused(CLIENT)),
    row(0x90, "Topic Name invalid", Means::Dead),
    row(0x91, "Packet Identifier in use", Means::Later),
    row(0x93, "Receive Maximum exceeded", Means::Later),
    row(0x95, "Packet too large", Means::Dead),
    row(0x96, "Message rate too high", Means::Busy),
    row(0x97, "Quota exceeded", Means::Busy),
    row(0x98, "Administrative action", Means::Later),
    row(0x99, "Payload format invalid", Means::Dead),
    row(0x9a, "Retain not supported", Means::Refused("set retain = false")),
    row(0x9b, "QoS not supported", Means::Refused("use a broker that takes messages at QoS 1")),
    row(0x9c, "Use another server", Means::Refused(URL)),
    row(0x9d, "Server moved", Means::Refused(URL)),
    row(0x9f, "Connection rate exceeded", Means::Busy),
];

/// A reason as a broker gives it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Reason {
    /// Its code.
    pub(super) code: u8,
    /// What the broker adds in words, or another server that it names.
    pub(super) words: Option<String>,
}

impl Reason {
    fn row(&self) -> Option<&'static Row> {
        ROWS.iter().find(|row| row.code == self.code)
    }

    fn means(&self) -> Means {
        self.row().map_or(Means::Later, |row| row.means)
    }

    /// What became of the message that it is about.
    pub(super) fn ack(&self, topic: &str) -> Ack {
        let said = || Said::from(format!("the broker answers {self} for the topic {topic}"));
        match self.means() {
            Means::Taken => Ack::Fate(Fate::Taken),
            Means::Dead => Ack::Fate(Fate::Dead(said())),
            Means::Later | Means::Busy => Ack::Fate(Fate::Later(said())),
            Means::Refused(hint) => Ack::Refused(said(), hint),
        }
    }

    /// What it means that a connection is not accepted, for this reason.
    pub(super) fn not_accepted(&self, server: &str) -> Trouble {
        let said = Said::from(format!("the MQTT broker {server} does not accept the connection: {self}"));
        match self.means() {
            Means::Busy => Trouble::Busy(said, PAUSE),
            // A return code of MQTT 3.1.1.
            _ if self.code == 1 => Trouble::Refused(said, "use a broker that speaks MQTT 5"),
            _ if matches!(self.code, 2..=5) => Trouble::Refused(said, LOGIN),
            Means::Refused(_) if self.code == 0x87 => Trouble::Refused(said, LOGIN),
            Means::Refused(hint) => Trouble::Refused(said, hint),
            _ => Trouble::Away(said, LOG),
        }
    }

    /// What it means that the broker ends the connection, for this reason.
    pub(super) fn ended(&self, server: &str) -> Trouble {
        let said = Said::from(format!("the MQTT broker {server} ended the connection: {self}"));
        match self.means() {
            Means::Dead => Trouble::Halve(said),
            Means::Busy => Trouble::Busy(said, PAUSE),
            Means::Refused(hint) => Trouble::Refused(said, hint),
            Means::Taken | Means::Later => Trouble::Unanswered(said, LOG),
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "0x{:02x}", self.code)?;
        if let Some(row) = self.row() {
            write!(f, " {}", row.name)?;
        }
        self.words.iter().filter(|words| !words.is_empty()).try_for_each(|words| write!(f, " ({words})"))
    }
}

#[cfg(test)]
mod tests {
    use std::fmt::Write as _;

    use super::*;

    /// What the page says of a row: of a message, and of a connection that ends.
    fn follows(row: &Row) -> (&'static str, &'static str) {
        match row.means {
            Means::Taken => ("delivered", "unacknowledged messages are sent again"),
            Means::Dead => ("dead letter", "halves are sent; a single outcome becomes a dead letter"),
            Means::Later => ("sent again after its own delay", "unacknowledged messages are sent again"),
            Means::Busy => ("sent again after its own delay", "the sink waits for 5 s"),
            Means::Refused(_) => ("as below", "the sink waits; check its keys"),
        }
    }

    #[test]
    fn what_reasons_mean() {
        for row in ROWS {
            let reason = Reason { code: row.code, words: Some("w".to_owned()) };
            let ack = format!("{:?}", reason.ack("t"));
            let ended = format!("{:?}", reason.ended("b"));
            let expected = match row.means {
                Means::Taken => ("Fate(Taken)", "Unanswered"),
                Means::Dead => ("Fate(Dead", "Halve"),
                Means::Later => ("Fate(Later", "Unanswered"),
                Means::Busy => ("Fate(Later", "Busy"),
                Means::Refused(_) => ("Refused", "Refused"),
            };
            assert!(
                ack.starts_with(expected.0) && ended.starts_with(expected.1),
                "{}: {ack} {ended}",
                row.name
            );
            let not_accepted = format!("{:?}", reason.not_accepted("b"));
            let expected = match row.means {
                Means::Refused(_) => "Refused",
                Means::Busy => "Busy",
                _ => "Away",
            };
            assert!(not_accepted.starts_with(expected), "{}: {not_accepted}", row.name);
        }
        let unknown = Reason { code: 0xee, words: None };
        assert!(matches!(unknown.ack("t"), Ack::Fate(Fate::Later(_))));
        assert!(matches!(unknown.ended("b"), Trouble::Unanswered(..)));
        // The return codes of MQTT 3.1.1.
        for code in 1..=5 {
            let old = Reason { code, words: None };
            assert!(matches!(old.not_accepted("b"), Trouble::Refused(..)), "{code}");
        }
        assert_eq!(Reason { code: 0x87, words: Some("x".into()) }.to_string(), "0x87 Not authorized (x)");
    }

    #[test]
    fn the_page_has_the_table() {
        let mut table = String::from(
            "| reason code | of an outcome (PUBACK) | of the connection (DISCONNECT) |\n|---|---|---|\n",
        );
        for rows in ROWS.chunk_by(|a, b| follows(a) == follows(b)) {
            let names: Vec<String> =
                rows.iter().map(|row| format!("`0x{:02x}` {}", row.code, row.name)).collect();
            let (message, connection) = follows(&rows[0]);
            writeln!(table, "| {} | {message} | {connection} |", names.join(", ")).unwrap();
        }
        let page =
            std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/sinks/mqtt.md")).unwrap();
        assert!(page.contains(&table), "docs/sinks/mqtt.md has not this table:\n{table}");
    }
}
