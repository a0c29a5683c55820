//! What is wrong in a file that is no TOML: each cause once, where it is, and what to write. The parser itself says where it is at a
//! loss, which is lines behind a bracket that is not closed, and says so again for each line that follows.

use toml::Spanned;
use toml::de::DeTable;

use crate::settings::diagnostic::{Diagnostic, Diagnostics, SourceText};
use crate::settings::statements::{self, Broken, Statement};

/// How many mistakes are looked for: the file is read again behind each.
const MOST: usize = 20;

/// What is written where nothing better is known.
const FORM: &str = "write KEY = VALUE, text in quotes: name = \"text\"";

/// Reads a file as TOML; none if it is none, and the mistakes that it has.
pub fn read<'s>(source: &SourceText<'s>, found: &mut Diagnostics) -> Option<Spanned<DeTable<'s>>> {
    let (root, errors) = DeTable::parse_recoverable(source.text);
    if errors.is_empty() {
        return Some(root);
    }
    let mut text = source.text.to_owned();
    let mut from = 0;
    for _ in 0..MOST {
        let (at, message) = first(&text)?;
        let Some(statement) = wrong(&text, from, at) else {
            found.push(source.error(&(at..at), message, Some(FORM.to_owned())));
            return None;
        };
        found.push(said(source, &statement, at, &message));
        if statement.is_header {
            // What stands below would be taken for keys of the table before.
            return None;
        }
        // What is behind it is read as if it were not there.
        from = statement.span.end;
        let blank: String =
            text[statement.span.clone()].bytes().map(|byte| if byte == b'\n' { '\n' } else { ' ' }).collect();
        text.replace_range(statement.span, &blank);
    }
    if first(&text).is_some() {
        let hint = "correct these first".to_owned();
        found.push(source.error(
            &(from..from),
            "there are more mistakes of syntax behind this one",
            Some(hint),
        ));
    }
    None
}

/// How keys are written.
const KEYS: &str = "a key has letters, digits, - and _; write others in quotes: \"ifDescr.3\" = 1";

/// The first mistake that the parser finds.
fn first(text: &str) -> Option<(usize, String)> {
    let (_, errors) = DeTable::parse_recoverable(text);
    let place = |error: &toml::de::Error| error.span().map_or(0, |span| span.start).min(text.len());
    let first = errors.iter().min_by_key(|error| place(error))?;
    Some((place(first), first.message().replace('\n', ", ")))
}

/// The statement that is the cause: the first that has something open, or the one in which the parser is at a loss.
fn wrong(text: &str, mut from: usize, at: usize) -> Option<Statement> {
    while let Some(statement) = statements::next(text, from) {
        if statement.broken.is_some() || at <= statement.span.end {
            return Some(statement);
        }
        from = statement.span.end;
    }
    None
}

fn said(source: &SourceText<'_>, statement: &Statement, at: usize, message: &str) -> Diagnostic {
    let value = statement.value.unwrap_or(statement.span.start);
    let error =
        |at: usize, message: &str, hint: &str| source.error(&(at..at), message, Some(hint.to_owned()));
    match statement.broken {
        // The parser was at a loss before: text without quotes.
        Some(Broken::String(open, _) | Broken::Open(open, _)) if at < open => {}
        Some(Broken::String(open, quotes)) => {
            let several = if quotes.len() > 1 { "" } else { " in this line" };
            let message = format!("the text that begins here has no closing {quotes}{several}");
            return error(open, &message, &format!("add {quotes} where it ends"));
        }
        Some(Broken::Open(open, bracket)) => {
            let close = if bracket == '[' { ']' } else { '}' };
            let what = if bracket == '[' { "list" } else { "table" };
            let (line, _) = source.place(statement.span.end);
            let message = format!("the '{bracket}' of this {what} is not closed");
            return error(open, &message, &format!("add {close} where it ends; line {line} is its last one"));
        }
        Some(Broken::Closed(_, bracket)) if at > value => {
            let open = if bracket == ']' { '[' } else { '{' };
            let message = format!("the '{bracket}' behind this value closes nothing");
            return error(value, &message, &format!("add {open} before the value, or remove the {bracket}"));
        }
        Some(Broken::Closed(..)) | None => {}
    }
    let key = source.text[statement.span.clone()].split('=').next().unwrap_or_default().trim();
    let rest = source.text.get(value..statement.span.end).unwrap_or_default();
    if statement.value.is_some() && (rest.trim().is_empty() || rest.starts_with('#')) {
        let message = format!("'{key}' has no value");
        return error(
            at.min(statement.span.end),
            &message,
            &format!("write one behind =, such as {key} = \"text\""),
        );
    }
    if let Some(word) = bare(source.text, statement, at) {
        return unquoted(source, statement, word);
    }
    if let Some(second) = behind_number(source.text, at) {
        let in_list = source.text[value..].starts_with(['[', '{']);
        return if in_list {
            error(second, "a comma is missing before this", "write one between two values")
        } else {
            let hint = "write one KEY = VALUE a line; a comment begins with #";
            error(second, "there is more behind the value", hint)
        };
    }
    let before = source.text[..at].trim_end_matches([' ', '\t']);
    let here = &source.text[at..];
    if before.len() == at
        && before.ends_with(['"', '\''])
        && here.starts_with(|c: char| c.is_alphanumeric() || "\"'".contains(c))
    {
        let hint = "a text with quotes in it stands in quotes of the other kind: \"it's\", 'say \"no\"', or in three: '''...'''";
        return error(at, "the text before this has ended here", hint);
    }
    let (message, hint) = said_of(message, key, &source.text[statement.span.clone()]);
    error(at, &message, &hint)
}

/// What the parser means, and what to do.
fn said_of(message: &str, key: &str, statement: &str) -> (String, String) {
    let is = |begin: &str| message.starts_with(begin);
    let hint = if is("duplicate key") {
        let (what, hint) = if statement.starts_with('[') {
            ("table", "write all its keys below the first one")
        } else {
            ("key", "remove one of the two")
        };
        return (format!("this {what} is there a second time"), hint.to_owned());
    } else if is("missing escaped value") {
        // A backslash of a regular expression.
        let message =
            "a backslash in double quotes begins an escape such as \\n, and this is none".to_owned();
        return (message, "write text with backslashes in single quotes: '\\S+'".to_owned());
    } else if statement[key.len()..].trim_start().starts_with(':') || key.ends_with(':') || key.contains(": ")
    {
        "write = between key and value: name = \"text\""
    } else if key.contains([' ', '\t']) && !key.contains(['"', '\'']) {
        return (format!("'{key}' is no key"), KEYS.to_owned());
    } else if is("key with no value")
        || is("missing value")
        || is("missing assignment")
        || is("unexpected end")
    {
        return (
            format!("'{key}' has no value"),
            format!("write a value behind =, such as {key} = \"text\""),
        );
    } else if is("extra `=`") || is("extra assignment") {
        "write one = between key and value"
    } else if is("missing comma") {
        "write a comma between two values"
    } else if is("extra comma") {
        "remove the comma"
    } else if is("unclosed array table") {
        "write two brackets on both sides: [[rule]]"
    } else if is("unclosed table") {
        "write a bracket on both sides: [journal]"
    } else if is("unexpected key or value") {
        "write one KEY = VALUE a line; a comment begins with #"
    } else if is("carriage return") {
        "save the file with the ends of lines of Unix or Windows"
    } else if is("cannot extend") {
        "a table that is written once with { } gets all its keys there"
    } else if is("invalid unquoted key") || is("unquoted keys") || is("keys cannot") {
        KEYS
    } else if is("unexpected leading zero")
        || is("`_` may")
        || is("redundant")
        || is("unexpected sign")
        || is("radix")
    {
        "write a number such as 10, or a text in quotes: \"010\""
    } else {
        FORM
    };
    (message.to_owned(), hint.to_owned())
}

/// Where a second word begins behind a number that begins here.
fn behind_number(text: &str, at: usize) -> Option<usize> {
    let line = &text[at..line_end(text, at)];
    let first = line.find([' ', '\t']).filter(|end| is_number(&line[..*end]))?;
    let second = first + line[first..].find(|c: char| c.is_alphanumeric() || "\"'".contains(c))?;
    line[first..second].trim().is_empty().then_some(at + second)
}

fn line_end(text: &str, from: usize) -> usize {
    text[from..].find('\n').map_or(text.len(), |length| from + length)
}

fn is_number(word: &str) -> bool {
    !word.is_empty() && !word.contains(|c: char| !c.is_ascii_digit() && !"_+-".contains(c))
}

/// The word without quotes at which the parser is at a loss; none if there is something else.
fn bare<'t>(text: &'t str, statement: &Statement, at: usize) -> Option<&'t str> {
    let value = statement.value.filter(|value| *value <= at)?;
    let before = text[value..at]
        .rfind([',', '[', '{', '=', ' ', '\t', '\n'])
        .map_or(value, |before| value + before + 1);
    let template = text[value..].starts_with("{{") && at <= value + 2;
    let begin = if template { value } else { before };
    // It stands where a value may.
    let is_value = begin == value || text[value..begin].trim_end().ends_with(['[', ',', '=']);
    let end = if template { "\n" } else { ",]}#\n" };
    let word = &text[begin..];
    let word = word[..word.find(|c| end.contains(c)).unwrap_or(word.len())].trim();
    let is_word = word.starts_with(|c: char| c.is_alphanumeric() || "/.~$%<*\\({".contains(c));
    let first = word.split([' ', '\t']).next().unwrap_or_default();
    (is_value && is_word && !is_number(first) && !word.starts_with("{ ")).then_some(word)
}

/// Text without quotes. The text itself is not said: it may be a password.
fn unquoted(source: &SourceText<'_>, statement: &Statement, word: &str) -> Diagnostic {
    let at = word.as_ptr() as usize - source.text.as_ptr() as usize;
    let hint = match word.to_ascii_lowercase().as_str() {
        "yes" | "on" | "true" => "write true, or a text in quotes".to_owned(),
        "no" | "off" | "false" => "write false, or a text in quotes".to_owned(),
        "none" | "null" | "nil" => "leave the key out where it has no value".to_owned(),
        _ => {
            let key = source.text[statement.span.start..at].split('=').next().unwrap_or_default().trim();
            let list = statement.value.is_some_and(|value| source.text[value..at].starts_with('['));
            let form = if list { "[\"...\"]" } else { "\"...\"" };
            let missing = if word.ends_with(['"', '\'']) { "its first quote is missing: " } else { "" };
            format!("{missing}write {key} = {form}")
        }
    };
    source.error(&(at..at), "text must stand in quotes", Some(hint))
}

#[cfg(test)]
#[path = "toml_error_tests.rs"]
mod tests;
