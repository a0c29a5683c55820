//! A rule for a line of syslog that was received.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::net::IpAddr;
use std::ops::Range;

use super::draft::{Draft, slug};
use crate::message::SyslogLine;
use crate::settings::section::quoted;
use crate::syslog::pieces::{MOST, Piece, pieces};

/// How many words the name of a service has.
const WORDS: usize = 4;

/// A rule for a line: its numbers, addresses and quoted texts become named groups of the pattern, the rest of the message is
/// literal.
pub fn line(line: &SyslogLine<'_>, raw: &str) -> Draft {
    line_with(line, raw, &[])
}

/// A part of a message that becomes a named group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Span {
    /// Its bytes.
    pub range: Range<usize>,
    /// The name of the group.
    pub name: String,
}

/// The same; if any parts of the message are named, these become groups, and what else differs from line to line has no name.
/// The parts are in their order and do not overlap.
pub fn line_with(line: &SyslogLine<'_>, raw: &str, spans: &[Span]) -> Draft {
    let pattern = if spans.is_empty() { pattern(line.message) } else { spanned(line.message, spans) };
    let program = line.program.filter(|program| !program.is_empty());
    let words = literal_words(line.message);
    let subject = match (program, words.as_str()) {
        (Some(program), "") => program.to_owned(),
        (Some(program), words) => format!("{program}: {words}"),
        (None, "") => "Syslog".to_owned(),
        (None, words) => words.to_owned(),
    };
    let (state, because) = state(line.severity);
    let mut text = String::new();
    let _ = writeln!(text, "# State: {because}.");
    if pattern.groups.is_empty() {
        let _ = writeln!(text, "# Service: one for the host.");
    } else {
        let groups: Vec<String> = pattern.groups.iter().map(|name| format!("{{{{ {name} }}}}")).collect();
        let _ = writeln!(
            text,
            "# Service: one for the host. To tell instances apart, add what differs between them: {}.",
            groups.join(", ")
        );
    }
    let of_program = program.map(|program| format!("program = {}, ", quoted(&literal_glob(program))));
    let _ = write!(
        text,
        "[[rule]]\nid = {}\nsyslog = {{ {}message = {} }}\n[rule.check]\nservice = {}\nstate = \"{state}\"\noutput = \"{{{{ message }}}}\"\n",
        quoted(&id(program, &words)),
        of_program.unwrap_or_default(),
        quoted(&pattern.text),
        quoted(&escaped(&subject)),
    );
    Draft { rule: text, message: format!("line = {}", quoted(raw)) }
}

fn id(program: Option<&str>, words: &str) -> String {
    let id = slug(&format!("{} {words}", program.unwrap_or("syslog")), 60);
    if id.is_empty() { "syslog-line".to_owned() } else { id }
}

/// What a state is taken from.
fn state(severity: Option<u8>) -> (&'static str, String) {
    match severity {
        Some(severity @ 0..=3) => ("critical", format!("the severity of the line, {severity}")),
        Some(4) => ("warning", "the severity of the line, 4 (warning)".to_owned()),
        Some(severity) => (
            "warning",
            format!("the severity of the line, {severity}, is no trouble; change it to what the line means"),
        ),
        None => ("warning", "the line has no severity; change it to what the line means".to_owned()),
    }
}

/// The first words without digits.
fn literal_words(message: &str) -> String {
    let head = &message[..message.floor_char_boundary(MOST)];
    let is_word = |word: &&str| {
        let letters = word.trim_matches(|c: char| !c.is_alphabetic());
        !letters.is_empty() && word.chars().all(|c| c.is_alphabetic() || matches!(c, '-' | ':' | ',' | '.'))
    };
    let words: Vec<&str> = head
        .split_whitespace()
        .take_while(is_word)
        .map(|word| word.trim_matches(|c: char| !c.is_alphabetic()))
        .take(WORDS)
        .collect();
    words.join(" ")
}

/// A pattern, and the names of its groups.
struct Pattern {
    text: String,
    groups: Vec<String>,
}

fn pattern(message: &str) -> Pattern {
    let mut made = Pattern { text: "^".to_owned(), groups: Vec::new() };
    let mut counts = BTreeMap::new();
    // The pieces by which the inbox takes lines together.
    for piece in pieces(message) {
        match piece {
            Piece::Fixed(text) => made.text.push_str(&regex::escape(text)),
            Piece::Word(word) => {
                let (name, group) = kind(word);
                made.group(name, group, &mut counts);
            }
            Piece::Quoted(_) => {
                made.text.push('"');
                made.group("text", "[^\"]*", &mut counts);
                made.text.push('"');
            }
        }
    }
    if message.len() <= MOST {
        made.text.push('$');
    }
    made
}

impl Pattern {
    fn group(&mut self, name: &str, group: &str, counts: &mut BTreeMap<String, usize>) {
        let count = counts.entry(name.to_owned()).or_default();
        *count += 1;
        let name = if *count == 1 { name.to_owned() } else { format!("{name}{count}") };
        let _ = write!(self.text, "(?<{name}>{group})");
        self.groups.push(name);
    }
}

/// The parts of a message that [`line()`] makes groups of.
pub fn suggested(message: &str) -> Vec<Span> {
    let (mut spans, mut counts, mut at) = (Vec::new(), BTreeMap::new(), 0);
    for piece in pieces(message) {
        let (start, length, name) = match piece {
            Piece::Fixed(text) => {
                at += text.len();
                continue;
            }
            Piece::Word(word) => (at, word.len(), kind(word).0),
            Piece::Quoted(text) => (at + 1, text.len(), "text"),
        };
        let count = counts.entry(name).or_insert(0);
        *count += 1;
        let name = if *count == 1 { name.to_owned() } else { format!("{name}{count}") };
        spans.push(Span { range: start..start + length, name });
        at = start + length + usize::from(matches!(piece, Piece::Quoted(_)));
    }
    spans
}

/// A pattern with these groups.
fn spanned(message: &str, spans: &[Span]) -> Pattern {
    let mut made = Pattern { text: "^".to_owned(), groups: Vec::new() };
    let mut at = 0;
    for span in spans {
        unnamed(&message[at..span.range.start], &mut made.text);
        let part = &message[span.range.clone()];
        let behind = &message[span.range.end..];
        let between = message[..span.range.start].ends_with('"') && behind.starts_with('"');
        let quoted = between && !part.contains('"');
        let _ = write!(made.text, "(?<{}>{})", span.name, class(part, quoted, behind.is_empty()));
        made.groups.push(span.name.clone());
        at = span.range.end;
    }
    let rest = &message[at..];
    let end = rest.floor_char_boundary(MOST.saturating_sub(at));
    unnamed(&rest[..end], &mut made.text);
    if end == rest.len() {
        made.text.push('$');
    }
    made
}

/// A pattern for a part of a message, without groups.
fn unnamed(text: &str, pattern: &mut String) {
    for piece in pieces(text) {
        match piece {
            Piece::Fixed(text) => pattern.push_str(&regex::escape(text)),
            Piece::Word(word) => pattern.push_str(kind(word).1),
            Piece::Quoted(_) => pattern.push_str("\"[^\"]*\""),
        }
    }
    // `pieces` looks at no more.
    pattern.push_str(&regex::escape(&text[text.floor_char_boundary(MOST)..]));
}

/// What texts like this one match.
fn class(part: &str, quoted: bool, last: bool) -> &'static str {
    match (kind(part), last) {
        _ if quoted => "[^\"]*",
        (("number" | "address", class), _) => class,
        (_, true) if part.contains(char::is_whitespace) => ".+",
        (_, false) if part.contains(char::is_whitespace) => ".+?",
        (_, true) => r"\S+",
        (_, false) => r"\S+?",
    }
}

/// What a word with a digit is, and the pattern of such words.
fn kind(word: &str) -> (&'static str, &'static str) {
    if word.parse::<IpAddr>().is_ok() {
        ("address", "[0-9A-Fa-f:.]+")
    } else if word.bytes().all(|b| b.is_ascii_digit()) {
        ("number", "[0-9]+")
    } else {
        ("word", r"\S+?")
    }
}

/// A program's name may have what stands for others in a glob; `?` takes each of them.
fn literal_glob(program: &str) -> String {
    program.replace(['*', '?'], "?")
}

/// A text as a template that prints it.
fn escaped(text: &str) -> String {
    text.replace(['{', '}'], "")
}
