//! Where the statements of a TOML file begin and end, also of one that is broken: the parser tells where it is at a loss, and not what
//! was left open before.

use std::ops::Range;

/// A table header, or a key with its value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Statement {
    /// Its bytes, without the end of the line.
    pub span: Range<usize>,
    /// Whether it is `[table]` or `[[table]]`.
    pub is_header: bool,
    /// Where the value begins, if there is a `=`.
    pub value: Option<usize>,
    /// What is not in pairs.
    pub broken: Option<Broken>,
}

/// What is not in pairs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Broken {
    /// A string that begins here with these quotes has no end.
    String(usize, &'static str),
    /// A bracket that is opened here is not closed.
    Open(usize, char),
    /// A bracket that closes here was not opened.
    Closed(usize, char),
}

/// The first statement from this byte on; none at the end of the file.
pub fn next(text: &str, from: usize) -> Option<Statement> {
    let start = from + significant(text.get(from..)?)?;
    if text[start..].starts_with('[') {
        let span = start..line_end(text, start);
        return Some(Statement { span, is_header: true, value: None, broken: None });
    }
    let mut scan = Scan { text, at: start, open: Vec::new(), last: ' ', value: None };
    let broken = scan.run();
    Some(Statement { span: start..scan.at, is_header: false, value: scan.value, broken })
}

/// How many bytes there are before what is neither blank nor a comment.
fn significant(text: &str) -> Option<usize> {
    let mut at = 0;
    loop {
        at += text[at..].find(|c: char| !c.is_whitespace())?;
        if !text[at..].starts_with('#') {
            return Some(at);
        }
        at = line_end(text, at);
    }
}

fn line_end(text: &str, from: usize) -> usize {
    text[from..].find('\n').map_or(text.len(), |length| from + length)
}

struct Scan<'t> {
    text: &'t str,
    at: usize,
    open: Vec<(usize, char)>,
    /// The last character that is neither blank nor part of a comment.
    last: char,
    value: Option<usize>,
}

impl Scan<'_> {
    /// Goes to the end of the statement.
    fn run(&mut self) -> Option<Broken> {
        while let Some(c) = self.text[self.at..].chars().next() {
            match c {
                '\n' if self.open.is_empty() => return None,
                '\n' if self.begins_another() => break,
                '#' => {
                    self.at = line_end(self.text, self.at);
                    continue;
                }
                '"' | '\'' => {
                    if let Some(broken) = self.string(c) {
                        return Some(broken);
                    }
                    self.last = c;
                    continue;
                }
                '[' | '{' => self.open.push((self.at, c)),
                ']' | '}' => {
                    let opening = if c == ']' { '[' } else { '{' };
                    match self.open.pop() {
                        Some((_, open)) if open == opening => {}
                        other => {
                            let closed = Broken::Closed(self.at, c);
                            self.at = line_end(self.text, self.at);
                            return Some(other.map_or(closed, |(at, open)| Broken::Open(at, open)));
                        }
                    }
                }
                _ => {}
            }
            if c == '=' && self.value.is_none() {
                let rest = &self.text[self.at + 1..];
                self.value = Some(self.at + 1 + rest.find(|c: char| !c.is_whitespace()).unwrap_or(0));
            }
            if !c.is_whitespace() {
                self.last = c;
            }
            self.at += c.len_utf8();
        }
        self.open.last().map(|(at, open)| Broken::Open(*at, *open))
    }

    /// Goes behind a string.
    fn string(&mut self, quote: char) -> Option<Broken> {
        let (one, three) = if quote == '"' { ("\"", "\"\"\"") } else { ("'", "'''") };
        let begin = self.at;
        let several = self.text[begin..].starts_with(three);
        let quotes = if several { three } else { one };
        self.at += quotes.len();
        while let Some(c) = self.text[self.at..].chars().next() {
            if self.text[self.at..].starts_with(quotes) {
                self.at += quotes.len();
                // Up to two quotes may stand before the three at the end.
                while several && self.text[self.at..].starts_with(quote) {
                    self.at += 1;
                }
                return None;
            }
            if c == '\n' && !several {
                break;
            }
            self.at += c.len_utf8();
            if c == '\\' && quote == '"' {
                self.at += self.text[self.at..]
                    .chars()
                    .next()
                    .filter(|c| *c != '\n' || several)
                    .map_or(0, char::len_utf8);
            }
        }
        Some(Broken::String(begin, quotes))
    }

    /// Whether another statement begins in the next line, although a bracket is open.
    fn begins_another(&self) -> bool {
        let rest = &self.text[self.at..];
        let Some(at) = significant(rest) else { return true };
        let line = &rest[at..line_end(rest, at)];
        let in_table = self.open.last().is_some_and(|(_, open)| *open == '{');
        let is_next_key = in_table && matches!(self.last, ',' | '{');
        is_header(line) || (begins_with_key(line) && !is_next_key)
    }
}

/// Whether a line is the name of a table, and no array of values.
fn is_header(line: &str) -> bool {
    let Some(name) = line.strip_prefix('[') else { return false };
    let name = name.strip_prefix('[').unwrap_or(name).trim_start();
    let end = name.find(|c: char| !is_bare(c) && !".\"' ".contains(c)).unwrap_or(name.len());
    let word = name[..end].trim();
    let is_value = matches!(word, "true" | "false" | "inf" | "nan") || word.starts_with(['"', '\'']);
    let is_number = word.starts_with(|c: char| c.is_ascii_digit() || c == '-');
    let behind = name[end..].trim_start_matches(']').trim_start();
    name[end..].starts_with(']')
        && !word.is_empty()
        && !is_value
        && !is_number
        && (behind.is_empty() || behind.starts_with('#'))
}

/// Whether a line begins as `key =` does.
fn begins_with_key(line: &str) -> bool {
    let mut rest = line;
    loop {
        let quote = rest.chars().next().filter(|c| matches!(c, '"' | '\''));
        let end = match quote {
            Some(quote) => rest[1..].find(quote).map_or(0, |length| length + 2),
            None => rest.find(|c| !is_bare(c)).unwrap_or(rest.len()),
        };
        if end == 0 {
            return false;
        }
        rest = rest[end..].trim_start();
        match rest.strip_prefix('.') {
            Some(more) => rest = more.trim_start(),
            None => return rest.starts_with('='),
        }
    }
}

fn is_bare(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '_' | '-')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(text: &str) -> Vec<Statement> {
        let mut all: Vec<Statement> = Vec::new();
        while let Some(one) = next(text, all.last().map_or(0, |last| last.span.end)) {
            all.push(one);
        }
        all
    }

    #[test]
    fn files_that_are_toml_have_nothing_broken() {
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
        let files = ["rules", "config"].iter().flat_map(|name| std::fs::read_dir(folder.join(name)).unwrap());
        let mut seen = 0;
        for path in files
            .map(|file| file.unwrap().path())
            .filter(|path| path.extension().is_some_and(|e| e == "toml"))
        {
            let text = std::fs::read_to_string(&path).unwrap();
            seen += 1;
            for one in all(&text) {
                assert_eq!(one.broken, None, "{}: {}", path.display(), &text[one.span]);
            }
        }
        assert!(seen > 10, "{seen}");
    }

    #[test]
    fn what_is_left_open_ends_where_the_next_statement_begins() {
        for (text, broken) in [
            ("a = { x = 1, \"y.1\" = \"]\"", Broken::Open(4, '{')),
            ("a = [1, 2 # ]", Broken::Open(4, '[')),
            ("a = [1, 2,", Broken::Open(4, '[')),
            ("a = [{ x = 1 }, { y = 2 ]", Broken::Open(16, '{')),
            ("a = 'it", Broken::String(4, "'")),
            ("a = [\"x]", Broken::String(5, "\"")),
            ("a = \"x\\\"", Broken::String(4, "\"")),
            ("a = 1, 2]", Broken::Closed(8, ']')),
        ] {
            for after in ["b = 1", "b.'c d' = 1", "[b]", "[[b.c]] # x"] {
                let file = format!("# x\n{text}\n\n{after}\n");
                let all = all(&file);
                let shift = |at| at + 4;
                let broken = match broken {
                    Broken::Open(at, c) => Broken::Open(shift(at), c),
                    Broken::String(at, quotes) => Broken::String(shift(at), quotes),
                    Broken::Closed(at, c) => Broken::Closed(shift(at), c),
                };
                assert_eq!(all[0].broken, Some(broken), "{file}");
                assert_eq!((all.len(), &file[all[1].span.clone()]), (2, after), "{file}");
            }
        }
    }

    #[test]
    fn values_of_several_lines_are_one_statement() {
        for value in [
            "[\n  \"a\", # ]\n  [1],\n  [true],\n]",
            "{\n x = 1,\n y = [\n 2 ]\n}",
            "\"\"\"\n[a]\nb = 1\n\"\"\"\"\"",
            "'''\n[a]'''",
        ] {
            let text = format!("a = {value}\nb = 1\n");
            let all = all(&text);
            assert_eq!((all.len(), all[0].broken), (2, None), "{text}: {all:?}");
        }
    }
}
