//! What each format may never have, whatever a message says.

use serde_json::Value;

use super::syslog;
use super::values::{Hostile, MARKED};
use crate::message::Value::OctetString as Octets;
use crate::outcome::name::{Name, breaks_line, turns};
use crate::sinks::amqp::lane::MAX_ROUTING_KEY;
use crate::sinks::http::escape::percent;
use crate::sinks::piece::{Format, Piece};
use crate::snmp;

const MARK: &str = "MARK";

type Held = Result<(), String>;

fn ensure(holds: bool, why: impl FnOnce() -> String) -> Held {
    if holds { Ok(()) } else { Err(why()) }
}

/// Holds a piece against that with marks in the places of hostile texts.
pub(super) fn differs(marked: &Piece, piece: &Piece, hostile: &Hostile) -> Held {
    ensure(marked.format == piece.format, || "another format".to_owned())?;
    if piece.format == Format::Snmp {
        return notification(&marked.bytes, &piece.bytes, hostile);
    }
    let text = |piece: &Piece| String::from_utf8(piece.bytes.clone()).map_err(|error| error.to_string());
    let (marked, text) = (text(marked)?, text(piece)?);
    let marked = marked.as_str();
    match piece.format {
        Format::Words => ensure(text == marked, || format!("expected {marked}")),
        Format::Command => {
            let line = text.strip_suffix('\n').ok_or("no newline at its end")?;
            ensure(!line.contains(is_bad), || "a control character".to_owned())?;
            parts(marked.trim_end(), line, ';', hostile)
        }
        Format::CheckResultFile => {
            ensure(!text.replace('\n', "").contains(is_bad), || "a control character".to_owned())?;
            let (marked, lines): (Vec<&str>, Vec<&str>) = (marked.lines().collect(), text.lines().collect());
            ensure(marked.len() == lines.len(), || "another number of lines".to_owned())?;
            marked.into_iter().zip(lines).try_for_each(|(marked, line)| parts(marked, line, '=', hostile))
        }
        Format::Json | Format::JsonForNagios | Format::Slack | Format::Markdown => {
            let lines = |text: &str| text.matches('\n').count();
            ensure(lines(marked) == lines(&text), || "another line".to_owned())?;
            let read = |text: &str| serde_json::from_str::<Value>(text).map_err(|error| error.to_string());
            json(&read(marked)?, &read(&text)?, piece.format, hostile)
        }
        Format::Form => {
            ensure(text.bytes().all(|b| b.is_ascii_graphic()), || "not percent-encoded".to_owned())?;
            let (marked, fields): (Vec<&str>, Vec<&str>) =
                (marked.split('&').collect(), text.split('&').collect());
            ensure(marked.len() == fields.len(), || "another field".to_owned())?;
            let pairs = marked.into_iter().zip(fields);
            let same = |marked: &str, field: &str| marked.split('=').next() == field.split('=').next();
            let mut other =
                pairs.filter(|(marked, field)| !same(marked, field) || field.matches('=').count() != 1);
            ensure(other.next().is_none(), || "another name".to_owned())
        }
        Format::Text => {
            let bad = |c: char| !matches!(c, '\n' | '\t') && is_bad(c);
            ensure(!text.contains(bad), || "a control character".to_owned())
        }
        Format::Mail => mail(marked, &text),
        Format::Path => path(marked, &text),
        Format::RoutingKey => {
            ensure(text.len() <= MAX_ROUTING_KEY && !text.contains(is_bad), || "no routing key".to_owned())?;
            let fixed = marked.split('.').take_while(|word| !word.contains(MARK));
            let mut words = fixed.zip(text.split('.'));
            ensure(words.all(|(marked, word)| marked == word), || "another word".to_owned())
        }
        Format::Topic => {
            ensure(!text.contains(is_bad) && !text.contains(['+', '#', '$', '\0']), || {
                "no topic".to_owned()
            })?;
            levels(marked, &text, '/')
        }
        Format::Subject => {
            let bad = |c: char| is_bad(c) || c.is_whitespace() || matches!(c, '*' | '>' | '$');
            ensure(!text.contains(bad), || "no subject".to_owned())?;
            levels(marked, &text, '.')
        }
        Format::KafkaTopic => {
            let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-');
            ensure(text.len() <= 249 && text.bytes().all(plain), || "no topic of Kafka".to_owned())?;
            levels(marked, &text, '.')
        }
        Format::RecordKey => {
            let plain = text.len() <= 255 && text.bytes().all(|b| b.is_ascii_graphic());
            ensure(plain && text.matches('/').count() <= 1, || "no key".to_owned())
        }
        Format::StructuredData | Format::Cef | Format::Leef => {
            let bad = |c: char| is_bad(c) && !(c == '\t' && piece.format == Format::Leef);
            ensure(!text.contains(bad), || "a control character".to_owned())?;
            syslog::differs(marked, &text, piece.format, |marked, text| part(marked, text, hostile))
        }
        Format::Snmp => Err("no text".to_owned()),
        Format::Point => {
            let line = text.strip_suffix('\n').ok_or("no newline at its end")?;
            ensure(!line.contains(is_bad), || "a control character".to_owned())?;
            let (marked, sent) = (point(marked.trim_end())?, point(line)?);
            let names =
                |point: &[(String, String)]| point.iter().map(|(name, _)| name.clone()).collect::<Vec<_>>();
            // What is empty is left out.
            ensure(names(&sent).iter().all(|name| names(&marked).contains(name)), || {
                "another tag or field".to_owned()
            })?;
            sent.iter().try_for_each(|(name, value)| {
                let marked = marked.iter().find(|(known, _)| known == name).map_or("", |(_, value)| value);
                part(marked, value, hostile)
            })
        }
        Format::ItemKey => {
            ensure(!text.contains(is_bad), || "a control character".to_owned())?;
            let service = |key: &str| {
                let parameter = key.split_once("[\"").and_then(|(_, rest)| rest.strip_suffix("\"]"));
                parameter.map(|text| text.replace("\\\"", "\"").trim_end().to_owned())
            };
            match (service(marked), service(&text)) {
                (Some(marked), Some(service)) => part(&marked, &service, hostile),
                (None, None) => part(marked, &text, hostile),
                _ => Err("a parameter more or less".to_owned()),
            }
        }
        Format::Field(room) => {
            // The daemon that reads it escapes the lines of an output.
            let bad = |c: char| c != '\n' && is_bad(c);
            ensure(text.len() < room && !text.contains(bad), || "it leaves its field".to_owned())?;
            part(marked, &text, hostile)
        }
    }
}

/// The tags and fields of a point, and its time, as InfluxDB reads them.
fn point(line: &str) -> Result<Vec<(String, String)>, String> {
    let (mut all, mut name, mut value, mut in_value, mut quoted) =
        (Vec::new(), String::new(), String::new(), false, false);
    let mut chars = line.chars().peekable();
    let mut spaces = 0;
    while let Some(c) = chars.next() {
        let next = chars.peek().copied();
        match c {
            '\\' if quoted && matches!(next, Some('"' | '\\')) => value.extend(chars.next()),
            '\\' if !quoted && matches!(next, Some(',' | '=' | ' ')) => {
                if in_value { &mut value } else { &mut name }.extend(chars.next());
            }
            '"' if spaces == 1 && in_value => quoted = !quoted,
            '=' if !quoted && !in_value => in_value = true,
            ',' | ' ' if !quoted => {
                spaces += usize::from(c == ' ');
                all.push((std::mem::take(&mut name), std::mem::take(&mut value)));
                in_value = false;
            }
            c => if in_value { &mut value } else { &mut name }.push(c),
        }
    }
    ensure(spaces == 2 && !quoted, || format!("no point: {line}"))?;
    all.push(("time".to_owned(), name));
    Ok(all)
}

/// The same varbinds, each of the same type; what is a text is one.
fn notification(marked: &[u8], packet: &[u8], hostile: &Hostile) -> Held {
    let read = |packet| snmp::decode(packet).map_err(|error| error.to_string());
    let (marked, packet) = (read(marked)?, read(packet)?);
    ensure(packet.odd == 0, || "something odd in it".to_owned())?;
    let (marked, sent) = (&marked.notification, &packet.notification);
    ensure((&marked.oid, marked.kind) == (&sent.oid, sent.kind), || "another notification".to_owned())?;
    ensure(marked.varbinds.len() == sent.varbinds.len(), || "another varbind".to_owned())?;
    marked.varbinds.iter().zip(&sent.varbinds).try_for_each(|(marked, sent)| {
        ensure(marked.oid == sent.oid, || "another name".to_owned())?;
        let (Octets(marked), Octets(octets)) = (&marked.value, &sent.value) else {
            return ensure(marked.value == sent.value, || format!("{:?}", sent.value));
        };
        let Ok(marked) = std::str::from_utf8(marked) else {
            return ensure(marked == octets, || "other octets".to_owned());
        };
        let text = std::str::from_utf8(octets).map_err(|error| error.to_string())?;
        ensure(!text.contains(|c| c != '\n' && is_bad(c)), || "a control character".to_owned())?;
        part(marked, text, hostile)
    })
}

/// What ends a line for some reader, controls a terminal or turns text.
fn is_bad(c: char) -> bool {
    breaks_line(c) || turns(c)
}

/// Parts of a line; the last one may have separators.
fn parts(marked: &str, line: &str, separator: char, hostile: &Hostile) -> Held {
    let count = marked.matches(separator).count() + 1;
    let parts: Vec<&str> = line.splitn(count, separator).collect();
    ensure(parts.len() == count, || "a part less".to_owned())?;
    marked.split(separator).zip(parts).try_for_each(|(marked, text)| part(marked, text, hostile))
}

/// As many levels, of which those without a mark are the same, and none is lost.
fn levels(marked: &str, text: &str, separator: char) -> Held {
    let (expected, levels): (Vec<&str>, Vec<&str>) =
        (marked.split(separator).collect(), text.split(separator).collect());
    // An outcome whose service has an empty name has none.
    let fewer = levels.len() + 1 == expected.len() && expected.last() == Some(&MARKED.service);
    ensure(levels.len() == expected.len() || fewer, || "another level".to_owned())?;
    let mut pairs = expected.iter().zip(&levels);
    ensure(pairs.all(|(marked, level)| marked.contains(MARK) || marked == level), || {
        "another name of a level".to_owned()
    })
}

/// A part that has no mark is the same for all outcomes; a name is never another one.
fn part(marked: &str, text: &str, hostile: &Hostile) -> Held {
    let expected = match marked {
        mark if mark == MARKED.host => Name::from(hostile.texts.host.as_str()),
        mark if mark == MARKED.service => Name::from(hostile.texts.service.as_str()),
        marked if marked.contains(MARK) => return Ok(()),
        fixed => return ensure(fixed == text, || format!("'{text}' is not '{fixed}'")),
    };
    ensure(expected.as_str() == text || is_key(&expected, text), || {
        format!("'{text}' is not the name '{expected}'")
    })
}

/// Whether a text is the key of a name: percent-encoded, a long one cut, with a checksum.
fn is_key(name: &str, text: &str) -> bool {
    let whole = percent(name);
    let start = text.rsplit_once('~').map(|(start, _)| start);
    whole == text || (whole.len() > text.len() && start.is_some_and(|start| whole.starts_with(start)))
}

fn json(marked: &Value, value: &Value, format: Format, hostile: &Hostile) -> Held {
    match (marked, value) {
        (Value::Object(marked), Value::Object(object)) => {
            ensure(marked.len() >= object.len(), || format!("another key in {value}"))?;
            // A name can be a key.
            let other = object.iter().find(|(key, _)| !marked.contains_key(*key));
            marked.iter().try_for_each(|(key, marked)| match object.get(key) {
                Some(value) => json(marked, value, format, hostile),
                None if key.contains(MARK) => json(marked, other.ok_or("a key less")?.1, format, hostile),
                // What is empty may be left out.
                None if marked.as_str().is_some_and(|text| text.contains(MARK)) => Ok(()),
                None => Err(format!("{value} has no '{key}'")),
            })
        }
        (Value::Array(marked), Value::Array(values)) => {
            if marked.iter().all(|value| value.as_str().is_some_and(|text| text.contains(MARK))) {
                return ensure(values.iter().all(Value::is_string), || format!("no list of texts: {value}"));
            }
            ensure(marked.len() == values.len(), || "another entry".to_owned())?;
            marked.iter().zip(values).try_for_each(|(marked, value)| json(marked, value, format, hostile))
        }
        (Value::String(marked), Value::String(text)) => string(marked, text, format, hostile),
        (marked, value) => ensure(marked == value, || format!("{value} is not {marked}")),
    }
}

fn string(marked: &str, text: &str, format: Format, hostile: &Hostile) -> Held {
    match format {
        Format::JsonForNagios => {
            ensure(!text.contains(is_bad), || "a control character".to_owned())?;
            parts(marked, text, ';', hostile)
        }
        Format::Slack => {
            ensure(in_slack(marked) == in_slack(text), || format!("markup of Slack in '{text}'"))?;
            part_of_chat(marked, text)
        }
        Format::Markdown => {
            ensure(in_markdown(marked) == in_markdown(text), || format!("markup of Markdown in '{text}'"))?;
            part_of_chat(marked, text)
        }
        _ => part(marked, text, hostile),
    }
}

fn part_of_chat(marked: &str, text: &str) -> Held {
    ensure(marked.contains(MARK) || marked == text, || format!("'{text}' is not '{marked}'"))
}

/// How many links, mentions and bare ampersands there are.
fn in_slack(text: &str) -> usize {
    let entity = |behind: &str| ["amp;", "lt;", "gt;"].iter().any(|entity| behind.starts_with(entity));
    let bare = text.split('&').skip(1).filter(|behind| !entity(behind)).count();
    bare + text.matches(['<', '>']).count()
}

/// How many characters there are that begin markup or a mention.
fn in_markdown(text: &str) -> usize {
    let mut count = 0;
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '\\' => drop(chars.next()),
            '@' if chars.peek() == Some(&'\u{200b}') => {}
            '@' | '`' | '*' | '_' | '~' | '|' | '#' | '[' | ']' | '<' | '>' => count += 1,
            _ => {}
        }
    }
    count
}

/// The same headers, of which only the subject and ids differ, and no line that ends the mail or is none.
fn mail(marked: &str, mail: &str) -> Held {
    let headers = |mail: &str| -> Option<Vec<(String, String)>> {
        let head = mail.split_once("\r\n\r\n")?.0.replace("\r\n ", " ");
        head.split("\r\n")
            .map(|line| line.split_once(": ").map(|(n, v)| (n.to_owned(), v.to_owned())))
            .collect()
    };
    let (expected, found) = (headers(marked).ok_or("no headers")?, headers(mail).ok_or("no headers")?);
    ensure(expected.len() == found.len(), || "another header".to_owned())?;
    for ((name, marked), (other, value)) in expected.iter().zip(&found) {
        ensure(name == other, || format!("another header '{other}'"))?;
        let depends = ["Subject", "In-Reply-To", "References", "Message-ID", "Content-Transfer-Encoding"]
            .contains(&name.as_str());
        ensure(depends || marked == value, || format!("another '{name}': {value}"))?;
    }
    ensure(mail.is_ascii() && !mail.replace("\r\n", "").contains(is_bad_in_mail), || {
        "a bare character".to_owned()
    })
}

fn is_bad_in_mail(c: char) -> bool {
    c != '\t' && is_bad(c)
}

fn path(marked: &str, path: &str) -> Held {
    ensure(path.bytes().all(|b| b.is_ascii_graphic()), || "not percent-encoded".to_owned())?;
    let split =
        |path: &str| -> Vec<String> { path.split(['/', '?', '&', '=', '#']).map(str::to_owned).collect() };
    let (expected, parts) = (split(marked), split(path));
    ensure(expected.len() == parts.len(), || "another part of the path".to_owned())?;
    let mut pairs = expected.iter().zip(&parts);
    ensure(pairs.all(|(marked, part)| marked.contains(MARK) || marked == part), || {
        "another path".to_owned()
    })?;
    // Some servers decode a path before they resolve its dots.
    let decoded = path.split('?').next().unwrap_or_default().to_lowercase();
    let decoded = [("%2e", "."), ("%2f", "/"), ("%5c", "/")]
        .iter()
        .fold(decoded, |path, (code, c)| path.replace(code, c));
    ensure(!decoded.split('/').any(|part| matches!(part, "." | "..")), || "a part of dots".to_owned())
}
