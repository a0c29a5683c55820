//! What Zabbix is told of a check result: the values of two trapper items, by host and key. Pure.

use serde::Serialize;

use crate::outcome::record::Record;
use crate::outcome::result::CheckResult;
use crate::sinks::fields::Template;
use crate::sinks::http::escape::in_text;
use crate::sinks::sink::Said;

/// The longest technical name of a host, in characters (Zabbix documentation, Configuring a host).
const MAX_HOST: usize = 128;
/// The longest key of an item, in characters (Zabbix 6.0, `items.key_`).
const MAX_KEY: usize = 2048;
/// The longest text, in octets: what the smallest of Zabbix's databases holds (65,535).
const MAX_TEXT: usize = 65_535;

/// The key of the discovery rule.
pub(super) const DISCOVERY: &str = "trapline.discovery";
/// The macro in which it gets the name of a service.
pub(super) const MACRO: &str = "{#SERVICE}";

/// The value of an item at a time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Value {
    /// The technical name of the host.
    pub(super) host: String,
    /// The key of the item.
    pub(super) key: String,
    /// The value.
    pub(super) value: String,
    /// Whole seconds since 1970 UTC.
    pub(super) clock: i64,
    /// Nanoseconds of the second.
    pub(super) ns: i64,
}

/// What Zabbix is told of a check result.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Values {
    /// The service, as its items have it; none for the host itself.
    pub(super) service: Option<String>,
    /// The time of the message, in microseconds since 1970 UTC.
    pub(super) time: i64,
    /// State and output.
    pub(super) values: [Value; 2],
    /// Whether the output was cut.
    pub(super) cut: bool,
}

impl Values {
    /// The values of a check result for the host that a template names.
    ///
    /// # Errors
    ///
    /// Why Zabbix can have no such host or item.
    pub(super) fn new(record: &Record<'_>, check: &CheckResult<'_>, host: &Template) -> Result<Self, Said> {
        let host =
            host.render(record).map_err(|error| Said::from(format!("'host' cannot be computed: {error}")))?;
        let host = valid_host(host.trim())?;
        let service = check.service.as_deref().map(item_name);
        let keys = match &service {
            Some(service) => ["state", "output"].map(|what| format!("trapline.{what}[{}]", quoted(service))),
            None => ["state", "output"].map(|what| format!("trapline.host.{what}")),
        };
        let longest = keys.iter().map(|key| key.chars().count()).max().unwrap_or(0);
        if service.as_deref() == Some("") || longest > MAX_KEY {
            return Err(format!("the service makes a key of {longest} characters; 1 to {MAX_KEY} fit").into());
        }
        let (output, cut) = output(&check.common.output, &check.common.long_output);
        let [state_key, output_key] = keys;
        let value = |key: String, value: String| at(check.common.time, host.to_owned(), key, value);
        let values = [value(state_key, check.common.state.code().to_string()), value(output_key, output)];
        Ok(Values { service, time: check.common.time, values, cut })
    }

    /// The host.
    pub(super) fn host(&self) -> &str {
        &self.values[0].host
    }
}

/// The value that tells the discovery rule of a host which services there are.
pub(super) fn discovery<'s>(host: &str, services: impl Iterator<Item = &'s str>, time: i64) -> Value {
    let rows: Vec<_> = services.map(|service| serde_json::json!({ MACRO: service })).collect();
    at(time, host.to_owned(), DISCOVERY.to_owned(), serde_json::Value::from(rows).to_string())
}

fn at(micros: i64, host: String, key: String, value: String) -> Value {
    Value { host, key, value, clock: micros.div_euclid(1_000_000), ns: micros.rem_euclid(1_000_000) * 1000 }
}

/// Letters, digits, spaces, `.`, `-` and `_` make the technical name of a host.
fn valid_host(host: &str) -> Result<&str, Said> {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, ' ' | '.' | '-' | '_');
    if host.is_empty() || host.len() > MAX_HOST || !host.chars().all(plain) {
        return Err(format!("'{host}' can be no technical name of a host in Zabbix").into());
    }
    Ok(host)
}

/// The name of a service as a parameter has it: a quoted one cannot end in a backslash, so a space follows.
fn item_name(service: &str) -> String {
    if service.ends_with('\\') { format!("{service} ") } else { service.to_owned() }
}

/// A quoted parameter of a key (Zabbix documentation, Item key format).
fn quoted(parameter: &str) -> String {
    format!("\"{}\"", parameter.replace('"', "\\\""))
}

/// Output and further lines, cut to what fits.
fn output(output: &str, long: &str) -> (String, bool) {
    let mut text = in_text(output);
    if !long.is_empty() {
        text.push('\n');
        text.push_str(&in_text(long));
    }
    let cut = text.len() > MAX_TEXT;
    text.truncate(text.floor_char_boundary(MAX_TEXT));
    (text, cut)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::outcome::result::{Outcome, State};
    use crate::sinks::testing::check;

    fn values(host: &str, service: Option<&str>, output: &str, long: &str) -> Result<Values, Said> {
        let mut check = check(host, service, output);
        check.common.long_output = long.into();
        if service.is_none() {
            check.common.state = State::Down;
        }
        let record = Record { epoch: 1, sequence: 2, outcome: Outcome::CheckResult(check.clone()) };
        let template = Template::new("{{ outcome.host }}", str::to_owned).value.unwrap();
        Values::new(&record, &check, &template)
    }

    #[test]
    fn what_zabbix_is_told() {
        let service = values("rtr1", Some("If \"a\\\""), "down", "since\tnow\0").unwrap();
        let shown = serde_json::to_string(&service.values).unwrap();
        assert_eq!(
            shown,
            r#"[{"host":"rtr1","key":"trapline.state[\"If \\\"a\\\\\"\"]","value":"2","clock":1700000000,"ns":123456000},{"host":"rtr1","key":"trapline.output[\"If \\\"a\\\\\"\"]","value":"down\nsince\tnow ","clock":1700000000,"ns":123456000}]"#
        );
        let host = values("Rack 1_a-b.c", None, "gone", "").unwrap();
        let keys = host.values.each_ref().map(|value| (value.key.as_str(), value.value.as_str()));
        assert_eq!(keys, [("trapline.host.state", "1"), ("trapline.host.output", "gone")]);
        let disk = values("h", Some("Disk C:\\"), "", "").unwrap();
        assert_eq!(
            (disk.values[0].key.as_str(), disk.service.as_deref()),
            ("trapline.state[\"Disk C:\\ \"]", Some("Disk C:\\ "))
        );
        let value = discovery("h", ["a", "b\"c"].into_iter(), 1_000_001);
        assert_eq!(value.value, r#"[{"{#SERVICE}":"a"},{"{#SERVICE}":"b\"c"}]"#);
        assert_eq!((value.key.as_str(), value.clock, value.ns), (DISCOVERY, 1, 1000));
    }

    #[test]
    fn what_does_not_fit() {
        for host in ["", "a/b", "é", "fe80::1", &"x".repeat(129)] {
            assert!(values(host, None, "", "").is_err(), "{host}");
        }
        assert!(values("h", Some(&"s".repeat(2029)), "", "").is_ok());
        assert!(values("h", Some(&"s".repeat(2030)), "", "").is_err());
        let long = values("h", None, &"é".repeat(40_000), "").unwrap();
        assert!(long.cut && long.values[1].value.len() == 65_534);
        assert!(!values("h", None, &"e".repeat(65_535), "").unwrap().cut);
    }

    #[test]
    fn the_template_has_the_items() {
        let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("config/zabbix/trapline.yaml");
        let template = std::fs::read_to_string(path).unwrap();
        let keys: Vec<&str> = template.lines().filter_map(|line| line.trim().strip_prefix("key: ")).collect();
        let made = [values("h", None, "", ""), values("h", Some(MACRO), "", "")].map(Result::unwrap);
        let mut expected: Vec<String> =
            made.iter().flat_map(|values| values.values.each_ref().map(|value| value.key.clone())).collect();
        expected.insert(2, DISCOVERY.to_owned());
        assert_eq!(keys.iter().map(|key| key.trim_matches('\'')).collect::<Vec<_>>(), expected);
    }

    /// The parameter of a key as Zabbix reads it (src/libs/zbxcommon/misc.c, parse_params); none if it is not one.
    fn parameter(key: &str) -> Option<String> {
        let rest = key.strip_prefix("trapline.state[\"")?;
        let mut text = String::new();
        let mut chars = rest.chars().peekable();
        while let Some(c) = chars.next() {
            match c {
                '\\' if chars.peek() == Some(&'"') => text.extend(chars.next()),
                '"' => return (chars.collect::<String>() == "]").then_some(text),
                c => text.push(c),
            }
        }
        None
    }

    proptest! {
        #[test]
        fn every_service_is_one_parameter(service in "(\\PC|[\"\\\\\\]\\[,]){1,12}") {
            let Ok(values) = values("h", Some(&service), "", "") else {
                prop_assert!(crate::outcome::name::Name::from(service.as_str()).is_empty());
                return Ok(());
            };
            prop_assert_eq!(parameter(&values.values[0].key), values.service);
        }
    }
}
