//! Groups of the inbox and their messages, as people and scripts see them.

use serde_json::{Value, json};

use super::ground::source;
use crate::inbox::{Group, Key, Raw, Sample};
use crate::intake::describe;
use crate::intake::line::{Line, Reading};
use crate::message::Message;
use crate::mib::Mib;
use crate::posted::kept::Kept;
use crate::settings::values::unhex;
use crate::snmp;
use crate::time::clock::rfc3339;

/// What the messages of a group are, in a line.
pub fn what(group: &Group, mib: &Mib) -> String {
    match &group.key {
        Key::Trap(oid) => match oid.parse() {
            Ok(known) => format!("{} ({oid})", mib.name_of(&known)),
            Err(_) => oid.clone(),
        },
        Key::Line { program, text } => {
            let last = group.samples.back().map(|sample| &sample.raw);
            let text = match last {
                Some(Raw::Line(line)) => line,
                _ => text,
            };
            format!(
                "{}: {}",
                program.as_deref().unwrap_or("-").escape_debug(),
                shortened(text).escape_debug()
            )
        }
        Key::Malformed(reason) => format!("malformed packets ({reason})"),
        Key::Posted { kind, name } => format!("{kind} {}", name.escape_debug()),
        Key::Others(address) => format!("further kinds of messages of {address}"),
    }
}

fn shortened(text: &str) -> &str {
    &text[..text.floor_char_boundary(120)]
}

/// A group without its messages.
pub fn summary(group: &Group, mib: &Mib) -> Value {
    json!({
        "group": group.id,
        "kind": group.key,
        "what": what(group, mib),
        "count": group.count,
        "first": rfc3339(group.first),
        "last": rfc3339(group.last),
        "senders": group.senders,
        "other_senders": group.other_senders,
        "kept": group.samples.len(),
    })
}

/// A group with its messages, the oldest first.
pub fn with_messages(group: &Group, lines: &Reading<'_>, mib: &Mib) -> Value {
    let mut all = summary(group, mib);
    all["messages"] = group.samples.iter().map(|sample| message(sample, lines, mib)).collect();
    all
}

/// A message as JSON, with the message as it came as `packet_hex` or `line`, which is read as `lines` says.
pub fn message(sample: &Sample, lines: &Reading<'_>, mib: &Mib) -> Value {
    let source = source(sample);
    let charset = lines.hosts.charset_of(&source);
    let mut all = match &sample.raw {
        Raw::Line(line) => {
            let kept = Line::kept(line, sample.cut);
            let message = Message::Syslog(lines.parse(&kept, &source));
            let mut all = describe::message(&message, &source, charset, mib);
            all["line"] = line.as_str().into();
            all
        }
        Raw::Packet(hex) => {
            let octets = unhex(hex).unwrap_or_default();
            let mut all = match snmp::decode(&octets) {
                Ok(decoded) => {
                    describe::message(&Message::Notification(decoded.notification), &source, charset, mib)
                }
                Err(error) => json!({ "error": error.to_string() }),
            };
            // It is left out where messages are kept.
            all.as_object_mut().map(|all| all.remove("community"));
            all["packet_hex"] = hex.as_str().into();
            all
        }
        Raw::Posted(text) => match Kept::read(text) {
            Some(kept) => describe::message(&kept.message(), &source, charset, mib),
            None => json!({ "error": "it cannot be read" }),
        },
        Raw::Octets(hex) => json!({
            "source": source.address().to_string(), "received": rfc3339(sample.received), "octets_hex": hex,
        }),
    };
    if let Some(user) = &sample.user {
        all["version"] = "3".into();
        all["user"] = user.as_str().into();
    }
    all
}
