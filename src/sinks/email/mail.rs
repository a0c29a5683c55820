//! Mail: headers and a text, as they are sent (RFC 5322, RFC 2047, RFC 2045). Pure. No text of a message stands in a header but
//! as one clean line or as encoded words.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use jiff::Timestamp;
use sha2::{Digest as _, Sha256};

use crate::outcome::name::Name;
use crate::outcome::record::Record;
use crate::outcome::result::State;
use crate::sinks::fields::Template;
use crate::sinks::http::escape::in_text;
use crate::sinks::sink::{Letter, Said};
use crate::time::clock::rfc3339;

/// The longest subject, in characters.
const MAX_SUBJECT: usize = 200;
/// The longest line that is sent as it is, in octets; a line may have 998 (RFC 5322, section 2.1.1).
const MAX_LINE: usize = 900;
/// What an encoded word has of a text, in octets, so that it has at most 75 (RFC 2047, section 2).
const WORD: usize = 45;
/// The longest text of an outcome among others, in octets.
const MAX_PART: usize = 4096;
/// How many hosts the subject of a mail with several outcomes names.
const MOST_HOSTS: usize = 3;

/// How mail is made.
#[derive(Debug, Clone)]
pub(super) struct Composer {
    /// The sender's address.
    pub(super) from: String,
    /// The recipients' addresses, at least one.
    pub(super) to: Vec<String>,
    /// The subject of a mail with one outcome; none for the usual one.
    pub(super) subject: Option<Template>,
    /// The text of a mail with one outcome; none for the usual one.
    pub(super) body: Option<Template>,
}

/// A mail.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Mail {
    /// As it is sent, with `\r\n` at the end of each line. A line that begins with a dot has one more when it is sent.
    pub(super) text: String,
    /// Whether something of it was cut.
    pub(super) cut: bool,
}

impl Composer {
    /// The mail for some outcomes, at least one. `short` leaves out what may be long.
    ///
    /// # Errors
    ///
    /// Why there can be none.
    pub(super) fn mail(&self, records: &[Record<'_>], short: bool) -> Result<Mail, Said> {
        match records {
            [record] => self.single(record, short),
            records => Ok(self.several(records)),
        }
    }

    fn single(&self, record: &Record<'_>, short: bool) -> Result<Mail, Said> {
        let outcome = &record.outcome;
        let computed = |key: &str, template: &Template| {
            template
                .render(record)
                .map_err(|error| Said::from(format!("'{key}' cannot be computed: {error}")))
        };
        let subject = match &self.subject {
            Some(template) => computed("subject", template)?,
            None => headline(record),
        };
        let common = outcome.common();
        let text = match &self.body {
            Some(template) => computed("body", template)?,
            None => details(record),
        };
        let (text, cut) = if short { shortened(&text) } else { (text, false) };
        // Mail programs show what is about one problem together.
        let problem = self.message_id(&format!("problem {} {:?}", outcome.host(), outcome.service()));
        let thread = format!("In-Reply-To: {problem}\r\nReferences: {problem}\r\n");
        let id = self.message_id(&record.id());
        Ok(Mail { text: self.whole(&subject, common.time, &id, &thread, &text), cut })
    }

    fn several(&self, records: &[Record<'_>]) -> Mail {
        let mut states: BTreeMap<u8, (State, usize)> = BTreeMap::new();
        let mut hosts: Vec<&str> = Vec::new();
        let (mut text, mut ids, mut time, mut cut) = (String::new(), String::new(), i64::MIN, false);
        for record in records {
            let common = record.outcome.common();
            let rank = u8::MAX - common.state.severity() * 2 - u8::from(common.state.is_host());
            states.entry(rank).or_insert((common.state, 0)).1 += 1;
            let host = record.outcome.host();
            if !hosts.contains(&host) {
                hosts.push(host);
            }
            let (part, was_cut) = shortened(&said(record));
            cut |= was_cut;
            let _ = write!(text, "{} ({})\n{part}\n\n", headline(record), rfc3339(common.time));
            ids.push_str(&record.id());
            time = time.max(common.time);
        }
        let states: Vec<String> =
            states.values().map(|(state, count)| format!("{count} {}", state.as_str())).collect();
        let more = hosts.len().saturating_sub(MOST_HOSTS);
        let mut subject = format!("{}: {}", states.join(", "), hosts[..hosts.len() - more].join(", "));
        if more > 0 {
            let _ = write!(subject, " and {more} more");
        }
        Mail { text: self.whole(&subject, time, &self.message_id(&ids), "", &text), cut }
    }

    /// A letter with its file.
    pub(super) fn letter(&self, letter: &Letter, to: &[String]) -> String {
        let (from, to) = (&self.from, to.join(",\r\n "));
        let subject = header("Subject: ", &letter.subject);
        let date = Timestamp::from_microsecond(letter.time).unwrap_or(Timestamp::UNIX_EPOCH);
        let date = date.strftime("%a, %d %b %Y %H:%M:%S +0000");
        let id = self.message_id(&letter.id);
        // No line of base64 has such signs, and no line of the text begins so.
        let part = format!("=_{}", id.trim_matches(['<', '>']).split('@').next().unwrap_or_default());
        let (encoding, text) = body(&letter.text);
        let name: String = letter.file.chars().map(|c| if is_plain(c) { c } else { '_' }).collect();
        let (kind, content) = (letter.kind, wrapped(letter.content.as_bytes()));
        format!(
            "From: {from}\r\nTo: {to}\r\n{subject}\r\nDate: {date}\r\nMessage-ID: {id}\r\n\
             Auto-Submitted: auto-generated\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=\"{part}\"\r\n\r\n\
             --{part}\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: {encoding}\r\n\r\n{text}\
             --{part}\r\nContent-Type: {kind}; name=\"{name}\"\r\nContent-Transfer-Encoding: base64\r\n\
             Content-Disposition: attachment; filename=\"{name}\"\r\n\r\n{content}--{part}--\r\n"
        )
    }

    fn whole(&self, subject: &str, time: i64, id: &str, more: &str, text: &str) -> String {
        let (from, to) = (&self.from, self.to.join(",\r\n "));
        let subject = header("Subject: ", subject);
        let date = Timestamp::from_microsecond(time).unwrap_or(Timestamp::UNIX_EPOCH);
        let date = date.strftime("%a, %d %b %Y %H:%M:%S +0000");
        let (encoding, body) = body(text);
        format!(
            "From: {from}\r\nTo: {to}\r\n{subject}\r\nDate: {date}\r\nMessage-ID: {id}\r\n{more}\
             Auto-Submitted: auto-generated\r\nMIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\n\
             Content-Transfer-Encoding: {encoding}\r\n\r\n{body}"
        )
    }

    /// A message id that is the same for the same text.
    fn message_id(&self, of: &str) -> String {
        let digest = Sha256::digest(of.as_bytes());
        let hex = digest[..16].iter().fold(String::new(), |mut hex, byte| {
            let _ = write!(hex, "{byte:02x}");
            hex
        });
        let domain = self.from.rsplit('@').next().unwrap_or("localhost");
        format!("<{hex}@{domain}>")
    }
}

fn headline(record: &Record<'_>) -> String {
    let state = record.outcome.common().state.as_str().to_uppercase();
    match record.outcome.service() {
        Some(service) => format!("{state}: {} {service}", record.outcome.host()),
        None => format!("{state}: {}", record.outcome.host()),
    }
}

/// Output and further lines.
fn said(record: &Record<'_>) -> String {
    let common = record.outcome.common();
    let separator = if common.long_output.is_empty() { "" } else { "\n" };
    format!("{}{separator}{}", common.output, common.long_output)
}

/// The usual text.
fn details(record: &Record<'_>) -> String {
    let common = record.outcome.common();
    let mut text = format!("{}\n\n", said(record));
    let time = rfc3339(common.time);
    let id = record.id();
    let fields = [
        ("host", record.outcome.host()),
        ("service", record.outcome.service().unwrap_or("")),
        ("state", common.state.as_str()),
        ("time", &time),
        ("source", &common.source),
        ("rule", &common.rule),
        ("id", &id),
    ];
    let labels = common.labels.iter().map(|(name, value)| (&**name, &**value));
    for (name, value) in fields.into_iter().chain(labels).filter(|(_, value)| !value.is_empty()) {
        let _ = writeln!(text, "{name}: {}", Name::new(value));
    }
    text
}

fn shortened(text: &str) -> (String, bool) {
    if text.len() <= MAX_PART {
        return (text.to_owned(), false);
    }
    (format!("{} ...", &text[..text.floor_char_boundary(MAX_PART)]), true)
}

/// A header with any text as its value.
fn header(name: &str, value: &str) -> String {
    let value: String = Name::new(value).chars().take(MAX_SUBJECT).collect();
    let plain = value.bytes().all(|b| matches!(b, b' '..=b'~')) && !value.contains("=?");
    if plain && name.len() + value.len() <= 76 {
        return format!("{name}{value}");
    }
    let mut words = Vec::new();
    let mut rest = value.as_str();
    while !rest.is_empty() {
        let (word, behind) = rest.split_at(rest.floor_char_boundary(WORD));
        words.push(format!("=?UTF-8?B?{}?=", BASE64_STANDARD.encode(word)));
        rest = behind;
    }
    format!("{name}{}", words.join("\r\n "))
}

/// How a text is encoded, and so encoded.
fn body(text: &str) -> (&'static str, String) {
    let text = in_text(text);
    let plain = text.is_ascii() && text.lines().all(|line| line.len() <= MAX_LINE);
    let mut lines = String::with_capacity(text.len() + 64);
    for line in text.lines() {
        lines.push_str(line);
        lines.push_str("\r\n");
    }
    if plain {
        return ("7bit", lines);
    }
    ("base64", wrapped(lines.as_bytes()))
}

/// In base64, in lines.
fn wrapped(content: &[u8]) -> String {
    let encoded = BASE64_STANDARD.encode(content);
    let mut wrapped = String::with_capacity(encoded.len() + encoded.len() / 38);
    for (at, c) in encoded.chars().enumerate() {
        if at > 0 && at % 76 == 0 {
            wrapped.push_str("\r\n");
        }
        wrapped.push(c);
    }
    wrapped.push_str("\r\n");
    wrapped
}

/// Whether a character of the name of a file stands in a header as it is.
fn is_plain(c: char) -> bool {
    c.is_ascii_alphanumeric() || "-_. ".contains(c)
}

/// With the dots that the protocol adds (RFC 5321, section 4.5.2), and its end.
pub(super) fn stuffed(mail: &str) -> String {
    let mut out = String::with_capacity(mail.len() + 16);
    for line in mail.split_inclusive("\r\n") {
        if line.starts_with('.') {
            out.push('.');
        }
        out.push_str(line);
    }
    out.push_str(".\r\n");
    out
}

/// Whether a text is an address that is written without quotes (RFC 5321, section 4.1.2: Dot-string and Domain).
pub fn is_address(text: &str) -> bool {
    let Some((local, domain)) = text.split_once('@') else { return false };
    let dotted = |text: &str, valid: fn(char) -> bool| {
        text.split('.').all(|part| !part.is_empty() && part.chars().all(valid))
    };
    let is_atom = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-/=?^_`{|}~".contains(c);
    let host = |c: char| c.is_ascii_alphanumeric() || c == '-';
    text.len() <= 254 && local.len() <= 64 && dotted(local, is_atom) && dotted(domain, host)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::sinks::testing::record;

    fn composer() -> Composer {
        let to = vec!["noc@example.org".into(), "boss@example.org".into()];
        Composer { from: "trapline@example.org".into(), to, subject: None, body: None }
    }

    /// Headers, unfolded, and the text.
    fn read(mail: &str) -> (Vec<(String, String)>, String) {
        let (head, body) = mail.split_once("\r\n\r\n").unwrap();
        let head = head.replace("\r\n ", " ");
        assert!(!head.replace("\r\n", "").contains(['\r', '\n']));
        let headers: Vec<(String, String)> = head
            .split("\r\n")
            .map(|line| line.split_once(": ").map(|(n, v)| (n.to_owned(), v.to_owned())).unwrap())
            .collect();
        let encoded = headers.iter().any(|(_, value)| value == "base64");
        let body = if encoded {
            String::from_utf8(BASE64_STANDARD.decode(body.replace("\r\n", "")).unwrap()).unwrap()
        } else {
            body.to_owned()
        };
        (headers, body)
    }

    fn decoded(value: &str) -> String {
        if !value.starts_with("=?") {
            return value.to_owned();
        }
        let word = |word: &str| {
            assert!(word.len() <= 75);
            let text = word.strip_prefix("=?UTF-8?B?").unwrap().strip_suffix("?=").unwrap();
            String::from_utf8(BASE64_STANDARD.decode(text).unwrap()).unwrap()
        };
        value.split(' ').map(word).collect()
    }

    #[test]
    fn a_mail_about_one_outcome() {
        let mail = composer().mail(&[record("rtr1", Some("Gi0/3"), "down")], false).unwrap();
        let expected = "From: trapline@example.org\r\nTo: noc@example.org,\r\n boss@example.org\r\nSubject: CRITICAL: rtr1 Gi0/3\r\n\
             Date: Tue, 14 Nov 2023 22:13:20 +0000\r\nMessage-ID: <ID@example.org>\r\n\
             In-Reply-To: <PROBLEM@example.org>\r\nReferences: <PROBLEM@example.org>\r\n\
             Auto-Submitted: auto-generated\r\nMIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\n\
             Content-Transfer-Encoding: 7bit\r\n\r\ndown\r\n\r\nhost: rtr1\r\nservice: Gi0/3\r\nstate: critical\r\n\
             time: 2023-11-14T22:13:20.123456Z\r\nsource: 192.0.2.1\r\nrule: r\r\nid: 0000000000000001-2\r\n";
        let (headers, _) = read(&mail.text);
        let id = |name: &str| {
            let (_, value) = headers.iter().find(|(known, _)| known == name).unwrap();
            value.strip_prefix('<').unwrap().split('@').next().unwrap().to_owned()
        };
        let expected = expected.replace("ID@", &format!("{}@", id("Message-ID")));
        assert_eq!(mail.text, expected.replace("PROBLEM@", &format!("{}@", id("In-Reply-To"))));
        assert!(!mail.cut);
    }

    #[test]
    fn a_mail_about_several() {
        let many = [
            record("a", Some("s"), "one"),
            record("b", None, "two\n.dot"),
            record("c", None, "three"),
            record("d", None, "four"),
        ];
        let mail = composer().mail(&many, false).unwrap();
        let (headers, body) = read(&mail.text);
        assert_eq!(headers[2], ("Subject".into(), "4 critical: a, b, c and 1 more".into()));
        let time = "(2023-11-14T22:13:20.123456Z)\r\n";
        let start = format!("CRITICAL: a s {time}one\r\n\r\nCRITICAL: b {time}two\r\n.dot\r\n\r\n");
        assert!(body.starts_with(&start), "{body}");
        let sent = stuffed(&mail.text);
        assert!(sent.contains("\r\n..dot\r\n") && sent.ends_with("\r\n.\r\n"));
    }

    #[test]
    fn what_is_long_is_cut() {
        let long = "é".repeat(5000);
        let one = [record("h", None, &long)];
        let (whole, short) = (composer().mail(&one, false).unwrap(), composer().mail(&one, true).unwrap());
        assert!((whole.cut, short.cut) == (false, true) && short.text.len() < whole.text.len());
        assert!(composer().mail(&[one[0].clone(), one[0].clone()], false).unwrap().cut);
    }

    #[test]
    fn templates() {
        let template = |source| Template::new(source, str::to_owned).value;
        let subject = template("{{ outcome.output }}\n{{ outcome.host }}");
        let composer = Composer { subject, body: template("x{{ outcome.output|int }}"), ..composer() };
        let (headers, body) = read(&composer.mail(&[record("h", None, "7")], false).unwrap().text);
        assert_eq!((headers[2].1.as_str(), body.as_str()), ("7 h", "x7\r\n"));
        let error = composer.mail(&[record("h", None, "x")], false).unwrap_err();
        assert!(error.as_str().starts_with("'body' cannot be computed: "), "{error}");
    }

    #[test]
    fn addresses() {
        for right in ["a@b", "first.last+tag@mail.example.org", "o'neil@x-y.example"] {
            assert!(is_address(right), "{right}");
        }
        for wrong in [
            "a",
            "@b",
            "a@",
            "a b@c",
            "a@b c",
            "<a@b>",
            "a@b\r\nRCPT",
            "a..b@c",
            ".a@c",
            "a@c.",
            "a@@c",
            "é@c",
            "\"a\"@c",
        ] {
            assert!(!is_address(wrong), "{wrong:?}");
        }
    }

    proptest! {
        #[test]
        fn no_text_makes_another_header_or_ends_the_mail(
            host in any::<String>(),
            output in "(\\PC|[\r\n\t.:=? ]){0,40}",
            long in "(\r\n|\n|\r|\\.|a|é){0,200}",
        ) {
            let one = record(&host, Some("s"), &output);
            let mut two = record(&host, None, &long);
            two.outcome.common_mut().long_output = output.as_str().into();
            let names = |mail: &str| read(mail).0.into_iter().map(|(name, _)| name).collect::<Vec<_>>();
            let usual = names(&composer().mail(&[record("h", None, "o")], false).unwrap().text);
            for records in [vec![one.clone()], vec![two.clone()], vec![one, two]] {
                let mail = composer().mail(&records, false).unwrap().text;
                let (headers, _) = read(&mail);
                let expected: Vec<String> = usual
                    .iter()
                    .filter(|name| records.len() == 1 || !matches!(name.as_str(), "In-Reply-To" | "References"))
                    .cloned()
                    .collect();
                prop_assert_eq!(names(&mail), expected);
                prop_assert!(mail.is_ascii() && mail.split("\r\n").all(|line| line.len() <= 998));
                prop_assert!(!mail.replace("\r\n", "").contains(['\r', '\n']));
                prop_assert_eq!(stuffed(&mail).find("\r\n.\r\n"), Some(stuffed(&mail).len() - 5));
                let subject = decoded(&headers[2].1);
                if records.len() == 1 {
                    let start: String = Name::new(format!("CRITICAL: {}", Name::new(host.as_str()))).chars().take(60).collect();
                    prop_assert!(subject.starts_with(start.trim_end()), "{} {}", subject, start);
                }
            }
        }
    }
}
