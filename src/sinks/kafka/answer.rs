//! What Kafka's error codes mean (kafka.apache.org/protocol, Error Codes; `org.apache.kafka.common.protocol.Errors`).

use crate::sinks::acks::{Ack, Means, Row, row};
use crate::sinks::sink::{Hint, Said};

const TOPIC: Hint = "create the topic: kafka-topics.sh --create --topic NAME";
const RIGHTS: Hint = "allow this user to describe and write the topic, in the ACLs of the cluster";
const FORMAT: Hint = "let the topic keep messages of format 2: log.message.format.version";
const LOGIN: Hint = "check user, password and mechanism of this sink";
const BROKER: Hint = "Kafka 0.11 or later is needed";

/// The errors that brokers give to who asks for a topic or writes to it.
pub(super) const ROWS: &[Row<i16>] = &[
    row(10, "MESSAGE_TOO_LARGE", Means::Dead),
    row(17, "INVALID_TOPIC_EXCEPTION", Means::Dead),
    row(18, "RECORD_LIST_TOO_LARGE", Means::Dead),
    row(32, "INVALID_TIMESTAMP", Means::Dead),
    row(44, "POLICY_VIOLATION", Means::Dead),
    row(87, "INVALID_RECORD", Means::Dead),
    row(3, "UNKNOWN_TOPIC_OR_PARTITION", Means::Refused(TOPIC)),
    row(29, "TOPIC_AUTHORIZATION_FAILED", Means::Refused(RIGHTS)),
    row(31, "CLUSTER_AUTHORIZATION_FAILED", Means::Refused(RIGHTS)),
    row(43, "UNSUPPORTED_FOR_MESSAGE_FORMAT", Means::Refused(FORMAT)),
    row(35, "UNSUPPORTED_VERSION", Means::Refused(BROKER)),
    row(33, "UNSUPPORTED_SASL_MECHANISM", Means::Refused(LOGIN)),
    row(58, "SASL_AUTHENTICATION_FAILED", Means::Refused(LOGIN)),
    row(2, "CORRUPT_MESSAGE", Means::Later),
    row(5, "LEADER_NOT_AVAILABLE", Means::Later),
    row(6, "NOT_LEADER_OR_FOLLOWER", Means::Later),
    row(7, "REQUEST_TIMED_OUT", Means::Later),
    row(8, "BROKER_NOT_AVAILABLE", Means::Later),
    row(9, "REPLICA_NOT_AVAILABLE", Means::Later),
    row(13, "NETWORK_EXCEPTION", Means::Later),
    row(19, "NOT_ENOUGH_REPLICAS", Means::Later),
    row(20, "NOT_ENOUGH_REPLICAS_AFTER_APPEND", Means::Later),
    row(56, "KAFKA_STORAGE_ERROR", Means::Later),
    row(74, "FENCED_LEADER_EPOCH", Means::Later),
    row(75, "UNKNOWN_LEADER_EPOCH", Means::Later),
    row(89, "THROTTLING_QUOTA_EXCEEDED", Means::Later),
];

/// The name of an error.
pub(super) fn name(code: i16) -> String {
    let row = ROWS.iter().find(|row| row.code == code);
    row.map_or_else(|| format!("error {code}"), |row| format!("{} ({code})", row.says))
}

/// What follows from an error.
pub(super) fn means(code: i16) -> Means {
    ROWS.iter().find(|row| row.code == code).map_or(Means::Later, |row| row.means)
}

/// What became of an outcome for whose topic a broker answers an error.
pub(super) fn ack(code: i16, topic: &str, words: Option<&str>) -> Ack {
    let words = words.filter(|words| !words.is_empty()).map(|words| format!(": {words}")).unwrap_or_default();
    let said = Said::from(format!("the broker answers {} for the topic {topic}{words}", name(code)));
    means(code).ack(said)
}

#[cfg(test)]
mod tests {
    use std::fmt::Write as _;

    use super::*;

    #[test]
    fn the_page_has_the_table() {
        let mut table = String::from("| error | what follows |\n|---|---|\n");
        for rows in ROWS.chunk_by(|a, b| kind(a) == kind(b)) {
            let names: Vec<String> = rows.iter().map(|row| format!("{} ({})", row.says, row.code)).collect();
            writeln!(table, "| {} | {} |", names.join(", "), kind(&rows[0])).unwrap();
        }
        let page =
            std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/sinks/kafka.md")).unwrap();
        assert!(page.contains(&table), "docs/sinks/kafka.md has not this table:\n{table}");
    }

    fn kind(row: &Row<i16>) -> &'static str {
        match row.means {
            Means::Dead => "dead letter",
            Means::Later => "sent again after a pause of its own",
            Means::Refused(_) => "refused, as below",
        }
    }

    #[test]
    fn no_code_stands_twice() {
        let codes: std::collections::BTreeSet<i16> = ROWS.iter().map(|row| row.code).collect();
        assert_eq!(codes.len(), ROWS.len());
        assert_eq!(means(-1), Means::Later);
        assert_eq!(name(-1), "error -1");
    }
}
