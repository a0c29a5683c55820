//! TOML files read key by key, so that every mistake in them is found at once and has its place.

use std::borrow::Cow;
use std::cell::RefCell;
use std::fmt::Write as _;
use std::ops::Range;
use std::rc::Rc;

use sha2::{Digest as _, Sha256};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::settings::diagnostic::{Diagnostic, Diagnostics, SourceText, nearest};
use crate::settings::toml_errors;

/// A value and where it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Located<T> {
    /// The value.
    pub value: T,
    /// Its bytes in the file.
    pub span: Range<usize>,
}

impl<T> std::ops::Deref for Located<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.value
    }
}

impl Located<String> {
    /// Where a byte of the string stands in the file. Exact unless the string has escapes.
    pub fn span_of(&self, source: &SourceText<'_>, within: Range<usize>) -> Range<usize> {
        let raw = source.text.get(self.span.clone()).unwrap_or_default();
        match raw.find(&self.value) {
            Some(at) => self.span.start + at + within.start..self.span.start + at + within.end,
            None => self.span.clone(),
        }
    }
}

/// How many unknown keys of a section are said: the place of each is looked for from the beginning on.
const MOST_UNKNOWN: usize = 1_000;

/// Reads the root table of a file, if it is TOML at all; syntax errors become diagnostics.
pub fn read<'s>(source: &SourceText<'s>, found: &mut Diagnostics) -> Option<Spanned<DeTable<'s>>> {
    toml_errors::read(source, found)
}

/// A string of TOML, as plain as its content allows.
pub fn quoted(text: &str) -> String {
    let control = |c: char| c.is_control();
    if !text.contains(['"', '\\']) && !text.contains(control) {
        return format!("\"{text}\"");
    }
    if !text.contains('\'') && !text.contains(control) {
        return format!("'{text}'");
    }
    if !text.contains("'''") && !text.ends_with('\'') && !text.contains(control) {
        return format!("'''{text}'''");
    }
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => {
                out.push('\\');
                out.push(c);
            }
            '\n' => out.push_str("\\n"),
            '\t' => out.push_str("\\t"),
            c if c.is_control() => {
                let _ = write!(out, "\\u{:04X}", u32::from(c));
            }
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

/// One table of a file. Keys that nobody asked for are reported by [`Section::finish`].
pub struct Section<'d, 's> {
    source: &'d SourceText<'s>,
    table: &'d DeTable<'s>,
    span: Range<usize>,
    name: String,
    asked: RefCell<Vec<&'static str>>,
    absent: RefCell<Vec<(Vec<String>, Diagnostic)>>,
    /// Keys of another section that one may look for here, and its name.
    elsewhere: RefCell<Option<(&'static [&'static str], &'static str)>>,
    outside: Rc<Outside>,
}

/// What was read from outside the file for a section and the sections within it, such as passwords.
#[derive(Default)]
struct Outside {
    read: RefCell<Sha256>,
    around: Option<Rc<Outside>>,
}

/// SHA-256 of what a section says.
pub type Digest = [u8; 32];

impl<'d, 's> Section<'d, 's> {
    /// A section of a file; `name` is how messages speak of it, such as `[snmp]`.
    pub fn new(
        source: &'d SourceText<'s>,
        table: &'d DeTable<'s>,
        span: Range<usize>,
        name: impl Into<String>,
    ) -> Self {
        Section {
            source,
            table,
            span,
            name: name.into(),
            asked: RefCell::default(),
            absent: RefCell::default(),
            elsewhere: RefCell::default(),
            outside: Rc::default(),
        }
    }

    /// A section within this one.
    fn within(&self, table: &'d DeTable<'s>, span: Range<usize>, name: String) -> Self {
        let outside = Outside { around: Some(self.outside.clone()), ..Outside::default() };
        Section { outside: Rc::new(outside), ..Section::new(self.source, table, span, name) }
    }

    /// Records what was read for this section from outside the file: a password's file, a certificate. It counts for
    /// [`Section::digest`].
    pub fn reads(&self, content: &[u8]) {
        let mut section = Some(&self.outside);
        while let Some(outside) = section {
            update(&mut outside.read.borrow_mut(), b'o', content);
            section = outside.around.as_ref();
        }
    }

    /// A digest of the keys and values, without the keys in `except`, and of what [`Section::reads`] has recorded. Two
    /// sections that say the same have the same digest, whatever the order of their keys, their spacing and comments.
    pub fn digest(&self, except: &[&str]) -> Digest {
        let mut hash = Sha256::new();
        digest_table(&mut hash, self.table, except);
        update(&mut hash, b'o', &self.outside.read.borrow().clone().finalize());
        hash.finalize().into()
    }

    /// The file.
    pub fn source(&self) -> &'d SourceText<'s> {
        self.source
    }

    /// How messages speak of it, such as `[snmp]`.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Where the section stands.
    pub fn span(&self) -> Range<usize> {
        self.span.clone()
    }

    /// An error about the section as a whole. What it names in single quotes are keys: where one of them is there and misspelt, that is
    /// the cause, and [`Section::finish`] tells that alone.
    pub fn error(&self, message: impl Into<String>, hint: &str) -> Diagnostic {
        let message = message.into();
        let keys: Vec<&str> = message.split('\'').skip(1).step_by(2).collect();
        self.lacks(&keys, message.as_str(), hint)
    }

    /// The same, because none of these keys is there.
    pub fn lacks(&self, keys: &[&str], message: impl Into<String>, hint: &str) -> Diagnostic {
        let hint = (!hint.is_empty()).then(|| hint.to_owned());
        self.follows(keys, self.source.error(&self.span, message, hint))
    }

    /// The same of what is said elsewhere because none of these keys is there.
    pub fn follows(&self, keys: &[&str], said: Diagnostic) -> Diagnostic {
        let keys = keys.iter().map(|key| (*key).to_owned()).collect();
        self.absent.borrow_mut().push((keys, said.clone()));
        said
    }

    /// The value of a key, of any type.
    pub fn get(&self, key: &'static str) -> Option<&'d Spanned<DeValue<'s>>> {
        self.asked.borrow_mut().push(key);
        self.table.get(key)
    }

    /// The keys that were asked for so far.
    pub fn asked(&self) -> Vec<&'static str> {
        self.asked.borrow().clone()
    }

    /// Keys that are no keys of this one but of another section, as messages speak of it: whoever writes them here is told.
    pub fn are_elsewhere(&self, keys: &'static [&'static str], section: &'static str) {
        *self.elsewhere.borrow_mut() = Some((keys, section));
    }

    /// Whether a key stands here that belongs to another section, so that it is missing there.
    pub fn misplaces(&self, key: &str) -> bool {
        self.table.get(key).is_some()
    }

    /// Whether a key is one of those.
    fn is_elsewhere(&self, name: &str) -> bool {
        self.elsewhere.borrow().is_some_and(|(keys, _)| keys.contains(&name))
    }

    fn belongs(&self, name: &str) -> Option<String> {
        let (keys, section) = (*self.elsewhere.borrow())?;
        if keys.contains(&name) {
            return Some(format!("it belongs in {section}"));
        }
        nearest(name, keys.iter().copied()).map(|near| format!("did you mean '{near}' in {section}?"))
    }

    /// Where a key itself stands.
    pub fn key_span(&self, key: &str) -> Range<usize> {
        self.table.iter().find(|(k, _)| k.get_ref() == key).map_or(self.span(), |(k, _)| k.span())
    }

    /// All keys and values, which thereby count as asked for.
    pub fn entries(&self) -> impl Iterator<Item = (&'d str, Range<usize>, &'d Spanned<DeValue<'s>>)> {
        self.asked.borrow_mut().push("*");
        self.table.iter().map(|(k, v)| (k.get_ref().as_ref(), k.span(), v))
    }

    fn typed<T>(
        &self,
        key: &'static str,
        expected: &str,
        found: &mut Diagnostics,
        read: impl FnOnce(&'d DeValue<'s>) -> Option<T>,
    ) -> Option<Located<T>> {
        let value = self.get(key)?;
        match read(value.get_ref()) {
            Some(read) => Some(Located { value: read, span: value.span() }),
            None => {
                found.push(wrong_type(self.source, key, expected, value));
                None
            }
        }
    }

    /// A string.
    pub fn string(&self, key: &'static str, found: &mut Diagnostics) -> Option<Located<String>> {
        self.typed(key, "a string", found, |v| v.as_str().map(str::to_owned))
    }

    /// A string that is one of these words, or more that are like them; whether it is one is for the caller to see.
    pub fn one_of(
        &self,
        key: &'static str,
        words: &[&str],
        found: &mut Diagnostics,
    ) -> Option<Located<String>> {
        let words: Vec<String> = words.iter().map(|word| format!("\"{word}\"")).collect();
        let expected = match words.as_slice() {
            [] => "a string".to_owned(),
            [one] => one.clone(),
            [all @ .., last] => format!("{} or {last}", all.join(", ")),
        };
        self.typed(key, &expected, found, |v| v.as_str().map(str::to_owned))
    }

    /// A boolean.
    pub fn boolean(&self, key: &'static str, found: &mut Diagnostics) -> Option<Located<bool>> {
        self.typed(key, "true or false", found, DeValue::as_bool)
    }

    /// A whole number.
    pub fn integer(&self, key: &'static str, found: &mut Diagnostics) -> Option<Located<i64>> {
        self.typed(key, "a whole number", found, as_integer)
    }

    /// A string or an array of strings.
    pub fn strings(&self, key: &'static str, found: &mut Diagnostics) -> Option<Vec<Located<String>>> {
        let value = self.get(key)?;
        if let Some(one) = value.get_ref().as_str() {
            return Some(vec![Located { value: one.to_owned(), span: value.span() }]);
        }
        let Some(array) = value.get_ref().as_array() else {
            found.push(wrong_type(self.source, key, "a string or an array of strings", value));
            return None;
        };
        let mut strings = Vec::new();
        for item in array {
            match item.get_ref().as_str() {
                Some(text) => strings.push(Located { value: text.to_owned(), span: item.span() }),
                None => found.push(wrong_type(self.source, key, "strings only", item)),
            }
        }
        Some(strings)
    }

    /// A table.
    pub fn section(&self, key: &'static str, found: &mut Diagnostics) -> Option<Section<'d, 's>> {
        let hint = |_: &DeValue<'_>| format!("write [{}], and its keys below it", self.path_of(key));
        self.section_such_as(key, hint, found)
    }

    /// The same, with what to write in the place of a value that is no table.
    pub fn section_such_as(
        &self,
        key: &'static str,
        hint: impl FnOnce(&DeValue<'_>) -> String,
        found: &mut Diagnostics,
    ) -> Option<Section<'d, 's>> {
        let value = self.get(key)?;
        let name = format!("[{}]", self.path_of(key));
        match value.get_ref().as_table() {
            Some(table) => Some(self.within(table, self.key_span(key), name)),
            None => {
                let hint = Some(hint(value.get_ref()));
                found.push(Diagnostic { hint, ..wrong_type(self.source, key, "a table", value) });
                None
            }
        }
    }

    /// An array of tables.
    pub fn sections(&self, key: &'static str, found: &mut Diagnostics) -> Vec<Section<'d, 's>> {
        let Some(value) = self.get(key) else { return Vec::new() };
        let Some(array) = value.get_ref().as_array() else {
            let hint = Some(format!("write [[{}]], with two brackets", self.path_of(key)));
            found.push(self.source.error(
                &self.key_span(key),
                format!("'{key}' must be an array of tables"),
                hint,
            ));
            return Vec::new();
        };
        let mut sections = Vec::new();
        for item in array {
            match item.get_ref().as_table() {
                Some(table) => {
                    sections.push(self.within(table, item.span(), format!("[[{}]]", self.path_of(key))));
                }
                None => found.push(wrong_type(self.source, key, "tables only", item)),
            }
        }
        sections
    }

    /// A key with the tables around it, as TOML writes it.
    fn path_of(&self, key: &str) -> String {
        let around = self.name.trim_start_matches('[').trim_end_matches(']');
        if around == self.name { key.to_owned() } else { format!("{around}.{key}") }
    }

    /// A key that is there and seems to be this one, for a section that is not read without it.
    pub fn misspelt(&self, key: &str) -> Option<Diagnostic> {
        let asked = self.asked();
        let is_meant = |name: &str| !asked.contains(&name) && nearest(name, [key]).is_some();
        let (name, _) = self.table.iter().find(|(name, _)| is_meant(name.get_ref()))?;
        let message = format!("unknown key '{}' in {}", name.get_ref(), self.name);
        Some(self.source.error(&name.span(), message, Some(format!("did you mean '{key}'?"))))
    }

    /// The end of a section that was not read to its end, as something is missing: tells what is misspelt in the place of that.
    pub fn cut_short(self, found: &mut Diagnostics) {
        let absent = self.absent.take();
        for (keys, said) in absent {
            let mut absent = keys.iter().filter(|key| self.table.get(key.as_str()).is_none());
            if let Some(misspelt) = absent.find_map(|key| self.misspelt(key)) {
                found.take_back(&said);
                found.push(misspelt);
            }
        }
    }

    /// Reports the keys that nobody asked for, and takes back what was said because one of them is misspelt.
    pub fn finish(self, found: &mut Diagnostics) {
        self.unknown(found);
    }

    /// The same, while the section is still read. Gives the keys that are meant by those that are misspelt.
    pub fn unknown(&self, found: &mut Diagnostics) -> Vec<&'static str> {
        let mut asked = self.asked();
        let mut seen = std::collections::HashSet::new();
        asked.retain(|key| seen.insert(*key));
        if asked.contains(&"*") {
            return Vec::new();
        }
        let is_unknown = |key: &&Spanned<Cow<'_, str>>| !asked.iter().any(|k| k == key.get_ref());
        let unknown: Vec<_> = self.table.keys().filter(is_unknown).collect();
        let more = unknown.len().saturating_sub(MOST_UNKNOWN);
        let mut meant = Vec::new();
        for (at, key) in unknown.into_iter().take(MOST_UNKNOWN + 1).enumerate() {
            let name = key.get_ref();
            if at == MOST_UNKNOWN {
                let message = format!("and {more} more unknown keys in {}", self.name);
                found.push(self.source.error(&key.span(), message, None));
                break;
            }
            let elsewhere = self.is_elsewhere(name);
            let near = if elsewhere { None } else { nearest(name, asked.iter().copied()) };
            let absent = near.filter(|near| self.table.get(*near).is_none());
            meant.extend(absent.and_then(|near| asked.iter().copied().find(|key| *key == near)));
            let hint = near.map(|near| format!("did you mean '{near}'?"));
            let hint = hint.or_else(|| self.belongs(name));
            let hint = hint.unwrap_or_else(|| format!("known here: {}", asked.join(", ")));
            let message = format!("unknown key '{name}' in {}", self.name);
            found.push(self.source.error(&key.span(), message, Some(hint)));
        }
        for (keys, said) in self.absent.borrow_mut().drain(..) {
            if keys.iter().any(|key| meant.contains(&key.as_str())) {
                found.take_back(&said);
            }
        }
        meant
    }
}

/// Adds a value to a hash: what it is and its length first, so that no two sequences of values look the same.
fn update(hash: &mut Sha256, kind: u8, content: &[u8]) {
    hash.update([kind]);
    hash.update((content.len() as u64).to_le_bytes());
    hash.update(content);
}

fn digest_table(hash: &mut Sha256, table: &DeTable<'_>, except: &[&str]) {
    let mut entries: Vec<(&str, &DeValue<'_>)> = table
        .iter()
        .map(|(key, value)| (key.get_ref().as_ref(), value.get_ref()))
        .filter(|(key, _)| !except.contains(key))
        .collect();
    entries.sort_unstable_by_key(|(key, _)| *key);
    update(hash, b't', &(entries.len() as u64).to_le_bytes());
    for (key, value) in entries {
        update(hash, b'k', key.as_bytes());
        digest_value(hash, value);
    }
}

fn digest_value(hash: &mut Sha256, value: &DeValue<'_>) {
    match value {
        DeValue::String(text) => update(hash, b's', text.as_bytes()),
        DeValue::Integer(number) => match as_integer(value) {
            Some(value) => update(hash, b'i', &value.to_le_bytes()),
            None => update(hash, b'i', number.as_str().as_bytes()),
        },
        DeValue::Float(number) => update(hash, b'f', number.as_str().as_bytes()),
        DeValue::Boolean(value) => update(hash, b'b', &[u8::from(*value)]),
        DeValue::Datetime(time) => update(hash, b'd', time.to_string().as_bytes()),
        DeValue::Array(items) => {
            update(hash, b'a', &(items.len() as u64).to_le_bytes());
            for item in items {
                digest_value(hash, item.get_ref());
            }
        }
        DeValue::Table(table) => digest_table(hash, table, &[]),
    }
}

/// The integer that a value is.
pub fn as_integer(value: &DeValue<'_>) -> Option<i64> {
    let number = value.as_integer()?;
    i64::from_str_radix(number.as_str(), number.radix()).ok()
}

fn wrong_type(
    source: &SourceText<'_>,
    key: &str,
    expected: &str,
    value: &Spanned<DeValue<'_>>,
) -> Diagnostic {
    let message = format!("'{key}' must be {expected}, not {}", article(value.get_ref().type_str()));
    source.error(&value.span(), message, None)
}

fn article(kind: &str) -> String {
    let an = kind.starts_with(['a', 'e', 'i', 'o', 'u']);
    format!("{} {kind}", if an { "an" } else { "a" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_mistake_at_once() {
        let text = "lisen = [\"x\"]\nsize = \"big\"\n[sub]\nname = 3\n";
        let source = SourceText { file: "t.toml", text };
        let mut found = Diagnostics::default();
        let root = read(&source, &mut found).unwrap();
        let section = Section::new(&source, root.get_ref(), root.span(), "the file");
        assert_eq!(section.strings("listen", &mut found), None);
        assert_eq!(section.integer("size", &mut found), None);
        let sub = section.section("sub", &mut found).unwrap();
        assert_eq!(sub.string("name", &mut found), None);
        section.finish(&mut found);
        insta::assert_snapshot!(found.to_text(), @r"
        t.toml:1:1: error: unknown key 'lisen' in the file; did you mean 'listen'?
        t.toml:2:8: error: 'size' must be a whole number, not a string
        t.toml:4:8: error: 'name' must be a string, not an integer
        ");
    }

    #[test]
    fn syntax_errors_have_places() {
        let source = SourceText { file: "t.toml", text: "a = 1\nb = = 2\nc = \"\n" };
        let mut found = Diagnostics::default();
        assert!(read(&source, &mut found).is_none());
        assert!(found.to_text().starts_with("t.toml:2:"), "{}", found.to_text());
    }

    fn digest_of(text: &str, outside: &[u8], except: &[&str]) -> Digest {
        let source = SourceText { file: "t.toml", text };
        let mut found = Diagnostics::default();
        let root = read(&source, &mut found).unwrap();
        let root = Section::new(&source, root.get_ref(), root.span(), "the file");
        let sink = root.sections("sinks", &mut found).swap_remove(0);
        let inner = sink.section("headers", &mut found);
        if !outside.is_empty() {
            inner.as_ref().unwrap_or(&sink).reads(outside);
        }
        sink.digest(except)
    }

    #[test]
    fn a_digest_tells_what_a_section_says() {
        let before = "[[sinks]]\nname = \"a\"\nrate = 10\nheaders = { x = \"1\", y = \"2\" }\n";
        let same =
            "# Moved.\n[[sinks]]\nrate = 0xa # ten\nname = 'a'\n[sinks.headers]\ny = \"2\"\nx = \"1\"\n";
        let digest = digest_of(before, b"", &[]);
        assert_eq!(digest, digest_of(same, b"", &[]));
        assert_ne!(digest, digest_of(before, b"secret", &[]), "what a section within it reads counts");
        assert_ne!(digest_of(before, b"old", &[]), digest_of(before, b"new", &[]));
        let with_was = format!("{}\nwas = \"b\"", before.replacen('\n', "\nzone = 1\n", 1));
        assert_ne!(digest, digest_of(&with_was, b"", &["was"]));
        assert_eq!(digest, digest_of(&with_was, b"", &["was", "zone"]));
        for other in ["rate = \"10\"", "rate = 11", "rate = 10.0", "rate = [10]", "rate = true"] {
            assert_ne!(digest, digest_of(&before.replace("rate = 10", other), b"", &[]), "{other}");
        }
    }

    proptest::proptest! {
        #[test]
        fn a_quoted_string_is_read_as_it_was(text in "[a-z'\"\\\\\n\t{}%#$ü\u{1}]{0,12}") {
            let document = format!("x = {}", quoted(&text));
            let source = SourceText { file: "t", text: &document };
            let mut found = Diagnostics::default();
            let root = read(&source, &mut found);
            proptest::prop_assert!(found.is_empty(), "{}", document);
            let root = root.unwrap();
            let section = Section::new(&source, root.get_ref(), root.span(), "t");
            proptest::prop_assert_eq!(section.string("x", &mut found).unwrap().value, text);
        }
    }
}
