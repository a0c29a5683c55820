//! Comma-separated values (RFC 4180), with the place of each field. Empty lines, and lines that begin with `#`, are left out.

use std::borrow::Cow;

/// A field and the byte where it begins.
pub type Field<'t> = (usize, Cow<'t, str>);

/// The byte where something is wrong, and what.
pub type Wrong = (usize, &'static str);

/// The records of a text.
#[derive(Debug)]
pub struct Records<'t> {
    text: &'t str,
    separator: char,
    at: usize,
}

impl<'t> Records<'t> {
    /// The records of a text whose fields have this character between them.
    pub fn new(text: &'t str, separator: char) -> Self {
        // Spreadsheets write a byte order mark.
        let at = if text.starts_with('\u{feff}') { '\u{feff}'.len_utf8() } else { 0 };
        Records { text, separator, at }
    }

    fn rest(&self) -> &'t str {
        &self.text[self.at..]
    }

    /// How many blanks come next that are no separators.
    fn blanks(&self) -> usize {
        let is_blank = |c| c != self.separator && (c == ' ' || c == '\t');
        self.rest().len() - self.rest().trim_start_matches(is_blank).len()
    }

    /// Goes over the end of a line; false if there is none here.
    fn end_of_line(&mut self) -> bool {
        let rest = self.rest();
        let length = if rest.starts_with("\r\n") { 2 } else { usize::from(rest.starts_with(['\n', '\r'])) };
        self.at += length;
        length > 0
    }

    fn field(&mut self) -> Result<Field<'t>, Wrong> {
        let spaces = self.blanks();
        if self.rest()[spaces..].starts_with('"') {
            self.at += spaces;
            return self.quoted();
        }
        let (rest, separator) = (self.rest(), self.separator);
        let length = rest.find([separator, '\n', '\r']).unwrap_or(rest.len());
        let (start, field) = (self.at, &rest[..length]);
        self.at += length;
        let trimmed = field.trim();
        let before = field.len() - field.trim_start().len();
        let start = if trimmed.is_empty() { start } else { start + before };
        Ok((start, Cow::Borrowed(trimmed)))
    }

    fn quoted(&mut self) -> Result<Field<'t>, Wrong> {
        let start = self.at;
        self.at += 1;
        let mut field = Cow::Borrowed("");
        loop {
            let rest = self.rest();
            let Some(length) = rest.find('"') else { return Err((start, "this quote is not closed")) };
            match &mut field {
                Cow::Borrowed("") => field = Cow::Borrowed(&rest[..length]),
                field => field.to_mut().push_str(&rest[..length]),
            }
            self.at += length + 1;
            if !self.rest().starts_with('"') {
                break;
            }
            field.to_mut().push('"');
            self.at += 1;
        }
        self.at += self.blanks();
        match self.rest().chars().next() {
            None | Some('\n' | '\r') => Ok((start, field)),
            Some(c) if c == self.separator => Ok((start, field)),
            Some(_) => Err((self.at, "there is text behind a closing quote")),
        }
    }
}

impl<'t> Iterator for Records<'t> {
    type Item = Result<Vec<Field<'t>>, Wrong>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if self.rest().starts_with('#') {
                let rest = self.rest();
                self.at += rest.find(['\n', '\r']).unwrap_or(rest.len());
            }
            let blank = self.blanks();
            let after = &self.rest()[blank..];
            if after.is_empty() {
                return None;
            }
            if after.starts_with(['\n', '\r']) {
                self.at += blank;
            }
            if !self.end_of_line() && !self.rest().starts_with('#') {
                break;
            }
        }
        let mut fields = Vec::new();
        loop {
            match self.field() {
                Ok(field) => fields.push(field),
                Err(wrong) => {
                    // Nothing behind it can be told apart.
                    self.at = self.text.len();
                    return Some(Err(wrong));
                }
            }
            if self.rest().starts_with(self.separator) {
                self.at += self.separator.len_utf8();
                continue;
            }
            self.end_of_line();
            return Some(Ok(fields));
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(text: &str, separator: char) -> Result<Vec<Vec<String>>, Wrong> {
        let fields =
            |record: Vec<Field<'_>>| record.into_iter().map(|(_, field)| field.into_owned()).collect();
        Records::new(text, separator).map(|record| record.map(fields)).collect()
    }

    #[test]
    fn records_of_programs() {
        for (text, expected) in [
            ("a,b\n1,2\n", vec![vec!["a", "b"], vec!["1", "2"]]),
            ("\u{feff}a,b\r\n1,2", vec![vec!["a", "b"], vec!["1", "2"]]),
            ("a\r\r\nb", vec![vec!["a"], vec!["b"]]),
            ("# all\na , b\n\n  \n#\n1,\n", vec![vec!["a", "b"], vec!["1", ""]]),
            (
                "\"a,b\",\"say \"\"x\"\"\"\n\"two\nlines\" ,c",
                vec![vec!["a,b", "say \"x\""], vec!["two\nlines", "c"]],
            ),
            ("\"\",\"\"\"\"", vec![vec!["", "\""]]),
            (",", vec![vec!["", ""]]),
            ("", vec![]),
        ] {
            assert_eq!(read(text, ',').unwrap(), expected, "{text:?}");
        }
        assert_eq!(read("a;b,c\n", ';').unwrap(), [["a", "b,c"]]);
        assert_eq!(read("a\tb\n\tc\n", '\t').unwrap(), [["a", "b"], ["", "c"]]);
    }

    #[test]
    fn mistakes_have_a_place() {
        assert_eq!(read("a,b\n1,\"x\n", ','), Err((6, "this quote is not closed")));
        assert_eq!(read("a,\"b\" c\n", ','), Err((6, "there is text behind a closing quote")));
        let record = Records::new("a, b,\"c\"", ',').next().unwrap().unwrap();
        assert_eq!(record.iter().map(|(at, _)| *at).collect::<Vec<_>>(), [0, 3, 5]);
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(rows in prop::collection::vec(prop::collection::vec("[a,\"# \n\r;ü]{0,6}", 2..4), 0..5)) {
            let quote = |field: &String| format!("\"{}\"", field.replace('"', "\"\""));
            let line = |row: &Vec<String>| row.iter().map(quote).collect::<Vec<_>>().join(",") + "\r\n";
            let text: String = rows.iter().map(line).collect();
            prop_assert_eq!(read(&text, ',').unwrap(), rows);
        }

        #[test]
        fn every_text_ends(text in "[a,\"#\n\r \t]{0,20}") {
            prop_assert!(Records::new(&text, ',').count() <= text.len());
        }
    }
}
