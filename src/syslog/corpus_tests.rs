//! The cases that were collected from products' pages, where they stand beside this checkout. What is in here is about how
//! they are compared; cases of this repository are in `dialect_tests.rs`.

use std::path::Path;

use serde_json::{Value, json};
use toml::de::{DeTable, DeValue};

use super::parse_line_in;
use crate::text;

/// 2026-11-25 12:00 UTC, when the lines are received.
const RECEIVED: i64 = 1_795_608_000_000_000;

/// What cases want otherwise than docs/syslog.md: libpam counts more failures of one connection (modules/pam_unix/support.c,
/// `%d more authentication failure%s`), which its service has limited by then.
fn is_corrected(line: &str, field: &str) -> bool {
    line.contains("PAM 2 more authentication failures") && field == "action"
}

/// A line as the cases write its fields.
fn fields(line: &str) -> Value {
    let zone = jiff::tz::TimeZone::UTC;
    let got = parse_line_in(line, RECEIVED, &zone);
    let time = got.time.map(|time| jiff::Timestamp::from_microsecond(time).unwrap().to_string());
    let mut data = json!({});
    for element in &got.structured_data {
        for (name, value) in &element.params {
            data[element.id][*name] = json!(value);
        }
    }
    let security = got.security.as_ref().map(|s| {
        json!({
            "source": s.source, "action": s.action.as_str(), "user": s.user, "target_user": s.target_user,
            "client_host": s.client_host, "client_address": s.client_address, "client_port": s.client_port,
            "method": s.method, "service": s.service, "count": s.count, "detail": s.detail,
            "target_address": s.target_address, "target_port": s.target_port, "protocol": s.protocol,
        })
    });
    json!({
        "security": security, "facility": got.facility, "severity": got.severity, "time": time, "host": got.host,
        "program": got.program, "pid": got.pid, "msgid": got.msgid, "message": got.message, "sd": data,
    })
}

/// What a case wants as the fields have it: an empty text means none, except for the message; times in one form.
fn wanted(key: &str, want: &DeValue<'_>) -> Value {
    match want {
        DeValue::String(text) if key == "message" => json!(text),
        DeValue::String(text) if text.is_empty() => Value::Null,
        DeValue::String(text) if key == "time" => {
            json!(text.parse::<jiff::Timestamp>().unwrap().to_string())
        }
        DeValue::String(text) => json!(text),
        DeValue::Integer(number) => json!(number.as_str().parse::<i64>().unwrap()),
        DeValue::Table(table) => {
            let fields =
                table.iter().map(|(name, value)| (name.get_ref().to_string(), wanted("", value.get_ref())));
            Value::Object(fields.collect())
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn every_case_of_the_corpus_is_read_right() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/corpus/syslog-dialects.toml");
    let Ok(text) = std::fs::read_to_string(&path) else {
        eprintln!("SKIPPED: {} is not there, so that no case of it was read", path.display());
        return;
    };
    let corpus = DeTable::parse(&text).unwrap();
    let (mut wrong, mut count) = (Vec::new(), 0);
    for case in corpus.get_ref()["case"].get_ref().as_array().unwrap() {
        let case = case.get_ref().as_table().unwrap();
        let text_of = |key| case.get(key).and_then(|value: &toml::Spanned<_>| value.get_ref().as_str());
        let octets = match text_of("hex") {
            Some(hex) => data_encoding::HEXLOWER.decode(hex.as_bytes()).unwrap(),
            None => text_of("line").unwrap().into(),
        };
        let product = text_of("product").unwrap();
        let line = text::line(&octets, text::Charset::default());
        let got = fields(&line);
        for (key, want) in case["expect"].get_ref().as_table().unwrap() {
            let key = &**key.get_ref();
            if key == "yearless" {
                continue;
            }
            if key == "security" {
                let table = want.get_ref().as_table().unwrap();
                if table.is_empty() && !got[key].is_null() {
                    wrong.push(format!("{product}: {key} is {}\n    {line:?}", got[key]));
                }
                for (name, want) in table {
                    let (name, want) = (&**name.get_ref(), wanted("", want.get_ref()));
                    count += 1;
                    if got[key][name] != want && !is_corrected(&line, name) {
                        wrong.push(format!(
                            "{product}: {name} is {}, not {want}\n    {line:?}",
                            got[key][name]
                        ));
                    }
                }
                continue;
            }
            count += 1;
            let want = wanted(key, want.get_ref());
            if got[key] != want {
                wrong.push(format!("{product}: {key} is {}, not {want}\n    {line:?}", got[key]));
            }
        }
    }
    assert!(count > 400, "{count}");
    assert!(wrong.is_empty(), "{} of {count} fields are wrong:\n{}", wrong.len(), wrong.join("\n"));
}
