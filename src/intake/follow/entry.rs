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
    /// The line.
    pub(super) line: Vec<u8>,
}

/// What makes no line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Refused {
    /// Where it is in the journal, if that can be read.
    pub(super) cursor: Option<String>,
    /// Why.
    pub(super) why: &'static str,
}

/// Reads an entry.
pub(super) fn read(json: &[u8]) -> Result<Entry, Refused> {
    let no_place = |why| Refused { cursor: None, why };
    let entry: Map<String, Value> =
        serde_json::from_slice(json).map_err(|_| no_place("what journalctl prints is no JSON object"))?;
    let cursor = entry.get("__CURSOR").and_then(Value::as_str);
    let cursor = cursor.ok_or_else(|| no_place("it has no __CURSOR"))?.to_owned();
    match line(&entry) {
        Ok(line) => Ok(Entry { cursor, line }),
        Err(why) => Err(Refused { cursor: Some(cursor), why }),
    }
}

fn line(entry: &Map<String, Value>) -> Result<Vec<u8>, &'static str> {
    let message = entry.get("MESSAGE").ok_or("it has no MESSAGE")?;
    let message = values(message).ok_or("its MESSAGE has no text")?.join(&b'\n');
    let number = |name: &str, most: u64| {
        let values = values(entry.get(name)?)?;
        let number = std::str::from_utf8(values.first()?).ok()?.parse::<u64>().ok()?;
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
    Ok([head.into_bytes(), message].concat())
}

/// The values of a field, at least one: texts, and octets that are none, as lists of numbers. A program may give a field more than once;
/// then it is a list of them (Journal JSON Format of systemd). One that is left out because of its size is null.
fn values(field: &Value) -> Option<Vec<Vec<u8>>> {
    let one = |value: &Value| match value {
        Value::String(text) => Some(text.clone().into_bytes()),
        Value::Array(octets) => octets
            .iter()
            .map(|octet| octet.as_u64().and_then(|octet| u8::try_from(octet).ok()))
            .collect::<Option<Vec<u8>>>(),
        _ => None,
    };
    let all = match (one(field), field) {
        (Some(value), _) => vec![value],
        (None, Value::Array(all)) => all.iter().filter_map(one).collect(),
        (None, _) => Vec::new(),
    };
    (!all.is_empty()).then_some(all)
}

/// The first of some fields as a word of a header, `-` if there is none.
fn word(entry: &Map<String, Value>, names: &[&str], most: usize) -> String {
    let value =
        names.iter().find_map(|name| values(entry.get(*name)?)?.into_iter().next()).unwrap_or_default();
    let text = String::from_utf8_lossy(&value);
    let word: String = text.chars().map(|c| if c.is_ascii_graphic() { c } else { '_' }).take(most).collect();
    if word.is_empty() { "-".to_owned() } else { word }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn line_of(json: &str) -> String {
        String::from_utf8(read(json.as_bytes()).unwrap().line).unwrap()
    }

    #[test]
    fn entries_are_lines() {
        let sshd = r#"{"__CURSOR":"s=1;i=2","__REALTIME_TIMESTAMP":"1700000000123456","_HOSTNAME":"db1","PRIORITY":"6","SYSLOG_FACILITY":"10","SYSLOG_IDENTIFIER":"sshd","_PID":"411","MESSAGE":"Failed password for root"}"#;
        assert_eq!(
            line_of(sshd),
            "<86>1 2023-11-14T22:13:20.123456Z db1 sshd 411 - - Failed password for root"
        );
        assert_eq!(read(sshd.as_bytes()).unwrap().cursor, "s=1;i=2");
        // Octets that are no text; no identifier.
        assert_eq!(
            line_of(r#"{"__CURSOR":"c","_COMM":"a b","MESSAGE":[104,105]}"#),
            "<30>1 - - a_b - - - hi"
        );
    }

    #[test]
    fn each_entry_is_a_line_or_refused_with_a_reason() {
        let head = "<30>1 - - - - - - ";
        for (message, text) in [
            (r#""""#, ""),
            (r#""one""#, "one"),
            (r#"["two","two again"]"#, "two\ntwo again"),
            (r#"["a"]"#, "a"),
            (r#"["a",null,[98,99]]"#, "a\nbc"),
            ("[104,105]", "hi"),
            ("[]", ""),
            (r#"["a",7,{}]"#, "a"),
        ] {
            let json = format!(r#"{{"__CURSOR":"c","MESSAGE":{message}}}"#);
            assert_eq!(line_of(&json), format!("{head}{text}"), "{message}");
        }
        let fields = r#"{"__CURSOR":"c","_HOSTNAME":["h1","h2"],"SYSLOG_IDENTIFIER":[null,"sshd"],"_PID":[55,56],"PRIORITY":["3","4"],"MESSAGE":"m"}"#;
        assert_eq!(line_of(fields), "<27>1 - h1 sshd 78 - - m");
        for (json, cursor, why) in [
            ("", None, "no JSON object"),
            ("[]", None, "no JSON object"),
            (r#"{"__CURSOR":"c","MESSAGE":"cut"#, None, "no JSON object"),
            ("{}", None, "no __CURSOR"),
            (r#"{"__CURSOR":7,"MESSAGE":"m"}"#, None, "no __CURSOR"),
            (r#"{"__CURSOR":"c"}"#, Some("c"), "no MESSAGE"),
            (r#"{"__CURSOR":"c","MESSAGE":null}"#, Some("c"), "no text"),
            (r#"{"__CURSOR":"c","MESSAGE":[null]}"#, Some("c"), "no text"),
            (r#"{"__CURSOR":"c","MESSAGE":[104,256]}"#, Some("c"), "no text"),
            (r#"{"__CURSOR":"c","MESSAGE":{"a":1}}"#, Some("c"), "no text"),
        ] {
            let refused = read(json.as_bytes()).unwrap_err();
            assert_eq!(refused.cursor.as_deref(), cursor, "{json}");
            assert!(refused.why.contains(why), "{json}: {}", refused.why);
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
