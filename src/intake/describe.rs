//! Messages as people and scripts see them: JSON with stable names, and one line of text.

use serde_json::{Map, Value, json};

use crate::body::bodies::likely;
use crate::body::{Body, Item, Text};
use crate::message::{
    Message, Notification, NotificationKind, PostKind, Posted, PostedWhat, Source, SyslogClock, SyslogLine,
};
use crate::mib::{Mib, format};
use crate::peer::Credentials;
use crate::rules::MatchResult;
use crate::text::Charset;
use crate::time::clock::rfc3339;

/// A message as JSON, as `trapline explain --json` gives it.
/// `charset` is that of the sender.
pub fn message(message: &Message<'_>, source: &Source, charset: Charset, mib: &Mib) -> Value {
    let mut all = match message {
        Message::Notification(n) => notification(n, charset, mib),
        Message::Syslog(l) => line(l),
        Message::Posted(p) => posted(p),
    };
    all.insert("source".into(), source.address().to_string().into());
    if let Some(Credentials { pid, uid }) = source.peer.credentials() {
        all.insert("peer_pid".into(), pid.into());
        all.insert("peer_uid".into(), uid.into());
    }
    all.insert("received".into(), rfc3339(source.received).into());
    Value::Object(all)
}

/// A message with what became of it, as `trapline tap --json` gives it. Without its community, which is a password.
pub fn result(mut message: Value, result: MatchResult, outcomes: Vec<Value>) -> Value {
    if let Some(fields) = message.as_object_mut() {
        fields.shift_remove("community");
    }
    let result = match result {
        MatchResult::Matched => "matched",
        MatchResult::Dropped => "dropped",
        MatchResult::Unmatched => "unmatched",
    };
    json!({ "message": message, "result": result, "outcomes": outcomes })
}

/// The same for a message that is refused or malformed.
pub fn refused(reason: &str, source: &Source) -> Value {
    let message = json!({ "source": source.address().to_string(), "received": rfc3339(source.received) });
    json!({ "message": message, "result": "refused", "refused": reason, "outcomes": [] })
}

fn notification(n: &Notification<'_>, charset: Charset, mib: &Mib) -> Map<String, Value> {
    let varbinds: Vec<Value> = n
        .varbinds
        .iter()
        .map(|varbind| {
            let syntax = mib.lookup(&varbind.oid).map(|o| &*o.syntax);
            json!({
                "oid": varbind.oid.to_string(),
                "name": mib.name_of(&varbind.oid),
                "type": varbind.value.type_name(),
                "value": match varbind.value.as_integer().map(i64::try_from) {
                    Some(Ok(number)) => number.into(),
                    _ => Value::from(format::plain(&varbind.value, charset)),
                },
                "text": format::of_varbind(varbind, syntax, (charset, &n.varbinds), mib),
            })
        })
        .collect();
    let object = json!({
        "kind": if n.kind == NotificationKind::Inform { "inform" } else { "trap" },
        "version": n.version.as_str(),
        "agent": n.agent.map(|a| a.to_string()),
        "community": n.security.is_none().then(|| String::from_utf8_lossy(n.community)),
        "user": n.security.map(|s| s.user),
        "security_level": n.security.map(|s| s.level.as_str()),
        "context": n.security.map(|s| String::from_utf8_lossy(s.context)),
        "engine_id": n.security.map(|s| s.engine_id()),
        "oid": n.oid.to_string(),
        "name": mib.name_of(&n.oid),
        "enterprise": n.enterprise.as_ref().map(ToString::to_string),
        "generic": n.generic,
        "specific": n.specific,
        "uptime": n.uptime,
        "varbinds": varbinds,
    });
    into_map(object)
}

fn line(l: &SyslogLine<'_>) -> Map<String, Value> {
    let mut structured: Map<String, Value> = Map::new();
    for element in &l.structured_data {
        // Some senders write an element in several pairs of brackets.
        let params = structured.entry(element.id).or_insert_with(|| Value::Object(Map::new()));
        if let Value::Object(params) = params {
            for (name, value) in &element.params {
                params.entry(*name).or_insert_with(|| value.as_ref().into());
            }
        }
    }
    let object = json!({
        "kind": "syslog",
        "facility": l.facility,
        "severity": l.severity,
        "time": l.time.map(rfc3339),
        "clock": l.clock.map(SyslogClock::as_str),
        "host": l.host,
        "program": l.program,
        "pid": l.pid,
        "msgid": l.msgid,
        "message": l.message,
        "repeated": l.repeated,
        "truncated": l.truncated,
        "tls_peer": l.tls.and_then(|tls| tls.name),
        "tls_fingerprint": l.tls.map(|tls| tls.fingerprint),
        "structured_data": structured,
        "tcp_wrappers": l.tcp_wrappers.as_ref().map(|w| json!({
            "action": w.action.as_str(),
            "client_host": w.client_host,
            "client_address": w.client_address,
            "client_user": w.client_user,
            "daemon": w.daemon,
            "detail": w.detail,
            "repeated": w.repeated,
        })),
        "security": l.security.as_ref().map(|s| json!({
            "source": s.source,
            "action": s.action.as_str(),
            "user": s.user,
            "target_user": s.target_user,
            "client_host": s.client_host,
            "client_address": s.client_address,
            "client_port": s.client_port,
            "method": s.method,
            "service": s.service,
            "count": s.count,
            "detail": s.detail,
            "target_address": s.target_address,
            "target_port": s.target_port,
            "protocol": s.protocol,
        })),
    });
    into_map(object)
}

fn posted(p: &Posted<'_>) -> Map<String, Value> {
    let fields: Value = serde_json::from_str(p.text).unwrap_or_default();
    let mut object = json!({ "kind": p.kind().as_str(), p.kind().as_str(): p.name, "host": p.host });
    if let PostedWhat::CheckIn { status, info } = p.what {
        object["status"] = status.as_str().into();
        object["info"] = info.into();
    }
    object["json"] = fields;
    into_map(object)
}

fn into_map(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(map) => map,
        _ => Map::new(),
    }
}

/// The fields of a line's message in the form that it most likely has, named as rules name that form; none if it is prose.
pub fn body(line: &SyslogLine<'_>) -> Option<(String, Value)> {
    let (kind, body) = likely(line.message)?;
    let text = |text: &Text| text.get(line.message).to_owned();
    let fields = match &body {
        Body::Tree(item) => json_of(item),
        Body::Pairs(pairs) => {
            Value::Object(pairs.iter().map(|(key, value)| (text(key), text(value).into())).collect())
        }
        Body::Values(values) => {
            let numbered = values.iter().enumerate();
            Value::Object(numbered.map(|(at, value)| ((at + 1).to_string(), text(value).into())).collect())
        }
    };
    Some((kind.as_str().to_owned(), fields))
}

fn json_of(item: &Item) -> Value {
    match item {
        Item::Null => Value::Null,
        Item::Bool(value) => Value::Bool(*value),
        Item::Integer(number) => match u64::try_from(*number) {
            Ok(number) => number.into(),
            Err(_) => i64::try_from(*number).map_or(Value::Null, Value::from),
        },
        Item::Float(number) => (*number).into(),
        Item::Text(text) => Value::from(&**text),
        Item::List(items) => Value::Array(items.iter().map(json_of).collect()),
        Item::Map(entries) => {
            Value::Object(entries.iter().map(|(key, item)| (key.to_string(), json_of(item))).collect())
        }
    }
}

/// A message in a few words, escaped.
pub fn short(message: &Message<'_>, mib: &Mib) -> String {
    match message {
        Message::Notification(n) => format!("the trap {} ({})", mib.name_of(&n.oid), n.oid),
        Message::Syslog(line) => short_line(line),
        Message::Posted(posted) => {
            let kind = if posted.kind() == PostKind::CheckIn { "check-in" } else { "event" };
            format!("the {kind} of '{}'", posted.name.escape_debug())
        }
    }
}

/// A line in a few words, escaped.
pub fn short_line(line: &SyslogLine<'_>) -> String {
    let mut text: String = line.message.chars().take(120).collect();
    if text.len() < line.message.len() {
        text.push_str("...");
    }
    format!("the line of '{}': {}", line.program.unwrap_or("-").escape_debug(), text.escape_debug())
}
