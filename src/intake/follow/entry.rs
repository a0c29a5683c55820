//! Entries of systemd's journal, as `journalctl --output=json` prints them, as lines of syslog (RFC 5424).

use serde_json::{Map, Value};

use crate::time::clock::rfc3339;

/// The facility and severity of an entry that has none: `daemon` and `info`, as systemd has it.
const FACILITY: u64 = 3;
const SEVERITY: u64 = 6;

/// An entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Entry {
    /// Where it is in the journal.
    pub(super) cursor: String,
    /// The line; none if it has no message.
    pub(super) line: Option<Vec<u8>>,
}

/// Reads an entry; none if it is none.
pub(super) fn read(json: &[u8]) -> Option<Entry> {
    let entry: Map<String, Value> = serde_json::from_slice(json).ok()?;
    let cursor = entry.get("__CURSOR")?.as_str()?.to_owned();
    Some(Entry { cursor, line: line(&entry) })
}

fn line(entry: &Map<String, Value>) -> Option<Vec<u8>> {
    let message = octets(entry.get("MESSAGE")?)?;
    let number = |name: &str, most: u64| {
        let number = entry.get(name)?.as_str()?.parse::<u64>().ok()?;
        (number <= most).then_some(number)
    };
    let facility = number("SYSLOG_FACILITY", 23).unwrap_or(FACILITY);
    let severity = number("PRIORITY", 7).unwrap_or(SEVERITY);
    let micros = number("_SOURCE_REALTIME_TIMESTAMP", i64::MAX as u64);
    let micros = micros.or_else(|| number("__REALTIME_TIMESTAMP", i64::MAX as u64));
    let time = micros.map_or_else(|| "-".to_owned(), |micros| rfc3339(micros as i64));
    let host = word(entry, &["_HOSTNAME"], 255);
    let program = word(entry, &["SYSLOG_IDENTIFIER", "_COMM"], 48);
    let pid = word(entry, &["SYSLOG_PID", "_PID"], 128);
    let head = format!("<{}>1 {time} {host} {program} {pid} - - ", facility * 8 + severity);
    Some([head.into_bytes(), message].concat())
}

/// A text, or octets that are none, as a list of numbers.
fn octets(value: &Value) -> Option<Vec<u8>> {
    match value {
        Value::String(text) => Some(text.clone().into_bytes()),
        Value::Array(all) => {
            all.iter().map(|octet| octet.as_u64().and_then(|octet| u8::try_from(octet).ok())).collect()
        }
        _ => None,
    }
}

/// The first of some fields as a word of a header, `-` if there is none.
fn word(entry: &Map<String, Value>, names: &[&str], most: usize) -> String {
    let text = names.iter().find_map(|name| entry.get(*name)?.as_str()).unwrap_or_default();
    let word: String = text.chars().map(|c| if c.is_ascii_graphic() { c } else { '_' }).take(most).collect();
    if word.is_empty() { "-".to_owned() } else { word }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn line_of(json: &str) -> String {
        String::from_utf8(read(json.as_bytes()).unwrap().line.unwrap()).unwrap()
    }

    #[test]
    fn entries_are_lines() {
        let sshd = r#"{"__CURSOR":"s=1;i=2","__REALTIME_TIMESTAMP":"1700000000123456","_HOSTNAME":"db1","PRIORITY":"6","SYSLOG_FACILITY":"10","SYSLOG_IDENTIFIER":"sshd","_PID":"411","MESSAGE":"Failed password for root"}"#;
        assert_eq!(
            line_of(sshd),
            "<86>1 2023-11-14T22:13:20.123456Z db1 sshd 411 - - Failed password for root"
        );
        assert_eq!(read(sshd.as_bytes()).unwrap().cursor, "s=1;i=2");
        // Octets that are no text; no identifier; nothing to say.
        assert_eq!(
            line_of(r#"{"__CURSOR":"c","_COMM":"a b","MESSAGE":[104,105]}"#),
            "<30>1 - - a_b - - - hi"
        );
        assert_eq!(read(br#"{"__CURSOR":"c","MESSAGE":null}"#).unwrap().line, None);
        for none in ["", "{}", "[]", r#"{"__CURSOR":7}"#] {
            assert_eq!(read(none.as_bytes()), None, "{none}");
        }
    }

    proptest! {
        #[test]
        fn no_field_makes_another(host in any::<String>(), program in any::<String>(), message in any::<String>()) {
            let json = serde_json::json!({ "__CURSOR": "c", "_HOSTNAME": host, "SYSLOG_IDENTIFIER": program, "MESSAGE": message }).to_string();
            let line = line_of(&json);
            let words: Vec<&str> = line.splitn(8, ' ').collect();
            prop_assert_eq!((words.len(), words[7]), (8, message.as_str()));
            prop_assert_eq!((words[0], words[1], words[5], words[6]), ("<30>1", "-", "-", "-"));
        }
    }
}
