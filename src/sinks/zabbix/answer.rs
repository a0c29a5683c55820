//! What Zabbix's answers mean, as data. Pure.

use serde_json::Value;

use crate::sinks::sink::{Hint, Said, Trouble};

const ITS_LOG: Hint = "see the log of the Zabbix server or proxy";

/// A row of the table of answers. The first one that fits counts.
#[derive(Debug)]
pub(super) struct Row {
    /// What `response` is; none for anything.
    response: Option<&'static str>,
    /// How many values of the request have failed, by `info`.
    failed: Failed,
    /// What follows.
    pub(super) means: Means,
    /// Where Zabbix says so.
    #[cfg_attr(not(test), expect(dead_code, reason = "for readers"))]
    source: &'static str,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Failed {
    /// None.
    None,
    /// Some, and not all.
    Some,
    /// All.
    All,
    /// It does not say so.
    Unsaid,
    /// Whatever it says.
    Any,
}

/// What follows from an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Means {
    /// Zabbix has all values.
    Taken,
    /// Zabbix has none of them: it knows no such host and item, or they are not for this sender.
    None,
    /// Zabbix does not say which values failed.
    Halve,
    /// Zabbix refuses the sender or its request.
    Refused,
    /// Another proxy has the host.
    Elsewhere,
    /// It is not said what became of them.
    Unanswered,
}

/// What is read of an answer: `response`, the counts of `info`, and whether there is a `redirect`.
pub(super) const ANSWERS: &[Row] = &[
    Row {
        response: Some("redirect"),
        failed: Failed::Any,
        means: Means::Elsewhere,
        source: "Zabbix 7.0, src/libs/zbxcomms: a member of a proxy group that has not the host",
    },
    Row {
        response: Some("success"),
        failed: Failed::None,
        means: Means::Taken,
        source: "Zabbix documentation, Zabbix sender protocol",
    },
    Row {
        response: Some("success"),
        failed: Failed::All,
        means: Means::None,
        source: "Zabbix documentation, Zabbix sender protocol; src/libs/zbxdbhigh/proxy.c, process_history_data_value",
    },
    Row {
        response: Some("success"),
        failed: Failed::Some,
        means: Means::Halve,
        source: "the same: counts, and no names",
    },
    Row {
        response: Some("failed"),
        failed: Failed::Any,
        means: Means::Refused,
        source: "src/zabbix_server/trapper/trapper.c, recv_senderhistory",
    },
    Row { response: None, failed: Failed::Any, means: Means::Unanswered, source: "anything else" },
];

/// An answer, read.
#[derive(Debug)]
pub(super) struct Answer {
    response: String,
    /// What it says for people.
    pub(super) info: String,
    /// How many values have failed; none if it does not say so.
    failed: Option<usize>,
}

impl Answer {
    /// Reads the JSON of an answer. What is no JSON says nothing.
    pub(super) fn read(body: &[u8]) -> Self {
        let json: Value = serde_json::from_slice(body).unwrap_or_default();
        let text = |key: &str| json[key].as_str().unwrap_or_default().to_owned();
        if json["redirect"].is_object() {
            let info = format!("the host belongs to {}", json["redirect"]["address"]);
            return Answer { response: "redirect".to_owned(), info, failed: None };
        }
        let info = text("info");
        let failed =
            info.split(';').find_map(|part| part.trim().strip_prefix("failed:")?.trim().parse().ok());
        Answer { response: text("response"), info, failed }
    }

    /// What it means for a request of so many values.
    pub(super) fn means(&self, values: usize) -> Means {
        let failed = match self.failed {
            Some(0) => Failed::None,
            Some(failed) if failed >= values => Failed::All,
            Some(_) => Failed::Some,
            None => Failed::Unsaid,
        };
        let fits = |row: &&Row| {
            row.response.is_none_or(|response| response == self.response)
                && (row.failed == Failed::Any || row.failed == failed)
        };
        ANSWERS.iter().find(fits).map_or(Means::Unanswered, |row| row.means)
    }

    /// Why the request as a whole is not done, where that is so. `server` names the far end.
    pub(super) fn trouble(&self, means: Means, server: &str) -> Option<Trouble> {
        let said = |what: &str| Said::from(format!("{server} {what}: {}", self.info));
        match means {
            Means::Taken | Means::None | Means::Halve => None,
            Means::Refused => Some(Trouble::Refused(said("refuses values"), ITS_LOG)),
            Means::Elsewhere => Some(Trouble::Refused(
                said("does not have the host"),
                "list the addresses of all proxies of the group, or that of the server",
            )),
            Means::Unanswered => {
                Some(Trouble::Unanswered(said("sent an answer that does not count its values"), ITS_LOG))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::fmt::Write as _;

    use super::*;

    #[test]
    fn what_answers_mean() {
        let success = |failed: &str| {
            format!(
                r#"{{"response":"success","info":"processed: 1; {failed}total: 3; seconds spent: 0.000041"}}"#
            )
        };
        let samples = [
            (success("failed: 0; "), Means::Taken),
            (success("failed: 3; "), Means::None),
            (success("failed: 4; "), Means::None),
            (success("failed: 2; "), Means::Halve),
            (success(""), Means::Unanswered),
            (success("failed: x; "), Means::Unanswered),
            (
                r#"{"response":"failed","info":"cannot find pair with name \"data\""}"#.to_owned(),
                Means::Refused,
            ),
            (
                r#"{"response":"failed","redirect":{"revision":2,"address":"proxy2:10051"}}"#.to_owned(),
                Means::Elsewhere,
            ),
            (r#"{"response":"success"}"#.to_owned(), Means::Unanswered),
            (r#"{"info":"failed: 0"}"#.to_owned(), Means::Unanswered),
            ("<html>".to_owned(), Means::Unanswered),
            (String::new(), Means::Unanswered),
        ];
        let mut seen = BTreeSet::new();
        for (body, means) in samples {
            let answer = Answer::read(body.as_bytes());
            assert_eq!(answer.means(3), means, "{body}");
            let row = ANSWERS.iter().position(|row| row.means == means).unwrap();
            seen.insert(row);
            let whole = matches!(means, Means::Taken | Means::None | Means::Halve);
            assert_eq!(answer.trouble(means, "z:10051").is_none(), whole, "{body}");
        }
        assert_eq!(seen.len(), ANSWERS.len(), "a row without a sample");
        assert!(ANSWERS.iter().all(|row| !row.source.is_empty()));
    }

    #[test]
    fn the_page_says_what_the_table_does() {
        let mut table = String::from("| response | failed values | what follows |\n|---|---|---|\n");
        for row in ANSWERS {
            let response = row.response.map_or("any other".to_owned(), |response| format!("`{response}`"));
            let failed = match row.failed {
                Failed::None => "0",
                Failed::Some => "some",
                Failed::All => "all",
                Failed::Unsaid => "not said",
                Failed::Any => "any",
            };
            let follows = match row.means {
                Means::Taken => "delivered",
                Means::None => "each outcome is retried for `grace`, then it becomes a dead letter",
                Means::Halve => "each half is sent again, down to the outcome",
                Means::Refused => "the sink waits; see the log of the server",
                Means::Elsewhere => {
                    "the other addresses are asked, then each half alone; if none has any of the hosts, the sink waits: check `addresses`"
                }
                Means::Unanswered => "all are sent again",
            };
            writeln!(table, "| {response} | {failed} | {follows} |").unwrap();
        }
        let page = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/sinks/zabbix.md");
        let page = std::fs::read_to_string(page).unwrap();
        assert!(page.contains(&table), "docs/sinks/zabbix.md has not this table:\n{table}");
    }
}
