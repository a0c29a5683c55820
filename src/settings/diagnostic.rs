//! What is wrong in a file that a user wrote: where, what, and what to do about it.

use std::fmt::{self, Write as _};
use std::ops::Range;
use std::sync::Arc;

use serde_json::{Value, json};

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// Worth knowing; nothing is refused for it.
    Warning,
    /// The file is refused.
    Error,
}

impl Severity {
    fn as_str(self) -> &'static str {
        match self {
            Severity::Warning => "warning",
            Severity::Error => "error",
        }
    }
}

/// One mistake, printed as `file:line:column: error: what; hint`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnostic {
    /// How bad it is.
    pub severity: Severity,
    /// The file, as the user named it.
    pub file: String,
    /// Line and column, from 1, the column in characters; none where the whole file is meant.
    pub place: Option<(usize, usize)>,
    /// What is wrong.
    pub message: String,
    /// What to do.
    pub hint: Option<String>,
}

impl fmt::Display for Diagnostic {
    /// One line. Names of files and texts in them may be anybody's: what would end the line or change a terminal is escaped.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut out = OneLine(f);
        out.write_str(&self.file)?;
        if let Some((line, column)) = self.place {
            write!(out, ":{line}:{column}")?;
        }
        let severity = match self.severity {
            Severity::Warning => "warning",
            Severity::Error => "error",
        };
        write!(out, ": {severity}: {}", self.message)?;
        if let Some(hint) = &self.hint {
            write!(out, "; {hint}")?;
        }
        Ok(())
    }
}

struct OneLine<'o, 'f>(&'o mut fmt::Formatter<'f>);

impl fmt::Write for OneLine<'_, '_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        // Direction marks, line and paragraph separators are no control characters.
        let turns =
            |c| matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{2028}' | '\u{2029}');
        let mut rest = text;
        while let Some((at, odd)) = rest.char_indices().find(|(_, c)| c.is_control() || turns(*c)) {
            self.0.write_str(&rest[..at])?;
            write!(self.0, "{}", odd.escape_default())?;
            rest = &rest[at + odd.len_utf8()..];
        }
        self.0.write_str(rest)
    }
}

/// A place in a file that a user wrote, printed as `file:line:column`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The file, as the user named it.
    pub file: Arc<str>,
    /// The line, from 1.
    pub line: usize,
    /// The column in characters, from 1.
    pub column: usize,
}

impl Place {
    /// An error at this place.
    pub fn error(&self, message: impl Into<String>, hint: impl Into<String>) -> Diagnostic {
        Diagnostic {
            severity: Severity::Error,
            file: self.file.to_string(),
            place: Some((self.line, self.column)),
            message: message.into(),
            hint: Some(hint.into()),
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.file, self.line, self.column)
    }
}

/// Everything found wrong so far.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Diagnostics(Vec<Diagnostic>);

impl Diagnostics {
    /// Adds one.
    pub fn push(&mut self, diagnostic: Diagnostic) {
        self.0.push(diagnostic);
    }

    /// Adds an error about a file as a whole.
    pub fn file_error(&mut self, file: &str, message: String, hint: &str) {
        self.push(Diagnostic {
            severity: Severity::Error,
            file: file.to_owned(),
            place: None,
            message,
            hint: (!hint.is_empty()).then(|| hint.to_owned()),
        });
    }

    /// Adds all of another collection.
    pub fn extend(&mut self, other: Diagnostics) {
        self.0.extend(other.0);
    }

    /// Takes back what follows from something else that is told.
    pub fn take_back(&mut self, said: &Diagnostic) {
        self.0.retain(|one| one != said);
    }

    /// Whether any of them refuses something.
    pub fn has_errors(&self) -> bool {
        self.0.iter().any(|d| d.severity == Severity::Error)
    }

    /// Their number.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// In the order of their files as first seen, then of their places.
    pub fn sorted(mut self) -> Vec<Diagnostic> {
        let mut files: Vec<String> = Vec::new();
        for diagnostic in &self.0 {
            if !files.contains(&diagnostic.file) {
                files.push(diagnostic.file.clone());
            }
        }
        self.0.sort_by_key(|d| (files.iter().position(|f| *f == d.file), d.place));
        self.0.dedup();
        self.0
    }

    /// The first ones, in the same order, and how many more there are.
    #[must_use]
    pub fn first(self, most: usize) -> Diagnostics {
        let mut sorted = self.sorted();
        if sorted.len() <= most {
            return Diagnostics(sorted);
        }
        let rest = sorted.split_off(most);
        let is_error = rest.iter().any(|one| one.severity == Severity::Error);
        sorted.extend(rest.first().map(|next| Diagnostic {
            severity: if is_error { Severity::Error } else { Severity::Warning },
            message: format!("and {} more messages", rest.len()),
            hint: None,
            ..next.clone()
        }));
        Diagnostics(sorted)
    }

    /// As JSON, in the same order: severity, file, line, column, message and hint each.
    pub fn to_json(&self) -> Value {
        let one = |d: &Diagnostic| {
            let (line, column) = d.place.unzip();
            json!({
                "severity": d.severity.as_str(), "file": d.file, "line": line, "column": column, "message": d.message, "hint": d.hint,
            })
        };
        self.clone().sorted().iter().map(one).collect()
    }

    /// One a line.
    pub fn to_text(&self) -> String {
        self.clone().sorted().iter().map(|d| format!("{d}\n")).collect()
    }
}

/// A text with a name, in which places can be pointed at.
#[derive(Debug, Clone, Copy)]
pub struct SourceText<'s> {
    /// The file's name, as the user knows it.
    pub file: &'s str,
    /// Its content.
    pub text: &'s str,
}

impl SourceText<'_> {
    /// Line and column of a byte offset, from 1.
    pub fn place(&self, offset: usize) -> (usize, usize) {
        let mut offset = offset.min(self.text.len());
        while !self.text.is_char_boundary(offset) {
            offset -= 1;
        }
        let before = &self.text[..offset];
        let line_start = before.rfind('\n').map_or(0, |at| at + 1);
        (before.matches('\n').count() + 1, before[line_start..].chars().count() + 1)
    }

    /// The place where a span begins.
    pub fn place_of(&self, span: &Range<usize>) -> Place {
        let (line, column) = self.place(span.start);
        Place { file: self.file.into(), line, column }
    }

    /// An error at a span.
    pub fn error(&self, span: &Range<usize>, message: impl Into<String>, hint: Option<String>) -> Diagnostic {
        Diagnostic {
            severity: Severity::Error,
            file: self.file.to_owned(),
            place: Some(self.place(span.start)),
            message: message.into(),
            hint,
        }
    }
}

/// "did you mean 'x'?" for the candidate nearest to a word, if one is near.
pub fn did_you_mean<'c>(word: &str, candidates: impl IntoIterator<Item = &'c str>) -> Option<String> {
    nearest_of(word, &mut candidates.into_iter()).map(|best| format!("did you mean '{best}'?"))
}

/// How many characters two words have in common at the start.
fn alike(word: &str, candidate: &str) -> usize {
    word.chars().zip(candidate.to_lowercase().chars()).take_while(|(a, b)| a == b).count()
}

/// The longest name that another one can be meant by, in characters: the time of a comparison grows with the square.
const LONGEST_NAME: usize = 100;

/// The candidate nearest to a word, if one is near.
pub fn nearest<'c>(word: &str, candidates: impl IntoIterator<Item = &'c str>) -> Option<&'c str> {
    nearest_of(word, &mut candidates.into_iter())
}

/// The code of [`nearest`], once for all kinds of iterators.
fn nearest_of<'c>(word: &str, candidates: &mut dyn Iterator<Item = &'c str>) -> Option<&'c str> {
    let is_name = |text: &str| text.chars().nth(LONGEST_NAME).is_none();
    if !is_name(word) {
        return None;
    }
    let word = word.to_lowercase();
    let limit = (word.chars().count() / 3).clamp(1, 4);
    candidates
        .filter(|c| is_name(c))
        .map(|c| (strsim::damerau_levenshtein(&word, &c.to_lowercase()), c))
        // Where no letter is the same nothing is near, such as a letter to another one and a name to no text.
        .filter(|(distance, c)| *distance <= limit && *distance < word.chars().count().max(c.chars().count()))
        // Of two that are as near, the one that begins alike: letters are more often left out than wrong.
        .min_by_key(|(distance, c)| (*distance, std::cmp::Reverse(alike(&word, c)), *c))
        .map(|(_, c)| c)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_two_that_are_as_near_the_one_that_begins_alike_is_meant() {
        for (word, meant) in [("wher", "where"), ("whn", "when"), ("were", "where"), ("servce", "service")] {
            assert_eq!(nearest(word, ["when", "where", "service"]), Some(meant), "{word}");
        }
    }

    #[test]
    fn nothing_is_near_to_what_has_no_letter_of_it() {
        for word in ["", "x", "é"] {
            assert_eq!(nearest(word, ["r", "ab", "when"]), None, "{word}");
        }
        assert_eq!(nearest("r", ["rx", "q"]), Some("rx"));
    }

    #[test]
    fn what_is_too_long_for_a_name_is_compared_with_nothing() {
        let name = |length: usize| "é".repeat(length);
        for (word, candidate, near) in
            [(99, 100, true), (100, 99, true), (101, 100, false), (100, 101, false)]
        {
            assert_eq!(nearest(&name(word), [&*name(candidate)]).is_some(), near, "{word} {candidate}");
        }
        // It would take minutes.
        let long = "x".repeat(1 << 20);
        assert_eq!(nearest(&long, [&*long, "x"]), None);
        assert_eq!(nearest("x", [&*long]), None);
    }

    #[test]
    fn places_count_characters() {
        let source = SourceText { file: "x.toml", text: "a = 1\nü = 2\n" };
        assert_eq!(source.place(0), (1, 1));
        assert_eq!(source.place(8), (2, 2));
        assert_eq!(source.place(999), (3, 1));
    }

    #[test]
    fn whatever_names_and_texts_have_a_mistake_is_one_line() {
        let hostile = "a\nb: error: forged\x1b[31m\r\u{202e}\u{2028}\u{9b}ü";
        let mut found = Diagnostics::default();
        found.file_error(hostile, hostile.to_owned(), hostile);
        let text = found.to_text();
        let clean = "a\\nb: error: forged\\u{1b}[31m\\r\\u{202e}\\u{2028}\\u{9b}ü";
        assert_eq!(text, format!("{clean}: error: {clean}; {clean}\n"));
    }

    #[test]
    fn near_words() {
        let names = ["ifDescr", "ifIndex", "ifAdminStatus"];
        assert_eq!(nearest("ifDscr", names), Some("ifDescr"));
        assert_eq!(nearest("ifdescr", names), Some("ifDescr"));
        assert_eq!(nearest("sysName", names), None);
    }
}
