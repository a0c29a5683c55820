//! TOML files read key by key, so that every mistake in them is found at once and has its place.

use std::cell::RefCell;
use std::fmt::Write as _;
use std::ops::Range;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::settings::diagnostic::{Diagnostic, Diagnostics, SourceText, did_you_mean};

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

/// Reads the root table of a file, if it is TOML at all; every syntax error becomes a diagnostic.
pub fn read<'s>(source: &SourceText<'s>, found: &mut Diagnostics) -> Option<Spanned<DeTable<'s>>> {
    let (root, errors) = DeTable::parse_recoverable(source.text);
    let broken = !errors.is_empty();
    for error in errors {
        let span = error.span().unwrap_or(0..0);
        found.push(source.error(&span, error.message().replace('\n', ", "), None));
    }
    (!broken).then_some(root)
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
}

impl<'d, 's> Section<'d, 's> {
    /// A section of a file; `name` is how messages speak of it, such as `[snmp]`.
    pub fn new(
        source: &'d SourceText<'s>,
        table: &'d DeTable<'s>,
        span: Range<usize>,
        name: impl Into<String>,
    ) -> Self {
        Section { source, table, span, name: name.into(), asked: RefCell::default() }
    }

    /// The file.
    pub fn source(&self) -> &'d SourceText<'s> {
        self.source
    }

    /// Where the section stands.
    pub fn span(&self) -> Range<usize> {
        self.span.clone()
    }

    /// An error about the section as a whole.
    pub fn error(&self, message: impl Into<String>, hint: &str) -> Diagnostic {
        self.source.error(&self.span, message, (!hint.is_empty()).then(|| hint.to_owned()))
    }

    /// The value of a key, of any type.
    pub fn get(&self, key: &'static str) -> Option<&'d Spanned<DeValue<'s>>> {
        self.asked.borrow_mut().push(key);
        self.table.get(key)
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
        let value = self.get(key)?;
        let name = format!("[{}]", self.path_of(key));
        match value.get_ref().as_table() {
            Some(table) => Some(Section::new(self.source, table, self.key_span(key), name)),
            None => {
                found.push(wrong_type(self.source, key, "a table", value));
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
                    sections.push(Section::new(
                        self.source,
                        table,
                        item.span(),
                        format!("[[{}]]", self.path_of(key)),
                    ));
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

    /// Reports the keys that nobody asked for.
    pub fn finish(self, found: &mut Diagnostics) {
        let mut asked = self.asked.into_inner();
        let mut seen = std::collections::HashSet::new();
        asked.retain(|key| seen.insert(*key));
        if asked.contains(&"*") {
            return;
        }
        for (key, _) in self.table {
            let name = key.get_ref();
            if asked.iter().any(|k| k == name) {
                continue;
            }
            let hint = did_you_mean(name, asked.iter().copied())
                .unwrap_or_else(|| format!("known here: {}", asked.join(", ")));
            found.push(self.source.error(
                &key.span(),
                format!("unknown key '{name}' in {}", self.name),
                Some(hint),
            ));
        }
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
