//! The forms in which an outcome is a syslog message: RFC 5424 with structured data, CEF, LEEF. Pure.

use crate::outcome::json;
use crate::outcome::name::{breaks_line, turns};
use crate::outcome::record::Record;
use crate::outcome::result::{Outcome, State};
use crate::sinks::piece::Format;
use crate::time::clock::rfc3339;

/// The number of an enterprise in the names of structured data: the one that RFC 5612 sets aside for documentation, as Trapline has
/// none of its own.
const ENTERPRISE: &str = "32473";
/// What CEF and LEEF call the sender.
const PRODUCT: &str = concat!("Trapline|trapline|", env!("CARGO_PKG_VERSION"));
/// The longest HOSTNAME and MSGID (RFC 5424, section 6).
const MAX_HOSTNAME: usize = 255;
const MAX_MSGID: usize = 32;

/// What stands in a message behind its header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// Structured data with the fields, and the text (RFC 5424).
    Rfc5424,
    /// ArcSight's Common Event Format, version 0.
    Cef,
    /// QRadar's Log Event Extended Format 2.0, with tabs between fields.
    Leef,
}

impl Form {
    /// The format of a message.
    pub fn format(self) -> Format {
        match self {
            Form::Rfc5424 => Format::StructuredData,
            Form::Cef => Format::Cef,
            Form::Leef => Format::Leef,
        }
    }
}

/// A syslog message, and whether its text was cut.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// The octets, without a frame.
    pub bytes: Vec<u8>,
    /// Whether the end of the text is missing.
    pub cut: bool,
}

impl Message {
    /// A message of at most `most` octets, unless its fields alone have more.
    pub fn new(record: &Record<'_>, form: Form, facility: u8, most: usize) -> Self {
        let mut line = header(record, facility);
        match form {
            Form::Rfc5424 => structured(&mut line, record),
            Form::Cef => cef(&mut line, record),
            Form::Leef => leef(&mut line, record),
        }
        let common = record.outcome.common();
        let text = match form {
            Form::Rfc5424 => push_text,
            Form::Cef => push_extension,
            Form::Leef => push_flat,
        };
        let fields = line.len();
        text(&mut line, &common.output);
        if !common.long_output.is_empty() {
            text(&mut line, "\n");
            text(&mut line, &common.long_output);
        }
        let cut = line.len() > most.max(fields);
        if cut {
            truncate(&mut line, most.max(fields));
        }
        Message { bytes: line.into_bytes(), cut }
    }
}

/// Cuts between characters, and not in the middle of an escape.
fn truncate(line: &mut String, most: usize) {
    let end = line.floor_char_boundary(most);
    let backslashes = line[..end].bytes().rev().take_while(|octet| *octet == b'\\').count();
    line.truncate(end - backslashes % 2);
}

/// All in front of the structured data.
fn header(record: &Record<'_>, facility: u8) -> String {
    let common = record.outcome.common();
    let host = word(record.outcome.host(), MAX_HOSTNAME);
    let rule = word(&common.rule, MAX_MSGID);
    let priority = u32::from(facility) * 8 + severity(common.state);
    format!("<{priority}>1 {} {host} trapline - {rule} ", rfc3339(common.time))
}

/// Printable ASCII without spaces, or the nil value.
fn word(text: &str, most: usize) -> &str {
    let fits = (1..=most).contains(&text.len()) && text.bytes().all(|octet| octet.is_ascii_graphic());
    if fits { text } else { "-" }
}

/// The severity of syslog (RFC 5424, table 2).
fn severity(state: State) -> u32 {
    match state {
        State::Ok | State::Up => 6,
        State::Warning | State::Unreachable => 4,
        State::Unknown => 3,
        State::Critical | State::Down => 2,
    }
}

/// The severity of CEF and LEEF, 0 to 10: that of the label `severity` in the words of X.733, where a problem has one.
fn importance(record: &Record<'_>) -> u32 {
    let common = record.outcome.common();
    let label = common.labels.iter().find(|(name, _)| name == "severity");
    let said = match label.map(|(_, value)| value.to_ascii_lowercase()).as_deref() {
        Some("critical") => Some(9),
        Some("major") => Some(8),
        Some("minor") => Some(6),
        Some("warning") => Some(5),
        _ => None,
    };
    match common.state {
        state if !state.is_good() && said.is_some() => said.unwrap_or(0),
        State::Ok | State::Up => 1,
        State::Warning | State::Unreachable => 5,
        State::Unknown => 7,
        State::Critical | State::Down => 9,
    }
}

/// The fields, in the order in which every form has them.
fn fields<'r>(record: &'r Record<'_>) -> [(&'static str, &'r str); 5] {
    let common = record.outcome.common();
    let perfdata = match &record.outcome {
        Outcome::CheckResult(check) => &*check.perfdata,
        Outcome::Event(_) => "",
    };
    [
        ("host", record.outcome.host()),
        ("service", record.outcome.service().unwrap_or("")),
        ("state", common.state.as_str()),
        ("source", &common.source),
        ("perfdata", perfdata),
    ]
}

/// An event's own fields as JSON; empty if it has none.
fn own(record: &Record<'_>) -> String {
    let Outcome::Event(event) = &record.outcome else { return String::new() };
    let fields: serde_json::Map<_, _> =
        json::own_fields(event).map(|(name, value)| (name.to_owned(), value.into())).collect();
    if fields.is_empty() { String::new() } else { serde_json::Value::Object(fields).to_string() }
}

/// The labels as JSON; empty if there are none.
fn labels_json(record: &Record<'_>) -> String {
    let labels: serde_json::Map<_, _> = record
        .outcome
        .common()
        .labels
        .iter()
        .map(|(name, value)| (name.to_string(), (&**value).into()))
        .collect();
    if labels.is_empty() { String::new() } else { serde_json::Value::Object(labels).to_string() }
}

fn structured(line: &mut String, record: &Record<'_>) {
    let mut param = |name: &str, value: &str| {
        if !value.is_empty() {
            line.push_str(name);
            line.push_str("=\"");
            push_param(line, value);
            line.push('"');
        }
    };
    param(&format!("[trapline@{ENTERPRISE} id"), &record.id());
    param(" rule", &record.outcome.common().rule);
    for (name, value) in fields(record) {
        param(&format!(" {name}"), value);
    }
    param(" fields", &own(record));
    line.push(']');
    let labels = &record.outcome.common().labels;
    if !labels.is_empty() {
        line.push_str("[label@");
        line.push_str(ENTERPRISE);
        for (name, value) in labels {
            line.push(' ');
            line.push_str(name);
            line.push_str("=\"");
            push_param(line, value);
            line.push('"');
        }
        line.push(']');
    }
    line.push(' ');
}

fn cef(line: &mut String, record: &Record<'_>) {
    let common = record.outcome.common();
    line.push_str("- CEF:0|");
    line.push_str(PRODUCT);
    line.push('|');
    push_header(line, &common.rule);
    line.push('|');
    push_header(line, record.outcome.service().unwrap_or("host"));
    line.push_str(&format!("|{}|", importance(record)));
    let time = (common.time / 1000).to_string();
    let named = [("externalId", &*record.id()), ("rt", &time)].map(|(name, value)| (name, value.to_owned()));
    let names = ["dvchost", "cs1", "cs2", "src", "cs3"];
    let labels = ["", "service", "state", "", "perfdata"];
    for (name, value) in named {
        line.push_str(&format!("{name}={value} "));
    }
    for ((name, label), (_, value)) in names.into_iter().zip(labels).zip(fields(record)) {
        // A message that was made here has no address.
        if value.is_empty() || (name == "src" && value.parse::<std::net::IpAddr>().is_err()) {
            continue;
        }
        if !label.is_empty() {
            line.push_str(&format!("{name}Label={label} "));
        }
        line.push_str(name);
        line.push('=');
        push_extension(line, value);
        line.push(' ');
    }
    let own = own(record);
    for (name, label, value) in [("cs4", "fields", own), ("cs5", "labels", labels_json(record))] {
        if !value.is_empty() {
            line.push_str(&format!("{name}Label={label} {name}="));
            push_extension(line, &value);
            line.push(' ');
        }
    }
    line.push_str("msg=");
}

fn leef(line: &mut String, record: &Record<'_>) {
    let common = record.outcome.common();
    line.push_str("- LEEF:2.0|");
    line.push_str(PRODUCT);
    line.push('|');
    // A header of LEEF has no escapes.
    push_flat(line, &common.rule.replace('|', "/"));
    line.push_str("|x09|");
    line.push_str(&format!("devTime={}\tdevTimeFormat=yyyy-MM-dd'T'HH:mm:ss.SSSX\t", millis(common.time)));
    line.push_str(&format!("sev={}\tid={}\t", importance(record), record.id()));
    let names = ["identHostName", "service", "state", "src", "perfdata"];
    let own = own(record);
    let labels = labels_json(record);
    let more = [("fields", own.as_str()), ("labels", labels.as_str())];
    let fields = names.into_iter().zip(fields(record).map(|(_, value)| value)).chain(more);
    for (name, value) in fields.filter(|(_, value)| !value.is_empty()) {
        line.push_str(name);
        line.push('=');
        push_flat(line, value);
        line.push('\t');
    }
    line.push_str("msg=");
}

/// RFC 3339 with three digits of a second.
fn millis(micros: i64) -> String {
    let time =
        jiff::Timestamp::from_millisecond(micros.div_euclid(1000)).unwrap_or(jiff::Timestamp::UNIX_EPOCH);
    format!("{time:.3}")
}

/// Pushes each character, escaped by `escape` where it gives something; what controls a reader becomes a space.
fn push(line: &mut String, text: &str, escape: impl Fn(char) -> Option<&'static str>) {
    for c in text.chars() {
        match escape(c) {
            Some(escaped) => line.push_str(escaped),
            None if breaks_line(c) || turns(c) => line.push(' '),
            None => line.push(c),
        }
    }
}

/// The text of RFC 5424: lines are joined by `\n`.
fn push_text(line: &mut String, text: &str) {
    push(line, text, |c| (c == '\n').then_some("\\n"));
}

/// A value of structured data (RFC 5424, section 6.3.3).
fn push_param(line: &mut String, value: &str) {
    push(line, value, |c| match c {
        '"' => Some("\\\""),
        '\\' => Some("\\\\"),
        ']' => Some("\\]"),
        _ => None,
    });
}

fn push_header(line: &mut String, value: &str) {
    push(line, value, |c| match c {
        '|' => Some("\\|"),
        '\\' => Some("\\\\"),
        _ => None,
    });
}

fn push_extension(line: &mut String, value: &str) {
    push(line, value, |c| match c {
        '=' => Some("\\="),
        '\\' => Some("\\\\"),
        '\n' => Some("\\n"),
        _ => None,
    });
}

/// Without escapes: what would need one is a space.
fn push_flat(line: &mut String, value: &str) {
    push(line, value, |_| None);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::outcome::result::Labels;
    use crate::outcome::result::{CheckResult, Common, Event};

    fn common<'a>(state: State, output: &'a str, long: &'a str) -> Common<'a> {
        Common {
            time: 1_764_115_200_123_456,
            rule: "link-down".into(),
            state,
            output: output.into(),
            long_output: long.into(),
            source: "192.0.2.1".into(),
            labels: Labels::default(),
        }
    }

    fn check(service: Option<&'static str>, output: &'static str, long: &'static str) -> Record<'static> {
        let outcome = Outcome::CheckResult(CheckResult {
            common: common(State::Critical, output, long),
            host: "rtr 1".into(),
            service: service.map(Into::into),
            perfdata: "".into(),
        });
        Record { epoch: 10, sequence: 7, outcome }
    }

    fn text(record: &Record<'_>, form: Form) -> String {
        String::from_utf8(Message::new(record, form, 16, 8192).bytes).unwrap()
    }

    #[test]
    fn labels_in_every_form() {
        let mut record = check(Some("s"), "o", "");
        record.outcome.common_mut().labels =
            Labels::Own(vec![("severity".into(), "Minor".into()), ("team".into(), "a\"]=b".into())]);
        let ends = |form, end: &str| {
            let text = text(&record, form);
            assert!(text.ends_with(end), "{text}");
            text
        };
        ends(Form::Rfc5424, r#"source="192.0.2.1"][label@32473 severity="Minor" team="a\"\]=b"] o"#);
        let labels = r#"cs5Label=labels cs5={"severity":"Minor","team":"a\\"]\=b"} msg=o"#;
        assert!(ends(Form::Cef, labels).contains("|s|6|externalId="));
        let labels = "labels={\"severity\":\"Minor\",\"team\":\"a\\\"]=b\"}\tmsg=o";
        assert!(ends(Form::Leef, labels).contains("\tsev=6\t"));
        record.outcome.common_mut().state = State::Ok;
        assert!(text(&record, Form::Leef).contains("\tsev=1\t"));
    }

    #[test]
    fn every_form() {
        let record = check(Some(r#"If "a]b\c" = |x|"#), "down = \\ |", "more\tof it");
        assert_eq!(
            text(&record, Form::Rfc5424),
            r#"<130>1 2025-11-26T00:00:00.123456Z - trapline - link-down [trapline@32473 id="000000000000000a-7" rule="link-down" host="rtr 1" service="If \"a\]b\\c\" = |x|" state="critical" source="192.0.2.1"] down = \ |\nmore of it"#
        );
        assert_eq!(
            text(&record, Form::Cef),
            format!(
                r#"<130>1 2025-11-26T00:00:00.123456Z - trapline - link-down - CEF:0|{PRODUCT}|link-down|If "a]b\\c" = \|x\||9|externalId=000000000000000a-7 rt=1764115200123 dvchost=rtr 1 cs1Label=service cs1=If "a]b\\c" \= |x| cs2Label=state cs2=critical src=192.0.2.1 msg=down \= \\ |\nmore of it"#
            )
        );
        assert_eq!(
            text(&record, Form::Leef),
            format!(
                "<130>1 2025-11-26T00:00:00.123456Z - trapline - link-down - LEEF:2.0|{PRODUCT}|link-down|x09|devTime=2025-11-26T00:00:00.123Z\tdevTimeFormat=yyyy-MM-dd'T'HH:mm:ss.SSSX\tsev=9\tid=000000000000000a-7\tidentHostName=rtr 1\tservice=If \"a]b\\c\" = |x|\tstate=critical\tsrc=192.0.2.1\tmsg=down = \\ | more of it"
            )
        );
    }

    #[test]
    fn hosts_and_events() {
        let event = Outcome::Event(Event {
            common: common(State::Up, "back", ""),
            component: "rtr1".into(),
            resource: None,
            fields: vec![("ticket".into(), "a \"b\"".into())],
        });
        let record = Record { epoch: 1, sequence: 2, outcome: event };
        assert_eq!(
            text(&record, Form::Rfc5424),
            r#"<134>1 2025-11-26T00:00:00.123456Z rtr1 trapline - link-down [trapline@32473 id="0000000000000001-2" rule="link-down" host="rtr1" state="up" source="192.0.2.1" fields="{\"ticket\":\"a \\\"b\\\"\"}"] back"#
        );
        assert!(text(&record, Form::Cef).contains(r#" cs4Label=fields cs4={"ticket":"a \\"b\\""} msg=back"#));
    }

    #[test]
    fn a_long_text_is_cut_between_characters_and_escapes() {
        let record = check(None, "é\\\n\\\n\\\n", "");
        for form in [Form::Rfc5424, Form::Cef, Form::Leef] {
            let whole = text(&record, form);
            let fields = whole.find('é').unwrap();
            for most in 0..=whole.len() {
                let message = Message::new(&record, form, 16, most);
                let shown = String::from_utf8(message.bytes).unwrap();
                assert_eq!(message.cut, shown != whole, "{most}");
                assert!(whole.starts_with(&shown) && shown.len() <= most.max(fields), "{shown}");
                let backslashes = shown.bytes().rev().take_while(|octet| *octet == b'\\').count();
                assert!(form != Form::Cef || backslashes % 2 == 0, "{shown}");
            }
        }
    }
}
