//! Rows as text, CSV and lines of JSON.

use super::row::Row;
use crate::time::clock::rfc3339;

/// The first line of CSV.
pub const CSV_HEAD: &str = "\"time\",\"id\",\"kind\",\"state\",\"previous\",\"count\",\"rule\",\"host\",\"service\",\"source\",\"output\",\"long_output\",\"perfdata\",\"why\"\r\n";

/// A row as a line of CSV (RFC 4180). Every field is quoted. One that a spreadsheet could take for a formula begins with an
/// apostrophe.
pub fn csv(row: &Row) -> String {
    let mut line = String::new();
    let (time, id, count) = (rfc3339(row.time), row.id(), row.count.to_string());
    for (at, field) in [
        time.as_str(),
        &id,
        row.kind(),
        row.state_word().unwrap_or_default(),
        row.previous.map_or("", |state| state.as_str()),
        &count,
        &row.rule,
        &row.host,
        row.service.as_deref().unwrap_or_default(),
        &row.source,
        &row.output,
        &row.rest.long_output,
        &row.rest.perfdata,
        row.why().unwrap_or_default(),
    ]
    .into_iter()
    .enumerate()
    {
        if at > 0 {
            line.push(',');
        }
        push_field(&mut line, field);
    }
    line.push_str("\r\n");
    line
}

/// Appends a field.
pub fn push_field(out: &mut String, text: &str) {
    out.push('"');
    if is_formula(text) {
        out.push('\'');
    }
    for c in text.chars() {
        match c {
            '"' => out.push_str("\"\""),
            // Ends the text for some readers.
            '\0' => out.push(' '),
            c => out.push(c),
        }
    }
    out.push('"');
}

/// Whether a spreadsheet could take a text for a formula: also behind spaces, and with the wide signs of East Asian texts.
fn is_formula(text: &str) -> bool {
    let begins = |text: &str, signs: &[char]| text.starts_with(signs);
    begins(text, &['\t', '\r', '\n'])
        || begins(
            text.trim_start_matches(|c: char| c.is_whitespace() || c.is_control()),
            &['=', '+', '-', '@', '＝', '＋', '－', '＠'],
        )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_field_is_a_formula_or_ends_early() {
        let field = |text: &str| {
            let mut out = String::new();
            push_field(&mut out, text);
            out
        };
        assert_eq!(field("plain, with \"quotes\"\nand lines"), "\"plain, with \"\"quotes\"\"\nand lines\"");
        for text in ["=1+1", "  =1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "\u{a0}=1", "＝1", "\n-x"] {
            assert_eq!(field(text), format!("\"'{text}\""), "{text:?}");
        }
        for text in ["", "a=1", "1-2", "'=1"] {
            assert_eq!(field(text), format!("\"{text}\""));
        }
        assert_eq!(field("a\0b"), "\"a b\"");
    }
}
